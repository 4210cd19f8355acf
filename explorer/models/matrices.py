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


class Transform(StrEnum):
    """A linear transform over tokens or features."""

    DFT = "dft"
    DCT = "dct"


def transform_matrices(transform: Transform, lengths: Tensor, points: int, dtype: torch.dtype) -> Tensor:
    """The transforms of several lengths as matrices, by tensor operations only, so that they can be traced.

    Args:
        transform: which.
        lengths: whole numbers ``[N]``, each at most ``points``.
        points: size of every matrix; beyond its length a matrix is zero.
        dtype: a floating-point type. Angles are reduced in whole numbers, so float32 is exact to its last digits.

    Returns:
        ``[N, points, 2 points]`` for the DFT, cosine part beside sine part; ``[N, points, points]`` for the DCT.
    """
    n = lengths[:, None, None]
    row = torch.arange(points, device=lengths.device)[:, None]
    column = row.T
    real = (row < n) & (column < n)
    scale = n.to(dtype).rsqrt()
    if transform is Transform.DFT:
        angle = (row * column % n).to(dtype) * (2 * math.pi / n.to(dtype))
        return torch.cat([part.mul(scale).masked_fill(~real, 0.0) for part in (angle.cos(), angle.sin())], -1)
    angle = (row * (2 * column + 1) % (4 * n)).to(dtype) * (math.pi / (2 * n).to(dtype))
    matrix = angle.cos() * torch.where(row == 0, scale, scale * math.sqrt(2))
    return matrix.masked_fill(~real, 0.0)


def transform_matrix(transform: Transform, length: int) -> Tensor:
    """The transform of ``length`` points as a float64 matrix.

    Returns:
        ``[length, 2 length]`` for the DFT, cosine part beside sine part; ``[length, length]`` for the DCT.
    """
    return transform_matrices(transform, torch.tensor([length]), length, torch.float64)[0]


def negate_sines(matrix: Tensor) -> Tensor:
    """A DFT's matrix ``[*, P, 2 P]`` with the sine part negated, as transforms of tokens need it."""
    points = matrix.shape[-2]  # By slices: chunks of a size that is not known yet would fix it while it is traced.
    return torch.cat([matrix[..., :points], -matrix[..., points:]], -1)


class MatrixCache:
    """Least-recently-used cache of transform matrices for tokens and features.

    Args:
        capacity: most numbers kept, 4 bytes each in float32.
    """

    def __init__(self, capacity: int = 2**24) -> None:
        self.capacity = capacity
        self._held = 0
        self._entries: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def features(self, transform: Transform, size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Matrix to multiply features with from the right: ``[size, 2 size]`` (DFT) or ``[size, size]`` (DCT)."""
        key = ("features", transform, size, device, dtype)
        if key not in self._entries:
            matrix = transform_matrix(transform, size)
            self._keep(key, matrix if transform is Transform.DFT else matrix.T)
        return self._take(key)

    def tokens(
        self, transform: Transform, length: int, padded: int, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        """Matrix to multiply tokens with from the left, zero beyond ``length``.

        Returns:
            ``[padded, 2 padded]`` for the DFT, the sine part negated; ``[padded, padded]`` for the DCT.
        """
        key = ("tokens", transform, length, padded, device, dtype)
        if key not in self._entries:
            matrix = transform_matrices(transform, torch.tensor([length]), padded, torch.float64)[0]
            self._keep(key, negate_sines(matrix) if transform is Transform.DFT else matrix)
        return self._take(key)

    def _take(self, key: tuple[object, ...]) -> Tensor:
        self._entries.move_to_end(key)
        return self._entries[key]

    def _keep(self, key: tuple[object, ...], matrix: Tensor) -> None:
        *_, device, dtype = key
        # A tensor made in inference mode could never serve training, and the entry outlives the mode.
        with torch.inference_mode(False):
            self._entries[key] = matrix.clone().to(device=device, dtype=dtype)  # type: ignore[call-overload]
        self._held += matrix.numel()
        while self._held > self.capacity and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._held -= dropped.numel()
