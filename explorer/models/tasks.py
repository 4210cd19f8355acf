"""The encoder with a head for masked language modelling, or for classifying sequences or tokens."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput, TokenClassifierOutput
from transformers.utils.generic import can_return_tuple

from explorer.models.config import FlexiBertConfig
from explorer.models.encoder import FlexiBertModel, FlexiBertPreTrainedModel

IGNORED = -100
"""Label of tokens that are not to be predicted."""
MULTI_LABEL = "multi_label_classification"
"""``problem_type`` of a configuration whose classes do not exclude each other."""


class MaskedLMHead(nn.Module):
    """BERT's head: Linear, GELU, LayerNorm, then scores of all tokens by the embedding matrix and a bias."""

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.norm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        """``[*, hidden]`` to ``[*, vocabulary]``."""
        return self.decoder(self.norm(F.gelu(self.dense(x))))


class FlexiBertForMaskedLM(FlexiBertPreTrainedModel):
    """The encoder with BERT's masked-LM head."""

    _tied_weights_keys = {  # noqa: RUF012 - how transformers declares it
        "head.decoder.weight": "flexibert.embeddings.word_embeddings.weight"
    }

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__(config)
        self.flexibert = FlexiBertModel(config, add_pooling_layer=False)
        self.head = MaskedLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """The decoder."""
        return self.head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the decoder."""
        self.head.decoder = new_embeddings

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
    ) -> MaskedLMOutput:
        """Predict tokens.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens then 0 for padding on the right.
            token_type_ids: ``[B, S]``.
            labels: ``[B, S]``, the true token, or -100 where none is to be predicted.
            output_hidden_states: whether to return every layer's output.

        Returns:
            ``loss``, the mean cross-entropy over labelled tokens (0 if there are none); ``logits [B, S, V]``. A model
            in training mode with labels scores labelled tokens only: ``logits [labelled, V]``, in reading order.
        """
        encoded = self.flexibert(
            input_ids, attention_mask, token_type_ids, output_hidden_states=output_hidden_states, return_dict=True
        )
        x, loss = encoded.last_hidden_state, None
        if labels is None:
            logits = self.head(x)
        else:
            labelled = labels != IGNORED
            if self.training:
                logits = chosen = self.head(x[labelled])
            else:
                logits = self.head(x)
                chosen = logits[labelled]
            loss = F.cross_entropy(chosen, labels[labelled], reduction="sum") / max(1, chosen.shape[0])
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=encoded.hidden_states)


class FlexiBertForSequenceClassification(FlexiBertPreTrainedModel):
    """The encoder with a classifier of its pooled first token; one label means regression."""

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 1
        self.flexibert = FlexiBertModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
    ) -> SequenceClassifierOutput:
        """Classify.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens then 0 for padding on the right.
            token_type_ids: ``[B, S]``.
            labels: ``[B]``, the class, or the number to predict if ``num_labels`` is 1; ``[B, num_labels]`` of 0 and 1
                if the configuration's ``problem_type`` is ``multi_label_classification``.
            output_hidden_states: whether to return every layer's output.

        Returns:
            ``loss``, mean cross-entropy (binary with several labels) or, for regression, mean squared error; ``logits
            [B, num_labels]``.
        """
        encoded = self.flexibert(
            input_ids, attention_mask, token_type_ids, output_hidden_states=output_hidden_states, return_dict=True
        )
        logits, loss = self.classifier(self.dropout(encoded.pooler_output)), None
        if labels is not None and self.config.problem_type == MULTI_LABEL:
            loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        elif labels is not None and self.num_labels == 1:
            loss = F.mse_loss(logits[:, 0], labels.to(logits.dtype).view(-1))
        elif labels is not None:
            loss = F.cross_entropy(logits, labels.view(-1))
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=encoded.hidden_states)


class FlexiBertForTokenClassification(FlexiBertPreTrainedModel):
    """The encoder with a classifier of every token."""

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 1
        self.flexibert = FlexiBertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
    ) -> TokenClassifierOutput:
        """Classify tokens.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens then 0 for padding on the right.
            token_type_ids: ``[B, S]``.
            labels: ``[B, S]``, the class, or -100 where none is to be predicted.
            output_hidden_states: whether to return every layer's output.

        Returns:
            ``loss``, the mean cross-entropy over labelled tokens; ``logits [B, S, num_labels]``.
        """
        encoded = self.flexibert(
            input_ids, attention_mask, token_type_ids, output_hidden_states=output_hidden_states, return_dict=True
        )
        logits, loss = self.classifier(self.dropout(encoded.last_hidden_state)), None
        if labels is not None:
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        return TokenClassifierOutput(loss=loss, logits=logits, hidden_states=encoded.hidden_states)
