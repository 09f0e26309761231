"""Nearest neighbor of the mean of several vectors of one person."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from attacks.base import Attack, Metric


class Aggregated(Attack):
    """Names the gallery user at the smallest angle from the mean of m probes of one person.

    The adversary holds one released vector per known user and sees anonymous vectors under a
    pseudonym that lasts for m events: it does not know whose they are, but that they are one
    person's. What scatters from event to event, be it context or a defense's noise, averages
    out: independent noise of scale sigma is left with sigma / sqrt(m).

    Groups are consecutive in time; what is left over at the end is dropped. Compare rows of
    different m at the same ``at_least``, so that they speak about the same users.

    Parameters
    ----------
    m
        Probes per group, at least 1, or "all" of a user's.
    at_least
        Users with fewer probes are left out; not below m. By default m, and 1 for "all".

    References
    ----------
    Yohan Beugin, Patrick McDaniel, A Public and Reproducible Assessment of the Topics API on Real
    Data, IEEE Security and Privacy Workshops, 2024 (re-identification by number of observations).
    """

    metric: ClassVar[Metric] = "cosine"

    def __init__(self, *, m: int | Literal["all"] = 5, at_least: int | None = None) -> None:
        smallest = 1 if m == "all" else m
        if smallest < 1:
            raise ValueError(f"aggregated: m must be at least 1 or 'all', got {m!r}")
        self.m = m
        self.at_least = smallest if at_least is None else at_least
        if self.at_least < smallest:
            raise ValueError(f"aggregated: at_least must be {smallest} or more, got {at_least}")

    def pool(self, user_row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Group each user's probes by m, in their order.

        Parameters
        ----------
        user_row : (n,)

        Returns
        -------
        (n,)
            Groups are numbered user by user; -1 for what is left out.
        """
        _, user, counts = np.unique(user_row, return_inverse=True, return_counts=True)
        size = counts if self.m == "all" else np.full_like(counts, self.m)
        num_groups = np.where(counts >= self.at_least, counts // size, 0)
        order = np.argsort(user, kind="stable")
        place = np.empty_like(user)
        place[order] = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
        turn = place // size[user]
        group: NDArray[np.int64] = (np.cumsum(num_groups) - num_groups)[user] + turn
        return np.where(turn < num_groups[user], group, -1)
