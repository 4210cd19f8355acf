"""The contract of all graph kernels: fitted on a library's graphs, then compare, place, explain, grow, save and load.

A kernel is a *normalised* similarity: 1 for graphs that it cannot tell apart, never above 1, never below 0. The
dissimilarity is 1 − it. Fitting remembers the reference graphs (their patterns, scales and principal axes), so that
everything afterwards is a product with stored arrays. ``explorer.similarity.registry`` makes kernels by name, and
``explorer.testing.kernels.GraphKernelSuite`` tests the laws stated here.

One kernel drives all of a library: its stored neighbours, its vectors and therefore its searches. The default,
``views``, predicts scores best (docs/results/predictive.md). Libraries that were built before a kernel could be chosen
have vectors by ``views`` and neighbours by ``weisfeiler_lehman``; they stay as they are.
"""

from __future__ import annotations

import io
import json
import time
import tracemalloc
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from explorer.errors import Advice, DataError, InputError, Remedy
from explorer.similarity.explanation import Explanation
from explorer.similarity.graph import ArchitectureGraph

Array = NDArray[np.float64]
Graphs = Sequence[ArchitectureGraph]
State = dict[str, Any]
"""Numpy arrays, and values that JSON can hold."""
Report = Callable[[int, int], object]
"""Called with (rows done, all rows)."""
DIMENSIONS = 16
SEED = 0
"""Seed of the generators that find axes and landmarks, so that the same library has the same vectors."""
MAX_HOURS = 2.0
MAX_BYTES = 8 * 2**30
ESTIMATE_SECONDS = 2.0


class EdgeDirection(StrEnum):
    """Which way along the edges a kernel looks from a node."""

    OUT = "out"
    """At what follows a node, as GraKeL reads a directed graph."""
    IN = "in"
    """At what comes before a node."""
    EITHER = "either"
    """Both count the same: reversing every edge of all graphs changes nothing."""


@dataclass(frozen=True)
class CostEstimate:
    """What fitting a library and finding its neighbours will take.

    Attributes:
        seconds: processor time.
        bytes: largest memory beyond the graphs themselves.
    """

    seconds: float
    bytes: int

    def check(self, kernel: str, max_hours: float = MAX_HOURS, max_bytes: int = MAX_BYTES) -> None:
        """Refuse a kernel that is too costly.

        Raises:
            InputError: the estimate is above one of the limits.
        """
        if not self.seconds <= 3600 * max_hours:
            rule = f"take at most {max_hours:g} hours by estimate"
            value = f"{kernel}: {self.seconds / 3600:.1f} hours"
            raise InputError("kernel", rule, value, Advice(Remedy.KERNEL_HOURS))
        if self.bytes > max_bytes:
            rule = f"need at most {max_bytes / 2**30:.1f} GB of memory by estimate"
            raise InputError("kernel", rule, f"{kernel}: {self.bytes / 2**30:.1f} GB", Advice(Remedy.CHEAPER_KERNEL))


