"""Search a space with Ray Tune.

The caller defines what a trial computes. Tune decides which points are tried, how many at a time,
and which trials stop early; its state is kept in a folder, from which a killed search resumes.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import fsspec
import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState
from ray import tune
from ray.tune.search import Searcher

from tuning import space as spaces
from tuning.schedulers import scheduler
from tuning.space import Point
from tuning.storage import storage
from tuning.study import Study

Row = dict[str, float]

DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}

_END = {"finished", "reason"}
"""Keys that appear only in a trial's last row."""

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C must end the search, not return partial results.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Lift is reported only at the end of a trial.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}


@dataclass(frozen=True)
class Trial:
    """A point and its result.

    Attributes
    ----------
    id
        Tune's name for the trial.
    point
        Value of each parameter; with ``pbt``, at the end of the trial.
    status
        ``done``, ``stopped`` early by the scheduler, or ``failed``.
    metrics
        Last reported objectives, and ``epoch``.
    reason
        Reason of a failure, in one line.
    """

    id: str
    point: Point
    status: Literal["done", "stopped", "failed"]
    metrics: Row
    reason: str = ""


class Reports(Protocol):
    """Reports a trial's progress to Tune; does not return if the trial is stopped."""

    def __call__(self, row: Row, folder: Path | None = None) -> None:
        """Report ``epoch`` and the objectives; another trial may continue from ``folder``."""


Function = Callable[[str, Point, Reports, Path | None], Row]
"""Computes a trial from its id, point, report function and the folder to continue from, if any;
returns the objectives. A ValueError fails the trial at once; other errors are retried."""

Watch = Callable[[int, str, Row], None]
"""Called with a trial's number, ``epoch``, ``done``, ``stopped`` or ``failed``, and the last row.
Tune saves it with the search, so it must be a plain function or dataclass."""


def points(study: Study) -> list[Point]:
    """List the points of a study known before it starts; none for ``optuna``.

    Raises
    ------
    ValueError
        The space is invalid or empty, or the grid has more points than ``num_trials``.
    """
    spaces.check(study.space)
    if not study.space:
        raise ValueError("space: found no parameter, allowed: at least one")
    if study.search == "optuna":
        return []
    if study.search == "random":
        rng = np.random.default_rng(study.seed)
        return spaces.sample(study.space, study.num_trials or 1, rng)
    grid = spaces.grid(study.space)
    if study.num_trials is not None and len(grid) > study.num_trials:
        msg = f"--trials {study.num_trials}: the grid has {len(grid)} points, allowed: at least"
        raise ValueError(f"{msg} as many trials, or a smaller space")
    return grid


def search(
    study: Study,
    function: Function,
    *,
    concurrency: int,
    folder: str,
    watch: Watch,
) -> list[Trial]:
    """Run a study on the connected Ray cluster.

    Parameters
    ----------
    study
        The study.
    function
        Computes a trial.
    concurrency
        Number of trials at a time. A trial holds no resources itself, but the tasks it starts do:
        too many trials would wait for each other's resources. A resumed search keeps its first
        value.
    folder
        Path or URI of Tune's state.
    watch
        Called with every row.

    Returns
    -------
    list of Trial
        In the order in which they were started.
    """
    with _environment():
        # Tune rejects an empty request; one byte of memory leaves all CPUs to the trials' tasks.
        trainable: Any = tune.with_resources(_trainable(function), {"CPU": 0, "memory": 1})
        kept = storage(folder)
        if _has_state(f"{folder}/tune"):
            tuner = tune.Tuner.restore(
                f"{kept['storage_path']}/tune",
                trainable,
                restart_errored=True,
                storage_filesystem=kept.get("storage_filesystem"),
            )
        else:
            tuner = tune.Tuner(
                trainable,
                param_space=_param_space(study),
                tune_config=tune.TuneConfig(
                    search_alg=_Optuna(study) if study.search == "optuna" else None,
                    scheduler=scheduler(study, f"{folder}/rungs.json"),
                    num_samples=(study.num_trials or 1) if study.search == "optuna" else 1,
                    max_concurrent_trials=concurrency,
                    # A process that has imported torch serves the next trial too.
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    verbose=0,
                    callbacks=[_Watcher(watch)],
                    failure_config=tune.FailureConfig(max_failures=3),
                    **kept,
                ),
            )
        results = tuner.fit()
        # Tune does not keep the order of trials when it resumes.
        numbered = [_trial(results[i], study.objectives) for i in range(len(results))]
        return [trial for _, trial in sorted(numbered, key=lambda pair: pair[0])]


def _has_state(at: str) -> bool:
    """Return whether Tune has written a state to resume from."""
    fs, path = fsspec.core.url_to_fs(at, use_listings_cache=False)
    return bool(fs.exists(path)) and any("experiment_state-" in name for name in fs.ls(path, False))


def _param_space(study: Study) -> dict[str, Any] | None:
    return None if study.search == "optuna" else {"point": tune.grid_search(points(study))}


