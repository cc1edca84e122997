"""The module `hashlib` of the standard library, with an accelerator behind SHA-3 and SHAKE: ``from apyfal import hashlib``.

Data that is given as a whole, and files of `file_digest`, go through the accelerator. What is added piece by piece, little
data, and all other hashes are left to the standard module.
"""
from __future__ import annotations

import hashlib as _standard
import io
import threading
from typing import Any, Self

from apyfal._ending import at_exit
from apyfal._shared import process

__all__ = ['file_digest', 'new', 'sha3_224', 'sha3_256', 'sha3_384', 'sha3_512', 'shake_128', 'shake_256']

#: Data below this many bytes costs less in the standard module.
SMALL = 64 << 10

_TYPES = {name: name.replace('_', '-') for name in __all__ if name.startswith('sha')}

# Those of the standard module, as they are there.
__all__ += [name for name in _standard.__all__ if name not in __all__]


def __getattr__(name: str) -> Any:
    """What else the standard module has."""
    return getattr(_standard, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_standard)})


class _Hash:
    """A hash of SHA-3 or SHAKE. Data that it got as a whole waits for the accelerator."""

    __slots__ = '_inner', '_whole', '_digest', '_lock'

    def __init__(self, name: str, data: Any, usedforsecurity: bool) -> None:
        # Bytes alone cannot change until the digest is asked for.
        waits = type(data) is bytes and len(data) >= SMALL
        self._whole: bytes | None = data if waits else None
        self._inner = _standard.new(name, b'' if waits else data, usedforsecurity=usedforsecurity)
        self._digest: bytes | None = None
        # Threads share a hash, and a handler of signals may use one that is in use.
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The hash's name."""
        return self._inner.name

    @property
    def digest_size(self) -> int:
        """The length of the digest in bytes; 0 where it is asked for."""
        return self._inner.digest_size

    @property
    def block_size(self) -> int:
        """The length of a block in bytes."""
        return self._inner.block_size

    def __getattr__(self, name: str) -> Any:
        if name == '_inner':
            # It is not made yet.
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __reduce__(self) -> Any:
        # Nor can that of the standard module.
        raise TypeError(f"cannot pickle '{self.name}' object")

    def update(self, data: Any, /) -> None:
        """Adds data."""
        with self._lock:
            if self._whole is not None:
                # Where this is interrupted, nothing has changed.
                inner = self._inner.copy()
                inner.update(self._whole)
                self._inner, self._whole = inner, None
            self._inner.update(data)

    def digest(self, *length: Any, **named: Any) -> bytes:
        """The digest; of SHAKE so many bytes of it."""
        with self._lock:
            return self._digested(*length, **named)

    def _digested(self, *length: Any, **named: Any) -> bytes:
        if length and isinstance(length[0], int) and not 0 <= length[0] < 1 << 29:
            raise ValueError('the length of a digest must be at least 0 and less than 536870912')
        if self._whole is None:
            return self._inner.digest(*length, **named)
        if self._inner.digest_size:
            if length or named:
                # The standard module knows how it refuses that.
                return self._inner.digest(*length, **named)
            if self._digest is None:
                self._digest = _digest(self.name, self._whole, None)
            return self._digest
        # It refuses a length that is none.
        wanted = len(self._inner.digest(*length, **named))
        return _digest(self.name, self._whole, wanted) if wanted else b''

    def hexdigest(self, *length: Any, **named: Any) -> str:
        """The digest in hexadecimal."""
        return self.digest(*length, **named).hex()

    def copy(self) -> Self:
        """Another one that got the same."""
        other = object.__new__(type(self))
        other._lock = threading.RLock()
        with self._lock:
            self._copy_to(other)
        return other

    def _copy_to(self, other: Any) -> None:
        other._inner, other._whole, other._digest = self._inner.copy(), self._whole, self._digest

    def __repr__(self) -> str:
        return f"<{self.name} of apyfal.hashlib>"


