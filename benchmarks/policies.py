"""BOSHNAS and its rivals: number of queries until one of the five best architectures is found.

Run ``uv run python benchmarks/policies.py --data ../shared/data`` (50 seeds, hours), or with ``--quick`` (under a
minute: few seeds, fast rivals). Objectives: the mean GLUE score of NAS-Bench-BERT's 490 trained encoders and the
negated perplexity of 700 SuperShaper shapes, where ``--data`` has them; with ``--store`` and ``--space`` stored scores;
and without any of these a random function that is smooth in the graph kernel's vectors. Every policy runs with batches
of 1 and 5, after ten random trials (``--initial``) and with its own initial design. ``--cache`` keeps finished runs, so
a killed benchmark resumes. The last line is JSON with ``boshnas_median_queries``, ``best_rival`` and
``best_rival_median_queries`` (NAS-Bench-BERT, batches of 5); ``_batch_1``, ``shapes_``, ``library_``, ``synthetic_``
and ``own_start_`` mark the other runs.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import inspect
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

import explorer.surrogate
from explorer.analysis.score_kinds import known_objective
from explorer.cli.bench import OptionParser, positive, run_main
from explorer.errors import DataError, InputError
from explorer.records import Trial
from explorer.search import POLICIES, Capability, initial_design, make_policy, optuna_policy, policy, policy_class
from explorer.search.candidates import Candidates, encode_choices
from explorer.similarity.graph import build_graph
from explorer.similarity.registry import kernel_named
from explorer.studies.candidates import space_candidates
from graphstore import open_store
from scored_tables import Table, nas_bench_bert, supershaper, synthetic

Array = NDArray[np.float64]
Outcome = tuple[list[int], float]  # candidates in the order of their queries, and seconds
OURS = "boshnas"
QUICK = (OURS, "random", "evolution", "local_search", "gp", "extra_trees")
STARTS, TOP = (10, 0), 5
HORIZON, BUDGET = 50, 150
"""Queries that regret is followed for, and after which a run that found none of the best is given up."""
BATCHES, SHOWN, DRAWS = (5, 1), (15, 20, 30, 50), 2000
PREFIXES = {"glue": "", "shapes": "shapes_", "library": "library_", "synthetic": "synthetic_"}
LEAST_SCORES = 30
"""Fewest stored scores that policies can be compared on."""


@dataclass(frozen=True, eq=False)
class Objective:
    """What is searched.

    Attributes:
        name: a key of ``PREFIXES``.
        title: what it is, for the table.
        candidates: the architectures.
        values: their scores ``[N]``, larger is better.
    """

    name: str
    title: str
    candidates: Candidates
    values: Array

    @property
    def best(self) -> set[int]:
        """The five best candidates, and those as good as the fifth."""
        return set(np.flatnonzero(self.values >= np.sort(self.values)[-TOP:][0]).tolist())

    @property
    def digest(self) -> str:
        """Of everything a search depends on."""
        parts = (self.candidates.vectors, self.candidates.choices, self.values)
        return _digest(*(np.ascontiguousarray(part).tobytes() for part in parts))


@dataclass(frozen=True, order=True)
class Run:
    """One search: which, and with what.

    Attributes:
        seed: of the first ten and of the policy.
        objective: its name.
        batch: architectures per ask.
        policy: its name.
        horizon: queries that are made at least, unless the best was found.
        initial: random architectures it is told first; 0 if the policy makes its own initial design.
        key: of its result in the cache.
        budget: queries after which a run that found none of the best is given up.
    """

    seed: int
    objective: str
    batch: int
    policy: str
    horizon: int
    initial: int
    key: str = field(compare=False)
    budget: int = BUDGET


def _digest(*parts: bytes) -> str:
    return hashlib.blake2b(b"".join(hashlib.blake2b(part).digest() for part in parts), digest_size=8).hexdigest()


def of_table(name: str, title: str, table: Table) -> Objective:
    vectors = kernel_named("views").fit([build_graph(spec) for spec in table.specs]).vectors
    ids = tuple(str(i) for i in range(len(table.specs)))
    return Objective(
        name, title.format(len(ids)), Candidates(ids, vectors.astype(float), encode_choices(table.specs)), table.scores
    )


def of_store(url: str, space: str, task: str) -> Objective:
    """What was trained in a space; raises DataError where too little that is comparable was."""
    with open_store(url, create=False) as store:
        known = known_objective(store, space, task)
        if len(known) < LEAST_SCORES:
            rule = f"have {LEAST_SCORES} architectures or more with comparable scores of {task}"
            raise DataError(f"space {space}", rule, len(known), "Train more, or leave --store out.")
        candidates = space_candidates(store, space, known)
    values = np.array([known[id] for id in candidates.ids])
    return Objective("library", f"{len(values)} architectures of {space}, {task}", candidates, values)


def source_digest(name: str) -> str:
    """Changes when the policy's source, or what all policies share, does."""
    module = importlib.import_module(policy_class(name).__module__)
    texts = [inspect.getsource(part) for part in (module, policy, initial_design)]
    if "explorer.search.optuna_policy" in texts[0]:
        texts.append(inspect.getsource(optuna_policy))
    if "explorer.surrogate" in texts[0]:
        folder = Path(str(explorer.surrogate.__file__)).parent
        texts += [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))]
    return f"{name}-{_digest(*(text.encode() for text in texts))}"


