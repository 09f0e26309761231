"""Users whom no model was fitted on, beside equally many whom it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from suite.protocols.rolling import Rolling


@dataclass(frozen=True, kw_only=True)
class Unseen(Rolling):
    """`rolling` among held-out users, or among equally many trained ones.

    Whether a model's vectors identify because it memorized the users it was fitted on, or because
    what it computes separates people whom it never saw: the two rows have the same N, so their
    lifts compare.

    Parameters
    ----------
    users
        ``held_out``: excluded from every fit; ``trained``: as many of the others.
    probes, exclude
        As in ``rolling``.
    """

    users: Literal["held_out", "trained"] = "held_out"

    def roles(self, events: pl.DataFrame) -> pl.DataFrame:
        """Restrict `rolling` to equally many users of each kind."""
        cut = super().roles(events)
        users = cut.select("user_id", "trained").unique().sort("user_id")
        held_out = users.filter(~pl.col("trained"))["user_id"].to_numpy()
        trained = users.filter(pl.col("trained"))["user_id"].to_numpy()
        n = min(len(held_out), len(trained))
        if n < 2:
            msg = (
                f"protocol unseen: found {len(held_out)} held-out and {len(trained)} trained users "
                "with enough events, 2 of each are needed; see holdout_users"
            )
            raise ValueError(msg)
        among = held_out if self.users == "held_out" else trained
        chosen = np.random.default_rng(42).permutation(among)[:n]
        return cut.filter(pl.col("user_id").is_in(pl.Series(chosen).implode()))
