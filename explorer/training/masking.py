"""Batches for masked language modelling: packed rows with dynamic masking of 15 % of the tokens.

80 % of the selected tokens are masked, 10 % replaced by random ones and 10 % left unchanged (BERT, arXiv 1810.04805,
section 3.1; dynamic masking: RoBERTa, arXiv 1907.11692).

A batch depends only on the seed and its number, so a resumed or distributed training computes exactly the batches it
needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.training.tokenizer import OURS, START, SpecialIds

IGNORED = -100
"""Label of positions without a prediction, as in ``transformers``."""
ORDER, MASKS = 0, 1
"""Random streams of one seed."""


@dataclass(frozen=True)
class MaskedBatch:
    """One batch.

    Attributes:
        inputs: token ids with masks, ``[B, S]``.
        labels: the original ids at the chosen positions, ``IGNORED`` elsewhere, ``[B, S]``.
    """

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]


def mask_tokens(
    rows: NDArray[np.int64], vocab_size: int, share: float, rng: np.random.Generator, special: SpecialIds = OURS
) -> MaskedBatch:
    """Select and mask a share of the ordinary tokens of a batch; special tokens are never selected.

    Args:
        rows: token ids, ``[B, S]``.
        vocab_size: random replacements are drawn from the ordinary tokens below it.
        share: share of the ordinary tokens to predict.
        rng: random generator.
        special: ids of the special tokens.
    """
    flat = rows.reshape(-1)
    inputs, labels = flat.copy(), np.full_like(flat, IGNORED)
    ordinary = np.flatnonzero(np.isin(flat, special.all, invert=True))
    chosen = rng.permutation(ordinary)[: max(1, round(share * len(ordinary)))]
    labels[chosen] = flat[chosen]
    masked, random = round(0.8 * len(chosen)), round(0.9 * len(chosen))
    inputs[chosen[:masked]] = special.mask
    others = rng.integers(0, vocab_size - len(special.all), random - masked)
    for id_ in special.all:  # Map indices of ordinary tokens to their ids.
        others += others >= id_
    inputs[chosen[masked:random]] = others
    return MaskedBatch(inputs.reshape(rows.shape), labels.reshape(rows.shape))


class PackedRows:
    """Rows of a text: each is ``<s>`` and the next S - 1 tokens of the stream.

    Every epoch cuts the stream at a new offset and visits the rows in a new order; a text shorter than two rows is
    repeated.

    Args:
        tokens: the text as one stream of ids, ``[T]``; may be memory-mapped.
        length: S.
        seed: seed of offsets and orders.
        start: first token of every row.
    """

    def __init__(self, tokens: NDArray[np.uint16], length: int, seed: int, start: int = START) -> None:
        self._width, self._start = length - 1, start
        if len(tokens) < 2 * self._width:
            tokens = np.tile(tokens, -(-2 * self._width // len(tokens)))
        self._tokens, self._seed = tokens, seed
        self._cuts: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        self.epoch = (len(tokens) - self._width + 1) // self._width
        """Number of rows per epoch: those that fit after any offset."""

    def rows(self, first: int, count: int) -> NDArray[np.int64]:
        """Return rows ``first`` to ``first + count``, counted over all epochs, ``[count, S]``."""
        starts: list[NDArray[np.int64]] = []
        while count > 0:
            epoch, index = divmod(first, self.epoch)
            starts.append(self._order(epoch)[index : index + count])
            first, count = first + len(starts[-1]), count - len(starts[-1])
        begin = np.concatenate(starts)
        rows = np.full((len(begin), self._width + 1), self._start, dtype=np.int64)
        rows[:, 1:] = self._tokens[begin[:, None] + np.arange(self._width)]
        return rows

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the starts of an epoch's rows in its order; the latest epoch is cached."""
        if self._cuts[0] != epoch:
            rng = np.random.default_rng([self._seed, ORDER, epoch])
            offset = int(rng.integers(self._width))
            self._cuts = (epoch, rng.permutation(self.epoch) * self._width + offset)
        return self._cuts[1]


class MaskedBatches:
    """The numbered batches of one pre-training.

    Args:
        tokens: the text as one stream of ids, ``[T]``; may be memory-mapped.
        length: S, tokens of a row.
        size: B, rows of a batch.
        vocab_size: tokens of the vocabulary.
        share: share of the ordinary tokens to predict.
        seed: seed of rows and masks.
        special: ids of the special tokens.
    """

    def __init__(
        self,
        tokens: NDArray[np.uint16],
        length: int,
        size: int,
        vocab_size: int,
        share: float,
        seed: int,
        special: SpecialIds = OURS,
    ) -> None:
        self._rows, self._special = PackedRows(tokens, length, seed, special.start), special
        self._size, self._vocab_size, self._share, self._seed = size, vocab_size, share, seed

    def batch(self, number: int) -> MaskedBatch:
        """Return batch ``number`` (from 0), ``[B, S]``."""
        rows = self._rows.rows(number * self._size, self._size)
        rng = np.random.default_rng([self._seed, MASKS, number])
        return mask_tokens(rows, self._vocab_size, self._share, rng, self._special)
