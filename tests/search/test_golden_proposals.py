"""Every policy proposes what it proposed when the golden file was written, so stored studies resume unchanged.

The file holds the proposed architectures of 44 trials in batches of four, some of them failed or pending, on a
table of 70 candidates. An intended change of an algorithm needs a new file, and changes how older studies continue.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.records import Trial
from explorer.search import Candidates, make_policy

GOLDEN: dict[str, list[str]] = json.loads(Path(__file__).with_name("golden_proposals.json").read_text())
QUICK = {"initial": 6, "epochs": 20, "steps": 3}
SETTINGS: dict[str, dict[str, Any]] = {
    "boshnas": {**QUICK, "alpha": 0.15, "beta": 0.15, "stall": 0},
    "boshnas_paper": {**QUICK, "region_points": 32, "passes": 8},
    "random": {},
    "evolution": {"initial": 6, "population": 8, "tournament": 3},
    "local_search": {"initial": 6, "neighbors": 5},
    "bananas": {"initial": 6, "epochs": 20, "parents": 3, "mutants": 6, "strangers": 10},
    "gp": {"initial": 6, "iterations": 20},
    "tpe": {"initial": 6, "draws": 16},
    "extra_trees": {"initial": 6, "trees": 15},
    "nsga2": {"initial": 6, "population": 8},
}


def table(costs: int) -> tuple[Candidates, np.ndarray]:
    """70 candidates, two of them with equal vectors and choices, a tenth not allowed; and their scores."""
    draw = np.random.default_rng(11)
    choices = draw.integers(-1, 4, size=(70, 6))
    choices[5] = choices[9]
    near = choices[:, :3] * [1.5, 1.0, 0.6] + 0.3 * draw.normal(size=(70, 3))
    vectors = np.concatenate([near, 0.2 * draw.normal(size=(70, 2))], axis=1)
    vectors[5] = vectors[9]
    values = -np.square(vectors[:, 0] - 2) - np.abs(vectors[:, 1] - 1) + 0.3 * choices[:, 4]
    values += 0.05 * draw.normal(size=70)
    sizes = np.exp(choices[:, :2].sum(1) / 3.0)[:, None] * np.array([[1.0, 7.0]])
    sizes = np.round(sizes + draw.integers(0, 3, size=(70, 2)), 2)[:, :costs]
    allowed = draw.random(70) < 0.9
    ids = tuple(f"a{i}" for i in range(70))
    return Candidates(ids, vectors, choices, allowed, sizes, ("size", "time")[:costs]), values


@pytest.mark.parametrize("case", GOLDEN)
def test_proposals_are_the_golden_ones(case: str) -> None:
    name, costs = case.split("/")
    candidates, values = table(int(costs))
    policy = make_policy(name, candidates, 3, SETTINGS[name])
    proposed: list[str] = []
    pending: list[Trial] = []
    for _ in range(11):
        told = [Trial(t.number, t.architecture, float(values[candidates.index[t.architecture]])) for t in pending]
        pending = []
        for proposal in policy.ask(4):
            number, id = len(proposed), proposal.architecture
            proposed.append(f"{id} {proposal.origin}")
            if number % 7 == 3:
                told.append(Trial(number, id, failed=True))
            elif number % 5 == 4:
                pending.append(Trial(number, id))
            else:
                told.append(Trial(number, id, float(values[candidates.index[id]])))
        policy.tell([*told, *pending])
    assert proposed == GOLDEN[case]
