"""Hosts that are made: started, used, given back. Those of type sim are processes of this machine."""
import asyncio
import datetime
import enum
import logging
import os
import signal
import subprocess

import pytest

import apyfal
from apyfal import aio
from apyfal.client import AcceleratorClient
from apyfal.exceptions import (
    ClientConfigurationException, ClientRuntimeException, HostAuthenticationException,
    HostConfigurationException, HostException, HostRuntimeException)
from apyfal.host import Host
from apyfal.host.aws import AWSHost
from apyfal.host.sim import SimHost


def apyfal_command(*arguments):
    ended = subprocess.run(['apyfal', *arguments], capture_output=True, text=True, check=True)
    return ended.stdout


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user of its own, whose hosts end with the test."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    yield tmp_path
    apyfal_command('stop', '--all')


def running():
    """The ids of the machines that run."""
    return sorted(accelerator.host.instance_id for accelerator in apyfal.iter_accelerators())


@pytest.fixture
def told(caplog):
    """What the logger was told."""
    caplog.set_level(logging.INFO, 'apyfal')
    return lambda: [record.getMessage() for record in caplog.records]


def test_one_is_made_used_and_given_back(told):
    with apyfal.Accelerator('sha3', host_type='sim') as sha3:
        assert type(sha3.host) is SimHost and sha3.host.url is None
        assert running() == []
        sha3.start()
        assert len(sha3.process(b'abc', type='sha3-256')['digest']) == 64
        host = sha3.host
        assert running() == [host.instance_id]
        assert host.url == sha3.client.url and host.url.startswith('https://127.')
        assert sha3.public_ip == host.public_ip in host.url
        assert host.host_name.startswith('accelize_sha3_')
        assert host.info['host_type'] == 'sim' and host.info['instance_id'] == host.instance_id
        sha3.start()
        assert running() == [host.instance_id], 'a second start uses it'
        assert host.url in repr(sha3)
    assert running() == []
    assert told()[:6] == [
        'Configuring host on sim instance...', 'Waiting instance provisioning...',
        'Waiting instance boot...', 'Host ready', 'Configuring accelerator...',
        'Accelerator ready']
    assert told()[6:] == ['Configuring accelerator...', 'Accelerator ready']


def test_the_configuration_says_it_too():
    config = apyfal.configuration.Configuration()
    config['host']['host_type'] = 'sim'
    config['host']['host_name_prefix'] = 'mine'
    with apyfal.Accelerator('sha3', config=config) as sha3:
        sha3.start()
        assert sha3.host.host_name.startswith('mine_accelize_sha3_')
        assert [found.host.host_name for found in apyfal.iter_accelerators(config)] == [
            sha3.host.host_name]
        assert list(apyfal.iter_accelerators(config, host_name_prefix='other')) == []
    with AcceleratorClient('sha3', client_type='REST', config=config) as client:
        client.start()
        assert client.process(b'abc', type='sha3-256')['digest'] and client.url
    assert running() == []


@pytest.mark.parametrize('say', ['argument', 'start', 'attribute', 'stop'])
def test_one_that_is_kept_is_used_again(say, told):
    how = {'stop_mode': 'keep'}
    sha3 = apyfal.Accelerator('sha3', host_type='sim', **(how if say == 'argument' else {}))
    sha3.start(**(how if say == 'start' else {}))
    if say == 'attribute':
        sha3.host.stop_mode = 2
    sha3.stop(**(how if say == 'stop' else {}))
    kept, address = sha3.host.instance_id, sha3.host.host_ip
    assert running() == [kept]
    assert told()[-1] == f"Instance '{kept}' is still running"
    # Without control over it, with it, and by who asks for the same.
    with apyfal.Accelerator('sha3', host_ip=address) as sha3:
        sha3.start()
        assert sha3.process(b'abc', type='sha3-256')['digest']
    with apyfal.Accelerator('sha3', host_type='sim', instance_id=kept) as sha3:
        assert sha3.host.stop_mode == 'keep'
        sha3.start()
        assert sha3.host.instance_id == kept
        assert sha3.process(b'abc', type='sha3-256')['digest']
    assert running() == [kept]
    with apyfal.Accelerator('sha3', host_type='sim') as sha3:
        sha3.start()
        assert sha3.host.instance_id == kept
    assert running() == []


