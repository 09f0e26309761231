"""The split of each user's vectors into gallery and probes.

Shape letters: n vectors, m gallery vectors, p probes, u users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Roles of vectors, as rows of the input arrays.

    Attributes
    ----------
    gallery : (m,)
        Rows that the attacker has, by user in order of first appearance, then by time.
    probe : (p,)
        Rows to identify, in the same order; their users are all in the gallery.
    by
        Basis of the split: given roles, times, or a random order. Random halves of a user's vectors
        share hours and sessions, so figures on them are optimistic for the attacker compared with
        linkage over time.
    num_dropped
        Number of vectors without a role: of users with one vector, of probed users not in the
        gallery, and of sessions shared with the user's own gallery.
    num_users_dropped
        Number of users none of whose vectors has a role.
    """

    gallery: Rows
    probe: Rows
    by: Literal["role", "time", "random"]
    num_dropped: int
    num_users_dropped: int


def split(
    user_id: NDArray[Any],
    *,
    time: NDArray[Any] | None = None,
    role: NDArray[Any] | None = None,
    session: NDArray[Any] | None = None,
    seed: int = 0,
) -> Split:
    """Give each vector a role.

    With times, the earlier half of each user's vectors, rounded down, is the gallery and the rest
    are probes; vectors with equal times keep their order. Without times, the halves are random.
    Given roles are used unchanged.

    Parameters
    ----------
    user_id : (n,)
        User of each vector; any sortable values.
    time : (n,)
        Numbers or datetimes; text sorts differently ("10" before "9") and is rejected.
    role : (n,)
        ``gallery`` or ``probe``.
    session : (n,)
        If given, probes that share a session with a gallery vector of their own user are
        dropped, never gallery vectors; None, NaN, NaT and blank text mean no session.
    seed
        Seed of the random halves.

    Raises
    ------
    ValueError
        Lengths differ, a user or time is missing, times are text, a role is unknown, or there are
        fewer than two users: two with two vectors each, or two in a given gallery and a probe of
        one of them.
    """
    _check(user_id, time, role, session)
    user_row = first_appearance(user_id)
    order = np.lexsort((_order(time, role, len(user_id), seed), user_row))
    in_gallery = _first_halves(user_row, order) if role is None else _given(role)

    # A user with one vector has no first half and thus no gallery vector.
    has_gallery = np.bincount(user_row, in_gallery) > 0
    is_probe = ~in_gallery & has_gallery[user_row]
    if has_gallery.sum() < 2 or not is_probe.any():
        raise ValueError(_too_few(int(has_gallery.sum()), int(is_probe.sum()), role))
    if session is not None:
        is_probe &= ~_in_own_gallery(session, user_row, in_gallery)
        if not is_probe.any():
            raise ValueError("session: every probe shares one with its user's own gallery vectors")
    has_role = in_gallery | is_probe
    return Split(
        gallery=order[in_gallery[order]],
        probe=order[is_probe[order]],
        by="role" if role is not None else "time" if time is not None else "random",
        num_dropped=int((~has_role).sum()),
        num_users_dropped=int((np.bincount(user_row, has_role) == 0).sum()),
    )


def first_appearance(values: NDArray[Any]) -> Rows:
    """Assign numbers from 0 to distinct values by first appearance, ``(n,) -> (n,)``.

    Raises
    ------
    ValueError
        Values cannot be compared with each other.
    """
    try:
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"user_id must be values of one type: {error}") from None
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each value is None, NaN, NaT or blank text, ``(n,)``."""
    blank: NDArray[np.bool_] = np.zeros(len(values), bool)
    if values.dtype.kind in "OUS":
        blank = np.array(
            [
                value is None or (isinstance(value, str | bytes) and not value.strip())
                for value in values.tolist()
            ],
            bool,
        )
    # NaN and NaT are not equal to themselves.
    result: NDArray[np.bool_] = np.asarray(blank | (values != values), bool)
    return result


def is_text(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each value is text or bytes, ``(n,)``."""
    if values.dtype.kind == "O":
        return np.array([isinstance(value, str | bytes) for value in values], bool)
    return np.full(len(values), values.dtype.kind in "US")


def _check(
    user_id: NDArray[Any],
    time: NDArray[Any] | None,
    role: NDArray[Any] | None,
    session: NDArray[Any] | None,
) -> None:
    for name, column in (("user_id", user_id), ("time", time)):
        if column is not None and is_missing(column).any():
            row = np.flatnonzero(is_missing(column))[0]
            value = str(column[row]).strip() or "blank text"
            raise ValueError(f"{name} must not be missing, got {value} in row {row}")
    for name, column in (("time", time), ("role", role), ("session", session)):
        if column is not None and column.shape != user_id.shape:
            raise ValueError(f"{name} must be {len(user_id)} values, got shape {column.shape}")
    if time is not None and is_text(time).any():
        row = np.flatnonzero(is_text(time))[0]
        raise ValueError(f"time must be numbers or datetimes, got {str(time[row])!r} in row {row}")


def _order(
    time: NDArray[Any] | None, role: NDArray[Any] | None, num_vectors: int, seed: int
) -> Rows:
    """Return a key of each vector that sorts those of a user, ``(n,)``."""
    if time is not None:
        return np.unique(time, return_inverse=True)[1]
    if role is not None:
        return np.arange(num_vectors)
    return np.random.default_rng(seed).permutation(num_vectors)


def _too_few(num_gallery: int, num_probes: int, role: NDArray[Any] | None) -> str:
    if role is None:
        return f"user_id must name two users with two vectors each, got {num_gallery} such users"
    return (
        "role must have two users in the gallery and a probe of one of them, found in the gallery: "
        f"{num_gallery}, their probes: {num_probes}"
    )


def _first_halves(user_row: Rows, order: Rows) -> NDArray[np.bool_]:
    """Mark floor(half) of each user's rows, in the given order: ``(n,), (n,) -> (n,)``."""
    count = np.bincount(user_row)
    start = np.cumsum(count) - count
    place = np.empty(len(user_row), np.int64)
    place[order] = np.arange(len(user_row)) - start[user_row[order]]
    marked: NDArray[np.bool_] = place < count[user_row] // 2
    return marked


def _given(role: NDArray[Any]) -> NDArray[np.bool_]:
    unknown = sorted({str(value) for value in role.tolist()} - {"gallery", "probe"})
    if unknown:
        listed = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise ValueError(f"role must be 'gallery' or 'probe', got {listed}")
    in_gallery: NDArray[np.bool_] = np.asarray(role == "gallery", bool)
    if not in_gallery.any():
        raise ValueError("role: the gallery is empty, all vectors are probes")
    return in_gallery


def _in_own_gallery(
    session: NDArray[Any], user_row: Rows, in_gallery: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether each vector's session contains a gallery vector of the same user, ``(n,)``."""
    present = ~is_missing(session)
    number = np.full(len(session), -1)
    number[present] = np.unique(session[present], return_inverse=True)[1]
    pair = user_row * (number.max() + 1) + number
    return present & np.isin(pair, pair[in_gallery & present])
