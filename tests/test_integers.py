"""Weights as integers with a scale for each block: how far they move, and what they take."""

import naive_quantized as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from udt.network.integers import BLOCK, floats, lay_out, quantize, round_up
from udt.threads import Pool

pytestmark = [
    pytest.mark.kernel,
    # Uncompiled, NumPy warns where weights fill the range of float32.
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
]

BITS = [8, 4]
POOL = Pool(1)
WIDTHS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 77, 127, 128, 129, 191, 192, 200, 256, 1000]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def check(weights, bits, block=None):
    """Check scales, and that no weight moves by more than half a scale."""
    quantized = quantize(weights, bits, block, POOL)
    numbers = naive.blocks(*weights.shape, bits, block)
    scales = naive.scales(weights, numbers, bits)
    ours = naive.widen(quantized.scales)
    # A quotient whose last bit is rounded up may go on to the next bfloat16.
    assert np.all((ours >= scales) & (ours <= scales * (1 + 2.0**-7)))
    scales = ours
    codes = naive.codes(quantized)
    assert np.abs(codes).max(initial=0) <= naive.LARGEST[bits]
    moved = np.abs(weights.astype(float) - codes * scales[numbers].astype(float))
    assert np.all(moved <= scales[numbers].astype(float) * (0.5 + 1e-4))
    np.testing.assert_array_equal(floats(quantized), codes * scales[numbers])
    return quantized


@pytest.mark.parametrize("x", [0, 1e-45, 1e-40, 1.0, 1.0 + 2**-23, 127.0, 0.3, 3.38e38])
def test_round_up(x):
    x = np.float32(x)
    up = naive.widen(np.uint16(round_up(x)))
    assert up == naive.round_up(x)
    assert x <= float(up) <= float(x) * (1 + 2**-7) + 2.0**-133


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_weight_moves_by_more_than_half_a_scale(width, bits):
    for n in (0, 1, 5, 70):
        check(normal(n, width), bits)


@settings(max_examples=150)
@given(
    weights=hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 12), st.integers(0, 40)),
        elements=st.floats(-1.0000000150474662e30, 1.0000000150474662e30, width=32),
    ),
    bits=st.sampled_from(BITS),
    block=st.none() | st.integers(8, 60),
)
def test_any_weights(weights, bits, block):
    check(weights, bits, block)


@pytest.mark.parametrize("bits", BITS)
def test_zeros(bits):
    quantized = check(np.zeros((9, 20), dtype=np.float32), bits)
    assert not floats(quantized).any()
    assert not quantized.scales.any()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("size", [1.0, 1e-30, 1e-36, 1e-38, 1e-40, 1e-44, 1e38])
def test_weights_of_any_size(size, bits):
    weights = normal(3, 33)
    weights /= np.abs(weights).max()
    weights[0, :] = 0
    weights *= np.float32(size)
    check(weights, bits)


@pytest.mark.parametrize("bits", BITS)
def test_a_huge_weight_harms_its_own_block_alone(bits):
    weights = normal(8, 256)
    before = floats(check(weights, bits))
    weights[3, 5] = 1e6
    after = floats(check(weights, bits))
    block = BLOCK[bits]
    assert not after[3, :5].any()
    assert after[3, 5] == pytest.approx(1e6, rel=0.01)
    np.testing.assert_array_equal(after[3, block:], before[3, block:])
    np.testing.assert_array_equal(np.delete(after, 3, 0), np.delete(before, 3, 0))


@pytest.mark.parametrize("bits", BITS)
def test_the_largest_weight_of_a_block_is_the_largest_integer(bits):
    weights = np.full((4, 64), 0.25, dtype=np.float32)
    weights[:, 1] = naive.LARGEST[bits]  # a scale of 1
    quantized = check(-weights, bits)
    assert naive.codes(quantized)[:, 1].tolist() == [-naive.LARGEST[bits]] * 4
    assert not naive.codes(quantized)[:, 2:].any()


@pytest.mark.parametrize("bits", BITS)
def test_integers_stay_as_they_are(bits):
    largest = naive.LARGEST[bits]
    weights = np.random.default_rng(0).integers(-largest, largest + 1, (50, 77)).astype(np.float32)
    weights[:, 0] = largest
    weights[:, -1] = -largest
    np.testing.assert_array_equal(floats(check(weights, bits, 8 * 77)), weights)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("block", [8, 9, 16, 100, 128, 1000, 1 << 20, 1 << 40, 1 << 70])
