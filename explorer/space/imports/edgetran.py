"""EdgeTran's ``codesign_dataset.json``: encoders with an operation per head, measured on seven devices.

Published with "EdgeTran: co-designing Transformers for efficient inference on mobile edge platforms" (Tuli and Jha,
arXiv 2303.13745). A row's key is ``HASH_DEVICE``; its latency (s), energy (J) and peak power (W) were measured. Its
``glue`` and ``pretrain_loss`` are predictions of a fitted model for all but 13 architectures, and the file does not say
for which. So they are imported only on request, under names that no real score has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explorer.documents.json_text import load_json
from explorer.documents.text import read_text
from explorer.documents.values import checked
from explorer.errors import DataError, SpecError
from explorer.space.formats import from_model_dict
from explorer.space.imports.rows import FoundMeasurement, FoundRow, FoundScore, ReadRows, number, read_rows

UNITS = {"latency": "s", "energy": "J", "peak_power": "W"}
"""Measured quantities and their units."""
PREDICTED = {
    "glue": ("glue_predicted", "predicted mean of GLUE tasks", 1.0),
    "pretrain_loss": ("negative_pretrain_loss_predicted", "predicted negative loss", -1.0),
}
"""Predicted values: task, metric, and the sign that makes larger better."""
RANGES = {"glue": (0.0, 1.0), "pretrain_loss": (0.0, 100.0)}
MAX_MEASURED = 1e9
KEY = re.compile(r"([0-9a-f]{32})_([a-z0-9][a-z0-9_-]{0,59})", re.ASCII)


def _object(row: Any, key: str) -> Mapping[str, Any]:
    value = row.get(key) if isinstance(row, Mapping) else None
    if not isinstance(value, Mapping):
        raise DataError(key, "be a JSON object", value, "Check the row against the published file.")
    return value


def _predictions(performance: Mapping[str, Any], key: str) -> tuple[FoundScore, ...]:
    found = []
    for field, (task, metric, sign) in PREDICTED.items():
        value = sign * number(f"performance.{field}", performance.get(field), *RANGES[field])
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


def _row(key: str, row: Any, with_predicted: bool) -> FoundRow:
    parts = KEY.fullmatch(key)
    if parts is None:
        raise DataError("key", "be 32 hexadecimal digits, _ and a device", key, "Check the row's key.")
    device = parts[2]
    row = checked(row, "")
    try:
        spec = from_model_dict(_object(row, "model_dict"))
    except SpecError as error:
        raise DataError.of(error) from None
    performance = _object(row, "performance")
    measurements = []
    for quantity, unit in UNITS.items():
        value = number(f"performance.{quantity}", performance.get(quantity), 0, MAX_MEASURED)
        if value == 0:
            raise DataError(f"performance.{quantity}", "be above 0", value, "Nothing takes no time, energy or power.")
        measurements.append(FoundMeasurement(device, quantity, value, unit))
    return FoundRow(spec, _predictions(performance, key) if with_predicted else (), tuple(measurements))


def find_edgetran(path: Path, with_predicted: bool = False) -> ReadRows[FoundRow]:
    """Read the table row by row, for an import.

    Args:
        path: the published ``codesign_dataset.json``.
        with_predicted: whether to import the predicted ``glue`` and ``pretrain_loss`` too, as scores marked as
            predicted; the loss is negated, so that larger is better.

    Raises:
        DataError: the file is missing, not JSON, or not an object of rows.
    """
    document = load_json(read_text(path), str(path))
    if not isinstance(document, Mapping) or not document:
        raise DataError(str(path), "be an object of rows", document, "Use the published codesign_dataset.json.")
    return read_rows(document.items(), lambda _, item: _row(item[0], item[1], with_predicted))
