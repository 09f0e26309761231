"""A part of a suite: its name and parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

Release = Literal["model", "raw", "context_only", "random_net", "pca"]

Releases = Annotated[int, Field(ge=1)] | Literal["all"]
"""Number of releases of a vector; ``all``: as many as its user has events in the window."""

Holds = Literal["defended", "undefended"]
"""Whether the adversary's gallery is defended."""


class Part(BaseModel):
    """A dataset, model, protocol, defense or attack: ``name`` or ``name: {parameters}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    label: str = Field("", exclude=True, description="name in the leaderboard")

    def __hash__(self) -> int:
        return hash((self.name, self.label))

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


def label(part: Part, among: list[Part]) -> str:
    """Name of a part in the leaderboard, with parameters if the name alone is not unique."""
    twins = [other.parameters for other in among if other.name == part.name]
    telling = [k for k in part.parameters if any(t.get(k) != part.parameters[k] for t in twins)]
    shown = ", ".join(f"{key} {_shown(part.parameters[key])}" for key in telling)
    return f"{part.name} ({shown})" if shown else part.name


def _shown(value: Any, joint: str = "+") -> str:
    if isinstance(value, list | tuple):
        return joint.join(_shown(inner, "-") for inner in value)
    return str(value)
