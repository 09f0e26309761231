"""k-reciprocal re-ranking of the nearest gallery users."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array, vstack
from sklearn.preprocessing import normalize

from attacks.base import Attack, Metric
from attacks.ranks.counting import TIE
from attacks.ranks.exact import Ranks
from attacks.ranks.neighbors import neighbors
from attacks.ranks.precision import medians, to_float32

CHUNK = 512
"""Vectors handled at a time; their neighbors are compared in float64."""


class Reranked(Attack):
    """Reorders the gallery users at the smallest angles by how many neighbors they share with it.

    The adversary holds one released vector per known user and wants the user behind each
    anonymous vector of the same release. It knows that some vectors are near to everything and
    that some regions are crowded: a user counts only if the probe is among the user's nearest as
    well, and the more, the more such reciprocal neighbors the two have in common. The new score
    mixes the overlap (Jaccard index) of their neighborhoods with the cosine. Angles are those at
    the gallery's median: an offset that all vectors share would make all of them near.

    Each probe is judged alone: neighborhoods consist of gallery users, and those of gallery users
    are computed without the probe, so that no probe's rank depends on the others. A list of
    neighbors ends where a tie would cut it in two; duplicates are thus in or out together. Beyond
    the candidates the exact ranks by cosine stand. Each call compares the gallery to itself.

    With one vector per user all neighbors are other people, unlike the several photographs of one
    in the source. Its averaging of neighboring codes is left out for that reason, and the cosine
    weighs more than its 0.3: on planted users both cost up to half of the lift. What is left
    gained 4-14 % for users apart from groups of more than ``k1``, and lost up to 10 % elsewhere.

    Parameters
    ----------
    top
        Candidates reordered, at least 1.
    k1
        Neighbors looked at for reciprocity, at least 2.
    weight
        Weight of the cosine in the new score, in [0, 1].

    References
    ----------
    Zhun Zhong, Liang Zheng, Donglin Cao, Shaozi Li, Re-ranking Person Re-identification with
    k-reciprocal Encoding, IEEE Conference on Computer Vision and Pattern Recognition, 2017
    (``k1`` is theirs).
    """

    metric: ClassVar[Metric] = "cosine"

    def __init__(self, *, top: int = 100, k1: int = 20, weight: float = 0.7) -> None:
        for name, value, least in (("top", top, 1), ("k1", k1, 2)):
            if value < least:
                raise ValueError(f"reranked: {name} must be at least {least}, got {value}")
        if not 0 <= weight <= 1:
            raise ValueError(f"reranked: weight must be in 0..1, got {weight}")
        self.top, self.k1, self.weight = top, k1, weight

    def ranks(
        self,
        probe: NDArray[np.float32],
        gallery: NDArray[np.float32],
        true_row: NDArray[np.int64],
    ) -> Ranks:
        """Place of the true user: among the candidates if it is one, by cosine otherwise.

        Parameters
        ----------
        probe : (n, d)
        gallery : (g, d)
        true_row : (n,)

        Returns
        -------
        Ranks
        """
        probe, gallery = _centered(probe, gallery)
        greater, equal = super().ranks(probe, gallery, true_row)
        hopeful = np.flatnonzero((true_row >= 0) & (greater < self.top))
        if not hopeful.size:
            return Ranks(greater, equal)
        users = _Users(gallery, self.k1)
        for start in range(0, len(hopeful), CHUNK):
            rows = hopeful[start : start + CHUNK]
            nearest = users.nearest(probe[rows], max(self.top, self.k1))
            code = users.encode(probe[rows], nearest)
            candidate = nearest.within(self.top)
            for i, row in enumerate(rows):
                candidates = nearest.rows[i, candidate[i]]
                true = np.flatnonzero(candidates == true_row[row])
                if true.size:
                    score = (1 - self.weight) * users.overlap(code[[i]], candidates)
                    score += self.weight * nearest.cosine[i, candidate[i]]
                    ahead = score - score[true]
                    greater[row] = np.count_nonzero(ahead > TIE)
                    equal[row] = np.count_nonzero(np.abs(ahead) <= TIE) - 1
        return Ranks(greater, equal)

    def best(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of the closest gallery user, at the gallery's median, ``(n,)``."""
        return super().best(*_centered(probe, gallery))