def first_design(objective: Objective, seed: int, count: int) -> list[int]:
    """The architectures every policy of this seed starts with; fewer are the first of more."""
    return np.random.default_rng([seed, 77]).permutation(len(objective.values))[:count].tolist()


def search(objective: Objective, run: Run) -> list[int]:
    """Candidates in the order they were asked for, the first ones included."""
    candidates, values, best = objective.candidates, objective.values, objective.best
    order = first_design(objective, run.seed, run.initial)
    learns = run.initial > 0 and Capability.INITIAL_DESIGN in policy_class(run.policy).capabilities
    agent = make_policy(run.policy, candidates, run.seed, {"initial": run.initial} if learns else {})
    agent.tell(_trials(objective, order, 0))
    while len(order) < min(run.budget, len(values)):
        ended = len(order) >= run.horizon and not best.isdisjoint(order)
        if ended or int(values.argmax()) in order:
            break
        asked = [candidates.index[p.architecture] for p in agent.ask(run.batch)]
        agent.tell(_trials(objective, asked, len(order)))
        order += asked
    return order


def _trials(objective: Objective, indices: list[int], first: int) -> list[Trial]:
    ids, values = objective.candidates.ids, objective.values
    return [Trial(first + n, ids[i], float(values[i])) for n, i in enumerate(indices)]


_OBJECTIVES: dict[str, Objective] = {}  # of a worker process, given once when it starts


def _start_worker(objectives: list[Objective]) -> None:
    import torch

    torch.set_num_threads(1)
    _OBJECTIVES.update((objective.name, objective) for objective in objectives)


def _work(run: Run) -> tuple[Run, list[int], float]:
    start = time.perf_counter()
    order = search(_OBJECTIVES[run.objective], run)
    return run, order, time.perf_counter() - start


def cached(path: Path | None) -> dict[str, Outcome]:
    """Orders and seconds by key; a line that a kill cut short is passed over."""
    found: dict[str, Outcome] = {}
    if path is not None and path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                found[row["key"]] = (row["order"], row["seconds"])
            except (ValueError, KeyError, TypeError):
                continue
    return found


def run_all(runs: list[Run], objectives: list[Objective], path: Path | None, workers: int) -> dict[Run, Outcome]:
    """Results of all runs, from the cache or made now."""
    known = cached(path)
    results = {run: known[run.key] for run in runs if run.key in known}
    missing = [run for run in runs if run.key not in known]
    print(f"{len(results)} of {len(runs)} runs are known", flush=True)
    for place, (run, order, seconds) in enumerate(_made(missing, objectives, workers), 1):
        results[run] = (order, seconds)
        if path is not None:
            row = {"key": run.key, "order": order, "seconds": round(seconds, 3)}
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps(row)}")  # the line break first: a torn line before it stays alone
        if place % 50 == 0:
            print(f"{place} of {len(missing)} done", flush=True)
    return results


