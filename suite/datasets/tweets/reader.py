"""Who reads: the account, what it engaged with before, and the profile of that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from suite.datasets.tweets.content import PROFILE
from suite.datasets.tweets.layout import DAY_S
from suite.datasets.tweets.rows import (
    Floats,
    Ints,
    Past,
    Rows,
    declare,
    hours_since,
    outcome_features,
    ratio,
    with_rates,
)

ACCOUNT = (
    ("followers", "count", "follower_count"),
    ("following", "count", "following_count"),
    ("followers_per_following", "ratio", "follower_count / (following_count + 1)"),
    ("verified", "flag", "is_verified"),
    ("account_age", "days", "account_creation to tweet_timestamp"),
)

FEATURES = declare(
    "reader",
    [
        *((f"reader_{name}", unit, f"engaging_user, {source}") for name, unit, source in ACCOUNT),
        *outcome_features("reader", "shown", "past tweets shown to the reader"),
        ("reader_mean_creator_verified", "share", "creators of past engagements"),
        ("reader_mean_creator_follows", "share", "engagee_follows_engager of past engagements"),
        ("reader_mean_creator_followers", "count", "creators of past engagements"),
        ("reader_mean_creator_following", "count", "creators of past engagements"),
        ("reader_creators", "count", "different creators of past engagements"),
        ("reader_hours_since_engaged", "h", "last past engagement to tweet_timestamp"),
        ("reader_hours_since_shown", "h", "last past tweet shown to tweet_timestamp"),
        *(
            (f"reader_engaged_{flag}", "share", f"{flag}, mean over past engaged tweets")
            for flag in PROFILE
        ),
    ],
)


def account_features(account: NDArray[np.float64], time: Ints) -> Floats:
    """Describe accounts (E, 4) of ``Rows`` at a time (E,), in the order of ``ACCOUNT``, (5, E)."""
    followers, following, verified, created = account.T
    age_days = (time - created) / DAY_S
    per_following = followers / (following + 1)
    return np.stack([followers, following, per_following, verified, age_days]).astype(np.float32)


def profile(users: Ints, tweets: Ints, flags: NDArray[np.uint8], num_users: int) -> Floats:
    """Average flags over the different tweets of each user.

    Parameters
    ----------
    users, tweets : (n,)
        Pairs; a repeated one counts once.
    flags : (T, F)
        Of each tweet.

    Returns
    -------
    (F, U)
        NaN for users without tweets.
    """
    pairs = np.unique(users * len(flags) + tweets)
    user, tweet = np.divmod(pairs, len(flags))
    ones = np.ones(len(user), dtype=np.float32)
    has = csr_array((ones, (user, tweet)), shape=(num_users, len(flags)))
    count = np.bincount(user, minlength=num_users)
    return ratio((has @ csr_array(flags.astype(np.float32))).toarray().T, count)


def reader_features(now: Rows, past: Past, flags: NDArray[np.uint8]) -> Floats:
    """Describe the reader of each event, (F, E); ``flags`` are those of the profile."""
    before, engaged = past.rows, past.known[:, 0]
    about_creator = np.column_stack(
        [before.creator_account[:, 2], before.follows, before.creator_account[:, :2]]
    )
    means = past.engaged_mean(before.reader, about_creator)
    partners = np.unique(before.reader[engaged] * past.num_users + before.creator[engaged])
    creators = np.bincount(partners // past.num_users, minlength=past.num_users)
    last_engaged = past.last(before.reader[engaged], before.at[engaged, 0])
    last_shown = past.last(before.reader, before.time)
    who = now.reader
    return np.concatenate(
        [
            account_features(now.reader_account, now.time),
            with_rates(past.counts(before.reader)[:, who]),
            means[:, who],
            creators[None, who],
            hours_since(now.time, last_engaged[who])[None],
            hours_since(now.time, last_shown[who])[None],
            profile(before.reader[engaged], before.tweet[engaged], flags, past.num_users)[:, who],
        ],
        dtype=np.float32,
    )
