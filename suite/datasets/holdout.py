"""Users held out from every fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def held_out(user_id: NDArray[np.integer[Any]], share: float) -> NDArray[np.bool_]:
    """Choose about this share of users by a hash of their ids.

    The hash is SplitMix64, increment and finalizer: the first output of the generator seeded with
    the id.

    Parameters
    ----------
    user_id : (n,)
        Ids of 64 bits; one chosen at a share is also chosen at larger shares.
    share
        In [0, 1]; 0 chooses none, 1 all.

    References
    ----------
    Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014;
    constants as in Vigna's public-domain splitmix64.c, 2015.
    """
    z = user_id.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    chosen: NDArray[np.bool_] = (z >> np.uint64(11)) * 2.0**-53 < share
    return chosen
