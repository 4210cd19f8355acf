"""Floating-point operations of a built model by torch's FLOP counter, on fake tensors.

``torch.utils.flop_counter`` counts matrix products, convolutions and attention, a multiply-add as 2. It leaves out fast
Fourier transforms; this module adds them as 5 n log₂ n for n points. Look-ups, biases, norms, activations, softmax and
element-wise products are not counted.

The formula of ``explorer.measure.size`` counts what an *operation* needs, this counter what its current implementation
executes. They are equal for self-attention and Fourier heads with absolute positions, and differ for

* relative positions: 2 S - 1 are needed and 2 S are multiplied, a difference of 0.1 %;
* cosine heads: the formula counts a fast transform; the implementation multiplies by matrices, which costs more;
* convolution heads: the formula counts the application of the kernels, 2 S d K a head. The counter does not see it
  on long sequences (element-wise products) and the product of a whole banded matrix on short ones. In the backward
  pass the counter takes a depthwise convolution for a full one, so their training FLOPs are too high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from explorer.measure.building import build, configuration
from explorer.measure.settings import Load
from explorer.models import FlexiBertModel
from explorer.space.spec import ArchitectureSpec


@dataclass(frozen=True)
class CountedFlops:
    """FLOPs of the encoder for a whole batch, without embeddings and pooler.

    Attributes:
        forward: of one forward pass.
        training: of one forward and backward pass.
    """

    forward: int
    training: int


def _fourier(shape: Sequence[int], axes: Sequence[int], *rest: object, **options: object) -> int:
    """Return the FLOPs of a transform over some axes of a tensor of this shape."""
    del rest, options
    return round(5 * math.prod(shape) * math.log2(math.prod(shape[axis] for axis in axes)))


def _counter() -> FlopCounterMode:
    transforms = {torch.ops.aten._fft_r2c: _fourier, torch.ops.aten._fft_c2c: _fourier}
    return FlopCounterMode(display=False, custom_mapping=transforms)


def count_flops(spec: ArchitectureSpec, load: Load, positions: str | None = None) -> CountedFlops:
    """Count the FLOPs of an encoder as it runs on a processor, on fake tensors, which have shapes but no data.

    Args:
        spec: the architecture.
        load: batch and length; precision and vocabulary have no influence.
        positions: ``relative_key`` or ``absolute``; by default relative, and absolute with a backbone.

    Raises:
        InputError: ``positions`` is unknown.
    """
    config = configuration(spec, load, positions)
    with FakeTensorMode():
        model = build(FlexiBertModel, config, "cpu", add_pooling_layer=False).eval()
        ids = torch.zeros(load.batch, load.length, dtype=torch.long)
        with _counter() as training:
            model(ids).last_hidden_state.sum().backward()
        model.requires_grad_(False)
        with _counter() as forward:
            model(ids)
    return CountedFlops(forward.get_total_flops(), training.get_total_flops())
