"""Record cells as MLflow runs; the only import of mlflow.

One writer, the driver, logs through a client with explicit run ids. An experiment is a suite; a
parent run is an execution of it, identified by the suite's digest; a child run is a cell,
identified by the cell's digest. A child that has ended is complete; one that has not was left by a
killed recording and is written again with the timestamps of its own start, so that nothing appears
twice.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from suite.execute.timeline import TIMELINE
from suite.leaderboard.rows import Leaderboard, Row
from suite.publish import sqlite
from suite.publish.keys import EXTRA, METRICS, OPEN, PARAMS
from suite.store.results import public

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from suite.artifacts.trials import TrialResult

PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"
CELL, SUITE, BOARD = "latentprint.digest", "latentprint.suite_digest", "latentprint.leaderboard"

# By default importing mlflow sends telemetry, and every run that ends prints the URI of its server,
# password included.
_SILENCE = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}

FILES = tuple(f"leaderboard.{kind}" for kind in ("json", "csv", "md", "html"))

# An unreachable store must be noticed in seconds, where MLflow's defaults retry for minutes; once
# the store has answered, an upload may take longer.
_CHECK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
_WORK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}


def check(uri: str | None) -> None:
    """Check that a tracking store answers; a missing SQLite file is created.

    Raises
    ------
    ValueError
        One line: there is no URI, or nothing answers there.
    """
    with _client(uri):
        pass


def record(
    leaderboard: Leaderboard,
    *,
    uri: str | None,
    suite_digest: str,
    artifacts: Path,
    extra: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Record an execution of a suite; existing runs stay unchanged.

    Repeating or resuming the same suite file finds the same parent run and adds what is missing:
    new cells, cells whose recording was killed, cells that had failed.

    Parameters
    ----------
    leaderboard
        The experiment is named after its suite; each row becomes a child run.
    uri
        Tracking store: ``sqlite:///FILE``, ``http(s)://HOST:PORT`` or any other MLflow URI.
    suite_digest
        Identifies the parent run within the experiment.
    artifacts
        Folder with the files of ``suite.publish.report.write`` and, if any, the timeline.
    extra
        Values of the keys in ``EXTRA``, by digest of the cell.

    Returns
    -------
    str
        Id of the parent run.

    Raises
    ------
    ValueError
        One line: no URI, no answer, a deleted experiment, an unknown metric key, or a
        missing file.
    """
    extra = extra or {}
    for values in extra.values():
        if unknown := sorted(k for k in values if k not in EXTRA and not k.startswith(OPEN)):
            allowed = [*EXTRA, *(f"{beginning}..." for beginning in OPEN)]
            raise ValueError(f"extra metrics: found unknown {unknown}, allowed: {allowed}")
    if absent := [name for name in FILES if not (artifacts / name).is_file()]:
        raise ValueError(f"artifacts: {absent} missing in {artifacts}; write the leaderboard first")
    with _client(uri) as client:
        experiment = _experiment(client, leaderboard.suite, str(uri))
        parent = _parent(client, experiment, leaderboard.suite, suite_digest)
        children = _runs(client, experiment, PARENT, parent.info.run_id)
        recorded = {run.data.tags.get(CELL, ""): run for run in children}
        for row in leaderboard.rows:
            run = recorded.get(row.digest)
            if run is None or run.info.status != _status(row):
                if run is None:
                    run = _child(client, parent, row)
                _fill(client, run, row, extra.get(row.digest, {}))
        _finish(client, parent, leaderboard, artifacts)
        return str(parent.info.run_id)


def record_trials(
    suite: str,
    name: str,
    trials: Sequence[TrialResult],
    *,
    uri: str,
    study_digest: str,
    artifacts: Path,
) -> str:
    """Record a search: a parent run in the suite's experiment, and a child run per trial.

    Parameters
    ----------
    suite
        Name of the experiment.
    name
        Name of the parent run.
    trials
        Results; existing runs stay unchanged, except those of trials that had failed.
    uri
        Tracking store.
    study_digest
        Identifies the parent run within the experiment.
    artifacts
        Folder with the files to attach.

    Returns
    -------
    str
        Id of the parent run.

    Raises
    ------
    ValueError
        One line: nothing answers at the URI, or the experiment was deleted.
    """
    with _client(uri) as client:
        parent = _parent(client, _experiment(client, suite, uri), name, study_digest)
        run_id = str(parent.info.run_id)
        children = _runs(client, parent.info.experiment_id, PARENT, run_id)
        recorded = {run.data.tags.get(CELL, ""): run for run in children}
        for trial in trials:
            status = "FAILED" if trial.status == "failed" else "FINISHED"
            digest = f"{study_digest} {trial.number}"
            run = recorded.get(digest)
            if run is None or run.info.status != status:
                if run is None:
                    tags = {PARENT: run_id, CELL: digest}
                    run = client.create_run(
                        parent.info.experiment_id, run_name=f"trial {trial.number}", tags=tags
                    )
                _fill_trial(client, run, trial, status)
        if parent.info.status != "FINISHED":
            client.log_artifacts(run_id, str(artifacts))
            failed = any(trial.status == "failed" for trial in trials)
            client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
        return run_id


def _fill_trial(client: MlflowClient, run: Run, trial: TrialResult, status: str) -> None:
    """Log a trial, then end its run."""
    from mlflow.entities import Metric, Param, RunTag

    when, last = run.info.start_time, int(trial.metrics.get("epoch", 0))
    curve = [
        Metric(f"tuning/{key}", row[key], when, int(row["epoch"]))
        for row in trial.history
        for key in ("loss", "validation_auc")
        if key in row
    ]
    reached = {key: value for key, value in trial.metrics.items() if key != "epoch"}
    tags = {"status": trial.status, "reason": trial.reason, "best": str(trial.best).lower()}
    client.log_batch(
        run.info.run_id,
        metrics=[*curve, *(Metric(f"tuning/{k}", v, when, last) for k, v in reached.items())],
        params=[Param(key, str(value)) for key, value in trial.point.items()],
        tags=[RunTag(f"latentprint.{key}", value) for key, value in tags.items()],
    )
    client.set_terminated(run.info.run_id, status)


