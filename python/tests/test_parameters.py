"""Parameters of accelerators, wherever they are said."""
import functools
import hashlib
import io
import json
import pathlib

import numpy
import pytest

import apyfal
from apyfal.configuration import Configuration
from apyfal.exceptions import AcceleratorException, ClientConfigurationException


def test_defaults_of_parameters():
    config = Configuration(io.StringIO('[process.sha3]\ntype = sha3-224\n'))
    with apyfal.Accelerator('sha3', config=config) as sha3:
        sha3.start()
        assert len(sha3.process(b'x')['digest']) == 56
        assert len(sha3.process(b'x', type='sha3-256')['digest']) == 64


@pytest.mark.parametrize(('value', 'what'), [
    (b'x', 'bytes'), ({1}, 'a set'), (1j, 'a complex number'), ([{'a': 1 << 64}], 'an integer of more than 64 bits'),
    ('1e999', 'a number that is not finite'), ({(1, 2): 1}, 'a tuple as a key')])
@pytest.mark.parametrize('section', ['configuration', 'process.sha3'])
@pytest.mark.parametrize('is_full', [False, True])
def test_parameters_that_json_cannot_say_are_refused(section, value, what, is_full):
    config = Configuration()
    if is_full:
        key, text = 'parameters', "{'app': {'specific': {'type': %s}}}" % (value if value == '1e999' else repr(value))
    else:
        key, text = 'type', value
    config[section][key] = text
    written = io.StringIO()
    config.write(written)
    for config in (config, Configuration(io.StringIO(written.getvalue()))):
        with apyfal.Accelerator('sha3', config=config) as sha3:
            with pytest.raises(ClientConfigurationException, match=f'the value has {what}.*{section}, key {key}'):
                sha3.start()
                sha3.process(b'x')


def test_parameters_that_change_while_they_are_read(sha3):
    class Length:
        def __index__(self):
            given.update({str(number): None for number in range(100)})
            given.pop('last', None)
            return 64
    given = {'length': Length(), 'last': 1}
    with pytest.raises(AcceleratorException, match='last'):
        sha3.process(b'abc', parameters={'app': {'specific': given}})
    given = {'length': Length(), 'type': 'shake-128'}
    core = sha3.client._accelerator()
    found = core.process((b'abc', None, None, given))['app']['specific']
    assert found == {'digest': hashlib.shake_128(b'abc').hexdigest(8)}


def test_parameters(sha3):
    digest = hashlib.sha3_512(b'abc').hexdigest()
    full = {'app': {'specific': {'type': 'sha3-512'}}}
    pathlib.Path('parameters.json').write_text(json.dumps(full))
    for given in (full, json.dumps(full), 'parameters.json', pathlib.Path('parameters.json'),
                  pathlib.Path('parameters.json').absolute().as_uri()):
        assert sha3.process(b'abc', parameters=given) == {'digest': digest}
    shorter = sha3.process(b'abc', parameters=full, type='sha3-256')
    assert shorter == {'digest': hashlib.sha3_256(b'abc').hexdigest()}
    length = numpy.int64(256)
    assert len(sha3.process(b'abc', type='shake-128', length=length)['digest']) == 64


def test_wrong_parameters(sha3):
    holds_itself = {}
    holds_itself['a'] = holds_itself
    for value, error, message in [
            (object(), TypeError, "'type' cannot be of type 'object'"),
            (b'x', TypeError, "'type' cannot be of type 'bytes'"),
            (holds_itself, ValueError, "'type' is nested more than 100 deep, or holds itself"),
            (1 << 70, ValueError, "'type' is a number of more than 64 bits"),
            (float('nan'), ValueError, "'type' cannot be NaN"),
            ([{'a': {1}}], TypeError, "'type' cannot be of type 'set'"),
            (1j, TypeError, "'type' cannot be of type 'complex'"),
            ({1: 2}, TypeError, "a key of 'type' must be a str, not 'int'"),
            ('\udc80', ValueError, "'type' has characters"),
            ('nosuch', ClientConfigurationException, 'type')]:
        with pytest.raises(error) as raised:
            sha3.process(b'abc', type=value)
        assert message in str(raised.value)
    with pytest.raises(ClientConfigurationException) as raised:
        sha3.process(b'abc', typ='sha3-256')
    assert raised.value.details['parameter'] == 'typ' and raised.value.hints
    assert raised.value.__notes__ == [f'hint: {hint}' for hint in raised.value.hints]
    with pytest.raises(TypeError, match="'parameters' must be a dict"):
        sha3.process(b'abc', parameters=3)
    with pytest.raises(AcceleratorException, match='JSON'):
        sha3.process(b'abc', parameters='{')


def test_wrong_types_of_what_is_not_the_accelerators_are_told_by_name(sha3):
    for member, value, wanted in [('reset', 'hush-hush', 'true or false'), ('enable-sw-comparison', [1], 'true or false'),
                                  ('logging', 'hush-hush', 'an object'), ('engine', 1, 'a name')]:
        for call in (sha3.start, functools.partial(sha3.process, b'abc')):
            with pytest.raises(ClientConfigurationException, match=f"'app.{member}' of the parameters must be {wanted}") as raised:
                call(parameters={'app': {member: value}})
            assert 'hush' not in str(raised.value)


def test_parameters_that_nobody_reads_are_told(sha3):
    pathlib.Path('parameters.json').write_text('{"app": {"type": 1, "reset": 0}, "x": 2}')
    names = "'x' and 'app.type' of the parameters are ignored"
    for given, begin in [({'type': 'sha3-256'}, "'type' of the parameters is ignored"),
                         ('{"app": {"type": 1, "reset": 0}, "x": 2}', names), ('parameters.json', names)]:
        for call in (sha3.start, functools.partial(sha3.process, b'abc'),
                     lambda **given: sha3.process_submit(b'abc', **given).result(),
                     lambda **given: list(sha3.process_map([b'abc'], **given))):
            with pytest.warns(UserWarning) as told:
                call(parameters=given)
            assert [str(each.message).partition(':')[0] for each in told] == [begin]
            assert told[0].filename == __file__
    with pytest.raises(ClientConfigurationException) as raised:
        sha3.process(b'abc', parameters={'type': 'shake-128'}, typ='x')
    assert any(hint.startswith("'type' of the parameters is ignored") for hint in raised.value.hints)
    read = {'app': {'specific': {}, 'reset': False, 'reload': True, 'enable-sw-comparison': 0, 'logging': {}}, 'env': {}}
    sha3.process(b'abc', parameters=read)
