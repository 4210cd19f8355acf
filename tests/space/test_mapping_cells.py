"""Values of a row that a mapping takes from nested objects, parts of texts, keys and constants."""

import json

import pytest
import yaml

from explorer.errors import DataError
from explorer.space.formats import from_model_dict
from explorer.space.imports.mapping import parse_mapping, read_mapping
from explorer.space.imports.tables import find_table

KIND = {"metric": "accuracy", "dataset": "GLUE", "recipe": "mine"}
SPEC = {"l": 1, "o": ["sa"], "h": [128], "n": [2], "f": [[512]], "p": ["sdp"]}
NAMED = {"source": "mine", "architecture": {"name": "model"}}


def found(tmp_path, document, scores=(), name="table.json", **changes):
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    described = {**NAMED, "scores": [{**KIND, **score} for score in scores], **changes}
    return find_table(path, parse_mapping(described))


def scores(read):
    return [(s.task, s.fidelity, pytest.approx(s.value)) for _, row in read.valid for s in row.scores]


def test_a_path_with_a_star_gives_one_score_for_each_key(tmp_path):
    row = {
        "model": "BERT-Mini",
        "scores": {"cola": {"steps": 100000, "value": 0.31}, "sst": {"steps": 5e3, "value": 1}},
    }
    by_key = {"path": "scores.*.value", "task": {"key": 1}, "fidelity": {"path": "scores.*.steps"}}
    assert scores(found(tmp_path, [row], [by_key])) == [("cola", "100000", 0.31), ("sst", "5000", 1.0)]


BY_STEP = {"10": {"CoLA": 0.1}, "20": {"CoLA": 0.2}}
STEPS = [{"at": 10, "of": 0.1}, {"at": 20, "of": 0.2}]


@pytest.mark.parametrize(
    ("nested", "path", "task", "fidelity"),
    [
        ({"cola": {"10": 0.1, "20": 0.2}}, "cola.*", "CoLA", {"key": 1}),
        ({"all": BY_STEP}, "all.*.CoLA", "CoLA", {"key": 1}),
        ({"all": BY_STEP}, "all.*.*", {"key": 2}, {"key": 1}),
        (BY_STEP, "*.CoLA", "CoLA", {"key": 1}),
        ({"a.b": STEPS}, ["a.b", "*", "of"], "CoLA", {"path": ["a.b", "*", "at"]}),
        ({"text": json.dumps({"10": 0.1, "20": 0.2})}, "text.*", "CoLA", {"key": 1}),
    ],
)
def test_scores_by_step_become_fidelities(tmp_path, nested, path, task, fidelity):
    score = {"path": path, "task": task, "fidelity": fidelity, "missing": "skip"}
    read = found(tmp_path, [{"spec": SPEC, **nested}], [score], architecture={"model_dict": "spec"})
    assert scores(read) == [("CoLA", "10", 0.1), ("CoLA", "20", 0.2)]


def test_a_nested_column_of_a_csv_table_is_json_text(tmp_path):
    text = 'model,scores\nBERT-Mini,"{""sst"": 0.5}"\n'
    assert scores(found(tmp_path, text, [{"path": "scores.sst", "task": "SST-2"}], "t.csv")) == [
        ("SST-2", "published", 0.5)
    ]


@pytest.mark.parametrize(
    ("steps", "text"), [(1000000, "1000000"), (1e6, "1000000"), (0.5, "0.5"), (" 10k ", "10k"), ("1e5", "1e5")]
)
def test_a_number_is_a_text_where_a_text_is_wanted(tmp_path, steps, text):
    row = {"model": "BERT-Mini", "sst": " 0.81", "steps": steps}
    by_column = {"column": "sst", "task": "SST-2", "fidelity": {"column": "steps"}}
    assert scores(found(tmp_path, [row], [by_column])) == [("SST-2", text, 0.81)]


