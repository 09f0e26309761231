"""A fresh random rotation for every release."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ortho_group

from attacks.defenses.base import Defense
from attacks.gallery import Released


class Rotated(Defense):
    """Multiplies the vectors of each window by an orthogonal matrix drawn for that release alone.

    Within a window all lengths, angles and neighbors stay; between two windows no coordinate means
    the same.

    It costs no information: a head that is fitted within the release does as well as before, and
    the model's own head needs the matrix, which must stay secret; a head that is fitted in one
    window is worth nothing in another. It protects links between
    windows from attackers who compare vectors as they are.

    It does not protect links within a window at all, nor against an attacker who turns one release
    back onto the other: by as many known users as there are dimensions, and with none by matching
    the shapes of the two clouds of vectors, whose means, covariances and neighborhoods survive.
    There is no noise and no certificate.

    References
    ----------
    Keke Chen, Ling Liu, Privacy Preserving Data Classification with Rotation Perturbation, IEEE
    International Conference on Data Mining, 2005.

    Kun Liu, Chris Giannella, Hillol Kargupta, An Attacker's View of Distance Preserving Maps for
    Privacy Preserving Data Mining, European Conference on Principles and Practice of Knowledge
    Discovery in Databases, 2006 (how it is undone).

    Francesco Mezzadri, How to Generate Random Matrices from the Classical Compact Groups, Notices
    of the AMS, 2007 (uniform rotations).
    """

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Rotate each window about the origin by a matrix of its own: ``(n, d) -> (n, d)``."""
        vectors = released.vectors
        dimensions = vectors.shape[1]
        row = np.zeros(len(vectors), np.int64)
        if released.window is not None:
            row = np.unique(released.window, return_inverse=True)[1]
        rotated = np.empty_like(vectors)
        for window in range(int(row.max(initial=-1)) + 1):
            matrix = ortho_group.rvs(dimensions, random_state=rng) if dimensions > 1 else _sign(rng)
            there = row == window
            rotated[there] = vectors[there] @ matrix.astype(np.float32)
        return rotated

    def observed(
        self,
        released: Released,
        num_releases: int | NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return one release, ``(n, d)``: the mean of vectors that were turned apart is no better.

        An adversary who can turn them back onto each other finds them equal.

        Parameters
        ----------
        released
        num_releases : () or (n,)
        rng
        """
        return self.apply(released, rng)


def _sign(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw from the orthogonal group of one dimension, which SciPy refuses."""
    return np.array([[rng.choice([-1.0, 1.0])]])
