"""Murmur3 against scikit-learn's, and against published values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from udt.compilation import kernel
from udt.features.hashing import load_u32, murmur3_32, murmur3_word

pytestmark = [
    pytest.mark.kernel,
    # Uncompiled, NumPy warns where the hash wraps around.
    pytest.mark.filterwarnings("ignore:overflow encountered in scalar"),
]

SEEDS = st.integers(0, 2**32 - 1)


def murmur(key, seed, before=b"", after=b"\xff\xff\xff"):
    data = np.frombuffer(before + key + after, np.uint8)
    return murmur3_32(data, len(before), len(before) + len(key), np.uint32(seed))


@kernel
def read(data, i):
    return load_u32(data, i)


@pytest.mark.parametrize("i", range(4))
def test_load_u32_is_little_endian_at_any_address(i):
    data = np.frombuffer(bytes(range(0xF8, 0x100)), np.uint8)
    assert read(data, i) == int.from_bytes(bytes(data[i : i + 4]), "little")


# From Wikipedia's and Ian Boyd's lists of test vectors.
@pytest.mark.parametrize(
    ("key", "seed", "expected"),
    [
        (b"", 0, 0),
        (b"", 1, 0x514E28B7),
        (b"", 0xFFFFFFFF, 0x81F16F39),
        (b"\0", 0, 0x514E28B7),
        (b"\0\0", 0, 0x30F4C306),
        (b"\0\0\0", 0, 0x85F0B427),
        (b"\0\0\0\0", 0, 0x2362F9DE),
        (b"\xff\xff\xff\xff", 0, 0x76293B50),
        (b"!Ce\x87", 0, 0xF55B516B),
        (b"!Ce\x87", 0x5082EDEE, 0x2362F9DE),
        (b"!Ce", 0, 0x7E4A8634),
        (b"!C", 0, 0xA0F7B07A),
        (b"!", 0, 0x72661CF4),
        (b"test", 0x9747B28C, 0x704B81DC),
        (b"Hello, world!", 0x9747B28C, 0x24884CBA),
        (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
    ],
)
def test_published_values(key, seed, expected):
    assert murmur(key, seed) == expected


@pytest.mark.parametrize("length", range(20))
def test_equal_to_scikit_learn_for_every_length_of_tail_and_every_alignment(length):
    key = bytes(range(0x7A, 0x7A + length))
    for shift in range(4):
        actual = murmur(key, 42, before=b"." * shift)
        assert actual == murmurhash3_32(key, 42, positive=True)


@given(st.binary(max_size=300), SEEDS)
def test_equal_to_scikit_learn(key, seed):
    assert murmur(key, seed) == murmurhash3_32(key, seed, positive=True)


@given(st.text(), SEEDS)
def test_equal_to_scikit_learn_for_text(text, seed):
    assert murmur(text.encode(), seed) == murmurhash3_32(text, seed, positive=True)


@given(st.binary(max_size=9), st.binary(max_size=5), st.binary(min_size=3, max_size=5))
def test_bytes_around_the_key_do_not_matter(key, before, after):
    assert murmur(key, 7, before, after) == murmur(key, 7)


@given(SEEDS, SEEDS)
def test_a_word_is_hashed_as_its_bytes(word, seed):
    key = word.to_bytes(4, "little")
    assert murmur3_word(np.uint32(word), np.uint32(seed)) == murmur(key, seed)
