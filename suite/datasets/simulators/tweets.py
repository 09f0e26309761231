"""Simulated users of a network of short texts: tastes, tweets, who sees what and what follows.

Shape letters: U users, C creators among them, T tweets of a day, N interactions of a day,
K topics, G languages, L = 4 labels (like, reply, retweet, comment).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from suite.datasets.simulators.words import TOPICS
from suite.datasets.tweets.layout import DAY_S, LABELS, MEDIA, TYPES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NUM_TOPICS, NUM_LABELS = len(TOPICS), len(LABELS)
LANGUAGE_SHARE = np.array([0.4, 0.2, 0.15, 0.1, 0.08, 0.07])
HASHTAGS_PER_TOPIC, DOMAINS_PER_TOPIC, LINKS_PER_DOMAIN = 3, 2, 6
FOLLOWEES = 12

READ_PER_DAY, TWEETS_PER_DAY = 12.0, 8.0
FOLLOWED_SHARE = 0.7

_TYPE_SHARE = np.array([0.5, 0.2, 0.1, 0.2])
_OWN = (0, 2)
_MEDIA_RATE = np.array([0.35, 0.15, 0.07])

_BASE = np.array([-0.9, -2.9, -2.3, -3.4])
_FOLLOWS = np.array([0.3, 0.8, 0.4, 0.3])
_TASTE = np.array([1.1, 0.7, 1.0, 0.8])
_MEDIA = np.array([0.7, -0.4, 0.6, 0.2])
_FOREIGN = np.array([-0.7, -1.2, -0.8, -1.0])
_AUDIENCE = np.array([0.6, 0.3, 0.5, 0.5])
_LATE_MEDIA = np.array([1.5, -1.2, 1.4, 1.5])
_VETERAN_OWN = np.array([1.5, 1.4, -1.4, 1.5])
_TEXT_OF_LANGUAGE = np.array([1.0, 1.2, 0.8, 1.0, 0.6, 1.4])
_TEXT = np.array(
    # Agreement of traits 1 and 2, 2 and 3, 1 and 3.
    [[1.1, 0.0, 0.0], [0.0, 0.0, 1.2], [0.0, 1.2, 0.0], [0.0, 0.9, 0.9]]
)


@dataclass(frozen=True)
class People:
    """The users, and what each is like on a first day.

    Attributes
    ----------
    taste : (U, K)
        Logits of the topics.
    language : (U,)
        Row of ``LANGUAGE_SHARE``.
    activity : (U,)
        Factor on how much is read; its mean over users is about 1.
    leaning : (U, L)
        Added to the logit of each label.
    media_taste : (U, 3)
        Liking of ``MEDIA``.
    followers, following, created_s : (U,)
        Counts, and the account's creation in seconds since the epoch.
    verified : (U,)
        True for some of the most followed.
    creators : (C,)
        Users who write, most popular first.
    topic : (C,)
        Each creator's main topic.
    reach : (C,)
        Share of the attention that goes to each creator.
    followees : (U, 12)
        Rows of ``creators`` that each user follows; they may repeat.
    """

    taste: Floats
    language: Ints
    activity: Floats
    leaning: Floats
    media_taste: Floats
    followers: Ints
    following: Ints
    created_s: Ints
    verified: NDArray[np.bool_]
    creators: Ints
    topic: Ints
    reach: Floats
    followees: Ints

    @classmethod
    def draw(
        cls, rng: np.random.Generator, num_users: int, identity: float, begin_s: int
    ) -> People:
        """Draw users whose accounts are older than the log; ``identity`` scales all deviations."""
        taste = 1.8 * identity * rng.standard_normal((num_users, NUM_TOPICS))
        language = rng.choice(len(LANGUAGE_SHARE), num_users, p=LANGUAGE_SHARE)
        creators = rng.permutation(num_users)[: max(min(num_users, 12), num_users // 8)]
        reach = 1 / np.arange(1, len(creators) + 1) ** 0.8
        followers = np.exp(rng.normal(4.5, 1.2, num_users))
        followers[creators] = np.exp(10 - 1.1 * np.log1p(np.arange(len(creators))))
        followers[creators] *= np.exp(rng.normal(0, 1.2, len(creators)))
        topic = rng.integers(0, NUM_TOPICS, len(creators))
        return cls(
            taste=taste,
            language=language,
            activity=np.exp(0.9 * rng.standard_normal(num_users) - 0.405),
            leaning=0.8 * identity * rng.standard_normal((num_users, NUM_LABELS)),
            media_taste=1.2 * identity * rng.standard_normal((num_users, len(MEDIA))),
            followers=followers.astype(np.int64),
            following=np.exp(rng.normal(5, 1, num_users)).astype(np.int64),
            created_s=begin_s - rng.integers(30 * DAY_S, 4000 * DAY_S, num_users),
            verified=(followers > 3000) & (rng.random(num_users) < 0.5),
            creators=creators,
            topic=topic,
            reach=reach / reach.sum(),
            followees=_followees(rng, taste, language, language[creators], topic, reach),
        )

    def drifted(self, rng: np.random.Generator, taste: Floats, drift: float) -> Floats:
        """Tastes of the day after, (U, K): they correlate by 1 - drift and keep their spread."""
        fresh = rng.standard_normal(taste.shape) * self.taste.std()
        moved: Floats = (1 - drift) * taste + np.sqrt(1 - (1 - drift) ** 2) * fresh
        return moved


def _followees(
    rng: np.random.Generator,
    taste: Floats,
    language: Ints,
    creator_language: Ints,
    topic: Ints,
    reach: Floats,
) -> Ints:
    """Follow creators of liked topics and of one's own language, popular ones more often."""
    size = (len(taste), FOLLOWEES)
    wanted = _by_taste(rng, np.repeat(np.arange(len(taste)), FOLLOWEES), taste).reshape(size)
    chosen = np.zeros(size, dtype=np.int64)
    for _ in range(12):
        tried = _within(rng, wanted.ravel(), topic, reach).reshape(size)
        foreign = creator_language[chosen] != language[:, None]
        off_topic = topic[chosen] != wanted
        chosen = np.where(foreign | off_topic, tried, chosen)
    return chosen


