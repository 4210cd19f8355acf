"""The table of operations: names, titles, colours, parameters and FLOPs of everything a head can do; no torch.

An operation is named ``FAMILY_PARAMETER``, for example ``sa_sdp`` or ``c_5``; a family whose parameter is a number has
one entry for all numbers. The module of an entry is the class with the same key in ``OPERATIONS`` of
``explorer.models.flexibert.modeling_flexibert``. Spec, formulas, device predictors, figures and app read this table.

FLOPs count a multiply-add as 2 and only products of matrices, convolutions and transforms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from explorer.errors import SpecError

MAX_KERNEL = 127
USUAL_KERNELS = (3, 5, 7, 9, 11, 13)
"""Kernel sizes that people choose from; others can be written."""
GREY = "#8A8F98"
"""Colour of operations without one of their own."""


class Family(StrEnum):
    """Operation family of a head."""

    SELF_ATTENTION = "sa"
    LINEAR = "l"
    CONVOLUTION = "c"


FAMILY_TITLES: Mapping[Family, str] = MappingProxyType(
    {Family.SELF_ATTENTION: "attention", Family.LINEAR: "linear transform", Family.CONVOLUTION: "convolution"}
)


@dataclass(frozen=True)
class HeadGroup:
    """The heads of one operation in one layer, as the formulas need them.

    Attributes:
        parameter: the operation's parameter.
        hidden: hidden size of the layer.
        size: width of each head.
        heads: number of heads of this operation.
        layer_heads: number of all heads of the layer.
        relative: whether positions are relative.
    """

    parameter: str
    hidden: int
    size: int
    heads: int
    layer_heads: int
    relative: bool

    @property
    def sliced(self) -> bool:
        """Whether the layer's heads fill its hidden size, so that each has its own slice of it."""
        return self.layer_heads * self.size == self.hidden

    @property
    def alone(self) -> bool:
        """Whether the layer has no other operation."""
        return self.heads == self.layer_heads

    @property
    def kernel(self) -> int:
        """The parameter as a kernel size."""
        return int(self.parameter)

    @property
    def linear(self) -> int:
        """Parameters of a Linear from the hidden size to all heads of the group."""
        return (self.hidden + 1) * self.heads * self.size

    def linear_flops(self, length: int) -> int:
        """Return the FLOPs of such a Linear for ``length`` tokens."""
        return 2 * length * self.hidden * self.heads * self.size

    def position_flops(self, length: int) -> int:
        """Return the FLOPs of the queries' scores against 2 S - 1 relative positions; 0 with absolute positions."""
        return self.heads * 2 * length * (2 * length - 1) * self.size if self.relative else 0


@dataclass(frozen=True)
class Operation:
    """One entry of the table.

    Attributes:
        family: its family.
        parameter: its parameter; empty if the parameter is an odd kernel size from 1 to ``MAX_KERNEL``.
        title: name for people, with ``{}`` in place of a kernel size.
        short: name within its family.
        colors: colours by parameter, which people with any colour vision can tell apart (Okabe and Ito 2008).
        uses_positions: whether its queries meet the layer's relative positions.
        parameters: number of parameters of a group of heads.
        flops: FLOPs of a group of heads for one sequence of that many tokens.
    """

    family: Family
    parameter: str
    title: str
    short: str
    colors: Mapping[str, str]
    uses_positions: bool
    parameters: Callable[[HeadGroup], int]
    flops: Callable[[HeadGroup, int], int]

    @property
    def key(self) -> str:
        """Its key in the table: ``FAMILY_PARAMETER``, or the family if the parameter is a kernel size."""
        return f"{self.family}_{self.parameter}" if self.parameter else self.family.value


def _attention_flops(group: HeadGroup, length: int) -> int:
    """Linears of query, key and value; scores and values, 4 S² d a head; relative positions."""
    products = group.heads * 4 * length * length * group.size
    return 3 * group.linear_flops(length) + products + group.position_flops(length)


def _multiplicative_parameters(group: HeadGroup) -> int:
    """Dot-product attention and the matrix W, d² for each head, or once where the layer has nothing else."""
    return 3 * group.linear + group.size**2 * (1 if group.alone and group.sliced else group.heads)


def _mixing_parameters(group: HeadGroup) -> int:
    """Query and value with relative positions; the Linear that makes slices where heads do not fill the hidden size."""
    return group.linear * (2 * group.relative + (not group.sliced))


