"""Instructions for products of bytes: which there are, and what is written with them."""

import ctypes
import re
from types import SimpleNamespace

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir
from numba import config

from udt.network import byte_products as module
from udt.network.byte_products import OFFSET, STEP, TILE

pytestmark = pytest.mark.kernel
compiled_only = pytest.mark.skipif(config.DISABLE_JIT, reason="of compiled code")


VNNI_512 = ("llvm.x86.avx512.vpdpbusd.512", 64)
VNNI_256 = ("llvm.x86.avx512.vpdpbusd.256", 32)
SDOT = ("llvm.aarch64.neon.sdot.v4i32.v16i8", 16)


@pytest.mark.parametrize(
    ("machine", "features", "expected"),
    [
        ("x86_64", {"avx2", "avx512vnni", "avx512vl"}, VNNI_512),
        ("AMD64", {"avx512vnni", "avx512vl", "avxvnni"}, VNNI_512),
        ("x86_64", {"avx512vnni"}, None),
        ("x86_64", {"avx2", "avxvnni"}, VNNI_256),
        ("AMD64", {"avxvnni"}, VNNI_256),
        ("x86_64", {"avx2", "avx512vl", "avx512f"}, None),
        ("x86_64", set(), None),
        ("x86_64", {"dotprod"}, None),
        ("aarch64", {"neon", "dotprod"}, SDOT),
        ("arm64", {"dotprod"}, SDOT),
        ("aarch64", {"neon", "avxvnni"}, None),
        ("ppc64le", {"dotprod", "avxvnni"}, None),
    ],
)
def test_the_instruction_follows_the_processor(machine, features, expected):
    assert module._dot_instruction(features, machine) == expected


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("generic", None, set()),
        ("znver4", "+avx2,+avx512vnni,-avx512vl", {"avx2", "avx512vnni"}),
        ("znver4", "", set()),
    ],
)
def test_features_are_those_that_kernels_are_compiled_for(name, features, expected, monkeypatch):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    assert module._features() == expected


def test_features_of_this_processor(monkeypatch):
    monkeypatch.setattr(config, "CPU_NAME", None)
    monkeypatch.setattr(config, "CPU_FEATURES", None)
    host = llvm.get_host_cpu_features()
    assert module._features() == {name for name in host if host[name]}


# --------------------------------------------------------------------- code for other processors

_I64, _F32 = ir.IntType(64), ir.FloatType()
#: The arrays of `add_part`, in order, with their item type and number of dimensions.
ARRAYS = {
    "codes": (ir.IntType(8), 1), "activations": (None, 2), "zeros": (ir.IntType(32), 2),
    "factors": (_F32, 1), "scales": (_F32, 3), "bias": (_F32, 1), "out": (_F32, 2),
}  # fmt: skip
NUMBERS = ["begin", "row", "first", "n_steps", "part", "tile", "column"]
ORDER = [
    "codes", "begin", "activations", "row", "first", "n_steps", "zeros", "part", "factors",
    "scales", "tile", "bias", "keeps", "out", "column",
]  # fmt: skip


def emit(unit, n_rows, item_bits):
    """Write `add_part` as a C function: of pointers and shapes of arrays, numbers, and keeps."""
    kinds = {name: (item or ir.IntType(item_bits), n) for name, (item, n) in ARRAYS.items()}
    types = []
    for item, n in kinds.values():
        types += [item.as_pointer(), *[_I64] * n]
    types += [_I64] * len(NUMBERS) + [ir.IntType(32)]
    result = ir.Module(name="add_part")
    function = ir.Function(result, ir.FunctionType(ir.VoidType(), types), name="add_part")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    arguments = iter(function.args)
    values = {}
    for name, (_, n) in kinds.items():
        data, shape = next(arguments), ir.Constant(ir.ArrayType(_I64, n), ir.Undefined)
        for axis in range(n):
            shape = builder.insert_value(shape, next(arguments), axis)
        values[name] = SimpleNamespace(data=data, shape=shape)
    values |= {name: next(arguments) for name in NUMBERS}
    values["keeps"] = builder.trunc(next(arguments), ir.IntType(1))
    module._emit(builder, unit, n_rows, *(values[name] for name in ORDER))
    builder.ret_void()
    return str(result)


def compile_for(text, triple, cpu, features=""):
    """Verify and optimise a module; give it and the machine that it is for."""
    for initialize in (llvm.initialize_all_targets, llvm.initialize_all_asmprinters):
        initialize()
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=cpu, features=features, opt=3)
    parsed = llvm.parse_assembly(text)
    parsed.triple, parsed.data_layout = triple, str(machine.target_data)
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    return parsed, machine


