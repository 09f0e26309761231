"""Turning one release onto another by the shapes of their clouds, without known pairs."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from attacks.base import Attack, Metric
from attacks.gallery import Gallery
from attacks.ranks.exact import Ranks

FLIPPED = 3
"""Widest axes whose directions are tried both ways: a wrong one there misleads all that follow."""

FIRST, SCREENED, GROWTH = 4, 16, 1.5
"""Axes to begin with and to screen with, and the factor by which their number grows."""

KEPT = 2
"""Beginnings that are followed to all axes."""

SCREEN, SAMPLE = 300, 800
"""Probes, at most, by which beginnings are screened and followed."""

Matrix = NDArray[np.float64]


class Aligned(Attack):
    """Names the gallery user at the smallest angle, after turning the probes' cloud onto its own.

    The adversary holds one released vector per known user, and sees all anonymous vectors of
    another release at once, whose space was turned by a secret orthogonal matrix (`rotated`). It
    knows nobody in both. As most people are in both clouds, they have the same shape: axes are
    paired by their variances, and given directions by where they are skewed to. Then it assigns
    probes to gallery users softly, by their distances on the widest axes, solves the rotation of
    half as many axes more for these assignments, and so on until all axes are turned.

    It begins with both directions of the widest axes, and with no rotation at all, and keeps
    what brings the probes closest to gallery users. Identity that is alike in all directions has
    no shape beyond chance; then little scatter is enough to hide the rotation.

    References
    ----------
    Kun Liu, Chris Giannella, Hillol Kargupta, An Attacker's View of Distance Preserving Maps for
    Privacy Preserving Data Mining, European Conference on Principles and Practice of Knowledge
    Discovery in Databases, 2006 (principal axes of both clouds).

    Edouard Grave, Armand Joulin, Quentin Berthet, Unsupervised Alignment of Embeddings with
    Wasserstein Procrustes, International Conference on Artificial Intelligence and Statistics,
    2019 (assignments and rotations in turn).

    Marco Cuturi, Sinkhorn Distances: Lightspeed Computation of Optimal Transport, Advances in
    Neural Information Processing Systems, 2013 (soft assignments with both sums given).
    """

    metric: ClassVar[Metric] = "cosine"
    together: ClassVar[bool] = True

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Keep the principal axes of the gallery's events, and a seed.

        Parameters
        ----------
        gallery
            Vectors of known users.
        rng
            Draws the probes by which the rotation is found.
        """
        self.center, self.axes, self.skew = _shape(gallery.vectors.astype(np.float64))
        self.seed = int(rng.integers(2**63))

    def ranks(
        self,
        probe: NDArray[np.float32],
        gallery: NDArray[np.float32],
        true_row: NDArray[np.int64],
    ) -> Ranks:
        """Exact rank of the true user of every probe, after the rotation.

        Parameters
        ----------
        probe : (n, d)
            All of them, since the rotation is found from their cloud.
        gallery : (g, d)
        true_row : (n,)

        Returns
        -------
        Ranks
        """
        return super().ranks(self._turned(probe, gallery), gallery, true_row)

    def best(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest cosine of every probe after the rotation, ``(n,)``."""
        return super().best(self._turned(probe, gallery), gallery)

    def _turned(
        self, probe: NDArray[np.float32], gallery: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Bring probes to the gallery's space, ``(n, d) -> (n, d)``."""
        center, axes, skew = _shape(probe.astype(np.float64))
        x = (probe - center) @ axes
        # In the order of their vectors, so that the numbering of users does not matter.
        g = ((gallery - self.center) @ self.axes)[np.lexsort(gallery.T)]
        rng = np.random.default_rng(self.seed)
        sample = x[rng.permutation(len(x))[:SAMPLE]]

        signs = np.where(self.skew * skew < 0, -1.0, 1.0)
        num_flipped = min(FLIPPED, len(signs))
        starts = [
            np.diag(signs * np.append(flips, np.ones(len(signs) - num_flipped)))
            for flips in product((1.0, -1.0), repeat=num_flipped)
        ]
        width = min(SCREENED, len(signs))
        screened = [_grown(sample[:SCREEN], g, start, width) for start in starts]
        order = np.argsort([-_closeness(sample[:SCREEN] @ r, g, width) for r in screened])
        found = [_grown(sample, g, screened[one], len(signs), width) for one in order[:KEPT]]
        found += [axes.T @ self.axes]
        turn = max(found, key=lambda r: _closeness(sample @ r, g, len(signs)))
        turned: NDArray[np.float32] = (x @ turn @ self.axes.T + self.center).astype(np.float32)
        return turned


def _shape(vectors: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Mean, principal axes, the widest first, and how skewed the cloud is along each.

    Skew is the mean of x |x|, in which outliers weigh less than in a third moment.
    """
    center = vectors.mean(axis=0)
    x = vectors - center
    axes = np.linalg.eigh(x.T @ x)[1][:, ::-1]
    y = x @ axes
    skew: Matrix = (y * np.abs(y)).mean(axis=0)
    return center, axes, skew


def _grown(probe: Matrix, gallery: Matrix, turn: Matrix, to: int, start: int = FIRST) -> Matrix:
    """Turn more and more of the principal axes, from a rotation that holds on the first ones.

    Parameters
    ----------
    probe : (n, d)
        On their principal axes.
    gallery : (g, d)
        On theirs.
    turn : (d, d)
    to, start
        Axes to end and to begin with.

    Returns
    -------
    (d, d)
        ``probe @ turn`` lies in the gallery's space.
    """
    width = min(start, to)
    while True:
        wider = min(to, int(np.ceil(width * GROWTH)))
        for _ in range(2):
            share = _assigned(probe @ turn[:, :width], gallery[:, :width])
            target = share @ gallery[:, :wider]
            rotation = orthogonal_procrustes(probe[:, :wider], target)[0]
            rest = turn[wider:, wider:]
            turn = np.block(
                [
                    [rotation, np.zeros((wider, len(rest)))],
                    [np.zeros((len(rest), wider)), rest],
                ]
            )
        if width == to:
            return turn
        width = wider


def _assigned(probe: Matrix, gallery: Matrix) -> Matrix:
    """Share of each probe that goes to each gallery user, ``(n, g)``; rows sum to 1.

    Shares fall off with the squared distance in units of the median one to the nearest user. Users
    near many probes get less: between what they attract and what all get alike.
    """
    distance = (gallery**2).sum(axis=1) - 2 * probe @ gallery.T
    distance -= distance.min(axis=1, keepdims=True)
    nearest = np.median(((probe - gallery[distance.argmin(axis=1)]) ** 2).sum(axis=1))
    share: Matrix = np.exp(-distance / max(nearest, np.finfo(float).tiny))
    for _ in range(3):
        share /= share.sum(axis=1, keepdims=True)
        got = share.sum(axis=0)
        share *= np.sqrt(got.mean() / np.maximum(got, 0.05 * got.mean()))
    share /= share.sum(axis=1, keepdims=True)
    return share


def _closeness(probe: Matrix, gallery: Matrix, width: int) -> float:
    """Mean over probes of the largest cosine with a gallery user, on the first axes."""
    x, g = (
        v[:, :width] / np.linalg.norm(v[:, :width], axis=1, keepdims=True).clip(min=1e-300)
        for v in (probe, gallery)
    )
    return float((x @ g.T).max(axis=1).mean())
