"""Configurations, and what the catalog says."""
import errno
import io
import os
import pathlib
import pickle
import warnings

import pytest

import apyfal
from apyfal.configuration import Configuration, create_configuration
from apyfal.exceptions import (
    ClientAuthenticationException, ClientConfigurationException, HostException)

FILE = '''\
[accelize]
client_id = me
secret_id = hush
[host]
host_type = AWS
region = us-east-1
key_pair =
[host.AWS]
spot_instance = False
role = is %(spot_instance)s
[security]
authorized_host_dirs =
    /one

    /two
'''


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'given.conf'
    path.write_text(FILE)
    return Configuration(path)


def test_what_is_read(config):
    assert config['host']['region'] == 'us-east-1'
    assert config['host']['missing'] is None and config['nowhere']['missing'] is None
    assert config['host']['key_pair'] is None and 'key_pair' not in config['host']
    assert config['host.AWS']['region'] == 'us-east-1', 'inherited'
    assert config['host.AWS'].get_literal('spot_instance') is False
    assert config['host.AWS'].get_literal('missing') is None
    assert config['host.AWS']['role'] == 'is False'
    assert config['security'].get_list('authorized_host_dirs') == ['/one', '/two']
    assert config['host'].get_list('missing') == []
    assert 'host' in config and 'nobody' not in config
    assert {'accelize', 'host', 'host.AWS', 'security'} <= set(config) and len(config) >= 4
    assert dict(config['host']) == {'host_type': 'AWS', 'region': 'us-east-1'}


def test_what_is_set(config):
    section = config['host']
    section['region'] = None
    assert section['region'] == 'us-east-1', 'none does nothing'
    section['region'] = 'eu-west-1'
    assert section['region'] == 'eu-west-1' == config['host.AWS']['region']
    assert section.set('key', 'a') == 'a' and section.set('key') == 'a'
    del section['key']
    assert section['key'] is None
    with pytest.raises(KeyError):
        del section['key']
    section['CamelCase'] = 'x'
    assert section['CamelCase'] == 'x' and section['camelcase'] is None
    config['new.one']['key'] = '100%'
    assert config['new.one']['key'] == '100%' and 'new.one' in config


@pytest.mark.parametrize('value', [
    True, 3, 1 << 100, 2.5, 1 + 2j, b'\0\xff', (1, 'two'), {1, 2}, [None],
    {'a': (1, {2}), 'b': b'x'}, {}, 'text', "'quoted'", '1,2', 'two\nlines'])
def test_values_are_pythons_own(config, value):
    section = config['configuration']
    section['key'] = value
    assert section['key'] == value and type(section['key']) is type(value)
    if not isinstance(value, str):
        assert section.get_literal('key') == value
    text = io.StringIO()
    config.write(text)
    again = Configuration(io.StringIO(text.getvalue()))
    if not isinstance(value, str):
        assert again['configuration'].get_literal('key') == value
    else:
        assert again['configuration']['key'] == value


def test_what_cannot_be_carried_over_is_refused_by_name(config):
    with pytest.raises(TypeError, match="'key' cannot be a 'object'"):
        config['host']['key'] = object()
    with pytest.raises(TypeError, match="'key' cannot be a 'list'"):
        config['host']['key'] = [object()]
    with pytest.raises(ValueError, match="'key' cannot be written"):
        config['host']['key'] = 10 ** 5000
    with pytest.raises(TypeError, match='name of a section'):
        config[3]
    with pytest.raises(TypeError, match="'config' must be a path.*not 'int'"):
        create_configuration(5)
    with pytest.raises(TypeError, match="'configuration_file' must be a path.*not 'int'"):
        Configuration(5)

    class Reads:
        def read(self):
            return 5
    with pytest.raises(TypeError, match="'configuration_file' must be a file object.*gives 'int'"):
        Configuration(Reads())
    for path in ('a\ud800', 'a\0b', b'\xff'):
        with pytest.raises(ClientConfigurationException, match="'configuration_file' has"):
            Configuration(path)
    with pytest.raises(TypeError, match="'fileobject' must be a path or a file object.*not 'NoneType'"):
        config.write(None)
    for name, given in (('host_type', (5, 'gzip')), ('accelerator', ('AWS', 5))):
        with pytest.raises(TypeError, match=f"'{name}' must be a str, not 'int'"):
            config.get_host_requirements(*given)


