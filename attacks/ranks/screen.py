"""Ranks on a CPU: 16-bit products decide most pairs, float64 the few within their error.

Probes and users are rotated to the gallery's principal axes and rounded to 16 bits; sums of
products of such numbers are exact in 32 bits, and come at twice the rate of float32. What rounding
may change of a score is bounded by Cauchy-Schwarz from the rounding errors themselves, so that a
pair outside the bound is decided for certain.

Where the first axes hold most of the vectors' length, as in those of trained models, the rest of a
score is bounded too, by the lengths of what remains: a probe goes no further with 64 users beside
each other that the first axes decide. After how many axes to stop is tried on a sample; vectors
without such axes are multiplied as a whole.

Shape letters: g gallery users, r probes of a block, d dimensions, d' with that of the offset, t
tiles, p pairs of dimensions, s places where a product may stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.ranks.counting import Exact
from attacks.ranks.kernel import compare
from attacks.ranks.lanes import LANES
from attacks.ranks.precision import Doubles, Floats
from attacks.ranks.scoring import Rows, Scoring

Shorts = NDArray[np.int16]

TILE = 512
"""Users that share a scale; their numbers stay in the second-level cache."""

BLOCK = 1024
"""Probes compared with one tile after the other; their numbers, too, stay in that cache."""

LENGTH = 32_000
"""Of a vector of whole numbers: one that lies along an axis fits 16 bits, a product 31."""

SAMPLE = 4096
"""Users, evenly spaced, that axes are taken from."""

TRIED, TRIED_BLOCKS = 128, 24
"""Probes, and blocks of users beside each other, on which stops are tried."""

STOPS = (4, 8, 12, 20)
"""Pairs of dimensions after which a product may stop."""

STOP_COST = 4
"""Of a stop, in pairs of dimensions."""

ROTATION_SHARE = 1 / 8
"""What a rotation may cost, in units of the products."""


@dataclass(frozen=True)
class View:
    """Probes and users as the products see them.

    Attributes
    ----------
    scoring
        Their scores in float64.
    middle : (d,)
        Subtracted from users, which changes all scores of a probe alike.
    axes : (d, d)
        Orthonormal columns; None: the dimensions as they are.
    """

    scoring: Scoring
    middle: Doubles
    axes: Doubles | None

    @cached_property
    def rounding(self) -> float:
        """Give the error of a float64 product of two vectors, in units of their lengths."""
        d = len(self.middle)
        axes = np.eye(d) if self.axes is None else self.axes
        return 8 * (d + 8) * 2.0**-53 + float(np.linalg.norm(axes.T @ axes - np.eye(d)))

    def users(self, rows: Rows) -> Doubles:
        """Give some users' vectors, ``(r,) -> (r, d)``."""
        return self._rotated(self.scoring.users(rows) - self.middle)

    def probes(self, exact: Exact) -> tuple[Doubles, Doubles]:
        """Give vectors ``(r, d)`` of a block's probes and the true users' scores here ``(r,)``."""
        probes = self.scoring.probes(exact)
        return self._rotated(probes), exact.true_score - probes @ self.middle

    def _rotated(self, vectors: Doubles) -> Doubles:
        """By torch, whose threads are told apart from those that run the blocks."""
        if self.axes is None:
            return vectors
        rotated: Doubles = (torch.from_numpy(vectors) @ torch.from_numpy(self.axes)).numpy()
        return rotated


class Tiles(NamedTuple):
    """What is known of each tile of users, ``(t,)`` each.

    Attributes
    ----------
    scale
        Factor that made the vectors whole.
    length, error
        Largest length, and largest rounding error, in the units of scores.
    size, offset
        Largest size and offset, as the tie rule knows them.
    """

    scale: Doubles
    length: Doubles
    error: Doubles
    size: Doubles
    offset: Doubles


