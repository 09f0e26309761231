"""Fit a model on Ray: the only import of ray.train.

With one CPU worker the loop runs as Train's local mode inside the task that called it: a worker
group costs 12-30 s to start on two cores, local mode 0.1 s.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import ray.train
import torch
from numpy.typing import NDArray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from models.base import Estimator, Model
from models.network import Network
from suite import batches, checkpoint, registry
from suite.features import Features
from suite.loop import Worker, positive_weight, train
from suite.spec import Compute, Part, Training


@dataclass(frozen=True)
class Fitted:
    """A fitted model as plain arrays.

    Attributes
    ----------
    state
        What the model's ``load_state`` takes.
    scores
        ``event_id, user_id, window, engaged, logit`` of all validation and test events.
    history
        One row per epoch; empty for models that are not trained in epochs.
    positive_weight : (L,)
        w of the loss: the probability is sigmoid(logit - ln w).
    num_parameters
        Learned numbers.
    """

    state: dict[str, NDArray[Any]]
    scores: pl.DataFrame
    history: list[dict[str, float]]
    positive_weight: list[float]
    num_parameters: int

    def save(self, folder: Path) -> None:
        """Write state.npz, scores.parquet and fitted.json."""
        np.savez(folder / "state.npz", **self.state)  # type: ignore[arg-type]
        self.scores.write_parquet(folder / "scores.parquet")
        plain = {
            "history": self.history,
            "positive_weight": self.positive_weight,
            "num_parameters": self.num_parameters,
        }
        (folder / "fitted.json").write_text(json.dumps(plain))

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        """Read what ``save`` wrote; nothing is unpickled."""
        with np.load(folder / "state.npz", allow_pickle=False) as arrays:
            state = dict(arrays)
        plain = json.loads((folder / "fitted.json").read_text())
        return cls(state=state, scores=pl.read_parquet(folder / "scores.parquet"), **plain)


def fit(
    features: Features,
    *,
    model: Part,
    training: Training,
    seed: int,
    compute: Compute,
    scratch: str,
    report: Callable[[dict[str, float]], None],
) -> Fitted:
    """Fit one model and score its validation and test events.

    Parameters
    ----------
    features
        Fitted on: train events of trained users. Chosen on: their validation events.
    model
        Name and parameters.
    training
        Schedule of the torch models.
    seed
        Decides weights, batches and dropout.
    compute
        Workers and accelerator; the result depends on neither, up to rounding.
    scratch
        Folder, as a path or URI, where an unfinished fit is kept; it continues from there.
    report
        Called after each epoch.

    Returns
    -------
    Fitted
        With the weights of the best epoch.
    """
    built = build(model, seed)
    if isinstance(built, Network):
        checkpoint_url = f"{scratch}/checkpoint.pt"
        config: dict[str, Any] = {
            "features": ray.put(features) if compute.workers > 1 else features,
            "model": model,
            "training": training,
            "seed": seed,
            "accelerator": accelerator(compute),
            "checkpoint_url": checkpoint_url,
            "report": report,
        }
        _trainer(config, compute, scratch).fit()
        finished = checkpoint.load(checkpoint_url)
        assert finished is not None
        history: list[dict[str, float]] = finished["history"]
        built.load_state_dict(finished["best"])
    else:
        assert isinstance(built, Estimator)
        rows = [batches.rows(features, w, trained=True) for w in ("train", "validation")]
        train_batch, validation = (batches.gather(features, chosen) for chosen in rows)
        start = time.perf_counter()
        built.fit(train_batch, validation, np.random.default_rng(seed))
        seconds = time.perf_counter() - start
        history = [{"epoch": 1, "examples_per_s": len(rows[0]) / seconds}]
    return Fitted(
        state=built.state(),
        scores=_scores(built, features, training.batch_size),
        history=history,
        positive_weight=positive_weight(features, built.num_labels).tolist(),
        num_parameters=built.num_parameters,
    )


def accelerator(compute: Compute) -> str:
    """Resolve ``auto`` to cuda, mps or cpu on this machine."""
    if compute.accelerator != "auto":
        return compute.accelerator
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def train_loop_per_worker(config: dict[str, Any]) -> None:
    """Train one copy of a torch model; Ray Train calls this on every worker."""
    context = ray.train.get_context()
    worker = Worker(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        device=_device(config["accelerator"]),
    )
    features = config["features"]
    if isinstance(features, ray.ObjectRef):
        features = ray.get(features)

    def report(row: dict[str, float]) -> None:
        if worker.rank == 0:
            config["report"](row)
        ray.train.report(row)

    network = build(config["model"], config["seed"])
    assert isinstance(network, Network)
    train(
        network,
        features,
        config["training"],
        seed=config["seed"],
        worker=worker,
        checkpoint_url=config["checkpoint_url"],
        report=report,
    )


def _trainer(config: dict[str, Any], compute: Compute, scratch: str) -> TorchTrainer:
    """Local mode for one worker that needs no process of its own, else a worker group."""
    local = compute.workers == 1
    cuda = config["accelerator"] == "cuda"
    return TorchTrainer(
        train_loop_per_worker,
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if cuda else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=0 if local else compute.workers,
            use_gpu=cuda and not local,
            resources_per_worker=None if local else {"CPU": compute.cpus_per_worker},
        ),
        run_config=RunConfig(
            name="train",
            storage_path=scratch,
            failure_config=FailureConfig(max_failures=3),
        ),
    )


def _device(accelerator: str) -> str:
    """Name this worker's device; Ray shows each CUDA worker its own GPU first."""
    return str(ray.train.torch.get_device()) if accelerator == "cuda" else accelerator


def build(model: Part, seed: int) -> Model:
    """Make a model whose first weights come from the seed."""
    torch.manual_seed(seed)
    built: Model = registry.create("models", model.name, model.parameters)
    return built


def _scores(model: Model, features: Features, size: int) -> pl.DataFrame:
    """Logit of label 0 for every validation and test event, held-out users included."""
    rows = np.concatenate([batches.rows(features, w) for w in ("validation", "test")])
    logits = np.concatenate(
        [
            model.score(batches.gather(features, chunk))[:, 0]
            for chunk in batches.chunks(features, rows, size=size)
        ]
    )
    ordered = np.concatenate(list(batches.chunks(features, rows, size=size)))
    return (
        features.events[ordered]
        .select("event_id", "user_id", "window", "engaged")
        .with_columns(logit=pl.Series(logits, dtype=pl.Float32))
    )
