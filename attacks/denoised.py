"""The smallest angle, after shrinking what noise there is out of gallery and probes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from attacks.base import Attack, Metric
from attacks.gallery import Gallery
from attacks.ranks.exact import Ranks, exact_ranks
from attacks.ranks.means import user_means
from attacks.ranks.neighbors import neighbors


class Denoised(Attack):
    """Names the gallery user at the smallest angle, after Wiener shrinkage along principal axes.

    The adversary holds released vectors of known users and wants the user behind each anonymous
    vector of the same release. It supposes noise that is alike in all directions but does not
    know how much: users with several vectors show it by their scatter, and where nobody has two,
    the smaller half of the principal variances does, as noise alone would spread them. Along each
    axis a vector keeps the share of its variance that is identity: a probe less than a mean of
    many vectors.

    Noise of another shape is better told to `bayes`.

    References
    ----------
    Norbert Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, MIT
    Press, 1949 (the shrinkage).

    Matan Gavish, David L. Donoho, The Optimal Hard Threshold for Singular Values is 4/sqrt(3), IEEE
    Transactions on Information Theory, 2014 (the noise from the median of the variances).
    """

    metric: ClassVar[Metric] = "cosine"

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Estimate the noise, and how users are spread along the axes; ``rng`` is unused.

        Parameters
        ----------
        gallery
            Vectors of known users.
        rng

        Raises
        ------
        ValueError
            If there are fewer than 2 gallery users.
        """
        vectors, user_row = gallery.vectors, gallery.user_row
        means, counts = user_means(vectors, user_row), np.bincount(user_row)
        if len(means) < 2:
            raise ValueError(f"denoised: the gallery must hold 2 users or more, got {len(means)}")
        self.center = means.mean(axis=0)
        centered = means - self.center
        variance, self.axes = np.linalg.eigh(centered.T @ centered / len(means))
        if (counts > 1).any():
            deviation = vectors - means[user_row]
            noise = float((deviation**2).sum() / (len(vectors) - len(means)) / len(variance))
        else:
            noise = noise_level(variance, len(means))
        self.spread = (variance - noise * np.mean(1 / counts)).clip(min=0)
        self.noise = noise
        self.counts = counts

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shrink single vectors along the axes: ``(n, d) -> (n, d)``."""
        return self._shrunk(vectors, np.ones(len(vectors)))

    def ranks(
        self,
        probe: NDArray[np.float32],
        gallery: NDArray[np.float32],
        true_row: NDArray[np.int64],
    ) -> Ranks:
        """Exact rank of the true user of every probe.

        Parameters
        ----------
        probe : (n, d)
        gallery : (g, d)
            The means of the users that the attack was fitted on.
        true_row : (n,)

        Returns
        -------
        Ranks
        """
        known = self._shrunk(gallery, self.counts)
        return exact_ranks(self.embed(probe), known, true_row, metric=self.metric)

    def best(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest cosine of every probe after the shrinkage, ``(n,)``."""
        known = self._shrunk(gallery, self.counts)
        return neighbors(self.embed(probe), known, 1, metric=self.metric)[0][:, 0]

    def _shrunk(
        self, vectors: NDArray[np.float32], counts: NDArray[np.floating | np.integer]
    ) -> NDArray[np.float32]:
        """Shrink means of so many vectors each."""
        total = self.spread + self.noise / counts[:, None]
        kept = np.divide(self.spread, total, out=np.zeros_like(total), where=total > 0)
        shrunk: NDArray[np.float32] = ((vectors - self.center) @ self.axes * kept).astype(
            np.float32
        )
        return shrunk


def noise_level(variance: NDArray[np.float64], num_users: int) -> float:
    """Variance of noise alike in all directions, from that of the means along principal axes.

    Under noise alone they spread as Marchenko and Pastur found; few axes of identity do not move
    their median much.

    Parameters
    ----------
    variance : (d,)
        Ascending.
    num_users
    """
    positive = variance[-min(len(variance), num_users - 1) :]
    ratio = len(variance) / num_users
    narrow = min(ratio, 1 / ratio)
    low, high = (1 - np.sqrt(narrow)) ** 2, (1 + np.sqrt(narrow)) ** 2
    at = np.linspace(low, high, 10_001)[1:-1]
    share = np.cumsum(np.sqrt((high - at) * (at - low)) / at)
    median = at[np.searchsorted(share, share[-1] / 2)] * max(1.0, ratio)
    return float(np.median(positive) / median)
