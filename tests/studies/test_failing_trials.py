"""Trials that fail for reasons of the training itself: each says why, and the study goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from explorer.errors import DataError
from explorer.library.workplace import data_cache, run_folder
from explorer.progress import SilentReporter
from explorer.space.formats import from_json
from explorer.studies.candidates import space_candidates
from explorer.studies.driver import StudyDriver
from explorer.studies.managing import open_study
from explorer.studies.spec import Trained
from explorer.studies.trained import TrainingChoices, check_training, run_trained
from explorer.testing.executors import ThreadExecutor
from explorer.testing.searches import search
from explorer.training.pretrain import pretrain
from graphstore.records import StudyState, TrialStatus

pytestmark = pytest.mark.slow


@pytest.fixture
def evaluation(tmp_path):
    """A regression and a classification of the user's own, on a text of the user's own."""
    words = ("bad", "poor", "fair", "good", "best")
    rows = [(number % 5, f"It is {words[number % 5]} in all {number}.") for number in range(80)]
    (tmp_path / "text.txt").write_text("\n\n".join(f"{text} And so it is said." for _, text in rows))
    (tmp_path / "stars.csv").write_text("label,sentence\n" + "\n".join(f"{a},{b}" for a, b in rows))
    files = []
    for name, kind in (("stars", "regression"), ("classes", "classification")):
        files.append(str(tmp_path / f"{name}.yaml"))
        document = {"name": name, "kind": kind, "files": {"train": "stars.csv"}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(document))
    recipe = {"base": "quick", "pretrain_steps": 8, "finetune_steps": 6, "finetune_seeds": 2, "train_share": 0.5}
    data = str(tmp_path / "text.txt")
    return Trained(recipe=recipe, data=data, task_files=tuple(files))


def run(store, plan):
    return run_trained(store, open_study(store, plan), ThreadExecutor(), SilentReporter(), lambda: False)


def test_a_loss_that_is_not_finite_fails_its_trial_only(store, evaluation):
    plan = search("nan", "small", budget=2, evaluation=evaluation)
    check_training(evaluation, "stars")
    (trial,) = StudyDriver(store, open_study(store, plan), space_candidates(store, "small")).refill(1)
    choices = TrainingChoices.of(evaluation)
    prepared = choices.prepare(data_cache(store.url))
    assert [task.name for task in prepared.tasks] == ["stars", "classes"]
    spec = from_json(store.summaries(ids=[trial.architecture])[0].spec)
    folder = run_folder(store.url, "nan", f"0000-{choices.run_digest(prepared, trial.architecture, 0)}") / "pretrained"
    cpu = torch.device("cpu")
    pretrain(spec, prepared, choices.recipe, 0, folder, cpu, lambda step, loss: None, lambda: False)
    weights = load_file(folder / "model.safetensors")
    poisoned = {name: torch.full_like(tensor, torch.nan) for name, tensor in weights.items()}
    save_file(poisoned, folder / "model.safetensors", metadata={"format": "pt"})
    study = run(store, plan)
    first, second = store.trials("nan")
    assert study.state is StudyState.DONE
    assert (first.state, second.state) == (TrialStatus.FAILED, TrialStatus.COMPLETE)
    assert "fine-tuning on stars: the loss became nan at step 1 of 6" in first.reason
    source = "trained:nan/1"
    scores = {s.task: s for s in store.scores(architecture=second.architecture) if s.source == source}
    assert set(scores) == {"stars", "stars/pearson", "stars/spearman", "classes", "mean"}
    assert {s.fidelity for s in scores.values()} == {"pretrain 8x8x32, finetune 6x8 of 160, train share 0.5, 2 seeds"}
    assert second.value == scores["mean"].value
    tasks = (scores["stars"].value, scores["classes"].value)
    assert second.value == pytest.approx(sum(tasks) / 2)


def test_too_little_memory_fails_the_trial_with_the_reason(store, evaluation):
    # The tables of relative positions of so long texts take hundreds of gigabytes, more than a machine hands out.
    vast = replace(evaluation, recipe={**evaluation.recipe, "length": 2**31 - 1})
    study = run(store, search("vast", "small", budget=1, evaluation=vast))
    (trial,) = store.trials("vast")
    assert (study.state, trial.state) == (StudyState.DONE, TrialStatus.FAILED)
    assert "TrainingFailed: pre-training: out of memory" in trial.reason
    assert "Lower recipe.pretrain_batch" in trial.reason
    assert store.scores(architecture=trial.architecture, task="mean") == []


@pytest.mark.parametrize("labels", [[], ["1"] * 9], ids=["empty", "one class"])
def test_data_that_are_no_good_are_refused_before_a_study_starts(evaluation, labels):
    file = Path(evaluation.task_files[1])
    (file.parent / "stars.csv").write_text("\n".join(["label,sentence", *(f"{label},a b" for label in labels)]))
    with pytest.raises(DataError, match="train examples of task classes must hold examples of at least two"):
        check_training(replace(evaluation, task_files=(str(file),)), "classes")
