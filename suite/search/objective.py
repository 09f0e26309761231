"""What a trial of a tuned model is: steps of a suite like any other, judged on validation alone."""

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

from attacks.measures import metrics
from attacks.ranks.exact import Ranks
from suite import registry
from suite.artifacts.features import Features
from suite.artifacts.fitted import Fitted
from suite.artifacts.outcome import Outcome
from suite.execute.task import perform
from suite.parts import Part
from suite.plan import plan
from suite.plan.kinds import KINDS
from suite.plan.plan import Step
from suite.registry import first_line
from suite.spec import Suite
from suite.steps import fit as train
from suite.store import checkpoints
from suite.store.results import Store
from suite.training import scores
from suite.training.settings import Training

TRAINING = "training."
"""Begins the names of those parameters of a space that belong to the training, not to the model."""

OUTSIDE: dict[str, Any] = {"scheduling_strategy": "DEFAULT"}
"""Options of tasks that do not run within what Tune has reserved for the trial itself."""

Report = Callable[..., None]
"""Takes a row and, to be gone on from elsewhere, a folder."""


def subject(suite: Suite, model: str) -> Suite:
    """Cut a suite down to what a trial needs of it: one fit, and its attacks on validation.

    Parameters
    ----------
    suite
        Its only data set, first seed, first protocol, first defense and all attacks are used.
    model
        Name; its parameters are those of the suite's first entry of that name, if any.

    Returns
    -------
    Suite
        With the protocol's counterpart on validation, where it has one.

    Raises
    ------
    ValueError
        There is no such model, or the suite has several data sets.
    """
    registry.part("models", model)
    if len(suite.datasets) > 1:
        listed = ", ".join(part.name for part in suite.datasets)
        msg = f"{suite.suite}: datasets: found {listed}; allowed for tuning: one, chosen by --set"
        raise ValueError(msg)
    attacks = [part for part in suite.attacks if part.name != plan.BEST]
    return suite.model_copy(
        update={
            "seeds": suite.seeds[:1],
            "models": [next((m for m in suite.models if m.name == model), Part(name=model))],
            "releases": ["model"],
            "protocols": suite.protocols[:1],
            "defenses": suite.defenses[:1],
            "attacks": attacks or [Part(name="cosine")],
        }
    )


def on_validation(suite: Suite) -> Suite:
    """Replace a suite's protocols by their counterparts on validation.

    Raises
    ------
    ValueError
        A protocol has none.
    """
    found = []
    for part in suite.protocols:
        protocol = registry.create("protocols", part.name, part.parameters).on_validation()
        found.append(Part(name=part.name, parameters=asdict(protocol)))
    return suite.model_copy(update={"protocols": found})


def at(suite: Suite, point: dict[str, Any]) -> Suite:
    """Set a suite's only model, and its training, to a point of a space.

    Raises
    ------
    ValueError
        A training setting is unknown or refused.
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
    """Rows of the epochs of all running fits, until their trials read them."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[dict[str, float]]] = {}

    def put(self, trial_id: str, row: dict[str, float]) -> None:
        """Leave a row."""
        self._waiting.setdefault(trial_id, []).append(row)

    def take(self, trial_id: str) -> list[dict[str, float]]:
        """Return the rows that a trial's fit has left since the last call."""
        return self._waiting.pop(trial_id, [])


