"""Decide which trials of a copied study must be written; both engines call this inside their transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphstore.errors import StoreInputError
from graphstore.fields import check_fields, shown
from graphstore.records import TrialRecord, TrialStatus


def to_restore(study: str, given: Sequence[TrialRecord], stored: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials among ``given`` that the store lacks or holds in an earlier state, by number.

    Args:
        study: name of the study.
        given: trials to write exactly as they are.
        stored: the stored trials of the study.

    Raises:
        StoreInputError: a trial belongs to another study or has an impossible number or value; another trial
            has its number or its architecture; or the stored trial is in a later state than the given one.
    """
    held = {trial.number: trial for trial in stored}
    taken = {trial.architecture: trial.number for trial in held.values()}
    changed: dict[int, TrialRecord] = {}
    for trial in given:
        _check(study, trial)
        before = held.get(trial.number)
        if taken.get(trial.architecture, trial.number) != trial.number or (
            before is not None and before.architecture != trial.architecture
        ):
            raise StoreInputError(
                f"trial {study}/{trial.number} must have a number and an architecture that no other trial of the study "
                f"has, but got architecture {trial.architecture!r}. Restore into a study that holds nothing else."
            )
        if before is not None and before != trial and not _earlier(before, trial):
            raise StoreInputError(
                f"trial {study}/{trial.number} must not be in a later state in the store than the given one, but got "
                f"{trial.state} with token {trial.token} where it is {before.state} with token {before.token}. "
                "Keep the stored one."
            )
        if before != trial:
            changed[trial.number] = trial
        held[trial.number] = trial
        taken[trial.architecture] = trial.number
    return [changed[number] for number in sorted(changed)]


def _check(study: str, trial: TrialRecord) -> None:
    check_fields(trial, f"trial {study}/{shown(trial.number)}")
    if trial.study != study:
        raise StoreInputError(
            f"study of trial {trial.number} must be {study!r}, but got {shown(trial.study)}. "
            "Restore each study separately."
        )
    if trial.number < 0 or trial.state not in set(TrialStatus):
        raise StoreInputError(
            f"trial of {study!r} must have a number from 0 and one of the states {', '.join(TrialStatus)}, but got "
            f"{trial.number!r} and {trial.state!r}. Correct them."
        )


def _earlier(one: TrialRecord, other: TrialRecord) -> bool:
    """Return whether ``one`` can be a former state of ``other``: claimed less often, or still running."""
    if one.token != other.token:
        return one.token < other.token
    if one.state is not TrialStatus.RUNNING:
        return False
    return other.state is not TrialStatus.RUNNING or one.lease_expires <= other.lease_expires
