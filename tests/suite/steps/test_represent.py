from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.base import Batch
from suite.artifacts.fitted import Fitted
from suite.artifacts.representation import Representation
from suite.features.encode import features as wide_features
from suite.parts import Part
from suite.steps import represent
from suite.training import batches
from suite.training.build import build
from tests.canonical import wide_world

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS = ["logistic", "mlp", "bilstm"]


def fitted(model: str, seed: int = 3) -> Fitted:
    """Weights that no training has touched; logistic's are made up."""
    built = build(Part(name=model), seed)
    state = built.state()
    if model == "logistic":
        rng = np.random.default_rng(seed)
        state = {name: rng.uniform(0.5, 2, value.shape) for name, value in state.items()}
    return Fitted(state=state, scores=None, history=[], positive_weight=[1.0], num_parameters=1)


def released(features, model: str, release: str, **more) -> Representation:
    weights = fitted(model) if release == "model" else None
    return represent.represent(features, weights, model=Part(name=model), release=release, **more)


@pytest.mark.parametrize("model", MODELS)
def test_every_event_has_the_vector_that_the_model_gives_it_alone(features, model):
    found = released(features, model, "model")
    assert found.event_id.tolist() == features.events["event_id"].to_list()
    assert found.user_id.tolist() == features.events["user_id"].to_list()
    built = build(Part(name=model), 0)
    built.load_state(fitted(model).state)
    for row in (0, 17, len(features.events) - 1):
        (alone,) = built.represent(batches.gather(features, np.array([row])))
        np.testing.assert_allclose(found.vector[row], alone, rtol=1e-4, atol=1e-5)


def test_each_history_is_encoded_once(features, monkeypatch):
    seen: list[Batch] = []
    real = batches.gather

    def noted(*args):
        seen.append(real(*args))
        return seen[-1]

    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 50)
    monkeypatch.setattr(batches, "gather", noted)
    released(features, "mlp", "model")
    assert len(seen) > 2
    assert sum(len(batch.aggregates) for batch in seen) == len(features.aggregates)
    assert sum(len(batch.labels) for batch in seen) == len(features.events)


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_the_vectors_are_the_same_over_any_number_of_shards(features, monkeypatch):
    whole = released(features, "mlp", "model")
    monkeypatch.setattr(represent, "EVENTS_PER_SHARD", 200)
    spread = released(features, "mlp", "model")
    np.testing.assert_allclose(spread.vector, whole.vector, rtol=1e-5, atol=1e-6)
    assert spread.event_id.tolist() == whole.event_id.tolist()


def test_raw_is_the_users_scaled_inputs_with_zeros_as_padding(features):
    row = features.events["row"].to_numpy()
    mlp, bilstm = (released(features, model, "raw").vector for model in ("mlp", "bilstm"))
    assert mlp.shape == (len(row), 21)
    assert bilstm.shape == (len(row), 27 + 50 * 2)
    np.testing.assert_array_equal(mlp, features.aggregates[row, :21])
    for event in (0, 99):
        steps = features.sequence[row[event]].copy()
        steps[~features.mask[row[event]]] = 0
        existing = 2 * features.mask[row[event]].sum()
        blocks = features.aggregates[row[event]] / np.sqrt(27), steps.ravel() / np.sqrt(existing)
        np.testing.assert_allclose(bilstm[event], np.concatenate(blocks), rtol=1e-5)
    assert not features.mask.all()


def test_context_only_is_the_item_and_the_context(features):
    mlp, bilstm = (released(features, m, "context_only").vector for m in ("mlp", "bilstm"))
    assert mlp.shape[1] == 32 + 16 + 5
    assert bilstm.shape[1] == 32 + 16 + 8
    for event in (0, 200):
        category, item_type = features.categorical[event]
        expected = np.zeros(32 + 16)
        expected[[category, 32 + item_type]] = 1
        np.testing.assert_array_equal(mlp[event, :48], expected)
        np.testing.assert_array_equal(mlp[event, 48:], features.continuous[event, :5])
        np.testing.assert_array_equal(bilstm[event, 48:], features.continuous[event])


@pytest.mark.parametrize("release", ["raw", "context_only", "pca"])
def test_what_is_not_the_models_needs_no_weights(features, release):
    found = represent.represent(features, model=Part(name="mlp"), release=release)
    assert found.vector.dtype == np.float32
    assert len(found.vector) == len(features.events)


@pytest.mark.parametrize("model", ["mlp", "nn_classifier"])
def test_a_wide_feature_is_raw_or_context_by_whom_it_is_about(model):
    made = wide_features(wide_world(0), time_zone="UTC", holdout_users=0.2)
    mean, std = (np.array(made.statistics[f"wide_{name}"]) for name in ("mean", "std"))
    scaled = np.nan_to_num((made.wide - mean) / std)
    raw, context, pca = (
        represent.represent(made, model=Part(name=model), release=release).vector
        for release in ("raw", "context_only", "pca")
    )
    if model == "mlp":
        assert raw.shape[1] == 21
        assert context.shape[1] == 32 + 16 + 5
        return
    # WIDE: content, creator, reader, reader_creator.
    np.testing.assert_allclose(raw[:, 27:], scaled[:, 2:] / np.sqrt(2), atol=1e-5)
    np.testing.assert_allclose(context[:, 32 + 16 + 8 :], scaled[:, :2], atol=1e-5)
    assert pca.shape[1] == 27 + 2


def test_random_net_is_what_the_untrained_weights_give(features):
    found = released(features, "mlp", "random_net", seed=3)
    np.testing.assert_array_equal(found.vector, released(features, "mlp", "model").vector)
    other = released(features, "mlp", "random_net", seed=4)
    assert np.abs(other.vector - found.vector).max() > 0.1


def test_pca_keeps_the_distances_of_raw_where_it_has_room_for_all(features):
    raw = released(features, "mlp", "raw").vector.astype(np.float64)
    pca = released(features, "mlp", "pca").vector.astype(np.float64)
    # Axes of trained users' train histories: distances among them are kept.
    rows = batches.rows(features, "train", trained=True)[::7]
    for one in rows[:5]:
        before = np.linalg.norm(raw[rows] - raw[one], axis=1)
        after = np.linalg.norm(pca[rows] - pca[one], axis=1)
        np.testing.assert_allclose(after, before, atol=1e-4)


def test_what_is_saved_is_loaded(features, tmp_path):
    found = released(features, "mlp", "raw")
    found.save(tmp_path)
    again = Representation.load(tmp_path)
    for name in ("user_id", "event_id", "vector"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.vector.dtype == np.float32
    # A table that other tools read: one fixed-size list a row.
    table = pq.read_table(tmp_path / "representation.parquet")
    assert table.column_names == ["user_id", "event_id", "vector"]
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[21]"
