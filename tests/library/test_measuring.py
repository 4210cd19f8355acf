"""Measuring into a store, going on where it stopped, importing per device, and predicting from what is stored."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from explorer.analysis.devices import find_device, known_devices, predict_on_device
from explorer.errors import InputError
from explorer.library.importing import import_file, table_file
from explorer.library.library import Library
from explorer.library.measuring import ANY_DEVICE, Bench, measure_missing
from explorer.measure.settings import Load
from explorer.measure.size import flops
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import to_json
from explorer.space.grammar import load_space
from graphstore import open_store
from graphstore.errors import NotFoundError
from graphstore.records import MeasurementRecord

BENCH = Bench(Load(1, 8, vocabulary=50), repeats=2)


@pytest.fixture(scope="module")
def specs():
    return load_space("nano").sample(12, np.random.default_rng(0))


@pytest.fixture
def store(tmp_path, specs):
    with open_store(f"sqlite:///{tmp_path / 'explorer.db'}") as opened:
        Library.build(opened, "few", specs, SilentReporter(), source={"from": "test"})
        yield opened


def test_a_repeated_run_measures_only_what_is_missing(store, specs):
    first = measure_missing(store, "few", 2, BENCH, SilentReporter())
    assert (first.new, first.before, first.failed) == (2, 0, ())
    stored = store.measurements()
    assert {one.quantity for one in stored if one.device == first.device} == {
        f"latency{suffix}_b1_l8_fp32_v50" for suffix in ("", "_mean", "_p90", "_p95")
    }
    assert measure_missing(store, "few", 2, BENCH, SilentReporter()).new == 0
    assert store.measurements() == stored
    # Four in the end: the two of before stay as they were.
    more = measure_missing(store, "few", 4, BENCH, SilentReporter())
    assert (more.new, more.before) == (2, 2)
    assert set(stored) <= set(store.measurements())
    # Another load is another quantity.
    other = dataclasses.replace(BENCH, load=Load(2, 8, vocabulary=50))
    assert measure_missing(store, "few", 1, other, SilentReporter()).new == 1


def test_what_is_counted_is_the_formula_of_the_stored_architecture(store, specs):
    measure_missing(store, "few", 1, BENCH, SilentReporter())
    record = next(one for one in store.measurements() if one.quantity == "flops_b1_l8_fp32_v50")
    assert (record.device, record.unit) == (ANY_DEVICE, "FLOPs")
    spec = next(
        s for s in load_space("nano").sample(12, np.random.default_rng(0)) if architecture_id(s) == record.architecture
    )
    assert record.value == pytest.approx(flops(spec, 8), rel=0.2)


def test_nonsense_is_refused_before_anything_is_measured(store):
    with pytest.raises(InputError, match="limit"):
        measure_missing(store, "few", 0, BENCH, SilentReporter())
    with pytest.raises(NotFoundError):
        measure_missing(store, "absent", 1, BENCH, SilentReporter())
    with pytest.raises(InputError, match="device"):
        measure_missing(store, "few", 1, dataclasses.replace(BENCH, device="tpu"), SilentReporter())


def test_a_table_with_a_column_of_devices_is_learned_per_device(store, specs, tmp_path):
    rows = [
        {"model": to_json(spec), "machine": machine, "ms": factor * (1 + flops(spec) * 1e-7)}
        for spec in specs
        for machine, factor in (("phone A", 1.0), ("phone B", 5.0))
    ]
    table, mapping = tmp_path / "table.jsonl", tmp_path / "mapping.yaml"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    mapping.write_text(
        "source: mine\narchitecture: {model_dict: model}\nmeasurements:\n"
        "  - {column: ms, device: {column: machine}, quantity: latency, unit: ms}\n",
        encoding="utf-8",
    )
    assert import_file(store, table_file(table, mapping, "few"), SilentReporter()).new_measurements == 24
    known = known_devices(store)
    assert [(one.device, one.quantity, one.unit, one.count) for one in known] == [
        ("phone A", "latency", "ms", 12),
        ("phone B", "latency", "ms", 12),
    ]
    spec = specs[3]
    answer = predict_on_device(store, architecture_id(spec), spec, "b", "latency")
    true = 5 * (1 + flops(spec) * 1e-7)
    # Its own measurement is told beside the prediction and had no part in it.
    assert answer.measured == pytest.approx(true)
    assert answer.predictor.count == 11
    assert answer.estimate.value == pytest.approx(true, rel=0.1)
    assert answer.estimate.low <= answer.estimate.value <= answer.estimate.high


def test_a_device_is_named_by_a_part_that_only_it_has(store, specs):
    ids = [architecture_id(spec) for spec in specs]
    names = [("cpu a", "latency_b1_l8_fp32"), ("cpu a", "latency_p90_b1_l8_fp32"), ("cpu ab", "latency_b1_l8_fp32")]
    names.append(("cpu ab", "latency_b2_l8_fp32"))
    store.add_measurements([MeasurementRecord(id, device, name, 1.0, "s") for id in ids for device, name in names])
    assert find_device(store, "cpu a", "latency").quantity == "latency_b1_l8_fp32"
    assert find_device(store, "AB", "latency_b2_l8_fp32").device == "cpu ab"
    with pytest.raises(InputError, match="cpu a; cpu ab"):
        find_device(store, "cpu", "latency")
    with pytest.raises(InputError, match="latency_b1_l8_fp32; latency_b2_l8_fp32"):
        find_device(store, "ab", "latency")
    with pytest.raises(InputError, match="device"):
        find_device(store, "npu", "latency")
