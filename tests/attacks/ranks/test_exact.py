"""Exact ranks against brute force in float64."""

import functools

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacks.ranks import screen, tiles
from attacks.ranks.exact import Ranks, exact_ranks
from attacks.ranks.scoring import Scoring
from attacks.ranks.tiles import Tiles

METRICS = ["cosine", "dot", "euclidean"]


def oracle(probe, gallery, true_row, metric):
    """All pairs in float64, and the tie rule of the module's docstring, in plain NumPy."""
    x, g = probe.astype(np.float64), gallery.astype(np.float64)
    half_square = np.zeros(len(g))
    if metric == "cosine":
        x_length = np.linalg.norm(x, axis=1, keepdims=True)
        g_length = np.linalg.norm(g, axis=1, keepdims=True)
        x = np.divide(x, x_length, out=np.zeros_like(x), where=x_length > 0)
        g = np.divide(g, g_length, out=np.zeros_like(g), where=g_length > 0)
    if metric == "euclidean":
        ordered = np.sort(g, axis=0)
        center = (ordered[(len(g) - 1) // 2] + ordered[len(g) // 2]) / 2
        x, g = x - center, g - center
        half_square = (g * g).sum(axis=1) / 2
    score = x @ g.T - half_square
    size = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(g, axis=1)) + half_square
    row = np.arange(len(x))
    margin = score - score[row, true_row][:, None]
    tie = 2.0**-40 * np.maximum(size, size[row, true_row][:, None])
    is_other = np.ones_like(margin, bool)
    is_other[row, true_row] = False
    greater = (is_other & (margin > tie)).sum(axis=1)
    equal = (is_other & (np.abs(margin) <= tie)).sum(axis=1)
    return greater, equal


def through_torch(probe, gallery, true_row, *, metric):
    """The path that CUDA and MPS take, on the CPU."""
    scoring = Scoring.of(gallery, metric)
    users, counts = Tiles.of(scoring, torch.device("cpu")), [([], [])]
    for start in range(0, len(probe), users.height):
        rows = slice(start, start + users.height)
        counts.append(users.count(scoring.block(probe[rows], true_row[rows])))
    return Ranks(*(np.concatenate(one).astype(np.int32) for one in zip(*counts, strict=True)))


def through_axes(probe, gallery, true_row, *, metric):
    """The path that many probes and users take, which pays for a rotation and for stops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen, "ROTATION_SHARE", np.inf)
        patch.setattr(screen, "STOPS", (1, 2))
        patch.setattr(screen, "_cost", lambda stops, *_: -len(stops))
        return exact_ranks(probe, gallery, true_row, metric=metric, device=torch.device("cpu"))


PATHS = [exact_ranks, through_axes, through_torch]


def assert_exact(probe, gallery, true_row, metric, rank=exact_ranks):
    ranks = rank(probe, gallery, true_row, metric=metric)
    greater, equal = oracle(probe, gallery, true_row, metric)

    assert ranks.greater.dtype == ranks.equal.dtype == np.int32
    np.testing.assert_array_equal(ranks.greater, greater)
    np.testing.assert_array_equal(ranks.equal, equal)


def problem(rng, num_probes=1700, num_gallery=200, dim=16, noise=0.5):
    gallery = rng.standard_normal((num_gallery, dim)).astype(np.float32)
    true_row = rng.integers(num_gallery, size=num_probes)
    probe = gallery[true_row] + noise * rng.standard_normal((num_probes, dim))
    return probe.astype(np.float32), gallery, true_row


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(20))
def test_ranks_equal_brute_force_on_random_probes(metric, seed):
    rng = np.random.default_rng(seed)
    probe, gallery, true_row = problem(
        rng, num_gallery=int(rng.integers(1, 300)), dim=int(rng.integers(1, 80))
    )
    gallery = gallery[rng.integers(len(gallery), size=len(gallery))]
    scale = np.float32(10.0 ** rng.integers(-6, 7))
    shift = np.float32(rng.choice([0, 1, 100]))

    assert_exact((probe + shift) * scale, (gallery + shift) * scale, true_row, metric)


@pytest.mark.parametrize("rank", PATHS)
@pytest.mark.parametrize("metric", METRICS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_ranks_equal_brute_force_on_any_finite_vectors(metric, rank, data):
    elements = data.draw(
        st.sampled_from(
            [
                st.integers(-2, 2).map(float),
                st.floats(-1, 1, width=32),
                st.floats(width=32, allow_nan=False, allow_infinity=False),
            ]
        )
    )
    dim = data.draw(st.integers(1, 5))
    gallery = data.draw(
        arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(dim)), elements=elements)
    )
    probe = data.draw(
        arrays.arrays(np.float32, st.tuples(st.integers(0, 9), st.just(dim)), elements=elements)
    )
    true_row = data.draw(
        arrays.arrays(np.int64, len(probe), elements=st.integers(0, len(gallery) - 1))
    )

    assert_exact(probe, gallery, true_row, metric, rank)


def nudged(rng, steps):
    """Gallery users that differ from one vector by a few float32 steps in one place."""
    gallery = np.tile(rng.standard_normal(24).astype(np.float32), (300, 1))
    for row, step in enumerate(rng.integers(-steps, steps + 1, size=300)):
        column = rng.integers(24)
        bits = gallery[row, column : column + 1].view(np.int32)
        bits += step
    return gallery


def adversarial():
    rng = np.random.default_rng(3)
    base = rng.standard_normal((240, 24)).astype(np.float32)
    wide = base * (10.0 ** rng.uniform(-12, 12, (240, 1))).astype(np.float32)
    widest = base * (10.0 ** rng.uniform(-41, 37, (240, 1))).astype(np.float32)
    outlier, outliers = base.copy(), base.copy()
    outlier[17, 3] = 1e9
    outliers[40:70] *= np.float32(1e9)
    with_zeros = base.copy()
    with_zeros[::3] = 0
    return {
        "translated": base + np.float32(100),
        "translated far, tiny spread": base * np.float32(1e-3) + np.float32(100),
        "tiny": base * np.float32(1e-6),
        "huge": base * np.float32(1e6),
        "near the largest float": base * np.float32(5e37),
        "denormal": base * np.float32(1e-42),
        "norms from 1e-12 to 1e12": wide,
        "norms over all of float32": widest,
        "one value of 1e9": outlier,
        "an eighth of the users 1e9 times as large": outliers,
        "one value of 1e9, duplicates": outlier[rng.integers(20, size=240)],
        "duplicates": base[rng.integers(9, size=240)],
        "duplicates in other lengths": base[rng.integers(9, size=240)]
        * (1 + np.arange(240) % 2)[:, None],
        "all equal": np.ones((240, 24), np.float32),
        "all zero": np.zeros((240, 24), np.float32),
        "some zero": with_zeros,
        "mirrored": np.concatenate([base[:120], -base[:120]]),
        "integers": rng.integers(-2, 3, (240, 24)),
        "one dimension": base[:, :1],
        "one-dimensional integers": rng.integers(-5, 6, (240, 1)),
        "one user": base[:1],
        "apart by one step": nudged(rng, 1),
        "apart by two steps": nudged(rng, 2),
    }


@pytest.mark.parametrize("rank", PATHS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", adversarial())
def test_ranks_equal_brute_force_on_adversarial_galleries(name, metric, rank):
    gallery = adversarial()[name].astype(np.float32)
    true_row = np.random.default_rng(4).integers(len(gallery), size=500)
    rolled = np.roll(gallery, 1, axis=0)

    assert_exact(gallery[true_row], gallery, true_row, metric, rank)
    assert_exact(rolled[true_row], gallery, true_row, metric, rank)
    assert_exact(gallery[true_row[:1]], gallery, true_row[:1], metric, rank)


@pytest.mark.parametrize("rank", PATHS)
@pytest.mark.parametrize("size", [1e5, 1e9, 1e30])
def test_one_outlying_user_decides_nothing_for_the_others(size, rank):
    probe, gallery, true_row = problem(np.random.default_rng(14), noise=0.3)
    expected = rank(probe, gallery, true_row, metric="euclidean")
    gallery = np.concatenate([gallery, np.full((1, 16), size, np.float32)])

    ranks = rank(probe, gallery, true_row, metric="euclidean")

    # It is the farthest of all, and the median moves by next to nothing.
    assert (ranks.greater == 0).mean() > 0.99
    np.testing.assert_array_equal(ranks, expected)


@pytest.mark.parametrize("rank", PATHS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("tile_bytes", [64, 4 * 37**2])
def test_ranks_do_not_depend_on_the_tiles(metric, rank, tile_bytes, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_BYTES", tile_bytes)
    monkeypatch.setattr(screen, "TILE", 64)
    probe, gallery, true_row = problem(np.random.default_rng(5), num_probes=120, num_gallery=90)

    assert_exact(probe, gallery, true_row, metric, rank)


@pytest.mark.parametrize("rank", PATHS)
def test_a_true_user_of_large_size_ties_with_small_ones_in_other_tiles(rank, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_BYTES", 4)
    others = np.array([[0, length] for length in (1e-13, -1e-13, 2e-13, 3e-13, 1e-14, 1e-12)])
    gallery = np.concatenate([[[1, 0]], others]).astype(np.float32)
    probe = np.array([[0, 1]], np.float32)

    # The true pair's score is 0 and its size 1: margins below 9.1e-13 are ties, 1e-12 is not.
    assert rank(probe, gallery, np.array([0]), metric="dot") == ([1], [5])


@pytest.mark.parametrize("rank", PATHS)
def test_products_that_underflow_beside_a_large_user_are_decided_in_float64(rank, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_BYTES", 4 * 16**2)
    monkeypatch.setattr(screen, "TILE", 64)
    small = np.random.default_rng(13).standard_normal((100, 400)) * 1e-5
    gallery = np.concatenate([small, np.full((1, 400), 1e37)]).astype(np.float32)

    assert_exact(gallery[::-1].copy(), gallery, np.arange(101), "dot", rank)


def trained(rng, num_probes, num_gallery, dim=64, noise=0.5):
    """Nearly low-rank vectors: 93 % of their energy on one axis and 99 % on eight."""
    share = np.repeat([0.93, 0.06 / 7, 0.01 / (dim - 8)], [1, 7, dim - 8])
    axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0] * np.sqrt(share)
    probe, gallery, true_row = problem(rng, num_probes, num_gallery, dim, noise)
    return (probe @ axes.T).astype(np.float32), (gallery @ axes.T).astype(np.float32), true_row


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("world", [problem, trained])
def test_ranks_span_several_tiles_of_the_usual_size(metric, world):
    assert_exact(*world(np.random.default_rng(6), 1500, 2600, dim=64, noise=2.0), metric)


def test_scores_apart_by_less_than_the_tie_rule_are_tied():
    gallery = np.array([[1, 0], [1, 2**-39], [1, 2**-41], [1, -(2**-39)]], np.float32)
    probe = np.array([[1, 1]], np.float32)

    # The size of each pair is sqrt(2), so that margins of 2^-39, 2^-41 and -2^-39 are compared
    # with 1.41 * 2^-40.
    assert exact_ranks(probe, gallery, np.array([0]), metric="dot") == ([1], [1])


@pytest.mark.parametrize("metric", METRICS)
def test_rotated_gallery_ids_give_the_same_counts(metric):
    probe, gallery, true_row = problem(np.random.default_rng(7), noise=2.0)
    gallery[50:100] = gallery[:50]
    expected = exact_ranks(probe, gallery, true_row, metric=metric)

    turned = exact_ranks(probe, np.roll(gallery, 77, axis=0), (true_row + 77) % 200, metric=metric)

    np.testing.assert_array_equal(turned, expected)
    assert expected.equal.any()


@pytest.mark.parametrize("metric", METRICS)
def test_shards_of_probes_concatenate_to_the_whole(metric):
    probe, gallery, true_row = problem(np.random.default_rng(8), noise=2.0)
    gallery[50:100] = gallery[:50]
    rank = functools.partial(exact_ranks, metric=metric)

    shards = [rank(probe[i : i + 217], gallery, true_row[i : i + 217]) for i in range(0, 1700, 217)]

    np.testing.assert_array_equal(np.concatenate(shards, axis=1), rank(probe, gallery, true_row))


def test_absent_user_is_behind_the_whole_gallery():
    probe, gallery, true_row = problem(np.random.default_rng(9), num_probes=10)
    expected = exact_ranks(probe, gallery, true_row)
    true_row[::2] = -1

    ranks = exact_ranks(probe, gallery, true_row)

    assert set(ranks.greater[::2]) == {200}
    assert set(ranks.equal[::2]) == {0}
    np.testing.assert_array_equal(ranks.greater[1::2], expected.greater[1::2])


def test_only_absent_users_and_no_probes_are_no_error():
    gallery = np.eye(3, dtype=np.float32)

    assert exact_ranks(gallery[:1], gallery, np.array([-1])) == ([3], [0])
    assert exact_ranks(gallery[:0], gallery, np.empty(0, np.int64)).greater.size == 0


def test_views_that_are_not_contiguous_are_read_correctly():
    probe, gallery, true_row = problem(np.random.default_rng(10))

    assert_exact(probe[::3, ::2], np.asfortranarray(gallery)[:, ::2], true_row[::3], "euclidean")


def test_reduced_precision_and_threads_of_torch_do_not_matter_and_are_restored():
    problem_ = problem(np.random.default_rng(11), noise=2.0)
    expected = exact_ranks(*problem_)
    threads = torch.get_num_threads()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.set_num_threads(3)
        ranks = exact_ranks(*problem_)
        assert torch.get_num_threads() == 3
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(before)

    np.testing.assert_array_equal(ranks, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("metric", METRICS)
def test_ranks_on_a_gpu_equal_brute_force(metric):
    rank = functools.partial(exact_ranks, device=torch.device("cuda"))

    assert_exact(*problem(np.random.default_rng(12), noise=2.0), metric, rank)


EYE = np.eye(3, dtype=np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"probe": np.full((3, 3), np.nan, np.float32)},
            "probe must be finite, got NaN or infinity in row 0",
        ),
        ({"gallery": np.full((2, 3), np.inf, np.float32)}, "gallery must be finite"),
        ({"probe": EYE[:, :2]}, "probe must have the gallery's 3 dimensions, got 2"),
        (
            {"probe": EYE.astype(np.float16)},
            "probe must be a matrix of float32 or float64, got float16",
        ),
        (
            {"gallery": EYE[0]},
            r"gallery must be a matrix of float32 or float64, got float32 of shape \(3,\)",
        ),
        (
            {"probe": np.full((3, 3), 1e300)},
            r"finite as float32, got NaN, infinity or more than 3.4e\+38",
        ),
        ({"gallery": EYE[:0]}, r"gallery must hold at least one vector, got shape \(0, 3\)"),
        ({"true_row": np.array([0, 1, 3])}, r"true_row must be in -1..2, got 3 in row 2"),
        ({"true_row": np.array([0, -2, 1])}, r"true_row must be in -1..2, got -2 in row 1"),
        ({"true_row": np.array([0, 1])}, "true_row must be 3 integers"),
        ({"true_row": np.array([0.0, 1.0, 2.0])}, "true_row must be 3 integers, got float64"),
        ({"metric": "manhattan"}, "metric must be cosine, euclidean or dot, got 'manhattan'"),
    ],
)
def test_bad_input_is_named_in_one_line(change, message):
    arguments = {"probe": EYE, "gallery": EYE, "true_row": np.arange(3), **change}

    with pytest.raises(ValueError, match=message) as error:
        exact_ranks(**arguments)

    assert "\n" not in str(error.value)
