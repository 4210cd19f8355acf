"""NAS-Bench-BERT's table: 500 trained encoders of the FlexiBERT space, with eight GLUE scores each.

Published with "Training-free neural architecture search for RNNs and transformers" (Serianni and Kalita, ACL 2023).
Scores are in percent. An accuracy of exactly 0 marks a lost run, because guessing alone gives about half. A
correlation of 0 (CoLA, STS-B) is a valid result of a model that learned nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.documents.json_text import load_json
from explorer.documents.text import read_text
from explorer.errors import DataError, SpecError
from explorer.space.imports.rows import FoundRow, FoundScore, ReadRows, number, read_rows
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

OPERATIONS = {"SA": "sa", "LT": "l", "DSC": "c"}


@dataclass(frozen=True)
class TrainedEncoder:
    """One row of the table.

    Attributes:
        number: id of the row.
        spec: its architecture.
        scores: task → score from 0 to 1; missing ones are omitted.
        missing: names of the tasks (and ``glue``) that are omitted.
        seconds: training time.
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


def _score(scores: Any, task: str) -> float:
    value = _get(scores, "scores.", task, (int, float))
    lowest = -100 if "correlation" in METRICS[task] else 0  # Only a correlation can be negative.
    return number(f"scores.{task}", value, lowest, 100, "percentage") / 100.0


def _encoder(row: Any) -> TrainedEncoder:
    identity = _get(row, "", "id", int)
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
        spec = ArchitectureSpec(tuple(built))
    except SpecError as error:
        raise DataError.of(error) from None
    published = _get(row, "", "scores", dict)
    scores = {task: _score(published, task) for task in METRICS}
    missing = tuple(task for task, value in scores.items() if value == 0.0 and "correlation" not in METRICS[task])
    kept = {task: value for task, value in scores.items() if task not in missing}
    if missing:
        missing = (*missing, "glue")
    else:
        kept["glue"] = sum(kept.values()) / len(kept)
    seconds = number("time_to_train", _get(row, "", "time_to_train", (int, float)), 0, MAX_SECONDS)
    return TrainedEncoder(identity, spec, kept, missing, seconds)


def _rows(path: Path) -> ReadRows[TrainedEncoder]:
    document = load_json(read_text(path), str(path))
    if not isinstance(document, list) or not document:
        raise DataError(str(path), "be a list of rows", document, "Use the published BERT_benchmark.json.")
    seen: set[int] = set()

    def convert(_: int, row: Any) -> TrainedEncoder:
        encoder = _encoder(row)
        if encoder.number in seen:
            raise DataError("id", "be unique in the file", encoder.number, "Remove the repeated row.")
        seen.add(encoder.number)
        return encoder

    return read_rows(document, convert)


def _found(row: TrainedEncoder) -> FoundRow:
    scores = tuple(
        FoundScore(
            task,
            METRICS.get(task, f"mean of {len(METRICS)} tasks"),
            value,
            dataset="GLUE",
            fidelity="published",
            recipe="nas-bench-bert",
            seed=0,
            source=f"nas-bench-bert:{row.number}",
            seconds=row.seconds if task == "glue" else 0.0,
        )
        for task, value in row.scores.items()
    )
    lost = ", ".join(task for task in row.missing if task != "glue")
    notes = (
        (f"model {row.number}: {lost} is 0, which means missing; it and the mean glue are left out",) if lost else ()
    )
    return FoundRow(row.spec, scores, left_out=notes)


def find_nas_bench_bert(path: Path) -> ReadRows[FoundRow]:
    """Read the table row by row, for an import.

    ``glue`` is the mean of the eight tasks. A row that misses one has no ``glue``: a mean of seven would not be
    comparable with the others.

    Raises:
        DataError: the file is missing, not JSON, or not a list of rows.
    """
    rows = _rows(path)
    return ReadRows(tuple((turn, _found(row)) for turn, row in rows.valid), rows.refused)
