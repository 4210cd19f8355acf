"""The study protocol: studies and their trials, with the leases of the workers that evaluate them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from graphstore.records import ScoreRecord, StudyRecord, StudyState, TrialRecord, TrialStatus


class StudyStore(ABC):
    """Studies and trials. Their revision topic is ``studies``.

    A running trial is held by a lease: the owner, the end of the lease, and a token that grows with every claim. A
    writer with an older token is refused, so a worker that was thought dead cannot overwrite its successor.
    """

    @abstractmethod
    def create_study(self, study: StudyRecord) -> StudyRecord:
        """Create the study, or return the stored one if the name is taken.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: a field breaks a rule.
        """

    @abstractmethod
    def study(self, name: str) -> StudyRecord:
        """Return one study.

        Raises:
            NotFoundError: the study is unknown.
        """

    @abstractmethod
    def studies(self) -> list[StudyRecord]:
        """Return all studies, newest first, ties by name."""

    @abstractmethod
    def update_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> StudyRecord:
        """Change the state, or replace the description, and return the study.

        Raises:
            NotFoundError: the study is unknown.
            StoreInputError: a value breaks a rule.
        """

    @abstractmethod
    def add_trials(self, study: str, proposals: Sequence[tuple[str, dict[str, Any]]]) -> list[TrialRecord]:
        """Append waiting trials, whose numbers continue from the last one, in one transaction.

        Args:
            study: name of the study.
            proposals: (architecture id, info) pairs. An architecture that already has a trial in the study is
                skipped.

        Returns:
            The trials that were added.

        Raises:
            NotFoundError: the study or an architecture is unknown.
            StoreInputError: an info is not JSON-able.
        """

    @abstractmethod
    def trials(self, study: str, since: int = 0, also: Collection[int] = ()) -> list[TrialRecord]:
        """Return the trials of a study, by number.

        Complete and failed trials never change, so a caller that keeps them reads only the others again.

        Args:
            study: name of the study.
            since: smallest number; 0 for all trials.
            also: numbers below ``since`` to return as well.

        Raises:
            NotFoundError: the study is unknown.
            StoreInputError: a number is not a plain integer of 64 bits.
        """

    @abstractmethod
    def claim_trial(self, study: str, owner: str, lease_s: float, now: float) -> TrialRecord | None:
        """Claim the waiting or stale trial with the lowest number, if there is one, by compare-and-set.

        The trial becomes running with a new token, one more attempt and a lease until ``now + lease_s``. If
        several workers claim at the same time, exactly one gets the trial.

        Raises:
            NotFoundError: the study is unknown.
            StoreInputError: the lease is not above 0, or a value is not finite.
        """

    @abstractmethod
    def renew_lease(self, trial: TrialRecord, lease_s: float, now: float, info: dict[str, Any] | None = None) -> None:
        """Extend the lease, and merge ``info`` into the trial's.

        Raises:
            LeaseLostError: the token is out of date, or the trial is not running.
            StoreInputError: the lease is not above 0, or the info is not JSON-able.
        """

    @abstractmethod
    def finish_trial(
        self,
        trial: TrialRecord,
        state: TrialStatus,
        now: float,
        value: float | None = None,
        reason: str = "",
        scores: Sequence[ScoreRecord] = (),
    ) -> TrialRecord:
        """End a running trial and add its scores, in one transaction.

        Ending it again by the same claim, with the same state, value and reason, and with scores that are all stored,
        changes nothing and returns the stored trial, so a worker that missed the acknowledgement may repeat the call.

        Args:
            trial: as claimed; its token must be the newest.
            state: ``complete`` (with a finite ``value``), ``failed``, ``stale``, or ``waiting`` to give the trial
                back, which takes the attempt back too.
            now: seconds since the epoch.
            value: the objective.
            reason: why it failed.
            scores: added with it.

        Raises:
            LeaseLostError: the token is out of date, or the trial is not running and ended in another way.
            NotFoundError: the architecture of a score is unknown.
            StoreInputError: the trial is complete without a finite value, or a value breaks a rule.
        """

    @abstractmethod
    def expire_leases(self, study: str, now: float, max_attempts: int) -> list[TrialRecord]:
        """Make running trials whose lease ended before ``now`` stale; those at the limit of attempts fail.

        Returns:
            The trials that changed.

        Raises:
            NotFoundError: the study is unknown.
            StoreInputError: the time is not finite, or the limit is not an integer.
        """

    @abstractmethod
    def restore_trials(self, study: str, trials: Sequence[TrialRecord]) -> int:
        """Write trials exactly as given, token and lease included, in one transaction.

        A stored trial of the same number and architecture becomes the given one if it can be a former state of it:
        claimed less often, or running with an older lease.

        Returns:
            The number of trials that were new or changed.

        Raises:
            NotFoundError: the study or an architecture is unknown.
            StoreInputError: another trial has the number or the architecture, the stored one is in a later state, or a
                trial belongs to another study.
        """
