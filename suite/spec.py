"""The suite file as typed data: what is trained, released, cut, defended and attacked."""

from __future__ import annotations

import os
import re
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    field_validator,
    model_validator,
)

from suite.registry import first_line, nearest

RECIPES = Path(__file__).parent / "recipes"

Release = Literal["model", "raw", "context_only", "random_net", "pca"]


class Part(BaseModel):
    """A dataset, model, protocol, defense or attack: ``name`` or ``name: {parameters}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    label: str = Field("", exclude=True, description="how the leaderboard calls it")

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": given}
        if isinstance(given, dict) and len(given) == 1 and "name" not in given:
            ((name, parameters),) = given.items()
            return {"name": name, "parameters": parameters or {}}
        if not isinstance(given, Part) and not (isinstance(given, dict) and "name" in given):
            raise ValueError("name, or name: {parameters}")
        return given


class Training(BaseModel):
    """How torch models are fitted. Source of the defaults: the project's seed document D0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(30, ge=1)
    patience: int = Field(7, ge=1, description="epochs without a better validation AUC")
    batch_size: int = Field(512, ge=1, description="events of a global batch")
    micro_batch_size: int | None = Field(
        None, ge=1, description="events a worker computes at once; gradients add up to the batch's"
    )
    user_cap: int = Field(64, ge=1, description="events of one user in a batch")
    learning_rate: float = Field(8e-4, gt=0, description="peak of the one-cycle schedule")
    pct_start: float = Field(0.3, gt=0, lt=1)
    weight_decay: float = Field(3e-4, ge=0)
    finetune_epochs: int = Field(
        0, ge=0, description="over the validation window, after the choice; scored beside it"
    )
    precision: Literal["float32", "float64", "bf16"] = Field(
        "float32", description="of the arithmetic; bf16 keeps float32 weights, not on mps"
    )

    @model_validator(mode="after")
    def _cap_fits(self) -> Training:
        if self.user_cap > self.batch_size // 2:
            raise ValueError(f"user_cap {self.user_cap} up to half of batch_size {self.batch_size}")
        return self


class Compute(BaseModel):
    """Where things run; no figure depends on it, up to rounding, so no digest contains it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | tuple[int, int] = Field(
        1, description="training workers of one model; two numbers: as many as there is room for"
    )
    cpus_per_worker: int = Field(1, ge=1, description="and threads; at most those of a node")
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    gpu_share: float = Field(
        1, gt=0, le=1, description="of a GPU for each worker; below 1, so many fits share one"
    )
    node_labels: dict[str, str] = Field(
        default_factory=dict, description="Ray labels that the nodes of all workers have"
    )
    compile: bool = Field(False, description="torch.compile the training step")
    wait_s: float = Field(
        600, gt=0, description="seconds that a step waits for a cluster too small for it"
    )

    @field_validator("workers", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> int | tuple[int, int]:
        bounds = given if isinstance(given, list | tuple) else (given, given)
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in bounds)
        if len(bounds) != 2 or not whole or not 1 <= bounds[0] <= bounds[1]:
            raise ValueError("a number from 1, or [fewest, most]")
        return bounds[0] if bounds[0] == bounds[1] else (bounds[0], bounds[1])

    @model_validator(mode="after")
    def _gpu_of_its_own(self) -> Compute:
        if self.gpu_share < 1 and self.most_workers > 1:
            # NCCL refuses two workers of one run on the same GPU.
            raise ValueError(f"gpu_share {self.gpu_share:g} with one worker only, not several")
        return self

    @property
    def fewest_workers(self) -> int:
        """Lower bound of the number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most_workers(self) -> int:
        """Upper bound of the number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def most_cpus(self) -> int:
        """Upper bound of the CPUs that a fit holds, its workers included."""
        return self.most_workers * self.cpus_per_worker

    @property
    def task_cpus(self) -> int:
        """CPUs that the task of a fit holds: none where its workers hold their own."""
        return 0 if self.most_workers > 1 else self.cpus_per_worker


class Cell(NamedTuple):
    """One point of the product; one row of the leaderboard."""

    dataset: Part
    model: Part
    seed: int
    release: Release
    protocol: Part
    defense: Part
    attack: Part


class Suite(BaseModel):
    """Datasets x models x seeds x releases x protocols x defenses x attacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    about: str = ""
    seeds: list[NonNegativeInt] = Field([0], min_length=1)
    datasets: list[Part] = Field(min_length=1)
    holdout_users: float = Field(0.2, ge=0, lt=1)
    training: Training = Training()
    compute: Compute = Compute()
    models: list[Part] = Field(min_length=1)
    releases: list[Release] = Field(["model"], min_length=1)
    protocols: list[Part] = Field(min_length=1)
    defenses: list[Part] = Field([Part(name="none")], min_length=1)
    attacks: list[Part] = Field(min_length=1)
    tasks: bool = Field(
        False, description="report AP and RCE of every label, by category and after fine-tuning"
    )
    bootstrap: int = Field(10_000, ge=100, description="replicates of the user bootstrap")
    space: dict[str, list[Any]] = Field(
        default_factory=dict,
        description="what `tune` varies in place of the model's own space: {width: [int, 32, 512]}",
    )

    def cells(self) -> list[Cell]:
        """Every cell, in the order of the file."""
        axes = (
            self.datasets,
            self.models,
            self.seeds,
            self.releases,
            self.protocols,
            self.defenses,
            self.attacks,
        )
        return [Cell(*point) for point in product(*axes)]


