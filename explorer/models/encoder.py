"""The encoder as a ``transformers`` model: embeddings, layers of any operations, pooler."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import can_return_tuple

from explorer.errors import InputError
from explorer.models.config import FlexiBertConfig
from explorer.models.layer import EncoderLayer, links
from explorer.models.matrices import MatrixCache
from explorer.models.operations.convolution import ConvolutionHeads
from explorer.models.operations.wma import INITIAL_RANGE, MultiplicativeHeads
from explorer.models.padding import Padding


class Embeddings(nn.Module):
    """Sum of word, token type and, where positions are absolute, position embeddings; then LayerNorm and dropout."""

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.position_embeddings = None if config.relative else nn.Embedding(config.max_position_embeddings, width)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Token and token type ids ``[B, S]`` to ``[B, S, width]``."""
        x = self.word_embeddings(input_ids)
        types = self.token_type_embeddings
        x = x + (types.weight[0] if token_type_ids is None else types(token_type_ids))
        if self.position_embeddings is not None:
            x = x + self.position_embeddings.weight[: input_ids.shape[1]]
        return self.dropout(self.norm(x))


class FlexiBertPreTrainedModel(PreTrainedModel):
    """Base of all FlexiBERT models: initial weights, loading and saving."""

    config_class = FlexiBertConfig
    base_model_prefix = "flexibert"
    _no_split_modules = ["EncoderLayer"]  # noqa: RUF012 - how transformers declares it
    _supports_sdpa = True
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, MultiplicativeHeads):
            init.uniform_(module.weight, -INITIAL_RANGE, INITIAL_RANGE)
        elif isinstance(module, ConvolutionHeads):
            init.normal_(module.weight, 0.0, self.config.initializer_range)
            init.zeros_(module.bias)


class FlexiBertModel(FlexiBertPreTrainedModel):
    """The encoder.

    Args:
        config: the architecture and its settings.
        add_pooling_layer: whether to add ``tanh(Linear(first token))`` for classification.
    """

    def __init__(self, config: FlexiBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        spec = config.spec
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(
            EncoderLayer(layer, link, config) for layer, link in zip(spec.layers, links(config), strict=True)
        )
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if add_pooling_layer else None
        self.matrices = MatrixCache()
        self.gradient_checkpointing = False  # Switched by gradient_checkpointing_enable and _disable.
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings."""
        self.embeddings.word_embeddings = cast(nn.Embedding, value)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutputWithPooling:
        """Encode.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens then 0 for padding on the right; all real if ``None``.
            token_type_ids: ``[B, S]``; all 0 if ``None``.
            output_hidden_states: whether to return the embeddings' and every layer's output.

        Returns:
            ``last_hidden_state [B, S, hidden]``, what it holds at padding has no meaning; ``pooler_output
            [B, hidden]``; ``hidden_states``.

        Raises:
            InputError: the sequences are longer than ``max_position_embeddings``, or padding is not on the right.
        """
        longest = self.config.max_position_embeddings
        if input_ids.shape[1] > longest:
            rule = f"be at most max_position_embeddings = {longest} tokens long"
            raise InputError("input_ids", rule, input_ids.shape[1], "Shorten the sequences.")
        x = self.embeddings(input_ids, token_type_ids)
        padding = Padding(attention_mask, self.matrices, x)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        states = [x]
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x = self._gradient_checkpointing_func(layer.__call__, x, padding)
            else:
                x = layer(x, padding)
            states.append(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else torch.tanh(self.pooler(x[:, 0])),
            hidden_states=tuple(states) if output_hidden_states else None,
        )
