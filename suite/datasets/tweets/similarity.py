"""Neighborhood similarity of users by the binary matrix of who engaged with whose tweets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from suite.datasets.tweets.rows import Floats, Ints, ratio

_compiled: Callable[..., Any] = numba.njit(nogil=True)


def interactions(reader: Ints, creator: Ints, num_users: int) -> csr_array:
    """Build R, (U, U): 1 where the reader of the row engaged with a tweet of the column's user."""
    reader, creator = np.divmod(np.unique(reader * num_users + creator), num_users)
    ones = np.ones(len(reader), dtype=np.float32)
    return csr_array((ones, (reader, creator)), shape=(num_users, num_users))


def row_similarity(matrix: csr_array, one: Ints, other: Ints) -> Floats:
    """Compare pairs of rows of a binary matrix.

    Parameters
    ----------
    matrix : (U, n)
        Sparse; give its transpose to compare columns.
    one, other : (p,)
        Rows of each pair.

    Returns
    -------
    (3, p)
        Common entries, their cosine and their Jaccard index; the last two are NaN where a row is
        empty.
    """
    matrix.sort_indices()
    common = np.zeros(len(one), dtype=np.int64)
    _intersect(matrix.indptr, matrix.indices, one, other, common)
    size = np.diff(matrix.indptr)
    a, b = size[one].astype(np.int64), size[other].astype(np.int64)
    both = (a > 0) & (b > 0)
    return np.stack(
        [
            common.astype(np.float32),
            ratio(common, np.sqrt(a * b)),
            ratio(common, np.where(both, a + b - common, 0)),
        ]
    )


@_compiled
def _intersect(
    indptr: Any, indices: Any, one: Any, other: Any, common: Any
) -> None:  # pragma: no cover - compiled
    """Count common entries: each of the shorter row is searched for in the longer one."""
    for pair in range(len(one)):
        short, long = one[pair], other[pair]
        if indptr[short + 1] - indptr[short] > indptr[long + 1] - indptr[long]:
            short, long = long, short
        low, end = indptr[long], indptr[long + 1]
        for place in range(indptr[short], indptr[short + 1]):
            wanted = indices[place]
            high = end
            while low < high:
                middle = (low + high) // 2
                if indices[middle] < wanted:
                    low = middle + 1
                else:
                    high = middle
            if low == end:
                break
            if indices[low] == wanted:
                common[pair] += 1


def pairs(one: Ints, other: Ints, num_users: int) -> tuple[Ints, Ints, NDArray[np.int64]]:
    """Find the different pairs, and which of them each entry is."""
    keys, which = np.unique(one * num_users + other, return_inverse=True)
    first, second = np.divmod(keys, num_users)
    return first, second, which
