"""Exact ranks at the size of the documents' gallery, against what else would find them.

Each round times everything in turn; a slice's time is scaled by its share of the probes. The
ranks are also compared with float64 brute force, and their memory with the inputs'. On a machine
with other work, threads that wait for each other (FAISS, one product on all threads) lose more
than threads that do not; the rows with one thread, and ratios of CPU time, are free of that.
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.neighbors import NearestNeighbors

from attacks.ranks.exact import Ranks, exact_ranks
from attacks.ranks.neighbors import build, neighbors
from models.network import Network
from suite.artifacts.fitted import Fitted
from suite.spec import Part, Training
from suite.steps.features import prepare
from suite.steps.represent import represent
from suite.training.build import build as build_model
from suite.training.loop import Worker, train
from tests.attacks.ranks.test_exact import oracle

PROBES, GALLERY, DIM, ROUNDS = 20_000, 28_361, 64, 3
SORT_SLICE, SKLEARN_SLICE, TILE = 50, 1_000, 1_024

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

SAMPLE = Path(os.environ.get("LATENTPRINT_DATA", Path(__file__).parents[3] / "shared/data"))
SAMPLE = SAMPLE / "kuairand"

on_cpu = functools.partial(exact_ranks, device=torch.device("cpu"))
on_gpu = functools.partial(exact_ranks, device=torch.device("cuda"))


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU time; beside other work the second says more."""
    began, cpu_began = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - cpu_began


def num_wrong(
    ranks: Ranks, probe: Floats, gallery: Floats, true_row: Rows, metric: str = "cosine"
) -> int:
    """Probes whose counts differ from float64 brute force with the tie rule."""
    wrong = 0
    for start in range(0, len(probe), 500):
        rows = slice(start, start + 500)
        greater, equal = oracle(probe[rows], gallery, true_row[rows], metric)
        wrong += int(((greater != ranks.greater[rows]) | (equal != ranks.equal[rows])).sum())
    return wrong


