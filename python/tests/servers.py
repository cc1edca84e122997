"""Servers that tests use, each on a free port of this machine."""
import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import warnings

import pytest

#: What the web server has.
PAGE = b'a page of many lines\n' * 100_000


@pytest.fixture
def web():
    """A web server with one page."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == '/file' else 404)
            self.send_header('Content-Length', str(len(PAGE)))
            self.end_headers()
            if self.command == 'GET':
                self.wfile.write(PAGE)
        do_HEAD = do_GET

        def log_message(self, *_):
            pass
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


@pytest.fixture(scope='session')
def moto(tmp_path_factory):
    """The URL of an object store with a bucket."""
    import boto3
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-m', 'moto.server', '-H', '127.0.0.1', '-p', str(port)],
        cwd=tmp_path_factory.mktemp('moto'), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            assert server.poll() is None
            try:
                socket.create_connection(('127.0.0.1', port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        url = f'http://127.0.0.1:{port}'
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            boto3.client('s3', endpoint_url=url, region_name='us-east-1', aws_access_key_id='a',
                         aws_secret_access_key='b').create_bucket(Bucket='bucket')
        yield url
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def apyfal_server(*words, folder):
    """The URL of a server that `apyfal` is."""
    with subprocess.Popen(
            ['apyfal', *words, '--listen', '127.0.0.1:0'], cwd=folder, env={**os.environ, 'HOME': str(folder)},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            yield next(line.split()[-1] for line in server.stdout if 'listening on' in line)
        finally:
            server.terminate()


@pytest.fixture
def catalog(tmp_path):
    """The URL of a catalog's server, which knows an accelerator and an account."""
    folder = tmp_path / 'catalog'
    folder.mkdir()
    (folder / 'catalog.toml').write_text("""
[accelerator.my_accelerator.my_provider.my_region]
image = "ubuntu-24.04"
instancetype = "f.large"
fpgaimage = "agfi-1"
""")
    subprocess.run(['apyfal', 'catalog', 'account', 'add', 'my_client_id', '--secret_stdin'],
                   input='my_secret_id\n', text=True, cwd=folder, env={**os.environ, 'HOME': str(folder)}, check=True,
                   stdout=subprocess.DEVNULL)
    with apyfal_server('catalog', 'serve', folder=folder) as url:
        yield url
