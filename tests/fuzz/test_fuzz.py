"""Damaged files at every way in: success or one line, never a traceback, a hang or half an import."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from explorer.library.importing import ImportFile
from explorer.training import recipe as recipes

from . import corpus
from .entrances import ENTRANCES
from .long_run import seed_store
from .running import Escaped, cases, content, import_into, kind, read

ROOT = Path(__file__).resolve().parents[2]
QUICK, LONG, PROCESSES = 1_500, 100_000, 4
COMMANDS = {
    "space": ("space", "count"),
    "recipe": ("train", "BERT-Tiny", "--recipe"),
    "task": ("train", "BERT-Tiny", "--recipe", "quick", "--task-file"),
    "model in a file": ("params",),
    "NAS-Bench-BERT": ("import", "nas-bench-bert"),
    "EdgeTran": ("import", "edgetran"),
    "shapes": ("import", "shapes"),
    "table in CSV": ("import", "table", "--space", "mine", "--mapping", "map.yaml"),
    "shapes to predict from": ("shapes", "devices"),
    "vector": ("neighbors", "--vector"),
}
"""The command that an entrance is behind; the file's name follows."""


@pytest.fixture(scope="module")
def kept() -> list[tuple[str, bytes]]:
    return corpus.load()


def test_every_seed_is_read(tmp_path):
    for name, entrance in ENTRANCES.items():
        for seed in entrance.seeds:
            found = read(name, seed.encode(), tmp_path / "case")
            assert isinstance(found, str) or (isinstance(found, ImportFile) and found.rows.valid), (name, found)


def test_the_kept_corpus(tmp_path, kept):
    outcomes = {(name, kind(read(name, raw, tmp_path / "case"), tmp_path / "case")) for name, raw in kept}
    assert len(kept) >= 200
    assert {name for name, _ in kept} == set(ENTRANCES)
    assert len(outcomes) > len(kept) / 2, "the corpus is there for its different outcomes"


def test_what_once_broke_a_reader_is_refused(tmp_path):
    for name, texts in corpus.BROKE.items():
        for text in texts:
            found = read(name, text.encode("utf-8", "surrogatepass"), tmp_path / "case")
            assert not isinstance(found, str), (name, text[:80])
            assert not isinstance(found, ImportFile) or not found.rows.valid, (name, text[:80])


def test_new_damage(tmp_path):
    outcomes = {(name, kind(read(name, raw, tmp_path / "case"), tmp_path / "case")) for name, raw in cases(7, QUICK)}
    assert len(outcomes) > 300, "the damage reaches many rules"


def test_a_refused_import_leaves_the_store_as_it_was(tmp_path, kept):
    url = seed_store(tmp_path)
    draw, refused = random.Random(5), 0
    tables = [(name, raw) for name, raw in kept if name in COMMANDS or "table" in name]
    for name, raw in draw.sample(tables, 40):
        found = read(name, raw, tmp_path / "case")
        if isinstance(found, ImportFile) and not found.names_stored:
            refused += not import_into(url, found, strict=True).rows
    assert refused > 3


def test_a_contradiction_leaves_the_store_as_it_was(tmp_path):
    url = seed_store(tmp_path)
    before = content(url)
    changed = ENTRANCES["table in JSON"].seeds[0].replace("85.8", "55.8")
    found = read("table in JSON", changed.encode(), tmp_path / "case")
    assert isinstance(found, ImportFile)
    assert import_into(url, found, strict=False).rows == 0
    assert content(url) == before


def test_the_command_line_ends_with_one_line_and_exit_code_2(archex, tmp_path, kept):
    draw, said = random.Random(11), 0
    behind = [(name, raw) for name, raw in kept if name in COMMANDS and b"\0" not in raw[:1]]
    for name, raw in draw.sample(behind, 30):
        case = tmp_path / "case"
        if not isinstance(read(name, raw, case), Exception):
            continue
        words = [str(case / word) if word.endswith(".yaml") else word for word in COMMANDS[name]]
        code, _, told = archex(*words, case / ENTRANCES[name].file)
        assert code == 2, (name, raw[:200], told)
        assert "Traceback" not in told
        assert told.startswith("error: ")
        assert not Path("explorer.db").exists()
        said += 1
    assert said > 10


def test_the_fuzzer_finds_a_planted_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "read_yaml", lambda path, what: yaml.safe_load(path.read_text()))
    damaged = [raw for name, raw in cases(7, QUICK) if name == "recipe"]
    with pytest.raises(Escaped, match="recipe: "):
        [read("recipe", raw, tmp_path / "case") for raw in damaged]


@pytest.mark.fuzz
@pytest.mark.timeout(4 * 3600)
def test_a_hundred_thousand_cases():
    for seed in range(PROCESSES):
        command = [sys.executable, "-m", "tests.fuzz.long_run", "--seed", str(seed), "--cases", str(LONG // PROCESSES)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["escapes"] == []
        assert found["slowest_s"] < 10
        assert found["memory_mb"] < 1000
