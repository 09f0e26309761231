from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.parallel import DistributedDataParallel

from models.base import Batch
from models.bilstm import Bilstm
from models.mlp import Mlp
from models.network import TensorBatch, tensors

NO_DROPOUT = {Mlp: {"dropout": 0.0}, Bilstm: {"dropout": 0.0, "lstm_dropout": 0.0}}

every_network = pytest.mark.parametrize("kind", [Mlp, Bilstm])


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def random_batch(users=5, events=23, seed=0):
    rng = np.random.default_rng(seed)
    return Batch(
        aggregates=rng.normal(size=(users, 27)).astype(np.float32),
        sequence=rng.normal(size=(users, 50, 2)).astype(np.float32),
        mask=np.arange(50) < rng.integers(1, 51, size=(users, 1)),
        user_row=rng.integers(0, users, size=events),
        categorical=rng.integers(0, (32, 16), size=(events, 2)),
        continuous=rng.normal(size=(events, 8)).astype(np.float32),
        labels=rng.integers(0, 2, size=(events, 1)).astype(np.float32),
        wide=np.zeros((events, 0), np.float32),
        tokens=np.zeros((1, 0), np.int32),
        text_row=np.zeros(events, np.int64),
    )


def one_history_per_event(batch):
    return replace(
        batch,
        aggregates=batch.aggregates[batch.user_row],
        sequence=batch.sequence[batch.user_row],
        mask=batch.mask[batch.user_row],
        user_row=np.arange(len(batch.user_row)),
    )


def gradients(network, batch, dtype=torch.float64):
    network.zero_grad()
    given = tensors(batch, "cpu", dtype)
    bce(network(given)[1], given.labels).backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


@every_network
def test_vectors_have_64_dimensions_and_logits_one_column(kind):
    network, batch = kind(), random_batch()

    vectors, logits = network.represent(batch), network.score(batch)

    assert vectors.shape == (23, 64)
    assert logits.shape == (23, 1)
    assert vectors.dtype == logits.dtype == np.float32


@every_network
def test_the_representation_is_normalized_by_its_layer_norm(kind):
    vectors = kind().represent(random_batch())

    np.testing.assert_allclose(vectors.mean(axis=1), 0.0, atol=1e-5)
    np.testing.assert_allclose(vectors.std(axis=1), 1.0, atol=1e-3)


@every_network
def test_logits_are_the_head_applied_to_the_released_vectors(kind):
    network, batch = kind(), random_batch()
    weight, bias = (p.detach().numpy() for p in network.output.parameters())

    expected = network.represent(batch) @ weight.T + bias

    np.testing.assert_allclose(network.score(batch), expected, atol=1e-5)


@every_network
def test_labels_do_not_reach_the_outputs(kind):
    network, batch = kind(), random_batch()
    flipped = replace(batch, labels=1 - batch.labels)

    np.testing.assert_array_equal(network.score(batch), network.score(flipped))
    np.testing.assert_array_equal(network.represent(batch), network.represent(flipped))


@every_network
def test_columns_the_model_does_not_declare_do_not_reach_the_outputs(kind):
    network, batch = kind(), random_batch()
    aggregates, continuous = batch.aggregates.copy(), batch.continuous.copy()
    aggregates[:, kind.num_aggregates :] = 9.0
    continuous[:, kind.num_continuous :] = 9.0
    changed = replace(batch, aggregates=aggregates, continuous=continuous)
    if not kind.uses_sequence:
        changed = replace(changed, sequence=batch.sequence + 9.0)

    np.testing.assert_array_equal(network.score(batch), network.score(changed))


@every_network
def test_one_step_lowers_the_loss(kind):
    network, batch = kind(**NO_DROPOUT[kind]), tensors(random_batch(), "cpu")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)

    before = bce(network(batch)[1], batch.labels)
    before.backward()
    optimizer.step()
    after = bce(network(batch)[1], batch.labels)

    assert after.item() < before.item()


