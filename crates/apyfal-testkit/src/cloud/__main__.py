"""Serves the cloud at an address, and to tests at a socket of the file system, which reaches other
networks. Ends with its standard input, which the system closes when the test ends in whatever way.
"""

import argparse
import os
import sys
import threading

from werkzeug.serving import WSGIRequestHandler, make_server

from . import images, instances, launch, spot
from .gate import Gate
from .metadata import Metadata
from .settings import SETTINGS


class Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(timestamp or SETTINGS.now().timestamp())


def main() -> None:
    parser = argparse.ArgumentParser("cloud")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--control", required=True)
    parser.add_argument("--metadata", help="the address of the metadata service")
    arguments = parser.parse_args()
    for part in (images, instances, launch, spot):
        part.install()
    gate = Gate()
    api = make_server(arguments.address, 0, gate, threaded=True, request_handler=Quiet)
    servers = [api]
    control = f"unix://{arguments.control}"
    servers.append(make_server(control, 0, gate, threaded=True, request_handler=Quiet))
    if arguments.metadata:
        metadata = Metadata(gate.lock)
        servers.append(
            make_server(arguments.metadata, 80, metadata, threaded=True, request_handler=Quiet)
        )
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://{arguments.address}:{api.port}", flush=True)
    sys.stdin.read()
    os._exit(0)


main()
