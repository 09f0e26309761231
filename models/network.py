"""What the torch models share: tensors of a batch, and NumPy in, NumPy out.

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
    """Copy a batch to ``device``; its real numbers become ``dtype``."""

    def real(array: NDArray[Any]) -> Tensor:
        return torch.tensor(array, dtype=dtype, device=device)

    # torch.tensor copies: arrays out of Ray's object store are read-only, which from_numpy
    # warns about.
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
    """A model that is trained by gradient steps on what ``forward(batch)`` gives.

    The loss weights each positive by w = negatives / positives of train, so the probability of
    engagement is sigmoid(logit - ln w).
    """

    pretrains: ClassVar[bool] = False
    """Whether ``pretrain`` does anything."""

    training_only: ClassVar[tuple[str, ...]] = ()
    """Submodules used in training only: not in ``state`` and not in ``num_parameters``."""

    def pretrain(
        self, texts: NDArray[np.int32], later: NDArray[np.int32], rng: np.random.Generator
    ) -> dict[str, float]:
        """Learn from the texts, on the device it is on, before training; return what to report.

        Parameters
        ----------
        texts, later : (V, T), (V', T)
            Tokens of all different texts that training learns from and is judged by.
        rng
            Source of all randomness.
        """
        return {}

    def set_num_users(self, num_users: int) -> None:
        """Set, before training, how many users ``TensorBatch.user`` numbers."""

    @abstractmethod
    def forward(self, batch: TensorBatch) -> tuple[Tensor, ...]:
        """Representation ``(B, D)`` and logits ``(B, num_labels)``.

        While it trains, logits may have an axis more in front: each entry of it has its own loss.
        Scalars may follow, the penalties: each is a sum over the events that the loss adds.
        """

    @abstractmethod
    def logits(self, vectors: Tensor) -> Tensor:
        """Last step of ``forward``: ``(n, D) -> (n, num_labels)``, as when it does not train."""

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Group the parameters by the peak of their learning rate: ``params`` and ``max_lr``."""
        return [{"params": list(self.parameters()), "max_lr": learning_rate}]

    def score(self, batch: Batch) -> NDArray[np.float32]:
        """Logits of the labels, ``(B, num_labels)``."""
        return self._evaluate(batch)[1]

    def represent(self, batch: Batch) -> NDArray[np.float32]:
        """Vectors as they would be released, ``(B, D)``."""
        return self._evaluate(batch)[0]

    def state(self) -> dict[str, NDArray[Any]]:
        """Parameters and buffers by name, without those of ``training_only``."""
        return {name: value.cpu().numpy().copy() for name, value in self._kept()}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned from a model built with the same parameters.

        Raises
        ------
        ValueError
            A name or a shape is not this model's.
        """
        expected = {name: tuple(value.shape) for name, value in self._kept()}
        found = {name: value.shape for name, value in state.items()}
        for name in sorted(expected.keys() | found.keys()):
            if found.get(name) != expected.get(name):
                msg = (
                    f"state of {type(self).__name__}: {name} has shape "
                    f"{found.get(name, 'missing')}, expected {expected.get(name, 'no such name')}"
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
        found: NDArray[np.float32] = logits.float().cpu().numpy()
        return found

    @property
    def num_parameters(self) -> int:
        """Learned numbers, without those of ``training_only``."""
        named = self.named_parameters()
        return sum(parameter.numel() for name, parameter in named if self._is_kept(name))

    def _kept(self) -> list[tuple[str, Tensor]]:
        return [(name, value) for name, value in self.state_dict().items() if self._is_kept(name)]

    def _is_kept(self, name: str) -> bool:
        return name.split(".")[0] not in self.training_only

    def _evaluate(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run without dropout, and leave the network in the mode it was in."""
        parameter = next(self.parameters())
        training = self.training
        self.eval()
        with torch.inference_mode():
            vectors, logits, *_ = self(tensors(batch, parameter.device, parameter.dtype))
        self.train(training)
        return vectors.float().cpu().numpy(), logits.float().cpu().numpy()
