"""Labels and weights at the door: checked, numbered, split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

Array = NDArray[Any]


def check_labels(y: Any, n_rows: int, name: str = "y") -> Array:
    """Give labels as a 1-D array of length ``n_rows`` without missing values, or raise."""
    if y is None:
        raise ValueError(f"{name} is None: UDTClassifier needs a label for each row.")
    labels = column_or_1d(np.asarray(y), warn=True)
    if len(labels) != n_rows:
        raise ValueError(f"{name} has {len(labels)} labels, but there are {n_rows} rows.")
    missing = labels != labels if labels.dtype.kind in "fcmMO" else np.zeros(n_rows, dtype=bool)
    if labels.dtype == object:
        missing = np.array([label is None or label != label for label in labels], dtype=bool)
    if np.any(missing):
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"{name} has a missing label (NaN or None) in row {row}: drop the rows without a label."
        )
    check_classification_targets(labels)
    return labels


def number_labels(labels: Array) -> tuple[Array, Array]:
    """Give the sorted classes and each label's number among them."""
    try:
        classes, targets = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        raise TypeError(
            f"y mixes labels that cannot be sorted ({', '.join(kinds)}): give all one type."
        ) from error
    if len(classes) < 2:
        raise ValueError(f"y has one class only ({classes[0]!r}): give rows of at least two.")
    return classes, targets.astype(np.int64)


def find_labels(labels: Array, classes: Array, name: str) -> Array:
    """Give each label's number among known classes, or raise naming one that is not there."""
    numbers = {label: number for number, label in enumerate(classes.tolist())}
    found = np.array([numbers.get(label, -1) for label in labels.tolist()], dtype=np.int64)
    if np.any(found < 0):
        label = labels[int(np.argmax(found < 0))]
        raise ValueError(f"{name} has the label {label!r}, which is not in y.")
    return found


def check_weights(
    sample_weight: Any, class_weight: Any, labels: Array, classes: Array | None = None
) -> Array:
    """Give one float32 weight a row, of mean 1 over the rows that count, or raise."""
    n_rows = len(labels)
    weights = np.ones(n_rows)
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=np.float64)
        if weights.ndim == 0:
            weights = np.full(n_rows, float(weights))
        if weights.shape != (n_rows,):
            raise ValueError(
                f"sample_weight has shape {weights.shape}, but there are {n_rows} rows."
            )
        wrong = ~np.isfinite(weights) | (weights < 0)
        if np.any(wrong):
            row = int(np.argmax(wrong))
            raise ValueError(
                f"sample_weight[{row}] is {weights[row]}: weights must be finite and not negative."
            )
        if not np.any(weights):
            raise ValueError("sample_weight is zero in every row: at least one must be positive.")
    if class_weight is not None and classes is not None:
        targets = np.searchsorted(classes, labels)
        weights = weights * compute_class_weight(class_weight, classes=classes, y=labels)[targets]
        if not np.any(weights):
            raise ValueError("class_weight and sample_weight leave no row with a positive weight.")
    return (weights / weights[weights > 0].mean()).astype(np.float32)


def stratified_split(targets: Array, fraction: float, random: np.random.RandomState) -> Array:
    """Draw about ``fraction`` of each class; a class's first row in the draw is never taken.

    Returns
    -------
    ndarray of shape (n,), bool
        True for the rows that are held out.
    """
    order = random.permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]
    drawn = targets[order]
    is_first = np.r_[True, drawn[1:] != drawn[:-1]]
    # Systematic sampling along the sorted rows gives every class its share.
    steps = np.floor(np.arange(len(targets) + 1) * fraction + random.random_sample())
    held_out = np.zeros(len(targets), dtype=bool)
    held_out[order] = (np.diff(steps) > 0) & ~is_first
    return held_out
