from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from explorer.errors import DataError, DiskError, InputError
from explorer.training import prepared as module
from explorer.training.prepared import prepare
from explorer.training.recipe import RECIPES, recipe_named
from explorer.training.sources import resolve_source
from explorer.training.tokenizer import END, START

QUICK = RECIPES["quick"]


def quiet(share, message):
    assert 0 <= share <= 1


def write_glue(folder, name="SST-2", rows=40):
    (folder / name).mkdir(parents=True)
    lines = [
        f"{number % 2}\t{'a fine film' if number % 2 else 'a dull film'} number {number}" for number in range(rows)
    ]
    for part in ("train", "dev"):
        (folder / name / f"{part}.tsv").write_text("label\tsentence\n" + "\n".join(lines) + "\n")
    return folder


def test_what_is_prepared_fits_together(prepared):
    assert [task.name for task in prepared.tasks] == ["order", "pair"]
    assert isinstance(prepared.tokens, np.memmap)
    assert int(prepared.tokens.max()) < prepared.vocab_size <= QUICK.vocab_size
    for task in prepared.tasks:
        for examples in (task.train, task.dev):
            assert examples.offsets[-1] == len(examples.ids)
            assert examples.lengths.max() <= QUICK.length
            for index in range(len(examples)):
                sequence = examples.sequence(index)
                assert sequence[0] == START
                assert sequence[-1] == END
                assert (sequence == END).sum() == (2 if task.pair else 1)


def test_a_second_call_makes_nothing_and_gives_the_same(tmp_path, corpus, monkeypatch, write_text):
    text = write_text(tmp_path / "text.txt", corpus)
    first = prepare(tmp_path / "work", QUICK, ["pair"], text, quiet)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*")}
    monkeypatch.setattr(module, "_build", None)
    second = prepare(tmp_path / "work", QUICK, ["pair"], text, quiet)
    assert (second.text, second.fingerprint, second.vocab_size) == (first.text, first.fingerprint, first.vocab_size)
    assert (second.tokens == first.tokens).all()
    assert (second.tasks[0].train.ids == first.tasks[0].train.ids).all()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*")} == files
    assert not any(path.name.startswith(".") for path in files), "no temporary file is left"


def test_a_full_disk_is_named_and_the_same_call_continues(tmp_path, corpus, monkeypatch, write_text):
    text = write_text(tmp_path / "text.txt", corpus)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match=r"No space left on device.*work'.*resumes"):
            prepare(tmp_path / "work", QUICK, ["pair"], text, quiet)
    assert prepare(tmp_path / "work", QUICK, ["pair"], text, quiet).tasks[0].name == "pair"


