"""AUC and its interval against scikit-learn, leaving users out one by one, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from attacks.measures.auc import clustered_auc, ordered_pairs
from tests.populations import Events

FOUR = np.arange(4)


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

    assert clustered_auc(score, label, user).auc == pytest.approx(roc_auc_score(label, score))


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

    found = clustered_auc(score, label, user)
    naive = clustered_auc(score, label, np.arange(len(user)))

    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.08)
    assert naive.high - naive.low < 0.7 * (found.high - found.low)


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
        clustered_auc(np.arange(4.0), np.array(label), FOUR)


def test_leaving_a_user_out_gives_the_auc_of_the_others():
    score, label, user = clicks(np.random.default_rng(3), num_users=12)
    score = score.round(1)

    found = ordered_pairs(score, label, user)

    others = [roc_auc_score(label[user != one], score[user != one]) for one in range(12)]
    np.testing.assert_allclose(found.without, others)
    assert found.auc == pytest.approx(roc_auc_score(label, score))
    for side in found.residuals:
        assert side.sum() == pytest.approx(0, abs=1e-12)


def test_residuals_are_how_the_auc_moves_when_a_user_counts_more():
    score, label, user = clicks(np.random.default_rng(4), num_users=9)
    found = ordered_pairs(score, label, user)
    residual = sum(found.residuals)

    for one in range(9):
        weight = np.where(user == one, 1 + 1e-6, 1.0)
        moved = roc_auc_score(label, score, sample_weight=weight) - found.auc
        assert moved / 1e-6 == pytest.approx(residual[one], abs=1e-5)


def test_auc_interval_is_the_jackknifes_in_log_odds_at_t_quantiles():
    rng = np.random.default_rng(5)
    score, label = rng.standard_normal(80), np.tile([0, 1], 40)
    user = np.repeat(np.arange(40), 2)  # one event of each label, so that all users weigh the same
    auc = roc_auc_score(label, score)
    others = np.array([roc_auc_score(label[user != one], score[user != one]) for one in range(40)])
    error = np.sqrt(39 / 40 * ((others - auc) ** 2).sum()) / (auc * (1 - auc))

    found = clustered_auc(score, label, user, level=0.9)

    ends = expit(logit(auc) + t.ppf([0.05, 0.95], 39) * error)
    np.testing.assert_allclose((found.low, found.high), ends)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_auc_without_a_wrong_pair_is_not_certain(sign):
    label = np.array([0, 0, 1, 1])

    found = clustered_auc(sign * label, label, FOUR)

    # Two users of each label: the rate of two successes of two is above 0.025 ** (1 / 2).
    expected = (1, 0.025**0.5, 1) if sign == 1 else (0, 0, 1 - 0.025**0.5)
    np.testing.assert_allclose(found[:3], expected)


@pytest.mark.parametrize(
    ("kind", "num_users"), [("equal", 30), ("geometric", 30), ("lognormal", 30), ("lognormal", 100)]
)
def test_auc_intervals_hold_the_truth_for_few_and_unequal_users(kind, num_users):
    events = Events(kind, is_related=False, separation=2.0)
    held = []
    for run in range(400):
        found = clustered_auc(*events.sample(num_users, np.random.default_rng([7, run])))
        held.append(found.low <= events.auc <= found.high)
    # 95 % less two standard deviations of a share of 400.
    assert np.mean(held) >= 0.928


@pytest.mark.parametrize(
    ("kind", "is_related", "least", "most"),
    [("pareto", True, 0.9, 1.0), ("geometric", False, 0.0, 0.1), ("equal", False, 0.0, 0.0)],
)
@pytest.mark.parametrize("separation", [0.5, 2.0])
def test_an_auc_that_active_users_decide_is_doubted(kind, is_related, least, most, separation):
    events = Events(kind, is_related, separation)
    doubted = [
        clustered_auc(*events.sample(1000, np.random.default_rng([13, run]))).doubt is not None
        for run in range(40)
    ]
    assert least <= np.mean(doubted) <= most
