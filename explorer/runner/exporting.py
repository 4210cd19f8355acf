"""Take an architecture out of the store: its description, its graph, and its trained models.

The folder is there whole or not at all. What is in it:

* ``per_layer.json`` (where that form exists) and ``per_head.json``: the ``model_dict``;
* ``graph.graphml``: the computational graph, nodes with ``kind``, ``label`` and ``layer``;
* ``models/TASK`` and ``models/pretrained``: the models of one finished training, each a ``transformers`` folder;
* ``README.md``: what it is, its scores and measurements, how to load a model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx

from explorer.errors import DataError, InputError
from explorer.graphs import architecture_id, build_graph
from explorer.measure.size import flops, parameters
from explorer.runner.catalogue import FLOPS_LENGTH, known_names
from explorer.runner.studies import trial_source
from explorer.runner.workplace import run_folder
from explorer.space.formats import from_json, to_model_dict
from explorer.space.spec import ArchitectureSpec
from explorer.training.backend import MEAN, PRETRAINED
from explorer.training.files import new_folder, write_json
from graphstore import GraphStore
from graphstore.records import MeasurementRecord, ScoreRecord, TrialStatus

TRAINED = "trained:"
SINGLE = "trained:train/"
"""How the sources of ``archex train`` begin; the rest is the name of the run's folder."""
MODEL_FILES = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class TrainedRun:
    """A finished training whose models are in the store's work folder.

    Attributes:
        source: what its scores name as their source.
        folder: where its models are, one folder per task.
        scores: its scores, the mean among them.
    """

    source: str
    folder: Path
    scores: tuple[ScoreRecord, ...]

    @property
    def mean(self) -> float:
        """Mean over its tasks."""
        return next(score.value for score in self.scores if score.task == MEAN)


@dataclass(frozen=True)
class Export:
    """What was written: the files and folders, relative, sorted; and whose models they are, or empty."""

    folder: Path
    contents: tuple[str, ...]
    run: str


def trained_runs(store: GraphStore, spec: ArchitectureSpec) -> list[TrainedRun]:
    """The finished trainings of an architecture whose models are still there, by mean score, best first."""
    id = architecture_id(spec)
    by_source: dict[str, list[ScoreRecord]] = {}
    for score in store.scores(architecture=id):
        if score.source.startswith(TRAINED):
            by_source.setdefault(score.source, []).append(score)
    runs = []
    for source, scores in by_source.items():
        folder = _folder(store, source)
        if folder is not None and any(score.task == MEAN for score in scores) and _is_of(folder, spec):
            runs.append(TrainedRun(source, folder, tuple(scores)))
    return sorted(runs, key=lambda run: (-run.mean, run.source))


def _folder(store: GraphStore, source: str) -> Path | None:
    """Where the models of a source are; in this store's own work folder, whichever machine trained them."""
    if source.startswith(SINGLE):
        return run_folder(store.url, "train", Path(source.removeprefix(SINGLE)).name)
    study, _, number = source.removeprefix(TRAINED).rpartition("/")
    if study not in {one.name for one in store.studies()}:
        return None
    for trial in store.trials(study):
        folder = trial.info.get("folder")
        if trial_source(study, trial.number) == f"{TRAINED}{study}/{number}" and trial.state is TrialStatus.COMPLETE:
            return run_folder(store.url, study, Path(str(folder)).name) if folder else None
    return None


def _is_of(folder: Path, spec: ArchitectureSpec) -> bool:
    """Whether a run's folder holds this architecture's models."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return from_json(run["architecture"]) == spec and bool(_models(folder))
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return False


def _models(folder: Path) -> list[Path]:
    """The complete model folders of a run, sorted; one with a temporary name is not finished."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and all((entry / name).is_file() for name in MODEL_FILES)
    )


def export_architecture(store: GraphStore, spec: ArchitectureSpec, target: Path, run: str = "") -> Export:
    """Write everything that is known of an architecture into a new folder.

    Args:
        store: where scores, measurements and trainings are.
        spec: the architecture.
        target: the folder; new, or empty.
        run: source of the training whose models are taken; by default that with the best mean score.

    Raises:
        InputError: the folder holds something already or cannot be written, or the run is not there.
    """
    runs = trained_runs(store, spec)
    chosen = next((one for one in runs if run in ("", one.source)), None)
    if run and chosen is None:
        known = ", ".join(one.source for one in runs) or "none here"
        raise InputError("run", f"be a finished training with its models ({known})", run, "Choose one of them.")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError("folder", "be new or empty", str(target), "Choose another folder.")
        with new_folder(target) as temporary:
            _write(temporary, store, spec, runs, chosen)
    except OSError as error:
        rule = f"be a folder that can be written ({error.strerror or error})"
        raise DataError("folder", rule, str(target), "Check the path and the free space.") from None
    contents = [path.name for path in target.iterdir() if path.name != "models"]
    if chosen is not None:
        contents += [f"models/{path.name}" for path in (target / "models").iterdir()]
    return Export(target, tuple(sorted(contents)), chosen.source if chosen else "")


