"""What is said of the defenses of a suite, of figures made up by hand."""

import polars as pl
import pytest

from suite.artifacts.figures import Measures
from suite.leaderboard import frontier
from suite.plan import plan
from suite.spec import Suite


def planned(**changes):
    content = {
        "suite": "made-up",
        "datasets": [{"synthetic": {"users": 100}}],
        "models": ["mlp"],
        "protocols": ["rolling"],
        "releases_m": [1, 10],
        "defenses": ["none", {"gaussian": {"sigma_per_radius": 0.1}}, {"projected": {}}],
        "attacks": ["cosine", "best"],
    }
    return plan.plans(Suite.model_validate(content | changes))


def figures(auc, lift, *, validation=None, on_validation=None, likes=None):
    """Measures with intervals of a tenth up and down, and a second label where asked."""
    row = {"num_gallery": 100, "auc": auc, "lift": lift}
    row |= {"auc_low": auc - 0.02, "auc_high": auc + 0.02}
    row |= {"lift_low": 0.9 * lift, "lift_high": 1.1 * lift}
    extra = {"utility/auc_validation": validation or auc}
    extra["reid/lift_validation"] = on_validation or lift
    if likes is not None:
        for name, value in (("engaged", validation or auc), ("like", likes)):
            extra |= {f"utility/auc_validation_{name}": value, f"utility/auc_{name}": value}
            extra[f"utility/rce_{name}"] = 1.0
    return Measures(row, extra, pl.DataFrame())


def tables(measures):
    """Sections of the rows by ``best``; ``measures`` by defense and number of releases."""
    measured = [
        (p, measures[p.cell.defense.name, p.names["releases_m"]])
        for p in planned()
        if p.cell.attack.name == "best"
    ]
    return list(frontier.sections(measured))


WORLD = {
    ("none", None): figures(0.7, 50, likes=0.8),
    ("gaussian", 1): figures(0.69, 10, likes=0.6),
    ("gaussian", 10): figures(0.69, 40, likes=0.6),
    ("projected", 1): figures(0.699, 5, likes=0.5),
    ("projected", 10): figures(0.699, 5, likes=0.5),
}


def test_the_pareto_set_is_what_no_other_release_beats():
    pareto = tables(WORLD)[0]
    assert [line[2:5] for line in pareto.lines] == [
        ("1", "mlp", "none"),
        ("1", "mlp", "projected"),
        ("10", "mlp", "none"),
        ("10", "mlp", "projected"),
    ]
    assert pareto.lines[1][5:] == ("0.699 [0.679, 0.719]", "5 [4.5, 5.5]", "")


def test_the_hypervolume_of_a_defense_is_the_hand_worked_one():
    """none: 1 - log 50 / log 100 = 0.151 of the whole width; gaussian: 0.95 wide, 0.5 high."""
    volumes = {line[2:5]: line[-1] for line in tables(WORLD)[1].lines}
    assert volumes["1", "mlp", "gaussian"].startswith("0.483 [")  # 0.95 x 0.5 + 0.05 x 0.151
    assert volumes["10", "mlp", "gaussian"].startswith("0.197 [")  # 0.95 x 0.199 + 0.05 x 0.151
    low, high = volumes["1", "mlp", "gaussian"][7:-1].split(", ")
    assert float(low) < 0.483 < float(high)


def test_the_advice_is_chosen_on_validation_and_reported_on_test():
    world = dict(WORLD)
    world["gaussian", 1] = figures(0.65, 10, validation=0.699, on_validation=3)
    said = {(line[2], line[3], line[4]): line[5:] for line in tables(world)[2].lines}
    assert said["1", "1", "99%"] == (
        *("mlp", "gaussian", "75.0%"),
        *("10 [9, 11]", "50 [45, 55]"),
    )
    assert said["10", "1", "99%"][1] == "projected"


def test_more_labels_to_serve_change_the_answer():
    """For two labels the mean AUC counts, 0.75 undefended: nothing else keeps 90 % of it."""
    said = {(line[2], line[3], line[4]): line[6] for line in tables(WORLD)[2].lines}
    assert said["1", "1", "90%"] == "projected"
    assert said["1", "2", "90%"] == "none"
    assert ("1", "5", "90%") not in said


@pytest.mark.parametrize("changes", [{"defenses": ["none"]}, {"attacks": ["cosine"]}])
def test_without_a_defense_or_the_best_attacker_nothing_is_said(changes):
    measured = [(p, figures(0.7, 5)) for p in planned(**changes)]
    assert list(frontier.sections(measured)) == []


def test_a_model_that_predicts_nothing_has_no_share_to_keep():
    world = {key: figures(0.5, 5) for key in WORLD}
    (pareto,) = tables(world)
    assert pareto.title.startswith("frontier")
