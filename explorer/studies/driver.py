"""The policy's side of a study: it asks, learns from stored trials, and knows when the study has ended.

A study's whole state is in the store. The next process that runs it tells a new policy the stored trials. Because a
policy's proposals depend on its seed and the history only, the study then makes the proposals that it would have made.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from itertools import accumulate
from typing import Any, TypeAlias

from explorer.analysis.score_kinds import known_objective
from explorer.library.sources import trial_source
from explorer.progress import Reporter
from explorer.records import Proposal, Trial
from explorer.search import Candidates, Policy, make_policy
from explorer.studies.budgets import MAX_ATTEMPTS, time_is_up
from explorer.studies.executors.trial_release import release_dead
from explorer.studies.objectives import study_candidates
from explorer.studies.spec import Known, StudySpec
from graphstore import GraphStore
from graphstore.errors import LeaseLostError
from graphstore.records import ScoreRecord, StudyRecord, StudyState, TrialRecord, TrialStatus

FAST_LEASE_S = 15.0
"""Lease of a trial on known scores. Its holder needs milliseconds, and may be killed just then."""
WAIT_S = 0.5
ENDED = (TrialStatus.COMPLETE, TrialStatus.FAILED)
OnTrial: TypeAlias = Callable[[TrialRecord], None]
"""Called with every trial that ends, complete or failed."""
_fitting = threading.RLock()


@contextmanager
def single_thread(policy: Policy) -> Iterator[None]:
    """Let torch compute with one thread while a policy asks, and restore the caller's number of threads afterwards.

    The surrogates' networks are tiny: more threads take the processor from trainings, and could change the last digits
    of a prediction and so a proposal. The number belongs to the process, so blocks of several threads run one after
    the other. Torch is imported before the block only for a policy that uses it.
    """
    with _fitting:
        if not policy.uses_torch:
            yield
            return
        # An interrupted import of torch cannot be repeated in the same process. In a thread it continues, and whoever
        # needs torch next waits for it.
        importing = threading.Thread(target=import_module, args=("torch",))
        importing.start()
        importing.join()
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def history(trials: Iterable[TrialRecord]) -> list[Trial]:
    """Return stored trials as a policy sees them."""
    # A complete trial without a value counts as failed.
    return [Trial(t.number, t.architecture, t.value, t.value is None and t.state in ENDED) for t in trials]


def prior_trials(store: GraphStore, spec: StudySpec) -> list[Trial]:
    """Return the trials of earlier levels that a study's policy learns from, numbered from 0 over all of them."""
    prior = spec.level.prior if spec.level else ()
    found = [trial for name, count in prior for trial in store.trials(name)[:count]]
    return [replace(trial, number=number) for number, trial in enumerate(history(found))]


def proposal_info(proposal: Proposal) -> dict[str, Any]:
    """Return why an architecture was chosen, as the store keeps it."""
    figures = {name: value for name, value in proposal.acquisition.items() if math.isfinite(value)}
    return {"origin": proposal.origin, "acquisition": figures}


class TrialReader:
    """Reads the trials of a study repeatedly; each time only those that may have changed since.

    Complete and failed trials never change. So a step of a study costs the same however many trials it has by then.

    Args:
        store: where the study is.
        study: name of the study.
    """

    def __init__(self, store: GraphStore, study: str) -> None:
        self._store, self._study = store, study
        self._known: dict[int, TrialRecord] = {}
        self._open: set[int] = set()

    def read(self) -> list[TrialRecord]:
        """Return all trials as they are now, by number."""
        new = next(reversed(self._known), -1) + 1
        for trial in self._store.trials(self._study, new, self._open):
            self._known[trial.number] = trial
            if trial.state in ENDED:
                self._open.discard(trial.number)
            else:
                self._open.add(trial.number)
        return list(self._known.values())

    def under_way(self) -> list[TrialRecord]:
        """Return the trials that have not ended, as they were when ``read`` was called last, by number."""
        return [self._known[number] for number in sorted(self._open)]


