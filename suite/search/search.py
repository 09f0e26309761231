"""Tune a model of a suite on validation, and write the best trial as a suite that can be run.

A trial's fit is an ordinary step: ``latentprint run`` of the best suite finds it in the store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from models.network import Network
from suite import registry
from suite.artifacts.fitted import Fitted
from suite.artifacts.trials import TrialResult, TuneResult
from suite.cluster.connect import connected, fitting, num_cpus, num_gpus
from suite.cluster.settings import Compute
from suite.execute.capacity import Capacity
from suite.execute.progress import Display
from suite.execute.scheduler import execute
from suite.plan import digest, plan
from suite.plan.recovery import repair, unfinished
from suite.plan.step import Step
from suite.publish import tracking
from suite.registry import nearest
from suite.search.objective import TRAINING, Epochs, Objective, at, on_validation, subject
from suite.search.results import Lines, write
from suite.spec import UNDEFENDED, Suite
from suite.store import checkpoints
from suite.store.results import Store
from suite.training.settings import Training
from tuning.pareto import front
from tuning.search import Trial, points, search
from tuning.study import Study

OBJECTIVES = {"auc": "max", "lift": "min"}

TRAINING_SPACE: dict[str, tuple[Any, ...]] = {
    f"{TRAINING}learning_rate": ("log_uniform", 1e-4, 1e-2),
    f"{TRAINING}weight_decay": ("log_uniform", 1e-5, 1e-2),
}
"""Searched in addition to a torch model's own space, unless the suite has a space."""

NUM_TRIALS = 20


def study(
    suite: Suite,
    model: str,
    *,
    num_trials: int | None,
    search: Literal["random", "optuna", "grid"],
    scheduler: Literal["asha", "hyperband", "pbt", "none"] | None,
    objectives: list[str],
) -> Study:
    """Define the search.

    Parameters
    ----------
    suite
        Its space, if it has one, is searched; its epochs are those of a full trial, its first
        seed is that of the search.
    model
        Name; if the suite has no space, the model's own is searched, with the learning rate and
        the weight decay if it is trained in epochs.
    num_trials
        None: the whole grid, or 20 points.
    search
        See ``tuning.study``.
    scheduler
        None: ``asha``, or ``none`` with two objectives.
    objectives
        ``auc``, or ``auc`` and ``lift``.

    Raises
    ------
    ValueError
        One line: an unknown parameter or objective, an empty or invalid space, or a scheduler
        that does not support the study.
    """
    if sorted(objectives) not in (["auc"], ["auc", "lift"]):
        raise ValueError(f"--objective: found {','.join(objectives)!r}, allowed: auc; auc,lift")
    if "lift" in objectives and (defense := suite.defenses[0].name) != UNDEFENDED:
        msg = f"--objective auc,lift: found defense {defense}, allowed: none"
        raise ValueError(f"{msg}; the AUC would be that of the undefended vectors")
    space = _space(suite, model)
    mutable = [name for name in TRAINING_SPACE if name in space]
    if scheduler is None:
        scheduler = "asha" if len(objectives) == 1 else "none"
    if scheduler != "none" and len(objectives) > 1:
        msg = f"--scheduler {scheduler} compares trials by AUC alone and would stop those with the "
        raise ValueError(msg + "smallest lift; allowed with --objective auc,lift: none")
    if scheduler == "pbt":
        in_epochs = issubclass(registry.part("models", model), Network)
        _check_population(search, suite.compute, mutable if in_epochs else [])
    if num_trials is None and search != "grid":
        num_trials = NUM_TRIALS
    wanted = Study(
        space=space,
        num_trials=num_trials,
        search=search,
        scheduler=scheduler,
        objectives={name: OBJECTIVES[name] for name in sorted(objectives)},
        epochs=suite.training.epochs,
        mutable=mutable,
        seed=suite.seeds[0],
    )
    for point in points(wanted):
        at(subject(suite, model), point)
    return wanted


def tune(
    suite: Suite,
    store: Store,
    model: str,
    wanted: Study,
    *,
    concurrency: int | None,
    tracking_uri: str,
    address: str | None,
    console: Console,
) -> TuneResult:
    """Run the missing trials of a study, publish the best and record all.

    Parameters
    ----------
    suite
        Data, training and attacks.
    store
        Where results are kept; a killed search continues from there.
    model
        Name.
    wanted
        The study.
    concurrency
        Number of trials at a time; None: as many as the cluster has resources for.
    tracking_uri
        MLflow store; each trial becomes a child run.
    address
        Ray cluster, see ``suite.cluster.connect``.
    console
        Where progress is shown.

    Returns
    -------
    TuneResult
        Includes failed trials; the best is written as ``best.yaml``, several as ``best-1.yaml``
        and so on.

    Raises
    ------
    ValueError
        The suite or its data is invalid, or nothing answers at the tracking URI; no trial was
        started.
    """
    subjected = subject(suite, model)
    lift = "lift" in wanted.objectives
    if lift:
        subjected = on_validation(subjected)
    plans = plan.plans(subjected)
    tracking.check(tracking_uri)
    wanted_digest = digest.digest(
        {
            "study": asdict(wanted),
            "steps": [p.timed["attack" if lift else "fit"].digest for p in plans],
            "sources": digest.sources("suite.search.objective", "tuning.search"),
            "libraries": {name: version(name) for name in ("optuna", "ray")},
        }
    )
    result = _finished(store, wanted_digest, console)
    if result is None:
        repair(store.scratch(), console.print)
        scratch = store.scratch(wanted_digest)
        population = f"{scratch}/population" if wanted.scheduler == "pbt" else None
        with connected(address):
            compute = fitting(suite.compute)
            subjected = subjected.model_copy(update={"compute": compute})
            epochs = Epochs.remote()  # type: ignore[attr-defined]
            objective = Objective(subjected, store, epochs, lift, population)
            _prepare(plans[0].timed["fit"], store, compute, console)
            capacity = Capacity(compute)
            capacity.refresh()
            if shortage := capacity.shortage(plans[0].timed["fit"]):
                raise ValueError(f"insufficient resources for a trial: {shortage}")
            trials = search(
                wanted,
                objective,
                concurrency=concurrency or _concurrency(compute),
                folder=scratch,
                watch=Lines(),
            )
        best = _best(trials, wanted.objectives)
        results = [
            TrialResult(
                number=i + 1,
                point=t.point,
                status=t.status,
                reason=t.reason,
                metrics=t.metrics,
                history=_history(objective, t),
                best=i in best,
            )
            for i, t in enumerate(trials)
        ]
        result = TuneResult(f"{suite.suite}-{model.rpartition(':')[2]}-tuned", results)
        # A search with failed trials is not finished: rerunning the command retries them.
        if not result.failed:
            with store.writing("tune", wanted_digest, {}) as folder:
                result.save(folder)
            _clear(objective, trials, wanted_digest)
    with tempfile.TemporaryDirectory() as temporary:
        write(result, suite, model, Path(temporary))
        store.publish(result.name, Path(temporary))
        tracking.record_trials(
            suite.suite,
            f"tune {model}",
            result.trials,
            uri=tracking_uri,
            study_digest=wanted_digest,
            artifacts=Path(temporary),
        )
    return result


