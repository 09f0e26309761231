"""FAISS's neighbors against sorted brute force and the exact ranks."""

import sys

import numpy as np
import pytest

from attacks.neighbors import build, neighbors
from attacks.ranking import exact_ranks

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