class _Nearest(NamedTuple):
    """Nearest gallery users of some vectors, ``(r, k)`` each, nearest first."""

    rows: NDArray[np.int64]
    cosine: NDArray[np.float64]

    def within(self, k: int) -> NDArray[np.bool_]:
        """Say which are among the k nearest; those tied with the next one are not."""
        if k >= self.cosine.shape[1]:
            return np.isfinite(self.cosine)
        return self.cosine > self.cosine[:, [k]] + TIE

    def members(self, k: int, num_users: int) -> Any:
        """Sparse ``(r, num_users)`` with a 1 for each user among the k nearest."""
        is_member = self.within(k)
        first = np.concatenate([[0], np.cumsum(is_member.sum(axis=1))])
        rows = self.rows[is_member]
        return csr_array((np.ones(len(rows)), rows, first), shape=(len(first) - 1, num_users))


class _Users:
    """Neighborhoods of the gallery users, as sparse rows over the gallery users.

    A code holds exp(cosine - 1) for every member of an expanded reciprocal neighborhood.
    """

    def __init__(self, gallery: NDArray[np.float32], k1: int) -> None:
        self.gallery, self.k1 = gallery, k1
        self.unit = normalize(gallery.astype(np.float64))
        starts = range(0, len(gallery), CHUNK)
        pieces = [self.nearest(gallery[i : i + CHUNK], k1 + 1, own=i) for i in starts]
        nearest = _Nearest(*(np.concatenate(arrays) for arrays in zip(*pieces, strict=True)))
        members = [nearest.members(k, len(gallery)) for k in (k1, k1 // 2)]
        itself = eye_array(len(gallery), format="csr")
        reciprocal, self.half = (near * near.T + itself for near in members)
        # A vector is among the k1 nearest of a user if it is nearer than the k1-th other user.
        few = k1 > nearest.cosine.shape[1]
        self.farthest = np.full(len(gallery), -np.inf) if few else nearest.cosine[:, k1 - 1]
        codes = [self._weigh(self.unit[i : i + CHUNK], reciprocal[i : i + CHUNK]) for i in starts]
        self.code = vstack(codes, format="csr")
        self.size = self.code.sum(axis=1)

    def nearest(self, vectors: NDArray[np.float32], k: int, *, own: int | None = None) -> _Nearest:
        """Nearest k users, and one more to see a tie; ``own``: the vectors' own first row."""
        _, rows = neighbors(vectors, self.gallery, min(k + 1, len(self.gallery)))
        cosine = np.einsum("rd,rkd->rk", normalize(vectors.astype(np.float64)), self.unit[rows])
        if own is not None:
            cosine[rows == own + np.arange(len(rows))[:, None]] = -np.inf
        order = np.argsort(-cosine, axis=1, kind="stable")
        return _Nearest(
            np.take_along_axis(rows, order, axis=1), np.take_along_axis(cosine, order, axis=1)
        )

    def encode(self, vectors: NDArray[np.float32], nearest: _Nearest) -> Any:
        """Codes of vectors ``(r, d)`` that are not in the gallery, ``(r, g)``."""
        near = nearest.members(self.k1, len(self.gallery)).tocoo()
        unit = normalize(vectors.astype(np.float64))
        mutual = _cosines(unit, self.unit, near) > self.farthest[near.col] + TIE
        reciprocal = csr_array(
            (near.data[mutual], (near.row[mutual], near.col[mutual])), shape=near.shape
        )
        return self._weigh(unit, reciprocal)

    def overlap(self, code: Any, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Jaccard index in [0, 1] of one code ``(1, g)`` with those of some users."""
        dense = np.zeros(len(self.gallery))
        dense[code.indices] = code.data
        theirs = self.code[users]
        shared = np.add.reduceat(np.minimum(theirs.data, dense[theirs.indices]), theirs.indptr[:-1])
        index: NDArray[np.float64] = shared / (self.size[users] + code.data.sum() - shared)
        return index

    def _weigh(self, unit: NDArray[np.float64], reciprocal: Any) -> Any:
        """Add the neighborhoods that lie to two thirds inside, and weigh members by nearness."""
        shared = (reciprocal @ self.half.T * reciprocal).tocoo()
        inside = 3 * shared.data >= 2 * self.half.sum(axis=1)[shared.col]
        added = csr_array(
            (inside[inside].astype(float), (shared.row[inside], shared.col[inside])),
            shape=shared.shape,
        )
        members = (reciprocal + added @ self.half).tocoo()
        members.data = np.exp(_cosines(unit, self.unit, members) - 1)
        return members.tocsr()


def _centered(
    probe: NDArray[np.float32], gallery: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    center = medians(gallery)
    return to_float32(probe, center), to_float32(gallery, center)


def _cosines(left: NDArray[np.float64], right: NDArray[np.float64], pairs: Any) -> Any:
    """Cosine of each pair that a sparse matrix holds."""
    return np.einsum("pd,pd->p", left[pairs.row], right[pairs.col])
