"""The form that queues the edited architecture into a study."""

from __future__ import annotations

import streamlit as st

from explorer.app import navigation
from explorer.app.build import building
from explorer.app.search import launching
from explorer.app.shared import address, components, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import ExplorerError
from explorer.space.spec import ArchitectureSpec
from explorer.studies.spec import DEFAULT_RECIPE
from graphstore.errors import StoreError
from graphstore.records import SpaceRecord

NEW = "A new study"
STUDY = "into"


def render(space: SpaceRecord, spec: ArchitectureSpec) -> None:
    """Draw the form.

    Args:
        space: the architecture's space, whose library is finished.
        spec: the architecture.
    """
    store = services.store()
    studies = store.studies()
    titles = {study.name: building.study_title(study) for study in building.joinable(studies, space.name)}
    named = st.query_params.get(STUDY, "")
    if titles.get(named, named) != named:  # A URL may name a study without its recipe.
        st.session_state[STUDY], st.query_params[STUDY] = named, titles[named]
    left, middle, third, right = st.columns([3, 3, 2, 1], vertical_alignment="bottom")
    with left:
        help = "Studies of this space that train, with their recipes."
        study = address.choice("Study", [NEW, *titles], STUDY, title=lambda one: titles.get(one, one), help=help)
    is_new = study == NEW
    usual = launching.free_name(f"{space.name}-built", {one.name for one in studies})
    name, recipe, budget = study, DEFAULT_RECIPE, 1
    if is_new:
        name = middle.text_input("Its name", usual, max_chars=80, key=f"build_study_{usual}").strip()
        recipe = third.selectbox(
            "Recipe",
            launching.RECIPE_NAMES,
            launching.RECIPE_NAMES.index(DEFAULT_RECIPE),
            key="build_recipe",
            help="Amount of training: nano takes about a minute per model; quick takes seconds, but its scores are "
            "close to guessing. Scores of different recipes do not mix.",
        )
        budget = int(right.number_input("Trials", 1, launching.MAX_TRAINED, 1, key="build_budget"))
    run = st.checkbox(
        "Run the study now, in the background",
        value=True,
        key="build_run",
        help="A running study continues as it is.",
    )
    if st.button("Queue it", type="primary", icon=":material/add_task:", key="build_queue"):
        choices = building.QueueChoices(name, is_new, budget, run, recipe)
        try:
            with st.spinner("Queueing …"):
                queued, job = building.queue_edited(store, space.name, spec, choices)
        except (ExplorerError, StoreError) as error:
            components.show_error(error)
            return
        begun = " A job runs the study now." if job else ""
        st.success(f"{verbatim(queued.text)}{begun}", icon=":material/check_circle:")
        st.page_link(
            navigation.page("search"),
            label="Watch it on the Search page",
            icon=navigation.PAGES["search"][1],
            query_params={"study": name, "space": space.name},
        )
    st.caption(
        f"It becomes the study's next trial; a used-up budget grows by one. If {space.name} does not have it, it is "
        "added to that library first. In a new study with several trials, BOSHNAS chooses the others."
    )
