"""Pretraining of a network without labels, on one machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.network import Network
from suite.artifacts.features import Features
from suite.cluster import sharded
from suite.store import checkpoints
from suite.training import batches, seeds


def pretrain(network: Network, features: Features, *, seed: int, url: str) -> dict[str, float]:
    """Pretrain a network, on a GPU if the cluster has one.

    Parameters
    ----------
    network
        Adapted to the data; one without pretraining is left as it is.
    features
        The texts of trained users in train are learned from, those in validation evaluated.
    seed
        Determines all randomness.
    url
        Path or URI of the pretrained weights; if they exist, pretraining is not repeated.

    Returns
    -------
    dict
        What the network reports.
    """
    if not network.pretrains:
        return {}
    pretrained = checkpoints.load(url)
    if pretrained is None:
        texts = (
            features.tokens[np.unique(features.text_row[batches.rows(features, w, trained=True)])]
            for w in ("train", "validation")
        )
        (pretrained,) = sharded.each(_pretrained, [seed], network, *texts, gpu=True)
        checkpoints.save(url, pretrained)
    reported: dict[str, float] = pretrained["facts"]
    return reported


def _pretrained(
    seed: int, network: Network, texts: NDArray[np.int32], later: NDArray[np.int32]
) -> dict[str, Any]:
    # New layers and dropout draw from torch's generator, which a new task must seed.
    torch.manual_seed(seeds.for_torch(seed))
    sharded.on_gpu(network)
    facts = network.pretrain(texts, later, np.random.default_rng(seed))
    return {"weights": network.to("cpu").state_dict(), "facts": facts}
