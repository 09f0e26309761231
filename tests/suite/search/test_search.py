"""Tuning from the command line, on small synthetic readers."""

import json
import re
import signal
import sys

import polars as pl
import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score

from suite import spec
from suite.artifacts.fitted import Fitted
from suite.parts import Part
from suite.plan import plan
from suite.search import search as tune
from suite.search.objective import at, lift, on_validation, subject
from suite.spec import Suite
from suite.store.results import Store
from suite.training.settings import Training
from tests.processes import finish, kill, start, wait_until

SMALL = {
    "suite": "small",
    "datasets": [{"synthetic": {"users": 300}}],
    "training": {"epochs": 2, "batch_size": 256, "user_cap": 32},
    "models": ["logistic", {"mlp": {"width": 16, "depth": 1, "dim": 8}}],
    "protocols": ["rolling"],
    "attacks": ["cosine", "euclidean"],
    "bootstrap": 100,
}
STACKS = {"widths": ["choice", [8], [16, 8], [8, 8]]}


def small(**changes):
    return Suite.model_validate(SMALL | changes)


def study(suite, model="mlp", **changes):
    given = {"num_trials": 2, "search": "random", "scheduler": None, "objectives": ["auc"]}
    return tune.study(suite, model, **given | changes)


def written(folder, **changes):
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes))
    return path


def test_a_models_own_space_is_searched_with_the_settings_of_its_training():
    assert set(study(small()).space) == {
        *("width", "depth", "dropout", "training.learning_rate", "training.weight_decay")
    }
    assert set(study(small(), "logistic").space) == {"c"}
    assert study(small(space=STACKS)).space == STACKS


def test_a_point_sets_the_model_and_the_training_and_nothing_else():
    chosen = at(subject(small(), "mlp"), {"dropout": 0.5, "training.learning_rate": 0.01})
    assert chosen.models == [
        Part(name="mlp", parameters={"width": 16, "depth": 1, "dim": 8, "dropout": 0.5})
    ]
    assert chosen.training == Training(epochs=2, batch_size=256, user_cap=32, learning_rate=0.01)
    assert chosen.datasets == small().datasets


def test_lift_is_measured_on_validation_by_the_suites_own_attacks():
    chosen = on_validation(subject(small(attacks=["cosine", "euclidean", "best"]), "mlp"))
    assert [part.parameters["probes"] for part in chosen.protocols] == ["validation"]
    assert [part.name for part in chosen.attacks] == ["cosine", "euclidean"]


@pytest.mark.parametrize(
    ("model", "changes", "line"),
    [
        ("mpl", {}, r"^models: there is no 'mpl'; did you mean 'mlp'"),
        ("mlp", {"objectives": ["lift"]}, r"^--objective: found 'lift', allowed: auc; auc,lift$"),
        ("mlp", {"objectives": ["auc", "f1"]}, r"^--objective: found 'auc,f1', allowed"),
        (
            "mlp",
            {"objectives": ["auc", "lift"], "scheduler": "asha"},
            r"^--scheduler asha compares .* allowed with --objective auc,lift: none$",
        ),
        ("mlp", {"scheduler": "pbt", "search": "grid"}, r"^--scheduler pbt: found --search grid"),
        ("logistic", {"scheduler": "pbt"}, r"^--scheduler pbt: the space needs one of training"),
        ("mlp", {"search": "grid"}, r"^--trials 2: the grid has 243 points, allowed"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(model, changes, line):
    with pytest.raises(ValueError, match=line):
        study(small(), model, **changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"space": {"with": ["int", 1, 2]}}, r"^space: mlp has no 'with'; did you mean 'width'"),
        ({"space": {"training.epoch": ["int", 1, 2]}}, r"did you mean 'training.epochs'"),
        ({"space": {"labels": ["choice", "all", "engaged"]}}, r"^space: mlp has no 'labels'"),
        ({"space": {"width": ["integer", 1, 2]}}, r"^space: width: found 'integer', allowed"),
        (
            {"space": {"training.learning_rate": ["choice", -1.0]}},
            r"^training: learning_rate: found -1.0, allowed: .*greater than 0",
        ),
        (
            {"datasets": [{"synthetic": {"users": n}} for n in (200, 300)]},
            r"^small: datasets: found synthetic, synthetic; allowed for tuning: one",
        ),
    ],
)
def test_a_suite_that_cannot_be_tuned_is_refused_in_one_line(changes, line):
    with pytest.raises(ValueError, match=line):
        study(small(**changes))


