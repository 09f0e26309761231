"""Released vectors, and an adversary's gallery of them.

Shape letters: n vectors, m gallery events, g gallery users, d dimensions, a aggregates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.ranks.means import user_means


@dataclass(frozen=True)
class Released:
    """Vectors as released, each computed for an event of a user.

    Attributes
    ----------
    vectors : (n, d)
    user_row : (n,)
        User of each vector, from 0.
    order : (n,)
        Position of the event in time among those of the same user; None if unknown.
    window : (n,)
        Name of the event's window; None if there are no windows.
    labels : (n, L)
        Labels of each event, label 0 first; None if unknown.
    """

    vectors: NDArray[np.float32]
    user_row: NDArray[np.int64]
    order: NDArray[np.int64] | None = None
    window: NDArray[Any] | None = None
    labels: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Histories:
    """Figures of the histories behind n vectors.

    Attributes
    ----------
    aggregates : (n, a)
        In any units.
    favorite : (n,)
        Most frequent category.
    """

    aggregates: NDArray[np.floating[Any]]
    favorite: NDArray[Any]


@dataclass(frozen=True)
class Gallery(Released):
    """Vectors released under known users; every row in 0..g-1 of ``user_row`` occurs.

    Attributes
    ----------
    there : (m, d2)
        For each vector, its user's in the space of another training, from which the probes come;
        None unless the attack needs ``other_space``.
    histories
        Those behind the vectors; None unless the attack needs ``histories``.
    background
        Vectors of users who are neither probes nor in the gallery, their window ``gallery`` or
        ``probe`` as the vectors' whose users the attack names; None unless the attack needs
        ``background``.
    noise : (d, d)
        Covariance of the noise that the defense adds to a vector; None unless the attack needs
        ``noise``, 0 where the defense adds none.
    means : (g, d)
        One vector per user, where it was computed before the vectors were rounded.
    """

    there: NDArray[np.float32] | None = None
    histories: Histories | None = None
    background: Released | None = None
    noise: NDArray[np.float64] | None = None
    means: NDArray[np.float32] | None = None

    @cached_property
    def centroids(self) -> NDArray[np.float32]:
        """One vector per user, ``(g, d)``: ``means``, or the mean of the user's vectors."""
        if self.means is not None:
            return self.means
        return user_means(self.vectors, self.user_row).astype(np.float32)
