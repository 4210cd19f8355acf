"""Studies and trials in the SQLite file."""

from __future__ import annotations

import json
import sqlite3
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
from graphstore.embedded.database import bump
from graphstore.embedded.part import Part, known_architecture_keys, space_key
from graphstore.embedded.scores import insert_scores
from graphstore.errors import Code
from graphstore.records import ScoreRecord, StudyRecord, StudyState, TrialRecord, TrialStatus
from graphstore.restoring import to_restore

_STUDY = "SELECT s.name, p.name, s.spec, s.state, s.created FROM study s JOIN space p ON p.key = s.space"
_TRIAL = (
    "SELECT s.name, t.number, a.id, t.state, t.attempt, t.token, t.owner, t.lease_expires, t.value, t.reason, t.info, "
    "t.created, t.started, t.finished "
    "FROM trial t JOIN study s ON s.key = t.study JOIN architecture a ON a.key = t.architecture"
)


_COLUMNS = (
    "number", "state", "attempt", "token", "owner", "lease_expires", "value", "reason", "info", "created", "started",
    "finished",
)  # fmt: skip


class Studies(Part, StudyStore):
    """The study protocol: studies and trials."""

    _clock: Callable[[], float]

    def create_study(self, study: StudyRecord) -> StudyRecord:
        """Create the study, or return the stored one if the name is taken."""
        spec = check_study(study)
        with self._database.writing() as db:
            stored = db.execute(_STUDY + " WHERE s.name = ?", (study.name,)).fetchone()
            if stored is None:
                db.execute(
                    "INSERT INTO study (name, space, spec, state, created) VALUES (?, ?, ?, ?, ?)",
                    (study.name, space_key(db, study.space), spec, StudyState(study.state).value, study.created),
                )
                bump(db, "studies")
            return _read_study(db, study.name)

    def study(self, name: str) -> StudyRecord:
        """Return one study."""
        with self._database.reading() as db:
            return _read_study(db, name)

    def studies(self) -> list[StudyRecord]:
        """Return all studies, newest first, ties by name."""
        with self._database.reading() as db:
            rows = db.execute(_STUDY + " ORDER BY s.created DESC, s.name").fetchall()
        return [_study(*row) for row in rows]

    def update_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> StudyRecord:
        """Change the state, or replace the description, and return the study."""
        given = check_study_changes(name, state, spec)
        with self._database.writing() as db:
            before = _read_study(db, name)
            after = changed_study(before, state, given)
            if after is None:
                return before
            db.execute("UPDATE study SET state = ?, spec = ? WHERE name = ?", (*after, name))
            bump(db, "studies")
            return _read_study(db, name)

    def add_trials(self, study: str, proposals: Sequence[tuple[str, dict[str, Any]]]) -> list[TrialRecord]:
        """Append waiting trials, whose numbers continue from the last one, in one transaction."""
        infos = check_proposals(proposals)
        with self._database.writing() as db:
            key = _study_key(db, study)
            keys = known_architecture_keys(db, infos)
            (number,) = db.execute("SELECT coalesce(max(number), -1) + 1 FROM trial WHERE study = ?", (key,)).fetchone()
            first, now = number, self._clock()
            for id in dict.fromkeys(id for id, _ in proposals):
                number += db.execute(
                    "INSERT INTO trial VALUES (?, ?, ?, ?, 0, 0, '', 0, NULL, '', ?, ?, 0, 0) "
                    "ON CONFLICT (study, architecture) DO NOTHING",
                    (key, number, keys[id], TrialStatus.WAITING.value, infos[id], now),
                ).rowcount
            if number > first:
                bump(db, "studies")
            return _read_trials(db, "t.study = ? AND t.number >= ?", (key, first))

    def trials(self, study: str, since: int = 0, also: Collection[int] = ()) -> list[TrialRecord]:
        """Return the trials of a study, by number."""
        earlier = check_numbers(since, also)
        with self._database.reading() as db:
            key = _study_key(db, study)
            # Two queries: SQLite would scan the study's trials for one with OR.
            some = "t.study = ? AND t.number IN (SELECT value FROM json_each(?))"
            found = _read_trials(db, some, (key, json.dumps(earlier))) if earlier else []
            return found + _read_trials(db, "t.study = ? AND t.number >= ?", (key, since))

    def claim_trial(self, study: str, owner: str, lease_s: float, now: float) -> TrialRecord | None:
        """Claim the waiting or stale trial with the lowest number, if there is one, by compare-and-set."""
        check_name("owner", owner)
        check_lease(lease_s, now)
        with self._database.writing() as db:
            key = _study_key(db, study)
            row = db.execute(
                "UPDATE trial SET state = ?, attempt = attempt + 1, token = token + 1, owner = ?, lease_expires = ?, "
                "reason = '', started = ?, finished = 0 WHERE study = ? AND number = "
                "(SELECT min(number) FROM trial WHERE study = ? AND state IN (?, ?)) RETURNING number",
                (TrialStatus.RUNNING.value, owner, now + lease_s, now, key, key, TrialStatus.WAITING.value,
                 TrialStatus.STALE.value),
            ).fetchone()  # fmt: skip
            if row is None:
                return None
            bump(db, "studies")
            return _read_trial(db, key, row[0])

    def renew_lease(self, trial: TrialRecord, lease_s: float, now: float, info: dict[str, Any] | None = None) -> None:
        """Extend the lease, and merge ``info`` into the trial's."""
        check_lease(lease_s, now, info)
        with self._database.writing() as db:
            key, stored = _stored(db, trial)
            check_held(stored, trial)
            merged = {**stored.info, **(info or {})}
            db.execute(
                "UPDATE trial SET lease_expires = ?, info = ? WHERE study = ? AND number = ?",
                (now + lease_s, to_json("trial info", merged), key, trial.number),
            )
            bump(db, "studies")

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
        with self._database.writing() as db:
            key, stored = _stored(db, trial)
            if is_repeat(stored, trial, state, value, reason) and _has_scores(db, scores):
                return stored
            check_held(stored, trial)
            insert_scores(db, scores)
            db.execute(
                "UPDATE trial SET state = ?, attempt = attempt - ?, owner = '', lease_expires = 0, value = ?, "
                "reason = ?, finished = ? WHERE study = ? AND number = ?",
                (TrialStatus(state).value, int(state == TrialStatus.WAITING), value, reason, now if ended else 0.0,
                 key, trial.number),
            )  # fmt: skip
            bump(db, "studies")
            return _read_trial(db, key, trial.number)

    def expire_leases(self, study: str, now: float, max_attempts: int) -> list[TrialRecord]:
        """Make running trials whose lease ended before ``now`` stale; those at the limit of attempts fail."""
        check_expiry(now, max_attempts)
        with self._database.writing() as db:
            key = _study_key(db, study)
            changed = db.execute(
                "UPDATE trial SET state = CASE WHEN attempt >= ? THEN ? ELSE ? END, "
                "finished = CASE WHEN attempt >= ? THEN ? ELSE 0.0 END, owner = '', lease_expires = 0, reason = ? "
                "WHERE study = ? AND state = ? AND lease_expires < ? RETURNING number",
                (max_attempts, TrialStatus.FAILED.value, TrialStatus.STALE.value, max_attempts, now, LEASE_RAN_OUT,
                 key, TrialStatus.RUNNING.value, now),
            ).fetchall()  # fmt: skip
            if changed:
                bump(db, "studies")
            return [_read_trial(db, key, number) for (number,) in sorted(changed)]

    def restore_trials(self, study: str, trials: Sequence[TrialRecord]) -> int:
        """Write trials exactly as given, token and lease included, in one transaction."""
        with self._database.writing() as db:
            found = db.execute("SELECT key FROM study WHERE name = ?", (study,)).fetchone()
            if found is None:
                raise missing("study", study, "Create it first.")
            changed = to_restore(study, trials, _read_trials(db, "t.study = ?", (found[0],)))
            keys = known_architecture_keys(db, {trial.architecture for trial in changed})
            db.executemany(
                f"INSERT INTO trial (study, architecture, {', '.join(_COLUMNS)}) "
                f"VALUES ({', '.join('?' * (len(_COLUMNS) + 2))}) ON CONFLICT (study, number) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:]),
                ((found[0], keys[trial.architecture], *_row(trial)) for trial in changed),
            )
            if changed:
                bump(db, "studies")
        return len(changed)


