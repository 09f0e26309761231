"""Which users an attack learns from, that it neither holds in the gallery nor names."""

from __future__ import annotations

import polars as pl

from suite.datasets.holdout import held_out

SALT = int.from_bytes(b"aside")
"""Combined with an identifier before it is hashed: who is set aside says nothing about who is held
out of fits."""


def set_aside(events: pl.DataFrame, cut: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part a protocol's users into those who are attacked and those who are learned from.

    Learned from are the users outside the protocol who have events in both of its windows. If
    they are fewer than the users in it, half of the latter are set aside for it too, the same
    ones in every window and for every seed: they leave the gallery and the probes, so that N
    changes.

    Parameters
    ----------
    events
        ``event_id, user_id, window`` of all events that are released.
    cut
        ``event_id, user_id, role`` of those that take part in the protocol.

    Returns
    -------
    attacked, background
        Columns of ``cut``; no user is in both.
    """
    outside = _outside(events, cut)
    users = cut["user_id"].unique(maintain_order=True)
    if outside["user_id"].n_unique() >= len(users):
        return cut, outside
    chosen = users.filter(pl.Series(held_out(users.to_numpy() ^ SALT, 0.5))).implode()
    is_aside = pl.col("user_id").is_in(chosen)
    return cut.filter(~is_aside), pl.concat([cut.filter(is_aside), outside])


def described(events: pl.DataFrame, background: pl.DataFrame) -> str:
    """Say whose vectors of which windows are learned from, of users who have both kinds."""
    both = background.group_by("user_id").agg(pl.col("role").n_unique()).filter(role=2)
    shown = events.join(background, on="event_id", how="semi")["window"]
    windows = " and ".join(shown.unique(maintain_order=True))
    return f"background: {both.height:,} other users, their {windows} vectors"


def smaller(whole: pl.DataFrame, attacked: pl.DataFrame) -> str:
    """Say how many users of a protocol are set aside; nothing if nobody is."""
    num_aside = whole["user_id"].n_unique() - attacked["user_id"].n_unique()
    return f"{num_aside:,} users are set aside, for background to learn from" if num_aside else ""


def _outside(events: pl.DataFrame, cut: pl.DataFrame) -> pl.DataFrame:
    """Give roles to the users outside the cut, where a window has one role and they have both."""
    roles = events.join(cut.select("event_id", "role"), on="event_id").select("window", "role")
    roles = roles.unique().filter(pl.len().over("window") == 1)
    others = events.join(cut, on="user_id", how="anti").join(roles, on="window")
    others = others.filter(pl.col("role").n_unique().over("user_id") == 2)
    return others.select(cut.columns)
