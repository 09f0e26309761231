"""Nearest neighbor after the drift that other people's vectors show."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from attacks.base import Attack, Metric, Need
from attacks.gallery import Gallery, Released
from attacks.lda import FLOOR
from attacks.ranks.exact import exact_ranks
from attacks.ranks.means import user_means

STRENGTHS = np.logspace(-3, 1, 9)
"""Of the ridge, in units of the variance of the background users' whitened means."""

FOLDS = 5
"""Parts of the background users; each is predicted by what the others show."""

EACH, AMONG = 3, 1000
"""Later vectors of a user, and users, on which the strength is chosen, at most."""

Matrix = NDArray[np.float64]


class Background(Attack):
    """Names the gallery user whose expected later vector is nearest in units of its uncertainty.

    The adversary holds one released vector per known user and wants the user behind each
    anonymous vector of a later release. It also holds vectors of other people in both releases,
    who are neither in the gallery nor probed, and learns from them how people drift: which
    directions stay, which move together, and which are drawn anew. Inside the gallery this cannot
    be seen, since nobody has had time to change.

    A user's later vector is predicted from the mean of the earlier ones by a ridge regression,
    shrunk toward "stays as it was". What is left, the drift that cannot be foreseen and the
    scatter of the later events, is taken to be normal and alike for all; under it the nearest
    user is the one under whom the probe is most likely. The ridge's strength is the one with the
    smallest mean log rank among background users whom the regression has not seen, and the
    residuals are theirs.

    Regressions on 300 and 1,000 random Fourier features beside the means, and normal scores of
    each coordinate, did worse on simulated readers (lift of a BiLSTM's vectors among 901 users 585,
    584 and 615, without 647) and are not offered.

    Attributes
    ----------
    strength
        Of the ridge.

    References
    ----------
    Arthur E. Hoerl, Robert W. Kennard, Ridge Regression: Biased Estimation for Nonorthogonal
    Problems, Technometrics, 1970.

    Andrew O. Hatch, Sachin Kajarekar, Andreas Stolcke, Within-Class Covariance Normalization for
    SVM-based Speaker Recognition, Interspeech, 2006 (how other speakers' sessions differ).

    Ana-Maria Cretu, Federico Monti, Stefano Marrone, Xiaowen Dong, Michael Bronstein,
    Yves-Alexandre de Montjoye, Interaction Data Are Identifiable Even across Long Periods of Time,
    Nature Communications, 2022 (an attacker who learns from other people's two periods).
    """

    metric: ClassVar[Metric] = "euclidean"
    needs: ClassVar[frozenset[Need]] = frozenset({"background"})

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Learn how background users drift; ``rng`` is unused.

        Parameters
        ----------
        gallery
            With ``background``.
        rng

        Raises
        ------
        ValueError
            If there is no background, or fewer than 5 of its users have vectors of both windows.
        """
        earlier, later = pairs(gallery.background)
        before, after = user_means(*earlier), user_means(*later)
        # Folds by the order of vectors, so that the numbering of users does not matter.
        order = np.lexsort(before.T)
        fold = np.empty(len(order), np.int64)
        fold[order] = np.arange(len(order)) % FOLDS

        self.center, self.later_center = before.mean(axis=0), after.mean(axis=0)
        self.whiten = _whitening(ledoit_wolf(before - self.center, assume_centered=True)[0])
        coordinates = (before - self.center) @ self.whiten
        drift = (after - self.later_center) - (before - self.center)
        scatter = _scatter(later[0], later[1], after)
        chosen, event = _practice(order, later[1])
        place = np.empty(len(order), np.int64)
        place[chosen] = np.arange(len(chosen))

        best = np.inf
        for strength, unforeseen in zip(
            STRENGTHS, _unforeseen(coordinates, drift, fold), strict=True
        ):
            transform = _whitening(ledoit_wolf(unforeseen, assume_centered=True)[0] + scatter)
            expected = (after - unforeseen)[chosen]
            ranks = exact_ranks(
                ((later[0][event] - self.later_center) @ transform).astype(np.float32),
                ((expected - self.later_center) @ transform).astype(np.float32),
                place[later[1][event]],
                metric="euclidean",
            )
            rank = 1 + ranks.greater + ranks.equal / 2
            if (found := float(np.log2(rank).mean())) < best:
                best, self.strength, self.transform = found, float(strength), transform
        (self.drift,) = _ridge(coordinates, drift, np.array([self.strength]))

    def templates(self, gallery: Gallery) -> NDArray[np.float32]:
        """Return the later vector that is expected of each gallery user, ``(g, d)``."""
        moved = gallery.centroids - self.center
        expected: NDArray[np.float32] = (
            self.later_center + moved + moved @ self.whiten @ self.drift
        ).astype(np.float32)
        return expected

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Whiten what cannot be foreseen, in float64 and rounded once: ``(n, d) -> (n, d)``."""
        embedded: NDArray[np.float32] = ((vectors - self.later_center) @ self.transform).astype(
            np.float32
        )
        return embedded


