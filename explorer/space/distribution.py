"""The distribution of a sum over layers over a whole space, by dynamic programming, and sampling within a range.

No architecture is enumerated: the costs of one stack are counted by hidden size in ``BUCKETS`` buckets, and stacks are
added one at a time, by convolution. Sampling goes backwards through the same tables. Costs are rounded down to buckets,
so the sampled range is slightly too wide; the caller rejects by the exact value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explorer.space.constraints import AdditiveCost, Constraint
from explorer.space.grammar import DesignSpace
from explorer.space.spec import ArchitectureSpec

BUCKETS = 4096
MAX_SHARES = 200_000
"""Maximum number of layers to evaluate for one distribution."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def shares_to_measure(space: DesignSpace) -> int:
    """Return the number of layers to evaluate for the distribution of a sum over this space."""
    choices = space.choices
    return sum(block.arrangements for block in choices.blocks) + choices.stacks * len(choices.hidden)


@dataclass(frozen=True)
class _Shares:
    """Costs of one stack of layers, non-negative integers.

    Attributes:
        arrangements: per block of choices, the cost of each arrangement of operations, ``[A]``.
        stacks: per hidden size, the cost of each feed-forward stack, ``[S]``.
    """

    arrangements: tuple[Ints, ...]
    stacks: dict[int, Ints]

    @classmethod
    def measure(cls, space: DesignSpace, cost: AdditiveCost) -> _Shares:
        choices, size = space.choices, space.layers_per_stack

        def measured(first: int, count: int, step: int) -> Ints:
            layers = (choices.build(choices.pick_at(first + step * i)) for i in range(count))
            return np.array([cost.layer(layer) for layer in layers], dtype=np.int64)

        arrangements: list[Ints] = []
        stacks: dict[int, Ints] = {}
        lowest: dict[int, int] = {}
        for block in choices.blocks:
            if block.hidden not in stacks:
                by_stack = measured(block.start, choices.stacks, 1)
                # Add the minimum over all stacks to the arrangements, so that no cost is negative.
                lowest[block.hidden] = int(by_stack.min() - by_stack[0])
                stacks[block.hidden] = size * (by_stack - by_stack.min())
                stacks[block.hidden] += (size - 1) * cost.link(block.hidden, block.hidden)
            own = measured(block.start, block.arrangements, choices.stacks)
            arrangements.append(size * (own + lowest[block.hidden]))
        return cls(tuple(arrangements), stacks)


def _drawn(weights: Floats, rng: np.random.Generator) -> int:
    """Draw an index with these weights."""
    totals = np.cumsum(weights)
    return int(np.searchsorted(totals, rng.random() * totals[-1], side="right"))


def _later(weights: Floats, by: int) -> Floats:
    """Shift weights of sums ``[Q]`` by a number of buckets; sums beyond the last bucket are dropped."""
    if by >= len(weights):
        return np.zeros_like(weights)
    return np.concatenate([np.zeros(by), weights[: len(weights) - by]])


