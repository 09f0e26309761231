"""What every defense must do.

Shape letters: n vectors, d dimensions as given, d' as released.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from attacks.gallery import Released


@dataclass(frozen=True)
class Certificate:
    """Gaussian noise that bounds every attacker, whatever it knows of the defense.

    Attributes
    ----------
    radius
        R: no vector lies farther from the common center before noise is added.
    sigma
        Standard deviation of the Gaussian noise along each axis, in the unit of the radius.
    assumes
        What must hold for the bound, in one sentence.
    """

    radius: float
    sigma: float
    assumes: str


@dataclass(frozen=True)
class MetricCertificate:
    """Noise whose log density falls by epsilon per unit of distance.

    Attributes
    ----------
    radius
        R: no vector lies farther from the common center before noise is added.
    epsilon
        Per unit of the radius; alone it says nothing, it counts times R.
    assumes
        What must hold for the bound, in one sentence.
    """

    radius: float
    epsilon: float
    assumes: str


@dataclass(frozen=True)
class GroupCertificate:
    """Groups of users whose releases do not differ.

    Attributes
    ----------
    size
        Least number of users in a group, at least 1.
    is_fixed
        Whether a user's group is the same in every release; else several releases together bound
        nothing.
    assumes
        What must hold for the bound, in one sentence.
    """

    size: int
    is_fixed: bool
    assumes: str


AnyCertificate = Certificate | MetricCertificate | GroupCertificate
"""What `attacks.certify.bound` turns into a rate that no attacker exceeds."""


class Defense(ABC):
    """Changes vectors before they are released, gallery and probe alike."""

    uncertified: ClassVar[str] = ""
    """Why `certificate` gives none, in a few words, where neither noise nor radius tells."""

    def fit(self, released: Released, rng: np.random.Generator) -> None:  # noqa: B027  # optional
        """Learn what the defense needs of undefended vectors; by default nothing.

        Parameters
        ----------
        released
            Vectors of the train window's trained users, and their labels where there are any.
        rng
            Source of all randomness of the fit.
        """

    @abstractmethod
    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return what is released in place of the vectors, ``(n, d')``.

        Parameters
        ----------
        released
            Vectors of any users, with the order of each user's; they stay as they are.
        rng
            Source of all randomness of the release.
        """

    def observed(
        self,
        released: Released,
        num_releases: int | NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return what an adversary makes of several releases of the same vectors, ``(n, d')``.

        By default their mean, in which independent noise shrinks by the root of their number.

        Parameters
        ----------
        released
            As in ``apply``.
        num_releases : () or (n,)
            How often each vector is released, at least 1.
        rng
            Source of all randomness of the releases.
        """
        count = np.broadcast_to(num_releases, len(released.vectors))[:, None]
        total = self.apply(released, rng).astype(np.float64)
        for number in range(1, int(count.max(initial=1))):
            total += np.where(count > number, self.apply(released, rng), 0)
        observed: NDArray[np.float64] = total / count
        return observed.astype(np.float32)

    def noise(self, num_releases: int = 1) -> NDArray[np.float64] | None:
        """Covariance of the noise in a vector ``(d', d')``, as an adversary may know it.

        It is known after ``fit``; None where the defense adds no noise, or none of that kind.

        Parameters
        ----------
        num_releases
            How many releases ``observed`` was made of: noise that is drawn anew for each has the
            covariance of one release divided by their number.
        """
        return None

    def certificate(self) -> AnyCertificate | None:
        """Return what bounds every attacker after ``fit``; None where nothing does."""
        return None
