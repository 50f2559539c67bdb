"""Real text: the bundled questions, and the sets in the folder that UDT_DATA names, if it is there.

Floors are low on purpose: figures are the benchmarks' business, a broken street is this file's.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import udt
from udt import HashingFeaturizer, UDTClassifier
from udt.datasets import load_adult, load_banking77

DATA = Path(os.environ.get("UDT_DATA", "no folder"))
SETS = {
    "trec": ("text", "label_fine"),
    "sst2_glue": ("text", "label"),
    "whats_cooking": ("text", "label"),
    "ag_news": ("text", "label"),
    "dbpedia14_sample": ("text", "label"),
    "yelp5_sample": ("text", "label"),
    "imdb": ("text", "label"),
    "debian_packages": ("description", "section"),
}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="UDT_DATA names no folder of text sets")


def read(name, n_train=3000, n_test=1000):
    """Rows of a set's training part, in another order, to train on and to check on."""
    text, label = SETS[name]
    table = pq.read_table(DATA / name / "train.parquet", columns=[text, label])
    order = np.random.default_rng(0).permutation(len(table))[: n_train + n_test]
    table = table.take(order)
    labels = np.asarray(table[label].to_pylist())
    split = len(table) - n_test
    return table[text][:split], labels[:split], table[text][split:], labels[split:]


@pytest.fixture(scope="module")
def banking():
    X, y = load_banking77(return_X_y=True)
    X_test, y_test = load_banking77(subset="test", return_X_y=True)
    model = UDTClassifier(random_state=0).fit(X, y)
    return model, list(X_test), np.asarray(y_test)


def test_the_bundled_questions_by_default(banking):
    model, X_test, y_test = banking
    assert len(model.classes_) == 77
    assert model.score(X_test, y_test) > 0.88
    labels, _ = model.predict_topk(X_test)
    assert np.mean((labels == y_test[:, np.newaxis]).any(axis=1)) > 0.95


def test_probabilities_of_the_bundled_questions_mean_something(banking):
    model, X_test, y_test = banking
    probabilities = model.predict_proba(X_test)
    sure = probabilities.max(axis=1)
    right = model.predict(X_test) == y_test
    assert right[sure > 0.9].mean() > right[sure < 0.5].mean() + 0.2
    assert (
        np.mean(np.log(probabilities[np.arange(len(y_test)), model.classes_.searchsorted(y_test)]))
        > -1
    )


def test_one_question_at_a_time(banking):
    model, X_test, _ = banking
    batch = model.predict(X_test[:300])
    rows = [model.predict([text])[0] for text in X_test[:300]]
    assert np.mean(batch == rows) > 0.99  # but for sums in another order


def test_questions_in_a_file(banking, tmp_path):
    model, X_test, _ = banking
    model.save(tmp_path / "banking.udt")
    loaded = udt.load(tmp_path / "banking.udt")
    np.testing.assert_array_equal(loaded.predict_proba(X_test), model.predict_proba(X_test))


def test_threads_change_no_bit_on_the_bundled_questions():
    X, y = load_banking77(return_X_y=True)
    answers = []
    for n_jobs in (1, 2, 4):
        model = UDTClassifier(random_state=0, max_iter=1, batch_size=256, n_jobs=n_jobs)
        answers.append(model.fit(X, y).predict_proba(X[:500]))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_about_as_good_as_logistic_regression_on_the_same_hashes():
    X, y = (np.asarray(part) for part in load_banking77(return_X_y=True))
    X_test, y_test = (np.asarray(part) for part in load_banking77(subset="test", return_X_y=True))
    some = np.unique(y)[:12]
    is_train, is_test = np.isin(y, some), np.isin(y_test, some)
    featurizer = HashingFeaturizer().fit(X[is_train])
    features, features_test = (
        featurizer.transform(X[is_train]),
        featurizer.transform(X_test[is_test]),
    )
    reference = LogisticRegression(C=10, max_iter=300).fit(features, y[is_train])
    ours = UDTClassifier(random_state=0).fit(features, y[is_train])
    expected = reference.score(features_test, y_test[is_test])
    assert expected > 0.9
    assert ours.score(features_test, y_test[is_test]) > expected - 0.02


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_about_as_good_as_a_linear_svm_by_default(name):
    X, y, X_test, y_test = read(name)
    model = UDTClassifier(random_state=0).fit(X, y)
    peer = make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC()).fit(X.to_pylist(), y)
    expected = peer.score(X_test.to_pylist(), y_test)
    assert model.score(X_test, y_test) > expected - 0.03
    probabilities = model.predict_proba(X_test)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@needs_data
def test_upper_case_and_punctuation_do_no_harm():
    # This set's training part is lower-cased and tokenised, its test part is not.
    X, y, X_test, y_test = read("dbpedia14_sample")
    model = UDTClassifier(random_state=0).fit(X, y)
    cased = [text.title().replace(" .", ".").replace(" ,", ",") for text in X_test.to_pylist()]
    assert model.score(cased, y_test) > model.score(X_test, y_test) - 0.02


def test_the_bundled_census_by_default():
    X, y = load_adult(return_X_y=True)
    X_test, y_test = load_adult(subset="test", return_X_y=True)
    model = UDTClassifier(random_state=0).fit(X, y)
    roles = {column.name: column.role for column in model.columns_}
    assert roles["age"] == "number"
    assert roles["workclass"] == "category"
    assert model.score(X_test, y_test) > 0.865
    assert roc_auc_score(y_test == ">50K", model.decision_function(X_test)) > 0.92
    rows = X_test.slice(0, 20).to_pylist()
    expected = model.predict_proba(X_test.slice(0, 20))
    for row, probabilities in zip(rows, expected, strict=True):
        np.testing.assert_allclose(model.predict_proba([row])[0], probabilities, rtol=1e-4)
