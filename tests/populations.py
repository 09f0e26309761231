"""Populations of users whose true figures are known, for intervals to be tried on.

Users differ in activity (probes each) and in risk (their own rate of rank 1), and the two may
depend on each other: both come from normal variables with the correlation ``RELATED``. The true
figure is that of the whole population, by quadrature; over probes it is the expected credit of a
user's probes over their expected number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri
from scipy.stats import beta

Values = NDArray[np.float64]

ACTIVITIES = ("equal", "geometric", "lognormal", "pareto")
NUM_GALLERY = 1000
RELATED = 0.6
GRID = np.linspace(-9.0, 9.0, 3601)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


def activity(kind: str, beyond: Values) -> Values:
    """Probes of the user whom a share ``beyond`` of all users exceeds in activity."""
    if kind == "equal":
        return np.full(beyond.shape, 10.0)
    if kind == "geometric":  # mean 10
        return 1 + np.floor(np.log(beyond) / np.log(0.9))
    if kind == "lognormal":  # median 5, the logarithm's standard deviation 1.25
        return np.ceil(np.exp(np.log(5) - 1.25 * ndtri(beyond)))
    return np.ceil(4 * beyond ** (-1 / 1.5))  # Pareto: no variance


def shares() -> tuple[Values, Values]:
    """Quadrature over users, most nodes where the most active ones are: shares and weights."""
    node = (np.arange(100_000) + 0.5) / 100_000
    return node**4, 4 * node**3 / 100_000


@dataclass(frozen=True)
class Population:
    """Users of one kind.

    Attributes
    ----------
    kind
        Of ``ACTIVITIES``.
    is_related
        Whether active users are at higher risk.
    top1
        The true rate over probes.
    alike
        Correlation of two probes of one user, which is the spread of risks.
    """

    kind: str
    is_related: bool
    top1: float
    alike: float = 0.2

    def risks(self, mean: float) -> Values:
        """Quantiles of the risk at the normal deviates ``GRID``."""
        scale = 1 / self.alike - 1
        return np.asarray(beta.ppf(ndtr(GRID), mean * scale, (1 - mean) * scale))

    @cached_property
    def per_user_top1(self) -> float:
        """Mean risk of users that makes the mean over probes ``top1``."""
        if not self.is_related:
            return self.top1
        low, high = -16.0, 16.0
        for _ in range(40):
            middle = (low + high) / 2
            over_probes, _ = self._means(float(expit(middle)))
            low, high = (middle, high) if over_probes < self.top1 else (low, middle)
        return self._means(float(expit(low)))[1]

    def _means(self, mean: float) -> tuple[float, float]:
        beyond, weight = shares()
        probes, deviate = activity(self.kind, beyond), -ndtri(beyond)
        risk, coarse = self.risks(mean), GRID[::20]
        noise = np.sqrt(1 - RELATED**2)
        given = (
            sum(
                w * np.interp(RELATED * coarse + noise * x, GRID, risk)
                for x, w in zip(NODES, WEIGHTS, strict=True)
            )
            / WEIGHTS.sum()
        )
        expected = np.interp(deviate, coarse, given)
        over_probes = float((weight * probes * expected).sum() / (weight * probes).sum())
        return over_probes, float((weight * expected).sum() / weight.sum())

    @cached_property
    def truth(self) -> dict[str, float]:
        """All figures of the population; bits as a share of log2 N."""
        ranks, chance = missed_ranks()
        reciprocal = float((chance / ranks).sum())
        log_rank = float((chance * np.log2(ranks)).sum()) / np.log2(NUM_GALLERY)
        return {
            "top1": self.top1,
            "per_user_top1": self.per_user_top1,
            "mrr": self.top1 + (1 - self.top1) * reciprocal,
            "bits": 1 - (1 - self.top1) * log_rank,
        }

    def sample(
        self, num_users: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw users and their probes: the probes' ranks and their users, ``(n,)`` each."""
        risk, user = self.risk(num_users, rng)
        is_hit = rng.random(len(user)) < risk
        ranks, chance = missed_ranks()
        missed = ranks[np.searchsorted(np.cumsum(chance)[:-1], rng.random(len(user)))]
        return np.where(is_hit, 1, missed), user

    def risk(self, num_users: int, rng: np.random.Generator) -> tuple[Values, NDArray[np.int64]]:
        """Draw users and their probes: the probes' rates of rank 1 and their users."""
        beyond = 1 - rng.random(num_users)
        deviate = rng.standard_normal(num_users)
        if self.is_related:
            deviate = -RELATED * ndtri(beyond) + np.sqrt(1 - RELATED**2) * deviate
        user = np.repeat(np.arange(num_users), activity(self.kind, beyond).astype(np.int64))
        return np.interp(deviate, GRID, self._risk)[user], user

    @cached_property
    def _risk(self) -> Values:
        return self.risks(self.per_user_top1)


