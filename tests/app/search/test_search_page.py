"""The Search page: what can be launched, its limits, and what can be done with a study."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.search import launching
from explorer.errors import InputError
from explorer.studies.jobs import new_job
from explorer.studies.managing import prepare_resume
from explorer.studies.spec import DEFAULT_BATCH, External, Known, Stages, StudySpec, Trained
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import (
    JobRecord,
    JobState,
    MeasurementRecord,
    ScoreRecord,
    StudyState,
    TrialStatus,
)


@pytest.fixture
def visit(open_page):
    def go(url: str, **stated: str | list[str]) -> AppTest:
        page = open_page("search", url, **stated)
        assert not page.exception
        return page

    return go


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been started, instead of starting them."""
    words: list[list[str]] = []

    def launch(store, kind, arguments, info):
        words.append(list(arguments))
        return new_job(store, kind, {**info, "arguments": list(arguments)})

    monkeypatch.setattr(launching, "launch", launch)
    return words


def study(store, name: str, state: StudyState, budget: int = 3, **fields: object) -> list[str]:
    """A study of three trials, the first of which is complete; returns the ids of its space."""
    ids = [summary.id for summary in store.summaries("nano")]
    store.create_study(search(name, "nano", budget=budget, **fields).record(state))
    store.add_trials(name, [(id, {"origin": "random"}) for id in ids[:3]])
    for _ in range(3):
        trial = store.claim_trial(name, "me", 60.0, time.time())
        store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=0.5)
    return ids


def messages(page: AppTest) -> str:
    return "\n".join(part.value for part in [*page.caption, *page.info, *page.warning, *page.error, *page.success])


def test_everything_of_the_form_reaches_the_study(visit, own_store, launched):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_measurements([MeasurementRecord(id, "pi", "latency", 0.1, "s") for id in ids])
    page = visit(own_store)
    page.multiselect(key="search_costs").set_value(["parameters", "latency@pi"])
    page.text_area(key="search_constraints").set_value("parameters<=10M\n\n depth<=4 ")
    page.number_input(key="search_hours").set_value(1.5)
    page.number_input(key="search_initial").set_value(4)
    page.selectbox(key="search_recipe").set_value("quick")
    page.selectbox(key="search_transfer").set_value("ordered").run()
    page.slider(key="search_overlap").set_value(0.5)
    page.number_input(key="search_workers").set_value(1)
    page.button(key="search_launch").click().run()
    assert not page.exception
    assert not page.error
    name = "nano-mean-boshnas-seed0-1"
    assert launched == [["search", "resume", name, "--wait", "--workers=1"]]
    with open_store(own_store) as store:
        stored = StudySpec.of(store.study(name))
    assert stored == search(
        name,
        "nano",
        "boshnas",
        budget=8,
        costs=["-parameters", "-latency@pi"],
        constraints=["parameters<=10M", "depth<=4"],
        hours=1.5,
        initial=4,
        evaluation=Trained(recipe="quick", transfer="ordered", transfer_overlap=0.5),
    )


def test_the_command_line_understands_every_place():
    from typer.testing import CliRunner

    from explorer.cli.main import build

    for place in (launching.Place(), launching.Place("ray", 4)):
        words = ["search", "resume", "mine", "--wait", *place.arguments()]
        done = CliRunner().invoke(build(words[0]), [*words, "--store", "sqlite:////nowhere/none.db"])
        # The options were read, and the store is missing.
        assert "No such option" not in done.output
        assert done.exit_code != 0
        assert done.exception is not None
        assert "store" in str(done.exception).lower()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"constraints": ("anything",)}, "constraint"),
        ({"constraints": ("depth<=4",) * 7}, "constraints"),
        ({"costs": ("-nonsense",)}, "objective"),
        ({"costs": ("-depth", "-flops", "-parameters")}, "objectives"),
        ({"score": "parameters"}, "objectives"),
        ({"hours": 25.0}, "hours"),
        ({"hours": float("nan")}, "hours"),
        ({"initial": 65}, "initial design"),
        ({"evaluation": Trained(recipe="/etc/passwd")}, "recipe"),
        ({"evaluation": Trained(recipe="paper")}, "recipe"),
        ({"evaluation": Trained(transfer="magic")}, "recipe.transfer"),
        ({"place": launching.Place("ssh")}, "executor"),
        ({"place": launching.Place(workers=5)}, "parallel trainings"),
        ({"batch": 0, "evaluation": Known()}, "batch"),
        ({"batch": 51, "evaluation": Known()}, "batch size"),
        ({"stages": Stages(requeries=9)}, "requeries"),
        ({"stop_when_converged": True, "policy": "random"}, "stop_when_converged"),
        ({"evaluation": Trained(transfer="ordered", transfer_overlap=float("nan"))}, "overlap"),
    ],
)
def test_choices_beyond_the_limits_are_refused(own_store, launched, change, field):
    place = change.pop("place", launching.Place())
    with open_store(own_store) as store:
        with pytest.raises(InputError) as error:
            launching.start(
                store, search(**{"name": "mine", "space": "nano", "policy": "boshnas", **change}), place, []
            )
        assert store.studies() == []
    assert error.value.field == field
    assert launched == []


