"""Parameters of the featurizer: their ranges, and what each follows where it is left open."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udt.features import crosses

if TYPE_CHECKING:
    from udt.features.featurizer import HashingFeaturizer
    from udt.features.table import TableFeaturizer

_SHORT_TEXT = 300  # mean bytes up to which character n-grams pay
SMALL_CORPUS = 1 << 24  # total bytes up to which they are affordable


def check(featurizer: HashingFeaturizer) -> None:
    """Raise if a parameter is out of range, naming it, its value and the range."""
    if featurizer.char_ngrams != "auto":
        _check_lengths("char_ngrams", featurizer.char_ngrams, 32)
    _check_lengths("word_ngrams", featurizer.word_ngrams, 8)
    n_buckets = featurizer.n_buckets
    if n_buckets is not None:
        remedy = "a power of two from 2**8 to 2**31, or None"
        _check_whole("n_buckets", n_buckets, 2**8, 2**31, remedy)
        if int(n_buckets).bit_count() != 1:
            raise ValueError(f"n_buckets={n_buckets!r}: give {remedy}.")
    _check_whole("min_df", featurizer.min_df, 1, 2**31, "a whole number of rows, at least 1")
    weighting = featurizer.weighting
    if weighting not in ("idf", "information", None):
        raise ValueError(f'weighting={weighting!r}: give "idf", "information" or None.')
    _check_whole("seed", featurizer.seed, 0, 2**32 - 1, "an int from 0 to 2**32 - 1")
    if featurizer.tokenizer is not None:
        from udt.features.tokenization import check_tokenizer

        check_tokenizer(featurizer.tokenizer)


def check_cells(featurizer: TableFeaturizer) -> None:
    """Raise if a parameter of the columns that are no text is out of range."""
    if featurizer.n_bins is not None:
        remedy = "a whole number from 2 to 65536, or None"
        _check_whole("n_bins", featurizer.n_bins, 2, 65536, remedy)
    crosses.check(featurizer.crosses)


def ngram_lengths(featurizer: HashingFeaturizer, n_bytes: int, n_rows: int) -> NDArray[np.int64]:
    """Give the shortest and longest word n-gram and character n-gram for so large a column."""
    chars = featurizer.char_ngrams
    if isinstance(chars, str) and chars == "auto":
        short = n_bytes <= _SHORT_TEXT * n_rows and n_bytes <= SMALL_CORPUS
        chars = (3, 5) if short else None
    words = _check_lengths("word_ngrams", featurizer.word_ngrams, 8)
    ngrams = np.array([*words, *_check_lengths("char_ngrams", chars, 32)], np.int64)
    if not ngrams.any():
        raise ValueError("word_ngrams=None and char_ngrams=None: give at least one of them.")
    return ngrams


def hash_size(n_bytes: int, ngrams: NDArray[np.int64]) -> int:
    """Give the number of buckets for a corpus of a size."""
    sizes = ngrams[1::2] - ngrams[::2] + (ngrams[1::2] > 0)
    n_occurrences = n_bytes * (sizes[0] / 5.5 + sizes[1])
    return 1 << int(np.clip(np.ceil(np.log2(max(n_occurrences / 4, 1))), 18, 24))


def _check_whole(name: str, value: Any, low: int, high: int, remedy: str) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name}={value!r}: give {remedy}.")


def _check_lengths(name: str, pair: Any, limit: int) -> tuple[int, int]:
    if pair is None:
        return 0, 0
    try:
        numbers = map(int, pair.split("-")) if isinstance(pair, str) else map(operator.index, pair)
        low, high = numbers
    except (TypeError, ValueError):
        low = high = 0
    if not 1 <= low <= high <= limit:
        also = ' or "auto"' if name == "char_ngrams" else ""
        raise ValueError(
            f"{name}={pair!r}: give (min, max), 1 <= min <= max <= {limit}, the same as a string "
            f'such as "1-2", None{also}.'
        )
    return low, high
