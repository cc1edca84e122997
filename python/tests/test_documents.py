"""The examples of the documents, as they stand."""
import pathlib
import re
import subprocess

import pytest

from servers import apyfal_server

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / 'docs/guides').glob('*.md'))
PAGES = [ROOT / 'README.md', ROOT / 'python/README.md', *GUIDES]
#: The programs in Python of all pages, by page and number.
PROGRAMS = {
    f'{page.relative_to(ROOT)}-{number}': text
    for page in PAGES
    for number, text in enumerate(re.findall(
        r'^```python\n(.*?)^```$', page.read_text('utf-8'), re.M | re.S), 1)}
#: Those that another test runs.
ELSEWHERE = {
    # On machines of a cloud.
    'docs/guides/aws.md-1': 'crates/apyfal-cli/tests/aws/python.rs',
    'docs/guides/aws.md-2': 'crates/apyfal-cli/tests/aws/python.rs',
    # It is a worker, which talks with who started it.
    'docs/guides/your-own-program.md-2': 'crates/apyfal-cli/tests/examples.rs',
}
#: Guides that show nothing in Python.
SHELL = {
    # Whether a job has a device is its accelerator's own; its program is the same.
    'devices.md',
}


def prepared_host(request, folder):
    """Hosts by the names of the guide."""
    found = request.getfixturevalue('host')
    another = request.getfixturevalue('another_host')
    for name, url in (('worker1', found), ('worker2', another)):
        subprocess.run(['apyfal', 'host', 'add', name, url], check=True, capture_output=True)
    return {'127.0.0.1:8000': found}


def prepared_custom_host(request, folder):
    """A catalog with its account, and a host; what this has is another accelerator."""
    (folder / 'accelerator.conf').write_text(
        f"[accelize]\nserver = {request.getfixturevalue('catalog')}\n"
        'client_id = my_client_id\nsecret_id = my_secret_id\n')
    subprocess.run(['apyfal', 'host', 'add', 'my_host', request.getfixturevalue('host')],
                   check=True, capture_output=True)
    return {"Accelerator('my_accelerator'": "Accelerator('gzip'"}


def prepared_your_own_program(request, folder):
    """The section of the guide."""
    page = (ROOT / 'docs/guides/your-own-program.md').read_text('utf-8')
    (folder / 'accelerator.conf').write_text(re.search(r'^```ini\n(.*?)^```$', page, re.M | re.S)[1])
    return {}


def prepared_your_own_accelerator(request, folder):
    """The package of the guide."""
    for words in (['init', 'loud'], ['pack', 'loud'], ['install', 'loud-0.1.0.apyfal']):
        subprocess.run(['apyfal', *words], cwd=folder, check=True, capture_output=True)
    return {}


#: What there is to be for the programs of a page, and what stands in place of what it has.
PREPARED = {
    'docs/guides/custom-host.md': prepared_custom_host,
    'docs/guides/host.md': prepared_host,
    'docs/guides/your-own-accelerator.md': prepared_your_own_accelerator,
    'docs/guides/your-own-program.md': prepared_your_own_program,
}


@pytest.fixture
def another_host(tmp_path):
    folder = tmp_path / 'another'
    folder.mkdir()
    with apyfal_server('serve', folder=folder) as url:
        yield url


@pytest.mark.parametrize('name', [name for name in PROGRAMS if name not in ELSEWHERE])
def test_an_example_runs(program, request, monkeypatch, tmp_path, name):
    monkeypatch.setenv('HOME', str(tmp_path))
    for file in ('notes.txt', 'in.txt'):
        (tmp_path / file).write_text('a text of a few words\n' * 1000)
    text = PROGRAMS[name]
    prepare = PREPARED.get(name.rpartition('-')[0])
    for shown, here in (prepare(request, tmp_path) if prepare else {}).items():
        text = text.replace(shown, here)
    program(text)
    assert 'running' not in subprocess.run(['apyfal', 'list'], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize('name, test', ELSEWHERE.items())
def test_what_is_not_run_here_is_run_elsewhere(name, test):
    assert name in PROGRAMS and f'"{name.rpartition("-")[0]}"' in (ROOT / test).read_text('utf-8')


def test_guides_show_python():
    shown = {pathlib.Path(name.rpartition('-')[0]).name for name in PROGRAMS}
    assert {page.name for page in GUIDES} - shown == SHELL
    assert PREPARED.keys() <= {name.rpartition('-')[0] for name in PROGRAMS}


@pytest.mark.parametrize('path', sorted((ROOT / 'examples').glob('*.py')), ids=lambda path: path.stem)
def test_a_walk_through(program, monkeypatch, tmp_path, path):
    monkeypatch.setenv('HOME', str(tmp_path))
    told = program(path.read_text('utf-8')).stdout
    assert 'as it should:' in told and 'made accelize_gzip_' in told
    assert 'running' not in subprocess.run(
        ['apyfal', 'list'], check=True, capture_output=True, text=True).stdout


def test_the_example_of_the_package():
    import doctest

    import apyfal
    assert doctest.testmod(apyfal) == (0, 2)
