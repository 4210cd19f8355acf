"""The surrogates of BOSHNAS: how fast they learn and propose, and how far their beliefs can be trusted.

Run ``uv run python benchmarks/surrogate.py --data ../shared/data`` or with ``--quick``.

Speed: one fit and a batch of ten proposals with 200 scored of 9,312 architectures, by the policy as it is; the first
ask of a process that resumes a study with 2,000 and 10,000 scores; one `tell` in such a study of a store; and the
training of the paper's three networks in whole batches beside the same networks, epochs and data one sample at a time,
as the released code trains them (both without proposals).

Calibration on NAS-Bench-BERT's really trained encoders: each surrogate learns from random subsets and is asked about
all the others. Reported are the coverage of its central 50, 80 and 95 % intervals and the mean negative log-likelihood
(of scores in units of their standard deviation; lower is better). Nine encoders were trained twice: the noise of one
training that their differences show stands beside the aleatoric deviation that is believed.

The last line is one JSON object: ``fit_ask_s``, ``paper_fit_ask_s``, ``ask_2000_s``, ``ask_10000_s``, ``tell_ms`` (with
2,000 trials) and ``tell_growth`` (over that with 100), ``speedup`` (time of one by one over time in batches), and for
each surrogate ``NAME_coverage_80`` and ``NAME_nll``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.neural_network import MLPRegressor

from explorer.cli.bench import OptionParser, run_main
from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.records import Prediction, Trial
from explorer.search import Candidates, make_policy
from explorer.similarity.graph import build_graph
from explorer.similarity.registry import kernel_named
from explorer.space.grammar import load_space
from explorer.space.imports.nas_bench_bert import find_nas_bench_bert
from explorer.study import Study
from explorer.surrogate import Region, SurrogateSettings
from explorer.surrogate.layers import DTYPE, dropout_masks, train
from explorer.surrogate.npn import NaturalParameterNetwork, gaussian_nll
from explorer.surrogate.process_surrogate import ProcessSurrogate
from explorer.surrogate.student import Student
from explorer.surrogate.surrogate import BoshnasSurrogate
from explorer.surrogate.teacher import HIDDEN, Teacher
from graphstore import open_store
from graphstore.records import TrialStatus

Array = NDArray[np.float64]
SCORED, LIBRARY, BATCH, DIMENSIONS = 200, 9_312, 10, 16
LEVELS = (0.5, 0.8, 0.95)
ENSEMBLE = 5


def _planted(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Vectors whose axes fall as a library's do, and a smooth function of them with noise."""
    x = rng.standard_normal((count, DIMENSIONS)) * np.linspace(1.0, 0.2, DIMENSIONS)
    return x, x[:, 0] - 0.5 * x[:, 1] ** 2 + np.sin(x[:, 2]) + 0.1 * rng.standard_normal(count)


def fit_and_ask(name: str, repeats: int) -> float:
    """Seconds of a fit and a batch of ten, for a policy that was just told its 200 trials; median."""
    vectors, values = _planted(LIBRARY, np.random.default_rng(0))
    candidates = Candidates(tuple(map(str, range(LIBRARY))), vectors, np.zeros((LIBRARY, 1), dtype=np.int64))
    seconds = []
    for seed in range(repeats):
        chosen = np.random.default_rng(seed).choice(LIBRARY, SCORED, replace=False)
        policy = make_policy(name, candidates, seed)
        # All but the newest ten were told and learned from before, as in any search.
        trials = [Trial(n, str(i), float(values[i])) for n, i in enumerate(chosen)]
        policy.tell(trials[:-BATCH])
        policy.ask(1)
        policy.tell(trials)
        start = time.perf_counter()
        policy.ask(BATCH)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def first_ask(scored: int, repeats: int) -> tuple[float, float]:
    """Seconds, and of processor time, of one proposal by a policy that was just told all its trials; medians."""
    library = max(LIBRARY, scored + BATCH)
    vectors, values = _planted(library, np.random.default_rng(0))
    candidates = Candidates(tuple(map(str, range(library))), vectors, np.zeros((library, 1), dtype=np.int64))
    seconds = []
    for seed in range(repeats):
        policy = make_policy("boshnas", candidates, seed)
        chosen = np.random.default_rng(seed).choice(library, scored, replace=False)
        policy.tell([Trial(n, str(i), float(values[i])) for n, i in enumerate(chosen)])
        start = time.perf_counter(), time.process_time()
        policy.ask(1)
        seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, processor = (statistics.median(column) for column in zip(*seconds, strict=True))
    return wall, processor