def test_the_labels_that_the_auc_is_the_mean_of_are_not_searched():
    space = {"labels": ["choice", "all", "engaged"]}
    with pytest.raises(ValueError, match=r"^space: found labels; the AUC of nn_classifier"):
        study(small(space=space), "nn_classifier")


def test_an_undefended_auc_is_not_weighed_against_a_defended_lift():
    line = r"^--objective auc,lift: found defense noise, allowed: none; the AUC would be that of"
    with pytest.raises(ValueError, match=line):
        study(small(defenses=["noise"]), objectives=["auc", "lift"])
    assert study(small(defenses=["noise"])).objectives == {"auc": "max"}


def test_a_model_without_a_space_needs_one_in_the_suite(tmp_path):
    (tmp_path / "own.py").write_text(
        "from models.logistic import Logistic\nclass Own(Logistic):\n    space = {}\n"
    )
    own = f"{tmp_path}/own.py:Own"
    with pytest.raises(ValueError, match=r"^models: .*:Own declares no space; add the key `space`"):
        study(small(), own)
    assert set(study(small(space={"c": ["uniform", 0.1, 1.0]}), own).space) == {"c"}


def test_wrong_input_ends_with_one_line_and_exit_code_2(latentprint, tmp_path):
    ended = latentprint("tune", written(tmp_path), "--model", "mpl")
    assert ended.code == 2
    assert re.search(r"^latentprint: models: there is no 'mpl'.*$", ended.err, re.MULTILINE)
    assert latentprint("tune", "nothing", "--model", "mlp").code == 2


def test_the_documents_sweeps_are_their_four_stacks_and_six_rates():
    stacks = study(spec.load("architectures"), search="grid", num_trials=None)
    assert stacks.space["widths"][1:] == [[32], [64, 32], [128, 64, 32], [256, 128, 64, 32]]
    compared = [part.parameters["widths"] for part in spec.load("architectures").models]
    assert compared == stacks.space["widths"][1:]
    rates = study(spec.load("learning_rates"), search="grid", num_trials=None)
    assert rates.space["training.learning_rate"][1:] == [0.1, 0.05, 0.01, 0.005, 0.001, 0.0001]


def test_a_trial_of_the_stacks_is_a_fit_of_the_suite_that_compares_them():
    suite = spec.load("architectures")
    compared = {p.timed["fit"].digest for p in plan.plans(suite)}
    tried = {
        plan.plans(at(subject(suite, "mlp"), {"widths": stack}))[0].timed["fit"].digest
        for stack in suite.space["widths"][1:]
    }
    assert tried == compared


def trials_in(storage, name="small-mlp-tuned"):
    return json.loads((storage / "suites" / name / "tuned.json").read_text())["trials"]


