"""Hosts and clients by themselves, and programs as users of the original wrote them."""
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
    with pytest.raises(HostConfigurationException, match="'AWS', 'OpenStack'"):
        Host(host_type='nosuch')
    with pytest.raises(ClientConfigurationException, match="'REST' and 'SysCall'"):
        AcceleratorClient('sha3', client_type='nosuch')


def test_what_no_host_takes_is_told():
    for make in (lambda: apyfal.Accelerator('sha3', hots_ip='192.0.2.1'),
                 lambda: Host(host_type='OpenStack', host_ip='192.0.2.1', hots_ip='x'),
                 lambda: AcceleratorPool('sha3', workers_count=1, hots_ip='x')):
        with pytest.warns(UserWarning, match="no host takes 'hots_ip', which is ignored: is 'host_ip' meant?"):
            make()
    # What hosts of another type take may stay in a program.
    apyfal.Accelerator('sha3', region='us-east-1', key_pair='pair', project_id='x', s3_buckets='all')
    Host(host_ip='192.0.2.1', spot_instance=True, ssl_cert_crt=False)


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
    ('accelerator', 3), ('host_type', 3), ('host_ip', 3.5)])
def test_wrong_types_are_told_by_name(name, value):
    with pytest.raises((TypeError, AcceleratorException), match=name):
        apyfal.Accelerator(**{'accelerator': 'sha3', name: value})


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
