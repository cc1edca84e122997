"""How accelerators end that nobody stops, and what signals and forks do."""
import io
import os
import signal
import time

import pytest

import apyfal

ENDLESS = '''
    import apyfal, os, sys, time
    class Endless:
        said = False
        def read(self, size):
            if not Endless.said:
                Endless.said = True
                print('ready', flush=True)
            return bytes(size)
    class Blocked(Endless):
        def read(self, size):
            super().read(size)
            time.sleep(20)
            return b''
    folders = lambda: [name for name in os.listdir(os.environ['TMPDIR'])]
'''


@pytest.fixture(autouse=True)
def sessions(tmp_path, monkeypatch):
    """Where the sessions of this test's processes are."""
    folder = tmp_path / 'sessions'
    folder.mkdir()
    monkeypatch.setenv('TMPDIR', str(folder))
    return folder


@pytest.mark.parametrize('source', ['Endless', 'Blocked'])
def test_ctrl_c_ends_a_call_and_the_block(program, sessions, source):
    ended = program(ENDLESS + f'''
    began = None
    try:
        with apyfal.Accelerator('sha3') as sha3:
            sha3.start()
            try:
                sha3.process({source}(), type='sha3-256')
            except KeyboardInterrupt:
                print('interrupted', flush=True)
                raise
    except KeyboardInterrupt:
        print('left')
    os._exit(0)
    ''', signal=signal.SIGINT)
    assert ended.stdout == 'interrupted\nleft\n'


def test_sigterm_leaves_the_block(program, sessions):
    ended = program(ENDLESS + '''
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        try:
            sha3.process(Endless(), type='sha3-256')
        finally:
            print('left')
    ''', signal=signal.SIGTERM, check=False)
    assert ended.returncode == 143 and ended.stdout == 'left\n', ended.stderr
    assert not list(sessions.iterdir())


def test_sigterm_that_the_program_handles_is_the_programs(program):
    program('''
    import apyfal, signal
    mine = lambda *_: None
    signal.signal(signal.SIGTERM, mine)
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        assert signal.getsignal(signal.SIGTERM) is mine
    ''')


@pytest.mark.parametrize('how', [
    'del sha3', 'sys.exit(0)', 'pass', 'sha3.myself = sha3', 'sys.sha3 = sha3',
    'future = sha3.process_submit(b"x")'])
def test_who_is_not_stopped_ends_with_the_program(program, sessions, how):
    ended = program(f'''
    import apyfal, io, os, sys
    sha3 = apyfal.Accelerator('hyperfire')
    sha3.start(src=io.BytesIO(b'the,THE'))
    assert os.listdir(os.environ['TMPDIR'])
    {how}
    ''')
    assert ended.stdout == ended.stderr == ''
    assert not list(sessions.iterdir()), 'its session ended with it'


def test_the_collector_may_come_by_within_a_file_object(program, sessions):
    ended = program('''
    import apyfal, gc, signal
    # A process whose threads wait for each other has no other end.
    signal.alarm(40)
    gc.disable()
    class Reads:
        def read(self, size):
            gc.collect()
            return b''
    class Owner:
        pass
    def go():
        owner = Owner()
        owner.itself = owner
        owner.sha3 = apyfal.Accelerator('sha3')
        owner.sha3.start()
        return owner.sha3.process_submit(Reads(), type='sha3-256')
    print(len(go().result()['digest']))
    ''', flags=())
    assert ended.stdout == '64\n', ended.stderr


def test_a_job_in_the_background_ends_before_the_program(program, sessions):
    ended = program('''
    import tempfile
    # It has something to do at exit, before there was anything to end.
    folder = tempfile.TemporaryDirectory()
    import apyfal, time
    class Slow:
        left = 20
        def read(self, size):
            time.sleep(0.05)
            self.left -= 1
            return b'x' if self.left > 0 else b''
    sha3 = apyfal.Accelerator('sha3')
    sha3.start()
    sha3.process_submit(Slow(), type='sha3-256').add_done_callback(
        lambda future: print(len(future.result()['digest'])))
    ''', flags=())
    assert ended.stdout == '64\n', ended.stderr


def on_disk():
    """What has its session there, since it was started with something."""
    accelerator = apyfal.Accelerator('hyperfire')
    accelerator.start(src=io.BytesIO(b'the,THE'))
    return accelerator