def fits(storage):
    return {path.parent: path.stat().st_mtime_ns for path in storage.glob("fit/*/done.json")}


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_a_small_search_writes_a_suite_that_runs_without_another_fit(
    latentprint, suite_file, tmp_path
):
    storage = tmp_path / "runs"
    command = ("tune", suite_file(), "--model", "logistic", "--trials", 2, "--storage", storage)
    ended = latentprint(*command)
    assert ended.code == 0, ended.err
    before = fits(storage)
    assert len(before) == 2
    assert [trial["status"] for trial in trials_in(storage, "tiny-logistic-tuned")] == ["done"] * 2
    ran = latentprint("run", storage / "suites/tiny-logistic-tuned/best.yaml", "--storage", storage)
    assert ran.code == 0, ran.err
    assert fits(storage) == before


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_every_stack_of_a_grid_is_a_trial_and_the_best_runs_from_the_store(latentprint, tmp_path):
    storage = tmp_path / "runs"
    command = (
        *("tune", written(tmp_path, space=STACKS), "--model", "mlp", "--storage", storage),
        *("--search", "grid", "--objective", "auc,lift"),
    )
    ended = latentprint(*command)
    assert ended.code == 0, ended.err
    assert "trial 3: done" in ended.err

    trials = trials_in(storage)
    assert [trial["point"]["widths"] for trial in trials] == STACKS["widths"][1:]
    assert [len(trial["history"]) for trial in trials] == [2, 2, 2]
    for trial in trials:
        beaten = any(
            other["metrics"]["auc"] >= trial["metrics"]["auc"]
            and other["metrics"]["lift"] <= trial["metrics"]["lift"]
            and other["metrics"] != trial["metrics"]
            for other in trials
        )
        assert trial["best"] is not beaten
    assert trials_are_measured_on_validation(storage, trials)

    runs = tracked(storage)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert parent.data.tags["mlflow.runName"] == "tune mlp"
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(run.data.metrics["tuning/auc"] for run in children) == pytest.approx(
        sorted(trial["metrics"]["auc"] for trial in trials)
    )

    again = latentprint(*command)
    assert again.code == 0
    assert "trial" not in again.err
    assert len(tracked(storage)) == 4

    before = fits(storage)
    best = sorted((storage / "suites" / "small-mlp-tuned").glob("best*.yaml"))
    assert len(best) == sum(trial["best"] for trial in trials)
    ran = latentprint("run", best[0], "--storage", storage)
    assert ran.code == 0, ran.err
    assert fits(storage) == before


def trials_are_measured_on_validation(storage, trials):
    """Whether each trial's figures are those of validation, computed from the store anew."""
    from suite.artifacts.features import Features
    from suite.artifacts.outcome import Outcome

    store = Store(str(storage))
    suite = on_validation(subject(small(space=STACKS), "mlp"))
    for trial in trials:
        plans = plan.plans(at(suite, trial["point"]))
        fit = plans[0].timed["fit"]
        scores = Fitted.load(store.path("fit", fit.digest)).scores
        (needed,) = fit.inputs
        events = Features.load(store.path("features", needed.digest)).events
        trained = events.filter(pl.col("trained"))["user_id"].unique()
        chosen = scores.filter(
            (pl.col("window") == "validation") & pl.col("user_id").is_in(trained.implode())
        )
        auc = roc_auc_score(chosen["engaged"].to_numpy(), chosen["logit"].to_numpy())
        assert trial["metrics"]["auc"] == pytest.approx(auc, abs=1e-12)
        assert auc == pytest.approx(max(r["validation_auc"] for r in trial["history"]), abs=1e-6)
        lifts = []
        for planned in plans:
            outcome = Outcome.load(store.path("attack", planned.timed["attack"].digest))
            probes = outcome.probes.join(events, on="event_id")
            assert set(probes["window"]) == {"validation"}
            top1 = (probes["greater"] == 0).cast(pl.Float64) / (1 + probes["equal"])
            lifts.append(float(top1.mean()) * outcome.num_gallery)
            assert lift(outcome) == pytest.approx(lifts[-1])
        assert trial["metrics"]["lift"] == pytest.approx(max(lifts))
    return True


