"""Storages: files, web servers and object stores by URL.

`open` and `copy` take the URLs that `src` and `dst` of an accelerator take: paths, ``http(s)://``, ``s3://bucket/key``,
``oss://``, ``swift://``, and those of what is mounted. The storages of the configuration are there when first needed.
"""
from __future__ import annotations

import io
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from apyfal import _apyfal
from apyfal import configuration as _cfg
from apyfal import exceptions as _exc
from apyfal._arguments import location, text

__all__ = ['copy', 'mount', 'open', 'parse_url']

# What was mounted by the program, and where it has to be known.
_mounts: dict[str, dict[str, str]] = {}
_cores: weakref.WeakSet[_apyfal.Storage] = weakref.WeakSet()
_own: _apyfal.Storage | None = None
_own_process = 0
# So that each of them knows each mount. A destructor or a handler of signals may need it while it is held.
_lock = threading.RLock()


def _after_fork() -> None:
    global _lock
    # Another thread may have held it, which is not in the child; and those of the parent refuse there.
    _lock = threading.RLock()
    _cores.clear()


os.register_at_fork(after_in_child=_after_fork)


def core(config: _cfg.Configuration) -> _apyfal.Storage:
    """The storages of a configuration, and those that the program mounted."""
    made = _apyfal.Storage(config._core)
    with _lock:
        for name, options in list(_mounts.items()):
            made.mount(name, options)
        _cores.add(made)
    return made


def _storage() -> _apyfal.Storage:
    """The storages of the configuration that is found, made when first needed, anew after a fork."""
    global _own, _own_process
    with _lock:
        if _own is None or _own_process != os.getpid():
            _own, _own_process = core(_cfg.Configuration()), os.getpid()
        return _own


@contextmanager
def open(url: Any, mode: str = 'rb', encoding: str | None = None, errors: str | None = None,
         newline: str | None = None) -> Iterator[IO[Any]]:
    """Opens what is at a URL, for a ``with`` block.

    What is written appears at the end of the block, whole; where the block raises, nothing of it does.

    Args:
        url: A path or URL, or a file object of bytes.
        mode: As of Python's own `open`: ``'r'`` or ``'w'``, of text unless ``'b'`` is with it.
        encoding, errors, newline: As of Python's own `open`, for text.

    Raises:
        apyfal.exceptions.StorageException: There is nothing, or it cannot be read or written.
    """
    if ''.join(sorted(text(mode, 'mode'))) not in ('r', 'br', 'rt', 'w', 'bw', 'tw'):
        raise ValueError(f"mode {mode!r} is not supported: use 'rb', 'rt', 'wb' or 'wt'")
    if 'b' in mode:
        for name, value in (('encoding', encoding), ('errors', errors), ('newline', newline)):
            if value is not None:
                raise ValueError(f"'{name}' is for text: mode {mode!r} is of bytes")
    if hasattr(url, 'read') or hasattr(url, 'write'):
        # One of text stays as it is.
        is_wrapped = 'b' not in mode and not isinstance(url, io.TextIOBase)
        stream = io.TextIOWrapper(url, encoding, errors, newline) if is_wrapped else url
        try:
            yield stream
        finally:
            if is_wrapped:
                # The file object stays the caller's.
                stream.detach()
        return
    url = _url(url, 'url')
    raw: _Raw
    try:
        raw = _Reading(_storage().read(url)) if 'r' in mode else _Writing(_storage().write(url), 'b' not in mode)
    except OSError as error:
        _exc.of_file(error, url)
        raise
    buffered: Any = io.BufferedReader(raw, 1 << 20) if 'r' in mode else io.BufferedWriter(raw, 1 << 20)
    file = buffered if 'b' in mode else io.TextIOWrapper(buffered, encoding, errors, newline)
    try:
        yield file
        # Where it is closed, as by a wrapper that is collected, it has written all.
        if raw.writable() and not file.closed:
            file.flush()
    except BaseException:
        raw.abort()
        raise
    else:
        raw.commit()
    finally:
        raw.is_done = True
        file.close()


def _url(url: Any, name: str) -> str:
    try:
        return location(url, name)
    except ValueError as error:
        raise _exc.StorageConfigurationException(str(error)) from None


class _Raw(io.RawIOBase):
    """A stream of the library's."""
    is_done = False

    def commit(self) -> None:
        """The block ended well."""

    def abort(self) -> None:
        """The block raised."""


class _Reading(_Raw):
    def __init__(self, core: _apyfal.Reader) -> None:
        self._core = core

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast('B')
        data = self._core.read(len(view))
        view[:len(data)] = data
        return len(data)


class _Writing(_Raw):
    def __init__(self, core: _apyfal.Writer, is_text: bool) -> None:
        self._core = core
        self._is_text = is_text
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.is_done:
            # What is left over of a block that raised.
            return len(data)
        count = self._core.write(bytes(data))
        self._written += count
        return count

    def seekable(self) -> bool:
        # To Python's own text, which leaves out the mark of UTF-16 otherwise; not to those that would go back.
        return self._is_text

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset if whence == io.SEEK_SET else self._written + offset
        if not self._is_text or place != self._written:
            raise io.UnsupportedOperation('what is written cannot be gone back to')
        return place

    def tell(self) -> int:
        return self.seek(0, io.SEEK_CUR)

    def commit(self) -> None:
        self._core.commit()

    def abort(self) -> None:
        self._core.abort()


