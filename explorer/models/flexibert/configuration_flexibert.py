"""FlexiBERT configuration (arXiv 2205.11656): an architecture, a vocabulary and BERT's settings.

With a backbone the architecture is a SuperShaper shape (arXiv 2110.04711): every layer stands between two linear
bottlenecks. ``save_pretrained`` copies this file and ``modeling_flexibert.py`` next to the weights, so both import
nothing but torch and transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from transformers import PretrainedConfig

AUTO_MAP = {
    "AutoConfig": "configuration_flexibert.FlexiBertConfig",
    "AutoModel": "modeling_flexibert.FlexiBertModel",
    "AutoModelForMaskedLM": "modeling_flexibert.FlexiBertForMaskedLM",
    "AutoModelForSequenceClassification": "modeling_flexibert.FlexiBertForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_flexibert.FlexiBertForTokenClassification",
}
"""The class that each Auto class loads from a saved folder with ``trust_remote_code=True``."""


class Positions(StrEnum):
    """How the encoder represents token positions."""

    RELATIVE_KEY = "relative_key"
    ABSOLUTE = "absolute"


@dataclass(frozen=True)
class LayerConfig:
    """One encoder layer.

    Attributes:
        inputs: width of the layer's input.
        projected: whether a Linear maps the input to the hidden size.
        hidden: hidden size.
        head_size: width of each head.
        groups: (operation, number of heads) in the order of the head outputs; an operation is ``FAMILY_PARAMETER``,
            for example ``sa_sdp`` or ``c_5``.
        feed_forward: widths of the feed-forward stack.
        outputs: width that a Linear maps the layer's output to; ``None`` without such a Linear.
    """

    inputs: int
    projected: bool
    hidden: int
    head_size: int
    groups: tuple[tuple[str, int], ...]
    feed_forward: tuple[int, ...]
    outputs: int | None

    @property
    def heads(self) -> int:
        """Number of heads."""
        return sum(count for _, count in self.groups)


def _size(name: str, value: object) -> int:
    """Return ``value`` if it is a positive int. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")
    return value


def _heads(model_dict: Mapping[str, Any], index: int) -> tuple[int, list[tuple[str, str]]]:
    """Return head size and (family, parameter) of every head of a layer. Raises ValueError."""
    written = model_dict["o"][index]
    if isinstance(written, str):
        hidden, count = model_dict["h"][index], _size(f"n[{index}]", model_dict["n"][index])
        if hidden % count or (written == "c" and count % 2):
            raise ValueError(f"n[{index}] must divide the hidden size and be even for c, but got {count}")
        heads = [(written, str(model_dict["p"][index]))] * count
        if written == "c":  # Half of a convolution layer's heads are self-attention (ConvBERT's head ratio of 2).
            heads[: count // 2] = [("sa", "sdp")] * (count // 2)
        return hidden // count, heads
    parts = [text.split("_") for text in written]
    sizes = {int(size) for _, _, size in parts}
    if len(sizes) != 1:
        raise ValueError(f"o[{index}] must list heads of one size, but got sizes {sorted(sizes)}")
    return _size(f"head size of o[{index}]", sizes.pop()), [(family, parameter) for family, parameter, _ in parts]


def parse_layers(model_dict: Mapping[str, Any], merged: bool) -> tuple[LayerConfig, ...]:
    """Read a ``model_dict`` of either form.

    Args:
        model_dict: per layer ``{"l": 2, "o": ["sa", "l"], "h": [128, 128], "n": [2, 4], "f": [[512], [1024]], "p":
            ["sdp", "dct"]}``; or per head, with ``FAMILY_PARAMETER_SIZE`` in ``o[i]`` and neither ``n`` nor ``p``. The
            backbone's width, if there is one, is ``b``.
        merged: whether adjacent bottlenecks are one Linear.

    Raises:
        ValueError: an entry is missing or has an invalid value.
    """
    try:
        depth, backbone = _size("l", model_dict["l"]), model_dict.get("b")
        hidden = [_size(f"h[{index}]", model_dict["h"][index]) for index in range(depth)]
        layers = []
        for index, size in enumerate(hidden):
            before = hidden[max(0, index - 1)]
            if backbone is not None and (index == 0 or not merged):
                before = _size("b", backbone)
            head_size, heads = _heads(model_dict, index)
            # The order of heads carries no meaning in model_dict; in the weights they are sorted.
            groups = Counter("_".join(head) for head in sorted(heads))
            stack = tuple(_size(f"f[{index}]", width) for width in model_dict["f"][index])
            if not stack or not groups:
                raise ValueError(f"layer {index} must have at least one head and one feed-forward width")
            outputs = backbone if index == depth - 1 or not merged else None
            projected = backbone is not None or before != size
            layers.append(LayerConfig(before, projected, size, head_size, tuple(groups.items()), stack, outputs))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"model_dict must describe an encoder: {type(error).__name__}: {error}") from None
    return tuple(layers)


