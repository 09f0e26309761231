"""Who is at risk: identification of each user, and by how active a user is.

Shape letters: n probes, u users with a probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.measures.metrics import always_never, expected_rank, top_credit
from attacks.ranks.exact import Ranks
from attacks.ranks.means import user_means


@dataclass(frozen=True)
class UserRisk:
    """One row per probed user, in the order of ``user``.

    Attributes
    ----------
    user : (u,)
        Distinct and sorted.
    num_probes : (u,)
    top1 : (u,)
        Mean credit for rank 1 over the user's probes, in [0, 1]; ties share it.
    mean_rank : (u,)
        In [1, N].
    always, never : (u,)
        Whether each probe is alone at rank 1, and whether none is even tied for it.
    """

    user: NDArray[Any]
    num_probes: NDArray[np.int64]
    top1: NDArray[np.float64]
    mean_rank: NDArray[np.float64]
    always: NDArray[np.bool_]
    never: NDArray[np.bool_]


@dataclass(frozen=True)
class ActivityDecile:
    """Users alike in activity.

    Attributes
    ----------
    decile
        1 (least active) to 10. Users of equal activity are never separated, so deciles may be
        missing.
    num_users, least, most
        Users, and their smallest and largest number of vectors.
    per_user_top1
        Mean over the users of each one's own top-1, in [0, 1].
    share_always, share_never
        Of the users, in [0, 1].
    """

    decile: int
    num_users: int
    least: int
    most: int
    per_user_top1: float
    share_always: float
    share_never: float


def user_risk(ranks: Ranks, user: NDArray[Any]) -> UserRisk:
    """Tabulate users.

    Parameters
    ----------
    ranks
        Counts of n mated probes.
    user : (n,)
        Who is behind each.
    """
    names, user_row, num_probes = np.unique(user, return_inverse=True, return_counts=True)
    always, never = always_never(ranks, user_row)
    return UserRisk(
        user=names,
        num_probes=num_probes,
        top1=user_means(top_credit(ranks, 1), user_row),
        mean_rank=user_means(expected_rank(ranks), user_row),
        always=always,
        never=never,
    )


def decile(activity: NDArray[np.int64]) -> NDArray[np.int64]:
    """Decile of each user, ``(u,)`` in 1..10, from the share of users who are less active."""
    less = np.searchsorted(np.sort(activity), activity)
    result: NDArray[np.int64] = 10 * less // len(activity) + 1
    return result


def by_activity(risk: UserRisk, activity: NDArray[np.int64]) -> tuple[ActivityDecile, ...]:
    """Summarize deciles of activity.

    Parameters
    ----------
    risk
        Of u users.
    activity : (u,)
        Vectors of each, gallery and probes together.
    """
    deciles = decile(activity)

    def summary(number: int) -> ActivityDecile:
        rows = deciles == number
        return ActivityDecile(
            decile=number,
            num_users=int(rows.sum()),
            least=int(activity[rows].min()),
            most=int(activity[rows].max()),
            per_user_top1=float(risk.top1[rows].mean()),
            share_always=float(risk.always[rows].mean()),
            share_never=float(risk.never[rows].mean()),
        )

    return tuple(summary(number) for number in np.unique(deciles).tolist())
