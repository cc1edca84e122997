"""Accelerators for asyncio."""
import asyncio
import hashlib
import inspect
import threading

import pytest

import apyfal
from apyfal import aio
from apyfal.exceptions import AcceleratorException

TYPE = {'type': 'sha3-256'}


def digest(data):
    return {'digest': hashlib.sha3_256(data).hexdigest()}


def running(test):
    """A test that is a coroutine."""
    def run(place):
        asyncio.run(asyncio.wait_for(test(place), 60))
    run.__doc__, run.__name__ = test.__doc__, test.__name__
    return run


@running
async def test_the_three_calls(place):
    async with aio.Accelerator('sha3', **place) as sha3:
        info = {}
        await sha3.start()
        assert await sha3.process(b'abc', info_dict=info, **TYPE) == digest(b'abc')
        assert info['app']['profiling']['total-bytes-read'] == 3
        with pytest.raises(FileNotFoundError):
            await sha3.process('missing', **TYPE)
    with pytest.raises(AcceleratorException, match='not started'):
        await sha3.process(b'abc')


def test_they_are_called_as_those_that_wait():
    def taken(kind, call):
        parameters = inspect.signature(getattr(kind, call)).parameters
        # What a job tells of its progress is for who waits.
        return [name for name in parameters if name != 'progress']
    for call in ('start', 'process', 'stop'):
        assert taken(aio.Accelerator, call) == taken(apyfal.Accelerator, call)


@running
async def test_64_at_once_take_no_thread_each(place):
    async with aio.Accelerator('sha3', **place) as sha3:
        await sha3.start()
        before = threading.active_count()
        sources = [bytes([number]) * 1000 for number in range(64)]
        results = await asyncio.gather(*(sha3.process(source, **TYPE) for source in sources))
        assert results == [digest(source) for source in sources]
        assert threading.active_count() == before


@running
async def test_cancelling_a_task_ends_its_job(place):
    class Endless:
        ended = False

        def read(self, size):
            if not begun.is_set():
                loop.call_soon_threadsafe(begun.set)
            return bytes(size)

    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    async with aio.Accelerator('sha3', **place) as sha3:
        await sha3.start()
        task = asyncio.ensure_future(sha3.process(Endless(), **TYPE))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sha3.process(Endless(), **TYPE)
        # Nothing of them is left that this would wait for.
        await sha3.stop()


@running
async def test_what_no_future_can_raise_comes_wrapped(place):
    class Ends:
        def read(self, size):
            raise StopIteration('mine')

    async with aio.Accelerator('sha3', **place) as sha3:
        await sha3.start()
        with pytest.raises(RuntimeError, match='StopIteration') as raised:
            await asyncio.wait_for(sha3.process(Ends(), **TYPE), 20)
        assert isinstance(raised.value.__cause__, StopIteration)


@running
async def test_a_map(place):
    async def sources():
        for number in range(50):
            await asyncio.sleep(0)
            yield bytes([number])
    async with aio.Accelerator('sha3', **place) as sha3:
        await sha3.start()
        expected = [digest(bytes([number])) for number in range(50)]
        infos = []
        assert [result async for result in sha3.process_map(
            sources(), info_list=infos, **TYPE)] == expected
        assert len(infos) == 50
        results = sha3.process_map([b'a', 'missing', b'c'], **TYPE)
        assert await anext(results) == digest(b'a')
        with pytest.raises(FileNotFoundError):
            await anext(results)
        with pytest.raises(ValueError, match='as many'):
            [result async for result in sha3.process_map([b'a'], ['b', 'c'])]


def test_the_example():
    import doctest
    assert doctest.testmod(aio).attempted > 0 and doctest.testmod(aio).failed == 0
