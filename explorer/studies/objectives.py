"""Objectives and constraints of a study: read from texts, and evaluated for every candidate.

* An **objective** (``explorer.analysis.quantities``) is a score (a task, or ``mean``), which is maximised, or a cost,
  which is minimised: ``parameters``, ``flops``, ``depth`` or ``QUANTITY@DEVICE``, for example ``latency@raspberry``.
* A **constraint** is a cost and a range: ``parameters<=200K``, ``latency@raspberry<=0.05``.

Facts are known for every architecture. A device's quantity is known where it was measured; for other architectures it
is predicted from the measured ones. A predicted quantity satisfies a constraint if its whole error bar does, so about
five in six of the architectures at the limit really satisfy it; a later measurement replaces the prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from explorer.analysis.devices import find_device
from explorer.analysis.quantities import (
    COST_FACTS,
    Direction,
    Objective,
    parse_measurement_key,
    quantity_text,
    split_direction,
)
from explorer.analysis.ranges import normalised, parse_range, split_name
from explorer.errors import DataError, InputError
from explorer.search import Candidates
from explorer.space.formats import from_json
from explorer.studies.candidates import space_candidates
from graphstore import GraphStore
from graphstore.queries import Fact, MeasurementKey, Range
from graphstore.records import ArchitectureRecord, ArchitectureSummary

if TYPE_CHECKING:
    from explorer.studies.spec import StudySpec

MOST_COSTS = 2
EXAMPLE = "Write for example parameters<=200K or latency@raspberry<=0.05."


Cost = Fact | MeasurementKey
"""A quantity that is known or predicted before an architecture is trained."""


@dataclass(frozen=True)
class CostValues:
    """A cost of every candidate.

    Attributes:
        values: ``[N]``.
        errors: ``[N]``: 0 where it is known, else the standard deviation of the predicted one's natural logarithm.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]

    def keeps(self, limits: Range) -> NDArray[np.bool_]:
        """Return which candidates lie in a range with their whole error bar, ``[N]``."""
        low, high = (self.values * np.exp(side * self.errors) for side in (-1.0, 1.0))
        above = low >= (-np.inf if limits.at_least is None else limits.at_least)
        return np.asarray(above & (high <= (np.inf if limits.at_most is None else limits.at_most)))


def parse_cost(text: str) -> Cost | None:
    """Read a cost; ``None`` if the text names a score. Raises InputError if it is neither."""
    if "@" in text:
        return parse_measurement_key(text)
    return Fact(text) if text in COST_FACTS else None


def read_objectives(texts: Sequence[str]) -> tuple[Objective, ...]:
    """Read objectives; the score comes first.

    Args:
        texts: objectives, of which exactly one is a score. A leading minus minimises, as in earlier versions.

    Raises:
        InputError: a text cannot be read, a score is minimised or a cost maximised, the costs are not distinct or too
            many, or there is not exactly one score.
    """
    for text in texts:
        if not isinstance(text, str):
            raise InputError("objective", "be a text", text, "Write for example mean.")
    read = [_read_objective(text) for text in texts]
    scores = [one for one in read if one.direction is Direction.MAXIMISE]
    costs = [one for one in read if one.direction is Direction.MINIMISE]
    if len(scores) != 1:
        rule = "hold exactly one score, such as mean, in addition to costs such as minimise:parameters"
        raise InputError("objectives", rule, list(texts), "Name one task, or mean.")
    if len(set(costs)) != len(costs) or len(costs) > MOST_COSTS:
        rule = f"be a score and at most {MOST_COSTS} different costs"
        raise InputError("objectives", rule, list(texts), "Leave some out, or make them constraints.")
    return (*scores, *costs)


def _read_objective(text: str) -> Objective:
    name, given = split_direction(text, minus=Direction.MINIMISE)
    cost = parse_cost(name)
    own = Direction.MAXIMISE if cost is None else Direction.MINIMISE
    if given not in (None, own):
        rule = f"be maximised if it is a score, and minimised if it is {', '.join(COST_FACTS)} or QUANTITY@DEVICE"
        raise InputError("objective", rule, text, f"Write {own}:{name}.")
    return Objective(name if cost is None else quantity_text(cost), own)


def parse_constraint(text: str) -> tuple[Cost, Range]:
    """Read a constraint. Raises InputError if the text is not a constraint."""
    name, found = split_name(text)
    cost = None if found is None else parse_cost(name)
    if cost is None or found is None:
        rule = f"be {', '.join(COST_FACTS)} or QUANTITY@DEVICE, and a range"
        raise InputError("constraint", rule, text, EXAMPLE)
    return cost, parse_range(f"constraint {name}", found)


def read_constraints(texts: Iterable[str]) -> tuple[str, ...]:
    """Return constraints in their plain form, each once. Raises InputError if one cannot be read."""
    given = tuple(dict.fromkeys(normalised(text) for text in texts))
    for text in given:
        parse_constraint(text)
    return given


def check_objectives(store: GraphStore, spec: StudySpec) -> None:
    """Check a study's objectives and constraints against the store.

    Raises:
        InputError: a device or quantity is unknown, too little was measured to predict the rest, or no architecture
            satisfies the constraints.
        DataError: the space has no library yet.
    """
    if spec.costs or spec.constraints:
        study_candidates(store, spec)


