"""The examples of the documents, as they stand."""
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = [
    pytest.param(text, id=f'{name}-{number}')
    for name in ('README.md', 'python/README.md', 'docs/guides/python.md')
    for number, text in enumerate(re.findall(
        r'^```python\n(.*?)^```$', (ROOT / name).read_text('utf-8'), re.M | re.S), 1)]


@pytest.mark.parametrize('text', EXAMPLES)
def test_an_example_runs(program, tmp_path, text):
    for name in ('notes.txt', 'in.txt'):
        (tmp_path / name).write_text('a text of a few words\n' * 1000)
    program(text)


@pytest.mark.parametrize('path', sorted((ROOT / 'examples').glob('*.py')), ids=lambda path: path.stem)
def test_a_walk_through(program, monkeypatch, tmp_path, path):
    monkeypatch.setenv('HOME', str(tmp_path))
    told = program(path.read_text('utf-8')).stdout
    assert 'as it should:' in told and 'made accelize_gzip_' in told
    assert 'running' not in subprocess.run(
        ['apyfal', 'list'], check=True, capture_output=True, text=True).stdout


def test_there_are_examples():
    assert len(EXAMPLES) >= 6


def test_the_example_of_the_package():
    import doctest

    import apyfal
    assert doctest.testmod(apyfal) == (0, 2)
