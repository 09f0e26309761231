"""Fits on data with two labels and wide features, from their scores to fine-tuning."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from suite.artifacts.fitted import Fitted
from suite.cluster.settings import Compute
from suite.features.encode import features
from suite.parts import Part
from suite.search.objective import validation_auc
from suite.steps import fit as train
from suite.training import scores
from suite.training.settings import Training
from tests.canonical import wide_world

pytestmark = pytest.mark.usefixtures("one_thread")

NN = Part(
    name="nn_classifier",
    parameters={"widths": ((16, 16, 8, 8, 4),), "dropout": (0.0,) * 5},
)
GBDT = Part(name="gbdt", parameters={"num_rounds": 10, "depth": 3})
SHORT = Training(epochs=2, batch_size=64, user_cap=16, learning_rate=1e-2)


@pytest.fixture(scope="module")
def wide():
    return features(wide_world(3, users=60), time_zone="UTC", holdout_users=0.2)


def fit(wide, folder, model, training=SHORT, **compute):
    return train.fit(
        wide,
        model=model,
        training=training,
        seed=0,
        compute=Compute(accelerator="cpu", **compute),
        scratch=str(folder),
        report=lambda _: None,
    )


@pytest.mark.parametrize("model", [NN, GBDT, Part(name="logistic")], ids=lambda part: part.name)
def test_every_label_of_the_data_is_scored_for_every_validation_and_test_event(
    wide, tmp_path, model
):
    fitted = fit(wide, tmp_path, model)
    expected = wide.events.filter(pl.col("window") != "train")
    assert sorted(fitted.scores["event_id"]) == sorted(expected["event_id"])
    assert scores.labels(fitted.scores) == ["engaged", "like"]
    found = fitted.scores.join(expected, on="event_id", suffix="_true")
    for label in ("engaged", "like"):
        assert (found[label] == found[f"{label}_true"]).all()
    assert fitted.scores["logit"].to_list() != fitted.scores["logit_like"].to_list()
    assert len(fitted.positive_weight) == 2
    fitted.save(tmp_path)
    again = Fitted.load(tmp_path)
    assert again.scores.equals(fitted.scores)
    built = train.build(model, 9)
    built.load_state(again.state)
    assert built.num_parameters == fitted.num_parameters


@pytest.mark.parametrize("model", [NN, GBDT], ids=lambda part: part.name)
def test_a_trial_ends_with_the_auc_by_which_its_epochs_were_chosen(wide, tmp_path, model):
    """Of several labels the mean, not that of ``engaged``, which can rank trials otherwise."""
    fitted = fit(wide, tmp_path, model)
    events = wide.events.filter(window="validation", trained=True)
    scored = events.join(fitted.scores, on="event_id", validate="1:1", maintain_order="left")
    by_label = [
        roc_auc_score(scored[label], scored[logit])
        for label, logit in (("engaged", "logit"), ("like", "logit_like"))
    ]
    assert abs(by_label[0] - by_label[1]) > 1e-3
    found = validation_auc(fitted, wide)
    assert found == pytest.approx(sum(by_label) / 2, abs=1e-12)
    running = [row["validation_auc"] for row in fitted.history if "validation_auc" in row]
    assert bool(running) == (model == NN)
    assert not running or found == pytest.approx(max(running), abs=1e-6)


def test_an_auc_of_labels_leaves_out_those_of_one_class():
    label = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 1], [1, 1, 0]])
    logit = np.array([[0.1, 5, 1], [0.2, 6, 2], [0.3, 7, 2], [0.4, 8, 2]])
    # By pairs: engaged 3 of 4 in order; the second never varies; the third 2 of 4 and two ties.
    assert scores.mean_auc(label, logit) == (3 / 4 + 3 / 4) / 2
    assert scores.mean_auc(label, logit[:, :1]) == 3 / 4
    with pytest.raises(ValueError, match=r"^validation: label engaged is always 1 among the 4 ev"):
        scores.mean_auc(label[:, [1]], logit[:, :1])


@pytest.mark.parametrize("model", [NN, GBDT], ids=lambda part: part.name)
def test_fine_tuning_is_scored_beside_what_it_started_from_and_released_nowhere(
    wide, tmp_path, model
):
    tuned = SHORT.model_copy(update={"finetune_epochs": 10})
    before, after = (fit(wide, tmp_path / n, model, t) for n, t in (("0", SHORT), ("1", tuned)))
    for name, weights in before.state.items():
        np.testing.assert_array_equal(after.state[name], weights)
    assert after.scores.select(before.scores.columns).equals(before.scores)
    added = set(after.scores.columns) - set(before.scores.columns)
    assert added == {"finetuned_logit", "finetuned_logit_like"}
    # What was fitted is described better, whatever that says of other events.
    fitted_on = wide.events.filter((pl.col("window") == "validation") & pl.col("trained"))
    seen = after.scores.join(fitted_on, on="event_id", how="semi")

    def loss(column):
        return log_loss(seen["like"], 1 / (1 + np.exp(-seen[column].to_numpy().astype(float))))

    assert loss("finetuned_logit_like") < loss("logit_like")


def test_a_model_that_cannot_be_fine_tuned_is_scored_once(wide, tmp_path):
    tuned = SHORT.model_copy(update={"finetune_epochs": 1})
    fitted = fit(wide, tmp_path, Part(name="logistic"), tuned)
    assert not [name for name in fitted.scores.columns if name.startswith("finetuned")]


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_trees_that_two_workers_grow_together_are_close_to_those_of_one(wide, tmp_path):
    alone = fit(wide, tmp_path / "1", GBDT)
    shared = fit(wide, tmp_path / "2", GBDT, workers=2)
    assert shared.num_parameters > 0
    # Candidate splits come from sketches of each worker's values, so trees may differ a little.
    for label in ("logit", "logit_like"):
        one, two = (f.scores.sort("event_id")[label].to_numpy() for f in (alone, shared))
        assert np.corrcoef(one, two)[0, 1] > 0.9
