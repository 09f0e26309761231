"""Simulated news readers, written in EB-NeRD's files and read back by its adapter."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from suite.datasets.base import Dataset, Tables
from suite.datasets.ebnerd import EBNeRD
from suite.datasets.simulate_ebnerd import simulate


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
        """Simulate once per process, then read; see ``Dataset.tables``."""
        return EBNeRD(path=str(_world(self))).tables()


@cache
def _world(part: Synthetic) -> Path:
    """Folder of the simulated files, kept as long as lazy tables may still read it."""
    folder = Path(tempfile.mkdtemp(prefix="latentprint-synthetic-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    simulate(
        folder,
        users=part.users,
        seed=part.seed,
        identity=part.identity,
        drift=part.drift,
        history_days=part.history_days,
    )
    return folder
