"""Compiled counting: which gallery users beat the true one, decided in float64 where it is close.

A kernel releases the interpreter lock and runs on one thread; `attacks.ranks.exact` runs several at
once. Numba's own thread pool stays unused, since pools that alternate wait for each other.
What is compiled is cached beside the source, or in the user's own cache where that is read-only.

Shape letters: r probes of a block, g gallery users, d dimensions.
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
def verdict(i: Any, j: Any, probes: Any, users: Any, center: Any, true_row: Any) -> Any:
    """Decide a pair by the tie rule: 1 where the competitor is greater, 0 tied, -1 smaller.

    Parameters
    ----------
    i, j
        Probe and gallery row.
    probes
        ``probe, probe_scale, probe_size, true_score``.
    users
        ``gallery, gallery_scale, gallery_size, offset``.
    center, true_row
        As in `Exact`.
    """
    probe, probe_scale, probe_size, true_score = probes
    gallery, scale, size, offset = users
    true = true_row[i]
    score = _product(probe, i, gallery, j, center) * probe_scale[i] * scale[j] - offset[j]
    margin = score - true_score[i]
    tie = probe_size[i] * max(size[j], size[true]) + max(offset[j], offset[true])
    return (margin > TIE * tie) - (margin < -TIE * tie)


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
    probes = (probe, probe_scale, probe_size, true_score)
    users_ = (gallery, scale, size, offset)
    for pair in range(rows.size):
        i, j = rows[pair], users[pair]
        if j == true_row[i]:
            continue
        side = verdict(i, j, probes, users_, center, true_row)
        greater[i] += side > 0
        equal[i] += side == 0
