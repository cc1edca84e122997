"""The module `gzip` of the standard library, with an accelerator behind it: ``from apyfal import gzip``.

Compressing goes through the accelerator in blocks, and so does what is decompressed as a whole: `decompress`, and `read`
without a size. Little data, level 0, and reading piece by piece are left to the standard module. What is written has the
same content to every reader; its bytes differ, since a block is a member of its own.
"""
from __future__ import annotations

import atexit
import gzip as _standard
import io
import os
import time
import warnings
import weakref
from contextlib import ExitStack
from errno import EBADF
from gzip import READ, WRITE, BadGzipFile
from typing import Any

from apyfal._ending import at_exit
from apyfal._shared import place, process
from apyfal.exceptions import AcceleratorException

__all__ = ['BadGzipFile', 'GzipFile', 'READ', 'WRITE', 'compress', 'decompress', 'open']

#: Data below this many bytes costs less in the standard module.
SMALL = 32 << 10
#: How much is collected before it is compressed, in bytes: enough to keep several cores busy.
BLOCK = 8 << 20


def __getattr__(name: str) -> Any:
    """What else the standard module has."""
    return getattr(_standard, name)


def compress(data: Any, compresslevel: int = 9, *, mtime: float | None = None) -> bytes:
    """Compresses data. See `gzip.compress`.

    Args:
        data: A buffer.
        compresslevel: From 1, the fastest, to 9, the smallest; 0 stores.
        mtime: The time to store, in seconds since 1970; None stores the present one, 0 none.
    """
    result = io.BytesIO()
    if _is_level(compresslevel) and _is_time(mtime) and _is_for_accelerator(memoryview(data).nbytes) \
            and process('gzip', data, result, level=compresslevel, mtime=_seconds(mtime)) is not None:
        return result.getvalue()
    return _standard.compress(data, compresslevel, mtime=mtime)


def decompress(data: Any) -> bytes:
    """Decompresses data. See `gzip.decompress`.

    Raises:
        gzip.BadGzipFile, EOFError, zlib.error: It is no such data, or is cut off.
    """
    if _is_for_accelerator(memoryview(data).nbytes):
        content = _decompressed(data)
        if content is not None:
            return content.getvalue()
    # The standard module knows how it says what is wrong.
    return _standard.decompress(data)


def open(filename: Any, mode: str = 'rb', compresslevel: int = 9, encoding: str | None = None,
         errors: str | None = None, newline: str | None = None) -> Any:
    """Opens a compressed file. See `gzip.open`."""
    if 't' in mode:
        if 'b' in mode:
            raise ValueError(f'Invalid mode: {mode!r}')
    elif not encoding is errors is newline is None:
        raise ValueError("'encoding', 'errors' and 'newline' are for text: add 't' to the mode")
    if isinstance(filename, (str, bytes, os.PathLike)):
        binary = GzipFile(filename, mode.replace('t', ''), compresslevel)
    elif hasattr(filename, 'read') or hasattr(filename, 'write'):
        binary = GzipFile(None, mode.replace('t', ''), compresslevel, filename)
    else:
        raise TypeError('filename must be a str or bytes object, or a file')
    if 't' not in mode:
        return binary
    return io.TextIOWrapper(binary, io.text_encoding(encoding), errors, newline)


