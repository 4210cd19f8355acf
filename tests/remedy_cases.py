"""Wrong inputs, and what is done with the remedy of each error: the cases of ``test_remedies``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import yaml
from typer.testing import CliRunner

from explorer.analysis.devices import find_device
from explorer.analysis.pareto import pareto_front
from explorer.analysis.quantities import Direction, parse_measurement_key, parse_quantity, split_direction
from explorer.analysis.questions import parse_layer_rule, parse_score, parse_sort
from explorer.analysis.ranges import parse_range
from explorer.analysis.score_kinds import known_objective
from explorer.app.query.cypher_console import _own_parameters
from explorer.app.server import checked_base_path, free_port
from explorer.cli.cypher import _pair
from explorer.cli.main import build
from explorer.documents.json_text import parse_json, parse_settings, parse_value
from explorer.documents.separated import TableOptions, read_separated
from explorer.library.importing import import_file, table_file
from explorer.library.library import vector_of
from explorer.library.spaces import check_size
from explorer.measure.latency import time_runs
from explorer.measure.machine import parse_device
from explorer.plots.saving import check_target
from explorer.progress import SilentReporter
from explorer.search import make_policy
from explorer.similarity.random_walk import RandomWalk
from explorer.space.drafts import LayerDraft, read_layer, uncounted
from explorer.space.formats import from_model_dict
from explorer.space.grammar import DesignSpace, load_space
from explorer.space.imports.edgetran import find_edgetran
from explorer.space.imports.mapping import parse_mapping
from explorer.space.imports.tables import find_table
from explorer.space.resources import data_folder
from explorer.space.spec import LayerSpec
from explorer.studies.budgets import check_hours
from explorer.studies.candidates import space_candidates
from explorer.studies.executors.contract import Resources
from explorer.studies.objectives import read_objectives
from explorer.studies.worker import checked_outcome
from explorer.study import Study
from explorer.supershaper.planning import backbone_named, shape_of, super_settings
from explorer.supershaper.shapes.evolution import EvolutionSettings
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.supershaper.shapes.heuristics import check_budget
from explorer.training.pretrain import check_device
from explorer.training.recipe import RECIPES, recipe_named
from explorer.training.sources import _places, known_task
from explorer.training.tasks.own import load_own, read_own
from graphstore.queries import ArchitectureQuery
from graphstore.records import ScoreRecord

Follow = Callable[[SimpleNamespace, str], object]
LEAD = re.compile(r".*(?:for example|Write|Use|Add|or its name:) (.*?)(?: into the mapping)?\.?$")
APART = re.compile(r",? or |, (?![^\[{(]*[\]})])")


def values(remedy: str) -> list[str]:
    """The values that a remedy names, without quotes."""
    found = LEAD.match(remedy)
    assert found, remedy
    return [part.strip("'\"`") for part in APART.split(found[1])]


def commands(remedy: str) -> list[str]:
    """The commands of this package that a remedy names."""
    return re.findall(r"`(archex [^`]+)`", remedy)


@dataclass(frozen=True)
class Case:
    """A wrong input, and what to do with each thing that the remedy names.

    Attributes:
        template: the remedy as the source has it, with ``{}`` for what is filled in.
        wrong: raises the error.
        follow: does it again with a value of the remedy in place of the wrong one, or runs a command.
        take: returns the values or commands of the remedy.
    """

    template: str
    wrong: Callable[[SimpleNamespace], object]
    follow: Follow
    take: Callable[[str], list[str]] = values


def same(template: str, attempt: Follow, wrong: object, take: Callable[[str], list[str]] | str = values) -> Case:
    """A case in which the value takes the place of the wrong one. ``take`` may be an expression for the values."""
    chosen = (lambda remedy: re.findall(take, remedy)) if isinstance(take, str) else take
    return Case(template, lambda world: attempt(world, wrong), attempt, chosen)  # type: ignore[arg-type]


def run(world: SimpleNamespace, command: str) -> None:
    """Run a command on the world's store."""
    code, _, told = world.archex(*shlex.split(command)[1:], "--store", world.store.url)
    assert code == 0, told