class StudyDriver:
    """Asks the study's policy and queues its proposals. Leaves the state of its process unchanged.

    Args:
        store: where the study is.
        study: the study.
        candidates: the architectures it chooses from.
    """

    def __init__(self, store: GraphStore, study: StudyRecord, candidates: Candidates) -> None:
        self.store, self.study, self.spec = store, study, StudySpec.of(study)
        self._prior = prior_trials(store, self.spec)
        self._reader = TrialReader(store, study.name)
        self.policy = self._new_policy(candidates)
        self._learned: dict[int, TrialRecord] = {}

    def _new_policy(self, candidates: Candidates) -> Policy:
        """Return a policy that knows the trials of earlier levels."""
        settings = self.spec.settings_of_policy(len(self._prior))
        policy = make_policy(self.spec.policy, candidates, self.spec.seed, settings)
        policy.tell(self._prior)
        return policy

    def trials(self) -> list[TrialRecord]:
        """Return all trials of the study as they are now, by number."""
        return self._reader.read()

    def under_way(self) -> list[TrialRecord]:
        """Return the trials that have not ended by now, by number."""
        self._reader.read()
        return self._reader.under_way()

    def refill(self, slots: int) -> list[TrialRecord]:
        """Queue proposals until ``slots`` trials wait or run, within the budget. Returns the new trials."""
        return self.propose(slots - len(self.under_way()))

    def propose(self, count: int) -> list[TrialRecord]:
        """Queue at most ``count`` proposals, within the budget as it is now. Returns the new trials."""
        self._refresh()
        trials = self.trials()
        wanted = min(count, self.spec.budget - len(trials))
        if wanted <= 0 or time_is_up(self.spec, trials, time.time()):
            return []
        self.learn(trials)
        with single_thread(self.policy):
            proposals = [] if self._converged() else self.policy.ask(wanted)
        if not proposals:
            return []
        return self.store.add_trials(self.study.name, [(p.architecture, proposal_info(p)) for p in proposals])

    def learn(self, trials: Sequence[TrialRecord]) -> None:
        """Tell the policy what is new of the study's trials; their numbers follow those of earlier levels.

        If an architecture is not among the candidates, it was queued by hand and was new to the space. Then a new
        policy, with the candidates of now, takes the place of the old one, as in a study that is resumed.
        """
        new = [trial for trial in trials if self._learned.get(trial.number) is not trial]
        if any(trial.architecture not in self.policy.candidates.index for trial in new):
            self.policy = self._new_policy(may_choose(self.store, self.spec))
            new, self._learned = list(trials), {}
        self.policy.tell([replace(trial, number=len(self._prior) + trial.number) for trial in history(new)])
        self._learned |= {trial.number: trial for trial in new}

    def finished(self) -> bool:
        """Return whether no trial waits or runs and none is to be proposed."""
        self._refresh()
        trials = self.trials()
        # Processes that asked at the same time may have queued more than the budget allows; the rest waits for more.
        if any(trial.number < self.spec.budget for trial in self._reader.under_way()):
            return False
        if len(trials) >= self.spec.budget or time_is_up(self.spec, trials, time.time()):
            return True
        self.learn(trials)
        with single_thread(self.policy):
            return self._converged() or not self.policy.ask(1)

    def _refresh(self) -> None:
        """Read the study again: another process may have extended it."""
        self.study = self.store.study(self.study.name)
        self.spec = StudySpec.of(self.study)

    def _converged(self) -> bool:
        return (self.spec.stop_when_converged or self.spec.stages.levels > 1) and self.policy.converged


def process_owner(pid: int) -> str:
    """Return the owner of a lease: a process on this host."""
    return f"{socket.gethostname()}:{pid}"


def owner_name() -> str:
    """Return the owner of a lease: this process."""
    return process_owner(os.getpid())


