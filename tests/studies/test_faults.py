"""Faults of the machine: told apart from those of an architecture, they give the trial back and stop the study."""

import errno
import os
import shutil

import pytest

from explorer.errors import DataError, DiskError, MachineFault, TrainingFailed
from explorer.studies.budgets import MAX_ATTEMPTS
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.faults import FaultWatch, give_back, machine_fault
from explorer.studies.managing import open_study
from explorer.studies.spec import External
from explorer.studies.worker import Evaluation, Worker
from explorer.study import Study
from explorer.testing.searches import search
from graphstore.errors import LeaseLostError, StoreError
from graphstore.records import StudyState, TrialStatus


def system(name):
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), "/mnt/models/model.safetensors")


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "ENOTCONN", "EACCES", "EMFILE"])
def test_errors_of_the_system_are_faults_of_the_machine(name):
    fault = machine_fault(system(name))
    assert fault.certain
    assert os.strerror(getattr(errno, name)) in fault.text


@pytest.mark.parametrize(
    ("error", "certain"),
    [
        (DiskError("folder", "be a folder that can be written (no space)", "/mnt", "Free some space."), True),
        (StoreError("the disk is full under the store"), True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), True),
        (MemoryError(), False),
        (MachineFault("pre-training: out of memory"), False),
    ],
)
def test_so_are_full_disks_and_memory_that_others_hold(error, certain):
    assert machine_fault(error).certain is certain


@pytest.mark.parametrize(
    "error",
    [
        TrainingFailed("the loss became nan"),
        RuntimeError("shapes cannot be multiplied"),
        ValueError("no"),
        DataError("checkpoint", "be as it was written", "x", "Remove it."),
        OSError("Error no file named model.safetensors found"),  # of transformers: it has no number
        FileNotFoundError(errno.ENOENT, "No such file or directory", "config.json"),
    ],
)
def test_whatever_else_is_the_trials_own(error, tmp_path):
    assert machine_fault(error, tmp_path / "run") is None


def test_a_missing_file_in_a_missing_folder_is_a_lost_mount(tmp_path):
    folder = tmp_path / "mount" / "study" / "0000-run"
    folder.mkdir(parents=True)
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", str(folder / "run.json"))
    assert machine_fault(missing, folder) is None
    shutil.rmtree(tmp_path / "mount")
    assert machine_fault(missing, folder).certain


class Raising:
    """An evaluator whose trials raise the next of some errors, or are worth 1."""

    errors = ()

    def __init__(self, store, study, order):
        pass

    def folder(self, trial):
        return self.place

    def evaluate(self, trial, report, keep, should_stop):
        if self.errors:
            raise self.errors.pop(0)
        return Evaluation(1.0)


@pytest.fixture
def work(store, tmp_path, monkeypatch):
    """Runs a worker here on a study of two trials, whose evaluations raise the given errors one after another."""
    study = open_study(store, search("faulty", "small", "random", budget=2, evaluation=External()))
    store.add_trials("faulty", [(summary.id, {}) for summary in store.summaries("small")[:2]])
    monkeypatch.setattr(Raising, "place", tmp_path / "runs" / "run", raising=False)

    def run(*errors):
        monkeypatch.setattr(Raising, "errors", list(errors))
        order = WorkerOrder(store.url, "faulty", study.created, evaluator=f"{__name__}:Raising")
        monkeypatch.setattr("explorer.studies.worker.pkgutil.resolve_name", lambda name: Raising)

        def done():
            return not any(t.state in (TrialStatus.WAITING, TrialStatus.STALE) for t in store.trials("faulty"))

        Worker(store, order, done).run()
        return [(trial.state, trial.attempt) for trial in store.trials("faulty")]

    return run


def test_a_worker_that_meets_a_fault_gives_the_trial_back_and_ends(store, work):
    for met in (1, 2, 3, 4):
        assert work(system("ENOSPC")) == [(TrialStatus.WAITING, 0)] * 2
        assert store.trials("faulty")[0].info["faults"] == met
    assert work() == [(TrialStatus.COMPLETE, 1)] * 2


def test_an_architectures_own_fault_fails_it_and_the_worker_goes_on(work):
    assert work(RuntimeError("shapes")) == [(TrialStatus.FAILED, 1), (TrialStatus.COMPLETE, 1)]


def test_memory_that_is_always_too_little_fails_the_trial_at_last(store, work):
    for _ in range(MAX_ATTEMPTS - 1):
        assert work(MemoryError("cannot allocate")) == [(TrialStatus.WAITING, 0)] * 2
    assert work(MemoryError("cannot allocate")) == [(TrialStatus.FAILED, 1), (TrialStatus.COMPLETE, 1)]
    assert "MemoryError" in store.trials("faulty")[0].reason


def test_a_value_that_is_no_number_fails_the_trial(store, work, monkeypatch):
    monkeypatch.setattr(Raising, "evaluate", lambda *given: Evaluation(float("nan")))
    assert work() == [(TrialStatus.FAILED, 1)] * 2
    assert "be a finite value" in store.trials("faulty")[0].reason


def test_only_faults_since_the_start_stop_a_study(store, work):
    work(system("ESTALE"))
    before = store.trials("faulty")
    watch = FaultWatch(before)
    watch.check(before)
    work(system("EIO"))
    with pytest.raises(MachineFault, match=r"study faulty stopped: trial 0 met .*Input/output error") as stopped:
        watch.check(store.trials("faulty"))
    assert "\n" not in str(stopped.value)


def test_who_has_lost_the_trial_gives_nothing_back(store, work):
    claim = store.claim_trial("faulty", "one", 10.0, 1000.0)
    store.expire_leases("faulty", 2000.0, 3)
    with pytest.raises(LeaseLostError):
        give_back(store, claim, machine_fault(MemoryError()))


def test_a_loop_of_ones_own_stops_at_a_fault_and_goes_on_later(store):
    errors = [RuntimeError("diverged"), system("ENOSPC")]

    def evaluate(asked):
        if errors:
            raise errors.pop(0)
        return 1.0

    def opened():
        return Study.open(store.url, "own", space="small", policy="random", budget=3)

    with opened() as study, pytest.raises(OSError, match="No space left"):
        study.run(evaluate)
    first, second = store.trials("own")
    assert (first.state, first.reason) == (TrialStatus.FAILED, "RuntimeError: diverged")
    assert (second.state, second.attempt, second.info["faults"]) == (TrialStatus.WAITING, 0, 1)
    with opened() as study:
        study.run(evaluate)
    assert [trial.value for trial in store.trials("own")] == [None, 1.0, 1.0]
    assert store.study("own").state is StudyState.DONE
