"""What every defense must do beyond the contract tests; a new file is found by itself."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.defenses.base import Certificate
from attacks.gallery import Released
from suite import registry
from tests.train_windows import train_window

DEFENSES = registry.names("defenses")


def fitted(name: str, dimensions=8, **strength):
    defense = registry.create("defenses", name, strength)
    defense.fit(train_window(dimensions), np.random.default_rng(0))
    return defense


@pytest.mark.parametrize("name", DEFENSES)
@given(
    dimensions=st.integers(4, 9),
    counts=st.lists(st.integers(1, 4), min_size=5, max_size=9),
    offset=st.sampled_from([0.0, 100.0]),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=25)
def test_a_release_has_a_finite_row_for_each_row_and_repeats_itself(
    name, dimensions, counts, offset, scale, seed
):
    user_row = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    user_row = rng.permutation(user_row)
    vectors = (offset + scale * rng.normal(size=(len(user_row), dimensions))).astype(np.float32)
    window = np.array(["test", "train"])[rng.integers(0, 2, len(user_row))]
    released = Released(vectors, user_row, np.arange(len(user_row)), window)
    before = vectors.copy()
    # Groups of a window need five users in it, who need not be there.
    defense = fitted(name, dimensions, **({"regroup": False} if name == "averaged" else {}))

    found, same = (defense.apply(released, np.random.default_rng(seed)) for _ in range(2))

    assert (found.shape[0], found.dtype) == (len(vectors), np.float32)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, same)
    np.testing.assert_array_equal(vectors, before)


@pytest.mark.parametrize("name", DEFENSES)
def test_a_single_vector_of_a_single_user_is_released_too(name):
    alone = Released(np.ones((1, 8), np.float32), np.zeros(1, np.int64))
    defense = fitted(name)
    if name == "averaged":  # nobody hides among others who is alone
        with pytest.raises(ValueError, match=r"^averaged: k: found 5 "):
            defense.apply(alone, np.random.default_rng(1))
        return

    assert np.isfinite(defense.apply(alone, np.random.default_rng(1))).all()


@pytest.mark.parametrize("name", DEFENSES)
def test_what_a_defense_says_of_its_noise_fits_what_it_releases(name):
    window = train_window(8)
    defense = fitted(name)
    released = defense.apply(window, np.random.default_rng(1))
    noise, certificate = defense.noise(), defense.certificate()
    if noise is not None:
        assert noise.shape == (released.shape[1],) * 2
        np.testing.assert_array_equal(noise, noise.T)
        assert np.linalg.eigvalsh(noise).min() >= 0
    if isinstance(certificate, Certificate):
        assert certificate.radius > 0
        # Noise of which the bound knows nothing may only add to what it counts on.
        assert np.linalg.eigvalsh(noise).min() >= certificate.sigma**2 * (1 - 1e-9) > 0
    count = np.arange(len(window.vectors)) % 4 + 1
    seen = defense.observed(window, count, np.random.default_rng(3))
    assert (seen.shape, seen.dtype) == (released.shape, np.float32)
    assert np.isfinite(seen).all()


@pytest.mark.parametrize("name", DEFENSES)
def test_what_is_observed_of_several_releases_has_the_noise_that_is_stated(name):
    window = train_window(4, num_users=6_000, events=1)
    defense = registry.create("defenses", name, {})
    defense.fit(window, np.random.default_rng(0))
    if defense.noise() is None:
        return
    rng = np.random.default_rng(5)
    pairs = [[defense.observed(window, m, rng) for _ in range(2)] for m in (1, 9)]

    for m, (one, other) in zip((1, 9), pairs, strict=True):
        if (one == other).all():  # the same whenever it is released: nothing is drawn
            np.testing.assert_array_equal(defense.noise(m), defense.noise(1))
            continue
        # What two draws differ by has twice the covariance of either.
        found, stated = np.cov((one - other).T) / 2, defense.noise(m)
        np.testing.assert_allclose(found, stated, atol=0.1 * np.abs(stated).max())


@pytest.mark.parametrize("name", DEFENSES)
def test_the_docstring_says_what_it_costs_protects_and_where_it_comes_from(name):
    text = inspect.cleandoc(registry.part("defenses", name).__doc__)
    assert re.search(r"\bcosts\b", text, re.IGNORECASE)
    assert re.search(r"\bprotects\b", text, re.IGNORECASE)
    if name != "none":
        assert re.search(r"\bdoes\s+not\s+protect\b", text, re.IGNORECASE)
        assert "References\n----------\n" in text