def missed_ranks() -> tuple[NDArray[np.int64], Values]:
    """Ranks 2 .. N of probes that are not identified, and their chances, which fall as 1 / rank."""
    ranks = np.arange(2, NUM_GALLERY + 1)
    return ranks, 1 / ranks / (1 / ranks).sum()


def figures(ranks: NDArray[np.int64]) -> Values:
    """Credits ``(n, 4)`` of top-1, per-user top-1, MRR and bits."""
    top1 = (ranks == 1).astype(np.float64)
    bits = 1 - np.log2(ranks) / np.log2(NUM_GALLERY)
    return np.column_stack([top1, top1, 1 / ranks, bits])


@dataclass(frozen=True)
class Events:
    """Scored events of users who differ in activity, base rate and score.

    Attributes
    ----------
    kind
        Of ``ACTIVITIES``.
    is_related
        Whether active users have more positive events, higher scores and a better separation.
    separation
        Of the scores of the two labels, in standard deviations of one event.
    """

    kind: str
    is_related: bool
    separation: float

    @cached_property
    def auc(self) -> float:
        """AUC of the whole population, by drawing users with the quadrature's weights."""
        beyond, weight = shares()
        rng = np.random.default_rng(0)
        rng.shuffle(order := np.arange(len(beyond)))
        beyond, weight = beyond[order], weight[order] * activity(self.kind, beyond[order])
        rate, mean, gap = self._users(beyond, rng)
        positive = mean + gap + rng.standard_normal(len(mean))
        negative = mean + rng.standard_normal(len(mean))
        ranked = np.argsort(negative)
        below = np.append(0.0, np.cumsum((weight * (1 - rate))[ranked]))
        won = below[np.searchsorted(negative[ranked], positive)]
        return float((weight * rate * won).sum() / (weight * rate).sum() / below[-1])

    def sample(
        self, num_users: int, rng: np.random.Generator
    ) -> tuple[Values, NDArray[np.bool_], NDArray[np.int64]]:
        """Draw users and their events: scores, labels and users, ``(n,)`` each."""
        beyond = 1 - rng.random(num_users)
        user = np.repeat(np.arange(num_users), activity(self.kind, beyond).astype(np.int64))
        rate, mean, gap = (values[user] for values in self._users(beyond, rng))
        label = rng.random(len(user)) < rate
        return mean + gap * label + rng.standard_normal(len(user)), label, user

    def _users(self, beyond: Values, rng: np.random.Generator) -> tuple[Values, Values, Values]:
        """Positive rate, mean score and separation of each user."""
        first, second = rng.standard_normal((2, len(beyond)))
        gap = np.full(len(beyond), self.separation)
        if self.is_related:
            deviate = -ndtri(beyond)
            first, second = (
                RELATED * deviate + np.sqrt(1 - RELATED**2) * own for own in (first, second)
            )
            gap *= np.clip(1 + 0.3 * deviate, 0, 2)
        return ndtr(ndtri(0.3) * np.sqrt(2) + first), second, gap
