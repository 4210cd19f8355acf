"""The choices of one layer of a design space, indexed: hidden size, heads, operations, feed-forward stack.

The index runs over hidden sizes, then heads, then operations, then stacks, the last varying fastest. With an operation
per layer, all heads share it and tile the hidden size. With an operation per head, a layer chooses a multiset of
operations (``explorer.space.per_head``) and the head size is hidden size / heads *rounded down*: EdgeTran's published
architectures have 12 heads of size 10, 21 and 42 at hidden sizes 128, 256 and 512.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from explorer.errors import SpecError
from explorer.space.per_head import count_multisets, multiset_at, multiset_index
from explorer.space.spec import HeadOp, LayerSpec

Operation = tuple[str, str]
"""Family and parameter."""


class OperationsPer(StrEnum):
    """Whether a layer or each of its heads chooses an operation."""

    LAYER = "layer"
    HEAD = "head"


@dataclass(frozen=True)
class LayerPick:
    """The choices of one layer.

    Attributes:
        hidden: hidden size.
        heads: number of heads.
        operations: indices into the space's operations: one for the layer, or one per head, ascending.
        stack: widths of the feed-forward stack.
    """

    hidden: int
    heads: int
    operations: tuple[int, ...]
    stack: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """The choices that share hidden size and heads: ``arrangements`` of operations times feed-forward stacks."""

    hidden: int
    heads: int
    arrangements: int
    start: int


def mixed_digits(index: int, bases: Sequence[int]) -> list[int]:
    """Return the digits of an index in mixed radix, the last one varying fastest."""
    digits = []
    for base in reversed(bases):
        index, digit = divmod(index, base)
        digits.append(digit)
    return digits[::-1]


@dataclass(frozen=True)
class LayerChoices:
    """All layers that a grammar allows. ``explorer.space.grammar.DesignSpace`` checks the options."""

    hidden: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]
    operations: tuple[Operation, ...]
    operations_per: OperationsPer
    ff_depths: tuple[int, ...]
    ff_widths: tuple[int, ...]
    heterogeneous_feed_forward: bool

    def heads_at(self, hidden: int) -> tuple[int, ...]:
        """Return the options for the number of heads at a hidden size of the space."""
        return self.heads[self.hidden.index(hidden)]

    @cached_property
    def _stacks_by_depth(self) -> tuple[int, ...]:
        widths = len(self.ff_widths)
        return tuple(widths**depth if self.heterogeneous_feed_forward else widths for depth in self.ff_depths)

    @cached_property
    def stacks(self) -> int:
        """Number of feed-forward stacks to choose from."""
        return sum(self._stacks_by_depth)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of choices, by first index."""
        blocks: list[Block] = []
        start = 0
        for hidden, options in zip(self.hidden, self.heads, strict=True):
            for heads in options:
                shared = self.operations_per is OperationsPer.LAYER
                arrangements = len(self.operations)
                if not shared:
                    arrangements = count_multisets(arrangements, heads)
                blocks.append(Block(hidden, heads, arrangements, start))
                start += arrangements * self.stacks
        return tuple(blocks)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return tuple(block.start for block in self.blocks)

    @cached_property
    def count(self) -> int:
        """Number of layers to choose from."""
        last = self.blocks[-1]
        return last.start + last.arrangements * self.stacks

    def stack_at(self, index: int) -> tuple[int, ...]:
        """Return the feed-forward stack with this index, from 0 to ``stacks - 1``: by depth, then by widths."""
        for depth, count in zip(self.ff_depths, self._stacks_by_depth, strict=True):
            if index < count:
                if not self.heterogeneous_feed_forward:
                    return (self.ff_widths[index],) * depth
                return tuple(self.ff_widths[digit] for digit in mixed_digits(index, [len(self.ff_widths)] * depth))
            index -= count
        raise AssertionError("unreachable: the index is below the number of stacks")

    def _stack_index(self, stack: Sequence[int]) -> int:
        depth = self.ff_depths.index(len(stack))
        first = sum(self._stacks_by_depth[:depth])
        widths = [self.ff_widths.index(width) for width in stack]
        if not self.heterogeneous_feed_forward:
            return first + widths[0]
        index = 0
        for width in widths:
            index = index * len(self.ff_widths) + width
        return first + index

    def pick_at(self, index: int) -> LayerPick:
        """Return the choices with this index, from 0 to ``count - 1``."""
        block = self.blocks[bisect_right(self._starts, index) - 1]
        arrangement, stack = divmod(index - block.start, self.stacks)
        if self.operations_per is OperationsPer.LAYER:
            picked: tuple[int, ...] = (arrangement,)
        else:
            picked = multiset_at(arrangement, len(self.operations), block.heads)
        return LayerPick(block.hidden, block.heads, picked, self.stack_at(stack))

    def index(self, pick: LayerPick) -> int:
        """Return the index of choices of this space; the inverse of ``pick_at``."""
        block = next(b for b in self.blocks if (b.hidden, b.heads) == (pick.hidden, pick.heads))
        if self.operations_per is OperationsPer.LAYER:
            arrangement = pick.operations[0]
        else:
            arrangement = multiset_index(pick.operations, len(self.operations))
        return block.start + arrangement * self.stacks + self._stack_index(pick.stack)

    def build(self, pick: LayerPick) -> LayerSpec:
        """Return the layer with these choices."""
        chosen = [self.operations[place] for place in pick.operations]
        if self.operations_per is OperationsPer.LAYER:
            return LayerSpec.per_layer(pick.hidden, *chosen[0], pick.heads, pick.stack)
        size = pick.hidden // pick.heads
        heads = tuple(HeadOp(*operation, size) for operation in chosen)  # type: ignore[arg-type]
        return LayerSpec(pick.hidden, heads, pick.stack)

    def pick(self, layer: LayerSpec) -> LayerPick:
        """Return the choices of a layer.

        Raises:
            SpecError: the layer is not in this space; names the field.
        """
        _among("hidden size", layer.hidden, self.hidden)
        _among("heads", len(layer.heads), self.heads_at(layer.hidden))
        _among("feed-forward depth", len(layer.feed_forward), self.ff_depths)
        for width in layer.feed_forward:
            _among("feed-forward width", width, self.ff_widths)
        if not self.heterogeneous_feed_forward and len(set(layer.feed_forward)) > 1:
            remedy = "Allow heterogeneous feed-forward stacks, or choose one width."
            raise SpecError("feed-forward stack", "have one width throughout", layer.feed_forward, remedy)
        return LayerPick(layer.hidden, len(layer.heads), self._operations_of(layer), layer.feed_forward)

    def _operations_of(self, layer: LayerSpec) -> tuple[int, ...]:
        place = {operation: i for i, operation in enumerate(self.operations)}
        if self.operations_per is OperationsPer.LAYER:
            main = layer.main
            if main is None:
                heads = [str(head) for head in layer.heads]
                remedy = "Use a space with operations_per: head."
                raise SpecError("heads", "share one operation and tile the hidden size", heads, remedy)
            own = [main]
        else:
            size = layer.hidden // len(layer.heads)
            if layer.head_size != size:
                rule = f"be {size}, hidden size / heads rounded down"
                raise SpecError("head size", rule, layer.head_size, "Correct the size.")
            own = list(layer.heads)
        shown = [f"{family}_{parameter}" for family, parameter in self.operations]
        for head in own:
            _among("operation", f"{head.family}_{head.parameter}", shown)
        return tuple(sorted(place[head.family.value, head.parameter] for head in own))


def _among(field: str, value: int | str, options: Sequence[int | str]) -> None:
    if value not in options:
        shown = ", ".join(str(option) for option in options)
        raise SpecError(field, f"be one of {shown}", value, "Choose one of the options, or another space.")
