"""Products of all pairs in blocks, and the nearest in rows, against plain dense products and sorts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from explorer.similarity.blocks import RowProducts, nearest_in_rows
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.testing.kernels import architectures


def joined(rows, block_rows):
    """All products, with the squared lengths where a row meets itself."""
    products = RowProducts(rows)
    count = rows.shape[0]
    starts = range(0, count, block_rows)
    found = np.concatenate([products.block(start, min(start + block_rows, count)) for start in starts])
    np.fill_diagonal(found, products.squares)
    return found


def naive(rows):
    dense = rows.toarray().astype(np.float64)
    return dense @ dense.T


def repeated_columns(seed, rows, largest):
    """Few different columns, each many times and in multiples, so that merging has something to do."""
    rng = np.random.default_rng(seed)
    base = rng.integers(1, largest, (rows, 12)) * (rng.random((rows, 12)) < rng.random(12))
    base[:, 0] = 1
    return sparse.csr_matrix(base[:, rng.integers(0, 12, 60)] * rng.integers(1, 4, 60))


@pytest.mark.parametrize("block_rows", [1, 7, 16, 100])
def test_blocks_of_a_kernel_are_its_dissimilarities(block_rows):
    batch = architectures(50, 1)
    kernel = WeisfeilerLehman().fit(batch)
    blocks = list(kernel.blocks(block_rows))
    assert [start for start, _ in blocks] == list(range(0, 50, block_rows))
    found = np.concatenate([block for _, block in blocks])
    np.testing.assert_allclose(found, kernel.dissimilarities(batch), rtol=0, atol=2e-12)
    assert found.min() == 0
    assert not np.diag(found).any()


@pytest.mark.parametrize("seed", range(20))
def test_columns_that_are_multiples_count_as_often_as_they_occur(seed):
    rows = repeated_columns(seed, 17, 6)
    np.testing.assert_allclose(joined(rows, 5), naive(rows), rtol=1e-14)
    scaled = sparse.csr_matrix(rows.multiply(np.linspace(0.1, 1.3, 17)[:, None]))
    np.testing.assert_allclose(joined(scaled, 5), naive(scaled), rtol=1e-13)


@given(arrays(np.int64, st.tuples(st.integers(1, 8), st.integers(1, 10)), elements=st.integers(0, 40)))
@settings(max_examples=150, deadline=None)
def test_products_of_counts_are_exact(dense):
    rows = sparse.csr_matrix(dense)
    found = RowProducts(rows)
    expected = dense @ dense.T
    block = found.block(0, len(dense)).astype(np.int64)
    np.fill_diagonal(block, found.squares)
    np.testing.assert_array_equal(block, expected)


def test_counts_too_large_for_single_precision_stay_exact():
    rows = repeated_columns(3, 11, 900_000)
    dense = rows.toarray()
    block = RowProducts(rows).block(0, 11)
    np.fill_diagonal(block, 0)
    expected = dense @ dense.T
    np.fill_diagonal(expected, 0)
    assert expected.max() > 2**24
    np.testing.assert_array_equal(block, expected)


def test_rows_of_zeros_have_no_products():
    rows = sparse.csr_matrix(np.array([[1, 2], [0, 0], [2, 4]]))
    np.testing.assert_array_equal(joined(rows, 2), [[5, 0, 10], [0, 0, 0], [10, 0, 20]])


@pytest.mark.parametrize(("count", "k"), [(1, 3), (2, 1), (30, 5), (30, 29), (30, 100), (400, 7)])
@pytest.mark.parametrize("levels", [2, 6, 10**6])
def test_nearest_are_those_of_a_full_sort(count, k, levels):
    block = np.random.default_rng(count).integers(0, levels, (count, count)) / levels
    block += np.random.default_rng(1).uniform(-1e-14, 1e-14, block.shape)
    own = np.arange(count)
    own[::3] = -1
    for exclude, keep in ((own, min(k, count - bool((own >= 0).any()))), (None, min(k, count))):
        indices, values = nearest_in_rows(block, k, exclude)
        assert indices.shape == values.shape == (count, keep)
        rounded = np.round(block, 12)
        for row in range(count):
            left_out = -1 if exclude is None else exclude[row]
            others = [column for column in np.lexsort((np.arange(count), rounded[row])) if column != left_out][:keep]
            assert indices[row].tolist() == others
            np.testing.assert_array_equal(values[row], rounded[row, others])
