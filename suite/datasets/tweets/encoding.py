"""Target encoding: how often events with a value of a field have a label, seen from outside.

Shape letters: N fitting events, E events, T tweets, V values of a field, L labels, K folds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from suite.datasets.holdout import held_out
from suite.datasets.tweets.content import Field
from suite.datasets.tweets.layout import LABELS
from suite.datasets.tweets.rows import Floats, Ints, declare

FOLDS = 5
WEIGHT = 20.0
"""Events of the base rate that every value is taken to have had as well."""

SINGLE = {
    "language": "language",
    "tweet_type": "tweet_type",
    "media_set": "present_media, as a set",
    "language_type": "language and tweet_type",
}
MULTIPLE = {
    "media": "present_media",
    "hashtags": "hashtags",
    "links": "present_links",
    "domains": "present_domains",
    "tokens": "text_tokens",
}
STATISTICS = ("top1", "top2", "top3", "sum", "mean")

FEATURES = declare(
    "content",
    [
        *(
            (f"te_{field}_{label}", "share", f"{source}; {label} in train, out of fold")
            for field, source in SINGLE.items()
            for label in LABELS
        ),
        *(
            (f"te_{field}_{label}_{statistic}", unit, f"{source}; {label} in train, out of fold")
            for field, source in MULTIPLE.items()
            for label in LABELS
            for statistic, unit in zip(STATISTICS, ("share",) * 3 + ("sum", "share"), strict=True)
        ),
    ],
)

_compiled: Callable[..., Any] = numba.njit(nogil=True)

_SALT = np.int64(0x5DEECE66D)


def folds(user_id: Ints) -> Ints:
    """Deal users to K folds by a hash that tells nothing about who is held out, (n,)."""
    return sum(
        (held_out(user_id ^ _SALT, k / FOLDS).astype(np.int64) for k in range(1, FOLDS)),
        start=np.zeros(len(user_id), dtype=np.int64),
    )


@dataclass(frozen=True)
class Encoding:
    """A field's values as shares of labels.

    The share of a value is that of the events with it, drawn to the base rate by ``WEIGHT`` events.
    Row k of the counts is about the fitting events of all folds but k, the last one about all.

    Attributes
    ----------
    field
        Whose values are encoded.
    seen : (K + 1, V, 1 + L)
        Events with each value, and those of them with each label.
    own : (K + 1, T, 1 + L)
        Events of each tweet, and those of them with each label.
    totals : (K + 1, 1 + L)
        All events, and those with each label.
    """

    field: Field
    seen: NDArray[np.int32]
    own: NDArray[np.int32]
    totals: NDArray[np.int64]

    def transform(self, tweet: Ints, fold: Ints, *, apart: bool) -> Floats:
        """Encode E events: their tweets (E,) and folds (E,), -1 for those that no fit has seen.

        Parameters
        ----------
        apart
            Leave out what others did with the event's own tweet. Within train it tells too much:
            of a tweet that comes later nothing is known, of one in train its whole life.

        Returns
        -------
        (L, 5, E)
            ``STATISTICS`` over the values of each event; NaN where it has fewer of them.
        """
        size = (self.seen.shape[2] - 1, len(STATISTICS), len(tweet))
        found = np.full(size, np.nan, dtype=np.float32)
        row = fold % (FOLDS + 1)
        values = (self.field.offsets, self.field.codes)
        _encode(values, tweet, row, self.seen, self.own, self.totals, apart, found)
        return found


def outside(
    field: Field, tweet: Ints, fold: Ints, labels: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Count a field's values over N events outside of each fold, (K + 1, V, 1 + L)."""
    counts = np.zeros((FOLDS + 1, field.num_values, 1 + labels.shape[1]), dtype=np.int32)
    _count(field.offsets, field.codes, tweet, fold, labels.astype(np.int32), counts)
    # The last fold is empty: what is left without it is everything.
    seen: NDArray[np.int32] = counts.sum(axis=0, dtype=np.int32) - counts
    return seen


@_compiled
def _count(
    offsets: Any, codes: Any, tweet: Any, fold: Any, labels: Any, counts: Any
) -> None:  # pragma: no cover - compiled
    for event in range(len(tweet)):
        row = tweet[event]
        for place in range(offsets[row], offsets[row + 1]):
            cell = counts[fold[event], codes[place]]
            cell[0] += 1
            for label in range(labels.shape[1]):
                cell[1 + label] += labels[event, label]


@_compiled
def _encode(
    values: Any, tweet: Any, row: Any, seen: Any, own: Any, totals: Any, apart: bool, found: Any
) -> None:  # pragma: no cover - compiled
    offsets, codes = values
    for event in range(len(tweet)):
        first, end = offsets[tweet[event]], offsets[tweet[event] + 1]
        if first == end:
            continue
        counted = seen[row[event]]
        # All values of a tweet are in each of its events: what is its own is as much in each.
        less = own[row[event], tweet[event]] * (1 if apart else 0)
        total = totals[row[event]] - less
        for label in range(found.shape[0]):
            base = total[1 + label] / max(total[0], 1)
            # A comparison with NaN is false: the first values come in by its negation.
            one, two, three = np.nan, np.nan, np.nan
            added = 0.0
            for place in range(first, end):
                cell = counted[codes[place]]
                positive = cell[1 + label] - less[1 + label] + WEIGHT * base
                value = positive / (cell[0] - less[0] + WEIGHT)
                added += value
                if not value <= one:
                    one, two, three = value, one, two
                elif not value <= two:
                    two, three = value, two
                elif not value <= three:
                    three = value
            result = found[label, :, event]
            result[0], result[1], result[2] = one, two, three
            result[3], result[4] = added, added / (end - first)


@dataclass(frozen=True)
class Encodings:
    """Encodings of all fields, as ``FEATURES`` has them."""

    by_field: dict[str, Encoding]

    @classmethod
    def fit(
        cls, fields: dict[str, Field], tweet: Ints, fold: Ints, labels: NDArray[np.float32]
    ) -> Encodings:
        """Count every field over N events: their tweets (N,), folds (N,) and labels (N, L)."""
        num_tweets = len(next(iter(fields.values())).lengths)
        itself = Field(np.arange(num_tweets + 1), np.arange(num_tweets, dtype=np.int32), num_tweets)
        own = outside(itself, tweet, fold, labels)
        totals = own.sum(axis=1, dtype=np.int64)
        return cls(
            {
                name: Encoding(field, outside(field, tweet, fold, labels), own, totals)
                for name, field in fields.items()
            }
        )

    def transform(self, tweet: Ints, fold: Ints, *, apart: bool) -> Floats:
        """Encode E events, (F, E); see ``Encoding.transform``."""
        found = np.empty((len(FEATURES), len(tweet)), dtype=np.float32)
        first = 0
        for name in (*SINGLE, *MULTIPLE):
            encoded = self.by_field[name].transform(tweet, fold, apart=apart)
            block = encoded[:, 4] if name in SINGLE else np.concatenate(encoded)
            found[first : first + len(block)] = block
            first += len(block)
        return found
