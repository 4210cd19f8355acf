"""Measure architectures on this machine and store the measurements.

Each architecture is stored as soon as it is measured, so the same command resumes an interrupted run. Architectures
that have measurements for the same device and load are skipped.
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
"""Device of quantities that are counted and therefore the same everywhere."""
MEASURING = "measuring"
"""Phase reported while measuring."""


@dataclass(frozen=True)
class Bench:
    """Settings of a measurement.

    Attributes:
        load: size of the batch that the models run on.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        threads: intra-operation threads on a CPU.
        repeats: number of timed forward passes.
        memory: whether to measure peak memory too, which starts two processes per architecture.
    """

    load: Load
    device: str = "cpu"
    threads: int = 1
    repeats: int = 30
    memory: bool = False

    def name(self) -> str:
        """Return the device's name in the store. Raises InputError if the device does not exist."""
        from explorer.measure.machine import check_threads, device_name, parse_device

        check_threads(self.threads)
        return device_name(parse_device(self.device), self.threads)

    def quantities(self) -> set[tuple[str, str]]:
        """Return (device, quantity) of one representative of each kind of measurement that ``measure`` makes."""
        memory = {(self.name(), self.load.quantity(f"peak_memory_{use}")) for use in ("inference", "training")}
        counted = {(ANY_DEVICE, self.load.quantity("flops")), (self.name(), self.load.quantity("latency"))}
        return counted | memory if self.memory else counted


@dataclass(frozen=True)
class Measured:
    """Measurements of one architecture.

    Attributes:
        device: name of the device.
        load: size of the batch.
        parameters: number of parameters of encoder and embeddings.
        flops: counted FLOPs of a batch.
        latency: latency of a forward pass in seconds.
        memory: peak memory of inference and of training in bytes; empty unless requested.
    """

    device: str
    load: Load
    parameters: int
    flops: CountedFlops
    latency: Latency
    memory: tuple[PeakMemory, ...]

    def records(self, architecture: str) -> list[MeasurementRecord]:
        """Return the measurements as records of the store."""
        return list(self._records(architecture))

    def _records(self, id: str) -> Iterator[MeasurementRecord]:
        name, latency = self.load.quantity, self.latency
        for quantity, flops in (("flops", self.flops.forward), ("training_flops", self.flops.training)):
            yield MeasurementRecord(id, ANY_DEVICE, name(quantity), float(flops), "FLOPs")
        # The median has the plain name, because constraints on latency refer to it.
        timed = {"": latency.p50, "_mean": latency.mean, "_p90": latency.p90, "_p95": latency.p95}
        for suffix, seconds in timed.items():
            yield MeasurementRecord(id, self.device, name(f"latency{suffix}"), seconds, "s")
        for memory in self.memory:
            yield MeasurementRecord(id, self.device, name(f"peak_memory_{memory.use}"), float(memory.peak), "bytes")


def measure(spec: ArchitectureSpec, bench: Bench) -> Measured:
    """Measure one architecture on this machine.

    Raises:
        InputError: the device does not exist, or a setting is out of range.
        ExplorerError: the model does not fit into memory.
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
    """Result of ``measure_missing``.

    Attributes:
        device: name of the device.
        new: number of architectures measured by this call.
        before: number of selected architectures that were measured before.
        failed: (id, reason) of the architectures that could not be measured.
    """

    device: str
    new: int
    before: int
    failed: tuple[tuple[str, str], ...]


def measure_missing(
    store: GraphStore, space: str, limit: int, bench: Bench, reporter: Reporter, seed: int = 0
) -> Filled:
    """Measure a random sample of a space, skipping architectures that were measured before.

    The sample is a prefix of a seeded permutation: a repeated call resumes it, and a larger ``limit`` extends it.

    Args:
        store: holds the space and receives the measurements.
        space: name of the space.
        limit: size of the sample, including architectures measured before.
        bench: settings of the measurement.
        reporter: gets the phase ``measuring``.
        seed: seed of the permutation.

    Raises:
        InputError: ``limit`` is below 1, or a setting is invalid.
        NotFoundError: the space does not exist.
    """
    if limit < 1:
        raise InputError("limit", "be at least 1", limit, "Give the number of architectures to measure.")
    store.space(space)
    ids = store.architecture_ids(space)
    chosen = [ids[index] for index in np.random.default_rng(seed).permutation(len(ids))[:limit]]
    wanted, held = bench.quantities(), _held(store, space)
    todo = [id for id in chosen if not wanted <= held.get(id, set())]
    failed: list[tuple[str, str]] = []
    before = len(chosen) - len(todo)
    for index, summary in enumerate(store.summaries(ids=todo)):
        reporter.update(MEASURING, before + index, len(chosen), summary.id[:12])
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
