"""Configuration of a FlexiBERT encoder (arXiv 2205.11656): an architecture, a vocabulary and BERT's settings.

An architecture with a backbone is a SuperShaper shape (arXiv 2110.04711): its layers stand between linear bottlenecks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from transformers import PretrainedConfig

from explorer.errors import InputError
from explorer.space.formats import from_model_dict, to_model_dict
from explorer.space.spec import ArchitectureSpec, LayerSpec


class Positions(StrEnum):
    """How an encoder knows where a token stands."""

    RELATIVE_KEY = "relative_key"
    ABSOLUTE = "absolute"


def _bert_tiny() -> dict[str, Any]:
    layer = LayerSpec.per_layer(128, "sa", "sdp", 2, (512,))
    return to_model_dict(ArchitectureSpec((layer, layer)))


class FlexiBertConfig(PretrainedConfig):
    """Everything needed to build a FlexiBERT encoder.

    Attributes:
        model_dict: the architecture in either ``model_dict`` form (``explorer.space.formats``); stored in its normal
            form. BERT-Tiny by default.
        vocab_size: number of tokens.
        max_position_embeddings: longest sequence, in tokens.
        type_vocab_size: number of token types.
        position_embedding_type: ``relative_key`` (Shaw et al., arXiv 1803.02155) or ``absolute``; by default relative,
            and absolute with a backbone, as in either paper.
        merged_bottlenecks: whether the two bottlenecks between one layer and the next are one Linear, their product;
            only with a backbone.
        hidden_dropout_prob: dropout after the embeddings, the heads, the feed-forward stack and before the classifier.
        attention_probs_dropout_prob: dropout of attention weights and of convolution kernels.
        layer_norm_eps: added to the variance in every LayerNorm.
        initializer_range: standard deviation of initial weights.
        pad_token_id: the padding token, whose embedding starts at zero and is never trained.
        tie_word_embeddings: whether the masked-LM decoder is the embedding matrix.

    Raises:
        InputError: a value breaks a rule (SpecError where it lies in ``model_dict``).
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
        """Check every value and bring the architecture into its normal form."""
        self.model_dict = to_model_dict(from_model_dict(_bert_tiny() if self.model_dict is None else self.model_dict))
        for name in ("vocab_size", "max_position_embeddings", "type_vocab_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(name, "be a whole number of at least 1", value, "Correct the number.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise InputError(name, "lie in [0, 1)", value, "Use for example 0.1.")
        for name in ("layer_norm_eps", "initializer_range"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise InputError(name, "be a positive number", value, "Use the default.")
        backbone = self.model_dict.get("b")
        if not isinstance(self.merged_bottlenecks, bool) or (self.merged_bottlenecks and not backbone):
            rule = "be true or false, and false without a backbone"
            raise InputError("merged_bottlenecks", rule, self.merged_bottlenecks, "Use the default.")
        if self.position_embedding_type is None:
            self.position_embedding_type = Positions.ABSOLUTE if backbone else Positions.RELATIVE_KEY
        if self.position_embedding_type not in set(Positions):
            rule = f"be {' or '.join(Positions)}"
            raise InputError("position_embedding_type", rule, self.position_embedding_type, "Use one of the two.")
        self.position_embedding_type = str(self.position_embedding_type)
        pad = self.pad_token_id
        if pad is not None and (isinstance(pad, bool) or not isinstance(pad, int) or not 0 <= pad < self.vocab_size):
            raise InputError("pad_token_id", f"lie in [0, {self.vocab_size})", pad, "Use the tokenizer's padding id.")
        super().__post_init__(**kwargs)

    @classmethod
    def from_spec(cls, spec: ArchitectureSpec, **settings: Any) -> FlexiBertConfig:
        """Configuration of an architecture; ``settings`` are the other attributes.

        Raises:
            InputError: a setting breaks a rule.
        """
        return cls(model_dict=to_model_dict(spec), **settings)

    @property
    def spec(self) -> ArchitectureSpec:
        """The architecture."""
        return from_model_dict(self.model_dict)

    @property
    def relative(self) -> bool:
        """Whether positions are relative."""
        return self.position_embedding_type == Positions.RELATIVE_KEY

    @property
    def embedding_size(self) -> int:
        """Width of the token embeddings: the backbone's, else the hidden size of the first layer."""
        return self.spec.backbone or self.spec.layers[0].hidden

    @property
    def hidden_size(self) -> int:
        """Width of the encoder's output: the backbone's, else the hidden size of the last layer."""
        return self.spec.backbone or self.spec.layers[-1].hidden

    @property
    def num_hidden_layers(self) -> int:
        """Number of layers."""
        return self.spec.depth
