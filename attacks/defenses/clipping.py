"""A ball about the train mean, into which vectors are drawn before noise is added.

A scale of noise says nothing without a bound on what it hides: a model could make its vectors
longer, and the same noise would be smaller beside them. All noise is stated per radius.

Shape letters: n vectors, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ball:
    """Where vectors may lie before noise is added.

    Attributes
    ----------
    center : (d,)
        Mean of the train vectors.
    radius
        R, above 0, in the unit of the vectors.
    """

    center: NDArray[np.float32]
    radius: float

    def clip(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Draw what lies outside to the surface, toward the center: ``(n, d) -> (n, d)``.

        What lies inside stays bit for bit. No two vectors are farther apart than they were.
        """
        beyond = np.flatnonzero(_distances(vectors, self.center) > self.radius)
        clipped = vectors.copy()
        exact = vectors[beyond].astype(np.float64) - self.center
        length = np.linalg.norm(exact, axis=1, keepdims=True)
        clipped[beyond] = self.center + exact * np.minimum(1, self.radius / length)
        return clipped


def enclosing(vectors: NDArray[np.float32], quantile: float, defense: str) -> Ball:
    """Fit the ball that holds a given share of the train vectors.

    Parameters
    ----------
    vectors : (n, d)
    quantile
        Share of the vectors that lie inside, in (0, 1].
    defense
        Name for the error message.

    Returns
    -------
    Ball

    Raises
    ------
    ValueError
        If there are no vectors, or so many equal ones that the radius would be 0.
    """
    if not len(vectors):
        raise ValueError(f"{defense}: found 0 train vectors, allowed: at least 1")
    center = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    radius = float(np.quantile(_distances(vectors, center), quantile))
    if not radius > 0:
        raise ValueError(
            f"{defense}: radius R, the {quantile} quantile of the train vectors' distances to "
            f"their mean: found {radius:g}, allowed: above 0"
        )
    return Ball(center, radius)


def _distances(vectors: NDArray[np.float32], center: NDArray[np.float32]) -> NDArray[np.float64]:
    """Lengths of the differences; float32 could not hold the squares of long ones."""
    offset = vectors - center
    squares: NDArray[np.float64] = np.einsum("ij,ij->i", offset, offset, dtype=np.float64)
    return np.sqrt(squares)


def check_quantile(quantile: float, defense: str) -> None:
    """Refuse a share of the train vectors outside (0, 1].

    Raises
    ------
    ValueError
        One line: defense, parameter, found, allowed.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"{defense}: quantile: found {quantile}, allowed: above 0, at most 1")
