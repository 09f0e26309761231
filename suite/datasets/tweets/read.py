"""From the official part files to one log in memory: interactions, and the tweets in them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec
import polars as pl

from suite.datasets.tweets.layout import (
    COLUMNS,
    HEADS,
    LABELS,
    MARKER,
    SEPARATOR,
    TYPES,
)

COMPRESSIONS = (".gz", ".zst", ".bz2")
LATEST_S = 4_102_444_800
"""2100-01-01: a later time is one in milliseconds."""

_UNREAD = (".lzo", ".xz", ".zip", ".lz4", ".index")

_NUMBERS = {
    "time": "tweet_timestamp",
    **{name: HEADS[name] for name in HEADS if name.endswith(("followers", "following", "created"))},
}
_IDS = {"tweet_id": "tweet_id", "creator_id": HEADS["creator_id"], "reader_id": HEADS["reader_id"]}
_TRUTHS = {
    "creator_verified": HEADS["creator_verified"],
    "reader_verified": HEADS["reader_verified"],
    "follows": "engagee_follows_engager",
}
_TIMES = {
    f"{label}_at": f"{'retweet_with_comment' if label == 'comment' else label}_timestamp"
    for label in LABELS
}
_OF_TWEETS = (
    *("text_tokens", "hashtags", "present_media", "present_links", "present_domains"),
    *("tweet_type", "language"),
)


@dataclass(frozen=True)
class Log:
    """Interactions and their tweets.

    Attributes
    ----------
    rows
        One row per reader and tweet: ``event_id`` (number of its line over all parts, in order
        of their names), ``tweet_id, creator_id, reader_id``, ``time`` of the tweet, ``follows``
        (the creator the reader), of both users ``followers, following, verified, created``,
        ``like_at, reply_at, retweet_at, comment_at`` (null: did not) and ``engaged_at``, the first
        of them. All times in seconds since the epoch.
    tweets
        One row per tweet: ``tweet_id, creator_id, time, tweet_type, language, tokens``
        (List(Int32)) and ``media, hashtags, links, domains`` (List(String), never null).
    dropped
        Rows left out, by reason.
    """

    rows: pl.DataFrame
    tweets: pl.DataFrame
    dropped: dict[str, int]


def parts(path: Path) -> list[Path]:
    """List the part files of a folder in order of their names, or the file itself.

    Raises
    ------
    ValueError
        If there is none, or one is packed in a way that cannot be read.
    """
    found = [path] if path.is_file() else sorted(path.glob("*")) if path.is_dir() else []
    files = [
        file
        for file in found
        if file.is_file() and file.name != MARKER and not file.name.startswith((".", "_"))
    ]
    if not files:
        raise ValueError(f"{path}: no part files here, at least one is needed")
    for file in files:
        if file.suffix in _UNREAD:
            raise ValueError(
                f"{file}: {file.suffix} cannot be read; unpack it, or use plain text or "
                f"{', '.join(COMPRESSIONS)}"
            )
    return files


def num_lines(part: Path) -> int:
    """Count the lines of a part.

    Raises
    ------
    ValueError
        If a line does not have 24 columns; the first such line is named.
    """
    columns = pl.col("line").str.count_matches(SEPARATOR, literal=True) + 1
    lines = pl.scan_lines(_source(part), name="line", row_index_name="number", glob=False)
    total, number, found = (
        lines.select("number", columns=columns)
        .select(
            pl.len(),
            pl.col("number").filter(pl.col("columns") != len(COLUMNS)).first().alias("number"),
            pl.col("columns").filter(pl.col("columns") != len(COLUMNS)).first().alias("columns"),
        )
        .collect(engine="streaming")
        .row(0)
    )
    if number is not None:
        raise ValueError(
            f"{part}, line {number + 1}: {found} columns, must be {len(COLUMNS)} separated by \\x01"
        )
    return int(total)


def last_time(files: Sequence[Path]) -> int:
    """Time of the last tweet of the log, in seconds since the epoch.

    Raises
    ------
    ValueError
        If there are no rows, or a time is no number of seconds.
    """
    time = pl.col("tweet_timestamp").cast(pl.Int64, strict=False)
    times = []
    for part in files:
        with _reading(part):
            found = _scan(part).select(time.max()).collect(engine="streaming").item()
            if found is not None and found >= LATEST_S:
                late = _scan(part).select("line", "tweet_timestamp").filter(time >= LATEST_S)
                line, value = late.first().collect().row(0)
                raise ValueError(
                    f"{part}, line {line + 1}: tweet_timestamp is {value!r}, must be in seconds "
                    "since 1970, and before 2100"
                )
        times += [] if found is None else [int(found)]
    if not times:
        raise ValueError(f"{', '.join(map(str, files))}: no rows, at least one is needed")
    return max(times)


def read(
    files: Sequence[Path],
    *,
    begin_s: int,
    end_s: int,
    label_end_s: int,
    vocabulary_size: int,
) -> Log:
    """Read the rows whose tweet is in a time span; what lies outside is never held in memory.

    Parameters
    ----------
    begin_s, end_s
        Of the span, in seconds since the epoch; the end is excluded.
    label_end_s
        A row with an engagement later than this, or before its tweet, is dropped.
    vocabulary_size
        A row with a token that is no number, or not below this, is dropped.

    Raises
    ------
    ValueError
        One line: the file and line, the column, what was found, what is allowed.
    """
    first_id = 0
    frames = []
    num_rows = 0
    for part in files:
        with _reading(part):
            lines = num_lines(part)
            frame = _parsed(part, first_id, begin_s, end_s)
        frames.append(frame)
        first_id += lines
        num_rows += lines
    found = pl.concat(frames, rechunk=False)
    kept = found.unique(["reader_id", "tweet_id"], keep="first", maintain_order=True)
    timely = kept.filter(_timely(label_end_s))
    tweets = _tweets(timely)
    decodable = pl.col("tokens").list.eval(
        pl.element().is_not_null() & pl.element().is_between(0, vocabulary_size - 1)
    )
    tweets = tweets.filter(decodable.list.all())
    rows = timely.drop(_OF_TWEETS).join(
        tweets.select("tweet_id"), on="tweet_id", how="semi", maintain_order="left"
    )
    return Log(
        rows,
        tweets,
        {
            "duplicate row": found.height - kept.height,
            "engagement before its tweet or after the end of the log": kept.height - timely.height,
            "undecodable text tokens": timely.height - rows.height,
            "outside windows and histories": num_rows - found.height,
        },
    )


@contextmanager
def _reading(part: Path) -> Iterator[None]:
    """Name the part that cannot be unpacked or read, in one line."""
    try:
        yield
    except (OSError, EOFError, zlib.error, pl.exceptions.PolarsError) as error:
        said = str(error).partition("\n")[0]
        raise ValueError(f"{part}: cannot be read, maybe cut short: {said}") from None


def _source(part: Path) -> Path | io.BytesIO:
    """Return what Polars can scan: it unpacks gzip and zstd itself."""
    if part.suffix != ".bz2":
        return part
    with fsspec.open(part, compression="bz2") as file:
        return io.BytesIO(file.read())


def _scan(part: Path) -> pl.LazyFrame:
    return pl.scan_csv(
        _source(part),
        separator=SEPARATOR,
        has_header=False,
        schema=dict.fromkeys(COLUMNS, pl.String),
        quote_char=None,
        truncate_ragged_lines=True,  # num_lines refuses them and says where
        row_index_name="line",
        glob=False,
    )


def _parsed(part: Path, first_id: int, begin_s: int, end_s: int) -> pl.DataFrame:
    """Read a part's rows of a time span, their texts still as in the file."""
    values = {
        **{name: _id(column) for name, column in _IDS.items()},
        **{name: pl.col(column).cast(pl.Int64, strict=False) for name, column in _NUMBERS.items()},
        **{
            name: pl.col(column)
            .str.to_lowercase()
            .replace_strict(["true", "false"], [True, False], default=None)
            for name, column in _TRUTHS.items()
        },
        **{name: pl.col(column).cast(pl.Int64, strict=False) for name, column in _TIMES.items()},
    }
    wrong = [
        *(
            _where(values[name].is_null(), column)
            for name, column in {**_IDS, **_NUMBERS, **_TRUTHS}.items()
        ),
        *(_where(values[name] < 0, column) for name, column in _NUMBERS.items()),
        *(
            _where(values[name].is_null() & pl.col(column).is_not_null(), column)
            for name, column in _TIMES.items()
        ),
        _where(~pl.col("tweet_type").is_in(TYPES).fill_null(value=False), "tweet_type"),
    ]
    frame = (
        _scan(part)
        .select("line", *_OF_TWEETS, **values, fault=pl.coalesce(wrong))
        .filter(
            pl.col("time").is_between(begin_s, end_s, closed="left") | pl.col("fault").is_not_null()
        )
        .collect(engine="streaming")
    )
    _refuse_faults(part, frame)
    return frame.drop("line", "fault").with_columns(
        frame["line"].cast(pl.Int64).alias("event_id") + first_id,
        pl.min_horizontal(*_TIMES).alias("engaged_at"),
    )


