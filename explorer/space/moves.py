"""Mutation and crossover of architectures within their design space.

Both operate on the choices of whole stacks, so results are in the space by construction, at every level of the
hierarchy and without enumerating the space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from explorer.errors import SpecError
from explorer.space.grammar import DesignSpace
from explorer.space.layers import LayerPick, OperationsPer
from explorer.space.spec import ArchitectureSpec

Move = Callable[[], LayerPick]
T = TypeVar("T")


def _one(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]


def _other(options: Sequence[T], present: T, rng: np.random.Generator) -> T:
    return _one([option for option in options if option != present], rng)


def _with_heads(space: DesignSpace, pick: LayerPick, heads: int, rng: np.random.Generator) -> LayerPick:
    """Change the number of heads: drop surplus operations at random, and draw missing ones at random."""
    operations = list(pick.operations)
    if space.operations_per is OperationsPer.HEAD:
        operations = [operations[i] for i in rng.permutation(len(operations))[:heads]]
        operations += [int(i) for i in rng.integers(len(space.operations), size=heads - len(operations))]
    return replace(pick, heads=heads, operations=tuple(sorted(operations)))


def _with_hidden(space: DesignSpace, pick: LayerPick, rng: np.random.Generator) -> LayerPick:
    hidden = _other(space.hidden, pick.hidden, rng)
    options = space.choices.heads_at(hidden)
    moved = replace(pick, hidden=hidden)
    return moved if pick.heads in options else _with_heads(space, moved, _one(options, rng), rng)


def _with_operation(space: DesignSpace, pick: LayerPick, rng: np.random.Generator) -> LayerPick:
    operations = list(pick.operations)
    place = int(rng.integers(len(operations)))
    operations[place] = _other(range(len(space.operations)), operations[place], rng)
    return replace(pick, operations=tuple(sorted(operations)))


def _with_depth(space: DesignSpace, pick: LayerPick, rng: np.random.Generator) -> LayerPick:
    depth = _other(space.ff_depths, len(pick.stack), rng)
    missing = max(0, depth - len(pick.stack))
    if space.heterogeneous_feed_forward:
        more = tuple(_one(space.ff_widths, rng) for _ in range(missing))
    else:
        more = pick.stack[:1] * missing
    return replace(pick, stack=(*pick.stack[:depth], *more))


def _with_width(space: DesignSpace, pick: LayerPick, rng: np.random.Generator) -> LayerPick:
    widths = list(pick.stack)
    place = int(rng.integers(len(widths)))
    width = _other(space.ff_widths, widths[place], rng)
    if not space.heterogeneous_feed_forward:
        return replace(pick, stack=(width,) * len(widths))
    widths[place] = width
    return replace(pick, stack=tuple(widths))


def _moves(space: DesignSpace, pick: LayerPick, rng: np.random.Generator) -> list[Move]:
    """Return one move for each choice of a stack that has more than one option."""
    moves: list[Move] = []
    heads = space.choices.heads_at(pick.hidden)
    if len(space.hidden) > 1:
        moves.append(lambda: _with_hidden(space, pick, rng))
    if len(heads) > 1:
        moves.append(lambda: _with_heads(space, pick, _other(heads, pick.heads, rng), rng))
    if len(space.operations) > 1:
        moves.append(lambda: _with_operation(space, pick, rng))
    if len(space.ff_depths) > 1:
        moves.append(lambda: _with_depth(space, pick, rng))
    if len(space.ff_widths) > 1:
        moves.append(lambda: _with_width(space, pick, rng))
    return moves


def _resized(space: DesignSpace, picks: Sequence[LayerPick], rng: np.random.Generator) -> list[LayerPick]:
    """Change the depth: drop random stacks, or duplicate random ones in place."""
    depths = [depth // space.layers_per_stack for depth in space.layers]
    stacks = _other(depths, len(picks), rng)
    if stacks < len(picks):
        kept = sorted(rng.choice(len(picks), size=stacks, replace=False))
    else:
        kept = sorted([*range(len(picks)), *rng.integers(len(picks), size=stacks - len(picks))])
    return [picks[i] for i in kept]


def _spec(space: DesignSpace, picks: Sequence[LayerPick]) -> ArchitectureSpec:
    return space.build([space.choices.build(pick) for pick in picks])


def mutate(
    space: DesignSpace,
    spec: ArchitectureSpec,
    rng: np.random.Generator,
    layers: range | None = None,
) -> ArchitectureSpec:
    """Change one choice of an architecture.

    The choice (depth; and each stack's hidden size, heads, operation, feed-forward depth and width) is drawn uniformly
    among those with more than one option, and its new value uniformly among the others. With an operation per head, one
    head changes; with heterogeneous stacks, one width. If the new hidden size does not allow the number of heads,
    another number is drawn.

    Args:
        space: the architecture's space.
        spec: the parent.
        rng: random generator.
        layers: mutate only stacks that begin in this range, and keep the depth.

    Returns:
        An architecture of the space, never the parent.

    Raises:
        SpecError: the parent is not in the space, or no choice has another option.
    """
    picks = space.picks(spec)
    moves: list[Callable[[], list[LayerPick]]] = []
    if layers is None and len(space.layers) > 1:
        moves.append(lambda: _resized(space, picks, rng))

    def placed(place: int, move: Move) -> Callable[[], list[LayerPick]]:
        return lambda: [*picks[:place], move(), *picks[place + 1 :]]

    for place, pick in enumerate(picks):
        if layers is None or place * space.layers_per_stack in layers:
            moves += [placed(place, move) for move in _moves(space, pick, rng)]
    if not moves:
        rule = "have a choice with another value"
        raise SpecError(f"space {space.name}", rule, space.count(), "Give it more options.")
    return _spec(space, _one(moves, rng)())


def crossover(
    space: DesignSpace, first: ArchitectureSpec, second: ArchitectureSpec, rng: np.random.Generator
) -> ArchitectureSpec:
    """Mix two architectures stack by stack.

    The child has the depth of one parent, and each of its stacks comes from one parent at the same position; beyond the
    shallower parent, from the deeper one. All draws are uniform.

    Raises:
        SpecError: a parent is not in the space.
    """
    parents = space.picks(first), space.picks(second)
    picks = []
    for place in range(len(_one(parents, rng))):
        options = [parent[place] for parent in parents if place < len(parent)]
        picks.append(_one(options, rng))
    return _spec(space, picks)
