"""Metrics of rankings, against their formulas written out and against scikit-learn."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, top_k_accuracy_score

from udt.labels import LabelSets
from udt.metrics import (
    label_propensities,
    ndcg_at_k,
    precision_at_k,
    propensities,
    psp_at_k,
    recall_at_k,
)

N_LABELS = 6
MEASURES = [precision_at_k, recall_at_k, ndcg_at_k]
ROWS = st.lists(
    st.tuples(st.sets(st.integers(0, N_LABELS - 1)), st.permutations(range(N_LABELS))),
    min_size=1,
    max_size=8,
)


def indicator(rows):
    y = np.zeros((len(rows), N_LABELS), dtype=int)
    for i, row in enumerate(rows):
        y[i, list(row)] = 1
    return y


def naive(rows, ranked, k, inverse=(1.0,) * N_LABELS):
    """Give P@k, R@k, nDCG@k and PSP@k by their formulas, a row at a time."""
    p = r = n = gained = possible = 0.0
    for true, order in zip(rows, ranked, strict=True):
        hits = [label in true for label in order[:k]]
        p += sum(hits) / k
        r += sum(hits) / len(true) if true else 0
        best = sum(1 / math.log2(place + 2) for place in range(min(k, len(true))))
        n += sum(h / math.log2(i + 2) for i, h in enumerate(hits)) / best if true else 0
        gained += sum(h * inverse[label] for h, label in zip(hits, order, strict=False))
        possible += sum(sorted((inverse[label] for label in true), reverse=True)[:k])
    return p / len(rows), r / len(rows), n / len(rows), gained / possible if possible else 0.0


@given(ROWS, st.integers(1, N_LABELS))
def test_the_formulas(rows, k):
    true, ranked = [row for row, _ in rows], [order for _, order in rows]
    p = np.array([1.0, 0.5, 0.25, 0.125, 0.9, 0.01])
    expected = naive(true, ranked, k, 1 / p)
    for y in (
        indicator(true),
        sp.csr_matrix(indicator(true)),
        LabelSets.from_mask(indicator(true) > 0),
    ):
        actual = [measure(y, np.array(ranked), k) for measure in MEASURES]
        actual.append(psp_at_k(y, np.array(ranked), p, k))
        assert all(type(value) is float for value in actual)
        np.testing.assert_allclose(actual, expected, rtol=1e-12)


@given(ROWS, st.integers(1, N_LABELS), st.integers(0, 3))
def test_sparse_and_dense_scores_and_lists_rank_alike(rows, k, n_ties):
    true = indicator([row for row, _ in rows])
    scores = np.array([order for _, order in rows], dtype=np.float32)
    scores = np.maximum(scores, n_ties)  # equal scores: the lower number first
    ranked = [sorted(range(N_LABELS), key=lambda i, row=row: (-row[i], i)) for row in scores]
    numbers = np.repeat(np.arange(len(rows)), N_LABELS), np.tile(np.arange(N_LABELS), len(rows))
    stored = sp.coo_matrix((scores.ravel(), numbers), shape=scores.shape)  # zeros are stored too
    for measure in MEASURES:
        expected = measure(true, np.array(ranked), k)
        assert measure(true, scores, k) == expected
        assert measure(true, stored, k) == expected
        assert measure(true, ranked, k) == expected


def test_the_same_as_scikit_learn():
    random = np.random.RandomState(0)
    scores = random.rand(50, 8)
    y = (random.rand(50, 8) < 0.3).astype(int)
    y[:, 0] |= y.sum(axis=1) == 0
    for k in (1, 3, 7):
        assert ndcg_at_k(y, scores, k) == pytest.approx(ndcg_score(y, scores, k=k))
        labels = random.randint(8, size=50)
        expected = top_k_accuracy_score(labels, scores, k=k, labels=range(8))
        assert recall_at_k(labels, scores, k, classes=range(8)) == pytest.approx(expected)


def test_many_k_at_once():
    y, ranked = [[0, 2], [1], []], [[2, 1, 0], [0, 2, 1], [0, 1, 2]]
    for measure in MEASURES:
        many = measure(y, ranked, k=(1, 3))
        assert many.dtype == np.float64
        assert many.tolist() == [measure(y, ranked, 1), measure(y, ranked, np.int64(3))]
    p = [0.5, 0.5, 0.1]
    assert psp_at_k(y, ranked, p, [1, 3]).tolist() == [psp_at_k(y, ranked, p, k) for k in (1, 3)]


def test_rows_without_a_label_count_as_zero():
    y, ranked = [[0], []], [[0, 1], [0, 1]]
    assert [measure(y, ranked, 1) for measure in MEASURES] == [0.5, 0.5, 0.5]
    assert psp_at_k(y, ranked, [0.5, 0.5], 1) == 1.0  # of all that was possible
    for nothing in (np.zeros((2, 3), int), sp.csr_matrix((2, 3)), [[], []]):
        assert [measure(nothing, ranked, 1) for measure in MEASURES] == [0, 0, 0]
        assert psp_at_k(nothing, ranked, [0.5, 0.5, 0.5], 1) == 0.0


def test_fewer_predictions_than_k():
    y = [[0, 1], [2]]
    padded = np.array([[0, 1, -1], [-1, -1, -1]])
    assert precision_at_k(y, padded, 3) == pytest.approx(2 / 6)
    assert precision_at_k(y, [[0, 1], []], 3) == pytest.approx(2 / 6)
    assert precision_at_k(y, [[], []], 3) == 0.0
    scores = sp.csr_matrix(([0.5, 0.25], ([0, 0], [0, 1])), shape=(2, 3))
    assert precision_at_k(y, scores, 3) == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="y_pred has 2 labels a row, but k=3: predict as many"):
        precision_at_k(y, np.array([[0, 1], [1, 2]]), 3)


def test_labels_instead_of_numbers():
    classes = np.array(["a", "b", "c"])
    top = np.array([["b", "a"], ["c", "a"]])
    assert precision_at_k([["a", "b"], ["b"]], top, 2, classes=classes) == 0.5
    assert precision_at_k(["b", "a"], top, 1, classes=classes) == 0.5
    assert precision_at_k(sp.csr_matrix([[1, 1, 0], [0, 1, 0]]), top, 2, classes=classes) == 0.5
    assert precision_at_k([[7], [9]], np.array([[9, 7], [9, 7]]), 1, classes=[7, 9]) == 0.5
    with pytest.raises(ValueError, match="y_pred has the label 'z', which is not in classes"):
        precision_at_k([["a"], ["b"]], [["a"], ["z"]], 1, classes=classes)
    with pytest.raises(ValueError, match="y_true has 2 columns, but there are 3 classes"):
        precision_at_k(np.eye(2), top, 1, classes=classes)


def test_labels_that_fit_never_saw_are_never_found():
    y, top = [["a", "new"], ["newer"]], [["a", "b"], ["b", "a"]]
    options = {"classes": ["a", "b"]}
    assert precision_at_k(y, top, 2, **options) == 0.25
    assert recall_at_k(y, top, 2, **options) == 0.25
    # They are as hard to find as the rarest label: 1 / 0.1.
    assert psp_at_k(y, top, [0.5, 0.1], 1, **options) == pytest.approx(2 / 20)


def test_a_label_counts_once_a_row():
    assert recall_at_k([[0, 0, 2]], [[0, 1]], 2) == 0.5


@pytest.mark.parametrize(
    ("y_true", "y_pred", "k", "error", "problem"),
    [
        ([[0], [1]], [[0]], 1, ValueError, "y_pred has 1 rows, but y_true has 2"),
        ([[0], [1]], sp.csr_matrix((3, 2)), 1, ValueError, "y_pred has 3 rows"),
        ([[0], []], [[0, 1], []], 0, ValueError, "k=0: give 1 or more"),
        ([[0]], [[0]], 1.5, TypeError, "k=1.5: give a whole number"),
        ([[0]], [[0]], True, TypeError, "k=True"),
        ([[0]], [[0]], [], TypeError, r"k=\[\]"),
        (np.eye(2), [[0], [1]], 3, ValueError, "y_pred has 1 labels a row, but k=3"),
        (np.eye(2), np.eye(2), 3, ValueError, "k=3: give 1 to 2, the number of labels"),
        (np.eye(2), sp.csr_matrix((2, 2)), 3, ValueError, "k=3: give 1 to 2"),
        (np.eye(2), [[0], [2]], 1, ValueError, "label number 2 in row 1, but there are 2 labels"),
        (np.eye(2), np.eye(2, 3), 1, ValueError, "y_pred scores 3 labels, but there are 2"),
        (np.eye(2), [0, 1], 1, ValueError, r"y_pred has shape \(2,\): give the ranked labels"),
        (np.eye(2), [[0, 0], [1, 0]], 2, ValueError, "ranks a label twice in row 0"),
        (np.eye(2), np.array([[0], [-2]]), 1, ValueError, "y_pred holds -2"),
        (np.eye(2), [[0, 1], [-2]], 1, ValueError, "y_pred holds -2"),
        (np.eye(2), [[0.5, np.nan], [0.5, 0]], 1, ValueError, "y_pred holds NaN"),
        (2 * np.eye(2), [[0], [1]], 1, ValueError, r"y_true\[0, 0\] is 2"),
        (["a", "b"], [[0], [1]], 1, TypeError, "y_true holds 'a', no label number: give classes="),
        ([[0], [-1]], [[0], [1]], 1, ValueError, "y_true holds -1, but label numbers count from"),
        ([[0], [1]], [["a"], ["b"]], 1, TypeError, "y_pred holds 'a', no label number"),
        ([], [], 1, ValueError, "y_true has no rows"),
    ],
)  # fmt: skip
def test_what_does_not_fit(y_true, y_pred, k, error, problem):
    for measure in (precision_at_k, recall_at_k, ndcg_at_k):
        with pytest.raises(error, match=problem):
            measure(y_true, y_pred, k)


# ---------------------------------------------------------------------------------- propensities


def test_propensities_by_the_formula():
    random = np.random.RandomState(0)
    y = (random.rand(200, 5) < [0.5, 0.2, 0.05, 0.01, 0]).astype(int)
    for a, b in [(0.55, 1.5), (0.5, 0.4), (0.6, 2.6)]:
        c = (math.log(200) - 1) * (b + 1) ** a
        expected = [1 / (1 + c * math.exp(-a * math.log(n + b))) for n in y.sum(axis=0)]
        for given_y in (y, sp.csr_matrix(y), LabelSets.from_mask(y > 0)):
            np.testing.assert_allclose(propensities(given_y, a, b), expected)
        np.testing.assert_allclose(label_propensities(y.sum(axis=0), 200, a, b), expected)
    lists = [np.flatnonzero(row).tolist() for row in y]
    n = int(np.flatnonzero(y.any(axis=0)).max()) + 1
    np.testing.assert_allclose(propensities(lists), propensities(y)[:n])  # the last never occur


def test_propensities_of_few_rows_are_probabilities():
    for n in (1, 2, 3):
        p = propensities(np.ones((n, 2), dtype=int))
        assert np.all((p > 0) & (p <= 1))


def test_propensities_that_cannot_be():
    with pytest.raises(ValueError, match=r"A=-1, B=1\.5: give A from 0 on and B above 0"):
        propensities(np.eye(2), A=-1)
    with pytest.raises(ValueError, match="n_rows=0"):
        label_propensities([1], 0)
    ranked = [[0], [1]]
    with pytest.raises(ValueError, match="propensities has length 3, but there are 2 labels"):
        psp_at_k(np.eye(2), ranked, [0.1, 0.2, 0.3], 1)
    with pytest.raises(ValueError, match=r"propensities has shape \(1, 2\)"):
        psp_at_k(np.eye(2), ranked, [[0.1, 0.2]], 1)
    for wrong in (0.0, 1.5, np.nan, -1):
        with pytest.raises(ValueError, match=r"propensities\[1\] is .*: give numbers in \(0, 1\]"):
            psp_at_k(np.eye(2), ranked, [0.5, wrong], 1)


def test_sparse_labels_stay_sparse():
    n, n_labels = 2000, 1_000_000  # dense, either would take gigabytes
    random = np.random.RandomState(0)
    columns = random.randint(n_labels, size=n)
    y = sp.csr_matrix((np.ones(n), (np.arange(n), columns)), shape=(n, n_labels))
    ranked = np.stack([columns, (columns + 1) % n_labels], axis=1)
    assert precision_at_k(y, ranked, [1, 2]).tolist() == [1.0, 0.5]
    assert psp_at_k(y, y, propensities(y), 1) == 1.0
