"""Who wrote: the account, and its past as a reader and as a creator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.datasets.tweets.content import PROFILE
from suite.datasets.tweets.reader import ACCOUNT, account_features, profile
from suite.datasets.tweets.rows import (
    Floats,
    Past,
    Rows,
    declare,
    hours_since,
    outcome_features,
    with_rates,
)

FEATURES = declare(
    "creator",
    [
        *(
            (f"creator_{name}", unit, f"engaged_with_user, {source}")
            for name, unit, source in ACCOUNT
        ),
        ("creator_follows_reader", "flag", "engagee_follows_engager"),
        *outcome_features("creator_as_reader", "shown", "past tweets shown to the creator"),
        *outcome_features("creator", "shown", "past tweets of the creator, as shown to readers"),
        ("creator_mean_reader_verified", "share", "readers of past engagements with the creator"),
        ("creator_mean_follows", "share", "engagee_follows_engager of past engagements"),
        ("creator_mean_reader_followers", "count", "readers of past engagements with the creator"),
        ("creator_mean_reader_following", "count", "readers of past engagements with the creator"),
        ("creator_readers", "count", "different readers of past engagements with the creator"),
        ("creator_tweets", "count", "different past tweets of the creator"),
        ("creator_hours_since_tweet", "h", "last past tweet to tweet_timestamp"),
        *(
            (f"creator_wrote_{flag}", "share", f"{flag}, mean over past tweets of the creator")
            for flag in PROFILE
        ),
    ],
)


def creator_features(now: Rows, past: Past, flags: NDArray[np.uint8]) -> Floats:
    """Describe the creator of each event, (F, E); ``flags`` are those of the profile."""
    before, engaged = past.rows, past.known[:, 0]
    about_reader = np.column_stack(
        [before.reader_account[:, 2], before.follows, before.reader_account[:, :2]]
    )
    means = past.engaged_mean(before.creator, about_reader)
    partners = np.unique(before.creator[engaged] * past.num_users + before.reader[engaged])
    readers = np.bincount(partners // past.num_users, minlength=past.num_users)
    _, first = np.unique(before.tweet, return_index=True)
    tweets = np.bincount(before.creator[first], minlength=past.num_users)
    last_tweet = past.last(before.creator, before.time)
    who = now.creator
    return np.concatenate(
        [
            account_features(now.creator_account, now.time),
            now.follows[None],
            with_rates(past.counts(before.reader)[:, who]),
            with_rates(past.counts(before.creator)[:, who]),
            means[:, who],
            readers[None, who],
            tweets[None, who],
            hours_since(now.time, last_tweet[who])[None],
            profile(before.creator[first], before.tweet[first], flags, past.num_users)[:, who],
        ],
        dtype=np.float32,
    )
