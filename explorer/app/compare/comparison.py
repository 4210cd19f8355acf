"""Tables of the Compare page: sizes, layers, scores and measurements of a few architectures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from explorer.analysis.comparison import MOST, Row
from explorer.analysis.quantities import quantity_title
from explorer.analysis.tables import score_spread
from explorer.app.shared import frames, services
from explorer.errors import InputError, SpecError
from explorer.library.records import FLOPS_LENGTH
from explorer.measure.size import flops, parameters
from explorer.similarity.graph import architecture_id
from explorer.space.difference import Change
from explorer.space.drafts import read_draft, unpack
from explorer.space.heterogeneity import heterogeneity
from explorer.space.spec import ArchitectureSpec, LayerSpec
from graphstore.queries import MeasurementKey

ABSENT = "– missing"
SHORTEST_TITLE = 8
FIELDS = {
    "operation": ("family", "parameter", "mix"),
    "hidden": ("hidden",),
    "heads": ("heads", "head_size"),
    "feed_forward": ("feed_forward",),
}
"""Parts of a layer's text → fields of the layer difference that they show."""


@dataclass(frozen=True)
class Chosen:
    """An architecture to compare.

    Attributes:
        id: hash of its graph, in the store or not.
        title: title, distinct from those of the others.
        spec: the architecture.
        stored: whether the store has it.
        named: its name in a URL if the store does not know its id; empty for an edited one.
    """

    id: str
    title: str
    spec: ArchitectureSpec
    stored: bool = True
    named: str = ""


def find(text: str, known: pd.DataFrame) -> Chosen:
    """Find the architecture that a visitor means; see ``services.find_architecture``, also for errors."""
    found = services.find_architecture(text, known)
    return Chosen(found.id, found.label, found.spec, found.stored, "" if found.stored else text)


def edited(model: str) -> Chosen:
    """The architecture that the Build page was editing. Raises SpecError if there is none in the text."""
    spec, errors = read_draft(unpack(model))
    if spec is None:
        raise errors[0]
    id = architecture_id(spec)
    return Chosen(id, f"edited ({id[:SHORTEST_TITLE]})", spec, stored=False)


def gather(texts: Sequence[str], model: str, known: pd.DataFrame) -> tuple[list[Chosen], list[str]]:
    """Return the distinct architectures that a URL names, and a sentence for each one that is unavailable.

    Args:
        texts: ids or names.
        model: JSON of an edited architecture, or empty.
        known: as for ``find``.
    """
    found: dict[str, Chosen] = {}
    wrong: list[str] = []
    for text in dict.fromkeys(text.strip() for text in texts[: 10 * MOST]):
        try:
            one = find(text, known) if text else None
        except InputError as error:
            wrong.append(str(error))
            continue
        if one is not None:
            found.setdefault(one.id, one)
    if model:
        try:
            one = edited(model)
            found.setdefault(one.id, one)
        except SpecError as error:
            wrong.append(str(error))
    if len(found) > MOST:
        wrong.append(f"The URL names {len(found)} architectures; the first {MOST} are shown.")
    return _distinct(list(found.values())[:MOST]), wrong


def _distinct(chosen: list[Chosen]) -> list[Chosen]:
    """Return the architectures with full ids as titles where short titles are equal."""
    titles = [one.title for one in chosen]
    return [one if titles.count(one.title) == 1 else dataclasses.replace(one, title=one.id) for one in chosen]


def sizes(chosen: Sequence[Chosen]) -> pd.DataFrame:
    """Return the sizes of each architecture, one column each, indexed by quantity."""
    columns = {
        one.title: [
            one.spec.depth,
            parameters(one.spec, embeddings=False),
            parameters(one.spec),
            flops(one.spec, length=FLOPS_LENGTH),
            round(heterogeneity(one.spec), 4),
        ]
        for one in chosen
    }
    index = pd.Index(["layers", "parameters", "with embeddings", "FLOPs", "heterogeneity"], name="quantity")
    return pd.DataFrame(columns, index=index, dtype=float)


def measurements(chosen: Sequence[Chosen]) -> pd.DataFrame:
    """Return measured values, one column per architecture, indexed by device, quantity and unit; NaN if unknown."""
    store = services.store()
    rows: dict[str, dict[str, float]] = {}
    for one in chosen:
        for record in store.measurements(architecture=one.id):
            title = quantity_title(MeasurementKey(record.device, record.quantity), record.unit)
            rows.setdefault(title, {})[one.title] = record.value
    table = pd.DataFrame.from_dict(rows, orient="index", columns=None if rows else [])
    table = table.reindex(columns=[one.title for one in chosen])
    table.index.name = "quantity"
    return table.sort_index()


