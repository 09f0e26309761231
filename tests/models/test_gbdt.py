from dataclasses import replace

import numpy as np
import pytest
import xgboost

from models.blocks.columns import columns
from models.gbdt import Gbdt
from tests.models.test_nn_classifier import wide_batch

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"num_rounds": 12, "depth": 3}


def fitted(train, later=None, **parameters):
    model = Gbdt(**{**SMALL, **parameters})
    model.fit(train, train if later is None else later, np.random.default_rng(0))
    return model


def test_each_labels_logit_is_that_of_a_plain_xgboost_classifier():
    train = wide_batch(events=500)
    model = fitted(train, patience=99)
    for label in range(3):
        values = train.labels[:, label]
        plain = xgboost.XGBClassifier(
            n_estimators=12,
            max_depth=3,
            learning_rate=0.1,
            base_score=0.5,
            scale_pos_weight=(1 - values.mean()) / values.mean(),
            n_jobs=1,
        )
        plain.fit(columns(train), values)
        count = model.boosters[label].num_boosted_rounds()
        expected = plain.predict(columns(train), output_margin=True, iteration_range=(0, count))
        np.testing.assert_allclose(model.score(train)[:, label], expected, atol=1e-5)


def test_the_released_vector_is_the_projection_of_the_leaves_as_indicators():
    train = wide_batch(events=300)
    model = fitted(train, dim=8)
    later = wide_batch(events=40, seed=5)
    found = model.represent(later)
    blocks, tables = [], []
    for label, booster in enumerate(model.boosters):
        leaves = booster.predict(xgboost.DMatrix(columns(later)), pred_leaf=True).astype(int)
        for tree in range(leaves.shape[1]):
            rng = np.random.default_rng([0, label, tree])
            tables.append(rng.standard_normal((16, 8), dtype=np.float32) / np.sqrt(8))
            blocks.append(np.eye(16)[leaves[:, tree]])
    np.testing.assert_allclose(found, np.hstack(blocks) @ np.vstack(tables), atol=1e-4)
    other = fitted(train, dim=8, projection_seed=1)
    np.testing.assert_array_equal(other.score(later), model.score(later))
    assert np.abs(other.represent(later) - found).max() > 0.1


def test_the_projection_keeps_squared_distances_between_leaf_indicators():
    train = wide_batch(events=300)
    model = fitted(train, dim=2048)
    vectors = model.represent(train)
    leaves = np.hstack(
        [
            booster.predict(xgboost.DMatrix(columns(train)), pred_leaf=True)
            for booster in model.boosters
        ]
    )
    others = np.arange(1, 300)
    expected = 2 * (leaves[0] != leaves[others]).sum(axis=1)
    found = ((vectors[0] - vectors[others]) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=0.25, atol=1e-6)


def test_trees_stop_growing_when_later_events_are_not_ranked_better():
    train = wide_batch(events=300)
    noise = wide_batch(events=300, seed=9)
    stopped = fitted(train, noise, num_rounds=200, patience=3)
    assert max(b.num_boosted_rounds() for b in stopped.boosters) < 100
    one_class = replace(noise, labels=np.zeros_like(noise.labels))
    assert fitted(train, one_class).boosters[0].num_boosted_rounds() == 12


def test_fine_tuning_adds_a_fifth_of_the_trees_and_moves_towards_later_events():
    train = wide_batch(events=600)
    later = replace(train, labels=1 - train.labels)
    model = fitted(train, patience=99)
    before = [booster.num_boosted_rounds() for booster in model.boosters]

    def loss():
        signed = (1 - 2 * later.labels) * model.score(later)
        return np.logaddexp(0, signed).mean()

    first = loss()
    model.finetune(later, np.random.default_rng(0))
    after = [booster.num_boosted_rounds() for booster in model.boosters]
    assert after == [n + max(1, n // 5) for n in before]
    assert loss() < first


def test_fine_tuning_finds_the_base_rate_of_later_events():
    train = wide_batch(events=4000)
    rng = np.random.default_rng(0)
    known = train.wide[:, 0]

    def labelled(offset):
        chance = 1 / (1 + np.exp(offset - (known > np.median(known))))
        return replace(train, labels=(rng.random(len(chance)) < chance)[:, None].astype(np.float32))

    early, later = labelled(3.5), labelled(1.5)
    assert 3 * early.labels.mean() < later.labels.mean()
    model = fitted(early, later, num_rounds=100, patience=100, depth=3, learning_rate=0.3)
    # As whoever reads the scores does, who knows the classes of train.
    weight = (1 - early.labels.mean()) / early.labels.mean()

    def mean_probability():
        return (1 / (1 + np.exp(-(model.score(later) - np.log(weight))))).mean()

    before = mean_probability()
    model.finetune(later, rng)
    distance = [abs(p - later.labels.mean()) for p in (before, mean_probability())]
    assert distance[1] < 0.5 * distance[0]


def test_a_label_of_one_class_is_refused():
    train = wide_batch(events=100)
    flat = replace(train, labels=np.ones_like(train.labels))
    with pytest.raises(ValueError, match="both classes, got 100 positives of 100"):
        fitted(flat)


def test_a_state_with_another_name_is_refused():
    with pytest.raises(ValueError, match="state of Gbdt: expected"):
        Gbdt().load_state({"trees": np.zeros(3, np.uint8)})


def test_impossible_parameters_are_refused():
    with pytest.raises(ValueError, match="gbdt: num_rounds"):
        Gbdt(depth=0)
