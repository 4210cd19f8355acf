"""Every kernel of GraKeL, by GraKeL's own names and parameters: the only module that imports it.

GraKeL (Siglidis et al., JMLR 21, 2020) reads a directed graph along its edges. Graphs get whole numbers as node labels
(so that the order of a set of labels is the same in every process), a label for each edge from the labels of its two
nodes, and node attributes where a kernel asks for them: the logarithms of the sizes that a label names.

Some kernels draw random numbers for the labels that they are fitted on. A first graph with all labels of the library
fixes these numbers, and the seed is 0. Kernels that *sample* subgraphs (graphlet sampling with ``sampling``, Lovász and
SVM theta) draw again for each graph they read: their values are estimates, and a graph need not be at 0 from itself.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.kernel import EdgeDirection, State, entries
from explorer.similarity.pairs import PairKernel
from explorer.similarity.registry import GRAKEL
from explorer.similarity.views import sizes_in

ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "random_walk_labeled": ("random_walk", {"with_labels": True}),
    "shortest_path_attr": ("shortest_path", {"as_attributes": True}),
    "propagation_attr": ("propagation", {"with_attributes": True}),
}
"""Classes that GraKeL reaches by a parameter of another name."""
_RANDOM = {"neighborhood_hash", "graphlet_sampling", "multiscale_laplacian", "lovasz_theta", "svm_theta", "propagation"}
_WITH_ATTRIBUTES = {"multiscale_laplacian", "graph_hopper"}
_EDGE_LABELS = {"edge_histogram", "subgraph_matching", "neighborhood_subgraph_pairwise_distance"}
_SEMIDEFINITE = {
    "vertex_histogram",
    "edge_histogram",
    "shortest_path",
    "weisfeiler_lehman",
    "weisfeiler_lehman_optimal_assignment",
    "neighborhood_subgraph_pairwise_distance",
    "odd_sth",
    "propagation",
}
_UNKNOWN = 2**31


@cache
def _grakel() -> ModuleType:
    with quiet():
        import grakel
        import grakel.graph_kernels
    return grakel


@contextmanager
def quiet() -> Iterator[None]:
    """Silence GraKeL's warnings inside the block: it warns of its own deprecated calls and of every unseen label."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def grakel_names() -> dict[str, str]:
    """Return GraKeL's names and abbreviations, each with the long name."""
    wrapper = _grakel().graph_kernels
    names = {name: group[0] for group in (*wrapper.sbk, *wrapper.sf) for name in group}
    return names | {name: name for name in ALIASES}


