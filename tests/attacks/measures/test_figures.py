"""Every figure with its interval, as suites and audits report it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attacks.measures.figures import figures
from attacks.measures.intervals import rate_intervals
from attacks.ranks.exact import Ranks

NUM_USERS, NUM_GALLERY = 80, 100


def probes(seed: int = 0) -> tuple[Ranks, np.ndarray]:
    """Probes of users of unequal activity, of whom some are never and some always first."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(NUM_USERS), rng.integers(1, 9, NUM_USERS))
    greater = rng.integers(0, 3, len(user)) * (user % 4)
    return Ranks(greater.astype(np.int32), rng.integers(0, 2, len(user), np.int32)), user


def test_intervals_are_those_of_the_credits_worked_out_probe_by_probe() -> None:
    ranks, user = probes()
    found = figures(ranks, user, NUM_GALLERY)
    places = [range(g + 1, g + e + 2) for g, e in zip(ranks.greater, ranks.equal, strict=True)]
    credit = {
        "top1": [sum(place == 1 for place in each) / len(each) for each in places],
        "mrr": [sum(1 / place for place in each) / len(each) for each in places],
        "bits": [
            1 - sum(map(math.log, each)) / len(each) / math.log(NUM_GALLERY) for each in places
        ],
    }
    scale = {"bits": math.log2(NUM_GALLERY)}
    for name, column in credit.items():
        values = np.array(column)
        bounds = np.concatenate(rate_intervals(values[:, None], user)) * scale.get(name, 1)
        assert found[name] == pytest.approx(values.mean() * scale.get(name, 1))
        assert [found[f"{name}_low"], found[f"{name}_high"]] == pytest.approx(bounds)
    for end in ("", "_low", "_high"):
        assert found[f"lift{end}"] == pytest.approx(NUM_GALLERY * found[f"top1{end}"])


def test_shares_of_users_are_rates_of_as_many_users_with_one_probe_each() -> None:
    ranks, user = probes()
    found = figures(ranks, user, NUM_GALLERY)
    top1 = np.where(ranks.greater > 0, 0, 1 / (1 + ranks.equal))
    own = [top1[user == one] for one in range(NUM_USERS)]
    flags = {
        "share_always": [(each == 1).all() for each in own],
        "share_never": [(each == 0).all() for each in own],
    }
    for name, column in flags.items():
        values = np.array(column, np.float64)
        low, high = rate_intervals(values[:, None], np.arange(NUM_USERS))
        assert found[name] == pytest.approx(values.mean())
        assert 0 < values.mean() < 1
        assert [found[f"{name}_low"], found[f"{name}_high"]] == pytest.approx([*low, *high])
    low, high = rate_intervals(top1[:, None], user, per_user=True)
    assert found["per_user_top1"] == pytest.approx(np.mean([each.mean() for each in own]))
    assert [found[f"per_user_top1_{end}"] for end in ("low", "high")] == [*low, *high]
    assert found["num_users_always"] == sum(flags["share_always"])
    assert found["num_users_never"] == sum(flags["share_never"])


def test_a_probe_of_somebody_who_is_not_in_the_gallery_is_refused() -> None:
    absent = Ranks(np.array([0, 3], np.int32), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="mated probes only"):
        figures(absent, np.arange(2), 3)
