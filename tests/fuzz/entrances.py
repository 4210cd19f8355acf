"""Every way in for what people write, with valid seeds: a file goes in; success or an InputError comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.analysis.architectures import find_architecture
from explorer.documents.json_text import parse_json, parse_settings, parse_value
from explorer.documents.separated import TableOptions
from explorer.library import importing
from explorer.library.library import vector_of
from explorer.space.backbones import parse_widths
from explorer.space.drafts import read_pasted
from explorer.space.formats import from_json
from explorer.space.grammar import load_space
from explorer.studies.objectives import read_constraints, read_objectives
from explorer.studies.spec import Known, StudySpec
from explorer.supershaper.planning import backbone_named, default_recipe
from explorer.supershaper.shapes.tables import read_shapes
from explorer.training.recipe import recipe_named, recipe_setting
from explorer.training.tasks.forms import GLUE_TASKS
from explorer.training.tasks.glue import read_rows
from explorer.training.tasks.own import load_own, read_own
from explorer.training.text import corpus_from_file

MODEL = {"l": 2, "o": ["sa", "c"], "h": [128, 256], "n": [2, 4], "f": [[512, 512], [1024]], "p": ["sdp", 5]}
HEADS = {"l": 1, "o": [["sa_wma_192", "c_5_192", "l_dct_192"]], "h": [256], "f": [[512, 256]], "b": 768}
SPACE = """name: mine
title: My own space
hidden: [64, 128]
heads: {64: [2, 4], 128: [4]}
layers: [2, 4]
operations: {sa: [sdp, wma], l: [dft, dct], c: [5, 9]}
operations_per: layer
feed_forward: {depth: [1, 3], width: [128, 256]}
layers_per_stack: 2
heterogeneous_feed_forward: false
kernel: wl
kernel_parameters: {iterations: 3}
"""
FLEXIBERT_SPACES = (
    """architecture:
  encoder_layers: [2, 4]
  hidden_size: [128, 256]
  attention_heads: [2, 4]
  similarity_metric: [sdp, wma]
  feed-forward_hidden: [512, 1024]
""",
    """architecture:
  encoder_layers: [2, 4]
  operation_types: [sa, l, c]
  operation_parameters: {sa: [sdp, wma], l: [dft, dct], c: [5, 9]}
  num_heads: [2, 4]
  hidden_size: [128, 256]
  feed-forward_hidden: [512, 1024]
  number_of_feed-forward_stacks: [1, 3]
""",
)
FIRST_FORM = {"l": 2, "a": [2, 4], "h": [128, 256], "s": ["sdp", "wma"], "f": [512, 1024]}
RECIPE = "base: nano\npretrain_steps: 200\nfinetune_steps: 50\ntune_rates: [1.0e-4, 3.0e-4]\nprecision: float32\n"
TASK = """name: reviews
kind: classification
files: {train: train.csv, dev: dev.csv}
columns: {label: stars, sentence: text}
metric: macro_f1
classes: [bad, fair, good]
"""
EXAMPLES = 'stars,text\nbad,"A dull, long film"\nfair,It has moments\ngood,"She said ""go"""\nbad,No\n'
MAPPING = """source: my-trainings
title: What I trained last spring
key: run
architecture: {name: model}
scores:
  - {column: sst, task: SST-2, metric: accuracy, dataset: GLUE, fidelity: {column: steps}, recipe: mine, scale: percent}
measurements:
  - {column: ms, device: {column: device}, quantity: latency, unit: ms, missing: skip}
"""
TABLE = "run,model,sst,steps,ms,device\n1,BERT-Tiny,83.1,10k,4.5,my-laptop\n2,BERT-Mini,85.8,10k,12.25,my-laptop\n"
BY_MODEL = MAPPING.replace("{name: model}", "{model_dict: model}")
DIALECT = f"{MAPPING}format: csv\ndelimiter: ','\ndecimal: point\nencoding: cp1252\n"
NESTED = """source: mine
key: {key: 0}
architecture: {columns: {o: {value: sa}, h: {column: h, separator: " "}, n: {path: deep.n.0}, f: f, p: {value: sdp}}}
scores:
  - path: scores.*.value
    task: {key: 1}
    fidelity: {path: scores.*.steps}
    metric: "GLUE's"
    dataset: GLUE
    recipe: mine
measurements:
  - {column: ms, separator: /, part: 2, device: laptop, quantity: latency, unit: ms}
"""
NESTED_ROW = {
    "h": "128 256",
    "deep": {"n": [2]},
    "f": [[512], [512]],
    "scores": {"cola": {"steps": 100000, "value": 0.31}, "sst": {"steps": 5000, "value": " 0.81"}},
    "ms": "1.5/2.5",
}
COLUMNS = {name: [value, value] for name, value in NESTED_ROW.items()}
ROW = {"run": 3, "model": MODEL, "sst": 85.8, "steps": "10k", "ms": None, "device": "laptop"}
SHAPES = "\n".join(
    [
        ",".join(f"h{layer}" for layer in range(1, 13)) + ",perplexity,mlm_accuracy,ryzen_s",
        "480,240,360,240,540,480,360,360,360,360,540,480,4.5,71.2,0.12",
        "120,240,360,240,540,480,360,360,360,360,540,768,6.25,60,",
    ]
)
NAS_LAYER = {
    "operation_type": "DSC",
    "operation_parameter": 5,
    "num_operation_heads": 2,
    "feed_forward_dimension": 512,
    "num_feed_forward": 3,
}
NAS_ROW = {
    "id": 0,
    "hparams": {"model_hparam_overrides": {"hidden_size": 128, "nas_config": {"encoder_layers": [NAS_LAYER]}}},
    "scores": {"cola": 1, "mnli": 60, "mrpc": 70, "qnli": 60, "qqp": 70, "rte": 50, "sst": 80.5, "sts": 12},
    "time_to_train": 3600,
}
EDGE_ROW = {
    "model_dict": HEADS,
    "performance": {"latency": 0.1, "energy": 2, "peak_power": 3.5, "glue": 0.6, "pretrain_loss": 2.5},
}
ABLATION_ROW = {**NAS_ROW, "id": 1, "scores": dict.fromkeys(("50000", "100000"), NAS_ROW["scores"])}
TRAINED_ROW = {"model_dict": FIRST_FORM, "pretrain": {"steps": 10000, "loss": 2.5}, "glue": "0.71"}
STUDY = StudySpec(name="mine", space="nano", evaluation=Known(), budget=20).to_json()
GLUE = 'label\tsentence\n1\tgood\n0\tbad, she "said\n'


