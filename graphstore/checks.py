"""Rules for scores, studies, trials and jobs, which both engines check before they write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphstore.errors import Code, LeaseLostError, NotFoundError, StoreInputError
from graphstore.fields import (
    LONGEST_NAME,
    check_field,
    check_fields,
    check_records,
    is_integer,
    is_number,
    is_text,
    shown,
)
from graphstore.records import (
    JobRecord,
    LineageRecord,
    MeasurementRecord,
    ScoreRecord,
    StudyRecord,
    StudyState,
    TrialRecord,
    TrialStatus,
)

LEASE_RAN_OUT = "lease ran out"
"""Reason of a trial whose worker did not renew its lease."""


TOPICS = ("library", "scores", "studies", "jobs")
"""Topics that have a revision counter."""


def check_topic(topic: str) -> None:
    """Raise StoreInputError unless ``topic`` is empty or one of TOPICS."""
    if topic and topic not in TOPICS:
        raise StoreInputError(f"topic must be one of {', '.join(TOPICS)} or empty, but got {topic!r}. Correct it.")


def check_name(field: str, value: str) -> None:
    """Raise StoreInputError unless ``value`` is a non-empty plain text that is not too long."""
    if not value or not is_text(value):
        raise StoreInputError(
            f"{field} must be a non-empty plain text of at most {LONGEST_NAME:,} bytes in UTF-8, but got "
            f"{shown(value)}. Give it another name."
        )


def check_number(field: str, value: float) -> None:
    """Raise StoreInputError unless ``value`` is a plain finite number."""
    if not is_number(value):
        raise StoreInputError(f"{field} must be a plain finite number, but got {shown(value)}. Correct it.")


def check_numbers(since: int, also: Iterable[int]) -> list[int]:
    """Return the numbers of trials below ``since``, ascending. Raises StoreInputError unless all are integers."""
    for number in (since, *also):
        if not is_integer(number):
            raise StoreInputError(f"number of a trial must be a plain integer, but got {shown(number)}. Correct it.")
    return sorted(number for number in set(also) if number < since)


def to_json(field: str, value: Mapping[str, Any]) -> str:
    """Return the map as JSON text. Raises StoreInputError for values that JSON lacks, such as NaN or an array."""
    if not isinstance(value, Mapping):
        raise StoreInputError(f"{field} must be a JSON-able map, but got {shown(value)}. Give a dict.")
    try:
        return json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreInputError(
            f"{field} must be JSON-able ({error}), but got {str(value)[:120]!r}. "
            "Use text, finite numbers, booleans, lists and maps."
        ) from None


def check_scores(scores: Sequence[ScoreRecord]) -> None:
    """Raise StoreInputError unless all fields are right."""
    check_records(ScoreRecord, scores, lambda score: f"score {shown(score.task)}")


def check_measurements(measurements: Sequence[MeasurementRecord]) -> None:
    """Raise StoreInputError unless all fields are right."""
    check_records(MeasurementRecord, measurements, lambda measurement: f"measurement {shown(measurement.quantity)}")


def check_study(study: StudyRecord) -> str:
    """Return the study's description as JSON text. Raises StoreInputError for a wrong field."""
    check_name("study name", study.name)
    check_fields(study, f"study {study.name!r}")
    return to_json("study spec", study.spec)


def check_study_changes(name: str, state: StudyState | None, spec: Mapping[str, Any] | None) -> str | None:
    """Return the description as JSON text, if one is given. Raises StoreInputError for a wrong state or description."""
    if state is not None:
        check_field(StudyRecord, "state", state, f"study {shown(name)}")
    return None if spec is None else to_json("study spec", spec)


def changed_study(study: StudyRecord, state: StudyState | None, spec: str | None) -> tuple[str, str] | None:
    """Return the state and the description (as text) to store instead of a study's; ``None`` if nothing changes."""
    held = (study.state.value, to_json("study spec", study.spec))
    after = (StudyState(state or study.state).value, held[1] if spec is None else spec)
    return None if after == held else after