def test_the_collector_ends_it_once(sessions):
    accelerator = on_disk()
    assert list(sessions.iterdir())
    client, stopped = accelerator.client, []
    stop = client.stop
    client.stop = lambda *args: stopped.append(args) or stop(*args)
    del accelerator
    assert len(stopped) == 1
    del client.stop
    del client, stop
    assert not list(sessions.iterdir())


def test_a_stop_that_is_interrupted_is_made_up_for(sessions, host):
    class Ended(apyfal.host.Host):
        count = 0

        def stop(self, stop_mode=None):
            Ended.count += 1

    def interrupted(*_):
        raise KeyboardInterrupt

    accelerator = on_disk()
    accelerator._host = Ended(host_ip=host)
    accelerator.client.stop = interrupted
    try:
        accelerator.stop()
    except KeyboardInterrupt:
        pass
    assert Ended.count == 1
    del accelerator.client.stop
    assert list(sessions.iterdir())
    del accelerator
    assert not list(sessions.iterdir())


def test_a_child_leaves_what_is_its_parents(program, sessions):
    program('''
    import apyfal, os, warnings
    warnings.simplefilter('ignore')
    sha3 = apyfal.Accelerator('sha3')
    sha3.start()
    def use(accelerator):
        return accelerator.process(b'abc', type='sha3-256')
    digest = use(sha3)
    for how in ('exit', 'drop', 'crash'):
        child = os.fork()
        if not child:
            try:
                use(sha3)
            except apyfal.exceptions.ClientRuntimeException as error:
                assert 'forked' in str(error), error
            else:
                os._exit(3)
            with apyfal.Accelerator('sha3') as own:
                own.start()
                assert use(own) == digest
            if how == 'exit':
                raise SystemExit(0)
            if how == 'drop':
                del sha3
                raise SystemExit(0)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, how
        assert use(sha3) == digest, how
    ''')


def test_sigterm_around_a_fork_ends_the_parent(program):
    ended = program('''
    import os, signal, time
    def told():
        if os.getpid() == parent:
            signal.raise_signal(signal.SIGTERM)
    parent = os.getpid()
    # Before the package's own, which lets signals through again.
    os.register_at_fork(after_in_parent=told)
    import apyfal
    try:
        with apyfal.Accelerator('sha3') as sha3:
            sha3.start()
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
            time.sleep(60)
    finally:
        if os.getpid() == parent:
            print('left', flush=True)
    ''', check=False)
    assert (ended.returncode, ended.stdout.strip()) == (143, 'left'), ended.stderr


def test_children_end_by_sigterm_as_others_do(program):
    assert program('''
    import apyfal, multiprocessing, os, signal, time
    forking = multiprocessing.get_context('fork')
    def terminated(ready):
        if ready is not None:
            ready.set()
        time.sleep(60)
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        handler = signal.getsignal(signal.SIGTERM)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        # Some before they have run a line.
        for number in range(40):
            ready = forking.Event() if number % 2 else None
            child = forking.Process(target=terminated, args=(ready,))
            child.start()
            if ready is not None:
                ready.wait(20)
            child.terminate()
            child.join(20)
            assert child.exitcode == -signal.SIGTERM, child.exitcode
        for _ in range(10):
            with forking.Pool(2) as pool:
                assert pool.map(abs, [-1, 2]) == [1, 2]
        assert signal.getsignal(signal.SIGTERM) is handler is not signal.SIG_DFL
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
        print(sha3.process(b'abc', type='sha3-256')['digest'][:4])
    ''').stdout.strip() == '3a98'


@pytest.mark.parametrize('method', ['fork', 'spawn', 'forkserver'])
def test_multiprocessing(program, method):
    ended = program(f'''
    import apyfal, multiprocessing, warnings
    warnings.simplefilter('ignore')
    def work(data):
        with apyfal.Accelerator('sha3', config=work.config) as sha3:
            sha3.start()
            return sha3.process(data, type='sha3-256')['digest']
    work.config = None
    if __name__ == '__main__':
        with apyfal.Accelerator('sha3') as sha3:
            sha3.start()
            with multiprocessing.get_context('{method}').Pool(2) as pool:
                there = pool.map(work, [b'a', b'b', b'c'])
            assert there == [sha3.process(data, type='sha3-256')['digest'] for data in (b'a', b'b', b'c')]
        print('same')
    ''', flags=('-X', 'dev'))
    assert ended.stdout == 'same\n'


