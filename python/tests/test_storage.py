"""Storages by URL."""
import errno
import io
import os
import pathlib
import threading
import zipfile

import pytest
from servers import PAGE

import apyfal
from apyfal import storage
from apyfal.exceptions import (
    AcceleratorException, StorageConfigurationException, StorageException,
    StorageResourceNotExistsException)

DATA = bytes(range(256)) * 10_000


def test_open(tmp_path):
    with storage.open('file', 'wb') as file:
        file.write(DATA)
        assert not pathlib.Path('file').exists(), 'it appears whole'
    with storage.open(tmp_path / 'file') as file:
        assert file.read(3) == DATA[:3] and file.read() == DATA[3:]
    with storage.open('text', 'wt', encoding='latin-1', newline='\r\n') as file:
        file.write('é\n')
    assert pathlib.Path('text').read_bytes() == b'\xe9\r\n'
    for mode in ('rt', 'r'):
        with storage.open('text', mode, encoding='latin-1') as file:
            assert list(file) == ['é\n']


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-32', 'utf-8-sig', 'utf-8', 'latin-1'])
def test_text_is_written_as_by_python(encoding):
    text = 'first\n' + 'é' * 2_000_000
    with storage.open('ours', 'wt', encoding=encoding) as file:
        file.write(text)
        assert file.seekable() and file.tell() > 2_000_000 and file.seek(file.tell())
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)
        file.write('last')
    with open('theirs', 'w', encoding=encoding) as file:
        file.write(text + 'last')
    assert pathlib.Path('ours').read_bytes() == pathlib.Path('theirs').read_bytes()
    with storage.open('ours', 'rt', encoding=encoding) as file:
        assert file.read() == text + 'last'


def test_an_archive_is_written_as_to_a_stream():
    with storage.open('ours.zip', 'wb') as file, zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('name', DATA)
    with zipfile.ZipFile('ours.zip') as archive:
        assert archive.read('name') == DATA


def test_a_file_may_be_closed_within_the_block():
    with storage.open('file', 'wb') as file:
        # Closes it where it is collected.
        print('text', file=io.TextIOWrapper(file, 'utf-8'))
    with storage.open('file', 'rb') as file:
        assert io.TextIOWrapper(file, 'utf-8').read() == 'text\n'
    for mode, data in (('wb', b'more'), ('w', 'more')):
        with storage.open('file', mode) as file:
            file.write(data)
            file.close()
        assert pathlib.Path('file').read_text() == 'more'
    with pytest.raises(LookupError), storage.open('file', 'wb') as file:
        file.write(b'other')
        file.close()
        raise LookupError
    assert pathlib.Path('file').read_text() == 'more'


def test_files_are_called_by_any_bytes():
    path = os.fsencode(pathlib.Path.cwd()) + b'/\xff'
    with storage.open(path, 'wb') as file:
        file.write(DATA)
    with storage.open(os.fsdecode(path)) as file:
        assert file.read() == DATA
    storage.copy(path, b'\xfe')
    assert pathlib.Path(os.fsdecode(b'\xfe')).read_bytes() == DATA
    with pytest.raises(FileNotFoundError):
        storage.copy(b'missing\xff', 'here')


def test_what_raises_leaves_what_was_there():
    pathlib.Path('file').write_text('before')
    with pytest.raises(LookupError, match='mine'):
        with storage.open('file', 'wb') as file:
            file.write(DATA)
            raise LookupError('mine')
    assert pathlib.Path('file').read_text() == 'before'
    assert [path.name for path in pathlib.Path().iterdir()] == ['file'], 'and nothing else'


def test_file_objects_stay_the_callers():
    stream = io.BytesIO(b'text')
    with storage.open(stream, 'rt', encoding='utf-8') as file:
        assert file.read() == 'text'
    with storage.open(stream, 'rb') as file:
        assert file is stream
    with pytest.raises(LookupError, match='mine'):
        with storage.open(stream, 'wt', encoding='utf-8'):
            raise LookupError('mine')
    assert not stream.closed
    text = io.StringIO('text')
    with storage.open(text, 'rt') as file:
        assert file is text


def test_the_web(web):
    with storage.open(web + '/file') as file:
        assert file.read() == PAGE
    storage.copy(web + '/file', 'copy')
    assert pathlib.Path('copy').read_bytes() == PAGE
    with pytest.raises(StorageResourceNotExistsException):
        storage.copy(web + '/missing', 'other')
    with pytest.raises(StorageException, match='only be read'):
        with storage.open(web + '/file', 'wb'):
            pass


def test_copy():
    pathlib.Path('one').write_bytes(DATA)
    storage.copy('one', pathlib.Path('two'))
    storage.copy(io.BytesIO(b'x'), 'three')
    memory = io.BytesIO()
    storage.copy('two', memory)
    assert memory.getvalue() == DATA and pathlib.Path('three').read_bytes() == b'x'


@pytest.mark.parametrize('url, meant', [
    ('a/path', ('file', 'a/path')), ('file://a/path', ('file', 'a/path')),
    ('host://a/path', ('file', 'a/path')), ('S3://bucket/Key', ('s3', 'bucket/Key')),
    (pathlib.Path('a'), ('file', 'a')), (b'a', ('file', 'a'))])
def test_parse_url(url, meant):
    assert storage.parse_url(url) == meant
    stream = io.BytesIO()
    assert storage.parse_url(stream) == ('stream', stream)
    assert storage.parse_url('host://x', host=False) == ('host', 'x')


