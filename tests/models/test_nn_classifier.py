from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from models.logistic import Logistic
from models.network import tensors
from models.nn_classifier import PUBLISHED, NnClassifier
from tests.models.test_network import random_batch

SMALL = {"widths": ((16, 8, 8, 8, 6),), "dropout": (0.0,) * 5}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def wide_batch(events=60, num_wide=7, num_labels=3, seed=0):
    rng = np.random.default_rng(seed)
    wide = rng.lognormal(2, 2, size=(events, num_wide)).astype(np.float32)
    wide[rng.random(wide.shape) < 0.1] = np.nan
    labels = rng.integers(0, 2, size=(events, num_labels)).astype(np.float32)
    return replace(random_batch(events=events, seed=seed), wide=wide, labels=labels)


def adapted(batch, **parameters):
    model = NnClassifier(**{**SMALL, **parameters})
    model.adapt(batch)
    return model


@pytest.mark.parametrize("widths", PUBLISHED)
def test_the_parameters_of_a_published_network_are_those_of_its_five_blocks_and_the_output(widths):
    batch = wide_batch(num_wide=443, num_labels=4)
    model = NnClassifier(widths=(widths,))
    model.adapt(batch)
    sizes = [27 + 8 + 443 + 32 + 16, *widths, 4]
    expected = sum(a * b + b for a, b in pairwise(sizes))
    assert model.num_parameters == expected
    assert model.represent(batch).shape == (60, 100)
    assert model.score(batch).shape == (60, 4)


def test_the_released_vector_is_the_input_of_the_last_layer():
    batch = wide_batch()
    model = adapted(batch)
    output = model.members[0][1]
    expected = model.represent(batch) @ output.weight.detach().numpy().T
    expected += output.bias.detach().numpy()
    np.testing.assert_allclose(model.score(batch), expected, atol=1e-6)
    assert model.represent(batch).min() >= 0


def test_the_forward_pass_is_that_of_numpy():
    batch = wide_batch()
    model = adapted(batch)
    numbers = np.hstack([batch.aggregates[batch.user_row], batch.continuous, batch.wide])
    filled = np.where(np.isnan(numbers), np.nanmean(numbers.astype(np.float64), 0), numbers)
    scaled = np.sign(filled) * np.log1p(np.abs(filled))
    category, item_type = batch.categorical.T
    hidden = np.hstack([scaled, np.eye(32)[category], np.eye(16)[item_type]])
    for block in model.members[0][0]:
        weight, bias = (p.detach().numpy() for p in block[0].parameters())
        hidden = np.maximum(hidden @ weight.T + bias, 0)
    np.testing.assert_allclose(model.represent(batch), hidden, atol=1e-5)


def test_an_ensemble_is_the_mean_of_its_members_and_each_learns_as_if_alone():
    batch = wide_batch()
    both = adapted(batch, widths=SMALL["widths"] + ((8, 8, 8, 8, 4),))
    alone = adapted(batch)
    state = {k: v for k, v in both.state().items() if not k.startswith("members.1")}
    alone.load_state(state)
    assert both.represent(batch).shape == (60, 6 + 4)
    np.testing.assert_allclose(both.represent(batch)[:, :6], alone.represent(batch), atol=1e-6)
    given = tensors(batch, "cpu")
    found = {}
    for model in (both, alone):
        model.train()
        logits = model(given)[1]
        labels = given.labels.expand_as(logits)
        torch.nn.functional.binary_cross_entropy_with_logits(
            logits, labels, reduction="sum"
        ).backward()
        found[model] = model.members[0][1].weight.grad, logits
    torch.testing.assert_close(found[both][0], found[alone][0])
    mean = found[both][1].mean(dim=0).detach().numpy()
    np.testing.assert_allclose(both.score(batch), mean, atol=1e-6)


def test_with_one_label_it_is_the_same_network_without_the_other_outputs():
    batch = wide_batch()
    whole, alone = adapted(batch), adapted(batch, labels="engaged")
    assert (alone.num_labels, alone.score(batch).shape) == (1, (60, 1))
    assert whole.num_parameters - alone.num_parameters == 2 * (6 + 1)
    again = NnClassifier(**SMALL, labels="engaged")
    again.load_state(alone.state())
    np.testing.assert_array_equal(again.score(batch), alone.score(batch))


@pytest.mark.parametrize("normalizer", ["log1p", "standardize", "min_max", "yeo_johnson"])
def test_a_state_brings_the_sizes_of_its_data_along(normalizer):
    batch = wide_batch()
    model = adapted(batch, normalizer=normalizer)
    again = NnClassifier(**SMALL, normalizer=normalizer)
    again.load_state(model.state())
    assert again.num_labels == 3
    np.testing.assert_array_equal(again.score(batch), model.score(batch))


def test_it_learns_a_product_of_features_that_a_linear_model_cannot():
    rng = np.random.default_rng(1)
    batch = wide_batch(events=4000, num_wide=2, num_labels=2)
    wide = rng.normal(size=(4000, 2)).astype(np.float32)
    product = (wide.prod(axis=1) > 0.3).astype(np.float32)
    batch = replace(batch, wide=wide, labels=np.stack([product, 1 - product], axis=1))
    model = adapted(batch, normalizer="standardize", widths=((32, 32, 16, 16, 8),))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    given = tensors(batch, "cpu")
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(given)[1], given.labels)
        loss.backward()
        optimizer.step()
    linear = Logistic()
    linear.fit(batch, batch, rng)
    scored = [average_precision_score(product, m.score(batch)[:, 0]) for m in (model, linear)]
    assert scored[0] > 0.9 > 0.6 > scored[1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"widths": ()}, "widths must be lists of numbers >= 1"),
        ({"widths": ((0,),)}, "widths must be lists of numbers >= 1"),
        ({"dropout": (0.1,)}, "dropout must have a rate for each block"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        NnClassifier(**parameters)
