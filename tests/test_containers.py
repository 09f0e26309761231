"""The files of docker/, as far as they can be checked without an engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCKERFILES = ("Dockerfile", "mlflow.Dockerfile")


def constraints() -> dict[str, str]:
    lines = (ROOT / "docker" / "constraints.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if not line.startswith("#"))
    return {name.lower(): version for name, version in pins}


def services() -> dict[str, dict[str, Any]]:
    made: dict[str, dict[str, Any]] = yaml.safe_load(
        (ROOT / "docker" / "compose.yaml").read_text()
    )["services"]
    return made


def test_image_tags_are_versions_of_the_constraints_file():
    pins = constraints()
    text = "".join(
        (ROOT / name).read_text()
        for name in ("docker/compose.yaml", "docs/containers.md", "docker/mlflow.Dockerfile")
    )
    assert set(re.findall(r"latentprint:([\d.]+)-", text)) == {pins["ray"]}
    assert set(re.findall(r"latentprint-mlflow:([\d.]+\d)", text)) == {pins["mlflow"]}


def test_all_that_the_tracking_server_adds_is_pinned():
    text = (ROOT / "docker" / "mlflow.Dockerfile").read_text()
    (command,) = re.findall(r"pip install (.+) -c /constraints", text)
    wanted = [re.sub(r"\[.*", "", one.strip("'")) for one in command.split()[1:]]
    assert {"mlflow", "psycopg", "boto3"} == set(wanted)
    assert {*wanted, "flask-wtf", "wtforms", "psycopg-binary"} <= constraints().keys()


@pytest.mark.parametrize("name", DOCKERFILES)
def test_all_that_is_copied_reaches_the_engine_and_secrets_do_not(name):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(
        r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", (ROOT / "docker" / name).read_text(), re.M
    )
    paths = {path for line in copied for path in line.split()}
    assert paths
    assert paths <= sent
    assert all((ROOT / path).exists() for path in paths)
    assert not {"docker", "docker/secrets"} & sent
    assert "/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", DOCKERFILES)
def test_no_image_runs_as_root(name):
    text = (ROOT / "docker" / name).read_text()
    assert re.findall(r"^USER (\d+):0$", text, re.M) == ["1000"]
    assert "HEALTHCHECK" in text


def test_services_are_limited_and_reached_from_this_machine_only():
    for name, service in services().items():
        assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "no-new-privileges:true" in service["security_opt"], name
        if name != "postgres":  # its image changes its user when it starts
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name


def test_passwords_are_files_that_make_up_makes():
    text = (ROOT / "docker" / "compose.yaml").read_text()
    named = {secret for service in services().values() for secret in service.get("secrets", [])}
    declared = yaml.safe_load(text)["secrets"]
    made = re.findall(
        r"^SECRETS := .*docker/secrets/,(.+)\)$", (ROOT / "Makefile").read_text(), re.M
    )
    assert named == set(declared) == set(made[0].split())
    for service in services().values():
        given = service.get("environment", {})
        assert not [key for key in given if "PASSWORD" in key and not key.endswith("_FILE")]


def test_nobody_but_the_tracking_server_reaches_the_database():
    reaching = {name for name, service in services().items() if "database" in service["networks"]}
    assert reaching == {"mlflow", "postgres"}
    assert services()["postgres"]["networks"] == ["database"]
