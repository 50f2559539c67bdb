"""Integer products of activations and many classes against sums of integers in NumPy."""

import naive_quantized as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from udt.network.byte_products import ACTIVATION, INSTRUCTION, OFFSET, ROWS, STEP, TILE
from udt.network.integers import quantize
from udt.network.tiles import (
    add_products,
    make_tiles,
    quantize_activations,
    score,
    score_row,
    steps,
    unpack,
)
from udt.threads import Pool

pytestmark = pytest.mark.kernel
compiled_only = pytest.mark.skipif(config.DISABLE_JIT, reason="of compiled code")

BITS = [8, 4]
POOL = Pool(1)
N_ROWS = sorted({1, 2, ROWS, ROWS + 1, 2 * ROWS + 1, 16, 17, 67})
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 63, 64, 65, 127, 128, 129, 200, 256]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def integers(largest, *shape, seed=0):
    """Give whole numbers of which each row has the largest, so that scales and factors are 1."""
    numbers = np.random.default_rng(seed).integers(-largest, largest + 1, shape)
    return numbers.astype(np.float32)


def logits_of(hidden, tiles, start=None):
    """Give logits, or add to those given."""
    out = np.full((len(hidden), tiles.n_classes), np.nan, dtype=np.float32)
    if start is not None:
        out[:] = start
    score(hidden, tiles, start is not None, out)
    return out


