"""Whether an interval can be relied on, decided from what is observed.

A mean over probes weighs users by their activity. Where a few very active users carry much of it
and are also identified more often (or less), the mean depends on users even more active, of whom
a sample holds none: its interval then covers too seldom, whatever the method, as
`docs/statistics.md` shows. The mean over users does not depend on them.

Shape letters: n probes, u users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from attacks.measures.intervals import Values

CONCENTRATED = 0.5
"""Effective users over users, below which activity is concentrated."""

UNEVEN, SMALL_SAMPLE = 0.8, 200
"""The same below so many users, who seldom include the most active ones there are."""

RELATED = 1.5
"""Standard errors between the mean over probes and that over users that say they differ."""

FEW_HIT = range(1, 15)
"""Users with credit who are too few to tell whether activity matters; for none at all the interval
is wide enough for either."""


class Verdict(TypedDict):
    """Keys of a row: ``ok`` or ``unreliable``, and in one line which figures are and why."""

    interval: str
    interval_reason: str | None


def verdict(
    credits: Mapping[str, NDArray[Any]], user: NDArray[Any], **others: str | None
) -> Verdict:
    """Judge the intervals of a row.

    Parameters
    ----------
    credits : (n,) each
        By figure, that of each probe, in [0, 1].
    user : (n,)
        Who is behind each.
    others
        By figure, doubts that are known already, or None.
    """
    doubted = {name: doubt_of_mean(values, user) for name, values in credits.items()} | others
    names: dict[str, list[str]] = {}
    for name, why in doubted.items():
        if why is not None:
            names.setdefault(why, []).append(name)
    said = [f"{', '.join(same)}: {why}" for why, same in names.items()]
    return {"interval": "unreliable" if said else "ok", "interval_reason": "; ".join(said) or None}


def doubt_of_mean(values: NDArray[Any], user: NDArray[Any]) -> str | None:
    """Say why the interval of a mean over probes may cover too seldom; None if nothing does.

    Parameters
    ----------
    values : (n,)
        In [0, 1].
    user : (n,)
        Who is behind each.
    """
    user_row = np.unique(user, return_inverse=True)[1]
    counts = np.bincount(user_row).astype(np.float64)
    if values.mean() > 0.5:
        values = 1 - values
    sums = np.bincount(user_row, values)
    # Values above half the largest: hits, or of reciprocal ranks those at rank 1.
    num_hit = int((np.bincount(user_row, values > values.max() / 2) > 0).sum())
    return doubt(sums - sums.sum() / counts.sum() * counts, counts, num_hit)


def doubt(residual: Values, counts: Values, num_hit: int | None = None) -> str | None:
    """Say why the interval of a mean over probes, or over events, may cover too seldom.

    Parameters
    ----------
    residual : (u,)
        What each user adds to the figure above its share; the sum is 0.
    counts : (u,)
        Probes, or events, of each user.
    num_hit
        Users with credit, where credit can be rare.
    """
    num_users = len(counts)
    effective = float(counts.sum() ** 2 / (counts**2).sum())
    is_concentrated = effective < CONCENTRATED * num_users
    is_uneven = effective < UNEVEN * num_users and num_users < SMALL_SAMPLE
    carried = f"{effective:,.0f} effective of {num_users:,} users"
    if (is_concentrated or is_uneven) and abs(_relation(residual, counts)) > RELATED:
        return f"differs between active and other users; {carried}"
    if is_concentrated and num_hit in FEW_HIT:
        return f"rests on {num_hit} {'user' if num_hit == 1 else 'users'}; {carried}"
    return None


def _relation(residual: Values, counts: Values) -> float:
    """Mean over probes minus mean over users, in standard errors of this difference."""
    own = residual / counts
    difference = -own.mean()
    each = residual / counts.sum() - (own - own.mean()) / len(counts)
    error = float(np.sqrt((each**2).sum()))
    return float(difference) / error if error > 0 else 0.0
