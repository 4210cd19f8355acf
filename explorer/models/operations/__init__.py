"""Operations of heads, one file each; heads of one operation in a layer are one batched module."""

from __future__ import annotations

from collections.abc import Callable

from explorer.models.operations.convolution import ConvolutionHeads
from explorer.models.operations.cosine import CosineHeads
from explorer.models.operations.fourier import FourierHeads
from explorer.models.operations.group import Group, Heads
from explorer.models.operations.projections import project
from explorer.models.operations.sdp import DotProductHeads
from explorer.models.operations.wma import MultiplicativeHeads
from explorer.space.spec import Family, HeadOp

__all__ = ["Group", "Heads", "build_heads", "project"]

_BUILDERS: dict[str, Callable[[Group], Heads]] = {
    "sdp": DotProductHeads,
    "wma": MultiplicativeHeads,
    "dft": FourierHeads,
    "dct": CosineHeads,
}


def build_heads(operation: HeadOp, group: Group) -> Heads:
    """The module of a group of heads that all do ``operation``."""
    if operation.family is Family.CONVOLUTION:
        return ConvolutionHeads(group, operation.kernel)
    return _BUILDERS[operation.parameter](group)
