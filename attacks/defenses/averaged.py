"""Micro-aggregation: the mean of at least k users in place of each vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import GroupCertificate
from attacks.defenses.fixed import Fixed
from attacks.defenses.grouping import near_groups
from attacks.gallery import Released
from attacks.ranks.means import user_means


class Averaged(Fixed):
    """Replaces every vector by the mean of a group of at least k near users.

    In each window users are grouped by the means of their vectors, and all vectors of a group's
    users become one: the mean of the users' means. What is released is the same for all users of a
    group, so that nobody is found more often than by a guess among them: top-1 is at most 1 / k,
    or M / (k N) where an attacker knows that only N of the M users released are looked for.

    It costs what tells the events of a user apart, all of it, and what tells the users of a group
    apart. It protects each user as one of k in a window, from attackers of any kind and however
    often the same is released.

    It does not protect what the users of a group have in common, nor anyone from an attacker who
    knows the vectors of all others in the group, since it knows their mean too. Every window has
    its own groups, and whoever is in the same two groups as nobody else is found by vectors of
    both. Groups that are kept prevent that, and are a mark themselves: then every window says who
    is in the group, and top-1 reaches 1 / k where vectors alone might have told less. Groups are
    formed of the users released, not on the train window.

    Parameters
    ----------
    k
        Users of a group, at least 2.
    regroup
        Group users anew in each window, by their vectors of it alone; else once, by all their
        vectors, and where fewer than k users of a group are in a window its vector is the mean of
        the whole group over all windows.

    References
    ----------
    Josep Domingo-Ferrer, Josep M. Mateo-Sanz, Practical Data-Oriented Microaggregation for
    Statistical Disclosure Control, IEEE Transactions on Knowledge and Data Engineering, 2002.

    Latanya Sweeney, k-Anonymity: A Model for Protecting Privacy, International Journal of
    Uncertainty, Fuzziness and Knowledge-Based Systems, 2002.

    Srivatsava Ranjit Ganta, Shiva Prasad Kasiviswanathan, Adam Smith, Composition Attacks and
    Auxiliary Information in Data Privacy, ACM SIGKDD International Conference on Knowledge
    Discovery and Data Mining, 2008 (what two groupings tell together).
    """

    def __init__(self, *, k: int = 5, regroup: bool = True) -> None:
        if k < 2:
            raise ValueError(f"averaged: k: found {k}, allowed: at least 2")
        self.k = k
        self.regroup = regroup

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Average within groups: ``(n, d) -> (n, d)``; ``rng`` is unused.

        Parameters
        ----------
        released
            Vectors of all windows, for whose users groups are formed.
        rng

        Raises
        ------
        ValueError
            If there are fewer users than k, with ``regroup`` in a window.
        """
        user, window = _numbered(released.user_row), np.zeros(len(released.vectors), np.int64)
        if released.window is not None:
            window = _numbered(released.window)
        if not self.regroup:
            return self._within(released.vectors, user, window)
        vectors = np.empty_like(released.vectors)
        for number in range(int(window.max(initial=-1)) + 1):
            there = window == number
            alone = np.zeros(int(there.sum()), np.int64)
            vectors[there] = self._within(released.vectors[there], _numbered(user[there]), alone)
        return vectors

    def certificate(self) -> GroupCertificate:
        """Return k, and whether groups are kept."""
        return GroupCertificate(
            self.k,
            not self.regroup,
            "all that is released of a window was grouped together, and nothing but vectors tells "
            "who of a group is looked for",
        )

    def _within(
        self, vectors: NDArray[np.float32], user: NDArray[np.int64], window: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Group the users once and average each group in each window."""
        num_users = int(user.max(initial=-1)) + 1
        if num_users < self.k:
            raise ValueError(
                f"averaged: k: found {self.k} and {num_users} users, allowed: at most as many as "
                "there are users in a release"
            )
        of_user = user_means(vectors, user)
        group = near_groups(of_user, self.k)
        # A user's vectors of a window, then the users of a group in it; each user weighs the same.
        width = int(window.max()) + 1
        places, place = np.unique(user * width + window, return_inverse=True)
        of_place, user_there = user_means(vectors, place), places // width
        cell = _numbered(group[user_there] * width + places % width)
        few = np.bincount(cell)[cell] < self.k
        mean = user_means(of_place, cell)[cell]
        mean[few] = user_means(of_user, group)[group[user_there[few]]]
        return mean.astype(np.float32)[place]


def _numbered(values: NDArray[np.generic]) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = np.unique(values, return_inverse=True)[1]
    return numbers
