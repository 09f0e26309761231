"""A law for how top-1 falls with the gallery's size, from the distances of true users and others.

Another user is closer than the true one with a probability p of the probe's own, independently for
each of the n - 1 others, so that the rate of rank 1 among n users is E[(1 - p)^(n - 1)]. The law
says what distances make of p: the true user's squared distance is s X with X ~ Gamma(b), that of
another user Gamma(a), and a share w of users is near enough to compete at all,

    p = w P(a, s X),    P the regularized lower incomplete gamma function.

Squared distances of Gaussian vectors are gamma distributed, with half the dimension as shape. Large
galleries are decided by the smallest of many distances, and P(a, x) ~ x^a there: a is about half
the effective dimension, and top-1 falls as n^(-b/a) in the end. Probes that differ in how hard they
are make b < a; clusters make w < 1. With a = b and s = w = 1 it is chance, 1 / n.

References
----------
Patrick Grother, P. Jonathon Phillips, Models of Large Population Recognition Performance, CVPR,
2004 (identification in large galleries from the distributions of true and other scores).
Luc Rocher, Julien M. Hendrickx, Yves-Alexandre de Montjoye, A scaling law to model the
effectiveness of identification techniques, Nature Communications, 2025,
doi 10.1038/s41467-024-55296-6 (a law of two parameters, from shares of equal records; it falls too
slowly for distances between Gaussian vectors).
Laurens de Haan, Ana Ferreira, Extreme Value Theory, Springer, 2006, chapter 1 (smallest of many).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import gammainc, gammaincc, gammaincinv, gammaln

Values = NDArray[np.float64]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(160)

LOWEST = np.log([0.5, 0.02, 1e-6, 1e-3])
HIGHEST = np.log([300.0, 8.0, 30.0, 1.0])
"""Bounds of log a, log(b / a), log s and log w; beyond them curves hardly differ."""

CENTER = np.log([10.0, 1.0, 0.5, 1.0])
"""Where the normal priors are centered: equally hard probes, everybody competes."""

UNEQUAL, PARTIAL = (3.0, 2.0, 5.0, 0.02), (3.0, 0.02, 5.0, 2.0)
"""Their standard deviations where probes may differ in how hard they are, and where some users may
be no competitors."""

STARTS = np.log([[8.0, 0.99, 0.5, 0.99], [3.0, 0.5, 0.3, 0.1]])


class Law(NamedTuple):
    """How far others and the true user are, and who competes at all.

    Attributes
    ----------
    other, true
        Shapes a and b of the module's docstring, positive.
    scale
        s, positive.
    share
        w, in (0, 1].
    """

    other: float
    true: float
    scale: float
    share: float = 1.0

    def top1(self, num_gallery: NDArray[np.number]) -> Values:
        """Rate of rank 1 in galleries of so many users, ``(s,) -> (s,)`` in (0, 1]."""
        others = np.asarray(num_gallery, np.float64) - 1
        # Nearer than this nobody is closer, farther everybody who competes; between, the integral
        # over the logarithm of the distance is smooth.
        expected = self.share * max(float(others.max()), 1.0)
        near = max(float(gammaincinv(self.other, float(min(1e-6 / expected, 0.1)))), 1e-300)
        far = float(gammaincinv(self.other, 1 - 1e-13))
        middle, half = np.log(near * far) / 2, np.log(far / near) / 2
        distance = np.exp(middle + half * NODES)
        own = distance / self.scale
        density = np.exp(self.true * np.log(own) - own - gammaln(self.true))
        closer = self.share * np.append(gammainc(self.other, distance), 1.0)
        nobody = np.log1p(-np.minimum(closer, 1 - 1e-15))
        beyond = gammaincc(self.true, far / self.scale)
        mass = np.append(density * WEIGHTS * half, beyond)
        rate = gammainc(self.true, near / self.scale) + np.exp(others[:, None] * nobody) @ mass
        top1: Values = np.where(others < 1, 1.0, np.clip(rate, 1e-300, 1.0))
        return top1


class Fit(NamedTuple):
    """A law fitted to a curve.

    Attributes
    ----------
    parameters : (4,)
        log a, log(b / a), log s and log w.
    covariance : (4, 4)
        Of the parameters, as far as the curve and the prior decide them.
    gain : (4, s)
        Change of the parameters for a change of the logarithm of each point.
    log_evidence
        Logarithm of the curve's probability under the prior, up to a constant, by Laplace's
        approximation.
    """

    parameters: Values
    covariance: Values
    gain: Values
    log_evidence: float

    @property
    def law(self) -> Law:
        """The law itself."""
        return law_of(self.parameters)


def law_of(parameters: Values) -> Law:
    """Build the law of log a, log(b / a), log s and log w."""
    other, ratio, scale, share = np.exp(parameters).tolist()
    return Law(other, other * ratio, scale, share)


def fit(
    sizes: NDArray[np.number],
    top1: Values,
    covariance: Values,
    spread: Sequence[float],
    start: Values | None = None,
) -> Fit:
    """Fit the law to a curve: the most probable parameters under a normal prior.

    Points of one curve come from the same probes and rise and fall together, so that their
    covariance, not each point's variance, says what is known of the curve's slope and bend.

    Parameters
    ----------
    sizes, top1 : (s,)
        Points of a curve, each rate in (0, 1].
    covariance : (s, s)
        Of the logarithms of the points; positive definite.
    spread
        Standard deviations of the prior: `UNEQUAL` or `PARTIAL`.
    start : (4,)
        Parameters to start from; None tries several.

    References
    ----------
    Robert E. Kass, Adrian E. Raftery, Bayes Factors, Journal of the American Statistical
    Association, 1995, section 4.1 (Laplace's approximation).
    """
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))

    def residual(parameters: Values) -> Values:
        off = np.log(law_of(parameters).top1(sizes)) - np.log(top1)
        return np.concatenate([whiten @ off, (parameters - CENTER) / spread])

    fits = [
        least_squares(
            residual,
            np.clip(one, LOWEST + 1e-3, HIGHEST - 1e-3),
            bounds=(LOWEST, HIGHEST),
            x_scale=np.minimum(spread, 0.5),
            xtol=1e-4,
            ftol=1e-5,
        )
        for one in (STARTS if start is None else start[None])
    ]
    best = min(fits, key=lambda found: float(found.cost))
    jacobian = np.asarray(best.jac)
    precision = jacobian.T @ jacobian + 1e-6 * np.eye(4)
    inverse = np.linalg.inv(precision)
    evidence = -best.cost - np.linalg.slogdet(precision)[1] / 2 - np.log(spread).sum()
    return Fit(best.x, inverse, inverse @ jacobian[: len(sizes)].T @ whiten, float(evidence))
