"""Discrete Fourier heads: the real part of a two-dimensional DFT over features and tokens (FNet, arXiv 2105.03824)."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.models.matrices import Transform
from explorer.models.operations.mixing import MixingHeads
from explorer.models.padding import Padding, computing_type


class FourierHeads(MixingHeads):
    """A group of ``dft`` heads.

    The transform is orthonormal, so that its output is as large as its input whatever the length. The fast transform
    serves batches without padding in full precision; matrices of each sequence's real length serve the others.
    """

    def transform(self, x: Tensor, padding: Padding) -> Tensor:
        """``Re(DFT)`` of ``x [B, S, heads, size]`` over its second and last axis, as ``[B, S, heads × size]``."""
        if padding.lengths is None and not padding.traced and computing_type(x) in (torch.float32, torch.float64):
            return torch.fft.fft2(x, dim=(1, 3), norm="ortho").real.flatten(2)
        size = x.shape[-1]
        parts = (x @ padding.features(Transform.DFT, x)).unflatten(-1, (2, size))  # [B, S, heads, 2, size]
        stacked = parts.permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2)  # [B, 2 S, heads × size]
        return padding.transforms(Transform.DFT, x) @ stacked
