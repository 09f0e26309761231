"""Defenses by strength, from weak to strong.

Not among them: `smoothed`, which is `gaussian` with less noise; `sticky` and `rotated`, whose
vectors of one release are linked to each other as well as before; `truncated`, which `projected`
onto principal axes is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attacks.defenses.averaged import Averaged
from attacks.defenses.base import Defense
from attacks.defenses.elliptical import Elliptical
from attacks.defenses.erased import Erased
from attacks.defenses.gaussian import Gaussian
from attacks.defenses.laplace import Laplace
from attacks.defenses.projected import Projected
from attacks.defenses.quantized import Quantized

SIGMAS = tuple(float(f"{sigma:.3g}") for sigma in np.geomspace(0.02, 200, 41))
"""Noise over radius; each strength is 1.26 times the one before."""


@dataclass(frozen=True)
class Ladder:
    """One defense at growing strength.

    Attributes
    ----------
    name
        Of the defense.
    steps
        Parameters, the weakest first.
    is_certified
        Whether it may bound every attacker.
    """

    name: str
    make: Callable[..., Defense]
    steps: Sequence[dict[str, Any]]
    is_certified: bool = False

    def made(self, step: int) -> Defense:
        """Make the defense of a strength."""
        return self.make(**self.steps[step])


def ladders(
    dimensions: int, num_users: int, *, has_labels: bool, keeps_groups: bool
) -> list[Ladder]:
    """List the defenses that can be fitted.

    Parameters
    ----------
    dimensions
        Of the vectors.
    num_users
        Least number of users in a release, of whom groups are formed.
    has_labels
        Whether there are labels to fit task directions to.
    keeps_groups
        Whether groups are the same in every window.
    """
    noise = [{"sigma_per_radius": sigma} for sigma in SIGMAS]
    # In d dimensions an axis of the noise has a standard deviation of sqrt(d + 1) / epsilon.
    epsilons = [float(f"{math.sqrt(dimensions + 1) / sigma:.3g}") for sigma in SIGMAS]
    kept = _descending(dimensions)
    found = [
        Ladder("gaussian", Gaussian, noise, is_certified=True),
        Ladder("laplace", Laplace, [{"epsilon_per_radius": e} for e in epsilons], True),
        Ladder("averaged", Averaged, _groups(num_users, keeps_groups), is_certified=True),
        Ladder("quantized", Quantized, [{"bits": bits} for bits in (8, 6, 4, 3, 2, 1)]),
    ]
    if has_labels:
        found.append(Ladder("elliptical", Elliptical, noise, is_certified=True))
    if dimensions > 1:
        erased = [{"by": "fisher", "directions": dimensions - keep} for keep in kept]
        found += [
            Ladder(
                f"projected onto {onto}",
                Projected,
                [{"onto": onto, "dimensions": keep} for keep in kept],
            )
            for onto in ("pca", *(["tasks"] if has_labels else []))
        ]
        found.append(Ladder("erased", Erased, erased))
    return found


def _descending(dimensions: int) -> list[int]:
    """Dimensions that are kept, from all but one to one, about a fifth fewer each time."""
    kept, size = [], dimensions - 1
    while size >= 1:
        kept.append(size)
        size = min(size - 1, int(size * 0.8))
    return kept


def _groups(num_users: int, keeps_groups: bool) -> list[dict[str, Any]]:
    sizes, size = [], 2
    while size <= num_users // 2:
        sizes.append(size)
        size = max(size + 1, int(size * 1.25))
    return [{"k": size, "regroup": not keeps_groups} for size in sizes]