def test_one_that_is_stopped_starts_again():
    with apyfal.Accelerator('sha3', host_type='sim', stop_mode='stop') as sha3:
        sha3.start()
        stopped, name = sha3.host.instance_id, sha3.host.host_name
    assert running() == [] and name in apyfal_command('list')
    with apyfal.Accelerator('sha3', host_type='sim', instance_id=stopped) as sha3:
        sha3.start(stop_mode='term')
        assert sha3.process(b'abc', type='sha3-256')['digest']
    assert name not in apyfal_command('list')


def test_what_runs_is_found_and_ended():
    first = apyfal.Accelerator('sha3', host_type='sim')
    first.start(stop_mode='keep')
    first.stop()
    with apyfal.Accelerator('gzip', host_type='sim') as second:
        second.start()
        both = sorted((first.host.instance_id, second.host.instance_id))
        assert running() == both
        [found] = apyfal.iter_accelerators(host_type='si.', accelerator='sh')
        assert found.host.stop_mode == 'keep' and found.host.url == first.host.url
        assert found.public_ip == first.host.public_ip and found.client.url == first.host.url
        assert list(apyfal.iter_accelerators(instance_id='nosuch')) == []
        with pytest.raises(HostConfigurationException, match="cannot be chosen by 'colour'"):
            list(apyfal.iter_accelerators(colour='red'))
        assert [known['instance_id'] for known in SimHost().iter_hosts()] == [
            first.host.instance_id, second.host.instance_id]
        with pytest.raises(HostAuthenticationException, match='no credentials'):
            list(AWSHost(region='us-east-1').iter_hosts())
        found.stop('term')
        assert running() == [second.host.instance_id]
        [used] = apyfal.iter_accelerators()
        with pytest.raises(HostRuntimeException, match='a process uses'):
            used.stop('term')
    assert running() == []


def test_an_instance_that_nobody_made_here():
    with pytest.raises(HostConfigurationException, match='there is none in sim') as raised:
        apyfal.Accelerator('sha3', host_type='sim', instance_id='sim-1').start()
    assert any('host_type and region' in hint for hint in raised.value.hints)


def test_a_wrong_parameter_makes_no_host():
    with apyfal.Accelerator('gzip', host_type='sim') as gzip:
        with pytest.raises(ClientConfigurationException, match='nosuch'):
            gzip.start(nosuch=1)
    assert not os.path.exists('.apyfal/hosts/ledger.db')


def test_an_error_in_the_block_ends_it():
    with pytest.raises(ZeroDivisionError):
        with apyfal.Accelerator('sha3', host_type='sim') as sha3:
            sha3.start()
            1 / 0
    assert running() == []


def test_what_fails_on_it_is_no_exception_of_the_host():
    with apyfal.Accelerator('sha3', host_type='sim') as sha3:
        with pytest.raises(ClientRuntimeException, match='not started'):
            sha3.process(b'abc', type='sha3-256')
        sha3.start()
        with pytest.raises(ClientConfigurationException):
            sha3.process(b'abc', nosuch=1)


def test_what_a_host_takes_of_requirements():
    with pytest.warns(UserWarning, match="'imgae' of 'accel_parameters' is ignored") as told:
        AWSHost(region='here')._need({
            'accelerator': 'sha3', 'env': {}, 'imgae': 'x', 'here': {}, 'elsewhere': {'imgae': 'y'}})
    assert len(told) == 1
    needs = {'accelerator': 'sha3', 'us-east-1': {'image': 'ami-1'}, 'eu-west-1': {'image': 'ami-2'}}
    with pytest.raises(HostConfigurationException, match="are by region, and none is named: region='eu-west-1'"):
        AWSHost().start(accel_parameters=needs)
    with pytest.raises(HostConfigurationException, match="region 'mars': there is eu-west-1, us-east-1"):
        AWSHost(region='mars').start(accel_parameters=needs)
    host = AWSHost(region='mars')
    host._need({**needs, '*': {'image': 'ami-3'}})
    assert host.image_id == 'ami-3'


