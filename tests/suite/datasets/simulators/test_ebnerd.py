import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from suite.datasets.check import check
from suite.datasets.ebnerd import LAYOUT, MARKER, EBNeRD
from suite.datasets.simulators import ebnerd as simulate_ebnerd
from suite.datasets.simulators.ebnerd import simulate
from suite.datasets.synthetic import Synthetic
from suite.features.encode import features

SPLITS = ("train", "validation")


def frames(folder):
    return {name: pl.read_parquet(folder / name) for name in LAYOUT}


def clicks(folder, split):
    return (
        pl.read_parquet(folder / split / "history.parquet")
        .explode(pl.exclude("user_id"))
        .sort("user_id", "impression_time_fixed", maintain_order=True)
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "world"
    return folder, simulate(folder, users=300, seed=5)


def test_the_files_have_the_official_columns_and_dtypes(world):
    folder, simulation = world
    found = frames(folder)

    assert {name: frame.schema for name, frame in found.items()} == LAYOUT
    rows = sum(found[f"{split}/behaviors.parquet"].height for split in SPLITS)
    assert simulation.impressions == rows
    assert simulation.articles == found["articles.parquet"].height
    assert simulation.clicks == sum(clicks(folder, split).height for split in SPLITS)


def test_nulls_lists_and_times_are_like_those_of_the_real_files(world):
    folder, _ = world
    for split, start in zip(SPLITS, ("2023-05-18T07:00", "2023-05-25T07:00"), strict=True):
        behaviors = pl.read_parquet(folder / split / "behaviors.parquet")
        history = pl.read_parquet(folder / split / "history.parquet")
        start = np.datetime64(start)
        since_start = behaviors["impression_time"].to_numpy() - start
        before = start - clicks(folder, split)["impression_time_fixed"].to_numpy()

        assert behaviors["impression_id"].is_unique().all()
        assert (behaviors["article_id"].is_null() == behaviors["scroll_percentage"].is_null()).all()
        for name in ("article_id", "gender", "age", "next_read_time", "next_scroll_percentage"):
            assert 0 < behaviors[name].null_count() < behaviors.height
        assert behaviors["article_ids_inview"].list.len().is_between(5, 100).all()
        clicked = pl.col("article_ids_clicked").list.first()
        assert behaviors.select(pl.col("article_ids_inview").list.contains(clicked).all()).item()
        assert since_start.min() >= np.timedelta64(0)
        assert since_start.max() < np.timedelta64(7, "D")
        assert history["article_id_fixed"].list.len().min() >= 5
        assert clicks(folder, split)["scroll_percentage_fixed"].null_count() > 0
        assert before.min() > np.timedelta64(0)
        assert np.timedelta64(20, "D") < before.max() <= np.timedelta64(21, "D")


def test_articles_are_published_before_they_are_clicked(world):
    folder, _ = world
    published = pl.read_parquet(folder / "articles.parquet").select(
        pl.col("article_id").alias("article_id_fixed"), "published_time"
    )
    joined = clicks(folder, "validation").join(published, on="article_id_fixed", how="left")

    assert joined.select((pl.col("published_time") <= pl.col("impression_time_fixed")).all()).item()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(world, tmp_path):
    folder, _ = world
    simulate(tmp_path / "same", users=300, seed=5)
    simulate(tmp_path / "other", users=300, seed=6)

    for name in (*LAYOUT, MARKER):
        content = (folder / name).read_bytes()
        assert (tmp_path / "same" / name).read_bytes() == content
        assert (tmp_path / "other" / name).read_bytes() != content


def test_histories_share_the_clicks_of_their_common_fourteen_days(world):
    folder, _ = world
    train, later = (clicks(folder, split) for split in SPLITS)
    time = pl.col("impression_time_fixed")
    opens = pl.datetime(2023, 5, 4, 7)

    shared = later.filter(time < pl.datetime(2023, 5, 18, 7))
    assert shared.equals(train.filter(time >= opens))
    assert 0.5 * train.height < shared.height < 0.8 * train.height


def test_histories_of_seven_days_share_no_click(tmp_path):
    simulate(tmp_path / "world", users=50, seed=0, history_days=7)
    train, later = (clicks(tmp_path / "world", split)["impression_time_fixed"] for split in SPLITS)

    assert train.max() < later.min()


def test_the_bayes_auc_is_what_a_good_model_reaches_and_none_exceeds(tmp_path):
    """With identity 0 the category, length, hour and device of an event are all there is."""
    simulation = simulate(tmp_path / "world", users=2000, seed=0, identity=0.0)
    part = EBNeRD(path=str(tmp_path / "world"))
    tables = check(part.tables())
    items = tables.items.select("item_id", "category", "body_length")
    rows = (
        tables.events.join(items, on="item_id")
        .with_columns(
            category=pl.col("category").cast(pl.Categorical).to_physical(),
            hour=pl.col("time").dt.convert_time_zone(part.time_zone).dt.hour(),
        )
        .collect()
    )
    inputs = rows.select("category", "body_length", "hour", "device").to_numpy().astype(float)
    engaged, test = rows["engaged"].to_numpy(), (rows["window"] == "test").to_numpy()
    model = HistGradientBoostingClassifier(
        max_iter=30, max_leaf_nodes=8, categorical_features=[0], random_state=0
    ).fit(inputs[~test], engaged[~test])

    reached = roc_auc_score(engaged[test], model.predict_proba(inputs[test])[:, 1])
    assert simulation.bayes_auc - 0.02 < reached < simulation.bayes_auc + 0.005


def test_the_best_auc_is_realistic_by_default(world):
    assert 0.7 < world[1].bayes_auc < 0.8


def test_a_simulated_folder_says_so(world):
    folder, simulation = world

    assert EBNeRD(path=str(folder)).synthetic
    assert folder / MARKER in EBNeRD(path=str(folder)).files()
    assert json.loads((folder / MARKER).read_text()) == asdict(simulation)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(ValueError, match="exists and is not empty, a new or empty folder"):
        simulate(tmp_path, users=10, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failure_leaves_nothing_half_written(tmp_path, monkeypatch):
    monkeypatch.setattr(simulate_ebnerd, "USERS_PER_CHUNK", 50)
    drawn = simulate_ebnerd.scores_by_week
    calls = iter(range(2))

    def fail_in_the_third_chunk(*arguments):
        if next(calls, None) is None:
            raise OSError("no space left")
        return drawn(*arguments)

    monkeypatch.setattr(simulate_ebnerd, "scores_by_week", fail_in_the_third_chunk)
    with pytest.raises(OSError, match="no space left"):
        simulate(tmp_path / "world", users=200, seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"identity": 1.5}, r"identity: found 1\.5, must be in \[0, 1\]"),
        ({"drift": -1}, r"drift: found -1, must be in \[0, 1\]"),
        ({"users": 0}, "users: found 0, must be at least 1"),
        ({"seed": -1}, "seed: found -1, must be at least 0"),
        ({"history_days": 6}, "history_days: found 6, must be at least 7"),
    ],
)
def test_a_parameter_out_of_range_is_refused(tmp_path, parameters, text):
    with pytest.raises(ValueError, match=text):
        simulate(tmp_path / "world", **{"users": 10, "seed": 0} | parameters)
    assert list(tmp_path.iterdir()) == []