def _made(runs: list[Run], objectives: list[Objective], workers: int) -> Iterator[tuple[Run, list[int], float]]:
    if not runs:
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _start_worker, (objectives,)) as pool:
        try:
            for future in as_completed([pool.submit(_work, run) for run in runs]):
                yield future.result()
        finally:  # an interrupted benchmark does not wait for what has not begun
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, eq=False)
class Result:
    """What one policy did over the seeds, ``[S]`` or ``[S, horizon]``.

    Attributes:
        queries: until one of the best was found; more than were made where it was not.
        regret: best value less best found so far, after each query.
        seconds: per ask, a mean over all.
    """

    queries: Array
    regret: Array
    seconds: float

    @classmethod
    def of(cls, objective: Objective, rows: list[Outcome], initial: int, batch: int, horizon: int) -> Result:
        """From the orders and seconds of all seeds."""
        values, best = objective.values, objective.best
        queries, regret, asks = [], [], 0
        for order, _ in rows:
            queries.append(next((n for n, i in enumerate(order, 1) if i in best), max(BUDGET, len(order)) + 1))
            curve = values.max() - np.maximum.accumulate(values[order])
            regret.append(np.append(curve, np.full(max(0, horizon - len(curve)), curve[-1]))[:horizon])
            asks += max(1, -(-(len(order) - initial) // batch))
        return cls(np.array(queries, float), np.array(regret), sum(s for _, s in rows) / asks)


def band(values: Array, statistic: Any, rng: np.random.Generator) -> tuple[float, float]:
    """95 % bootstrap interval of a statistic over the seeds."""
    drawn = values[rng.integers(len(values), size=(DRAWS, len(values)))]
    low, high = np.quantile(statistic(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)


def table_of(results: dict[str, Result], unit: float, horizon: int) -> list[str]:
    """Rows of a Markdown table, best median first."""
    rng = np.random.default_rng(0)
    ranks = rankdata(np.array([result.queries for result in results.values()]), axis=0).mean(axis=1)
    shown = [n for n in SHOWN if n <= horizon]
    regrets = [f"regret at {n}" for n in shown]
    heads = ["policy", "median queries", "quartiles", "≤ 15", "mean rank", *regrets, "s per ask"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for (name, result), rank in sorted(zip(results.items(), ranks, strict=True), key=lambda pair: _place(pair[0][1])):
        low, high = band(result.queries, np.median, rng)
        quartiles = np.quantile(result.queries, [0.25, 0.75])
        cells = [
            name,
            f"{_count(np.median(result.queries))} ({_count(low)}–{_count(high)})",
            f"{_count(quartiles[0])}–{_count(quartiles[1])}",
            f"{np.mean(result.queries <= 15):.0%}",
            f"{rank:.1f}",
        ]
        for n in shown:
            at = result.regret[:, n - 1] / unit
            low, high = band(at, np.mean, rng)
            cells.append(f"{at.mean():.3f} ({low:.3f}–{high:.3f})")
        lines.append("| " + " | ".join([*cells, f"{result.seconds:.2f}"]) + " |")
    return lines


def _place(result: Result) -> tuple[float, float]:
    return float(np.median(result.queries)), float(result.queries.mean())


def _count(queries: float) -> str:
    return f">{BUDGET}" if queries > BUDGET else f"{queries:g}"


def headline(prefix: str, batch: int, results: dict[str, Result]) -> dict[str, Any]:
    """The figures of one objective and batch size, for the last line."""
    suffix = "" if batch == 5 else f"_batch_{batch}"
    rivals = {name: result for name, result in results.items() if not name.startswith(OURS)}
    figures: dict[str, Any] = {}
    if OURS in results:
        figures["boshnas_median_queries"] = float(np.median(results[OURS].queries))
    if rivals:
        best = min(rivals, key=lambda name: _place(rivals[name]))
        figures["best_rival"] = best
        figures["best_rival_median_queries"] = float(np.median(rivals[best].queries))
    return {f"{prefix}{name}{suffix}": value for name, value in figures.items()}


def _objectives(options: argparse.Namespace) -> list[Objective]:
    if options.objectives is None:
        options.objectives = ["glue", "shapes"] if (options.data / "architectures").is_dir() else []
        if not options.objectives and not options.store:
            options.objectives = ["synthetic"]
            print(f"no scores in {options.data}, and no --store: policies search a random function", flush=True)
    tables = {
        "synthetic": (synthetic, "a random function of {} nano encoders"),
        "glue": (lambda: nas_bench_bert(options.data, "glue"), "NAS-Bench-BERT, {} encoders, mean GLUE"),
        "shapes": (lambda: supershaper(options.data), "SuperShaper, {} shapes, perplexity"),
    }
    found = [of_table(name, title, make()) for name, (make, title) in tables.items() if name in options.objectives]
    if options.store:
        found.append(of_store(options.store, options.space, options.task))
    if not found:
        raise InputError("--objectives", "be at least one, or come with --store", [], "Leave it out.")
    return found


def _options() -> argparse.Namespace:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    add("--objectives", nargs="*", choices=["glue", "shapes", "synthetic"], help="by default what the data allow")
    add("--store", help="URL of a store with trained architectures, as a further objective")
    add("--space", default="nano", help="the space of --store")
    add("--task", default="mean", help="the task of --store")
    add("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    add("--batches", nargs="+", type=positive, default=list(BATCHES))
    add("--seeds", type=positive, default=50)
    starts = "random first ones, alike for all; 0: their own"
    add("--initial", nargs="+", type=int, choices=range(BUDGET), metavar="N", default=list(STARTS), help=starts)
    add("--horizon", type=positive, default=HORIZON, help="queries that regret is followed for, at least")
    add("--workers", type=positive, default=2, help="processes of one thread each")
    add("--cache", type=Path, default=Path(".archex/policies-runs.jsonl"), help="finished runs")
    add("--report", type=Path, help="write the tables, in Markdown, here too")
    add("--quick", action="store_true", help="2 seeds, batches of 5, fewer policies, nothing kept")
    return parser.parse_args()


def main() -> None:
    options = _options()
    horizon = options.horizon
    if options.quick:
        options.initial = options.initial[:1]
        options.policies = [name for name in options.policies if name in QUICK]
        options.seeds, options.batches, options.cache, horizon = min(options.seeds, 2), [5], None, 20
    objectives = _objectives(options)
    sources = {name: source_digest(name) for name in options.policies}
    runs = [
        Run(seed, o.name, batch, name, horizon, first, f"{batch}-{seed}-{horizon}-{first}-{sources[name]}-{o.digest}")
        for seed in range(options.seeds)
        for o in objectives
        for first in options.initial
        for batch in options.batches
        for name in options.policies
    ]
    made = run_all(runs, objectives, options.cache, options.workers)
    figures: dict[str, Any] = {"seeds": options.seeds}
    lines: list[str] = []
    for objective in objectives:
        for first, batch in product(options.initial, options.batches):
            results = {}
            for name in options.policies:
                rows = [made[run] for run in runs if _is(run, objective, first, batch, name)]
                results[name] = Result.of(objective, rows, first, batch, horizon)
            start = f"the same {first} random ones first" if first else "own initial design"
            lines += [f"### {objective.title}; {start}, batches of {batch}, {options.seeds} seeds", ""]
            lines += [*table_of(results, float(objective.values.std()), horizon), ""]
            figures |= headline(("" if first else "own_start_") + PREFIXES[objective.name], batch, results)
    print("\n".join(lines))
    if options.report:
        options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps(figures))


def _is(run: Run, objective: Objective, first: int, batch: int, name: str) -> bool:
    return (run.objective, run.initial, run.batch, run.policy) == (objective.name, first, batch, name)


if __name__ == "__main__":
    run_main(main)