def _space(suite: Suite, model: str) -> dict[str, Any]:
    part = registry.part("models", model)
    space: dict[str, Any] = dict(suite.space)
    if not space:
        space = part.space | (TRAINING_SPACE if issubclass(part, Network) else {})
    if not space:
        raise ValueError(f"models: {model} declares no space; add the key `space` to the suite")
    names = {*registry.schema(part).model_fields, *(TRAINING + k for k in Training.model_fields)}
    if unknown := [name for name in space if name not in names]:
        raise ValueError(f"space: {model} has no {unknown[0]!r}; {nearest(unknown[0], names)}")
    if "labels" in space:
        msg = f"space: found labels; the AUC of {model} is their mean, so that points with other"
        raise ValueError(f"{msg} labels cannot be compared; set labels with the model instead")
    return space


def _check_population(search: str, compute: Compute, mutable: list[str]) -> None:
    if search != "random":
        raise ValueError(f"--scheduler pbt: found --search {search}, allowed: random")
    if compute.most_workers > 1:
        raise ValueError("--scheduler pbt: found several compute.workers, allowed: 1")
    if not mutable:
        msg = f"--scheduler pbt: the space needs one of {', '.join(TRAINING_SPACE)}, and a model"
        raise ValueError(f"{msg} trained in epochs")


def _finished(store: Store, wanted_digest: str, console: Console) -> TuneResult | None:
    """Load the result of the same search, if it is finished and undamaged."""
    if not store.has("tune", wanted_digest):
        return None
    if fault := store.fault("tune", wanted_digest, hashed=True):
        store.remove("tune", wanted_digest)
        console.print(f"{fault}; removed, the search is repeated", soft_wrap=True)
        return None
    return TuneResult.load(store.path("tune", wanted_digest))


def _prepare(fit: Step, store: Store, compute: Compute, console: Console) -> None:
    """Compute the features, which all trials share, once."""
    missing = unfinished(list(fit.inputs), store, say=console.print)
    if missing:
        with Display(console, len(missing)) as display:
            for reason in execute(missing, store, compute, display).values():
                raise ValueError(reason)


def _concurrency(compute: Compute) -> int:
    """Trials that can run at once; one more would wait while holding resources others need."""
    trials = num_cpus() // compute.most_cpus
    if compute.accelerator == "cuda":
        trials = min(trials, int(num_gpus() // (compute.gpu_share * compute.most_workers)))
    return max(1, trials)


def _best(trials: list[Trial], objectives: Mapping[str, str]) -> list[int]:
    """Index the finished trials that no other dominates; one if there is one objective."""
    done = [i for i, trial in enumerate(trials) if trial.status == "done"]
    signs = np.array([1.0 if mode == "max" else -1.0 for mode in objectives.values()])
    values = np.array([[trials[i].metrics[name] for name in objectives] for i in done])
    best = [i for i, on in zip(done, front(signs * values), strict=True) if on] if done else []
    return best if len(objectives) > 1 else best[:1]


def _fit_step(objective: Objective, trial: Trial) -> Step:
    return plan.plans(at(objective.suite, trial.point))[0].timed["fit"]


def _history(objective: Objective, trial: Trial) -> list[dict[str, float]]:
    """Epochs of a trial, from its finished fit or its last checkpoint."""
    store = objective.store
    if objective.population is not None:
        folder = f"{objective.population}/{trial.id}"
    elif trial.status == "failed":
        return []
    else:
        step = _fit_step(objective, trial)
        if store.whole(step.kind, step.digest):
            return Fitted.load(store.path(step.kind, step.digest)).history
        folder = store.scratch(step.digest)
    state = checkpoints.load(f"{folder}/checkpoint.pt")
    return [] if state is None else state["history"]


def _clear(objective: Objective, trials: list[Trial], wanted_digest: str) -> None:
    """Remove the scratch folders of stopped trials and of the search itself."""
    if objective.population is None:
        for trial in trials:
            if trial.status == "stopped":
                objective.store.clear(_fit_step(objective, trial).digest)
    objective.store.clear(wanted_digest)