def test_other_threads_use_it_while_its_exceptions_are_made(program):
    told = program('''
    import io, signal, threading
    from apyfal import configuration, exceptions
    # A process whose threads wait for each other has no other end.
    signal.alarm(30)
    config = configuration.Configuration(io.StringIO(''))
    config['host']['x'] = 'a\\r\\nb'
    made = exceptions.from_core
    def slowly(*said):
        thread = threading.Thread(target=lambda: print(config['host']['region']))
        thread.start()
        thread.join()
        return made(*said)
    exceptions.from_core = slowly
    try:
        config.write(io.StringIO())
    except exceptions.AcceleratorException:
        print('raised')
    ''', flags=())
    assert told.stdout == 'None\nraised\n'


def test_a_text_goes_before_a_value_that_is_written_alike(config):
    section = config['host']
    section['key'] = 1
    section['key'] = '1'
    assert section['key'] == '1' and type(section['key']) is str


def test_legacy_names(tmp_path):
    path = tmp_path / 'old.conf'
    path.write_text('[csp]\nprovider = AWS\nssh_key = pair\ninstance_ip = 192.0.2.1\n'
                    '[host]\nkey_pair = new\n')
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        config = Configuration(path)
    assert 'csp' in str(told[0].message) + str(told[1].message)
    assert {warning.category for warning in told} >= {DeprecationWarning}
    section = config['host']
    assert (section['host_type'], section['key_pair'], section['host_ip']) == (
        'AWS', 'new', '192.0.2.1')


def test_odd_keys_are_told(tmp_path):
    with pytest.warns(UserWarning, match="given, line 2: unknown key 'regoin' in .host."):
        (tmp_path / 'given').write_text('[host]\nregoin = x\n')
        assert Configuration('given')['host']['regoin'] == 'x'


def test_where_it_is_found(tmp_path, monkeypatch):
    monkeypatch.delenv('APYFAL_CONFIG_FILE', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    (tmp_path / 'home').mkdir()
    region = lambda: Configuration()['host']['region']
    assert region() is None
    for path, name in ((tmp_path / 'home/accelerator.conf', 'at-home'),
                       (tmp_path / 'accelerator.conf', 'here'), (tmp_path / 'other', 'named')):
        path.write_text(f'[host]\nregion = {name}\n')
        if name == 'named':
            monkeypatch.setenv('APYFAL_CONFIG_FILE', str(path))
        assert region() == name
    monkeypatch.setenv('APYFAL__HOST__REGION', 'variable')
    assert region() == 'variable'
    assert create_configuration(str(tmp_path / 'other'))['host']['region'] == 'variable'
    with pytest.raises(ClientConfigurationException, match='missing') as raised:
        Configuration('missing')
    assert isinstance(raised.value, FileNotFoundError)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, 'missing')
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), again.errno, again.filename) == (type(raised.value), errno.ENOENT, 'missing')
    (tmp_path / 'wrong').write_text('[host\n')
    with pytest.raises(ClientConfigurationException, match='line 1'):
        Configuration(tmp_path / 'wrong')


def test_copies_and_pickles(config):
    config['host']['kwargs'] = {'a': b'b'}
    assert create_configuration(config) is config
    for other in (config.copy(), pickle.loads(pickle.dumps(config))):
        assert other['host']['kwargs'] == {'a': b'b'}
        other['host']['region'] = 'elsewhere'
        assert config['host']['region'] == 'us-east-1'


