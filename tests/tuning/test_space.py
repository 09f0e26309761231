import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning import space as spaces

SPACE = {
    "widths": ("choice", [32], [64, 32]),
    "depth": ("int", 1, 4),
    "dropout": ("uniform", 0.0, 0.5),
    "rate": ("log_uniform", 1e-4, 1e-2),
}


def test_a_grid_has_all_choices_and_three_values_of_each_range():
    points = spaces.grid(SPACE)
    assert len(points) == 2 * 3 * 3 * 3
    assert len({str(point) for point in points}) == len(points)
    assert {point["depth"] for point in points} == {1, 2, 4}
    assert {point["dropout"] for point in points} == {0.0, 0.25, 0.5}
    np.testing.assert_allclose(sorted({p["rate"] for p in points}), [1e-4, 1e-3, 1e-2])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32))
def test_drawn_points_lie_in_the_space_and_differ(seed):
    points = spaces.sample(SPACE, 20, np.random.default_rng(seed))
    assert len({str(point) for point in points}) == 20
    for point in points:
        assert point["widths"] in ([32], [64, 32])
        assert point["depth"] in (1, 2, 3, 4)
        assert 0 <= point["dropout"] <= 0.5
        assert 1e-4 <= point["rate"] <= 1e-2


def test_the_same_seed_draws_the_same_points():
    one, same = (spaces.sample(SPACE, 5, np.random.default_rng(1)) for _ in range(2))
    assert one == same
    assert one != spaces.sample(SPACE, 5, np.random.default_rng(2))


def test_a_logarithmic_range_is_drawn_evenly_over_its_decades():
    space = {"rate": ("log_uniform", 1e-4, 1e-2)}
    points = spaces.sample(space, 2000, np.random.default_rng(0))
    lower = np.mean([point["rate"] < 1e-3 for point in points])
    assert 0.45 < lower < 0.55


def test_a_small_space_gives_every_point_once():
    space = {"depth": ("int", 2, 4), "width": ("choice", 8, 16)}
    points = spaces.sample(space, 100, np.random.default_rng(0))
    assert sorted(map(str, points)) == sorted(map(str, spaces.grid(space)))
    assert spaces.size(space) == 6


def test_a_continuous_space_has_no_number_of_points():
    assert spaces.size(SPACE) is None


@pytest.mark.parametrize(
    ("declared", "line"),
    [
        (["loguniform", 1, 2], r"found 'loguniform', allowed: choice, uniform, log_uniform, int$"),
        ([], r"found 'nothing', allowed: choice"),
        (["choice"], r"found no choice, allowed: at least one$"),
        (["uniform", 1.0], r"found uniform of \[1.0\], allowed: two finite numbers, low < high$"),
        (["uniform", 2.0, 1.0], r"found uniform of \[2.0, 1.0\]"),
        (["uniform", 0.0, float("inf")], r"found uniform of \[0.0, inf\]"),
        (["log_uniform", 0.0, 1.0], r"found log_uniform .*, 0 < low < high$"),
        (["int", 1, 2.5], r"found int of \[1, 2.5\], allowed: two integers"),
        (["int", False, True], r"found int of \[False, True\]"),
        (["uniform", "a", "b"], r"found uniform of \['a', 'b'\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(declared, line):
    with pytest.raises(ValueError, match=rf"^space: rate: {line}"):
        spaces.check({"depth": ("int", 1, 2), "rate": declared})


def test_the_spaces_that_the_models_declare_can_be_drawn():
    from suite import registry

    for name in registry.names("models"):
        part = registry.part("models", name)
        spaces.check(part.space)
        assert set(part.space) <= set(registry.schema(part).model_fields)
