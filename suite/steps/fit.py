"""Fit a model on Ray: the only import of ray.train.

With one worker that needs no GPU of its own the loop runs as Train's local mode inside the task
that called it: a worker group costs 12-30 s to start on two cores, local mode 0.1 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import ray.train
import torch
from numpy.typing import NDArray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from models.base import Estimator, Model
from models.network import Network
from suite.artifacts.features import Features
from suite.artifacts.fitted import Fitted
from suite.cluster import accelerators, sharded
from suite.cluster.settings import Compute
from suite.parts import Part
from suite.store import checkpoints
from suite.training import batches, scores
from suite.training.build import build
from suite.training.loop import DivergedError, Worker, positive_weight, train
from suite.training.pretrain import pretrain
from suite.training.private import guaranteed
from suite.training.settings import Training
from tuning.storage import storage

CHECKPOINT, PRETRAINED, FINETUNED = "checkpoint.pt", "pretrained.pt", "finetuned.pt"
"""Files in a fit's scratch folder from which it can resume."""


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
        With the weights of the best epoch; what fine-tuning makes of them is only scored, since
        the validation window must stay unseen by what is attacked and compared.

    Raises
    ------
    ValueError
        Training diverged, the accelerator cannot compute in the precision, or private training
        is not possible as set.
    """
    built = build(model, seed, features)
    private = guaranteed(built, features, training) if isinstance(built, Network) else None
    with _threads(compute.cpus_per_worker):
        config = {"features": features, "model": model, "training": training, "seed": seed}
        if isinstance(built, Network):
            facts = pretrain(built, features, seed=seed, url=f"{scratch}/{PRETRAINED}")
            history = _train(built, config, compute, scratch, report)
        else:
            assert isinstance(built, Estimator)
            facts = {}
            history = _learn(built, config, compute, scratch)
        state = built.state()
        scored = scores.score(built, features)
        if training.finetune_epochs and _finetuned(built, features, seed, scratch):
            after = scores.score(built, features)
            scored = scores.with_finetuned(scored, after)
    return Fitted(
        state=state,
        scores=scored,
        history=history,
        positive_weight=positive_weight(features, built.num_labels).tolist(),
        num_parameters=built.num_parameters,
        facts=facts | (private.facts if private else {}),
        note=private.note if private else None,
    )


def _finetuned(model: Model, features: Features, seed: int, scratch: str) -> bool:
    """Fine-tune on the validation window, if the model supports it."""
    if isinstance(model, Network):
        finished = checkpoints.load(f"{scratch}/{FINETUNED}")
        assert finished is not None
        model.load_state_dict(finished["best"])
        return True
    assert isinstance(model, Estimator)
    rows = batches.rows(features, "validation", trained=True)
    model.finetune(batches.gather(features, rows), np.random.default_rng(seed))
    return model.finetunes


def _train(
    network: Network,
    config: dict[str, Any],
    compute: Compute,
    scratch: str,
    report: Callable[[dict[str, float]], None],
) -> list[dict[str, float]]:
    """Train on Ray and leave the best epoch's weights in the network; return the epochs."""
    config = {
        **config,
        "accelerator": accelerators.resolved(compute.accelerator),
        "threads": compute.cpus_per_worker,
        "compile": compute.compile,
        "scratch": scratch,
        "report": report,
    }
    _check_precision(config["training"].precision, config["accelerator"])
    result: Any = _trainer(config, compute, scratch).fit()
    if result.return_value is not None:
        raise ValueError(result.return_value)
    finished = checkpoints.load(f"{scratch}/{CHECKPOINT}")
    assert finished is not None
    network.load_state_dict(finished["best"])
    history: list[dict[str, float]] = finished["history"]
    return history


def _learn(
    built: Estimator, config: dict[str, Any], compute: Compute, scratch: str
) -> list[dict[str, float]]:
    """Let an estimator fit itself, on several workers where it can."""
    features = config["features"]
    start = time.perf_counter()
    if built.shares and compute.most_workers > 1:
        built.load_state(_together(config, compute, scratch))
    else:
        share_of_fit(built, features, config["seed"])
    seconds = time.perf_counter() - start
    num_events = len(batches.rows(features, "train", trained=True))
    return [{"epoch": 1, "examples_per_s": num_events / seconds}]


def share_of_fit(
    built: Estimator, features: Features, seed: int, rank: int = 0, world_size: int = 1
) -> None:
    """Fit to one worker's share of the train events; validation is every worker's own."""
    train_events, validation = (
        batches.gather(features, rows)
        for rows in (
            batches.rows(features, "train", trained=True)[rank::world_size],
            batches.rows(features, "validation", trained=True),
        )
    )
    built.fit(train_events, validation, np.random.default_rng(seed))


