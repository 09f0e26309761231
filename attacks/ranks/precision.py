"""Numbers of any precision as the float32 that attacks compute with, and what that merges.

Float32 holds 24 bits: vectors that are large and vary little lose what tells them apart, unless
what they share is subtracted first, in float64.

Shape letters: n vectors, g gallery users, d dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Vectors = NDArray[np.floating[Any]]

HARMLESS = 2.0**-12
"""Largest typical rounding error of a column that is let be, in units of the column's spread."""

CHUNK_ROWS = 65_536
"""Rows in float64 at a time."""


def medians(vectors: Vectors) -> Doubles:
    """Median of each column, ``(n, d) -> (d,)``: a center that outliers do not move."""
    columns = range(vectors.shape[1])
    return np.array([np.median(vectors[:, j].astype(np.float64)) for j in columns])


def offset(gallery: Vectors) -> Doubles:
    """Find what must be subtracted from vectors before they are rounded to float32.

    Parameters
    ----------
    gallery : (g, d)
        One vector per known user; float64, if rounding is still to come.

    Returns
    -------
    (d,)
        Where float32 would blur the users of a column, that is where half of the values that
        differ from the median would move by more than 2^-12 of their own typical distance from it:
        the roundest number within six standard errors of the median. Beside such columns also
        that of the columns in which nobody differs but which are as large: to the cosine they are
        the same offset. 0 in all other columns, so that vectors which float32 holds stay as they
        are.

    Notes
    -----
    The data tell an offset no better than to some standard errors. Whoever added 1e8 finds exactly
    that subtracted, and the angles there are without it.
    """
    center, distance = np.zeros(gallery.shape[1]), np.zeros(gallery.shape[1])
    blurred = np.zeros(gallery.shape[1], bool)
    for j in range(gallery.shape[1]):
        column = gallery[:, j].astype(np.float64)
        center[j] = np.median(column)
        away = np.abs(column - center[j])
        apart = away > 0
        if apart.any():
            distance[j] = np.median(away[apart])
            error = np.abs(_float32(column) - column)
            blurred[j] = np.median(error[apart]) > HARMLESS * distance[j]
    if not blurred.any():
        return np.zeros(len(center))
    is_constant = distance == 0
    distance[is_constant] = np.median(distance[blurred])
    moved = blurred | (is_constant & (HARMLESS * np.abs(center) > distance))
    # Of a normal sample the median deviates by 1.2533 and the spread is 1.4826 times the distance.
    width = 6 * 1.2533 * 1.4826 * distance / np.sqrt(len(gallery))
    found = np.zeros(len(center))
    found[moved] = _roundest(center[moved], width[moved])
    return found


def _roundest(center: Doubles, width: Doubles) -> Doubles:
    """Multiple of the largest power of two within ``width`` of each center, ``(d,)``."""
    step, found = 2.0 ** np.floor(np.log2(width)), center
    while (step < 2 * np.abs(center)).any():
        candidate = np.rint(center / step) * step
        found = np.where(np.abs(candidate - center) <= width, candidate, found)
        step = step * 2
    return found


