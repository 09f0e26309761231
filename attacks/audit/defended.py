"""Vectors as a defense would release them.

Shape letters: n vectors, d dimensions, m gallery vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import Defense
from attacks.gallery import Released

Rows = NDArray[np.int64]


def defended(
    defense: Defense, released: Released, fitted_to: Rows, seed: int
) -> NDArray[np.float32]:
    """Fit a defense and return what it releases, ``(n, d')``.

    Parameters
    ----------
    defense
    released
        All vectors.
    fitted_to : (m,)
        Rows that the defense learns from.
    seed
        Decides the randomness of fit and release.

    Raises
    ------
    ValueError
        If the defense cannot be fitted to such vectors, or releases what is not finite.
    """
    defense.fit(chosen(released, fitted_to), np.random.default_rng([seed, 0]))
    found = defense.apply(released, np.random.default_rng([seed, 1]))
    if not np.isfinite(found).all():
        raise ValueError("it releases NaN or infinity for these vectors")
    return found


def chosen(released: Released, rows: Rows) -> Released:
    """Take some of the vectors, whose users are counted anew from 0.

    Parameters
    ----------
    released
    rows : (m,)
    """

    def part(values: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if values is None else values[rows]

    return Released(
        released.vectors[rows],
        np.unique(released.user_row[rows], return_inverse=True)[1],
        part(released.order),
        part(released.window),
        part(released.labels),
    )


def place_in_time(user_row: Rows, time: NDArray[Any] | None) -> Rows:
    """Position of each vector among those of its user, ``(n,)``.

    Parameters
    ----------
    user_row : (n,)
    time : (n,)
        None keeps the order given, as equal times do.
    """
    keys = (user_row,) if time is None else (time, user_row)
    order = np.lexsort(keys)
    count = np.bincount(user_row)
    start = np.cumsum(count) - count
    place = np.empty(len(user_row), np.int64)
    place[order] = np.arange(len(user_row)) - start[user_row[order]]
    return place
