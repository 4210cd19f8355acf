"""Predictors on a known law and on the paper's measurements; importance names the layers that matter."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from explorer.errors import InputError
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.supershaper.shapes.importance import layer_importance, width_effects
from explorer.supershaper.shapes.predictors import PREDICTORS, LatencyPredictor, ProcessPredictor, TreesPredictor
from explorer.supershaper.shapes.tables import read_shapes
from tests.supershaper.shapes.conftest import WEIGHTS, law

NOISE = 0.02


def split(every):
    rng = np.random.default_rng(0)
    order = rng.permutation(len(every))
    noisy = law(every) * np.exp(NOISE * rng.standard_normal(len(every)))
    return every[order[:160]], noisy[order[:160]], every[order[160:]], noisy[order[160:]]


def test_both_predictors_have_names():
    assert [make(0).name for make in PREDICTORS.values()] == list(PREDICTORS) == ["gp", "trees"]


@pytest.mark.parametrize("make", [ProcessPredictor, lambda: TreesPredictor(0, trees=300)])
def test_a_known_law_is_learned(every, make):
    shapes, values, others, true = split(every)
    predictor = make().fit(shapes, values)
    told = predictor.predict(others)
    assert spearmanr(told.value, law(others)).statistic > 0.98
    assert np.log(told.value / law(others)).std() < 2 * NOISE
    # 96 held-out shapes: 95 % of them, within three deviations of a binomial count.
    assert 0.88 <= np.mean((told.low <= true) & (true <= told.high)) <= 1.0
    assert (told.low < told.value).all()
    assert (told.value < told.high).all()
    assert predictor.expected(others) == pytest.approx(told.value)


@pytest.mark.parametrize("make", [ProcessPredictor, lambda: TreesPredictor(0, trees=300)])
def test_the_layers_that_matter(small, every, make):
    shapes, values, others, true = split(every)
    predictor = make().fit(shapes, values)
    found = layer_importance(predictor, others, true, np.random.default_rng(0), repeats=5)
    assert (np.argsort(found.importance) == np.argsort(WEIGHTS)).all()
    assert (found.low <= found.importance).all()
    effects = width_effects(small, predictor, others)
    assert effects.shape == (4, 4)
    assert np.ptp(effects, axis=1).argmax() == 3


def test_length_scales_and_noise_of_the_process(every):
    shapes, values, *_ = split(every)
    process = ProcessPredictor().fit(shapes, values)
    assert (np.argsort(-process.length_scales) == np.argsort(WEIGHTS)).all()
    assert process.noise == pytest.approx(NOISE, rel=0.3)


def test_nothing_to_predict(every):
    shapes, values, *_ = split(every)
    assert ProcessPredictor().fit(shapes, values).predict(every[:0]).value.shape == (0,)


@pytest.mark.parametrize("values", [np.ones(3), np.zeros(160), np.full(160, np.nan), np.ones(159)])
def test_perplexities_are_checked(every, values):
    with pytest.raises(InputError, match="perplexities"):
        ProcessPredictor().fit(every[: 3 if len(values) == 3 else 160], values)


def test_a_latency_that_is_made_of_amounts(small, every):
    seconds = 1e-3 + 1e-8 * small.parameters(every)
    predictor = LatencyPredictor(small).fit(every[::3], seconds[::3])
    told = predictor.predict(every)
    assert told.value == pytest.approx(seconds, rel=0.02)
    assert (told.low <= told.value).all()
    assert predictor.predict(every[:0]).value.shape == (0,)


@pytest.mark.slow
def test_the_papers_shapes(shared_data):
    """What is promised: trained on 500, tested on 200, rank correlation at least 0.985, and honest error bars."""
    table = read_shapes(shared_data / "architectures/supershaper/shapes_700.csv")
    shapes, perplexity = table.scored
    order = np.random.default_rng(7).permutation(700)
    inside, outside = order[:500], order[500:]
    told = ProcessPredictor().fit(shapes[inside], perplexity[inside]).predict(shapes[outside])
    true = perplexity[outside]
    assert spearmanr(told.value, true).statistic >= 0.985
    # A binomial count of 200 at 95 %, three deviations either side.
    assert 0.9 <= np.mean((told.low <= true) & (true <= told.high)) <= 0.995
    device = next(iter(table.latency))
    assert LatencyPredictor(ShapeGrid()).fit(*table.timed(device)).learned.rank_correlation > 0.99
