from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from scipy.stats import chisquare

from suite.datasets.base import EVENTS
from suite.datasets.check import check
from suite.datasets.describe import describe
from suite.datasets.negatives import Negatives, negatives, observed
from suite.datasets.table import Table
from suite.parts import Part
from suite.plan import plan
from suite.search.results import dataset_notes
from suite.spec import Suite
from suite.steps.attack import attack
from suite.steps.features import prepare
from suite.steps.represent import represent

START = datetime(2024, 5, 6, tzinfo=ZoneInfo("UTC"))


def purchases(users=20, each=60, num_items=50):
    """Each user buys items of one half of the shop, the first of it most often."""
    rng = np.random.default_rng(5)
    weight = 1 / np.arange(1, num_items // 2 + 1)
    return pl.DataFrame(
        [
            {
                "user_id": f"u{user}",
                "item_id": int(2 * rng.choice(num_items // 2, p=weight / weight.sum()) + user % 2),
                "time": START + timedelta(hours=7 * n, minutes=user),
            }
            for user in range(users)
            for n in range(each)
        ]
    )


def table(tmp_path, rows=None, **parameters):
    rows = purchases() if rows is None else rows
    rows.write_parquet(tmp_path / "purchases.parquet")
    how = {"windows": "share, 0.4/0.3/0.1/0.2", "negatives": {"per_positive": 4}} | parameters
    return Table(events=str(tmp_path / "purchases.parquet"), **how)


def sampled(tables):
    return tables.events.filter(pl.col("sampled_for").is_not_null()).collect()


@pytest.mark.parametrize("source", ["popular", "uniform"])
def test_each_positive_gets_distinct_items_that_its_user_never_had(tmp_path, source):
    tables = table(tmp_path, negatives={"per_positive": 3, "from": source}).tables()
    events, log = tables.events.collect(), purchases()
    had = {user: set(rows["item_id"]) for (user,), rows in log.group_by("user_id")}
    users = sorted(had, key=lambda user: min(log.filter(pl.col("user_id") == user)["time"]))

    real = observed(events)
    by_id = {row["event_id"]: row for row in real.to_dicts()}
    first = real.group_by("user_id").agg(pl.col("time").min()).sort("time")["user_id"].to_list()
    native = dict(zip(first, users, strict=True))
    chosen = Counter()
    for row in sampled(tables).to_dicts():
        copied = by_id[row["sampled_for"]]
        assert row["item_id"] not in had[native[row["user_id"]]]
        same = [name for name in EVENTS if name not in ("event_id", "item_id", "engaged")]
        assert [row[name] for name in same] == [copied[name] for name in same]
        assert not row["engaged"]
        chosen[row["sampled_for"], row["item_id"]] += 1
    assert set(chosen.values()) == {1}
    assert Counter(event for event, _ in chosen) == dict.fromkeys(by_id, 3)
    assert real["engaged"].all()
    assert events["event_id"].n_unique() == events.height


@pytest.mark.parametrize(("source", "power"), [("popular", 1), ("uniform", 0)])
def test_items_are_drawn_by_their_weights_among_those_left(tmp_path, source, power):
    how = {"per_positive": 1, "from": source}
    drawn = Counter(sampled(table(tmp_path, negatives=how).tables())["item_id"])
    log = purchases()
    counts = dict(log.group_by("item_id").len().iter_rows())
    expected = Counter()
    for (_,), rows in log.group_by("user_id"):
        left = {item: n**power for item, n in counts.items() if item not in set(rows["item_id"])}
        for item, weight in left.items():
            expected[item] += 36 * weight / sum(left.values())
    often = {item for item, n in expected.items() if n >= 5}
    group = {item: item if item in often else "others" for item in expected}
    found, awaited = Counter(), Counter()
    for item, name in group.items():
        found[name] += drawn[item]
        awaited[name] += expected[item]

    assert sum(found.values()) == 20 * 36
    assert chisquare([found[name] for name in awaited], [*awaited.values()]).pvalue > 0.001


def test_what_is_left_of_a_nearly_full_shop_is_found(tmp_path):
    # One user had 299 of 300 items: each draw hits the last with probability 1/300.
    hours = [START + timedelta(hours=n) for n in range(299)]
    rows = pl.DataFrame({"user_id": "a", "item_id": range(299), "time": hours})
    other = pl.DataFrame({"user_id": "b", "item_id": [299] * 20, "time": hours[:20]})
    part = table(tmp_path, pl.concat([rows, other]), negatives={"per_positive": 2})
    tables = part.tables()
    of_a = sampled(tables).filter(pl.col("item_id") == 299)

    assert of_a.height == 299 - 119
    assert tables.dropped["negative of a user who has had every item"] == of_a.height


def test_draws_depend_on_the_seed_and_not_on_the_order_of_the_file(tmp_path):
    first = sampled(table(tmp_path).tables())
    again = sampled(table(tmp_path, purchases().sample(fraction=1, shuffle=True, seed=2)).tables())
    other = sampled(table(tmp_path, negatives={"per_positive": 4, "seed": 1}).tables())

    assert first.equals(again)
    assert not first["item_id"].equals(other["item_id"])


def test_items_of_the_future_are_not_drawn(tmp_path):
    published = [START + timedelta(hours=6 * item) for item in range(50)]
    items = pl.DataFrame({"item_id": range(50), "published": published})
    items.write_parquet(tmp_path / "items.parquet")
    part = table(tmp_path, items=str(tmp_path / "items.parquet"))
    drawn = sampled(part.tables()).join(
        items.with_columns(pl.col("item_id").cast(pl.Int64)), on="item_id"
    )

    assert drawn.height > 0
    assert (drawn["published"] <= drawn["time"]).all()


def test_a_description_tells_observed_from_sampled_events(tmp_path):
    found = describe(check(table(tmp_path).tables()))

    assert found.num_events == 20 * 36
    assert found.events_per_user == 36
    assert found.windows["test"]["events"] == 20 * 12
    assert found.windows["test"]["sampled"] == 20 * 12 * 4
    assert found.windows["test"]["engaged"] == pytest.approx(0.2)
    assert found.filled == {"sampled negatives, 4 per positive, popular": 20 * 36 * 4}


def test_sampled_events_make_nobody_linkable(tmp_path):
    # 3 of 9 observed test events would be enough with their negatives.
    rows = purchases(each=12)

    with pytest.raises(ValueError, match="no user has 4 events in train and in test"):
        check(table(tmp_path, rows).tables())


def test_protocols_link_observed_events_only(tmp_path):
    part = table(tmp_path)
    given = {"events": part.events, "windows": part.windows, "negatives": part.negatives}
    features = prepare(dataset=Part(name="table", parameters=given), holdout_users=0.2)
    released = represent(features, model=Part(name="logistic"), release="raw")
    parts = {"protocol": "rolling", "attack": "cosine"}
    parts = {kind: Part(name=name) for kind, name in parts.items()}
    outcome = attack(features, released, **parts, seed=0)

    assert len(released.vector) == 20 * 36 * 5
    real = observed(features.events)
    test = real.filter(pl.col("window") == "test")["event_id"]
    assert sorted(outcome.probes["event_id"]) == sorted(test)
    assert outcome.num_dropped == 0


def test_every_table_names_the_sampling(tmp_path):
    part = table(tmp_path)
    given = {"events": part.events, "windows": part.windows, "negatives": part.negatives}
    suite = Suite(
        suite="mine",
        datasets=[{"table": given}],
        models=["logistic"],
        protocols=["rolling"],
        attacks=["cosine"],
    )

    (cell,) = plan.plans(suite)
    said = "sampled negatives, 4 per positive, popular, no item attributes"
    assert cell.names["dataset"] == f"table, {said}"
    assert dataset_notes(suite) == [said]
    assert table(tmp_path, items="items.csv").note == said.removesuffix(", no item attributes")


def test_a_log_with_its_own_negatives_has_no_note(tmp_path):
    assert table(tmp_path, negatives=None).note == ""


def test_a_label_beside_negatives_must_hold_for_every_event(tmp_path):
    bought = purchases().with_columns(event=pl.lit("buy"), engaged=pl.lit(1))
    by_label = table(tmp_path, bought, label={"column": "event", "positive": ["buy"]}).tables()
    assert by_label.events.collect().height == 20 * 36 * 5

    viewed = bought.with_columns(engaged=(pl.int_range(pl.len()) > 2).cast(pl.Int8))
    with pytest.raises(ValueError, match=r"parquet: 3 of 1200 events are not engaged by engaged; "):
        table(tmp_path, viewed).tables()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"per_positives": 4}, "negatives: unknown key 'per_positives'; did you mean 'per_positiv"),
        ({"per_positive": 0}, "negatives.per_positive: found 0, must be an integer from 1"),
        ({"per_positive": 1.5}, "negatives.per_positive: found 1.5, must be an integer from"),
        ({"per_positive": True}, "negatives.per_positive: found True, must be an integer"),
        ({"seed": -1}, "negatives.seed: found -1, must be an integer from 0"),
        ({"from": "recent"}, "negatives.from: found 'recent', allowed: popular, uniform"),
    ],
)
def test_other_negatives_are_refused(given, said):
    with pytest.raises(ValueError, match=r".") as error:
        negatives(given)
    assert str(error.value).startswith(said)


def test_the_defaults_are_four_popular_ones():
    assert negatives({}) == Negatives(per_positive=4, source="popular", seed=0)
    assert negatives({"from": "uniform"}).source == "uniform"
