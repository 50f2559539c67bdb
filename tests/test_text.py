"""Each kernel from text to features against its naive twin."""

from collections import Counter

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt.features import text as kernels
from udt.features.unicode import normalise

pytestmark = [
    pytest.mark.kernel,
    # Uncompiled, NumPy warns where the hash wraps around.
    pytest.mark.filterwarnings("ignore:overflow encountered in scalar"),
]

LETTERS = "aAzZ09_ .,!?$%()\t\n\0'\"éßİﬁ東京ไทกำعَहि👍\u200d\u0301\u00a0\ufffd"
WILD = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(LETTERS)), max_size=40
)
# What reaches the kernels: normalised text mostly, but they take any UTF-8.
ROW = st.one_of(WILD.map(normalise), WILD)
ROWS = st.lists(ROW, max_size=6)
WORD_LENGTHS = st.sampled_from([(1, 1), (1, 2), (2, 3), (3, 3), (1, 8)])
CHAR_LENGTHS = st.sampled_from([(1, 1), (1, 3), (3, 5), (4, 4), (6, 32)])
SEEDS = st.integers(0, 2**32 - 1)
FEW_BUCKETS = 256  # so that n-grams share buckets
NO_SPANS = np.empty((0, 2), dtype=np.int64)
GUARD = 0xEE


def guarded(size, dtype):
    """An array of the promised size, and the room behind it that must stay as it is."""
    room = np.full(size + 64, GUARD, dtype=dtype)
    return room[:size], room[size:]


def lengths(words, chars):
    return np.array([*(words or (0, 0)), *(chars or (0, 0))], dtype=np.int64)


def column(rows):
    """Bytes and offsets, read-only, as the featurizer hands them over."""
    encoded = [row.encode() for row in rows]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), np.frombuffer(offsets.tobytes(), np.int64)


def split(row):
    data, _ = column([row])
    text, text_guard = guarded(2 * len(data) + 6, np.uint8)
    starts, starts_guard = guarded(len(data) + 2, np.int32)
    n_words = kernels.split_words(data, 0, len(data), kernels.BYTE_CLASSES, text, starts)
    assert (text_guard == GUARD).all()
    assert (starts_guard == GUARD).all()
    return text, starts, n_words


def strings(text, spans):
    return [bytes(text[first:end]).decode() for first, end in spans]


def document_frequencies(rows, words, chars, seed, n_buckets):
    parts = [
        naive.buckets(row, words=words, chars=chars, seed=seed, n_buckets=n_buckets) for row in rows
    ]
    return naive.document_frequencies([of_words + of_chars for of_words, of_chars in parts])


@given(ROW)
def test_split_words(row):
    text, starts, n_words = split(row)
    words = naive.split_words(row)
    assert n_words == len(words)
    assert [bytes(text[starts[w] : starts[w + 1] - 1]).decode() for w in range(n_words)] == words
    written = " ".join(["", *words, ""]) if words else " "
    assert bytes(text[: starts[n_words]]).decode() == written


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("", []),
        (" \t\r\n\0\x7f", []),
        ("...,'\"-[]{}|\\^~`", []),
        ("a", ["a"]),
        ("!", ["!"]),
        ("!!a?b", ["!", "!", "a", "?", "b"]),
        (" Don't pay_1 5%... OK?", ["don", "t", "pay_1", "5", "%", "ok", "?"]),
        ("a\0b", ["a", "b"]),
        ("É e\u0301 東京", ["É", "e\u0301", "東京"]),  # case and scripts are normalise's business
    ],
)
def test_split_words_of(row, words):
    text, starts, n_words = split(row)
    assert bytes(text[: starts[n_words]]).decode().split(" ")[1:-1] == words
    assert n_words == len(words)


def test_split_words_reads_its_row_only():
    data, offsets = column(["one", "two three", "four"])
    text, starts = kernels.text_buffers(offsets, 1, 2)
    n = kernels.split_words(data, offsets[1], offsets[2], kernels.BYTE_CLASSES, text, starts)
    assert bytes(text[: starts[n]]) == b" two three "


