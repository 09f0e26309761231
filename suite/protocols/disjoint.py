"""Gallery and probes encoded from separate halves of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.protocols.static import Static


@dataclass(frozen=True, kw_only=True)
class Disjoint(Static):
    """`static` events, but no click of the history serves both gallery and probes.

    A user's history is dealt in units by a seeded coin: one side encodes the gallery's vectors,
    the other the probes'. What is still linked is behavior, not shared input. Both halves are
    described as of the start of their window, and what differs between them by the coin (length,
    active days, hours since the last click, weekend and evening share) is the same for everybody.
    A user with fewer than 5 clicks on a side takes no part.

    No way to deal is neutral. What clicks of one sitting have in common counts as identity where
    they are dealt apart, and how a person differs from day to day hides it where days are.

    Parameters
    ----------
    deal
        ``session``: clicks without a pause of more than 30 minutes stay together. Sittings of one
        day may be dealt apart: it errs for the attacker by what lasts a day. ``day``: whole local
        days; it errs against the attacker, as a history has few of them and the halves are of
        different days. ``click``: it errs for the attacker, as neighbors within a session are
        dealt apart.
    windows, users, exclude
        As in ``static``.
    """

    deal: Literal["session", "day", "click"] = "session"

    splits_history: ClassVar[bool] = True
