"""The drop-in for hashlib."""
import copy
import hashlib as standard
import io
import os
import pathlib
import pickle
import subprocess
import sys
import threading

import pytest

from apyfal import _shared, hashlib
from apyfal.exceptions import AcceleratorException

DATA = os.urandom(1 << 20)
NAMES = ['sha3_224', 'sha3_256', 'sha3_384', 'sha3_512', 'shake_128', 'shake_256']

# What Python's own tests ask for that does not hold, and why.
NOT_SO = {
    # Attributes that only the one of two implementations in the standard module has.
    'test_extra_sha3',
    # Classes that are written in C, whose attributes cannot be set.
    'test_readonly_types'}


@pytest.mark.parametrize('small', [hashlib.SMALL, 0])
def test_pythons_own_tests(tmp_path, small):
    """As they come with Python; once as it is, once with all of it through the accelerator."""
    program = tmp_path / 'program.py'
    program.write_text(f'''if True:
        import sys, unittest
        import apyfal.hashlib
        apyfal.hashlib.SMALL = {small}
        sys.modules['hashlib'] = apyfal.hashlib
        import test.test_hashlib as tests
        assert tests.hashlib is apyfal.hashlib
        suite = unittest.defaultTestLoader.loadTestsFromModule(tests)
        result = unittest.TextTestRunner(verbosity=0).run(suite)
        names = {{getattr(test, 'test_case', test)._testMethodName
                  for test, _ in result.failures + result.errors}}
        print(result.testsRun, *names)
    ''')
    ended = subprocess.run([sys.executable, str(program)], cwd=tmp_path, text=True, capture_output=True)
    count, *failed = ended.stdout.splitlines()[-1].split() if ended.stdout else ['0']
    assert int(count) >= 60, ended.stderr
    assert set(failed) <= NOT_SO, ended.stderr


@pytest.mark.parametrize('name', NAMES)
def test_digests(name):
    length = (77,) if name.startswith('shake') else ()
    expected = getattr(standard, name)(DATA).hexdigest(*length)
    made = getattr(hashlib, name)(DATA)
    again = made.copy()
    assert made.hexdigest(*length) == expected == made.digest(*length).hex()
    assert hashlib.new(name, DATA).hexdigest(*length) == expected
    again.update(b'more')
    assert again.hexdigest(*length) == getattr(standard, name)(DATA + b'more').hexdigest(*length)
    assert made.name == name and made.block_size == getattr(standard, name)().block_size


def test_files():
    pathlib.Path('data').write_bytes(DATA)
    for source in (lambda: open('data', 'rb'), lambda: io.BytesIO(DATA)):
        for name in NAMES[:4]:
            with source() as file:
                file.seek(10)
                found = hashlib.file_digest(file, name)
                # All of it where it is in memory, as the standard module does.
                expected = DATA if isinstance(file, io.BytesIO) else DATA[10:]
                assert found.hexdigest() == getattr(standard, name)(expected).hexdigest()
                assert file.tell() == (10 if isinstance(file, io.BytesIO) else len(DATA))
        with source() as file:
            assert hashlib.file_digest(file, 'md5').digest() == standard.md5(DATA).digest()
        with source() as file:
            assert hashlib.file_digest(file, hashlib.sha3_256).digest_size == 32


class Memory(io.BytesIO):
    """Memory with bytes of its own, wherever it stands."""

    def getbuffer(self):
        return memoryview(DATA)


class Reads:
    def __init__(self, data):
        self.readinto = io.BytesIO(data).readinto

    def readable(self):
        return True


class Called:
    def read(self, size):
        return b''


class sha3_256:
    """A hash that only has the name."""

    def update(self, data):
        first = bytes(data[:1])
        self.digest = lambda: first


@pytest.mark.parametrize('digest', [
    'sha3_256', 'SHA3_256', 'sha3-256', 'shake_128', 'nosuch', standard.sha3_256, sha3_256, lambda: standard.sha3_256(b'begun')])
@pytest.mark.parametrize('source', [
    lambda: io.BytesIO(DATA), lambda: Memory(b'other'), lambda: Reads(DATA), Called,
    lambda: io.StringIO('text'), lambda: open('file', 'rb'), lambda: open('file'), lambda: open('new', 'wb'),
    lambda: 3])
