"""HashingFeaturizer: raw text in, sparse weighted n-grams out."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from udt.features import parameters
from udt.features.rows import all_or_nothing, stack_blocks, utf8
from udt.features.unicode import normalise
from udt.strings import as_text
from udt.targets import check_labels, find_labels, number_labels
from udt.threads import Pool, blocks, effective_n_jobs

if TYPE_CHECKING:
    from udt.features.tokenization import Encoder
    from udt.features.weighting import Targets

Array = NDArray[Any]
#: Length of the character part of a row beside a word part of length 1.
CHAR_WEIGHT = 0.7
_ROWS_PER_BLOCK = 4096


class HashingFeaturizer(TransformerMixin, BaseEstimator):
    """Turn texts into sparse rows of hashed word and character n-grams.

    Texts are case-folded (full Unicode folding after NFKC normalisation) and split into words;
    punctuation marks that carry meaning are words of their own, and so are emoji and the
    characters of scripts written without spaces. N-grams are hashed with murmur3 [1]_ on their
    UTF-8 bytes into ``n_buckets`` buckets, and those that occur in at least ``min_df`` rows get
    dense column numbers, most frequent first, so that nothing is as wide as the hash.

    A value is ``(1 + log(count)) * weight``. The word part and the character part of a row are
    scaled to lengths in the ratio 1 to 0.7, so that a row that has both is of length 1.

    With a ``tokenizer``, its tokens take the place of words, as they are.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer, str, path-like or None, default=None
        None splits as above. "bpe", "wordpiece" or "unigram" trains a tokenizer of that kind on
        the texts of `fit`, which helps with scripts written without spaces and long compounds.
        Else a Hugging Face tokenizer or the path of its JSON file. It may be set to truncate, pad
        or add special tokens: nothing of this is done here. Needs the package ``tokenizers``.
    word_ngrams : tuple (min, max), str or None, default=(1, 2)
        Lengths of word n-grams, up to 8; "1-2" says the same as (1, 2).
    char_ngrams : tuple (min, max), str or None, default="auto"
        Lengths, in characters, of the n-grams within words (the spaces around a word count).
        "auto" takes (3, 5) where rows are short (300 bytes or less on average) and the corpus
        is below 16 MiB, else none: in long texts they cost much and add little.
    min_df : int, default=2
        Buckets that occur in fewer rows are dropped.
    n_buckets : int or None, default=None
        Size of the hash, a power of two from 2**8 to 2**31. None takes about a quarter of the
        number of n-grams in the corpus, between 2**18 and 2**24.
    sublinear_tf : bool, default=True
        Use ``1 + log(count)`` instead of the count.
    weighting : "idf", "information" or None, default="idf"
        Weight of a column. "idf": ``log((1 + n) / (1 + df)) + 1``. "information" needs ``y`` in
        `fit`: the square root of the Kullback-Leibler divergence between the classes of the rows
        that hold the n-gram (smoothed by one row of the overall distribution) and those of all
        rows; for two classes, nearly proportional to the log-count ratio of [2]_.
    strip_accents : bool, default=False
        Drop accents and other marks that combine with a letter. A tokenizer that was not trained
        here does as it does.
    feature_names : bool, default=False
        Keep the text of the features (of the first n-gram met in each bucket), for
        `get_feature_names_out`. Costs memory and another pass over the text.
    seed : int, default=0
        Seed of the hash. With 0, a word n-gram's bucket is
        ``sklearn.utils.murmurhash3_32(ngram, positive=True) % n_buckets``. Character n-grams use
        the seed with all bits flipped.
    n_jobs : int or None, default=None
        Number of threads. None means all that this process may use, and one inside a joblib
        worker. The result does not depend on it.

    Attributes
    ----------
    buckets_ : ndarray of shape (n_features_out,), int64
        Bucket of each column.
    weights_ : ndarray of shape (n_features_out,), float32
        Weight of each column.
    ngrams_ : ndarray of shape (4,), int64
        Shortest and longest word n-gram, shortest and longest character n-gram; 0 for none.
    n_buckets_ : int
        Size of the hash.
    class_rows_ : ndarray of shape (n_classes,), float64
        Rows met so far of each class, for ``weighting="information"``; else of shape (1,), rows.
    classes_ : ndarray of shape (n_classes,)
        The classes that ``class_rows_`` counts, if `fit` was given ``y``.
    tokenizer_ : str or None
        JSON of the tokenizer.
    rare_ : ndarray of shape (2, n_rare), uint32
        After `partial_fit`: the buckets met in fewer than ``min_df`` rows, and in how many.

    See Also
    --------
    sklearn.feature_extraction.text.HashingVectorizer : Hashes without compaction or weights.

    References
    ----------
    .. [1] A. Appleby, "MurmurHash3", 2011; K. Weinberger et al., "Feature hashing for large scale
       multitask learning", ICML 2009.
    .. [2] S. Wang and C. D. Manning, "Baselines and bigrams", ACL 2012.

    Examples
    --------
    >>> from udt import HashingFeaturizer
    >>> featurizer = HashingFeaturizer(char_ngrams=None, feature_names=True)
    >>> X = featurizer.fit_transform(["red fish", "blue fish", "red fish, blue fish"])
    >>> X.shape
    (3, 5)
    >>> list(featurizer.get_feature_names_out())
    ['fish', 'red', 'red fish', 'blue fish', 'blue']
    """

    def __init__(
        self,
        *,
        tokenizer: Any = None,
        word_ngrams: tuple[int, int] | str | None = (1, 2),
        char_ngrams: tuple[int, int] | str | None = "auto",
        min_df: int = 2,
        n_buckets: int | None = None,
        sublinear_tf: bool = True,
        weighting: str | None = "idf",
        strip_accents: bool = False,
        feature_names: bool = False,
        seed: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.word_ngrams = word_ngrams
        self.char_ngrams = char_ngrams
        self.min_df = min_df
        self.n_buckets = n_buckets
        self.sublinear_tf = sublinear_tf
        self.weighting = weighting
        self.strip_accents = strip_accents
        self.feature_names = feature_names
        self.seed = seed
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn which n-grams occur, and how often.

        Parameters
        ----------
        X : sequence of str of length n
            A list, an array, a column of a frame, or a frame of one column. None, NaN and other
            missing values count as empty texts.
        y : array-like of shape (n,), default=None
            Classes, for ``weighting="information"``.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, or ``X`` is no text; the message names the row.
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> sp.csr_matrix:
        """Do `fit` and `transform` in less time.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        csr_matrix of shape (n, n_features_out), float32
        """
        column = as_text(X)
        with all_or_nothing(self):
            targets = None
            if self.weighting == "information":
                classes, targets = number_labels(check_labels(y, len(column)))
            matrix = self._fit_transform(column, targets)
            if targets is not None:
                self.classes_ = classes
            return matrix

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Go on learning from more texts; the first call is like `fit`.

        The lengths of n-grams and the size of the hash stay as the first call chose them. N-grams
        that reach ``min_df`` rows over the calls so far get columns of their own behind the
        others. Column numbers and weights, once given, never change, so that what was trained
        on them keeps its meaning. After `fit`, rows of its own n-grams below ``min_df`` are not
        remembered, and counting them starts at the next call.

        Parameters
        ----------
        X : sequence of str of length n
        y : array-like of shape (n,), default=None
            Classes, for ``weighting="information"``. New ones may come with any call. Weights of
            new columns come from the rows of the call, and the classes of all rows so far; they
            are 1 as long as there is one class only.

        Returns
        -------
        self
        """
        column = as_text(X)
        with all_or_nothing(self):
            targets = None
            if self.weighting == "information":
                targets = self._number_more(check_labels(y, len(column)))
            self._partial_fit(column, targets)
        return self

    def transform(self, X: Any) -> sp.csr_matrix:
        """Turn texts into weighted n-grams.

        Parameters
        ----------
        X : sequence of str of length n

        Returns
        -------
        csr_matrix of shape (n, n_features_out), float32
            Column numbers within a row are not sorted. A text without known n-grams is a row
            of zeros.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If called before `fit`.
        """
        check_is_fitted(self, "buckets_")
        return self._transform(as_text(X))

    def _fit_transform(
        self,
        column: pa.LargeStringArray,
        targets: Targets | None = None,
        weights: Array | None = None,
    ) -> sp.csr_matrix:
        """Fit on an Arrow column, its classes or labels, and weights of rows; give its rows.

        Weights of rows (of mean 1) count in the "information" weighting only.
        """
        for name in ("rare_", "class_rows_", "classes_", "feature_names_"):
            self.__dict__.pop(name, None)
        return self._grow(*self._start(column), targets, weights)

    def _partial_fit(
        self,
        column: pa.LargeStringArray,
        targets: Targets | None = None,
        weights: Array | None = None,
    ) -> sp.csr_matrix:
        """Go on fitting, as `partial_fit` does, and give the rows of the column.

        Fitted attributes are replaced, never written to: a shallow copy is safe from this.
        """
        is_first = not hasattr(self, "buckets_")
        utf8 = self._start(column) if is_first else self._encode(column)
        if not hasattr(self, "rare_"):
            self.rare_ = np.zeros((2, 0), dtype=np.uint32)
        return self._grow(*utf8, targets, weights)

    def _start(self, column: pa.LargeStringArray) -> tuple[Array, Array]:
        """Choose what later calls of `partial_fit` keep; give the column's bytes and offsets."""
        parameters.check(self)
        self.ngrams_ = parameters.ngram_lengths(self, _n_bytes(column), len(column))
        self.tokenizer_: str | None = None
        self._encoder: Encoder | None = None
        if self.tokenizer is not None:
            from udt.features.tokenization import tokenizer_json

            self.tokenizer_ = tokenizer_json(self.tokenizer, column, bool(self.strip_accents))
        data, offsets = self._encode(column)
        n_bytes = int(offsets[-1] - offsets[0])
        self.n_buckets_ = self.n_buckets or parameters.hash_size(n_bytes, self.ngrams_)
        self.buckets_ = np.zeros(0, dtype=np.int64)
        self.weights_ = np.zeros(0, dtype=np.float32)
        return data, offsets

    def _grow(
        self, data: Array, offsets: Array, targets: Targets | None, weights: Array | None
    ) -> sp.csr_matrix:
        """Add the columns of n-grams that are now frequent enough, and give the rows."""
        n_known = len(self.buckets_)
        df = self._add_buckets(data, offsets)
        if self.feature_names:
            names = getattr(self, "feature_names_", np.full(n_known, "", dtype=object))
            new_names = self._find_names(data, offsets, n_known)
            self.feature_names_ = np.concatenate([names, new_names])
        with Pool(self.n_jobs) as pool:
            matrix, middles = self._count(data, offsets, pool)
            if self.weighting == "information":
                assert targets is not None
                new_weights = self._informations(matrix, targets, weights)[n_known:]
            else:
                self.class_rows_ = self._count_on(np.array([len(offsets) - 1.0]))
                new_weights = np.ones(len(df), dtype=np.float32)
                if self.weighting == "idf":
                    new_weights = np.log((1 + self.class_rows_[0]) / (1 + df)) + 1
            self.weights_ = np.concatenate([self.weights_, new_weights.astype(np.float32)])
            return self._weigh(matrix, middles, pool)

    def _informations(
        self, matrix: sp.csr_matrix, targets: Targets, weights: Array | None
    ) -> Array:
        """Give what each column of some rows tells of their classes."""
        from udt.features.weighting import class_lists, count_classes, information

        indptr, classes = class_lists(targets)
        self.class_rows_ = self._count_on(count_classes(indptr, classes, weights))
        if np.count_nonzero(self.class_rows_) < 2:
            return np.ones(matrix.shape[1], dtype=np.float32)
        if weights is None:
            weights = np.ones(matrix.shape[0])
        return information(
            matrix.indptr, matrix.indices, matrix.shape[1], indptr, classes,
            np.asarray(weights, dtype=np.float64), self.class_rows_ / self.class_rows_.sum(), 1.0,
        )  # fmt: skip

    def _count_on(self, rows: Array) -> Array:
        """Add rows of each class to those met before."""
        before = getattr(self, "class_rows_", rows[:0])
        total = np.zeros(max(len(before), len(rows)))
        total[: len(before)] += before
        total[: len(rows)] += rows
        return total

    def _number_more(self, labels: Array) -> Array:
        """Give the numbers of labels among those met so far, which new ones join at the end."""
        known = getattr(self, "classes_", labels[:0])
        if len(known) and (known.dtype.kind in "OU") != (labels.dtype.kind in "OU"):
            raise TypeError(
                f"y is of dtype {labels.dtype}, but earlier calls had {known.dtype}: give labels "
                "of one type."
            )
        self.classes_ = np.concatenate([known, np.setdiff1d(labels, known)])
        return find_labels(labels, self.classes_, "y")

    def _pruned(self, keep: Array) -> Self:
        """Copy what is needed to give those columns alone that a mask keeps, with short weights."""
        pruned = copy(self)
        pruned.buckets_ = self.buckets_[keep]
        pruned.weights_ = self.weights_[keep].astype(np.float16).astype(np.float32)
        pruned._lookup = None
        for name in ("rare_", "class_rows_", "feature_names_"):
            pruned.__dict__.pop(name, None)
        return pruned

    def _transform(self, column: pa.LargeStringArray) -> sp.csr_matrix:
        data, offsets = self._encode(column)
        with Pool(self.n_jobs) as pool:
            return self._weigh(*self._count(data, offsets, pool), pool)

    def _encode(self, column: pa.LargeStringArray) -> tuple[Array, Array]:
        """Give bytes and offsets of text as the kernels take it."""
        encoder = self._token_encoder()
        if encoder is None:
            return utf8(_normalised(column, self.strip_accents))
        with Pool(self.n_jobs) as pool:
            return utf8(encoder.join_rows(column, pool))

    def _token_encoder(self) -> Encoder | None:
        """Give what puts tokens in the place of words, made anew after loading."""
        if getattr(self, "tokenizer_", None) is None:
            return None
        encoder = getattr(self, "_encoder", None)
        if encoder is None:
            from udt.features.tokenization import Encoder

            assert self.tokenizer_ is not None
            encoder = self._encoder = Encoder(self.tokenizer_)
        return encoder

    def _add_buckets(self, data: Array, offsets: Array) -> Array:
        """Append to ``buckets_`` those that now occur often enough; give their frequencies."""
        frequencies = self._document_frequencies(data, offsets)
        rare = getattr(self, "rare_", None)
        if rare is not None:
            frequencies[rare[0]] += rare[1].astype(np.int32)
        frequencies[self.buckets_] = 0
        new = np.flatnonzero(frequencies >= self.min_df)
        df = frequencies[new]
        if rare is not None:
            frequencies[new] = 0
            others = np.flatnonzero(frequencies)
            self.rare_ = np.stack([others, frequencies[others]]).astype(np.uint32)
        order = np.argsort(-df, kind="stable")
        self.buckets_ = np.concatenate([self.buckets_, new[order]])
        self._lookup: Array | None = None  # the next call of `_hash_arguments` makes it anew
        return df[order]

    def _document_frequencies(self, data: Array, offsets: Array) -> Array:
        """Count in how many rows each bucket occurs."""
        from udt.features import text as kernels

        n_rows = len(offsets) - 1
        n_buckets = self.n_buckets_
        seed, mask = np.uint32(self.seed), np.uint32(n_buckets - 1)
        # A table of counts per thread: few threads where tables are large.
        n_tables = min(
            effective_n_jobs(self.n_jobs), max(1, (1 << 26) // n_buckets), max(1, n_rows // 256)
        )

        def count(block: tuple[int, int]) -> Array:
            frequencies = np.zeros(n_buckets, dtype=np.int32)
            kernels.count_rows(
                data, offsets, *block, self._byte_classes(), self.ngrams_, seed, mask, frequencies
            )
            return frequencies

        with Pool(n_tables) as pool:
            tables = pool.map(count, blocks(n_rows, -(-n_rows // n_tables)))
        frequencies = tables[0]
        for table in tables[1:]:
            frequencies += table
        return frequencies

    def _count(self, data: Array, offsets: Array, pool: Pool) -> tuple[sp.csr_matrix, Array]:
        """Give the n-gram counts of rows, and where the word part of each ends."""
        from udt.features import text as kernels

        arguments = self._hash_arguments()
        parts = pool.map(
            lambda block: kernels.transform_rows(data, offsets, *block, *arguments),
            blocks(len(offsets) - 1, _ROWS_PER_BLOCK),
        )
        matrix, starts = stack_blocks([(part[0], *part[2:]) for part in parts], len(self.buckets_))
        middles = np.concatenate(
            [part[1] + start for part, start in zip(parts, starts, strict=True)]
        )
        return matrix, middles

    def _weigh(self, matrix: sp.csr_matrix, middles: Array, pool: Pool) -> sp.csr_matrix:
        """Apply weights and lengths to counts, in place."""
        from udt.features.text import scale_rows

        csr = (matrix.indptr, middles, matrix.indices, matrix.data)
        norms = self._norms()
        pool.map(
            lambda block: scale_rows(*csr, self.weights_, norms, *block),
            blocks(len(middles), _ROWS_PER_BLOCK),
        )
        return matrix

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Give the text of each column; needs ``feature_names=True`` in `fit`.

        Character n-grams are marked with a ``#`` and show their spaces as ``_``.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of shape (n_features_out,), str objects
        """
        check_is_fitted(self, "buckets_")
        if not self.feature_names or not hasattr(self, "feature_names_"):
            raise ValueError("Names were not kept by fit: set feature_names=True and fit again.")
        return self.feature_names_.copy()

    def __sklearn_tags__(self) -> Any:
        """Declare text input."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what `transform` rebuilds: the lookup table and the live tokenizer."""
        return {**super().__getstate__(), "_lookup": None, "_encoder": None}

    def _byte_classes(self) -> Array:
        from udt.features.text import BYTE_CLASSES, TOKEN_CLASSES

        return BYTE_CLASSES if getattr(self, "tokenizer_", None) is None else TOKEN_CLASSES

    def _hash_arguments(self) -> tuple[Any, ...]:
        """Give what `transform_rows` takes after the rows."""
        ids = getattr(self, "_lookup", None)
        if ids is None:
            ids = np.full(self.n_buckets_, -1, dtype=np.int32)
            ids[self.buckets_] = np.arange(len(self.buckets_), dtype=np.int32)
            self._lookup = ids
        seed, mask = np.uint32(self.seed), np.uint32(self.n_buckets_ - 1)
        return self._byte_classes(), self.ngrams_, seed, mask, ids, bool(self.sublinear_tf)

    def _norms(self) -> Array:
        """Give the lengths of a row's word part and character part."""
        both = self.ngrams_[1] > 0 and self.ngrams_[3] > 0
        norms = np.array([1.0, CHAR_WEIGHT if both else 1.0], dtype=np.float32)
        return norms / np.sqrt(np.sum(norms**2)) if both else norms

    def _normalise(self, text: str) -> str:
        """Give one text as the kernels take it; without a tokenizer, they take ASCII as it is."""
        if not text.isprintable():  # it may hold lone surrogates, which UTF-8 cannot
            text = as_text([text])[0].as_py()
        encoder = self._token_encoder()
        return normalise(text, self.strip_accents) if encoder is None else encoder.join(text)

    def _find_names(self, data: Array, offsets: Array, first: int) -> NDArray[np.object_]:
        """Give the texts of columns ``first`` and later, which occur in the rows."""
        from udt.features import text as kernels

        classes, ngrams, seed, mask, ids = self._hash_arguments()[:5]
        ids = np.maximum(ids - np.int32(first), np.int32(-1))
        n_features = len(self.buckets_) - first
        utf8, where = kernels.name_features(
            data, offsets, classes, ngrams, seed, mask, ids, n_features
        )
        raw = utf8.tobytes()
        names = np.empty(n_features, dtype=object)
        for i, (begin, end) in enumerate(where):
            name = raw[begin:end].decode()
            names[i] = (
                "#" + name.replace(" ", "_") if self._is_char_ngram(name, first + i) else name
            )
        return names

    def _is_char_ngram(self, name: str, column: int) -> bool:
        from sklearn.utils import murmurhash3_32

        bucket = murmurhash3_32(name.encode(), self.seed, positive=True) & (self.n_buckets_ - 1)
        return bool(bucket != self.buckets_[column])


def _n_bytes(column: pa.LargeStringArray) -> int:
    return int(pc.sum(pc.binary_length(column)).as_py() or 0)


def _normalised(column: pa.LargeStringArray, strip_accents: bool) -> pa.LargeStringArray:
    """Normalise rows; pure ASCII rows are left to the kernels."""
    ascii_rows = pc.string_is_ascii(column)
    if pc.all(ascii_rows).as_py():
        return column
    others = pc.invert(ascii_rows)
    rows = column.filter(others).to_pylist()
    normalised = as_text([normalise(row, strip_accents) for row in rows])
    return pc.replace_with_mask(column, others, normalised)
