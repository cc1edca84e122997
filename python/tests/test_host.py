"""Hosts and clients by themselves, and programs as users of the original wrote them."""
import io
import pathlib
import pickle
import warnings

import pytest

import apyfal
from apyfal import AcceleratorPoolExecutor as AcceleratorPool
from apyfal.client import AcceleratorClient
from apyfal.client.rest import RESTClient
from apyfal.client.syscall import SysCallClient
from apyfal.exceptions import (
    AcceleratorException, ClientConfigurationException, ClientRuntimeException,
    HostConfigurationException)
from apyfal.host import Host
from apyfal.host.alibaba import AlibabaCSP
from apyfal.host.aws import AWSHost
from apyfal.host.openstack import OpenStackHost
from apyfal.host.sim import SimHost


def test_factories_give_the_class_that_fits():
    assert type(AcceleratorClient('sha3')) is SysCallClient
    assert type(AcceleratorClient('sha3', client_type='rest')) is RESTClient
    assert type(AcceleratorClient('sha3', host_ip='192.0.2.1')) is RESTClient
    assert type(Host()) is Host and type(Host(host_type='localhost')) is Host
    assert type(Host(host_type='aws', region='us-east-1')) is AWSHost
    assert type(Host('AWS')) is AWSHost
    config = apyfal.configuration.Configuration()
    config['host']['host_type'] = 'AWS'
    assert type(Host(config=config)) is AWSHost
    for name, kind in (('OpenStack', OpenStackHost), ('Alibaba', AlibabaCSP)):
        assert type(Host(host_type=name, host_ip='192.0.2.1')) is kind
        with pytest.raises(HostConfigurationException, match=f'no hosts on {name}'):
            Host(host_type=name)
    with pytest.raises(ClientConfigurationException, match="'SysCall' runs on this machine, not on host_ip"):
        AcceleratorClient('sha3', client_type='SysCall', host_ip='192.0.2.1')
    with pytest.raises(ClientConfigurationException, match="'SysCall' runs on this machine, not on host_ip"):
        SysCallClient('sha3', host_ip='192.0.2.1')
    with pytest.raises(HostConfigurationException, match="'AWS', 'OpenStack'"):
        Host(host_type='nosuch')
    with pytest.raises(ClientConfigurationException, match="'REST' and 'SysCall'"):
        AcceleratorClient('sha3', client_type='nosuch')


def test_factories_see_what_is_given_by_position():
    address = '192.0.2.1'
    client = AcceleratorClient('sha3', None, None, None, None, address)
    assert type(client) is RESTClient and client.url == f'http://{address}'
    config = apyfal.configuration.Configuration()
    config['host']['host_type'] = 'AWS'
    assert type(Host(None, config)) is AWSHost
    assert type(Host(None, config, address)) is Host


def said(text):
    return io.StringIO(text)


def test_factories_follow_the_configuration_which_they_read_once():
    address = '[host]\nhost_ip = 192.0.2.1\n'
    for client in (AcceleratorClient('sha3', config=said(address)),
                   AcceleratorClient('sha3', None, None, None, said(address))):
        assert type(client) is RESTClient and client.url == 'http://192.0.2.1'
    for text in ('[host]\nhost_type = sim\n', '[host]\nhost_type = AWS\n[host.AWS]\nhost_ip = 192.0.2.1\n'):
        assert type(AcceleratorClient('sha3', config=said(text))) is RESTClient
    for text in ('', '[host]\nhost_type = localhost\n'):
        assert type(AcceleratorClient('sha3', config=said(text))) is SysCallClient
    here = AcceleratorClient('sha3', client_type='SysCall', config=said(address))
    assert type(here) is SysCallClient and here.url is None
    for host in (Host(config=said(address)), Host(None, said(address))):
        assert type(host) is Host and host.url == 'http://192.0.2.1'
    text = '[host]\nhost_type = AWS\nregion = eu-west-1\n'
    for host in (Host(config=said(text)), Host(None, said(text)), Host('AWS', said(text))):
        assert type(host) is AWSHost and host.region == 'eu-west-1'
    with pytest.raises(TypeError, match="'config' must be a path"):
        AcceleratorClient('sha3', config=5)


