"""Studies: a policy asks, somebody evaluates, the store remembers, the policy is told.

A study's whole state is in the store. Whoever runs it next tells a fresh policy the stored trials, and because a
policy's proposals depend on its seed and the history only, the study goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from explorer.analysis.score_kinds import known_objective
from explorer.errors import InputError
from explorer.library.sources import trial_source
from explorer.progress import Reporter
from explorer.records import Proposal, Trial
from explorer.search import POLICIES, Candidates, Capability, Policy, make_policy, policy_class
from explorer.studies.budgets import MAX_ATTEMPTS, check_budget, check_hours, time_is_up
from explorer.studies.executors.releasing import release_dead
from explorer.studies.objectives import merged_constraints, study_candidates
from graphstore import GraphStore
from graphstore.records import ScoreRecord, StudyRecord, StudyState, TrialRecord, TrialStatus

FAST_LEASE_S = 60.0
ENDED = (TrialStatus.COMPLETE, TrialStatus.FAILED)
OnTrial: TypeAlias = Callable[[TrialRecord], None]
"""Given every trial that ends, complete or failed."""
CHANGING = ("hours", "constraints")
"""Settings that may change after the start: hours are extended, constraints are added."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True)
class StudyPlan:
    """What a new study shall do.

    Attributes:
        name: unique name; letters, digits, ``.``, ``_`` and ``-``.
        space: the space it searches.
        policy: a name of ``explorer.search.registry.POLICIES``.
        objective: task whose score is maximised; ``mean`` for the mean over the trained tasks.
        seed: of the policy and of every training.
        budget: number of trials.
        settings: ``from_scores`` with ``batch`` and ``fidelity``, or ``tasks``, ``data`` and ``recipe``, or
            ``external`` where the user evaluates; ``initial``, ``policy_settings``, ``hours``, ``objectives``,
            ``constraints``.
    """

    name: str
    space: str
    policy: str
    objective: str
    seed: int
    budget: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            rule = "be 1 to 80 letters, digits, '.', '_' or '-', starting with a letter or digit"
            raise InputError("study name", rule, self.name, "Choose another name.")
        if self.policy not in POLICIES:
            raise InputError("policy", f"be one of {', '.join(POLICIES)}", self.policy, "Choose one of them.")
        check_budget(self.budget)
        if "hours" in self.settings:
            check_hours(self.settings["hours"])
        if not 0 <= self.seed < 2**31:
            raise InputError("seed", "be from 0 to 2147483647", self.seed, "Choose another seed.")


def open_study(store: GraphStore, plan: StudyPlan) -> StudyRecord:
    """Create the study, or find it again; a larger budget extends it, constraints are added to those it has.

    Raises:
        InputError: a study of this name exists with other choices, or no architecture would keep all its constraints.
    """
    record = StudyRecord(
        plan.name,
        plan.space,
        plan.policy,
        plan.objective,
        plan.seed,
        plan.budget,
        dict(plan.settings),
        StudyState.OPEN,
        time.time(),
    )
    study = store.create_study(record)
    for label in ("space", "policy", "objective", "seed", "settings"):
        mine, stored = _lasting(getattr(record, label)), _lasting(getattr(study, label))
        if mine != stored:
            rule = f"have the {label} it was started with ({stored!r})"
            raise InputError(f"study {plan.name}", rule, mine, "Use the same choices, or another --study name.")
    budget = max(plan.budget, study.budget)
    settings = merged_constraints(study.settings, plan.settings.get("constraints"))
    if settings.get("constraints") != study.settings.get("constraints"):
        study_candidates(store, replace(study, settings=settings))  # before they are kept: they are never taken back
    if plan.settings.get("hours"):
        settings["hours"] = max(plan.settings["hours"], settings.get("hours", 0.0))
    return store.update_study(plan.name, state=StudyState.OPEN, budget=budget, settings=settings)


def _lasting(choice: Any) -> Any:
    """A choice without what may change after the start."""
    is_settings = isinstance(choice, Mapping)
    return {name: value for name, value in choice.items() if name not in CHANGING} if is_settings else choice


def history(trials: Iterable[TrialRecord]) -> list[Trial]:
    """Return stored trials as a policy sees them."""
    failed = (TrialStatus.FAILED, TrialStatus.COMPLETE)  # a complete trial without a value counts as failed
    return [Trial(t.number, t.architecture, t.value, t.value is None and t.state in failed) for t in trials]


def prior_trials(store: GraphStore, study: StudyRecord) -> list[Trial]:
    """What a study that goes on from others learns from them, numbered on from study to study.

    ``settings["prior"]`` lists ``[study, trials]``: so many of that study's first trials, all of which have ended.
    """
    found = [trial for name, count in study.settings.get("prior", ()) for trial in store.trials(name)[:count]]
    return [replace(trial, number=number) for number, trial in enumerate(history(found))]


def proposal_info(proposal: Proposal) -> dict[str, Any]:
    """Why an architecture was chosen, as the store keeps it."""
    figures = {name: value for name, value in proposal.acquisition.items() if math.isfinite(value)}
    return {"origin": proposal.origin, "acquisition": figures}