def run_known(
    store: GraphStore,
    study: StudyRecord,
    reporter: Reporter,
    stop: Callable[[], bool],
    on_trial: OnTrial | None = None,
) -> StudyRecord:
    """Run a study on scores that the store already has; nothing is trained.

    Args:
        store: where the study and the scores are.
        study: a study whose evaluation is ``Known``.
        reporter: receives the number of finished trials.
        stop: asked between batches.
        on_trial: called with every trial that ends.
    """
    release_dead(store, store.trials(study.name))
    values, spec = known_values(store, StudySpec.of(study)), StudySpec.of(study)
    driver = StudyDriver(store, study, study_candidates(store, spec, values))
    owner = owner_name()
    while not stop():
        store.expire_leases(study.name, time.time(), MAX_ATTEMPTS)
        # Finish what a killed run left of a batch first, so that the next batch is proposed with all of it known.
        progressed = bool(not driver.under_way() and driver.propose(spec.batch))
        while (trial := store.claim_trial(study.name, owner, FAST_LEASE_S, time.time())) is not None:
            with suppress(LeaseLostError):  # This process was suspended for longer than the lease.
                ended = store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=values[trial.architecture])
                if on_trial is not None:
                    on_trial(ended)
            progressed = True
        under_way = driver.under_way()
        held = [trial for trial in under_way if trial.state is TrialStatus.RUNNING]
        note = f"waiting for trial {held[0].number}, which {held[0].owner} holds" if held else ""
        reporter.update(study.name, len(driver.trials()) - len(under_way), driver.spec.budget, note)
        if held:
            time.sleep(WAIT_S)
        elif not progressed:
            break
    return close_study(store, driver)


def known_values(store: GraphStore, spec: StudySpec) -> dict[str, float]:
    """Return the known value of each architecture that a study on known scores may choose.

    Raises:
        DataError: the space's architectures have no such scores, or scores of several kinds.
    """
    assert isinstance(spec.evaluation, Known)
    return known_objective(store, spec.space, spec.objective, spec.evaluation.fidelity, spec.evaluation.origin)


def may_choose(store: GraphStore, spec: StudySpec) -> Candidates:
    """Return the candidates of a study: its space, or on known scores the scored part, with costs and constraints.

    Raises:
        DataError: the space has no library or no scores.
    """
    only = known_values(store, spec) if isinstance(spec.evaluation, Known) else None
    return study_candidates(store, spec, only)


def close_study(store: GraphStore, driver: StudyDriver) -> StudyRecord:
    """Record that no process runs the study: it is done if nothing is left to do, else stopped."""
    state = StudyState.DONE if driver.finished() else StudyState.STOPPED
    return store.update_study(driver.study.name, state=state)


def value_of(trial: TrialRecord) -> float | None:
    """Return a trial's value if it is complete and finite."""
    value = trial.value
    return value if trial.state is TrialStatus.COMPLETE and value is not None and math.isfinite(value) else None


def best_so_far(trials: Sequence[TrialRecord]) -> list[float]:
    """Return the best value after each trial that has one, in the order in which they finished."""
    values = ((value_of(trial), trial) for trial in trials)
    done = sorted((trial.finished, trial.number, value) for value, trial in values if value is not None)
    return list(accumulate((value for _, _, value in done), max))


def best_trial(trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the trial with the highest value, the earlier one of equals; ``None`` if none has a value."""
    done = [(trial.value, -trial.number, trial) for trial in trials if trial.value is not None]
    return max(done, key=lambda entry: entry[:2])[2] if done else None


def own_scores(store: GraphStore, study: StudyRecord, task: str) -> list[ScoreRecord]:
    """Return the scores of a task that come from a study's own trials."""
    own = {(trial.architecture, trial_source(study.name, trial.number)) for trial in store.trials(study.name)}
    return [one for one in store.scores(space=study.space, task=task) if (one.architecture, one.source) in own]


def not_held(trial: TrialRecord | None) -> tuple[str, str]:
    """Return what a trial is instead of held by the one who tells, and the remedy."""
    if trial is None:
        return "no such trial", "Tell only trials that this owner has asked for."
    if trial.state in ENDED:
        outcome = f"failed: {trial.reason}" if trial.value is None else f"complete with {trial.value}"
        return outcome, "The outcome of a trial that has ended stays as it is."
    if trial.state is TrialStatus.RUNNING:
        return f"running, {trial.owner}'s", "Tell only trials that this owner has asked for."
    return f"{trial.state.value}, nobody's", "Ask for it again; its lease ended, or it was given back."
