"""A walk through Apyfal, from a text in a file to a host that is made and ended: run it in an empty directory.

    pip install ./python
    python3 walk_through.py

It needs no account and leaves nothing behind but files in that directory: its host is of type `sim`, a process of this machine.
"""
from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import apyfal
from apyfal import aio, gzip

NAMES = [f'notes{number}.txt' for number in range(4)]


def write_files() -> None:
    """Something to work on."""
    for number, name in enumerate(NAMES):
        Path(name).write_text(f'a cat and a dog, for the {number}th time\n' * 10_000)
    Path('words.csv').write_text('cat,tiger\ndog,wolf\n')


def use_this_machine() -> None:
    """An accelerator is started, processes, and is stopped at the end of the block."""
    with apyfal.Accelerator('gzip') as packing:
        packing.start()
        info: dict[str, Any] = {}
        packing.process(NAMES[0], 'notes.gz', info_dict=info)
        told = info['app']['profiling']
        print(f"{told['total-bytes-read']} bytes became {told['total-bytes-written']} "
              f"in {told['wall-clock-time']:.4f} s")
        # Sources and destinations are paths, URLs, file objects and memory.
        memory = io.BytesIO()
        packing.process(b'a few bytes', memory)
        assert gzip.decompress(memory.getvalue()) == b'a few bytes'


def give_parameters() -> None:
    """Parameters are keywords; what an accelerator tells is a dictionary."""
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        print('sha3-256 of the notes:', sha3.process(NAMES[0], type='sha3-256')['digest'])
    with apyfal.Accelerator('hyperfire') as replacing:
        # Some are started with data.
        replacing.start(src='words.csv')
        replacing.process(NAMES[0], 'wild.txt')
    assert 'a tiger and a wolf' in Path('wild.txt').read_text()


def run_many_at_once() -> None:
    """Futures, and a map that begins only as many jobs as are of use."""
    with apyfal.Accelerator('gzip') as packing:
        packing.start()
        futures = [packing.process_submit(name, name + '.gz') for name in NAMES]
        for future in futures:
            future.result()
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        digests = [result['digest'] for result in sha3.process_map(NAMES, type='sha3-256')]
    assert len(set(digests)) == len(NAMES)


async def await_them() -> None:
    """The same for asyncio: no thread waits."""
    async with aio.Accelerator('gunzip') as unpacking:
        await unpacking.start()
        await asyncio.gather(*(unpacking.process(name + '.gz', name + '.again') for name in NAMES))
    assert all(Path(name).read_bytes() == Path(name + '.again').read_bytes() for name in NAMES)


def use_a_host() -> None:
    """A host is made by `start`, used, kept, found again by whoever looks for it, and ended."""
    with apyfal.Accelerator('gzip', host_type='sim') as packing:
        packing.start(stop_mode='keep')
        packing.process(NAMES[0], 'there.gz')
        assert packing.host is not None
        print('made', packing.host.host_name, 'at', packing.host.url)
    for found in apyfal.iter_accelerators(host_type='sim', accelerator='gzip'):
        found.start()
        found.process(NAMES[1], 'there2.gz')
        found.stop('term')
    assert not list(apyfal.iter_accelerators(host_type='sim'))


def learn_what_is_wrong() -> None:
    """Errors say what failed, on what, why, and what to do."""
    with apyfal.Accelerator('sha3') as sha3:
        sha3.start()
        try:
            sha3.process('no-such-file', type='sha3-256')
        except apyfal.exceptions.ClientConfigurationException as error:
            print('as it should:', error)


def main() -> None:
    """All of it, with each step told on the console."""
    apyfal.get_logger(True)
    write_files()
    use_this_machine()
    give_parameters()
    run_many_at_once()
    asyncio.run(await_them())
    use_a_host()
    learn_what_is_wrong()


if __name__ == '__main__':
    main()
