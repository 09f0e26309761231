"""Normalization of input columns, fitted once and stored with a network.

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
    """Fill unknown values with the column's mean, then transform each column.

    Parameters
    ----------
    transform
        ``log1p``: sign(x) ln(1 + |x|). ``standardize``: (x - mean) / deviation. ``min_max``:
        (x - min) / (max - min). ``yeo_johnson``: the power transform, standardized; values outside
        the fitted range are clipped to it, as a power fitted to small values is not meaningful
        for large ones.
    num_columns
        C. Before ``fit`` the transform is the identity, except for ``log1p``.

    References
    ----------
    Yeo and Johnson, "A new family of power transformations to improve normality or symmetry",
    Biometrika 87, 2000. Comparison of the four: Volkovs et al., "User Engagement Modeling with
    Deep Learning and Language Models", RecSys Challenge 2021.
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
        """Fit to ``(n, C)`` values; a column without known values becomes 0."""
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
            # A constant column has no optimal power, and the search for it overflows.
            varies = low < high
            power = np.ones(len(fill))
            if varies.any():
                transformer = PowerTransformer(standardize=False).fit(filled[:, varies])
                power[varies] = transformer.lambdas_
            self._set("power", power)
            transformed = _yeo_johnson(torch.tensor(filled), self.power.double()).numpy()
            moments = StandardScaler().fit(transformed)
            self._set("shift", moments.mean_)
            self._set("scale", moments.scale_)

    def forward(self, values: Tensor) -> Tensor:
        """Transform ``(B, C)`` values, NaN if unknown; the result is finite."""
        filled = torch.where(values.isnan(), self.fill, values)
        if self.transform == "log1p":
            return filled.abs().log1p() * filled.sign()
        if self.transform == "yeo_johnson":
            filled = _yeo_johnson(torch.clamp(filled, self.low, self.high), self.power)
        return (filled - self.shift) / self.scale

    def _set(self, name: str, value: NDArray[np.float64]) -> None:
        getattr(self, name).copy_(torch.tensor(value))


def _yeo_johnson(values: Tensor, power: Tensor) -> Tensor:
    """Yeo-Johnson: x >= 0 gives ((1 + x)^p - 1) / p, x < 0 mirrors it with 2 - p."""
    exponent = torch.where(values >= 0, power, 2 - power)
    log = values.abs().log1p()
    # expm1(p ln(1 + |x|)) / p, whose limit at p = 0 is the logarithm.
    is_log = exponent.abs() < 1e-6
    grown = torch.expm1(exponent * log) / torch.where(is_log, 1.0, exponent)
    return torch.where(is_log, log, grown) * values.sign()
