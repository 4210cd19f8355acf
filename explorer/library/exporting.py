"""Export an architecture from the store as a folder or a ZIP archive.

The folder appears complete or not at all. It contains:

* ``config.json``, ``model.safetensors`` and the tokenizer's files: a trained model that ``transformers`` loads from the
  folder; optionally also ``model.onnx``;
* ``models/TASK`` and ``models/pretrained``: the other models of the same training, in the same form;
* ``per_layer.json`` (if the architecture has that form) and ``per_head.json``: the ``model_dict``;
* ``graph.graphml``: the computational graph, whose nodes have ``kind``, ``label`` and ``layer``;
* ``README.md``: the model card.

Before the folder gets its final name, every model is loaded from it and its outputs are compared with those of the
stored model.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx as nx

from explorer.errors import DataError, InputError
from explorer.library.card import PIPELINES, CardModel, ModelSize, card
from explorer.library.sources import SINGLE, is_trained, trained_source
from explorer.library.workplace import run_folder
from explorer.measure.size import parameters
from explorer.similarity.graph import architecture_id, build_graph
from explorer.space.formats import from_json, to_model_dict
from explorer.space.spec import ArchitectureSpec
from explorer.training.backend import MEAN, PRETRAINED
from explorer.training.files import named_folder, write_json
from graphstore import GraphStore
from graphstore.records import ScoreRecord, TrialStatus

MODEL_FILES = ("config.json", "model.safetensors")
ONNX_FILE = "model.onnx"
OTHERS = "models"
"""Subfolder for all models but the main one."""
MAX_PACKED_BYTES = 256 * 2**20
"""Largest size of the models in an archive; larger ones are exported by the command line."""
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of all files in an archive, so that the same folder gives the same archive."""


@dataclass(frozen=True)
class TrainedRun:
    """A finished training whose models are in the store's work folder.

    Attributes:
        source: source of its scores.
        folder: folder of its models, with one subfolder per task.
        scores: its scores, including the mean over tasks.
    """

    source: str
    folder: Path
    scores: tuple[ScoreRecord, ...]

    @property
    def mean(self) -> float:
        """Mean score over the tasks."""
        return next(score.value for score in self.scores if score.task == MEAN)


@dataclass(frozen=True)
class Export:
    """Result of an export.

    Attributes:
        folder: the written folder.
        contents: relative paths of its files and folders, sorted.
        run: source of the training whose models were exported; empty if there are none.
        task: task of the main model; empty if there is none.
        auto: Auto class that loads the main model; empty if there is none.
        onnx: largest difference between the outputs of ONNX Runtime and torch; ``None`` without an ONNX file.
        onnx_lengths: smallest and largest number of tokens of a sequence in the ONNX file.
    """

    folder: Path
    contents: tuple[str, ...]
    run: str = ""
    task: str = ""
    auto: str = ""
    onnx: float | None = None
    onnx_lengths: tuple[int, int] | None = None


@dataclass(frozen=True)
class MainModel:
    """The model in the top folder of an export.

    Attributes:
        task: its task, or ``pretrained``.
        kind: name of its class.
        size: its size.
    """

    task: str
    kind: str
    size: ModelSize


def main_model(run: TrainedRun, spec: ArchitectureSpec) -> MainModel:
    """Describe the model that is exported by default from a training, without reading its weights.

    Raises:
        DataError: the stored model is damaged.
    """
    task = _default_task([model.name for model in _models(run.folder)])
    return _read_model(run.folder / task, spec, task)


def _default_task(models: Sequence[str]) -> str:
    """Return the first task by name, or ``pretrained`` without tasks."""
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
            total = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118 - not a mapping
        encoder = parameters(spec, max_positions=positions, embeddings=False)
        return MainModel(task, kind, ModelSize(total, encoder, positions, file.stat().st_size))
    except (OSError, ValueError, KeyError, IndexError, TypeError, SafetensorError) as error:
        raise DataError(f"model in {folder}", "be readable", str(error), "Train it again.") from None


def trained_runs(store: GraphStore, spec: ArchitectureSpec) -> list[TrainedRun]:
    """List the finished trainings of an architecture whose models still exist, best mean score first."""
    id = architecture_id(spec)
    by_source: dict[str, list[ScoreRecord]] = {}
    for score in store.scores(architecture=id):
        if is_trained(score.source):
            by_source.setdefault(score.source, []).append(score)
    runs = []
    for source, scores in by_source.items():
        folder = _folder(store, source)
        if folder is not None and any(score.task == MEAN for score in scores) and _is_of(folder, spec):
            runs.append(TrainedRun(source, folder, tuple(scores)))
    return sorted(runs, key=lambda run: (-run.mean, run.source))


def _folder(store: GraphStore, source: str) -> Path | None:
    """Return the folder of a training in this store's work folder; ``None`` if the store does not know it."""
    training = trained_source(source)
    if training is None:
        return None
    if training.study == SINGLE:
        return run_folder(store.url, SINGLE, Path(training.run).name)
    if training.study not in {study.name for study in store.studies()}:
        return None
    for trial in store.trials(training.study):
        if str(trial.number) == training.run and trial.state is TrialStatus.COMPLETE:
            # The trial records the path on the machine that trained it; only the last part is valid here.
            folder = trial.info.get("folder")
            return run_folder(store.url, training.study, Path(str(folder)).name) if folder else None
    return None


