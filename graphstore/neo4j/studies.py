"""Studies and trials in Neo4j: (:Study)-[:RAN]->(:Trial)-[:EVALUATES]->(:Architecture)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from graphstore.checks import (
    LEASE_RAN_OUT,
    changed_study,
    check_expiry,
    check_finish,
    check_held,
    check_lease,
    check_name,
    check_numbers,
    check_proposals,
    check_study,
    check_study_changes,
    is_repeat,
    missing,
    to_json,
)
from graphstore.contract import StudyStore
from graphstore.errors import Code
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.migrations import study_facts
from graphstore.neo4j.part import Part, need_architectures, need_space
from graphstore.neo4j.scores import insert_scores
from graphstore.records import ScoreRecord, StudyRecord, StudyState, TrialRecord, TrialStatus
from graphstore.restoring import to_restore

_TRIAL = "MATCH (:ArchexStudy {name: $study})-[:RAN]->(t:ArchexTrial {study: $study, number: $number})"


class Studies(Part, StudyStore):
    """The study protocol: studies and trials."""

    _clock: Callable[[], float]

    def create_study(self, study: StudyRecord) -> StudyRecord:
        """Create the study, or return the stored one if the name is taken."""
        spec, state = check_study(study), StudyState(study.state).value
        facts = study_facts(study.name, study.space, spec, state, study.created)

        def work(db: Statements) -> StudyRecord:
            if not db.rows("MATCH (s:ArchexStudy {name: $name}) RETURN 1 AS found", name=study.name):
                need_space(db, study.space)
                db.rows("CREATE (s:ArchexStudy:Study) SET s = $facts", facts=facts)
                db.bump("studies")
            return _read_study(db, study.name)

        return self._graph.write(["studies"], work)

    def study(self, name: str) -> StudyRecord:
        """Return one study."""
        return self._graph.read(lambda db: _read_study(db, name))

    def studies(self) -> list[StudyRecord]:
        """Return all studies, newest first, ties by name."""
        rows = self._graph.read(lambda db: db.rows("MATCH (s:ArchexStudy) RETURN properties(s) AS facts"))
        return sorted((_study(row["facts"]) for row in rows), key=lambda study: (-study.created, study.name))

    def update_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> StudyRecord:
        """Change the state, or replace the description, and return the study."""
        given = check_study_changes(name, state, spec)

        def work(db: Statements) -> StudyRecord:
            before = _read_study(db, name)
            after = changed_study(before, state, given)
            if after is None:
                return before
            facts = study_facts(name, before.space, after[1], after[0], before.created)
            db.rows("MATCH (s:ArchexStudy {name: $name}) SET s = $facts", name=name, facts=facts)
            db.bump("studies")
            return _read_study(db, name)

        return self._graph.write(["studies"], work)

    def add_trials(self, study: str, proposals: Sequence[tuple[str, dict[str, Any]]]) -> list[TrialRecord]:
        """Append waiting trials, whose numbers continue from the last one, in one transaction."""
        infos = check_proposals(proposals)
        ordered = list(dict.fromkeys(id for id, _ in proposals))
        now = self._clock()

        def work(db: Statements) -> list[TrialRecord]:
            _read_study(db, study)
            need_architectures(db, infos)
            old = db.rows(
                "MATCH (:ArchexStudy {name: $study})-[:RAN]->(t) RETURN t.architecture AS id, t.number AS number",
                study=study,
            )
            taken, free = {row["id"] for row in old}, max((row["number"] for row in old), default=-1) + 1
            new = [id for id in ordered if id not in taken]
            trials = [
                TrialRecord(study, free + offset, id, TrialStatus.WAITING, 0, 0, "", 0.0, None, "",
                            json.loads(infos[id]), now, 0.0, 0.0)
                for offset, id in enumerate(new)
            ]  # fmt: skip
            if trials:
                db.rows(
                    "MATCH (s:ArchexStudy {name: $study}) UNWIND $rows AS row "
                    "MATCH (a:ArchexArchitecture {id: row.architecture}) "
                    "CREATE (s)-[:RAN]->(t:ArchexTrial:Trial)-[:EVALUATES]->(a) SET t = row",
                    study=study,
                    rows=[_facts(trial) for trial in sorted(trials, key=lambda trial: trial.architecture)],
                )
                db.bump("studies")
            return trials

        return self._graph.write(["studies"], work)

    def trials(self, study: str, since: int = 0, also: Collection[int] = ()) -> list[TrialRecord]:
        """Return the trials of a study, by number."""
        earlier = check_numbers(since, also)

        def work(db: Statements) -> list[TrialRecord]:
            _read_study(db, study)
            query = (
                "MATCH (:ArchexStudy {name: $study})-[:RAN]->(t) WHERE t.number >= $since OR t.number IN $earlier "
                "RETURN properties(t) AS facts ORDER BY t.number"
            )
            return [_trial(row["facts"]) for row in db.rows(query, study=study, since=since, earlier=earlier)]

        return self._graph.read(work)

    def claim_trial(self, study: str, owner: str, lease_s: float, now: float) -> TrialRecord | None:
        """Claim the waiting or stale trial with the lowest number, if there is one, by compare-and-set."""
        check_name("owner", owner)
        check_lease(lease_s, now)

        def work(db: Statements) -> TrialRecord | None:
            _lock_study(db, study)
            rows = db.rows(
                "MATCH (:ArchexStudy {name: $study})-[:RAN]->(t) WHERE t.state IN $free "
                "WITH t ORDER BY t.number LIMIT 1 "
                "SET t += $changes, t.attempt = t.attempt + 1, t.token = t.token + 1 RETURN properties(t) AS facts",
                study=study,
                free=[TrialStatus.WAITING.value, TrialStatus.STALE.value],
                changes={
                    "state": TrialStatus.RUNNING.value,
                    "owner": owner,
                    "lease_expires": float(now + lease_s),
                    "reason": "",
                    "started": float(now),
                    "finished": 0.0,
                },
            )
            if not rows:
                return None
            db.bump("studies")
            return _trial(rows[0]["facts"])

        return self._graph.write(["studies"], work)

    def renew_lease(self, trial: TrialRecord, lease_s: float, now: float, info: dict[str, Any] | None = None) -> None:
        """Extend the lease, and merge ``info`` into the trial's."""
        check_lease(lease_s, now, info)

        def work(db: Statements) -> None:
            stored = _stored(db, trial)
            check_held(stored, trial)
            merged = to_json("trial info", {**stored.info, **(info or {})})
            _change(db, trial, {"lease_expires": float(now + lease_s), "info": merged})
            db.bump("studies")

        self._graph.write(["studies"], work)

    def finish_trial(
        self,
        trial: TrialRecord,
        state: TrialStatus,
        now: float,
        value: float | None = None,
        reason: str = "",
        scores: Sequence[ScoreRecord] = (),
    ) -> TrialRecord:
        """End a running trial and add its scores, in one transaction."""
        check_finish(state, now, value, reason, scores)
        ended = state in (TrialStatus.COMPLETE, TrialStatus.FAILED)

        def work(db: Statements) -> TrialRecord:
            stored = _stored(db, trial)
            if is_repeat(stored, trial, state, value, reason) and _has_scores(db, scores):
                return stored
            check_held(stored, trial)
            insert_scores(db, scores)
            changes = {
                "state": TrialStatus(state).value,
                "attempt": stored.attempt - (state == TrialStatus.WAITING),
                "owner": "",
                "lease_expires": 0.0,
                "value": None if value is None else float(value),
                "reason": reason,
                "finished": float(now) if ended else 0.0,
            }
            done = _change(db, trial, changes)
            db.bump("studies")
            return done

        return self._graph.write(["scores", "studies"], work)

    def expire_leases(self, study: str, now: float, max_attempts: int) -> list[TrialRecord]:
        """Make running trials whose lease ended before ``now`` stale; those at the limit of attempts fail."""
        check_expiry(now, max_attempts)

        def work(db: Statements) -> list[TrialRecord]:
            _lock_study(db, study)
            rows = db.rows(
                "MATCH (:ArchexStudy {name: $study})-[:RAN]->(t) WHERE t.state = $running AND t.lease_expires < $now "
                "SET t.state = CASE WHEN t.attempt >= $limit THEN $failed ELSE $stale END, "
                "t.finished = CASE WHEN t.attempt >= $limit THEN $now ELSE 0.0 END, "
                "t.owner = '', t.lease_expires = 0.0, t.reason = $reason "
                "RETURN properties(t) AS facts ORDER BY t.number",
                study=study,
                running=TrialStatus.RUNNING.value,
                failed=TrialStatus.FAILED.value,
                stale=TrialStatus.STALE.value,
                now=float(now),
                limit=max_attempts,
                reason=LEASE_RAN_OUT,
            )
            if rows:
                db.bump("studies")
            return [_trial(row["facts"]) for row in rows]

        return self._graph.write(["studies"], work)

    def restore_trials(self, study: str, trials: Sequence[TrialRecord]) -> int:
        """Write trials exactly as given, token and lease included, in one transaction."""

        def work(db: Statements) -> int:
            if not db.rows("MATCH (s:ArchexStudy {name: $study}) RETURN 1 AS found", study=study):
                raise missing("study", study, "Create it first.")
            rows = db.rows("MATCH (:ArchexStudy {name: $study})-[:RAN]->(t) RETURN properties(t) AS facts", study=study)
            changed = to_restore(study, trials, [_trial(row["facts"]) for row in rows])
            need_architectures(db, {trial.architecture for trial in changed})
            if changed:
                facts = sorted((_facts(trial) for trial in changed), key=lambda row: str(row["architecture"]))
                db.rows(
                    "MATCH (s:ArchexStudy {name: $study}) UNWIND $rows AS row "
                    "MATCH (a:ArchexArchitecture {id: row.architecture}) "
                    "MERGE (t:ArchexTrial {study: $study, number: row.number}) SET t:Trial, t = row "
                    "MERGE (s)-[:RAN]->(t) MERGE (t)-[:EVALUATES]->(a)",
                    study=study,
                    rows=facts,
                )
                db.bump("studies")
            return len(changed)

        return self._graph.write(["studies"], work)


