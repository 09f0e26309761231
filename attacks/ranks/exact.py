"""Exact rank of the true user among all gallery users, for every probe.

A rank needs no sorted list, only counts: how many others score above the true user and how many
tie with it. Float32 matrix products decide every pair outside a rigorous bound on their rounding
error; float64 arithmetic on the caller's own float32 vectors decides the rest. The counts
therefore depend neither on tiles, threads, shards nor on the device.

The score is larger for closer users. With x a probe and g a gallery user, in float64:

========= ==================================================== =======================
metric    score                                                size
========= ==================================================== =======================
cosine    x.g / (|x| |g|), 0 where either vector is 0          1, or 0 for a zero vector
dot       x.g                                                  |x| |g|
euclidean x'.g' - |g'|^2 / 2, ' : minus the gallery's median   |x'| |g'| + |g'|^2 / 2
========= ==================================================== =======================

The tie rule: a competitor ties with the true user when their scores differ by at most 2^-40 of
the larger of the two pairs' sizes; it is greater when its score is larger by more than that. The
median, column by column, is a center that one outlying user does not move: another pair's size
knows nothing of it. Float64 vectors are rounded by `attacks.ranks.precision.comparable` first.

The true score is a float64 number as well, not an entry of the float32 product: both sides of a
comparison are then certified, and the band around it is half as wide.

Shape letters: n probes, g gallery users, d dimensions; r and c probes and users of a tile.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attacks.ranks.precision import Doubles, Floats, Vectors, check_vectors, comparable, medians

if TYPE_CHECKING:
    import torch

    from attacks.ranks.counting import Exact

Rows = NDArray[np.int64]
Counts = NDArray[np.int32]
Pairs = tuple[NDArray[Any], NDArray[Any]]

CPU_TILE_BYTES = 2**22
"""1,024 x 1,024 scores: large enough for the product's full speed, and still in the last-level
cache when they are counted. A quarter of it was 5 %, four times as much 25 % slower."""

DEVICE_TILE_BYTES = 2**26
"""Bounds the device's memory: a tile whose pairs all tie lists them in 16 bytes each."""

CHUNK_ROWS = 8192
"""Rows converted to float64 at a time."""


class Ranks(NamedTuple):
    """How the true user of each probe fares against the other gallery users.

    Attributes
    ----------
    greater : (n,) int32
        Others with a larger score, in [0, g - 1]; g for a user who is not in the gallery.
    equal : (n,) int32
        Others tied with the true user; 0 for a user who is not in the gallery.
    """

    greater: Counts
    equal: Counts


def exact_ranks(
    probe: Vectors,
    gallery: Vectors,
    true_row: Rows,
    *,
    metric: Literal["cosine", "euclidean", "dot"] = "cosine",
    device: torch.device | None = None,
) -> Ranks:
    """Count who beats and who ties with the true user of every probe.

    Parameters
    ----------
    probe : (n, d)
        Vectors to name, float32 or float64.
    gallery : (g, d)
        One vector per known user, float32 or float64.
    true_row : (n,)
        Gallery row of the probe's user; -1 when the user is not in the gallery.
    metric
        What makes a user close; scores and the tie rule are in the module's docstring.
    device
        Where the float32 products run; None takes CUDA if there is one and the CPU otherwise.
        The counts are the same everywhere.

    Returns
    -------
    Ranks
        Two int32 counts per probe.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite, the gallery is empty, a true row is out of
        range or the metric is unknown.
    """
    import torch

    if metric not in ("cosine", "euclidean", "dot"):
        raise ValueError(f"metric must be cosine, euclidean or dot, got {metric!r}")
    check_vectors(probe, gallery)
    _check_true_row(true_row, len(probe), len(gallery))
    probe, gallery = comparable(probe, gallery, metric)
    if device is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = _count_compiled if device.type == "cpu" else _count_on_device
    return _ranks(probe, gallery, true_row, metric, device, count)


@dataclass(frozen=True)
class _Gallery:
    """Gallery users as the matrix product reads them, and what scores them in float64.

    Users are ordered by size, so that a tile's largest size is close to all of its sizes.
    ``products`` holds, per ordered user, the vector over ``unit`` and the offset over ``unit``^2.
    """

    vectors: Floats
    center: Doubles
    scale: Doubles
    size: Doubles
    offset: Doubles
    unit: float
    order: Rows
    products: torch.Tensor
    metric: str


