"""Inference of an attribute of users, such as gender, from their vectors.

Shape letters: n vectors, u users, c classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attacks.audit.split import is_missing
from attacks.ranks.means import user_means

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse L2 penalties, chosen among by the training users alone."""

FOLDS, INNER_FOLDS = 5, 3

FEWEST = 10
"""Users of a class; the users of smaller ones are left out."""

MOST_CLASSES = 20

MOST_USERS = 20_000
"""Maximum number of users, sampled at random, to bound the time."""


@dataclass(frozen=True)
class AttributeResult:
    """How well one attribute is inferred from one vector per user.

    Attributes
    ----------
    attribute
        Its name.
    num_users, num_classes
        Number of users whose attribute is inferred, and of classes.
    num_users_left_out
        Users without the attribute, of a class with fewer than 10 users, or beyond 20,000.
    majority_class
        The most frequent one, as text.
    majority, chance
        Its share of the users, and 1 / classes.
    accuracy, balanced_accuracy
        Share of the users whose class is inferred, and its mean over the classes, in [0, 1]; with
        95 % intervals ``_low`` and ``_high`` over the users of each class, their number fixed.
    over_majority, over_chance
        Accuracy minus ``majority``, and balanced accuracy minus ``chance``, which is what naming
        everybody's class the most frequent one earns; with intervals.
    """

    attribute: str
    num_users: int
    num_classes: int
    num_users_left_out: int
    majority_class: str
    majority: float
    chance: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    balanced_accuracy: float
    balanced_accuracy_low: float
    balanced_accuracy_high: float
    over_majority: float
    over_majority_low: float
    over_majority_high: float
    over_chance: float
    over_chance_low: float
    over_chance_high: float


class _Mean(NamedTuple):
    value: float
    low: float
    high: float


def infer(
    name: str,
    vector: NDArray[np.float32],
    user: NDArray[np.int64],
    values: NDArray[Any],
    *,
    seed: int = 0,
) -> AttributeResult:
    """Infer an attribute from the mean vector of each user.

    The adversary knows the attribute of other users: a logistic regression on standardized
    vectors is fitted to four fifths of the users and infers the fifth that it has not seen; its
    penalty is chosen within the four fifths. For ``accuracy`` it names the likeliest class, for
    ``balanced_accuracy`` the one whose probability most exceeds the class's share.

    Parameters
    ----------
    name
        Of the attribute.
    vector : (n, d)
    user : (n,)
        User of each vector, from 0 without gaps.
    values : (n,)
        The attribute; None, NaN and blank text are not known. Known ones of a user are equal.
    seed
        Decides the folds, and the users where there are more than 20,000.

    Raises
    ------
    ValueError
        If a user has two values, or not 2 to 20 classes have 10 users or more.

    References
    ----------
    Udi Weinsberg, Smriti Bhagat, Stratis Ioannidis, Nina Taft, BlurMe: Inferring and Obfuscating
    User Gender Based on Ratings, ACM Conference on Recommender Systems, 2012 (regularized logistic
    regression as the adversary).

    Guang Yong Zou, Allan Donner, Construction of Confidence Limits about Effect Measures: A General
    Approach, Statistics in Medicine, 2008 (an interval of a weighted sum of rates).
    """
    code, classes = _of_users(name, user, values)
    rng = np.random.default_rng(seed)
    kept = np.flatnonzero(code >= 0)
    if len(kept) > MOST_USERS:
        kept = np.sort(rng.choice(kept, MOST_USERS, replace=False))
    counts = np.bincount(code[kept], minlength=len(classes))
    found = np.flatnonzero(counts >= FEWEST)
    if not 2 <= len(found) <= MOST_CLASSES:
        raise ValueError(
            f"attribute {name}: found {len(found)} classes with {FEWEST} users or more, "
            f"allowed: 2 to {MOST_CLASSES}"
        )
    kept = kept[counts[code[kept]] >= FEWEST]
    counts, truth = counts[found], np.searchsorted(found, code[kept])
    chances = _chances(user_means(vector, user)[kept], truth, int(rng.integers(2**31)))
    every = _rate(chances.argmax(axis=1) == truth, truth, counts / counts.sum())
    balanced = _rate(
        (chances / counts).argmax(axis=1) == truth, truth, np.full(len(found), 1 / len(found))
    )
    largest = int(counts.argmax())
    majority, chance = float(counts[largest] / len(truth)), 1 / len(found)
    return AttributeResult(
        name,
        len(kept),
        len(found),
        len(code) - len(kept),
        str(classes[found[largest]]),
        majority,
        chance,
        *every,
        *balanced,
        *(end - majority for end in every),
        *(end - chance for end in balanced),
    )


def _of_users(
    name: str, user: NDArray[np.int64], values: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Class of each user, -1 where it is not known, and the classes: ``(u,), (c,)``."""
    if values.shape != user.shape:
        raise ValueError(f"attribute {name} must be {len(user)} values, got shape {values.shape}")
    known = np.flatnonzero(~is_missing(values))
    try:
        classes, number = np.unique(values[known], return_inverse=True)
    except TypeError as error:
        raise ValueError(f"attribute {name} must be values of one type: {error}") from None
    code = np.full(int(user.max()) + 1, -1)
    code[user[known]] = number
    if other := np.flatnonzero(code[user[known]] != number).tolist():
        row = known[other[0]]
        raise ValueError(
            f"attribute {name} must be the same for all vectors of a user, got "
            f"{str(values[row])!r} in row {row} and {str(classes[code[user[row]]])!r} elsewhere"
        )
    return code, classes


def _chances(
    vector: NDArray[np.float64], truth: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Probability of each class, by a regression that has not seen the user: ``(u, c)``."""

    def folds(number: int) -> StratifiedKFold:
        return StratifiedKFold(number, shuffle=True, random_state=seed)

    chosen = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        {"logisticregression__C": STRENGTHS},
        scoring="neg_log_loss",
        cv=folds(INNER_FOLDS),
    )
    found: NDArray[np.float64] = cross_val_predict(
        chosen, vector, truth, cv=folds(FOLDS), method="predict_proba"
    )
    return found


def _rate(
    is_right: NDArray[np.bool_], truth: NDArray[np.int64], weight: NDArray[np.float64]
) -> _Mean:
    """Weighted mean of the classes' rates, from Wilson's interval of each: ``(u,), (u,), (c,)``."""
    hits, counts = np.bincount(truth, is_right), np.bincount(truth)
    ends = [
        binomtest(int(hit), int(count)).proportion_ci(method="wilson")
        for hit, count in zip(hits, counts, strict=True)
    ]
    rate = hits / counts
    below = weight * (rate - np.array([end.low for end in ends]))
    above = weight * (np.array([end.high for end in ends]) - rate)
    value = float((weight * rate).sum())
    return _Mean(value, value - math.hypot(*below), value + math.hypot(*above))
