"""Identification metrics from raw counts: how often, and how nearly, the true user comes first.

A tie counts as a random order: with g = ``greater`` and e = ``equal`` the true user's rank is
uniform on g + 1 .. g + e + 1, and every figure is its expectation over that order. ``*_rank`` is
better when small; everything else is better, for the adversary, when large.

Shape letters: n probes, N gallery users.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from attacks.ranks.exact import Ranks
from attacks.ranks.means import user_means

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Identification:
    """Figures of one attack over mated probes, those whose user is in the gallery.

    Attributes
    ----------
    top1, top5, top10, top20
        Mean credit for a place among the first k, in [0, 1]; None where k exceeds N.
    mrr
        Mean reciprocal rank, in (0, 1].
    mean_rank, median_rank
        Over probes, in [1, N].
    bits, bits_chance
        What the attack tells about the user's place, in [0, log2 N] bits, and what a random
        order would.
    chance, lift
        1 / N, and top-1 over it, in [0, N].
    num_gallery, num_probes, num_unmated, num_users
        N, mated probes, probes left out, users with a mated probe.
    num_users_always, num_users_never
        Users whose every probe is alone at rank 1, and users with no probe even tied for it.
    per_user_top1
        Mean over users of the user's own top-1.
    """

    top1: float
    top5: float | None
    top10: float | None
    top20: float | None
    mrr: float
    mean_rank: float
    median_rank: float
    bits: float
    bits_chance: float
    chance: float
    lift: float
    num_gallery: int
    num_probes: int
    num_unmated: int
    num_users: int
    num_users_always: int
    num_users_never: int
    per_user_top1: float


def identification(ranks: Ranks, user: NDArray[Any], num_gallery: int) -> Identification:
    """Compute every figure of an attack.

    Parameters
    ----------
    ranks
        Counts of n probes; those of users who are not in the gallery are left out and counted.
    user : (n,)
        Who is behind each probe.
    num_gallery
        Gallery users, N.

    Raises
    ------
    ValueError
        If lengths disagree, a count does not fit the gallery or no probe is mated.
    """
    is_mated = mated(ranks, num_gallery)
    if len(user) != len(is_mated):
        raise ValueError(f"user must name {len(is_mated)} probes, got {len(user)}")
    if not is_mated.any():
        raise ValueError(f"no probe's user is in the gallery: 0 of {len(is_mated)} probes")
    ranks = Ranks(ranks.greater[is_mated], ranks.equal[is_mated])
    top1 = top_credit(ranks, 1)
    name, user_row = np.unique(user[is_mated], return_inverse=True)
    always, never = always_never(ranks, user_row)

    def top(k: int) -> float | None:
        return float(top_credit(ranks, k).mean()) if k <= num_gallery else None

    return Identification(
        top1=float(top1.mean()),
        top5=top(5),
        top10=top(10),
        top20=top(20),
        mrr=float(reciprocal_rank(ranks).mean()),
        mean_rank=float(expected_rank(ranks).mean()),
        median_rank=float(np.median(expected_rank(ranks))),
        bits=math.log2(num_gallery) - float(log2_rank(ranks).mean()),
        bits_chance=bits_chance(num_gallery),
        chance=1 / num_gallery,
        lift=float(top1.mean()) * num_gallery,
        num_gallery=num_gallery,
        num_probes=len(top1),
        num_unmated=len(is_mated) - len(top1),
        num_users=len(name),
        num_users_always=int(always.sum()),
        num_users_never=int(never.sum()),
        per_user_top1=float(user_means(top1, user_row).mean()),
    )


def credits(ranks: Ranks, num_gallery: int) -> dict[str, Values]:
    """Figures of each probe in [0, 1] whose means are top-1, MRR, and bits over log2 N.

    In a gallery of one user there is nothing to tell: bits are 0.
    """
    log2_size = math.log2(num_gallery)
    share = 1 - log2_rank(ranks) / log2_size if log2_size else np.zeros(len(ranks.greater))
    return {
        "top1": top_credit(ranks, 1),
        "mrr": reciprocal_rank(ranks),
        "bits": np.clip(share, 0.0, 1.0),
    }


def mated(ranks: Ranks, num_gallery: int) -> NDArray[np.bool_]:
    """Whether each probe's user is in the gallery, ``(n,)``; an absent one has ``greater`` = N.

    Raises
    ------
    ValueError
        If the counts do not fit a gallery of that size.
    """
    others = ranks.greater.astype(np.int64) + ranks.equal
    is_mated = ranks.greater < num_gallery
    is_bad = (ranks.greater < 0) | (ranks.equal < 0) | (others > num_gallery - is_mated)
    if is_bad.any():
        row = np.flatnonzero(is_bad)[0]
        raise ValueError(
            f"greater + equal must be below num_gallery = {num_gallery}, "
            f"got {ranks.greater[row]} + {ranks.equal[row]} in row {row}"
        )
    return is_mated


def expected_rank(ranks: Ranks) -> Values:
    """Return g + 1 + e / 2 of each probe, ``(n,)``."""
    return ranks.greater + 1.0 + ranks.equal / 2.0


def top_credit(ranks: Ranks, k: int) -> Values:
    """Probability of a place among the first k, ``(n,)`` in [0, 1]."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return np.clip((k - ranks.greater) / (1.0 + ranks.equal), 0.0, 1.0)


