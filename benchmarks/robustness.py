"""How bad a search can go: policies on many objectives that none of them was tuned on.

Run ``uv run python benchmarks/robustness.py --data ../shared/data`` (30 seeds; many hours, resumes), or with
``--quick`` (a minute: few seeds, objectives and fast policies). Objectives: the tasks of NAS-Bench-BERT one by one and
their mean, SuperShaper's perplexity, where ``--data`` has them, and ten families of synthetic functions over the graphs
of the nano and tiny-mini spaces (``families.py``). Each policy starts with its own initial design; ``nasbench_median``
is of the mean after the same ten random ones. Reported: median and 90th percentile of queries until one of the five
best, at most 300; regret after 30; the mean rank over all objectives; and the worst ratio to random search. The last
line is JSON with ``mean_rank``, ``worst_p90_ratio_to_random``, ``nasbench_median`` and ``own_start_nasbench_median``.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from explorer.cli.bench import OptionParser, positive, run_main
from explorer.search import POLICIES
from explorer.search.candidates import Candidates, encode_choices
from explorer.space.imports.nas_bench_bert import METRICS
from families import FAMILIES, architectures
from policies import OURS, Array, Objective, Result, Run, of_table, run_all, source_digest
from scored_tables import nas_bench_bert, supershaper

BUDGET, HORIZON, SEEDS, FIRST = 300, 30, 30, 10
SPACES, MEAN = ("nano", "tiny-mini"), "glue"
QUICK_POLICIES, QUICK_FAMILIES = (OURS, "random", "evolution"), ("island", "corner", "noise")


def made(space: str, families: list[str]) -> list[Objective]:
    """One objective of each family over a space."""
    # The spaces differ in sizes alone, so each needs a draw of its own.
    draw = SPACES.index(space)
    specs, vectors = architectures(space, draw)
    choices, ids = encode_choices(specs), tuple(map(str, range(len(specs))))
    candidates = Candidates(ids, vectors, choices)
    return [
        Objective(
            f"{space} {name}",
            f"{space}, {name.replace('_', ' ')}",
            candidates,
            FAMILIES[name](specs, vectors, np.random.default_rng([7, draw, place])),
        )
        for place, name in enumerate(FAMILIES)
        if name in families
    ]


def published(data: Path) -> list[Objective]:
    """The tables of scores, where they are."""
    if not (data / "architectures").is_dir():
        print(f"no published scores in {data}", flush=True)
        return []
    found = [of_table(task, f"NAS-Bench-BERT, {task}", nas_bench_bert(data, task)) for task in (MEAN, *METRICS)]
    return [*found, of_table("shapes", "SuperShaper, perplexity", supershaper(data))]


def runs_of(objectives: list[Objective], options: argparse.Namespace) -> list[Run]:
    """All searches: each policy's own start everywhere, and the common start on the mean of NAS-Bench-BERT."""
    sources = {name: source_digest(name) for name in options.policies}
    starts = [(one, 0) for one in objectives] + [(one, FIRST) for one in objectives if one.name == MEAN]
    return [
        Run(seed, one.name, batch, name, HORIZON, first, key, options.budget)
        for seed, (one, first), batch, name in product(range(options.seeds), starts, options.batches, options.policies)
        for key in [f"{batch}-{seed}-{HORIZON}-{options.budget}-{first}-{sources[name]}-{one.digest}"]
    ]


def p90(result: Result) -> float:
    return float(np.quantile(result.queries, 0.9))


def worst_ratio(own: list[Result], random: list[Result]) -> float:
    """The largest 90th percentile of queries, relative to that of random search on the same objective."""
    return max(p90(one) / p90(other) for one, other in zip(own, random, strict=True))


def mean_ranks(found: dict[str, list[Result]]) -> dict[str, float]:
    """Each policy's mean rank of its median queries over the objectives; 1 is best."""
    medians = np.array([[np.median(one.queries) for one in results] for results in found.values()])
    ranks: Array = rankdata(medians, axis=0).mean(axis=1)
    return dict(zip(found, ranks.tolist(), strict=True))


