"""Both ends of the science: nothing is found where users are alike, all where nobody changes."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from models.network import Network
from suite.cluster.settings import Compute
from suite.parts import Part
from suite.plan.kinds import KINDS
from suite.plan.plan import plans
from suite.spec import Suite
from suite.steps.attack import attack
from suite.steps.features import prepare
from suite.steps.fit import Fitted, fit
from suite.steps.half import half
from suite.steps.measure import measure
from suite.steps.represent import represent
from suite.training.build import build
from suite.training.loop import Worker, train
from suite.training.settings import Training

ATTACKERS = ("cosine", "euclidean")


def part(name, **parameters):
    return Part(name=name, parameters=parameters)


def readers(users, identity, drift, history_days):
    """Simulated readers."""
    return part("synthetic", users=users, identity=identity, drift=drift, history_days=history_days)


@cache
def world(users, identity, drift, history_days):
    """Features of simulated readers."""
    return prepare(dataset=readers(users, identity, drift, history_days), holdout_users=0.2)


def fitted(features, model, folder):
    """Fit in this process: a network by the bare loop, without Ray."""
    built, training = build(part(model), seed=0), Training(epochs=1)
    if not isinstance(built, Network):
        return fit(
            features,
            model=part(model),
            training=training,
            seed=0,
            compute=Compute(),
            scratch=str(folder),
            report=[].append,
        )
    state = train(
        built,
        features,
        training,
        seed=0,
        worker=Worker(),
        checkpoint_url=f"{folder}/checkpoint.pt",
        report=[].append,
    )
    built.load_state_dict(state["best"])
    return Fitted(built.state(), pl.DataFrame(), state["history"], [1.0], built.num_parameters)


def attacked(features, model, release, folder=None, attackers=("cosine",)):
    """Ranks under ``rolling`` and the figures of the row, for each attacker."""
    weights = fitted(features, model, folder) if release == "model" else None
    vectors = represent(features, weights, model=part(model), release=release)
    where = {"protocol": part("rolling"), "seed": 0}
    for attacker in attackers:
        outcome = attack(features, vectors, attack=part(attacker), **where)
        yield outcome, measure(outcome).row


def computed(step, made):
    """Run a step and what it needs in this process, each once."""
    if step.digest not in made:
        inputs = [computed(needed, made) for needed in step.inputs]
        made[step.digest] = KINDS[step.kind].run(*inputs, **step.arguments)
    return made[step.digest]


def apart(source, features, deal):
    """Ranks of raw inputs under ``disjoint`` and the figures of the row."""
    halves = [half(features, dataset=source, side=side, deal=deal) for side in ("gallery", "probe")]
    vectors = [represent(h, model=part("mlp"), release="raw") for h in halves]
    where = {"protocol": part("disjoint", deal=deal), "seed": 0}
    outcome = attack(features, *vectors, attack=part("cosine"), **where)
    return outcome, measure(outcome).row


def lift(features):
    ((_, row),) = attacked(features, "mlp", "raw")
    return row["lift"]


def assert_nothing_is_found(outcome, row):
    assert row["lift_low"] <= 1 <= row["lift_high"]
    # Few users are ever hit by chance, so the mean rank is the sharper test; users are the sample.
    rank = 1 + pl.col("greater") + pl.col("equal") / 2
    by_user = outcome.probes.group_by("user_id").agg(rank.mean().alias("rank"))["rank"].to_numpy()
    error = by_user.std(ddof=1) / np.sqrt(len(by_user))
    assert abs(by_user.mean() - (outcome.num_gallery + 1) / 2) < 4 * error


@pytest.mark.parametrize(
    ("model", "release"),
    [("mlp", "raw"), ("bilstm", "raw"), ("logistic", "model"), ("mlp", "model")],
)
def test_users_who_are_all_alike_are_not_found(model, release, tmp_path):
    features = world(1500, 0.0, 0.1, 7)
    for outcome, row in attacked(features, model, release, tmp_path, ATTACKERS):
        assert_nothing_is_found(outcome, row)


@pytest.mark.slow
@pytest.mark.parametrize("release", ["model", "raw"])
@pytest.mark.parametrize("model", ["logistic", "mlp", "bilstm"])
def test_ten_thousand_users_who_are_all_alike_are_not_found(model, release, tmp_path):
    features = world(10_000, 0.0, 0.1, 7)
    for outcome, row in attacked(features, model, release, tmp_path, ATTACKERS):
        assert_nothing_is_found(outcome, row)


def test_individuals_who_never_change_are_found_by_the_inputs_of_every_model():
    suite = {
        "suite": "individuals",
        "datasets": [{"synthetic": {"users": 2000, "identity": 1.0, "drift": 0.0}}],
        "models": ["logistic", "mlp", "bilstm"],
        "releases": ["model", "raw"],
        "protocols": ["rolling"],
        "attacks": list(ATTACKERS),
        "bootstrap": 100,
    }
    found, made = plans(Suite.model_validate(suite)), {}
    for plan in found:
        if plan.names["release"] == "raw":
            figures = computed(plan.last, made).row
            assert figures["num_gallery"] > 1500
            assert figures["top1"] > 0.9
        else:
            # As strong as either attack's best block, or chance made validation choose the other.
            reference = computed(plan.reference, made)
            assert reference.lift > 0.9 * 1500


@pytest.mark.parametrize("deal", ["session", "day", "click"])
def test_users_who_are_all_alike_are_not_found_by_the_other_half_of_their_history(deal):
    where = (1500, 0.0, 0.1, 7)
    outcome, row = apart(readers(*where), world(*where), deal)
    if deal != "day":
        assert_nothing_is_found(outcome, row)
        return
    # Of few days one half is long and the other short: that errs against the attacker.
    assert row["lift_low"] <= 1 <= row["lift_high"]
    assert row["mean_rank"] > 0.97 * (outcome.num_gallery + 1) / 2


def test_the_ways_to_deal_a_history_err_as_their_protocol_says():
    where = (1000, 0.6, 0.1, 7)
    found = [apart(readers(*where), world(*where), deal)[1] for deal in ("day", "session", "click")]
    # They differ in which users have enough clicks: bits, not lifts.
    day, session, click = (row["bits"] for row in found)
    assert day < session < click
    # With the aggregates that the coin decides it is 3.2.
    assert click - day < 1


def test_users_who_are_all_alike_are_found_when_their_windows_share_history():
    """The control of the null test: what links the windows is the history copied into both."""
    assert lift(world(1500, 0.0, 0.1, 21)) > 50


def test_the_more_individual_users_are_the_more_of_them_are_found():
    lifts = [lift(world(1000, identity, 0.1, 7)) for identity in (0.0, 0.3, 0.6, 1.0)]
    assert lifts == sorted(lifts)
    assert lifts[1] > 10 * max(lifts[0], 1)


def test_the_more_users_change_the_fewer_of_them_are_found():
    lifts = [lift(world(1000, 0.7, drift, 7)) for drift in (0.0, 0.5, 1.0)]
    assert lifts == sorted(lifts, reverse=True)
