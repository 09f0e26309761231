"""What every protocol must do."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import polars as pl


@dataclass(frozen=True, kw_only=True)
class Protocol(ABC):
    """Cuts released events into gallery and probes; its docstring says what that proves.

    Parameters
    ----------
    exclude
        ``session`` and ``item`` leave out the probes that share one with a gallery event of their
        own user, which would be matched for that alone. Gallery events always stay.
    """

    exclude: tuple[Literal["session", "item"], ...] = ()

    min_events: ClassVar[int] = 4
    """Labelled events that a user needs in each of the windows asked for."""

    splits_history: ClassVar[bool] = False
    """Whether gallery and probes are encoded from separate halves of the history."""

    @abstractmethod
    def roles(self, events: pl.DataFrame) -> pl.DataFrame:
        """Choose the events that take part, and which of them are gallery.

        Parameters
        ----------
        events
            ``event_id, user_id, item_id, session_id, window, time, trained`` of all events that
            could be released.

        Returns
        -------
        polars.DataFrame
            The events that take part, with a column ``role`` that is ``gallery`` or ``probe``.

        Raises
        ------
        ValueError
            If no user has enough events.
        """

    def cut(self, events: pl.DataFrame) -> pl.DataFrame:
        """Choose the role of every event that takes part, without the excluded probes.

        Returns
        -------
        polars.DataFrame
            ``event_id, user_id, role``, each user's events in time order.

        Raises
        ------
        ValueError
            No user has enough events, or no probe is left.
        """
        cut = self.roles(events).sort("user_id", "time", "event_id")
        is_gallery = pl.col("role") == "gallery"
        for what in self.exclude:
            key = ["user_id", f"{what}_id"]
            in_gallery = cut.filter(is_gallery).select(key).unique()
            probes = cut.filter(~is_gallery).join(in_gallery, on=key, how="anti")
            kept = pl.concat([cut.filter(is_gallery), probes])["event_id"]
            cut = cut.filter(pl.col("event_id").is_in(kept.implode()))
        if cut.filter(~is_gallery).is_empty():
            named = " and ".join(self.exclude) or "nothing"
            msg = (
                f"protocol {type(self).__name__.lower()}: no probe is left after excluding {named}"
            )
            raise ValueError(msg)
        return cut.select("event_id", "user_id", "role")

    def on_validation(self) -> "Protocol":
        """Return the same protocol with its probes from validation, to choose an attacker on."""
        raise ValueError(f"protocol {type(self).__name__.lower()} has no validation counterpart")

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
            most = np.max(events.group_by("user_id", "window").len()["len"].to_numpy(), initial=0)
            msg = (
                f"protocol {type(self).__name__.lower()}: no user has {self.min_events} events in "
                f"each of {', '.join(windows)}; found at most {most} in a window"
            )
            raise ValueError(msg)
        return events.join(counts, on="user_id", how="semi")
