"""Fine-tuning: seeds, tried learning rates, shares of the data, several metrics and dev sets, and what fails."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from explorer.errors import TrainingEnded, TrainingFailed
from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.training.backend import MEAN, RECIPES, train_and_score
from explorer.training.failures import guarded, is_memory
from explorer.training.finetune import finetune
from explorer.training.fitting import judge
from explorer.training.metrics import Metric, evaluate
from explorer.training.prepared import EncodedExamples
from explorer.training.pretrain import pretrain
from explorer.training.samples import chosen_part, held_out
from explorer.training.tasks.base import TaskKind

QUICK = RECIPES["quick"]
CPU = torch.device("cpu")
SPEC = ArchitectureSpec((LayerSpec.per_layer(32, "l", "dft", 2, (64,)),))
TUNED = dataclasses.replace(QUICK, tune_rates=(1e-9, 2e-3, 1e30), tune_steps=15, finetune_seeds=2)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, prepared):
    folder = tmp_path_factory.mktemp("finetuning") / "pretrained"
    pretrain(SPEC, prepared, QUICK, 0, folder, CPU, lambda step, loss: None, lambda: False)
    return folder


@pytest.fixture(scope="module")
def easy(prepared):
    """A task that can be learned at once: the class is written in the second token."""
    task = prepared.tasks[0]

    def marked(examples):
        ids = examples.ids.copy()
        ids[examples.offsets[:-1] + 1] = np.where(examples.labels == 1, 300, 301)
        return dataclasses.replace(examples, ids=ids)

    return dataclasses.replace(task, train=marked(task.train), dev=marked(task.dev))


def tune(pretrained, prepared, task, folder, recipe=QUICK, seed=0, steps=None):
    def on_step(step, loss):
        if steps is not None:
            steps.append(step)

    return finetune(SPEC, pretrained, task, prepared, recipe, seed, folder, CPU, on_step, lambda: False)


def test_a_score_over_several_seeds_is_their_mean_with_its_spread(tmp_path, pretrained, prepared):
    task = prepared.tasks[1]
    one = tune(pretrained, prepared, task, tmp_path / "one")
    assert (one.spread, len(one.seeds), one.rate, one.tried) == (None, 1, QUICK.finetune_rate, ())
    three = tune(pretrained, prepared, task, tmp_path / "three", dataclasses.replace(QUICK, finetune_seeds=3))
    values = [result["accuracy"] for result in three.seeds]
    assert values[0] == one.value
    assert len(set(values)) > 1
    assert three.value == pytest.approx(np.mean(values))
    assert three.spread == pytest.approx(np.std(values, ddof=1))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "three")
    assert judge(model, task, task.dev, CPU).metrics["accuracy"] == values[0], "the saved model is the first seed's"
    kept = json.loads((tmp_path / "three" / "finetuning.json").read_text())
    assert (kept["value"], kept["spread"]) == (three.value, three.spread)
    assert [result["accuracy"] for result in kept["seeds"]] == values
    most = np.bincount(task.train.labels.astype(int)).argmax()
    assert three.baseline.majority == pytest.approx(np.mean(task.dev.labels == most))
    assert three.baseline == one.baseline, "levels are those of the task and not of a seed"
    assert kept["baselines"] == {"accuracy": dataclasses.asdict(three.baseline)}


def test_the_rate_is_chosen_on_held_out_train_examples_within_the_budget(tmp_path, pretrained, prepared, easy):
    steps = []
    found = tune(pretrained, prepared, easy, tmp_path / "tuned", TUNED, steps=steps)
    assert found.rate == 2e-3
    assert [one.rate for one in found.tried] == list(TUNED.tune_rates)
    assert found.tried[2].value is None, "a rate with which the loss diverges is not chosen"
    assert found.tried[1].loss < found.tried[0].loss
    assert TUNED.task_steps == steps[-1] == 3 * 15 + 2 * 20
    assert steps == sorted(steps)
    kept = json.loads((tmp_path / "tuned" / "finetuning.json").read_text())
    assert (kept["rate"], kept["tried"][2]) == (2e-3, {"rate": 1e30, "value": None, "loss": None})
    fixed = tune(pretrained, prepared, easy, tmp_path / "fixed", dataclasses.replace(TUNED, tune_rates=()))
    assert fixed.seeds == found.seeds, "the final training has all train examples and nothing of the tries"


def test_dev_labels_have_no_influence_on_rate_or_model(tmp_path, pretrained, prepared, easy):
    flipped = dataclasses.replace(easy, dev=dataclasses.replace(easy.dev, labels=1 - easy.dev.labels))
    results = [tune(pretrained, prepared, task, tmp_path / str(n), TUNED) for n, task in enumerate((easy, flipped))]
    assert results[0].rate == results[1].rate
    assert results[0].tried == results[1].tried
    assert results[0].value == pytest.approx(1 - results[1].value)
    models = [(tmp_path / str(n) / "model.safetensors").read_bytes() for n in range(2)]
    assert models[0] == models[1]


def test_without_any_rate_that_works_the_task_fails(tmp_path, pretrained, prepared):
    recipe = dataclasses.replace(QUICK, tune_rates=(1e30, 1e31), tune_steps=10)
    with pytest.raises(TrainingFailed, match=r"not a finite number with any of recipe.tune_rates = 1e\+30, 1e\+31"):
        tune(pretrained, prepared, prepared.tasks[0], tmp_path / "none", recipe)
    assert not (tmp_path / "none").exists()


def numbered(labels):
    """Examples of one token each, which is the example's number."""
    labels = np.asarray(labels, dtype=np.float64)
    return EncodedExamples(np.arange(len(labels), dtype=np.uint16), np.arange(len(labels) + 1), labels)


