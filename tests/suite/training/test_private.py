from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from scipy.stats import norm
from torch.nn import functional

from models.blocks.privacy import Privacy
from models.network import tensors
from suite.parts import Part
from suite.training import batches, loop, private
from suite.training.accounting import guarantee
from suite.training.build import build
from suite.training.loop import Worker
from suite.training.settings import Training

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"width": 16, "depth": 1, "dim": 4, "dropout": 0.0}
LSTM = {"hidden": 4, "heads": 2, "width": 8, "dim": 4, "lstm_dropout": 0.0, "dropout": 0.0}
PER_USER = {"dp": "user", "noise_multiplier": 1.0}
FAST = Training(epochs=3, batch_size=32, user_cap=8, learning_rate=1e-2)


def made(features, name="mlp", **parameters):
    sizes = SMALL if name == "mlp" else LSTM
    return build(Part(name=name, parameters={**sizes, **parameters}), 0, features)


def run(features, url, *, kill_after=None, training=FAST, **parameters):
    network = made(features, **parameters)

    def report(row):
        if row["epoch"] == kill_after:
            raise KeyboardInterrupt

    return loop.train(
        network,
        features,
        training,
        seed=0,
        worker=Worker(),
        checkpoint_url=str(url),
        report=report,
    )


def gradient(network, features, rows, weight):
    """Gradient of the mean loss of some events, by the ordinary backward pass."""
    batch = tensors(batches.gather(features, rows), "cpu", torch.float64)
    network.zero_grad()
    entropy = functional.binary_cross_entropy_with_logits(
        network(batch)[1], batch.labels[:, :1], pos_weight=weight
    )
    entropy.backward()
    flat = torch.cat([p.grad.flatten() for p in network.parameters()])
    return flat, float(entropy.detach())


@pytest.mark.parametrize("unit", ["example", "user"])
@pytest.mark.parametrize("name", ["mlp", "bilstm"])
def test_clipping_all_units_at_once_equals_a_loop_over_units(features, name, unit):
    network, weight = made(features, name).double(), torch.tensor([1.7]).double()
    sampled = private.units(features, unit)[:40:3]
    each = [gradient(network, features, rows, weight) for rows in sampled]
    norms = torch.stack([found.norm() for found, _ in each])
    bound = float(norms.median())
    assert norms.min() < bound < norms.max()
    expected = sum(found * min(1.0, bound / float(found.norm())) for found, _ in each)
    total, loss = private.clipped_sum(network, features, sampled, weight, bound)
    torch.testing.assert_close(total, expected, rtol=1e-9, atol=1e-12)
    assert float(loss) == pytest.approx(sum(value for _, value in each), rel=1e-9)


def test_pieces_of_units_give_the_sum_of_all(features, monkeypatch):
    network, weight = made(features).double(), torch.tensor([1.0]).double()
    sampled = private.units(features, "user")
    whole = private.clipped_sum(network, features, sampled, weight, 0.1)
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 13)
    pieces = private.clipped_sum(network, features, sampled, weight, 0.1)
    torch.testing.assert_close(pieces, whole, rtol=1e-9, atol=1e-12)
    none = private.clipped_sum(network, features, [], weight, 0.1)
    assert [float(value.abs().sum()) for value in none] == [0, 0]


def test_one_user_moves_the_sum_by_no_more_than_the_norm(features):
    network, weight = made(features).double(), torch.tensor([1.0]).double()
    users = private.units(features, "user")
    whole, _ = private.clipped_sum(network, features, users, weight, 0.05)
    for left_out in range(0, len(users), 5):
        rest = users[:left_out] + users[left_out + 1 :]
        without, _ = private.clipped_sum(network, features, rest, weight, 0.05)
        assert float((whole - without).norm()) <= 0.05 * (1 + 1e-9)


def test_a_unit_is_one_event_or_all_train_events_of_a_trained_user(features):
    train = batches.rows(features, "train", trained=True)
    assert [rows.tolist() for rows in private.units(features, "example")] == train[:, None].tolist()
    by_user: dict[int, list[int]] = {}
    for row in train.tolist():
        by_user.setdefault(features.events["user_id"][row], []).append(row)
    found = {tuple(rows.tolist()) for rows in private.units(features, "user")}
    assert found == {tuple(rows) for rows in by_user.values()}


