"""What every model must do. A new file in models/ is found here without an edit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.base import Estimator
from suite.parts import Part
from suite.steps import fit as train
from suite.training import batches
from tests.parts import parts

pytestmark = pytest.mark.usefixtures("one_thread")


def fitted(name: str, features, seed: int = 0):
    model = train.build(Part(name=name), seed)
    if isinstance(model, Estimator):
        rows = [batches.rows(features, window, trained=True) for window in ("train", "validation")]
        model.fit(*(batches.gather(features, r) for r in rows), np.random.default_rng(seed))
    return model


@pytest.fixture(scope="module")
def batch(features):
    return batches.gather(features, np.arange(0, len(features.events), 7))


@parts("models")
def test_a_model_gives_a_logit_per_label_and_a_vector_per_event(name, features, batch):
    model = fitted(name, features)
    score, vector = model.score(batch), model.represent(batch)
    assert score.shape == (len(batch.labels), model.num_labels)
    assert vector.shape[0] == len(batch.labels)
    assert vector.ndim == 2
    assert score.dtype == vector.dtype == np.float32
    assert np.isfinite(score).all()
    assert np.isfinite(vector).all()
    assert vector.std(axis=0).max() > 0
    assert model.num_parameters > 0


@parts("models")
def test_the_head_of_a_model_scores_its_vectors_as_the_model_does(name, features, batch):
    model = fitted(name, features)
    logits = model.head(model.represent(batch))
    if logits is None:  # a sum over leaves, whose projections cannot be told apart in the vector
        assert name == "gbdt"
        return
    np.testing.assert_allclose(logits, model.score(batch), rtol=1e-5, atol=1e-5)


@parts("models")
def test_a_model_does_not_see_what_it_predicts(name, features, batch):
    model = fitted(name, features)
    blind = replace(batch, labels=1 - batch.labels)
    np.testing.assert_array_equal(model.score(blind), model.score(batch))
    np.testing.assert_array_equal(model.represent(blind), model.represent(batch))


@parts("models")
def test_an_events_vector_does_not_depend_on_the_others_of_its_batch(name, features):
    model = fitted(name, features)
    rows = np.arange(0, len(features.events), 11)[::-1]
    together = model.represent(batches.gather(features, rows))
    for place in (0, 5, len(rows) - 1):
        (alone,) = model.represent(batches.gather(features, rows[[place]]))
        np.testing.assert_allclose(together[place], alone, rtol=1e-4, atol=1e-5)


@parts("models")
def test_a_models_state_survives_a_file_without_pickles(name, features, batch, tmp_path):
    model = fitted(name, features)
    np.savez(tmp_path / "state.npz", **model.state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        state = dict(arrays)
    again = train.build(Part(name=name), seed=99)
    again.load_state(state)
    np.testing.assert_array_equal(again.score(batch), model.score(batch))
    np.testing.assert_array_equal(again.represent(batch), model.represent(batch))
    assert again.num_parameters == model.num_parameters


@parts("models")
def test_the_same_seed_gives_the_same_model(name, features):
    one, same = fitted(name, features).state(), fitted(name, features).state()
    assert one.keys() == same.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], same[key])
