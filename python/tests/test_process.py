"""Sources, destinations and parameters of jobs."""
import array
import asyncio
import ctypes
import gzip as standard_gzip
import hashlib
import io
import os
import pathlib
import sys
import threading
import types

import numpy
import pytest

import apyfal
import apyfal.aio
from apyfal.exceptions import (
    AcceleratorException, ClientConfigurationException, ClientRuntimeException)

DATA = os.urandom(300_000) + bytes(700_000)
DIGEST = hashlib.sha3_256(DATA).hexdigest()


class Minimal:
    """A file object that has one method, and gives or takes a little at a time."""

    def __init__(self, data=b''):
        self.data = data
        self.parts = []

    def read(self, size):
        part, self.data = self.data[:min(size, 1000)], self.data[min(size, 1000):]
        return part

    def write(self, data):
        part = data[:70_000]
        self.parts.append(bytes(part))
        return len(part)


def of_a_file(kind):
    def source():
        pathlib.Path('data').write_bytes(DATA)
        return kind('data')
    return source


SOURCES = {
    'str': of_a_file(str), 'Path': of_a_file(pathlib.Path),
    'url': of_a_file(lambda name: pathlib.Path(name).absolute().as_uri()),
    'buffered': of_a_file(lambda name: open(name, 'rb')),
    'raw': of_a_file(lambda name: open(name, 'rb', buffering=0)),
    'BytesIO': lambda: io.BytesIO(DATA), 'own': lambda: Minimal(DATA),
    'bytes': lambda: DATA, 'bytearray': lambda: bytearray(DATA),
    'memoryview': lambda: memoryview(DATA), 'array': lambda: array.array('I', DATA),
    'ctypes': lambda: (ctypes.c_uint * (len(DATA) // 4)).from_buffer_copy(DATA),
    'numpy': lambda: numpy.frombuffer(DATA, 'u2').reshape(-1, 100),
}


@pytest.mark.parametrize('kind', SOURCES)
def test_sources(sha3, kind):
    source = SOURCES[kind]()
    for _ in range(2):
        assert sha3.process(source, type='sha3-256') == {'digest': DIGEST}
        if hasattr(source, 'close'):
            source.close()
        source = SOURCES[kind]()
    if hasattr(source, 'close'):
        source.close()


def test_destinations(gzip, tmp_path):
    info = {}
    gzip.process(DATA, 'path.gz', info_dict=info)
    compressed = pathlib.Path('path.gz').read_bytes()
    assert standard_gzip.decompress(compressed) == DATA
    profiling = info['app']['profiling']
    assert profiling['total-bytes-read'] == len(DATA) and profiling['wall-clock-time'] > 0
    assert 'specific' not in info['app']
    gzip.process(DATA, tmp_path / 'Path.gz')
    assert (tmp_path / 'Path.gz').read_bytes()
    with open('file.gz', 'wb') as file:
        gzip.process(DATA, file)
    assert standard_gzip.decompress(pathlib.Path('file.gz').read_bytes()) == DATA
    own, memory = Minimal(), io.BytesIO()
    gzip.process(DATA, own)
    gzip.process(DATA, memory)
    for written in (b''.join(own.parts), memory.getvalue()):
        assert standard_gzip.decompress(written) == DATA
    for room in (bytearray(1 << 20), numpy.zeros(1 << 18, 'u4'), (ctypes.c_int * (1 << 18))()):
        gzip.process(DATA, room, info_dict=info)
        count = info['app']['profiling']['total-bytes-written']
        assert standard_gzip.decompress(bytes(memoryview(room).cast('B')[:count])) == DATA


def test_files_whose_names_are_no_text(sha3, gzip, tmp_path):
    source = os.fsdecode(os.path.join(os.fsencode(tmp_path), b'caf\xe9'))
    destination = pathlib.Path(source + '.gz')
    with open(source, 'wb') as file:
        file.write(DATA)
    for given in (source, pathlib.Path(source)):
        assert sha3.process(given, type='sha3-256') == {'digest': DIGEST}
    gzip.process(source, destination)
    assert standard_gzip.decompress(destination.read_bytes()) == DATA
    with pytest.raises(FileNotFoundError, match='caf'):
        sha3.process(source + 'missing', type='sha3-256')


def test_a_file_object_that_raised_is_left_alone(gzip, sha3):
    class Raises:
        calls = 0

        def read(self, size):
            self.calls += 1
            raise LookupError('mine')

        def write(self, data):
            self.read(0)
    for process in (lambda file: gzip.process(DATA, file), lambda file: sha3.process(file, type='sha3-256')):
        file = Raises()
        with pytest.raises(LookupError, match='mine'):
            process(file)
        assert file.calls == 1


def test_bytes_are_read_while_others_write_to_them(sha3):
    """What comes out is one digest or another, and nothing worse."""
    shared = bytearray(8 << 20)
    end = threading.Event()

    def write():
        while not end.is_set():
            shared[::4096] = os.urandom(len(shared) // 4096)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert len(sha3.process(shared, type='sha3-256')['digest']) == 64
    finally:
        end.set()
        writer.join()


def test_the_export_of_a_buffer_ends_with_the_job(sha3, gzip):
    source, room = bytearray(DATA), bytearray(1 << 21)
    sha3.process(source, type='sha3-256')
    gzip.process(b'x', room)
    source.clear()
    room.clear()


def test_names_of_fields_are_no_types(sha3):
    array = numpy.ones(3, [('Open', 'i4'), ('P', 'u1'), ('XO&', 'f8', (2, 2))])
    digest = hashlib.sha3_256(array.tobytes()).hexdigest()
    assert sha3.process(array, type='sha3-256') == {'digest': digest}


@pytest.mark.parametrize('wrong, error, message', [
    (io.StringIO('text'), TypeError, "'src' is a file object of text"),
    (3, TypeError, "'src' must be a path, a URL, a binary file object or a buffer, not 'int'"),
    (['a'], TypeError, "not 'list'"),
    (numpy.array([object()]), TypeError, "'src' holds objects"),
    (numpy.zeros(2, [('a', 'i4'), ('b', 'O')]), TypeError, "'src' holds objects"),
    ((ctypes.c_void_p * 2)(), TypeError, "'src' holds objects"),
    ((ctypes.POINTER(ctypes.c_int) * 2)(), TypeError, "'src' holds objects"),
    (numpy.zeros((9, 9))[:, ::2], BufferError, "'src' is not contiguous"),
    ('a\ud800', ValueError, "'src' has characters that cannot be encoded"),
    ('a\0b', ValueError, "'src' has a NUL in it"),
    (pathlib.Path('a\0b'), ValueError, "'src' has a NUL in it"),
    ('', AcceleratorException, 'empty'),
    ('nothing-here', ClientConfigurationException, "'nothing-here': no such file"),
    ('nothing-here', FileNotFoundError, 'no such file'),
    ('nosuch://bucket/key', AcceleratorException, 'nosuch'),
])
def test_wrong_sources(sha3, wrong, error, message):
    with pytest.raises(error, match=None) as raised:
        sha3.process(wrong, type='sha3-256')
    assert message in str(raised.value)


@pytest.mark.parametrize('wrong, error, message', [
    (io.StringIO(), TypeError, "'dst' is a file object of text"),
    (b'bytes', TypeError, "'dst' cannot be written: it is read-only"),
    (bytearray(3), ClientConfigurationException, "longer than the 3 bytes of 'dst'"),
    (3.5, TypeError, "not 'float'"),
    ('a\0b', ValueError, "'dst' has a NUL in it"),
])
def test_wrong_destinations(gzip, wrong, error, message):
    with pytest.raises(error) as raised:
        gzip.process(b'text', wrong)
    assert message in str(raised.value)


def test_memory_that_is_read_is_no_destination(gzip):
    whole = memoryview(bytearray(1000))
    for src, dst in ((whole, whole), (whole[:600], whole[599:]), (whole[500:], whole)):
        with pytest.raises(ValueError, match="'dst' is memory that 'src' is read from"):
            gzip.process(src, dst)
    gzip.process(whole[:500], whole[500:])
    gzip.process(whole[:0], whole)


class Answers:
    """A file object that answers this to everything."""

    def __init__(self, answer):
        self.answer = answer

    def read(self, size):
        return self.answer(size) if callable(self.answer) else self.answer

    write = read


@pytest.mark.parametrize('answer, error, message', [
    ('text', TypeError, "'src.read()' returned 'str', not bytes"),
    (None, TypeError, "returned 'NoneType'"),
    (lambda size: bytes(size + 1), ValueError, 'which is more'),
])
def test_file_objects_that_answer_nonsense(sha3, answer, error, message):
    with pytest.raises(error) as raised:
        sha3.process(Answers(answer), type='sha3-256')
    assert message in str(raised.value)


@pytest.mark.parametrize('answer, error', [
    ('text', TypeError), (-1, TypeError), (0, ValueError), (lambda data: len(data) + 1, ValueError)])
def test_file_objects_that_take_nonsense(gzip, answer, error):
    with pytest.raises(error, match='dst.write'):
        gzip.process(b'text', Answers(answer))


def test_what_a_file_object_raises_comes_out_as_itself(sha3, gzip):
    class Raises(Minimal):
        def read(self, size):
            data = super().read(size)
            if not data:
                try:
                    raise KeyError('beneath')
                except KeyError as error:
                    raise RuntimeError('mine') from error
            return data

        def write(self, data):
            raise OSError(28, 'full')

    with pytest.raises(RuntimeError, match='mine') as raised:
        sha3.process(Raises(DATA), type='sha3-256')
    assert isinstance(raised.value.__cause__, KeyError)
    assert raised.traceback[-1].name == 'read'
    with pytest.raises(OSError) as raised:
        gzip.process(DATA, Raises())
    assert raised.value.errno == 28 and not isinstance(raised.value, AcceleratorException)
    # And the accelerator goes on.
    assert sha3.process(b'abc', type='sha3-256')


def test_a_result_appears_whole_or_not_at_all(place):
    pathlib.Path('out').write_text('before')
    with apyfal.Accelerator('gunzip', **place) as gunzip:
        gunzip.start()
        with pytest.raises(ClientRuntimeException):
            gunzip.process(standard_gzip.compress(DATA)[:-9], 'out')
    assert pathlib.Path('out').read_text() == 'before'


def test_what_is_started_anew(place):
    with apyfal.Accelerator('hyperfire', **place) as accelerator:
        for source in (b'one,two\n', io.BytesIO(b'one,three\n'), 'corpus.csv'):
            pathlib.Path('corpus.csv').write_bytes(b'one,four\n')
            info = {}
            accelerator.start(src=source, info_dict=info, host_env={'x': 'y'}, reset=False)
            assert info['accelerator'] == 'hyperfire'
            memory = io.BytesIO()
            accelerator.process(b'one', memory)
        assert memory.getvalue() == b'four'


@pytest.mark.parametrize('call, wrong, wanted', [
    ('start', {'reload': 'x'}, 'True or False'), ('start', {'reset': 1}, 'True or False'),
    ('start', {'host_env': 5}, 'a dictionary'), ('start', {'info_dict': 5}, 'a dictionary'),
    ('process', {'info_dict': [], 'dst': 'out'}, 'a dictionary'), ('process', {'progress': 5}, 'a function, True or False'),
    ('process_submit', {'info_dict': 'x', 'dst': 'out'}, 'a dictionary'),
    ('process_map', {'timeout': 'x', 'dsts': []}, 'a number of seconds'),
    ('process_map', {'info_list': {}, 'dsts': []}, 'a list'),
    ('stop', {'info_dict': 5}, 'a dictionary')])
def test_arguments_of_a_wrong_type_are_told_by_name(call, wrong, wanted):
    accelerators = [apyfal.Accelerator('null')]
    if call != 'process_map':
        accelerators.append(accelerators[0].client)
    if call in ('start', 'stop'):
        asynchronous = getattr(apyfal.aio.Accelerator('null'), call)
        with pytest.raises(TypeError, match=f"'{next(iter(wrong))}' must be {wanted}, not"):
            asyncio.run(asynchronous(**wrong))
    for accelerator in accelerators:
        with pytest.raises(TypeError, match=f"'{next(iter(wrong))}' must be {wanted}, not"):
            getattr(accelerator, call)(**wrong)
    assert not pathlib.Path('out').exists()


def test_progress_may_raise_when_all_is_done(gzip):
    def done(read, total, written):
        if written:
            raise LookupError('mine')
    with pytest.raises(LookupError, match='mine'):
        gzip.process(b'abc', 'out', progress=done)
    assert standard_gzip.decompress(pathlib.Path('out').read_bytes()) == b'abc'


def test_progress_is_told(sha3):
    told = []

    class Slow(Minimal):
        def read(self, size):
            if self.data and not told:
                told_once.wait(10)
            return super().read(size)

    told_once = threading.Event()

    def progress(read, total, written):
        told.append((read, total, written))
        told_once.set()
    sha3.process(Slow(DATA), progress=progress, type='sha3-256')
    assert told[0][0] < len(DATA) and told[-1][0] == len(DATA)

    def raises(*_):
        raise LookupError('mine')
    told.clear()
    told_once.clear()
    with pytest.raises(LookupError, match='mine'):
        sha3.process(b'abc', progress=raises, type='sha3-256')


def test_a_bar_is_drawn_where_there_is_one(sha3, monkeypatch):
    class Bar:
        made = []

        def __init__(self, **_):
            self.n, self.total, self.closed = 0, None, False
            Bar.made.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.closed = True

        def update(self, count):
            self.n += count
    monkeypatch.setitem(sys.modules, 'tqdm', types.ModuleType('tqdm'))
    monkeypatch.setitem(sys.modules, 'tqdm.auto', types.ModuleType('tqdm.auto'))
    sys.modules['tqdm.auto'].tqdm = Bar
    sha3.process(DATA, progress=True, type='sha3-256')
    assert Bar.made[0].n == len(DATA) and Bar.made[0].closed
    sha3.process(DATA, progress=False, type='sha3-256')
    monkeypatch.setitem(sys.modules, 'tqdm.auto', None)
    sha3.process(DATA, progress=True, type='sha3-256')
    assert len(Bar.made) == 1


def test_not_started_is_said(place):
    with apyfal.Accelerator('sha3', **place) as accelerator:
        with pytest.raises(ClientRuntimeException, match='sha3 is not started'):
            accelerator.process(b'abc')
    with pytest.raises(ClientConfigurationException, match='no accelerator is named'):
        apyfal.Accelerator().start()


def test_what_was_raised_before_is_not_hidden(sha3):
    with pytest.raises(FileNotFoundError) as raised:
        try:
            raise LookupError('mine')
        except LookupError:
            sha3.process('missing')
    assert isinstance(raised.value.__context__, LookupError)
    with pytest.raises(FileNotFoundError) as raised:
        sha3.process('missing')
    assert raised.value.__context__ is None
