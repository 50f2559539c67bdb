"""Labels and weights at the door: checked, numbered, split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight

from udt.columns import is_missing
from udt.labels import LabelFormat, LabelSets, label_kind, read_label_sets
from udt.metrics import label_propensities

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Targets:
    """What to learn: the labels, which of them each row has, and how y wrote them.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels, sorted, in their own dtype; the column numbers of an indicator.
    numbers : ndarray of shape (n,), int64, or LabelSets
        The label of each row, or its labels, as positions in ``classes``.
    format : LabelFormat
    """

    classes: Array
    numbers: Array | LabelSets
    format: LabelFormat

    @property
    def is_multilabel(self) -> bool:
        """Whether rows may have any number of labels."""
        return self.format.kind != "multiclass"


def read_targets(y: Any, n_rows: int) -> Targets:
    """Check and number the labels of all rows: one a row, or any number (see `label_kind`).

    Raises
    ------
    ValueError, TypeError
        If ``y`` does not fit the rows, or holds what is no label; the message names the place.

    Examples
    --------
    >>> targets = read_targets([["a", "b"], [], ["b"]], 3)
    >>> targets.classes.tolist(), targets.numbers.indices.tolist(), targets.format.kind
    (['a', 'b'], [0, 1, 1], 'lists')
    """
    kind = "multiclass" if y is None else label_kind(y)
    if kind == "multiclass":
        classes, numbers = number_labels(check_labels(y, n_rows))
        return Targets(classes, numbers, LabelFormat())
    labels, classes, label_format = read_label_sets(y, n_rows, kind)
    return Targets(classes, labels, label_format)


def match_targets(
    y: Any, n_rows: int, classes: Array, label_format: LabelFormat, name: str
) -> Array | LabelSets:
    """Find the labels of other rows among known classes; they must be written as in fit.

    A dense indicator and a sparse one will do for each other.

    Raises
    ------
    ValueError, TypeError
        As `read_targets`, and if a label is not among ``classes``.
    """
    if label_format.kind == "multiclass":
        return find_labels(check_labels(y, n_rows, name), classes, name)
    kind = "multiclass" if y is None else label_kind(y)
    if label_format.kind == "lists" and kind == "indicator" and not hasattr(y, "shape"):
        kind = "lists"  # lists of one length that hold the labels 0 and 1
    if (kind == "lists") != (label_format.kind == "lists") or kind == "multiclass":
        expected = (
            "a list of the labels of each row"
            if label_format.kind == "lists"
            else f"an indicator of shape ({n_rows}, {len(classes)})"
        )
        raise ValueError(f"{name} does not write labels as y did in fit: give {expected}.")
    return read_label_sets(y, n_rows, kind, name, classes)[0]


def extend_targets(y: Any, n_rows: int, classes: Array, label_format: LabelFormat) -> Targets:
    """Find labels among known classes, behind which new ones are appended in their order.

    Raises
    ------
    ValueError, TypeError
        As `match_targets`, but for new labels.
    """
    if label_format.kind == "multiclass":
        labels = check_labels(y, n_rows)
        is_text = labels.dtype.kind in "OU"
        found = np.array(sorted(set(labels.tolist()))) if is_text else np.unique(labels)
    elif label_format.kind == "lists" and label_kind(y) in ("lists", "indicator"):
        found = read_label_sets(y, n_rows, "lists")[1]
    else:
        found = classes
    known = set(classes.tolist())
    new = [label for label in found.tolist() if label not in known]
    if new and (found.dtype.kind in "OU") != (classes.dtype.kind in "OU"):
        raise TypeError(
            f"y holds labels of dtype {found.dtype}, but those known are of dtype {classes.dtype}: "
            "give labels of one type."
        )
    if new:
        classes = np.concatenate([classes, np.array(new, dtype=found.dtype)])
    return Targets(classes, match_targets(y, n_rows, classes, label_format, "y"), label_format)


def read_first_targets(y: Any, n_rows: int, classes: Any) -> Targets:
    """Find the labels of the first rows among all classes that will ever occur.

    Parameters
    ----------
    y, n_rows
        As for `read_targets`.
    classes : array-like of shape (n_classes,), or None if ``y`` is an indicator

    Raises
    ------
    ValueError, TypeError
        If classes are missing or fewer than two, or ``y`` holds others.
    """
    kind = "multiclass" if y is None else label_kind(y)
    if classes is None and "indicator" not in kind:
        raise ValueError(
            "classes must be passed on the first call to partial_fit: give all labels that will "
            "ever occur, as in classes=['no', 'yes']."
        )
    if classes is None:
        return read_targets(y, n_rows)
    known = check_labels(classes, len(classes), "classes")
    known = known.astype(str) if known.dtype == object else known
    known = np.unique(known)
    if kind != "multiclass":
        labels, _, label_format = read_label_sets(y, n_rows, kind, classes=known)
        return Targets(known, labels, label_format)
    if len(known) < 2:
        raise ValueError(f"classes has one class only ({known.tolist()[0]!r}): give two or more.")
    return Targets(known, find_labels(check_labels(y, n_rows), known, "y"), LabelFormat())


def check_labels(y: Any, n_rows: int, name: str = "y") -> Array:
    """Give labels as a 1-D array of length ``n_rows`` without missing values, or raise."""
    if y is None:
        raise ValueError(
            f"UDTClassifier requires y to be passed, but the target {name} is None: give a label "
            "for each row."
        )
    labels = _as_array(y)
    if labels.ndim == 2 and labels.shape[1] != 1:
        raise ValueError(
            f"{name} has shape {labels.shape}, but UDTClassifier takes one label a row: "
            f"give an array of shape ({n_rows},)."
        )
    labels = column_or_1d(labels, warn=True)
    if len(labels) != n_rows:
        raise ValueError(f"{name} has {len(labels)} labels, but there are {n_rows} rows.")
    missing = _find_missing(labels)
    if isinstance(y, np.ma.MaskedArray):
        missing |= np.ma.getmaskarray(y).ravel()
    if np.any(missing):
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"{name} has a missing label (NaN or None) in row {row}: drop the rows without a label."
        )
    if labels.dtype == object:
        kinds = sorted({type(label).__name__ for label in labels if not isinstance(label, str)})
        if kinds:
            raise TypeError(
                f"Unknown label type: {name} is of dtype object and holds {', '.join(kinds)}. Give "
                "labels of one type, str or that of a dtype such as int64 or bool."
            )
    if labels.dtype.kind == "f" and not np.all(labels == np.floor(labels)):
        odd = labels[labels != np.floor(labels)][0]
        raise ValueError(
            f"Unknown label type: {name} is continuous (it holds {odd}). Give classes: str, int or "
            "bool labels."
        )
    if labels.dtype.kind == "f" and np.isinf(labels).any():
        raise ValueError(f"{name} holds infinity, which is no class: give str or int labels.")
    return labels


def _as_array(y: Any) -> Array:
    labels = np.asarray(y)
    is_mixed = labels.dtype.kind == "U" and isinstance(y, (list, tuple)) and labels.ndim == 1
    if is_mixed and not all(isinstance(label, str) for label in y):
        return np.array(y, dtype=object)  # NumPy has made text of NaN and of numbers
    # scikit-learn's checks and metrics do not know StringDType.
    return labels.astype(object) if labels.dtype.kind == "T" else labels


def _find_missing(labels: Array) -> NDArray[np.bool_]:
    if labels.dtype != object:
        return np.asarray(labels != labels)
    missing = np.zeros(len(labels), dtype=bool)
    others = [i for i, label in enumerate(labels.tolist()) if not isinstance(label, str)]
    missing[others] = [is_missing(labels[i]) for i in others]
    return missing


def number_labels(labels: Array) -> tuple[Array, Array]:
    """Give the sorted classes and each label's number among them."""
    if labels.dtype.kind in "OUS":  # NumPy would sort millions of strings, this only the classes
        values = labels.tolist()
        classes = np.unique(np.array(list(dict.fromkeys(values)), dtype=labels.dtype))
        numbers = {label: number for number, label in enumerate(classes.tolist())}
        targets = np.fromiter((numbers[value] for value in values), np.int64, len(values))
    else:
        classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        only = classes.tolist()[0]
        raise ValueError(f"y has one class only ({only!r}): give rows of at least two.")
    return classes, targets.astype(np.int64)


