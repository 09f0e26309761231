"""Nearest neighbor by angle."""

from __future__ import annotations

from typing import ClassVar

from attacks.base import Attack, Metric


class Cosine(Attack):
    """Names the gallery user whose vector points most nearly in the probe's direction.

    The adversary holds one released vector per known user and wants the user behind each
    anonymous vector of the same release. It learns nothing and knows nothing about the model;
    lengths of vectors are ignored.

    References
    ----------
    Arvind Narayanan, Vitaly Shmatikov, Robust De-anonymization of Large Sparse Datasets, IEEE
    Symposium on Security and Privacy, 2008 (linking records by a similarity score over all
    candidates, there on sparse ratings).
    """

    metric: ClassVar[Metric] = "cosine"
    plain: ClassVar[bool] = True
