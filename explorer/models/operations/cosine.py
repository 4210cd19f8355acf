"""Discrete cosine heads: a two-dimensional DCT-II over features and tokens (FlexiBERT, arXiv 2205.11656)."""

from __future__ import annotations

from torch import Tensor

from explorer.models.matrices import Transform
from explorer.models.operations.mixing import MixingHeads
from explorer.models.padding import Padding


class CosineHeads(MixingHeads):
    """A group of ``dct`` heads.

    The transform is orthonormal, so that its output is as large as its input whatever the length. It is done by
    matrices throughout: up to 512 tokens they are as fast as a detour over the fast Fourier transform, or faster.
    """

    def transform(self, x: Tensor, padding: Padding) -> Tensor:
        """DCT-II of ``x [B, S, heads, size]`` over its second and last axis, as ``[B, S, heads × size]``."""
        mixed = (x @ padding.features(Transform.DCT, x)).flatten(2)
        return padding.transforms(Transform.DCT, x) @ mixed
