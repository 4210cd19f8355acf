"""Laws of scores, measurements, studies, trials and jobs."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import pytest

from graphstore.contract import GraphStore
from graphstore.errors import NotFoundError, StoreInputError
from graphstore.records import JobRecord, JobState, MeasurementRecord, ScoreRecord, StudyState, TrialRecord, TrialStatus
from graphstore.testing import samples
from graphstore.testing.library_laws import Reopen, filled

Record = TypeVar("Record", ScoreRecord, JobRecord)


def _with(record: Record, **changes: Any) -> Record:
    return dataclasses.replace(record, **changes)


class ScoreLaws:
    """Scores and measurements."""

    def test_scores_round_trip(self, store: GraphStore, reopen: Reopen) -> None:
        """Scores come back equal, in the stated order, and are found by space, architecture and task."""
        a, b, c = (record.id for record in filled(store, 3))
        store.put_space(samples.space("other"))
        store.add_architectures("other", [store.architecture(c)])
        given = [
            samples.score(id, task, 0.25, seed, source)
            for id in (c, a, b)
            for task in ("b", "a")
            for source, seed in (("y", 1), ("x", 2), ("x", -1))
        ]
        assert store.add_scores(given) == len(given)
        ordered = sorted(given, key=lambda s: (s.architecture, s.task, s.metric, s.source, s.seed, s.id))
        other = reopen()
        assert other.scores() == ordered
        assert other.scores("nano") == ordered
        assert other.scores("other") == [s for s in ordered if s.architecture == c]
        assert other.scores(architecture=b) == [s for s in ordered if s.architecture == b]
        assert other.scores("other", architecture=b) == []
        assert other.scores("nano", task="a") == [s for s in ordered if s.task == "a"]
        assert other.scores(architecture="unknown") == []
        assert other.scores(task="unknown") == []

    def test_scores_are_idempotent(self, store: GraphStore) -> None:
        """The same score is stored once, as first written, also within one call."""
        id = filled(store, 1)[0].id
        first = samples.score(id, value=0.5)
        assert store.add_scores([first, first]) == 1
        revision = store.revision("scores")
        assert store.add_scores([dataclasses.replace(first, value=0.75, seconds=9.0)]) == 0
        assert store.add_scores([]) == 0
        assert store.revision("scores") == revision
        assert store.scores() == [first]
        assert store.add_scores([dataclasses.replace(first, majority=0.5, chance=0.4)]) == 0
        assert store.scores() == [first]
        apart = ("task", "metric", "dataset", "fidelity", "recipe", "source")
        assert store.add_scores([_with(first, **{field: "else"}) for field in apart]) == len(apart)

    def test_levels_of_scores_round_trip(self, store: GraphStore, reopen: Reopen) -> None:
        """The majority and the chance level come back equal, each alone, both or none, also with a trial."""
        id = filled(store, 1)[0].id
        levels = ((None, None), (0.5, None), (None, 0.1 + 0.2), (0.0, -0.125), (0, 1))
        given = [samples.score(id, seed=n, majority=one, chance=two) for n, (one, two) in enumerate(levels)]
        assert store.add_scores(given) == len(given)
        store.create_study(samples.study())
        store.add_trials("first", [(id, {})])
        trial = store.claim_trial("first", "w", 10.0, 100.0)
        assert trial is not None
        last = samples.score(id, seed=len(given), majority=0.625, chance=0.5625)
        store.finish_trial(trial, TrialStatus.COMPLETE, 101.0, 0.5, scores=[last])
        found = reopen().scores()
        assert found == [*given, last]
        assert [(score.majority, score.chance) for score in found] == [*levels, (0.625, 0.5625)]
        assert store.problems() == []

    def test_scores_of_an_origin_are_removed(self, store: GraphStore, reopen: Reopen) -> None:
        """Only those: an origin is all that comes before the first colon, and not a part of it."""
        sources = ("mine:1", "mine:1:2", "mine", "mine2:1", "Mine:1", "", ":mine", "mine ", "%:1", "m_ne:1")
        ids = [record.id for record in filled(store, 2)]
        scores = {source: [samples.score(id, source=source) for id in ids] for source in sources}
        store.add_scores([score for found in scores.values() for score in found])
        revision = store.revision("scores")
        assert [store.remove_scores(origin) for origin in ("min", "mine:1", "other")] == [0, 0, 0]
        assert store.revision("scores") == revision
        assert store.remove_scores("mine") == 6
        assert store.remove_scores("mine") == 0
        assert store.revision("scores") > revision
        left = {score.source for score in reopen().scores()}
        assert left == set(sources) - {"mine:1", "mine:1:2", "mine"}
        assert store.remove_scores("") == 4
        assert store.remove_scores("%") == store.remove_scores("m_ne") == 2
        assert store.add_scores(scores["mine:1"]) == 2
        assert store.problems() == []

    def test_score_of_unknown_architecture(self, store: GraphStore) -> None:
        """One unknown architecture refuses all of a call."""
        id = filled(store, 1)[0].id
        with pytest.raises(NotFoundError, match="unknown"):
            store.add_scores([samples.score(id), samples.score("unknown")])
        assert store.scores() == []
        assert store.revision("scores") == 0

    def test_score_must_be_finite(self) -> None:
        """A score that is not a number cannot be created."""
        with pytest.raises(StoreInputError, match="finite"):
            samples.score("id", value=float("nan"))
        for level in ("majority", "chance"):
            with pytest.raises(StoreInputError, match=f"{level} of score 'SST-2' must be a finite number or None"):
                _with(samples.score("id"), **{level: float("inf")})

    def test_measurements(self, store: GraphStore, reopen: Reopen) -> None:
        """Measurements are kept once for architecture, device and quantity, and replaced."""
        a, b = sorted(record.id for record in filled(store, 2))
        given = [
            MeasurementRecord(id, device, quantity, 0.5, "s")
            for id in (b, a)
            for device in ("gpu", "cpu")
            for quantity in ("memory", "latency")
        ]
        assert store.add_measurements(given) == 8
        ordered = sorted(given, key=lambda m: (m.architecture, m.device, m.quantity))
        assert reopen().measurements() == ordered
        assert store.measurements("nano", a) == ordered[:4]
        revision = store.revision("scores")
        assert store.add_measurements(given) == 0
        assert store.revision("scores") == revision
        better = dataclasses.replace(ordered[0], value=0.25)
        assert store.add_measurements([better]) == 0
        assert store.revision("scores") > revision
        assert reopen().measurements() == [better, *ordered[1:]]

    def test_measurements_are_removed(self, store: GraphStore, reopen: Reopen) -> None:
        """Those of a device, or of one of its quantities."""
        ids = [record.id for record in filled(store, 2)]
        pairs = [(device, quantity) for device in ("gpu", "cpu") for quantity in ("memory", "latency")]
        store.add_measurements([MeasurementRecord(id, *pair, 0.5, "s") for id in ids for pair in pairs])
        revision = store.revision("scores")
        assert store.remove_measurements("tpu") == store.remove_measurements("gpu", "energy") == 0
        assert store.revision("scores") == revision
        assert store.remove_measurements("gpu", "memory") == 2
        assert store.remove_measurements("cpu") == 4
        assert store.revision("scores") > revision
        assert {(m.device, m.quantity) for m in reopen().measurements()} == {("gpu", "latency")}
        assert store.problems() == []

    def test_an_unfinished_copy_is_a_problem(self, store: GraphStore, reopen: Reopen) -> None:
        """From its beginning to its end, for everybody; the mark is no change of the catalogue."""
        samples.fill(store)
        revision = store.revision()
        store.mark_copy(unfinished=True)
        for one in (store, reopen()):
            (problem,) = one.problems()
            assert "run the same copy again" in problem
        store.mark_copy(unfinished=False)
        assert store.problems() == reopen().problems() == []
        assert store.revision() == revision

    def test_measurement_rules(self, store: GraphStore) -> None:
        """A value that is not finite, or an unknown architecture, refuses all of a call."""
        id = filled(store, 1)[0].id
        right = MeasurementRecord(id, "cpu", "latency", 0.5, "s")
        with pytest.raises(StoreInputError, match="finite"):
            store.add_measurements([right, dataclasses.replace(right, value=float("inf"), device="gpu")])
        with pytest.raises(NotFoundError, match="unknown"):
            store.add_measurements([right, dataclasses.replace(right, architecture="unknown")])
        assert store.measurements() == []


def started(store: GraphStore, trials: int = 3) -> list[str]:
    """A study named ``first`` with waiting trials; returns their architectures."""
    ids = [record.id for record in filled(store, trials)]
    store.create_study(samples.study())
    store.add_trials("first", [(id, {"origin": "initial"}) for id in ids])
    return ids


def claimed(store: GraphStore, owner: str = "w", lease_s: float = 10.0, now: float = 1000.0) -> TrialRecord:
    """Claim a trial of the study ``first`` that must be there."""
    trial = store.claim_trial("first", owner, lease_s, now)
    assert trial is not None
    return trial


class StudyLaws:
    """Studies and trials."""

    def test_study_round_trip(self, store: GraphStore, reopen: Reopen) -> None:
        """A study comes back equal; a taken name returns the stored one; the newest comes first."""
        store.put_space(samples.space())
        study = samples.study()
        assert store.create_study(study) == study
        assert store.create_study(dataclasses.replace(study, spec={"budget": 99}, created=5.0)) == study
        for name, created in (("b", 300.0), ("a", 300.0), ("c", 50.0)):
            store.create_study(samples.study(name, created=created))
        assert [study.name for study in reopen().studies()] == ["a", "b", "first", "c"]
        assert reopen().study("first") == study

    def test_update_study(self, store: GraphStore, reopen: Reopen) -> None:
        """State and description change, each without the other."""
        store.put_space(samples.space())
        study = store.create_study(samples.study())
        longer = dataclasses.replace(study, spec={**study.spec, "budget": 32})
        assert store.update_study("first", spec=longer.spec) == longer
        assert store.update_study("first", state=StudyState.DONE) == dataclasses.replace(longer, state=StudyState.DONE)
        tightened = {"constraints": ["parameters<=200K"], "name": "another", "budget": [4], "state": "x", "spec": 1}
        after = store.update_study("first", spec=tightened)
        assert after == dataclasses.replace(longer, state=StudyState.DONE, spec=tightened)
        revision = store.revision("studies")
        store.update_study("first", state=StudyState.DONE, spec=tightened)
        assert store.revision("studies") == revision
        assert reopen().study("first") == after

    def test_unknown_study(self, store: GraphStore) -> None:
        """Every method that takes a study's name raises NotFoundError for an unknown one."""
        id = filled(store, 1)[0].id
        stray = TrialRecord("no", 0, id, TrialStatus.RUNNING, 1, 1, "w", 9.0, None, "", {}, 0.0, 0.0, 0.0)
        for call in (
            lambda: store.study("no"),
            lambda: store.update_study("no", spec={}),
            lambda: store.add_trials("no", [(id, {})]),
            lambda: store.trials("no"),
            lambda: store.claim_trial("no", "w", 1.0, 0.0),
            lambda: store.expire_leases("no", 0.0, 1),
            lambda: store.renew_lease(stray, 1.0, 0.0),
            lambda: store.finish_trial(stray, TrialStatus.FAILED, 0.0),
        ):
            with pytest.raises(NotFoundError, match="no"):
                call()
        assert store.revision("studies") == 0

    def test_add_trials(self, store: GraphStore, reopen: Reopen) -> None:
        """Trial numbers continue; an architecture gets one trial in a study, even if it is proposed again."""
        a, b, c = (record.id for record in filled(store, 3))
        store.create_study(samples.study())
        store.create_study(samples.study("second"))
        added = store.add_trials("first", [(b, {"origin": "initial"}), (a, {}), (b, {"origin": "again"})])
        assert [(t.number, t.architecture, t.info) for t in added] == [(0, b, {"origin": "initial"}), (1, a, {})]
        first = added[0]
        assert (first.study, first.state, first.attempt, first.token) == ("first", TrialStatus.WAITING, 0, 0)
        assert (first.owner, first.lease_expires, first.value, first.reason) == ("", 0.0, None, "")
        assert first.created > 0
        assert (first.started, first.finished) == (0.0, 0.0)
        assert [t.number for t in store.add_trials("first", [(a, {}), (c, {})])] == [2]
        revision = store.revision("studies")
        assert store.add_trials("first", [(a, {}), (c, {})]) == []
        assert store.revision("studies") == revision
        assert [t.number for t in store.add_trials("second", [(a, {})])] == [0]
        assert [t.architecture for t in reopen().trials("first")] == [b, a, c]
        assert reopen().trials("first")[:2] == added

    def test_trials_since_a_number(self, store: GraphStore) -> None:
        """A reader that keeps some trials gets the others: from a number on, and named ones before it."""
        started(store, 5)
        every = store.trials("first")
        assert store.trials("first", 0, [1, 3]) == every
        assert store.trials("first", 3) == every[3:]
        assert store.trials("first", 5) == []
        assert store.trials("first", 4, [2, 0, 2, 4, 9, -1]) == [every[0], every[2], every[4]]
        assert store.trials("first", 2**62, {1}) == [every[1]]
        with pytest.raises(NotFoundError, match="no"):
            store.trials("no", 7, [1])
        for wrong in (1.0, "1", True, None, 2**63):
            with pytest.raises(StoreInputError, match="number of a trial"):
                store.trials("first", wrong)  # type: ignore[arg-type]
            with pytest.raises(StoreInputError, match="number of a trial"):
                store.trials("first", 1, [wrong])  # type: ignore[list-item]

    def test_add_trials_rules(self, store: GraphStore) -> None:
        """An unknown architecture, or info that is not JSON-able, refuses all of a call."""
        id = filled(store, 1)[0].id
        store.create_study(samples.study())
        with pytest.raises(NotFoundError, match="unknown"):
            store.add_trials("first", [(id, {}), ("unknown", {})])
        with pytest.raises(StoreInputError, match="JSON"):
            store.add_trials("first", [(id, {"x": float("nan")})])
        assert store.trials("first") == []