def test_shares_are_nested_and_keep_the_classes(prepared):
    labels = np.random.default_rng(0).choice([0.0, 0.0, 0.0, 1.0, 2.0], 997)
    task = dataclasses.replace(prepared.tasks[0], classes=("a", "b", "c"), train=numbered(labels))
    before: set[int] = set()
    for share in (0.001, 0.1, 0.5, 1.0):
        part = chosen_part(task, dataclasses.replace(QUICK, train_share=share)).train
        ids = set(part.ids.tolist())
        assert before <= ids
        assert np.array_equal(part.labels, labels[part.ids])
        for label in (0, 1, 2):
            assert np.sum(part.labels == label) == np.ceil(share * np.sum(labels == label))
        before = ids
    regression = dataclasses.replace(task, kind=TaskKind.REGRESSION, classes=(), train=numbered(np.arange(100) / 10))
    assert len(chosen_part(regression, dataclasses.replace(QUICK, train_share=0.25)).train) == 25
    other = dataclasses.replace(QUICK, train_share=0.5, task_seed=1)
    assert set(chosen_part(task, other).train.ids.tolist()) != set(
        chosen_part(task, dataclasses.replace(other, task_seed=0)).train.ids.tolist()
    )


def test_what_is_held_out_is_not_trained_on(prepared):
    labels = np.random.default_rng(0).choice([0.0, 1.0], 500)
    rest, held = held_out(dataclasses.replace(prepared.tasks[0], train=numbered(labels)), TUNED)
    assert sorted([*rest.ids.tolist(), *held.ids.tolist()]) == list(range(500))
    assert 50 <= len(held) <= 52
    assert set(held.labels) == {0.0, 1.0}
    many = dataclasses.replace(prepared.tasks[0], train=numbered(np.arange(60_000) % 2))
    assert len(held_out(many, TUNED)[1]) == 2000


@pytest.mark.parametrize(
    ("labels", "kind", "recipe", "message"),
    [
        ([], TaskKind.CLASSIFICATION, QUICK, "no train examples"),
        ([1, 1, 1], TaskKind.CLASSIFICATION, QUICK, "only one class among its 3 train examples"),
        ([2.5] * 4, TaskKind.REGRESSION, QUICK, "only one value among its 4 train examples"),
        (
            np.arange(9),
            TaskKind.REGRESSION,
            dataclasses.replace(QUICK, train_share=0.1),
            "only one value among its 1 train examples",
        ),
        ([0, 1], TaskKind.CLASSIFICATION, TUNED, "no remaining train examples"),
    ],
    ids=["empty", "one class", "one value", "share too small", "nothing to hold out"],
)
def test_data_that_cannot_be_trained_on_fail_before_anything_is_computed(
    tmp_path, prepared, labels, kind, recipe, message
):
    task = dataclasses.replace(prepared.tasks[0], train=numbered(labels), kind=kind)
    broken = dataclasses.replace(prepared, tasks=(prepared.tasks[1], task))
    with pytest.raises(TrainingFailed, match=f"task order: {message}"):
        score(tmp_path / "run", broken, recipe=recipe)
    assert not (tmp_path / "run").exists()


def score(folder, prepared, spec=SPEC, recipe=QUICK, initialise=None):
    return train_and_score(
        spec, prepared, recipe, 0, folder, lambda share, note: None, lambda one: None, lambda: False, "cpu", initialise
    )