def check_proposals(proposals: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Return the infos of proposed trials as JSON text, by architecture. Raises StoreInputError for a wrong one."""
    for id, _ in proposals:
        check_name("architecture of a trial", id)
    return {id: to_json("trial info", info) for id, info in reversed(proposals)}


def check_finish(
    state: TrialStatus, now: float, value: float | None, reason: str, scores: Sequence[ScoreRecord]
) -> None:
    """Raise StoreInputError unless ``state`` ends a trial, and has a value exactly if it is ``complete``."""
    check_number("now", now)
    check_field(TrialRecord, "reason", reason, "a trial")
    check_scores(scores)
    if state not in (TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.STALE, TrialStatus.WAITING):
        raise StoreInputError(
            f"state of a finished trial must be complete, failed, stale or waiting, but got {state!r}. Use one of them."
        )
    if state == TrialStatus.COMPLETE and (value is None or not is_number(value)):
        raise StoreInputError(
            f"value of a complete trial must be a finite number, but got {value!r}. Finish it as failed instead."
        )
    if state != TrialStatus.COMPLETE and value is not None:
        raise StoreInputError(f"value of a {state} trial must be None, but got {value!r}. Leave the value out.")


def check_lease(lease_s: float, now: float, info: Mapping[str, Any] | None = None) -> None:
    """Raise StoreInputError unless the lease is above 0, both numbers are finite, and ``info`` is JSON-able."""
    if info is not None:
        to_json("trial info", info)
    if not (is_number(now) and is_number(lease_s) and lease_s > 0):
        raise StoreInputError(
            f"lease must be a finite number of seconds above 0 from a finite time, but got {lease_s!r} from {now!r}. "
            "Correct it."
        )


def check_expiry(now: float, max_attempts: int) -> None:
    """Raise StoreInputError unless the time is finite and the limit a plain integer."""
    check_number("now", now)
    if not is_integer(max_attempts):
        raise StoreInputError(f"max_attempts must be a plain integer, but got {shown(max_attempts)}. Correct it.")


def check_job(job: JobRecord) -> str:
    """Return the job's info as JSON text. Raises StoreInputError for a wrong field."""
    check_name("job id", job.id)
    check_fields(job, f"job {job.id!r}")
    return to_json("job info", job.info)


def missing(kind: str, name: str, remedy: str = "", code: Code | None = None) -> NotFoundError:
    """Return the error for an unknown name."""
    return NotFoundError(f"{kind} must be in the store, but got {name!r}, which is not. {remedy}".rstrip(), code)


def check_known_architectures(wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise NotFoundError unless every wanted architecture is known."""
    unknown = set(wanted) - set(known)
    if unknown:
        more = f" ({len(unknown)} in all)" if len(unknown) > 1 else ""
        raise missing("architecture", min(unknown), f"Add it to a space first{more}.")


def is_repeat(stored: TrialRecord, trial: TrialRecord, state: TrialStatus, value: float | None, reason: str) -> bool:
    """Return whether this claim already ended the trial in this way: the writer missed the acknowledgement."""
    return (stored.token, stored.state, stored.value, stored.reason) == (trial.token, state, value, reason)


def check_held(stored: TrialRecord, trial: TrialRecord) -> None:
    """Raise LeaseLostError unless the trial is running and this claim is the newest."""
    if stored.state is TrialStatus.RUNNING and stored.token == trial.token:
        return
    if stored.token != trial.token:
        why = "Drop the result: the trial was claimed again."
    elif stored.state in (TrialStatus.COMPLETE, TrialStatus.FAILED):
        outcome = f"with {stored.value}" if stored.value is not None else f"because: {shown(stored.reason)}"
        why = f"This claim has ended it already, as {stored.state.value} {outcome}; that outcome stays."
    else:
        why = "Claim it again: its lease ran out, or it was given back."
    raise LeaseLostError(
        f"token of trial {trial.study}/{trial.number} must be the newest of a running trial, but got {trial.token} "
        f"where the trial is {stored.state.value} with token {stored.token}. {why}"
    )


def changed_job(job: JobRecord, changes: Mapping[str, Any]) -> JobRecord:
    """Return the job with changed fields. Raises StoreInputError for an unknown field or the id."""
    allowed = [field.name for field in dataclasses.fields(JobRecord) if field.name != "id"]
    unknown = sorted(set(changes) - set(allowed))
    if unknown:
        raise StoreInputError(f"changes of a job must be among {', '.join(allowed)}, but got {unknown}. Correct them.")
    return dataclasses.replace(job, **changes)


def check_lineage(records: Sequence[LineageRecord]) -> None:
    """Raise StoreInputError for a nameless run, a run that is its own donor, or a share outside of 0 to 1."""
    check_records(LineageRecord, records, lambda record: f"lineage of run {shown(record.run)}")
    for record in records:
        for name, run in (("run", record.run), ("donor_run", record.donor_run)):
            if not run:
                raise StoreInputError(f"{name} of a lineage record must be named, but got {run!r}. Name it.")
        if record.run == record.donor_run:
            raise StoreInputError(
                f"donor_run of run {record.run!r} must be another run, but got the run itself. Correct it."
            )
        if not 0 <= record.share <= 1:
            raise StoreInputError(
                f"share of run {record.run!r} must lie within 0 and 1, but got {record.share!r}. Correct it."
            )