def _write(
    folder: Path, store: GraphStore, spec: ArchitectureSpec, runs: Sequence[TrainedRun], chosen: TrainedRun | None
) -> None:
    if spec.is_per_layer:
        write_json(folder / "per_layer.json", to_model_dict(spec, per_head=False))
    write_json(folder / "per_head.json", to_model_dict(spec, per_head=True))
    nx.write_graphml(build_graph(spec).to_networkx(), folder / "graph.graphml", named_key_ids=True)
    models: list[str] = []
    for model in _models(chosen.folder) if chosen else ():
        shutil.copytree(model, folder / "models" / model.name)
        models.append(model.name)
    id = architecture_id(spec)
    card = _card(spec, id, store.scores(architecture=id), store.measurements(architecture=id))
    if chosen is not None:
        card += _loading(chosen, models, [one.source for one in runs if one is not chosen])
    (folder / "README.md").write_text("\n".join(card) + "\n", encoding="utf-8")


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [_line(*header), _line(*("---" for _ in header)), *(_line(*row) for row in rows)]


def _card(
    spec: ArchitectureSpec, id: str, scores: Sequence[ScoreRecord], measurements: Sequence[MeasurementRecord]
) -> list[str]:
    facts: list[tuple[str, Any]] = [
        ("id", f"`{id}`"),
        ("layers", spec.depth),
        ("hidden sizes", ", ".join(str(layer.hidden) for layer in spec.layers)),
        ("operations", ", ".join(f"{layer.family} {layer.parameter}" for layer in spec.layers)),
        ("parameters without embeddings", f"{parameters(spec, embeddings=False):,}"),
        (f"FLOPs of a sequence of {FLOPS_LENGTH} tokens", f"{flops(spec, length=FLOPS_LENGTH):,}"),
    ]
    card = [f"# {known_names().get(spec) or f'Encoder {id}'}", "", *_table(("what", "value"), facts), ""]
    card += ["Its `model_dict` is in `per_head.json`" + (" and `per_layer.json`" if spec.is_per_layer else "") + ","]
    card += ["its computational graph in `graph.graphml`.", ""]
    if scores:
        header = ("task", "metric", "score", "data", "fidelity", "recipe", "seed", "source")
        rows = [(s.task, s.metric, f"{s.value:.4f}", s.dataset, s.fidelity, s.recipe, s.seed, s.source) for s in scores]
        note = "Scores are comparable where metric, data, fidelity and recipe agree."
        card += ["## Scores", "", note, "", *_table(header, rows), ""]
    if measurements:
        found = [(m.device, m.quantity, f"{m.value:.6g}", m.unit) for m in measurements]
        card += ["## Measurements", "", *_table(("device", "quantity", "value", "unit"), found), ""]
    return card


def _loading(chosen: TrainedRun, models: Sequence[str], others: Sequence[str]) -> list[str]:
    tuned = [name for name in models if name != PRETRAINED]
    name = tuned[0] if tuned else PRETRAINED
    loader = "AutoModelForSequenceClassification" if tuned else "AutoModelForMaskedLM"
    facts = f"fidelity `{chosen.scores[0].fidelity}`, recipe `{chosen.scores[0].recipe}`, seed {chosen.scores[0].seed}"
    card = ["## Models", "", f"In `models`, from the training `{chosen.source}` ({facts}): {', '.join(models)}."]
    if others:
        card.append(f"Other trainings in the store: {', '.join(f'`{one}`' for one in others)}.")
    return [
        *card,
        "",
        "```python",
        "import explorer.models  # registers the architecture",
        f"from transformers import {loader}, AutoTokenizer",
        "",
        f'model = {loader}.from_pretrained("models/{name}")',
        f'tokenizer = AutoTokenizer.from_pretrained("models/{name}")',
        "```",
    ]
