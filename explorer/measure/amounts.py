"""Amounts of work of an architecture that add up over its layers: features for device predictors; nothing is built.

A device that spends a fixed time on every call and every multiplication takes a time that is linear in these amounts,
with non-negative coefficients; ``explorer.measure.predictor`` fits them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from explorer.measure.size import flops, parameters
from explorer.space.operations import OPERATIONS, find_operation
from explorer.space.spec import ArchitectureSpec, LayerSpec

LENGTH = 128
"""Sequence length of the FLOPs. Other lengths change measurements by about the same factor for all architectures."""
SIZES = ("flops", "parameters", "first", "last")
"""FLOPs; parameters; first and last hidden size, which determine the cost of embeddings, pooler and masked-LM head."""
LAYER_AMOUNTS = ("layers", "groups", "heads", "hidden", "linears", "products", "widths", "widest", "joints", "joined")
"""Layers; groups of equal heads; heads; hidden sizes; of the feed-forward stacks the Linears, their weights, their
widths and the widest of each; Linears between layers of different hidden sizes and their weights."""
HEAD_AMOUNTS = ("heads", "sizes", "weights", "kernels")
"""For each operation: heads; their sizes; size times hidden size; kernel sizes."""


def amount_names() -> list[str]:
    """Return the names of the columns of ``amounts``."""
    return [*SIZES, *LAYER_AMOUNTS, *(f"{operation}_{amount}" for operation in OPERATIONS for amount in HEAD_AMOUNTS)]


def _layer(layer: LayerSpec, before: int) -> NDArray[np.float64]:
    """Compute the amounts of one layer, those of ``SIZES`` excepted."""
    widths = (layer.hidden, *layer.feed_forward, layer.hidden)
    products = sum(a * b for a, b in pairwise(widths))
    joined = before * layer.hidden if before != layer.hidden else 0
    groups, heads = len(set(layer.heads)), len(layer.heads)
    stack = (len(widths) - 1, products, sum(layer.feed_forward), max(layer.feed_forward))
    own = np.array([1, groups, heads, layer.hidden, *stack, joined > 0, joined], dtype=np.float64)
    rows = {operation: np.zeros(len(HEAD_AMOUNTS)) for operation in OPERATIONS}
    for head in layer.heads:
        operation = find_operation(head.family, head.parameter)
        rows[operation.key] += (1, head.size, head.size * layer.hidden, head.kernel)
    return np.concatenate([own, *rows.values()])


def amounts(specs: Sequence[ArchitectureSpec]) -> NDArray[np.float64]:
    """Compute the amounts of N architectures, ``[N, len(amount_names())]``, all non-negative."""
    rows = np.zeros((len(specs), len(amount_names())))
    for row, spec in zip(rows, specs, strict=True):
        hiddens = [spec.layers[0].hidden, *(layer.hidden for layer in spec.layers)]
        row[:2] = flops(spec, LENGTH), parameters(spec, embeddings=False)
        row[2:4] = hiddens[0], hiddens[-1]
        row[4:] = sum(_layer(layer, before) for layer, before in zip(spec.layers, hiddens, strict=False))
    return rows
