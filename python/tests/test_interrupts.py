"""Ctrl-C, wherever it comes."""
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

BEGIN = '''
import apyfal, asyncio, io, os, sys, threading, time
from apyfal import aio
URL, folder = sys.argv[1:]
os.environ.update(HOME=folder, TMPDIR=folder, AWS_ENDPOINT_URL=URL, AWS_EC2_METADATA_DISABLED='true')
AWS = dict(region='us-east-1', client_id='a', secret_id='b', allowed_cidr='192.0.2.1/32')
class Endless:
    is_read = False
    def read(self, size):
        if not Endless.is_read:
            Endless.is_read = True
            os.write(1, b'ready\\n')
        # As a disk does: a thread that wants the interpreter again at once may keep all others from it.
        time.sleep(0.001)
        return bytes(size)
def config(text=''):
    return apyfal.configuration.Configuration(io.StringIO(text))
def tell(sha3):
    stop = sha3.client.stop
    def ask():
        # Once it takes no more jobs, it is within the stop.
        try:
            while True:
                sha3.process(b'x', type='sha3-256')
        except Exception:
            os.write(1, b'stopping\\n')
    def stopping(*args):
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        try:
            return stop(*args)
        finally:
            # At exit as well: CPython before 3.14 may crash where a thread still wants the interpreter then.
            asking.join()
    sha3.client.stop = stopping
def here():
    sha3 = apyfal.Accelerator('sha3', config=config())
    sha3.start()
    tell(sha3)
    return sha3
def there():
    return apyfal.Accelerator('sha3', config=config(), host_ip=URL)
def here_several():
    pool = apyfal.AcceleratorPoolExecutor('sha3', config=config(), workers_count=2)
    pool.start()
    # The first one gets the job.
    tell(pool.accelerators[0])
    return pool
def asked_before():
    with apyfal.host.Host(host_type='sim', config=config()) as host:
        host.start('sha3')
def account():
    return config(f'[accelize]\\nclient_id = a\\nsecret_id = b\\nserver = {URL}\\n')
def bucket():
    apyfal.storage.mount('AWS', client_id='a', secret_id='b', region='us-east-1', endpoint=URL,
                         unsecure=True)
def shared():
    with open('accelerator.conf', 'w') as file:
        file.write(f'[host]\\nhost_ip = {URL}\\n')
'''

# What asks a server, which never answers.
ASKING = {
    'Configuration': "apyfal.configuration.Configuration(f'{URL}/accelerator.conf')",
    'Configuration.access_token': 'account().access_token',
    'Configuration.get_host_configurations': 'account().get_host_configurations()',
    'Configuration.get_host_requirements': "account().get_host_requirements('AWS', 'gzip')",
    'Accelerator': "apyfal.Accelerator('sha3', config=f'{URL}/accelerator.conf')",
    'Accelerator.start': 'there().start()',
    'Accelerator.start, parameters': "here().start(parameters=f'{URL}/parameters.json')",
    'Accelerator.start, on a host that is made':
        "apyfal.Accelerator('sha3', config=config(), host_type='AWS', **AWS).start()",
    'Accelerator.process': "here().process(f'{URL}/file', type='sha3-256')",
    'Accelerator.process_submit':
        "with here() as sha3: sha3.process_submit(f'{URL}/file', type='sha3-256').result()",
    'Accelerator.process_map': "list(here().process_map([f'{URL}/file'], type='sha3-256'))",
    'AcceleratorPoolExecutor.start':
        "apyfal.AcceleratorPoolExecutor('sha3', config=config(), host_ip=URL, workers_count=2).start()",
    'AcceleratorClient.start':
        "apyfal.client.AcceleratorClient('sha3', config=config(), host_ip=URL).start()",
    'Host.iter_hosts':
        "asked_before(); list(apyfal.host.Host(host_type='AWS', config=config(), **AWS).iter_hosts())",
    'Host.start': "apyfal.host.Host(host_type='AWS', config=config(), **AWS).start('gzip')",
    'aio.Accelerator.start':
        "asyncio.run(aio.Accelerator('sha3', config=config(), host_ip=URL).start())",
    'storage.open, to be read': "with apyfal.storage.open(f'{URL}/file') as file: file.read()",
    'storage.open, to be written':
        "bucket()\nwith apyfal.storage.open('s3://bucket/key', 'wb') as file: file.write(b'x')",
    'storage.copy': "apyfal.storage.copy(f'{URL}/file', 'file')",
    'gzip.compress': "shared(); apyfal.gzip.compress(bytes(10_000_000))",
    'hashlib.sha3_256': "shared(); apyfal.hashlib.sha3_256(bytes(10_000_000)).digest()",
}

