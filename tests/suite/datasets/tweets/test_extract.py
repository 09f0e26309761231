"""Features against a slow loop over rows, and what may not reach them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from suite.datasets.holdout import held_out
from suite.datasets.tweets.declared import FEATURES
from suite.datasets.tweets.extract import extract
from suite.datasets.tweets.layout import HEADS, LABELS
from suite.datasets.tweets.partition import slice_of, slices
from suite.datasets.tweets.read import parts, read
from tests.tweets import DAY_S, END_S, WORDS, random_lines, write

CUT = slices("days", END_S - 1, 2)
HISTORY_S = 2 * DAY_S
NAMES = [feature.name for feature in FEATURES]
FITTED = tuple(name for name in NAMES if name.startswith(("te_", "language_", "hashtag_")))
HOLDOUT = 0.3


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    lines = random_lines(np.random.default_rng(5), rows=500)
    folder = write(tmp_path_factory.mktemp("data") / "log", lines)
    return read(
        parts(folder),
        begin_s=0,
        end_s=END_S,
        label_end_s=END_S + DAY_S,
        vocabulary_size=len(WORDS),
    )


def wide_of(log, holdout_users=HOLDOUT):
    return extract(
        log,
        CUT,
        log.rows["event_id"],
        history_s=HISTORY_S,
        vocabulary=WORDS,
        holdout_users=holdout_users,
    ).sort("event_id")


@pytest.fixture(scope="module")
def wide(log):
    return wide_of(log)


def pieces_of(log):
    return slice_of(log.rows["time"].to_numpy(), CUT)


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def side(past, start, prefix, shown):
    """Counts and rates of the rows that a user is in."""
    found = {f"{prefix}_{shown}": len(past)}
    for name in ("engaged", *LABELS):
        did = sum(1 for row in past if known(row, name, start))
        found[f"{prefix}_{name}"] = did
        found[f"{prefix}_{name}_rate"] = did / len(past) if past else None
    return found


def known(row, name, start):
    return row[f"{name}_at"] is not None and row[f"{name}_at"] < start


def alike(one, other, prefix):
    common = len(one & other)
    both = one and other
    return {
        f"{prefix}_common": common,
        f"{prefix}_cosine": common / (len(one) * len(other)) ** 0.5 if both else None,
        f"{prefix}_jaccard": common / len(one | other) if both else None,
    }


def slow(row, rows, tweets, start):
    """Features of one event, each by a loop over all rows."""
    past = [r for r in rows if start - HISTORY_S <= r["time"] < start]
    engaged = [r for r in past if known(r, "engaged", start)]
    u, c, now = row["reader_id"], row["creator_id"], row["time"]
    of_u = [r for r in engaged if r["reader_id"] == u]
    of_c = [r for r in engaged if r["creator_id"] == c]
    written = {r["tweet_id"] for r in past if r["creator_id"] == c}
    both = [r for r in past if (r["reader_id"], r["creator_id"]) == (u, c)]
    back = [r for r in past if (r["reader_id"], r["creator_id"]) == (c, u)]
    back = side(back, start, "reverse", "shown")
    joint = side(both, start, "pair", "shown")

    def since(times):
        times = list(times)
        return (now - max(times)) / 3600 if times else None

    def goes_to(user):
        return {r["creator_id"] for r in engaged if r["reader_id"] == user}

    def comes_from(user):
        return {r["reader_id"] for r in engaged if r["creator_id"] == user}

    pair_engaged = joint["pair_engaged"]
    return {
        "reader_followers": row["reader_followers"],
        "reader_followers_per_following": row["reader_followers"] / (row["reader_following"] + 1),
        "reader_verified": row["reader_verified"],
        "reader_account_age": (now - row["reader_created"]) / DAY_S,
        "creator_following": row["creator_following"],
        "creator_follows_reader": row["follows"],
        **side([r for r in past if r["reader_id"] == u], start, "reader", "shown"),
        **side([r for r in past if r["reader_id"] == c], start, "creator_as_reader", "shown"),
        **side([r for r in past if r["creator_id"] == c], start, "creator", "shown"),
        "reader_mean_creator_verified": mean(r["creator_verified"] for r in of_u),
        "reader_mean_creator_follows": mean(r["follows"] for r in of_u),
        "reader_mean_creator_followers": mean(r["creator_followers"] for r in of_u),
        "reader_mean_creator_following": mean(r["creator_following"] for r in of_u),
        "reader_creators": len(goes_to(u)),
        "reader_hours_since_engaged": since(r["engaged_at"] for r in of_u),
        "reader_hours_since_shown": since(r["time"] for r in past if r["reader_id"] == u),
        "reader_engaged_media_photo": mean("Photo" in tweets[r["tweet_id"]]["media"] for r in of_u),
        "reader_engaged_type_reply": mean(
            tweets[r["tweet_id"]]["tweet_type"] == "Reply" for r in of_u
        ),
        "creator_mean_reader_verified": mean(r["reader_verified"] for r in of_c),
        "creator_mean_follows": mean(r["follows"] for r in of_c),
        "creator_mean_reader_followers": mean(r["reader_followers"] for r in of_c),
        "creator_mean_reader_following": mean(r["reader_following"] for r in of_c),
        "creator_readers": len(comes_from(c)),
        "creator_tweets": len(written),
        "creator_hours_since_tweet": since(tweets[tweet]["time"] for tweet in written),
        "creator_wrote_media_gif": mean("GIF" in tweets[tweet]["media"] for tweet in written),
        "creator_wrote_type_quote": mean(
            tweets[tweet]["tweet_type"] == "Quote" for tweet in written
        ),
        **{name: value for name, value in joint.items() if not name.endswith("_rate")},
        **{name: value for name, value in back.items() if not name.endswith("_rate")},
        "pair_hours_since_first_shown": (
            (now - min(r["time"] for r in both)) / 3600 if both else None
        ),
        "pair_hours_since_shown": since(r["time"] for r in both),
        **{
            f"pair_hours_since_{name}": since(
                r[f"{name}_at"] for r in both if known(r, name, start)
            )
            for name in ("engaged", *LABELS)
        },
        "pair_share_of_reader": pair_engaged / len(of_u) if of_u else None,
        "pair_share_of_creator": pair_engaged / len(of_c) if of_c else None,
        **alike(goes_to(u), goes_to(c), "rows"),
        **alike(comes_from(u), comes_from(c), "columns"),
    }


def test_users_and_pairs_are_described_as_a_slow_loop_does(log, wide):
    rows, piece = log.rows.to_dicts(), pieces_of(log)
    tweets = {tweet["tweet_id"]: tweet for tweet in log.tweets.to_dicts()}
    expected = pl.DataFrame(
        [
            {"event_id": row["event_id"], **slow(row, rows, tweets, CUT[number].known_s)}
            for row, number in zip(rows, piece, strict=True)
            if number >= 0
        ],
        infer_schema_length=None,
    ).sort("event_id")
    assert expected["event_id"].equals(wide["event_id"])
    assert expected.width > 80
    for name in expected.columns:
        column = expected[name].cast(pl.Float64)
        assert column.is_null().equals(wide[name].is_null()), name
        np.testing.assert_allclose(
            wide[name].fill_null(-1).to_numpy(), column.fill_null(-1).to_numpy(), 2e-5, err_msg=name
        )
    # The comparison means something: hardly any column is the same everywhere.
    varying = [name for name in expected.columns if expected[name].n_unique() > 1]
    assert len(varying) >= expected.width - 2


def test_all_declared_features_are_there_and_the_frequent_values_come_from_trained_users(log, wide):
    assert wide.columns == ["event_id", *NAMES]
    assert set(wide.dtypes[1:]) == {pl.Float32}
    piece = pieces_of(log)
    trained = ~held_out(log.rows["reader_id"].to_numpy(), HOLDOUT)
    fitting = log.rows.filter(np.isin(piece, (0, 1)) & trained)
    tags = fitting.join(log.tweets, on="tweet_id").select(pl.col("hashtags").list.unique())
    counts = tags.explode("hashtags", empty_as_null=False)["hashtags"].value_counts()
    top = counts.sort(["count", "hashtags"], descending=[True, False])["hashtags"][0]
    joined = log.rows.join(log.tweets, on="tweet_id", maintain_order="left")
    has = joined.filter(piece >= 0).sort("event_id")["hashtags"].list.contains(top)
    assert wide["hashtag_1"].cast(pl.Boolean).equals(has.alias("hashtag_1"))


def altered(log, chosen):
    """Give the chosen rows other labels, another reader's account and another follower count."""
    flags = pl.Series(chosen)
    flipped = [
        pl.when(~flags)
        .then(pl.col(f"{name}_at"))
        .when(pl.col(f"{name}_at").is_null())
        .then(pl.col("time") + 60)
        .alias(f"{name}_at")
        for name in LABELS
    ]
    rows = log.rows.with_columns(
        *flipped,
        *(
            pl.when(flags).then(pl.col(name) + 17).otherwise(pl.col(name)).alias(name)
            for name in HEADS
            if name.endswith(("followers", "following"))
        ),
    ).with_columns(engaged_at=pl.min_horizontal(f"{name}_at" for name in LABELS))
    return replace(log, rows=rows)


