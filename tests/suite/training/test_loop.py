from __future__ import annotations

import hashlib
import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from models.network import Network, tensors
from suite.parts import Part
from suite.store import checkpoints
from suite.training import batches, loop, seeds
from suite.training.build import build
from suite.training.loop import Worker
from suite.training.settings import Training

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = Part(name="mlp", parameters={"width": 16, "depth": 1, "dim": 4})
FAST = Training(epochs=4, batch_size=32, user_cap=8, learning_rate=1e-2)


class KilledError(Exception):
    """Ends a run between two epochs."""


def run(features, url, *, training=FAST, seed=0, kill_after: int | None = None, model=SMALL):
    """Train in this process; the reports come back as well."""
    network = build(model, seed, features)
    rows = []

    def report(row):
        rows.append(row)
        if row["epoch"] == kill_after:
            raise KilledError

    state = loop.train(
        network,
        features,
        training,
        seed=seed,
        worker=Worker(),
        checkpoint_url=str(url),
        report=report,
    )
    return state, rows, network


def same_weights(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def figures(history):
    """History without the speed, which no two runs share."""
    return [{k: v for k, v in row.items() if k != "examples_per_s"} for row in history]


@pytest.fixture(scope="module")
def unbroken(features, tmp_path_factory):
    return run(features, tmp_path_factory.mktemp("loop") / "checkpoint.pt")[0]


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_a_run_killed_after_any_epoch_ends_bit_identical(features, tmp_path, unbroken, epoch):
    with pytest.raises(KilledError):
        run(features, tmp_path / "c.pt", kill_after=epoch)
    resumed, rows, _ = run(features, tmp_path / "c.pt")
    assert [row["epoch"] for row in rows] == list(range(epoch + 1, 5))
    assert same_weights(resumed["network"], unbroken["network"])
    assert same_weights(resumed["best"], unbroken["best"])
    assert figures(resumed["history"]) == figures(unbroken["history"])


def test_the_bilstm_with_dropout_resumes_bit_identical(features, tmp_path):
    model = Part(name="bilstm", parameters={"hidden": 4, "heads": 2, "width": 8, "dim": 4})
    training = FAST.model_copy(update={"epochs": 2})
    whole, _, _ = run(features, tmp_path / "a.pt", model=model, training=training)
    with pytest.raises(KilledError):
        run(features, tmp_path / "b.pt", model=model, training=training, kill_after=1)
    resumed, _, _ = run(features, tmp_path / "b.pt", model=model, training=training)
    assert same_weights(resumed["network"], whole["network"])


def test_a_finished_run_is_not_trained_again(features, tmp_path, unbroken):
    run(features, tmp_path / "c.pt")
    again, rows, _ = run(features, tmp_path / "c.pt")
    assert rows == []
    assert same_weights(again["best"], unbroken["best"])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(features, tmp_path, unbroken):
    same, other = (run(features, tmp_path / f"{s}.pt", seed=s)[0] for s in (0, 1))
    assert same_weights(same["network"], unbroken["network"])
    assert not same_weights(other["network"], unbroken["network"])


def test_what_is_reported_is_the_history_with_the_number_of_epochs(features, tmp_path):
    state, rows, _ = run(features, tmp_path / "c.pt")
    assert [{k: v for k, v in row.items() if k != "epochs"} for row in rows] == state["history"]
    assert {row["epochs"] for row in rows} == {4}
    assert all(row["examples_per_s"] > 0 for row in rows)


def test_training_lowers_the_loss_and_learns_something(features, tmp_path):
    training = FAST.model_copy(update={"epochs": 10, "patience": 10})
    state, _, _ = run(features, tmp_path / "c.pt", training=training)
    losses = [row["loss"] for row in state["history"]]
    assert losses[-1] < 0.8 * losses[0]
    assert max(row["validation_auc"] for row in state["history"]) > 0.65


def with_aucs(monkeypatch, *aucs: float) -> None:
    """Let validation say what the test wants, and keep what the weights were."""
    values = itertools.chain(aucs)
    monkeypatch.setattr(loop, "validation_auc", lambda *_: next(values))


def test_training_stops_when_patience_is_over(features, tmp_path, monkeypatch):
    training = FAST.model_copy(update={"epochs": 10, "patience": 2})
    with_aucs(monkeypatch, 0.6, 0.7, 0.7, 0.65)
    state, rows, _ = run(features, tmp_path / "c.pt", training=training)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert (state["best_auc"], state["stale"]) == (0.7, 2)


def test_a_better_epoch_restores_the_patience(features, tmp_path, monkeypatch):
    training = FAST.model_copy(update={"epochs": 6, "patience": 2})
    with_aucs(monkeypatch, 0.6, 0.5, 0.61, 0.5, 0.62, 0.5)
    _, rows, _ = run(features, tmp_path / "c.pt", training=training)
    assert len(rows) == 6


@pytest.mark.parametrize("best", [1, 2, 4])
def test_the_best_epoch_by_validation_auc_is_kept(features, tmp_path, monkeypatch, best):
    with_aucs(monkeypatch, *(0.9 if epoch == best else 0.5 for epoch in (1, 2, 3, 4)))
    state, _, _ = run(features, tmp_path / "c.pt")
    with_aucs(monkeypatch, 0.5, 0.5, 0.5, 0.5)
    with pytest.raises(KilledError):
        run(features, tmp_path / "until.pt", kill_after=best)
    until = checkpoints.load(str(tmp_path / "until.pt"))
    assert same_weights(state["best"], until["network"])
    assert same_weights(state["best"], state["network"]) == (best == 4)


def test_the_first_of_equally_good_epochs_is_kept(features, tmp_path, monkeypatch):
    with_aucs(monkeypatch, 0.5, 0.7, 0.7, 0.6)
    state, _, _ = run(features, tmp_path / "c.pt")
    with_aucs(monkeypatch, 0.5, 0.5)
    training = FAST.model_copy(update={"patience": 10})
    with pytest.raises(KilledError):
        run(features, tmp_path / "until.pt", training=training, kill_after=2)
    assert same_weights(state["best"], checkpoints.load(str(tmp_path / "until.pt"))["network"])


def test_the_validation_auc_is_scikit_learns_over_trained_users(features, monkeypatch):
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 32)
    network = build(SMALL, 0)
    chosen = features.events.with_row_index().filter(window="validation", trained=True)
    rows = chosen["index"].to_numpy().astype(np.int64)
    scores = network.score(batches.gather(features, rows))[:, 0]
    expected = roc_auc_score(chosen["engaged"], scores)
    assert loop.validation_auc(network, features, Worker()) == pytest.approx(expected)
    assert 0 < len(rows) < (features.events["window"] == "validation").sum()


