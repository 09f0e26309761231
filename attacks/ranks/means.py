"""Mean of every user's vectors, where an attacker's parameters start, or of its figures.

Shape letters: m gallery events, g gallery users, d dimensions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 65_536
"""Vectors averaged at a time; all of a user's are together."""


def user_means(
    vectors: NDArray[np.floating[Any]], user_row: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average the vectors of each user in float64.

    Float64 vectors are averaged relative to the user's first: what all share, however large, costs
    the mean no digits. The sum of float32 ones has 29 bits to spare for that.

    Parameters
    ----------
    vectors : (m, d) or (m,)
        Vectors of gallery events, or a figure of each event.
    user_row : (m,)
        Row of the user behind each; every row in 0..g-1 occurs.

    Returns
    -------
    (g, d) or (g,)

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite or a user has no vector.
    """
    counts = _counts(vectors, user_row)
    if vectors.ndim == 1:
        return np.bincount(user_row, vectors) / counts
    if (user_row[1:] < user_row[:-1]).any():  # else a copy of all vectors is spared
        vectors = vectors[np.argsort(user_row, kind="stable")]
    first = np.cumsum(counts) - counts
    means = np.empty((len(counts), vectors.shape[1]))
    edges = [0, *(np.flatnonzero(np.diff(first // PIECE)) + 1), len(counts)]
    # In pieces: NumPy makes a float64 copy of all that it adds up at once.
    for low, high in pairwise(edges):
        rows = slice(first[low], first[high - 1] + counts[high - 1])
        starts = first[low:high] - first[low]
        piece, own = vectors[rows], np.float64(0)
        if piece.dtype == np.float64:
            own = piece[starts]
            piece = piece - np.repeat(own, counts[low:high], axis=0)
        total = np.add.reduceat(piece, starts, axis=0, dtype=np.float64)
        means[low:high] = own + total / counts[low:high, None]
    return means


def _counts(vectors: NDArray[np.floating[Any]], user_row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count each user's vectors; refuse what has no mean."""
    if vectors.ndim not in (1, 2) or user_row.shape != (len(vectors),) or vectors.size == 0:
        raise ValueError(
            f"vectors and user_row must be (m, d) or (m,) and (m,), not empty, "
            f"got {vectors.shape} and {user_row.shape}"
        )
    is_finite = np.isfinite(vectors)
    bad = np.flatnonzero(~(is_finite.all(axis=1) if vectors.ndim == 2 else is_finite))
    if bad.size:
        raise ValueError(f"vectors must be finite, got NaN or infinity in row {bad[0]}")
    if user_row.min() < 0:
        raise ValueError(f"user_row must be at least 0, got {user_row.min()}")
    counts = np.bincount(user_row)
    absent = np.flatnonzero(counts == 0)
    if absent.size:
        raise ValueError(f"every gallery user needs a vector, got none of user row {absent[0]}")
    return counts
