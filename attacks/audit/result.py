"""Results of an audit, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from attacks.audit.attribute import AttributeResult
from attacks.measures.forecast import Forecast
from attacks.measures.risk import ActivityDecile, UserRisk


@dataclass(frozen=True)
class AttackResult:
    """Result of one attack.

    Attributes
    ----------
    attack
        Its name.
    figures
        Keys and units of the leaderboard: ``top1 top5 top10 top20 mrr mean_rank median_rank bits
        lift chance num_gallery num_probes num_dropped num_users_always num_users_never
        per_user_top1``, with ``_low`` and ``_high`` if there is an interval over users. Also
        ``bits_low bits_high bits_chance num_users``, and of the probed users the
        ``share_always`` and ``share_never`` identified, with intervals. None: a k above N.
    interval, interval_reason
        ``unreliable`` if the intervals of the figures over vectors may cover less often than their
        nominal level, and why; otherwise ``ok``. That of per_user_top1 is reliable.
    curve
        Exact top-1 in random smaller galleries: ``(num_gallery, top1)``.
    forecasts
        For the requested galleries, without figures if rejected; None if fewer than 10 users are
        identified, or missed, or fewer than 40 are in the gallery.
    by_activity
        Figures by decile of the users' number of vectors.
    users
        One row per probed user.
    num_tied_apart
        Number of probes whose true user ties with a gallery user with another vector.
    """

    attack: str
    figures: dict[str, float | int | None]
    interval: str
    interval_reason: str | None
    curve: tuple[tuple[int, float], ...]
    forecasts: tuple[Forecast, ...] | None
    by_activity: tuple[ActivityDecile, ...]
    users: UserRisk
    num_tied_apart: int

    @property
    def row(self) -> dict[str, Any]:
        """Name and figures: one row of a table."""
        interval = {"interval": self.interval, "interval_reason": self.interval_reason}
        return {"attack": self.attack, **self.figures, **interval}


@dataclass(frozen=True)
class AttackDifference:
    """Top-1 of one attack minus that of another on the same probes.

    Attributes
    ----------
    p_holm
        Corrected for all differences of the audit. For the rest see
        `attacks.measures.comparisons.Difference`.
    """

    attack: str
    other: str
    difference: float
    low: float
    high: float
    p: float
    doubt: str | None
    p_holm: float


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes
    ----------
    num_vectors, num_dimensions, num_users
        As given.
    split_by
        Basis of the split; with ``random`` figures are optimistic for the attacker.
    num_dropped, num_users_dropped
        Vectors without a role, and users without any; see `attacks.audit.split.Split`.
    num_users_repeated
        Users with two or more vectors.
    num_users_constant
        Of these, users whose vectors are all equal.
    num_users_identifier
        Of these, users whose vector no other user has: an identifier by construction.
    num_vectors_merged
        Vectors that equal another one as float32, but not in the input.
    largest_offset
        Largest number that was subtracted from a dimension before rounding to float32; 0: none.
    num_equal_classes, num_users_equal, largest_equal_class
        Groups of gallery users whose vector is exactly the same, the users in them, and the
        largest group (1: none). An attacker can only guess within a group.
    attacks
        One per attack, in the given order.
    differences
        Between all pairs of attacks on the same probes.
    attributes
        Inference of the users' attributes, in the given order.
    defended
        Audit of the vectors as released by each defense, by its name.
    num_users_background
        Number of users used for fitting only: not in the gallery and not identified.
    words
        The findings in plain sentences, by `attacks.audit.sentences`.
    """

    num_vectors: int
    num_dimensions: int
    num_users: int
    split_by: Literal["role", "time", "random"]
    num_dropped: int
    num_users_dropped: int
    num_users_repeated: int
    num_users_constant: int
    num_users_identifier: int
    num_vectors_merged: int
    largest_offset: float
    num_equal_classes: int
    num_users_equal: int
    largest_equal_class: int
    attacks: tuple[AttackResult, ...]
    differences: tuple[AttackDifference, ...]
    attributes: tuple[AttributeResult, ...] = ()
    defended: Mapping[str, Audit] = field(default_factory=dict)
    num_users_background: int = 0
    words: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the per-user tables, as plain data for JSON."""
        plain = {
            key: value for key, value in vars(self).items() if isinstance(value, int | float | str)
        }
        attacks = [
            {
                **result.row,
                "num_tied_apart": result.num_tied_apart,
                "curve": [{"num_gallery": n, "top1": rate} for n, rate in result.curve],
                "forecasts": None
                if result.forecasts is None
                else [asdict(one) for one in result.forecasts],
                "by_activity": [asdict(one) for one in result.by_activity],
            }
            for result in self.attacks
        ]
        differences = [asdict(one) for one in self.differences]
        return {
            **plain,
            "words": list(self.words),
            "attacks": attacks,
            "differences": differences,
            "attributes": [asdict(one) for one in self.attributes],
            "defended": {name: audit.to_dict() for name, audit in self.defended.items()},
        }
