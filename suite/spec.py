"""The suite file as typed data."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from suite.cluster.settings import Compute
from suite.input import plain_yaml
from suite.parts import Holds, Part, Release, Releases
from suite.registry import first_line, nearest
from suite.training.settings import Training

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Bounded to fit in the integers of every table and tracker."""

UNDEFENDED = "none"
"""The defense that does not change vectors, for which there is no defend step."""

RECIPES = Path(__file__).parent / "recipes"


class Cell(NamedTuple):
    """One point of the product; one row of the leaderboard.

    Without a defense nothing depends on ``releases_m`` and ``attacker_holds``.
    """

    dataset: Part
    model: Part
    seed: int
    release: Release
    protocol: Part
    defense: Part
    attack: Part
    releases_m: Releases = 1
    attacker_holds: Holds = "defended"


class Suite(BaseModel):
    """Datasets x models x seeds x releases x protocols x defenses x attacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    about: str = ""
    seeds: list[Seed] = Field([0], min_length=1)
    datasets: list[Part] = Field(min_length=1)
    holdout_users: float = Field(0.2, ge=0, lt=1)
    training: Training = Training()
    compute: Compute = Compute()
    models: list[Part] = Field(min_length=1)
    releases: list[Release] = Field(["model"], min_length=1)
    protocols: list[Part] = Field(min_length=1)
    defenses: list[Part] = Field([Part(name="none")], min_length=1)
    attacks: list[Part] = Field(min_length=1)
    releases_m: list[Releases] = Field(
        [1],
        min_length=1,
        description="number of independent releases of each vector that are averaged by the "
        "attacker: 1 or more, or all: as many as its user has events in the window",
    )
    attacker_holds: list[Holds] = Field(
        ["defended"],
        min_length=1,
        description="state of the gallery; undefended: the attacker has vectors from "
        "before the defense",
    )
    tasks: bool = Field(
        False, description="report AP and RCE of every label, by category and after fine-tuning"
    )
    bootstrap: int = Field(
        10_000,
        ge=100,
        description="resamples of users for figures by label; minimum number of swaps for a p",
    )
    space: dict[str, list[Any]] = Field(
        default_factory=dict,
        description="search space of `tune` instead of the model's own: {width: [int, 32, 512]}",
    )

    def __hash__(self) -> int:
        return hash(self.suite)

    def cells(self) -> list[Cell]:
        """Every cell, in the order of the file.

        Without a defense the number of releases and the state of the gallery make no difference,
        so there is only one such cell.
        """
        axes = (
            self.datasets,
            self.models,
            self.seeds,
            self.releases,
            self.protocols,
            self.defenses,
            self.attacks,
            self.releases_m,
            self.attacker_holds,
        )
        cells = [Cell(*point) for point in product(*axes)]
        once = (self.releases_m[0], self.attacker_holds[0])
        return [
            cell._replace(releases_m=1, attacker_holds="defended")
            if cell.defense.name == UNDEFENDED
            else cell
            for cell in cells
            if cell.defense.name != UNDEFENDED or cell[-2:] == once
        ]


def recipes() -> dict[str, Path]:
    """List the suite files of the package by name."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}


def load(name: str, overrides: Sequence[str] | Mapping[str, Any] | None = None) -> Suite:
    """Read a suite by the name of a recipe or the path of a file.

    Parameters
    ----------
    name
        ``quick``, ``path/to/suite.yaml``, or a URI such as ``s3://bucket/suite.yaml``.
    overrides
        ``key=value`` with a dotted key, such as ``training.epochs=2`` or
        ``datasets.0.synthetic.users=500``; the value is YAML. Or values by dotted key.

    Returns
    -------
    Suite
        Checked, except for the parts, which are checked when they are created.

    Raises
    ------
    ValueError
        One line: the file and key, what was found, what is allowed.
    """
    file = f"{name}.yaml" if name in recipes() else name.rpartition("/")[2]
    text = _expand(file, _text(name))
    try:
        content = plain_yaml.load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{name}: found {type(content).__name__}, allowed: a mapping of keys")
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            assign(content, key, value)
    else:
        for given in overrides or []:
            override(content, given)
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{file}: {first_line(error, Suite)}") from None


def _text(name: str) -> str:
    """Read a recipe, a file or a URI."""
    if "://" in name:
        import fsspec

        try:
            return str(fsspec.filesystem(name.partition("://")[0]).cat_file(name).decode())
        except (ImportError, ValueError, OSError) as error:
            raise ValueError(f"there is no suite {name!r}: {error}") from None
    path = recipes().get(name, Path(name))
    if not path.is_file():
        raise ValueError(f"there is no suite or file {name!r}; {nearest(name, recipes())}")
    return path.read_text(encoding="utf-8")


def _expand(file: str, text: str) -> str:
    """Replace ``${VARIABLE}`` from the environment."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            msg = f"{file}: {match[0]} is not set; set it to the folder of the data"
            raise ValueError(msg)
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def override(content: dict[str, Any], text: str) -> None:
    """Set a dotted key to a YAML value, both given as ``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {text}: found no key or no '=', allowed: key=value")
    try:
        parsed = plain_yaml.load(value)
    except yaml.YAMLError:
        raise ValueError(f"--set {text}: {value!r} is not YAML") from None
    except ValueError as error:
        raise ValueError(f"--set {text}: {str(error).removeprefix('line 1: ')}") from None
    assign(content, key, parsed, f"--set {text}: ")


def assign(content: dict[str, Any], key: str, value: Any, where: str = "") -> None:
    """Set a dotted key to a value; an error begins with ``where``."""
    *path, last = key.split(".")
    node: Any = content
    try:
        for step in path:
            node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
        if isinstance(node, list):
            node[int(last)] = value
        else:
            node[last] = value
    except (IndexError, ValueError, TypeError, AttributeError):
        raise ValueError(f"{where}there is no {key!r} to be set") from None
