"""Vectors of one period against vectors of a later one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from suite.protocols.base import Protocol


@dataclass(frozen=True, kw_only=True)
class Rolling(Protocol):
    """Gallery from the train window, probes from a later one, each with its own history.

    What an adversary links over time: it holds vectors released earlier under known users and
    names vectors released later. Users with at least 4 events in train and in test take part.

    Parameters
    ----------
    probes
        Window of the probes; ``validation`` is for choosing the strongest attacker.
    exclude
        See ``Protocol``.
    """

    probes: Literal["validation", "test"] = "test"

    def roles(self, events: pl.DataFrame) -> pl.DataFrame:
        """Give train events to the gallery and events of the probe window to the probes."""
        role = pl.when(pl.col("window") == "train").then(pl.lit("gallery"))
        return (
            self.enough(events, ("train", "test"))
            .filter(pl.col("window").is_in(("train", self.probes)))
            .with_columns(role=role.otherwise(pl.lit("probe")))
        )

    def on_validation(self) -> Rolling:
        """Take the probes from validation."""
        return replace(self, probes="validation")
