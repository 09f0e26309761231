"""Affine maps of released vectors, and axes of train vectors.

Shape letters: n vectors, d dimensions, k axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PIECE = 32_768
"""Vectors mapped at a time."""


@dataclass(frozen=True)
class Affine:
    """The map center + (vector - center) @ matrix, coarse enough to keep nothing that it removes.

    Attributes
    ----------
    center : (d,)
    matrix : (d, d)
    grain : (d,)
        Each coordinate is a multiple of this above its center; 0 where it is the center.
    """

    center: NDArray[np.float64]
    matrix: NDArray[np.float64]
    grain: NDArray[np.float64]

    def of(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map in float64 and round: ``(n, d) -> (n, d)``."""
        released = np.empty_like(vectors)
        fine = np.where(self.grain > 0, self.grain, np.inf)
        for start in range(0, len(vectors), PIECE):
            offset = (vectors[start : start + PIECE] - self.center) @ self.matrix
            offset /= fine
            np.rint(offset, out=offset)
            offset *= self.grain
            offset += self.center
            released[start : start + PIECE] = offset
        return released


def affine(
    vectors: NDArray[np.float32], center: NDArray[np.float64], matrix: NDArray[np.float64]
) -> Affine:
    """Fit the grain of a map to train vectors: 2^-24 of each coordinate's spread.

    A direction that a matrix removes stays with a share of the rounding error, 1e-7 of a vector in
    float32 and 1e-16 in float64. Where a coordinate is 0 otherwise, float32 has digits for either,
    and an attacker who scales it up reads what was removed.

    Parameters
    ----------
    vectors : (n, d)
    center : (d,)
        The spread is that about it.
    matrix : (d, d)

    Returns
    -------
    Affine
    """
    squares = np.zeros(len(center))
    for start in range(0, len(vectors), PIECE):
        squares += ((vectors[start : start + PIECE] - center) ** 2).sum(axis=0)
    spread = np.sqrt(squares / max(len(vectors), 1))
    # The center itself is rounded: what seems to vary by that much does not.
    spread[spread <= 1e-15 * np.abs(center)] = 0
    return Affine(center, matrix, spread * 2.0**-24)


def principal_axes(
    vectors: NDArray[np.float32], center: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Directions of the largest spread about a center first, as the columns of ``(d, d)``."""
    scatter = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(vectors), PIECE):
        piece = vectors[start : start + PIECE] - center
        scatter += piece.T @ piece
    axes: NDArray[np.float64] = np.linalg.eigh(scatter)[1][:, ::-1]
    return axes


def check_directions(found: int, dimensions: int, defense: str, parameter: str) -> None:
    """Refuse more directions than the vectors have.

    Raises
    ------
    ValueError
        One line: defense, parameter, found, allowed.
    """
    if found > dimensions:
        raise ValueError(
            f"{defense}: {parameter}: found {found}, allowed: at most {dimensions}, "
            "the dimensions of the vectors"
        )
