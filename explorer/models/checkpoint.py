"""BERT checkpoints as people have them: where a model lies, its configuration, and its weights by BERT's names.

A checkpoint is named by its folder, by a file in it, by a folder that has it in a subfolder (``0_Transformer`` of
sentence-transformers), or by its name on a hub. Weights may be whole or sharded, in safetensors or torch's format, and
may carry the names of modules that training code wraps around a model.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from explorer.documents.json_text import read_json
from explorer.errors import DataError, InputError, Shown

CONFIGURATIONS = ("config.json", "bert_config.json")
"""Names of BERT's configuration; the second is that of 2018."""
WHOLE = ("model.safetensors", "pytorch_model.bin")
"""Files of whole weights, the preferred one first."""
TORCH_FORMATS = (".bin", ".pt", ".pth", ".ckpt")
NO_WEIGHTS = ("optimizer", "scheduler", "training_args", "rng_state", "scaler", "trainer_state")
"""How the names of other files in these formats begin."""
OTHER_LIBRARIES = ("tf_model.h5", "flax_model.msgpack", "*.ckpt.index", "*.ckpt.meta")
BERT_KEYS = frozenset(("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"))
"""A configuration without ``model_type``, as in 2018, is BERT's if it has these keys."""
WRAPPERS: Mapping[str, str] = {
    "_orig_mod": "torch.compile",
    "module": "DataParallel",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
}
"""Modules that training code puts around a model or its layers, with what does so."""
HOLDERS = frozenset(("model", "backbone", "network", "net", "auto_model"))
"""Attributes that modules of training code hold a BERT in."""
STATES = ("state_dict", "model_state_dict", "model", "model_ema", "ema_state_dict", "module", "weights")
"""Keys of the weights in files that hold more than weights."""
WORDS = "embeddings.word_embeddings.weight"
"""The weight that every BERT has."""
HUBS = ("https://huggingface.co/", "hf://")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
DEPTH = 2
"""Subfolders of subfolders are searched, not deeper ones."""
AGAIN = "Download the checkpoint again, or save it again with save_pretrained."


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found.

    Attributes:
        folder: the folder with its configuration.
        weights: the file of its weights, if the user named one; by default the one that ``save_pretrained`` writes.
        notes: what the user should know about how it was found, one sentence each.
    """

    folder: Path
    weights: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BertFiles:
    """Contents of a checkpoint.

    Attributes:
        checkpoint: where they are from.
        settings: the configuration; ``model_type`` is ``bert``.
        weights: the weights by BERT's names, without the names of wrappers.
        notes: what was done to read them, one sentence each.
    """

    checkpoint: Checkpoint
    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    notes: tuple[str, ...]


def find_checkpoint(name: str) -> Checkpoint:
    """Find a checkpoint; one that is not on this machine is fetched from the hub.

    Args:
        name: its folder, a file in it, a folder with it in a subfolder, or its name on the hub.

    Raises:
        InputError: there is none by this name, or there are several.
        DataError: the folder has no configuration.
    """
    for hub in HUBS:
        name = name.removeprefix(hub).rstrip("/") if name.startswith(hub) else name
    path = Path(name).expanduser()
    if path.is_file():
        return _around(path)
    if path.is_dir():
        return _inside(path)
    if not HUB_NAME.fullmatch(name):
        rule = "be an existing folder, or the name of a model on the hub such as google/bert_uncased_L-2_H-128_A-2"
        raise InputError("checkpoint", rule, name, "Check the path.")
    return _inside(_fetched(name))


def read_checkpoint(checkpoint: Checkpoint) -> BertFiles:
    """Read configuration and weights.

    Raises:
        InputError: the model is not a BERT.
        DataError: a file is missing or damaged.
    """
    settings, notes = read_settings(checkpoint.folder)
    weights, more = _unwrapped(_weights(checkpoint))
    _check(weights, checkpoint.folder)
    return BertFiles(checkpoint, settings, weights, (*checkpoint.notes, *notes, *more))


# Where it lies


def _around(file: Path) -> Checkpoint:
    """Return the checkpoint that a file belongs to. Raises InputError."""
    name = file.name.lower()
    if name.endswith((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z")):
        raise InputError("checkpoint", "be a folder", str(file), "Unpack the archive, and name the folder.")
    if not _configuration(file.parent):
        rule = f"be a folder with {CONFIGURATIONS[0]}, or a file next to one"
        raise InputError("checkpoint", rule, str(file), "Put the model's config.json next to it.")
    is_weights = file.suffix in (*TORCH_FORMATS, ".safetensors")
    note = f"{file.name} is a file of the checkpoint in {file.parent}, which is imported"
    return Checkpoint(file.parent, file if is_weights else None, () if is_weights else (note,))


def _inside(folder: Path) -> Checkpoint:
    """Return the checkpoint in a folder or its subfolders. Raises InputError, DataError."""
    if _configuration(folder):
        return Checkpoint(folder)
    found = sorted({path for path in _subfolders(folder, DEPTH) if _configuration(path) and _weight_files(path)})
    if len(found) > 1:
        names = ", ".join(str(path) for path in found[:5])
        raise InputError("checkpoint", "be the folder of one model", str(folder), f"Name one of {names}.")
    if not found:
        remedy = f"Name the folder that has {CONFIGURATIONS[0]} and the weights, as save_pretrained writes them."
        raise DataError("checkpoint", f"hold {CONFIGURATIONS[0]}, the configuration of a model", str(folder), remedy)
    return Checkpoint(found[0], None, (f"the model is in the subfolder {found[0].relative_to(folder)}",))


def _subfolders(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path
            if depth > 1:
                yield from _subfolders(path, depth - 1)


def _configuration(folder: Path) -> Path | None:
    return next((folder / name for name in CONFIGURATIONS if (folder / name).is_file()), None)


def _fetched(name: str) -> Path:
    """Return the folder of a model of the hub, fetched if it is not in the hub's cache. Raises InputError."""
    from huggingface_hub import snapshot_download

    unwanted = ["onnx/*", "openvino/*", "coreml/*", "*/onnx/*", "*/openvino/*"]
    try:
        few = ["*.json", "vocab.txt", "*/vocab.txt", "*.safetensors"]
        folder = Path(snapshot_download(name, allow_patterns=few, ignore_patterns=unwanted))
        if not list(folder.rglob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*few, "*pytorch_model*"], ignore_patterns=unwanted))
    except Exception as error:  # The client lets the errors of its HTTP library through.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        rule = f"be an existing folder, or the name of a model that the hub offers here ({reason})"
        fetch = f"hf download {name} --local-dir FOLDER"
        remedy = f"Check the name; where the hub can be reached, run `{fetch}`, and name that folder here."
        raise InputError("checkpoint", rule, name, remedy) from None
    return folder


