from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betainc
from scipy.stats import binom, chi2, norm

from attacks.certify import bound, bound_users, why_none
from attacks.defenses.base import (
    AnyCertificate,
    Certificate,
    Defense,
    GroupCertificate,
    MetricCertificate,
)
from attacks.defenses.none import Undefended
from attacks.defenses.sticky import Sticky
from attacks.gallery import Released


def gaussian(shift: float) -> Certificate:
    return Certificate(radius=shift, sigma=1.0, assumes="")


def test_the_figures_of_a_real_gallery() -> None:
    found = bound(gaussian(1.0), 28_361, releases=10)
    assert found == pytest.approx(0.20832, abs=5e-6)
    # `1 - riskcal.conversions.get_beta_for_mu(mu=mu, alpha=k/N)` of riskcal 1.5.1.
    for n, k, mu, expected in (
        (28_361, 1, math.sqrt(10), 0.20832439583522233),
        (28_361, 5, 1.0, 0.0050376257688909964),
        (100, 10, 0.3, 0.16316040936954068),
        (1_000, 1, 5.0, 0.9719184346935027),
    ):
        assert bound(gaussian(mu), n, k) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 10**6), st.integers(1, 50), st.integers(1, 100), st.floats(0, 20))
def test_the_bound_is_the_power_of_the_test_that_knows_both_means(
    n: int, k: int, m: int, ratio: float
) -> None:
    found = bound(Certificate(2 * ratio, 2.0, ""), n, k, m)
    level = min(k / n, 1)
    # Reject the center where the projection exceeds the level's quantile.
    power = norm.sf(norm.isf(level), loc=ratio * math.sqrt(m))
    assert found == pytest.approx(power, rel=1e-9)
    assert level * (1 - 1e-12) <= found <= 1


def test_the_bound_is_attained_by_two_users_at_opposite_ends() -> None:
    rng, sigma, m = np.random.default_rng(0), 1.7, 3
    truth = rng.integers(2, size=400_000)
    ends = np.array([-1.0, 1.0])
    seen = ends[truth] + sigma / math.sqrt(m) * rng.standard_normal(len(truth))
    rate = ((seen > 0) == truth).mean()
    assert rate == pytest.approx(bound(Certificate(1.0, sigma, ""), 2, releases=m), abs=0.004)


def test_a_radius_of_0_leaves_chance_and_no_noise_leaves_nothing() -> None:
    assert bound(Certificate(0.0, 0.0, ""), 50, 2) == pytest.approx(0.04, rel=1e-12)
    assert bound(Certificate(1.0, 0.0, ""), 50) == 1
    assert bound(gaussian(0.3), 5, 7) == 1


@pytest.mark.parametrize("seed", range(6))
def test_no_attack_on_a_sphere_exceeds_the_bound(seed: int) -> None:
    """The user at the smallest angle is the most likely one: all vectors are equally long."""
    rng = np.random.default_rng(seed)
    n, d, m, k = (int(rng.integers(*ends)) for ends in ((5, 400), (2, 64), (1, 6), (1, 4)))
    sigma, num = float(rng.uniform(0.1, 1.5)), 20_000
    gallery = rng.standard_normal((n, d))
    gallery /= np.linalg.norm(gallery, axis=1)[:, None]
    truth = rng.integers(n, size=num)
    noise = sigma / math.sqrt(m) * rng.standard_normal((num, d))
    score = (gallery[truth] + noise) @ gallery.T
    ahead = (score > score[np.arange(num), truth][:, None]).sum(axis=1)
    hits = int((ahead < k).sum())
    most = bound(Certificate(1.0, sigma, ""), n, k, m)
    assert binom.sf(hits - 1, num, most) > 1e-6


def bayes(n: int, d: int, shift: float) -> float:
    """Top-1 of the Bayes attacker, averaged over galleries on the sphere, by quadrature.

    The others' cosines with the release are independent and those of a random direction.
    """
    part = (np.arange(60) + 0.5) / 60
    node = np.linspace(-6, 6, 121)
    along = 1 + node[:, None] / shift
    across = np.sqrt(chi2.ppf(part, d - 1))[None] / shift
    cosine = along / np.hypot(along, across)
    ahead = betainc((d - 1) / 2, (d - 1) / 2, (1 - cosine) / 2)
    each = ((1 - ahead) ** (n - 1)).mean(axis=1)
    return float((each * norm.pdf(node)).sum() / norm.pdf(node).sum())


