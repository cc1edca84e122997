"""Futures of jobs."""
from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

from apyfal import _apyfal, exceptions


_Result = TypeVar('_Result')


class JobFuture(Future[_Result]):
    """A future of the result of a job, or of several in turn. Unlike others it can be cancelled while it runs: that
    ends the job."""

    _job: _apyfal.Job | None = None
    # Those of its client that have not ended, itself among them.
    _among: set[Future[Any]]
    # What its class has, for those who check types.
    _done_callbacks: list[Any]

    def cancel(self) -> bool:
        """Ends the job, unless it has ended. Whether it is cancelled."""
        cancelled = super().cancel()
        if cancelled and self._job is not None:
            self._job.cancel()
        return cancelled

    def running(self) -> bool:
        """Whether the job runs, and waits for no place any more."""
        return not self.done() and self._job is not None and self._job.is_running

    @property
    def progress(self) -> tuple[int, int | None, int]:
        """Bytes read, bytes to read where that is known, and bytes written."""
        return (0, None, 0) if self._job is None else self._job.progress

    def _refuse(self) -> None:
        """Fails, in a child that was forked while the job ran: nobody there ends it."""
        # Other threads may have held these, which are not in the child.
        self._condition = threading.Condition()
        for waiter in self._waiters:
            waiter.event = threading.Event()
            if hasattr(waiter, 'lock'):
                waiter.lock = threading.Lock()
        # They are the parent's, such as its event loops.
        self._done_callbacks.clear()
        self._job = None
        self._among.discard(self)
        if self.cancelled():
            if self._state == 'CANCELLED':
                self.set_running_or_notify_cancel()
        elif not self.done():
            self.set_exception(exceptions.from_core(
                'conflict', 'client', 'this job belongs to the process that this one was forked from',
                ['make an accelerator in each process'], {}))

    def __repr__(self) -> str:
        shown = super().__repr__()
        return shown.replace('state=pending', 'state=running', 1) if self.running() else shown


# Those whose jobs run; a child that is forked meanwhile has them too.
_open: weakref.WeakSet[JobFuture[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    global _open
    left, _open = list(_open), weakref.WeakSet()
    for future in left:
        future._refuse()


os.register_at_fork(after_in_child=_after_fork)


def submitted(
        submit: Callable[[Callable[[Any, BaseException | None], None]], _apyfal.Job],
        result: Callable[[Any], _Result],
        among: set[Future[Any]]) -> JobFuture[_Result]:
    """The future of a job.

    Args:
        submit: Begins the job.
        result: Makes its result of the response.
        among: Has the future until it is done.
    """
    future: JobFuture[_Result] = JobFuture()
    future._among = among

    def done(response: Any, error: BaseException | None) -> None:
        # Nobody waits for a future that was cancelled.
        if not future.set_running_or_notify_cancel():
            return
        try:
            if error is not None:
                # Who waits handles something else than who submits it here.
                if error.__context__ is sys.exception():
                    error.__context__ = None
                future.set_exception(error)
                return
            try:
                outcome = result(response)
            except BaseException as wrong:
                # Who waits must learn it.
                future.set_exception(wrong)
            else:
                future.set_result(outcome)
        except InvalidStateError:
            pass

    future._job = submit(done)
    if not future.done():
        _open.add(future)
        among.add(future)
        future.add_done_callback(among.discard)
    return future
