"""Parameters and floating-point operations of an architecture, by formula; nothing is built.

Parameters are exactly those of ``explorer.models.FlexiBertModel``. Notation: hidden size h, H heads of size d in a
layer, S tokens, P maximum sequence length, L(a, b) = a b + b the parameters of a Linear. The formulas of operations are
in ``explorer.space.operations``; the rest of the encoder has

* embeddings: (vocabulary + token types) e + 2 e with e the first hidden size, and P e with absolute positions
* layer: L(h_before, h) if the two differ; (2 P - 1) d with relative positions, unless all heads are convolutions;
  its heads; L(H d, h) + 2 h; L(h, f_1) + L(f_1, f_2) + … + L(f_last, h) + 2 h
* pooler: L(h_last, h_last)
* with a backbone b: e = b, L(b, h) + L(h, b) for every layer instead of the projections, and a pooler of L(b, b);
  merged, adjacent bottlenecks of hidden sizes h and h' are one L(h, h')

FLOPs count a multiply-add as 2 and only products of matrices, convolutions and transforms, not biases, softmax, norms,
activations and look-ups; a Linear has 2 S a b.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, pairwise

from explorer.errors import InputError
from explorer.space.constraints import AdditiveCost
from explorer.space.operations import HeadGroup, Operation, find_operation
from explorer.space.spec import ArchitectureSpec, LayerSpec

POSITIONS = ("relative_key", "absolute")


def is_relative(positions: str | None, backbone: int | None) -> bool:
    """Return whether positions are relative; by default they are unless there is a backbone. Raises InputError."""
    if positions is None:
        return backbone is None
    if positions not in POSITIONS:
        raise InputError("positions", f"be {' or '.join(POSITIONS)}", positions, "Use one of the two.")
    return positions == "relative_key"


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _head_groups(layer: LayerSpec, relative: bool) -> Iterator[tuple[Operation, HeadGroup]]:
    """Yield the operations of a layer, each with its heads."""
    for head, equal in groupby(layer.heads):
        group = HeadGroup(
            parameter=head.parameter,
            hidden=layer.hidden,
            size=head.size,
            heads=len(list(equal)),
            layer_heads=len(layer.heads),
            relative=relative,
        )
        yield find_operation(head.family, head.parameter), group


@lru_cache(maxsize=4096)
def _layer_parameters(layer: LayerSpec, max_positions: int, relative: bool) -> int:
    """Return the parameters of a layer without the Linear that projects its input."""
    hidden, size, width = layer.hidden, layer.head_size, layer.head_size * len(layer.heads)
    groups = list(_head_groups(layer, relative))
    total = sum(operation.parameters(group) for operation, group in groups)
    if relative and any(operation.uses_positions for operation, _ in groups):
        total += (2 * max_positions - 1) * size
    widths = (hidden, *layer.feed_forward, hidden)
    return total + _linear(width, hidden) + 4 * hidden + sum(_linear(a, b) for a, b in pairwise(widths))


def parameter_cost(
    vocab_size: int = 30522,
    max_positions: int = 512,
    token_types: int = 2,
    positions: str | None = None,
    pooler: bool = False,
    embeddings: bool = True,
    backbone: int | None = None,
    merged: bool = False,
) -> AdditiveCost:
    """Return ``parameters`` for one backbone as a sum over layers, which constrained sampling needs."""
    relative = is_relative(positions, backbone)
    embedded = vocab_size + token_types + 2 + (0 if relative else max_positions)

    def link(before: int | None, after: int | None) -> int:
        if after is None:
            end = backbone or before or 0
            expanded = _linear(before, backbone) if before and backbone else 0
            return expanded + (_linear(end, end) if end and pooler else 0)
        if before is None:
            start = embedded * (backbone or after) if embeddings else 0
            return start + (_linear(backbone, after) if backbone else 0)
        if backbone:
            return _linear(before, after) if merged else _linear(before, backbone) + _linear(backbone, after)
        return _linear(before, after) if before != after else 0

    return AdditiveCost(lambda layer: _layer_parameters(layer, max_positions, relative), link)


def parameters(
    spec: ArchitectureSpec,
    vocab_size: int = 30522,
    max_positions: int = 512,
    token_types: int = 2,
    positions: str | None = None,
    pooler: bool = False,
    embeddings: bool = True,
    merged: bool = False,
) -> int:
    """Count the trainable parameters of the encoder.

    Args:
        spec: the architecture.
        vocab_size: number of tokens.
        max_positions: maximum sequence length, in tokens.
        token_types: number of token types.
        positions: ``relative_key`` or ``absolute``; by default relative, and absolute with a backbone.
        pooler: whether to count the pooler.
        embeddings: whether to count the embeddings (relative positions belong to the layers and always count).
        merged: whether the bottlenecks between layers are merged; needs a backbone.

    Raises:
        InputError: ``positions`` is neither of the two.
    """
    cost = parameter_cost(vocab_size, max_positions, token_types, positions, pooler, embeddings, spec.backbone, merged)
    return cost(spec)


@lru_cache(maxsize=4096)
def _layer_flops(layer: LayerSpec, length: int, relative: bool) -> int:
    """Return the FLOPs of a layer for one sequence, without the Linear that projects its input."""
    hidden, width = layer.hidden, layer.head_size * len(layer.heads)
    total = sum(operation.flops(group, length) for operation, group in _head_groups(layer, relative))
    widths = (hidden, *layer.feed_forward, hidden)
    return total + 2 * length * (width * hidden + sum(a * b for a, b in pairwise(widths)))


def flops_cost(
    length: int = 128, positions: str | None = None, backbone: int | None = None, merged: bool = False
) -> AdditiveCost:
    """Return ``flops`` for one backbone as a sum over layers, which constrained sampling needs."""
    if length < 1:
        raise InputError("length", "be at least 1", length, "Give the sequence's tokens.")
    relative = is_relative(positions, backbone)

    def link(before: int | None, after: int | None) -> int:
        if not backbone:
            return 2 * length * before * after if before and after and before != after else 0
        if before and after and merged:
            return 2 * length * before * after
        return 2 * length * backbone * ((before or 0) + (after or 0))

    return AdditiveCost(lambda layer: _layer_flops(layer, length, relative), link)


def flops(spec: ArchitectureSpec, length: int = 128, positions: str | None = None, merged: bool = False) -> int:
    """Count the FLOPs of the encoder's forward pass over one sequence, without embeddings and pooler.

    Args:
        spec: the architecture.
        length: number of tokens of the sequence.
        positions: ``relative_key`` or ``absolute``; by default relative, and absolute with a backbone.
        merged: whether the bottlenecks between layers are merged; needs a backbone.

    Raises:
        InputError: ``length`` is not positive, or ``positions`` is neither of the two.
    """
    return flops_cost(length, positions, spec.backbone, merged)(spec)
