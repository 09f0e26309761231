"""Probes that an adversary knows to be of one person, averaged to one.

Shape letters: n probes, p pooled probes, d dimensions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attacks.base import Attack
from attacks.ranks.means import user_means


class Pooled(NamedTuple):
    """What an attack names.

    Attributes
    ----------
    vectors : (p, d)
        Mean vector of each group.
    first : (p,)
        Row of the first probe of each group.
    largest
        Number of probes in the largest group.
    """

    vectors: NDArray[np.float32]
    first: NDArray[np.int64]
    largest: int


def pooled(
    attack: Attack,
    probe: NDArray[np.float32],
    user: NDArray[Any],
    true_row: NDArray[np.int64],
) -> Pooled:
    """Average the probes that the adversary knows to be of one person, see ``Attack.pool``.

    Parameters
    ----------
    attack
        Fitted.
    probe : (n, d)
        Released vectors to name.
    user : (n,)
        Who is behind each.
    true_row : (n,)
        Gallery row of that user; probes of ``attack.known_row`` are left out.

    Raises
    ------
    ValueError
        No probe is left.
    """
    group = attack.pool(np.unique(user, return_inverse=True)[1])
    group = np.where(np.isin(true_row, attack.known_row), -1, group)
    kept = np.flatnonzero(group >= 0)
    if not kept.size:
        most = np.unique(user, return_counts=True)[1].max()
        raise ValueError(
            f"{type(attack).__name__.lower()}: none of {len(group)} probes is left, of at most "
            f"{most} for each user"
        )
    _, first, group = np.unique(group[kept], return_index=True, return_inverse=True)
    if len(first) == len(probe):
        return Pooled(probe, kept, 1)
    largest = int(np.bincount(group).max())
    return Pooled(user_means(probe[kept], group).astype(np.float32), kept[first], largest)
