from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammainc

from attacks.measures.law import PARTIAL, UNEQUAL, Law, fit


@pytest.mark.parametrize(("true", "scale"), [(0.2, 0.1), (1.0, 0.5), (4.0, 0.01), (8.0, 2.0)])
def test_exponential_distances_have_a_closed_form(true: float, scale: float) -> None:
    # With a = 1, (1 - p)^(n - 1) = exp(-(n - 1) s X): the moments of a gamma variable.
    sizes = np.array([1, 2, 10, 1000, 1_000_000])
    expected = (1 + (sizes - 1) * scale) ** -true
    np.testing.assert_allclose(Law(1.0, true, scale).top1(sizes), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "law",
    [
        *(Law(8, 6, 0.5), Law(0.5, 0.05, 0.1), Law(100, 30, 2.0), Law(300, 300, 0.8)),
        *(Law(8, 8, 0.5, 0.1), Law(30, 60, 0.4, 0.5), Law(5, 20, 0.2, 0.001)),
    ],
)
def test_the_rate_is_that_of_drawn_distances(law: Law) -> None:
    own = np.random.default_rng(0).gamma(law.true, law.scale, 400_000)
    sizes = np.array([2, 10, 100, 1000])
    drawn = (1 - law.share * gammainc(law.other, own)) ** (sizes[:, None] - 1)
    error = drawn.std(axis=1) / 400_000**0.5
    off = np.abs(law.top1(sizes) - drawn.mean(axis=1))
    np.testing.assert_array_less(off, 5 * error + 1e-9)


@pytest.mark.parametrize("shape", [0.5, 3.0, 50.0, 300.0])
def test_a_true_user_as_far_as_others_is_found_by_chance(shape: float) -> None:
    sizes = np.array([2, 50, 10_000])
    np.testing.assert_allclose(Law(shape, shape, 1.0).top1(sizes), 1 / sizes, rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.floats(0.5, 300), st.floats(0.02, 8), st.floats(1e-6, 30), st.floats(1e-3, 1))
def test_the_law_falls_from_one(other: float, ratio: float, scale: float, share: float) -> None:
    sizes = np.unique(np.geomspace(1, 1e7, 40).round())
    top1 = Law(other, ratio * other, scale, share).top1(sizes)
    assert top1[0] == 1
    assert (top1 > 0).all()
    # Where top-1 stays at 1 the quadrature's own error, 1e-4 at worst, decides the differences.
    assert (np.diff(top1) <= 1e-4 * top1[:-1]).all()


@pytest.mark.parametrize(
    ("law", "spread"),
    [
        *((Law(8, 6, 0.5), UNEQUAL), (Law(2, 0.4, 0.2), UNEQUAL)),
        *((Law(10, 10, 0.6), PARTIAL), (Law(8, 8, 0.4, 0.2), PARTIAL)),
    ],
)
def test_the_fit_continues_a_noiseless_curve(law: Law, spread: tuple[float, ...]) -> None:
    sizes, far = np.unique(np.geomspace(50, 1000, 8).round()), np.array([10_000, 25_000])
    found = fit(sizes, law.top1(sizes), 1e-8 * np.eye(len(sizes)), spread)
    np.testing.assert_allclose(found.law.top1(far), law.top1(far), rtol=0.02)


def test_the_gain_is_the_change_of_the_fit_for_a_change_of_the_curve() -> None:
    sizes, law = np.unique(np.geomspace(50, 1000, 8).round()), Law(8, 6, 0.5)
    covariance = 1e-6 * np.eye(8) + 1e-4
    found = fit(sizes, law.top1(sizes), covariance, UNEQUAL)
    change = 5e-4 * np.linspace(-1, 1, 8)
    again = fit(sizes, law.top1(sizes) * np.exp(change), covariance, UNEQUAL, found.parameters)
    far = np.array([10_000])
    predicted = found.parameters + found.gain @ change
    other, ratio, scale, share = np.exp(predicted)
    linear = Law(other, other * ratio, scale, min(share, 1.0)).top1(far)
    np.testing.assert_allclose(linear, again.law.top1(far), rtol=5e-3)
