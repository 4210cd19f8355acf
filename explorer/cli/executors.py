"""The options of ``archex search`` for the executor of its trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from explorer.errors import InputError
from explorer.studies.executors.contract import MAX_WORKERS, Executor, Resources
from explorer.studies.executors.registry import ExecutorKind, make_executor


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Options of an executor; every field is one."""

    workers: Annotated[int, typer.Option("--workers", help="Number of parallel trainings.")] = 2
    executor: Annotated[
        str, typer.Option("--executor", help="local: processes of this machine. ray: a cluster; see docs/clusters.md.")
    ] = "local"
    ray_address: Annotated[
        str,
        typer.Option(
            "--ray-address",
            help="auto, HOST:PORT or ray://HOST:PORT of a running cluster; default: one is started here.",
        ),
    ] = ""
    threads: Annotated[int, typer.Option("--threads-per-trial", help="CPU threads of each training.")] = 1
    gpus: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-trial",
            help="GPUs of each training; 0.5 for two on each, 0 for none. Default: local workers share all, ray uses "
            "none.",
        ),
    ] = None
    shared_store: Annotated[
        bool,
        typer.Option(
            "--shared-store", help="All nodes are on one machine and reach the store's file at the same path."
        ),
    ] = False

    def make(self) -> Executor:
        """Return the executor that the options name. Raises InputError."""
        if not 1 <= self.workers <= MAX_WORKERS:
            raise InputError("--workers", f"be from 1 to {MAX_WORKERS}", self.workers, "Use one or two per core.")
        return make_executor(
            ExecutorKind(self.executor) if self.executor in list(ExecutorKind) else self.executor,
            self.workers,
            Resources(self.threads, self.gpus),
            self.ray_address,
            self.shared_store,
        )

    def check_untrained(self) -> None:
        """Raise InputError if options for trainings are given; call it where nothing is trained."""
        if (self.executor, self.threads, self.gpus) != ("local", 1, None):
            rule = "come without --executor ray, --threads-per-trial and --gpus-per-trial"
            raise InputError("--from-scores", rule, True, "Nothing is trained then.")
