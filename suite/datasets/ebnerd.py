"""EB-NeRD, news articles of Ekstra Bladet, in its official files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from suite.datasets.base import DATA_HOME, HISTORIES, Dataset, Tables
from suite.datasets.log import zone
from suite.datasets.reading.files import scan
from suite.datasets.reading.parquet import scan_parquet
from suite.datasets.reading.refusals import refusing

_NAIVE = pl.Datetime("us")

BEHAVIORS = pl.Schema(
    {
        "impression_id": pl.UInt32(),
        "article_id": pl.Int32(),
        "impression_time": _NAIVE,
        "read_time": pl.Float32(),
        "scroll_percentage": pl.Float32(),
        "device_type": pl.Int8(),
        "article_ids_inview": pl.List(pl.Int32()),
        "article_ids_clicked": pl.List(pl.Int32()),
        "user_id": pl.UInt32(),
        "is_sso_user": pl.Boolean(),
        "gender": pl.Int8(),
        "postcode": pl.Int8(),
        "age": pl.Int8(),
        "is_subscriber": pl.Boolean(),
        "session_id": pl.UInt32(),
        "next_read_time": pl.Float32(),
        "next_scroll_percentage": pl.Float32(),
    }
)
"""Columns of ``behaviors.parquet``; times in s, scroll in %, of the page and of the next one."""

HISTORY = pl.Schema(
    {
        "user_id": pl.UInt32(),
        "impression_time_fixed": pl.List(_NAIVE),
        "scroll_percentage_fixed": pl.List(pl.Float32()),
        "article_id_fixed": pl.List(pl.Int32()),
        "read_time_fixed": pl.List(pl.Float32()),
    }
)
"""Columns of ``history.parquet``: one row per user, the clicks of the 21 days before the split."""

ARTICLES = pl.Schema(
    {
        "article_id": pl.Int32(),
        "title": pl.String(),
        "subtitle": pl.String(),
        "last_modified_time": _NAIVE,
        "premium": pl.Boolean(),
        "body": pl.String(),
        "published_time": _NAIVE,
        "image_ids": pl.List(pl.Int64()),
        "article_type": pl.String(),
        "url": pl.String(),
        "ner_clusters": pl.List(pl.String()),
        "entity_groups": pl.List(pl.String()),
        "topics": pl.List(pl.String()),
        "category": pl.Int16(),
        "subcategory": pl.List(pl.Int16()),
        "category_str": pl.String(),
        "total_inviews": pl.Int32(),
        "total_pageviews": pl.Int32(),
        "total_read_time": pl.Float32(),
        "sentiment_score": pl.Float32(),
        "sentiment_label": pl.String(),
    }
)
"""Columns of ``articles.parquet``."""

LAYOUT = {
    "train/behaviors.parquet": BEHAVIORS,
    "train/history.parquet": HISTORY,
    "validation/behaviors.parquet": BEHAVIORS,
    "validation/history.parquet": HISTORY,
    "articles.parquet": ARTICLES,
}

MARKER = "SYNTHETIC.json"
"""File beside the tables of a simulated world: it says how the world was made."""

READ_S, SCROLL_PERCENT = 30, 50
"""Engaged is more than both."""


@dataclass(frozen=True, kw_only=True)
class EBNeRD(Dataset):
    """EB-NeRD: which news article was clicked, ``engaged`` = read > 30 s and scrolled > 50 %.

    The item of an event is the clicked article, the first one where several were clicked; a row
    without a click, or with a null next_read_time, is dropped; a null next_scroll_percentage
    counts as 0. Train is the train split. The validation split is cut at the midpoint of its time
    span into validation and test: both share one history file, which ends before the split.
    Channels: read seconds and scroll percentage.

    Times in the files have no zone and are read as local times in ``time_zone``.

    License: the publisher's own; rows may not be redistributed. Small has 18,827 users and 477,534
    impressions, large about 1 M users.

    Attributes
    ----------
    path
        Folder with ``articles.parquet``, ``train`` and ``validation``, or one with exactly one
        such subfolder (``ebnerd_demo``, ``ebnerd_small``, ``ebnerd_large``).
    time_zone
        Time zone of the files, and of the users' days and hours.

    References
    ----------
    Kruse et al., "EB-NeRD: A Large-Scale Dataset for News Recommendation", RecSys Challenge 2024.
    """

    path: str = str(DATA_HOME / "ebnerd")
    time_zone: str = "Europe/Copenhagen"

    @property
    def synthetic(self) -> bool:
        """Whether the files were written by the simulator."""
        return (self._folder() / MARKER).exists()

    def files(self) -> list[Path]:
        """List the five tables, and the marker of a simulation."""
        folder = self._folder()
        paths = [folder / name for name in LAYOUT]
        if missing := [str(path) for path in paths if not path.is_file()]:
            raise ValueError(f"{folder}: missing {', '.join(missing)}")
        return [*paths, *folder.glob(MARKER)]

    def tables(self) -> Tables:
        """Check the schema of all files, then read them; see ``Dataset.tables``."""
        self.files()
        zone(self.time_zone)
        folder = self._folder()
        for name, schema in LAYOUT.items():
            check_schema(folder / name, schema)
        train = self._impressions(folder / "train/behaviors.parquet")
        later = self._impressions(folder / "validation/behaviors.parquet")
        start, _ = _span(folder / "train/behaviors.parquet", train)
        begin, last = _span(folder / "validation/behaviors.parquet", later)
        first_half = pl.col("time") < begin + (last - begin) / 2
        later_window = pl.when(first_half).then(pl.lit("validation")).otherwise(pl.lit("test"))
        impressions = pl.concat(
            [train.with_columns(window=pl.lit("train")), later.with_columns(window=later_window)]
        )
        unclicked = impressions["item_id"].is_null()
        unread = ~unclicked & impressions["unread"]
        events = impressions.filter(~unclicked & ~unread)
        return Tables(
            events=events.lazy().drop("unread", "unscrolled", "several"),
            histories=pl.concat(
                [
                    self._histories(folder / "train/history.parquet", ["train"]),
                    self._histories(folder / "validation/history.parquet", ["validation", "test"]),
                ]
            ),
            items=self._items(folder / "articles.parquet"),
            starts={"train": start, "validation": begin, "test": begin},
            dropped={
                "no clicked article": int(unclicked.sum()),
                "null next_read_time": int(unread.sum()),
            },
            filled={
                "null next_scroll_percentage read as 0": int(events["unscrolled"].sum()),
                "first of several clicked articles": int(events["several"].sum()),
            },
        )

    def _folder(self) -> Path:
        folder = Path(self.path)
        if (folder / "train").is_dir():
            return folder
        inner = sorted(path.parent for path in folder.glob("*/train") if path.is_dir())
        if len(inner) == 1:
            return inner[0]
        listed = ", ".join(path.name for path in inner) or "none"
        raise ValueError(
            f"{folder}: no train folder; subfolders with one: {listed}, exactly one is needed"
        )

    def _utc(self, column: pl.Expr) -> pl.Expr:
        return column.dt.replace_time_zone(
            self.time_zone, ambiguous="earliest", non_existent="null"
        ).dt.convert_time_zone("UTC")

    def _impressions(self, path: Path) -> pl.DataFrame:
        """Read a split as events without a window, with flags for missing values."""
        read_s = pl.col("next_read_time").fill_nan(None)
        scroll = pl.col("next_scroll_percentage").fill_nan(None)
        clicked = pl.col("article_ids_clicked")
        rows = scan_parquet(path).select(
            event_id=pl.col("impression_id").cast(pl.Int64),
            user_id=pl.col("user_id").cast(pl.Int64),
            item_id=clicked.list.first().cast(pl.Int64),
            time=self._utc(pl.col("impression_time")),
            session_id=pl.col("session_id").cast(pl.Int64),
            device="device_type",
            engaged=(read_s > READ_S) & (scroll.fill_null(0) > SCROLL_PERCENT),
            unread=read_s.is_null(),
            unscrolled=scroll.is_null(),
            several=clicked.list.len() > 1,
        )
        with refusing(path):
            return rows.collect(engine="streaming")

    def _histories(self, path: Path, windows: Sequence[str]) -> pl.LazyFrame:
        times = pl.col("impression_time_fixed")
        order = times.list.eval(pl.element().arg_sort())
        lists = {
            "item_id": pl.col("article_id_fixed").cast(pl.List(pl.Int64)),
            "channel_1": pl.col("read_time_fixed").list.eval(pl.element().fill_nan(None)),
            "channel_2": pl.col("scroll_percentage_fixed").list.eval(pl.element().fill_nan(None)),
        }
        history = scan_parquet(path).select(
            user_id=pl.col("user_id").cast(pl.Int64),
            time=times.list.gather(order).list.eval(self._utc(pl.element())),
            # Lists of unequal length are kept: the check reports their user.
            **{
                name: pl.when(values.list.len() == times.list.len())
                .then(values.list.gather(order, null_on_oob=True))
                .otherwise(values)
                for name, values in lists.items()
            },
        )
        return pl.concat(
            history.with_columns(window=pl.lit(window)).select(*HISTORIES) for window in windows
        )

    def _items(self, path: Path) -> pl.LazyFrame:
        lengths = {
            f"{name}_length": pl.col(name).str.len_chars().cast(pl.Int64)
            for name in ("body", "title", "subtitle")
        }
        return scan_parquet(path).select(
            item_id=pl.col("article_id").cast(pl.Int64),
            category="category_str",
            item_type="article_type",
            published=self._utc(pl.col("published_time")),
            premium="premium",
            **lengths,
            title="title",
            body="body",
        )


def check_schema(path: Path, schema: pl.Schema) -> None:
    """Compare a file's columns with the official ones, using its metadata only.

    Raises
    ------
    ValueError
        One line with every missing column and every wrong dtype.
    """
    given = scan(path).collect_schema()
    wrong = [
        f"{column} is {given.get(column, 'missing')}, must be {dtype}"
        for column, dtype in schema.items()
        if given.get(column) != dtype
    ]
    if wrong:
        raise ValueError(f"{path}: {'; '.join(wrong)}")


def _span(path: Path, events: pl.DataFrame) -> tuple[datetime, datetime]:
    first, last = events["time"].min(), events["time"].max()
    if not (isinstance(first, datetime) and isinstance(last, datetime)):
        raise ValueError(f"{path}: no usable rows, at least one is needed")
    return first, last
