"""Fit a model on Ray: the only import of ray.train.

With one worker that needs no GPU of its own the loop runs as Train's local mode inside the task
that called it: a worker group costs 12-30 s to start on two cores, local mode 0.1 s.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from suite.loop import DivergedError, Worker, positive_weight, train
from suite.spec import Compute, Part, Training

KIND = "ray.io/accelerator-type"
"""Label by which Ray tells what GPU a node has."""


MOST_ADAPTED_TO = 200_000
"""Train events, evenly spread, that a model is adapted to: enough for scales of columns."""


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

    Raises
    ------
    ValueError
        Training diverged, or the accelerator cannot compute in the precision.
    """
    built = build(model, seed, features)
    with _threads(compute.cpus_per_worker):
        if isinstance(built, Network):
            config = {"features": features, "model": model, "training": training, "seed": seed}
            history = _train(built, config, compute, scratch, report)
        else:
            assert isinstance(built, Estimator)
            history = _learn(built, features, seed)
        scores = _scores(built, features, training.batch_size)
    return Fitted(
        state=built.state(),
        scores=scores,
        history=history,
        positive_weight=positive_weight(features, built.num_labels).tolist(),
        num_parameters=built.num_parameters,
    )


def _train(
    network: Network,
    config: dict[str, Any],
    compute: Compute,
    scratch: str,
    report: Callable[[dict[str, float]], None],
) -> list[dict[str, float]]:
    """Train on Ray and leave the best epoch's weights in the network; return the epochs."""
    checkpoint_url = f"{scratch}/checkpoint.pt"
    config = {
        **config,
        "accelerator": accelerator(compute),
        "threads": compute.cpus_per_worker,
        "compile": compute.compile,
        "checkpoint_url": checkpoint_url,
        "report": report,
    }
    _check_precision(config["training"].precision, config["accelerator"])
    result: Any = _trainer(config, compute, scratch).fit()
    if result.return_value is not None:
        raise ValueError(result.return_value)
    finished = checkpoint.load(checkpoint_url)
    assert finished is not None
    network.load_state_dict(finished["best"])
    history: list[dict[str, float]] = finished["history"]
    return history


def _learn(built: Estimator, features: Features, seed: int) -> list[dict[str, float]]:
    rows = [batches.rows(features, w, trained=True) for w in ("train", "validation")]
    train_batch, validation = (batches.gather(features, chosen) for chosen in rows)
    start = time.perf_counter()
    built.fit(train_batch, validation, np.random.default_rng(seed))
    seconds = time.perf_counter() - start
    return [{"epoch": 1, "examples_per_s": len(rows[0]) / seconds}]


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let torch compute on so many threads; the process may have served another task before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def accelerator(compute: Compute) -> str:
    """Resolve ``auto``: the GPUs of the cluster, otherwise this machine's, otherwise the CPU."""
    if compute.accelerator != "auto":
        return compute.accelerator
    for found, here in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
        if here.is_available() or _one_kind(found):
            return found
    return "cpu"


def train_loop_per_worker(config: dict[str, Any]) -> str | None:
    """Train one copy of a torch model; Ray Train calls this on every worker.

    Returns
    -------
    str or None
        Why training diverged. An error would be taken for a failure of the worker and tried again.
    """
    # TF32 rounds float32 to a mantissa of 10 bits; cuDNN's LSTM would use it unless told not to.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    worker = Worker(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        device=_device(config["accelerator"]),
        staged=config["accelerator"] == "mps",
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
    try:
        train(
            network,
            features,
            config["training"],
            seed=config["seed"],
            worker=worker,
            checkpoint_url=config["checkpoint_url"],
            report=report,
        )
    except DivergedError as error:
        return str(error)
    return None


def _trainer(config: dict[str, Any], compute: Compute, scratch: str) -> TorchTrainer:
    """Local mode for one worker that needs no process of its own, else a worker group."""
    cuda = config["accelerator"] == "cuda"
    scaling: dict[str, Any] = {"num_workers": 0}
    if compute.most_workers > 1 or cuda:
        config = {**config, "features": ray.put(config["features"])}
        scaling = {
            "num_workers": compute.workers,
            "use_gpu": cuda,
            "resources_per_worker": {"CPU": compute.cpus_per_worker} | ({"GPU": 1} if cuda else {}),
            "label_selector": compute.node_labels or _one_kind(config["accelerator"]),
        }
    return TorchTrainer(
        train_loop_per_worker,  # type: ignore[arg-type]  # Train V2 hands its result back
        train_loop_config=config,
        # Losses and scores are exchanged as CPU tensors, gradients where they are.
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if cuda else "gloo"),
        scaling_config=ScalingConfig(**scaling),
        run_config=RunConfig(
            name="train", storage_path=scratch, failure_config=FailureConfig(max_failures=3)
        ),
    )


def _one_kind(accelerator: str) -> dict[str, str] | None:
    """Label of the cluster's most frequent GPU that the accelerator means, so that no run mixes.

    The slowest worker sets the pace of a run, and Ray counts Apple's GPUs with all others.
    """
    wanted = {"cuda": False, "mps": True}
    kinds = {k: n for k, n in _gpu_kinds().items() if _is_apple(k) is wanted.get(accelerator)}
    return {KIND: max(kinds, key=kinds.__getitem__)} if kinds else None


def _gpu_kinds() -> Counter[str]:
    """Count the cluster's GPUs by the kind that Ray found."""
    kinds: Counter[str] = Counter()
    for node in ray.nodes() if ray.is_initialized() else []:  # type: ignore[no-untyped-call]
        if node["Alive"] and KIND in node["Labels"]:
            kinds[node["Labels"][KIND]] += int(node["Resources"].get("GPU", 0))
    return kinds


def _is_apple(kind: str) -> bool:
    """Whether a kind of GPU is Apple's: M1, M2-Pro; a Tesla M60 is not."""
    return re.fullmatch(r"M\d(-\w+)?|Apple-Silicon", kind) is not None


def _check_precision(precision: str, accelerator: str) -> None:
    allowed = {
        "cpu": ["float32", "float64"],
        "cuda": ["float32", "float64", "bf16"],
        "mps": ["float32"],
    }[accelerator]
    if precision not in allowed:
        msg = (
            f"training.precision: found {precision} on {accelerator}, allowed: {', '.join(allowed)}"
        )
        raise ValueError(msg)


def _device(accelerator: str) -> str:
    """Name this worker's device; Ray shows each CUDA worker its own GPU first."""
    return str(ray.train.torch.get_device()) if accelerator == "cuda" else accelerator


def build(model: Part, seed: int, features: Features | None = None) -> Model:
    """Make a model whose first weights come from the seed, and adapt it to the data if given."""
    torch.manual_seed(seed)
    built: Model = registry.create("models", model.name, model.parameters)
    if features is not None:
        rows = batches.rows(features, "train", trained=True)
        built.adapt(batches.gather(features, rows[:: -(-len(rows) // MOST_ADAPTED_TO)]))
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
