"""Both executors keep one contract; a Ray cluster loses a node and no finished work."""

import contextlib

import psutil
import pytest
from typer.testing import CliRunner

from explorer.cli.main import build
from explorer.errors import InputError
from explorer.studies.executors.contract import Resources, WorkerOrder
from explorer.studies.executors.local import LocalExecutor, gpu_shares
from explorer.studies.executors.ray_cluster import RayWorker
from explorer.studies.executors.registry import make_executor
from explorer.studies.executors.store_access import is_of_one_machine
from explorer.studies.managing import extend_study, open_study
from explorer.studies.worker import Worker
from explorer.testing.executor_probe import run_probes
from explorer.testing.executors import ExecutorContractSuite, alive, notes
from explorer.testing.searches import search
from graphstore.records import StudyState, TrialStatus

STORE_BYTES = 80_000_000


class TestLocalExecutor(ExecutorContractSuite):
    def options(self):
        return {"kind": "local"}

    def make(self, workers, resources=None):
        return LocalExecutor(workers, resources, gpus=("0", "1"))

    def test_there_are_no_more_workers_than_trials_and_a_longer_study_gets_more(self, store, folder):
        before = []

        def extend_when_it_runs(trials):
            if not before and notes(folder):
                before.extend(child.pid for child in psutil.Process().children() if "--study" in child.cmdline())
                extend_study(store, store.study("probes"), budget=2)

        # The first trial waits for the second one to begin, which takes another worker.
        with self.make(2) as executor:
            run_probes(store, executor, "small", 1, {"folder": str(folder), "together": 2}, on_poll=extend_when_it_runs)
        assert [trial.state for trial in store.trials("probes")] == [TrialStatus.COMPLETE] * 2
        assert before == [notes(folder)["0-1"]["pid"]]


@pytest.fixture(scope="class")
def cluster(request):
    """A head that runs no trials, and one node for them."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra 'cluster'")
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    made.add_node(num_cpus=2, num_gpus=2, object_store_memory=STORE_BYTES)
    request.cls.cluster = made
    yield made
    made.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
class TestRayExecutor(ExecutorContractSuite):
    def options(self):
        return {"kind": "ray", "ray_address": self.cluster.address}

    def make(self, workers, resources=None):
        return make_executor(workers=workers, resources=resources or Resources(), **self.options())

    def test_a_lost_node_costs_no_finished_work_and_its_trial_is_retried(self, store, folder):
        doomed = self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        (raylet,) = (entry.process.pid for entry in doomed.all_processes["raylet"])
        lost, finished_before = [], {}

        def lose_the_node(trials):
            done = {trial.number: trial for trial in trials if trial.state is TrialStatus.COMPLETE}
            for trial in trials:
                if len(done) == 2 and not lost and _parent(trial) == raylet and f"{trial.number}-1" in notes(folder):
                    lost.append(trial)
                    finished_before.update(done)
                    self.cluster.remove_node(doomed, allow_graceful=False)
            if lost and not alive({_pid(lost[0])}):  # Not before, or the dying worker might still finish its trial.
                (folder / "go").touch()

        # Three workers on three processors, so that one of them is on the doomed node.
        settings = {"folder": str(folder), "wait": 2}
        with self.make(3) as executor:
            study = run_probes(store, executor, "small", 5, settings, on_poll=lose_the_node)
        trials = store.trials("probes")
        assert study.state is StudyState.DONE
        assert [(trial.state, trial.value) for trial in trials] == [(TrialStatus.COMPLETE, float(n)) for n in range(5)]
        assert len(finished_before) == 2
        assert {number: trials[number] for number in finished_before} == finished_before
        retried = trials[lost[0].number]
        assert retried.token > lost[0].token
        assert retried.attempt == 1  # A lost node is not the trial's fault.
        assert notes(folder)[f"{retried.number}-1"]["pid"] != _pid(lost[0])
        sources = sorted(score.source for score in store.scores(task="probe"))
        assert sources == [f"trained:probes/{number}" for number in range(5)]


def _pid(trial):
    return int(trial.owner.rpartition(":")[2] or 0)


def _parent(trial):
    """The process that started the trial's worker: on a Ray node, its raylet."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(_pid(trial)).ppid()
    return None


