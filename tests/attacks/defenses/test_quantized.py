"""Rounding to few bits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.cosine import Cosine
from attacks.defenses.quantized import Quantized
from attacks.ranks.codebooks import learned
from tests.defended import defended
from tests.planted import lift, positions, world
from tests.train_windows import train_window

pytestmark = pytest.mark.usefixtures("one_thread")


def fitted(window, **strength):
    defense = Quantized(**strength)
    defense.fit(window, np.random.default_rng(0))
    return defense


def released(window, **strength):
    return fitted(window, **strength).apply(window, np.random.default_rng(1))


def test_one_bit_is_the_sign_about_the_mean():
    window = train_window(5)
    found = released(window, bits=1)
    center = window.vectors.mean(axis=0)
    length = np.abs(window.vectors - center).mean(axis=0)

    np.testing.assert_allclose(
        found, center + np.where(window.vectors >= center, 1, -1) * length, atol=1e-5
    )


@given(bits=st.integers(2, 10), seed=st.integers(0, 20))
@settings(deadline=None, max_examples=30)
def test_scalar_rounds_to_the_middle_of_equal_cells_about_the_mean(bits, seed):
    window = train_window(4, seed=seed)
    found = released(window, bits=bits)
    for axis, shown in zip(window.vectors.T.astype(np.float64), found.T, strict=True):
        center = axis.mean()
        edges = center + np.abs(axis - center).max() * np.linspace(-1, 1, 2**bits + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        nearest = np.abs(shown[:, None] - middles).min(axis=1)
        np.testing.assert_allclose(nearest, 0, atol=1e-5)
        assert (np.abs(shown - axis) <= (edges[1] - edges[0]) / 2 + 1e-5).all()
        assert len(np.unique(shown)) <= 2**bits


def test_the_error_of_int8_has_the_covariance_that_is_stated():
    window = train_window(4, num_users=20_000, events=1)
    defense = fitted(window)
    error = (defense.apply(window, np.random.default_rng(1)) - window.vectors).astype(np.float64)

    expected = (2 * np.abs(window.vectors - window.vectors.mean(axis=0)).max(axis=0) / 256) ** 2
    np.testing.assert_allclose(np.diag(defense.noise()), expected / 12, rtol=1e-3)
    np.testing.assert_allclose(np.cov(error.T), defense.noise(), atol=0.03 * defense.noise().max())
    assert fitted(window, bits=1).noise() is None
    assert fitted(window, by="product", parts=2).noise() is None


def test_what_lies_outside_the_train_range_becomes_the_outermost_level():
    window = train_window(3)
    far = replace(window, vectors=np.float32([[1e30, -1e30, 3e38]]), user_row=np.array([0]))
    (found,) = fitted(window, bits=4).apply(far, np.random.default_rng(0))
    levels = released(window, bits=4)

    assert found[0] == pytest.approx(levels[:, 0].max(), abs=0.5)
    assert found[1] == pytest.approx(levels[:, 1].min(), abs=0.5)
    assert np.isfinite(found).all()


def test_an_axis_in_which_nothing_varies_stays_as_it_is():
    window = train_window(3)
    flat = replace(window, vectors=np.hstack([window.vectors, np.full((120, 1), 7, np.float32)]))

    np.testing.assert_array_equal(released(flat)[:, 3], 7)


def test_product_codes_are_those_of_the_codebook_with_the_seed_of_the_fit():
    window = train_window(6)
    seed = int(np.random.default_rng(0).integers(2**31))
    expected = learned(window.vectors, 3, 4, seed).nearest(window.vectors)

    found = released(window, by="product", parts=3, bits=4)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found[:, :2], axis=0)) <= 16


def test_from_no_protection_to_two_levels_of_one_number():
    planted = world(positions(), 0.1)
    strengths = ({"bits": 16}, {"by": "product", "bits": 1, "parts": 1})
    weak, strong = (lift(Cosine(), defended(Quantized(**s), planted)) for s in strengths)

    assert weak > 290
    # Two cells of some 150 users each: no attacker does better than 2 in 300.
    assert strong < 2.5


def test_bad_input_is_refused_in_one_line():
    window = train_window(6)
    with pytest.raises(ValueError, match=r"^quantized: by: found 'int8', allowed: scalar or"):
        Quantized(by="int8")
    with pytest.raises(ValueError, match=r"^quantized: bits: found 0, allowed by scalar: 1 to 16$"):
        Quantized(bits=0)
    with pytest.raises(ValueError, match=r"^quantized: bits: found 9, allowed by product: 1 to 8$"):
        Quantized(by="product", bits=9)
    with pytest.raises(ValueError, match=r"^quantized: parts: found 0, allowed: at least 1$"):
        Quantized(parts=0)
    with pytest.raises(ValueError, match=r"^quantized: bits: found 8, for 256 centroids of 120 "):
        released(window, by="product", parts=2)
    with pytest.raises(ValueError, match=r"^quantized: parts: found 7, allowed: at most 6,"):
        released(window, by="product", bits=2, parts=7)
    with pytest.raises(ValueError, match=r"^quantized: found 0 train vectors"):
        released(replace(window, vectors=np.empty((0, 3), np.float32)))