@pytest.mark.parametrize("width", [1, 5, 8, 17, 128, 200])
def test_blocks_of_any_size(width, block, bits):
    quantized = check(normal(37, width), bits, block)
    sizes = np.bincount(naive.blocks(37, width, bits, block).ravel())
    assert len(quantized.scales) == len(sizes)
    assert sizes.max() <= max(2 * block, 16)


def test_smaller_blocks_move_weights_less():
    weights = normal(50, 256)
    moved = [
        np.abs(floats(quantize(weights, 8, block, POOL)) - weights).mean() for block in (256, 64, 8)
    ]
    assert moved[0] > moved[1] > moved[2]


@pytest.mark.parametrize("bits", BITS)
def test_blocks_are_whole_rows_or_equal_parts(bits):
    wide = lay_out(10, 300, bits, 100)
    assert (wide.n_parts, wide.part, wide.shift) == (3, 104, 0)
    narrow = lay_out(10, 30, bits, 100)
    assert (narrow.n_parts, narrow.part, narrow.shift) == (1, 30, 1)
    one = lay_out(10, 100, bits, 100)
    assert (one.n_parts, one.part, one.shift, one.stride) == (1, 100, 0, 100)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", [*range(1, 40), *WIDTHS[10:]])
def test_sizes(width, bits):
    """Against the float32 that they were."""
    n = 4096
    ratio = 4 * n * width / naive.n_bytes(lay_out(n, width, bits, None))
    if width >= 128:
        # Odd rows waste half a byte.
        assert ratio >= {8: 3.9, 4: 7.45 if width % 2 else 7.5}[bits]
    assert ratio >= {8: 3.5, 4: 6.5}[bits]


@pytest.mark.parametrize("bits", BITS)
def test_weights_of_one_dimension_are_rows_of_one(bits):
    weights = normal(1000)
    one, two = (quantize(w, bits, None, POOL) for w in (weights, weights[:, np.newaxis]))
    np.testing.assert_array_equal(floats(one), floats(two))
    assert (one.n_rows, one.width) == (1000, 1)


@pytest.mark.parametrize("bits", BITS)
def test_bfloat16_is_taken_as_it_is(bits):
    weights = (normal(20, 50).view(np.uint32) >> 16).astype(np.uint16)
    np.testing.assert_array_equal(floats(weights), naive.widen(weights))
    quantized, expected = (quantize(w, bits, None, POOL) for w in (weights, naive.widen(weights)))
    for ours, theirs in zip(quantized[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(5003, 3), (600, 2000), (9000, 64), (300_001, 1)])
def test_the_number_of_threads_changes_nothing(shape, bits):
    n = int(np.prod(shape))
    if n > 10**4 and _is_uncompiled():
        pytest.skip("too slow uncompiled")
    weights = normal(*shape)
    with Pool(4) as four:
        ours, theirs = (quantize(weights, bits, None, pool) for pool in (POOL, four))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def _is_uncompiled():
    from numba import config

    return config.DISABLE_JIT


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", [0, 3, 17, 200])
def test_arrays_of_another_size_are_refused(width, bits):
    whole = lay_out(11, width, bits, None)
    again = lay_out(11, width, bits, None, whole.codes, whole.scales)
    assert again.codes is whole.codes and again.scales is whole.scales
    for codes in (np.append(whole.codes, np.int8(0)), whole.codes.astype(np.int16)):
        with pytest.raises(ValueError, match=f"{len(whole.codes)} numbers of int8 are needed"):
            lay_out(11, width, bits, None, codes, whole.scales)
    for scales in (np.append(whole.scales, np.uint16(0)), whole.scales[np.newaxis]):
        with pytest.raises(ValueError, match=f"{len(whole.scales)} numbers of uint16 are needed"):
            lay_out(11, width, bits, None, whole.codes, scales)
    if width:
        with pytest.raises(ValueError, match="needed"):
            lay_out(11, width, bits, None, whole.codes[:-1], whole.scales)
        with pytest.raises(ValueError, match="needed"):
            lay_out(11, width, bits, None, whole.codes, whole.scales[:-1])
