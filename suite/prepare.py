"""The first step: a log in its native files becomes features."""

from __future__ import annotations

from suite import registry
from suite.datasets.base import Dataset
from suite.datasets.check import check
from suite.features import Features, features
from suite.spec import Part


def prepare(*, dataset: Part, holdout_users: float) -> Features:
    """Read, check and transform a dataset.

    Raises
    ------
    ValueError
        One line: the file or table and column, what was found, what is allowed.
    """
    source: Dataset = registry.create("datasets", dataset.name, dataset.parameters)
    tables = check(source.tables())
    return features(tables, time_zone=source.time_zone, holdout_users=holdout_users)
