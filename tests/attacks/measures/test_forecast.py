from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logit

from attacks.measures.continuation import Seen
from attacks.measures.forecast import curve, forecast
from attacks.measures.metrics import top_credit
from attacks.ranks.exact import Ranks, exact_ranks
from tests.worlds import Draw, Population, clustered, decaying, gaussian


class Shares(NamedTuple):
    """Shares of people with the same vector, from a Pitman-Yor process; not the forecast's law."""

    discount: float
    concentration: float

    def top1(self, num_gallery: int) -> float:
        """Rate of rank 1, 1/n sum over i < n of E[(1 - B)^i], B a person's own share."""
        i, second = np.arange(num_gallery - 1), self.concentration + self.discount
        moments = np.cumprod((second + i) / (1 - self.discount + second + i))
        return float(1 + moments.sum()) / num_gallery


def restaurant(
    law: Shares, num_people: int, rng: np.random.Generator
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
    law: Shares, num_gallery: int, num_users: int, rng: np.random.Generator
) -> tuple[Ranks, NDArray[np.int64]]:
    """Draw ranks from the law's own story: four probes per user, each U and each user's B."""
    share = rng.beta(1 - law.discount, law.concentration + law.discount, num_users).repeat(4)
    greater = rng.binomial(num_gallery - 1, share * rng.random(len(share)))
    return Ranks(greater.astype(np.int32), np.zeros(len(share), np.int32)), np.arange(
        num_users
    ).repeat(4)


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


def said(
    ranks: Ranks, user: NDArray[np.int64], num_gallery: int, targets: list[int]
) -> NDArray[np.float64]:
    """Forecast, its low and its high end per target, ``(t, 3)``; NaN where refused."""
    found = forecast(
        ranks, user, num_gallery, targets, replicates=300, rng=np.random.default_rng(0)
    )
    assert found is not None
    rows = [(one.top1, one.top1_low, one.top1_high) for one in found]
    return np.array(rows, np.float64)


@pytest.mark.parametrize(("draw", "d"), [(gaussian, 16), (decaying, 16)])
def test_forecasts_hold_to_25_times_as_many_users(draw: Draw, d: int) -> None:
    # The law of Rocher et al. alone says 18-30 % too much of these at 25 times as many.
    rng = np.random.default_rng(9)
    population, targets = Population.drawn(draw, d, 10_000, rng), [4000, 10_000]
    truth = population.truth(targets)
    draws = islice(population.seen(400, 4, rng), 8)
    found = np.array([said(*one, 400, targets) for one in draws])
    covered = (found[..., 1] <= truth) & (truth <= found[..., 2])
    assert (covered.sum(axis=0) >= 7).all()
    off = np.abs(found[..., 0] / truth - 1)
    assert (np.median(off, axis=0) < (0.1, 0.13)).all()
    assert np.abs(np.median(found[..., 0], axis=0) / truth - 1).max() < 0.1


@pytest.mark.parametrize("law", [Shares(0.5, 5), Shares(0.8, 2), Shares(0.05, 60)])
def test_forecasts_hold_for_another_law_within_their_intervals(law: Shares) -> None:
    rng, targets = np.random.default_rng(8), [1500, 15_000]
    truth = np.array([law.top1(target) for target in targets])
    found = np.array([said(*planted(law, 500, 500, rng), 500, targets) for _ in range(6)])
    assert ((found[..., 1] <= truth) & (truth <= found[..., 2])).sum() >= 10
    np.testing.assert_allclose(found[..., 0].mean(axis=0), truth, rtol=0.2)


def test_forecasts_hold_where_people_share_vectors_exactly() -> None:
    rng = np.random.default_rng(10)
    for _ in range(3):
        table, in_use = restaurant(Shares(0.5, 20.0), 2000, rng)
        vectors = np.column_stack([np.cos(table), np.sin(table)]).astype(np.float32)
        seen = exact_ranks(vectors[:400], vectors[:400], np.arange(400))
        _, low, high = said(seen, np.arange(400), 400, [2000])[0]
        assert low <= in_use[-1] / 2000 <= high


