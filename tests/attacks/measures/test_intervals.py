"""Intervals over users against closed forms, brute force and populations of known truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, t

from attacks.measures.intervals import (
    clopper_pearson,
    degrees_of_freedom,
    rate_intervals,
    skewed_bounds,
    skewed_p,
    spread,
)
from tests.populations import Population, figures


@given(hits=st.integers(0, 40), misses=st.integers(0, 40), level=st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_clopper_pearson_equals_scipy_from_none_to_all(hits, misses, level):
    trials = hits + misses
    if trials == 0:
        return
    expected = binomtest(hits, trials).proportion_ci(level, method="exact")

    found = clopper_pearson(hits / trials, trials, level=level)

    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_error_of_a_ratio_is_what_leaving_out_each_user_changes():
    rng = np.random.default_rng(0)
    counts = rng.geometric(0.1, 40).astype(float)
    sums = rng.binomial(counts.astype(int), rng.beta(1, 3, 40)).astype(float)
    mean = sums.sum() / counts.sum()
    without = (sums.sum() - sums) / (counts.sum() - counts)

    found = spread(sums, counts)

    assert found.mean == pytest.approx(mean)
    assert found.error == pytest.approx(np.sqrt(((without - mean) ** 2).sum()))
    residual = sums - mean * counts
    assert found.skewness == pytest.approx((residual**3).sum() / (residual**2).sum() ** 1.5)


def test_degrees_of_freedom_are_satterthwaites_by_matrices():
    counts = np.random.default_rng(1).geometric(0.1, 25).astype(float)
    share = counts / counts.sum()
    remove = np.eye(25) - np.outer(share, np.ones(25))
    covariance = remove @ np.diag(share**2) @ remove.T
    weighted = np.diag((1 - share) ** -2) @ covariance

    found = degrees_of_freedom(counts)

    assert found == pytest.approx(np.trace(weighted) ** 2 / np.trace(weighted @ weighted))
    assert degrees_of_freedom(np.full(25, 3.0)) == pytest.approx(24)
    assert degrees_of_freedom(np.array([1e6, 1, 1])) == pytest.approx(1, abs=0.1)


def test_bounds_without_skewness_are_students():
    sums, counts = np.array([1.0, 2, 3, 4, 5]), np.ones(5)
    margin = t.ppf(0.95, 4) * 5 / 4 * np.sqrt(10) / 5

    assert skewed_bounds(spread(sums, counts), 0.9) == pytest.approx((3 - margin, 3 + margin))


def test_bounds_lie_where_halls_transform_takes_the_quantiles():
    found = spread(np.random.default_rng(2).exponential(size=20), np.ones(20))

    for bound, quantile in zip(skewed_bounds(found, 0.95), t.ppf([0.975, 0.025], 19), strict=True):
        x, z = (found.mean - bound) / found.error, found.skewness
        assert x + z * (2 * x**2 + 1) / 6 + z**2 * x**3 / 27 == pytest.approx(quantile)


@pytest.mark.parametrize("shift", [-0.9, -0.6, 0.4])
def test_p_is_the_level_at_which_a_bound_reaches_zero(shift):
    sums = np.random.default_rng(3).exponential(size=30) - 1 + shift
    found = spread(sums, np.ones(30))
    p = skewed_p(found)

    low, high = skewed_bounds(found, 1 - p)

    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)


def test_values_that_are_all_alike_have_no_spread_left():
    counts = np.array([1.0, 3, 7] * 10)
    found = spread(0.1 * counts, counts)

    assert (found.error, found.skewness, skewed_p(found)) == (0, 0, 1)


def test_rates_that_no_probe_or_every_probe_has_are_binomial_in_users():
    user = np.repeat(np.arange(50), 4)
    credits = np.column_stack([np.zeros(200), np.ones(200)])

    low, high = rate_intervals(credits, user)

    # A user's four probes may be all alike: 50 trials, less what 49 degrees of freedom cost.
    trials = 50 * (norm.ppf(0.975) / t.ppf(0.975, 49)) ** 2
    limit = 1 - 0.025 ** (1 / trials)
    np.testing.assert_allclose([low, high], [[0, 1 - limit], [limit, 1]], atol=1e-12)


def test_a_rate_that_few_users_decide_is_worked_out_by_hand():
    user = np.repeat(np.arange(50), 4)
    credits = (user < 3).astype(float)[:, None]

    low, high = rate_intervals(credits, user, per_user=True)

    # Single trials: the estimated design effect, (50 / 49)^2 from leaving users out, and that of
    # users alike, 1, of which the larger counts.
    trials = 50 / (50 / 49) ** 2 * (norm.ppf(0.975) / t.ppf(0.975, 49)) ** 2
    expected = clopper_pearson(3 / 50, trials)
    np.testing.assert_allclose((low[0], high[0]), expected)
    exact = binomtest(3, 50).proportion_ci(method="exact")
    assert low[0] < exact.low < exact.high < high[0]


def test_the_interval_of_misses_mirrors_that_of_hits():
    ranks, user = Population("geometric", True, 0.3).sample(80, np.random.default_rng(4))
    credits = figures(ranks)

    low, high = rate_intervals(credits, user)
    mirrored = rate_intervals(1 - credits, user)

    np.testing.assert_allclose((1 - mirrored.high, 1 - mirrored.low), (low, high), atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([0.0, 0.01, 0.3, 0.95, 1.0]))
@settings(deadline=None, max_examples=60)
def test_bounds_hold_the_figure_and_ignore_names_and_order(seed, num_users, rate):
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(num_users), rng.geometric(0.2, num_users))
    hits = rng.random(len(user)) < rate
    credits = np.column_stack([hits, np.where(hits, 1, rng.random(len(user)))]).astype(float)
    shuffled = rng.permutation(len(user))
    names = np.array([f"user {row:02d}" for row in range(num_users)])

    low, high = rate_intervals(credits, user)
    again = rate_intervals(credits[shuffled], names[user][shuffled])

    figure = credits.mean(axis=0)
    assert ((low >= 0) & (low <= figure + 1e-12) & (figure <= high + 1e-12) & (high <= 1)).all()
    np.testing.assert_allclose(again, (low, high), atol=1e-9)


def test_one_user_says_next_to_nothing():
    low, high = rate_intervals(np.array([[1.0], [0.0]]), np.array([7, 7]))

    assert low[0] < 0.02
    assert high[0] > 0.98


WORST = [
    ("geometric", False, 0.01, 100),
    ("geometric", True, 0.05, 100),
    ("lognormal", False, 0.05, 100),
    ("lognormal", True, 0.05, 100),
    ("lognormal", True, 0.3, 30),
    ("lognormal", True, 0.3, 100),
    ("pareto", False, 0.05, 100),
]


@pytest.mark.parametrize(("kind", "is_related", "top1", "num_users"), WORST)
def test_intervals_hold_the_truth_for_unequal_users(kind, is_related, top1, num_users):
    population = Population(kind, is_related, top1)
    names = ("top1", "per_user_top1", "mrr", "bits")
    truth = np.array([population.truth[name] for name in names])
    held = []
    for run in range(400):
        ranks, user = population.sample(num_users, np.random.default_rng([11, run]))
        low, high = rate_intervals(
            figures(ranks), user, per_user=[name == "per_user_top1" for name in names]
        )
        held.append((low <= truth) & (truth <= high))
    # 95 % less two standard deviations of a share of 400.
    assert np.mean(held, axis=0).min() >= 0.928


ONES, FOUR = np.ones((4, 1)), np.arange(4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"credits": ONES[:0], "user": FOUR[:0]}, r"values must be a matrix with rows"),
        ({"user": FOUR[:3]}, r"user must name 4 probes, got shape \(3,\)"),
        ({"credits": ONES * np.nan}, "values must be finite, got NaN or infinity in row 0"),
        ({"credits": 2 * ONES}, r"credits must be in \[0, 1\], got 2.0 to 2.0"),
        ({"level": 95}, "level must be between 0 and 1, got 95"),
    ],
)
def test_bad_input_is_named_in_one_line(change, message):
    with pytest.raises(ValueError, match=message):
        rate_intervals(**{"credits": ONES, "user": FOUR, **change})
