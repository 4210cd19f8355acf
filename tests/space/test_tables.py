"""A user's table: what the mapping says is read, row by row; the rest is refused with the reason."""

import json

import pytest
import yaml

from explorer.errors import DataError
from explorer.space.formats import from_model_dict, to_json
from explorer.space.imports.mapping import Layout, parse_mapping, read_mapping
from explorer.space.imports.rows import StoredId
from explorer.space.imports.tables import find_table
from explorer.space.named import named_model

SPEC = {"l": 1, "o": ["sa"], "h": [128], "n": [2], "f": [[512]], "p": ["sdp"]}
HEADS = {"l": 1, "o": [["sa_wma_192", "c_5_192"]], "h": [256], "f": [[512, 256]]}
SCORE = {"column": "sst", "task": "SST-2", "metric": "accuracy", "dataset": "GLUE", "recipe": "mine"}
LATENCY = {"column": "ms", "device": {"column": "device"}, "quantity": "latency", "unit": "ms"}
MAPPING = {"source": "mine", "architecture": {"model_dict": "spec"}, "scores": [SCORE]}


def mapping(**changes):
    return parse_mapping({**MAPPING, **changes})


def as_csv(*rows):
    """Text of a CSV file with every cell quoted."""
    return "".join(",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) + "\n" for row in rows)


def find(tmp_path, text, described, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return find_table(path, described)


def test_scores_and_measurements_of_a_csv_table(tmp_path):
    described = mapping(
        key="id",
        scores=[{**SCORE, "scale": "percent", "seed": {"column": "seed"}, "fidelity": {"column": "steps"}}],
        measurements=[LATENCY],
    )
    text = as_csv(["id", "spec", "sst", "seed", "steps", "device", "ms"])
    text += as_csv(["a7", json.dumps(SPEC), "91.5", "3", "full", "rpi", "1.5e2"])
    ((number, row),) = find(tmp_path, "\ufeff" + text, described).valid
    (score,), (measured,) = row.scores, row.measurements
    assert (number, row.architecture) == (1, from_model_dict(SPEC))
    assert (score.value, score.seed, score.fidelity, score.source) == (pytest.approx(0.915), 3, "full", "mine:a7")
    assert (score.task, score.metric, score.dataset, score.recipe) == ("SST-2", "accuracy", "GLUE", "mine")
    assert (measured.device, measured.quantity, measured.value, measured.unit) == ("rpi", "latency", 150.0, "ms")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize("document", [SPEC, HEADS])
def test_every_layout_gives_the_same_rows(tmp_path, suffix, document):
    text = json.dumps(document)
    texts = {
        "csv": as_csv(["spec", "sst"], [text, 0.5]),
        "tsv": "spec\tsst\n" + text.replace(" ", "").replace('"', '""').join(['"', '"']) + "\t0.5\n",
        "json": json.dumps([{"spec": document, "sst": 0.5}]),
        "jsonl": json.dumps({"spec": text, "sst": 0.5}) + "\r\n\n",
    }
    found = find(tmp_path, texts[suffix], mapping(), f"table.{suffix.upper()}")
    ((_, row),) = found.valid
    assert (row.architecture, row.scores[0].value, found.refused) == (from_model_dict(document), 0.5, ())
    assert mapping(format=suffix).layout(tmp_path / "table.txt") is Layout(suffix)


def test_an_architecture_by_name_by_id_or_by_columns(tmp_path):
    text = "name,spec,sst\nBERT-Mini,0123abcd,1\n"
    ((_, named),) = find(tmp_path, text, mapping(architecture={"name": "name"})).valid
    ((_, stored),) = find(tmp_path, text, mapping(architecture={"id": "spec"})).valid
    assert (named.architecture, stored.architecture) == (named_model("BERT-Mini"), StoredId("0123abcd"))
    columns = {"columns": {"o": "o", "h": "h", "n": "n", "f": "f", "p": "p"}}
    rows = [[*"ohnfp", "sst"], ['["sa"]', "[128]", "[2]", "[[512]]", '["sdp"]', "1"]]
    rows.append(['[["sa_wma_192","c_5_192"]]', "[256]", "", "[[512,256]]", "", "1"])
    found = find(tmp_path, as_csv(*rows), mapping(architecture=columns))
    assert [row.architecture for _, row in found.valid] == [from_model_dict(SPEC), from_model_dict(HEADS)]


@pytest.mark.parametrize(("scale", "given", "kept"), [("loss", 2.5, -2.5), ("raw", 250, 250.0), ("fraction", -1, -1.0)])
def test_scales(tmp_path, scale, given, kept):
    text = json.dumps([{"spec": SPEC, "sst": given}])
    ((_, row),) = find(tmp_path, text, mapping(scores=[{**SCORE, "scale": scale}]), "table.json").valid
    assert row.scores[0].value == kept


def test_empty_cells_are_refused_or_left_out_as_the_mapping_says(tmp_path):
    text = as_csv(["spec", "sst", "device", "ms"], [to_json(from_model_dict(SPEC)), " ", "rpi", ""])
    ((_, row),) = find(
        tmp_path, text, mapping(scores=[{**SCORE, "missing": "skip"}], measurements=[{**LATENCY, "missing": "skip"}])
    ).valid
    assert (row.scores, row.measurements) == ((), ())
    assert row.left_out == ("row 1: sst is empty and left out", "row 1: ms is empty and left out")
    (refused,) = find(tmp_path, text, mapping()).refused
    assert (refused.field, refused.value) == ("sst", "' '")


@pytest.mark.parametrize(
    ("cells", "field", "rule"),
    [
        (["{", "0.5"], "model_dict", "valid JSON"),
        (['{"l": 1}', "0.5"], "model_dict.o", "be given"),
        (["[" * 2000, "0.5"], "model_dict", "nested at most 64 levels"),
        ([json.dumps({**SPEC, "h": [1e999]}), "0.5"], "model_dict: h[0]", "finite number"),
        ([json.dumps(SPEC)[:-1] + ',"l":1}', "0.5"], "model_dict: l", "given once"),
        ([json.dumps(SPEC), "nan"], "sst", "number from -1 to 1"),
        ([json.dumps(SPEC), "1e999"], "sst", "number from -1 to 1"),
        ([json.dumps(SPEC), "0,5"], "sst", "number from -1 to 1"),
        ([json.dumps(SPEC), "٠.٥"], "sst", "number from -1 to 1"),
        ([json.dumps(SPEC), "9" * 5000], "sst", "number from -1 to 1"),
        ([json.dumps(SPEC), "1_0"], "sst", "number from -1 to 1"),
        ([json.dumps(SPEC)], "row", "have 2 cells"),
        ([json.dumps(SPEC), "0.5", "x"], "row", "have 2 cells"),
        (["x" * 140_000, "0.5"], "row", "valid CSV"),
    ],
)
def test_a_bad_row_is_refused_and_the_others_are_read(tmp_path, cells, field, rule):
    good = [json.dumps(SPEC), "0.25"]
    found = find(tmp_path, as_csv(["spec", "sst"], good, cells, good), mapping())
    assert [number for number, _ in found.valid] == [1, 3]
    (refused,) = found.refused
    assert (refused.row, refused.field) == (2, field)
    assert rule in refused.rule
    assert len(refused.value) <= 200


def test_odd_quoting_is_refused_where_it_stands(tmp_path):
    good = as_csv([json.dumps(SPEC), "0.25"])
    found = find(tmp_path, "spec,sst\n" + good + '"a"b,1\n' + good + '"never closed,1\n' + good, mapping())
    assert [number for number, _ in found.valid] == [1, 3]
    assert [(one.row, one.field) for one in found.refused] == [(2, "row"), (4, "row")]


@pytest.mark.parametrize("value", ["", " ", True, ["x"], "a\nb", "\x00", "\ud800", "x" * 201])
def test_texts_from_columns_are_short_and_printable(tmp_path, value):
    described = mapping(scores=[{**SCORE, "task": {"column": "task"}}])
    text = json.dumps([{"spec": SPEC, "sst": 1, "task": value}])
    (refused,) = find(tmp_path, text, described, "table.json").refused
    assert refused.field == "task"
    refused.value.encode()


@pytest.mark.parametrize("seed", [-1, 0.5, 2**32, "x", None])
def test_seeds_are_whole_numbers(tmp_path, seed):
    described = mapping(scores=[{**SCORE, "seed": {"column": "seed"}}])
    (refused,) = find(tmp_path, json.dumps([{"spec": SPEC, "sst": 1, "seed": seed}]), described, "t.json").refused
    assert refused.field == "seed"


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("t.csv", "", "hold something"),
        ("t.csv", "\ufeff\n \n", "hold something"),
        ("t.csv", "spec,sst\n", "at least one row"),
        ("t.csv", "spec,spec\n1,2\n", "name each column once, but got 'spec'"),
        ("t.csv", '"spec', "column names"),
        ("t.csv", ",".join(f"c{i}" for i in range(1001)) + "\n", "1 to 1000 columns"),
        ("t.csv", b"spec,sst\n\xff\xfe,1\n", "line 2 must be valid UTF-8"),
        ("t.csv", "spec,sst\n".encode("utf-16-le"), "NUL"),
        ("t.json", "{}", "list of objects"),
        ("t.json", "[]", "at least one row"),
        ("t.json", "[{", "valid JSON"),
        ("t.json", "[" * 100_000, "nested at most 64 levels"),
        ("t.xlsx", "x", "end with one of"),
    ],
)
def test_a_file_that_is_no_table_is_refused_whole(tmp_path, name, content, named):
    with pytest.raises(DataError, match=named):
        find(tmp_path, content, mapping(), name)


