"""Planted users: a position each, and events that scatter around it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attacks.base import Attack
from attacks.gallery import Gallery
from attacks.ranks.exact import Ranks
from attacks.ranks.means import user_means


@dataclass(frozen=True)
class World:
    """Vectors of gallery events and probes, with the user behind each."""

    vectors: np.ndarray
    user_row: np.ndarray
    probe: np.ndarray
    true_row: np.ndarray

    @property
    def held(self) -> Gallery:
        return Gallery(self.vectors, self.user_row)

    @property
    def gallery(self) -> np.ndarray:
        return user_means(self.vectors, self.user_row).astype(np.float32)

    def renumbered(self, order: np.ndarray) -> World:
        return replace(self, user_row=order[self.user_row], true_row=order[self.true_row])


def world(positions, scatter, *, events=4, probes=4, seed=0) -> World:
    """Events are positions + noise @ scatter.T; ``scatter`` is a scale or a (d, d) matrix."""
    rng = np.random.default_rng(seed)
    num_users, dim = positions.shape
    scatter = np.broadcast_to(scatter, dim) * np.eye(dim) if np.ndim(scatter) < 2 else scatter
    user_row = np.repeat(np.arange(num_users), events)
    true_row = np.repeat(np.arange(num_users), probes)
    vectors, probe = (
        (positions[row] + rng.standard_normal((len(row), dim)) @ scatter.T).astype(np.float32)
        for row in (user_row, true_row)
    )
    return World(vectors, user_row, probe, true_row)


def positions(num_users=300, dim=16, *, scale=1.0, seed=0) -> np.ndarray:
    return np.random.default_rng(seed + 1000).standard_normal((num_users, dim)) * scale


def nuisance(dim=16, strength=10.0, seed=0) -> np.ndarray:
    """Scatter of 0.3 everywhere and of ``strength`` in two directions that users share."""
    rng = np.random.default_rng(seed + 2000)
    axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    return axes * np.where(np.arange(dim) < 2, strength, 0.3)


def attacked(attack: Attack, world: World, *, seed=0) -> Ranks:
    """Ranks after the attacker's fit and pooling, as the suite runs it."""
    attack.fit(world.held, np.random.default_rng(seed))
    group = attack.pool(world.true_row)
    kept = group >= 0
    probe = user_means(world.probe[kept], group[kept]).astype(np.float32)
    true_row = world.true_row[kept][np.unique(group[kept], return_index=True)[1]]
    return attack.ranks(probe, world.gallery, true_row)


def top1(ranks: Ranks) -> float:
    return float(np.where(ranks.greater == 0, 1 / (1 + ranks.equal), 0).mean())


def lift(attack: Attack, world: World, *, seed=0) -> float:
    """How many times better than chance: 1 to the number of gallery users."""
    return top1(attacked(attack, world, seed=seed)) * len(world.gallery)


def identifiers(num_users=100, dim=16) -> World:
    """Every vector of a user is the same."""
    return world(positions(num_users, dim), 0.0)


def constant(num_users=100, dim=16) -> World:
    """Every vector of everybody is the same."""
    return world(np.ones((num_users, dim)), 0.0)


def noise(num_users=100, dim=16) -> World:
    """Vectors that say nothing about users."""
    return world(np.zeros((num_users, dim)), 1.0, probes=20)
