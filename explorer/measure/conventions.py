"""Numbers of parameters by the conventions of papers: which parts count, and how the released code builds them.

One architecture has many sizes. Papers differ in vocabulary, number of positions, and in whether they count the pooler
and a masked-LM head. FlexiBERT's released code also has parameters that this package's models lack, because nothing
reads them: position embeddings next to relative positions, keys of transforms, and the matrix W of ``wma`` in layers of
``sdp``; and its convolutions are built differently. With L(a, b) = a b + b, hidden size h, H heads of size d, kernel k
and P positions, one of its layers has, for its heads,

* per layer (FlexiBERT, arXiv 2205.11656): (2 P - 1) d with relative positions, and 3 L(h, h) for ``l``; d² more for
  ``sa``; for ``c``, with a = h / 2: 3 L(h, a) + h k + h a + a + L(a, k H / 2) + L(h, a);
* per head (FlexiBERT 2.0 of EdgeTran, arXiv 2303.13745): (2 P - 1) d with relative positions, 3 L(h, H d), d² for each
  ``wma`` head, and d k + d² + d + L(d, k) + L(d, d) for each ``c`` head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

from explorer.errors import Advice, InputError, Remedy
from explorer.measure.size import is_relative, parameters
from explorer.space.operations import Family
from explorer.space.spec import ArchitectureSpec, LayerSpec


class Head(StrEnum):
    """Layers on top of the encoder."""

    NONE = "none"
    MLM = "mlm"


@dataclass(frozen=True)
class Counting:
    """The parameters to count.

    Attributes:
        vocab_size: number of tokens.
        max_positions: maximum sequence length, in tokens.
        token_types: number of token types.
        positions: ``relative_key`` or ``absolute``; by default relative, and absolute with a backbone.
        pooler: whether the pooler counts.
        head: the head that counts.
        tied: whether the masked-LM head's decoder is the embedding matrix.
    """

    vocab_size: int = 30_522
    max_positions: int = 512
    token_types: int = 2
    positions: str | None = None
    pooler: bool = False
    head: Head = Head.NONE
    tied: bool = True


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of parameters of the parts of a model."""

    embeddings: int
    encoder: int
    pooler: int
    head: int

    @property
    def total(self) -> int:
        """Number of all parameters."""
        return self.embeddings + self.encoder + self.pooler + self.head


@dataclass(frozen=True)
class Convention:
    """A way of counting.

    Attributes:
        title: whose it is.
        counting: what it counts.
        heads: for released code, the number of parameters of a layer's heads without relative positions; ``None``
            counts this package's models.
        per_layer: whether every layer must have the per-layer form.
        shapes: whether it is for shapes (``True``), for architectures without a backbone (``False``), or for both.
    """

    title: str
    counting: Counting
    heads: Callable[[LayerSpec], int] | None = None
    per_layer: bool = False
    shapes: bool | None = None


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _flexibert_heads(layer: LayerSpec) -> int:
    main, hidden, size = layer.main, layer.hidden, layer.head_size
    assert main is not None  # Architectures that are not per layer were refused.
    if main.family != Family.CONVOLUTION:
        return 3 * _linear(hidden, hidden) + (size * size if main.family == Family.SELF_ATTENTION else 0)
    half, kernel = hidden // 2, int(main.parameter)
    separable = hidden * kernel + hidden * half + half
    return 4 * _linear(hidden, half) + separable + _linear(half, kernel * len(layer.heads) // 2)


def _edgetran_heads(layer: LayerSpec) -> int:
    size = layer.head_size
    total = 3 * _linear(layer.hidden, size * len(layer.heads))
    for head in layer.heads:
        if head.family == Family.CONVOLUTION:
            kernel = int(head.parameter)
            total += size * kernel + size * size + size + _linear(size, kernel) + _linear(size, size)
        elif head.parameter == "wma":
            total += size * size
    return total


_RELEASED = Counting(max_positions=514, token_types=1, positions="relative_key", pooler=True)
_ROBERTA = replace(_RELEASED, vocab_size=50_265)  # EdgeTran counts with RoBERTa's vocabulary.
OWN = "explorer"
CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {
        OWN: Convention("this package's models", Counting()),
        "bert": Convention("BERT's checkpoints", Counting(positions="absolute", pooler=True), shapes=False),
        "flexibert": Convention("FlexiBERT's released code", _RELEASED, _flexibert_heads, per_layer=True, shapes=False),
        "edgetran": Convention("EdgeTran's released code", _ROBERTA, _edgetran_heads, shapes=False),
        "supershaper": Convention("SuperShaper's paper", Counting(28_996, positions="absolute"), shapes=True),
    }
)
"""The conventions by name."""


