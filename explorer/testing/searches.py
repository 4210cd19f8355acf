"""Short descriptions of studies for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from explorer.studies.objectives import read_objectives
from explorer.studies.spec import Evaluation, Known, StudySpec, Trained, initial_design


def search(
    name: str,
    space: str,
    policy: str = "random",
    score: str = "mean",
    budget: int = 5,
    *,
    evaluation: Evaluation | None = None,
    costs: Sequence[str] = (),
    initial: int | None = None,
    **fields: Any,
) -> StudySpec:
    """Return a study, by default one that trains by the recipe ``quick``.

    Args:
        name: name of the study.
        space: name of the space.
        policy: name of the policy.
        score: the score that is maximised.
        budget: number of trials.
        evaluation: how trials get their values.
        costs: secondary objectives.
        initial: size of the initial design, for policies that have one.
        fields: other fields of ``StudySpec``.
    """
    return StudySpec(
        name=name,
        space=space,
        evaluation=Trained(recipe="quick") if evaluation is None else evaluation,
        policy=policy,
        objectives=read_objectives([score, *costs]),
        budget=budget,
        **{"policy_settings": initial_design(policy, initial), **fields},
    )


def known_search(name: str, space: str, policy: str = "random", budget: int = 5, **fields: Any) -> StudySpec:
    """Return a study on the known scores of the task ``known``; see ``search``."""
    given = {"evaluation": Known(), "score": "known", "batch": 3, "initial": 4, **fields}
    return search(name, space, policy, budget=budget, **given)
