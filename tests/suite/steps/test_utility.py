from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from suite.artifacts.fitted import Fitted
from suite.artifacts.predictions import Predictions
from suite.artifacts.representation import Representation
from suite.parts import Part
from suite.steps import utility as step
from suite.steps.attack import attack
from suite.steps.defend import defend
from suite.steps.measure import measure
from suite.steps.represent import represent
from suite.steps.utility import utility
from suite.training import batches, scores
from suite.training.build import build

pytestmark = pytest.mark.usefixtures("one_thread")


def made_up(n: int = 400, weight: float = 3.0) -> Fitted:
    rng = np.random.default_rng(0)
    logit = rng.normal(size=2 * n) + math.log(weight)
    table = pl.DataFrame(
        {
            "event_id": np.arange(2 * n),
            "user_id": rng.integers(20, size=2 * n),
            "window": ["validation"] * n + ["test"] * n,
            "engaged": rng.random(2 * n) < expit(logit - math.log(weight)),
            "logit": logit.astype(np.float32),
        }
    )
    history = [{"epoch": 1, "examples_per_s": 10.0}, {"epoch": 2, "examples_per_s": 30.0}]
    return Fitted(
        state={}, scores=table, history=history, positive_weight=[weight], num_parameters=7
    )


def fitted(features, name: str = "mlp") -> Fitted:
    """Scores of a model whose last layer, or all of it, was fitted."""
    built = build(Part(name=name), 3, features)
    if name != "mlp":
        train, validation = (
            batches.gather(features, batches.rows(features, window, trained=True))
            for window in ("train", "validation")
        )
        built.fit(train, validation, np.random.default_rng(0))
    return Fitted(
        state=built.state(),
        scores=scores.score(built, features),
        history=[{"epoch": 1, "examples_per_s": 10.0}],
        positive_weight=[2.0],
        num_parameters=built.num_parameters,
    )


def released(features, vector) -> Representation:
    user, event = (features.events[name].to_numpy() for name in ("user_id", "event_id"))
    return Representation(user, event, vector.astype(np.float32))


def random(features) -> Representation:
    return released(features, np.random.default_rng(0).normal(size=(len(features.events), 3)))


def test_a_models_own_scores_are_scikit_learns_on_the_test_window(features):
    model = made_up()
    found = utility(features, random(features), model)
    test = model.scores.filter(window="test")
    label, logit = test["engaged"].to_numpy(), test["logit"].to_numpy()
    probability = expit(logit.astype(float) - math.log(3))
    expected = {
        "auc": roc_auc_score(label, logit),
        "ap": average_precision_score(label, logit),
        "log_loss": log_loss(label, probability),
        "num_parameters": 7,
    }
    assert {key: found.row[key] for key in expected} == pytest.approx(expected)
    assert found.row["auc_low"] < expected["auc"] < found.row["auc_high"]
    assert found.row["auc_own_head"] == found.row["auc"]
    other = utility(features, random(features)).row
    assert found.row["auc_refitted"] == pytest.approx(other["auc"])
    base = log_loss(label, np.full(len(label), label.mean()))
    assert found.extra["utility/rce"] == pytest.approx(100 * (1 - expected["log_loss"] / base))
    assert found.extra["train/examples_per_s"] == 20
    assert found.row["note"] is None
    with_note = replace(model, note="trained with care", facts={"dp/epsilon": 2.0})
    noted = utility(features, random(features), with_note)
    assert noted.row["note"] == "trained with care"
    assert noted.extra["dp/epsilon"] == 2.0


@pytest.mark.parametrize("name", ["mlp", "logistic"])
def test_the_own_head_on_undefended_vectors_reproduces_the_models_scores(features, name):
    model = fitted(features, name)
    vectors = represent(features, model, model=Part(name=name), release="model")
    through_head = utility(features, vectors, model, model=Part(name=name), seed=3).row
    own = utility(features, vectors, model).row
    assert through_head["auc_own_head"] == pytest.approx(own["auc"], abs=1e-5)
    built = build(Part(name=name), 3, features)
    built.load_state(model.state)
    later = model.scores.sort("event_id")
    rows = batches.positions(features, later["event_id"].to_numpy())
    np.testing.assert_allclose(built.head(vectors.vector[rows])[:, 0], later["logit"], atol=1e-5)


