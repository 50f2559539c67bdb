"""UDTClassifier: what goes in, what comes out, and model files."""

import json
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from problems import LABELS, TEXTS, TWO, make, make_csr
from sklearn.base import clone
from sklearn.metrics import accuracy_score

import udt

STRING = np.dtypes.StringDType


@pytest.fixture(scope="module")
def model():
    return make(max_iter=20).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def sparse_model():
    return make().fit(*make_csr())


# ------------------------------------------------------------------------------ kinds of X and y

KINDS_OF_TEXT = {
    "tuple": tuple,
    "numpy str": np.array,
    "numpy object": lambda v: np.array(v, dtype=object),
    "numpy StringDType": lambda v: np.array(v, dtype=STRING()),
    "numpy column": lambda v: np.array(v)[:, np.newaxis],
    "pandas default": pd.Series,
    "pandas object": lambda v: pd.Series(v, dtype=object),
    "pandas string[python]": lambda v: pd.Series(v, dtype="string[python]"),
    "pandas ArrowDtype": lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.string())),
    "pandas category": lambda v: pd.Series(v, dtype="category"),
    "pandas frame": lambda v: pd.DataFrame({"text": v}, index=range(5, 5 + len(v))),
    "polars": pl.Series,
    "polars frame": lambda v: pl.DataFrame({"text": v}),
    "arrow": pa.array,
    "arrow chunks": lambda v: pa.chunked_array([v[:5], v[5:]]),
    "arrow table": lambda v: pa.table({"text": v}),
}


@pytest.mark.parametrize("kind", KINDS_OF_TEXT)
def test_every_kind_of_text_column_gives_the_same_model(kind, model):
    make_X = KINDS_OF_TEXT[kind]
    expected = model.predict_proba(TEXTS)
    other = make(max_iter=20).fit(make_X(TEXTS), LABELS)
    np.testing.assert_array_equal(other.predict_proba(TEXTS), expected)
    np.testing.assert_array_equal(model.predict_proba(make_X(TEXTS)), expected)
    assert model.predict(make_X(TEXTS)).tolist() == model.predict(TEXTS).tolist()
    assert model.score(make_X(TEXTS), LABELS) == model.score(TEXTS, LABELS)
    assert other.n_features_in_ == 1


def unsorted_with_duplicates(X):
    """Split each value in two, and turn each row around."""
    indices, data, indptr = [], [], [0]
    for first, last in zip(X.indptr, X.indptr[1:], strict=False):
        indices += [*X.indices[first:last][::-1]] * 2
        data += [*(X.data[first:last][::-1] / 2)] * 2
        indptr.append(len(indices))
    return sp.csr_matrix((np.float32(data), np.array(indices), np.array(indptr)), shape=X.shape)


