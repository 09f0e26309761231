"""The most likely gallery user, given what noise the vectors carry."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from attacks.base import Need
from attacks.classifier import Classifier, weights
from attacks.gallery import Gallery
from attacks.lda import FLOOR
from attacks.ranks.means import user_means


class Bayes(Classifier):
    """Names the user under whom the probe is most likely, knowing the covariance of the noise.

    The adversary holds released vectors of known users, in which a defense has put noise of a
    known covariance, and wants the user behind each anonymous vector of the same release. It
    takes users to be normally spread; their spread is that of the gallery's means less what the
    noise and the scatter of events put in. A user's position is then known only in part, and is
    drawn toward the mean of all in the directions where noise outweighs identity. The score is
    the log-likelihood ratio of "this user" to "a user never seen", as in `classifier`, which has
    to learn the noise from users with several vectors; here one of each is enough.

    If a user's events scatter less than the noise alone would make them, by half, the noise is
    taken to be common to them (as that of `sticky`): it is in the mean as it is in each, and
    more events of the user do not reduce it.

    Dithered or fine quantization is noise as well: a step of s adds a variance of s^2 / 12. What
    scatters besides the noise is seen in users with several vectors only; with one of each it is
    taken for identity, and a plain angle may do better.

    References
    ----------
    Sergey Ioffe, Probabilistic Linear Discriminant Analysis, European Conference on Computer
    Vision, 2006 (the closed form).

    Bernard Widrow, Istvan Kollar, Quantization Noise, Cambridge University Press, 2008 (when
    rounding is uniform noise).

    Florian Tramer, Nicholas Carlini, Wieland Brendel, Aleksander Madry, On Adaptive Attacks to
    Adversarial Example Defenses, Advances in Neural Information Processing Systems, 2020 (why an
    attacker knows the defense).
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"noise"})

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Estimate how users are spread, and fit one weight vector per user; ``rng`` is unused.

        Parameters
        ----------
        gallery
            With ``noise``.
        rng

        Raises
        ------
        ValueError
            If there is no covariance of the noise, or fewer than 2 gallery users.
        """
        if gallery.noise is None:
            raise ValueError("bayes: needs the covariance of the defense's noise, got none")
        vectors, user_row = gallery.vectors, gallery.user_row
        means, counts = user_means(vectors, user_row), np.bincount(user_row)
        if len(means) < 2:
            raise ValueError(f"bayes: the gallery must hold 2 users or more, got {len(means)}")
        self.center = means.mean(axis=0)
        # From here on in units of the noise; where there is none, of what float32 resolves.
        whiten = _whitening(gallery.noise, FLOOR * (means - self.center).var(axis=0).mean())
        fresh, common = _scatter((vectors - means[user_row]) @ whiten, user_row)
        total = ledoit_wolf((means - self.center) @ whiten, assume_centered=True)[0]
        spread = total - common - fresh * np.mean(1 / counts)

        scale = _whitening(common + fresh, 0.0)
        between, rotation = np.linalg.eigh(scale.T @ spread @ scale)
        axes = scale @ rotation
        self.transform = whiten @ axes
        shared = (axes.T @ common @ axes).diagonal()
        self.weights = weights(
            (means - self.center) @ self.transform,
            between.clip(min=0),
            shared + (1 - shared) / counts[:, None],
        )


def _whitening(covariance: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Map after which the covariance is the identity, variances being at least the floor."""
    variance, axes = np.linalg.eigh(covariance)
    whitening: NDArray[np.float64] = axes / np.sqrt(variance.clip(min=floor if floor > 0 else 1.0))
    return whitening


def _scatter(
    deviation: NDArray[np.float64], user_row: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split what a vector differs by from its user's position, in units of the noise.

    Parameters
    ----------
    deviation : (m, d)
        Of each vector from the mean of its user's.
    user_row : (m,)

    Returns
    -------
    fresh : (d, d)
        Covariance of what is drawn for each vector; at least 1 in every direction, unless the
        noise is common.
    common : (d, d)
        Of what a user's vectors share.
    """
    one = np.eye(deviation.shape[1])
    counts = np.bincount(user_row)
    repeated = counts[user_row] > 1
    if not repeated.any():
        return one, np.zeros_like(one)
    freedom = repeated.sum() - np.count_nonzero(counts > 1)
    covariance = ledoit_wolf(deviation[repeated], assume_centered=True)[0]
    variance, axes = np.linalg.eigh(covariance * (repeated.sum() / freedom))
    if variance.mean() < 0.5:
        return (axes * variance.clip(min=FLOOR)) @ axes.T, one
    return (axes * variance.clip(min=1)) @ axes.T, np.zeros_like(one)
