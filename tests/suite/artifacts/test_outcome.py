from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from suite.artifacts.outcome import Outcome


def outcome(greater: list[int]) -> Outcome:
    n = len(greater)
    columns = {
        "event_id": np.arange(n) + 100,
        "user_id": np.arange(n) % 3,
        "greater": np.array(greater, np.int32),
        "equal": np.array([g == 0 for g in greater], np.int32),
        "best": np.linspace(0, 1, n, dtype=np.float32),
    }
    return Outcome(pl.DataFrame(columns), num_gallery=4, num_dropped=0)


def test_mated_probes_are_those_whose_user_is_in_the_gallery_in_their_order():
    found = outcome([0, 4, 2, 4, 3]).mated()
    assert found.event_id.tolist() == [100, 102, 104]
    assert found.user_id.tolist() == [0, 2, 1]
    assert found.ranks.greater.tolist() == [0, 2, 3]
    assert found.ranks.equal.tolist() == [1, 0, 0]
    np.testing.assert_allclose(found.best, [0, 0.5, 1])


def test_nobody_is_mated_where_all_are_unknown():
    assert outcome([4, 4]).mated().event_id.size == 0


def test_a_count_that_does_not_fit_the_gallery_is_refused():
    with pytest.raises(ValueError, match="5"):
        outcome([0, 5]).mated()
