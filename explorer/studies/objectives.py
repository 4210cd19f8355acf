"""What a study's objectives and constraints mean: texts to costs of the candidates, and to which may be proposed.

* An **objective** is the searched score (a task, or ``mean``; more is better) or a cost (less is better):
  ``parameters``, ``flops``, ``depth`` or ``QUANTITY@DEVICE``, for example ``latency@raspberry``. A minus before a cost
  says that less is better and may be left out; a score has none.
* A **constraint** is a cost and a range: ``parameters<=200K``, ``latency@raspberry<=0.05``.

Facts are known of every architecture. A device's quantities are known where they were measured, and predicted
elsewhere by what the device measured on others. A predicted quantity keeps a constraint if its whole error bar does,
so about five in six of what is let through at the limit really keep it; as soon as it is measured, that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.analysis.devices import find_device
from explorer.analysis.ranges import normalised, parse_range, split_name
from explorer.errors import DataError, InputError
from explorer.search import Candidates, Capability, policies_with
from explorer.space.formats import from_json
from explorer.studies.candidates import space_candidates
from graphstore import GraphStore
from graphstore.queries import Fact, Range
from graphstore.records import StudyRecord

MOST_COSTS = 2
FACTS = (Fact.PARAMETERS, Fact.FLOPS, Fact.DEPTH)
EXAMPLE = "Write for example parameters<=200K or latency@raspberry<=0.05."


@dataclass(frozen=True)
class Cost:
    """A quantity that is known or predicted before an architecture is trained.

    Attributes:
        name: ``parameters``, ``flops``, ``depth``, or of a device, with or without its load: ``latency``.
        device: as much of its name as only one has; empty for a fact.
    """

    name: str
    device: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.device}" if self.device else self.name


@dataclass(frozen=True)
class Column:
    """A cost of every candidate.

    Attributes:
        values: ``[N]``.
        errors: ``[N]``: 0 where it is known, else the standard deviation of the predicted one's natural logarithm.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]

    def keeps(self, limits: Range) -> NDArray[np.bool_]:
        """Which candidates keep a range with their whole error bar, ``[N]``."""
        low, high = (self.values * np.exp(side * self.errors) for side in (-1.0, 1.0))
        above = low >= (-np.inf if limits.at_least is None else limits.at_least)
        return np.asarray(above & (high <= (np.inf if limits.at_most is None else limits.at_most)))


def parse_cost(text: str) -> Cost | None:
    """Read a cost; ``None`` if the text names a score. Raises InputError if it is neither."""
    given = normalised(text)
    name, at, device = (part.strip() for part in given.removeprefix("-").partition("@"))
    if (at and not (name and device)) or not name:
        raise InputError("objective", "be a score, a fact, or QUANTITY@DEVICE", text, "Write for example latency@cpu.")
    if at:
        return Cost(name, device)
    if name in FACTS:
        return Cost(name)
    if given.startswith("-"):
        rule = f"be {', '.join(FACTS)} or QUANTITY@DEVICE after a minus"
        raise InputError("objective", rule, text, "A score is always maximised: leave the minus out.")
    return None


