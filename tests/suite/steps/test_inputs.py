"""Blocks of a model's inputs: what they hold, and that no block's width decides."""

from __future__ import annotations

import numpy as np
import pytest

from suite.features.encode import features as encode
from suite.steps.inputs import inputs
from tests.canonical import wide_world

NOTHING = {"num_aggregates": 0, "sequence": False, "wide": False}


def block(features, **chosen):
    return inputs(features, **(NOTHING | chosen)).vector


def test_aggregates_are_the_leading_scaled_ones_of_each_events_history(features):
    row = features.events["row"].to_numpy()
    np.testing.assert_array_equal(block(features, num_aggregates=21), features.aggregates[row, :21])


def test_a_sequence_has_the_mean_square_of_its_existing_steps_however_long_it_is(features):
    row = features.events["row"].to_numpy()
    found = block(features, sequence=True)
    assert found.shape == (len(row), 100)
    lengths = features.mask.sum(axis=1)
    assert len(set(lengths)) > 3
    for event in range(0, len(row), 17):
        steps = features.sequence[row[event]][features.mask[row[event]]]
        assert (found[event] ** 2).sum() == pytest.approx((steps**2).mean(), rel=1e-5)
        np.testing.assert_array_equal(found[event, 2 * len(steps) :], 0)
        expected = (steps / np.sqrt(2 * len(steps))).ravel()
        np.testing.assert_allclose(found[event, : 2 * len(steps)], expected, rtol=1e-5)


def test_no_blocks_number_of_columns_decides_in_all():
    made = encode(wide_world(0), time_zone="UTC", holdout_users=0.2)
    alone = (
        block(made, num_aggregates=27) / np.sqrt(27),
        block(made, sequence=True),
        block(made, wide=True) / np.sqrt(2),
    )
    found = block(made, num_aggregates=27, sequence=True, wide=True)
    np.testing.assert_allclose(found, np.concatenate(alone, axis=1), rtol=1e-6)
    # Standardized columns have a mean square of about 1, and so has each block.
    for part in np.split(found[:, :127], [27], axis=1):
        assert 0.3 < (part**2).sum(axis=1).mean() < 3


def test_a_block_without_columns_tells_nothing_and_takes_no_part_in_all(features):
    assert not features.wide_features
    np.testing.assert_array_equal(block(features, wide=True), np.zeros((len(features.events), 1)))
    with_it = block(features, num_aggregates=27, wide=True)
    np.testing.assert_array_equal(with_it, block(features, num_aggregates=27))