def test_every_unit_is_sampled_independently_with_the_same_probability():
    units = [np.array([number]) for number in range(400)]
    dp = private.DpSgd(units, 8, 1.0, 1.0, seed=3)
    steps = [[int(rows[0]) for rows in sampled] for e in range(50) for sampled in dp.samples(e)]
    taken = np.zeros((len(steps), 400), dtype=bool)
    for step, sampled in enumerate(steps):
        taken[step, sampled] = True
        assert len(set(sampled)) == len(sampled)
    # 400 steps of 400 units at 1/8: means within 5 standard errors, sizes of binomial variance.
    error = np.sqrt(1 / 8 * 7 / 8 / 400)
    assert abs(taken.mean() - 1 / 8) < 5 * error / 20
    assert np.abs(taken.mean(axis=0) - 1 / 8).max() < 5 * error
    assert taken.sum(axis=1).var() == pytest.approx(400 * 1 / 8 * 7 / 8, rel=0.3)
    per_epoch = taken.reshape(50, 8, 400).sum(axis=1)
    assert {0, 1, 2, 3} <= set(per_epoch.ravel().tolist())  # no partition of the units
    assert np.abs(np.corrcoef(taken[:, :2].T)[0, 1]) < 0.25


def test_samples_follow_from_seed_and_epoch():
    units = [np.array([number]) for number in range(100)]
    dp = private.DpSgd(units, 4, 1.0, 1.0, seed=3)

    def drawn(dp, epoch):
        return [[int(rows[0]) for rows in sampled] for sampled in dp.samples(epoch)]

    assert drawn(dp, 0) == drawn(dp, 0)
    assert drawn(dp, 0) != drawn(dp, 1)
    assert drawn(dp, 0) != drawn(replace(dp, seed=4), 0)


def left(dp, network, features, epoch=0):
    """Gradients that the steps of an epoch leave, without any step of an optimizer."""
    weight = torch.tensor([1.0]).double()
    return [
        torch.cat([p.grad.flatten() for p in network.parameters()])
        for _ in dp.steps(network, features, weight, epoch, 0, 1)
    ]


def test_the_noise_has_its_standard_deviation_over_the_expected_number_of_units(features):
    network = made(features, width=64).double()
    units = private.units(features, "user")
    noisy = private.DpSgd(units, 4, 0.3, 2.0, seed=0)
    clean = replace(noisy, noise_multiplier=0.0)
    pairs = zip(left(noisy, network, features), left(clean, network, features), strict=True)
    noise = torch.stack([one - other for one, other in pairs])
    # The divisor is the expected number, whatever was sampled.
    assert float(noise.std()) == pytest.approx(2.0 * 0.3 / (len(units) / 4), rel=0.02)
    assert float(noise.mean().abs()) < 4 * float(noise.std()) / noise.numel() ** 0.5
    across = torch.corrcoef(noise)[0, 1]
    assert float(across.abs()) < 4 / noise.shape[1] ** 0.5
    again = left(noisy, network, features)
    assert all(map(torch.equal, again, left(noisy, network, features)))
    assert not torch.equal(again[0], left(noisy, network, features, epoch=1)[0])


def test_a_step_without_any_unit_is_noise_alone(features):
    network = made(features).double()
    units = private.units(features, "user")[:1]
    dp = private.DpSgd(units, 50, 1.0, 1.0, seed=0)
    sizes = [len(sampled) for sampled in dp.samples(0)]
    assert 0 in sizes
    assert all(float(g.norm()) > 0 for g in left(dp, network, features))


@pytest.mark.parametrize(
    ("noise_multiplier", "sample_rate", "steps"),
    [(1.0, 1 / 46, 184), (2.0, 0.1, 300)],
)
def test_epsilon_is_that_of_dp_accounting(noise_multiplier, sample_rate, steps):
    privacy = Privacy("user", 1.0, noise_multiplier, None, 1e-5)
    found = guarantee(privacy, sample_rate=sample_rate, steps=steps, group_size=1)
    event = dp_event.PoissonSampledDpEvent(sample_rate, dp_event.GaussianDpEvent(noise_multiplier))
    accountant = PLDAccountant().compose(dp_event.SelfComposedDpEvent(event, steps))
    exact = accountant.get_epsilon(1e-5)
    assert exact - 1e-3 <= found.epsilon <= exact + 0.03


@pytest.mark.parametrize("noise_multiplier", [4.0, 0.3])
def test_full_batches_are_bounded_from_above(noise_multiplier):
    privacy = Privacy("user", 1.0, noise_multiplier, None, 1e-5)
    found = guarantee(privacy, sample_rate=1.0, steps=10, group_size=1)
    mu = np.sqrt(10) / noise_multiplier

    def delta(epsilon):
        # Balle and Wang 2018, theorem 8.
        first, second = norm.logcdf([mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu])
        return np.exp(first) - np.exp(epsilon + second)

    assert delta(found.epsilon) <= 1e-5 < delta(found.epsilon / 1.2)


def test_a_target_below_what_can_be_accounted_for_is_refused_in_one_line():
    privacy = Privacy("user", 1.0, None, 0.005, 1e-5)
    with pytest.raises(ValueError, match=r"^epsilon: found 0\.005, allowed: 0\.0\d+ or more$"):
        guarantee(privacy, sample_rate=1 / 46, steps=184, group_size=1)


