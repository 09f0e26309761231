"""The objective of a trial: ordinary steps of a suite, evaluated on validation only."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import ray
from pydantic import ValidationError

from suite import registry
from suite.artifacts.features import Features
from suite.artifacts.fitted import Fitted
from suite.artifacts.outcome import Outcome
from suite.execute.task import perform
from suite.parts import Part
from suite.plan import plan
from suite.plan.chain import BEST
from suite.plan.kinds import KINDS
from suite.plan.step import Step
from suite.registry import first_line
from suite.spec import Suite
from suite.steps import fit as train
from suite.steps.comparisons.strongest import top1
from suite.store import checkpoints
from suite.store.results import Store
from suite.training import scores
from suite.training.settings import Training

TRAINING = "training."
"""Prefix of the parameters of a space that belong to training, not to the model."""

OUTSIDE: dict[str, Any] = {"scheduling_strategy": "DEFAULT"}
"""Options of tasks that run outside the resources Tune has reserved for the trial."""

Report = Callable[..., None]
"""Takes a row and, optionally, a folder from which another trial can continue."""


def subject(suite: Suite, model: str) -> Suite:
    """Reduce a suite to what a trial needs: one fit, and its attacks on validation.

    Parameters
    ----------
    suite
        Its only dataset, first seed, first protocol, first defense, first number of releases and
        all attacks are used.
    model
        Name; its parameters are those of the first model of that name in the suite, if any.

    Returns
    -------
    Suite
        With one model, release, seed and protocol.

    Raises
    ------
    ValueError
        There is no such model, or the suite has several datasets.
    """
    registry.part("models", model)
    if len(suite.datasets) > 1:
        listed = ", ".join(part.name for part in suite.datasets)
        msg = f"{suite.suite}: datasets: found {listed}; allowed for tuning: one, chosen with --set"
        raise ValueError(msg)
    attacks = [part for part in suite.attacks if part.name != BEST]
    return suite.model_copy(
        update={
            "seeds": suite.seeds[:1],
            "models": [next((m for m in suite.models if m.name == model), Part(name=model))],
            "releases": ["model"],
            "protocols": suite.protocols[:1],
            "defenses": suite.defenses[:1],
            "attacks": attacks or [Part(name="cosine")],
            "releases_m": suite.releases_m[:1],
            "attacker_holds": suite.attacker_holds[:1],
        }
    )


def on_validation(suite: Suite) -> Suite:
    """Replace a suite's protocols by their counterparts on validation.

    Raises
    ------
    ValueError
        A protocol has no counterpart.
    """
    protocols = []
    for part in suite.protocols:
        protocol = registry.create("protocols", part.name, part.parameters).on_validation()
        protocols.append(Part(name=part.name, parameters=asdict(protocol)))
    return suite.model_copy(update={"protocols": protocols})


def at(suite: Suite, point: dict[str, Any]) -> Suite:
    """Set a suite's only model, and its training, to a point of a space.

    Raises
    ------
    ValueError
        A training setting is unknown or invalid.
    """
    (model,) = suite.models
    training = {k.removeprefix(TRAINING): v for k, v in point.items() if k.startswith(TRAINING)}
    own = {k: v for k, v in point.items() if not k.startswith(TRAINING)}
    try:
        settings = Training.model_validate(suite.training.model_dump() | training)
    except ValidationError as error:
        raise ValueError(f"training: {first_line(error, Training)}") from None
    part = Part(name=model.name, parameters=model.parameters | own)
    return suite.model_copy(update={"models": [part], "training": settings})


@ray.remote(num_cpus=0)
class Epochs:
    """Holds the epochs of all running fits until their trials read them."""

    def __init__(self) -> None:
        self._unread: dict[str, list[dict[str, float]]] = {}

    def put(self, trial_id: str, row: dict[str, float]) -> None:
        """Add a row."""
        self._unread.setdefault(trial_id, []).append(row)

    def take(self, trial_id: str) -> list[dict[str, float]]:
        """Return the rows that a trial's fit has added since the last call."""
        return self._unread.pop(trial_id, [])


