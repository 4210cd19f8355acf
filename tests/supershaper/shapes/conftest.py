"""A small grid whose shapes can all be listed, and laws of perplexity and latency that are known exactly."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from explorer.space.backbones import Backbone
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes

WEIGHTS = np.array([1.0, 0.3, 0.5, 2.0])


@pytest.fixture
def small() -> ShapeGrid:
    """Four layers of four widths: 256 shapes."""
    return ShapeGrid((12, 24, 36, 60), Backbone(60, 12, 120, 4), vocabulary=100)


@pytest.fixture
def every(small: ShapeGrid) -> Shapes:
    return np.array(list(product(small.widths, repeat=small.layers)))


def law(shapes: Shapes) -> Array:
    """A perplexity that falls with every width, the last layer's most."""
    return np.exp(1.0 + (WEIGHTS / np.sqrt(shapes / 12.0)).sum(1) / 4.0)