def test_a_model_whose_head_reads_no_vectors_is_refitted(features):
    model = fitted(features, "gbdt")
    vectors = represent(features, model, model=Part(name="gbdt"), release="model")
    row = utility(features, vectors, model, model=Part(name="gbdt"), seed=3).row
    assert row["auc_own_head"] is None
    assert row["auc"] == row["auc_refitted"]
    shorter = replace(vectors, vector=vectors.vector[:, :5])
    mlp = fitted(features)
    assert utility(features, shorter, mlp, model=Part(name="mlp"), seed=3).row["auc"] is not None


def test_the_better_head_on_validation_is_reported(features):
    """Turned over, the own head's scores are worst; refitted nothing changes."""
    model = fitted(features, "logistic")
    plain = represent(features, model, model=Part(name="logistic"), release="model")
    turned = replace(plain, vector=-plain.vector)
    rows = {}
    for name, vectors in (("plain", plain), ("turned", turned)):
        rows[name] = utility(features, vectors, model, model=Part(name="logistic"), seed=3).row
    assert rows["turned"]["auc_own_head"] == pytest.approx(1 - rows["plain"]["auc_own_head"])
    assert rows["turned"]["auc_refitted"] == pytest.approx(rows["plain"]["auc_refitted"])
    assert rows["turned"]["auc"] == rows["turned"]["auc_refitted"]
    chosen = validation_auc(features, -plain.vector.sum(axis=1))
    assert chosen < 0.5 < validation_auc(features, plain.vector.sum(axis=1))


def validation_auc(features, score) -> float:
    events = features.events
    rows = ((events["window"] == "validation") & events["trained"]).to_numpy()
    return roc_auc_score(events["engaged"].to_numpy()[rows], score[rows])


def test_the_refitted_head_is_the_penalized_maximum_likelihood_at_the_best_strength(features):
    """By a general minimizer in float64, without scikit-learn's regression."""
    vector = np.random.default_rng(0).normal(size=(len(features.events), 4))
    vector += features.labels[:, :1] * np.array([1.0, 0.3, 0.0, -0.2]) + [5, 0, -3, 1]
    vector *= [1, 10, 0.1, 1]
    found = utility(features, released(features, vector)).row
    events = features.events
    train = ((events["window"] == "train") & events["trained"]).to_numpy()
    scaled = (vector - vector[train].mean(axis=0)) / vector[train].std(axis=0)
    sign = np.where(features.labels[:, 0] > 0.5, 1, -1)

    def fit(strength):
        def penalized(w):
            margin = sign[train] * (scaled[train] @ w[:-1] + w[-1])
            return strength * np.logaddexp(0, -margin).sum() + (w[:-1] ** 2).sum() / 2

        w = minimize(penalized, np.zeros(5), tol=1e-10).x
        return scaled @ w[:-1] + w[-1]

    candidates = [fit(strength) for strength in step.STRENGTHS]
    best = max(candidates, key=lambda logit: validation_auc(features, logit))
    test = (events["window"] == "test").to_numpy()
    label = events["engaged"].to_numpy()[test]
    assert found["auc"] == pytest.approx(roc_auc_score(label, best[test]), abs=1e-3)
    assert found["log_loss"] == pytest.approx(log_loss(label, expit(best[test])), abs=1e-3)
    assert found["auc_refitted"] == found["auc"] > 0.7


def test_users_held_out_decide_nothing(features):
    vector = np.random.default_rng(0).normal(size=(len(features.events), 4))
    vector += features.labels[:, :1]
    before = utility(features, released(features, vector)).row
    early = (features.events["window"] != "test").to_numpy()
    held_out = early & ~features.events["trained"].to_numpy()
    changed = vector.copy()
    changed[held_out] += 100
    after = utility(features, released(features, changed)).row
    # The threshold of F1 is chosen on all of validation, as it is for a model.
    same = ("auc", "ap", "log_loss", "auc_refitted")
    assert [after[key] for key in same] == [before[key] for key in same]


def test_a_defense_that_destroys_everything_leaves_chance_in_utility_and_in_lift(
    features, tmp_path
):
    path = tmp_path / "own.py"
    path.write_text(
        "import numpy as np\n"
        "from attacks.defenses.base import Defense\n\n\n"
        "class Destroyed(Defense):\n"
        "    def apply(self, released, rng):\n"
        "        noise = 1e6 * rng.normal(size=released.vectors.shape)\n"
        "        return (released.vectors + noise).astype(np.float32)\n"
    )
    model = fitted(features, "logistic")
    plain = represent(features, model, model=Part(name="logistic"), release="model")
    clear = utility(features, plain, model, model=Part(name="logistic"), seed=3)
    gone = defend(features, plain, defense=Part(name=f"{path}:Destroyed"), seed=0)
    predictions = utility(features, gone, model, model=Part(name="logistic"), seed=3)
    where = {"protocol": Part(name="rolling"), "attack": Part(name="cosine"), "seed": 0}
    row = measure(attack(features, gone, **where), predictions).row
    assert clear.row["auc_low"] > 0.5
    assert row["auc_low"] < 0.5 < row["auc_high"]
    assert row["lift_low"] < 1 < row["lift_high"]


