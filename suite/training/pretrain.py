"""What a network learns before training: nothing of labels, and on one machine."""

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
    """Pretrain a network, where a GPU is if there is one.

    Parameters
    ----------
    network
        Adapted to the data; one that does not pretrain is left as it is.
    features
        Whose texts of trained users, in train and validation, are learned from and judged by.
    seed
        Decides all randomness.
    url
        Where the weights are left for the workers; what is there already is not done again.

    Returns
    -------
    dict
        What the network reports.
    """
    if not network.pretrains:
        return {}
    done = checkpoints.load(url)
    if done is None:
        texts = (
            features.tokens[np.unique(features.text_row[batches.rows(features, w, trained=True)])]
            for w in ("train", "validation")
        )
        (done,) = sharded.each(_pretrained, [seed], network, *texts, gpu=True)
        checkpoints.save(url, done)
    reported: dict[str, float] = done["facts"]
    return reported


def _pretrained(
    seed: int, network: Network, texts: NDArray[np.int32], later: NDArray[np.int32]
) -> dict[str, Any]:
    # A new layer's weights and dropout are torch's: in a task of its own nobody has seeded it.
    torch.manual_seed(seeds.for_torch(seed))
    sharded.on_gpu(network)
    facts = network.pretrain(texts, later, np.random.default_rng(seed))
    return {"weights": network.to("cpu").state_dict(), "facts": facts}
