import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.base import Batch
from models.bilstm import BidirectionalLstm, Bilstm


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def left_aligned(lengths, num_steps):
    return torch.arange(num_steps) < torch.tensor(lengths).unsqueeze(1)


def reference_of(lstm, num_inputs, hidden):
    """A bidirectional nn.LSTM of torch with the same weights."""
    reference = nn.LSTM(
        num_inputs, hidden, num_layers=len(lstm.ahead), bidirectional=True, batch_first=True
    )
    weights = {}
    for row, (ahead, back) in enumerate(zip(lstm.ahead, lstm.back, strict=True)):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            weights[f"{name}_l{row}"] = getattr(ahead, f"{name}_l0")
            weights[f"{name}_l{row}_reverse"] = getattr(back, f"{name}_l0")
    reference.load_state_dict(weights)
    return reference.double()


def test_the_default_has_1025089_parameters():
    assert Bilstm().num_parameters == 1_025_089


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_the_lstm_equals_torch_with_packed_sequences(lengths):
    lstm = BidirectionalLstm(3, 5, 2, dropout=0.0).double()
    steps, mask = torch.randn(len(lengths), 7, 3, dtype=torch.float64), left_aligned(lengths, 7)
    packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)

    output, _ = reference_of(lstm, 3, 5)(packed)
    expected, _ = pad_packed_sequence(output, batch_first=True, total_length=7)

    torch.testing.assert_close(lstm(steps, mask), expected, rtol=1e-10, atol=1e-12)


def test_padded_inputs_change_no_bit_of_the_lstm_in_either_direction():
    lstm = BidirectionalLstm(2, 128, 2, dropout=0.0)
    steps, mask = torch.randn(6, 50, 2), left_aligned([0, 1, 7, 31, 49, 50], 50)
    changed = torch.where(mask.unsqueeze(2), steps, 1e3 * torch.randn_like(steps))

    ahead, back = lstm(steps, mask).split(128, dim=2)
    changed_ahead, changed_back = lstm(changed, mask).split(128, dim=2)

    assert torch.equal(ahead, changed_ahead)
    assert torch.equal(back, changed_back)
    assert ahead[mask].abs().min() > 0
    assert not ahead[~mask].any()
    assert not back[~mask].any()


@pytest.mark.parametrize("num_layers", [1, 2])
def test_lstm_dropout_acts_between_layers_only(num_layers):
    lstm = BidirectionalLstm(2, 8, num_layers, dropout=0.5)
    steps, mask = torch.randn(3, 10, 2), left_aligned([10, 10, 10], 10)

    assert torch.equal(lstm(steps, mask), lstm(steps, mask)) == (num_layers == 1)


@pytest.mark.parametrize("training", [True, False])
def test_padded_inputs_change_no_bit_of_the_code(training):
    model = Bilstm(lstm_dropout=0.0).train(training)
    steps, mask = torch.randn(6, 50, 2), left_aligned([0, 1, 7, 31, 49, 50], 50)
    changed = torch.where(mask.unsqueeze(2), steps, 1e3 * torch.randn_like(steps))

    assert torch.equal(model.encode(steps, mask), model.encode(changed, mask))


def test_padded_inputs_have_no_gradient_and_all_others_have_one():
    model = Bilstm(lstm_dropout=0.0)
    steps, mask = torch.randn(4, 50, 2, requires_grad=True), left_aligned([0, 3, 20, 50], 50)

    model.encode(steps, mask).square().sum().backward()

    assert torch.equal(steps.grad.abs().sum(dim=2) > 0, mask)


def test_each_history_has_the_code_it_has_alone_without_padding():
    model = Bilstm().double().eval()
    lengths = [1, 7, 31, 50]
    steps = torch.randn(4, 50, 2, dtype=torch.float64)

    together = model.encode(steps, left_aligned(lengths, 50))

    for code, history, length in zip(together, steps, lengths, strict=True):
        alone = model.encode(history[None, :length], left_aligned([length], length))
        torch.testing.assert_close(code, alone[0], rtol=1e-10, atol=1e-12)


def test_the_code_is_the_mean_of_normalized_attention_over_existing_steps():
    model = Bilstm().double().eval()
    steps, mask = torch.randn(1, 9, 2, dtype=torch.float64), left_aligned([9], 9)
    hidden = model.lstm(model.step(steps), mask)[0]
    query, key, value = (hidden @ model.attention.in_proj_weight.T).split(256, dim=1)
    heads = [
        (q @ k.T / 8).softmax(dim=1) @ v
        for q, k, v in zip(*(part.split(64, dim=1) for part in (query, key, value)), strict=True)
    ]
    attended = torch.cat(heads, dim=1) @ model.attention.out_proj.weight.T
    expected = (attended - attended.mean(1, keepdim=True)) / torch.sqrt(
        attended.var(1, keepdim=True, correction=0) + 1e-5
    )

    # Biases of a new attention layer and the shift of a new LayerNorm are 0, its scale 1.
    torch.testing.assert_close(model.encode(steps, mask)[0], expected.mean(0))


@pytest.mark.parametrize("training", [True, False])
def test_an_empty_history_has_the_code_0_and_finite_gradients(training):
    model = Bilstm().train(training)
    mask = left_aligned([0, 12], 50)

    code = model.encode(torch.randn(2, 50, 2), mask)
    code.sum().backward()

    assert not code[0].any()
    assert code[1].all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_events_of_users_without_any_history_get_finite_outputs():
    batch = Batch(
        aggregates=np.zeros((3, 27), np.float32),
        sequence=np.zeros((3, 50, 2), np.float32),
        mask=np.zeros((3, 50), np.bool_),
        user_row=np.array([0, 1, 2, 2]),
        categorical=np.zeros((4, 2), np.int64),
        continuous=np.zeros((4, 8), np.float32),
        labels=np.zeros((4, 1), np.float32),
        wide=np.zeros((4, 0), np.float32),
        tokens=np.zeros((1, 0), np.int32),
        text_row=np.zeros(4, np.int64),
    )
    model = Bilstm()

    assert np.isfinite(model.score(batch)).all()
    assert np.isfinite(model.represent(batch)).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden": 0}, "bilstm: hidden must be >= 1, got 0"),
        ({"heads": 3}, "bilstm: heads must divide 2 \\* hidden = 256, got 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Bilstm(**parameters)
