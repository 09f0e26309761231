"""Which intervals are marked, on worked examples and on populations of known truth."""

import numpy as np
import pytest

from attacks.measures.reliability import doubt_of_mean, verdict
from tests.populations import Population


def sample(num_active, active_rate, other_rate, num_others=400):
    """Users with 200 probes each beside others with 4, identified at these rates in turn."""
    counts = np.array([200] * num_active + [4] * num_others)
    rates = np.array([active_rate] * num_active + [other_rate] * num_others)
    user = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    hit = place < np.repeat(np.round(rates * counts), counts)
    # A tenth of the users differs from the rest, so that there is a spread.
    return np.where(user % 10 == 0, ~hit, hit).astype(float), user


def test_a_few_active_users_who_are_identified_more_often_are_doubted():
    values, user = sample(10, 0.8, 0.25)
    # 3,600 probes: 3,600^2 / (10 * 200^2 + 400 * 4^2) = 32 effective users of 410.
    reason = "differs between active and other users; 32 effective of 410 users"
    assert doubt_of_mean(values, user) == reason
    assert verdict({"top1": values, "mrr": values}, user) == {
        "interval": "unreliable",
        "interval_reason": f"top1, mrr: {reason}",
    }


def test_equal_activity_and_equal_risk_are_not_doubted():
    values, user = sample(0, 0.0, 0.25)
    assert doubt_of_mean(values, user) is None
    assert doubt_of_mean(*sample(10, 0.25, 0.25)) is None
    found = verdict({"top1": values}, user, auc=None)
    assert found == {"interval": "ok", "interval_reason": None}


def test_a_handful_of_identified_users_leaves_open_whether_activity_matters():
    _, user = sample(10, 0.0, 0.0)
    few = np.isin(user, (3, 100, 200, 300, 400)).astype(float) * (np.arange(len(user)) % 4 == 0)
    assert doubt_of_mean(few, user) == "rests on 5 users; 32 effective of 410 users"


def test_a_doubt_about_the_auc_marks_the_row():
    values, user = sample(0, 0.0, 0.25)
    found = verdict({"top1": values}, user, auc="is small")
    assert found == {"interval": "unreliable", "interval_reason": "auc: is small"}


@pytest.mark.parametrize(
    ("kind", "is_related", "top1", "least", "most"),
    [
        ("pareto", True, 0.3, 0.95, 1.0),
        ("pareto", True, 0.05, 0.9, 1.0),
        ("pareto", True, 0.01, 0.9, 1.0),
        ("geometric", False, 0.3, 0.0, 0.05),
        ("equal", False, 0.01, 0.0, 0.0),
    ],
)
def test_populations_whose_intervals_fail_are_marked_and_others_are_not(
    kind, is_related, top1, least, most
):
    population = Population(kind, is_related, top1)
    marked = []
    for run in range(60):
        ranks, user = population.sample(1000, np.random.default_rng([5, run]))
        marked.append(doubt_of_mean((ranks == 1).astype(float), user) is not None)
    assert least <= np.mean(marked) <= most
