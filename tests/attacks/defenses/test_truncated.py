"""Top singular directions, or all others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD

from attacks.defenses.truncated import Truncated
from tests.train_windows import train_window


def released(window, **strength):
    defense = Truncated(**strength)
    defense.fit(window, np.random.default_rng(0))
    return defense.apply(window, np.random.default_rng(1))


@given(directions=st.integers(0, 6), seed=st.integers(0, 20))
@settings(deadline=None, max_examples=30)
def test_either_end_is_the_sum_of_numpys_singular_triplets(directions, seed):
    window = train_window(6, seed=seed)
    left, values, right = np.linalg.svd(window.vectors.astype(np.float64), full_matrices=False)
    for keep, end in (("top", slice(directions)), ("bottom", slice(directions, None))):
        expected = (left[:, end] * values[end]) @ right[end]
        found = released(window, keep=keep, directions=directions)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_top_is_the_reconstruction_of_scikit_learn():
    window = train_window(6)
    svd = TruncatedSVD(2, algorithm="arpack").fit(window.vectors.astype(np.float64))
    expected = svd.inverse_transform(svd.transform(window.vectors.astype(np.float64)))

    np.testing.assert_allclose(released(window, directions=2), expected, atol=1e-4)


def test_the_two_ends_add_up_to_the_vectors():
    window = train_window(6)
    ends = [released(window, keep=keep, directions=2) for keep in ("top", "bottom")]

    np.testing.assert_allclose(sum(ends), window.vectors, atol=1e-5)


def test_nothing_dropped_releases_the_vectors_and_all_dropped_nothing():
    window = train_window(6)

    np.testing.assert_allclose(released(window, directions=6), window.vectors, atol=1e-5)
    np.testing.assert_allclose(
        released(window, keep="bottom", directions=0), window.vectors, atol=1e-5
    )
    assert not released(window, directions=0).any()
    assert not released(window, keep="bottom", directions=6).any()


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^truncated: keep: found 'up', allowed: top or bottom$"):
        Truncated(keep="up")
    with pytest.raises(ValueError, match=r"^truncated: directions: found -1, allowed: at least 0$"):
        Truncated(directions=-1)
    with pytest.raises(ValueError, match=r"^truncated: directions: found 7, allowed: at most 6,"):
        released(train_window(6), directions=7)
