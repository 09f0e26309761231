"""One-to-one assignment of all probes to the gallery at once."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.preprocessing import normalize

from attacks.base import Attack, Metric
from attacks.gallery import Gallery
from attacks.ranks.counting import TIE
from attacks.ranks.exact import Ranks, exact_ranks

MAX_USERS = 10_000
"""Maximum number of probes or gallery users; 10,000 of each need 0.8 GB and cubic time."""


class Matching(Attack):
    """Identifies all probes jointly: each gallery user at most once, maximizing the sum of cosines.

    The adversary holds one released vector per known user, and sees all anonymous vectors of a
    release at once, sorted into people without names, one mean vector per person. It also knows
    that two people are never the same user. A probe whose own user is only the second best may
    then be identified, since the best is assigned to a probe that fits it better.

    The user assigned to a probe takes the first place and the others follow in the order of
    their cosines. Neither probes nor gallery users need be as many as the other: those left
    over when the smaller side is used up are not assigned, and a probe without a user keeps the
    plain order. Equally good assignments are drawn from at random, for the order of equal users
    must not tell.

    References
    ----------
    Harold W. Kuhn, The Hungarian Method for the Assignment Problem, Naval Research Logistics
    Quarterly, 1955.

    Farid M. Naini, Jayakrishnan Unnikrishnan, Patrick Thiran, Martin Vetterli, Where You Are Is
    Who You Are: User Identification by Matching Statistics, IEEE Transactions on Information
    Forensics and Security, 2016 (assignment beats naming users one by one).
    """

    metric: ClassVar[Metric] = "cosine"
    together: ClassVar[bool] = True

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Keep a seed for ties; there is nothing to learn from the gallery."""
        self.tie_seed = int(rng.integers(2**63))

    def pool(self, user_row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Group all probes of a user: ``(n,) -> (n,)``."""
        group: NDArray[np.int64] = np.unique(user_row, return_inverse=True)[1]
        return group

    def ranks(
        self,
        probe: NDArray[np.float32],
        gallery: NDArray[np.float32],
        true_row: NDArray[np.int64],
    ) -> Ranks:
        """Place of the true user of every probe, the assigned user being first.

        Parameters
        ----------
        probe : (n, d)
            One vector per person; all of them, since they are decided together.
        gallery : (g, d)
        true_row : (n,)

        Returns
        -------
        Ranks

        Raises
        ------
        ValueError
            If there are more than 10,000 probes or gallery users.
        """
        if max(len(probe), len(gallery)) > MAX_USERS:
            raise ValueError(
                f"matching: probes and gallery users must be at most {MAX_USERS} each, "
                f"got {len(probe)} and {len(gallery)}"
            )
        greater, equal = exact_ranks(probe, gallery, true_row, metric="cosine")
        rng = np.random.default_rng(self.tie_seed)
        rows, columns = rng.permutation(len(probe)), rng.permutation(len(gallery))
        x, g = (normalize(vectors.astype(np.float64)) for vectors in (probe, gallery))
        found_row, found_column = linear_sum_assignment(-x[rows] @ g[columns].T)
        named, user = rows[found_row], columns[found_column]
        true = true_row[named]
        right = user == true
        greater[named[right]] = equal[named[right]] = 0
        wrong = (true >= 0) & ~right
        named, user, true = named[wrong], user[wrong], true[wrong]
        ahead = (x[named] * (g[user] - g[true])).sum(axis=1)
        # The assigned user moves to the front from behind the true one, or out of its ties.
        greater[named] += ahead <= TIE
        equal[named] -= np.abs(ahead) <= TIE
        return Ranks(greater, equal)