def reciprocal_rank(ranks: Ranks) -> Values:
    """Return the mean 1 / rank, (H(g + e + 1) - H(g)) / (e + 1), ``(n,)`` in (0, 1].

    H is the harmonic number, digamma(m + 1) + Euler's constant.
    """
    g, e = ranks.greater.astype(np.float64), ranks.equal.astype(np.float64)
    value: Values = np.where(e == 0, 1 / (g + 1), (digamma(g + e + 2) - digamma(g + 1)) / (e + 1))
    return value


def log2_rank(ranks: Ranks) -> Values:
    """Return the mean of log2 over the ranks g + 1 .. g + e + 1, ``(n,)`` in bits."""
    g, e = ranks.greater.astype(np.float64), ranks.equal.astype(np.float64)
    tied = (gammaln(g + e + 2) - gammaln(g + 1)) / ((e + 1) * math.log(2))
    value: Values = np.where(e == 0, np.log2(g + 1), tied)
    return value


def bits_chance(num_gallery: int) -> float:
    """Bits that a random order earns, log2 N - log2(N!) / N; about 1.44 for large N."""
    log2_factorial = float(gammaln(num_gallery + 1)) / math.log(2)
    return math.log2(num_gallery) - log2_factorial / num_gallery


def cmc(ranks: Ranks, num_gallery: int) -> Values:
    """Cumulative match characteristic: mean top-k credit for k = 1 .. N, ``(N,)``, ascending.

    Every probe's credit is a ramp from k = g to k = g + e + 1, so that two running sums over the
    ramps' ends give all k at once. An unmated probe earns nothing.
    """
    slope = 1.0 / (1.0 + ranks.equal)
    start = np.bincount(ranks.greater, slope, num_gallery + 1)
    stop = np.bincount(ranks.greater + ranks.equal + 1, slope, num_gallery + 2)[: num_gallery + 1]
    credit: Values = np.cumsum(np.cumsum(start - stop))[:num_gallery] / len(ranks.greater)
    return credit


def top1_credit_at(ranks: Ranks, num_gallery: int, common: int) -> Values:
    """Top-1 credit in a random gallery of ``common`` users that holds the true one, ``(n,)``.

    With a others ahead, none of them is among the common - 1 drawn from N - 1 with probability
    q(a) = C(N - 1 - a, common - 1) / C(N - 1, common - 1). A random order of the ties makes a
    uniform on g .. g + e, and restricted to the drawn users it still is a random order, so the
    credit is the mean of q over g .. g + e. It is exact; nothing is drawn.

    Raises
    ------
    ValueError
        If ``common`` is not in 1..N, or a probe is unmated.
    """
    if not 1 <= common <= num_gallery:
        raise ValueError(f"common must be in 1..{num_gallery}, got {common}")
    if not mated(ranks, num_gallery).all():
        raise ValueError("top-1 at a common gallery size is about mated probes only")
    ahead = np.arange(num_gallery - 1)
    # q(a + 1) / q(a) = (N - common - a) / (N - 1 - a), and 0 from a = N - common + 1 on.
    ratio = np.maximum(num_gallery - common - ahead, 0) / (num_gallery - 1 - ahead)
    none_drawn = np.concatenate([[1.0], np.cumprod(ratio)])
    total = np.concatenate([[0.0], np.cumsum(none_drawn)])
    g, e = ranks.greater, ranks.equal
    credit: Values = np.where(e == 0, none_drawn[g], (total[g + e + 1] - total[g]) / (e + 1))
    return credit


def always_never(
    ranks: Ranks, user_row: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each user is identified by every probe (credit 1 each), and by none (credit 0).

    Parameters
    ----------
    ranks
        Counts of n mated probes.
    user_row : (n,)
        Row of each probe's user, from 0 up.

    Returns
    -------
    always, never : (u,)
    """
    probes = np.bincount(user_row)
    alone = np.bincount(user_row, (ranks.greater == 0) & (ranks.equal == 0))
    behind = np.bincount(user_row, ranks.greater > 0)
    return alone == probes, behind == probes
