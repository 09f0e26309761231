"""User means against a loop."""

import numpy as np
import pytest

from attacks.ranks import means
from attacks.ranks.means import user_means


@pytest.mark.parametrize("piece", [1, 7, 30, means.PIECE])
def test_means_equal_a_loop_over_users_in_any_order_of_events(monkeypatch, piece):
    monkeypatch.setattr(means, "PIECE", piece)
    rng = np.random.default_rng(0)
    user_row = rng.permutation(np.repeat(np.arange(20), rng.integers(1, 9, 20)))
    vectors = rng.standard_normal((len(user_row), 3)).astype(np.float32)

    expected = [vectors[user_row == user].astype(np.float64).mean(axis=0) for user in range(20)]

    np.testing.assert_allclose(user_means(vectors, user_row), expected, rtol=1e-12)


def test_means_of_a_figure_equal_a_loop_over_users():
    rng = np.random.default_rng(0)
    user_row = rng.permutation(np.repeat(np.arange(20), rng.integers(1, 9, 20)))
    figure = rng.random(len(user_row))
    expected = [figure[user_row == user].mean() for user in range(20)]
    np.testing.assert_allclose(user_means(figure, user_row), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("vectors", "user_row", "message"),
    [
        (np.ones((2, 3)), [0, 0, 1], r"got \(2, 3\) and \(3,\)"),
        (np.ones((0, 3)), [], "not empty"),
        (np.ones((2, 1, 1)), [0, 1], r"got \(2, 1, 1\) and \(2,\)"),
        (np.array([[1.0], [np.nan]]), [0, 1], "NaN or infinity in row 1"),
        (np.array([1.0, np.inf]), [0, 1], "NaN or infinity in row 1"),
        (np.ones((2, 1)), [0, -1], "at least 0, got -1"),
        (np.ones((2, 1)), [0, 2], "none of user row 1"),
    ],
)
def test_unusable_events_are_refused_in_one_line(vectors, user_row, message):
    with pytest.raises(ValueError, match=message) as error:
        user_means(vectors, np.array(user_row, np.int64))
    assert "\n" not in str(error.value)
