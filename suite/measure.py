"""From raw ranks and scores to the figures of a row, and from rows to the leaderboard."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl

from attacks import metrics as reid
from attacks import stats
from attacks.ranking import Ranks
from suite import metrics
from suite.attack import Outcome
from suite.leaderboard import Row
from suite.train import Fitted


@dataclass(frozen=True)
class Measures:
    """Figures of one cell.

    Attributes
    ----------
    row
        Keys of the leaderboard's row.
    extra
        What the tracker shows besides, by its metric key.
    """

    row: dict[str, Any]
    extra: dict[str, float]

    def save(self, folder: Path) -> None:
        """Write measures.json."""
        (folder / "measures.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Measures:
        """Read what ``save`` wrote."""
        return cls(**json.loads((folder / "measures.json").read_text()))


def measure(
    outcome: Outcome, fitted: Fitted | None = None, *, replicates: int, seed: int
) -> Measures:
    """Compute every figure of a cell.

    Parameters
    ----------
    outcome
        Ranks of all probes.
    fitted
        Scores of the model; None for a release that is no model's, whose utility is null.
    replicates
        Of the bootstrap over users, the gallery fixed.
    seed
        Of the bootstrap.

    Returns
    -------
    Measures
        Rates in [0, 1].
    """
    row, extra = _reidentification(outcome, replicates, seed), {}
    if fitted is not None:
        validation, test = (_scores(fitted, window) for window in ("validation", "test"))
        utility = asdict(metrics.utility(validation, test, fitted.positive_weight[0]))
        extra["utility/rce"] = utility["rce"]
        extra["train/examples_per_s"] = fmean(e["examples_per_s"] for e in fitted.history)
        keys = ("auc", "auc_low", "auc_high", "ap", "f1", "log_loss")
        row |= {key: utility[key] for key in keys}
        row["num_parameters"] = fitted.num_parameters
    return Measures({key: value for key, value in row.items() if key in Row.model_fields}, extra)


def _scores(fitted: Fitted, window: str) -> metrics.Scores:
    events = fitted.scores.filter(pl.col("window") == window)
    columns = (events[name].to_numpy() for name in ("logit", "engaged", "user_id"))
    return metrics.Scores(*columns)


def _reidentification(outcome: Outcome, replicates: int, seed: int) -> dict[str, Any]:
    probes = outcome.probes
    ranks = Ranks(probes["greater"].to_numpy(), probes["equal"].to_numpy())
    user = probes["user_id"].to_numpy()
    found = asdict(reid.identification(ranks, user, outcome.num_gallery))

    known = reid.mated(ranks, outcome.num_gallery)
    ranks, user = Ranks(ranks.greater[known], ranks.equal[known]), user[known]
    top1, reciprocal = reid.top_credit(ranks, 1), reid.reciprocal_rank(ranks)
    draws: dict[str, Any] = {"replicates": replicates, "rng": np.random.default_rng(seed)}
    over_probes = stats.rate_intervals(np.column_stack([top1, reciprocal]), user, **draws)
    over_users = stats.rate_intervals(top1[:, None], user, per_user=True, **draws)
    for end in ("low", "high"):
        found[f"top1_{end}"], found[f"mrr_{end}"] = getattr(over_probes, end).tolist()
        found[f"lift_{end}"] = found[f"top1_{end}"] * outcome.num_gallery
        (found[f"per_user_top1_{end}"],) = getattr(over_users, end).tolist()
    return {**found, "num_dropped": outcome.num_dropped}
