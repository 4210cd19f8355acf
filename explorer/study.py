"""Studies for people who train elsewhere: ask for architectures, tell what became of them.

``Study`` is a thin handle on a study in a store. Everything is in the store: whoever opens the study next, on any
machine that reaches it, goes on with it. Several processes may share one, because whoever asks holds a lease on each
trial, and the trials of processes that are gone are given out again.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from explorer.errors import InputError
from explorer.library.build import is_ready
from explorer.library.sources import trial_source
from explorer.records import TaskScore
from explorer.space.formats import from_json, to_model_dict
from explorer.space.spec import ArchitectureSpec
from explorer.studies.budgets import MAX_ATTEMPTS
from explorer.studies.driver import (
    ENDED,
    OnTrial,
    StudyDriver,
    StudyPlan,
    check_policy,
    open_study,
    owner_name,
)
from explorer.studies.executors.releasing import release_dead
from explorer.studies.managing import best_allowed, enqueue, extend_study, find_study, may_choose
from explorer.studies.objectives import check_objectives, study_constraints, study_objectives
from explorer.studies.stages import check_stages
from explorer.studies.worker import Lease, score_record
from graphstore import GraphStore, open_store
from graphstore.records import StudyRecord, StudyState, TrialRecord, TrialStatus

LEASE_S = 6 * 3600.0
"""How long a trial that was asked for stays the asker's without a sign of life."""
IDLE_S = 1.0
ASKS = 5
"""How often to ask again when another process has just queued the same proposals."""
SETTINGS = ("initial", "objectives", "policy_settings", "batch", "patience", "stop_when_converged")
"""What may be set of a study that is told from elsewhere, besides the arguments of ``Study.open``."""
OWNER = re.compile(r"[A-Za-z0-9_.@-]{1,200}")


