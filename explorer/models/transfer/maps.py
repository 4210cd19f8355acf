"""How the neurons of one axis of a recipient come from a donor's: one matrix per way in which weights touch them.

A set of neurons ``x`` of the donor becomes ``P x`` in the recipient. What *writes* the neurons (rows of a weight, a
bias) is multiplied by ``P``; what *reads* them (columns of the next weight) by ``R``, chosen so that ``Pᵀ R = I`` where
the recipient is at least as wide: then ``(W Rᵀ)(P x) = W x``, and widening loses nothing. Factors of single neurons
(the gain of a LayerNorm) are averaged by a matrix whose rows sum to one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Side:
    """One way to carry an axis over.

    Attributes:
        matrix: ``[new, old]`` in float64; ``None`` if old and new neurons are the same, one by one.
        covered: ``[new]``, which new neurons get anything; ``None`` if all do.
        copied: whether several new neurons are copies of one old one.
    """

    matrix: Tensor | None
    covered: Tensor | None = None
    copied: bool = False

    def apply(self, tensor: Tensor, axis: int) -> Tensor:
        """``tensor`` with its ``axis`` of old neurons replaced by one of new neurons."""
        if self.matrix is None:
            return tensor
        moved = tensor.movedim(axis, 0)
        carried = self.matrix @ moved.reshape(len(moved), -1)
        return carried.reshape(-1, *moved.shape[1:]).movedim(0, axis)

    def mask(self, size: int) -> Tensor:
        """``covered`` of an axis of this size, in full."""
        return torch.ones(size, dtype=torch.bool) if self.covered is None else self.covered

    def scaled(self, factor: float) -> Side:
        """The same, larger by a factor."""
        if factor == 1 or self.matrix is None:
            return self
        return replace(self, matrix=self.matrix * factor)


SAME = Side(None)
"""Old and new neurons are the same: tokens of a vocabulary, taps of a kernel."""


@dataclass(frozen=True)
class AxisMap:
    """One axis, in each way that weights touch it.

    Attributes:
        new: number of neurons of the recipient.
        old: number of neurons of the donor.
        out: for what writes the neurons.
        into: for what reads them.
        gain: for factors of single neurons.
        dual_gain: for factors of single neurons that are read by an ``out`` instead of an ``into``, as the masked-LM
            head's are by the embedding matrix.
    """

    new: int
    old: int
    out: Side
    into: Side
    gain: Side
    dual_gain: Side


def same(size: int) -> AxisMap:
    """Old and new neurons are the same."""
    return AxisMap(size, size, SAME, SAME, SAME, SAME)


def leading(new: int, old: int, shift: int = 0) -> AxisMap:
    """The first neurons are the same; further ones of the recipient get nothing, further ones of the donor go.

    Args:
        new: neurons of the recipient.
        old: neurons of the donor.
        shift: new neuron ``j`` is old neuron ``j + shift``.
    """
    if new == old and shift == 0:
        return same(new)
    sources = torch.arange(new) + shift
    covered = (sources >= 0) & (sources < old)
    matrix = torch.zeros(new, old, dtype=torch.float64)
    matrix[covered, sources[covered]] = 1
    side = Side(matrix, covered)
    return AxisMap(new, old, side, side, side, side)


def projected(new: int, old: int, generator: torch.Generator) -> AxisMap:
    """A random projection that keeps the mean square of a neuron, whether it reads or writes.

    Its rows, or columns if it widens, are orthogonal: those of a Gaussian matrix's QR decomposition.
    """
    if new == old:
        return same(new)
    gaussian = torch.randn(max(new, old), min(new, old), generator=generator, dtype=torch.float64)
    orthogonal, triangle = torch.linalg.qr(gaussian)
    orthogonal = orthogonal * triangle.diagonal().sign()  # without it the distribution would not be uniform
    if new < old:
        orthogonal = orthogonal.T
    grown, shrunk = max(1.0, math.sqrt(new / old)), math.sqrt(old / new)
    squares = orthogonal.square()
    mean = squares / squares.sum(1, keepdim=True)
    return AxisMap(
        new, old, Side(orthogonal * grown), Side(orthogonal * shrunk), Side(mean), Side(mean * (shrunk / grown))
    )


def transported(plan: Tensor) -> AxisMap:
    """Move neurons by a transport plan (arXiv 1910.05653).

    A new neuron is the mean of the old ones that are moved to it, weighted by how much of each is; what read an old
    neuron reads all new ones that it was moved to, in the same shares.

    Args:
        plan: ``[old, new]``, not negative, without empty rows or columns.
    """
    old, new = plan.shape
    if old == new and bool((plan > 0).eq(torch.eye(old, dtype=torch.bool)).all()):
        return same(new)
    out = (plan / plan.sum(0)).T
    into = (plan / plan.sum(1, keepdim=True)).T
    # A new neuron that is a copy of a part of an old one shares its source with others.
    copied = bool((plan > 1e-12 * plan.max()).sum(1).max() > 1)
    mean = Side(out, copied=copied)
    return AxisMap(
        new, old, mean, Side(into, copied=copied), mean, Side(out * into.sum(1, keepdim=True), copied=copied)
    )


def blocks(sources: Sequence[int], parts: Sequence[AxisMap], heads: int, divided: bool) -> AxisMap:
    """The axis of all heads of a group, ``heads × size``, from maps within heads.

    Args:
        sources: which of the donor's heads each head of the recipient comes from.
        parts: the map within each head of the recipient.
        heads: heads of the donor.
        divided: whether heads that come from one head add up, so that what reads them must take a share of each.
    """
    new, old = parts[0].new, parts[0].old
    if list(sources) == list(range(heads)) and all(part.out.matrix is None for part in parts):
        return same(new * heads)
    uses = [list(sources).count(source) for source in sources]
    copied = max(uses) > 1

    def side(name: str, shares: bool) -> Side:
        matrix = torch.zeros(len(sources), new, heads, old, dtype=torch.float64)
        for head, (source, part, used) in enumerate(zip(sources, parts, uses, strict=True)):
            within = getattr(part, name).matrix
            block = torch.eye(new, dtype=torch.float64) if within is None else within
            matrix[head, :, source] = block / used if shares else block
        return Side(matrix.flatten(2).flatten(0, 1), copied=copied or any(getattr(p, name).copied for p in parts))

    return AxisMap(
        new * len(sources),
        old * heads,
        side("out", False),
        side("into", divided),
        side("gain", False),
        side("dual_gain", divided),
    )


def joined(parts: Sequence[tuple[AxisMap | None, int, int]], old: int) -> Side:
    """What reads the outputs of all groups of a layer, one after the other.

    Args:
        parts: of each group of the recipient, in order, its map (``None`` if it has no counterpart), its width, and
            where its counterpart begins among the donor's outputs.
        old: width of all the donor's outputs.
    """
    if all(part is not None and part.into.matrix is None for part, _, _ in parts):
        widths = [width for _, width, _ in parts]
        starts = [start for _, _, start in parts]
        if sum(widths) == old and starts == [sum(widths[:i]) for i in range(len(widths))]:
            return SAME
    rows, covered, copied = [], [], False
    for part, width, start in parts:
        matrix = torch.zeros(width, old, dtype=torch.float64)
        if part is not None:
            within = part.into.matrix
            matrix[:, start : start + part.old] = torch.eye(width, dtype=torch.float64) if within is None else within
            copied = copied or part.into.copied
        rows.append(matrix)
        covered.append(torch.zeros(width, dtype=torch.bool) if part is None else part.into.mask(width))
    return Side(torch.cat(rows), torch.cat(covered), copied)
