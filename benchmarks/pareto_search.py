"""Searching for trade-offs: BOSHNAS beside NSGA-II and random search, by hypervolume over queries.

Run ``uv run python benchmarks/pareto_search.py --data ../shared/data`` (20 seeds, minutes) or with ``--quick`` (under a
minute: one seed, two tables, no check of constraints). Tables:

* ``glue_parameters``: mean GLUE score of NAS-Bench-BERT's 490 really trained encoders against their parameters;
* ``glue_latency_energy``: the same score against the latency and energy that a device, learned from EdgeTran's
  measured rows, is predicted to take: the scores are real, these costs are not measured on these encoders. EdgeTran's
  own scores were filled by a fitted model, so nothing is searched by them;
* ``shapes_latency``: perplexity of 699 SuperShaper shapes against their latency measured on a two-core Xeon;
* ``shapes_predicted``: the same, but the search knows latencies of 50 random shapes only and predicts the others;
  what it found is judged by the measured ones.

Every policy is told the same ten random architectures of the seed and then asks for batches of 5; queries count from
the first of the ten. The figure is the hypervolume of what was tried, as a share of the whole table's. The reference
point lies a tenth of the Pareto set's range beyond its worst score and costs. Vectors are those of a library.

A second part says what a constraint on a predicted latency is worth under three rules: let a candidate through if the
low end of its error bar, the estimate, or the high end keeps the limit (the last is the explorer's).

The last line is one JSON object: medians over seeds as ``boshnas_hypervolume_50, nsga2_hypervolume_50,
random_hypervolume_50`` (first table), and with the table's name before them for the others.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from explorer.cli.bench import OptionParser, run_main
from explorer.measure.predictor import DevicePredictor
from explorer.measure.size import parameters
from explorer.pareto import hypervolume, pareto_set
from explorer.records import Trial
from explorer.search import Candidates, encode_choices, make_policy
from explorer.similarity.graph import build_graph
from explorer.similarity.registry import kernel_named
from explorer.space.imports.edgetran import find_edgetran
from explorer.space.spec import ArchitectureSpec
from scored_tables import nas_bench_bert, shape_rows, supershaper

Array = NDArray[np.float64]
POLICIES = ("boshnas", "nsga2", "random")
TABLES = ("glue_parameters", "glue_latency_energy", "shapes_latency", "shapes_predicted")
QUICK = ("glue_parameters", "shapes_latency")
DEVICE, MACHINE = "cpu_jetson-nano", "gcp_xeon2core_bs1_s"
INITIAL, BATCH, HORIZON, MEASURED = 10, 5, 50, 50
SHOWN = (15, 20, 30, 50)
RULES = {"low end": -1.0, "estimate": 0.0, "high end": 1.0}


@dataclass(frozen=True, eq=False)
class Table:
    """What is searched.

    Attributes:
        name, title: one of ``TABLES``, and what it is.
        specs: N architectures.
        vectors, choices: as candidates have them.
        scores: ``[N]``, larger is better.
        names: of the costs.
        costs: ``[N, m]``, by which the searches are judged.
        hidden: whether the searches know only some of them.
    """

    name: str
    title: str
    specs: list[ArchitectureSpec]
    vectors: Array
    choices: NDArray[np.int64]
    scores: Array
    names: tuple[str, ...]
    costs: Array
    hidden: bool = False

    def candidates(self, seed: int) -> Candidates:
        """What the searches of a seed know."""
        ids = tuple(str(i) for i in range(len(self.scores)))
        costs, errors = self.costs, np.zeros_like(self.costs)
        if self.hidden:
            known = np.random.default_rng([seed, 78]).permutation(len(ids))[:MEASURED]
            learned = DevicePredictor.fit([self.specs[i] for i in known], self.costs[known, 0], seed)
            costs = np.array([[estimate.value] for estimate in learned.predict(self.specs)])
            errors = np.full_like(costs, learned.spread)
            costs[known], errors[known] = self.costs[known], 0.0
        return Candidates(ids, self.vectors, self.choices, costs=costs, cost_names=self.names, cost_errors=errors)


def glue(data: Path, names: Sequence[str]) -> list[Table]:
    table = nas_bench_bert(data, "glue")
    vectors = kernel_named("views").fit([build_graph(spec) for spec in table.specs]).vectors
    shared = (table.specs, vectors.astype(float), encode_choices(table.specs), table.scores)
    found = []
    if "glue_parameters" in names:
        sizes = np.array([[float(parameters(spec))] for spec in table.specs])
        title = "NAS-Bench-BERT, mean GLUE against parameters"
        found.append(Table("glue_parameters", title, *shared, ("parameters",), sizes))
    if "glue_latency_energy" in names:
        quantities = ("latency", "energy")
        costs = np.column_stack([_predicted(data, quantity, table.specs) for quantity in quantities])
        title = f"NAS-Bench-BERT, mean GLUE against latency and energy predicted for {DEVICE}"
        found.append(Table("glue_latency_energy", title, *shared, tuple(f"{q}@{DEVICE}" for q in quantities), costs))
    return found


def _predicted(data: Path, quantity: str, specs: list[ArchitectureSpec]) -> Array:
    rows: list[tuple[ArchitectureSpec, float]] = []
    for _, row in find_edgetran(data / "architectures" / "edgetran" / "codesign_dataset.json").valid:
        assert isinstance(row.architecture, ArchitectureSpec)
        rows += [(row.architecture, m.value) for m in row.measurements if (m.device, m.quantity) == (DEVICE, quantity)]
    learned = DevicePredictor.fit([spec for spec, _ in rows], [value for _, value in rows])
    estimates = learned.predict(specs)
    beyond = np.mean([estimate.beyond for estimate in estimates])
    print(
        f"{DEVICE} {quantity}: learned from {learned.count} rows by {learned.method}, error of the logarithm "
        f"{learned.spread:.3f}, rank correlation {learned.rank_correlation:.3f} (held out); {beyond:.0%} of the "
        "encoders lie beyond the rows' sizes"
    )
    return np.array([estimate.value for estimate in estimates])


def shapes(data: Path, names: Sequence[str]) -> list[Table]:
    table = supershaper(data)
    texts = [row[MACHINE].strip() for row in shape_rows(data)]
    timed = [i for i, text in enumerate(texts) if text]
    specs, seconds = [table.specs[i] for i in timed], np.array([[float(texts[i])] for i in timed])
    vectors = kernel_named("views").fit([build_graph(spec) for spec in specs]).vectors
    shared = (specs, vectors.astype(float), encode_choices(specs), table.scores[timed], ("latency",), seconds)
    titles = {
        "shapes_latency": "SuperShaper, perplexity against latency measured on a two-core Xeon",
        "shapes_predicted": f"the same, latency known of {MEASURED} shapes and predicted for the others",
    }
    return [
        Table(name, title, *shared, hidden=name == "shapes_predicted")
        for name, title in titles.items()
        if name in names
    ]


def search(table: Table, policy: str, seed: int) -> tuple[list[float], float]:
    """Share of the table's hypervolume after each query, and seconds."""
    began = time.perf_counter()
    candidates, values = table.candidates(seed), table.scores
    order = np.random.default_rng([seed, 77]).permutation(len(values))[:INITIAL].tolist()
    agent = make_policy(policy, candidates, seed, {} if policy == "random" else {"initial": INITIAL})

    def tell(rows: list[int], first: int) -> None:
        agent.tell([Trial(first + n, str(i), float(values[i])) for n, i in enumerate(rows)])

    tell(order, 0)
    while len(order) < HORIZON:
        asked = [candidates.index[p.architecture] for p in agent.ask(BATCH)]
        tell(asked, len(order))
        order += asked
    seconds = time.perf_counter() - began
    points = np.column_stack([values, -table.costs])
    front = points[pareto_set(points)]
    reference = front.min(axis=0) - 0.1 * np.ptp(front, axis=0)
    whole = hypervolume(front, reference)
    return [hypervolume(points[order[: n + 1]], reference) / whole for n in range(HORIZON)], seconds


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)


