"""Checks that a folder which ``transformers`` loads holds the right model: equal weights, therefore equal outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.dynamic_module_utils import custom_object_save
from transformers.utils import logging as transformers_logging

from explorer.errors import DataError
from explorer.models.architecture import spec_of
from explorer.models.flexibert import AUTO
from explorer.models.flexibert.configuration_flexibert import FlexiBertConfig
from explorer.models.flexibert.modeling_flexibert import FlexiBertPreTrainedModel
from explorer.space.spec import ArchitectureSpec

AGAIN = "Remove the training's folder and train it again."
TOLERANCE = 1e-5
"""Maximum difference between outputs of equal weights, relative to the largest output where that is above 1: the memory
layout of the weights decides in which order a processor adds."""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars and all messages of transformers but errors."""
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
    """Build the model of a folder from its configuration and weights, without ``from_pretrained``.

    Raises:
        DataError: a file is missing or damaged, or the weights do not fit the configuration.
    """
    try:
        config = FlexiBertConfig.from_json_file(folder / "config.json")
        name = (config.architectures or [""])[0]
        kind = next((one for one in AUTO if one.__name__ == name), None)
        if kind is None:
            raise ValueError(f"unknown class {name!r}")
        model = kind(config)
        result = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    except (OSError, ValueError, RuntimeError, SafetensorError, TypeError) as error:
        raise DataError(f"model in {folder}", "be readable", str(error), AGAIN) from None
    model.tie_weights()
    # save_pretrained writes tied weights once.
    absent = set(result.missing_keys) - set(model.all_tied_weights_keys)
    if absent or result.unexpected_keys:
        names = ", ".join(sorted(absent | set(result.unexpected_keys)))
        raise DataError(f"weights in {folder}", "fit the configuration", names, AGAIN)
    return model.eval()


def check_folder(folder: Path, stored: Path, spec: ArchitectureSpec) -> FlexiBertPreTrainedModel:
    """Load a folder as its user would and compare its outputs with those of the model it was copied from.

    Args:
        folder: a model's folder with its tokenizer.
        stored: the folder it was copied from.
        spec: the architecture it must have.

    Returns:
        The model that the Auto class loaded from ``folder``.

    Raises:
        DataError: a file of either folder is damaged, the outputs differ, or the architecture is a different one.
    """
    original = build_from_files(stored)
    try:
        with quiet_transformers():
            loaded = AUTO[type(original)].from_pretrained(folder)  # type: ignore[attr-defined]
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"model in {stored}", "load with transformers", str(error), AGAIN) from None
    if spec_of(loaded.config) != spec:
        raise DataError(f"model in {stored}", "have the architecture that was trained", loaded.config.model_dict, AGAIN)
    if len(tokenizer) > loaded.config.vocab_size:
        rule = f"know at most the model's {loaded.config.vocab_size} tokens"
        raise DataError(f"tokenizer in {stored}", rule, len(tokenizer), AGAIN)
    weights = loaded.state_dict()
    for name, value in original.state_dict().items():
        if not torch.equal(value, weights[name]):
            raise DataError(
                f"{name} in the copy of {stored.name}", "equal the stored one", "different values", "Try again."
            )
    for ids, mask in random_batches(loaded.config):
        with torch.inference_mode():
            wanted, found = (model(ids, mask, return_dict=True)[0] for model in (original, loaded))
        apart = float((wanted - found).abs().max())
        if not apart <= TOLERANCE * max(1.0, float(wanted.abs().max())):  # NaN fails the comparison too.
            field = f"outputs of the copy of {stored.name}"
            raise DataError(field, "equal those of the stored model", f"differences of {apart:.1e}", "Try again.")
    return loaded


def carry_code(model: FlexiBertPreTrainedModel, folder: Path) -> None:
    """Add the two model files and ``auto_map`` to a folder saved by a version that did not.

    ``save_pretrained`` adds them automatically. With them ``trust_remote_code=True`` loads the folder without this
    package.

    Args:
        model: the model in the folder.
        folder: with ``config.json``.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "auto_map" not in config:
        custom_object_save(model, str(folder))
        config["auto_map"] = model.config.auto_map
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def random_batches(config: FlexiBertConfig) -> list[tuple[Tensor, Tensor]]:
    """Draw random ids and masks ``[B, S]``, from one token to the maximum length, with padding."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for rows, length in ((1, 1), (3, min(9, config.max_position_embeddings)), (2, config.max_position_embeddings)):
        ids = torch.randint(0, config.vocab_size, (rows, length), generator=generator)
        real = torch.randint(1, length + 1, (rows, 1), generator=generator)
        real[0] = length
        batches.append((ids, (torch.arange(length) < real).long()))
    return batches
