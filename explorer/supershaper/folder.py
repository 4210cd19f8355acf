"""The folder of a super-network: its settings, text, checkpoints during training, and the final model.

``supernet.json`` is written first, after everything it names has been validated, and never changes, so training into
the folder again resumes with the same settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from explorer.errors import DataError, InputError
from explorer.measure.size import parameters
from explorer.models import FlexiBertForMaskedLM, config_for
from explorer.models.checking import quiet_transformers
from explorer.space.backbones import Backbone
from explorer.supershaper.bottlenecks import start_from_bert
from explorer.supershaper.network import SuperNetwork
from explorer.supershaper.text import SuperText, bert_vocabulary, check_text, prepare_text
from explorer.supershaper.training import SuperPlan, train_super_network
from explorer.training.files import digest, intact, write_json
from explorer.training.pretrain import SUMMARY, check_device
from explorer.training.recipe import Recipe, check_pieces
from explorer.training.text import Progress

SETTINGS, MODEL, DATA = "supernet.json", "model", "data"
UNSEEN = ("pretrain_pieces", "gradient_checkpointing", "checkpoint_steps", "checkpoint_minutes")
"""Recipe settings that may change on resumption: they affect how the work is done, not what is learned."""


@dataclass(frozen=True)
class SuperSettings:
    """Everything that a super-network depends on.

    Attributes:
        plan: backbone, widths and training.
        text: text file or folder, absolute; empty for the default text.
        bert: absolute path of the checkpoint for weight initialisation; empty for random weights.
        cased: whether the checkpoint's tokenizer keeps capitals; ``None``: decided from the checkpoint.
    """

    plan: SuperPlan
    text: str = ""
    bert: str = ""
    cased: bool | None = None

    def document(self) -> dict[str, Any]:
        """Return the settings as a JSON-able document."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def read(cls, document: dict[str, Any]) -> SuperSettings:
        """Return the settings of a ``document``. Raises TypeError, KeyError or InputError if it is not one."""
        plan = dict(document["plan"])
        plan["backbone"], plan["recipe"] = Backbone(**plan["backbone"]), Recipe(**plan["recipe"])
        plan["widths"] = tuple(plan["widths"])
        return cls(SuperPlan(**plan), document["text"], document["bert"], document.get("cased"))


@dataclass(frozen=True)
class OpenSuperNetwork:
    """A complete super-network, ready for evaluation.

    Attributes:
        folder: its folder.
        settings: settings of its training.
        text: training text and held-out text.
        network: the super-network, in evaluation mode.
    """

    folder: Path
    settings: SuperSettings
    text: SuperText
    network: SuperNetwork

    @cached_property
    def mark(self) -> str:
        """Eight hexadecimal digits that identify the super-network: a digest of its settings and text."""
        return _mark(self.settings, self.text)

    def parameters(self, widths: Sequence[int]) -> int:
        """Return the number of parameters of a shape as a stand-alone model with merged bottlenecks."""
        spec, prepared = self.settings.plan.backbone.spec(widths), self.text.prepared
        return parameters(spec, prepared.vocab_size, prepared.length, merged=True)


def stored_settings(folder: Path) -> SuperSettings | None:
    """Return the settings in a folder, or ``None`` if it has none. Raises DataError if they are damaged."""
    path = folder / SETTINGS
    if not path.is_file():
        return None
    with intact(path, "Remove the folder and train again."):
        return SuperSettings.read(json.loads(path.read_text(encoding="utf-8")))


def train_folder(
    folder: Path,
    settings: SuperSettings,
    device: torch.device,
    on_progress: Callable[[float, str], None],
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
    on_note: Callable[[str], None] = lambda note: None,
) -> None:
    """Train a super-network into a folder, or resume its training; do nothing if it is complete.

    Args:
        folder: a new or empty folder, or one with the same settings.
        settings: settings of the super-network.
        device: device to compute on.
        on_progress: called with the progress of the text's preparation.
        on_step: called with the number of finished steps and the latest loss.
        should_stop: polled between steps.
        on_note: called before a new training with each note about its BERT checkpoint, one sentence.

    Raises:
        InputError: the folder has other contents. Nothing is written to a new folder if the text or the BERT checkpoint
            is invalid, or the device cannot run the recipe.
        TrainingStopped, TrainingFailed, DataError, InputError: see ``train_super_network`` and ``prepare_text``.
    """
    _claim(folder, settings, device, on_note)
    text = _text(folder, settings, on_progress)
    if not (folder / MODEL).is_dir():
        bert = Path(settings.bert) if settings.bert else None
        train_super_network(settings.plan, text.prepared, folder / MODEL, device, on_step, should_stop, bert)