def raw_top1(**parameters):
    """Share of users whose test history lies nearest to their own train history, and chance."""
    part = Synthetic(**parameters)
    arrays = features(check(part.tables()), time_zone=part.time_zone, holdout_users=0.2)
    rows = {
        window: dict(arrays.events.filter(window=window).select("user_id", "row").iter_rows())
        for window in ("train", "test")
    }
    users = sorted(rows["train"].keys() & rows["test"].keys())
    gallery, probes = (
        arrays.aggregates[[rows[window][user] for user in users], :21].astype(float)
        for window in ("train", "test")
    )
    squared = ((probes[:, None] - gallery[None]) ** 2).sum(axis=2)
    return (squared.argmin(axis=1) == np.arange(len(users))).mean(), 1 / len(users)


def test_individual_readers_are_identified_by_raw_aggregates():
    top1, _ = raw_top1(users=600, identity=1.0, drift=0.0)

    assert top1 > 0.9


def test_nothing_links_the_windows_of_readers_who_are_all_alike():
    top1, chance = raw_top1(users=600, identity=0.0, history_days=7)

    # Hits of a blind guess are nearly Poisson with mean 1: more than 5 has a chance of 0.0006.
    assert top1 < 5.5 * chance


def test_readers_who_change_wholly_every_week_are_not_linked():
    top1, chance = raw_top1(users=600, identity=1.0, drift=1.0, history_days=7)

    assert top1 < 5.5 * chance
