from __future__ import annotations

import pytest
import torch
from torch import distributions, nn

from models.blocks.defenses import Adversary, Representation, Strengths, divergence, reverse


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_the_divergence_is_that_of_torch_distributions():
    mean, log_variance = torch.randn(7, 5), torch.randn(7, 5)
    drawn = distributions.Normal(mean, (log_variance / 2).exp())
    standard = distributions.Normal(torch.zeros(5), torch.ones(5))
    expected = distributions.kl_divergence(drawn, standard).sum(dim=1)
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_the_divergence_by_hand():
    # N(1, 4) from N(0, 1): (4 + 1 - 1 - ln 4) / 2; the standard normal from itself: 0.
    mean, log_variance = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 1.0]]).log()
    assert float(divergence(mean, log_variance)) == pytest.approx((4 - 1.386294) / 2)


def test_the_divergence_of_half_precision_is_added_up_in_single():
    mean = torch.ones(512, 64)
    found = divergence(mean.bfloat16(), torch.zeros_like(mean).bfloat16())
    assert found.dtype == torch.float32
    assert found.tolist() == [32.0] * 512


def test_a_reversed_gradient_has_the_other_sign_and_the_strength():
    values = torch.randn(4, 3, requires_grad=True)
    weight = torch.randn(4, 3)
    (plain,) = torch.autograd.grad((values * weight).sum(), values)
    (found,) = torch.autograd.grad((reverse(values, 0.3) * weight).sum(), values)
    torch.testing.assert_close(found, -0.3 * plain)
    torch.testing.assert_close(reverse(values, 0.3), values)


def test_the_adversary_learns_while_what_it_reads_is_taught_the_opposite():
    adversary = Adversary(dim=3, num_users=5, strength=2.0)
    vectors, user = torch.randn(6, 3, requires_grad=True), torch.tensor([0, 1, 2, 3, 4, -1])
    adversary(vectors, user).sum().backward()
    own = {name: p.grad.clone() for name, p in adversary.named_parameters()}
    adversary.zero_grad()
    again = vectors.detach().requires_grad_()
    nn.functional.cross_entropy(adversary.head(again[:5]), user[:5], reduction="sum").backward()
    for name, parameter in adversary.named_parameters():
        torch.testing.assert_close(own[name], parameter.grad)
    torch.testing.assert_close(vectors.grad, -2.0 * again.grad)


def test_users_who_are_not_of_the_fit_have_no_loss():
    adversary = Adversary(dim=3, num_users=5, strength=2.0)
    loss = adversary(torch.randn(4, 3), torch.full((4,), -1))
    loss.sum().backward()
    assert loss.tolist() == [0.0] * 4
    assert all(float(p.grad.abs().sum()) == 0 for p in adversary.parameters())


def test_noise_is_added_in_training_only_and_never_to_what_is_released():
    layer = Representation(8, 4, Strengths(noise=0.5))
    inputs = torch.randn(6, 8)
    released, learned, penalty = layer(inputs)
    assert penalty is None
    assert not torch.equal(released, learned)
    layer.eval()
    quiet = layer(inputs)
    torch.testing.assert_close(quiet[0], released)
    assert torch.equal(quiet[0], quiet[1])


def test_the_noise_is_relative_to_the_gain_of_each_coordinate():
    layer = Representation(8, 2, Strengths(noise=0.5))
    with torch.no_grad():
        layer.norm.weight.copy_(torch.tensor([1.0, 10.0]))
        layer.norm.bias.fill_(3.0)
    released, learned, _ = layer(torch.randn(20_000, 8))
    torch.testing.assert_close(
        (learned - released).std(dim=0), torch.tensor([0.5, 5.0]), rtol=0.03, atol=0
    )
    torch.testing.assert_close((learned - released).mean(dim=0), torch.zeros(2), rtol=0, atol=0.15)


def test_a_bottleneck_draws_from_its_gaussian_while_training_and_releases_the_mean():
    layer = Representation(8, 3, Strengths(bottleneck=0.1))
    row = torch.randn(1, 8)
    mean, raw = layer.linear(row).chunk(2, dim=1)
    released, learned, penalty = layer(row.expand(50_000, 8))
    torch.testing.assert_close(released, mean.expand_as(released))
    spread = ((raw - 4) / 2).exp()
    torch.testing.assert_close(learned.mean(dim=0, keepdim=True), mean, rtol=0, atol=4e-3)
    torch.testing.assert_close(learned.std(dim=0, keepdim=True), spread, rtol=0.02, atol=0)
    torch.testing.assert_close(penalty, 0.1 * divergence(mean, raw - 4).expand(50_000))
    layer.eval()
    quiet, same, nothing = layer(row)
    torch.testing.assert_close(quiet, mean)
    assert same is quiet
    assert nothing is None
