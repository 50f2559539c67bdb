"""Machine operations that every room may need, and that Python and numba have no word for."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from udt.compilation import intrinsic


@intrinsic(lambda array, i: None)
def prefetch(typingctx: Any, array: Any, i: Any) -> Any:
    """Ask for the cache line that holds element ``i`` of a contiguous array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.bitcast(builder.gep(struct.data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [pointer.type],
            ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number]),
        )
        builder.call(function, [pointer, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic(lambda array: 64 // array.itemsize)
def line_size(typingctx: Any, array: Any) -> Any:
    """Tell how many elements of an array a cache line of 64 bytes holds, when compiled."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        size = context.get_abi_sizeof(context.get_value_type(array.dtype))
        return ir.IntType(64)(64 // size)

    return types.int64(array), codegen


@intrinsic(lambda x: np.float32(x).view(np.int32))
def bits_of(typingctx: Any, x: Any) -> Any:
    """Read a float32 as an int32 of the same bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic(lambda x: np.int32(x).view(np.float32))
def float_of(typingctx: Any, x: Any) -> Any:
    """Read an int32 as a float32 of the same bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic(lambda x: x if x.dtype == np.float32 else (np.uint32(x) << 16).view(np.float32))
def widen(typingctx: Any, x: Any) -> Any:
    """Give a stored weight as a float32: one itself, or a bfloat16 whose bits are a uint16."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if signature.args[0] == types.float32:
            return args[0]
        bits = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.IntType(32)(16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32 if x == types.float32 else types.uint16), codegen


# Odd numbers that spread the places of a row, and their bits, over 32 bits.
_SPREAD, _MIX = 0x9E3779B1, 0x85EBCA6B


def _narrow(array: Any, x: Any, key: Any, place: Any) -> Any:
    if array.dtype == np.float32:
        return x
    noise = ((int(key) ^ (int(place) * _SPREAD)) * _MIX & 0xFFFFFFFF) >> 16
    return np.uint16((int(np.float32(x).view(np.uint32)) + noise) >> 16 & 0xFFFF)


@intrinsic(_narrow)
def narrow(typingctx: Any, array: Any, x: Any, key: Any, place: Any) -> Any:
    """Give a float32 as an array stores it: itself, or a bfloat16 above or below it, at random.

    The nearer one is the more probable one, so that the expectation is ``x`` over keys (uint32) of
    each place. An array of float32 does not look at them, and what makes them is left out when the
    code is compiled. NaN stays NaN if the lower half of its bits is zero, as arithmetic leaves it.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, x, key, place = args
        if signature.args[0].dtype == types.float32:
            return x
        number = ir.IntType(32)
        spread = builder.mul(builder.trunc(place, number), number(_SPREAD))
        noise = builder.mul(builder.xor(key, spread), number(_MIX))
        bits = builder.add(builder.bitcast(x, number), builder.lshr(noise, number(16)))
        return builder.trunc(builder.lshr(bits, number(16)), ir.IntType(16))

    return array.dtype(array, types.float32, types.uint32, types.int64), codegen
