"""Text -> hashed n-grams: the kernels over blocks of rows.

A normalised text is split into words and written as ``" one two three "``. In that form every word
n-gram and every character n-gram within a word is one run of bytes, which is hashed where it lies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.features.hashing import murmur3_32

Array = NDArray[Any]
SPACE = 32

SEPARATOR, WORD, SOLO = 0, 1, 2


def _byte_classes() -> Array:
    """Give each byte its class (part of a word, a word by itself, separator) and folded form."""
    table = np.zeros((256, 2), dtype=np.uint8)
    for byte in range(256):
        char = chr(byte)
        if byte >= 128 or char.isalnum() or char == "_":
            table[byte] = WORD, ord(char.lower()) if byte < 128 else byte
        elif char in "!?$%&@#*+/:;()<>=":
            table[byte] = SOLO, byte
    return table


BYTE_CLASSES = _byte_classes()
#: For tokens that are joined by spaces: every other byte is part of a token, as it is.
TOKEN_CLASSES = np.stack([np.full(256, WORD), np.arange(256)], axis=1).astype(np.uint8)
TOKEN_CLASSES[SPACE, 0] = SEPARATOR


@kernel
def split_words(
    data: Array, start: int, end: int, classes: Array, text: Array, starts: Array
) -> int:
    """Write the folded words of ``data[start:end]`` to ``text`` as ``" one two "``.

    Word ``w`` is ``text[starts[w] : starts[w + 1] - 1]``. Return the number of words. ``text``
    needs room for 2 * (end - start) + 6 bytes, ``starts`` for end - start + 2 numbers.
    """
    text[0] = SPACE
    length = 1
    n_words = 0
    last = SEPARATOR  # class of the byte written last
    for i in range(start, end):  # without a branch: words are too short to predict
        kind = classes[data[i], 0]
        text[length] = SPACE
        length += (last != SEPARATOR) & ((kind != WORD) | (last == SOLO))
        text[length] = classes[data[i], 1]
        starts[n_words] = length
        n_words += (kind == SOLO) | ((kind == WORD) & (last != WORD))
        length += kind != SEPARATOR
        last = kind
    text[length] = SPACE
    length += last != SEPARATOR
    starts[n_words] = length
    return n_words


@kernel
def hash_words(
    text: Array, starts: Array, n_words: int, ngrams: Array, seed: int, mask: int,
    buckets: Array, spans: Array,
) -> int:  # fmt: skip
    """Hash the word n-grams of a split text into ``buckets``; return how many there are.

    ``spans``, if it has rows, receives where in ``text`` each n-gram begins and ends.
    """
    n = 0
    for w in range(n_words):
        for size in range(ngrams[0], min(ngrams[1], n_words - w) + 1):
            first, end = starts[w], starts[w + size] - 1
            buckets[n] = murmur3_32(text, first, end, seed) & mask
            if spans.shape[0] > 0:
                spans[n, 0], spans[n, 1] = first, end
            n += 1
    return n


@kernel
def hash_chars(
    text: Array, starts: Array, n_words: int, classes: Array, ngrams: Array, seed: int, mask: int,
    begin: int, buckets: Array, spans: Array,
) -> int:  # fmt: skip
    """Hash the character n-grams within words into ``buckets`` from ``begin`` on; return the end.

    Words count with the spaces around them; a word shorter than the shortest n-gram is hashed
    whole, as scikit-learn's "char_wb" analyzer does. Punctuation marks are left out.
    """
    n = begin
    n_min, n_max = ngrams[2], ngrams[3]
    for w in range(n_words):
        if classes[text[starts[w]], 0] == SOLO:
            continue
        first, end = starts[w] - 1, starts[w + 1]
        a = first
        while a < end:
            b = a
            for size in range(1, n_max + 1):
                b += 1
                while b < end and text[b] & 0xC0 == 0x80:  # the rest of a UTF-8 character
                    b += 1
                if size >= n_min or (b == end and a == first):
                    buckets[n] = murmur3_32(text, a, b, seed) & mask
                    if spans.shape[0] > 0:
                        spans[n, 0], spans[n, 1] = a, b
                    n += 1
                if b == end:
                    break
            a += 1
            while a < end and text[a] & 0xC0 == 0x80:
                a += 1
    return n


@kernel
def max_ngrams(text_length: int, n_words: int, ngrams: Array) -> int:
    """Bound the number of n-grams of a split text, so that buffers are large enough."""
    words = n_words * (ngrams[1] - ngrams[0] + 1) if ngrams[1] > 0 else 0
    return words + (text_length * (ngrams[3] - ngrams[2] + 1) + n_words if ngrams[3] > 0 else 0)


@kernel
def hash_row(
    text: Array, starts: Array, n_words: int, classes: Array, ngrams: Array, seed: int, mask: int,
    buckets: Array, spans: Array,
) -> tuple[int, int]:  # fmt: skip
    """Hash all n-grams of a split text; return the end of those of words, and of all."""
    words_end = 0
    if ngrams[1] > 0:
        words_end = hash_words(text, starts, n_words, ngrams, seed, mask, buckets, spans)
    end = words_end
    if ngrams[3] > 0:
        char_seed = np.uint32(~seed)  # "cat" the word is not "cat" within "concatenate"
        end = hash_chars(
            text, starts, n_words, classes, ngrams, char_seed, mask, words_end, buckets, spans
        )
    return words_end, end


@kernel
def fold(buckets: Array, begin: int, end: int, to: int, counts: Array, slots: Array) -> int:
    """Move the distinct values of ``buckets[begin:end]`` to ``to``, and count each in ``counts``.

    Return their end. Values keep the order in which they first occur. ``slots`` is scratch room
    for at least 4 * (end - begin) numbers.
    """
    size = 2
    while size < 2 * (end - begin):
        size *= 2
    slots[:size] = -1
    n = to
    for j in range(begin, end):
        bucket = buckets[j]
        h = np.int64(bucket) & (size - 1)
        while slots[h] >= 0 and buckets[slots[h]] != bucket:
            h = (h + 1) & (size - 1)
        if slots[h] < 0:
            slots[h] = n
            buckets[n] = bucket
            counts[n] = 1
            n += 1
        else:
            counts[slots[h]] += 1
    return n


@kernel
def text_buffers(offsets: Array, first: int, last: int) -> tuple[Array, Array]:
    """Allocate what `split_words` writes to for any of rows ``first:last``."""
    longest = 0
    for row in range(first, last):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return np.empty(2 * longest + 6, dtype=np.uint8), np.empty(longest + 2, dtype=np.int32)


@kernel
def count_rows(
    data: Array, offsets: Array, first: int, last: int, classes: Array, ngrams: Array, seed: int,
    mask: int, frequencies: Array,
) -> None:  # fmt: skip
    """Add to ``frequencies[bucket]`` in how many of rows ``first:last`` the bucket occurs."""
    text, starts = text_buffers(offsets, first, last)
    spans = np.empty((0, 2), dtype=np.int64)
    buckets = np.empty(1024, dtype=np.uint32)
    counts = np.empty(1024, dtype=np.int32)
    slots = np.empty(4096, dtype=np.int32)
    for row in range(first, last):
        n_words = split_words(data, offsets[row], offsets[row + 1], classes, text, starts)
        room = max_ngrams(starts[n_words], n_words, ngrams)
        if room > buckets.shape[0]:
            buckets = np.empty(2 * room, dtype=np.uint32)
            counts = np.empty(2 * room, dtype=np.int32)
            slots = np.empty(8 * room, dtype=np.int32)
        _, end = hash_row(text, starts, n_words, classes, ngrams, seed, mask, buckets, spans)
        end = fold(buckets, 0, end, 0, counts, slots)
        for j in range(end):
            frequencies[buckets[j]] += 1


@kernel
def append_known(
    buckets: Array, counts: Array, begin: int, end: int, ids: Array, sublinear: bool, nnz: int,
    indices: Array, values: Array,
) -> int:  # fmt: skip
    """Append the known ones of ``buckets[begin:end]`` to a CSR row; return the new end."""
    for j in range(begin, end):  # without a branch: which n-grams are known can't be predicted
        i = ids[buckets[j]]
        indices[nnz] = i
        values[nnz] = np.float32(counts[j])
        nnz += i >= 0
        if sublinear and counts[j] > 1 and i >= 0:
            values[nnz - 1] = np.float32(1) + np.log(np.float32(counts[j]))
    return nnz


@kernel
def scale_part(
    indices: Array, values: Array, begin: int, end: int, weights: Array, norm: float
) -> None:
    """Multiply a part of a row by its columns' weights, and scale it to length ``norm``."""
    square = np.float32(0)
    for j in range(begin, end):
        value = values[j] * weights[indices[j]]
        values[j] = value
        square += value * value
    if square > 0:
        scale = np.float32(norm) / np.sqrt(square)
        for j in range(begin, end):
            values[j] *= scale


