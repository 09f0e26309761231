"""Populations of users to forecast in: large ones, of which a small gallery is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.measures.forecast import curve
from attacks.ranks.exact import Ranks, exact_ranks

Draw = Callable[[int, int, np.random.Generator], NDArray[np.float64]]


def gaussian(num: int, d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_normal((num, d))


def t3(num: int, d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_normal((num, d)) / np.sqrt(rng.chisquare(3, (num, 1)) / 3)


def clustered(num: int, d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Fifty clusters, 0.4 wide in every dimension."""
    centers = rng.standard_normal((50, d))
    return centers[rng.integers(50, size=num)] + 0.4 * rng.standard_normal((num, d))


def decaying(num: int, d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Variance 1 / k in dimension k."""
    return rng.standard_normal((num, d)) / np.sqrt(np.arange(1, d + 1))


def duplicates(num: int, d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A third of the users take one of 200 vectors, the k-th as often as 1 / k."""
    popularity = 1 / np.arange(1, 201)
    shared = rng.standard_normal((200, d))
    taken = shared[rng.choice(200, num, p=popularity / popularity.sum())]
    return np.where(rng.random((num, 1)) < 1 / 3, taken, rng.standard_normal((num, d)))


NOISE: dict[tuple[Draw, int], float] = {
    (gaussian, 16): 1.0,
    (gaussian, 64): 2.3,
    (t3, 16): 1.2,
    (t3, 64): 2.9,
    (clustered, 16): 0.76,
    (clustered, 64): 1.7,
    (decaying, 16): 0.42,
    (decaying, 64): 0.58,
    (duplicates, 16): 0.91,
    (duplicates, 64): 2.1,
}
"""Of a probe, per dimension: about half of them are named right among 1,000 users."""


@dataclass(frozen=True)
class Population:
    """All users, and a probe of each ranked among all of them by distance."""

    vector: NDArray[np.float32]
    noise: float
    ranks: Ranks

    @classmethod
    def drawn(cls, draw: Draw, d: int, num: int, rng: np.random.Generator) -> Population:
        vector = draw(num, d, rng).astype(np.float32)
        noise = NOISE[draw, d]
        return cls(vector, noise, _ranks(vector, noise, 1, rng))

    def truth(self, sizes: list[int]) -> NDArray[np.float64]:
        """Exact top-1 in random galleries of these users."""
        return curve(self.ranks, len(self.vector), sizes)

    def seen(
        self, num_gallery: int, each: int, rng: np.random.Generator
    ) -> Iterator[tuple[Ranks, NDArray[np.int64]]]:
        """Draw galleries with ``each`` new probes of every user, without end: ranks and users."""
        while True:
            known = rng.choice(len(self.vector), num_gallery, replace=False)
            ranks = _ranks(self.vector[known], self.noise, each, rng)
            yield ranks, np.arange(num_gallery).repeat(each)


def _ranks(vector: NDArray[np.float32], noise: float, each: int, rng: np.random.Generator) -> Ranks:
    user = np.arange(len(vector)).repeat(each)
    change = noise * rng.standard_normal((len(user), vector.shape[1]), np.float32)
    probe = (vector[user] + change).astype(np.float32)
    return exact_ranks(probe, vector, user, metric="euclidean")
