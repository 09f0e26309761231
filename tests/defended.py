"""A planted world behind a defense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attacks.defenses.base import Defense
from attacks.gallery import Released
from tests.planted import World


def defended(defense: Defense, world: World, *, labels=None, seed=0) -> World:
    """Fit on the gallery's events, as a train window; release them, and the probes later."""
    rng = np.random.default_rng(seed)
    train, test = (
        Released(v, row, np.arange(len(v)), np.full(len(v), window))
        for v, row, window in (
            (world.vectors, world.user_row, "train"),
            (world.probe, world.true_row, "test"),
        )
    )
    defense.fit(replace(train, labels=labels), rng)
    return replace(world, vectors=defense.apply(train, rng), probe=defense.apply(test, rng))