def same(one, other, chosen, names=NAMES):
    """Compare columns of the chosen events."""
    ids = pl.Series(chosen)
    picked = [
        frame.filter(pl.col("event_id").is_in(ids.implode())).select(names)
        for frame in (one, other)
    ]
    return picked[0].equals(picked[1])


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_what_happens_from_a_slice_on_does_not_reach_its_past(log, wide, number):
    piece = pieces_of(log)
    ids = log.rows["event_id"].to_numpy()
    later = log.rows["time"].to_numpy() >= CUT[number].start_s
    after = wide_of(altered(log, later))
    # Encodings are fitted within train, out of fold: only train itself may reach train.
    names = [name for name in NAMES if number > 1 or not name.startswith("te_")]
    past_only = [
        name for name in names if not name.endswith(("followers", "following", "per_following"))
    ]
    assert same(wide, after, ids[piece == number], past_only)
    if number < 3 and CUT[number + 1].known_s > CUT[number].start_s:
        assert not same(wide, after, ids[piece == number + 1])


def test_shifting_or_removing_the_future_changes_no_feature(log, wide):
    piece, ids = pieces_of(log), log.rows["event_id"].to_numpy()
    for first in (2, 3):
        begin = CUT[first].start_s
        time = pl.col("time")
        moved = pl.when(time >= begin).then((time + 3600).clip(upper_bound=END_S - 1))
        shifted = replace(log, rows=log.rows.with_columns(time=moved.otherwise(time)))
        gone = replace(log, rows=log.rows.filter(time < begin))
        before = ids[(piece >= 0) & (piece < first)]
        for other in (shifted, gone):
            assert same(wide, wide_of(other), before)


def test_an_engagement_that_comes_after_the_start_is_not_known(log, wide):
    piece, ids = pieces_of(log), log.rows["event_id"].to_numpy()
    for number in (2, 3):
        start = CUT[number].start_s
        known = [
            pl.when(pl.col(f"{name}_at") < start).then(f"{name}_at").alias(f"{name}_at")
            for name in ("engaged", *LABELS)
        ]
        late = log.rows.filter(pl.col("time") < start, pl.col("engaged_at") >= start)
        assert late.height > 5
        other = wide_of(replace(log, rows=log.rows.with_columns(known)))
        assert same(wide, other, ids[(piece >= 0) & (piece <= number)])


def test_held_out_readers_and_later_windows_reach_no_fit(log, wide):
    piece, ids = pieces_of(log), log.rows["event_id"].to_numpy()
    held = held_out(log.rows["reader_id"].to_numpy(), HOLDOUT)
    unseen = held | ~np.isin(piece, (0, 1))
    assert 0 < held.mean() < 1
    assert same(wide, wide_of(altered(log, unseen)), ids, FITTED)
    assert not same(wide, wide_of(altered(log, ~unseen)), ids, FITTED)
    assert not same(wide, wide_of(log, holdout_users=0), ids, FITTED)


def test_a_readers_own_labels_in_train_do_not_reach_its_encodings(log, wide):
    encodings = [name for name in NAMES if name.startswith("te_")]
    rows = log.rows
    in_train = np.isin(pieces_of(log), (0, 1))
    trained = rows.filter(in_train & ~held_out(rows["reader_id"].to_numpy(), HOLDOUT))
    reader = trained["reader_id"][0]
    own = (rows["reader_id"] == reader).to_numpy() & in_train
    other = wide_of(altered(log, own))
    assert same(wide, other, rows["event_id"].to_numpy()[own], encodings)
    assert not same(wide, other, rows["event_id"].to_numpy(), encodings)


def test_the_labels_of_a_train_events_own_tweet_do_not_reach_its_encodings(log, wide):
    encodings = [name for name in NAMES if name.startswith("te_")]
    rows, in_train = log.rows, np.isin(pieces_of(log), (0, 1))
    tweet = rows.filter(in_train)["tweet_id"].value_counts(sort=True)["tweet_id"][0]
    own = (rows["tweet_id"] == tweet).to_numpy() & in_train
    assert own.sum() > 1
    other = wide_of(altered(log, own))
    assert same(wide, other, rows["event_id"].to_numpy()[own], encodings)
    assert not same(wide, other, rows["event_id"].to_numpy(), encodings)


def test_no_flag_of_a_token_is_that_of_every_text(wide):
    flags = wide.select(pl.col("^token_.*$").mean())
    assert all(0 < share < 1 for share in flags.row(0) if share)


def test_the_first_slice_may_have_no_past_at_all(log):
    recent = replace(log, rows=log.rows.filter(pl.col("time") >= CUT[0].start_s))
    found = wide_of(recent).filter(
        pl.col("event_id").is_in(log.rows["event_id"].filter(pieces_of(log) == 0).implode())
    )
    assert found.height > 5
    assert (found["pair_shown"] == 0).all()
    assert found["reader_like_rate"].is_null().all()
    assert found["rows_cosine"].is_null().all()
