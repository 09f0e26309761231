"""Open-set figures: how often the adversary identifies or correctly rejects a probe.

Shape letters: n mated probes, whose user is in the gallery; u unmated ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_EXPECTED = 10
"""Minimum expected number of unmated probes above the threshold for a meaningful rate."""


def fnir_at_fpir(
    best: NDArray[np.floating],
    first: NDArray[np.floating],
    unmated_best: NDArray[np.floating],
    fpir: float,
) -> float | None:
    """Share of mated probes missed at a threshold that few unmated probes pass.

    The threshold T is the smallest score at which at most ``fpir`` of the unmated probes have a
    best score of T or more. A mated probe is found when its user comes first, with a score of T
    or more.

    Parameters
    ----------
    best : (n,)
        Largest score of each mated probe, over the gallery.
    first : (n,)
        Credit of its own user for the first place, in [0, 1].
    unmated_best : (u,)
        Largest score of each unmated probe.
    fpir
        False positive identification rate, in (0, 1).

    Returns
    -------
    float or None
        False negative identification rate in [0, 1]; None where u is below 10 / fpir.

    References
    ----------
    Grother, Ngan and Hanaoka, Face Recognition Vendor Test, Part 2: Identification, NIST
    Interagency Report 8271, 2019.
    """
    if len(best) == 0 or len(unmated_best) < MIN_EXPECTED / fpir:
        return None
    allowed = int(fpir * len(unmated_best))
    descending = np.sort(unmated_best)[::-1]
    # Above the first score that may not pass: ties of it must not pass either.
    threshold = descending[allowed]
    return float(1 - np.mean(first * (best > threshold)))
