"""What the defenses of a suite offer: the Pareto set, its hypervolume, and what to release.

Only rows of the strongest attacker are read: what a weaker one does not reach is no protection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from attacks.measures.frontier import anonymity, hypervolume, kept
from suite.artifacts.figures import Measures
from suite.leaderboard.sections import Section
from suite.plan.chain import BEST
from suite.plan.plan import Plan
from suite.spec import UNDEFENDED
from tuning.pareto import front

SHARES = (0.99, 0.95, 0.9)
"""Of AUC - 0.5, for each of which the least identifying release is sought."""

LABELS = (1, 2, 5)
"""How many labels are to be served; their AUCs are averaged."""


@dataclass(frozen=True)
class Offer:
    """One release under one defense, attacked by the strongest attacker.

    Attributes
    ----------
    group
        Data set, protocol and number of releases: offers within one are compared.
    model, defense
        Names.
    family
        The defense without its strength.
    row, extra
        Figures of ``Measures``.
    """

    group: tuple[str, str, str]
    model: str
    defense: str
    family: str
    row: dict[str, Any]
    extra: dict[str, float]

    def auc(self, num_labels: int, window: str = "test") -> float | None:
        """Mean AUC of the first labels; None where there are fewer, or one has no AUC."""
        prefix = "utility/auc_validation" if window == "validation" else "utility/auc"
        if num_labels == 1 and window == "test":
            return float(self.row["auc"])
        if num_labels == 1 and prefix in self.extra:
            return self.extra[prefix]
        labels = [key for key in self.extra if key.startswith("utility/rce_")]
        names = [f"{prefix}_{key.removeprefix('utility/rce_')}" for key in labels[:num_labels]]
        if len(names) < num_labels or not self.extra.keys() >= set(names):
            return None
        return float(np.mean([self.extra[name] for name in names]))


def sections(measured: Sequence[tuple[Plan, Measures]]) -> list[Section]:
    """Return the tables of a suite with defenses; nothing where there is none, or no ``best``."""
    return [table for table in _tables(measured) if table.lines]


def _tables(measured: Sequence[tuple[Plan, Measures]]) -> Iterator[Section]:
    offers = [_offer(p, figures) for p, figures in measured if p.cell.attack.name == BEST]
    groups = _groups([offer for offer in offers if offer.row.get("auc") is not None])
    header = ("dataset", "protocol", "m")
    if groups:
        yield Section(
            title="frontier: releases that no other one beats in both AUC and lift (best attack)",
            header=(*header, "model", "defense", "AUC", "lift", "lift certified"),
            lines=tuple((*key, *line) for key, of in groups for line in _pareto(of)),
        )
        yield Section(
            title="hypervolume between utility kept (AUC - 0.5) and identity kept back (1 - log "
            "lift / log N), per defense over its strengths; 1 is all of both",
            header=(*header, "model", "defense", "strengths", "hypervolume"),
            lines=tuple((*key, *line) for key, of in groups for line in _hypervolumes(of)),
        )
        yield Section(
            title="what to release: the least identifying defense that keeps a share of AUC - 0.5; "
            "chosen on validation, reported on test",
            header=(
                *(*header, "labels", "keeps", "model", "defense"),
                *("kept on test", "lift", "lift undefended"),
            ),
            lines=tuple((*key, *line) for key, of in groups for line in _advice(of)),
        )


def _groups(offers: list[Offer]) -> list[tuple[tuple[str, str, str], list[Offer]]]:
    """Offers that may be compared; those without a defense take part at any number of releases."""
    plain = [offer for offer in offers if offer.family == UNDEFENDED]
    defended = sorted(
        (offer for offer in offers if offer.family != UNDEFENDED), key=lambda offer: offer.group
    )
    return [
        (key, [*(offer for offer in plain if offer.group[:2] == key[:2]), *of])
        for key, of in groupby(defended, key=lambda offer: offer.group)
    ]


def _offer(plan: Plan, measures: Measures) -> Offer:
    names, cell = plan.names, plan.cell
    return Offer(
        group=(names["dataset"], names["protocol"], str(cell.releases_m)),
        model=names["model"] if cell.release == "model" else f"{names['model']}, {cell.release}",
        defense=names["defense"],
        family=cell.defense.name,
        row=measures.row,
        extra=measures.extra,
    )


def _pareto(offers: list[Offer]) -> Iterator[tuple[str, ...]]:
    values = np.array([(offer.row["auc"], -offer.row["lift"]) for offer in offers])
    chosen = [offer for offer, on in zip(offers, front(values), strict=True) if on]
    for offer in sorted(chosen, key=lambda offer: -offer.row["auc"]):
        bound = offer.row.get("bound_lift")
        yield (
            offer.model,
            offer.defense,
            _interval(offer.row, "auc", ".3f"),
            _interval(offer.row, "lift", ".3g"),
            "" if bound is None else f"<= {bound:.3g}",
        )


def _hypervolumes(offers: list[Offer]) -> Iterator[tuple[str, ...]]:
    """Of each model and defense with the undefended release beside it, and of all together."""
    for model in sorted({offer.model for offer in offers}):
        own = [offer for offer in offers if offer.model == model]
        plain = [offer for offer in own if offer.family == UNDEFENDED]
        if not plain or plain[0].row["auc"] <= 0.5:
            continue
        families = sorted({offer.family for offer in own} - {UNDEFENDED})
        for name, of in [(f, [o for o in own if o.family == f]) for f in families] + [("all", own)]:
            yield model, name, str(len(of)), _volume([*plain, *of], plain[0].row["auc"])


def _volume(offers: list[Offer], undefended: float) -> str:
    """Hypervolume, and those of the less and the more favorable ends of all intervals."""
    found = []
    for auc, lift in (("auc", "lift"), ("auc_low", "lift_high"), ("auc_high", "lift_low")):
        utility = kept(np.array([offer.row[auc] for offer in offers]), undefended)
        sizes = np.array([offer.row["num_gallery"] for offer in offers])
        privacy = anonymity(np.array([offer.row[lift] for offer in offers]), sizes)
        found.append(hypervolume(utility, privacy))
    return "{:.3f} [{:.3f}, {:.3f}]".format(*found)


def _advice(offers: list[Offer]) -> Iterator[tuple[str, ...]]:
    for num_labels in LABELS:
        plain = [o for o in offers if o.family == UNDEFENDED and _readable(o, num_labels)]
        if not plain:
            continue
        # The model to start from is chosen on validation too.
        start = max(plain, key=lambda o: o.auc(num_labels, "validation") or 0.0)
        before = {w: start.auc(num_labels, w) or 0.5 for w in ("validation", "test")}
        if min(before.values()) <= 0.5:
            continue
        able = [o for o in offers if _readable(o, num_labels)]
        for share in SHARES:
            least = 0.5 + share * (before["validation"] - 0.5)
            enough = [o for o in able if (o.auc(num_labels, "validation") or 0.0) >= least]
            chosen = min(enough, key=lambda o: o.extra["reid/lift_validation"])
            left = (chosen.auc(num_labels) or 0.5) - 0.5
            yield (
                str(num_labels),
                f"{share:.0%}",
                chosen.model,
                chosen.defense,
                f"{left / (before['test'] - 0.5):.1%}",
                _interval(chosen.row, "lift", ".3g"),
                _interval(start.row, "lift", ".3g"),
            )


def _readable(offer: Offer, num_labels: int) -> bool:
    return (
        offer.auc(num_labels) is not None
        and offer.auc(num_labels, "validation") is not None
        and "reid/lift_validation" in offer.extra
    )


def _interval(row: dict[str, Any], key: str, form: str) -> str:
    value, low, high = (row[f"{key}{end}"] for end in ("", "_low", "_high"))
    if low is None or high is None:
        return f"{value:{form}}"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"
