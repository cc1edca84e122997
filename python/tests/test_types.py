"""The types of the package, as a user's type checker sees them."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest

# Each starts an interpreter that reads all of the package.
SITE = os.environ['PYTHONPATH']


def mypy(*arguments):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', *arguments], capture_output=True, text=True,
        env={**os.environ, 'MYPYPATH': SITE})


def pyright(folder, program):
    """It reads its settings from a file, and runs on Node, which not every machine has."""
    if shutil.which('node') is None:
        pytest.skip('there is no node here')
    settings = {'typeCheckingMode': 'strict', 'extraPaths': [SITE], 'include': [str(program)]}
    (folder / 'pyrightconfig.json').write_text(json.dumps(settings))
    return subprocess.run([sys.executable, '-W', 'ignore', '-m', 'pyright', '-p', str(folder)],
                          capture_output=True, text=True)


def assert_right(ended):
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_package_is_typed_strictly():
    assert_right(mypy('mypy', '--strict', '-p', 'apyfal'))


def test_the_stubs_are_those_of_the_core():
    assert_right(mypy('mypy.stubtest', 'apyfal._apyfal'))


@pytest.mark.parametrize('checker', ['mypy', 'pyright'])
@pytest.mark.parametrize('line, is_right', [
    ('accelerator.process(b"x", bytearray(9), type="sha3-256")["digest"]', True),
    ('accelerator.process_submit("x").add_done_callback(print)', True),
    ('for result in accelerator.process_map(srcs=["a"]): print(result["digest"])', True),
    ('results = accelerator.process_map(srcs=["a"]); print(next(results)); results.close()', True),
    ('with Own("gzip") as own: own.mine()', True),
    ('with OwnPool("gzip") as own: own.mine()', True),
    ('accelerator.start(reset="yes")', False),
    ('apyfal.Accelerator(accelerator=3)', False),
])
def test_a_users_program(tmp_path, line, is_right, checker):
    program = tmp_path / 'program.py'
    program.write_text(textwrap.dedent(f'''
        import apyfal
        class Own(apyfal.Accelerator):
            def mine(self) -> None: ...
        class OwnPool(apyfal.AcceleratorPoolExecutor):
            def mine(self) -> None: ...
        with apyfal.Accelerator('sha3') as accelerator:
            accelerator.start()
            {line}
    '''))
    ended = (mypy('mypy', '--strict', str(program)) if checker == 'mypy'
             else pyright(tmp_path, program))
    assert (ended.returncode == 0) == is_right, ended.stdout


def test_whole_programs_under_the_other_checker(tmp_path):
    for path in (pathlib.Path(__file__).resolve().parents[2] / 'examples').glob('*.py'):
        assert_right(pyright(tmp_path, path))