def tracked(storage):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    return list(client.search_runs([client.get_experiment_by_name("small").experiment_id]))


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("logistic", ("--search", "random", "--scheduler", "none")),
        ("logistic", ("--search", "optuna", "--objective", "auc,lift")),
        ("mlp", ("--search", "optuna", "--scheduler", "hyperband")),
        ("mlp", ("--scheduler", "pbt")),
    ],
)
def test_each_way_to_search_ends_with_a_suite_to_run(model, options, latentprint, tmp_path):
    storage = tmp_path / "runs"
    suite = written(tmp_path, training=SMALL["training"] | {"epochs": 4})
    ended = latentprint(
        *("tune", suite, "--model", model, "--trials", 4, "--storage", storage, *options)
    )
    assert ended.code == 0, ended.err
    folder = storage / "suites" / f"small-{model}-tuned"
    trials = trials_in(storage, folder.name)
    assert len(trials) == 4
    assert all(trial["history"] for trial in trials)
    assert any(trial["best"] for trial in trials)
    best = yaml.safe_load(sorted(folder.glob("best*.yaml"))[0].read_text())
    assert [*best["models"][0]] == [model]
    assert spec.load(str(sorted(folder.glob("best*.yaml"))[0])).suite.startswith(folder.name)
    assert not list(storage.glob("unfinished/*"))


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_asha_stops_the_fits_of_hopeless_trials(latentprint, tmp_path):
    storage = tmp_path / "runs"
    rates = {"training.learning_rate": ["choice", 1e-2, 5e-3, 1e-9, 1e-8]}
    suite = written(
        tmp_path, space=rates, training=SMALL["training"] | {"epochs": 30, "patience": 30}
    )
    ended = latentprint(
        *("tune", suite, "--model", "mlp", "--search", "grid", "--storage", storage)
    )
    assert ended.code == 0, ended.err
    status = {t["point"]["training.learning_rate"]: t["status"] for t in trials_in(storage)}
    assert "stopped" in (status[1e-9], status[1e-8])
    stopped = [trial for trial in trials_in(storage) if trial["status"] == "stopped"]
    assert all(0 < len(trial["history"]) < 30 for trial in stopped)
    assert len(fits(storage)) == 4 - len(stopped)


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.parametrize(("search", "scheduler"), [("grid", "none"), ("optuna", "asha")])
def test_a_killed_search_goes_on_with_the_same_command_and_repeats_no_finished_trial(
    search, scheduler, tmp_path
):
    storage = tmp_path / "runs"
    suite = written(
        tmp_path,
        space={"dropout": ["choice", 0.0, 0.1, 0.2, 0.3]},
        training=SMALL["training"] | {"epochs": 12, "patience": 12},
    )
    command = (
        *("tune", suite, "--model", "mlp", "--search", search, "--scheduler", scheduler),
        *("--trials", 4, "--concurrency", 1, "--storage", storage),
    )
    first = start(sys.executable, "-m", "suite", *command)
    wait_until(
        lambda: (
            first.poll() is not None
            or (fits(storage) and list(storage.glob("unfinished/*/checkpoint.pt")))
        )
    )
    first.send_signal(signal.SIGKILL)
    kill(first)
    finished = fits(storage)
    assert 1 <= len(finished) < 4

    second = finish(*command)
    assert second.returncode == 0, second.stderr
    trials = trials_in(storage)
    stopped = [trial for trial in trials if trial["status"] == "stopped"]
    assert len(fits(storage)) == 4 - len(stopped)
    assert finished.items() <= fits(storage).items()
    # Optuna, too, tries no point twice: what it knew was not lost with the driver.
    assert sorted(trial["point"]["dropout"] for trial in trials) == [0.0, 0.1, 0.2, 0.3]
    assert scheduler != "none" or not stopped
    assert all((len(trial["history"]) < 12) is (trial in stopped) for trial in trials)
    assert "trial 1: epoch" not in second.stderr
    assert not list(storage.glob("unfinished/*"))


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_search_for_which_no_host_has_room_says_so_in_one_line(latentprint, tmp_path):
    suite = written(tmp_path, compute={"accelerator": "cuda"})
    ended = latentprint("tune", suite, "--model", "mlp", "--storage", tmp_path / "runs")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "latentprint: insufficient resources for a trial: it needs 1 CPU and 1 GPU; "
        "CPUs and GPUs of the live hosts: 2 and 0"
    )
