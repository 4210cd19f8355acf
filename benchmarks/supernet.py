"""Super-networks: what a sub-network's step costs, and whether perplexity inside tells perplexity outside.

Run ``uv run python benchmarks/supernet.py --data ../shared/data`` or with ``--quick``. What is finished is kept in
``.archex/supernet``; the same command goes on from there, and one with more ``--seeds`` adds to it.

* **Step time.** One step (forward, backward, clipping, AdamW) of a sub-network inside the super-network, whose
  optimiser moves all weights, ÷ the same step of the extracted model, in turn, medians; several shapes of two
  backbones.
* **Perplexity.** A nano backbone is super-pre-trained on WikiText-2. Random shapes are evaluated inside it and trained
  alone from scratch; both perplexities are of the same held-out rows with the same masks.
* **Search.** At the parameters of three uniform shapes: the uniform shape, the best of the rules' shapes
  (``explorer.supershaper.shapes.heuristics``) by the perplexity inside, and the shape that evolution finds by it, which
  begins with those; each trained alone from scratch.

The last line is one JSON object: ``step_time_ratio`` is the median over the shapes, ``perplexity_rank_correlation``
Spearman's over the shapes, of the mean of log perplexity over the seeds that are finished.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from scipy.stats import spearmanr

from explorer.cli.bench import OptionParser, run_main
from explorer.errors import InputError
from explorer.models import FlexiBertForMaskedLM, config_for
from explorer.models.checking import quiet_transformers
from explorer.plots import save_figure
from explorer.plots.base import styled
from explorer.plots.palette import BLUE, GREY
from explorer.plots.titles import escaped
from explorer.space.backbones import Backbone
from explorer.supershaper.bottlenecks import start_as_identity
from explorer.supershaper.evaluation import HeldOut, perplexities, perplexity
from explorer.supershaper.network import SuperNetwork, Widths
from explorer.supershaper.shapes.evolution import EvolutionSettings, Limit, search_shapes
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.supershaper.shapes.heuristics import ShapeFamily, generate
from explorer.supershaper.text import SuperText, prepare_text
from explorer.supershaper.training import SuperPlan, train_super_network
from explorer.training.files import digest, write_json
from explorer.training.pretrain import pretrain
from explorer.training.recipe import Recipe

NANO = Backbone(hidden=64, heads=4, feed_forward=256, layers=4)
MINI = Backbone(hidden=256, heads=4, feed_forward=1024, layers=4)
WIDTHS = (16, 24, 32, 40, 48, 56, 64)
BUDGETS = (24, 32, 48)
"""Widths of the uniform shapes whose parameters are the budgets."""
CPU = torch.device("cpu")
RATE = 1e-3
WORK = Path(".archex/supernet")
RESAMPLES = 2000
TOLERANCE = 0.03
"""Share by which searched and rules' shapes may exceed a budget; the rules find none at every number exactly."""


@dataclass(frozen=True)
class Course:
    """How much is done; steps of the super-network, steps alone, shapes, held-out rows, and the evolution."""

    super_steps: int = 2400
    steps: int = 1000
    shapes: int = 30
    rows: int = 256
    generations: int = 10
    population: int = 24
    repeats: int = 31


QUICK = Course(super_steps=20, steps=20, shapes=4, rows=64, generations=1, population=4, repeats=7)


def recipe(steps: int) -> Recipe:
    # With 4e-3, which plain nano models bear, the super-network's loss rises again.
    return Recipe(steps, finetune_steps=1, pretrain_rate=RATE, pretrain_length=32, length=32, vocab_size=2048)