@dataclass(frozen=True)
class Entrance:
    """A way in.

    Attributes:
        read: reads a file, and returns what it made of it: the rows of an import, or a word.
        file: name of the file.
        seeds: valid contents.
        beside: further files of its folder.
    """

    read: Callable[[Path], importing.ImportFile | str]
    file: str
    seeds: Sequence[str]
    beside: Sequence[tuple[str, str]] = ()


def _table(path: Path) -> importing.ImportFile:
    return importing.table_file(path, path.parent / "map.yaml", "mine")


def _mapped(path: Path) -> importing.ImportFile:
    return importing.table_file(path.parent / "table.csv", path, "mine")


def _mapped_json(path: Path) -> importing.ImportFile:
    return importing.table_file(path.parent / "table.json", path, "mine")


def _named(path: Path) -> importing.ImportFile:
    """Import a table whose dialect a user states, in its first line."""
    first, _, rest = path.read_bytes().partition(b"\n")
    words = [*first.decode("latin-1").split("/"), "", "", ""][:3]
    path.write_bytes(rest)
    options = TableOptions(*(word or None for word in words))
    return importing.table_file(path, path.parent / "map.yaml", "mine", options)


def _task(path: Path) -> str:
    task = load_own(read_own(path.parent / "task.yaml"))
    return f"{task.kind} of {len(task.classes)} classes"


def _recipe(path: Path) -> str:
    recipe_setting(str(path))
    return recipe_named(str(path)).precision