@given(ROW, WORD_LENGTHS, SEEDS)
def test_hash_words(row, limits, seed):
    text, starts, n_words = split(row)
    words = naive.split_words(row)
    expected = naive.word_ngrams(words, *limits)
    buckets, guard = guarded(len(expected), np.uint32)
    spans = np.empty((max(1, len(expected)), 2), dtype=np.int64)
    mask = np.uint32(2**20 - 1)
    arguments = (text, starts, n_words, lengths(limits, None), np.uint32(seed), mask)
    assert kernels.hash_words(*arguments, buckets, spans) == len(expected)
    assert (guard == GUARD).all()
    found = strings(text, spans[: len(expected)])
    assert Counter(found) == Counter(expected)
    assert buckets.tolist() == [h % 2**20 for h in naive.hash_ngrams(found, seed)]
    without_spans = np.empty_like(buckets)
    kernels.hash_words(*arguments, without_spans, NO_SPANS)
    assert without_spans.tolist() == buckets.tolist()


@given(ROW, CHAR_LENGTHS, SEEDS)
def test_hash_chars(row, limits, seed):
    text, starts, n_words = split(row)
    expected = naive.char_ngrams(naive.split_words(row), *limits)
    begin, end = 3, 3 + len(expected)
    buckets, guard = guarded(end, np.uint32)
    spans = np.empty((end, 2), dtype=np.int64)
    mask = np.uint32(2**20 - 1)
    ngrams = lengths(None, limits)
    arguments = (text, starts, n_words, kernels.BYTE_CLASSES, ngrams, np.uint32(seed), mask, begin)
    assert kernels.hash_chars(*arguments, buckets, spans) == end
    assert (guard == GUARD).all()
    assert (buckets[:begin] == GUARD).all()
    found = strings(text, spans[begin:])
    assert Counter(found) == Counter(expected)
    assert buckets[begin:].tolist() == [h % 2**20 for h in naive.hash_ngrams(found, seed)]
    without_spans = np.empty_like(buckets)
    kernels.hash_chars(*arguments, without_spans, NO_SPANS)
    assert without_spans[begin:].tolist() == buckets[begin:].tolist()


@given(
    ROW,
    st.one_of(st.none(), WORD_LENGTHS),
    st.one_of(st.none(), CHAR_LENGTHS),
    SEEDS,
)
def test_hash_row_stays_within_max_ngrams(row, words, chars, seed):
    text, starts, n_words = split(row)
    ngrams = lengths(words, chars)
    buckets, guard = guarded(kernels.max_ngrams(starts[n_words], n_words, ngrams), np.uint32)
    words_end, end = kernels.hash_row(
        text, starts, n_words, kernels.BYTE_CLASSES, ngrams, np.uint32(seed),
        np.uint32(FEW_BUCKETS - 1), buckets, NO_SPANS,
    )  # fmt: skip
    assert end <= len(buckets)
    assert (guard == GUARD).all()
    of_words, of_chars = naive.buckets(
        row, words=words, chars=chars, seed=seed, n_buckets=FEW_BUCKETS
    )
    assert Counter(buckets[:words_end].tolist()) == Counter(of_words)
    assert Counter(buckets[words_end:end].tolist()) == Counter(of_chars)


@pytest.mark.parametrize("chars", [(1, 1), (1, 2), (1, 3), (2, 2), (3, 5), (1, 32)])
@pytest.mark.parametrize("row", ["a", "a a a a a", "ab cd", "abc", "é é", "! ! a", "x" * 40])
def test_max_ngrams_is_no_less_than_their_number(row, chars):
    _, starts, n_words = split(row)
    for words in (None, (1, 1), (1, 8)):
        n = sum(map(len, naive.buckets(row, words=words, chars=chars, seed=0, n_buckets=2)))
        assert kernels.max_ngrams(starts[n_words], n_words, lengths(words, chars)) >= n