def test_what_no_client_takes_is_told():
    for make in (AcceleratorClient, RESTClient, SysCallClient):
        with pytest.warns(UserWarning, match="no client takes 'hots_ip', which is ignored") as told:
            make('sha3', hots_ip='192.0.2.1')
        assert told[0].filename == __file__


def test_what_no_host_takes_is_told():
    for make in (lambda: apyfal.Accelerator('sha3', hots_ip='192.0.2.1'),
                 lambda: Host(host_type='OpenStack', host_ip='192.0.2.1', hots_ip='x'),
                 lambda: AcceleratorPool('sha3', workers_count=1, hots_ip='x')):
        with pytest.warns(UserWarning, match="no host takes 'hots_ip', which is ignored: is 'host_ip' meant?"):
            make()
    # What hosts of another type take may stay in a program.
    apyfal.Accelerator('sha3', region='us-east-1', key_pair='pair', project_id='x', s3_buckets='all')
    Host(host_ip='192.0.2.1', spot_instance=True, ssl_cert_crt=False)
    AWSHost(project_id='x', nova_client_kwargs={})
    # None says nothing.
    for make in (Host, AWSHost, SimHost, lambda **given: apyfal.Accelerator('sha3', **given)):
        make(hots_ip=None, spot_block=None)
    with pytest.raises(TypeError, match="hosts of type 'sim' take no 'region'"):
        SimHost(region='x')


def test_the_ports_of_all_hosts(monkeypatch):
    assert Host.ALLOW_PORTS == SimHost.ALLOW_PORTS == AWSHost.ALLOW_PORTS == {22, 80, 443}
    monkeypatch.setattr(Host, 'ALLOW_PORTS', {443})
    assert AWSHost()._of_class() == {'allow_ports': [443]}


def test_stop_modes():
    host = Host(host_ip='192.0.2.1')
    assert host.stop_mode == 'keep' and AWSHost().stop_mode == 'term'
    assert AWSHost(instance_id='i-1').stop_mode == 'keep'
    for given, meant in ((0, 'term'), ('1', 'stop'), ('KEEP', 'keep'), (None, 'keep')):
        host.stop_mode = given
        assert host.stop_mode == meant
    for number, word in Host.STOP_MODES.items():
        host.stop_mode = number
        assert host.stop_mode == word
    with pytest.raises(HostConfigurationException, match="a stop mode cannot be 'nosuch'"):
        host.stop_mode = 'nosuch'
    with pytest.raises(HostConfigurationException, match="a stop mode cannot be 'nosuch'"):
        apyfal.Accelerator('sha3', stop_mode='nosuch')
    with pytest.raises(TypeError, match="'stop_mode' must be a str or a number"):
        host.stop_mode = object()


def test_a_table_of_stop_modes_that_was_changed():
    class Mine(Host):
        STOP_MODES = {0: 'keep', 7: 'term'}
    host = Mine(host_ip='192.0.2.1', stop_mode='7')
    assert host.stop_mode == 'term'
    host.stop(0)
    assert host.stop_mode == 'keep'


def test_what_a_host_tells():
    host = AWSHost(region='us-east-1', host_ip='192.0.2.1', secret_id='hush', role='mine')
    host.start(accelerator='gzip', stop_mode='keep')
    assert host.url == 'http://192.0.2.1' and host.public_ip == '192.0.2.1'
    told = host.info
    assert told['region'] == 'us-east-1' and told['key_pair'] == 'AccelizeAWSKeyPair'
    assert told['security_group'] == 'AccelizeSecurityGroup' and told['role'] == 'mine'
    assert 'hush' not in repr(told) + repr(host)
    host.stop()
    host.start(accel_parameters={'env': {'a': 1}})
    assert host.get_configuration_env(b=2) == {'a': 1, 'b': 2}


def test_a_host_that_cannot_be_made_says_so():
    with pytest.raises(HostConfigurationException, match='region'):
        AWSHost().start(accelerator='gzip', image_id='ami-1', instance_type='f2.6xlarge')
    with pytest.raises(HostConfigurationException, match='no host is named'):
        Host().start()


