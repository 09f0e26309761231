"""How many workers train, on what and how often they are killed changes no result."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import distributed

from suite.artifacts.fitted import Fitted
from suite.cluster.settings import Compute
from suite.parts import Part
from suite.steps import fit as train
from suite.steps.features import prepare
from suite.store import checkpoints
from suite.training import batches, loop
from suite.training.private import guaranteed
from suite.training.settings import Training
from tests.workers import exchanged_on_cpu, first_epochs, killed, together, trained

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"width": 16, "depth": 1, "dim": 4}
MLP = Part(name="mlp", parameters={**SMALL, "dropout": 0.0})
BILSTM = Part(
    name="bilstm",
    parameters={
        "hidden": 4,
        "num_layers": 1,
        "heads": 2,
        "width": 8,
        "dim": 4,
        "lstm_dropout": 0.0,
        "dropout": 0.0,
    },
)
ADVERSARIAL = Part(name="mlp", parameters={**MLP.parameters, "adversarial": 0.3})
PRIVATE = Part(name="mlp", parameters={**MLP.parameters, "dp": "user", "noise_multiplier": 0.05})
DROPOUT = Part(name="mlp", parameters=SMALL)
EXACT = Training(
    epochs=25,
    patience=25,
    batch_size=32,
    user_cap=8,
    learning_rate=1e-2,
    precision="float64",
)
SHORT = EXACT.model_copy(update={"epochs": 3, "precision": "float32"})


@pytest.fixture(scope="module")
def ran(features, tmp_path_factory):
    """Last checkpoint of every run; those of several workers share one start of processes."""
    folder = tmp_path_factory.mktemp("train")
    jobs = {
        ("mlp", 2): (2, trained, features, MLP, EXACT),
        ("mlp", 4): (4, trained, features, MLP, EXACT),
        ("bilstm", 2): (2, trained, features, BILSTM, EXACT),
        ("adversarial", 2): (2, trained, features, ADVERSARIAL, EXACT),
        ("private", 2): (2, trained, features, PRIVATE, EXACT),
        "killed": (2, killed, features, MLP, EXACT),
        "begun": (2, first_epochs, features, MLP, EXACT),
        "plain": (2, trained, features, DROPOUT, SHORT),
        "on_cpu": (2, exchanged_on_cpu, features, DROPOUT, SHORT),
    }
    done = together([(*job, str(folder / str(number))) for number, job in enumerate(jobs.values())])
    states = {name: ranks[0] for name, ranks in zip(jobs, done, strict=True)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = {"mlp": MLP, "bilstm": BILSTM, "adversarial": ADVERSARIAL, "private": PRIVATE}
    for name, model in alone.items():
        states[name, 1] = trained(0, 1, features, model, EXACT, str(folder / name))
    begun = str(folder / str(list(jobs).index("begun")))
    states["resumed by one"] = trained(0, 1, features, MLP, EXACT, begun)
    torch.set_num_threads(threads)
    return states


def losses(state):
    return np.array([row["loss"] for row in state["history"]])


def same_weights(one, other):
    return all(torch.equal(one["network"][k], other["network"][k]) for k in other["network"])


@pytest.mark.parametrize(
    ("model", "num_workers"),
    [("mlp", 2), ("mlp", 4), ("bilstm", 2), ("adversarial", 2), ("private", 2)],
)
def test_the_loss_curve_of_100_steps_does_not_depend_on_the_number_of_workers(
    ran, model, num_workers
):
    alone, shared = ran[model, 1], ran[model, num_workers]
    assert alone["schedule"]["last_epoch"] == shared["schedule"]["last_epoch"] >= 100
    assert losses(alone)[-1] < 0.9 * losses(alone)[0]
    np.testing.assert_allclose(losses(shared), losses(alone), rtol=0, atol=1e-5)
    for name, weights in alone["network"].items():
        assert weights.dtype == torch.float64
        torch.testing.assert_close(shared["network"][name], weights, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_with_dropout_the_final_auc_differs_by_less_than_0_003(tmp_path):
    readers = prepare(dataset=Part(name="synthetic", parameters={"users": 1500}), holdout_users=0.2)
    training = Training(epochs=8)
    model = Part(name="mlp")
    alone = trained(0, 1, readers, model, training, str(tmp_path / "1"))
    jobs = [(n, trained, readers, model, training, str(tmp_path / f"{n}")) for n in (2, 4)]
    shared = [ranks[0] for ranks in together(jobs)]
    assert alone["best_auc"] > 0.68
    for state in shared:
        assert state["best_auc"] == pytest.approx(alone["best_auc"], abs=0.003)
        last = [one["history"][-1]["validation_auc"] for one in (state, alone)]
        assert last[0] == pytest.approx(last[1], abs=0.003)
        assert losses(state).tolist() != losses(alone).tolist()


@pytest.mark.slow
def test_a_compiled_step_gives_the_losses_of_one_that_is_not(features, tmp_path, ran):
    training = EXACT.model_copy(update={"patience": 3})
    with_two = partial(trained, compile=True)
    ((state, _),) = together([(2, with_two, features, MLP, training, str(tmp_path / "c.pt"))])
    count = len(state["history"])
    np.testing.assert_allclose(losses(state), losses(ran["mlp", 2])[:count], rtol=0, atol=1e-5)


def test_workers_that_are_killed_continue_from_the_state_of_the_first(ran):
    assert same_weights(ran["killed"], ran["mlp", 2])
    assert losses(ran["killed"]).tolist() == losses(ran["mlp", 2]).tolist()


def test_another_number_of_workers_continues_what_was_begun(ran):
    assert ran["begun"] is None
    np.testing.assert_allclose(losses(ran["resumed by one"]), losses(ran["mlp", 1]), atol=1e-5)
    for name, weights in ran["mlp", 1]["network"].items():
        torch.testing.assert_close(
            ran["resumed by one"]["network"][name], weights, rtol=0, atol=1e-5
        )


def test_gradients_exchanged_on_the_cpu_give_the_weights_of_plain_ddp_bit_for_bit(ran):
    assert same_weights(ran["on_cpu"], ran["plain"])
    assert losses(ran["on_cpu"]).tolist() == losses(ran["plain"]).tolist()


def test_single_precision_follows_double_precision_for_a_while(features, tmp_path, ran):
    single = EXACT.model_copy(update={"precision": "float32"})
    state = trained(0, 1, features, MLP, single, str(tmp_path / "c.pt"))
    assert {weights.dtype for weights in state["network"].values()} == {torch.float32}
    np.testing.assert_allclose(losses(state)[:3], losses(ran["mlp", 1])[:3], rtol=1e-4)
    assert losses(state)[0] != losses(ran["mlp", 1])[0]


def test_a_compiled_copy_of_the_model_holds_back_its_gradients_too():
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        ddp = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
        for parallel in (ddp, torch.compile(ddp, backend="eager")):
            for now in (False, True):
                with loop._gradient_sync(parallel, now):
                    assert ddp.require_backward_grad_sync is now
    finally:
        distributed.destroy_process_group()


def fit(features, scratch, *, model=MLP, training=EXACT, seed=0, rows=None, **compute):
    return train.fit(
        features,
        model=model,
        training=training,
        seed=seed,
        compute=Compute(**{"accelerator": "cpu"} | compute),
        scratch=str(scratch),
        report=(lambda _: None) if rows is None else rows.append,
    )


def test_a_fit_trained_in_double_precision_is_released_in_single(features, tmp_path):
    fitted = fit(features, tmp_path, training=EXACT.model_copy(update={"epochs": 1}))
    assert {str(weights.dtype) for weights in fitted.state.values()} == {"float32"}
    best = checkpoints.load(f"{tmp_path}/checkpoint.pt")["best"]
    assert all(np.array_equal(fitted.state[k], best[k].float().numpy()) for k in best)


def test_a_private_fit_reports_its_guarantee_and_keeps_it_with_the_weights(features, tmp_path):
    training = EXACT.model_copy(update={"epochs": 2})
    fitted = fit(features, tmp_path / "fit", model=PRIVATE, training=training)
    expected = guaranteed(train.build(PRIVATE, 0, features), features, training)
    assert fitted.facts == expected.facts
    assert "user-level differential privacy" in fitted.note
    fitted.save(tmp_path)
    again = Fitted.load(tmp_path)
    assert (again.note, again.facts) == (fitted.note, fitted.facts)
    assert fit(features, tmp_path / "plain", training=training).note is None


def test_a_private_fit_is_refused_before_anything_is_trained(features, tmp_path):
    training = EXACT.model_copy(update={"finetune_epochs": 1})
    with pytest.raises(ValueError, match=r"^training\.finetune_epochs: found 1, allowed"):
        fit(features, tmp_path / "fit", model=PRIVATE, training=training)
    assert not (tmp_path / "fit").exists()


def test_a_user_head_leaves_no_trace_in_a_fit(features, tmp_path):
    training = EXACT.model_copy(update={"epochs": 1})
    plain = fit(features, tmp_path / "a", model=MLP, training=training)
    fitted = fit(features, tmp_path / "b", model=ADVERSARIAL, training=training)
    assert fitted.state.keys() == plain.state.keys()
    assert fitted.num_parameters == plain.num_parameters
    network = train.build(ADVERSARIAL, 1)
    network.load_state(fitted.state)
    batch = batches.gather(features, batches.rows(features, "test"))
    rows = fitted.scores.filter(window="test")
    np.testing.assert_allclose(network.score(batch)[:, 0], rows["logit"], atol=1e-5)


@pytest.mark.parametrize("model", [MLP, BILSTM], ids=["mlp", "bilstm"])
def test_bf16_follows_single_precision_and_keeps_its_weights(features, tmp_path, model):
    found = {}
    for precision in ("float32", "bf16"):
        training = EXACT.model_copy(update={"precision": precision})
        state = trained(0, 1, features, model, training, str(tmp_path / precision))
        assert {weights.dtype for weights in state["network"].values()} == {torch.float32}
        found[precision] = losses(state)
    np.testing.assert_allclose(found["bf16"][:3], found["float32"][:3], rtol=0.02)
    assert found["bf16"][0] != found["float32"][0]


@pytest.mark.parametrize(("precision", "on"), [("bf16", "mps"), ("float64", "mps")])
def test_a_precision_that_the_accelerator_lacks_is_refused_in_one_line(
    features, tmp_path, precision, on
):
    with pytest.raises(ValueError, match=rf"^training.precision: found {precision} on {on}, .*\Z"):
        fit(features, tmp_path, training=Training(precision=precision), accelerator=on)


@pytest.mark.parametrize(("given", "most"), [(1, 1), (4, 4), ([1, 4], 4), ([2, 2], 2), ((1, 3), 3)])
def test_workers_are_a_number_or_the_fewest_and_the_most(given, most):
    compute = Compute(workers=given)
    assert compute.most_workers == most
    assert Compute.model_validate_json(compute.model_dump_json()) == compute


@pytest.mark.parametrize("given", [0, -1, [2, 1], [0, 2], [1, 2, 3], [], 1.5, "two", None, True])
def test_other_numbers_of_workers_are_refused(given):
    with pytest.raises(ValidationError, match=r"a number from 1, or \[fewest, most\]"):
        Compute(workers=given)


MORTAL = '''
import os
import signal
from pathlib import Path

from torch import distributed

from models.mlp import Mlp


class Mortal(Mlp):
    """An MLP whose second worker is killed once, in the middle of an epoch.

    Parameters
    ----------
    grave
        File that is made by the killed worker; empty to live on.
    """

    def __init__(self, *, grave: str = "") -> None:
        super().__init__(width=16, depth=1, dim=4, dropout=0.0)
        self.grave = grave
        self.steps = 0

    def forward(self, batch):
        self.steps += self.training
        if self.grave and self.steps == 10 and distributed.is_initialized():
            if distributed.get_rank() == 1 and not Path(self.grave).exists():
                Path(self.grave).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(batch)
'''


@pytest.fixture
def mortal(tmp_path):
    """Model of a user's own file."""
    file = tmp_path / "mortal.py"
    file.write_text(MORTAL)

    def part(grave: Path | str = ""):
        return Part(name=f"{file}:Mortal", parameters={"grave": str(grave)})

    return part


