"""A leaderboard names the version of the code that made it."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from suite.publish import release

ROOT = Path(__file__).parents[3]


def test_a_working_copy_runs_where_the_project_is_not_installed(monkeypatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(release, "version", missing)
    written = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert [release.running()] == written


def test_an_installed_package_has_the_version_of_its_metadata(tmp_path):
    assert release.running(tmp_path) == importlib.metadata.version("latentprint")