def _by_taste(rng: np.random.Generator, user: Ints, taste: Floats) -> Ints:
    """Draw a topic for each entry of ``user``, by the Gumbel trick on its taste."""
    noise = rng.gumbel(size=(len(user), taste.shape[1]))
    drawn: Ints = np.argmax(taste[user] + noise, axis=1)
    return drawn


def _within(rng: np.random.Generator, wanted: Ints, topic: Ints, reach: Floats) -> Ints:
    """Draw a creator of each wanted topic by reach; any creator where the topic has none."""
    order = np.argsort(topic, kind="stable")
    weight = np.cumsum(reach[order])
    first = np.searchsorted(topic[order], wanted, side="left")
    last = np.searchsorted(topic[order], wanted, side="right")
    first, last = np.where(first == last, 0, first), np.where(first == last, len(topic), last)
    below = np.where(first > 0, weight[first - 1], 0.0)
    at = below + rng.random(len(wanted)) * (weight[last - 1] - below)
    picked: Ints = order[np.clip(np.searchsorted(weight, at, side="right"), first, last - 1)]
    return picked


@dataclass(frozen=True)
class Tweets:
    """Tweets of a day, sorted by creator.

    Attributes
    ----------
    creator : (T,)
        Row of ``People.creators``.
    time_s, topic, language, kind : (T,)
        Seconds since the epoch, and rows of the topics, languages and ``TYPES``.
    media : (T, 3)
        Number of each of ``MEDIA``.
    traits : (T, 3)
        -1 or 1: what only the text tells, see ``simulated_words.CONTRASTS``.
    hashtags : (T, 3)
        Numbers of hashtags, -1 where there is none.
    domain, link : (T,)
        Number of the domain and of the link, -1 without one.
    first : (C + 1,)
        First row of each creator; the last entry is T.
    """

    creator: Ints
    time_s: Ints
    topic: Ints
    language: Ints
    kind: Ints
    media: Ints
    traits: Ints
    hashtags: Ints
    domain: Ints
    link: Ints
    first: Ints

    @classmethod
    def draw(cls, rng: np.random.Generator, people: People, day_s: int) -> Tweets:
        """Let every creator write at least one tweet on a day, most of them in the evening."""
        counts = 1 + rng.poisson(TWEETS_PER_DAY - 1, len(people.creators))
        creator = np.repeat(np.arange(len(counts)), counts)
        size = len(creator)
        topic = np.where(
            rng.random(size) < 0.75, people.topic[creator], rng.integers(0, NUM_TOPICS, size)
        )
        hour = (rng.normal(18, 5, size) % 24).clip(0, 23.999)
        shown = rng.random((size, len(MEDIA))) < _MEDIA_RATE
        tagged = np.arange(3) < rng.poisson(0.9, size)[:, None]
        of_topic = np.where(
            rng.random((size, 3)) < 0.9, topic[:, None], rng.integers(0, NUM_TOPICS, (size, 3))
        )
        tag = of_topic * HASHTAGS_PER_TOPIC + rng.permuted(
            np.tile(np.arange(HASHTAGS_PER_TOPIC), (size, 1)), axis=1
        )
        domain = np.where(
            rng.random(size) < 0.45,
            topic * DOMAINS_PER_TOPIC + rng.integers(0, DOMAINS_PER_TOPIC, size),
            -1,
        )
        link = domain * LINKS_PER_DOMAIN + rng.integers(0, LINKS_PER_DOMAIN, size)
        return cls(
            creator=creator,
            time_s=day_s + (hour * 3600).astype(np.int64),
            topic=topic,
            language=people.language[people.creators[creator]],
            kind=rng.choice(len(TYPES), size, p=_TYPE_SHARE),
            media=shown * (1 + rng.poisson(np.array([0.4, 0, 0]), (size, len(MEDIA)))),
            traits=rng.choice([-1, 1], (size, 3)),
            hashtags=np.where(tagged, tag, -1),
            domain=domain,
            link=np.where(domain >= 0, link, -1),
            first=np.concatenate([[0], np.cumsum(counts)]),
        )