def _bert_tiny() -> dict[str, Any]:
    return {"l": 2, "o": ["sa"] * 2, "h": [128] * 2, "n": [2] * 2, "f": [[512], [512]], "p": ["sdp"] * 2}


class FlexiBertConfig(PretrainedConfig):
    """Configuration of a FlexiBERT encoder.

    Attributes:
        model_dict: the architecture in either form (see ``parse_layers``); BERT-Tiny by default.
        vocab_size: number of tokens.
        max_position_embeddings: maximum sequence length, in tokens.
        type_vocab_size: number of token types.
        position_embedding_type: ``relative_key`` (Shaw et al., arXiv 1803.02155) or ``absolute``; by default relative,
            and absolute with a backbone, as in the two papers.
        merged_bottlenecks: whether the two bottlenecks between adjacent layers are merged into one Linear, their
            product; requires a backbone.
        hidden_dropout_prob: dropout after the embeddings, the heads, the feed-forward stack and before the classifier.
        attention_probs_dropout_prob: dropout of attention weights and of convolution kernels.
        layer_norm_eps: added to the variance in every LayerNorm.
        initializer_range: standard deviation of the weight initialisation.
        pad_token_id: the padding token; its embedding is initialised to zero and not trained.
        tie_word_embeddings: whether the masked-LM decoder shares the embedding matrix.

    Raises:
        ValueError: a value breaks a rule.
    """

    model_type = "flexibert"

    model_dict: dict[str, Any] | None = None
    vocab_size: int = 30522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    position_embedding_type: str | None = None
    merged_bottlenecks: bool = False
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        """Validate every value and fill in the defaults that depend on others."""
        self.model_dict = _bert_tiny() if self.model_dict is None else self.model_dict
        for name in ("vocab_size", "max_position_embeddings", "type_vocab_size"):
            _size(name, getattr(self, name))
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), but got {value!r}")
        for name in ("layer_norm_eps", "initializer_range"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{name} must be a positive number, but got {value!r}")
        if not isinstance(self.merged_bottlenecks, bool) or (self.merged_bottlenecks and self.backbone is None):
            rule = "be true or false, and false without a backbone"
            raise ValueError(f"merged_bottlenecks must {rule}, but got {self.merged_bottlenecks!r}")
        if self.position_embedding_type is None:
            self.position_embedding_type = Positions.RELATIVE_KEY if self.backbone is None else Positions.ABSOLUTE
        if self.position_embedding_type not in set(Positions):
            rule = f"be {' or '.join(Positions)}"
            raise ValueError(f"position_embedding_type must {rule}, but got {self.position_embedding_type!r}")
        self.position_embedding_type = str(self.position_embedding_type)
        pad = self.pad_token_id
        if pad is not None and (isinstance(pad, bool) or not isinstance(pad, int) or not 0 <= pad < self.vocab_size):
            raise ValueError(f"pad_token_id must lie in [0, {self.vocab_size}), but got {pad!r}")
        _ = self.layers  # Validates model_dict.
        kwargs.setdefault("auto_map", dict(AUTO_MAP))
        super().__post_init__(**kwargs)

    @property
    def layers(self) -> tuple[LayerConfig, ...]:
        """The layers, input to output. Raises ValueError if ``model_dict`` is invalid."""
        return parse_layers(self.model_dict or {}, self.merged_bottlenecks)

    @property
    def backbone(self) -> int | None:
        """Width between layers with bottlenecks; ``None`` for architectures without."""
        return self.model_dict.get("b") if isinstance(self.model_dict, Mapping) else None

    @property
    def relative(self) -> bool:
        """Whether positions are relative."""
        return self.position_embedding_type == Positions.RELATIVE_KEY

    @property
    def embedding_size(self) -> int:
        """Width of the token embeddings: the backbone's, else the hidden size of the first layer."""
        return self.layers[0].inputs

    @property
    def hidden_size(self) -> int:
        """Width of the encoder's output: the backbone's, else the hidden size of the last layer."""
        last = self.layers[-1]
        return last.outputs or last.hidden

    @property
    def num_hidden_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)
