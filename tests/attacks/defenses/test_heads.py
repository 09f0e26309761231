"""Directions that the labels' heads use."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from attacks.defenses import heads
from attacks.defenses.heads import task_axes
from attacks.gallery import Released


def window(weights, n=4_000, scale=1.0, seed=0):
    """Labels are drawn from logits that are linear in the vectors, one column of weights each."""
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(n, len(weights))) * scale + 5).astype(np.float32)
    logits = (vectors - 5) / scale @ weights
    return Released(vectors, np.arange(n), labels=rng.random(logits.shape) < expit(logits))


def angle(axis, direction):
    return np.abs(axis @ direction) / np.linalg.norm(direction)


def test_the_first_axis_is_that_of_a_logistic_regression_minimized_by_scipy():
    given = window(np.array([[1.0], [-2.0], [0.5], [0.0]]))
    axes = task_axes(given, "projected", np.random.default_rng(0), 1)

    exact = given.vectors.astype(np.float64)
    standard = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    sign = np.where(given.labels[:, 0], 1, -1)

    def loss(parameters):
        logits = standard @ parameters[:4] + parameters[4]
        return np.logaddexp(0, -sign * logits).sum() + parameters[:4] @ parameters[:4] / 2

    expected = minimize(loss, np.zeros(5)).x[:4] / exact.std(axis=0)
    assert angle(axes[:, 0], expected) > 1 - 1e-6


def test_axes_span_the_heads_of_all_labels_whatever_the_scales():
    scale = np.array([1.0, 100.0, 0.01, 1.0, 1.0])
    weights = np.array([[2.0, 0], [1, 1], [0, 2], [0, 0], [0, 0]])
    axes = task_axes(window(weights, n=40_000, scale=scale), "elliptical", np.random.default_rng(0))

    assert axes.shape == (5, 2)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-12)
    for direction in (weights / scale[:, None]).T:
        assert np.linalg.norm(axes.T @ direction) / np.linalg.norm(direction) > 0.999


def test_further_axes_are_of_what_the_labels_still_read_then_of_anything():
    weights = np.array([[2.0], [1.0], [0.0], [0.0]])
    given = window(weights)
    some, all_ = (task_axes(given, "projected", np.random.default_rng(0), k) for k in (2, 4))

    np.testing.assert_allclose(all_[:, :2], some, atol=1e-9)
    np.testing.assert_allclose(all_.T @ all_, np.eye(4), atol=1e-9)


def test_dimensions_in_which_nothing_varies_are_filled_up():
    given = window(np.array([[2.0], [1.0]]))
    flat = np.zeros((4_000, 3), np.float32)
    padded = replace(given, vectors=np.hstack([given.vectors, flat]))
    axes = task_axes(padded, "projected", np.random.default_rng(0), 5)

    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-9)
    assert np.abs(axes[2:, 0]).max() < 1e-9


def test_two_labels_that_read_the_same_have_one_axis():
    given = window(np.array([[2.0], [1.0], [0.0]]))
    twice = replace(given, labels=np.repeat(given.labels, 2, axis=1))

    assert task_axes(twice, "elliptical", np.random.default_rng(0)).shape == (3, 1)


def test_many_events_are_sampled(monkeypatch):
    given = window(np.array([[2.0], [1.0], [0.0]]), n=20_000)
    whole = task_axes(given, "projected", np.random.default_rng(0), 1)
    monkeypatch.setattr(heads, "MAX_EVENTS", 5_000)
    part = task_axes(given, "projected", np.random.default_rng(0), 1)

    assert 0.99 < angle(part[:, 0], whole[:, 0]) < 1 - 1e-9


@pytest.mark.parametrize("label", [False, True])
def test_a_label_with_one_class_is_refused_by_its_number(label):
    given = window(np.ones((3, 2)), n=50)
    given.labels[:, 1] = label
    with pytest.raises(ValueError, match=r"^projected: label 1: found one class .*allowed: both$"):
        task_axes(given, "projected", np.random.default_rng(0), 1)


@pytest.mark.parametrize("labels", [None, np.empty((50, 0), np.bool_)])
def test_no_labels_are_refused(labels):
    given = replace(window(np.ones((3, 1)), n=50), labels=labels)
    with pytest.raises(ValueError, match=r"^elliptical: found no labels"):
        task_axes(given, "elliptical", np.random.default_rng(0))
