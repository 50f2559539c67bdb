"""Weights of bfloat16: rounding, products, steps, and networks whose weights they are."""

import math

import naive_bfloat16 as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from udt import intrinsics
from udt.compilation import kernel
from udt.network.bfloat16 import (
    _AT_A_TIME,
    all_finite,
    as_float32,
    back_products,
    convert,
    dtype_name,
    products,
    row_key,
)
from udt.network.model import SparseNetwork
from udt.network.optimizers import Optimizer

FLOATS = st.floats(width=32, allow_nan=False)
NAMES = ["adagrad", "adam", "sgd"]


def floats(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rounded(*shape, seed=1):
    return convert(floats(*shape, seed=seed), "bfloat16")


@kernel
def narrow_each(values, keys, places, out):
    for i in range(values.shape[0]):
        out[i] = intrinsics.narrow(out, values[i], keys[i], places[i])


def narrow(values, keys, places=0, dtype=np.uint16):
    """Round each at random; give what is stored."""
    values, keys, places = np.broadcast_arrays(
        np.asarray(values, np.float32), np.asarray(keys, np.uint32), np.asarray(places, np.int64)
    )
    out = np.empty(values.shape, dtype=dtype)
    narrow_each(values.copy(), keys.copy(), places.copy(), out)
    return out


# -------------------------------------------------------------------------------- to the nearest


@pytest.mark.kernel
@given(x=FLOATS)
def test_whole_arrays_are_rounded_to_the_nearest_ties_to_even(x):
    found = naive.widen(convert(np.array([x], np.float32), "bfloat16"))[0]
    assert found == naive.nearest(x)
    assert math.copysign(1, found) == math.copysign(1, x)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0x3F808000, 0x3F80), (0x3F818000, 0x3F82), (0x3F808001, 0x3F81),  # ties, and past one
        (0x7F7FFFFF, 0x7F80), (0x7F7F7FFF, 0x7F7F), (0xFF7FFFFF, 0xFF80),  # the largest
        (0x7F800000, 0x7F80), (0xFF800000, 0xFF80),  # infinities
        (0x00000001, 0), (0x80000001, 0x8000), (0x00008001, 1), (0x007FFFFF, 0x0080),  # subnormal
    ],
)  # fmt: skip
def test_ties_overflow_infinities_and_subnormal_numbers(bits, expected):
    x = np.array([bits], dtype=np.uint32).view(np.float32)
    assert convert(x, "bfloat16").tolist() == [expected]


@pytest.mark.parametrize("bits", [0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF])
def test_nan_stays_nan(bits):
    x = np.array([bits], dtype=np.uint32).view(np.float32)
    stored = convert(x, "bfloat16")
    assert np.isnan(convert(stored, "float32")[0])
    assert stored[0] >> 15 == bits >> 31


def test_what_is_bfloat16_already_comes_back_as_it_was():
    codes = np.arange(1 << 16, dtype=np.uint16)
    again = convert(convert(codes, "float32"), "bfloat16")
    is_nan = (codes & 0x7FFF) > 0x7F80
    np.testing.assert_array_equal(again[~is_nan], codes[~is_nan])
    np.testing.assert_array_equal(again[is_nan], codes[is_nan] | 0x40)  # no longer signalling
    np.testing.assert_array_equal(convert(codes[~is_nan], "float32"), naive.widen(codes[~is_nan]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nothing_is_copied_that_is_stored_so_already(dtype):
    weights = convert(floats(3, 4), dtype)
    assert convert(weights, dtype) is weights
    assert dtype_name(weights) == dtype


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3,), (4, 3)])
def test_shapes_stay(shape):
    stored = rounded(*shape)
    assert stored.shape == shape and stored.dtype == np.uint16
    assert convert(stored, "float32").shape == shape


def test_views_are_converted_as_they_look():
    weights = floats(6, 4)
    np.testing.assert_array_equal(
        convert(weights[::2, 1:3], "bfloat16"), convert(weights, "bfloat16")[::2, 1:3]
    )


# ------------------------------------------------------------------------------------- at random


@pytest.mark.kernel
@given(x=FLOATS, key=st.integers(0, 2**32 - 1), place=st.integers(0, 5000))
def test_random_rounding_goes_to_a_neighbour(x, key, place):
    found = float(naive.widen(narrow([x], key, place))[0])
    assert found in naive.neighbours(x)


@pytest.mark.kernel
@given(x=FLOATS, key=st.integers(0, 2**32 - 1), place=st.integers(0, 5000))
def test_the_operation_is_its_twin_in_python(x, key, place):
    twin = intrinsics._narrow(np.empty(0, np.uint16), np.float32(x), np.uint32(key), place)
    assert narrow([x], key, place)[0] == twin


@given(x=FLOATS)
def test_float32_is_stored_as_it_is(x):
    assert narrow([x], 7, 3, np.float32)[0] == np.float32(x)


