"""The multi-task classifier: one trunk with a logit per label.

Shape letters: B events, F wide features, L labels, K members, D dimensions of the representation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
"""Widths of the blocks of the three networks in Volkovs et al."""


class NnClassifier(Network):
    """Feed-forward blocks on aggregates, item, context and wide features.

    Numeric inputs are normalized, category and type are one-hot. Each block is a linear layer, ReLU
    and dropout; a last linear layer computes a logit for each label of the data. The released
    vector is the input of that layer, ``(B, 100)`` with the published widths. An ensemble releases
    the concatenation of its members' vectors; its logit is the mean of theirs.

    Parameters
    ----------
    widths
        Units of each block, for each member of the ensemble; one member is a single network.
    dropout
        Dropout rate after each block, in [0, 1).
    normalizer
        ``log1p``, ``standardize``, ``min_max`` or ``yeo_johnson``.
    labels
        ``all`` of the data, or ``engaged`` only: the same network without the other tasks, as a
        control.

    References
    ----------
    Volkovs et al., "User Engagement Modeling with Deep Learning and Language Models", RecSys
    Challenge 2021, the source of the widths, the dropout rates and the choice of log1p.
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
        """Size the inputs and outputs for the wide features and labels; fit the normalizer."""
        num_labels = train.labels.shape[1] if self.labels == "all" else 1
        self._resize(num_wide=train.wide.shape[1], num_labels=num_labels)
        self.normalizer.fit(
            np.concatenate([train.aggregates[train.user_row], train.continuous, train.wide], axis=1)
        )

    def forward(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Representation ``(B, D)`` and logits ``(B, L)``; ``(K, B, L)`` in training mode."""
        inputs = self.inputs(batch)
        vectors = [hidden(inputs) for hidden, _ in self._layers()]
        per_member = self._per_member(vectors)
        several = self.training and len(vectors) > 1
        return torch.cat(vectors, dim=1), per_member if several else per_member.mean(dim=0)

    def logits(self, vectors: Tensor) -> Tensor:
        """Mean of the members' logits: ``(n, D) -> (n, L)``."""
        of_members = torch.split(vectors, [stack[-1] for stack in self.widths], dim=1)
        return self._per_member(of_members).mean(dim=0)

    def _per_member(self, vectors: Sequence[Tensor]) -> Tensor:
        """Logits ``(K, n, L)`` of each member's own vectors."""
        outputs = (output for _, output in self._layers())
        return torch.stack([output(own) for output, own in zip(outputs, vectors, strict=True)])

    def _layers(self) -> Iterator[tuple[nn.Module, nn.Module]]:
        """Yield the hidden layers and the output layer of each member."""
        for member in self.members:
            hidden, output = member.children()
            yield hidden, output

    def inputs(self, batch: TensorBatch) -> Tensor:
        """Concatenate all inputs of the blocks, one row per event."""
        numbers = [batch.aggregates[batch.user_row], batch.continuous, batch.wide]
        category, item_type = batch.categorical.unbind(1)
        scaled = self.normalizer(torch.cat(numbers, dim=1))
        indicators = [F.one_hot(category, NUM_CATEGORIES), F.one_hot(item_type, NUM_TYPES)]
        return torch.cat([scaled, *(one_hot.to(scaled.dtype) for one_hot in indicators)], dim=1)

    @property
    def num_extra(self) -> int:
        """Number of columns of ``inputs`` besides the numbers and the indicators."""
        return 0

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Load a ``state``, with the sizes of that model's data."""
        fill, bias = state.get("normalizer.fill"), state.get("members.0.1.bias")
        if fill is not None and bias is not None:
            self._resize(num_wide=len(fill) - self._num_narrow, num_labels=len(bias))
        super().load_state(state)

    @property
    def _num_narrow(self) -> int:
        return self.num_aggregates + self.num_continuous

    def _resize(self, *, num_wide: int, num_labels: int) -> None:
        """Create all layers anew for the numbers of wide features and labels."""
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
