"""The interface of engagement models, and their input batch.

Shape letters: U distinct histories, B events, A aggregates, T = 50 history steps,
C continuous columns, L labels, D dimensions of the representation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

NUM_CATEGORIES = 32
"""Size of the category table: the 31 most frequent in train, and 0 for unknown."""

NUM_TYPES = 16
"""Size of the item-type table: 15, and 0 for unknown."""


@dataclass(frozen=True)
class Batch:
    """B events with U distinct histories, each stored and encoded once.

    Attributes
    ----------
    aggregates : (U, 27)
        Standardized aggregates of the history; the first 21 are the basic ones.
    sequence : (U, 50, 2)
        Standardized channels of the last 50 history events, left-aligned.
    mask : (U, 50)
        True if the step exists.
    user_row : (B,)
        Row of the event's history in the three arrays above.
    categorical : (B, 2)
        Category id in [0, 32) and item-type id in [0, 16); 0 is unknown.
    continuous : (B, 8)
        Standardized: sin and cos of the local hour, device, log hours since publication, premium,
        log1p body, title and subtitle length. The first 5 are the basic ones.
    labels : (B, L)
        0 or 1; label 0 is ``engaged``.
    wide : (B, F)
        Further features of the event in raw units, NaN if unknown; F is 0 if the data has none.
    tokens : (V, T)
        Token ids of the V distinct texts of the B events, 0 as padding; T is 0 if the data has no
        texts.
    text_row : (B,)
        Row of the event's text in ``tokens``.
    user : (U,)
        Number of the history's user among the users of the fit, -1 for any other; (0,) outside
        training.
    """

    aggregates: NDArray[np.float32]
    sequence: NDArray[np.float32]
    mask: NDArray[np.bool_]
    user_row: NDArray[np.int64]
    categorical: NDArray[np.int64]
    continuous: NDArray[np.float32]
    labels: NDArray[np.float32]
    wide: NDArray[np.float32]
    tokens: NDArray[np.int32]
    text_row: NDArray[np.int64]
    user: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


class Model(ABC):
    """Scores engagement and computes the user representation to release.

    A subclass's keyword-only constructor is its schema in the suite file. The inputs that a model
    reads are declared as data, so that the releases ``raw`` and ``context_only`` match them.
    """

    num_aggregates: ClassVar[int] = 27
    """Number of leading columns of ``Batch.aggregates`` that the model reads."""

    uses_sequence: ClassVar[bool] = False
    """Whether the model reads ``Batch.sequence``."""

    num_continuous: ClassVar[int] = 8
    """Number of leading columns of ``Batch.continuous`` that the model reads."""

    uses_wide: ClassVar[bool] = False
    """Whether the model reads ``Batch.wide``."""

    num_labels: int = 1
    """Number of labels scored: the first ``num_labels`` columns of ``Batch.labels``."""

    space: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Tuning space as plain data: ``{"dropout": ("uniform", 0.0, 0.5)}``."""

    def adapt(self, train: Batch) -> None:  # noqa: B027  # most models need no adaptation
        """Adapt the model to the data before it is fitted.

        This sets the numbers of labels and wide features, and scales. A model that is not adapted
        predicts label 0 only, without wide features and texts.

        Parameters
        ----------
        train
            A sample of the train events.
        """

    @abstractmethod
    def score(self, batch: Batch) -> NDArray[np.float32]:
        """Logits of the labels, ``(B, num_labels)``."""

    @abstractmethod
    def represent(self, batch: Batch) -> NDArray[np.float32]:
        """Vectors to release, ``(B, D)``."""

    def head(self, vectors: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Logits from released vectors: ``(n, D) -> (n, num_labels)``.

        For the vectors of ``represent`` they equal those of ``score``. None for a model whose
        logits are not a function of its vectors.
        """
        return None

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Fitted state as plain arrays; never a pickle."""

    @abstractmethod
    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Load the ``state`` of a model with the same parameters."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Number of learned parameters."""


class Estimator(Model):
    """A model that fits itself, without the gradient loop of the torch networks.

    As with networks, each positive has the weight w = negatives / positives of train, so that for
    every model the probability of engagement is sigmoid(logit - ln w).
    """

    shares: ClassVar[bool] = False
    """Whether several workers can fit it together, each on a share of the events."""

    finetunes: ClassVar[bool] = False
    """Whether ``finetune`` does anything."""

    def finetune(self, recent: Batch, rng: np.random.Generator) -> None:
        """Continue fitting on later events."""

    @abstractmethod
    def fit(self, train: Batch, validation: Batch, rng: np.random.Generator) -> None:
        """Fit on ``train``.

        Parameters
        ----------
        train
            All labelled train events.
        validation
            Later events, for decisions such as early stopping.
        rng
            Source of all randomness of the fit.

        Raises
        ------
        ValueError
            The train labels are all 0 or all 1.
        """
