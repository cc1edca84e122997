"""The types of the package, as a user's type checker sees them."""
import os
import subprocess
import sys
import textwrap

import pytest

# Each starts an interpreter that reads all of the package.
SITE = os.environ['PYTHONPATH']


def checked(*arguments):
    ended = subprocess.run([sys.executable, '-W', 'ignore', *arguments], capture_output=True,
                           text=True, env={**os.environ, 'MYPYPATH': SITE})
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_package_is_typed_strictly():
    checked('-m', 'mypy', '--strict', '-p', 'apyfal')


def test_the_stubs_are_those_of_the_core():
    checked('-m', 'mypy.stubtest', 'apyfal._apyfal')


@pytest.mark.parametrize('line, is_right', [
    ('accelerator.process(b"x", bytearray(9), type="sha3-256")["digest"]', True),
    ('accelerator.process_submit("x").add_done_callback(print)', True),
    ('for result in accelerator.process_map(srcs=["a"]): print(result["digest"])', True),
    ('accelerator.start(reset="yes")', False),
    ('apyfal.Accelerator(accelerator=3)', False),
])
def test_a_users_program(tmp_path, line, is_right):
    program = tmp_path / 'program.py'
    program.write_text(textwrap.dedent(f'''
        import apyfal
        with apyfal.Accelerator('sha3') as accelerator:
            accelerator.start()
            {line}
    '''))
    ended = subprocess.run([sys.executable, '-m', 'mypy', '--strict', str(program)],
                           capture_output=True, text=True, env={**os.environ, 'MYPYPATH': SITE})
    assert (ended.returncode == 0) == is_right, ended.stdout