def check_folder(folder: Path) -> SuperSettings:
    """Return the settings of a complete super-network. Raises DataError if there is none."""
    settings = stored_settings(folder)
    if settings is None or not (folder / MODEL).is_dir():
        found = "no super-network" if settings is None else "one whose training is not finished"
        raise DataError(str(folder), "hold a trained super-network", found, f"Run `archex supernet train {folder}`.")
    return settings


def last_loss(folder: Path) -> float | None:
    """Return the mean loss over the last tenth of the steps; ``None`` if the model's summary was removed.

    Raises:
        DataError: the summary is damaged.
    """
    path = folder / MODEL / SUMMARY
    if not path.is_file():
        return None
    with intact(path, "Remove it."):
        return float(json.loads(path.read_text(encoding="utf-8"))["last_loss"])


def folder_mark(folder: Path) -> str:
    """Return the mark of a complete super-network without loading its model. Raises DataError like ``open_folder``."""
    settings = check_folder(folder)
    return _mark(settings, _text(folder, settings, lambda share, note: None))


def open_folder(
    folder: Path, device: torch.device, on_progress: Progress = lambda share, note: None
) -> OpenSuperNetwork:
    """Open a complete super-network.

    Raises:
        DataError: there is none, it is incomplete, or a file is damaged.
    """
    settings = check_folder(folder)
    text = _text(folder, settings, on_progress)
    with intact(folder / MODEL, "Remove the folder and train again."), quiet_transformers():
        model = FlexiBertForMaskedLM.from_pretrained(folder / MODEL)
    model.to(device).eval()  # type: ignore[arg-type]
    return OpenSuperNetwork(folder, settings, text, SuperNetwork(model))


def _mark(settings: SuperSettings, text: SuperText) -> str:
    plan = settings.plan
    learned = (plan.mark, plan.fidelity, plan.recipe.digest, str(plan.seed))
    return digest(*learned, settings.bert, text.fingerprint)[:8]


def _text(folder: Path, settings: SuperSettings, on_progress: Progress) -> SuperText:
    text = Path(settings.text) if settings.text else None
    bert = Path(settings.bert) if settings.bert else None
    return prepare_text(folder / DATA, settings.plan.recipe, text, bert, on_progress, settings.cased)


def _claim(folder: Path, settings: SuperSettings, device: torch.device, on_note: Callable[[str], None]) -> None:
    """Write the settings into a new folder; reject a folder with other settings. Raises InputError, DataError."""
    stored = stored_settings(folder)
    if stored is None:
        # Ignore partial settings files of killed or concurrent processes.
        half = f".{SETTINGS}."
        if folder.exists() and not (folder.is_dir() and all(one.name.startswith(half) for one in folder.iterdir())):
            raise InputError("folder", "be new, empty or of a super-network", str(folder), "Choose another folder.")
        check_device(settings.plan.recipe, device)
        check_pieces(settings.plan.recipe, 1)
        for note in _check_sources(settings):
            on_note(note)
        write_json(folder / SETTINGS, settings.document())
        return
    for name, had, wanted in _differences(stored, settings):
        rule = f"be {had!r}, as in the super-network in {folder}"
        raise InputError(name, rule, wanted, "Use the same settings, or another folder.")


def _check_sources(settings: SuperSettings) -> tuple[str, ...]:
    """Check the text and the BERT checkpoint before anything is written; return notes about the checkpoint.

    Raises:
        InputError, DataError, SpecError: one of them cannot be used.
    """
    if settings.text:
        check_text(Path(settings.text))
    if not settings.bert:
        return ()
    plan, words = settings.plan, bert_vocabulary(Path(settings.bert), settings.cased)
    widest = plan.backbone.spec((plan.backbone.hidden,) * plan.backbone.layers)
    length, pad = plan.recipe.length, words.special.pad
    config = config_for(widest, vocab_size=words.size, max_position_embeddings=length, pad_token_id=pad)
    with torch.device("meta"):  # The meta device suffices, because only sizes and settings are compared.
        model = FlexiBertForMaskedLM(config)
    return *start_from_bert(model, Path(settings.bert)), *words.notes


def _differences(stored: SuperSettings, given: SuperSettings) -> list[tuple[str, Any, Any]]:
    """Return the relevant settings that differ: name, stored value, given value."""
    pairs: list[tuple[Any, Any, str]] = [(stored, given, name) for name in ("text", "bert", "cased")]
    pairs += [(stored.plan, given.plan, field.name) for field in fields(SuperPlan) if field.name != "recipe"]
    recipes = stored.plan.recipe, given.plan.recipe
    pairs += [(*recipes, field.name) for field in fields(Recipe) if field.name not in UNSEEN]
    found = [(name, getattr(had, name), getattr(wanted, name)) for had, wanted, name in pairs]
    return [row for row in found if row[1] != row[2]]