def _experiment(client: MlflowClient, name: str, uri: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return str(client.create_experiment(name, artifact_location=_artifact_location(uri)))
    if experiment.lifecycle_stage == "deleted":
        raise ValueError(
            f"experiment {name!r} at {public(uri)} was deleted; restore it with "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`"
        )
    return str(experiment.experiment_id)


def _artifact_location(uri: str) -> str | None:
    """Folder beside a SQLite file, instead of MLflow's working directory; otherwise its default."""
    file = sqlite.file(uri)
    return None if file is None else (file.parent / "mlartifacts").as_uri()


def _parent(client: MlflowClient, experiment: str, suite: str, digest: str) -> Run:
    runs = _runs(client, experiment, SUITE, digest)
    if runs:
        return runs[0]
    return client.create_run(experiment, run_name=suite, tags={SUITE: digest})


def _child(client: MlflowClient, parent: Run, row: Row) -> Run:
    names = [row.model, row.release, row.protocol, row.defense, row.attack, f"seed {row.seed}"]
    names += [f"{row.releases_m} releases"] if row.releases_m not in (None, 1) else []
    names += ["undefended gallery"] if row.attacker_holds == "undefended" else []
    tags = {PARENT: parent.info.run_id, CELL: row.digest}
    return client.create_run(parent.info.experiment_id, run_name=" ".join(names), tags=tags)


def _fill(client: MlflowClient, run: Run, row: Row, extra: Mapping[str, float]) -> None:
    """Log a cell, then end its run: a run that has ended is complete."""
    from mlflow.entities import Metric, Param, RunTag

    values = {key: getattr(row, name) for key, name in METRICS.items()} | dict(extra)
    when = run.info.start_time
    tags = {"synthetic": str(row.synthetic).lower(), "reason": row.reason or ""}
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(key, value, when, 0) for key, value in values.items() if value is not None],
        params=[Param(k, str(v)) for k in PARAMS if (v := getattr(row, k)) is not None],
        tags=[RunTag(f"latentprint.{key}", value) for key, value in tags.items()],
    )
    client.set_terminated(run.info.run_id, _status(row))


def _finish(client: MlflowClient, parent: Run, leaderboard: Leaderboard, artifacts: Path) -> None:
    """Attach the leaderboard's files, unless those of the same results are attached."""
    if parent.data.tags.get(BOARD) == leaderboard.digest:
        return
    run_id = parent.info.run_id
    for name in (*FILES, TIMELINE):
        if (artifacts / name).is_file():
            client.log_artifact(run_id, str(artifacts / name))
    client.set_terminated(run_id, "FAILED" if leaderboard.failed else "FINISHED")
    client.set_tag(run_id, "latentprint.synthetic", str(leaderboard.synthetic).lower())
    client.set_tag(run_id, BOARD, leaderboard.digest)


def _status(row: Row) -> str:
    return "FINISHED" if row.status == "done" else "FAILED"


def _runs(client: MlflowClient, experiment: str, tag: str, value: str) -> list[Run]:
    page = client.search_runs(
        [experiment],
        f"tags.`{tag}` = '{value}'",
        max_results=1000,
        order_by=["attributes.start_time ASC"],
    )
    runs = list(page)
    while page.token:
        page = client.search_runs(
            [experiment], f"tags.`{tag}` = '{value}'", max_results=1000, page_token=page.token
        )
        runs += page
    return runs


@contextmanager
def _client(uri: str | None) -> Iterator[MlflowClient]:
    """Yield a client whose store has answered; convert its failures to one line."""
    if not uri:
        raise ValueError(
            "no tracking URI; give one, such as sqlite:///runs/mlflow.db or http://127.0.0.1:5000"
        )
    with _environment(_SILENCE):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with sqlite.alone(uri):
                with _quiet(), _environment(_CHECK):
                    client = MlflowClient(tracking_uri=uri)
                    client.search_experiments(max_results=1)
                    sqlite.remove_undecoded(uri)
                with _quiet(), _environment(_WORK):
                    yield client
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            # The original message may contain the URI and its password, hence `from None`.
            raise ValueError(_failure(uri, error)) from None


def _failure(uri: str, error: Exception) -> str:
    kind = getattr(error, "error_code", None) or type(error).__name__
    if "database schema" in str(error):
        advice = (
            "its schema is that of another version of MLflow; back the database up, then run "
            f"`mlflow db upgrade {public(uri)}`"
        )
    elif "database is locked" in str(error):
        advice = "another process is writing to it; try again when it has finished"
    elif uri.startswith("http"):
        advice = (
            "is it running? start one with `mlflow server --host 127.0.0.1 --port 5000 "
            "--backend-store-uri sqlite:///runs/mlflow.db`"
        )
    elif isinstance(error, ImportError):
        advice = f"install the database driver {error.name}"
    else:
        advice = "is it sqlite:///FILE or another database that can be reached and written?"
    return f"tracking store {public(uri)} failed ({kind}): {advice}"


@contextmanager
def _environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Set the variables that the user has not set, and unset them at the end."""
    missing = [key for key in defaults if key not in os.environ]
    os.environ.update({key: defaults[key] for key in missing})
    try:
        yield
    finally:
        for key in missing:
            os.environ.pop(key, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log of a new database's migration, and deprecation warnings."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
            warnings.filterwarnings("ignore", "The ``noload``", DeprecationWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
