"""Weight inheritance from the trained neighbour that shares most leading layers (FlexiBERT, section 3.4).

A donor is a finished pre-training in this store's work folder, of another architecture on the same text by the same
recipe. A run's donor is written into the run's folder before it trains, so a resumed run has the same donor, even if
others were trained since. The report of the transfer is written there too, and is stored as lineage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import DataError, InputError
from explorer.library.sources import TrainedSource
from explorer.library.workplace import models_folder
from explorer.similarity.graph import architecture_id, build_graph
from explorer.similarity.overlap import by_overlap, leading_overlap
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.formats import from_json, to_json
from explorer.space.spec import ArchitectureSpec
from explorer.training.backend import PRETRAINED, Recipe
from explorer.training.files import digest, write_json
from graphstore import GraphStore
from graphstore.records import LineageRecord

if TYPE_CHECKING:
    from explorer.models import FlexiBertForMaskedLM

CHOICE_FILE = "donor.json"
"""The donor of a run, or ``null``."""
REPORT_FILE = "transfer.json"
"""The report of the transfer."""
TRIAL_FOLDER = re.compile(r"(\d+)-[0-9a-f]+")
Initialise = Callable[["FlexiBertForMaskedLM"], None]


@dataclass(frozen=True)
class Donor:
    """A trained model whose weights another one may inherit.

    Attributes:
        run: source of its scores; the folder's path for a model from elsewhere.
        spec: its architecture.
        folder: the pre-trained model, a ``transformers`` folder.
        overlap: number of leading layers in common, divided by the recipient's layers.
    """

    run: str
    spec: ArchitectureSpec
    folder: Path
    overlap: float

    @property
    def architecture(self) -> str:
        """The id of its architecture."""
        return architecture_id(self.spec)


@dataclass(frozen=True)
class _Run:
    source: str
    spec: ArchitectureSpec
    folder: Path


def choose_donor(
    store: GraphStore, spec: ArchitectureSpec, recipe: Recipe, text: str, least: float | None = None
) -> Donor | None:
    """Return the trained neighbour with the largest biased overlap.

    Ties are broken by the smaller exact kernel dissimilarity, then by the name of the run.

    Args:
        store: the store in whose work folder donors are searched.
        spec: the recipient's architecture.
        recipe: the recipient's recipe; a donor was trained by the same one, with or without transfer.
        text: fingerprint of the recipient's text and vocabulary.
        least: smallest accepted overlap, 0 to 1; the recipe's if ``None``.

    Returns:
        The donor; ``None`` if no neighbour has the overlap. The architecture itself is not a donor.
    """
    least = recipe.transfer_overlap if least is None else least
    runs = [run for run in _finished(store, text, recipe) if run.spec != spec]
    stored = {summary.id for summary in store.summaries(ids=[architecture_id(run.spec) for run in runs])}
    runs = [run for run in runs if architecture_id(run.spec) in stored]
    if not runs:
        return None

    def dissimilarities(rows: Sequence[int]) -> NDArray[np.float64]:
        # Fitted on these runs alone, as when stored studies chose their donors; patterns of others do not count.
        kernel = WeisfeilerLehman().fit([build_graph(runs[row].spec) for row in rows])
        return np.asarray(kernel.dissimilarities([build_graph(spec)])[0])

    ((row, shared),) = by_overlap(spec, [run.spec for run in runs], dissimilarities, k=1)
    overlap = shared / spec.depth
    return None if overlap < least else Donor(runs[row].source, runs[row].spec, runs[row].folder, overlap)


def donor_from(store: GraphStore, spec: ArchitectureSpec, wanted: str | ArchitectureSpec, text: str) -> Donor:
    """Return the donor that a user named, of any overlap.

    Args:
        store: the store in whose work folder an architecture's trainings are searched.
        spec: the recipient's architecture.
        wanted: folder of a pre-trained model, or of a run with one; or an architecture that was trained here.
        text: fingerprint of the text and vocabulary of the new run.

    Raises:
        InputError: the model does not exist, or it is not a masked language model of this package.
    """
    if isinstance(wanted, ArchitectureSpec):
        runs = [run for run in _finished(store, text, None) if run.spec == wanted]
        if not runs:
            rule = "be an architecture that was trained here on the same text"
            raise InputError("donor", rule, architecture_id(wanted), "Train it first, or give a model's folder.")
        source, folder = runs[0].source, runs[0].folder
    else:
        folder = _model_folder(Path(wanted))
        source = _source(folder.parent) if folder.is_relative_to(_runs(store)) else str(folder)
    donor = _spec_of(folder)
    return Donor(source, donor, folder, leading_overlap(spec, donor) / spec.depth)


def donor_mark(donor: Donor) -> str:
    """Return the mark of a donor in the fidelity of scores: its architecture and a digest of its weights."""
    return f"{donor.architecture[:8]}-{digest((donor.folder / 'model.safetensors').read_bytes())[:8]}"


def weight_initialisation(
    store: GraphStore,
    spec: ArchitectureSpec,
    recipe: Recipe,
    text: str,
    seed: int,
    folder: Path,
    run: str,
    donor: Donor | None = None,
) -> Initialise | None:
    """Return the weight initialisation of a run's new model; choose the donor, or read the run's donor.

    Args:
        store: where the lineage is stored.
        spec: the run's architecture.
        recipe: whether and how weights are transferred.
        text: fingerprint of its text and vocabulary.
        seed: seed of the run; fixes random projections.
        folder: the run's folder.
        run: source of the run's scores.
        donor: the donor that a user named; chosen by overlap if ``None``.

    Returns:
        ``None`` if the run starts from scratch.

    Raises:
        DataError: the file with the run's donor is damaged.
    """
    if not recipe.transfer:
        return None
    if not (folder / CHOICE_FILE).is_file():
        chosen = donor or choose_donor(store, spec, recipe, text)
        write_json(folder / CHOICE_FILE, _as_json(chosen) if chosen else None)
    kept = _read_choice(folder)
    if kept is None:
        return None

    def initialise(model: FlexiBertForMaskedLM) -> None:
        import torch

        from explorer.models.transfer import Method, Transfer, transfer_weights

        generator = torch.Generator().manual_seed(seed)
        report = transfer_weights(_load(kept), model, Transfer(Method(recipe.transfer)), generator)
        parts = [asdict(part) for part in report.parts]
        done = {"method": recipe.transfer, "share": report.share, "parts": parts, "text": report.text()}
        write_json(folder / REPORT_FILE, done)
        record_lineage(store, architecture_id(spec), folder, run)

    return initialise


def record_lineage(store: GraphStore, architecture: str, folder: Path, run: str) -> None:
    """Store the lineage that a run's folder records; doing it again changes nothing."""
    if not (folder / REPORT_FILE).is_file():
        return
    donor = _read_choice(folder)
    done = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
    if donor is not None:
        store.add_lineage(
            [LineageRecord(run, architecture, donor.run, donor.architecture, done["method"], done["share"])]
        )


