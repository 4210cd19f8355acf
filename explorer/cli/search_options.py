"""The options of ``archex search``: what is searched, how, and for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from explorer.analysis.quantities import Direction
from explorer.cli.options import note_minus
from explorer.documents.json_text import parse_settings
from explorer.errors import InputError
from explorer.search import POLICIES, Capability, policies_with
from explorer.studies.levels import levels_to_search
from explorer.studies.objectives import read_constraints, read_objectives
from explorer.studies.spec import (
    DEFAULT_BATCH,
    DEFAULT_RECIPE,
    DEFAULT_TRIALS,
    Evaluation,
    EvaluationKind,
    Inside,
    Known,
    Stages,
    StudySpec,
    Trained,
    default_budget,
    initial_design,
)
from explorer.supershaper.scores import INSIDE_TASK
from graphstore import GraphStore

TaskOption = Annotated[
    list[str] | None,
    typer.Option("--task", help="Downstream task; repeat for several. Default: three tasks made from the text."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with GLUE-format tasks, or hub:NAME, for example hub:nyu-mll/glue."),
]
TaskFileOption = Annotated[
    list[Path] | None, typer.Option("--task-file", help="A task of your own: a YAML file or a folder. Repeatable.")
]
RecipeOption = Annotated[
    str, typer.Option("--recipe", help="Recipe of the trainings: nano, quick for a first try, or a YAML file.")
]

TransferOption = Annotated[
    str | None,
    typer.Option(
        "--transfer",
        help="Inherit weights from a trained neighbour: ordered, projection or transport. Default: none.",
    ),
]
OverlapOption = Annotated[
    float | None,
    typer.Option("--transfer-overlap", help="Smallest share of leading layers in common with that neighbour; 0.8."),
]


def trained(
    tasks: list[str] | None,
    data: Path | None,
    recipe: str,
    task_files: list[Path] | None = None,
    transfer: str | None = None,
    overlap: float | None = None,
) -> Trained:
    """Return the options of a training as a spec keeps them; paths become absolute, so that any folder may resume it.

    Raises:
        InputError: no such recipe, a recipe file breaks a rule, or an overlap is given without a method of transfer.
    """
    from explorer.training.recipe import recipe_setting
    from explorer.training.sources import absolute
    from explorer.training.tasks.forms import glue_name

    return Trained(
        recipe=recipe_setting(recipe),
        tasks=tuple(glue_name(task) or task for task in tasks or ()),
        data=absolute(data) if data else None,
        task_files=tuple(str(file.resolve()) for file in task_files or ()),
        transfer=transfer,
        transfer_overlap=overlap,
    )


ConstraintOption = Annotated[
    list[str] | None,
    typer.Option(
        "--constraint", help="Propose only architectures that satisfy it, for example parameters<=200K. Repeatable."
    ),
]


BUDGETS = (
    f"by default {DEFAULT_TRIALS[EvaluationKind.TRAINED]}, with --from-scores {DEFAULT_TRIALS[EvaluationKind.KNOWN]}, "
    "with --hours as many as fit"
)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of a search; every field is one."""

    space: Annotated[str, typer.Option("--space", help="The space to search; it must be built.")] = "nano"
    policy: Annotated[list[str] | None, typer.Option("--policy", help=f"{', '.join(POLICIES)}; repeat to compare.")] = (
        None
    )
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            help="Task to maximise; mean, the default, is the mean over tasks. Repeat to add costs to minimise: "
            "parameters, flops, depth, QUANTITY@DEVICE.",
        ),
    ] = None
    constraint: ConstraintOption = None
    budget: Annotated[
        int | None, typer.Option("--budget", help=f"Number of trials, {BUDGETS}; more than before extends a study.")
    ] = None
    hours: Annotated[
        float | None,
        typer.Option("--hours", help="Begin no trial after this many hours of trials; see docs/search.md."),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Seed of every random choice.")] = 0
    study: Annotated[str, typer.Option("--study", help="Name of the study, by which it is resumed.")] = ""
    from_scores: Annotated[
        bool, typer.Option("--from-scores", help="Use the scores in the store instead of training.")
    ] = False
    supernet: Annotated[
        Path | None,
        typer.Option("--supernet", help="Evaluate shapes inside the super-network in this folder instead of training."),
    ] = None
    policy_setting: Annotated[
        list[str] | None,
        typer.Option(
            "--policy-setting", help="NAME=VALUE of the policy's own settings, such as method=gradient. Repeatable."
        ),
    ] = None
    initial: Annotated[int | None, typer.Option("--initial", help="Trials of the initial design.")] = None
    batch: Annotated[int | None, typer.Option("--batch", help="Batch size, with --from-scores; default 5.")] = None
    fidelity: Annotated[
        str | None, typer.Option("--fidelity", help="Fidelity of the scores, with --from-scores, if there are several.")
    ] = None
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin", help="Origin of the scores (see `archex best`), with --from-scores, if there are several."
        ),
    ] = None
    coarse_to_fine: Annotated[
        bool,
        typer.Option("--coarse-to-fine", help="Continue in the space's finer levels, around the best architectures."),
    ] = False
    levels: Annotated[int | None, typer.Option("--levels", help="Number of levels to search; at least 2.")] = None
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
        int, typer.Option("--requeries", help="At the end, train at most this many of the best again by tuned recipes.")
    ] = 0
    tasks: TaskOption = None
    data: DataOption = None
    task_file: TaskFileOption = None
    recipe: RecipeOption = DEFAULT_RECIPE
    transfer: TransferOption = None
    overlap: OverlapOption = None

    @property
    def policies(self) -> list[str]:
        """Policies to compare."""
        return list(dict.fromkeys(self.policy or ["boshnas"]))

    def specs(self, store: GraphStore) -> list[StudySpec]:
        """Return a study for each policy.

        Args:
            store: where the space is.

        Raises:
            InputError: options do not go together, or a choice breaks a rule.
        """
        note_minus(self.objective or (), Direction.MINIMISE)
        evaluation = self.check()
        levels = levels_to_search(store, self.space, self.levels) if self._goes_deeper else 1
        return [self._spec(policy, evaluation, levels) for policy in self.policies]

    def check(self) -> Evaluation:
        """Return how trials are evaluated. Raises InputError where options do not go together or are out of range."""
        if self.study and len(self.policies) > 1:
            raise InputError("--study", "be left out when several policies are compared", self.study, "Leave it out.")
        if self.initial is not None and not set(self.policies) & set(able := policies_with(Capability.INITIAL_DESIGN)):
            rule = f"come with {' or '.join(able)}"
            raise InputError("--initial", rule, self.initial, "Leave it out.")
        given = self.tasks or self.data or self.task_file or self.transfer or self.overlap is not None
        training, others = (
            given or self.recipe != DEFAULT_RECIPE,
            "--task, --data, --task-file, --recipe and --transfer",
        )
        if self.from_scores and training:
            raise InputError("--from-scores", f"come without {others}", True, "Nothing is trained then.")
        if self.supernet and (training or self.from_scores):
            rule = f"come without --from-scores, {others}"
            raise InputError("--supernet", rule, str(self.supernet), "Nothing is trained then.")
        choices = {"--batch": self.batch, "--fidelity": self.fidelity, "--origin": self.origin}
        for option, chosen in choices.items():
            if not self.from_scores and chosen is not None:
                raise InputError(option, "come with --from-scores", chosen, "Leave it out.")
        evaluation = self._evaluation()
        # The number of levels may depend on the space; any number from two keeps the same rules.
        levels = max(2, self.levels or 2) if self._goes_deeper else 1
        for policy in self.policies:
            self._spec(policy, evaluation, levels)
        return evaluation

    def _evaluation(self) -> Evaluation:
        if self.from_scores:
            return Known(fidelity=self.fidelity, origin=self.origin)
        if self.supernet:
            return Inside(supernet=str(self.supernet.resolve()))
        return trained(self.tasks, self.data, self.recipe, self.task_file, self.transfer, self.overlap)

    @property
    def _goes_deeper(self) -> bool:
        return self.coarse_to_fine or self.levels is not None

    def _spec(self, policy: str, evaluation: Evaluation, levels: int) -> StudySpec:
        objectives = read_objectives(self.objective or [INSIDE_TASK if self.supernet else "mean"])
        settings = parse_settings(self.policy_setting or (), "policy setting", "embedding=false")
        stem = f"{self.space}-{objectives[0].name}-{policy}-seed{self.seed}"
        return StudySpec(
            name=self.study or re.sub(r"[^\w.-]+", "-", stem, flags=re.A),
            space=self.space,
            evaluation=evaluation,
            policy=policy,
            policy_settings={**settings, **initial_design(policy, self.initial)},
            objectives=objectives,
            constraints=read_constraints(self.constraint or ()),
            budget=default_budget(evaluation.kind, self.hours) if self.budget is None else self.budget,
            hours=self.hours,
            seed=self.seed,
            batch=DEFAULT_BATCH if self.batch is None else self.batch,
            stop_when_converged=self.stop_when_converged,
            patience=self.patience,
            stages=Stages(levels=levels, level_size=self.level_size, requeries=self.requeries),
        )