def pairs(background: Released | None) -> tuple[tuple[Matrix, NDArray[np.int64]], ...]:
    """Vectors of the two windows, ``gallery`` first, of the users who have vectors of both.

    Returns
    -------
    tuple
        For each window the vectors ``(n, d)`` and whose they are ``(n,)``, counted from 0 alike.

    Raises
    ------
    ValueError
        If there is no background, or fewer than 5 users have vectors of both windows.
    """
    if background is None or background.window is None:
        raise ValueError("background: needs vectors of other users in two windows, got none")
    rows = [np.flatnonzero(background.window == name) for name in ("gallery", "probe")]
    earlier, later = (np.unique(background.user_row[row]) for row in rows)
    users = np.intersect1d(earlier, later)
    if len(users) < FOLDS:
        raise ValueError(
            f"background: needs {FOLDS} users with vectors of both windows, got {len(users)}"
        )
    kept = [row[np.isin(background.user_row[row], users)] for row in rows]
    return tuple(
        (
            background.vectors[row].astype(np.float64),
            np.searchsorted(users, background.user_row[row]),
        )
        for row in kept
    )


def _whitening(covariance: Matrix) -> Matrix:
    """Map after which the covariance is the identity, up to a floor: ``(d, d) -> (d, d)``."""
    variance, axes = np.linalg.eigh(covariance)
    floor = FLOOR * variance.mean()
    # Users who are all alike leave nothing to scale by; any scale then does.
    whitening: Matrix = axes / np.sqrt(variance.clip(min=floor if floor > 0 else 1.0))
    return whitening


def _scatter(vectors: Matrix, user_row: NDArray[np.int64], means: Matrix) -> Matrix:
    """Scatter of a single event that is not in the mean of its user's events, ``(d, d)``."""
    counts = np.bincount(user_row)
    repeated = counts[user_row] > 1
    if not repeated.any():
        return np.zeros((means.shape[1], means.shape[1]))
    deviation = vectors[repeated] - means[user_row[repeated]]
    freedom = len(deviation) - np.count_nonzero(counts > 1)
    within = ledoit_wolf(deviation, assume_centered=True)[0] * (len(deviation) / freedom)
    scatter: Matrix = within * (1 - np.mean(1 / counts))
    return scatter


def _ridge(coordinates: Matrix, drift: Matrix, strengths: NDArray[np.float64]) -> list[Matrix]:
    """Regress drift ``(u, d)`` on coordinates ``(u, d)``, once for each strength."""
    gram = coordinates.T @ coordinates / len(coordinates)
    moment = coordinates.T @ drift / len(coordinates)
    value, axes = np.linalg.eigh(gram)
    turned = axes.T @ moment
    return [axes @ (turned / (value.clip(min=0) + strength)[:, None]) for strength in strengths]


def _unforeseen(coordinates: Matrix, drift: Matrix, fold: NDArray[np.int64]) -> list[Matrix]:
    """Drift of each user that the others do not foretell, ``(u, d)`` for each strength."""
    left = [drift.copy() for _ in STRENGTHS]
    for part in range(FOLDS):
        held, rest = fold == part, fold != part
        for number, slope in enumerate(_ridge(coordinates[rest], drift[rest], STRENGTHS)):
            left[number][held] -= coordinates[held] @ slope
    return left


def _practice(
    order: NDArray[np.int64], user_row: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose users, evenly in their order, and some later events of each to name."""
    chosen = order[np.linspace(0, len(order) - 1, min(AMONG, len(order))).astype(np.int64)]
    counts = np.bincount(user_row)
    first = np.cumsum(counts) - counts
    by_user = np.argsort(user_row, kind="stable")
    places = [first[chosen] + counts[chosen] * number // EACH for number in range(EACH)]
    return chosen, by_user[np.unique(np.concatenate(places))]
