"""Many jobs, their results in order."""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future
from typing import Any, Generic, TypeAlias, TypeVar

from apyfal._arguments import check

#: The results of jobs, in order.
Results: TypeAlias = Generator[dict[str, Any], None, None]
#: A job under way.
_Job = TypeVar('_Job')
#: Instead of a source or destination where there are none.
_NONE = object()


class Ahead(Generic[_Job]):
    """The jobs that are under way before their results are asked for: only as many as are of use.

    Args:
        begin: Begins the job of a source, a destination, and a dictionary for what it tells.
        width: Among how many jobs another one is of use.
        info_list: Gets that dictionary, of each job.
    """

    def __init__(self, begin: Callable[[Any, Any, dict[str, Any] | None], _Job],
                 width: Callable[[], int], info_list: list[Any] | None) -> None:
        self._begin = begin
        self._width = width
        self._infos = info_list
        self._more = True
        #: In the order of their results.
        self.jobs: deque[_Job] = deque()

    def has_room(self) -> bool:
        """Whether another one is of use. Until a host has told how much it does, it gets one."""
        return self._more and len(self.jobs) < max(self._width(), 1)

    def add(self, pair: tuple[Any, Any] | None) -> None:
        """Begins the job of a source and its destination; None says that there are no more."""
        if pair is None:
            self._more = False
            return
        info: dict[str, Any] | None = None
        if self._infos is not None:
            info = {}
            self._infos.append(info)
        self.jobs.append(self._begin(*pair, info))


def mapped(submit: Callable[..., Future[dict[str, Any]]], width: Callable[[], int],
           srcs: Iterable[Any] | None, dsts: Iterable[Any] | None, timeout: float | None,
           info_list: list[Any] | None, parameters: dict[str, Any]) -> Results:
    """The results of the jobs of all pairs.

    Args:
        submit: Begins a job.
        width: Among how many jobs another one is of use.
        srcs, dsts, timeout, info_list, parameters: As of `apyfal.Accelerator.process_map`.
    """
    check(srcs=srcs, dsts=dsts, timeout=timeout, info_list=info_list)
    match(srcs, dsts)
    end = None if timeout is None else time.monotonic() + timeout
    ahead = Ahead(lambda *job: submit(*job, **parameters), width, info_list)
    return _results(ahead, paired(srcs, dsts), end)


def match(srcs: object, dsts: object) -> None:
    """Refuses sources and destinations of which it is seen at once that they are none, or not as many."""
    if isinstance(srcs, Sized) and isinstance(dsts, Sized) and len(srcs) != len(dsts):
        raise unequal()
    if srcs is None and dsts is None:
        raise ValueError("process_map needs 'srcs' or 'dsts'")


def paired(srcs: Iterable[Any] | None, dsts: Iterable[Any] | None) -> Iterator[tuple[Any, Any]]:
    """Sources with their destinations. What the caller's generators raise comes out as itself."""
    if srcs is None:
        yield from ((None, dst) for dst in dsts or ())
    elif dsts is None:
        yield from ((src, None) for src in srcs)
    else:
        sources, destinations = iter(srcs), iter(dsts)
        while True:
            src, dst = next(sources, _NONE), next(destinations, _NONE)
            if src is _NONE and dst is _NONE:
                return
            if src is _NONE or dst is _NONE:
                raise unequal()
            yield src, dst


def unequal() -> ValueError:
    """What is raised where there are not as many sources as destinations."""
    return ValueError("'srcs' and 'dsts' must be as many")


def _results(ahead: Ahead[Future[dict[str, Any]]], pairs: Iterator[tuple[Any, Any]],
             end: float | None) -> Results:
    jobs = ahead.jobs
    try:
        while True:
            while ahead.has_room():
                ahead.add(next(pairs, None))
            if not jobs:
                return
            left = None if end is None else max(end - time.monotonic(), 0)
            # Not kept while the caller works with it.
            yield jobs.popleft().result(left) if jobs[0].done() else _next(jobs, left)
    finally:
        for job in jobs:
            job.cancel()


def _next(jobs: deque[Future[dict[str, Any]]], left: float | None) -> dict[str, Any]:
    result = jobs[0].result(left)
    jobs.popleft()
    return result