class Cache:
    """Results by name, written after each of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def keep(self, name: str, value: Any) -> Any:
        """Write a result down and return it."""
        self.known[name] = value
        write_json(self.path, self.known)
        return value


def time_steps(backbone: Backbone, vocabulary: int, shapes: Sequence[Widths], repeats: int) -> list[dict[str, Any]]:
    """Seconds of a step inside and alone, and of its forward and backward part, in turn; medians."""
    torch.manual_seed(0)
    widest = backbone.spec([backbone.hidden] * backbone.layers)
    settings = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 64}
    network = SuperNetwork(FlexiBertForMaskedLM(config_for(widest, vocab_size=vocabulary, **settings)))
    network.model.train()
    ids = torch.randint(5, vocabulary, (16, 64))
    labels = torch.where(torch.rand(ids.shape) < 0.15, ids, -100)
    inside = torch.optim.AdamW(network.model.parameters(), fused=True)
    rows = []
    for widths in shapes:
        alone = network.extract(widths).train()
        outside = torch.optim.AdamW(alone.parameters(), fused=True)
        seconds: list[list[float]] = [[], [], [], []]
        for _ in range(repeats):
            marks = [time.perf_counter()]
            network.zero_grad()
            network.backward(network.sub_network(widths)(input_ids=ids, labels=labels).loss)
            marks.append(time.perf_counter())
            torch.nn.utils.clip_grad_norm_(network.model.parameters(), 1.0)
            inside.step()
            marks.append(time.perf_counter())
            outside.zero_grad()
            alone(input_ids=ids, labels=labels).loss.backward()
            marks.append(time.perf_counter())
            torch.nn.utils.clip_grad_norm_(alone.parameters(), 1.0)
            outside.step()
            marks.append(time.perf_counter())
            for part, (start, end) in zip(seconds, pairwise(marks), strict=True):
                part.append(end - start)
        step = [median(a + b for a, b in zip(*pair, strict=True)) for pair in (seconds[:2], seconds[2:])]
        gradient = median(seconds[0]), median(seconds[2])
        row = {"backbone": backbone.hidden, "widths": widths, "inside_s": step[0], "alone_s": step[1]}
        rows.append(row | {"ratio": step[0] / step[1], "gradient_ratio": gradient[0] / gradient[1]})
        shown = ",".join(map(str, widths))
        print(f"step {shown:>20}: {step[0] * 1e3:7.1f} ms inside, {step[1] * 1e3:7.1f} ms alone", flush=True)
    return rows


def super_network(plan: SuperPlan, text: SuperText, folder: Path) -> SuperNetwork:
    if not folder.is_dir():
        started = time.monotonic()

        def tell(step: int, loss: float) -> None:
            if step % 100 == 0:
                print(f"super-network: step {step}, loss {loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)

        train_super_network(plan, text.prepared, folder, CPU, tell, lambda: False)
    with quiet_transformers():
        return SuperNetwork(FlexiBertForMaskedLM.from_pretrained(folder).eval())


def train_alone(widths: Widths, text: SuperText, steps: int, seed: int, held_out: HeldOut, work: Path) -> float:
    """Perplexity of a shape that is trained from scratch; a model that was cut off goes on from its checkpoint."""
    folder = work / f"alone-{'-'.join(map(str, widths))}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    settings = (text.prepared, recipe(steps), seed, folder, CPU, lambda step, loss: None, lambda: False)
    pretrain(NANO.spec(widths), *settings, initialise=start_as_identity)
    with quiet_transformers():
        found = perplexity(FlexiBertForMaskedLM.from_pretrained(folder), held_out)
    shutil.rmtree(folder)
    return found


def choose(network: SuperNetwork, held_out: HeldOut, course: Course) -> dict[str, dict[str, Any]]:
    """At each budget the shapes to compare, by the perplexity inside."""
    grid = ShapeGrid(WIDTHS, NANO, network.model.config.vocab_size)
    known: dict[Widths, float] = {}

    def inside(shapes: np.ndarray) -> np.ndarray:
        rows = [tuple(map(int, row)) for row in shapes]
        new = [row for row in dict.fromkeys(rows) if row not in known]
        known.update(zip(new, perplexities(network, new, held_out), strict=True))
        return np.array([known[row] for row in rows])

    settings = EvolutionSettings(course.generations, course.population, parents=max(2, course.population // 4))
    chosen = {}
    for width in BUDGETS:
        uniform = (width,) * NANO.layers
        budget = int(grid.parameters(np.array([uniform]))[0])
        limit = Limit("parameters", grid.parameters, (1 + TOLERANCE) * budget)
        rules: dict[str, Widths] = {}
        for family in sorted(set(ShapeFamily) - {ShapeFamily.RANDOM, ShapeFamily.RECTANGLE}):
            try:
                rules[family] = generate(grid, family, budget, TOLERANCE).widths
            except InputError as error:
                print(f"no {family} of {budget:,} parameters: {error}", flush=True)
        start = np.array([uniform, *rules.values()])
        searched = search_shapes(grid, inside, [limit], 0, settings, start=start)
        ranked = sorted(rules, key=lambda name: (inside(np.array([rules[name]]))[0], name))
        kinds = {"uniform": uniform, "searched": tuple(map(int, searched.shapes[0])), "heuristic": rules[ranked[0]]}
        chosen[str(width)] = {
            "budget": budget,
            "evaluated": searched.evaluated,
            "family": ranked[0],
            "shapes": kinds,
            "parameters": {kind: int(grid.parameters(np.array([shape]))[0]) for kind, shape in kinds.items()},
            "inside": {kind: float(inside(np.array([shape]))[0]) for kind, shape in kinds.items()},
            "rules": {name: float(inside(np.array([shape]))[0]) for name, shape in sorted(rules.items())},
        }
    return chosen


@dataclass(frozen=True)
class Alone:
    """Perplexities of shapes trained alone, among all results, for one number of steps."""

    known: dict[str, Any]
    steps: int

    def key(self, widths: Sequence[int], seed: int) -> str:
        """What such a result is called."""
        return f"{','.join(map(str, widths))}/{seed}/{self.steps}"

    def of(self, widths: Sequence[int], seeds: int) -> list[float]:
        """The perplexities of the seeds that are finished."""
        keys = [self.key(widths, seed) for seed in range(seeds)]
        return [self.known[key] for key in keys if key in self.known]


def correlation(inside: Sequence[float], alone: Sequence[float]) -> tuple[float, float, float]:
    """Spearman's correlation with the ends of its 95 % interval over resampled shapes."""
    x, y, rng = np.array(inside), np.array(alone), np.random.default_rng(0)
    drawn = (rng.integers(len(x), size=len(x)) for _ in range(RESAMPLES))
    found = [spearmanr(x[rows], y[rows]).statistic for rows in drawn if len(set(rows)) > 2]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(spearmanr(x, y).statistic), float(low), float(high)


