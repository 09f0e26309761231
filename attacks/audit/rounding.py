"""Float32 vectors from those that are audited, and which of them are then the same.

Shape letters: n vectors, d dimensions, m gallery vectors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attacks.ranks.means import user_means
from attacks.ranks.precision import equal_rows, num_merged, offset, to_float32

Rows = NDArray[np.int64]


class Rounded(NamedTuple):
    """Vectors as the attacks see them.

    Attributes
    ----------
    vector : (n, d) float32
        The input minus ``offset``.
    same : (n,)
        Number of the distinct vector that each is.
    offset : (d,)
        What was subtracted before rounding; mostly 0.
    num_merged
        Vectors that equal another one only since they are float32.
    """

    vector: NDArray[np.float32]
    same: Rows
    offset: NDArray[np.float64]
    num_merged: int


def rounded(vector: NDArray[Any], gallery: Rows, user_row: Rows) -> Rounded:
    """Round vectors to float32 by the rule of `attacks.ranks.precision.offset`.

    Parameters
    ----------
    vector : (n, d)
        Numbers of any type.
    gallery : (m,)
        Rows that the attacker holds.
    user_row : (m,)
        Gallery user of each.

    Raises
    ------
    ValueError
        If it is no matrix of numbers, or one is not finite as float32.
    """
    if vector.ndim != 2 or vector.shape[1] == 0 or vector.dtype.kind not in "fiub":
        raise ValueError(
            f"vector must be a matrix of numbers, got {vector.dtype} of shape {vector.shape}"
        )
    bad = infinite_rows(vector)
    if bad.size:
        raise ValueError(f"vector must be finite as float32, got NaN or infinity in row {bad[0]}")
    if np.can_cast(vector.dtype, np.float32):
        exact = np.ascontiguousarray(vector, np.float32)
        return Rounded(exact, equal_rows(exact), np.zeros(vector.shape[1]), 0)
    if vector.dtype.itemsize > 8:
        vector = vector.astype(np.float64)
    center = offset(user_means(vector[gallery], user_row))
    found = to_float32(vector, center)
    return Rounded(found, equal_rows(found), center, num_merged(vector, found))


def infinite_rows(vector: NDArray[Any]) -> Rows:
    """Find the rows with NaN, infinity or more than float32 holds, ``(n, d) -> (k,)``."""
    largest = np.finfo(np.float32).max
    fits = (vector.max(axis=1) <= largest) & (vector.min(axis=1) >= -largest)
    return np.flatnonzero(~fits)