def test_a_target_epsilon_is_reached_by_hardly_more_noise_than_needed():
    privacy = Privacy("user", 1.0, None, 2.0, 1e-5)
    found = guarantee(privacy, sample_rate=1 / 46, steps=184, group_size=1)
    assert 1.95 < found.epsilon <= 2.0
    event = dp_event.PoissonSampledDpEvent(1 / 46, dp_event.GaussianDpEvent(found.noise_multiplier))
    accountant = PLDAccountant().compose(dp_event.SelfComposedDpEvent(event, 184))
    assert 1.9 < accountant.get_epsilon(1e-5) <= 2.0


def test_the_guarantee_is_of_all_steps_and_names_unit_group_and_limits(features):
    network = made(features, dp="example", noise_multiplier=1.0)
    found = private.guaranteed(network, features, FAST)
    steps = len(batches.training_batches(features, seed=0, epoch=0, size=32, cap=8))
    assert (found.steps, found.sample_rate) == (3 * steps, 1 / steps)
    assert found.group_size == 6
    assert "example-level" in found.note
    assert "up to 6 per user" in found.note
    assert "protects membership in the training data, not the vector" in found.note
    assert found.facts["dp/epsilon"] == found.epsilon
    assert private.guaranteed(made(features, **PER_USER), features, FAST).group_size == 1
    assert private.guaranteed(made(features), features, FAST) is None


@pytest.mark.parametrize("name", ["mlp", "bilstm"])
def test_private_training_learns_where_the_noise_is_small(features, tmp_path, name):
    training = FAST.model_copy(update={"epochs": 6})
    how = {"dp": "user", "noise_multiplier": 0.05, "max_grad_norm": 1.0, "name": name}
    state = run(features, tmp_path / "c.pt", training=training, **how)
    losses = [row["loss"] for row in state["history"]]
    assert losses[-1] < 0.9 * losses[0]


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_private_run_killed_between_epochs_ends_bit_identical(features, tmp_path):
    whole = run(features, tmp_path / "a.pt", **PER_USER)
    with pytest.raises(KeyboardInterrupt):
        run(features, tmp_path / "b.pt", kill_after=2, **PER_USER)
    assert same(run(features, tmp_path / "b.pt", **PER_USER)["network"], whole["network"])


def test_validation_events_select_no_private_epoch(features, tmp_path):
    later = (features.events["window"] == "validation").to_numpy()
    flipped = replace(
        features, labels=np.where(later[:, None], 1 - features.labels, features.labels)
    )
    impatient = FAST.model_copy(update={"patience": 1})
    states = [
        run(world, tmp_path / f"{number}.pt", training=impatient, **PER_USER)
        for number, world in enumerate((features, flipped))
    ]
    assert [len(state["history"]) for state in states] == [3, 3]
    assert same(states[0]["best"], states[1]["best"])
    assert same(states[0]["best"], states[0]["network"])


@pytest.mark.parametrize(
    ("training", "dp", "message"),
    [
        ({"finetune_epochs": 2}, {}, r"training\.finetune_epochs: found 2, allowed with dp: 0$"),
        ({"precision": "bf16"}, {}, r"training\.precision: found bf16, allowed with dp: float32, "),
        ({}, {"delta": 0.06}, r"mlp: delta: found 0\.06, allowed: below 1 / \d+ users$"),
    ],
)
def test_what_private_training_cannot_do_is_refused_in_one_line(features, training, dp, message):
    network = made(features, **PER_USER, **dp)
    with pytest.raises(ValueError, match=f"^{message}"):
        private.guaranteed(network, features, FAST.model_copy(update=training))


@pytest.mark.parametrize("name", ["mlp", "bilstm"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dp": "user"}, "dp user takes exactly one of noise_multiplier and epsilon, got none"),
        (
            {"dp": "user", "noise_multiplier": 1.0, "epsilon": 2.0},
            "dp user takes exactly one of .*, got noise_multiplier and epsilon",
        ),
        ({"epsilon": 2.0}, "dp none takes none of noise_multiplier and epsilon, got epsilon"),
        ({"dp": "user", "epsilon": 0.0}, "epsilon must be above 0 and finite, got 0.0"),
        ({**PER_USER, "max_grad_norm": 0.0}, "max_grad_norm must be above 0 and finite, got 0.0"),
        ({**PER_USER, "delta": 1.0}, r"delta must be in \(0, 1\), got 1.0"),
        ({**PER_USER, "adversarial": 0.1}, "dp and adversarial exclude each other, got 0.1"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused_in_one_line(name, wrong, message):
    with pytest.raises(ValueError, match=f"^{name}: {message}"):
        build(Part(name=name, parameters=wrong), 0)


def test_a_missing_opacus_is_said_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"^mlp: dp needs opacus; install the extra dp$"):
        build(Part(name="mlp", parameters=PER_USER), 0)
