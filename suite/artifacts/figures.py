"""Results of the last steps: plain figures, loaded without importing what computes them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

SOURCES = {
    "static": ("static", "model"),
    "disjoint": ("disjoint", "model"),
    "rolling": ("rolling", "model"),
    "raw": ("rolling", "raw"),
    "random_net": ("rolling", "random_net"),
    "trained": ("unseen_trained", "model"),
    "held_out": ("unseen_held_out", "model"),
}
"""Protocol and release of the cells that an attribution uses, in the order of its inputs."""

MEAN = "mean"
"""Name of the mean over all labels but ``engaged``, their union; alone it is its own mean."""


@dataclass(frozen=True)
class Measures:
    """Figures of one cell.

    Attributes
    ----------
    row
        Figures by key of the leaderboard's row.
    extra
        Further figures for tracking, by metric key.
    users
        ``user_id, num_probes, top1, mean_rank, always, never, decile`` of every user with probes;
        never leaves the store.
    """

    row: dict[str, Any]
    extra: dict[str, float]
    users: pl.DataFrame

    def save(self, folder: Path) -> None:
        """Write measures.json and users.parquet."""
        plain = {"row": self.row, "extra": self.extra}
        (folder / "measures.json").write_text(json.dumps(plain))
        self.users.write_parquet(folder / "users.parquet")

    @classmethod
    def load(cls, folder: Path) -> Measures:
        """Read what ``save`` wrote."""
        plain = json.loads((folder / "measures.json").read_text())
        return cls(users=pl.read_parquet(folder / "users.parquet", glob=False), **plain)


@dataclass(frozen=True)
class Reference:
    """The strongest attack on a model's inputs.

    Attributes
    ----------
    lift
        Lift on test.
    by
        Block of the inputs and attack, selected on validation.
    """

    lift: float
    by: str

    def save(self, folder: Path) -> None:
        """Write reference.json."""
        (folder / "reference.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read what ``save`` wrote."""
        return cls(**json.loads((folder / "reference.json").read_text()))


@dataclass(frozen=True)
class Differences:
    """Paired differences within one family of cells.

    Attributes
    ----------
    rows
        ``first, second``, the difference of their lifts with ``low`` and ``high``, and the
        uncorrected ``p``.
    """

    rows: list[dict[str, Any]]

    def save(self, folder: Path) -> None:
        """Write differences.json."""
        (folder / "differences.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Differences:
        """Read what ``save`` wrote."""
        return cls(**json.loads((folder / "differences.json").read_text()))


@dataclass(frozen=True)
class Attribution:
    """Lifts at one common gallery size, and their differences.

    Attributes
    ----------
    num_gallery
        The common size n; top-1 at this size is computed exactly from the ranks.
    figures
        ``[value, low, high]`` in units of lift, by name: those of ``SOURCES``, and
        ``static_input`` = static - disjoint, ``training`` = rolling - random_net, ``memorized``
        = trained - held_out.
    """

    num_gallery: int
    figures: dict[str, list[float]]

    def save(self, folder: Path) -> None:
        """Write attribution.json."""
        (folder / "attribution.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Attribution:
        """Read what ``save`` wrote."""
        return cls(**json.loads((folder / "attribution.json").read_text()))


@dataclass(frozen=True)
class LabelFigures:
    """Figures of a model by label, on the test window.

    Attributes
    ----------
    rows
        ``stage`` (fitted, fine-tuned), ``label`` (the last is their mean), ``ap`` and ``auc`` in
        [0, 1] and ``rce`` in percent, each with ``_low`` and ``_high``, and the ``base`` rate.
    by_category
        ``category, events, label, ap, auc, rce, base`` of the labels with enough positive events.
    facts
        Figures of the model's pretraining.
    num_parameters
        Number of learned parameters.
    """

    rows: list[dict[str, Any]]
    by_category: list[dict[str, Any]]
    facts: dict[str, float]
    num_parameters: int

    def save(self, folder: Path) -> None:
        """Write tasks.json."""
        (folder / "tasks.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> LabelFigures:
        """Read what ``save`` wrote."""
        return cls(**json.loads((folder / "tasks.json").read_text()))
