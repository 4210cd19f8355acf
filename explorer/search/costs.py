"""Candidates with costs: what a search for trade-offs knows of every candidate before it is evaluated.

A trial's value stays the one score that is searched, larger is better. Costs (parameters, FLOPs, seconds, joules) are
columns of the candidates, less is better: exact where they are counted or measured, predicted elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.search.policy import Candidates


@dataclass(frozen=True, eq=False)
class CostedCandidates(Candidates):
    """Candidates whose costs are known or predicted.

    Attributes:
        costs: float64 ``[N, m]``, m ≥ 1, finite, less is better.
        cost_names: m distinct names, for example ``parameters``.
        errors: float64 ``[N, m]``: 0 where a cost is known, else the standard deviation of the natural logarithm of
            the predicted one; all 0 unless given.
    """

    costs: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    cost_names: tuple[str, ...] = ()
    errors: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        super().__post_init__()
        costs, names = np.array(self.costs, dtype=np.float64), tuple(self.cost_names)
        errors = np.array(self.errors, dtype=np.float64) if np.size(self.errors) else np.zeros_like(costs)
        shape = (len(self), len(names))
        if not names or len(set(names)) != len(names):
            raise InputError("cost names", "be distinct and at least one", names, "Name every cost once.")
        for what, array in (("costs", costs), ("cost errors", errors)):
            if array.shape != shape or not np.isfinite(array).all():
                rule = f"be finite, of shape {list(shape)}"
                raise InputError(what, rule, array.shape, "Give one row per id and a column per name.")
            array.flags.writeable = False
        if (errors < 0).any():
            raise InputError("cost errors", "be at least 0", float(errors.min()), "Give 0 where a cost is known.")
        for name, value in (("costs", costs), ("cost_names", names), ("errors", errors)):
            object.__setattr__(self, name, value)

    def figures(self, i: int) -> dict[str, float]:
        """Costs of one candidate by name; where one is predicted, its error too, as ``NAME error``."""
        found = dict(zip(self.cost_names, self.costs[i].tolist(), strict=True))
        errors = zip(self.cost_names, self.errors[i].tolist(), strict=True)
        return found | {f"{name} error": error for name, error in errors if error > 0.0}


def costs_of(candidates: Candidates) -> NDArray[np.float64]:
    """Costs ``[N, m]``; without any, one column that is the same for all."""
    return candidates.costs if isinstance(candidates, CostedCandidates) else np.zeros((len(candidates), 1))
