"""Schedulers of Ray Tune, which stop trials early."""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

import fsspec
from ray import tune
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)

from tuning.study import Study

REDUCTION = 3
"""One in three trials is promoted from a rung."""

BRACKETS = 3
"""Brackets of hyperband: the first rung of each is three times as late as that of the previous."""


def _domain(kind: str, *arguments: Any) -> Any:
    if kind == "choice":
        return list(arguments)
    low, high = arguments
    if kind == "int":
        return tune.randint(low, high + 1)
    return tune.loguniform(low, high) if kind == "log_uniform" else tune.uniform(low, high)


def scheduler(study: Study, rungs_url: str) -> TrialScheduler:
    """Make a study's scheduler; ``rungs_url`` is the file in which the rungs are kept."""
    metric, mode = next(iter(study.objectives.items()))
    compared: dict[str, Any] = {"time_attr": "epoch", "metric": metric, "mode": mode}
    # The last epoch is not a rung: a trial that reaches it is complete.
    last = study.epochs - 1
    if study.scheduler in ("asha", "hyperband") and last > 0:
        # The first tenth of one-cycle training is not informative.
        grace = max(1, study.epochs // 10)
        rungs = int(math.log(last / grace) / math.log(REDUCTION) + 1)
        return Halving(
            rungs_url,
            max_t=last,
            grace_period=grace,
            reduction_factor=REDUCTION,
            brackets=min(BRACKETS, rungs) if study.scheduler == "hyperband" else 1,
            # A trial ends by itself, after it has measured its objectives.
            stop_last_trials=False,
            **compared,
        )
    if study.scheduler == "pbt":
        mutable = {name: _domain(*study.space[name]) for name in study.mutable}
        return PopulationBasedTraining(
            perturbation_interval=max(1, study.epochs // 5),
            hyperparam_mutations={"point": mutable},
            log_config=False,
            require_attrs=False,
            **compared,
        )
    return FIFOScheduler()  # type: ignore[no-untyped-call]


class Halving(AsyncHyperBandScheduler):
    """Successive halving whose rungs survive a restart: Tune saves all state but the scheduler's.

    Tune pickles a scheduler once, before the first trial; when unpickled, it loads its rungs.
    """

    def __init__(self, rungs_url: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._rungs_url = rungs_url

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a trial continues, and save the rungs for later decisions."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        fs, path = fsspec.core.url_to_fs(self._rungs_url)
        partial = f"{path}.{uuid.uuid4().hex}"
        fs.pipe(partial, json.dumps(self._rung_scores()).encode())
        fs.mv(partial, path)
        return decision

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        fs, path = fsspec.core.url_to_fs(self._rungs_url)
        if fs.exists(path):
            for rung, saved in zip(self._rung_scores(), json.loads(fs.cat_file(path)), strict=True):
                rung.update(saved)

    def _rung_scores(self) -> list[dict[str, float]]:
        """Scores by trial, for every rung of every bracket."""
        return [scores for bracket in self._brackets for _, scores in bracket._rungs]