def test_a_column_that_is_not_in_the_header_refuses_the_table(tmp_path):
    with pytest.raises(DataError, match=r"spec must be a column of the table, but got \['specs', 'sst'\]") as caught:
        find(tmp_path, "specs,sst\n1,1\n2,2\n", mapping())
    assert caught.value.remedy == "Write 'specs' into the mapping."


def test_a_column_that_is_not_in_a_json_row_refuses_the_row(tmp_path):
    found = find(tmp_path, json.dumps([{"specs": SPEC, "sst": 1}] * 2), mapping(), "table.json")
    assert [(one.row, one.field) for one in found.refused] == [(1, "spec"), (2, "spec")]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": None}, "source must be a valid string"),
        ({"sourc": "x"}, "sourc must not be given"),
        ({"architecture": {}}, "architecture must give exactly one of model_dict, name, id, columns"),
        ({"architecture": {"name": "a", "id": "b"}}, "architecture must give exactly one"),
        ({"architecture": {"columns": {"o": "o"}}}, r"architecture.columns.h must be given, but got None"),
        ({"scores": {}}, "scores must be a list"),
        ({"scores": [{**SCORE, "task": True}]}, r"scores.0.task"),
        ({"scores": [{**SCORE, "task": {"colum": "x"}}]}, r"scores.0.task.colum must not be given"),
        ({"scores": [{**SCORE, "task": " x"}]}, r"scores.0.task must be one line"),
        ({"scores": [{**SCORE, "recipe": "a\0b"}]}, r"scores.0.recipe must be one line"),
        ({"source": ""}, "source must have at least 1 character"),
        ({"title": "x\ny"}, "title must be one line"),
        ({"scores": [{**SCORE, "seed": -1}]}, r"scores.0.seed"),
        (
            {"scores": [{**SCORE, "scale": "per mille"}]},
            "scores.0.scale must be 'fraction', 'percent'",
        ),
        ({"scores": [{"column": "sst"}]}, "scores.0.task must be given.*4 problems"),
        ({"measurements": [{**LATENCY, "missing": "guess"}]}, "measurements.0.missing must be 'refuse' or 'skip'"),
        ({"format": "xlsx"}, "format must be 'csv', 'tsv', 'json' or 'jsonl'"),
    ],
)
def test_a_bad_mapping_is_refused_with_field_rule_value_and_remedy(tmp_path, change, named):
    path = tmp_path / "map.yaml"
    path.write_text(yaml.safe_dump({**MAPPING, **change}))
    with pytest.raises(DataError, match=rf"map\.yaml: .*{named}") as caught:
        read_mapping(path)
    assert "docs/formats.md" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "[", "a: 1\na: 2", "&a [*a]", "source: !!python/object:os.system x"])
def test_a_mapping_that_is_no_yaml_is_refused(tmp_path, text):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(DataError):
        read_mapping(path)
