from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from explorer.errors import DataError
from explorer.training.metrics import Metric
from explorer.training.sources import resolve_source
from explorer.training.tasks.base import Example, Task, TaskKind
from explorer.training.tasks.forms import GLUE_TASKS
from explorer.training.tasks.glue import load_glue
from explorer.training.tasks.made import MADE_TASKS, disorder, make_task, split_documents
from explorer.training.text import Corpus, Document


@pytest.mark.parametrize("name", MADE_TASKS)
def test_made_tasks_are_balanced_and_fixed_by_the_seed(name, corpus):
    task = make_task(name, corpus, 160, 48, seed=0)
    for part, size in ((task.train, 160), (task.dev, 48)):
        counts = Counter(example.label for example in part)
        assert set(counts) == set(range(task.labels))
        assert len(set(counts.values())) == 1
        assert 0.8 * size <= len(part) <= size
    assert make_task(name, corpus, 160, 48, seed=0) == task
    assert make_task(name, corpus, 160, 48, seed=1).fingerprint != task.fingerprint
    assert make_task(name, corpus, 80, 48, seed=0).dev == task.dev


@pytest.mark.parametrize("name", MADE_TASKS)
def test_train_and_dev_come_from_different_documents(name, corpus):
    # Every sentence of the small text ends with the number of its document; disorder leaves the last word alone.
    task = make_task(name, corpus, 160, 48, seed=0)
    sources = [
        {text.split()[-1] for example in part for text in (example.first, example.second) if text}
        for part in (task.train, task.dev)
    ]
    assert sources[0]
    assert sources[1]
    assert not sources[0] & sources[1]


def test_more_documents_do_not_move_a_document_between_the_parts(corpus):
    train, dev = split_documents(corpus)
    less_train, less_dev = split_documents(Corpus(corpus.documents[::2]))
    assert set(less_train) < set(train)
    assert set(less_dev) < set(dev)


def test_pair_labels_tell_the_truth(corpus):
    sentences = {document.name.split()[-1]: document.sentences for document in corpus.documents}
    task = make_task("pair", corpus, 160, 48, seed=0)
    for example in (*task.train, *task.dev):
        own = sentences[example.first.split()[-1].rstrip(".")]
        places = own.index(example.first), own.index(example.second)
        assert sorted(places)[0] == 0 < sorted(places)[1]
        assert bool(example.label) == (places[0] == 0)
    assert len({frozenset((example.first, example.second)) for example in task.train}) == len(task.train)


def test_order_labels_tell_the_truth(corpus):
    originals = {sentence for document in corpus.documents for sentence in document.sentences}
    task = make_task("order", corpus, 160, 48, seed=0)
    for example in (*task.train, *task.dev):
        assert (example.first in originals) == bool(example.label)


def test_package_names_are_taken_out():
    documents = tuple(
        Document(
            package, str(number), (f"This is the number {number} that NumPy and torch give to pandas users, yes.",)
        )
        for number in range(60)
        for package in ("numpy", "torch")
    )
    task = make_task("package", Corpus(documents), 32, 16, seed=0)
    assert all(" and give to users, yes." in example.first for example in task.train)


def test_disorder_swaps_neighbours_and_keeps_the_ends():
    sentence = "one two three four five six seven eight nine ten"
    words = sentence.split()
    changed = disorder(sentence, np.random.default_rng(0)).split()
    moved = [index for index in range(10) if words[index] != changed[index]]
    assert sorted(changed) == sorted(words)
    assert len(moved) >= 6, "of eight inner words at least six can be swapped in pairs"
    assert {words.index(changed[index]) - index for index in moved} == {-1, 1}
    assert changed[0] == "one"
    assert changed[-1] == "ten"


def test_package_needs_several_packages(corpus):
    own = Corpus(tuple(Document("own", d.name, d.sentences) for d in corpus.documents))
    with pytest.raises(DataError, match="at least two packages"):
        make_task("package", own, 100, 20, seed=0)


@pytest.mark.parametrize("name", ["order", "pair"])
def test_too_little_text_is_refused(name, corpus):
    with pytest.raises(DataError, match="two different labels"):
        make_task(name, Corpus(corpus.documents[:1]), 100, 20, seed=0)


def test_one_class_is_refused():
    two = (Example(0.0, "a"), Example(1.0, "b"))
    with pytest.raises(DataError, match="dev examples of task t must hold examples of at least two"):
        Task("t", Metric.ACCURACY, TaskKind.CLASSIFICATION, False, ("no", "yes"), two, two[:1])


ROWS = {"CoLA": (8551, 1043), "SST-2": (67349, 872), "RTE": (2490, 277), "STS-B": (5749, 1500)}


@pytest.mark.parametrize("name", ROWS)
def test_real_glue(name, shared_data):
    task = load_glue(shared_data / "glue", name)
    assert (len(task.train), len(task.dev)) == ROWS[name]
    assert task.pair == (name in ("RTE", "STS-B"))
    assert all((example.second is not None) == task.pair for example in task.dev)
    assert task.labels == (1 if name == "STS-B" else 2)


def test_real_metrics_and_first_rows(shared_data):
    metrics = {name: load_glue(shared_data / "glue", name).metric for name in ("CoLA", "RTE", "STS-B")}
    assert metrics == {"CoLA": "matthews", "RTE": "accuracy", "STS-B": "pearson_spearman"}
    assert load_glue(shared_data / "glue", "STS-B").train[1] == Example(
        3.8, "A man is playing a large flute.", "A man is playing a flute."
    )