def label(part: Part, among: list[Part]) -> str:
    """Name of a part in the leaderboard; parameters appear where the name alone is not unique."""
    twins = [other.parameters for other in among if other.name == part.name]
    telling = [k for k in part.parameters if any(t.get(k) != part.parameters[k] for t in twins)]
    shown = ", ".join(f"{key} {_shown(part.parameters[key])}" for key in telling)
    return f"{part.name} ({shown})" if shown else part.name


def _shown(value: Any, joint: str = "+") -> str:
    if isinstance(value, list | tuple):
        return joint.join(_shown(inner, "-") for inner in value)
    return str(value)


def recipes() -> dict[str, Path]:
    """Suite files that come with the package, by name."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}


def load(name: str, overrides: list[str] | None = None) -> Suite:
    """Read a suite by the name of a recipe or the path of a file.

    Parameters
    ----------
    name
        ``quick``, ``path/to/suite.yaml``, or a URI such as ``s3://bucket/suite.yaml``.
    overrides
        ``key=value`` with a dotted key, such as ``training.epochs=2`` or
        ``datasets.0.synthetic.users=500``; the value is YAML.

    Returns
    -------
    Suite
        Checked, except for the parts, which check themselves when they are made.

    Raises
    ------
    ValueError
        One line: the file and key, what was found, what is allowed.
    """
    file = f"{name}.yaml" if name in recipes() else name.rpartition("/")[2]
    try:
        content = yaml.safe_load(_expand(file, _text(name)))
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{name}: found {type(content).__name__}, allowed: a mapping of keys")
    for text in overrides or []:
        override(content, text)
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{file}: {first_line(error, Suite)}") from None


def _text(name: str) -> str:
    """Text of a recipe, of a file, or of what lies at a URI, as the best of a search may do."""
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
            msg = f"{file}: {match[0]} is not set; it names the folder of the data"
            raise ValueError(msg)
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def override(content: dict[str, Any], text: str) -> None:
    """Set a dotted key to a YAML value, both given as ``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {text}: found no key or no '=', allowed: key=value")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"--set {text}: {value!r} is not YAML") from None
    *path, last = key.split(".")
    node: Any = content
    try:
        for step in path:
            node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
        if isinstance(node, list):
            node[int(last)] = parsed
        else:
            node[last] = parsed
    except (IndexError, ValueError, TypeError, AttributeError):
        raise ValueError(f"--set {text}: there is no {key!r} to be set") from None
