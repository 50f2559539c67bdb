"""Compiled code behind `udt.datasets.make_xmc_classification`: the features of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.randomness import mix, scaled

Array = NDArray[Any]


@kernel
def _unit(bits: Any) -> Any:
    """Turn random bits into a float from 0 up to, but not, 1."""
    return np.float64(bits >> np.uint64(11)) * 2.0**-53


@kernel
def prototype_feature(
    key: Any, label: int, group: int, place: int, n_own: int, n_topic: int, n_features: int
) -> Any:
    """Give the feature at a place of a label's prototype.

    The first ``n_own`` are the label's own; the others are picked from the ``n_topic`` features
    of its group. Two places may hold the same feature.
    """
    bits = mix(key, label, place)
    if place >= n_own:
        pick = scaled(bits, n_topic)
        bits = mix(np.uint64(key) ^ np.uint64(0xA5A5A5A5A5A5A5A5), group, pick)
    return scaled(bits, n_features)


@kernel
def fill_rows(
    first: int,
    last: int,
    key: Any,
    row_key: Any,
    y_indptr: Array,
    y_indices: Array,
    groups: Array,
    n_own: int,
    n_shared: int,
    n_topic: int,
    signal: float,
    n_features: int,
    n_tries: int,
    indptr: Array,
    indices: Array,
    counts: Array,
    sizes: Array,
) -> None:
    """Draw the features of the rows from ``first`` to ``last``, each until it has enough.

    Parameters
    ----------
    first, last : int
    key, row_key : uint64
        Of the prototypes, and of the rows: a row depends on its keys, number and labels alone.
    y_indptr, y_indices : ndarray of int64 and int32
        The labels of each row.
    groups : ndarray of int32 of shape (n_labels,)
    n_own, n_shared, n_topic : int
        Features of a prototype that are its own, those it picks of its group's, and the group's.
    signal : float
        Share of the draws that come from prototypes of the row's labels. The others are noise,
        where feature i is drawn in proportion to log((i + 2) / (i + 1)): about 1 / (i + 1).
    n_features, n_tries : int
        ``n_tries`` draws for each non-zero that is wanted; after that the row stays shorter.
    indptr : ndarray of int64 of shape (n + 1,)
        Room for each row's features, which is the number that is wanted.
    indices : ndarray of int32, filled
    counts : ndarray of float32, filled
        How often each feature was drawn.
    sizes : ndarray of int64 of shape (n,), filled
        How many different features each row has.
    """
    spread = np.log(n_features + 1.0)
    n_places = n_own + n_shared
    for row in range(first, last):
        begin, wanted = indptr[row], indptr[row + 1] - indptr[row]
        first_label = y_indptr[row]
        n_labels = y_indptr[row + 1] - first_label
        n = 0
        for draw in range(n_tries * wanted):
            if n == wanted:
                break
            where = mix(row_key, row, 3 * draw)
            what = mix(row_key, row, 3 * draw + 1)
            if n_labels > 0 and _unit(where) < signal:
                label = y_indices[first_label + scaled(what, n_labels)]
                place = scaled(mix(row_key, row, 3 * draw + 2), n_places)
                feature = prototype_feature(
                    key, label, groups[label], place, n_own, n_topic, n_features
                )
            else:
                feature = min(np.int64(np.exp(_unit(what) * spread)) - 1, n_features - 1)
            place = 0
            while place < n and indices[begin + place] != feature:
                place += 1
            if place == n:
                indices[begin + n] = feature
                counts[begin + n] = np.float32(0)
                n += 1
            counts[begin + place] += np.float32(1)
        sizes[row] = n