def inside_against_alone(shapes: pd.DataFrame) -> go.Figure:
    """Draw one point per shape.

    Args:
        shapes: ``shape`` (widths as text), ``parameters``, the perplexities ``inside`` and ``alone``, and ``low`` and
            ``high``, the smallest and largest perplexity alone over seeds.
    """
    alone = shapes["alone"].to_numpy()
    up, down = shapes["high"].to_numpy() - alone, alone - shapes["low"].to_numpy()
    several = bool(np.any(up + down > 0))
    figure = go.Figure(
        go.Scatter(
            x=shapes["inside"].to_numpy(),
            y=alone,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": up,
                "arrayminus": down,
                "visible": several,
                "color": GREY,
                "thickness": 1,
            },
            mode="markers",
            marker={
                "size": 11,
                "color": shapes["parameters"].to_numpy(),
                "colorscale": [[0.0, "#D6E4F5"], [1.0, BLUE]],
                "colorbar": {"title": {"text": "parameters"}},
                "line": {"width": 1, "color": "white"},
            },
            text=[escaped(str(shape)) for shape in shapes["shape"]],
            hovertemplate="%{text}<br>inside %{x:.1f}<br>alone %{y:.1f}<extra></extra>",
        )
    )
    styled(figure, 460)
    figure.update_xaxes(title_text="perplexity inside the super-network")
    figure.update_yaxes(title_text="perplexity trained alone" + (" (range over seeds)" if several else ""))
    return figure


