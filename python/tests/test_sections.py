"""Sections of configurations, as mappings."""
import configparser
import io
import pickle
from random import Random

import pytest

from apyfal.configuration import Configuration
from apyfal.exceptions import ClientConfigurationException

SECTIONS = '''
[DEFAULT]
d = x
[host]
region = a
key_pair = k
[host.AWS]
region = a
role = r
'''


def test_a_section_is_a_mapping():
    config = Configuration(io.StringIO(SECTIONS))
    host, aws = config['host'], config['host.AWS']
    assert list(host) == ['region', 'key_pair', 'd'] and 'd' in host, 'as of configparser'
    assert host.setdefault('new', 'v') == 'v' == host.setdefault('new', 'w') == host['new']
    assert host.setdefault('none') is None and host.pop('none', 7) == 7
    host['object'] = {'a': 1}
    assert host.pop('object') == {'a': 1} and host['object'] is None
    host['object'] = "{'a': 1}"
    assert host['object'] == "{'a': 1}", 'what it was is forgotten'
    assert aws.popitem() == ('region', 'a') and aws['region'] == 'a', 'inherited'


def test_a_section_deletes_what_it_has_itself():
    config = Configuration(io.StringIO(SECTIONS))
    host, aws = config['host'], config['host.AWS']
    assert aws.pop('region') == 'a' == aws['region'] and aws.pop('region', 'none') == 'none'
    for key in ('region', 'key_pair', 'd', 'nosuch'):
        with pytest.raises(KeyError, match=key):
            aws.pop(key)
        with pytest.raises(KeyError, match=key):
            del aws[key]
    aws.clear()
    assert dict(aws) == dict(host) == {'region': 'a', 'key_pair': 'k', 'd': 'x'}
    with pytest.raises(KeyError, match='host.AWS'):
        aws.popitem()
    host.clear()
    assert dict(aws) == dict(host) == {'d': 'x'}


def test_a_section_keeps_what_one_that_it_is_a_part_of_loses():
    config = Configuration(io.StringIO(SECTIONS))
    host, aws = config['host'], config['host.AWS']
    del host['region']
    assert host['region'] is None and aws['region'] == 'a'
    del config._sections['host']
    assert 'host' not in config and dict(aws) == {'region': 'a', 'role': 'r', 'd': 'x'}
    host['key_pair'] = 'k'
    del config._sections['host.AWS']
    assert 'host.AWS' not in config and dict(aws) == {'key_pair': 'k', 'd': 'x'}
    del config['DEFAULT']['d']
    assert dict(aws) == {'key_pair': 'k'}


def test_sections_are_those_of_configparser():
    random = Random(14)
    for _ in range(200):
        theirs = configparser.ConfigParser(interpolation=None)
        theirs.optionxform = str
        text = '[DEFAULT]\nd = 0\n[process.a]\na = 1\nd = 2\n[process.b]\nb = 3\n'
        theirs.read_string(text)
        ours = Configuration(io.StringIO(text))
        for step in range(20):
            name, key = random.choice(['DEFAULT', 'process.a', 'process.b']), random.choice('abd')
            match random.randrange(4):
                case 0:
                    ours[name][key] = theirs[name][key] = str(step)
                case 1:
                    assert _raises(lambda: ours[name].__delitem__(key)) == _raises(
                        lambda: theirs[name].__delitem__(key)), (name, key)
                case 2:
                    assert _raises(lambda: ours[name].pop(key)) == _raises(
                        lambda: theirs[name].pop(key)), (name, key)
                case 3:
                    assert ours[name].setdefault(key, 'x') == theirs[name].setdefault(key, 'x')
            for each in ('DEFAULT', 'process.a', 'process.b'):
                assert list(ours[each].items()) == list(theirs[each].items()), each


def _raises(call):
    try:
        return call()
    except KeyError:
        return KeyError


def test_what_no_file_can_hold_is_pickled():
    config = Configuration(io.StringIO(SECTIONS))
    config['host']['lines'] = 'a\r\nb'
    config['host']['blanks'] = '  a '
    config['host.AWS']['# key = '] = 'x'
    config['odd]']['object'] = {'a': (1,)}
    with pytest.raises(ClientConfigurationException):
        config.write(io.StringIO())
    config['DEFAULT']['more'] = ' blanks '
    again = pickle.loads(pickle.dumps(config))
    assert again['host']['more'] == ' blanks ' and 'more' in list(again['host'])
    assert again == config and again['odd]']['object'] == {'a': (1,)}
    assert again['host.AWS'].pop('role') == 'r' and again['host.AWS'].pop('lines', None) is None


def test_names_and_texts_that_are_none_are_refused_by_name():
    config = Configuration(io.StringIO(''))
    host = config['host']
    for text in ('a\ud800', 'a\0'):
        with pytest.raises(ValueError, match="'section' has"):
            config[text]
        with pytest.raises(ValueError, match="'key' has"):
            host[text]
        with pytest.raises(ValueError, match="'key' has"):
            host[text] = 'x'
        with pytest.raises(ValueError, match="'region' has"):
            host['region'] = text
    for call in (lambda: host[3], lambda: host.update({3: 'x'})):
        with pytest.raises(TypeError, match="'key' must be a str, not 'int'"):
            call()
    itself = {}
    itself['a'] = itself
    with pytest.raises(TypeError, match="'region' cannot be a 'dict'"):
        host['region'] = itself
    assert list(config) == ['host'] and not host