@pytest.mark.parametrize('url, mode, error, message', [
    ('missing', 'rb', StorageResourceNotExistsException, 'no such file'),
    ('missing', 'rb', FileNotFoundError, "'missing'"),
    ('nosuch://a/b', 'rb', StorageConfigurationException, "no storage is mounted as 'nosuch'"),
    ('', 'rb', StorageConfigurationException, 'empty'),
    ('host://a', 'rb', PermissionError, 'authorized'),
    ('file', 'x', ValueError, 'mode'), ('file', 'r+', ValueError, 'mode'),
    ('file', 'rbt', ValueError, 'mode'), ('file', 'rr', ValueError, 'mode'), ('file', 5, TypeError, "'mode'"),
    ('a\0b', 'rb', StorageException, "'url' has a NUL"), ('a\ud800', 'wb', StorageException, "'url' has half"),
    (3, 'rb', TypeError, "'url' must be a path or URL, not 'int'")])
def test_what_is_wrong(url, mode, error, message):
    with pytest.raises(error) as raised:
        with storage.open(url, mode):
            pass
    assert message in str(raised.value)


def test_what_is_wrong_with_other_calls():
    for call, name in ((lambda: storage.copy(5, 'x'), 'source'), (lambda: storage.copy('x', 5), 'destination'),
                       (lambda: storage.copy(io.BytesIO(), 5), 'destination'), (lambda: storage.parse_url(5), 'url'),
                       (lambda: storage.mount('AWS.x', client_id=object()), 'client_id')):
        with pytest.raises(TypeError, match=f"'{name}' must be"):
            call()
    for given in ({'encoding': 'utf-8'}, {'errors': 'strict'}, {'newline': ''}):
        with pytest.raises(ValueError, match=next(iter(given))):
            with storage.open('file', 'wb', **given):
                pass
    with pytest.raises(FileNotFoundError) as raised:
        with storage.open('missing'):
            pass
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, 'missing')


def test_an_object_store(moto):
    storage.mount(storage_type='AWS', client_id='AK', secret_id='SK', region='us-east-1',
                  endpoint=moto, unsecure=True)
    with storage.open('s3://bucket/key', 'wb') as file:
        file.write(DATA)
    with storage.open('s3://bucket/key') as file:
        assert file.read() == DATA
    storage.copy('s3://bucket/key', 's3://bucket/copy')
    storage.copy('s3://bucket/copy', 'here')
    assert pathlib.Path('here').read_bytes() == DATA
    with pytest.raises(StorageResourceNotExistsException):
        storage.copy('s3://bucket/missing', 'here')
    with pytest.raises(LookupError):
        with storage.open('s3://bucket/half', 'wb') as file:
            file.write(DATA)
            raise LookupError
    with pytest.raises(FileNotFoundError):
        storage.copy('s3://bucket/half', 'here')
    # What the program mounted is where its accelerators read and write.
    with apyfal.Accelerator('gzip') as gzip, apyfal.Accelerator('gunzip') as gunzip:
        gzip.start()
        gunzip.start()
        gzip.process('s3://bucket/key', 's3://bucket/key.gz')
        memory = io.BytesIO()
        gunzip.process('s3://bucket/key.gz', memory)
    assert memory.getvalue() == DATA


def test_mounts():
    storage.mount('AWS.archive', client_id='a', secret_id='hush', region='r', unsecure=True,
                  endpoint='http://127.0.0.1:9')
    with pytest.raises(StorageException) as raised:
        with storage.open('archive://bucket/key'):
            pass
    assert 'mounted' not in str(raised.value) and 'hush' not in str(raised.value)
    with pytest.raises(StorageConfigurationException, match="storage_type cannot be 'nosuch'"):
        storage.mount('nosuch')
    with pytest.raises(StorageConfigurationException, match="'regoin' is no option"):
        storage.mount('AWS', regoin='x')
    for value in ('hush\0', 'hush\ud800'):
        with pytest.raises(ValueError, match="'secret_id' has") as raised:
            storage.mount('AWS.never', client_id='a', secret_id=value)
        assert 'hush' not in str(raised.value)


def test_a_mount_reaches_accelerators_that_there_are():
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        with pytest.raises(AcceleratorException, match='later'):
            sha3.process('later://bucket/key')
        storage.mount('AWS.later', client_id='a', secret_id='hush', region='r', unsecure=True,
                      endpoint='http://127.0.0.1:9')
        with pytest.raises(AcceleratorException, match='127.0.0.1:9'):
            sha3.process('later://bucket/key')


def test_mounts_while_accelerators_are_made(monkeypatch):
    class Mounts(dict):
        """Has another thread mount while they are gone through."""

        def items(self):
            for item in super().items():
                later.start()
                later.join(0.1)
                yield item

    def mount(name):
        storage.mount(f'AWS.{name}', region='r', endpoint='http://127.0.0.1:9')
    later = threading.Thread(target=mount, args=['second'])
    monkeypatch.setattr(storage, '_mounts', Mounts())
    mount('first')
    made = storage.core(apyfal.configuration.Configuration())
    later.join()
    assert {'first', 'second'} <= set(made.mounts)


def test_a_child_mounts_for_itself(program):
    program("""
    import apyfal, os, warnings
    warnings.simplefilter('ignore')
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        child = os.fork()
        if not child:
            apyfal.storage.mount('AWS.own', region='r', endpoint='http://127.0.0.1:9')
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """)
