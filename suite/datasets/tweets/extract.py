"""Extraction: every event described by what its tweet holds and what was known before its slice.

Shape letters: T tweets, E events of a slice, F features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.datasets.holdout import held_out
from suite.datasets.tweets.content import PROFILE, counts_of, fields_of, flags_of
from suite.datasets.tweets.creator import creator_features
from suite.datasets.tweets.declared import FEATURES
from suite.datasets.tweets.encoding import Encodings, folds
from suite.datasets.tweets.partition import Slice, slice_of
from suite.datasets.tweets.read import Log
from suite.datasets.tweets.reader import reader_features
from suite.datasets.tweets.reader_creator import reader_creator_features
from suite.datasets.tweets.rows import Ints, Past, rows_of
from suite.datasets.tweets.text import text_features
from suite.datasets.tweets.vocabulary import marks


def extract(
    log: Log,
    cut: Sequence[Slice],
    event_id: pl.Series,
    *,
    history_s: int,
    vocabulary: tuple[str, ...],
    holdout_users: float,
) -> pl.DataFrame:
    """Compute the wide features of events.

    What is fitted, the frequent values and the target encodings, is fitted on the events of train
    whose reader is not held out. The rest comes from interactions before ``known_s`` of the
    event's slice.

    Parameters
    ----------
    log
        With the interactions of ``history_s`` before the first slice.
    cut
        Slices of the log.
    event_id
        Events to describe.
    history_s
        Seconds that a slice looks back.
    vocabulary
        Pieces of the text tokens.
    holdout_users
        Share of the readers that no fit may see.

    Returns
    -------
    DataFrame
        ``event_id`` and ``FEATURES`` as Float32, null where unknown, slice by slice.
    """
    rows, user_id = rows_of(log)
    piece = slice_of(rows.time, cut)
    piece[~np.isin(rows.event_id, event_id.to_numpy())] = -1
    in_train = np.array([part.window == "train" for part in cut] + [False])
    trained = ~held_out(user_id, holdout_users)
    fitting = in_train[piece] & trained[rows.reader]
    fold = np.where(fitting, folds(user_id)[rows.reader], -1)

    fields = fields_of(log.tweets, marks(vocabulary))
    flags = flags_of(log.tweets, fields, rows.tweet[fitting])
    described = np.concatenate(
        [counts_of(log.tweets, fields), text_features(log.tweets["tokens"], vocabulary)]
    )
    # An engagement with a train tweet that comes after train is not known when train ends.
    end_s = max(part.end_s for part in cut if part.window == "train")
    labels = (rows.at[fitting, 1:] < end_s).astype(np.float32)
    encodings = Encodings.fit(fields, rows.tweet[fitting], fold[fitting], labels)

    frames = []
    for number, part in enumerate(cut):
        chosen = piece == number
        now = rows.where(chosen)
        past = Past.of(rows, part.known_s, history_s, len(user_id))
        profiled = flags[:, : len(PROFILE)]
        # A block lives only until its columns are made.
        blocks = (
            block()
            for block in (
                partial(np.take, flags.T, now.tweet, axis=1),
                partial(np.take, described, now.tweet, axis=1),
                partial(encodings.transform, now.tweet, fold[chosen], apart=part.window == "train"),
                partial(reader_features, now, past, profiled),
                partial(creator_features, now, past, profiled),
                partial(reader_creator_features, now, past),
            )
        )
        frames.append(_frame(now.event_id, blocks))
    return pl.concat(frames, rechunk=False)


def _frame(event_id: Ints, blocks: Iterable[NDArray[Any]]) -> pl.DataFrame:
    """Put blocks (F, E) side by side as columns, NaN as null."""
    names = iter(feature.name for feature in FEATURES)
    parts = [pl.DataFrame({"event_id": event_id})]
    for block in blocks:
        columns = [
            pl.Series(name, row)
            for name, row in zip(islice(names, len(block)), block.astype(np.float32), strict=True)
        ]
        parts.append(pl.DataFrame(columns).select(pl.all().fill_nan(None)))
    return pl.concat(parts, how="horizontal")
