"""Executors by name."""

from __future__ import annotations

from enum import StrEnum

from explorer.errors import InputError
from explorer.studies.executors.contract import Executor, Resources


class ExecutorKind(StrEnum):
    """Where workers run."""

    LOCAL = "local"
    RAY = "ray"


def make_executor(
    kind: ExecutorKind | str, workers: int, resources: Resources, ray_address: str = "", shared_store: bool = False
) -> Executor:
    """Make an executor. Its library is imported now; it holds nothing yet.

    Args:
        kind: ``local`` or ``ray``.
        workers: largest number of parallel trials.
        resources: resources of each trial.
        ray_address: as ``explorer.studies.executors.ray_cluster.RayExecutor`` takes it; empty for its default.
        shared_store: as there.

    Raises:
        InputError: no such kind, a number breaks a rule, an option belongs to another kind, or a library is missing.
    """
    if kind not in list(ExecutorKind):
        rule = f"be one of {', '.join(ExecutorKind)}"
        raise InputError("executor", rule, str(kind), "Choose one of them.")
    if kind == ExecutorKind.LOCAL:
        if ray_address or shared_store:
            given = ray_address or shared_store
            raise InputError("Ray address and shared store", "come with executor ray", given, "Leave them out.")
        from explorer.studies.executors.local import LocalExecutor

        return LocalExecutor(workers, resources)
    from explorer.studies.executors.ray_cluster import LOCAL, RayExecutor

    return RayExecutor(workers, resources, ray_address or LOCAL, shared_store)
