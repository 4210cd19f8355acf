"""The integer codes of design choices."""

import numpy as np

from explorer.search import encode_choices
from explorer.space.grammar import load_space


def test_choices_differ_exactly_where_architectures_do():
    space = load_space("nano")
    specs = [space.at(0), *space.sample(59, np.random.default_rng(4))]
    codes = encode_choices(specs)
    assert codes.shape == (60, 1 + 5 * 4)
    for i, j in np.random.default_rng(5).integers(0, 60, (100, 2)):
        assert (specs[i] == specs[j]) == bool((codes[i] == codes[j]).all())
    assert specs[0].depth == 2
    assert (codes[0, 11:] == -1).all()
    assert (codes[0, :11] >= 0).all()
