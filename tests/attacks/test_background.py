"""Drift learned from other people, against planted worlds and scikit-learn's ridge regression."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import Ridge

from attacks.background import FOLDS, STRENGTHS, Background
from attacks.base import Attack
from attacks.classifier import Classifier
from attacks.cosine import Cosine
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery, Released
from attacks.lda import Lda
from attacks.measures.intervals import rate_intervals
from attacks.measures.metrics import top_credit
from attacks.ranks.exact import exact_ranks
from attacks.ranks.means import user_means
from attacks.whitened import Whitened
from tests.planted import top1

USERS, EVENTS = 500, 4


@dataclass(frozen=True)
class Drifting:
    """A gallery, later probes, and as many other users with vectors of both windows."""

    held: Gallery
    probe: np.ndarray
    true_row: np.ndarray
    axes: np.ndarray
    scatter: float


HALF = np.arange(64) < 32


def drifting(stay=HALF, *, scatter=0.5, users=USERS, scale=1.0, seed=0) -> Drifting:
    """Positions correlated by ``stay`` between the windows, axis by axis."""
    rng = np.random.default_rng(seed)
    dim = len(stay)
    axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    first, fresh = rng.standard_normal((2, 2 * users, dim))
    second = stay * first + np.sqrt(1 - np.square(stay)) * fresh
    row = np.repeat(np.arange(2 * users), EVENTS)
    gallery, probe = (
        ((scale * at[row] + scatter * rng.standard_normal((len(row), dim))) @ axes).astype(
            np.float32
        )
        for at in (first, second)
    )
    known, other = row < users, row >= users
    background = Released(
        np.concatenate([gallery[other], probe[other]]),
        np.concatenate([row[other], row[other]]) - users,
        window=np.repeat(["gallery", "probe"], other.sum()),
    )
    held = Gallery(gallery[known], row[known], background=background)
    return Drifting(held, probe[known], row[known], axes, scatter)


def ranks(attack: Attack, world: Drifting):
    attack.fit(world.held, np.random.default_rng(0))
    return attack.ranks(world.probe, attack.templates(world.held), world.true_row)


def named(attack: Attack, world: Drifting) -> float:
    return top1(ranks(attack, world))


def optimum(world: Drifting) -> float:
    """Nearest user on the axes that stay, which the attacker would have to be told."""
    half = world.axes[: world.axes.shape[0] // 2].T
    found = exact_ranks(
        world.probe @ half, world.held.centroids @ half, world.true_row, metric="euclidean"
    )
    return top1(found)


@pytest.mark.parametrize("scatter", [0.3, 0.5])
def test_the_ceiling_is_reached_where_half_of_the_axes_drift(scatter):
    planted = drifting(scatter=scatter)

    assert optimum(planted) > 0.999
    assert named(Background(), planted) > optimum(planted) - 0.02


def test_nobody_who_looks_at_the_gallery_alone_comes_near():
    planted = drifting()
    others = (Cosine(), Euclidean(), Whitened(), Lda(), Classifier())

    assert max(named(attack, planted) for attack in others) < 0.75


def test_what_stays_in_part_is_weighed_nearly_as_the_true_parameters_would():
    stay = np.linspace(0, 0.95, 32)
    planted = drifting(stay, scatter=0.3, users=1500)
    noise = 0.3**2 / EVENTS
    gain, left = stay / (1 + noise), 1 + 0.3**2 - stay**2 / (1 + noise)
    x, g = (v @ planted.axes.T for v in (planted.probe, planted.held.centroids))
    best = exact_ranks(
        x / np.sqrt(left), gain * g / np.sqrt(left), planted.true_row, metric="euclidean"
    )

    assert 0.3 < top1(best) < 0.9
    assert named(Background(), planted) > top1(best) - 0.05
    assert named(Background(), planted) > named(Euclidean(), planted) + 0.1


def test_ranks_equal_those_of_scikit_learns_ridge_regression_and_scipys_distance():
    planted = drifting(np.linspace(0, 1, 6), users=60, scatter=0.3)
    attack = Background()
    found = ranks(attack, planted)

    other = planted.held.background
    events = {w: other.window == w for w in ("gallery", "probe")}
    before, after = (user_means(other.vectors[m], other.user_row[m]) for m in events.values())
    covariance = ledoit_wolf(before - before.mean(axis=0), assume_centered=True)[0]
    inverse = np.linalg.inv(np.linalg.cholesky(covariance)).T
    x, moved = (before - before.mean(axis=0)) @ inverse, after - before
    fold = np.argsort(np.argsort(before[:, -1])) % FOLDS
    moved -= moved.mean(axis=0)

    def model(rows):
        return Ridge(alpha=attack.strength * rows.sum(), fit_intercept=False).fit(
            x[rows], moved[rows]
        )

    left = np.empty_like(moved)
    for part in range(FOLDS):
        left[fold == part] = moved[fold == part] - model(fold != part).predict(x[fold == part])
    late = other.vectors[events["probe"]]
    deviation = late - after[other.user_row[events["probe"]]]
    within = ledoit_wolf(deviation, assume_centered=True)[0] * EVENTS / (EVENTS - 1)
    residual = ledoit_wolf(left, assume_centered=True)[0] + within * (1 - 1 / EVENTS)
    step = planted.held.centroids - before.mean(axis=0)
    expected = after.mean(axis=0) + step + model(np.full(len(x), True)).predict(step @ inverse)
    distance = cdist(planted.probe, expected, "mahalanobis", VI=np.linalg.inv(residual))
    true = distance[np.arange(len(distance)), planted.true_row]

    assert attack.strength in STRENGTHS
    # Rounding to float32 may swap two rivals that are all but equally far.
    closer = (distance < true[:, None] - 1e-9).sum(axis=1)
    assert 0 < closer.mean() < 20
    assert np.mean(found.greater == closer) > 0.99


def test_without_identity_the_interval_of_the_lift_covers_1():
    planted = drifting(scale=0.0, users=200)
    found = top_credit(ranks(Background(), planted), 1)
    low, high = rate_intervals(found[:, None], planted.true_row)

    assert low[0] * 200 < 1 < high[0] * 200


def test_identity_that_is_redrawn_as_a_whole_is_no_use():
    planted = drifting(np.zeros(16), users=200)
    found = top_credit(ranks(Background(), planted), 1)
    low, high = rate_intervals(found[:, None], planted.true_row)

    assert low[0] * 200 < 1 < high[0] * 200


def test_where_nobody_drifts_nothing_is_lost():
    planted = drifting(np.ones(16), scatter=0.5)

    assert named(Background(), planted) > named(Euclidean(), planted) - 0.02


def test_the_numbering_of_background_users_does_not_matter():
    planted = drifting(np.linspace(0, 1, 8), users=60)
    other = planted.held.background
    order = np.random.default_rng(3).permutation(60)
    renumbered = replace(other, user_row=order[other.user_row])
    again = replace(planted, held=replace(planted.held, background=renumbered))

    found = [ranks(Background(), world).greater for world in (planted, again)]
    np.testing.assert_array_equal(*found)


def test_users_of_one_window_only_are_left_out():
    planted = drifting(np.linspace(0, 1, 8), users=60)
    other = planted.held.background
    more = replace(
        other,
        vectors=np.concatenate([other.vectors, np.full((2, 8), 1e6, np.float32)]),
        user_row=np.append(other.user_row, [60, 61]),
        window=np.append(other.window, ["gallery", "probe"]),
    )
    again = replace(planted, held=replace(planted.held, background=more))

    found = [ranks(Background(), world).greater for world in (planted, again)]
    np.testing.assert_array_equal(*found)


def test_single_vectors_in_both_windows_are_enough():
    planted = drifting(scatter=0.1)
    other = planted.held.background
    first = np.arange(len(other.user_row)) % EVENTS == 0
    single = replace(
        other,
        vectors=other.vectors[first],
        user_row=other.user_row[first],
        window=other.window[first],
    )
    again = replace(planted, held=replace(planted.held, background=single))

    assert named(Background(), again) > 0.98


def test_identical_users_are_named_by_chance():
    planted = drifting(np.ones(4), scale=0.0, scatter=0.0, users=50)

    assert named(Background(), planted) == pytest.approx(1 / 50)


def test_backgrounds_that_cannot_be_used_are_refused():
    planted = drifting(np.ones(4), users=4)
    with pytest.raises(ValueError, match="needs vectors of other users in two windows, got none"):
        ranks(Background(), replace(planted, held=replace(planted.held, background=None)))
    with pytest.raises(ValueError, match="needs 5 users with vectors of both windows, got 4"):
        ranks(Background(), planted)
