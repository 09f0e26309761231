"""The version of the project whose code runs."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path


def running(root: Path = Path(__file__).parents[2]) -> str:
    """Version of the working copy, or of the installed package where there is none.

    A job brings its own copy to hosts and containers on which the project is not installed, or in
    another version.

    Parameters
    ----------
    root
        Folder of the package ``suite``.
    """
    project = root / "pyproject.toml"
    if not project.is_file():
        return version("latentprint")
    return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
