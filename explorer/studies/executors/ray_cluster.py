"""Workers as actors of a Ray cluster: placed by their resources, spread over the nodes, replaced when a node is lost.

This is the only module that imports Ray, and it does so only when a cluster is used. Ray's own retries are off: the
store gives the trial of a dead worker out again. See https://docs.ray.io/en/latest/ray-core/actors.html.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from explorer.errors import Advice, InputError, Remedy
from explorer.studies.executors.contract import STOP_S, Crew, Ended, Executor, Resources, WorkerOrder, WorkerStatus
from explorer.studies.executors.store_access import KEPT_VARIABLES, is_of_one_machine
from graphstore import GraphStore

LOCAL = "local"
"""Address that starts a small cluster on this machine."""
AUTO = "auto"
"""Address of the cluster that this machine is part of."""
CONNECT_S = 5.0
LOOPBACK = "127.0.0.1"


class RayWorker:
    """The actor: runs ``explorer.studies.worker.Worker`` in one thread and receives ``stop`` in another.

    Args:
        order: the worker's order.
        environment: variables to set, among them those for the log-in to the store.
        only_host: the one machine from which the store can be reached; empty for any.
    """

    def __init__(self, order: WorkerOrder, environment: Mapping[str, str], only_host: str) -> None:
        os.environ.update(environment)
        self._order, self._only_host = order, only_host
        self._stopping = threading.Event()

    def hello(self) -> tuple[str, str, str]:
        """Return the owner of its leases, the host and Ray's id of the node."""
        import ray

        from explorer.studies.driver import owner_name

        return owner_name(), socket.gethostname(), ray.get_runtime_context().get_node_id()

    def run(self) -> None:
        """Work until the study is closed or ``stop`` was called."""
        from explorer.studies.worker import Worker
        from graphstore import open_store

        if self._only_host and self._only_host != socket.gethostname():
            raise unreachable(self._order.store, [socket.gethostname()])
        logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
        with open_store(self._order.store, create=False) as store:
            Worker(store, self._order, self._stopping.is_set).run()

    def stop(self) -> None:
        """Give back the running trial at its next step, and end."""
        self._stopping.set()


