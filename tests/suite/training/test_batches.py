from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from suite.artifacts.features import Features
from suite.training.batches import chunks, deal, gather, rows, training_batches, users

WINDOWS = ("train", "validation", "test")


def world(counts: NDArray[np.int64], trained: NDArray[np.bool_] | None = None) -> Features:
    """Each user has so many train events and one in the other windows; values tell their row."""
    users = len(counts)
    trained = np.ones(users, dtype=bool) if trained is None else trained
    per_row = np.concatenate([counts, np.ones(2 * users, dtype=np.int64)])
    row = np.repeat(np.arange(3 * users), per_row)
    events = pl.DataFrame(
        {
            "user_id": row % users,
            "window": np.repeat(WINDOWS, users)[row],
            "trained": trained[row % users],
            "row": row,
        }
    )
    histories, num_events = 3 * users, len(row)

    def numbered(n: int, *shape: int) -> NDArray[np.float32]:
        column = np.arange(n, dtype=np.float32).reshape(n, *(1 for _ in shape))
        return np.broadcast_to(column, (n, *shape)).copy()

    return Features(
        events=events,
        aggregates=numbered(histories, 27),
        sequence=numbered(histories, 50, 2),
        mask=np.ones((histories, 50), dtype=np.bool_),
        favorite=np.zeros(histories, dtype=np.int64),
        categorical=numbered(num_events, 2).astype(np.int64),
        continuous=numbered(num_events, 8),
        labels=numbered(num_events, 1),
        wide=numbered(num_events, 3),
        tokens=numbered(num_events // 2 + 1, 4).astype(np.int32),
        text_row=np.arange(num_events) // 2,
        label_names=("engaged",),
        wide_features=(),
        dropped={},
        filled={},
        statistics={},
    )


def events_of_one_user(batch: NDArray[np.int64], features: Features) -> int:
    return int(np.unique(features.events["row"].to_numpy()[batch], return_counts=True)[1].max())


COUNTS = st.lists(st.integers(1, 90), min_size=1, max_size=60).map(np.array)


@settings(max_examples=100, deadline=None)
@given(
    counts=COUNTS,
    seed=st.integers(0, 9),
    epoch=st.integers(0, 9),
    size=st.integers(8, 64),
    data=st.data(),
)
def test_training_batches_hold_every_trained_event_once_and_no_user_above_the_cap(
    counts: NDArray[np.int64], seed: int, epoch: int, size: int, data: st.DataObject
) -> None:
    cap = data.draw(st.integers(1, size // 2))
    trained = np.array([*data.draw(st.lists(st.booleans(), min_size=59, max_size=59)), True])
    features = world(counts, trained[-len(counts) :])
    batches = training_batches(features, seed=seed, epoch=epoch, size=size, cap=cap)

    chosen = (features.events["window"] == "train") & features.events["trained"]
    assert sorted(np.concatenate(batches)) == np.flatnonzero(chosen.to_numpy()).tolist()
    assert all(len(batch) for batch in batches)
    assert all(events_of_one_user(batch, features) <= cap for batch in batches)
    most = counts[trained[-len(counts) :]].max()
    assert len(batches) == max(-(-int(chosen.sum()) // size), -(-most // cap))


def test_users_below_the_cap_are_whole_and_batches_near_the_size() -> None:
    counts = np.append(np.random.default_rng(0).integers(1, 30, 2000), [100] * 7)
    features = world(counts)
    batches = training_batches(features, seed=0, epoch=0, size=256, cap=64)
    users = [np.unique(features.events["row"].to_numpy()[batch]) for batch in batches]
    assert len(np.concatenate(users)) == 2000 + 2 * 7
    # A batch begins and ends within one user of its share of all events.
    share = counts.sum() / len(batches)
    assert all(abs(len(batch) - share) < 30 for batch in batches)


def test_a_user_above_the_cap_is_spread_evenly_over_as_few_batches_as_possible() -> None:
    features = world(np.array([130, *[10] * 200]))
    batches = training_batches(features, seed=3, epoch=1, size=128, cap=64)
    row = features.events["row"].to_numpy()
    parts = sorted(count for batch in batches if (count := int((row[batch] == 0).sum())))
    assert parts == [43, 43, 44]


def test_training_batches_follow_from_seed_and_epoch_alone() -> None:
    features = world(np.random.default_rng(1).integers(1, 100, 300))
    first, again, other_epoch, other_seed = (
        training_batches(features, seed=seed, epoch=epoch, size=128, cap=32)
        for seed, epoch in [(0, 0), (0, 0), (0, 1), (1, 0)]
    )
    for batch, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(batch, same)
    assert len(first) == len(other_epoch) == len(other_seed)
    assert not np.array_equal(first[0], other_epoch[0])
    assert not np.array_equal(first[0], other_seed[0])


@pytest.mark.parametrize("cap", [0, 65])
def test_a_cap_outside_half_the_batch_is_refused(cap: int) -> None:
    with pytest.raises(ValueError, match=rf"cap: {cap} is not in \[1, 64\]"):
        training_batches(world(np.array([3])), seed=0, epoch=0, size=128, cap=cap)


@settings(max_examples=50, deadline=None)
@given(counts=COUNTS, num_workers=st.integers(1, 9))
def test_workers_share_a_batch_by_whole_users(counts: NDArray[np.int64], num_workers: int) -> None:
    features = world(counts)
    row = features.events["row"].to_numpy()
    for batch in training_batches(features, seed=0, epoch=0, size=128, cap=64):
        parts = deal(batch, features, num_workers)
        assert len(parts) == num_workers
        assert sorted(np.concatenate(parts)) == batch.tolist()
        users = [np.unique(row[part]) for part in parts]
        together = np.concatenate(users)
        assert len(np.unique(together)) == len(together)
        assert max(map(len, users)) - min(map(len, users)) <= 1
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= events_of_one_user(batch, features)
        for part, again in zip(parts, deal(batch, features, num_workers), strict=True):
            np.testing.assert_array_equal(part, again)


def test_workers_get_users_back_and_forth_by_their_number_of_events() -> None:
    features = world(np.array([1, 2, 4, 3]))
    parts = deal(rows(features, "train"), features, 2)
    assert [part.tolist() for part in parts] == [[0, 3, 4, 5, 6], [1, 2, 7, 8, 9]]


def test_workers_beyond_the_number_of_users_get_nothing() -> None:
    features = world(np.array([5, 2]))
    parts = deal(rows(features, "train"), features, 3)
    assert [part.tolist() for part in parts] == [[0, 1, 2, 3, 4], [5, 6], []]


def test_gather_stores_a_history_once_and_keeps_the_order_of_the_events() -> None:
    features = world(np.array([2, 3, 1]))
    event_rows = np.array([5, 0, 4, 3, 1, 6])
    batch = gather(features, event_rows)
    expected = features.events["row"].to_numpy()[event_rows]
    assert len(batch.aggregates) == len(batch.sequence) == len(batch.mask) == 4
    np.testing.assert_array_equal(batch.aggregates[batch.user_row, 0], expected)
    np.testing.assert_array_equal(batch.sequence[batch.user_row, 7, 1], expected)
    for array in (batch.categorical, batch.continuous, batch.labels, batch.wide):
        np.testing.assert_array_equal(array[:, 0], event_rows)


def test_gather_stores_a_text_once_and_keeps_the_order_of_the_events() -> None:
    features = world(np.array([2, 3, 1]))
    event_rows = np.array([5, 0, 4, 3, 1, 6])
    batch = gather(features, event_rows)
    assert len(batch.tokens) == 4
    assert batch.tokens.dtype == np.int32
    np.testing.assert_array_equal(batch.tokens[batch.text_row, 3], event_rows // 2)


def test_users_of_the_fit_are_numbered_and_nobody_else_is() -> None:
    # Users 0 to 3 have events in train, of whom 1 is held out; their other histories are 4 to 11.
    features = world(np.array([2, 3, 1, 2]), np.array([True, False, True, True]))
    fitted = users(features)
    assert fitted.tolist() == [0, 2, 3]
    every = gather(features, np.arange(len(features.events)), fitted)
    number = dict(
        zip(every.aggregates[:, 0].astype(int).tolist(), every.user.tolist(), strict=True)
    )
    assert number == {0: 0, 1: -1, 2: 1, 3: 2} | dict.fromkeys(range(4, 12), -1)
    assert gather(features, np.arange(4)).user.tolist() == []


def test_gather_copies_plain_arrays_out_of_a_mapped_file(tmp_path: Path) -> None:
    world(np.array([2, 3, 1])).save(tmp_path)
    features = Features.load(tmp_path)
    batch = gather(features, np.arange(4))
    for name in ("aggregates", "sequence", "mask", "categorical", "labels", "wide", "tokens"):
        array = getattr(batch, name)
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype == getattr(features, name).dtype


@settings(max_examples=50, deadline=None)
@given(counts=COUNTS, size=st.integers(1, 200), seed=st.integers(0, 9))
def test_chunks_partition_events_and_encode_no_history_twice(
    counts: NDArray[np.int64], size: int, seed: int
) -> None:
    features = world(counts)
    num_events = features.events.height
    rng = np.random.default_rng(seed)
    event_rows = rng.permutation(num_events)[: rng.integers(1, num_events + 1)]
    pieces = list(chunks(features, event_rows, size=size))
    assert sorted(np.concatenate(pieces)) == sorted(event_rows)
    row = features.events["row"].to_numpy()
    encoded = np.concatenate([np.unique(row[piece]) for piece in pieces])
    assert len(encoded) == len(np.unique(row[event_rows]))
    assert all(0 < len(piece) < size + events_of_one_user(event_rows, features) for piece in pieces)


def test_no_events_make_no_chunks() -> None:
    features = world(np.array([2]))
    assert list(chunks(features, np.array([], dtype=np.int64), size=4)) == []


def test_rows_are_those_of_a_window_and_of_trained_or_held_out_users() -> None:
    features = world(np.array([2, 3]), np.array([True, False]))
    assert rows(features, "train").tolist() == [0, 1, 2, 3, 4]
    assert rows(features, "train", trained=True).tolist() == [0, 1]
    assert rows(features, "train", trained=False).tolist() == [2, 3, 4]
    assert rows(features, "test", trained=False).tolist() == [8]