def test_clients_by_themselves(host):
    for client in (AcceleratorClient('sha3'), RESTClient('sha3', host_ip=host)):
        with client:
            with pytest.raises(ClientRuntimeException, match='not started'):
                client.process(b'abc')
            client.start()
            assert len(client.process(b'abc', type='sha3-256')['digest']) == 64
            assert repr(client) == str(client) and "accelerator='sha3'" in repr(client)
            with pytest.raises(TypeError, match='cannot be pickled'):
                pickle.dumps(client)
    client = RESTClient('sha3')
    for wrong in (None, ''):
        with pytest.raises(ClientConfigurationException):
            client.url = wrong
    with pytest.raises(ClientConfigurationException, match='no host is named'):
        client.start()
    client.url = host
    client.start()
    assert client.url == host
    client.stop()
    with pytest.raises(ClientConfigurationException, match='no accelerator'):
        RESTClient()


def test_a_host_that_does_not_answer(tmp_path):
    with pytest.raises(AcceleratorException) as raised:
        apyfal.Accelerator('sha3', host_ip='127.0.0.1:9').start()
    assert isinstance(raised.value, ConnectionError) and 'refused' in str(raised.value)


def test_subclasses_keep_what_users_change(host):
    class Mine(apyfal.Accelerator):
        def process(self, *args, **kwargs):
            return super().process(*args, type='sha3-256', **kwargs)
    with Mine('sha3', host_ip=host) as mine:
        mine.start()
        assert len(mine.process(b'abc')['digest']) == 64
        assert mine.host.host_ip == host and mine.client.url == host
        assert mine.public_ip == mine.host.public_ip == host
    with pytest.raises(TypeError, match='cannot be pickled'):
        pickle.dumps(mine)


def test_localhost_is_this_machine():
    accelerator = apyfal.Accelerator('sha3', host_type='localhost')
    assert accelerator.host is None
    assert list(apyfal.iter_accelerators()) == []


def test_the_section_of_a_type_of_host_names_its_address(host):
    config = apyfal.configuration.Configuration()
    config['host.AWS']['host_ip'] = host
    with apyfal.Accelerator('sha3', config=config, host_type='AWS') as accelerator:
        assert type(accelerator.client) is RESTClient and accelerator.public_ip == host
        accelerator.start()
        assert accelerator.client.url == host
        assert accelerator.process(b'abc', type='sha3-256')['digest']
    config['host']['host_type'] = 'AWS'
    with AcceleratorClient('sha3', client_type='SysCall', config=config) as client:
        client.start()
        assert client.url is None and client.process(b'abc', type='sha3-256')['digest']


@pytest.mark.parametrize('name, value', [
    ('accelerator', 3), ('host_type', 3), ('host_ip', 3.5), ('host_ip', []), ('accelize_client_id', 5),
    ('accelize_secret_id', []), ('stop_mode', object()), ('prefer_self_hosted', [1])])
def test_wrong_types_are_told_by_name(name, value):
    with pytest.raises(TypeError, match=f"'{name}' must be"):
        apyfal.Accelerator(**{'accelerator': 'sha3', name: value})
    if name in ('host_type', 'host_ip', 'stop_mode'):
        with pytest.raises(TypeError, match=f"'{name}' must be"):
            Host(**{name: value})
    elif name != 'prefer_self_hosted':
        with pytest.raises(TypeError, match=f"'{name}' must be"):
            AcceleratorClient(**{'accelerator': 'sha3', name: value})


@pytest.mark.parametrize('name, value', [
    ('region', ['a']), ('secret_id', b'hush'), ('client_id', True), ('key_pair', 1.5), ('instance_id', {}),
    ('idle_timeout', b'5'), ('init_script', 5), ('agent', []), ('ssl_cert_key', False), ('ssl_cert_crt', 5),
    ('init_config', 5), ('host_name_prefix', ['a']), ('spot_instance', 3.5), ('use_private_ip', [1]),
    ('delete_volumes_on_termination', -1), ('ssl_cert_generate', ()), ('boto3_client_kwargs', [1]),
    ('boto3_create_instances_kwargs', True), ('boto3_session_kwargs', 5), ('allowed_cidr', 5), ('s3_buckets', [5]),
    ('security_group_ids', {1}), ('spot_block_duration', [60])])