class GzipFile(_standard.GzipFile):
    """A compressed file. See `gzip.GzipFile`."""

    # What the standard class has, for those who check types.
    fileobj: Any
    myfileobj: Any
    _buffer: Any
    _start: int | None

    def __init__(self, filename: Any = None, mode: str | None = None, compresslevel: int = 9,
                 fileobj: Any = None, mtime: float | None = None) -> None:
        self._writes = False
        if mode and ('t' in mode or 'U' in mode):
            raise ValueError(f'Invalid mode: {mode!r}')
        wanted = mode or getattr(fileobj, 'mode', 'rb')
        if not isinstance(wanted, str) or not wanted.startswith(('w', 'a', 'x')) \
                or not _is_level(compresslevel) or not _is_time(mtime):
            # The standard class refuses what is wrong.
            super().__init__(filename, mode, compresslevel, fileobj, mtime)
            self._start = place(self.fileobj)
            return
        if mode is None:
            warnings.warn('the mode of GzipFile was taken from its file, which is open for writing: '
                          'say so, since later versions of Python will not', FutureWarning, stacklevel=2)
        if fileobj is None:
            binary = wanted if 'b' in wanted else wanted + 'b'
            fileobj = io.open(filename, binary)
            self.myfileobj = fileobj
        if filename is None:
            filename = getattr(fileobj, 'name', '')
            filename = filename if isinstance(filename, (str, bytes)) else ''
        self.name = os.fspath(filename)
        self.mode = WRITE
        self.fileobj = fileobj
        self._writes = True
        self._level = compresslevel
        self._write_mtime = mtime
        self._held = bytearray()
        self._begun = False
        self.offset = 0
        _writing.add(self)

    def write(self, data: Any) -> int:
        """Writes data, which is compressed once there is enough of it; its length in bytes."""
        if not self._writes:
            return super().write(data)
        if self.fileobj is None:
            raise ValueError('write() on closed GzipFile object')
        view = memoryview(data)
        length = view.nbytes
        self.offset += length
        if length >= BLOCK and not self._held:
            self._emit(view)
            return length
        self._held += view.cast('B') if view.c_contiguous else view.tobytes()
        if len(self._held) >= BLOCK:
            self._emit_held()
        return length

    def _emit_held(self) -> None:
        held, self._held = self._held, bytearray()
        self._emit(held)

    def _emit(self, data: Any) -> None:
        """Writes data as members of their own. The first one has the name and the time."""
        is_first, self._begun = not self._begun, True
        fileobj: Any = self.fileobj
        if _is_for_accelerator(memoryview(data).nbytes):
            parameters: dict[str, Any] = {'level': self._level}
            if is_first:
                parameters['mtime'] = _seconds(self._write_mtime)
                name = _stored_name(self.name)
                if name:
                    parameters['name'] = name
            if process('gzip', data, fileobj, **parameters) is not None:
                return
        mtime = self._write_mtime if is_first else 0
        with _standard.GzipFile(self.name if is_first else b'', 'wb', self._level, fileobj, mtime) as member:
            member.write(data)

    def flush(self, zlib_mode: int = 2) -> None:
        """Writes all that there is, so that it can be read."""
        if not self._writes:
            super().flush(zlib_mode)
        elif self.fileobj is None:
            raise ValueError('I/O operation on closed file')
        else:
            if self._held:
                self._emit_held()
            fileobj: Any = self.fileobj
            fileobj.flush()

    def read(self, size: int | None = -1) -> bytes:
        """Reads; without a size all that there is, which the accelerator decompresses."""
        is_whole = (size is None or size < 0) and self.mode == READ
        if is_whole and self.fileobj is not None and self._buffer.tell() == 0:
            self._take_whole()
        return super().read(size)

    def _take_whole(self) -> None:
        """Decompresses all of a file that is to be read from its start, where it can be found again."""
        reader: Any = self._buffer
        fileobj: Any = self.fileobj
        if not isinstance(reader.raw, _standard._GzipReader):
            return
        begin = place(fileobj)
        # The reader may have read on, and hold what a seek or a peek left.
        if begin is None or begin != self._start:
            return
        try:
            compressed = fileobj.read()
        except OSError:
            return
        result = _decompressed(compressed) if _is_for_accelerator(len(compressed)) else None
        if result is None:
            # The standard module reads it, or knows how it says what is wrong.
            fileobj.seek(begin)
            return
        header = compressed[4:8]
        self._buffer = io.BufferedReader(_Whole(result.getbuffer(), int.from_bytes(header, 'little')))

    def fileno(self) -> int:
        """The number of the file beneath."""
        return int(self.fileobj.fileno())

    def close(self) -> None:
        """Writes what is left, and closes the file if this opened it."""
        if not self._writes:
            super().close()
            return
        fileobj = self.fileobj
        if fileobj is None:
            return
        _writing.discard(self)
        try:
            if self._held or not self._begun:
                self._emit_held()
        finally:
            self.fileobj = None
            if self.myfileobj is not None:
                self.myfileobj.close()
                self.myfileobj = None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to another place. In a file that is written only forward, over zeros."""
        if not self._writes:
            return super().seek(offset, whence)
        if whence == io.SEEK_CUR:
            offset += self.offset
        elif whence != io.SEEK_SET:
            raise ValueError('Seek from end not supported')
        if offset < self.offset:
            raise OSError('Negative seek in write mode')
        while self.offset < offset:
            self.write(bytes(min(offset - self.offset, BLOCK)))
        return self.offset

    def tell(self) -> int:
        """The place in the content, in bytes."""
        if not self._writes:
            return super().tell()
        if self.fileobj is None:
            raise ValueError('I/O operation on closed file')
        return self.offset

    def peek(self, n: int) -> bytes:
        """What comes next, at least a byte, which stays there."""
        if self._writes:
            raise OSError(EBADF, 'peek() on write-only GzipFile object')
        return super().peek(n)


# Files that are written to, for the exit of the program: what Python then destroys may find no codecs any more.
_writing: weakref.WeakSet[GzipFile] = weakref.WeakSet()


@atexit.register
def _write_all() -> None:
    with ExitStack() as files:
        for file in list(_writing):
            if file._held or not file._begun:
                files.callback(file._emit_held)


class _Whole(io.RawIOBase):
    """Content that was decompressed as a whole."""

    def __init__(self, content: memoryview, mtime: int) -> None:
        self._content = content
        self._at = 0
        self._last_mtime = mtime

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._content[self._at:self._at + len(buffer)]
        buffer[:len(part)] = part
        self._at += len(part)
        return len(part)

    def readall(self) -> bytes:
        part = bytes(self._content[self._at:])
        self._at = len(self._content)
        return part

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._at, len(self._content))[whence]
        self._at = min(max(base + offset, 0), len(self._content))
        return self._at

    def tell(self) -> int:
        return self._at


def _is_level(level: Any) -> bool:
    return isinstance(level, int) and 1 <= level <= 9


def _is_time(mtime: Any) -> bool:
    """Whether the format can hold a time."""
    return mtime is None or isinstance(mtime, (int, float)) and 0 <= mtime <= 0xFFFFFFFF


def _is_for_accelerator(length: int) -> bool:
    # A file that nobody closed is written at exit.
    return length >= SMALL and not at_exit()


def _decompressed(compressed: Any) -> io.BytesIO | None:
    """The content; None where the accelerator cannot tell it."""
    result = io.BytesIO()
    # Nobody has seen of it what is there where the rest is wrong.
    try:
        return None if process('gunzip', compressed, result) is None else result
    except AcceleratorException:
        return None


def _seconds(mtime: float | None) -> int:
    return int(time.time() if mtime is None else mtime) & 0xFFFFFFFF


def _stored_name(name: str | bytes) -> str:
    """The name that is stored: that of the file alone, without its ending, where the format can hold it."""
    try:
        base = os.path.basename(os.fsencode(name) if isinstance(name, str) else name).decode('ascii')
    except UnicodeDecodeError:
        return ''
    return base.removesuffix('.gz')
