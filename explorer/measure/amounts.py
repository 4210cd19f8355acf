"""What an architecture makes a device do, as amounts that add up over its layers; nothing is built.

A device that spends a fixed time on every call and every multiplication takes a time that is linear in these amounts
with coefficients of at least 0, whatever the coefficients are; ``explorer.measure.predictor`` learns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from explorer.measure.size import flops, parameters
from explorer.space.spec import ArchitectureSpec, Family, HeadOp, LayerSpec

LENGTH = 128
"""Tokens that the FLOPs are counted for; what else is measured on a device is linear in them to a good part."""
OPERATIONS = ("sa_sdp", "sa_wma", "l_dft", "l_dct", "c")
LAYER_AMOUNTS = ("layers", "groups", "heads", "hidden", "linears", "products", "widths", "widest", "joints", "joined")
"""Layers; groups of equal heads; heads; hidden sizes; of the feed-forward stacks the Linears, their weights, their
widths and the widest of each; Linears between layers of different hidden sizes and their weights."""
HEAD_AMOUNTS = ("heads", "sizes", "weights", "kernels")
"""Of each operation: heads; their sizes; size times hidden size; kernel sizes."""
AMOUNTS = (
    "flops",
    "parameters",
    "first",
    "last",
    *LAYER_AMOUNTS,
    *(f"{operation}_{amount}" for operation in OPERATIONS for amount in HEAD_AMOUNTS),
)
"""Names of the columns; ``first`` and ``last`` are hidden sizes, as embeddings, pooler and language head have them."""


def _operation(head: HeadOp) -> str:
    return "c" if head.family is Family.CONVOLUTION else f"{head.family}_{head.parameter}"


def _layer(layer: LayerSpec, before: int) -> NDArray[np.float64]:
    widths = (layer.hidden, *layer.feed_forward, layer.hidden)
    products = sum(a * b for a, b in pairwise(widths))
    joined = before * layer.hidden if before != layer.hidden else 0
    groups, heads = len(set(layer.heads)), len(layer.heads)
    stack = (len(widths) - 1, products, sum(layer.feed_forward), max(layer.feed_forward))
    own = np.array([1, groups, heads, layer.hidden, *stack, joined > 0, joined], dtype=np.float64)
    by_operation = np.zeros((len(OPERATIONS), len(HEAD_AMOUNTS)))
    for head in layer.heads:
        row = OPERATIONS.index(_operation(head))
        by_operation[row] += (1, head.size, head.size * layer.hidden, head.kernel)
    return np.concatenate([own, by_operation.ravel()])


def amounts(specs: Sequence[ArchitectureSpec]) -> NDArray[np.float64]:
    """Amounts ``[N, len(AMOUNTS)]`` of N architectures, none below 0."""
    rows = np.zeros((len(specs), len(AMOUNTS)))
    for row, spec in zip(rows, specs, strict=True):
        hiddens = [spec.layers[0].hidden, *(layer.hidden for layer in spec.layers)]
        row[:2] = flops(spec, LENGTH), parameters(spec, embeddings=False)
        row[2:4] = hiddens[0], hiddens[-1]
        row[4:] = sum(_layer(layer, before) for layer, before in zip(spec.layers, hiddens, strict=False))
    return rows
