"""Perplexity of shapes inside a super-network, on held-out text with fixed masks.

Shapes are evaluated in lexicographic order of their widths: shapes with a common prefix share the activations of these
layers, which are computed once per batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.models import FlexiBertForMaskedLM
from explorer.models.flexibert.modeling_flexibert import IGNORED, Padding
from explorer.supershaper.network import SuperNetwork, Widths
from explorer.supershaper.text import SuperText
from explorer.training.masking import MaskedBatches

MASK_SEED = 0
SHARE = 0.15


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows with fixed masks.

    Attributes:
        inputs: token ids with masks, each ``[B, S]``.
        labels: the true ids at masked positions, -100 elsewhere, each ``[B, S]``.
    """

    inputs: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]

    @classmethod
    def of(cls, text: SuperText, length: int, rows: int = 256, batch: int = 32) -> HeldOut:
        """Return the first ``rows`` rows of ``length`` tokens, or fewer if the text is shorter; deterministic.

        Rows are rounded down to whole batches, at least one, which is smaller for a short text. The property ``rows``
        is the actual number.
        """
        most = max(1, len(text.held_out) // length)
        batch = min(batch, most)
        rows = max(1, min(rows, most) // batch) * batch
        prepared = text.prepared
        size = (length, batch, prepared.vocab_size)
        batches = MaskedBatches(text.held_out, *size, SHARE, MASK_SEED, prepared.special)
        found = [batches.batch(number) for number in range(rows // batch)]
        return cls(
            tuple(torch.from_numpy(one.inputs) for one in found), tuple(torch.from_numpy(one.labels) for one in found)
        )

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(len(ids) for ids in self.inputs)

    @property
    def labelled(self) -> int:
        """The number of masked tokens."""
        return sum(int((labels != IGNORED).sum()) for labels in self.labels)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(self.inputs, self.labels, strict=True))


def perplexity(model: FlexiBertForMaskedLM, held_out: HeldOut) -> float:
    """Return the masked-LM perplexity of a model: exp of the mean cross-entropy over all labelled tokens."""
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for ids, labels in held_out:
            ids, labels = ids.to(model.device), labels.to(model.device)
            hidden = model.flexibert(ids, return_dict=True).last_hidden_state
            total += _loss(model, hidden, labels)
    return math.exp(total / held_out.labelled)


def perplexities(
    network: SuperNetwork,
    shapes: Sequence[Widths],
    held_out: HeldOut,
    on_shape: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Return the masked-LM perplexity of shapes inside a super-network.

    Args:
        network: the super-network; it is left in evaluation mode.
        shapes: N shapes.
        held_out: rows to evaluate on.
        on_shape: called with the equivalent number of finished shapes.

    Returns:
        N perplexities, in the order of the shapes.

    Raises:
        SpecError: a shape does not fit the backbone.
    """
    network.model.eval()
    order = sorted(set(map(tuple, shapes)))
    subs = [network.sub_network(widths) for widths in order]
    embeddings = network.model.flexibert.embeddings
    totals = np.zeros(len(order))
    done = 0
    with torch.inference_mode():
        for ids, labels in held_out:
            ids, labels = ids.to(network.model.device), labels.to(network.model.device)
            # Outputs of the embeddings and of each layer of the previous shape.
            states = [embeddings(embeddings.word_embeddings(ids), None)]
            padding = Padding(None, network.model.flexibert.matrices, states[0])
            for number, (widths, sub) in enumerate(zip(order, subs, strict=True)):
                common = _common(widths, order[number - 1]) if number else 0
                del states[common + 1 :]
                for layer in list(sub.flexibert.layers)[common:]:
                    states.append(layer(states[-1], padding))
                totals[number] += _loss(sub, states[-1], labels)
                done += 1
                on_shape(done // len(held_out.inputs))
    found = dict(zip(order, np.exp(totals / held_out.labelled).tolist(), strict=True))
    return [found[tuple(widths)] for widths in shapes]


def _common(one: Widths, other: Widths) -> int:
    """Return the length of the common prefix of two shapes."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


def _loss(model: FlexiBertForMaskedLM, hidden: Tensor, labels: Tensor) -> float:
    """Return the summed cross-entropy of the labelled tokens."""
    labelled = labels != IGNORED
    logits = cast(Tensor, model.head(hidden[labelled])).float()
    return float(F.cross_entropy(logits, labels[labelled], reduction="sum"))