def study_objectives(texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The searched score, and what a study's settings have to say of the costs beside it.

    Args:
        texts: objectives, of which exactly one is a score.

    Raises:
        InputError: one cannot be read, they are not distinct, there is not one score, or there are too many costs.
    """
    read = [(normalised(text), parse_cost(text)) for text in texts]
    scores = [text for text, cost in read if cost is None]
    costs = [str(cost) for _, cost in read if cost is not None]
    if len(scores) != 1:
        rule = "hold exactly one score, such as mean, beside costs such as -parameters"
        raise InputError("objectives", rule, list(texts), "Name one task, or mean.")
    if len(set(costs)) != len(costs) or len(costs) > MOST_COSTS:
        rule = f"be a score and at most {MOST_COSTS} different costs"
        raise InputError("objectives", rule, list(texts), "Leave some out, or make them constraints.")
    return scores[0], {"objectives": [scores[0], *(f"-{cost}" for cost in costs)]} if costs else {}


def parse_constraint(text: str) -> tuple[Cost, Range]:
    """Read a constraint. Raises InputError if it is none."""
    name, found = split_name(text)
    cost = None if found is None or name.startswith("-") else parse_cost(name)
    if cost is None or found is None:
        rule = f"be {', '.join(FACTS)} or QUANTITY@DEVICE, and a range"
        raise InputError("constraint", rule, text, EXAMPLE)
    return cost, parse_range(f"constraint {name}", found)


def study_constraints(texts: Sequence[str] | None) -> dict[str, Any]:
    """What a study's settings have to say of its constraints. Raises InputError if one cannot be read."""
    for text in texts or ():
        parse_constraint(text)
    return {"constraints": list(dict.fromkeys(normalised(text) for text in texts))} if texts else {}


def merged_constraints(stored: Mapping[str, Any], texts: Sequence[str] | None) -> dict[str, Any]:
    """A resumed study's settings: the stored ones, with these constraints besides the stored ones.

    Constraints are only added, so they are as tight as before or tighter. What breaks a new one stays in the history
    and is learned from.

    Raises:
        InputError: one cannot be read.
    """
    before = list(stored.get("constraints", ()))
    return {**stored, **study_constraints([*before, *(texts or ())])}


def check_objectives(store: GraphStore, space: str, policy: str, settings: Mapping[str, Any]) -> None:
    """Check that a study can do what its settings ask for.

    Raises:
        InputError: the policy does not know costs, a device or quantity is unknown, too little was measured to predict
            the rest, or no architecture keeps the constraints.
        DataError: the space has no library yet.
    """
    if settings.get("objectives") and policy not in (able := policies_with(Capability.COSTS)):
        rule = f"be {', '.join(able)} where there are costs among the objectives"
        raise InputError("policy", rule, policy, "Choose one of them, or make the costs constraints.")
    if settings.get("objectives") or settings.get("constraints"):
        _with_costs(store, space_candidates(store, space), settings)


def study_candidates(store: GraphStore, study: StudyRecord, only: Iterable[str] | None = None) -> Candidates:
    """What a study chooses from: its space, or the named ones of it, with its costs and constraints.

    Raises:
        DataError: the space has no library yet, or none of the named architectures is in it.
        InputError: as ``check_objectives``.
    """
    return _with_costs(store, space_candidates(store, study.space, only), study.settings)


def _with_costs(store: GraphStore, all_: Candidates, settings: Mapping[str, Any]) -> Candidates:
    costs = [cost for text in settings.get("objectives", ()) if (cost := parse_cost(text)) is not None]
    limits = [parse_constraint(text) for text in settings.get("constraints", ())]
    if not (costs or limits):
        return all_
    columns = {cost: cost_column(store, all_.ids, cost) for cost in dict.fromkeys([*costs, *(c for c, _ in limits)])}
    allowed = all_.allowed.copy()
    for cost, limit in limits:
        allowed &= columns[cost].keeps(limit)
    if not allowed.any():
        rule = "leave at least one architecture"
        raise InputError("constraints", rule, settings["constraints"], _loosen(limits, columns))
    if not costs:
        return Candidates(all_.ids, all_.vectors, all_.choices, allowed)
    return Candidates(
        all_.ids,
        all_.vectors,
        all_.choices,
        allowed,
        np.column_stack([columns[cost].values for cost in costs]),
        tuple(str(cost) for cost in costs),
        np.column_stack([columns[cost].errors for cost in costs]),
    )


def _loosen(limits: Sequence[tuple[Cost, Range]], columns: Mapping[Cost, Column]) -> str:
    spans = (f"{cost} from {columns[cost].values.min():.6g} to {columns[cost].values.max():.6g}" for cost, _ in limits)
    return f"The space has {'; '.join(dict.fromkeys(spans))}."


def cost_column(store: GraphStore, ids: Sequence[str], cost: Cost) -> Column:
    """A cost of some architectures.

    Args:
        store: where they are, and what was measured.
        ids: N architectures.
        cost: what is asked.

    Raises:
        InputError: device or quantity is unknown, or too little was measured to predict the rest.
        DataError: an architecture is not in the store.
    """
    found = {one.id: one for one in store.summaries(ids=sorted(ids))}
    missing = sorted(set(ids) - set(found))
    if missing:
        raise DataError("architectures", "be in the store", missing[:3], "Build the space again.")
    if not cost.device:
        facts = np.array([float(getattr(found[id], cost.name)) for id in ids])
        return Column(facts, np.zeros(len(ids)))
    device = find_device(store, cost.device, cost.name)
    measured = {
        record.architecture: record.value
        for record in store.measurements()
        if (record.device, record.quantity, record.unit) == (device.device, device.quantity, device.unit)
    }
    values = np.array([measured.get(id, np.nan) for id in ids])
    errors, unknown = np.zeros(len(ids)), np.isnan(values)
    if unknown.any():
        from explorer.measure.predictor import DevicePredictor

        specs = {one.id: from_json(one.spec) for one in store.summaries(ids=sorted(measured))}
        predictor = DevicePredictor.fit(list(specs.values()), [measured[id] for id in specs])
        asked = [from_json(found[id].spec) for id, ask in zip(ids, unknown, strict=True) if ask]
        values[unknown] = [estimate.value for estimate in predictor.predict(asked)]
        errors[unknown] = predictor.spread
    return Column(values, errors)
