"""The architectures a policy may propose, with their vectors, design choices and costs.

A trial's value is the one score that is searched; larger is better. Costs (parameters, FLOPs, seconds, joules) are
secondary objectives: columns of the candidates, known before any trial, minimised. They are exact where they are
counted or measured, and predicted elsewhere.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.space.spec import ArchitectureSpec, LayerSpec


def _no_floats() -> NDArray[np.float64]:
    return np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class Candidates:
    """A finite set of architectures. Proposals depend on their order.

    Attributes:
        ids: N distinct ids.
        vectors: embedding, float64 ``[N, d]``, d ≥ 1, finite.
        choices: integer-coded design choices, int64 ``[N, c]``; -1 where an architecture has no such choice.
        allowed: which candidates may be proposed, bool ``[N]``; all by default. Policies still learn from trials of
            the others, for example of those that violate a constraint added later.
        costs: float64 ``[N, m]``, finite, to be minimised; m = 0 by default.
        cost_names: m distinct names, for example ``parameters``.
        cost_errors: float64 ``[N, m]``: 0 where a cost is known, else the standard deviation of the natural logarithm
            of the predicted cost; all 0 by default.
    """

    ids: tuple[str, ...]
    vectors: NDArray[np.float64]
    choices: NDArray[np.int64]
    allowed: NDArray[np.bool_] = field(default_factory=lambda: np.ones(0, dtype=bool))
    costs: NDArray[np.float64] = field(default_factory=_no_floats)
    cost_names: tuple[str, ...] = ()
    cost_errors: NDArray[np.float64] = field(default_factory=_no_floats)

    def __post_init__(self) -> None:
        count, names = len(self.ids), tuple(self.cost_names)
        costs = np.array(self.costs, dtype=np.float64) if np.size(self.costs) else np.empty((count, 0))
        errors = np.array(self.cost_errors, dtype=np.float64) if np.size(self.cost_errors) else np.zeros_like(costs)
        allowed = np.array(self.allowed, dtype=bool) if np.size(self.allowed) else np.ones(count, dtype=bool)
        arrays = {
            "vectors": np.array(self.vectors, dtype=np.float64),
            "choices": np.array(self.choices, dtype=np.int64),
            "allowed": allowed,
            "costs": costs,
            "cost_errors": errors,
        }
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "ids", tuple(self.ids))
        object.__setattr__(self, "cost_names", names)
        self._check()
        self._check_costs()

    def _check(self) -> None:
        count = len(self.ids)
        if count == 0:
            raise InputError("candidates", "be at least one", 0, "Build the design space first.")
        if len(self.index) != count:
            repeated = next(id for place, id in enumerate(self.ids) if self.index[id] != place)
            raise InputError("candidate ids", "be distinct", repeated, "Give every architecture once.")
        if self.vectors.ndim != 2 or len(self.vectors) != count or self.vectors.shape[1] == 0:
            rule = f"have shape [{count}, d] with d ≥ 1"
            raise InputError("candidate vectors", rule, self.vectors.shape, "Give one vector per id.")
        if self.choices.ndim != 2 or len(self.choices) != count:
            raise InputError(
                "candidate choices", f"have shape [{count}, c]", self.choices.shape, "Give one row per id."
            )
        if self.allowed.shape != (count,):
            rule = f"have shape [{count}]"
            raise InputError("allowed candidates", rule, self.allowed.shape, "Give one truth value per id.")
        if not np.isfinite(self.vectors).all():
            broken = self.ids[int(np.flatnonzero(~np.isfinite(self.vectors).all(1))[0])]
            raise InputError("candidate vectors", "be finite", broken, "Embed this architecture again.")

    def _check_costs(self) -> None:
        shape = (len(self), len(self.cost_names))
        if len(set(self.cost_names)) != len(self.cost_names):
            raise InputError("cost names", "be distinct", self.cost_names, "Name every cost once.")
        for label, array in (("costs", self.costs), ("cost errors", self.cost_errors)):
            if array.shape != shape or not np.isfinite(array).all():
                rule = f"be finite, of shape {list(shape)}"
                raise InputError(label, rule, array.shape, "Give one row per id and one column per cost name.")
        if (self.cost_errors < 0).any():
            lowest = float(self.cost_errors.min())
            raise InputError("cost errors", "be at least 0", lowest, "Give 0 where a cost is known.")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Position of each id."""
        return {id: i for i, id in enumerate(self.ids)}

    def cost_figures(self, i: int) -> dict[str, float]:
        """Return the costs of one candidate by name; the error of a predicted cost is added as ``NAME error``."""
        costs = dict(zip(self.cost_names, self.costs[i].tolist(), strict=True))
        errors = zip(self.cost_names, self.cost_errors[i].tolist(), strict=True)
        return costs | {f"{name} error": error for name, error in errors if error > 0.0}


def encode_choices(specs: Sequence[ArchitectureSpec]) -> NDArray[np.int64]:
    """Encode every design choice as an integer.

    Args:
        specs: N architectures of at most L layers.

    Returns:
        ``[N, 1 + 5 L]``: the depth, then per layer operation, hidden size, heads, stack depth and stack width, each
        as the rank of first occurrence of its value; -1 where an architecture has no such layer.
    """
    depth = max((spec.depth for spec in specs), default=0)
    codes = np.full((len(specs), 1 + 5 * depth), -1, dtype=np.int64)
    tables: list[dict[Hashable, int]] = [{} for _ in range(6)]
    known: dict[int, list[int]] = {}  # by identity, because the hash of a layer is slow
    for row, spec in enumerate(specs):
        coded = [tables[0].setdefault(spec.depth, len(tables[0]))]
        for layer in spec.layers:
            if id(layer) not in known:
                choices = zip(tables[1:], _layer_choices(layer), strict=True)
                known[id(layer)] = [table.setdefault(value, len(table)) for table, value in choices]
            coded += known[id(layer)]
        codes[row, : len(coded)] = coded
    return codes


def _layer_choices(layer: LayerSpec) -> tuple[Hashable, ...]:
    return (
        (layer.family, layer.parameter) if layer.main else layer.heads,
        layer.hidden,
        len(layer.heads),
        len(layer.feed_forward),
        layer.feed_forward[0] if len(set(layer.feed_forward)) == 1 else layer.feed_forward,
    )
