"""Searches for trade-offs: exact gains, the contract with costs, and better fronts than chance finds."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from explorer.errors import InputError
from explorer.pareto import hypervolume, pareto_set
from explorer.records import Trial
from explorer.search import Candidates, Policy, make_policy
from explorer.search.initial_design import one_hot
from explorer.search.multi_objective import Front, ParetoBoshnas, expected_improvement
from explorer.search.nsga2 import Nsga2
from explorer.testing.policies import PolicyContractSuite, sample_candidates

QUICK = {"initial": 6, "epochs": 3}


def by_inclusion_and_exclusion(points: np.ndarray, reference: np.ndarray) -> float:
    """Volume of a union of boxes, from the volumes of all their intersections."""
    inside = points[(points > reference).all(axis=1)] - reference
    total = 0.0
    for size in range(1, len(inside) + 1):
        for some in combinations(range(len(inside)), size):
            total += (-1) ** (size + 1) * float(inside[list(some)].min(axis=0).prod())
    return total


def beaten(points: np.ndarray, i: int) -> bool:
    return any((other >= points[i]).all() and (other > points[i]).any() for other in points)


def some_points(data: st.DataObject, dims: int) -> np.ndarray:
    # Few distinct numbers, so that ties and copies are common.
    rows = data.draw(st.lists(st.tuples(*[st.integers(-2, 5)] * dims), max_size=7))
    return np.array(rows, dtype=float).reshape(-1, dims)


@given(data=st.data(), dims=st.integers(1, 4))
def test_hypervolume_is_that_of_inclusion_and_exclusion(data: st.DataObject, dims: int) -> None:
    points, reference = some_points(data, dims), np.zeros(dims)
    assert hypervolume(points, reference) == pytest.approx(by_inclusion_and_exclusion(points, reference))


@given(data=st.data(), dims=st.integers(1, 4))
def test_the_pareto_set_is_what_no_point_beats(data: st.DataObject, dims: int) -> None:
    points = some_points(data, dims)
    assert pareto_set(points).tolist() == [i for i in range(len(points)) if not beaten(points, i)]


@pytest.mark.parametrize("dims", [2, 3])
def test_hypervolume_is_botorchs(dims: int) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("botorch.utils.multi_objective.hypervolume")
    points = np.random.default_rng(dims).normal(size=(60, dims))
    reference = np.full(dims, -1.0)
    front = torch.tensor(points[pareto_set(points)])
    assert hypervolume(points, reference) == pytest.approx(library.Hypervolume(torch.tensor(reference)).compute(front))


@pytest.mark.parametrize(
    ("points", "reference"),
    [(np.zeros(3), np.zeros(3)), (np.zeros((2, 2)), np.zeros(3)), ([[np.nan, 1.0]], [0.0, 0.0])],
)
def test_hypervolume_refuses_what_does_not_fit(points: object, reference: object) -> None:
    with pytest.raises(InputError, match="must be"):
        hypervolume(np.asarray(points), np.asarray(reference))


def test_expected_improvement_is_the_mean_over_draws() -> None:
    draws = 0.3 + 0.7 * np.random.default_rng(0).normal(size=400_000)
    for level in (-1.0, 0.3, 1.2):
        told = expected_improvement(np.array([0.3]), np.array([0.7]), np.array([level]))
        assert told == pytest.approx(np.maximum(draws - level, 0).mean(), abs=0.004)
    assert expected_improvement(np.array([2.0]), np.array([1e-12]), np.array([0.5])) == pytest.approx(1.5)


@pytest.mark.parametrize(("costs", "known"), [(1, 6), (2, 5), (1, 0), (3, 4)])
def test_the_gain_is_the_mean_gain_of_hypervolume(costs: int, known: int) -> None:
    rng = np.random.default_rng(costs)
    floor, end = -0.5, 1.1
    seen, scores = rng.random((known, costs)), rng.normal(size=known)  # some below the floor
    reference = np.array([floor, *[-end] * costs])
    before = np.column_stack([scores, -seen])
    points, mean, deviation = rng.random((4, costs)), rng.normal(size=4), np.array([0.2, 0.5, 1.0, 1e-9])
    told = Front.of(seen, scores, floor, end).improvement(points, mean, deviation)
    quantiles = norm.ppf((np.arange(800) + 0.5) / 800)
    for i in range(4):
        gains = [
            hypervolume(np.vstack([before, [y, *-points[i]]]), reference) - hypervolume(before, reference)
            for y in mean[i] + deviation[i] * quantiles
        ]
        assert told[i] == pytest.approx(np.mean(gains), abs=2e-3)


def costed(plain: Candidates, columns: int = 1) -> Candidates:
    """The candidates with costs that their vectors decide, some of them equal."""
    costs = np.round(10.0 + plain.vectors[:, :columns] * 3.0)
    names = tuple(f"cost {c}" for c in range(columns))
    return Candidates(plain.ids, plain.vectors, plain.choices, plain.allowed, costs, names)


class TestParetoBoshnas(PolicyContractSuite):
    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        return make_policy("boshnas", costed(candidates), seed, QUICK)

    def test_it_is_the_one_for_several_objectives(self) -> None:
        assert type(self.make_policy(sample_candidates())) is ParetoBoshnas
        assert type(make_policy("boshnas", sample_candidates(), 0)) is not ParetoBoshnas


class TestParetoBoshnasWithTwoCosts(PolicyContractSuite):
    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        return make_policy("boshnas", costed(candidates, min(2, candidates.vectors.shape[1])), seed, QUICK)


class TestNsga2(PolicyContractSuite):
    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        return make_policy("nsga2", costed(candidates), seed, {"initial": 6, "population": 4})


class TestNsga2WithoutCosts(PolicyContractSuite):
    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        return make_policy("nsga2", candidates, seed, {"initial": 6})


def trade_off() -> tuple[Candidates, np.ndarray]:
    """Five choices of four values each: most score more the more they cost, but not all at the same price."""
    choices = np.stack(np.meshgrid(*[np.arange(4)] * 5, indexing="ij"), axis=-1).reshape(-1, 5)
    scores = choices @ np.array([1.0, 0.3, 2.0, 0.1, 0.7]) - 0.2 * choices[:, 0] * choices[:, 2]
    costs = choices @ np.array([[2.0], [1.0], [1.0], [1.5], [0.2]])
    ids = tuple(map(str, range(len(choices))))
    return Candidates(ids, one_hot(choices), choices, costs=costs, cost_names=("cost",)), scores


def found(name: str, seed: int, queries: int, settings: dict[str, int]) -> float:
    """Share of the hypervolume after some queries in batches of ten."""
    candidates, scores = trade_off()
    points = np.column_stack([scores, -candidates.costs])
    policy = make_policy(name, candidates, seed, settings)
    for number in range(0, queries, 10):
        asked = [int(p.architecture) for p in policy.ask(10)]
        policy.tell([Trial(number + n, str(a), float(scores[a])) for n, a in enumerate(asked)])
    tried = [int(trial.architecture) for trial in policy.trials]
    return hypervolume(points[tried], points.min(axis=0)) / hypervolume(points, points.min(axis=0))


def test_better_fronts_than_chance_finds() -> None:
    # NSGA-II needs a whole grid, as here, and more queries than BOSHNAS.
    chance = {queries: np.mean([found("random", s, queries, {}) for s in range(4)]) for queries in (40, 150)}
    nsga2 = np.mean([found("nsga2", s, 150, {}) for s in range(4)])
    ours = np.mean([found("boshnas", s, 40, {}) for s in range(2)])
    assert nsga2 > chance[150] + 0.02
    assert ours > chance[40] + 0.05


def twelve_trials(policy: Policy, scores: np.ndarray) -> None:
    candidates = policy.candidates
    order = np.random.default_rng(3).permutation(len(candidates))[:12].tolist()
    policy.tell([Trial(n, candidates.ids[i], float(scores[i])) for n, i in enumerate(order)])


def test_a_batch_counts_what_was_chosen_before_as_what_is_waited_for() -> None:
    candidates, scores = trade_off()
    policy = make_policy("boshnas", candidates, 0, {"alpha": 0.0, "beta": 0.0})
    twelve_trials(policy, scores)
    asked = policy.ask(6)
    alone = [p.acquisition["gain"] for p in asked]
    assert alone[0] == max(alone)
    assert alone != sorted(alone, reverse=True)  # the second best alone adds little to the best
    policy.tell([Trial(12, asked[0].architecture)])
    assert [p.architecture for p in policy.ask(5)] == [p.architecture for p in asked[1:]]


def test_the_unit_of_a_cost_does_not_matter() -> None:
    plain, scores = trade_off()
    other = replace(plain, costs=np.exp(plain.costs))
    asked = []
    for candidates in (plain, other):
        policy = make_policy("boshnas", candidates, 0, QUICK)
        twelve_trials(policy, scores)
        asked.append([p.architecture for p in policy.ask(5)])
    assert asked[0] == asked[1]


def test_trials_that_break_a_constraint_are_learned_from_but_are_no_trade_offs() -> None:
    candidates, scores = trade_off()
    cheap = candidates.costs[:, 0] <= np.median(candidates.costs)
    tight = replace(candidates, allowed=cheap)
    policy = make_policy("boshnas", tight, 0, {"alpha": 0.0, "beta": 0.0, **QUICK})
    twelve_trials(policy, scores)
    broken = [t for t in policy.trials if not cheap[candidates.index[t.architecture]]]
    assert broken
    with_all = policy.ask(3)
    assert all(cheap[candidates.index[p.architecture]] for p in with_all)
    assert all(p.acquisition["gain"] > 0 for p in with_all)
    without = make_policy("boshnas", tight, 0, {"alpha": 0.0, "beta": 0.0, **QUICK})
    without.tell([t for t in policy.trials if t not in broken])
    assert [p.acquisition["mean"] for p in without.ask(3)] != [p.acquisition["mean"] for p in with_all]


@pytest.mark.parametrize("name", ["boshnas", "nsga2"])
def test_figures_say_costs_and_which_are_predicted(name: str) -> None:
    plain = sample_candidates()
    costs = np.column_stack([np.arange(24.0), np.arange(24.0) ** 2])
    errors = np.column_stack([np.zeros(24), np.where(np.arange(24) % 2, 0.25, 0.0)])
    candidates = Candidates(plain.ids, plain.vectors, plain.choices, plain.allowed, costs, ("size", "time"), errors)
    policy = make_policy(name, candidates, 0, {"initial": 0})
    twelve_trials(policy, plain.vectors.sum(axis=1))
    for proposal in policy.ask(12):
        i = candidates.index[proposal.architecture]
        told = {key: proposal.acquisition[key] for key in ("size", "time", "time error") if key in proposal.acquisition}
        assert told == {"size": i, "time": i**2} | ({"time error": 0.25} if i % 2 else {})


def test_it_has_converged_when_the_pareto_set_stays() -> None:
    rows = np.arange(12.0)[:, None]
    ids = tuple(map(str, range(12)))
    candidates = Candidates(ids, rows, rows.astype(np.int64), costs=rows, cost_names=("cost",))
    policy = make_policy("boshnas", candidates, 0, {"initial": 2, "patience": 2, "iteration": 2})
    assert isinstance(policy, ParetoBoshnas)
    # Cheap ones that score little join the Pareto set as well as the best does.
    scores = {6: 5.0, 5: 4.0, 2: 1.0, 7: 5.0, 8: 4.9, 9: 0.0, 10: 4.0, 11: 4.0}
    states = []
    for number, (row, score) in enumerate(scores.items()):
        policy.tell([Trial(number, ids[row], score)])
        states.append(policy.converged)
    assert states == [False] * 6 + [True] * 2
    policy.tell([Trial(8, ids[0], 0.5)])
    assert not policy.converged


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"costs": np.zeros((23, 1))}, "costs"),
        ({"costs": np.full((24, 1), np.nan)}, "costs"),
        ({"cost_names": ()}, "costs"),
        ({"costs": np.zeros((24, 2)), "cost_names": ("a", "a")}, "cost names"),
        ({"cost_errors": np.full((24, 1), -1.0)}, "cost errors"),
    ],
)
def test_costs_that_do_not_fit_are_refused(changes: dict[str, object], named: str) -> None:
    plain = sample_candidates()
    given = {"costs": np.zeros((24, 1)), "cost_names": ("a",), **changes}
    with pytest.raises(InputError, match=named):
        Candidates(plain.ids, plain.vectors, plain.choices, **given)  # type: ignore[arg-type]


def test_too_many_costs_are_refused() -> None:
    with pytest.raises(InputError, match="at most 2"):
        make_policy("boshnas", costed(sample_candidates(), 3), 0)


def test_a_missing_optuna_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match=r"optuna.*\[search\]"):
        Nsga2(sample_candidates(), 0, {})
