"""Transfer of weights from a trained donor into a fresh model of another architecture, from the embeddings upwards.

The residual stream of adjacent layers of one width is one set of neurons: the embeddings align it, every add & norm
preserves it; after a Linear between layers, such as a bottleneck, it is a new one. Layers are paired by index from the
input. Of layers that differ, heads of equal operation and the feed-forward stack are still transferred. Parameters
without a counterpart keep the recipient's initial values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.models.architecture import spec_of
from explorer.models.flexibert.configuration_flexibert import FlexiBertConfig
from explorer.models.flexibert.modeling_flexibert import FlexiBertForMaskedLM
from explorer.models.transfer.fitting import Fitting, Transfer
from explorer.models.transfer.heads import HeadsFitting, places
from explorer.models.transfer.maps import SAME, AxisMap, leading, same
from explorer.models.transfer.report import TransferReport
from explorer.space.spec import ArchitectureSpec, LayerSpec

EMBEDDINGS, HEAD = "flexibert.embeddings", "head"
WORDS = f"{EMBEDDINGS}.word_embeddings.weight"
DECODER = f"{HEAD}.decoder"


def transfer_weights(
    donor: FlexiBertForMaskedLM, recipient: FlexiBertForMaskedLM, settings: Transfer, generator: torch.Generator
) -> TransferReport:
    """Fill a recipient with the weights of a donor, in place.

    Args:
        donor: the trained model; not changed.
        recipient: an untrained model of any architecture with the same vocabulary.
        settings: the method and its strengths.
        generator: a CPU generator of random projections.

    Raises:
        InputError: the vocabularies differ, or POT is needed and not installed.
    """
    olds, owns = dict(donor.named_parameters()), dict(recipient.named_parameters())
    configs = cast(FlexiBertConfig, donor.config), cast(FlexiBertConfig, recipient.config)
    filled, report = transferred(configs[0], olds, configs[1], owns, settings, generator)
    with torch.no_grad():
        for name, value in filled.items():
            owns[name].copy_(value)
    return report


def transferred(
    donor: FlexiBertConfig,
    old: Mapping[str, Tensor],
    recipient: FlexiBertConfig,
    own: Mapping[str, Tensor],
    settings: Transfer,
    generator: torch.Generator,
) -> tuple[dict[str, Tensor], TransferReport]:
    """Compute the tensors that a transfer fills, in float64, and its report; nothing is changed.

    Args:
        donor: the donor's configuration.
        old: the donor's tensors by name, tied ones once.
        recipient: the recipient's configuration.
        own: the recipient's tensors by name, tied ones once.
        settings: the method and its strengths.
        generator: a CPU generator of random projections.

    Raises:
        InputError: the vocabularies differ, or POT is needed and not installed.
    """
    if donor.vocab_size != recipient.vocab_size:
        rule = f"equal the donor's, {donor.vocab_size} tokens"
        raise InputError("vocabulary", rule, recipient.vocab_size, "Choose a donor trained with the same tokenizer.")
    walk = _Walk(Fitting(old, own, settings, generator), spec_of(donor), spec_of(recipient))
    walk.run(tied=recipient.tie_word_embeddings)
    return walk.fitting.filled, TransferReport(settings.method, walk.fitting.reports(), tuple(walk.notes))


class _Walk:
    def __init__(self, fitting: Fitting, old: ArchitectureSpec, new: ArchitectureSpec) -> None:
        self.fitting, self._old, self._new = fitting, old, new
        self.notes: list[tuple[str, str]] = []
        # Transforms read slices of the stream, whose order has a meaning.
        groups = (place for spec in (old, new) for layer in spec.layers for place in places(layer))
        self._pinned = fitting.fusing and any(place.kind.ordered for place in groups)

    def run(self, tied: bool) -> None:
        words = self._embeddings()
        stream = words
        for index in range(min(self._old.depth, self._new.depth)):
            stream = self._layer(index, stream)
        for index in range(self._new.depth, self._old.depth):
            self.notes.append((f"layer {self._new.depth - 1}", f"the donor's layer {index} is left out"))
        self._head(words, self._last(words, stream), tied)

    def _stream(self, old_rows: Tensor, own_rows: Tensor) -> AxisMap:
        if self._pinned and len(old_rows) == len(own_rows):
            return same(len(old_rows))
        return self.fitting.axis(old_rows, own_rows)

    def _embeddings(self) -> AxisMap:
        fitting = self.fitting
        stream = self._stream(fitting.old[WORDS].T, fitting.own[WORDS].T)
        fitting.put(WORDS, fitting.old[WORDS], SAME, stream.out)
        for kind in ("token_type", "position"):
            name = f"{EMBEDDINGS}.{kind}_embeddings.weight"
            if name in fitting.old and name in fitting.own:
                rows = leading(len(fitting.own[name]), len(fitting.old[name]))
                fitting.put(name, fitting.old[name], rows.out, stream.out)
        fitting.norm(f"{EMBEDDINGS}.norm", stream)
        return stream

    def _between(self, name: str, stream: AxisMap, old_size: int, new_size: int) -> AxisMap:
        """Return the map of the stream after a Linear, if either model has that Linear."""
        fitting = self.fitting
        had, has = (f"{name}.weight" in tensors for tensors in (fitting.old, fitting.own))
        if not had and not has:
            return stream
        # A model without the Linear behaves as if it were the identity.
        before = fitting.old[f"{name}.weight"] if had else torch.eye(old_size, dtype=torch.float64)
        own = fitting.own[f"{name}.weight"] if has else torch.eye(new_size, dtype=torch.float64)
        now = self._stream(stream.into.apply(before, 1), own)
        if had:
            fitting.linear(name, now.out, stream.into)
        else:
            fitting.bridge(name, old_size, now.out, stream.into)
        return now

    def _layer(self, index: int, inflow: AxisMap) -> AxisMap:
        old, new, prefix = self._old.layers[index], self._new.layers[index], f"flexibert.layers.{index}"
        stream = self._between(f"{prefix}.projection", inflow, old.hidden, new.hidden)
        heads = HeadsFitting(self.fitting, prefix, new, old, stream)
        self.fitting.linear(f"{prefix}.output", stream.out, heads.fit())
        self.fitting.norm(f"{prefix}.output_norm", stream)
        self._feed_forward(prefix, old, new, stream)
        self.fitting.norm(f"{prefix}.feed_forward_norm", stream)
        if new != old:
            self.notes.append((f"layer {index}", heads.note))
        return self._between(f"{prefix}.expansion", stream, old.hidden, new.hidden)

    def _feed_forward(self, prefix: str, old: LayerSpec, new: LayerSpec, stream: AxisMap) -> None:
        """Fill the Linears that both stacks have; the one back to the stream only if the stacks are equally deep."""
        fitting, inner = self.fitting, stream
        for depth in range(min(len(old.feed_forward), len(new.feed_forward))):
            name = f"{prefix}.feed_forward.{depth}"
            rows = inner.into.apply(fitting.old[f"{name}.weight"], 1)
            outer = fitting.axis(rows, fitting.own[f"{name}.weight"])
            fitting.linear(name, outer.out, inner.into)
            inner = outer
        name = f"{prefix}.feed_forward_output"
        if len(old.feed_forward) == len(new.feed_forward):
            fitting.linear(name, stream.out, inner.into)
        else:
            fitting.put(f"{name}.bias", fitting.old[f"{name}.bias"], stream.out)

    def _last(self, words: AxisMap, stream: AxisMap) -> AxisMap:
        """Return the map of the stream that the head reads; fit it to the head if the last layers are not a pair."""
        shared = min(self._old.depth, self._new.depth)
        width = self._new.layers[shared - 1].hidden, self._old.layers[shared - 1].hidden
        rest = (self._new.layers[shared:], self._old.layers[shared:])
        # A bottleneck starts a new stream even at equal width.
        kept = not any(spec.backbone and layers for spec, layers in zip((self._new, self._old), rest, strict=True))
        if kept and all(layer.hidden == size for layers, size in zip(rest, width, strict=True) for layer in layers):
            return stream
        name = f"{HEAD}.dense.weight"
        return self.fitting.axis(words.out.apply(self.fitting.old[name], 0).T, self.fitting.own[name].T)

    def _head(self, words: AxisMap, last: AxisMap, tied: bool) -> None:
        fitting = self.fitting
        fitting.linear(f"{HEAD}.dense", words.out, last.into)
        if tied:
            # The decoder is the embedding matrix, which was mapped as a writer of the stream.
            fitting.put(f"{HEAD}.norm.weight", fitting.old[f"{HEAD}.norm.weight"], words.dual_gain)
            fitting.put(f"{HEAD}.norm.bias", fitting.old[f"{HEAD}.norm.bias"], words.into)
        else:
            fitting.norm(f"{HEAD}.norm", words)
            decoder = fitting.old.get(f"{DECODER}.weight", fitting.old[WORDS])
            fitting.put(f"{DECODER}.weight", decoder, SAME, words.into)
        fitting.put(f"{DECODER}.bias", fitting.old[f"{DECODER}.bias"])