def check(hidden, weights, bits, block=None, bias=None):
    """Compare logits with the twin's."""
    bias = normal(len(weights), seed=9) if bias is None else bias
    quantized = quantize(weights, bits, block, POOL)
    tiles = make_tiles(quantized, bias)
    expected = naive.scores(hidden, quantized, bias, block)
    x, factors = naive.activations(hidden)
    numbers = naive.blocks(*quantized.layout[:3].tolist(), block)
    dense = np.abs(naive.codes(quantized)) * naive.widen(quantized.scales)[numbers].astype(float)
    size = (np.abs(x) @ dense.T) * factors[:, np.newaxis] + np.abs(bias)
    actual = logits_of(hidden, tiles)
    assert np.all(np.abs(actual - expected) <= 1e-6 * size)
    start = normal(*actual.shape, seed=5)
    more = logits_of(hidden, tiles, start)
    assert np.all(np.abs(more - (start + expected)) <= 1e-6 * (size + np.abs(start)))
    for i in {0, len(hidden) // 2, len(hidden) - 1}:  # a row alone has the bits it has in a batch
        alone = logits_of(hidden[i : i + 1], tiles)
        np.testing.assert_array_equal(alone[0], actual[i])
        row = start[i : i + 1].copy()
        score_row(hidden[i : i + 1], tiles, bias, row)
        # Compiled apart from a batch, sums of three numbers may be made in another order.
        assert np.all(np.abs(row[0] - more[i]) <= 3e-7 * (size[i] + np.abs(start[i])))
    return actual


# ----------------------------------------------------------------------------------- activations


def activations(hidden, n_parts, part, n_columns):
    codes = np.full((len(hidden), n_columns), 99, dtype=ACTIVATION)
    factors = np.full(len(hidden), np.nan, dtype=np.float32)
    zeros = np.full((len(hidden), n_parts), 99, dtype=np.int32)
    quantize_activations(hidden, n_parts, part, codes, factors, zeros)
    return codes, factors, zeros


@pytest.mark.parametrize(("width", "n_parts", "part"), [(1, 1, 1), (37, 1, 37), (50, 3, 24)])
def test_activations(width, n_parts, part):
    hidden = np.tanh(normal(20, width))
    hidden[3] = 0
    n_columns = -(-width // 8) * 8
    codes, factors, zeros = activations(hidden, n_parts, part, n_columns)
    expected, peaks = naive.activations(hidden)
    assert np.abs(codes).max() == 127
    assert not codes[:, width:].any()
    near = np.abs(codes[:, :width] - expected)
    assert near.max() <= 1 and near.mean() < 0.01  # halves may be rounded either way
    np.testing.assert_allclose(factors, peaks, rtol=1e-6)
    assert np.all(np.abs(hidden - codes[:, :width] * factors[:, None]) <= factors[:, None] * 0.501)
    for j in range(n_parts):
        sums = codes[:, j * part : (j + 1) * part].sum(axis=1, dtype=np.int64)
        assert zeros[:, j].tolist() == (OFFSET * sums).tolist()


def test_a_row_of_zeros():
    codes, factors, zeros = activations(np.zeros((2, 5), dtype=np.float32), 1, 5, 8)
    assert not codes.any() and not factors.any() and not zeros.any()
    logits = check(np.zeros((3, 20), dtype=np.float32), normal(33, 20), 8)
    np.testing.assert_array_equal(logits, np.tile(normal(33, seed=9), (3, 1)))


# ---------------------------------------------------------------------------------------- tiles


def code_of(tiles, c, d):
    """Read an integer out of tiles."""
    n_steps = steps(tiles.width, tiles.bits)
    if tiles.bits == 8:
        at = (((c // TILE) * n_steps + d // STEP) * TILE + c % TILE) * STEP + d % STEP
        return int(tiles.codes[at]) - OFFSET
    at = (((c // TILE) * n_steps // 2 + d // (2 * STEP)) * TILE + c % TILE) * STEP + d % STEP
    return (int(tiles.codes[at]) >> (4 if d // STEP % 2 else 0) & 15) - 8


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("n_classes", "width"), [(1, 1), (16, 4), (17, 9), (40, 130), (3, 33)])
def test_make_tiles(n_classes, width, bits):
    quantized = quantize(normal(n_classes, width), bits, 32, POOL)
    bias = normal(n_classes)
    tiles = make_tiles(quantized, bias)
    n_tiles, n_steps = -(-n_classes // TILE), steps(width, bits)
    assert STEP * n_steps >= width
    assert len(tiles.codes) == n_tiles * n_steps * TILE * STEP * bits // 8
    codes = np.pad(
        naive.codes(quantized), ((0, n_tiles * TILE - n_classes), (0, n_steps * STEP - width))
    )
    for (c, d), code in np.ndenumerate(codes):
        assert code_of(tiles, c, d) == code
    numbers = naive.blocks(n_classes, width, bits, 32)
    scales = naive.widen(quantized.scales)[numbers]
    assert tiles.scales.shape == (n_tiles, quantized.n_parts, TILE)
    for c in range(n_classes):
        for j in range(quantized.n_parts):
            assert tiles.scales[c // TILE, j, c % TILE] == scales[c, j * quantized.part]
    np.testing.assert_array_equal(tiles.bias[:n_classes], bias)
    assert not tiles.bias[n_classes:].any()


def test_unpack():
    halves = np.random.default_rng(0).integers(0, 256, 3 * 64, dtype=np.uint8)
    codes = np.zeros(2 * 128, dtype=np.uint8)
    unpack(halves, 64, codes)
    both = halves[64:].reshape(2, 64)
    expected = np.stack([both & 15, both >> 4], axis=1).astype(int) + OFFSET - 8
    assert codes.tolist() == expected.ravel().tolist()


# ---------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", WIDTHS)
def test_widths(width, bits):
    check(np.tanh(normal(5, width)), normal(50, width, seed=1), bits)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("n_classes", [1, 2, 15, 16, 17, 31, 32, 33, 257])
def test_numbers_of_classes(n_classes, bits):
    check(np.tanh(normal(5, 24)), normal(n_classes, 24, seed=1), bits)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("n", N_ROWS)
def test_numbers_of_rows(n, bits):
    check(np.tanh(normal(n, 40)), normal(37, 40, seed=1), bits, 16)


@settings(max_examples=60)
@given(
    n=st.integers(1, 40),
    n_classes=st.integers(1, 70),
    width=st.integers(1, 300),
    bits=st.sampled_from(BITS),
    block=st.none() | st.integers(8, 300),
    seed=st.integers(0, 99),
)
def test_any_shape(n, n_classes, width, bits, block, seed):
    weights = normal(n_classes, width, seed=seed)
    check(np.tanh(normal(n, width, seed=seed + 1)), weights, bits, block)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("width", "block"), [(77, 77 * 16), (256, 256), (100, 24)])
def test_sums_are_exact(width, block, bits):
    """Where scales and factors are 1, logits are whole numbers."""
    largest = naive.LARGEST[bits]
    hidden, weights = integers(127, 19, width), integers(largest, 45, width, seed=1)
    hidden[:, 0] = 127
    weights[:, ::8] = largest  # in every part
    none = np.zeros(45, dtype=np.float32)
    actual = check(hidden, weights, bits, block, none)
    expected = hidden.astype(np.int64) @ weights.T.astype(np.int64)
    assert actual.astype(np.int64).tolist() == expected.tolist()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("width", [3, 64, 1000])
def test_nothing_saturates(width, sign, bits):
    largest = naive.LARGEST[bits]
    hidden = np.full((ROWS + 1, width), sign * 127, dtype=np.float32)
    hidden[1] *= -1
    weights = np.full((33, width), largest, dtype=np.float32)
    weights[::2] *= -1
    actual = check(hidden, weights, bits, 2 * width, np.zeros(33, dtype=np.float32))
    expected = hidden.astype(np.int64) @ weights.T.astype(np.int64)
    assert actual.astype(np.int64).tolist() == expected.tolist()


def test_activations_of_any_size():
    for size in (1.0, 1e-3, 1e-7, 1e-36):
        check(np.float32(size) * np.tanh(normal(3, 20)), normal(20, 20), 8)


@compiled_only
@pytest.mark.skipif(INSTRUCTION is None, reason="this processor has no dot product of bytes")
@pytest.mark.parametrize("bits", BITS)
def test_either_kind_of_activations_gives_the_same(bits):
    hidden = np.tanh(normal(21, 130))
    tiles = make_tiles(quantize(normal(50, 130, seed=1), bits, None, POOL), normal(50))
    outs = []
    for dtype in (np.int8, np.int16):
        codes = np.empty((16, STEP * steps(130, bits)), dtype=dtype)
        outs.append(np.full((21, 50), np.nan, dtype=np.float32))
        add_products(hidden, tiles, False, codes, outs[-1])
    np.testing.assert_allclose(*outs, rtol=1e-6, atol=1e-6)