@pytest.mark.parametrize("place", [0, 1, 127, 4095])
@pytest.mark.parametrize("x", [1.001, -1.001, 0.3, 1e-30, -7e33, 1e-39])
def test_random_rounding_is_right_in_the_mean(x, place):
    keys = np.random.default_rng(0).integers(2**32, size=200_000, dtype=np.uint32)
    found = naive.widen(narrow(x, keys, place)).astype(float)
    low, high = naive.neighbours(float(np.float32(x)))
    share = (float(np.float32(x)) - low) / (high - low)
    assert np.mean(found == high) == pytest.approx(share, abs=5e-3)


def test_keys_and_places_are_exactly_as_often_above_as_they_should():
    # A key's every value of the upper half comes up as often, whatever the place.
    keys = np.arange(1 << 16, dtype=np.uint32) << 16
    x = np.array([0x3F800000 + 0x4000], np.uint32).view(np.float32)
    for place in (0, 3, 1000):
        assert np.mean(narrow(x, keys, place) == 0x3F81) == 0.25


def test_places_of_a_row_and_keys_are_rounded_apart():
    keys = np.array([row_key(np.uint64(5), row, 0) for row in range(300)], dtype=np.uint32)
    up = narrow(np.full((1,), 1.00390625), keys[:, np.newaxis].ravel(), 0)
    table = np.stack([narrow(1.00390625, keys, place) == 0x3F81 for place in range(200)])
    assert np.mean(up == 0x3F81) == pytest.approx(0.5, abs=0.15)
    assert np.abs(np.corrcoef(table)[np.triu_indices(200, 1)]).mean() < 0.08
    assert np.abs(np.corrcoef(table.T)[np.triu_indices(300, 1)]).mean() < 0.12


@pytest.mark.parametrize("x", [math.inf, -math.inf, math.nan, 0.0, -0.0])
def test_random_rounding_of_what_has_no_neighbours(x):
    found = naive.widen(narrow(np.full(1000, x), np.arange(1000) * 4_000_037))
    np.testing.assert_array_equal(found, np.full(1000, np.float32(x)))


def test_row_keys_differ_by_key_row_and_sample():
    keys = {
        int(row_key(np.uint64(key), row, sample))
        for key in range(20) for row in range(20) for sample in range(20)
    }  # fmt: skip
    assert len(keys) > 7990


