"""What features tell of classes, against the naive twin."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.features.weighting import class_lists, count_classes, information, rows_of_features

pytestmark = pytest.mark.kernel

FEATURES = st.lists(st.integers(0, 4), max_size=4, unique=True)
SMOOTHING = st.sampled_from([0.25, 1.0, 3.0])


def csr(rows):
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    return indptr, np.array([i for row in rows for i in row], dtype=np.int32)


def roots(features, targets, weights, smoothing):
    indptr, classes = class_lists(targets)
    rows = count_classes(indptr, classes, weights)
    weights = np.ones(len(features)) if weights is None else weights
    return information(*csr(features), 5, indptr, classes, weights, rows / rows.sum(), smoothing)


@given(st.lists(st.tuples(FEATURES, st.integers(0, 3)), min_size=1, max_size=12), SMOOTHING)
def test_information_of_one_class_a_row(rows, smoothing):
    features = [row for row, _ in rows]
    numbers = sorted({target for _, target in rows})
    targets = [numbers.index(target) for _, target in rows]
    actual = roots(features, np.array(targets), None, smoothing)
    assert actual.dtype == np.float32
    expected = naive.information(features, [[c] for c in targets], 5, smoothing)
    # A divergence of nearly nothing is known to 1e-16, its root to 1e-8.
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


LABELLED = st.tuples(
    FEATURES, st.lists(st.integers(0, 3), max_size=3, unique=True), st.floats(0.125, 4)
)


@given(st.lists(LABELLED, min_size=1, max_size=12), SMOOTHING, st.booleans())
def test_information_of_labels_and_weights(rows, smoothing, weighted):
    features, labels, weights = ([row[i] for row in rows] for i in range(3))
    actual = roots(features, csr(labels), np.array(weights) if weighted else None, smoothing)
    classes = [[label + 1 for label in of_row] or [0] for of_row in labels]
    expected = naive.information(features, classes, 5, smoothing, weights if weighted else None)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@given(st.lists(FEATURES, max_size=8))
def test_rows_of_features(features):
    ends, rows = rows_of_features(*csr(features), 5)
    for i in range(5):
        expected = [row for row, of_row in enumerate(features) if i in of_row]
        assert rows[ends[i] : ends[i + 1]].tolist() == expected


def test_weights_of_one_and_labels_of_one_change_no_bit():
    random = np.random.default_rng(0)
    features = [random.choice(5, 3, replace=False).tolist() for _ in range(200)]
    targets = random.integers(0, 4, 200)
    plain = roots(features, targets, None, 1.0)
    assert plain.tobytes() == roots(features, targets, np.ones(200), 1.0).tobytes()
    labels = np.arange(201, dtype=np.int32), targets.astype(np.int32)
    np.testing.assert_array_equal(roots(features, labels, None, 1.0), plain)


def test_a_weight_counts_as_so_many_rows():
    features, targets = [[0, 1], [1], [0, 2], [2]], np.array([0, 1, 1, 0])
    repeated = roots(features + features[:1], np.append(targets, 0), None, 1.0)
    weighted = roots(features, targets, np.array([2.0, 1, 1, 1]), 1.0)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6)


def test_class_lists_from_the_middle_of_a_matrix():
    indptr, classes = class_lists((np.array([2, 2, 4]), np.array([9, 9, 7, 1])))
    assert indptr.tolist() == [0, 1, 3]
    assert classes.tolist() == [0, 8, 2]
