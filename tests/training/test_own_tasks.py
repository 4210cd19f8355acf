"""A user's own tasks: a YAML file or a folder, tables in CSV, TSV and JSONL, and what is wrong in them."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import DataError, InputError
from explorer.training.metrics import Metric
from explorer.training.prepared import prepare
from explorer.training.recipe import RECIPES
from explorer.training.sources import resolve_source
from explorer.training.tasks.base import Example, TaskKind
from explorer.training.tasks.own import load_own, read_own

QUICK = RECIPES["quick"]
ROWS = [("good", "A fine film"), ("bad", "A dull film"), ("fair", 'It was, well, "fine"')]
REVIEWS = {"name": "reviews", "kind": "classification", "files": {"train": "train.csv", "dev": "dev.csv"}}


def csv_text(rows, header="label,sentence"):
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    return "\n".join([header, *quoted, ""])


def task_file(folder, changes=None, files=("train.csv", "dev.csv"), text=None):
    """Writes ``task.yaml`` and equal tables beside it."""
    document = {key: value for key, value in (REVIEWS | (changes or {})).items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(yaml.safe_dump(document))
    for name in files:
        (folder / name).write_text(csv_text(ROWS) if text is None else text)
    return folder / "task.yaml"


def load(path):
    return load_own(read_own(path))


def test_a_classification_by_default(tmp_path):
    task = load(task_file(tmp_path))
    assert (task.name, task.kind, task.metric, task.pair) == (
        "reviews",
        TaskKind.CLASSIFICATION,
        Metric.ACCURACY,
        False,
    )
    assert task.classes == ("bad", "fair", "good")
    assert task.train == task.dev == tuple(Example(float("bfg".index(name[0])), text) for name, text in ROWS)


def test_all_that_a_task_file_can_say(tmp_path):
    changes = {
        "columns": {"label": "stars", "sentence": "text", "sentence2": "reply"},
        "metric": "macro_f1",
        "classes": [3, 1, 2],
        "files": {"train": "train.jsonl", "dev": "sub/dev.tsv"},
    }
    path = task_file(tmp_path, changes, files=())
    rows = [{"text": "a", "reply": "b", "stars": 3}, {"stars": "1", "text": "c\td", "reply": "e", "more": None}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "dev.tsv").write_text('stars\treply\ttext\n2\tshe "said\tx\u2028y\n1\tb\tc\n')
    task = load(path)
    assert (task.metric, task.classes, task.pair) == (Metric.MACRO_F1, ("3", "1", "2"), True)
    assert task.train == (Example(0.0, "a", "b"), Example(1.0, "c\td", "e"))
    assert task.dev == (Example(2.0, "x\u2028y", 'she "said'), Example(1.0, "c", "b"))


def test_a_regression(tmp_path):
    text = csv_text([("-1.5", "cold"), ("2e1", "warm")])
    task = load(task_file(tmp_path, {"kind": "regression"}, text=text))
    assert (task.kind, task.metric, task.classes) == (TaskKind.REGRESSION, Metric.PEARSON_SPEARMAN, ())
    assert task.train == (Example(-1.5, "cold"), Example(20.0, "warm"))
    assert load(task_file(tmp_path, {"kind": "regression", "metric": "spearman"}, text=text)).metric == "spearman"


def test_dev_examples_that_are_train_examples_too_are_told(tmp_path, caplog):
    path = task_file(tmp_path)
    (tmp_path / "dev.csv").write_text(csv_text([("good", " a  FINE film"), ("bad", "Something else")]))
    load(path)
    assert "task reviews: 1 of 2 dev examples are train examples too" in caplog.text


def test_classes_that_are_numbers_are_in_their_order_and_true_is_a_class(tmp_path):
    path = task_file(tmp_path, text=csv_text([("10", "a"), ("9", "b"), ("x", "c")]))
    assert load(path).classes == ("9", "10", "x")
    path = task_file(tmp_path, {"files": {"train": "t.jsonl", "dev": "t.jsonl"}}, files=())
    (tmp_path / "t.jsonl").write_text('{"label": true, "sentence": "a"}\n{"label": false, "sentence": "b"}\n')
    assert load(path).classes == ("false", "true")


def test_minus_one_beside_zero_is_no_class_unless_listed(tmp_path):
    text = csv_text([("0", "a"), ("1", "b"), ("-1", "c")])
    with pytest.raises(DataError, match=r"label must not be -1 beside a class 0.*list -1 under classes"):
        load(task_file(tmp_path, text=text))
    assert load(task_file(tmp_path, {"classes": [-1, 0, 1]}, text=text)).classes == ("-1", "0", "1")
    assert set(load(task_file(tmp_path, text=csv_text([("1", "a"), ("-1", "b")]))).classes) == {"-1", "1"}


def test_cells_over_several_lines_and_blank_lines(tmp_path):
    text = 'label,sentence\n\ngood,"one\ntwo"\n\nbad,three\n'
    assert load(task_file(tmp_path, text=text)).train == (Example(1.0, "one\ntwo"), Example(0.0, "three"))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(min_size=1, max_size=5)), min_size=40, max_size=80))
def test_without_dev_a_fifth_of_the_texts_is_kept_for_it(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("split")
    rows = [(label, f"{number % 60} {text.strip()}") for number, (label, text) in enumerate(rows)]
    rows += [("a", f"more {number}") for number in range(60)] + [("b", f"more {number}") for number in range(60)]
    path = task_file(folder, {"files": {"train": "train.jsonl"}}, files=())
    (folder / "train.jsonl").write_text("\n".join(json.dumps({"label": a, "sentence": b}) for a, b in rows))
    task = load(path)
    texts = [{example.first for example in part} for part in (task.train, task.dev)]
    assert not texts[0] & texts[1], "the same text is never on both sides"
    assert len(task.train) + len(task.dev) == len(rows)
    assert 0.05 < len(task.dev) / len(rows) < 0.4


def test_a_folder_without_a_task_file(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "train.tsv").write_text("label\tsentence\tsentence2\n1\ta\tb\n0\tc\td\n")
    (folder / "dev.csv").write_text("sentence2,sentence,label\nb,a,1\nd,c,0\n")
    task = load(folder)
    assert (task.name, task.pair, task.classes) == ("reviews", True, ("0", "1"))
    assert task.train == task.dev
    (folder / "train.csv").write_text("")
    with pytest.raises(
        DataError, match=r"task folder must hold task.yaml, or one train with one of .csv, .tsv, .jsonl"
    ):
        load(folder)
    assert load(task_file(tmp_path / "other").parent).name == "reviews"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "task.yaml: name must be given"),
        ({"name": "SST-2"}, r"task.yaml: name must not be one of .*SST-2"),
        ({"name": "mean"}, "name must not be one of"),
        ({"name": "a/b"}, "task.yaml: name must match pattern"),
        ({"kind": "pairs"}, "task.yaml: kind must be 'classification' or 'regression'"),
        ({"files": {}}, r"task.yaml: files.train must be given"),
        ({"files": {"train": "train.csv", "test": "x"}}, r"files.test must not be given, because nothing reads it"),
        ({"metric": "bleu"}, "task.yaml: metric must be 'accuracy', 'matthews'"),
        ({"metric": "spearman"}, "metric of a classification must be one of accuracy"),
        ({"kind": "regression", "metric": "f1"}, "metric of a regression must be one of pearson"),
        ({"kind": "regression", "classes": ["a", "b"]}, "classes must be left out of a regression"),
        ({"classes": ["a", "a"]}, "classes must be distinct"),
        ({"classes": ["a"]}, "task.yaml: classes must have at least 2 items"),
        ({"metric": "f1"}, "task reviews must have two classes for the metric f1"),
        (
            {"classes": ["good", "bad"]},
            r"train.csv, line 4: label must be one of the classes good, bad, but got 'fair'",
        ),
        ({"columns": {"sentence": "text"}}, r"train.csv, line 2 must have a column text, but got 'label, sentence'"),
        ({"columns": {"sentence2": "label"}}, "task.yaml: columns must be distinct"),
        ({"files": {"train": "gone.csv"}}, r"data file must be an existing file, but got '.*gone.csv'"),
        ({"files": {"train": "task.yaml"}}, r"data file must end with .csv, .tsv, .jsonl"),
        ({"kind": "regression"}, r"train.csv, line 2: label must be a number from -1e\+09 to 1e\+09, but got 'good'"),
    ],
    ids=str,
)
def test_bad_task_files_are_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        load(task_file(tmp_path, changes))
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data file must hold something, but got '.*train.csv'"),
        ("label,sentence\n", "train examples of task reviews must hold examples of at least two different labels"),
        ("label,sentence\na,b\na,c\n", "train examples of task reviews must hold examples of at least two"),
        ("label,label\na,b\n", "line 1 must name each column once"),
        ("label,sentence\na,b,c\n", "line 2 must have 2 cells"),
        ("label,sentence\na,b\nb, \n", "line 3: sentence must be text, not empty"),
        ("label,sentence\n,b\nb,x\n", "line 2: label must be the name or the number of a class, but got ''"),
        ('label,sentence\na,"b\n', "must be valid CSV"),
    ],
    ids=range(8),
)
def test_bad_tables_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        load(task_file(tmp_path, text=text))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 must be valid JSON"),
        ("[1]", "line 2 must be a JSON object"),
        ('{"label": 1, "label": 2}', "line 2: label must be given once"),
        ('{"label": 1}', "line 2 must have a column sentence"),
        ('{"label": 1, "sentence": 5}', "line 2: sentence must be text"),
        ('{"label": [1], "sentence": "x"}', "line 2: label must be the name or the number of a class"),
        ('{"label": 1.5, "sentence": "x"}', "line 2: label must be the name or the number of a class"),
        (r'{"label": 1, "sentence": "half \ud800"}', "line 2: sentence must be valid Unicode text"),
    ],
)
def test_bad_json_lines_are_named(tmp_path, line, message):
    path = task_file(tmp_path, {"files": {"train": "t.jsonl", "dev": "t.jsonl"}}, files=())
    (tmp_path / "t.jsonl").write_text('{"label": 0, "sentence": "a"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        load(path)


@pytest.mark.parametrize("text", ["- a", "a: [", "name: x\nname: y", ""])
def test_what_is_no_task_file_is_refused(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"own.yaml"):
        read_own(path)
    with pytest.raises(DataError, match="task file must be an existing file"):
        read_own(tmp_path / "none.yaml")


def many(label, count, word):
    return [(label, f"This is a {word} sentence with number {number} in it") for number in range(count)]


def test_own_tasks_join_the_others(tmp_path, corpus, write_text):
    text = write_text(tmp_path / "text.txt", corpus)
    one = task_file(tmp_path / "one", text=csv_text(many("yes", 20, "good") + many("no", 20, "bad")))
    two = task_file(tmp_path / "two", {"name": "other"})
    assert resolve_source(None, None, [one]).tasks == ("reviews",)
    assert resolve_source(None, text, [one, two]).tasks == ("reviews", "other")
    assert resolve_source(["pair"], text, [two, one]).tasks == ("pair", "other", "reviews")
    with pytest.raises(InputError, match="task files must have distinct task names"):
        resolve_source(None, None, [one, one])
    found = prepare(tmp_path / "work", QUICK, ["pair"], text, lambda share, note: None, [one])
    assert [task.name for task in found.tasks] == ["pair", "reviews"]
    assert found.tasks[1].classes == ("no", "yes")
    assert len(found.tasks[1].train) == 40
    key = resolve_source(None, text, [one]).key(QUICK)
    (tmp_path / "one" / "dev.csv").write_text(csv_text(ROWS[:2]))
    assert resolve_source(None, text, [one]).key(QUICK) != key, "a changed table is prepared anew"


def test_dev_examples_change_neither_text_nor_vocabulary(tmp_path, monkeypatch):
    # Only the user's task supplies text here, so that the vocabulary is all of it.
    from explorer.training import prepared as module
    from explorer.training.text import Corpus, Document

    base = Corpus((Document("base", "one", ("Something that is always there.",)),))
    monkeypatch.setattr(module, "default_corpus", lambda work, progress: base)
    train = many("yes", 20, "good") + many("no", 20, "bad")
    texts = []
    for number, word in enumerate(("zebra", "quokka")):
        folder = tmp_path / str(number)
        path = task_file(folder, text=csv_text(train))
        (folder / "dev.csv").write_text(csv_text([(label, f"{word} {label}") for label in ("yes", "no") * 5]))
        found = prepare(folder / "work", QUICK, None, None, lambda share, note: None, [path])
        raw = json.loads((found.tokenizer / "tokenizer.json").read_text())
        texts.append((found.text, sorted(raw["model"]["vocab"])))
        assert not any(word in entry for entry in raw["model"]["vocab"])
    assert texts[0] == texts[1]
    (tmp_path / "0" / "train.csv").write_text(csv_text([(label, f"{text} zebra") for label, text in train]))
    recipe = dataclasses.replace(QUICK, vocab_size=700)
    found = prepare(tmp_path / "more", recipe, None, None, lambda share, note: None, [tmp_path / "0"])
    raw = json.loads((found.tokenizer / "tokenizer.json").read_text())
    assert any("zebra" in entry for entry in raw["model"]["vocab"]), "the test can tell"


def test_labels_as_programs_write_them(tmp_path):
    rows = [{"label": label, "sentence": f"a {place}"} for place, label in enumerate([0, 1.0, 1, 0.0])]
    path = task_file(tmp_path, {"files": {"train": "t.jsonl", "dev": "t.jsonl"}}, files=())
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = load(path)
    assert (task.classes, [example.label for example in task.train]) == (("0", "1"), [0.0, 1.0, 1.0, 0.0])
    text = csv_text([("0.0", "a"), ("1.0", "b"), ("-1.0", "c")])
    with pytest.raises(DataError, match="must not be -1 beside a class 0"):
        load(task_file(tmp_path, text=text))
    with pytest.raises(DataError, match=r"be one of the classes true, false.*Quote the classes in the task file"):
        load(task_file(tmp_path, {"classes": [True, False]}, text=csv_text([("yes", "a"), ("no", "b")])))
    assert load(task_file(tmp_path, {"classes": ["yes", "no"]}, text=csv_text([("yes", "a"), ("no", "b")]))).classes
    with pytest.raises(DataError, match=r"have a column label, but got 'Label, sentence'\. Name Label under columns"):
        load(task_file(tmp_path, text=csv_text(ROWS, "Label,sentence")))
    assert load(task_file(tmp_path, {"columns": {"label": "Label"}}, text=csv_text(ROWS, "Label,sentence"))).classes
