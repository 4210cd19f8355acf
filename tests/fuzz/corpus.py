"""The kept corpus: the shortest inputs found for some hundred different outcomes, and inputs that once broke a reader.

``uv run python -m tests.fuzz.corpus`` searches again and writes ``corpus.xz``.
"""

from __future__ import annotations

import json
import lzma
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from .entrances import ENTRANCES
from .running import Escaped, cases, kind, read

FILE = Path(__file__).parent / "corpus.xz"
EACH, LARGEST, SEARCHED = 12, 2_000, 40_000
"""Kept inputs of an entrance, bytes of an input, and inputs to choose from."""
BROKE = {
    "recipe": ("base: !!bool foo\n", "base: !!int ''\n", "base: !!timestamp x\n", f"clip: {'9' * 5000}\n"),
    "task": (f"name: x\nclasses: [{'9' * 400}, 2]\n", "name: !!bool foo\n", "[" * 3000),
    "pasted model": ("[" * 3000, f'{{"l": {"9" * 5000}}}', f'{{"l": 1, "h": [{"9" * 400}]}}', '{"l": "\\ud800"}'),
    "NAS-Bench-BERT": (f'[{{"id": {"9" * 5000}}}]', f'[{{"id": 1, "time_to_train": {"9" * 400}}}]'),
    "EdgeTran": (f'{{"{"0" * 32}_rpi": {{"performance": {{"latency": {"9" * 400}}}}}}}',),
    "shapes": (
        ",".join(f"h{n}" for n in range(1, 13)) + ",_s\n" + "480," * 12 + "0.5\n",
        '[{"h1": 480, "\\ud800_s": 1}]',
    ),
    "constraints": ("parameters<=" + "9" * 5000,),
    "values of options": ("k=" + "9" * 5000, "k=" + "[" * 3000, "k=NaN", 'k={"a": 1, "a": 2}'),
}
"""Inputs of kinds that once ended in a traceback, or were taken though they are wrong."""


def load() -> list[tuple[str, bytes]]:
    """Return the kept inputs with the names of their entrances."""
    kept = json.loads(lzma.decompress(FILE.read_bytes()))
    broke = [(name, text.encode("utf-8", "surrogatepass")) for name, texts in BROKE.items() for text in texts]
    return broke + [(name, text.encode("latin-1")) for name, texts in kept.items() for text in texts]


def search(folder: Path) -> dict[str, list[str]]:
    """Return the shortest inputs of different outcomes for each entrance, rare outcomes first."""
    shortest: dict[str, dict[str, bytes]] = defaultdict(dict)
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for name, raw in cases(1, SEARCHED):
        try:
            came = kind(read(name, raw, folder), folder)
        except Escaped as escape:
            sys.stderr.write(f"{escape}\n")
            came = "escaped"
        seen[name, came] += 1
        if len(raw) <= LARGEST and len(raw) < len(shortest[name].get(came, b"x" * (LARGEST + 1))):
            shortest[name][came] = raw
    chosen = {}
    for name in ENTRANCES:
        outcomes = sorted(shortest[name], key=lambda came: seen[name, came])
        picked = random.Random(0).sample(outcomes, min(EACH, len(outcomes)))
        chosen[name] = sorted(shortest[name][came].decode("latin-1") for came in picked)
    return chosen


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = search(Path(folder) / "case")
    FILE.write_bytes(lzma.compress(json.dumps(found, ensure_ascii=False).encode(), preset=9 | lzma.PRESET_EXTREME))
