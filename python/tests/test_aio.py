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


@running
async def test_parameters_that_nobody_reads_are_told(place):
    async with aio.Accelerator('sha3', **place) as sha3:
        for call in (sha3.start, lambda **given: sha3.process(b'abc', **given)):
            with pytest.warns(UserWarning, match="'type' of the parameters is ignored") as told:
                await call(parameters=TYPE)
            assert told[0].filename == __file__


def test_they_are_called_as_those_that_wait():
    def taken(kind, call):
        return list(inspect.signature(getattr(kind, call)).parameters)
    for call in ('start', 'process', 'process_map', 'stop'):
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
async def test_quick_jobs_let_others_go_on(place):
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with aio.Accelerator('sha3', **place) as sha3:
        await sha3.start()
        task = asyncio.ensure_future(others())
        for _ in range(50):
            await sha3.process(b'abc', **TYPE)
        task.cancel()
    assert turns >= 50


def test_each_event_loop_hears_of_its_own(place):
    sha3 = aio.Accelerator('sha3', **place)
    asyncio.run(sha3.start())

    def hash_some():
        async def some():
            return await asyncio.gather(*(sha3.process(b'%d' % i, **TYPE) for i in range(100)))
        results.append(asyncio.run(some()))

    results = []
    threads = [threading.Thread(target=hash_some) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [[digest(b'%d' % i) for i in range(100)]] * 3
    # One that ends before what it began is told nothing any more.
    async def left():
        asyncio.ensure_future(sha3.process(b'abc', **TYPE))
    asyncio.run(left())
    asyncio.run(sha3.stop())


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
            [result async for result in sha3.process_map(iter([b'a']), ['b', 'c'])]
        held = Held()
        results = sha3.process_map([b'a', held], timeout=0.2, **TYPE)
        assert await anext(results) == digest(b'a')
        with pytest.raises(TimeoutError):
            await anext(results)
        held.go.set()


class Held:
    """A source that is read once it is let go."""

    def __init__(self, data=b''):
        self.go, self.data = threading.Event(), data

    def read(self, size):
        self.go.wait(20)
        data, self.data = self.data[:size], self.data[size:]
        return data


def test_what_is_wrong_with_a_map_is_told_by_the_call():
    sha3 = aio.Accelerator('sha3')
    with pytest.raises(ValueError, match='as many'):
        sha3.process_map([b'a'], ['b', 'c'])
    with pytest.raises(ValueError, match='srcs'):
        sha3.process_map()
    for wrong in ({'srcs': 5}, {'srcs': 'file'}, {'srcs': b'data'}, {'dsts': 5}, {'dsts': [], 'timeout': 'x'}):
        with pytest.raises(TypeError, match=f"'{list(wrong)[-1]}' must be"):
            sha3.process_map(**wrong)


@running
async def test_progress_is_told(place):
    data = bytes(1 << 20)
    async with aio.Accelerator('sha3', **place) as sha3:
        await sha3.start()
        told, held = [], Held(data)

        def tell(*amounts):
            told.append(amounts)
            held.go.set()
        assert await sha3.process(held, progress=tell, **TYPE) == digest(data)
        assert told[0][0] < len(data) and told[-1][0] == len(data)
        assert await sha3.process(b'abc', progress=True, **TYPE) == digest(b'abc')

        def raises(*_):
            raise LookupError('mine')
        held = Held()
        with pytest.raises(LookupError, match='mine'):
            await sha3.process(held, progress=raises, **TYPE)
        held.go.set()
        with pytest.raises(TypeError, match="'progress' must be"):
            await sha3.process(b'abc', progress=5, **TYPE)


def test_what_it_tells_of_its_steps(caplog):
    async def start():
        async with aio.Accelerator('sha3') as sha3:
            await sha3.start()
    with caplog.at_level('INFO', 'apyfal'):
        asyncio.run(start())
    assert caplog.messages == ['Configuring accelerator...', 'Accelerator ready']


def test_the_example():
    import doctest
    assert doctest.testmod(aio).attempted > 0 and doctest.testmod(aio).failed == 0
