"""A reverse proxy on the loopback address, as nginx is one: the app has a path of a site, others have the rest."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from urllib.parse import urlsplit

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class FrontProxy:
    """Passes requests below a path to the app, web sockets among them. To be used as a context.

    Args:
        path: path of the app, for example ``/explorer``.
        target: port of the app on the loopback address.

    Attributes:
        url: address of the app as visitors know it.
        strays: what was asked for outside the path.
    """

    def __init__(self, path: str, target: int) -> None:
        self.strays: list[str] = []
        self._path, self._target = path, target
        self._server = _Server(("127.0.0.1", 0), self._serve)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> FrontProxy:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as reader, contextlib.suppress(OSError):
            head = list(iter(reader.readline, b"\r\n"))
            if not head or not head[-1]:
                return
            asked = head[0].decode().split()[1]
            if not f"{urlsplit(asked).path}/".startswith(f"{self._path}/"):
                self.strays.append(asked)
                client.sendall(NOT_FOUND)
                return
            lines = head if _upgrades(head) else [line for line in head if not _is(line, b"connection")]
            lines += [] if lines is head else [b"Connection: close\r\n"]
            with socket.create_connection(("127.0.0.1", self._target)) as app:
                app.sendall(b"".join([*lines, b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n"]))
                answers = threading.Thread(target=_pass, args=(app.recv, client), daemon=True)
                answers.start()
                _pass(reader.read1, app)
                answers.join()


def _is(line: bytes, name: bytes) -> bool:
    return line.lower().startswith(name + b":")


def _upgrades(head: list[bytes]) -> bool:
    return any(_is(line, b"upgrade") for line in head)


def _pass(read, sink: socket.socket) -> None:  # type: ignore[no-untyped-def]
    """Pass on everything until the one side ends, and end the other."""
    with contextlib.suppress(OSError):
        while data := read(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    block_on_close = False

    def __init__(self, address, serve) -> None:  # type: ignore[no-untyped-def]
        self._serve = serve
        super().__init__(address, socketserver.BaseRequestHandler)

    def finish_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        self._serve(request)