@dataclass(frozen=True)
class Reading:
    """Who saw which tweet on a day, sorted by time, and what they did.

    Attributes
    ----------
    reader : (N,)
        Row of the user.
    tweet : (N,)
        Row of the day's tweets.
    follows : (N,)
        Whether the creator follows the reader.
    probability : (N, L)
        True probability of each label.
    label : (N, L)
        What happened.
    delay_s : (N, L)
        Seconds from the tweet to each engagement.
    """

    reader: Ints
    tweet: Ints
    follows: NDArray[np.bool_]
    probability: Floats
    label: NDArray[np.bool_]
    delay_s: Ints

    @classmethod
    def draw(
        cls, rng: np.random.Generator, people: People, tweets: Tweets, taste: Floats
    ) -> Reading:
        """Show tweets of followed and of popular creators; each at most once to a reader."""
        counts = rng.poisson(READ_PER_DAY * people.activity)
        reader = np.repeat(np.arange(len(counts)), counts)
        followed = people.followees[reader, rng.integers(0, FOLLOWEES, len(reader))]
        wanted = _by_taste(rng, reader, taste)
        suggested = _within(rng, wanted, people.topic, people.reach)
        creator = np.where(rng.random(len(reader)) < FOLLOWED_SHARE, followed, suggested)
        span = tweets.first[creator + 1] - tweets.first[creator]
        tweet = tweets.first[creator] + (rng.random(len(reader)) * span).astype(np.int64)
        key = np.unique(reader * len(tweets.creator) + tweet)
        reader, tweet = np.divmod(key, len(tweets.creator))
        own = people.creators[tweets.creator[tweet]] == reader
        reader, tweet = reader[~own], tweet[~own]
        order = np.lexsort((reader, tweet, tweets.time_s[tweet]))
        reader, tweet = reader[order], tweet[order]
        follows = _follows_back(people, tweets.creator[tweet], reader)
        probability = probabilities(people, tweets, taste, reader, tweet, follows)
        return cls(
            reader=reader,
            tweet=tweet,
            follows=follows,
            probability=probability,
            label=rng.random(probability.shape) < probability,
            delay_s=1 + rng.exponential(2400, probability.shape).astype(np.int64),
        )


def probabilities(
    people: People,
    tweets: Tweets,
    taste: Floats,
    reader: Ints,
    tweet: Ints,
    follows: NDArray[np.bool_],
) -> Floats:
    """Probability of each label of each interaction, (N, L).

    Taste, media and language work through products of what the reader is and what the tweet is;
    so do the hour and pictures, and the age of the reader's account and who the words are by. The
    audience of a creator helps most at a middle size; of the text only agreements count.
    """
    creator = people.creators[tweets.creator[tweet]]
    # 0 is the average topic, 1 about the best liked one of an individual reader.
    liking = taste[reader, tweets.topic[tweet]] - taste[reader].mean(axis=1)
    media = (people.media_taste[reader] * (tweets.media[tweet] > 0)).sum(axis=1)
    foreign = people.language[reader] != tweets.language[tweet]
    size = np.log10(1 + people.followers[creator]) - 3
    late = np.tanh(tweets.time_s[tweet] % DAY_S / 3600 - 17.5)
    shown = np.where(tweets.media[tweet].any(axis=1), 1, -1)
    age_days = (tweets.time_s[tweet] - people.created_s[reader]) / DAY_S
    own = np.where(np.isin(tweets.kind[tweet], _OWN), 1, -1)
    traits = tweets.traits[tweet]
    agreement = traits * np.roll(traits, -1, axis=1)
    agreement[:, 2] = traits[:, 0] * traits[:, 2]
    text = agreement @ _TEXT.T * _TEXT_OF_LANGUAGE[tweets.language[tweet]][:, None]
    logit = _BASE + people.leaning[reader] + text
    for weight, value in (
        (_TASTE, liking.clip(-2, 2)),
        (_MEDIA, media),
        (_FOREIGN, foreign),
        (_FOLLOWS, follows),
        (_AUDIENCE, 1 - (size**2).clip(0, 3)),
        (_LATE_MEDIA, late * shown),
        (_VETERAN_OWN, np.tanh((age_days - 2000) / 300) * own),
    ):
        logit = logit + np.outer(value, weight)
    return np.asarray(expit(logit))


def _follows_back(people: People, creator: Ints, reader: Ints) -> NDArray[np.bool_]:
    user = people.creators[creator]
    row = np.full(len(people.taste), -1)
    row[people.creators] = np.arange(len(people.creators))
    # Readers who write are followed by those who chose them; the others by some, for good.
    mutual: NDArray[np.bool_] = (people.followees[user] == row[reader][:, None]).any(axis=1)
    return mutual | ((user * 7919 + reader * 104_729) % 997 < 150)
