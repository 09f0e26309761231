"""Encode canonical tables as the feature arrays of models.

Means, standard deviations and vocabularies are fitted on the train window's trained users. A
missing value is replaced by the train mean, which is 0 once standardized.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.base import NUM_CATEGORIES, NUM_TYPES
from suite.artifacts.features import Features, Statistics
from suite.datasets.base import WINDOWS, Tables
from suite.datasets.holdout import held_out
from suite.datasets.negatives import SAMPLED
from suite.features.context import CONTINUOUS, in_context
from suite.features.histories import PIECE, Summaries, summarize, summarize_all
from suite.features.texts import texts


class Encoded(NamedTuple):
    """Features of R histories; attributes as in ``Features``."""

    aggregates: NDArray[np.float32]
    sequence: NDArray[np.float32]
    mask: NDArray[np.bool_]
    favorite: NDArray[np.int64]


def features(tables: Tables, *, time_zone: str, holdout_users: float) -> Features:
    """Fit on the train window's trained users and transform every event.

    Parameters
    ----------
    tables
        Canonical tables.
    time_zone
        IANA name of the users' time zone, for days and hours.
    holdout_users
        Share of users in [0, 1) excluded from every fit.

    Raises
    ------
    ValueError
        There is no trained user in train, an event has no history, a label has one class among
        the trained users' events in train, or a feature is NaN or infinite.
    """
    events = _events(tables.events, holdout_users)
    label_names = _label_names(events)
    fitting = (pl.col("window") == "train") & pl.col("trained")
    _check_labels(events.filter(fitting), label_names)

    histories = summarize_all(
        events, tables.histories, items=tables.items, starts=tables.starts, time_zone=time_zone
    )
    context = in_context(events, tables.items, time_zone)
    fitted = events.unique("row", keep="first", maintain_order=True).select(fitting).to_series()
    wide = _wide(events, tables)
    statistics = _fit(
        histories.aggregates.filter(fitted),
        histories.steps(fitted.to_numpy()),
        context.filter(fitting),
        wide.filter(events.select(fitting).to_series()),
    )
    tokens, text_row = texts(events, tables.items)
    return Features(
        events.drop("device"),
        **_encoded(histories, statistics)._asdict(),
        categorical=_categorical(context, statistics),
        continuous=_standardized("continuous", context.select(CONTINUOUS), statistics),
        labels=events.select(pl.col(label_names).cast(pl.Float32)).to_numpy(order="c"),
        wide=wide.to_numpy(order="c").reshape(len(events), wide.width),
        tokens=tokens,
        text_row=text_row,
        label_names=label_names,
        wide_features=tables.wide_features,
        dropped=dict(tables.dropped),
        filled=dict(tables.filled),
        statistics=statistics,
    )


def encode_histories(
    histories: pl.DataFrame,
    items: pl.LazyFrame,
    *,
    starts: Mapping[str, datetime],
    time_zone: str,
    statistics: Statistics,
) -> Encoded:
    """Encode R other canonical histories with statistics fitted before.

    Returns
    -------
    Encoded
        As in ``Features``.

    Raises
    ------
    ValueError
        An aggregate or a step is NaN or infinite.
    """
    numbered = histories.with_columns(row=pl.int_range(pl.len()))
    summaries = summarize(
        numbered.iter_slices(PIECE),
        histories.height,
        items=items,
        starts=starts,
        time_zone=time_zone,
    )
    return _encoded(summaries, statistics)


def _events(events: pl.LazyFrame, holdout_users: float) -> pl.DataFrame:
    """Sort the events, mark those of trained users and number the histories."""
    ordered = events.sort(
        pl.col("window").cast(pl.Enum(WINDOWS)), "user_id", "time", "event_id"
    ).collect()
    chosen = held_out(ordered["user_id"].to_numpy(), holdout_users)
    kept = ["event_id", "user_id", "item_id", "window", "time", "session_id", "device"]
    kept += [name for name in ordered.columns if name == SAMPLED]
    return ordered.select(
        *kept,
        pl.Series("trained", ~chosen),
        pl.struct("window", "user_id").rle_id().cast(pl.Int64).alias("row"),
        pl.selectors.boolean(),
    )


def _label_names(events: pl.DataFrame) -> tuple[str, ...]:
    names = events.drop("trained").select(pl.selectors.boolean()).columns
    if "engaged" not in names:
        raise ValueError(f"events: column engaged is missing; the Boolean columns are {names}")
    return ("engaged", *(name for name in names if name != "engaged"))


def _check_labels(fitting: pl.DataFrame, label_names: tuple[str, ...]) -> None:
    if fitting.is_empty():
        raise ValueError("events: window train has no event of a trained user; lower holdout_users")
    for name in label_names:
        if fitting[name].n_unique() < 2:
            raise ValueError(
                f"events: label {name} is always {fitting[name][0]} among the {fitting.height} "
                "train events of trained users; both classes are needed"
            )


def _wide(events: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Columns of the wide features, one row per event; no columns if there are none."""
    if tables.wide is None:
        return pl.DataFrame(height=events.height)
    return (
        events.lazy()
        .select("event_id")
        .join(tables.wide, on="event_id", how="left", maintain_order="left")
        .select(feature.name for feature in tables.wide_features)
        .collect(engine="streaming")
    )


