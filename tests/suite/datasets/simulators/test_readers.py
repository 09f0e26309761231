import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from suite.datasets.simulators.readers import (
    CATEGORIES,
    NUM_TRAITS,
    WEEK_S,
    Articles,
    Traits,
    Visits,
    both_exceed,
    engagement,
    scores_by_week,
)

WEEK = 2785 * WEEK_S + 7 * 3600
"""A Thursday at 07:00."""


def articles_of(rng, count=400):
    return Articles.draw(rng, count, WEEK - WEEK_S, WEEK + WEEK_S)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-0.95, 0.95))
def test_both_exceed_is_the_integral_that_scipy_computes(h, k, correlation):
    if abs(h) < 1e-6 or abs(k) < 1e-6:
        return
    covariance = [[1, correlation], [correlation, 1]]
    expected = multivariate_normal(cov=covariance).cdf([-h, -k])

    found = both_exceed(np.array([h]), np.array([k]), np.array([correlation]))
    assert found[0] == pytest.approx(expected, abs=2e-5)


def test_probabilities_of_engagement_are_the_rates_of_repeated_visits():
    rng = np.random.default_rng(0)
    articles = articles_of(rng)
    traits = Traits.of(rng.standard_normal((3, NUM_TRAITS + len(CATEGORIES))), 0.8)
    visits = Visits.draw(rng, articles, traits, np.full(3, 60_000), np.full(3, WEEK))
    engaged = (visits.read_s > 30) & (visits.scroll_percent > 50)
    probability = engagement(articles, traits, visits, 30, 50)

    # Visits of like probability: calibrated in every tenth, to 4 standard errors.
    for part in np.array_split(np.argsort(probability), 10):
        error = np.sqrt((probability[part] * (1 - probability[part])).mean() / len(part))
        assert abs(engaged[part].mean() - probability[part].mean()) < 4 * error + 1e-4


def test_readers_without_identity_are_all_alike():
    scores = np.random.default_rng(0).standard_normal((5, NUM_TRAITS + len(CATEGORIES)))
    traits = Traits.of(scores, 0.0)

    for values in vars(traits).values():
        assert (values == values[:1]).all()


def test_activity_has_mean_one_and_a_heavy_tail():
    scores = np.random.default_rng(0).standard_normal((200_000, NUM_TRAITS + len(CATEGORIES)))
    activity = Traits.of(scores, 1.0).activity

    assert activity.mean() == pytest.approx(1, abs=0.02)
    assert np.quantile(activity, 0.99) > 3 * activity.mean()


@pytest.mark.parametrize(("drift", "expected"), [(0.0, 1.0), (0.3, 0.7), (1.0, 0.0)])
def test_neighboring_weeks_correlate_by_one_minus_drift(drift, expected):
    scores = scores_by_week(np.random.default_rng(0), 3, 2000, drift)

    for week in (1, 2):
        found = np.corrcoef(scores[week - 1].ravel(), scores[week].ravel())[0, 1]
        assert found == pytest.approx(expected, abs=0.02)
        assert scores[week].std() == pytest.approx(1, abs=0.02)


def test_visits_lie_in_their_week_in_time_order():
    rng = np.random.default_rng(1)
    traits = Traits.of(rng.standard_normal((20, NUM_TRAITS + len(CATEGORIES))), 1.0)
    visits = Visits.draw(rng, articles_of(rng), traits, np.arange(20), np.full(20, WEEK))

    assert np.bincount(visits.row, minlength=20).tolist() == list(range(20))
    assert ((visits.time_s >= WEEK) & (visits.time_s < WEEK + WEEK_S)).all()
    assert (np.diff(visits.time_s)[np.diff(visits.row) == 0] >= 0).all()
    assert set(visits.device) <= {1, 2, 3}


def test_a_recent_article_has_the_category_and_was_published_before():
    rng = np.random.default_rng(2)
    articles = articles_of(rng)
    category = rng.integers(0, len(CATEGORIES), 500)
    time_s = WEEK + rng.integers(0, WEEK_S, 500)
    picked = articles.recent(rng, category, time_s)

    assert (articles.category[picked] == category).all()
    assert (articles.published_s[picked] <= time_s).all()


def test_reading_depends_on_the_length_of_the_article_and_on_the_hour():
    rng = np.random.default_rng(3)
    articles = articles_of(rng)
    traits = Traits.of(np.zeros((1, NUM_TRAITS + len(CATEGORIES))), 0.0)
    visits = Visits.draw(rng, articles, traits, np.array([50_000]), np.array([WEEK]))
    log_read = np.log(np.maximum(visits.read_s, 1))
    hour = visits.time_s % 86_400 // 3600

    assert np.corrcoef(log_read, articles.length_z[visits.article])[0, 1] > 0.2
    assert log_read[hour == 21].mean() > log_read[hour == 9].mean() + 0.3