def report(objectives: list[Objective], found: dict[str, list[Result]], batch: int, seeds: int) -> list[str]:
    """A table of policies over all objectives, and their figures on each objective."""
    ranks, random = mean_ranks(found), found["random"]
    lines = [f"### Batches of {batch}, {len(objectives)} objectives, {seeds} seeds", ""]
    lines += [
        "| policy | mean rank | worst 90th percentile, relative to random | above random's |",
        "|---|---|---|---|",
    ]
    for name in sorted(found, key=lambda name: ranks[name]):
        above = sum(p90(own) > p90(other) for own, other in zip(found[name], random, strict=True))
        lines.append(f"| {name} | {ranks[name]:.2f} | {worst_ratio(found[name], random):.2f} | {above} |")
    lines += ["", "| objective | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for place, objective in enumerate(objectives):
        unit = float(objective.values.std())
        cells = [
            f"{np.median(one.queries):g} / {p90(one):g} / {one.regret[:, HORIZON - 1].mean() / unit:.2f}"
            for one in (results[place] for results in found.values())
        ]
        lines.append(f"| {objective.title} | " + " | ".join(cells) + " |")
    return [*lines, "", "Cells: median queries / 90th percentile / regret at 30 in deviations of the scores.", ""]


def _options() -> argparse.Namespace:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    add("--policies", nargs="+", choices=POLICIES, default=list(POLICIES), help="random is always one of them")
    add("--families", nargs="*", choices=list(FAMILIES), default=list(FAMILIES))
    add("--batches", nargs="+", type=positive, default=[5, 1])
    add("--seeds", type=positive, default=SEEDS)
    add("--workers", type=positive, default=2, help="processes of one thread each")
    add("--cache", type=Path, default=Path(".archex/robustness-runs.jsonl"), help="finished runs")
    add("--report", type=Path, help="write the tables, in Markdown, here too")
    add("--quick", action="store_true", help="2 seeds, batches of 5, fewer objectives and policies, nothing kept")
    return parser.parse_args()


def main() -> None:
    options = _options()
    options.budget = BUDGET
    if options.quick:
        options.policies = [name for name in options.policies if name in QUICK_POLICIES]
        options.families = [name for name in options.families if name in QUICK_FAMILIES]
        options.seeds, options.batches, options.cache, options.budget = 2, [5], None, 60
    options.policies = list(dict.fromkeys(["random", *options.policies]))
    objectives = [one for space in SPACES for one in made(space, options.families)]
    objectives += [one for one in published(options.data) if not options.quick or one.name == MEAN]
    runs = runs_of(objectives, options)
    outcomes = run_all(runs, objectives, options.cache, options.workers)

    def result(objective: Objective, first: int, batch: int, name: str) -> Result:
        asked = (objective.name, first, batch, name)
        rows = [outcomes[run] for run in runs if (run.objective, run.initial, run.batch, run.policy) == asked]
        return Result.of(objective, rows, first, batch, HORIZON)

    figures: dict[str, Any] = {"seeds": options.seeds, "objectives": len(objectives)}
    lines: list[str] = []
    for batch in options.batches:
        found = {name: [result(one, 0, batch, name) for one in objectives] for name in options.policies}
        lines += report(objectives, found, batch, options.seeds)
        if OURS in found:
            suffix = "" if batch == options.batches[0] else f"_batch_{batch}"
            figures[f"mean_rank{suffix}"] = round(mean_ranks(found)[OURS], 3)
            figures[f"worst_p90_ratio_to_random{suffix}"] = round(worst_ratio(found[OURS], found["random"]), 3)
            for mean in (one for one in objectives if one.name == MEAN):
                for first, name in ((FIRST, "nasbench_median"), (0, "own_start_nasbench_median")):
                    figures[f"{name}{suffix}"] = float(np.median(result(mean, first, batch, OURS).queries))
    print("\n".join(lines))
    if options.report:
        options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    run_main(main)
