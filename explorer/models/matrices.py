"""Matrices of the discrete Fourier and cosine transforms, orthonormal, for any length, in a bounded cache.

With ``A = W / sqrt(L)``, ``W[j, k] = exp(-2 pi i j k / L)``, the real part of a two-dimensional DFT is
``Re(A_S X A_d) = cos_S X cos_d - sin_S X sin_d``; all four matrices are real and symmetric.
The orthonormal DCT-II is ``C[k, j] = s_k cos(pi (2 j + 1) k / (2 L))`` with ``s_0 = sqrt(1/L)``, else ``sqrt(2/L)``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F


class Transform(StrEnum):
    """A linear transform over tokens or features."""

    DFT = "dft"
    DCT = "dct"


def transform_matrix(transform: Transform, length: int) -> Tensor:
    """The transform of ``length`` points as a float64 matrix.

    Returns:
        ``[length, 2 length]`` for the DFT, cosine part beside sine part; ``[length, length]`` for the DCT.
    """
    row = torch.arange(length)
    if transform is Transform.DFT:
        angle = (row[:, None] * row % length).double() * (2 * math.pi / length)
        return torch.cat([angle.cos(), angle.sin()], 1) / math.sqrt(length)
    angle = (row[:, None] * (2 * row + 1) % (4 * length)).double() * (math.pi / (2 * length))
    matrix = angle.cos() * math.sqrt(2 / length)
    matrix[0] = math.sqrt(1 / length)
    return matrix


class MatrixCache:
    """Least-recently-used cache of transform matrices for tokens and features.

    Args:
        capacity: most numbers kept, 4 bytes each in float32.
    """

    def __init__(self, capacity: int = 2**24) -> None:
        self.capacity = capacity
        self._held = 0
        self._entries: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def features(self, transform: Transform, size: int, like: Tensor) -> Tensor:
        """Matrix to multiply features with from the right: ``[size, 2 size]`` (DFT) or ``[size, size]`` (DCT)."""
        key = ("features", transform, size, like.device, like.dtype)
        if key not in self._entries:
            matrix = transform_matrix(transform, size)
            self._keep(key, matrix if transform is Transform.DFT else matrix.T, like)
        return self._take(key)

    def tokens(self, transform: Transform, length: int, padded: int, like: Tensor) -> Tensor:
        """Matrix to multiply tokens with from the left, zero beyond ``length``.

        Returns:
            ``[padded, 2 padded]`` for the DFT, the sine part negated; ``[padded, padded]`` for the DCT.
        """
        key = ("tokens", transform, length, padded, like.device, like.dtype)
        if key not in self._entries:
            matrix = transform_matrix(transform, length)
            parts = [matrix] if transform is Transform.DCT else [matrix[:, :length], -matrix[:, length:]]
            beyond = padded - length
            self._keep(key, torch.cat([F.pad(part, (0, beyond, 0, beyond)) for part in parts], 1), like)
        return self._take(key)

    def _take(self, key: tuple[object, ...]) -> Tensor:
        self._entries.move_to_end(key)
        return self._entries[key]

    def _keep(self, key: tuple[object, ...], matrix: Tensor, like: Tensor) -> None:
        # A tensor made in inference mode could never serve training, and the entry outlives the mode.
        with torch.inference_mode(False):
            self._entries[key] = matrix.clone().to(device=like.device, dtype=like.dtype)
        self._held += matrix.numel()
        while self._held > self.capacity and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._held -= dropped.numel()
