"""Maps from a donor's neurons to a recipient's along one axis: one matrix for each way in which weights use them.

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
    """The map of an axis for one way in which weights use it.

    Attributes:
        matrix: ``[new, old]`` in float64; ``None`` for the identity.
        covered: ``[new]``, which new neurons get a value; ``None`` if all do.
        copied: whether several new neurons are copies of one old one.
    """

    matrix: Tensor | None
    covered: Tensor | None = None
    copied: bool = False

    def apply(self, tensor: Tensor, axis: int) -> Tensor:
        """Map the ``axis`` of a tensor from old to new neurons."""
        if self.matrix is None:
            return tensor
        moved = tensor.movedim(axis, 0)
        carried = self.matrix @ moved.reshape(len(moved), -1)
        return carried.reshape(-1, *moved.shape[1:]).movedim(0, axis)

    def mask(self, size: int) -> Tensor:
        """Return ``covered`` as a tensor for an axis of this size."""
        return torch.ones(size, dtype=torch.bool) if self.covered is None else self.covered

    def scaled(self, factor: float) -> Side:
        """Return the map multiplied by a factor."""
        if factor == 1 or self.matrix is None:
            return self
        return replace(self, matrix=self.matrix * factor)


SAME = Side(None)
"""The identity: tokens of a vocabulary, taps of a kernel."""


@dataclass(frozen=True)
class AxisMap:
    """The maps of one axis, for each way in which weights use it.

    Attributes:
        new: number of neurons of the recipient.
        old: number of neurons of the donor.
        out: for weights that write the neurons.
        into: for weights that read them.
        gain: for factors of single neurons.
        dual_gain: for factors of single neurons that are read by an ``out`` instead of an ``into``, such as those of
            the masked-LM head, which the embedding matrix reads.
    """

    new: int
    old: int
    out: Side
    into: Side
    gain: Side
    dual_gain: Side


def same(size: int) -> AxisMap:
    """Return the identity."""
    return AxisMap(size, size, SAME, SAME, SAME, SAME)


def leading(new: int, old: int, shift: int = 0) -> AxisMap:
    """Return the map that copies the leading neurons: further ones of the recipient get nothing, of the donor are cut.

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
    """Return a random projection that preserves the mean square of neurons, read or written.

    Its rows, or columns if it widens, are orthogonal: those of a Gaussian matrix's QR decomposition.
    """
    if new == old:
        return same(new)
    gaussian = torch.randn(max(new, old), min(new, old), generator=generator, dtype=torch.float64)
    orthogonal, triangle = torch.linalg.qr(gaussian)
    orthogonal = orthogonal * triangle.diagonal().sign()  # Makes the distribution uniform (Haar).
    if new < old:
        orthogonal = orthogonal.T
    grown, shrunk = max(1.0, math.sqrt(new / old)), math.sqrt(old / new)
    squares = orthogonal.square()
    mean = squares / squares.sum(1, keepdim=True)
    return AxisMap(
        new, old, Side(orthogonal * grown), Side(orthogonal * shrunk), Side(mean), Side(mean * (shrunk / grown))
    )


def transported(plan: Tensor) -> AxisMap:
    """Return the map of a transport plan (arXiv 1910.05653).

    A new neuron is the mean of the old ones that are moved to it, weighted by the plan; weights that read an old neuron
    read all new ones that it was moved to, in the same proportions.

    Args:
        plan: ``[old, new]``, non-negative, without empty rows or columns.
    """
    old, new = plan.shape
    if old == new and bool((plan > 0).eq(torch.eye(old, dtype=torch.bool)).all()):
        return same(new)
    out = (plan / plan.sum(0)).T
    into = (plan / plan.sum(1, keepdim=True)).T
    # An old neuron that is moved to several new ones makes them copies of each other.
    copied = bool((plan > 1e-12 * plan.max()).sum(1).max() > 1)
    mean = Side(out, copied=copied)
    return AxisMap(
        new, old, mean, Side(into, copied=copied), mean, Side(out * into.sum(1, keepdim=True), copied=copied)
    )


def blocks(sources: Sequence[int], parts: Sequence[AxisMap], heads: int, divided: bool) -> AxisMap:
    """Return the map of all heads of a group, ``heads × size``, from maps within heads.

    Args:
        sources: the donor's head for each head of the recipient.
        parts: the map within each head of the recipient.
        heads: number of heads of the donor.
        divided: whether heads with one source add up, so that weights that read them are divided by their number.
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
    """Return the map for weights that read the concatenated outputs of all groups of a layer.

    Args:
        parts: for each group of the recipient, in order, its map (``None`` without a counterpart), its width, and the
            offset of its counterpart in the donor's outputs.
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
