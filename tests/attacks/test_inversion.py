"""Reading planted histories out of vectors."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from attacks.gallery import Gallery, Histories
from attacks.inversion import Inversion
from attacks.ranks.means import user_means
from tests.planted import top1

USERS, DIMENSIONS = 300, 24


def readable(scatter, *, seed=0, num_aggregates=6, constant=False):
    """Vectors that are linear in the history's aggregates, plus noise; four categories."""
    rng = np.random.default_rng(seed)
    facts = rng.standard_normal((USERS, num_aggregates))
    mixing = rng.standard_normal((num_aggregates, DIMENSIONS))
    favorite = facts[:, :4].argmax(axis=1)
    units = 10.0 ** np.arange(num_aggregates)
    if constant:
        units[-1] = 0
    user_row, true_row = np.repeat(np.arange(USERS), 5), np.repeat(np.arange(USERS), 4)
    vectors, probe = (
        (facts[row] @ mixing + scatter * rng.standard_normal((len(row), DIMENSIONS)) + 4).astype(
            np.float32
        )
        for row in (user_row, true_row)
    )
    return vectors, facts * units + 100, favorite, user_row, probe, true_row


def learned(vectors, aggregates, favorite, user_row, seed=0):
    attack = Inversion()
    histories = Histories(aggregates[user_row], favorite[user_row])
    attack.fit(Gallery(vectors, user_row, histories=histories), np.random.default_rng(seed))
    return attack


def outcome(scatter, **world):
    vectors, aggregates, favorite, user_row, probe, true_row = readable(scatter, **world)
    attack = learned(vectors, aggregates, favorite, user_row)
    gallery = user_means(aggregates[user_row], user_row).astype(np.float32)
    ranks = attack.ranks(probe, gallery, true_row)
    return attack.facts(probe, Histories(aggregates[true_row], favorite[true_row])), top1(
        ranks
    ) * USERS


def test_histories_are_read_and_named_when_vectors_spell_them_out():
    facts, lift = outcome(0.01)

    assert facts["mean_r2"] > 0.999
    assert facts["best_r2"] <= 1
    assert facts["favorite_accuracy"] > facts["majority_accuracy"] + 0.5
    assert lift > 0.99 * USERS


def test_noise_says_nothing_about_histories():
    facts, lift = outcome(1e4)

    assert -0.05 < facts["mean_r2"] < 0.01
    assert abs(facts["favorite_accuracy"] - facts["majority_accuracy"]) < 0.08
    assert 0.2 < lift < 2.5


def test_figures_equal_those_of_least_squares_where_no_penalty_is_needed():
    vectors, aggregates, favorite, user_row, probe, true_row = readable(1.0)
    facts = learned(vectors, aggregates, favorite, user_row).facts(
        probe, Histories(aggregates[true_row], favorite[true_row])
    )

    predicted = LinearRegression().fit(vectors, aggregates[user_row]).predict(probe)
    truth = aggregates[true_row]
    naive = ((truth - aggregates.mean(axis=0)) ** 2).sum(axis=0)
    r2 = 1 - ((truth - predicted) ** 2).sum(axis=0) / naive

    assert facts["mean_r2"] == pytest.approx(r2.mean(), abs=1e-3)
    assert facts["best_r2"] == pytest.approx(r2.max(), abs=1e-3)
    assert facts["best_aggregate"] == r2.argmax()
    counts = np.bincount(favorite)
    assert facts["majority_accuracy"] == np.mean(favorite[true_row] == counts.argmax())


def test_an_aggregate_that_never_varies_counts_neither_way():
    with_constant, lift = outcome(1.0, constant=True)
    vectors, aggregates, favorite, user_row, probe, true_row = readable(1.0)
    rest = learned(vectors, aggregates[:, :-1], favorite, user_row)
    without = rest.facts(probe, Histories(aggregates[true_row, :-1], favorite[true_row]))

    assert with_constant["mean_r2"] == pytest.approx(without["mean_r2"], abs=1e-3)
    assert with_constant["best_aggregate"] < 5
    assert lift > 10


