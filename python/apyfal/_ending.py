"""How an accelerator ends that nobody stops: by the collector, at exit, at SIGTERM. Once, and by the process that
started it."""
from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from typing import Any

from apyfal import _apyfal
from apyfal._logging import get_logger

#: How long file objects that are read or written at the end of the program are waited for, in seconds.
_PATIENCE = 2.0


def _leave() -> None:
    """Has the threads of the library be out of Python before that ends, which would cut them off anywhere."""
    try:
        calling, _ = _apyfal.leave(_PATIENCE)
        if calling:
            get_logger().warning(
                "%d callbacks of jobs still run: the program ends once they have ended, "
                "and Ctrl-C cuts them off", calling)
        # In steps, between which Ctrl-C is seen.
        while calling:
            calling, _ = _apyfal.leave(0.05)
    except KeyboardInterrupt:
        # Python cannot end in order while they are in it, and would be aborted.
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


#: The ends of the accelerators that there are, in the order in which those were made.
_endings: dict[Ending, None] = {}
_is_at_exit = False


def at_exit() -> bool:
    """Whether the program is at its exit, which ends its accelerators."""
    return _is_at_exit


def _exit() -> None:
    """Ends the accelerators, the last one first, before the threads of the library leave Python."""
    global _is_at_exit
    _is_at_exit = True
    try:
        while _endings:
            next(reversed(_endings)).come()
    except BaseException:
        # Whoever interrupts waits for none of the others.
        for ending in list(_endings):
            ending.give_up()
        raise
    finally:
        _leave()


def _was_interrupted() -> bool:
    """Whether Ctrl-C has ended the program, and no mere line at a prompt."""
    kind = getattr(sys, 'last_type', None)
    return isinstance(kind, type) and issubclass(kind, KeyboardInterrupt) and not hasattr(sys, 'ps1')


# Not by those of `weakref.finalize`: where a program had one before this was imported, they would come last.
atexit.register(_exit)
os.register_at_fork(after_in_child=_apyfal.forked)


_seen_in = 0


def _see_the_end_of_a_child() -> None:
    """Where this is a child of `multiprocessing`, which leaves without what was registered at its exit."""
    global _seen_in
    processes = sys.modules.get('multiprocessing.process')
    if processes is None or processes.parent_process() is None or _seen_in == os.getpid():
        return
    from multiprocessing import util
    _seen_in = os.getpid()
    # After what the program itself does there.
    util.Finalize(None, _exit, exitpriority=-100)


class Ending:
    """The end of one accelerator, which knows its client and host and not itself.

    Args:
        accelerator: Whose end it is.
        client: Its client.
        host: Its host, where it has one.
    """

    def __init__(self, accelerator: object, client: Any, host: Any) -> None:
        self._process = os.getpid()
        self._armed = False
        self._client = client
        self._host = host
        self._dropped = weakref.ref(accelerator, lambda _: self.come())
        _endings[self] = None

    def arm(self) -> None:
        """There is something to end from now on."""
        self._armed = True
        _see_the_end_of_a_child()

    def disarm(self) -> None:
        """It was ended."""
        self._armed = False

    def give_up(self) -> None:
        """Has its jobs end, and waits for nothing."""
        if self._client is not None and self._process == os.getpid():
            self._client._interrupt()

    def come(self) -> None:
        """Ends the accelerator, unless that was done."""
        if _endings.pop(self, self) is self:
            return
        client, host = self._client, self._host
        self._client = self._host = None
        if not self._armed or self._process != os.getpid():
            return
        self._armed = False
        if not _is_at_exit and isinstance(threading.current_thread(), threading._DummyThread):
            # The collector came by within a file object or callback that the library calls, for whose job this waits.
            threading.Thread(target=self._end, args=(client, host), name='apyfal-end').start()
        else:
            self._end(client, host)

    @staticmethod
    def _end(client: Any, host: Any) -> None:
        try:
            if _is_at_exit and _was_interrupted():
                # Nobody is left who waits for its jobs, and they may have no end.
                client._interrupt()
            try:
                client.stop()
            finally:
                # One that was made is given back by the client.
                if host is not None and not host._is_made:
                    host.stop()
        except BaseException as error:
            get_logger().warning("%r could not be ended: %s", client, error)
            if not isinstance(error, Exception):
                client._interrupt()
                if getattr(client, '_core', None) is not None:
                    # Whoever interrupts waits no longer: a host that was made ends with its lease.
                    client._core.stop_mode = 'keep'
                raise
        finally:
            # Its files go with it, which at exit nobody else waits for.
            client._core = None


def prepare() -> None:
    """Has SIGTERM end the program in order, where nothing is said of it: blocks are left, and what runs is ended."""
    if threading.current_thread() is threading.main_thread() \
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


# Which signals a thread that forks hears otherwise.
_forking = threading.local()


def _terminate(number: int, _: object) -> None:
    if hasattr(_forking, 'mask'):
        # Whatever is raised around a fork is lost.
        threading.Timer(0.01, os.kill, (os.getpid(), number)).start()
        return
    # A second one ends at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise SystemExit(128 + number)


def _hold() -> None:
    """Before a fork: the child hears SIGTERM once it is no longer this program that would end by it."""
    if signal.getsignal(signal.SIGTERM) is _terminate and not hasattr(_forking, 'mask'):
        # Known before it is changed, whatever is raised in between.
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _release() -> None:
    if hasattr(_forking, 'mask'):
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)
        del _forking.mask


def _release_child() -> None:
    # It has nothing to end yet, and ends as children do, such as those of a pool of `multiprocessing`.
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release()


os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_release_child)
