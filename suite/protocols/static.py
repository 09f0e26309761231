"""Half of a user's events against the other half, under one unchanged history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.protocols.base import Protocol


@dataclass(frozen=True, kw_only=True)
class Static(Protocol):
    """The documents' protocol: each user's events of a window, half gallery, half probes.

    A user's history is the same for all of the user's events in a window, so gallery and probe
    share most of the model's input: **identity leaks through the unchanged history**, and a match
    of the raw inputs alone is a ceiling. It reproduces the documents; it does not show what can
    be linked over time.

    Parameters
    ----------
    windows
        Windows whose events are split.
    users
        ``common``: users with at least 4 events in train and in test, as in ``rolling``, so that
        both have the same gallery size; ``all``: 4 events in the windows split.
    exclude
        See ``Protocol``.

    References
    ----------
    Permutation keyed by (42, user), first floor(n/2) to the gallery: "Phase 3B: LSTM Model"
    (claimed figures: 28,361 users, 280,423 probes).
    """

    windows: tuple[Literal["train", "validation", "test"], ...] = ("test",)
    users: Literal["common", "all"] = "common"

    def roles(self, events: pl.DataFrame) -> pl.DataFrame:
        """Deal each user's events to gallery and probe."""
        chosen = events.filter(pl.col("window").is_in(self.windows))
        if self.users == "common":
            eligible = self.enough(events, ("train", "test"))
        else:
            eligible = self.enough(chosen.with_columns(window=pl.lit("any")), ("any",))
        cut = (
            chosen.join(eligible, on="user_id", how="semi")
            .filter(pl.len().over("user_id") >= 2)
            .sort("user_id", "time", "event_id")
        )
        if cut.is_empty():
            raise ValueError(
                f"protocol static: no user has two events in {', '.join(self.windows)}"
            )
        sizes = cut.group_by("user_id", maintain_order=True).len()
        in_gallery = np.concatenate([_first_half(user_id, n) for user_id, n in sizes.iter_rows()])
        role = pl.when(pl.Series(in_gallery)).then(pl.lit("gallery")).otherwise(pl.lit("probe"))
        return cut.with_columns(role=role)

    def on_validation(self) -> Static:
        """Split the events of validation."""
        return replace(self, windows=("validation",))


def _first_half(user_id: int, n: int) -> NDArray[np.bool_]:
    """Mark floor(n/2) of n events by a permutation keyed by (42, user_id)."""
    order = np.random.default_rng([42, user_id % 2**64]).permutation(n)
    marked = np.zeros(n, bool)
    marked[order[: n // 2]] = True
    return marked
