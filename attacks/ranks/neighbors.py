"""Nearest gallery users themselves, for top-k lists and re-ranking, through FAISS.

The ranks in `attacks.ranks.exact` are certified and need no FAISS; this is its only import. Its own
float32 products decide here, so that near-ties may come in either order.

Shape letters: n probes, g gallery users, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attacks.ranks.precision import Floats, Vectors, check_vectors, comparable, medians

Rows = NDArray[np.int64]

MAX_GPU_K = 2048
"""FAISS's selection kernels on a GPU keep no longer lists."""

GPU_TILE_BYTES = 2**30
"""Memory that vectors, and queries with their results, may each take on a GPU."""

HNSW_LINKS = 32
HNSW_EFFORT = 200
"""Links per user, and candidates kept while building and searching: Malkov and Yashunin,
Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical Navigable Small World
Graphs, IEEE Transactions on Pattern Analysis and Machine Intelligence, 2020, find 16-48 links
best for demanding recall."""


def neighbors(
    probe: Vectors,
    gallery: Vectors,
    k: int,
    *,
    metric: Literal["cosine", "euclidean", "dot"] = "cosine",
    approximate: bool = False,
) -> tuple[Floats, Rows]:
    """Find the k closest gallery users of every probe.

    Probes are spread over all CUDA devices where FAISS has its GPU build; elsewhere it runs on as
    many threads as torch does.

    Parameters
    ----------
    probe : (n, d)
    gallery : (g, d)
        Float32 or float64.
    k
        In 1..g; up to 2,048 on a GPU.
    metric
        What makes a user close.
    approximate
        Search an HNSW graph on the CPU: an adversary in a hurry, who misses some neighbors.

    Returns
    -------
    scores : (n, k) float32
        Largest first: cosine, inner product, or minus the squared distance.
    rows : (n, k) int64
        Gallery rows; -1, with a score of minus infinity, where the graph led to too few.

    Raises
    ------
    ValueError
        If the vectors do not fit, k is out of range or the metric is unknown.
    ModuleNotFoundError
        If neither build of FAISS is installed.
    """
    check_vectors(probe, gallery)
    if metric not in ("cosine", "euclidean", "dot"):
        raise ValueError(f"metric must be cosine, euclidean or dot, got {metric!r}")
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k must be in 1..{len(gallery)}, the gallery's size, got {k}")
    probe, gallery = _prepare(*comparable(probe, gallery, metric), metric)
    with library() as faiss:
        measure = faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
        search = _search_graph if approximate else _search(faiss)
        scores, rows = search(faiss, probe, gallery, k, measure)
    scores = -scores if metric == "euclidean" else scores
    scores[rows < 0] = -np.inf
    return scores, rows


@contextmanager
def library() -> Iterator[Any]:
    """FAISS itself, which runs on as many threads as torch does until the block ends.

    Raises
    ------
    ModuleNotFoundError
        If neither build of FAISS is installed.
    """
    import torch

    faiss = _faiss()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(threads)


def build() -> str:
    """Say which FAISS is installed and how many GPUs it sees, in one line."""
    try:
        faiss = _faiss()
    except ModuleNotFoundError as error:
        return str(error)
    kinds = {_search_all: "CPU", _search_gpus: "CUDA", _search_metal: "Metal"}
    return f"FAISS {faiss.__version__} on {kinds[_search(faiss)]}, {_num_gpus(faiss)} GPUs"


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        message = "FAISS is not installed: pip install 'latentprint[cpu]' or 'latentprint[gpu]'"
        raise ModuleNotFoundError(message, name="faiss") from error
    return faiss


def _num_gpus(faiss: Any) -> int:
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def _search(faiss: Any) -> Callable[..., tuple[Floats, Rows]]:
    """Choose by what the build has: only CUDA's knows brute force over arrays."""
    if not _num_gpus(faiss):
        return _search_all
    return _search_gpus if hasattr(faiss, "GpuDistanceParams") else _search_metal


def _prepare(probe: Floats, gallery: Floats, metric: str) -> tuple[Floats, Floats]:
    """Normalize for the cosine; center for distances, which FAISS would otherwise cancel away."""
    if metric == "cosine":
        return _unit(probe), _unit(gallery)
    if metric == "euclidean":
        center = medians(gallery)
        return (probe - center).astype(np.float32), (gallery - center).astype(np.float32)
    return np.ascontiguousarray(probe), np.ascontiguousarray(gallery)


def _unit(vectors: Floats) -> Floats:
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    unit: Floats = (exact / np.where(length > 0, length, 1.0)).astype(np.float32)
    return unit


def _search_all(
    faiss: Any, probe: Floats, gallery: Floats, k: int, measure: int
) -> tuple[Floats, Rows]:
    found: tuple[Floats, Rows] = faiss.knn(probe, gallery, k, metric=measure)
    return found


def _search_gpus(
    faiss: Any, probe: Floats, gallery: Floats, k: int, measure: int
) -> tuple[Floats, Rows]:
    """Give every GPU a share of the probes and the whole gallery, streamed in tiles."""
    if k > MAX_GPU_K:
        raise ValueError(f"k must be in 1..{MAX_GPU_K} on a GPU, got {k}")

    def search(device: int) -> tuple[Floats, Rows]:
        found: tuple[Floats, Rows] = faiss.knn_gpu(
            faiss.StandardGpuResources(),
            shares[device],
            gallery,
            k,
            metric=measure,
            device=device,
            vectorsMemoryLimit=GPU_TILE_BYTES,
            queriesMemoryLimit=GPU_TILE_BYTES,
        )
        return found

    shares = np.array_split(probe, _num_gpus(faiss))
    with ThreadPoolExecutor(len(shares)) as pool:
        found = list(pool.map(search, [d for d, share in enumerate(shares) if len(share)]))
    if not found:
        return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
    return np.concatenate([scores for scores, _ in found]), np.concatenate([r for _, r in found])


def _search_metal(
    faiss: Any, probe: Floats, gallery: Floats, k: int, measure: int
) -> tuple[Floats, Rows]:
    """Put a flat index on Apple's GPU, the gallery in tiles that it holds; merge their lists.

    References
    ----------
    FAISS, pull requests 5144 and 5280, 2026: the Metal backend has flat indexes, one device.
    """
    if k > MAX_GPU_K:
        raise ValueError(f"k must be in 1..{MAX_GPU_K} on a GPU, got {k}")
    resources = faiss.StandardGpuResources()
    height = max(k, GPU_TILE_BYTES // (4 * gallery.shape[1]))
    found = faiss.ResultHeap(len(probe), k, keep_max=measure == faiss.METRIC_INNER_PRODUCT)
    for start in range(0, len(gallery), height):
        tile = gallery[start : start + height]
        flat = faiss.IndexFlat(gallery.shape[1], measure)
        flat.add(tile)
        index = faiss.index_cpu_to_gpu(resources, 0, flat)
        scores, rows = index.search(probe, min(k, len(tile)))
        found.add_result(scores, rows + start)
    found.finalize()
    return found.D, found.I


def _search_graph(
    faiss: Any, probe: Floats, gallery: Floats, k: int, measure: int
) -> tuple[Floats, Rows]:
    index = faiss.IndexHNSWFlat(gallery.shape[1], HNSW_LINKS, measure)
    index.hnsw.efConstruction = HNSW_EFFORT
    index.hnsw.efSearch = max(HNSW_EFFORT, k)
    index.add(gallery)
    found: tuple[Floats, Rows] = index.search(probe, k)
    return found