def cli(*words: object) -> None:
    """Run a command in this process, and raise its error."""
    done = CliRunner().invoke(build(str(words[0])), [str(word) for word in words])
    if isinstance(done.exception, Exception):
        raise done.exception


LAYER = {"l": 1, "o": ["sa"], "h": [128], "n": [2], "f": [[512]], "p": ["sdp"]}
SCORE = {"column": "sst", "task": "SST-2", "metric": "accuracy", "dataset": "GLUE", "recipe": "mine"}
MAPPED = {"source": "mine", "architecture": {"name": "model"}, "scores": [SCORE]}


def table(world: SimpleNamespace, text: str, name: str = "t.csv", options: TableOptions | None = None, **changes):
    path = world.path / name
    path.write_text(text)
    found = find_table(path, parse_mapping({**MAPPED, **changes}), options)
    if found.refused:
        raise found.refused[0].error(name)
    return found


def heads(value: str) -> list[str]:
    return ["sa_wma_32", value]


def layer_draft(**changes: object) -> LayerSpec:
    draft = LayerDraft(operation="sa_sdp", hidden=64, heads=2, stack="64", mix="")
    return read_layer(replace(draft, **changes), "layer")  # type: ignore[arg-type]


def imported(world: SimpleNamespace, value: float) -> None:
    (world.path / "map.yaml").write_text(yaml.safe_dump(MAPPED))
    read = table_file(written(world, f"model,sst\nBERT-Mini,{value}\n"), world.path / "map.yaml", "own")
    report = import_file(world.store, read, SilentReporter())
    if report.refused:
        raise report.refused[0].error(read.file)


def searched(world: SimpleNamespace, budget: int = 2) -> None:
    """A finished study ``s`` on the known scores."""
    words = ["search", "--space", "small", "--objective", "known", "--from-scores", "--policy", "random"]
    code, _, told = world.archex(*words, "--budget", str(budget), "--study", "s", "--store", world.store.url)
    assert code == 0, told


def two_metrics(world: SimpleNamespace) -> None:
    id = world.store.architecture_ids("small")[0]
    scores = [ScoreRecord(id, "twice", metric, 0.5, "d", "f", "r", 0, "s:1") for metric in ("accuracy", "f1")]
    world.store.add_scores(scores)
    known_objective(world.store, "small", "twice")


def too_large(value: str) -> None:
    document = yaml.safe_load((data_folder() / "spaces" / "nano.yaml").read_text())
    check_size(DesignSpace.from_document({**document, "layers_per_stack": 1}).at_level(int(value)))


def own_task(world: SimpleNamespace, kind: str) -> None:
    rows = "".join(f"{n}.5\tsentence {n}\n" for n in range(1200))
    (world.path / "t.tsv").write_text("label\tsentence\n" + rows)
    document = {"name": "mine", "files": {"train": "t.tsv"}, "columns": {"label": "label", "sentence": "sentence"}}
    (world.path / "task.yaml").write_text(yaml.safe_dump({**document, "kind": kind}))
    load_own(read_own(world.path / "task.yaml"))


def opened(world: SimpleNamespace, **choices: object) -> None:
    Study.open(world.store.url, "s", space="small", policy="random", **choices).close()


def regression(world: SimpleNamespace, decimal: str) -> None:
    (world.path / "t.csv").write_text("label;sentence\n" + "".join(f"{n},125;sentence {n}\n" for n in range(1, 30)))
    document = {"name": "mine", "kind": "regression", "files": {"train": "t.csv"}}
    (world.path / "task.yaml").write_text(yaml.safe_dump(document | ({"decimal": decimal} if decimal else {})))
    load_own(read_own(world.path / "task.yaml"))