KINDS_OF_SPARSE = {
    "float64": lambda X: X.astype(np.float64),
    "int64 indices": lambda X: sp.csr_matrix(
        (X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape
    ),
    "csr array": sp.csr_array,
    "csc": lambda X: X.tocsc(),
    "csc array": sp.csc_array,
    "coo": lambda X: X.tocoo(),
    "unsorted with duplicates": unsorted_with_duplicates,
}


@pytest.mark.parametrize("kind", KINDS_OF_SPARSE)
def test_every_kind_of_sparse_matrix_gives_the_same_model(kind, sparse_model):
    X, y = make_csr()
    other_X = KINDS_OF_SPARSE[kind](X)
    before = other_X.copy()
    expected = sparse_model.predict_proba(X)
    other = make().fit(other_X, y)
    np.testing.assert_array_equal(other.predict_proba(other_X), expected)
    np.testing.assert_array_equal(sparse_model.predict_proba(other_X), expected)
    assert sparse_model.score(other_X, y) == sparse_model.score(X, y)
    assert (other_X != before).nnz == 0  # the caller's matrix is as it was
    assert other_X.nnz == before.nnz
    assert other.n_features_in_ == 30
    assert other.columns_ == ()


def test_whole_numbers_serve_as_features():
    X, y = make_csr()
    counts = (X * 10).astype(np.int64)
    as_float = make().fit(counts.astype(np.float32), y).predict_proba(counts.astype(np.float32))
    np.testing.assert_array_equal(make().fit(counts, y).predict_proba(counts), as_float)


def test_the_unit_of_the_features_does_not_matter():
    X, y = make_csr()
    expected = make(max_iter=10).fit(X, y).predict_proba(X)
    for factor in (1024.0, 1 / 1024, 2.0**-60):
        scaled = X * np.float32(factor)
        model = make(max_iter=10).fit(scaled, y)
        np.testing.assert_allclose(model.predict_proba(scaled), expected, rtol=1e-3, atol=1e-4)


KINDS_OF_LABELS = {
    "str": LABELS,
    "object": np.array(LABELS, dtype=object),
    "int8": np.array([len(label) for label in LABELS], dtype=np.int8),
    "int64": [-len(label) for label in LABELS],
    "uint16": np.array([len(label) for label in LABELS], dtype=np.uint16),
    "bool": [label == "pin" for label in LABELS],
    "float": [float(len(label)) for label in LABELS],
    "float32": np.array([len(label) for label in LABELS], dtype=np.float32),
    "dates": np.array([f"2020-01-{len(label):02}" for label in LABELS], dtype="M8[D]"),
    "pandas": pd.Series(LABELS),
    "pandas Categorical": pd.Categorical(LABELS),
    "pandas Int64": pd.Series([len(label) for label in LABELS], dtype="Int64"),
    "pandas ArrowDtype": pd.Series(LABELS, dtype=pd.ArrowDtype(pa.string())),
    "pandas frame": pd.DataFrame({"y": LABELS})["y"],
    "polars": pl.Series(LABELS),
    "polars Categorical": pl.Series(LABELS, dtype=pl.Categorical),
    "arrow": pa.array(LABELS),
}


@pytest.mark.parametrize("kind", KINDS_OF_LABELS)
def test_labels_keep_their_dtype_everywhere(kind, tmp_path):
    y = KINDS_OF_LABELS[kind]
    plain = np.asarray(y)
    model = make(max_iter=20).fit(TEXTS, y)
    np.testing.assert_array_equal(model.classes_, np.unique(plain))
    assert model.classes_.dtype == plain.dtype
    model.save(tmp_path / "model.udt")
    joblib.dump(model, tmp_path / "model.joblib")
    for copy in (
        model,
        udt.load(tmp_path / "model.udt"),
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model.joblib"),
        clone(model).fit(TEXTS, y),
    ):
        assert copy.classes_.dtype == plain.dtype
        np.testing.assert_array_equal(copy.classes_, model.classes_)
        predicted = copy.predict(TEXTS)
        assert predicted.dtype == plain.dtype
        assert predicted.shape == (len(TEXTS),)
        assert np.mean(predicted == plain) == 1
        assert copy.predict(TEXTS[:1]).dtype == plain.dtype
        assert copy.predict_topk(TEXTS, 2)[0].dtype == plain.dtype
        np.testing.assert_array_equal(copy.predict_proba(TEXTS), model.predict_proba(TEXTS))
    if plain.dtype.kind != "M":  # which scikit-learn's metrics do not take
        assert model.score(TEXTS, y) == 1


# --------------------------------------------------------------------------------------- answers


def test_the_texts_are_learnt(model):
    assert model.score(TEXTS, LABELS) == 1
    assert model.predict(["lost!", "PIN", "top up"]).tolist() == ["lost", "pin", "top-up"]


def test_probabilities(model):
    for X in (TEXTS, TEXTS[:1]):
        probabilities = model.predict_proba(X)
        assert probabilities.dtype == np.float32
        assert probabilities.shape == (len(X), 3)
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        best = model.classes_[probabilities.argmax(axis=1)]
        np.testing.assert_array_equal(best, model.predict(X))


def test_decision_function_of_many_classes(model):
    for X in (TEXTS, TEXTS[:1]):
        logits = model.decision_function(X)
        assert logits.shape == (len(X), 3)
        assert logits.dtype == np.float32
        e = np.exp(logits.astype(float))
        softmax = e / e.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict_proba(X), softmax, rtol=1e-4, atol=1e-6)


