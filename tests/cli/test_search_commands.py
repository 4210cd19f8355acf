"""``archex search`` and its commands: started in the background, looked at, extended, resumed, exported."""

import csv
import dataclasses
import json
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from explorer.cli import search
from explorer.cli.executors import ExecutorOptions
from explorer.cli.main import build
from explorer.cli.options import words_of
from explorer.cli.search_options import SearchOptions
from explorer.errors import InputError
from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import to_model_dict
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from explorer.studies.jobs import new_job, refresh_jobs
from explorer.studies.managing import new_study
from explorer.studies.spec import Stages, StudySpec
from explorer.testing.searches import search as trained
from graphstore import open_store
from graphstore.records import JobState, ScoreRecord, SpaceRecord, StudyState

KNOWN = ("--space", "small", "--policy", "evolution", "--objective", "known", "--from-scores", "--initial", "3")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('search') / 'store.db'}"
    specs = load_space("nano").sample(30, np.random.default_rng(0))
    with open_store(url) as store:
        Library.build(store, "small", specs, SilentReporter(), source="sampled")
        scores = [
            ScoreRecord(s.id, "known", "accuracy", s.parameters / 1e6, "data", "full", "recipe", 0, f"table:{i}")
            for i, s in enumerate(store.summaries("small"))
        ]
        store.add_scores(scores)
    return url


