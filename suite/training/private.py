"""Differentially private training: Poisson samples, clipped gradients of units, noise.

The gradients come from ``torch.func``: Opacus has no rule for ``nn.LSTM``, nor for units of
several events, and its samplers do not know users. Its accountant is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.blocks.privacy import Privacy
from models.network import Network, TensorBatch, tensors
from suite.artifacts.features import Features
from suite.training import batches, seeds
from suite.training.accounting import Guarantee, guarantee
from suite.training.settings import Training

Rows = NDArray[np.int64]

BYTES_AT_ONCE = 2**27
"""Memory of the units' gradients that are computed together."""

PER_HISTORY = ("aggregates", "sequence", "mask")
PER_EVENT = ("categorical", "continuous", "labels", "wide", "text_row")

SAMPLES, NOISE = 1, 2
"""Random streams of an epoch, beside those of its batches and its dropout."""


@dataclass(frozen=True)
class DpSgd:
    """Steps of private training.

    Each step samples every unit independently with probability ``1 / steps_per_epoch``, clips the
    gradient of each sampled unit's mean loss, and divides the noisy sum by the expected number of
    sampled units, which does not depend on the sample.

    Attributes
    ----------
    units
        Rows of each unit's events in ``Features.events``.
    steps_per_epoch
        As many as without privacy.
    max_grad_norm
        Largest norm of a unit's gradient.
    noise_multiplier
        Standard deviation of the noise relative to it.
    seed
        Of samples and noise. Whoever knows it can subtract the noise: this measures what private
        training does, a deployment would draw from a secure source.
    """

    units: list[Rows]
    steps_per_epoch: int
    max_grad_norm: float
    noise_multiplier: float
    seed: int

    def samples(self, epoch: int) -> Iterator[list[Rows]]:
        """Units of each step of an epoch; a step may have none."""
        rng = np.random.default_rng(seeds.sequence(self.seed, epoch, 0, SAMPLES))
        for _ in range(self.steps_per_epoch):
            sampled = np.flatnonzero(rng.random(len(self.units)) < 1 / self.steps_per_epoch)
            yield [self.units[number] for number in sampled]

    def steps(
        self,
        network: Network,
        features: Features,
        weight: Tensor,
        epoch: int,
        rank: int,
        world_size: int,
    ) -> Iterator[tuple[float, int]]:
        """Leave the noisy gradient of each step of an epoch in the network.

        The workers share the units of a step, sum their clipped gradients and add the same noise.

        Yields
        ------
        loss
            Sum of the sampled units' mean losses, without noise.
        size
            How many there are.
        """
        entropy = seeds.sequence(self.seed, epoch, 0, NOISE)
        noise = torch.Generator().manual_seed(int(entropy.generate_state(1)[0]))
        expected = len(self.units) / self.steps_per_epoch
        for sampled in self.samples(epoch):
            mine = sampled[rank::world_size]
            total = torch.cat(
                clipped_sum(network, features, mine, weight, self.max_grad_norm)
            ).cpu()
            if world_size > 1:
                distributed.all_reduce(total)
            gradient, loss = total[:-1], total[-1]
            spread = self.noise_multiplier * self.max_grad_norm
            drawn = torch.randn(len(gradient), generator=noise, dtype=gradient.dtype)
            _assign(network, (gradient + spread * drawn) / expected)
            yield float(loss), len(sampled)


def dp_sgd(network: Network, features: Features, training: Training, seed: int) -> DpSgd | None:
    """Private steps of a network's training, None if it is not private."""
    found = guaranteed(network, features, training)
    if found is None:
        return None
    assert network.privacy is not None
    return DpSgd(
        units=units(features, network.privacy.unit),
        steps_per_epoch=round(1 / found.sample_rate),
        max_grad_norm=network.privacy.max_grad_norm,
        noise_multiplier=found.noise_multiplier,
        seed=seed,
    )


def guaranteed(network: Network, features: Features, training: Training) -> Guarantee | None:
    """Guarantee of a whole training, None if it is not private.

    Raises
    ------
    ValueError
        Delta is not below 1 / units, or a setting does not go with private training.
    """
    privacy = network.privacy
    if not privacy:
        return None
    for name, allowed in (("finetune_epochs", [0]), ("precision", ["float32", "float64"])):
        if (value := getattr(training, name)) not in allowed:
            listed = ", ".join(map(str, allowed))
            raise ValueError(f"training.{name}: found {value}, allowed with dp: {listed}")
    number = len(units(features, privacy.unit))
    if privacy.delta * number >= 1:
        msg = f"found {privacy.delta}, allowed: below 1 / {number:,} {privacy.unit}s"
        raise ValueError(f"{type(network).__name__.lower()}: delta: {msg}")
    return _guarantee(privacy, features, training)