@pytest.mark.parametrize(
    ("gpus", "per_trial", "shares"),
    [
        ("01", 1, ["0", "1"]),
        ("01", 0.5, ["0", "1", "0", "1"]),
        ("0", 0.3, ["0", "0", "0"]),
        ("0123", 2, ["0,1", "2,3"]),
        ("012", 2, ["0,1"]),
        ("", 1, []),
    ],
)
def test_gpus_are_shared_out(gpus, per_trial, shares):
    assert gpu_shares(list(gpus), per_trial) == shares


def test_the_gpus_of_this_process_are_those_it_was_given(store, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-3f")
    LocalExecutor(2, Resources(gpus=1)).check(store.url)
    with pytest.raises(InputError, match=r"at most 2 .*but got 3"):
        LocalExecutor(3, Resources(gpus=1)).check(store.url)


@pytest.mark.parametrize("given", [{"threads": 0}, {"gpus": -1}, {"gpus": 1.5}, {"gpus": float("nan")}, {"gpus": 65}])
def test_resources_that_make_no_sense_are_refused(given):
    with pytest.raises(InputError, match="per trial must be"):
        Resources(**given)


@pytest.mark.parametrize(
    "given", [{"kind": "slurm"}, {"kind": "local", "ray_address": "auto"}, {"kind": "local", "shared_store": True}]
)
def test_options_of_another_executor_are_refused(given):
    with pytest.raises(InputError, match=r"executor must be|come with executor ray"):
        make_executor(workers=1, resources=Resources(), **given)


@pytest.mark.parametrize(
    ("url", "alone"),
    [
        ("sqlite:////home/me/explorer.db", True),
        ("neo4j", True),
        ("neo4j://localhost:7687", True),
        ("bolt://127.0.0.1", True),
        ("bolt://[::1]:7687", True),
        ("neo4j+s://graphs.example.org:7687/neo4j", False),
        ("bolt://10.0.0.5:7687", False),
    ],
)
def test_stores_that_other_machines_cannot_reach_are_known(url, alone):
    assert is_of_one_machine(url) == alone


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--executor", "slurm"], "executor must be one of local, ray"),
        (["--ray-address", "auto"], "come with executor ray"),
        (["--workers", "0"], "--workers"),
        (["--threads-per-trial", "0"], "threads per trial"),
        (["--gpus-per-trial", "1.5"], "GPUs per trial"),
        (["--gpus-per-trial", "64"], "workers must be at most 0"),
        (["--from-scores", "--objective", "known", "--gpus-per-trial", "1"], "--from-scores"),
        (["--executor", "ray", "--ray-address", "nowhere"], "no host and port"),
        (["--executor", "ray", "--ray-address", "127.0.0.1:9"], "running Ray cluster"),
    ],
)
def test_the_command_line_refuses_before_it_writes(store, words, named, monkeypatch):
    if "ray" in words:
        pytest.importorskip("ray", reason="needs the extra 'cluster'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = CliRunner().invoke(build("search"), ["search", "--space", "small", "--store", store.url, *words])
    assert isinstance(done.exception, InputError)
    assert named in str(done.exception)
    assert store.studies() == []
    assert store.jobs() == []


def test_a_worker_on_another_machine_does_not_open_a_store_of_one_machine(store):
    worker = RayWorker(WorkerOrder(store.url, "any", 0.0), {}, only_host="elsewhere.example")
    with pytest.raises(InputError, match="reachable from every machine"):
        worker.run()


def test_a_worker_notices_that_its_store_is_another_one(store):
    study = open_study(store, search("twin", "small", budget=1))
    order = WorkerOrder(store.url, study.name, study.created + 1.0)
    with pytest.raises(InputError, match="study's own on every machine"):
        Worker(store, order, lambda: True)
