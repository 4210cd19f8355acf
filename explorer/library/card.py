"""Model cards: the ``README.md`` of an exported architecture.

The header is the YAML metadata of Hugging Face model cards, with the scores of the exported model as ``model-index``.
The text lists the architecture's properties, how to load the model, all scores and measurements, recipe, data and
lineage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.library.records import FLOPS_LENGTH, named_architectures
from explorer.measure.size import flops, parameters
from explorer.similarity.graph import architecture_id
from explorer.space.spec import ArchitectureSpec
from explorer.training.backend import MEAN, PRETRAINED, RECIPE_FILE, SINGLE
from explorer.training.metrics import levels_text
from graphstore import GraphStore
from graphstore.records import LineageRecord, ScoreRecord

PIPELINES = {
    "FlexiBertForMaskedLM": ("AutoModelForMaskedLM", "fill-mask"),
    "FlexiBertForSequenceClassification": ("AutoModelForSequenceClassification", "text-classification"),
}
"""Auto class and pipeline for each model class that a training saves."""
LEVELS_AT = 3
"""Position of the column with the scores' levels, after the score."""


@dataclass(frozen=True)
class ModelSize:
    """Size of a trained model, which depends on its vocabulary and sequence length and on its architecture.

    Attributes:
        total: number of all parameters.
        encoder: number of parameters without embeddings and task heads, as for an architecture.
        positions: longest sequence in tokens.
        bytes: size of its file.
    """

    total: int
    encoder: int
    positions: int
    bytes: int


@dataclass(frozen=True)
class CardModel:
    """The trained model that a card describes.

    Attributes:
        run: source of its training.
        folder: folder of that run.
        task: its task, or ``pretrained``.
        kind: name of its class.
        size: size of ``model.safetensors``.
        scores: scores of the run.
        others: class of each of the run's other models, in ``models``, by name.
        runs: sources of the architecture's other trainings.
        onnx: largest difference between the outputs of ONNX Runtime and torch; ``None`` without an ONNX file.
        onnx_lengths: smallest and largest number of tokens of a sequence in the ONNX file.
    """

    run: str
    folder: Path
    task: str
    kind: str
    size: ModelSize
    scores: tuple[ScoreRecord, ...]
    others: Mapping[str, str]
    runs: tuple[str, ...]
    onnx: float | None
    onnx_lengths: tuple[int, int] | None


def card(store: GraphStore, spec: ArchitectureSpec, model: CardModel | None) -> str:
    """Return the text of the card of an architecture and its trained model, if any."""
    id = architecture_id(spec)
    title = named_architectures().get(spec) or f"Encoder {id}"
    lines = [f"# {title}", "", *_facts(spec, id, model), ""]
    if model is not None:
        lines += _loading(model)
    lines += _scores(store.scores(architecture=id))
    if model is not None:
        lines += _training(model)
    lineage = store.lineage(id)
    lines += _lineage(lineage, model)
    measurements = store.measurements(architecture=id)
    if measurements:
        found = [(m.device, m.quantity, f"{m.value:.6g}", m.unit) for m in measurements]
        lines += ["## Measurements", "", *_table(("device", "quantity", "value", "unit"), found), ""]
    header = f"---\n{_header(title, model)}\n---\n\n" if model is not None else ""
    return header + "\n".join(lines).rstrip() + "\n"


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [_line(*header), _line(*("---" for _ in header)), *(_line(*row) for row in rows)]