BACKGROUND = "sha3.process_submit(Endless(), type='sha3-256'); "
# What waits for a job that does not end.
WAITING = {
    'Accelerator.process': "here().process(Endless(), type='sha3-256')",
    'Accelerator.start': "apyfal.Accelerator('hyperfire', config=config()).start(src=Endless())",
    'Accelerator.stop': BACKGROUND + 'sha3.stop()',
    'AcceleratorClient.stop': BACKGROUND + 'sha3.client.stop()',
    'AcceleratorPoolExecutor.stop':
        "pool = here_several(); pool.process_submit(Endless(), type='sha3-256'); pool.stop()",
    'aio.Accelerator.process': 'asyncio.run(awaited())',
}
AWAITED = '''
async def awaited():
    async with aio.Accelerator('sha3', config=config()) as sha3:
        await sha3.start()
        await sha3.process(Endless(), type='sha3-256')
sha3 = here()
'''


@pytest.fixture
def run(tmp_path):
    """Begins programs, which are given the URL of a server."""
    with contextlib.ExitStack() as end:
        def begin(url, text):
            path = tmp_path / 'program.py'
            # The drop-ins are imported by who uses them.
            path.write_text(BEGIN + 'import apyfal.gzip, apyfal.hashlib\n' + text)
            process = end.enter_context(subprocess.Popen(
                [sys.executable, '-X', 'dev', '-W', 'error', str(path), url, str(tmp_path)],
                cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            # One that does not end by itself would go on for ever.
            end.callback(process.kill)
            watch = threading.Timer(120, process.kill)
            end.callback(watch.cancel)
            watch.start()
            return process
        yield begin


def assert_interrupted(process, again=False):
    process.send_signal(signal.SIGINT)
    if again:
        # The end of the block waits for the job.
        assert process.stdout.readline() == 'stopping\n', process.stderr.read()
        process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, told
    assert told.rstrip().endswith('KeyboardInterrupt'), told


@pytest.mark.parametrize('what', ASKING)
def test_it_ends_what_asks_a_server(run, what):
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(60)
        process = run('http://127.0.0.1:%d' % server.getsockname()[1], ASKING[what])
        connection, _ = server.accept()
        with connection:
            # It has asked, and waits.
            assert connection.recv(1)
            assert_interrupted(process, again='submit' in what)


@pytest.mark.parametrize('what', WAITING)
def test_it_ends_what_waits_for_a_job(run, what):
    process = run('', AWAITED + WAITING[what])
    waits = 'stopping' if 'stop' in what else 'ready'
    assert f'{waits}\n' in iter(process.stdout.readline, ''), process.stderr.read()
    assert_interrupted(process)


@pytest.mark.parametrize('where', [
    # Before the stop has begun, and where nobody stops.
    'stop = sha3.client.stop; sha3.client.stop = lambda *args: (raised(), stop(*args)); sha3.stop()',
    'raised()'])
def test_the_program_that_it_ends_waits_for_no_job(run, where):
    process = run('', f'''
import signal
def raised():
    global raised
    raised = lambda: None
    signal.raise_signal(signal.SIGINT)
sha3 = apyfal.Accelerator('sha3', config=config())
sha3.start()
{BACKGROUND}
{where}
''')
    _, told = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, told
    assert told.rstrip().endswith('KeyboardInterrupt'), told


def test_a_second_one_leaves_a_host_to_its_lease(run, tmp_path):
    process = run('', AWAITED + '''
import logging
class Console(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), flush=True)
apyfal.get_logger(True).addHandler(Console())
with apyfal.Accelerator('sha3', config=config(), host_type='sim') as made:
    made.start()
    stop = made.client.stop
    def stopping(*args):
        print('the block ends', made.host.host_name, flush=True)
        return stop(*args)
    made.client.stop = stopping
    # The end of the block waits for it.
    made.process_submit(Endless(), type='sha3-256')
    made.process(Endless(), type='sha3-256')
''')
    told = iter(process.stdout.readline, '')
    assert 'ready\n' in told, process.stderr.read()
    process.send_signal(signal.SIGINT)
    name = next(line for line in told if 'the block ends' in line).split()[-1]
    process.send_signal(signal.SIGINT)
    said, wrong = process.communicate(timeout=60)
    home = {'HOME': str(tmp_path), 'PATH': os.environ['PATH']}
    listed = subprocess.run(['apyfal', 'list'], env=home, cwd=tmp_path, capture_output=True, text=True)
    subprocess.run(['apyfal', 'stop', '--all'], env=home, cwd=tmp_path, check=True)
    assert process.returncode == -signal.SIGINT, wrong
    assert f"The end of host '{name}' was interrupted: it ends with its lease at the latest" in said
    assert "'apyfal stop --all'" in said and name in listed.stdout
