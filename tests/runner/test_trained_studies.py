"""Studies that really train, with workers that die, coordinators that are killed, and trials that fail."""

import os
import signal
import time

import psutil
import pytest

from explorer.runner.demo import run_demo
from explorer.runner.jobs import launch
from explorer.runner.progress import SilentReporter
from explorer.runner.studies import StudyPlan, open_study
from explorer.runner.training import run_trained
from explorer.runner.workplace import run_folder, work_folder
from graphstore.records import StudyState, TrialStatus

pytestmark = pytest.mark.slow
QUICK = {"from_scores": False, "recipe": "quick", "tasks": [], "data": None, "initial": 2}
TASKS = {"mean", "order", "package", "pair"}


@pytest.fixture(scope="module")
def prepared_data(tmp_path_factory):
    """Text and tasks of the quick recipe, prepared once for all tests here."""
    from explorer.runner.training import TrainingChoices

    cache = tmp_path_factory.mktemp("prepared")
    TrainingChoices.from_settings(QUICK).prepare(cache)
    return cache


@pytest.fixture
def trained(store, prepared_data):
    """The store of the runner's tests, with the prepared data in its work folder."""
    folder = work_folder(store.url)
    folder.mkdir()
    (folder / "data").symlink_to(prepared_data)
    return store


def plan(name, budget):
    return StudyPlan(name, "small", "boshnas", "mean", 0, budget, QUICK)


def workers_of(study):
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "explorer.runner.worker" in command and command[-1] == study:
            found.append(process)
    return found


def test_a_killed_workers_trial_is_trained_by_another(trained):
    killed = []

    def watch(trials):
        for trial in trials:
            if not killed and trial.state is TrialStatus.RUNNING and (run_folder(trained.url, "kill", 0)).is_dir():
                pid = int(trial.owner.rpartition(":")[2])
                os.kill(pid, signal.SIGKILL)
                killed.append(trial.number)

    study = run_trained(trained, open_study(trained, plan("kill", 2)), 2, SilentReporter(), lambda: False, watch)
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

    model = AutoModelForSequenceClassification.from_pretrained(run_folder(trained.url, "kill", 0) / "package")
    assert model.config.num_labels > 2


def test_a_stopped_study_gives_its_trial_back_and_resumes_from_its_checkpoints(trained):
    folder = run_folder(trained.url, "stop", 0)
    stopped = run_trained(
        trained,
        open_study(trained, plan("stop", 1)),
        1,
        SilentReporter(),
        lambda: (folder / "scores.json").is_file(),
    )
    (trial,) = trained.trials("stop")
    assert stopped.state is StudyState.STOPPED
    assert trial.state is TrialStatus.WAITING
    assert workers_of("stop") == []
    done_before = (folder / "pretrained" / "pretraining.json").stat().st_mtime_ns
    finished = run_trained(trained, open_study(trained, plan("stop", 1)), 1, SilentReporter(), lambda: False)
    assert finished.state is StudyState.DONE
    assert (folder / "pretrained" / "pretraining.json").stat().st_mtime_ns == done_before


def test_one_failed_training_does_not_stop_the_study(trained):
    foreign = run_folder(trained.url, "fail", 0)
    foreign.mkdir(parents=True)
    (foreign / "run.json").write_text('{"architecture": "another"}')
    study = run_trained(trained, open_study(trained, plan("fail", 2)), 1, SilentReporter(), lambda: False)
    first, second = trained.trials("fail")
    assert study.state is StudyState.DONE
    assert (first.state, second.state) == (TrialStatus.FAILED, TrialStatus.COMPLETE)
    assert "run folder" in first.reason


def test_workers_do_not_outlive_a_killed_coordinator(trained):
    arguments = ["search", "--space", "small", "--recipe", "quick", "--study", "orphan", "--budget", "1"]
    job = launch(trained, "search", [*arguments, "--workers", "1", "--initial", "2"])
    wait_until(lambda: run_folder(trained.url, "orphan", 0).is_dir())
    (worker,) = workers_of("orphan")
    os.kill(trained.jobs()[0].pid, signal.SIGKILL)
    psutil.wait_procs([worker], timeout=60)
    assert workers_of("orphan") == []
    assert job.id == trained.jobs()[0].id
    study = run_trained(trained, open_study(trained, plan("orphan", 1)), 1, SilentReporter(), lambda: False)
    assert study.state is StudyState.DONE
    assert trained.trials("orphan")[0].state is TrialStatus.COMPLETE


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def test_the_demo_says_what_it_found_and_repeats_nothing(trained):
    small = StudyPlan("demo-test", "nano", "boshnas", "mean", 0, 2, {**QUICK, "initial": 2})
    first = run_demo(trained, small, SilentReporter())
    assert (first.architectures, first.scored, first.failed) == (9_312, 2, 0)
    assert first.best["value"] == max(t.value for t in trained.trials("demo-test"))
    assert set(first.best["scores"]) == TASKS
    revision = trained.revision("scores")
    again = run_demo(trained, small, SilentReporter())
    assert again.best == first.best
    assert trained.revision("scores") == revision
