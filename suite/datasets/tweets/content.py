"""What a tweet holds: one-hot flags of frequent values, and counts.

Shape letters: T tweets, V different values of a field, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.datasets.tweets.layout import DAY_S, MEDIA, TYPES
from suite.datasets.tweets.rows import Floats, Ints, declare

FREQUENT = {"language": 15, "hashtags": 20, "domains": 20, "links": 8, "tokens": 20}
"""Flags for the most frequent values in train: field -> how many."""

_NAMES = {
    "language": "language",
    "hashtags": "hashtag",
    "domains": "domain",
    "links": "link",
    "tokens": "token",
}
_SOURCES = {
    "language": "language",
    "hashtags": "hashtags",
    "domains": "present_domains",
    "links": "present_links",
    "tokens": "text_tokens",
}

PROFILE = (
    *(f"media_{name.lower()}" for name in MEDIA),
    *(f"type_{name.lower()}" for name in TYPES),
    *(
        f"{_NAMES[field]}_{rank}"
        for field in ("language", "hashtags", "domains")
        for rank in range(1, FREQUENT[field] + 1)
    ),
)
"""Flags that are also averaged over what users engaged with and created; the first flags."""

_FLAGS = (
    *PROFILE,
    *(
        f"{_NAMES[field]}_{rank}"
        for field in ("links", "tokens")
        for rank in range(1, FREQUENT[field] + 1)
    ),
)


def _source(flag: str) -> str:
    stem = flag.rpartition("_")[0]
    if stem in ("media", "type"):
        return {"media": "present_media", "type": "tweet_type"}[stem]
    field = next(field for field, name in _NAMES.items() if name == stem)
    return f"{_SOURCES[field]}, by frequency in train"


FEATURES = declare(
    "content",
    [
        *((flag, "flag", _source(flag)) for flag in _FLAGS),
        *((f"num_{name.lower()}s", "count", "present_media") for name in MEDIA),
        ("num_media", "count", "present_media"),
        ("num_hashtags", "count", "hashtags"),
        ("num_links", "count", "present_links"),
        ("num_domains", "count", "present_domains"),
        ("num_tokens", "count", "text_tokens"),
        ("num_distinct_tokens", "count", "text_tokens, without marks of start and end"),
        ("hour_sin", "sine", "tweet_timestamp, UTC"),
        ("hour_cos", "cosine", "tweet_timestamp, UTC"),
        ("weekday", "days since Monday", "tweet_timestamp, UTC"),
    ],
)


@dataclass(frozen=True)
class Field:
    """A field of the tweets: which of its V values each tweet has, without repetition.

    Attributes
    ----------
    offsets : (T + 1,)
        A tweet's values are ``codes[offsets[t] : offsets[t + 1]]``.
    codes : (n,)
        In [0, V), in the order of the values.
    num_values
        V.
    """

    offsets: Ints
    codes: NDArray[np.int32]
    num_values: int

    @classmethod
    def of(cls, values: pl.Series) -> Field:
        """Give the values of a column, of lists or single ones, their codes."""
        if not isinstance(values.dtype, pl.List):
            values = values.reshape((-1, 1)).arr.to_list()
        lists = values.list.unique().list.sort()
        flat = lists.explode(empty_as_null=False)
        names = flat.unique().sort()
        codes = flat.rank("dense").cast(pl.Int32).to_numpy() - 1
        offsets = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy(), dtype=np.int64)])
        return cls(offsets, codes.astype(np.int32), len(names))

    @property
    def lengths(self) -> Ints:
        """Number of different values of each tweet, (T,)."""
        return np.diff(self.offsets)

    def flags(self, chosen: NDArray[np.int32], size: int) -> NDArray[np.uint8]:
        """Mark which of the chosen values each tweet has, (T, size)."""
        column = np.full(self.num_values + 1, -1)
        column[chosen] = np.arange(len(chosen))
        row = np.repeat(np.arange(len(self.lengths)), self.lengths)
        place = column[self.codes]
        marked = np.zeros((len(self.lengths), size), dtype=np.uint8)
        marked[row[place >= 0], place[place >= 0]] = 1
        return marked

    def most_frequent(self, tweets: Ints, count: int) -> NDArray[np.int32]:
        """Find the values most frequent over the tweets, which may repeat; ties by their order."""
        times = np.bincount(tweets, minlength=len(self.lengths))
        weight = np.repeat(times, self.lengths)
        frequency = np.bincount(self.codes, weights=weight, minlength=self.num_values)
        order = np.lexsort((np.arange(self.num_values), -frequency))[:count]
        return order[frequency[order] > 0].astype(np.int32)


def fields_of(tweets: pl.DataFrame, marks: list[int]) -> dict[str, Field]:
    """Give codes to all fields of the tweets, and to combinations of them.

    ``marks`` are tokens that are no part of a text: each text would have the same ones.
    """
    columns = {
        "media_set": tweets["media"].list.sort().list.join(" "),
        "language_type": tweets.select(
            pl.concat_str("language", "tweet_type", separator=" ")
        ).to_series(),
        **{
            name: tweets[name]
            for name in ("tweet_type", "language", "media", "hashtags", "links", "domains")
        },
        "tokens": tweets["tokens"].list.set_difference(pl.Series([marks], dtype=pl.List(pl.Int32))),
    }
    return {name: Field.of(values) for name, values in columns.items()}


def flags_of(tweets: pl.DataFrame, fields: dict[str, Field], fitting: Ints) -> NDArray[np.uint8]:
    """Mark the flags of every tweet.

    Parameters
    ----------
    fitting
        Tweets of the events that choose the frequent values, one entry per event.

    Returns
    -------
    (T, F)
        The first features of ``FEATURES``.
    """
    named = [
        *(tweets["media"].list.contains(name) for name in MEDIA),
        *(tweets["tweet_type"] == name for name in TYPES),
    ]
    return np.hstack(
        [
            np.stack([flag.to_numpy() for flag in named], axis=1).astype(np.uint8),
            *(
                fields[name].flags(fields[name].most_frequent(fitting, size), size)
                for name, size in FREQUENT.items()
            ),
        ]
    )


def counts_of(tweets: pl.DataFrame, fields: dict[str, Field]) -> Floats:
    """Count what the tweets hold and tell their hour and day, (F, T): the last of ``FEATURES``."""
    time = tweets["time"].to_numpy()
    angle = 2 * np.pi * (time % DAY_S) / DAY_S
    media = tweets["media"]
    counts = [
        *(media.list.count_matches(name).to_numpy() for name in MEDIA),
        media.list.len().to_numpy(),
        *(fields[name].lengths for name in ("hashtags", "links", "domains")),
        tweets["tokens"].list.len().to_numpy(),
        fields["tokens"].lengths,
        np.sin(angle),
        np.cos(angle),
        # The epoch was a Thursday.
        (time // DAY_S + 3) % 7,
    ]
    return np.stack(counts).astype(np.float32)
