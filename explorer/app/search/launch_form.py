"""The form that launches a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from explorer.analysis.quantities import COST_FACTS
from explorer.app.search import launching
from explorer.app.shared import components, frames, services
from explorer.errors import ExplorerError
from explorer.search import Capability, policy_class
from explorer.studies.jobs import is_alive, studies_of
from explorer.studies.objectives import MOST_COSTS, read_constraints, read_objectives
from explorer.studies.spec import (
    DEFAULT_BATCH,
    MAX_SEED,
    Evaluation,
    EvaluationKind,
    Known,
    Stages,
    StudySpec,
    Trained,
    default_budget,
    initial_design,
)
from explorer.training.recipe import RECIPES, TRANSFERS
from graphstore import GraphStore
from graphstore.records import JobRecord, StudyRecord

TRAIN = "Train: mean of the tasks"
KNOWN = "Known scores: "
SCRATCH = "From scratch"
EXECUTOR_TITLES = {"local": "Processes of this machine", "ray": "Ray on this machine"}
TRANSFER_TITLES = {
    "": SCRATCH,
    "ordered": "Inherited, leading weights",
    "projection": "Inherited, random projection",
    "transport": "Inherited, optimal transport",
}
LONGEST_CONSTRAINTS = 500


def render(store: GraphStore, space: str, jobs: Sequence[JobRecord], studies: Sequence[StudyRecord]) -> None:
    """Draw the form; the page then shows the launched study."""
    tasks = frames.objective_tasks(services.scores(space))
    known = {f"{KNOWN}{task}": task for task in tasks}
    ordered = [*known, TRAIN] if services.has_published(space) else [TRAIN, *known]
    key = f"search_objective_{space}"
    # Options without counts: the choice stays valid while scores arrive.
    offered = components.steady(ordered, key)
    help = "Training really pre-trains and fine-tunes each model; known scores take seconds."
    objective = str(st.selectbox("Objective", offered, offered.index(ordered[0]), key=key, help=help))
    is_known = objective in known
    task = known.get(objective, launching.TRAINED_OBJECTIVE)
    if is_known:
        st.caption(f"{tasks[task]:,} architectures of {space} have this score.")
    policy = str(
        st.selectbox(
            "Policy",
            list(launching.POLICY_TITLES),
            format_func=lambda policy: launching.POLICY_TITLES.get(policy, policy),
            key="search_policy",
            help="BOSHNAS chooses by a surrogate's prediction and uncertainty; the others are its rivals.",
        )
    )
    recipe = None if is_known else _recipe()
    most = launching.MAX_KNOWN if is_known else launching.MAX_TRAINED
    left, right = st.columns(2)
    usual = default_budget(EvaluationKind.KNOWN if is_known else EvaluationKind.TRAINED)
    trials = left.number_input(
        "Trials", 1, most, usual, key=f"search_trials_{is_known}", help=f"At most {most} from here."
    )
    seed = right.number_input("Seed", 0, MAX_SEED, 0, key="search_seed")
    name = launching.free_name(f"{space}-{task}-{policy}-seed{seed}", {study.name for study in studies} | _busy(jobs))
    study = st.text_input("Study name", name, max_chars=80, key=f"search_name_{name}").strip()
    with st.expander("Costs, constraints, hours, training", icon=":material/tune:"):
        shared, costs = _shared(store, space, policy)
        evaluation: Evaluation = Known()
        place = launching.Place()
        if recipe is None:
            batch = st.number_input("Batch size", 1, launching.MAX_BATCH, DEFAULT_BATCH, key="search_batch")
            shared["batch"] = int(batch)
        else:
            evaluation, place = _training(recipe)
            shared["stages"] = _stages(policy)
    active = sum(is_alive(job) for job in jobs)
    full = active >= launching.MAX_ACTIVE_JOBS
    pressed = st.button(
        "Launch",
        type="primary",
        icon=":material/rocket_launch:",
        key="search_launch",
        width="stretch",
        disabled=full,
        help="The limit of running jobs is reached: stop one, or wait for one to end." if full else None,
    )
    st.caption(launching.limits_text(active))
    if pressed:
        try:
            spec = StudySpec(
                name=study,
                space=space,
                evaluation=evaluation,
                policy=policy,
                objectives=read_objectives([task, *costs]),
                budget=int(trials),
                seed=int(seed),
                **shared | {"constraints": read_constraints(shared["constraints"])},
            )
            with services.starting(store) as now:
                launching.start(store, spec, place, now)
        except ExplorerError as error:
            components.show_error(error)
            return
        st.query_params["study"] = spec.name
        st.rerun()


def _busy(jobs: Sequence[JobRecord]) -> set[str]:
    return {name for job in jobs for name in studies_of(job)}


def _shared(store: GraphStore, space: str, policy: str) -> tuple[dict[str, Any], list[str]]:
    """Draw the choices that all studies have, as far as the policy has them.

    Returns:
        Fields of the spec, and the secondary objectives.
    """
    costs: list[str] = []
    if Capability.COSTS in policy_class(policy).capabilities:
        costs = st.multiselect(
            "Secondary objectives",
            _costs(store, space),
            max_selections=MOST_COSTS,
            placeholder="None",
            key="search_costs",
            help="Costs to minimise. Missing measurements are predicted from the others.",
        )
    text = st.text_area(
        f"Constraints, one a line, at most {launching.MAX_CONSTRAINTS}",
        placeholder="parameters<=200K\ndepth<=4",
        max_chars=LONGEST_CONSTRAINTS,
        height=80,
        key="search_constraints",
        help="parameters, flops, depth or QUANTITY@DEVICE, and a range. Only architectures within all are proposed.",
    )
    fields: dict[str, Any] = {"constraints": [line.strip() for line in (text or "").splitlines() if line.strip()]}
    left, right = st.columns(2)
    fields["hours"] = left.number_input(
        "Hours",
        0.05,
        launching.MAX_HOURS,
        None,
        placeholder="no limit",
        key="search_hours",
        help="No trial begins after this many hours of trials.",
    )
    if Capability.INITIAL_DESIGN in policy_class(policy).capabilities:
        initial = right.number_input(
            "Initial design",
            1,
            launching.MAX_INITIAL,
            None,
            placeholder="default",
            key="search_initial",
            help="Trials before the policy learns from any.",
        )
        fields["policy_settings"] = initial_design(policy, initial)
    if Capability.CONVERGENCE in policy_class(policy).capabilities:
        fields["stop_when_converged"] = st.toggle("Stop when converged", key="search_converge")
    return fields, costs


def _recipe() -> str:
    name = str(
        st.selectbox(
            "Recipe",
            launching.RECIPE_NAMES,
            key="search_recipe",
            help="How much each model is trained; scores of different recipes do not mix.",
        )
    )
    recipe = RECIPES[name]
    steps = f"{recipe.pretrain_steps:,} steps of pre-training, and {recipe.finetune_steps:,} on each task"
    st.caption(f"Each model gets {steps}.")
    return name


def _training(recipe: str) -> tuple[Evaluation, launching.Place]:
    # Each over the whole width: side by side, their texts would be cut.
    transfer = st.selectbox(
        "Weight initialisation",
        ("", *TRANSFERS),
        format_func=lambda one: TRANSFER_TITLES.get(one, one),
        key="search_transfer",
    )
    overlap = None
    if transfer:
        overlap = st.slider(
            "Smallest share of leading layers in common",
            0.0,
            1.0,
            launching.USUAL_OVERLAP,
            0.05,
            key="search_overlap",
            help="Without such a trained neighbour a model starts from scratch.",
        )
    executor = st.selectbox(
        "Executor",
        launching.executors(),
        format_func=lambda one: EXECUTOR_TITLES.get(one, one),
        key="search_executor",
    )
    workers = st.number_input(
        "Parallel trainings", 1, launching.MAX_WORKERS, launching.USUAL_WORKERS, key="search_workers"
    )
    evaluation = Trained(recipe=recipe, transfer=transfer or None, transfer_overlap=overlap)
    return evaluation, launching.Place(executor, int(workers))


def _stages(policy: str) -> Stages:
    if Capability.CONVERGENCE not in policy_class(policy).capabilities:
        return Stages()
    again = st.number_input(
        "Train the best again by tuned recipes",
        0,
        launching.MAX_REQUERIES,
        0,
        key="search_requeries",
        help="Number of trainings at the end.",
    )
    return Stages(requeries=int(again))


def _costs(store: GraphStore, space: str) -> list[str]:
    """Return costs that are known for every architecture, or measured for some of the space."""
    keys = {(one.quantity, one.device) for one in store.measurements(space=space)}
    return [*(fact.value for fact in COST_FACTS), *(f"{quantity}@{device}" for quantity, device in sorted(keys))]