class StudyDriver:
    """Asks the study's policy and queues what it proposes.

    Args:
        store: where the study is.
        study: the study.
        candidates: what it chooses from.
    """

    def __init__(self, store: GraphStore, study: StudyRecord, candidates: Candidates) -> None:
        import torch

        # The surrogate's networks are tiny: more threads only take the processor from the trainings.
        torch.set_num_threads(1)
        self.store, self.study = store, study
        prior = prior_trials(store, study)
        self.policy: Policy = make_policy(study.policy, candidates, study.seed, _policy_settings(study, len(prior)))
        self.policy.tell(prior)
        self._before = len(prior)
        self._may_converge = bool(study.settings.get("stop_when_converged") or study.settings.get("levels"))

    def refill(self, slots: int) -> list[TrialRecord]:
        """Queue proposals until ``slots`` trials wait or run, within the budget. Returns the new trials."""
        trials = self.store.trials(self.study.name)
        return self.propose(slots - sum(trial.state not in ENDED for trial in trials))

    def propose(self, count: int) -> list[TrialRecord]:
        """Queue at most ``count`` proposals, within the budget as it is now. Returns the new trials."""
        self.study = self.store.study(self.study.name)
        trials = self.store.trials(self.study.name)
        wanted = min(count, self.study.budget - len(trials))
        if wanted <= 0 or time_is_up(self.study, trials, time.time()):
            return []
        self.learn(trials)
        if self._may_converge and self.policy.converged:
            return []
        proposals = [(p.architecture, proposal_info(p)) for p in self.policy.ask(wanted)]
        return self.store.add_trials(self.study.name, proposals)

    def learn(self, trials: Sequence[TrialRecord]) -> None:
        """Tell the policy of the study's trials; they are numbered on from those of earlier studies."""
        self.policy.tell([replace(trial, number=self._before + trial.number) for trial in history(trials)])

    def finished(self) -> bool:
        """Whether nothing waits or runs and nothing more is to be asked for."""
        self.study = self.store.study(self.study.name)
        trials = self.store.trials(self.study.name)
        # Processes that asked at the same time may have queued more than the budget allows; the rest waits for more.
        if any(trial.state not in ENDED for trial in trials[: self.study.budget]):
            return False
        if len(trials) >= self.study.budget or time_is_up(self.study, trials, time.time()):
            return True
        self.learn(trials)
        return (self._may_converge and self.policy.converged) or not self.policy.ask(1)


def check_policy(plan: StudyPlan) -> None:
    """Raises InputError where the policy of a study that is to be started does not take the settings meant for it."""
    one = Candidates(("one",), np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64))
    make_policy(plan.policy, one, plan.seed, _policy_settings(plan, 0))


def _policy_settings(study: StudyRecord | StudyPlan, prior: int) -> dict[str, Any]:
    """The policy's own settings among a study's, for the policies that know them."""
    given = study.settings
    settings = dict(given.get("policy_settings", {}))
    capabilities = policy_class(study.policy).capabilities
    if given.get("initial") and Capability.INITIAL_DESIGN in capabilities:
        settings["initial"] = given["initial"]
    if Capability.CONVERGENCE in capabilities:
        settings |= {name: given[name] for name in ("patience",) if given.get(name)} | {"began": prior}
        settings |= {"iteration": given["batch"]} if given.get("batch") else {}
    return settings


def process_owner(pid: int) -> str:
    """Who holds a lease: a process on this host."""
    return f"{socket.gethostname()}:{pid}"


def owner_name() -> str:
    """Who holds a lease: this process."""
    return process_owner(os.getpid())


def run_known(
    store: GraphStore,
    study: StudyRecord,
    reporter: Reporter,
    stop: Callable[[], bool],
    on_trial: OnTrial | None = None,
) -> StudyRecord:
    """Run a study on scores the store already has; nothing is trained.

    Args:
        store: where the study and the scores are.
        study: with ``settings["from_scores"]``.
        reporter: told of the finished trials.
        stop: asked between batches.
        on_trial: given every trial that ends.
    """
    release_dead(store, study.name)
    values = known_objective(store, study.space, study.objective, study.settings.get("fidelity"))
    driver = StudyDriver(store, study, study_candidates(store, study, values))
    batch = int(study.settings.get("batch", 5))
    owner = owner_name()
    while not stop():
        store.expire_leases(study.name, time.time(), MAX_ATTEMPTS)
        # What a killed run left of a batch is finished first, so that the next batch is asked for with all of it known.
        under_way = any(trial.state not in ENDED for trial in store.trials(study.name))
        progressed = bool(not under_way and driver.propose(batch))
        while (trial := store.claim_trial(study.name, owner, FAST_LEASE_S, time.time())) is not None:
            ended = store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=values[trial.architecture])
            if on_trial is not None:
                on_trial(ended)
            progressed = True
        done = sum(trial.state in ENDED for trial in store.trials(study.name))
        reporter.update(study.name, done, driver.study.budget)
        if not progressed:
            break
    return close_study(store, driver)


def close_study(store: GraphStore, driver: StudyDriver) -> StudyRecord:
    """Note that nobody runs the study any more: done if its budget is used up, else stopped."""
    state = StudyState.DONE if driver.finished() else StudyState.STOPPED
    return store.update_study(driver.study.name, state=state)


def best_so_far(trials: Sequence[TrialRecord]) -> list[float]:
    """The best value after each finished trial that has one, in the order in which they finished."""
    done = sorted((t for t in trials if t.value is not None), key=lambda t: (t.finished, t.number))
    best, curve = -math.inf, []
    for trial in done:
        best = max(best, trial.value if trial.value is not None else -math.inf)
        curve.append(best)
    return curve


def best_trial(trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """The trial with the highest value, the earlier one of equals; ``None`` if none has a value."""
    done = [(trial.value, -trial.number, trial) for trial in trials if trial.value is not None]
    return max(done, key=lambda entry: entry[:2])[2] if done else None


def own_scores(store: GraphStore, study: StudyRecord, task: str) -> list[ScoreRecord]:
    """Scores of a task that a study's own trials were given, whatever else is known of their architectures."""
    own = {(trial.architecture, trial_source(study.name, trial.number)) for trial in store.trials(study.name)}
    return [one for one in store.scores(space=study.space, task=task) if (one.architecture, one.source) in own]
