"""Vectors of 64 whole numbers in registers, for kernels that Numba compiles.

Numba has no vector types, and a loop over lanes is not turned into products of 16-bit pairs by
itself. These few operations write the generic LLVM instructions that x86 does in one: ``madd`` is
VPMADDWD with an addition on AVX2, VPDPWSSD where there is VNNI. Nothing in them is of one
architecture; elsewhere LLVM spells them out.

Numbers are read from plain addresses: an array handed to a function that is compiled into another
has its references counted, and its registers saved, at every call. The caller keeps the arrays.

A kernel that uses them is compiled into Numba's cache with them: change it as well (its file's
time will do) after a change here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, register_model

# Its functions have another signature where they are called.
intrinsic: Callable[[Callable[..., Any]], Any] = _intrinsic

LANES = 64
"""Gallery users beside each other: four AVX-512 registers of 32-bit sums, eight of AVX2."""

_I16, _I32, _MASK = (ir.IntType(bits) for bits in (16, 32, LANES))
_SUMS, _FACTORS = ir.VectorType(_I32, LANES), ir.VectorType(_I16, 2 * LANES)
_PRODUCTS = ir.VectorType(_I32, 2 * LANES)


class _Sums(types.Type):
    """32-bit numbers, one in each lane."""

    def __init__(self) -> None:
        super().__init__("Sums")


class _Factors(types.Type):
    """16-bit numbers, two in each lane."""

    def __init__(self) -> None:
        super().__init__("Factors")


@register_model(_Sums)
class _SumsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _SUMS)  # type: ignore[no-untyped-call]


@register_model(_Factors)
class _FactorsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FACTORS)  # type: ignore[no-untyped-call]


_sums, _factors = _Sums(), _Factors()


@intrinsic
def zeros(typing: Any) -> Any:
    """Zero in all lanes."""
    return _sums(), lambda *_: ir.Constant(_SUMS, [0] * LANES)


@intrinsic
def load(typing: Any, address: Any) -> Any:
    """Read 16-bit numbers, two for each lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = builder.inttoptr(args[0], _FACTORS.as_pointer())
        return builder.load(where, align=2)

    return _factors(types.intp), generate


@intrinsic
def madd(typing: Any, total: Any, factors: Any, address: Any) -> Any:
    """Add to each lane its two factors times two numbers in memory, the same for all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pair = builder.load(builder.inttoptr(args[2], _I32.as_pointer()), align=2)
        same = builder.bitcast(_spread(builder, pair), _FACTORS)
        wide = (builder.sext(one, _PRODUCTS) for one in (args[1], same))
        products = builder.mul(*wide, flags=("nsw",))
        halves = [_every_second(builder, products, first) for first in (0, 1)]
        return builder.add(args[0], builder.add(*halves, flags=("nsw",)))

    return _sums(total, factors, types.intp), generate


@intrinsic
def plus(typing: Any, left: Any, right: Any) -> Any:
    """Add lane by lane."""
    return _sums(left, right), lambda context, builder, signature, args: builder.add(*args)


@intrinsic
def minus(typing: Any, left: Any, right: Any) -> Any:
    """Subtract lane by lane."""
    return _sums(left, right), lambda context, builder, signature, args: builder.sub(*args)


@intrinsic
def above(typing: Any, sums: Any, bound: Any) -> Any:
    """Say in bit k whether lane k exceeds ``bound``, an int32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        mask = builder.icmp_signed(">", args[0], _spread(builder, args[1]))
        return builder.bitcast(mask, _MASK)

    return types.uint64(sums, types.int32), generate


@intrinsic
def num_bits(typing: Any, mask: Any) -> Any:
    """Count the bits that are 1."""
    return types.int64(types.uint64), lambda context, builder, signature, args: builder.ctpop(*args)


@intrinsic
def first_bit(typing: Any, mask: Any) -> Any:
    """Position of the lowest bit that is 1; there must be one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


def _spread(builder: Any, number: Any) -> Any:
    """Put a 32-bit number into all lanes."""
    nothing = ir.Constant(_SUMS, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_SUMS, [0] * LANES))


def _every_second(builder: Any, products: Any, first: int) -> Any:
    places = ir.Constant(_SUMS, list(range(first, 2 * LANES, 2)))
    return builder.shuffle_vector(products, ir.Constant(_PRODUCTS, ir.Undefined), places)
