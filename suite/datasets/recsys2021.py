"""RecSys Challenge 2021, engagements with tweets, in its official files."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from suite.datasets.base import (
    DATA_HOME,
    EVENTS,
    HISTORIES,
    ITEMS,
    UTC,
    WINDOWS,
    Dataset,
    Tables,
    WideFeature,
)
from suite.datasets.tweets.declared import FEATURES
from suite.datasets.tweets.extract import extract
from suite.datasets.tweets.layout import DAY_S, HOUR_S, LABELS, MARKER, VOCABULARY
from suite.datasets.tweets.partition import Cut, Slice, slice_of, slices, starts
from suite.datasets.tweets.read import Log, last_time, parts, read
from suite.datasets.tweets.vocabulary import pieces


@dataclass(frozen=True, kw_only=True)
class RecSys2021(Dataset):
    """RecSys Challenge 2021: which tweet a reader liked, replied to, retweeted or commented on.

    An event is a tweet shown to a reader, at the time of the tweet; ``engaged`` is any of the
    labels like, reply, retweet and comment. A history contains the reader's engagements before the
    start of the window, by the time of the engagement; it has no channels. The category of an item
    is its language, its type the kind of tweet. Ids are the first 64 bits of the official ones. A
    row is dropped and counted if a text token is not in the vocabulary, an engagement precedes its
    tweet or follows the end of the log, or reader and tweet have occurred before.

    The wide features of a window's events use data before its start, those of train before the
    event's own slice; target encodings are fitted within train, out of fold.

    License: the challenge's own; rows may not be redistributed. About one billion rows of 28 days
    in February and March 2021.

    Attributes
    ----------
    path
        Folder of the part files (plain, .gz, .zst or .bz2), or one such file.
    cut
        ``ladder``: the last 4 hours are validation (first 70 %) and test, train the 24-hour
        windows before. ``days``, for re-identification: test is the last whole day, validation
        the last 4 hours of the day before, train the rest of that day and the days before it.
    train_days
        Number of 24-hour windows in train; with ``days`` the last one has 20 hours.
    history_days
        Number of days that histories and features cover before the start of a window.
    label_hours
        Number of hours after the last tweet up to which engagements are valid.
    vocabulary
        Vocabulary of the text tokens: a package, path or Hugging Face id; if empty, that of the
        simulator for simulated files, otherwise multilingual BERT as in the official ones.

    References
    ----------
    Belli et al., "The 2021 RecSys Challenge Dataset: Fairness is not optional", RecSys Challenge
    2021.
    """

    wide_features: ClassVar[tuple[WideFeature, ...]] = FEATURES

    path: str = str(DATA_HOME / "recsys2021")
    cut: Cut = "ladder"
    train_days: int = 1
    history_days: int = 7
    label_hours: int = 24
    vocabulary: str = ""

    def __post_init__(self) -> None:
        for name in ("train_days", "history_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: found {getattr(self, name)}, must be at least 1")
        if self.label_hours < 0:
            raise ValueError(f"label_hours: found {self.label_hours}, must be at least 0")

    @property
    def synthetic(self) -> bool:
        """Whether the files were written by the simulator."""
        parts(Path(self.path))
        return self._marker().exists()

    @property
    def tokenizer(self) -> str:
        """Vocabulary of the text tokens."""
        if self.vocabulary:
            return self.vocabulary
        marker = self._marker()
        if marker.exists():
            return str(json.loads(marker.read_text(encoding="utf-8"))["vocabulary"])
        return VOCABULARY

    def files(self) -> list[Path]:
        """List the parts, and the marker of a simulated log."""
        marker = self._marker()
        return [*parts(Path(self.path)), *([marker] if marker.exists() else [])]

    def tables(self) -> Tables:
        """Read the log and split it into windows; see ``Dataset.tables``."""
        cut, log = self._log()
        return Tables(
            events=_events(log, cut),
            histories=_histories(log, cut, self.history_days),
            items=_items(log),
            starts=starts(cut),
            dropped=log.dropped,
        )

    def widened(self, tables: Tables, *, holdout_users: float) -> Tables:
        """Add the wide features; see ``Dataset.widened``."""
        cut, log = self._log()
        wide = extract(
            log,
            cut,
            tables.events.select("event_id").collect()["event_id"],
            history_s=self.history_days * DAY_S,
            vocabulary=pieces(self.tokenizer),
            holdout_users=holdout_users,
        )
        return replace(tables, wide=wide.lazy(), wide_features=FEATURES)

    def _marker(self) -> Path:
        path = Path(self.path)
        return (path.parent if path.is_file() else path) / MARKER

    def _log(self) -> tuple[tuple[Slice, ...], Log]:
        files = parts(Path(self.path))
        last_s = last_time(files)
        cut = slices(self.cut, last_s, self.train_days)
        log = read(
            files,
            begin_s=cut[0].start_s - self.history_days * DAY_S,
            end_s=cut[-1].end_s,
            label_end_s=last_s + self.label_hours * HOUR_S,
            vocabulary_size=len(pieces(self.tokenizer)),
        )
        self._refuse_empty(cut, log, last_s)
        return cut, log

    def _refuse_empty(self, cut: Sequence[Slice], log: Log, last_s: int) -> None:
        """Report an empty span of the log: one tweet with a wrong time shifts all windows."""
        begin_s = cut[0].start_s
        spans = [("history", begin_s - self.history_days * DAY_S, begin_s)]
        for window in WINDOWS:
            pieces_of = [piece for piece in cut if piece.window == window]
            spans.append((window, pieces_of[0].start_s, pieces_of[-1].end_s))
        for name, start_s, end_s in spans:
            if log.rows.filter(pl.col("time").is_between(start_s, end_s, closed="left")).is_empty():
                span = f"from {_day(start_s)} to {_day(end_s)}"
                dropped = ", ".join(f"{n} {reason}" for reason, n in log.dropped.items() if n)
                raise ValueError(
                    f"{self.path}: no row is in the {name}, {span}: windows end with the last "
                    f"tweet, of {_day(last_s)}; rows left out: {dropped or 'none'}"
                )


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _time(seconds: pl.Expr) -> pl.Expr:
    return pl.from_epoch(seconds, "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def _events(log: Log, cut: Sequence[Slice]) -> pl.LazyFrame:
    row = slice_of(log.rows["time"].to_numpy(), cut)
    windows = np.array([*(piece.window for piece in cut), ""])
    return (
        log.rows.lazy()
        .with_columns(window=pl.Series(windows[row].tolist(), dtype=pl.String))
        .filter(pl.col("window").is_in(WINDOWS))
        .select(
            "event_id",
            user_id="reader_id",
            item_id="tweet_id",
            time=_time(pl.col("time")),
            window="window",
            session_id=pl.lit(None, pl.Int64),
            device=pl.lit(None, pl.Int8),
            engaged=pl.col("engaged_at").is_not_null(),
            **{label: pl.col(f"{label}_at").is_not_null() for label in LABELS},
        )
        .select(*EVENTS, *LABELS)
    )


def _histories(log: Log, cut: Sequence[Slice], history_days: int) -> pl.LazyFrame:
    """Earlier engagements of each reader with tweets in the look-back of the window."""
    ordered = log.rows.lazy().sort("reader_id", "engaged_at", "event_id")
    found = []
    for window, start in starts(cut).items():
        start_s = int(start.timestamp())
        seen = pl.col("time") >= start_s - history_days * DAY_S
        found.append(
            ordered.filter(seen & (pl.col("engaged_at") < start_s))
            .select("reader_id", "tweet_id", time=_time(pl.col("engaged_at")).cast(UTC))
            .group_by("reader_id", maintain_order=True)
            .agg("time", "tweet_id")
            .select(
                user_id="reader_id",
                window=pl.lit(window),
                time="time",
                item_id="tweet_id",
                channel_1=pl.lit(None, pl.Float32).repeat_by(pl.col("time").list.len()),
                channel_2=pl.lit(None, pl.Float32).repeat_by(pl.col("time").list.len()),
            )
            .select(*HISTORIES)
        )
    return pl.concat(found)


def _items(log: Log) -> pl.LazyFrame:
    nothing = pl.lit(None)
    return (
        log.tweets.lazy()
        .select(
            item_id="tweet_id",
            category=pl.col("language").replace("", None),
            item_type="tweet_type",
            published=_time(pl.col("time")),
            premium=nothing.cast(pl.Boolean),
            body_length=nothing.cast(pl.Int64),
            title_length=nothing.cast(pl.Int64),
            subtitle_length=nothing.cast(pl.Int64),
            tokens="tokens",
        )
        .select(*ITEMS, "tokens")
    )
