"""``archex measure``, ``archex devices`` and ``archex predict``, in this process, on a store of a few architectures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explorer.cli.main import build
from explorer.errors import InputError
from explorer.library.library import Library
from explorer.measure.size import flops
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from graphstore import open_store
from graphstore.records import MeasurementRecord

QUICK = ["--length", "8", "--repeats", "2", "--vocab", "50", "--no-memory"]


@pytest.fixture
def archex(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPLORER_STORE", raising=False)

    def run(*arguments):
        build(arguments[0])(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_a_model_is_measured_stored_and_listed(archex):
    found = json.loads(archex("measure", "BERT-Tiny", *QUICK, "--json"))
    assert found["id"] == architecture_id(named_model("BERT-Tiny"))
    assert found["latency"]["runs"] == 2
    assert found["flops"]["forward"] == pytest.approx(flops(named_model("BERT-Tiny"), 8), rel=0.05)
    listed = json.loads(archex("devices", "--json"))["devices"]
    medians = [one for one in listed if one["quantity"] == "latency_b1_l8_fp32_v50"]
    assert [(one["device"], one["least"]) for one in medians] == [(found["device"], found["latency"]["p50"])]
    assert "latency_b1_l8_fp32_v50" in archex("devices")
    assert "2 runs" in archex("measure", "BERT-Tiny", *QUICK)


def test_many_are_measured_and_a_device_is_predicted(archex, tmp_path):
    specs = load_space("nano").sample(12, np.random.default_rng(0))
    with open_store(f"sqlite:///{tmp_path / 'explorer.db'}") as store:
        Library.build(store, "few", specs, SilentReporter(), source={"from": "test"})
        store.add_measurements(
            [MeasurementRecord(architecture_id(s), "phone", "latency", 1e-9 * flops(s), "s") for s in specs]
        )
    many = ("measure", "--missing", "--space", "few", "--limit", "2", *QUICK, "--json")
    assert [json.loads(archex(*many))["new"] for _ in range(2)] == [2, 0]
    found = json.loads(archex("predict", "BERT-Tiny", "--device", "phone", "--json"))
    assert found["measured"] is None
    assert found["beyond"] is True
    assert found["learned_from"] == 12
    assert found["low"] < found["value"] < found["high"]
    assert "fitted to 12 architectures" in archex("predict", "BERT-Tiny", "--device", "phone")


@pytest.mark.parametrize(
    "arguments",
    [(), ("BERT-Tiny", "--missing", "--space", "few"), ("--missing",), ("BERT-Tiny", "--space", "few")],
)
def test_either_a_model_or_a_space_is_measured(archex, arguments, tmp_path):
    with pytest.raises(InputError, match="what to measure"):
        archex("measure", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_leaves_no_store_behind(archex, tmp_path):
    with pytest.raises(InputError, match="device"):
        archex("measure", "BERT-Tiny", "--device", "tpu")
    assert list(tmp_path.iterdir()) == []