def test_a_host_by_itself(told):
    for make in (SimHost, lambda: Host(host_type='sim')):
        with pytest.raises(ClientConfigurationException, match=r'no accelerator is named: SimHost\(\).start\('):
            make().start()
    host = Host(host_type='sim')
    host.start(accelerator='sha3', stop_mode='term')
    assert running() == [host.instance_id] and host.info['url'] == host.url
    assert told()[-1] == 'Host ready'
    host.start(accelerator='sha3')
    with apyfal.Accelerator('sha3', host_ip=host.url) as sha3:
        sha3.start()
        assert sha3.process(b'abc', type='sha3-256')['digest']
    host.stop()
    assert running() == []
    for needs in ({'accelerator': 'sha3'}, {'accel_parameters': {'accelerator': 'sha3'}}):
        with SimHost() as host:
            host.start(**needs)
            assert running() and '_sha3_' in host.host_name
        assert running() == []


def test_a_host_is_started_again_for_another_accelerator():
    host = SimHost()
    host.start('sha3')
    first = host.instance_id
    # It is there.
    host.start('gzip')
    assert running() == [first] and '_sha3_' in host.host_name
    host.stop()
    host.start('gzip')
    assert running() == [host.instance_id] != [first] and '_gzip_' in host.host_name
    host.stop()
    assert running() == []


def test_a_host_that_nobody_stops():
    host = SimHost()
    host.start('sha3')
    assert running()
    del host
    assert running() == []


def test_a_pool_makes_one_each():
    with apyfal.AcceleratorPoolExecutor('sha3', host_type='sim', workers_count=2) as pool:
        pool.start()
        assert running() == sorted(host.instance_id for host in pool.hosts)
        digests = {result['digest']
                   for result in pool.process_map([b'abc'] * 4, type='sha3-256')}
        assert len(digests) == 1 and len(set(running())) == 2
    assert running() == []


def test_asyncio():
    async def use():
        async with aio.Accelerator('sha3', host_type='sim') as sha3:
            await sha3.start()
            assert running() == [sha3.host.instance_id]
            assert (await sha3.process(b'abc', type='sha3-256'))['digest']
    asyncio.run(use())
    assert running() == []


@pytest.mark.parametrize('how', ['del sha3', 'sys.exit(0)', 'pass'])
def test_who_is_not_stopped_gives_it_back_with_the_program(program, how):
    program(f'''
    import apyfal, sys
    sha3 = apyfal.Accelerator('sha3', host_type='sim')
    sha3.start()
    {how}
    ''')
    assert running() == []


@pytest.mark.parametrize('how', ['fork', 'forkserver'])
def test_a_child_of_multiprocessing_gives_it_back(program, how):
    program(f'''
    import apyfal, multiprocessing
    def work():
        global sha3
        sha3 = apyfal.Accelerator('sha3', host_type='sim')
        sha3.start()
    if __name__ == '__main__':
        child = multiprocessing.get_context('{how}').Process(target=work)
        child.start()
        child.join()
        assert child.exitcode == 0
    ''', flags=())
    assert running() == []


def test_other_threads_go_on_while_one_that_was_dropped_ends(program):
    program('''
    import apyfal, fcntl, pathlib, signal, sys, threading
    sha3 = apyfal.Accelerator('sha3', host_type='sim')
    sha3.start()
    # Whoever ends it waits for this one.
    lock = open(pathlib.Path.home() / '.apyfal/sim/lock')
    fcntl.flock(lock, fcntl.LOCK_EX)
    begun = threading.Event()
    def other():
        begun.wait()
        lock.close()
    thread = threading.Thread(target=other)
    thread.start()
    # A process whose threads wait for each other has no other end. None gives way by itself.
    signal.alarm(40)
    sys.setswitchinterval(1000)
    sha3._ending.disarm()
    begun.set()
    sha3.client._core = None
    thread.join()
    ''', flags=())
    assert running() == []


@pytest.mark.parametrize('number, status', [(signal.SIGINT, -2), (signal.SIGTERM, 143)])
def test_signals_give_it_back(program, number, status):
    ended = program('''
    import apyfal
    class Endless:
        def read(self, size):
            print('ready', flush=True)
            Endless.read = lambda self, size: bytes(size)
            return bytes(size)
    with apyfal.Accelerator('sha3', host_type='sim') as sha3:
        sha3.start()
        sha3.process(Endless(), type='sha3-256')
    ''', signal=number, check=False)
    assert ended.returncode == status, ended.stderr
    assert running() == []