def test_numbers_and_constants_in_the_mapping(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text(
        "source: 2026\narchitecture: {name: 0}\nkey: {path: meta.id}\n"
        "scores: [{column: 1, task: {value: SST-2}, metric: m, dataset: 5, fidelity: 100000, recipe: r}]\n"
    )
    table = tmp_path / "t.json"
    table.write_text(json.dumps([{"0": "BERT-Mini", "1": 0.5, "meta": {"id": 7}}]))
    ((_, row),) = find_table(table, read_mapping(path)).valid
    (score,) = row.scores
    assert (score.task, score.dataset, score.fidelity, score.source) == ("SST-2", "5", "100000", "2026:7")


@pytest.mark.parametrize(
    ("cell", "part", "value"), [("81.1/71.1", 2, 0.711), ("81.1 / 71.1", 1, 0.811), ("81/7,5 %", 2, 0.075)]
)
def test_a_part_of_a_cell(tmp_path, cell, part, value):
    score = {"column": "mnli", "task": "MNLI", "scale": "percent", "separator": "/", "part": part}
    changes = {"decimal": "comma"} if "," in cell else {}
    read = found(tmp_path, [{"model": "BERT-Mini", "mnli": cell}], [score], **changes)
    assert scores(read) == [("MNLI", "published", value)]


def test_a_part_that_a_cell_does_not_have_refuses_the_row(tmp_path):
    score = {"column": "mnli", "task": "MNLI", "separator": "/", "part": 2}
    (refused,) = found(tmp_path, [{"model": "BERT-Mini", "mnli": "81"}], [score]).refused
    assert (refused.field, refused.rule) == ("mnli", "have 2 parts or more separated by '/'")


LAYERS = {"l": 2, "o": ["sa", "sa"], "n": [2, 2], "p": ["sdp", "sdp"]}


@pytest.mark.parametrize(
    ("columns", "row", "h", "f"),
    [
        ({"h": {"column": "h", "separator": " "}, "f": "f"}, {"h": "128  256", "f": 512}, [128, 256], [[512], [512]]),
        ({"h": {"column": "h", "separator": " "}, "f": "f"}, {"h": "128", "f": [512, 64]}, [128, 128], [[512], [64]]),
        ({"h": "h", "f": {"value": [[512, 256], [64]]}}, {"h": "[128, 256]"}, [128, 256], [[512, 256], [64]]),
        ({"h": {"path": "sizes.h"}, "f": {"value": 512}}, {"sizes": {"h": 128.0}}, [128, 128], [[512], [512]]),
        ({"h": {"column": "h", "separator": ";"}, "f": {"value": 32}}, {"h": "128; 256"}, [128, 256], [[32], [32]]),
    ],
)
def test_layers_from_columns_parts_and_constants(tmp_path, columns, row, h, f):
    constants = {"o": {"value": "sa"}, "n": {"value": 2}, "p": {"value": "sdp"}, "l": "depth"}
    read = found(tmp_path, [{"depth": 2, **row}], architecture={"columns": {**constants, **columns}})
    ((_, row),) = read.valid
    assert row.architecture == from_model_dict({**LAYERS, "h": h, "f": f})


def test_layers_of_a_spreadsheet_with_one_value_for_all(tmp_path):
    text = "layers,operation,hidden,heads,ff,kind,sst\n2,sa,128.0,2,512,sdp,0.5\n2,c,128,2,512,9,0.5\n"
    columns = {"l": "layers", "o": "operation", "h": "hidden", "n": "heads", "f": "ff", "p": "kind"}
    read = found(tmp_path, text, [{"column": "sst", "task": "SST-2"}], "t.csv", architecture={"columns": columns})
    specs = [
        from_model_dict({**LAYERS, "o": [o] * 2, "p": [p] * 2, "h": [128] * 2, "f": [[512]] * 2})
        for o, p in (("sa", "sdp"), ("c", 9))
    ]
    assert [row.architecture for _, row in read.valid] == specs


def test_the_number_of_layers_must_be_known(tmp_path):
    constants = {key: {"value": value} for key, value in {"o": "sa", "n": 2, "p": "sdp", "f": 512}.items()}
    (refused,) = found(tmp_path, [{"h": 128}], architecture={"columns": {**constants, "h": "h"}}).refused
    assert (refused.field, refused.remedy) == ("l", "Add it to the mapping's columns, for example l: {value: 2}.")


ROWS = [{"model": "BERT-Mini", "sst": 0.5}, {"model": "BERT-Tiny", "sst": " 0.25"}]


@pytest.mark.parametrize(
    ("document", "names", "read_as"),
    [
        (ROWS, "12", ()),
        ({"model": ["BERT-Mini", "BERT-Tiny"], "sst": [0.5, 0.25], "tasks": ["x"]}, "12", ("parallel columns",)),
        ({"model": {"a": "BERT-Mini", "b": "BERT-Tiny"}, "sst": {"a": 0.5, "b": 0.25}}, "ab", ("parallel columns",)),
        ({"0f": ROWS[0], "1f": ROWS[1]}, ["0f", "1f"], ("an object with a key for each row",)),
    ],
)
def test_arrangements_of_json_are_recognised_and_said(tmp_path, document, names, read_as):
    score = {"column": "sst", "task": "SST-2", "fidelity": {"key": 0}}
    read = found(tmp_path, document, [score])
    assert scores(read) == [("SST-2", name, value) for name, value in zip(names, [0.5, 0.25], strict=True)]
    assert [row.scores[0].source for _, row in read.valid] == [f"mine:{name}" for name in names]
    assert read.read_as == read_as
    assert found(tmp_path, {"data": {"rows": document}}, [score], rows="data.rows") == read


def test_a_single_object_is_a_row(tmp_path):
    read = found(tmp_path, {"model": "BERT-Mini", "sst": 0.5}, [{"column": "sst", "task": "SST-2"}])
    assert (scores(read), read.read_as) == ([("SST-2", "published", 0.5)], ("a single row",))


def test_a_bad_value_in_parallel_columns_refuses_its_row_alone(tmp_path):
    text = '{"model": ["BERT-Mini", "BERT-Tiny", "BERT-Mini"], "sst": [0.5, NaN, 1e999]}'
    read = found(tmp_path, text, [{"column": "sst", "task": "SST-2"}])
    assert [number for number, _ in read.valid] == [1]
    assert [one.row for one in read.refused] == [2, 3]


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"model": ["BERT-Mini"], "sst": [0.5, 1]}, "sst must have as many values as 'model', 1, but got 2"),
        ({"model": ["BERT-Mini"], "SST": [0.5]}, "sst must be a column of the table.*Write 'SST' into the mapping"),
        ({"results": [{"model": "BERT-Mini", "sst": 0.5}]}, "write rows: results into the mapping"),
        ({"rows": 3}, "be a list of objects"),
        (3, "be a list of objects"),
    ],
)
def test_other_arrangements_are_refused(tmp_path, document, named):
    with pytest.raises(DataError, match=named):
        found(tmp_path, document, [{"column": "sst", "task": "SST-2"}])


