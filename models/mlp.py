"""The multilayer perceptron on history statistics and content.

Shape letters: B events, D dimensions of the representation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.blocks.layers import ItemEmbedding, Residual, dense
from models.network import Network, TensorBatch


class Mlp(Network):
    """Dense layers over 21 aggregates, item embeddings and 5 content and context columns.

    The released vector is the input of the last linear layer, after its LayerNorm: ``(B, dim)``.

    Parameters
    ----------
    width
        Units of each of the ``depth`` first layers; one of half the width and a residual block
        follow.
    depth
        Layers of full width, at least 1.
    widths
        Units of each layer in turn, in place of ``width``, ``depth`` and the residual block.
    dim
        Dimensions of the representation.
    dropout
        Share of units left out after each layer while training, in [0, 1).
    """

    num_aggregates = 21
    num_continuous = 5
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "width": ("choice", 128, 256, 512),
        "depth": ("choice", 2, 3, 4),
        "dropout": ("uniform", 0.0, 0.5),
    }

    def __init__(
        self,
        *,
        width: int = 256,
        depth: int = 3,
        widths: tuple[int, ...] | None = None,
        dim: int = 64,
        dropout: float = 0.2,
    ) -> None:
        if min(width // 2, depth, dim) < 1:
            msg = f"mlp: width must be >= 2, depth and dim >= 1, got {width}, {depth}, {dim}"
            raise ValueError(msg)
        if widths is not None and min(widths, default=0) < 1:
            raise ValueError(f"mlp: widths must be one or more numbers >= 1, got {list(widths)}")
        super().__init__()
        self.item = ItemEmbedding()
        num_inputs = self.num_aggregates + self.item.num_outputs + self.num_continuous
        stack = widths or (*[width] * depth, width // 2)
        self.trunk = nn.Sequential(
            *(dense(before, after, dropout) for before, after in pairwise([num_inputs, *stack])),
            *([] if widths else [Residual(stack[-1], dropout)]),
            nn.Linear(stack[-1], dim),
            nn.LayerNorm(dim),
        )
        self.output = nn.Linear(dim, self.num_labels)

    def forward(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Representation ``(B, D)`` and logits ``(B, num_labels)``."""
        inputs = [
            batch.aggregates[:, : self.num_aggregates][batch.user_row],
            self.item(batch.categorical),
            batch.continuous[:, : self.num_continuous],
        ]
        vectors = self.trunk(torch.cat(inputs, dim=1))
        return vectors, self.logits(vectors)

    def logits(self, vectors: Tensor) -> Tensor:
        """Logits of vectors: ``(n, D) -> (n, num_labels)``."""
        logits: Tensor = self.output(vectors)
        return logits
