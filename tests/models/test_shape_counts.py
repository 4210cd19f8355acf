"""Shapes as models have exactly the parameters that the formula counts and the paper reports."""

from __future__ import annotations

import pytest
import torch

from explorer.measure.size import parameters
from explorer.models import FlexiBertModel, config_for
from explorer.space.backbones import Backbone, shape_spec

PAPER = (480, 240, 360, 240, 540, 480, 360, 360, 360, 360, 540, 480)


def counted(spec, **settings):
    with torch.device("meta"):
        model = FlexiBertModel(config_for(spec, **settings), add_pooling_layer=False)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("widths", "unmerged", "merged"),
    [((768,) * 12, 121.89, 115.40), ((120,) * 12, 34.48, 32.60), ((360,) * 12, 62.15, 57.49), (PAPER, 67.77, 62.82)],
)
def test_shapes_of_the_paper(widths, unmerged, merged):
    spec = shape_spec(widths)
    for together, millions in ((False, unmerged), (True, merged)):
        count = counted(spec, vocab_size=28_996, merged_bottlenecks=together)
        assert count == parameters(spec, 28_996, merged=together)
        assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize("positions", ["absolute", "relative_key"])
def test_a_small_backbone_with_either_kind_of_positions(positions):
    spec = Backbone(hidden=24, heads=3, feed_forward=40, layers=3).spec((6, 24, 12))
    for merged in (False, True):
        sizes = {"vocab_size": 99, "max_position_embeddings": 16, "position_embedding_type": positions}
        assert counted(spec, merged_bottlenecks=merged, **sizes) == parameters(
            spec, 99, 16, 2, positions, merged=merged
        )