# ------------------------------------------------------------------------- products, and finiteness


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("n_rows", [1, 5, 2 * _AT_A_TIME // 4 + 3])
def test_products(dtype, n_rows):
    x, weights = floats(3, 4), convert(floats(n_rows, 4, seed=2), dtype)
    wide = convert(weights, "float32").astype(float)
    found = products(x, weights)
    np.testing.assert_allclose(found, x @ wide.T, rtol=1e-5, atol=1e-5)
    room = np.full((5, n_rows), np.nan, np.float32)
    products(x, weights, room[1:4])
    np.testing.assert_array_equal(room[1:4], found)
    assert np.isnan(room[[0, 4]]).all()
    slopes, out = floats(3, n_rows, seed=3), np.full((3, 4), np.nan, np.float32)
    back_products(slopes, weights, out)
    np.testing.assert_allclose(out, slopes @ wide, rtol=1e-4, atol=1e-3)
    assert found.dtype == np.float32


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_products_with_nothing(shape):
    weights = np.zeros(shape, np.uint16)
    assert not products(floats(3, shape[1]), weights).any()
    out = np.ones((3, shape[1]), np.float32)
    back_products(floats(3, shape[0]), weights, out)
    assert not out.any()


def test_rows_are_widened_when_they_are_asked_for():
    weights = rounded(10, 3)
    rows = as_float32(weights)
    assert (len(rows), rows.shape, rows.ndim) == (10, (10, 3), 2)
    np.testing.assert_array_equal(rows[2:9:3], naive.widen(weights)[2:9:3])
    usual = floats(2, 2)
    assert as_float32(usual) is usual


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_all_finite(dtype, bad):
    weights = floats(7, 3)
    weights[2, 1] = np.finfo(np.float32).max / 4
    assert all_finite(convert(weights, dtype))
    assert all_finite(convert(weights[:0], dtype))
    weights[6, 2] = bad
    assert not all_finite(convert(weights, dtype))


# ------------------------------------------------------------------------------------- optimisers


def step(optimizer, how, seed, rate=0.1, owners=1):
    random = np.random.default_rng(seed)
    n, width = optimizer.weights.shape
    csr = np.arange(0, 41, 4), random.integers(0, n, 40).astype(np.int32), floats(40, seed=seed)
    gradient = floats(10, width, seed=seed + 100)
    if how == "step":
        optimizer.step(floats(n - 3, width, seed=seed), np.float32(rate), 2, n - 1)
        return
    for owner in range(owners):
        if how == "scatter":
            squares = np.mean(gradient**2, axis=1)
            optimizer.scatter(*csr, gradient, squares, np.float32(rate), owner, owners - 1)
        else:
            groups = optimizer.group(csr[0][:-1], csr[0][1:], *csr[1:], owner, owners - 1)
            optimizer.step_groups(groups, gradient, np.float32(rate))


def ulp(x):
    """Give the distance of neighbours among bfloat16, above the larger magnitude."""
    return np.maximum(2.0 ** (np.floor(np.log2(np.maximum(np.abs(x), 1e-30))) - 6), 1e-38)


@pytest.mark.parametrize("how", ["step", "scatter", "groups"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [1, 5, 24])
def test_a_step_is_that_of_float32_but_for_rounding(name, how, width):
    start = rounded(70, width)
    stored = Optimizer(name, start.copy(), 0.1)
    usual = Optimizer(name, convert(start, "float32"), 0.1)
    for optimizer in (stored, usual):
        step(optimizer, how, 3)
    assert stored.weights.dtype == np.uint16 and stored.state.dtype == np.float32
    np.testing.assert_allclose(stored.state, usual.state, rtol=1e-6)
    error = np.abs(naive.widen(stored.weights) - usual.weights)
    # Of entries one by one, a row of weights may have taken some steps.
    times = 8 if how == "scatter" and name == "adagrad" else 1
    assert (error <= times * ulp(usual.weights) + 1e-6).all()
    is_same = usual.weights == naive.widen(start)
    np.testing.assert_array_equal(stored.weights[is_same], start[is_same])


@pytest.mark.parametrize("how", ["scatter", "groups"])
@pytest.mark.parametrize("name", NAMES)
def test_owners_change_no_bit_and_keys_do(name, how):
    def bits(key, owners):
        optimizer = Optimizer(name, rounded(70, 9), 0.1)
        for seed in range(3):
            optimizer.key = np.uint64(key + seed)
            step(optimizer, how, seed, owners=owners)
        return optimizer.weights.tobytes()

    assert bits(4, 1) == bits(4, 2) == bits(4, 4) != bits(5, 1)


@pytest.mark.parametrize("name", NAMES)
def test_small_steps_add_up(name):
    # Each is a tenth of the distance of neighbours or less: the nearest would swallow them all.
    weights = convert(np.ones((400, 30), np.float32), "bfloat16")
    optimizer = Optimizer(name, weights, 1e12 if name == "adagrad" else 0.0)
    rate = {"adagrad": 5e-4 * 1e6, "adam": 5e-4, "sgd": 5e-4}[name]
    for t in range(400):
        optimizer.key = np.uint64(t)
        optimizer.step(np.ones((400, 30), np.float32), np.float32(rate), 0, 400)
    expected = 0.8
    if name == "adam":  # whose moments start at zero
        usual = Optimizer(name, np.ones((1, 1), np.float32), 0.0)
        for _ in range(400):
            usual.step(np.ones((1, 1), np.float32), np.float32(rate), 0, 1)
        expected = float(usual.weights[0, 0])
    found = naive.widen(weights)
    assert found.mean() == pytest.approx(expected, abs=2e-3)
    assert found.std() < 0.04


# ----------------------------------------------------------------------------------- the network


def make_network(dtype="bfloat16", **changes):
    return SparseNetwork.initialise(**{
        "n_classes": 5, "n_hidden": 6, "n_embedded": 30, "n_wide": 20, "embedding_range": 0.3,
        "seed": 0, "n_crosses": np.full(5, 4), "dtype": dtype,
    } | changes)  # fmt: skip


def test_a_network_of_half_the_bytes():
    usual, stored = make_network("float32"), make_network()
    assert (usual.dtype, stored.dtype) == ("float32", "bfloat16")
    for name, array in stored.arrays().items():
        halved = name not in ("bias", "cross_starts")
        assert array.nbytes * (2 if halved else 1) == usual.arrays()[name].nbytes
    np.testing.assert_array_equal(stored.embedding, convert(usual.embedding, "bfloat16"))
    assert stored.copy().dtype == "bfloat16"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("to", ["float32", "bfloat16"])
def test_networks_grow_and_are_converted(dtype, to):
    network = make_network(dtype)
    network.output[:] = convert(floats(5, 6), dtype)
    network.crosses[:] = convert(floats(20), dtype)
    grown = network.grown(7, 33, 25, 0.3, 1, to)
    assert grown.dtype == to and grown.bias.dtype == np.float32
    for name, old in network.arrays().items():
        new = grown.arrays()[name]
        expected = convert(old, to) if old.dtype != np.int64 and name != "bias" else old
        part = new[tuple(map(slice, old.shape))]
        np.testing.assert_array_equal(part, expected)
        assert not np.shares_memory(new, old)
    assert not grown.output[5:].any() and not grown.wide[20:].any() and not grown.crosses[20:].any()
    assert grown.embedding[30:].any()


@pytest.mark.kernel
@given(
    weights=arrays(np.uint16, (9, 4), elements=st.integers(0, 0x4100)),
    x=arrays(np.float32, (3, 4), elements=st.floats(-2, 2, width=32)),
)
def test_products_are_those_of_the_widened_weights(weights, x):
    expected = x.astype(float) @ naive.widen(weights).astype(float).T
    np.testing.assert_allclose(products(x, weights), expected, rtol=1e-5, atol=1e-4)
