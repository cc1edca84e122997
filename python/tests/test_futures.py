"""Jobs in the background, many of them, and pools."""
import concurrent.futures
import gzip as stdlib_gzip
import hashlib
import io
import pickle
import threading
import warnings

import pytest

import apyfal

TYPE = {'type': 'sha3-256'}


def digest(data):
    return {'digest': hashlib.sha3_256(data).hexdigest()}


class Held:
    """A source that is read once it is let go."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()
        self.left = b'abc'

    def read(self, size):
        self.begun.set()
        self.go.wait(20)
        data, self.left = self.left, b''
        return data


def test_futures_are_those_of_python(sha3):
    called = []
    future = sha3.process_submit(b'abc', **TYPE)
    future.add_done_callback(called.append)
    assert isinstance(future, concurrent.futures.Future)
    done, waiting = concurrent.futures.wait([future], 20)
    assert done == {future} and not waiting and future.result() == digest(b'abc')
    assert called == [future]
    futures = {sha3.process_submit(bytes([byte]), **TYPE): byte for byte in range(50)}
    for future in concurrent.futures.as_completed(futures, 30):
        assert future.result() == digest(bytes([futures[future]]))
    failed = sha3.process_submit('missing', **TYPE)
    assert isinstance(failed.exception(20), FileNotFoundError)
    assert sha3.process_running_count == 0


def test_a_result_that_cannot_be_told_ends_the_future(sha3):
    with pytest.raises((AttributeError, TypeError)):
        sha3.process_submit(b'abc', info_dict=[1], **TYPE).result(20)


def test_a_job_is_counted_and_stopping_waits_for_it(sha3):
    held = Held()
    future = sha3.process_submit(held, **TYPE)
    assert held.begun.wait(20) and sha3.process_running_count == 1
    assert future.running() and not future.done() and 'state=running' in repr(future)
    stopping = threading.Thread(target=sha3.stop)
    stopping.start()
    held.go.set()
    stopping.join(20)
    assert future.result(20) == digest(b'abc')


def test_cancelling_ends_a_job_that_runs(sha3):
    class Endless:
        def read(self, size):
            begun.set()
            return bytes(size)

    begun = threading.Event()
    future = sha3.process_submit(Endless(), **TYPE)
    assert begun.wait(20) and future.cancel()
    assert future.cancelled() and not future.running()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    # Nothing of it is left that this would wait for.
    sha3.stop()


def test_a_map_gives_results_in_order(sha3):
    sources = [bytes([byte]) * 1000 for byte in range(100)]
    infos = []
    results = sha3.process_map(srcs=sources, timeout=60, info_list=infos, **TYPE)
    assert list(results) == [digest(source) for source in sources]
    assert len(infos) == 100 and all(info['app']['profiling'] for info in infos)
    assert list(sha3.process_map(srcs=(source for source in sources[:3]), **TYPE)) == [
        digest(source) for source in sources[:3]]


def test_a_map_of_files_of_any_length(gzip, tmp_path, monkeypatch):
    together, submit_all = [], gzip.client._submit_all
    monkeypatch.setattr(gzip.client, '_submit_all', lambda jobs, parameters: (
        together.append(len(jobs)) or submit_all(jobs, parameters)))
    lengths = [10, 0, 3000] * 20 + [100_000, 5] + [4000] * 40
    contents = [bytes([number]) * length for number, length in enumerate(lengths)]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    srcs = [tmp_path / str(number) for number in range(len(contents))]
    # Some are named otherwise, some are no files.
    srcs[7], srcs[9], srcs[11] = srcs[7].as_uri(), contents[9], io.BytesIO(contents[11])
    dsts = [str(tmp_path / f'{number}.gz') for number in range(len(contents))]
    infos = []
    assert list(gzip.process_map(srcs=srcs, dsts=dsts, info_list=infos, level='best')) == [{}] * len(srcs)
    assert [info['app']['profiling']['wall-clock-time'] >= 0 for info in infos] == [True] * len(srcs)
    # Short files are worth a thread together, on this machine.
    assert gzip.client.url or max(together) > 1
    for dst, content in zip(dsts, contents):
        with open(dst, 'rb') as file:
            assert stdlib_gzip.decompress(file.read()) == content
    # What is wrong with one is said in its turn.
    srcs[20].unlink()
    results = gzip.process_map(srcs=srcs[:40], dsts=dsts[:40])
    for _ in range(20):
        next(results)
    with pytest.raises(FileNotFoundError, match=str(srcs[20])):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    # Results are written to a folder that is not there.
    with pytest.raises(apyfal.exceptions.AcceleratorException, match='nowhere'):
        list(gzip.process_map(srcs=srcs[:5], dsts=[f'{dst}/nowhere' for dst in dsts[:5]]))
    with apyfal.AcceleratorPoolExecutor('gzip', workers_count=2) as pool:
        pool.start()
        assert list(pool.process_map(srcs=srcs[30:60], dsts=dsts[30:60])) == [{}] * 30
    assert gzip.process_running_count == 0


def test_what_a_job_warns_of_in_a_map_of_files(gzip, tmp_path):
    srcs = [tmp_path / name for name in 'ab']
    for src in srcs:
        src.write_bytes(b'content')
    dsts = [f'{src}.gz' for src in srcs]
    unread = {'app': {'specific': {}, 'nonsense': 1}}
    with pytest.warns(UserWarning, match='nonsense') as told:
        assert list(gzip.process_map(srcs=srcs, dsts=dsts, parameters=dict(unread))) == [{}, {}]
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(UserWarning, match='nonsense'):
            list(gzip.process_map(srcs=srcs, dsts=dsts, parameters=dict(unread)))


def test_a_map_is_lazy_and_closes_early(sha3):
    taken = []

    def sources():
        for byte in range(100_000):
            taken.append(byte)
            yield bytes([byte % 256])
    results = sha3.process_map(srcs=sources(), **TYPE)
    assert not taken
    assert next(results) == digest(b'\0')
    results.close()
    assert len(taken) < 1000
    with pytest.raises(StopIteration):
        next(results)


def test_what_is_wrong_with_a_map(sha3, gzip):
    with pytest.raises(ValueError, match='as many'):
        gzip.process_map(srcs=[b'a', b'b'], dsts=['a'])
    with pytest.raises(ValueError, match='as many'):
        list(gzip.process_map(srcs=iter([b'a', b'b']), dsts=['a']))
    with pytest.raises(ValueError, match='srcs'):
        gzip.process_map()
    for wrong in ({'srcs': 5}, {'srcs': 'file.txt'}, {'srcs': b'data'}, {'dsts': 5}, {'dsts': 'file.txt'}):
        with pytest.raises(TypeError, match=f"'{next(iter(wrong))}' must be a list or another iterable, not"):
            gzip.process_map(**wrong)

    def raises():
        yield b'a'
        raise LookupError('mine')
    with pytest.raises(LookupError, match='mine'):
        list(sha3.process_map(srcs=raises(), **TYPE))
    results = sha3.process_map(srcs=[b'a', 'missing'], **TYPE)
    assert next(results) == digest(b'a')
    with pytest.raises(FileNotFoundError):
        next(results)
    held = Held()
    with pytest.raises(TimeoutError):
        next(sha3.process_map(srcs=[held], timeout=0.01, **TYPE))
    held.go.set()


def test_what_a_file_object_raises_keeps_its_context(sha3):
    class Raises:
        def read(self, size):
            try:
                raise KeyError('beneath')
            except KeyError:
                raise RuntimeError('mine')
    with pytest.raises(RuntimeError, match='mine') as raised:
        sha3.process_submit(Raises(), **TYPE).result(20)
    assert isinstance(raised.value.__context__, KeyError)
    # What is handled where a job is submitted is no context of it.
    try:
        raise LookupError
    except LookupError:
        future = sha3.process_submit(b'abc', type='nosuch')
    assert future.exception(20).__context__ is None


def test_a_pool(place):
    with apyfal.AcceleratorPoolExecutor('sha3', workers_count=3, **place) as pool:
        infos = []
        pool.start(info_list=infos)
        assert len(pool.accelerators) == len(pool.clients) == len(pool.hosts) == len(infos) == 3
        held = [Held() for _ in range(3)]
        futures = [pool.process_submit(source, **TYPE) for source in held]
        # Each got one.
        assert all(source.begun.wait(20) for source in held)
        assert [worker.process_running_count for worker in pool.accelerators] == [1, 1, 1]
        for source in held:
            source.go.set()
        assert [future.result(20) for future in futures] == [digest(b'abc')] * 3
        assert list(pool.process_map(srcs=[b'a'] * 9, **TYPE)) == [digest(b'a')] * 9
    with pytest.raises(RuntimeError):
        pool.process_submit(b'a', **TYPE)
    with pytest.raises(ValueError, match='workers_count'):
        apyfal.AcceleratorPoolExecutor('sha3', workers_count=0)


def test_what_is_wrong_with_a_pool(tmp_path):
    pool = apyfal.AcceleratorPoolExecutor('sha3', workers_count=1)

    class Reads:
        def read(self):
            return 5
    (tmp_path / 'text').write_text('text')
    with open('text') as file:
        for wrong in (file, io.StringIO('/etc/hostname'), Reads()):
            with pytest.raises(TypeError, match="'src"):
                pool.start(src=wrong)
    for call in (pool.start, pool.stop):
        with pytest.raises(TypeError, match="'info_list' must be a list, not 'object'"):
            call(info_list=object())
    with pytest.raises(TypeError, match='a pool cannot be pickled'):
        pickle.dumps(pool)
    with apyfal.AcceleratorPoolExecutor('hyperfire', workers_count=2) as pool:
        assert len(pool.start(src=io.BytesIO(b'one,two\n'))) == 2


def test_sixteen_threads_share_an_accelerator(sha3):
    def use(number):
        for _ in range(20):
            assert sha3.process(bytes([number]), **TYPE) == digest(bytes([number]))
        return True
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert all(threads.map(use, range(16)))


def test_of_many_threads_one_makes_it(place):
    made = []
    with apyfal.Accelerator('sha3', **place) as accelerator:
        together = threading.Barrier(16)

        def make(_):
            together.wait(20)
            made.append(accelerator.client._accelerator())
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            list(threads.map(make, range(16)))
    assert len(made) == 16 and len(set(map(id, made))) == 1