# Its content


def read_settings(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the configuration of a BERT, and notes about it. Raises InputError, DataError."""
    path = _configuration(folder) or folder / CONFIGURATIONS[0]
    settings = read_json(path, "configuration of a model")
    if not isinstance(settings, dict):
        raise DataError(str(path), "be the configuration of a model", settings, "Save the model again.")
    if settings.get("model_type") is None and settings.keys() >= BERT_KEYS:
        return {**settings, "model_type": "bert"}, (f"{path.name} has no model_type; its keys are BERT's",)
    if settings.get("model_type") != "bert":
        remedy = "Only checkpoints of BERT can be imported."
        raise InputError("model_type", "be bert", settings.get("model_type"), remedy)
    return settings, ()


def _weight_files(folder: Path) -> list[Path]:
    """List the files that may hold all weights: those of ``save_pretrained``, else others in torch's formats."""
    usual = [folder / end for name in WHOLE for end in (name, f"{name}.index.json") if (folder / end).is_file()]
    others = [path for path in sorted(folder.iterdir()) if path.suffix in (*TORCH_FORMATS, ".safetensors")]
    return usual or [path for path in others if not path.name.startswith(NO_WEIGHTS)]


def _weights(checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    """Load all weights by the names in their file. Raises DataError."""
    folder = checkpoint.folder
    files = [checkpoint.weights] if checkpoint.weights else _weight_files(folder)
    usual = files and (files[0].name.startswith(WHOLE) or len(files) == 1)
    if not usual:
        rule = f"hold {' or '.join(WHOLE)}"
        if files:
            names = ", ".join(str(path) for path in files[:5])
            raise DataError("folder", rule, str(folder), f"Name the file with the weights: one of {names}.")
        if any(list(folder.glob(pattern)) for pattern in OTHER_LIBRARIES):
            convert = "BertForPreTraining.from_pretrained(FOLDER, from_tf=True), or from_flax=True, in transformers 4"
            raise DataError("folder", rule, str(folder), f"Convert the weights to torch's format: {convert}.")
        raise DataError("folder", rule, str(folder), "Name the folder that save_pretrained wrote.")
    file = files[0]
    try:
        if not file.name.endswith(".index.json"):
            return _load(file)
        shards = sorted(set(json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()))
        return {name: value for shard in shards for name, value in _load(folder / shard).items()}
    except pickle.UnpicklingError as error:
        remedy = "Save the weights alone: model.save_pretrained(FOLDER)."
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"an object of {named[1]}" if named else "a file that is not of torch's format"
        raise DataError(f"weights in {folder}", "be readable without running code", Shown(reason), remedy) from None
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise DataError(f"weights in {folder}", "be readable", str(error), AGAIN) from None


def _check(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Raise DataError if the weights are not those of a plain model, or not numbers."""
    field = f"weights in {folder}"
    for name, value in weights.items():
        if ".lora_" in name or ".base_layer." in name:
            remedy = "Merge it into the model first: model.merge_and_unload().save_pretrained(FOLDER)."
            raise DataError(field, "be of a model without an adapter", name, remedy)
        if name.endswith((".weight", ".bias")) and not value.is_floating_point():
            rule = "be floating-point numbers"
            raise DataError(field, rule, f"{name} of {value.dtype}", "Save the model before it is quantised.")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise DataError(field, "be finite", f"{name} with NaN or infinity", "Take an earlier checkpoint.")


def _check_content(path: Path) -> None:
    """Raise DataError if a file of weights is a text in the place of one."""
    with path.open("rb") as file:
        begin = file.read(100).lstrip()
    if begin.startswith(b"version https://git-lfs"):
        rule = "hold weights, not the pointer that Git LFS puts in their place"
        raise DataError(str(path), rule, begin[:60], "Run `git lfs pull` in its folder, or download the file.")
    if begin.startswith((b"<!", b"<html")):
        raise DataError(str(path), "hold weights, and not a web page", begin[:60], AGAIN)


def _load(path: Path) -> Mapping[str, Tensor]:
    _check_content(path)
    if path.suffix == ".safetensors":
        return load_file(path)
    # weights_only: unpickling other objects could execute code from the file.
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, Mapping):
        raise TypeError(f"it holds a {type(loaded).__name__} and no weights by name")
    inner = next((loaded[key] for key in STATES if isinstance(loaded.get(key), Mapping)), loaded)
    return {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}


def _holder(weights: Mapping[str, Tensor]) -> str:
    """Return what precedes the names of the only BERT in the weights, for example ``student.``; else an empty text."""
    found = {name.removesuffix(WORDS) for name in weights if name.endswith(WORDS)}
    outer = {begin.removesuffix("bert.") if f".{begin}".endswith(".bert.") else begin for begin in found}
    return outer.pop() if len(outer) == 1 else ""


def _add(weights: dict[str, Tensor], name: str, value: Tensor, original: str) -> None:
    """Add a weight by its name in BERT. Raises DataError if there is one already."""
    if name in weights:
        rule = "have one weight for each name of BERT"
        raise DataError("weights", rule, f"{original} and another for {name}", "Save the BERT alone.")
    weights[name] = value


def _unwrapped(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Take the names of wrappers off; return notes about it too. Raises DataError."""
    found: dict[str, Tensor] = {}
    taken: dict[str, int] = {}
    for name, value in weights.items():
        parts = name.split(".")
        kept = [part for part in parts if part not in WRAPPERS]
        while len(kept) > 1 and (kept[0] in HOLDERS or kept[0].isdigit()):
            kept = kept[1:]
        for part in {part for part in parts if parts.count(part) > kept.count(part)}:
            taken[part] = taken.get(part, 0) + 1
        _add(found, ".".join(kept), value, name)
    if outer := _holder(found):
        held, found = found, {}
        taken[outer.removesuffix(".")] = sum(name.startswith(outer) for name in held)
        for name, value in held.items():
            _add(found, name.removeprefix(outer), value, name)
    notes = []
    for part, count in sorted(taken.items()):
        source = f", which {WRAPPERS[part]} adds" if part in WRAPPERS else ""
        notes.append(f"took `{part}.` off the names of {count} weights{source}")
    return found, tuple(notes)
