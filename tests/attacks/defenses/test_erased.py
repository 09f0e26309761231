"""Removal of the directions that identify."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from attacks.defenses.erased import Erased
from attacks.euclidean import Euclidean
from tests.defended import defended
from tests.planted import lift, nuisance, positions, world
from tests.train_windows import train_window

RNG = np.random.default_rng


def released(given, **strength):
    defense = Erased(**strength)
    defense.fit(given, RNG(0))
    return defense.apply(given, RNG(1))


def removed(given, found):
    """Directions of the vectors that reach the release no more."""
    exact = [one.astype(np.float64) - one.mean(axis=0) for one in (given.vectors, found)]
    matrix = np.linalg.lstsq(*exact)[0]
    return np.linalg.svd(matrix.T)


def test_leace_leaves_nothing_that_a_linear_classifier_of_users_gains_from():
    given = train_window(8, num_users=3, events=60)
    before, after = given.vectors, released(given, by="leace", directions=2)
    models = [
        LogisticRegression(C=1e6, max_iter=5000).fit(v, given.user_row) for v in (before, after)
    ]

    assert models[0].score(before, given.user_row) > 0.8
    # With three users as frequent as each other a constant is right for one in three.
    assert models[1].score(after, given.user_row) < 0.4
    assert np.abs(models[1].predict_proba(after) - 1 / 3).max() < 1e-2
    centered = after - after.mean(axis=0)
    indicator = np.eye(3)[given.user_row] - 1 / 3
    np.testing.assert_allclose(centered.T @ indicator / len(after), 0, atol=1e-6)


def test_leace_removes_as_much_as_the_closed_form_of_its_paper():
    """Belrose et al., theorem 4.3, with the pseudoinverse of the whole cross-covariance."""
    given = train_window(6, num_users=4, events=50)
    x = given.vectors.astype(np.float64)
    center, z = x.mean(axis=0), np.eye(4)[given.user_row]
    covariance = np.cov(x.T, ddof=0)
    variance, axes = np.linalg.eigh(covariance)
    whiten = axes @ np.diag(variance**-0.5) @ axes.T
    cross = (x - center).T @ (z - z.mean(axis=0)) / len(x)
    span = whiten @ cross
    projection = np.linalg.inv(whiten) @ span @ np.linalg.pinv(span, rcond=1e-8) @ whiten
    expected = x - (x - center) @ projection.T

    np.testing.assert_allclose(released(given, by="leace", directions=3), expected, atol=1e-4)


def test_fisher_projects_out_the_discriminant_axes_of_scikit_learn():
    planted = world(positions(40, 6, scale=np.array([6, 4, 1, 1, 1, 1])), nuisance(6), events=200)
    given = planted.held
    lda = LinearDiscriminantAnalysis(solver="eigen").fit(given.vectors, given.user_row)
    found = released(given, by="fisher", directions=2)
    _, values, right = removed(given, found)

    np.testing.assert_allclose(values, [1, 1, 1, 1, 0, 0], atol=1e-4)
    assert np.degrees(subspace_angles(right[-2:].T, lda.scalings_[:, :2])).max() < 3


def test_inlp_projects_out_what_a_ridge_classifier_of_users_reads_one_after_another():
    given = train_window(6, num_users=5, events=40)
    x, z = given.vectors.astype(np.float64), np.eye(5)[given.user_row]
    x, z = x - x.mean(axis=0), z - z.mean(axis=0)
    shown, penalty = x, np.sqrt(1e-3 * x.var(axis=0).mean() * len(x)) * np.eye(6)
    for _ in range(2):
        # Ridge regression is least squares with these rows more. Users are as frequent as each
        # other, so that no class weighs more.
        rows = np.vstack([shown, penalty])
        weights = np.linalg.lstsq(rows, np.vstack([z, np.zeros((6, 5))]))[0]
        axis = weights @ np.linalg.svd(rows @ weights)[2][0]
        axis /= np.linalg.norm(axis)
        shown = shown - np.outer(shown @ axis, axis)

    found = released(given, by="inlp", directions=2)
    np.testing.assert_allclose(found - found.mean(axis=0), shown, atol=1e-4)


@pytest.mark.parametrize("by", ["leace", "inlp", "fisher"])
def test_each_way_takes_the_planted_axes_of_identity_and_leaves_the_others(by):
    scale = np.where(np.arange(8) < 2, 5.0, 0.0)
    planted = world(positions(200, 8, scale=scale), 1.0, events=20)
    before, after = (
        lift(Euclidean(), defended(Erased(by=by, directions=k), planted)) for k in (0, 2)
    )
    shown = defended(Erased(by=by, directions=2), planted)

    assert before > 4
    assert 0.3 < after < 3
    others = planted.vectors[:, 2:]
    assert (shown.vectors[:, 2:] - others).std() < 0.2 * others.std()


@pytest.mark.parametrize("by", ["leace", "inlp", "fisher"])
def test_nothing_removed_releases_the_vectors_and_all_removed_their_mean(by):
    given = train_window(6)

    np.testing.assert_allclose(released(given, by=by, directions=0), given.vectors, atol=1e-5)
    nothing = released(given, by=by, directions=6)
    np.testing.assert_allclose(nothing, np.tile(nothing[0], (120, 1)), atol=1e-5)


@pytest.mark.parametrize("by", ["leace", "inlp", "fisher"])
def test_the_numbering_of_users_and_gaps_in_it_do_not_matter(by):
    given = train_window(6)
    other = replace(given, user_row=1000 - 7 * given.user_row)

    np.testing.assert_allclose(
        released(other, by=by, directions=2), released(given, by=by, directions=2), atol=1e-5
    )


def test_a_direction_in_which_nothing_varies_stays_as_it_is():
    given = train_window(6)
    flat = replace(given, vectors=np.hstack([given.vectors, np.ones((120, 1), np.float32)]))

    np.testing.assert_allclose(released(flat, directions=3)[:, 6], 1, atol=1e-6)


def test_bad_input_is_refused_in_one_line():
    given = train_window(6)
    with pytest.raises(ValueError, match=r"^erased: by: found 'lda', allowed: leace, inlp or"):
        Erased(by="lda")
    with pytest.raises(ValueError, match=r"^erased: directions: found -1, allowed: at least 0$"):
        Erased(directions=-1)
    with pytest.raises(ValueError, match=r"^erased: directions: found 7, allowed: at most 6,"):
        released(given, directions=7)
    with pytest.raises(ValueError, match=r"^erased: found 1 train users, allowed: at least 2$"):
        released(replace(given, user_row=np.zeros(120, np.int64)))
    with pytest.raises(ValueError, match=r"^erased: by fisher: found 1 vector of each"):
        released(replace(given, user_row=np.arange(120)), by="fisher")