def table_of(curves: dict[str, Array], seconds: dict[str, float]) -> list[str]:
    """Rows of a Markdown table."""
    heads = ["policy", *(f"hypervolume at {n}" for n in SHOWN), "queries to 95 %", "s per search"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, found in curves.items():
        cells = []
        for n in SHOWN:
            low, middle, high = np.quantile(found[:, n - 1], [0.25, 0.5, 0.75])
            cells.append(f"{middle:.3f} ({low:.3f}–{high:.3f})")
        reached = np.where((found >= 0.95).any(axis=1), (found >= 0.95).argmax(axis=1) + 1, HORIZON + 1)
        needed = float(np.median(reached))
        cells += [f"{needed:g}" if needed <= HORIZON else f">{HORIZON}", f"{seconds[name]:.1f}"]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def constraint_rules(table: Table, seeds: int) -> list[str]:
    """What each rule lets through where the limit is the median latency, means over seeds."""
    lines = [
        "| rule | let through | of these keep the limit | of those that keep it are let through |",
        "|---|---|---|---|",
    ]
    true = table.costs[:, 0]
    limit = float(np.median(true))
    found: dict[str, list[tuple[float, float, float]]] = {rule: [] for rule in RULES}
    for seed in range(seeds):
        known = table.candidates(seed)
        unmeasured = known.cost_errors[:, 0] > 0
        keeps = (true <= limit)[unmeasured]
        for rule, side in RULES.items():
            through = (known.costs[:, 0] * np.exp(side * known.cost_errors[:, 0]) <= limit)[unmeasured]
            found[rule].append((through.mean(), keeps[through].mean(), through[keeps].mean()))
    for rule, rows in found.items():
        lines.append(f"| {rule} | " + " | ".join(f"{value:.1%}" for value in np.mean(rows, axis=0)) + " |")
    return lines


def main() -> None:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--quick", action="store_true", help="one seed, two tables")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"--data must be a folder with architectures/, but got {options.data}")
    if options.quick:
        options.seeds, options.tables = 1, [n for n in options.tables if n in QUICK]
    tables: list[Table] = []
    if any(name.startswith("glue") for name in options.tables):
        tables += glue(options.data, options.tables)
    if any(name.startswith("shapes") for name in options.tables):
        tables += shapes(options.data, options.tables)
    figures: dict[str, float] = {"seeds": options.seeds}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, spawn, _start_worker) as pool:
        made = [
            {name: [pool.submit(search, table, name, seed) for seed in range(options.seeds)] for name in POLICIES}
            for table in tables
        ]
        for table, searches in zip(tables, made, strict=True):
            found = {name: [future.result() for future in futures] for name, futures in searches.items()}
            curves = {name: np.array([curve for curve, _ in rows]) for name, rows in found.items()}
            seconds = {name: float(np.median([second for _, second in rows])) for name, rows in found.items()}
            whole = len(pareto_set(np.column_stack([table.scores, -table.costs])))
            print(f"\n### {table.title}; {len(table.scores)} architectures, {whole} of them Pareto-optimal\n")
            print("\n".join(table_of(curves, seconds)), flush=True)
            prefix = "" if table is tables[0] else f"{table.name}_"
            for name, curve in curves.items():
                figures[f"{prefix}{name}_hypervolume_50"] = round(float(np.median(curve[:, HORIZON - 1])), 4)
    for table in tables:
        if table.hidden:
            print(f"\n### A limit on the predicted latency, the median of all; {MEASURED} shapes measured\n")
            print("\n".join(constraint_rules(table, options.seeds)))
    print(json.dumps(figures))


if __name__ == "__main__":
    run_main(main)
