"""The base class of torch models, and batches as tensors.

Shape letters: B events, D dimensions of the representation.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.base import Batch, Model
from models.blocks.privacy import Privacy


@dataclass(frozen=True)
class TensorBatch:
    """The fields of ``Batch`` as tensors on one device."""

    aggregates: Tensor
    sequence: Tensor
    mask: Tensor
    user_row: Tensor
    categorical: Tensor
    continuous: Tensor
    labels: Tensor
    wide: Tensor
    tokens: Tensor
    text_row: Tensor
    user: Tensor


def tensors(
    batch: Batch, device: torch.device | str, dtype: torch.dtype = torch.float32
) -> TensorBatch:
    """Copy a batch to ``device``, with floating-point arrays as ``dtype``."""

    def real(array: NDArray[Any]) -> Tensor:
        return torch.tensor(array, dtype=dtype, device=device)

    # torch.tensor copies: arrays from Ray's object store are read-only, for which from_numpy
    # warns.
    return TensorBatch(
        aggregates=real(batch.aggregates),
        sequence=real(batch.sequence),
        mask=torch.tensor(batch.mask, device=device),
        user_row=torch.tensor(batch.user_row, device=device),
        categorical=torch.tensor(batch.categorical, device=device),
        continuous=real(batch.continuous),
        labels=real(batch.labels),
        wide=real(batch.wide),
        tokens=torch.tensor(batch.tokens, dtype=torch.int64, device=device),
        text_row=torch.tensor(batch.text_row, device=device),
        user=torch.tensor(batch.user, device=device),
    )


class Network(Model, nn.Module):
    """A model trained by gradient steps on the result of ``forward(batch)``.

    In the loss each positive has the weight w = negatives / positives of train, so the probability
    of engagement is sigmoid(logit - ln w).
    """

    pretrains: ClassVar[bool] = False
    """Whether ``pretrain`` does anything."""

    privacy: Privacy | None = None
    """How training is private; None or false: not at all."""

    training_only: ClassVar[tuple[str, ...]] = ()
    """Submodules used in training only: not in ``state`` and not in ``num_parameters``."""

    def pretrain(
        self, texts: NDArray[np.int32], later: NDArray[np.int32], rng: np.random.Generator
    ) -> dict[str, float]:
        """Pretrain on texts, on the network's device; return figures to report.

        Parameters
        ----------
        texts, later : (V, T), (V', T)
            Tokens of the distinct texts to learn from, and of later ones for evaluation.
        rng
            Source of all randomness.
        """
        return {}

    def set_num_users(self, num_users: int) -> None:
        """Set, before training, how many users ``TensorBatch.user`` numbers."""

    @abstractmethod
    def forward(self, batch: TensorBatch) -> tuple[Tensor, ...]:
        """Representation ``(B, D)`` and logits ``(B, num_labels)``.

        In training mode logits may have an additional first axis, with a loss for each entry.
        Penalties ``(B,)`` may follow, which the loss adds.
        """

    @abstractmethod
    def logits(self, vectors: Tensor) -> Tensor:
        """Logits from vectors, ``(n, D) -> (n, num_labels)``, as in evaluation mode."""

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Group the parameters by peak learning rate: ``params`` and ``max_lr``."""
        return [{"params": list(self.parameters()), "max_lr": learning_rate}]

    def score(self, batch: Batch) -> NDArray[np.float32]:
        """Logits of the labels, ``(B, num_labels)``."""
        return self._evaluate(batch)[1]

    def represent(self, batch: Batch) -> NDArray[np.float32]:
        """Vectors to release, ``(B, D)``."""
        return self._evaluate(batch)[0]

    def state(self) -> dict[str, NDArray[Any]]:
        """Parameters and buffers by name, without those of ``training_only``."""
        return {name: value.cpu().numpy().copy() for name, value in self._kept()}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Load the ``state`` of a model with the same parameters.

        Raises
        ------
        ValueError
            A name or a shape does not belong to this model.
        """
        expected = {name: tuple(value.shape) for name, value in self._kept()}
        given = {name: value.shape for name, value in state.items()}
        for name in sorted(expected.keys() | given.keys()):
            if given.get(name) != expected.get(name):
                msg = (
                    f"state of {type(self).__name__}: {name} has shape "
                    f"{given.get(name, 'missing')}, expected {expected.get(name, 'no such name')}"
                )
                raise ValueError(msg)
        # The check above is the strict one; submodules of ``training_only`` may be missing.
        taken = {name: torch.tensor(value) for name, value in state.items()}
        self.load_state_dict(taken, strict=False)

    def head(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of vectors: ``(n, D) -> (n, num_labels)``."""
        parameter = next(self.parameters())
        training = self.training
        self.eval()
        with torch.inference_mode():
            given = torch.tensor(vectors, dtype=parameter.dtype, device=parameter.device)
            logits = self.logits(given)
        self.train(training)
        array: NDArray[np.float32] = logits.float().cpu().numpy()
        return array

    @property
    def num_parameters(self) -> int:
        """Number of learned parameters, without those of ``training_only``."""
        named = self.named_parameters()
        return sum(parameter.numel() for name, parameter in named if self._is_kept(name))

    def _kept(self) -> list[tuple[str, Tensor]]:
        return [(name, value) for name, value in self.state_dict().items() if self._is_kept(name)]

    def _is_kept(self, name: str) -> bool:
        return name.split(".")[0] not in self.training_only

    def _evaluate(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run in evaluation mode, then restore the mode of the network."""
        parameter = next(self.parameters())
        training = self.training
        self.eval()
        with torch.inference_mode():
            vectors, logits, *_ = self(tensors(batch, parameter.device, parameter.dtype))
        self.train(training)
        return vectors.float().cpu().numpy(), logits.float().cpu().numpy()
