"""The bootstrap over users against a plain loop and the variance of a mean."""

import numpy as np
import pytest
from scipy.stats import norm, t

from attacks.measures import bootstrap as stats


def probes(rng, num_users=60, num_figures=2, spread=1.0):
    """Users with 1..12 probes each, whose own means differ by ``spread``."""
    user = np.repeat(np.arange(num_users), rng.integers(1, 13, size=num_users))
    own = spread * rng.standard_normal((num_users, num_figures))
    return own[user] + rng.standard_normal((len(user), num_figures)), user


@pytest.mark.parametrize("per_user", [False, True])
def test_bootstrap_has_the_variance_of_a_mean_over_users(per_user):
    values, user = probes(np.random.default_rng(0), num_users=400)

    low, high = stats.bootstrap(
        values, user, replicates=4000, rng=np.random.default_rng(1), per_user=per_user
    )

    sums = np.stack([values[user == one].sum(axis=0) for one in range(400)])
    counts = np.bincount(user)[:, None]
    if per_user:
        mean, deviation = (sums / counts).mean(axis=0), sums / counts - (sums / counts).mean(axis=0)
    else:
        mean = values.mean(axis=0)
        deviation = (sums - mean * counts) / counts.mean()
    error = np.sqrt((deviation**2).sum(axis=0)) / 400
    np.testing.assert_allclose((low + high) / 2, mean, atol=0.15 * error.max())
    np.testing.assert_allclose((high - low) / 2, 1.96 * error, rtol=0.08)


def test_bootstrap_equals_a_plain_loop_over_resampled_probes():
    values, user = probes(np.random.default_rng(2), num_users=9)
    rng = np.random.default_rng(3)
    means = []
    for _ in range(200):
        drawn = rng.integers(9, size=9, dtype=np.int32)
        means.append(np.concatenate([values[user == one] for one in drawn]).mean(axis=0))

    low, high = stats.bootstrap(values, user, replicates=200, rng=np.random.default_rng(3))

    np.testing.assert_allclose(low, np.quantile(means, 0.025, axis=0))
    np.testing.assert_allclose(high, np.quantile(means, 0.975, axis=0))


def test_bootstrap_depends_on_the_generator_and_neither_on_names_nor_order():
    values, user = probes(np.random.default_rng(4))
    shuffled = np.random.default_rng(5).permutation(len(user))
    names = np.array([f"user {row:02d}" for row in range(60)])

    def interval(values, user, seed):
        return stats.bootstrap(values, user, replicates=50, rng=np.random.default_rng(seed))

    expected = interval(values, user, 6)
    np.testing.assert_array_equal(interval(values, names[user], 6), expected)
    np.testing.assert_allclose(interval(values[shuffled], user[shuffled], 6), expected)
    assert (interval(values, user, 7).low != expected.low).all()


ONES, FOUR = np.ones((4, 1)), np.arange(4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": ONES[:0], "user": FOUR[:0]}, r"values must be a matrix with rows"),
        ({"user": FOUR[:3]}, r"user must name 4 probes, got shape \(3,\)"),
        ({"values": ONES * np.nan}, "values must be finite, got NaN or infinity in row 0"),
        ({"level": 95}, "level must be between 0 and 1, got 95"),
        ({"replicates": 0}, "replicates must be at least 1, got 0"),
    ],
)
def test_bad_bootstrap_input_is_named_in_one_line(change, message):
    arguments = {"values": ONES, "user": FOUR, "replicates": 5, **change}

    with pytest.raises(ValueError, match=message):
        stats.bootstrap(**arguments, rng=np.random.default_rng(0))


def test_expanded_percentiles_are_those_of_t_quantiles_and_the_samples_own_spread():
    low, high = stats.expanded_percentiles(np.full(20, 7))

    quantile = np.sqrt(20 / 19) * t.ppf(0.975, 19)
    assert (low, high) == pytest.approx((norm.cdf(-quantile), norm.cdf(quantile)))
    wider = stats.expanded_percentiles(np.array([200] + [7] * 19))
    assert wider[0] < low < 0.025


def test_expanded_percentiles_hold_the_mean_of_few_users():
    """Plain percentiles hold it 90 times in 100."""
    held = {"plain": [], "expanded": []}
    for run in range(400):
        rng = np.random.default_rng([3, run])
        values = rng.standard_normal(8)
        means = values[rng.integers(8, size=(999, 8))].mean(axis=1)
        for name, ends in (
            ("plain", (0.025, 0.975)),
            ("expanded", stats.expanded_percentiles(np.ones(8))),
        ):
            low, high = np.quantile(means, ends)
            held[name].append(low <= 0 <= high)
    assert np.mean(held["plain"]) < 0.92
    assert np.mean(held["expanded"]) >= 0.928
