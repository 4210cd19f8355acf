"""Kernels by name."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.registry import DEFAULT, KERNELS, kernel_named
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.testing.kernels import architectures


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_made_by_its_name_and_by_its_stored_name(name):
    batch = architectures(3, 0)
    kernel = kernel_named(name).fit(batch)
    assert type(kernel_named(kernel.name)) is type(kernel)
    assert np.diag(kernel.dissimilarities(batch)) == pytest.approx(0.0)


def test_the_default_is_a_kernel():
    assert DEFAULT in KERNELS


def test_parameters_reach_the_kernel():
    batch = architectures(5, 1)
    made = kernel_named("wl", iterations=1).fit(batch).dissimilarities(batch)
    np.testing.assert_array_equal(made, WeisfeilerLehman(1).fit(batch).dissimilarities(batch))


def test_unknown_names_and_parameters_are_refused():
    with pytest.raises(InputError, match="kernel must be one of"):
        kernel_named("nope")
    with pytest.raises(InputError, match="kernel parameters"):
        kernel_named("random_walk", iterations=3)