@dataclass(frozen=True)
class Screen:
    """A gallery in 16 bits.

    Attributes
    ----------
    view
        What is rounded.
    order : (g,)
        Gallery rows by the octave of their length, then along the first axis.
    edges : (s + 1,)
        Pairs of dimensions after which a product stops, and p.
    unit : (t,)
        Of the offset's dimension, which stands first; 0 where there is none.
    numbers : (t TILE / LANES, p + s, LANES, 2)
        Users in ``order``, and for each stop the length of what remains, and 0.
    tiles
        Scales and bounds.
    """

    view: View
    order: Rows
    edges: Rows
    unit: Doubles
    numbers: Shorts
    tiles: Tiles

    @property
    def height(self) -> int:
        """Probes of a block."""
        return BLOCK

    def count(self, exact: Exact) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Count who beats, and who ties with, the true users of a block: ``(r,)`` each."""
        counts = np.zeros((2, len(exact.probe)), np.int32)
        vectors, true_score = self.view.probes(exact)
        rounding = self.view.rounding
        slack = rounding * np.linalg.norm(vectors, axis=1) * np.linalg.norm(self.view.middle)
        slack += rounding * np.abs(true_score)
        changes = np.flatnonzero(np.diff(self.unit)) + 1
        for first, last in pairwise([0, *changes.tolist(), len(self.unit)]):
            extended = _extended(vectors, -self.unit[first], self.unit[first])
            length = np.linalg.norm(extended, axis=1)
            scale = LENGTH / np.where(length > 0, length, 1.0)
            numbers, error = _whole(extended, scale[:, None], len(extended), self.edges)
            compare(
                (numbers.ravel(), scale, length, error, slack, true_score),
                (self.numbers.ravel(), self.order, self.edges),
                (first, last, TILE, *self.tiles),
                exact,
                (counts[0], counts[1]),
            )
        return counts[0], counts[1]


def screen(scoring: Scoring, probe: Floats, true_row: Rows, present: Rows) -> tuple[Screen, Rows]:
    """Round a gallery, and order its probes.

    Parameters
    ----------
    scoring
        The gallery.
    probe : (n, d)
    true_row : (n,)
    present : (m,)
        Rows of the probes whose user is in the gallery, at least one.

    Returns
    -------
    Screen
    rows : (m,)
        ``present``, in the order of the true users.
    """
    num_users, d = scoring.vectors.shape
    view = _view(scoring, len(present))
    order = _order(view)
    place = np.empty_like(order)
    place[order] = np.arange(num_users)
    present = present[np.argsort(place[true_row[present]], kind="stable")]
    tried = present[np.linspace(0, len(present) - 1, TRIED).astype(np.int64)]
    num_pairs = (d + (scoring.metric == "euclidean") + 1) // 2
    edges = _edges(view, order, scoring.block(probe[tried], true_row[tried]), num_pairs)
    num_tiles = -(-num_users // TILE)
    numbers = np.empty((num_tiles, TILE // LANES, edges[-1] + len(edges) - 1, LANES, 2), np.int16)
    unit, tiles = np.zeros(num_tiles), Tiles(*np.zeros((5, num_tiles)))
    for tile in range(num_tiles):
        rows = order[tile * TILE : (tile + 1) * TILE]
        vectors, offset, size = view.users(rows), scoring.offset[rows], scoring.size[rows].max()
        if scoring.metric == "euclidean":
            unit[tile] = np.ldexp(1.0, np.frexp(size)[1]) if size else 1.0
        extended = _extended(vectors, offset / (unit[tile] or 1.0), unit[tile])
        length = np.linalg.norm(extended, axis=1).max()
        scale = LENGTH / (length or 1.0)
        whole, error = _whole(extended, scale, TILE, edges)
        numbers[tile] = whole.reshape(TILE // LANES, LANES, -1, 2).swapaxes(1, 2)
        known = (scale, length, error.max() + view.rounding * length, size, offset.max())
        for column, value in zip(tiles, known, strict=True):
            column[tile] = value
    in_order = numbers.reshape(-1, *numbers.shape[2:])
    return Screen(view, order, edges, unit, in_order, tiles), present


def _view(scoring: Scoring, num_probes: int) -> View:
    """Turn to the principal axes, each user weighing the same, where that costs little."""
    num_users, d = scoring.vectors.shape
    users = scoring.users(np.arange(0, num_users, -(-num_users // SAMPLE)))
    middle = np.zeros(d) if scoring.metric == "euclidean" else np.median(users, axis=0)
    axes = None
    if (num_probes + num_users + 5 * d) * d < ROTATION_SHARE * num_probes * num_users:
        users -= middle
        length = np.linalg.norm(users, axis=1, keepdims=True)
        users /= np.where(length > 0, length, 1.0)
        axes = np.linalg.eigh(users.T @ users)[1][:, ::-1].copy()
    return View(scoring, middle, axes)


def _order(view: View) -> Rows:
    num_users = len(view.scoring.vectors)
    octave, along = np.empty(num_users, np.int64), np.empty(num_users)
    for start in range(0, num_users, SAMPLE):
        rows = np.arange(start, min(start + SAMPLE, num_users))
        users = view.users(rows)
        length = np.linalg.norm(users, axis=1)
        octave[rows] = np.where(length > 0, np.frexp(length)[1], np.iinfo(np.int32).min)
        along[rows] = users[:, 0]
    return np.lexsort((along, octave))


def _extended(vectors: Doubles, offset: Any, unit: float) -> Doubles:
    """Put the offset's dimension in front, where there is one: ``(n, d) -> (n, d')``."""
    if not unit:
        return vectors
    extended = np.empty((len(vectors), vectors.shape[1] + 1))
    extended[:, 0], extended[:, 1:] = offset, vectors
    return extended


def _whole(vectors: Doubles, scale: Any, height: int, edges: Rows) -> tuple[Shorts, Doubles]:
    """Scale and round n vectors, and fill up with zeros.

    Returns
    -------
    numbers : (height, p + s, 2)
        Pairs of dimensions; for each stop the length of what remains, rounded up, and 0.
    error : (n,)
        Length of each vector's rounding error, in the units of ``vectors``.
    """
    rounded = np.rint(vectors * scale)
    error: Doubles = np.linalg.norm(vectors - rounded / scale, axis=1)
    numbers = np.zeros((height, edges[-1] + len(edges) - 1, 2), np.int16)
    numbers.reshape(height, -1)[: len(rounded), : rounded.shape[1]] = rounded
    for stop, edge in enumerate(edges[:-1]):
        rest = np.sqrt((rounded[:, 2 * edge :] ** 2).sum(axis=1))
        numbers[: len(rounded), edges[-1] + stop, 0] = np.ceil(rest)
    return numbers, error


def _edges(view: View, order: Rows, tried: Exact, num_pairs: int) -> Rows:
    """Choose where products stop, by what a sample of probes and users would have cost."""
    if view.axes is None:
        return np.array([num_pairs])
    blocks = np.linspace(0, len(order) - 1, TRIED_BLOCKS).astype(np.int64) // LANES * LANES
    rows = order[np.minimum(blocks[:, None] + np.arange(LANES), len(order) - 1).ravel()]
    users, (probes, true_score) = view.users(rows), view.probes(tried)
    open_share = {}
    for stop in STOPS:
        head = 2 * stop - (view.scoring.metric == "euclidean")
        if 2 * stop >= num_pairs:
            break
        score = probes[:, :head] @ users[:, :head].T - view.scoring.offset[rows]
        rest = np.outer(*(np.linalg.norm(v[:, head:], axis=1) for v in (probes, users)))
        is_open = np.abs(score - true_score[:, None]) <= rest
        open_share[stop] = float(is_open.reshape(-1, LANES).any(axis=1).mean())
    choices = [stops for n in (0, 1, 2) for stops in combinations(open_share, n)]
    best = min(choices, key=lambda stops: _cost(stops, open_share, num_pairs))
    return np.array([*best, num_pairs])


def _cost(stops: tuple[int, ...], open_share: dict[int, float], num_pairs: int) -> float:
    """Pairs of dimensions multiplied per group, stops included."""
    cost, share, done = 0.0, 1.0, 0
    for stop in stops:
        cost += share * (stop - done + STOP_COST)
        share, done = open_share[stop], stop
    return cost + share * (num_pairs - done)