def world(kind: str) -> tuple[Floats, Floats, Rows]:
    """Probes, gallery and true rows.

    ``planted spectrum``: 93 % of the energy on one axis and 99 % on eight, which is what was found
    of a BiLSTM's vectors on the KuaiRand sample; ``bilstm``: those vectors themselves.
    """
    rng = np.random.default_rng(0)
    true_row = rng.integers(GALLERY, size=PROBES)
    if kind == "bilstm":
        return (*resampled(rng, true_row), true_row)
    gallery = rng.standard_normal((GALLERY, DIM), dtype=np.float32)
    if kind == "duplicated":
        gallery = gallery[rng.integers(GALLERY // 10, size=GALLERY)]
    if kind == "all equal":
        gallery[:] = gallery[0]
    probe = gallery[true_row] + np.float32(2) * rng.standard_normal((PROBES, DIM), dtype=np.float32)
    if kind == "planted spectrum":
        share = np.repeat([0.93, 0.06 / 7, 0.01 / (DIM - 8)], [1, 7, DIM - 8])
        axes = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0] * np.sqrt(share)
        probe, gallery = (np.float32(v @ axes.T) for v in (probe, gallery))
    return probe, gallery, true_row


def resampled(rng: np.random.Generator, true_row: Rows) -> tuple[Floats, Floats]:
    """Give probes and gallery of more users than there are.

    Each is one of the real users, with a mean of four of the user's vectors drawn with replacement
    in the gallery, and with one vector as the probe.
    """
    vectors, user = bilstm_vectors()
    vectors = vectors[np.argsort(user, kind="stable")]
    count = np.unique(user, return_counts=True)[1]
    first = np.cumsum(count) - count
    drawn = rng.choice(np.flatnonzero(count >= 8), size=GALLERY)

    def one(users: Rows) -> Rows:
        return first[users] + (rng.random(len(users)) * count[users]).astype(np.int64)

    gallery = np.mean([vectors[one(drawn)] for _ in range(4)], axis=0, dtype=np.float64)
    return vectors[one(drawn[true_row])], np.float32(gallery)


@functools.cache
def bilstm_vectors() -> tuple[Floats, Rows]:
    """Train a BiLSTM on the KuaiRand sample for a few epochs: ``(n, 64)`` and users ``(n,)``."""
    dataset = Part(
        name="kuairand",
        parameters={
            "path": str(SAMPLE),
            "time_zone": "Asia/Shanghai",
            "train": "2022-04-12",
            "validation": "2022-04-16",
            "test": "2022-04-18",
            "end": "2022-04-22",
            "history_days": 4,
        },
    )
    features, model = prepare(dataset=dataset, holdout_users=0.2), Part(name="bilstm")
    network = build_model(model, 0, features)
    assert isinstance(network, Network)
    with tempfile.TemporaryDirectory() as folder:
        trained = train(
            network,
            features,
            Training(epochs=4),
            seed=0,
            worker=Worker(),
            checkpoint_url=f"{folder}/checkpoint.pt",
            report=lambda _: None,
        )
    network.load_state_dict(trained["best"])
    fitted = Fitted(network.state(), pl.DataFrame(), [], [], network.num_parameters)
    released = represent(features, fitted, model=model, release="model", seed=0)
    return released.vector, released.user_id


def energy(vectors: Floats, axes: int) -> float:
    """Share of the squared length that lies on the first principal axes."""
    value = np.linalg.eigvalsh(vectors.T.astype(np.float64) @ vectors)[::-1]
    return float(value[:axes].sum() / value.sum())


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


def products_only(probe: Floats, gallery: Floats) -> None:
    """Multiply a quarter of the pairs in float32 tiles, on as many threads; look at none."""
    x, g = torch.from_numpy(probe[: PROBES // 4]), torch.from_numpy(gallery)
    threads = torch.get_num_threads()

    def block(left: torch.Tensor) -> None:
        for right in g.split(TILE):
            torch.mm(left, right.T)

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
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "kind", ["isotropic", "planted spectrum", "bilstm", "duplicated", "all equal"]
)
def test_exact_ranks_cost_less_than_a_top_20(
    benchmark: BenchmarkFixture, told: Callable[..., None], kind: str
) -> None:
    if kind == "bilstm" and not SAMPLE.exists():
        pytest.skip(f"no KuaiRand sample in {SAMPLE}")
    probe, gallery, true_row = world(kind)
    calls = {
        "ranks": (lambda: on_cpu(probe, gallery, true_row), 1.0),
        "faiss_top20": (lambda: neighbors(probe, gallery, 20), 1.0),
        "euclidean_ranks": (lambda: on_cpu(probe, gallery, true_row, metric="euclidean"), 1.0),
        "euclidean_faiss_top20": (lambda: neighbors(probe, gallery, 20, metric="euclidean"), 1.0),
        "sgemm_torch_mm": (lambda: products_only(probe, gallery), 4.0),
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
    if kind != "isotropic":
        slow = {}
    for metric in ("cosine", "euclidean"):
        on_cpu(probe[:64], gallery, true_row[:64], metric=metric)
    peak_bytes = peak_bytes_above(lambda: on_cpu(probe, gallery, true_row))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls | slow}

    def once() -> None:
        for number in range(ROUNDS):
            # The slow ones are far from every bar; one round of them is enough.
            for name, (call, scale) in (calls if number else calls | slow).items():
                wall, cpu = seconds(call)
                times[name].append((wall * scale, cpu * scale))

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    median, cpu_median = (
        {name: statistics.median(pair[i] for pair in pairs) for name, pairs in times.items()}
        for i in (0, 1)
    )
    ranks = on_cpu(probe, gallery, true_row)
    by_distance = on_cpu(probe, gallery, true_row, metric="euclidean")
    told(
        {
            "probes x gallery x dimensions": f"{PROBES} x {GALLERY} x {DIM}",
            "vectors": kind,
            "energy_on_1_and_8_axes": [round(energy(gallery, n), 3) for n in (1, 8)],
            "wrong": num_wrong(ranks, probe, gallery, true_row),
            "euclidean_wrong": num_wrong(by_distance, probe, gallery, true_row, "euclidean"),
            "tied_share": round(float((ranks.equal > 0).mean()), 4),
            "peak_mib_above_inputs": round(peak_bytes / 2**20, 1),
            "pairs_per_s": round(PROBES * GALLERY / median["ranks"]),
            **{f"{name}_s": round(value, 3) for name, value in median.items()},
            **{
                f"{name}_ratio_to_faiss_top20": round(of[a] / of[b], 3)
                for a, b in (("ranks", "faiss_top20"), ("euclidean_ranks", "euclidean_faiss_top20"))
                for name, of in ((a, median), (f"{a}_cpu_time", cpu_median))
            },
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