@every_network
def test_gradients_of_shared_histories_equal_those_of_one_history_per_event(kind):
    network, batch = kind(**NO_DROPOUT[kind]).double(), random_batch()

    grouped = gradients(network, batch)
    ungrouped = gradients(network, one_history_per_event(batch))

    for name, gradient in grouped.items():
        torch.testing.assert_close(gradient, ungrouped[name], rtol=1e-5, atol=1e-12)


@every_network
@pytest.mark.usefixtures("two_threads")
def test_gradients_repeat_themselves_bit_by_bit_on_two_threads(kind):
    network, batch = kind(**NO_DROPOUT[kind]), random_batch(events=512)
    each = [gradients(network, batch, torch.float32) for _ in range(10)]
    for name, first in each[0].items():
        assert all(torch.equal(first, gradient[name]) for gradient in each), name


@every_network
def test_scores_do_not_depend_on_the_other_histories_of_the_batch(kind):
    network, batch = kind(), random_batch()

    alone = network.score(one_history_per_event(batch))

    np.testing.assert_allclose(network.score(batch), alone, atol=1e-5)


@every_network
def test_every_parameter_gets_a_gradient_through_the_logits(kind):
    # DistributedDataParallel waits for ever for a parameter that gets none.
    found = gradients(kind(**NO_DROPOUT[kind]), random_batch(users=40), torch.float32)

    assert all(gradient.abs().sum() > 0 for gradient in found.values())


@every_network
def test_state_round_trip_gives_equal_outputs(kind):
    batch = random_batch()
    first, second = kind(), kind()
    assert not np.array_equal(first.score(batch), second.score(batch))

    second.load_state(first.state())

    np.testing.assert_array_equal(first.score(batch), second.score(batch))
    np.testing.assert_array_equal(first.represent(batch), second.represent(batch))


def test_state_is_a_copy_that_training_does_not_change():
    network = Mlp()
    state = network.state()
    before = {name: value.copy() for name, value in state.items()}

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)

    for name, value in state.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("output.bias"),
            r"output\.bias has shape missing, expected \(1,\)",
        ),
        (lambda state: state.update(extra=np.zeros(2)), r"extra has shape \(2,\), expected no"),
        (
            lambda state: state.update({"output.bias": np.zeros(3)}),
            r"shape \(3,\), expected \(1,\)",
        ),
    ],
)
def test_a_state_of_another_model_is_refused_by_name(change, message):
    state = Mlp().state()
    change(state)

    with pytest.raises(ValueError, match=message) as caught:
        Mlp().load_state(state)

    assert "\n" not in str(caught.value)


@every_network
def test_dropout_acts_in_training_only_and_scoring_keeps_the_mode(kind):
    network, batch = kind(dropout=0.5), random_batch()
    given = tensors(batch, "cpu")

    assert not torch.equal(network(given)[1], network(given)[1])
    np.testing.assert_array_equal(network.score(batch), network.score(batch))
    assert network.training

    network.eval()
    network.score(batch)
    assert not network.training


def test_read_only_arrays_are_accepted_and_keep_their_values():
    batch = random_batch()
    for field in fields(Batch):
        getattr(batch, field.name).flags.writeable = False

    given = tensors(batch, "cpu", torch.float64)

    assert {field.name for field in fields(TensorBatch)} == {f.name for f in fields(Batch)}
    for field in fields(Batch):
        np.testing.assert_array_equal(getattr(given, field.name), getattr(batch, field.name))
    assert given.sequence.dtype == torch.float64
    assert given.mask.dtype == torch.bool
    assert given.user_row.dtype == torch.int64


@every_network
def test_gradients_are_the_same_under_distributed_data_parallel(kind):
    network, batch = kind(**NO_DROPOUT[kind]).double(), random_batch()
    expected = gradients(network, batch)
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        found = gradients(DistributedDataParallel(network), batch)
    finally:
        torch.distributed.destroy_process_group()

    for name, gradient in expected.items():
        torch.testing.assert_close(found[f"module.{name}"], gradient)
