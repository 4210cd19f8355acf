"""Ask and tell, for people who train elsewhere: ask for architectures, tell their values.

``Study`` is a thin handle on a study in a store. Everything is in the store, so any process on any machine that reaches
the store can continue the study. Several processes may share one: each asked trial is held by a lease, and the trials
of processes that have ended are given out again. The caller's process keeps its state: torch's number of threads,
random states, environment and signal handlers stay as they are.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Integral
from types import TracebackType
from typing import Any

from explorer.errors import InputError
from explorer.library.records import score_record
from explorer.library.sources import trial_source
from explorer.records import TaskScore
from explorer.space.formats import from_json, to_model_dict
from explorer.space.spec import ArchitectureSpec
from explorer.studies.budgets import MAX_ATTEMPTS
from explorer.studies.driver import ENDED, OnTrial, StudyDriver, may_choose, not_held, owner_name
from explorer.studies.executors.trial_release import release_dead, release_trial
from explorer.studies.faults import give_back, machine_fault
from explorer.studies.managing import extend_study, external_spec, find_study, former_settings, open_study
from explorer.studies.queueing import enqueue
from explorer.studies.reports import best_allowed
from explorer.studies.spec import StudySpec
from explorer.studies.worker import Lease, checked_outcome, plain_reason
from graphstore import GraphStore, open_store
from graphstore.errors import StoreError
from graphstore.records import StudyRecord, StudyState, TrialRecord, TrialStatus

log = logging.getLogger(__name__)
LEASE_S = 6 * 3600.0
"""How long an asked trial is held without ``renew``."""
IDLE_S = 1.0
ASKS = 5
"""Number of tries when another process has just queued the same proposals."""
OWNER = re.compile(r"[A-Za-z0-9_.@-]{1,200}")


@dataclass(frozen=True)
class AskedTrial:
    """An architecture to evaluate.

    Attributes:
        number: number of the trial, which ``tell`` takes.
        architecture: id in the store.
        spec: the architecture.
        origin: how it was chosen, for example ``optimise``; ``manual`` if a person queued it.
        acquisition: figures behind the choice.
        attempt: 1, or more if an earlier attempt did not end.
    """

    number: int
    architecture: str
    spec: ArchitectureSpec
    origin: str
    acquisition: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 1

    @property
    def model_dict(self) -> dict[str, Any]:
        """The architecture in FlexiBERT's JSON form; see docs/formats.md."""
        return to_model_dict(self.spec)


