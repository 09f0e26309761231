"""Top singular directions only, or all but them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.fixed import Fixed
from attacks.defenses.linear import affine, check_directions, principal_axes
from attacks.gallery import Released


class Truncated(Fixed):
    """Keeps the top singular directions of the train vectors, or drops just those.

    Directions are those of the matrix of train vectors as they are, not about their mean: the first
    often is the mean itself. `top` keeps what all vectors share and what spreads them most;
    `bottom` drops it, as is done to make embeddings more alike in all directions.

    It costs the AUC that lies in what is dropped; which end that is depends on the model. It
    protects by what is dropped: identity that sits in many small directions goes with `top`,
    identity that sits in activity and taste at large goes with `bottom`.

    It does not protect what is kept, however small: an attacker who whitens sees small directions
    as well as large ones. There is no noise and no certificate.

    Parameters
    ----------
    keep
        Which end: ``top`` or ``bottom``.
    directions
        How many at the top are kept, or dropped; from 0 to the dimensions of the vectors.

    References
    ----------
    Carl Eckart, Gale Young, The Approximation of One Matrix by Another of Lower Rank,
    Psychometrika, 1936.

    Jiaqi Mu, Pramod Viswanath, All-but-the-Top: Simple and Effective Postprocessing for Word
    Representations, International Conference on Learning Representations, 2018 (the reverse).
    """

    def __init__(self, *, keep: Literal["top", "bottom"] = "top", directions: int = 4) -> None:
        if keep not in ("top", "bottom"):
            raise ValueError(f"truncated: keep: found {keep!r}, allowed: top or bottom")
        if directions < 0:
            raise ValueError(f"truncated: directions: found {directions}, allowed: at least 0")
        self.keep = keep
        self.directions = directions

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        """Fit the directions; ``rng`` is unused.

        Parameters
        ----------
        released
            Vectors of the train window's trained users.
        rng

        Raises
        ------
        ValueError
            If there are fewer dimensions than directions.
        """
        dimensions = released.vectors.shape[1]
        check_directions(self.directions, dimensions, "truncated", "directions")
        origin = np.zeros(dimensions)
        end = np.arange(dimensions) < self.directions
        axes = principal_axes(released.vectors, origin)[:, end if self.keep == "top" else ~end]
        self.map = affine(released.vectors, origin, axes @ axes.T)

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Project: ``(n, d) -> (n, d)``; ``rng`` is unused."""
        return self.map.of(released.vectors)
