"""FlexiBERT in PyTorch (arXiv 2205.11656): encoders whose layers differ in size, operations and feed-forward stack.

Reading order: transform matrices, padding, heads (one class per operation, listed in ``OPERATIONS``), layer, encoder,
task heads. Letters in shapes: B sequences, S tokens, H heads, d head size, K kernel size, V vocabulary.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils.generic import can_return_tuple

from .configuration_flexibert import FlexiBertConfig

IGNORED = -100
"""Label of tokens that the loss ignores."""
MULTI_LABEL = "multi_label_classification"
"""``problem_type`` of a configuration whose classes do not exclude each other."""
CONVOLUTION_RANGE = 0.02
"""Standard deviation of a convolution's kernels outside a full model, which uses ``initializer_range``."""
MULTIPLICATIVE_RANGE = 0.1
"""The ``wma`` matrix is initialised uniformly in ± this value."""
BAND_LIMIT = 8
"""Sequences up to this many kernels long are convolved by one banded matrix product, longer ones tap by tap."""


# Transform matrices of dft and dct heads
#
# With A = W / sqrt(L), W[j, k] = exp(-2 pi i j k / L), the real part of a two-dimensional DFT is
# Re(A_S X A_d) = cos_S X cos_d - sin_S X sin_d; all four matrices are real and symmetric. The orthonormal DCT-II is
# C[k, j] = s_k cos(pi (2 j + 1) k / (2 L)) with s_0 = sqrt(1/L), else sqrt(2/L).


class Transform(StrEnum):
    """A linear transform over tokens or features."""

    DFT = "dft"
    DCT = "dct"


def transform_matrices(transform: Transform, lengths: Tensor, points: int, dtype: torch.dtype) -> Tensor:
    """Compute the transforms of several lengths as matrices, by tensor operations only, so that they can be traced.

    Args:
        transform: DFT or DCT.
        lengths: whole numbers ``[N]``, each at most ``points``.
        points: size of every matrix; beyond its length a matrix is zero.
        dtype: a floating-point type. Angles are reduced in whole numbers, so float32 is exact to its last digits.

    Returns:
        ``[N, points, 2 points]`` for the DFT, the cosine part next to the sine part; ``[N, points, points]`` for the
        DCT.
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
    """Compute the transform of ``length`` points as a float64 matrix.

    Returns:
        ``[length, 2 length]`` for the DFT, the cosine part next to the sine part; ``[length, length]`` for the DCT.
    """
    return transform_matrices(transform, torch.tensor([length]), length, torch.float64)[0]


def negate_sines(matrix: Tensor) -> Tensor:
    """Negate the sine part of a DFT's matrix ``[*, P, 2 P]``, as transforms of tokens need it."""
    points = matrix.shape[-2]  # Slice: torch.chunk would fix a symbolic size while the model is traced.
    return torch.cat([matrix[..., :points], -matrix[..., points:]], -1)