class GrakelKernel(PairKernel):
    """One of GraKeL's kernels, normalised.

    Args:
        kernel: GraKeL's name or abbreviation, such as ``propagation`` or ``WL-OA``.
        base: GraKeL's name of the base kernel of a framework (``weisfeiler_lehman``, ``hadamard_code``,
            ``core_framework``); GraKeL's default unless given.
        parameters: GraKeL's own.

    Raises:
        InputError: the name or a parameter is unknown, or a value is not allowed.
    """

    direction = EdgeDirection.OUT

    def __init__(self, kernel: str, base: str | None = None, **parameters: Any) -> None:
        super().__init__()
        names = grakel_names()
        for field, name in (("kernel", kernel), ("base", base)):
            if name is not None and name not in names:
                known = ", ".join(sorted(set(names.values())))
                raise InputError(field, f"be {GRAKEL}NAME with a name of GraKeL ({known})", name, "Use one of these.")
        self.kernel, self.base, self._given = names[kernel], base, parameters
        self.name = GRAKEL + self.kernel
        self.positive_semidefinite = self.kernel in _SEMIDEFINITE  # type: ignore[misc]
        self._codes: dict[str, int] = {}
        self._joint = False
        self._last: tuple[tuple[ArchitectureGraph, ...], Any] | None = None
        self._made()

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        base = {} if self.base is None else {"base": self.base}
        return {"kernel": self.kernel, **base, **self._given}

    def _made(self) -> Any:
        """Make GraKeL's object, not fitted."""
        name, fixed = ALIASES.get(self.kernel, (self.kernel, {}))
        # The wrapper passes its seed on to all kernels but this one.
        seed = {"random_state": 0} if name == "neighborhood_hash" else {}
        chain: list[Any] = [{"name": name, **fixed, **seed, **self._given}]
        if self.base is not None:
            chain.append(self.base)
        try:
            with quiet():
                made = _grakel().GraphKernel(kernel=chain, normalize=True, random_state=0)
                made.initialize()
                made.kernel_.initialize()
        except (TypeError, ValueError, ImportError) as error:
            rule = f"be parameters of GraKeL's {self.kernel} ({error})"
            raise InputError("kernel parameters", rule, self._given, "See GraKeL's documentation.") from None
        return made

    def _learn(self, graphs: tuple[ArchitectureGraph, ...]) -> None:
        labels = sorted({label for graph in graphs for label in graph.labels})
        self._codes = {label: code for code, label in enumerate(labels)}
        self._last = None

    def state(self) -> State:
        """Return everything fitted. See ``GraphKernel.state``."""
        return super().state() | {"codes": list(self._codes)}

    @classmethod
    def from_state(cls, state: State) -> GrakelKernel:
        """Restore a fitted kernel. See ``GraphKernel.from_state``."""
        kernel = super().from_state(state)
        kernel._codes = {label: code for code, label in enumerate(entries(state, "codes")[0])}
        return kernel

    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Return GraKeL's normalised values ``[M, N]``."""
        try:
            with quiet():
                values = self._values(rows, columns)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, np.linalg.LinAlgError) as error:
            rule = f"be a kernel that can read these graphs ({type(error).__name__}: {error})"
            raise InputError("kernel", rule, self.name, "Use another kernel or other parameters.") from error
        undefined = np.argwhere(~np.isfinite(values))
        for row, column in undefined.tolist():  # a graph in which the kernel finds nothing to count
            values[row, column] = float(rows[row] == columns[column])
        return values

    def _values(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        random = ALIASES.get(self.kernel, (self.kernel,))[0] in _RANDOM
        first = [self._anchor()] if random else []
        if rows is columns:
            gram = self._made().fit_transform([*first, *self._read(columns)])
            return np.asarray(gram, dtype=np.float64)[len(first) :, len(first) :]
        if not self._joint:
            if self._last is None or self._last[0] is not columns:
                self._last = columns, self._made().fit([*first, *self._read(columns)])
            try:
                return np.asarray(self._last[1].transform(self._read(rows)), dtype=np.float64)[:, len(first) :]
            except (AttributeError, TypeError):
                # Some of GraKeL's classes transform only what they were fitted on (odd_sth, edge_histogram).
                self._joint = True
        joint = self._made().fit_transform([*first, *self._read((*columns, *rows))])
        known = len(first) + len(columns)
        return np.asarray(joint, dtype=np.float64)[known:, len(first) : known]

    def _anchor(self) -> Any:
        """A chain of all labels of the library."""
        labels = tuple(self._codes) or ("",)
        edges = tuple((node, node + 1) for node in range(len(labels) - 1))
        return next(iter(self._read([ArchitectureGraph(("node",) * len(labels), labels, (0,) * len(labels), edges)])))

    def _code(self, label: str) -> int:
        known = self._codes.get(label)
        if known is not None:
            return known
        return _UNKNOWN + int.from_bytes(hashlib.blake2b(label.encode(), digest_size=3).digest(), "little")

    def _read(self, graphs: Iterable[ArchitectureGraph]) -> list[Any]:
        """Return graphs as GraKeL reads them."""
        found = []
        for graph in graphs:
            edges: dict[int, dict[int, float]] = {node: {} for node in range(len(graph))}
            for source, target in graph.edges:
                edges[source][target] = 1.0
            labels: dict[int, Any] = {node: self._code(label) for node, label in enumerate(graph.labels)}
            if self.kernel in _WITH_ATTRIBUTES or self.kernel.endswith("_attr"):
                values = [sizes_in(kind, label) for kind, label in zip(graph.kinds, graph.labels, strict=True)]
                labels = {node: np.log2(1.0 + np.array(sizes, dtype=float)) for node, sizes in enumerate(values)}
            between = None
            if self.kernel in _EDGE_LABELS:
                between = {(a, b): self._code(f"{graph.labels[a]} → {graph.labels[b]}") for a, b in graph.edges}
            found.append(_grakel().Graph(edges, node_labels=labels, edge_labels=between))
        return found
