"""Export of models to ONNX by torch's exporter; each file is compared with torch before it is kept.

Batch size and sequence length are dynamic: the graph computes the transform matrices of ``dft`` and ``dct`` heads from
the length of each sequence. Inputs are ``input_ids``, ``attention_mask`` (1, then 0 for padding on the right) and
``token_type_ids``, each int64 ``[batch, length]`` with 2 ≤ length ≤ ``max_position_embeddings``; weights and outputs
are float32. ``onnx``, ``onnxscript`` and ``onnxruntime`` come with the extra ``onnx``.

A graph cannot raise an error of its own, so each limit is guarded by a Reshape of ``input_ids`` to an impossible size.
The runtime refuses it and prints the node's name, which says the rule and the remedy.
"""

from __future__ import annotations

import copy
import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from explorer.errors import ExplorerError, InputError
from explorer.models.flexibert.modeling_flexibert import FlexiBertModel, FlexiBertPreTrainedModel

Batch = Mapping[str, NDArray[np.int64]]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
SHORTEST = 2
"""Minimum sequence length: the start and the end token."""
TOLERANCE = 1e-4
"""Maximum difference between outputs of torch and of ONNX Runtime."""
TRACED = (2, 8)
"""Batch and length of the example that is traced; both are dynamic in the graph."""
PADDED_RIGHT = "attention_mask must be ones, then zeros, in every row. Pad on the right: padding_side='right'"
"""Name of the node that fails for other masks."""


@dataclass(frozen=True)
class OnnxExport:
    """A written ONNX file.

    Attributes:
        path: the file; weights of 2 GB and more are next to it in ``PATH.data``.
        outputs: names of the outputs: ``logits``, or ``last_hidden_state`` and, with a pooler, ``pooler_output``.
        difference: maximum absolute difference from torch's outputs in the comparison, at real tokens.
        lengths: smallest and largest number of tokens of a sequence.
    """

    path: Path
    outputs: tuple[str, ...]
    difference: float
    lengths: tuple[int, int]


class _Plain(nn.Module):
    """A wrapper of a model with three inputs and a tuple of tensors as output."""

    def __init__(self, model: FlexiBertPreTrainedModel) -> None:
        super().__init__()
        self.model = model
        encoder = isinstance(model, FlexiBertModel)
        pooled = encoder and model.pooler is not None
        self.outputs = ("last_hidden_state", *(["pooler_output"] if pooled else [])) if encoder else ("logits",)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, ...]:
        """Map ids, mask and types ``[B, S]`` to the outputs."""
        found = self.model(input_ids, attention_mask, token_type_ids, return_dict=True)
        return tuple(found[name] for name in self.outputs)


def export_onnx(model: FlexiBertPreTrainedModel, path: Path, tolerance: float = TOLERANCE, seed: int = 0) -> OnnxExport:
    """Export a model to ONNX, compare the file with torch, and move it to its path only if they agree.

    Args:
        model: an encoder, with or without a head; it is not changed.
        path: the file; an existing one is replaced.
        tolerance: maximum absolute difference allowed between the two outputs, at real tokens.
        seed: seed of the token ids for the comparison, at several batch sizes and lengths, with padding.

    Raises:
        InputError: the extra ``onnx`` is not installed, or the model's maximum length is 8 tokens or fewer.
        ExplorerError: the outputs of the file differ from the model's.
    """
    _library("onnxscript")
    runtime = _library("onnxruntime")
    longest = model.config.max_position_embeddings
    if longest <= TRACED[1]:
        rule = f"be more than {TRACED[1]}"
        raise InputError("max_position_embeddings", rule, longest, "Export a model of longer sequences.")
    plain = _Plain(copy.deepcopy(model).float().cpu().eval())
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        # Run torch first: tracing fills the model's matrix cache with symbolic tensors.
        examples = _examples(plain, np.random.default_rng(seed))
        _write(plain, temporary, longest)
        difference = _compare(examples, plain.outputs, temporary, runtime, tolerance)
        for file in sorted(
            Path(folder).iterdir(), key=lambda one: one == temporary
        ):  # Move the graph last, after its data.
            os.replace(file, path.parent / file.name)
    return OnnxExport(path, plain.outputs, difference, (SHORTEST, longest))


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        rule = f"be possible: it needs {name}"
        remedy = "Install the extra: pip install 'architecture-explorer[onnx]'."
        raise InputError("an export to ONNX", rule, "no such package", remedy) from None


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's warnings, which concern its internals and other packages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _write(plain: _Plain, path: Path, longest: int) -> None:
    batch = torch.export.Dim("batch", min=1)
    length = torch.export.Dim("length", min=SHORTEST, max=longest)
    # Use three tensors: the exporter merges inputs that are the same tensor.
    ids, mask, types = (torch.full(TRACED, value) for value in (1, 1, 0))
    # Use MATH: the strides of fused attention differ from those of the operations the exporter replaces it with.
    with _quiet_exporter(), sdpa_kernel(SDPBackend.MATH):
        program = torch.onnx.export(
            plain,
            (ids, mask, types),
            dynamo=True,
            dynamic_shapes=({0: batch, 1: length},) * len(INPUTS),
            input_names=list(INPUTS),
            output_names=list(plain.outputs),
            verbose=False,
        )
    assert program is not None  # It is None only without dynamo.
    program.save(path)
    _guard(path, longest)


