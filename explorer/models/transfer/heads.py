"""Transfer of a layer's heads: heads of equal operation are matched, independently of the rest of their layer.

Heads of equal operation form one group in both layers. Heads of one size are matched in order; where one layer has
more, they repeat (with transport and projection) or stay fresh (ordered). Where a group has the same width split into
another number of heads, values keep their positions, and each head attends like the donor's head that its values come
from.

Each operation declares what the axes of its parameters are indexed by (``Heads.axes``); every kind of axis is mapped
here, once for all operations.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from explorer.models.flexibert.modeling_flexibert import Axis, Heads, heads_class
from explorer.models.transfer.fitting import Fitting
from explorer.models.transfer.maps import SAME, AxisMap, Side, blocks, joined, leading, same
from explorer.space.spec import LayerSpec


@dataclass(frozen=True)
class Place:
    """A group of equal heads in its layer: the operation, the number of heads, and the offset of their outputs."""

    operation: str
    heads: int
    start: int

    @property
    def kind(self) -> type[Heads]:
        """The class of the operation."""
        return heads_class(self.operation)

    def names(self, axes: Collection[Axis]) -> list[str]:
        """Return the weights whose first axis is one of these kinds."""
        return [name for name, own in self.kind.axes.items() if own[0] in axes and name.endswith(".weight")]


def places(spec: LayerSpec) -> list[Place]:
    """Return the groups of a layer, in the order of their outputs."""
    found, start = [], 0
    for head, equal in groupby(spec.heads):
        count = len(list(equal))
        found.append(Place(f"{head.family}_{head.parameter}", count, start))
        start += count * head.size
    return found


class HeadsFitting:
    """Transfer of the heads of one layer.

    Args:
        fitting: the transfer.
        prefix: name of the layer.
        new: the recipient's layer.
        old: the donor's layer.
        stream: map of the residual stream that the heads read.
    """

    def __init__(self, fitting: Fitting, prefix: str, new: LayerSpec, old: LayerSpec, stream: AxisMap) -> None:
        self._fitting, self._prefix, self._new, self._old, self._stream = fitting, prefix, new, old, stream
        counterparts = {place.operation: place for place in places(old)}
        self._pairs = [(place, counterparts.get(place.operation)) for place in places(new)]
        self._size = self._size_map()

    @property
    def note(self) -> str:
        """Text on how many of the recipient's heads have a counterpart."""
        found = 0
        for place, other in self._pairs:
            if other is not None:
                had = other.heads * self._old.head_size // self._new.head_size
                found += min(place.heads, had) if self._fitting.ordered else place.heads
        return f"{found} of {len(self._new.heads)} heads have a counterpart"

    def fit(self) -> Side:
        """Fill the heads; return the side by which the layer's output projection reads them."""
        name = f"{self._prefix}.distances.weight"
        table = self._fitting.old.get(name)
        if table is not None and name in self._fitting.own:
            rows, had = len(self._fitting.own[name]), len(table)
            # Distance 0 is in the middle of both tables.
            positions = leading(rows, had, shift=(had - rows) // 2)
            self._fitting.put(name, table, positions.out, self._size.into.scaled(self._key_scale))
        parts: list[tuple[AxisMap | None, int, int]] = []
        for place, other in self._pairs:
            value = None if other is None else self._group(place, other)
            parts.append((value, place.heads * self._new.head_size, other.start if other else 0))
        return joined(parts, len(self._old.heads) * self._old.head_size)

    @property
    def _key_scale(self) -> float:
        # Scores are divided by the square root of the head size, which differs between the two.
        return 1.0 if self._fitting.ordered else float((self._new.head_size / self._old.head_size) ** 0.5)

    def _sources(self, new: int, old: int) -> list[int]:
        if new * self._new.head_size == old * self._old.head_size:
            return [head * old // new for head in range(new)]
        return [head % old for head in range(new)]

    def _rows(self, name: str, place: Place, other: Place) -> tuple[Tensor, Tensor] | None:
        """Return the rows of a Linear of a group by head, ``[heads, size, inputs]``, of donor and recipient.

        The donor's are those of the counterparts of the recipient's heads; ``None`` if either has no such Linear.
        """
        key = f"{self._prefix}.heads.{place.operation}.{name}"
        if key not in self._fitting.old or key not in self._fitting.own:
            return None
        old = self._stream.into.apply(self._fitting.old[key], 1).unflatten(0, (other.heads, -1))
        own = self._fitting.own[key].unflatten(0, (place.heads, -1))
        return old[self._sources(place.heads, other.heads)], own

    def _size_map(self) -> AxisMap:
        """Fit the map within heads that all queries and keys of the layer share, because they share the distances."""
        old_rows, own_rows = [], []
        for place, other in self._pairs:
            for name in place.names((Axis.QUERIES, Axis.KEYS)) if other else ():
                found = self._rows(name, place, other) if other else None
                if found is not None:
                    old_rows.append(found[0].transpose(0, 1).flatten(1))
                    own_rows.append(found[1].transpose(0, 1).flatten(1))
        if not old_rows:
            return leading(self._new.head_size, self._old.head_size)
        return self._fitting.axis(torch.cat(old_rows, 1), torch.cat(own_rows, 1))

    def _group(self, place: Place, other: Place) -> AxisMap:
        """Fill the heads of one operation; return the map of their outputs."""
        value = self._values(place, other)
        query = self._flat(place, other, [self._size] * place.heads)
        kernels = self._kernels(place, other)
        sides = {
            Axis.HIDDEN: self._stream.into,
            Axis.CHANNELS: self._stream.gain,
            Axis.VALUES: value.out,
            Axis.SLICES: value.out,
            Axis.QUERIES: query.out,
            Axis.KEYS: query.into.scaled(self._key_scale),
            Axis.READ_QUERY: self._size.into,
            Axis.WRITE_QUERY: self._size.out,
            Axis.HEADS: self._heads(place, other),
            Axis.FIXED: SAME,
        }
        if kernels is not None:
            sides |= {Axis.KERNELS: kernels.out, Axis.READ_KERNELS: kernels.into}
        for name, axes in place.kind.axes.items():
            self._put(f"{self._prefix}.heads.{place.operation}.{name}", axes, sides, other.heads)
        return value

    def _put(self, name: str, axes: Sequence[Axis], sides: Mapping[Axis, Side], had: int) -> None:
        """Fill a parameter of the heads; ``had`` is the donor's number of heads."""
        source, own = self._fitting.old.get(name), self._fitting.own.get(name)
        if source is None or own is None:
            return
        if axes[0] is Axis.HEADS and own.dim() < len(axes):  # The recipient's heads share it.
            axes = axes[1:]
            source = source if source.dim() == len(axes) else source.mean(0)
        elif axes[0] is Axis.HEADS and source.dim() < len(axes):  # The donor's heads shared it.
            source = source.expand(had, *source.shape)
        # READ_KERNELS covers heads and sizes, which were fitted together as the rows of the queries.
        self._fitting.put(name, source, *(sides[axis] for axis in axes), flat=axes[0] is Axis.READ_KERNELS)

    def _flat(self, place: Place, other: Place, parts: Sequence[AxisMap], divided: bool = False) -> AxisMap:
        """Return the map of the axis ``heads × size`` of a group from maps within its heads."""
        if self._fitting.ordered:
            return leading(place.heads * self._new.head_size, other.heads * self._old.head_size)
        return blocks(self._sources(place.heads, other.heads), parts, other.heads, divided)

    def _values(self, place: Place, other: Place) -> AxisMap:
        """Fit the map of the outputs of a group."""
        new, old = self._new.head_size, self._old.head_size
        kept = new == old and (place.kind.ordered or not self._fitting.fusing)
        if not kept and place.heads * new == other.heads * old and not self._fitting.fusing:
            return same(place.heads * new)
        found = None if kept else self._joint_rows(place, other, Axis.VALUES)
        if found is None:
            return self._flat(place, other, [leading(new, old)] * place.heads, divided=True)
        parts = [self._fitting.axis(*rows) for rows in zip(*found, strict=True)]
        return self._flat(place, other, parts, divided=True)

    def _kernels(self, place: Place, other: Place) -> AxisMap | None:
        """Fit the map of queries and keys that are multiplied element by element; ``None`` if there are none."""
        found = self._joint_rows(place, other, Axis.KERNELS)
        if found is None:
            return None
        return self._flat(place, other, [self._fitting.axis(*rows) for rows in zip(*found, strict=True)])

    def _joint_rows(self, place: Place, other: Place, axis: Axis) -> tuple[Tensor, Tensor] | None:
        """Return ``_rows`` of all Linears that write an axis, side by side."""
        found = [rows for name in place.names([axis]) if (rows := self._rows(name, place, other)) is not None]
        if not found:
            return None
        old, own = (torch.cat(rows, 2) for rows in zip(*found, strict=True))
        return old, own

    def _heads(self, place: Place, other: Place) -> Side:
        """Return the map of the heads of a group."""
        if self._fitting.ordered:
            return leading(place.heads, other.heads).out
        sources = self._sources(place.heads, other.heads)
        if sources == list(range(other.heads)):
            return SAME
        matrix = torch.zeros(place.heads, other.heads, dtype=torch.float64)
        matrix[torch.arange(place.heads), sources] = 1
        return Side(matrix)