def test_single_metrics_are_scores_of_their_own_and_the_task_counts_once(tmp_path, prepared):
    order, pair = prepared.tasks
    paraphrases = dataclasses.replace(pair, name="MRPC", metric=Metric.F1_ACCURACY)
    inference = dataclasses.replace(order, name="MNLI", mismatched=order.dev.take(np.arange(20)))
    both = dataclasses.replace(prepared, tasks=(paraphrases, inference))
    recipe = dataclasses.replace(QUICK, finetune_seeds=2)
    scores = score(tmp_path / "run", both, recipe=recipe)
    values = {one.task: one.value for one in scores}
    assert [(one.task, one.metric) for one in scores] == [
        ("MRPC", "f1_accuracy"),
        ("MRPC/f1", "f1"),
        ("MRPC/accuracy", "accuracy"),
        ("MNLI", "accuracy"),
        ("MNLI/accuracy_matched", "accuracy"),
        ("MNLI/accuracy_mismatched", "accuracy"),
        (MEAN, "mean of 2 tasks"),
    ]
    assert values["MRPC"] == pytest.approx((values["MRPC/f1"] + values["MRPC/accuracy"]) / 2)
    assert values["MNLI"] == pytest.approx((values["MNLI/accuracy_matched"] + values["MNLI/accuracy_mismatched"]) / 2)
    assert values[MEAN] == pytest.approx((values["MRPC"] + values["MNLI"]) / 2)
    assert all(one.fidelity.endswith(", 2 seeds") for one in scores)
    assert [one.spread is None for one in scores] == [False, True, True, False, True, True, True]
    most = np.bincount(paraphrases.train.labels.astype(int)).argmax()
    levels = {one.task: one.majority for one in scores}
    assert levels["MRPC/f1"] == pytest.approx(evaluate(Metric.F1, pair.dev.labels, np.full(len(pair.dev), most))["f1"])
    assert levels["MRPC/accuracy"] == pytest.approx(np.mean(pair.dev.labels == most))
    most = np.bincount(order.train.labels.astype(int)).argmax()
    assert levels["MNLI/accuracy_mismatched"] == pytest.approx(np.mean(order.dev.labels[:20] == most))
    for name in ("majority", "chance"):
        levels = {one.task: getattr(one, name) for one in scores}
        assert levels["MRPC"] == pytest.approx((levels["MRPC/f1"] + levels["MRPC/accuracy"]) / 2)
        assert levels["MNLI"] == pytest.approx(
            (levels["MNLI/accuracy_matched"] + levels["MNLI/accuracy_mismatched"]) / 2
        )
        assert levels[MEAN] == pytest.approx((levels["MRPC"] + levels["MNLI"]) / 2)
    assert score(tmp_path / "run", both, recipe=recipe) == scores


def test_fidelity_shows_share_tuning_and_seeds_only_where_they_are_used():
    assert QUICK.fidelity == "pretrain 30x8x32, finetune 20x8 of 160"
    recipe = dataclasses.replace(TUNED, train_share=0.25)
    assert recipe.fidelity == f"{QUICK.fidelity}, train share 0.25, tune 3x15, 2 seeds"
    assert dataclasses.replace(recipe, tune_rates=()).digest == QUICK.digest
    assert recipe.digest != QUICK.digest


def test_too_little_memory_fails_with_the_reason_and_what_to_do(tmp_path, prepared):
    # The table of relative positions of so long texts takes terabytes, which no machine hands out.
    message = r"^pre-training: out of memory \(.*\). Lower recipe.pretrain_batch or .*choose a smaller architecture"
    with pytest.raises(TrainingFailed, match=message):
        score(tmp_path / "run", dataclasses.replace(prepared, length=10**11))


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
    ids=str,
)
def test_which_errors_mean_that_memory_is_used_up(error, known):
    def work():
        raise error

    assert is_memory(error) is known
    # On a machine whose memory other programs hold, the fault is the machine's.
    remedy = "Lower x|Other programs hold"
    with pytest.raises(TrainingEnded if known else RuntimeError, match=remedy if known else "shapes"):
        guarded("this", "x", work)


def test_a_loss_that_is_not_finite_names_the_task(tmp_path, prepared):
    with pytest.raises(TrainingFailed, match=r"^fine-tuning on order: the loss became (nan|inf) at step \d+ of 20"):
        score(tmp_path / "run", prepared, recipe=dataclasses.replace(QUICK, finetune_rate=1e30))


def test_first_weights_are_handed_on_to_pre_training(tmp_path, prepared):
    called = []

    def initialise(model):
        called.append(type(model).__name__)
        raise TrainingFailed("enough seen")

    with pytest.raises(TrainingFailed, match="pre-training: enough seen"):
        score(tmp_path / "run", prepared, initialise=initialise)
    assert called == ["FlexiBertForMaskedLM"]