class MatrixCache:
    """Least-recently-used cache of transform matrices for tokens and features.

    Args:
        capacity: maximum number of elements kept, 4 bytes each in float32.
    """

    def __init__(self, capacity: int = 2**24) -> None:
        self.capacity = capacity
        self._held = 0
        self._entries: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def features(self, transform: Transform, size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return the matrix to multiply features with from the right: ``[d, 2 d]`` (DFT) or ``[d, d]`` (DCT)."""
        key = ("features", transform, size, device, dtype)
        if key not in self._entries:
            matrix = transform_matrix(transform, size)
            self._keep(key, matrix if transform is Transform.DFT else matrix.T)
        return self._take(key)

    def tokens(
        self, transform: Transform, length: int, padded: int, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        """Return the matrix to multiply tokens with from the left, zero beyond ``length``.

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
        # Leave inference mode: autograd refuses tensors made in it, and the cached entry may serve training later.
        with torch.inference_mode(False):
            self._entries[key] = matrix.clone().to(device=device, dtype=dtype)  # type: ignore[call-overload]
        self._held += matrix.numel()
        while self._held > self.capacity and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._held -= dropped.numel()


# Padding


def _taken(x: Tensor, order: Tensor) -> Tensor:
    """Return ``x [B, S, *]`` with the tokens of each row in another order ``[B, S]``."""
    return x[torch.arange(x.shape[0], device=x.device)[:, None], order]


def computing_type(x: Tensor) -> torch.dtype:
    """Return the dtype of products with ``x``: autocast's if it is enabled, else that of ``x``."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class Padding:
    """The real lengths of one batch; built once per forward pass and shared by all layers.

    All layers see sequences that begin with their first real token and are padded on the right. ``align`` moves padding
    from the left to the right and ``restore`` moves it back, so no result depends on the side of the padding.

    While a model is compiled or exported nothing may depend on the values of the mask: every sequence counts as padded
    if there is a mask, and transform matrices are part of the traced graph. An exported program leaves out ``align``
    and ``restore``; its padding must be on the right.

    Args:
        attention_mask: ``[B, S]``, ones for real tokens and zeros before or after them, or ``None`` if every token is
            real.
        cache: transform matrices.
        like: the word embeddings ``[B, S, *]``, with the dtype and device to compute in.

    Raises:
        ValueError: the shape of the mask differs from that of the tokens, or the real tokens of a row are not one
            block. A compiled model raises RuntimeError for the latter.
    """

    def __init__(self, attention_mask: Tensor | None, cache: MatrixCache, like: Tensor) -> None:
        self.cache = cache
        self.traced = torch.compiler.is_compiling()
        self._stacks: dict[Transform, Tensor] = {}
        self._order: Tensor | None = None  # [B, S], the places that aligned tokens come from; None if nothing moves
        self.lengths: Tensor | None = None  # [B]; None if every token of the batch is real
        if attention_mask is None:
            return
        if attention_mask.shape != like.shape[:2]:
            rule = f"have one entry for each token, {tuple(like.shape[:2])}"
            raise ValueError(f"attention_mask must {rule}, but got {tuple(attention_mask.shape)}")
        keep = attention_mask.bool()  # [B, S]
        if not self.traced and bool(keep.all()):
            return
        self.lengths = keep.sum(1)  # [B]
        places = torch.arange(keep.shape[1], device=keep.device)
        real = places < self.lengths[:, None]  # [B, S]
        if not torch.compiler.is_exporting():
            first = keep.int().argmax(1)  # [B]
            self._order = (places + first[:, None]) % keep.shape[1]
            keep = keep.gather(1, self._order)
        valid = (keep == real).all() & (self.lengths > 0).all()
        rule = "attention_mask must mark the tokens of every row by one block of ones"
        if self.traced:
            torch._assert_async(valid, rule)
        else:
            moved, kept = torch.stack([first.any(), valid]).tolist()  # One transfer from the device, not two.
            if not kept:
                raise ValueError(f"{rule}. Pad on the right or on the left only, and leave no row empty.")
            self._order = self._order if moved else None
        self.tokens = real[:, :, None].to(like.dtype)  # [B, S, 1]
        self.keys = real[:, None, None, :]  # [B, 1, 1, S]
        self.bias = torch.zeros_like(self.keys, dtype=like.dtype).masked_fill_(~self.keys, float("-inf"))

    def align(self, x: Tensor) -> Tensor:
        """Move the padding of ``x [B, S, *]`` to the right."""
        return x if self._order is None else _taken(x, self._order)

    def restore(self, x: Tensor) -> Tensor:
        """Move the padding of ``x [B, S, *]`` back to where the mask has it."""
        return x if self._order is None else _taken(x, self._order.argsort(1))

    def restore_pairs(self, x: Tensor) -> Tensor:
        """Move the padding of queries and keys, the last two axes of ``x [B, H, S, S]``, back like ``restore``."""
        if self._order is None:
            return x
        by_query = self.restore(x.permute(0, 2, 3, 1))  # [B, S, S, H]
        return self.restore(by_query.transpose(1, 2)).permute(0, 3, 2, 1)

    def clear(self, x: Tensor) -> Tensor:
        """Return ``x [B, S, *]`` with zeros at padding."""
        return x if self.lengths is None else x * self.tokens

    def features(self, transform: Transform, x: Tensor) -> Tensor:
        """Return the matrix to multiply the features of ``x [*, d]`` with: ``[d, 2 d]`` (DFT) or ``[d, d]`` (DCT)."""
        size, dtype = x.shape[-1], computing_type(x)
        if not self.traced:
            return self.cache.features(transform, size, x.device, dtype)
        matrix = self._trace(transform, torch.full((1,), size, device=x.device), size, dtype)[0]
        return matrix if transform is Transform.DFT else matrix.T

    def transforms(self, transform: Transform, x: Tensor) -> Tensor:
        """Return the transform over the tokens of ``x [B, S, *]``, each sequence over its real length.

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
        # Half precision has too few digits for the angles.
        exact = torch.float64 if dtype is torch.float64 else torch.float32
        return transform_matrices(transform, lengths, points, exact).to(dtype)


# Heads


class Axis(StrEnum):
    """The index of one axis of a parameter of ``Heads``. Weight transfer maps each kind in its own way.

    ``QUERIES`` and ``KEYS`` of all positional heads of a layer share one map within heads, because they share the
    relative positions. ``KERNELS`` are fitted per operation instead.
    """

    HIDDEN = "hidden"  # hidden features that are read
    CHANNELS = "channels"  # hidden features with a factor or filter each
    VALUES = "values"  # heads × size: the outputs of the heads
    SLICES = "slices"  # heads × size: inputs of a transform, in the order of its outputs
    QUERIES = "queries"  # heads × size: queries
    KEYS = "keys"  # heads × size: multiplied with queries
    KERNELS = "kernels"  # heads × size: queries and keys that generate convolution kernels
    READ_KERNELS = "read kernels"  # two axes, heads and size: multiplied with KERNELS
    READ_QUERY = "read query"  # size: multiplied with the query of one head
    WRITE_QUERY = "write query"  # size: takes the place of the query of one head
    HEADS = "heads"  # heads; absent if the heads of the layer share the parameter
    FIXED = "fixed"  # has one meaning in every architecture


def linear_axes(*outputs: tuple[str, Axis]) -> dict[str, tuple[Axis, ...]]:
    """Return the axes of Linears from the layer's input, given the name and the output axis of each."""
    weights = {f"{name}.weight": (axis, Axis.HIDDEN) for name, axis in outputs}
    return {**weights, **{f"{name}.bias": (axis,) for name, axis in outputs}}


@dataclass(frozen=True)
class Group:
    """Heads of one operation in one layer, computed in one batched call.

    Attributes:
        parameter: the operation's parameter, such as the kernel size.
        hidden: hidden size of the layer.
        heads: heads in this group.
        size: width of each head.
        first: index of the group's first head among the layer's heads.
        sliced: whether the layer's heads fill its hidden size exactly, so that each head has its own slice of it.
        alone: whether the layer has no other operation.
        relative: whether positions are relative.
        dropout: dropout probability of attention weights.
    """

    parameter: str
    hidden: int
    heads: int
    size: int
    first: int
    sliced: bool
    alone: bool
    relative: bool
    dropout: float

    @property
    def width(self) -> int:
        """Width of the group's output: heads × size."""
        return self.heads * self.size

    def split(self, x: Tensor) -> Tensor:
        """Reshape ``[B, S, H d]`` to ``[B, H, S, d]``."""
        return x.unflatten(-1, (self.heads, self.size)).transpose(1, 2)


class Heads(nn.Module):
    """A group of heads of one operation; each operation is one subclass, listed in ``OPERATIONS``.

    Args:
        group: its position in the layer.
        projections: names of its Linears that are applied to the layer's input; the layer does that.

    Attributes:
        uses_positions: whether its queries meet relative positions; it then has a projection ``query``.
        axes: for each parameter, by its name within the module, what its axes are indexed by (for weight transfer).
        ordered: whether the order of a head's features has a meaning, so that weight transfer must not permute them.
    """

    uses_positions: ClassVar[bool] = True
    axes: ClassVar[Mapping[str, tuple[Axis, ...]]] = MappingProxyType({})
    ordered: ClassVar[bool] = False

    def __init__(self, group: Group, projections: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.group, self.projections = group, projections

    @property
    def positional(self) -> bool:
        """Whether it gets ``scores``: positions are relative and the operation uses them."""
        return self.uses_positions and self.group.relative

    def init_weights(self, std: float) -> None:
        """Initialise the parameters that belong to no submodule.

        Args:
            std: the configuration's ``initializer_range``.
        """

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Mix tokens.

        Args:
            x: the layer's input, ``[B, S, hidden]``.
            parts: the outputs of its projections by name, each ``[B, S, H d]``.
            scores: scores of its queries against relative positions, scaled, minus infinity at padded keys,
                ``[B, H, S, S]``; ``None`` if the heads are not positional.
            padding: which tokens are real.

        Returns:
            ``[B, S, H d]``. Its values at padding have no meaning.
        """
        raise NotImplementedError


def merge(x: Tensor) -> Tensor:
    """Reshape ``[B, H, S, d]`` to ``[B, S, H d]``."""
    return x.transpose(1, 2).flatten(2)


class DotProductHeads(Heads):
    """Scaled dot-product self-attention, ``sdp``: softmax((q kᵀ + q · R) / √d) v (FlexiBERT, section 3.1).

    ``q · R`` is present with relative positions only. Torch's fused attention kernels do the rest: without a mask for
    absolute positions and no padding. ``weights`` and ``apply_weights`` do the same in two steps.
    """

    axes = MappingProxyType(linear_axes(("query", Axis.QUERIES), ("key", Axis.KEYS), ("value", Axis.VALUES)))

    def __init__(self, group: Group) -> None:
        super().__init__(group, ("query", "key", "value"))
        self.query = nn.Linear(group.hidden, group.width)
        self.key = nn.Linear(group.hidden, group.width)
        self.value = nn.Linear(group.hidden, group.width)

    def compare(self, query: Tensor) -> Tensor:
        """Return what is multiplied with the keys, ``[B, H, S, d]``, from the query of the same shape."""
        return query

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Attend; see ``Heads.forward``."""
        query, key, value = self._split(parts)
        mask = padding.keys if scores is None and padding.lengths is not None else scores
        dropout = self.group.dropout if self.training else 0.0
        return merge(F.scaled_dot_product_attention(query, key, value, mask, dropout))  # [B, S, H d]

    def weights(self, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Return the weights of each query over the keys, after dropout, ``[B, H, S, S]``."""
        query, key, _ = self._split(parts)
        products = query @ key.transpose(-1, -2) / math.sqrt(self.group.size)  # [B, H, S, S]
        if scores is not None:
            products = products + scores
        elif padding.lengths is not None:
            products = products + padding.bias
        return F.dropout(torch.softmax(products, -1), self.group.dropout, self.training)

    def apply_weights(self, weights: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
        """Return what ``forward`` returns, from the weights."""
        return merge(weights @ self._split(parts)[2])  # [B, S, H d]

    def _split(self, parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what keys are multiplied with, keys and values, each ``[B, H, S, d]``."""
        query, key, value = (self.group.split(parts[name]) for name in self.projections)
        return self.compare(query), key, value


class MultiplicativeHeads(DotProductHeads):
    """Weighted multiplicative self-attention, ``wma``: softmax((q W kᵀ + q · R) / √d) v (FlexiBERT, section 3.1).

    The learned matrix W is ``[d, d]``, shared by the heads, if the layer has no other operation and its heads fill the
    hidden size; else ``[H, d, d]``.
    """

    axes = MappingProxyType({**DotProductHeads.axes, "weight": (Axis.HEADS, Axis.READ_QUERY, Axis.WRITE_QUERY)})

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        shared = group.sliced and group.alone
        shape = (group.size, group.size) if shared else (group.heads, group.size, group.size)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-MULTIPLICATIVE_RANGE, MULTIPLICATIVE_RANGE))

    def init_weights(self, std: float) -> None:
        """Initialise W uniformly; ``std`` is not used."""
        init.uniform_(self.weight, -MULTIPLICATIVE_RANGE, MULTIPLICATIVE_RANGE)

    def compare(self, query: Tensor) -> Tensor:
        """Return ``q W``, ``[B, H, S, d]``."""
        return query @ self.weight


class MixingHeads(Heads):
    """Base of heads that mix tokens and features by a fixed linear map (FlexiBERT, section 3.1; FNet, 2105.03824).

    A head transforms its slice of the input ``x[..., o : o + d]``. If the layer's heads do not fill its hidden size,
    the slices are those of one learned Linear. With relative positions, attention by relative position alone,
    ``softmax(q · R / √d) v``, is added; with absolute positions the head has neither query nor value.
    """

    axes = MappingProxyType(linear_axes(("input", Axis.SLICES), ("query", Axis.QUERIES), ("value", Axis.VALUES)))
    ordered = True

    def __init__(self, group: Group) -> None:
        names = [] if group.sliced else ["input"]
        super().__init__(group, (*names, *(["query", "value"] if group.relative else [])))
        self.input = None if group.sliced else nn.Linear(group.hidden, group.width)
        self.query = nn.Linear(group.hidden, group.width) if group.relative else None
        self.value = nn.Linear(group.hidden, group.width) if group.relative else None

    def transform(self, x: Tensor, padding: Padding) -> Tensor:
        """Transform ``x [B, S, H, d]`` over its second and last axis to ``[B, S, H d]``, zero at padding."""
        raise NotImplementedError

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Mix; see ``Heads.forward``."""
        group = self.group
        offset = group.first * group.size
        own = x[..., offset : offset + group.width] if self.input is None else parts["input"]  # [B, S, H d]
        mixed = self.transform(own.unflatten(-1, (group.heads, group.size)), padding)  # [B, S, H d]
        if scores is None:
            return mixed
        weights = F.dropout(torch.softmax(scores, -1), group.dropout, self.training)  # [B, H, S, S]
        return mixed + merge(weights @ group.split(parts["value"]))  # [B, S, H d]


class FourierHeads(MixingHeads):
    """Discrete Fourier transform, ``dft``: the real part of a two-dimensional DFT over features and tokens (FNet).

    The transform is orthonormal, so its output has the scale of its input at any length. The fast transform is used for
    batches without padding in full precision, matrices of each sequence's real length otherwise.
    """

    def transform(self, x: Tensor, padding: Padding) -> Tensor:
        """Compute ``Re(DFT)``; see ``MixingHeads.transform``."""
        if padding.lengths is None and not padding.traced and computing_type(x) in (torch.float32, torch.float64):
            return torch.fft.fft2(x, dim=(1, 3), norm="ortho").real.flatten(2)  # [B, S, H d]
        size = x.shape[-1]
        parts = (x @ padding.features(Transform.DFT, x)).unflatten(-1, (2, size))  # [B, S, H, 2, d]
        stacked = parts.permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2)  # [B, 2 S, H d]
        return padding.transforms(Transform.DFT, x) @ stacked  # [B, S, H d]


class CosineHeads(MixingHeads):
    """Discrete cosine transform, ``dct``: a two-dimensional DCT-II over features and tokens (FlexiBERT, section 3.1).

    The transform is orthonormal, as in ``FourierHeads``. It is always computed by matrices: up to 512 tokens they are
    at least as fast as a detour over the fast Fourier transform.
    """

    def transform(self, x: Tensor, padding: Padding) -> Tensor:
        """Compute the DCT-II; see ``MixingHeads.transform``."""
        mixed = (x @ padding.features(Transform.DCT, x)).flatten(2)  # [B, S, H d]
        return padding.transforms(Transform.DCT, x) @ mixed  # [B, S, H d]


def convolve(weights: Tensor, values: Tensor) -> Tensor:
    """Apply each token's own kernel to the tokens around it, with zeros outside the sequence.

    Args:
        weights: ``[B, H, S, K]``, K odd.
        values: ``[B, H, S, d]``.

    Returns:
        ``[B, H, S, d]``: ``out[i] = sum over t of weights[i, t] values[i + t - K // 2]``.
    """
    length, kernel = weights.shape[-2:]
    half = kernel // 2
    # An exported program must not depend on the traced length, so it always goes tap by tap.
    if not torch.compiler.is_exporting() and length <= BAND_LIMIT * kernel:
        # Rows of S + K entries read as rows of S + K - 1 move row i to the right by i: a banded matrix.
        rows = F.pad(weights, (0, length)).flatten(-2)[..., : length * (length + kernel - 1)]
        return rows.unflatten(-1, (length, -1))[..., half : half + length] @ values
    padded = F.pad(values, (0, 0, half, half))  # [B, H, S + K - 1, d]
    out = weights[..., :1] * padded[:, :, :length]
    for tap in range(1, kernel):
        out = out + weights[..., tap : tap + 1] * padded[:, :, tap : tap + length]
    return out


class ConvolutionHeads(Heads):
    """Span-based dynamic convolution, ``c`` with the kernel size as parameter (ConvBERT, 2008.02496, section 3.2).

    The kernel of token i in a head is ``softmax(Linear(separable_conv(x)[i] * q[i]))`` over the kernel axis; it weights
    the values ``Linear(x)`` around token i. The heads of the group share the depthwise part of the separable
    convolution, and nothing else. Sequences end in zeros, so padding has no influence.
    """

    uses_positions = False
    axes = MappingProxyType(
        {
            **linear_axes(("query", Axis.KERNELS), ("pointwise", Axis.KERNELS), ("value", Axis.VALUES)),
            "depthwise.weight": (Axis.CHANNELS, Axis.FIXED, Axis.FIXED, Axis.FIXED),
            "weight": (Axis.READ_KERNELS, Axis.FIXED),
            "bias": (Axis.HEADS, Axis.FIXED, Axis.FIXED),
        }
    )

    def __init__(self, group: Group) -> None:
        super().__init__(group, ("query", "value"))
        self.kernel = kernel = int(group.parameter)
        self.query = nn.Linear(group.hidden, group.width)
        self.value = nn.Linear(group.hidden, group.width)
        self.depthwise = nn.Conv2d(
            group.hidden, group.hidden, (1, kernel), padding=(0, kernel // 2), groups=group.hidden, bias=False
        )
        self.pointwise = nn.Linear(group.hidden, group.width)
        self.weight = nn.Parameter(torch.empty(group.heads, group.size, kernel).normal_(0, CONVOLUTION_RANGE))
        self.bias = nn.Parameter(torch.zeros(group.heads, 1, kernel))

    def init_weights(self, std: float) -> None:
        """Initialise the map to kernels like a Linear."""
        init.normal_(self.weight, 0.0, std)
        init.zeros_(self.bias)

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Convolve; see ``Heads.forward``. A convolution needs no positions."""
        group = self.group
        real = padding.clear(x)
        # A height of 1 makes it a two-dimensional convolution, for which the CPU has the faster depthwise kernel.
        spans = self.depthwise(real.transpose(1, 2)[:, :, None])[:, :, 0].transpose(1, 2)  # [B, S, hidden]
        keys = group.split(self.pointwise(spans) * parts["query"])  # [B, H, S, d]
        weights = torch.softmax(keys @ self.weight + self.bias, -1)  # [B, H, S, K]
        weights = F.dropout(weights, group.dropout, self.training)
        values = group.split(padding.clear(parts["value"]))  # [B, H, S, d]
        return merge(convolve(weights, values))  # [B, S, H d]


OPERATIONS: dict[str, type[Heads]] = {
    "sa_sdp": DotProductHeads,
    "sa_wma": MultiplicativeHeads,
    "l_dft": FourierHeads,
    "l_dct": CosineHeads,
    "c": ConvolutionHeads,
}
"""The operations by ``FAMILY_PARAMETER``, or by family if the parameter is a number."""


def heads_class(operation: str) -> type[Heads]:
    """Return the class of an operation, for example of ``sa_sdp`` or ``c_5``. Raises ValueError if there is none."""
    found = OPERATIONS.get(operation) or OPERATIONS.get(operation.partition("_")[0])
    if found is None:
        raise ValueError(f"operation must be one of {', '.join(OPERATIONS)}, but got {operation!r}")
    return found


# Encoder


def relative_scores(query: Tensor, distances: Tensor) -> Tensor:
    """Score queries against relative positions (Shaw et al., arXiv 1803.02155, equation 5).

    Args:
        query: ``[B, H, S, d]``.
        distances: ``[2 S - 1, d]``, the embedding of distance ``key - query`` at row ``key - query + S - 1``.

    Returns:
        ``[B, H, S, S]``: entry ``(i, j)`` is ``query[i] · distances[j - i + S - 1]``.
    """
    length = query.shape[2]
    # Rows of 2 S + 1 entries, the first and last unused, read as rows of 2 S move row i by i: that turns distances into
    # keys. Starting at S, a multiple of 8 for common lengths, suits the GPU's attention kernels.
    by_distance = (query @ F.pad(distances, (0, 0, 1, 1)).T).flatten(2)
    return by_distance[..., length:].unflatten(-1, (length, 2 * length))[..., :length]


def project(x: Tensor, groups: Sequence[Heads]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
    """Apply the Linears of several groups of heads to one input, as one product while gradients are computed.

    A layer of several operations has about ten Linears of few heads each; one matrix product costs less than ten.
    Each Linear keeps its own parameters, which are concatenated in every pass. Without gradients the Linears are
    applied one by one, because concatenation costs more than it saves; likewise if a Linear was replaced by another
    module.

    Args:
        x: ``[B, S, hidden]``.
        groups: the groups of heads of a layer.

    Returns:
        For every group the outputs of its Linears by name, ``[B, S, H d]``, and the concatenated outputs ``query`` of
        the groups with ``positional`` heads (``None`` without such groups).
    """
    queried = [index for index, heads in enumerate(groups) if heads.positional]
    first = [(index, "query") for index in queried]
    rest = [(index, name) for index, heads in enumerate(groups) for name in heads.projections]
    # Equal roles are adjacent, queries that meet positions first.
    order = first + sorted((pair for pair in rest if pair not in first), key=lambda pair: pair[1])
    linears = [getattr(groups[index], name) for index, name in order]
    parts: list[dict[str, Tensor]] = [{} for _ in groups]
    joined = None
    if torch.is_grad_enabled() and len(linears) > 1 and all(type(linear) is nn.Linear for linear in linears):
        widths = [linear.out_features for linear in linears]
        weight, bias = torch.cat([linear.weight for linear in linears]), torch.cat([linear.bias for linear in linears])
        together = F.linear(x, weight, bias)  # [B, S, sum of widths]
        if queried:
            number = len(queried)
            joined, *others = together.split([sum(widths[:number]), *widths[number:]], -1)
            outputs = [*(joined.split(widths[:number], -1) if number > 1 else [joined]), *others]
        else:
            outputs = list(together.split(widths, -1))
    else:
        outputs = [linear(x) for linear in linears]
        if queried:
            joined = torch.cat(outputs[: len(queried)], -1) if len(queried) > 1 else outputs[0]
    for (index, name), output in zip(order, outputs, strict=True):
        parts[index][name] = output
    return parts, joined


class FlexiBertEmbeddings(nn.Module):
    """Sum of word, token type and, with absolute positions, position embeddings; then LayerNorm and dropout."""

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.position_embeddings = None if config.relative else nn.Embedding(config.max_position_embeddings, width)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Add token types, from ids ``[B, S]``, and positions to word embeddings ``[B, S, width]``."""
        types = self.token_type_embeddings
        x = words + (types.weight[0] if token_type_ids is None else types(token_type_ids))
        if self.position_embeddings is not None:
            x = x + self.position_embeddings.weight[: words.shape[1]]
        return self.dropout(self.norm(x))


class FlexiBertLayer(nn.Module):
    """One layer: heads → Linear → dropout → add & norm → (Linear, GELU) repeated → Linear → dropout → add & norm.

    Args:
        config: the architecture and its settings.
        index: number of the layer, from 0.
    """

    def __init__(self, config: FlexiBertConfig, index: int) -> None:
        super().__init__()
        layer = config.layers[index]
        hidden, size = layer.hidden, layer.head_size
        self.projection = nn.Linear(layer.inputs, hidden) if layer.projected else None
        positional = config.relative and any(heads_class(operation).uses_positions for operation, _ in layer.groups)
        self.distances = nn.Embedding(2 * config.max_position_embeddings - 1, size) if positional else None
        self.heads = nn.ModuleDict()
        first = 0
        for operation, count in layer.groups:
            group = Group(
                parameter=operation.partition("_")[2],
                hidden=hidden,
                heads=count,
                size=size,
                first=first,
                sliced=layer.heads * size == hidden,
                alone=len(layer.groups) == 1,
                relative=config.relative,
                dropout=config.attention_probs_dropout_prob,
            )
            self.heads[operation] = heads_class(operation)(group)
            first += count
        self.output = nn.Linear(layer.heads * size, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        widths = (hidden, *layer.feed_forward)
        self.feed_forward = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.feed_forward_output = nn.Linear(widths[-1], hidden)
        self.feed_forward_norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.expansion = nn.Linear(hidden, layer.outputs) if layer.outputs is not None else None
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.longest = config.max_position_embeddings

    def forward(self, x: Tensor, padding: Padding, attentions: list[Tensor] | None = None) -> Tensor:
        """Encode.

        Args:
            x: ``[B, S, inputs]``, aligned.
            padding: which tokens are real.
            attentions: if given, the weights of the layer's self-attention heads ``[B, H, S, S]`` are appended to it.

        Returns:
            ``[B, S, outputs]``, or ``[B, S, hidden]`` without an expansion.
        """
        if self.projection is not None:
            x = self.projection(x)  # [B, S, hidden]
        mixed = self._mix(x, padding, attentions)
        mixed_all = mixed[0] if len(mixed) == 1 else torch.cat(mixed, -1)  # [B, S, H d]
        x = self.output_norm(x + self.dropout(self.output(mixed_all)))  # [B, S, hidden]
        y = x
        for linear in self.feed_forward:
            y = F.gelu(linear(y))  # [B, S, feed-forward width]
        x = self.feed_forward_norm(x + self.dropout(self.feed_forward_output(y)))  # [B, S, hidden]
        return x if self.expansion is None else self.expansion(x)

    def _mix(self, x: Tensor, padding: Padding, attentions: list[Tensor] | None) -> list[Tensor]:
        """Return the output of every group of heads for ``x [B, S, hidden]``, each ``[B, S, H d]``."""
        groups = cast(list[Heads], list(self.heads.values()))
        parts, queries = project(x, groups)
        scores: list[Tensor | None] = [None] * len(groups)
        if self.distances is not None and queries is not None:
            length, size = x.shape[1], self.distances.embedding_dim
            # Scale the distance table instead of the queries: it is smaller.
            distances = self.distances.weight[self.longest - length : self.longest + length - 1] / math.sqrt(size)
            together = relative_scores(queries.unflatten(-1, (-1, size)).transpose(1, 2), distances)  # [B, H, S, S]
            if padding.lengths is not None:
                together = together + padding.bias
            counts = [heads.group.heads for heads in groups if heads.positional]
            each = iter(together.split(counts, 1) if len(counts) > 1 else [together])
            scores = [next(each) if heads.positional else None for heads in groups]
        rows = list(zip(groups, parts, scores, strict=True))
        if attentions is None:
            return [heads(x, part, own, padding) for heads, part, own in rows]
        attending = [heads for heads in groups if isinstance(heads, DotProductHeads)]
        weights = [heads.weights(part, own, padding) for heads, part, own in rows if heads in attending]
        attentions.append(torch.cat([x.new_zeros(x.shape[0], 0, x.shape[1], x.shape[1]), *weights], 1))
        # Use the weights that are returned, not their parts, so that gradients of the output reach them.
        taken = dict(zip(attending, attentions[-1].split([heads.group.heads for heads in attending], 1), strict=True))
        return [
            heads.apply_weights(taken[heads], part) if heads in taken else heads(x, part, own, padding)
            for heads, part, own in rows
        ]


class FlexiBertPreTrainedModel(PreTrainedModel):
    """Base of all FlexiBERT models: weight initialisation, loading and saving."""

    config_class = FlexiBertConfig
    base_model_prefix = "flexibert"
    _no_split_modules = ["FlexiBertLayer"]  # noqa: RUF012 - transformers declares it as a list
    _supports_sdpa = True
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Heads):
            module.init_weights(self.config.initializer_range)


class FlexiBertModel(FlexiBertPreTrainedModel):
    """The encoder.

    Args:
        config: the architecture and its settings.
        add_pooling_layer: whether to add ``tanh(Linear(first token))`` for classification.
    """

    def __init__(self, config: FlexiBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = FlexiBertEmbeddings(config)
        self.layers = nn.ModuleList(FlexiBertLayer(config, index) for index in range(config.num_hidden_layers))
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if add_pooling_layer else None
        self.matrices = MatrixCache()
        self.gradient_checkpointing = False  # Set by gradient_checkpointing_enable and _disable.
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word embeddings."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings."""
        self.embeddings.word_embeddings = cast(nn.Embedding, value)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutputWithPooling:
        """Encode.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens and 0 for padding, on the right or on the left; all real if
                ``None``.
            token_type_ids: ``[B, S]``; all 0 if ``None``.
            inputs_embeds: word embeddings ``[B, S, embedding size]`` in place of ``input_ids``.
            output_attentions: whether to return the weights of the self-attention heads.
            output_hidden_states: whether to return the outputs of the embeddings and of every layer.

        Returns:
            ``last_hidden_state [B, S, hidden]``; ``pooler_output [B, hidden]``, of the first real token;
            ``hidden_states``; ``attentions``, for each layer the weights of its ``sdp`` heads, then of its ``wma``
            heads, ``[B, H, S, S]``. H is 0 for a layer without such heads: transforms and convolutions, and the
            attention by relative position that is added to transforms, have no weights here. Values at padding have no
            meaning. The gradient of an output with respect to ``attentions`` needs padding on the right.

        Raises:
            ValueError: there are both ids and embeddings or neither, the sequences are longer than
                ``max_position_embeddings``, or the mask is not valid (see ``Padding``).
        """
        words = self._words(input_ids, inputs_embeds)
        padding = Padding(attention_mask, self.matrices, words)
        types = None if token_type_ids is None else padding.align(token_type_ids)
        x = self.embeddings(padding.align(words), types)
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        attentions: list[Tensor] | None = [] if output_attentions else None
        states = [x]
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x = self._gradient_checkpointing_func(layer.__call__, x, padding, attentions)
            else:
                x = layer(x, padding, attentions)
            states.append(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=padding.restore(x),
            pooler_output=None if self.pooler is None else torch.tanh(self.pooler(x[:, 0])),
            hidden_states=tuple(map(padding.restore, states)) if output_hidden_states else None,
            attentions=None if attentions is None else tuple(map(padding.restore_pairs, attentions)),
        )

    def _words(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        """Return the word embeddings ``[B, S, embedding size]``. Raises ValueError."""
        if (input_ids is None) == (inputs_embeds is None):
            got = "both" if inputs_embeds is not None else "neither"
            raise ValueError(f"exactly one of input_ids and inputs_embeds must be given, but got {got}")
        given = cast(Tensor, inputs_embeds if input_ids is None else input_ids)
        longest = self.config.max_position_embeddings
        if given.shape[1] > longest:
            rule = f"be at most max_position_embeddings = {longest} tokens long"
            remedy = f"Cut them: tokenizer(..., truncation=True, max_length={longest})."
            raise ValueError(f"sequences must {rule}, but got {given.shape[1]}. {remedy}")
        return self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds


# Task heads


class FlexiBertMaskedLMHead(nn.Module):
    """BERT's masked-LM head: Linear, GELU, LayerNorm, then a decoder to all tokens."""

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.norm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[*, hidden]`` to logits ``[*, V]``."""
        return self.decoder(self.norm(F.gelu(self.dense(x))))


class FlexiBertForMaskedLM(FlexiBertPreTrainedModel):
    """The encoder with BERT's masked-LM head."""

    _tied_weights_keys = {  # noqa: RUF012 - transformers declares it as a dict
        "head.decoder.weight": "flexibert.embeddings.word_embeddings.weight"
    }

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__(config)
        self.flexibert = FlexiBertModel(config, add_pooling_layer=False)
        self.head = FlexiBertMaskedLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """Return the decoder."""
        return self.head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the decoder."""
        self.head.decoder = new_embeddings

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> MaskedLMOutput:
        """Predict tokens.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens and 0 for padding, on the right or on the left.
            token_type_ids: ``[B, S]``.
            inputs_embeds: word embeddings ``[B, S, embedding size]`` in place of ``input_ids``.
            labels: ``[B, S]``, the true token, or -100 for tokens that the loss ignores.
            output_attentions: whether to return the weights of the self-attention heads; see ``FlexiBertModel``.
            output_hidden_states: whether to return the outputs of the embeddings and of every layer.

        Returns:
            ``loss``, the mean cross-entropy over labelled tokens (0 if there are none); ``logits [B, S, V]``. In
            training mode with labels, only labelled tokens are scored: ``logits [labelled, V]``, in reading order.
        """
        encoded = self.flexibert(
            input_ids,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            output_attentions,
            output_hidden_states,
            return_dict=True,
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
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> SequenceClassifierOutput:
        """Classify.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens and 0 for padding, on the right or on the left.
            token_type_ids: ``[B, S]``.
            inputs_embeds: word embeddings ``[B, S, embedding size]`` in place of ``input_ids``.
            labels: ``[B]``, the class, or the number to predict if ``num_labels`` is 1; ``[B, num_labels]`` of 0 and 1
                if the configuration's ``problem_type`` is ``multi_label_classification``.
            output_attentions: whether to return the weights of the self-attention heads; see ``FlexiBertModel``.
            output_hidden_states: whether to return the outputs of the embeddings and of every layer.

        Returns:
            ``loss``, mean cross-entropy (binary with several labels) or, for regression, mean squared error; ``logits
            [B, num_labels]``.
        """
        encoded = self.flexibert(
            input_ids,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits, loss = self.classifier(self.dropout(encoded.pooler_output)), None
        if labels is not None and self.config.problem_type == MULTI_LABEL:
            loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        elif labels is not None and self.num_labels == 1:
            loss = F.mse_loss(logits[:, 0], labels.to(logits.dtype).view(-1))
        elif labels is not None:
            loss = F.cross_entropy(logits, labels.view(-1))
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> TokenClassifierOutput:
        """Classify tokens.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``, 1 for real tokens and 0 for padding, on the right or on the left.
            token_type_ids: ``[B, S]``.
            inputs_embeds: word embeddings ``[B, S, embedding size]`` in place of ``input_ids``.
            labels: ``[B, S]``, the class, or -100 for tokens that the loss ignores.
            output_attentions: whether to return the weights of the self-attention heads; see ``FlexiBertModel``.
            output_hidden_states: whether to return the outputs of the embeddings and of every layer.

        Returns:
            ``loss``, the mean cross-entropy over labelled tokens; ``logits [B, S, num_labels]``.
        """
        encoded = self.flexibert(
            input_ids,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits, loss = self.classifier(self.dropout(encoded.last_hidden_state)), None
        if labels is not None:
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )
