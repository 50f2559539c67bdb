"""TableFeaturizer: columns of every kind in, sparse rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import murmurhash3_32
from sklearn.utils.validation import check_is_fitted

from udt.columns import Column, Table, as_table, infer_columns, read_columns
from udt.features import parameters
from udt.features.featurizer import HashingFeaturizer
from udt.targets import check_labels, number_labels
from udt.threads import Pool, blocks, effective_n_jobs

if TYPE_CHECKING:
    from udt.features.weighting import Targets

# Modules with kernels are imported where they are used: numba takes 0.3 s to load.

Array = NDArray[Any]
#: Length of the cells of a row, and of each of its texts, where there are more parts than one:
#: what all rows have in common, as the entries of numbers do, must not hide what sets them apart.
CELLS_LENGTH, TEXT_LENGTH = 0.35, 0.7
_ROWS_PER_BLOCK, _ENTRIES_PER_BLOCK = 8192, 1 << 22
_SAMPLE = 1 << 18  # rows that quantiles are taken from
#: Share of distinct values up to which a number's exact values are features too.
_RECURRING = 0.5


class CellEncoder:
    """Encodes all columns of a table but its texts.

    Parameters
    ----------
    columns : sequence of Column
        Of any roles but "text" and "ignored".
    min_df : int
        Rows in which a category, or an exact value, must occur.

    Attributes
    ----------
    knots, bounds, firsts : ndarray
        See `udt.features.cells.encode_rows`.
    hashes : ndarray of shape (n_categories,), uint32
        The categories seen, those of each fit by falling frequency.
    hash_ids : ndarray of shape (n_categories,), int64
    rare : ndarray of shape (2, n_rare), uint32, or None
        After `partial_fit`: categories met in fewer than ``min_df`` rows, and in how many.
    scale : float
        Makes the mean squared length of the rows of fit 1.
    n_features, n_embedded : int
        Ids from ``n_embedded`` to the end of the first fit are of fine distinctions, which are
        for the linear path alone.
    """

    def __init__(self, columns: Sequence[Column], min_df: int) -> None:
        self.seeds = [column_seed(column.name) for column in columns]
        self.roles = [column.role for column in columns]
        self.min_df = min_df
        self.rare: Array | None = None
        self._table: Array | None = None

    def fit_transform(self, cells: Sequence[Any], pool: Pool) -> sp.csr_matrix:
        """Learn knots and categories from the columns' arrays, and give their rows."""
        arrays = self._arrays(cells)
        numbers = arrays[0]
        n_rows = len(numbers)
        sample = numbers[:: -(-n_rows // _SAMPLE)] if n_rows else numbers
        ladders = list(pool.map(self._ladders, list(sample.T)))
        self.bounds = np.zeros((len(ladders), 4, 2), dtype=np.int64)
        self.firsts = np.full((len(ladders), 6), -1, dtype=np.int64)
        knots: list[Array] = []
        n_knots = 0
        for j, steps in enumerate(ladders):
            for level, step in enumerate(steps):
                self.bounds[j, level] = n_knots, n_knots + len(step)
                knots.append(step)
                n_knots += len(step)
        self.knots = np.concatenate(knots) if knots else np.zeros(0)
        self.hashes = np.zeros(0, dtype=np.uint32)
        self.hash_ids = np.zeros(0, dtype=np.int64)
        self.n_features = 0
        for j in range(len(ladders)):
            is_missing = bool(np.isnan(numbers[:, j]).any())
            lengths = np.diff(self.bounds[j]).ravel()
            if lengths.sum() < 1 or (lengths[0] == 1 and not is_missing):
                self.bounds[j] = 0
                continue
            self._number(j, 5, 1)
            if is_missing:
                self._number(j, 4, 1)
            for level in (0, 1):
                self._number(j, level, lengths[level])
        self._add_categories(arrays)
        self.n_embedded = self.n_features
        for j in range(len(ladders)):
            for level in (2, 3):
                self._number(j, level, int(np.diff(self.bounds[j, level])[0]))
        self.scale = 1.0
        matrix = self._encode(arrays, pool)
        square = float(np.sum(matrix.data.astype(np.float64) ** 2)) / max(n_rows, 1)
        if square > 0:
            self.scale = 1 / np.sqrt(square)
        matrix.data *= np.float32(self.scale)
        return matrix

    def partial_fit_transform(self, cells: Sequence[Any], pool: Pool) -> sp.csr_matrix:
        """Append categories that have become frequent enough; knots stay. Give the rows."""
        if self.rare is None:
            self.rare = np.zeros((2, 0), dtype=np.uint32)
        if not hasattr(self, "knots"):
            return self.fit_transform(cells, pool)
        arrays = self._arrays(cells)
        self._add_categories(arrays)
        return self._encode(arrays, pool)

    def transform(self, cells: Sequence[Any], pool: Pool) -> sp.csr_matrix:
        """Give the rows of the columns' arrays."""
        return self._encode(self._arrays(cells), pool)

    def _number(self, column: int, kind: int, n: int) -> None:
        if n > 0:
            self.firsts[column, kind] = self.n_features
            self.n_features += int(n)

    def _ladders(self, numbers: Array) -> list[Array]:
        from udt.features.cells import LADDERS

        values, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
        steps: list[Array] = []
        if not len(values):
            return steps
        for size in LADDERS:
            step = quantile_knots(values, counts, size)
            is_finer = len(step) > max(map(len, steps), default=0)
            steps.append(step if is_finer else step[:0])
        n_knots = max(map(len, steps))
        is_recurring = n_knots < len(values) < _RECURRING * counts.sum()
        steps.append(values[counts >= self.min_df] if is_recurring else values[:0])
        return steps

    def _add_categories(self, arrays: tuple[Array, ...]) -> None:
        """Append categories that now occur often enough."""
        _, codes, list_bounds, list_codes, no_items = arrays
        empty = np.count_nonzero(np.diff(list_bounds) == 0, axis=1)
        all_codes = np.concatenate([codes.ravel(), list_codes, np.repeat(no_items, empty)])
        keys, counts = np.unique(all_codes, return_counts=True)
        if self.rare is not None:
            both = np.concatenate([keys, self.rare[0]])
            keys, places = np.unique(both, return_inverse=True)
            counts = np.bincount(places, np.concatenate([counts, self.rare[1]])).astype(np.int64)
        is_new = ~np.isin(keys, self.hashes)
        keys, counts = keys[is_new], counts[is_new]
        is_kept = counts >= self.min_df
        if self.rare is not None:
            self.rare = np.stack([keys[~is_kept], counts[~is_kept]]).astype(np.uint32)
        keys, counts = keys[is_kept], counts[is_kept]
        order = np.argsort(-counts, kind="stable")
        ids = self.n_features + np.arange(len(keys))
        self.hashes = np.concatenate([self.hashes, keys[order]])
        self.hash_ids = np.concatenate([self.hash_ids, ids])
        self.n_features += len(keys)
        self._table = None

    def table(self) -> Array:
        """Give the lookup table of categories."""
        if self._table is None:
            from udt.features.cells import make_table

            size = 1 << max(4, (2 * len(self.hashes)).bit_length())
            self._table = np.zeros((size, 2), dtype=np.uint32)
            make_table(self.hashes, self.hash_ids, self._table)
        return self._table

    def _arrays(self, cells: Sequence[Any]) -> tuple[Array, ...]:
        """Give columns as `encode_rows` takes them."""
        from udt.features.cells import DATE_PARTS, date_parts, hash_strings

        n_rows = len(cells[0])
        numbers = np.empty((n_rows, self.n_numbers()))
        codes = np.empty(
            (n_rows, sum(role in ("category", "flag") for role in self.roles)), dtype=np.uint32
        )
        bounds, items = [], [np.zeros(0, dtype=np.uint32)]
        i = j = n_items = 0
        for role, seed, values in zip(self.roles, self.seeds, cells, strict=True):
            if role == "number":
                numbers[:, i] = values
                i += 1
            elif role == "date":
                date_parts(values, 0, n_rows, i, numbers)
                i += DATE_PARTS
            elif role == "categories":
                offsets = np.asarray(values.offsets)
                item_codes = np.empty((offsets[-1] - offsets[0], 1), dtype=np.uint32)
                hash_strings(*utf8(values.flatten()), 0, len(item_codes), seed, item_codes, 0)
                bounds.append(offsets - offsets[0] + n_items)
                items.append(item_codes[:, 0])
                n_items += len(item_codes)
            else:
                hash_strings(*utf8(values), 0, n_rows, seed, codes, j)
                j += 1
        list_bounds = np.array(bounds, dtype=np.int64).reshape(len(bounds), n_rows + 1)
        return numbers, codes, list_bounds, np.concatenate(items), self.no_items()

    def n_numbers(self) -> int:
        """Give how many numbers a row has: a date is several."""
        from udt.features.cells import DATE_PARTS

        return sum({"number": 1, "date": DATE_PARTS}.get(role, 0) for role in self.roles)

    def no_items(self) -> Array:
        """Give the codes of empty lists, one for each column of lists."""
        seeds = zip(self.roles, self.seeds, strict=True)
        codes = [murmurhash3_32(b"", seed, positive=True) for r, seed in seeds if r == "categories"]
        return np.array(codes, dtype=np.uint32)

    def state(self) -> tuple[Any, ...]:
        """Give what `encode_rows` takes after the rows."""
        return self.knots, self.bounds, self.firsts, self.table(), np.float32(self.scale)

    def _encode(self, arrays: tuple[Array, ...], pool: Pool) -> sp.csr_matrix:
        from udt.features.cells import encode_rows

        state = self.state()
        size = max(1, min(_ROWS_PER_BLOCK, _ENTRIES_PER_BLOCK // (8 * len(self.roles))))
        parts = pool.map(
            lambda block: encode_rows(*arrays, *block, *state), blocks(len(arrays[0]), size)
        )
        n_before = np.cumsum([0, *(part[0][-1] for part in parts)])
        indptr = np.concatenate(
            [[0], *(part[0][1:] + n for part, n in zip(parts, n_before[:-1], strict=True))]
        )
        indices = np.concatenate([part[1] for part in parts])
        values = np.concatenate([part[2] for part in parts])
        return csr_matrix(indptr, indices, values, self.n_features)


class TableFeaturizer(TransformerMixin, BaseEstimator):
    """Turn the columns of a table into sparse rows.

    Texts become n-grams (see `HashingFeaturizer`). A number takes part in the two nearest knots of
    up to three ladders of quantiles (4, 16 and 64 of them, values that recur often being knots of
    their own), by how near they are [1]_; beside these stand its rank, whether it is missing, and,
    if values recur, its exact value. Categories and the items of lists are hashed together with
    the name of their column [2]_; those in fewer than ``min_df`` rows are dropped, and missing is
    a category. A date is five numbers: the time, and its month, day, weekday and time of day.

    Parameters
    ----------
    columns : mapping of str to str, default=None
        Roles of columns, where they shall not be inferred; see `udt.columns.infer_columns`.
    word_ngrams, char_ngrams, min_df, n_buckets, strip_accents, tokenizer, weighting, n_jobs
        See `HashingFeaturizer`.

    Attributes
    ----------
    columns_ : tuple of Column
        What each column is.
    n_features_in_ : int
        Number of columns.
    texts_ : list of HashingFeaturizer
        One for each column of text, in order.
    cells_ : CellEncoder or None
        Of all other columns.
    ids_ : list of ndarray, int64
        Which output column each column of the cells and of each text is.
    n_embedded_ : int
        Output columns from here on make fine distinctions, for a linear model alone.

    References
    ----------
    .. [1] Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in
       tabular deep learning", NeurIPS 2022.
    .. [2] K. Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.

    Examples
    --------
    >>> from udt import TableFeaturizer
    >>> rows = [{"age": 31, "job": "nurse"}, {"age": 48, "job": "cook"}, {"age": 31, "job": "cook"}]
    >>> TableFeaturizer(min_df=1).fit_transform(rows).shape
    (3, 5)
    """

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        word_ngrams: tuple[int, int] | None = (1, 2),
        char_ngrams: tuple[int, int] | str | None = "auto",
        min_df: int = 2,
        n_buckets: int | None = None,
        strip_accents: bool = False,
        tokenizer: Any = None,
        weighting: str | None = "idf",
        n_jobs: int | None = None,
    ) -> None:
        self.columns = columns
        self.word_ngrams = word_ngrams
        self.char_ngrams = char_ngrams
        self.min_df = min_df
        self.n_buckets = n_buckets
        self.strip_accents = strip_accents
        self.tokenizer = tokenizer
        self.weighting = weighting
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what each column is and holds.

        Parameters
        ----------
        X : table or sequence of str of length n
            See `udt.columns.as_table`.
        y : array-like of shape (n,), default=None
            Classes, for ``weighting="information"``.

        Returns
        -------
        self
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> sp.csr_matrix:
        """Fit, and give the rows.

        Parameters
        ----------
        X : table or sequence of str of length n
        y : array-like of shape (n,), default=None

        Returns
        -------
        csr_matrix of shape (n, n_features_out), float32
        """
        table = as_table(X)
        targets = None
        if self.weighting == "information":
            _, targets = number_labels(check_labels(y, table.n_rows))
        before = self.__dict__.copy()
        try:
            return self._fit_transform(table, targets)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def transform(self, X: Any) -> sp.csr_matrix:
        """Turn rows into features.

        Parameters
        ----------
        X : table or sequence of str of length n
            With the columns of `fit` in any order; others are ignored.

        Returns
        -------
        csr_matrix of shape (n, n_features_out), float32
        """
        check_is_fitted(self, "columns_")
        return self._transform(as_table(X))

    def _fit_transform(
        self, table: Table, targets: Targets | None = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        self._start(table)
        with Pool(effective_n_jobs(self.n_jobs)) as pool:
            return self._grow(table, targets, weights, pool, partial=False)

    def _partial_fit(
        self, table: Table, targets: Targets | None = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        """Go on fitting: roles and knots stay, frequent new n-grams and categories are appended."""
        if not hasattr(self, "columns_"):
            self._start(table)
        with Pool(effective_n_jobs(self.n_jobs)) as pool:
            return self._grow(table, targets, weights, pool, partial=True)

    def _start(self, table: Table) -> None:
        """Decide what each column is."""
        parameters.check(self._text_featurizer(0))  # where no column is text, too
        columns = infer_columns(table, self.columns)
        if all(column.role == "ignored" for column in columns):
            raise ValueError(
                f"columns={self.columns!r} leaves no column of X but ignored ones: give at least "
                "one another role."
            )
        self._start_from(columns)

    def _start_from(self, columns: tuple[Column, ...]) -> None:
        """Make an unfitted part for each column."""
        roles = [column.role for column in columns if column.role != "ignored"]
        seeds = [column_seed(column.name) for column in columns if column.role == "text"]
        if roles == ["text"]:
            seeds = [0]
        others = [column for column in columns if column.role not in ("text", "ignored")]
        self.columns_ = columns
        self.n_features_in_ = len(columns)
        self.texts_ = [self._text_featurizer(seed) for seed in seeds]
        self.cells_ = CellEncoder(others, self.min_df) if others else None
        self.ids_ = [np.zeros(0, dtype=np.int64) for _ in range(len(seeds) + bool(others))]
        self.n_embedded_ = 0

    def _text_featurizer(self, seed: int) -> HashingFeaturizer:
        return HashingFeaturizer(
            word_ngrams=self.word_ngrams,
            char_ngrams=self.char_ngrams,
            min_df=self.min_df,
            n_buckets=self.n_buckets,
            strip_accents=self.strip_accents,
            tokenizer=self.tokenizer,
            weighting=self.weighting,
            seed=seed,
            n_jobs=self.n_jobs,
        )

    def _forget_rare(self) -> None:
        """Forget what has been too rare so far: the next rows come again, or instead of it."""
        self.texts_ = [copy(text) for text in self.texts_]
        for text in self.texts_:
            text.__dict__.pop("rare_", None)
        if self.cells_ is not None:
            self.cells_ = copy(self.cells_)
            self.cells_.rare = None

    def _grow(
        self,
        table: Table,
        targets: Targets | None,
        weights: Array | None,
        pool: Pool,
        *,
        partial: bool,
    ) -> sp.csr_matrix:
        """Fit the parts, or go on fitting copies of them; give the rows."""
        cells, texts = self._read(table)
        matrices = []
        if self.cells_ is not None:
            self.cells_ = copy(self.cells_)
            fit_cells = self.cells_.partial_fit_transform if partial else self.cells_.fit_transform
            matrices.append(fit_cells(cells, pool))
        self.texts_ = [copy(text) for text in self.texts_]
        for text, column in zip(self.texts_, texts, strict=True):
            fit_text = text._partial_fit if partial else text._fit_transform
            matrices.append(fit_text(column, targets, weights))
        self._number_features(matrices)
        return self._join(matrices, pool)

    def _number_features(self, matrices: list[sp.csr_matrix]) -> None:
        """Give new features their numbers: cells, n-grams by frequency, then details."""
        n_known = sum(map(len, self.ids_))
        new = [
            np.arange(len(ids), matrix.shape[1])
            for ids, matrix in zip(self.ids_, matrices, strict=True)
        ]
        ranks = []
        for part, (matrix, ids) in enumerate(zip(matrices, new, strict=True)):
            if part == 0 and self.cells_ is not None:
                is_detail = (ids >= self.cells_.n_embedded) & (n_known == 0)
                ranks.append(np.where(is_detail, np.inf, -np.inf))
            else:
                df = np.bincount(matrix.indices, minlength=matrix.shape[1])
                ranks.append(-df[ids].astype(np.float64))
        order = np.argsort(np.concatenate(ranks), kind="stable")
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = n_known + np.arange(len(order))
        ends = np.cumsum([len(ids) for ids in new])
        self.ids_ = [
            np.concatenate([ids, part])
            for ids, part in zip(self.ids_, np.split(numbers, ends[:-1]), strict=True)
        ]
        if n_known == 0:
            self.n_embedded_ = len(order) - int(np.isposinf(np.concatenate(ranks)).sum())

    def _transform(self, table: Table) -> sp.csr_matrix:
        cells, texts = self._read(table)
        with Pool(effective_n_jobs(self.n_jobs)) as pool:
            matrices = [] if self.cells_ is None else [self.cells_.transform(cells, pool)]
            pairs = zip(self.texts_, texts, strict=True)
            matrices += [text._transform(column) for text, column in pairs]
            return self._join(matrices, pool)

    def _read(self, table: Table) -> tuple[list[Any], list[Any]]:
        """Give the arrays of the cells and of the texts."""
        used = [column for column in self.columns_ if column.role != "ignored"]
        is_lone = len(table.names) == len(used) == 1 and used[0].role == "text"
        if not table.named and len(table.names) != self.n_features_in_ and not is_lone:
            raise ValueError(
                f"X has {len(table.names)} features, but UDTClassifier is expecting "
                f"{self.n_features_in_} features as input."
            )
        arrays = read_columns(table, self.columns_)
        cells = [a for a, column in zip(arrays, used, strict=True) if column.role != "text"]
        texts = [a for a, column in zip(arrays, used, strict=True) if column.role == "text"]
        return cells, texts

    def _join(self, matrices: list[sp.csr_matrix], pool: Pool) -> sp.csr_matrix:
        """Put the parts of rows side by side."""
        if len(matrices) == 1:
            return matrices[0]
        from udt.features.cells import join_rows

        indptr = sum(matrix.indptr.astype(np.int64) for matrix in matrices)
        starts = indptr[:-1].copy()
        indices = np.empty(indptr[-1], dtype=np.int32)
        values = np.empty(indptr[-1], dtype=np.float32)
        for matrix, ids, length in zip(matrices, self.ids_, self._lengths(), strict=True):
            csr = (matrix.indptr, matrix.indices, matrix.data)
            pool.map(
                lambda block, csr=csr, ids=ids, length=length: join_rows(
                    *csr, *block, ids, length, starts, indices, values
                ),
                blocks(len(starts), _ROWS_PER_BLOCK),
            )
        return csr_matrix(indptr, indices, values, sum(map(len, self.ids_)))

    def _lengths(self) -> list[np.float32]:
        """Give the length of each part of a row."""
        cells = [] if self.cells_ is None else [np.float32(CELLS_LENGTH)]
        return cells + [np.float32(TEXT_LENGTH)] * len(self.texts_)


def column_seed(name: str) -> int:
    """Give the seed of a column's hashes, so that one word in two columns is two features."""
    return int(murmurhash3_32(name.encode(errors="replace"), 0, positive=True))


def quantile_knots(values: Array, counts: Array, size: int) -> Array:
    """Choose about ``size`` of sorted distinct values at equal distances in their counts.

    A value that holds ``1 / size`` of all is a knot of its own, and the others share the rest, as
    the ends do. All values are chosen if there are few.
    """
    if len(values) <= size + 1:
        return values
    is_heavy = counts >= counts.sum() / size
    light = np.where(is_heavy, 0, counts)
    n_light = max(2, size - int(is_heavy.sum()))
    targets = np.linspace(0, light.sum(), n_light + 1)[1:-1]
    places = np.searchsorted(np.cumsum(light), targets)
    ends = [0, len(values) - 1]
    return values[np.unique(np.concatenate([ends, places, np.flatnonzero(is_heavy)]))]


def utf8(column: Any) -> tuple[Array, Array]:
    """Give bytes and offsets of an Arrow column; a missing value is the empty string."""
    if column.null_count:
        column = column.fill_null("")
    _, offsets, data = column.buffers()
    offsets = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(data or b"", np.uint8)
    if len(data) < offsets[-1] + 3:  # murmur3_32 reads past the end
        data = np.concatenate([data, np.zeros(3, dtype=np.uint8)])
    return data, offsets


def csr_matrix(indptr: Array, indices: Array, values: Array, n_columns: int) -> sp.csr_matrix:
    """Make a matrix of arrays without copying them."""
    matrix = sp.csr_matrix((len(indptr) - 1, n_columns), dtype=np.float32)
    index_type = np.int32 if indptr[-1] < 2**31 else np.int64
    matrix.indptr = indptr.astype(index_type)
    matrix.indices = indices.astype(index_type, copy=False)
    matrix.data = values
    matrix.has_sorted_indices = False
    return matrix
