"""What a visitor may launch: choices, limits, and the command line they become. No Streamlit here."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from explorer.errors import InputError
from explorer.runner.jobs import ACTIVE, launch
from explorer.runner.studies import StudyPlan
from graphstore import GraphStore
from graphstore.records import JobRecord, JobState, StudyRecord, StudyState

POLICY_TITLES = {
    "boshnas": "BOSHNAS",
    "boshnas_paper": "BOSHNAS as in the paper",
    "random": "Random search",
    "evolution": "Regularised evolution",
    "local_search": "Local search",
    "bananas": "BANANAS",
    "gp": "Gaussian process",
    "tpe": "TPE",
    "extra_trees": "Extra-trees",
    "nsga2": "NSGA-II",
}
"""Policies a visitor may choose, one for each of ``explorer.search.registry.POLICIES``."""

TRAINED_OBJECTIVE = "mean"
MAX_TRAINED, MAX_KNOWN = 64, 500
"""Most trials of a study that trains, and of one on known scores."""
MAX_SEED = 2**31 - 1
MAX_ACTIVE_JOBS = 3
RESUMABLE = (JobState.STOPPED, JobState.FAILED, JobState.LOST)


@dataclass(frozen=True)
class SearchChoices:
    """A search as the form describes it.

    Attributes:
        space: name of the space.
        policy: one of ``POLICY_TITLES``.
        objective: task to maximise.
        known: whether known scores are used instead of training.
        trials: how many architectures to evaluate.
        seed: of the policy and of the trainings.
        study: name of the study.
    """

    space: str
    policy: str
    objective: str
    known: bool
    trials: int
    seed: int
    study: str

    def arguments(self) -> list[str]:
        """Arguments of ``archex`` that run it."""
        words = ["search", "--space", self.space, "--policy", self.policy, "--objective", self.objective]
        words += ["--budget", str(self.trials), "--seed", str(self.seed), "--study", self.study]
        return [*words, "--from-scores"] if self.known else words


def check(choices: SearchChoices, studies: Collection[str]) -> None:
    """Check what the form gave.

    Raises:
        InputError: a value is outside its limits, or a study of this name exists.
    """
    if choices.study in studies:
        raise InputError("study name", "be new", choices.study, "Choose another name, or resume that study's job.")
    most = MAX_KNOWN if choices.known else MAX_TRAINED
    if not 1 <= choices.trials <= most:
        raise InputError("trials", f"be from 1 to {most}", choices.trials, "Longer studies run from the command line.")
    StudyPlan(choices.study, choices.space, choices.policy, choices.objective, choices.seed, choices.trials)


def start(store: GraphStore, choices: SearchChoices, jobs: Sequence[JobRecord]) -> JobRecord:
    """Start a search as a background job.

    Raises:
        InputError: the choices break a rule, or too many jobs are running.
    """
    check(choices, [study.name for study in store.studies()])
    _require_room(jobs)
    return launch(store, "search", choices.arguments(), {"studies": [choices.study]})


def resume(store: GraphStore, job: JobRecord, jobs: Sequence[JobRecord]) -> JobRecord:
    """Start a job's command again; it goes on where it was.

    Raises:
        InputError: the job kept no command, or too many jobs are running, or one of them works on the same study.
    """
    words = arguments_of(job)
    if not words:
        raise InputError("job", "have been started by the app to be resumed here", job.id, "Run its command again.")
    _require_room(jobs)
    busy = {study for other in jobs if other.state in ACTIVE for study in studies_of(other)}
    if busy & set(studies_of(job)):
        raise InputError("study", "have no running job", sorted(busy & set(studies_of(job))), "Watch or stop that one.")
    return launch(store, job.kind, words, {"studies": studies_of(job)})


def _require_room(jobs: Sequence[JobRecord]) -> None:
    active = sum(job.state in ACTIVE for job in jobs)
    if active >= MAX_ACTIVE_JOBS:
        raise InputError("running jobs", f"be at most {MAX_ACTIVE_JOBS}", active, "Stop one, or wait for one to end.")


def arguments_of(job: JobRecord) -> list[str]:
    """The command that started the job; empty where it kept none."""
    words = job.info.get("arguments")
    return [str(word) for word in words] if isinstance(words, list | tuple) else []


def studies_of(job: JobRecord) -> list[str]:
    """Names of the studies a job works on."""
    names = job.info.get("studies")
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def can_resume(job: JobRecord, studies: Sequence[StudyRecord]) -> bool:
    """Whether the job ended early, kept its command, and one of its studies, if it names any, is not done yet."""
    names = set(studies_of(job))
    done = {study.name for study in studies if study.state is StudyState.DONE}
    return job.state in RESUMABLE and bool(arguments_of(job)) and not (names and names <= done)


def free_name(stem: str, taken: Collection[str]) -> str:
    """``stem`` made into a study name that is not taken yet."""
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:70] or "study"
    number = 1
    while f"{clean}-{number}" in taken:
        number += 1
    return f"{clean}-{number}"