def test_the_bound_is_at_most_twice_what_the_bayes_attacker_reaches_from_64_dimensions() -> None:
    assert bayes(28_361, 64, math.sqrt(10)) == pytest.approx(0.137, abs=0.001)
    for n in (10, 1_000, 30_000):
        for d in (64, 256):
            for shift in np.geomspace(0.4, 8, 8).tolist():
                reached, most = bayes(n, d, shift), bound(gaussian(shift), n)
                assert reached <= most
                assert reached < 0.01 or most <= 2 * reached


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("is_uniform", [True, False])
def test_the_bound_by_user_is_the_largest_mean_of_concave_gains(k: int, is_uniform: bool) -> None:
    rng = np.random.default_rng(k)
    mu = rng.uniform(0.2, 2.5, 8)
    weight = np.ones(8) if is_uniform else rng.uniform(0.2, 1, 8)
    weight /= weight.sum()

    def lost(q: NDArray[Any]) -> float:
        return -float((weight * norm.cdf(norm.ppf(q) + mu)).sum())

    found = minimize(
        lost,
        np.full(8, k / 8),
        bounds=[(1e-9, 1 - 1e-9)] * 8,
        constraints={"type": "eq", "fun": lambda q: q.sum() - k},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    assert found.success
    prior = None if is_uniform else 5 * weight
    assert bound_users(mu, k, prior) == pytest.approx(-found.fun, abs=1e-6)


def test_the_bound_by_user_agrees_with_the_others() -> None:
    for n, k, mu in ((28_361, 1, 1.0), (300, 7, 0.05), (40, 2, 6.0)):
        assert bound_users(np.full(n, mu), k) == pytest.approx(bound(gaussian(mu), n, k), rel=1e-8)
    # Users at the center tell nothing: half of them there, the others at the ball's border.
    mixed = bound_users(np.repeat([0.0, 1.5], 50))
    assert 0.01 < mixed < bound(gaussian(1.5), 100)
    assert bound_users(np.zeros(10), 3) == pytest.approx(0.3)
    # Without information the most frequent users are named.
    assert bound_users(np.zeros(3), 2, np.array([2.0, 5.0, 3.0])) == pytest.approx(0.8)
    assert bound_users(np.ones(3), 1, np.array([1.0, 0.0, 0.0])) == 1
    assert bound_users(np.ones(3), 3) == 1


def test_the_mean_of_each_users_own_bound_bounds_nobody() -> None:
    mu = np.array([0.0] * 9 + [8.0])
    # Naming the far user wherever the release is far off, and one of the near ones otherwise.
    attacker = (9 * (1 / 9) * norm.cdf(4) + norm.cdf(4)) / 10
    assert norm.cdf(norm.ppf(0.1) + mu).mean() < attacker <= bound_users(mu)


def test_laplace_noise_on_a_line_reaches_its_bound() -> None:
    rng, epsilon = np.random.default_rng(1), 0.8
    truth = rng.integers(2, size=400_000)
    seen = np.array([-1.0, 1.0])[truth] + rng.laplace(scale=1 / epsilon, size=len(truth))
    most = bound(MetricCertificate(1.0, epsilon, ""), 2)
    assert most == pytest.approx(1 - math.exp(-epsilon) / 2)
    assert ((seen > 0) == truth).mean() == pytest.approx(most, abs=0.004)
    # Many users: e^(m epsilon R) k / N, and never beyond 1.
    assert bound(MetricCertificate(2.0, 0.5, ""), 1_000, 3) == pytest.approx(0.003 * math.e)
    assert bound(MetricCertificate(2.0, 50.0, ""), 1_000, releases=100) == 1


def test_groups_hide_their_members_and_lose_them_when_they_change() -> None:
    fixed, fresh = GroupCertificate(5, True, ""), GroupCertificate(5, False, "")
    assert bound(fixed, 1_000) == bound(fixed, 1_000, releases=9) == bound(fresh, 1_000) == 0.2
    assert bound(fixed, 1_000, 3) == pytest.approx(0.6)
    assert bound(fixed, 1_000, 10) == 1
    assert bound(fresh, 1_000, releases=2) == 1
    assert bound(GroupCertificate(50, True, ""), 20) == 0.05


@pytest.mark.parametrize("k", [1, 3])
def test_a_gallery_of_some_of_the_released_users_has_fewer_of_each_group(k: int) -> None:
    group = np.repeat(np.arange(120), 5)
    present = np.random.default_rng(0).permutation(600)[:527]
    # The best rule names k of the gallery's users of the probe's group.
    counts = np.bincount(group[present])
    rate = np.minimum(k, counts).sum() / 527

    certificate = GroupCertificate(5, False, "")
    assert bound(certificate, 527, k) < rate <= bound(certificate, 527, k, num_released=600)
    assert bound(certificate, 527, k, num_released=600) == pytest.approx(k * 120 / 527)
    with pytest.raises(ValueError, match="num_released must be at least 527, got 500"):
        bound(certificate, 527, num_released=500)


class Unclipped(Defense):
    """Noise, but on vectors of any length."""

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        return released.vectors + rng.standard_normal(released.vectors.shape, np.float32)

    def noise(self) -> NDArray[np.float64]:
        return np.eye(2)


def test_why_there_is_no_bound() -> None:
    assert why_none(Undefended()) == "no noise of a known law is added"
    assert why_none(Unclipped()).startswith("no radius")
    assert why_none(Sticky()) == "a user's vectors of a window share their noise, which links them"


@pytest.mark.parametrize(
    ("certificate", "n", "k", "m", "message"),
    [
        (gaussian(1), 0, 1, 1, "num_gallery must be at least 1, got 0"),
        (gaussian(1), 5, 0, 1, "k must be at least 1, got 0"),
        (GroupCertificate(2, True, ""), 5, 1, 0, "releases must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(
    certificate: AnyCertificate, n: int, k: int, m: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bound(certificate, n, k, m)


@pytest.mark.parametrize(
    ("shifts", "k", "prior", "message"),
    [
        ([], 1, None, "shifts must be finite"),
        ([1.0, -1.0], 1, None, "shifts must be finite"),
        ([1.0, np.inf], 1, None, "shifts must be finite"),
        ([1.0, 1.0], 0, None, "k must be"),
        ([1.0, 1.0], 1, [1.0], "prior must be"),
        ([1.0, 1.0], 1, [1.0, -1.0], "prior must be"),
        ([1.0, 1.0], 1, [0.0, 0.0], "prior must have a sum"),
    ],
)
def test_shifts_out_of_range_are_refused(
    shifts: list[float], k: int, prior: list[float] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bound_users(np.array(shifts), k, None if prior is None else np.array(prior))
