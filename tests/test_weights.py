"""Each way to store weights against dense NumPy, from Python and from within a kernel."""

import naive_network
import naive_quantized as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt.compilation import kernel
from udt.intrinsics import widen
from udt.network import kernels
from udt.network.integers import floats, quantize
from udt.network.weights import (
    Quantized,
    add_row,
    dot_hashed,
    dot_row,
    n_rows,
    prefetch_row,
    width,
)
from udt.threads import Pool

pytestmark = pytest.mark.kernel

WIDTHS = [0, 1, 2, 3, 15, 16, 17, 77, 127, 128, 129, 200, 256]
ROWS = [0, 1, 5, 1000]
STORAGES = ["float32", "bfloat16", "8 bits", "4 bits"]
POOL = Pool(1)


def store(storage, weights, block=None):
    """Store weights; give them, and as floats what is stored."""
    if storage == "float32":
        return weights, weights
    if storage == "bfloat16":
        bits = (weights.view(np.uint32) >> 16).astype(np.uint16)
        return bits, naive.widen(bits)
    stored = quantize(weights, int(storage[0]), block, POOL)
    return stored, naive.floats(stored, block)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@kernel
def widened(x):
    return widen(x)


@kernel
def size_of(weights):
    return n_rows(weights), width(weights)


@kernel
def sum_rows(weights, rows, factors, total):
    for i in range(rows.shape[0]):
        prefetch_row(weights, rows[i])
        add_row(total, weights, rows[i], factors[i])


@kernel
def dot_rows(weights, x, out):
    for row in range(out.shape[0]):
        out[row] = dot_row(weights, row, x)


@kernel
def sum_hashed(weights, first, mask, hashes, values):
    return dot_hashed(weights, first, mask, hashes, values, 0, hashes.shape[0])


@pytest.mark.parametrize("x", [0.0, -0.0, 1.5, -3e38, 1e-40, np.inf])
def test_widen_gives_the_same_number(x):
    x = np.float32(x)
    assert np.float32(widened(x)).tobytes() == x.tobytes()
    bits = np.uint16(x.view(np.uint32) >> 16)
    assert np.float32(widened(bits)).tobytes() == naive.widen(bits).tobytes()


def test_widen_keeps_what_is_no_number():
    assert np.isnan(widened(np.float32(np.nan))) and np.isnan(widened(np.uint16(0x7FC0)))


def check(weights, storage, block=None, seed=0):
    """Compare every operation on a matrix with NumPy's, from Python and from a kernel."""
    stored, dense = store(storage, weights, block)
    n, n_columns = weights.shape
    assert (n_rows(stored), width(stored)) == size_of(stored) == (n, n_columns)
    np.testing.assert_array_equal(floats(stored), dense)
    assert floats(stored).dtype == np.float32
    random = np.random.default_rng(seed)
    rows = random.integers(0, n, 7 if n else 0)
    factors = random.normal(size=len(rows)).astype(np.float32)
    start = random.normal(size=n_columns).astype(np.float32)
    total, again = start.copy(), start.copy()
    sum_rows(stored, rows, factors, total)
    for row, factor in zip(rows, factors, strict=True):
        prefetch_row(stored, row)
        add_row(again, stored, row, factor)
    expected = start + factors.astype(float) @ dense[rows]
    size = 1 + np.abs(factors).sum() * np.abs(dense).max(initial=0)
    for actual in (total, again):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * size)
    x, out = start[:n_columns], np.full(n, np.nan, dtype=np.float32)
    dot_rows(stored, x, out)
    size = np.abs(dense) @ np.abs(x).astype(float)
    np.testing.assert_array_less(np.abs(out - dense @ x.astype(float)), 4e-6 * size + 1e-37)
    for row in rows[:3]:
        assert abs(dot_row(stored, int(row), x) - out[row]) <= 4e-6 * size[row]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n_columns", WIDTHS)
def test_rows_of_every_width(storage, n_columns):
    for n in ROWS[:3]:
        check(normal(n, n_columns), storage)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n_columns", [1, 3, 17, 129])
def test_many_rows(storage, n_columns):
    check(normal(ROWS[3], n_columns), storage)


@settings(max_examples=60)
@given(
    n=st.integers(0, 40),
    n_columns=st.sampled_from(WIDTHS) | st.integers(0, 300),
    storage=st.sampled_from(STORAGES),
    block=st.none() | st.integers(8, 400),
    seed=st.integers(0, 99),
)
def test_matrices_of_any_shape(n, n_columns, storage, block, seed):
    scale = np.float32(10) ** normal(n, 1, seed=seed)  # rows of different size
    check(normal(n, n_columns, seed=seed) * scale, storage, block, seed)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n_hashes", [0, 1, 2, 3, 4, 5, 8, 61])
def test_weights_of_one_dimension_are_found_by_hash(storage, n_hashes):
    stored, dense = store(storage, normal(1000))
    hashes = np.arange(n_hashes, dtype=np.uint32) * np.uint32(2654435)
    values = normal(n_hashes, seed=1)
    for first, size in ((0, 1), (3, 64), (700, 256)):
        places = first + (hashes & np.uint32(size - 1)).astype(int)
        expected = np.float64(values) @ np.float64(dense.reshape(-1)[places])
        arguments = stored, first, np.uint32(size - 1), hashes, values
        assert sum_hashed(*arguments) == pytest.approx(expected, abs=1e-4)
        assert dot_hashed(*arguments, 0, n_hashes) == pytest.approx(expected, abs=1e-4)
    if isinstance(stored, Quantized):
        assert size_of(stored) == (1000, 1)


@pytest.mark.parametrize("storage", STORAGES)
def test_memory(storage):
    stored, _ = store(storage, normal(1000, 128))
    n = {"float32": 4, "bfloat16": 2, "8 bits": 1, "4 bits": 0.5}[storage] * 128_000
    scales = {"8 bits": 2 * 1000, "4 bits": 2 * 2000}.get(storage, 0)
    is_quantized = isinstance(stored, Quantized)
    assert (naive.n_bytes(stored) if is_quantized else stored.nbytes) == n + scales


# ---------------------------------------------------------------------------------------- gather


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("n_columns", [0, 1, 3, 16, 17, 77, 128, 129, 200])
def test_gather(storage, index_type, n_columns):
    random = np.random.default_rng(n_columns)
    n, n_features = 12, 90
    stored, dense = store(storage, normal(n_features - 20, n_columns))  # some indices are beyond
    lengths = random.integers(0, 60, n)
    indptr = np.r_[0, np.cumsum(lengths)].astype(index_type)
    indices = random.integers(0, n_features, indptr[-1]).astype(index_type)
    values = random.normal(size=indptr[-1]).astype(np.float32)
    values[::5] = 0
    out = np.full((n, n_columns), np.nan, dtype=np.float32)
    kernels.gather(indptr, indices, values, 2, n - 1, stored, out)
    assert np.isnan(out[:2]).all() and np.isnan(out[-1:]).all()
    expected = naive_network.gather((indptr, indices, values), range(2, n - 1), dense.astype(float))
    np.testing.assert_allclose(out[2:-1], expected, rtol=2e-5, atol=3e-5)


@pytest.mark.parametrize("storage", STORAGES)
def test_gather_from_no_rows(storage):
    stored, _ = store(storage, normal(0, 5))
    out = np.full((2, 5), np.nan, dtype=np.float32)
    one = np.ones(3, dtype=np.float32)
    kernels.gather(np.array([0, 1, 3]), np.array([0, 4, 9]), one, 0, 2, stored, out)
    np.testing.assert_array_equal(out, np.zeros((2, 5)))
