"""Simulated news readers, written in EB-NeRD's files and read back by its adapter."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from suite.datasets.base import Dataset, Tables
from suite.datasets.ebnerd import EBNeRD
from suite.datasets.simulators.ebnerd import simulate


@dataclass(frozen=True, kw_only=True)
class Synthetic(Dataset):
    """Simulated news readers of a chosen individuality; nothing follows from it for real ones.

    Attributes
    ----------
    users
        Number of readers.
    seed
        Of the world; the seeds of a suite are those of training.
    identity
        In [0, 1]: how individual readers are; 0: all alike.
    drift
        In [0, 1]: how much readers change from week to week.
    history_days
        At least 7; train and validation histories share ``history_days - 7`` days.
    """

    users: int = 2000
    seed: int = 0
    identity: float = 0.5
    drift: float = 0.1
    history_days: int = 21

    @property
    def synthetic(self) -> bool:
        """Always true."""
        return True

    @property
    def time_zone(self) -> str:
        """Zone of the readers' days and hours."""
        return EBNeRD.time_zone

    def files(self) -> list[Path]:
        """No file decides the result: the parameters and the simulator's source do."""
        return []

    def tables(self) -> Tables:
        """Simulate, then read all of it into memory; see ``Dataset.tables``.

        For worlds larger than memory write the files with ``simulate`` and read them as ebnerd.
        """
        with tempfile.TemporaryDirectory(prefix="latentprint-synthetic-") as folder:
            world = Path(folder) / "world"
            simulate(
                world,
                users=self.users,
                seed=self.seed,
                identity=self.identity,
                drift=self.drift,
                history_days=self.history_days,
            )
            tables = EBNeRD(path=str(world)).tables()
            # The files go when this returns, so nothing lazy may be left.
            return replace(
                tables,
                events=tables.events.collect().lazy(),
                histories=tables.histories.collect(engine="streaming").lazy(),
                items=tables.items.collect().lazy(),
            )
