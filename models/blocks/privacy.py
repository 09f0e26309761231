"""Settings of differentially private training."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

Unit = Literal["none", "example", "user"]


@dataclass(frozen=True)
class Privacy:
    """DP-SGD: whose gradient is clipped, at what norm, and how much noise is added.

    Attributes
    ----------
    unit
        ``example``: one event. ``user``: all events of a user in train, and the history. ``none``:
        training is not private.
    max_grad_norm
        Largest L2 norm of a unit's gradient.
    noise_multiplier
        Standard deviation of the noise relative to ``max_grad_norm``; None: derived from
        ``epsilon``.
    epsilon
        Target; None: derived from ``noise_multiplier``.
    delta
        Of the guarantee.
    """

    unit: Unit
    max_grad_norm: float
    noise_multiplier: float | None
    epsilon: float | None
    delta: float

    def __bool__(self) -> bool:
        return self.unit != "none"

    def check(self, model: str, adversarial: float) -> None:
        """Check the settings.

        Raises
        ------
        ValueError
            A number is out of range; noise_multiplier and epsilon are both given or both missing,
            or one is given without ``dp``; there is an adversary, whose head has an output for
            each user; or Opacus is not installed.
        """
        given = [
            name for name in ("noise_multiplier", "epsilon") if getattr(self, name) is not None
        ]
        for name in ("max_grad_norm", *given):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"{model}: {name} must be above 0 and finite, got {value}")
        if not 0 < self.delta < 1:
            raise ValueError(f"{model}: delta must be in (0, 1), got {self.delta}")
        if len(given) != bool(self):
            needed = "exactly one" if self else "none"
            found = " and ".join(given) or "none"
            msg = f"dp {self.unit} takes {needed} of noise_multiplier and epsilon, got {found}"
            raise ValueError(f"{model}: {msg}")
        if self and adversarial:
            raise ValueError(f"{model}: dp and adversarial exclude each other, got {adversarial}")
        if self and importlib.util.find_spec("opacus") is None:
            raise ValueError(f"{model}: dp needs opacus; install the extra dp")
