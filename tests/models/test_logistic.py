from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.base import Batch
from models.logistic import Logistic


def random_batch(users=60, events=900, seed=0):
    rng = np.random.default_rng(seed)
    batch = Batch(
        aggregates=rng.normal(size=(users, 27)).astype(np.float32),
        sequence=np.zeros((users, 50, 2), np.float32),
        mask=np.zeros((users, 50), np.bool_),
        user_row=rng.integers(0, users, size=events),
        categorical=rng.integers(0, (20, 5), size=(events, 2)),
        continuous=rng.normal(size=(events, 8)).astype(np.float32),
        labels=np.zeros((events, 1), np.float32),
        wide=np.zeros((events, 0), np.float32),
        tokens=np.zeros((1, 0), np.int32),
        text_row=np.zeros(events, np.int64),
    )
    engaged = rng.random(events) < probability(batch)
    return replace(batch, labels=engaged[:, None].astype(np.float32))


def probability(batch):
    """The planted truth: about one event in eight is engaged."""
    user = batch.aggregates[batch.user_row, 0]
    return expit(-2.5 + user + batch.continuous[:, 1] + 0.5 * (batch.categorical[:, 0] == 3))


def fitted(batch, **parameters):
    model = Logistic(**parameters)
    model.fit(batch, batch, np.random.default_rng(0))
    return model


def odds(batch):
    return (1 - batch.labels.mean()) / batch.labels.mean()


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_logits_equal_those_of_plain_scikit_learn(c):
    train, test = random_batch(), random_batch(seed=1)
    encoder = OneHotEncoder(categories=[np.arange(32), np.arange(16)], sparse_output=False)

    def columns(batch):
        encoded = encoder.fit_transform(batch.categorical)
        return np.hstack([batch.aggregates[batch.user_row], encoded, batch.continuous])

    scaler = StandardScaler().fit(columns(train))
    label = train.labels[:, 0]
    plain = LogisticRegression(C=c, max_iter=1000)
    plain.fit(scaler.transform(columns(train)), label, np.where(label == 1, odds(train), 1.0))
    expected = plain.decision_function(scaler.transform(columns(test)))

    np.testing.assert_allclose(fitted(train, c=c).score(test)[:, 0], expected, atol=1e-4)


def test_the_released_vector_adds_up_to_the_logit():
    batch = random_batch()
    model = fitted(batch)

    vectors, logits = model.represent(batch), model.score(batch)

    assert vectors.shape == (900, 83)
    assert logits.shape == (900, 1)
    assert vectors.dtype == logits.dtype == np.float32
    total = vectors.sum(axis=1, keepdims=True) + model.state()["intercept"]
    np.testing.assert_allclose(total, logits, atol=1e-4)


def test_the_probability_is_the_sigmoid_of_the_logit_less_the_log_of_the_weight():
    batch = random_batch(users=2_000, events=20_000)
    logits = fitted(batch).score(batch)[:, 0]

    corrected = np.abs(expit(logits - np.log(odds(batch))) - probability(batch)).mean()
    uncorrected = np.abs(expit(logits) - probability(batch)).mean()

    assert corrected < 0.02
    assert uncorrected > 0.1


def test_labels_do_not_reach_the_outputs():
    batch = random_batch()
    model = fitted(batch)
    flipped = replace(batch, labels=1 - batch.labels)

    np.testing.assert_array_equal(model.score(batch), model.score(flipped))
    np.testing.assert_array_equal(model.represent(batch), model.represent(flipped))


def test_a_column_that_is_constant_in_train_is_released_as_0():
    model = fitted(random_batch())
    unseen = replace(random_batch(seed=1), categorical=np.full((900, 2), (31, 15)))

    vectors = model.represent(unseen)

    assert np.isfinite(vectors).all()
    assert not vectors[:, 27 + 31].any()
    assert not vectors[:, 27 + 32 + 15].any()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_of_one_class_are_refused(label):
    batch = random_batch()
    one_class = replace(batch, labels=np.full_like(batch.labels, label))

    with pytest.raises(ValueError, match=f"both classes, got {900 * int(label)} positives of 900"):
        fitted(one_class)


def test_state_round_trip_gives_equal_outputs():
    batch = random_batch()
    first, second = fitted(batch), Logistic()

    second.load_state(first.state())

    np.testing.assert_array_equal(first.score(batch), second.score(batch))
    np.testing.assert_array_equal(first.represent(batch), second.represent(batch))
    assert first.num_parameters == 84


def test_a_state_of_another_shape_is_refused():
    state = Logistic().state() | {"mean": np.zeros(3)}

    with pytest.raises(ValueError, match=r"state of Logistic: .* got .*\(3,\)"):
        Logistic().load_state(state)


def test_a_c_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="logistic: c must be above 0, got 0"):
        Logistic(c=0)
