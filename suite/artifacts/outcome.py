"""Result of the attack step."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from attacks.measures import metrics
from attacks.ranks.exact import Ranks


class Mated(NamedTuple):
    """Probes whose user is in the gallery.

    Attributes
    ----------
    event_id, user_id : (n,)
        What each probe is of.
    ranks
        Of the true users.
    best : (n,)
        The largest score of any gallery user.
    """

    event_id: NDArray[np.int64]
    user_id: NDArray[np.int64]
    ranks: Ranks
    best: NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """Raw ranks of an attack, from which all figures are computed.

    Attributes
    ----------
    probes
        ``event_id, user_id, greater, equal, best`` of every probe: how many gallery users beat,
        and how many tie with, the true one; the largest score, where some users are unknown.
    num_gallery
        Users in the gallery, N.
    num_dropped
        Events of the protocol's windows that took no part, their users having too few.
    facts
        What an inversion read about the histories, by name.
    num_rounded
        Gallery and probe vectors that equal another one only since they are float32.
    num_tied_apart
        Probes whose true user ties with a gallery user of another vector.
    bound_top1
        What no attacker exceeds on these probes, see `attacks.certify`; None where nothing is
        known to.
    unbounded
        Why not, under a defense.
    chosen
        Which of several attacks this is, where it was chosen among them on validation.
    knew
        What the adversary learned from besides the gallery, in words.
    """

    probes: pl.DataFrame
    num_gallery: int
    num_dropped: int
    facts: dict[str, float] = field(default_factory=dict)
    num_rounded: int = 0
    num_tied_apart: int = 0
    bound_top1: float | None = None
    unbounded: str = ""
    chosen: str = ""
    knew: str = ""

    def mated(self) -> Mated:
        """Return the probes that could be named, in their order."""
        columns = {name: self.probes[name].to_numpy() for name in self.probes.columns}
        is_mated = metrics.mated(Ranks(columns["greater"], columns["equal"]), self.num_gallery)
        kept = {name: values[is_mated] for name, values in columns.items()}
        ranks = Ranks(kept["greater"], kept["equal"])
        return Mated(kept["event_id"], kept["user_id"], ranks, kept["best"])

    def save(self, folder: Path) -> None:
        """Write ranks.parquet and outcome.json."""
        self.probes.write_parquet(folder / "ranks.parquet")
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "probes"}
        (folder / "outcome.json").write_text(json.dumps(plain))

    @classmethod
    def load(cls, folder: Path) -> Outcome:
        """Read what ``save`` wrote."""
        plain = json.loads((folder / "outcome.json").read_text())
        return cls(probes=pl.read_parquet(folder / "ranks.parquet", glob=False), **plain)