class _Block(NamedTuple):
    """Probes ready for the matrix product: a tile's scores are float64's over ``divisor``."""

    exact: Exact
    products: torch.Tensor
    divisor: Doubles


def _ranks(
    probe: Floats,
    gallery: Floats,
    true_row: Rows,
    metric: str,
    device: torch.device,
    count_above: Callable[..., Pairs],
) -> Ranks:
    """Cut the probes into blocks and count each; a block's counts are its own slice."""
    import torch

    from attacks.ranks.counting import count_pairs

    threads = torch.get_num_threads() if device.type == "cpu" else 1
    users = _prepare_gallery(np.ascontiguousarray(gallery), metric, device)
    greater = np.full(len(probe), len(gallery), np.int32)
    equal = np.zeros(len(probe), np.int32)
    present = np.flatnonzero(true_row >= 0)
    tile_bytes = CPU_TILE_BYTES if device.type == "cpu" else DEVICE_TILE_BYTES
    height = min(math.isqrt(tile_bytes // 4), max(1, math.ceil(len(present) / threads)))

    def rank_block(rows: Rows) -> None:
        block = _prepare_probes(probe[rows], true_row[rows], users, device)
        above, tied = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int32)
        width = tile_bytes // 4 // height
        for start in range(0, len(gallery), width):
            columns = slice(start, min(start + width, len(gallery)))
            low, high = _band(block, users, columns)
            scores = _multiply(block.products, users.products[columns])
            close, competitors = count_above(scores, low, high, above)
            count_pairs(close, users.order[columns][competitors], block.exact, above, tied)
        greater[rows], equal[rows] = above, tied

    blocks = [present[i : i + height] for i in range(0, len(present), height)]
    with _plain_float32(), _workers(threads) as pool:
        list(pool.map(rank_block, blocks))
    return Ranks(greater, equal)


def _prepare_gallery(vectors: Floats, metric: str, device: torch.device) -> _Gallery:
    import torch

    center = np.zeros(vectors.shape[1])
    if metric == "euclidean":
        center = medians(vectors)
    norm = _norms(vectors, center)
    scale, size = _scale_and_size(norm, metric)
    offset = norm**2 / 2 if metric == "euclidean" else np.zeros(len(norm))
    unit = float(size.max()) or 1.0
    order = np.argsort(size, kind="stable")
    products = np.empty((len(vectors), vectors.shape[1] + 1), np.float32)
    products[:, -1] = offset[order] / unit**2
    for start in range(0, len(order), CHUNK_ROWS):
        rows = order[start : start + CHUNK_ROWS]
        centered = vectors[rows] - center
        products[start : start + CHUNK_ROWS, :-1] = centered * (scale[rows] / unit)[:, None]
    return _Gallery(
        vectors,
        center,
        scale,
        size,
        offset,
        unit,
        order,
        torch.from_numpy(products).to(device),
        metric,
    )


def _prepare_probes(
    vectors: Floats, true_row: Rows, users: _Gallery, device: torch.device
) -> _Block:
    import torch

    from attacks.ranks.counting import Exact, score_true

    scale, size = _scale_and_size(_norms(vectors, users.center), users.metric)
    # Brings both terms of a score into [-1, 1], whatever the inputs' magnitude.
    unit = np.maximum(size, users.unit if users.metric == "euclidean" else 0.0)
    unit[unit == 0] = 1.0
    products = np.empty((len(vectors), vectors.shape[1] + 1), np.float32)
    products[:, :-1] = (vectors - users.center) * (scale / unit)[:, None]
    products[:, -1] = -users.unit / unit if users.metric == "euclidean" else 0.0
    exact = Exact(
        probe=np.ascontiguousarray(vectors),
        gallery=users.vectors,
        center=users.center,
        probe_scale=scale,
        probe_size=size,
        gallery_scale=users.scale,
        gallery_size=users.size,
        offset=users.offset,
        true_row=true_row.astype(np.int64),
        true_score=np.empty(len(vectors)),
    )
    score_true(exact)
    return _Block(exact, torch.from_numpy(products).to(device), unit * users.unit)


def _band(block: _Block, users: _Gallery, columns: slice) -> tuple[Floats, Floats]:
    """Float32 bounds ``(r,)`` outside which a tile's product has the right side of the true score.

    An inner product of k terms, each factor rounded once to float32, is off by at most
    (k + 2) u / (1 - (k + 2) u) times the sum of the terms' magnitudes, u = 2^-24, in any order of
    summation and with or without fused products; that sum is at most the pair's size. Underflow
    adds at most a few times the smallest normal number per term.

    References
    ----------
    Nicholas J. Higham, Accuracy and Stability of Numerical Algorithms, SIAM, 2002, section 3.1.
    """
    from attacks.ranks.counting import TIE

    terms = users.products.shape[1]
    rounding = (terms + 2) * 2.0**-24
    exact, last = block.exact, users.order[columns.stop - 1]
    size, offset = users.size[last], users.offset[last]
    largest = exact.probe_size * np.maximum(size, users.size[exact.true_row])
    largest += np.maximum(offset, users.offset[exact.true_row])
    width = rounding / (1 - rounding) * (exact.probe_size * size + offset) + TIE * largest
    # The 1 % covers the rounding of these float64 lines.
    width = 1.01 * width / block.divisor + 4 * terms * 2.0**-126
    middle = exact.true_score / block.divisor
    low = np.nextafter((middle - width).astype(np.float32), np.float32(-np.inf))
    return low, np.nextafter((middle + width).astype(np.float32), np.float32(np.inf))


def _multiply(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Inner products ``(r, c)`` of rows.

    Through oneDNN where torch has it, by the operator that torch.compile emits: torch.mm calls
    MKL, which leaves half of an AMD core's vector width idle (106 against 200 GFLOP/s measured).
    """
    import torch

    if left.device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            left, right, None, "none", [], ""
        )
        return product
    return left @ right.T


def _count_compiled(scores: torch.Tensor, low: Floats, high: Floats, greater: Counts) -> Pairs:
    from attacks.ranks.counting import count_above

    return count_above(scores.numpy(), low, high, greater)  # type: ignore[no-any-return]


def _count_on_device(scores: torch.Tensor, low: Floats, high: Floats, greater: Counts) -> Pairs:
    import torch

    bottom = torch.from_numpy(low).to(scores.device)[:, None]
    top = torch.from_numpy(high).to(scores.device)[:, None]
    above = scores > top
    greater += above.sum(dim=1, dtype=torch.int32).cpu().numpy()
    pairs = torch.nonzero((scores >= bottom) & ~above).cpu().numpy()
    return pairs[:, 0], pairs[:, 1]


def _norms(vectors: Floats, center: Doubles) -> Doubles:
    norm = np.empty(len(vectors))
    for start in range(0, len(vectors), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        norm[rows] = np.sqrt(((vectors[rows] - center) ** 2).sum(axis=1))
    return norm


def _scale_and_size(norm: Doubles, metric: str) -> tuple[Doubles, Doubles]:
    """Factor on a vector and its length after it, each as long as ``norm``."""
    if metric == "cosine":
        return 1 / np.where(norm > 0, norm, 1.0), (norm > 0).astype(np.float64)
    return np.ones(len(norm)), norm


@contextlib.contextmanager
def _plain_float32() -> Iterator[None]:
    """Forbid TF32 and bfloat16 inside float32 products, which would void the rounding bound."""
    import torch

    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


@contextlib.contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that each multiply alone; torch's own number of threads is restored after."""
    import torch

    before = torch.get_num_threads()
    # MKL counts per calling thread, so that every worker has to set its own.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown()
            torch.set_num_threads(before)


def _check_true_row(true_row: Rows, num_probes: int, num_gallery: int) -> None:
    if true_row.shape != (num_probes,) or true_row.dtype.kind not in "iu":
        raise ValueError(
            f"true_row must be {num_probes} integers, got {true_row.dtype} "
            f"of shape {true_row.shape}"
        )
    bad = np.flatnonzero((true_row < -1) | (true_row >= num_gallery))
    if bad.size:
        raise ValueError(
            f"true_row must be in -1..{num_gallery - 1}, got {true_row[bad[0]]} in row {bad[0]}"
        )
