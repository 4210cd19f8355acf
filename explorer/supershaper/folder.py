"""The folder of a super-network: its settings, its text, its checkpoints while it trains, the model in the end.

``supernet.json`` is written first, when all that it names was found to be sound, and never changes, so whoever trains
into the folder again goes on with the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from explorer.errors import DataError, InputError
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
"""Settings of a recipe that may change when a training goes on: how the work is done, not what is learned."""


@dataclass(frozen=True)
class SuperSettings:
    """All that a super-network depends on.

    Attributes:
        plan: what is trained, and how.
        text: text file or folder, absolute; empty for the default text.
        bert: folder of the checkpoint it starts from, absolute; empty for random weights.
    """

    plan: SuperPlan
    text: str = ""
    bert: str = ""

    def document(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def read(cls, document: dict[str, Any]) -> SuperSettings:
        """What ``document`` gave. Raises TypeError, KeyError or InputError where it is something else."""
        plan = dict(document["plan"])
        plan["backbone"], plan["recipe"] = Backbone(**plan["backbone"]), Recipe(**plan["recipe"])
        plan["widths"] = tuple(plan["widths"])
        return cls(SuperPlan(**plan), document["text"], document["bert"])


@dataclass(frozen=True)
class OpenSuperNetwork:
    """A super-network that is complete, ready to be asked.

    Attributes:
        folder: where it is.
        settings: how it was trained.
        text: what it learned from, and what is held out.
        network: the super-network, in evaluation mode.
    """

    folder: Path
    settings: SuperSettings
    text: SuperText
    network: SuperNetwork

    @cached_property
    def mark(self) -> str:
        """Eight hexadecimal digits that tell it from others: a digest of settings and text."""
        return _mark(self.settings, self.text)


def stored_settings(folder: Path) -> SuperSettings | None:
    """The settings in a folder, or ``None`` if it has none. Raises DataError if they are damaged."""
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
) -> None:
    """Train a super-network into a folder, or go on with it; does nothing where it is complete.

    Args:
        folder: new, empty, or of the same settings.
        settings: what is trained.
        device: where to compute.
        on_progress: told of the text's preparation.
        on_step: told the number of finished steps and the newest loss.
        should_stop: asked between steps.

    Raises:
        InputError: the folder belongs to something else. Where nothing was begun yet, nothing is written if the text or
            the BERT is no good, or the device cannot do it.
        TrainingStopped, TrainingFailed, DataError, InputError: as ``train_super_network`` and ``prepare_text``.
    """
    _claim(folder, settings, device)
    text = _text(folder, settings, on_progress)
    if not (folder / MODEL).is_dir():
        bert = Path(settings.bert) if settings.bert else None
        train_super_network(settings.plan, text.prepared, folder / MODEL, device, on_step, should_stop, bert)


def check_folder(folder: Path) -> SuperSettings:
    """The settings of a complete super-network. Raises DataError if there is none."""
    settings = stored_settings(folder)
    if settings is None or not (folder / MODEL).is_dir():
        found = "no super-network" if settings is None else "one whose training has not ended"
        raise DataError(str(folder), "hold a trained super-network", found, f"Run `archex supernet train {folder}`.")
    return settings


def last_loss(folder: Path) -> float | None:
    """Mean loss of the last tenth of a complete super-network's steps; ``None`` where its model's summary was removed.

    Raises:
        DataError: the summary is damaged.
    """
    path = folder / MODEL / SUMMARY
    if not path.is_file():
        return None
    with intact(path, "Remove it."):
        return float(json.loads(path.read_text(encoding="utf-8"))["last_loss"])


def folder_mark(folder: Path) -> str:
    """The mark of a complete super-network, without opening it. Raises DataError as ``open_folder``."""
    settings = check_folder(folder)
    return _mark(settings, _text(folder, settings, lambda share, note: None))


def open_folder(
    folder: Path, device: torch.device, on_progress: Progress = lambda share, note: None
) -> OpenSuperNetwork:
    """Open a complete super-network.

    Raises:
        DataError: there is none, it is not complete, or a file is damaged.
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
    return prepare_text(folder / DATA, settings.plan.recipe, text, bert, on_progress)


def _claim(folder: Path, settings: SuperSettings, device: torch.device) -> None:
    """Write into a new folder whose it is; refuse one of other settings. Raises InputError, DataError."""
    stored = stored_settings(folder)
    if stored is None:
        # Half a settings file, of a killed process or of one that begins at the same time, is no hindrance.
        half = f".{SETTINGS}."
        if folder.exists() and not (folder.is_dir() and all(one.name.startswith(half) for one in folder.iterdir())):
            raise InputError("folder", "be new, empty or of a super-network", str(folder), "Choose another folder.")
        check_device(settings.plan.recipe, device)
        check_pieces(settings.plan.recipe, 1)
        _check_sources(settings)
        write_json(folder / SETTINGS, settings.document())
        return
    for name, had, wanted in _differences(stored, settings):
        rule = f"be {had!r}, as the super-network in {folder} was begun with"
        raise InputError(name, rule, wanted, "Use the same settings, or another folder.")


def _check_sources(settings: SuperSettings) -> None:
    """Check the text, and that the BERT fits, before anything is written. Raises InputError, DataError, SpecError."""
    if settings.text:
        check_text(Path(settings.text))
    if settings.bert:
        plan, (_, special, size) = settings.plan, bert_vocabulary(Path(settings.bert))
        widest = plan.backbone.spec((plan.backbone.hidden,) * plan.backbone.layers)
        sizes = {"vocab_size": size, "max_position_embeddings": plan.recipe.length, "pad_token_id": special.pad}
        with torch.device("meta"):  # Only sizes and settings are compared here.
            model = FlexiBertForMaskedLM(config_for(widest, **sizes))
        start_from_bert(model, Path(settings.bert))


def _differences(stored: SuperSettings, given: SuperSettings) -> list[tuple[str, Any, Any]]:
    """Settings that differ and matter: name, stored value, given value."""
    pairs: list[tuple[Any, Any, str]] = [(stored, given, "text"), (stored, given, "bert")]
    pairs += [(stored.plan, given.plan, field.name) for field in fields(SuperPlan) if field.name != "recipe"]
    recipes = stored.plan.recipe, given.plan.recipe
    pairs += [(*recipes, field.name) for field in fields(Recipe) if field.name not in UNSEEN]
    found = [(name, getattr(had, name), getattr(wanted, name)) for had, wanted, name in pairs]
    return [row for row in found if row[1] != row[2]]