@given(
    # Far apart in value, the same in their low bits: all in one run of slots.
    st.lists(st.sampled_from([0, 1, 2, 3, 2**16, 2**20, 2**31, 2**32 - 1, 7 * 2**8]), max_size=30),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_fold(values, to, gap):
    begin, end = to + gap, to + gap + len(values)
    buckets = np.array([9] * begin + values, dtype=np.uint32)
    counts, counts_guard = guarded(end, np.int32)
    slots, slots_guard = guarded(max(2, 4 * len(values)), np.int32)
    expected = Counter(values)
    after = kernels.fold(buckets, begin, end, to, counts, slots)
    assert after == to + len(expected)
    assert buckets[to:after].tolist() == list(expected)
    assert counts[to:after].tolist() == list(expected.values())
    assert (buckets[:to] == 9).all()
    assert (counts[:to] == GUARD).all()
    assert (counts_guard == GUARD).all()
    assert (slots_guard == GUARD).all()


@settings(max_examples=50)
@given(ROWS, WORD_LENGTHS, st.one_of(st.none(), CHAR_LENGTHS), SEEDS)
def test_count_rows(rows, words, chars, seed):
    data, offsets = column(rows)
    frequencies = np.full(FEW_BUCKETS, 5, dtype=np.int32)  # to be added to
    first = min(1, len(rows))
    kernels.count_rows(
        data, offsets, first, len(rows), kernels.BYTE_CLASSES, lengths(words, chars),
        np.uint32(seed), np.uint32(FEW_BUCKETS - 1), frequencies,
    )  # fmt: skip
    df = document_frequencies(rows[first:], words, chars, seed, FEW_BUCKETS)
    assert frequencies.tolist() == [5 + df[bucket] for bucket in range(FEW_BUCKETS)]


def check_transform(rows, words, chars, seed, sublinear, ids):
    data, offsets = column(rows)
    n_buckets = len(ids)
    indptr, middles, indices, values = kernels.transform_rows(
        data, offsets, 0, len(rows), kernels.BYTE_CLASSES, lengths(words, chars), np.uint32(seed),
        np.uint32(n_buckets - 1), ids, sublinear,
    )  # fmt: skip
    assert (indptr.dtype, middles.dtype) == (np.int64, np.int64)
    assert (indices.dtype, values.dtype) == (np.int32, np.float32)
    assert indptr[-1] == len(indices) == len(values)
    known = {bucket: int(i) for bucket, i in enumerate(ids) if i >= 0}
    for row, text in enumerate(rows):
        parts = naive.buckets(text, words=words, chars=chars, seed=seed, n_buckets=n_buckets)
        limits = indptr[row], middles[row], indptr[row + 1]
        for begin, end, part in zip(limits, limits[1:], parts, strict=False):
            expected = dict(naive.known_counts(part, known, sublinear))
            actual = dict(zip(indices[begin:end].tolist(), values[begin:end], strict=True))
            assert len(actual) == end - begin  # no column twice
            assert actual == pytest.approx(expected, rel=1e-6)
    return indptr, middles, indices, values


@settings(max_examples=50)
@given(ROWS, WORD_LENGTHS, st.one_of(st.none(), CHAR_LENGTHS), SEEDS, st.booleans())
def test_transform_rows(rows, words, chars, seed, sublinear):
    ids = np.full(FEW_BUCKETS, -1, dtype=np.int32)
    ids[::3] = np.arange(len(ids[::3]))[::-1]
    check_transform(rows, words, chars, seed, sublinear, ids)


def test_rows_longer_than_the_buffers_at_their_start():
    long_word = "supercalifragilistic" * 30
    many_words = " ".join(f"w{i % 700}" for i in range(900))
    rows = ["a b", long_word, "", many_words, "a b", many_words + " " + long_word]
    ids = np.arange(2**16, dtype=np.int32)
    indptr, *_ = check_transform(rows, (1, 2), (3, 5), 0, True, ids)
    assert indptr[-1] > 5000
    data, offsets = column(rows)
    frequencies = np.zeros(2**16, dtype=np.int32)
    ngrams = lengths((1, 2), (3, 5))
    kernels.count_rows(
        data, offsets, 0, len(rows), kernels.BYTE_CLASSES, ngrams, np.uint32(0),
        np.uint32(2**16 - 1), frequencies,
    )  # fmt: skip
    df = document_frequencies(rows, (1, 2), (3, 5), 0, 2**16)
    assert {bucket: frequencies[bucket] for bucket in np.flatnonzero(frequencies)} == df


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0.125, 64, width=32)), max_size=8),
    st.floats(0.25, 4, width=32),
)
def test_scale_part(part, norm):
    weights = np.array([1, 0.5, 3, 0, 2, 1.25], dtype=np.float32)
    indices = np.array([0, *(i for i, _ in part), 0], dtype=np.int32)
    values = np.array([7, *(value for _, value in part), 7], dtype=np.float32)
    kernels.scale_part(indices, values, 1, 1 + len(part), weights, norm)
    expected = [value for _, value in naive.scale(part, weights, norm)]
    assert values.tolist() == pytest.approx([7, *expected, 7], rel=1e-5)


