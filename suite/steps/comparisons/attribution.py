"""Where a model's lift comes from: its static input, its architecture, training, memory."""

from __future__ import annotations

import numpy as np
import polars as pl

from attacks.measures.comparisons import paired_interval
from attacks.measures.intervals import rate_intervals
from attacks.measures.metrics import top1_credit_at
from suite.artifacts.figures import SOURCES, Attribution
from suite.artifacts.outcome import Outcome


def attribution(*outcomes: Outcome) -> Attribution:
    """Take one model's lift apart.

    Parameters
    ----------
    outcomes
        Those of ``SOURCES``: the model under ``static``, ``disjoint`` and ``rolling``; its raw
        inputs and its untrained network under ``rolling``; the model under ``unseen`` among
        trained and among held-out users.

    Returns
    -------
    Attribution
        At the size of the smallest gallery among them.
    """
    n = min(outcome.num_gallery for outcome in outcomes)
    lifts = dict(zip(SOURCES, (_lift_at(outcome, n) for outcome in outcomes), strict=True))
    figures = {}
    for name, probes in lifts.items():
        credit = probes["lift"].to_numpy() / n
        low, high = rate_intervals(credit[:, None], probes["user_id"].to_numpy())
        figures[name] = [n * float(credit.mean()), n * float(low[0]), n * float(high[0])]
    for name, more, less in (
        ("static_input", "static", "disjoint"),
        ("training", "rolling", "random_net"),
    ):
        both = lifts[more].join(lifts[less], on="event_id", maintain_order="left")
        columns = (both[c].to_numpy() for c in ("lift", "lift_right", "user_id"))
        figures[name] = list(paired_interval(*columns))
    figures["memorized"] = _unpaired(figures["trained"], figures["held_out"])
    return Attribution(n, figures)


def _lift_at(outcome: Outcome, n: int) -> pl.DataFrame:
    """Lift of each known probe in a random gallery of n users that holds its own."""
    known = outcome.mated()
    lift = n * top1_credit_at(known.ranks, outcome.num_gallery, n)
    return pl.DataFrame({"event_id": known.event_id, "user_id": known.user_id, "lift": lift})


def _unpaired(first: list[float], second: list[float]) -> list[float]:
    """Difference of two independent figures, its interval recovered from theirs.

    References
    ----------
    Zou and Donner, Construction of Confidence Limits about Effect Measures: A General Approach,
    Statistics in Medicine, 2008.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    down = np.hypot(a - a_low, b_high - b)
    up = np.hypot(a_high - a, b - b_low)
    return [a - b, float(a - b - down), float(a - b + up)]
