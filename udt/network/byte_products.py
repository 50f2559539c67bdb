"""Products of a tile of quantised weights with rows of activations, in machine instructions.

Where the processor has an instruction for dot products of bytes, the weights of sixteen classes
meet four activations of a row in one; elsewhere, the same integers come from products of 16 bits.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numpy.typing import NDArray

from udt.compilation import intrinsic

Array = NDArray[Any]
#: Classes of a tile, and weights of a class that lie side by side in it.
TILE, STEP = 16, 4
#: What is added to integers from -127 to 127, for instructions that take weights as not negative.
OFFSET = 128
_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def _features() -> set[str]:
    """Give the processor features that kernels are compiled for."""
    named = config.CPU_FEATURES  # type: ignore[attr-defined]
    if named is not None:
        return {name[1:] for name in named.split(",") if name.startswith("+")}
    if config.CPU_NAME == "generic":  # type: ignore[attr-defined]
        return set()
    return {name for name, there in binding.get_host_cpu_features().items() if there}


def _dot_instruction(features: set[str], machine: str) -> tuple[str, int] | None:
    """Give LLVM's name of a dot product of bytes and how many bytes it takes, if there is one."""
    if machine in ("aarch64", "arm64") and "dotprod" in features:
        return "llvm.aarch64.neon.sdot.v4i32.v16i8", 16
    if machine in ("x86_64", "AMD64") and {"avx512vnni", "avx512vl"} <= features:
        return "llvm.x86.avx512.vpdpbusd.512", 64
    if machine in ("x86_64", "AMD64") and "avxvnni" in features:
        return "llvm.x86.avx512.vpdpbusd.256", 32
    return None


INSTRUCTION = _dot_instruction(_features(), platform.machine())
#: How activations are kept: as the dot product takes them, or ready for products of 16 bits.
ACTIVATION = np.dtype(np.int16 if INSTRUCTION is None else np.int8)
#: Rows whose sums fit the registers together.
ROWS = 2 if INSTRUCTION is None else 8


def _vector(type_: ir.Type, n: int) -> ir.Type:
    return ir.VectorType(type_, n)


def _splat(builder: Any, scalar: Any, n: int) -> Any:
    """Repeat a scalar ``n`` times."""
    undefined = ir.Constant(_vector(scalar.type, n), ir.Undefined)
    first = builder.insert_element(undefined, scalar, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_vector(_I32, n), [0] * n))


def _load(builder: Any, pointer: Any, type_: ir.Type) -> Any:
    """Load what lies at a pointer to bytes, aligned or not."""
    return builder.load(builder.bitcast(pointer, type_.as_pointer()), align=1)


