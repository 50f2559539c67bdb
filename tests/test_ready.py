"""ReadyRows and ReadyFeatures: sparse rows that come as features."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.feature_extraction.text import TfidfTransformer

from udt.features.ready import ReadyFeatures, ReadyRows


def fit(X, weighting=None, targets=None):
    ready = ReadyFeatures(weighting)
    return ready, ready._fit_transform(ReadyRows(X), targets)


def make(n=20, n_features=7, seed=0):
    return sp.random(n, n_features, 0.4, format="csr", dtype=np.float32, random_state=seed)


def test_rows_have_a_median_length_of_one():
    for factor in (1.0, 1000.0, 1e-6):
        ready, rows = fit(make() * np.float32(factor))
        lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1))).ravel()
        assert np.median(lengths[lengths > 0]) == pytest.approx(1, rel=1e-5)
        assert rows.dtype == np.float32
        assert ready.n_features_in_ == ready.n_embedded_ == 7
        assert ready.columns_ == ()


def test_one_extreme_row_does_not_shrink_the_others():
    X = make()
    _, expected = fit(X)
    X = X.tolil()
    X[3, 2] = 1e6
    _, rows = fit(X.tocsr())
    ratio = rows[:3].toarray() / np.where(expected[:3].toarray() == 0, 1, expected[:3].toarray())
    assert ratio.max() > 0.5


def test_rows_of_zeros():
    ready, rows = fit(sp.csr_matrix((4, 3)))
    assert ready.scale_ == 1
    assert rows.nnz == 0
    assert ready._transform(ReadyRows(sp.csr_matrix(np.eye(3)))).nnz == 3


SIZES = st.floats(1e-6, 1e6).flatmap(lambda size: st.sampled_from([0.0, size, -size]))


@given(hnp.arrays(np.float32, (4, 3), elements=SIZES))
def test_all_that_is_finite_is_only_scaled(X):
    ready, rows = fit(sp.csr_matrix(X))
    assert np.isfinite(rows.data).all()
    np.testing.assert_allclose(rows.toarray(), X * ready.scale_, rtol=1e-5, atol=1e-30)


def test_what_was_given_is_not_written_to():
    X = make()
    before = X.copy()
    fit(X)
    assert (before != X).nnz == 0
    doubled = sp.csr_matrix(
        (np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), X.indptr * 2), shape=X.shape
    )
    entries = doubled.data.copy()
    _, rows = fit(doubled)
    np.testing.assert_array_equal(doubled.data, entries)
    assert rows.nnz == X.nnz
    np.testing.assert_allclose(rows.toarray(), fit(X)[1].toarray(), rtol=1e-6)


def test_rows_are_chosen_by_a_mask():
    X = make()
    mask = np.arange(20) % 3 == 0
    rows = ReadyRows(X).take(mask)
    assert rows.n_rows == 7
    assert (rows.matrix != X[mask]).nnz == 0


def test_an_array_is_read_as_a_sparse_matrix():
    X = make()
    assert (ReadyRows(X.toarray()).matrix != X).nnz == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value):
    X = make()
    X.data[2] = value
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        ReadyRows(X)


def test_no_rows_and_no_columns():
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        ReadyRows(sp.csr_matrix((0, 3)))
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        ReadyRows(sp.csr_matrix((3, 0)))


def test_another_number_of_features():
    ready, _ = fit(make())
    with pytest.raises(ValueError, match="X has 6 features, but UDTClassifier is expecting 7"):
        ready._transform(ReadyRows(make(n_features=6)))


def test_a_value_beyond_all_reason():
    ready, _ = fit(make())
    X = make()
    X.data[0] = 1e30
    with pytest.raises(ValueError, match=r"X holds a value of size 1e\+30, but rows have a typ"):
        ready._transform(ReadyRows(X))


def test_going_on_keeps_the_scale():
    ready = ReadyFeatures()
    ready._partial_fit(ReadyRows(make()))
    scale = ready.scale_
    ready._forget_rare()
    rows = ready._partial_fit(ReadyRows(make() * 100))
    assert ready.scale_ == scale
    np.testing.assert_allclose(rows.toarray(), make().toarray() * 100 * scale, rtol=1e-5)


# -------------------------------------------------------------------------------------- weighting

COUNTS = hnp.arrays(np.float32, (5, 4), elements=st.sampled_from([0.0, 0.0, 1.0, 3.0, 0.25]))


@given(COUNTS, COUNTS)
def test_tfidf_as_scikit_learn_does_it(X, other):
    theirs = TfidfTransformer().fit(X)
    ready, rows = fit(sp.csr_matrix(X), "tfidf")
    np.testing.assert_allclose(rows.toarray(), theirs.transform(X).toarray(), rtol=1e-5)
    np.testing.assert_allclose(ready.idf_, theirs.idf_, rtol=1e-6)
    assert rows.dtype == ready.idf_.dtype == np.float32
    later = ready._transform(ReadyRows(sp.csr_matrix(other)))
    np.testing.assert_allclose(later.toarray(), theirs.transform(other).toarray(), rtol=1e-5)


@given(hnp.arrays(np.float32, (4, 3), elements=st.floats(-9, 9, width=32, allow_subnormal=False)))
def test_rows_of_length_one(X):
    ready, rows = fit(sp.csr_matrix(X), "l2")
    # scikit-learn's Normalizer does the same, but leaves rows alone that are shorter than 2e-15.
    lengths = np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)
    expected = X / np.where(lengths == 0, 1, lengths)
    np.testing.assert_allclose(rows.toarray(), expected, rtol=1e-5, atol=1e-9)
    assert ready.scale_ == 1


def test_stored_zeros_are_in_no_document():
    X = sp.csr_matrix(([0.0, 1.0, 2.0], ([0, 1, 1], [0, 0, 1])), shape=(3, 2))
    assert (
        fit(X, "tfidf")[0].idf_.tolist()
        == fit(sp.csr_matrix(X.toarray()), "tfidf")[0].idf_.tolist()
    )


@pytest.mark.parametrize("weighting", ["tfidf", "l2"])
def test_weighted_rows_of_any_size(weighting):
    X = np.array([[3e38, 3e38, 0], [1e-30, 0, 0], [0, 0, 0]], dtype=np.float32)
    given_rows = sp.csr_matrix(X)
    before = given_rows.data.copy()
    _, rows = fit(given_rows, weighting)
    lengths = np.sqrt((rows.toarray().astype(float) ** 2).sum(axis=1))
    np.testing.assert_allclose(lengths, [1, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(given_rows.data, before)


def test_tfidf_takes_no_negative_values():
    X = np.array([[0, 1], [2, 0], [1, -3]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"X holds -3 in row 2, but .*'tfidf' takes counts"):
        fit(sp.csr_matrix(X), "tfidf")
    ready, _ = fit(sp.csr_matrix(np.abs(X)), "tfidf")
    with pytest.raises(ValueError, match="give numbers from 0 on, or sparse_weighting='l2'"):
        ready._transform(ReadyRows(sp.csr_matrix(X)))


def test_document_frequencies_stay_when_training_goes_on():
    first, second = make(), make(seed=1)
    ready, _ = fit(first, "tfidf")
    idf = ready.idf_.copy()
    rows = ready._partial_fit(ReadyRows(second))
    np.testing.assert_array_equal(ready.idf_, idf)
    expected = TfidfTransformer().fit(first).transform(second)
    np.testing.assert_allclose(rows.toarray(), expected.toarray(), rtol=1e-5)


def test_an_unknown_weighting():
    with pytest.raises(ValueError, match='sparse_weighting=\'bm25\': give "tfidf", "l2" or None'):
        ReadyFeatures("bm25")


def test_rows_of_labels_are_counted():
    ready, _ = fit(make(3), targets=np.array([0, 2, 0]))
    assert (ready.label_rows_.tolist(), ready.n_rows_) == ([2, 0, 1], 3)
    sets = np.array([0, 2, 2, 3]), np.array([1, 3, 0])
    ready._partial_fit(ReadyRows(make(3)), sets)
    assert (ready.label_rows_.tolist(), ready.n_rows_) == ([3, 1, 1, 1], 6)
    ready._partial_fit(ReadyRows(make(1)), np.array([0]))
    assert (ready.label_rows_.tolist(), ready.n_rows_) == ([4, 1, 1, 1], 7)
    ready._fit_transform(ReadyRows(make(3)), sets)  # starts anew
    assert (ready.label_rows_.tolist(), ready.n_rows_) == ([1, 1, 0, 1], 3)
