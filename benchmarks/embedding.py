"""Embeddings of a library side by side: how well distances match the exact dissimilarities, at what cost.

Run ``uv run python benchmarks/embedding.py`` (the 9,312 of tiny-mini, about seven minutes of processor time and 2.5 GB)
or with ``--quick`` (1,000 of them, without variations of the default, under a minute). The dissimilarity is one minus
the Weisfeiler-Lehman kernel.

* Held-out pairs are drawn first; in the matrix that a method is given they hold the mean, so it cannot know them.
  *Spearman* and *RMSE* (after the best scale) compare them. *Recall* is the part of an architecture's ten nearest by
  vector that is no further by the exact kernel than its exact tenth.
* *Projected* architectures are drawn from the finer level (every layer chosen for itself), are outside the library, and
  are placed by their dissimilarities to 1,000 landmarks: Spearman to the library, and among themselves.
* *Companions* are other architectures of the finer level, a third as many as the library has, embedded together with it
  and left out afterwards: they claim room for what the library itself does not vary in.
* Each method runs in a process of its own; memory is the peak above the matrix. The kernel is not in the seconds.
* *Released* is our own version of how the released code of FlexiBERT is described: 1 % of the pairs, the others
  interpolated linearly over the *indices* of the two architectures, then gradient descent.

The last line is one JSON object: ``spearman_library, spearman_projected, spearman_among_projected, seconds`` of the
default method (seconds: embedding and choice of landmarks), ``kernel_seconds``, and ``overlap_ms`` for the 100
neighbours by overlap of one architecture. CPU seconds add up over threads: on a shared machine they say more.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from explorer.cli.bench import OptionParser, run_main
from explorer.similarity.distances import squared_distances
from explorer.similarity.graph import build_graph
from explorer.similarity.overlap import by_overlap
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.grammar import load_space
from explorer.space.spec import ArchitectureSpec
from rivals.configurations import principal_axes
from rivals.dissimilarities import DenseDissimilarities, FeatureDissimilarities, unit_features
from rivals.embed import BLOCK_ROWS, EPOCHS, Method, embed
from rivals.gradient import gradient_descent
from rivals.landmarks import STEPS, Projector
from rivals.mds import classical_mds
from rivals.smacof import smacof

Array = np.ndarray[Any, Any]
DIMENSIONS, NEAREST, LANDMARKS, RECALL_ROWS = 16, 10, 1000, 1000
SEED = 2026
RELEASED = "released scheme"
DEFAULT = "blocks (default)"
JOINT = "blocks, with companions"


def _improved(sweeps: int, near: float = 0.0) -> Callable[[Array], Array]:
    def method(matrix: Array) -> Array:
        rng = np.random.default_rng(SEED)
        start = classical_mds(matrix, DIMENSIONS, rng)
        return principal_axes(smacof(matrix, start, sweeps, rng, BLOCK_ROWS, near))

    return method


def _by(method: Method) -> Callable[[Array], Array]:
    return lambda matrix: embed(matrix, DIMENSIONS, np.random.default_rng(SEED), method)


def _descent(matrix: Array) -> Array:
    rng = np.random.default_rng(SEED)
    start = 0.15 * rng.standard_normal((len(matrix), DIMENSIONS))
    return gradient_descent(matrix, start.astype(np.float32), 2 * EPOCHS, rng, rate=0.05)


def _released(matrix: Array) -> Array:
    """1 % of the pairs, the rest interpolated over indices, then gradient descent."""
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator  # only one method's process needs it

    rng = np.random.default_rng(SEED)
    count = len(matrix)
    first, second = np.sort(rng.integers(0, count, (2, max(50, count * (count - 1) // 200))), axis=0)
    known = np.stack([first, second], axis=1).astype(float)
    inside = LinearNDInterpolator(known, matrix[first, second])
    outside = NearestNDInterpolator(known, matrix[first, second])
    filled = np.zeros_like(matrix)
    for row in range(count):
        columns = np.arange(row + 1, count)
        values = inside(row, columns)
        beyond = np.isnan(values)
        values[beyond] = outside(row, columns[beyond])
        filled[row, row + 1 :] = values
    filled += filled.T
    return filled


METHODS: dict[str, Callable[[Array], Array]] = {
    RELEASED: _released,
    "classical, randomised": _by(Method.CLASSICAL),
    "classical, Lanczos": _by(Method.LANCZOS),
    "gradient descent, random start": _descent,
    "gradient descent, classical start": _by(Method.GRADIENT),
    "SMACOF, all points at once": _by(Method.SMACOF),
    DEFAULT: _by(Method.BLOCKS),
    JOINT: _by(Method.BLOCKS),
    "blocks, 2 sweeps": _improved(2),
    "blocks, 12 sweeps": _improved(12),
    "blocks, 30 sweeps": _improved(30),
    "blocks, 4 sweeps, weights 1/δ": _improved(4, 1.0),
    "blocks, 4 sweeps, weights 1/δ²": _improved(4, 2.0),
    "landmarks (4,000, others projected)": _by(Method.LANDMARK),
}

VARIATIONS = [name for name in METHODS if name.startswith("blocks, ") and name != JOINT]


@dataclass(frozen=True)
class Work:
    """What all methods are judged by.

    Attributes:
        matrix: exact dissimilarities ``[N, N]``.
        pairs: ``[2, P]``, held out.
        outside: dissimilarities ``[M, N]`` of architectures outside the library to it.
        among: ``[M, M]``, among those.
        companions: ``[K, N + K]``, of architectures embedded with the library to it and to each other.
        kernel_seconds: graphs not included.
    """

    matrix: Array
    pairs: Array
    outside: Array
    among: Array
    companions: Array
    kernel_seconds: float


def _work(
    library: list[ArchitectureSpec], outside: list[ArchitectureSpec], companions: list[ArchitectureSpec], pairs: int
) -> Work:
    count = len(library)
    graphs = [build_graph(spec) for spec in (*library, *companions, *outside)]
    begun = time.perf_counter()
    blocks = WeisfeilerLehman(5).fit(graphs[:count]).blocks()
    matrix = DenseDissimilarities.from_blocks(blocks, count).dense()
    seconds = time.perf_counter() - begun
    both = FeatureDissimilarities(unit_features(graphs))
    helped = np.arange(count + len(companions))
    held, new = helped[:count], np.arange(len(helped), len(graphs))
    first, second = np.random.default_rng(SEED + 1).integers(0, count, (2, pairs))
    apart = first != second
    return Work(
        matrix,
        np.stack([first, second])[:, apart],
        both.between(new, held),
        both.between(new, new),
        both.between(helped[count:], helped),
        seconds,
    )


def _peak_megabytes() -> float:
    """Largest resident memory of this program so far; ``getrusage`` would count what its parent held, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _measure(name: str, folder: str, pipe: Connection) -> None:
    matrix = np.load(Path(folder) / f"{'joint' if name == JOINT else 'given'}.npy")
    before = _peak_megabytes()
    begun, used = time.perf_counter(), time.process_time()
    result = METHODS[name](matrix)
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    peak = _peak_megabytes()
    np.save(Path(folder) / "result.npy", result)
    pipe.send((seconds, processor, peak - before))


