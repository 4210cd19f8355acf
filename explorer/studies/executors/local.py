"""Workers as processes of this machine, each with its threads and optionally its own GPU or share of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from explorer.errors import InputError
from explorer.library.workplace import workers_log
from explorer.studies.driver import process_owner
from explorer.studies.executors.contract import STOP_S, Crew, Ended, Executor, Resources, WorkerOrder, WorkerStatus
from graphstore import GraphStore

VISIBLE = "CUDA_VISIBLE_DEVICES"
SHOWN_LINES = 12


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if (named := os.environ.get(VISIBLE)) is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip())
    import torch

    return tuple(str(index) for index in range(torch.cuda.device_count()))


def gpu_shares(gpus: Sequence[str], per_trial: float) -> list[str]:
    """Return ``CUDA_VISIBLE_DEVICES`` of every worker that fits, spread over the GPUs.

    Args:
        gpus: names of the GPUs.
        per_trial: a share below 1, or a whole number of GPUs.
    """
    if per_trial < 1:
        return list(gpus) * int(1 / per_trial + 1e-9)
    count = int(per_trial)
    return [",".join(gpus[i : i + count]) for i in range(0, len(gpus) - count + 1, count)]


class LocalExecutor(Executor):
    """Starts a process per worker.

    Args:
        workers: number of processes.
        resources: of each.
        gpus: names of the GPUs to use; those visible to this process if ``None``.
    """

    def __init__(self, workers: int, resources: Resources | None = None, gpus: Sequence[str] | None = None) -> None:
        super().__init__(workers, resources)
        self._gpus = gpus

    def check(self, store_url: str) -> None:
        """Raise InputError if there are fewer GPUs than the workers need; every store can be reached."""
        self._shares()

    def start(self, store: GraphStore, order: WorkerOrder) -> LocalCrew:
        """Return a crew of processes, which write their log into the store's work folder."""
        return LocalCrew(store, order, self._shares())

    def _shares(self) -> list[str | None]:
        per_trial = self.resources.gpus
        if not per_trial:
            return [None if per_trial is None else ""] * self.workers
        gpus = visible_gpus() if self._gpus is None else self._gpus
        shares = gpu_shares(gpus, per_trial)
        if len(shares) < self.workers:
            rule = f"be at most {len(shares)} with {per_trial:g} GPUs per trial ({len(gpus)} visible)"
            raise InputError("workers", rule, self.workers, "Use fewer workers, or a smaller share of a GPU for each.")
        return list(shares[: self.workers])


class LocalCrew(Crew):
    """Worker processes of one study on this machine.

    Args:
        store: where the study is.
        order: for every worker.
        shares: GPUs that each worker may see; ``None`` for those of this process.
    """

    def __init__(self, store: GraphStore, order: WorkerOrder, shares: Sequence[str | None]) -> None:
        super().__init__(store, order, len(shares))
        self._free = list(shares)
        self._processes: dict[subprocess.Popen[bytes], str | None] = {}
        self.log = workers_log(store.url, order.study)
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def status(self) -> list[WorkerStatus]:
        """Return the processes that were started."""
        return [WorkerStatus(process_owner(p.pid), f"process {p.pid}") for p in self._processes]

    def _start(self) -> None:
        share = self._free.pop(0)
        command = [sys.executable, "-m", "explorer.studies.worker", "--order", json.dumps(asdict(self._order))]
        command += ["--parent", str(os.getpid()), "--study", self._order.study]
        environment = {**os.environ, **self._store.login}
        environment |= {"OMP_NUM_THREADS": str(self._order.threads), "TOKENIZERS_PARALLELISM": "false"}
        environment |= {VISIBLE: share} if share is not None else {}
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self._processes[process] = share

    def _collect(self) -> list[Ended]:
        ended = []
        for process in [p for p in self._processes if p.poll() is not None]:
            self._free.append(self._processes.pop(process))
            # A worker exits with 0 only when its study was closed; its successor checks again.
            ended.append(Ended(process_owner(process.pid), self._last_words(), process.returncode != 0))
        return ended

    def _end(self) -> list[str]:
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        owners = [status.owner for status in self.status()]
        self._free += self._processes.values()
        self._processes.clear()
        return owners

    def _last_words(self) -> str:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
        return f"the end of {self.log}:\n{tail}"
