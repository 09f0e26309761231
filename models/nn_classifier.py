"""The multi-task classifier: one trunk, a logit for every label.

Shape letters: B events, F wide features, L labels, K members, D dimensions of the representation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.base import NUM_CATEGORIES, NUM_TYPES, Batch
from models.blocks.normalizers import Normalizer, Transform
from models.network import Network, TensorBatch

PUBLISHED = (
    (400, 800, 500, 250, 100),
    (500, 900, 600, 250, 100),
    (512, 1024, 500, 250, 100),
)
"""Widths of the blocks of the three networks of the source document D2."""


class NnClassifier(Network):
    """Feed-forward blocks over history statistics, item, context and wide features.

    The numbers pass a normalizer, category and type are indicators. Every block is a linear layer,
    ReLU and dropout; one more linear layer gives a logit for each label of the data. The released
    vector is the input of that layer, ``(B, 100)`` with the published widths; that of an ensemble
    is its members' vectors side by side, and its logit is the mean of theirs.

    Parameters
    ----------
    widths
        Units of each block, for every member of the ensemble in turn; one member is none.
    dropout
        Share of units left out after each block while training, in [0, 1).
    normalizer
        ``log1p``, ``standardize``, ``min_max`` or ``yeo_johnson``.
    labels
        ``all`` of the data, or ``engaged`` alone: the same network without the other tasks, to see
        what these add.

    References
    ----------
    Volkovs et al., "User Engagement Modeling with Deep Learning and Language Models", RecSys
    Challenge 2021: the project's source document D2, which the widths, the dropout rates and the
    choice of log1p are from.
    """

    uses_wide = True
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "widths": ("choice", *((widths,) for widths in PUBLISHED)),
        "dropout": ("choice", (0.1,) * 5, (0.2,) * 5, (0.3,) * 5),
        "normalizer": ("choice", "log1p", "standardize", "min_max", "yeo_johnson"),
    }

    def __init__(
        self,
        *,
        widths: tuple[tuple[int, ...], ...] = (PUBLISHED[2],),
        dropout: tuple[float, ...] = (0.3, 0.3, 0.2, 0.2, 0.1),
        normalizer: Transform = "log1p",
        labels: Literal["all", "engaged"] = "all",
    ) -> None:
        if not widths or min((min(stack, default=0) for stack in widths), default=0) < 1:
            raise ValueError(f"nn_classifier: widths must be lists of numbers >= 1, got {widths}")
        if any(len(stack) != len(dropout) for stack in widths):
            msg = f"nn_classifier: dropout must have a rate for each block, got {dropout}"
            raise ValueError(f"{msg} for {widths}")
        super().__init__()
        self.widths = widths
        self.dropout = dropout
        self.labels = labels
        self.normalizer = Normalizer(normalizer, 0)
        self.members = nn.ModuleList()
        self._resize(num_wide=0, num_labels=1)

    def adapt(self, train: Batch) -> None:
        """Make an input for every wide feature and an output for every label; fit the scales."""
        num_labels = train.labels.shape[1] if self.labels == "all" else 1
        self._resize(num_wide=train.wide.shape[1], num_labels=num_labels)
        self.normalizer.fit(
            np.concatenate([train.aggregates[train.user_row], train.continuous, train.wide], axis=1)
        )

    def forward(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Representation ``(B, D)`` and logits ``(B, L)``; ``(K, B, L)`` while members train."""
        inputs = self.inputs(batch)
        vectors = [member[0](inputs) for member in self.members]  # type: ignore[index]
        found = [
            member[1](vector)  # type: ignore[index]
            for member, vector in zip(self.members, vectors, strict=True)
        ]
        logits = torch.stack(found) if len(found) > 1 else found[0]
        if len(found) > 1 and not self.training:
            logits = logits.mean(dim=0)
        return torch.cat(vectors, dim=1), logits

    def logits(self, vectors: Tensor) -> Tensor:
        """Mean of the members' logits: ``(n, D) -> (n, L)``."""
        widths = [member[1].in_features for member in self.members]  # type: ignore[index]
        parts = torch.split(vectors, widths, dim=1)
        found = [
            member[1](part)  # type: ignore[index]
            for member, part in zip(self.members, parts, strict=True)
        ]
        return torch.stack(found).mean(dim=0)

    def inputs(self, batch: TensorBatch) -> Tensor:
        """Lay all that the blocks see side by side, a row per event."""
        numbers = [batch.aggregates[batch.user_row], batch.continuous, batch.wide]
        category, item_type = batch.categorical.unbind(1)
        scaled = self.normalizer(torch.cat(numbers, dim=1))
        indicators = [F.one_hot(category, NUM_CATEGORIES), F.one_hot(item_type, NUM_TYPES)]
        return torch.cat([scaled, *(shown.to(scaled.dtype) for shown in indicators)], dim=1)

    @property
    def num_extra(self) -> int:
        """Columns that ``inputs`` has besides the numbers and the indicators."""
        return 0

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned, and with it the sizes of that model's data."""
        fill, bias = state.get("normalizer.fill"), state.get("members.0.1.bias")
        if fill is not None and bias is not None:
            self._resize(num_wide=len(fill) - self._num_narrow, num_labels=len(bias))
        super().load_state(state)

    @property
    def _num_narrow(self) -> int:
        return self.num_aggregates + self.num_continuous

    def _resize(self, *, num_wide: int, num_labels: int) -> None:
        """Make all layers anew for so many wide features and labels."""
        self.num_labels = num_labels
        num_numbers = self._num_narrow + num_wide
        num_inputs = num_numbers + NUM_CATEGORIES + NUM_TYPES + self.num_extra
        self.normalizer = Normalizer(self.normalizer.transform, num_numbers)
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Sequential(
                    *(
                        nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(rate))
                        for (before, after), rate in zip(
                            pairwise([num_inputs, *stack]), self.dropout, strict=True
                        )
                    )
                ),
                nn.Linear(stack[-1], num_labels),
            )
            for stack in self.widths
        )
