"""The parameter formula against the built model, for random architectures of every preset."""

import numpy as np
import pytest
import torch
from transformers import initialization

from explorer.measure.size import parameters
from explorer.models import FlexiBertModel, config_for
from explorer.space.grammar import load_space, preset_names

COUNTS = {"nano": 300, "edgetran": 60, "full": 60, "supershaper": 60}
"""Architectures of each preset, 150 where nothing is stated; the models of these three are deep."""


@pytest.mark.parametrize("name", preset_names())
def test_parameters_are_those_of_the_built_model(name):
    """At the finest level, which holds all others; every depth alike often, as a uniform draw is nearly always deep."""
    rng = np.random.default_rng(0)
    space = load_space(name).at_level(1, True)
    depths = rng.permutation(np.resize(space.layers, COUNTS.get(name, 150)))
    for number, depth in enumerate(depths):
        (spec,) = space.with_depths(depth, depth).sample(1, rng)
        positions = ("relative_key", "absolute")[number % 2]
        pooler = number % 3 == 0
        vocabulary = int(rng.integers(2, 40_000))
        config = config_for(spec, vocab_size=vocabulary, position_embedding_type=positions)
        with torch.device("meta"), initialization.no_init_weights():
            model = FlexiBertModel(config, add_pooling_layer=pooler)
        built = sum(parameter.numel() for parameter in model.parameters())
        assert parameters(spec, vocabulary, positions=positions, pooler=pooler) == built
