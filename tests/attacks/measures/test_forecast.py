from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from attacks.measures.forecast import Forecast, Law, curve, fit, forecast
from attacks.measures.metrics import top1_credit_at, top_credit
from attacks.ranks.exact import Ranks, exact_ranks


def restaurant(
    law: Law, num_people: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[int]]:
    """Seat people by the Pitman-Yor process's rule: each one's table, and the tables in use."""
    tables, people, in_use = [0], [0], [1]
    for seated in range(1, num_people):
        new = (law.concentration + law.discount * len(tables)) / (law.concentration + seated)
        if rng.random() < new:
            tables.append(len(tables))
            people.append(tables[-1])
        else:
            # A seated person's table, kept with the discount's share of it.
            while True:
                table = people[rng.integers(seated)]
                if rng.random() > law.discount / people.count(table):
                    break
            people.append(table)
        in_use.append(len(tables))
    return np.array(people), in_use


def planted(
    law: Law, num_gallery: int, num_users: int, rng: np.random.Generator
) -> tuple[Ranks, NDArray[np.int64]]:
    """Draw ranks from the law's own story: four probes per user, each U and each user's B."""
    share = rng.beta(1 - law.discount, law.concentration + law.discount, num_users).repeat(4)
    greater = rng.binomial(num_gallery - 1, share * rng.random(len(share)))
    return Ranks(greater.astype(np.int32), np.zeros(len(share), np.int32)), np.arange(
        num_users
    ).repeat(4)


@pytest.mark.parametrize(
    "law",
    [
        *(Law(0.5, 3), Law(0.0, 20), Law(-2, 10), Law(0.99, 0.01), Law(1e-5, 1e5), Law(0.3, -0.2)),
        *(Law(0.9, 9e5), Law(-29, 29.5), Law(-29, 1000), Law(1e-6, 0.5), Law(-1e-4, 2000)),
    ],
)
def test_the_closed_form_is_the_mean_of_beta_moments(law: Law) -> None:
    # E[(1 - U B)^(n - 1)] = 1/n sum over i < n of E[(1 - B)^i], a running product.
    first, second = 1 - law.discount, law.concentration + law.discount
    i = np.arange(4999)
    moments = np.concatenate([[1.0], np.cumprod((second + i) / (first + second + i))])
    means = np.cumsum(moments) / np.arange(1, 5001)
    sizes = np.array([1, 2, 3, 10, 100, 5000])
    np.testing.assert_allclose(law.top1(sizes), means[sizes - 1], rtol=2e-5)


def test_the_closed_form_counts_distinct_vectors_of_a_pitman_yor_process() -> None:
    law, rng = Law(0.4, 3.0), np.random.default_rng(0)
    distinct = np.array([restaurant(law, 200, rng)[1] for _ in range(300)])
    sizes = np.array([2, 10, 50, 200])
    observed = distinct[:, sizes - 1] / sizes
    error = observed.std(axis=0) / np.sqrt(300)
    np.testing.assert_array_less(np.abs(observed.mean(axis=0) - law.top1(sizes)), 5 * error)


@settings(deadline=None, max_examples=100)
@given(st.floats(-20, 0.999), st.floats(0.001, 1e5))
def test_the_law_falls_from_one_and_never_below_chance(discount: float, above: float) -> None:
    sizes = np.unique(np.geomspace(1, 1e7, 40).round())
    top1 = Law(discount, above - discount).top1(sizes)
    assert top1[0] == pytest.approx(1, abs=1e-3)
    assert (np.diff(top1) <= 1e-9).all()
    assert (top1 >= 1 / sizes).all()


@pytest.mark.parametrize("law", [Law(0.6, 5), Law(0.1, 300), Law(-1.5, 8)])
def test_the_fit_returns_the_law_of_a_noiseless_curve(law: Law) -> None:
    sizes = np.unique(np.geomspace(100, 1000, 12).round())
    fitted = fit(sizes, law.top1(sizes))
    np.testing.assert_allclose(fitted, law, rtol=2e-2, atol=2e-2)
    far = np.array([100_000])
    np.testing.assert_allclose(fitted.top1(far), law.top1(far), rtol=5e-3)


def test_the_curve_is_that_of_random_smaller_galleries() -> None:
    rng = np.random.default_rng(4)
    users = rng.standard_normal((30, 4)).astype(np.float32)
    probe = (users + rng.standard_normal((30, 4))).astype(np.float32)
    found = curve(exact_ranks(probe, users, np.arange(30)), 30, [1, 7, 30])
    drawn = []
    for _ in range(300):
        kept = rng.choice(30, 7, replace=False)
        ranks = exact_ranks(probe[kept], users[kept], np.arange(7))
        drawn.append(top_credit(ranks, 1).mean())
    assert found[0] == 1
    assert found[1] == pytest.approx(np.mean(drawn), abs=5 * np.std(drawn) / 300**0.5)
    assert found[2] == top_credit(exact_ranks(probe, users, np.arange(30)), 1).mean()


