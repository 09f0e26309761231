from __future__ import annotations

import numpy as np
import pytest
import torch

from models.base import Model
from suite.parts import Part
from suite.training import batches, seeds
from suite.training.build import build

SMALL = Part(name="mlp", parameters={"width": 16, "depth": 1, "dim": 4})
LARGE = [7 + 2**32, 7 + 2**33, 7 + 2**40, 2**63 - 1]


def weights(seed: int) -> np.ndarray:
    built: Model = build(SMALL, seed)
    return np.concatenate([value.ravel() for value in built.state().values()])


def test_seeds_that_agree_in_their_lowest_32_bits_give_different_weights():
    found = [weights(seed) for seed in (7, *LARGE)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(found) for b in found[:i])
    assert np.array_equal(weights(LARGE[0]), found[1])


def test_seeds_that_agree_in_their_lowest_32_bits_give_different_batches(features):
    def first(seed: int, epoch: int = 0) -> list[int]:
        return batches.training_batches(features, seed=seed, epoch=epoch, size=32, cap=8)[
            0
        ].tolist()

    found = [first(seed) for seed in (7, *LARGE)] + [first(7, epoch=1)]
    assert len({tuple(rows) for rows in found}) == len(found)


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_a_larger_seed_shares_no_stream_with_another_seed_and_epoch(epoch):
    large = seeds.sequence(7 + 2**32, epoch, 0).generate_state(4).tolist()
    others = [seeds.sequence(7, e, rank) for e in range(8) for rank in range(3)]
    assert large not in [other.generate_state(4).tolist() for other in others]


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_a_seed_of_32_bits_stays_what_it_was(seed):
    assert seeds.for_torch(seed) == seed
    expected = np.random.SeedSequence([seed, 3, 1]).generate_state(4)
    assert seeds.sequence(seed, 3, 1).generate_state(4).tolist() == expected.tolist()


def test_torch_itself_ignores_what_is_above_32_bits():
    """The reason for all this; where it fails, ``for_torch`` may go."""
    torch.manual_seed(7)
    known = torch.rand(4)
    torch.manual_seed(7 + 2**32)
    assert torch.equal(torch.rand(4), known)
