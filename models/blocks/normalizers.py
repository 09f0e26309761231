"""Scales of input columns that vary in size and shape, fitted once and part of a network.

Shape letters: B events, C columns.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler
from torch import Tensor, nn

Transform = Literal["log1p", "standardize", "min_max", "yeo_johnson"]


class Normalizer(nn.Module):
    """Fill what is unknown with the column's mean, then transform each column.

    Parameters
    ----------
    transform
        ``log1p``: sign(x) ln(1 + |x|). ``standardize``: (x - mean) / deviation. ``min_max``:
        (x - min) / (max - min). ``yeo_johnson``: the power transform, standardized; what lies
        outside the range that it was fitted on is taken for the range's end, as a power fitted
        to a column of small values makes anything of a large one.
    num_columns
        C. Until it is fitted nothing is shifted, scaled or bent.

    References
    ----------
    Yeo and Johnson, "A new family of power transformations to improve normality or symmetry",
    Biometrika 87, 2000. The four are those that the project's source document D2 compares.
    """

    fill: Tensor
    shift: Tensor
    scale: Tensor
    power: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, transform: Transform, num_columns: int) -> None:
        super().__init__()
        if transform not in get_args(Transform):
            msg = f"normalizer: found {transform}, allowed: {', '.join(get_args(Transform))}"
            raise ValueError(msg)
        self.transform = transform
        start = {"fill": 0.0, "shift": 0.0, "scale": 1.0, "power": 1.0}
        for name, value in (start | {"low": -torch.inf, "high": torch.inf}).items():
            self.register_buffer(name, torch.full((num_columns,), value))

    def fit(self, values: NDArray[np.float32]) -> None:
        """Take the scales from ``(n, C)`` values; a column without any known value is all 0."""
        known = ~np.isnan(values)
        total = np.where(known, values, 0).sum(axis=0, dtype=np.float64)
        fill = total / np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, values, fill)
        self._set("fill", fill)
        if self.transform == "min_max":
            bounds = MinMaxScaler().fit(filled)
            self._set("shift", bounds.data_min_)
            self._set("scale", 1 / bounds.scale_)
        elif self.transform == "standardize":
            moments = StandardScaler().fit(filled)
            self._set("shift", moments.mean_)
            self._set("scale", moments.scale_)
        elif self.transform == "yeo_johnson":
            low, high = filled.min(axis=0), filled.max(axis=0)
            self._set("low", low)
            self._set("high", high)
            # A column of one value has no best power, and looking for it overflows.
            varies = low < high
            power = np.ones(len(fill))
            if varies.any():
                bent = PowerTransformer(standardize=False).fit(filled[:, varies])
                power[varies] = bent.lambdas_
            self._set("power", power)
            bent_values = _bent(torch.tensor(filled), self.power.double()).numpy()
            moments = StandardScaler().fit(bent_values)
            self._set("shift", moments.mean_)
            self._set("scale", moments.scale_)

    def forward(self, values: Tensor) -> Tensor:
        """Transform ``(B, C)`` values, NaN where unknown; the result is finite."""
        filled = torch.where(values.isnan(), self.fill, values)
        if self.transform == "log1p":
            return filled.abs().log1p() * filled.sign()
        if self.transform == "yeo_johnson":
            filled = _bent(torch.clamp(filled, self.low, self.high), self.power)
        return (filled - self.shift) / self.scale

    def _set(self, name: str, value: NDArray[np.float64]) -> None:
        getattr(self, name).copy_(torch.tensor(value))


def _bent(values: Tensor, power: Tensor) -> Tensor:
    """Yeo-Johnson: x >= 0 gives ((1 + x)^p - 1) / p, x < 0 mirrors it with 2 - p."""
    exponent = torch.where(values >= 0, power, 2 - power)
    log = values.abs().log1p()
    # expm1(p ln(1 + |x|)) / p, whose limit at p = 0 is the logarithm.
    is_log = exponent.abs() < 1e-6
    grown = torch.expm1(exponent * log) / torch.where(is_log, 1.0, exponent)
    return torch.where(is_log, log, grown) * values.sign()