def test_ctrl_c_while_it_is_made_leaves_nothing(program):
    ended = program('''
    import apyfal, logging
    class Ready(logging.Handler):
        def emit(self, record):
            if 'provisioning' in record.getMessage():
                print('ready', flush=True)
    apyfal.get_logger(True).addHandler(Ready())
    with apyfal.Accelerator('sha3', host_type='sim') as sha3:
        sha3.start()
        while True:
            pass
    ''', signal=signal.SIGINT, check=False)
    assert ended.returncode == -2, ended.stderr
    assert 'accelize_sha3' not in apyfal_command('list')


def test_a_second_ctrl_c_leaves_it_to_its_lease(told):
    sha3 = apyfal.Accelerator('sha3', host_type='sim')
    sha3.start()

    def interrupted(*_):
        raise KeyboardInterrupt
    stop, sha3.client.stop = sha3.client.stop, interrupted
    with pytest.raises(KeyboardInterrupt):
        sha3.stop()
    assert 'apyfal stop --all' in told()[-1] and sha3.host.host_name in told()[-1]
    assert running() == [sha3.host.instance_id]
    sha3.client.stop = stop
    sha3.stop()
    assert running() == []


def test_a_process_that_is_forked_leaves_its_parents(program):
    program('''
    import apyfal, os, warnings
    warnings.simplefilter('ignore')
    with apyfal.Accelerator('sha3', host_type='sim') as sha3:
        sha3.start()
        child = os.fork()
        if not child:
            raise SystemExit(0)
        os.waitpid(child, 0)
        assert sha3.process(b'abc', type='sha3-256')['digest']
    ''')
    assert running() == []


def written(host):
    """What the library reads of a host."""
    section = host._wanted()['host.AWS']
    return {key: section.get_literal(key) for key in section}


def test_what_is_said_of_a_host_on_aws():
    host = AWSHost(
        region='us-east-1', instance_type='c7i.large', image_id='ami-1', key_pair='mine',
        security_group='group', role='role', policy='policy', stop_mode='stop', spot_instance=False,
        allowed_cidr=['192.0.2.0/24', '198.51.100.7/32'], subnet_id='subnet-1',
        client_id='0123', secret_id='hush', use_private_ip=True,
        boto3_session_kwargs={'profile_name': 'x'})
    said = written(host)
    assert said['client_id'] == '0123'
    assert said['spot_instance'] is False and said['use_private_ip'] is True
    assert said['allowed_cidr'] == ['192.0.2.0/24', '198.51.100.7/32']
    assert said['boto3_session_kwargs'] == {'profile_name': 'x'}
    for key in ('region', 'instance_type', 'image_id', 'key_pair', 'security_group', 'role',
                'policy', 'subnet_id'):
        assert said[key] == host._config['host.AWS'][key]
    assert (host.key_pair, host.role, host.region) == ('mine', 'role', 'us-east-1')
    assert host.stop_mode == 'stop' and 'hush' not in repr(host) + repr(host.info)
    with pytest.raises(TypeError, match="take no 'regoin'"):
        AWSHost(regoin='us-east-1')


def test_a_configuration_and_an_object_mean_the_same(tmp_path):
    valid = datetime.datetime(2030, 1, 31, 12, tzinfo=datetime.timezone.utc)
    host = AWSHost(boto3_create_instances_kwargs={
        'UserData': b'#!/bin/sh\n', 'EbsOptimized': True, 'SecurityGroupIds': ('sg-1',),
        'InstanceMarketOptions': {'SpotOptions': {'ValidUntil': valid}}})
    said = written(host)['boto3_create_instances_kwargs']
    assert said == {
        'UserData': b'#!/bin/sh\n', 'EbsOptimized': True, 'SecurityGroupIds': ['sg-1'],
        'InstanceMarketOptions': {'SpotOptions': {'ValidUntil': '2030-01-31T12:00:00+00:00'}}}
    path = tmp_path / 'accelerator.conf'
    host._config.write(str(path))
    again = apyfal.configuration.Configuration(str(path))
    assert again['host.AWS'].get_literal('boto3_create_instances_kwargs') == said
    # The library takes all of it: it misses no more than the region.
    with pytest.raises(HostConfigurationException, match='region'):
        apyfal.Accelerator('gzip', config=again, host_type='AWS').start()