def _run(name: str, folder: str) -> tuple[float, float, float, Array]:
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, folder, send))
    process.start()
    send.close()  # so that a process that dies ends the wait
    seconds, processor, megabytes = receive.recv()
    process.join()
    return seconds, processor, megabytes, np.load(Path(folder) / "result.npy")


def _spearman(first: Array, second: Array) -> float:
    from scipy.stats import spearmanr  # half a second that the methods' own processes need not spend

    return float(spearmanr(first, second).statistic)


def _distances(first: Array, second: Array) -> Array:
    return np.sqrt(squared_distances(first.astype(float), second.astype(float)))


def _judge(work: Work, embedded: Callable[[Array], Array]) -> tuple[float, float, float]:
    """Spearman and RMSE over the held-out pairs, and recall; ``embedded`` gives rows of distances."""
    first, second = work.pairs
    exact = work.matrix[first, second].astype(float)
    order = np.argsort(first, kind="stable")
    found = np.empty(len(first))
    for part in np.array_split(order, max(1, len(order) // 1000)):
        rows, inverse = np.unique(first[part], return_inverse=True)
        found[part] = embedded(rows)[inverse, second[part]]
    scale = float(found @ exact / max(found @ found, 1e-300))
    rows = np.random.default_rng(SEED + 2).permutation(len(work.matrix))[:RECALL_ROWS]
    hits = []
    for part in np.array_split(rows, max(1, len(rows) // 250)):
        here = np.arange(len(part))
        true, seen = work.matrix[part].copy(), embedded(part).copy()
        true[here, part] = seen[here, part] = np.inf
        limit = np.partition(true, NEAREST - 1, axis=1)[:, NEAREST - 1]
        nearest = np.argpartition(seen, NEAREST - 1, axis=1)[:, :NEAREST]
        hits.append(np.take_along_axis(true, nearest, axis=1) <= limit[:, None] + 1e-6)
    rmse = float(np.sqrt(np.mean((scale * found - exact) ** 2)))
    return _spearman(found, exact), rmse, float(np.concatenate(hits).mean())


def _projected(work: Work, vectors: Array, projector: Projector, steps: int = STEPS) -> tuple[float, float]:
    placed = projector.project(work.outside[:, projector.landmarks], steps)
    columns = np.random.default_rng(SEED + 3).permutation(len(vectors))[:2000]
    to_library = _spearman(_distances(placed, vectors[columns]).ravel(), work.outside[:, columns].ravel())
    upper = np.triu_indices(len(placed), 1)
    return to_library, _spearman(_distances(placed, placed)[upper], work.among[upper])


def _row(name: str, judged: tuple[float, float, float], projected: tuple[float, float] | None, cost: str) -> None:
    shown = f"{projected[0]:.4f} | {projected[1]:.4f}" if projected else "– | –"
    print(f"| {name} | {judged[0]:.4f} | {judged[1]:.4f} | {judged[2]:.3f} | {shown} | {cost} |", flush=True)


def _compare(work: Work, names: list[str]) -> tuple[dict[str, float], Array]:
    """Print the table; figures and vectors of the default."""
    figures: dict[str, float] = {}
    default = np.empty((0, DIMENSIONS), dtype=np.float32)
    given = work.matrix.copy()
    first, second = work.pairs
    given[first, second] = given[second, first] = given.mean()
    print("| method | Spearman | RMSE | recall | projected to library | among projected | seconds | CPU s | MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    exact = DenseDissimilarities(work.matrix)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "given.npy", given)
        np.save(Path(folder) / "joint.npy", np.block([[given, work.companions[:, : len(given)].T], [work.companions]]))
        for name in names:
            seconds, processor, megabytes, vectors = _run(name, folder)
            vectors = vectors[: len(given)]
            if name == RELEASED:
                filled, filling = vectors, seconds
                judged = _judge(work, lambda rows, filled=filled: filled[rows])
                _row(f"{name}: the filled matrix", judged, None, f"{seconds:.1f} | {processor:.1f} | {megabytes:.0f}")
                begun, used = time.perf_counter(), time.process_time()
                vectors = _descent(filled)
                seconds, name = filling + time.perf_counter() - begun, f"{name}: embedded"
                processor += time.process_time() - used
            begun = time.perf_counter()
            projector = Projector.fit(exact, vectors, np.random.default_rng(SEED), LANDMARKS)
            fitting = time.perf_counter() - begun
            judged = _judge(work, lambda rows, vectors=vectors: _distances(vectors[rows], vectors))
            projected = _projected(work, vectors, projector)
            _row(name, judged, projected, f"{seconds:.1f} | {processor:.1f} | {megabytes:.0f}")
            if name == DEFAULT:
                default = vectors
                figures = {
                    "spearman_library": judged[0],
                    "spearman_projected": projected[0],
                    "spearman_among_projected": projected[1],
                    "seconds": seconds + fitting,
                    "cpu_seconds": processor,
                }
    return figures, default


def _compare_projections(work: Work, vectors: Array) -> None:
    print("\n| landmarks | steps | projected to library | among projected | µs each |")
    print("|---|---|---|---|---|")
    settings = [(LANDMARKS, steps) for steps in (0, 1, 2, 4, 8, 32)] + [(100, STEPS), (300, STEPS), (3000, STEPS)]
    for count, steps in settings:
        projector = Projector.fit(DenseDissimilarities(work.matrix), vectors, np.random.default_rng(SEED), count)
        begun = time.perf_counter()
        projector.project(work.outside[:, projector.landmarks], steps)
        each = (time.perf_counter() - begun) / len(work.outside) * 1e6
        to_library, among = _projected(work, vectors, projector, steps)
        print(f"| {len(projector.landmarks):,} | {steps} | {to_library:.4f} | {among:.4f} | {each:.0f} |", flush=True)


def main() -> None:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 architectures instead of 9,312")
    parser.add_argument("--architectures", type=int, help="another number of them")
    parser.add_argument("--only-default", action="store_true", help="leave the other methods out")
    options = parser.parse_args()
    space = load_space("tiny-mini")
    count = min(options.architectures or (1_000 if options.quick else space.count()), space.count())
    rng = np.random.default_rng(SEED)
    library = [space.at(int(index)) for index in np.sort(rng.permutation(space.count())[:count])]
    known = set(space)
    asked = min(count // 2, 1_000)
    drawn = [spec for spec in dict.fromkeys(space.at_level(1).sample(asked + count // 3, rng)) if spec not in known]
    outside, companions = drawn[:asked], drawn[asked:]
    work = _work(library, outside, companions, min(50_000, count * count // 400))
    print(f"{count:,} architectures, {work.pairs.shape[1]:,} pairs held out, {len(outside):,} architectures outside;")
    print(f"kernel of all pairs {work.kernel_seconds:.1f} s (not in the seconds below)\n")
    names = [name for name in METHODS if name not in VARIATIONS] if options.quick else list(METHODS)
    figures, vectors = _compare(work, [DEFAULT, JOINT] if options.only_default else names)
    _compare_projections(work, vectors)
    figures["overlap_ms"] = _overlap_ms(library, vectors)
    figures["kernel_seconds"] = work.kernel_seconds
    print(f"\n100 neighbours by overlap of one: {figures['overlap_ms']:.1f} ms")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _overlap_ms(library: list[ArchitectureSpec], vectors: np.ndarray) -> float:
    """Return the milliseconds of one query for 100 neighbours by overlap, ties by vector distance."""
    asked = range(0, len(library), max(1, len(library) // 50))
    begun = time.perf_counter()
    for own in asked:
        distances = np.linalg.norm(vectors - vectors[own], axis=1)
        by_overlap(library[own], library, distances.__getitem__, 100)
    return 1e3 * (time.perf_counter() - begun) / len(asked)


if __name__ == "__main__":
    run_main(main)
