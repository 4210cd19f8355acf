"""Tables of measured shapes in the layout of SuperShaper's published measurements (arXiv 2110.04711).

CSV with a header (or JSON, or JSON lines): widths ``h1 … hL``; ``perplexity`` of masked tokens, or ``mlm_loss``, its
natural logarithm; ``mlm_accuracy`` in percent; every other column that ends with ``_s`` is the latency in seconds on a
machine named by the rest. All cells but the widths may be empty. The scores are those of sub-networks inside one
trained super-network, not of separate trainings. Scores are maximised, so the perplexity is negated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.documents.numbers import percentage
from explorer.documents.separated import TableOptions
from explorer.errors import DataError, SpecError
from explorer.space.backbones import BERT_BASE, Backbone
from explorer.space.imports.mapping import Layout
from explorer.space.imports.raw_tables import raw_table
from explorer.space.imports.rows import (
    MAX_VALUE,
    FoundMeasurement,
    FoundRow,
    FoundScore,
    ReadRows,
    is_missing,
    number,
    short_text,
)

LAYER = re.compile(r"h([1-9]\d*)")
PERPLEXITY, LOSS, ACCURACY, SECONDS = "perplexity", "mlm_loss", "mlm_accuracy", "_s"
UNUSED = frozenset(("", "id", "index", "name", "shape", "parameters", "params"))
"""Columns that are not read and not reported."""
TASK, METRIC = "mlm", "negative perplexity"
LATENCY = "latency"
MAX_LOSS = 100.0
ROUNDING = 0.05
"""Largest relative difference of a perplexity from the exponential of its loss; both may be rounded."""
DEVICES = {"1080ti_bs128": "1080 Ti, batch 128", "ryzen": "Ryzen", "gcp_xeon2core_bs1": "Xeon, 2 cores, batch 1"}
"""Readable names of the machines of the published columns."""


def _positive(field: str, cell: object, most: float, decimal: str | None) -> float:
    value = number(field, cell, 0.0, most, decimal=decimal)
    if value <= 0:
        raise DataError(field, "be above 0", value, "Leave the cell empty if it was not measured.")
    return value


def _score(turn: int, metric: str, value: float) -> FoundScore:
    return FoundScore(
        TASK,
        metric,
        value,
        dataset="SuperShaper's",
        fidelity="inside the super-network",
        recipe="supershaper",
        seed=0,
        source=f"supershaper:{turn}",
    )


def _scores(turn: int, row: Mapping[str, Any], decimal: str | None) -> list[FoundScore]:
    found = []
    if not is_missing(row.get(PERPLEXITY)):
        found.append(_score(turn, METRIC, -_positive(PERPLEXITY, row[PERPLEXITY], MAX_VALUE, decimal)))
    elif not is_missing(row.get(LOSS)):
        found.append(_score(turn, METRIC, -math.exp(_positive(LOSS, row[LOSS], MAX_LOSS, decimal))))
    if not is_missing(row.get(ACCURACY)):
        cell = row[ACCURACY]
        cell = (percentage(cell) or cell) if isinstance(cell, str) else cell
        accuracy = number(ACCURACY, cell, 0.0, 100.0, decimal=decimal)
        found.append(replace(_score(turn, "accuracy", accuracy / 100.0), factor=0.01))
    return found


def _layers(backbone: Backbone) -> list[str]:
    return [f"h{place}" for place in range(1, backbone.layers + 1)]


def _suspicious(turn: int, row: Mapping[str, Any], decimal: str | None) -> tuple[str, ...]:
    """Return a line if a perplexity is not the exponential of its loss."""
    if is_missing(row.get(PERPLEXITY)) or is_missing(row.get(LOSS)):
        return ()
    given = number(PERPLEXITY, row[PERPLEXITY], 0.0, MAX_VALUE, decimal=decimal)
    loss = number(LOSS, row[LOSS], 0.0, MAX_LOSS, decimal=decimal)
    if abs(given - math.exp(loss)) <= ROUNDING * given:
        return ()
    return (f"row {turn}: {PERPLEXITY} is {given:g}, but the exponential of its loss is {math.exp(loss):.5g}",)


def _row(turn: int, row: Mapping[str, Any], backbone: Backbone, decimal: str | None) -> FoundRow:
    layers = _layers(backbone)
    given = [name for name in row if LAYER.fullmatch(name)]
    if sorted(given) != sorted(layers):
        raise DataError("row", f"have widths h1 to h{backbone.layers}", given, "Name one column per layer.")
    widths = [number(name, row[name], 1, MAX_VALUE, decimal=decimal) for name in layers]
    broken = next((width for width in widths if not width.is_integer()), None)
    if broken is not None:
        raise DataError("width", "be a whole number", broken, "Correct the width.")
    try:
        spec = backbone.spec([int(width) for width in widths])
    except SpecError as error:
        raise DataError.of(error) from None
    scores, measured, left_out = _scores(turn, row, decimal), [], []
    for column in (name for name in row if name.endswith(SECONDS)):
        machine = column.removesuffix(SECONDS)
        device = short_text(f"device of column {column}", DEVICES.get(machine, machine.replace("_", " ")))
        if is_missing(row[column]):
            left_out.append(f"row {turn}: {column} is empty and left out")
            continue
        measured.append(FoundMeasurement(device, LATENCY, _positive(column, row[column], MAX_VALUE, decimal), "s"))
    if not scores and not measured:
        rule = f"hold a {PERPLEXITY}, an {LOSS}, or a latency in a column that ends with {SECONDS}"
        raise DataError("row", rule, sorted(row)[:20], "Add what was measured.")
    suspicious = _suspicious(turn, row, decimal)
    return FoundRow(spec, tuple(scores), tuple(measured), tuple(left_out), suspicious=suspicious)


def find_shapes(path: Path, backbone: Backbone = BERT_BASE, options: TableOptions | None = None) -> ReadRows:
    """Read a table row by row.

    Args:
        path: the table.
        backbone: the backbone of the shapes.
        options: what the user says about the table's dialect.

    Raises:
        DataError: the file as a whole cannot be read, or holds no row.
    """
    layouts = {f".{layout}": layout for layout in Layout}
    table = raw_table(path, layouts.get(path.suffix.lower(), Layout.CSV), _layers(backbone), options)
    unread: tuple[str, ...] = ()
    if table.columns is not None:
        given = [name for name in map(_lowered, table.columns) if LAYER.fullmatch(name)]
        if sorted(given) != sorted(_layers(backbone)):
            rule = f"have widths h1 to h{backbone.layers}"
            raise DataError(str(path), rule, list(table.columns)[:20], "Name one column per layer.")
        unread = tuple(name for name in table.columns if not _is_read(_lowered(name)))
    found = table.read(
        lambda turn, row: _row(turn, {_lowered(key): cell for key, cell in row.cells.items()}, backbone, row.decimal)
    )
    note = f"columns {', '.join(unread)} are not read; latencies are in columns NAME{SECONDS}, in seconds"
    return replace(found, left_out=(note, *found.left_out)) if unread else found


def _lowered(name: str) -> str:
    """Return a column's name as the layout has it, where people write capitals; names of machines stay."""
    plain = name.strip().lower()
    return plain if LAYER.fullmatch(plain) or plain in (PERPLEXITY, LOSS, ACCURACY) else name


def _is_read(name: str) -> bool:
    known = LAYER.fullmatch(name) or name in (PERPLEXITY, LOSS, ACCURACY) or name.endswith(SECONDS)
    return bool(known) or name.casefold() in UNUSED
