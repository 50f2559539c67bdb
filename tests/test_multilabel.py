"""Any number of labels a row: what goes in, what comes out, and the tools around it."""

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from problems import TEXTS, make, make_csr
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from test_classifier_training import bits, same, state

import udt

#: Which of three labels a text has; the first text has none.
NAMES = ["card", "lost", "my"]
LISTS = [[name for name in NAMES if name in text.split()] for text in TEXTS]
DENSE = np.array([[name in labels for name in NAMES] for labels in LISTS], dtype=np.int64)
KINDS = {
    "lists": LISTS,
    "tuples": [tuple(labels) for labels in LISTS],
    "sets": [set(labels) for labels in LISTS],
    "arrays of str": [np.array(labels, dtype=str) for labels in LISTS],
    "series of lists": pd.Series(LISTS),
    "polars lists": pl.Series(LISTS),
    "dense": DENSE,
    "dense bool": DENSE.astype(bool),
    "dense float": DENSE.astype(np.float32),
    "dense frame": pd.DataFrame(DENSE, columns=NAMES),
    "rows of numbers": DENSE.tolist(),
    "rows of arrays": list(DENSE),
    "csr": sp.csr_matrix(DENSE),
    "csr array": sp.csr_array(DENSE),
    "csc": sp.csc_matrix(DENSE),
    "coo bool": sp.coo_matrix(DENSE.astype(bool)),
}


def as_dense(answer):
    if isinstance(answer, list):
        return np.array([[name in labels for name in NAMES] for labels in answer], dtype=np.int64)
    return np.asarray(answer.todense() if sp.issparse(answer) else answer)


@pytest.fixture(scope="module")
def model():
    return make(max_iter=20).fit(TEXTS, LISTS)


# ---------------------------------------------------------------------------------- in and out


@pytest.mark.parametrize("kind", KINDS)
def test_labels_come_out_as_they_went_in(kind, model):
    y = KINDS[kind]
    other = make(max_iter=20).fit(TEXTS, y)
    assert bits(other) == bits(model)  # whatever way labels are written
    is_lists = re.search("lists|tuples|sets|str", kind)
    for rows in (TEXTS, TEXTS[:1]):
        answer = other.predict(rows)
        np.testing.assert_array_equal(as_dense(answer), DENSE[: len(rows)])
        if is_lists:
            assert answer == LISTS[: len(rows)]
        elif sp.issparse(y):
            assert isinstance(answer, sp.csr_matrix)
            assert answer.dtype == y.dtype
        else:
            assert isinstance(answer, np.ndarray)
            assert answer.shape == (len(rows), 3)
            assert answer.dtype == np.asarray(y).dtype
    assert other.classes_.tolist() == (NAMES if is_lists else [0, 1, 2])
    assert other.score(TEXTS, y) == 1


def test_labels_of_numbers():
    y = [[10 * len(name) for name in labels] for labels in LISTS]
    model = make(max_iter=20).fit(TEXTS, y)
    assert model.classes_.tolist() == [20, 40]  # two words have four letters
    assert model.predict(TEXTS) == [sorted(set(labels)) for labels in y]
    assert all(type(label) is int for labels in model.predict(TEXTS) for label in labels)