def test_a_validation_window_of_one_class_cannot_choose_an_epoch(features):
    one_class = replace(features, labels=np.ones_like(features.labels))
    with pytest.raises(
        ValueError, match=r"^validation: label engaged is always 1 among the \d+ ev"
    ):
        loop.validation_auc(build(SMALL, 0), one_class, Worker())


def test_the_positive_weight_is_negatives_over_positives_of_trained_users_in_train(features):
    labels = features.events.filter(window="train", trained=True)["engaged"]
    expected = (~labels).sum() / labels.sum()
    assert loop.positive_weight(features, 1) == pytest.approx([expected])


def test_held_out_users_and_test_events_have_no_influence(features, tmp_path, unbroken):
    spared = (features.events["trained"] & (features.events["window"] != "test")).to_numpy()
    changed = replace(
        features,
        labels=np.where(spared[:, None], features.labels, 1 - features.labels),
        continuous=np.where(spared[:, None], features.continuous, 9).astype(np.float32),
    )
    state, _, _ = run(changed, tmp_path / "c.pt")
    assert same_weights(state["network"], unbroken["network"])
    assert figures(state["history"]) == figures(unbroken["history"])


def test_the_first_loss_is_the_weighted_cross_entropy_of_the_first_weights(features, tmp_path):
    # A batch as large as the epoch, no dropout, and so small a step that the loss is of the start.
    training = Training(epochs=1, batch_size=10_000, user_cap=100)
    model = Part(name="mlp", parameters={**SMALL.parameters, "dropout": 0.0})
    state, _, _ = run(features, tmp_path / "c.pt", training=training, model=model)
    network = build(model, 0)
    assert isinstance(network, Network)
    batch = batches.gather(features, batches.rows(features, "train", trained=True))
    weight = torch.tensor(loop.positive_weight(features, 1))
    logits = network(tensors(batch, "cpu"))[1]
    labels = torch.tensor(batch.labels[:, :1])
    probability = torch.sigmoid(logits.double())
    by_hand = -(weight * labels * probability.log() + (1 - labels) * (1 - probability).log())
    assert state["history"][0]["loss"] == pytest.approx(float(by_hand.detach().mean()), rel=1e-5)
    same = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)
    assert float(same.detach()) == pytest.approx(float(by_hand.detach().mean()), rel=1e-5)


