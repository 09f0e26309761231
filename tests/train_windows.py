"""Train windows that a defense is fitted on."""

from __future__ import annotations

import numpy as np

from attacks.gallery import Released


def train_window(dimensions: int, *, num_users=20, events=6, scatter=1.0, seed=2) -> Released:
    """Events scatter around a center of each user; two labels each read one of the first axes."""
    rng = np.random.default_rng(seed)
    user_row, order = np.repeat(np.arange(num_users), events), np.tile(np.arange(events), num_users)
    centers = rng.normal(size=(num_users, dimensions))
    vectors = centers[user_row] + scatter * rng.normal(size=(len(user_row), dimensions))
    window = np.full(len(user_row), "train")
    labels = vectors[:, :2] + rng.logistic(size=(len(user_row), 2)) / 2 > 0
    return Released(vectors.astype(np.float32), user_row, order, window, labels)
