"""Take an architecture out of the store: its description, its graph, and its trained models.

The folder is there whole or not at all. What is in it:

* ``config.json``, ``model.safetensors`` and the tokenizer's files: a trained model, so that the folder is one that
  ``transformers`` loads; on wish also ``model.onnx``;
* ``models/TASK`` and ``models/pretrained``: the other models of the same training, each such a folder too;
* ``per_layer.json`` (where that form exists) and ``per_head.json``: the ``model_dict``;
* ``graph.graphml``: the computational graph, nodes with ``kind``, ``label`` and ``layer``;
* ``README.md``: the model's card.

Every model is loaded from where it was written, and its outputs compared with the stored model's, before the folder
gets its name.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx

from explorer.errors import DataError, InputError
from explorer.library.card import PIPELINES, CardModel, ModelSize, card
from explorer.library.sources import trial_source
from explorer.library.workplace import run_folder
from explorer.measure.size import parameters
from explorer.similarity.graph import architecture_id, build_graph
from explorer.space.formats import from_json, to_model_dict
from explorer.space.spec import ArchitectureSpec
from explorer.training.backend import MEAN, PRETRAINED
from explorer.training.files import named_folder, write_json
from graphstore import GraphStore
from graphstore.records import ScoreRecord, TrialStatus

TRAINED = "trained:"
SINGLE = "trained:train/"
"""How the sources of ``archex train`` begin; the rest is the name of the run's folder."""
MODEL_FILES = ("config.json", "model.safetensors")
ONNX_FILE = "model.onnx"
OTHERS = "models"
"""Folder of the models that are not the exported folder itself."""


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
    """What was written.

    Attributes:
        folder: where.
        contents: files and folders, relative, sorted.
        run: source of the training whose models they are, or empty if there are none.
        task: task of the model in the folder itself, or empty.
        onnx: largest difference of the ONNX file's outputs from torch's, or ``None`` if there is none.
    """

    folder: Path
    contents: tuple[str, ...]
    run: str
    task: str
    onnx: float | None


@dataclass(frozen=True)
class MainModel:
    """The model of a training that the folder of its export is.

    Attributes:
        task: its task, or ``pretrained``.
        kind: name of its class.
        size: of it.
    """

    task: str
    kind: str
    size: ModelSize


def main_model(run: TrainedRun, spec: ArchitectureSpec) -> MainModel:
    """What the folder of a training's export is, unless another task is asked for. Its weights are not read.

    Raises:
        DataError: the stored model is damaged.
    """
    task = _usual([model.name for model in _models(run.folder)])
    return _read_model(run.folder / task, spec, task)


def _usual(models: Sequence[str]) -> str:
    """The first task by name; what was pre-trained only where there is none."""
    return next((name for name in models if name != PRETRAINED), PRETRAINED)


def _read_model(folder: Path, spec: ArchitectureSpec, task: str) -> MainModel:
    from safetensors import SafetensorError, safe_open

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind, positions = str(config["architectures"][0]), int(config["max_position_embeddings"])
        if kind not in PIPELINES:
            raise ValueError(f"unknown class {kind}")
        file = folder / "model.safetensors"
        with safe_open(file, framework="np") as weights:
            total = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118 - no mapping
        encoder = parameters(spec, max_positions=positions, embeddings=False)
        return MainModel(task, kind, ModelSize(total, encoder, positions, file.stat().st_size))
    except (OSError, ValueError, KeyError, IndexError, TypeError, SafetensorError) as error:
        raise DataError(f"model in {folder}", "be sound", str(error), "Train it again.") from None


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


def export_architecture(
    store: GraphStore, spec: ArchitectureSpec, target: Path, run: str = "", task: str = "", onnx: bool = False
) -> Export:
    """Write everything that is known of an architecture into a new folder.

    Args:
        store: where scores, measurements and trainings are.
        spec: the architecture.
        target: the folder; new, or empty.
        run: source of the training whose models are taken; by default that with the best mean score.
        task: whose model the folder itself is, or ``pretrained``; by default the first task by name.
        onnx: whether to write that model as ``model.onnx`` too.

    Raises:
        InputError: the folder holds something already or cannot be written, the run or the task is not there, or the
            extra ``onnx`` is not installed.
        DataError: a stored model is damaged.
        ExplorerError: the ONNX file does not compute what the model does.
    """
    runs = trained_runs(store, spec)
    chosen = next((one for one in runs if run in ("", one.source)), None)
    if run and chosen is None:
        known = ", ".join(one.source for one in runs) or "none here"
        raise InputError("run", f"be a finished training with its models ({known})", run, "Choose one of them.")
    if chosen is None and (task or onnx):
        wanted = f"task {task}" if task else "ONNX file"
        rule = "be of a trained model, and there is none of this architecture here"
        raise InputError(f"the {wanted}", rule, architecture_id(spec), "Train it first: archex train.")
    others = tuple(one.source for one in runs if one is not chosen)
    with named_folder(target) as temporary:
        model = _write_models(temporary, spec, chosen, others, task, onnx) if chosen else None
        _describe(temporary, spec)
        (temporary / "README.md").write_text(card(store, spec, model), encoding="utf-8")
    contents = [path.name for path in target.iterdir() if path.name != OTHERS]
    contents += [f"{OTHERS}/{name}" for name in (model.others if model else ())]
    if model is None:
        return Export(target, tuple(sorted(contents)), "", "", None)
    return Export(target, tuple(sorted(contents)), model.run, model.task, model.onnx)


def _describe(folder: Path, spec: ArchitectureSpec) -> None:
    if spec.is_per_layer:
        write_json(folder / "per_layer.json", to_model_dict(spec, per_head=False))
    write_json(folder / "per_head.json", to_model_dict(spec, per_head=True))
    nx.write_graphml(build_graph(spec).to_networkx(), folder / "graph.graphml", named_key_ids=True)


def _write_models(
    folder: Path, spec: ArchitectureSpec, run: TrainedRun, others: tuple[str, ...], task: str, onnx: bool
) -> CardModel:
    """Copy a run's models, the chosen one into the folder itself; check each, and add the ONNX file."""
    from explorer.models.checking import check_folder

    models = {model.name: model for model in _models(run.folder)}
    name = task or _usual(list(models))
    if name not in models:
        raise InputError("task", f"be one of {', '.join(models)}", task, "Choose one of them.")
    shutil.copytree(models[name], folder, dirs_exist_ok=True)
    main = check_folder(folder, models[name], spec)
    rest = tuple(other for other in models if other != name)
    for other in rest:
        shutil.copytree(models[other], folder / OTHERS / other)
        check_folder(folder / OTHERS / other, models[other], spec)
    difference = None
    if onnx:
        from explorer.models.onnx import export_onnx

        difference = export_onnx(main, folder / ONNX_FILE).difference
    found = _read_model(folder, spec, name)
    return CardModel(run.source, run.folder, name, found.kind, found.size, run.scores, rest, others, difference)
