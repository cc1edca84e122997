"""Accelerators written in Python."""
import doctest
import io
import pathlib
import subprocess
import sys

import pytest

import apyfal
from apyfal import worker
from apyfal.exceptions import AcceleratorException, ClientConfigurationException

MODULE = '''
from apyfal.worker import accelerator
import os
import subprocess

@accelerator
def reverse(source: bytes, times: int = 1, mark: str = '100%') -> bytes:
    """Turn a text around (100%)"""
    print('printing goes elsewhere')
    os.write(1, b'and so does writing')
    if times < 0:
        raise ValueError('times is below zero')
    return (source[::-1] if times % 2 else source), {'mark': mark, 'pid': os.getpid()}

@accelerator(files=True)
def copied(source, destination, block: int = 1000):
    while data := source.read(block):
        destination.write(data)

@accelerator
def counted(source):
    return {'count': len(source)}

@accelerator
def asking(source):
    return subprocess.run(['cat'], stdout=subprocess.PIPE, timeout=10).stdout

@accelerator
def wrong(source):
    return 'text'
'''


@pytest.fixture
def accelerators(tmp_path):
    """Accelerators of a module, by name."""
    (tmp_path / 'texts.py').write_text(MODULE)
    sections = ''
    for name in ('reverse', 'copied', 'counted', 'asking', 'wrong'):
        sections += subprocess.run(
            [sys.executable, '-m', 'apyfal.worker', f'texts:{name}', '--section'],
            check=True, capture_output=True, text=True).stdout
    config = apyfal.configuration.Configuration(io.StringIO(sections))
    return lambda name: apyfal.Accelerator(name, config=config)


def test_what_a_function_starts_reads_no_jobs(accelerators):
    with accelerators('asking') as asking:
        asking.start()
        for _ in range(2):
            assert asking.process(b'abc', 'out') == {}
            assert pathlib.Path('out').read_bytes() == b''


def test_a_function_of_bytes(accelerators):
    with accelerators('reverse') as reverse:
        reverse.start()
        pathlib.Path('in').write_bytes(b'abc')
        first = reverse.process('in', 'out')
        assert pathlib.Path('out').read_bytes() == b'cba' and first['mark'] == '100%'
        memory = io.BytesIO()
        second = reverse.process(b'abc', memory, times=2, mark='x')
        assert memory.getvalue() == b'abc' and second == {'mark': 'x', 'pid': first['pid']}
        with pytest.raises(AcceleratorException, match='ValueError: times is below zero'):
            reverse.process(b'abc', io.BytesIO(), times=-1)
        with pytest.raises(ClientConfigurationException, match='times'):
            reverse.process(b'abc', io.BytesIO(), times='many')
        assert reverse.process(b'', io.BytesIO())['pid'] == first['pid'], 'it stays alive'


def test_other_functions(accelerators):
    data = bytes(range(256)) * 1000
    with accelerators('copied') as copied:
        copied.start()
        memory = io.BytesIO()
        assert copied.process(data, memory) == {} and memory.getvalue() == data
    with accelerators('counted') as counted:
        counted.start()
        assert counted.process(data, io.BytesIO()) == {'count': len(data)}
    with accelerators('wrong') as wrong:
        wrong.start()
        with pytest.raises(AcceleratorException, match="'wrong' returned 'str', not bytes"):
            wrong.process(data, io.BytesIO())


def test_what_is_no_accelerator():
    with pytest.raises(TypeError, match='takes no source'):
        @worker.accelerator
        def nothing():
            pass
    with pytest.raises(TypeError, match='must name its parameters'):
        @worker.accelerator
        def anything(source, **parameters):
            pass
    for arguments in ([], ['x'], ['io:BytesIO'], ['io:BytesIO', '--other']):
        ended = subprocess.run([sys.executable, '-m', 'apyfal.worker', *arguments],
                               capture_output=True, text=True)
        assert ended.returncode == 1 and ('usage' in ended.stderr or 'no accel' in ended.stderr)


def test_the_example():
    assert doctest.testmod(worker).failed == 0
