"""Tables as spreadsheets, pandas and people write them: read as they are meant, or refused with what mends them."""

from __future__ import annotations

import json

import pytest

from explorer.documents.separated import TableOptions
from explorer.errors import DataError
from explorer.space.imports.mapping import parse_mapping
from explorer.space.imports.supershaper import find_shapes
from explorer.space.imports.tables import find_table

SCORE = {
    "column": "acc",
    "task": "SST-2",
    "metric": "accuracy",
    "dataset": "GLUE",
    "recipe": "mine",
    "scale": "percent",
}
MAPPING = {"source": "mine", "architecture": {"name": "model"}, "scores": [SCORE]}
SKIP = {**MAPPING, "scores": [{**SCORE, "missing": "skip"}]}
ROW = {"model": "BERT-Tiny", "acc": 83.5}
MODEL = {"l": 2, "o": ["sa", "c"], "h": [128, 128], "n": [2, 2], "f": [[512], [512]], "p": ["sdp", 5]}
WIDTHS = [f"h{layer}" for layer in range(1, 13)]


def read(tmp_path, content, mapping=None, name="t.csv", options=None):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return find_table(path, parse_mapping(mapping or MAPPING), options)


def values(found):
    return [score.value for _, row in found.valid for score in row.scores]


@pytest.mark.parametrize(
    "content",
    [
        "model,acc\nBERT-Tiny,83.5,,\nBERT-Mini,85,,\n",
        "model,acc,x\nBERT-Tiny,83.5,1\nBERT-Mini,85,1\n,,\n , ,\n",
        "model;acc;x\r\nBERT-Tiny;83,5;2\r\n;;\r\nBERT-Mini;85;2\r\n;;\r\n",
        'model, acc\n"BERT-Tiny", "83.5"\n"BERT-Mini", "85"\n',
        ",,\nmodel,acc,x\nBERT-Tiny,83.5,1\nBERT-Mini,85,2\n",
        "model\tacc\nBERT Tiny\t83.5\nbert_mini\t85\n",
    ],
)
def test_what_spreadsheets_add_is_not_refused(tmp_path, content):
    found = read(tmp_path, content)
    assert (found.refused, values(found)) == ((), [0.835, 0.85])


@pytest.mark.parametrize(
    ("document", "read_as"),
    [
        ([["model", "acc"], ["BERT-Tiny", 83.5]], "a list of rows below the names of their columns"),
        ({"columns": ["model", "acc"], "index": [0], "data": [["BERT-Tiny", 83.5]]}, "columns and data"),
        ({"columns": ["model", "acc"], "data": [["BERT-Tiny", 83.5], ["BERT-Mini"]]}, "columns and data"),
    ],
)
def test_arrangements_of_pandas(tmp_path, document, read_as):
    found = read(tmp_path, json.dumps(document), name="t.json")
    assert values(found) == [0.835]
    assert found.read_as[0].startswith(read_as)
    assert [(row.field, row.rule) for row in found.refused] == [
        ("row", "be a list of 2 values, one for each column")
    ] * (len(document) == 2 and len(document.get("data", [])) == 2 if isinstance(document, dict) else 0)


def test_json_lines_and_documents_are_told_apart_by_their_content(tmp_path):
    lines = "".join(json.dumps({**ROW, "acc": value}) + "\n" for value in (83.5, 85))
    found = read(tmp_path, lines, name="t.json")
    assert (values(found), found.read_as) == ([0.835, 0.85], ("JSON lines",))
    for indent in (None, 1):
        assert values(read(tmp_path, json.dumps([ROW, ROW], indent=indent), name="t.jsonl")) == [0.835, 0.835]
    with pytest.raises(DataError, match="valid JSON"):
        read(tmp_path, json.dumps([ROW], indent=1)[:-3], name="t.json")
    broken = read(tmp_path, lines + '{"model":\n', name="t.jsonl")
    assert (len(broken.valid), len(broken.refused)) == (2, 1)


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        ({"meta": 1, "results": {"runs": [ROW]}}, "results.runs"),
        ({"schema": {"fields": []}, "data": [ROW]}, "data"),
        ({"a.b": [ROW]}, ["a.b"]),
        ({"runs": [[ROW]]}, "runs.0"),
    ],
)
def test_rows_inside_of_a_document(tmp_path, document, rows):
    if rows != "runs.0":
        with pytest.raises(DataError) as caught:
            read(tmp_path, json.dumps(document), name="t.json")
        assert f"write rows: {rows} into the mapping" in caught.value.remedy
    assert values(read(tmp_path, json.dumps(document), {**MAPPING, "rows": rows}, "t.json")) == [0.835]


@pytest.mark.parametrize("gap", ["", " ", "nan", "NaN", "NA", "n/a", "null", "None", "-", "\N{EM DASH}"])
def test_gaps_are_left_out_where_the_mapping_says_so(tmp_path, gap):
    content = f"model,acc\nBERT-Tiny,{gap}\nBERT-Mini,85\n"
    found = read(tmp_path, content, SKIP)
    assert (values(found), found.refused) == ([0.85], ())
    assert [row.left_out for _, row in found.valid] == [("row 1: acc is empty and left out",), ()]
    (refused,) = read(tmp_path, content).refused
    assert (refused.row, refused.remedy) == (1, "Fill the cell, or write missing: skip into the mapping.")


