"""An architecture packed to be taken away."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from explorer.errors import InputError
from explorer.library import exporting
from explorer.library.exporting import TrainedRun, packed
from explorer.space.named import named_model
from graphstore import open_store


def test_the_archive_is_the_folder_and_always_the_same(tmp_path):
    spec = named_model("BERT-Tiny")
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        data = packed(store, spec, "mine")
        assert packed(store, spec, "mine") == data
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert names == sorted(names)
    assert set(names) == {f"mine/{n}" for n in ("README.md", "graph.graphml", "per_head.json", "per_layer.json")}


def test_models_beyond_the_limit_are_refused(tmp_path, monkeypatch):
    run = TrainedRun("trained:s/0", Path(tmp_path), ())
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    monkeypatch.setattr(exporting, "trained_runs", lambda store, spec: [run])
    monkeypatch.setattr(exporting, "MAX_PACKED_BYTES", 99)
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store, pytest.raises(InputError, match="MiB to be packed"):
        packed(store, named_model("BERT-Tiny"), "mine")


def test_an_unknown_training_is_refused(tmp_path):
    with (
        open_store(f"sqlite:///{tmp_path / 'store.db'}") as store,
        pytest.raises(InputError, match="finished training"),
    ):
        packed(store, named_model("BERT-Tiny"), "mine", "trained:nothing/0")