def test_probabilities(model):
    for rows in (TEXTS, TEXTS[:1]):
        probabilities = model.predict_proba(rows)
        assert probabilities.shape == (len(rows), 3)
        assert probabilities.dtype == np.float32
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        logits = model.decision_function(rows)
        assert logits.shape == (len(rows), 3)
        sigmoid = 1 / (1 + np.exp(-logits.astype(float)))
        np.testing.assert_allclose(probabilities, sigmoid, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(as_dense(model.predict(rows)), probabilities >= 0.5)


def test_two_labels_have_two_columns():
    y = DENSE[:, :2]
    model = make(max_iter=20).fit(TEXTS, y)
    assert model.decision_function(TEXTS).shape == (36, 2)
    assert model.predict_proba(TEXTS).shape == (36, 2)
    np.testing.assert_array_equal(model.predict(TEXTS), y)


def test_one_label_that_some_rows_have():
    y = [["card"] if "card" in text else [] for text in TEXTS]
    model = make(max_iter=20).fit(TEXTS, y)
    assert model.classes_.tolist() == ["card"]
    assert model.predict(TEXTS) == y
    assert model.predict_proba(TEXTS).shape == (36, 1)
    assert model.decision_function(TEXTS).shape == (36, 1)
    sparse = sp.csr_matrix(np.array([[bool(labels)] for labels in y], dtype=int))
    answer = make(max_iter=20).fit(TEXTS, sparse).predict(TEXTS)
    assert (answer != sparse).nnz == 0


def test_topk(model):
    probabilities = model.predict_proba(TEXTS)
    for rows in (TEXTS, TEXTS[:1]):
        labels, best = model.predict_topk(rows, 2)
        assert labels.shape == best.shape == (len(rows), 2)
        order = np.argsort(-model.decision_function(rows), axis=1, kind="stable")[:, :2]
        np.testing.assert_array_equal(labels, model.classes_[order])
        np.testing.assert_allclose(
            best, np.take_along_axis(probabilities[: len(rows)], order, axis=1), rtol=1e-5
        )
    with pytest.raises(ValueError, match="k=4: give 1 to 3"):
        model.predict_topk(TEXTS, 4)


def test_a_row_alone_is_as_in_a_batch(model):
    for text in [*TEXTS[:6], "", "東京", "never seen"]:
        assert model.predict([text]) == model.predict([text, text])[:1]
        np.testing.assert_allclose(
            model.predict_proba([text]), model.predict_proba([text, ""])[:1], rtol=1e-4, atol=1e-6
        )


def test_score_is_the_share_of_rows_that_are_all_right(model):
    wrong = [labels if i % 4 else ["card", "lost", "my"] for i, labels in enumerate(LISTS)]
    truth, found = as_dense(wrong), as_dense(model.predict(TEXTS))
    assert model.score(TEXTS, wrong) == accuracy_score(truth, found)
    weights = np.arange(1.0, 37)
    expected = accuracy_score(truth, found, sample_weight=weights)
    assert model.score(TEXTS, wrong, sample_weight=weights) == pytest.approx(expected)
    with pytest.raises(ValueError, match="y has 35 rows"):
        model.score(TEXTS, LISTS[:-1])


# -------------------------------------------------------------------------------- rows and columns


def test_a_table_with_sets_of_labels():
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": random.normal(size=200), "city": random.choice(["Rome", "Oslo", None], 200)}
    )
    y = [
        ["big"] * (size > 0) + ["north"] * (city == "Oslo")
        for size, city in zip(frame["size"], frame["city"], strict=True)
    ]
    model = make(max_iter=20).fit(frame, y)
    assert model.score(frame, y) > 0.97
    assert model.predict(frame.iloc[[3]]) == model.predict(frame)[3:4]
    row = {"size": 1.0, "city": "Oslo"}
    assert model.predict([row]) == model.predict([row, row])[:1] == [["big", "north"]]


def test_ready_features_with_sets_of_labels():
    X, _ = make_csr(n=90)
    y = np.asarray((X[:, :4] > 0.2).todense()).astype(int)
    model = make(max_iter=60).fit(X, y)
    assert f1_score(y, model.predict(X), average="micro") > 0.9


def test_rows_without_a_label(model):
    assert [] in LISTS
    assert model.predict(["where is the PIN?"]) == [[]]
    with pytest.raises(ValueError, match="y gives no row a label"):
        make().fit(TEXTS, [[]] * 36)
    mostly = [["rare"]] + [[]] * 35
    assert np.isfinite(make().fit(TEXTS, mostly).predict_proba(TEXTS)).all()


