"""Studies that really train, with workers that die, coordinators that are killed, and trials that fail."""

import dataclasses
import os
import signal
import time

import psutil
import pytest

from explorer.errors import InputError
from explorer.library.workplace import data_cache, run_folder, work_folder
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.studies import demo
from explorer.studies.candidates import space_candidates
from explorer.studies.driver import StudyDriver
from explorer.studies.evaluation import TrainingEvaluator
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.executors.local import LocalExecutor
from explorer.studies.executors.trial_release import release_dead
from explorer.studies.jobs import ACTIVE, launch, refresh_jobs, require_free
from explorer.studies.managing import open_study
from explorer.studies.spec import Trained
from explorer.studies.trained import TrainingChoices, run_trained
from explorer.testing.executor_probe import STUDY, run_probes
from explorer.testing.executors import ThreadExecutor, wait_for
from explorer.testing.searches import search
from graphstore.records import ScoreRecord, StudyState, TrialStatus

pytestmark = pytest.mark.slow
QUICK = Trained(recipe="quick")
SHORT = Trained(recipe={"base": "quick", "pretrain_steps": 8, "finetune_steps": 6})
TASKS = {"mean", "order", "package", "pair"}


@pytest.fixture
def trained(store, quick_data):
    """The store of the runner's tests, with the prepared data in its work folder."""
    folder = work_folder(store.url)
    folder.mkdir()
    (folder / "data").symlink_to(quick_data)
    return store


def plan(name, budget, evaluation=QUICK):
    return search(name, "small", "boshnas", budget=budget, initial=2, evaluation=evaluation)


def run(store, study_plan, stop=lambda: False, watch=None, executor=None):
    """Run or resume a study."""
    study = open_study(store, study_plan)
    return run_trained(store, study, executor or ThreadExecutor(), SilentReporter(), stop, watch)


def first_run(store, study):
    """The run folder of a study's first trial, once there is one."""
    return next(iter((work_folder(store.url) / "runs" / study).glob("0000-*")), None)


def workers_of(study):
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "explorer.studies.worker" in command and command[-1] == study:
            found.append(process)
    return found


def test_a_killed_workers_trial_is_trained_by_another(trained):
    killed = []

    def watch(trials):
        for trial in trials:
            if not killed and trial.state is TrialStatus.RUNNING and first_run(trained, "kill"):
                pid = int(trial.owner.rpartition(":")[2])
                os.kill(pid, signal.SIGKILL)
                killed.append(trial.number)

    study = run(trained, plan("kill", 2), watch=watch, executor=LocalExecutor(1))
    trials = trained.trials("kill")
    assert study.state is StudyState.DONE
    assert [trial.state for trial in trials] == [TrialStatus.COMPLETE] * 2
    assert trials[killed[0]].attempt == 2
    assert workers_of("kill") == []
    for trial in trials:
        source = f"trained:kill/{trial.number}"
        scores = {s.task: s.value for s in trained.scores(architecture=trial.architecture) if s.source == source}
        assert set(scores) == TASKS
        tasks = [value for task, value in scores.items() if task != "mean"]
        assert trial.value == scores["mean"] == pytest.approx(sum(tasks) / 3)
    from transformers import AutoModelForSequenceClassification

    import explorer.models  # noqa: F401 - registers the architecture with transformers

    model = AutoModelForSequenceClassification.from_pretrained(trials[0].info["folder"] + "/package")
    assert "pandas" in model.config.label2id


def test_a_stopped_study_gives_its_trial_back_and_resumes_from_its_checkpoints(trained):
    def scored():
        return first_run(trained, "stop") is not None and (first_run(trained, "stop") / "scores.json").is_file()

    stopped = run(trained, plan("stop", 1), scored)
    folder = first_run(trained, "stop")
    (trial,) = trained.trials("stop")
    assert stopped.state is StudyState.STOPPED
    assert trial.state is TrialStatus.WAITING
    done_before = (folder / "pretrained" / "pretraining.json").stat().st_mtime_ns
    finished = run(trained, plan("stop", 1))
    assert finished.state is StudyState.DONE
    assert (folder / "pretrained" / "pretraining.json").stat().st_mtime_ns == done_before