def study_candidates(store: GraphStore, spec: StudySpec, only: Iterable[str] | None = None) -> Candidates:
    """Return the candidates of a study, with its costs and constraints.

    Args:
        store: where the study's space is.
        spec: the study.
        only: ids of the architectures of the space to choose from; all by default.

    Raises:
        DataError: the space has no library yet, or none of the named architectures is in it.
        InputError: a cost is unknown or cannot be predicted, or no architecture satisfies the constraints.
    """
    all_ = space_candidates(store, spec.space, only)
    costs = [cost for name in spec.costs if (cost := parse_cost(name)) is not None]
    limits = [parse_constraint(text) for text in spec.constraints]
    if not (costs or limits):
        return all_
    columns = _columns(store, all_.ids, [*costs, *(cost for cost, _ in limits)])
    allowed = all_.allowed & _kept(limits, columns, len(all_))
    if not allowed.any():
        rule = "leave at least one architecture"
        spans = _spans({cost: columns[cost] for cost, _ in limits})
        raise InputError("constraints", rule, list(spec.constraints), f"The space has {spans}.")
    if not costs:
        return Candidates(all_.ids, all_.vectors, all_.choices, allowed)
    return Candidates(
        all_.ids,
        all_.vectors,
        all_.choices,
        allowed,
        np.column_stack([columns[cost].values for cost in costs]),
        tuple(quantity_text(cost) for cost in costs),
        np.column_stack([columns[cost].errors for cost in costs]),
    )


def satisfying(store: GraphStore, constraints: Iterable[str], ids: Iterable[str]) -> set[str]:
    """Return those of some architectures that satisfy all constraints.

    Raises:
        InputError: a constraint cannot be read, or its cost is unknown or cannot be predicted.
        DataError: an architecture is not in the store.
    """
    limits, rows = [parse_constraint(text) for text in constraints], sorted(set(ids))
    columns = _columns(store, rows, [cost for cost, _ in limits])
    return {id for id, kept in zip(rows, _kept(limits, columns, len(rows)), strict=True) if kept}


def satisfies(store: GraphStore, constraints: Iterable[str], architecture: ArchitectureRecord) -> bool:
    """Return whether an architecture, in the store or not, satisfies all constraints. Raises as ``satisfying``."""
    limits = [parse_constraint(text) for text in constraints]
    return all(bool(_cost_values(store, [architecture], cost).keeps(limit)[0]) for cost, limit in limits)


def _columns(store: GraphStore, ids: Sequence[str], costs: Iterable[Cost]) -> dict[Cost, CostValues]:
    return {cost: cost_column(store, ids, cost) for cost in dict.fromkeys(costs)}


def _kept(limits: Sequence[tuple[Cost, Range]], columns: Mapping[Cost, CostValues], count: int) -> NDArray[np.bool_]:
    kept = np.ones(count, dtype=np.bool_)
    for cost, limit in limits:
        kept &= columns[cost].keeps(limit)
    return kept


def _spans(columns: Mapping[Cost, CostValues]) -> str:
    return "; ".join(
        f"{quantity_text(cost)} from {found.values.min():.6g} to {found.values.max():.6g}"
        for cost, found in columns.items()
    )


def cost_column(store: GraphStore, ids: Sequence[str], cost: Cost) -> CostValues:
    """Return a cost of some architectures.

    Args:
        store: where the architectures and the measurements are.
        ids: N architectures.
        cost: the cost.

    Raises:
        InputError: device or quantity is unknown, or too little was measured to predict the rest.
        DataError: an architecture is not in the store.
    """
    found = {one.id: one for one in store.summaries(ids=sorted(ids))}
    missing = sorted(set(ids) - set(found))
    if missing:
        raise DataError("architectures", "be in the store", missing[:3], "Build the space again.")
    return _cost_values(store, [found[id] for id in ids], cost)


def _cost_values(
    store: GraphStore, architectures: Sequence[ArchitectureSummary | ArchitectureRecord], cost: Cost
) -> CostValues:
    if isinstance(cost, Fact):
        facts = np.array([float(getattr(one, cost)) for one in architectures])
        return CostValues(facts, np.zeros(len(architectures)))
    device = find_device(store, cost.device, cost.quantity)
    measured = {
        record.architecture: record.value
        for record in store.measurements()
        if (record.device, record.quantity, record.unit) == (device.device, device.quantity, device.unit)
    }
    values = np.array([measured.get(one.id, np.nan) for one in architectures])
    errors, unknown = np.zeros(len(architectures)), np.isnan(values)
    if unknown.any():
        from explorer.measure.predictor import DevicePredictor

        specs = {one.id: from_json(one.spec) for one in store.summaries(ids=sorted(measured))}
        predictor = DevicePredictor.fit(list(specs.values()), [measured[id] for id in specs])
        asked = [from_json(one.spec) for one, ask in zip(architectures, unknown, strict=True) if ask]
        values[unknown] = [estimate.value for estimate in predictor.predict(asked)]
        errors[unknown] = predictor.spread
    return CostValues(values, errors)