def _trainable(function: Function) -> Callable[[dict[str, Any]], None]:
    """Wrap a trial's function so that its rows reach Tune."""

    def trial(config: dict[str, Any]) -> None:
        last: dict[str, Any] = {"epoch": 0}

        def report(row: Row, folder: Path | None = None) -> None:
            last.update(row)
            tune.report(dict(last), checkpoint=folder and tune.Checkpoint(str(folder)))

        earlier = tune.get_checkpoint()
        arguments = (
            tune.get_context().get_trial_id(),
            config["point"],
            report,
            earlier and Path(earlier.to_directory()),
        )
        try:
            final = function(*arguments)
        except ValueError as error:
            # Tune would retry an error that is certain to recur.
            tune.report({**last, "reason": " ".join(str(error).split())})
        else:
            tune.report({**last, **final, "finished": True})

    return trial


class _Optuna(Searcher):
    """Optuna's proposals, without repeated points.

    Optuna accepts only plain values for choices, so it gets their indices.
    """

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._space = study.space
        self._objectives = list(study.objectives)
        self._distributions = {name: _distribution(*d) for name, d in study.space.items()}
        self._asked: dict[str, optuna.Trial] = {}
        self._proposed: list[Point] = []
        self._study = optuna.create_study(
            directions=[DIRECTIONS[mode] for mode in study.objectives.values()],
            sampler=optuna.samplers.TPESampler(seed=_word(study.seed)),
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Propose a point, or end the search when all points have been proposed."""
        if len(self._proposed) == spaces.size(self._space):
            return Searcher.FINISHED  # type: ignore[return-value]
        while True:
            asked = self._study.ask(self._distributions)
            point = {name: _value(self._space[name], v) for name, v in asked.params.items()}
            if point not in self._proposed:
                self._proposed.append(point)
                self._asked[trial_id] = asked
                return {"point": point, "number": len(self._proposed)}
            self._study.tell(asked, state=TrialState.FAIL)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch to Optuna, which accepts them for a single objective only."""
        if len(self._objectives) == 1 and not _END & result.keys():
            self._asked[trial_id].report(result[self._objectives[0]], int(result["epoch"]))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Report the end of a trial to Optuna."""
        asked, status = self._asked.pop(trial_id), _status(result or {})
        if status == "done" and result is not None and not error:
            self._study.tell(asked, [result[name] for name in self._objectives])
        elif status == "stopped" and not error:
            self._study.tell(asked, state=TrialState.PRUNED)
        else:
            self._study.tell(asked, state=TrialState.FAIL)

    def save(self, checkpoint_path: str) -> None:
        """Write the state; Tune calls this while the search runs."""
        Path(checkpoint_path).write_bytes(pickle.dumps(self.__dict__))

    def restore(self, checkpoint_path: str) -> None:
        """Load the state from Tune's own folder, which holds no user files."""
        self.__dict__.update(pickle.loads(Path(checkpoint_path).read_bytes()))


def _distribution(kind: str, *arguments: Any) -> BaseDistribution:
    if kind == "choice":
        return CategoricalDistribution(range(len(arguments)))
    low, high = arguments
    if kind == "int":
        return IntDistribution(low, high)
    return FloatDistribution(low, high, log=kind == "log_uniform")


def _value(declared: Sequence[Any], proposed: Any) -> Any:
    return declared[1 + proposed] if declared[0] == "choice" else proposed


class _Watcher(tune.Callback):
    """Passes the events of Tune's loop to a ``Watch`` function."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Row, **_: Any
    ) -> None:
        """Pass on an epoch."""
        if not _END & result.keys():
            self._watch(_number(trial.config, trial.trial_id), "epoch", result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Pass on how a trial ended."""
        status = _status(trial.last_result)
        self._watch(_number(trial.config, trial.trial_id), status, trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Pass on that a trial has failed for good."""
        self._watch(_number(trial.config, trial.trial_id), "failed", trial.last_result or {})


def _number(config: Mapping[str, Any], trial_id: str) -> int:
    """Return a trial's number, from 1: with Optuna from its config, otherwise from Tune's id."""
    return int(config["number"] if "number" in config else int(trial_id.rpartition("_")[2]) + 1)


def _status(metrics: Mapping[str, Any]) -> Literal["done", "stopped", "failed"]:
    if "reason" in metrics:
        return "failed"
    return "done" if metrics.get("finished") else "stopped"


def _trial(result: tune.Result, objectives: Mapping[str, str]) -> tuple[int, Trial]:
    last, config = result.metrics or {}, result.config or {}
    metrics = {key: last[key] for key in ("epoch", *objectives) if key in last}
    trial_id = last.get("trial_id", "_-1")
    status, reason = _status(last), last.get("reason", "")
    if result.error is not None:
        lines = str(result.error).strip().splitlines() or [type(result.error).__name__]
        status, reason = "failed", lines[-1]
    trial = Trial(trial_id, config["point"], status, metrics, reason)
    return _number(config, trial_id), trial


@contextmanager
def _environment() -> Iterator[None]:
    """Suppress Tune's own tables, files and messages: trials report their own failures."""
    missing = {key: value for key, value in _QUIET.items() if key not in os.environ}
    os.environ.update(missing)
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "optuna")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for key in missing:
            del os.environ[key]


def _word(seed: int) -> int:
    """Return a seed for Optuna, which takes 32 bits."""
    return seed if seed < 2**32 else int(np.random.SeedSequence(seed).generate_state(1)[0])
