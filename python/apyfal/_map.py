"""Many jobs, their results in order."""
from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future
from typing import Any, Generic, TypeAlias, TypeVar

from apyfal._arguments import check

#: The results of jobs, in order.
Results: TypeAlias = Generator[dict[str, Any], None, None]
#: A source and its destination.
Pair: TypeAlias = tuple[Any, Any]
#: The same, and a dictionary for what the job tells.
Wanted: TypeAlias = tuple[Any, Any, dict[str, Any] | None]
#: The result of a job, or the exception in place of that.
Outcome: TypeAlias = tuple[dict[str, Any], BaseException | None]
#: What is under way: a job, or several in turn.
_Work = TypeVar('_Work')
#: One job, or several in turn.
_Begun: TypeAlias = Future[dict[str, Any]] | Future[list[Outcome]]
#: Instead of a source or destination where there are none.
_NONE = object()
#: So many short files are worth a thread.
_MOST = 16


class Ahead(Generic[_Work]):
    """What is under way before its results are asked for: only as much as is of use.

    Args:
        begin: Begins jobs.
        width: Among how much another one is of use.
        info_list: Gets a dictionary of each job.
    """

    def __init__(self, begin: Callable[[list[Wanted]], _Work], width: Callable[[], int],
                 info_list: list[Any] | None) -> None:
        self._begin = begin
        self._width = width
        self._infos = info_list
        self._more = True
        #: In the order of their results.
        self.work: deque[_Work] = deque()

    def has_room(self) -> bool:
        """Whether more is of use. Until a host has told how much it does, it gets one job."""
        return self._more and len(self.work) < max(self._width(), 1)

    def add(self, pairs: list[Pair] | None) -> None:
        """Begins the jobs of some sources and their destinations; None says that there are no more."""
        if pairs is None:
            self._more = False
            return
        self.work.append(self._begin([(src, dst, self._info()) for src, dst in pairs]))

    def _info(self) -> dict[str, Any] | None:
        if self._infos is None:
            return None
        info: dict[str, Any] = {}
        self._infos.append(info)
        return info


def mapped(submit: Callable[..., Future[dict[str, Any]]],
           submit_all: Callable[[list[Wanted], dict[str, Any]], Future[list[Outcome]]],
           quick: Callable[[], int], width: Callable[[], int],
           srcs: Iterable[Any] | None, dsts: Iterable[Any] | None, timeout: float | None,
           info_list: list[Any] | None, parameters: dict[str, Any]) -> Results:
    """The results of the jobs of all pairs.

    Args:
        submit: Begins a job.
        submit_all: Begins some in turn, for which a thread each would take longer than they do.
        quick: Of files up to how many bytes they are, once it is known.
        width: Among how much under way more is of use.
        srcs, dsts, timeout, info_list, parameters: As of `apyfal.Accelerator.process_map`.
    """
    check(srcs=srcs, dsts=dsts, timeout=timeout, info_list=info_list)
    match(srcs, dsts)
    end = None if timeout is None else time.monotonic() + timeout

    def begin(jobs: list[Wanted]) -> _Begun:
        return submit_all(jobs, parameters) if len(jobs) > 1 else submit(*jobs[0], **parameters)

    def most() -> int:
        """How many files are worth a thread: none is without work for that."""
        # What is yet to come, as of a generator, holds up nothing that is there.
        lengths = [len(given) for given in (srcs, dsts) if isinstance(given, (list, tuple))]
        are_there = len(lengths) == 2 or (len(lengths) == 1 and (srcs is None or dsts is None))
        return min(_MOST, lengths[0] // (4 * max(width(), 1))) if are_there else 1
    return _results(Ahead(begin, width, info_list), _chunks(paired(srcs, dsts), quick, most), end)


def _chunks(pairs: Iterator[Pair], quick: Callable[[], int],
            most: Callable[[], int]) -> Iterator[list[Pair]]:
    """Pairs whose jobs are worth a thread: one, or several of short files."""
    short, longest = quick(), most()
    chunk: list[Pair] = []
    for pair in pairs:
        is_quick = longest > 1 and short > 0 and _is_quick(*pair, short)
        if chunk and not (is_quick and len(chunk) < longest):
            yield chunk
            chunk = []
        chunk.append(pair)
        if not is_quick:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _is_quick(src: Any, dst: Any, most: int) -> bool:
    """Whether a job reads a file of at most so many bytes, and writes none but a file."""
    # Such are data.
    if isinstance(src, bytes):
        return False
    try:
        found = os.stat(os.fspath(src))
        return (stat.S_ISREG(found.st_mode) and found.st_size <= most
                and (dst is None or '://' not in os.fsdecode(dst)))
    except (TypeError, ValueError, OSError):
        return False


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


def _results(ahead: Ahead[_Begun], chunks: Iterator[list[Pair]], end: float | None) -> Results:
    work = ahead.work
    outcomes: deque[Outcome] = deque()
    try:
        while True:
            while ahead.has_room():
                ahead.add(next(chunks, None))
            if not outcomes:
                if not work:
                    return
                left = None if end is None else max(end - time.monotonic(), 0)
                ended = work[0].result(left)
                outcomes.extend(ended if isinstance(ended, list) else [(ended, None)])
                del ended
                work.popleft()
            # Not kept while the caller works with it.
            yield _next(outcomes)
    finally:
        for begun in work:
            begun.cancel()


def _next(outcomes: deque[Outcome]) -> dict[str, Any]:
    result, error = outcomes.popleft()
    if error is None:
        return result
    try:
        raise error
    finally:
        # It knows this frame.
        del error