def compared(numbers: pd.DataFrame) -> pd.DataFrame:
    """Return numbers as text; columns after the first include their difference from it in per cent."""
    first = numbers.iloc[:, 0]

    def text(value: float, base: float, is_first: bool) -> str:
        if value != value:
            return "–"
        shown = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
        if is_first or base != base or base == 0 or value == base:
            return shown if is_first or value != base else f"{shown} (=)"
        return f"{shown} ({value / base - 1:+.1%})"

    columns = {
        name: [text(float(value), float(base), place == 0) for value, base in zip(column, first, strict=True)]
        for place, (name, column) in enumerate(numbers.items())
    }
    return pd.DataFrame(columns, index=numbers.index)


def score_tables(chosen: Sequence[Chosen]) -> pd.DataFrame:
    """Return the scores of the architectures, ordered by score kind; see ``score_spread``."""
    store = services.store()
    found = [record for one in chosen for record in store.scores(architecture=one.id)]
    scores = frames.scores_frame(found)
    table = score_spread(scores)[["id", "title", "mean", "deviation", "runs", "majority", "chance", "note"]]
    order = {one.title: place for place, one in enumerate(frames.score_kinds(scores))}
    return table.sort_values("title", key=lambda titles: titles.map(order), kind="stable").reset_index(drop=True)


def wide_scores(table: pd.DataFrame, chosen: Sequence[Chosen]) -> pd.DataFrame:
    """Return scores as text, one row per score kind and one column per architecture."""
    rows: dict[str, dict[str, str]] = {}
    titles = {one.id: one.title for one in chosen}
    shown = table[["id", "title", "mean", "deviation", "runs", "note"]]
    for id, title, mean, deviation, count, note in shown.itertuples(index=False):
        spread = f" ± {deviation:.4f} ({count})" if count > 1 else ""
        rows.setdefault(title, {})[titles[id]] = f"{mean:.4f}{spread}" + (f", {note}" if note else "")
    return pd.DataFrame(
        [[row.get(title, "–") for title in titles.values()] for row in rows.values()],
        index=pd.Index(list(rows), name="score"),
        columns=list(titles.values()),
    )


def layer_rows(rows: Sequence[Row], chosen: Sequence[Chosen], marked: bool) -> pd.DataFrame:
    """Return the aligned layers, one column per architecture, indexed by row.

    Args:
        rows: result of ``aligned_layers``.
        chosen: the architectures, in the same order.
        marked: whether differences are bold and coloured, for the page; in a file the symbols suffice.
    """
    columns = {one.title: [_cell(row, place, one.spec, marked) for row in rows] for place, one in enumerate(chosen)}
    return pd.DataFrame(columns, index=pd.RangeIndex(1, len(rows) + 1, name="row"))


def _cell(row: Row, place: int, spec: ArchitectureSpec, marked: bool) -> str:
    cell = row[place]
    if cell is None:
        return _mark(ABSENT, "gray", marked) if row[0] is not None or place == 0 else ABSENT
    parts = _parts(spec.layers[cell.index])
    changed = {field.field for field in cell.fields}
    shown = [
        _mark(f"≠ {text}", "orange", marked) if changed & set(FIELDS[part]) else text for part, text in parts.items()
    ]
    begin = {Change.ADDED: _mark("+ added", "blue", marked), Change.CHANGED: "≠"}.get(cell.change, "=")
    return f"{'' if place == 0 else f'{begin} '}layer {cell.index}: {' · '.join(shown)}"


def _parts(layer: LayerSpec) -> dict[str, str]:
    heads = len(layer.heads)
    operation = f"{layer.family} {layer.parameter}"
    return {
        "operation": operation,
        "hidden": f"hidden {layer.hidden}",
        "heads": f"{heads} head{'s' if heads > 1 else ''}" + ("" if layer.main else f" of {layer.head_size}"),
        "feed_forward": f"feed-forward {frames.stack_text(layer.feed_forward)}",
    }


def _mark(text: str, color: str, marked: bool) -> str:
    return f":{color}-background[**{text}**]" if marked else text
