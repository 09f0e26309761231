"""Defenses that release the same vectors again without a change."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import Defense
from attacks.gallery import Released


class Fixed(Defense):
    """A defense that draws nothing anew: several releases tell no more than one."""

    @abstractmethod
    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return what is released, ``(n, d')``, every time."""

    def observed(
        self,
        released: Released,
        num_releases: int | NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return one release, ``(n, d')``: all are equal.

        Parameters
        ----------
        released
        num_releases : () or (n,)
        rng
        """
        return self.apply(released, rng)
