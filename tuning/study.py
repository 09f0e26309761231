"""The definition of a search, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Study:
    """Definition of a search; the same study in the same folder resumes.

    Attributes
    ----------
    space
        See ``tuning.space``.
    num_trials
        Maximum number of points; None: every point of the grid.
    search
        ``random``: independent points. ``optuna``: a tree-structured Parzen estimator proposes
        them. ``grid``: all choices, and three values of each range. No point is tried twice.
    scheduler
        ``asha``: asynchronous successive halving stops the worse trials early. ``hyperband``: the
        same in several brackets with later first stops; asynchronous too, since trials that wait
        for a whole bracket would hold their resources. ``pbt``: the worse trials continue from
        the weights of the better ones, with changed settings. ``none``: all trials run to the end.
    objectives
        Metric -> ``max`` or ``min``; schedulers other than ``none`` compare the first one.
    epochs
        Epochs of a full trial.
    mutable
        Parameters that ``pbt`` may change during a trial.
    seed
        Seed of the points; ``pbt`` draws from Ray's own generators.

    References
    ----------
    Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht and Talwalkar, A system for massively parallel
    hyperparameter tuning, MLSys 2020 (asha); Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar,
    Hyperband, JMLR 18 (2018); Jaderberg et al., Population based training of neural networks,
    arXiv 1711.09846 (2017); Akiba, Sano, Yanase, Ohta and Koyama, Optuna, KDD 2019.
    """

    space: Mapping[str, Sequence[Any]]
    num_trials: int | None
    search: Literal["random", "optuna", "grid"]
    scheduler: Literal["asha", "hyperband", "pbt", "none"]
    objectives: Mapping[str, str]
    epochs: int
    mutable: Sequence[str] = ()
    seed: int = 0
