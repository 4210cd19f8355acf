"""The difference of two architectures, layer by layer: which layers match, and which were changed, added or removed.

The two sequences of layers are aligned by an edit distance: a changed field of a layer costs 1, an added or removed
layer costs 5, and the cheapest alignment is shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from explorer.space.spec import ArchitectureSpec, LayerSpec

LAYER_COST = 5
"""Cost of adding or removing a layer; a changed field costs 1."""

Value = str | int | tuple[int, ...]

TITLES = {
    "family": "family",
    "parameter": "parameter",
    "mix": "operations of the heads",
    "hidden": "hidden size",
    "heads": "heads",
    "head_size": "head size",
    "feed_forward": "feed-forward",
    "backbone": "backbone",
}


class Change(StrEnum):
    """Edit of a layer from the first architecture to the second."""

    SAME = "same"
    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True)
class FieldChange:
    """A field of a layer with its value in the first and in the second architecture."""

    field: str
    first: Value
    second: Value

    @property
    def words(self) -> str:
        """For example ``hidden size 32 to 64``."""
        return f"{TITLES[self.field]} {_shown(self.first)} to {_shown(self.second)}"


@dataclass(frozen=True)
class LayerStep:
    """One row of the alignment.

    Attributes:
        change: the kind of edit.
        first, second: index of the layer from 0 in each architecture, or ``None`` where it has no such layer.
        fields: the fields that changed, for a changed layer.
        words: the row as a sentence.
    """

    change: Change
    first: int | None
    second: int | None
    fields: tuple[FieldChange, ...]
    words: str


@dataclass(frozen=True)
class Difference:
    """The cheapest alignment of two architectures' layers, input to output.

    Attributes:
        cost: cost of the alignment, plus 1 if the backbones differ; 0 for equal architectures.
        steps: the rows of the alignment.
        backbone: the change of the backbone's width, if any (``none`` means without backbone).
    """

    cost: int
    steps: tuple[LayerStep, ...]
    backbone: FieldChange | None = None


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        alike = len(value) > 1 and len(set(value)) == 1
        return f"{len(value)} × {value[0]}" if alike else ", ".join(str(width) for width in value)
    return str(value)


def _mix(layer: LayerSpec) -> str:
    counts = Counter(f"{head.family}_{head.parameter}" for head in layer.heads)
    return " + ".join(f"{count} × {name}" for name, count in sorted(counts.items()))


def layer_words(layer: LayerSpec) -> str:
    """Describe a layer in one phrase, for example ``c 5, hidden size 64, 2 heads, feed-forward 3 × 128``."""
    operation = f"{layer.family} {layer.parameter}" if layer.main else f"{_mix(layer)} of size {layer.head_size}"
    heads = f"{len(layer.heads)} head" + ("s" if len(layer.heads) > 1 else "")
    return f"{operation}, hidden size {layer.hidden}, {heads}, feed-forward {_shown(layer.feed_forward)}"


def changed_fields(first: LayerSpec, second: LayerSpec) -> tuple[FieldChange, ...]:
    """Return the fields in which two layers differ; empty exactly if the layers are equal."""
    pairs: list[tuple[str, Value, Value]] = [
        ("family", first.family, second.family),
        ("parameter", first.parameter, second.parameter),
        ("hidden", first.hidden, second.hidden),
        ("heads", len(first.heads), len(second.heads)),
        ("feed_forward", first.feed_forward, second.feed_forward),
    ]
    if first.main is None or second.main is None:
        # Family and parameter do not tell the number and size of the heads of each operation in a mixed layer.
        pairs[2:2] = [("mix", _mix(first), _mix(second))]
        pairs.append(("head_size", first.head_size, second.head_size))
    return tuple(FieldChange(*pair) for pair in pairs if pair[1] != pair[2])


def difference(first: ArchitectureSpec, second: ArchitectureSpec) -> Difference:
    """Align two architectures layer by layer, as cheaply as possible.

    Among several cheapest alignments, choose the one that pairs layers as early as possible.
    """
    ones, twos = first.layers, second.layers
    between = [[changed_fields(one, two) for two in twos] for one in ones]
    # cost[i][j]: cheapest way from layer i of the first and layer j of the second to both ends.
    cost = [[LAYER_COST * (len(ones) - i + len(twos) - j) for j in range(len(twos) + 1)] for i in range(len(ones) + 1)]
    for i in reversed(range(len(ones))):
        for j in reversed(range(len(twos))):
            pair = len(between[i][j]) + cost[i + 1][j + 1]
            cost[i][j] = min(pair, LAYER_COST + cost[i + 1][j], LAYER_COST + cost[i][j + 1])
    steps = []
    i = j = 0
    while i < len(ones) or j < len(twos):
        here = cost[i][j]
        if i < len(ones) and j < len(twos) and here == len(between[i][j]) + cost[i + 1][j + 1]:
            steps.append(_pair(i, j, between[i][j], ones[i]))
            i, j = i + 1, j + 1
        elif i < len(ones) and here == LAYER_COST + cost[i + 1][j]:
            steps.append(LayerStep(Change.REMOVED, i, None, (), f"layer {i} is removed: {layer_words(ones[i])}"))
            i += 1
        else:
            steps.append(LayerStep(Change.ADDED, None, j, (), f"layer {j} is added: {layer_words(twos[j])}"))
            j += 1
    if first.backbone == second.backbone:
        return Difference(cost[0][0], tuple(steps))
    backbone = FieldChange("backbone", first.backbone or "none", second.backbone or "none")
    return Difference(cost[0][0] + 1, tuple(steps), backbone)


def _pair(i: int, j: int, fields: tuple[FieldChange, ...], layer: LayerSpec) -> LayerStep:
    place = f"layer {i}" if i == j else f"layer {i}, now layer {j},"
    if not fields:
        return LayerStep(Change.SAME, i, j, (), f"{place} stays: {layer_words(layer)}")
    return LayerStep(Change.CHANGED, i, j, fields, f"{place} changes: {'; '.join(field.words for field in fields)}")