def _study_key(db: sqlite3.Connection, name: str) -> int:
    row = db.execute("SELECT key FROM study WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise missing("study", name, code=Code.UNKNOWN_STUDY)
    key: int = row[0]
    return key


def _stored(db: sqlite3.Connection, trial: TrialRecord) -> tuple[int, TrialRecord]:
    """Return the row key of a trial's study, and the stored trial. Raises NotFoundError."""
    key = _study_key(db, trial.study)
    found = _read_trials(db, "t.study = ? AND t.number = ?", (key, trial.number))
    if not found:
        raise missing("trial", f"{trial.study}/{trial.number}", "Claim one first.")
    return key, found[0]


def _has_scores(db: sqlite3.Connection, scores: Sequence[ScoreRecord]) -> bool:
    wanted = {score.id for score in scores}
    query = "SELECT count(*) FROM score WHERE id IN (SELECT value FROM json_each(?))"
    return bool(db.execute(query, (json.dumps(sorted(wanted)),)).fetchone() == (len(wanted),))


def _read_study(db: sqlite3.Connection, name: str) -> StudyRecord:
    row = db.execute(_STUDY + " WHERE s.name = ?", (name,)).fetchone()
    if row is None:
        raise missing("study", name, code=Code.UNKNOWN_STUDY)
    return _study(*row)


def _study(name: str, space: str, spec: str, state: str, created: float) -> StudyRecord:
    return StudyRecord(name, space, json.loads(spec), StudyState(state), created)


def _read_trials(db: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> list[TrialRecord]:
    rows = db.execute(f"{_TRIAL} WHERE {condition} ORDER BY t.number", values).fetchall()
    return [_trial(*row) for row in rows]


def _trial(study: str, number: int, architecture: str, state: str, *rest: Any) -> TrialRecord:
    attempt, token, owner, lease_expires, value, reason, info, created, started, finished = rest
    return TrialRecord(
        study, number, architecture, TrialStatus(state), attempt, token, owner, lease_expires, value, reason,
        json.loads(info), created, started, finished,
    )  # fmt: skip


def _row(trial: TrialRecord) -> list[Any]:
    facts = {**vars(trial), "state": trial.state.value, "info": to_json("trial info", trial.info)}
    return [facts[name] for name in _COLUMNS]


def _read_trial(db: sqlite3.Connection, study: int, number: int) -> TrialRecord:
    return _read_trials(db, "t.study = ? AND t.number = ?", (study, number))[0]
