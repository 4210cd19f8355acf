"""The form that launches a search, and what it offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from explorer.app.search import launching, live
from explorer.app.shared import components, frames, services
from explorer.app.shared.messages import literal
from explorer.errors import ExplorerError
from explorer.search import Capability, policy_class
from explorer.studies.objectives import FACTS, MOST_COSTS
from explorer.training.recipe import RECIPES, TRANSFERS
from graphstore import GraphStore
from graphstore.records import JobRecord, StudyRecord

TRAIN = "Train: mean of the tasks"
KNOWN = "Known scores: "
SCRATCH = "From scratch"
EXECUTOR_TITLES = {"local": "Processes of this machine", "ray": "Ray on this machine"}
TRANSFER_TITLES = {
    "": SCRATCH,
    "ordered": "A neighbour's leading weights",
    "projection": "A neighbour's, projected",
    "transport": "A neighbour's, by optimal transport",
}
LONGEST_CONSTRAINTS = 500


def render(store: GraphStore, space: str, jobs: Sequence[JobRecord], studies: Sequence[StudyRecord]) -> None:
    """Draw the form; a launched study becomes the one that is watched."""
    tasks = frames.objective_tasks(services.scores(space))
    known = {f"{KNOWN}{task}": task for task in tasks}
    usual = [*known, TRAIN] if services.has_published(space) else [TRAIN, *known]
    key = f"search_objective_{space}"
    # What is chosen stays chosen while scores arrive, so no option says how many there are.
    offered = components.steady(usual, key)
    help = "Training really pre-trains and fine-tunes each model; known scores take seconds."
    objective = str(st.selectbox("Objective", offered, offered.index(usual[0]), key=key, help=help))
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
    recipe = {} if is_known else {"recipe": _recipe()}
    most = launching.MAX_KNOWN if is_known else launching.MAX_TRAINED
    left, right = st.columns(2)
    trials = left.number_input(
        "Trials", 1, most, 50 if is_known else 8, key=f"search_trials_{is_known}", help=f"At most {most} from here."
    )
    seed = right.number_input("Seed", 0, launching.MAX_SEED, 0, key="search_seed")
    name = launching.free_name(f"{space}-{task}-{policy}-seed{seed}", {study.name for study in studies} | _busy(jobs))
    study = st.text_input("Study name", name, max_chars=80, key=f"search_name_{name}").strip()
    with st.expander("Costs, constraints, budget of time, training", icon=":material/tune:"):
        more = recipe | _more(store, space, policy, is_known)
    active = sum(live.is_active(job) for job in jobs)
    full = active >= launching.MAX_ACTIVE_JOBS
    pressed = st.button(
        "Launch",
        type="primary",
        icon=":material/rocket_launch:",
        key="search_launch",
        width="stretch",
        disabled=full,
        help="As many jobs run as may: stop one, or wait for one to end." if full else None,
    )
    st.caption(launching.limits_text(active))
    if pressed:
        choices = launching.SearchChoices(space, policy, task, is_known, int(trials), int(seed), study, **more)
        try:
            with services.starting(store) as now:
                launching.start(store, choices, now)
        except ExplorerError as error:
            st.error(literal(error), icon=":material/error:")
            return
        st.query_params["study"] = choices.study
        st.rerun()


def _busy(jobs: Sequence[JobRecord]) -> set[str]:
    return {name for job in jobs for name in launching.studies_of(job)}


def _more(store: GraphStore, space: str, policy: str, known: bool) -> dict[str, Any]:
    """Choices that most searches leave as they are; those that this search does not know are not drawn."""
    more: dict[str, Any] = {}
    if Capability.COSTS in policy_class(policy).capabilities:
        more["costs"] = tuple(
            st.multiselect(
                "Costs to keep low besides the score",
                _costs(store, space),
                max_selections=MOST_COSTS,
                placeholder="None",
                key="search_costs",
                help="What is not measured yet is predicted from what is.",
            )
        )
    text = st.text_area(
        f"Constraints, one a line, at most {launching.MAX_CONSTRAINTS}",
        placeholder="parameters<=200K\ndepth<=4",
        max_chars=LONGEST_CONSTRAINTS,
        height=80,
        key="search_constraints",
        help="parameters, flops, depth or QUANTITY@DEVICE, and a range. Only what keeps them all is proposed.",
    )
    more["constraints"] = tuple(line.strip() for line in (text or "").splitlines() if line.strip())
    left, right = st.columns(2)
    more["hours"] = left.number_input(
        "Hours",
        0.05,
        launching.MAX_HOURS,
        None,
        placeholder="no limit",
        key="search_hours",
        help="No trial begins after so many hours of trials.",
    )
    if Capability.INITIAL_DESIGN in policy_class(policy).capabilities:
        more["initial"] = right.number_input(
            "First design",
            1,
            launching.MAX_INITIAL,
            None,
            placeholder="as usual",
            key="search_initial",
            help="Trials before the policy learns from any.",
        )
    if Capability.CONVERGENCE in policy_class(policy).capabilities:
        more["stop_when_converged"] = st.toggle("Stop when nothing better is found", key="search_converge")
    if known:
        batch = st.number_input("Trials per ask", 1, launching.MAX_BATCH, launching.USUAL_BATCH, key="search_batch")
        return more | {"batch": int(batch)}
    return more | _training(policy)


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


def _training(policy: str) -> dict[str, Any]:
    # Each over the whole width: beside each other, their texts would be cut.
    more: dict[str, Any] = {}
    more["transfer"] = st.selectbox(
        "First weights",
        ("", *TRANSFERS),
        format_func=lambda one: TRANSFER_TITLES.get(one, one),
        key="search_transfer",
    )
    if more["transfer"]:
        more["overlap"] = st.slider(
            "Least share of leading layers in common",
            0.0,
            1.0,
            launching.USUAL_OVERLAP,
            0.05,
            key="search_overlap",
            help="Without such a trained neighbour a model starts from scratch.",
        )
    more["executor"] = st.selectbox(
        "Where",
        launching.executors(),
        format_func=lambda one: EXECUTOR_TITLES.get(one, one),
        key="search_executor",
    )
    workers = st.number_input(
        "At the same time", 1, launching.MAX_WORKERS, launching.USUAL_WORKERS, key="search_workers"
    )
    more["workers"] = int(workers)
    if Capability.CONVERGENCE in policy_class(policy).capabilities:
        again = st.number_input(
            "Train the best again by tuned recipes",
            0,
            launching.MAX_REQUERIES,
            0,
            key="search_requeries",
            help="So many trainings at the end.",
        )
        more["requeries"] = int(again)
    return more


def _costs(store: GraphStore, space: str) -> list[str]:
    """Costs that are known of every architecture, or measured of some of the space."""
    keys = {(one.quantity, one.device) for one in store.measurements(space=space)}
    return [*(f"-{fact}" for fact in FACTS), *(f"-{quantity}@{device}" for quantity, device in sorted(keys))]