@dataclass(frozen=True)
class Objective:
    """Fits a model at a point of its space and evaluates it on validation.

    Its steps are Ray tasks, because Train cannot run in a process of Tune.

    Attributes
    ----------
    suite
        See ``subject``.
    store
        Where the trial's steps are kept; a suite that runs the same point later reuses them.
    epochs
        An ``Epochs`` actor.
    lift
        Whether to measure re-identification too, by the strongest of the suite's attacks.
    population
        Path or URI of the folder of trials that continue from each other's weights; such a fit
        depends on more than its point, so it is not kept in the store.
    """

    suite: Suite
    store: Store
    epochs: Any
    lift: bool
    population: str | None = None

    def __call__(
        self, trial_id: str, point: dict[str, Any], report: Report, resume: Path | None
    ) -> dict[str, float]:
        """Return ``epoch``, ``auc`` and, with ``self.lift``, ``lift``; all on validation.

        The AUC is the mean over the model's labels, both during a fit and at its end.
        """
        plans = plan.plans(at(self.suite, point))
        fit = plans[0].timed["fit"]
        if self.population is None:
            self._ensure(fit, trial_id, report)
            fitted = Fitted.load(self.store.path(fit.kind, fit.digest))
        else:
            fitted = self._continue(fit, trial_id, report, resume)
        (needed,) = fit.inputs
        features = Features.load(self.store.path(needed.kind, needed.digest))
        metrics = {"epoch": fitted.history[-1]["epoch"], "auc": validation_auc(fitted, features)}
        if self.lift:
            attacks = [p.timed["attack"] for p in plans]
            for step in (step for attack in attacks for step in attack.chain()):
                self._ensure(step, trial_id, report)
            outcomes = [Outcome.load(self.store.path(a.kind, a.digest)) for a in attacks]
            metrics["lift"] = max(map(lift, outcomes))
        return metrics

    def _ensure(self, step: Step, trial_id: str, report: Report) -> None:
        """Run a step unless its result exists."""
        if self.store.has(step.kind, step.digest):
            if self.store.fault(step.kind, step.digest, hashed=True) is None:
                return
            self.store.remove(step.kind, step.digest)
        if not KINDS[step.kind].trains:
            ref = perform.options(num_cpus=1, **OUTSIDE).remote(self.store, step, {})
            self._follow(ref, trial_id, report)
            return
        # A resumed fit reports only the remaining epochs.
        state = checkpoints.load(f"{self.store.scratch(step.digest)}/checkpoint.pt")
        best = -1.0 if state is None else float(state["best_auc"])

        def report_best(row: dict[str, float]) -> None:
            nonlocal best
            best = max(best, row["validation_auc"])
            report({**row, "auc": best})

        task = perform.options(num_cpus=self._num_cpus, **OUTSIDE)
        ref = task.remote(self.store, step, self._extra(trial_id))
        self._follow(ref, trial_id, report_best)

    def _continue(self, fit: Step, trial_id: str, report: Report, resume: Path | None) -> Fitted:
        """Fit, from another trial's weights if Tune gives any, with a checkpoint for others."""
        scratch = f"{self.population}/{trial_id}"
        url = f"{scratch}/checkpoint.pt"
        if resume is not None:
            state = _state(str(resume / "checkpoint.pt"))
            checkpoints.save(url, adopted(state, fit.arguments["training"]))

        def with_weights(row: dict[str, float]) -> None:
            with tempfile.TemporaryDirectory() as folder:
                state = _state(url)
                checkpoints.save(f"{folder}/checkpoint.pt", state)
                report({**row, "auc": state["best_auc"]}, Path(folder))

        task = unkept.options(num_cpus=self._num_cpus, **OUTSIDE)
        ref = task.remote(self.store, fit, {**self._extra(trial_id), "scratch": scratch})
        fitted: Fitted = self._follow(ref, trial_id, with_weights)
        return fitted

    def _follow(self, ref: Any, trial_id: str, report: Report) -> Any:
        """Report the epochs of a task until it ends; cancel it when the trial is stopped."""
        try:
            done: list[Any] = []
            while not done:
                done, _ = ray.wait([ref], timeout=0.2)
                for row in ray.get(self.epochs.take.remote(trial_id)):
                    report(row)
            return ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            # Tune would retry an error that is certain to recur.
            raise error.cause if isinstance(error.cause, ValueError) else error from None
        finally:
            # Without force, so that a process that has imported torch serves the next fit too.
            ray.cancel(ref)
            ray.wait([ref], timeout=1)

    @property
    def _num_cpus(self) -> int:
        """CPUs of the fit's own task; several workers hold their own."""
        return self.suite.compute.task_cpus

    def _extra(self, trial_id: str) -> dict[str, Any]:
        report = functools.partial(_put, self.epochs, trial_id)
        return {"compute": self.suite.compute, "report": report}


@ray.remote(max_retries=3)
def unkept(store: Store, fit: Step, extra: dict[str, Any]) -> Fitted:
    """Fit without storing the result."""
    (needed,) = fit.inputs
    features = Features.load(store.path(needed.kind, needed.digest))
    fitted: Fitted = train.fit(features, **fit.arguments, **extra)
    return fitted


def _put(epochs: Any, trial_id: str, row: dict[str, float]) -> None:
    # Waits, so that a fit's rows arrive before its end is noticed.
    ray.get(epochs.put.remote(trial_id, row))


def _state(url: str) -> dict[str, Any]:
    state = checkpoints.load(url)
    assert state is not None
    return state


def adopted(state: dict[str, Any], training: Training) -> dict[str, Any]:
    """Apply new training settings to a checkpoint of the training loop.

    The optimizer's state holds the rates of the one-cycle schedule: they are scaled to the new
    peak. The first parameter group has that peak, the others a fixed share of it.
    """
    groups = state["optimizer"]["param_groups"]
    factor = training.learning_rate / groups[0]["max_lr"]
    for group in groups:
        group |= {key: group[key] * factor for key in ("lr", "initial_lr", "max_lr", "min_lr")}
        group["weight_decay"] = training.weight_decay
    return state


def validation_auc(fitted: Fitted, features: Features) -> float:
    """``mean_auc`` over trained users' validation events, the criterion for the epoch too."""
    events = features.events.filter((pl.col("window") == "validation") & pl.col("trained"))
    scored = fitted.scores.join(events, on="event_id", how="semi")
    names = scores.labels(scored)
    logits = scored.select(map(scores.logit, names)).to_numpy()
    return scores.mean_auc(scored.select(names).to_numpy(), logits)


def lift(outcome: Outcome) -> float:
    """Top-1 accuracy over chance of the probes whose user is in the gallery."""
    return top1(outcome) * outcome.num_gallery