def _is_of(folder: Path, spec: ArchitectureSpec) -> bool:
    """Whether a run's folder holds models of this architecture."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return from_json(run["architecture"]) == spec and bool(_models(folder))
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return False


def _models(folder: Path) -> list[Path]:
    """List the complete model folders of a run, sorted; a folder with a temporary name is incomplete."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and all((entry / name).is_file() for name in MODEL_FILES)
    )


def export_architecture(
    store: GraphStore, spec: ArchitectureSpec, target: Path, run: str = "", task: str = "", onnx: bool = False
) -> Export:
    """Export an architecture with its models, scores and measurements to a new folder.

    Args:
        store: holds scores, measurements and trainings.
        spec: the architecture.
        target: the folder; new or empty.
        run: source of the training whose models are exported; by default the one with the best mean score.
        task: task of the main model, or ``pretrained``; by default the first task by name.
        onnx: whether to write the main model as ``model.onnx`` too.

    Raises:
        InputError: the folder is not empty or cannot be written, the run or task does not exist, or the extra ``onnx``
            is not installed.
        DataError: a stored model is damaged.
        ExplorerError: the outputs of the ONNX file differ from the model's.
    """
    runs = trained_runs(store, spec)
    chosen = next((one for one in runs if run in ("", one.source)), None)
    if run and chosen is None:
        known = ", ".join(one.source for one in runs) or "none here"
        raise InputError("run", f"be a finished training whose models exist ({known})", run, "Choose one of these.")
    if chosen is None and (task or onnx):
        wanted = f"task {task}" if task else "ONNX file"
        rule = "belong to a trained model, but this store has none of the architecture"
        id = architecture_id(spec)
        raise InputError(f"the {wanted}", rule, id, f"Train it first: `archex train {id}`.")
    others = tuple(one.source for one in runs if one is not chosen)
    with named_folder(target) as temporary:
        model = _write_models(temporary, spec, chosen, others, task, onnx) if chosen else None
        _describe(temporary, spec)
        (temporary / "README.md").write_text(card(store, spec, model), encoding="utf-8")
    contents = [path.name for path in target.iterdir() if path.name != OTHERS]
    contents += [f"{OTHERS}/{name}" for name in (model.others if model else ())]
    if model is None:
        return Export(target, tuple(sorted(contents)))
    auto = PIPELINES[model.kind][0]
    return Export(target, tuple(sorted(contents)), model.run, model.task, auto, model.onnx, model.onnx_lengths)


def _describe(folder: Path, spec: ArchitectureSpec) -> None:
    if spec.is_per_layer:
        write_json(folder / "per_layer.json", to_model_dict(spec, per_head=False))
    write_json(folder / "per_head.json", to_model_dict(spec, per_head=True))
    nx.write_graphml(build_graph(spec).to_networkx(), folder / "graph.graphml", named_key_ids=True)


def _write_models(
    folder: Path, spec: ArchitectureSpec, run: TrainedRun, others: tuple[str, ...], task: str, onnx: bool
) -> CardModel:
    """Copy a run's models, the main one to the top folder, check each of them, and write the ONNX file."""
    from explorer.models.checking import carry_code, check_folder
    from explorer.training.tokenizer import recognise_special_tokens

    models = {model.name: model for model in _models(run.folder)}
    name = task or _default_task(list(models))
    if name not in models:
        raise InputError("task", f"be one of {', '.join(models)}", task, "Choose one of these.")
    shutil.copytree(models[name], folder, dirs_exist_ok=True)
    main = check_folder(folder, models[name], spec)
    carry_code(main, folder)
    recognise_special_tokens(folder)
    rest = {}
    for other in (other for other in models if other != name):
        place = folder / OTHERS / other
        shutil.copytree(models[other], place)
        carry_code(check_folder(place, models[other], spec), place)
        recognise_special_tokens(place)
        rest[other] = _read_model(place, spec, other).kind
    difference, lengths = None, None
    if onnx:
        from explorer.models.onnx import export_onnx

        written = export_onnx(main, folder / ONNX_FILE)
        difference, lengths = written.difference, written.lengths
    found = _read_model(folder, spec, name)
    model = (run.source, run.folder, name, found.kind, found.size, run.scores)
    return CardModel(*model, rest, others, difference, lengths)


def run_bytes(run: TrainedRun) -> int:
    """Return the size of a run's folder, an upper bound of the size of its exported models."""
    return sum(file.stat().st_size for file in run.folder.rglob("*") if file.is_file())


def packed(store: GraphStore, spec: ArchitectureSpec, name: str, source: str = "") -> bytes:
    """Export an architecture as a ZIP archive of one folder.

    Args:
        store: holds the architecture.
        spec: the architecture.
        name: name of the folder.
        source: source of the training whose models are included; by default the one with the best mean score, if any.

    Raises:
        InputError: the training does not exist, or its models are too large.
        DataError: a stored model is damaged.
    """
    run = next((run for run in trained_runs(store, spec) if source in ("", run.source)), None)
    if run is not None and (size := run_bytes(run)) > MAX_PACKED_BYTES:
        rule = f"have at most {MAX_PACKED_BYTES >> 20} MiB to be packed"
        raise InputError(
            "models",
            rule,
            f"{size >> 20} MiB",
            f"Run `archex export {architecture_id(spec)} FOLDER` where the store is.",
        )
    with TemporaryDirectory(prefix="export-") as folder:
        target = Path(folder) / name
        export_architecture(store, spec, target, run=source if run is None else run.source)
        return _zipped(target)


def _zipped(folder: Path) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder.parent).as_posix(), ZIP_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes())
    return stream.getvalue()
