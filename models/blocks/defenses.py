"""Training-time defenses of a representation: noise, a bottleneck, an adversary.

Shape letters: B events, D dimensions of the representation, N users of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST_USERS = 100_000
"""Largest user head: 0.2 GiB of logits for a batch of 512 events."""

LOG_VARIANCE_OFFSET = 4.0
"""Subtracted from the log-variances, so that training starts at a standard deviation of 0.14."""


@dataclass(frozen=True)
class Strengths:
    """Strengths of the training-time defenses; 0 switches one off.

    Attributes
    ----------
    noise
        Standard deviation of Gaussian noise on each coordinate, relative to the gain of the
        representation's LayerNorm: at 1 noise and signal have equal variance.
    bottleneck
        Weight of the KL divergence from the standard normal distribution, per event in nats.
    adversarial
        Factor of the reversed gradient of the user head.
    """

    noise: float = 0.0
    bottleneck: float = 0.0
    adversarial: float = 0.0

    def check(self, model: str) -> None:
        """Check the strengths.

        Raises
        ------
        ValueError
            A strength is negative or not finite, or noise and bottleneck are both on.
        """
        for name, strength in vars(self).items():
            if not 0 <= strength < float("inf"):
                raise ValueError(f"{model}: {name} must be >= 0 and finite, got {strength}")
        if self.noise and self.bottleneck:
            msg = f"got {self.noise} and {self.bottleneck}; the bottleneck learns its own noise"
            raise ValueError(f"{model}: only one of noise and bottleneck may be above 0, {msg}")


class Representation(nn.Module):
    """Last hidden layer of a network: a linear layer and LayerNorm, whose output is released.

    With a bottleneck the linear layer gives a mean and a log-variance for each dimension, and the
    mean is released. No LayerNorm follows: all means would have the same length, so that the
    divergence could not differ between events.
    """

    def __init__(self, num_inputs: int, dim: int, strengths: Strengths) -> None:
        super().__init__()
        self.strengths = strengths
        bottleneck = strengths.bottleneck > 0
        self.linear = nn.Linear(num_inputs, 2 * dim if bottleneck else dim)
        self.norm = None if bottleneck else nn.LayerNorm(dim)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Map ``(B, num_inputs)`` to the released vectors and to those that the head reads.

        Returns
        -------
        released : (B, D)
            Without noise.
        read : (B, D)
            With noise while training, otherwise the same.
        penalty : (B,) or None
            To be added to the loss.
        """
        vectors: Tensor = self.linear(inputs)
        if self.norm is None:
            return self._bottleneck(vectors)
        vectors = self.norm(vectors)
        if self.strengths.noise and self.training:
            spread = self.strengths.noise * self.norm.weight
            return vectors, vectors + spread * torch.randn_like(vectors), None
        return vectors, vectors, None

    def _bottleneck(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        mean, log_variance = parameters.chunk(2, dim=1)
        if not self.training:
            return mean, mean, None
        log_variance = log_variance - LOG_VARIANCE_OFFSET
        drawn = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return mean, drawn, self.strengths.bottleneck * divergence(mean, log_variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of Gaussians from the standard normal, ``(B,)``, in nats.

    Parameters
    ----------
    mean, log_variance : (B, D)
        Of independent Gaussians.
    """
    # A sum of so many terms is not accurate in bfloat16.
    precise = torch.promote_types(mean.dtype, torch.float32)
    mean, log_variance = mean.to(precise), log_variance.to(precise)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


class Adversary(nn.Module):
    """User head trained to name a vector's user, through a reversed gradient.

    The head minimizes its cross entropy; the network below maximizes it.

    Parameters
    ----------
    dim
        D.
    num_users
        N.
    strength
        Factor of the reversed gradient.
    """

    def __init__(self, dim: int, num_users: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.head = nn.Sequential(nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, num_users))

    def forward(self, vectors: Tensor, user: Tensor) -> Tensor:
        """Cross entropy ``(B,)`` in nats.

        Parameters
        ----------
        vectors : (B, D)
            As released.
        user : (B,)
            In [0, N); -1 gives 0.
        """
        logits = self.head(reverse(vectors, self.strength))
        return F.cross_entropy(logits, user, ignore_index=-1, reduction="none")


def reverse(values: Tensor, strength: float) -> Tensor:
    """Identity whose gradient is multiplied by ``-strength``."""
    reversed_: Tensor = _Reversed.apply(values, strength)  # type: ignore[no-untyped-call]
    return reversed_


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None
