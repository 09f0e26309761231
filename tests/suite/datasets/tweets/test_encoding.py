import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.datasets.holdout import held_out
from suite.datasets.tweets.content import Field
from suite.datasets.tweets.encoding import FOLDS, WEIGHT, Encodings, _count, folds


def slow(values, tweet, fold, labels, event_tweet, event_fold, apart):
    """Encode event by event, value by value."""
    found = np.full((labels.shape[1], 5, len(event_tweet)), np.nan)
    for event, (row, own) in enumerate(zip(event_tweet, event_fold, strict=True)):
        others = [n for n in range(len(tweet)) if own < 0 or fold[n] != own]
        others = [n for n in others if not (apart and tweet[n] == row)]
        for label in range(labels.shape[1]):
            base = sum(labels[n, label] for n in others) / max(len(others), 1)
            shares = []
            for value in set(values[row]):
                having = [n for n in others if value in values[tweet[n]]]
                positive = sum(labels[n, label] for n in having)
                shares.append((positive + WEIGHT * base) / (len(having) + WEIGHT))
            shares.sort(reverse=True)
            if shares:
                top = [*shares, np.nan, np.nan][:3]
                found[label, :, event] = [*top, sum(shares), sum(shares) / len(shares)]
    return found


def fit(field, tweet, fold, labels):
    return Encodings.fit({"field": field}, tweet, fold, labels).by_field["field"]


@settings(deadline=None)  # the kernel is compiled at its first call
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 40]), st.booleans())
def test_encodings_out_of_fold_are_those_of_a_slow_loop(seed, size, apart):
    rng = np.random.default_rng(seed)
    values = [[f"v{n}" for n in rng.integers(0, 7, rng.integers(0, 6))] for _ in range(15)]
    field = Field.of(pl.Series(values, dtype=pl.List(pl.String)))
    tweet, fold = rng.integers(0, 15, size), rng.integers(0, FOLDS, size)
    labels = (rng.random((size, 2)) < [0.5, 0.1]).astype(np.float32)
    encoding = fit(field, tweet, fold, labels)

    event_tweet = np.concatenate([tweet, rng.integers(0, 15, 10)])
    event_fold = np.concatenate([fold, np.full(10, -1)])
    np.testing.assert_allclose(
        encoding.transform(event_tweet, event_fold, apart=apart),
        slow(values, tweet, fold, labels, event_tweet, event_fold, apart),
        rtol=1e-5,
    )


@pytest.mark.parametrize("whose", ["reader", "tweet"])
def test_labels_of_an_events_reader_and_of_its_tweet_do_not_reach_it(whose):
    rng = np.random.default_rng(0)
    field = Field.of(pl.Series(rng.integers(0, 4, 30)))
    tweet, user = rng.integers(0, 30, 200), rng.integers(0, 25, 200)
    fold, group = folds(user), user if whose == "reader" else tweet
    labels = (rng.random((200, 1)) < 0.4).astype(np.float32)
    before = fit(field, tweet, fold, labels).transform(tweet, fold, apart=True)
    for changed in range(5):
        other = np.where(group[:, None] == changed, 1 - labels, labels)
        after = fit(field, tweet, fold, other).transform(tweet, fold, apart=True)
        same = group == changed
        np.testing.assert_array_equal(after[..., same], before[..., same])
        assert (after != before).any()


def test_a_value_of_one_tweet_alone_tells_nothing_within_train():
    rng = np.random.default_rng(0)
    tweet, user = rng.integers(0, 300, 4000), rng.integers(0, 200, 4000)
    liked = rng.random(300)
    labels = (rng.random(4000) < liked[tweet]).astype(np.float32)[:, None]
    encoding = fit(Field.of(pl.Series(range(300))), tweet, folds(user), labels)
    mean = encoding.transform(tweet, folds(user), apart=True)[0, 4]
    assert np.ptp(mean) < 0.03
    # Those who come later may know what became of a tweet.
    known = encoding.transform(np.arange(300), np.full(300, -1), apart=False)[0, 4]
    assert np.corrcoef(known, liked)[0, 1] > 0.8


def test_counts_are_whole_numbers_beyond_what_float32_can_add_one_to():
    field = Field.of(pl.Series(["a"]))
    many = np.full((FOLDS + 1, 1, 2), 2**24, dtype=np.int32)
    _count(field.offsets, field.codes, *np.zeros((2, 3), np.int64), np.ones((3, 1), np.int32), many)
    assert many[0, 0].tolist() == [2**24 + 3] * 2


def test_folds_are_even_also_among_those_who_are_not_held_out():
    user = np.arange(20_000)
    for group in (user, user[held_out(user, 0.2)], user[~held_out(user, 0.2)]):
        share = np.bincount(folds(group), minlength=FOLDS) / len(group)
        # Five folds of at least 4,000 users: the standard deviation is 0.0065.
        np.testing.assert_allclose(share, 1 / FOLDS, atol=0.03)


def test_a_fields_flags_are_its_most_frequent_values():
    field = Field.of(pl.Series([["b", "a", "b"], [], ["a", "c"], ["d"]]))
    assert field.num_values == 4
    assert field.lengths.tolist() == [2, 0, 2, 1]
    chosen = field.most_frequent(np.array([0, 2, 2, 1]), 3)
    # a three times, c twice, b once; d never.
    assert chosen.tolist() == [0, 2, 1]
    assert field.flags(chosen, 4).tolist() == [[1, 0, 1, 0], [0] * 4, [1, 1, 0, 0], [0] * 4]
    assert field.most_frequent(np.array([3]), 3).tolist() == [3]
