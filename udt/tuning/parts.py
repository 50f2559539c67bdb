"""Which rows trials train on, which they are scored on, and which none of them sees."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.model_selection import check_cv

from udt.frames import Table
from udt.labels import LabelSets
from udt.strings import is_a
from udt.targets import Targets, stratified_folds, stratified_split

Array = NDArray[Any]
#: Rows that no trial sees: a tenth of all, or a quarter up to 500, and never more than these.
_SEALED = (0.1, 0.25, 500, 10_000)
#: Folds, and the most rows of one.
N_FOLDS, _MAX_FOLD = 5, 20_000
#: Bytes of features that are kept for the trials to come.
_MAX_BYTES = 1 << 31


def take_rows(X: Any, numbers: Array) -> Any:
    """Give some rows of whatever holds rows or labels, in the same kind of container.

    What is not known becomes an array, or stays the table that was read of it.
    """
    if isinstance(X, Table):
        return X.take(_mask(numbers, X.n_rows))
    if hasattr(X, "iloc"):
        return X.iloc[numbers]
    if sp.issparse(X):
        return X.tocsr()[numbers]
    if isinstance(X, np.ndarray) or is_a(X, "polars", "DataFrame", "Series"):
        return X[numbers]
    if isinstance(X, Sequence):
        return [X[i] for i in numbers]
    return X.take(numbers) if _can_take(X) else np.asarray(X)[numbers]


def can_be_parted(X: Any) -> bool:
    """Tell whether `take_rows` gives rows in the container of ``X``."""
    is_known = hasattr(X, "iloc") or sp.issparse(X) or isinstance(X, (np.ndarray, Sequence))
    return is_known or is_a(X, "polars", "DataFrame", "Series") or _can_take(X)


def _can_take(X: Any) -> bool:
    return is_a(X, "pyarrow", "Table", "RecordBatch", "ChunkedArray", "Array") or is_a(
        X, "pandas", "Index", "api.extensions.ExtensionArray"
    )


@dataclass(eq=False)
class Rows:
    """All that was given to learn from: as people gave it, and as it was read.

    Parameters
    ----------
    X, y : as for `UDTClassifier.fit`
    data : Table or ReadyRows
    target : Targets
    sample_weight : ndarray of shape (n,), float64, or None
    """

    X: Any
    y: Any
    data: Any
    target: Targets
    sample_weight: Array | None

    def __len__(self) -> int:
        return int(self.data.n_rows)

    @property
    def counted(self) -> Array:
        """Numbers of the rows that have weight: others can neither train nor tell a score."""
        if self.sample_weight is None:
            return np.arange(len(self))
        return np.flatnonzero(self.sample_weight)


@dataclass(eq=False)
class Scored:
    """Rows to be scored on, some of all rows, as people gave them and as they were read."""

    X: Any
    y: Any
    data: Any
    numbers: Array | LabelSets
    sample_weight: Array | None

    @classmethod
    def of(cls, rows: Rows, numbers: Array) -> Scored:
        """Take rows with these numbers, which rise."""
        weights = rows.sample_weight
        return cls(
            take_rows(rows.X, numbers),
            take_rows(rows.y, numbers),
            rows.data.take(_mask(numbers, len(rows))),
            rows.target.numbers[numbers],
            None if weights is None else weights[numbers],
        )

    def __len__(self) -> int:
        return int(self.data.n_rows)


class Features(NamedTuple):
    """A fitted featurizer, the features of the rows it was fitted to, and those of others.

    ``seconds`` is what making the former took.
    """

    featurizer: Any
    rows: sp.csr_matrix
    seconds: float
    others: dict[int, sp.csr_matrix]

    @property
    def n_bytes(self) -> int:
        """Memory that the matrices take."""
        matrices = (self.rows, *self.others.values())
        return sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in matrices)


class Store:
    """The features that trials made last, up to a number of bytes."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Any, Features] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Any, threading.Lock] = {}

    def get(self, key: Any, make: Callable[[], tuple[Any, sp.csr_matrix]]) -> Features:
        """Give what is kept under a key, or make it while others who ask for it wait."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                found = self._kept.pop(key, None)
            if found is None:
                start = time.perf_counter()
                featurizer, rows = make()
                found = Features(featurizer, rows, time.perf_counter() - start, {})
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > 1 and self.n_bytes > self.max_bytes:
                    self._kept.popitem(last=False)
        return found

    @property
    def n_bytes(self) -> int:
        """Memory that all features take."""
        return sum(features.n_bytes for features in self._kept.values())


@dataclass(eq=False)
class Part:
    """Rows to train on, and rows to score on, if any. A preliminary part has few of the former."""

    data: Any
    target: Targets
    sample_weight: Array | None
    validation: Any
    is_preliminary: bool = False
    store: Store = field(default_factory=Store)

    def __len__(self) -> int:
        return int(self.data.n_rows)

    def features(self, featurizer: Any, make: Callable[[], tuple[Any, sp.csr_matrix]]) -> Features:
        """Give the features of the rows to train on, made by ``make`` if they are new."""
        params = dict(vars(featurizer), n_jobs=None)  # it is not fitted yet
        return self.store.get((id(self), repr(sorted(params.items()))), make)


@dataclass(eq=False)
class Parts:
    """The parts that a trial goes through, one after the other, and the rows that none sees."""

    stages: list[Part]
    sealed: Scored


def make_parts(
    rows: Rows,
    *,
    n_stages: int,
    share: float,
    preliminary: bool,
    seed: int,
    cv: Any = None,
    validation: Scored | None = None,
) -> Parts:
    """Seal some rows, and part the others.

    Parameters
    ----------
    rows : Rows
    n_stages : int
        Folds that a trial goes through, where ``cv`` does not say it.
    share : float
        Share of the rows to use at all.
    preliminary : bool
        Whether to begin with a quarter of the rows to train on.
    seed : int
    cv : int, splitter, iterable or None
    validation : Scored or None
        Other rows to score on, in place of folds.
    """
    random = np.random.RandomState(seed)
    counted = rows.counted
    n = len(counted)
    least, most, few, many = _SEALED
    fraction = min(max(least, min(most, few / n)), many / n)
    is_sealed = stratified_split(rows.target.numbers[counted], fraction, random)
    if not is_sealed.any():
        is_sealed[random.randint(n)] = True
    open_rows, sealed = counted[~is_sealed], counted[is_sealed]
    if share < 1:
        open_rows = _draw(rows, open_rows, share, random)
    store = Store()
    splits = [(open_rows, validation)]
    if validation is None:
        splits = [
            (train, Scored.of(rows, test))
            for train, test in _splits(rows, open_rows, n_stages, cv, random)
        ]
    stages = [train_part(rows, *split, store) for split in splits]
    if preliminary:
        train, validation = splits[0]
        first = train_part(rows, _draw(rows, train, 0.25, random), validation, store)
        stages.insert(0, replace(first, is_preliminary=True))
    return Parts(stages, Scored.of(rows, sealed))


def _draw(rows: Rows, numbers: Array, share: float, random: np.random.RandomState) -> Array:
    """Draw a share of some rows, with one of each class at least."""
    return numbers[~stratified_split(rows.target.numbers[numbers], 1 - share, random)]


def _splits(
    rows: Rows, open_rows: Array, n_stages: int, cv: Any, random: np.random.RandomState
) -> list[tuple[Array, Array]]:
    """Give the open rows to train on and those to score on, fold by fold, by rising numbers."""
    y = rows.target.numbers
    if cv is None:
        n_folds = max(min(N_FOLDS, len(open_rows)), -(-len(open_rows) // _MAX_FOLD))
        folds = stratified_folds(y[open_rows], n_folds, random)
        return [
            (open_rows[folds != fold], open_rows[folds == fold])
            for fold in range(min(n_stages, n_folds))
        ]
    labels = np.zeros(len(rows)) if isinstance(y, LabelSets) else y
    splitter = check_cv(cv, labels, classifier=not isinstance(y, LabelSets))
    X = labels if isinstance(rows.X, Table) else rows.X
    # All rows are split, as an iterable or a predefined split has their numbers.
    splits = [
        (np.intersect1d(train, open_rows), np.intersect1d(test, open_rows))
        for train, test in splitter.split(X, labels)
    ]
    splits = [(train, test) for train, test in splits if len(train) and len(test)]
    if not splits:
        raise ValueError(f"cv={cv!r} leaves no row to train on, or none to score on.")
    return splits


def train_part(
    rows: Rows, numbers: Array, validation: Scored | None = None, store: Store | None = None
) -> Part:
    """Give a part that trains on rows with these numbers, which rise."""
    target = Targets(rows.target.classes, rows.target.numbers[numbers], rows.target.format)
    weights = None if rows.sample_weight is None else rows.sample_weight[numbers]
    data = rows.data.take(_mask(numbers, len(rows)))
    return Part(data, target, weights, validation, store=store or Store())


def _mask(numbers: Array, n: int) -> Array:
    mask = np.zeros(n, dtype=bool)
    mask[numbers] = True
    return mask
