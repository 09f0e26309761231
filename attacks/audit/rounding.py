"""Float32 vectors from wider numbers, and which of them are then the same.

Shape letters: n vectors, d dimensions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SAMPLE_ROWS = 4096
"""Rows, evenly spaced, that the offsets are estimated from."""

LARGE_OFFSET = 2.0**12
"""Times the spread: a larger offset leaves what varies fewer than 12 of float32's 24 bits."""

CHUNK_ROWS = 8192
"""Rows converted to float64 at a time."""


class Rounded(NamedTuple):
    """Vectors as the attacks see them.

    Attributes
    ----------
    vector : (n, d) float32
        The input minus ``offset``.
    same : (n,)
        Number of the distinct vector that each is, in no particular order.
    offset : (d,)
        What was subtracted before rounding; mostly 0.
    num_merged
        Vectors that equal another one as float32, but not in the input.
    """

    vector: NDArray[np.float32]
    same: NDArray[np.int64]
    offset: NDArray[np.float64]
    num_merged: int


def rounded(vector: NDArray[Any], num_users: int) -> Rounded:
    """Round vectors to float32 without losing what varies beside a large offset.

    Numbers of 1e8 have a spacing of 8 in float32: where all vectors share such an offset, rounding
    alone would merge users. Where an offset exceeds ``LARGE_OFFSET`` times the spread of its
    dimension it is subtracted in float64; any other, and every number that float32 holds exactly,
    stays as it is, so that angles keep their origin. The data tell an offset no better than to
    some standard errors of the median; of the numbers within four the roundest is taken. Whoever
    added 1e8 finds exactly that subtracted, and the figures that there are without it.

    Parameters
    ----------
    vector : (n, d)
        Numbers of any type.
    num_users
        How many the vectors are of.

    Raises
    ------
    ValueError
        If it is no matrix of numbers, or one is not finite as float32.
    """
    if vector.ndim != 2 or vector.shape[1] == 0 or vector.dtype.kind not in "fiub":
        raise ValueError(
            f"vector must be a matrix of numbers, got {vector.dtype} of shape {vector.shape}"
        )
    is_exact = np.can_cast(vector.dtype, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        offset = (
            np.zeros(vector.shape[1]) if is_exact or not len(vector) else _offset(vector, num_users)
        )
        if offset.any():
            vectors = np.empty(vector.shape, np.float32)
            for start in range(0, len(vector), CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                vectors[rows] = vector[rows].astype(np.float64) - offset
        else:
            vectors = np.ascontiguousarray(vector, np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise ValueError(f"vector must be finite as float32, got NaN or infinity in row {bad[0]}")
    same = equal_rows(vectors)
    return Rounded(vectors, same, offset, 0 if is_exact else _num_merged(vector, same))


def equal_rows(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Give equal rows of a matrix one number and others another, ``(n, d) -> (n,)``."""
    # 0.0 turns -0.0 into 0.0, which is the same number in other bytes.
    bits = np.ascontiguousarray(vectors + np.float32(0.0)).view(np.uint32)
    odd = np.random.default_rng(0).integers(2**63, size=bits.shape[1], dtype=np.uint64) * 2 + 1
    # Equal rows have equal keys. Only rows that share one are compared as a whole: sorting rows
    # byte by byte took ten times as long.
    key = bits @ odd
    _, first, number, count = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    shared = np.flatnonzero(count[number] > 1)
    whole = bits[shared].view(f"V{bits.strides[0]}").ravel()
    number[shared] = len(first) + np.unique(whole, return_inverse=True)[1]
    return number.astype(np.int64)


def _offset(vector: NDArray[Any], num_users: int) -> NDArray[np.float64]:
    """Large offset of each dimension, ``(n, d) -> (d,)``; 0 where it is not large."""
    sample = vector[:: -(-len(vector) // SAMPLE_ROWS)]
    center, spread = np.zeros(vector.shape[1]), np.zeros(vector.shape[1])
    for dimension in range(vector.shape[1]):
        values = sample[:, dimension].astype(np.float64)
        if not np.isfinite(values).all():
            return np.zeros(vector.shape[1])
        center[dimension] = np.median(values)
        away = np.abs(values - center[dimension])
        if away.any():
            spread[dimension] = np.median(away[away > 0])
    if not spread.any():
        return spread
    # A constant dimension has no spread of its own.
    spread[spread == 0] = np.median(spread[spread > 0])
    # Four standard errors of a normal sample's median, with 1.4826 x spread for its deviation.
    width = 4 * 1.2533 * 1.4826 * spread / np.sqrt(min(num_users, len(sample)))
    large = np.abs(center) > LARGE_OFFSET * spread
    return np.where(large, _roundest(center, width), 0.0)


def _roundest(center: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiple of the largest power of two within ``width`` of each center, ``(d,)``."""
    step = 2.0 ** np.floor(np.log2(width))
    found = center
    while (step < 2 * np.abs(center)).any():
        candidate = np.rint(center / step) * step
        found = np.where(np.abs(candidate - center) <= width, candidate, found)
        step *= 2
    return found


def _num_merged(vector: NDArray[Any], same: NDArray[np.int64]) -> int:
    _, first, number = np.unique(same, return_index=True, return_inverse=True)
    other = np.flatnonzero(first[number] != np.arange(len(same)))
    differs = (vector[other] != vector[first[number[other]]]).any(axis=1)
    merged = np.unique(number[other[differs]])
    return int(np.isin(number, merged).sum())