@dataclass(frozen=True)
class AskedTrial:
    """An architecture that the study wants evaluated.

    Attributes:
        number: of the trial; ``tell`` wants it.
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
    """A study that is evaluated by whoever calls ``ask`` and ``tell``. Made by ``open``; a context manager.

    Args:
        store: where the study is; ``close`` closes it.
        record: the study.
        owner: name that the leases carry. Of a process that is gone, the default one's trials are free again; a name
            of your own may tell from another process than asked, and its trials stay until their leases end.
        lease_s: how long a trial stays the asker's without ``renew``.
    """

    def __init__(self, store: GraphStore, record: StudyRecord, owner: str = "", lease_s: float = LEASE_S) -> None:
        self._store, self.name = store, record.name
        self._owner, self._lease_s = owner or owner_name(), lease_s
        self._driver = StudyDriver(store, record, may_choose(store, record))
        self._held: dict[int, TrialRecord] = {}
        release_dead(store, record.name)

    @classmethod
    def open(
        cls,
        store_url: str,
        name: str,
        *,
        space: str | None = None,
        policy: str = "boshnas",
        objective: str = "mean",
        seed: int = 0,
        budget: int = 20,
        hours: float | None = None,
        constraints: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        owner: str = "",
        lease_s: float = LEASE_S,
    ) -> Study:
        """Start a study, or go on with one.

        Args:
            store_url: of a store that holds the space's library.
            name: of the study.
            space: to search. ``None``: the study is there already, also one that the command line started, and goes on
                as it is; the other choices of a new study are not looked at then.
            policy: a name of ``explorer.search.registry.POLICIES``.
            objective: what the values that are told mean; larger is better.
            seed: of the policy.
            budget: number of trials; more than before extends the study.
            hours: in which at least one trial is being evaluated, after which none begins; more than before extends it.
            constraints: for example ``["parameters<=200K"]``; new ones tighten the study.
            settings: others, of ``SETTINGS``: for example ``{"initial": 10}``, ``{"objectives": ["mean",
                "-latency@cpu"]}`` or ``{"policy_settings": {"method": "gradient"}}``.
            owner: see ``Study``.
            lease_s: see ``Study``.

        Raises:
            InputError: a choice breaks a rule, or is another than the study was started with.
            StoreError: the store cannot be opened.
        """
        if owner and not OWNER.fullmatch(owner):
            raise InputError("owner", "be 1 to 200 letters, digits, '_', '.', '@' or '-'", owner, "Choose another.")
        if not (math.isfinite(lease_s) and lease_s > 0):
            raise InputError("lease_s", "be above 0", lease_s, "Give seconds, for example 3600.")
        store = open_store(store_url, create=False)
        try:
            if space is None:
                return cls(store, find_study(store, name), owner, lease_s)
            if not is_ready(store, space):
                known = ", ".join(one.name for one in store.spaces()) or "none yet"
                raise InputError("space", f"be a built space ({known})", space, f"Run `archex space build {space}`.")
            unknown = sorted(set(settings or {}) - set(SETTINGS))
            if unknown:
                raise InputError("settings", f"be among {', '.join(SETTINGS)}", unknown, "Leave the others out.")
            chosen = {"from_scores": False, "external": True, **(settings or {}), **study_constraints(constraints)}
            chosen |= {} if hours is None else {"hours": hours}
            chosen |= _objectives(objective, chosen)
            plan = StudyPlan(name, space, policy, objective, seed, budget, chosen)
            check_policy(plan)
            check_stages(name, policy, chosen)
            check_objectives(store, space, policy, chosen)
            return cls(store, open_study(store, plan), owner, lease_s)
        except BaseException:
            store.close()
            raise

    def ask(self, count: int = 1) -> list[AskedTrial]:
        """Take the next trials; each is held by a lease until it is told or given back.

        What already waits comes first, and alone: trials queued by hand, and those that were given back or whose owner
        is gone. So a loop that was killed between two batches makes the proposals it would have made.

        Args:
            count: how many at most.

        Returns:
            Fewer than asked for where fewer wait, and at the end of the budget. None where the study has ended, or
            where others evaluate all that is left; see ``finished``.

        Raises:
            InputError: ``count`` is below 1.
        """
        if count < 1:
            raise InputError("count", "be at least 1", count, "Ask for one or more.")
        self._store.expire_leases(self.name, time.time(), MAX_ATTEMPTS)
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
        """Say what became of a trial. Telling the same again changes nothing.

        Args:
            number: of the trial.
            value: the objective, larger is better.
            failed: instead of a value, why there is none.
            scores: of its tasks, kept with the architecture for the app and the command line.

        Raises:
            InputError: the trial is not held by this owner, or there is not either a finite value or a reason.
            LeaseLostError: the lease ended, and somebody else has the trial.
        """
        if (value is None) == (not failed) or (value is not None and not math.isfinite(value)):
            given = failed if value is None else value
            raise InputError("outcome", "be a finite value, or the reason of a failure", given, "Give one of them.")
        claim, source = self._claimed(number), trial_source(self.name, number)
        records = [score_record(score, claim.architecture, source) for score in scores]
        state = TrialStatus.FAILED if value is None else TrialStatus.COMPLETE
        kept = None if value is None else float(value)
        ended = self._store.finish_trial(claim, state, time.time(), value=kept, reason=failed[:500], scores=records)
        self._held[number] = claim
        trials = self._store.trials(self.name)
        if len(trials) >= self.record.budget and all(trial.state in ENDED for trial in trials):
            self._store.update_study(self.name, state=StudyState.DONE)
        return ended

    def renew(self, number: int) -> None:
        """Prolong a trial's lease. Raises as ``tell`` does."""
        self._store.renew_lease(self._claimed(number), self._lease_s, time.time())

    def give_back(self, number: int) -> None:
        """Let somebody else evaluate a trial; the attempt does not count. Raises as ``tell`` does."""
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
            evaluate: returns the objective. What it raises fails the trial; Ctrl-C gives the trial back. The lease is
                renewed while it runs.
            on_trial: given every trial that was evaluated here.
            stop: asked between trials.

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

    def enqueue(self, architecture: str) -> TrialRecord:
        """Queue an architecture by hand, as the next trial; see ``explorer.studies.managing.enqueue``."""
        return enqueue(self._store, self.name, architecture)

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
        return self._store.trials(self.name)

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the highest value among those that keep the constraints; ``None`` if none has a value."""
        return best_allowed(self._store, self.record, self.trials)

    @property
    def finished(self) -> bool:
        """Whether nothing is under way and nothing more is to be asked for."""
        return self._driver.finished()

    def close(self) -> None:
        """Let go of the store. What is held stays held: tell it later, as the same owner, or let the lease end."""
        if self.record.state is StudyState.OPEN and all(
            trial.state is not TrialStatus.RUNNING for trial in self.trials
        ):
            self._store.update_study(self.name, state=StudyState.STOPPED)
        self._store.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _claim(self, count: int) -> list[TrialRecord]:
        taken: list[TrialRecord] = []
        budget = self.record.budget
        while len(taken) < count:
            trial = self._store.claim_trial(self.name, self._owner, self._lease_s, time.time())
            if trial is None:
                break
            if trial.number >= budget:  # Several asked at the same time and queued too much: it waits for an extension.
                self._store.finish_trial(trial, TrialStatus.WAITING, time.time())
                break
            taken.append(trial)
        self._held |= {trial.number: trial for trial in taken}
        return taken

    def _shared(self) -> bool:
        """Whether others are at work, so that what was asked for may have become theirs."""
        return any(t.state in (TrialStatus.WAITING, TrialStatus.STALE) for t in self.trials[: self.record.budget])

    def _claimed(self, number: int) -> TrialRecord:
        held = self._held.get(number)
        if held is not None:
            return held
        stored = next((trial for trial in self.trials if trial.number == number), None)
        if stored is None or stored.owner != self._owner:
            what = "no trial" if stored is None else f"{stored.state.value}, {stored.owner or 'nobody'}'s"
            raise InputError(f"trial {number}", f"be held by {self._owner}", what, "Tell what you have asked for.")
        return stored

    def _evaluate(self, asked: AskedTrial, evaluate: Callable[[AskedTrial], float]) -> TrialRecord | None:
        """The ended trial; ``None`` if it was given to somebody else meanwhile."""
        lease, value, failed = Lease(self._store, self._held[asked.number]), math.nan, ""
        try:
            value = float(evaluate(asked))
            failed = "" if math.isfinite(value) else f"its value is {value}"
        except Exception as error:  # Whatever the user's training raises is the trial's failure, not the study's.
            failed = f"{type(error).__name__}: {error}"
        except BaseException:
            lease.close()
            self.give_back(asked.number)
            raise
        lease.close()
        if lease.lost:
            return None
        return self.tell(asked.number, failed=failed) if failed else self.tell(asked.number, value)


def _objectives(score: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A study's objectives as they are kept. Raises InputError if they cannot be read, or are of another score."""
    if not settings.get("objectives"):
        return {}
    named, costs = study_objectives(settings["objectives"])
    if named != score:
        raise InputError("objectives", f"have the score {score!r}", named, "Give the same one as objective=.")
    return costs


def _asked(trial: TrialRecord, spec: ArchitectureSpec) -> AskedTrial:
    origin, acquisition = str(trial.info.get("origin", "")), dict(trial.info.get("acquisition") or {})
    return AskedTrial(trial.number, trial.architecture, spec, origin, acquisition, trial.attempt)