@pytest.fixture
def archex(url, monkeypatch):
    """Runs ``archex search …`` in this process; gives its JSON document, or raises what it raised."""

    def run(*words, json_wanted=True):
        arguments = ["search", *words, "--store", url, *(["--json"] if json_wanted else [])]
        monkeypatch.setattr(sys, "argv", ["archex", *arguments])
        result = CliRunner().invoke(build(arguments[0]), arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if json_wanted else result.stdout

    return run


def test_a_search_in_the_background_and_what_one_does_with_it(archex, url, tmp_path):
    started = archex("start", *KNOWN, "--budget", "5", "--study", "mine")
    assert started["studies"] == ["mine"]
    with open_store(url) as store:
        assert StudySpec.of(store.study("mine")).budget == 5
        with pytest.raises(InputError, match=started["job"]):
            archex("resume", "mine")
        deadline = time.monotonic() + 120
        while (job := refresh_jobs(store)[0]).state is not JobState.DONE:
            assert time.monotonic() < deadline, job
            time.sleep(0.2)
    status = archex("status", "mine")
    assert (status["state"], status["trials"]["complete"], status["job"]) == ("done", 5, None)
    with pytest.raises(InputError, match="Extend it first"):
        archex("resume", "mine")
    assert archex("extend", "mine", "--budget", "7")["state"] == "stopped"
    with open_store(url) as store:
        used = {trial.architecture for trial in store.trials("mine")}
        free = next(summary.id for summary in store.summaries("small") if summary.id not in used)
    assert archex("enqueue", "mine", free)["trial"] == 5
    (report,) = archex("resume", "mine", "--wait", "--constraint", "parameters<=10M")["studies"]
    assert (report["state"], report["complete"]) == ("done", 7)
    assert archex("status", "mine")["constraints"] == ["parameters<=10M"]
    assert [one["study"] for one in archex("list")["studies"]] == ["mine"]
    archex("export", "mine", str(tmp_path / "mine.csv"), json_wanted=False)
    archex("export", "mine", str(tmp_path / "mine.json"), json_wanted=False)
    lines = list(csv.DictReader((tmp_path / "mine.csv").read_text().splitlines()))
    assert [line["origin"] for line in lines][5] == "manual"
    assert json.loads((tmp_path / "mine.json").read_text())["best"] == archex("status", "mine")["best"]
    for name, named in (("mine.txt", "csv"), ("none/mine.csv", "existing folder")):
        with pytest.raises(InputError, match=named):
            archex("export", "mine", str(tmp_path / name), json_wanted=False)
    with pytest.raises(InputError, match="no job runs"):
        archex("stop", "mine")
    assert "7 complete" in archex("status", "mine", json_wanted=False)
    # The foreground form takes up what the background began; constraints that were added stay.
    (report,) = archex(*KNOWN, "--budget", "8", "--study", "mine")["studies"]
    assert report["complete"] == 8
    assert archex("status", "mine")["constraints"] == ["parameters<=10M"]


def test_a_start_names_its_studies_to_the_background_and_describes_nothing_again(archex, url, monkeypatch):
    launched = []

    def launch(store, kind, arguments, info):
        launched.append(list(arguments))
        return new_job(store, kind, {**info, "arguments": list(arguments)})

    monkeypatch.setattr(search, "launch", launch)
    names = ["small-known-evolution-seed11", "small-known-random-seed11"]
    again = ["search", "resume", *names, "--wait", "--workers=5"]
    options = (*KNOWN, "--policy", "random", "--seed", "11", "--budget", "4", "--constraint", "depth<=4")
    started = archex("start", *options, "--workers", "5")
    assert started["studies"] == names
    assert launched == [again]
    # The background runs exactly this, and its job can be resumed by the same words.
    reports = archex(*launched.pop()[1:], "--job", started["job"])["studies"]
    assert [(one["study"], one["policy"], one["complete"]) for one in reports] == [
        (names[0], "evolution", 4),
        (names[1], "random", 4),
    ]
    with open_store(url) as store:
        assert [StudySpec.of(store.study(name)).constraints for name in names] == [("depth<=4",)] * 2
        assert refresh_jobs(store)[0].info["arguments"] == again
    with pytest.raises(InputError, match="something left"):
        archex("resume", *names)
    archex("extend", names[1], "--budget", "5")
    (report,) = archex("resume", *names, "--wait", "--threads-per-trial", "2")["studies"]
    assert (report["study"], report["complete"]) == (names[1], 5)
    with open_store(url) as store:
        resumed = refresh_jobs(store)[0]
    assert resumed.info == {
        **resumed.info,
        "studies": [names[1]],
        "arguments": ["search", "resume", names[1], "--wait", "--threads-per-trial=2"],
    }
    # Nor does a search in the foreground keep its own words.
    archex(*options[:-2], "--budget", "6", "--workers", "3")
    with open_store(url) as store:
        assert refresh_jobs(store)[0].info["arguments"] == ["search", "resume", *names, "--wait", "--workers=3"]
    assert launched == []


def test_a_place_is_written_as_it_is_read():
    assert words_of(ExecutorOptions()) == []
    place = ExecutorOptions(workers=8, executor="ray", ray_address="auto", threads=2, gpus=0.5, shared_store=True)
    words = words_of(place)
    assert words == [
        *("--workers=8", "--executor=ray", "--ray-address=auto"),
        *("--threads-per-trial=2", "--gpus-per-trial=0.5", "--shared-store"),
    ]
    assert words_of(ExecutorOptions(gpus=0.0)) == ["--gpus-per-trial=0.0"]
    read = commands()["resume"].make_context("resume", ["a", "b", *words]).params
    assert read["names"] == ["a", "b"]
    assert {field.name: read[field.name] for field in dataclasses.fields(place)} == dataclasses.asdict(place)


def test_levels_are_those_of_the_space_or_as_many_as_wanted(url):
    def stages(space="graded", **options):
        (spec,) = SearchOptions(space=space, **options).specs(store)
        return spec.stages

    with open_store(url) as store:
        coarse = load_space("nano")
        store.put_space(SpaceRecord("graded", {"source": coarse.source()}))
        store.put_space(SpaceRecord("finest", {"source": coarse.at_level(1, True).source()}))
        assert stages() == Stages()
        assert stages(coarse_to_fine=True) == Stages(levels=3)
        assert stages(coarse_to_fine=True, level_size=50) == Stages(levels=3, level_size=50)
        assert stages(coarse_to_fine=True, levels=2) == stages(levels=2) == Stages(levels=2)
        # Levels beyond the space's own stay at the finest.
        assert stages(levels=5, patience=7) == Stages(levels=5)
        assert stages("finest", levels=2) == Stages(levels=2)
        for levels in (1, 0, -3):
            with pytest.raises(InputError, match="levels must be at least 2; space graded has 3, and further ones"):
                stages(levels=levels)
        with pytest.raises(InputError, match="space finest has 1"):
            stages("finest", coarse_to_fine=True)
        with pytest.raises(InputError, match="levels must be from 1 to 9"):
            stages(levels=10)
        with pytest.raises(InputError, match="level size must come with levels"):
            stages(level_size=50)
        with pytest.raises(InputError, match="built from a grammar"):
            stages("small", coarse_to_fine=True)


def test_options_before_a_command_are_refused(archex):
    with pytest.raises(InputError, match="after status"):
        archex("--policy", "random", "status", "mine")


def test_a_study_that_is_told_from_elsewhere_is_not_trained_here(archex, url):
    from explorer.study import Study

    Study.open(url, "theirs", space="small", policy="random").close()
    with pytest.raises(InputError, match="Study"):
        archex("resume", "theirs")
    with open_store(url) as store:
        assert store.study("theirs").state is StudyState.STOPPED


def test_a_name_is_made_of_what_names_may_hold(url):
    with open_store(url) as store:
        (spec,) = SearchOptions(space="small", objective=["known:negative loss"], from_scores=True).specs(store)
    assert spec.name == "small-known-negative-loss-boshnas-seed0"


def test_hours_alone_mean_as_many_trials_as_fit(url):
    with open_store(url) as store:
        (spec,) = SearchOptions(space="small", hours=1.5).specs(store)
        (other,) = SearchOptions(space="small", hours=1.5, budget=3).specs(store)
        (usual,) = SearchOptions(space="small").specs(store)
        (known,) = SearchOptions(space="small", from_scores=True).specs(store)
    assert (spec.hours, other.budget, usual.budget, known.budget) == (1.5, 3, 8, 50)
    assert spec.budget == 10_000
    assert usual.hours is None


def test_the_policys_own_settings(archex, url):
    given = ["method=gradient", "embedding=false", "k_epistemic = 0.25"]
    with open_store(url) as store:
        (spec,) = SearchOptions(space="small", policy_setting=given).specs(store)
    assert spec.policy_settings == {"method": "gradient", "embedding": False, "k_epistemic": 0.25}
    for wrong, named in (("method", "NAME=VALUE"), ("method=gradient", "settings of policy evolution")):
        with pytest.raises(InputError, match=named):
            archex(*KNOWN, "--study", "own", "--policy-setting", wrong)
    with open_store(url) as store:
        assert "own" not in {study.name for study in store.studies()}


def test_start_and_the_foreground_take_the_same_options():
    groups = {name: {p.name for p in command.params} for name, command in commands().items()}
    assert groups["start"] - {"wait"} == groups["search"] - {"job"}
    assert {"space", "constraint", "hours", "executor", "store", "json"} <= groups["start"]


def commands():
    import typer.main

    group = typer.main.get_command(search.group)
    return {"search": group, **group.commands}


def test_an_architecture_of_ones_own_is_queued(archex, url, tmp_path):
    file = tmp_path / "own.json"
    file.write_text(json.dumps(to_model_dict(named_model("BERT-Mini"))))
    with open_store(url) as store:
        new_study(store, trained("own", "small", budget=1))
    first = archex("enqueue", "own", "BERT-Tiny")
    assert first == {
        **{"study": "own", "trial": 0, "architecture": architecture_id(named_model("BERT-Tiny"))},
        **{"budget": 1, "added_to_space": True},
    }
    told = archex("enqueue", "own", str(file), json_wanted=False)
    assert "is trial 1 of own. It was new to space small, which has it now." in told
    assert "The budget was used up; it is 2 trials now." in told
    with pytest.raises(InputError, match="new to the study"):
        archex("enqueue", "own", first["architecture"][:10])
