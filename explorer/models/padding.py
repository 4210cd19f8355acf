"""Which tokens of a batch are real, in the forms the operations need. Padding stands to the right of every sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.models.matrices import MatrixCache, Transform, negate_sines, transform_matrices


def computing_type(x: Tensor) -> torch.dtype:
    """The type that products with ``x`` are computed in: autocast's where it is on, else that of ``x``."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class Padding:
    """Real lengths of one batch; built once per forward pass and shared by all layers.

    While a model is compiled or exported nothing may depend on the values of the mask: it is not checked, every
    sequence counts as padded if there is a mask, and transform matrices are part of the traced graph.

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
        self.traced = torch.compiler.is_compiling()
        self._stacks: dict[Transform, Tensor] = {}
        self.lengths: Tensor | None = None  # [B]; None where every token of the batch is real
        if attention_mask is None:
            return
        if attention_mask.shape != like.shape[:2]:
            rule = f"have the shape of input_ids, {tuple(like.shape[:2])}"
            raise InputError("attention_mask", rule, tuple(attention_mask.shape), "Give one row per sequence.")
        keep = attention_mask.bool()
        if not self.traced:
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

    def features(self, transform: Transform, x: Tensor) -> Tensor:
        """Matrix to multiply the features of ``x [*, d]`` with: ``[d, 2 d]`` (DFT) or ``[d, d]`` (DCT)."""
        size, dtype = x.shape[-1], computing_type(x)
        if not self.traced:
            return self.cache.features(transform, size, x.device, dtype)
        matrix = self._trace(transform, torch.full((1,), size, device=x.device), size, dtype)[0]
        return matrix if transform is Transform.DFT else matrix.T

    def transforms(self, transform: Transform, x: Tensor) -> Tensor:
        """The transform over the tokens of ``x [B, S, *]``, each sequence over its real length.

        Returns:
            ``[S, S]`` (DCT) or ``[S, 2 S]`` (DFT, sines negated) if no sequence is padded, else with a leading ``B``.
        """
        if transform not in self._stacks:
            self._stacks[transform] = self._transforms(transform, x)
        return self._stacks[transform]

    def _transforms(self, transform: Transform, x: Tensor) -> Tensor:
        length, dtype = x.shape[1], computing_type(x)
        if self.traced:
            lengths = torch.full((1,), length, device=x.device) if self.lengths is None else self.lengths
            stack = self._trace(transform, lengths, length, dtype)
            stack = negate_sines(stack) if transform is Transform.DFT else stack
            return stack[0] if self.lengths is None else stack
        if self.lengths is None:
            return self.cache.tokens(transform, length, length, x.device, dtype)
        real, index = self.lengths.unique(return_inverse=True)
        return torch.stack([self.cache.tokens(transform, n, length, x.device, dtype) for n in real.tolist()])[index]

    @staticmethod
    def _trace(transform: Transform, lengths: Tensor, points: int, dtype: torch.dtype) -> Tensor:
        # Angles need more digits than half precision has.
        exact = torch.float64 if dtype is torch.float64 else torch.float32
        return transform_matrices(transform, lengths, points, exact).to(dtype)
