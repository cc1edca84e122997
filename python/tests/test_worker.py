"""Accelerators written in Python."""
import doctest
import io
import pathlib
import shutil
import subprocess
import sys
import tarfile

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

@accelerator
def odd(source, what: str = 'nan'):
    if what == 'raises':
        raise ValueError('half \\udc80')
    return {'odd': float('nan') if what == 'nan' else 'half \\udc80' if what == 'half' else what}
'''


@pytest.fixture
def accelerators(tmp_path):
    """Accelerators of a module, by name."""
    (tmp_path / 'texts.py').write_text(MODULE)
    sections = ''
    for name in ('reverse', 'copied', 'counted', 'asking', 'wrong', 'odd'):
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


def test_what_json_has_no_form_for(accelerators):
    with accelerators('odd') as odd:
        odd.start()
        for what, told in (('nan', 'ValueError: Out of range float'), ('half', 'UnicodeEncodeError: .*surrogates'),
                           ('raises', r'ValueError: half .udc80')):
            with pytest.raises(AcceleratorException, match=told):
                odd.process(b'', io.BytesIO(), what=what)
        assert odd.process(b'', io.BytesIO(), what='é') == {'odd': 'é'}


def test_a_command_may_have_any_character():
    def function(source):
        pass
    section = worker.section(worker.accelerator(function), ['/a%b/python', 'é'])
    config = apyfal.configuration.Configuration(io.StringIO(section))
    assert config['accelerator.function'].get_literal('worker') == ['/a%b/python', 'é']


def command(*words):
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize('module, file', [
    ('texts', 'texts.py'), ('tools.texts', 'tools/texts.py'), ('tools', 'tools/__init__.py')])
def test_a_package_of_one(module, file, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    project = tmp_path / 'project'
    path = project / file
    path.parent.mkdir(parents=True)
    path.write_text(MODULE)
    (path.parent / 'beside.py').write_text('')
    (project / 'secret.txt').write_text('of no use there')
    monkeypatch.chdir(project)
    manifest = command(
        sys.executable, '-m', 'apyfal.worker', f'{module}:reverse', '--manifest')
    (project / 'accelerator.toml').write_text(manifest)
    told = command('apyfal', 'pack', '.')
    assert 'reverse-0.1.0.apyfal' in told
    with tarfile.open('reverse-0.1.0.apyfal') as archive:
        names = set(archive.getnames())
    assert file in names and 'secret.txt' not in names
    assert ('tools/beside.py' in names) == (module != 'texts') and 'beside.py' not in names
    package = (project / 'reverse-0.1.0.apyfal').rename(tmp_path / 'package.apyfal')
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(project)

    # Here, and on a host of its own.
    command('apyfal', 'install', str(package))
    assert 'Turn a text around (100%)' in command('apyfal', 'accelerators', 'reverse')
    with subprocess.Popen(
            ['apyfal', 'serve', '--listen', '127.0.0.1:0', '--accelerator', str(package),
             '--data-dir', 'host'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True) as host:
        try:
            url = next(line.split()[-1] for line in host.stdout if 'listening on' in line)
            for place in ({}, {'host_ip': url}):
                with apyfal.Accelerator('reverse', **place) as reverse:
                    reverse.start()
                    memory = io.BytesIO()
                    result = reverse.process(b'abc', memory, mark='"x" \u00e9')
                    assert memory.getvalue() == b'cba' and result['mark'] == '"x" \u00e9'
                    reverse.process(b'abc', memory, times=2)
                    with pytest.raises(ClientConfigurationException, match='times'):
                        reverse.process(b'abc', io.BytesIO(), times='many')
        finally:
            host.terminate()


def test_a_module_that_is_elsewhere_is_no_package(tmp_path, monkeypatch):
    (tmp_path / 'texts.py').write_text(MODULE)
    (tmp_path / 'here').mkdir()
    ended = subprocess.run(
        [sys.executable, '-m', 'apyfal.worker', 'texts:reverse', '--manifest',
         '--file', '../texts.py'], cwd=tmp_path / 'here', capture_output=True, text=True)
    assert ended.returncode == 1 and "'texts' is not in this directory" in ended.stderr


def test_what_is_no_accelerator():
    with pytest.raises(TypeError, match='takes no source'):
        @worker.accelerator
        def nothing():
            pass
    with pytest.raises(TypeError, match='must name its parameters'):
        @worker.accelerator
        def anything(source, **parameters):
            pass
    with pytest.raises(TypeError, match='must name its parameters'):
        @worker.accelerator
        def by_position(source, times, /):
            pass
    for wrong in (lambda *sources: b'', lambda *, source: b'', lambda **named: b''):
        with pytest.raises(TypeError, match='takes no source'):
            worker.accelerator(wrong)

    async def coroutine(source):
        pass

    async def stream(source):
        yield b''

    def generator(source):
        yield b''
    for wrong in (coroutine, stream, generator):
        with pytest.raises(TypeError, match=f"'{wrong.__name__}' must be a plain function"):
            worker.accelerator(wrong)
    for default in (b'x', {1}, object(), float('nan'), 1 << 64, '\ud800', [None], {1: 2}):
        def with_default(source, value=default):
            pass
        with pytest.raises(TypeError, match="'value' of 'with_default' cannot have the default"):
            worker.accelerator(with_default)
    for default in (None, True, -1, 2.5, 'é', [1, ('x', {'a': False})]):
        def with_another(source, value=default):
            pass
        assert worker.accelerator(with_another) is with_another
    for arguments in ([], ['x'], ['io:BytesIO'], ['io:BytesIO', '--other']):
        ended = subprocess.run([sys.executable, '-m', 'apyfal.worker', *arguments],
                               capture_output=True, text=True)
        assert ended.returncode in (1, 2)
        assert 'usage' in ended.stderr or 'no accel' in ended.stderr


def test_the_example():
    assert doctest.testmod(worker).failed == 0