@pytest.mark.parametrize("defense", [{"bottleneck": 0.5}, {"adversarial": 0.5}], ids=str)
def test_the_loss_of_an_epoch_holds_the_penalties_of_its_events(features, tmp_path, defense):
    training = Training(epochs=1, batch_size=10_000, user_cap=100)
    model = Part(name="mlp", parameters={**SMALL.parameters, "dropout": 0.0, **defense})
    network = build(model, 0, features)
    state = loop.train(
        network,
        features,
        training,
        seed=0,
        worker=Worker(),
        checkpoint_url=str(tmp_path / "c.pt"),
        report=lambda _: None,
    )
    fresh = build(model, 0, features)
    batch = batches.gather(
        features, batches.rows(features, "train", trained=True), batches.users(features)
    )
    # The noise of the bottleneck is the one that the epoch's seed gives.
    torch.manual_seed(int(seeds.sequence(0, 0, 0).generate_state(1)[0]))
    _, logits, penalty = fresh(tensors(batch, "cpu"))
    weight = torch.tensor(loop.positive_weight(features, 1))
    labels = torch.tensor(batch.labels[:, :1])
    entropy = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)
    expected = entropy + penalty.mean()
    assert state["history"][0]["loss"] == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float(penalty.detach().min()) > 0


def test_an_adversarial_run_killed_between_epochs_ends_bit_identical(features, tmp_path):
    model = Part(name="mlp", parameters={**SMALL.parameters, "adversarial": 0.3})
    whole, _, network = run(features, tmp_path / "a.pt", model=model)
    with pytest.raises(KilledError):
        run(features, tmp_path / "b.pt", model=model, kill_after=2)
    resumed, _, _ = run(features, tmp_path / "b.pt", model=model)
    assert same_weights(resumed["network"], whole["network"])
    heads = {name: w for name, w in whole["network"].items() if name.startswith("adversary.")}
    assert len(heads["adversary.head.2.bias"]) == len(batches.users(features))
    assert not network.state().keys() & heads.keys()


def test_training_that_diverges_says_so_in_one_line(features, tmp_path):
    training = FAST.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"diverged|NaN") as refused:
        run(features, tmp_path / "c.pt", training=training)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_is_replaced_whole_and_holds_no_code(tmp_path):
    url = str(tmp_path / "deep" / "[er]" / "checkpoint.pt")
    assert checkpoints.load(url) is None
    checkpoints.save(url, {"epoch": 1, "best": {"w": torch.ones(2)}})
    checkpoints.save(url, {"epoch": 2, "best": {"w": torch.zeros(2)}})
    assert checkpoints.load(url)["epoch"] == 2
    assert [path.name for path in (tmp_path / "deep" / "[er]").iterdir()] == ["checkpoint.pt"]
    hostile = io.BytesIO()
    torch.save({"epoch": KilledError()}, hostile)
    Path(url).write_bytes(hashlib.sha256(hostile.getvalue()).digest() + hostile.getvalue())
    with pytest.raises(Exception, match="Weights only load failed"):
        checkpoints.load(url)


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(100)])
def test_a_checkpoint_that_is_not_what_was_saved_does_not_count(tmp_path, content):
    url = str(tmp_path / "deep" / "checkpoint.pt")
    for name in ("checkpoint.pt", "pretrained.pt"):
        checkpoints.save(str(tmp_path / "deep" / name), {"epoch": 1})
    Path(url).write_bytes(content)
    assert checkpoints.load(url) is None
    assert checkpoints.remove_damaged(str(tmp_path)) == [url]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["pretrained.pt"]
    assert checkpoints.remove_damaged(str(tmp_path / "nowhere")) == []


def test_a_batch_in_pieces_gives_the_weights_of_the_whole_batch(features, tmp_path):
    exact = FAST.model_copy(update={"precision": "float64", "epochs": 2})
    model = Part(name="mlp", parameters={**SMALL.parameters, "dropout": 0.0})
    whole, pieces = (
        run(features, tmp_path / f"{size}.pt", model=model, training=training)[0]
        for size in (None, 7)
        for training in [exact.model_copy(update={"micro_batch_size": size})]
    )
    for name, weights in whole["network"].items():
        torch.testing.assert_close(pieces["network"][name], weights, rtol=0, atol=1e-12)
    assert [row["loss"] for row in pieces["history"]] == pytest.approx(
        [row["loss"] for row in whole["history"]], abs=1e-12
    )


def test_a_group_of_parameters_keeps_its_share_of_the_rate(features, tmp_path, monkeypatch):
    from models.mlp import Mlp

    def groups(self, learning_rate):
        head = list(self.output.parameters())
        rest = [p for n, p in self.named_parameters() if not n.startswith("output")]
        return [
            {"params": rest, "max_lr": learning_rate},
            {"params": head, "max_lr": 1e-12 * learning_rate},
        ]

    monkeypatch.setattr(Mlp, "parameter_groups", groups)
    state, _, _ = run(features, tmp_path / "c.pt")
    fresh = build(SMALL, 0).state_dict()
    moved = {k: float((state["network"][k] - fresh[k]).abs().max()) for k in fresh}
    assert max(moved[k] for k in moved if k.startswith("output")) < 1e-6
    assert min(moved[k] for k in moved if k.startswith("trunk.0.0.weight")) > 1e-4