def _where(fault: pl.Expr, column: str) -> pl.Expr:
    return pl.when(fault).then(pl.lit(column))


def _id(column: str) -> pl.Expr:
    """First 64 bits of a hexadecimal identifier, as a signed number."""
    digits = pl.col(column)
    return (
        pl.when(digits.str.len_bytes() >= 16)
        .then(digits.str.head(16))
        .str.to_integer(base=16, dtype=pl.UInt64, strict=False)
        .reinterpret(signed=True)
    )


def _refuse_faults(part: Path, frame: pl.DataFrame) -> None:
    faults = frame.filter(pl.col("fault").is_not_null())
    if faults.is_empty():
        return
    line, column = faults.sort("line").select("line", "fault").row(0)
    value = _scan(part).select(column).slice(line, 1).collect().item()
    allowed = "at least 16 hexadecimal digits"
    if column in _TRUTHS.values():
        allowed = "true or false"
    elif column == "tweet_type":
        allowed = ", ".join(TYPES)
    elif column not in _IDS.values():
        allowed = "a whole number, at least 0"
    raise ValueError(f"{part}, line {line + 1}: {column} is {value!r}, must be {allowed}")


def _timely(label_end_s: int) -> pl.Expr:
    return pl.all_horizontal(
        pl.col(name).is_null() | pl.col(name).is_between(pl.col("time"), label_end_s)
        for name in _TIMES
    )


def _tweets(rows: pl.DataFrame) -> pl.DataFrame:
    def split(column: str) -> pl.Expr:
        parted = pl.col(column).str.split("\t")
        return (
            pl.when(pl.col(column).is_null()).then(pl.lit([], pl.List(pl.String))).otherwise(parted)
        )

    return rows.unique("tweet_id", keep="first", maintain_order=True).select(
        "tweet_id",
        "creator_id",
        "time",
        "tweet_type",
        pl.col("language").fill_null(""),
        tokens=split("text_tokens").list.eval(pl.element().cast(pl.Int32, strict=False)),
        media=split("present_media"),
        hashtags=split("hashtags"),
        links=split("present_links"),
        domains=split("present_domains"),
    )
