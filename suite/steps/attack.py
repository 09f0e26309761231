"""Attack over probe shards: who is behind each probe, as exact ranks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from attacks import certify
from attacks.base import Attack
from attacks.gallery import Gallery, Histories, Released
from attacks.pooling import pooled
from attacks.ranks.exact import Ranks
from attacks.ranks.means import user_means
from attacks.ranks.precision import num_merged, num_tied_apart, offset, to_float32
from suite import registry
from suite.artifacts.features import Features
from suite.artifacts.outcome import Outcome
from suite.artifacts.representation import Representation
from suite.cluster import sharded
from suite.datasets.negatives import observed
from suite.parts import Part
from suite.protocols.base import Protocol
from suite.steps.background import described, set_aside, smaller

PAIRS_PER_SHARD = 2**32

Floats = NDArray[np.floating[Any]]


def attack(
    features: Features,
    released: Representation,
    probed: Representation | None = None,
    *,
    protocol: Part,
    attack: Part,
    seed: int,
    aside: bool = False,
    num_shards: int | None = None,
) -> Outcome:
    """Cut and attack one representation.

    Parameters
    ----------
    features
        Events with their windows and times.
    released
        Vectors of events; the gallery is made of them.
    probed
        Vectors of the same users' events that the probes are made of, where they are others: half
        of the history, another training, or defended ones where the adversary holds undefended
        vectors. Only users whose events are all in both take part.
    protocol, attack
        Names and parameters.
    seed
        Decides the attack's randomness.
    aside
        Whether users are set aside to be learned from even if this attack does not: all attacks
        of a suite name the same probes among the same users. See `suite.steps.background`.
    num_shards
        Tasks that the probes are spread over; by default one for each 2^32 pairs. The result is
        the same for any number.

    Returns
    -------
    Outcome
        Exact ranks of all probes.

    Raises
    ------
    ValueError
        No user's events are all in both, their vectors are of different lengths, or the protocol
        finds too few users.
    """
    cutter: Protocol = registry.create("protocols", protocol.name, protocol.parameters)
    attacker: Attack = registry.create("attacks", attack.name, attack.parameters)
    attack_rng = np.random.default_rng(seed).spawn(2)[1]

    probed = probed or released
    if released.vector.shape[1] != probed.vector.shape[1] and "other_space" not in attacker.needs:
        raise ValueError(
            f"attack: the gallery's vectors have {released.vector.shape[1]} dimensions, the "
            f"probes {probed.vector.shape[1]}; they cannot be compared"
        )
    released_events = observed(features.events)
    whole = cutter.cut(released_events)
    cut, background = whole, None
    learns = "background" in attacker.needs
    if learns or aside:
        cut, background = set_aside(released_events, whole)
        background = _rows(background, features, released, probed)
    cut = _located(cut, features, released, probed)
    known_events, unknown_events = (
        cut.filter(pl.col("role") == role) for role in ("gallery", "probe")
    )
    held, center, num_rounded = _held(attacker, features, cut, released, probed)
    if learns and background is not None:
        held = replace(held, background=_background(background, released, probed, center))
    known = known_events["user_id"].unique().sort().to_numpy()
    attacker.fit(held, attack_rng)
    gallery = attacker.templates(held)
    del held  # not held beside the probes, as it is as large as a third of all vectors
    user = unknown_events["user_id"].to_numpy()
    probe = probed.vector[unknown_events["probe_row"].to_numpy()]
    probe, num_rounded_probes = _rounded(probe, center)

    true_row = _rows_of(user, known)
    probe, first, largest = pooled(attacker, probe, user, true_row)
    true_row, unknown_events = true_row[first], unknown_events[first]

    facts: dict[str, float] = {}
    if "histories" in attacker.needs:
        facts = attacker.facts(probe, _histories(features, unknown_events))
    if attacker.together:
        num_shards = 1
    elif num_shards is None:
        num_shards = -(-len(probe) * len(gallery) // PAIRS_PER_SHARD)
    pieces = np.array_split(np.arange(len(probe)), num_shards)
    results = list(sharded.each(_attacked, pieces, attacker, probe, gallery, true_row, gpu=True))
    ranks = Ranks(
        *(np.concatenate(counts) for counts in zip(*(r for r, _ in results), strict=True))
    )
    probes = unknown_events.select(
        "event_id",
        "user_id",
        greater=pl.Series(ranks.greater),
        equal=pl.Series(ranks.equal),
        best=pl.Series(np.concatenate([best for _, best in results]), dtype=pl.Float32),
    )
    return Outcome(
        probes,
        num_gallery=len(known),
        num_dropped=_num_dropped(released_events, cut, background),
        facts=facts,
        num_rounded=num_rounded + num_rounded_probes,
        num_tied_apart=num_tied_apart(ranks.equal, gallery, true_row),
        knew=smaller(whole, cut)
        if background is None or not learns
        else described(released_events, background),
        **_bound(attacker, probed, len(known), largest),
    )


def _bound(
    attacker: Attack, probed: Representation, num_gallery: int, largest: int
) -> dict[str, Any]:
    """Bound every attacker on probes of at most so many vectors, or say why nothing does."""
    if probed.certificate is None:
        return {"unbounded": probed.uncertified}
    if attacker.together:
        return {"unbounded": "the attack names probes together, each excluding the others"}
    most = certify.bound(
        probed.certificate,
        num_gallery,
        releases=largest * probed.num_releases,
        num_released=max(num_gallery, len(np.unique(probed.user_id))),
    )
    return {"bound_top1": most}


def _held(
    attacker: Attack,
    features: Features,
    cut: pl.DataFrame,
    released: Representation,
    probed: Representation,
) -> tuple[Gallery, NDArray[np.float64], int]:
    """Look up what the adversary holds of the gallery's events.

    Returns
    -------
    held
    center : (d,)
        Subtracted from the probes before they are rounded.
    num_rounded
        Number of gallery vectors that rounding makes equal to others.
    """
    events = cut.filter(role="gallery")
    user_row = np.unique(events["user_id"].to_numpy(), return_inverse=True)[1]
    vectors = released.vector[events["gallery_row"].to_numpy()]
    means = user_means(vectors, user_row)
    center = offset(means)
    vectors, num_rounded = _rounded(vectors, center)
    held = Gallery(vectors, user_row, means=to_float32(means, center))
    if "other_space" in attacker.needs:
        there = _there(events, cut.filter(role="probe"), probed)
        center = offset(user_means(there, user_row))
        held = replace(held, there=to_float32(there, center))
    if "histories" in attacker.needs:
        held = replace(held, histories=_histories(features, events))
    if "noise" in attacker.needs:
        held = replace(held, noise=_noise(released, probed))
    return held, center, num_rounded


def _there(events: pl.DataFrame, probes: pl.DataFrame, probed: Representation) -> Floats:
    """Mean of what was released of each gallery event's user among the probes.

    It is used for users who are known in both spaces and whose probes need not be identified. A
    defense may give each window a separate space, so that vectors of the gallery's events cannot
    be used, except for users without probes.
    """
    there = probed.vector[events["probe_row"].to_numpy()]
    found, user_row = np.unique(probes["user_id"].to_numpy(), return_inverse=True)
    means = user_means(probed.vector[probes["probe_row"].to_numpy()], user_row)
    row = _rows_of(events["user_id"].to_numpy(), found)
    return np.where((row >= 0)[:, None], means[row], there)


def _rounded(
    vectors: NDArray[np.floating[Any]], center: NDArray[np.float64]
) -> tuple[NDArray[np.float32], int]:
    """Round to float32 and count the vectors that this makes equal to others."""
    rounded = to_float32(vectors, center)
    return rounded, num_merged(vectors, rounded)


def _rows(
    cut: pl.DataFrame, features: Features, released: Representation, probed: Representation
) -> pl.DataFrame:
    """Add the row of each event in the features and in both representations.

    A user of whom an event has no vector is left out as a whole: what is left of such a user could
    be probes without a gallery vector, which would count as those of an unknown person.
    """
    located = cut
    for name, event_id in (
        ("event_row", features.events["event_id"]),
        ("gallery_row", released.event_id),
        ("probe_row", probed.event_id),
    ):
        rows = pl.DataFrame({"event_id": event_id}).with_row_index(name)
        located = located.join(rows, on="event_id", maintain_order="left")
    lost = cut.join(located, on="event_id", how="anti").select("user_id").unique()
    return located.join(lost, on="user_id", how="anti", maintain_order="left")


def _located(
    cut: pl.DataFrame, features: Features, released: Representation, probed: Representation
) -> pl.DataFrame:
    """Add rows as above; at least one user must be left."""
    located = _rows(cut, features, released, probed)
    if located.is_empty():
        raise ValueError(
            f"attack: none of the {cut['user_id'].n_unique()} users of the protocol has a vector "
            "of every event on both sides"
        )
    return located


def _histories(features: Features, events: pl.DataFrame) -> Histories:
    """Look up what the history behind each event says, its aggregates standardized."""
    chosen = features.events["row"].to_numpy()[events["event_row"].to_numpy()]
    return Histories(features.aggregates[chosen], features.favorite[chosen])


def _background(
    events: pl.DataFrame,
    released: Representation,
    probed: Representation,
    center: NDArray[np.float64],
) -> Released:
    """Look up the vectors of the users that are learned from, their window by their role."""
    is_gallery = (events["role"] == "gallery").to_numpy()
    held = released.vector[events["gallery_row"].to_numpy()[is_gallery]]
    later = probed.vector[events["probe_row"].to_numpy()[~is_gallery]]
    user_row = np.unique(events["user_id"].to_numpy(), return_inverse=True)[1]
    return Released(
        to_float32(np.concatenate([held, later]), center),
        np.concatenate([user_row[is_gallery], user_row[~is_gallery]]),
        window=np.repeat(["gallery", "probe"], [len(held), len(later)]),
    )


def _noise(released: Representation, probed: Representation) -> NDArray[np.float64]:
    """Covariance of the noise in a gallery vector, or of that in the probes alone, ``(d, d)``."""
    known = (noise for noise in (released.noise, probed.noise) if noise is not None)
    return next(known, np.zeros((released.vector.shape[1],) * 2))


def _rows_of(user: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Gallery row of each probe's user; -1 for one who is not there."""
    found = np.searchsorted(known, user).clip(max=len(known) - 1)
    return np.where(known[found] == user, found, -1)


def _num_dropped(events: pl.DataFrame, cut: pl.DataFrame, background: pl.DataFrame | None) -> int:
    """Count the events of the protocol's windows that take no part."""
    windows = events.join(cut, on="event_id", how="semi")["window"].unique()
    num_learned = 0 if background is None else background.height
    num_events = events.filter(pl.col("window").is_in(windows.implode())).height
    return num_events - cut.height - num_learned


def _attacked(
    rows: NDArray[np.int64],
    attacker: Attack,
    probe: NDArray[np.float32],
    gallery: NDArray[np.float32],
    true_row: NDArray[np.int64],
) -> tuple[Ranks, NDArray[np.float32]]:
    """Rank the true users of some probes; with unknown users among them, score the best guesses."""
    ranks = attacker.ranks(probe[rows], gallery, true_row[rows])
    if (true_row >= 0).all():
        return ranks, np.full(len(rows), np.nan, np.float32)
    return ranks, attacker.best(probe[rows], gallery)
