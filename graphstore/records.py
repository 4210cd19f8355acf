"""Frozen records of the store, with plain Python values and NumPy arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from graphstore.errors import StoreInputError
from graphstore.fields import is_number


@dataclass(frozen=True)
class SpaceRecord:
    """A named set of architectures.

    Attributes:
        name: unique name, for example ``nano``.
        info: JSON-able facts: preset, counts, kernel and embedding settings, ``ready`` once the library is complete.
    """

    name: str
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerRecord:
    """One layer of an architecture, as queries filter it.

    Attributes:
        index: from 0, input to output.
        family: ``sa``, ``l``, ``c``, or a mix such as ``c+sa``.
        parameter: ``sdp``, ``dct``, ``5``, or a mix.
        hidden: hidden size.
        heads: number of heads.
        feed_forward: widths of the feed-forward stack.
    """

    index: int
    family: str
    parameter: str
    hidden: int
    heads: int
    feed_forward: tuple[int, ...]


@dataclass(frozen=True)
class OpRecord:
    """One node of the computational graph.

    Attributes:
        index: from 0, in topological order; unique within the architecture.
        kind: ``input``, ``bottleneck``, ``head``, ``add_norm``, ``feed_forward`` or ``output``.
        label: the label the kernels compare, for example ``sa_h128_sdp``.
        layer: index of its layer; -1 for input and output.
    """

    index: int
    kind: str
    label: str
    layer: int


@dataclass(frozen=True)
class ArchitectureRecord:
    """An architecture with its layers and its computational graph.

    Attributes:
        id: canonical hash.
        spec: ``model_dict`` as JSON text.
        name: a known name such as ``BERT-Mini``, or empty.
        parameters: number of trainable parameters of the encoder.
        flops: FLOPs of one forward pass.
        heterogeneity: 0 (all layers alike) to 1.
        layers: its layers, in order.
        ops: nodes of the graph, in topological order.
        feeds: edges ``(source op index, target op index)``.
    """

    id: str
    spec: str
    name: str
    parameters: int
    flops: int
    heterogeneity: float
    layers: tuple[LayerRecord, ...]
    ops: tuple[OpRecord, ...]
    feeds: tuple[tuple[int, int], ...]

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)


@dataclass(frozen=True)
class ArchitectureSummary:
    """Summary of an architecture for tables and maps.

    ``families`` (``sa``), ``operations`` (family and parameter, ``sa_sdp``) and ``hiddens`` have one entry per layer.
    """

    id: str
    spec: str
    name: str
    depth: int
    parameters: int
    flops: int
    heterogeneity: float
    families: tuple[str, ...]
    operations: tuple[str, ...]
    hiddens: tuple[int, ...]


@dataclass(frozen=True)
class Embeddings:
    """Vectors of a space's architectures: ``ids`` has N entries, ``vectors`` is ``[N, d]`` float32."""

    ids: tuple[str, ...]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class NeighborRecord:
    """``target`` is the ``rank``-th nearest (from 1) to ``source`` by the named kernel's exact dissimilarity."""

    source: str
    target: str
    kernel: str
    rank: int
    dissimilarity: float


@dataclass(frozen=True)
class KernelRecord:
    """A kernel that was fitted to the architectures of a space.

    Attributes:
        name: unique in the space.
        parameters: JSON-able settings.
        state: what the fit learned, as the caller serialised it; the store does not look inside.
    """

    name: str
    parameters: Mapping[str, Any]
    state: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """Digest of all fields: two records with the same digest are equal."""
        parameters = json.loads(json.dumps(dict(self.parameters)))  # sort the keys as a store returns them: as texts
        head = json.dumps([self.name, parameters], sort_keys=True, separators=(",", ":")).encode()
        framed = len(head).to_bytes(8, "little") + head
        return hashlib.blake2b(framed + self.state, digest_size=16).hexdigest()


LOWER_IS_BETTER = frozenset({"loss", "perplexity", "mse", "rmse", "mae"})
"""Metrics of which a smaller value is the better one; of every other metric it is the larger."""


