"""How far a job is, for people."""
from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, 'int | None', int], object]


@contextmanager
def shown(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """What is to be told of the progress, for the time of a job.

    Args:
        progress: Called with the bytes read, the bytes to read where that is known, and the bytes written. True draws
            a bar where tqdm is installed.
    """
    if not isinstance(progress, bool):
        yield progress
        return
    try:
        if not progress:
            raise ImportError
        bars: Any = importlib.import_module('tqdm.auto')
    except ImportError:
        yield None
        return
    with bars.tqdm(unit='B', unit_scale=True, leave=False) as bar:
        def draw(read: int, total: int | None, _: int) -> None:
            bar.total = total
            bar.update(read - bar.n)
        yield draw
