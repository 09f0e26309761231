"""Gradient-boosted decision trees, one binary model per label.

Shape letters: B events, L labels, D dimensions of the representation.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray

from models.base import Batch, Estimator
from models.blocks.columns import columns


class Gbdt(Estimator):
    """XGBoost on aggregates, item, context and wide features, with one model per label.

    The released vector encodes the leaf of the event in every tree: indicators of the leaves of
    all labels' trees, mapped to ``dim`` dimensions by a random projection with a fixed seed, which
    approximately preserves their distances.

    Parameters
    ----------
    num_rounds
        Maximum number of trees per label.
    depth
        Maximum depth of a tree.
    learning_rate
        Shrinkage of each tree's contribution, in (0, 1].
    patience
        Number of trees without a better validation AUC after which a label's training stops.
    dim
        Dimensions of the representation.
    projection_seed
        Seed of the projection, which is public.

    References
    ----------
    Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016; projection: Johnson
    and Lindenstrauss, 1984. One model per label as in Volkovs et al., "User Engagement Modeling
    with Deep Learning and Language Models", RecSys Challenge 2021.
    """

    uses_wide = True
    shares = True
    finetunes = True
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "depth": ("int", 3, 10),
        "learning_rate": ("log_uniform", 0.02, 0.5),
    }

    def __init__(
        self,
        *,
        num_rounds: int = 200,
        depth: int = 6,
        learning_rate: float = 0.1,
        patience: int = 20,
        dim: int = 64,
        projection_seed: int = 0,
    ) -> None:
        if min(num_rounds, depth, patience, dim) < 1 or not 0 < learning_rate <= 1:
            msg = f"{num_rounds}, {depth}, {patience}, {dim} and {learning_rate}"
            raise ValueError(
                "gbdt: num_rounds, depth, patience and dim must be >= 1 and learning_rate in "
                f"(0, 1], got {msg}"
            )
        self.num_rounds = num_rounds
        self.depth = depth
        self.learning_rate = learning_rate
        self.patience = patience
        self.dim = dim
        self.projection_seed = projection_seed
        self.boosters: list[xgboost.Booster] = []
        self.weights: NDArray[np.float64] = np.ones(0)

    def fit(self, train: Batch, validation: Batch, rng: np.random.Generator) -> None:
        """Grow trees for each label until its validation AUC stops improving.

        Inside an XGBoost communicator ``train`` is this worker's share of the events, and all
        workers end with the same trees.
        """
        # Binned once for all labels: one byte per value instead of the eight of a DMatrix.
        events = xgboost.QuantileDMatrix(columns(train), nthread=torch.get_num_threads())
        later = xgboost.DMatrix(columns(validation))
        self.num_labels = train.labels.shape[1]
        self.boosters, self.weights = [], np.ones(self.num_labels)
        for label in range(self.num_labels):
            self.weights[label] = _weight(train.labels[:, label])
            parameters = self._parameters(label, rng)
            events.set_label(train.labels[:, label])
            later.set_label(validation.labels[:, label])
            # Early stopping by AUC needs both classes.
            stops = 0 < validation.labels[:, label].mean() < 1
            booster = xgboost.train(
                parameters,
                events,
                self.num_rounds,
                evals=[(later, "validation")] if stops else [],
                early_stopping_rounds=self.patience if stops else None,
                verbose_eval=False,
            )
            self.boosters.append(booster[: booster.best_iteration + 1] if stops else booster)

    def finetune(self, recent: Batch, rng: np.random.Generator) -> None:
        """Add a fifth more trees, fitted to later events.

        Positives keep their weight, so that the log odds keep their meaning.
        """
        # A DMatrix, not binned: the existing trees use thresholds of train's bins.
        events = xgboost.DMatrix(columns(recent))
        for label, booster in enumerate(self.boosters):
            values = recent.labels[:, label]
            if 0 < values.mean() < 1:
                events.set_label(values)
                self.boosters[label] = xgboost.train(
                    self._parameters(label, rng),
                    events,
                    max(1, booster.num_boosted_rounds() // 5),
                    xgb_model=booster,
                )

    def score(self, batch: Batch) -> NDArray[np.float32]:
        """Logits of the labels, ``(B, L)``; all 0 before ``fit``."""
        inputs = xgboost.DMatrix(columns(batch))
        logits = np.zeros((len(batch.labels), self.num_labels), np.float32)
        for label, booster in enumerate(self.boosters):
            logits[:, label] = booster.predict(inputs, output_margin=True)
        return logits

    def represent(self, batch: Batch) -> NDArray[np.float32]:
        """Projected leaves, ``(B, dim)``; all 0 before ``fit``."""
        inputs = xgboost.DMatrix(columns(batch))
        vectors = np.zeros((len(batch.labels), self.dim), np.float32)
        for label, booster in enumerate(self.boosters):
            leaves = booster.predict(inputs, pred_leaf=True).astype(np.int64)
            for tree, leaf in enumerate(leaves.reshape(len(vectors), -1).T):
                vectors += self._projection(label, tree)[leaf]
        return vectors

    def state(self) -> dict[str, NDArray[Any]]:
        """Trees of each label as bytes of XGBoost's JSON, and the weights of positives."""
        trees = {
            f"booster_{label}": np.frombuffer(booster.save_raw("json"), dtype=np.uint8)
            for label, booster in enumerate(self.boosters)
        }
        return {**trees, "weights": self.weights}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Load a ``state``.

        Raises
        ------
        ValueError
            A name does not belong to this model.
        """
        expected = [*(f"booster_{label}" for label in range(len(state) - 1)), "weights"]
        if sorted(state) != sorted(expected):
            raise ValueError(f"state of Gbdt: expected {expected}, got {sorted(state)}")
        self.num_labels = max(1, len(state) - 1)
        self.boosters, self.weights = [], state["weights"]
        for name in expected[:-1]:
            booster = xgboost.Booster()
            booster.load_model(bytearray(state[name].tobytes()))
            self.boosters.append(booster)

    @property
    def num_parameters(self) -> int:
        """Number of leaf values and split thresholds."""
        dumps = (tree for booster in self.boosters for tree in booster.get_dump())
        return sum(len(tree.splitlines()) for tree in dumps)

    def _parameters(self, label: int, rng: np.random.Generator) -> dict[str, Any]:
        return {
            "objective": "binary:logistic",
            "eval_metric": "auc",
            "tree_method": "hist",
            "max_depth": self.depth,
            "eta": self.learning_rate,
            "scale_pos_weight": float(self.weights[label]),
            # The weighted classes are balanced.
            "base_score": 0.5,
            # The CPUs of this process; XGBoost would use all of the machine's.
            "nthread": torch.get_num_threads(),
            "seed": int(rng.integers(2**31)),
        }

    def _projection(self, label: int, tree: int) -> NDArray[np.float32]:
        """Projection of every possible leaf node of a tree, ``(nodes, dim)``."""
        rng = np.random.default_rng([self.projection_seed, label, tree])
        table = rng.standard_normal((2 ** (self.depth + 1), self.dim), dtype=np.float32)
        return table / np.float32(np.sqrt(self.dim))


def _weight(label: NDArray[np.float32]) -> float:
    """Ratio of negatives to positives over all workers.

    Raises
    ------
    ValueError
        The label is always 0 or always 1.
    """
    counts = np.array([label.sum(), len(label)], np.float64)
    positives, total = xgboost.collective.allreduce(counts, xgboost.collective.Op.SUM)
    if not 0 < positives < total:
        msg = f"gbdt: train labels must be of both classes, got {positives:.0f} positives"
        raise ValueError(f"{msg} of {total:.0f}")
    return float((total - positives) / positives)
