"""All pairs in blocks against plain dense products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from explorer.similarity.blocks import RowProducts, dissimilarity_blocks
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.testing.kernels import architectures


def naive(rows):
    dense = rows.toarray().astype(np.float64)
    products = dense @ dense.T
    norms = np.sqrt(np.diag(products))
    return np.clip(1 - products / np.outer(norms, norms), 0, 1)


def joined(features, block_rows):
    blocks = list(dissimilarity_blocks(features, block_rows))
    assert [start for start, _ in blocks] == list(range(0, features.shape[0], block_rows))
    return np.concatenate([block for _, block in blocks])


def repeated_columns(seed, rows, largest):
    """Few different columns, each many times and in multiples, so that merging has something to do."""
    rng = np.random.default_rng(seed)
    base = rng.integers(1, largest, (rows, 12)) * (rng.random((rows, 12)) < rng.random(12))
    base[:, 0] = 1
    return sparse.csr_matrix(base[:, rng.integers(0, 12, 60)] * rng.integers(1, 4, 60))


@pytest.mark.parametrize("block_rows", [1, 7, 16, 100])
def test_blocks_are_one_minus_the_gram(block_rows):
    kernel, batch = WeisfeilerLehman(), architectures(50, 1)
    expected = 1 - kernel.fit_transform(batch)
    for features in (kernel.counts(batch), kernel.features(batch)):
        found = joined(features, block_rows)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
        assert found.min() == 0
        assert not np.diag(found).any()


@pytest.mark.parametrize("seed", range(20))
def test_columns_that_are_multiples_count_as_often_as_they_occur(seed):
    rows = repeated_columns(seed, 17, 6)
    np.testing.assert_allclose(joined(rows, 5), naive(rows), rtol=0, atol=1e-14)
    scaled = sparse.csr_matrix(rows.multiply(np.linspace(0.1, 1.3, 17)[:, None]))
    np.testing.assert_allclose(joined(scaled, 5), naive(rows), rtol=0, atol=1e-14)


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


def test_rows_of_zeros_are_like_nothing():
    rows = sparse.csr_matrix(np.array([[1, 2], [0, 0], [2, 4]]))
    np.testing.assert_allclose(joined(rows, 2), [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=1e-15)


def test_one_row_and_none():
    assert joined(sparse.csr_matrix(np.array([[3, 1]])), 8).tolist() == [[0.0]]
    assert list(dissimilarity_blocks(sparse.csr_matrix((0, 0), dtype=np.int64))) == []


@pytest.mark.parametrize(("count", "k"), [(1, 3), (2, 1), (30, 5), (30, 29), (30, 100), (400, 7)])
def test_nearest_are_those_of_a_full_sort(count, k):
    counts = WeisfeilerLehman(2).counts(architectures(count, count, "nano"))
    products = RowProducts(counts)
    parts = [products.nearest(start, min(start + 64, count), k) for start in range(0, count, 64)]
    indices, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    distances = np.round(naive(counts), 12)
    keep = min(k, count - 1)
    assert indices.shape == values.shape == (count, keep)
    for row in range(count):
        others = [column for column in np.lexsort((np.arange(count), distances[row])) if column != row][:keep]
        assert indices[row].tolist() == others
        np.testing.assert_allclose(values[row], distances[row, others], rtol=0, atol=2e-12)


@pytest.mark.parametrize("scale", [1, 7.3])
def test_nearest_of_rows_with_nothing_in_common(scale):
    rows = sparse.csr_matrix(np.diag(np.arange(40) % 2) * scale)
    indices, values = RowProducts(rows).nearest(0, 40, 3)
    assert indices[0].tolist() == [1, 2, 3]
    assert indices[5].tolist() == [0, 1, 2]
    assert (values == 1).all()
