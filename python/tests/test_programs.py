"""Programs as users of the original wrote them: each runs as it stands. Those that make hosts on AWS run on machines of a
cloud, in the tests of the command line."""
import gzip
import hashlib
import json
import os
import pathlib
import subprocess

import pytest
from servers import PAGE

TEXT = b'a cat and a dog and a cat\n' * 1000


@pytest.fixture(autouse=True)
def files(tmp_path):
    """The files that the programs speak of."""
    for name in ('in.txt', 'in1.txt', 'in2.txt'):
        (tmp_path / name).write_bytes(TEXT)
    (tmp_path / 'corpus.csv').write_text('cat,tiger\n')
    (tmp_path / 'corpus2.csv').write_text('dog,wolf\n')
    (tmp_path / 'parameters.json').write_text(
        json.dumps({'app': {'specific': {'type': 'sha3-512'}}}))
    (tmp_path / 'accelerator.conf').write_text(
        '[process.sha3]\ntype = sha3-224\n[host.AWS]\nspot_instance = True\n'
        '[security]\nauthorized_host_dirs = ~/shared\n  /data\n')


def content(name):
    return pathlib.Path(name).read_bytes()


def test_here_and_configured_again(program):
    program('''
    import apyfal
    with apyfal.Accelerator(accelerator='hyperfire') as accel:
        accel.start(src='corpus.csv')
        accel.process(src='in.txt', dst='out.txt')
        accel.start(src='corpus2.csv')
        accel.process(src='in.txt', dst='out2.txt')
    ''')
    assert content('out.txt') == TEXT.replace(b'cat', b'tiger')
    assert content('out2.txt') == TEXT.replace(b'dog', b'wolf')


def test_parameters_in_all_forms_and_what_a_call_tells(program):
    told = program('''
    import apyfal
    with apyfal.Accelerator(accelerator='sha3') as accel:
        accel.start()
        info = dict()
        result = accel.process(src='in.txt', info_dict=info, parameters='parameters.json', type='sha3-256')
        digest, seconds = result['digest'], info['app']['profiling']['wall-clock-time']
        assert seconds > 0
        print(digest)
        for parameters in (
                '{"app": {"specific": {"type": "shake-128", "length": 256}}}',
                {'app': {'specific': {'type': 'sha3-512'}}}, 'parameters.json', None):
            print(accel.process(src='in.txt', parameters=parameters)['digest'])
    ''').stdout.split()
    assert told == [
        hashlib.sha3_256(TEXT).hexdigest(), hashlib.shake_128(TEXT).hexdigest(32),
        hashlib.sha3_512(TEXT).hexdigest(), hashlib.sha3_512(TEXT).hexdigest(),
        hashlib.sha3_224(TEXT).hexdigest()]


def test_many_at_once(program):
    program('''
    import apyfal
    files = ['in1.txt', 'in2.txt']
    dsts = ['1.gz', '2.gz']
    with apyfal.Accelerator(accelerator='gzip') as accel:
        accel.start()
        futures = [accel.process_submit(src=f, dst=f + '.gz') for f in files]
        assert [future.result() for future in futures] == [{}, {}]
        infos = []
        assert list(accel.process_map(srcs=files, dsts=dsts, timeout=60, info_list=infos)) == [{}, {}]
        assert all(info['app']['profiling']['wall-clock-time'] > 0 for info in infos)
    ''')
    for name in ('in1.txt.gz', 'in2.txt.gz', '1.gz', '2.gz'):
        assert gzip.decompress(content(name)) == TEXT


def test_storage_on_either_side(program, moto, web, tmp_path):
    (tmp_path / 'accelerator.conf').write_text(
        f'[storage]\nregion = us-east-1\n[storage.AWS]\nendpoint = {moto}\nunsecure = True\n'
        f'[security]\nauthorized_host_dirs = {tmp_path}/shared\n')
    (tmp_path / 'shared').mkdir()
    program(f'''
    import apyfal
    import apyfal.storage
    apyfal.storage.mount(storage_type='AWS', client_id='AK', secret_id='SK', endpoint={moto!r}, unsecure=True)
    with apyfal.storage.open('s3://bucket/other', 'wb') as f: f.write(b'data')
    with apyfal.storage.open('s3://bucket/other', 'rt', encoding='utf-8') as f: text = f.read()
    assert text == 'data'
    apyfal.storage.copy({web!r} + '/file', 's3://bucket/file')
    with apyfal.Accelerator(accelerator='gzip') as accel:
        accel.start()
        accel.process(src='s3://bucket/file', dst='host://{tmp_path}/shared/out')
    ''')
    assert gzip.decompress(content('shared/out')) == PAGE


def test_configuration_and_requirements(program):
    program('''
    import apyfal
    config = apyfal.configuration.Configuration()
    config['accelize']['client_id'] = 'C'; config['accelize']['secret_id'] = 'S'
    assert config['host']['missing'] is None
    assert config['host.AWS'].get_literal('spot_instance') is True
    assert config['security'].get_list('authorized_host_dirs') == ['~/shared', '/data']
    requirements = config.get_host_requirements(host_type='AWS', accelerator='gzip')
    image = requirements['us-east-1']['image']
    assert image and requirements['accelerator'] == 'gzip'
    ''')


def test_errors(program):
    told = program('''
    import apyfal
    with apyfal.Accelerator(accelerator='gzip') as accel:
        accel.start()
        try: accel.process(src='missing')
        except apyfal.exceptions.ClientConfigurationException as error: print(error)
        except apyfal.exceptions.AcceleratorException: raise
    ''').stdout
    assert "'missing': no such file" in told


def test_the_names_that_programs_import(program):
    program('''
    import apyfal
    from apyfal.host import Host
    from apyfal.host.aws import AWSHost
    from apyfal.host.openstack import OpenStackHost
    from apyfal.host.alibaba import AlibabaCSP
    from apyfal.client import AcceleratorClient
    from apyfal.client.rest import RESTClient
    from apyfal.client.syscall import SysCallClient
    from apyfal.storage.aws import S3Storage
    host = AWSHost(region='us-east-1', spot_instance=False)
    assert isinstance(host, Host) and host.url is None
    assert set(host.info) >= {'host_type', 'stop_mode', 'region', 'key_pair', 'security_group', 'role', 'policy'}
    ''')


def test_the_page_of_the_manual_on_requirements(program, catalog, tmp_path):
    (tmp_path / 'accelerator.conf').write_text(f'[accelize]\nserver = {catalog}\n')
    told = program('''
    import apyfal

    # Load Apyfal "accelerator.conf" configuration file
    config = apyfal.configuration.Configuration()

    # Configuration file needs at least Accelize access keys, if not present in
    # file, it is possible to add it programmatically:
    config['accelize']['client_id'] = 'my_client_id'
    config['accelize']['secret_id'] = 'my_secret_id'

    # Get configuration from Accelize server
    host_config = config.get_host_requirements(
        host_type='my_provider', accelerator='my_accelerator')

    print(host_config['accelerator'])
    print(*(host_config['my_region'][key] for key in ('image', 'instancetype', 'fpgaimage')))
    config = apyfal.configuration.Configuration()
    config['accelize'].update(client_id='my_client_id', secret_id='another')
    try:
        config.get_host_requirements('my_provider', 'my_accelerator')
    except apyfal.exceptions.ClientAuthenticationException:
        print('refused')
    ''').stdout
    assert told == 'my_accelerator\nubuntu-24.04 f.large agfi-1\nrefused\n'
