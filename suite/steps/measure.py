"""From raw ranks and scores to the figures of a row, and from rows to the leaderboard."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from attacks.measures import metrics as reid
from attacks.measures.detection import fnir_at_fpir
from attacks.measures.intervals import rate_intervals
from attacks.measures.reliability import verdict
from attacks.measures.risk import decile, user_risk
from attacks.ranks.exact import Ranks
from suite import utility as metrics
from suite.artifacts.figures import Measures
from suite.artifacts.fitted import Fitted
from suite.artifacts.outcome import Outcome
from suite.training import scores

Values = NDArray[np.float64]

FPIRS = (0.001, 0.01, 0.1)


DEFENDED = "utility is null: the model's scores do not pass through the defense"
"""Why a defended row has none; that of the undefended model would make any defense look free."""

BELOW_CHANCE = "the interval of the lift lies below chance: something else than identity decides"


def measure(outcome: Outcome, fitted: Fitted | None = None, *, defended: bool = False) -> Measures:
    """Compute every figure of a cell.

    Parameters
    ----------
    outcome
        Ranks of all probes.
    fitted
        Scores of the model; None for a release that is no model's, whose utility is null.
    defended
        Whether a defense has changed the vectors. The scores are of the vectors before it, so
        that AUC, AP, F1 and log loss are null, and the row says why.

    Returns
    -------
    Measures
        Rates in [0, 1]. ``reid/num_rounded`` and ``reid/num_tied_apart`` say how many vectors that
        differ are not told apart, where there are any; see ``Outcome``.
    """
    ranks, user = _mated(outcome)
    credits = reid.credits(ranks, outcome.num_gallery)
    row = asdict(reid.identification(ranks, user, outcome.num_gallery))
    row |= _bounds(credits, user, outcome.num_gallery) | {"num_dropped": outcome.num_dropped}
    extra = _open_set(outcome)
    reasons = [f"strongest on validation: {outcome.chosen}"] if outcome.chosen else []
    reasons += [BELOW_CHANCE] if row["lift_high"] < 1 else []
    extra |= {f"inversion/{name}": value for name, value in outcome.facts.items()}
    merged = {"rounded": outcome.num_rounded, "tied_apart": outcome.num_tied_apart}
    extra |= {f"reid/num_{name}": float(count) for name, count in merged.items() if count}
    if fitted is not None:
        extra |= fitted.facts
        extra["train/examples_per_s"] = fmean(e["examples_per_s"] for e in fitted.history)
        row["num_parameters"] = fitted.num_parameters
        utility, more = ({}, {}) if defended else _utility(fitted)
        row, extra = row | utility, extra | more
        reasons += [DEFENDED] if defended else []
    if reasons:
        row["reason"] = "; ".join(reasons)
    row |= verdict(credits, user, auc=row.pop("auc_doubt", None))
    return Measures(row, extra, _users(outcome))


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
        Those of the candidate with the largest top-1 on validation, the first of equals.
    """
    outcomes = [result for result in results if isinstance(result, Outcome)]
    measures = [result for result in results if isinstance(result, Measures)]
    top1 = [reid.top_credit(_mated(outcome)[0], 1).mean() for outcome in outcomes]
    chosen = int(np.argmax(top1))
    row = measures[chosen].row
    reasons = [f"strongest on validation: {candidates[chosen]}", row.get("reason")]
    return replace(measures[chosen], row=row | {"reason": "; ".join(filter(None, reasons))})


def _mated(outcome: Outcome) -> tuple[Ranks, NDArray[np.int64]]:
    """Ranks of the probes whose user is in the gallery, and those users."""
    probes = outcome.probes
    ranks = Ranks(probes["greater"].to_numpy(), probes["equal"].to_numpy())
    known = reid.mated(ranks, outcome.num_gallery)
    user = probes["user_id"].to_numpy()[known]
    return Ranks(ranks.greater[known], ranks.equal[known]), user


def _users(outcome: Outcome) -> pl.DataFrame:
    risk = user_risk(*_mated(outcome))
    table = pl.DataFrame(asdict(risk)).rename({"user": "user_id"})
    return table.with_columns(decile=pl.Series(decile(risk.num_probes)))


def _utility(fitted: Fitted) -> tuple[dict[str, Any], dict[str, float]]:
    """Keys of the row, and what the tracker shows besides."""
    validation, test = (_scores(fitted, window) for window in ("validation", "test"))
    utility = asdict(metrics.utility(validation, test, fitted.positive_weight[0]))
    keys = ("auc", "auc_low", "auc_high", "auc_doubt", "ap", "f1", "log_loss")
    row = {key: utility[key] for key in keys}
    return row, {"utility/rce": utility["rce"]} | _by_label(fitted)


def _by_label(fitted: Fitted) -> dict[str, float]:
    """AP and RCE of every label on test, where the model scores several."""
    names = scores.labels(fitted.scores)
    test = fitted.scores.filter(pl.col("window") == "test")
    found = {}
    for name, weight in zip(names, fitted.positive_weight, strict=True):
        label = test[name].to_numpy()
        if len(names) > 1 and 0 < label.mean() < 1:
            log_odds = test[scores.logit(name)].to_numpy().astype(np.float64) - np.log(weight)
            found[f"utility/ap_{name}"] = float(average_precision_score(label, log_odds))
            found[f"utility/rce_{name}"] = metrics.relative_cross_entropy(log_odds, label)
    return found


def _scores(fitted: Fitted, window: str) -> metrics.Scores:
    events = fitted.scores.filter(pl.col("window") == window)
    columns = (events[name].to_numpy() for name in ("logit", "engaged", "user_id"))
    return metrics.Scores(*columns)


def _bounds(
    credits: dict[str, Values], user: NDArray[np.int64], num_gallery: int
) -> dict[str, float]:
    """Return the bounds of every figure that has some."""
    columns = {**credits, "per_user_top1": credits["top1"]}
    per_user = [name == "per_user_top1" for name in columns]
    bounds = rate_intervals(np.column_stack(list(columns.values())), user, per_user=per_user)
    found: dict[str, float] = {}
    for end, values in bounds._asdict().items():
        found |= {f"{name}_{end}": v for name, v in zip(columns, values.tolist(), strict=True)}
        found[f"lift_{end}"] = found[f"top1_{end}"] * num_gallery
        found[f"bits_{end}"] *= math.log2(num_gallery)
    return found


def _open_set(outcome: Outcome) -> dict[str, float]:
    """FNIR at three FPIR, where the protocol has probes of unknown users."""
    unmated = outcome.probes.filter(pl.col("greater") == outcome.num_gallery)
    if unmated.is_empty():
        return {}
    mated = outcome.probes.filter(pl.col("greater") < outcome.num_gallery)
    best, unmated_best = mated["best"].to_numpy(), unmated["best"].to_numpy()
    first = reid.top_credit(_mated(outcome)[0], 1)
    rates = {fpir: fnir_at_fpir(best, first, unmated_best, fpir) for fpir in FPIRS}
    return {f"reid/fnir_at_fpir_{f}": rate for f, rate in rates.items() if rate is not None}