class Study:
    """A study whose trials the caller evaluates, by ``ask`` and ``tell``. Made by ``open``; a context manager.

    Args:
        store: where the study is; ``close`` closes it.
        record: the study.
        owner: owner of the leases. The default names this process, and its trials are free again once it has ended.
            With a name of your own, another process may tell; its trials are held until their leases end.
        lease_s: how long an asked trial is held without ``renew``.
    """

    def __init__(self, store: GraphStore, record: StudyRecord, owner: str = "", lease_s: float = LEASE_S) -> None:
        self._store, self.name = store, record.name
        self._owner, self._lease_s = owner or owner_name(), lease_s
        self._driver = StudyDriver(store, record, may_choose(store, StudySpec.of(record)))
        self._held: dict[int, TrialRecord] = {}

    @classmethod
    def open(
        cls,
        store_url: str,
        name: str | StudySpec,
        *,
        space: str | None = None,
        policy: str = "boshnas",
        objective: str = "mean",
        objectives: Sequence[str] = (),
        seed: int = 0,
        budget: int | None = None,
        hours: float | None = None,
        constraints: Sequence[str] = (),
        initial: int | None = None,
        policy_settings: Mapping[str, Any] | None = None,
        batch: int | None = None,
        patience: int | None = None,
        stop_when_converged: bool = False,
        owner: str = "",
        lease_s: float = LEASE_S,
        settings: Mapping[str, Any] | None = None,
    ) -> Study:
        """Start a study, or continue one.

        Args:
            store_url: URL of a store that holds the space's library.
            name: name of the study; or a whole ``StudySpec``, which replaces the arguments up to
                ``stop_when_converged``.
            space: name of the space to search. ``None`` opens the stored study of this name as it is, also one that
                the command line started; the other choices are ignored then.
            policy: a name of ``explorer.search.registry.POLICIES``.
            objective: name of the value that ``tell`` receives; it is maximised.
            objectives: the objective and the costs to minimise, for example ``["mean", "minimise:latency@cpu"]``; by
                default the objective alone.
            seed: seed of the policy.
            budget: number of trials; a larger one than before extends the study. By default as many as fit into
                ``hours``, else 20.
            hours: hours in which at least one trial is being evaluated, after which none begins; more than before
                extends the study.
            constraints: for example ``["parameters<=200K"]``; new ones tighten the study.
            initial: trials of the initial design; by default the policy's own number.
            policy_settings: the policy's own settings, for example ``{"method": "gradient"}``.
            batch: trials of one iteration of the convergence rule.
            patience: iterations without a better architecture until the search has converged.
            stop_when_converged: whether to end before the budget then.
            owner: see ``Study``.
            lease_s: see ``Study``.
            settings: deprecated: a mapping with ``objectives`` and the arguments from ``initial`` to
                ``stop_when_converged``.

        Raises:
            InputError: a choice breaks a rule, or differs from those that the study was started with.
            DataError: the space has no library.
            StoreError: the store cannot be opened.
        """
        if not isinstance(store_url, str):
            raise InputError("store_url", "be a text", store_url, "Write for example sqlite:///explorer.db.")
        if not isinstance(owner, str) or (owner and not OWNER.fullmatch(owner)):
            raise InputError("owner", "be 1 to 200 letters, digits, '_', '.', '@' or '-'", owner, "Choose another.")
        if not (isinstance(lease_s, int | float) and math.isfinite(lease_s) and lease_s > 0):
            raise InputError("lease_s", "be above 0", lease_s, "Give seconds, for example 3600.")
        choices = {
            **{"policy": policy, "objective": objective, "objectives": objectives, "constraints": constraints},
            **{"seed": seed, "budget": budget, "hours": hours, "initial": initial, "policy_settings": policy_settings},
            **{"batch": batch, "patience": patience, "stop_when_converged": stop_when_converged},
            **({} if settings is None else former_settings(settings)),
        }
        store = open_store(store_url, create=False)
        try:
            if isinstance(name, StudySpec):
                spec = name
            elif space is None:
                return cls(store, find_study(store, name), owner, lease_s)
            else:
                spec = external_spec(name, space, **choices)
            return cls(store, open_study(store, spec), owner, lease_s)
        except BaseException:
            store.close()
            raise

    def ask(self, count: int = 1) -> list[AskedTrial]:
        """Take the next trials; each is held by a lease until ``tell`` receives its value or it is given back.

        Waiting trials come first, and alone: those queued by hand, those given back, and those whose owner has ended.
        So a loop that was killed between two batches makes the proposals that it would have made.

        Args:
            count: largest number of trials.

        Returns:
            The trials: fewer than ``count`` where fewer wait, and at the end of the budget. The list is empty if the
            study has ended, or if other processes evaluate all that is left; see ``finished``.

        Raises:
            InputError: ``count`` is below 1.
        """
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise InputError("count", "be a whole number, at least 1", count, "Ask for one or more.")
        count = int(count)
        self._store.expire_leases(self.name, time.time(), MAX_ATTEMPTS)
        release_dead(self._store, self._driver.trials())
        taken = self._claim(count)
        for _ in range(ASKS):
            if taken or not (self._driver.propose(count) or self._shared()):
                break
            taken = self._claim(count)
        if taken:
            self._store.update_study(self.name, state=StudyState.OPEN)
        elif self.finished:
            self._store.update_study(self.name, state=StudyState.DONE)
        specs = {s.id: s.spec for s in self._store.summaries(ids=sorted({t.architecture for t in taken}))}
        return [_asked(trial, from_json(specs[trial.architecture])) for trial in taken]

    def tell(
        self, number: int, value: float | None = None, *, failed: str = "", scores: Sequence[TaskScore] = ()
    ) -> TrialRecord:
        """Record the outcome of a trial. Telling the same again changes nothing.

        Args:
            number: number of the trial.
            value: the value of the objective, which is maximised.
            failed: the reason of a failure, instead of a value.
            scores: scores of its tasks, stored with the architecture for the app and the command line.

        Raises:
            InputError: the trial is not held by this owner, or the outcome is not either a finite value or a reason.
            LeaseLostError: the lease ended, or the trial has ended with another outcome.
        """
        kept = checked_outcome(value, failed)
        claim, source = self._claimed(number), trial_source(self.name, int(number))
        records = [score_record(score, claim.architecture, source) for score in scores]
        state = TrialStatus.FAILED if kept is None else TrialStatus.COMPLETE
        ended = self._store.finish_trial(
            claim, state, time.time(), value=kept, reason=plain_reason(failed), scores=records
        )
        self._held[claim.number] = claim
        trials = self._driver.trials()
        if len(trials) >= self._budget and all(trial.state in ENDED for trial in trials):
            self._store.update_study(self.name, state=StudyState.DONE)
        return ended

    def renew(self, number: int) -> None:
        """Prolong a trial's lease. Raises as ``tell`` does."""
        self._store.renew_lease(self._claimed(number), self._lease_s, time.time())

    def give_back(self, number: int) -> None:
        """Let another process evaluate a trial; the attempt does not count. Raises as ``tell`` does."""
        self._store.finish_trial(self._claimed(number), TrialStatus.WAITING, time.time())
        self._held.pop(number, None)

    def run(
        self,
        evaluate: Callable[[AskedTrial], float],
        on_trial: OnTrial | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> TrialRecord | None:
        """Ask, evaluate and tell until the study has ended; other processes may do the same.

        Args:
            evaluate: returns the value of the objective. An exception fails the trial, unless it reports a fault of the
                machine, such as a full disk: that gives the trial back and is raised again. Ctrl-C gives it back as
                well. The lease is renewed while it runs.
            on_trial: called with every trial that was evaluated here.
            stop: called between trials; the loop ends if it returns true.

        Returns:
            The best trial so far.
        """
        while not stop():
            asked = self.ask()
            if not asked:
                if self.finished:
                    break
                time.sleep(IDLE_S)
            for trial in asked:
                ended = self._evaluate(trial, evaluate)
                if on_trial is not None and ended is not None:
                    on_trial(ended)
        return self.best

    def enqueue(self, architecture: str | ArchitectureSpec) -> TrialRecord:
        """Queue an architecture by hand, as the next trial; a used-up budget grows by one, which is logged.

        ``explorer.studies.queueing.enqueue`` has the argument, which may be new to the space, and the errors.
        """
        if not isinstance(architecture, str | ArchitectureSpec):
            remedy = "Give its id, for example trial.architecture."
            raise InputError("architecture", "be the id of an architecture, or its spec", architecture, remedy)
        queued = enqueue(self._store, self.name, architecture)
        log.info(queued.text)
        return queued.trial

    def extend(self, budget: int | None = None, hours: float | None = None) -> StudyRecord:
        """Give the study more trials or hours; see ``explorer.studies.managing.extend_study``."""
        return extend_study(self._store, self.record, budget, hours)

    @property
    def record(self) -> StudyRecord:
        """The study as it is stored."""
        return self._store.study(self.name)

    @property
    def trials(self) -> list[TrialRecord]:
        """All trials, by number."""
        return self._driver.trials()

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the highest value that satisfies the constraints; ``None`` if none has a value."""
        return best_allowed(self._store, self.record, self.trials)

    @property
    def finished(self) -> bool:
        """Whether no trial waits or runs and none is to be proposed."""
        return self._driver.finished()

    def close(self) -> None:
        """Close the store. Trials that are held stay so: tell them later as the same owner, or let the leases end.

        A ``with`` block that ends by an exception gives those of this process out again; unless it was stopped, by
        Ctrl-C for example, the attempts count.
        """
        if self.record.state is StudyState.OPEN and all(
            trial.state is not TrialStatus.RUNNING for trial in self.trials
        ):
            self._store.update_study(self.name, state=StudyState.STOPPED)
        self._store.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._owner == owner_name():  # Nobody else could tell what this process holds.
            with suppress(StoreError):
                for trial in self.trials:
                    held = self._held.get(trial.number)
                    if trial.state is TrialStatus.RUNNING and held is not None and held.token == trial.token:
                        release_trial(self._store, trial, count_attempt=isinstance(error, Exception))
        self.close()

    def _claim(self, count: int) -> list[TrialRecord]:
        taken: list[TrialRecord] = []
        budget = self._budget
        while len(taken) < count:
            trial = self._store.claim_trial(self.name, self._owner, self._lease_s, time.time())
            if trial is None:
                break
            if trial.number >= budget:  # Several processes queued too many at the same time: it waits for an extension.
                self._store.finish_trial(trial, TrialStatus.WAITING, time.time())
                break
            taken.append(trial)
        self._held |= {trial.number: trial for trial in taken}
        return taken

    def _shared(self) -> bool:
        """Return whether trials wait, because another process may have queued the same proposals."""
        return any(t.state in (TrialStatus.WAITING, TrialStatus.STALE) for t in self.trials[: self._budget])

    @property
    def _budget(self) -> int:
        return StudySpec.of(self.record).budget

    def _claimed(self, number: int) -> TrialRecord:
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise InputError("number of the trial", "be a whole number", number, "Give the number of the asked trial.")
        number = int(number)
        held = self._held.get(number)
        if held is not None:
            return held
        stored = next((trial for trial in self._store.trials(self.name, number) if trial.number == number), None)
        if stored is None or stored.owner != self._owner:
            raise InputError(f"trial {number}", f"be held by {self._owner}", *not_held(stored))
        return stored

    def _evaluate(self, asked: AskedTrial, evaluate: Callable[[AskedTrial], float]) -> TrialRecord | None:
        """Return the ended trial; ``None`` if it was given to another process meanwhile."""
        lease, value, failed = Lease(self._store, self._held[asked.number]), math.nan, ""
        try:
            value = float(evaluate(asked))
            failed = "" if math.isfinite(value) else f"its value is {value}"
        except Exception as error:  # The user's training may raise anything: it fails the trial, not the study.
            failed, fault = f"{type(error).__name__}: {error}", machine_fault(error)
            if fault is not None:
                lease.close()
                ended = give_back(self._store, self._held.pop(asked.number), fault)
                if ended.state is TrialStatus.FAILED:
                    return ended
                raise
        except BaseException:
            lease.close()
            self.give_back(asked.number)
            raise
        lease.close()
        if lease.lost:
            return None
        return self.tell(asked.number, failed=failed) if failed else self.tell(asked.number, value)


def _asked(trial: TrialRecord, spec: ArchitectureSpec) -> AskedTrial:
    origin, acquisition = str(trial.info.get("origin", "")), dict(trial.info.get("acquisition") or {})
    return AskedTrial(trial.number, trial.architecture, spec, origin, acquisition, trial.attempt)