def one_forecast(ranks: Ranks, user: NDArray[np.int64], num_gallery: int, target: int) -> Forecast:
    found = forecast(
        ranks, user, num_gallery, [target], replicates=300, rng=np.random.default_rng(0)
    )
    assert found is not None
    return found[0]


@pytest.mark.parametrize("law", [Law(0.5, 5), Law(0.8, 2), Law(0.05, 60)])
def test_forecasts_recover_a_planted_law_within_their_intervals(law: Law) -> None:
    rng = np.random.default_rng(8)
    for growth in (3, 30):
        truth = law.top1(np.array([500 * growth]))[0]
        found = [one_forecast(*planted(law, 500, 500, rng), 500, 500 * growth) for _ in range(15)]
        assert sum(one.top1_low <= truth <= one.top1_high for one in found) >= 14
        assert np.mean([one.top1 for one in found]) == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize(("dimensions", "noise"), [(32, 2.0), (8, 1.0), (64, 2.5)])
def test_forecasts_hold_for_vectors_that_only_nearly_follow_the_law(
    dimensions: int, noise: float
) -> None:
    rng = np.random.default_rng(9)
    population = rng.standard_normal((10_000, dimensions)).astype(np.float32)

    def release(people: NDArray[np.int64]) -> NDArray[np.float32]:
        change = noise * rng.standard_normal((len(people), dimensions))
        return (population[people] + change).astype(np.float32)

    everyone = np.arange(10_000)
    truth = top_credit(exact_ranks(release(everyone), population, everyone), 1).mean()
    covered = []
    for _ in range(10):
        known, user = rng.choice(10_000, 1000, replace=False), np.arange(1000).repeat(2)
        found = one_forecast(
            exact_ranks(release(known[user]), population[known], user), user, 1000, 10_000
        )
        covered.append(found.top1_low <= truth <= found.top1_high)
    assert sum(covered) >= 9


def test_forecasts_hold_where_people_share_vectors_exactly() -> None:
    rng = np.random.default_rng(10)
    for _ in range(3):
        table, in_use = restaurant(Law(0.5, 20.0), 2000, rng)
        vectors = np.column_stack([np.cos(table), np.sin(table)]).astype(np.float32)
        seen = exact_ranks(vectors[:400], vectors[:400], np.arange(400))
        found = one_forecast(seen, np.arange(400), 400, 2000)
        assert found.top1_low <= in_use[-1] / 2000 <= found.top1_high


def test_the_linearized_interval_is_that_of_fits_to_resampled_users() -> None:
    rng = np.random.default_rng(11)
    ranks, user = planted(Law(0.5, 5), 500, 500, rng)
    found = one_forecast(ranks, user, 500, 5000)
    sizes = np.unique(np.geomspace(50, 500, 16).round().astype(int))
    credit = np.column_stack([top1_credit_at(ranks, 500, size) for size in sizes])
    per_user = credit.reshape(500, 4, -1).mean(axis=1)
    refitted = [
        fit(sizes, per_user[rng.integers(500, size=500)].mean(axis=0)).top1(np.array([5000]))[0]
        for _ in range(200)
    ]
    low, high = logit(np.quantile(refitted, [0.025, 0.975]))
    # What the test at 50 users adds to either side.
    error = abs(logit(found.test_top1) - logit(credit[:, -1].mean()))
    width = logit(found.top1_high) - logit(found.top1_low) - 2 * error
    assert width == pytest.approx(high - low, rel=0.2)
    assert expit((low + high) / 2) == pytest.approx(found.top1, rel=0.1)


def test_chance_is_forecast_to_be_chance() -> None:
    ranks = Ranks(np.zeros(300, np.int32), np.full(300, 99, np.int32))
    found = one_forecast(ranks, np.arange(300) % 100, 100, 1000)
    assert found.top1 == pytest.approx(1 / 1000, rel=0.01)


def test_nothing_is_forecast_from_fewer_than_ten_hits_or_misses() -> None:
    equal = np.zeros(200, np.int32)
    for greater in (np.arange(200) >= 9, np.arange(200) < 9):
        ranks = Ranks(greater.astype(np.int32), equal)
        rng = np.random.default_rng(0)
        assert forecast(ranks, np.arange(200), 200, [2000], replicates=10, rng=rng) is None


def test_a_target_within_the_gallery_is_refused() -> None:
    ranks = Ranks(np.zeros(3, np.int32), np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="more than the 100 users of the gallery, got 100"):
        forecast(ranks, np.arange(3), 100, [1000, 100], replicates=10, rng=np.random.default_rng(0))
