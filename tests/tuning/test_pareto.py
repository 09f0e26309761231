import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tuning.pareto import front


def beats(one, other):
    return all(a >= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


@settings(deadline=None, max_examples=100)
@given(
    st.tuples(st.integers(0, 12), st.integers(1, 3)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.integers(0, 4))
    )
)
def test_the_front_is_what_brute_force_finds(values):
    expected = [not any(beats(other, one) for other in values) for one in values]
    assert front(values).tolist() == expected


def test_of_one_objective_the_front_is_the_largest_value():
    assert front(np.array([[0.6], [0.7], [0.5], [0.7]])).tolist() == [False, True, False, True]


def test_high_auc_and_low_lift_are_on_the_front_and_what_they_beat_is_not():
    auc_lift = np.array([[0.70, 90.0], [0.68, 40.0], [0.69, 95.0], [0.60, 40.0]])
    assert front(auc_lift * [1, -1]).tolist() == [True, True, False, False]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_cannot_be_compared_is_refused(value):
    with pytest.raises(ValueError, match=r"^Pareto front: found .* allowed: finite$"):
        front(np.array([[0.5], [value]]))
