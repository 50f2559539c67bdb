"""UDTClassifier: bad input, and the message that each gets."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from problems import LABELS, TEXTS, make, make_csr
from sklearn.exceptions import NotFittedError

from udt import UDTClassifier, classifier


@pytest.fixture(scope="module")
def model():
    return make().fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def sparse_model():
    return make().fit(*make_csr())


BAD_TEXTS = {
    "a str": ("my card", ValueError, r"X is a single str, 'my card': pass a list of one text"),
    "0-d array": (np.array("card"), ValueError, "X is a single 0-d array.* list of one text"),
    "bytes": (b"card", ValueError, "X is a single bytes"),
    "empty list": ([], ValueError, r"0 sample\(s\).* minimum of 1 is required"),
    "empty array": (np.array([], dtype=str), ValueError, "minimum of 1 is required"),
    "empty frame": (pd.DataFrame({"a": []}, dtype=str), ValueError, "minimum of 1 is required"),
    "bytes inside": (["a", b"b"], TypeError, "row 1 of X is b'b' of type bytes, not str: decode"),
    "bytes array": (np.array([b"a"]), TypeError, r"np.char.decode"),
    "number inside": (["a", 7], TypeError, r"row 1 of X is 7 of type int, not str: .*str\(X\[1\]"),
    "one number": ([7], ValueError, r"Expected 2D array, got 1D array .*reshape\(-1, 1\)"),
    "numbers": (np.zeros(2), ValueError, r"Expected 2D array, got 1D array .*reshape\(-1, 1\)"),
    "generator": ((text for text in TEXTS), TypeError, r"of type generator.*list\(X\)"),
    "None": (None, TypeError, r"X is of type NoneType, where a table \(pandas.* is expected"),
    "number": (3, TypeError, r"X is of type int, where a table \(pandas"),
    "dict": ({"a": 1}, TypeError, r"X is of type dict, where a table .* pass a list of one dict"),
    "three dimensions": (np.zeros((2, 3, 4)), ValueError, r"Found array with dim 3.*\(2, 3, 4\)"),
    "rows of several lengths": ([[1, 2], [3]], ValueError, r"row 1 of X is \[3\] of 1 values"),
    "no column": (pd.DataFrame(index=[0, 1]), ValueError, r"0 feature\(s\)"),
    "two columns of a name": (
        pd.DataFrame([["a", "b"]] * 2, columns=["title", "title"]),
        ValueError,
        "2 columns of the name 'title'.*: rename all but one",
    ),
    "complex": (np.zeros((2, 2), dtype=complex), ValueError, "Complex data not supported"),
}
#: What could train a model, but not this one, of texts.
OTHER_TABLES = {
    "dense numbers": (np.zeros((2, 3)), ValueError, "X has 3 features, but .* is expecting 1 feat"),
    "one dense column": (
        np.zeros((2, 1)),
        TypeError,
        "column 'text' holds numbers, which the role",
    ),
    "two columns": (
        pd.DataFrame({"title": ["a"], "body": ["b"]}),
        ValueError,
        "column 'text' is missing from X, which has 'title', 'body': add it",
    ),
    "two columns in a dict": (
        [{"title": "a", "body": "b"}],
        ValueError,
        "column 'text' is missing from X, which has 'title', 'body': add it",
    ),
    "a number in a dict": ([{"text": 3.0}], TypeError, "column 'text' holds numbers, such as 3.0"),
}
METHODS = ["predict", "predict_proba", "decision_function", "predict_topk"]


@pytest.mark.parametrize("kind", BAD_TEXTS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_x_that_cannot_train(kind, method):
    X, error, message = BAD_TEXTS[kind]
    arguments = {"classes": ["a", "b"]} if method == "partial_fit" else {}
    with pytest.raises(error, match=message):
        getattr(make(), method)(X, ["a", "b"], **arguments)


@pytest.mark.parametrize("kind", [*BAD_TEXTS, *OTHER_TABLES])
@pytest.mark.parametrize("method", METHODS)
def test_x_that_is_no_column_of_text(kind, method, model):
    X, error, message = (BAD_TEXTS | OTHER_TABLES)[kind]
    with pytest.raises(error, match=message):
        model.predict_topk(X, 2) if method == "predict_topk" else getattr(model, method)(X)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(value, sparse_model):
    X, y = make_csr()
    X.data[3] = value
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        make().fit(X, y)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        sparse_model.predict(X)


@pytest.mark.parametrize("value", [1e20, -1e30, 1e38])
def test_features_so_extreme_that_sums_would_overflow(value, sparse_model):
    X, y = make_csr()
    X.data[3] = value
    message = r"X holds a value of size 1e\+\d\d, but rows have a typical length of [\d.]+ in fit"
    with pytest.raises(ValueError, match=message):
        make().fit(X, y)
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(ValueError, match=message):
            getattr(sparse_model, method)(X)


@pytest.mark.parametrize("value", [1e6, 1e14])
def test_large_features_give_finite_answers(value, sparse_model):
    X, y = make_csr()
    X.data[3] = value
    for model in (sparse_model, make().fit(X, y)):
        assert np.isfinite(model.predict_proba(X)).all()
        assert np.isfinite(model.decision_function(X)).all()


def test_a_sparse_matrix_of_no_rows_or_no_columns(sparse_model):
    X, y = make_csr()
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        make().fit(X[:0], [])
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        make().fit(X[:, :0], y)
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        sparse_model.predict(X[:0])


def test_another_number_of_features(sparse_model):
    message = "X has 29 features, but UDTClassifier is expecting 30 features as input"
    with pytest.raises(ValueError, match=message):
        sparse_model.predict(make_csr()[0][:, :29])


def test_another_kind_of_x_than_in_fit(model, sparse_model):
    message = "X is a sparse matrix, but fit was given text or a table: .* X.toarray"
    with pytest.raises(TypeError, match=message):
        model.predict(make_csr()[0])
    for X in (["card"], TEXTS, pd.DataFrame(np.zeros((2, 30)))):
        with pytest.raises(TypeError, match="X is no sparse matrix, but fit was given one: give"):
            sparse_model.predict(X)


def test_an_array_will_do_for_a_sparse_matrix(sparse_model):
    X = make_csr()[0]
    for array in (X.toarray(), X.toarray().astype(np.float64), np.asfortranarray(X.toarray())):
        np.testing.assert_array_equal(
            sparse_model.predict_proba(array), sparse_model.predict_proba(X)
        )
    with pytest.raises(ValueError, match="X has 29 features, but UDTClassifier is expecting 30"):
        sparse_model.predict(X.toarray()[:, :29])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        sparse_model.predict(np.full((1, 30), np.nan))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (LABELS[:-1], "y has 35 labels, but there are 36 rows"),
        (["a"] * 36, "one class only"),
        ([*LABELS[:-1], None], "missing label .* in row 35"),
        ([*LABELS[:-1], float("nan")], "missing label .* in row 35"),
        (np.zeros((36, 2), dtype=int), "y gives no row a label: at least one row must have one"),
        (np.full((36, 2), 3), r"y has more than one column, .* but y\[0, 0\] is 3"),
        (None, "requires y to be passed, but the target y is None"),
        (np.linspace(0, 1, 36), "Unknown label type: .*continuous"),
    ],
)
def test_labels_that_are_none(y, message):
    with pytest.raises(ValueError, match=message):
        make().fit(TEXTS, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_iter": 0}, "max_iter=0: give a whole number from 1 on"),
        ({"batch_size": -1}, "batch_size=-1: give"),
        ({"learning_rate_init": 0}, "learning_rate_init=0: give a positive number"),
        ({"dropout": 1}, "dropout=1: give a number from 0 to below 1"),
        ({"n_jobs": 0}, "n_jobs=0: give None, a positive number"),
        ({"n_jobs": 1.5}, "n_jobs=1.5: give"),
        ({"random_state": "seed"}, "'seed' cannot be used to seed"),
        ({"word_ngrams": (2, 1)}, r"word_ngrams=\(2, 1\): give \(min, max\)"),
        ({"char_ngrams": "all"}, r"char_ngrams='all': give \(min, max\)"),
        ({"word_ngrams": None, "char_ngrams": None}, "give at least one of them"),
        ({"min_df": 0}, "min_df=0: give"),
        ({"n_buckets": 1000}, "n_buckets=1000: give a power of two"),
        ({"tokenizer": 3}, "tokenizer=int object: give None"),
        ({"columns": {"txt": "text"}}, "columns names 'txt', which is no column of X. Did you"),
        ({"columns": {"text": "words"}}, "columns gives 'text' the role 'words': take one of"),
        ({"threshold": 1}, "threshold=1: give a number between 0 and 1"),
        ({"strip_accents": "unicode"}, "strip_accents='unicode': give True or False"),
        ({"class_weight": {"pin": -1}}, r"class_weight\['pin'\] is -1.0"),
        ({"class_weight": "heavy"}, "class_weight.*'heavy'"),
    ],
    ids=str,
)
def test_parameters_out_of_range(parameters, message):
    with pytest.raises(ValueError, match=message):
        make(**parameters).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    "parameters", [{"min_df": 0}, {"n_buckets": 3}, {"word_ngrams": (0, 1)}, {"char_ngrams": "x"}]
)
def test_parameters_of_texts_are_checked_where_there_is_none(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"{name}="):
        make(**parameters).fit(np.eye(4), ["a", "b"] * 2)


def test_an_unknown_parameter():
    with pytest.raises(TypeError, match="n_epochs"):
        UDTClassifier(n_epochs=3)


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_beyond_the_classes(model, k):
    with pytest.raises(ValueError, match=f"k={k}: give 1 to 3, the number of classes"):
        model.predict_topk(TEXTS, k)


@pytest.mark.parametrize("k", [2.0, "2", None, True])
def test_k_that_is_no_whole_number(model, k):
    with pytest.raises(TypeError, match="give a whole number of labels"):
        model.predict_topk(TEXTS, k)


@pytest.mark.parametrize(
    "X", [["card"], TEXTS, "card", make_csr()[0], np.eye(3), [{"a": 1}], None], ids=type
)
def test_predicting_before_fit(X, tmp_path):
    model = make()
    for method in METHODS:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(model, method)(X)
    with pytest.raises(NotFittedError):
        model.score(X, LABELS)
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model.udt")
    assert not list(tmp_path.iterdir())


def test_probabilities_that_would_not_fit_in_memory(sparse_model):
    # Rows without entries cost nothing: 280 million of them would, as (n, 2) float32, take 2.1 GiB.
    n = 280_000_000
    indptr = np.lib.stride_tricks.as_strided(np.zeros(1, np.int32), (n + 1,), (0,))
    X = sp.csr_matrix((1, 30), dtype=np.float32)
    X._shape = (n, 30)
    X.indptr = indptr
    for method in ("predict_proba", "decision_function"):
        with pytest.raises(ValueError, match=r"280000000 rows x 2 classes .* 2\.1 GiB.*topk"):
            getattr(sparse_model, method)(X)


def test_the_limit_of_memory_is_for_the_result(model, monkeypatch):
    monkeypatch.setattr(classifier, "_MAX_DENSE_BYTES", 4 * 3 * 36)
    assert model.predict_proba(TEXTS).shape == (36, 3)
    for X in ([*TEXTS, "one more"], np.array([*TEXTS, "a"]), pa.array([*TEXTS, "a"])):
        with pytest.raises(ValueError, match=r"37 rows x 3 classes .* GiB: use predict_topk"):
            model.predict_proba(X)
        assert model.predict_topk(X, 1)[0].shape == (37, 1)
