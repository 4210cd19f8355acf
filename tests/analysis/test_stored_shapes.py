"""Shapes of a store as the table predictors learn from: published scores and those of super-networks here."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explorer.analysis.shapes import stored_shapes
from explorer.library.records import architecture_record
from explorer.space.backbones import Backbone
from explorer.supershaper.scores import INSIDE_METRIC, INSIDE_TASK
from graphstore import open_store
from graphstore.records import MeasurementRecord, ScoreRecord, SpaceRecord

NANO = Backbone(hidden=32, heads=2, feed_forward=64, layers=2)


def score(id: str, perplexity: float, fidelity: str, seed: int = 0) -> ScoreRecord:
    return ScoreRecord(
        id, INSIDE_TASK, INSIDE_METRIC, -math.log(perplexity), "text", fidelity, "r", seed, f"here:{fidelity}/{seed}"
    )


def test_scores_of_a_super_network_are_perplexities_and_do_not_mix_with_other_kinds(tmp_path):
    shapes = [(8, 8), (8, 32), (32, 16)]
    records = [architecture_record(NANO.spec(shape)) for shape in shapes]
    with open_store(f"sqlite:///{tmp_path / 'x.db'}") as store:
        store.put_space(SpaceRecord("nano-shapes", {}))
        store.add_architectures("nano-shapes", records)
        ids = [record.id for record in records]
        store.add_scores([score(id, 100.0 + place, "inside") for place, id in enumerate(ids)])
        store.add_scores([score(ids[0], 400.0, "inside", seed=1), score(ids[1], 7.0, "stand-alone")])
        timed = (
            ("here", "latency_b1_l128_fp32", 2.0),
            ("here", "latency_p90_b1_l128_fp32", 3.0),
            ("there", "latency", 5.0),
        )
        store.add_measurements([MeasurementRecord(ids[2], *one, "s") for one in timed])
        grid, table = stored_shapes(store, "nano-shapes")
    assert (grid.backbone, grid.widths) == (NANO, (8, 16, 32))
    found = {tuple(shape): value for shape, value in zip(table.shapes.tolist(), table.perplexity, strict=True)}
    assert found == pytest.approx({(8, 8): 200.0, (8, 32): 101.0, (32, 16): 102.0})
    assert np.isfinite(table.scored[1]).all()
    assert set(table.latency) == {"here (b1 l128 fp32)", "there"}, "one's own machine is beside the published ones"
    shapes, seconds = table.timed("here (b1 l128 fp32)")
    assert (shapes.tolist(), seconds.tolist()) == ([[32, 16]], [2.0])