def on_ray(test):
    """Mark a test that starts worker groups; settings of Ray Data warn of themselves there."""
    for mark in (
        pytest.mark.cluster,
        pytest.mark.slow,
        pytest.mark.usefixtures("ray_session"),
        pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    ):
        test = mark(test)
    return test


@on_ray
def test_a_group_that_loses_a_worker_ends_with_the_weights_of_one_that_did_not(
    features, tmp_path, mortal
):
    training = EXACT.model_copy(update={"epochs": 6})
    alone = fit(features, tmp_path / "alone", model=mortal(), training=training)
    group = fit(features, tmp_path / "group", model=mortal(), training=training, workers=2)
    grave = tmp_path / "grave"
    # The cluster has room for two of the up to three workers.
    elastic = fit(
        features, tmp_path / "elastic", model=mortal(grave), training=training, workers=(1, 3)
    )
    assert grave.exists()
    assert [row["epoch"] for row in elastic.history] == [1, 2, 3, 4, 5, 6]
    for name, weights in group.state.items():
        np.testing.assert_array_equal(elastic.state[name], weights)
        np.testing.assert_allclose(weights, alone.state[name], rtol=0, atol=1e-5)
    assert not np.array_equal(losses_of(alone), losses_of(group))
    np.testing.assert_allclose(losses_of(group), losses_of(alone), rtol=0, atol=1e-5)
    assert losses_of(elastic).tolist() == losses_of(group).tolist()


def losses_of(fitted):
    return np.array([row["loss"] for row in fitted.history])


@on_ray
def test_a_group_that_diverges_says_so_in_one_line_and_is_not_started_again(features, tmp_path):
    training = EXACT.model_copy(update={"learning_rate": 1e300})
    with pytest.raises(ValueError, match=r"^training diverged: .*\Z"):
        fit(features, tmp_path, training=training, workers=2)
