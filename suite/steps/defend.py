"""Representation + defense -> the vectors as they are released."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from attacks.certify import why_none
from attacks.defenses.base import Defense
from attacks.gallery import Released
from suite import registry
from suite.artifacts.features import Features
from suite.artifacts.representation import Representation
from suite.datasets.negatives import observed
from suite.parts import Part, Releases
from suite.training import batches


def defend(
    features: Features,
    released: Representation,
    whole: Representation | None = None,
    *,
    defense: Part,
    seed: int,
    releases_m: Releases = 1,
) -> Representation:
    """Fit a defense, and apply it to every vector.

    Parameters
    ----------
    features
        Events with their users, times, windows and labels.
    released
        Undefended vectors of events.
    whole
        Undefended vectors of the same release that the defense is fitted on, where ``released``
        are those of half of the history: both halves are defended alike.
    defense
        Name and parameters. It is fitted on the train window's trained users.
    seed
        Decides the randomness of the fit and of the release.
    releases_m
        How often each vector is released and observed; ``all``: as often as its user has events
        in its window.

    Returns
    -------
    Representation
        What an adversary makes of the releases, in the order of ``released``, and what it may
        know of the defense.

    Raises
    ------
    ValueError
        The defense refuses the vectors, or what it gives are no finite vectors of the events.
    """
    defender: Defense = registry.create("defenses", defense.name, defense.parameters)
    fit_rng, release_rng = np.random.default_rng(seed).spawn(2)
    fitted_on = whole or released
    positions = batches.positions(features, fitted_on.event_id)
    known = features.events[positions]
    learned_from = np.flatnonzero((known["window"] == "train") & known["trained"])
    train = fitted_on.vector[learned_from]
    defender.fit(_described(features, positions[learned_from], train), fit_rng)
    positions = batches.positions(features, released.event_id)
    count = _num_releases(features, positions) if releases_m == "all" else releases_m
    given = _described(features, positions, released.vector)
    once = isinstance(count, int) and count == 1
    vector = (
        defender.apply(given, release_rng) if once else defender.observed(given, count, release_rng)
    )
    _check(vector, len(positions), defense.name)
    return replace(
        released,
        vector=vector.astype(np.float32, copy=False),
        certificate=defender.certificate(),
        num_releases=int(np.max(count, initial=1)),
        uncertified="" if defender.certificate() else why_none(defender),
        noise=_noise(defender, count),
    )


def _described(
    features: Features, positions: NDArray[np.int64], vectors: NDArray[np.float32]
) -> Released:
    """Say of the vectors of some events whose they are, their order, and what happened."""
    events = features.events[positions]
    user_row = np.unique(events["user_id"].to_numpy(), return_inverse=True)[1]
    in_time = np.lexsort((events["event_id"].to_numpy(), events["time"].to_numpy(), user_row))
    first = np.flatnonzero(np.diff(user_row[in_time], prepend=-1))
    order = np.empty(len(events), np.int64)
    order[in_time] = np.arange(len(events)) - first[user_row[in_time]]
    return Released(
        vectors=vectors,
        user_row=user_row,
        order=order,
        window=events["window"].to_numpy(),
        labels=features.labels[positions] > 0.5,
    )


def _num_releases(features: Features, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the events that the user of each has in its window; sampled ones are not released."""
    keys = ["user_id", "window"]
    num_events = observed(features.events).group_by(keys).len("count")
    events = features.events[positions].select(keys)
    counted = events.join(num_events, on=keys, how="left", maintain_order="left")["count"]
    return counted.fill_null(1).cast(pl.Int64).to_numpy()


def _noise(defender: Defense, count: int | NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Covariance of the noise in a vector, the mean over those that are released differently."""
    numbers = Counter(np.atleast_1d(count).tolist())
    found = [(defender.noise(number), weight) for number, weight in numbers.items()]
    known: list[Any] = [weight * noise for noise, weight in found if noise is not None]
    mean: NDArray[np.float64] | None = sum(known) / numbers.total() if known else None
    return mean


def _check(vector: NDArray[np.floating[Any]], num_vectors: int, name: str) -> None:
    if vector.ndim != 2 or len(vector) != num_vectors:
        raise ValueError(
            f"defense {name}: found an array of shape {vector.shape}, must release one vector for "
            f"each of {num_vectors} events"
        )
    wrong = np.count_nonzero(~np.isfinite(vector).all(axis=1))
    if wrong:
        raise ValueError(
            f"defense {name}: {wrong} of {num_vectors} released vectors are not finite"
        )
