"""Contract suite of search policies: the test class of every policy inherits ``PolicyContractSuite``.

It simulates a study on a small set of candidates with a known objective and checks the laws of
``explorer.search.policy``.
"""

# ruff: noqa: D102 - the name of a test is its documentation

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.errors import InputError
from explorer.records import Proposal, Trial
from explorer.search import Candidates, Policy

COUNT = 24


def sample_candidates(count: int = COUNT, seed: int = 0) -> Candidates:
    """Return candidates with 3-dimensional vectors and four design choices each, some of them absent."""
    generator = np.random.default_rng(seed)
    choices = generator.integers(-1, 3, size=(count, 4))
    vectors = np.stack([choices[:, 0], choices[:, 1] - choices[:, 2], choices[:, 3]], axis=1).astype(np.float64)
    return Candidates(
        tuple(f"a{i}" for i in range(count)), vectors + 0.1 * generator.normal(size=vectors.shape), choices
    )


def score(candidates: Candidates, architecture: str) -> float:
    """Return a smooth objective with a unique maximum."""
    return float(-np.square(candidates.vectors[candidates.index[architecture]] - 0.5).sum())


def outcomes(candidates: Candidates, proposals: Sequence[Proposal], first: int) -> list[Trial]:
    """Return trials of the proposals, numbered from ``first``; every fourth one fails, the others are complete."""
    return [
        Trial(number, p.architecture, failed=True)
        if number % 4 == 3
        else Trial(number, p.architecture, score(candidates, p.architecture))
        for number, p in enumerate(proposals, first)
    ]


