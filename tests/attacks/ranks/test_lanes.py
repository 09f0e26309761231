"""Vectors in registers against NumPy."""

import numba
import numpy as np
import pytest

from attacks.ranks.lanes import LANES, above, first_bit, load, madd, minus, num_bits, plus, zeros


@numba.njit
def _compared(factors, numbers, other, bound):
    total = zeros()
    for k in range(numbers.size // 2):
        total = madd(total, load(factors.ctypes.data + 4 * LANES * k), numbers.ctypes.data + 4 * k)
    rest = madd(zeros(), load(other.ctypes.data), numbers.ctypes.data)
    return above(total, bound), above(plus(total, rest), bound), above(minus(total, rest), bound)


@numba.njit
def _places(mask):
    count, first = num_bits(mask), first_bit(mask)
    return count, first


def bits(mask):
    return [bool(mask >> lane & 1) for lane in range(LANES)]


@pytest.mark.parametrize("largest", [3, 5000, 32_000])
def test_sums_and_signs_are_those_of_whole_numbers(largest):
    rng = np.random.default_rng(largest)
    num_pairs = 7 if largest < 32_000 else 1  # beyond, a sum would not fit 32 bits
    factors = rng.integers(-largest, largest + 1, (num_pairs, LANES, 2)).astype(np.int16)
    other = rng.integers(-largest, largest + 1, (LANES, 2)).astype(np.int16) // 2
    numbers = rng.integers(-largest, largest + 1, (num_pairs, 2)).astype(np.int16) // 2
    total = np.einsum("kld,kd->l", factors.astype(np.int64), numbers)
    rest = other.astype(np.int64) @ numbers[0]
    bound = np.int32(np.sort(total)[LANES // 2])

    found = _compared(factors.ravel(), numbers.ravel(), other.ravel(), bound)

    for mask, expected in zip(found, (total, total + rest, total - rest), strict=True):
        assert bits(mask) == (expected > bound).tolist()


@pytest.mark.parametrize("positions", [[0], [63], [5, 17, 40], list(range(64))])
def test_bits_are_counted_and_found(positions):
    mask = np.uint64(sum(1 << position for position in positions))

    assert _places(mask) == (len(positions), positions[0])
