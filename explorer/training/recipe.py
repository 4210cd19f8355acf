"""How a model is trained: every number, a canonical text of the amount of training, and a digest of the rest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from explorer.errors import InputError
from explorer.training.files import digest

RECIPE_VERSION = 1
"""Raised whenever the same numbers would train differently, so that old and new scores never mix."""

AMOUNTS = (
    *("pretrain_steps", "pretrain_batch", "pretrain_length"),
    *("finetune_steps", "finetune_batch", "train_examples"),
)


@dataclass(frozen=True)
class Recipe:
    """All settings of one training: pre-training, then fine-tuning on each task.

    Attributes:
        pretrain_steps: optimiser steps of masked language modelling.
        finetune_steps: optimiser steps on each task.
        pretrain_rate: highest learning rate of pre-training.
        finetune_rate: highest learning rate of fine-tuning.
        pretrain_batch: rows of a pre-training batch.
        finetune_batch: examples of a fine-tuning batch.
        pretrain_length: tokens of a pre-training row; at most ``length``. Short rows are cheaper to learn words from.
        length: most tokens of an example.
        vocab_size: tokens of the vocabulary.
        train_examples: train examples of a task made from the text.
        dev_examples: dev examples of a task made from the text.
        masked_share: share of the tokens to predict in pre-training.
        dropout: of the hidden states and the attention weights, in both phases.
        initial_range: standard deviation of initial weights. BERT's 0.02 is made for widths of 768; at widths of 64 it
            leaves every layer's output near 0.
        warmup_share: share of the steps over which the learning rate rises linearly; then it falls linearly to 0.
        weight_decay: AdamW's, on matrices only.
        clip: largest norm of the gradient.
        task_seed: fixes the examples of the tasks made from the text.

    Raises:
        InputError: a number is out of its range.
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

    def __post_init__(self) -> None:
        least = {
            "pretrain_length": 8,
            "length": 8,
            "vocab_size": 300,
            "train_examples": 16,
            "dev_examples": 16,
            "task_seed": 0,
        }
        for name, value in asdict(self).items():
            if Recipe.__annotations__[name] == "int":
                low = least.get(name, 1)
                if isinstance(value, bool) or not isinstance(value, int) or value < low:
                    raise InputError(f"recipe.{name}", f"be a whole number of at least {low}", value, "Correct it.")
            elif name in ("dropout", "warmup_share", "weight_decay"):
                if not 0 <= value < 1:
                    raise InputError(f"recipe.{name}", "lie in [0, 1)", value, "Correct it.")
            elif not 0 < value < (1 if name == "masked_share" else float("inf")):
                raise InputError(f"recipe.{name}", "be positive (and a share below 1)", value, "Correct it.")
        if self.pretrain_length > self.length:
            rule = f"be at most length = {self.length}"
            raise InputError("recipe.pretrain_length", rule, self.pretrain_length, "Shorten the rows.")
        if self.vocab_size > 65_536:
            raise InputError("recipe.vocab_size", "be at most 65536", self.vocab_size, "Choose a smaller vocabulary.")

    @property
    def fidelity(self) -> str:
        """How much training stands behind a score, for example ``pretrain 600x16x32, finetune 400x16 of 4000``."""
        pretrain = f"pretrain {self.pretrain_steps}x{self.pretrain_batch}x{self.pretrain_length}"
        return f"{pretrain}, finetune {self.finetune_steps}x{self.finetune_batch} of {self.train_examples}"

    @property
    def digest(self) -> str:
        """Digest of every setting that ``fidelity`` does not show."""
        rest = {name: value for name, value in asdict(self).items() if name not in AMOUNTS}
        return digest(str(RECIPE_VERSION), json.dumps(rest, sort_keys=True))


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
}
"""Named recipes: ``nano`` for the demo (under a minute on one core), ``quick`` for tests (seconds)."""


def recipe_named(name: str) -> Recipe:
    """Look up a named recipe. Raises InputError if there is none of that name."""
    if name not in RECIPES:
        raise InputError("recipe", f"be one of {', '.join(RECIPES)}", name, "Use one of them.")
    return RECIPES[name]
