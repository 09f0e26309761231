"""Logistic regression, the linear baseline.

Shape letters: B events, F = 83 input columns.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.base import NUM_CATEGORIES, NUM_TYPES, Batch, Estimator


class Logistic(Estimator):
    """Logistic regression on 27 aggregates, one-hot category and type, and 8 continuous columns.

    The released vector is each standardized input times its coefficient, ``(B, 83)``: what every
    column adds to the logit. The logit is its sum plus the intercept.

    Parameters
    ----------
    c
        Inverse of the L2 penalty, above 0: scikit-learn's ``C``.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {"c": ("log_uniform", 1e-4, 1e2)}

    def __init__(self, *, c: float = 1.0) -> None:
        if not c > 0:
            msg = f"logistic: c must be above 0, got {c}"
            raise ValueError(msg)
        self.c = c
        num_inputs = self.num_aggregates + NUM_CATEGORIES + NUM_TYPES + self.num_continuous
        self.mean = np.zeros(num_inputs)
        self.scale = np.ones(num_inputs)
        self.coefficient = np.zeros(num_inputs)
        self.intercept = np.zeros(1)

    def fit(self, train: Batch, validation: Batch, rng: np.random.Generator) -> None:
        """Minimize the weighted log loss of label 0; neither ``validation`` nor ``rng`` is used."""
        engaged = train.labels[:, 0] > 0.5
        positives = np.count_nonzero(engaged)
        if positives in (0, len(engaged)):
            msg = f"logistic: train labels must be of both classes, got {positives} positives"
            raise ValueError(msg + f" of {len(engaged)}")
        inputs = _inputs(train)
        self.mean = inputs.mean(axis=0)
        spread = inputs.std(axis=0)
        # A column that is constant in train says nothing; its coefficient stays 0.
        self.scale = np.where(spread > 0, spread, 1.0)
        regression = LogisticRegression(
            C=self.c,
            solver="lbfgs",
            max_iter=1000,
            class_weight={False: 1.0, True: (len(engaged) - positives) / positives},
        )
        regression.fit((inputs - self.mean) / self.scale, engaged)
        self.coefficient = regression.coef_[0]
        self.intercept = regression.intercept_

    def score(self, batch: Batch) -> NDArray[np.float32]:
        """Logit of ``engaged``, ``(B, 1)``."""
        logits: NDArray[np.float64] = self._contributions(batch).sum(axis=1, keepdims=True)
        return (logits + self.intercept).astype(np.float32)

    def represent(self, batch: Batch) -> NDArray[np.float32]:
        """Standardized inputs times coefficients, ``(B, 83)``."""
        return self._contributions(batch).astype(np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Mean and scale of the inputs, coefficients and intercept."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "coefficient": self.coefficient,
            "intercept": self.intercept,
        }

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned.

        Raises
        ------
        ValueError
            A name or a shape is not this model's.
        """
        expected = {name: value.shape for name, value in self.state().items()}
        found = {name: value.shape for name, value in state.items()}
        if found != expected:
            msg = f"state of Logistic: expected shapes {expected}, got {found}"
            raise ValueError(msg)
        for name, value in state.items():
            setattr(self, name, value)

    @property
    def num_parameters(self) -> int:
        """Coefficients and intercept."""
        return self.coefficient.size + 1

    def _contributions(self, batch: Batch) -> NDArray[np.float64]:
        return (_inputs(batch) - self.mean) / self.scale * self.coefficient


def _inputs(batch: Batch) -> NDArray[np.float64]:
    """Lay aggregates, one-hot category and type, and continuous columns side by side."""
    category, item_type = batch.categorical.T
    return np.concatenate(
        [
            batch.aggregates[batch.user_row],
            np.eye(NUM_CATEGORIES)[category],
            np.eye(NUM_TYPES)[item_type],
            batch.continuous,
        ],
        axis=1,
        dtype=np.float64,
    )
