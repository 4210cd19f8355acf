from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

from explorer.errors import DataError, InputError, TrainingFailed
from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.training.backend import MEAN, RECIPES, train_and_score
from explorer.training.fitting import bucketed, collate, predict
from explorer.training.loop import TrainingStopped
from explorer.training.metrics import evaluate
from explorer.training.pretrain import pretrain

QUICK = RECIPES["quick"]
CPU = torch.device("cpu")
MIXED = ArchitectureSpec((LayerSpec.per_layer(32, "sa", "wma", 2, (64,)), LayerSpec.per_layer(64, "c", 5, 4, (64, 64))))
FOURIER = ArchitectureSpec((LayerSpec.per_layer(32, "l", "dft", 2, (64,)),))


def run(folder, prepared, spec=FOURIER, recipe=QUICK, seed=0, on_score=lambda score: None, should_stop=lambda: False):
    shares = []

    def on_progress(share, message):
        assert message
        shares.append(share)

    scores = train_and_score(spec, prepared, recipe, seed, folder, on_progress, on_score, should_stop, "cpu")
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    return scores


@pytest.fixture(scope="module")
def first(tmp_path_factory, prepared):
    folder = tmp_path_factory.mktemp("runs") / "first"
    told = []
    scores = run(folder, prepared, MIXED, on_score=told.append)
    assert told == scores
    return folder, scores


def test_scores_are_complete(first, prepared):
    _, scores = first
    assert [(score.task, score.metric) for score in scores] == [
        ("order", "accuracy"),
        ("pair", "accuracy"),
        (MEAN, "mean of 2 tasks"),
    ]
    assert scores[-1].value == pytest.approx(np.mean([score.value for score in scores[:-1]]))
    assert scores[-1].seconds > sum(score.seconds for score in scores[:-1])
    assert {(score.fidelity, score.recipe, score.seed) for score in scores} == {(QUICK.fidelity, QUICK.digest, 0)}
    assert [score.dataset for score in scores] == [*map(prepared.dataset, prepared.tasks), prepared.fingerprint]


