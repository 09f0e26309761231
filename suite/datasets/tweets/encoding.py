"""Target encoding: how often events with a value of a field have a label, seen from outside.

Shape letters: N fitting events, E events, V values of a field, L labels, K folds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from suite.datasets.tweets.content import Field
from suite.datasets.tweets.layout import LABELS
from suite.datasets.tweets.rows import Floats, Ints, declare
from suite.features import held_out

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

    Attributes
    ----------
    field
        Whose values are encoded.
    shares : (K + 1, V, L)
        Share of the events with a value that have a label, drawn to the base rate by ``WEIGHT``
        events: in row k over all folds but k, in the last one over all.
    """

    field: Field
    shares: NDArray[np.float32]

    @classmethod
    def fit(cls, field: Field, tweet: Ints, fold: Ints, labels: NDArray[np.float32]) -> Encoding:
        """Count over N events: their tweets (N,), folds (N,) and labels (N, L)."""
        num_labels = labels.shape[1]
        counts = np.zeros((FOLDS + 1, field.num_values, 1 + num_labels), dtype=np.float32)
        _count(field.offsets, field.codes, tweet, fold, labels, counts)
        ones = np.column_stack([np.ones(len(tweet)), labels])
        totals = np.stack([ones[fold == k].sum(axis=0) for k in range(FOLDS + 1)])
        # The last fold is empty: what is left without it is everything.
        seen = counts.sum(axis=0) - counts
        rest = totals.sum(axis=0) - totals
        base = (rest[:, 1:] / np.maximum(rest[:, :1], 1)).astype(np.float32)[:, None]
        return cls(field, (seen[..., 1:] + WEIGHT * base) / (seen[..., :1] + np.float32(WEIGHT)))

    def transform(self, tweet: Ints, fold: Ints) -> Floats:
        """Encode E events: their tweets (E,) and folds (E,), -1 for those that no fit has seen.

        Returns
        -------
        (L, 5, E)
            ``STATISTICS`` over the values of each event; NaN where it has fewer of them.
        """
        size = (self.shares.shape[2], len(STATISTICS), len(tweet))
        found = np.full(size, np.nan, dtype=np.float32)
        _encode(self.field.offsets, self.field.codes, tweet, fold % (FOLDS + 1), self.shares, found)
        return found


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
    offsets: Any, codes: Any, tweet: Any, fold: Any, shares: Any, found: Any
) -> None:  # pragma: no cover - compiled
    for event in range(len(tweet)):
        first, end = offsets[tweet[event]], offsets[tweet[event] + 1]
        if first == end:
            continue
        for label in range(found.shape[0]):
            # A comparison with NaN is false: the first values come in by its negation.
            one, two, three = np.nan, np.nan, np.nan
            total = 0.0
            for place in range(first, end):
                value = shares[fold[event], codes[place], label]
                total += value
                if not value <= one:
                    one, two, three = value, one, two
                elif not value <= two:
                    two, three = value, two
                elif not value <= three:
                    three = value
            cell = found[label, :, event]
            cell[0], cell[1], cell[2] = one, two, three
            cell[3], cell[4] = total, total / (end - first)


@dataclass(frozen=True)
class Encodings:
    """Encodings of all fields, as ``FEATURES`` has them."""

    by_field: dict[str, Encoding]

    @classmethod
    def fit(
        cls, fields: dict[str, Field], tweet: Ints, fold: Ints, labels: NDArray[np.float32]
    ) -> Encodings:
        """Fit every field; see ``Encoding.fit``."""
        return cls(
            {name: Encoding.fit(fields[name], tweet, fold, labels) for name in (*SINGLE, *MULTIPLE)}
        )

    def transform(self, tweet: Ints, fold: Ints) -> Floats:
        """Encode E events, (F, E); see ``Encoding.transform``."""
        found = np.empty((len(FEATURES), len(tweet)), dtype=np.float32)
        first = 0
        for name, encoding in self.by_field.items():
            encoded = encoding.transform(tweet, fold)
            block = encoded[:, 4] if name in SINGLE else np.concatenate(encoded)
            found[first : first + len(block)] = block
            first += len(block)
        return found
