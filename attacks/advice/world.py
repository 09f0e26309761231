"""Vectors to be released, and which users serve for what.

Shape letters: n vectors, d dimensions, g gallery users, L labels, m rows taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attacks.audit.defended import place_in_time
from attacks.audit.rounding import rounded
from attacks.audit.split import first_appearance, split
from attacks.gallery import Released

Rows = NDArray[np.int64]
Part = Literal["fit", "choose", "report"]

FEWEST_USERS = 30
"""With both gallery vectors and probes, for all three parts."""

PARTS: tuple[Part, ...] = ("fit", "choose", "report")

DEALT = (0, 1, 2, 1, 2)
"""Parts that users are dealt to in turn: most are attacked, as the intervals ask for."""


@dataclass(frozen=True)
class World:
    """Vectors and the parts that their users play.

    Attributes
    ----------
    released
        All vectors, float32, the halves as windows.
    offset : (d,)
        What was subtracted before rounding, see `attacks.ranks.precision.offset`.
    gallery, probe : (m,)
        Rows that the attacker holds, and rows to name.
    part : (n,)
        Number in ``PARTS`` of each vector's user; -1 for users without probes.
    label_names
        Of the columns of ``released.labels``.
    """

    released: Released
    offset: NDArray[np.float64]
    gallery: Rows
    probe: Rows
    part: Rows
    label_names: tuple[str, ...]

    @property
    def num_gallery(self) -> int:
        """Users whom the attacker knows, N."""
        return len(np.unique(self.released.user_row[self.gallery]))

    def rows(self, part: Part, most: int, seed: int) -> Rows:
        """Vectors of a part's users, drawn at random where there are more than ``most``."""
        return _drawn(np.flatnonzero(self.part == PARTS.index(part)), most, seed)

    def probes(self, part: Part, most: int, seed: int) -> Rows:
        """Probes of a part's users, drawn at random where there are more than ``most``."""
        return _drawn(self.probe[self.part[self.probe] == PARTS.index(part)], most, seed)

    def num_users(self, part: Part) -> int:
        """Users of a part."""
        return len(np.unique(self.released.user_row[self.part == PARTS.index(part)]))


def _drawn(rows: Rows, most: int, seed: int) -> Rows:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def prepared(
    user_id: NDArray[Any],
    vector: NDArray[Any],
    labels: Mapping[str, NDArray[Any]],
    *,
    time: NDArray[Any] | None,
    role: NDArray[Any] | None,
    session: NDArray[Any] | None,
    seed: int,
) -> World:
    """Split vectors into gallery and probes, and users at random into three parts.

    Arguments are those of `attacks.advise.advise`.

    Raises
    ------
    ValueError
        If the vectors cannot be audited, a label has not two classes, or fewer than 30 users have
        vectors on both sides.
    """
    if len(vector) != len(user_id):
        raise ValueError(
            f"vector must have a row for each of the {len(user_id)} user ids, got {len(vector)}"
        )
    cut = split(user_id, time=time, role=role, session=session, seed=seed)
    user = first_appearance(user_id)
    given = rounded(vector, cut.gallery, np.unique(user[cut.gallery], return_inverse=True)[1])
    probed = np.unique(user[cut.probe])
    if len(probed) < FEWEST_USERS:
        raise ValueError(
            f"user_id must name {FEWEST_USERS} users with vectors in gallery and probes, got "
            f"{len(probed)}: some are chosen on, others are reported on"
        )
    of_user = np.full(int(user.max()) + 1, -1)
    order = np.random.default_rng(seed).permutation(probed)
    of_user[order] = np.resize(DEALT, len(order))
    window = np.full(len(user), "probe", "<U7")
    window[cut.gallery] = "gallery"
    columns = [_two_classes(name, values, len(user)) for name, values in labels.items()]
    for name, column in zip(labels, columns, strict=True):
        _check_parts(name, column, of_user[user])
    released = Released(
        given.vector,
        user,
        place_in_time(user, time),
        window,
        np.column_stack(columns) if columns else None,
    )
    return World(released, given.offset, cut.gallery, cut.probe, of_user[user], tuple(labels))


def _check_parts(name: str, label: NDArray[np.bool_], part: Rows) -> None:
    for number, one in enumerate(PARTS):
        own = label[part == number]
        if own.all() or not own.any():
            raise ValueError(
                f"label {name}: found one class among the {len(own)} vectors of the users to "
                f"{one}, allowed: both"
            )


def _two_classes(name: str, values: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """Whether each value is the larger one of two."""
    if values.shape != (size,):
        raise ValueError(f"label {name} must be {size} values, got shape {values.shape}")
    missing = [value is None or value != value for value in values.tolist()]
    if any(missing):
        raise ValueError(f"label {name} must not be missing, but is in row {missing.index(True)}")
    try:
        classes, number = np.unique(values, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"label {name} must be values of one type: {error}") from None
    if len(classes) != 2:
        raise ValueError(f"label {name}: found {len(classes)} classes, allowed: 2")
    found: NDArray[np.bool_] = number == 1
    return found
