"""Accelerators that the drop-ins share: one of each name in a process, started when it is first needed."""
from __future__ import annotations

import os
import threading

import apyfal

# A destructor or a handler of signals may need one while one is made.
_lock = threading.RLock()
_started: dict[tuple[int, str], apyfal.Accelerator] = {}


def started(name: str) -> apyfal.Accelerator:
    """The accelerator of a name, where the configuration says."""
    key = os.getpid(), name
    found = _started.get(key)
    if found is None:
        with _lock:
            found = _started.get(key)
            if found is None:
                found = apyfal.Accelerator(name)
                found.start()
                found = _started.setdefault(key, found)
    return found


def _after_fork() -> None:
    # Another thread may have held it, which is not in the child.
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
