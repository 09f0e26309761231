from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest

from attacks.measures.comparisons import holm
from suite.artifacts.figures import SOURCES, Attribution, Differences, Measures
from suite.artifacts.outcome import Outcome
from suite.leaderboard.comparisons import sections
from suite.plan.analyses import analyses
from suite.plan.plan import plans
from suite.spec import load
from suite.steps.comparisons.attribution import attribution
from suite.steps.comparisons.differences import differences
from suite.steps.measure import best, measure


def outcome(greater, num_gallery=100, *, users=50, first_event=0) -> Outcome:
    """Probes in turn of each user, with the given counts and no ties."""
    greater = np.asarray(greater, np.int32)
    probes = pl.DataFrame(
        {
            "event_id": np.arange(len(greater)) + first_event,
            "user_id": np.arange(len(greater)) % users,
            "greater": greater,
            "equal": np.zeros(len(greater), np.int32),
            "best": np.full(len(greater), np.nan, np.float32),
        }
    )
    return Outcome(probes, num_gallery=num_gallery, num_dropped=0)


def hits(share, *, n=500, seed=0, **more) -> Outcome:
    """A share of the probes is at rank 1, the others are last."""
    hit = np.random.default_rng(seed).random(n) < share
    return outcome(np.where(hit, 0, more.get("num_gallery", 100) - 1), **more)


def test_the_difference_is_that_of_the_lifts_on_the_same_probes():
    a, b = hits(0.4, seed=1), hits(0.1, seed=2)
    found = differences(a, b, names=["a", "b"], swaps=500, seed=0).rows

    lifts = [100 * np.mean(o.probes["greater"].to_numpy() == 0) for o in (a, b)]
    assert [(row["first"], row["second"]) for row in found] == [("a", "b")]
    assert found[0]["difference"] == pytest.approx(lifts[0] - lifts[1])
    assert 0 < found[0]["low"] < found[0]["difference"] < found[0]["high"]
    assert found[0]["p"] < 0.01


def test_equal_attacks_do_not_differ():
    a = hits(0.3)
    (row,) = differences(a, a, names=["a", "b"], swaps=500, seed=0).rows

    assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)


def test_every_two_of_several_are_compared():
    three = differences(*[hits(s) for s in (0.1, 0.2, 0.3)], names=list("abc"), swaps=9, seed=0)

    assert [(r["first"], r["second"]) for r in three.rows] == [("a", "b"), ("a", "c"), ("b", "c")]


def sources(**others) -> list[Outcome]:
    """Equal attacks everywhere, but for those named."""
    return [others.get(name, hits(0.2, seed=3)) for name in SOURCES]


def test_equal_cells_attribute_nothing():
    found = attribution(*sources())

    assert found.num_gallery == 100
    assert found.figures["static_input"] == [0, 0, 0]
    assert found.figures["training"] == [0, 0, 0]
    value, low, high = found.figures["memorized"]
    assert value == 0
    assert low < 0 < high


def test_what_the_disjoint_half_lacks_is_static_input():
    found = attribution(*sources(static=hits(0.9), disjoint=hits(0.1))).figures

    assert found["static_input"][0] == pytest.approx(found["static"][0] - found["disjoint"][0])
    assert found["static_input"][1] > 0


def test_lifts_are_compared_at_the_smallest_gallery():
    """Second of 3 users: the one ahead is in a gallery of 2 half of the time."""
    small = outcome([0] * 50, num_gallery=2)
    large = outcome([1] * 50, num_gallery=3)
    found = attribution(*sources(static=large, disjoint=small))

    assert found.num_gallery == 2
    assert found.figures["static"][0] == pytest.approx(2 * 0.5)
    assert found.figures["disjoint"][0] == pytest.approx(2.0)


def test_training_is_compared_on_the_probes_that_both_have():
    rolling, untrained = hits(0.5, n=400), hits(0.1, n=300, seed=5)
    found = attribution(*sources(rolling=rolling, random_net=untrained))

    both = rolling.probes.head(300)["greater"].to_numpy() == 0
    alone = untrained.probes["greater"].to_numpy() == 0
    assert found.figures["training"][0] == pytest.approx(100 * (both.mean() - alone.mean()))


def test_results_are_saved_and_loaded(tmp_path):
    one = differences(hits(0.4), hits(0.1), names=["a", "b"], swaps=50, seed=0)
    one.save(tmp_path)
    two = attribution(*sources())
    two.save(tmp_path)

    assert Differences.load(tmp_path) == one
    assert Attribution.load(tmp_path) == two


def test_best_is_chosen_on_validation_and_reported_on_test():
    validation = [hits(0.2), hits(0.6), hits(0.4)]
    test = [measure(hits(share)) for share in (0.9, 0.3, 0.8)]
    found = best(*validation, *test, candidates=["a", "b", "c"])

    assert isinstance(found, Measures)
    assert found.row["top1"] == test[1].row["top1"]
    assert found.row["reason"] == "strongest on validation: b"


def test_the_attribution_recipe_answers_for_every_model():
    found = analyses(plans(load("attribution")), replicates=100)
    models = [a.names["model"] for a in found if a.step.kind == "attribution"]

    assert sorted(models) == ["bilstm", "logistic", "mlp"]
    step = next(a.step for a in found if a.step.kind == "attribution")
    # Raw inputs in several blocks are the strongest of several attacks.
    attacks = [i if i.kind == "attack" else i.inputs[-1] for i in step.inputs]
    assert [i.arguments["protocol"].name for i in attacks] == [
        protocol.removesuffix("_trained").removesuffix("_held_out")
        for protocol, _ in SOURCES.values()
    ]


def test_a_clear_difference_stays_one_after_the_correction_for_all_comparisons():
    suite = load("quick", ["seeds=[0, 1, 2]"])
    found = [a for a in analyses(plans(suite), replicates=100) if a.step.kind == "differences"]
    num_comparisons = sum(len(list(combinations(a.step.inputs, 2))) for a in found)
    assert num_comparisons == 36
    (swaps,) = {a.step.arguments["swaps"] for a in found}
    outcomes = [hits(0.9, seed=1), hits(0.1, seed=2)]
    rows = differences(*outcomes, names=["a", "b"], swaps=swaps, seed=0).rows
    assert holm(np.full(num_comparisons, rows[0]["p"])).max() < 0.05


def test_one_model_alone_differs_from_nothing():
    suite = load("quick", ["models=[logistic]", "attacks=[cosine]"])

    assert analyses(plans(suite), replicates=100) == []


def test_tables_hold_the_corrected_p_and_every_answer():
    suite = load("attribution", ["models=[logistic, mlp]"])
    found = []
    for analysis in analyses(plans(suite), replicates=100):
        if analysis.step.kind == "differences":
            result = differences(hits(0.4), hits(0.1), names=["a", "b"], swaps=99, seed=0)
        else:
            result = attribution(*sources())
        found.append((analysis, result))
    tables = {table.title.split(":")[0].split(",")[0]: table for table in sections(found, [])}
    compared, answers = tables.values()

    assert len(compared.lines) == 5
    assert {line[-1] for line in compared.lines} == {"0.05"}
    assert len(answers.lines) == 2 * 7
