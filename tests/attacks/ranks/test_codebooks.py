"""Product quantization against brute force and FAISS's own codes."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.ranks.codebooks import learned

pytestmark = pytest.mark.usefixtures("one_thread")


def vectors(n=400, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@given(d=st.integers(1, 9), parts=st.integers(1, 9), bits=st.integers(1, 4), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=25)
def test_each_part_becomes_the_nearest_of_its_centroids(d, parts, bits, seed):
    given = vectors(d=d, seed=seed)
    book = learned(given, min(parts, d), bits, seed)
    found = book.nearest(given)

    width = book.centroids.shape[2]
    assert book.centroids.shape == (min(parts, d), 2**bits, -(-d // min(parts, d)))
    for number, centroids in enumerate(book.centroids):
        part = slice(number * width, min((number + 1) * width, d))
        own = centroids[:, : max(part.stop - part.start, 0)].astype(np.float64)
        distance = ((given[:, None, part] - own) ** 2).sum(axis=2)
        chosen = ((found[:, part] - given[:, part]) ** 2).sum(axis=1)
        np.testing.assert_allclose(chosen, distance.min(axis=1), atol=1e-5)


def test_codes_are_those_of_a_quantizer_that_faiss_trains_itself():
    given = vectors(2_000, 8)
    quantizer = faiss.ProductQuantizer(8, 4, 5)
    quantizer.cp.seed = 7
    quantizer.train(given)

    expected = quantizer.decode(quantizer.compute_codes(given))
    np.testing.assert_array_equal(learned(given, 4, 5, 7).nearest(given), expected)


def test_the_seed_alone_decides_and_no_warning_is_printed(capfd):
    given = vectors()
    one, same, other = (learned(given, 2, 8, seed).centroids for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0
    assert capfd.readouterr() == ("", "")


def test_as_many_centroids_as_vectors_keep_them():
    given = vectors(16, 3)

    np.testing.assert_allclose(learned(given, 1, 4, 0).nearest(given), given, atol=1e-6)