class Own(Configuration):
    def __init__(self, configuration_file, mark):
        super().__init__(configuration_file)
        self.mark = mark


def test_copies_of_a_subclass_have_what_it_keeps():
    config = Own(io.StringIO(FILE), ['mine'])
    config._sections['new'] = {'key': 'x'}
    del config._sections['security']
    del config._sections['new']
    assert set(config) == set(config.copy()) == set(pickle.loads(pickle.dumps(config))) == {'accelize', 'host', 'host.AWS'}
    for other in (config.copy(), pickle.loads(pickle.dumps(config))):
        assert type(other) is Own and other.mark == ['mine']
        other['later']['key'] = 'x'
        assert 'later' not in config


def test_secrets_are_not_shown(config):
    config['accelize']['secret_id'] = 'hush'
    for shown in (repr(config), repr(config['accelize']), str(config['accelize'])):
        assert 'hush' not in shown
    assert 'client_id' in repr(config['accelize']) and 'accelize' in repr(config)


def test_an_accelerator_does_not_change_it(config):
    del config['host']['host_type']
    before = io.StringIO()
    config.write(before)
    accelerator = apyfal.Accelerator(
        'sha3', config=config, host_ip='192.0.2.1', stop_mode='keep',
        accelize_client_id='other', prefer_self_hosted=False)
    assert accelerator.client.url == 'http://192.0.2.1' == accelerator.host.url
    after = io.StringIO()
    config.write(after)
    assert before.getvalue() == after.getvalue()


def test_what_accelerators_need(tmp_path):
    config = Configuration()
    needs = config.get_host_requirements(host_type='AWS', accelerator='gzip')
    assert needs['accelerator'] == 'gzip'
    assert needs['us-east-1']['image'] and needs['eu-west-1'] == needs['us-east-1']
    assert 'AWS' in config.get_host_configurations()
    with pytest.raises(ClientConfigurationException, match='nosuch'):
        config.get_host_requirements('AWS', 'nosuch')
    with pytest.raises(ClientConfigurationException, match='nowhere'):
        config.get_host_requirements('nowhere', 'gzip')
    (tmp_path / 'catalog.toml').write_text(
        '[accelerator.mine.AWS.here]\nimage = "ami-1"\nextra = "x"\n')
    needs = config.get_host_requirements('AWS', 'mine')
    assert needs == {'accelerator': 'mine', 'here': {'image': 'ami-1', 'extra': 'x'}}
    with pytest.raises(ClientConfigurationException, match="'mine' is not offered in 'there'"):
        needs['there']
    assert 'there' not in needs and needs.get('there') is None and needs.get('there', 1) == 1
    assert 'here' in needs and needs.get('here') == needs['here']
    (tmp_path / 'catalog.toml').write_text('[accelerator.mine.AWS."*"]\nimage = "ami-2"\n')
    needs = config.get_host_requirements('AWS', 'mine')
    for same in (needs, needs.copy(), needs | {'more': 1}, {'more': 1} | needs):
        assert 'there' in same and same.get('there') == same['there'] == {'image': 'ami-2'}
        assert None not in same and 5 not in same


def test_a_token_needs_an_account():
    config = Configuration()
    with pytest.raises(ClientAuthenticationException, match='client_id'):
        config.access_token
    config['accelize'].update(client_id='me', secret_id='hush')
    with pytest.raises(ClientAuthenticationException, match='server') as raised:
        config.access_token
    assert 'hush' not in str(raised.value)
    config['accelize']['server'] = 'http://127.0.0.1:9'
    with pytest.raises(ConnectionError, match='refused'):
        config.access_token


