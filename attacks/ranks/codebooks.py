"""Product quantization through FAISS: each part of a vector becomes the nearest of a few centroids.

Shape letters: n vectors, d dimensions, p parts, c centroids of a part, w dimensions of a part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.ranks.neighbors import library


@dataclass(frozen=True)
class Codebook:
    """Centroids of each part; the last part is filled up with zeros where d is no multiple of p.

    Attributes
    ----------
    centroids : (p, c, w)
        c is a power of 2.
    """

    centroids: NDArray[np.float32]

    def nearest(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put the nearest centroid in the place of each part: ``(n, d) -> (n, d)``."""
        parts, _, width = self.centroids.shape
        with library() as faiss:
            quantizer = self._quantizer(faiss)
            codes = quantizer.compute_codes(_filled_up(vectors, parts * width))
            decoded: NDArray[np.float32] = quantizer.decode(codes)
        return np.ascontiguousarray(decoded[:, : vectors.shape[1]])

    def _quantizer(self, faiss: Any) -> Any:
        parts, count, width = self.centroids.shape
        quantizer = faiss.ProductQuantizer(parts * width, parts, count.bit_length() - 1)
        faiss.copy_array_to_vector(self.centroids.ravel(), quantizer.centroids)
        return quantizer


def learned(vectors: NDArray[np.float32], parts: int, bits: int, seed: int) -> Codebook:
    """Learn the centroids of each part by k-means.

    Parameters
    ----------
    vectors : (n, d)
        At least ``2 ** bits``.
    parts
        How many numbers a vector becomes, in 1..d.
    bits
        Of each number.
    seed
        Of k-means, below 2^31.

    Returns
    -------
    Codebook
    """
    width = -(-vectors.shape[1] // parts)
    with library() as faiss:
        quantizer = faiss.ProductQuantizer(parts * width, parts, bits)
        quantizer.cp.seed = seed
        quantizer.cp.min_points_per_centroid = 1  # below 39, the default, FAISS prints a warning
        quantizer.train(_filled_up(vectors, parts * width))
        centroids = faiss.vector_to_array(quantizer.centroids)
    return Codebook(centroids.reshape(parts, 2**bits, width))


def _filled_up(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    missing = dimensions - vectors.shape[1]
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, missing))) if missing else vectors)
