from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from suite.artifacts.figures import LabelFigures
from suite.artifacts.fitted import Fitted
from suite.features.encode import features
from suite.steps.labels import area, average_precision, measure_labels
from tests.canonical import wide_world


@settings(max_examples=100, deadline=None)
@given(data=st.data(), n=st.integers(2, 30))
def test_weighted_figures_are_those_of_the_repeated_events(data, n):
    score = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), float)
    label = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    label[:2] = True, False
    draws = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    weight = np.array([data.draw(draws) for _ in range(3)], float).T
    weight[:2] = 1
    known = ((average_precision, average_precision_score), (area, roc_auc_score))
    for ours, theirs in known:
        found = ours(score, label, weight)
        for column, value in zip(weight.astype(int).T, found, strict=True):
            rows = np.repeat(np.arange(n), column)
            assert value == pytest.approx(theirs(label[rows], score[rows]))


@pytest.fixture(scope="module")
def made():
    return features(wide_world(5, users=80), time_zone="UTC", holdout_users=0.2)


def scored(made, *, sharpness=1.0, weight=(1.0, 1.0)):
    """Logits that tell ``engaged`` and ``like`` to some degree, under weights of the loss."""
    rng = np.random.default_rng(0)
    events = made.events.filter(pl.col("window") != "train")
    columns = {}
    for name, w in zip(("engaged", "like"), weight, strict=True):
        truth = events[name].cast(pl.Int8).to_numpy() * 2.0 - 1
        logit = sharpness * truth + rng.normal(size=len(truth)) + np.log(w)
        columns[name] = events[name]
        columns["logit" if name == "engaged" else f"logit_{name}"] = logit.astype(np.float32)
    scores = events.select("event_id", "user_id", "window").with_columns(**columns)
    return Fitted({}, scores, [], list(weight), 7, {"text/perplexity_after": 3.0})


def test_the_figures_are_scikit_learns_whatever_the_weight_of_the_loss(made):
    fitted = scored(made, weight=(3.0, 0.5))
    found = {row["label"]: row for row in measure_labels(made, fitted, replicates=50, seed=0).rows}
    test = fitted.scores.filter(pl.col("window") == "test")
    for name, column, weight in (("engaged", "logit", 3.0), ("like", "logit_like", 0.5)):
        logit = test[column].to_numpy().astype(float) - np.log(weight)
        label = test[name].to_numpy()
        naive = log_loss(label, np.full(len(label), label.mean()))
        rce = 100 * (1 - log_loss(label, 1 / (1 + np.exp(-logit))) / naive)
        assert found[name]["ap"] == pytest.approx(average_precision_score(label, logit))
        assert found[name]["auc"] == pytest.approx(roc_auc_score(label, logit))
        assert found[name]["rce"] == pytest.approx(rce, rel=1e-6)
        assert found[name]["base"] == pytest.approx(label.mean())
    assert found["mean"]["ap"] == found["like"]["ap"]


def test_intervals_hold_the_figure_and_shrink_with_more_users(made):
    rows = measure_labels(made, scored(made), replicates=300, seed=0).rows
    more = features(wide_world(5, users=320), time_zone="UTC", holdout_users=0.2)
    narrow = measure_labels(more, scored(more), replicates=300, seed=0).rows
    for row, other in zip(rows, narrow, strict=True):
        for key in ("ap", "auc", "rce"):
            assert row[f"{key}_low"] < row[key] < row[f"{key}_high"]
            width, less = (r[f"{key}_high"] - r[f"{key}_low"] for r in (row, other))
            assert less < 0.8 * width


def test_resamples_without_a_positive_event_do_not_count(made):
    fitted = scored(made)
    one = fitted.scores.filter(pl.col("window") == "test", pl.col("like"))["user_id"][0]
    rare = pl.col("like") & ((pl.col("window") != "test") | (pl.col("user_id") == one))
    fitted = replace(fitted, scores=fitted.scores.with_columns(like=rare))
    for row in measure_labels(made, fitted, replicates=200, seed=0).rows:
        for key in ("ap", "auc", "rce"):
            assert np.isfinite([row[key], row[f"{key}_low"], row[f"{key}_high"]]).all()
        assert row["rce_low"] > -1e5


def test_resamples_are_cut_into_pieces_without_a_trace(made, monkeypatch):
    whole = measure_labels(made, scored(made), replicates=30, seed=0)
    monkeypatch.setattr("suite.steps.labels.DRAWN_AT_ONCE", 500)
    assert measure_labels(made, scored(made), replicates=30, seed=0) == whole


def test_a_sharper_model_is_better_on_every_label(made):
    blunt, sharp = (
        measure_labels(made, scored(made, sharpness=s), replicates=20, seed=0).rows
        for s in (0.5, 2)
    )
    for one, other in zip(blunt, sharp, strict=True):
        assert other["ap"] > one["ap"]
        assert other["rce"] > one["rce"]


def test_fine_tuned_scores_are_a_stage_of_their_own(made):
    fitted, better = scored(made), scored(made, sharpness=3)
    beside = {f"finetuned_{name}": better.scores[name] for name in ("logit", "logit_like")}
    both = replace(fitted, scores=fitted.scores.with_columns(**beside))
    found = measure_labels(made, both, replicates=20, seed=0).rows
    assert found[:3] == measure_labels(made, fitted, replicates=20, seed=0).rows
    assert [row["stage"] for row in found] == ["fitted"] * 3 + ["fine-tuned"] * 3
    assert found[3]["ap"] > found[0]["ap"]


def test_categories_split_the_test_events_and_are_called_by_name():
    many = features(wide_world(5, users=700), time_zone="UTC", holdout_users=0.2)
    fitted = scored(many)
    result = measure_labels(many, fitted, replicates=5, seed=0)
    names = {row["category"] for row in result.by_category}
    assert names <= {"unknown", *many.statistics["categories"]}
    assert len(names) > 5
    ids = dict(enumerate(["unknown", *many.statistics["categories"]]))
    row = next(r for r in result.by_category if r["label"] == "like")
    events = many.events.with_columns(number=pl.Series(many.categorical[:, 0])).filter(
        pl.col("window") == "test"
    )
    chosen = events.filter(pl.col("number").replace_strict(ids) == row["category"])
    part = fitted.scores.join(chosen, on="event_id", how="semi")
    assert row["events"] == len(chosen)
    assert row["ap"] == pytest.approx(average_precision_score(part["like"], part["logit_like"]))


def test_a_label_without_both_classes_is_left_out(made):
    fitted = scored(made)
    never = replace(fitted, scores=fitted.scores.with_columns(like=False))
    rows = measure_labels(made, never, replicates=5, seed=0).rows
    assert [row["label"] for row in rows] == ["engaged", "mean"]


def test_results_are_saved_and_loaded(made, tmp_path):
    result = measure_labels(made, scored(made), replicates=5, seed=0)
    result.save(tmp_path)
    assert LabelFigures.load(tmp_path) == result
