"""Projection to few directions."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from attacks.defenses.projected import Projected
from attacks.euclidean import Euclidean
from attacks.lda import Lda
from tests.defended import defended
from tests.planted import lift, positions, world
from tests.train_windows import train_window

RNG = np.random.default_rng


def released(given, seed=0, **strength):
    defense = Projected(**strength)
    defense.fit(given, RNG(seed))
    return defense.apply(given, RNG(1))


def test_pca_equals_the_reconstruction_of_scikit_learn():
    given = train_window(6)
    pca = PCA(2).fit(given.vectors.astype(np.float64))
    expected = pca.inverse_transform(pca.transform(given.vectors.astype(np.float64)))

    found = released(given, onto="pca", dimensions=2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("onto", ["tasks", "pca", "random"])
@pytest.mark.parametrize("dimensions", [1, 3, 6])
def test_what_is_released_has_as_many_singular_values_as_dimensions(onto, dimensions):
    given = train_window(6)
    found = released(given, onto=onto, dimensions=dimensions).astype(np.float64)
    offset = found - given.vectors.mean(axis=0, dtype=np.float64)
    values = np.linalg.svd(offset, compute_uv=False)

    assert values[dimensions - 1] > 1e-2
    assert (values[dimensions:] < 1e-5 * values[0]).all()


@pytest.mark.parametrize("onto", ["tasks", "pca", "random"])
def test_all_dimensions_release_the_vectors(onto):
    given = train_window(6)

    np.testing.assert_allclose(released(given, onto=onto, dimensions=6), given.vectors, atol=1e-5)


def test_one_dimension_of_tasks_is_the_score_of_the_first_labels_regression():
    given = train_window(6)
    standard = StandardScaler().fit_transform(given.vectors.astype(np.float64))
    head = LogisticRegression().fit(standard, given.labels[:, 0])
    # In the vectors' own units the head reads this direction alone.
    direction = head.coef_[0] / given.vectors.std(axis=0)
    score, kept = given.vectors @ direction, released(given) @ direction

    np.testing.assert_allclose(kept, score, atol=1e-3)
    auc = [roc_auc_score(given.labels[:, 0], one) for one in (score, kept)]
    assert auc[0] == pytest.approx(auc[1], abs=1e-3)
    assert auc[0] > 0.8


def test_random_directions_are_drawn_by_the_fit_and_kept():
    given = train_window(6)
    defense = Projected(onto="random", dimensions=2)
    defense.fit(given, RNG(0))

    np.testing.assert_array_equal(defense.apply(given, RNG(1)), defense.apply(given, RNG(2)))
    other = released(given, seed=1, onto="random", dimensions=2)
    assert np.abs(other - defense.apply(given, RNG(1))).max() > 0.1


def test_what_was_dropped_cannot_be_whitened_back():
    planted = world(positions(dim=8), 0.05)
    shown = defended(Projected(onto="pca", dimensions=1), planted)
    score = np.linalg.svd(shown.vectors - shown.vectors.mean(axis=0))[2][0]
    line = shown.vectors @ score, shown.probe @ score

    # Whatever an attacker makes of the rounding, one number is all there is.
    alone = type(planted)(line[0][:, None], shown.user_row, line[1][:, None], shown.true_row)
    assert lift(Lda(), shown) < 1.3 * lift(Euclidean(), alone)
    assert lift(Lda(), planted) > 290


def test_from_no_protection_to_little_left():
    planted = world(positions(), 0.1)
    labels = planted.vectors[:, :1] > 0
    every, one = (
        lift(Euclidean(), defended(Projected(dimensions=k), planted, labels=labels))
        for k in (16, 1)
    )

    assert every > 290
    assert one < 30


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^projected: onto: found 'task', allowed: tasks, pca or"):
        Projected(onto="task")
    with pytest.raises(ValueError, match=r"^projected: dimensions: found 0, allowed: at least 1$"):
        Projected(dimensions=0)
    with pytest.raises(ValueError, match=r"^projected: dimensions: found 7, allowed: at most 6,"):
        released(train_window(6), dimensions=7)
