"""Batches of whole users, determined by (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.base import Batch
from suite.artifacts.features import Features
from suite.training import seeds

Rows = NDArray[np.int64]

EVENTS_AT_ONCE = 4_096
"""Number of events whose scores or vectors are computed at once."""


def rows(features: Features, window: str, *, trained: bool | None = None) -> Rows:
    """List the events of a window, or only those of its trained (True) or held-out (False) users.

    Returns
    -------
    (n,)
        Ascending positions in ``features.events``.
    """
    chosen = features.events["window"] == window
    if trained is not None:
        chosen &= features.events["trained"] == trained
    return np.flatnonzero(chosen.to_numpy())


def users(features: Features) -> Rows:
    """List the users of the fit: trained users with an event in train.

    Returns
    -------
    (N,)
        Row of each user's train history, ascending; its position here is the user's number.
    """
    return np.unique(_history(features)[rows(features, "train", trained=True)])


def positions(features: Features, event_id: NDArray[np.int64]) -> Rows:
    """Return the positions of events in the arrays by their ids, ``(n,)``, which must exist."""
    all_ids = features.events["event_id"].to_numpy()
    order = np.argsort(all_ids, kind="stable")
    matching: Rows = order[np.searchsorted(all_ids, event_id, sorter=order)]
    return matching


def gather(features: Features, event_rows: Rows, fitted: Rows | None = None) -> Batch:
    """Copy B events into a batch with each of their U histories and V texts once.

    Parameters
    ----------
    features
        Arrays of all events.
    event_rows : (B,)
        Positions in ``features.events``, in any order, which the batch keeps.
    fitted : (N,)
        As ``users`` lists them; None leaves the batch without the numbers of its users.
    """
    histories, user_row = np.unique(_history(features)[event_rows], return_inverse=True)
    texts, text_row = np.unique(features.text_row[event_rows], return_inverse=True)
    return Batch(
        aggregates=features.aggregates[histories],
        sequence=features.sequence[histories],
        mask=features.mask[histories],
        user_row=user_row.astype(np.int64, copy=False),
        categorical=features.categorical[event_rows],
        continuous=features.continuous[event_rows],
        labels=features.labels[event_rows],
        wide=features.wide[event_rows],
        tokens=features.tokens[texts],
        text_row=text_row.astype(np.int64, copy=False),
        user=np.empty(0, np.int64) if fitted is None else _number(histories, fitted),
    )


def _number(histories: Rows, fitted: Rows) -> Rows:
    """Place of each history in the list, -1 for one that is not in it."""
    place = np.minimum(np.searchsorted(fitted, histories), len(fitted) - 1)
    return np.where(fitted[place] == histories, place, -1)


def training_batches(
    features: Features,
    *,
    seed: int,
    epoch: int,
    size: int = 512,
    cap: int = 64,
    window: str = "train",
) -> list[Rows]:
    """Split an epoch into batches of about ``size`` events of whole users.

    Every event of a trained user in the window is in exactly one batch. A user with more than
    ``cap`` events is split evenly over as few batches as the cap allows; no batch has more than
    ``cap`` events of one user. The number of batches is the same in every epoch, as a learning
    rate schedule requires: events / size, rounded up, or what the most active user needs if more.

    Parameters
    ----------
    features
        Arrays of all events.
    seed, epoch
        Determine the batches.
    size
        Maximum mean number of events in a batch.
    cap
        Maximum number of a user's events in a batch, in [1, size / 2].
    window
        Window of the events.

    Returns
    -------
    list of (b,)
        Ascending positions in ``features.events``.

    Raises
    ------
    ValueError
        ``cap`` is out of range.
    """
    if not 1 <= cap <= size // 2:
        raise ValueError(f"cap: {cap} is not in [1, {size // 2}], half of the batch of {size}")
    rng = np.random.default_rng(seeds.sequence(seed, epoch))
    train = rows(features, window, trained=True)
    _, user, count = np.unique(_history(features)[train], return_inverse=True, return_counts=True)

    place = rng.permutation(len(count))
    shuffled = train[np.lexsort((rng.random(len(train)), place[user]))]
    count = count[np.argsort(place)]
    user = np.repeat(np.arange(len(count)), count)

    num_pieces = -(-count // cap)
    num_batches = max(-(-len(train) // size), int(num_pieces.max()))
    nth = np.arange(len(train)) - _starts(count)[user]
    piece = _starts(num_pieces)[user] + nth * num_pieces[user] // count[user]
    batch = _batch_of_pieces(
        np.bincount(piece), np.repeat(num_pieces > 1, num_pieces), num_batches, rng
    )[piece]

    sizes = np.bincount(batch, minlength=num_batches)
    return np.split(shuffled[np.lexsort((shuffled, batch))], np.cumsum(sizes)[:-1])


def _batch_of_pieces(
    size: Rows, split: NDArray[np.bool_], num_batches: int, rng: np.random.Generator
) -> Rows:
    """Assign the pieces of split users round-robin, then fill the batches with whole users.

    Round-robin keeps the consecutive pieces of a user in different batches, since no user has more
    pieces than there are batches.
    """
    batch = np.empty(len(size), dtype=np.int64)
    batch[split] = np.resize(rng.permutation(num_batches), int(split.sum()))
    load = np.bincount(batch[split], weights=size[split], minlength=num_batches)
    free = np.maximum(size.sum() / num_batches - load, 0)
    whole = size[~split]
    if len(whole):
        edge = np.cumsum(free) * (whole.sum() / free.sum())
        batch[~split] = np.searchsorted(edge[:-1], _starts(whole), side="right")
    return batch


def deal(batch_rows: Rows, features: Features, num_workers: int) -> list[Rows]:
    """Distribute a global batch over workers by whole users.

    Users are assigned back and forth in descending order of their number of events, which
    balances both users (the cost of encoding) and events.

    Returns
    -------
    list of (b,)
        One per worker, ascending; some are empty if there are fewer users than workers.
    """
    _, user, count = np.unique(
        _history(features)[batch_rows], return_inverse=True, return_counts=True
    )
    turn = np.empty(len(count), dtype=np.int64)
    turn[np.argsort(-count, kind="stable")] = np.arange(len(count)) % (2 * num_workers)
    worker = np.minimum(turn, 2 * num_workers - 1 - turn)[user]
    return [np.sort(batch_rows[worker == w]) for w in range(num_workers)]


def chunks(features: Features, event_rows: Rows, *, size: int) -> Iterator[Rows]:
    """Split events into chunks that share no history, so that each history is encoded once.

    Yields
    ------
    (b,)
        Positions in ``features.events``, grouped by history; at least one history, of which the
        last may exceed ``size``.
    """
    if len(event_rows) == 0:
        return
    history = _history(features)[event_rows]
    order = np.argsort(history, kind="stable")
    _, start, count = np.unique(history[order], return_index=True, return_counts=True)
    chunk = np.repeat(start // size, count)
    yield from np.split(event_rows[order], np.flatnonzero(np.diff(chunk)) + 1)


def _history(features: Features) -> Rows:
    return features.events["row"].to_numpy()


def _starts(count: Rows) -> Rows:
    return np.cumsum(count) - count
