"""One way to compile: options, caching, and the machine operations' Python twins."""

import importlib
import pkgutil
import re
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import udt
from udt import compilation
from udt.compilation import OPTIONS, kernel
from udt.intrinsics import bits_of, float_of

compiled_only = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="there is nothing compiled to look at"
)


@kernel
def twice(x):
    return x + x


def find_kernels():
    """Give every compiled function of the package by its full name."""
    found = {}
    for module in pkgutil.walk_packages(udt.__path__, "udt."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            members = {name: value, **(vars(value) if isinstance(value, type) else {})}
            for member in members.values():
                if isinstance(member, Dispatcher):
                    found[f"{member.py_func.__module__}.{member.py_func.__qualname__}"] = member
    return found


@compiled_only
def test_no_kernel_escapes_the_options():
    kernels = find_kernels()
    assert {"udt.features.hashing.murmur3_32", "udt.network.kernels.top_k"} <= kernels.keys()
    for name, function in kernels.items():
        assert function.targetoptions == twice.targetoptions, name
        assert function.stats.cache_path, f"{name} is not cached"
    for option in OPTIONS.keys() - {"cache"}:
        assert twice.targetoptions[option] == OPTIONS[option]


def test_nothing_but_udt_compilation_compiles():
    """For what hides in a closure, and for switches that rule the whole process."""
    for path in sorted(Path(udt.__file__).parent.rglob("*.py")):
        if path.name == "compilation.py":
            continue
        source = path.read_text(encoding="utf-8")
        for word in ("njit", "jit", "vectorize", "guvectorize", "stencil", "cfunc", "prange"):
            assert not re.search(rf"\b{word}\b", source), f"{word} in {path}"
        for word in ("set_num_threads", "numba.config", "parallel=True", "extending.intrinsic"):
            assert word not in source, f"{word} in {path}"


def test_options():
    assert OPTIONS["cache"] is OPTIONS["nogil"] is True
    assert isinstance(OPTIONS["fastmath"], set)  # True would mean all flags
    assert not OPTIONS["fastmath"] & {"fast", "nnan", "ninf"}


@kernel
def sum_and_flags(x):
    total = np.float32(0)
    for value in x:
        total += value
    return total, np.isnan(total), np.isinf(total), total != total


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize(
    ("values", "is_nan", "is_inf"),
    [([1, 2], False, False), ([1, np.nan], True, False), ([np.inf, 1], False, True),
     ([np.inf, -np.inf], True, False)],
)  # fmt: skip
def test_nan_and_infinity_stay_visible(values, is_nan, is_inf):
    total, nan, inf, unequal = sum_and_flags(np.array(values, dtype=np.float32))
    assert (nan, inf, unequal) == (is_nan, is_inf, is_nan)
    np.testing.assert_equal(total, np.float32(np.sum(values)))


@kernel
def divide(a, b):
    return a / b


@compiled_only
def test_division_by_zero_is_numpys():
    assert divide(1.0, 0.0) == np.inf
    assert np.isnan(divide(0.0, 0.0))


@compiled_only
def test_nothing_is_compiled_before_the_first_call():
    @kernel
    def unused(x):
        return x

    assert unused.signatures == []
    assert unused(1) == 1
    assert len(unused.signatures) == 1


@compiled_only
def test_where_nothing_can_be_cached_kernels_work_and_one_warning_says_so(monkeypatch):
    monkeypatch.setattr(compilation, "_uncached_warning_shown", False)
    names = {"kernel": kernel}
    source = "def homeless(x):\n    return x * 3\n"  # code without a file has no folder either
    exec(source, names)
    with pytest.warns(RuntimeWarning, match="Set NUMBA_CACHE_DIR to a writable folder") as shown:
        homeless = kernel(names["homeless"])
    assert shown[0].filename == __file__
    assert homeless(5) == 15
    assert homeless.targetoptions == twice.targetoptions
    assert not homeless.stats.cache_path
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(source, names)
        assert kernel(names["homeless"])(2) == 6


@kernel
def to_bits(x):
    return bits_of(x)


@kernel
def from_bits(x):
    return float_of(x)


@pytest.mark.kernel
@pytest.mark.parametrize("x", [0.0, -0.0, 1.0, -1.5, 1e-45, 3.4e38, np.inf, -np.inf])
def test_intrinsics_keep_the_bits(x):
    x = np.float32(x)
    bits = x.view(np.int32)
    assert to_bits(x) == bits
    assert np.float32(from_bits(bits)).view(np.int32) == bits
