"""What a score is, in float64: centers, scales and sizes of the gallery's users and of probes.

Shape letters: g gallery users, r probes of a block, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.ranks.counting import Exact, score_true
from attacks.ranks.precision import Doubles, Floats, medians

Rows = NDArray[np.int64]

CHUNK_ROWS = 8192
"""Rows converted to float64 at a time."""


@dataclass(frozen=True)
class Scoring:
    """Gallery users and what scores them; see `attacks.ranks.exact` for the table.

    Attributes
    ----------
    vectors : (g, d)
        As given.
    center : (d,)
        Subtracted from probes and users; 0 but for the distance.
    scale, size, offset : (g,)
        Factor on a centered vector, its length after that, and what is subtracted from its score.
    metric
        ``cosine``, ``euclidean`` or ``dot``.
    """

    vectors: Floats
    center: Doubles
    scale: Doubles
    size: Doubles
    offset: Doubles
    metric: str

    @classmethod
    def of(cls, vectors: Floats, metric: str) -> Scoring:
        """Measure gallery users ``(g, d)``."""
        center = medians(vectors) if metric == "euclidean" else np.zeros(vectors.shape[1])
        norm = _norms(vectors, center)
        scale, size = _scale_and_size(norm, metric)
        offset = norm**2 / 2 if metric == "euclidean" else np.zeros(len(norm))
        return cls(np.ascontiguousarray(vectors), center, scale, size, offset, metric)

    def users(self, rows: Rows) -> Doubles:
        """Centered and scaled vectors of some users, ``(r,) -> (r, d)``."""
        scaled: Doubles = (self.vectors[rows] - self.center) * self.scale[rows, None]
        return scaled

    def probes(self, exact: Exact) -> Doubles:
        """Centered and scaled vectors of a block's probes, ``(r, d)``."""
        scaled: Doubles = (exact.probe - self.center) * exact.probe_scale[:, None]
        return scaled

    def block(self, probe: Floats, true_row: Rows) -> Exact:
        """Measure probes ``(r, d)`` and score their true users ``(r,)``."""
        scale, size = _scale_and_size(_norms(probe, self.center), self.metric)
        exact = Exact(
            probe=np.ascontiguousarray(probe),
            gallery=self.vectors,
            center=self.center,
            probe_scale=scale,
            probe_size=size,
            gallery_scale=self.scale,
            gallery_size=self.size,
            offset=self.offset,
            true_row=true_row.astype(np.int64),
            true_score=np.empty(len(probe)),
        )
        score_true(exact)
        return exact


def _norms(vectors: Floats, center: Doubles) -> Doubles:
    norm = np.empty(len(vectors))
    for start in range(0, len(vectors), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        norm[rows] = np.sqrt(((vectors[rows] - center) ** 2).sum(axis=1))
    return norm


def _scale_and_size(norm: Doubles, metric: str) -> tuple[Doubles, Doubles]:
    """Factor on a vector and its length after it, each as long as ``norm``."""
    if metric == "cosine":
        return 1 / np.where(norm > 0, norm, 1.0), (norm > 0).astype(np.float64)
    return np.ones(len(norm)), norm
