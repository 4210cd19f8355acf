"""Memory of the app's server: one visitor after another looks at a page, without a browser.

Run ``uv run python benchmarks/app_memory.py``. It shows the store of ``benchmarks/app.py``, the nano space of 9,312
architectures with 500 scores, and speaks the browser's protocol, so that only the server works. Between two rounds over
all pages a score arrives, which outdates what the server has cached.

* ``start_mb``: resident memory (RSS) before the first page
* ``first_pages_mb``: after each page was shown once
* ``half_mb``, ``end_mb``: after half of the views, and after all
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from app import SPACE, prepare
from explorer.app.navigation import PAGES
from explorer.app.server import AppServer
from explorer.cli.bench import OptionParser, positive, run_main
from graphstore import GraphStore, open_store
from graphstore.records import ScoreRecord

LARGEST_MESSAGE = 2**28
TIMEOUT_S = 120.0


def view(url: str, page: str, query: str = "") -> list[str]:
    """Look at a page of the running app in a new session, until its script has ended.

    Args:
        url: address of the app.
        page: URL path of the page; empty for the start page.
        query: parameters in the URL.

    Returns:
        The messages of the exceptions that the page shows.
    """
    asked = BackMsg()
    asked.rerun_script.page_name, asked.rerun_script.query_string = page, query
    shown = []
    stream = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    with connect(stream, max_size=LARGEST_MESSAGE, open_timeout=TIMEOUT_S, proxy=None) as socket:
        socket.send(asked.SerializeToString())
        while True:
            message = ForwardMsg.FromString(socket.recv(TIMEOUT_S))
            if message.delta.new_element.WhichOneof("type") == "exception":
                shown.append(message.delta.new_element.exception.message)
            if message.WhichOneof("type") == "script_finished":
                return shown


def resident_mb(process: psutil.Process) -> float:
    """Return the memory of a process in MB."""
    return float(process.memory_info().rss / 1e6)


def add_score(store: GraphStore, number: int) -> None:
    """Let one more score arrive."""
    ids = store.architecture_ids(SPACE)
    store.add_scores(
        [ScoreRecord(ids[number % len(ids)], "late", "accuracy", 0.5, "none", "none", "none", number, "trained:late/0")]
    )


def _options() -> argparse.Namespace:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".archex/benchmark-app.db"), help="the store, kept")
    parser.add_argument("--views", type=positive, default=60, help="page views after the first of each page")
    return parser.parse_args()


def main() -> None:
    options = _options()
    url = prepare(options.cache)
    with AppServer(url, 0) as server, open_store(url) as store:
        process = next(one for one in psutil.Process().children() if "streamlit" in " ".join(one.cmdline()))
        figures = {"start_mb": resident_mb(process)}
        print("| views | memory, MB |\n|---|---|")
        for number, name in enumerate(itertools.islice(itertools.cycle(PAGES), len(PAGES) + options.views), 1):
            for message in view(server.url, name, f"space={SPACE}"):
                raise SystemExit(f"the page {name} shows an error: {message}")
            if number % len(PAGES) == 0:
                print(f"| {number} | {resident_mb(process):.0f} |", flush=True)
                add_score(store, number)
            if number == len(PAGES):
                figures["first_pages_mb"] = resident_mb(process)
            elif number == len(PAGES) + options.views // 2:
                figures["half_mb"] = resident_mb(process)
        figures["end_mb"] = resident_mb(process)
    print(json.dumps({name: round(value) for name, value in figures.items()}))


if __name__ == "__main__":
    run_main(main)
