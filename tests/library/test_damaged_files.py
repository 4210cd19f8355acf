"""Two thousand damaged files: each is read row by row or refused with a reason, and nothing comes in by half."""

import copy
import csv
import dataclasses
import io
import json
import math
import random
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from explorer.errors import DataError
from explorer.library.importing import edgetran_file, import_file, nas_bench_bert_file, table_file
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_json, to_json
from explorer.space.spec import ArchitectureSpec
from graphstore import open_store

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "architectures"
ODD = [
    None,
    True,
    False,
    0,
    -1,
    1,
    0.5,
    float("nan"),
    float("inf"),
    10**30,
    10**400,
    "",
    " ",
    "sa",
    "c_5_64",
    "0.5",
    "nan",
    "\x00",
    "\ud800",
    "'\"",
    "x" * 300,
    [],
    {},
    [[]],
    [None],
    {"l": 1},
    [1] * 200,
]
"""Values a field does not expect."""


def _places(document, depth=0):
    """Every (container, key) in a document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        yield document, key
        if isinstance(value, dict | list):
            yield from _places(value, depth + 1)


def damage_document(document, rng):
    """Replace, drop, repeat, nest or retype up to three values of a JSON document."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(document))
        if not places:
            return document
        container, key = rng.choice(places)
        value = container[key]
        kind = rng.randrange(6)
        if kind <= 1:
            container[key] = copy.deepcopy(rng.choice(ODD))
        elif kind == 2:
            del container[key]
        elif kind == 3:
            container[key] = str(value) if not isinstance(value, str) else [value]
        elif kind == 4 and isinstance(container, list):
            container.insert(key, copy.deepcopy(value))
        else:
            container[rng.choice(["l", "x", "glue"]) if isinstance(container, dict) else key] = {"x": [value]}
    return document


def damage_bytes(raw, rng):
    """Flip, drop, repeat or insert bytes, or cut the file short."""
    raw = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        if not raw:
            break
        place = rng.randrange(len(raw))
        kind = rng.randrange(6)
        if kind == 0:
            raw[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            raw[place] = rng.randrange(256)
        elif kind == 2:
            del raw[place : place + rng.randint(1, 40)]
        elif kind == 3:
            raw[place:place] = raw[place : place + rng.randint(1, 200)]
        elif kind == 4:
            raw[place:place] = rng.choice([b"[" * 2000, b'"', b",", b"\n", b"\xef\xbb\xbf", b"NaN", b"9" * 400, b"\0"])
        else:
            del raw[place:]
    return bytes(raw)


LAYER = {
    "operation_type": "DSC",
    "operation_parameter": 5,
    "num_operation_heads": 2,
    "feed_forward_dimension": 512,
    "num_feed_forward": 3,
}
TASKS = {"cola": 0.0, "mnli": 60, "mrpc": 70, "qnli": 80, "qqp": 80, "rte": 0, "sst": 80, "sts": 20.0}
PER_LAYER = {"l": 2, "o": ["sa", "c"], "h": [128, 64], "n": [2, 4], "f": [[512, 64], [128]], "p": ["sdp", 5]}
PER_HEAD = {"l": 1, "o": [["sa_wma_192", "c_5_192", "l_dct_192"]], "h": [256], "f": [[512, 256]]}
PERFORMANCE = {"latency": 0.5, "energy": 2, "peak_power": 119.1, "pretrain_loss": 2.5, "glue": 0.75}


def made_trainings():
    hparams = {"model_hparam_overrides": {"hidden_size": 128, "nas_config": {"encoder_layers": [LAYER] * 2}}}
    return [{"id": id, "time_to_train": 9.5, "scores": TASKS, "hparams": hparams} for id in range(3)]


def made_measurements():
    keys = [f"{digit * 32}_{device}" for digit, device in zip("0ab", ("a100", "cpu_rpi", "npu_ncs"), strict=True)]
    specs = (PER_HEAD, PER_LAYER, PER_HEAD)
    return {key: {"model_dict": spec, "performance": PERFORMANCE} for key, spec in zip(keys, specs, strict=True)}


def made_table():
    """Rows of a table with every kind of column; one is named by model_dict as an object, one as text."""
    rows = [{"spec": spec, "sst": 91.5, "seed": 3, "device": "rpi", "ms": 12.5} for spec in (PER_LAYER, PER_HEAD)]
    return [*rows, {"spec": json.dumps(PER_LAYER), "sst": "80", "seed": "4", "device": "ncs", "ms": "1e3"}]


MAPPING = {
    "source": "mine",
    "title": "made",
    "architecture": {"model_dict": "spec"},
    "scores": [
        {
            "column": "sst",
            "task": "SST-2",
            "metric": "accuracy",
            "dataset": "GLUE",
            "recipe": "mine",
            "fidelity": "full",
            "seed": {"column": "seed"},
            "scale": "percent",
            "missing": "skip",
        }
    ],
    "measurements": [
        {"column": "ms", "device": {"column": "device"}, "quantity": "latency", "unit": "ms", "missing": "refuse"}
    ],
}


def as_cells(rows):
    """CSV text of a table, whatever its rows have become."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["spec", "sst", "seed", "device", "ms"])
    for row in rows:
        cells = list(row.values()) if isinstance(row, dict) else [row]
        table.writerow([json.dumps(cell) if isinstance(cell, dict | list) else cell for cell in cells])
    return text.getvalue().encode("utf-8", "surrogatepass")


def as_lines(rows):
    return b"".join(as_json(row) + b"\n" for row in rows)


def as_json(document):
    return json.dumps(document).encode()


def with_real_rows(made, folder, name):
    """The made document, and the first rows of the published one where it is at hand."""
    path = SHARED / folder / name
    if not path.is_file():
        return [made]
    document = json.loads(path.read_text())
    return [made, document[:3] if isinstance(document, list) else dict(list(document.items())[:3])]


KINDS = {
    "nas-bench-bert": (
        with_real_rows(made_trainings(), "nas_bench_bert", "BERT_benchmark.json"),
        as_json,
        "table.json",
        nas_bench_bert_file,
    ),
    "edgetran": (
        with_real_rows(made_measurements(), "edgetran", "codesign_dataset.json"),
        as_json,
        "table.json",
        lambda path: edgetran_file(path, with_predicted=True),
    ),
    "csv": ([made_table()], as_cells, "table.csv", None),
    "jsonl": ([made_table()], as_lines, "table.jsonl", None),
    "json": ([made_table()], as_json, "table.json", None),
}


def read_damaged(folder, kind, seed):
    """Damage a file of this kind and read it; the error where it is refused whole."""
    rng = random.Random(seed)
    documents, write, name, read = KINDS[kind]
    document = rng.choice(documents)
    if rng.random() < 0.6:
        document = damage_document(document, rng)
    try:
        raw = write(document)
    except (TypeError, ValueError):  # The damage left nothing this layout can hold.
        raw = as_json(document)
    if rng.random() < 0.5:
        raw = damage_bytes(raw, rng)
    path = folder / name
    path.write_bytes(raw)
    try:
        return read(path) if read else table_file(path, folder / "map.yaml", "damaged")
    except DataError as error:
        return error


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("damaged")
    (made / "map.yaml").write_text(yaml.safe_dump(MAPPING))
    return made


def check(found):
    """The file is refused with a whole reason; or every row is sound through and through, or refused with one."""
    if isinstance(found, DataError):
        assert all((found.field, found.rule, found.remedy))
        str(found).encode()
        return
    numbers = [number for number, _ in found.rows.valid] + [refused.row for refused in found.rows.refused]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    for _, row in found.rows.valid:
        assert isinstance(row.architecture, ArchitectureSpec)
        assert from_json(to_json(row.architecture)) == row.architecture
        assert all(math.isfinite(one.value) for one in (*row.scores, *row.measurements))
    for refused in found.rows.refused:
        assert all((refused.field, refused.rule, refused.remedy))
        json.dumps(dataclasses.asdict(refused)).encode()
        " ".join((refused.field, refused.rule, refused.value, refused.remedy)).encode()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=400, phases=[Phase.generate])
@given(seed=st.integers(0, 2**64))
def test_a_damaged_file_is_read_row_by_row_or_refused(folder, kind, seed):
    check(read_damaged(folder, kind, seed))


@settings(max_examples=200, phases=[Phase.generate])
@given(seed=st.integers(0, 2**64))
def test_a_damaged_mapping_is_read_or_refused(folder, seed):
    rng = random.Random(seed)
    document = damage_document(MAPPING, rng)
    path = folder / "damaged.yaml"
    text = yaml.safe_dump(document, allow_unicode=False).encode()
    path.write_bytes(damage_bytes(text, rng) if rng.random() < 0.5 else text)
    (folder / "sound.json").write_bytes(as_json(made_table()))
    try:
        found = table_file(folder / "sound.json", path, "damaged")
    except DataError as error:
        found = error
    check(found)


def contents(store):
    """Everything an import can write, by space."""
    spaces = {}
    for space in store.spaces():
        ids = store.architecture_ids(space.name)
        assert space.info["ready"]
        assert list(store.embeddings(space.name).ids) == ids
        spaces[space.name] = ids
    return spaces, store.scores(), store.measurements()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=22, phases=[Phase.generate])
@given(seed=st.integers(0, 2**64))
def test_of_a_damaged_file_exactly_the_sound_rows_are_stored(folder, kind, seed):
    found = read_damaged(folder, kind, seed)
    if isinstance(found, DataError):
        return
    with tempfile.TemporaryDirectory() as place, open_store(f"sqlite:///{place}/store.db") as store:
        before = store.revision()
        report = import_file(store, found, SilentReporter())
        refused = {row.row for row in report.refused}
        kept = [row for number, row in found.rows.valid if number not in refused]
        assert refused >= {row.row for row in found.rows.refused}
        assert report.rows == len(kept)
        spaces, scores, measurements = contents(store)
        if not kept:
            assert store.revision() == before
            return
        assert spaces == {found.space: list(dict.fromkeys(architecture_id(row.architecture) for row in kept))}
        said = {(architecture_id(row.architecture), s.task, s.source, s.value) for row in kept for s in row.scores}
        assert {(s.architecture, s.task, s.source, s.value) for s in scores} == said
        told = {(architecture_id(row.architecture), m.device, m.value) for row in kept for m in row.measurements}
        assert {(m.architecture, m.device, m.value) for m in measurements} == told
        after = store.revision()
        import_file(store, found, SilentReporter())
        assert store.revision() == after
