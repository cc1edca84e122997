"""The wheel: in the versions of Python that are here, and beside the distribution of the original."""
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

import apyfal

PYTHON = pathlib.Path(__file__).resolve().parents[1]
VERSIONS = ('3.11', '3.12', '3.13', '3.14', '3.15')
# The modules of the original's distribution, and its command.
ORIGINAL = ['__init__.py', '__main__.py', '_certificates.py', '_iterators.py', '_pool_executor.py',
            '_utilities.py', 'client/__init__.py', 'client/rest.py', 'client/syscall.py',
            'configuration.py', 'exceptions.py', 'host/__init__.py', 'host/_csp.py',
            'host/alibaba.py', 'host/aws.py', 'host/openstack.py', 'storage/__init__.py',
            'storage/alibaba.py', 'storage/aws.py', 'storage/openstack.py']
OURS = [sys.executable, '-m', 'pip', '--isolated', '--disable-pip-version-check', '-q']


def done(*command, **options):
    """What a command that must succeed said."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope='session')
def wheel(tmp_path_factory):
    """The wheel of what is tested here, as pip builds it."""
    folder = tmp_path_factory.mktemp('wheel')
    built = folder / 'built'
    built.mkdir()
    core = pathlib.Path(apyfal._apyfal.__file__).resolve()
    for name, file in (('lib_apyfal.so', core), ('apyfal', shutil.which('apyfal'))):
        # What they are debugged by is most of them.
        done('strip', '-o', str(built / name), str(file))
    done(*OURS, 'wheel', '--no-index', '--no-deps', '--no-build-isolation', '-w', str(folder),
         str(PYTHON), env={**os.environ, 'APYFAL_BUILT': str(built)})
    [found] = folder.glob('*.whl')
    return found


@pytest.fixture(scope='session')
def original(tmp_path_factory):
    """A wheel with the names of the original's files, each of which says so."""
    path = tmp_path_factory.mktemp('original') / 'apyfal-1.2.7-py2.py3-none-any.whl'
    files = {f'apyfal/{name}': 'ORIGIN = "the original"\n' for name in ORIGINAL}
    files['apyfal/__main__.py'] += 'def _run_command():\n    print("the original\'s command")\n'
    about = 'apyfal-1.2.7.dist-info'
    files[f'{about}/METADATA'] = 'Metadata-Version: 2.1\nName: apyfal\nVersion: 1.2.7\n'
    files[f'{about}/WHEEL'] = (
        'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n')
    files[f'{about}/entry_points.txt'] = '[console_scripts]\napyfal = apyfal.__main__:_run_command\n'
    files[f'{about}/RECORD'] = ''.join(f'{name},,\n' for name in [*files, f'{about}/RECORD'])
    with zipfile.ZipFile(path, 'w') as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


class Environment:
    """A fresh environment of a version of Python."""

    def __init__(self, folder, python=sys.executable):
        done(python, '-m', 'venv', '--without-pip', str(folder))
        self.programs = folder / 'bin'
        self.python = str(self.programs / 'python')
        self.variables = {
            name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}

    def pip(self, *words):
        return done(*OURS, '--python', self.python, *map(str, words), env=self.variables)

    def install(self, wheel, *words):
        self.pip('install', '--no-index', '--no-deps', '--no-compile', *words, wheel)

    def run(self, *command):
        return subprocess.run([*command], env=self.variables, capture_output=True, text=True,
                              timeout=120)

    def says(self, text):
        """What a program prints, or the error that ends it."""
        ended = self.run(self.python, '-W', 'default', '-c', text)
        return ended.stdout.strip() or ended.stderr.strip().splitlines()[-1]

    def imported(self):
        """What `import apyfal` finds."""
        return self.says('import apyfal; print(getattr(apyfal, "ORIGIN", None) or apyfal.Accelerator)')

    def command(self):
        """What the command is."""
        return self.run(str(self.programs / 'apyfal'), '--version')


