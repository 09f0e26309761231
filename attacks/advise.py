"""Which defense, and how strong, to release vectors with.

``latentprint advise`` does the same for files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.advice.ladders import Ladder, ladders
from attacks.advice.lift import Lift, quick, thorough, trained
from attacks.advice.result import Advice, Option
from attacks.advice.search import Found, Search, Target, gallop, plain
from attacks.advice.world import PARTS, World, prepared
from attacks.certify import why_none
from attacks.defenses.base import Defense
from attacks.defenses.none import Undefended


def advise(  # noqa: PLR0913 - each column of the data is one
    user_id: NDArray[Any],
    vector: NDArray[Any],
    *,
    max_lift: float,
    releases: int = 1,
    labels: Mapping[str, NDArray[Any]] | None = None,
    certified: bool = False,
    time: NDArray[Any] | None = None,
    role: NDArray[Any] | None = None,
    session: NDArray[Any] | None = None,
    seed: int = 0,
    say: Callable[[str], object] | None = None,
) -> Advice:
    """Find the defense that costs least among those under which nobody is named too often.

    A fifth of the users, drawn at random, is what defenses and heads are fitted to; on two fifths
    the strengths and the defense are chosen; the figures are those of the last two fifths. The
    attacker always holds the gallery vectors of all users, defended as the probes are. Defenses
    are tried from weak to strong by bisection, against attackers with a closed form; what is worth
    most withstands attackers that learn from the defended gallery, too, or is made stronger.

    Parameters
    ----------
    user_id : (n,)
        Whose each vector is.
    vector : (n, d)
        As for `attacks.audit.audit`, and so are ``time``, ``role`` and ``session``.
    max_lift
        The largest allowed upper end of the 95 % interval of the strongest attacker's top-1 over
        chance, at least 1.
    releases
        Independent releases of each vector that the attacker averages, at least 1.
    labels
        By name, what is predicted from each vector ``(n,)``: two values each. The cost is their
        AUC; without labels, how much is left of who is near whom.
    certified
        Whether only defenses count that bound the lift of every attacker, known or not, by
        ``max_lift``.
    seed
        Decides the parts, the randomness of trials and the attackers; not that of ``release``.
    say
        Called with a line on what is being done.

    Returns
    -------
    Advice
        ``to_dict()`` is the command's JSON; ``release`` makes the defended vectors.

    Raises
    ------
    ValueError
        If ``max_lift`` is below 1, the vectors cannot be audited, a label has not two classes, or
        no defense reaches the target: the message says which comes nearest.

    Examples
    --------
    >>> found = advise(user_id, vector, time=time, max_lift=10, labels={"finished": finished})
    >>> found.chosen.defense, found.chosen.parameters, found.chosen.lift.high
    >>> defended = found.release(None)
    """
    if not 1 <= max_lift < np.inf:
        raise ValueError(f"max-lift: found {max_lift:g}, allowed: 1 (chance) or more")
    if releases < 1:
        raise ValueError(f"releases: found {releases}, allowed: at least 1")
    world = prepared(
        user_id, vector, labels or {}, time=time, role=role, session=session, seed=seed
    )
    say = say or (lambda _: None)
    search = Search(world, Target(max_lift, releases, certified, seed), say)
    none = Ladder("none", Undefended, [{}])
    say("none: attacking undefended vectors")
    options = [search.confirmed(search.untried(none), thorough())]
    undefended = options[0]
    reported = _reported(search, options)
    if reported is None:
        options = [search.weakest(ladder) for ladder in _ladders(search, certified, releases)]
        reported = _reported(search, options)
    if reported is None:
        raise ValueError(_unreached(search, options))
    found, defense, lift, num_looks = reported
    chosen = _option(search, found, defense, lift)
    others = sorted((one for one in options if one.ladder is not found.ladder), key=_worth)
    return Advice(
        max_lift=max_lift,
        releases=releases,
        is_certified=certified,
        num_gallery=world.num_gallery,
        num_users={part: world.num_users(part) for part in PARTS},
        num_looks=num_looks,
        chosen=chosen,
        undefended=_option(
            search, undefended, Undefended(), search.lift(Undefended(), "report", trained())
        ),
        options=(chosen, *(_other(search, one) for one in others)),
        fitted=defense,
        release=_releaser(world, defense),
    )


def _ladders(search: Search, certified: bool, releases: int) -> list[Ladder]:
    """List what may be tried; of several releases groups bound together only if they are kept."""
    found = ladders(
        search.world.released.vectors.shape[1],
        search.fewest_users(),
        has_labels=bool(search.world.label_names),
        keeps_groups=certified and releases > 1,
    )
    return [one for one in found if one.is_certified or not certified]


def _reported(search: Search, options: list[Found]) -> tuple[Found, Defense, Lift, int] | None:
    """Report on the cheapest option, made stronger while it fails there, or else on the next."""
    num_looks = 0
    while (best := search.cheapest(options)) is not None:
        for step in gallop(best.step, len(best.ladder.steps)):
            search.say(f"{best.ladder.name} {plain(best.ladder.steps[step])}: reporting")
            defense = search.fitted(best.ladder, step)
            lift = search.lift(defense, "report", trained())
            num_looks += 1
            if lift.high <= search.target.max_lift:
                return replace(best, step=step), defense, lift, num_looks
        options[options.index(best)] = replace(best, cost=None)
    return None


def _option(search: Search, found: Found, defense: Defense, lift: Lift) -> Option:
    """Describe an option by its figures on the reporting users."""
    most = search.bound(defense)
    return Option(
        found.ladder.name.split()[0],
        found.ladder.steps[found.step],
        found.cost is not None,
        lift,
        search.cost(defense, "report"),
        found.lift,
        most,
        None if most is not None else why_none(defense),
    )


def _other(search: Search, found: Found) -> Option:
    """Describe an option that was not chosen, attacked by what learns nothing."""
    search.say(f"{found.ladder.name}: reporting")
    defense = search.fitted(found.ladder, found.step)
    option = _option(search, found, defense, search.lift(defense, "report", quick()))
    return option if option.reaches else replace(option, lift=None)


def _worth(found: Found) -> float:
    return -found.cost.worth if found.cost else 1.0 + found.lift.high


def _unreached(search: Search, options: list[Found]) -> str:
    target = search.target
    asked = f"max-lift: no defense reaches {target.max_lift:g} with {target.releases} releases"
    if target.is_certified:
        bounds = [(search.bound(search.fitted(one.ladder, one.step)), one) for one in options]
        most, best = min(
            ((most, one) for most, one in bounds if most is not None), key=lambda pair: pair[0]
        )
        reached = f"certified {most:.4g}, and as high as {best.lift.high:.4g} when attacked"
    else:
        best = min(options, key=lambda one: one.lift.high)
        reached = f"as high as {best.lift.high:.4g} when attacked"
    name = f"{best.ladder.name} {plain(best.ladder.steps[best.step])}"
    return f"{asked} for these vectors; the best is {name}, {reached}"


def _releaser(
    world: World, defense: Defense
) -> Callable[[np.random.Generator | None], NDArray[Any]]:
    def release(rng: np.random.Generator | None = None) -> NDArray[Any]:
        found = defense.apply(world.released, rng or np.random.default_rng())
        return found + world.offset if world.offset.any() else found

    return release
