"""Networks with training-time defenses of their representation.

Shape letters: B events, D dimensions of the representation, L labels.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from models.blocks.defenses import MOST_USERS, Adversary, Representation, Strengths
from models.blocks.privacy import Privacy
from models.network import Network, TensorBatch


class Defended(Network):
    """A network that ends in a representation and a linear head, with training-time defenses.

    The subclass creates ``representation`` and ``output`` after its other layers.
    """

    training_only: ClassVar[tuple[str, ...]] = ("adversary",)
    representation: Representation
    output: nn.Linear

    def __init__(self, strengths: Strengths, privacy: Privacy) -> None:
        super().__init__()
        self.strengths = strengths
        self.privacy = privacy
        self.adversary: Adversary | None = None

    def set_num_users(self, num_users: int) -> None:
        """Create the user head where the adversarial defense is on.

        Raises
        ------
        ValueError
            There are more users than a user head may have.
        """
        if not self.strengths.adversarial:
            return
        if num_users > MOST_USERS:
            msg = f"found {num_users:,} users of the fit, allowed: at most {MOST_USERS:,}"
            raise ValueError(f"{type(self).__name__.lower()}: adversarial: {msg}")
        dim = self.output.in_features
        self.adversary = Adversary(dim, num_users, self.strengths.adversarial)

    def outputs(self, inputs: Tensor, batch: TensorBatch) -> tuple[Tensor, ...]:
        """Representation ``(B, D)``, logits ``(B, L)`` and, while training, the penalties."""
        released, read, penalty = self.representation(inputs)
        penalties = [] if penalty is None else [penalty]
        if self.training and self.adversary is not None:
            penalties.append(self.adversary(released, batch.user[batch.user_row]))
        return released, self.logits(read), *penalties

    def logits(self, vectors: Tensor) -> Tensor:
        """Logits of vectors: ``(n, D) -> (n, L)``."""
        logits: Tensor = self.output(vectors)
        return logits
