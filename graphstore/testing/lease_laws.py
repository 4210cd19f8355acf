"""Laws of leases: claims, renewals, ends and expiry of trials."""

from __future__ import annotations

import dataclasses

import pytest

from graphstore.contract import GraphStore
from graphstore.errors import LeaseLostError, NotFoundError, StoreInputError
from graphstore.records import ScoreRecord, TrialRecord, TrialStatus
from graphstore.testing import samples
from graphstore.testing.library_laws import Reopen
from graphstore.testing.study_laws import claimed, started


class LeaseLaws:
    """A trial belongs to the newest claim of it."""

    def test_claim(self, store: GraphStore, reopen: Reopen) -> None:
        """Claims take the lowest number, give a lease and a token, and end when nothing waits."""
        ids = started(store, 2)
        first = claimed(store, "w1", 10.0, 1000.0)
        assert (first.number, first.architecture, first.state) == (0, ids[0], TrialStatus.RUNNING)
        assert (first.owner, first.attempt, first.lease_expires, first.started) == ("w1", 1, 1010.0, 1000.0)
        assert first.info == {"origin": "initial"}
        assert claimed(reopen(), "w2").number == 1
        assert store.claim_trial("first", "w3", 10.0, 1000.0) is None
        assert store.trials("first")[0] == first
        for lease_s, now in ((0.0, 1.0), (-1.0, 1.0), (float("inf"), 1.0), (1.0, float("nan"))):
            with pytest.raises(StoreInputError, match="lease"):
                store.claim_trial("first", "w", lease_s, now)

    def test_renew(self, store: GraphStore) -> None:
        """Renewing moves the end of the lease and merges info, as long as the token is the newest."""
        started(store, 1)
        trial = claimed(store)
        store.renew_lease(trial, 20.0, 1005.0, {"progress": 0.5})
        store.renew_lease(trial, 20.0, 1006.0, {"progress": 0.75, "step": 3})
        store.renew_lease(trial, 20.0, 1007.0)
        (now,) = store.trials("first")
        assert now.lease_expires == 1027.0
        assert now.info == {"origin": "initial", "progress": 0.75, "step": 3}
        assert (now.token, now.attempt, now.started) == (trial.token, 1, 1000.0)

    def test_finish_adds_scores(self, store: GraphStore, reopen: Reopen) -> None:
        """A complete trial and its scores arrive together; the lease is given up."""
        (id,) = started(store, 1)
        trial = claimed(store)
        score = samples.score(id)
        done = store.finish_trial(trial, TrialStatus.COMPLETE, 1009.0, 0.5, scores=[score])
        assert (done.state, done.value, done.finished) == (TrialStatus.COMPLETE, 0.5, 1009.0)
        assert (done.owner, done.lease_expires, done.attempt, done.reason) == ("", 0.0, 1, "")
        assert reopen().trials("first") == [done]
        assert reopen().scores() == [score]
        assert store.claim_trial("first", "w", 10.0, 2000.0) is None

    def test_finish_is_atomic(self, store: GraphStore) -> None:
        """Scores that are refused leave the trial running, a lost lease leaves no scores."""
        (id,) = started(store, 1)
        trial = claimed(store)
        scores = [samples.score(id), samples.score("unknown")]
        with pytest.raises(NotFoundError, match="unknown"):
            store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=scores)
        assert store.trials("first") == [trial]
        assert store.scores() == []
        late = dataclasses.replace(trial, token=trial.token - 1)
        with pytest.raises(LeaseLostError, match="token"):
            store.finish_trial(late, TrialStatus.COMPLETE, 1001.0, 0.5, scores=[samples.score(id)])
        assert store.trials("first") == [trial]
        assert store.scores() == []

    def test_finish_rules(self, store: GraphStore) -> None:
        """``complete`` needs a finite value, the others none; ``running`` ends nothing."""
        started(store, 1)
        trial = claimed(store)
        for state, value in (
            (TrialStatus.COMPLETE, None),
            (TrialStatus.COMPLETE, float("nan")),
            (TrialStatus.FAILED, 0.5),
            (TrialStatus.RUNNING, None),
        ):
            with pytest.raises(StoreInputError):
                store.finish_trial(trial, state, 1001.0, value)
        assert store.trials("first") == [trial]

    def test_failed_and_given_back(self, store: GraphStore) -> None:
        """A failed trial keeps its reason; a trial given back waits again without having cost an attempt."""
        started(store, 2)
        failed = store.finish_trial(claimed(store), TrialStatus.FAILED, 1001.0, reason="loss is NaN")
        assert (failed.state, failed.reason, failed.finished) == (TrialStatus.FAILED, "loss is NaN", 1001.0)
        second = claimed(store)
        back = store.finish_trial(second, TrialStatus.WAITING, 1002.0, reason="stopped")
        assert (back.number, back.state, back.attempt, back.finished) == (1, TrialStatus.WAITING, 0, 0.0)
        again = claimed(store)
        assert (again.number, again.attempt) == (1, 1)
        assert again.token > second.token
        with pytest.raises(LeaseLostError):
            store.renew_lease(second, 10.0, 1003.0)

    def test_finished_twice(self, store: GraphStore) -> None:
        """A trial that is not running cannot be renewed, nor ended in another way than it was."""
        (id,) = started(store, 1)
        trial = claimed(store)
        score = samples.score(id)
        done = store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=[score])
        old = dataclasses.replace(trial, token=trial.token - 1)
        more = [score, samples.score(id, "another")]
        others: list[tuple[TrialRecord, TrialStatus, float | None, str, list[ScoreRecord]]] = [
            (trial, TrialStatus.COMPLETE, 0.75, "", [score]),
            (trial, TrialStatus.COMPLETE, 0.5, "late", [score]),
            (trial, TrialStatus.COMPLETE, 0.5, "", more),
            (trial, TrialStatus.FAILED, None, "", [score]),
            (trial, TrialStatus.WAITING, None, "", []),
            (old, TrialStatus.COMPLETE, 0.5, "", [score]),
        ]
        for claim, state, value, reason, scores in others:
            with pytest.raises(LeaseLostError, match="token"):
                store.finish_trial(claim, state, 1002.0, value, reason, scores)
        with pytest.raises(LeaseLostError):
            store.renew_lease(trial, 10.0, 1002.0, {"progress": 1})
        assert store.trials("first") == [done]
        assert store.scores() == [score]

    def test_finish_is_repeated(self, store: GraphStore, reopen: Reopen) -> None:
        """A writer that missed the acknowledgement ends the trial again: it gets the stored one, nothing changes."""
        ids = started(store, 4)
        ways: list[tuple[TrialStatus, float | None, str]] = [
            (TrialStatus.COMPLETE, 0.1, ""),
            (TrialStatus.FAILED, None, "loss is NaN"),
            (TrialStatus.STALE, None, "its worker died"),
            (TrialStatus.WAITING, None, "stopped"),
        ]
        claims = [claimed(store) for _ in ways]
        for id, trial, (state, value, reason) in zip(ids, claims, ways, strict=True):
            score = samples.score(id, value=0.25)
            first = store.finish_trial(trial, state, 1001.0, value, reason, [score])
            seen = (store.revision(), store.trials("first"), store.scores())
            again = dataclasses.replace(score, value=0.75)
            assert reopen().finish_trial(trial, state, 1005.0, value, reason, [again]) == first
            assert store.finish_trial(trial, state, 1005.0, value, reason) == first
            assert (store.revision(), store.trials("first"), store.scores()) == seen
        assert [trial.attempt for trial in store.trials("first")] == [1, 1, 1, 0]

    def test_repeated_finish_after_another_claim(self, store: GraphStore) -> None:
        """After a trial was given back and claimed again, its first owner cannot change it any more."""
        started(store, 1)
        first = claimed(store, "w1")
        store.finish_trial(first, TrialStatus.WAITING, 1001.0)
        second = claimed(store, "w2")
        for state, value in ((TrialStatus.WAITING, None), (TrialStatus.COMPLETE, 0.5)):
            with pytest.raises(LeaseLostError, match="token"):
                store.finish_trial(first, state, 1002.0, value)
        done = store.finish_trial(second, TrialStatus.COMPLETE, 1003.0, 0.5)
        with pytest.raises(LeaseLostError, match="token"):
            store.finish_trial(first, TrialStatus.COMPLETE, 1003.0, 0.5)
        assert store.trials("first") == [done]

    def test_expired_lease(self, store: GraphStore) -> None:
        """An expired trial goes stale, is claimed again, refuses its late writer, and fails at the limit."""
        (id,) = started(store, 1)
        first = claimed(store, "w1", 10.0, 1000.0)
        assert store.expire_leases("first", 1010.0, 2) == []
        (stale,) = store.expire_leases("first", 1010.5, 2)
        assert (stale.state, stale.owner, stale.lease_expires) == (TrialStatus.STALE, "", 0.0)
        assert stale.reason
        assert store.expire_leases("first", 1010.5, 2) == []
        second = claimed(store, "w2", 10.0, 1020.0)
        assert (second.number, second.attempt) == (0, 2)
        assert second.token > first.token
        with pytest.raises(LeaseLostError, match="token"):
            store.finish_trial(first, TrialStatus.COMPLETE, 1021.0, 0.5, scores=[samples.score(id)])
        with pytest.raises(LeaseLostError, match="token"):
            store.renew_lease(first, 10.0, 1021.0)
        assert store.scores() == []
        (failed,) = store.expire_leases("first", 1031.0, 2)
        assert (failed.state, failed.finished, failed.attempt) == (TrialStatus.FAILED, 1031.0, 2)
        assert store.claim_trial("first", "w3", 10.0, 1040.0) is None

    def test_expiry_spares_others(self, store: GraphStore) -> None:
        """Only running trials of the study whose lease ended change, by number."""
        ids = started(store, 4)
        store.create_study(samples.study("second"))
        store.add_trials("second", [(ids[0], {})])
        assert store.claim_trial("second", "w", 1.0, 1000.0) is not None
        for lease_s in (1.0, 100.0, 1.0):
            claimed(store, lease_s=lease_s)
        assert [t.number for t in store.expire_leases("first", 1050.0, 3)] == [0, 2]
        states = [t.state.value for t in store.trials("first")]
        assert states == ["stale", "running", "stale", "waiting"]
        assert store.trials("second")[0].state is TrialStatus.RUNNING

    def test_unknown_trial(self, store: GraphStore) -> None:
        """A trial the study does not have is not found."""
        started(store, 1)
        stray = dataclasses.replace(claimed(store), number=5)
        with pytest.raises(NotFoundError, match="5"):
            store.finish_trial(stray, TrialStatus.FAILED, 1001.0)
