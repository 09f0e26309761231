"""Probes of users who may not be in the gallery at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from suite.protocols.rolling import Rolling


@dataclass(frozen=True, kw_only=True)
class OpenSet(Rolling):
    """`rolling` with a share of the users removed from the gallery.

    An adversary who must also reject unknown users is measured by the false negative rate of
    identification (FNIR) at a false positive rate (FPIR) among probes of unknown users. Lift is
    over the mated probes, those whose user is in the gallery.

    Parameters
    ----------
    removed
        Share of the users without gallery events, in (0, 1).
    probes, exclude
        As in ``rolling``.

    References
    ----------
    Grother, Ngan and Hanaoka, Face Recognition Vendor Test, Part 2: Identification, NIST
    Interagency Report 8271, 2019 (FPIR and FNIR).
    """

    removed: float = 0.3

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 < self.removed < 1:
            raise ValueError(f"protocol open_set: removed must be in (0, 1), found {self.removed}")

    def roles(self, events: pl.DataFrame) -> pl.DataFrame:
        """Take the removed users' events out of the gallery."""
        cut = super().roles(events)
        users = np.unique(cut["user_id"].to_numpy())
        order = np.random.default_rng(42).permutation(users)
        unknown = pl.Series(order[: int(self.removed * len(users))]).implode()
        return cut.filter((pl.col("role") == "probe") | ~pl.col("user_id").is_in(unknown))
