"""KuaiRand, short videos of the Kuaishou app, in its official files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType

import polars as pl
from polars.datatypes import DataTypeClass

from suite.datasets.base import DATA_HOME, ITEMS, UNKNOWN_ITEM, Dataset, Tables
from suite.datasets.log import cut, window_starts
from suite.datasets.reading.files import collect, place, require, scan
from suite.datasets.reading.refusals import refusing
from suite.datasets.reading.values import refuse_where

LOG = ("user_id", "video_id", "time_ms", "long_view", "play_time_ms", "duration_ms")
LABELS = {
    "like": "is_like",
    "follow": "is_follow",
    "comment": "is_comment",
    "forward": "is_forward",
}
FEATURES = {
    "video_id": pl.Int64,
    "video_type": pl.String,
    "upload_dt": pl.String,
    "tag": pl.String,
}


@dataclass(frozen=True, kw_only=True)
class KuaiRand(Dataset):
    """KuaiRand: who watched which short video for how long, ``engaged`` = long view.

    Reads every ``log_*.csv`` and, where it exists, ``video_features_basic_*.csv`` (category =
    first tag, type = video_type, published = upload_dt) in the folder or its ``data`` folder.
    Channels: watched seconds, and the percentage of the video's length, at most 100, null if the
    length is unknown (0). Labels like, follow, comment and forward if the log has them.
    Days are local. License: CC BY-SA 4.0. The Pure version has 27,285 users and 2.6 M events.

    Attributes
    ----------
    path
        Folder of the files.
    time_zone
        Time zone of the users' days and hours, and of the four dates.
    train, validation, test
        First day of each window.
    end
        Day after the last one of test.
    history_days
        Number of days that the history of a window covers.

    References
    ----------
    Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed
    Videos", CIKM 2022.
    """

    path: str = str(DATA_HOME / "kuairand")
    time_zone: str = "Asia/Shanghai"
    train: date = date(2022, 4, 12)
    validation: date = date(2022, 4, 16)
    test: date = date(2022, 4, 18)
    end: date = date(2022, 4, 22)
    history_days: int = 4

    def files(self) -> list[Path]:
        """List the logs and video features, in order of their names."""
        return self._logs() + self._features()

    def tables(self) -> Tables:
        """Read the logs and split them into windows; see ``Dataset.tables``."""
        days = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "end": self.end,
        }
        bounds = window_starts(days, self.time_zone)
        native = pl.concat([_read_log(path) for path in self._logs()], how="diagonal")
        labels = {label: column for label, column in LABELS.items() if column in native.columns}
        played_ms, length_ms = pl.col("play_time_ms"), pl.col("duration_ms")
        log = native.select(
            "user_id",
            item_id="video_id",
            time=pl.from_epoch("time_ms", "ms").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            session_id=pl.lit(None, pl.Int64),
            device=pl.lit(None, pl.Int8),
            channel_1=(played_ms / 1000).cast(pl.Float32),
            channel_2=pl.when(length_ms > 0)
            .then((100 * played_ms / length_ms).clip(0, 100))
            .cast(pl.Float32),
            engaged=pl.col("long_view") == 1,
            **{label: pl.col(column) == 1 for label, column in labels.items()},
        )
        features = self._video_features()
        tables = cut(log, self._items(native, features), bounds, self.history_days)
        described = features.select(item_id="video_id").lazy()
        unknown = tables.events.join(described, on="item_id", how="anti").select(pl.len()).collect()
        if features.is_empty() or not unknown.item():
            return tables
        return replace(tables, filled={UNKNOWN_ITEM: unknown.item()})

    def _video_features(self) -> pl.DataFrame:
        return pl.concat(
            [pl.DataFrame(schema=FEATURES), *(_read(path, FEATURES) for path in self._features())]
        ).unique("video_id", keep="first", maintain_order=True)

    def _items(self, log: pl.DataFrame, features: pl.DataFrame) -> pl.LazyFrame:
        items = log.select(pl.col("video_id").unique().sort())
        nothing = pl.lit(None)
        return (
            items.join(features, on="video_id", how="left", maintain_order="left")
            .select(
                item_id="video_id",
                category=pl.col("tag").str.split(",").list.first().replace("", None),
                item_type="video_type",
                published=pl.col("upload_dt")
                .str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
                .dt.replace_time_zone(self.time_zone, ambiguous="earliest", non_existent="null")
                .dt.convert_time_zone("UTC"),
                premium=nothing,
                body_length=nothing,
                title_length=nothing,
                subtitle_length=nothing,
            )
            .cast(ITEMS)
            .lazy()
        )

    def _logs(self) -> list[Path]:
        logs = self._matching("log_*.csv")
        if not logs:
            raise ValueError(f"{self.path}: no log_*.csv in it or in data/, at least one is needed")
        return logs

    def _features(self) -> list[Path]:
        return self._matching("video_features_basic*.csv")

    def _matching(self, pattern: str) -> list[Path]:
        folder = Path(self.path)
        return sorted(folder.glob(pattern)) or sorted((folder / "data").glob(pattern))


def _read_log(path: Path) -> pl.DataFrame:
    log = _read(path, dict.fromkeys(LOG, pl.Int64), dict.fromkeys(LABELS.values(), pl.Int64))
    for column in ("long_view", *LABELS.values()):
        if (
            column in log.columns
            and not (values := log[column].unique().sort()).is_in([0, 1]).all()
        ):
            raise ValueError(f"{path}: {column}: found {values.to_list()[:5]}, allowed: 0 and 1")
    return log


def _read(
    path: Path,
    required: Mapping[str, DataTypeClass],
    optional: Mapping[str, DataTypeClass] = MappingProxyType({}),
) -> pl.DataFrame:
    """Read the required columns of a CSV file, and the optional ones that it has."""
    as_text = scan(path)
    header = as_text.collect_schema().names()
    require(path, list(required), header)
    dtypes = {
        column: dtype for column, dtype in {**required, **optional}.items() if column in header
    }
    with refusing(path):
        try:
            rows = pl.scan_csv(path, schema_overrides=dtypes, glob=False)
            return rows.select(*dtypes).collect()
        except pl.exceptions.PolarsError:
            # Polars reports neither the row nor, in all cases, the value.
            text = collect(as_text.select(*dtypes), path)
            for column, dtype in dtypes.items():
                if dtype == pl.Int64:
                    _refuse_other_than_whole(path, text[column])
            raise


def _refuse_other_than_whole(path: Path, text: pl.Series) -> None:
    whole = text.str.contains(r"^-?[0-9]+$") & text.cast(pl.Int64, strict=False).is_not_null()
    refuse_where(~whole, text, partial(place, path), "an integer")
