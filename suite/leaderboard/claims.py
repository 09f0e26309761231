"""What the source documents claim, never measured here."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    model_validator,
)

from suite.leaderboard.rows import Rate, Row, validated

REFERENCES = Path(__file__).parents[1] / "references"


class Benchmark(BaseModel):
    """A utility figure of somebody else's model, as quoted by a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    metric: str
    value: float
    note: str = ""


class Task(BaseModel):
    """Figures of one label of somebody's model, as a source states them; RCE in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    stage: str
    method: str
    label: str
    ap: Rate
    rce: float
    note: str = ""


class Claims(BaseModel):
    """Numbers that a source document states and that were not measured here.

    Attributes
    ----------
    source
        Title and origin of the document.
    note
        What a reader must know before comparing.
    rows
        In the leaderboard's keys; each digest starts with ``claimed``.
    benchmarks
        Figures quoted by the source from elsewhere.
    tasks
        AP and RCE of each label.
    also
        Further suites that they are shown beside.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    source: str
    note: str
    rows: tuple[Row, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    tasks: tuple[Task, ...] = ()
    also: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _labelled(self) -> Claims:
        for row in self.rows:
            if not row.digest.startswith("claimed"):
                raise ValueError(f"digest of a claimed row must start with claimed: {row.digest}")
        return self


def claims(suite: str) -> Claims | None:
    """Read what the source documents claim for a suite; None when they claim nothing.

    Raises
    ------
    ValueError
        One line: the file, the key, what was found.
    """
    for path in sorted(REFERENCES.glob("*.yaml")):
        found = validated(Claims, yaml.safe_load(path.read_text()), str(path))
        if suite in (found.suite, *found.also):
            return found
    return None