@dataclass(frozen=True)
class Objective:
    """Fits a model at a point of its space, and measures what the point is worth.

    Its steps are Ray tasks: Train refuses to run in a process that belongs to Tune.

    Attributes
    ----------
    suite
        See ``subject``.
    store
        A trial's steps are kept here, and a suite that runs its point later finds them.
    epochs
        An ``Epochs`` actor.
    lift
        Whether re-identification is measured too, by the strongest of the suite's attacks.
    population
        Folder, as a path or URI, of trials that go on from each other's weights; such a fit
        depends on more than its point, and is no step of the store.
    """

    suite: Suite
    store: Store
    epochs: Any
    lift: bool
    population: str | None = None

    def __call__(
        self, trial_id: str, point: dict[str, Any], report: Report, resume: Path | None
    ) -> dict[str, float]:
        """Return ``epoch``, ``auc`` and, if asked for, ``lift``; all on validation.

        The AUC is the mean over the model's labels, while a fit runs and at its end.
        """
        plans = plan.plans(at(self.suite, point))
        fit = plans[0].timed["fit"]
        if self.population is None:
            self._ensure(fit, trial_id, report)
            fitted = Fitted.load(self.store.path(fit.kind, fit.digest))
        else:
            fitted = self._go_on(fit, trial_id, report, resume)
        (needed,) = fit.inputs
        features = Features.load(self.store.path(needed.kind, needed.digest))
        found = {"epoch": fitted.history[-1]["epoch"], "auc": validation_auc(fitted, features)}
        if self.lift:
            attacks = [p.timed["attack"] for p in plans]
            for step in (step for attack in attacks for step in attack.chain()):
                self._ensure(step, trial_id, report)
            outcomes = [Outcome.load(self.store.path(a.kind, a.digest)) for a in attacks]
            found["lift"] = max(map(lift, outcomes))
        return found

    def _ensure(self, step: Step, trial_id: str, report: Report) -> None:
        """Run a step unless its result is there."""
        if self.store.has(step.kind, step.digest):
            if self.store.fault(step.kind, step.digest, hashed=True) is None:
                return
            self.store.remove(step.kind, step.digest)
        if not KINDS[step.kind].trains:
            ref = perform.options(num_cpus=1, **OUTSIDE).remote(self.store, step, {})
            self._follow(ref, trial_id, report)
            return
        # A fit that goes on reports only the epochs that were missing.
        state = checkpoints.load(f"{self.store.scratch(step.digest)}/checkpoint.pt")
        best = -1.0 if state is None else float(state["best_auc"])

        def risen(row: dict[str, float]) -> None:
            nonlocal best
            best = max(best, row["validation_auc"])
            report({**row, "auc": best})

        task = perform.options(num_cpus=self._num_cpus, **OUTSIDE)
        ref = task.remote(self.store, step, self._extra(trial_id))
        self._follow(ref, trial_id, risen)

    def _go_on(self, fit: Step, trial_id: str, report: Report, resume: Path | None) -> Fitted:
        """Fit from another trial's weights, where Tune says so, and let others go on from here."""
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
        """Pass on the epochs of a task until it ends; end it when the trial is to stop."""
        try:
            done: list[Any] = []
            while not done:
                done, _ = ray.wait([ref], timeout=0.2)
                for row in ray.get(self.epochs.take.remote(trial_id)):
                    report(row)
            return ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            # Tune would try again what cannot get better.
            raise error.cause if isinstance(error.cause, ValueError) else error from None
        finally:
            # Gently: a process that has imported torch serves the next fit too.
            ray.cancel(ref)
            ray.wait([ref], timeout=1)

    @property
    def _num_cpus(self) -> int:
        """CPUs of a fit itself; its workers, where it has several, hold their own."""
        return self.suite.compute.task_cpus

    def _extra(self, trial_id: str) -> dict[str, Any]:
        report = functools.partial(_put, self.epochs, trial_id)
        return {"compute": self.suite.compute, "report": report}


@ray.remote(max_retries=3)
def unkept(store: Store, fit: Step, extra: dict[str, Any]) -> Fitted:
    """Fit without keeping the result in the store."""
    (needed,) = fit.inputs
    features = Features.load(store.path(needed.kind, needed.digest))
    fitted: Fitted = train.fit(features, **fit.arguments, **extra)
    return fitted


def _put(epochs: Any, trial_id: str, row: dict[str, float]) -> None:
    # Waiting makes sure that a fit's rows are there before its end is seen.
    ray.get(epochs.put.remote(trial_id, row))


def _state(url: str) -> dict[str, Any]:
    state = checkpoints.load(url)
    assert state is not None
    return state


def adopted(state: dict[str, Any], training: Training) -> dict[str, Any]:
    """Change the settings inside a checkpoint of the training loop.

    The optimizer's state has the rates that the one-cycle schedule moves between: its shape stays,
    its height becomes the new peak. The first group has that peak, others a fixed share of it.
    """
    groups = state["optimizer"]["param_groups"]
    factor = training.learning_rate / groups[0]["max_lr"]
    for group in groups:
        group |= {key: group[key] * factor for key in ("lr", "initial_lr", "max_lr", "min_lr")}
        group["weight_decay"] = training.weight_decay
    return state


def validation_auc(fitted: Fitted, features: Features) -> float:
    """``mean_auc`` over trained users' validation events, by which the epoch is chosen too."""
    events = features.events.filter((pl.col("window") == "validation") & pl.col("trained"))
    found = fitted.scores.join(events, on="event_id", how="semi")
    names = scores.labels(found)
    logits = found.select(map(scores.logit, names)).to_numpy()
    return scores.mean_auc(found.select(names).to_numpy(), logits)


def lift(outcome: Outcome) -> float:
    """Top-1 over chance, of the probes whose user is in the gallery."""
    ranks = Ranks(outcome.probes["greater"].to_numpy(), outcome.probes["equal"].to_numpy())
    known = metrics.mated(ranks, outcome.num_gallery)
    return float(metrics.top_credit(ranks, 1)[known].mean() * outcome.num_gallery)