class CostDistribution:
    """Samples architectures whose sum lies in a range or close to it.

    Args:
        space: the space.
        cost: the sum.
        constraint: the range.
    """

    def __init__(self, space: DesignSpace, cost: AdditiveCost, constraint: Constraint) -> None:
        self._space, self._cost, self._constraint = space, cost, constraint
        self._blocks = space.choices.blocks
        self._sizes = [depth // space.layers_per_stack for depth in space.layers]
        self._shares = _Shares.measure(space, cost)
        top = max(0.0, min(constraint.at_most, self.extent[1]))
        self._unit = max(1, math.ceil(top / BUCKETS))
        self._length = int(top) // self._unit + 1
        self._count()

    @cached_property
    def extent(self) -> tuple[int, int]:
        """The exact minimum and maximum of the sum over the space's architectures."""
        return self._extreme(min), self._extreme(max)

    def _extreme(self, best: Callable[[Sequence[int]], int]) -> int:
        own: dict[int, int] = {}
        for hidden, stacks in self._shares.stacks.items():
            pairs = zip(self._blocks, self._shares.arrangements, strict=True)
            shares = [best(arrangements.tolist()) for block, arrangements in pairs if block.hidden == hidden]
            own[hidden] = best(shares) + best(stacks.tolist())
        link = self._cost.link
        ends = {hidden: link(None, hidden) + share for hidden, share in own.items()}
        found = []
        for size in range(1, max(self._sizes) + 1):
            if size > 1:
                before = ends
                ends = {h: own[h] + best([before[b] + link(b, h) for b in before]) for h in own}
            if size in self._sizes:
                found.append(best([ends[h] + link(h, None) for h in ends]))
        return best(found)

    def _bucket(self, before: int | None, after: int | None) -> int:
        return self._cost.link(before, after) // self._unit

    def _counted(self, shares: Ints) -> Floats:
        """Count the costs in each bucket, ``[Q]``; costs beyond the last bucket are dropped."""
        buckets = shares // self._unit
        return np.bincount(buckets[buckets < self._length], minlength=self._length).astype(np.float64)

    def _count(self) -> None:
        """Compute the joint probability of last hidden size and sum for a uniform prefix of each length, ``[Q]`` each.

        ``_ends`` includes the last stack, ``_starts`` does not; ``_own`` is the distribution of one stack's own cost.
        """
        length, total = self._length, self._space.choices.count
        self._by_block = [self._counted(shares) for shares in self._shares.arrangements]
        self._by_stack = {hidden: self._counted(shares) for hidden, shares in self._shares.stacks.items()}
        self._own = {hidden: np.zeros(length) for hidden in self._by_stack}
        for block, counted in zip(self._blocks, self._by_block, strict=True):
            self._own[block.hidden] += np.convolve(counted, self._by_stack[block.hidden])[:length] / total
        first = np.eye(1, length)[0]
        self._starts = [{hidden: _later(first, self._bucket(None, hidden)) for hidden in self._own}]
        self._ends: list[dict[int, Floats]] = []
        for size in range(1, max(self._sizes) + 1):
            starts = self._starts[-1]
            ends = {hidden: np.convolve(starts[hidden], self._own[hidden])[:length] for hidden in starts}
            self._ends.append(ends)
            if size < max(self._sizes):
                grown = {h: sum(_later(ends[b], self._bucket(b, h)) for b in ends) for h in ends}
                self._starts.append(grown)  # type: ignore[arg-type]

    def _last(self, size: int) -> Floats:
        """Return weights ``[H, Q]`` of last hidden size and sum, for architectures of ``size`` stacks in the range."""
        ends = self._ends[size - 1]
        weights = np.stack([_later(ends[hidden], self._bucket(hidden, None)) for hidden in ends])
        # Each rounded cost loses less than one bucket.
        lost = (3 * size + 1) * (self._unit - 1)
        lowest = max(0.0, (self._constraint.at_least - lost) / self._unit)
        weights[:, : min(self._length, math.ceil(lowest))] = 0.0
        return weights

    @cached_property
    def _log_weights(self) -> Floats:
        """Logarithm of the number of architectures of each depth in the range or close to it, ``[depths]``."""
        logs = []
        for size in self._sizes:
            share = float(self._last(size).sum())
            count = size * math.log(self._space.choices.count)
            logs.append(math.log(share) + count if share > 0 else -math.inf)
        return np.array(logs)

    @property
    def log_count(self) -> float:
        """Logarithm of the number of architectures in the range or close to it; -inf where there is none."""
        return float(np.logaddexp.reduce(self._log_weights))

    def draw(self, rng: np.random.Generator) -> ArchitectureSpec:
        """Draw uniformly from the architectures in the range and some close to it. ``log_count`` must be finite."""
        weights = self._log_weights
        size = self._sizes[_drawn(np.exp(weights - weights.max()), rng)]
        hiddens = list(self._own)
        place, total = divmod(_drawn(self._last(size).ravel(), rng), self._length)
        hidden = hiddens[place]
        total -= self._bucket(hidden, None)
        layers = []
        for stack in range(size - 1, -1, -1):
            share = _drawn(self._own[hidden][: total + 1] * self._starts[stack][hidden][total::-1], rng)
            choices = self._space.choices
            layers.append(choices.build(choices.pick_at(self._choice(hidden, share, rng))))
            total -= share
            if stack:
                left = [total - self._bucket(before, hidden) for before in hiddens]
                ends = self._ends[stack - 1]
                reach = [ends[b][rest] if rest >= 0 else 0.0 for b, rest in zip(hiddens, left, strict=True)]
                place = _drawn(np.array(reach), rng)
                hidden, total = hiddens[place], left[place]
        return self._space.build(layers[::-1])

    def _choice(self, hidden: int, share: int, rng: np.random.Generator) -> int:
        """Draw the index of a layer of this hidden size whose stack's cost falls into this bucket, uniformly."""
        blocks = [i for i, block in enumerate(self._blocks) if block.hidden == hidden]
        by_stack = self._by_stack[hidden][share::-1]
        weights = np.concatenate([self._by_block[i][: share + 1] * by_stack for i in blocks])
        place, bucket = divmod(_drawn(weights, rng), share + 1)
        block = blocks[place]
        arrangement = rng.choice(np.flatnonzero(self._shares.arrangements[block] // self._unit == bucket))
        stack = rng.choice(np.flatnonzero(self._shares.stacks[hidden] // self._unit == share - bucket))
        return self._blocks[block].start + int(arrangement) * self._space.choices.stacks + int(stack)