def test_errors_are_weighed_by_how_well_each_aggregate_is_read():
    vectors, aggregates, favorite, user_row, probe, true_row = readable(0.3)
    # Three more aggregates that vectors do not hold drown a distance that trusts all alike.
    unread = np.random.default_rng(5).standard_normal((USERS, 12))
    aggregates = np.hstack([aggregates, unread])
    attack = learned(vectors, aggregates, favorite, user_row)
    found = attack.ranks(probe, aggregates.astype(np.float32), true_row)

    inputs = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    scale = aggregates.std(axis=0)
    regression = LinearRegression().fit(inputs, aggregates[user_row] / scale)
    predicted = regression.predict((probe - vectors.mean(axis=0)) / vectors.std(axis=0))
    distance = np.linalg.norm(predicted[:, None] - aggregates / scale, axis=2)
    plain = np.mean(distance.argmin(axis=1) == true_row)

    assert top1(found) > 1.5 * plain


def test_every_user_weighs_the_same_however_many_events():
    vectors, aggregates, favorite, user_row, _, _ = readable(1.0)
    favorite = np.where(np.arange(USERS) < 100, "news", "sport")
    busy = np.concatenate([np.flatnonzero(user_row < 100)] * 5 + [np.flatnonzero(user_row >= 100)])
    attack = learned(vectors[busy], aggregates, favorite, user_row[busy])

    assert attack.majority == "sport"
    center = user_means(vectors, user_row).mean(axis=0)
    np.testing.assert_allclose(attack.vector_moments[0], center, rtol=1e-5)


def test_the_numbering_of_users_hardly_matters():
    vectors, aggregates, favorite, user_row, probe, true_row = readable(0.5)
    order = np.random.default_rng(3).permutation(USERS)
    inverse = np.argsort(order)
    one = learned(vectors, aggregates, favorite, user_row)
    other = learned(vectors, aggregates[inverse], favorite[inverse], order[user_row])
    shares = [
        top1(one.ranks(probe, aggregates.astype(np.float32), true_row)),
        top1(other.ranks(probe, aggregates[inverse].astype(np.float32), order[true_row])),
    ]

    # Other users share a fold, which may move a strength or an error estimate a little.
    assert abs(shares[0] - shares[1]) < 0.02


def test_a_threshold_compares_distances_to_histories():
    vectors, aggregates, favorite, user_row, probe, true_row = readable(0.01)
    attack = learned(vectors, aggregates, favorite, user_row)
    gallery = aggregates.astype(np.float32)
    known, strangers = gallery[:150], true_row >= 150

    best = attack.best(probe, known)

    assert best[~strangers].min() > np.median(best[strangers])


def test_one_category_for_everybody_is_named_for_everybody():
    vectors, aggregates, _, user_row, probe, true_row = readable(1.0)
    only = np.zeros(USERS, np.int64)
    facts = learned(vectors, aggregates, only, user_row).facts(
        probe, Histories(aggregates[true_row], only[true_row])
    )

    assert facts["favorite_accuracy"] == facts["majority_accuracy"] == 1


def test_inputs_that_cannot_be_used_are_refused():
    vectors, aggregates, favorite, user_row, probe, true_row = readable(1.0)
    events, rng = aggregates[user_row], np.random.default_rng()
    one, fitting = np.zeros_like(user_row), favorite[user_row]

    def fit(owner, histories):
        Inversion().fit(Gallery(vectors, owner, histories=histories), rng)

    with pytest.raises(ValueError, match="call fit first"):
        Inversion().ranks(probe, aggregates.astype(np.float32), true_row)
    with pytest.raises(ValueError, match="needs the histories behind the gallery's vectors"):
        fit(user_row, None)
    with pytest.raises(ValueError, match="must be of 1500 events"):
        fit(user_row, Histories(events, favorite))
    with pytest.raises(ValueError, match="2 users or more, got 1"):
        fit(one, Histories(events, fitting))
    events[3, 1] = np.nan
    with pytest.raises(ValueError, match="aggregates must be finite"):
        fit(user_row, Histories(events, fitting))