def test_scale_rows_scales_both_parts_of_its_rows_only():
    indptr = np.array([0, 2, 5, 5, 6], dtype=np.int32)
    middles = np.array([1, 4, 5, 5])
    indices = np.array([0, 1, 1, 0, 1, 0], dtype=np.int32)
    values = np.array([5, 5, 3, 4, 2, 9], dtype=np.float32)
    weights = np.array([1, 2], dtype=np.float32)
    norms = np.array([1, 0.5], dtype=np.float32)
    kernels.scale_rows(indptr, middles, indices, values, weights, norms, 1, 4)
    expected = [5, 5, 6 / 52**0.5, 4 / 52**0.5, 0.5, 0.5]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@settings(max_examples=50)
@given(ROWS, WORD_LENGTHS, st.one_of(st.none(), CHAR_LENGTHS), SEEDS)
def test_name_features(rows, words, chars, seed):
    data, offsets = column(rows)
    ids = np.full(FEW_BUCKETS, -1, dtype=np.int32)
    ids[::2] = np.arange(FEW_BUCKETS // 2)
    utf8, where = kernels.name_features(
        data, offsets, kernels.BYTE_CLASSES, lengths(words, chars), np.uint32(seed),
        np.uint32(FEW_BUCKETS - 1), ids, FEW_BUCKETS // 2,
    )  # fmt: skip
    names = {
        2 * i: bytes(utf8[begin:end]).decode() for i, (begin, end) in enumerate(where) if end >= 0
    }
    candidates = {}  # the n-grams of the first row in which a bucket occurs
    for row in rows:
        found = naive.split_words(row)
        of_row = {}
        for ngrams, ngram_seed in [
            (naive.word_ngrams(found, *words), seed),
            (naive.char_ngrams(found, *chars) if chars else [], seed ^ 0xFFFFFFFF),
        ]:
            for ngram, h in zip(ngrams, naive.hash_ngrams(ngrams, ngram_seed), strict=True):
                of_row.setdefault(h % FEW_BUCKETS, set()).add(ngram)
        candidates = {**of_row, **candidates}
    assert names.keys() == {bucket for bucket in candidates if bucket % 2 == 0}
    assert all(name in candidates[bucket] for bucket, name in names.items())


def test_name_features_longer_than_their_room_at_the_start():
    words = ["é" * 50 + str(i) for i in range(8)]
    data, offsets = column(words)
    ids = np.full(2**16, -1, dtype=np.int32)
    ids[[h % 2**16 for h in naive.hash_ngrams(words, 0)]] = np.arange(8)
    utf8, where = kernels.name_features(
        data, offsets, kernels.BYTE_CLASSES, lengths((1, 1), None), np.uint32(0),
        np.uint32(2**16 - 1), ids, 8,
    )  # fmt: skip
    assert strings(utf8, where) == words