class PolicyContractSuite(ABC):
    """Laws of a policy. Subclasses implement ``make_policy``, with an initial design of at most ten trials."""

    @abstractmethod
    def make_policy(self, candidates: Candidates, seed: int = 0) -> Policy:
        """Return a new policy with settings that keep it fast."""

    def advance(self, policy: Policy, rounds: int, batch: int = 3) -> list[str]:
        """Run ``rounds`` of ask and tell, and return the proposed ids."""
        proposed: list[str] = []
        for _ in range(rounds):
            proposals = policy.ask(batch)
            policy.tell(outcomes(policy.candidates, proposals, len(policy.trials)))
            proposed += [p.architecture for p in proposals]
        return proposed

    def test_the_same_seed_and_history_give_the_same_proposals(self) -> None:
        candidates = sample_candidates()
        runs = [self.advance(self.make_policy(candidates, seed=5), 6) for _ in range(2)]
        assert runs[0] == runs[1]

    def test_another_seed_gives_another_order(self) -> None:
        # Twelve ordered draws of 24 coincide with probability below 10^-15.
        candidates = sample_candidates()
        runs = {tuple(p.architecture for p in self.make_policy(candidates, seed).ask(12)) for seed in range(3)}
        assert len(runs) == 3

    def test_a_new_policy_told_the_history_continues_the_same_at_every_step(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        for _ in range(7):
            resumed = self.make_policy(candidates)
            resumed.tell(policy.trials)
            assert resumed.trials == policy.trials
            assert resumed.ask(4) == policy.ask(4)
            self.advance(policy, 1)

    def test_ask_changes_nothing(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        for _ in range(5):
            before = policy.trials
            first = policy.ask(3)
            for count in (1, 7, 3):
                again = policy.ask(count)
            assert again == first
            assert policy.trials == before
            self.advance(policy, 1)

    @pytest.mark.parametrize(("value", "failed"), [(None, False), (1.0, False), (None, True)])
    def test_an_architecture_with_a_trial_is_not_proposed(self, value: float | None, failed: bool) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        self.advance(policy, 3)
        taken = {trial.architecture for trial in policy.trials}
        fresh = [id for id in candidates.ids if id not in taken][:5]
        policy.tell([Trial(50 + i, id, value, failed) for i, id in enumerate(fresh)])
        proposals = policy.ask(COUNT)
        assert {p.architecture for p in proposals} == set(candidates.ids) - taken - set(fresh)
        assert len(proposals) == COUNT - len(taken) - len(fresh)

    def test_every_candidate_is_proposed_once_and_then_nothing(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        proposed = self.advance(policy, 4, batch=5)
        last = policy.ask(5)
        assert len(last) == 4
        assert sorted(proposed + [p.architecture for p in last]) == sorted(candidates.ids)
        policy.tell(outcomes(candidates, last, 20))
        assert policy.ask(5) == []

    def test_trials_of_disallowed_candidates_count_and_these_are_never_proposed(self) -> None:
        plain = sample_candidates()
        allowed = np.arange(COUNT) % 3 != 0
        candidates = Candidates(plain.ids, plain.vectors, plain.choices, allowed)
        policy = self.make_policy(candidates)
        others = [id for id, fits in zip(plain.ids, allowed, strict=True) if not fits]
        policy.tell([Trial(i, id, score(plain, id)) for i, id in enumerate(others)])
        proposed: list[str] = []
        while asked := policy.ask(3):
            policy.tell(outcomes(candidates, asked, len(policy.trials)))
            proposed += [p.architecture for p in asked]
        assert sorted(proposed) == sorted(set(plain.ids) - set(others))

    def test_there_is_no_proposal_when_no_candidate_is_allowed(self) -> None:
        plain = sample_candidates()
        policy = self.make_policy(Candidates(plain.ids, plain.vectors, plain.choices, np.zeros(COUNT, dtype=bool)))
        assert policy.ask(2) == []

    def test_one_candidate(self) -> None:
        candidates = Candidates(("only",), np.zeros((1, 2)), np.zeros((1, 3), dtype=np.int64))
        policy = self.make_policy(candidates)
        assert [p.architecture for p in policy.ask(4)] == ["only"]
        policy.tell([Trial(0, "only", 0.5)])
        assert policy.ask(1) == []

    def test_equal_vectors_and_choices_are_still_distinct_candidates(self) -> None:
        ids = tuple(f"a{i}" for i in range(12))
        policy = self.make_policy(Candidates(ids, np.ones((12, 2)), np.ones((12, 3), dtype=np.int64)))
        assert sorted(self.advance(policy, 4)) == sorted(ids)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_trial_without_a_finite_value_counts_as_failed(self, value: float) -> None:
        candidates = sample_candidates()
        policies = [self.make_policy(candidates) for _ in range(2)]
        for policy in policies:
            self.advance(policy, 4)
        id = policies[0].ask(1)[0].architecture
        policies[0].tell([Trial(30, id, value)])
        policies[1].tell([Trial(30, id, failed=True)])
        assert policies[0].trials == policies[1].trials
        assert policies[0].ask(5) == policies[1].ask(5)

    def test_a_study_continues_when_all_trials_fail(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        for number in range(COUNT):
            (proposal,) = policy.ask(1)
            policy.tell([Trial(number, proposal.architecture, failed=True)])
        assert policy.ask(1) == []

    @pytest.mark.parametrize("value", [0.0, -3.5, 1e200])
    def test_equal_values_are_supported(self, value: float) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        for number in range(0, COUNT, 6):
            proposals = policy.ask(6)
            assert len({p.architecture for p in proposals}) == 6
            policy.tell([Trial(number + i, p.architecture, value) for i, p in enumerate(proposals)])

    def test_proposals_may_be_asked_while_others_are_pending(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        self.advance(policy, 4)
        pending = [Trial(12 + i, p.architecture) for i, p in enumerate(policy.ask(3))]
        policy.tell(pending)
        asked = policy.ask(3)
        assert not {p.architecture for p in asked} & {trial.architecture for trial in policy.trials}
        done = [replace(t, value=score(candidates, t.architecture)) for t in pending]
        policy.tell(done)
        whole = self.make_policy(candidates)
        whole.tell([*policy.trials[:12], *done])
        assert policy.ask(3) == whole.ask(3)

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_neither_order_nor_grouping_of_tell_matters(self, data: st.DataObject) -> None:
        candidates = sample_candidates()
        numbers = data.draw(st.lists(st.integers(0, 40), unique=True, max_size=16), label="numbers")
        values = st.none() | st.floats(-1e6, 1e6) | st.just(math.nan)
        trials = [
            Trial(number, candidates.ids[i], data.draw(values), data.draw(st.booleans()))
            for i, number in enumerate(numbers)
        ]
        cut = data.draw(st.integers(0, len(trials)), label="cut")
        shuffled = data.draw(st.permutations(trials), label="order")
        plain, other = self.make_policy(candidates), self.make_policy(candidates)
        plain.tell(trials)
        other.tell(shuffled[:cut])
        other.ask(2)
        other.tell(shuffled[cut:])
        other.tell(shuffled[:cut])
        assert other.trials == plain.trials
        assert other.ask(4) == plain.ask(4)

    def test_a_later_report_of_a_trial_replaces_the_earlier_one(self) -> None:
        candidates = sample_candidates()
        policy = self.make_policy(candidates)
        policy.tell([Trial(0, "a1")])
        policy.tell([Trial(0, "a1", 0.25)])
        assert policy.trials == [Trial(0, "a1", 0.25)]

    def test_proposals_say_why_in_json(self) -> None:
        policy = self.make_policy(sample_candidates())
        for _ in range(6):
            for proposal in policy.ask(3):
                assert proposal.origin
                json.dumps(dict(proposal.acquisition), allow_nan=False)
            self.advance(policy, 1)

    @pytest.mark.parametrize(
        "trial",
        [
            Trial(1, "stranger"),
            Trial(-1, "a3"),
            Trial(1, "a3", failed="lost"),  # type: ignore[arg-type]
            Trial(1, "a3", "0.5"),  # type: ignore[arg-type]
        ],
    )
    def test_a_batch_with_an_invalid_trial_is_rejected_as_a_whole(self, trial: Trial) -> None:
        policy = self.make_policy(sample_candidates())
        with pytest.raises(InputError, match="must be"):
            policy.tell([Trial(0, "a0"), trial])
        assert policy.trials == []

    @pytest.mark.parametrize("count", [-1, 1.5, True])
    def test_an_invalid_count_is_rejected(self, count: object) -> None:
        policy = self.make_policy(sample_candidates())
        with pytest.raises(InputError, match="count must be"):
            policy.ask(count)  # type: ignore[arg-type]
        assert policy.ask(0) == []
