"""Accelerators for `asyncio`: what takes a while is awaited, and no thread waits for it.

>>> import asyncio
>>> from apyfal import aio
>>> async def digest():
...     async with aio.Accelerator('sha3') as sha3:
...         await sha3.start()
...         return (await sha3.process(b'abc', type='sha3-256'))['digest'][:16]
>>> asyncio.run(digest())
'3a985da74fe225b2'
"""
from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any, Self

import apyfal
from apyfal import _apyfal, _map
from apyfal._arguments import check
from apyfal._logging import get_logger
from apyfal._progress import Progress, shown
from apyfal.client import _full, _result
from apyfal.host import Host

__all__ = ['Accelerator']

_Done = tuple[_apyfal.Settled, 'asyncio.Future[dict[str, Any]]']
#: How often who waits is told how far a job is, in seconds.
_PAUSE = 0.1
# What ended of the calls that each event loop awaits.
_settled: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _apyfal.Settled] = \
    weakref.WeakKeyDictionary()


class Accelerator:
    """An accelerated function, whose calls are awaited. Cancelling the task that awaits one ends the call.

    Args:
        args, kwargs: As of `apyfal.Accelerator`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._accelerator = apyfal.Accelerator(*args, **kwargs)

    @property
    def client(self) -> apyfal.client.AcceleratorClient:
        """The client, which runs the jobs."""
        return self._accelerator.client

    @property
    def host(self) -> Host | None:
        """The host; None where it is this machine."""
        return self._accelerator.host

    async def start(self, stop_mode: str | int | None = None, src: Any = None,
                    info_dict: dict[str, Any] | None = None,
                    host_env: dict[str, Any] | None = None, reload: bool | None = None,
                    reset: bool | None = None, **parameters: Any) -> dict[str, Any]:
        """Makes the accelerator ready for jobs. See `apyfal.Accelerator.start`."""
        check(stop_mode=stop_mode, info_dict=info_dict, host_env=host_env, reload=reload, reset=reset)
        env = self._accelerator._before_start(stop_mode)
        env.update(host_env or {})
        full = _full(parameters)
        core = self.client._accelerator()
        try:
            response = await _awaited(
                lambda done: core.start(
                    (src, None, full, parameters), env, reload, reset, done))
        finally:
            self._accelerator._tell()
        self._accelerator._ending.arm()
        get_logger().info("Accelerator ready")
        return _result(response, info_dict)

    async def process(self, src: Any = None, dst: Any = None,
                      info_dict: dict[str, Any] | None = None,
                      progress: Progress | bool | None = None,
                      **parameters: Any) -> dict[str, Any]:
        """Runs one job. See `apyfal.Accelerator.process`. File objects are called by another thread, `progress` by the
        event loop."""
        check(info_dict=info_dict, progress=progress)
        full = _full(parameters)
        core = self.client._accelerator()
        with shown(progress) as tell:
            response = await _awaited(
                lambda done: core.submit((src, dst, full, parameters), done), tell)
        return _result(response, info_dict)

    def process_map(self, srcs: Iterable[Any] | AsyncIterable[Any] | None = None,
                    dsts: Iterable[Any] | None = None,
                    timeout: float | None = None,
                    info_list: list[Any] | None = None,
                    **parameters: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Runs many jobs, several at a time, and gives their results in order.

        Args:
            srcs: Their sources, which may come asynchronously.
            dsts: Their destinations, as many.
            timeout: Within how many seconds from now each result must be there.
            info_list: Gets one dictionary a job.
            parameters: Parameters of all of them.

        Returns:
            An asynchronous iterator. Closed early, it cancels the jobs that are not done.

        Raises:
            ValueError: There are not as many sources as destinations.
            TimeoutError: A result is not there in time.
        """
        check(srcs=None if isinstance(srcs, AsyncIterable) else srcs, dsts=dsts, timeout=timeout,
              info_list=info_list)
        _map.match(srcs, dsts)
        ahead = _map.Ahead(
            lambda jobs: asyncio.ensure_future(self.process(*jobs[0], **parameters)),
            self.client._width, info_list)
        end = None if timeout is None else time.monotonic() + timeout
        return _results(ahead, _paired(srcs, dsts), end)

    async def stop(self, stop_mode: str | int | None = None,
                   info_dict: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Ends the session, after its running jobs. See `apyfal.Accelerator.stop`."""
        check(stop_mode=stop_mode, info_dict=info_dict)
        made = self._accelerator._made_host
        if made is not None:
            made.stop_mode = stop_mode
            made._find()
        core, result = self.client._core, None
        try:
            if core is not None:
                result = _result(await _awaited(lambda done: core.stop(done)), info_dict)
        finally:
            if made is not None:
                made._tell()
            elif self.host is not None:
                self.host.stop(stop_mode)
        # What was interrupted ends with the program.
        self._accelerator._ending.disarm()
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return repr(self._accelerator).replace('apyfal.Accelerator', 'apyfal.aio.Accelerator', 1)


async def _results(ahead: _map.Ahead[asyncio.Task[dict[str, Any]]],
                   pairs: AsyncIterator[tuple[Any, Any]],
                   end: float | None) -> AsyncGenerator[dict[str, Any], None]:
    jobs = ahead.work
    try:
        while True:
            while ahead.has_room():
                pair = await anext(pairs, None)
                ahead.add(None if pair is None else [pair])
            if not jobs:
                return
            left = None if end is None else max(end - time.monotonic(), 0)
            if not jobs[0].done() and not (await asyncio.wait(list(jobs)[:1], timeout=left))[0]:
                raise TimeoutError
            result = await jobs[0]
            jobs.popleft()
            yield result
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def _awaited(begin: Callable[[_Done], _apyfal.Job], tell: Progress | None = None) -> dict[str, Any]:
    """The response of a call that is begun; where who awaits it is cancelled, so is the call.

    Args:
        begin: Begins it.
        tell: Called with how far it is, now and then and once it has ended well.
    """
    loop = asyncio.get_running_loop()
    settled = _settled.get(loop)
    if settled is None:
        settled = _settled[loop] = _apyfal.Settled()
        loop.add_reader(settled.fileno(), _settle, settled)
    future: asyncio.Future[dict[str, Any]] = loop.create_future()
    job = begin((settled, future))
    try:
        while tell is not None and not (await asyncio.wait([future], timeout=_PAUSE))[0]:
            tell(*job.progress)
        response = await future
    except BaseException:
        future.cancel()
        job.cancel()
        raise
    if tell is not None:
        tell(*job.progress)
    return response


def _settle(settled: _apyfal.Settled) -> None:
    """Has those go on who await what ended since."""
    for future, response, error in settled.take():
        if future.done():
            continue
        if isinstance(error, StopIteration):
            # No future of asyncio takes it.
            wrapped = RuntimeError('a file object raised StopIteration')
            wrapped.__cause__ = error
            error = wrapped
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(response)


async def _paired(srcs: Iterable[Any] | AsyncIterable[Any] | None,
                  dsts: Iterable[Any] | None) -> AsyncIterator[tuple[Any, Any]]:
    if not isinstance(srcs, AsyncIterable):
        for pair in _map.paired(srcs, dsts):
            yield pair
        return
    nothing = object()
    left = None if dsts is None else iter(dsts)
    async for src in srcs:
        dst = None if left is None else next(left, nothing)
        if dst is nothing:
            raise _map.unequal()
        yield src, dst
    if left is not None and next(left, nothing) is not nothing:
        raise _map.unequal()
