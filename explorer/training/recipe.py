"""Recipes: all settings of a training, a canonical text of the amount of training, and a digest of the rest.

Recipes have names (``RECIPES``) or are YAML or JSON files with one mapping of ``Recipe``'s attributes; ``base`` names
the recipe that the file modifies.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

from explorer.documents.json_text import read_json
from explorer.documents.yaml_text import read_yaml
from explorer.errors import InputError
from explorer.training.files import digest

RECIPE_VERSION = 1
"""Increased when the same settings would train differently, so that old and new scores never mix."""

AMOUNTS = (
    *("pretrain_steps", "pretrain_batch", "pretrain_length"),
    *("finetune_steps", "finetune_batch", "train_examples", "train_share", "tune_steps", "finetune_seeds"),
    *("transfer", "transfer_overlap", "transfer_donor"),
)
"""Settings that are part of ``fidelity``."""
ALWAYS = (
    *("pretrain_rate", "finetune_rate", "length", "vocab_size", "dev_examples", "masked_share", "dropout"),
    *("initial_range", "warmup_share", "weight_decay", "clip", "task_seed"),
)
"""Settings that ``digest`` always covers. Any other setting counts only if it differs from its default, so that recipes
keep their digests when a setting is added."""
UNSEEN = ("pretrain_pieces", "gradient_checkpointing", "checkpoint_steps", "checkpoint_minutes")
"""Settings that affect how the work is done but not its result (up to rounding): not in ``fidelity`` or ``digest``."""
LEAST = {
    **{"pretrain_length": 8, "length": 8, "vocab_size": 300, "train_examples": 16, "dev_examples": 16},
    **{"task_seed": 0, "checkpoint_steps": 0},
}
MOST = 2**31 - 1
LARGEST = sys.float_info.max
"""Largest integer accepted; YAML integers can exceed the range of floats."""
SHARES = ("dropout", "warmup_share", "weight_decay")
TRANSFERS = ("ordered", "projection", "transport")
"""Methods of ``explorer.models.transfer``."""
FILES = (".yaml", ".yml", ".json")


class Precision(StrEnum):
    """Precision of a model's computation; its weights and the optimiser's state are always float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


