"""Galleries in 16 bits: how near they are to the vectors, and where products stop."""

import numpy as np
import pytest

from attacks.ranks import screen
from attacks.ranks.lanes import LANES
from attacks.ranks.scoring import Scoring
from tests.attacks.ranks.test_exact import METRICS, problem, trained


@pytest.mark.parametrize(("world", "num_stops"), [(problem, {0}), (trained, {1, 2})])
@pytest.mark.parametrize("metric", METRICS)
def test_products_stop_early_only_where_few_axes_decide(metric, world, num_stops):
    probe, gallery, true_row = world(np.random.default_rng(15), 1500, 2600, dim=64, noise=2.0)
    scoring = Scoring.of(gallery, metric)
    users, rows = screen.screen(scoring, probe, true_row, np.arange(1500))

    assert len(users.edges) - 1 in num_stops
    np.testing.assert_array_equal(np.sort(rows), np.arange(1500))


@pytest.mark.parametrize("metric", METRICS)
def test_whole_numbers_are_as_near_to_the_vectors_as_they_say(metric):
    probe, gallery, true_row = problem(np.random.default_rng(16), 300, 700, dim=9)
    gallery *= np.logspace(-3, 3, 700, dtype=np.float32)[:, None]
    scoring = Scoring.of(gallery, metric)
    users, _ = screen.screen(scoring, probe, true_row, np.arange(300))
    rows, d = users.order[:512], 9 + (metric == "euclidean")
    whole = users.numbers[: 512 // LANES, : users.edges[-1]].swapaxes(1, 2).reshape(512, -1)[:, :d]
    back = whole / users.tiles.scale[0]
    vectors = users.view.users(rows)
    if metric == "euclidean":
        vectors = np.column_stack([scoring.offset[rows] / users.unit[0], vectors])

    assert (np.linalg.norm(vectors, axis=1) <= users.tiles.length[0]).all()
    assert (np.linalg.norm(back - vectors, axis=1) <= users.tiles.error[0]).all()
    assert users.tiles.error[0] < 1e-4 * users.tiles.length[0]
    assert np.abs(whole).max() <= screen.LENGTH
