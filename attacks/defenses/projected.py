"""Projection to few directions: those of the task, of the largest variance, or random ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.fixed import Fixed
from attacks.defenses.heads import task_axes
from attacks.defenses.linear import affine, check_directions, principal_axes
from attacks.gallery import Released


class Projected(Fixed):
    """Keeps a few directions of the vectors about their train mean and drops all others.

    `tasks` keeps those that logistic regressions of the labels use, label 0 first, then of what
    these leave over: one dimension is a score released instead of a vector. `pca` keeps those in
    which train vectors vary most, `random` some that nobody chose. Vectors stay in the space of
    the model, whose head still reads them; what is in them is as many numbers as dimensions.

    It costs `tasks` hardly any AUC on the labels that it was fitted to, and whatever else the
    vectors were good for; `pca` and `random` cost AUC as the dimensions grow fewer. It protects by
    what is dropped: one number of 24 bits tells few users apart once it varies from event to
    event.

    It does not protect what is kept: a score that hardly changes between two events of a user
    names the user to the last bit of a float32. There is no noise and no certificate, and the
    number of labels served is a number of dimensions given back.

    Parameters
    ----------
    onto
        Directions that are kept: ``tasks``, ``pca`` or ``random``.
    dimensions
        How many, from 1 to the dimensions of the vectors.

    References
    ----------
    Karl Pearson, On Lines and Planes of Closest Fit to Systems of Points in Space, Philosophical
    Magazine, 1901 (principal axes).

    William B. Johnson, Joram Lindenstrauss, Extensions of Lipschitz Mappings into a Hilbert Space,
    Contemporary Mathematics, 1984 (random ones keep distances, and with them neighbors).
    """

    def __init__(
        self, *, onto: Literal["tasks", "pca", "random"] = "tasks", dimensions: int = 1
    ) -> None:
        if onto not in ("tasks", "pca", "random"):
            raise ValueError(f"projected: onto: found {onto!r}, allowed: tasks, pca or random")
        if dimensions < 1:
            raise ValueError(f"projected: dimensions: found {dimensions}, allowed: at least 1")
        self.onto = onto
        self.dimensions = dimensions

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        """Fit the mean and the directions.

        Parameters
        ----------
        released
            Vectors of the train window's trained users; for ``tasks`` with labels.
        rng
            Draws the directions of ``random``.

        Raises
        ------
        ValueError
            If there are fewer dimensions than are to be kept; for ``tasks`` if labels are not known
            or one has a single class.
        """
        vectors = released.vectors
        check_directions(self.dimensions, vectors.shape[1], "projected", "dimensions")
        center = vectors.mean(axis=0, dtype=np.float64)
        if self.onto == "tasks":
            axes = task_axes(released, "projected", rng, self.dimensions)
        elif self.onto == "pca":
            axes = principal_axes(vectors, center)[:, : self.dimensions]
        else:
            drawn = rng.standard_normal((vectors.shape[1], self.dimensions))
            axes = np.linalg.qr(drawn)[0]
        self.map = affine(vectors, center, axes @ axes.T)

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Project: ``(n, d) -> (n, d)``; ``rng`` is unused."""
        return self.map.of(released.vectors)