def _header(title: str, model: CardModel) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=score.task.partition(SINGLE)[0],
            dataset_name=score.task.partition(SINGLE)[0],
            dataset_revision=score.dataset,
            metric_type=score.task.partition(SINGLE)[2] or score.metric,
            metric_name=score.task.partition(SINGLE)[2] or score.metric,
            metric_value=score.value,
        )
        for score in model.scores
        if score.task not in (MEAN, PRETRAINED)
    ]
    data = ModelCardData(
        model_name=title,
        library_name="transformers",
        pipeline_tag=PIPELINES[model.kind][1],
        tags=["flexibert", "architecture-explorer", *(["onnx"] if model.onnx is not None else [])],
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def _facts(spec: ArchitectureSpec, id: str, model: CardModel | None) -> list[str]:
    facts: list[tuple[str, Any]] = [
        ("id", f"`{id}`"),
        ("layers", spec.depth),
        ("hidden sizes", ", ".join(str(layer.hidden) for layer in spec.layers)),
        ("operations", ", ".join(f"{layer.family} {layer.parameter}" for layer in spec.layers)),
        ("parameters without embeddings, for 512 tokens", f"{parameters(spec, embeddings=False):,}"),
        (f"FLOPs of a sequence of {FLOPS_LENGTH} tokens", f"{flops(spec, length=FLOPS_LENGTH):,}"),
    ]
    if model is not None:
        size = model.size
        facts += [
            (f"parameters without embeddings, as trained for {size.positions} tokens", f"{size.encoder:,}"),
            ("parameters of this model in total", f"{size.total:,}"),
            ("model.safetensors", f"{size.bytes:,} bytes"),
        ]
    forms = "`per_head.json`" + (" and `per_layer.json`" if spec.is_per_layer else "")
    note = f"The `model_dict` is in {forms}, the computational graph in `graph.graphml`."
    return [*_table(("property", "value"), facts), "", note]


def usage(kind: str) -> str:
    """Return Python code that loads a model of this class from its folder and applies it."""
    auto, pipeline = PIPELINES[kind]
    text = 'f"This is {tokenizer.mask_token} sentence."' if pipeline == "fill-mask" else '"This is a sentence."'
    lines = [
        "import explorer.models  # registers the architecture; or pass trust_remote_code=True below",
        f"from transformers import {auto}, AutoTokenizer, pipeline",
        "",
        f'model = {auto}.from_pretrained(".")',
        'tokenizer = AutoTokenizer.from_pretrained(".")',
        f'use = pipeline("{pipeline}", model=model, tokenizer=tokenizer)',
        f"use({text})",
    ]
    return "\n".join(lines)


def _loading(model: CardModel) -> list[str]:
    lines = [
        "## Use",
        "",
        f"This folder is the model for `{model.task}`. Run the code in it, or replace the dot by its path.",
        "",
        "```python",
        usage(model.kind),
        "```",
        "",
        f"The class is `{PIPELINES[model.kind][0]}`. `AutoModel` loads the encoder alone; the other Auto classes put",
        "untrained layers on it and report them as newly initialized. Sequences have at most",
        f"{model.size.positions} tokens, padded on either side.",
        "",
    ]
    if model.others:
        others = ", ".join(f"`{name}` (`{PIPELINES[kind][0]}`)" for name, kind in model.others.items())
        lines += [f"`models` holds the other models of the same training: {others}.", ""]
    if model.onnx is not None and model.onnx_lengths is not None:
        shortest, longest = model.onnx_lengths
        lines += [
            "`model.onnx` is the same model for ONNX Runtime. Its inputs `input_ids`, `attention_mask` and",
            f"`token_type_ids` accept any batch size and {shortest} to {longest} tokens, padded on the right. Other",
            f"lengths and padding on the left are refused with an error: use `truncation=True, max_length={longest}`",
            f"and `padding_side='right'`. Its outputs differ from torch's by at most {model.onnx:.0e}.",
            "",
        ]
    return lines


def _scores(scores: Sequence[ScoreRecord]) -> list[str]:
    if not scores:
        return []
    header = ["task", "metric", "score", "data", "fidelity", "recipe", "seed", "source"]
    rows = [[s.task, s.metric, f"{s.value:.4f}", s.dataset, s.fidelity, s.recipe, s.seed, s.source] for s in scores]
    note = "Scores are comparable if metric, data, fidelity and recipe are the same."
    levels = [levels_text(s.value, s.majority, s.chance, s.kind.lower_is_better) for s in scores]
    if any(levels):
        note += " Levels are the scores of a constant answer (majority) and of a random one (chance)."
        header.insert(LEVELS_AT, "levels")
        for row, text in zip(rows, levels, strict=True):
            row.insert(LEVELS_AT, text or "-")
    return ["## Scores", "", note, "", *_table(header, rows), ""]


def _training(model: CardModel) -> list[str]:
    score = model.scores[0]
    data = {one.task.partition(SINGLE)[0]: one.dataset for one in model.scores}
    facts: list[tuple[str, Any]] = [
        ("training", f"`{model.run}`"),
        ("fidelity", score.fidelity),
        ("seed", score.seed),
        ("recipe digest", f"`{score.recipe}`"),
    ]
    facts += [(f"data fingerprint of {task}", f"`{digest}`") for task, digest in data.items()]
    summary = _read(model.folder / PRETRAINED / "pretraining.json")
    facts += [(f"pre-training: {name.replace('_', ' ')}", value) for name, value in summary.items()]
    lines = ["## Training", "", *_table(("property", "value"), facts), ""]
    recipe = _read(model.folder / RECIPE_FILE)
    if recipe:
        lines += ["Settings of the recipe:", "", *_table(("setting", "value"), list(recipe.items())), ""]
    if model.runs:
        lines += [f"Other trainings in the store: {', '.join(f'`{one}`' for one in model.runs)}.", ""]
    return lines


def _read(path: Path) -> Mapping[str, object]:
    """Read a JSON file of a training with its floats shortened; empty if it is missing, as in older runs."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in found.items()}


def _lineage(lineage: Sequence[LineageRecord], model: CardModel | None) -> list[str]:
    own = model is not None and not any(record.run == model.run for record in lineage)
    lines = ["## Lineage", ""]
    if own:
        lines += ["This training started from random weights.", ""]
    if lineage:
        rows = [(r.run, r.architecture, r.donor_run, r.donor, r.method, f"{r.share:.0%}") for r in lineage]
        header = ("run", "architecture", "inherited weights of", "donor architecture", "method", "share of parameters")
        lines += [*_table(header, rows), ""]
    return lines if own or lineage else []
