"""The package beside what a program of Python would use otherwise: ratios of processor time, and of time.

Run by ``cargo xtask bench-python``, which builds the core and the command first. Above 1 the package is faster.
"""
import argparse
import asyncio
import contextlib
import gzip
import hashlib
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import requests

import apyfal
import apyfal.gzip
import apyfal.hashlib
from apyfal import aio

#: How many small files there are.
FILES = 10_000
MB = 1_000_000


def spent(work):
    """Seconds of this process and its children on the processor, and seconds."""
    def processor():
        return sum(usage.ru_utime + usage.ru_stime for usage in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    began, at = processor(), time.perf_counter()
    work()
    return processor() - began, time.perf_counter() - at


def row(name, peer, ours, theirs, rounds, count=1):
    """One line: the median of the ratios of neighbouring runs, and what one of `count` things took."""
    ours(), theirs()
    pairs = [(spent(ours), spent(theirs)) for _ in range(rounds)]
    processor, elapsed = (
        statistics.median(b[at] / max(a[at], 1e-9) for a, b in pairs) for at in (0, 1))
    mine = statistics.median(a[1] for a, _ in pairs) / count
    print(f'{name:34} {peer:34} {processor:7.2f} {elapsed:7.2f} {mine * 1000:10.3f} ms', flush=True)


@contextlib.contextmanager
def served(program, folder):
    """A host with REST v1.0 too; its URL."""
    with subprocess.Popen(
            [program, 'serve', '--listen', '127.0.0.1:0', '--rest-v1', '--accelerator', 'sha3',
             '--data-dir', str(folder / 'host')], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True) as host:
        url = next(line.split()[-1] for line in host.stdout if 'listening on' in line)
        try:
            yield url
        finally:
            host.terminate()


class Original:
    """Requests as the original's client sent them."""

    def __init__(self, url):
        self.session = requests.Session()
        parameters = json.dumps({'app': {'specific': {}}, 'env': {}})
        answer = self.session.post(
            url + '/v1.0/configuration/', files={'parameters': (None, parameters)}).json()
        self.url, self.configuration = url, answer['url']

    def process(self, data):
        parameters = json.dumps({'app': {'specific': {'type': 'sha3-256'}}})
        job = self.session.post(self.url + '/v1.0/process/', files={
            'parameters': (None, parameters), 'configuration': (None, self.configuration),
            'datafile': ('src', data, 'application/octet-stream')}).json()
        where = f"{self.url}/v1.0/process/{job['id']}"
        while not (answer := self.session.get(where).json())['processed']:
            pass
        self.session.delete(where)
        return answer['parametersresult']['app']['specific']


def measure(options, folder):
    rounds, size = options.rounds, options.size * MB
    text = b''.join(b'line %d of %d words to compress\n' % (n, n * 7919 % 1000)
                    for n in range(size // 34))
    noise = os.urandom(size)
    os.chdir(folder)
    pathlib.Path('text').write_bytes(text)
    print(f"{'what':34} {'beside':34} {'CPU':>7} {'time':>7} {'ours':>13}")
    imported = [sys.executable, '-c', 'import apyfal']
    row('import apyfal', 'import requests', lambda: subprocess.run(imported, check=True),
        lambda: subprocess.run([sys.executable, '-c', 'import requests'], check=True), rounds)
    with served(options.apyfal, folder) as url, apyfal.Accelerator('sha3', host_ip=url) as far, \
            apyfal.Accelerator('sha3') as here:
        far.start()
        here.start()
        original, small = Original(url), bytes(1024)
        calls = range(200)

        def awaited():
            async def use():
                async with aio.Accelerator('sha3', host_ip=url) as sha3:
                    await sha3.start()
                    for _ in range(10):
                        await asyncio.gather(
                            *(sha3.process(small, type='sha3-256') for _ in range(64)))
            asyncio.run(use())
        row('a job of 1 KiB, host', 'requests, as the original',
            lambda: [far.process(small, type='sha3-256') for _ in calls],
            lambda: [original.process(small) for _ in calls], rounds, 200)
        row('a job of 1 KiB, here', 'the same on the host',
            lambda: [here.process(small, type='sha3-256') for _ in calls],
            lambda: [far.process(small, type='sha3-256') for _ in calls], rounds, 200)
        row('64 awaits of 1 KiB at once, host', '64 calls, one after the other',
            awaited, lambda: [far.process(small, type='sha3-256') for _ in range(640)], rounds, 10)
        row(f'{options.size} MB, host', 'requests, as the original',
            lambda: far.process(noise, type='sha3-256'), lambda: original.process(noise), rounds)
        array = numpy.frombuffer(noise, 'u1')
        row('sha3 of an array', 'apyfal run sha3, a file',
            lambda: here.process(array, type='sha3-256'),
            lambda: subprocess.run([options.apyfal, '-q', 'run', 'sha3', 'text'], check=True,
                                   stdout=subprocess.DEVNULL), rounds)
    with apyfal.Accelerator('gzip') as packing, apyfal.Accelerator('null') as nothing:
        packing.start()
        nothing.start()
        row('gzip, path to path', 'apyfal run gzip',
            lambda: packing.process('text', 'out.gz'),
            lambda: subprocess.run([options.apyfal, '-q', 'run', 'gzip', 'text', 'out2.gz'],
                                   check=True, stderr=subprocess.DEVNULL), rounds)

        def copied(copy):
            with open('text', 'rb') as src, open('copy', 'wb') as dst:
                copy(src, dst)
        row('null, file object to file object', 'shutil.copyfileobj',
            lambda: copied(nothing.process), lambda: copied(shutil.copyfileobj), rounds)
        pathlib.Path('in').mkdir()
        pathlib.Path('out').mkdir()
        for number in range(FILES):
            pathlib.Path('in', str(number)).write_bytes(text[:1000])
        names = [str(number) for number in range(FILES)]

        def mapped():
            for _ in packing.process_map(srcs=['in/' + name for name in names],
                                         dsts=['out/' + name for name in names]):
                pass

        def command():
            shutil.rmtree('mapped', ignore_errors=True)
            subprocess.run([options.apyfal, '-q', 'map', 'gzip', 'in', 'mapped'], check=True,
                           stderr=subprocess.DEVNULL)

        def loop():
            for name in names:
                with open('in/' + name, 'rb') as src, open('out/' + name, 'wb') as dst:
                    dst.write(gzip.compress(src.read(), 6))
        row(f'process_map of {FILES} files', 'apyfal map', mapped, command, rounds)
        row(f'process_map of {FILES} files', 'a loop over gzip.compress', mapped, loop, rounds)
    packed = gzip.compress(text, 6)
    row('apyfal.gzip.compress, level 6', 'gzip.compress',
        lambda: apyfal.gzip.compress(text, 6), lambda: gzip.compress(text, 6), rounds)
    row('apyfal.gzip.decompress', 'gzip.decompress',
        lambda: apyfal.gzip.decompress(packed), lambda: gzip.decompress(packed), rounds)
    row('apyfal.hashlib.sha3_256', 'hashlib.sha3_256',
        lambda: apyfal.hashlib.sha3_256(noise).digest(),
        lambda: hashlib.sha3_256(noise).digest(), rounds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--apyfal', required=True)
    parser.add_argument('--size', type=int, default=100, help='MB')
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args()
    memory = '/dev/shm' if os.path.isdir('/dev/shm') else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        measure(options, pathlib.Path(folder))


if __name__ == '__main__':
    main()
