"""Intervals against closed forms, a second computation and simulated coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from attacks.measures import intervals as stats


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


@given(hits=st.integers(0, 40), misses=st.integers(0, 40), level=st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_clopper_pearson_equals_scipy_from_none_to_all(hits, misses, level):
    trials = hits + misses
    if trials == 0:
        return
    expected = binomtest(hits, trials).proportion_ci(level, method="exact")

    found = stats.clopper_pearson(hits / trials, trials, level=level)

    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_design_effect_is_1_for_single_probes_and_the_cluster_size_for_identical_ones():
    hits = np.array([0.0, 1, 1, 0, 1, 0, 0, 0])

    assert stats.design_effect(hits, np.ones(8)) == 1
    assert stats.design_effect(5 * hits, np.full(8, 5.0)) == pytest.approx(5)
    assert stats.design_effect(np.full(8, 2.0), np.full(8, 5.0)) == 1
    assert stats.design_effect(np.zeros(2), np.array([1.0, 3.0])) == 10 / 4


def test_rates_that_few_users_decide_get_clopper_pearson_at_the_effective_number():
    user = np.repeat(np.arange(50), 4)
    credits = np.zeros((200, 5))
    credits[:36:4, 1] = 1  # one hit of each of nine users
    credits[:40:4, 2] = 1  # of ten users
    credits[:, 3:] = 1
    credits[:36:4, 4] = 0  # one miss of each of nine users

    def few(rate):
        return binomtest(round(200 * rate), 200).proportion_ci(method="exact")

    low, high = stats.rate_intervals(credits, user, replicates=300, rng=np.random.default_rng(0))
    plain = stats.bootstrap(credits, user, replicates=300, rng=np.random.default_rng(0))

    # A user's four probes are not alike here, so that the design effect is 1, but where all
    # probes agree it is taken as 4.
    none = binomtest(0, 50).proportion_ci(method="exact")
    np.testing.assert_allclose((low[0], high[0]), none, atol=1e-12)
    np.testing.assert_allclose((low[1], high[1]), few(9 / 200))
    assert (low[2], high[2]) == (plain.low[2], plain.high[2])
    np.testing.assert_allclose((low[3], high[3]), (1 - none.high, 1))
    np.testing.assert_allclose((low[4], high[4]), few(191 / 200))


def test_per_user_rates_that_few_users_decide_count_users_as_trials():
    user = np.repeat(np.arange(50), 4)
    credits = (user < 3).astype(float)[:, None]

    low, high = stats.rate_intervals(
        credits, user, replicates=10, rng=np.random.default_rng(0), per_user=True
    )

    np.testing.assert_allclose((low[0], high[0]), binomtest(3, 50).proportion_ci(method="exact"))


def share_covered(simulate, truth, runs):
    intervals = np.array([simulate(np.random.default_rng(run)) for run in range(runs)])
    return ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean()


@pytest.mark.slow
@pytest.mark.parametrize("per_user", [False, True])
def test_bootstrap_covers_the_mean_of_clustered_rates_95_times_in_100(per_user):
    def simulate(rng):
        user = np.repeat(np.arange(300), rng.integers(1, 20, size=300))
        credits = rng.random(len(user)) < rng.beta(0.5, 2, size=300)[user]
        low, high = stats.rate_intervals(
            credits[:, None].astype(float), user, replicates=600, rng=rng, per_user=per_user
        )
        return low[0], high[0]

    assert 0.93 <= share_covered(simulate, 0.2, runs=1500) <= 0.97


def test_clustered_auc_covers_95_times_in_100():
    def simulate(rng):
        score, label, user = clicks(rng, num_users=250)
        return stats.clustered_auc(score, label, user)[1:]

    # Scores are normal with variance 2 within each label and means 1 apart; only pairs of one
    # user, a vanishing share, depend on each other.
    truth = norm.cdf(1 / 2)

    assert 0.93 <= share_covered(simulate, truth, runs=1500) <= 0.97


def clicks(rng, num_users=80):
    """Scores and labels of events that share their user's part of both."""
    user = np.repeat(np.arange(num_users), rng.integers(1, 15, size=num_users))
    label = rng.random(len(user)) < 0.3
    score = label + rng.standard_normal(num_users)[user] + rng.standard_normal(len(user))
    return score, label, user


@given(st.integers(0, 10_000), st.sampled_from([0, 1, 12]))
@settings(deadline=None, max_examples=30)
def test_auc_equals_scikit_learn_with_and_without_ties(seed, decimals):
    score, label, user = clicks(np.random.default_rng(seed))
    score = score.round(decimals)

    assert stats.clustered_auc(score, label, user).auc == pytest.approx(roc_auc_score(label, score))


def test_auc_interval_of_independent_events_is_delongs():
    score, label, _ = clicks(np.random.default_rng(1))
    score = score.round(1)
    # DeLong, DeLong and Clarke-Pearson (1988): variances of the rows' and columns' means.
    positive, negative = score[label][:, None], score[~label]
    wins = (positive > negative) + 0.5 * (positive == negative)
    variance = wins.mean(axis=1).var(ddof=1) / len(positive)
    variance += wins.mean(axis=0).var(ddof=1) / len(negative)
    margin = norm.ppf(0.95) * np.sqrt(variance)

    found = stats.clustered_auc(score, label, np.arange(len(score)), level=0.9)

    np.testing.assert_allclose(found, [wins.mean(), wins.mean() - margin, wins.mean() + margin])


def test_auc_interval_of_clustered_events_agrees_with_a_bootstrap_of_users():
    rng = np.random.default_rng(2)
    # Users decide most of the score and, by themselves, most of the label.
    user = np.repeat(np.arange(300), rng.integers(1, 15, size=300))
    score = rng.standard_normal(300)[user] + 0.3 * rng.standard_normal(len(user))
    label = rng.random(len(user)) < rng.beta(0.3, 0.7, size=300)[user]
    events = [np.flatnonzero(user == one) for one in range(300)]
    drawn = [
        np.concatenate([events[one] for one in rng.integers(300, size=300)]) for _ in range(800)
    ]
    error = np.std([roc_auc_score(label[rows], score[rows]) for rows in drawn])

    found = stats.clustered_auc(score, label, user)
    naive = stats.clustered_auc(score, label, np.arange(len(user)))

    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.08)
    assert naive.high - naive.low < 0.7 * (found.high - found.low)


def test_perfect_auc_stays_within_the_unit_interval():
    label = np.array([0, 0, 1, 1])

    assert stats.clustered_auc(label * 1.0, label, np.arange(4)) == (1, 1, 1)


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


def test_credits_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match=r"credits must be in \[0, 1\], got 2.0 to 2.0"):
        stats.rate_intervals(2 * ONES, FOUR, replicates=5, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0, 0, 0, 0], "got 0 with label 1 and 4 with label 0"),
        ([0, 1, 0, 0], "got 1 with label 1 and 3 with label 0"),
        ([0, 1, 2, 0], "label must be 4 values of 0 or 1"),
        ([0, 1], "label must be 4 values of 0 or 1"),
    ],
)
def test_labels_that_leave_no_auc_are_refused(label, message):
    with pytest.raises(ValueError, match=message):
        stats.clustered_auc(np.arange(4.0), np.array(label), FOUR)