@pytest.mark.parametrize("kind", ["constant", "doubled", "huge", "one column"])
def test_awkward_vectors_are_fitted_without_a_warning(features, kind):
    vector = np.random.default_rng(0).normal(size=(len(features.events), 6))
    vector += features.labels[:, :1]
    made = {
        "constant": np.ones_like(vector),
        "doubled": np.repeat(vector, 2, axis=1),
        "huge": 1e30 * vector,
        "one column": vector[:, :1],
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = utility(features, released(features, made)).row
    assert row["auc"] == 0.5 if kind == "constant" else row["auc"] > 0.6
    assert 0 < row["log_loss"] < 1


def relabelled(features, window: str):
    """Nobody engages in a window."""
    gone = pl.when(pl.col("window") != window).then(pl.col("engaged")).otherwise(pl.lit(False))
    labels = features.labels.copy()
    labels[(features.events["window"] == window).to_numpy(), 0] = 0
    return replace(features, events=features.events.with_columns(engaged=gone), labels=labels)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (
            "train",
            r"^utility: label engaged is always 0 among the \d+ train events of trained user",
        ),
        (
            "validation",
            r"^validation: label engaged is always 0 among the \d+ events of trained us",
        ),
        ("test", r"^test window: 0 of \d+ events have the label; two classes are needed$"),
    ],
)
def test_a_label_with_one_class_is_refused_in_one_line(features, window, message):
    vector = np.random.default_rng(0).normal(size=(len(features.events), 3))
    with pytest.raises(ValueError, match=message) as refused:
        utility(relabelled(features, window), released(features, vector))
    assert "\n" not in str(refused.value)


def test_every_label_has_a_head_and_one_without_two_classes_is_chance(features):
    rng = np.random.default_rng(0)
    vector = rng.normal(size=(len(features.events), 3))
    like = rng.random(len(vector)) < expit(3 * vector[:, 1])
    rare = (features.events["window"] == "test").to_numpy() & (rng.random(len(vector)) < 0.2)
    vector[:, 0] += features.labels[:, 0]
    several = replace(
        features,
        events=features.events.with_columns(like=pl.Series(like), rare=pl.Series(rare)),
        labels=np.column_stack([features.labels[:, 0], like, rare]).astype(np.float32),
        label_names=("engaged", "like", "rare"),
    )
    extra = utility(several, released(several, vector)).extra
    test = (features.events["window"] == "test").to_numpy()
    assert extra["utility/ap_rare"] == pytest.approx(rare[test].mean())
    assert extra["utility/ap_like"] == pytest.approx(
        average_precision_score(like[test], vector[test, 1]), abs=0.05
    )


def test_a_logit_that_is_not_finite_is_refused(features):
    broken = made_up()
    broken.scores[0, "logit"] = math.nan
    with pytest.raises(ValueError, match="validation window: found 1 logit NaN or infinite"):
        utility(features, random(features), broken)


def test_what_is_saved_is_loaded(features, tmp_path):
    found = utility(features, random(features), made_up())
    found.save(tmp_path)
    assert Predictions.load(tmp_path) == found


def test_labels_that_a_model_does_not_score_are_predicted_from_its_vectors(features):
    """Undefended the row stays the model's own; a further label is refitted, and reported."""
    rng = np.random.default_rng(0)
    model = fitted(features)
    vectors = represent(features, model, model=Part(name="mlp"), release="model")
    like = rng.random(len(features.events)) < expit(4 * vectors.vector[:, 0])
    two = replace(
        features,
        events=features.events.with_columns(like=pl.Series(like)),
        labels=np.column_stack([features.labels[:, 0], like]).astype(np.float32),
        label_names=("engaged", "like"),
    )
    alone, found = (utility(known, vectors, model) for known in (features, two))
    assert found.row == alone.row
    assert found.extra["utility/auc_engaged"] == pytest.approx(alone.row["auc"])
    assert found.extra["utility/auc_like"] > 0.6
    assert alone.extra["utility/auc_validation"] == found.extra["utility/auc_validation_engaged"]
    defended = utility(two, vectors, model, model=Part(name="mlp"), seed=3)
    assert defended.extra["utility/auc_like"] == pytest.approx(found.extra["utility/auc_like"])
