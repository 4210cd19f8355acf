"""Parameters and floating-point operations of an architecture, by formula; nothing is built.

Notation: hidden size h, H heads of size d in a layer, n of them in a group of one operation, kernel K, S tokens,
P longest sequence, L(a, b) = a b + b the parameters of a Linear. Parameters, exactly those of
``explorer.models.FlexiBertModel``:

* embeddings: (vocabulary + token types) e + 2 e with e the first hidden size, and P e if positions are absolute
* layer: L(h_before, h) if the two differ; (2 P - 1) d if positions are relative and not all heads are convolutions;
  its heads; L(H d, h) + 2 h; L(h, f_1) + L(f_1, f_2) + … + L(f_last, h) + 2 h
* ``sdp``: 3 L(h, n d). ``wma``: the same and d² per layer, n d² where the layer is not of the per-layer form
* ``dft``, ``dct``: 2 L(h, n d) if positions are relative; L(h, n d) if H d differs from h
* ``c``: 3 L(h, n d) + h K + n (d K + K)
* pooler: L(h_last, h_last)
* with a backbone b: e = b, L(b, h) + L(h, b) for every layer instead of the projections, and a pooler of L(b, b);
  merged, those between layers of h and h' are one L(h, h')

FLOPs count a multiply-add as 2 and products of matrices, convolutions and transforms only (not biases, softmax, norms,
activations and look-ups):

* Linear: 2 S a b
* ``sdp``: 4 S² d a head for scores and values; ``wma``: 2 S d² more
* relative positions: 2 S (2 S - 1) d a head, and 2 S² d for the values of a linear-transform head
* ``dft``: 5 S d log₂(S d) a head, the usual count of a complex fast Fourier transform; ``dct``: half of it
* ``c``: depthwise 2 S h K; per head 2 S d K for its kernels and as much to apply them
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import groupby, pairwise

from explorer.errors import InputError
from explorer.space.constraints import AdditiveCost
from explorer.space.spec import ArchitectureSpec, Family, LayerSpec

POSITIONS = ("relative_key", "absolute")


def _relative(positions: str | None, backbone: int | None) -> bool:
    if positions is None:
        return backbone is None
    if positions not in POSITIONS:
        raise InputError("positions", f"be {' or '.join(POSITIONS)}", positions, "Use one of the two.")
    return positions == "relative_key"


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


@lru_cache(maxsize=4096)
def _layer_parameters(layer: LayerSpec, max_positions: int, relative: bool) -> int:
    """Parameters of a layer without the Linear that projects its input."""
    hidden, size, width = layer.hidden, layer.head_size, layer.head_size * len(layer.heads)
    total = 0
    if relative and any(head.family is not Family.CONVOLUTION for head in layer.heads):
        total += (2 * max_positions - 1) * size
    for operation, equal in groupby(layer.heads):
        count = len(list(equal))
        one = _linear(hidden, count * size)
        if operation.family is Family.SELF_ATTENTION:
            total += 3 * one
            if operation.parameter == "wma":
                total += size * size * (1 if layer.main else count)
        elif operation.family is Family.LINEAR:
            total += one * (2 * relative + (width != hidden))
        else:
            total += 3 * one + hidden * operation.kernel + count * _linear(size, operation.kernel)
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
    """``parameters`` of architectures with one backbone as a sum over layers, which sampling can aim at."""
    relative = _relative(positions, backbone)
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
    """Number of trainable parameters of the encoder.

    Args:
        spec: the architecture.
        vocab_size: number of tokens.
        max_positions: longest sequence, in tokens.
        token_types: number of token types.
        positions: ``relative_key`` or ``absolute``; by default relative, and absolute with a backbone.
        pooler: whether to count the pooler.
        embeddings: whether to count the embeddings (relative positions lie in the layers and always count).
        merged: whether the bottlenecks between layers are merged, where there is a backbone.

    Raises:
        InputError: ``positions`` is neither of the two.
    """
    cost = parameter_cost(vocab_size, max_positions, token_types, positions, pooler, embeddings, spec.backbone, merged)
    return cost(spec)


@lru_cache(maxsize=4096)
def _layer_flops(layer: LayerSpec, length: int, relative: bool) -> int:
    """FLOPs of a layer for one sequence, without the Linear that projects its input."""
    hidden, size, width = layer.hidden, layer.head_size, layer.head_size * len(layer.heads)
    by_position = 2 * length * (2 * length - 1) * size if relative else 0
    transform = round(5 * length * size * math.log2(length * size))
    total = 0
    for operation, equal in groupby(layer.heads):
        count = len(list(equal))
        one = 2 * length * hidden * count * size
        if operation.family is Family.SELF_ATTENTION:
            total += 3 * one + count * (4 * length * length * size + by_position)
            if operation.parameter == "wma":
                total += count * 2 * length * size * size
        elif operation.family is Family.LINEAR:
            total += one * (2 * relative + (width != hidden))
            total += count * (transform if operation.parameter == "dft" else transform // 2)
            if relative:
                total += count * (2 * length * length * size + by_position)
        else:
            kernel = operation.kernel
            total += 3 * one + 2 * length * hidden * kernel + count * 4 * length * size * kernel
    widths = (hidden, *layer.feed_forward, hidden)
    return total + 2 * length * (width * hidden + sum(a * b for a, b in pairwise(widths)))


def flops_cost(
    length: int = 128, positions: str | None = None, backbone: int | None = None, merged: bool = False
) -> AdditiveCost:
    """``flops`` of architectures with one backbone as a sum over layers, which sampling can aim at."""
    if length < 1:
        raise InputError("length", "be at least 1", length, "Give the sequence's tokens.")
    relative = _relative(positions, backbone)

    def link(before: int | None, after: int | None) -> int:
        if not backbone:
            return 2 * length * before * after if before and after and before != after else 0
        if before and after and merged:
            return 2 * length * before * after
        return 2 * length * backbone * ((before or 0) + (after or 0))

    return AdditiveCost(lambda layer: _layer_flops(layer, length, relative), link)


def flops(spec: ArchitectureSpec, length: int = 128, positions: str | None = None, merged: bool = False) -> int:
    """Floating-point operations of the encoder's forward pass over one sequence, without embeddings and pooler.

    Args:
        spec: the architecture.
        length: tokens of the sequence.
        positions: ``relative_key`` or ``absolute``; by default relative, and absolute with a backbone.
        merged: whether the bottlenecks between layers are merged, where there is a backbone.

    Raises:
        InputError: ``length`` is not positive, or ``positions`` is neither of the two.
    """
    return flops_cost(length, positions, spec.backbone, merged)(spec)
