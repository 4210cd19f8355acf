"""Tables of spreadsheets and values of options: taken, or refused in one line with a remedy that works."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

MAPPING = """source: mine
architecture: {name: model}
scores:
  - {column: acc, task: SST-2, metric: accuracy, dataset: GLUE, recipe: mine, scale: percent}
measurements:
  - {column: ms, device: phone, quantity: latency, unit: ms}
"""
ROWS = [("model", "acc", "ms"), ("BERT-Tiny", "83.1", "1234.5"), ("BERT-Mini", "85.75", "7.25")]
IMPORT = ("import", "table", "t.csv", "--mapping", "map.yaml", "--space", "mine")
WIDTHS = ",".join(f"h{layer}" for layer in range(1, 13))


def table(rows, delimiter=",", end="\n", comma=False):
    text = "".join(delimiter.join(row) + end for row in rows)
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (table(ROWS, ";", "\r\n", comma=True).encode("utf-8-sig"), "separated by semicolons, decimal comma"),
        (table(ROWS, "\t", "\r\n", comma=True).encode("utf-16"), "UTF-16-LE, separated by tabs, decimal comma"),
        (b"sep=|\r\n" + table(ROWS, "|").encode(), "separated by bars, decimal point"),
        (table(ROWS, ";").replace("1234.5", "1,234.5").encode(), "separated by semicolons, decimal point"),
    ],
)
def test_spreadsheets_come_in_and_the_report_says_how(archex, content, said):
    Path("map.yaml").write_text(MAPPING)
    Path("t.csv").write_bytes(table(ROWS).encode())
    code, _, told = archex(*IMPORT, "--store", "sqlite:///plain.db")
    assert code == 0, told
    Path("t.csv").write_bytes(content)
    # The same values again add nothing to the store of the plain table.
    code, out, told = archex(*IMPORT, "--store", "sqlite:///plain.db", "--json")
    assert code == 0, told
    assert said in told
    report = json.loads(out)
    assert (report["rows"], report["new_scores"], report["new_measurements"]) == (2, 0, 0)
    assert any(said in line for line in report["read_as"])


def test_what_is_ambiguous_is_settled_by_following_the_remedy(archex):
    Path("map.yaml").write_text(MAPPING)
    Path("t.csv").write_text("model|x,acc|y,ms|z\nBERT-Tiny|1,83|2,7|3\n")
    code, _, told = archex(*IMPORT)
    assert code == 2
    option = told.partition("State it with ")[2].strip().removesuffix(".")
    code, _, after = archex(*IMPORT, *shlex.split(option))
    assert "one possible delimiter" not in after
    Path("t.csv").write_text("model;acc;ms\nBERT-Tiny;83,5;7\nBERT-Mini;85.5;7\n")
    code, _, told = archex(*IMPORT)
    assert code == 2
    assert "state --decimal ',' or --decimal '.'" in " ".join(told.replace("│", " ").split())
    assert archex(*IMPORT, "--decimal", ",")[0] == 2, "one row has a point"
    Path("map.yaml").write_text(MAPPING + "decimal: comma\ndelimiter: semicolon\nencoding: cp1252\n")
    Path("t.csv").write_bytes("model;acc;ms;café\nBERT-Tiny;83,5;7;é\n".encode("cp1252"))
    code, _, told = archex(*IMPORT)
    assert code == 0, told
    assert "CP1252" in told


def test_one_wrong_column_is_said_once_for_many_rows(archex):
    Path("map.yaml").write_text(MAPPING)
    Path("t.csv").write_text("model,acc,ms\n" + "BERT-Tiny,eighty,7\n" * 3000)
    code, out, told = archex(*IMPORT, "--report", "r.json")
    assert code == 2
    assert "and 2,980 more like it" in told
    assert "3000 rows were refused" in out
    report = json.loads(Path("r.json").read_text())
    assert (len(report["refused"]), report["refused"][-1]["more"], report["refused_rows"]) == (1000, 2000, 3000)
    assert not Path("explorer.db").exists()


def test_a_hopeless_file_is_given_up_early(archex, monkeypatch):
    monkeypatch.setattr("explorer.space.imports.rows.MAX_HOPELESS", 1500)
    Path("map.yaml").write_text(MAPPING)
    Path("t.csv").write_text("model,acc,ms\n" + "BERT-Tiny,eighty,7\n" * 2000 + "BERT-Tiny,80,7\n")
    code, out, told = archex(*IMPORT)
    assert code == 2
    assert "and 1,981 more like it" in told
    assert "skipped: the rows after row 1,500 were not read" in told
    assert "2001 rows were refused" in out
    Path("t.csv").write_text("model,acc,ms\nBERT-Tiny,80,7\n" + "BERT-Tiny,eighty,7\n" * 2000)
    code, out, told = archex(*IMPORT)
    assert "1 rows with 1 architectures" in out
    assert "not read" not in told


def test_a_device_without_a_name_is_refused(archex):
    for column, value in (("_s", "0.5"), ("_s", ""), ("__s", "0.5")):
        Path("s.csv").write_text(f"{WIDTHS},perplexity,{column}\n{'480,' * 12}5.5,{value}\n")
        code, _, told = archex("import", "shapes", "s.csv")
        assert code == 2
        assert f"device of column {column}" in " ".join(told.split())
        code, _, told = archex("shapes", "devices", "s.csv", "--delimiter", "comma")
        assert code == 2
        assert f"device of column {column} must be text" in told or "no blanks" in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("search", "--policy-setting", f"method={'9' * 5000}"), "policy setting method"),
        (("search", "--policy-setting", "method=[NaN]"), "policy setting method"),
        (("cypher", "RETURN $k", "--param", "k=1e999"), "--param k"),
        (("cypher", "RETURN $k", "--param", 'k={"a": 1, "a": 2}'), "--param k"),
        (("space", "build", "nano", "--kernel-parameter", f"iterations={'9' * 400}"), "kernel parameter iterations"),
        (("import", "shapes", "none.csv", "--delimiter", ":"), "delimiter must be one of"),
        (("import", "shapes", "none.csv", "--encoding", "rot13"), "encoding must be one of"),
        (("studies", "caf\udce9"), "must be valid Unicode text"),
        (("find", "--space", "\udcff"), "must be valid Unicode text"),
    ],
)
def test_bad_values_are_one_line_and_exit_code_2(archex, arguments, named):
    code, _, told = archex(*arguments)
    assert (code, told.count("\n")) == (2, 1), told
    assert named in told