def copy(source: Any, destination: Any) -> None:
    """Copies what is at one URL to another: it appears whole, or not at all.

    Args:
        source: A path or URL, or a file object.
        destination: A path or URL, or a file object.

    Raises:
        apyfal.exceptions.StorageException: It cannot be read or written.
    """
    if not hasattr(source, 'read') and not hasattr(destination, 'write'):
        _storage().copy(_url(source, 'source'), _url(destination, 'destination'))
        return
    for given, name, method in ((source, 'source', 'read'), (destination, 'destination', 'write')):
        if not hasattr(given, method):
            _url(given, name)
    # As in `apyfal.host`.
    import shutil
    with open(source, 'rb') as src, open(destination, 'wb') as dst:
        shutil.copyfileobj(src, dst, 1 << 20)


def mount(storage_type: str, **kwargs: Any) -> None:
    """Makes an object store reachable, for this program.

    Args:
        storage_type: ``'AWS'`` (``s3://``), ``'Alibaba'`` (``oss://``) or ``'OpenStack'`` (``swift://``). With a
            name behind a dot, ``'AWS.archive'``, its URLs begin with ``archive://``.
        kwargs: `client_id`, `secret_id`, `region`, `endpoint`, `unsecure`, `project_id`, `auth_url` and so on. What
            is not given is what the configuration says; `config` is another one than that which is found.

    Raises:
        apyfal.exceptions.StorageConfigurationException: There is no such type, or an option is wrong.
    """
    _Storage(storage_type=storage_type, **kwargs).mount()


def parse_url(url: Any, host: bool = True) -> tuple[str, Any]:
    """What a URL means: the type of storage, and the path there.

    Args:
        url: A path or URL, or a file object, which is a ``'stream'``.
        host: See it as the host does, for which ``host://`` is a file of its own.
    """
    if hasattr(url, 'read'):
        return 'stream', url
    url = _url(url, 'url')
    scheme, found, path = url.partition('://')
    if not found:
        return 'file', url
    scheme = scheme.lower()
    return ('file' if host and scheme == 'host' else scheme), path


class _Storage:
    """An object store. Which class is made follows `storage_type`; see `mount`."""
    #: The type of host of the same provider.
    NAME: str | None = None
    #: What its URLs begin with.
    STORAGE_NAME: str | None = None
    #: Where it is documented.
    DOC_URL = ''
    #: What else its URLs may begin with: ``'name://'``.
    EXTRA_ROOT: str | None = None

    _OPTIONS = ('client_id', 'secret_id', 'session_token', 'region', 'endpoint', 'unsecure',
                'anonymous', 'project_id', 'auth_url', 'user_domain_name')

    def __new__(cls, *args: Any, **kwargs: Any) -> _Storage:
        if cls is not _Storage:
            return object.__new__(cls)
        storage_type = kwargs.get('storage_type') or (args[0] if args else None)
        return object.__new__(_class_of(str(storage_type or '')))

    def __init__(self, storage_type: str | None = None, config: Any = None,
                 storage_parameters: dict[str, Any] | None = None, **options: Any) -> None:
        self._config = _cfg.create_configuration(config)
        self._storage_type = storage_type or self.NAME or ''
        for name, value in {**options, **(storage_parameters or {})}.items():
            if not (value is None or isinstance(value, (str, int))):
                raise TypeError(f"'{name}' must be a str, True or False, not '{type(value).__name__}'")
            if isinstance(value, str):
                text(value, name)
        unknown = set(options).difference(self._OPTIONS)
        if unknown:
            raise _exc.StorageConfigurationException(
                f"'{sorted(unknown)[0]}' is no option of a storage: there are "
                f"{', '.join(self._OPTIONS)}")
        _, _, name = self._storage_type.partition('.')
        section = self._config[f'storage.{self.NAME}.{name}' if name else f'storage.{self.NAME}']
        options = {**options, **(storage_parameters or {})}
        self._options = {key: value for key in self._OPTIONS
                         if (value := options.get(key, section[key])) is not None}
        self._name = name

    @property
    def _client_id(self) -> str | None:
        return self._options.get('client_id')

    @property
    def _secret_id(self) -> str | None:
        return self._options.get('secret_id')

    @property
    def _unsecure(self) -> bool:
        return self._options.get('unsecure') in (True, 'True')

    def mount(self) -> None:
        """Makes it reachable."""
        names = [self._name or str(self.STORAGE_NAME)]
        if self.EXTRA_ROOT:
            names.append(self.EXTRA_ROOT.removesuffix('://'))
        options = {key: str(value) for key, value in self._options.items()}
        options['storage_type'] = str(self.NAME)
        with _lock:
            _storage()
            for name in names:
                for known in list(_cores):
                    known.mount(name, options)
                _mounts[name] = options


def _class_of(storage_type: str) -> type[_Storage]:
    from apyfal.storage.alibaba import OSSStorage
    from apyfal.storage.aws import S3Storage
    from apyfal.storage.openstack import SwiftStorage
    kind = storage_type.partition('.')[0].lower()
    for known in (S3Storage, OSSStorage, SwiftStorage):
        if kind in (known.NAME.lower(), known.STORAGE_NAME):
            return known
    raise _exc.StorageConfigurationException(
        f"storage_type cannot be '{storage_type}': there are 'AWS', 'Alibaba' and 'OpenStack'")