def test_one_failed_training_does_not_stop_the_study(trained):
    study = open_study(trained, plan("fail", 2, SHORT))
    driver = StudyDriver(trained, study, space_candidates(trained, "small"))
    (trial,) = driver.refill(1)
    choices = TrainingChoices.of(SHORT)
    digest = choices.run_digest(choices.prepare(data_cache(trained.url)), trial.architecture, 0)
    blocked = run_folder(trained.url, "fail", f"0000-{digest}")
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder should be")
    study = run(trained, plan("fail", 2, SHORT))
    first, second = trained.trials("fail")
    assert study.state is StudyState.DONE
    assert (first.state, second.state) == (TrialStatus.FAILED, TrialStatus.COMPLETE)
    assert "0000-" in first.reason


@pytest.mark.parametrize("early", [True, False], ids=["while its workers load", "while they train"])
def test_workers_do_not_outlive_a_killed_coordinator_and_its_study_is_free_again(trained, early):
    arguments = ["search", "--space", "small", "--recipe", "quick", "--study", "orphan", "--budget", "1"]
    job = launch(trained, "search", [*arguments, "--policy", "random"], {"studies": ["orphan"]})
    with pytest.raises(InputError, match=job.id):
        require_free(trained, ["orphan"], "")
    require_free(trained, ["orphan"], job.id)
    require_free(trained, ["another"], "")
    wait_for(lambda: workers_of("orphan") if early else first_run(trained, "orphan"))
    (worker,) = workers_of("orphan")
    os.kill(trained.jobs()[0].pid, signal.SIGKILL)
    psutil.wait_procs([worker], timeout=60)
    assert workers_of("orphan") == []
    wait_for(lambda: refresh_jobs(trained)[0].state not in ACTIVE)
    require_free(trained, ["orphan"], "")
    release_dead(trained, trained.trials("orphan"))
    assert trained.claim_trial("orphan", "another:1", 60.0, time.time()) is not None


def test_another_closing_the_study_does_not_stop_those_who_run_it(store, tmp_path):
    closed = []

    def close_once(trials):
        if not closed and any(trial.state is TrialStatus.RUNNING for trial in trials):
            closed.append(store.update_study(STUDY, state=StudyState.STOPPED))
            (tmp_path / "go").touch()

    study = run_probes(store, LocalExecutor(1), "small", 1, {"folder": str(tmp_path), "wait": 0}, on_poll=close_once)
    assert closed
    assert study.state is StudyState.DONE


def test_a_study_does_not_go_on_with_other_data(trained):
    study = open_study(trained, plan("moved", 2))
    id = trained.architecture_ids("small")[0]
    trained.add_trials("moved", [(id, {})])
    trained.add_scores([ScoreRecord(id, "mean", "mean", 0.5, "elsewhere", "full", "quick", 0, "trained:moved/0")])
    with pytest.raises(InputError, match="text and tasks that it was started with"):
        run_trained(trained, study, ThreadExecutor(), SilentReporter(), lambda: False)


def test_a_worker_with_other_data_refuses_to_train(trained):
    study = open_study(trained, plan("elsewhere", 1))
    order = WorkerOrder(trained.url, study.name, study.created, data="another fingerprint")
    with pytest.raises(InputError, match="text and tasks that it has on the machine"):
        TrainingEvaluator(trained, study, order)


def test_the_demo_says_what_it_found_and_repeats_nothing(trained, monkeypatch):
    monkeypatch.setattr(demo, "load_space", lambda name: dataclasses.replace(load_space(name), layers=(2,)))
    monkeypatch.setattr(demo, "WORKERS", 1)
    small = search("demo-test", "nano", "boshnas", budget=2, initial=2, evaluation=SHORT)
    first = demo.run_demo(trained, small, SilentReporter())
    assert (first.architectures, first.scored, first.failed) == (96, 2, 0)
    assert first.best["value"] == max(t.value for t in trained.trials("demo-test"))
    assert set(first.best["scores"]) == set(first.best["majority"]) == set(first.best["chance"]) == TASKS
    assert first.best["majority"]["order"] == pytest.approx(0.5, abs=0.2)
    assert first.best["majority"]["mean"] == pytest.approx(
        sum(level for task, level in first.best["majority"].items() if task != "mean") / 3
    )
    revision = trained.revision("scores")
    again = demo.run_demo(trained, small, SilentReporter())
    assert again.best == first.best
    assert trained.revision("scores") == revision