def test_the_linearized_variance_is_that_of_fits_to_resampled_users() -> None:
    rng = np.random.default_rng(11)
    ranks, user = next(Population.drawn(gaussian, 16, 2000, rng).seen(400, 4, rng))
    seen = Seen(ranks, user, 400)
    here, far = seen.continued(400), np.array([4000.0])
    refitted = []
    for _ in range(25):
        rows = (4 * rng.integers(400, size=400)[:, None] + np.arange(4)).ravel()
        again = Seen(Ranks(ranks.greater[rows], ranks.equal[rows]), user, 400)
        refitted.append(again.continued(400, here).at(far).value[0])
    linear = np.sqrt((here.at(far).influence ** 2).sum())
    assert linear == pytest.approx(np.std(refitted), rel=0.4)


def test_the_interval_holds_what_forecasts_from_sub_galleries_were_off() -> None:
    rng = np.random.default_rng(12)
    ranks, user = next(Population.drawn(clustered, 64, 2000, rng).seen(400, 4, rng))
    seen = Seen(ranks, user, 400)
    here = seen.continued(400)
    at_400 = logit(curve(ranks, 400, [400])[0])
    rates = []
    for size in (189, 89, 42, 20):
        # From a random sub-gallery's exact curve, the forecast to the gallery itself.
        value = seen.continued(size, here).at(np.array([400.0])).value[0]
        rates.append(abs(value - at_400) / np.log(400 / size))
    _, low, high = said(ranks, user, 400, [4000])[0]
    least = 1.96 * max(rates) * np.log(10)
    assert logit(high) - logit(low) > 2 * least
    assert max(rates) > 0.02


def test_chance_is_forecast_to_be_chance() -> None:
    ranks = Ranks(np.zeros(300, np.int32), np.full(300, 99, np.int32))
    top1 = said(ranks, np.arange(300) % 100, 100, [700])[0, 0]
    assert top1 == pytest.approx(1 / 700, rel=0.01)


def test_nothing_is_forecast_from_fewer_than_ten_hits_or_misses() -> None:
    equal = np.zeros(200, np.int32)
    for greater in (np.arange(200) >= 9, np.arange(200) < 9):
        ranks = Ranks(greater.astype(np.int32), equal)
        rng = np.random.default_rng(0)
        assert forecast(ranks, np.arange(200), 200, [2000], replicates=10, rng=rng) is None


def test_what_the_data_cannot_say_is_refused_with_what_they_can() -> None:
    rng = np.random.default_rng(13)
    ranks, user = next(Population.drawn(gaussian, 16, 2000, rng).seen(200, 4, rng))
    near, far = forecast(ranks, user, 200, [2000, 20_000], replicates=50, rng=rng) or ()
    # Tested from 20 users, over 10 times, so that 10^1.5 times are allowed.
    assert near.largest_growth == far.largest_growth == pytest.approx(10**1.5)
    assert near.reason is None
    assert near.top1 is not None
    assert far.top1 is far.top1_low is far.top1_high is None
    assert far.reason == (
        "20,000 users are 100 times the gallery's 200, allowed: up to 31.6 times: forecasts from "
        "within the gallery could be tested over 10 times only"
    )


def test_a_forecast_from_a_handful_of_users_is_refused_for_its_width() -> None:
    rng = np.random.default_rng(14)
    ranks, user = next(Population.drawn(clustered, 64, 2000, rng).seen(1000, 1, rng))
    few = rng.choice(1000, 40, replace=False)
    some = Ranks(ranks.greater[few], ranks.equal[few])
    (found,) = forecast(some, user[few], 1000, [100_000], replicates=50, rng=rng) or ()
    assert found.top1 is None
    assert 1 < found.largest_growth < 100
    assert found.reason is not None
    assert "the odds at the ends of its interval would differ by more than 10 times" in found.reason


def test_a_target_within_the_gallery_is_refused() -> None:
    ranks = Ranks(np.zeros(3, np.int32), np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="more than the 100 users of the gallery, got 100"):
        forecast(ranks, np.arange(3), 100, [1000, 100], replicates=10, rng=np.random.default_rng(0))
