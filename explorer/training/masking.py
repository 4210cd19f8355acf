"""Batches for masked language modelling: packed rows, of which 15 % of the tokens are chosen anew every time.

Of the chosen tokens 80 % are masked, 10 % replaced by random ones and 10 % left as they are (BERT, arXiv 1810.04805,
section 3.1; masks that change from epoch to epoch: RoBERTa, arXiv 1907.11692).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.training.tokenizer import MASK, SPECIAL_TOKENS, START

IGNORED = -100
"""Label of the positions that are not to be predicted, as ``transformers`` has it."""


@dataclass(frozen=True)
class MaskedBatch:
    """One batch.

    Attributes:
        inputs: token ids with masks, ``[B, S]``.
        labels: the original ids at the chosen positions, ``IGNORED`` elsewhere, ``[B, S]``.
    """

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]


def mask_tokens(rows: NDArray[np.int64], vocab_size: int, share: float, rng: np.random.Generator) -> MaskedBatch:
    """Choose a share of the ordinary tokens of a batch and hide them; special tokens are never chosen.

    Args:
        rows: token ids, ``[B, S]``.
        vocab_size: random replacements are drawn from the ordinary tokens below it.
        share: share of the ordinary tokens to predict.
        rng: where chance comes from.
    """
    flat = rows.reshape(-1)
    inputs, labels = flat.copy(), np.full_like(flat, IGNORED)
    ordinary = np.flatnonzero(flat >= len(SPECIAL_TOKENS))
    chosen = rng.permutation(ordinary)[: max(1, round(share * len(ordinary)))]
    labels[chosen] = flat[chosen]
    masked, random = round(0.8 * len(chosen)), round(0.9 * len(chosen))
    inputs[chosen[:masked]] = MASK
    inputs[chosen[masked:random]] = rng.integers(len(SPECIAL_TOKENS), vocab_size, random - masked)
    return MaskedBatch(inputs.reshape(rows.shape), labels.reshape(rows.shape))


def packed_rows(
    tokens: NDArray[np.uint16], length: int, batch: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield batches of rows ``[B, S]`` for ever: each row is ``<s>`` and the next S - 1 tokens of the stream.

    Every epoch cuts the stream at a new offset and visits the rows in a new order; a text shorter than two rows is
    repeated.

    Args:
        tokens: the text as one stream of ids, ``[T]``; may be memory-mapped.
        length: S.
        batch: B.
        rng: where chance comes from.
    """
    width = length - 1
    if len(tokens) < 2 * width:
        tokens = np.tile(tokens, -(-2 * width // len(tokens)))
    starts: list[int] = []
    while True:
        while len(starts) < batch:
            offset = int(rng.integers(width))
            cuts = np.arange(offset, len(tokens) - width + 1, width)
            starts += [int(start) for start in rng.permutation(cuts)]
        now, starts = starts[:batch], starts[batch:]
        rows = np.full((batch, length), START, dtype=np.int64)
        for row, start in enumerate(now):
            rows[row, 1:] = tokens[start : start + width]
        yield rows
