"""The options of ``archex search``: what is searched, how, and how far; as a study keeps it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from explorer.errors import InputError
from explorer.search import POLICIES, Capability, policies_with
from explorer.studies.budgets import MAX_TRIALS
from explorer.studies.driver import StudyPlan
from explorer.studies.objectives import study_constraints, study_objectives
from explorer.studies.stages import stage_settings
from explorer.studies.supernet import SETTING as SUPERNET
from explorer.supershaper.scores import INSIDE_TASK as INSIDE
from graphstore import GraphStore

DEFAULT_BUDGET = 8
DEFAULT_RECIPE = "nano"
DEFAULT_BATCH = 5
TaskOption = Annotated[
    list[str] | None,
    typer.Option("--task", help="Downstream task; repeat for several. Default: three of the text's own."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with GLUE-format tasks, or hub:NAME, for example hub:nyu-mll/glue."),
]
TaskFileOption = Annotated[
    list[Path] | None, typer.Option("--task-file", help="A task of your own: a YAML file or a folder. Repeatable.")
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="How to train: nano, quick for a trial, or a YAML file.")]

TransferOption = Annotated[
    str | None,
    typer.Option(
        "--transfer",
        help="Start from a trained neighbour's weights: ordered, projection or transport. Default: from scratch.",
    ),
]
OverlapOption = Annotated[
    float | None,
    typer.Option("--transfer-overlap", help="Least share of leading layers in common with that neighbour; 0.8."),
]


def transfer_settings(transfer: str | None, overlap: float | None) -> dict[str, Any]:
    """The choices of weight transfer as a study keeps them; none where it trains from scratch. Raises InputError."""
    if transfer is None and overlap is not None:
        raise InputError("--transfer-overlap", "come with --transfer", overlap, "Leave it out, or name a method.")
    given = {"transfer": transfer, "transfer_overlap": overlap}
    return {name: value for name, value in given.items() if value is not None}


def training_settings(
    tasks: list[str] | None, data: Path | None, recipe: str, task_files: list[Path] | None = None
) -> dict[str, Any]:
    """Training choices as a study keeps them; paths are made absolute, so that it can be resumed from anywhere.

    Raises:
        InputError: no such recipe, or a recipe file breaks a rule.
    """
    from explorer.training.recipe import recipe_setting
    from explorer.training.sources import absolute

    settings: dict[str, Any] = {"recipe": recipe_setting(recipe), "tasks": list(tasks or ())}
    settings["data"] = absolute(data) if data else None
    return settings | ({"task_files": [str(file.resolve()) for file in task_files]} if task_files else {})


def policy_settings(texts: list[str] | None) -> dict[str, Any]:
    """What a study keeps of its policy's own settings, ``NAME=VALUE`` each. Raises InputError if one has no value."""
    found: dict[str, Any] = {}
    for text in texts or ():
        name, _, value = (part.strip() for part in text.partition("="))
        if not (name and value):
            raise InputError("--policy-setting", "be NAME=VALUE", text, "Write for example embedding=false.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return {"policy_settings": found} if found else {}


ConstraintOption = Annotated[
    list[str] | None,
    typer.Option("--constraint", help="Propose only what keeps it, for example parameters<=200K. Repeatable."),
]


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a user may say of a search; every field is an option."""

    space: Annotated[str, typer.Option("--space", help="The space to search; it must be built.")] = "nano"
    policy: Annotated[list[str] | None, typer.Option("--policy", help=f"{', '.join(POLICIES)}; repeat to compare.")] = (
        None
    )
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            help="Task to maximise; mean, the default, is the mean over tasks. Repeat to add costs: -parameters, "
            "-flops, -depth, -latency@DEVICE.",
        ),
    ] = None
    constraint: ConstraintOption = None
    budget: Annotated[
        int | None, typer.Option("--budget", help="Number of trials, 8 by default; more than before extends a study.")
    ] = None
    hours: Annotated[
        float | None, typer.Option("--hours", help="Begin no trial after so many hours of trials; see docs/search.md.")
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Seed of every random choice.")] = 0
    study: Annotated[str, typer.Option("--study", help="Name of the study, to go on with it later.")] = ""
    from_scores: Annotated[
        bool, typer.Option("--from-scores", help="Use the scores in the store instead of training.")
    ] = False
    supernet: Annotated[
        Path | None,
        typer.Option("--supernet", help="Evaluate shapes inside the super-network in this folder instead of training."),
    ] = None
    policy_setting: Annotated[
        list[str] | None,
        typer.Option("--policy-setting", help="NAME=VALUE of the policy's own, such as method=gradient. Repeatable."),
    ] = None
    initial: Annotated[int | None, typer.Option("--initial", help="Trials before BOSHNAS's surrogate chooses.")] = None
    batch: Annotated[int | None, typer.Option("--batch", help="Trials per ask, with --from-scores; default 5.")] = None
    fidelity: Annotated[
        str | None, typer.Option("--fidelity", help="Which kind of scores, with --from-scores, if there are several.")
    ] = None
    coarse_to_fine: Annotated[
        bool, typer.Option("--coarse-to-fine", help="Go on in the space's finer levels, best architectures first.")
    ] = False
    levels: Annotated[int | None, typer.Option("--levels", help="How many levels to go through; at least 2.")] = None
    level_size: Annotated[
        int | None, typer.Option("--level-size", help="Candidates of each finer level; 2000 by default.")
    ] = None
    stop_when_converged: Annotated[
        bool, typer.Option("--stop-when-converged", help="End before the budget when nothing better is found.")
    ] = False
    patience: Annotated[
        int | None, typer.Option("--patience", help="Iterations without anything better until then; 5 by default.")
    ] = None
    requeries: Annotated[
        int, typer.Option("--requeries", help="At the end, train so many of the best again by tuned recipes.")
    ] = 0
    tasks: TaskOption = None
    data: DataOption = None
    task_file: TaskFileOption = None
    recipe: RecipeOption = DEFAULT_RECIPE
    transfer: TransferOption = None
    overlap: OverlapOption = None

    def check(self) -> None:
        """Raises InputError where options do not go together or are out of range."""
        if self.study and len(self.policies) > 1:
            raise InputError("--study", "be left out when several policies are compared", self.study, "Leave it out.")
        if self.batch is not None and not 1 <= self.batch <= 100:
            raise InputError("--batch", "be from 1 to 100", self.batch, "Choose another batch size.")
        if self.initial is not None and not 1 <= self.initial <= 1000:
            raise InputError("--initial", "be from 1 to 1000", self.initial, "Choose another number.")
        if self.initial is not None and not set(self.policies) & set(able := policies_with(Capability.INITIAL_DESIGN)):
            raise InputError("--initial", f"come with {' or '.join(able)}", self.initial, "Leave it out.")
        trained = self.tasks or self.data or self.task_file or self.transfer or self.recipe != DEFAULT_RECIPE
        if self.from_scores and trained:
            rule = "come without --task, --data, --task-file, --recipe and --transfer"
            raise InputError("--from-scores", rule, True, "Nothing is trained then.")
        if self.supernet and (trained or self.from_scores):
            rule = "come without --from-scores, --task, --data, --task-file, --recipe and --transfer"
            raise InputError("--supernet", rule, str(self.supernet), "Nothing is trained then.")
        if not self.from_scores and (self.batch is not None or self.fidelity is not None):
            given = self.batch or self.fidelity
            raise InputError("--batch and --fidelity", "come with --from-scores", given, "Leave them out.")
        self._plans({})

    @property
    def policies(self) -> list[str]:
        """Policies to compare."""
        return list(dict.fromkeys(self.policy or ["boshnas"]))

    def plans(self, store: GraphStore) -> list[StudyPlan]:
        """A study for each policy.

        Args:
            store: where the space is.

        Raises:
            InputError: a choice breaks a rule.
        """
        stages = stage_settings(
            store,
            self.space,
            coarse_to_fine=self.coarse_to_fine,
            levels=self.levels,
            level_size=self.level_size,
            stop_when_converged=self.stop_when_converged,
            patience=self.patience,
            requeries=self.requeries,
        )
        return self._plans(stages)

    def _plans(self, stages: dict[str, Any]) -> list[StudyPlan]:
        objective, costs = study_objectives(self.objective or [INSIDE if self.supernet else "mean"])
        settings: dict[str, Any] = {"from_scores": self.from_scores}
        if self.from_scores:
            settings |= {"batch": self.batch or DEFAULT_BATCH}
        elif self.supernet:
            settings |= {SUPERNET: str(self.supernet.resolve())}
        else:
            settings |= training_settings(self.tasks, self.data, self.recipe, self.task_file)
        settings |= transfer_settings(self.transfer, self.overlap) | costs | stages
        settings |= study_constraints(self.constraint)
        settings |= policy_settings(self.policy_setting)
        optional = {"fidelity": self.fidelity, "initial": self.initial, "hours": self.hours}
        settings |= {name: value for name, value in optional.items() if value is not None}
        usual = DEFAULT_BUDGET if self.hours is None else MAX_TRIALS
        budget = usual if self.budget is None else self.budget
        plans = []
        for name in self.policies:
            title = self.study or re.sub(
                r"[^\w.-]+", "-", f"{self.space}-{objective}-{name}-seed{self.seed}", flags=re.A
            )
            plans.append(StudyPlan(title, self.space, name, objective, self.seed, budget, settings))
        return plans