def test_wrong_types_of_settings_are_told_by_name(name, value):
    for make in (AWSHost, lambda **given: apyfal.Accelerator('gzip', host_type='AWS', **given)):
        with pytest.raises(TypeError, match=f"'{name}' must be") as raised:
            make(**{name: value})
        assert 'hush' not in str(raised.value)


def test_a_number_or_path_is_the_text_that_says_the_same():
    host = AWSHost(spot_instance='False', use_private_ip=1, boto3_client_kwargs="{'verify': False}", s3_buckets='all')
    section = host._config['host.AWS']
    assert [section.get_literal(key) for key in ('spot_instance', 'boto3_client_kwargs')] == [False, {'verify': False}]
    host = AWSHost(instance_id=1024, ssl_cert_crt=b'/a/crt', init_script=pathlib.Path('/a/script'))
    section = host._config['host.AWS']
    assert host.instance_id == '1024'
    assert (section['ssl_cert_crt'], section['init_script']) == ('/a/crt', '/a/script')


def test_wrong_types_of_other_calls():
    with pytest.raises(TypeError, match="'host_name_prefix' must be a str"):
        list(apyfal.iter_accelerators(host_name_prefix=5))
    with pytest.raises(TypeError, match="'host_ip' must be a str"):
        AWSHost(host_ip=5)
    with pytest.raises(TypeError, match="'ssl_cert_crt' must be a path or False"):
        AcceleratorClient('sha3', ssl_cert_crt=object())
    with pytest.raises(TypeError, match="'accel_parameters' must be a dictionary, not 'list'"):
        AWSHost().start(accel_parameters=['sha3'])
    with pytest.raises(TypeError, match="'full_stop' must be True or False"):
        AcceleratorClient('sha3').stop(full_stop='no')
    for call in (apyfal.Accelerator('sha3').start, apyfal.Accelerator('sha3').stop):
        with pytest.raises(TypeError, match="'stop_mode' must be"):
            call(stop_mode=object())
    with pytest.raises(TypeError, match="'host_type' must be a str"):
        list(apyfal.iter_accelerators(host_type=5))
    with pytest.raises(HostConfigurationException, match="'host_type' cannot be '[(]', which is no regular"):
        list(apyfal.iter_accelerators(host_type='('))


@pytest.mark.parametrize('value', ['hush\0', 'hush\ud800'])
@pytest.mark.parametrize('name', ['accelerator', 'host_type', 'host_ip', 'accelize_secret_id', 'region'])
def test_what_is_no_text_is_told_by_name(name, value):
    given = {'accelerator': 'sha3', **({'host_type': 'AWS'} if name == 'region' else {}), name: value}
    with pytest.raises(ValueError, match=f"'{name}' has") as raised:
        apyfal.Accelerator(**given)
    assert 'hush' not in str(raised.value)


def test_the_program_of_a_user_of_two_machines(host):
    with apyfal.Accelerator(accelerator='sha3', host_ip=host) as accel:
        accel.start(stop_mode='keep')
        host_ip = accel.host.host_ip
    with apyfal.Accelerator(accelerator='sha3', host_ip=host_ip) as accel:
        info = {}
        accel.start()
        accel.process(src=b'x', parameters={'app': {'specific': {'type': 'sha3-512'}}},
                      info_dict=info)
        assert info['app']['profiling']['wall-clock-time'] >= 0


def test_a_second_start_keeps_what_the_address_meant(host):
    with apyfal.Accelerator('sha3', host_ip=host + '/') as accelerator:
        accelerator.start()
        first = accelerator.client._core
        accelerator.start()
        assert accelerator.client._core is first
        assert accelerator.process(b'abc', type='sha3-256')['digest']


def test_sixteen_accelerators_at_once(host):
    import concurrent.futures

    def use(number):
        where = {'host_ip': host} if number % 2 else {}
        with warnings.catch_warnings():
            with apyfal.Accelerator('sha3', **where) as accelerator:
                accelerator.start()
                return accelerator.process(b'abc', type='sha3-256')['digest']
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(use, range(32)))) == 1
