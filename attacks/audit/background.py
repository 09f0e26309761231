"""Selection of background users, who are used for fitting only.

Shape letters: n vectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.audit.split import Split
from attacks.base import Attack
from attacks.gallery import Released

Codes = NDArray[np.int64]


def set_aside(
    attacks: Iterable[Attack], given: NDArray[Any] | None, user: Codes, seed: int
) -> NDArray[np.bool_]:
    """Select the vectors of background users, ``(n,)``.

    They are in no gallery and no probe, of any attack, so that all attacks name the same probes
    among the same users.

    Parameters
    ----------
    attacks
        If none of them needs background users, and none are given, none are selected.
    given : (n,)
        Whether each vector's user is one; None selects a random half of the users.
    user : (n,)
        User of each vector, from 0.
    seed
        Decides the half.

    Raises
    ------
    ValueError
        If what is given is not Boolean, or differs between a user's vectors.
    """
    if given is None:
        share = 0.5 if any("background" in attack.needs for attack in attacks) else 0.0
        chosen: NDArray[np.bool_] = np.random.default_rng(seed).random(user.max() + 1) < share
        return chosen[user]
    if given.shape != user.shape or given.dtype != bool:
        raise ValueError(
            f"background must be {len(user)} Boolean values, got {given.dtype} of shape "
            f"{given.shape}"
        )
    share_of_user = np.bincount(user, given) / np.bincount(user)
    mixed = np.flatnonzero((share_of_user > 0) & (share_of_user < 1))
    if len(mixed):
        row = np.flatnonzero(user == mixed[0])[0]
        raise ValueError(f"background must agree for all vectors of a user, see row {row}")
    return given


def attacked(cut: Split, aside: NDArray[np.bool_], user: Codes) -> Split:
    """Leave the roles of the users who are set aside out of a split.

    Raises
    ------
    ValueError
        If fewer than two users are left in the gallery, or no probe.
    """
    left = replace(
        cut, gallery=cut.gallery[~aside[cut.gallery]], probe=cut.probe[~aside[cut.probe]]
    )
    num_users = len(np.unique(user[left.gallery]))
    if num_users < 2 or not len(left.probe):
        raise ValueError(
            f"background: beside {len(np.unique(user[aside]))} users who are set aside there must "
            f"be 2 to attack, got {num_users}"
        )
    return left


def learned_from(
    vectors: NDArray[np.float32], user: Codes, cut: Split, aside: NDArray[np.bool_]
) -> Released | None:
    """Vectors of the users who are set aside, their window by their role; None without any."""
    parts = [rows[aside[rows]] for rows in (cut.gallery, cut.probe)]
    rows = np.concatenate(parts)
    if not len(rows):
        return None
    window = np.repeat(["gallery", "probe"], [len(part) for part in parts])
    return Released(vectors[rows], user[rows], window=window)
