"""Defense + attack over probe shards: who is behind each probe, as exact ranks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from attacks.base import Attack
from attacks.defenses.base import Defense
from attacks.ranking import Ranks
from suite import registry, shards
from suite.features import Features
from suite.protocols.base import Protocol
from suite.represent import Representation
from suite.spec import Part

PAIRS_PER_SHARD = 2**32


@dataclass(frozen=True)
class Outcome:
    """Raw ranks of an attack; every figure is computed from them later.

    Attributes
    ----------
    probes
        ``event_id, user_id, greater, equal`` of every probe: how many gallery users beat, and
        how many tie with, the true one.
    num_gallery
        Users in the gallery, N.
    num_dropped
        Events of the protocol's windows that took no part, their users having too few.
    """

    probes: pl.DataFrame
    num_gallery: int
    num_dropped: int

    def save(self, folder: Path) -> None:
        """Write ranks.parquet and outcome.json."""
        self.probes.write_parquet(folder / "ranks.parquet")
        plain = {"num_gallery": self.num_gallery, "num_dropped": self.num_dropped}
        (folder / "outcome.json").write_text(json.dumps(plain))

    @classmethod
    def load(cls, folder: Path) -> Outcome:
        """Read what ``save`` wrote."""
        plain = json.loads((folder / "outcome.json").read_text())
        return cls(probes=pl.read_parquet(folder / "ranks.parquet"), **plain)


def attack(
    features: Features,
    representation: Representation,
    *,
    protocol: Part,
    defense: Part,
    attack: Part,
    seed: int,
    num_shards: int | None = None,
) -> Outcome:
    """Cut, defend and attack one representation.

    Parameters
    ----------
    features
        Events with their windows and times.
    representation
        Vectors of the same events, in the same order.
    protocol, defense, attack
        Names and parameters.
    seed
        Decides the defense's and the attack's randomness.
    num_shards
        Tasks that the probes are spread over; by default one for each 2^32 pairs. The result is
        the same for any number.

    Returns
    -------
    Outcome
        Exact ranks of all probes.
    """
    cutter: Protocol = registry.create("protocols", protocol.name, protocol.parameters)
    defender: Defense = registry.create("defenses", defense.name, defense.parameters)
    attacker: Attack = registry.create("attacks", attack.name, attack.parameters)
    defense_rng, attack_rng = np.random.default_rng(seed).spawn(2)

    events = features.events.with_row_index("vector_row")
    cut = cutter.cut(events).join(
        events.select("event_id", "vector_row"), on="event_id", maintain_order="left"
    )
    released = defender.apply(representation.vector[cut["vector_row"].to_numpy()], defense_rng)
    is_gallery = (cut["role"] == "gallery").to_numpy()
    user_id = cut["user_id"].to_numpy()
    known, user_row = np.unique(user_id[is_gallery], return_inverse=True)
    gallery = means(released[is_gallery], user_row, len(known))
    attacker.fit(released[is_gallery], user_row, attack_rng)

    probe, probe_user = released[~is_gallery], user_id[~is_gallery]
    found = np.searchsorted(known, probe_user).clip(max=len(known) - 1)
    true_row = np.where(known[found] == probe_user, found, -1)
    if num_shards is None:
        num_shards = -(-len(probe) * len(gallery) // PAIRS_PER_SHARD)
    pieces = np.array_split(np.arange(len(probe)), num_shards)
    ranks = shards.each(_ranks, pieces, attacker, probe, gallery, true_row)
    probes = cut.filter(pl.Series(~is_gallery)).select(
        "event_id",
        "user_id",
        greater=pl.Series(np.concatenate([r.greater for r in ranks])),
        equal=pl.Series(np.concatenate([r.equal for r in ranks])),
    )
    windows = events.join(cut, on="event_id", how="semi")["window"].unique()
    candidates = events.filter(pl.col("window").is_in(windows.implode()))
    return Outcome(probes, num_gallery=len(known), num_dropped=len(candidates) - len(cut))


def means(
    vectors: NDArray[np.float32], user_row: NDArray[np.int64], num_users: int
) -> NDArray[np.float32]:
    """Mean vector of each user, summed in float64: ``(m, d), (m,) -> (num_users, d)``."""
    order = np.argsort(user_row, kind="stable")
    start = np.searchsorted(user_row[order], np.arange(num_users))
    sums = np.add.reduceat(vectors[order].astype(np.float64), start, axis=0)
    count = np.bincount(user_row, minlength=num_users)
    mean: NDArray[np.float32] = (sums / count[:, None]).astype(np.float32)
    return mean


def _ranks(
    rows: NDArray[np.int64],
    attacker: Attack,
    probe: NDArray[np.float32],
    gallery: NDArray[np.float32],
    true_row: NDArray[np.int64],
) -> Ranks:
    return attacker.ranks(probe[rows], gallery, true_row[rows])
