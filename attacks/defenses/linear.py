"""Affine maps of released vectors, and axes of train vectors.

Shape letters: n vectors, d dimensions, k axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PIECE = 32_768
"""Vectors mapped at a time."""


def mapped(
    vectors: NDArray[np.float32], center: NDArray[np.float64], matrix: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return center + (vectors - center) @ matrix, rounded once: ``(n, d) -> (n, d)``.

    The product is one of float64: in float32 a direction that the matrix removes would keep a
    share of 1e-7 of each vector, which whitening makes as large as any other.

    Parameters
    ----------
    vectors : (n, d)
    center : (d,)
    matrix : (d, d)
    """
    released = np.empty_like(vectors)
    shift = center - center @ matrix
    for start in range(0, len(vectors), PIECE):
        piece = vectors[start : start + PIECE].astype(np.float64)
        released[start : start + PIECE] = piece @ matrix + shift
    return released


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