def _mixing_flops(group: HeadGroup, length: int, share: int) -> int:
    """The Linears; a transform of S d points, 5 N log₂ N / ``share`` a head; attention by relative positions."""
    points = length * group.size
    total = group.linear_flops(length) * (2 * group.relative + (not group.sliced))
    total += group.heads * (round(5 * points * math.log2(points)) // share)
    if group.relative:
        total += group.heads * 2 * length * length * group.size + group.position_flops(length)
    return total


def _convolution_parameters(group: HeadGroup) -> int:
    """Query, pointwise and value; a depthwise filter for each hidden feature; the maps to kernels."""
    return 3 * group.linear + group.hidden * group.kernel + group.heads * (group.size + 1) * group.kernel


def _convolution_flops(group: HeadGroup, length: int) -> int:
    """The Linears; the depthwise convolution, 2 S h K; per head 2 S d K for its kernels and as much to apply them."""
    depthwise = 2 * length * group.hidden * group.kernel
    return 3 * group.linear_flops(length) + depthwise + group.heads * 4 * length * group.size * group.kernel


_TABLE = (
    Operation(
        family=Family.SELF_ATTENTION,
        parameter="sdp",
        title="attention (dot product)",
        short="dot product",
        colors={"sdp": "#0072B2"},
        uses_positions=True,
        parameters=lambda group: 3 * group.linear,
        flops=_attention_flops,
    ),
    Operation(
        family=Family.SELF_ATTENTION,
        parameter="wma",
        title="attention (weighted multiplicative)",
        short="weighted multiplicative",
        colors={"wma": "#56B4E9"},
        uses_positions=True,
        parameters=_multiplicative_parameters,
        flops=lambda group, length: _attention_flops(group, length) + group.heads * 2 * length * group.size**2,
    ),
    Operation(
        family=Family.LINEAR,
        parameter="dft",
        title="linear (Fourier)",
        short="Fourier",
        colors={"dft": "#D55E00"},
        uses_positions=True,
        parameters=_mixing_parameters,
        # The usual count of a complex fast Fourier transform.
        flops=lambda group, length: _mixing_flops(group, length, share=1),
    ),
    Operation(
        family=Family.LINEAR,
        parameter="dct",
        title="linear (cosine)",
        short="cosine",
        colors={"dct": "#E69F00"},
        uses_positions=True,
        parameters=_mixing_parameters,
        # A real transform costs half of a complex one.
        flops=lambda group, length: _mixing_flops(group, length, share=2),
    ),
    Operation(
        family=Family.CONVOLUTION,
        parameter="",
        title="convolution (kernel {})",
        short="kernel",
        colors={"5": "#009E73", "9": "#CC79A7", "13": "#F0E442"},
        uses_positions=False,
        parameters=_convolution_parameters,
        flops=_convolution_flops,
    ),
)
OPERATIONS: dict[str, Operation] = {operation.key: operation for operation in _TABLE}
"""All operations by key, in the order in which people see them."""


def find_operation(family: str, parameter: str) -> Operation:
    """Return the entry of a head's operation.

    Raises:
        SpecError: the family is unknown, or the parameter is not one of its parameters.
    """
    try:
        Family(family)
    except ValueError:
        rule = f"be one of {', '.join(Family)}"
        raise SpecError("operation family", rule, family, "Use one of them.") from None
    named = OPERATIONS.get(f"{family}_{parameter}")
    if named is not None:
        return named
    by_kernel = OPERATIONS.get(family)
    if by_kernel is None:
        allowed = " or ".join(operation.parameter for operation in OPERATIONS.values() if operation.family == family)
        raise SpecError(f"parameter of {family}", f"be {allowed}", parameter, f"Use {allowed}.")
    # int() raises ValueError for texts of more than 4,300 digits, so check the length first.
    digits = parameter.isascii() and parameter.isdigit() and len(parameter) <= len(str(MAX_KERNEL))
    kernel = int(parameter) if digits else 0
    if kernel % 2 == 0 or kernel > MAX_KERNEL or parameter != str(kernel):
        rule = f"be an odd kernel size from 1 to {MAX_KERNEL}"
        raise SpecError(f"parameter of {family}", rule, parameter, "Use for example 5 or 9.")
    return by_kernel


def _known(name: str) -> tuple[Operation, str] | None:
    """Return entry and parameter of ``FAMILY_PARAMETER``; ``None`` for mixes and unknown operations."""
    family, _, parameter = name.partition("_")
    try:
        return find_operation(family, parameter), parameter
    except SpecError:
        return None


def operation_title(name: str) -> str:
    """Return the name for people of an operation ``FAMILY_PARAMETER``; that of a mix is the name in words."""
    known = _known(name)
    return known[0].title.format(known[1]) if known else name.replace("_", " ")


def operation_color(name: str) -> str:
    """Return the colour of an operation ``FAMILY_PARAMETER``; grey if it has none of its own."""
    known = _known(name)
    return known[0].colors.get(known[1], GREY) if known else GREY


def usual_operations() -> list[str]:
    """Return the operations people choose from as ``FAMILY_PARAMETER``, convolutions with their usual kernels."""
    return [name for operation in OPERATIONS.values() for name in _usual(operation)]


def usual_parameters(family: str) -> list[str]:
    """Return the parameters of a family that people choose from."""
    return [parameter for name in usual_operations() for own, _, parameter in [name.partition("_")] if own == family]


def family_of(parameter: str) -> Family | None:
    """Return the family with a parameter; ``None`` if no family has it."""
    return next((family for family in Family if _known(f"{family}_{parameter}")), None)


def _usual(operation: Operation) -> Iterator[str]:
    if operation.parameter:
        yield operation.key
    else:
        yield from (f"{operation.family}_{kernel}" for kernel in USUAL_KERNELS)


def parameter_titles() -> dict[str, str]:
    """Return named parameters with a title each, for example ``sdp`` with ``dot product (sdp)``."""
    named = [operation for operation in OPERATIONS.values() if operation.parameter]
    return {operation.parameter: f"{operation.short} ({operation.parameter})" for operation in named}


def family_titles() -> dict[str, str]:
    """Return families with a title each, for example ``sa`` with ``attention (sa)``."""
    return {family.value: f"{title} ({family})" for family, title in FAMILY_TITLES.items()}


def notation_help() -> str:
    """Return a sentence on what families and parameters mean."""
    titles = parameter_titles()
    parts = []
    for family, title in FAMILY_TITLES.items():
        own = [titles[one.parameter] for one in OPERATIONS.values() if one.family is family and one.parameter]
        parts.append(f"{family}: {title}" + (f", {' or '.join(own)}" if own else " and its kernel size"))
    return "; ".join(parts)
