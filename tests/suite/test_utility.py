import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    log_loss,
    roc_auc_score,
)

from suite.utility import Scores, best_threshold, cross_entropy, utility


def window(seed, *, num_events=400, shift=0.0):
    rng = np.random.default_rng(seed)
    label = rng.random(num_events) < 0.3
    logit = (rng.normal(size=num_events) + label + shift).astype(np.float32)
    return Scores(logit, label, rng.integers(0, 40, num_events))


def test_utility_agrees_with_scikit_learn():
    validation, test, weight = window(0), window(1), 2.3
    found = utility(validation, test, weight)
    probability = 1 / (1 + np.exp(-(test.logit.astype(np.float64) - np.log(weight))))
    engaged = probability >= 1 / (1 + np.exp(-found.threshold))

    assert found.auc == pytest.approx(roc_auc_score(test.label, probability), abs=1e-12)
    assert found.ap == pytest.approx(average_precision_score(test.label, probability), abs=1e-12)
    assert found.log_loss == pytest.approx(log_loss(test.label, probability), abs=1e-12)
    assert found.f1 == pytest.approx(f1_score(test.label, engaged))
    assert found.accuracy == pytest.approx(accuracy_score(test.label, engaged))
    assert found.auc_low < found.auc < found.auc_high


def test_four_events_worked_by_hand():
    events = Scores(
        logit=np.log([3.0, 1.0, 1.0 / 3.0, 1.0 / 3.0]),
        label=np.array([True, False, True, False]),
        user_id=np.array([1, 2, 3, 4]),
    )
    found = utility(events, events, 1.0)

    # Probabilities 3/4, 1/2, 1/4, 1/4. Pairs won: 2, and 0 plus a tie: 2.5 of 4.
    assert found.auc == pytest.approx(2.5 / 4)
    # Cut at 3/4: F1 2/3. At 1/2: 1/2. At 1/4: 2/3. The smallest of the best is taken.
    assert found.threshold == pytest.approx(np.log(1 / 3))
    assert found.f1 == pytest.approx(2 / 3)
    assert found.accuracy == pytest.approx(1 / 2)
    expected = -(np.log(3 / 4) + np.log(1 / 2) + np.log(1 / 4) + np.log(3 / 4)) / 4
    assert found.log_loss == pytest.approx(expected)
    assert found.rce == pytest.approx(100 * (1 - expected / np.log(2)))


def test_the_base_rate_has_no_relative_cross_entropy():
    label = np.arange(100) < 20
    users = np.arange(100)
    flat = Scores(np.full(100, np.log(0.25)), label, users)
    assert utility(flat, flat, 1.0).rce == pytest.approx(0, abs=1e-9)


def test_the_class_weight_is_taken_out_of_the_probability():
    plain = utility(window(0), window(1), 1.0)
    weighted = utility(window(0, shift=np.log(5.0)), window(1, shift=np.log(5.0)), 5.0)

    for name in ("auc", "ap", "f1", "accuracy", "log_loss", "rce", "threshold"):
        assert getattr(weighted, name) == pytest.approx(getattr(plain, name), abs=1e-5)


def test_the_threshold_is_chosen_on_validation_alone():
    validation = window(0)
    one, other = (utility(validation, window(seed), 1.0).threshold for seed in (1, 2))
    assert one == other == best_threshold(validation.logit.astype(float), validation.label)


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30).filter(
        lambda events: len({label for _, label in events}) == 2
    )
)
@settings(max_examples=100, deadline=None)
def test_no_other_threshold_has_a_larger_f1(events):
    score = np.array([float(value) for value, _ in events])
    label = np.array([value for _, value in events])
    chosen = f1_score(label, score >= best_threshold(score, label))
    assert chosen == pytest.approx(max(f1_score(label, score >= cut) for cut in set(score)))


def test_cross_entropy_stays_finite_where_probabilities_round_to_0_and_1():
    log_odds = np.array([800.0, -800.0])
    assert cross_entropy(log_odds, np.array([True, False])) == 0
    assert cross_entropy(log_odds, np.array([False, True])) == 800


def test_scores_come_from_the_table_of_a_fitted_model():
    table = pl.DataFrame(
        {
            "user_id": [7, 8, 9],
            "window": ["test", "validation", "test"],
            "engaged": [1.0, 0.0, 0.0],
            "logit": [0.5, 0.1, -2.0],
        }
    )
    scores = Scores.of(table, "test")
    assert scores.user_id.tolist() == [7, 9]
    assert scores.label.tolist() == [True, False]
    assert scores.logit.tolist() == [0.5, -2.0]


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("place", [0, 1])
def test_one_class_is_refused_in_one_line(value, place):
    windows = [window(0), window(1)]
    good = windows[place]
    windows[place] = Scores(good.logit, np.full(len(good.label), value), good.user_id)
    name = ("validation", "test")[place]
    with pytest.raises(ValueError, match=f"^{name} window: .* two classes are needed$"):
        utility(*windows, 1.0)


def test_an_empty_window_is_refused():
    empty = Scores(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="0 of 0 events"):
        utility(window(0), empty, 1.0)


def test_a_logit_that_is_not_finite_is_refused():
    bad = window(1)
    bad.logit[3] = np.nan
    with pytest.raises(ValueError, match="test window: found 1 logit NaN or infinite"):
        utility(window(0), bad, 1.0)
