from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.parallel import DistributedDataParallel

from models.bilstm import Bilstm
from models.mlp import Mlp
from models.network import tensors
from tests.models.test_network import NO_DROPOUT, random_batch

every_network = pytest.mark.parametrize("kind", [Mlp, Bilstm])
every_defense = pytest.mark.parametrize(
    "defense", [{"noise": 0.5}, {"bottleneck": 0.1}, {"adversarial": 0.5}], ids=str
)
USERS = 5


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def batch_of_users():
    return replace(random_batch(users=USERS), user=np.array([3, 0, -1, 4, 1]))


def made(kind, **defense):
    network = kind(**NO_DROPOUT[kind], **defense)
    network.set_num_users(USERS)
    return network


@every_network
@every_defense
def test_what_is_scored_and_released_has_no_noise_and_the_head_agrees(kind, defense):
    network, batch = made(kind, **defense), batch_of_users()
    vectors = network.represent(batch)
    np.testing.assert_array_equal(vectors, network.represent(batch))
    np.testing.assert_allclose(network.head(vectors), network.score(batch), rtol=1e-5, atol=1e-5)
    assert vectors.shape == (23, 64)
    assert network.training


@every_network
@pytest.mark.parametrize("defense", [{"noise": 0.5}, {"bottleneck": 0.1}], ids=str)
def test_the_loss_is_of_a_fresh_draw_at_each_pass(kind, defense):
    network, batch = made(kind, **defense), tensors(batch_of_users(), "cpu")
    assert not torch.equal(network(batch)[1], network(batch)[1])
    network.eval()
    assert torch.equal(network(batch)[1], network(batch)[1])


@every_network
def test_only_training_has_penalties_and_none_is_there_by_default(kind):
    batch = tensors(batch_of_users(), "cpu")
    assert len(made(kind)(batch)) == 2
    assert len(made(kind, noise=1.0)(batch)) == 2
    both = made(kind, bottleneck=0.1, adversarial=0.1)
    assert [value.shape for value in both(batch)[2:]] == [(23,), (23,)]
    assert len(both.eval()(batch)) == 2


@every_network
def test_the_user_head_is_neither_in_the_state_nor_counted(kind):
    plain, defended = made(kind), made(kind, adversarial=0.5)
    assert defended.adversary is not None
    assert defended.num_parameters == plain.num_parameters
    assert defended.state().keys() == plain.state().keys()
    assert any(name.startswith("adversary.") for name in defended.state_dict())
    other = kind(adversarial=0.5)  # as made where nothing is fitted
    other.load_state(defended.state())
    batch = batch_of_users()
    np.testing.assert_array_equal(other.score(batch), defended.score(batch))


@every_network
def test_the_user_head_leaves_the_first_weights_as_they_are(kind):
    torch.manual_seed(3)
    plain = made(kind).state()
    torch.manual_seed(3)
    defended = made(kind, adversarial=0.5).state()
    for name, value in plain.items():
        np.testing.assert_array_equal(value, defended[name])


def test_a_bottleneck_counts_its_second_head_in_place_of_the_layer_norm():
    assert Mlp(bottleneck=0.1).num_parameters == 207_361 + 64 * 129 - 2 * 64
    assert Bilstm(bottleneck=0.1).num_parameters == 1_025_089 + 64 * 257 - 2 * 64


@every_network
def test_the_network_is_taught_what_keeps_the_users_apart_with_the_other_sign(kind):
    batch = tensors(batch_of_users(), "cpu", torch.float64)
    network = made(kind, adversarial=0.25).double()
    network(batch)[2].sum().backward()
    found = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    network.adversary.strength = -1.0  # not reversed
    network(batch)[2].sum().backward()
    for name, parameter in network.named_parameters():
        if name.startswith("output."):
            assert parameter.grad is None
            continue
        factor = 1.0 if name.startswith("adversary.") else -0.25
        torch.testing.assert_close(found[name], factor * parameter.grad)


@every_network
@every_defense
def test_every_parameter_gets_a_gradient_under_distributed_data_parallel(kind, defense):
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        network = made(kind, **defense)
        many = replace(random_batch(users=40), user=np.arange(40) % USERS)
        _, logits, *penalties = DistributedDataParallel(network)(tensors(many, "cpu"))
        sum((p.sum() for p in penalties), start=logits.sum()).backward()
    finally:
        torch.distributed.destroy_process_group()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


@every_network
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"noise": -0.1}, "noise must be >= 0 and finite, got -0.1"),
        ({"bottleneck": float("inf")}, "bottleneck must be >= 0 and finite, got inf"),
        ({"adversarial": float("nan")}, "adversarial must be >= 0 and finite, got nan"),
        ({"noise": 0.1, "bottleneck": 0.2}, "only one of noise and bottleneck may be above 0"),
    ],
    ids=str,
)
def test_a_strength_that_cannot_be_trained_is_refused_in_one_line(kind, wrong, message):
    with pytest.raises(ValueError, match=f"^{kind.__name__.lower()}: {message}") as refused:
        kind(**wrong)
    assert "\n" not in str(refused.value)


def people(rng, taste, events=10):
    """Users of constant inputs, of whom only the first column decides what they engage with."""
    users = len(taste)
    user_row = np.repeat(np.arange(users), events)
    engaged = rng.random(len(user_row)) < 1 / (1 + np.exp(-3 * taste[user_row, 0]))
    batch = random_batch(users=users, events=len(user_row))
    return replace(
        batch,
        aggregates=np.pad(taste, ((0, 0), (0, 6))).astype(np.float32),
        user_row=user_row,
        categorical=np.zeros_like(batch.categorical),
        labels=engaged[:, None].astype(np.float32),
        user=np.arange(users),
    )


def trained(steps=200, **defense):
    """Nats of the last penalty per event at strength 1, and AUC of other events."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(40, 21))
    train, test = people(rng, taste), people(rng, taste)
    torch.manual_seed(0)
    network = Mlp(width=32, depth=1, dim=8, dropout=0.0, **defense)
    network.set_num_users(len(taste))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    batch = tensors(train, "cpu")
    for _ in range(steps):
        _, logits, penalty = network(batch)
        optimizer.zero_grad()
        (bce(logits, batch.labels) + penalty.mean()).backward()
        optimizer.step()
    nats = float(penalty.mean().detach()) / defense.get("bottleneck", 1.0)
    return nats, roc_auc_score(test.labels[:, 0], network.score(test)[:, 0])


def test_an_adversary_learns_less_about_users_when_its_gradient_is_reversed():
    (told, auc), (kept, auc_defended) = trained(adversarial=1e-9), trained(adversarial=0.05)
    assert told < kept - 0.4
    # A guess costs log 40; a head that is worked against may do a little worse than that.
    assert kept < np.log(40) + 0.2
    assert auc > 0.75
    assert auc_defended > auc - 0.1


def test_a_bottleneck_lets_fewer_nats_through_the_more_each_costs():
    (wide, auc), (narrow, auc_defended) = trained(bottleneck=1e-4), trained(bottleneck=1e-2)
    assert wide > 3 * narrow > 0
    assert auc > 0.75
    assert auc_defended > auc - 0.12


def test_more_users_than_a_user_head_can_tell_apart_are_refused():
    with pytest.raises(ValueError, match=r"^mlp: adversarial: found 100,001 users of the fit, al"):
        Mlp(adversarial=0.5).set_num_users(100_001)
    Mlp().set_num_users(100_001)
