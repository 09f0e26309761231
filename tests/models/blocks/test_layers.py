import numpy as np
import pytest
import torch
from scipy.special import expit

from models.blocks.layers import ItemEmbedding, Residual, dense, repeat_rows


@pytest.mark.usefixtures("two_threads")
def test_rows_are_repeated_and_their_gradient_repeats_itself_on_two_threads():
    rng = np.random.default_rng(0)
    row, weight = rng.integers(0, 3, 600), rng.normal(size=(600, 300)).astype(np.float32)
    found = []
    for _ in range(50):
        rows = torch.tensor(np.arange(900.0).reshape(3, 300), dtype=torch.float32)
        repeated = repeat_rows(rows.requires_grad_(), torch.tensor(row))
        repeated.backward(torch.tensor(weight))
        found.append(rows.grad.numpy().tobytes())
    np.testing.assert_array_equal(repeated.detach(), rows.detach()[row])
    expected = [weight[row == i].astype(np.float64).sum(axis=0) for i in range(3)]
    np.testing.assert_allclose(rows.grad, expected, atol=1e-4)
    assert len(set(found)) == 1


def test_a_dense_layer_is_linear_then_normalized_then_x_sigmoid_x():
    layer = dense(5, 3, dropout=0.0).double()
    inputs = np.random.default_rng(0).normal(size=(4, 5))
    weight, bias = (p.detach().numpy() for p in layer[0].parameters())
    linear = inputs @ weight.T + bias
    spread = np.sqrt(linear.var(axis=1, keepdims=True) + 1e-5)
    normalized = (linear - linear.mean(axis=1, keepdims=True)) / spread

    output = layer(torch.tensor(inputs)).detach().numpy()

    np.testing.assert_allclose(output, normalized * expit(normalized), atol=1e-12)


def test_a_residual_block_without_weights_is_the_identity():
    block = Residual(8, dropout=0.2)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    inputs = torch.arange(16.0).view(2, 8)

    assert torch.equal(block(inputs), inputs)


def test_an_item_is_its_category_row_then_its_type_row():
    item = ItemEmbedding()

    output = item(torch.tensor([[31, 15], [0, 3]]))

    assert output.shape == (2, item.num_outputs)
    assert torch.equal(output[0, :16], item.category.weight[31])
    assert torch.equal(output[1, 16:], item.item_type.weight[3])