def test_a_file_has_the_digest_of_the_standard_module(source, digest):
    pathlib.Path('file').write_bytes(DATA)

    def found(module):
        file = source()
        try:
            made = module.file_digest(file, digest)
            return made.digest(*([9] if digest == 'shake_128' else [])), getattr(file, 'tell', int)()
        except Exception as error:
            return type(error)
        finally:
            getattr(file, 'close', int)()
    assert found(hashlib) == found(standard)


def test_what_is_in_memory_may_change_later():
    file = io.BytesIO(DATA)
    found = hashlib.file_digest(file, 'sha3_256')
    file.write(b'changed')
    assert found.digest() == standard.sha3_256(DATA).digest()


def test_threads_share_a_hash():
    data = DATA * 8
    expected = standard.sha3_256(data).digest()
    for _ in range(5):
        shared, begin, found = hashlib.sha3_256(data), threading.Barrier(6), []

        def add():
            begin.wait()
            shared.update(b'')

        def copy():
            begin.wait()
            found.append(shared.copy().digest())
        threads = [threading.Thread(target=work) for work in (add, add, add, add, copy, copy)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [*found, shared.digest()] == [expected] * 3


def test_more_is_added_to_the_hash_of_a_file():
    pathlib.Path('file').write_bytes(b'before' + DATA)
    file = open('file', 'rb')
    file.seek(6)
    found = hashlib.file_digest(file, 'sha3_256')
    other = found.copy()
    other.update(b'more')
    assert other.digest() == standard.sha3_256(DATA + b'more').digest() == other.copy().digest()
    assert found.digest() == standard.sha3_256(DATA).digest() and file.read() == b''
    file.close()
    with pytest.raises(ValueError, match='closed'):
        found.update(b'more')


def test_the_rest_is_the_standard_modules():
    assert hashlib.sha256 is standard.sha256
    assert hashlib.algorithms_guaranteed == standard.algorithms_guaranteed
    with pytest.raises(TypeError):
        hashlib.sha3_256(nosuch=1)
    with pytest.raises(TypeError, match='nosuch'):
        hashlib.new('sha3_256', nosuch=1)
    with pytest.raises(TypeError):
        hashlib.sha3_256('text')
    with pytest.raises(ValueError, match='nosuch'):
        hashlib.new('nosuch')
    assert set(standard.__all__) <= set(hashlib.__all__) and {*standard.__all__, 'scrypt'} <= set(dir(hashlib))
    named = {}
    exec('from apyfal.hashlib import *', named)
    assert named['sha256'] is standard.sha256 and named['sha3_256'] is hashlib.sha3_256


@pytest.mark.parametrize('make', [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_hash_is_copied_by_its_own_method_alone(make):
    for module in (standard, hashlib):
        with pytest.raises(TypeError, match='cannot pickle'):
            make(module.sha3_256(b'x'))
    with pytest.raises(AttributeError):
        object.__new__(hashlib._Hash).nosuch


def test_a_file_that_the_accelerator_does_not_take(monkeypatch):
    class Fails:
        def process(self, source, destination, **_):
            source.read(10)
            raise AcceleratorException('mine')
    pathlib.Path('data').write_bytes(DATA)
    monkeypatch.setattr(_shared, 'started', lambda name: Fails())
    with open('data', 'rb') as file:
        assert hashlib.file_digest(file, 'sha3_256').digest() == standard.sha3_256(DATA).digest()

    class Stream(io.BytesIO):
        getbuffer = property()

        def tell(self):
            raise io.UnsupportedOperation
    # What was read is gone.
    with pytest.raises(AcceleratorException, match='mine'):
        hashlib.file_digest(Stream(DATA), 'sha3_256')
    monkeypatch.setattr(_shared, 'started', lambda name: None)
    assert hashlib.file_digest(Stream(DATA), 'sha3_256').digest() == standard.sha3_256(DATA).digest()
    assert hashlib.shake_128(DATA).digest(9) == standard.shake_128(DATA).digest(9)