class RayExecutor(Executor):
    """Starts an actor per worker on a Ray cluster.

    Args:
        workers: number of actors; those that find no place wait for one.
        resources: of each; ``gpus`` ``None`` is none.
        address: ``local`` for a cluster of this machine alone, started here; ``auto`` for the one this machine is part
            of; ``HOST:PORT`` of a head node; ``ray://HOST:PORT`` from outside.
        shared_store: the user's word that every node reaches an embedded store, or a server of this machine, by the
            same URL.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(
        self, workers: int, resources: Resources | None = None, address: str = LOCAL, shared_store: bool = False
    ) -> None:
        super().__init__(workers, resources)
        self._address, self._shared_store = address, shared_store
        self._connected = False
        self._ray = _imported()

    def check(self, store_url: str) -> None:
        """Connect; see whether some node has the resources of a trial, and all of them can reach the store."""
        self._connect()
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        wanted = {"CPU": self.resources.threads, "GPU": self.resources.gpus or 0}
        if not any(all(node["Resources"].get(kind, 0) >= n for kind, n in wanted.items()) for node in nodes):
            had = "; ".join(
                f"{n['Resources'].get('CPU', 0):g} CPU, {n['Resources'].get('GPU', 0):g} GPU" for n in nodes
            )
            rule = f"fit on one node of the cluster ({had})"
            shown = f"{wanted['CPU']} CPU, {wanted['GPU']:g} GPU per trial"
            raise InputError("resources", rule, shown, "Ask for less, or start a larger node.")
        others = sorted({node["NodeManagerHostname"] for node in nodes} - {socket.gethostname()})
        if others and self._only_host(store_url):
            raise unreachable(store_url, others)

    def start(self, store: GraphStore, order: WorkerOrder) -> RayCrew:
        """Return a crew of actors, spread over the nodes."""
        self._connect()
        gpus = self.resources.gpus or 0
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | dict(store.login)
        environment |= {"OMP_NUM_THREADS": str(order.threads), "TOKENIZERS_PARALLELISM": "false"}
        # Whether Ray hides the GPUs from actors that asked for none differs with its version and settings.
        environment |= {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
        options = {
            "num_cpus": self.resources.threads,
            "num_gpus": gpus,
            "max_concurrency": 2,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
        }
        actor = self._ray.remote(RayWorker).options(**options)
        return RayCrew(store, order, self.workers, self._ray, actor, environment, self._only_host(store.url))

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def _only_host(self, store_url: str) -> str:
        return socket.gethostname() if is_of_one_machine(store_url) and not self._shared_store else ""

    def _connect(self) -> None:
        if self._ray.is_initialized():  # The caller's own code has connected, and ends the connection.
            return
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address == LOCAL:
            quiet |= {"include_dashboard": False, "_node_ip_address": LOOPBACK}
        else:
            _check_listening(self._address)
        try:
            self._ray.init(address=self._address, **quiet)
        except (OSError, RuntimeError, ValueError, ImportError, self._ray.exceptions.RayError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise _no_cluster(self._address, first_line) from error
        self._connected = True


@dataclass
class _Member:
    """One actor and its pending results: ``greeting`` of ``hello``, ``work`` of ``run``."""

    actor: Any
    greeting: Any
    work: Any
    owner: str = ""
    host: str = ""
    node: str = ""


class RayCrew(Crew):
    """Actors of one study.

    Args:
        store: where the study is.
        order: for every worker.
        size: how many.
        ray: the library.
        actor: the actor's class with its options.
        environment: variables for every actor.
        only_host: as in RayWorker.
    """

    def __init__(
        self,
        store: GraphStore,
        order: WorkerOrder,
        size: int,
        ray: Any,
        actor: Any,
        environment: Mapping[str, str],
        only_host: str,
    ) -> None:
        super().__init__(store, order, size)
        self._ray, self._actor = ray, actor
        self._environment, self._only_host = environment, only_host
        self._members: list[_Member] = []

    def status(self) -> list[WorkerStatus]:
        """Return the actors that were started; those that wait for resources have no place."""
        return [WorkerStatus(m.owner, f"{m.host}, node {m.node[:8]}" if m.host else "") for m in self._members]

    def _start(self) -> None:
        actor = self._actor.remote(self._order, self._environment, self._only_host)
        self._members.append(_Member(actor, actor.hello.remote(), actor.run.remote()))

    def _collect(self) -> list[Ended]:
        for member in self._members:
            self._greet(member)
        ready = self._ready([member.work for member in self._members], 0)
        ended = []
        for member in [m for m in self._members if m.work in ready]:
            self._members.remove(member)
            ended.append(self._obituary(member))
            self._ray.kill(member.actor)
        return ended

    def _greet(self, member: _Member) -> None:
        if not member.owner and self._ready([member.greeting], 0):
            try:
                member.owner, member.host, member.node = self._ray.get(member.greeting)
            except self._ray.exceptions.RayError:
                return  # It has died; ``work`` says why.

    def _obituary(self, member: _Member) -> Ended:
        errors = self._ray.exceptions
        try:
            self._ray.get(member.work)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            return Ended(member.owner, f"the last one said: {cause}", crashed=True)
        except errors.ActorUnavailableError as error:  # Its node has just gone, or cannot be reached.
            return Ended(member.owner, str(error), crashed=False)
        except errors.RayError as error:
            alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
            return Ended(member.owner, str(error), crashed=not member.node or member.node in alive)
        return Ended(member.owner, "the study was closed", crashed=False)

    def _end(self) -> list[str]:
        working = []
        for member in self._members:
            self._greet(member)
            if member.owner:
                member.actor.stop.remote()
                working.append(member.work)
        self._ready(working, STOP_S)
        for member in self._members:
            self._ray.kill(member.actor)  # This also removes actors that wait for resources from Ray's queue.
        owners = [member.owner for member in self._members]
        self._members.clear()
        return owners

    def _ready(self, references: list[Any], seconds: float) -> list[Any]:
        if not references:
            return []
        return self._ray.wait(references, num_returns=len(references), timeout=seconds)[0]


def unreachable(store_url: str, hosts: list[str]) -> InputError:
    """Return the error for a store that other machines cannot reach."""
    rule = f"be reachable from every machine of the cluster, also from {', '.join(hosts[:5])}"
    return InputError("store", rule, store_url, Advice(Remedy.SHARED_STORE))


def _imported() -> Any:
    # Disable Ray's usage statistics, and its warning about CUDA_VISIBLE_DEVICES, which ``start`` sets.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Under `uv run`, Ray would start every worker by `uv run` in a copy of the current folder, and install an
    # environment first. Workers use their node's environment (docs/clusters.md). Ray reads this when it is imported.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        remedy = "Run: pip install 'architecture-explorer[cluster]'"
        raise InputError("executor", "have the extra 'cluster' installed", "ray", remedy) from None
    return ray


def _check_listening(address: str) -> None:
    """Raise InputError immediately for an address that Ray would try for minutes."""
    if address == AUTO:
        return
    try:
        parts = urlsplit(address if "://" in address else f"ray://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise _no_cluster(address, "it names no host and port")
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, why: str) -> InputError:
    rule = f"be of a running Ray cluster: {LOCAL}, {AUTO}, HOST:PORT or ray://HOST:PORT ({why})"
    remedy = "Start one by `ray start --head`; for ray:// also run: pip install 'ray[client]'"
    return InputError("Ray address", rule, address, remedy)