def to_float32(vectors: Vectors, center: Doubles) -> Floats:
    """Subtract ``center`` in float64 and round.

    Parameters
    ----------
    vectors : (n, d)
    center : (d,)

    Returns
    -------
    (n, d)
        ``vectors`` itself where it is float32 and ``center`` is 0.

    Raises
    ------
    ValueError
        If a result is not finite in float32.
    """
    if vectors.dtype == np.float32 and not center.any():
        return vectors
    rounded = np.empty(vectors.shape, np.float32)
    for start in range(0, len(vectors), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        rounded[rows] = _float32(vectors[rows] - center)
        bad = np.flatnonzero(~np.isfinite(rounded[rows]).all(axis=1))
        if bad.size:
            raise ValueError(
                f"vectors must be finite as float32, got NaN, infinity or more than "
                f"{np.finfo(np.float32).max:.3g} in row {start + bad[0]}"
            )
    return rounded


def comparable(probe: Vectors, gallery: Vectors, metric: str) -> tuple[Floats, Floats]:
    """Round probes and gallery alike.

    Parameters
    ----------
    probe : (n, d)
    gallery : (g, d)
        Float32 vectors are left alone. Float64 ones are centered by the gallery's median for the
        distance, which does not see it; otherwise only where `offset` says so.
    metric
        ``cosine``, ``euclidean`` or ``dot``.

    Raises
    ------
    ValueError
        If a vector is not finite in float32.
    """
    if probe.dtype == gallery.dtype == np.float32:
        return probe, gallery
    center = medians(gallery) if metric == "euclidean" else offset(gallery)
    return to_float32(probe, center), to_float32(gallery, center)


def num_merged(vectors: Vectors, rounded: Floats) -> int:
    """Count the vectors that equal another one only since they were rounded.

    Parameters
    ----------
    vectors : (n, d)
        As they were.
    rounded : (n, d)
        As they are computed with, row by row.

    Returns
    -------
    int
        In 0..n: rows equal to another in ``rounded`` and to fewer in ``vectors``.
    """
    if vectors.dtype == np.float32:
        return 0
    size = class_sizes(rounded)
    shared = np.flatnonzero(size > 1)
    return int((class_sizes(vectors[shared]) < size[shared]).sum())


def num_tied_apart(equal: NDArray[np.int32], gallery: Vectors, true_row: NDArray[np.int64]) -> int:
    """Count the probes whose true user ties with a user of another vector.

    The two are then told apart by nothing but chance though their vectors differ: by less than
    the tie rule sees, or in what the attack does not look at, as lengths are to the cosine.

    Parameters
    ----------
    equal : (n,)
        Users tied with the true one, of every probe.
    gallery : (g, d)
        Vectors of the gallery users.
    true_row : (n,)
        Gallery row of the probe's user; -1 when the user is not in the gallery.

    Returns
    -------
    int
        In 0..n.
    """
    present = true_row >= 0
    twins = class_sizes(gallery)[true_row[present]] - 1
    return int((equal[present] > twins).sum())


def class_sizes(vectors: Vectors) -> NDArray[np.int64]:
    """Count the rows equal to each row, itself included: ``(n, d) -> (n,)``."""
    group = equal_rows(vectors)
    return np.bincount(group)[group]


def equal_rows(vectors: Vectors) -> NDArray[np.int64]:
    """Give equal rows of 32 or 64-bit numbers one number, counted from 0: ``(n, d) -> (n,)``."""
    # 0.0 turns -0.0 into 0.0, which is the same number in other bytes.
    plain = np.ascontiguousarray(vectors + vectors.dtype.type(0.0))
    if not plain.size:
        return np.zeros(len(plain), np.int64)
    bits = plain.view(np.uint32)
    odd = np.random.default_rng(0).integers(2**63, size=bits.shape[1], dtype=np.uint64) * 2 + 1
    # Equal rows have equal keys. Only rows that share one are compared as a whole: sorting all rows
    # byte by byte takes ten times as long.
    _, group, count = np.unique(bits @ odd, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(count[group] > 1)
    whole = plain[shared].view(f"V{plain.strides[0]}")[:, 0]
    group[shared] = len(count) + np.unique(whole, return_inverse=True)[1]
    numbered: NDArray[np.int64] = np.unique(group, return_inverse=True)[1]
    return numbered


def check_vectors(probe: Vectors, gallery: Vectors) -> None:
    """Refuse vectors that cannot be ranked.

    Raises
    ------
    ValueError
        If either is not a finite matrix of float32 or float64, the gallery is empty or dimensions
        differ.
    """
    for name, vectors in (("probe", probe), ("gallery", gallery)):
        if vectors.ndim != 2 or vectors.dtype not in (np.float32, np.float64):
            raise ValueError(
                f"{name} must be a matrix of float32 or float64, "
                f"got {vectors.dtype} of shape {vectors.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if bad.size:
            raise ValueError(f"{name} must be finite, got NaN or infinity in row {bad[0]}")
    if gallery.size == 0:
        raise ValueError(f"gallery must hold at least one vector, got shape {gallery.shape}")
    if probe.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"probe must have the gallery's {gallery.shape[1]} dimensions, got {probe.shape[1]}"
        )


def _float32(values: Doubles) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)