def test_the_same_seed_gives_the_same_score_and_another_seed_another(first, tmp_path, prepared):
    _, scores = first
    torch.manual_seed(123)
    again = run(tmp_path / "again", prepared, MIXED)
    assert [score.value for score in again] == [score.value for score in scores]
    weights = [folder / "pair" / "model.safetensors" for folder in (first[0], tmp_path / "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    run(tmp_path / "other", prepared, MIXED, seed=1)
    assert (tmp_path / "other" / "pair" / "model.safetensors").read_bytes() != weights[0].read_bytes()


def test_a_run_that_an_earlier_version_began_has_no_level_of_its_mean(first, tmp_path, prepared):
    shutil.copytree(first[0], tmp_path / "run")
    kept = tmp_path / "run" / "scores.json"
    rows = json.loads(kept.read_text())
    for name in ("majority", "chance"):
        assert rows[0].pop(name) is not None
    kept.write_text(json.dumps(rows))
    old, new, mean = run(tmp_path / "run", prepared, MIXED)
    assert (old.majority, old.chance, mean.majority, mean.chance) == (None,) * 4
    assert new == first[1][1]
    assert (old.value, mean.value) == (first[1][0].value, first[1][2].value)


def test_the_callers_chance_is_left_alone(tmp_path, prepared):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    pretrain(FOURIER, prepared, QUICK, 0, tmp_path / "p", CPU, lambda step, loss: None, lambda: False)
    assert torch.equal(torch.rand(3), expected)


def test_saved_models_load_with_transformers_and_give_the_score(first, prepared):
    folder, scores = first
    model = AutoModelForSequenceClassification.from_pretrained(folder / "pair")
    task = prepared.tasks[1]
    logits = predict(model, task.dev, task.pair, CPU)
    found = evaluate(task.metric, task.dev.labels, logits.argmax(1).astype(float))
    assert found[task.metric] == scores[1].value
    assert AutoModelForMaskedLM.from_pretrained(folder / "pretrained").config.vocab_size == prepared.vocab_size
    assert AutoTokenizer.from_pretrained(folder / "pair").mask_token == "<mask>"


def test_a_finished_run_is_not_repeated(first, prepared):
    folder, scores = first
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run(folder, prepared, MIXED) == scores
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("name", ["run.json", "scores.json", "pretrained/pretraining.json"])
def test_a_damaged_file_of_a_run_is_named(name, first, tmp_path, prepared):
    shutil.copytree(first[0], tmp_path / "run")
    (tmp_path / "run" / name).write_text("{")
    with pytest.raises(DataError, match=rf"{name} must be as it was written.*Remove the run's folder"):
        run(tmp_path / "run", prepared, MIXED)


def test_a_damaged_pre_trained_model_is_named(first, tmp_path, prepared):
    shutil.copytree(first[0] / "pretrained", tmp_path / "run" / "pretrained")
    (tmp_path / "run" / "pretrained" / "model.safetensors").write_bytes(b"xx")
    with pytest.raises(DataError, match=r"pretrained/model\.safetensors must be as it was written"):
        run(tmp_path / "run", prepared, MIXED)


def test_a_run_stopped_anywhere_resumes_to_the_same_result(first, tmp_path, prepared):
    _, scores = first
    folder = tmp_path / "stopped"
    # The wish to stop is asked for before every step here: 30 of pre-training, 20 of each task.
    for allowed in (10, 35, 25):
        left = iter(range(allowed))
        with pytest.raises(TrainingStopped, match="stopped on request"):
            run(folder, prepared, MIXED, should_stop=lambda left=left: next(left, None) is None)
    assert [row["task"] for row in json.loads((folder / "scores.json").read_text())] == ["order"]
    resumed = run(folder, prepared, MIXED)
    assert [score.value for score in resumed] == [score.value for score in scores]
    files = ["recipe.json", "run.json", "scores.json"]
    assert sorted(path.name for path in folder.iterdir()) == ["order", "pair", "pretrained", *files]


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_space(first, tmp_path, prepared, disk):
    done, scores = first
    size = (done / "pretrained" / "model.safetensors").stat().st_size
    folder = tmp_path / "run"

    def fill(message, left, stop):
        """The disk is full from that message on, for files of more than so many bytes."""
        told = []

        def on_progress(share, note):
            if message in note:
                disk(left)
                told.append(note)

        asked = (lambda score: None, lambda: stop and bool(told), "cpu")
        with pytest.raises(DataError, match=r"be a folder that can be written .*the same command resumes"):
            train_and_score(MIXED, prepared, QUICK, 0, folder, on_progress, *asked)
        assert told
        disk(-1)
        assert not [path for path in folder.glob("*") if path.name.startswith(".")], "nothing temporary is left"

    fill("step 3 of", size // 2, stop=True)  # safetensors cannot write the checkpoint's weights
    fill("step 3 of", size * 9 // 8, stop=True)  # torch cannot write the optimiser's
    fill("step 30 of 30", size // 2, stop=False)
    assert not (folder / "pretrained").exists()
    fill("fine-tuning on pair", size // 2, stop=False)
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"pretrained", "order"}
    assert [score.value for score in run(folder, prepared, MIXED)] == [score.value for score in scores]


def test_a_model_without_its_score_is_trained_again(first, tmp_path, prepared):
    folder, scores = first
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "scores.json").unlink()
    (tmp_path / "copy" / "pair" / "model.safetensors").write_bytes(b"torn")
    again = run(tmp_path / "copy", prepared, MIXED)
    assert [score.value for score in again] == [score.value for score in scores]
    assert (tmp_path / "copy" / "pair" / "model.safetensors").stat().st_size > 1000


@pytest.mark.parametrize("change", [{"seed": 1}, {"spec": FOURIER}, {"recipe": dataclasses.replace(QUICK, clip=0.5)}])
def test_another_runs_folder_is_refused(first, prepared, change):
    with pytest.raises(InputError, match="run folder must be empty or belong to the same"):
        run(first[0], prepared, **{"spec": MIXED, **change})


def test_pre_training_lowers_the_loss_and_learns_more_than_frequencies(tmp_path, prepared):
    recipe = dataclasses.replace(QUICK, pretrain_steps=250, pretrain_batch=16)
    history = pretrain(MIXED, prepared, recipe, 0, tmp_path / "p", CPU, lambda step, loss: None, lambda: False)
    counts = np.bincount(prepared.tokens)
    shares = counts[counts > 0] / counts.sum()
    entropy = float(-(shares * np.log(shares)).sum())
    assert history[0] == pytest.approx(np.log(prepared.vocab_size), rel=0.1)
    assert np.mean(history[-20:]) < 0.8 * entropy
    summary = json.loads((tmp_path / "p" / "pretraining.json").read_text())
    assert summary["last_loss"] == pytest.approx(np.mean(history[-25:]))


def test_a_loss_that_is_not_finite_fails_with_the_reason(tmp_path, prepared):
    recipe = dataclasses.replace(QUICK, pretrain_rate=1e30)
    with pytest.raises(TrainingFailed, match=r"the loss became (nan|inf) at step \d+ of 30"):
        run(tmp_path / "run", prepared, recipe=recipe)
    assert not (tmp_path / "run" / "pretrained").exists()


def test_a_task_that_can_be_learned_is_learned(tmp_path, prepared):
    # Which of two classes a sequence belongs to is written in its second token.
    task = prepared.tasks[0]

    def marked(examples):
        ids = examples.ids.copy()
        ids[examples.offsets[:-1] + 1] = np.where(examples.labels == 1, 300, 301)
        return dataclasses.replace(examples, ids=ids)

    easy = dataclasses.replace(task, train=marked(task.train), dev=marked(task.dev))
    recipe = dataclasses.replace(QUICK, finetune_steps=200)
    scores = run(tmp_path / "run", dataclasses.replace(prepared, tasks=(easy,)), recipe=recipe)
    assert scores[0].value > 0.9


def test_regression_is_scored_by_correlation(tmp_path):
    from explorer.training.prepared import prepare

    rng = np.random.default_rng(0)
    words = ("bad", "poor", "fair", "good", "best")
    rows = []
    for _ in range(400):
        level = int(rng.integers(5))
        rows.append(f"{level + rng.random() / 10:.2f}\tIt is {words[level]} in all.\tYes it is {words[level]}.")
    (tmp_path / "STS-B").mkdir()
    for part, chosen in (("train", rows[:300]), ("dev", rows[300:])):
        text = "label\tsentence\tsentence2\n" + "\n".join(chosen) + "\n"
        (tmp_path / "STS-B" / f"{part}.tsv").write_text(text)
    (tmp_path / "text.txt").write_text("\n".join(sorted(row.split("\t")[1] for row in rows)))
    prepared = prepare(tmp_path / "work", QUICK, None, tmp_path, lambda share, message: None)
    recipe = dataclasses.replace(QUICK, finetune_steps=200)
    score = run(tmp_path / "run", prepared, MIXED, recipe)[0]
    assert score.metric == "pearson_spearman"
    assert score.value > 0.9


def test_buckets_cover_every_example_once_an_epoch_and_are_even():
    lengths = np.random.default_rng(0).integers(5, 64, 500)
    batches = bucketed(lengths, 32, np.random.default_rng(1))
    epoch = [next(batches) for _ in range(16)]
    assert sorted(np.concatenate(epoch).tolist()) == list(range(500))
    assert np.mean([np.ptp(lengths[batch]) for batch in epoch]) < 10 < np.ptp(lengths)


def test_padding_stands_on_the_right(prepared):
    task = prepared.tasks[1]
    batch = collate(task.dev, np.arange(4), task.pair)
    assert batch.ids.shape == batch.mask.shape == batch.types.shape
    for row in range(4):
        length = int(task.dev.lengths[row])
        assert batch.mask[row].tolist() == [1] * length + [0] * (batch.ids.shape[1] - length)
        assert batch.ids[row, :length].tolist() == task.dev.sequence(row).tolist()


@pytest.mark.gpu
def test_the_gpu_gives_the_same_score_twice(tmp_path, prepared):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    values = [
        [
            score.value
            for score in train_and_score(
                MIXED, prepared, QUICK, 0, tmp_path / name, lambda a, b: None, lambda s: None, lambda: False, "cuda"
            )
        ]
        for name in ("one", "two")
    ]
    assert values[0] == values[1]
