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
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any, Self

import apyfal
from apyfal import _apyfal, _map
from apyfal._arguments import check
from apyfal.client import _full, _result
from apyfal.host import Host

__all__ = ['Accelerator']

_Done = Callable[[Any, BaseException | None], None]


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
        check(info_dict=info_dict, host_env=host_env, reload=reload, reset=reset)
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
        return _result(response, info_dict)

    async def process(self, src: Any = None, dst: Any = None,
                      info_dict: dict[str, Any] | None = None,
                      **parameters: Any) -> dict[str, Any]:
        """Runs one job. See `apyfal.Accelerator.process`. File objects are called by another thread."""
        check(info_dict=info_dict)
        full = _full(parameters)
        core = self.client._accelerator()
        response = await _awaited(
            lambda done: core.submit((src, dst, full, parameters), done))
        return _result(response, info_dict)

    async def process_map(self, srcs: Iterable[Any] | AsyncIterable[Any],
                          dsts: Iterable[Any] | None = None,
                          info_list: list[Any] | None = None,
                          **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        """Runs many jobs, several at a time, and gives their results in order.

        Args:
            srcs: Their sources, which may come asynchronously.
            dsts: Their destinations, as many.
            info_list: Gets one dictionary a job.
            parameters: Parameters of all of them.
        """
        check(info_list=info_list)
        ahead = _map.Ahead(
            lambda *job: asyncio.ensure_future(self.process(*job, **parameters)),
            self.client._width, info_list)
        pairs = _paired(srcs, dsts)
        jobs = ahead.jobs
        try:
            while True:
                while ahead.has_room():
                    ahead.add(await anext(pairs, None))
                if not jobs:
                    return
                result = await jobs[0]
                jobs.popleft()
                yield result
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def stop(self, stop_mode: str | int | None = None,
                   info_dict: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Ends the session, after its running jobs. See `apyfal.Accelerator.stop`."""
        check(info_dict=info_dict)
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


async def _awaited(begin: Callable[[_Done], _apyfal.Job]) -> dict[str, Any]:
    """The response of a call that is begun; where who awaits it is cancelled, so is the call."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[dict[str, Any]] = loop.create_future()

    def settle(response: Any, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(response)
            elif isinstance(error, StopIteration):
                # No future of asyncio takes it.
                wrapped = RuntimeError('a file object raised StopIteration')
                wrapped.__cause__ = error
                future.set_exception(wrapped)
            else:
                future.set_exception(error)

    def done(response: Any, error: BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, response, error)
        except RuntimeError:
            # The loop has ended, and with it who awaited.
            pass

    job = begin(done)
    try:
        return await future
    except asyncio.CancelledError:
        job.cancel()
        raise


async def _paired(srcs: Iterable[Any] | AsyncIterable[Any],
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