def _runs(store: GraphStore) -> Path:
    return models_folder(store.url)


def _finished(store: GraphStore, text: str, recipe: Recipe | None) -> list[_Run]:
    """Return the finished pre-trainings on a text (and by a recipe), sorted by name; skip unreadable folders."""
    kinds = {one.fidelity for one in (recipe, replace(recipe, transfer=""))} if recipe else set()
    found = []
    for path in _runs(store).glob("*/*/run.json"):
        folder = path.parent / PRETRAINED
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            alike = recipe is None or (run["recipe"] == recipe.digest and run["fidelity"] in kinds)
            if run["text"] == text and alike and (folder / "model.safetensors").is_file():
                found.append(_Run(_source(path.parent), from_json(run["architecture"]), folder))
        except (OSError, ValueError, KeyError, TypeError, InputError):
            continue
    return sorted(found, key=lambda run: run.source)


def _source(folder: Path) -> str:
    trial = TRIAL_FOLDER.fullmatch(folder.name)
    return str(TrainedSource(folder.parent.name, str(int(trial[1])) if trial else folder.name))


def _model_folder(path: Path) -> Path:
    for folder in (path, path / PRETRAINED):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder.resolve()
    rule = "be an id, or a folder with config.json and model.safetensors of a pre-trained model"
    raise InputError("donor", rule, str(path), "Give for example a run's folder pretrained/.")


def _spec_of(folder: Path) -> ArchitectureSpec:
    from explorer.models import FlexiBertConfig, spec_of

    try:
        document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if document.get("architectures") != ["FlexiBertForMaskedLM"]:
            raise ValueError(f"it is of {document.get('architectures')}")
        return spec_of(FlexiBertConfig.from_dict(document))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        rule = f"hold a masked language model of this package ({error})"
        raise InputError("donor", rule, str(folder), "Give a folder pretrained/ of a run.") from None


def _as_json(donor: Donor) -> dict[str, Any]:
    return {"run": donor.run, "spec": to_json(donor.spec), "folder": str(donor.folder), "overlap": donor.overlap}


def _read_choice(folder: Path) -> Donor | None:
    path = folder / CHOICE_FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept is None:
            return None
        return Donor(kept["run"], from_json(kept["spec"]), Path(kept["folder"]), kept["overlap"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(str(path), f"name the run's donor ({error})", "damaged", "Remove the run's folder.") from None


def _load(donor: Donor) -> FlexiBertForMaskedLM:
    from explorer.models import FlexiBertForMaskedLM

    try:
        return FlexiBertForMaskedLM.from_pretrained(donor.folder)
    except (OSError, ValueError, RuntimeError) as error:
        rule = f"still hold the model of {donor.run} ({error})"
        raise InputError("donor's folder", rule, str(donor.folder), "Restore it, or remove the run's folder.") from None
