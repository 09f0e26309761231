"""What the documentation tells people to type starts no cluster that others could use."""

import re

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
MANIFESTS = [
    path
    for folder in ("docker", "k8s", "mlflow", ".ci")
    for path in sorted((ROOT / folder).glob("**/*"))
    if path.is_file()
]

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def blocks(text):
    """Fenced blocks of shell commands."""
    return re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def complaints(commands):
    """What is wrong with commands that start a cluster, submit a job or serve a page."""
    starts = re.search(r"\bray (start|job submit)\b", commands)
    found = [
        f"{starts[0]} without {variable}"
        for variable in ("RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN_PATH=")
        if starts and variable not in commands[: starts.start()]
    ]
    heads = re.findall(r"\bray start\b(?=[^\n]*--head)((?:\\\n|[^\n])*)", commands)
    found += ["a head without --dashboard-host" for h in heads if "--dashboard-host" not in h]
    hosts = re.findall(r"--(?:dashboard-)?host[= ]([^\s\"',]+)", commands)
    found += [f"a page on {host}" for host in hosts if host not in LOOPBACK]
    found += re.findall(r"RAY_AUTH_MODE=disabled", commands)
    found += re.findall(r"RAY_AUTH_TOKEN=\S+", commands)
    # What is typed is kept by shells and shown to all by `ps` and the dashboard.
    found += re.findall(r"\w*(?:SECRET|PASSWORD)\w*=[^\s$]\S*", commands)
    found += re.findall(r"\w+://[^\s/@]+@\S+", commands)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_documented_cluster_wants_a_token_and_keeps_its_pages_on_loopback(page):
    for commands in blocks(page.read_text()):
        assert complaints(commands) == [], commands


def test_some_page_says_how_to_start_a_cluster():
    assert any("ray start --head" in block for page in PAGES for block in blocks(page.read_text()))


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_that_starts_things_switches_the_token_off_or_holds_one(file):
    text = file.read_text(errors="ignore")
    assert not re.search(r"RAY_AUTH_MODE[\s\"':=]+disabled", text)
    assert not re.search(r"RAY_AUTH_TOKEN=[^$\s]", text)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--storage", "s3://an-id:a-key@bucket/runs"),
            "latentprint: storage: s3://bucket/runs: found a user or a password",
        ),
        (
            ("--storage", "memory://runs", "--tracking-uri", "postgresql://me:a-key@host/db"),
            "latentprint: --tracking-uri: found a user or a password in postgresql://host/db",
        ),
    ],
)
def test_a_job_whose_command_line_holds_a_secret_is_refused_without_repeating_it(
    options, line, latentprint, monkeypatch
):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    ended = latentprint("run", "quick", *options)
    assert ended.code == 2
    assert line in ended.err
    assert "a-key" not in ended.out + ended.err


TOKEN = "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$HOME/token\n"


@pytest.mark.parametrize(
    ("commands", "found"),
    [
        (f"{TOKEN}ray start --head --dashboard-host=127.0.0.1\n", []),
        (f"{TOKEN}ray start --address=10.0.0.2:6379\n", []),
        ("latentprint run quick\n", []),
        (f"{TOKEN}ray start --head\n", ["a head without --dashboard-host"]),
        (f"{TOKEN}ray start --head --dashboard-host 0.0.0.0\n", ["a page on 0.0.0.0"]),
        ("mlflow server --host 0.0.0.0\n", ["a page on 0.0.0.0"]),
        (
            "ray start --head --dashboard-host=127.0.0.1\n",
            ["ray start without RAY_AUTH_MODE=token", "ray start without RAY_AUTH_TOKEN_PATH="],
        ),
        (
            "export RAY_AUTH_MODE=token\nray job submit --working-dir . -- python -m suite\n",
            ["ray job submit without RAY_AUTH_TOKEN_PATH="],
        ),
        (f"{TOKEN}RAY_AUTH_MODE=disabled ray status\n", ["RAY_AUTH_MODE=disabled"]),
        (f"{TOKEN}RAY_AUTH_TOKEN=0123 ray status\n", ["RAY_AUTH_TOKEN=0123"]),
        ("export AWS_SECRET_ACCESS_KEY=0123\n", ["AWS_SECRET_ACCESS_KEY=0123"]),
        ("export MLFLOW_TRACKING_PASSWORD=$(cat file)\n", []),
        ("latentprint run quick --storage s3://bucket/runs\n", []),
        ("latentprint run quick --storage s3://id:key@bucket\n", ["s3://id:key@bucket"]),
        ("latentprint run quick --tracking-uri http://me:pw@host\n", ["http://me:pw@host"]),
    ],
)
def test_the_scan_finds_what_is_unsafe(commands, found):
    assert complaints(commands) == found
