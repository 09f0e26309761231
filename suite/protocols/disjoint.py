"""Gallery and probes encoded from separate halves of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.protocols.static import Static


@dataclass(frozen=True, kw_only=True)
class Disjoint(Static):
    """`static` events, but no click of the history serves both gallery and probes.

    Whole days of a user's history are dealt by a seeded coin: one side encodes the gallery's
    vectors, the other the probes'. What is still linked is behavior, not shared input. A user
    with fewer than 5 clicks on a side takes no part.

    Parameters
    ----------
    windows, users, exclude
        As in ``static``.
    """

    splits_history: ClassVar[bool] = True
