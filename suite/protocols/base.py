"""What every protocol must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import polars as pl

ROLES = ("gallery", "probe")


class Protocol(ABC):
    """Cuts released events into gallery and probes; its docstring says what that proves."""

    min_events: ClassVar[int] = 4
    """Labelled events that a user needs in each of the windows asked for."""

    @abstractmethod
    def cut(self, events: pl.DataFrame) -> pl.DataFrame:
        """Choose the role of every event that takes part.

        Parameters
        ----------
        events
            ``event_id, user_id, window, time`` of all events that could be released.

        Returns
        -------
        polars.DataFrame
            ``event_id, user_id, role`` with role ``gallery`` or ``probe``, in a fixed order.

        Raises
        ------
        ValueError
            If no user has enough events.
        """

    def enough(self, events: pl.DataFrame, windows: tuple[str, ...]) -> pl.DataFrame:
        """Events of the users who have at least ``min_events`` in each of the windows."""
        counts = (
            events.filter(pl.col("window").is_in(windows))
            .group_by("user_id", "window")
            .len()
            .filter(pl.col("len") >= self.min_events)
            .group_by("user_id")
            .len("windows")
            .filter(pl.col("windows") == len(windows))
        )
        if counts.is_empty():
            most = int(np.max(events.group_by("user_id", "window").len()["len"].to_numpy()))
            msg = (
                f"protocol {type(self).__name__.lower()}: no user has {self.min_events} events in "
                f"each of {', '.join(windows)}; found at most {most} in a window"
            )
            raise ValueError(msg)
        return events.join(counts, on="user_id", how="semi").sort("user_id", "time", "event_id")