def test_botocores_own_configuration_is_carried_over():
    config = pytest.importorskip('botocore.config')
    host = AWSHost(boto3_client_kwargs={
        'config': config.Config(connect_timeout=7, retries={'max_attempts': 3})})
    assert written(host)['boto3_client_kwargs'] == {
        'config': {'connect_timeout': 7, 'retries': {'max_attempts': 3}}}

    class Own(config.Config):
        pass
    assert written(AWSHost(boto3_client_kwargs={'config': Own(connect_timeout=7)}))['boto3_client_kwargs'] == {
        'config': {'connect_timeout': 7}}


def test_what_is_a_text_or_number_of_a_class_of_its_own_is_carried_over():
    class Text(str, enum.Enum):
        NAME = 'sg-1'

    class Number(enum.IntEnum):
        ONE = 1

    class Double(float):
        def __repr__(self):
            return f'np.float64({float(self)})'
    said = {'a': [Text.NAME, Number.ONE, Double(2.5), True], Text.NAME: 'x'}
    carried = written(AWSHost(boto3_create_instances_kwargs=said, region=Text.NAME))
    assert carried['boto3_create_instances_kwargs'] == said and carried['region'] == 'sg-1'
    assert type(carried['boto3_create_instances_kwargs']['a'][0]) is str


@pytest.mark.parametrize('value', [float('inf'), float('-inf'), float('nan')])
def test_numbers_that_are_none_are_refused_by_name(value):
    with pytest.raises(ValueError, match=rf"'boto3_client_kwargs\['a'\]\[1\]' cannot be {value}"):
        AWSHost(boto3_client_kwargs={'a': [1, value]})


@pytest.mark.parametrize('value, name', [
    ({'a': [object()]}, r"boto3_client_kwargs\['a'\]\[0\]"), ({3: 'x'}, 'boto3_client_kwargs'),
    (object(), "'boto3_client_kwargs'")])
def test_what_cannot_be_carried_over_is_refused_by_name(value, name):
    with pytest.raises(TypeError, match=name):
        AWSHost(boto3_client_kwargs=value)
    itself = {}
    itself['a'] = itself
    with pytest.raises(ValueError, match='holds itself'):
        AWSHost(boto3_client_kwargs=itself)


@pytest.mark.parametrize('said, message', [
    ({}, 'region'),
    ({'region': 'us-east-1', 'boto3_client_kwargs': {'colour': 1}}, "'colour' is not known"),
    ({'region': 'us-east-1', 'boto3_create_instances_kwargs': {'EbsOptimised': True}},
     'EbsOptimized'),
    ({'region': 'us-east-1', 'boto3_create_instances_kwargs': {'MaxCount': 2}}, 'MaxCount')])
def test_what_is_wrong_is_said_before_anything_is_asked_for(said, message, monkeypatch):
    for name in ('AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE'):
        monkeypatch.delenv(name, raising=False)
    accelerator = apyfal.Accelerator('gzip', host_type='AWS', **said)
    with pytest.raises(HostConfigurationException) as raised:
        accelerator.start()
    assert message in str(raised.value) + ' '.join(raised.value.hints)
    accelerator.stop()


def test_the_class_says_how_spot_instances_are_asked_for(monkeypatch):
    options = {'InstanceMarketOptions': {
        'MarketType': 'spot', 'SpotOptions': {'MaxPrice': '0.5', 'SpotInstanceType': 'one-time'}}}
    monkeypatch.setattr(AWSHost, 'SPOT_INSTANCE_MARKET_OPTIONS', options)
    key = 'boto3_create_instances_kwargs'
    host = AWSHost(region='us-east-1', **{key: {
        'InstanceMarketOptions': {'SpotOptions': {'MaxPrice': '0.7'}}}})
    spot = written(host)[key]['InstanceMarketOptions']
    assert spot == {'MarketType': 'spot',
                    'SpotOptions': {'MaxPrice': '0.7', 'SpotInstanceType': 'one-time'}}
    host = AWSHost(region='us-east-1', spot_instance=False)
    assert key not in written(host)


