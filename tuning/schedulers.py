"""Which trials stop early, as Ray Tune's schedulers."""

from __future__ import annotations

import json
import uuid
from typing import Any

import fsspec
from ray import tune
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)

from tuning.study import Study


def _domain(kind: str, *arguments: Any) -> Any:
    if kind == "choice":
        return list(arguments)
    low, high = arguments
    if kind == "int":
        return tune.randint(low, high + 1)
    return tune.loguniform(low, high) if kind == "log_uniform" else tune.uniform(low, high)


def scheduler(study: Study, rungs_url: str) -> TrialScheduler:
    """Make a study's scheduler; ``rungs_url`` is the file where asha keeps its rungs."""
    metric, mode = next(iter(study.objectives.items()))
    compared: dict[str, Any] = {"time_attr": "epoch", "metric": metric, "mode": mode}
    if study.scheduler == "asha":
        # One-cycle training says little in its first tenth.
        grace = max(1, study.epochs // 10)
        return Asha(
            rungs_url,
            max_t=study.epochs,
            grace_period=grace,
            reduction_factor=3,
            # A whole trial ends by itself, after its last report.
            stop_last_trials=False,
            **compared,
        )
    if study.scheduler == "hyperband":
        return HyperBandScheduler(max_t=study.epochs, stop_last_trials=False, **compared)
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


class Asha(AsyncHyperBandScheduler):
    """ASHA whose rungs survive the driver: Tune saves the search, but not the scheduler.

    Tune pickles a scheduler once, before the first trial; unpickled, it reads what was reached.
    """

    def __init__(self, rungs_url: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._rungs_url = rungs_url

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a trial goes on, and keep what the next decisions depend on."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        fs, path = fsspec.core.url_to_fs(self._rungs_url)
        partial = f"{path}.{uuid.uuid4().hex}"
        fs.pipe(partial, json.dumps([rung for _, rung in self._brackets[0]._rungs]).encode())
        fs.mv(partial, path)
        return decision

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        fs, path = fsspec.core.url_to_fs(self._rungs_url)
        if fs.exists(path):
            kept = json.loads(fs.cat_file(path))
            for (_, rung), scores in zip(self._brackets[0]._rungs, kept, strict=True):
                rung.update(scores)
