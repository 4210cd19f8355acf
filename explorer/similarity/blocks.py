"""Inner products of sparse non-negative rows, all pairs, in blocks of rows, and the nearest in each row.

The products are exact and memory stays bounded. What makes them fast, without changing a value:

* a column with one non-zero adds to nothing but that row's product with itself, and is left out;
* columns that are multiples of one another are one column with a weight, on one side of the product;
* the few columns that most rows have are multiplied as a dense matrix, the many others as sparse ones;
* counts are integers, so their products are exact in float32 as long as none reaches 2²⁴.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

BLOCK_ROWS = 128
DENSE_SHARE = 0.1
"""A column that more than this share of the rows have is multiplied densely; fastest among shares from 0.01 to 0.3."""
DECIMALS = 12
"""Dissimilarities are compared at 12 decimals: below that lies rounding, and equal graphs must tie."""
_EXACT_FLOAT32 = 2.0**24


def squared_norms(rows: sparse.csr_matrix) -> NDArray[np.float64]:
    """Return the squared length of each row ``[N]``."""
    return np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float64).ravel()


class RowProducts:
    """Inner products of the rows of one sparse matrix, a block of rows at a time.

    Args:
        rows: ``[N, F]``, no negative entries; integers for exact products in half the memory.

    Attributes:
        squares: squared length of each row ``[N]``, float64.
    """

    def __init__(self, rows: sparse.csr_matrix) -> None:
        self.squares = squared_norms(rows)
        exact = np.issubdtype(rows.dtype, np.integer) and self.squares.max(initial=0.0) < _EXACT_FLOAT32
        kind = np.float32 if exact else np.float64
        columns = rows.tocsc()
        # A view that sees no difference has the factor 0, and _merged divides by the entries.
        columns.eliminate_zeros()
        columns, weights = _merged(columns)
        common = columns.getnnz(axis=0) > DENSE_SHARE * rows.shape[0]
        self._dense = columns[:, common].toarray().astype(kind)
        self._weights = weights[common].astype(kind)
        rare = columns[:, ~common].astype(kind)
        self._rare = rare.tocsr()
        self._across = (sparse.diags_array(weights[~common].astype(kind)) @ rare.T).tocsr()

    def block(self, start: int, stop: int) -> NDArray[np.floating]:
        """Return products ``[stop − start, N]`` of the rows from ``start`` on with all rows.

        The product of a row with itself lacks the columns with one non-zero; ``squares`` has it in full.
        """
        product: NDArray[np.floating] = (self._dense[start:stop] * self._weights) @ self._dense.T
        product += (self._rare[start:stop] @ self._across).toarray()
        return product


def nearest_in_rows(
    block: NDArray[np.float64], k: int, exclude: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k nearest of each row, ordered by dissimilarity at ``DECIMALS`` decimals, ties by index.

    Args:
        block: dissimilarities ``[R, N]``.
        k: how many.
        exclude: column to leave out of each row ``[R]``, usually the row itself; -1 for none.

    Returns:
        (indices ``[R, K]``, their rounded dissimilarities), K the smaller of k and the number of columns left.
    """
    rows, count = block.shape
    least = count if exclude is None else count - int((exclude >= 0).any())
    keep = min(k, least)
    if rows == 0 or keep < 1:
        return np.empty((rows, max(keep, 0)), dtype=np.int64), np.empty((rows, max(keep, 0)))
    limits = _limits(block, min(keep + 1, count)) + 10.0**-DECIMALS
    row, column = np.nonzero(block <= limits[:, None])
    if exclude is not None:
        allowed = column != exclude[row]
        row, column = row[allowed], column[allowed]
    value = np.round(block[row, column], DECIMALS)
    order = np.lexsort((column, value, row))
    first = np.searchsorted(row[order], np.arange(rows))
    best = order[first[:, None] + np.arange(keep)]
    return column[best], value[best]


def _limits(block: NDArray[np.float64], keep: int) -> NDArray[np.float64]:
    """Return a value for each row ``[R]`` that at least ``keep`` of its entries do not exceed."""
    rows, count = block.shape
    groups = min(count, 8 * keep)
    # The smallest of each group is an entry: at least ``keep`` entries do not exceed the keep-th smallest of them.
    parts = block[:, : count - count % groups].reshape(rows, -1, groups).min(axis=1)
    return np.asarray(np.partition(parts, keep - 1, axis=1)[:, keep - 1])


def _merged(columns: sparse.csc_matrix) -> tuple[sparse.csc_matrix, NDArray[np.float64]]:
    """Return one of each set of proportional columns ``[N, G]``, and its weight ``[G]``."""
    columns = columns[:, np.flatnonzero(np.diff(columns.indptr) > 1)]
    columns.sort_indices()
    starts, sizes = columns.indptr[:-1], np.diff(columns.indptr)
    integers = np.issubdtype(columns.dtype, np.integer)
    # Rounding may leave proportional columns unmerged; that costs time, not accuracy.
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