def _model(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    read_pasted(text)
    from_json(text)
    return "pasted"


def _model_file(path: Path) -> str:
    def none(id: str):
        raise AssertionError("a file was named")

    return f"{find_architecture(str(path), none, dict, files=True).spec.depth} layers"


def _lines(read: Callable[[str], object]) -> Callable[[Path], str]:
    def outcome(path: Path) -> str:
        return type(read(path.read_text(encoding="utf-8", errors="surrogateescape"))).__name__

    return outcome


def _study(text: str) -> object:
    document = parse_json(text, "study")
    return StudySpec.from_json(document) if isinstance(document, dict) else None


def _constraints(text: str) -> object:
    return read_constraints(text.split("\n"))


def _options(text: str) -> object:
    parse_settings(text.split("\n"), "kernel parameter", "iterations=3")
    return [parse_value(line, "--param k") for line in text.split("\n")]


def _plan(path: Path) -> str:
    words = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    name, widths, recipe = [*words, "", "", ""][:3]
    backbone = backbone_named(name)
    for width in parse_widths(widths) or ():
        backbone.spec([width] * backbone.layers)
    default_recipe(backbone)
    if recipe:
        recipe_named(recipe)
    return f"{min(backbone.layers, 5)} layers"


def _vector(text: str) -> object:
    return vector_of(parse_json(text, "vector"))


def _text(path: Path) -> str:
    return f"{min(len(corpus_from_file(path).documents), 3)} documents"


TASK_FILES = (("task.yaml", TASK), ("train.csv", EXAMPLES), ("dev.csv", EXAMPLES))
MODELS = (json.dumps(MODEL), json.dumps(HEADS), json.dumps(FIRST_FORM))
MAPPED = (("map.yaml", MAPPING),)
BY_MODELS = (("map.yaml", BY_MODEL),)

ENTRANCES = {
    "space": Entrance(lambda path: load_space(str(path)).name, "mine.yaml", (SPACE, *FLEXIBERT_SPACES)),
    "recipe": Entrance(_recipe, "mine.yaml", (RECIPE,)),
    "recipe in JSON": Entrance(_recipe, "mine.json", (json.dumps({"base": "quick", "clip": 2, "dropout": 1e-1}),)),
    "task": Entrance(_task, "task.yaml", (TASK, TASK + "delimiter: comma\n"), TASK_FILES),
    "examples in CSV": Entrance(
        _task, "train.csv", (EXAMPLES, EXAMPLES.replace(",", ";"), "sep=;\n" + EXAMPLES.replace(",", ";")), TASK_FILES
    ),
    "examples in TSV": Entrance(
        _task,
        "train.tsv",
        ('stars\ttext\nbad\tA dull, long film\ngood\tShe said "go\n',),
        (("task.yaml", TASK.replace("train.csv", "train.tsv")), ("dev.csv", EXAMPLES)),
    ),
    "examples in JSON lines": Entrance(
        _task,
        "train.jsonl",
        ('{"stars": "bad", "text": "a"}\n{"stars": "good", "text": "b"}\n',),
        (("task.yaml", TASK.replace("train.csv", "train.jsonl")), ("dev.csv", EXAMPLES)),
    ),
    "GLUE": Entrance(lambda path: f"{min(2, len(read_rows(path, GLUE_TASKS['SST-2'])))} rows", "train.tsv", (GLUE,)),
    "mapping": Entrance(_mapped, "map.yaml", (MAPPING, DIALECT), (("table.csv", TABLE),)),
    "table in CSV": Entrance(
        _table, "t.csv", (TABLE, TABLE.replace(",", ";").replace(".", ","), TABLE.replace(",", "|")), MAPPED
    ),
    "table in TSV": Entrance(_table, "t.tsv", (TABLE.replace(",", "\t"),), MAPPED),
    "table in a stated dialect": Entrance(
        _named, "t.csv", tuple(f"{words}\n{TABLE}" for words in ("comma/./utf-8", ",//", "//cp1252")), MAPPED
    ),
    "table in JSON": Entrance(_table, "t.json", (json.dumps([ROW, ROW]),), BY_MODELS),
    "table in JSON lines": Entrance(_table, "t.jsonl", (f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n",), BY_MODELS),
    "mapping of nested values": Entrance(
        _mapped_json, "map.yaml", (NESTED,), (("table.json", json.dumps({"a1": NESTED_ROW, "b2": NESTED_ROW})),)
    ),
    "table in other arrangements": Entrance(
        _table,
        "t.json",
        tuple(map(json.dumps, ({"a1": NESTED_ROW, "b2": NESTED_ROW}, COLUMNS, NESTED_ROW, [NESTED_ROW]))),
        (("map.yaml", NESTED),),
    ),
    "shapes": Entrance(importing.shapes_file, "s.csv", (SHAPES, SHAPES.replace(",", "\t"))),
    "shapes to predict from": Entrance(lambda path: f"{len(read_shapes(path).latency)} devices", "s.csv", (SHAPES,)),
    "NAS-Bench-BERT": Entrance(
        importing.nas_bench_bert_file, "b.json", (json.dumps([NAS_ROW, NAS_ROW]), json.dumps([ABLATION_ROW]))
    ),
    "EdgeTran": Entrance(
        lambda path: importing.edgetran_file(path, with_predicted=True),
        "e.json",
        (
            json.dumps({f"{'0' * 32}_a100": EDGE_ROW, f"{'0' * 32}_cpu_rpi": {**EDGE_ROW, "model_dict": MODEL}}),
            json.dumps({"0" * 32: TRAINED_ROW, "1" * 32: {**TRAINED_ROW, "glue": None}}),
        ),
    ),
    "pasted model": Entrance(_model, "m.json", MODELS),
    "model in a file": Entrance(_model_file, "m.json", MODELS),
    "study": Entrance(_lines(_study), "study.json", (json.dumps(STUDY),)),
    "constraints": Entrance(_lines(_constraints), "c.txt", ("parameters<=200K\nlatency@cpu<=0.05\nflops>=1e6",)),
    "objectives": Entrance(_lines(lambda text: read_objectives(text.split("\n"))), "o.txt", ("mean\n-parameters",)),
    "values of options": Entrance(_lines(_options), "o.txt", ('iterations=3\nviews=["a", "b"]\nweights={"a": 0.5}',)),
    "plan of a super-network": Entrance(_plan, "p.txt", ("nano\n16,32,64\nquick", "12x768\n\npaper")),
    "vector": Entrance(_lines(_vector), "v.json", ("[0.25, -1, 3e-2]",)),
    "text": Entrance(_text, "text.txt", (" = A title = \n\nOne sentence. Another one.\n\n = B = \nMore text here.\n",)),
}
