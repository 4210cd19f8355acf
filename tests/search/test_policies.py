"""Every policy keeps the contract; what each adds to it."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.records import Trial
from explorer.search import POLICIES, Candidates, Policy, make_policy
from explorer.testing.policies import PolicyContractSuite, sample_candidates

FAST = {
    "initial": 6,
    "alpha": 0.2,
    "beta": 0.2,
    "restarts": 5,
    "steps": 2,
    "epochs": 6,
}
PAPER = {**FAST, "region_points": 16, "passes": 8}


class TestRandom(PolicyContractSuite):
    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        return make_policy("random", candidates, seed)

    def test_ten_asked_at_once_are_five_and_five(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        whole = [p.architecture for p in policy.ask(10)]
        assert self.advance(policy, 2, batch=5) == whole

    def test_every_candidate_comes_first_equally_often(self) -> None:
        # Chi-squared over 4 candidates and 2,000 seeds: 3 degrees of freedom, 22 is exceeded with probability 6e-5;
        # the seeds are fixed, so the test does not flicker.
        candidates = sample_candidates(4)
        firsts = [self.make_policy(candidates, seed).ask(1)[0].architecture for seed in range(2000)]
        counts = np.array([firsts.count(id) for id in candidates.ids])
        assert ((counts - 500) ** 2 / 500).sum() < 22


class TestEvolution(PolicyContractSuite):
    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        return make_policy("evolution", candidates, seed, {"initial": 6, "population": 8, "tournament": 3})

    def test_a_mutant_differs_from_its_parent_as_little_as_possible(self) -> None:
        plain = sample_candidates(60)
        choices = plain.choices.copy()
        choices[50] = choices[2]  # a copy of the parent, which is no mutant of it
        candidates = Candidates(plain.ids, plain.vectors, choices)
        # A tournament of the whole population is won by its best, so the parent is known.
        policy = make_policy("evolution", candidates, 3, {"initial": 0, "population": 4, "tournament": 4})
        policy.tell([Trial(i, f"a{i}", float(i == 2)) for i in range(4)])
        distance = (candidates.choices != candidates.choices[2]).sum(1).astype(float)
        distance[[*range(4), *np.flatnonzero(distance == 0)]] = np.inf
        nearest = {candidates.ids[i] for i in np.flatnonzero(distance == distance.min())}
        proposals = policy.ask(len(nearest))
        assert {p.architecture for p in proposals} == nearest
        assert {p.origin for p in proposals} == {"mutation"}
        assert proposals[0].acquisition == {"parent": 1.0}
        *_, last = policy.ask(56)
        assert last.architecture == "a50"

    def test_the_oldest_die_whatever_their_value(self) -> None:
        choices = np.repeat([[0, 0, 0, 0], [9, 9, 9, 9]], 10, axis=0)
        choices[:, 0] += np.arange(20) % 10
        candidates = Candidates(tuple(f"a{i}" for i in range(20)), choices.astype(float), choices)
        policy = make_policy("evolution", candidates, 0, {"initial": 0, "population": 2, "tournament": 2})
        best_first = [Trial(0, "a0", 100.0)]
        policy.tell([*best_first, *(Trial(i, f"a{9 + i}", 1.0) for i in (1, 2))])
        assert all(int(p.architecture[1:]) >= 10 for p in policy.ask(5))


class TestBoshnas(PolicyContractSuite):
    name, fast = "boshnas", FAST

    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        return make_policy(self.name, candidates, seed, self.fast)

    def test_the_initial_design_is_spread_out(self) -> None:
        # Six tight groups: six draws by squared distance meet all of them, six uniform draws almost never do (1.5 %).
        generator = np.random.default_rng(0)
        groups = np.repeat(10.0 * np.eye(6), 20, axis=0)
        vectors = groups + 0.01 * generator.normal(size=groups.shape)
        candidates = Candidates(tuple(map(str, range(120))), vectors, np.zeros((120, 0), dtype=np.int64))
        for seed in range(5):
            proposals = make_policy(self.name, candidates, seed, self.fast).ask(6)
            assert {p.origin for p in proposals} == {"initial"}
            assert {int(p.architecture) // 20 for p in proposals} == set(range(6))

    def test_the_initial_design_goes_on_until_three_have_values(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        first = policy.ask(8)
        pending = [Trial(i, p.architecture) for i, p in enumerate(first)]
        policy.tell(pending)
        assert {p.origin for p in policy.ask(2)} == {"initial"}
        policy.tell([Trial(i, t.architecture, 0.1 * i) for i, t in enumerate(pending[:3])])
        assert "initial" not in {p.origin for p in policy.ask(2)}

    @pytest.mark.parametrize(
        ("alpha", "beta", "origin"), [(0.0, 0.0, "optimise"), (1.0, 0.0, "uncertainty"), (0.0, 1.0, "diversity")]
    )
    def test_modes_and_figures(self, alpha: float, beta: float, origin: str) -> None:
        candidates = sample_candidates()
        policy = make_policy(self.name, candidates, 1, {**self.fast, "alpha": alpha, "beta": beta, "stall": 0})
        self.advance(policy, 3)
        proposals = policy.ask(8)
        assert {p.origin for p in proposals} == {origin}
        for p in proposals:
            figures = p.acquisition
            assert figures["ucb"] == pytest.approx(
                figures["mean"] + 0.5 * figures["aleatoric"] + 0.5 * figures["epistemic"]
            )
        if origin == "uncertainty" and self.name == "boshnas_paper":  # the other's is on the scale of normal scores
            order = [0.5 * (p.acquisition["aleatoric"] + p.acquisition["epistemic"]) for p in proposals]
            assert order == sorted(order, reverse=True)

    def test_the_starts_of_gobi_are_the_same_for_the_same_history(self) -> None:
        # Without steps the proposals are the starts themselves, drawn from a tenth of the candidates.
        candidates = sample_candidates(300)
        settings = {**self.fast, "alpha": 0.0, "beta": 0.0, "steps": 0, "raw": 30, "restarts": 12}
        asked = []
        for _ in range(2):
            policy = make_policy(self.name, candidates, 0, settings)
            policy.tell([Trial(i, f"a{i}", float(i)) for i in range(6)])
            asked.append([p.architecture for p in policy.ask(8)])
        assert asked[0] == asked[1]

    def test_shares_of_the_modes(self) -> None:
        # 600 queries with α = 0.2: 120 expected, deviation 10; ±45 is 4.5 deviations, and the seeds are fixed.
        candidates = sample_candidates(300)
        counts = dict.fromkeys(("optimise", "uncertainty", "diversity"), 0)
        for seed in range(3):
            policy = make_policy(self.name, candidates, seed, {**self.fast, "steps": 0, "stall": 0})
            policy.tell([Trial(i, f"a{i}", float(i)) for i in range(6)])
            for proposal in policy.ask(200):
                counts[proposal.origin] += 1
        assert abs(counts["uncertainty"] - 120) < 45
        assert abs(counts["diversity"] - 120) < 45

    @pytest.mark.parametrize("better", [0, 3, 9])
    def test_without_improvement_more_and_more_proposals_are_random(self, better: int) -> None:
        # Trial 3 ends the initial design. The sum of 1 - 5/s over s = 6, 7, … passes a whole number at these s.
        elsewhere = (9, 11, 13, 14, 16, 17, 19, 20)
        settings = {**self.fast, "initial": 4, "alpha": 0.0, "beta": 0.0, "steps": 0, "stall": 5}
        policy = make_policy(self.name, sample_candidates(60), 0, settings)
        policy.tell([Trial(i, f"a{i}", float(i == better)) for i in range(10)])
        start = max(4, better + 1)
        origins = [p.origin for p in policy.ask(start + 20 - 10)]
        assert [10 + place + 1 - start for place, one in enumerate(origins) if one == "diversity"] == [
            s for s in elsewhere if s > 10 - start
        ]

    def test_the_model_costs_a_logarithm_of_the_proposals_of_random_search(self) -> None:
        settings = {**self.fast, "initial": 0, "alpha": 0.0, "beta": 0.0, "steps": 0, "stall": 5}
        policy = make_policy(self.name, sample_candidates(400), 0, settings)
        policy.tell([Trial(i, f"a{i}", 1.0 if i == 0 else 0.0) for i in range(3)])
        origins = ["optimise"] * 2 + [p.origin for p in policy.ask(300)]
        for s in range(5, len(origins) + 1):
            by_model = origins[:s].count("optimise")
            assert by_model <= 5.0 * (1.0 + np.log(s / 5.0)) + 1.0

    @pytest.mark.parametrize(
        "ablation", [{"method": "adahessian"}, {"method": "gradient"}, {"heteroscedastic": False}, {"embedding": False}]
    )
    def test_ablations_search_too(self, ablation: dict[str, object]) -> None:
        candidates = sample_candidates()
        policy = make_policy(self.name, candidates, 0, {**self.fast, **ablation, "alpha": 0.0, "beta": 0.0})
        self.advance(policy, 3)
        assert {p.origin for p in policy.ask(3)} == {"optimise"}

    def test_a_surrogate_that_was_trained_on_is_the_one_of_the_whole_history(self) -> None:
        # Told bit by bit, the networks go on from those of fewer trials; told at once, they must end the same.
        candidates = sample_candidates(60)
        trials = [Trial(i, f"a{i}", float(np.sin(i))) for i in range(40)]
        slowly, at_once = (make_policy(self.name, candidates, 0, self.fast) for _ in range(2))
        for end in range(5, 41, 5):
            slowly.tell(trials[:end])
            slowly.ask(1)
        at_once.tell(trials)
        assert slowly.ask(4) == at_once.ask(4)


class TestPaperBoshnas(TestBoshnas):
    name, fast = "boshnas_paper", PAPER


def test_registry_names_what_there_is() -> None:
    assert POLICIES == (
        "boshnas",
        "boshnas_paper",
        "random",
        "evolution",
        "local_search",
        "bananas",
        "gp",
        "tpe",
        "extra_trees",
        "nsga2",
    )
    with pytest.raises(InputError, match="boshnas, boshnas_paper, random, evolution"):
        make_policy("annealing", sample_candidates(), 0)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("settings", [{"speed": 1}, {"initial": -1}, {"initial": 2.5}, {"alpha": float("nan")}])
def test_bad_settings_are_refused(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=rf"policy {name}.*must.*{next(iter(settings))}|{next(iter(settings))} must"):
        make_policy(name, sample_candidates(), 0, settings)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("boshnas", {"alpha": 0.7, "beta": 0.7}),
        ("boshnas", {"restarts": 0}),
        ("boshnas", {"nearest": 0}),
        ("boshnas", {"method": "guessing"}),
        ("boshnas", {"method": 1}),
        ("boshnas", {"embedding": 1}),
        ("boshnas", {"learning_rate": 0.0}),
        ("boshnas_paper", {"dropout": 1.0}),
        ("boshnas", {"epochs": 0}),
        ("evolution", {"tournament": 0}),
        ("local_search", {"neighbors": 0}),
        ("bananas", {"members": 1}),
        ("bananas", {"epochs": 0}),
        ("gp", {"iterations": 0}),
        ("tpe", {"draws": 0}),
        ("extra_trees", {"trees": 1}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="must"):
        make_policy(name, sample_candidates(), 0, settings)


@pytest.mark.parametrize("seed", [-1, 1.0, True])
def test_a_bad_seed_is_refused(seed: object) -> None:
    with pytest.raises(InputError, match="seed must be"):
        make_policy("random", sample_candidates(), seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ids", "vectors", "choices", "field"),
    [
        ((), np.zeros((0, 2)), np.zeros((0, 1)), "candidates"),
        (("a", "b", "a"), np.zeros((3, 2)), np.zeros((3, 1)), "ids must be distinct, but got 'a'"),
        (("a", "b"), np.zeros((3, 2)), np.zeros((2, 1)), "vectors"),
        (("a", "b"), np.zeros((2, 0)), np.zeros((2, 1)), "vectors"),
        (("a", "b"), np.zeros((2, 2)), np.zeros((1, 1)), "choices"),
        (("a", "b"), np.array([[0.0], [np.nan]]), np.zeros((2, 1)), "finite, but got 'b'"),
    ],
)
def test_bad_candidates_are_refused(ids, vectors, choices, field) -> None:
    with pytest.raises(InputError, match=field):
        Candidates(ids, vectors, choices)


def test_allowed_candidates_need_one_truth_value_each() -> None:
    with pytest.raises(InputError, match=r"allowed candidates must have shape \[2\]"):
        Candidates(("a", "b"), np.zeros((2, 1)), np.zeros((2, 1), dtype=np.int64), np.ones(3, dtype=bool))


def test_candidates_do_not_change_with_the_array_they_came_from() -> None:
    vectors = np.zeros((2, 2))
    candidates = Candidates(("a", "b"), vectors, np.zeros((2, 1), dtype=np.int64))
    vectors += 1.0
    assert candidates.vectors.sum() == 0.0
    assert candidates.index == {"a": 0, "b": 1}
