"""Reader and creator together: what passed between them, and how alike their networks are."""

from __future__ import annotations

import numpy as np

from suite.datasets.tweets.layout import LABELS
from suite.datasets.tweets.rows import (
    OUTCOMES,
    Floats,
    Ints,
    Past,
    Rows,
    declare,
    hours_since,
    ratio,
)
from suite.datasets.tweets.similarity import interactions, pairs, row_similarity

FEATURES = declare(
    "reader_creator",
    [
        ("pair_shown", "count", "past tweets of the creator shown to the reader"),
        *((f"pair_{name}", "count", f"{name} of the reader with the creator") for name in OUTCOMES),
        ("reverse_shown", "count", "past tweets of the reader shown to the creator"),
        *(
            (f"reverse_{name}", "count", f"{name} of the creator with the reader")
            for name in OUTCOMES
        ),
        ("pair_hours_since_first_shown", "h", "first past tweet shown to tweet_timestamp"),
        ("pair_hours_since_shown", "h", "last past tweet shown to tweet_timestamp"),
        ("pair_hours_since_engaged", "h", "last past engagement to tweet_timestamp"),
        *(
            (f"pair_hours_since_{name}", "h", f"last past {name} to tweet_timestamp")
            for name in LABELS
        ),
        ("pair_share_of_reader", "share", "of the reader's past engagements"),
        ("pair_share_of_creator", "share", "of the past engagements with the creator"),
        *(
            (f"{side}_{what}", unit, f"{side} of R: {meaning}")
            for side, meaning in (
                ("rows", "whom both engaged with"),
                ("columns", "who engaged with both"),
            )
            for what, unit in (("common", "count"), ("cosine", "cosine"), ("jaccard", "share"))
        ),
    ],
)


_NOBODY = np.iinfo(np.int64).max


class _Joint:
    """Past interactions of ordered pairs of users, looked up by pair.

    The last column stands for pairs that never met: no counts, and the time -1.
    """

    def __init__(self, past: Past) -> None:
        rows = past.rows
        self.num_users = past.num_users
        keys, which = np.unique(rows.reader * past.num_users + rows.creator, return_inverse=True)
        self.keys = np.append(keys, _NOBODY)
        size = len(self.keys)
        shown = np.bincount(which, minlength=size)
        outcomes = [np.bincount(which[known], minlength=size) for known in past.known.T]
        self.counts = np.stack([shown, *outcomes])
        first = np.full(size, _NOBODY)
        np.minimum.at(first, which, rows.time)
        first[-1] = -1
        last = np.full((1 + len(OUTCOMES), size), -1, dtype=np.int64)
        np.maximum.at(last[0], which, rows.time)
        for number, known in enumerate(past.known.T):
            np.maximum.at(last[1 + number], which[known], rows.at[known, number])
        self.times = np.vstack([first, last])

    def find(self, reader: Ints, creator: Ints) -> Ints:
        """Return the column of each pair."""
        key = reader * self.num_users + creator
        place = np.searchsorted(self.keys, key)
        return np.where(self.keys[place] == key, place, len(self.keys) - 1)


def reader_creator_features(now: Rows, past: Past) -> Floats:
    """Describe the reader and the creator of each event together, (F, E)."""
    reader, creator, which = pairs(now.reader, now.creator, past.num_users)
    joint = _Joint(past)
    there, back = joint.find(reader, creator), joint.find(creator, reader)
    counts, reverse = joint.counts[:, there], joint.counts[:, back]
    before, engaged = past.rows, past.known[:, 0]
    by_reader = np.bincount(before.reader[engaged], minlength=past.num_users)
    by_creator = np.bincount(before.creator[engaged], minlength=past.num_users)
    matrix = interactions(before.reader[engaged], before.creator[engaged], past.num_users)
    shares = np.stack([ratio(counts[1], by_reader[reader]), ratio(counts[1], by_creator[creator])])
    alike = np.concatenate(
        [
            row_similarity(matrix, reader, creator),
            row_similarity(matrix.T.tocsr(), reader, creator),
        ]
    )
    since = np.stack([hours_since(now.time, times[there[which]]) for times in joint.times])
    return np.concatenate(
        [counts[:, which], reverse[:, which], since, shares[:, which], alike[:, which]],
        dtype=np.float32,
    )
