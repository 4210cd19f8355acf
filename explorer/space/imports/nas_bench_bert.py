"""NAS-Bench-BERT's tables: trained encoders of the FlexiBERT space, with eight GLUE scores each.

Published with "Training-free neural architecture search for RNNs and transformers" (Serianni and Kalita, ACL 2023).
``BERT_benchmark.json`` has 500 encoders, each pre-trained for 100,000 steps. ``BERT_benchmark_train_ablation.json`` has
some of them after every 50,000 steps of a training of 1,000,000: the same rows, with the scores nested by step.

Scores are in percent. An accuracy of exactly 0 marks a lost run, because guessing alone gives about half. A
correlation of 0 (CoLA, STS-B) is a valid result of a model that learned nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer.documents.json_text import load_json
from explorer.documents.text import read_text
from explorer.documents.values import MAX_DIGITS
from explorer.errors import DataError, SpecError
from explorer.space.imports.published import published_number, published_remedy
from explorer.space.imports.rows import MAX_VALUE, FoundRow, FoundScore, ReadRows, read_rows
from explorer.space.spec import MAX_LAYERS, MAX_STACK, ArchitectureSpec, LayerSpec

METRICS = {
    "cola": "matthews_correlation",
    "mnli": "accuracy",
    "mrpc": "accuracy_f1_mean",
    "qnli": "accuracy",
    "qqp": "accuracy_f1_mean",
    "rte": "accuracy",
    "sst": "accuracy",
    "sts": "correlation_mean",
}
"""The eight tasks with GLUE's metrics; the table itself does not name them."""

MAX_SECONDS = 1_000_000_000
"""Some thirty years; a longer training time is an error."""

ROW_KEYS = frozenset(("id", "scores", "hparams"))
"""Keys that every row has."""
OPERATIONS = {"SA": "sa", "LT": "l", "DSC": "c"}


MEAN = "glue"
"""The mean of the eight tasks."""
NAME, ABLATION = "nas-bench-bert", "nas-bench-bert-ablation"
"""Recipes of the two tables; with a row's id they are also the source of its scores."""
MEAN_ERROR = 0.02
"""Largest difference of a published mean from the mean of its tasks, in percentage points; they are rounded."""


def _get(row: Any, place: str, key: str, kind: type | tuple[type, ...]) -> Any:
    value = row.get(key) if isinstance(row, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, kind):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise DataError(f"{place}{key}", f"be a {names}", value, "Check the row against the published file.")
    return value


def _layer(row: Any, place: str, hidden: int) -> LayerSpec:
    operation = _get(row, place, "operation_type", str)
    if operation not in OPERATIONS:
        raise DataError(f"{place}operation_type", "be one of SA, LT, DSC", operation, "Correct the row.")
    parameter = str(_get(row, place, "operation_parameter", (str, int))).lower()
    width, repeats = (_get(row, place, key, int) for key in ("feed_forward_dimension", "num_feed_forward"))
    if not 1 <= repeats <= MAX_STACK:
        raise DataError(f"{place}num_feed_forward", f"be from 1 to {MAX_STACK}", repeats, "Correct the row.")
    heads = _get(row, place, "num_operation_heads", int)
    try:
        return LayerSpec.per_layer(hidden, OPERATIONS[operation], parameter, heads, (width,) * repeats)
    except SpecError as error:
        raise DataError.of(error, place.removesuffix(": ")) from None


def _scores_by_step(scores: Mapping[str, Any]) -> dict[int | None, Mapping[str, Any]]:
    """Return scores by task for each training step; the step is ``None`` where the scores are not nested."""
    nested = [value for value in scores.values() if isinstance(value, Mapping)]
    if not nested:
        return {None: scores}
    steps = all(key.isascii() and key.isdigit() and len(key) <= MAX_DIGITS for key in scores)
    if len(nested) == len(scores) and steps:
        return {int(step): found for step, found in scores.items()}
    if len(nested) == len(scores) and scores.keys() <= {*METRICS, MEAN}:
        every = dict.fromkeys(step for found in nested for step in found)
        by_step = {step: {task: found[step] for task, found in scores.items() if step in found} for step in every}
        return _scores_by_step(by_step)
    rule = "hold scores by task, or by training step and task"
    raise DataError("scores", rule, list(scores)[:20], "Check the row against the published file.")


@dataclass(frozen=True)
class _Evaluated:
    """The scores of an encoder, all of one training step.

    Attributes:
        step: the step, or ``None`` for the end of the usual training.
        scores: task → score from 0 to 1; missing ones are omitted.
        left_out: the lost tasks, in a sentence; empty if there is none.
        suspicious: what is wrong with the published mean, in a sentence; empty if nothing is.
    """

    step: int | None
    scores: Mapping[str, float]
    left_out: str
    suspicious: str

    @property
    def at(self) -> str:
        """The step, for a sentence."""
        return "" if self.step is None else f" after {self.step} steps"