class JobLaws:
    """Jobs."""

    def test_jobs(self, store: GraphStore, reopen: Reopen) -> None:
        """Jobs come back equal, newest first, and are replaced by their id."""
        jobs = [samples.job("b", 200.0), samples.job("a", 200.0), samples.job("z", 300.0), samples.job("c", 100.0)]
        for job in jobs:
            store.put_job(job)
        assert reopen().jobs() == [jobs[2], jobs[1], jobs[0], jobs[3]]
        store.put_job(dataclasses.replace(jobs[3], message="continued"))
        assert store.jobs()[-1].message == "continued"
        revision = store.revision("jobs")
        store.put_job(dataclasses.replace(jobs[3], message="continued"))
        assert store.revision("jobs") == revision

    def test_update_job(self, store: GraphStore, reopen: Reopen) -> None:
        """Named fields change, the others stay."""
        job = samples.job()
        store.put_job(job)
        changes = {"state": JobState.RUNNING, "pid": 4711, "heartbeat": 105.5, "progress": 0.5, "info": {"n": 1}}
        changed = store.update_job(job.id, **changes)
        assert changed == _with(job, **changes)
        assert reopen().jobs() == [changed]

    def test_job_rules(self, store: GraphStore) -> None:
        """Unknown jobs, fields and states are refused and change nothing."""
        job = samples.job()
        store.put_job(job)
        with pytest.raises(NotFoundError, match="no-job"):
            store.update_job("no-job", pid=1)
        for changes in ({"colour": "red"}, {"state": "asleep"}, {"info": {"x": {1}}}):
            with pytest.raises(StoreInputError):
                store.update_job(job.id, pid=3, **changes)
        assert store.jobs() == [job]

    def test_score_record_id_ignores_value(self) -> None:
        """Value, seconds and levels do not make another score, everything else does."""
        one = samples.score("id")
        assert dataclasses.replace(one, value=0.1, seconds=7.0, majority=0.5, chance=0.4).id == one.id
        others = {
            _with(one, **{field.name: 99 if field.name == "seed" else "else"}).id
            for field in dataclasses.fields(ScoreRecord)
            if field.name not in {"value", "seconds", "majority", "chance"}
        }
        assert len(others | {one.id}) == 9
