from __future__ import annotations

import numpy as np
import pytest

from attacks.aggregated import Aggregated
from attacks.cosine import Cosine
from attacks.pooling import pooled

USER = np.array([7, 3, 7, 3, 7, 3, 9])
ROW = np.array([1, 0, 1, 0, 1, 0, -1])
PROBE = np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)


def test_probes_of_one_person_become_their_mean_in_the_order_of_their_first() -> None:
    found = pooled(Aggregated(m=3), PROBE, USER, ROW)
    expected = {7: PROBE[[0, 2, 4]].mean(axis=0), 3: PROBE[[1, 3, 5]].mean(axis=0)}
    assert sorted(USER[found.first]) == [3, 7]
    assert sorted(found.first) == [0, 1]
    for vector, user in zip(found.vectors, USER[found.first], strict=True):
        np.testing.assert_allclose(vector, expected[user], rtol=1e-6)
    assert (found.vectors.dtype, found.largest) == (np.float32, 3)


def test_probes_that_stay_alone_are_handed_on_as_they_are() -> None:
    found = pooled(Cosine(), PROBE, USER, ROW)
    assert found.vectors is PROBE
    assert (found.first.tolist(), found.largest) == (list(range(7)), 1)


def test_probes_of_users_whom_the_adversary_knows_are_left_out() -> None:
    attack = Cosine()
    attack.known_row = np.array([1])
    found = pooled(attack, PROBE, USER, ROW)
    assert found.first.tolist() == [1, 3, 5, 6]
    np.testing.assert_array_equal(found.vectors, PROBE[[1, 3, 5, 6]])
    attack.known_row = np.array([0, 1, -1])
    with pytest.raises(ValueError, match="cosine: none of 7 probes is left, of at most 3 for each"):
        pooled(attack, PROBE, USER, ROW)
