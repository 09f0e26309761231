"""The first step: a log in its native files becomes features."""

from __future__ import annotations

import polars as pl

from suite import registry
from suite.artifacts.features import Features
from suite.datasets.base import Dataset, Tables
from suite.datasets.check import check, check_wide
from suite.features.encode import features as fit_features
from suite.parts import Part


def prepare(*, dataset: Part, holdout_users: float) -> Features:
    """Read, check and transform a dataset.

    Raises
    ------
    ValueError
        One line: the file or table and column, what was found, what is allowed.
    """
    source: Dataset = registry.create("datasets", dataset.name, dataset.parameters)
    tables = check_wide(source.widened(read(source), holdout_users=holdout_users))
    return fit_features(tables, time_zone=source.time_zone, holdout_users=holdout_users)


def read(source: Dataset) -> Tables:
    """Read and check the tables of a dataset.

    Raises
    ------
    ValueError
        One line, also where Polars cannot make sense of a file.
    """
    try:
        return check(source.tables())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        files = ", ".join(map(str, source.files()))
        said = str(error).partition("\n")[0]
        raise ValueError(f"{files}: {type(error).__name__}: {said}") from None
