"""Kernels by name."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.registry import KERNELS, make_kernel
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.testing.kernels import architectures


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_made_by_its_name(name):
    kernel = make_kernel(name)
    assert kernel.name == name
    assert kernel.fit_transform(architectures(1, 0)).tolist() == [[1.0]]


def test_options_reach_the_kernel():
    batch = architectures(5, 1)
    made = make_kernel("weisfeiler_lehman", iterations=1).fit_transform(batch)
    np.testing.assert_array_equal(made, WeisfeilerLehman(1).fit_transform(batch))


def test_unknown_names_and_options_are_refused():
    with pytest.raises(InputError, match="kernel must be one of"):
        make_kernel("nope")
    with pytest.raises(InputError, match="kernel options"):
        make_kernel("random_walk", iterations=3)
