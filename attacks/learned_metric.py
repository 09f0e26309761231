"""Nearest neighbor in a space trained to pull each user's events together."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from attacks.base import Attack, Metric
from attacks.gallery import Gallery
from attacks.ranks.means import user_means

LEARNING_RATE = 0.01
"""Of Adam, on whitened vectors and a map that starts as the identity; 0.03 did no better."""


class LearnedMetric(Attack):
    """Names the gallery user at the smallest angle, after a linear map learned by contrast.

    The adversary holds several released vectors of known users and wants the user behind each
    anonymous vector of the same release. It practices the attack on the gallery: one event of a
    user against the mean of the user's other events, among the means of other users, under the
    InfoNCE loss. Unlike `lda` it assumes no distribution and optimizes identification itself.

    Training starts from whitened vectors, runs in float64 on one thread and draws all randomness
    from ``rng``, so that it repeats bit for bit. Its time does not depend on the number of users.

    Parameters
    ----------
    steps
        Gradient steps, at least 1.
    users_per_step
        Users contrasted with each other in a step, at least 2; all if there are fewer.
    temperature
        Divides cosines before the softmax, above 0; small ones look at the nearest rivals only.

    References
    ----------
    Aaron van den Oord, Yazhe Li, Oriol Vinyals, Representation Learning with Contrastive
    Predictive Coding, arXiv 1807.03748, 2018 (the loss).

    Jake Snell, Kevin Swersky, Richard Zemel, Prototypical Networks for Few-shot Learning, Advances
    in Neural Information Processing Systems, 2017 (contrast with means, as at attack time).

    Ana-Maria Cretu, Federico Monti, Stefano Marrone, Xiaowen Dong, Michael Bronstein,
    Yves-Alexandre de Montjoye, Interaction Data Are Identifiable Even across Long Periods of Time,
    Nature Communications, 2022 (a learned embedding as the attack).
    """

    metric: ClassVar[Metric] = "cosine"

    def __init__(
        self, *, steps: int = 300, users_per_step: int = 256, temperature: float = 0.1
    ) -> None:
        if steps < 1:
            raise ValueError(f"learned_metric: steps must be at least 1, got {steps}")
        if users_per_step < 2:
            raise ValueError(
                f"learned_metric: users_per_step must be at least 2, got {users_per_step}"
            )
        if not 0 < temperature < np.inf:
            raise ValueError(f"learned_metric: temperature must be above 0, got {temperature}")
        self.steps = steps
        self.users_per_step = users_per_step
        self.temperature = temperature

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Learn the map from users with at least 2 events.

        Parameters
        ----------
        gallery
            Vectors of known users.
        rng

        Raises
        ------
        ValueError
            If fewer than 2 gallery users have 2 vectors.
        """
        vectors, user_row = gallery.vectors, gallery.user_row
        means = user_means(vectors, user_row)
        counts = np.bincount(user_row)
        # In the order of their vectors, so that the numbering of users does not matter.
        repeated = np.lexsort(means.T)
        repeated = repeated[counts[repeated] > 1]
        if len(repeated) < 2:
            raise ValueError(
                f"learned_metric: 2 gallery users must have 2 vectors or more, got {len(repeated)}"
            )
        self.center = means.mean(axis=0)
        variance, axes = np.linalg.eigh(ledoit_wolf(vectors - self.center, assume_centered=True)[0])
        scale = np.zeros_like(variance)
        np.divide(1, np.sqrt(variance.clip(min=0)), out=scale, where=variance > 0)
        whiten = axes * scale
        events = (vectors - self.center) @ whiten
        sums = user_means(events, user_row) * counts[:, None]
        order, first = np.argsort(user_row, kind="stable"), np.cumsum(counts) - counts

        def draw() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            """Draw one event of each of some users, and the mean of their others."""
            size = min(self.users_per_step, len(repeated))
            user = rng.choice(repeated, size, replace=False)
            event = events[order[first[user] + rng.integers(counts[user])]]
            return event, (sums[user] - event) / (counts[user] - 1)[:, None]

        self.transform = whiten @ self._contrast(draw, len(scale))

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map to the learned space, in float64 and rounded once: ``(n, d) -> (n, d)``."""
        embedded: NDArray[np.float32] = ((vectors - self.center) @ self.transform).astype(
            np.float32
        )
        return embedded

    def _contrast(
        self,
        draw: Callable[[], tuple[NDArray[np.float64], NDArray[np.float64]]],
        dimensions: int,
    ) -> NDArray[np.float64]:
        """Minimize the loss over pairs that ``draw`` gives."""
        weight = torch.eye(dimensions, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([weight], LEARNING_RATE)
        threads = torch.get_num_threads()
        # The products are small: two threads that wait for each other on a busy machine took
        # thirty times as long as one.
        torch.set_num_threads(1)
        try:
            for _ in range(self.steps):
                event, others = (F.normalize(torch.from_numpy(x) @ weight) for x in draw())
                logits = event @ others.T / self.temperature
                loss = F.cross_entropy(logits, torch.arange(len(logits)))
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
        finally:
            torch.set_num_threads(threads)
        learned: NDArray[np.float64] = weight.detach().numpy()
        return learned
