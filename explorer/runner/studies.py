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
from dataclasses import dataclass, field
from typing import Any

from explorer.errors import InputError
from explorer.records import Proposal, Trial, TrialState
from explorer.runner.candidates import known_objective, space_candidates
from explorer.runner.progress import Reporter
from explorer.search.policy import Candidates, Policy
from explorer.search.registry import POLICIES, WITH_INITIAL_DESIGN, make_policy
from graphstore import GraphStore
from graphstore.records import StudyRecord, StudyState, TrialRecord, TrialStatus

MAX_BUDGET = 10_000
MAX_ATTEMPTS = 3
"""How often a trial is given out before it counts as failed."""
FAST_LEASE_S = 60.0
ENDED = (TrialStatus.COMPLETE, TrialStatus.FAILED)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True)
class StudyPlan:
    """What a new study shall do.

    Attributes:
        name: unique name; letters, digits, ``.``, ``_`` and ``-``.
        space: the space it searches.
        policy: ``boshnas``, ``random`` or ``evolution``.
        objective: task whose score is maximised; ``mean`` for the mean over the trained tasks.
        seed: of the policy and of every training.
        budget: number of trials.
        settings: ``from_scores`` with ``batch`` and ``fidelity``, or ``tasks``, ``data`` and ``recipe``; ``initial``.
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
        if not 1 <= self.budget <= MAX_BUDGET:
            raise InputError("budget", f"be from 1 to {MAX_BUDGET}", self.budget, "Choose a number of trials.")
        if not 0 <= self.seed < 2**31:
            raise InputError("seed", "be from 0 to 2147483647", self.seed, "Choose another seed.")


def open_study(store: GraphStore, plan: StudyPlan) -> StudyRecord:
    """Create the study, or find it again; a larger budget extends it.

    Raises:
        InputError: a study of this name exists with other choices.
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
        mine, stored = getattr(record, label), getattr(study, label)
        if mine != stored:
            rule = f"have the {label} it was started with ({stored!r})"
            raise InputError(f"study {plan.name}", rule, mine, "Use the same choices, or another --study name.")
    budget = max(plan.budget, study.budget)
    return store.update_study(plan.name, state=StudyState.OPEN, budget=budget)


def history(trials: Iterable[TrialRecord]) -> list[Trial]:
    """Stored trials as a policy sees them."""
    return [Trial(t.number, t.architecture, TrialState(t.state.value), t.value) for t in trials]


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
        initial = study.settings.get("initial")
        takes_initial = initial is not None and study.policy in WITH_INITIAL_DESIGN
        settings = {"initial": initial} if takes_initial else {}
        self.policy: Policy = make_policy(study.policy, candidates, study.seed, settings)

    def refill(self, slots: int) -> list[TrialRecord]:
        """Queue proposals until ``slots`` trials wait or run, within the budget. Returns the new trials."""
        trials = self.store.trials(self.study.name)
        under_way = sum(trial.state not in ENDED for trial in trials)
        wanted = min(slots - under_way, self.study.budget - len(trials))
        if wanted <= 0:
            return []
        self.policy.tell(history(trials))
        proposals = [(p.architecture, proposal_info(p)) for p in self.policy.ask(wanted)]
        return self.store.add_trials(self.study.name, proposals)

    def finished(self) -> bool:
        """Whether nothing waits or runs and nothing more is to be asked for."""
        trials = self.store.trials(self.study.name)
        return all(trial.state in ENDED for trial in trials) and (
            len(trials) >= self.study.budget or not self.policy.ask(1)
        )


def owner_name() -> str:
    """Who holds a lease: this process on this host."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_known(store: GraphStore, study: StudyRecord, reporter: Reporter, stop: Callable[[], bool]) -> StudyRecord:
    """Run a study on scores the store already has; nothing is trained.

    Args:
        store: where the study and the scores are.
        study: with ``settings["from_scores"]``.
        reporter: told of the finished trials.
        stop: asked between batches.
    """
    values = known_objective(store, study.space, study.objective, study.settings.get("fidelity"))
    driver = StudyDriver(store, study, space_candidates(store, study.space, values))
    batch = int(study.settings.get("batch", 5))
    owner = owner_name()
    while not stop():
        store.expire_leases(study.name, time.time(), MAX_ATTEMPTS)
        added = driver.refill(batch)
        progressed = bool(added)
        while (trial := store.claim_trial(study.name, owner, FAST_LEASE_S, time.time())) is not None:
            store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=values[trial.architecture])
            progressed = True
        done = sum(trial.state in ENDED for trial in store.trials(study.name))
        reporter.update(study.name, done, study.budget)
        if not progressed:
            break
    return close_study(store, driver)


def close_study(store: GraphStore, driver: StudyDriver) -> StudyRecord:
    """Note that nobody runs the study any more: done if its budget is used up, else stopped."""
    driver.policy.tell(history(store.trials(driver.study.name)))
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


def trial_source(study: str, number: int) -> str:
    """What the scores of a study's trial name as their source."""
    return f"trained:{study}/{number}"
