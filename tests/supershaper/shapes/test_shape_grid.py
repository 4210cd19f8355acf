"""Sizes of shapes are those of the formula for architectures, and those that the paper's models have."""

import numpy as np
import pytest

from explorer.errors import SpecError
from explorer.measure.amounts import amounts
from explorer.measure.size import parameters
from explorer.supershaper.shapes.grid import ShapeGrid

PAPER = [480, 240, 360, 240, 540, 480, 360, 360, 360, 360, 540, 480]


def test_the_papers_counts():
    shapes = np.array([[768] * 12, [120] * 12, [360] * 12, PAPER])
    assert ShapeGrid().count == 13_841_287_201
    assert ShapeGrid().parameters(shapes) / 1e6 == pytest.approx([115.40, 32.60, 57.49, 62.82], abs=0.005)
    assert ShapeGrid(merged=False).parameters(shapes) / 1e6 == pytest.approx([121.89, 34.48, 62.15, 67.77], abs=0.005)


@pytest.mark.parametrize("merged", [True, False])
def test_tables_say_what_architectures_have(merged):
    grid = ShapeGrid(vocabulary=1000, merged=merged)
    shapes = grid.random(20, np.random.default_rng(0))
    specs = [grid.spec(shape) for shape in shapes]
    assert grid.parameters(shapes).tolist() == [parameters(spec, vocab_size=1000, merged=merged) for spec in specs]
    assert grid.table(amounts)(grid.places(shapes)) == pytest.approx(amounts(specs), rel=1e-12)


def test_a_grid_of_one_layer(small):
    from explorer.space.backbones import Backbone

    grid = ShapeGrid((12, 24), Backbone(24, 12, 48, 1), vocabulary=10)
    shapes = np.array([[12], [24]])
    assert grid.parameters(shapes).tolist() == [grid.size(grid.spec(shape)) for shape in shapes]


@pytest.mark.parametrize(("shapes", "field"), [([[12, 24]], "shapes"), ([[12, 24, 36, 48]], "width"), ([12], "shapes")])
def test_other_shapes_are_refused(small, shapes, field):
    with pytest.raises(SpecError) as caught:
        small.check(shapes)
    assert caught.value.field == field


@pytest.mark.parametrize("widths", [(), (24, 12), (12, 12), (13,), (1200,)])
def test_widths_that_do_not_fit_are_refused(widths):
    with pytest.raises(SpecError):
        ShapeGrid(widths)
