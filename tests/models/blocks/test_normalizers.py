import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler

from models.blocks.normalizers import Normalizer

NAMES = ("log1p", "standardize", "min_max", "yeo_johnson")


def skewed(n=400, seed=0):
    rng = np.random.default_rng(seed)
    columns = [
        rng.lognormal(3, 1, n),
        -rng.gamma(2, 3, n),
        rng.normal(5, 2, n),
        rng.poisson(0.3, n),
        np.full(n, 7.0),
    ]
    return np.column_stack(columns).astype(np.float32)


def fitted(name, values):
    normalizer = Normalizer(name, values.shape[1]).double()
    normalizer.fit(values)
    return normalizer


def applied(normalizer, values):
    return normalizer(torch.tensor(values, dtype=torch.float64)).numpy()


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("standardize", StandardScaler()),
        ("min_max", MinMaxScaler()),
        ("yeo_johnson", PowerTransformer()),
    ],
)
def test_the_scales_are_scikit_learns(name, oracle):
    train, later = skewed()[:, :4], skewed(seed=1)[:, :4]
    if name == "yeo_johnson":
        later = later.clip(train.min(axis=0), train.max(axis=0))
    expected = oracle.fit(train.astype(np.float64)).transform(later.astype(np.float64))
    np.testing.assert_allclose(applied(fitted(name, train), later), expected, atol=2e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=20))
def test_log1p_keeps_the_sign_and_grows_like_the_logarithm(values):
    column = np.array(values, np.float32)[:, None]
    expected = [np.sign(x) * np.log(1 + abs(float(x))) for x in column[:, 0]]
    np.testing.assert_allclose(applied(fitted("log1p", column), column)[:, 0], expected, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_unknown_lies_where_the_columns_mean_does(name):
    train = skewed()
    train[::3, 0] = np.nan
    normalizer = fitted(name, train)
    at_mean = np.nanmean(train.astype(np.float64), axis=0)
    found = applied(normalizer, np.stack([np.full(5, np.nan), at_mean]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", NAMES)
def test_columns_without_values_or_of_one_value_become_finite(name):
    train = skewed()
    train[:, 1] = np.nan
    far = np.array([[1e9, -1e9, np.nan, 1e9, 1e9]], np.float32)
    assert np.isfinite(applied(fitted(name, train), np.vstack([train, far]))).all()


def test_a_power_fitted_to_small_values_makes_nothing_of_a_large_one():
    train = np.where(np.arange(1000) % 250 == 0, 0.02, 0.01).astype(np.float32)[:, None]
    normalizer = fitted("yeo_johnson", train)
    far = np.array([[-5.0], [0.02], [5.0]], np.float32)
    low, high, beyond = applied(normalizer, far)[:, 0]
    assert beyond == high > applied(normalizer, train).min() == low
    assert abs(high) < 20


def test_another_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="found rank, allowed: log1p, standardize, min_max, yeo"):
        Normalizer("rank", 3)
