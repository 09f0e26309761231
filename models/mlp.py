"""The multilayer perceptron on history statistics and content.

Shape letters: B events, D dimensions of the representation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.blocks.defenses import Representation, Strengths
from models.blocks.layers import ItemEmbedding, Residual, dense
from models.blocks.privacy import Privacy, Unit
from models.defended import Defended
from models.network import TensorBatch


class Mlp(Defended):
    """Dense layers over 21 aggregates, item embeddings and 5 content and context columns.

    The released vector is the input of the last linear layer, after its LayerNorm: ``(B, dim)``.
    With a bottleneck it is the mean of that input, without LayerNorm.

    Parameters
    ----------
    width
        Units of each of the first ``depth`` layers; one of half the width and a residual block
        follow.
    depth
        Number of layers of full width, at least 1.
    widths
        Units of each layer, instead of ``width``, ``depth`` and the residual block.
    dim
        Dimensions of the representation.
    dropout
        Dropout rate after each layer, in [0, 1).
    noise
        Standard deviation of Gaussian noise on the representation while training, relative to the
        gain of its LayerNorm; 0: none. The vectors are released without it.
    bottleneck
        Weight of the KL term of a variational information bottleneck, per event in nats: the
        head reads a draw from a Gaussian, whose mean is released; 0: none. Not together with
        ``noise``.
    adversarial
        Strength of the reversed gradient of a head that names the event's user among the users
        of the fit; 0: none. The head is not part of the state nor of ``num_parameters``.
    dp
        Unit of differentially private training, ``example`` or ``user``; ``none``: off. It
        protects membership in the training data, not the vector computed from a user's own input.
        Not together with ``adversarial``.
    max_grad_norm
        Largest norm of a unit's gradient, for ``dp``.
    noise_multiplier, epsilon
        Noise relative to ``max_grad_norm``, or the epsilon it must reach; ``dp`` needs one of them.
    delta
        Of the guarantee of ``dp``; below 1 / units.

    References
    ----------
    Noise: Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", 1995.
    Bottleneck: Alemi et al., "Deep Variational Information Bottleneck", ICLR 2017.
    Adversarial: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016.
    Private: Abadi et al., "Deep Learning with Differential Privacy", CCS 2016; per user: McMahan et
    al., "Learning Differentially Private Recurrent Language Models", ICLR 2018.
    """

    num_aggregates = 21
    num_continuous = 5
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "width": ("choice", 128, 256, 512),
        "depth": ("choice", 2, 3, 4),
        "dropout": ("uniform", 0.0, 0.5),
    }

    def __init__(  # noqa: PLR0913  # each is a setting in the suite file
        self,
        *,
        width: int = 256,
        depth: int = 3,
        widths: tuple[int, ...] | None = None,
        dim: int = 64,
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
        if min(width // 2, depth, dim) < 1:
            msg = f"mlp: width must be >= 2, depth and dim >= 1, got {width}, {depth}, {dim}"
            raise ValueError(msg)
        if widths is not None and min(widths, default=0) < 1:
            raise ValueError(f"mlp: widths must be one or more numbers >= 1, got {list(widths)}")
        strengths = Strengths(noise, bottleneck, adversarial)
        strengths.check("mlp")
        privacy = Privacy(dp, max_grad_norm, noise_multiplier, epsilon, delta)
        privacy.check("mlp", adversarial)
        super().__init__(strengths, privacy)
        self.item = ItemEmbedding()
        num_inputs = self.num_aggregates + self.item.num_outputs + self.num_continuous
        stack = widths or (*[width] * depth, width // 2)
        self.trunk = nn.Sequential(
            *(dense(before, after, dropout) for before, after in pairwise([num_inputs, *stack])),
            *([] if widths else [Residual(stack[-1], dropout)]),
        )
        self.representation = Representation(stack[-1], dim, strengths)
        self.output = nn.Linear(dim, self.num_labels)

    def forward(self, batch: TensorBatch) -> tuple[Tensor, ...]:
        """Representation ``(B, D)``, logits ``(B, num_labels)``; see ``Network.forward``."""
        inputs = [
            batch.aggregates[:, : self.num_aggregates][batch.user_row],
            self.item(batch.categorical),
            batch.continuous[:, : self.num_continuous],
        ]
        return self.outputs(self.trunk(torch.cat(inputs, dim=1)), batch)
