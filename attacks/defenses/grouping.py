"""Groups of at least k near points.

Shape letters: u points, d dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024
"""Points among which groups are formed by their distances, which costs BLOCK / k passes over
each; more points are halved first."""


def near_groups(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Deal points to groups of k to 2 k - 1 near ones.

    Many points are halved at the median of their widest direction until a block is small. In a
    block, the point farthest from the middle and its k - 1 nearest are a group, then the point
    farthest from that one and its k - 1 nearest, and so on.

    Parameters
    ----------
    points : (u, d)
    k
        In 1..u.

    Returns
    -------
    (u,)
        Group of each, counted from 0.

    References
    ----------
    Josep Domingo-Ferrer, Vicenc Torra, Ordinal, Continuous and Heterogeneous k-Anonymity Through
    Microaggregation, Data Mining and Knowledge Discovery, 2005 (MDAV, which forms the groups).

    Kristen LeFevre, David J. DeWitt, Raghu Ramakrishnan, Mondrian Multidimensional K-Anonymity,
    International Conference on Data Engineering, 2006 (halving first).
    """
    group = np.empty(len(points), np.int64)
    count = 0
    waiting = [np.arange(len(points))]
    while waiting:
        rows = waiting.pop()
        if len(rows) > max(BLOCK, 4 * k):
            waiting += _halves(points, rows)
            continue
        for members in _grouped(points[rows], k):
            group[rows[members]] = count
            count += 1
    return group


def _halves(points: NDArray[np.float64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    offset = points[rows] - points[rows].mean(axis=0)
    widest = np.linalg.eigh(offset.T @ offset)[1][:, -1]
    order = np.argsort(offset @ widest, kind="stable")
    middle = len(rows) // 2
    return [rows[order[middle:]], rows[order[:middle]]]


def _grouped(points: NDArray[np.float64], k: int) -> list[NDArray[np.int64]]:
    """Maximum distance to average vector (MDAV): members of each group."""
    groups = []
    left = np.arange(len(points))

    def take(start: NDArray[np.float64]) -> None:
        nonlocal left
        order = np.argpartition(_squared(points[left], start), k - 1)
        groups.append(left[order[:k]])
        left = np.sort(left[order[k:]])

    while len(left) >= 2 * k:
        first = points[left[_squared(points[left], points[left].mean(axis=0)).argmax()]]
        take(first)
        if len(left) >= 2 * k:
            take(points[left[_squared(points[left], first).argmax()]])
    groups.append(left)
    return groups


def _squared(points: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    offset = points - start
    distance: NDArray[np.float64] = np.einsum("ij,ij->i", offset, offset)
    return distance
