"""What is lost in what a defense releases.

Shape letters: n vectors, d dimensions, u users.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attacks.advice.world import Part, World
from attacks.measures.auc import clustered_auc
from attacks.ranks.means import user_means

STRENGTHS = (1e-3, 1.0)
"""Inverse L2 penalties of a head, chosen among on the choosing users."""

NEIGHBORS = 10

MOST_ROWS, MOST_USERS = 20_000, 1_000
"""Vectors that a head is fitted to and tried on, and users whose neighbors are sought."""


@dataclass(frozen=True)
class LabelAuc:
    """AUC of a head fitted to what is released, with its 95 % interval over users."""

    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class Cost:
    """What a release is worth, on one part of the users.

    Attributes
    ----------
    auc
        By label, of a logistic regression fitted to released vectors of other users.
    distortion
        Mean squared distance of a released vector from the true one over the vectors' variance.
    overlap
        Share of the ten nearest users of a user, by mean vectors, who are still among them, in
        [0, 1].
    """

    auc: dict[str, LabelAuc] = field(default_factory=dict)
    distortion: float = 0.0
    overlap: float = 1.0

    @property
    def worth(self) -> float:
        """The mean AUC, or without labels the overlap: the larger, the less is lost."""
        if not self.auc:
            return self.overlap
        return float(np.mean([one.auc for one in self.auc.values()]))


def cost(world: World, vectors: NDArray[np.float32], part: Part, seed: int) -> Cost:
    """Measure the cost of a release of all vectors.

    Parameters
    ----------
    world
    vectors : (n, d)
        As released, once.
    part
        Users who are measured.
    seed
        Draws vectors and users where there are many.
    """
    rows = world.rows(part, MOST_ROWS, seed)
    true = world.released.vectors
    spread = float(true[rows].var(axis=0, dtype=np.float64).sum())
    moved = ((vectors[rows] - true[rows]).astype(np.float64) ** 2).sum(axis=1).mean()
    return Cost(
        {name: _auc(world, vectors, number, part, seed) for number, name in _labels(world)},
        float(moved / spread) if spread else 0.0,
        _overlap(world, vectors, part, seed),
    )


def _labels(world: World) -> list[tuple[int, str]]:
    return list(enumerate(world.label_names))


def _auc(
    world: World, vectors: NDArray[np.float32], number: int, part: Part, seed: int
) -> LabelAuc:
    assert world.released.labels is not None
    label, user = world.released.labels[:, number], world.released.user_row
    fit, choose, rows = (world.rows(one, MOST_ROWS, seed) for one in ("fit", "choose", part))
    heads = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(
            vectors[fit], label[fit]
        )
        for strength in STRENGTHS
    ]
    tried = [
        clustered_auc(head.decision_function(vectors[choose]), label[choose], user[choose]).auc
        for head in heads
    ]
    score = heads[int(np.argmax(tried))].decision_function(vectors[rows])
    found = clustered_auc(score, label[rows], user[rows])
    return LabelAuc(found.auc, found.low, found.high)


def _overlap(world: World, vectors: NDArray[np.float32], part: Part, seed: int) -> float:
    """Share of near users who stay near."""
    user = world.released.user_row
    asked = np.unique(user[world.rows(part, len(user), seed)])
    if len(asked) > MOST_USERS:
        asked = np.sort(np.random.default_rng(seed).choice(asked, MOST_USERS, replace=False))
    before, after = (
        _nearest(user_means(one, user), asked) for one in (world.released.vectors, vectors)
    )
    same = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(before, after, strict=True)]
    return float(np.mean(same))


def _nearest(means: NDArray[np.float64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the ten nearest other users of some users, ``(u, 10)``."""
    distance = (means**2).sum(axis=1) - 2 * means[asked] @ means.T
    distance[np.arange(len(asked)), asked] = np.inf
    found: NDArray[np.int64] = np.argpartition(distance, NEIGHBORS, axis=1)[:, :NEIGHBORS]
    return found
