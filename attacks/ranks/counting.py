"""Compiled counting: which gallery users beat the true one, decided in float64 where it is close.

A kernel releases the interpreter lock and runs on one thread; `attacks.ranks.exact` runs several at
once. Numba's own thread pool stays unused, since pools that alternate wait for each other.
Nothing is cached on disk: compiling takes about a second and installed copies may be read-only.

Shape letters: r probes of a block, g gallery users, c gallery users of a tile, d dimensions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

TIE = 2.0**-40
"""Two scores within this share of their size are tied: far above float64's rounding error at any
usual d (about d * 2^-53), far below anything float32 inputs distinguish on purpose."""


class Exact(NamedTuple):
    """What decides a pair in float64; vectors are the caller's own float32 values.

    With x' = probe - center and g' = gallery - center, a pair's score is ``probe_scale *
    gallery_scale * x'.g' - offset`` and its size, the unit of the tie rule, is ``probe_size *
    gallery_size + offset``.

    Attributes
    ----------
    probe : (r, d) float32
    gallery : (g, d) float32
    center : (d,) float64
    probe_scale, probe_size : (r,) float64
    gallery_scale, gallery_size, offset : (g,) float64
    true_row : (r,) int64
    true_score : (r,) float64
    """

    probe: NDArray[np.float32]
    gallery: NDArray[np.float32]
    center: NDArray[np.float64]
    probe_scale: NDArray[np.float64]
    probe_size: NDArray[np.float64]
    gallery_scale: NDArray[np.float64]
    gallery_size: NDArray[np.float64]
    offset: NDArray[np.float64]
    true_row: NDArray[np.int64]
    true_score: NDArray[np.float64]


# Reassociation lets the sum run in vector lanes; its order depends on d alone, so that a pair
# scores the same in every tile, shard and thread.
@numba.njit(nogil=True, cache=True, fastmath={"reassoc"})
def _product(x: Any, i: int, y: Any, j: int, center: Any) -> float:
    total = 0.0
    for k in range(center.size):
        total += (np.float64(x[i, k]) - center[k]) * (np.float64(y[j, k]) - center[k])
    return total


@numba.njit(nogil=True, cache=True)
def score_true(exact: Any) -> None:
    """Fill ``exact.true_score`` by the same arithmetic as every competitor's score."""
    (probe, gallery, center, probe_scale, _, scale, _, offset, true_row, true_score) = exact
    for i in range(true_row.size):
        j = true_row[i]
        product = _product(probe, i, gallery, j, center)
        true_score[i] = product * probe_scale[i] * scale[j] - offset[j]


@numba.njit(nogil=True, cache=True)
def count_above(scores: Any, low: Any, high: Any, greater: Any) -> Any:
    """Count what a tile of float32 scores settles and list the pairs that it does not.

    Parameters
    ----------
    scores : (r, c)
        Above ``high`` certainly greater than the true score, below ``low`` certainly smaller.
    low, high : (r,)
        Float32 bounds of the band between.
    greater : (r,)
        Counts, added to in place.

    Returns
    -------
    rows, columns : (pairs,) int32
        Positions inside the band.
    """
    within = np.zeros(scores.shape[0], np.int64)
    for i in range(scores.shape[0]):
        above: Any = 0
        not_below: Any = 0
        for j in range(scores.shape[1]):
            above += scores[i, j] > high[i]
            not_below += scores[i, j] >= low[i]
        greater[i] += above
        within[i] = not_below - above
    rows = np.empty(within.sum(), np.int32)
    columns = np.empty(rows.size, np.int32)
    pair = 0
    for row in np.flatnonzero(within):
        for j in range(scores.shape[1]):
            if low[row] <= scores[row, j] <= high[row]:
                rows[pair], columns[pair] = row, j
                pair += 1
    return rows, columns


# The fields are unpacked once: looked up inside the loop, their reference counts are what the
# threads wait for (250 ns a pair in place of 9 at d = 64).
@numba.njit(nogil=True, cache=True)
def count_pairs(rows: Any, users: Any, exact: Any, greater: Any, equal: Any) -> None:
    """Decide pairs in float64 by the tie rule and add them to the counts.

    Parameters
    ----------
    rows, users : (pairs,)
        Probe and gallery row of each pair; pairs with the true user are passed over.
    exact
        What decides them.
    greater, equal : (r,)
        Counts, added to in place.
    """
    (probe, gallery, center, probe_scale, probe_size, scale, size, offset, true_row, true_score) = (
        exact
    )
    for pair in range(rows.size):
        i, j = rows[pair], users[pair]
        true = true_row[i]
        if j == true:
            continue
        score = _product(probe, i, gallery, j, center) * probe_scale[i] * scale[j] - offset[j]
        margin = score - true_score[i]
        tie = probe_size[i] * max(size[j], size[true]) + max(offset[j], offset[true])
        if margin > TIE * tie:
            greater[i] += 1
        elif margin >= -TIE * tie:
            equal[i] += 1
