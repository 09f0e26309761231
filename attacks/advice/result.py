"""Advice, as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.advice.cost import Cost
from attacks.advice.lift import Lift
from attacks.defenses.base import Defense


@dataclass(frozen=True)
class Option:
    """A defense at the weakest strength that reaches the target, or at its strongest.

    Attributes
    ----------
    defense, parameters
        As a suite file names them.
    reaches
        Whether the target was reached on the choosing users.
    lift, cost
        On the reporting users; None where the target was not reached: ``chosen_on`` is all there
        is.
    chosen_on
        Lift on the choosing users.
    bound_lift, bound_reason
        Lift that no attacker exceeds, or why there is no such bound.
    """

    defense: str
    parameters: dict[str, Any]
    reaches: bool
    lift: Lift | None
    cost: Cost | None
    chosen_on: Lift
    bound_lift: float | None
    bound_reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {name: getattr(self, name) for name in ("defense", "parameters", "reaches")}
        lifts = {
            name: None if one is None else one._asdict()
            for name, one in (("lift", self.lift), ("chosen_on", self.chosen_on))
        }
        bounds = {"bound_lift": self.bound_lift, "bound_reason": self.bound_reason}
        return plain | lifts | {"cost": self.cost and asdict(self.cost)} | bounds


@dataclass(frozen=True)
class Advice:
    """Which defense to release with.

    Attributes
    ----------
    max_lift, releases, is_certified
        What was asked for.
    num_gallery
        Users whom the attacker knows.
    num_users
        Those the defenses were fitted to, those they were chosen on, and those reported on.
    num_looks
        How often the chosen defense was reported on, going up a strength each time it failed.
    chosen
        The defense that is worth most among those that reach the target.
    undefended
        The same figures without a defense.
    options
        All defenses, the chosen one first, then by worth.
    fitted
        The chosen defense.
    release
        Release all vectors once, ``(n, d)``, with randomness that is given; with none, with the
        operating system's: whoever knows a seed can subtract the noise.
    """

    max_lift: float
    releases: int
    is_certified: bool
    num_gallery: int
    num_users: dict[str, int]
    num_looks: int
    chosen: Option
    undefended: Option
    options: tuple[Option, ...]
    fitted: Defense = field(repr=False)
    release: Callable[[np.random.Generator | None], NDArray[Any]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the fitted defense, as plain data for JSON."""
        kept = ("max_lift", "releases", "is_certified", "num_gallery", "num_users", "num_looks")
        return {
            **{name: getattr(self, name) for name in kept},
            "chosen": self.chosen.to_dict(),
            "undefended": self.undefended.to_dict(),
            "options": [one.to_dict() for one in self.options],
        }