def test_a_column_without_a_row():
    y = np.column_stack([DENSE, np.zeros(36, dtype=int), np.ones(36, dtype=int)])
    model = make(max_iter=20).fit(TEXTS, y)
    answer = model.predict(TEXTS)
    assert not answer[:, 3].any()
    assert answer[:, 4].all()


def test_a_row_of_weight_zero_is_left_out():
    used = np.arange(36) % 4 != 0
    weighted = make().fit(TEXTS, DENSE, sample_weight=used.astype(float))
    left = make().fit(np.array(TEXTS)[used], DENSE[used])
    assert bits(weighted) == bits(left)


def test_class_weights_raise_a_label():
    X, y = ["tie"] * 40, [["common"]] * 30 + [["common", "rare"]] * 10
    plain = make(min_df=1, max_iter=40).fit(X, y)
    raised = make(min_df=1, max_iter=40, class_weight={"rare": 9.0}).fit(X, y)
    assert plain.predict(["tie"]) == [["common"]]
    assert raised.predict(["tie"]) == [["common", "rare"]]
    for weights, message in [
        ("balanced", "class_weight='balanced': where rows have any number of labels"),
        ({"other": 2}, "class_weight has the label 'other', which is not in y"),
        ({"lost": 0}, r"class_weight\['lost'\] is 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(class_weight=weights).fit(TEXTS, LISTS)


def test_propensities_raise_rare_labels():
    X, y = ["tie"] * 200, [["common"]] * 140 + [["common", "rare"]] * 60
    options = {"min_df": 1, "max_iter": 20}
    plain = make(**options).fit(X, y).predict_proba(["tie"])[0]
    raised = make(**options, class_weight="propensity").fit(X, y).predict_proba(["tie"])[0]
    assert raised[1] > plain[1] + 0.02
    with pytest.raises(ValueError, match='propensity" is for rows of any number of labels'):
        make(class_weight="propensity").fit(TEXTS, [str(len(text)) for text in TEXTS])
    with pytest.raises(ValueError, match="class_weight='propensity' needs all rows at once"):
        make(class_weight="propensity").partial_fit(TEXTS, LISTS, classes=NAMES)


@pytest.mark.parametrize("weighting", ["tfidf", "l2"])
def test_weighted_ready_features(weighting):
    X, _ = make_csr(n=90)
    y = np.asarray((X[:, :4] > 0.2).todense()).astype(int)
    transformer = TfidfTransformer(norm="l2", use_idf=weighting == "tfidf")
    weighted = make(sparse_weighting=weighting).fit(X, y).predict_proba(X)
    by_hand = transformer.fit_transform(X).astype(np.float32)
    np.testing.assert_allclose(weighted, make().fit(by_hand, y).predict_proba(by_hand), atol=1e-2)
    # It is of no account where features are made of texts.
    texts = make(sparse_weighting=weighting).fit(TEXTS, LISTS)
    assert bits(texts) == bits(make().fit(TEXTS, LISTS))
    with pytest.raises(ValueError, match="sparse_weighting='idf': give"):
        make(sparse_weighting="idf").fit(TEXTS, LISTS)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (DENSE * 2, r"y\[0, 0\] is 2"),
        (DENSE[:-1], "y has 35 rows of labels, but there are 36 rows"),
        (LISTS[:-1], "y has 35 rows of labels, but there are 36 rows"),
        ([*LISTS[:-1], [None]], "missing label"),
        ([*LISTS[:-1], ["a", 3]], "hold int, str"),
        ([*LISTS[:-1], "card"], "y\\[35\\] is 'card', but other rows are lists"),
        (sp.csr_matrix(DENSE) * 3, r"y\[0, 0\] is 3"),
        (DENSE.astype(float) * np.nan, r"y\[0, 0\] is nan"),
    ],
    ids=str,
)
def test_labels_that_are_none(y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make().fit(TEXTS, y)


# -------------------------------------------------------------------------- threshold, validation


def test_a_lower_threshold_gives_more_labels():
    counts = []
    for threshold in (0.01, 0.3, 0.5, np.float32(0.9), 0.99):
        model = make(threshold=threshold, max_iter=3).fit(TEXTS, LISTS)
        assert model.threshold_ == pytest.approx(float(threshold))
        probabilities = model.predict_proba(TEXTS)
        found = as_dense(model.predict(TEXTS))
        np.testing.assert_array_equal(found, probabilities >= np.float32(model.threshold_))
        counts.append(found.sum())
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_a_threshold_that_is_tuned():
    X_val, y_val = TEXTS[:12], LISTS[:12]
    model = make(threshold="tuned", max_iter=1).fit(TEXTS, LISTS, X_val=X_val, y_val=y_val)
    assert 0 < model.threshold_ < 1
    assert bits(model) == bits(make(max_iter=1).fit(TEXTS, LISTS))
    truth, probabilities = as_dense(y_val), model.predict_proba(X_val)
    scores = [
        f1_score(truth, probabilities >= cut, average="micro", zero_division=0)
        for cut in np.arange(1, 1000) / 1000
    ]
    ours = f1_score(truth, as_dense(model.predict(X_val)), average="micro")
    assert ours == pytest.approx(max(scores))
    # Without rows of its own, it holds some out.
    assert 0 < make(threshold="tuned", validation_fraction=0.4).fit(TEXTS, LISTS).threshold_ < 1
    with pytest.raises(ValueError, match='threshold="tuned": none of 2 rows can be held out'):
        make(threshold="tuned").fit(["a", "b"], [["x"], ["y"]])


def test_a_threshold_means_nothing_for_one_label_a_row():
    y = ["card" if "card" in text else "other" for text in TEXTS]
    first = make(threshold=0.9).fit(TEXTS, y)
    assert first.predict(TEXTS).tolist() == make().fit(TEXTS, y).predict(TEXTS).tolist()
    assert make(threshold="tuned").fit(TEXTS, y).predict(TEXTS).shape == (36,)


def test_early_stopping():
    model = make(early_stopping=True, max_iter=60, n_iter_no_change=3, validation_fraction=0.4)
    model.fit(TEXTS, LISTS)
    assert len(model.validation_scores_) == model.n_iter_ < 60
    assert all(0 <= score <= 1 for score in model.validation_scores_)
    watched = make(max_iter=4).fit(TEXTS, LISTS, X_val=TEXTS[:9], y_val=LISTS[:9])
    found = as_dense(watched.predict(TEXTS[:9]))
    expected = f1_score(DENSE[:9], found, average="micro")
    assert watched.validation_scores_[-1] == pytest.approx(expected)
    both = make(early_stopping=True, threshold="tuned", max_iter=8, validation_fraction=0.4)
    assert 0 < both.fit(TEXTS, DENSE).threshold_ < 1


def test_validation_labels_must_be_written_alike():
    one_each = ["card"] * 36
    for y, y_val in [(LISTS, DENSE), (DENSE, LISTS), (DENSE, one_each), (LISTS, one_each)]:
        with pytest.raises(ValueError, match="y_val"):
            make().fit(TEXTS, y, X_val=TEXTS, y_val=y_val)
    # But an indicator may be dense or sparse.
    make().fit(TEXTS, DENSE, X_val=TEXTS, y_val=sp.csr_matrix(DENSE))
    with pytest.raises(ValueError, match="y_val has 2 columns, but there are 3 labels"):
        make().fit(TEXTS, DENSE, X_val=TEXTS, y_val=DENSE[:, :2])
    with pytest.raises(ValueError, match="y_val has the label 'other'"):
        make().fit(TEXTS, LISTS, X_val=TEXTS[:1], y_val=[["other"]])


def test_threads_change_no_bit():
    texts = [f"{text} {i % 97}" for i, text in enumerate(TEXTS * 20)]
    results = {
        bits(make(n_jobs=n, max_iter=2, batch_size=256).fit(texts, LISTS * 20)) for n in (1, 2, 4)
    }
    assert len(results) == 1


def test_a_fit_that_fails_leaves_the_model_as_it_was(model):
    before = state(model)
    for y in (DENSE[:-1], [*LISTS[:-1], [None]], [[]] * 36):
        with pytest.raises(ValueError):
            model.fit(TEXTS, y)
    same(state(model), before)


# -------------------------------------------------------------------------- scikit-learn's tools


def test_pickle_clone_and_file(model, tmp_path):
    model.save(tmp_path / "model.udt")
    for copy in (pickle.loads(pickle.dumps(model)), udt.load(tmp_path / "model.udt")):
        assert copy.predict(TEXTS) == model.predict(TEXTS)
        assert copy.label_format_ == model.label_format_
        np.testing.assert_array_equal(copy.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert bits(clone(model).fit(TEXTS, LISTS)) == bits(model)


def test_cross_validation():
    scores = cross_val_score(make(max_iter=20), np.array(TEXTS), DENSE, cv=3)
    np.testing.assert_array_equal(scores, [1, 1, 1])
    f1 = cross_val_score(make(max_iter=20), np.array(TEXTS), DENSE, cv=3, scoring="f1_micro")
    np.testing.assert_array_equal(f1, [1, 1, 1])
    found = cross_val_predict(make(max_iter=20), np.array(TEXTS), DENSE, cv=3)
    np.testing.assert_array_equal(as_dense(found), DENSE)


@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
def test_cross_validated_probabilities(method):
    found = cross_val_predict(make(max_iter=20), np.array(TEXTS), DENSE, cv=3, method=method)
    assert found.shape == (36, 3)
    np.testing.assert_array_equal(found > (0.5 if method == "predict_proba" else 0), DENSE)


def test_cross_validation_of_lists():
    scores = cross_val_score(make(max_iter=20), TEXTS, LISTS, cv=KFold(3))
    np.testing.assert_array_equal(scores, [1, 1, 1])


def test_a_search_over_a_pipeline_on_a_frame():
    frame = pd.DataFrame({"said": TEXTS, "size": np.arange(36) % 5, "name": ["a", "b"] * 18})
    lower = FunctionTransformer(lambda X: X.assign(said=X["said"].str.lower()))
    pipeline = make_pipeline(lower, make(columns={"said": "text"}))
    grid = {"udtclassifier__max_iter": [1, 20], "udtclassifier__threshold": [0.5, 0.001]}
    search = GridSearchCV(pipeline, grid, cv=3, scoring="f1_micro").fit(frame, DENSE)
    assert search.best_params_["udtclassifier__threshold"] == 0.5
    assert search.predict(frame).shape == (36, 3)
    assert search.best_estimator_[-1].columns_[0].role == "text"


def test_one_label_a_row_in_a_search_over_a_frame():
    frame = pd.DataFrame({"said": TEXTS, "size": np.arange(36) % 5, "name": ["a", "b"] * 18})
    y = ["card" if "card" in text else "other" for text in TEXTS]
    chosen = ColumnTransformer(
        [("kept", "passthrough", ["said", "size"])], verbose_feature_names_out=False
    ).set_output(transform="pandas")
    pipeline = make_pipeline(chosen, make(columns={"said": "text"}))
    search = GridSearchCV(pipeline, {"udtclassifier__max_iter": [1, 20]}, cv=3).fit(frame, y)
    assert search.best_score_ == 1
    assert search.predict_proba(frame.head(1)).shape == (1, 2)
    assert [column.name for column in search.best_estimator_[-1].columns_] == ["said", "size"]
    found = cross_val_predict(pipeline, frame, y, cv=3, method="predict_proba")
    assert found.shape == (36, 2)
