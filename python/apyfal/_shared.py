"""Accelerators that the drop-ins share: one of each name in a process, started when it is first needed."""
from __future__ import annotations

import io
import os
import threading
from typing import Any

import apyfal
from apyfal import configuration as _cfg
from apyfal import exceptions as _exc
from apyfal._logging import get_logger
from apyfal.client import _makes_host

# A destructor or a handler of signals may need one while one is made.
_lock = threading.RLock()
# None for one that did not start.
_started: dict[tuple[int, str], apyfal.Accelerator | None] = {}


def process(name: str, src: Any, dst: Any = None, /, **parameters: Any) -> dict[str, Any] | None:
    """Runs one job of an accelerator.

    Args:
        name: The accelerator's name.
        src, dst, parameters: As of `apyfal.Accelerator.process`: data or what has `read`, and what has `write`.

    Returns:
        The accelerator's own result; None where the standard module is to do it: nothing was written, and the source
        is where it was.

    Raises:
        apyfal.exceptions.AcceleratorException: The job failed, and it is too late for another one.
    """
    accelerator = started(name)
    if accelerator is None:
        return None
    begin = place(src)
    raw = isinstance(dst, io.RawIOBase)
    destination = None if dst is None else _RawDestination(dst) if raw else _Destination(dst)
    try:
        return accelerator.process(src, destination, **parameters)
    except _exc.AcceleratorException as error:
        if destination is not None and destination.is_begun:
            raise
        if hasattr(src, 'read'):
            if begin is None:
                raise
            src.seek(begin)
        get_logger().info("The standard module does what '%s' does not: %s", name, error)
        return None


def place(file: Any) -> int | None:
    """Where a file object is, if it knows that."""
    try:
        return int(file.tell())
    except (AttributeError, TypeError, ValueError, OSError):
        return None


def started(name: str) -> apyfal.Accelerator | None:
    """The accelerator of a name: on this machine, or on a host that runs already. None where it does not start."""
    key = os.getpid(), name
    if key not in _started:
        with _lock:
            if key not in _started:
                found = _start(name)
                _started.setdefault(key, found)
    return _started[key]


def _start(name: str) -> apyfal.Accelerator | None:
    try:
        config = _cfg.Configuration()
        # A machine costs, and nobody has asked for one.
        here = 'localhost' if _makes_host(config) else None
        accelerator = apyfal.Accelerator(name, config=config, host_type=here)
        accelerator.start()
    except _exc.AcceleratorException as error:
        # Once: the next call does not wait for a host again that does not answer.
        get_logger().warning("The standard module is used in place of '%s': %s", name, error)
        return None
    return accelerator


class _Destination:
    """A file object, which knows whether anything was written to it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.is_begun = False

    def write(self, data: Any) -> Any:
        self.is_begun = True
        return self._file.write(data)


class _RawDestination(_Destination, io.RawIOBase):
    """The same of one that may take less than it is given."""


def _after_fork() -> None:
    # Another thread may have held it, which is not in the child.
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
