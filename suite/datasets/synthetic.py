"""Simulated news readers, written as EB-NeRD files and read by the EB-NeRD adapter."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from suite.datasets.base import Dataset, Tables
from suite.datasets.ebnerd import EBNeRD
from suite.datasets.simulators.ebnerd import simulate


@dataclass(frozen=True, kw_only=True)
class Synthetic(Dataset):
    """Simulated news readers of given individuality; results do not carry over to real ones.

    Attributes
    ----------
    users
        Number of readers.
    seed
        Seed of the simulation; the seeds of a suite are those of training.
    identity
        Individuality of readers, in [0, 1]; 0: all readers are alike.
    drift
        Change of readers from week to week, in [0, 1].
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
        """Time zone of the readers' days and hours."""
        return EBNeRD.time_zone

    def files(self) -> list[Path]:
        """List no files: the tables depend on the parameters and the simulator's code only."""
        return []

    def tables(self) -> Tables:
        """Simulate, then read everything into memory; see ``Dataset.tables``.

        For simulations larger than memory, write files with ``simulate`` and read them as ebnerd.
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
            # The files are removed on return, so everything must be collected.
            return replace(
                tables,
                events=tables.events.collect().lazy(),
                histories=tables.histories.collect(engine="streaming").lazy(),
                items=tables.items.collect().lazy(),
            )
