"""A synthetic world in EB-NeRD's exact files, so that the adapter of the real files is tested.

Users are simulated and written chunk by chunk, so memory does not grow with their number.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from suite.datasets.ebnerd import (
    ARTICLES,
    BEHAVIORS,
    HISTORY,
    LAYOUT,
    MARKER,
    READ_S,
    SCROLL_PERCENT,
)
from suite.datasets.simulators.folder import check, complete
from suite.datasets.simulators.readers import (
    CATEGORIES,
    DAY_S,
    NULL_READ_RATE,
    WEEK_S,
    Articles,
    Floats,
    Ints,
    Traits,
    Visits,
    engagement,
    scores_by_week,
)

TRAIN_S = int(datetime(2023, 5, 18, 7, tzinfo=UTC).timestamp())
"""Start of the train split, as the local clock shows it; the validation split is a week later."""

CLICKS_PER_WEEK, MIN_CLICKS_PER_WEEK = 55, 8
IMPRESSIONS_PER_WEEK = 15.4
USERS_PER_CHUNK = 10_000
FRONT_PAGE_RATE = 0.73
SESSION_GAP_S = 1800


@dataclass(frozen=True)
class Simulation:
    """What was written, and what the best possible model would score on it.

    Attributes
    ----------
    users, seed, identity, drift, history_days
        As given to ``simulate``.
    impressions, clicks, articles
        Rows of behaviors, clicks in the histories and rows of articles, over both splits.
    bayes_auc
        AUC of the true probabilities on the labels of the test window, as the adapter cuts it.
    """

    users: int
    seed: int
    identity: float
    drift: float
    history_days: int
    impressions: int
    clicks: int
    articles: int
    bayes_auc: float


def simulate(
    directory: Path,
    *,
    users: int,
    seed: int,
    identity: float = 0.5,
    drift: float = 0.1,
    history_days: int = 21,
) -> Simulation:
    """Write a synthetic world of news readers.

    Clicks of the train week in the validation split's histories are drawn apart from the train
    split's behaviors, so that at identity 0 and history_days 7 nothing links a user's windows.

    Parameters
    ----------
    directory
        New or empty folder; it appears when everything in it is complete.
    users
        At least 1.
    identity
        In [0, 1]: how individual users are in activity, dwell, scroll, hours, weekdays, device
        and tastes. At 0 every visit of every user comes from the same distribution.
    drift
        In [0, 1]: how much users change from week to week; at 1 a week says nothing of the next.
    history_days
        At least 7. The two splits are 7 days apart, so histories share ``history_days - 7`` days,
        whose clicks are the same in both.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the folder holds something.
    """
    check(identity, drift, users=(users, 1), seed=(seed, 0), history_days=(history_days, 7))
    with complete(directory) as folder:
        for split in ("train", "validation"):
            (folder / split).mkdir()
        simulation = _write_world(folder, users, seed, identity, drift, history_days)
        (folder / MARKER).write_text(json.dumps(asdict(simulation), indent=2) + "\n")
    return simulation


def _write_world(
    folder: Path, users: int, seed: int, identity: float, drift: float, history_days: int
) -> Simulation:
    rng = np.random.default_rng([seed, 0])
    num_history_weeks = -(-history_days // 7)
    begin_s = TRAIN_S - (num_history_weeks + 1) * WEEK_S
    articles = Articles.draw(rng, int(np.clip(users, 1_000, 20_000)), begin_s, TRAIN_S + 2 * WEEK_S)
    pq.write_table(_articles_table(rng, articles), folder / "articles.parquet")
    user_ids = 10_000 + rng.permutation(2 * users)[:users]

    writers = {
        name: pq.ParquetWriter(folder / name, _arrow(schema))
        for name, schema in LAYOUT.items()
        if name != "articles.parquet"
    }
    truths = []
    counts = {"impressions": 0, "clicks": 0}
    try:
        for chunk, first in enumerate(range(0, users, USERS_PER_CHUNK)):
            ids = user_ids[first : first + USERS_PER_CHUNK]
            rng = np.random.default_rng([seed, 1 + chunk])
            scores = scores_by_week(rng, num_history_weeks + 2, len(ids), drift)
            clicks, click_user = _clicks(rng, articles, scores[:-1], identity)
            for split, start_s in (("train", TRAIN_S), ("validation", TRAIN_S + WEEK_S)):
                inside = (clicks.time_s < start_s) & (
                    clicks.time_s >= start_s - history_days * DAY_S
                )
                table = _history_table(ids, clicks, click_user, inside)
                writers[f"{split}/history.parquet"].write_table(table)
                counts["clicks"] += int(inside.sum())
            for week, split in enumerate(("train", "validation")):
                traits = Traits.of(scores[week - 2], identity)
                visits = _impressions(rng, articles, traits, TRAIN_S + week * WEEK_S)
                table, truth = _behaviors_table(
                    rng, ids, articles, traits, visits, first_id=counts["impressions"]
                )
                writers[f"{split}/behaviors.parquet"].write_table(table)
                counts["impressions"] += table.num_rows
                if split == "validation":
                    truths.append(truth)
    finally:
        for writer in writers.values():
            writer.close()
    return Simulation(
        users=users,
        seed=seed,
        identity=identity,
        drift=drift,
        history_days=history_days,
        **counts,
        articles=len(articles.category),
        bayes_auc=_bayes_auc(np.concatenate(truths, axis=1)),
    )


def _clicks(
    rng: np.random.Generator, articles: Articles, scores: Floats, identity: float
) -> tuple[Visits, Ints]:
    """Clicks of the histories, up to the start of the validation split, and each one's user row.

    They are sorted by user, then by time.
    """
    num_weeks, num_users, _ = scores.shape
    # Users first: a user's weeks, which do not overlap, then lie in time order.
    traits = Traits.of(scores.transpose(1, 0, 2).reshape(num_users * num_weeks, -1), identity)
    week_s = TRAIN_S + WEEK_S * np.arange(1 - num_weeks, 1)
    rate = (CLICKS_PER_WEEK - MIN_CLICKS_PER_WEEK) * traits.activity
    counts = MIN_CLICKS_PER_WEEK + rng.poisson(rate)
    clicks = Visits.draw(rng, articles, traits, counts, np.tile(week_s, num_users))
    return clicks, clicks.row // num_weeks


def _impressions(
    rng: np.random.Generator, articles: Articles, traits: Traits, start_s: int
) -> Visits:
    counts = 1 + rng.poisson((IMPRESSIONS_PER_WEEK - 1) * np.sqrt(traits.activity))
    return Visits.draw(rng, articles, traits, counts, np.full(len(counts), start_s))


def _history_table(ids: Ints, clicks: Visits, user: Ints, inside: NDArray[np.bool_]) -> pa.Table:
    lengths = np.bincount(user[inside], minlength=len(ids))
    columns = {
        "user_id": ids,
        "impression_time_fixed": _lists(lengths, _times(clicks.time_s[inside])),
        "scroll_percentage_fixed": _lists(lengths, _nullable(clicks.scroll_percent[inside])),
        "article_id_fixed": _lists(lengths, _article_ids(clicks.article[inside])),
        "read_time_fixed": _lists(lengths, clicks.read_s[inside]),
    }
    return _table(columns, HISTORY)


def _behaviors_table(
    rng: np.random.Generator,
    ids: Ints,
    articles: Articles,
    traits: Traits,
    visits: Visits,
    *,
    first_id: int,
) -> tuple[pa.Table, Floats]:
    """Impressions of a split, and of the usable ones: time in s, true probability, label."""
    size = len(visits.row)
    unread = rng.random(size) < NULL_READ_RATE
    front_page = rng.random(size) < FRONT_PAGE_RATE
    current = articles.recent(rng, articles.category[visits.article], visits.time_s)
    starts_session = np.diff(visits.row, prepend=-1).astype(bool) | (
        np.diff(visits.time_s, prepend=0) > SESSION_GAP_S
    )
    person = traits.person[visits.row]
    in_view, in_view_lengths = _in_view(rng, articles, visits)
    columns = {
        "impression_id": 1 + first_id + np.arange(size),
        "article_id": pa.array(_article_ids(current), mask=front_page),
        "impression_time": _times(visits.time_s),
        "read_time": np.exp(rng.normal(2.5, 1, size)).clip(0, 1800).round(),
        "scroll_percentage": pa.array(100 * rng.random(size).round(2), mask=front_page),
        "device_type": visits.device,
        "article_ids_inview": _lists(in_view_lengths, _article_ids(in_view)),
        "article_ids_clicked": _lists(np.ones(size, np.int64), _article_ids(visits.article)),
        "user_id": ids[visits.row],
        "is_sso_user": person[:, 0] > 0.5,
        "gender": pa.array((person[:, 2] > 0).astype(np.int8), mask=abs(person[:, 2]) < 0.8),
        "postcode": pa.nulls(size, pa.int8()),
        "age": pa.array((5 + 2 * person[:, 3]).round().clip(2, 9), mask=abs(person[:, 3]) < 1),
        "is_subscriber": person[:, 1] > 0.8,
        # A session starts at some impression: its id is unique over all splits and chunks.
        "session_id": 1 + first_id + np.maximum.accumulate(starts_session * np.arange(size)),
        "next_read_time": pa.array(visits.read_s, mask=unread),
        "next_scroll_percentage": _nullable(visits.scroll_percent),
    }
    probability = engagement(articles, traits, visits, READ_S, SCROLL_PERCENT)
    engaged = (visits.read_s > READ_S) & (visits.scroll_percent > SCROLL_PERCENT)
    truth = np.stack([visits.time_s, probability, engaged, unread])
    return _table(columns, BEHAVIORS), truth


def _in_view(rng: np.random.Generator, articles: Articles, visits: Visits) -> tuple[Ints, Ints]:
    """Rows of recent articles shown with each visit, the clicked one among them; their number."""
    lengths = 5 + rng.poisson(4, len(visits.row)).clip(0, 95)
    visit = np.repeat(np.arange(len(lengths)), lengths)
    shown = articles.recent(rng, rng.integers(0, len(CATEGORIES), len(visit)), visits.time_s[visit])
    first = np.cumsum(lengths) - lengths
    shown[first + rng.integers(0, lengths)] = visits.article
    return shown, lengths


def _bayes_auc(truth: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    time_s, probability, engaged, unread = truth
    test = (time_s >= (time_s.min() + time_s.max()) / 2) & (unread == 0)
    if len(np.unique(engaged[test])) < 2:
        return float("nan")
    return float(roc_auc_score(engaged[test], probability[test]))


def _articles_table(rng: np.random.Generator, articles: Articles) -> pa.Table:
    size = len(articles.category)
    # Words of a category share a stem, so that a text model can tell categories apart.
    words = np.array(
        [[f"{name}{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(64)] for name in CATEGORIES]
    )
    chosen = words[articles.category[:, None], rng.integers(0, 64, (size, 60))]
    sentences = [" ".join(row) for row in chosen]
    types = np.array(["article_default", "article_standard_feature", "article_fullscreen_gallery"])

    def text(lengths: Ints) -> list[str]:
        return [
            (sentence * (length // len(sentence) + 1))[:length]
            for sentence, length in zip(sentences, lengths.tolist(), strict=True)
        ]

    ids = _article_ids(np.arange(size))
    no_lists = _lists(np.zeros(size, np.int64), np.empty(0, np.int64))
    columns = {
        "article_id": ids,
        "title": text(articles.title_length),
        "subtitle": text(articles.subtitle_length),
        "last_modified_time": _times(articles.published_s),
        "premium": rng.random(size) < 0.15,
        "body": text(articles.body_length),
        "published_time": _times(articles.published_s),
        "image_ids": no_lists,
        "article_type": types[rng.choice(3, size, p=[0.85, 0.1, 0.05])],
        "url": [f"https://example.org/article/{article_id}" for article_id in ids],
        "ner_clusters": no_lists,
        "entity_groups": no_lists,
        "topics": _lists(np.ones(size, np.int64), np.array(CATEGORIES)[articles.category]),
        "category": 100 + articles.category,
        "subcategory": no_lists,
        "category_str": np.array(CATEGORIES)[articles.category],
        "total_inviews": pa.nulls(size),
        "total_pageviews": pa.nulls(size),
        "total_read_time": pa.nulls(size),
        "sentiment_score": rng.random(size),
        "sentiment_label": np.array(["Negative", "Neutral", "Positive"])[rng.integers(0, 3, size)],
    }
    return _table(columns, ARTICLES)


def _article_ids(row: Ints) -> Ints:
    return 9_000_000 + row


def _times(time_s: Ints) -> NDArray[np.datetime64]:
    return (time_s * 1_000_000).astype("datetime64[us]")


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _lists(lengths: Ints, values: pa.Array | NDArray[np.generic]) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = values if isinstance(values, pa.Array) else pa.array(values)
    return pa.LargeListArray.from_arrays(offsets, flat)


def _arrow(schema: pl.Schema) -> pa.Schema:
    return pl.DataFrame(schema=schema).to_arrow().schema


def _table(columns: dict[str, object], schema: pl.Schema) -> pa.Table:
    return pa.table(columns).cast(_arrow(schema))
