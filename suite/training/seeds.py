"""Generators from seeds of any size, including those beyond 32 bits."""

from __future__ import annotations

import numpy as np

WORD = 2**32


def for_torch(seed: int) -> int:
    """Return a seed for torch, whose CPU generator ignores all but the lowest 32 bits."""
    return seed if seed < WORD else int(np.random.SeedSequence(seed).generate_state(1)[0])


def sequence(seed: int, *keys: int) -> np.random.SeedSequence:
    """Return the seed sequence of a seed and of keys such as the epoch.

    A larger seed, listed as words beside the keys, would collide with another seed and its keys.
    """
    if seed < WORD:
        return np.random.SeedSequence([seed, *keys])
    return np.random.SeedSequence(seed, spawn_key=keys)
