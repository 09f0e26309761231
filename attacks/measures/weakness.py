"""Whether the best attacker found is worse than the information in the vectors lets expect.

Shape letters: g gallery users, n probes, d dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from attacks.measures.comparisons import paired_interval
from attacks.measures.metrics import top1_credit_at, top_credit
from attacks.ranks.exact import Ranks, exact_ranks
from attacks.ranks.means import user_means

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class Release(NamedTuple):
    """Vectors of the same users and events, as one release has them.

    Attributes
    ----------
    gallery : (g, d)
        One vector per user.
    probe : (n, d)
    """

    gallery: NDArray[np.float32]
    probe: NDArray[np.float32]


class Weakness(NamedTuple):
    """What the best attacker reaches, beside what it should.

    Attributes
    ----------
    attacker_weak
        Whether top-1 is below the reference, by the interval of their difference.
    top1, reference
        Of the best attacker and of the plain one, on the same probes among the same users.
    low, high
        95 % interval of ``top1 - reference``.
    bits
        Information of a probe about its user in the defended release.
    num_axes
        Of the undefended vectors, that hold as much.
    """

    attacker_weak: bool
    top1: float
    reference: float
    low: float
    high: float
    bits: float
    num_axes: int


def weakness(
    best: Ranks,
    true_row: Rows,
    undefended: Release,
    defended: Release,
) -> Weakness:
    """Compare the best attacker with a plain one on undefended vectors of equal information.

    Protection is over-estimated where the attacker is poor: a release that tells much about its
    users, and an attack that finds few of them. What it tells is measured by somebody who knows
    who is who: the canonical correlations r of probes with their users' gallery vectors give an
    information of -1/2 sum log2(1 - r^2) bits, exact for normal vectors, whatever rotation or
    scaling stands between the two. Of the undefended vectors, free of noise, the leading canonical
    axes are kept as long as they hold no more than that. There a plain attacker, the nearest user
    by distance, sets the reference: as much information, on few and plain axes.

    Axes are fitted to one half of the users, and everything is measured on the other, so that
    chance correlations count for nothing; the best attacker's ranks are brought to its gallery
    exactly. Information spread over more axes is easier to use, which errs against a flag.

    Parameters
    ----------
    best
        Of the best attacker on the defended release, among g users.
    true_row : (n,)
        Gallery row of each probe's user; all are in the gallery.
    undefended, defended

    Raises
    ------
    ValueError
        If there are fewer than 8 users, or a probe's user is not in the gallery.

    References
    ----------
    Harold Hotelling, Relations Between Two Sets of Variates, Biometrika, 1936.

    Izrail M. Gelfand, Akiva M. Yaglom, Calculation of the Amount of Information about a Random
    Function Contained in Another Such Function, Uspekhi Matematicheskikh Nauk, 1957 (the sum).

    Florian Tramer, Nicholas Carlini, Wieland Brendel, Aleksander Madry, On Adaptive Attacks to
    Adversarial Example Defenses, Advances in Neural Information Processing Systems, 2020.
    """
    num_users = len(defended.gallery)
    if num_users < 8 or true_row.min(initial=0) < 0:
        raise ValueError(
            f"weakness: needs 8 users or more and probes of theirs alone, got {num_users} users"
        )
    # By the order of vectors, so that the numbering of users does not matter.
    place = np.empty(num_users, np.int64)
    place[np.lexsort(undefended.gallery.T)] = np.arange(num_users)
    is_measured = place % 2 == 1

    own, other = (_canonical(one, true_row, is_measured) for one in (undefended, defended))
    available = float(np.cumsum(other.bits)[-1])
    num_axes = int(np.count_nonzero(np.cumsum(own.bits) <= available))
    probes = np.flatnonzero(is_measured[true_row])
    row = np.cumsum(is_measured)[true_row[probes]] - 1
    width = max(1, num_axes)
    plain = exact_ranks(
        own.probe[:, :width].astype(np.float32),
        own.gallery[:, :width].astype(np.float32),
        row,
        metric="euclidean",
    )
    num_measured = int(is_measured.sum())
    found = top1_credit_at(Ranks(*(c[probes] for c in best)), num_users, num_measured)
    # Without a single axis of as little information nothing is to be expected but chance.
    expected = top_credit(plain, 1) if num_axes else np.full(len(probes), 1 / num_measured)
    _, low, high = paired_interval(found, expected, true_row[probes])
    return Weakness(
        bool(high < 0),
        float(found.mean()),
        float(expected.mean()),
        low,
        high,
        available,
        num_axes,
    )


class _Canonical(NamedTuple):
    """Probes and gallery users of the measured half on canonical axes, and bits of each axis."""

    gallery: Floats
    probe: Floats
    bits: Floats


def _canonical(release: Release, true_row: Rows, is_measured: NDArray[np.bool_]) -> _Canonical:
    """Fit axes to pairs of one half of the users, and measure them on the other."""
    gallery, probe = (v.astype(np.float64) for v in release)
    fitted = ~is_measured[true_row]
    mine = np.unique(true_row[fitted])
    later = user_means(probe[fitted], np.searchsorted(mine, true_row[fitted]))
    center, later_center = gallery[mine].mean(axis=0), later.mean(axis=0)
    x, y = gallery[mine] - center, later - later_center
    whiten_x = _whitening(ledoit_wolf(x, assume_centered=True)[0])
    whiten_y = _whitening(ledoit_wolf(probe[fitted] - later_center, assume_centered=True)[0])
    left, _, right = np.linalg.svd(whiten_x.T @ (x.T @ y / len(x)) @ whiten_y)
    width = min(len(left), len(right))
    users = (gallery[is_measured] - center) @ whiten_x @ left[:, :width]
    probes = (probe[~fitted] - later_center) @ whiten_y @ right[:width].T
    row = np.cumsum(is_measured)[true_row[~fitted]] - 1
    scale = np.maximum(users[row].std(axis=0) * probes.std(axis=0), np.finfo(float).tiny)
    moment = ((users[row] - users[row].mean(axis=0)) * (probes - probes.mean(axis=0))).mean(axis=0)
    correlation = (moment / scale).clip(0, 1 - 1e-9)
    return _Canonical(users, probes, -np.log2(1 - correlation**2) / 2)


def _whitening(covariance: Floats) -> Floats:
    variance, axes = np.linalg.eigh(covariance)
    floor = 1e-6 * variance.mean()
    whitening: Floats = axes / np.sqrt(variance.clip(min=floor if floor > 0 else 1.0))
    return whitening
