"""EdgeTran's tables: encoders with an operation per head, measured on seven devices or trained.

Published with "EdgeTran: co-designing Transformers for efficient inference on mobile edge platforms" (Tuli and Jha,
arXiv 2303.13745), as objects with a key for each row.

* ``codesign_dataset.json``: a row's key is ``HASH_DEVICE``; its latency (s), energy (J) and peak power (W) were
  measured. Its ``glue`` and ``pretrain_loss`` are predictions of a fitted model for all but 13 architectures, and the
  file does not say for which. So they are imported only on request, under names that no real score has.
* ``global_search/dataset/dataset.json``: a row's key is ``HASH``; it was trained. ``pretrain`` has the steps and the
  loss of its pre-training; ``glue``, a text, is its mean over GLUE's tasks, or null if it was not fine-tuned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explorer.documents.json_text import load_json
from explorer.documents.numbers import number_text
from explorer.documents.text import read_text
from explorer.documents.values import checked
from explorer.errors import DataError, SpecError
from explorer.space.formats import from_model_dict
from explorer.space.imports.published import HASH, published_number, published_remedy
from explorer.space.imports.rows import (
    FoundMeasurement,
    FoundRow,
    FoundScore,
    ReadRows,
    is_missing,
    read_rows,
)

UNITS = {"latency": "s", "energy": "J", "peak_power": "W"}
"""Measured quantities and their units."""
PREDICTED = {
    "glue": ("glue_predicted", "predicted mean of GLUE tasks", 1.0),
    "pretrain_loss": ("negative_pretrain_loss_predicted", "predicted negative loss", -1.0),
}
"""Predicted values: task, metric, and the sign that makes larger better."""
RANGES = {"glue": (0.0, 1.0), "pretrain_loss": (0.0, 100.0)}
MAX_MEASURED = 1e9
MAX_STEPS = 10**9
KEY = re.compile(rf"({HASH})(?:_([a-z0-9][a-z0-9_-]{{0,59}}))?", re.ASCII)
MEASURED, TRAINED = "EdgeTran's measurements on devices", "EdgeTran's global search: scores of trained encoders"
"""The two tables, for the report."""


def _object(row: Any, key: str) -> Mapping[str, Any]:
    value = row.get(key) if isinstance(row, Mapping) else None
    if not isinstance(value, Mapping):
        raise DataError(key, "be a JSON object", value, "Check the row against the published file.")
    return value


def _predictions(performance: Mapping[str, Any], key: str) -> tuple[FoundScore, ...]:
    found = []
    for field, (task, metric, sign) in PREDICTED.items():
        value = sign * published_number(f"performance.{field}", performance.get(field), *RANGES[field])
        found.append(
            FoundScore(
                task,
                metric,
                value,
                dataset="GLUE" if field == "glue" else "pre-training text",
                fidelity="predicted",
                recipe="edgetran-predicted",
                seed=0,
                source=f"edgetran-predicted:{key}",
            )
        )
    return tuple(found)


def _measurements(key: str, device: str | None, performance: Mapping[str, Any]) -> tuple[FoundMeasurement, ...]:
    if device is None:
        remedy = f"Write for example {key}_a100."
        raise DataError("key", "name a device, because the row has measurements", key, remedy)
    measurements = []
    for quantity, unit in UNITS.items():
        value = published_number(f"performance.{quantity}", performance.get(quantity), 0, MAX_MEASURED)
        if value == 0:
            raise DataError(f"performance.{quantity}", "be above 0", value, "Nothing takes no time, energy or power.")
        measurements.append(FoundMeasurement(device, quantity, value, unit))
    return tuple(measurements)


def _trained(key: str, row: Mapping[str, Any]) -> tuple[tuple[FoundScore, ...], tuple[str, ...]]:
    """Return the scores of a trained encoder, and a line for each that is missing."""
    fidelity, values, left_out = "published", {}, []
    if row.get("pretrain") is None:
        left_out.append(f"{key}: pretrain is empty and left out")
    else:
        pretrain = _object(row, "pretrain")
        steps = published_number("pretrain.steps", pretrain.get("steps"), 0, MAX_STEPS)
        fidelity = f"{number_text(steps)} steps"
        loss = published_number("pretrain.loss", pretrain.get("loss"), 0.0, 100.0)
        values["mlm", "negative loss", "pre-training text"] = -loss
    if is_missing(row.get("glue")):
        left_out.append(f"{key}: glue is empty and left out")
    else:
        values["glue", "mean of GLUE tasks", "GLUE"] = published_number("glue", row["glue"], 0.0, 1.0)
    scores = tuple(
        FoundScore(task, metric, value, dataset, fidelity, recipe="edgetran", seed=0, source=f"edgetran:{key}")
        for (task, metric, dataset), value in values.items()
    )
    return scores, tuple(left_out)


def _row(key: str, row: Any, with_predicted: bool) -> FoundRow:
    parts = KEY.fullmatch(key.lower())
    if parts is None:
        rule = "be 32 or 64 hexadecimal digits, with _ and a device if the row was measured"
        raise DataError("key", rule, key, "Check the row's key against the published file.")
    row = checked(row, "")
    try:
        spec = from_model_dict(_object(row, "model_dict"))
    except SpecError as error:
        raise DataError.of(error) from None
    if row.get("performance") is None and ("pretrain" in row or "glue" in row):
        scores, left_out = _trained(key, row)
        return FoundRow(spec, scores, left_out=left_out, read_as=(TRAINED,))
    if row.get("performance") is None:
        rule = "hold measurements (performance), or scores of a training (pretrain, glue)"
        remedy = "Leave it out; to read scores under other keys, import it as a table of your own."
        raise DataError("row", rule, list(row)[:20], remedy)
    performance = _object(row, "performance")
    measured = _measurements(key, parts[2], performance)
    predicted = _predictions(performance, key) if with_predicted else ()
    return FoundRow(spec, predicted, measured, read_as=(MEASURED,))


def find_edgetran(path: Path, with_predicted: bool = False) -> ReadRows:
    """Read one of the tables row by row, for an import.

    Args:
        path: the published ``codesign_dataset.json``, or ``dataset.json`` of the global search.
        with_predicted: whether to import the predicted ``glue`` and ``pretrain_loss`` too, as scores marked as
            predicted; the loss is negated, so that larger is better.

    Raises:
        DataError: the file is missing, not JSON, or not an object of rows.
    """
    document = load_json(read_text(path), str(path))
    if not isinstance(document, Mapping) or not document:
        remedy = published_remedy(document, path) or "Use the published codesign_dataset.json."
        raise DataError(str(path), "be an object of rows", document, remedy)
    return read_rows(document.items(), lambda _, item: _row(item[0], item[1], with_predicted))