@dataclass(frozen=True)
class ScoreKind:
    """What scores share if they are comparable: task, metric, dataset, fidelity, recipe and origin.

    The origin is who made the scores, see ``ScoreRecord``: values of several origins, such as those of a wrong import
    and of its correction, are never averaged. A stored score has a kind without open fields. Questions may leave fields
    open (``None``): such a kind covers all kinds that agree with it in the other fields.
    """

    OPEN: ClassVar = ("metric", "dataset", "fidelity", "recipe", "origin")
    """Fields that may be open."""
    FIELDS: ClassVar = ("task", *OPEN)

    task: str
    metric: str | None = None
    dataset: str | None = None
    fidelity: str | None = None
    recipe: str | None = None
    origin: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The fields that are not open, with their values."""
        named = {name: getattr(self, name) for name in self.FIELDS}
        return {name: value for name, value in named.items() if value is not None}

    def covers(self, other: ScoreKind) -> bool:
        """Whether the other kind agrees in all fields that are not open here."""
        return all(getattr(other, name) == value for name, value in self.fields.items())

    @property
    def lower_is_better(self) -> bool:
        """Whether the smaller of two values is the better one, as for a perplexity."""
        return self.metric in LOWER_IS_BETTER


@dataclass(frozen=True)
class ScoreRecord:
    """Score of one trained instance of an architecture on one task.

    Only scores of the same ``kind`` are comparable. ``source`` names the origin of the score, a colon, and the run or
    row there, for example ``trained:study/3`` or ``nas-bench-bert:47``. Two records with the same ``id`` are the same
    score.

    ``majority`` and ``chance`` are the scores of a constant and of a random answer to the same examples, by the same
    metric; ``None`` where nobody has computed them. They do not tell one score from another.
    """

    architecture: str
    task: str
    metric: str
    value: float
    dataset: str
    fidelity: str
    recipe: str
    seed: int
    source: str
    seconds: float = 0.0
    majority: float | None = None
    chance: float | None = None

    def __post_init__(self) -> None:
        if not is_number(self.value):
            raise StoreInputError(
                f"value of score {self.task!r} must be a finite number, but got {self.value!r}. "
                "Record the trial as failed instead."
            )
        for name, level in (("majority", self.majority), ("chance", self.chance)):
            if level is not None and not is_number(level):
                raise StoreInputError(
                    f"{name} of score {self.task!r} must be a finite number or None, but got {level!r}. Leave it out."
                )

    @property
    def origin(self) -> str:
        """What comes before the first colon of the source: ``trained``, or the name of an import."""
        return self.source.partition(":")[0]

    @property
    def kind(self) -> ScoreKind:
        """The kind of the score."""
        return ScoreKind(self.task, self.metric, self.dataset, self.fidelity, self.recipe, self.origin)

    @property
    def id(self) -> str:
        """Digest of everything but value, seconds and levels: writing the same score twice leaves one."""
        key = [self.architecture, self.task, self.metric, self.dataset, self.fidelity, self.recipe, self.seed]
        return hashlib.blake2b(json.dumps([*key, self.source]).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True)
class LineageRecord:
    """The weights that one trained instance of an architecture inherited from another.

    Attributes:
        run: the trained instance, as in the ``source`` of its scores: ``trained:study/3``.
        architecture: id of its architecture.
        donor_run: the trained instance that the weights come from.
        donor: id of its architecture.
        method: transfer method, for example ``ordered``.
        share: share of the parameters that was inherited, 0 to 1.
    """

    run: str
    architecture: str
    donor_run: str
    donor: str
    method: str
    share: float = 1.0


@dataclass(frozen=True)
class MeasurementRecord:
    """One measured quantity of an architecture on a device; unique by architecture, device and quantity."""

    architecture: str
    device: str
    quantity: str
    value: float
    unit: str


class StudyState(StrEnum):
    """State of a study."""

    OPEN = "open"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True)
class StudyRecord:
    """One search.

    Attributes:
        name: unique name.
        space: name of the space it searches.
        spec: JSON-able description of the search (policy, objectives, budget, …); the store keeps it as it is.
        state: open, stopped or done.
        created: seconds since the epoch.
    """

    name: str
    space: str
    spec: Mapping[str, Any]
    state: StudyState
    created: float


class TrialStatus(StrEnum):
    """State of a stored trial. ``stale``: its lease ran out; it is retried up to the limit of attempts."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    STALE = "stale"


@dataclass(frozen=True)
class TrialRecord:
    """One evaluation of a study.

    Attributes:
        study: name of the study.
        number: from 0, unique in the study.
        architecture: id of the architecture.
        state: see TrialStatus.
        attempt: number of claims.
        token: fencing token of the newest claim; a writer with an older one is refused.
        owner: holder of the lease; empty if there is none.
        lease_expires: seconds since the epoch; 0 without a lease.
        value: objective once complete.
        reason: why it failed or became stale.
        info: JSON-able: origin of the proposal, acquisition, progress, seed.
        created, started, finished: seconds since the epoch; 0 if not yet.
    """

    study: str
    number: int
    architecture: str
    state: TrialStatus
    attempt: int
    token: int
    owner: str
    lease_expires: float
    value: float | None
    reason: str
    info: Mapping[str, Any]
    created: float
    started: float
    finished: float


class JobState(StrEnum):
    """State of a job. ``lost``: its process ended without a final state."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True)
class JobRecord:
    """A process that works in the background.

    Attributes:
        id: unique.
        kind: ``search``, ``demo``, …
        state: see JobState.
        pid, host: the process; 0 and empty before it runs.
        heartbeat: seconds since the epoch of its last heartbeat.
        progress: 0 to 1.
        message: its current activity, one line.
        log: path of its log file on ``host``, or empty.
        info: JSON-able: the command's options, the study's name.
        created: seconds since the epoch.
    """

    id: str
    kind: str
    state: JobState
    pid: int
    host: str
    heartbeat: float
    progress: float
    message: str
    log: str
    info: Mapping[str, Any]
    created: float
