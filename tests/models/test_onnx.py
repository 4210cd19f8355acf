"""ONNX files compute what torch does: every operation, any batch size and length, with padding."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from explorer.errors import ExplorerError, InputError
from explorer.models import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertForTokenClassification,
    FlexiBertModel,
)
from explorer.models.onnx import export_onnx

LONGEST, WORDS = 32, 50
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
PER_LAYER = {
    "l": 5,
    "o": ["sa", "l", "c", "sa", "l"],
    "h": [16, 24, 16, 16, 16],
    "n": [2, 4, 2, 2, 2],
    "f": [[24], [8, 8], [8], [8], [8]],
    "p": ["sdp", "dft", 5, "wma", "dct"],
}
# Kernels of 3 change at a length of 24 from one way of computing to the other; those of 9 never do here.
PER_HEAD = {
    "l": 2,
    "o": [["l_dct_6", "sa_sdp_6", "c_3_6", "sa_wma_6"], ["l_dft_12", "sa_wma_12", "c_9_12", "l_dct_12"]],
    "h": [16, 24],
    "f": [[8], [8, 8]],
}
SMALL = {"l": 1, "o": ["sa"], "h": [16], "n": [2], "f": [[8]], "p": ["sdp"]}
CASES = [
    (PER_LAYER, "relative_key", FlexiBertForSequenceClassification),
    (SMALL, "absolute", FlexiBertForTokenClassification),
    (PER_HEAD, "absolute", FlexiBertForMaskedLM),
    (SMALL, "relative_key", FlexiBertModel),
]
"""Every operation as a layer and as a head; the other classes on a small model, because exporting takes long."""


def made(model_dict, positions, kind, **settings):
    """A model whose outputs are of the order of one, so that the tolerance means something."""
    torch.manual_seed(0)
    config = FlexiBertConfig(
        model_dict=model_dict,
        vocab_size=WORDS,
        max_position_embeddings=LONGEST,
        position_embedding_type=positions,
        initializer_range=0.3,
        num_labels=3,
        **settings,
    )
    return kind(config)


def batch(rows, length, seed):
    rng = np.random.default_rng(seed)
    real = np.array([length, *rng.integers(1, length + 1, rows - 1)])
    mask = (np.arange(length) < real[:, None]).astype(np.int64)
    return rng.integers(0, WORDS, (rows, length)), mask, rng.integers(0, 2, (rows, length))


@pytest.mark.parametrize(("model_dict", "positions", "kind"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_every_operation_at_any_batch_size_and_length(model_dict, positions, kind, tmp_path):
    model = made(model_dict, positions, kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    done = export_onnx(model, tmp_path / "model.onnx")
    assert done.difference < 1e-4
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == list(INPUTS)
    assert [one.shape[0] for one in session.get_inputs()] == ["batch"] * 3
    assert [one.shape[1] for one in session.get_inputs()] == ["length"] * 3
    onnx.checker.check_model(onnx.load(done.path), full_check=True)
    model.eval()
    for seed, (rows, length) in enumerate(((1, 2), (1, 7), (2, 8), (5, 23), (3, 25), (1, LONGEST), (4, LONGEST))):
        feed = batch(rows, length, seed)
        found = session.run(list(done.outputs), dict(zip(INPUTS, feed, strict=True)))
        with torch.no_grad():
            wanted = model(*(torch.from_numpy(array) for array in feed), return_dict=True)
        for name, got in zip(done.outputs, found, strict=True):
            expected = wanted[name].numpy()
            real = feed[1].astype(bool) if got.ndim == 3 else slice(None)
            assert got.shape == expected.shape
            np.testing.assert_allclose(got[real], expected[real], rtol=0, atol=1e-4)
            assert np.abs(expected[real]).max() > 0.1
    refuses_what_it_cannot_compute(session)


def refuses_what_it_cannot_compute(session):
    def run(mask):
        mask = np.array(mask, np.int64)
        return session.run(None, dict(zip(INPUTS, (np.ones_like(mask), mask, np.zeros_like(mask)), strict=True)))

    right = "attention_mask must be ones, then zeros, in every row. Pad on the right"
    length = "sequences must have 2 to 32 tokens. Cut longer ones: .*truncation=True, max_length=32"
    for mask, rule in (
        ([[0, 1, 1], [1, 1, 1]], right),
        ([[1, 1, 1, 0], [1, 0, 1, 0]], right),
        ([[1, 1], [0, 0]], right),
        ([[1] * (LONGEST + 1)], length),
        ([[1] * (4 * LONGEST)] * 2, length),
        ([[1]], length),
    ):
        with pytest.raises(Fail, match=rule):
            run(mask)
    assert run([[7, 1, 0], [1, 0, 0]])[0].shape[0] == 2  # Any number but 0 marks a token, as in torch.


def test_a_file_that_computes_something_else_is_not_kept(tmp_path):
    model = made(SMALL, "absolute", FlexiBertForSequenceClassification)
    (tmp_path / "model.onnx").write_text("older")
    with pytest.raises(ExplorerError, match="differs from torch by"):
        export_onnx(model, tmp_path / "model.onnx", tolerance=1e-12)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_without_the_extra_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"needs onnxruntime.*architecture-explorer\[onnx\]"):
        export_onnx(made(SMALL, "absolute", FlexiBertModel), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_models_of_very_short_sequences_are_refused(tmp_path):
    model = FlexiBertModel(FlexiBertConfig(vocab_size=9, max_position_embeddings=8))
    with pytest.raises(InputError, match="max_position_embeddings must be more than 8"):
        export_onnx(model, tmp_path / "model.onnx")
