"""What no attacker can exceed, whatever it knows: bounds on naming the user behind a release.

One of N users is drawn with equal chance and m releases of that user's vector are handed out. The
attacker knows every undefended vector, how the defense works and all its parameters, but not the
random numbers behind these releases; it names k users, by any rule. The bounds hold for the rate at
which the right one is among them.

Gaussian noise. Let every vector lie within R of a center c, P_u be the law of user u's m
releases, each with independent noise N(0, sigma^2 I), and Q that of m releases of c itself. Let
q_u be the chance that the attacker names u where Q is released: it names k users, so the q_u sum
to k. Telling P_u from Q is telling apart two Gaussians whose means are at most R sqrt(m) apart;
among all tests the likelihood ratio's is the most powerful at its level (Neyman-Pearson), so

    P_u(u is named) <= f(q_u),    f(q) = Phi(Phi^-1(q) + R sqrt(m) / sigma).

f is concave, so the mean over the users is largest where all q_u are alike:

    P(top-k) <= f(k / N).

It is attained: two users at opposite ends of the ball. Projecting, rounding or scoring the releases
afterwards is part of the attacker's rule and changes nothing. What a covariance other than
sigma^2 I bounds is the same with radius and sigma in the metric of that covariance.

Laplace noise of density proportional to exp(-epsilon |y - x|) in place of the Gaussian: by the
triangle inequality P_u and Q differ at most by the factor exp(m epsilon R) on any set and on its
complement, so f(q) = min(exp(m epsilon R) q, 1 - exp(-m epsilon R) (1 - q)). The noise of such a
law grows with the dimension, and the bound is loose where the noise is much larger than needed to
hide R.

Groups. If the release of a user is a function of its group alone, and the group has g users or
more, they are all equally likely given the release: P(top-k) <= k / g. Where groups were formed
among M users and only N of them are in the gallery, it may hold few of a group: each of the at most
M / g groups gives k right guesses among the N at best, so P(top-k) <= k M / (g N).

None of this holds for probes that are named together, each excluding the others, nor where the
gallery holds the noise of the releases that are to be named. A rate over probes that weighs active
users more is bounded for users drawn accordingly: see ``prior`` of `bound_users`.

References
----------
Jerzy Neyman, Egon S. Pearson, On the Problem of the Most Efficient Tests of Statistical Hypotheses,
Philosophical Transactions of the Royal Society A, 1933. C. J. Carey, Travis Dick, Alessandro
Epasto, Adel Javanmard, Josh Karlin, Shankar Kumar, Andres Munoz Medina, Vahab Mirrokni, Gabriel
Henrique Nunes, Sergei Vassilvitskii, Peilin Zhong, Measuring Re-identification Risk, arXiv
2304.07210, 2023. Bogdan Kulynych, Juan Felipe Gomez, Georgios Kaissis, Jamie Hayes, Borja Balle,
Flavio P. Calmon, Jean Louis Raisaro, Unifying Re-Identification, Attribute Inference, and Data
Reconstruction Risks in Differential Privacy, arXiv 2507.06969, 2025 (1 - beta(k / N) with the
trade-off function beta). Konstantinos Chatzikokolakis, Miguel E. Andres, Nicolas Emilio Bordenabe,
Catuscia Palamidessi, Broadening the Scope of Differential Privacy Using Metrics, Privacy Enhancing
Technologies, 2013 (the Laplace law in a metric). Latanya Sweeney, k-Anonymity: A Model for
Protecting Privacy, International Journal of Uncertainty, Fuzziness and Knowledge-Based Systems,
2002 (groups).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import bisect
from scipy.special import ndtr, ndtri

from attacks.defenses.base import (
    AnyCertificate,
    Certificate,
    Defense,
    GroupCertificate,
    MetricCertificate,
)

FARTHEST = 40.0
"""Phi(-40) is 0 in float64."""


def bound(
    certificate: AnyCertificate,
    num_gallery: int,
    k: int = 1,
    releases: int = 1,
    num_released: int | None = None,
) -> float:
    """Bound the rate at which any attacker has the right user among its k guesses.

    Parameters
    ----------
    certificate
        Of the defense, after its fit.
    num_gallery
        N users, each equally likely, at least 1.
    k
        Guesses, at least 1.
    releases
        m releases that are known to be of one user, at least 1: repeated ones of one vector, and
        those of several vectors where the attacker pools them.
    num_released
        M users of the probes' window that are released, at least N, among whom groups were formed;
        by default those of the gallery alone.

    Returns
    -------
    float
        In [min(k / N, 1), 1]; 1 says nothing.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    for name, value in (("num_gallery", num_gallery), ("k", k), ("releases", releases)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    num_released = num_gallery if num_released is None else num_released
    if num_released < num_gallery:
        raise ValueError(f"num_released must be at least {num_gallery}, got {num_released}")
    blind = min(k / num_gallery, 1.0)
    match certificate:
        case GroupCertificate():
            held = certificate.is_fixed or releases == 1
            most = k / certificate.size * num_released / num_gallery
            return min(max(most, blind), 1.0) if held else 1.0
        case MetricCertificate():
            exponent = releases * certificate.epsilon * certificate.radius
            low = math.exp(-exponent)
            return max(blind, min(blind / low if low else 1.0, 1 - low * (1 - blind)))
        case Certificate():
            return float(ndtr(ndtri(blind) + shift(certificate, releases)))


def shift(certificate: Certificate, releases: int = 1) -> float:
    """R sqrt(m) / sigma: how far apart a user's releases and the center's are, in sigmas."""
    if certificate.radius == 0:
        return 0.0
    if certificate.sigma == 0:
        return math.inf
    return certificate.radius * math.sqrt(releases) / certificate.sigma


def bound_users(
    shifts: NDArray[np.floating], k: int = 1, prior: NDArray[np.floating] | None = None
) -> float:
    """Bound any attacker under Gaussian noise where each user's distance from the center counts.

    The largest mean of f_u(q_u) over all chances q_u that sum to k. The mean of f_u(k / N) bounds
    nobody: an attacker names far users at the cost of near ones. All f_u are concave, so the
    maximum is that of the Lagrange dual, and any multiplier gives a valid bound.

    Distances that are taken from the released vectors make this a statement about these users and
    nobody else; it is tighter than `bound` where most lie well inside the ball.

    Parameters
    ----------
    shifts : (u,)
        Each user's distance from the center times sqrt(m) / sigma, at least 0 and finite.
    k
        Guesses, at least 1.
    prior : (u,)
        How likely each user is, at least 0 with a sum above 0; by default all alike.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    ValueError
        If there are no users, or a number is out of range.
    """
    mu = np.asarray(shifts, np.float64)
    weight = np.ones(len(mu)) if prior is None else np.asarray(prior, np.float64)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not len(mu) or not (np.isfinite(mu).all() and mu.min() >= 0):
        raise ValueError(f"shifts must be finite and at least 0, got {shifts}")
    if weight.shape != mu.shape or not np.isfinite(weight).all() or weight.min() < 0:
        raise ValueError(f"prior must be a finite number of at least 0 a user, got {prior}")
    if not weight.sum():
        raise ValueError("prior must have a sum above 0")
    possible = weight > 0
    mu, weight = mu[possible], weight[possible] / weight.sum()
    if k >= len(mu):
        return 1.0
    log_weight = np.log(weight)

    def levels(log_price: float) -> NDArray[np.float64]:
        """Phi^-1(q_u) that gain more than the price of one more guess, ``(u,)``."""
        gain = log_weight - log_price
        flat = np.where(gain > 0, np.inf, -np.inf)
        found: NDArray[np.float64] = np.divide(gain, mu, out=flat, where=mu > 0) - mu / 2
        return found

    def excess(log_price: float) -> float:
        return float(ndtr(levels(log_price)).sum() - k)

    reach = (FARTHEST + mu.max()) * mu.max() + 1
    log_price = bisect(
        excess, float(log_weight.min() - reach), float(log_weight.max() + reach), xtol=1e-12
    )
    price, level = math.exp(log_price), levels(log_price)
    found = price * k + float((weight * ndtr(level + mu) - price * ndtr(level)).sum())
    return min(found, 1.0)


def why_none(defense: Defense) -> str:
    """Say why a fitted defense has no certificate, in a few words."""
    if defense.uncertified:
        return defense.uncertified
    if defense.noise() is None:
        return "no noise of a known law is added"
    return "no radius that is known before the release bounds the vectors"
