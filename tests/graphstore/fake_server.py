"""Stands for the server's program where a test is about processes: it answers Bolt's handshake, and no more.

Called with the server's command line (by a ``java`` of our own) or with a port alone.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from pathlib import Path


def wanted_port(words: list[str]) -> int:
    if len(words) == 1:
        return int(words[0])
    (conf,) = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    lines = (Path(conf) / "neo4j.conf").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    return int(settings["server.bolt.listen_address"].rpartition(":")[2])


def main() -> None:
    words = sys.argv[1:]
    if "-version" in words:
        sys.exit('openjdk version "17.0.1" 2021-10-19')
    if "org.neo4j.cli.AdminTool" in words:
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", wanted_port(words)))
        server.listen()
        sys.stdout.write("badger is listening\n")
        sys.stdout.flush()
        while True:
            client, _ = server.accept()
            # Whoever asked while we were suspended has gone.
            with client, contextlib.suppress(OSError):
                if client.recv(20)[:4] == bytes.fromhex("6060b017"):
                    client.sendall(bytes([0, 0, 4, 5]))


if __name__ == "__main__":
    main()
