import pytest

from models.mlp import Mlp


def test_the_default_has_207361_parameters():
    assert Mlp().num_parameters == 207_361


def test_the_layers_are_58_256_256_256_128_128_64_1():
    weights = [
        tuple(value.shape)
        for name, value in Mlp().named_parameters()
        if value.dim() == 2 and not name.startswith("item.")
    ]

    assert weights == [
        (256, 58),
        (256, 256),
        (256, 256),
        (128, 256),
        (128, 128),
        (64, 128),
        (1, 64),
    ]


@pytest.mark.parametrize("sizes", [{"width": 1}, {"depth": 0}, {"dim": 0}])
def test_a_size_too_small_is_refused(sizes):
    with pytest.raises(ValueError, match="mlp: width must be >= 2, depth and dim >= 1"):
        Mlp(**sizes)


def test_a_stack_of_widths_is_built_as_given_before_the_representation():
    weights = [
        tuple(value.shape)
        for name, value in Mlp(widths=(128, 64, 32)).named_parameters()
        if value.dim() == 2 and not name.startswith("item.")
    ]

    assert weights == [(128, 58), (64, 128), (32, 64), (64, 32), (1, 64)]


@pytest.mark.parametrize("widths", [(), (64, 0)])
def test_an_empty_stack_or_layer_is_refused(widths):
    with pytest.raises(ValueError, match="mlp: widths must be one or more numbers >= 1, got"):
        Mlp(widths=widths)
