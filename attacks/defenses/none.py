"""No defense: the vectors as the model computes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import Defense
from attacks.gallery import Released


class Undefended(Defense):
    """Releases the vectors unchanged. Costs nothing and protects nothing."""

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the vectors themselves."""
        return released.vectors
