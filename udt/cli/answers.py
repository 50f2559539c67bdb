"""The answers of models that give rows any number of labels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier

__all__ = ["is_multilabel", "label_lists", "likely_labels"]


def is_multilabel(model: UDTClassifier) -> bool:
    """Tell whether a model gives a row any number of labels."""
    return model.label_format_.kind != "multiclass"


def label_lists(model: UDTClassifier, rows: Any) -> list[list[Any]]:
    """Predict lists of labels, whatever the model writes: indicators become lists."""
    predicted: Any = model.predict(rows)
    if isinstance(predicted, list):
        return predicted
    labels = model.classes_.tolist()
    if hasattr(predicted, "indptr"):
        ends = predicted.indptr.tolist()
        columns = predicted.indices.tolist()
        return [[labels[column] for column in columns[begin:end]] for begin, end in pairwise(ends)]
    return [[labels[column] for column in np.flatnonzero(row).tolist()] for row in predicted]


def likely_labels(
    model: UDTClassifier, rows: Any, *, scores: bool
) -> Iterator[tuple[list[Any], list[float]]]:
    """Yield the labels of each row and, if asked for, their probabilities, likeliest first."""
    predicted = label_lists(model, rows)
    longest = max(map(len, predicted))
    if not scores or not longest:
        yield from ((labels, []) for labels in predicted)
        return
    top, probabilities = model.predict_topk(rows, k=longest)
    for labels, best, likely in zip(predicted, top.tolist(), probabilities.tolist(), strict=True):
        yield best[: len(labels)], likely[: len(labels)]