def test_constraints_that_nothing_keeps_are_told_before_the_launch(visit, own_store, launched):
    page = visit(own_store)
    page.text_area(key="search_constraints").set_value("parameters<=1")
    page.button(key="search_launch").click().run()
    assert "leave at least one architecture" in page.error[0].value
    page.text_area(key="search_constraints").set_value("--store sqlite:///other.db")
    page.button(key="search_launch").click().run()
    assert "constraint" in page.error[0].value
    assert launched == []


def test_limits_are_shown_and_kept(visit, own_store, launched):
    page = visit(own_store)
    assert "at most 3 running jobs (0 now), 64 trials" in messages(page)
    now = time.time()
    with open_store(own_store) as store:
        for number in range(launching.MAX_ACTIVE_JOBS):
            job = JobRecord(f"j{number}", "search", JobState.RUNNING, 1, "elsewhere", now, 0.5, "", "", {}, now)
            store.put_job(job)
    page = visit(own_store)
    assert "(3 now)" in messages(page)
    assert page.button(key="search_launch").disabled


def ended(id: str, state: JobState, message: str, name: str) -> JobRecord:
    info = {"studies": [name], "arguments": ["search"]}
    return JobRecord(id, "search", state, 0, "elsewhere", time.time(), 0.5, message, "", info, time.time())


def test_a_stopped_study_is_resumed(visit, own_store, launched):
    with open_store(own_store) as store:
        study(store, "s", StudyState.STOPPED, budget=5)
        store.put_job(ended("j", JobState.STOPPED, "stopped; start it again to continue where it was", "s"))
        # Stopped before it began its study.
        store.put_job(ended("early", JobState.LOST, "its process is gone; start it again", "not begun"))
    page = visit(own_store, study="not begun")
    assert ":red-badge[lost] Its process is gone. Resume it" in "\n".join(part.value for part in page.markdown)
    page.button(key="study_resume").click().run()
    assert launched.pop() == ["search"]
    page = visit(own_store, study="s")
    assert "Stopped. Resume it to continue where it was." in messages(page)
    assert "start it again" not in messages(page)
    assert {"Resume", "Resume this study"} <= {button.label for button in page.button}
    page.button(key="study_resume").click().run()
    assert not page.error
    assert launched == [["search", "resume", "s", "--wait"]]
    # Now a job has it.
    keys = [button.key for button in page.button]
    assert "study_stop" in keys
    assert "study_resume" not in keys


def test_a_study_shows_what_its_job_does_and_that_it_stops(visit, own_store):
    def shown(page: AppTest) -> str:
        # The job's own card tells its message by a bar.
        return "\n".join(part.value for part in page.markdown)

    now = time.time()
    info = {"studies": ["s"], "arguments": ["search"]}
    with open_store(own_store) as store:
        store.put_job(JobRecord("j", "search", JobState.STARTING, 0, "elsewhere", now, 0.0, "by hand", "", info, now))
    page = visit(own_store, study="s")
    assert ":blue-badge[starting] by hand" in shown(page)
    assert not page.button(key="study_stop").disabled
    with open_store(own_store) as store:
        study(store, "s", StudyState.OPEN, budget=5)
        store.update_job("j", state=JobState.RUNNING, message="training: the workers are loading")
    page.run()
    assert "\n:blue-badge[running] training\\: the workers are loading" in shown(page)
    page.button(key="study_stop").click().run()
    assert not page.exception
    assert page.button(key="study_stop").disabled
    assert "on nano  \n:orange-badge[stopping]" in shown(page)
    assert "· open" not in shown(page)
    with open_store(own_store) as store:
        store.update_job("j", state=JobState.FAILED, message="no memory")
    page.run()
    assert "\n:red-badge[failed] no memory" in shown(page)
    assert "study_resume" in [button.key for button in page.button]


def test_a_study_that_is_done_is_resumed_once_it_is_extended(visit, own_store):
    with open_store(own_store) as store:
        study(store, "s", StudyState.DONE)
    page = visit(own_store, study="s")
    assert "study_resume" not in [button.key for button in page.button]
    assert page.button(key="study_extend").disabled
    field = page.number_input(key="extend_trials_s")
    assert (field.min, field.max) == (3, launching.MAX_TRAINED)
    field.set_value(10).run()
    page.button(key="study_extend").click().run()
    assert not page.exception
    assert "may have 10 trials" in messages(page)
    with open_store(own_store) as store:
        assert (StudySpec.of(store.study("s")).budget, store.study("s").state) == (10, StudyState.STOPPED)
    assert "study_resume" in [button.key for button in page.button]