def write_glue(folder, name, train, dev, header=None):
    (folder / name).mkdir(parents=True)
    header = header or ("label\tsentence\tsentence2" if GLUE_TASKS[name].pair else "label\tsentence")
    for part, rows in (("train", train), ("dev", dev)):
        (folder / name / f"{part}.tsv").write_bytes("\n".join([header, *rows, ""]).encode("utf-8", "surrogateescape"))


def test_quotes_and_unusual_line_separators_belong_to_the_sentence(tmp_path):
    rows = ['0\tShe said "no', "1\tA\u2028B \x0b C"]
    write_glue(tmp_path, "SST-2", rows, rows)
    assert [example.first for example in load_glue(tmp_path, "SST-2").dev] == ['She said "no', "A\u2028B \x0b C"]


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("SST-2", "1\tgood\textra", "line 3 must hold 2 columns"),
        ("SST-2", "1", "line 3 must hold 2 columns"),
        ("SST-2", "", "line 3 must hold 2 columns"),
        ("SST-2", "2\tgood", "line 3: label must be a class from 0 to 1, but got '2'"),
        ("SST-2", "-1\tgood", "line 3: label must be a class"),
        ("SST-2", "1" * 5000 + "\tgood", "line 3: label must be a class from 0 to 1"),
        ("STS-B", "1" * 5000 + "\ta\tb", "line 3: label must be a number from 0 to 5"),
        ("CoLA", "1.0\tgood", "line 3: label must be a class"),
        ("CoLA", "1\t ", "line 3: sentence must not be empty"),
        ("RTE", "1\tgood\t", "line 3: sentence2 must not be empty"),
        ("RTE", "1\tgood", "line 3 must hold 3 columns"),
        ("STS-B", "5.1\ta\tb", "line 3: label must be a number from 0 to 5, but got '5.1'"),
        ("STS-B", "nan\ta\tb", "line 3: label must be a number"),
        ("STS-B", "\ta\tb", "line 3: label must be a number"),
        ("SST-2", "1\tbad \udcff", "line 3 must be valid UTF-8"),
    ],
)
def test_bad_rows_are_named(tmp_path, name, row, message):
    second = "\tx" if GLUE_TASKS[name].pair else ""
    good = [f"0\tfirst{second}", f"1\tlast{second}"]
    write_glue(tmp_path, name, [good[0], row, good[1]], good)
    with pytest.raises(DataError, match=message) as caught:
        load_glue(tmp_path, name)
    assert str(tmp_path / name / "train.tsv") in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_missing_header_folder_or_file_is_named(tmp_path):
    with pytest.raises(DataError, match="data for task SST-2 must be an existing folder"):
        load_glue(tmp_path, "SST-2")
    write_glue(tmp_path, "SST-2", ["0\ta", "1\tb"], ["0\ta", "1\tb"], header="0\ta")
    with pytest.raises(DataError, match="line 1 must be a header of the columns label, sentence, in any order"):
        load_glue(tmp_path, "SST-2")
    (tmp_path / "SST-2" / "dev.tsv").unlink()
    (tmp_path / "SST-2" / "train.tsv").write_text("label\tsentence\n0\ta\n1\tb\n")
    with pytest.raises(DataError, match=r"dev\.tsv"):
        load_glue(tmp_path, "SST-2")


def test_columns_come_in_any_order(tmp_path):
    write_glue(tmp_path, "SST-2", ["good\t1", "bad\t0"], ["bad\t0", "good\t1"], header="sentence\tlabel")
    assert load_glue(tmp_path, "SST-2").train == (Example(1.0, "good"), Example(0.0, "bad"))
    rows = ["second\t1\tfirst", "two\t0\tone"]
    write_glue(tmp_path, "RTE", rows, rows, header="sentence2\tlabel\tsentence")
    assert load_glue(tmp_path, "RTE").dev == (Example(1.0, "first", "second"), Example(0.0, "one", "two"))
    (tmp_path / "RTE" / "dev.tsv").write_text("sentence2\tlabel\tsentence\n \t1\tx\n")
    with pytest.raises(DataError, match="line 2: sentence2 must not be empty"):
        load_glue(tmp_path, "RTE")


@pytest.mark.parametrize(
    "header", ["index\tsentence1\tsentence2", "label\tsentence", "label\tsentence\tsentence", "Label\ta\tb", ""]
)
def test_other_columns_are_refused_with_the_expected_ones(tmp_path, header):
    write_glue(tmp_path, "RTE", ["0\ta\tb"], ["0\ta\tb"])
    (tmp_path / "RTE" / "train.tsv").write_text(header + "\n0\ta\tb\n")
    with pytest.raises(DataError, match="line 1 must be a header of the columns label, sentence, sentence2"):
        load_glue(tmp_path, "RTE")


@pytest.mark.parametrize("name", ["a" * 300, "b" * 300 + "/data"])
def test_a_data_path_too_long_for_a_file_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="data must be an existing file or folder"):
        resolve_source(None, tmp_path / name)


def test_an_empty_file_is_refused(tmp_path):
    write_glue(tmp_path, "SST-2", ["0\ta", "1\tb"], [])
    with pytest.raises(DataError, match="dev examples of task SST-2"):
        load_glue(tmp_path, "SST-2")
