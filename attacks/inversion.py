"""Reading a person's history out of a vector, and recognizing the person by it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import Ridge, RidgeClassifierCV, RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict

from attacks.base import Attack, Metric, Need
from attacks.gallery import Gallery, Histories
from attacks.ranks.exact import Ranks, exact_ranks
from attacks.ranks.means import user_means
from attacks.ranks.neighbors import neighbors

STRENGTHS = np.logspace(-2, 4, 7)
"""Ridge penalties tried, on standardized vectors and sums over events."""

FOLDS = 5
"""Parts of the gallery's users, each predicted from the others; fewer if the users are."""

FLOOR = 1e-6
"""Least variance of a prediction's error, in units of the aggregate's variance."""


class Inversion(Attack):
    """Predicts a history's aggregates from a vector, and names the user whose history fits best.

    The adversary once held vectors together with the histories behind them, those of the gallery
    users, and learned to read one from the other. At attack time it needs no vectors of known
    users at all, only what their histories looked like, which it may have from elsewhere: a
    log, a data broker, a screen seen in passing. It wants the facts themselves, and the user
    behind each anonymous vector.

    Aggregates are predicted by ridge regression on standardized vectors, the favorite category by
    ridge classification; both strengths are cross-validated over gallery users, no user being in
    two folds, and each user weighs the same. A candidate's score is the likelihood of its true
    aggregates given the prediction: the distance between the two, in units of the errors made on
    users left out.

    The gallery of ``ranks`` is the mean aggregates of each user, not vectors.

    References
    ----------
    Matt Fredrikson, Somesh Jha, Thomas Ristenpart, Model Inversion Attacks that Exploit Confidence
    Information and Basic Countermeasures, ACM Conference on Computer and Communications Security,
    2015.

    Congzheng Song, Ananth Raghunathan, Information Leakage in Embedding Models, ACM Conference on
    Computer and Communications Security, 2020 (attributes and inputs read from embeddings).

    Arthur E. Hoerl, Robert W. Kennard, Ridge Regression: Biased Estimation for Nonorthogonal
    Problems, Technometrics, 1970.
    """

    metric: ClassVar[Metric] = "euclidean"
    needs: ClassVar[frozenset[Need]] = frozenset({"histories"})

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Learn to read histories from the gallery's events.

        Parameters
        ----------
        gallery
            Vectors of known users and the histories behind them.
        rng
            Deals the users to folds.

        Raises
        ------
        ValueError
            If there are fewer than 2 gallery users, no histories, or arrays do not fit each other.
        """
        if gallery.histories is None:
            raise ValueError(
                "inversion: needs the histories behind the gallery's vectors, got none"
            )
        vectors, user_row = gallery.vectors, gallery.user_row
        aggregates, favorite = gallery.histories.aggregates, gallery.histories.favorite
        users = user_means(vectors, user_row)
        if len(users) < 2:
            raise ValueError(f"inversion: the gallery must hold 2 users or more, got {len(users)}")
        if aggregates.shape[:1] != favorite.shape or favorite.shape != user_row.shape:
            raise ValueError(
                f"inversion: aggregates and favorite must be of {len(user_row)} events, "
                f"got shapes {aggregates.shape} and {favorite.shape}"
            )
        if not np.isfinite(aggregates).all():
            raise ValueError("inversion: aggregates must be finite, got NaN or infinity")
        weight = 1 / np.bincount(user_row)[user_row]
        self.vector_moments = _moments(vectors, weight)
        self.fact_moments = _moments(aggregates, weight)
        inputs, facts = self._inputs(vectors), self._standardized(aggregates)
        folds = GroupKFold(
            min(FOLDS, len(users)), shuffle=True, random_state=int(rng.integers(2**31))
        )
        splits = list(folds.split(inputs, groups=user_row))
        self.regression = RidgeCV(STRENGTHS, cv=splits).fit(inputs, facts, weight)
        self.classifier = RidgeClassifierCV(STRENGTHS, cv=splits).fit(inputs, favorite, weight)
        categories, category = np.unique(favorite, return_inverse=True)
        self.majority = categories[np.bincount(category, weight).argmax()]

        left_out = cross_val_predict(
            Ridge(self.regression.alpha_),
            inputs,
            facts,
            cv=splits,
            params={"sample_weight": weight},
        )
        errors = (facts - left_out) * np.sqrt(weight / weight.mean())[:, None]
        variance, axes = np.linalg.eigh(ledoit_wolf(errors, assume_centered=True)[0])
        self.whiten = axes / np.sqrt(variance.clip(min=FLOOR))

    def templates(self, gallery: Gallery) -> NDArray[np.float32]:
        """Return the mean aggregates of each user: ``(g, a)``."""
        assert gallery.histories is not None
        return user_means(gallery.histories.aggregates, gallery.user_row).astype(np.float32)

    def facts(self, probe: NDArray[np.float32], histories: Histories) -> dict[str, float]:
        """Compare what is read from probes with the truth.

        Parameters
        ----------
        probe : (n, d)
        histories
            Those behind the probes.

        Returns
        -------
        dict
            ``mean_r2`` over the aggregates that differ from the gallery's mean somewhere:
            1 - squared error / that of predicting the gallery's mean, at most 1; ``best_r2`` and
            ``best_aggregate``, the largest and its column; ``favorite_accuracy``, and
            ``majority_accuracy`` of naming the gallery's most common favorite, in [0, 1].
        """
        inputs, truth = self._inputs(probe), self._standardized(histories.aggregates)
        error = ((truth - self._predicted(inputs)) ** 2).sum(axis=0)
        naive = (truth**2).sum(axis=0)
        varies = naive > 0
        r2 = 1 - np.divide(error, naive, out=np.ones_like(error), where=varies)
        best = int(np.where(varies, r2, -np.inf).argmax())
        return {
            "mean_r2": float(r2.mean(where=varies)) if varies.any() else 0.0,
            "best_r2": float(r2[best]),
            "best_aggregate": float(best),
            "favorite_accuracy": float(
                np.mean(self.classifier.predict(inputs) == histories.favorite)
            ),
            "majority_accuracy": float(np.mean(self.majority == histories.favorite)),
        }

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict standardized aggregates, in units of the error: ``(n, d) -> (n, a)``."""
        predicted = self._predicted(self._inputs(vectors))
        embedded: NDArray[np.float32] = (predicted @ self.whiten).astype(np.float32)
        return embedded

    def ranks(
        self,
        probe: NDArray[np.float32],
        gallery: NDArray[np.float32],
        true_row: NDArray[np.int64],
    ) -> Ranks:
        """Exact rank of the true user's history.

        Parameters
        ----------
        probe : (n, d)
        gallery : (g, a)
            Mean aggregates of each user.
        true_row : (n,)

        Returns
        -------
        Ranks

        Raises
        ------
        ValueError
            If ``fit`` was not called before.
        """
        return exact_ranks(
            self.embed(probe), self._histories(gallery), true_row, metric=self.metric
        )

    def best(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Minus the squared distance to the nearest history, ``(n,)``."""
        scores, _ = neighbors(self.embed(probe), self._histories(gallery), 1, metric=self.metric)
        return scores[:, 0]

    def _inputs(self, vectors: NDArray[np.float32]) -> Any:
        if not hasattr(self, "vector_moments"):
            raise ValueError("inversion: nothing is learned yet; call fit first")
        mean, scale = self.vector_moments
        return (vectors - mean) / scale

    def _predicted(self, inputs: Any) -> Any:
        """Standardized aggregates, always ``(n, a)``."""
        return self.regression.predict(inputs).reshape(len(inputs), -1)

    def _standardized(self, aggregates: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        mean, scale = self.fact_moments
        standardized: NDArray[np.float64] = (aggregates - mean) / scale
        return standardized

    def _histories(self, aggregates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring true aggregates to the space of ``embed``."""
        facts = self._standardized(aggregates)
        histories: NDArray[np.float32] = (facts @ self.whiten).astype(np.float32)
        return histories


def _moments(
    values: NDArray[np.floating[Any]], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean and standard deviation of columns; an infinite one where nothing varies."""
    mean = np.average(values, axis=0, weights=weight)
    variance = np.average((values - mean) ** 2, axis=0, weights=weight)
    return mean, np.where(np.ptp(values, axis=0) > 0, np.sqrt(variance), np.inf)
