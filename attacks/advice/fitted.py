"""What a defense learned, as arrays."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import Defense


def fitted_arrays(defense: Defense) -> dict[str, NDArray[Any]]:
    """Collect the parameters of a fitted defense by name; those within a part as ``part.name``.

    Raises
    ------
    TypeError
        If one is no number, text, array or dataclass of these.
    """
    return _collected(vars(defense), "")


def _collected(values: dict[str, Any], before: str) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, np.ndarray | np.generic | int | float | str):
            found[before + name] = np.asarray(value)
        elif is_dataclass(value) and not isinstance(value, type):
            inner = {one.name: getattr(value, one.name) for one in fields(value)}
            found |= _collected(inner, f"{before}{name}.")
        else:
            raise TypeError(f"{before}{name}: {type(value).__name__} is no array")
    return found