def find_labels(labels: Array, classes: Array, name: str) -> Array:
    """Give each label's number among known classes, or raise naming one that is not there."""
    numbers = {label: number for number, label in enumerate(classes.tolist())}
    found = np.array([numbers.get(label, -1) for label in labels.tolist()], dtype=np.int64)
    if np.any(found < 0):
        label = labels.tolist()[int(np.argmax(found < 0))]
        raise ValueError(f"{name} has the label {label!r}, which is not among the classes.")
    return found


def check_weights(
    sample_weight: Any, class_weight: Any, labels: Array, classes: Array | None = None
) -> Array:
    """Give one float32 weight a row, of mean 1 over the rows that count, or raise."""
    weights = np.ones(len(labels))
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, len(labels))
    if isinstance(class_weight, str) and class_weight == "propensity":
        raise ValueError(
            'class_weight="propensity" is for rows of any number of labels, some of which may be '
            'missing, but y gives one label a row: use "balanced", or write y as lists of labels.'
        )
    if class_weight is not None and classes is not None:
        factors = np.ones(len(classes))
        # Some rows, as of a fold, may have none of a class: "balanced" is among the others.
        is_there = np.isin(classes, labels) if isinstance(class_weight, str) else slice(None)
        factors[is_there] = compute_class_weight(class_weight, classes=classes[is_there], y=labels)
        wrong = ~np.isfinite(factors) | (factors < 0)
        if np.any(wrong):
            number = int(np.argmax(wrong))
            raise ValueError(
                f"class_weight[{classes.tolist()[number]!r}] is {factors[number]}: weights must be "
                "finite and not negative."
            )
        order = np.argsort(classes, kind="stable")  # a warm start appends classes
        weights = weights * factors[order[np.searchsorted(classes, labels, sorter=order)]]
        if not np.any(weights):
            raise ValueError("class_weight and sample_weight leave no row with a positive weight.")
    weights = weights / weights.max()  # so that no sum overflows
    return (weights / weights[weights > 0].mean()).astype(np.float32)


def check_positive_weights(
    class_weight: Any, classes: Array, labels: LabelSets | None = None
) -> Array | None:
    """Give how much the rows that have a label count in its loss: float32, or None for once.

    Parameters
    ----------
    class_weight : dict from labels to numbers, "propensity" or None
        Labels that a dict leaves out count once. "propensity" weighs labels by 1 / propensity [1]_
        (see `udt.metrics.propensities`), with a mean of 1 over all labels of all rows.
    classes : ndarray of shape (n_labels,)
    labels : LabelSets or None
        Those of the rows: needed for "propensity".

    References
    ----------
    .. [1] H. Jain, Y. Prabhu, M. Varma, "Extreme multi-label loss functions for recommendation,
       tagging, ranking & other missing label applications", KDD 2016.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "propensity" and labels is not None:
        counts = labels.frequencies()
        inverse = 1 / label_propensities(counts, len(labels))
        return (inverse / np.average(inverse, weights=counts)).astype(np.float32)
    if not isinstance(class_weight, Mapping):
        raise ValueError(
            f"class_weight={class_weight!r}: where rows have any number of labels, give a dict "
            'from labels to weights, "propensity" or None.'
        )
    numbers = {label: number for number, label in enumerate(classes.tolist())}
    weights = np.ones(len(classes), dtype=np.float32)
    for label, weight in class_weight.items():
        if label not in numbers:
            raise ValueError(f"class_weight has the label {label!r}, which is not in y.")
        if not isinstance(weight, Real):
            raise TypeError(f"class_weight[{label!r}] is {weight!r}: give a number.")
        if not 0 < float(weight) < np.inf:
            raise ValueError(
                f"class_weight[{label!r}] is {weight}: weights must be finite and positive."
            )
        weights[numbers[label]] = float(weight)
    return weights


def _check_sample_weight(sample_weight: Any, n_rows: int) -> Array:
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"sample_weight must be numbers, one a row ({error}).") from error
    if weights.ndim == 0:
        weights = np.full(n_rows, float(weights))
    if weights.shape != (n_rows,):
        raise ValueError(f"sample_weight has shape {weights.shape}, but there are {n_rows} rows.")
    wrong = ~np.isfinite(weights) | (weights < 0)
    if np.any(wrong):
        row = int(np.argmax(wrong))
        raise ValueError(
            f"sample_weight[{row}] is {weights[row]}: weights must be finite and not negative."
        )
    if not np.any(weights):
        raise ValueError("sample_weight is zero in every row: at least one must be positive.")
    return weights


def stratified_split(
    targets: Array | LabelSets, fraction: float, random: np.random.RandomState
) -> Array:
    """Draw about ``fraction`` of each class; a class's first row in the draw is never taken.

    A row of several labels counts under the rarest of them, one without labels among its like.

    Returns
    -------
    ndarray of shape (n,), bool
        True for the rows that are held out.
    """
    order, drawn = _by_class(targets, random)
    is_first = np.r_[True, drawn[1:] != drawn[:-1]]
    # Systematic sampling along the sorted rows gives every class its share.
    steps = np.floor(np.arange(len(order) + 1) * fraction + random.random_sample())
    held_out = np.zeros(len(order), dtype=bool)
    held_out[order] = (np.diff(steps) > 0) & ~is_first
    return held_out


def stratified_folds(
    targets: Array | LabelSets, n_folds: int, random: np.random.RandomState
) -> Array:
    """Deal the rows of each class, shuffled, to folds of about the same size.

    Returns
    -------
    ndarray of shape (n,), int64
        The fold of each row, from 0 on; -1 for the only row of a class, which is for training.
    """
    order, drawn = _by_class(targets, random)
    is_new = drawn[1:] != drawn[:-1]
    is_alone = np.r_[True, is_new] & np.r_[is_new, True]
    folds = np.empty(len(order), dtype=np.int64)
    folds[order] = np.where(is_alone, -1, np.arange(len(order)) % n_folds)
    return folds


def _by_class(targets: Array | LabelSets, random: np.random.RandomState) -> tuple[Array, Array]:
    """Shuffle rows, and sort them by their class; give their numbers, and the classes."""
    numbers = _rarest_labels(targets) if isinstance(targets, LabelSets) else targets
    order = random.permutation(len(numbers))
    order = order[np.argsort(numbers[order], kind="stable")]
    return order, numbers[order]


def _rarest_labels(labels: LabelSets) -> Array:
    """Give the rarest label of each row, or ``n_labels`` for a row without."""
    ranks = np.argsort(np.argsort(labels.frequencies(), kind="stable"), kind="stable")
    rarest = np.full(len(labels), labels.n_labels, dtype=np.int64)
    np.minimum.at(rarest, labels.rows, ranks[labels.indices])
    return rarest