def _digest(name: str, source: Any, length: int | None) -> bytes:
    """The digest of a source, for SHAKE of so many bytes."""
    limit = 1 << 20
    if not at_exit() and (length is None or length <= limit):
        bits: dict[str, Any] = {} if length is None else {'length': 8 * length}
        result = process('sha3', source, type=_TYPES[name], **bits)
        if result is not None:
            return bytes.fromhex(result['digest'])
    if isinstance(source, bytes):
        made: Any = _standard.new(name, source)
    else:
        made = _standard.file_digest(source, name)
    return bytes(made.digest() if length is None else made.digest(length))


def _constructor(name: str) -> Any:
    def make(data: Any = b'', *, usedforsecurity: bool = True, **named: Any) -> _Hash:
        if 'string' in named:
            data = named.pop('string')
        if named:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
        return _Hash(name, data, usedforsecurity)
    make.__name__ = make.__qualname__ = name
    make.__doc__ = f'A hash of {_TYPES[name]}. See `hashlib.{name}`.'
    return make


sha3_224 = _constructor('sha3_224')
sha3_256 = _constructor('sha3_256')
sha3_384 = _constructor('sha3_384')
sha3_512 = _constructor('sha3_512')
shake_128 = _constructor('shake_128')
shake_256 = _constructor('shake_256')


def new(name: str, data: Any = b'', **kwargs: Any) -> Any:
    """A hash by its name. See `hashlib.new`."""
    known = isinstance(name, str) and name.lower().replace('-', '_')
    if known in _TYPES:
        return globals()[str(known)](data, **kwargs)
    return _standard.new(name, data, **kwargs)


def file_digest(fileobj: Any, digest: Any, /, **kwargs: Any) -> Any:
    """The hash of what is left of a file, and of all that is in a `BytesIO`. See `hashlib.file_digest`.

    Args:
        fileobj: A file object of bytes.
        digest: The hash's name, or what makes one.
    """
    name = digest if isinstance(digest, str) else _made_by(digest)
    if name not in _TYPES or name.startswith('shake') or kwargs or at_exit():
        return _standard.file_digest(fileobj, digest, **kwargs)
    if hasattr(fileobj, 'getbuffer'):
        # One of Python's own gives its bytes without a copy.
        data = fileobj.getvalue() if type(fileobj) is io.BytesIO else bytes(fileobj.getbuffer())
        return _Hash(name, data, True)
    if not (hasattr(fileobj, 'read') and hasattr(fileobj, 'readinto') and fileobj.readable()):
        # It reads what has no more than `readinto`, and knows how it refuses the rest.
        return _standard.file_digest(fileobj, digest)
    return _FileHash(name, fileobj)


def _made_by(digest: Any) -> str:
    """The name of the hash that a function makes, where that is known."""
    known = (name for name in _TYPES if digest is globals()[name] or digest is getattr(_standard, name))
    return next(known, '')


class _FileHash(_Hash):
    """The hash of a file. To add to it, the file is read again, by the standard module."""

    __slots__ = '_file', '_begin'

    def __init__(self, name: str, fileobj: Any) -> None:
        super().__init__(name, b'', True)
        self._file = fileobj
        try:
            self._begin: int | None = fileobj.tell()
        except (AttributeError, OSError):
            self._begin = None
        self._digest = _digest(name, fileobj, None)

    def _digested(self, *length: Any, **named: Any) -> bytes:
        if length or named or self._digest is None:
            return self._inner.digest(*length, **named)
        return self._digest

    def update(self, data: Any, /) -> None:
        """Adds data, where the file can be read again and is as it was."""
        with self._lock:
            if self._digest is not None:
                self._inner, self._digest, self._file = self._read_again(), None, None
            self._inner.update(data)

    def _read_again(self) -> Any:
        read = _standard.new(self.name)
        if self._begin is not None and not getattr(self._file, 'closed', False):
            place = self._file.tell()
            self._file.seek(self._begin)
            while block := self._file.read(1 << 20):
                read.update(block)
            self._file.seek(place)
        if read.digest() != self._digest:
            raise ValueError('nothing can be added to the hash of a file that is closed, changed or a stream')
        return read

    def _copy_to(self, other: Any) -> None:
        super()._copy_to(other)
        other._file, other._begin = self._file, self._begin