def _guarantee(privacy: Privacy, features: Features, training: Training) -> Guarantee:
    steps = len(
        batches.training_batches(
            features, seed=0, epoch=0, size=training.batch_size, cap=training.user_cap
        )
    )
    largest = max(len(rows) for rows in units(features, "user"))
    return guarantee(
        privacy,
        sample_rate=1 / steps,
        steps=steps * training.epochs,
        group_size=largest if privacy.unit == "example" else 1,
    )


def units(features: Features, unit: str) -> list[Rows]:
    """Rows of each unit's events: one event, or all train events of a trained user."""
    rows = batches.rows(features, "train", trained=True)
    if unit == "example":
        return np.split(rows, np.arange(1, len(rows)))
    history = features.events["row"].to_numpy()[rows]
    order = np.argsort(history, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(history[order])) + 1)


def clipped_sum(
    network: Network, features: Features, sampled: list[Rows], weight: Tensor, bound: float
) -> tuple[Tensor, Tensor]:
    """Sum of the clipped gradients of units, and of their losses.

    Parameters
    ----------
    network
        P parameters, in training mode.
    features
        Events of the units.
    sampled
        Rows of each unit; all events of a unit have the same history.
    weight : (num_labels,)
        Positive weights.
    bound
        Largest norm of a unit's gradient.

    Returns
    -------
    total : (P,)
        In the order of ``network.parameters()``.
    loss : (1,)
        Sum of the units' mean losses.
    """
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    total, loss = weight.new_zeros(num_parameters), weight.new_zeros(1)
    for piece in _pieces(sampled, BYTES_AT_ONCE // (total.element_size() * num_parameters)):
        rows = np.concatenate(piece)
        batch = tensors(batches.gather(features, rows), weight.device, weight.dtype)
        sizes = torch.tensor([len(unit) for unit in piece])
        place = torch.full((len(piece), int(sizes.max())), -1)
        place[torch.arange(place.shape[1]) < sizes[:, None]] = torch.arange(len(rows))
        found, losses = clipped(network, batch, place.to(weight.device), weight, bound)
        total += found
        loss += losses
    return total, loss


def _pieces(sampled: list[Rows], most: int) -> Iterator[list[Rows]]:
    """Split units into pieces of similar size, which are padded to their largest."""
    piece: list[Rows] = []
    for unit in sorted(sampled, key=len):
        full = len(piece) >= most or (len(piece) + 1) * len(unit) > batches.EVENTS_AT_ONCE
        if piece and full:
            yield piece
            piece = []
        piece.append(unit)
    if piece:
        yield piece


def clipped(
    network: Network, batch: TensorBatch, place: Tensor, weight: Tensor, bound: float
) -> tuple[Tensor, Tensor]:
    """Sum of the clipped gradients of units that are computed together.

    Parameters
    ----------
    network
        P parameters, in training mode.
    batch
        Events of all units.
    place : (u, m)
        Position of each unit's events in the batch, -1 as padding at the end.
    weight : (num_labels,)
        Positive weights.
    bound
        Largest norm of a unit's gradient.

    Returns
    -------
    total : (P,)
        In the order of ``network.parameters()``.
    loss : ()
        Sum of the units' mean losses.
    """
    own = {name: getattr(batch, name)[batch.user_row[place[:, :1]]] for name in PER_HISTORY}
    own |= {name: getattr(batch, name)[place.clamp(min=0)] for name in PER_EVENT}
    only = torch.zeros_like(place[0])

    def mean_loss(parameters: dict[str, Tensor], own: dict[str, Tensor], real: Tensor) -> Tensor:
        unit = replace(batch, user_row=only, **own)
        _, logits, *penalties = functional_call(network, parameters, (unit,))
        entropy = F.binary_cross_entropy_with_logits(
            logits, unit.labels[:, : logits.shape[-1]], pos_weight=weight, reduction="none"
        )
        losses: Tensor = sum(penalties, start=entropy.sum(dim=-1))
        return (losses * real).sum() / real.sum()

    each = vmap(grad_and_value(mean_loss), in_dims=(None, 0, 0), randomness="different")
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    with _vmappable():
        gradients, losses = each(parameters, own, place >= 0)
    flat = torch.cat([gradient.flatten(start_dim=1) for gradient in gradients.values()], dim=1)
    factor = bound / torch.linalg.vector_norm(flat, dim=1).clamp(min=bound)
    return factor @ flat, losses.sum()


@contextmanager
def _vmappable() -> Iterator[None]:
    """Keep to kernels with batching rules: those of oneDNN, cuDNN and fused attention have none."""
    backends: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
    before = [backend.enabled for backend in backends]
    for backend in backends:
        backend.enabled = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for backend, enabled in zip(backends, before, strict=True):
            backend.enabled = enabled


def _assign(network: Network, gradient: Tensor) -> None:
    parameters = list(network.parameters())
    parts = torch.split(gradient, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter).to(parameter.device)
