"""Whether a folder that ``transformers`` loads holds the model it should: the same weights, and so the same outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import logging as transformers_logging

from explorer import models
from explorer.errors import DataError
from explorer.models.config import FlexiBertConfig
from explorer.models.encoder import FlexiBertPreTrainedModel
from explorer.space.spec import ArchitectureSpec

AGAIN = "Remove the training's folder and train it again."
AUTO = {
    "FlexiBertModel": "AutoModel",
    "FlexiBertForMaskedLM": "AutoModelForMaskedLM",
    "FlexiBertForSequenceClassification": "AutoModelForSequenceClassification",
    "FlexiBertForTokenClassification": "AutoModelForTokenClassification",
}
"""The Auto class that loads each of our classes."""


TOLERANCE = 1e-5
"""Largest difference between outputs of equal weights, relative to the largest output where that is above 1: where the
weights lie in memory decides in which order a processor adds."""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let transformers say nothing but errors, and draw no progress bars."""
    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()


def build_from_files(folder: Path) -> FlexiBertPreTrainedModel:
    """The model in a folder, built from its configuration and filled from its weights without ``from_pretrained``.

    Raises:
        DataError: a file is missing or damaged, or the weights do not fit the configuration.
    """
    try:
        config = FlexiBertConfig.from_json_file(folder / "config.json")
        kind = (config.architectures or [""])[0]
        model: FlexiBertPreTrainedModel = getattr(models, kind)(config)
        result = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    except (OSError, ValueError, RuntimeError, SafetensorError, TypeError, AttributeError) as error:
        raise DataError(f"model in {folder}", "be sound", str(error), AGAIN) from None
    model.tie_weights()
    # What is tied to another weight is written once only.
    absent = set(result.missing_keys) - set(model.all_tied_weights_keys)
    if absent or result.unexpected_keys:
        names = ", ".join(sorted(absent | set(result.unexpected_keys)))
        raise DataError(f"weights in {folder}", "fit the configuration", names, AGAIN)
    return model.eval()


def check_folder(folder: Path, stored: Path, spec: ArchitectureSpec) -> FlexiBertPreTrainedModel:
    """Load a folder as its reader would and compare its outputs with those of the model it was made from.

    Args:
        folder: a model's folder with its tokenizer.
        stored: the folder it was made from.
        spec: the architecture it must be.

    Returns:
        The model that the Auto class made of ``folder``.

    Raises:
        DataError: a file of either folder is damaged, the outputs differ, or the architecture is another one.
    """
    original = build_from_files(stored)
    try:
        with quiet_transformers():
            loaded = getattr(transformers, AUTO[type(original).__name__]).from_pretrained(folder)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"model in {stored}", "load with transformers", str(error), AGAIN) from None
    if loaded.config.spec != spec:
        raise DataError(f"model in {stored}", "be of the architecture", loaded.config.model_dict, AGAIN)
    if len(tokenizer) > loaded.config.vocab_size:
        rule = f"know at most the model's {loaded.config.vocab_size} tokens"
        raise DataError(f"tokenizer in {stored}", rule, len(tokenizer), AGAIN)
    weights = loaded.state_dict()
    for name, value in original.state_dict().items():
        if not torch.equal(value, weights[name]):
            raise DataError(f"{name} in the copy of {stored.name}", "be the stored one", "other numbers", "Try again.")
    for ids, mask in random_batches(loaded.config):
        with torch.inference_mode():
            wanted, found = (model(ids, mask, return_dict=True)[0] for model in (original, loaded))
        apart = float((wanted - found).abs().max())
        if not apart <= TOLERANCE * max(1.0, float(wanted.abs().max())):  # nor nan
            field = f"outputs of the copy of {stored.name}"
            raise DataError(field, "be the stored model's", f"{apart:.1e} apart", "Try again.")
    return loaded


def random_batches(config: FlexiBertConfig) -> list[tuple[Tensor, Tensor]]:
    """Random ids and masks ``[B, S]``, from one token to the longest sequence, with padding."""
    chance = torch.Generator().manual_seed(0)
    batches = []
    for rows, length in ((1, 1), (3, min(9, config.max_position_embeddings)), (2, config.max_position_embeddings)):
        ids = torch.randint(0, config.vocab_size, (rows, length), generator=chance)
        real = torch.randint(1, length + 1, (rows, 1), generator=chance)
        real[0] = length
        batches.append((ids, (torch.arange(length) < real).long()))
    return batches
