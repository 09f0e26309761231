"""Users who are only learned from take no other part in an audit."""

from __future__ import annotations

import numpy as np
import pytest

from attacks.audit import audit
from attacks.background import Background
from attacks.cosine import Cosine
from attacks.defenses.rotated import Rotated
from attacks.euclidean import Euclidean


def drifting(num_users: int = 300, dim: int = 64):
    """Half of the axes are redrawn between the earlier and the later half of the vectors."""
    rng = np.random.default_rng(0)
    first, fresh = rng.standard_normal((2, num_users, dim))
    later = np.where(np.arange(dim) < dim // 2, first, fresh)
    user = np.repeat(np.arange(num_users), 8)
    time = np.tile(np.arange(8), num_users)
    at = np.where((time < 4)[:, None], first[user], later[user])
    return user, at + 0.5 * rng.standard_normal(at.shape), time


def test_half_of_the_users_are_learned_from_and_all_attacks_name_the_others():
    user, vector, time = drifting()
    attacks = {"cosine": Cosine(), "background": Background()}
    found = audit(user, vector, time=time, attacks=attacks, replicates=200)
    plain, learned = found.attacks

    assert 120 < found.num_users_background < 180
    assert plain.figures["num_gallery"] == 300 - found.num_users_background
    assert plain.figures["num_gallery"] == learned.figures["num_gallery"]
    assert set(plain.users.user) == set(learned.users.user)
    assert learned.figures["top1"] > 0.95 > 0.9 > plain.figures["top1"]
    (difference,) = found.differences
    assert difference.p_holm < 0.01
    aside = "Used for fitting only, neither in the gallery nor to be identified: "
    assert f"{aside}{found.num_users_background} users." in found.words
    assert found.to_dict()["num_users_background"] == found.num_users_background


def test_the_users_to_learn_from_can_be_given():
    user, vector, time = drifting()
    attacks = {"background": Background()}
    given = user < 200
    found = audit(user, vector, time=time, attacks=attacks, background=given, replicates=200)

    assert found.num_users_background == 200
    assert set(found.attacks[0].users.user) == set(range(200, 300))


def test_nobody_is_set_aside_where_no_attack_learns_from_others():
    user, vector, time = drifting(40, 4)
    found = audit(user, vector, time=time, replicates=200)

    assert found.num_users_background == 0
    assert found.attacks[0].figures["num_gallery"] == 40


def test_what_is_learned_from_is_defended_as_the_rest_is():
    user, vector, time = drifting()
    found = audit(
        user,
        vector,
        time=time,
        attacks={"background": Background(), "euclidean": Euclidean()},
        defenses={"rotated": Rotated()},
        replicates=200,
    ).defended["rotated"]

    # Pairs of both windows give the rotation away, as known users do.
    assert found.attacks[0].figures["top1"] > 0.5
    assert found.attacks[1].figures["top1"] < 0.1


def test_backgrounds_that_leave_nobody_or_split_a_user_are_refused():
    user, vector, time = drifting(40, 4)
    attacks = {"background": Background()}
    for given, message in (
        (user < 39, "beside 39 users who are set aside there must be 2 to attack, got 1"),
        (user < 3, "needs 5 users with vectors of both windows, got 3"),
        (time < 3, "background must agree for all vectors of a user, see row 0"),
        (user[:5] < 3, "background must be 320 Boolean values, got bool of shape"),
        (user, "background must be 320 Boolean values, got int64"),
    ):
        with pytest.raises(ValueError, match=message):
            audit(user, vector, time=time, attacks=attacks, background=given)
