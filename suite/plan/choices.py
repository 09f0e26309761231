"""What is chosen among on validation: blocks of a model's inputs, and where probes come from."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

from suite import registry
from suite.datasets.base import Dataset
from suite.parts import Part
from suite.spec import Cell


def blocks(cell: Cell) -> dict[str, dict[str, Any]]:
    """Name the blocks of a model's inputs, each alone and then all, as ``inputs`` takes them."""
    model = registry.part("models", cell.model.name)
    data = registry.part("datasets", cell.dataset.name)
    found: dict[str, dict[str, Any]] = {"aggregates": {"num_aggregates": model.num_aggregates}}
    if model.uses_sequence:
        found["sequence"] = {"sequence": True}
    if model.uses_wide and data.widened is not Dataset.widened:
        found["wide"] = {"wide": True}
    if len(found) > 1:
        found["all"] = {key: value for block in found.values() for key, value in block.items()}
    nothing = {"num_aggregates": 0, "sequence": False, "wide": False}
    return {name: nothing | block for name, block in found.items()}


@cache
def on_validation(protocol: Part) -> Part | None:
    """Take a protocol's probes from validation; None where it has no such counterpart."""
    made = registry.create("protocols", protocol.name, protocol.parameters)
    try:
        parameters = asdict(made.on_validation())
    except ValueError:
        return None
    label = f"{protocol.label} on validation"
    return Part(name=protocol.name, parameters=parameters, label=label)
