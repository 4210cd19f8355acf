"""The device predictor on devices whose prices are known, and on EdgeTran's real ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from explorer.errors import InputError
from explorer.measure.amounts import amount_names, amounts
from explorer.measure.predictor import FEWEST, Additive, DevicePredictor, candidates, held_out
from explorer.measure.size import flops, parameters
from explorer.space.grammar import load_space
from explorer.space.imports.edgetran import find_edgetran
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec


@pytest.fixture(scope="module")
def specs():
    return load_space("tiny-mini").sample(60, np.random.default_rng(0))


def test_amounts_by_hand():
    heads = (HeadOp("sa", "sdp", 8), HeadOp("c", "5", 8), HeadOp("c", "9", 8))
    spec = ArchitectureSpec((LayerSpec.per_layer(16, "l", "dct", 2, (24,)), LayerSpec(32, heads, (8, 48))))
    found = dict(zip(amount_names(), amounts([spec])[0], strict=True))
    expected = {"flops": flops(spec, 128), "parameters": parameters(spec, embeddings=False), "first": 16, "last": 32}
    expected |= {"layers": 2, "groups": 4, "heads": 5, "hidden": 48, "linears": 2 + 3, "widths": 24 + 56}
    expected |= {"products": 2 * 16 * 24 + 32 * 8 + 8 * 48 + 48 * 32, "widest": 24 + 48, "joints": 1, "joined": 512}
    expected |= {"l_dct_heads": 2, "l_dct_sizes": 16, "l_dct_weights": 256, "c_heads": 2, "c_kernels": 14}
    expected |= {"sa_sdp_heads": 1, "sa_sdp_sizes": 8, "sa_sdp_weights": 256, "c_sizes": 16, "c_weights": 512}
    assert {name: value for name, value in found.items() if value} == expected


def test_prices_of_an_additive_device_are_continued_beyond_what_was_measured(specs):
    rows = amounts(specs)
    true = 3e-4 + rows[:, amount_names().index("flops")] * 1e-11 + rows[:, amount_names().index("heads")] * 1e-5
    order = np.argsort(true)
    small, large = order[:40], order[40:]
    predicted = Additive().fit(rows[small], np.log(true[small])).predict(rows[large])
    assert np.exp(predicted) == pytest.approx(true[large], rel=0.05)


def test_each_row_is_held_out_of_what_predicts_it():
    class Memory:
        def fit(self, rows, logs):
            self.seen = dict(zip(rows[:, 0], logs, strict=True))
            return self

        def predict(self, rows):
            return np.array([self.seen.get(row, -1.0) for row in rows[:, 0]])

    predicted = held_out(Memory, np.arange(12.0)[:, None], np.arange(12.0), np.random.default_rng(0))
    assert (predicted == -1.0).all()


def test_the_error_bar_is_as_wide_as_the_noise_and_covers_two_of_three(specs):
    rng = np.random.default_rng(1)
    more = load_space("tiny-mini").sample(200, rng)
    true = np.array([1e-3 + 1e-11 * flops(spec) for spec in more])
    noisy = true * np.exp(0.2 * rng.standard_normal(200))
    learned = DevicePredictor.fit(more[:120], noisy[:120])
    assert 0.15 < learned.spread < 0.3
    found = learned.predict(more[120:])
    inside = np.mean([one.low <= value <= one.high for one, value in zip(found, noisy[120:], strict=True)])
    assert 0.5 < inside < 0.85
    assert spearmanr([one.value for one in found], true[120:]).statistic > 0.85
    again = DevicePredictor.fit(more[:120], noisy[:120]).predict(more[120:])
    assert found == again


def test_larger_than_everything_measured_is_said(specs):
    learned = DevicePredictor.fit(specs, [float(flops(spec)) for spec in specs])
    deep = ArchitectureSpec((specs[0].layers[0],) * 20)
    assert [one.beyond for one in learned.predict([deep, specs[0]])] == [True, False]
    assert learned.predict([]) == []


@pytest.mark.parametrize("values", [[1.0] * (FEWEST - 1), [0.0, *[1.0] * FEWEST], [float("nan"), *[1.0] * FEWEST]])
def test_measurements_that_cannot_be_learned_from_are_refused(specs, values):
    with pytest.raises(InputError, match="measurements"):
        DevicePredictor.fit(specs[: len(values)], values)


def test_equal_values_are_predicted_as_they_are(specs):
    learned = DevicePredictor.fit(specs, [2.0] * len(specs))
    assert learned.predict(specs[:1])[0].value == pytest.approx(2.0, rel=0.02)


def test_real_latencies_of_held_out_architectures_are_ranked(shared_data):
    found = find_edgetran(shared_data / "architectures" / "edgetran" / "codesign_dataset.json")
    rows = {
        row.architecture: one.value
        for _, row in found.valid
        for one in row.measurements
        if (one.device, one.quantity) == ("gpu_m1-pro", "latency")
    }
    features, logs = amounts(list(rows)), np.log(list(rows.values()))
    ways = candidates(0)
    ranked = {n: spearmanr(held_out(ways[n], features, logs, np.random.default_rng(0)), logs).statistic for n in ways}
    assert ranked["additive"] > max(0.92, ranked["flops"])