def _encoded(histories: Summaries, statistics: Statistics) -> Encoded:
    """Standardize; the sequence in place, as a copy would be the largest array in memory."""
    sequence, mask = histories.sequence, histories.mask
    for first in range(0, len(mask), PIECE):
        rows = slice(first, first + PIECE)
        steps = histories.steps(rows)
        sequence[rows][mask[rows]] = _standardized("sequence", steps, statistics)
    return Encoded(
        aggregates=_standardized("aggregates", histories.aggregates, statistics),
        sequence=sequence,
        mask=mask,
        favorite=_numbered(histories.favorite, statistics["categories"]).to_numpy(),
    )


def _fit(
    aggregates: pl.DataFrame, steps: pl.DataFrame, context: pl.DataFrame, wide: pl.DataFrame
) -> Statistics:
    groups = {
        "aggregates": aggregates,
        "sequence": steps,
        "continuous": context.select(CONTINUOUS),
        "wide": wide,
    }
    statistics: Statistics = {
        "categories": _most_frequent(context["category"], NUM_CATEGORIES - 1),
        "item_types": _most_frequent(context["item_type"], NUM_TYPES - 1),
    }
    for name, group in groups.items():
        if not group.width:
            statistics |= {f"{name}_mean": [], f"{name}_std": []}
            continue
        # In one chunk: the number of chunks depends on the threads and would change the last bit.
        values = group.rechunk()
        # Otherwise a constant column would be divided by its rounding error.
        varies = pl.all().min() < pl.all().max()
        spread = values.select(pl.when(varies).then(pl.all().std(ddof=0)).otherwise(1.0))
        statistics[f"{name}_mean"] = list(values.mean().fill_null(0).row(0))
        statistics[f"{name}_std"] = list(spread.row(0))
    return statistics


def _most_frequent(names: pl.Series, n: int) -> list[str]:
    """Return at most n names in descending order of frequency, ties by name."""
    counts = names.drop_nulls().value_counts(name="count")
    by_count = counts.sort("count", names.name, descending=[True, False])
    return by_count[names.name].head(n).to_list()


def _categorical(context: pl.DataFrame, statistics: Statistics) -> NDArray[np.int64]:
    columns = {"category": statistics["categories"], "item_type": statistics["item_types"]}
    ids = context.select(_numbered(context[name], listed) for name, listed in columns.items())
    return ids.to_numpy(order="c")


def _numbered(names: pl.Series, vocabulary: list[str]) -> pl.Series:
    """Map each name to its position in the vocabulary, from 1; 0 for any other."""
    positions = pl.Series(range(1, len(vocabulary) + 1), dtype=pl.Int64)
    return names.replace_strict(pl.Series(vocabulary, dtype=pl.String), positions, default=0)


def _standardized(name: str, values: pl.DataFrame, statistics: Statistics) -> NDArray[np.float32]:
    moments = zip(
        values.columns, statistics[f"{name}_mean"], statistics[f"{name}_std"], strict=True
    )
    scaled = values.select(
        ((pl.col(column) - mean) / std).fill_null(0).cast(pl.Float32)
        for column, mean, std in moments
    )
    for column in scaled.iter_columns():
        if not column.is_finite().all():
            count = int((~column.is_finite()).sum())
            raise ValueError(
                f"features: {column.name} is NaN or infinite in {count} of {scaled.height} rows; "
                "all values must be finite"
            )
    return scaled.to_numpy(order="c")
