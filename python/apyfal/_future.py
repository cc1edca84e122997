"""Futures of jobs."""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

from apyfal import _apyfal


class JobFuture(Future[dict[str, Any]]):
    """A future of a job's result. Unlike others it can be cancelled while it runs: that ends the job."""

    _job: _apyfal.Job | None = None

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


def submitted(
        submit: Callable[[Callable[[Any, BaseException | None], None]], _apyfal.Job],
        result: Callable[[dict[str, Any]], dict[str, Any]]) -> JobFuture:
    """The future of a job that is begun by `submit`; `result` makes its result of the response."""
    future = JobFuture()

    def done(response: dict[str, Any] | None, error: BaseException | None) -> None:
        # Nobody waits for a future that was cancelled.
        if not future.set_running_or_notify_cancel():
            return
        outcome: dict[str, Any] = {}
        if response is not None:
            try:
                outcome = result(response)
            except BaseException as wrong:
                # Who waits must learn it.
                error = wrong
        try:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(outcome)
        except InvalidStateError:
            pass

    future._job = submit(done)
    return future
