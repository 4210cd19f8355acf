"""Filling of single tensors and axes of a recipient; ``walk`` determines the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.models.transfer.alignment import free_plan, hardened, transport_plan
from explorer.models.transfer.maps import AxisMap, Side, leading, projected, same, transported
from explorer.models.transfer.report import COPIED, FRESH, Method, TensorReport


@dataclass(frozen=True)
class Transfer:
    """Settings of a transfer.

    Attributes:
        method: how tensors of different shapes are filled.
        noise: fraction of the recipient's initial values that is added to matrices with copied neurons: exact copies
            would always get equal gradients. 0 preserves the donor's function exactly.
        own_share: weight of the recipient's own values in the result. Above 0 two trained models are fused: transport
            first aligns the donor's neurons to the recipient's (arXiv 1910.05653).
        entropy: for transport: 0 for exact plans, else Sinkhorn's regularisation relative to the largest cost, for
            example 0.01.
        hard: for transport: whether every neuron is moved to a single target.

    Raises:
        InputError: a setting is out of its range.
    """

    method: Method
    noise: float = 0.1
    own_share: float = 0.0
    entropy: float = 0.0
    hard: bool = False

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "method", Method(self.method))
        except ValueError:
            rule = f"be one of {', '.join(Method)}"
            raise InputError("transfer method", rule, self.method, "Use one of them.") from None
        for name, value in (("noise", self.noise), ("entropy", self.entropy), ("own_share", self.own_share)):
            if not 0 <= value < (1 if name == "own_share" else float("inf")):
                raise InputError(f"transfer {name}", "be at least 0, own_share below 1", value, "Use the default.")


class Fitting:
    """The recipient's tensors while they are filled, in float64.

    Args:
        donor: the donor's tensors by name.
        recipient: the recipient's own tensors by name; they are not changed.
        settings: method and its strengths.
        generator: generator of random projections.
    """

    def __init__(
        self,
        donor: Mapping[str, Tensor],
        recipient: Mapping[str, Tensor],
        settings: Transfer,
        generator: torch.Generator,
    ) -> None:
        self.old = {name: tensor.detach().to("cpu", torch.float64) for name, tensor in donor.items()}
        self.own = {name: tensor.detach().to("cpu", torch.float64) for name, tensor in recipient.items()}
        self.settings, self._generator = settings, generator
        self.filled: dict[str, Tensor] = {}
        self._taken: dict[str, tuple[int, str]] = {}

    @property
    def ordered(self) -> bool:
        """Whether leading rows and columns are copied unchanged."""
        return self.settings.method is Method.ORDERED

    @property
    def fusing(self) -> bool:
        """Whether the donor's neurons are aligned to the recipient's, even at equal widths."""
        return self.settings.own_share > 0 and self.settings.method is Method.TRANSPORT

    def axis(self, old_rows: Tensor, own_rows: Tensor) -> AxisMap:
        """Fit an axis.

        Args:
            old_rows: ``[old, F]``, features of the donor's neurons, in the recipient's coordinates.
            own_rows: ``[new, F]``, the same features of the recipient's neurons.
        """
        old, new, settings = len(old_rows), len(own_rows), self.settings
        if old == new and not self.fusing:
            return same(old)
        if settings.method is Method.ORDERED:
            return leading(new, old)
        if settings.method is Method.PROJECTION:
            return projected(new, old, self._generator)
        plan = (transport_plan if self.fusing else free_plan)(old_rows, own_rows, settings.entropy)
        return transported(hardened(plan) if settings.hard else plan)

    def put(self, name: str, source: Tensor | None, *sides: Side, flat: bool = False) -> None:
        """Fill a tensor; without a source it keeps its own values.

        Args:
            name: the recipient's tensor.
            source: the donor's.
            sides: maps of its axes in order; further axes are not changed.
            flat: whether the first side maps the first two axes jointly.
        """
        if source is None or name not in self.own:
            return
        own, value = (tensor.flatten(0, 1) if flat else tensor for tensor in (self.own[name], source))
        mask = torch.ones((1,) * own.dim(), dtype=torch.bool)
        for axis, side in enumerate(sides):
            value = side.apply(value, axis)
            shape = [1] * own.dim()
            shape[axis] = own.shape[axis]
            mask = mask & side.mask(own.shape[axis]).view(shape)
        if value.shape != own.shape:
            rule = f"have the shape {tuple(own.shape)} once fitted"
            raise InputError(f"tensor {name}", rule, tuple(value.shape), "Use models with equal settings.")
        if own.dim() > 1 and any(side.copied for side in sides):
            value = value + self.settings.noise * own
        value = torch.lerp(value, own, self.settings.own_share)
        mask = mask.expand_as(own)
        self.filled[name] = torch.where(mask, value, own).view_as(self.own[name])
        how = COPIED if all(side.matrix is None for side in sides) else str(self.settings.method)
        self._taken[name] = int(mask.sum()), how

    def linear(self, name: str, out: Side, into: Side) -> None:
        """Fill a Linear of the same name in both models."""
        self.put(f"{name}.weight", self.old.get(f"{name}.weight"), out, into)
        self.put(f"{name}.bias", self.old.get(f"{name}.bias"), out)

    def norm(self, name: str, axis: AxisMap) -> None:
        """Fill a LayerNorm of the same name in both models."""
        self.put(f"{name}.weight", self.old.get(f"{name}.weight"), axis.gain)
        self.put(f"{name}.bias", self.old.get(f"{name}.bias"), axis.out)

    def bridge(self, name: str, size: int, out: Side, into: Side) -> None:
        """Fill a Linear that the donor lacks because its width does not change there; nothing counts as taken."""
        self.put(f"{name}.weight", torch.eye(size, dtype=torch.float64), out, into)
        self.put(f"{name}.bias", torch.zeros(size, dtype=torch.float64), out)
        for kind in ("weight", "bias"):
            self._taken[f"{name}.{kind}"] = 0, FRESH

    def reports(self) -> tuple[TensorReport, ...]:
        """Return a report on every tensor."""
        found = []
        for name, tensor in self.own.items():
            taken, how = self._taken.get(name, (0, FRESH))
            found.append(TensorReport(name, part_of(name), tensor.numel(), taken, how if taken else FRESH))
        return tuple(found)


def part_of(name: str) -> str:
    """Return the part of a model that a tensor belongs to: ``embeddings``, ``layer 3``, ``head``."""
    pieces = name.split(".")
    if "layers" in pieces:
        return f"layer {pieces[pieces.index('layers') + 1]}"
    return "embeddings" if "embeddings" in pieces else pieces[0]
