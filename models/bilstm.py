"""The sequence model: a bidirectional LSTM with self-attention over the history.

Shape letters: U distinct histories, B events, T history steps, C channels or units per step,
D dimensions of the representation.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.blocks.defenses import Representation, Strengths
from models.blocks.layers import ItemEmbedding, Residual, dense, repeat_rows
from models.blocks.privacy import Privacy, Unit
from models.defended import Defended
from models.network import TensorBatch


class BidirectionalLstm(nn.Module):
    """LSTM layers that read each history forward, and backward from its own last step.

    ``nn.LSTM(bidirectional=True)`` would start the backward pass in the padding; a packed sequence
    would not, but is several times slower. Here the steps are reversed within each history's
    length, so that padding comes last in both directions and affects no state.
    """

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        widths = [num_inputs] + [2 * hidden] * (num_layers - 1)
        self.ahead = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.back = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.hidden = hidden

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Encode left-aligned steps.

        Parameters
        ----------
        steps : (U, T, C)
            Padded steps may have any finite value.
        mask : (U, T)
            True if the step exists.

        Returns
        -------
        Tensor
            ``(U, T, 2 hidden)``, 0 at padded steps.
        """
        step = torch.arange(mask.shape[1], device=mask.device)
        length = mask.sum(dim=1, keepdim=True)
        mirrored = torch.where(mask, length - 1 - step, step).unsqueeze(2)
        padded = ~mask.unsqueeze(2)
        # The LSTM's own zeros would not be batched under torch.func.vmap.
        zeros = steps.new_zeros(1, len(steps), self.hidden)
        start = (zeros, zeros)
        for layer, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            if layer:
                steps = self.dropout(steps)
            forward, _ = ahead(steps, start)
            backward, _ = back(steps.gather(1, mirrored.expand_as(steps)), start)
            backward = backward.gather(1, mirrored.expand_as(backward))
            steps = torch.cat([forward, backward], dim=2).masked_fill(padded, 0.0)
        return steps


class Bilstm(Defended):
    """BiLSTM with self-attention over the last 50 steps, beside all 27 aggregates and content.

    Each of the U histories of a batch is encoded once; all of its events share the code. A history
    without steps has the code 0. The released vector is the input of the last linear layer, after
    its LayerNorm: ``(B, dim)``. With a bottleneck it is the mean of that input, without LayerNorm.

    Parameters
    ----------
    hidden
        Units of the LSTM in each direction.
    num_layers
        Number of LSTM layers.
    heads
        Number of heads of the self-attention; divides ``2 * hidden``.
    width
        Units of the dense layers over the history's code and the other inputs.
    dim
        Dimensions of the representation.
    lstm_dropout
        Dropout rate between LSTM layers, in [0, 1).
    dropout
        Dropout rate after each dense layer, in [0, 1).
    noise, bottleneck, adversarial
        Training-time defenses, as in ``mlp``.
    dp, max_grad_norm, noise_multiplier, epsilon, delta
        Differentially private training, as in ``mlp``.
    """

    uses_sequence = True
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "hidden": ("choice", 64, 128, 256),
        "width": ("choice", 128, 256, 512),
        "lstm_dropout": ("uniform", 0.0, 0.5),
        "dropout": ("uniform", 0.0, 0.5),
    }

    def __init__(  # noqa: PLR0913  # each is a setting in the suite file
        self,
        *,
        hidden: int = 128,
        num_layers: int = 2,
        heads: int = 4,
        width: int = 256,
        dim: int = 64,
        lstm_dropout: float = 0.15,
        dropout: float = 0.2,
        noise: float = 0.0,
        bottleneck: float = 0.0,
        adversarial: float = 0.0,
        dp: Unit = "none",
        max_grad_norm: float = 1.0,
        noise_multiplier: float | None = None,
        epsilon: float | None = None,
        delta: float = 1e-5,
    ) -> None:
        sizes = {
            "hidden": hidden,
            "num_layers": num_layers,
            "heads": heads,
            "width": width,
            "dim": dim,
        }
        for name, size in sizes.items():
            if size < 1:
                msg = f"bilstm: {name} must be >= 1, got {size}"
                raise ValueError(msg)
        if 2 * hidden % heads:
            msg = f"bilstm: heads must divide 2 * hidden = {2 * hidden}, got {heads}"
            raise ValueError(msg)
        strengths = Strengths(noise, bottleneck, adversarial)
        strengths.check("bilstm")
        privacy = Privacy(dp, max_grad_norm, noise_multiplier, epsilon, delta)
        privacy.check("bilstm", adversarial)
        super().__init__(strengths, privacy)
        self.step = nn.Sequential(nn.Linear(2, 64), nn.LayerNorm(64), nn.SiLU())
        self.lstm = BidirectionalLstm(64, hidden, num_layers, lstm_dropout)
        self.attention = nn.MultiheadAttention(2 * hidden, heads, batch_first=True)
        self.norm = nn.LayerNorm(2 * hidden)
        self.item = ItemEmbedding()
        num_inputs = 2 * hidden + self.num_aggregates + self.item.num_outputs + self.num_continuous
        self.trunk = nn.Sequential(
            dense(num_inputs, width, dropout),
            Residual(width, dropout),
        )
        self.representation = Representation(width, dim, strengths)
        self.output = nn.Linear(dim, self.num_labels)

    def encode(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """Code of each history, ``(U, 2 hidden)``, from ``(U, T, 2)`` and ``(U, T)``."""
        steps = self.lstm(self.step(sequence), mask)
        # Attention without any key is 0/0 in some of torch's kernels: an empty history attends to
        # its first step, which is 0 and which the mean below excludes.
        ignored = ~mask
        ignored[:, 0] = False
        attended, _ = self.attention(
            steps, steps, steps, key_padding_mask=ignored, need_weights=False
        )
        present = mask.unsqueeze(2)
        total = self.norm(attended).masked_fill(~present, 0.0).sum(dim=1)
        return total / present.sum(dim=1).clamp(min=1)  # type: ignore[no-any-return]

    def forward(self, batch: TensorBatch) -> tuple[Tensor, ...]:
        """Representation ``(B, D)``, logits ``(B, num_labels)``; see ``Network.forward``."""
        code = self.encode(batch.sequence, batch.mask)
        user = torch.cat([code, batch.aggregates[:, : self.num_aggregates]], dim=1)
        inputs = [
            repeat_rows(user, batch.user_row),
            self.item(batch.categorical),
            batch.continuous[:, : self.num_continuous],
        ]
        return self.outputs(self.trunk(torch.cat(inputs, dim=1)), batch)
