"""The search over a made-up function, with the real Tune."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from tuning import search as searching
from tuning.schedulers import Halving, scheduler
from tuning.search import points, search
from tuning.study import Study


def study(**changes):
    given = {
        "space": {"x": ("uniform", 0.0, 1.0), "stack": ("choice", [8], [8, 4])},
        "num_trials": 6,
        "search": "random",
        "scheduler": "none",
        "objectives": {"auc": "max"},
        "epochs": 9,
    }
    return Study(**{**given, **changes})


def made_up(failing=2.0):
    """Build a function of x that rises over the epochs; workers get it by value."""

    def function(_id, point, report, resume):
        first = 0 if resume is None else int((resume / "epoch").read_text())
        for epoch in range(first + 1, 10):
            if epoch == 2 and point["x"] >= failing:
                raise ValueError(f"too large: {point['x']}")
            row = {"epoch": epoch, "auc": point["x"] * (1 + epoch / 100)}
            import tempfile

            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "epoch").write_text(str(epoch))
                report(row, Path(folder))
        return {"epoch": 9, "auc": point["x"] * 1.09, "lift": 100 * point["x"]}

    return function


def run(wanted, folder, function=None):
    heard = []

    def watch(number, status, _row):
        heard.append((number, status))

    url = f"file://{folder}"
    found = search(wanted, function or made_up(), concurrency=2, folder=url, watch=watch)
    return found, heard


def test_a_grid_larger_than_the_trials_is_refused_and_an_empty_space_too():
    grid = study(search="grid", space={"depth": ("int", 1, 3)}, num_trials=None)
    assert points(grid) == [{"depth": 1}, {"depth": 2}, {"depth": 3}]
    with pytest.raises(ValueError, match=r"^--trials 2: the grid has 3 points, allowed: "):
        points(study(search="grid", space={"depth": ("int", 1, 3)}, num_trials=2))
    with pytest.raises(ValueError, match=r"^space: found no parameter"):
        points(study(space={}))


def fed(halving, *rows):
    trial = SimpleNamespace
    return [
        halving.on_trial_result(None, trial(trial_id=name), {"epoch": epoch, "auc": auc})
        for name, epoch, auc in rows
    ]


def added(halving, names):
    for name in names:
        halving.on_trial_add(None, SimpleNamespace(trial_id=name))
    return halving


def test_asha_stops_a_trial_below_the_best_third_of_its_rung(tmp_path):
    asha = added(scheduler(study(scheduler="asha", epochs=9), f"{tmp_path}/rungs.json"), "abcd")
    # Rungs at epochs 1 and 3. On the first, the best third of 0.5, 0.6, 0.7 begins at 0.6333.
    assert fed(asha, ("a", 1, 0.6), ("b", 1, 0.7), ("c", 1, 0.5), ("d", 1, 0.63)) == [
        *("CONTINUE", "CONTINUE", "STOP", "STOP")
    ]
    assert fed(asha, ("a", 2, 0.1), ("b", 3, 0.7), ("a", 3, 0.6)) == ["CONTINUE"] * 2 + ["STOP"]


def test_a_search_that_goes_on_knows_the_rungs_that_were_reached(tmp_path):
    url = f"{tmp_path}/rungs.json"
    first = scheduler(study(scheduler="asha"), url)
    as_tune_keeps_it = pickle.dumps(first)
    fed(added(first, "ab"), ("a", 1, 0.6), ("b", 1, 0.7))
    resumed = added(pickle.loads(as_tune_keeps_it), "bc")
    assert fed(resumed, ("c", 1, 0.5), ("b", 2, 0.1)) == ["STOP", "CONTINUE"]
    forgetful = added(scheduler(study(scheduler="asha"), f"{tmp_path}/other.json"), "c")
    assert fed(forgetful, ("c", 1, 0.5)) == ["CONTINUE"]


@pytest.mark.parametrize(("epochs", "brackets"), [(1, 0), (2, 1), (3, 1), (4, 2), (30, 3)])
def test_hyperband_has_as_many_brackets_as_there_are_rungs_up_to_three(epochs, brackets, tmp_path):
    made = scheduler(study(scheduler="hyperband", epochs=epochs), f"{tmp_path}/rungs.json")
    assert (len(made._brackets) if isinstance(made, Halving) else 0) == brackets
    if brackets:
        milestones = [[at for at, _ in bracket._rungs] for bracket in made._brackets]
        assert all(rungs and max(rungs) < epochs for rungs in milestones)
        assert [min(rungs) for rungs in milestones] == [
            max(1, epochs // 10) * 3**s for s in range(brackets)
        ]


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_asha_stops_trials_and_a_finished_search_computes_nothing_again(tmp_path):
    trials, heard = run(study(scheduler="asha"), tmp_path)
    assert [trial.point for trial in trials] == points(study())
    statuses = {trial.status for trial in trials}
    assert statuses == {"done", "stopped"}
    best = max(trials, key=lambda trial: trial.point["x"])
    assert best.status == "done"
    assert best.metrics == {"epoch": 9, "auc": pytest.approx(best.point["x"] * 1.09)}
    assert all(t.metrics["epoch"] < 9 for t in trials if t.status == "stopped")
    assert {number for number, status in heard if status != "epoch"} == set(range(1, 7))

    def untouchable(*_):
        raise AssertionError

    again, _ = run(study(scheduler="asha"), tmp_path, untouchable)
    assert again == trials


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_optuna_tries_each_point_of_a_small_space_once_and_then_ends(tmp_path):
    small = {"x": ("choice", 0.1, 0.2, 0.3), "stack": ("choice", [8], [8, 4])}
    objectives = {"auc": "max", "lift": "min"}
    wanted = study(search="optuna", space=small, num_trials=50, objectives=objectives)
    trials, _ = run(wanted, tmp_path)
    assert {trial.status for trial in trials} == {"done"}
    tried = [(trial.point["x"], tuple(trial.point["stack"])) for trial in trials]
    assert sorted(tried) == sorted((x, stack) for x in (0.1, 0.2, 0.3) for stack in ((8,), (8, 4)))
    assert all(t.metrics["lift"] == pytest.approx(100 * t.point["x"]) for t in trials)


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_a_refused_point_fails_alone_and_says_why(tmp_path):
    space = {"x": ("choice", 0.1, 0.5, 0.9)}
    wanted = study(search="grid", space=space, num_trials=None, scheduler="hyperband")
    trials, heard = run(wanted, tmp_path, made_up(failing=0.9))
    # The best of all: however late it comes to a rung, it is not stopped before it fails.
    assert trials[2].status == "failed"
    assert trials[2].reason == "too large: 0.9"
    assert [trial.status for trial in trials[:2]].count("failed") == 0
    assert (3, "failed") in heard


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_in_a_population_the_worse_go_on_from_the_better_with_other_settings(tmp_path):
    wanted = study(scheduler="pbt", mutable=("x",), epochs=9)
    trials, _ = run(wanted, tmp_path)
    begun = points(wanted)
    assert {trial.status for trial in trials} == {"done"}
    assert any(t.point["x"] != p["x"] for t, p in zip(trials, begun, strict=True))


def test_nothing_of_tune_is_printed_and_the_environment_is_left_as_it_was(monkeypatch):
    import logging
    import os

    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "1")
    before = dict(os.environ)
    level = logging.getLogger("ray.tune").level
    with searching._environment():
        assert os.environ["RAY_AIR_NEW_OUTPUT"] == "1"
        assert os.environ["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert dict(os.environ) == before
    assert logging.getLogger("ray.tune").level == level
