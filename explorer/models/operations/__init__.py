"""Operations of heads, one file each; heads of one operation in a layer are one batched module."""

from __future__ import annotations

from torch import nn

from explorer.models.operations.convolution import ConvolutionHeads
from explorer.models.operations.cosine import CosineHeads
from explorer.models.operations.fourier import FourierHeads
from explorer.models.operations.group import Group
from explorer.models.operations.sdp import DotProductHeads
from explorer.models.operations.wma import MultiplicativeHeads
from explorer.space.spec import Family, HeadOp

__all__ = ["Group", "build_heads"]

_BUILDERS: dict[str, type[nn.Module]] = {
    "sdp": DotProductHeads,
    "wma": MultiplicativeHeads,
    "dft": FourierHeads,
    "dct": CosineHeads,
}


def build_heads(operation: HeadOp, group: Group) -> nn.Module:
    """The module of a group of heads that all do ``operation``."""
    if operation.family is Family.CONVOLUTION:
        return ConvolutionHeads(group, operation.kernel)
    return _BUILDERS[operation.parameter](group)
