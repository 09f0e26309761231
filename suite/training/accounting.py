"""What a differentially private fit guarantees, by Opacus' accountant."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from models.blocks.privacy import Privacy

LARGE = 50.0
"""Epsilon from which on a tighter bound would make no difference."""

MOST_NOISE = 1_000.0
"""Largest multiplier that is tried for a target."""


@dataclass(frozen=True)
class Guarantee:
    """(epsilon, delta)-differential privacy of the trained weights, adding or removing one unit.

    Attributes
    ----------
    unit
        ``example`` or ``user``.
    epsilon, delta
        Upper bounds.
    noise_multiplier
        Standard deviation of the noise relative to the clipping norm.
    sample_rate
        Probability with which each unit takes part in a step, independently of all others.
    steps
        Of the whole training.
    group_size
        Largest number of units of one user: 1 for users.
    """

    unit: str
    epsilon: float
    delta: float
    noise_multiplier: float
    sample_rate: float
    steps: int
    group_size: int

    @property
    def facts(self) -> dict[str, float]:
        """Figures by metric key."""
        return {f"dp/{name}": float(v) for name, v in vars(self).items() if name != "unit"}

    @property
    def note(self) -> str:
        """One line for the reader of a row."""
        group = f", up to {self.group_size} per user" if self.unit == "example" else ""
        return (
            f"trained with {self.unit}-level differential privacy (epsilon {self.epsilon:.3g} at "
            f"delta {self.delta:g}{group}): protects membership in the training data, not the "
            "vector computed from a user's own input"
        )


def guarantee(privacy: Privacy, *, sample_rate: float, steps: int, group_size: int) -> Guarantee:
    """Account for Poisson sampling and Gaussian noise in every step.

    Parameters
    ----------
    privacy
        Noise, or the epsilon from which it is derived.
    sample_rate
        In (0, 1].
    steps
        At least 1.
    group_size
        Reported as it is.

    Raises
    ------
    ValueError
        The target epsilon is too small.

    References
    ----------
    Abadi et al., "Deep Learning with Differential Privacy", CCS 2016; accountant: Gopi, Lee and
    Wutschitz, "Numerical Composition of Differential Privacy", NeurIPS 2021, within 0.01 of the
    exact epsilon and not below it; Mironov, "Renyi Differential Privacy", CSF 2017, above 50 and
    where every unit takes part in every step.
    """
    multiplier = privacy.noise_multiplier
    if multiplier is None:
        assert privacy.epsilon is not None
        multiplier = _noise(privacy.epsilon, privacy.delta, sample_rate, steps)
    return Guarantee(
        unit=privacy.unit,
        epsilon=_epsilon(multiplier, privacy.delta, sample_rate, steps),
        delta=privacy.delta,
        noise_multiplier=multiplier,
        sample_rate=sample_rate,
        steps=steps,
        group_size=group_size,
    )


def _noise(epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """Find the least noise, within 0.5 %, whose epsilon is not above the target."""
    low, high = 0.0, MOST_NOISE
    least = _epsilon(high, delta, sample_rate, steps)
    if least > epsilon:
        raise ValueError(f"epsilon: found {epsilon:g}, allowed: {least:.3g} or more")
    while high - low > 0.005 * high:
        # The middle by ratio, once there is one.
        middle = math.sqrt(low * high) if low else high / 4
        if _epsilon(middle, delta, sample_rate, steps) > epsilon:
            low = middle
        else:
            high = middle
    return high


def _epsilon(multiplier: float, delta: float, sample_rate: float, steps: int) -> float:
    """Epsilon by Renyi divergences where it is large or all units take part, else by the PRVs.

    The grid of the PRVs grows with epsilon, and they are not defined for a sample rate of 1.
    """
    from opacus.accountants import PRVAccountant, RDPAccountant

    history = [(multiplier, sample_rate, steps)]
    with warnings.catch_warnings():
        # A Renyi order at the end of the range gives a larger epsilon, not a smaller one.
        warnings.filterwarnings("ignore", message="Optimal order is the (largest|smallest) alpha")
        loose = RDPAccountant()
        loose.history = history
        epsilon = loose.get_epsilon(delta)
        if sample_rate < 1 and epsilon < LARGE:
            tight = PRVAccountant()
            tight.history = history
            epsilon = tight.get_epsilon(delta)
    return float(epsilon)