def test_decision_function_of_two_classes():
    model = make(max_iter=20).fit(TEXTS, TWO)
    for X in (TEXTS, TEXTS[:1]):
        logits = model.decision_function(X)
        assert logits.shape == (len(X),)
        predicted = np.where(logits > 0, model.classes_[1], model.classes_[0])
        np.testing.assert_array_equal(predicted, model.predict(X))
        sigmoid = 1 / (1 + np.exp(-logits.astype(float)))
        np.testing.assert_allclose(model.predict_proba(X)[:, 1], sigmoid, rtol=1e-4, atol=1e-6)


def test_topk(model):
    probabilities = model.predict_proba(TEXTS)
    for k in (1, 2, 3, np.int64(2)):
        labels, best = model.predict_topk(TEXTS, k)
        assert labels.shape == best.shape == (len(TEXTS), k)
        assert best.dtype == np.float32
        assert (np.diff(best, axis=1) <= 0).all()
        columns = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(labels, model.classes_[columns])
        np.testing.assert_array_equal(best, np.take_along_axis(probabilities, columns, axis=1))


def test_topk_orders_ties_by_class():
    model = make(min_df=1000).fit(TEXTS[:6], LABELS[:6])  # nothing but the bias, equal for all
    model.network_.bias[:] = 0
    labels, best = model.predict_topk(["a", "b"], 3)
    assert labels.tolist() == [["lost", "pin", "top-up"]] * 2
    np.testing.assert_allclose(best, 1 / 3, rtol=1e-6)


def test_five_labels_by_default():
    model = make().fit(TEXTS, np.arange(36) % 6)
    assert model.predict_topk(TEXTS)[0].shape == (36, 5)


def test_score_takes_weights(model):
    wrong = ["lost"] * len(TEXTS)
    weights = np.where(np.array(LABELS) == "lost", 3.0, 1.0)
    expected = accuracy_score(wrong, model.predict(TEXTS), sample_weight=weights)
    assert model.score(TEXTS, wrong, sample_weight=weights) == expected == 0.6


def test_rows_without_a_known_ngram_are_judged_by_the_bias(model):
    unknown = ["zyx", "", "  ", "東京", "\0", "\ud800"]
    logits = model.decision_function(unknown)
    np.testing.assert_allclose(logits, np.tile(model.network_.bias, (6, 1)), atol=1e-6)


def test_missing_texts_count_as_empty(model):
    expected = model.predict_proba(["", "card"])
    for missing in (None, float("nan"), np.nan, pd.NA):
        np.testing.assert_array_equal(model.predict_proba([missing, "card"]), expected)
    np.testing.assert_allclose(model.predict_proba([None]), expected[:1], rtol=1e-5)
    # Also in training.
    texts = [None, *TEXTS[1:]]
    first = make().fit(texts, LABELS).predict_proba(TEXTS)
    texts[0] = ""
    np.testing.assert_array_equal(make().fit(texts, LABELS).predict_proba(TEXTS), first)


def test_training_on_odd_texts():
    odd = ["\ud800", "👩‍👩‍👧", "a\0b", "  ", "", None, "東京", "ß" * 1000] * 3
    labels = (["x", "y"] * 4) * 3
    probabilities = make(min_df=1).fit(odd, labels).predict_proba(odd)
    assert np.isfinite(probabilities).all()


def test_texts_that_are_all_empty_leave_the_bias():
    model = make(max_iter=20).fit(["", " ", None] * 4, ["a", "a", "b"] * 4)
    assert model.network_.wide.shape == (0, 2)
    assert model.predict(["x", "y"]).tolist() == ["a", "a"]
    assert model.predict(["x"]).tolist() == ["a"]


def test_features_that_are_all_zero_leave_the_bias():
    model = make(max_iter=20).fit(sp.csr_matrix((9, 4)), ["a", "a", "b"] * 3)
    assert model.predict(sp.csr_matrix((2, 4))).tolist() == ["a", "a"]


def test_two_rows_are_enough():
    model = make(min_df=1, max_iter=50).fit(["good film", "bad film"], ["pos", "neg"])
    assert model.predict(["good", "bad"]).tolist() == ["pos", "neg"]


