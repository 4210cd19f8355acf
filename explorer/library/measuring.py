"""Measure architectures on this machine and keep what was measured in the store.

Every number goes in as it is known, so an interrupted run is finished by the same command; what is in the store under
the same device and load is not measured again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.errors import ExplorerError, InputError
from explorer.measure.settings import Load
from explorer.measure.size import parameters
from explorer.progress import Reporter
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.records import MeasurementRecord

if TYPE_CHECKING:
    from explorer.measure.counting import CountedFlops
    from explorer.measure.latency import Latency
    from explorer.measure.memory import PeakMemory

ANY_DEVICE = "any"
"""Device of what is counted and the same on all of them."""
MEASURING = "measuring"
"""Phase told to the reporter."""


@dataclass(frozen=True)
class Bench:
    """Where and how to measure.

    Attributes:
        load: what the models run on.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        threads: threads of one operation, on a processor.
        repeats: timed forward passes.
        memory: whether to measure peak memory too, which takes two fresh processes per architecture.
    """

    load: Load
    device: str = "cpu"
    threads: int = 1
    repeats: int = 30
    memory: bool = False

    def name(self) -> str:
        """The device's name in the store. Raises InputError if there is no such device."""
        from explorer.measure.machine import check_threads, device_name, parse_device

        check_threads(self.threads)
        return device_name(parse_device(self.device), self.threads)

    def quantities(self) -> set[tuple[str, str]]:
        """(device, quantity) of one number of each kind that ``measure`` gives."""
        memory = {(self.name(), self.load.quantity(f"peak_memory_{use}")) for use in ("inference", "training")}
        counted = {(ANY_DEVICE, self.load.quantity("flops")), (self.name(), self.load.quantity("latency"))}
        return counted | memory if self.memory else counted


@dataclass(frozen=True)
class Measured:
    """What was measured of one architecture.

    Attributes:
        device: name of the device.
        load: what it ran on.
        parameters: weights of encoder and embeddings.
        flops: counted FLOPs of a batch.
        latency: seconds of a forward pass.
        memory: peak memory of inference and of training, if it was asked for.
    """

    device: str
    load: Load
    parameters: int
    flops: CountedFlops
    latency: Latency
    memory: tuple[PeakMemory, ...]

    def records(self, architecture: str) -> list[MeasurementRecord]:
        """The same for the store."""
        return list(self._records(architecture))

    def _records(self, id: str) -> Iterator[MeasurementRecord]:
        name, latency = self.load.quantity, self.latency
        for quantity, flops in (("flops", self.flops.forward), ("training_flops", self.flops.training)):
            yield MeasurementRecord(id, ANY_DEVICE, name(quantity), float(flops), "FLOPs")
        # The plain name is the median's, as it is what a limit on latency means.
        timed = {"": latency.p50, "_mean": latency.mean, "_p90": latency.p90, "_p95": latency.p95}
        for suffix, seconds in timed.items():
            yield MeasurementRecord(id, self.device, name(f"latency{suffix}"), seconds, "s")
        for one in self.memory:
            yield MeasurementRecord(id, self.device, name(f"peak_memory_{one.use}"), float(one.peak), "bytes")


def measure(spec: ArchitectureSpec, bench: Bench) -> Measured:
    """Measure one architecture here and now.

    Raises:
        InputError: there is no such device, or a number is out of range.
        ExplorerError: it does not fit into memory.
    """
    import torch

    from explorer.measure.counting import count_flops
    from explorer.measure.latency import measure_latency
    from explorer.measure.machine import parse_device
    from explorer.measure.memory import Use, measure_memory

    name, device = bench.name(), parse_device(bench.device)
    flops = count_flops(spec, bench.load)
    try:
        latency = measure_latency(spec, bench.load, device, bench.threads, bench.repeats)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ExplorerError(f"the model does not fit into the memory of {name}: {error}") from None
    memory = [measure_memory(spec, bench.load, device, use, bench.threads) for use in Use] if bench.memory else []
    size = parameters(spec, vocab_size=bench.load.vocabulary)
    return Measured(name, bench.load, size, flops, latency, tuple(memory))


@dataclass(frozen=True)
class Filled:
    """What ``measure_missing`` did.

    Attributes:
        device: name of the device.
        new: architectures measured now.
        before: those of the chosen ones that were measured before.
        failed: (id, reason) of those that could not be measured.
    """

    device: str
    new: int
    before: int
    failed: tuple[tuple[str, str], ...]


def measure_missing(
    store: GraphStore, space: str, limit: int, bench: Bench, reporter: Reporter, seed: int = 0
) -> Filled:
    """Measure the first architectures of a random order of a space, leaving out what was measured before.

    The order is random so that what is measured stands for the space, and the same in every run, so that a repeated
    call goes on where the last one was and a larger ``limit`` adds to it.

    Args:
        store: where from and where to.
        space: name of the space.
        limit: so many architectures are measured in the end, those of earlier runs included.
        bench: where and how.
        reporter: told of the phase ``measuring``.
        seed: of the order.

    Raises:
        InputError: ``limit`` is below 1, or the bench is no good.
        NotFoundError: no such space.
    """
    if limit < 1:
        raise InputError("limit", "be at least 1", limit, "Say how many architectures to measure.")
    store.space(space)
    ids = store.architecture_ids(space)
    chosen = [ids[place] for place in np.random.default_rng(seed).permutation(len(ids))[:limit]]
    wanted, held = bench.quantities(), _held(store, space)
    todo = [id for id in chosen if not wanted <= held.get(id, set())]
    failed: list[tuple[str, str]] = []
    before = len(chosen) - len(todo)
    for turn, summary in enumerate(store.summaries(ids=todo)):
        reporter.update(MEASURING, before + turn, len(chosen), summary.id[:12])
        try:
            store.add_measurements(measure(from_json(summary.spec), bench).records(summary.id))
        except InputError:
            raise
        except ExplorerError as error:
            failed.append((summary.id, str(error)))
    reporter.update(MEASURING, len(chosen), len(chosen))
    return Filled(bench.name(), len(todo) - len(failed), before, tuple(failed))


def _held(store: GraphStore, space: str) -> dict[str, set[tuple[str, str]]]:
    held: dict[str, set[tuple[str, str]]] = {}
    for record in store.measurements(space=space):
        held.setdefault(record.architecture, set()).add((record.device, record.quantity))
    return held