@dataclass(frozen=True)
class Recipe:
    """All settings of one training: pre-training, then fine-tuning on each task.

    Attributes:
        pretrain_steps: optimiser steps of masked language modelling.
        finetune_steps: optimiser steps on each task.
        pretrain_rate: peak learning rate of pre-training.
        finetune_rate: peak learning rate of fine-tuning.
        pretrain_batch: rows per optimiser step of pre-training, over all devices.
        finetune_batch: examples of a fine-tuning batch.
        pretrain_length: tokens of a pre-training row; at most ``length``. Short rows make learning words cheaper.
        length: maximal number of tokens of an example.
        vocab_size: size of the vocabulary.
        train_examples: train examples of a task generated from the text.
        dev_examples: dev examples of a task generated from the text.
        masked_share: share of the tokens to predict in pre-training.
        dropout: dropout of hidden states and attention weights in both phases.
        initial_range: standard deviation of initial weights. BERT's 0.02 suits a width of 768; at a width of 64 the
            outputs of all layers would be close to 0.
        warmup_share: share of the steps with linear warm-up; then the learning rate decays linearly to 0.
        weight_decay: AdamW's, on matrices only.
        clip: maximal norm of the gradient.
        task_seed: seed of the generated tasks' examples, and of the examples of any task that are used or held out.
        train_share: share of each task's train examples that is used.
        tune_rates: candidate peak learning rates of fine-tuning; on each task the best one on a held-out tenth of the
            train examples replaces ``finetune_rate``. Empty: none.
        tune_steps: optimiser steps per candidate rate.
        finetune_seeds: number of fine-tunings per task from different seeds; the score is their mean.
        precision: precision of pre-training: ``float32``, ``bfloat16``, or ``float16`` (loss scaling; needs a GPU).
        pretrain_pieces: gradient accumulation: number of pieces of each device's rows of a batch; more pieces need less
            memory.
        gradient_checkpointing: whether to recompute activations in the backward pass: less memory, about a third more
            time.
        transfer: weight initialisation from a trained neighbour: ``ordered``, ``projection`` or ``transport``
            (``explorer.models.transfer``); empty: every run starts from scratch.
        transfer_overlap: minimal biased overlap with the neighbour, 0 to 1; runs without one start from scratch.
        transfer_donor: mark of the model whose weights are inherited; empty: those of a neighbour.
        checkpoint_steps: optimiser steps of pre-training between checkpoints; 0 disables the rule.
        checkpoint_minutes: minutes of pre-training between checkpoints; 0 disables the rule.

    Raises:
        InputError: a value is of the wrong type or out of its range.
    """

    pretrain_steps: int
    finetune_steps: int
    pretrain_rate: float = 4e-3
    finetune_rate: float = 2e-3
    pretrain_batch: int = 16
    finetune_batch: int = 16
    pretrain_length: int = 32
    length: int = 64
    vocab_size: int = 2048
    train_examples: int = 4000
    dev_examples: int = 1000
    masked_share: float = 0.15
    dropout: float = 0.0
    initial_range: float = 0.06
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    task_seed: int = 0
    train_share: float = 1.0
    tune_rates: tuple[float, ...] = ()
    tune_steps: int = 100
    finetune_seeds: int = 1
    precision: str = Precision.FLOAT32
    pretrain_pieces: int = 1
    gradient_checkpointing: bool = False
    transfer: str = ""
    transfer_overlap: float = 0.8
    transfer_donor: str = ""
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        if isinstance(self.tune_rates, list):  # as files have it
            object.__setattr__(self, "tune_rates", tuple(self.tune_rates))
        for name, kind in _types().items():
            value = getattr(self, name)
            _check(name, kind, value)
            # 1 and 1.0 are the same setting and must have the same digest.
            if kind is float:
                object.__setattr__(self, name, float(value))
        object.__setattr__(self, "tune_rates", tuple(map(float, self.tune_rates)))
        if self.precision not in set(Precision):
            rule = f"be one of {', '.join(Precision)}"
            raise InputError("recipe.precision", rule, self.precision, "Use one of them.")
        if self.transfer and self.transfer not in TRANSFERS:
            rule = f"be empty or one of {', '.join(TRANSFERS)}"
            raise InputError("recipe.transfer", rule, self.transfer, "Use one of them.")
        if self.pretrain_length > self.length:
            rule = f"be at most length = {self.length}"
            raise InputError("recipe.pretrain_length", rule, self.pretrain_length, "Shorten the rows.")
        if self.pretrain_pieces > self.pretrain_batch:
            rule = f"be at most pretrain_batch = {self.pretrain_batch}"
            raise InputError("recipe.pretrain_pieces", rule, self.pretrain_pieces, "A piece has at least one row.")
        if self.vocab_size > 65_536:
            raise InputError("recipe.vocab_size", "be at most 65536", self.vocab_size, "Choose a smaller vocabulary.")

    @property
    def fidelity(self) -> str:
        """The amount of training of a score, for example ``pretrain 600x16x32, finetune 400x16 of 4000``."""
        pretrain = f"pretrain {self.pretrain_steps}x{self.pretrain_batch}x{self.pretrain_length}"
        finetune = f"finetune {self.finetune_steps}x{self.finetune_batch} of {self.train_examples}"
        more = [f"train share {self.train_share:g}"] if self.train_share < 1 else []
        more += [f"tune {len(self.tune_rates)}x{self.tune_steps}"] if self.tune_rates else []
        more += [f"{self.finetune_seeds} seeds"] if self.finetune_seeds > 1 else []
        donor = self.transfer_donor or f"neighbours of overlap {self.transfer_overlap:g}"
        more += [f"{self.transfer} from {donor}"] if self.transfer else []
        return ", ".join([pretrain, finetune, *more])

    @property
    def task_steps(self) -> int:
        """Optimiser steps per task: those of all ``tune_rates`` and of the fine-tunings from all seeds."""
        return len(self.tune_rates) * self.tune_steps + self.finetune_seeds * self.finetune_steps

    @property
    def digest(self) -> str:
        """Digest of the settings that affect the result and are not part of ``fidelity``."""
        defaults = {field.name: field.default for field in fields(self)}
        rest = {
            name: value
            for name, value in asdict(self).items()
            if name not in AMOUNTS + UNSEEN and (name in ALWAYS or value != defaults[name])
        }
        return digest(str(RECIPE_VERSION), json.dumps(rest, sort_keys=True))


@lru_cache
def _types() -> dict[str, Any]:
    """Return the type of each setting."""
    return get_type_hints(Recipe)


