"""The options of ``archex search`` that say where its trials are trained."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.errors import InputError
from explorer.runner.executors.contract import MAX_WORKERS, Executor, Resources
from explorer.runner.executors.registry import ExecutorKind, make_executor

WorkersOption = Annotated[int, typer.Option("--workers", help="Trainings at the same time.")]
ExecutorOption = Annotated[
    str, typer.Option("--executor", help="local: processes of this machine. ray: a cluster; see docs/clusters.md.")
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--ray-address", help="auto, HOST:PORT or ray://HOST:PORT of a running cluster; default: one is started here."
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads-per-trial", help="CPU threads of each training.")]
GpusOption = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        help="GPUs of each training; 0.5 for two on each, 0 for none. Default: local workers share all, ray has none.",
    ),
]
SharedStoreOption = Annotated[
    bool,
    typer.Option("--shared-store", help="All nodes are on one machine and reach the store's file at the same path."),
]


def chosen_executor(
    kind: str, workers: int, threads: int, gpus: float | None, ray_address: str, shared_store: bool
) -> Executor:
    """The executor that the options name. Raises InputError."""
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError("--workers", f"be from 1 to {MAX_WORKERS}", workers, "Use one or two per core.")
    return make_executor(
        ExecutorKind(kind) if kind in list(ExecutorKind) else kind,
        workers,
        Resources(threads, gpus),
        ray_address,
        shared_store,
    )
