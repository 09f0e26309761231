"""How well users are named in what a defense releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attacks.advice.world import Rows, World
from attacks.audit.defended import chosen
from attacks.base import Attack
from attacks.bayes import Bayes
from attacks.cosine import Cosine
from attacks.defenses.base import Defense
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery
from attacks.lda import Lda
from attacks.learned_metric import LearnedMetric
from attacks.measures.intervals import rate_intervals
from attacks.measures.metrics import top_credit
from attacks.measures.reliability import doubt_of_mean
from attacks.ranks.exact import Ranks
from attacks.whitened import Whitened


class Lift(NamedTuple):
    """Lift of the strongest attacker: the one whose interval reaches highest.

    Attributes
    ----------
    lift, low, high
        Top-1 over chance, with its 95 % interval over users. Where that is unreliable, ``high`` is
        that of the users' own means if it is larger.
    attack
        Its name.
    num_probes
        Probes that were attacked.
    """

    lift: float
    low: float
    high: float
    attack: str
    num_probes: int


def coarse() -> dict[str, Attack]:
    """Attackers by which a strength is sought before others confirm it."""
    return {"euclidean": Euclidean(), "bayes": Bayes()}


def quick() -> dict[str, Attack]:
    """Attackers with a closed form: two that learn nothing, and one that is told the noise."""
    return {"cosine": Cosine(), "euclidean": Euclidean(), "bayes": Bayes()}


def thorough() -> dict[str, Attack]:
    """All of `quick`, and two that estimate from the defended gallery what tells users apart."""
    return quick() | {"whitened": Whitened(), "lda": Lda()}


def trained() -> dict[str, Attack]:
    """All of `thorough`, and one that practices the attack on the defended gallery."""
    return thorough() | {"learned_metric": LearnedMetric()}


def strongest(
    world: World,
    defense: Defense,
    probe: Rows,
    attacks: Mapping[str, Attack],
    *,
    releases: int,
    seed: int,
) -> Lift:
    """Attack the mean of several releases, gallery and probes defended alike.

    Parameters
    ----------
    world
    defense
        Fitted.
    probe : (m,)
        Rows to name.
    attacks
        By name; each learns from the defended gallery of all users. One that cannot, such as for
        want of a second vector of anybody, is left out.
    releases
        Of each vector.
    seed
        Decides noise and attackers.
    """
    size = len(world.gallery)
    rows = np.concatenate([world.gallery, probe])
    given = chosen(world.released, rows)
    rng = np.random.default_rng([seed, 2])
    seen = defense.observed(given, releases, rng)
    known, row = np.unique(given.user_row[:size], return_inverse=True)
    noise = defense.noise(releases)
    if noise is None:
        noise = np.zeros((seen.shape[1], seen.shape[1]))
    held = Gallery(seen[:size], row, noise=noise)
    user = given.user_row[size:]
    true_row = np.searchsorted(known, user)
    found = []
    for name, attack in attacks.items():
        try:
            attack.fit(held, np.random.default_rng(seed))
        except ValueError:
            continue
        ranks = attack.ranks(seen[size:], attack.templates(held), true_row)
        found.append(_measured(name, ranks, user, len(known)))
    return max(found, key=lambda one: one.high)


def _measured(name: str, ranks: Ranks, user: NDArray[np.int64], num_gallery: int) -> Lift:
    hit = top_credit(ranks, 1)
    low, high = rate_intervals(np.column_stack([hit, hit]), user, per_user=[False, True])
    most = high[0] if doubt_of_mean(hit, user) is None else high.max()
    return Lift(
        float(hit.mean() * num_gallery),
        float(low[0] * num_gallery),
        float(most * num_gallery),
        name,
        len(hit),
    )
