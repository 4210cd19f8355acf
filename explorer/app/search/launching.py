"""Limits on studies that visitors launch, and the jobs that run them. Does not import Streamlit."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from explorer.errors import InputError
from explorer.library.workplace import log_folder
from explorer.studies.executors.registry import ExecutorKind
from explorer.studies.jobs import SEARCH, is_alive, launch, require_free, resume_arguments, studies_of
from explorer.studies.managing import can_resume as can_resume_study
from explorer.studies.managing import find_study, new_study, prepare_resume
from explorer.studies.spec import Known, StudySpec, Trained
from explorer.training.recipe import RECIPES
from graphstore import GraphStore
from graphstore.records import JobRecord, JobState, StudyRecord

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
"""Titles of the policies, one for each of ``explorer.search.registry.POLICIES``."""

TRAINED_OBJECTIVE = "mean"
MAX_TRAINED, MAX_KNOWN = 64, 500
"""Largest budget of a study that trains, and of one on known scores."""
MAX_ACTIVE_JOBS = 3
MAX_HOURS = 24.0
MAX_WORKERS = 4
MAX_INITIAL, MAX_BATCH, MAX_CONSTRAINTS, MAX_REQUERIES = 64, 50, 6, 8
MAX_PRETRAIN_STEPS = 10_000
"""Limit of the recipes that a visitor may choose; longer ones are for the command line."""
ELSEWHERE = "Longer studies run from the command line."
USUAL_WORKERS, USUAL_OVERLAP = 2, 0.8
RECIPE_NAMES = tuple(name for name, recipe in RECIPES.items() if recipe.pretrain_steps <= MAX_PRETRAIN_STEPS)


@dataclass(frozen=True)
class Place:
    """Where a study's trials are trained; not part of the study.

    Attributes:
        executor: kind of the executor.
        workers: number of parallel trainings.
    """

    executor: str = ExecutorKind.LOCAL.value
    workers: int = USUAL_WORKERS

    def arguments(self) -> list[str]:
        """Return the options of ``archex search resume``; defaults are left out."""
        words = [] if self.executor == ExecutorKind.LOCAL else [f"--executor={self.executor}"]
        return words + ([] if self.workers == USUAL_WORKERS else [f"--workers={self.workers}"])


def executors() -> list[str]:
    """Return the executors that can run trainings: processes of this machine, and Ray where it is installed."""
    return [ExecutorKind.LOCAL.value, *([ExecutorKind.RAY.value] if importlib.util.find_spec("ray") else [])]


def limits_text(active: int) -> str:
    """Return the limits of a visitor as a sentence; ``active`` is the number of running jobs."""
    return (
        f"From here: at most {MAX_ACTIVE_JOBS} running jobs ({active} now), {MAX_TRAINED} trials that train or "
        f"{MAX_KNOWN} on known scores, {MAX_HOURS:g} hours, {MAX_WORKERS} parallel trainings. The command line has no "
        "such limits."
    )


def check_limits(spec: StudySpec, place: Place) -> None:
    """Raise InputError unless a study and its place are within what a visitor may launch."""
    _within("trials", spec.budget, 1, _most_trials(spec), ELSEWHERE)
    if spec.hours is not None:
        _within("hours", spec.hours, 0, MAX_HOURS, ELSEWHERE)
    if "initial" in spec.policy_settings:
        _within("initial design", spec.policy_settings["initial"], 1, MAX_INITIAL, ELSEWHERE)
    _within("constraints", len(spec.constraints), 0, MAX_CONSTRAINTS, "Leave some out.")
    _within("batch size", spec.batch, 1, MAX_BATCH, ELSEWHERE)
    _within("requeries", spec.stages.requeries, 0, MAX_REQUERIES, ELSEWHERE)
    _within("parallel trainings", place.workers, 1, MAX_WORKERS, ELSEWHERE)
    _one_of("executor", place.executor, executors())
    if isinstance(spec.evaluation, Trained):
        _one_of("recipe", str(spec.evaluation.recipe), RECIPE_NAMES)
        if spec.evaluation.transfer_overlap is not None:
            _within("overlap", spec.evaluation.transfer_overlap, 0, 1, "Give a share.")


def _within(field: str, value: float, least: float, most: float, remedy: str) -> None:
    if not least <= value <= most:
        raise InputError(field, f"be from {least:g} to {most:g}", value, remedy)


def _one_of(field: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(field, f"be one of {', '.join(known)}", value, "Choose one of them.")


def start(store: GraphStore, spec: StudySpec, place: Place, jobs: Sequence[JobRecord]) -> JobRecord:
    """Store a study and run it as a background job.

    Args:
        store: where the study is stored.
        spec: the study.
        place: where its trials are trained.
        jobs: the store's jobs, as they are now.

    Raises:
        InputError: a choice breaks a rule or a limit, a study of this name exists or a job begins one, or too many
            jobs are running.
        DataError: the space has no library.
    """
    check_limits(spec, place)
    begun = {study for job in jobs if is_alive(job) for study in studies_of(job)}
    if spec.name in begun:
        raise InputError("study name", "be new", spec.name, "Choose another name.")
    require_room(jobs)
    log_folder(store.url).mkdir(parents=True, exist_ok=True)  # Fails before the study is stored if it cannot be made.
    new_study(store, spec)
    return launch_study(store, spec.name, place)


def resume_study(store: GraphStore, name: str, jobs: Sequence[JobRecord]) -> JobRecord:
    """Resume a study that no job runs, by a job of its own.

    Raises:
        InputError: no such study, a job runs it already, it cannot be resumed, or too many jobs are running.
    """
    prepare_resume(store, [name])
    require_room(jobs)
    return launch_study(store, name, Place())


def launch_study(store: GraphStore, name: str, place: Place) -> JobRecord:
    """Run a stored study by a job of its own, without any check."""
    return launch(store, SEARCH, resume_arguments([name], place.arguments()), {"studies": [name]})


def _most_trials(spec: StudySpec) -> int:
    return MAX_KNOWN if isinstance(spec.evaluation, Known) else MAX_TRAINED


def budget_limit(study: StudyRecord) -> int:
    """Return the largest budget that a visitor may extend a study to."""
    spec = StudySpec.of(study)
    return max(spec.budget, _most_trials(spec))


def check_queue(store: GraphStore, name: str) -> None:
    """Raise InputError if queueing an architecture would give a study more trials than a visitor may."""
    study = find_study(store, name)
    most = budget_limit(study)
    if (count := len(store.trials(name))) >= most:
        raise InputError("trials", f"be at most {most} from here", f"{count} of {name}", ELSEWHERE)


def resume(store: GraphStore, job: JobRecord, jobs: Sequence[JobRecord]) -> JobRecord:
    """Start a job's command again; it continues where it was.

    Raises:
        InputError: the job kept no command, or too many jobs are running, or one of them works on the same study.
    """
    words = arguments_of(job)
    if not words:
        raise InputError("job", "have its command stored to be resumed here", job.id, "Run its command again.")
    require_room(jobs)
    require_free(store, studies_of(job))
    return launch(store, job.kind, words, {"studies": studies_of(job)})


def require_room(jobs: Sequence[JobRecord]) -> None:
    """Raise InputError if the limit of running jobs is reached."""
    active = sum(is_alive(job) for job in jobs)
    if active >= MAX_ACTIVE_JOBS:
        raise InputError("running jobs", f"be at most {MAX_ACTIVE_JOBS}", active, "Stop one, or wait for one to end.")


def arguments_of(job: JobRecord) -> list[str]:
    """Return the arguments of the job's command; empty if the job has none stored."""
    words = job.info.get("arguments")
    return [str(word) for word in words] if isinstance(words, list | tuple) else []


def can_resume(job: JobRecord, studies: Sequence[StudyRecord]) -> bool:
    """Return whether a job ended early, its command is stored, and one of its studies, if any, can be resumed."""
    names = set(studies_of(job))
    over = {study.name for study in studies if not can_resume_study(study)}
    early = job.state is not JobState.DONE and not is_alive(job)
    return early and bool(arguments_of(job)) and not (names and names <= over)


def free_name(stem: str, taken: Collection[str]) -> str:
    """Return a study name that is not taken yet, made from ``stem``."""
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:70] or "study"
    number = 1
    while f"{clean}-{number}" in taken:
        number += 1
    return f"{clean}-{number}"
