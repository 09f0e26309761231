"""Nearest neighbor by distance."""

from __future__ import annotations

from typing import ClassVar

from attacks.base import Attack, Metric


class Euclidean(Attack):
    """Names the gallery user whose vector is nearest to the probe.

    The adversary holds one released vector per known user and wants the user behind each
    anonymous vector of the same release. It learns nothing and knows nothing about the model;
    unlike the angle, distance also sees the lengths of vectors.

    References
    ----------
    Thomas M. Cover, Peter E. Hart, Nearest Neighbor Pattern Classification, IEEE Transactions on
    Information Theory, 1967.
    """

    metric: ClassVar[Metric] = "euclidean"
    plain: ClassVar[bool] = True
