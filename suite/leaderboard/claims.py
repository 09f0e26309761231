"""Figures claimed by published documents, not measured here."""

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
    """A utility figure of a third party's model, as quoted by a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    metric: str
    value: float
    note: str = ""


class LabelClaim(BaseModel):
    """Figures of one label of a model, as stated by a document; RCE in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    stage: str
    method: str
    label: str
    ap: Rate
    rce: float
    note: str = ""


class Claims(BaseModel):
    """Figures that a document states and that were not measured here.

    Attributes
    ----------
    source
        Title and origin of the document.
    note
        Caveats for comparisons.
    rows
        Rows with the leaderboard's keys; each digest starts with ``claimed``.
    benchmarks
        Figures that the document quotes from elsewhere.
    tasks
        AP and RCE of each label.
    also
        Names of further suites that show these claims.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    source: str
    note: str
    rows: tuple[Row, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    tasks: tuple[LabelClaim, ...] = ()
    also: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _labelled(self) -> Claims:
        for row in self.rows:
            if not row.digest.startswith("claimed"):
                raise ValueError(f"digest of a claimed row must start with claimed: {row.digest}")
        return self


def claims(suite: str) -> Claims | None:
    """Load the claims shown with a suite; None if there are none.

    Raises
    ------
    ValueError
        One line: the file, the key, what was found.
    """
    for path in sorted(REFERENCES.glob("*.yaml")):
        loaded = validated(Claims, yaml.safe_load(path.read_text()), str(path))
        if suite in (loaded.suite, *loaded.also):
            return loaded
    return None
