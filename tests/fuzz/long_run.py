"""A process that runs many cases and prints one JSON object: escapes, slowest case, memory, imports that were tried.

``uv run python -m tests.fuzz.long_run --seed 1 --cases 10000``
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from explorer.library.importing import ImportFile, import_file
from explorer.progress import SilentReporter
from graphstore import open_store

from .entrances import ENTRANCES
from .running import Escaped, cases, import_into, read

IMPORTED = 0.02
"""Share of the readable tables that are imported into a store, because an import takes a hundred times longer."""


def seed_store(folder: Path) -> str:
    """Make a store with the results of an import, and return its URL."""
    url = f"sqlite:///{folder / 'fuzz.db'}"
    found = read("table in JSON", ENTRANCES["table in JSON"].seeds[0].encode(), folder / "case")
    assert isinstance(found, ImportFile)
    with open_store(url) as store:
        import_file(store, found, SilentReporter())
    return url


def peak_mb() -> float:
    """Peak memory of this program in MB; ``ru_maxrss`` may be that of the process that started it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run(seed: int, count: int, folder: Path) -> dict[str, object]:
    """Run cases in a folder, and return what was found."""
    url, draw = seed_store(folder), random.Random(seed)
    escapes, slowest, imports, refused = [], 0.0, 0, 0
    for name, raw in cases(seed, count):
        begun = time.process_time()
        try:
            found = read(name, raw, folder / "case")
            slowest = max(slowest, time.process_time() - begun)
            if isinstance(found, ImportFile) and draw.random() < IMPORTED and not found.names_stored:
                imports += 1
                refused += not import_into(url, found, strict=draw.random() < 0.5).rows
        except Escaped as escape:
            escapes.append(str(escape)[:600])
    return {
        "cases": count,
        "escapes": escapes,
        "slowest_s": round(slowest, 2),
        "memory_mb": round(peak_mb()),
        "imports": imports,
        "imports_refused": refused,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10_000)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as made:
        sys.stdout.write(json.dumps(run(options.seed, options.cases, Path(made))) + "\n")
