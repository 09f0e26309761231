"""Search a space with Ray Tune.

What a trial computes is the caller's. Tune decides which points are tried, how many at a time, and
which trials stop early; it keeps its state in a folder, from which a killed search goes on.
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
"""Keys of a trial's last row."""

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C must end the search, not make it return what it has.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Before a trial ends it has no lift.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}


@dataclass(frozen=True)
class Trial:
    """A point and what became of it.

    Attributes
    ----------
    id
        Tune's name for the trial.
    point
        Value of each parameter; with ``pbt``, at the trial's end.
    status
        ``done``, ``stopped`` early by the scheduler, or ``failed``.
    metrics
        Objectives as last reported, and ``epoch``.
    reason
        Why it failed, in one line.
    """

    id: str
    point: Point
    status: Literal["done", "stopped", "failed"]
    metrics: Row
    reason: str = ""


class Reports(Protocol):
    """Tells Tune what a trial has reached; does not return when the trial is to stop."""

    def __call__(self, row: Row, folder: Path | None = None) -> None:
        """Report ``epoch`` and the objectives; ``folder`` is what another trial may go on from."""


Function = Callable[[str, Point, Reports, Path | None], Row]
"""Computes a trial from its id, its point, its reports and the folder to go on from, if any;
returns the objectives. A ValueError fails the trial at once; anything else is tried again."""

Watch = Callable[[int, str, Row], None]
"""Hears of a trial's number, ``epoch``, ``done``, ``stopped`` or ``failed``, and the last row.
Tune saves it with the search, hence a plain function or dataclass."""


def points(study: Study) -> list[Point]:
    """Points of a study that are known before it starts; none for ``optuna``.

    Raises
    ------
    ValueError
        The space is wrong or empty, or the grid has more points than trials are allowed.
    """
    spaces.check(study.space)
    if not study.space:
        raise ValueError("space: found no parameter, allowed: at least one")
    if study.search == "optuna":
        return []
    if study.search == "random":
        rng = np.random.default_rng(study.seed)
        return spaces.sample(study.space, study.num_trials or 1, rng)
    found = spaces.grid(study.space)
    if study.num_trials is not None and len(found) > study.num_trials:
        msg = f"--trials {study.num_trials}: the grid has {len(found)} points, allowed: as many"
        raise ValueError(f"{msg} trials or more, or a smaller space")
    return found


def search(
    study: Study,
    function: Function,
    *,
    concurrency: int,
    folder: str,
    watch: Watch,
) -> list[Trial]:
    """Run a study on the Ray cluster that is connected.

    Parameters
    ----------
    study
        What is searched.
    function
        Computes a trial.
    concurrency
        Trials at a time. A trial itself holds nothing, but what it starts does: more trials than
        there is room for would wait for each other's resources. A search that goes on keeps the
        value it began with.
    folder
        Path or URI of Tune's state.
    watch
        Hears of every row.

    Returns
    -------
    list of Trial
        In the order in which they were started.
    """
    with _environment():
        # Tune takes no request for nothing; a byte leaves all CPUs to what the trials start.
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
        # Tune has no order of its own after it went on.
        found = [_trial(results[i], study.objectives) for i in range(len(results))]
        return [trial for _, trial in sorted(found, key=lambda pair: pair[0])]


def _has_state(at: str) -> bool:
    """Whether Tune got as far as to write what it can go on from."""
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
            # Tune would try again, which does not help here.
            tune.report({**last, "reason": " ".join(str(error).split())})
        else:
            tune.report({**last, **final, "finished": True})

    return trial


class _Optuna(Searcher):
    """Optuna's proposals, without those that were tried before.

    Optuna takes only plain values for choices, so it is given their numbers.
    """

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._space = study.space
        self._objectives = list(study.objectives)
        self._distributions = {name: _distribution(*d) for name, d in study.space.items()}
        self._asked: dict[str, optuna.Trial] = {}
        self._tried: list[Point] = []
        self._study = optuna.create_study(
            directions=[DIRECTIONS[mode] for mode in study.objectives.values()],
            sampler=optuna.samplers.TPESampler(seed=_word(study.seed)),
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Propose a point; say that the search is over when all points have been tried."""
        if len(self._tried) == spaces.size(self._space):
            return Searcher.FINISHED  # type: ignore[return-value]
        while True:
            asked = self._study.ask(self._distributions)
            point = {name: _value(self._space[name], v) for name, v in asked.params.items()}
            if point not in self._tried:
                self._tried.append(point)
                self._asked[trial_id] = asked
                return {"point": point, "number": len(self._tried)}
            self._study.tell(asked, state=TrialState.FAIL)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell Optuna of an epoch, which it takes for a single objective alone."""
        if len(self._objectives) == 1 and not _END & result.keys():
            self._asked[trial_id].report(result[self._objectives[0]], int(result["epoch"]))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended."""
        asked, status = self._asked.pop(trial_id), _status(result or {})
        if status == "done" and result is not None and not error:
            self._study.tell(asked, [result[name] for name in self._objectives])
        elif status == "stopped" and not error:
            self._study.tell(asked, state=TrialState.PRUNED)
        else:
            self._study.tell(asked, state=TrialState.FAIL)

    def save(self, checkpoint_path: str) -> None:
        """Write the state; Tune asks for it while the search runs."""
        Path(checkpoint_path).write_bytes(pickle.dumps(self.__dict__))

    def restore(self, checkpoint_path: str) -> None:
        """Read what ``save`` wrote, which is Tune's own folder and no user's file."""
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
    """Passes on what Tune's loop sees."""

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
        """Pass on that a trial was given up."""
        self._watch(_number(trial.config, trial.trial_id), "failed", trial.last_result or {})


def _number(config: Mapping[str, Any], trial_id: str) -> int:
    """Count trials from 1: Tune numbers those whose points were known, Optuna's come with it."""
    return int(config["number"] if "number" in config else int(trial_id.rpartition("_")[2]) + 1)


def _status(metrics: Mapping[str, Any]) -> Literal["done", "stopped", "failed"]:
    if "reason" in metrics:
        return "failed"
    return "done" if metrics.get("finished") else "stopped"


def _trial(result: tune.Result, objectives: Mapping[str, str]) -> tuple[int, Trial]:
    found, config = result.metrics or {}, result.config or {}
    metrics = {key: found[key] for key in ("epoch", *objectives) if key in found}
    trial_id = found.get("trial_id", "_-1")
    status, reason = _status(found), found.get("reason", "")
    if result.error is not None:
        said = str(result.error).strip().splitlines() or [type(result.error).__name__]
        status, reason = "failed", said[-1]
    trial = Trial(trial_id, config["point"], status, metrics, reason)
    return _number(config, trial_id), trial


@contextmanager
def _environment() -> Iterator[None]:
    """Keep Tune's own tables and files away, and its messages: trials tell their own failures."""
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
