"""Coarse to fine: the levels of a space, and moves from good architectures of one level to the next finer level.

FlexiBERT (arXiv 2205.11656, section 3.4) searches a coarse level to convergence, where many layers share their
choices; takes the best architectures and their neighbours; *interpolates* between pairs of them at the next finer
number of layers per stack; and allows heterogeneous feed-forward stacks last. A finer level contains every architecture
of the coarser ones and far too many others to list, so the functions here generate architectures on demand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from explorer.errors import SpecError
from explorer.space.grammar import DesignSpace, uniform_below
from explorer.space.layers import LayerPick, mixed_digits
from explorer.space.moves import mutate
from explorer.space.spec import ArchitectureSpec


def levels(space: DesignSpace) -> tuple[DesignSpace, ...]:
    """Return a space and all its finer levels, coarse to fine; each contains every architecture of those before it.

    The layers per stack are divided by the smallest factor each time (12, 6, 3, 1) until every layer has its own
    choices; then the widths within a feed-forward stack may differ.
    """
    chain = [space]
    while (size := chain[-1].layers_per_stack) > 1:
        chain.append(chain[-1].at_level(max(part for part in range(1, size) if size % part == 0)))
    if not space.heterogeneous_feed_forward:
        chain.append(chain[-1].at_level(None, True))
    return tuple(chain)


def finer(space: DesignSpace) -> DesignSpace | None:
    """Return the next finer level, or ``None`` at the finest."""
    chain = levels(space)
    return chain[1] if len(chain) > 1 else None


def refine(coarse: DesignSpace, spec: ArchitectureSpec, stack: int, rng: np.random.Generator) -> ArchitectureSpec:
    """Mutate one choice within one stack of an architecture, at the next finer level.

    Args:
        coarse: the architecture's space.
        spec: the architecture.
        stack: index of the stack, from 0.
        rng: random generator.

    Returns:
        An architecture of the next finer level that differs from ``spec`` within that stack only.

    Raises:
        SpecError: the architecture is not in the space or has no such stack, the level is the finest, or there is
            nothing to choose from.
    """
    space = finer(coarse)
    if space is None:
        raise SpecError(f"space {coarse.name}", "have a finer level", coarse.layers_per_stack, "Mutate it instead.")
    stacks = len(coarse.picks(spec))
    if not 0 <= stack < stacks:
        raise SpecError("stack", f"be from 0 to {stacks - 1}", stack, "Choose one of the architecture's stacks.")
    size = coarse.layers_per_stack
    return mutate(space, spec, rng, range(stack * size, (stack + 1) * size))


def _mixes(first: list[LayerPick], second: list[LayerPick]) -> list[list[tuple[LayerPick, ...]]]:
    """Return the distinct choices of each stack, for each depth of the two parents."""
    depths = sorted({len(first), len(second)})
    parents = (first, second)
    return [
        [tuple(dict.fromkeys(parent[place] for parent in parents if place < len(parent))) for place in range(depth)]
        for depth in depths
    ]


def interpolate(
    first: ArchitectureSpec,
    second: ArchitectureSpec,
    space: DesignSpace,
    count: int | None = None,
    rng: np.random.Generator | None = None,
) -> Iterator[ArchitectureSpec]:
    """Iterate over the architectures between two parents: each stack comes from one of them at the same position.

    The depth is that of either parent; beyond the shallower parent, stacks come from the deeper one.

    Args:
        first: a parent, in ``space``; every architecture of a coarser level is.
        second: the other parent.
        space: the finer level, which contains every result.
        count: number of results, drawn at random without repetition; all by default, in order.
        rng: random generator; required with ``count``.

    Returns:
        Distinct architectures other than the parents; fewer than ``count`` where they run out.

    Raises:
        SpecError: a parent is not in the space, or ``count`` comes without ``rng`` or is negative.
    """
    if count is not None and (count < 0 or rng is None):
        raise SpecError("count", "be 0 or more and come with a random generator", count, "Give both, or none for all.")
    mixes = _mixes(space.picks(first), space.picks(second))
    return _interpolated(mixes, {first, second}, space, count, rng)


def _interpolated(
    mixes: list[list[tuple[LayerPick, ...]]],
    parents: set[ArchitectureSpec],
    space: DesignSpace,
    count: int | None,
    rng: np.random.Generator | None,
) -> Iterator[ArchitectureSpec]:
    sizes = [math.prod(len(options) for options in mix) for mix in mixes]
    total = sum(sizes)
    left = total - len(parents) if count is None else min(count, total - len(parents))
    order = iter(range(total)) if rng is None else _distinct(total, rng)
    while left:
        index = next(order)
        mix = 0 if index < sizes[0] else 1
        digits = mixed_digits(index - sum(sizes[:mix]), [len(options) for options in mixes[mix]])
        picks = [options[digit] for options, digit in zip(mixes[mix], digits, strict=True)]
        spec = space.build([space.choices.build(pick) for pick in picks])
        if spec not in parents:
            left -= 1
            yield spec


def _distinct(total: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield the integers below ``total`` in random order: a lazy shuffle that stores only the swapped positions."""
    moved: dict[int, int] = {}
    for end in range(total, 0, -1):
        place = uniform_below(end, rng)
        yield moved.get(place, place)
        moved[place] = moved.get(end - 1, end - 1)