def in_french(world: SimpleNamespace, encoding: str) -> None:
    (world.path / "t.csv").write_bytes("modèle;note\nBERT-Mini;1\n".encode("cp1252"))
    read_separated(world.path / "t.csv", TableOptions(encoding=encoding))


def measured_row(world: SimpleNamespace, key: str) -> None:
    performance = {"latency": 1, "energy": 1, "peak_power": 1}
    path = world.path / "e.json"
    path.write_text(json.dumps({key: {"model_dict": LAYER, "performance": performance}}))
    found = find_edgetran(path)
    if found.refused:
        raise found.refused[0].error(path.name)


def recipe_file(world: SimpleNamespace, text: str) -> None:
    (world.path / "recipe.yaml").write_text(text)
    recipe_named(str(world.path / "recipe.yaml"))


def parallel(world: SimpleNamespace, **changes: object):
    return table(world, json.dumps({"results": [{"model": "BERT-Mini", "sst": 0.5}]}), "t.json", **changes)


def in_layers(world: SimpleNamespace, **depth: object):
    columns = {**{key: {"value": value} for key, value in {"o": "sa", "n": 2, "p": "sdp", "f": 512}.items()}, **depth}
    return table(world, "h,sst\n128,0.5\n", architecture={"columns": {**columns, "h": "h"}})


def told_apart(world: SimpleNamespace, text: str = "{}"):
    score = {**SCORE, "path": "by.*", **yaml.safe_load(text)}
    del score["column"]
    return table(world, json.dumps([{"model": "BERT-Mini", "by": {"1": 0.1, "2": 0.2}}]), "t.json", scores=[score])


def candidates(world: SimpleNamespace):
    return space_candidates(world.store, "small")


def plan():
    return super_settings("2x64", widths="32,64", recipe="quick").plan


def layer_rule(value: str) -> tuple[str, int | None]:
    return ("all hidden>=256", int(value) if value else None) if value.isdigit() or not value else (value, None)


def written(world: SimpleNamespace, text: str) -> Path:
    (world.path / "t.csv").write_text(text)
    return world.path / "t.csv"


def shapes(world: SimpleNamespace) -> Path:
    header = ",".join(f"h{layer}" for layer in range(1, 13)) + ",perplexity\n"
    draw = np.random.default_rng(0)
    rows = [draw.choice([120, 240, 480, 768], 12) for _ in range(20)]
    return written(world, header + "".join(f"{','.join(map(str, row))},{9 - row.sum() / 9216}\n" for row in rows))


def pyramid(world: SimpleNamespace) -> Path:
    path = world.path / "pyramid.json"
    layers = {"l": 2, "o": ["sa", "sa"], "h": [128, 256], "n": [2, 2], "f": [[512], [512]], "p": ["sdp", "sdp"]}
    path.write_text(json.dumps(layers))
    return path


