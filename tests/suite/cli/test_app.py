"""What bad input gets: one line that names it, exit code 2, and nothing half-written."""

from __future__ import annotations

import shlex

import pytest

WRONG = [
    ("run quik", "there is no suite or file 'quik'; did you mean 'quick'? known: "),
    ("run nowhere.yaml", "there is no suite or file 'nowhere.yaml'; known: "),
    ("run quick --set seeds", "--set seeds: found no key or no '=', allowed: key=value"),
    ("run quick --set 'seeds=[0'", "--set seeds=[0: '[0' is not YAML"),
    ("run quick --set seeds.7=1", "--set seeds.7=1: there is no 'seeds.7' to be set"),
    ("run quick --set trainin.epochs=1", "unknown key 'trainin'; did you mean 'training'?"),
    ("run quick --set training.epoch=1", "unknown key 'training.epoch'; did you mean 'epochs'?"),
    ("run quick --set training.epochs=x", "training.epochs: found 'x', allowed: "),
    ("run quick --set seeds=[0,0]", "twice"),
    ("run quick --set models=[mlpp]", "models: there is no 'mlpp'; did you mean 'mlp'?"),
    ("run quick --set attacks=[cosin]", "attacks: there is no 'cosin'; did you mean 'cosine'?"),
    ("run quick --set models.1.mlp.a=1", "--set models.1.mlp.a=1: there is no 'models.1.mlp.a'"),
    (
        "run quick --set 'models=[{mlp: {a: 1}}]'",
        "models: mlp: unknown key 'a'; known: adversarial, ",
    ),
    ("run quick --set 'models=[{mlp: {depth: x}}]'", "models: mlp: depth: found 'x', allowed: "),
    ("run quick --set 'models=[{mlp: {depth: 0}}]'", "mlp: width must be >= 2, depth and dim >= 1"),
    ("run quick --set models=[own.py:Mine]", "models: own.py:Mine: there is no Python file"),
    ("run kuairand", "kuairand.yaml: ${LATENTPRINT_DATA} is not set"),
    ("run quick --storage gs://bucket/x", "storage: gs://bucket/x: Please install gcsfs"),
    ("run quick --storage nothing://x", "storage: nothing://x: Protocol not known"),
    ("run quick --storage memory://x", "--tracking-uri: none given"),
    ("leaderboard", "no suite has been run here; found: none"),
    ("leaderboard quick", "no suite 'quick' has been run here; found: none"),
    ("data check kuairnd .", "datasets: there is no 'kuairnd'; did you mean 'kuairand'?"),
    ("data check kuairand nowhere", "nowhere: no log_*.csv"),
    ("data check ebnerd nowhere", "nowhere: "),
    ("data check recsys2021 nowhere", "nowhere: no part files here"),
    ("data simulate recsys2021 log --users 5", "users: found 5, must be at least 20"),
    ("list features", "list: give a dataset with features, and only with features"),
    ("list models recsys2021", "list: give a dataset with features, and only with features"),
    ("list features kuairand", "datasets: kuairand has no wide features"),
    ("list features recsys2020", "there is no 'recsys2020'; did you mean 'recsys2021'?"),
    ("data check ebnerd nowhere --set tme_zone=UTC", "unknown key 'tme_zone'; did you mean 'tim"),
    ("data check ebnerd nowhere --set zone", "--set zone: found no key or no '='"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_command_is_refused_in_one_line_and_writes_nothing(
    latentprint, tmp_path, line, message
):
    done = latentprint(*shlex.split(line))
    assert done.code == 2
    assert message in done.err
    said = done.err.splitlines()[-1]
    assert said.startswith("latentprint: ")
    assert message in said
    assert "Traceback" not in done.err
    assert list((tmp_path / "cwd").rglob("*")) == []


def test_a_wrong_command_ends_a_real_process_with_2(shell):
    done = shell("-m", "suite", "run", "quik")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "latentprint: there is no suite or file 'quik'; did you mean 'quick'"
    )
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "line", ["", "rum", "run", "run quick --flag", "list model", "leaderboard --format xml"]
)
def test_wrong_usage_ends_with_2_and_says_so(latentprint, line):
    done = latentprint(*line.split())
    assert done.code == 2
    assert "Usage: " in done.out + done.err
