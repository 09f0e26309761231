"""The weakest strength of each defense that reaches a target, and the cheapest of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attacks.advice.cost import Cost, cost
from attacks.advice.ladders import Ladder
from attacks.advice.lift import Lift, coarse, quick, strongest, thorough
from attacks.advice.world import Part, World
from attacks.audit.defended import chosen
from attacks.base import Attack
from attacks.certify import bound
from attacks.defenses.base import Defense

FEW_PROBES, MOST_PROBES = 4_000, 20_000
"""On which a strength is sought, and on which it is confirmed and reported."""


@dataclass(frozen=True)
class Target:
    """What is to be reached.

    Attributes
    ----------
    max_lift
        Largest upper end of the strongest attacker's lift.
    releases
        Independent releases of each vector that the attacker averages.
    is_certified
        Whether a bound on every attacker has to be as low, too.
    seed
        Of all randomness.
    """

    max_lift: float
    releases: int
    is_certified: bool
    seed: int


@dataclass(frozen=True)
class Found:
    """A strength on a ladder.

    Attributes
    ----------
    step
        Of the ladder.
    lift
        On choosing users.
    cost
        On choosing users; None where the target is not reached.
    is_refined
        Whether attackers that learn from the defended gallery have tried.
    """

    ladder: Ladder
    step: int
    lift: Lift
    cost: Cost | None = None
    is_refined: bool = False


class Search:
    """Finds strengths on the choosing users.

    Parameters
    ----------
    world
    target
    say
        Called with a line on what is being done.
    """

    def __init__(self, world: World, target: Target, say: Callable[[str], object]) -> None:
        self.world = world
        self.target = target
        self.say = say
        # Where nobody is named, the upper end is about 3.7 over the probes: they have to suffice.
        needed = world.num_gallery / target.max_lift
        self.few = max(FEW_PROBES, math.ceil(4 * needed))
        self.most = max(MOST_PROBES, math.ceil(20 * needed))

    def untried(self, ladder: Ladder, step: int = 0) -> Found:
        """Return a strength that nobody has attacked."""
        return Found(ladder, step, Lift(np.inf, np.inf, np.inf, "", 0))

    def fewest_users(self) -> int:
        """Users with a probe in the smallest release that is attacked."""
        parts: tuple[Part, ...] = ("choose", "report")
        rows = [self.world.probes(part, self.few, self.target.seed) for part in parts]
        return min(len(np.unique(self.world.released.user_row[one])) for one in rows)

    def fitted(self, ladder: Ladder, step: int) -> Defense:
        """Make a defense and fit it to the fitting users' vectors."""
        defense = ladder.made(step)
        rows = self.world.rows("fit", MOST_PROBES, self.target.seed)
        defense.fit(chosen(self.world.released, rows), np.random.default_rng([self.target.seed, 0]))
        return defense

    def lift(
        self, defense: Defense, part: Part, attacks: Mapping[str, Attack], most: int | None = None
    ) -> Lift:
        """Attack what a defense releases of a part's users."""
        seed, releases = self.target.seed, self.target.releases
        probe = self.world.probes(part, most or self.most, seed)
        return strongest(self.world, defense, probe, attacks, releases=releases, seed=seed)

    def cost(self, defense: Defense, part: Part) -> Cost:
        """Measure what one release of a part's users is worth."""
        rng = np.random.default_rng([self.target.seed, 3])
        return cost(self.world, defense.apply(self.world.released, rng), part, self.target.seed)

    def bound(self, defense: Defense) -> float | None:
        """Lift that no attacker exceeds; None where there is no such bound."""
        certificate, size = defense.certificate(), self.world.num_gallery
        if certificate is None:
            return None
        num_released = int(self.world.released.user_row.max()) + 1
        return size * bound(
            certificate, size, releases=self.target.releases, num_released=num_released
        )

    def weakest(self, ladder: Ladder) -> Found:
        """Find the weakest step that reaches the target, by bisection; else the strongest.

        A step reaches it if the lift does on few probes and then, going up from there, on many.
        """
        low, high = 0, len(ladder.steps) - 1
        self.say(f"{ladder.name}: looking for the weakest strength")
        while low < high:
            middle = (low + high) // 2
            if self._holds(ladder, middle):
                high = middle
            else:
                low = middle + 1
        return self.confirmed(self.untried(ladder, low), quick())

    def confirmed(self, found: Found, attacks: Mapping[str, Attack]) -> Found:
        """Take the next stronger step that reaches the target on all probes that are looked at."""
        ladder, failed = found.ladder, found.step - 1
        tried: dict[int, Lift] = {}

        def holds(step: int) -> bool:
            defense = self.fitted(ladder, step)
            tried[step] = self.lift(defense, "choose", attacks)
            return tried[step].high <= self.target.max_lift and self._is_bounded(defense)

        for step in gallop(found.step, len(ladder.steps)):
            if holds(step):
                break
            failed = step
        else:
            return replace(found, step=step, lift=tried[step], cost=None)
        while step - failed > 1:
            middle = (failed + step) // 2
            failed, step = (failed, middle) if holds(middle) else (middle, step)
        spent = self.cost(self.fitted(ladder, step), "choose")
        refined = len(attacks) > len(quick())
        return replace(found, step=step, lift=tried[step], cost=spent, is_refined=refined)

    def cheapest(self, options: list[Found]) -> Found | None:
        """Choose what is worth most after all attackers have tried it; None where nothing reaches.

        The options that are looked at are replaced by what withstands all attackers.
        """
        while True:
            able = [one for one in options if one.cost is not None]
            if not able:
                return None
            best = max(able, key=lambda one: one.cost.worth if one.cost else 0.0)
            if best.is_refined:
                return best
            self.say(f"{best.ladder.name}: trying attackers that learn")
            options[options.index(best)] = self.confirmed(best, thorough())

    def _holds(self, ladder: Ladder, step: int) -> bool:
        """Whether a step may reach the target, as far as few probes tell: intervals are wide."""
        defense = self.fitted(ladder, step)
        if not self._is_bounded(defense):
            return False
        return self.lift(defense, "choose", coarse(), self.few).high <= 2 * self.target.max_lift

    def _is_bounded(self, defense: Defense) -> bool:
        if not self.target.is_certified:
            return True
        most = self.bound(defense)
        return most is not None and most <= self.target.max_lift


def gallop(start: int, stop: int) -> Iterator[int]:
    """Count up by steps that double, and end with the last."""
    step, width = start, 1
    while step < stop - 1:
        yield step
        step, width = step + width, 2 * width
    yield stop - 1


def plain(parameters: dict[str, Any]) -> str:
    """Write parameters as a suite file has them."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in parameters.items()) + "}"