def test_the_class_says_what_a_host_may_do_and_who_reaches_it(monkeypatch):
    settings = ('policy_document', 'assume_role_policy_document', 'allow_ports')
    host = AWSHost(region='us-east-1')
    assert not any(name in written(host) for name in settings)
    policy = {'Version': '2012-10-17', 'Statement': [
        {'Effect': 'Allow', 'Action': 'sqs:*', 'Resource': '*'}]}
    monkeypatch.setattr(AWSHost, 'POLICY_DOCUMENT', policy)
    # As programs change it that go by what the class has.
    monkeypatch.setitem(
        AWSHost.ASSUME_ROLE_POLICY_DOCUMENT['Statement'], 'Principal', {'AWS': '123456789012'})
    monkeypatch.setattr(AWSHost, 'ALLOW_PORTS', {443, 22, 8080})
    said = [written(host)[name] for name in settings]
    assert said == [policy, AWSHost.ASSUME_ROLE_POLICY_DOCUMENT, [22, 443, 8080]]


def test_what_is_changed_later_is_what_a_host_is_made_of(monkeypatch):
    for name in ('AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE'):
        monkeypatch.delenv(name, raising=False)
    accelerator = apyfal.Accelerator('gzip', host_type='AWS')
    with pytest.raises(HostConfigurationException, match='region'):
        accelerator.start()
    # Of the object, after a start, and once more.
    for ports, message in (({22}, 'clients reach hosts at 443'), ({443, 0}, 'allow_ports'),
                           ({22, 443}, 'region')):
        monkeypatch.setattr(accelerator.host, 'ALLOW_PORTS', ports, raising=False)
        with pytest.raises(HostConfigurationException, match=message):
            accelerator.start()
    for price in ('0.5', '0.7'):
        options = {'InstanceMarketOptions': {'SpotOptions': {'MaxPrice': price}}}
        monkeypatch.setattr(AWSHost, 'SPOT_INSTANCE_MARKET_OPTIONS', options)
        assert written(accelerator.host)['boto3_create_instances_kwargs'] == options
    monkeypatch.undo()
    assert 'boto3_create_instances_kwargs' not in written(accelerator.host)


@pytest.mark.parametrize('name, value, message', [
    ('POLICY_DOCUMENT', {'Version': '2012-10-17'}, 'no document of IAM'),
    ('ALLOW_PORTS', {22}, 'clients reach hosts at 443')])
def test_what_of_the_class_cannot_be_is_refused(name, value, message, monkeypatch):
    monkeypatch.setattr(AWSHost, name, value)
    with pytest.raises(HostConfigurationException, match=message):
        AWSHost(region='us-east-1').start('gzip')
    with pytest.raises(HostConfigurationException, match=message):
        apyfal.Accelerator('gzip', host_type='AWS', region='us-east-1').start()
    monkeypatch.undo()
    host = AWSHost(region='us-east-1')
    monkeypatch.setattr(host, name, value, raising=False)
    with pytest.raises(HostConfigurationException, match=message):
        host.start('gzip')


def test_a_time_that_is_none_is_told_by_name():
    class Mine(SimHost):
        TIMEOUT = 'soon'
    with pytest.raises(TypeError, match="'TIMEOUT' must be a number of seconds, not 'str'"):
        Mine().start(accelerator='sha3')


def test_what_an_accelerator_needs_may_be_said(monkeypatch):
    host = AWSHost(region='eu-west-1')
    host._need({'accelerator': 'x', 'fpgaimage': 'None',
                'eu-west-1': {'image': 'ami-7', 'instancetype': 'c7i.large'}})
    assert host.instance_type == 'c7i.large' and written(host)['image_id'] == 'ami-7'
    with pytest.raises(HostConfigurationException, match='fpgaimage'):
        host._need({'fpgaimage': 'agfi-1'})


def test_a_provider_that_cannot_be_reached_is_a_hosts_exception(monkeypatch):
    monkeypatch.setenv('AWS_ENDPOINT_URL', 'http://127.0.0.1:9')
    monkeypatch.setenv('AWS_MAX_ATTEMPTS', '1')
    host = {'host_type': 'AWS', 'region': 'us-east-1', 'client_id': 'a', 'secret_id': 'b'}
    with apyfal.Accelerator('sha3', **host, allowed_cidr='192.0.2.1/32') as sha3:
        with pytest.raises(HostException) as raised:
            sha3.start()
    assert not isinstance(raised.value, HostAuthenticationException)
    assert running() == []