@kernel
def scale_rows(
    indptr: Array, middles: Array, indices: Array, values: Array, weights: Array, norms: Array,
    first: int, last: int,
) -> None:  # fmt: skip
    """Weigh and scale the word parts and character parts of rows ``first:last``."""
    for row in range(first, last):
        scale_part(indices, values, indptr[row], middles[row], weights, norms[0])
        scale_part(indices, values, middles[row], indptr[row + 1], weights, norms[1])


@kernel
def transform_rows(
    data: Array, offsets: Array, first: int, last: int, classes: Array, ngrams: Array, seed: int,
    mask: int, ids: Array, sublinear: bool,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Give the counts of rows ``first:last`` as CSR: indptr, word parts' ends, indices, values."""
    text, starts = text_buffers(offsets, first, last)
    spans = np.empty((0, 2), dtype=np.int64)
    buckets = np.empty(1024, dtype=np.uint32)
    counts = np.empty(1024, dtype=np.int32)
    slots = np.empty(4096, dtype=np.int32)
    indptr = np.zeros(last - first + 1, dtype=np.int64)
    middles = np.empty(last - first, dtype=np.int64)
    indices = np.empty(1024, dtype=np.int32)
    values = np.empty(1024, dtype=np.float32)
    nnz = 0
    for row in range(first, last):
        n_words = split_words(data, offsets[row], offsets[row + 1], classes, text, starts)
        room = max_ngrams(starts[n_words], n_words, ngrams)
        if room > buckets.shape[0]:
            buckets = np.empty(2 * room, dtype=np.uint32)
            counts = np.empty(2 * room, dtype=np.int32)
            slots = np.empty(8 * room, dtype=np.int32)
        words_end, end = hash_row(
            text, starts, n_words, classes, ngrams, seed, mask, buckets, spans
        )
        folded_words = fold(buckets, 0, words_end, 0, counts, slots)
        folded = fold(buckets, words_end, end, folded_words, counts, slots)
        if nnz + folded >= indices.shape[0]:
            larger = np.empty(2 * (nnz + folded), dtype=np.int32)
            larger[:nnz] = indices[:nnz]
            indices = larger
            larger_values = np.empty(2 * (nnz + folded), dtype=np.float32)
            larger_values[:nnz] = values[:nnz]
            values = larger_values
        nnz = append_known(buckets, counts, 0, folded_words, ids, sublinear, nnz, indices, values)
        middles[row - first] = nnz
        nnz = append_known(
            buckets, counts, folded_words, folded, ids, sublinear, nnz, indices, values
        )
        indptr[row - first + 1] = nnz
    return indptr, middles, indices[:nnz].copy(), values[:nnz].copy()


@kernel
def name_features(
    data: Array, offsets: Array, classes: Array, ngrams: Array, seed: int, mask: int, ids: Array,
    n_features: int,
) -> tuple[Array, Array]:  # fmt: skip
    """Give the UTF-8 text of the first n-gram met in each feature: bytes, and [begin, end) rows."""
    text, starts = text_buffers(offsets, 0, offsets.shape[0] - 1)
    where = np.full((n_features, 2), -1, dtype=np.int64)
    names = np.empty(16 * n_features + 64, dtype=np.uint8)
    used = 0
    buckets = np.empty(0, dtype=np.uint32)
    spans = np.empty((1, 2), dtype=np.int64)
    for row in range(offsets.shape[0] - 1):
        n_words = split_words(data, offsets[row], offsets[row + 1], classes, text, starts)
        room = max_ngrams(starts[n_words], n_words, ngrams)
        if room > buckets.shape[0]:
            buckets = np.empty(2 * room, dtype=np.uint32)
            spans = np.empty((2 * room, 2), dtype=np.int64)
        _, end = hash_row(text, starts, n_words, classes, ngrams, seed, mask, buckets, spans)
        for j in range(end):
            i = ids[buckets[j]]
            if i < 0 or where[i, 0] >= 0:
                continue
            size = spans[j, 1] - spans[j, 0]
            if used + size > names.shape[0]:
                larger = np.empty(2 * (used + size), dtype=np.uint8)
                larger[:used] = names[:used]
                names = larger
            names[used : used + size] = text[spans[j, 0] : spans[j, 1]]
            where[i, 0], where[i, 1] = used, used + size
            used += size
    return names[:used].copy(), where
