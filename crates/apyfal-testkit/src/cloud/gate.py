"""What each call goes through before and after moto."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterable

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from . import buckets, errors, signature
from .call import Call
from .control import Control
from .errors import Refused
from .faults import Faults, Lost
from .settings import SETTINGS


class Gate:
    """The cloud, as a WSGI application."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        # moto is not made for several callers at once, and EC2 makes one machine of one token.
        self.lock = threading.Lock()
        self.faults = Faults()
        self.control = Control(self.faults, self.lock)

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        request = Request(environ)
        if request.path.startswith("/_cloud/"):
            return self.control.answer(request)(environ, start_response)
        call = Call(request)
        time.sleep(SETTINGS.distance)
        try:
            response = self.answer(call, environ)
        except Lost:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError from None
        return response(environ, start_response)

    def answer(self, call: Call, environ: dict) -> Response:
        entry = self.faults.begin(call)
        is_lost = False
        try:
            signature.check(call)
            is_lost = self.faults.take(call)
            buckets.check(call)
            response = self.ask_moto(call, environ)
        except Refused as refused:
            response = errors.answer(call.service, call.method, refused)
            entry["error"] = refused.code
        entry["status"] = response.status_code
        if response.status_code >= 400:
            entry.setdefault("error", response.get_data(as_text=True)[-2000:])
        self.faults.end(entry)
        if is_lost:
            raise Lost
        return response

    def ask_moto(self, call: Call, environ: dict) -> Response:
        environ["wsgi.input"] = io.BytesIO(call.body)
        environ["CONTENT_LENGTH"] = str(len(call.body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        with self.lock:
            body, status, headers = run_wsgi_app(self.moto, environ, buffered=True)
            # As pieces: of the whole, its length would go before the one that an answer to HEAD tells.
            return Response(list(body), status, headers)