def test_a_text_of_a_hundred_megabytes():
    model = make(max_iter=20, char_ngrams=None).fit(TEXTS, LABELS)
    text = ("card lost " + "x" * 990) * 100_000
    assert len(text) == 10**8
    assert model.predict([text]).tolist() == ["lost"]


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_a_class_for_each_row():
    model = make(min_df=1, max_iter=2).fit(TEXTS, np.arange(36))
    assert model.predict_proba(TEXTS).shape == (36, 36)


# ----------------------------------------------------------------------------------------- files


def test_a_model_file_holds_all(model, tmp_path):
    model.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    assert loaded.get_params() == model.get_params()
    assert repr(loaded) == repr(model)
    for name in ("n_iter_", "loss_curve_", "validation_scores_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(model, name)
    for method in ("predict", "predict_proba", "decision_function"):
        for X in (TEXTS, ["my card"], ["東京 card", ""]):
            expected = getattr(model, method)(X)
            np.testing.assert_array_equal(getattr(loaded, method)(X), expected)
    for ours, theirs in zip(
        loaded.predict_topk(TEXTS, 2), model.predict_topk(TEXTS, 2), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    # It trains again, and is saved again, as the first.
    again = clone(loaded).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))
    loaded.save(tmp_path / "copy.udt")
    assert (tmp_path / "copy.udt").read_bytes() == (tmp_path / "model.udt").read_bytes()


def test_a_model_of_ready_features_in_a_file(sparse_model, tmp_path):
    X, _ = make_csr()
    sparse_model.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    np.testing.assert_array_equal(loaded.predict_proba(X), sparse_model.predict_proba(X))
    assert loaded.n_features_in_ == 30


@pytest.mark.parametrize(
    "parameters",
    [
        {"word_ngrams": (1, 3), "char_ngrams": None},
        {"class_weight": {"lost": 2, "pin": 0.5}},
        {"class_weight": "balanced", "n_jobs": 1, "strip_accents": True},
        {"max_iter": np.int64(3), "dropout": np.float32(0.25), "wide": np.True_},
        {"random_state": None},
    ],
    ids=str,
)
def test_parameters_in_a_file(parameters, tmp_path):
    model = make(**parameters).fit(TEXTS, LABELS)
    model.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    assert loaded.get_params() == model.get_params()
    assert loaded.fit(TEXTS, LABELS).n_iter_ == model.n_iter_


def test_class_weights_by_number_in_a_file(tmp_path):
    model = make(class_weight={3: 1.0, 4: 2.0, 6: 1.0}).fit(TEXTS, [len(label) for label in LABELS])
    model.save(tmp_path / "model.udt")
    assert udt.load(tmp_path / "model.udt").class_weight == model.class_weight


def test_a_generator_is_not_part_of_a_file(tmp_path):
    model = make(random_state=np.random.RandomState(3)).fit(TEXTS, LABELS)
    model.save(tmp_path / "model.udt")
    assert udt.load(tmp_path / "model.udt").random_state is None
    assert isinstance(model.random_state, np.random.RandomState)


def test_a_file_of_something_else_is_no_model(tmp_path):
    from udt.persistence import ModelFileError, read_model, write_model

    path = tmp_path / "model.udt"
    with pytest.raises(FileNotFoundError):
        udt.load(path)
    path.write_text("card,lost\n" * 100)
    with pytest.raises(ModelFileError):
        udt.load(path)
    # Whole by its checksum, but not what a classifier writes.
    make().fit(TEXTS, LABELS).save(path)
    meta, arrays = read_model(path)
    arrays = {name: array.copy() for name, array in arrays.items()}
    for broken in (
        {},
        meta | {"params": {"n_epochs": 3}},
        meta | {"params": None},
        meta | {"labels": {"dtype": "O8"}},
        meta | {"label_format": {"kind": "multiclass", "colour": "red"}},
        meta | {"features": {}},
        meta | {"arrays": []},
    ):
        write_model(path, json.loads(json.dumps(broken)), arrays)
        with pytest.raises(ModelFileError, match=r"model\.udt"):
            udt.load(path)
    for name in arrays:
        rest = {other: array for other, array in arrays.items() if other != name}
        write_model(path, meta, rest)
        with pytest.raises(ModelFileError, match=r"model\.udt"):
            udt.load(path)