class GraphKernel(ABC):
    """A normalised similarity of labelled directed graphs, fitted on the graphs of a library.

    The value of two graphs depends on them and on the fitted scales alone: neither on what else is compared, nor on how
    nodes are numbered.

    Attributes:
        name: what the store calls the kernel.
        direction: which way along the edges it looks.
        positive_semidefinite: whether every Gram matrix is, as methods that solve with it need.
        exact_neighbors: whether ``neighbors`` and ``nearest`` compare with every fitted graph.
    """

    name: str
    direction: EdgeDirection
    positive_semidefinite: ClassVar[bool] = True
    exact_neighbors: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of fitted graphs, 0 before ``fit``."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {}

    @abstractmethod
    def fit(self, graphs: Graphs) -> Self:
        """Learn patterns, scales and axes from the graphs of a library, and remember them for ``nearest``.

        Raises:
            InputError: graphs are missing, or one has no nodes.
        """

    @abstractmethod
    def append(self, graphs: Graphs) -> Self:
        """Add graphs to those that ``nearest`` finds, after the others; scales and axes stay as they are.

        Raises:
            InputError: the kernel is not fitted, or a graph has no nodes.
        """

    @abstractmethod
    def without_graphs(self) -> Self:
        """Return a kernel with the same patterns, scales and axes and no graphs, to which others can be appended.

        Raises:
            InputError: the kernel is not fitted.
        """

    @abstractmethod
    def transform(self, graphs: Graphs) -> NDArray[np.float32]:
        """Return vectors ``[N, 16]`` of any graphs, fitted or not; nothing is refitted.

        Their Euclidean distances approximate the root of ``squared_distances``. Columns beyond what the fitted graphs
        span are zero.

        Raises:
            InputError: the kernel is not fitted, or a graph has no nodes.
        """

    @abstractmethod
    def agreement(self, graphs: Graphs | None = None) -> float:
        """Return the rank correlation of the vectors' distances with the exact ones.

        It is over all pairs, or random ones if there are many.

        Args:
            graphs: other graphs whose pairs to take; the fitted ones by default.
        """

    @abstractmethod
    def squared_distances(self, graphs: Graphs, others: Graphs | None = None) -> Array:
        """Return exact squared distances ``[M, N]`` in the kernel's feature space.

        Args:
            graphs: M graphs.
            others: N graphs; the fitted ones, in their order, by default.

        Raises:
            InputError: the kernel is not fitted, or a graph has no nodes.
        """

    @abstractmethod
    def dissimilarities(self, graphs: Graphs, others: Graphs | None = None) -> Array:
        """Return exact dissimilarities ``[M, N]`` in [0, 1], rounded to 12 decimals so that equal graphs tie.

        Args and errors are those of ``squared_distances``.
        """

    @abstractmethod
    def nearest(
        self, graphs: Graphs, k: int, exclude: Sequence[int] | NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Return the k nearest fitted graphs of each graph by dissimilarity, ties by the fitted order.

        Args:
            graphs: N graphs.
            k: how many.
            exclude: for each graph, the fitted graph to leave out, usually itself; -1 for none.

        Returns:
            (indices ``[N, K]``, dissimilarities ``[N, K]``), K the smaller of k and the
            number of graphs to choose from.

        Raises:
            InputError: the kernel is not fitted, or a graph has no nodes.
        """

    @abstractmethod
    def neighbors(self, k: int, report: Report | None = None) -> tuple[NDArray[np.int64], Array]:
        """Return what ``nearest`` returns for every fitted graph, itself left out; faster, and memory stays bounded."""

    @property
    @abstractmethod
    def vectors(self) -> NDArray[np.float32]:
        """What ``transform`` returns for the fitted graphs."""

    def explain(self, first: ArchitectureGraph, second: ArchitectureGraph) -> Explanation:
        """Take the dissimilarity of two graphs apart into patterns.

        Raises:
            InputError: the kernel does not count patterns.
        """
        remedy = "Choose a space whose kernel is views or weisfeiler_lehman."
        raise InputError("kernel", "count patterns, to explain a similarity", self.name, remedy)

    @abstractmethod
    def state(self) -> State:
        """Return everything fitted; ``from_state`` restores a kernel with bit-equal results."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Self:
        """Restore a fitted kernel.

        Raises:
            DataError: something is missing.
        """

    def cost(self, sample: Graphs, total: int) -> CostEstimate:
        """Estimate what ``fit`` and ``neighbors`` take for a library, from a small sample of its graphs.

        Processor seconds are measured for growing parts of the sample, until it ends or one takes two seconds. Those of
        the last two parts are continued as a·n + b·n², and so is their peak of memory.

        Args:
            sample: some of the library's graphs, at least 4; 64 are enough.
            total: number of graphs of the library.
        """
        sizes, seconds, peaks = grown(sample, lambda part: type(self)(**self.parameters).fit(part).neighbors(10))
        return CostEstimate(continued(sizes, seconds, total), int(continued(sizes, peaks, total)))


Pair = tuple[float, float]


def grown(sample: Graphs, use: Callable[[Graphs], object]) -> tuple[tuple[int, int], Pair, Pair]:
    """Measure the use of growing parts of a sample, each twice as large as the one before.

    Args:
        sample: at least 4 graphs.
        use: what to measure; called once before for imports and caches.

    Returns:
        (sizes of the last two parts, processor seconds of both, peak bytes of both).
    """
    sizes = [size for size in (2, 4, 8, 16, 32, 64) if size <= len(sample)]
    use(sample[:2])
    figures: list[Pair] = []
    for size in sizes:
        begun = time.process_time()
        use(sample[:size])
        seconds = time.process_time() - begun
        tracemalloc.start()  # only now, because it slows everything down
        use(sample[:size])
        figures.append((seconds, float(tracemalloc.get_traced_memory()[1])))
        tracemalloc.stop()
        if len(figures) > 1 and figures[-1][0] > ESTIMATE_SECONDS:
            break
    last = len(figures) - 1
    (one, low), (two, high) = figures[last - 1], figures[last]
    return (sizes[last - 1], sizes[last]), (one, two), (low, high)


def continued(sizes: tuple[int, int], values: Sequence[float], total: float) -> float:
    """Continue values at two sizes to another size, as a·n + b·n² with a and b not below 0."""
    (small, large), (low, high) = sizes, values
    square = (high / large - low / small) / (large - small)
    if square <= 0:
        return high / large * total
    linear = max(low / small - square * small, 0.0)
    return linear * total + square * total**2


def checked(graphs: Graphs) -> tuple[ArchitectureGraph, ...]:
    """Return the graphs, or raise InputError if one has no nodes."""
    for index, graph in enumerate(graphs):
        if not len(graph):
            raise InputError(f"graphs[{index}]", "have at least one node", 0, "Leave empty graphs out.")
    return tuple(graphs)


def one_way(direction: EdgeDirection | str) -> EdgeDirection:
    """Return the direction, or raise InputError if it is neither ``OUT`` nor ``IN``."""
    if direction not in (EdgeDirection.OUT, EdgeDirection.IN):
        raise InputError("direction", "be out or in", str(direction), "Add the two kernels to look both ways.")
    return EdgeDirection(direction)


def state_to_bytes(state: State) -> bytes:
    """Pack a state into one blob: numpy's ``.npz`` with a JSON document for what is not an array."""
    arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    rest = {key: value for key, value in state.items() if key not in arrays}
    arrays["json"] = np.frombuffer(json.dumps(rest).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def state_from_bytes(blob: bytes) -> State:
    """Unpack ``state_to_bytes``.

    Raises:
        DataError: the blob is damaged.
    """
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            state: State = {key: file[key] for key in file.files}
        return state | json.loads(state.pop("json").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        remedy = "Build the space again."
        raise DataError("fitted kernel", f"be a saved state ({error})", f"{len(blob)} bytes", remedy) from None


def entries(state: Mapping[str, Any], *names: str) -> list[Any]:
    """Return entries of a state, or raise DataError if one is missing."""
    missing = [name for name in names if name not in state]
    if missing:
        remedy = "Build the space again."
        raise DataError("fitted kernel", f"hold {', '.join(missing)}", sorted(state), remedy)
    return [state[name] for name in names]
