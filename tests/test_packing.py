"""Numbers packed into few bytes come back, in order, and nothing else passes for them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt.packing import pack, unpack

pytestmark = pytest.mark.kernel


def leb128(numbers, end):
    """Write steps from number to number, modulo ``end``, seven bits to a byte.

    >>> list(leb128([300, 1], 512))
    [172, 2, 213, 1]
    """
    packed, before = bytearray(), 0
    for number in numbers:
        rest, before = (number - before) % end, number
        while rest > 127:
            packed.append(rest % 128 + 128)
            rest //= 128
        packed.append(rest)
    return bytes(packed)


@st.composite
def numbers_below(draw):
    end = draw(st.integers(1, 2**31) | st.sampled_from([1, 2, 128, 129, 2**14, 2**31]))
    return draw(st.lists(st.integers(0, end - 1), max_size=60)), end


@settings(max_examples=300)
@given(numbers_below())
def test_numbers_come_back_in_order(drawn):
    numbers, end = drawn
    packed = pack(np.array(numbers, dtype=np.int64), end)
    assert packed.dtype == np.uint8 and packed.ndim == 1
    assert packed.tobytes() == leb128(numbers, end)
    again = unpack(packed, len(numbers), end)
    assert again.dtype == np.int64
    assert again.tolist() == numbers


@pytest.mark.parametrize("end", [0, 1, 2**31])
def test_no_numbers(end):
    packed = pack(np.zeros(0, dtype=np.int64), end)
    assert packed.shape == (0,)
    assert unpack(packed, 0, end).shape == (0,)


def test_numbers_that_rise_by_little_take_a_byte_each():
    numbers = np.cumsum(np.random.default_rng(0).integers(0, 128, 5000))
    assert len(pack(numbers, int(numbers[-1]) + 1)) == 5000
    assert len(pack(np.arange(5000)[::-1].copy(), 2**31)) > 4 * 5000


@pytest.mark.parametrize("value", [0, 127, 128, 2**14 - 1, 2**14, 2**28, 2**31 - 1])
def test_sizes_of_steps(value):
    packed = pack(np.array([value]), 2**31)
    assert len(packed) == max(1, -(-value.bit_length() // 7))
    assert unpack(packed, 1, 2**31).tolist() == [value]


def test_read_only_bytes_will_do():
    packed = np.frombuffer(pack(np.array([5, 900]), 1000).tobytes(), np.uint8)
    assert unpack(packed, 2, 1000).tolist() == [5, 900]


@given(numbers_below(), st.integers(-3, 3).filter(bool))
def test_more_or_fewer_numbers_than_told(drawn, more):
    numbers, end = drawn
    n = max(0, len(numbers) + more)
    packed = pack(np.array(numbers, dtype=np.int64), end)
    if n != len(numbers):
        with pytest.raises(ValueError, match=f"these are not {n} packed numbers"):
            unpack(packed, n, end)


@pytest.mark.parametrize(
    "damaged",
    [[], [1], [1, 2, 3], [1, 128], [128, 1], [255] * 4 + [15], [128] * 5 + [1, 1]],
    ids=str,
)
def test_damaged_bytes(damaged):
    with pytest.raises(ValueError, match="these are not 2 packed numbers"):
        unpack(np.array(damaged, dtype=np.uint8), 2, 1000)


@pytest.mark.parametrize("n", [-1, 3, 10**15])
def test_numbers_that_cannot_be_so_many(n):
    with pytest.raises(ValueError, match=f"these are not {n} packed numbers"):
        unpack(np.array([1, 2], dtype=np.uint8), n, 1000)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_what_are_no_bytes(dtype):
    with pytest.raises(ValueError, match="these are not 2 packed numbers"):
        unpack(np.array([1, 2], dtype=dtype), 2, 1000)
    with pytest.raises(ValueError, match="these are not 2 packed numbers"):
        unpack(np.array([[1, 2]], dtype=np.uint8), 2, 1000)


@given(st.binary(max_size=40), st.integers(0, 20), st.integers(1, 2**31))
def test_any_bytes_are_numbers_below_the_end_or_refused(data, n, end):
    try:
        numbers = unpack(np.frombuffer(data, np.uint8), n, end)
    except ValueError:
        return
    assert len(numbers) == n
    assert np.all((numbers >= 0) & (numbers < end))
