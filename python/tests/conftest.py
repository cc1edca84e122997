"""What the tests share."""
import os
import subprocess
import sys
import textwrap
import warnings

import pytest

import apyfal

# Known to all tests.
from servers import catalog, moto, web  # noqa: F401


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path, monkeypatch):
    """No test sees the files of another."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope='session')
def host():
    """The URL of a host that everybody on this machine may use."""
    return os.environ['APYFAL_TEST_HOST']


@pytest.fixture(params=['here', 'host'])
def place(request, host):
    """Where an accelerator runs: all that a test says holds on this machine and on a host."""
    return {} if request.param == 'here' else {'host_ip': host}


@pytest.fixture
def sha3(place):
    """A hash that is started."""
    with apyfal.Accelerator('sha3', **place) as accelerator:
        accelerator.start()
        yield accelerator


@pytest.fixture
def gzip(place):
    """A compressor that is started."""
    with apyfal.Accelerator('gzip', **place) as accelerator:
        accelerator.start()
        yield accelerator


@pytest.fixture
def program(tmp_path):
    """Runs a program in a process of its own, with every warning of Python an error."""
    def run(text, *, signal=None, check=True, flags=('-X', 'dev', '-W', 'error')):
        path = tmp_path / 'program.py'
        path.write_text(textwrap.dedent(text))
        process = subprocess.Popen(
            [sys.executable, *flags, str(path)], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if signal is not None:
            # It says when it is ready.
            assert process.stdout.readline() == 'ready\n', process.stderr.read()
            process.send_signal(signal)
        out, err = process.communicate(timeout=60)
        if check:
            assert process.returncode == 0, err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)
    return run


@pytest.fixture(autouse=True)
def nothing_is_said():
    """A warning that no test asks for is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield
