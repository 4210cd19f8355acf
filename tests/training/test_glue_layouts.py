"""The nine tasks from GLUE's own files, from the simple layout and from the hub's layout: always the same examples."""

from __future__ import annotations

import json
import logging

import pytest

from explorer.cli.search_options import trained
from explorer.errors import DataError, InputError
from explorer.training.recipe import RECIPES
from explorer.training.sources import absolute, resolve_source
from explorer.training.tasks.base import Example
from explorer.training.tasks.forms import GLUE_TASKS
from explorer.training.tasks.glue import load_glue, tolerated
from explorer.training.tasks.hub import load_hub

ENTAILED = ("not_entailment", "entailment")
# Label in our order, and sentences, of each part; the same for all layouts.
EXAMPLES = [(1, 'He said "yes', "A b."), (0, "It rains.", "It does 'not' rain."), (1, "One, two", "Three")]
VALUES = [(3.8, "A man plays.", "A man sings."), (0.0, "It rains.", "A cat."), (5.0, "Same", "Same")]
NAMES = {
    "CoLA": ("unacceptable", "acceptable"),
    "SST-2": ("negative", "positive"),
    "MRPC": ("not_equivalent", "equivalent"),
    "QQP": ("not_duplicate", "duplicate"),
    "MNLI": ("entailment", "neutral", "contradiction"),
    "QNLI": ENTAILED,
    "RTE": ENTAILED,
    "WNLI": ENTAILED,
}
PARSE = ["( parse )"] * 4
# First lines and rows as in GLUE's downloads, typed from their documentation and not from our own table.
OFFICIAL = {
    "CoLA": (None, lambda label, a, b: ["gj04", str(label), "" if label else "*", a]),
    "SST-2": ("sentence\tlabel", lambda label, a, b: [a, str(label)]),
    "MRPC": (
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        lambda label, a, b: [str(label), "702876", "702977", a, b],
    ),
    "QQP": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        lambda label, a, b: ["133273", "213221", "213222", a, b, str(label)],
    ),
    "STS-B": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        lambda label, a, b: ["0", "main-captions", "MSRvid", "2012test", "0001", "none", "none", a, b, f"{label:.3f}"],
    ),
    "QNLI": ("index\tquestion\tsentence\tlabel", lambda label, a, b: ["0", a, b, ENTAILED[label]]),
    "RTE": ("index\tsentence1\tsentence2\tlabel", lambda label, a, b: ["0", a, b, ENTAILED[label]]),
    "WNLI": ("index\tsentence1\tsentence2\tlabel", lambda label, a, b: ["0", a, b, str(label)]),
}
MNLI_START = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
MNLI_START += "sentence2_parse\tsentence1\tsentence2\t"
# What the hub numbers 1 and 0, or where it counts from the other end.
HUB_NUMBERS = {"QNLI": (1, 0), "RTE": (1, 0)}
HUB_COLUMNS = {
    "CoLA": ("cola", "sentence"),
    "SST-2": ("sst2", "sentence"),
    "MRPC": ("mrpc", "sentence1", "sentence2"),
    "QQP": ("qqp", "question1", "question2"),
    "STS-B": ("stsb", "sentence1", "sentence2"),
    "MNLI": ("mnli", "premise", "hypothesis"),
    "QNLI": ("qnli", "question", "sentence"),
    "RTE": ("rte", "sentence1", "sentence2"),
    "WNLI": ("wnli", "sentence1", "sentence2"),
}


def examples_of(name):
    if name == "STS-B":
        return VALUES
    return [*EXAMPLES, (2, "Third", "class")] if name == "MNLI" else EXAMPLES


def parts_of(name):
    return ("dev_matched", "dev_mismatched") if name == "MNLI" else ("dev",)


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def write_official(folder, name):
    for part in ("train", *parts_of(name)):
        if name == "MNLI":
            votes = 1 if part == "train" else 5
            names = [f"label{number}" for number in range(1, votes + 1)]
            header = MNLI_START + "\t".join([*names, "gold_label"])
            rows = [
                ["0", "31193", "31193n", "fiction", *PARSE, a, b, *["neutral"] * votes, NAMES[name][label]]
                for label, a, b in examples_of(name)
            ]
        else:
            header, row = OFFICIAL[name]
            rows = [row(*example) for example in examples_of(name)]
        lines = ["\t".join(cells) for cells in rows]
        write(folder / name / f"{part}.tsv", lines if header is None else [header, *lines])
    return folder


def write_simple(folder, name):
    pair = name not in ("CoLA", "SST-2")
    lines = ["\t".join([str(label), a, *([b] if pair else [])]) for label, a, b in examples_of(name)]
    header = "label\tsentence\tsentence2" if pair else "label\tsentence"
    for part in ("train", *parts_of(name)):
        write(folder / name / f"{part}.tsv", [header, *lines])
    return folder


def write_hub(folder, names, ending="parquet", with_names=True):
    """A folder as a copy of the hub's: a README that says what is where, and one folder for each configuration."""
    import datasets

    configs, infos = [], []
    for name in names:
        config, *columns = HUB_COLUMNS[name]
        labels = {"CoLA": NAMES["CoLA"], "QNLI": ENTAILED[::-1], "RTE": ENTAILED[::-1]}.get(name, NAMES.get(name))
        number = HUB_NUMBERS.get(name, (0, 1, 2))
        rows = {
            "label": [label if name == "STS-B" else number[label] for label, *_ in examples_of(name)],
            **{column: [row[place] for row in examples_of(name)] for place, column in enumerate(columns, start=1)},
        }
        features = datasets.Features(
            {column: datasets.Value("string") for column in columns}
            | {"label": datasets.ClassLabel(names=list(labels)) if labels else datasets.Value("float32")}
        )
        splits = ["train", *(f"validation{part[3:]}" for part in parts_of(name))]
        for split in splits:
            table = datasets.Dataset.from_dict(rows, features=features)
            path = folder / config / f"{split}-00000-of-00001.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if ending == "parquet":
                table.to_parquet(str(path))
            else:
                table.to_json(str(path))
        files = [{"split": split, "path": f"{config}/{split}-*"} for split in splits]
        configs.append({"config_name": config, "data_files": files})
        own = [{"name": column, "dtype": "string"} for column in columns]
        classes = {"class_label": {"names": {str(place): one for place, one in enumerate(labels or ())}}}
        own.append({"name": "label", "dtype": classes if labels else "float32"})
        infos.append({"config_name": config, "features": own})
    header = {"configs": configs} | ({"dataset_info": infos} if with_names else {})
    (folder / "README.md").write_text(f"---\n{json.dumps(header)}\n---\n")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What ``datasets`` keeps goes into the test's own folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    return write_hub(tmp_path_factory.mktemp("hub"), HUB_COLUMNS)


@pytest.mark.parametrize("name", GLUE_TASKS)
def test_all_layouts_give_the_same_task(tmp_path, hub, name):
    official = load_glue(write_official(tmp_path / "official", name), name)
    simple = load_glue(write_simple(tmp_path / "simple", name), name)
    fetched = load_hub(str(hub), name)
    pair = name not in ("CoLA", "SST-2")
    expected = tuple(Example(float(label), a, b if pair else None) for label, a, b in examples_of(name))
    assert official.train == official.dev == expected
    assert official.mismatched == (expected if name == "MNLI" else ())
    assert official.classes == NAMES.get(name, ())
    assert simple == official
    assert fetched == official
    assert fetched.fingerprint == official.fingerprint


@pytest.mark.parametrize("name", ["RTE", "STS-B"])
def test_a_copy_of_the_hubs_in_json_without_class_names_counts_as_the_hub_does(tmp_path, name):
    copy = write_hub(tmp_path / "copy", [name], ending="json", with_names=False)
    assert load_hub(str(copy), name) == load_glue(write_official(tmp_path / "official", name), name)


def test_mrpc_from_the_files_it_is_made_of(tmp_path):
    header, row = OFFICIAL["MRPC"]
    rows = [row(*example) for example in (*EXAMPLES, *EXAMPLES)]
    for number, cells in enumerate(rows):
        cells[1:3] = [str(100 + number), str(200 + number)]
    write(tmp_path / "MRPC" / "msr_paraphrase_train.txt", ["\ufeff" + header, *("\t".join(cells) for cells in rows)])
    with pytest.raises(DataError, match=r"msr_paraphrase_train.txt with GLUE's list of dev pairs, dev_ids.tsv"):
        load_glue(tmp_path, "MRPC")
    write(tmp_path / "MRPC" / "dev_ids.tsv", ["101\t201", "102\t202", "105\t205"])
    task = load_glue(tmp_path, "MRPC")
    assert [example.first for example in task.train] == [rows[number][3] for number in (0, 3, 4)]
    assert [example.first for example in task.dev] == [rows[number][3] for number in (1, 2, 5)]


def test_a_few_broken_rows_of_glues_own_files_are_left_out_and_told(tmp_path, caplog):
    folder = write_official(tmp_path, "QQP")
    header, row = OFFICIAL["QQP"]
    good = ["\t".join(row(number % 2, f"question {number}", "")) for number in range(3000)]
    broken = ["torn off in the middle", "of a\tquestion\t0"]
    write(folder / "QQP" / "train.tsv", [header, *good[:1500], *broken, *good[1500:]])
    with caplog.at_level(logging.WARNING):
        task = load_glue(folder, "QQP")
    assert len(task.train) == 3000
    assert "skipped 2 malformed rows of 3002" in caplog.text
    assert "line 1502 must hold 6 columns" in caplog.text
    assert "line 1503 must hold 6 columns" in caplog.text


@pytest.mark.parametrize(("rows", "skipped"), [(19, 0), (20, 1), (300, 3), (3999, 3), (10_000, 10)])
def test_an_extract_may_have_a_few_broken_rows(tmp_path, rows, skipped):
    assert tolerated(rows) == skipped
    folder = write_official(tmp_path, "QQP")
    header, row = OFFICIAL["QQP"]
    good = ["\t".join(row(number % 2, f"question {number}", "")) for number in range(rows - skipped)]
    write(folder / "QQP" / "train.tsv", [header, *good, *["one of three\tcells\tonly"] * skipped])
    assert len(load_glue(folder, "QQP").train) == rows - skipped
    write(folder / "QQP" / "train.tsv", [header, *good[:-1], *["one of three\tcells\tonly"] * (skipped + 1)])
    with pytest.raises(DataError, match="must hold 6 columns"):
        load_glue(folder, "QQP")


@pytest.mark.parametrize("given", ["sst2", "SST2", "sst-2", "SST_2", "SST-2"])
def test_names_of_tasks_are_matched_loosely(tmp_path, given):
    write_official(tmp_path, "SST-2")
    (tmp_path / "SST-2").rename(tmp_path / given)
    assert resolve_source([given], tmp_path).tasks == ("SST-2",)
    source = resolve_source(None, tmp_path)
    assert source.tasks == ("SST-2",)
    assert source.load()["SST-2"].name == "SST-2"
    assert trained([given, "package"], None, "quick", None, None, None).tasks == ("SST-2", "package")


def test_two_folders_of_one_task_are_refused(tmp_path):
    for name in ("mrpc", "MR-PC"):
        (tmp_path / name).mkdir()
    with pytest.raises(
        DataError, match=r"MRPC must be one folder, but got \['MR-PC', 'mrpc'\]. Rename one of them to MRPC"
    ):
        resolve_source(None, tmp_path)


@pytest.mark.parametrize(("given", "meant"), [("QQP-clean", "QQP"), ("stsb2", "STS-B"), ("packages", "package")])
def test_an_unknown_task_is_told_the_nearest(tmp_path, given, meant):
    with pytest.raises(InputError, match=f"Did you mean {meant}"):
        resolve_source([given], tmp_path)


def test_folders_with_other_names_are_reported(tmp_path, caplog):
    """Nothing is trained in their place without a word."""
    write_official(tmp_path, "QQP")
    (tmp_path / "QQP").rename(tmp_path / "QQP-clean")
    write_official(tmp_path, "RTE")
    (tmp_path / "RTE").rename(tmp_path / "entailed")
    (tmp_path / "notes").mkdir()
    (tmp_path / "text.txt").write_text("Words.\n")
    with caplog.at_level(logging.WARNING):
        assert "QQP" not in resolve_source(None, tmp_path).tasks
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "QQP-clean looks like a task" in told[0]
    assert "rename the folder to QQP" in told[0]
    assert "rename the folder to RTE or WNLI" in told[1]


def test_the_files_of_another_task_are_recognised(tmp_path):
    for name in ("QQP", "STS-B"):
        write_official(tmp_path, name)
    (tmp_path / "QQP").rename(tmp_path / "swap")
    (tmp_path / "STS-B").rename(tmp_path / "QQP")
    (tmp_path / "swap").rename(tmp_path / "STS-B")
    for name, other in (("QQP", "STS-B"), ("STS-B", "QQP")):
        with pytest.raises(DataError, match=f"These are the columns of {other}: move the file"):
            load_glue(tmp_path, name)


def test_what_is_missing_on_the_hub_is_named(tmp_path, hub):
    with pytest.raises(DataError, match=r"data set nyu-mll/glue, cola must be cached or reachable"):
        load_hub("nyu-mll/glue", "CoLA")
    with pytest.raises(DataError, match=r"must exist"):
        load_hub(str(tmp_path / "nothing"), "CoLA")
    copy = write_hub(tmp_path / "copy", ["CoLA"])
    with pytest.raises(DataError, match=r"must be loadable .*rte"):
        load_hub(str(copy), "RTE")
    (copy / "cola" / "validation-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match="cola must"):
        load_hub(str(copy), "CoLA")


def test_other_columns_splits_or_classes_on_the_hub_are_named(tmp_path):
    copy = write_hub(tmp_path / "copy", ["CoLA"], ending="json", with_names=False)
    text = (copy / "README.md").read_text()
    (copy / "README.md").write_text(text.replace('"split": "validation"', '"split": "test"'))
    with pytest.raises(DataError, match=r"cola must have a split validation, but got \['test', 'train'\]"):
        load_hub(str(copy), "CoLA")
    (copy / "README.md").write_text(text.replace("cola/", "other/"))
    (copy / "other").mkdir()
    for split in ("train", "validation"):
        (copy / "other" / f"{split}-0.json").write_text('{"label": 0, "text": "a"}\n{"label": 1, "text": "b"}\n')
    with pytest.raises(DataError, match="cola, train must have the columns label, sentence"):
        load_hub(str(copy), "CoLA")
    for split in ("train", "validation"):
        rows = ['{"label": 0, "sentence": "a"}', '{"label": 7, "sentence": "b"}']
        (copy / "other" / f"{split}-0.json").write_text("\n".join(rows))
    with pytest.raises(DataError, match="cola, train, row 2: label must be a class from 0 to 1, but got 7"):
        load_hub(str(copy), "CoLA")
    classes = {"class_label": {"names": {"0": "acceptable", "1": "unacceptable"}}}
    features = [{"name": "sentence", "dtype": "string"}, {"name": "label", "dtype": classes}]
    header = json.loads(text.split("---")[1]) | {"dataset_info": [{"config_name": "cola", "features": features}]}
    (copy / "README.md").write_text(f"---\n{json.dumps(header)}\n---\n")
    with pytest.raises(DataError, match="label must have the classes unacceptable, acceptable"):
        load_hub(str(copy), "CoLA")


def test_the_hub_offers_all_nine_and_is_named_from_any_folder(tmp_path, hub, monkeypatch):
    from pathlib import Path

    source = resolve_source(None, Path("hub:nyu-mll/glue"))
    assert (source.tasks, source.hub, source.text) == (tuple(GLUE_TASKS), "nyu-mll/glue", None)
    assert absolute(Path("hub:nyu-mll/glue")) == "hub:nyu-mll/glue"
    monkeypatch.chdir(hub.parent)
    assert absolute(Path(f"hub:{hub.name}")) == f"hub:{hub}"
    assert absolute(Path(hub.name)) == str(hub)
    with pytest.raises(DataError, match="data must name a data set after hub:"):
        resolve_source(None, Path("hub:"))
    quick = RECIPES["quick"]
    before = resolve_source(["CoLA"], Path(f"hub:{hub}")).key(quick)
    assert before != resolve_source(["CoLA"], Path("hub:nyu-mll/glue")).key(quick)
    assert before == resolve_source(["CoLA"], Path(f"hub:{hub}")).key(quick)