def main() -> None:
    parser = OptionParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with text/wikitext-2")
    parser.add_argument("--seeds", type=int, default=1, help="trainings alone of each random shape")
    parser.add_argument("--search-seeds", type=int, default=3, help="trainings alone of each shape of the search")
    parser.add_argument("--report", action="store_true", help="train no further shapes: tell what is finished")
    parser.add_argument("--picture", type=Path, help="file for a picture of perplexity inside and alone")
    parser.add_argument("--quick", action="store_true", help="few shapes and steps")
    options = parser.parse_args()
    course = QUICK if options.quick else Course()
    search_seeds = 1 if options.quick else options.search_seeds
    torch.set_num_threads(1)
    work = WORK / ("quick" if options.quick else "full")
    data = options.data / "text" / "wikitext-2"
    text = prepare_text(work / "data", recipe(1), data, None, lambda share, note: None)
    plan = SuperPlan(NANO, WIDTHS, recipe(course.super_steps))
    key = digest(plan.mark, text.fingerprint, str(course.super_steps), str(course.rows), str(RATE))
    if options.quick:
        shutil.rmtree(work / key, ignore_errors=True)
    cache = Cache(work / key / "results.json")
    rng = np.random.default_rng(0)
    drawn = (tuple(map(int, row)) for row in rng.choice(WIDTHS, (2 * course.shapes, NANO.layers)))
    shapes = list(dict.fromkeys(drawn))[: course.shapes]

    if "steps" not in cache.known:
        nano = [(64,) * 4, (16,) * 4, (32, 16, 48, 64), (56, 24, 40, 16)]
        mini = [(256,) * 4, (64,) * 4, (64, 128, 256, 192)]
        timed = time_steps(NANO, 2048, nano, course.repeats)
        cache.keep("steps", timed + time_steps(MINI, 2048, mini, max(5, course.repeats // 2)))
    network = super_network(plan, text, work / key / "super-network")
    held_out = HeldOut.of(text, 32, course.rows)
    if "inside" not in cache.known:
        cache.keep("inside", perplexities(network, shapes, held_out))
    if "search" not in cache.known:
        cache.keep("search", choose(network, held_out, course))
    known = Alone(cache.known, course.steps)
    searched = [tuple(row) for one in cache.known["search"].values() for row in one["shapes"].values()]
    order = [(row, 0) for row in shapes] + [(row, seed) for seed in range(search_seeds) for row in searched]
    order += [(row, seed) for seed in range(1, options.seeds) for row in shapes]
    for number, (row, seed) in enumerate([] if options.report else dict.fromkeys(order)):
        if known.key(row, seed) not in cache.known:
            started = time.monotonic()
            found = train_alone(row, text, course.steps, seed, held_out, work / key)
            cache.keep(known.key(row, seed), found)
            took = time.monotonic() - started
            print(f"{number + 1} of {len(order)}: {row} perplexity {found:.2f}, {took:.0f} s", flush=True)
    report(known, shapes, options.seeds, search_seeds, options.picture)


def report(alone: Alone, shapes: list[Widths], seeds: int, search_seeds: int, picture: Path | None) -> None:
    """Print what is finished, in tables of the form that the documents have; the last line is for machines."""
    known = alone.known
    print("| backbone | shape | step ratio | gradients only |\n|---|---|---|---|")
    for row in known["steps"]:
        widths = ",".join(map(str, row["widths"]))
        print(f"| {row['backbone']} | {widths} | {row['ratio']:.3f} | {row['gradient_ratio']:.3f} |")
    insides = dict(zip(shapes, known["inside"], strict=True))
    shapes = [row for row in shapes if alone.of(row, seeds)]
    sizes = ShapeGrid(WIDTHS, NANO, 2048).parameters(np.array(shapes))
    frame = pd.DataFrame({"shape": [",".join(map(str, row)) for row in shapes], "parameters": sizes})
    frame["inside"] = [insides[row] for row in shapes]
    values = [alone.of(row, seeds) for row in shapes]
    frame["alone"] = [float(np.exp(np.mean(np.log(one)))) for one in values]
    frame["low"], frame["high"] = [min(one) for one in values], [max(one) for one in values]
    print("\n| shape | parameters | inside | alone |\n|---|---|---|---|")
    for one in frame.sort_values("alone").itertuples():
        print(f"| {one.shape} | {one.parameters:,} | {one.inside:.1f} | {one.alone:.1f} |")
    print("\n| rank correlation of perplexity alone with | Spearman | 95 % |\n|---|---|---|")
    found, low, high = correlation(frame["inside"], frame["alone"])
    print(f"| perplexity inside | {found:.3f} | {low:.3f} to {high:.3f} |")
    names = {"fewer parameters": -sizes.astype(float)}
    names |= {f"narrower layer {place + 1}": -np.array(shapes)[:, place].astype(float) for place in range(NANO.layers)}
    for name, column in names.items():
        other = correlation(column, frame["alone"])
        print(f"| {name} | {other[0]:.3f} | {other[1]:.3f} to {other[2]:.3f} |")
    for one, two in combinations(range(seeds), 2):
        both = [row for row in shapes if alone.key(row, one) in known and alone.key(row, two) in known]
        if len(both) > 2:
            columns = [[known[alone.key(row, seed)] for row in both] for seed in (one, two)]
            between, below, above = correlation(*columns)
            print(f"| seed {one} with seed {two} ({len(both)}) | {between:.3f} | {below:.3f} to {above:.3f} |")
    print("\n| parameters | kind | shape | its own | inside | alone |\n|---|---|---|---|---|---|")
    for one in known["search"].values():
        for kind, row in one["shapes"].items():
            own = alone.of(row, search_seeds)
            spread = f" ± {np.std(own, ddof=1):.1f}" if len(own) > 1 else ""
            mean = f"{math.exp(np.mean(np.log(own))):.1f}{spread} ({len(own)})" if own else "–"
            name = f"{kind} ({one['family']})" if kind == "heuristic" else kind
            cells = (f"{one['budget']:,}", name, ",".join(map(str, row)), f"{one['parameters'][kind]:,}")
            print(f"| {' | '.join(cells)} | {one['inside'][kind]:.1f} | {mean} |")
    if picture is not None:
        save_figure(inside_against_alone(frame), picture)
    ratio = median(row["ratio"] for row in known["steps"])
    print(json.dumps({"step_time_ratio": round(ratio, 4), "perplexity_rank_correlation": round(found, 4)}))


if __name__ == "__main__":
    run_main(main)
