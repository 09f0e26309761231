"""The compiled comparison of a block of probes with tiles of users, both in 16 bits.

A kernel releases the interpreter lock and runs on one thread. What its arrays hold is said in
`attacks.ranks.screen`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from attacks.ranks.counting import TIE, verdict
from attacks.ranks.lanes import LANES, above, first_bit, load, madd, minus, num_bits, plus, zeros


@numba.njit(nogil=True, cache=True)
def compare(probes: Any, users: Any, tiles: Any, exact: Any, counts: Any) -> None:
    """Count whom the true user of each probe is beaten by and tied with.

    Parameters
    ----------
    probes
        ``numbers, scale, length, error, slack, true_score`` of r probes.
    users
        ``numbers, order, edges`` of the gallery.
    tiles
        ``first, last, height, scale, length, error, size, offset``: the tiles to compare with, and
        what is known of all.
    exact
        What decides a pair in float64.
    counts
        ``greater, equal`` of r probes, added to in place.
    """
    user_numbers, order, edges = users
    user_address, probe_address = user_numbers.ctypes.data, probes[0].ctypes.data
    num_pairs, num_stops = edges[-1], edges.size - 1
    stops = (num_stops, edges[0], edges[num_stops // 2], num_pairs)
    first, last, height = tiles[:3]
    greater, equal = counts
    # Unpacked once: arrays looked up inside the loop cost a count of their references each time.
    (probe, gallery, center, probe_scale, probe_size, scale, size, offset, true_row, true_score) = (
        exact
    )
    exact_probes = (probe, probe_scale, probe_size, true_score)
    exact_users = (gallery, scale, size, offset)
    stride = 4 * (num_pairs + num_stops)
    for tile in range(first, last):
        low, high = _bounds(probes, tiles, tile, exact)
        end = min((tile + 1) * height, order.size)
        for place in range(tile * height, end, LANES):
            num_none = max(0, place + LANES - end)  # users that are none count as products of 0
            for row in range(low.size):
                signs, within = _signs(
                    user_address + place * stride,
                    probe_address + row * stride,
                    stops,
                    low[row],
                    high[row],
                )
                greater[row] += num_bits(signs) - num_none * (high[row] < 0)
                while within != 0:
                    at = place + first_bit(within)
                    within &= within - np.uint64(1)
                    if at < end and order[at] != true_row[row]:
                        side = verdict(row, order[at], exact_probes, exact_users, center, true_row)
                        greater[row] += side > 0
                        equal[row] += side == 0


@numba.njit(nogil=True, cache=True)
def _bounds(probes: Any, tiles: Any, tile: Any, exact: Any) -> Any:
    """Products above ``high`` are certainly greater, those up to ``low`` certainly smaller."""
    _, scale, length, error, slack, true_score = probes
    _, _, _, tile_scale, tile_length, tile_error, tile_size, tile_offset = tiles
    size, offset, true_row = exact.gallery_size, exact.offset, exact.true_row
    low, high = np.empty(true_row.size, np.int32), np.empty(true_row.size, np.int32)
    for i in range(true_row.size):
        true = true_row[i]
        tie = exact.probe_size[i] * max(tile_size[tile], size[true])
        tie += max(tile_offset[tile], offset[true])
        # With rounding errors e of x and f of g: |(x + e).(g + f) - x.g| <= |e||g| + |x + e||f|.
        width = error[i] * tile_length[tile] + (length[i] + error[i]) * tile_error[tile]
        width = 1.001 * (width + slack[i] + TIE * tie)
        unit = scale[i] * tile_scale[tile]
        highest = min(max(unit * (true_score[i] + width), -1.5e9), 1.5e9)
        lowest = min(max(unit * (true_score[i] - width), -1.5e9), 1.5e9)
        # One more for the rounding of these lines.
        high[i] = np.int32(np.floor(highest) + 1)
        low[i] = np.int32(np.ceil(lowest) - 2)
    return low, high


@numba.njit(nogil=True, cache=True, forceinline=True)
def _signs(user: Any, probe: Any, stops: Any, low: Any, high: Any) -> Any:
    """Compare a probe with users beside each other: masks of who is above, and of who is open.

    ``user`` and ``probe`` are addresses of pairs of dimensions, behind which stand the lengths of
    what remains after each stop.
    """
    num_stops, first_stop, second_stop, num_pairs = stops
    total = zeros()
    done = 0
    for stop in range(num_stops):
        end = first_stop if stop == 0 else second_stop
        total = _multiplied(total, user, probe, done, end)
        done = end
        rest = _multiplied(zeros(), user, probe, num_pairs + stop, num_pairs + stop + 1)
        signs = above(minus(total, rest), high)
        if above(plus(total, rest), low) == signs:
            return signs, np.uint64(0)
    total = _multiplied(total, user, probe, done, num_pairs)
    signs = above(total, high)
    return signs, above(total, low) ^ signs


@numba.njit(nogil=True, cache=True, forceinline=True)
def _multiplied(total: Any, user: Any, probe: Any, first: Any, last: Any) -> Any:
    """Add the products of pairs ``first`` to ``last``."""
    for k in range(first, last):
        total = madd(total, load(user + 4 * LANES * k), probe + 4 * k)
    return total