@pytest.mark.parametrize("n_rows", [1, 8])
@pytest.mark.parametrize(
    ("instruction", "triple", "cpu", "mnemonic", "register"),
    [
        (VNNI_512, "x86_64-unknown-linux-gnu", "icelake-server", "vpdpbusd", "zmm"),
        (VNNI_512, "x86_64-unknown-linux-gnu", "cascadelake", "vpdpbusd", "zmm"),
        (VNNI_256, "x86_64-unknown-linux-gnu", "alderlake", "vpdpbusd", "ymm"),
        (SDOT, "aarch64-unknown-linux-gnu", "neoverse-n1", "sdot", "v"),
    ],
)
def test_processors_get_their_instruction(n_rows, instruction, triple, cpu, mnemonic, register):
    text = emit(module._DotProducts(*instruction), n_rows, 8)
    try:
        parsed, machine = compile_for(text, triple, cpu)
    except RuntimeError as error:
        pytest.skip(f"LLVM was built without this target: {error}")
    lines = machine.emit_assembly(parsed).splitlines()
    found = [line for line in lines if re.search(rf"^\s*({{vex}})?\s*{mnemonic}\b", line)]
    # A loop that LLVM does not unroll has one for each register of sums.
    assert len(found) >= n_rows * TILE * STEP // instruction[1]
    assert all(register in line for line in found)


def in_software(instruction):
    """Write a dot product of bytes in LLVM's plain operations, as a function of that name."""
    name, n_bytes = instruction
    n = n_bytes // 4
    is_signed = "sdot" in name
    packed = f"<{n_bytes} x i8>" if is_signed else f"<{n} x i32>"
    widen = "sext" if is_signed else "zext"
    lines = [
        f"define <{n} x i32> @soft(<{n} x i32> %sums, {packed} %a, {packed} %b) {{",
        f"%codes = bitcast {packed} %a to <{n_bytes} x i8>",
        f"%numbers = bitcast {packed} %b to <{n_bytes} x i8>",
        f"%x = {widen} <{n_bytes} x i8> %codes to <{n_bytes} x i32>",
        f"%y = sext <{n_bytes} x i8> %numbers to <{n_bytes} x i32>",
        f"%total0 = mul <{n_bytes} x i32> %x, %y",
    ]
    at = "%sums"
    for i in range(4):
        mask = ", ".join(f"i32 {4 * lane + i}" for lane in range(n))
        lines += [
            f"%part{i} = shufflevector <{n_bytes} x i32> %total0, <{n_bytes} x i32> undef, "
            f"<{n} x i32> <{mask}>",
            f"%sum{i} = add <{n} x i32> {at}, %part{i}",
        ]
        at = f"%sum{i}"
    return "\n".join([*lines, f"ret <{n} x i32> {at}", "}"])


def load(text):
    """Compile `emit`'s function for this processor; give what keeps it, and it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), opt=2, jit=True)
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    kinds = []
    for _, n in ARRAYS.values():
        kinds += [ctypes.c_void_p] + [ctypes.c_int64] * n
    kinds += [ctypes.c_int64] * len(NUMBERS) + [ctypes.c_int32]
    return engine, ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address("add_part"))


@compiled_only
@pytest.mark.parametrize("n_rows", [1, 3, 8])
@pytest.mark.parametrize(
    "instruction", [VNNI_512, VNNI_256, SDOT, None], ids=["512", "256", "sdot", "16 bits"]
)
def test_code_for_other_processors_is_right_but_for_its_instruction(instruction, n_rows):
    """Run here what others would run, with their instruction in software."""
    if instruction is None:
        text = emit(module._Products(), n_rows, 16)
    else:
        text = emit(module._DotProducts(*instruction), n_rows, 8)
        text = text.replace(f'@"{instruction[0]}"', "@soft")
        lines = [line for line in text.splitlines() if not line.startswith("declare")]
        text = "\n".join([*lines, in_software(instruction)])
    engine, function = load(text)
    random = np.random.default_rng(n_rows)
    n_all, begin, row, first, n_steps, tile, column = n_rows + 2, 64, 2, 12, 5, 1, 3
    codes = random.integers(1, 256, begin + (n_steps + 1) * TILE * STEP).astype(np.uint8)
    x = random.integers(-127, 128, (n_all, 40)).astype(np.int16 if instruction is None else np.int8)
    sums = x[:, first : first + STEP * n_steps].sum(axis=1, dtype=np.int32)
    zeros = np.stack([OFFSET * sums] * 2, axis=1)
    factors = np.ones(n_all, dtype=np.float32)
    scales = np.ones((2, 2, TILE), dtype=np.float32)
    bias = random.integers(-99, 99, 2 * TILE).astype(np.float32)
    weights = codes[begin:][: TILE * STEP * n_steps].reshape(n_steps, TILE, STEP).astype(int)
    inner = x[row:, first:][:, : STEP * n_steps].reshape(n_rows, n_steps, STEP)
    exact = np.einsum("scd,rsd->rc", weights - OFFSET, inner.astype(int))
    for part in (0, 1):
        for keeps in (False, True):
            start = np.full((n_all, 24), 3 if keeps else np.nan, dtype=np.float32)
            out, plain = start.copy(), start.copy()
            arrays = (codes, x, zeros, factors, scales, bias, out)
            numbers = (begin, row, first, n_steps, part, tile, column)
            flat = [n for array in arrays for n in (array.ctypes.data, *array.shape)]
            function(*flat, *numbers, keeps)
            expected = start.copy()
            here = exact + (bias[tile * TILE :] if part == 0 else 0) + (3 if keeps else 0)
            expected[row:, column : column + TILE] = here
            np.testing.assert_array_equal(out, expected)
            module._add_plainly(
                codes, begin, x, row, first, n_steps, zeros, part, factors, scales, tile, bias,
                keeps, plain, column, n_rows=n_rows,
            )  # fmt: skip
            np.testing.assert_array_equal(plain, expected)
    engine.close()
