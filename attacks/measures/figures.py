"""Every figure of an attack, with its interval: the keys of a row.

Suites and audits report the same figures, all from here.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.measures.intervals import rate_intervals
from attacks.measures.metrics import credits, identification
from attacks.measures.risk import user_risk
from attacks.ranks.exact import Ranks

PER_USER = ("per_user_top1", "share_always", "share_never")
"""Means over users; all others are means over probes."""


def figures(ranks: Ranks, user: NDArray[Any], num_gallery: int) -> dict[str, float | int | None]:
    """Compute every figure of an attack, each followed by the interval of those that have one.

    Parameters
    ----------
    ranks
        Counts of n mated probes.
    user : (n,)
        Who is behind each probe.
    num_gallery
        Gallery users, N.

    Returns
    -------
    dict
        The keys of `attacks.measures.metrics.Identification` but ``num_unmated``, and of the
        users the ``share_always`` and ``share_never`` identified, in [0, 1]; ``_low`` and
        ``_high`` are 95 % intervals over users.

    Raises
    ------
    ValueError
        If lengths disagree or a count does not fit the gallery.
    """
    found = asdict(identification(ranks, user, num_gallery))
    if found.pop("num_unmated"):
        raise ValueError("figures are about mated probes only")
    risk = user_risk(ranks, user)
    user_row = np.searchsorted(risk.user, user)
    per_probe = credits(ranks, num_gallery)
    columns = {
        **per_probe,
        "per_user_top1": per_probe["top1"],
        "share_always": risk.always[user_row].astype(np.float64),
        "share_never": risk.never[user_row].astype(np.float64),
    }
    found["share_always"] = float(risk.always.mean())
    found["share_never"] = float(risk.never.mean())
    low, high = rate_intervals(
        np.column_stack(list(columns.values())),
        user,
        per_user=[name in PER_USER for name in columns],
    )
    ends = zip(low.tolist(), high.tolist(), strict=True)
    bounds: dict[str, tuple[float, float]] = dict(zip(columns, ends, strict=True))
    for name, source, scale in (
        ("bits", "bits", math.log2(num_gallery)),
        ("lift", "top1", num_gallery),
    ):
        bounds[name] = (scale * bounds[source][0], scale * bounds[source][1])
    with_bounds: dict[str, float | int | None] = {}
    for name, value in found.items():
        with_bounds[name] = value
        if name in bounds:
            with_bounds[f"{name}_low"], with_bounds[f"{name}_high"] = bounds[name]
    return with_bounds