def test_a_second_call_loads_no_torch(tmp_path, corpus, write_text):
    text = write_text(tmp_path / "text.txt", corpus)
    code = (
        "import sys; from pathlib import Path; from explorer.training.backend import RECIPES, prepare;"
        f"prepare(Path({str(tmp_path / 'work')!r}), RECIPES['quick'], None, Path({str(text)!r}), lambda a, b: None);"
        "print(sorted({'torch', 'transformers', 'sklearn', 'scipy', 'tokenizers'} & set(sys.modules)))"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert outputs[0] != "[]"
    assert outputs[1] == "[]"


def test_changed_data_is_prepared_anew(tmp_path, corpus, other_corpus, write_text):
    text = write_text(tmp_path / "text.txt", corpus)
    first = prepare(tmp_path / "work", QUICK, ["pair"], text, quiet)
    write_text(text, other_corpus)
    second = prepare(tmp_path / "work", QUICK, ["pair"], text, quiet)
    assert second.text != first.text
    assert second.dataset(second.tasks[0]) != first.dataset(first.tasks[0])


@pytest.mark.parametrize("kind", ["prepared-*.json", "tokens-*.npy", "task-*.npz"])
def test_a_damaged_file_is_named(kind, tmp_path, corpus, write_text):
    text, work = write_text(tmp_path / "text.txt", corpus), tmp_path / "work"
    prepare(work, QUICK, ["order"], text, quiet)
    (path,) = work.glob(kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"{path.name} must be as it was written.*recreated"):
        prepare(work, QUICK, ["order"], text, quiet)


def test_two_processes_end_with_the_same(tmp_path, corpus, write_text):
    text = write_text(tmp_path / "text.txt", corpus)
    code = (
        "from pathlib import Path; from explorer.training.backend import RECIPES, prepare;"
        f"work, text = Path({str(tmp_path / 'work')!r}), Path({str(text)!r});"
        "p = prepare(work, RECIPES['quick'], None, text, lambda share, message: None);"
        "print(p.text, p.fingerprint, int(p.tokens.astype(int).sum()))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1] != ""


def test_glue_folder_with_its_own_text(tmp_path, corpus, write_text):
    write_text(write_glue(tmp_path / "data") / "text.txt", corpus)
    found = prepare(tmp_path / "work", QUICK, None, tmp_path / "data", quiet)
    assert [(task.name, task.metric) for task in found.tasks] == [("SST-2", "accuracy")]
    assert len(found.tasks[0].train) == 40
    mixed = prepare(tmp_path / "work", QUICK, ["SST-2", "order"], tmp_path / "data", quiet)
    assert [task.name for task in mixed.tasks] == ["SST-2", "order"]
    assert mixed.text == found.text


def test_which_tasks_the_data_offers(tmp_path, corpus, write_text):
    assert resolve_source(None, None).tasks == ("package", "order", "pair")
    text = write_text(tmp_path / "own.txt", corpus)
    assert resolve_source(None, text).tasks == ("order", "pair")
    write_glue(write_glue(tmp_path / "data"), "CoLA")
    assert resolve_source(None, tmp_path / "data").tasks == ("CoLA", "SST-2")
    assert resolve_source(["SST-2", "pair", "SST-2"], tmp_path / "data").tasks == ("SST-2", "pair")


def test_what_cannot_be_prepared_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"task must be one of package, order, pair, CoLA, SST-2, .*, RTE, WNLI, but got 'X'"
    ):
        resolve_source(["X"], None)
    with pytest.raises(InputError, match="at least once"):
        resolve_source([], None)
    with pytest.raises(DataError, match="data must be an existing file or folder"):
        resolve_source(None, tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"data for task SST-2 must be a GLUE-format folder, but got None"):
        resolve_source(["SST-2"], None)
    with pytest.raises(DataError, match=r"must hold text\.txt or a folder of a task"):
        resolve_source(None, tmp_path)
    with pytest.raises(DataError, match="data for task RTE must be an existing folder"):
        prepare(tmp_path / "work", QUICK, ["RTE"], write_glue(tmp_path / "data"), quiet)
    assert not (tmp_path / "work").exists(), "nothing is written before the data is known to be good"


def test_fidelity_and_digest_tell_recipes_apart():
    more = dataclasses.replace(QUICK, pretrain_steps=60)
    other = dataclasses.replace(QUICK, finetune_rate=0.5)
    assert QUICK.fidelity == "pretrain 30x8x32, finetune 20x8 of 160"
    assert (more.fidelity != QUICK.fidelity, more.digest != QUICK.digest) == (True, False)
    assert (other.fidelity != QUICK.fidelity, other.digest != QUICK.digest) == (False, True)


@pytest.mark.parametrize(
    "change", [{"pretrain_steps": 0}, {"length": 4}, {"dropout": 1.0}, {"pretrain_rate": 0.0}, {"masked_share": 1.0}]
)
def test_bad_recipes_are_refused(change):
    with pytest.raises(InputError, match=f"recipe.{next(iter(change))} must"):
        dataclasses.replace(QUICK, **change)
    with pytest.raises(InputError, match="recipe must be one of nano, quick"):
        recipe_named("giant")


def test_a_file_that_may_not_be_read_is_a_data_error():
    unreadable = Path("/proc/self/mem")  # A plain file that even root cannot read from its start.
    if not unreadable.is_file():
        pytest.skip("needs the folder /proc, which this system does not have")
    with pytest.raises(DataError, match="data must be readable"):
        resolve_source(None, unreadable).key(QUICK)
