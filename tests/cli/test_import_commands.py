"""``archex import`` and ``archex export``: reports, exit codes, and the example of the document."""

import json
import re
import shlex
from pathlib import Path

import pytest

from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_model_dict
from explorer.space.named import named_model
from graphstore import open_store

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
SPEC = {"l": 1, "o": ["sa"], "h": [32], "n": [2], "f": [[32]], "p": ["sdp"]}
MAPPING = (
    "source: mine\narchitecture: {model_dict: spec}\n"
    "scores: [{column: sst, task: SST-2, metric: accuracy, dataset: GLUE, recipe: mine}]\n"
)


@pytest.fixture
def archex(archex):
    """Runs a command in a folder with a mapping."""
    Path("map.yaml").write_text(MAPPING)
    return archex


def write(rows, name="table.jsonl"):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_sound_rows_go_in_and_refused_ones_are_reported(archex):
    sound = {"spec": SPEC, "sst": 0.5}
    write([sound, *({"spec": SPEC, "sst": f"[b]{n}[/b]"} for n in range(30))])
    table = ["import", "table", "table.jsonl", "--mapping", "map.yaml", "--space", "mine"]
    code, out, err = archex(*table, "--report", "report.json")
    assert code == 2
    assert "1 rows with 1 architectures, 1 scores" in out
    assert "'[b]0[/b]'" in err
    assert "and 10 more like it" in err
    report = json.loads(Path("report.json").read_text())
    assert [row["row"] for row in report["refused"]] == list(range(2, 32))
    assert set(report["refused"][0]) == {"row", "field", "rule", "value", "remedy", "more"}
    code, out, _ = archex(*table, "--json")
    assert code == 2
    again = json.loads(out)
    assert (again["new_scores"], again["refused"]) == (0, report["refused"])
    with open_store("sqlite:///explorer.db") as store:
        assert [score.value for score in store.scores(space="mine")] == [0.5]


def test_exit_code_0_where_nothing_is_refused(archex):
    write([{"spec": SPEC, "sst": 0.5}])
    code, out, err = archex("import", "table", "table.jsonl", "--mapping", "map.yaml", "--space", "mine", "--json")
    assert (code, json.loads(out)["new_scores"]) == (0, 1)
    assert "refused" not in err


@pytest.mark.parametrize("strict", [True, False])
def test_a_refused_file_makes_no_store(archex, strict):
    write([{"spec": SPEC, "sst": 0.5 if strict else "x"}, {"spec": {}, "sst": 1}])
    table = ["import", "table", "table.jsonl", "--mapping", "map.yaml", "--space", "mine"]
    code, out, err = archex(*table, *(["--strict"] if strict else []))
    assert code == 2
    assert "0 rows" in out
    assert "nothing was imported" in err
    assert not Path("explorer.db").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["edgetran", "missing.json"], "missing.json"),
        (["edgetran", "map.yaml"], "map.yaml must be valid JSON"),
        (["table", "map.yaml", "--mapping", "map.yaml", "--space", "mine"], ".csv"),
        (["table", "t.csv", "--mapping", "nowhere.yaml", "--space", "mine"], "nowhere.yaml"),
        (["table", "t.csv", "--mapping", "map.yaml", "--space", "No Name"], "No Name"),
        (["table", "t.csv", "--mapping", "map.yaml"], "--space"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(archex, arguments, named):
    code, out, err = archex("import", *arguments)
    assert (code, out) == (2, "")
    assert named in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("explorer.db").exists()


def test_suspicious_values_are_said_and_strict_refuses_them(archex):
    percent = MAPPING.replace("recipe: mine", "recipe: mine, scale: percent")
    Path("map.yaml").write_text(percent)
    write(
        [
            {"spec": SPEC, "sst": 85.8},
            {"spec": {**SPEC, "h": [64]}, "sst": 0.83},
            {"spec": {**SPEC, "h": [96]}, "sst": 81},
        ]
    )
    table = ["import", "table", "table.jsonl", "--mapping", "map.yaml", "--space", "mine"]
    code, _, err = archex(*table, "--strict")
    assert code == 2
    assert "nothing was imported" in err
    assert not Path("explorer.db").exists()
    code, out, err = archex(*table, "--json")
    assert (code, json.loads(out)["scores"]) == (0, 3)
    assert "suspicious: row 2: SST-2 is 0.83, the others are from 81 to 85.8: a fraction among percentages?" in err
    assert len(json.loads(out)["suspicious"]) == 1


def test_how_a_table_was_read_is_said(archex):
    Path("table.csv").write_bytes("\ufeffname;sst;ms\r\nBERT-Mini;85,8 %;1.234,5\r\n".encode())
    Path("map.yaml").write_text(MAPPING.replace("model_dict: spec", "name: name"))
    code, _, err = archex("import", "table", "table.csv", "--mapping", "map.yaml", "--space", "mine")
    assert code == 0
    dialect = "UTF-8 with a byte order mark, separated by semicolons, decimal comma, separators of thousands"
    assert f"read as {dialect}" in err
    assert "read as sst: numbers with a percent sign are percentages" in err


def test_a_report_that_cannot_be_written_is_said(archex):
    write([{"spec": SPEC, "sst": 0.5}])
    code, _, err = archex(
        "import", "table", "table.jsonl", "--mapping", "map.yaml", "--space", "mine", "--report", "map.yaml/report.json"
    )
    assert code == 2
    assert "--report must be a writable file" in err


def test_the_documents_example(archex):
    """Every file the document shows is written as it stands, and every command of the part works on them."""
    part = DOCUMENT.read_text(encoding="utf-8").split("## Tables of your own")[1].split("\n## ")[0]
    for name, text in re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", part, re.DOTALL):
        Path(name).write_text(text)
    commands = [line for block in re.findall(r"```bash\n(.*?)```", part, re.DOTALL) for line in block.splitlines()]
    assert commands
    for command in commands:
        code, out, _ = archex(*shlex.split(command)[1:], "--json")
        assert code == 0, command
    report = json.loads(out)
    assert (report["rows"], report["scores"], report["measurements"]) == (3, 3, 2)
    assert report["refused"] == []
    with open_store("sqlite:///explorer.db") as store:
        scores = {score.source: score for score in store.scores(space="mine")}
        second = scores["my-trainings:2"]
        assert second.architecture == architecture_id(named_model("BERT-Mini"))
        assert (second.value, second.fidelity) == (pytest.approx(0.858), "10k")
        assert {m.unit for m in store.measurements()} == {"ms"}


def test_export_writes_the_folder_and_says_what_is_in_it(archex):
    write([{"spec": SPEC, "sst": 0.5}])
    archex("import", "table", "table.jsonl", "--mapping", "map.yaml", "--space", "mine")
    id = architecture_id(from_model_dict(SPEC))
    code, out, _ = archex("export", id, "out", "--json")
    done = json.loads(out)
    assert (code, done["id"], done["run"]) == (0, id, None)
    assert done["contents"] == sorted(path.name for path in Path("out").iterdir())
    assert "| SST-2 | accuracy | 0.5000 |" in Path("out/README.md").read_text()
    code, out, _ = archex("export", "BERT-Mini", "mini")
    assert code == 0
    assert "no trained models" in out
    code, _, err = archex("export", id, "out")
    assert code == 2
    assert "folder must be new or empty" in err
    code, _, err = archex("export", "0" * 24, "other")
    assert code == 2
    assert not Path("other").exists()