def test_what_is_missing_under_a_path_is_refused_or_left_out(tmp_path):
    rows = [{"model": "BERT-Mini", "s": {"cola": {"v": None}, "sst": {"v": 1}}}, {"model": "BERT-Mini"}]
    score = {"path": "s.*.v", "task": {"key": 1}}
    assert [one.field for one in found(tmp_path, rows, [score]).refused] == ["s.*.v", "s.*.v"]
    skipped = found(tmp_path, rows, [{**score, "missing": "skip"}])
    assert scores(skipped) == [("sst", "published", 1.0)]
    lines = [line for _, row in skipped.valid for line in row.left_out]
    assert lines == ["row 1: s.cola.v is empty and left out", "row 2: s.*.v is empty and left out"]


def test_two_values_that_nothing_tells_apart_refuse_the_row(tmp_path):
    row = {"model": "BERT-Mini", "cola": {"10": 0.1, "20": 0.2}}
    (refused,) = found(tmp_path, [row], [{"path": "cola.*", "task": "CoLA"}]).refused
    assert (refused.field, refused.rule) == ("score of CoLA", "be given once in a row")
    told_apart = {"path": "cola.*", "task": "CoLA", "fidelity": {"key": 1}}
    assert "fidelity: {key: 1}" in refused.remedy
    assert found(tmp_path, [row], [told_apart]).refused == ()


def test_percent_signs_are_read_and_said(tmp_path):
    text = "model,sst\nBERT-Mini,85.8 %\nBERT-Tiny,0.8\n"
    read = found(tmp_path, text, [{"column": "sst", "task": "SST-2"}], "t.csv")
    assert scores(read) == [("SST-2", "published", 0.858), ("SST-2", "published", 0.8)]
    assert "sst: numbers with a percent sign are percentages" in read.read_as
    raw = found(tmp_path, text, [{"column": "sst", "task": "SST-2", "scale": "raw"}], "t.csv")
    assert [(one.row, one.remedy) for one in raw.refused] == [(1, "Write scale: percent into the mapping.")]


def test_numbers_with_a_decimal_comma_in_json_texts(tmp_path):
    row = {"model": "BERT-Mini", "deep": {"sst": "85,8"}}
    read = found(tmp_path, [row], [{"path": "deep.sst", "task": "t", "scale": "percent"}])
    assert (scores(read), read.read_as) == ([("t", "published", 0.858)], ("decimal comma",))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scores": [{**KIND, "task": "t"}]}, "scores.0 must give exactly one of column, path"),
        ({"scores": [{**KIND, "task": "t", "column": "a", "path": "b"}]}, "give exactly one of column, path"),
        ({"scores": [{**KIND, "task": "t", "column": "a", "part": 1}]}, "give a separator with a part"),
        ({"scores": [{**KIND, "task": "t", "column": "a", "separator": "/"}]}, "give a part with a separator"),
        ({"scores": [{**KIND, "task": {"key": 1}, "column": "a"}]}, r"have a path with 1 of \*, because key 1"),
        ({"scores": [{**KIND, "task": {"path": "a.*.b"}, "path": "c"}]}, r"have a path with 1 of \*"),
        ({"scores": [{**KIND, "task": {"column": "a", "key": 1}, "column": "a"}]}, "task must give exactly one of"),
        ({"scores": [{**KIND, "task": "t", "path": ""}]}, "scores.0.path"),
        ({"scores": [{**KIND, "task": "t", "path": "a..b"}]}, "scores.0.path"),
        ({"architecture": {"model_dict": {"path": "a.*"}}}, r"take a\.\* from a path without \*"),
        ({"key": {"key": 1}}, r"take key 1 from a path without \*"),
        ({"rows": []}, "rows must"),
    ],
)
def test_bad_cells_of_a_mapping_are_refused(tmp_path, change, named):
    path = tmp_path / "map.yaml"
    path.write_text(yaml.safe_dump({**NAMED, **change}))
    with pytest.raises(DataError, match=named):
        read_mapping(path)
