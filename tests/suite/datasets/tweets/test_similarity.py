import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from suite.datasets.tweets.similarity import interactions, pairs, row_similarity


@settings(deadline=None)  # the kernel is compiled at its first call
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.2, 0.7]))
def test_rows_and_columns_are_as_alike_as_brute_force_says(seed, density):
    rng = np.random.default_rng(seed)
    size = 17
    dense = rng.random((size, size)) < density
    reader, creator = np.nonzero(dense)
    again = rng.integers(0, max(len(reader), 1), len(reader))
    matrix = interactions(
        np.concatenate([reader, reader[again]]), np.concatenate([creator, creator[again]]), size
    )
    np.testing.assert_array_equal(matrix.toarray(), dense)

    one, other = np.divmod(np.arange(size**2), size)
    for whole, sparse in ((dense, matrix), (dense.T, matrix.T.tocsr())):
        common, cosine, jaccard = row_similarity(sparse, one, other)
        np.testing.assert_array_equal(common, (whole.astype(int) @ whole.T.astype(int)).ravel())
        full = whole.any(axis=1)
        both = np.outer(full, full).ravel()
        with np.errstate(invalid="ignore"):
            expected = 1 - cdist(whole.astype(float), whole.astype(float), "cosine").ravel()
        np.testing.assert_allclose(cosine[both], expected[both], atol=1e-6)
        expected = 1 - cdist(whole, whole, "jaccard").ravel()
        np.testing.assert_allclose(jaccard[both], expected[both], atol=1e-6)
        assert np.isnan(cosine[~both]).all()
        assert np.isnan(jaccard[~both]).all()


def test_different_pairs_are_found_once_and_keep_their_order():
    one, other, which = pairs(np.array([3, 0, 3, 3]), np.array([1, 2, 1, 0]), 5)
    assert list(zip(one, other, strict=True)) == [(0, 2), (3, 0), (3, 1)]
    assert which.tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize("size", [1, 4])
def test_without_any_engagement_nobody_is_alike(size):
    nobody = np.empty(0, dtype=np.int64)
    matrix = interactions(nobody, nobody, size)
    one = np.arange(size)
    common, cosine, jaccard = row_similarity(matrix, one, one)
    assert not common.any()
    assert np.isnan(cosine).all()
    assert np.isnan(jaccard).all()
