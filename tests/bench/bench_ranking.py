"""Exact ranks at the size of the documents' gallery, against what else would find them.

Each round times everything in turn; a slice's time is scaled by its share of the probes. The
ranks are also compared with float64 brute force, and their memory with the inputs'. On a machine
with other work, threads that wait for each other (FAISS, one product on all threads) lose more
than threads that do not; the rows with one thread are free of that.
"""

from __future__ import annotations

import functools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.neighbors import NearestNeighbors

from attacks.ranks.exact import Ranks, _multiply, exact_ranks
from attacks.ranks.neighbors import build, neighbors

PROBES, GALLERY, DIM, ROUNDS = 20_000, 28_361, 64, 3
SORT_SLICE, SKLEARN_SLICE, TILE = 50, 1_000, 1_024

Floats = NDArray[np.float32]

on_cpu = functools.partial(exact_ranks, device=torch.device("cpu"))
on_gpu = functools.partial(exact_ranks, device=torch.device("cuda"))


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def num_wrong(ranks: Ranks, probe: Floats, gallery: Floats, true_row: NDArray[np.int64]) -> int:
    """Probes whose counts differ from float64 brute force, with the tie rule for unit vectors."""
    x, g = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in map(np.float64, (probe, gallery)))
    wrong = 0
    for start in range(0, len(x), 500):
        rows = slice(start, start + 500)
        score = x[rows] @ g.T
        here = np.arange(len(score))
        margin = score - score[here, true_row[rows]][:, None]
        margin[here, true_row[rows]] = -np.inf
        greater = (margin > 2.0**-40).sum(axis=1)
        equal = (np.abs(margin) <= 2.0**-40).sum(axis=1)
        wrong += int(((greater != ranks.greater[rows]) | (equal != ranks.equal[rows])).sum())
    return wrong


def peak_bytes_above(call: Callable[[], object]) -> int:
    """Largest resident memory during a call, sampled, minus that before it."""
    process, done = psutil.Process(), threading.Event()
    before, peak = process.memory_info().rss, 0

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return peak - before


def products_only(
    multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], probe: Floats, gallery: Floats
) -> None:
    """One quarter of the ranks' tiles, multiplied on as many threads and not looked at."""
    x, g = torch.from_numpy(probe[: PROBES // 4]), torch.from_numpy(gallery)
    threads = torch.get_num_threads()

    def block(left: torch.Tensor) -> None:
        for right in g.split(TILE):
            multiply(left, right)

    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(block, x.split(TILE)))
    torch.set_num_threads(threads)


@pytest.fixture(params=[1, 0], ids=["one thread", "all threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param or before)
    yield torch.get_num_threads()
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("kind", ["random", "duplicated", "all equal"])
def test_exact_ranks_cost_less_than_a_top_20(
    benchmark: BenchmarkFixture, told: Callable[..., None], kind: str
) -> None:
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((GALLERY, DIM), dtype=np.float32)
    if kind == "duplicated":
        gallery = gallery[rng.integers(GALLERY // 10, size=GALLERY)]
    if kind == "all equal":
        gallery[:] = gallery[0]
    true_row = rng.integers(GALLERY, size=PROBES)
    probe = gallery[true_row] + np.float32(2) * rng.standard_normal((PROBES, DIM), dtype=np.float32)
    calls = {
        "ranks": (lambda: on_cpu(probe, gallery, true_row), 1.0),
        "faiss_top20": (lambda: neighbors(probe, gallery, 20), 1.0),
        "sgemm_onednn": (lambda: products_only(_multiply, probe, gallery), 4.0),
        "sgemm_torch_mm": (
            lambda: products_only(lambda x, g: torch.mm(x, g.T), probe, gallery),
            4.0,
        ),
    }
    slow = {
        "sklearn_top20": (
            lambda: (
                NearestNeighbors(n_neighbors=20, algorithm="brute", metric="cosine")
                .fit(gallery)
                .kneighbors(probe[:SKLEARN_SLICE])
            ),
            PROBES / SKLEARN_SLICE,
        ),
        "faiss_full_sort": (
            lambda: neighbors(probe[:SORT_SLICE], gallery, GALLERY),
            PROBES / SORT_SLICE,
        ),
        "numpy_argsort": (
            lambda: np.argsort(-(probe[:SORT_SLICE] @ gallery.T), axis=1),
            PROBES / SORT_SLICE,
        ),
    }
    if kind != "random":
        slow = {}
    on_cpu(probe[:64], gallery, true_row[:64])
    peak_bytes = peak_bytes_above(lambda: on_cpu(probe, gallery, true_row))
    times: dict[str, list[float]] = {name: [] for name in calls | slow}

    def once() -> None:
        for number in range(ROUNDS):
            # The slow ones are far from every bar; one round of them is enough.
            for name, (call, scale) in (calls if number else calls | slow).items():
                times[name].append(seconds(call) * scale)

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    median = {name: statistics.median(values) for name, values in times.items()}
    ranks = on_cpu(probe, gallery, true_row)
    told(
        {
            "probes x gallery x dimensions": f"{PROBES} x {GALLERY} x {DIM}",
            "vectors": kind,
            "wrong": num_wrong(ranks, probe, gallery, true_row),
            "tied_share": round(float((ranks.equal > 0).mean()), 4),
            "peak_mib_above_inputs": round(peak_bytes / 2**20, 1),
            "pairs_per_s": round(PROBES * GALLERY / median["ranks"]),
            **{f"{name}_s": round(value, 3) for name, value in median.items()},
            "ratio_to_faiss_top20": round(median["ranks"] / median["faiss_top20"], 3),
            "share_of_onednn_sgemm_rate": round(median["sgemm_onednn"] / median["ranks"], 3),
            "share_of_torch_mm_rate": round(median["sgemm_torch_mm"] / median["ranks"], 3),
            **{
                f"times_faster_than_{name}": round(median[name] / median["ranks"], 1)
                for name in slow
            },
            "faiss": build(),
        }
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("gallery_size", [GALLERY, 250_000])
def test_exact_ranks_on_a_gpu_against_all_cores(
    benchmark: BenchmarkFixture, told: Callable[..., None], gallery_size: int
) -> None:
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((gallery_size, DIM), dtype=np.float32)
    true_row = rng.integers(gallery_size, size=PROBES)
    probe = gallery[true_row] + np.float32(2) * rng.standard_normal((PROBES, DIM), dtype=np.float32)
    times: dict[str, list[float]] = {"gpu": [], "cpu": []}
    found = {"gpu": on_gpu(probe[:64], gallery, true_row[:64])}

    def once() -> None:
        for _ in range(ROUNDS):
            for name, rank in (("gpu", on_gpu), ("cpu", on_cpu)):
                began = time.perf_counter()
                found[name] = rank(probe, gallery, true_row)
                times[name].append(time.perf_counter() - began)

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    gpu_s, cpu_s = (statistics.median(times[name]) for name in ("gpu", "cpu"))
    for on_one, on_other in zip(found["gpu"], found["cpu"], strict=True):
        np.testing.assert_array_equal(on_one, on_other)
    told(
        {
            "probes x gallery x dimensions": f"{PROBES} x {gallery_size} x {DIM}",
            "gpu_s": round(gpu_s, 3),
            "cpu_s": round(cpu_s, 3),
            "times_as_fast": round(cpu_s / gpu_s, 1),
            "pairs_per_s": round(PROBES * gallery_size / gpu_s),
        }
    )
