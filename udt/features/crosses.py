"""Which pairs of columns to cross: those that are given, or those that tell most together.

A pair tells what its columns do not tell one by one if, among the rows of a cell of the cross, what
a sum of functions of single columns leaves over still has a mean [1]_.

References
----------
.. [1] Y. Lou, R. Caruana, J. Gehrke and G. Hooker, "Accurate intelligible models with pairwise
   interactions", KDD 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from udt.columns import Column

if TYPE_CHECKING:
    from udt.features.weighting import Targets

Array = NDArray[Any]
#: Pairs of columns that ``crosses=True`` stands for: more help hardly, and take time.
N_CROSSES = 64
#: Pairs are scored on so many entries of the table, of no more than so many rows.
SAMPLE_ENTRIES, SAMPLE_ROWS = 1 << 24, 20_000
#: Columns that pairs are scored of: those that tell most by themselves.
_MAX_COLUMNS = 48
#: Classes up to which each is looked at, and random sums of classes beyond that.
_MAX_CLASSES = 8
#: Cells of a pair are counted apart up to this prime, and together by chance beyond it.
_MAX_CELLS = 65521
#: Passes over the columns that fit a sum of functions, and rows that hold its values down.
_PASSES, _SHRINKAGE = 5, 5
_MAX_PAIRS = 10_000
_CROSSABLE = ("category", "flag", "number", "date")


def check(crosses: Any) -> None:
    """Raise unless this is a bool, a number of pairs or some pairs of names."""
    n = number(crosses)
    is_list = isinstance(crosses, (list, tuple)) and all(map(_is_pair, crosses))
    if not (is_list if n is None else 0 <= n <= _MAX_PAIRS):
        raise ValueError(
            f"crosses={crosses!r}: give True, False, a number of pairs up to {_MAX_PAIRS}, or a "
            "list of pairs of names of columns."
        )


def _is_pair(pair: Any) -> bool:
    is_two = isinstance(pair, (list, tuple)) and len(pair) == 2
    return is_two and all(isinstance(name, str) for name in pair) and pair[0] != pair[1]


def number(crosses: Any) -> int | None:
    """Give how many pairs to choose, or None if they are named."""
    if isinstance(crosses, (bool, np.bool_)):
        return N_CROSSES if crosses else 0
    return int(crosses) if isinstance(crosses, Integral) else None


def check_names(crosses: Any, columns: Sequence[Column]) -> None:
    """Raise if pairs name a column that is not there, or of a role that is not crossed."""
    if number(crosses) is not None:
        return
    roles = {column.name: column.role for column in columns}
    for name in (name for pair in crosses for name in pair):
        if name not in roles:
            there = ", ".join(map(repr, [*roles][:20])) + (", ..." if len(roles) > 20 else "")
            raise ValueError(f"crosses: column {name!r} is missing from X, which has {there}.")
        # One may be ignored by chance, where a sample has but one value: it has no crosses then.
        if roles[name] not in (*_CROSSABLE, "ignored"):
            raise ValueError(
                f"crosses: column {name!r} has the role {roles[name]!r}: take columns of the roles "
                f"{', '.join(_CROSSABLE)}."
            )


def responses(targets: Targets, step: int) -> Array:
    """Give what to predict of every ``step``-th row: (n, n_directions), float64, of mean 0.

    Directions are those of the classes, or, of many, random sums of them, which keep distances.
    """
    from udt.features.weighting import class_lists  # where numba is loaded

    indptr, classes = class_lists(targets)
    n_classes = int(classes.max(initial=0)) + 1
    shape = len(indptr) - 1, n_classes
    matrix = sp.csr_matrix((np.ones(len(classes)), classes, indptr), shape=shape)[::step]
    if n_classes == 2:
        directions = np.array([[0.0], [1.0]])
    elif n_classes <= _MAX_CLASSES:
        directions = np.eye(n_classes)
    else:
        directions = np.random.default_rng(0).choice([-1.0, 1.0], (n_classes, _MAX_CLASSES))
    found = matrix @ directions
    return found - found.mean(axis=0)


def strongest_pairs(columns: Array, left: Array, n: int) -> list[tuple[int, int]]:
    """Choose the ``n`` pairs of columns that tell most beyond what single columns tell.

    Parameters
    ----------
    columns : ndarray of shape (n_rows, n_columns), of any integers
    left : ndarray of shape (n_rows, n_directions), float64
        See `responses`.
    n : int

    Returns
    -------
    list of tuple (int, int)
        Sorted.
    """
    places = [np.unique(column, return_inverse=True)[1] for column in columns.T]
    alone = np.array([_explained(place, left) for place in places])
    chosen = np.sort(np.argsort(-alone, kind="stable")[:_MAX_COLUMNS])
    left = left.copy()
    for _ in range(_PASSES):
        for j in chosen:
            counts = np.bincount(places[j]) + _SHRINKAGE
            for of_direction in left.T:
                of_direction -= (np.bincount(places[j], of_direction) / counts)[places[j]]
    pairs = list(combinations(chosen.tolist(), 2))
    gains = [
        _explained((places[a] * (places[b].max(initial=0) + 1) + places[b]) % _MAX_CELLS, left)
        for a, b in pairs
    ]
    return sorted(pairs[i] for i in np.argsort(-np.array(gains), kind="stable")[:n])


def _explained(places: Array, left: Array) -> float:
    """Tell how much of the variance the means of cells explain, less what they would by chance."""
    counts = np.bincount(places)
    is_seen = counts > 1
    gain = 0.0
    for of_direction in left.T:
        variance = float(np.mean(of_direction**2))
        if variance > 0:
            squares = np.bincount(places, of_direction)[is_seen] ** 2 / counts[is_seen]
            gain += float(squares.sum()) / variance - int(is_seen.sum())
    return gain