def fit_per_worker(config: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Fit an estimator together with the other workers; Ray Train calls this on each."""
    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    built = build(config["model"], config["seed"])
    assert isinstance(built, Estimator)
    features = ray.get(config["features"])
    rank, world_size = context.get_world_rank(), context.get_world_size()
    share_of_fit(built, features, config["seed"], rank, world_size)
    return built.state()


def _together(config: dict[str, Any], compute: Compute, scratch: str) -> dict[str, NDArray[Any]]:
    from ray.train.xgboost import XGBoostTrainer

    scaling: dict[str, Any] = {
        "num_workers": compute.most_workers,
        "resources_per_worker": {"CPU": compute.cpus_per_worker},
        "label_selector": compute.node_labels or None,
    }
    trainer = XGBoostTrainer(
        fit_per_worker,  # type: ignore[arg-type]  # Train V2 hands its result back
        train_loop_config={
            **config,
            "features": ray.put(config["features"]),
            "threads": compute.cpus_per_worker,
        },
        scaling_config=ScalingConfig(**scaling),
        run_config=RunConfig(
            name="fit", failure_config=FailureConfig(max_failures=3), **storage(scratch)
        ),
    )
    result: Any = trainer.fit()
    state: dict[str, NDArray[Any]] = result.return_value
    return state


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let torch compute on so many threads; the process may have served another task before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_loop_per_worker(config: dict[str, Any]) -> str | None:
    """Train one copy of a torch model; Ray Train calls this on every worker.

    Returns
    -------
    str or None
        Why training diverged. An error would be taken for a failure of the worker and tried again.
    """
    sharded.full_float32()
    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    worker = Worker(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        device=_device(config["accelerator"]),
        exchange_on_cpu=config["accelerator"] == "mps",
        compile=config["compile"],
    )
    features = config["features"]
    if isinstance(features, ray.ObjectRef):
        features = ray.get(features)

    def report(row: dict[str, float]) -> None:
        if worker.rank == 0:
            config["report"](row)
        ray.train.report(row)

    network = build(config["model"], config["seed"], features)
    assert isinstance(network, Network)
    pretrained = checkpoints.load(f"{config['scratch']}/{PRETRAINED}")
    if network.pretrains:
        assert pretrained is not None
        network.load_state_dict(pretrained["weights"])
    try:
        best = train(
            network,
            features,
            config["training"],
            seed=config["seed"],
            worker=worker,
            checkpoint_url=f"{config['scratch']}/{CHECKPOINT}",
            report=report,
        )
        if config["training"].finetune_epochs:
            network.load_state_dict(best["best"])
            train(
                network,
                features,
                _finetuning(config["training"]),
                seed=config["seed"],
                worker=worker,
                checkpoint_url=f"{config['scratch']}/{FINETUNED}",
                report=ray.train.report,
                window="validation",
            )
    except DivergedError as error:
        return str(error)
    return None


def _finetuning(training: Training) -> Training:
    """Schedule over the validation window, without a choice of epoch."""
    epochs = training.finetune_epochs
    return training.model_copy(update={"epochs": epochs, "patience": epochs})


def _trainer(config: dict[str, Any], compute: Compute, scratch: str) -> TorchTrainer:
    """Local mode for one worker that needs no process of its own, else a worker group."""
    cuda = config["accelerator"] == "cuda"
    scaling: dict[str, Any] = {"num_workers": 0}
    if compute.most_workers > 1 or cuda:
        config = {**config, "features": ray.put(config["features"])}
        scaling = {
            "num_workers": compute.workers,
            "use_gpu": cuda,
            "resources_per_worker": {"CPU": compute.cpus_per_worker}
            | ({"GPU": compute.gpu_share} if cuda else {}),
            "label_selector": compute.node_labels or accelerators.one_kind(config["accelerator"]),
        }
    return TorchTrainer(
        train_loop_per_worker,  # type: ignore[arg-type]  # Train V2 hands its result back
        train_loop_config=config,
        # Losses and scores are exchanged as CPU tensors, gradients where they are.
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if cuda else "gloo"),
        scaling_config=ScalingConfig(**scaling),
        run_config=RunConfig(
            name="train", failure_config=FailureConfig(max_failures=3), **storage(scratch)
        ),
    )


def _check_precision(precision: str, accelerator: str) -> None:
    allowed = {
        "cpu": ["float32", "float64", "bf16"],
        "cuda": ["float32", "float64", "bf16"],
        "mps": ["float32"],
    }[accelerator]
    if precision not in allowed:
        msg = (
            f"training.precision: found {precision} on {accelerator}, allowed: {', '.join(allowed)}"
        )
        raise ValueError(msg)


def _device(accelerator: str) -> str:
    """Name this worker's device; which of the CUDA devices is its own, Ray Train knows."""
    return str(ray.train.torch.get_device()) if accelerator == "cuda" else accelerator
