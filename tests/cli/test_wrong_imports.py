"""A wrong import is never averaged with its correction, and is undone by the commands that the messages name."""

import json
import re
import shlex
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.records import ScoreRecord

NAMES = ("BERT-Tiny", "BERT-Mini", "FlexiBERT-Mini")
VALUES = (0.83, 0.86, 0.79)
STORE = "sqlite:///explorer.db"


def mapping(source: str, scale: str) -> str:
    return (
        f"source: {source}\narchitecture: {{name: model}}\n"
        f"scores: [{{column: sst, task: SST-2, metric: accuracy, dataset: GLUE, recipe: mine, scale: {scale}}}]\n"
        "measurements: [{column: ms, device: my board, quantity: latency, unit: s}]\n"
    )


def write(factor: float, latency: float) -> None:
    rows = "".join(f"{name},{value * factor:.6g},{latency}\n" for name, value in zip(NAMES, VALUES, strict=True))
    Path("table.csv").write_text("model,sst,ms\n" + rows)


@pytest.fixture
def bring(archex):
    """Imports the table by a mapping; returns the exit code and what was said on standard error."""

    def run(source: str = "mine", scale: str = "fraction") -> tuple[int, dict]:
        Path("map.yaml").write_text(mapping(source, scale))
        code, out, _ = archex("import", "table", "table.csv", "--mapping", "map.yaml", "--space", "mine", "--json")
        return code, json.loads(out)

    return run


def document(result) -> dict:
    code, out, told = result
    assert code == 0, told
    return json.loads(out)


def best(archex) -> dict[str, float]:
    return {one["origin"]: one["value"] for one in document(archex("best", "--json"))["best"]}


def commands_of(remedy: str) -> list[list[str]]:
    return [shlex.split(text)[1:] for text in re.findall(r"`(archex [^`]*)`", remedy)]


def test_the_remedy_of_a_refused_correction_makes_room_for_it(archex, bring):
    write(1, 0.02)
    assert bring(scale="percent")[0] == 0  # The values were fractions already.
    assert best(archex) == {"mine": pytest.approx(0.0086)}
    code, report = bring()
    assert (code, report["rows"]) == (2, 0)
    remedy = report["refused"][0]["remedy"]
    (command,) = commands_of(remedy)
    assert command == ["import", "remove", "mine"]
    code, out, told = archex(*command)
    assert (code, out) == (0, "removed 3 scores of mine; the architectures are kept\n"), told
    code, report = bring()
    assert (code, report["new_scores"], report["new_architectures"]) == (0, 3, 0)
    assert best(archex) == {"mine": pytest.approx(0.86)}


def test_the_remedy_of_a_refused_measurement_makes_room_for_it(archex, bring):
    write(1, 20)
    assert bring()[0] == 0
    write(1, 0.02)
    code, report = bring()
    assert code == 2
    (command,) = commands_of(report["refused"][0]["remedy"])
    assert command == ["import", "remove", "--device", "my board", "--quantity", "latency"]
    assert document(archex(*command, "--json")) == {"scores": 0, "measurements": 3}
    assert bring()[0] == 0
    with open_store(STORE) as store:
        assert {record.value for record in store.measurements()} == {0.02}
        assert len(store.scores()) == 3


def test_another_source_is_another_series_until_one_is_removed(archex, bring):
    write(1, 0.02)
    assert bring("percent", "percent")[0] == 0
    assert bring("fractions")[0] == 0
    assert best(archex) == {"fractions": pytest.approx(0.86), "percent": pytest.approx(0.0086)}
    code, _, told = archex("find", "--sort", "-SST-2")
    assert code == 2
    assert "/ fractions; " in told
    ways = told.strip().rpartition(" Add ")[2].split("; or ")
    assert ways == ["--origin fractions", "--origin percent"]
    for way, value in zip(ways, (0.86, 0.0086), strict=True):
        rows = document(archex("find", "--sort", "-SST-2", *shlex.split(way), "--json"))["rows"]
        assert list(rows[0]["values"].values()) == [pytest.approx(value)]
    near = document(archex("neighbors", "BERT-Tiny", "--space", "mine", "--k", "2", "--json"))["neighbors"]
    titles = ["SST-2 (from fractions)", "SST-2 (from percent)"]
    assert all(sorted(row["scores"]) == titles for row in near)
    assert document(archex("import", "remove", "percent", "--json")) == {"scores": 3, "measurements": 0}
    rows = document(archex("find", "--sort", "-SST-2", "--json"))["rows"]
    assert [next(iter(row["values"].values())) for row in rows] == [pytest.approx(v) for v in sorted(VALUES)[::-1]]
    assert best(archex) == {"fractions": pytest.approx(0.86)}


def test_a_search_on_known_scores_takes_one_origin(archex, bring):
    write(1, 0.02)
    bring("percent", "percent")
    bring("fractions")
    search = ("search", "--space", "mine", "--objective", "SST-2", "--policy", "random", "--budget", 3, "--from-scores")
    code, _, told = archex(*search)
    assert code == 2
    assert "Choose one kind by --origin, the last part of each" in told
    code, _, told = archex(*search, "--origin", "nobody")
    assert code == 2
    assert "be one of: fractions; percent" in told
    code, _, told = archex(*search, "--origin", "fractions", "--study", "mine")
    assert code == 0, told
    with open_store(STORE) as store:
        assert sorted(trial.value for trial in store.trials("mine")) == [
            pytest.approx(value) for value in sorted(VALUES)
        ]
        assert store.study("mine").spec["evaluation"]["origin"] == "fractions"
    code, _, told = archex("search", "--space", "mine", "--origin", "fractions")
    assert code == 2
    assert "--from-scores" in told


def test_what_cannot_be_removed_is_refused(archex, bring):
    write(1, 0.02)
    bring()
    with open_store(STORE) as store:
        id = store.architecture_ids("mine")[0]
        store.add_scores([ScoreRecord(id, "SST-2", "accuracy", 0.5, "GLUE", "imported", "mine", 0, "trained:s/0")])
    for words, said in (
        (("trained",), "be the origin of imported scores in the store: mine"),
        (("min",), "be the origin of imported scores in the store: mine"),
        ((), "either an origin or --device"),
        (("mine", "--device", "my board"), "either an origin or --device"),
        (("mine", "--quantity", "latency"), "come with --device"),
        (("--device", "board"), "be a device with measurements in the store: my board"),
        (("--device", "my board", "--quantity", "energy"), "be a device with energy in the store: none"),
    ):
        code, _, told = archex("import", "remove", *words)
        assert (code, said in told) == (2, True), told
    with open_store(STORE) as store:
        assert (len(store.scores()), len(store.measurements())) == (4, 3)


def test_rows_of_one_file_that_contradict_each_other_name_no_command(archex, bring):
    Path("table.csv").write_text("model,sst,ms\nBERT-Tiny,0.5,0.02\nBERT-Tiny,0.5,0.03\n")
    code, report = bring()
    assert code == 2
    assert report["refused"][0]["remedy"] == "Remove one of the two rows."
