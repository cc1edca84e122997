"""Many jobs, their results in order."""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future
from typing import Any

#: Instead of a source or destination where there are none.
_NONE = object()


def mapped(submit: Callable[..., Future[dict[str, Any]]], width: Callable[[], int],
           srcs: Iterable[Any] | None, dsts: Iterable[Any] | None, timeout: float | None,
           info_list: list[Any] | None, parameters: dict[str, Any],
           ) -> Generator[dict[str, Any], None, None]:
    """The results of the jobs of all pairs.

    Args:
        submit: Begins a job.
        width: Among how many jobs another one is of use.
        srcs, dsts, timeout, info_list, parameters: As of `apyfal.Accelerator.process_map`.
    """
    if isinstance(srcs, Sized) and isinstance(dsts, Sized) and len(srcs) != len(dsts):
        raise _unequal()
    if srcs is None and dsts is None:
        raise ValueError("process_map needs 'srcs' or 'dsts'")
    end = None if timeout is None else time.monotonic() + timeout
    return _results(submit, width, _pairs(srcs, dsts), end, info_list, parameters)


def _pairs(srcs: Iterable[Any] | None, dsts: Iterable[Any] | None) -> Iterator[tuple[Any, Any]]:
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
                raise _unequal()
            yield src, dst


def _unequal() -> ValueError:
    return ValueError("'srcs' and 'dsts' must be as many")


def _results(submit: Callable[..., Future[dict[str, Any]]], width: Callable[[], int],
             pairs: Iterator[tuple[Any, Any]], end: float | None,
             info_list: list[Any] | None, parameters: dict[str, Any],
             ) -> Generator[dict[str, Any], None, None]:
    waiting: deque[Future[dict[str, Any]]] = deque()
    more = True
    try:
        while True:
            # Until a host has told how much it does, it gets one job.
            while more and len(waiting) < max(width(), 1):
                pair = next(pairs, None)
                if pair is None:
                    more = False
                    break
                info: dict[str, Any] | None = None
                if info_list is not None:
                    info = {}
                    info_list.append(info)
                waiting.append(submit(*pair, info, **parameters))
            if not waiting:
                return
            left = None if end is None else max(end - time.monotonic(), 0)
            # Not kept while the caller works with it.
            yield waiting.popleft().result(left) if waiting[0].done() else _next(waiting, left)
    finally:
        for future in waiting:
            future.cancel()


def _next(waiting: deque[Future[dict[str, Any]]], left: float | None) -> dict[str, Any]:
    result = waiting[0].result(left)
    waiting.popleft()
    return result