def test_ten_thousand_leave_nothing(program, sessions):
    program('''
    import apyfal, gc, io, os
    config = apyfal.configuration.Configuration()
    used = apyfal.Accelerator('sha3', config=config)
    used.start()
    def left(make, count):
        for _ in range(count):
            make()
        gc.collect()
        with open('/proc/self/statm') as file:
            pages = int(file.read().split()[1])
        return pages * 4096, len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task'))
    def objects():
        for where in ({}, {'host_ip': '127.0.0.1:9'}, {'host_type': 'sim'}):
            apyfal.Accelerator('sha3', config=config, **where).client._accelerator()
        apyfal.host.Host(host_type='sim', config=config)
    def sessions():
        apyfal.Accelerator('sha3', config=config).start()
    def jobs():
        used.process(bytearray(b'abc'), type='sha3-256')
        used.process_submit(io.BytesIO(b'abc'), type='sha3-256').result()
    for make, count in ((objects, 2500), (sessions, 200), (jobs, 5000)):
        first, then = left(make, count // 10), left(make, count)
        assert then[0] - first[0] < 8e6, (make, first, then)
        # Threads stay a while, in case that there is more to do.
        assert then[1] <= first[1] and then[2] < 40, (make, first, then)
    ''')
    assert not list(sessions.iterdir())


CALLBACK = '''
    import apyfal, logging, time
    from apyfal import _ending
    _ending._PATIENCE = 0.1
    class Console(logging.Handler):
        def emit(self, record):
            if 'callbacks of jobs still run' in record.getMessage():
                print('ready', flush=True)
    apyfal.get_logger(True).addHandler(Console())
    def busy(future):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.01)
        print('done', flush=True)
    class Late:
        """A source whose job is not done within the call."""
        def read(self, size):
            time.sleep(0.2)
            return b''
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        sha3.process_submit(Late(), type='sha3-256').add_done_callback(busy)
'''


def test_a_program_ends_after_its_callbacks(program):
    ended = program(CALLBACK.replace('SECONDS', '1'))
    assert ended.stdout == 'ready\ndone\n'


def test_ctrl_c_cuts_callbacks_off(program):
    ended = program(CALLBACK.replace('SECONDS', '1000'), signal=signal.SIGINT, check=False)
    assert ended.returncode == -signal.SIGINT, ended.stderr


def test_what_a_child_has_of_its_parents_jobs_refuses(program):
    program('''
    import apyfal, concurrent.futures, os, signal, threading, warnings
    warnings.simplefilter('ignore')
    go = threading.Event()
    class Held:
        def read(self, size):
            go.wait(20)
            return b''
    called = []
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        ended = sha3.process_submit(b'abc', type='sha3-256')
        result = ended.result()
        results = sha3.process_map(srcs=[b'abc', Held()], type='sha3-256')
        assert next(results) == result
        runs, cancelled = (sha3.process_submit(Held(), type='sha3-256') for _ in range(2))
        runs.add_done_callback(called.append)
        assert cancelled.cancel()
        done = concurrent.futures.as_completed([runs])
        # Another thread looks at it while this one forks.
        runs._condition.acquire()
        child = os.fork()
        if not child:
            # What hangs ends the child.
            signal.alarm(20)
            assert len(concurrent.futures.wait([runs, cancelled, ended]).done) == 3
            assert next(done) is runs and not called
            for get in (runs.result, lambda: next(results)):
                try:
                    get()
                except apyfal.exceptions.ClientRuntimeException as error:
                    assert 'belongs to the process' in str(error), error
                else:
                    os._exit(3)
            assert not runs.cancel() and not runs.running() and cancelled.cancelled()
            assert ended.result() == result and sha3.process_running_count == 0
            os._exit(0)
        runs._condition.release()
        assert os.waitpid(child, 0)[1] == 0
        go.set()
        assert runs.result(20)['digest'] and called == [runs]
    ''')


def test_a_child_shows_what_is_its_parents(program, host):
    program(f'''
    import apyfal, os, warnings
    warnings.simplefilter('ignore')
    with apyfal.Accelerator('sha3', host_ip='{host}') as sha3:
        sha3.start()
        child = os.fork()
        if not child:
            assert '{host}' in repr(sha3) and '{host}' in repr(sha3.client)
            assert sha3.client.url == '{host}'
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    ''')
