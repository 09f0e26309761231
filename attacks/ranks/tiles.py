"""Ranks on a device: tiles of float32 products, and float64 for the pairs within their error.

Shape letters: g gallery users, d dimensions; r and c probes and users of a tile.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.ranks.counting import TIE, Exact, count_pairs
from attacks.ranks.precision import Doubles, Floats
from attacks.ranks.scoring import Rows, Scoring

TILE_BYTES = 2**26
"""Bounds the device's memory: a tile whose pairs all tie lists them in 16 bytes each."""

CHUNK_ROWS = 8192
"""Rows converted to float64 at a time."""


@dataclass(frozen=True)
class Tiles:
    """Gallery users as the matrix product reads them.

    Users are ordered by size, so that a tile's largest size is close to all of its sizes.

    Attributes
    ----------
    scoring
        The users in float64.
    order : (g,)
        Gallery row of each place.
    unit
        Largest size.
    products : (g, d + 1)
        Vectors over ``unit`` and offsets over its square, in order.
    """

    scoring: Scoring
    order: Rows
    unit: float
    products: torch.Tensor

    @classmethod
    def of(cls, scoring: Scoring, device: torch.device) -> Tiles:
        """Copy a gallery to a device."""
        unit = float(scoring.size.max()) or 1.0
        order = np.argsort(scoring.size, kind="stable")
        products = np.empty((len(order), scoring.vectors.shape[1] + 1), np.float32)
        products[:, -1] = scoring.offset[order] / unit**2
        for start in range(0, len(order), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            products[rows, :-1] = scoring.users(order[rows]) / unit
        return cls(scoring, order, unit, torch.from_numpy(products).to(device))

    @property
    def height(self) -> int:
        """Probes of a block."""
        return math.isqrt(TILE_BYTES // 4)

    def count(self, exact: Exact) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Count who beats, and who ties with, the true users of a block: ``(r,)`` each."""
        block = self._block(exact)
        greater, equal = np.zeros((2, len(exact.probe)), np.int32)
        with _plain_float32():
            for start in range(0, len(self.order), self.height):
                columns = slice(start, min(start + self.height, len(self.order)))
                low, high = self._band(block, columns)
                scores = block.products @ self.products[columns].T
                rows, competitors = _count(scores, low, high, greater)
                count_pairs(rows, self.order[columns][competitors], exact, greater, equal)
        return greater, equal

    def _block(self, exact: Exact) -> _Block:
        # Brings both terms of a score into [-1, 1], whatever the inputs' magnitude.
        has_offset = self.scoring.metric == "euclidean"
        unit = np.maximum(exact.probe_size, self.unit if has_offset else 0.0)
        unit[unit == 0] = 1.0
        products = np.empty((len(exact.probe), exact.probe.shape[1] + 1), np.float32)
        products[:, :-1] = self.scoring.probes(exact) / unit[:, None]
        products[:, -1] = -self.unit / unit if has_offset else 0.0
        on_device = torch.from_numpy(products).to(self.products.device)
        return _Block(exact, on_device, unit * self.unit)

    def _band(self, block: _Block, columns: slice) -> tuple[Floats, Floats]:
        """Bound in float32 ``(r,)`` where a tile's product has the right side of the true score.

        An inner product of k terms, each factor rounded once to float32, is off by at most
        (k + 2) u / (1 - (k + 2) u) times the sum of the terms' magnitudes, u = 2^-24, in any order
        of summation and with or without fused products; that sum is at most the pair's size.
        Underflow adds at most a few times the smallest normal number per term.

        References
        ----------
        Nicholas J. Higham, Accuracy and Stability of Numerical Algorithms, SIAM, 2002, section
        3.1.
        """
        terms = self.products.shape[1]
        rounding = (terms + 2) * 2.0**-24
        exact, last = block.exact, self.order[columns.stop - 1]
        size, offset = self.scoring.size[last], self.scoring.offset[last]
        largest = exact.probe_size * np.maximum(size, self.scoring.size[exact.true_row])
        largest += np.maximum(offset, self.scoring.offset[exact.true_row])
        width = rounding / (1 - rounding) * (exact.probe_size * size + offset) + TIE * largest
        # The 1 % covers the rounding of these float64 lines.
        width = 1.01 * width / block.divisor + 4 * terms * 2.0**-126
        middle = exact.true_score / block.divisor
        low = np.nextafter((middle - width).astype(np.float32), np.float32(-np.inf))
        return low, np.nextafter((middle + width).astype(np.float32), np.float32(np.inf))


class _Block(NamedTuple):
    """Probes ready for the matrix product: a tile's scores are float64's over ``divisor``."""

    exact: Exact
    products: torch.Tensor
    divisor: Doubles


def _count(
    scores: torch.Tensor, low: Floats, high: Floats, greater: NDArray[np.int32]
) -> tuple[NDArray[Any], NDArray[Any]]:
    bottom = torch.from_numpy(low).to(scores.device)[:, None]
    top = torch.from_numpy(high).to(scores.device)[:, None]
    above = scores > top
    greater += above.sum(dim=1, dtype=torch.int32).cpu().numpy()
    pairs = torch.nonzero((scores >= bottom) & ~above).cpu().numpy()
    return pairs[:, 0], pairs[:, 1]


@contextlib.contextmanager
def _plain_float32() -> Iterator[None]:
    """Forbid TF32 and bfloat16 inside float32 products, which would void the rounding bound."""
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