def _evaluated(step: int | None, published: Mapping[str, Any]) -> _Evaluated:
    place = "scores" if step is None else f"scores.{step}"
    percent = {}
    for task, metric in METRICS.items():
        lowest = -100 if "correlation" in metric else 0  # Only a correlation can be negative.
        percent[task] = published_number(f"{place}.{task}", published.get(task), lowest, 100, "percentage")
    mean = sum(percent.values()) / len(percent)
    suspicious = ""
    if MEAN in published:
        given = published_number(f"{place}.{MEAN}", published[MEAN], -MAX_VALUE, MAX_VALUE)
        if abs(given - mean) > MEAN_ERROR:
            suspicious = f"{MEAN} is {given:g}, but the mean of its tasks is {mean:.5g}, which is taken"
    lost = [task for task, value in percent.items() if value == 0.0 and "correlation" not in METRICS[task]]
    scores = {task: value / 100.0 for task, value in percent.items() if task not in lost}
    if lost:
        left_out = f"{', '.join(lost)} is 0, which means missing; it and the mean {MEAN} are left out"
        return _Evaluated(step, scores, left_out, suspicious)
    return _Evaluated(step, {**scores, MEAN: sum(scores.values()) / len(scores)}, "", suspicious)


def _architecture(row: Any) -> ArchitectureSpec:
    overrides = _get(_get(row, "", "hparams", dict), "hparams.", "model_hparam_overrides", dict)
    inside = "hparams.model_hparam_overrides."
    hidden = _get(overrides, inside, "hidden_size", int)
    layers = _get(_get(overrides, inside, "nas_config", dict), f"{inside}nas_config.", "encoder_layers", list)
    if len(layers) > MAX_LAYERS:
        raise DataError(
            f"{inside}nas_config.encoder_layers", f"be 1 to {MAX_LAYERS} layers", len(layers), "Shorten it."
        )
    built = [_layer(layer, f"layer {index}: ", hidden) for index, layer in enumerate(layers)]
    try:
        return ArchitectureSpec(tuple(built))
    except SpecError as error:
        raise DataError.of(error) from None


def _found(identity: int, row: Any) -> tuple[FoundRow, tuple[int, ...]]:
    """Return a row, and the training steps that its scores are nested by."""
    spec, published = _architecture(row), _get(row, "", "scores", dict)
    seconds = published_number("time_to_train", _get(row, "", "time_to_train", (int, float)), 0, MAX_SECONDS)
    filled = {key: scores for key, scores in published.items() if scores not in (None, {})}
    if not filled:
        return FoundRow(spec, left_out=(f"model {identity}: it has no scores",)), ()
    evaluated = [_evaluated(step, scores) for step, scores in _scores_by_step(filled).items()]
    steps = tuple(one.step for one in evaluated if one.step is not None)
    last = max(steps, default=None)
    name = ABLATION if steps else NAME
    scores = tuple(
        FoundScore(
            task,
            METRICS.get(task, f"mean of {len(METRICS)} tasks"),
            value,
            dataset="GLUE",
            fidelity="published" if one.step is None else f"{one.step} steps",
            recipe=name,
            seed=0,
            source=f"{name}:{identity}",
            seconds=seconds if task == MEAN and one.step == last else 0.0,
            factor=0.01,
        )
        for one in evaluated
        for task, value in one.scores.items()
    )
    left_out = tuple(f"model {identity}{one.at}: {one.left_out}" for one in evaluated if one.left_out)
    if steps:
        left_out += tuple(f"model {identity}: {key} has no scores" for key in published if key not in filled)
    suspicious = tuple(f"model {identity}{one.at}: {one.suspicious}" for one in evaluated if one.suspicious)
    return FoundRow(spec, scores, left_out=left_out, suspicious=suspicious), steps


def _is_row(row: object) -> bool:
    return isinstance(row, Mapping) and row.keys() >= ROW_KEYS


def find_nas_bench_bert(path: Path) -> ReadRows:
    """Read one of the tables row by row, for an import.

    ``glue`` is the mean of the eight tasks. A row that misses one has no ``glue``: a mean of seven would not be
    comparable with the others.

    Raises:
        DataError: the file is missing, not JSON, or not a list of rows.
    """
    document = load_json(read_text(path), str(path))
    if isinstance(document, Mapping) and document.keys() >= ROW_KEYS:
        document = [document]
    elif isinstance(document, Mapping) and document and all(_is_row(row) for row in document.values()):
        document = list(document.values())
    if not isinstance(document, list) or not document:
        remedy = published_remedy(document, path) or "Use the published BERT_benchmark.json."
        raise DataError(str(path), "be a list of rows", document, remedy)
    identities: set[int] = set()
    steps: set[int] = set()

    def convert(_: int, row: Any) -> FoundRow:
        identity = _get(row, "", "id", int)
        found, nested = _found(identity, row)
        if identity in identities:
            raise DataError("id", "be unique in the file", identity, "Remove the repeated row.")
        identities.add(identity)
        steps.update(nested)
        return found

    rows = read_rows(document, convert)
    if not steps:
        return replace(rows, read_as=("NAS-Bench-BERT's table of trained encoders",))
    span = f"{len(steps)} fidelities from {min(steps)} steps to {max(steps)} steps"
    return replace(rows, read_as=(f"NAS-Bench-BERT's ablation of training steps: {span}",))
