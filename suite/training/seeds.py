"""What a seed decides: the whole of it, beyond the 32 bits that some generators take."""

from __future__ import annotations

import numpy as np

WORD = 2**32


def for_torch(seed: int) -> int:
    """Return a seed for torch, whose generator on CPUs ignores all but the lowest 32 bits."""
    return seed if seed < WORD else int(np.random.SeedSequence(seed).generate_state(1)[0])


def sequence(seed: int, *keys: int) -> np.random.SeedSequence:
    """Return the randomness of a seed and of where it is used, such as the epoch.

    Listed one after the other, the words of a larger seed would be those of another seed and key.
    """
    if seed < WORD:
        return np.random.SeedSequence([seed, *keys])
    return np.random.SeedSequence(seed, spawn_key=keys)