PER_HEAD = {"l": 1, "h": [64], "f": [[64]]}
CASES = [
    Case("See `archex devices`.", lambda w: find_device(w.store, "no", "latency"), run, commands),
    Case("Name for example parameters.", lambda w: pareto_front(w.store, ArchitectureQuery(space="small"), []),
         lambda w, v: cli("pareto", "--space", "small", "--objective", v, "--store", w.store.url)),
    same("Write for example minimise:parameters.", lambda w, v: split_direction(v, Direction.MINIMISE), "minimise:"),
    same("Write for example latency@cpu.", lambda w, v: parse_measurement_key(v), "@"),
    same("Write for example latency@cpu.", lambda w, v: parse_quantity(v), ""),
    same("Write for example 'SST-2>=0.8'.", lambda w, v: parse_score(v, {}), ">=1"),
    same("Write 'parameters' or '-SST-2'.", lambda w, v: parse_sort(v, {}), "--"),
    same("Write for example <=10M, 0.8 or 2..4.", lambda w, v: parse_range("--p", v), "x"),
    same("Write a decimal point, as in 0.5, and no commas between thousands, as in 1000 or 1K.",
         lambda w, v: parse_range("--p", v), "1,000", r"(?<= in )[\d.]+|1K"),
    same("Write for example 2..4, 2.. or ..4.", lambda w, v: parse_range("--p", v), ".."),
    same("Write for example <=10M, >0.8, 2..4 or '>=2 <=4'.", lambda w, v: parse_range("--p", v), "<"),
    same("Add the depth, such as 4; or write 'none hidden<256' for 'all hidden>=256'.",
         lambda w, v: parse_layer_rule(*layer_rule(v)), "", r"(?<=such as )\d|(?<=write ')[^']+"),
    same("Write for example --param k=3.", lambda w, v: _pair(v), "k", r"k=3"),
    same("Write null, or leave it out.", lambda w, v: parse_json(f"[{v}]", "x"), "NaN", "null"),
    same("Write one of the signs, or its name: {}.", lambda w, v: TableOptions(delimiter=v), ":"),
    same("Write for example [0.25, -1, 3e-2].", lambda w, v: vector_of(parse_json(v, "v")), "[]"),
    same("Use --layers-per-stack {}, a coarser level.",
         lambda w, v: too_large(v), "1", r"\d+"),
    same("Use for example 30.", lambda w, v: time_runs(int, int(v), 0, int, lambda: 0), "0"),
    same("Use for example cpu.", lambda w, v: parse_device(v), "gpu"),
    same("Choose for example figure.html.", lambda w, v: check_target(w.path / v), "figure.txt"),
    same("Use for example 0.", lambda w, v: make_policy("random", candidates(w), int(v)), "-1"),
    same("Use 0.1, or less for short walks only.", lambda w, v: RandomWalk(float(v)), "0", r"0\.1"),
    same("Write for example {}.", lambda w, v: parse_settings([v], "setting", "iterations=3"), "iterations"),
    same("Write for example 512, 256 or 3 × 512.", lambda w, v: uncounted(v, 8, "widths"), "5.1",
         lambda remedy: values(remedy.replace("512, 256", "512,256"))),
    same("Write for example 512, 256.", lambda w, v: layer_draft(stack=v), "a", "512, 256"),
    same("Write for example 2 × sa_sdp_64, c_5_64.",
         lambda w, v: layer_draft(operation="mixed", hidden=192, mix=v), "x",
         "2 .*64"),
    same('Add it, for example "o": {}.',
         lambda w, v: from_model_dict({**{k: LAYER[k] for k in "lhnfp"}, **json.loads(v)}),
         "{}", lambda remedy: ["{" + remedy.split("example ")[1][:-1] + "}"]),
    same("Rename them: {}.", lambda w, v: from_model_dict({**{k: LAYER[k] for k in "lohfp"}, v: [2]}), "a",
         r"(?<=is )\w"),
    same("Write for example sa_sdp_{} or c_5_{}.", lambda w, v: from_model_dict({**PER_HEAD, "o": [heads(v)]}), "sa"),
    same("Write [{}] for a single layer.",
         lambda w, v: from_model_dict({**LAYER, "f": [json.loads(v)]}), "512", r"\[\d+\]"),
    same("Write {}.", lambda w, v: from_model_dict({**LAYER, "p": [parse_value(v, "p")]}), "null"),
    same("Use for example 5 or 9.", lambda w, v: from_model_dict({**LAYER, "o": ["c"], "p": [v]}), "4"),
    same("Use {}.", lambda w, v: from_model_dict({**LAYER, "p": [v]}), "dft"),
    same("Use 1 for the finest level.", lambda w, v: load_space("nano").at_level(int(v)), "0", r"\d"),
    same("Write {} into the mapping. || Check the mapping's column names.",
         lambda w, v: table(w, "model,SST-2 accuracy\nBERT-Mini,0.5\n", scores=[{**SCORE, "column": v}]),
         "SST-2 acuracy"),
    same("Write for example {}_a100.", measured_row, "0" * 32),
    Case("Rename it, or write for example format: csv into the mapping.",
         lambda w: table(w, "model,sst\nBERT-Mini,1\n", "t.txt"),
         lambda w, v: table(w, "model,sst\nBERT-Mini,1\n", "t.txt", **yaml.safe_load(v))),
    Case("Correct the value, or state --decimal ',' or --decimal '.', the sign of the table's numbers.",
         lambda w: table(w, "model;sst;x\nBERT-Mini;0,5;0.5\n"),
         lambda w, v: table(w, "model;sst;x\nBERT-Mini;0,5;0.5\n", options=TableOptions(decimal=v)),
         lambda remedy: re.findall(r"--decimal '(.)'", remedy)[:1]),
    same("Correct the row, or state decimal: ',' or decimal: '.' in the task file.",
         lambda w, v: regression(w, v), "", r"decimal: '(,)'"),
    same("Save it as UTF-8, or state --encoding {}.", lambda w, v: in_french(w, v), "utf-8", r"--encoding ([\w-]+)"),
    same("If they are there, write rows: {} into the mapping. || Check the file.",
         lambda w, v: parallel(w, **(yaml.safe_load(v) or {})), "{}", r"rows: \w+"),
    same("Add it to the mapping's columns, for example l: {value: 2}.",
         lambda w, v: in_layers(w, **yaml.safe_load(v)), "{}", "l: {.*}"),
    same("Tell them apart in the mapping, for example by fidelity: {key: 1} with a path of one star.",
         lambda w, v: told_apart(w, v), "{}", "fidelity: {.*}"),
    same("Write scale: percent into the mapping.",
         lambda w, v: table(w, "model,sst\nBERT-Mini,85 %\n", scores=[{**SCORE, **yaml.safe_load(v)}]), "scale: raw"),
    same("State it with --delimiter {}.",
         lambda w, v: read_separated(written(w, "a;b,c\nx;y,z\n"), TableOptions(delimiter=v or None)), "", r"'(.)'"),
    same("Write for example 1.5.", lambda w, v: check_hours(float(v)), "0"),
    same("Write for example 0.5 for two trials on each GPU.", lambda w, v: Resources(gpus=float(v)), "1.5", r"0\.5"),
    Case("Remove the row; or, if the earlier import was wrong, undo it by `{}` and import again.",
         lambda w: (imported(w, 0.5), imported(w, 0.6)), lambda w, v: (run(w, v), imported(w, 0.6)), commands),
    Case("See `archex studies`.",
         lambda w: cli("plot", "history", "no", "--save", w.path / "f.html", "--store", w.store.url),
         run, commands),
    Case("Extend it first, for example `archex search extend {} --budget {}`.",
         lambda w: (searched(w), cli("search", "resume", "s", "--store", w.store.url)), run, commands),
    Case("There is nothing to stop; see `archex search status {}`.",
         lambda w: (searched(w), cli("search", "stop", "s", "--store", w.store.url)), run, commands),
    same("Write {}:{}.", lambda w, v: read_objectives(["mean", v]), "maximise:parameters"),
    Case("Write for example mean.", lambda w: read_objectives([3]), lambda w, v: read_objectives([v])),  # type: ignore[list-item]
    Case("Give one of them. || Give a number, for example float(value).", lambda w: checked_outcome("0.5"),
         lambda w, v: checked_outcome(float("0.5")), lambda remedy: re.findall(r"float\(value\)", remedy)),
    same("Give seconds, for example 3600.",
         lambda w, v: Study.open(w.store.url, "s", space="small", lease_s=float(v)).close(), "0"),
    same("Write for example 12x768.", lambda w, v: backbone_named(v), "12"),
    same("Write for example {}", lambda w, v: shape_of(plan(), v), "64", r"[\d,]+"),
    same("Write for example 16,32,64.",
         lambda w, v: super_settings("2x64", widths=v, recipe="quick"), "16;", r"[\d,]+\d"),
    same("Use for example 0.2.", lambda w, v: EvolutionSettings(mutation=float(v)), "2"),
    same("Use for example 0.01.", lambda w, v: check_budget(ShapeGrid(), ShapeGrid().extent[0], float(v)), "1"),
    same("Use 2.", lambda w, v: replace(plan(), sampled=int(v)), "-1", r"\d"),
    same("Use for example 0.5.", lambda w, v: replace(plan(), distil=float(v)), "2"),
    same("Use bfloat16.", lambda w, v: check_device(replace(RECIPES["quick"], precision=v), torch.device("cpu")),
         "float16"),
    same("Add it, or a base, for example base: nano.", recipe_file, "length: 32\n", r"base: \w+"),
    same("In YAML write a power of ten with a decimal point: 1.0e-4. || Write a decimal point, and no quotes. || "
         "Correct it.",
         lambda w, v: recipe_file(w, f"base: nano\npretrain_rate: {v}\n"), "1e-4", r"1\.0e-4"),
    same("Correct the value, or write scale: percent into the mapping.",
         lambda w, v: table(w, "model,sst\nBERT-Mini,83.1\n", scores=[{**SCORE, **yaml.safe_load(v)}]), "{}",
         "scale: percent"),
    same("Correct the value; for its first number write separator: {}, part: 1 into the mapping.",
         lambda w, v: table(w, "model,sst\nBERT-Mini,0.5 ± 0.1\n",
                            scores=[{**SCORE, **yaml.safe_load(f"{{{v}}}")}]), "", "separator: .*, part: 1"),
    same("Fill the cell, or write missing: skip into the mapping.",
         lambda w, v: table(w, "model,sst\nBERT-Mini,n/a\n", scores=[{**SCORE, **yaml.safe_load(v)}]), "{}",
         "missing: skip"),
    same("Write for example ['{}'].",
         lambda w, v: opened(w, constraints=yaml.safe_load(v)), "'parameters<=200K'", r"\[.*\]"),
    Case("Write for example sqlite:///explorer.db.",
         lambda w: Study.open(None, "s", space="small"),  # type: ignore[arg-type]
         lambda w, v: Study.open(w.store.url.replace("explorer.db", Path(v).name), "s", space="small").close()),
    same("Rename them to small letters: {}.",
         lambda w, v: from_model_dict({k if k in v else k.upper(): LAYER[k] for k in "lohnfp"}),
         "", lambda remedy: [remedy.split(": ")[1]]),
    same("{} give your own by --task-file FILE.", lambda w, v: known_task(v), "qqpp", r"Did you mean ([\w-]+)"),
    same("Write {}{}.", lambda w, v: _places(Path(v)), "hub:"),
    same("Write kind: regression if labels are numbers.", own_task, "classification", r"kind: (\w+)"),
    same("Write for example {}.", lambda w, v: cli("shapes", "predict", v, "--data", shapes(w)), "480;"),
    same("Add --head mlm.", lambda w, v: cli("params", "BERT-Tiny", "--tied", *v.split()), ""),
    same("Add --untied.",
         lambda w, v: cli("params", pyramid(w), "--convention", "flexibert", "--head", "mlm", *v.split()), ""),
    same("Write for example /explorer.", lambda w, v: checked_base_path(v), "a b"),
    same("Write {}, or 0.0.0.0 for all addresses.", lambda w, v: free_port(0, v), "300.1.1.1", r"[\d.]+\d"),
    same('Write for example {"k": 3}.', lambda w, v: _own_parameters(v), "[1]", "{.*}"),
    Case("Name one metric, the first part of each, as in --objective '{}:{}'.", two_metrics,
         lambda w, v: known_objective(w.store, "small", v), lambda remedy: re.findall(r"--objective '(.*)'", remedy)),
]  # fmt: skip