def tells(sizes: Sequence[int], told: int) -> list[float]:
    """Milliseconds of one ``tell`` in studies of these numbers of trials, in a store of its own; the fastest."""
    specs = list(dict.fromkeys(load_space("nano").sample(2 * max(sizes), np.random.default_rng(0))))
    found = []
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/store.db") as store:
        Library.build(store, "told", specs[: max(sizes) + 10 * told], SilentReporter(), source="sampled")
        ids = store.embeddings("told").ids
        for size in sizes:
            settings = {"policy": "random", "budget": size + told}
            with Study.open(store.url, f"of-{size}", space="told", **settings) as study:
                done = store.add_trials(study.name, [(id, {}) for id in ids[:size]])
                state = {"state": TrialStatus.COMPLETE, "value": 0.5, "token": 1, "started": 1.0, "finished": 2.0}
                store.restore_trials(study.name, [replace(trial, **state) for trial in done])
                asked, seconds = study.ask(told), []
                for trial in asked:
                    start = time.perf_counter()
                    study.tell(trial.number, 0.5)
                    seconds.append(time.perf_counter() - start)
            found.append(1000.0 * min(seconds))
    return found


def _in_batches(x: Array, y: Array, epochs: int) -> None:
    BoshnasSurrogate(0, SurrogateSettings(epochs=epochs)).fit(x, y)


def _one_by_one(x: Array, y: Array, epochs: int) -> None:
    """The same networks, data and epochs, with a step for every sample."""
    generator, settings = torch.Generator().manual_seed(0), SurrogateSettings()
    points, targets = torch.tensor(x), torch.tensor((y - y.mean()) / y.std())
    npn = NaturalParameterNetwork((DIMENSIONS, 32, 32, 1), generator)
    teacher, student = Teacher(DIMENSIONS, settings.dropout, generator), Student(DIMENSIONS, generator)

    def steps(parameters: list[torch.Tensor], loss: Callable[[int], torch.Tensor], count: int) -> None:
        order = iter(np.tile(np.arange(count), epochs).tolist())
        train(parameters, lambda: loss(next(order)), epochs * count, settings.learning_rate, 0.0)

    def npn_loss(i: int) -> torch.Tensor:
        mean, variance = npn(points[i : i + 1])
        return gaussian_nll(mean, variance, targets[i : i + 1]).mean() + npn.divergence() / len(points)

    def teacher_loss(i: int) -> torch.Tensor:
        masks = dropout_masks((1,), HIDDEN, settings.dropout, generator)
        return (teacher._network(points[i : i + 1], masks) - targets[i]).square().mean()

    steps([*npn._means, *npn._rhos, *npn._bias_means, *npn._bias_rhos], npn_loss, len(points))
    steps(teacher._network.parameters, teacher_loss, len(points))
    low, high = points.min(0).values, points.max(0).values
    draws = torch.rand((settings.region_points, DIMENSIONS), generator=generator, dtype=DTYPE)
    region = torch.cat([points, low + draws * (high - low)])
    spread = teacher.spread(region, settings.passes)

    def student_loss(i: int) -> torch.Tensor:
        return (student._network(region[i : i + 1]) - spread[i]).square().mean()

    steps(student._network.parameters, student_loss, len(region))


def speedup(epochs: int, repeats: int) -> tuple[float, float]:
    """Seconds of training in whole batches (median), and one sample at a time (once)."""
    x, y = _planted(SCORED, np.random.default_rng(0))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        _in_batches(x, y, epochs)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    _one_by_one(x, y, epochs)
    return statistics.median(seconds), time.perf_counter() - start


@dataclass(frozen=True)
class Table:
    """Encoders, their mean scores, and the differences of those that were trained twice."""

    vectors: Array
    scores: Array
    twice: NDArray[np.int64]
    differences: Array


def nas_bench(data: Path) -> Table:
    scored: dict[object, list[float]] = {}
    for _, row in find_nas_bench_bert(data / "architectures" / "nas_bench_bert" / "BERT_benchmark.json").valid:
        for score in row.scores:
            if score.task == "glue":
                scored.setdefault(row.architecture, []).append(score.value)
    vectors = kernel_named("views").fit([build_graph(spec) for spec in scored]).vectors  # type: ignore[arg-type]
    first = np.array([values[0] for values in scored.values()])
    twice = np.array([i for i, values in enumerate(scored.values()) if len(values) > 1])
    differences = np.array([values[0] - values[1] for values in scored.values() if len(values) > 1])
    return Table(vectors.astype(np.float64), first, twice, differences)


def _ours(x: Array, y: Array, others: Array, region: Array, seed: int) -> Prediction:
    return ProcessSurrogate(seed).fit(x, y, Region(region)).predict(others)


def _paper(x: Array, y: Array, others: Array, region: Array, seed: int) -> Prediction:
    return BoshnasSurrogate(seed).fit(x, y, Region(region)).predict(others)


def _gaussian_process(x: Array, y: Array, others: Array, region: Array, seed: int) -> Prediction:
    kernel = ConstantKernel() * Matern(length_scale=float(np.sqrt(region.var(0).sum())), nu=2.5) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    mean, deviation = model.predict(others, return_std=True)
    noise = float(np.sqrt(model.kernel_.k2.noise_level)) * float(y.std())
    return Prediction(mean, np.full(len(others), noise), np.sqrt(np.maximum(deviation**2 - noise**2, 0.0)))


