"""Pareto front of trials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the points of the Pareto front.

    Parameters
    ----------
    values : (n, k)
        k objectives of n points, all finite; larger is better.

    Returns
    -------
    numpy.ndarray
        ``(n,)``, True if no other point is at least as good in every objective and better in at
        least one. Equal points are all on the front, or all off it.

    Raises
    ------
    ValueError
        A value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ValueError("Pareto front: found a value that is NaN or infinite, allowed: finite")
    no_worse = (values[:, None] >= values[None, :]).all(axis=2)
    dominates = no_worse & ~no_worse.T
    on_front: NDArray[np.bool_] = np.logical_not(dominates.any(axis=0))
    return on_front
