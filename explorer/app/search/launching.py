"""What a visitor may launch: choices, limits, and the command line they become. No Streamlit here."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from explorer.errors import InputError
from explorer.search import Capability, policies_with
from explorer.studies.driver import StudyPlan
from explorer.studies.executors.registry import ExecutorKind
from explorer.studies.jobs import ACTIVE, launch, require_free
from explorer.studies.managing import find_study
from explorer.studies.objectives import check_objectives, study_constraints, study_objectives
from explorer.studies.stages import check_stages
from explorer.training.recipe import RECIPES, TRANSFERS
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
MAX_HOURS = 24.0
MAX_WORKERS = 4
MAX_INITIAL, MAX_BATCH, MAX_CONSTRAINTS, MAX_REQUERIES = 64, 50, 6, 8
MAX_PRETRAIN_STEPS = 10_000
"""Of the recipes that a visitor may choose; longer ones are for the command line."""
USUAL_RECIPE, USUAL_BATCH, USUAL_WORKERS, USUAL_OVERLAP = "nano", 5, 2, 0.8
RECIPE_NAMES = tuple(name for name, recipe in RECIPES.items() if recipe.pretrain_steps <= MAX_PRETRAIN_STEPS)
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
        costs: objectives besides that task: ``-parameters``, ``-latency@DEVICE``; less is better.
        constraints: what everything that is proposed keeps: ``parameters<=200K``.
        hours: hours of trials after which none begins; ``None`` for no such limit.
        initial: trials before the policy learns; ``None`` for its own number.
        batch: on known scores, trials per ask.
        recipe: of the trainings, one of ``RECIPE_NAMES``.
        transfer: how a training takes weights from a trained neighbour, one of ``TRANSFERS``; empty: from scratch.
        overlap: least share of leading layers in common with that neighbour.
        executor: where trainings run.
        workers: trainings at the same time.
        stop_when_converged: whether to end before the budget when nothing better is found.
        requeries: at the end, so many of the best are trained again by tuned recipes.
    """

    space: str
    policy: str
    objective: str
    known: bool
    trials: int
    seed: int
    study: str
    costs: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    hours: float | None = None
    initial: int | None = None
    batch: int = USUAL_BATCH
    recipe: str = USUAL_RECIPE
    transfer: str = ""
    overlap: float = USUAL_OVERLAP
    executor: str = ExecutorKind.LOCAL.value
    workers: int = USUAL_WORKERS
    stop_when_converged: bool = False
    requeries: int = 0

    def arguments(self) -> list[str]:
        """Arguments of ``archex`` that run it; what is as usual is left out."""
        words = ["search", "--space", self.space, "--policy", self.policy, "--objective", self.objective]
        words += ["--budget", str(self.trials), "--seed", str(self.seed), "--study", self.study]
        words += [f"--objective={cost}" for cost in self.costs]
        words += [f"--constraint={constraint}" for constraint in self.constraints]
        words += [] if self.hours is None else [f"--hours={self.hours:g}"]
        words += [] if self.initial is None else [f"--initial={self.initial}"]
        words += ["--stop-when-converged"] if self.stop_when_converged else []
        if self.known:
            return [*words, "--from-scores", *([f"--batch={self.batch}"] if self.batch != USUAL_BATCH else [])]
        words += [f"--recipe={self.recipe}"] if self.recipe != USUAL_RECIPE else []
        words += [f"--transfer={self.transfer}"] if self.transfer else []
        shared = self.transfer and self.overlap != USUAL_OVERLAP
        words += [f"--transfer-overlap={self.overlap:g}"] if shared else []
        words += [f"--executor={self.executor}"] if self.executor != ExecutorKind.LOCAL else []
        words += [f"--workers={self.workers}"] if self.workers != USUAL_WORKERS else []
        return [*words, f"--requeries={self.requeries}"] if self.requeries else words


def executors() -> list[str]:
    """Where trainings can run: processes of this machine, and Ray where it is installed."""
    return [ExecutorKind.LOCAL.value, *([ExecutorKind.RAY.value] if importlib.util.find_spec("ray") else [])]


def limits_text(active: int) -> str:
    """What a visitor may start, for people; ``active`` is the number of running jobs."""
    return (
        f"From here: at most {MAX_ACTIVE_JOBS} running jobs ({active} now), {MAX_TRAINED} trials that train or "
        f"{MAX_KNOWN} on known scores, {MAX_HOURS:g} hours, {MAX_WORKERS} trainings at the same time. The command line "
        "has no such limits."
    )


