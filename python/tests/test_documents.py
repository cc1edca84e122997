"""The examples of the documents, as they stand."""
import pathlib
import re

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


def test_there_are_examples():
    assert len(EXAMPLES) >= 6


def test_the_example_of_the_package():
    import doctest

    import apyfal
    assert doctest.testmod(apyfal) == (0, 2)
