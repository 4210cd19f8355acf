"""A TCP proxy on the loopback address that can be cut, for tests of lost connections and moved servers."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from dataclasses import dataclass, field

CHUNK = 65536


class Way(enum.Enum):
    """Direction in which bytes go."""

    REQUESTS = "from the client to the server"
    ANSWERS = "from the server to the client"


@dataclass(eq=False)
class _Link:
    client: socket.socket
    server: socket.socket
    pumps: list[threading.Thread] = field(default_factory=list)

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self.client, self.server


class Proxy:
    """Passes bytes between clients and a server until it is cut. To be used as a context.

    Args:
        target: port of the server on the loopback address.

    Attributes:
        port: where clients connect to, for as long as the proxy lives.
        cuts: how often the wire was cut.
    """

    def __init__(self, target: int) -> None:
        self.cuts = 0
        self._target = target
        self._whole = True
        self._passed = dict.fromkeys(Way, 0)
        self._limits: dict[Way, int] = {}
        self._heals = True
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._acceptor.start()

    def point(self, target: int) -> None:
        """Connect new clients to another port."""
        self._target = target

    def passed(self, way: Way) -> int:
        """Return the number of bytes passed in a direction."""
        return self._passed[way]

    def cut(self) -> None:
        """Break all connections, and every new one, until ``heal``."""
        with self._lock:
            self._whole = False
        self._break()

    def cut_after(self, way: Way, count: int, heals: bool = True) -> None:
        """Break all connections when ``count`` more bytes have gone one way; not one byte more arrives.

        Args:
            way: which bytes are counted.
            count: how many still pass.
            heals: whether new connections pass again after the cut.
        """
        with self._lock:
            self._limits = {way: self._passed[way] + count}
            self._heals = heals

    def heal(self) -> None:
        """Restore the connection."""
        with self._lock:
            self._whole, self._limits = True, {}

    def close(self) -> None:
        """Close the proxy and all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            pumps = [pump for link in self._links for pump in link.pumps]
        self._break()
        for pump in pumps:
            pump.join()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            if not self._whole:
                raise ConnectionRefusedError
            link = _Link(client, socket.create_connection(("127.0.0.1", self._target)))
        except OSError:
            client.close()
            return
        ends = ((link.client, link.server, Way.REQUESTS), (link.server, link.client, Way.ANSWERS))
        link.pumps = [threading.Thread(target=self._pump, args=(link, *end), daemon=True) for end in ends]
        with self._lock:
            self._links.add(link)
        for pump in link.pumps:
            pump.start()

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket, way: Way) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                taken, last = self._take(way, data)
                sink.sendall(taken)
                if last:
                    self._break()
        self._end(link)

    def _take(self, way: Way, data: bytes) -> tuple[bytes, bool]:
        """Return the part of the data that may pass, and whether the wire is cut after it."""
        with self._lock:
            limit = self._limits.get(way)
            room = len(data) if limit is None else limit - self._passed[way]
            taken = data[: max(0, room)]
            self._passed[way] += len(taken)
            if room >= len(data):
                return taken, False
            self._limits, self._whole = {}, self._heals
            return taken, True

    def _break(self) -> None:
        with self._lock:
            links = list(self._links)
            self.cuts += 1
        for link in links:
            self._end(link)

    def _end(self, link: _Link) -> None:
        with self._lock:
            known = link in self._links
            self._links.discard(link)
        if not known:
            return
        for end in link.sockets():
            # Shut down first, which wakes the thread that waits for data.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
