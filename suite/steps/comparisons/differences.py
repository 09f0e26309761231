"""Which of two representations identifies more, probe by probe."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from attacks.measures.comparisons import paired_difference
from attacks.measures.metrics import top_credit
from suite.artifacts.figures import Differences
from suite.artifacts.outcome import Outcome


def differences(*outcomes: Outcome, names: list[str], swaps: int, seed: int) -> Differences:
    """Compare every two of several attacks on the same probes.

    Parameters
    ----------
    outcomes
        Of cells that differ only in the model or the release.
    names
        What each is called.
    swaps, seed
        Random swaps behind each p.

    Returns
    -------
    Differences
        One row per pair.
    """
    rows = []
    for (first, a), (second, b) in combinations(zip(names, outcomes, strict=True), 2):
        x, y, user = paired(a, b)
        found = paired_difference(
            x * a.num_gallery,
            y * b.num_gallery,
            user,
            swaps=swaps,
            rng=np.random.default_rng(seed),
        )
        rows.append({"first": first, "second": second, **asdict(found)})
    return Differences(rows)


def paired(a: Outcome, b: Outcome) -> tuple[Any, Any, Any]:
    """Top-1 credits of the probes that both have and know, ``(n,)`` each, and their users."""
    sides = []
    for outcome in (a, b):
        known = outcome.mated()
        credit = top_credit(known.ranks, 1)
        columns = {"event_id": known.event_id, "user_id": known.user_id, "credit": credit}
        sides.append(pl.DataFrame(columns))
    both = sides[0].join(sides[1], on="event_id", maintain_order="left")
    return both["credit"].to_numpy(), both["credit_right"].to_numpy(), both["user_id"].to_numpy()
