"""What a CUDA device computes equals what the CPU computes: `pytest -m gpu` where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import ray
import torch

from suite.cluster.settings import Compute
from suite.parts import Part
from suite.steps import fit as train
from suite.steps import represent
from suite.training import batches
from suite.training.settings import Training
from tests.workers import trained

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.usefixtures("one_thread"),
]

MODELS = [
    Part(name="mlp", parameters={"width": 16, "depth": 1, "dim": 4, "dropout": 0.0}),
    Part(
        name="bilstm",
        parameters={"hidden": 4, "heads": 2, "width": 8, "dim": 4}
        | {"lstm_dropout": 0.0, "dropout": 0.0},
    ),
]
EXACT = Training(
    epochs=8, patience=8, batch_size=32, user_cap=8, learning_rate=1e-2, precision="float64"
)
# The epoch that is chosen may differ where two are nearly as good.
ONE_EPOCH = EXACT.model_copy(update={"epochs": 1})
ROUGH = {"float32": 1e-4, "bf16": 5e-2}


def losses(state):
    return np.array([row["loss"] for row in state["history"]])


@pytest.mark.parametrize("model", MODELS, ids=["mlp", "bilstm"])
def test_training_gives_the_losses_and_weights_of_the_cpu(features, tmp_path, model):
    here, there = (
        trained(0, 1, features, model, EXACT, str(tmp_path / at), device=at)
        for at in ("cpu", "cuda")
    )
    np.testing.assert_allclose(losses(there), losses(here), rtol=0, atol=1e-5)
    for name, weights in here["network"].items():
        torch.testing.assert_close(there["network"][name], weights, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ROUGH)
def test_lower_precision_stays_near(features, tmp_path, precision):
    training = EXACT.model_copy(update={"precision": precision})
    here = trained(0, 1, features, MODELS[0], EXACT, str(tmp_path / "a"))
    there = trained(0, 1, features, MODELS[0], training, str(tmp_path / "b"), device="cuda")
    np.testing.assert_allclose(losses(there), losses(here), rtol=ROUGH[precision])


def test_what_began_on_the_cpu_goes_on_on_the_gpu(features, tmp_path):
    whole = trained(0, 1, features, MODELS[0], EXACT, str(tmp_path / "a"))
    assert trained(0, 1, features, MODELS[0], EXACT, str(tmp_path / "b"), kill_after=4) is None
    moved = trained(0, 1, features, MODELS[0], EXACT, str(tmp_path / "b"), device="cuda")
    np.testing.assert_allclose(losses(moved), losses(whole), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when it compiles
def test_a_compiled_step_gives_the_losses_of_one_that_is_not(features, tmp_path):
    plain, compiled = (
        trained(
            0, 1, features, MODELS[0], EXACT, str(tmp_path / str(on)), device="cuda", compile=on
        )
        for on in (False, True)
    )
    np.testing.assert_allclose(losses(compiled), losses(plain), rtol=0, atol=1e-5)


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("model", MODELS, ids=["mlp", "bilstm"])
def test_two_fits_that_share_a_gpu_give_the_scores_and_vectors_of_the_cpu(
    features, tmp_path, model
):
    stored = ray.put(features)

    @ray.remote(num_cpus=0)
    def fitted(compute, scratch):
        return train.fit(
            ray.get(stored),
            model=model,
            training=ONE_EPOCH,
            seed=0,
            compute=compute,
            scratch=scratch,
            report=lambda _: None,
        )

    on_gpu = Compute(accelerator="cuda", gpu_share=0.4)
    computes = [on_gpu, on_gpu, Compute(accelerator="cpu")]
    running = [fitted.remote(c, str(tmp_path / str(n))) for n, c in enumerate(computes)]
    there, again, here = ray.get(running)
    for found in (there, again):
        assert found.scores["event_id"].equals(here.scores["event_id"])
        np.testing.assert_allclose(found.scores["logit"], here.scores["logit"], rtol=0, atol=1e-4)
    released = represent.represent(features, there, model=model, release="model")
    built = train.build(model, 0)
    built.load_state(here.state)
    alone = built.represent(batches.gather(features, np.arange(len(features.events))))
    np.testing.assert_allclose(released.vector, alone, rtol=0, atol=1e-4)
