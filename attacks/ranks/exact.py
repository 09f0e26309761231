"""Exact rank of the true user among all gallery users, for every probe.

A rank needs no sorted list, only counts: how many others score above the true user and how many
tie with it. Products of 16-bit numbers on a CPU (`attacks.ranks.screen`), of float32 ones on a
device (`attacks.ranks.tiles`), decide every pair outside a rigorous bound on their error; float64
arithmetic on the caller's own float32 vectors decides the rest. The counts therefore depend
neither on tiles, threads, shards nor on the device.

The score is larger for closer users. With x a probe and g a gallery user, in float64:

========= ==================================================== =======================
metric    score                                                size
========= ==================================================== =======================
cosine    x.g / (|x| |g|), 0 where either vector is 0          1, or 0 for a zero vector
dot       x.g                                                  |x| |g|
euclidean x'.g' - |g'|^2 / 2, ' : minus the gallery's median   |x'| |g'| + |g'|^2 / 2
========= ==================================================== =======================

The tie rule: a competitor ties with the true user when their scores differ by at most 2^-40 of
the larger of the two pairs' sizes; it is greater when its score is larger by more than that. The
median, column by column, is a center that one outlying user does not move: another pair's size
knows nothing of it. Float64 vectors are rounded by `attacks.ranks.precision.comparable` first.

The true score is a float64 number as well, not an entry of the float32 product: both sides of a
comparison are then certified, and the band around it is half as wide.

Shape letters: n probes, g gallery users, d dimensions.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attacks.ranks.precision import Floats, Vectors, check_vectors, comparable

if TYPE_CHECKING:
    import torch

    from attacks.ranks.scoring import Scoring
    from attacks.ranks.screen import Screen
    from attacks.ranks.tiles import Tiles

Rows = NDArray[np.int64]
Counts = NDArray[np.int32]


class Ranks(NamedTuple):
    """How the true user of each probe fares against the other gallery users.

    Attributes
    ----------
    greater : (n,) int32
        Others with a larger score, in [0, g - 1]; g for a user who is not in the gallery.
    equal : (n,) int32
        Others tied with the true user; 0 for a user who is not in the gallery.
    """

    greater: Counts
    equal: Counts


def exact_ranks(
    probe: Vectors,
    gallery: Vectors,
    true_row: Rows,
    *,
    metric: Literal["cosine", "euclidean", "dot"] = "cosine",
    device: torch.device | None = None,
) -> Ranks:
    """Count who beats and who ties with the true user of every probe.

    Parameters
    ----------
    probe : (n, d)
        Vectors to name, float32 or float64.
    gallery : (g, d)
        One vector per known user, float32 or float64.
    true_row : (n,)
        Gallery row of the probe's user; -1 when the user is not in the gallery.
    metric
        What makes a user close; scores and the tie rule are in the module's docstring.
    device
        Where the products run; None takes CUDA if there is one and the CPU otherwise.
        The counts are the same everywhere.

    Returns
    -------
    Ranks
        Two int32 counts per probe.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite, the gallery is empty, a true row is out of
        range or the metric is unknown.
    """
    import torch

    if metric not in ("cosine", "euclidean", "dot"):
        raise ValueError(f"metric must be cosine, euclidean or dot, got {metric!r}")
    check_vectors(probe, gallery)
    _check_true_row(true_row, len(probe), len(gallery))
    probe, gallery = comparable(probe, gallery, metric)
    if device is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return _counted(probe, gallery, true_row, metric, device)


def _counted(
    probe: Floats, gallery: Floats, true_row: Rows, metric: str, device: torch.device
) -> Ranks:
    """Cut the probes into blocks and count each; a block's counts are its own slice."""
    import torch

    from attacks.ranks.scoring import Scoring

    threads = torch.get_num_threads() if device.type == "cpu" else 1
    scoring = Scoring.of(gallery, metric)
    greater = np.full(len(probe), len(gallery), np.int32)
    equal = np.zeros(len(probe), np.int32)
    present = np.flatnonzero(true_row >= 0)
    if not present.size:
        return Ranks(greater, equal)
    users, present = _prepared(scoring, probe, true_row, present, device)
    height = min(users.height, max(1, math.ceil(len(present) / threads)))

    def rank_block(rows: Rows) -> None:
        greater[rows], equal[rows] = users.count(scoring.block(probe[rows], true_row[rows]))

    blocks = [present[i : i + height] for i in range(0, len(present), height)]
    with _workers(threads) as pool:
        list(pool.map(rank_block, blocks))
    return Ranks(greater, equal)


def _prepared(
    scoring: Scoring, probe: Floats, true_row: Rows, present: Rows, device: torch.device
) -> tuple[Screen | Tiles, Rows]:
    """Put the gallery into the form of the device; order the probes so that neighbors are alike."""
    if device.type != "cpu":
        from attacks.ranks.tiles import Tiles

        return Tiles.of(scoring, device), present
    from attacks.ranks.screen import screen

    return screen(scoring, probe, true_row, present)


@contextlib.contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that each multiply alone; torch's own number of threads is restored after."""
    import torch

    before = torch.get_num_threads()
    # MKL counts per calling thread, so that every worker has to set its own.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown()
            torch.set_num_threads(before)


def _check_true_row(true_row: Rows, num_probes: int, num_gallery: int) -> None:
    if true_row.shape != (num_probes,) or true_row.dtype.kind not in "iu":
        raise ValueError(
            f"true_row must be {num_probes} integers, got {true_row.dtype} "
            f"of shape {true_row.shape}"
        )
    bad = np.flatnonzero((true_row < -1) | (true_row >= num_gallery))
    if bad.size:
        raise ValueError(
            f"true_row must be in -1..{num_gallery - 1}, got {true_row[bad[0]]} in row {bad[0]}"
        )