def check(choices: SearchChoices, studies: Collection[str]) -> None:
    """Check what the form gave, as far as it needs no store.

    Raises:
        InputError: a value is outside its limits, choices do not go together, or a study of this name exists.
    """
    if choices.study in studies:
        raise InputError("study name", "be new", choices.study, "Choose another name, or resume that study's job.")
    most = MAX_KNOWN if choices.known else MAX_TRAINED
    elsewhere = "Longer studies run from the command line."
    _within("trials", choices.trials, 1, most, elsewhere)
    settings = _settings(choices)
    StudyPlan(choices.study, choices.space, choices.policy, choices.objective, choices.seed, choices.trials, settings)
    if choices.hours is not None:
        _within("hours", choices.hours, 0, MAX_HOURS, elsewhere)
    if choices.initial is not None:
        _within("first design", choices.initial, 1, MAX_INITIAL, elsewhere)
        policies = policies_with(Capability.INITIAL_DESIGN)
        if choices.policy not in policies:
            rule = f"come with {', '.join(policies)}"
            raise InputError("first design", rule, choices.policy, "Leave it empty.")
    _within("constraints", len(choices.constraints), 0, MAX_CONSTRAINTS, "Leave some out.")
    _within("trials per ask", choices.batch, 1, MAX_BATCH, elsewhere)
    _within("workers", choices.workers, 1, MAX_WORKERS, elsewhere)
    _within("requeries", choices.requeries, 0, MAX_REQUERIES, elsewhere)
    _within("overlap", choices.overlap, 0, 1, "Give a share.")
    _one_of("recipe", choices.recipe, RECIPE_NAMES)
    _one_of("transfer", choices.transfer, ("", *TRANSFERS))
    _one_of("executor", choices.executor, executors())
    check_stages(choices.study, choices.policy, settings)


def _settings(choices: SearchChoices) -> dict[str, object]:
    """What the study's settings will say of objectives, constraints and stages. Raises InputError."""
    objective, costs = study_objectives([choices.objective, *choices.costs])
    if objective != choices.objective:
        raise InputError("objective", "be a score", choices.objective, "Choose one of those offered.")
    settings: dict[str, object] = {"from_scores": choices.known, **costs, **study_constraints(choices.constraints)}
    if choices.stop_when_converged:
        settings["stop_when_converged"] = True
    return settings | ({"requeries": choices.requeries} if choices.requeries else {})


def _within(field: str, value: float, least: float, most: float, remedy: str) -> None:
    if not least <= value <= most:
        raise InputError(field, f"be from {least:g} to {most:g}", value, remedy)


def _one_of(field: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(field, f"be one of {', '.join(filter(None, known))}", value, "Choose one of them.")


def start(store: GraphStore, choices: SearchChoices, jobs: Sequence[JobRecord]) -> JobRecord:
    """Start a search as a background job.

    Args:
        store: where it is recorded.
        choices: what to run.
        jobs: those of the store, as they are now.

    Raises:
        InputError: the choices break a rule, there is a study of this name or a job that begins one, no architecture
            keeps the constraints, or too many jobs are running.
        DataError: the space has no library.
    """
    begun = {study for job in jobs if job.state in ACTIVE for study in studies_of(job)}
    check(choices, begun.union(study.name for study in store.studies()))
    require_room(jobs)
    check_objectives(store, choices.space, choices.policy, _settings(choices))
    return launch(store, "search", choices.arguments(), {"studies": [choices.study]})


def resume_study(store: GraphStore, name: str, jobs: Sequence[JobRecord]) -> JobRecord:
    """Go on with a study that nobody runs, by a job of its own.

    Raises:
        InputError: there is no such study, it is run already or evaluated elsewhere, has nothing left to do, or too
            many jobs are running.
    """
    study = find_study(store, name)
    if not can_go_on(study):
        what = "is evaluated elsewhere" if study.settings.get("external") else "is done"
        raise InputError("study", "have something left to do here", f"{name} {what}", "Extend it first.")
    require_room(jobs)
    require_free(store, [name], "")
    return launch(store, "search", ["search", "resume", name, "--wait"], {"studies": [name]})


def can_go_on(study: StudyRecord) -> bool:
    """Whether a study can be run from here: not done, and not evaluated by its user elsewhere."""
    return study.state is not StudyState.DONE and not study.settings.get("external")


def budget_limit(study: StudyRecord) -> int:
    """Most trials that a visitor may extend a study to."""
    return max(study.budget, MAX_KNOWN if study.settings.get("from_scores") else MAX_TRAINED)


def resume(store: GraphStore, job: JobRecord, jobs: Sequence[JobRecord]) -> JobRecord:
    """Start a job's command again; it goes on where it was.

    Raises:
        InputError: the job kept no command, or too many jobs are running, or one of them works on the same study.
    """
    words = arguments_of(job)
    if not words:
        raise InputError("job", "have been started by the app to be resumed here", job.id, "Run its command again.")
    require_room(jobs)
    busy = {study for other in jobs if other.state in ACTIVE for study in studies_of(other)}
    if busy & set(studies_of(job)):
        raise InputError("study", "have no running job", sorted(busy & set(studies_of(job))), "Watch or stop that one.")
    return launch(store, job.kind, words, {"studies": studies_of(job)})


def require_room(jobs: Sequence[JobRecord]) -> None:
    """Raises InputError where as many jobs run as visitors may have running at once."""
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
