"""The search finds what listing all shapes finds, within any limits, the same each time."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.supershaper.shapes.evolution import EvolutionSettings, Limit, search_shapes
from tests.supershaper.shapes.conftest import law


@pytest.mark.parametrize("share", [0.02, 0.2, 0.6, 1.0])
def test_the_best_of_all_within_a_limit(small, every, share):
    sizes = small.parameters(every)
    most = float(np.quantile(sizes, share))
    found = search_shapes(small, law, [Limit("parameters", small.parameters, most)], seed=1)
    fitting = every[sizes <= most]
    best = np.sort(law(fitting))[: len(found.values)]
    assert found.values[0] == pytest.approx(best[0])
    assert law(found.shapes) == pytest.approx(found.values)
    assert (small.parameters(found.shapes) <= most).all()
    assert (np.diff(found.values) >= 0).all()
    assert len(np.unique(found.shapes, axis=0)) == len(found.shapes)
    assert found.history[-1] == found.values[0]
    assert list(found.history) == sorted(found.history, reverse=True)


def test_two_limits_that_leave_few_shapes(small, every):
    worst, most = float(np.quantile(law(every), 0.3)), float(np.quantile(small.parameters(every), 0.45))
    limits = [Limit("perplexity", law, worst), Limit("parameters", small.parameters, most)]
    fitting = every[(law(every) <= worst) & (small.parameters(every) <= most)]
    assert 0 < len(fitting) < 40
    found = search_shapes(small, lambda shapes: shapes[:, 0].astype(float), limits, seed=0)
    assert found.values[0] == fitting[:, 0].min()


def test_the_best_of_billions_where_it_is_known():
    """Layers that matter by themselves, under a limit of the total width: the best is known without listing."""
    from explorer.supershaper.shapes.grid import ShapeGrid

    grid = ShapeGrid()
    weights = 2.0 ** np.arange(12)

    def missing(shapes):
        return ((768 - shapes) * weights).sum(1).astype(float)

    total = 4 * 768 + 8 * 120
    found = search_shapes(grid, missing, [Limit("width", lambda s: s.sum(1).astype(float), total)], seed=0)
    assert found.shapes[0].tolist() == [120] * 8 + [768] * 4
    assert found.evaluated < 10_000


def test_the_same_seed_finds_the_same(small):
    limit = [Limit("parameters", small.parameters, 70_000)]
    settings = EvolutionSettings(generations=3, population=10)
    first, second = (search_shapes(small, law, limit, 5, settings) for _ in range(2))
    assert (first.shapes == second.shapes).all()
    assert first.evaluated == second.evaluated


def test_limits_that_no_shape_keeps(small, every):
    least = int(small.parameters(every).min())
    with pytest.raises(InputError, match=f"{least:,.6g}".replace("+", r"\+")):
        search_shapes(small, law, [Limit("parameters", small.parameters, least - 1)])


@pytest.mark.parametrize("at_most", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_is_a_number_above_0(at_most):
    with pytest.raises(InputError, match="limit of parameters"):
        Limit("parameters", law, at_most)


@pytest.mark.parametrize("wrong", [{"generations": 0}, {"mutation": 1.5}, {"parents": 0}])
def test_settings_are_checked(wrong):
    with pytest.raises(InputError):
        EvolutionSettings(**wrong)