def _lock_study(db: Statements, name: str) -> None:
    """Lock the study, so that its claims run one after the other. Raises NotFoundError."""
    if not db.rows(
        "MATCH (s:ArchexStudy {name: $name}) SET s.locked = true REMOVE s.locked RETURN 1 AS found", name=name
    ):
        raise _no_study(name)


def _no_study(name: str) -> Exception:
    return missing("study", name, code=Code.UNKNOWN_STUDY)


def _read_study(db: Statements, name: str) -> StudyRecord:
    row = db.one("MATCH (s:ArchexStudy {name: $name}) RETURN properties(s) AS facts", name=name)
    if row is None:
        raise _no_study(name)
    return _study(row["facts"])


def _study(facts: dict[str, Any]) -> StudyRecord:
    spec, state = json.loads(facts["spec"]), StudyState(facts["state"])
    return StudyRecord(facts["name"], facts["space"], spec, state, facts["created"])


def _trial(facts: dict[str, Any]) -> TrialRecord:
    known = {**facts, "info": json.loads(facts["info"]), "state": TrialStatus(facts["state"])}
    return TrialRecord(**{"value": None, **known})  # the server stores no null properties


_FLOATS = ("lease_expires", "value", "created", "started", "finished")


def _facts(trial: TrialRecord) -> dict[str, Any]:
    # The server distinguishes integers from floats and stores no null properties.
    floats = {name: None if getattr(trial, name) is None else float(getattr(trial, name)) for name in _FLOATS}
    return {**vars(trial), **floats, "state": trial.state.value, "info": to_json("trial info", trial.info)}


def _stored(db: Statements, trial: TrialRecord) -> TrialRecord:
    """Lock the study and return the stored trial. Raises NotFoundError."""
    _lock_study(db, trial.study)
    row = db.one(f"{_TRIAL} RETURN properties(t) AS facts", study=trial.study, number=trial.number)
    if row is None:
        raise missing("trial", f"{trial.study}/{trial.number}", "Claim one first.")
    return _trial(row["facts"])


def _has_scores(db: Statements, scores: Sequence[ScoreRecord]) -> bool:
    wanted = {score.id for score in scores}
    (row,) = db.rows("MATCH (s:ArchexScore) WHERE s.id IN $ids RETURN count(s) AS known", ids=sorted(wanted))
    return bool(row["known"] == len(wanted))


def _change(db: Statements, trial: TrialRecord, changes: dict[str, Any]) -> TrialRecord:
    query = f"{_TRIAL} SET t += $changes RETURN properties(t) AS facts"
    (row,) = db.rows(query, study=trial.study, number=trial.number, changes=changes)
    return _trial(row["facts"])