def interpreter(version):
    """The program of a version of Python: on the path, or beside that of the tests."""
    name = f'python{version}'
    beside = pathlib.Path(sys.base_prefix).parent.glob(f'*/bin/{name}')
    for found in (shutil.which(name), *map(str, beside)):
        # Some are no more than a hint how to install one.
        if found and not subprocess.run([found, '-c', ''], capture_output=True).returncode:
            return found
    pytest.skip(f'there is no Python {version} here')


@pytest.mark.parametrize('version', VERSIONS)
def test_one_wheel_serves_all_versions(wheel, version, tmp_path):
    environment = Environment(tmp_path / 'environment', interpreter(version))
    environment.install(wheel)
    program = tmp_path / 'program.py'
    program.write_text("""
import apyfal, asyncio, io, sys
from apyfal import aio, gzip, hashlib
with apyfal.Accelerator('gzip') as packing:
    packing.start()
    packed, file = bytearray(1000), io.BytesIO()
    packing.process(memoryview(b'abc'), packed)
    packing.process(io.BytesIO(b'abc'), file)
    assert [f.result() for f in [packing.process_submit(b'x', io.BytesIO())]] == [{}]
    assert gzip.decompress(file.getvalue()) == b'abc'
async def digest():
    async with aio.Accelerator('sha3') as sha3:
        await sha3.start()
        return (await sha3.process(b'abc', type='sha3-256'))['digest']
assert asyncio.run(digest()) == hashlib.sha3_256(b'abc').hexdigest()
with apyfal.storage.open('a', 'wt', encoding='utf-8') as file:
    file.write('text')
try:
    apyfal.Accelerator('nosuch').start()
except apyfal.exceptions.ClientConfigurationException:
    print('%d.%d' % sys.version_info[:2], apyfal.__version__)
""")
    ended = environment.run(environment.python, '-X', 'dev', '-W', 'error', str(program))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [version, apyfal.__version__] and not ended.stderr
    command = environment.command()
    assert command.stdout.split() == ['apyfal', apyfal.__version__], command.stderr
    module = environment.run(environment.python, '-m', 'apyfal', '--version')
    assert module.stdout == command.stdout, module.stderr


def test_ours_after_the_originals_wins_and_tells_what_is_left(wheel, original, tmp_path):
    environment = Environment(tmp_path / 'environment')
    environment.install(original)
    assert environment.imported() == 'the original'
    environment.install(wheel)
    assert environment.imported() == "<class 'apyfal.Accelerator'>"
    told = environment.run(environment.python, '-W', 'default', '-c', 'import apyfal').stderr
    assert "_utilities.py': uninstall apyfal and apyfal2" in told
    assert environment.command().stdout.split() == ['apyfal', apyfal.__version__]


def test_the_originals_after_ours_wins(wheel, original, tmp_path):
    environment = Environment(tmp_path / 'environment')
    environment.install(wheel)
    environment.install(original)
    assert environment.imported() == 'the original'
    assert environment.command().stdout == "the original's command\n"


@pytest.mark.parametrize('last', ['ours', 'original'])
@pytest.mark.parametrize('gone, kept', [('apyfal', 'apyfal2'), ('apyfal2', 'apyfal')])
def test_who_uninstalls_one_installs_the_other_again(
        wheel, original, tmp_path, last, gone, kept):
    environment = Environment(tmp_path / 'environment')
    for one in ((original, wheel) if last == 'ours' else (wheel, original)):
        environment.install(one)
    environment.pip('uninstall', '-y', gone)
    # What both have is gone, whoever it was of.
    assert 'has no attribute' in environment.imported()
    assert not (environment.programs / 'apyfal').exists()
    environment.install({'apyfal': original, 'apyfal2': wheel}[kept], '--force-reinstall')
    if kept == 'apyfal2':
        assert environment.imported() == "<class 'apyfal.Accelerator'>"
        told = environment.run(environment.python, '-W', 'error', '-c', 'import apyfal')
        assert told.returncode == 0, told.stderr
        assert environment.command().stdout.split() == ['apyfal', apyfal.__version__]
    else:
        assert environment.imported() == 'the original'
        assert environment.command().stdout == "the original's command\n"
