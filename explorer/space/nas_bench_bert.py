"""NAS-Bench-BERT's table: 500 encoders of the FlexiBERT space, each really trained, with eight GLUE scores.

Published with "Training-free neural architecture search for RNNs and transformers" (Serianni and Kalita, ACL 2023).
Scores are in percent. An accuracy of exactly 0 stands for a run that was lost, not for a result: guessing alone gives
about half. A correlation of 0 (CoLA, STS-B) is what a model gets that learned nothing, so it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.errors import DataError, SpecError
from explorer.space.formats import read_json_file
from explorer.space.spec import ArchitectureSpec, LayerSpec

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
"""Some thirty years: whatever is longer is no time of a training."""

OPERATIONS = {"SA": "sa", "LT": "l", "DSC": "c"}


@dataclass(frozen=True)
class TrainedEncoder:
    """One row of the table.

    Attributes:
        number: the row's own id.
        spec: its architecture.
        scores: task → score from 0 to 1; missing ones are left out.
        missing: names of the tasks (and ``glue``) that are left out.
        seconds: time of its training.
    """

    number: int
    spec: ArchitectureSpec
    scores: Mapping[str, float]
    missing: tuple[str, ...]
    seconds: float


def _get(row: Any, place: str, key: str, kind: type | tuple[type, ...]) -> Any:
    value = row.get(key) if isinstance(row, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, kind):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise DataError(f"{place}.{key}", f"be a {names}", value, "Check the row against the published file.")
    return value


def _layer(row: Any, place: str, hidden: int) -> LayerSpec:
    operation = _get(row, place, "operation_type", str)
    if operation not in OPERATIONS:
        raise DataError(f"{place}.operation_type", "be one of SA, LT, DSC", operation, "Correct the row.")
    parameter = str(_get(row, place, "operation_parameter", (str, int))).lower()
    width, repeats = (_get(row, place, key, int) for key in ("feed_forward_dimension", "num_feed_forward"))
    if not 1 <= repeats <= 8:
        raise DataError(f"{place}.num_feed_forward", "be from 1 to 8", repeats, "Correct the row.")
    heads = _get(row, place, "num_operation_heads", int)
    try:
        return LayerSpec.per_layer(hidden, OPERATIONS[operation], parameter, heads, (width,) * repeats)
    except SpecError as error:
        raise DataError(f"{place}: {error.field}", error.rule, error.value, error.remedy) from None


def _score(row: Any, place: str, task: str) -> float:
    value = _get(row, place, task, (int, float))
    # Only a correlation can be negative. Compared before float(), which has no room for long whole numbers.
    lowest = -100 if "correlation" in METRICS[task] else 0
    if not lowest <= value <= 100:
        raise DataError(f"{place}.{task}", f"be a percentage from {lowest} to 100", value, "Correct the row.")
    return float(value) / 100.0


def _seconds(row: Any, place: str) -> float:
    value = _get(row, place, "time_to_train", (int, float))
    if not 0 <= value <= MAX_SECONDS:
        rule = f"be a time from 0 to {MAX_SECONDS} seconds"
        raise DataError(f"{place}.time_to_train", rule, value, "Correct the row.")
    return float(value)


def _encoder(row: Any, place: str) -> TrainedEncoder:
    number = _get(row, place, "id", int)
    overrides = _get(_get(row, place, "hparams", dict), f"{place}.hparams", "model_hparam_overrides", dict)
    inside = f"{place}.hparams.model_hparam_overrides"
    hidden = _get(overrides, inside, "hidden_size", int)
    layers = _get(_get(overrides, inside, "nas_config", dict), f"{inside}.nas_config", "encoder_layers", list)
    try:
        built = [_layer(layer, f"{place} layer {index}", hidden) for index, layer in enumerate(layers)]
        spec = ArchitectureSpec(tuple(built))
    except SpecError as error:
        raise DataError(f"{place}: {error.field}", error.rule, error.value, error.remedy) from None
    published = _get(row, place, "scores", dict)
    scores = {task: _score(published, f"{place}.scores", task) for task in METRICS}
    missing = tuple(task for task, value in scores.items() if value == 0.0 and "correlation" not in METRICS[task])
    kept = {task: value for task, value in scores.items() if task not in missing}
    if missing:
        missing = (*missing, "glue")
    else:
        kept["glue"] = sum(kept.values()) / len(kept)
    return TrainedEncoder(number, spec, kept, missing, _seconds(row, place))


def read_nas_bench_bert(path: Path) -> list[TrainedEncoder]:
    """Read the whole table; nothing of it counts unless every row is sound.

    ``glue`` is the mean of the eight tasks. A row that misses one has no ``glue``: a mean of seven would not be
    comparable with the others.

    Raises:
        DataError: the file is missing or no JSON, or a row is malformed (which row, which field, what to do).
    """
    document = read_json_file(path)
    if not isinstance(document, list) or not document:
        raise DataError(str(path.name), "be a list of rows", document, "Use the published BERT_benchmark.json.")
    rows = [_encoder(row, f"{path.name} row {index}") for index, row in enumerate(document)]
    numbers: set[int] = set()
    for index, row in enumerate(rows):
        if row.number in numbers:
            raise DataError(f"{path.name} row {index}.id", "be unique", row.number, "Remove the repeated row.")
        numbers.add(row.number)
    return rows
