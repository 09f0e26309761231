"""What every defense must do."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


class Defense(ABC):
    """Changes vectors before they are released, gallery and probe alike."""

    @abstractmethod
    def apply(self, vectors: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Return what is released in place of ``vectors`` ``(n, d)``; the input stays as it is."""
