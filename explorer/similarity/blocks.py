"""Cosines of sparse non-negative rows, all pairs, in blocks of rows: exact, and in bounded memory.

What makes it fast, without changing a value:

* a column with one non-zero adds to nothing but that row's product with itself, and is left out;
* columns that are multiples of one another are one column with a weight, on one side of the product;
* the few columns that most rows have are multiplied as a dense matrix, the many others as sparse ones;
* counts are integers, so their products are exact in float32 as long as none reaches 2²⁴; the norms that turn them
  into cosines are applied afterwards, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

BLOCK_ROWS = 128
DENSE_SHARE = 0.1
"""A column that more than this share of the rows have is multiplied densely; the best of trials from 0.01 to 0.3."""
DECIMALS = 12
"""Neighbours are compared at 12 decimals: below that lies rounding, and equal dissimilarities must tie."""
_EXACT_FLOAT32 = 2.0**24


def squared_norms(rows: sparse.csr_matrix) -> NDArray[np.float64]:
    """Squared length of each row ``[N]``."""
    return np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float64).ravel()


def unit_rows(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """The rows scaled to length 1; a row of zeros stays."""
    norms = np.sqrt(squared_norms(rows))
    return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(norms, 1e-300)) @ rows)


class RowProducts:
    """Inner products of the rows of one sparse matrix, a block of rows at a time.

    Args:
        rows: ``[N, F]``, no negative entries; integers for exact products in half the memory.

    Attributes:
        squares: squared length of each row ``[N]``, float64.
        norms: length of each row ``[N]``, 1 for a row of zeros.
    """

    def __init__(self, rows: sparse.csr_matrix) -> None:
        self.squares = squared_norms(rows)
        self.norms = np.sqrt(np.where(self.squares > 0, self.squares, 1.0))
        exact = np.issubdtype(rows.dtype, np.integer) and self.squares.max(initial=0.0) < _EXACT_FLOAT32
        kind = np.float32 if exact else np.float64
        columns, weights = _merged(rows.tocsc())
        common = columns.getnnz(axis=0) > DENSE_SHARE * rows.shape[0]
        self._dense = columns[:, common].toarray().astype(kind)
        self._weights = weights[common].astype(kind)
        rare = columns[:, ~common].astype(kind)
        self._rare = rare.tocsr()
        self._across = (sparse.diags_array(weights[~common].astype(kind)) @ rare.T).tocsr()

    def block(self, start: int, stop: int) -> NDArray[np.floating]:
        """Products ``[stop − start, N]`` of the rows from ``start`` on with all rows.

        The product of a row with itself lacks its columns of one non-zero; ``squares`` has it in full.
        """
        product: NDArray[np.floating] = (self._dense[start:stop] * self._weights) @ self._dense.T
        product += (self._rare[start:stop] @ self._across).toarray()
        return product

    def nearest(self, start: int, stop: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k nearest of each of some rows by one minus the cosine, itself left out, ties by index.

        Blocks of different rows may be asked for in several threads at once.

        Args:
            start: first of the R rows.
            stop: one past the last of them.
            k: how many.

        Returns:
            (indices ``[R, min(k, N − 1)]``, their dissimilarities, at ``DECIMALS`` decimals).
        """
        product = self.block(start, stop)
        rows, count = product.shape
        keep = min(k, count - 1)
        if keep < 1:
            return np.empty((rows, 0), dtype=np.int64), np.empty((rows, 0))
        # Within a row the order is that of product / norm of the other: fast, but rounded.
        rough = product * (1.0 / self.norms).astype(product.dtype)
        rough[np.arange(rows), np.arange(start, stop)] = -1.0
        row, column = np.divmod(np.flatnonzero(rough >= _limits(rough, keep)[:, None]), count)
        value = 1.0 - product[row, column].astype(np.float64) / (self.norms[start:stop][row] * self.norms[column])
        value = np.round(np.clip(value, 0.0, 1.0), DECIMALS)
        allowed = column != row + start
        row, column, value = row[allowed], column[allowed], value[allowed]
        order = np.lexsort((column, value, row))
        first = np.searchsorted(row[order], np.arange(rows))
        best = order[first[:, None] + np.arange(keep)]
        return column[best], value[best]


def _limits(rough: NDArray[np.floating], keep: int) -> NDArray[np.floating]:
    """A value per row ``[R]`` that no fewer than ``keep`` entries reach, and no entry of the true best falls below."""
    rows, count = rough.shape
    groups = min(count, 8 * keep)
    parts = rough[:, : count - count % groups].reshape(rows, -1, groups).max(axis=1)
    # Each group's best is an entry: at least ``keep`` entries reach the keep-th best of them.
    limits = np.partition(parts, groups - keep, axis=1)[:, groups - keep]
    return limits * (1 - 1e-6) - 1e-30


def dissimilarity_blocks(
    features: sparse.csr_matrix, block_rows: int = BLOCK_ROWS
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """One minus the cosine of all pairs, in blocks of rows, so that memory stays bounded.

    Args:
        features: ``[N, F]``, no negative entries, of any length; counts (integers) are fastest.
        block_rows: rows per block.

    Yields:
        (first row, dissimilarities ``[rows, N]`` in [0, 1]).
    """
    products = RowProducts(features)
    scale = 1.0 / products.norms
    for start in range(0, features.shape[0], block_rows):
        stop = min(start + block_rows, features.shape[0])
        block = products.block(start, stop) * -scale[start:stop, None]
        block *= scale
        block += 1.0
        np.clip(block, 0.0, 1.0, out=block)
        here = np.arange(stop - start)
        block[here, start + here] = 0.0
        yield start, block


def _merged(columns: sparse.csc_matrix) -> tuple[sparse.csc_matrix, NDArray[np.float64]]:
    """One of each set of columns that are multiples of one another ``[N, G]``, and its weight ``[G]``."""
    columns = columns[:, np.flatnonzero(np.diff(columns.indptr) > 1)]
    columns.sort_indices()
    starts, sizes = columns.indptr[:-1], np.diff(columns.indptr)
    integers = np.issubdtype(columns.dtype, np.integer)
    # Of rounded multiples some may stay apart, which costs time and no accuracy.
    factors = (np.gcd.reduceat(columns.data, starts) if integers else columns.data[starts]) if len(starts) else sizes
    data = columns.data / np.repeat(factors, sizes)
    groups: dict[tuple[bytes, bytes], int] = {}
    kept: list[int] = []
    group = np.empty(len(sizes), dtype=np.int64)
    for column, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        part = slice(start, start + size)
        group[column] = groups.setdefault((columns.indices[part].tobytes(), data[part].tobytes()), len(kept))
        if group[column] == len(kept):
            kept.append(column)
    weights = np.zeros(len(kept))
    np.add.at(weights, group, np.square(factors, dtype=np.float64))
    return sparse.csc_matrix((data, columns.indices, columns.indptr), shape=columns.shape)[:, kept], weights
