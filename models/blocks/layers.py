"""Layers that several networks share.

Shape letters: B events, U distinct rows that serve them, D dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import NUM_CATEGORIES, NUM_TYPES


def dense(num_inputs: int, num_outputs: int, dropout: float) -> nn.Sequential:
    """Linear layer, LayerNorm, SiLU and dropout."""
    return nn.Sequential(
        nn.Linear(num_inputs, num_outputs),
        nn.LayerNorm(num_outputs),
        nn.SiLU(),
        nn.Dropout(dropout),
    )


def repeat_rows(rows: Tensor, row: Tensor) -> Tensor:
    """Give each event its row, ``(U, D), (B,) -> (B, D)``, as ``rows[row]`` does.

    The gradient of ``rows[row]`` is added up by several CPU threads in an order of chance, so that
    a fit would not repeat itself bit by bit; that of an embedding has one order.
    """
    return F.embedding(row, rows)


class Residual(nn.Module):
    """A dense layer whose input is added to its output."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = dense(width, width, dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(B, width)`` to ``(B, width)``."""
        return inputs + self.dense(inputs)  # type: ignore[no-any-return]


class ItemEmbedding(nn.Module):
    """Learned vectors of an item's category and type, concatenated."""

    num_outputs = 32

    def __init__(self) -> None:
        super().__init__()
        self.category = nn.Embedding(NUM_CATEGORIES, 16)
        self.item_type = nn.Embedding(NUM_TYPES, 16)

    def forward(self, categorical: Tensor) -> Tensor:
        """Map ids ``(B, 2)`` to ``(B, 32)``."""
        category, item_type = categorical.unbind(1)
        return torch.cat([self.category(category), self.item_type(item_type)], dim=1)
