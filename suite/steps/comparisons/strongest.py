"""The strongest of several attacks: chosen on validation, reported on test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attacks.measures import metrics
from suite.artifacts.figures import Reference
from suite.artifacts.outcome import Outcome


def strongest(*outcomes: Outcome, candidates: list[str]) -> Outcome:
    """Return the test ranks of the candidate with the largest top-1 on validation.

    Parameters
    ----------
    outcomes
        Ranks of each candidate on validation, then of each on test.
    candidates
        Their names, in the same order; the first of equals is chosen. Top-1 is compared in
        galleries of the smallest N of all.

    Returns
    -------
    Outcome
        With the name of the chosen one.
    """
    on_validation, on_test = outcomes[: len(candidates)], outcomes[len(candidates) :]
    chosen = int(np.argmax(top1_alike(on_validation)))
    return replace(on_test[chosen], chosen=candidates[chosen])


def reference(*outcomes: Outcome, candidates: list[str]) -> Reference:
    """Return the lift of the strongest attack on a model's inputs; arguments as above."""
    found = strongest(*outcomes, candidates=candidates)
    return Reference(top1(found) * found.num_gallery, found.chosen)


def top1(outcome: Outcome) -> float:
    """Top-1 rate over the probes whose user is in the gallery."""
    return float(metrics.top_credit(outcome.mated().ranks, 1).mean())


def top1_alike(outcomes: Sequence[Outcome]) -> list[float]:
    """Top-1 rate of each, in galleries of the smallest N of all.

    An attack that learns from background users names the others in a smaller gallery, where
    everybody is found more often.
    """
    common = min(outcome.num_gallery for outcome in outcomes)
    return [
        float(metrics.top1_credit_at(outcome.mated().ranks, outcome.num_gallery, common).mean())
        for outcome in outcomes
    ]