def test_a_configuration_is_written_to_a_file_that_others_cannot_read(config):
    config.write('written.conf')
    path = pathlib.Path('written.conf')
    assert path.stat().st_mode & 0o777 == 0o600
    assert Configuration('written.conf')['accelize']['secret_id'] == 'hush'
    # Neither where they could read what was there, which was longer.
    path.write_text('#' * 10_000)
    path.chmod(0o644)
    config.write(path)
    assert path.stat().st_mode & 0o777 == 0o600 and '##' not in path.read_text()
    assert Configuration(path)['accelize']['secret_id'] == 'hush'
    config.write(os.devnull)


def test_what_is_shown_has_no_secrets():
    config = Configuration()
    config['host']['boto3_session_kwargs'] = {'aws_secret_access_key': 'hush', 'names': [{'token': 'hush'}]}
    config['host']['written'] = "{'client_secret': 'hush', 'a': 1}"
    config['host']['url'] = 'https://me:hush@192.0.2.1/path@b'
    config['host']['kind'] = '1'
    config['host']['json'] = '{"is_on": false, "token": "hush", "in": [{"password": "hush"}]}'
    config['host']['neither'] = ' {token: "hush"}'
    config['host']['list'] = '["a", "token=hush"'
    config['host']['address'] = '[2001:db8::1]:8000'
    config['host']['api_key'] = config['host']['X-Api-Key'] = 'hush'
    config['host']['in'] = {'apiKey': 'hush', 'in': [{'passwd': 'hush', 'accessToken': 'hush'}]}
    shown = repr(config['host'])
    assert 'hush' not in shown and "'names'" in shown and "'kind': '1'" in shown
    assert "'https://***@192.0.2.1/path@b'" in shown
    assert "'is_on': False" in shown and "'neither': '***'" in shown and '[2001:db8::1]:8000' in shown
    accelerator = apyfal.Accelerator('sha3', host_ip='http://me:hush@192.0.2.1')
    assert 'hush' not in repr(accelerator) and '192.0.2.1' in repr(accelerator)
    assert 'hush' not in repr(accelerator.host) + repr(accelerator.client)


def test_an_image_by_name_or_parameter_has_an_id_when_it_is_read(moto, monkeypatch, tmp_path):
    import boto3
    keys = {'endpoint_url': moto, 'region_name': 'us-east-1', 'aws_access_key_id': 'a', 'aws_secret_access_key': 'b'}
    ec2 = boto3.client('ec2', **keys)
    image = ec2.register_image(Name='mine-1', RootDeviceName='/dev/sda1')['ImageId']
    owner = ec2.describe_images(ImageIds=[image])['Images'][0]['OwnerId']
    boto3.client('ssm', **keys).put_parameter(Name='/mine/image', Value=image, Type='String')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'catalog.toml').write_text(
        f'[accelerator.mine.AWS.us-east-1]\nimage = {{ name = "mine-*", owner = "{owner}" }}\n'
        '[accelerator.other.AWS."*"]\nimage = { ssm = "/mine/image" }\n'
        '[accelerator.lost.AWS."*"]\nimage = { ssm = "/nosuch" }\n'
        '[accelerator.gone.AWS."*"]\nimage = { name = "nosuch", owner = "1" }\n')
    config = Configuration()
    config['accelize']['catalog'] = 'catalog.toml'
    for name, value in (('ENDPOINT_URL', moto), ('ACCESS_KEY_ID', 'a'), ('SECRET_ACCESS_KEY', 'b')):
        monkeypatch.setenv(f'AWS_{name}', value)
    assert config.get_host_requirements('AWS', 'mine')['us-east-1']['image'] == image
    needs = config.get_host_requirements('AWS', 'other')
    assert needs['us-east-1']['image'] == image and {**needs.get('us-east-1')}['image'] == image
    # EC2 says by itself that there is no such parameter.
    assert config.get_host_requirements('AWS', 'lost')['us-east-1']['image'] == 'resolve:ssm:/nosuch'
    with pytest.raises(HostException, match='nosuch'):
        config.get_host_requirements('AWS', 'gone')['us-east-1']['image']