def find_convention(name: str) -> Convention:
    """Return the convention of a name. Raises InputError if there is none."""
    if name not in CONVENTIONS:
        raise InputError("convention", f"be one of {', '.join(CONVENTIONS)}", name, "Choose one of these.")
    return CONVENTIONS[name]


def count_parameters(
    spec: ArchitectureSpec, convention: Convention, counting: Counting, merged: bool = False
) -> ParameterCount:
    """Count parameters by a convention.

    Args:
        spec: the architecture.
        convention: how the model is built.
        counting: what is counted; ``convention.counting``, or a variant of it.
        merged: whether the bottlenecks between layers are merged; needs a backbone.

    Raises:
        InputError: the convention is not for such architectures, or ``counting`` does not fit them.
    """
    _check(spec, convention, counting)
    relative = is_relative(counting.positions, spec.backbone)
    if convention.heads is None:
        sizes = (counting.vocab_size, counting.max_positions, counting.token_types, counting.positions)
        encoder = parameters(spec, *sizes, embeddings=False, merged=merged)
        embeddings = parameters(spec, *sizes, merged=merged) - encoder
        inner = spec.backbone or spec.layers[0].hidden
    else:
        encoder = _released_encoder(spec, convention.heads, counting.max_positions if relative else 0)
        first = spec.layers[0].hidden
        embeddings = (counting.vocab_size + counting.max_positions + counting.token_types + 2) * first
        inner = spec.layers[-1].hidden
    width = spec.backbone or spec.layers[-1].hidden
    pooler = _linear(width, width) if counting.pooler else 0
    decoder = 0 if counting.tied else counting.vocab_size * inner
    head = _linear(width, inner) + 2 * inner + counting.vocab_size + decoder if counting.head is Head.MLM else 0
    return ParameterCount(embeddings, encoder, pooler, head)


def _check(spec: ArchitectureSpec, convention: Convention, counting: Counting) -> None:
    if convention.shapes is not None and convention.shapes != (spec.backbone is not None):
        kind = "shapes, such as 480,240,…" if convention.shapes else "architectures without a backbone"
        other = f"Use {OWN} for it" + ("." if convention.shapes else ", or supershaper.")
        raise InputError("convention", f"be used with {kind}, if it is that of {convention.title}", spec.depth, other)
    if convention.per_layer and not spec.is_per_layer:
        rule = f"be used with layers of one operation, if it is that of {convention.title}"
        raise InputError("convention", rule, "an operation per head", "Use edgetran for it.")
    ends = (spec.layers[0].hidden, spec.layers[-1].hidden)
    if convention.heads is not None and counting.head is Head.MLM and counting.tied and ends[0] != ends[1]:
        rule = "be untied where the first and the last hidden size differ, as the released code requires"
        raise InputError("head mlm", rule, ends, Advice(Remedy.UNTIED))


def _released_encoder(spec: ArchitectureSpec, heads: Callable[[LayerSpec], int], positions: int) -> int:
    """Count the layers of released code; ``positions`` is 0 without relative ones."""
    total = 0
    for layer in spec.layers:
        total += heads(layer) + max(0, 2 * positions - 1) * layer.head_size
        widths = (layer.hidden, *layer.feed_forward, layer.hidden)
        total += _linear(layer.head_size * len(layer.heads), layer.hidden) + 4 * layer.hidden
        total += sum(_linear(a, b) for a, b in pairwise(widths))
    hidden = [layer.hidden for layer in spec.layers]
    return total + sum(_linear(a, b) for a, b in pairwise(hidden) if a != b)
