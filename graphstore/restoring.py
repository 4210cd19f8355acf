"""Which trials of a copied study are to be written, as both engines decide it inside their transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphstore.errors import StoreInputError
from graphstore.fields import check_fields, shown
from graphstore.records import TrialRecord, TrialStatus


def to_restore(study: str, given: Sequence[TrialRecord], stored: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials among ``given`` that are not in the store, or are there as they were earlier, by number.

    Args:
        study: name of the study they belong to.
        given: trials to write exactly as they are.
        stored: the study's trials in the store.

    Raises:
        StoreInputError: a trial belongs to another study or has an impossible number or value; its number or its
            architecture is taken by another trial; or the stored trial has gone further than the one given.
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
                f"trial {study}/{trial.number} must have gone no further in the store than the one given, but got "
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
            "Restore each study by itself."
        )
    if trial.number < 0 or trial.state not in set(TrialStatus):
        raise StoreInputError(
            f"trial of {study!r} must have a number from 0 and one of the states {', '.join(TrialStatus)}, but got "
            f"{trial.number!r} and {trial.state!r}. Correct them."
        )


def _earlier(one: TrialRecord, other: TrialRecord) -> bool:
    """Whether ``one`` can be a former state of ``other``: claimed less often, or not yet ended while it ran."""
    if one.token != other.token:
        return one.token < other.token
    if one.state is not TrialStatus.RUNNING:
        return False
    return other.state is not TrialStatus.RUNNING or one.lease_expires <= other.lease_expires
