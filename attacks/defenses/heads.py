"""Directions that the task reads, found by logistic regressions of the labels.

Shape letters: n vectors, d dimensions, L labels, k axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.gallery import Released

MAX_EVENTS = 100_000
"""Train vectors that a head is fitted on; of more, these many are drawn."""


def task_axes(
    released: Released, defense: str, rng: np.random.Generator, dimensions: int | None = None
) -> NDArray[np.float64]:
    """Fit orthonormal axes that span the heads of the labels, label 0 first.

    Once every label has an axis, the labels are fitted again on what the axes leave over, for as
    many rounds as it takes.

    Parameters
    ----------
    released
        Train vectors ``(n, d)`` and labels ``(n, L)``.
    defense
        Name for error messages.
    rng
        Draws the vectors to fit on where there are too many.
    dimensions
        Axes wanted, in 1..d; by default one per label.

    Returns
    -------
    (d, k)
        As columns: k is ``dimensions``, or by default the rank of the heads.

    Raises
    ------
    ValueError
        If labels are not known or one has a single class.
    """
    labels = _checked(released.labels, defense)
    vectors = released.vectors
    if len(vectors) > MAX_EVENTS:
        rows = np.sort(rng.choice(len(vectors), MAX_EVENTS, replace=False))
        vectors, labels = vectors[rows], _checked(labels[rows], defense)
    rest = vectors - vectors.mean(axis=0, dtype=np.float64)
    least = 1e-9 * rest.std(axis=0).max()
    wanted = min(labels.shape[1], rest.shape[1]) if dimensions is None else dimensions
    axes = np.empty((rest.shape[1], 0))
    while axes.shape[1] < wanted:
        found = _independent(axes, _heads(rest, labels, least))
        if not found.shape[1]:
            if dimensions is None:
                break
            found = _complement(axes)  # nothing is left that any label reads
        found = found[:, : wanted - axes.shape[1]]
        axes = np.hstack([axes, found])
        rest -= (rest @ found) @ found.T
        if dimensions is None:
            break
    return axes


def _checked(labels: NDArray[np.bool_] | None, defense: str) -> NDArray[np.bool_]:
    if labels is None or not labels.size:
        raise ValueError(f"{defense}: found no labels of the train vectors, allowed: one or more")
    alike = np.flatnonzero(labels.all(axis=0) | ~labels.any(axis=0))
    if alike.size:
        raise ValueError(
            f"{defense}: label {alike[0]}: found one class in the train window, allowed: both"
        )
    return labels


def _heads(
    rest: NDArray[np.float64], labels: NDArray[np.bool_], least: float
) -> NDArray[np.float64]:
    """Weights of a logistic regression per label on standardized vectors, ``(d, L)``.

    What varies by ``least`` or less is the rounding that earlier axes left, which must not be
    scaled up.
    """
    from sklearn.linear_model import LogisticRegression

    scale = np.zeros(rest.shape[1])
    spread = rest.std(axis=0)
    np.divide(1, spread, out=scale, where=spread > least)
    standard = rest * scale
    weights = [
        LogisticRegression(solver="newton-cholesky").fit(standard, label).coef_[0] * scale
        for label in labels.T
    ]
    return np.array(weights).T


def _independent(axes: NDArray[np.float64], heads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal axes of heads, in their order, without what lies in the span of others."""
    kept = axes
    for head in heads.T:
        new = head
        for _ in range(2):  # once more, for what rounding left
            new = new - kept @ (kept.T @ new)
        length = np.linalg.norm(new)
        if length > 1e-6 * np.linalg.norm(head):
            kept = np.hstack([kept, (new / length)[:, None]])
    return kept[:, axes.shape[1] :]


def _complement(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal axes of all that given ones leave over."""
    full: NDArray[np.float64] = np.linalg.qr(axes, mode="complete")[0][:, axes.shape[1] :]
    return full
