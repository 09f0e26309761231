"""Models initialized from a seed and adapted to the data."""

from __future__ import annotations

import torch

from models.base import Model
from models.network import Network
from suite import registry
from suite.artifacts.features import Features
from suite.parts import Part
from suite.training import batches, seeds

MAX_ADAPTATION_EVENTS = 200_000
"""Maximum number of train events, evenly spaced, for ``Model.adapt``: enough for column scales."""


def build(model: Part, seed: int, features: Features | None = None) -> Model:
    """Make a model with initial weights from the seed, and adapt it to the data if given."""
    torch.manual_seed(seeds.for_torch(seed))
    built: Model = registry.create("models", model.name, model.parameters)
    if features is not None:
        rows = batches.rows(features, "train", trained=True)
        step = -(-len(rows) // MAX_ADAPTATION_EVENTS) or 1
        built.adapt(batches.gather(features, rows[::step]))
        if isinstance(built, Network):
            built.set_num_users(len(batches.users(features)))
    return built
