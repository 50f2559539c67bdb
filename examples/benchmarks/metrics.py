"""What a model's answers on the test part are worth, as a score and row by row.

Every score with an interval is a ratio of sums over test rows. A run keeps what each row adds to
both sums, (2, n), and that is all that the paired bootstrap needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

Rows = dict[str, np.ndarray]


def ratio(rows: np.ndarray) -> float:
    """Return the score of (2, n) numerators and denominators."""
    above, below = rows.sum(axis=1)
    return float(above / below)


def auc_rows(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return rows whose mean is the area under the ROC curve.

    Parameters
    ----------
    positive : ndarray of bool of shape (n,)
    scores : ndarray of shape (n,)
        Higher for positive rows.

    Notes
    -----
    A row's placement is the share of the other class that it is ranked rightly against (half for
    ties). How far it is from the mean of its class is what the row does to the area (DeLong et
    al., 1988), to first order and with the classes' shares held.
    """
    n, n_positive = len(positive), int(positive.sum())
    everyone, placement, size = rankdata(scores), np.empty(n), np.empty(n)
    for own, n_own in ((positive, n_positive), (~positive, n - n_positive)):
        above = (everyone[own] - rankdata(scores[own])) / (n - n_own)
        placement[own] = above if own is positive else 1 - above
        size[own] = n_own
    area = placement[positive].mean()
    return np.stack([area + (placement - area) * n / size, np.ones(n)])


def accuracy(model: Any, X: Any, y: np.ndarray) -> tuple[dict[str, float], Rows]:
    """Return the accuracy."""
    right = np.asarray(model.predict(X)) == y
    return {}, {"accuracy": np.stack([right, np.ones(len(y))])}


def classification(model: Any, X: Any, y: np.ndarray) -> tuple[dict[str, float], Rows]:
    """Return the accuracy, and with two classes the AUC of models that know probabilities."""
    figures, rows = accuracy(model, X, y)
    classes = np.unique(y)
    if len(classes) == 2 and hasattr(model, "scores"):
        rows["auc"] = auc_rows(y == classes[1], np.asarray(model.scores(X))[:, 1])
    return figures, rows


def multilabel(model: Any, X: Any, Y: sparse.csr_matrix) -> tuple[dict[str, float], Rows]:
    """Return micro-F1 and macro-F1 of the labels said, and how often the first one is right.

    `Y` is (n, L or more), the predictions are (n, L). Macro-F1 is the mean over labels that the
    test part has. P@1 is over rows with a label, for no answer is right on the others.
    """
    predicted = sparse.csr_matrix(model.predict(X)).astype(bool)
    known = Y[:, : predicted.shape[1]].astype(bool)
    hits = predicted.multiply(known)
    f1_rows = [2 * _sums(hits, 1), _sums(predicted, 1) + _sums(Y, 1)]

    occurs = _sums(Y, 0)
    said = np.zeros(len(occurs))
    hit = np.zeros(len(occurs))
    said[: predicted.shape[1]], hit[: predicted.shape[1]] = _sums(predicted, 0), _sums(hits, 0)
    macro = float(np.mean((2 * hit)[occurs > 0] / (said + occurs)[occurs > 0]))

    first = np.asarray(model.scores(X)).argmax(axis=1)
    right = np.asarray(known[np.arange(len(first)), first]).ravel()
    return {"macro_f1": macro}, {
        "micro_f1": np.stack(f1_rows),
        "p_at_1": np.stack([right, _sums(Y, 1) > 0]).astype(float),
    }


def _sums(matrix: sparse.csr_matrix, axis: int) -> np.ndarray:
    return np.asarray(matrix.sum(axis=axis), dtype=float).ravel()
