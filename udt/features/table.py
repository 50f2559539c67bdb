"""TableFeaturizer: columns of every kind in, sparse rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from udt.columns import Column, Table, as_table, infer_columns, read_columns
from udt.features import parameters
from udt.features.cell_encoder import ROWS_PER_BLOCK, CellEncoder, column_seed
from udt.features.crosses import check_names, number
from udt.features.featurizer import HashingFeaturizer
from udt.features.rows import all_or_nothing, csr_matrix
from udt.targets import check_labels, number_labels
from udt.threads import Pool, blocks

if TYPE_CHECKING:
    from udt.features.weighting import Targets

# Modules with kernels are imported where they are used: numba takes 0.3 s to load.

Array = NDArray[Any]
#: Length of the cells of a row, and of each of its texts, where there are more parts than one:
#: what all rows have in common, as the entries of numbers do, must not hide what sets them apart.
CELLS_LENGTH, TEXT_LENGTH = 0.35, 0.7


class TableFeaturizer(TransformerMixin, BaseEstimator):
    """Turn the columns of a table into sparse rows.

    Texts become n-grams (see `HashingFeaturizer`). A number takes part in the two nearest knots of
    up to three ladders of quantiles (4, 16 and ``n_bins`` of them, values that recur often being
    knots of their own), by how near they are [1]_; beside these stand its rank, whether it is
    missing, and, if values recur, its exact value. Categories and the items of lists are hashed
    together with the name of their column [2]_; those in fewer than ``min_df`` rows are dropped,
    and missing is a category. A date is five numbers: the time, and its month, day, weekday and
    time of day. A cross of two columns is a category too, for the linear path alone: numbers take
    part with the knot below them, on the ladder of 4 and on that of 16.

    Parameters
    ----------
    columns : mapping of str to str, default=None
        Roles of columns, where they shall not be inferred; see `udt.columns.infer_columns`.
    word_ngrams, char_ngrams, min_df, n_buckets, strip_accents, tokenizer, weighting, n_jobs
        See `HashingFeaturizer`.
    n_bins : int or None, default=None
        Knots of the finest ladder of quantiles, from 2 to 65536; coarser ladders have no more. None
        takes 64.
    crosses : bool, int or list of (str, str), default=False
        Pairs of columns to cross: categories, flags, numbers and dates. A number of pairs takes
        those that tell most of ``y`` beyond what each column tells by itself [3]_, on a sample of
        rows; True takes 64. A list names the columns. Of the crosses that occur in ``min_df`` rows,
        the 2**18 most frequent are kept.

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
    .. [3] Y. Lou, R. Caruana, J. Gehrke and G. Hooker, "Accurate intelligible models with pairwise
       interactions", KDD 2013.

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
        word_ngrams: tuple[int, int] | str | None = (1, 2),
        char_ngrams: tuple[int, int] | str | None = "auto",
        min_df: int = 2,
        n_buckets: int | None = None,
        strip_accents: bool = False,
        tokenizer: Any = None,
        weighting: str | None = "idf",
        n_bins: int | None = None,
        crosses: bool | int | Sequence[tuple[str, str]] = False,
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
        self.n_bins = n_bins
        self.crosses = crosses
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what each column is and holds.

        Parameters
        ----------
        X : table or sequence of str of length n
            See `udt.columns.as_table`.
        y : array-like of shape (n,), default=None
            Classes, for ``weighting="information"`` and to choose ``crosses``.

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
        table = _as_table(X)
        targets = None
        if self.weighting == "information" or (number(self.crosses) and y is not None):
            _, targets = number_labels(check_labels(y, table.n_rows))
        with all_or_nothing(self):
            return self._fit_transform(table, targets)

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
        return self._transform(_as_table(X))

    def _fit_transform(
        self, table: Table, targets: Targets | None = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        self._start(table)
        with Pool(self.n_jobs) as pool:
            return self._grow(table, targets, weights, pool, partial=False)

    def _partial_fit(
        self, table: Table, targets: Targets | None = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        """Go on fitting: roles and knots stay, frequent new n-grams and categories are appended."""
        if not hasattr(self, "columns_"):
            self._start(table)
        with Pool(self.n_jobs) as pool:
            return self._grow(table, targets, weights, pool, partial=True)

    def _start(self, table: Table) -> None:
        """Decide what each column is."""
        parameters.check(self._text_featurizer(0))  # where no column is text, too
        parameters.check_cells(self)
        columns = infer_columns(table, self.columns)
        if all(column.role == "ignored" for column in columns):
            raise ValueError(
                f"columns={self.columns!r} leaves no column of X but ignored ones: give at least "
                "one another role."
            )
        check_names(self.crosses, columns)
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
        self.cells_ = None
        if others:
            self.cells_ = CellEncoder(others, self.min_df, self.n_bins, self.crosses)
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
            matrices.append(fit_cells(cells, pool, targets))
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

    def _choose(self, effect: Array, share: float) -> Array:
        """Choose which output columns to keep: all but a share of the n-grams, of least effect.

        ``effect`` is that of the value 1 in each output column. What counts is the effect that an
        n-gram has on all rows, in the root of the mean square: columns are numbered by falling
        frequency, which is about one over the number, by Zipf's law.
        """
        ids = np.concatenate(self.ids_[len(self.ids_) - len(self.texts_) :])
        weights = np.concatenate([text.weights_ for text in self.texts_])
        matters = effect[ids] * weights / np.sqrt(ids + 1.0)
        least = np.argsort(matters, kind="stable")[: round(share * len(ids))]
        keep = np.ones(len(effect), dtype=bool)
        keep[ids[least]] = False
        return keep

    def _pruned(self, keep: Array) -> Self:
        """Copy what is needed to give those output columns alone that a mask keeps.

        It is for files of little size: weights are of half precision.
        """
        pruned = copy(self)
        if pruned.cells_ is not None:
            pruned.cells_ = copy(pruned.cells_)
            pruned.cells_.rare = None
        n_cells = len(self.ids_) - len(self.texts_)
        pruned.texts_ = [
            text._pruned(keep[ids])
            for text, ids in zip(self.texts_, self.ids_[n_cells:], strict=True)
        ]
        numbers = np.cumsum(keep) - 1
        pruned.ids_ = [numbers[ids[keep[ids]]] for ids in self.ids_]
        pruned.n_embedded_ = int(keep[: self.n_embedded_].sum())
        return pruned

    def _transform(self, table: Table) -> sp.csr_matrix:
        cells, texts = self._read(table)
        with Pool(self.n_jobs) as pool:
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

    def __sklearn_tags__(self) -> Any:
        """Declare input of every kind but sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

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
                blocks(len(starts), ROWS_PER_BLOCK),
            )
        return csr_matrix(indptr, indices, values, sum(map(len, self.ids_)))

    def _lengths(self) -> list[np.float32]:
        """Give the length of each part of a row."""
        cells = [] if self.cells_ is None else [np.float32(CELLS_LENGTH)]
        return cells + [np.float32(TEXT_LENGTH)] * len(self.texts_)


def _as_table(X: Any) -> Table:
    if sp.issparse(X):
        raise TypeError("X is a sparse matrix, whose columns are features already: give a table.")
    return as_table(X)