def _check(name: str, kind: Any, value: Any) -> None:
    """Reject a value of the wrong type or out of range. Raises InputError."""
    field = f"recipe.{name}"
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(field, "be true or false", value, "Correct it.")
    elif kind is int:
        least = LEAST.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise InputError(field, f"be an integer from {least} to {MOST}", value, "Correct it.")
    elif kind is float:
        rule, fits = _range(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value > LARGEST or not fits(value):
            # YAML parses 1e-4 as a string.
            remedy = (
                "In YAML write a power of ten with a decimal point: 1.0e-4."
                if isinstance(value, str) and "e" in value.lower()
                else "Write a decimal point, and no quotes."
                if isinstance(value, str)
                else "Correct it."
            )
            raise InputError(field, rule, value, remedy)
    elif kind == tuple[float, ...]:
        if not isinstance(value, tuple) or not all(map(_is_rate, value)) or len(set(value)) < len(value):
            raise InputError(field, "be a list of different positive numbers", value, "Correct it.")
    elif not isinstance(value, str):
        raise InputError(field, "be a text", value, "Correct it.")


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LARGEST


def _range(name: str) -> tuple[str, Callable[[float], bool]]:
    """Return the rule of a setting's range and whether a number satisfies it."""
    if name in SHARES:
        return "be a number in [0, 1)", lambda number: 0 <= number < 1
    if name == "transfer_overlap":
        return "be a number in [0, 1]", lambda number: 0 <= number <= 1
    if name == "train_share":
        return "be a number above 0 and at most 1", lambda number: 0 < number <= 1
    if name == "masked_share":
        return "be a number above 0 and below 1", lambda number: 0 < number < 1
    if name == "checkpoint_minutes":
        return "be a number of at least 0", lambda number: 0 <= number < math.inf
    return "be a positive number", lambda number: 0 < number < math.inf


RECIPES: dict[str, Recipe] = {
    "nano": Recipe(pretrain_steps=600, finetune_steps=400),
    "quick": Recipe(
        pretrain_steps=30,
        finetune_steps=20,
        pretrain_batch=8,
        finetune_batch=8,
        length=32,
        vocab_size=600,
        train_examples=160,
        dev_examples=80,
    ),
    "paper": Recipe(
        pretrain_steps=100_000,
        finetune_steps=10_000,
        pretrain_rate=1e-4,
        finetune_rate=3e-5,
        pretrain_batch=256,
        finetune_batch=32,
        pretrain_length=512,
        length=512,
        vocab_size=50_265,
        train_examples=100_000,
        dev_examples=5000,
        dropout=0.1,
        initial_range=0.02,
        precision=Precision.BFLOAT16,
        pretrain_pieces=8,
        checkpoint_minutes=15.0,
    ),
}
"""Named recipes: ``nano`` for the demo (under a minute on one core), ``quick`` for tests (seconds), ``paper`` for GPUs:
the settings of FlexiBERT's section 4 (RoBERTa's vocabulary, AdamW's β₂ 0.98, ε 1e-6 and decay 0.01, rate 1e-4 after a
linear warm-up over a tenth of the steps), at a tenth of its steps."""


def name_of_recipe(fidelity: str, digest: str) -> str | None:
    """Return the name in ``RECIPES`` of a score's recipe; ``None`` if it is not one of them."""
    found = (name for name, known in RECIPES.items() if (known.fidelity, known.digest) == (fidelity, digest))
    return next(found, None)


def recipe_named(name: str | Mapping[str, Any]) -> Recipe:
    """Return a recipe by its name, from a file, or from a file's content.

    Args:
        name: a name of ``RECIPES``; the path of a YAML or JSON file; or the mapping that such a file holds.

    Raises:
        InputError: the name is unknown; a setting is unknown, missing, of the wrong type or out of range.
        DataError: the file cannot be read.
    """
    if isinstance(name, Mapping):
        return _from_mapping(name, "recipe")
    if name in RECIPES:
        return RECIPES[name]
    path = Path(name)
    if path.suffix.lower() not in FILES:
        rule = f"be one of {', '.join(RECIPES)}, or a {' or '.join(FILES)} file"
        raise InputError("recipe", rule, name, "Use one of them.")
    return _from_mapping(_read(path), str(path))


def check_pieces(recipe: Recipe, processes: int) -> None:
    """Raise InputError if a pre-training batch has too few rows for this number of processes."""
    if processes * recipe.pretrain_pieces > recipe.pretrain_batch:
        rule = f"be at most pretrain_batch = {recipe.pretrain_batch} over {processes} processes"
        raise InputError("recipe.pretrain_pieces", rule, recipe.pretrain_pieces, "Use fewer pieces or processes.")


def recipe_setting(name: str) -> str | dict[str, Any]:
    """Return the stored form of a recipe: its name, or all settings of its file, because a file may change.

    Raises:
        InputError: see ``recipe_named``. DataError: the file cannot be read.
    """
    # Convert through JSON like the store, which turns tuples into lists.
    return name if name in RECIPES else json.loads(json.dumps(asdict(recipe_named(name))))


def _read(path: Path) -> Mapping[str, Any]:
    # JSON is not read as YAML, in which 1e-4 is a text.
    document = read_json(path, "recipe") if path.suffix.lower() == ".json" else read_yaml(path, "recipe")
    if not isinstance(document, Mapping):
        rule = "hold one mapping, for example pretrain_steps: 2000"
        raise InputError(str(path), rule, document, "Write one setting per line.")
    return document


def _from_mapping(document: Mapping[str, Any], place: str) -> Recipe:
    known = {field.name: field for field in fields(Recipe)}
    unknown = [key for key in document if key not in known and key != "base"]
    if unknown:
        rule = f"have only known settings (base, {', '.join(known)})"
        raise InputError(place, rule, unknown[0], "Remove or correct it.")
    given = {key: value for key, value in document.items() if key != "base"}
    base = document.get("base")
    if base is not None:
        if base not in list(RECIPES):
            raise InputError(f"{place}: base", f"be one of {', '.join(RECIPES)}", base, "Use one of them.")
        return replace(RECIPES[base], **given)
    missing = [name for name in ("pretrain_steps", "finetune_steps") if name not in given]
    if missing:
        raise InputError(f"{place}: {missing[0]}", "be given", None, "Add it, or a base, for example base: nano.")
    return Recipe(**given)
