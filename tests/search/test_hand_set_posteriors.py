"""Policies on posteriors set by hand: the chosen candidates are computed by hand too.

Candidate ``i`` of N lies at the point ``i`` of a line. A stub surrogate or ensemble reads mean, deviations and upper
confidence bound of each candidate from a table, so nothing is learned, and GOBI's climbs end where they start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.records import Prediction, Trial
from explorer.search import Candidates, Policy, make_policy
from explorer.search.bananas import Bananas
from explorer.search.boshnas import Boshnas
from explorer.search.multi_objective import ParetoBoshnas
from explorer.surrogate import Region, Surrogate

COUNT = 60
LOW = -1.0


def on_a_line(count: int = COUNT, **others: Any) -> Candidates:
    line = np.arange(count)
    return Candidates(tuple(map(str, line)), line[:, None].astype(float), line[:, None], **others)


@dataclass(eq=False)
class HandSet(Surrogate):
    """A posterior set by hand; ``fits`` lists the surrogates fitted so far."""

    fits: list[HandSet]
    ucb_table: np.ndarray
    uncertainty: np.ndarray = field(default_factory=lambda: np.zeros(COUNT))
    mean: np.ndarray = field(default_factory=lambda: np.zeros(COUNT))
    aleatoric: np.ndarray = field(default_factory=lambda: np.ones(COUNT))
    epistemic: np.ndarray = field(default_factory=lambda: np.ones(COUNT))
    values: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    start: HandSet | None = None

    def fit(self, x: np.ndarray, y: np.ndarray, region: Region | None = None, start: HandSet | None = None) -> HandSet:
        self.values, self.points, self.start = y.tolist(), x[:, 0].tolist(), start
        self.fits.append(self)
        return self

    def acquisition(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x[:, 0].round().long()
        flat = 0.0 * x[:, 0]
        return torch.tensor(self.ucb_table)[rows] + flat, torch.tensor(self.uncertainty)[rows] + flat

    def predict(self, x: np.ndarray) -> Prediction:
        rows = x[:, 0].round().astype(int)
        return Prediction(self.mean[rows], self.aleatoric[rows], self.epistemic[rows])


def ucb_of(given: Mapping[int, float]) -> np.ndarray:
    """UCB of every candidate: ``LOW`` but for the given ones."""
    return np.array([given.get(i, LOW) for i in range(COUNT)])


def boshnas(ucb: np.ndarray, settings: Mapping[str, Any], fits: list[HandSet] | None = None, **tables: Any) -> Boshnas:
    chosen = {"alpha": 0.0, "beta": 0.0, "initial": 0, "steps": 0, "raw": 1, **settings}
    seen = [] if fits is None else fits
    return Boshnas(on_a_line(), 0, chosen, make_surrogate=lambda _: HandSet(seen, ucb, **tables))


def tell(policy: Policy, values: Mapping[int, float | None]) -> None:
    """Report trials in this order; ``None`` is pending."""
    policy.tell([Trial(number, str(i), value) for number, (i, value) in enumerate(values.items())])


def ask(policy: Policy, count: int) -> list[int]:
    return [int(p.architecture) for p in policy.ask(count)]


def test_a_climb_starts_at_the_best_point_seen_and_not_at_the_worst() -> None:
    # One of three restarts is a point seen. The bounds near the worst one are higher, but nothing starts there; with
    # seed 0 the one raw start lies elsewhere too.
    policy = boshnas(ucb_of({9: 1.0, 11: 2.0, 29: 8.0, 31: 9.0}), {"restarts": 3, "nearest": 2})
    tell(policy, {20: 0.5, 10: 0.9, 30: 0.1})
    assert ask(policy, 1) == [11]


def test_a_third_of_the_restarts_are_points_seen_the_best_ones_first() -> None:
    near = {9: 4.0, 19: 3.0, 29: 2.0, 39: 8.0}
    policy = boshnas(ucb_of(near), {"restarts": 9, "nearest": 2})
    tell(policy, {40: 0.1, 10: 0.9, 20: 0.7, 30: 0.8})
    assert ask(policy, 3) == [9, 19, 29]


def test_the_candidate_with_the_highest_bound_near_an_end_is_proposed() -> None:
    # The end is the best point seen, 20. Its four nearest free candidates are 18, 19, 21 and 22; 23 is the fifth.
    policy = boshnas(ucb_of({18: 3.0, 19: 1.0, 21: 2.0, 22: 4.0, 23: 9.0}), {"restarts": 3, "nearest": 4})
    tell(policy, {0: 0.1, 20: 0.9, 59: 0.2})
    assert ask(policy, 1) == [22]


@pytest.mark.parametrize("nearest", [1, 2, 6, 17, 30, 41])
@pytest.mark.parametrize("seed", range(4))
def test_exactly_the_nearest_free_candidates_are_compared(nearest: int, seed: int) -> None:
    # More candidates than numpy's partition sorts as a whole, in random order, with distinct distances. The bound rises
    # with the distance to the best point seen, 20, so of the nearest candidates the farthest is proposed. The other
    # end, a random one, is used up first or last.
    count = 600
    draw = np.random.default_rng(seed)
    places = draw.permutation(count)
    vectors = places[:, None] + draw.uniform(-0.3, 0.3, (count, 1))
    candidates = Candidates(tuple(map(str, places)), vectors, places[:, None])
    settings = {"alpha": 0.0, "beta": 0.0, "initial": 0, "steps": 0, "restarts": 3, "raw": 1, "nearest": nearest}
    apart = np.abs(vectors[:, 0] - vectors[candidates.index["20"], 0])
    ucb = np.empty(count)
    ucb[places] = apart
    policy = Boshnas(candidates, seed, settings, make_surrogate=lambda _: HandSet([], ucb, *np.ones((4, count))))
    tell(policy, {20: 0.9, 0: 0.1, 599: 0.2})
    by_distance = [int(i) for i in places[np.argsort(apart)] if i not in (20, 0, 599)]
    assert by_distance[nearest - 1] in ask(policy, 2)


def test_ends_are_used_up_by_falling_bound() -> None:
    # Two ends are the best points seen, 10 and 30. The better candidates lie near 30, but an end is used only once.
    policy = boshnas(ucb_of({9: 1.0, 11: 2.0, 29: 5.0, 31: 4.0}), {"restarts": 6, "nearest": 2})
    tell(policy, {0: 0.1, 10: 0.9, 30: 0.8})
    assert ask(policy, 2) == [29, 11]


def test_raw_starts_are_the_untried_candidates_with_the_highest_bounds() -> None:
    # No restart is a point seen, all candidates are raw ones, and an end is proposed itself.
    ucb = np.random.default_rng(5).permutation(COUNT).astype(float)
    policy = boshnas(ucb, {"restarts": 2, "raw": COUNT, "nearest": 1})
    tell(policy, {7: 0.1, 8: 0.2, int(ucb.argmax()): 0.9})
    best_first = [int(i) for i in np.argsort(-ucb) if i not in (7, 8, int(ucb.argmax()))]
    assert ask(policy, 2) == best_first[:2]
    assert ask(policy, 5) == best_first[:5]  # climbs again when its ends are used up


def test_points_seen_and_raw_starts_are_together_as_many_as_restarts() -> None:
    # Three restarts: the best point seen, 10, and the two best raw ones. The third proposal comes from the point seen.
    policy = boshnas(ucb_of({40: 4.0, 45: 3.0, 50: 2.0, 9: 1.0, 11: 0.5}), {"restarts": 3, "raw": COUNT, "nearest": 2})
    tell(policy, {10: 0.9, 20: 0.2, 30: 0.1})
    assert ask(policy, 3) == [40, 45, 9]


def test_only_so_many_raw_candidates_are_looked_at() -> None:
    ucb = np.arange(COUNT, dtype=float)
    tried = {0: 0.1, 1: 0.2, 2: 0.3}
    first = []
    for seed in range(60):
        settings = {"alpha": 0.0, "beta": 0.0, "initial": 0, "steps": 0, "restarts": 1, "raw": 2, "nearest": 1}
        policy = Boshnas(on_a_line(), seed, settings, make_surrogate=lambda _: HandSet([], ucb))
        tell(policy, tried)
        first += ask(policy, 1)
    assert len(set(first)) > 20  # drawn anew for each seed, so the best of two and not the best of all
    assert np.mean(first) > 36  # 40.7 on average, by 1.8; a single draw has 31 on average


def test_ends_are_where_the_climb_ends_and_not_where_it_starts() -> None:
    class Hill(HandSet):
        def acquisition(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return -((x[:, 0] - 33.2) ** 2), 0.0 * x[:, 0]

    settings = {"alpha": 0.0, "beta": 0.0, "initial": 0, "restarts": 1, "raw": 1, "nearest": 1, "steps": 6}
    policy = Boshnas(on_a_line(), 0, settings, make_surrogate=lambda _: Hill([], np.zeros(COUNT)))
    tell(policy, {0: 0.1, 1: 0.2, 2: 0.3})
    assert ask(policy, 1) == [33]
    settings |= {"steps": 0}
    policy = Boshnas(on_a_line(), 0, settings, make_surrogate=lambda _: Hill([], np.zeros(COUNT)))
    tell(policy, {0: 0.1, 1: 0.2, 2: 0.3})
    assert ask(policy, 1) != [33]


def test_an_uncertainty_query_takes_the_most_uncertain_untried_candidate() -> None:
    uncertainty = ucb_of({4: 9.0, 17: 3.0, 30: 5.0, 31: 4.0})
    policy = boshnas(ucb_of({50: 99.0}), {"alpha": 1.0}, uncertainty=uncertainty)
    tell(policy, {4: 0.1, 5: 0.2, 6: 0.3})
    proposals = policy.ask(3)
    assert [p.architecture for p in proposals] == ["30", "31", "17"]
    assert {p.origin for p in proposals} == {"uncertainty"}


def test_a_diversity_query_is_uniform() -> None:
    # 57 untried candidates and 40 seeds: the posterior would send all of them to 50.
    found = []
    for seed in range(40):
        settings = {"alpha": 0.0, "beta": 1.0, "initial": 0}
        policy = Boshnas(on_a_line(), seed, settings, make_surrogate=lambda _: HandSet([], ucb_of({50: 99.0})))
        tell(policy, {4: 0.1, 5: 0.2, 6: 0.3})
        found += ask(policy, 1)
    assert len(set(found)) > 20
    assert 20 < np.mean(found) < 40


def test_the_surrogate_is_trained_further_from_that_of_the_first_16_and_32_observations() -> None:
    fits: list[HandSet] = []
    policy = boshnas(ucb_of({}), {}, fits)
    tell(policy, {i: i / COUNT for i in range(16)})
    policy.ask(1)
    assert [(len(s.values), s.start) for s in fits] == [(16, None)]
    tell(policy, {i: i / COUNT for i in range(40)})
    policy.ask(1)
    (sixteen, thirty_two, forty) = fits
    assert [len(s.values) for s in fits] == [16, 32, 40]
    assert (sixteen.start, thirty_two.start, forty.start) == (None, sixteen, thirty_two)
    policy.ask(2)
    assert len(fits) == 3  # nothing new was told


@pytest.mark.parametrize(("count", "before"), [(16, 0), (17, 16), (32, 16), (33, 32)])
def test_the_largest_power_of_two_below_the_number_of_observations_is_the_start(count: int, before: int) -> None:
    fits: list[HandSet] = []
    policy = boshnas(ucb_of({}), {}, fits)
    tell(policy, {i: i / COUNT for i in range(count)})
    policy.ask(1)
    assert len(fits[-1].values) == count
    assert (0 if fits[-1].start is None else len(fits[-1].start.values)) == before


def test_a_surrogate_of_a_history_that_changed_is_not_used_again() -> None:
    fits: list[HandSet] = []
    policy = boshnas(ucb_of({}), {}, fits)
    tell(policy, dict.fromkeys(range(20), 0.5))
    policy.ask(1)
    tell(policy, {i: 0.5 + (i == 3) for i in range(20)})
    policy.ask(1)
    assert [len(s.values) for s in fits] == [16, 20, 16, 20]
    assert fits[3].start is fits[2]
    assert fits[2].values[3] == 1.5


def test_figures_and_posterior_are_those_of_the_surrogate() -> None:
    tables = {name: scale * np.arange(COUNT) for name, scale in (("mean", 1.0), ("aleatoric", 0.1), ("epistemic", 0.2))}
    settings = {"restarts": 1, "raw": COUNT, "nearest": 1, "k_aleatoric": 2.0, "k_epistemic": 3.0}
    policy = boshnas(ucb_of({40: 1.0}), settings, **tables)
    tell(policy, {1: 0.1, 2: 0.2, 3: 0.3})
    (proposal,) = policy.ask(1)
    expected = {"mean": 40.0, "aleatoric": 4.0, "epistemic": 8.0, "ucb": 40.0 + 2.0 * 4.0 + 3.0 * 8.0}
    assert proposal.acquisition == pytest.approx(expected)
    assert proposal.origin == "optimise"
    predicted, bound = policy.posterior()
    np.testing.assert_allclose(predicted.mean, np.arange(COUNT))
    np.testing.assert_allclose(bound, (1.0 + 0.2 + 0.6) * np.arange(COUNT))
    np.testing.assert_allclose(policy.aleatoric(["10", "30"]), [1.0, 3.0])


def test_the_initial_design_ends_when_enough_trials_are_pending_or_complete() -> None:
    policy = boshnas(ucb_of({}), {"initial": 5})
    tell(policy, {1: 0.1, 2: 0.2, 3: 0.3, 4: None})
    policy.tell([Trial(4, "5", failed=True)])
    assert [p.origin for p in policy.ask(3)] == ["initial", "optimise", "optimise"]


def trade_offs(means: list[float]) -> ParetoBoshnas:
    """Six candidates of costs 0, 1, 2, 3, 4, 3: shares 1/6, 2/6, 3/6, 5/6, 1, 5/6 of them cost no more."""
    costs = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [3.0]])
    tables = {"mean": np.array(means), "aleatoric": np.ones(6), "epistemic": np.zeros(6), "uncertainty": np.zeros(6)}
    policy = ParetoBoshnas(
        on_a_line(6, costs=costs, cost_names=("size",)),
        0,
        {"alpha": 0.0, "beta": 0.0, "initial": 0},
        make_surrogate=lambda _: HandSet([], np.zeros(6), **tables),
    )
    tell(policy, {0: 0.0, 2: 1.0, 4: 2.0})
    return policy


def test_the_gain_of_hypervolume_is_computed_by_hand() -> None:
    # Without epistemic uncertainty the gain is an area: above the best score within the cost, up to the next step.
    policy = trade_offs([9.0, 0.6, 9.0, 1.9, 9.0, 1.8])
    gains = {int(p.architecture): p.acquisition["gain"] for p in policy.ask(3)}
    assert gains == pytest.approx({3: 0.9 / 6, 5: 0.8 / 6, 1: 0.6 / 6})
    # What beats every score adds up to the reference at 1.1, beyond the last candidate.
    policy = trade_offs([9.0, 0.0, 9.0, 2.5, 9.0, 0.0])
    assert policy.ask(1)[0].acquisition["gain"] == pytest.approx(1.5 / 6 + 0.5 * 0.1)


def test_the_largest_gain_comes_first_and_choices_count_as_observed_at_their_means() -> None:
    # Once 3 is chosen with score 1.9, candidate 5 at the same cost with 1.8 is dominated, so 1 comes before it.
    policy = trade_offs([9.0, 0.6, 9.0, 1.9, 9.0, 1.8])
    assert ask(policy, 3) == [3, 1, 5]


def test_a_pending_trial_counts_as_observed_at_its_mean() -> None:
    policy = trade_offs([9.0, 0.6, 9.0, 1.9, 9.0, 1.8])
    policy.tell([Trial(3, "3")])
    assert ask(policy, 1) == [1]


def test_imagined_observations_are_fitted_without_learning_the_noise_from_them() -> None:
    made: list[tuple[bool, HandSet]] = []

    def make(settings: Any) -> HandSet:
        made.append(
            (settings.heteroscedastic, HandSet([], np.zeros(6), np.zeros(6), np.arange(6.0), np.ones(6), np.ones(6)))
        )
        return made[-1][1]

    candidates = on_a_line(6, costs=np.arange(6.0)[:, None], cost_names=("size",))
    policy = ParetoBoshnas(candidates, 0, {"alpha": 0.0, "beta": 0.0, "initial": 0}, make_surrogate=make)
    tell(policy, {0: 0.0, 2: 1.0, 4: 2.0, 5: None})
    policy.ask(1)
    assert [heteroscedastic for heteroscedastic, _ in made][:2] == [True, False]
    (_, first), (_, second) = made[:2]
    assert first.values == [0.0, 1.0, 2.0]
    assert second.values == [0.0, 1.0, 2.0, 5.0]  # 5 is pending, and its mean is 5
    assert second.points == [0.0, 2.0, 4.0, 5.0]


def bananas(predictions: np.ndarray, candidates: Candidates, **settings: Any) -> Bananas:
    """BANANAS with an ensemble whose predictions ``[E, N]`` of the candidates, in order, are set by hand."""
    features = {tuple(row): i for i, row in enumerate(Bananas(candidates, 0)._features.tolist())}

    def predict(x: np.ndarray, y: np.ndarray, at: np.ndarray, members: int, epochs: int, seed: int) -> np.ndarray:
        return predictions[:, [features[tuple(row)] for row in at.tolist()]]

    return Bananas(candidates, 0, {"initial": 0, **settings}, predict=predict)


def test_bananas_proposes_the_highest_draws_of_the_pool() -> None:
    # Members that agree leave nothing to draw: a draw is the mean. The pool is all candidates.
    mean = np.random.default_rng(2).permutation(COUNT).astype(float)
    policy = bananas(np.stack([mean, mean]), on_a_line(), strangers=COUNT)
    tell(policy, {3: 0.2, 4: 0.1})
    best_first = [int(i) for i in np.argsort(-mean) if i not in (3, 4)]
    assert ask(policy, 4) == best_first[:4]


def test_bananas_draws_from_mean_and_deviation_of_the_members() -> None:
    predictions = np.stack([np.zeros(COUNT), np.full(COUNT, 2.0)])  # mean 1, deviation √2 for n - 1
    policy = bananas(predictions, on_a_line(), strangers=COUNT)
    tell(policy, {3: 0.2, 4: 0.1})
    figures = [p.acquisition for p in policy.ask(58)]
    assert {f["mean"] for f in figures} == {1.0}
    np.testing.assert_allclose([f["spread"] for f in figures], np.sqrt(2.0))
    draws = np.array([f["draw"] for f in figures])
    assert (np.diff(draws) <= 0).all()
    standard = (draws - 1.0) / np.sqrt(2.0)
    # 58 standard normal numbers: their mean deviates by 0.13, their deviation by 0.09.
    assert abs(standard.mean()) < 0.4
    assert 0.7 < standard.std() < 1.3


def test_bananas_mutates_the_best_parents() -> None:
    count = 12
    choices = (np.arange(count)[:, None] > np.arange(count - 1)).astype(np.int64)  # neighbours differ in one choice
    candidates = Candidates(tuple(map(str, range(count))), choices.astype(float), choices)
    policy = bananas(np.zeros((2, count)), candidates, parents=1, mutants=2, strangers=0)
    tell(policy, {2: 0.1, 8: 0.9, 5: 0.4})
    assert sorted(ask(policy, 2)) == [7, 9]


def groups(*sizes: int, far: float = 5.0) -> Candidates:
    """Tight groups of candidates: at the origin, along one axis, and farther along another."""
    centres = np.array([[0.0, 0.0], [far, 0.0], [0.0, 1.2 * far]])
    vectors = np.repeat(centres, sizes, axis=0)
    vectors += 1e-3 * np.random.default_rng(0).normal(size=vectors.shape)
    return Candidates(tuple(map(str, range(len(vectors)))), vectors, np.zeros((len(vectors), 0), dtype=np.int64))


def test_the_gaussian_process_avoids_what_is_pending() -> None:
    # The group farthest from the observations is the most uncertain one. A pending trial in it leaves the other one.
    policy = make_policy("gp", groups(6, 6, 6), 0, {"initial": 0, "k": 100.0})
    tell(policy, {i: 0.01 * i for i in range(5)})
    assert ask(policy, 1)[0] // 6 == 2
    policy.tell([Trial(5, "13")])
    assert ask(policy, 1)[0] // 6 == 1
    policy.tell([Trial(6, "7")])
    assert ask(policy, 1)[0] // 6 == 2  # both are known a little now; the farther one less


def test_tpe_avoids_what_is_pending() -> None:
    # One choice of twelve values, high scores at 3 and 8. With seven trials pending at each value next to 3, TPE's
    # density of bad trials is high there, and its suggestions go to 8.
    pytest.importorskip("optuna")
    copies = 12
    choices = np.repeat(np.arange(12), copies)[:, None]
    candidates = Candidates(tuple(map(str, range(12 * copies))), choices.astype(float), choices)
    value = {3: 1.0, 8: 1.0}
    near = {True: 0, False: 0}
    for waiting in near:
        for seed in range(6):
            policy = make_policy("tpe", candidates, seed, {"initial": 0})
            observed = [Trial(n, str(v * copies), value.get(v, 0.0)) for n, v in enumerate(range(12))]
            pending = [Trial(12 + n, str(3 * copies + 1 + n)) for n in range(10)] if waiting else []
            policy.tell([*observed, *pending])
            near[waiting] += sum(a // copies == 3 for a in ask(policy, 1))
    assert near[True] < near[False]
