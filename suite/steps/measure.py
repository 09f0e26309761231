"""From raw ranks, and what the vectors are worth, to the figures of a row."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl

from attacks.measures import metrics as reid
from attacks.measures.detection import fnir_at_fpir
from attacks.measures.figures import figures
from attacks.measures.reliability import verdict
from attacks.measures.risk import decile, user_risk
from suite.artifacts.figures import Measures
from suite.artifacts.outcome import Mated, Outcome
from suite.artifacts.predictions import Predictions
from suite.steps.comparisons.strongest import top1, top1_alike

FPIRS = (0.001, 0.01, 0.1)


BELOW_CHANCE = "the interval of the lift lies below chance: something else than identity decides"


def measure(outcome: Outcome, predictions: Predictions | None = None) -> Measures:
    """Compute every figure of a cell.

    Parameters
    ----------
    outcome
        Ranks of all probes.
    predictions
        How well the labels are predicted from what is released.

    Returns
    -------
    Measures
        Rates in [0, 1]. ``reid/num_rounded`` and ``reid/num_tied_apart`` say how many vectors that
        differ are not told apart, where there are any; see ``Outcome``.
    """
    known = outcome.mated()
    credits = reid.credits(known.ranks, outcome.num_gallery)
    row: dict[str, Any] = figures(known.ranks, known.user_id, outcome.num_gallery)
    row["num_dropped"] = outcome.num_dropped
    if outcome.bound_top1 is not None:
        row["bound_top1"] = outcome.bound_top1
        row["bound_lift"] = outcome.bound_top1 * outcome.num_gallery
    row["bound_reason"] = outcome.unbounded or None
    extra = _open_set(outcome)
    reasons = [f"strongest on validation: {outcome.chosen}"] if outcome.chosen else []
    reasons += [outcome.knew] if outcome.knew else []
    reasons += [BELOW_CHANCE] if row["lift_high"] < 1 else []
    extra |= {f"inversion/{name}": value for name, value in outcome.facts.items()}
    merged = {"rounded": outcome.num_rounded, "tied_apart": outcome.num_tied_apart}
    extra |= {f"reid/num_{name}": float(count) for name, count in merged.items() if count}
    if predictions is not None:
        row, extra = row | predictions.row, extra | predictions.extra
        note = row.pop("note", None)
        reasons += [note] if note else []
    if reasons:
        row["reason"] = "; ".join(reasons)
    row |= verdict(credits, known.user_id, auc=row.pop("auc_doubt", None))
    return Measures(row, extra, _users(known))


def best(*results: Outcome | Measures, candidates: list[str]) -> Measures:
    """Report the attacker that is strongest on validation.

    Parameters
    ----------
    results
        Ranks of each candidate on validation, then figures of each on test.
    candidates
        Their names, in the same order.

    Returns
    -------
    Measures
        Those of the candidate with the largest top-1 on validation, at the smallest N of all, the
        first of equals.
    """
    outcomes = [result for result in results if isinstance(result, Outcome)]
    measures = [result for result in results if isinstance(result, Measures)]
    chosen = int(np.argmax(top1_alike(outcomes)))
    row, extra = measures[chosen].row, measures[chosen].extra
    reasons = [f"strongest on validation: {candidates[chosen]}", row.get("reason")]
    # As many times chance as there: by it, releases can be chosen without a look at test.
    lift = top1(outcomes[chosen]) * outcomes[chosen].num_gallery
    return replace(
        measures[chosen],
        row=row | {"reason": "; ".join(filter(None, reasons))},
        extra=extra | {"reid/lift_validation": lift},
    )


def _users(known: Mated) -> pl.DataFrame:
    risk = user_risk(known.ranks, known.user_id)
    table = pl.DataFrame(asdict(risk)).rename({"user": "user_id"})
    return table.with_columns(decile=pl.Series(decile(risk.num_probes)))


def _open_set(outcome: Outcome) -> dict[str, float]:
    """FNIR at three FPIR, where the protocol has probes of unknown users."""
    unmated = outcome.probes.filter(pl.col("greater") == outcome.num_gallery)
    if unmated.is_empty():
        return {}
    known, unmated_best = outcome.mated(), unmated["best"].to_numpy()
    first = reid.top_credit(known.ranks, 1)
    rates = {fpir: fnir_at_fpir(known.best, first, unmated_best, fpir) for fpir in FPIRS}
    return {f"reid/fnir_at_fpir_{f}": rate for f, rate in rates.items() if rate is not None}