class _Products:
    """Multiplies 16-bit activations: the sum of each two products is one int32."""

    n_bytes = 16  # of weights in a register
    sums = _vector(_I32, 8)
    is_signed = False

    def load(self, builder: Any, pointer: Any) -> Any:
        """Load four activations, for each class of a register."""
        return builder.bitcast(_splat(builder, _load(builder, pointer, _I64), 4), _vector(_I16, 16))

    def widen(self, builder: Any, codes: Any) -> Any:
        return builder.zext(codes, _vector(_I16, 16))

    def add(self, builder: Any, sums: Any, codes: Any, activations: Any) -> Any:
        wide = _vector(_I32, 16)
        products = builder.mul(builder.sext(codes, wide), builder.sext(activations, wide))
        return builder.add(sums, self._add_neighbours(builder, products, products))

    def finish(self, builder: Any, sums: list[Any]) -> list[Any]:
        """Give the sums of eight classes each."""
        pairs = zip(sums[::2], sums[1::2], strict=True)
        return [self._add_neighbours(builder, a, b) for a, b in pairs]

    @staticmethod
    def _add_neighbours(builder: Any, a: Any, b: Any) -> Any:
        n = a.type.count if a is b else 2 * a.type.count
        even, odd = (
            builder.shuffle_vector(a, b, ir.Constant(_vector(_I32, n // 2), list(range(i, n, 2))))
            for i in (0, 1)
        )
        return builder.add(even, odd)


class _DotProducts:
    """Multiplies 8-bit activations by a dot-product instruction: four products are one int32."""

    def __init__(self, name: str, n_bytes: int) -> None:
        self.name = name
        self.n_bytes = n_bytes
        self.sums = _vector(_I32, n_bytes // 4)
        self.is_signed = "sdot" in name  # takes codes less the offset

    def load(self, builder: Any, pointer: Any) -> Any:
        """Load four activations, for each class of a register."""
        splat = _splat(builder, _load(builder, pointer, _I32), self.n_bytes // 4)
        return builder.bitcast(splat, _vector(_I8, self.n_bytes))

    def widen(self, builder: Any, codes: Any) -> Any:
        if not self.is_signed:
            return codes
        return builder.xor(codes, ir.Constant(codes.type, [OFFSET] * self.n_bytes))

    def add(self, builder: Any, sums: Any, codes: Any, activations: Any) -> Any:
        # As vectors of int32, which LLVM takes in every version.
        packed = codes.type if self.is_signed else self.sums
        kinds = [self.sums, packed, packed]
        function = builder.module.declare_intrinsic(
            self.name, (), ir.FunctionType(self.sums, kinds)
        )
        arguments = [builder.bitcast(x, packed) for x in (codes, activations)]
        return builder.call(function, [sums, *arguments])

    def finish(self, builder: Any, sums: list[Any]) -> list[Any]:
        return sums


def _add_plainly(
    codes: Array, begin: int, activations: Array, row: int, first: int, n_steps: int,
    zeros: Array, part: int, factors: Array, scales: Array, tile: int, bias: Array, keeps: bool,
    out: Array, column: int, *, n_rows: int,
) -> None:  # fmt: skip
    """Do what `add_part` does, in NumPy."""
    n = n_steps * STEP
    weights = codes[begin : begin + n * TILE].reshape(n_steps, TILE, STEP).astype(np.int32)
    rows = slice(row, row + n_rows)
    x = activations[rows, first : first + n].astype(np.int32)
    sums = np.einsum("scd,rsd->rc", weights, x.reshape(n_rows, n_steps, STEP))
    sums -= zeros[rows, part, np.newaxis]
    total = sums.astype(np.float32) * factors[rows, np.newaxis] * scales[tile, part]
    if part == 0:
        total = total + bias[tile * TILE : (tile + 1) * TILE]
    here = out[rows, column : column + TILE]
    here[:] = here + total if keeps else total


def _add_part(n_rows: int) -> Callable[..., None]:
    """Make the intrinsic that scores so many rows for a tile of classes."""

    @intrinsic(partial(_add_plainly, n_rows=n_rows))
    def add_part(
        typingctx: Any, codes: Any, begin: Any, activations: Any, row: Any, first: Any,
        n_steps: Any, zeros: Any, part: Any, factors: Any, scales: Any, tile: Any, bias: Any,
        keeps: Any, out: Any, column: Any,
    ) -> Any:  # fmt: skip
        """Add one part of the products of rows ``row:row + n_rows`` with a tile to logits.

        The part has ``n_steps`` times 4 weights, whose codes begin at byte ``begin``, and whose
        activations begin at column ``first``. The bias is added with part 0. Without ``keeps``,
        what ``out`` holds does not count.
        """
        integer = types.int64
        signature = types.void(
            codes, integer, activations, integer, integer, integer, zeros, integer, factors,
            scales, integer, bias, types.boolean, out, integer,
        )  # fmt: skip

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arguments = [
                context.make_array(kind)(context, builder, value)
                if isinstance(kind, types.Array)
                else value
                for kind, value in zip(signature.args, args, strict=True)
            ]
            unit: Any = _Products()
            if signature.args[2].dtype == types.int8:
                assert INSTRUCTION is not None
                unit = _DotProducts(*INSTRUCTION)
            _emit(builder, unit, n_rows, *arguments)
            return context.get_dummy_value()

        return signature, codegen

    return add_part


def _emit(
    builder: Any, unit: Any, n_rows: int, codes: Any, begin: Any, activations: Any, row: Any,
    first: Any, n_steps: Any, zeros: Any, part: Any, factors: Any, scales: Any, tile: Any,
    bias: Any, keeps: Any, out: Any, column: Any,
) -> None:  # fmt: skip
    """Write the code of `add_part`."""
    rows = [builder.add(row, _I64(r)) for r in range(n_rows)]
    inputs = [_pointer(builder, activations, r, first) for r in rows]
    weights = _pointer(builder, codes, begin)
    sums = _emit_loop(builder, unit, weights, inputs, n_steps)
    is_first = builder.icmp_signed("==", part, _I64(0))
    for number, row_sums in zip(rows, sums, strict=True):
        zero = builder.load(_pointer(builder, zeros, number, part))
        factor = builder.load(_pointer(builder, factors, number))
        lane = 0
        for total in unit.finish(builder, row_sums):
            n = total.type.count
            floats = _vector(ir.FloatType(), n)
            none = ir.Constant(floats, [0.0] * n)
            if not unit.is_signed:
                total = builder.sub(total, _splat(builder, zero, n))
            x = builder.fmul(builder.sitofp(total, floats), _splat(builder, factor, n))
            scale = _pointer(builder, scales, tile, part, _I64(lane))
            x = builder.fmul(x, _load(builder, scale, floats))
            at = builder.add(builder.mul(tile, _I64(TILE)), _I64(lane))
            constant = _load(builder, _pointer(builder, bias, at), floats)
            x = builder.fadd(x, builder.select(is_first, constant, none))
            place = _pointer(builder, out, number, builder.add(column, _I64(lane)))
            kept = builder.select(keeps, _load(builder, place, floats), none)
            place = builder.bitcast(place, floats.as_pointer())
            builder.store(builder.fadd(x, kept), place, align=4)
            lane += n


def _pointer(builder: Any, array: Any, *indices: Any) -> Any:
    """Give a pointer into a contiguous array."""
    at = indices[0]
    for axis, index in enumerate(indices[1:], 1):
        at = builder.add(builder.mul(at, builder.extract_value(array.shape, axis)), index)
    return builder.gep(array.data, [at])


def _emit_loop(builder: Any, unit: Any, weights: Any, inputs: list[Any], n_steps: Any) -> Any:
    """Write a loop over weights, four of each class at a time, with all sums in registers."""
    registers = range(TILE * STEP // unit.n_bytes)
    kind = _vector(_I8, unit.n_bytes)
    before = builder.block
    loop = builder.append_basic_block("products")
    after = builder.append_basic_block("scale")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_I64)
    step.add_incoming(_I64(0), before)
    sums = [[builder.phi(unit.sums) for _ in registers] for _ in inputs]
    at = builder.gep(weights, [builder.mul(step, _I64(TILE * STEP))])
    loaded = [
        unit.widen(builder, _load(builder, builder.gep(at, [_I64(i * unit.n_bytes)]), kind))
        for i in registers
    ]
    totals = []
    for pointer, row_sums in zip(inputs, sums, strict=True):
        four = unit.load(builder, builder.gep(pointer, [builder.mul(step, _I64(STEP))]))
        row_totals = [
            unit.add(builder, total, codes, four)
            for total, codes in zip(row_sums, loaded, strict=True)
        ]
        for phi, total in zip(row_sums, row_totals, strict=True):
            phi.add_incoming(ir.Constant(unit.sums, [0] * unit.sums.count), before)
            phi.add_incoming(total, loop)
        totals.append(row_totals)
    following = builder.add(step, _I64(1))
    step.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, n_steps), loop, after)
    builder.position_at_end(after)
    return totals


add_rows, add_one = _add_part(ROWS), _add_part(1)
