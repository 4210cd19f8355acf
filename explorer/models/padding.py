"""Which tokens of a batch are real, in the forms the operations need. Padding stands to the right of every sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.models.matrices import MatrixCache, Transform


class Padding:
    """Real lengths of one batch; built once per forward pass and shared by all layers.

    Args:
        attention_mask: ``[B, S]``, ones then zeros, or ``None`` if every token is real.
        cache: transform matrices.
        like: the embedded tokens ``[B, S, *]``, of the type and device to compute in.

    Raises:
        InputError: the mask has another shape than the tokens, a sequence is empty, or padding stands elsewhere
            than to the right.
    """

    def __init__(self, attention_mask: Tensor | None, cache: MatrixCache, like: Tensor) -> None:
        self.cache = cache
        self._stacks: dict[Transform, Tensor] = {}
        self.lengths: Tensor | None = None  # [B]; None where every token of the batch is real
        if attention_mask is None:
            return
        if attention_mask.shape != like.shape[:2]:
            rule = f"have the shape of input_ids, {tuple(like.shape[:2])}"
            raise InputError("attention_mask", rule, tuple(attention_mask.shape), "Give one row per sequence.")
        keep = attention_mask.bool()
        if bool(keep.all()):
            return
        if not bool(keep[:, 0].all()) or bool((keep[:, 1:] & ~keep[:, :-1]).any()):
            rule = "be ones then zeros, with at least one 1, in every row"
            raise InputError("attention_mask", rule, attention_mask.tolist(), "Pad sequences on the right.")
        self.lengths = keep.sum(1)
        self.tokens = keep[:, :, None].to(like.dtype)  # [B, S, 1]
        self.keys = keep[:, None, None, :]  # [B, 1, 1, S]
        self.bias = torch.zeros_like(self.keys, dtype=like.dtype).masked_fill_(~self.keys, float("-inf"))

    def clear(self, x: Tensor) -> Tensor:
        """``x [B, S, *]`` with zeros at padding."""
        return x if self.lengths is None else x * self.tokens

    def transforms(self, transform: Transform, x: Tensor) -> Tensor:
        """The transform over the tokens of ``x [B, S, *]``, each sequence over its real length.

        Returns:
            ``[S, S]`` (DCT) or ``[S, 2 S]`` (DFT) if no sequence is padded, else the same with a leading ``B``.
        """
        length = x.shape[1]
        if self.lengths is None:
            return self.cache.tokens(transform, length, length, x)
        if transform not in self._stacks:
            real, index = self.lengths.unique(return_inverse=True)
            stack = torch.stack([self.cache.tokens(transform, n, length, x) for n in real.tolist()])
            self._stacks[transform] = stack[index]
        return self._stacks[transform]
