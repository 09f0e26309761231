"""FAISS's neighbors against sorted brute force and the exact ranks."""

import sys

import numpy as np
import pytest

from attacks.ranks.exact import exact_ranks
from attacks.ranks.neighbors import build, neighbors

METRICS = ["cosine", "dot", "euclidean"]


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    gallery = (rng.standard_normal((1500, 16)) + 100).astype(np.float32)
    true_row = rng.integers(1500, size=400)
    probe = (gallery[true_row] + 0.7 * rng.standard_normal((400, 16))).astype(np.float32)
    return probe, gallery, true_row


def brute_force(probe, gallery, metric):
    x, g = probe.astype(np.float64), gallery.astype(np.float64)
    if metric == "euclidean":
        return -((x[:, None] - g) ** 2).sum(axis=2)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        g /= np.linalg.norm(g, axis=1, keepdims=True)
    return x @ g.T


@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_are_the_k_largest_scores_in_order(problem, metric):
    probe, gallery, _ = problem
    expected = brute_force(probe, gallery, metric)

    scores, rows = neighbors(probe, gallery, 20, metric=metric)

    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)
    assert (np.diff(scores) <= 0).all()
    assert all(len(set(row)) == 20 for row in rows)
    tolerance = {"rtol": 1e-6, "atol": 1e-5 if metric == "euclidean" else 0}
    np.testing.assert_allclose(scores, np.take_along_axis(expected, rows, axis=1), **tolerance)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :20], **tolerance)


@pytest.mark.parametrize("metric", METRICS)
def test_first_neighbor_is_the_true_user_exactly_where_the_rank_is_1(problem, metric):
    probe, gallery, true_row = problem
    two_best = -np.sort(-brute_force(probe, gallery, metric), axis=1)[:, :2]
    is_clear = two_best[:, 0] - two_best[:, 1] > 1e-6 * np.abs(two_best[:, 0])

    _, rows = neighbors(probe, gallery, 1, metric=metric)

    is_first = exact_ranks(probe, gallery, true_row, metric=metric).greater == 0
    assert is_clear.mean() > 0.9
    np.testing.assert_array_equal((rows[:, 0] == true_row)[is_clear], is_first[is_clear])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_approximate_search_finds_nearly_all_neighbors(problem, metric):
    probe, gallery, _ = problem
    _, exact = neighbors(probe, gallery, 10, metric=metric)

    scores, rows = neighbors(probe, gallery, 10, metric=metric, approximate=True)

    found = [len(set(some) & set(all_)) / 10 for some, all_ in zip(rows, exact, strict=True)]
    assert np.mean(found) > 0.95
    assert (np.diff(scores) <= 0).all()


def test_no_probes_give_no_neighbors(problem):
    probe, gallery, _ = problem

    assert neighbors(probe[:0], gallery, 3)[1].shape == (0, 3)


def test_build_names_version_kind_and_gpus():
    assert build().startswith("FAISS 1.")
    assert build().endswith("GPUs")


class Standin:
    """FAISS's own CPU code behind the names of a GPU build; it notes what is asked for."""

    def __init__(self, num_gpus, kind):
        import faiss

        self.faiss, self.num_gpus, self.asked = faiss, num_gpus, []
        if kind == "CUDA":
            self.GpuDistanceParams = object

    def __getattr__(self, name):
        return getattr(self.faiss, name)

    def StandardGpuResources(self):  # noqa: N802 - FAISS's name
        return object()

    def get_num_gpus(self):
        return self.num_gpus

    def knn_gpu(self, res, xq, xb, k, metric, device, **limits):
        self.asked.append((device, len(xq), limits))
        return self.faiss.knn(xq, xb, k, metric=metric)

    def index_cpu_to_gpu(self, resources, device, index):
        self.asked.append((device, index.ntotal, {}))
        return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("kind", "num_gpus"), [("CUDA", 1), ("CUDA", 3), ("Metal", 1)])
def test_gpu_builds_find_the_same_neighbors(monkeypatch, problem, metric, kind, num_gpus):
    probe, gallery, _ = problem
    expected = neighbors(probe, gallery, 20, metric=metric)
    build_of = Standin(num_gpus, kind)
    monkeypatch.setitem(sys.modules, "faiss", build_of)
    monkeypatch.setattr("attacks.ranks.neighbors.GPU_TILE_BYTES", 4 * 16 * 400)

    scores, rows = neighbors(probe, gallery, 20, metric=metric)

    np.testing.assert_allclose(scores, expected[0], rtol=1e-5, atol=1e-4)
    assert (rows == expected[1]).mean() > 0.99
    assert f"on {kind}, {num_gpus} GPUs" in build()
    sizes = [size for _, size, _ in build_of.asked]
    if kind == "CUDA":
        assert sorted(device for device, _, _ in build_of.asked) == list(range(num_gpus))
        assert sum(sizes) == len(probe)
    else:
        assert sum(sizes) == len(gallery)
        assert max(sizes) <= 400


@pytest.mark.parametrize("kind", ["CUDA", "Metal"])
def test_longer_lists_than_a_gpu_keeps_are_refused(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "faiss", Standin(1, kind))
    vectors = np.zeros((3000, 2), np.float32)

    with pytest.raises(ValueError, match=r"k must be in 1\.\.2048 on a GPU, got 2049"):
        neighbors(vectors, vectors, 2049)


def test_a_missing_faiss_says_how_to_get_it(monkeypatch, problem):
    monkeypatch.setitem(sys.modules, "faiss", None)
    probe, gallery, _ = problem

    assert "latentprint[cpu]" in build()
    with pytest.raises(ModuleNotFoundError, match=r"latentprint\[gpu\]"):
        neighbors(probe, gallery, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 1501}, "k must be in 1..1500, the gallery's size, got 1501"),
        ({"k": 0}, "got 0"),
        ({"metric": "manhattan"}, "metric must be cosine, euclidean or dot"),
        ({"probe": np.zeros((2, 3), np.float32)}, "probe must have the gallery's 16 dimensions"),
    ],
)
def test_bad_input_is_named_in_one_line(problem, change, message):
    arguments = {"probe": problem[0], "gallery": problem[1], "k": 1, **change}

    with pytest.raises(ValueError, match=message):
        neighbors(**arguments)