def _ensemble(x: Array, y: Array, others: Array, region: Array, seed: int) -> Prediction:
    """Five networks; the noise is what they leave of the scores they learned from."""
    middle, spread, unit = float(y.mean()), float(y.std()), np.sqrt(region.var(0).sum() / region.shape[1])
    guesses, left = [], []
    for member in range(ENSEMBLE):
        model = MLPRegressor(
            hidden_layer_sizes=(64, 32), alpha=0.01, max_iter=400, random_state=seed * ENSEMBLE + member
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x / unit, (y - middle) / spread)
        guesses.append(middle + spread * model.predict(others / unit))
        left.append(y - middle - spread * model.predict(x / unit))
    noise = float(np.std(np.mean(left, axis=0)))
    return Prediction(np.mean(guesses, axis=0), np.full(len(others), noise), np.std(guesses, axis=0, ddof=1))


SURROGATES: dict[str, Callable[[Array, Array, Array, Array, int], Prediction]] = {
    "boshnas": _ours,
    "boshnas_paper": _paper,
    "gaussian_process": _gaussian_process,
    "ensemble": _ensemble,
}


def calibration(table: Table, sizes: tuple[int, ...], splits: int) -> Iterator[tuple[str, int, list[float]]]:
    """Of each surrogate and number of scores: coverages, likelihood, mean aleatoric and epistemic deviation."""
    unit = float(table.scores.std())
    for size in sizes:
        for name, make in SURROGATES.items():
            rows = []
            for split in range(splits):
                order = np.random.default_rng([split, size]).permutation(len(table.scores))
                seen, held = order[:size], order[size:]
                told = make(table.vectors[seen], table.scores[seen], table.vectors[held], table.vectors, split)
                total = np.maximum(np.hypot(told.aleatoric, told.epistemic), 1e-9)
                error = (table.scores[held] - told.mean) / total
                inside = [float(np.mean(np.abs(error) <= norm.ppf(0.5 + level / 2))) for level in LEVELS]
                likelihood = float(np.mean(0.5 * error**2 + np.log(total / unit) + 0.5 * np.log(2 * np.pi)))
                repeated = np.isin(held, table.twice)
                parts = [told.aleatoric[repeated].mean(), told.aleatoric.mean(), told.epistemic.mean()]
                rows.append([*inside, likelihood, *(100.0 * float(part) for part in parts)])
            yield name, size, np.mean(rows, axis=0).tolist()


def main() -> None:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, epochs and splits; under a minute")
    options = parser.parse_args()
    torch.set_num_threads(1)
    quick: bool = options.quick
    repeats, epochs = (3, 8) if quick else (7, 150)
    figures: dict[str, float] = {}
    for key, name in (("fit_ask_s", "boshnas"), ("paper_fit_ask_s", "boshnas_paper")):
        figures[key] = fit_and_ask(name, repeats)
        print(f"{name}: a fit with {SCORED} scores and {BATCH} of {LIBRARY:,} proposed: {figures[key]:.2f} s (median)")
    for scored in (2_000, 10_000):
        figures[f"ask_{scored}_s"], processor = first_ask(scored, 1 if quick else 3)
        shown = f"{figures[f'ask_{scored}_s']:.2f} s, {processor:.2f} s of processor time"
        print(f"boshnas: first ask with {scored:,} scores: {shown}")
    few, many = tells((100, 2_000), 20)
    figures["tell_ms"], figures["tell_growth"] = many, many / few
    print(f"one tell in a study of 100 trials: {few:.1f} ms, of 2,000: {many:.1f} ms")
    batched, single = speedup(epochs, repeats)
    figures["speedup"] = single / batched
    print(f"NPN, teacher and student, {epochs} epochs: {batched:.2f} s in batches, {single:.2f} s one by one")
    if not (options.data / "architectures").is_dir():
        print(f"no calibration: {options.data} holds no architectures; name the folder with --data")
    else:
        table = nas_bench(options.data)
        noise = 100.0 * float(np.sqrt(np.mean(table.differences**2) / 2.0))
        print(f"noise of one training, by {len(table.twice)} encoders trained twice: {noise:.2f} points of GLUE")
        head = ["surrogate", "scores", *(f"in {level:.0%}" for level in LEVELS), "NLL"]
        print("| " + " | ".join([*head, "σ of these nine", "mean σ", "mean ξ"]) + " |")
        for name, size, row in calibration(table, (100,) if quick else (30, 100, 300), 2 if quick else 20):
            print(f"| {name} | {size} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
            if size == 100:
                figures |= {f"{name}_coverage_80": round(row[1], 3), f"{name}_nll": round(row[3], 3)}
    print(json.dumps({key: round(value, 3) for key, value in figures.items()}))


if __name__ == "__main__":
    run_main(main)
