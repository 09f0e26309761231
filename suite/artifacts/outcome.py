"""Result of the attack step."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

import polars as pl


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
    chosen
        Which of several attacks this is, where it was chosen among them on validation.
    """

    probes: pl.DataFrame
    num_gallery: int
    num_dropped: int
    facts: dict[str, float] = field(default_factory=dict)
    num_rounded: int = 0
    num_tied_apart: int = 0
    chosen: str = ""

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
