"""Logistic regression, the linear baseline.

Shape letters: B events, F input columns (83 and the wide features), L labels.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.base import Batch, Estimator
from models.blocks.columns import NUM_COLUMNS, columns


class Logistic(Estimator):
    """Logistic regression on 27 aggregates, one-hot category and type, and 8 continuous columns.

    Wide features follow if the data has them, and there is one regression per label. The released
    vector is each standardized input times its coefficient for ``engaged``, ``(B, F)``: the
    contribution of each column to the logit. The logit is their sum plus the intercept.

    Parameters
    ----------
    c
        Inverse of the L2 penalty, above 0: scikit-learn's ``C``.
    """

    uses_wide = True
    space: ClassVar[dict[str, tuple[Any, ...]]] = {"c": ("log_uniform", 1e-4, 1e2)}

    def __init__(self, *, c: float = 1.0) -> None:
        if not c > 0:
            msg = f"logistic: c must be above 0, got {c}"
            raise ValueError(msg)
        self.c = c
        self._resize(NUM_COLUMNS, 1)

    def fit(self, train: Batch, validation: Batch, rng: np.random.Generator) -> None:
        """Minimize each label's weighted log loss; neither ``validation`` nor ``rng`` is used."""
        inputs = columns(train).astype(np.float64)
        self._resize(inputs.shape[1], train.labels.shape[1])
        present = ~np.isnan(inputs)
        self.mean = np.where(present, inputs, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        filled = np.where(present, inputs, self.mean)
        spread = filled.std(axis=0)
        # A column that is constant in train keeps the coefficient 0.
        self.scale = np.where(spread > 0, spread, 1.0)
        standardized = (filled - self.mean) / self.scale
        for label, values in enumerate(train.labels.T > 0.5):
            regression = self._regression(values).fit(standardized, values)
            self.coefficient[label] = regression.coef_[0]
            self.intercept[label] = regression.intercept_[0]

    def score(self, batch: Batch) -> NDArray[np.float32]:
        """Logits of the labels, ``(B, L)``."""
        logits: NDArray[np.float64] = self._standardized(batch) @ self.coefficient.T
        return (logits + self.intercept).astype(np.float32)

    def represent(self, batch: Batch) -> NDArray[np.float32]:
        """Standardized inputs times the coefficients for ``engaged``, ``(B, F)``."""
        return (self._standardized(batch) * self.coefficient[:1]).astype(np.float32)

    def head(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits, for ``engaged`` the sum of a vector plus the intercept: ``(n, F) -> (n, L)``.

        Further labels have other coefficients of the same inputs; an input that ``engaged`` does
        not use cannot be recovered from the vector and counts as its mean.
        """
        used = self.coefficient[0] != 0
        ratio = np.divide(
            self.coefficient, self.coefficient[:1], out=np.zeros_like(self.coefficient), where=used
        )
        return (vectors @ ratio.T + self.intercept).astype(np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Mean and scale of the inputs, coefficients and intercept."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "coefficient": self.coefficient,
            "intercept": self.intercept,
        }

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Load a ``state``.

        Raises
        ------
        ValueError
            A name does not belong to this model, or shapes do not match.
        """
        self._resize(len(state.get("scale", ())), len(state.get("intercept", ())))
        expected = {name: value.shape for name, value in self.state().items()}
        given = {name: value.shape for name, value in state.items()}
        if given != expected:
            msg = f"state of Logistic: expected shapes {expected}, got {given}"
            raise ValueError(msg)
        for name, value in state.items():
            setattr(self, name, value)

    @property
    def num_parameters(self) -> int:
        """Number of coefficients and intercepts."""
        return self.coefficient.size + self.intercept.size

    def _resize(self, num_inputs: int, num_labels: int) -> None:
        self.num_labels = num_labels
        self.mean = np.zeros(num_inputs)
        self.scale = np.ones(num_inputs)
        self.coefficient = np.zeros((num_labels, num_inputs))
        self.intercept = np.zeros(num_labels)

    def _regression(self, values: NDArray[np.bool_]) -> LogisticRegression:
        positives = np.count_nonzero(values)
        if positives in (0, len(values)):
            msg = f"logistic: train labels must be of both classes, got {positives} positives"
            raise ValueError(msg + f" of {len(values)}")
        weights = {False: 1.0, True: (len(values) - positives) / positives}
        return LogisticRegression(C=self.c, solver="lbfgs", max_iter=1000, class_weight=weights)

    def _standardized(self, batch: Batch) -> NDArray[np.float64]:
        """Standardize the inputs, ``(B, F)``; unknown values become the mean."""
        scaled: NDArray[np.float64] = (columns(batch) - self.mean) / self.scale
        return np.nan_to_num(scaled, nan=0.0)
