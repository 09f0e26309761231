"""Gaussian noise that is drawn once per user and window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.fixed import Fixed
from attacks.defenses.gaussian import Gaussian
from attacks.gallery import Released


class Sticky(Fixed, Gaussian):
    """Clips vectors and adds Gaussian noise that all of a user's vectors of a window share.

    Releasing the same window again gives the same noise, and so does every event in it: no mean
    over releases or events shrinks it.

    It costs what `gaussian` costs, and a table of secret noise, or of keys, for every user. It
    protects the link from a vector in one window to a vector in another, however often either is
    released.

    It does not protect vectors of the same window from being linked with each other: their common
    noise is a mark of the user, plainer than the user's own position, and the differences between
    a user's events are released without any noise. Of two releases in two windows the noise
    differs, and averages. So there is no certificate: none holds unless a single vector of each
    user and window is seen.

    Parameters
    ----------
    sigma_per_radius
        Standard deviation of the noise along each axis, in units of R, the ``quantile`` of the
        train vectors' distances to their mean; at least 0.
    quantile
        Share of the train vectors that lie within R, above 0, at most 1.

    References
    ----------
    Ulfar Erlingsson, Vasyl Pihur, Aleksandra Korolova, RAPPOR: Randomized Aggregatable
    Privacy-Preserving Ordinal Response, ACM Conference on Computer and Communications Security,
    2014 (memoized noise against averaging).

    Andrea Gadotti, Florimond Houssiau, Luc Rocher, Benjamin Livshits, Yves-Alexandre de Montjoye,
    When the Signal is in the Noise: Exploiting Diffix's Sticky Noise, USENIX Security Symposium,
    2019 (what such noise gives away).
    """

    uncertified = "a user's vectors of a window share their noise, which links them"

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Clip and add the noise of each vector's user and window: ``(n, d) -> (n, d)``."""
        window = np.zeros(1, np.int64)
        if released.window is not None:
            window = np.unique(released.window, return_inverse=True)[1]
        code = released.user_row * (int(window.max(initial=0)) + 1) + window
        pairs, row = np.unique(code, return_inverse=True)
        noise = rng.standard_normal((len(pairs), released.vectors.shape[1]), np.float32)
        noise *= np.float32(self.sigma)
        vectors = noise[row]
        vectors += self.ball.clip(released.vectors)
        return vectors

    def noise(self, num_releases: int = 1) -> NDArray[np.float64]:
        """Covariance of the noise, ``(d, d)``, however many releases are averaged."""
        return super().noise()

    def certificate(self) -> None:
        """Return None: the common noise of a user's vectors links them."""