def length_rule(longest: int) -> str:
    """Return the name of the node that fails for sequences of other lengths."""
    remedy = f"Cut longer ones: tokenizer(..., truncation=True, max_length={longest})"
    return f"sequences must have {SHORTEST} to {longest} tokens. {remedy}"


def _guard(path: Path, longest: int) -> None:
    """Add nodes to a written graph that fail for masks and lengths for which its outputs would be wrong."""
    onnx = _library("onnx")
    model = onnx.load(path, load_external_data=False)
    node, number, graph = onnx.helper.make_node, onnx.numpy_helper.from_array, model.graph
    integer, boolean = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    constants = {"zero": 0, "one": 1, "shortest": SHORTEST, "longest": longest, "columns": [1], "rows": [0]}
    graph.initializer.extend(number(np.array(value, np.int64), f"guard_{name}") for name, value in constants.items())

    def add(operation: str, inputs: str, output: str, **settings: object) -> None:
        names = [one if one in INPUTS else f"guard_{one}" for one in inputs.split()]
        guards.append(node(operation, names, [f"guard_{output}"], **settings))

    guards: list[object] = []
    add("Cast", "attention_mask", "keep", to=boolean)
    add("Cast", "keep", "ones", to=integer)
    add("ReduceSum", "ones columns", "lengths", keepdims=1)  # [batch, 1]
    add("Shape", "input_ids", "shape")
    add("Gather", "shape one", "length")
    add("Range", "zero length one", "places")
    add("Less", "places lengths", "real")
    add("Xor", "keep real", "elsewhere")
    add("Equal", "lengths zero", "empty")
    add("Or", "elsewhere empty", "wrong")
    add("Cast", "wrong", "wrong_ones", to=integer)
    add("ReduceSum", "wrong_ones", "bad_mask", keepdims=0)
    add("Sub", "length longest", "over")
    add("Sub", "shortest length", "under")
    add("Max", "over under zero", "bad_length")
    checked = "input_ids"
    for problem, rule in (("bad_mask", PADDED_RIGHT), ("bad_length", length_rule(longest))):
        add("Unsqueeze", f"{problem} rows", f"{problem}_columns")
        add("Concat", f"rows {problem}_columns", f"{problem}_excess", axis=0)
        add("Add", f"shape {problem}_excess", f"{problem}_size")
        add("Reshape", f"{checked} {problem}_size", f"{problem}_checked", name=rule)
        checked = f"{problem}_checked"
    for one in graph.node:
        one.input[:] = [f"guard_{checked}" if name == "input_ids" else name for name in one.input]
    nodes = [*guards, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    model.doc_string = f"{PADDED_RIGHT}. {length_rule(longest)}."
    onnx.save(model, path)


def _examples(plain: _Plain, rng: np.random.Generator) -> list[tuple[Batch, tuple[Tensor, ...]]]:
    """Return batches of several sizes and lengths with torch's outputs."""
    config, examples = plain.model.config, []
    for rows, length in ((1, SHORTEST), (3, TRACED[1] + 1), (2, config.max_position_embeddings)):
        batch = _batch(rng, rows, length, config.vocab_size, config.type_vocab_size)
        with torch.no_grad():
            examples.append((batch, plain(*(torch.from_numpy(batch[name]) for name in INPUTS))))
    return examples


def _compare(
    examples: Sequence[tuple[Batch, tuple[Tensor, ...]]],
    outputs: Sequence[str],
    path: Path,
    runtime: ModuleType,
    tolerance: float,
) -> float:
    """Return the maximum difference between the file's outputs and torch's. Raises ExplorerError if it is too large."""
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch, wanted in examples:
        real = batch["attention_mask"].astype(bool)
        found = session.run(list(outputs), dict(batch))
        for name, by_torch, by_onnx in zip(outputs, wanted, found, strict=True):
            apart = np.abs(by_torch.numpy() - by_onnx)
            if apart.ndim == real.ndim + 1:
                apart = apart[real]  # Values at padding have no meaning.
            largest = max(largest, float(apart.max()))
            if not largest <= tolerance:  # NaN fails the comparison too.
                where = f"{name} of {real.shape[0]} rows of {real.shape[1]} tokens"
                raise ExplorerError(
                    f"the ONNX file differs from torch by {largest:.1e} in {where}; nothing was written"
                )
    return largest


def _batch(rng: np.random.Generator, rows: int, length: int, words: int, types: int) -> Batch:
    """Draw random sequences ``[rows, length]``, the first of full length, the others padded on the right."""
    real = np.array([length, *rng.integers(1, length + 1, rows - 1)])
    return {
        "input_ids": rng.integers(0, words, (rows, length)),
        "attention_mask": (np.arange(length) < real[:, None]).astype(np.int64),
        "token_type_ids": rng.integers(0, types, (rows, length)),
    }