def test_the_best_of_a_study_is_a_click_away(visit, filled):
    with open_store(filled.url) as store:
        values = {trial.value: trial.architecture for trial in store.trials("first") if trial.value is not None}
    links = {link.proto.label: link.proto.query_string for link in visit(filled.url, study="first").get("page_link")}
    assert f"id={values[max(values)]}" in links["Open the best"]


def test_an_architecture_is_queued_by_hand(visit, own_store):
    with open_store(own_store) as store:
        ids = study(store, "s", StudyState.STOPPED, budget=4)
    page = visit(own_store, study="s")
    page.text_input(key="study_enqueue_id").set_value(ids[6][:10]).run()
    page.button(key="study_enqueue").click().run()
    assert not page.error
    with open_store(own_store) as store:
        last = store.trials("s")[-1]
    assert (last.architecture, last.info["origin"]) == (ids[6], "manual")
    page.text_input(key="study_enqueue_id").set_value(ids[6]).run()
    page.button(key="study_enqueue").click().run()
    assert "new to the study" in page.error[0].value
    page.text_input(key="study_enqueue_id").set_value("BERT-Tiny").run()
    page.button(key="study_enqueue").click().run()
    assert not page.error
    assert "It was new to space nano, which has it now\\." in messages(page)
    assert "The budget was used up; it is 5 trials now\\." in messages(page)
    for wrong in ("zz", "' OR 1=1", "../..", "0" * 24):
        page.text_input(key="study_enqueue_id").set_value(wrong).run()
        page.button(key="study_enqueue").click().run()
        assert not page.exception
        assert page.error


def test_the_best_satisfies_the_constraints_and_is_the_earliest_of_equals(visit, own_store):
    def best() -> tuple[str, str]:
        page = visit(own_store, study="s")
        (text,) = (part.value for part in page.markdown if "is the best" in part.value)
        links = {link.proto.label: parse_qs(link.proto.query_string) for link in page.get("page_link")}
        return text.split("**")[1], *links["Open the best"]["id"]

    with open_store(own_store) as store:
        sizes = {summary.id: summary.parameters for summary in store.summaries("nano")}
        largest = max(sizes, key=lambda id: sizes[id])
        early, late = sorted(id for id in sizes if sizes[id] < sizes[largest])[:2]
        store.create_study(search("s", "nano").record(StudyState.STOPPED))
        for id, value in ((largest, 0.9), (early, 0.7), (late, 0.7)):
            store.add_trials("s", [(id, {"origin": "random"})])
            trial = store.claim_trial("s", "me", 60.0, time.time())
            store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=value)
    assert best() == ("0.9000", largest)
    with open_store(own_store) as store:
        prepare_resume(store, ["s"], [f"parameters<={sizes[largest] - 1}"])
    assert best() == ("0.7000", early)


def test_a_study_that_is_evaluated_elsewhere_is_not_run_from_here(visit, own_store, launched):
    with open_store(own_store) as store:
        study(store, "s", StudyState.OPEN, budget=5, evaluation=External())
        assert "study_resume" not in [button.key for button in visit(own_store, study="s").button]
        with pytest.raises(InputError, match="elsewhere"):
            launching.resume_study(store, "s", [])
    assert launched == []


def test_known_scores_have_their_own_choices(visit, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores([ScoreRecord(id, "mean", "accuracy", 0.5, "d", "f", "r", 0, "import:1") for id in ids])
    page = visit(own_store)
    assert page.number_input(key="search_batch").value == DEFAULT_BATCH
    keys = {one.key for one in page.selectbox}
    assert "search_recipe" not in keys
    page.selectbox(key="search_objective_nano").set_value("Train: mean of the tasks").run()
    assert "search_recipe" in {one.key for one in page.selectbox}
    assert page.selectbox(key="search_recipe").options == list(launching.RECIPE_NAMES)


def test_the_form_tells_how_much_is_trained_and_cuts_no_choice(visit, own_store):
    page = visit(own_store)
    hidden = {box.key for expander in page.expander for box in expander.selectbox}
    assert "search_recipe" not in hidden
    assert {"search_transfer", "search_executor"} <= hidden
    assert [box.key for column in page.columns if column.weight == 0.5 for box in column.selectbox] == []
    page.selectbox(key="search_recipe").set_value("quick").run()
    assert "30 steps of pre-training, and 20 on each task" in messages(page)