def test_nan_in_json_is_a_gap_of_a_number_and_of_nothing_else(tmp_path):
    content = (
        '[{"model": "BERT-Tiny", "acc": NaN, "x": [NaN]}, {"model": NaN, "acc": 85}, {"model": "BERT-Mini", "acc": 85}]'
    )
    found = read(tmp_path, content, SKIP, "t.json")
    assert (values(found), [row.row for row in found.refused]) == ([0.85], [2])
    assert [row.row for row in read(tmp_path, content, name="t.json").refused] == [1, 2]


@pytest.mark.parametrize(
    ("cell", "scale", "remedy"),
    [
        ("83.1", "fraction", "scale: percent"),
        ("83.1 ± 0.2", "percent", "separator: '±', part: 1"),
        ("83.1/80.2", "percent", "separator: '/', part: 1"),
        ("83.1 (0.2)", "percent", "separator: '(', part: 1"),
        ("83.1 %", "raw", "scale: percent"),
        ("eighty", "percent", "Correct the value."),
        ("101", "percent", "Correct the value."),
    ],
)
def test_refused_cells_name_the_key_that_mends_them(tmp_path, cell, scale, remedy):
    (refused,) = read(
        tmp_path, f"model,acc\nBERT-Tiny,{cell}\n", {**MAPPING, "scores": [{**SCORE, "scale": scale}]}
    ).refused
    assert remedy in refused.remedy


def test_a_minus_sign_of_typesetters_is_a_minus(tmp_path):
    assert values(read(tmp_path, "model,acc\nBERT-Tiny,\N{MINUS SIGN}83.5\n")) == [-0.835]


def test_what_is_not_separated_is_told_how_it_must_be(tmp_path):
    for content in ("model acc\nBERT-Tiny 83\n", "# my results\nmodel,acc\nBERT-Tiny,83\n", "<table></table>\nx\n"):
        with pytest.raises(DataError, match="The first line must name the columns, separated by commas, semicolons"):
            read(tmp_path, content)


@pytest.mark.parametrize("written", [str(MODEL), json.dumps(MODEL), str(MODEL).replace("'", '"')])
def test_dictionaries_as_python_writes_them(tmp_path, written):
    quoted = '"' + written.replace('"', '""') + '"'
    found = read(tmp_path, f"m,acc\n{quoted},83.5\n", {**MAPPING, "architecture": {"model_dict": "m"}})
    assert (values(found), found.refused) == ([0.835], ())


def test_lists_as_python_writes_them(tmp_path):
    cells = ",".join(f'"{MODEL[key]}"' for key in "ohnfp")
    columns = {"columns": {key: key for key in "ohnfp"}}
    found = read(tmp_path, f"o,h,n,f,p,acc\n{cells},83.5\n", {**MAPPING, "architecture": columns})
    assert (values(found), found.refused) == ([0.835], ())


@pytest.mark.parametrize(
    "written",
    [
        "{'l': 1, 'o': __import__('os')}",
        "{'l': {1, 2}}",
        "{'l': 1j}",
        "{'l'}",
        "{'l': float('nan')}",
        "{('a',): 1}",
        "{'l': ",
    ],
)
def test_other_python_is_refused_and_not_run(tmp_path, written):
    found = read(tmp_path, f'm,acc\n"{written}",83.5\n', {**MAPPING, "architecture": {"model_dict": "m"}})
    assert (len(found.valid), len(found.refused)) == (0, 1)


@pytest.mark.parametrize("name", ["Windows-1252", "CP1252", "cp1252"])
def test_encodings_and_delimiters_go_by_all_their_names(tmp_path, name):
    content = "model|acc|n\nBERT-Tiny|83.5|é\n".encode("cp1252")
    for delimiter in ("bar", "BAR", "|", None):
        found = read(tmp_path, content, options=TableOptions(encoding=name, delimiter=delimiter))
        assert values(found) == [0.835]
    assert TableOptions(encoding="latin1").encoding == "latin-1"
    assert TableOptions(encoding="utf8", delimiter="Tab").encoding == "utf-8"


def test_shapes_with_other_headers(tmp_path):
    path, cells = tmp_path / "s.csv", "360," * 12
    path.write_text(",".join([*map(str.upper, WIDTHS), "Perplexity", "ryzen_ms", "Xeon_s"]) + f"\n{cells}5.5,120,0.5\n")
    found = find_shapes(path)
    ((_, row),) = found.valid
    assert ([score.value for score in row.scores], row.measurements[0].device) == ([-5.5], "Xeon")
    assert found.left_out == ("columns ryzen_ms are not read; latencies are in columns NAME_s, in seconds",)
    for header in (WIDTHS[:-1], [f"h{layer}" for layer in range(12)], ["shape"]):
        path.write_text(",".join([*header, "perplexity"]) + "\n" + "360," * len(header) + "5.5\n")
        with pytest.raises(DataError, match=r"s\.csv must have widths h1 to h12"):
            find_shapes(path)
