"""Transfer of a layer's heads: those of equal operation are matched, whatever the others of their layer do.

Equal operations form one group in both layers. Heads of one size are matched in order; where one layer has more, they
repeat (with transport and projection) or stay fresh (ordered). Where a group has the same width cut into another
number of heads, values keep their places, and each head attends as the donor's head did that its values come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from explorer.models.transfer.fitting import Fitting
from explorer.models.transfer.maps import SAME, AxisMap, Side, blocks, joined, leading, same
from explorer.space.spec import Family, LayerSpec


@dataclass(frozen=True)
class Place:
    """A group of equal heads in its layer: the operation, how many heads, and where their outputs begin."""

    operation: str
    family: Family
    heads: int
    start: int


def places(spec: LayerSpec) -> list[Place]:
    """The groups of a layer, in the order of their outputs."""
    found, start = [], 0
    for head, equal in groupby(spec.heads):
        count = len(list(equal))
        found.append(Place(f"{head.family}_{head.parameter}", head.family, count, start))
        start += count * head.size
    return found


class HeadsFitting:
    """Transfer of the heads of one layer.

    Args:
        fitting: the transfer.
        prefix: name of the layer.
        new: the recipient's layer.
        old: the donor's layer.
        stream: map of the stream that the heads read.
    """

    def __init__(self, fitting: Fitting, prefix: str, new: LayerSpec, old: LayerSpec, stream: AxisMap) -> None:
        self._fitting, self._prefix, self._new, self._old, self._stream = fitting, prefix, new, old, stream
        counterparts = {place.operation: place for place in places(old)}
        self._pairs = [(place, counterparts.get(place.operation)) for place in places(new)]
        self._size = self._size_map()

    @property
    def note(self) -> str:
        """How many of the recipient's heads have a counterpart."""
        found = 0
        for place, other in self._pairs:
            if other is not None:
                had = other.heads * self._old.head_size // self._new.head_size
                found += min(place.heads, had) if self._fitting.ordered else place.heads
        return f"{found} of {len(self._new.heads)} heads have a counterpart"

    def fit(self) -> Side:
        """Fill the heads; returns the side by which the layer's output projection reads them."""
        name = f"{self._prefix}.distances.weight"
        table = self._fitting.old.get(name)
        if table is not None and name in self._fitting.own:
            rows, had = len(self._fitting.own[name]), len(table)
            # Distance 0 stands in the middle of both tables.
            positions = leading(rows, had, shift=(had - rows) // 2)
            self._fitting.put(name, table, positions.out, self._size.into.scaled(self._key_scale))
        parts: list[tuple[AxisMap | None, int, int]] = []
        for place, other in self._pairs:
            value = None if other is None else self._group(place, other)
            parts.append((value, place.heads * self._new.head_size, other.start if other else 0))
        return joined(parts, len(self._old.heads) * self._old.head_size)

    @property
    def _key_scale(self) -> float:
        # Scores are divided by the root of the head size, which has changed.
        return 1.0 if self._fitting.ordered else float((self._new.head_size / self._old.head_size) ** 0.5)

    def _sources(self, new: int, old: int) -> list[int]:
        if new * self._new.head_size == old * self._old.head_size:
            return [head * old // new for head in range(new)]
        return [head % old for head in range(new)]

    def _rows(self, name: str, place: Place, other: Place) -> tuple[Tensor, Tensor] | None:
        """Rows of a Linear of a group by head, ``[heads, size, inputs]``: the donor's for each of the recipient's."""
        key = f"{self._prefix}.heads.{place.operation}.{name}.weight"
        if key not in self._fitting.old or key not in self._fitting.own:
            return None
        old = self._stream.into.apply(self._fitting.old[key], 1).unflatten(0, (other.heads, -1))
        own = self._fitting.own[key].unflatten(0, (place.heads, -1))
        return old[self._sources(place.heads, other.heads)], own

    def _size_map(self) -> AxisMap:
        """The map within heads that all queries and keys of the layer share, as they share the distances."""
        old_rows, own_rows = [], []
        for place, other in self._pairs:
            for name in ("query", "key"):
                found = self._rows(name, place, other) if other and place.family is not Family.CONVOLUTION else None
                if found is not None:
                    old_rows.append(found[0].transpose(0, 1).flatten(1))
                    own_rows.append(found[1].transpose(0, 1).flatten(1))
        if not old_rows:
            return leading(self._new.head_size, self._old.head_size)
        return self._fitting.axis(torch.cat(old_rows, 1), torch.cat(own_rows, 1))

    def _group(self, place: Place, other: Place) -> AxisMap:
        """Fill the heads of one operation; returns the map of their outputs."""
        fitting, prefix = self._fitting, f"{self._prefix}.heads.{place.operation}"
        value = self._values(place, other)
        query = self._flat(place, other, [self._size] * place.heads)
        keys = self._keys(place, other) if place.family is Family.CONVOLUTION else query
        heads = self._heads(place, other)
        into = self._stream.into
        for name in ("query", "pointwise"):
            fitting.linear(f"{prefix}.{name}", keys.out, into)
        fitting.linear(f"{prefix}.key", query.into.scaled(self._key_scale), into)
        for name in ("value", "input"):
            fitting.linear(f"{prefix}.{name}", value.out, into)
        fitting.put(f"{prefix}.depthwise.weight", fitting.old.get(f"{prefix}.depthwise.weight"), self._stream.gain)
        weight = fitting.old.get(f"{prefix}.weight")
        if place.family is Family.CONVOLUTION and weight is not None:
            # Heads and sizes, the first two axes, were fitted together as the rows of the queries.
            fitting.put(f"{prefix}.weight", weight, keys.into, flat=True)
            fitting.put(f"{prefix}.bias", fitting.old[f"{prefix}.bias"], heads)
        elif weight is not None:
            self._multiplicative(f"{prefix}.weight", weight, heads, other.heads)
        return value

    def _multiplicative(self, name: str, weight: Tensor, heads: Side, had: int) -> None:
        """The matrix W of ``q W kᵀ``: one per layer in the per-layer form, else one per head."""
        between = self._size.into, self._size.out
        if self._fitting.own[name].dim() == 2:
            self._fitting.put(name, weight if weight.dim() == 2 else weight.mean(0), *between)
        else:
            self._fitting.put(name, weight if weight.dim() == 3 else weight.expand(had, -1, -1), heads, *between)

    def _flat(self, place: Place, other: Place, parts: Sequence[AxisMap], divided: bool = False) -> AxisMap:
        """The axis ``heads × size`` of a group from maps within its heads."""
        if self._fitting.ordered:
            return leading(place.heads * self._new.head_size, other.heads * self._old.head_size)
        return blocks(self._sources(place.heads, other.heads), parts, other.heads, divided)

    def _values(self, place: Place, other: Place) -> AxisMap:
        new, old = self._new.head_size, self._old.head_size
        kept = new == old and (place.family is Family.LINEAR or not self._fitting.fusing)
        if not kept and place.heads * new == other.heads * old and not self._fitting.fusing:
            return same(place.heads * new)
        found = None if kept else self._rows("value", place, other)
        if found is None:
            # The order of features has a meaning to a transform.
            return self._flat(place, other, [leading(new, old)] * place.heads, divided=True)
        parts = [self._fitting.axis(*rows) for rows in zip(*found, strict=True)]
        return self._flat(place, other, parts, divided=True)

    def _keys(self, place: Place, other: Place) -> AxisMap:
        """The axis of a convolution's queries and separable keys, which are multiplied one by one."""
        found = [rows for name in ("query", "pointwise") if (rows := self._rows(name, place, other)) is not None]
        olds, owns = (torch.cat(rows, 2) for rows in zip(*found, strict=True))
        return self._flat(place, other, [self._fitting.axis(*rows) for rows in zip(olds, owns, strict=True)])

    def _heads(self, place: Place, other: Place) -> Side:
        if self._fitting.ordered:
            return leading(place.heads, other.heads).out
        sources = self._sources(place.heads, other.heads)
        if sources == list(range(other.heads)):
            return SAME
        matrix = torch.zeros(place.heads, other.heads, dtype=torch.float64)
        matrix[torch.arange(place.heads), sources] = 1
        return Side(matrix)
