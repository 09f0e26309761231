"""Fewer bits: a small number for each axis, or a code for each part of the vector."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.fixed import Fixed
from attacks.gallery import Released
from attacks.ranks.codebooks import learned


class Quantized(Fixed):
    """Rounds vectors to few bits, as is done to store them, and releases what is read back.

    `scalar` rounds each axis to 2^bits levels, equally far apart, over the range of the train
    vectors about their mean: 8 bits are int8, 1 bit is the sign about the mean, read back as the
    mean distance from it. `product` replaces each of ``parts`` equal pieces of the vector by the
    nearest of 2^bits centroids, of which the codes name parts x bits bits in all.

    It costs little AUC down to few bits, and saves storage, which is why it is done. It protects
    what differs by less than a step.

    It does not protect much: 64 signs tell more people apart than there are, int8 hides nothing
    that an attacker needs, and releasing the same vector again gives the same code, a pseudonym.
    The error looks like noise of step^2 / 12 where steps are small, but it is a function of the
    vector; there is no certificate.

    Parameters
    ----------
    by
        What is rounded: ``scalar`` or ``product``.
    bits
        Of each axis, 1 to 16, or of each part, 1 to 8.
    parts
        Numbers that a vector becomes by ``product``, at most its dimensions.

    References
    ----------
    Bernard Widrow, Istvan Kollar, Ming-Chang Liu, Statistical Theory of Quantization, IEEE
    Transactions on Instrumentation and Measurement, 1996 (when the error is like uniform noise).

    Herve Jegou, Matthijs Douze, Cordelia Schmid, Product Quantization for Nearest Neighbor Search,
    IEEE Transactions on Pattern Analysis and Machine Intelligence, 2011.
    """

    uncertified = "the error of rounding is a function of the vector"

    def __init__(
        self, *, by: Literal["scalar", "product"] = "scalar", bits: int = 8, parts: int = 8
    ) -> None:
        if by not in ("scalar", "product"):
            raise ValueError(f"quantized: by: found {by!r}, allowed: scalar or product")
        most = 16 if by == "scalar" else 8
        if not 1 <= bits <= most:
            raise ValueError(f"quantized: bits: found {bits}, allowed by {by}: 1 to {most}")
        if parts < 1:
            raise ValueError(f"quantized: parts: found {parts}, allowed: at least 1")
        self.by = by
        self.bits = bits
        self.parts = parts

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        """Fit the levels or the centroids.

        Parameters
        ----------
        released
            Vectors of the train window's trained users.
        rng
            Seeds the centroids.

        Raises
        ------
        ValueError
            If there are no vectors, or for ``product`` fewer than centroids or fewer dimensions
            than parts.
        ModuleNotFoundError
            If FAISS is not installed, for ``product``.
        """
        vectors = released.vectors
        if not len(vectors):
            raise ValueError("quantized: found 0 train vectors, allowed: at least 1")
        if self.by == "product":
            self._check(*vectors.shape)
            seed = int(rng.integers(2**31))
            self.codebook = learned(vectors, self.parts, self.bits, seed)
            return
        self.center = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        distance = np.abs(vectors - self.center)
        self.step = 2 * distance.max(axis=0) / np.float32(2**self.bits)
        if self.bits == 1:
            self.step = 2 * distance.mean(axis=0, dtype=np.float64).astype(np.float32)

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Round: ``(n, d) -> (n, d)``; ``rng`` is unused."""
        if self.by == "product":
            return self.codebook.nearest(released.vectors)
        # A step above or below the mean is level 0 or -1; what is read back is its middle.
        level: NDArray[np.float32] = released.vectors - self.center
        with np.errstate(over="ignore"):  # the outermost level takes whatever is farther out
            level *= 1 / np.where(self.step > 0, self.step, np.float32(1))
        np.floor(level, out=level)
        half = np.float32(2 ** (self.bits - 1))
        np.clip(level, -half, half - 1, out=level)
        level += np.float32(0.5)
        level *= self.step
        level += self.center
        return level

    def noise(self, num_releases: int = 1) -> NDArray[np.float64] | None:
        """Covariance of the error ``(d, d)``, as if it were noise, however many releases.

        It is step^2 / 12 on the diagonal for ``scalar``; None for codes and for single bits.
        """
        if self.by == "product" or self.bits == 1:
            return None
        return np.diag(self.step.astype(np.float64) ** 2 / 12)

    def _check(self, count: int, dimensions: int) -> None:
        if count < 2**self.bits:
            raise ValueError(
                f"quantized: bits: found {self.bits}, for {2**self.bits} centroids of {count} "
                "train vectors, allowed: no more centroids than vectors"
            )
        if self.parts > dimensions:
            raise ValueError(
                f"quantized: parts: found {self.parts}, allowed: at most {dimensions}, "
                "the dimensions of the vectors"
            )
