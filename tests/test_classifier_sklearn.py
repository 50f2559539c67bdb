"""UDTClassifier among scikit-learn's tools, in threads, forks and workers."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from problems import LABELS, TEXTS, TWO, make, make_csr
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from tasks import ROOT
from udt import HashingFeaturizer, UDTClassifier
from udt.features.ready import ReadyFeatures

# ------------------------------------------------------------------------ scikit-learn's own checks


CHECKED = UDTClassifier(n_jobs=1)


def expected_failures(estimator):
    reason = "batches of shuffled rows: a weight of two is no two steps of weight one"
    return {
        "check_sample_weight_equivalence_on_dense_data": reason,
        "check_sample_weight_equivalence_on_sparse_data": reason,
    }


@pytest.mark.filterwarnings("ignore")  # some checks give labels that scikit-learn itself warns of
@parametrize_with_checks([CHECKED], expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)  # how many ran is told at the end of the run: see conftest.py


def test_no_tag_dodges_scikit_learns_checks():
    checks = [getattr(check, "func", check) for _, check in estimator_checks_generator(CHECKED)]
    assert len(checks) >= 60
    names = {check.__name__ for check in checks}
    expected = {
        "check_classifiers_multilabel_representation_invariance",
        "check_classifiers_train", "check_complex_data", "check_dtype_object",
        "check_estimator_sparse_matrix", "check_f_contiguous_array_estimator",
        "check_fit2d_1sample", "check_fit2d_1feature", "check_methods_sample_order_invariance",
        "check_n_features_in_after_fitting", "check_readonly_memmap_input",
    }  # fmt: skip
    assert expected <= names
    tags = get_tags(CHECKED)
    assert not (tags._skip_test or tags.no_validation or tags.non_deterministic)
    assert not tags.classifier_tags.poor_score


# ------------------------------------------------------------------------------ an estimator's face


def test_tags():
    tags = get_tags(UDTClassifier())
    assert is_classifier(UDTClassifier())
    assert tags.input_tags.string
    assert tags.input_tags.sparse
    assert tags.input_tags.two_d_array
    assert tags.input_tags.categorical
    assert tags.input_tags.allow_nan
    assert tags.target_tags.required
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label


def test_constructor_arguments_are_kept_untouched():
    given = {
        "word_ngrams": [1, 2],
        "class_weight": {"a": 1},
        "random_state": np.random.RandomState(0),
        "max_iter": np.int64(2),
        "hidden_size": 4,
    }
    model = UDTClassifier(**given)
    for name, value in given.items():
        assert model.get_params()[name] is value
    model.set_params(class_weight=None).fit(TEXTS, LABELS)
    for name in ("word_ngrams", "random_state", "max_iter"):
        assert getattr(model, name) is given[name]


def test_set_params():
    model = make()
    assert model.set_params(max_iter=2, dropout=0.5) is model
    assert model.fit(TEXTS, LABELS).n_iter_ == 2
    with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
        model.set_params(epochs=3)


def test_clone_keeps_parameters_and_forgets_the_fit():
    model = make(hidden_size=3, class_weight="balanced").fit(TEXTS, LABELS)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "network_")
    np.testing.assert_array_equal(
        copy.fit(TEXTS, LABELS).predict_proba(TEXTS), model.predict_proba(TEXTS)
    )


def test_representations():
    assert repr(UDTClassifier(max_iter=2)) == "UDTClassifier(max_iter=2)"
    for model in (UDTClassifier(), make().fit(TEXTS, LABELS)):
        assert "UDTClassifier" in model._repr_html_()


def test_fitted_attributes_are_arrays_and_plain_values():
    model = make(early_stopping=True).fit(TEXTS, LABELS)
    model.predict(["card"])
    fitted = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert {"classes_", "featurizer_", "network_", "n_features_in_", "n_iter_"} <= fitted.keys()
    state = pickle.loads(pickle.dumps(model)).__dict__
    plain = (np.ndarray, int, float, list, dict, str, tuple, type(None))
    objects = {name for name in fitted if not isinstance(state[name], plain)}
    assert objects == {"featurizer_", "network_", "label_format_"}
    featurizer = state["featurizer_"]
    for part in (state["network_"], state["label_format_"], featurizer, *featurizer.texts_):
        assert all(isinstance(value, plain) for value in vars(part).values())


def test_pickles_are_not_larger_than_their_arrays():
    model = make().fit(TEXTS, LABELS)
    before = len(pickle.dumps(model))
    model.predict(["card"])
    model.predict(TEXTS)
    assert len(pickle.dumps(model)) == before < 200_000  # no table of 2**18 hashes


# -------------------------------------------------------------------------- pipelines and searches


def test_in_a_pipeline_on_text():
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = make_pipeline(lower, make(max_iter=20)).fit(TEXTS, LABELS)
    assert pipeline.score(TEXTS, LABELS) == 1
    assert pipeline.predict_proba(["card"]).shape == (1, 3)
    alone = make_pipeline(make(max_iter=20)).fit(pd.Series(TEXTS), pd.Series(LABELS))
    assert alone.predict(pd.Series(TEXTS)).tolist() == LABELS


def test_after_the_featurizer_in_a_pipeline():
    pipeline = make_pipeline(HashingFeaturizer(), make(max_iter=20)).fit(TEXTS, LABELS)
    assert pipeline.score(TEXTS, LABELS) == 1
    assert isinstance(pipeline[-1].featurizer_, ReadyFeatures)
    # What a classifier makes of text itself serves as ready features as well.
    whole = make(max_iter=20).fit(TEXTS, LABELS)
    rows = whole.featurizer_.transform(TEXTS)
    np.testing.assert_allclose(np.sqrt(rows.multiply(rows).sum(axis=1)), 1, rtol=1e-5)
    assert make(max_iter=20).fit(rows, LABELS).predict(rows).tolist() == LABELS


def test_sample_weights_through_a_pipeline():
    weights = np.arange(1.0, 37)
    pipeline = make_pipeline(MaxAbsScaler(), make())
    X, y = make_csr()
    weights = np.arange(1.0, 41)
    pipeline.fit(X, y, udtclassifier__sample_weight=weights)
    direct = make().fit(MaxAbsScaler().fit_transform(X), y, weights)
    np.testing.assert_array_equal(
        pipeline.predict_proba(X), direct.predict_proba(MaxAbsScaler().fit_transform(X))
    )


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_cross_validation(n_jobs, kind):
    scores = cross_val_score(make(max_iter=20), kind(TEXTS), LABELS, cv=3, n_jobs=n_jobs)
    np.testing.assert_array_equal(scores, [1, 1, 1])


def test_cross_validation_in_processes_gives_the_same_bits():
    X, y = make_csr(n=90)
    one, two = (
        cross_val_predict(make(), X, y, cv=3, n_jobs=n_jobs, method="predict_proba")
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_grid_search():
    pipeline = make_pipeline(HashingFeaturizer(), make())
    grid = {"udtclassifier__max_iter": [1, 20], "hashingfeaturizer__word_ngrams": [(1, 1), (1, 2)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(TEXTS, LABELS)
    assert search.best_score_ == 1
    search = GridSearchCV(make(), {"max_iter": [1, 20], "hidden_size": [0, 8]}, cv=3, n_jobs=2)
    search.fit(TEXTS, LABELS)
    assert search.best_score_ == 1
    assert search.predict(["my card"]).tolist() == ["lost"]
    assert search.predict_proba(TEXTS).dtype == np.float32


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("y", [TWO, LABELS], ids=["two", "three"])
def test_calibration(method, y):
    calibrated = CalibratedClassifierCV(make(max_iter=20), method=method, cv=3).fit(TEXTS, y)
    assert calibrated.predict(TEXTS).tolist() == y
    np.testing.assert_allclose(calibrated.predict_proba(TEXTS).sum(axis=1), 1, atol=1e-6)


def test_one_against_the_rest():
    X, y = make_csr(n=90)
    y = np.where(np.asarray(X[:, 6].todense()).ravel() > 0, "third", y)
    several = OneVsRestClassifier(make(max_iter=20)).fit(X, y)
    assert several.score(X, y) > 0.8


# --------------------------------------------------------------------- threads, forks and workers


def test_two_threads_may_predict_with_one_model():
    model = make(n_jobs=2).fit(TEXTS, LABELS)
    expected = model.predict_proba(TEXTS * 50)
    with ThreadPoolExecutor(4) as pool:
        batches = [pool.submit(model.predict_proba, TEXTS * 50) for _ in range(8)]
        rows = [pool.submit(model.predict, [text]) for text in TEXTS * 5]
        for batch in batches:
            np.testing.assert_array_equal(batch.result(), expected)
        labels = [row.result()[0] for row in rows]
    assert labels == model.predict(TEXTS * 5).tolist()


def test_two_threads_may_fit_at_a_time():
    X, y = make_csr(n=600)
    models = [make(n_jobs=2, random_state=seed, batch_size=512) for seed in (0, 1, 2, 0, 1, 2)]
    expected = [clone(model).fit(X, y).predict_proba(X) for model in models]
    with ThreadPoolExecutor(3) as pool:
        fitted = list(pool.map(lambda model: model.fit(X, y), models))
    for model, probabilities in zip(fitted, expected, strict=True):
        np.testing.assert_array_equal(model.predict_proba(X), probabilities)


def _answer(model, X, y, queue):
    queue.put((model.predict_proba(X), clone(model).fit(X, y).predict_proba(X)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # a Python that has other threads
def test_a_fork_after_fit():
    model = make(n_jobs=2, batch_size=512)
    X, y = make_csr(n=600)
    expected = model.fit(X, y).predict_proba(X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_answer, args=(model, X, y, queue))
    child.start()
    try:
        predicted, fitted = queue.get(timeout=100)
        child.join(timeout=100)
        assert child.exitcode == 0
    finally:
        child.kill()
    np.testing.assert_array_equal(predicted, expected)
    np.testing.assert_array_equal(fitted, expected)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_model_whose_arrays_a_worker_maps(n_jobs):
    model = make(n_jobs=n_jobs).fit(TEXTS, LABELS)
    parts = [TEXTS, TEXTS[:1], ["東京 card", ""]]
    # Of one byte on, arrays go to the workers as read-only maps of a file.
    parallel = joblib.Parallel(n_jobs=2, max_nbytes=1)
    answers = parallel(joblib.delayed(model.predict_proba)(part) for part in parts)
    for part, answer in zip(parts, answers, strict=True):
        np.testing.assert_array_equal(answer, model.predict_proba(part))
    X, y = make_csr()
    sparse = make().fit(X, y)
    for answer in parallel(joblib.delayed(sparse.predict_proba)(X) for _ in range(2)):
        np.testing.assert_array_equal(answer, sparse.predict_proba(X))
    for fitted in parallel(joblib.delayed(make().fit)(X, y) for _ in range(2)):
        np.testing.assert_array_equal(fitted.predict_proba(X), sparse.predict_proba(X))


def test_a_joblib_file_that_is_mapped(tmp_path):
    model = make().fit(TEXTS, LABELS)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert not mapped.network_.wide.flags.writeable
    np.testing.assert_array_equal(mapped.predict_proba(TEXTS), model.predict_proba(TEXTS))
    np.testing.assert_array_equal(mapped.predict_proba(["card"]), model.predict_proba(["card"]))


def test_a_pickle_is_read_in_a_fresh_process(tmp_path):
    model = make().fit(TEXTS, LABELS)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    program = """
        import pickle, sys
        sys.path.insert(0, "tests")
        import conftest
        with open(sys.argv[1], "rb") as file:
            model = pickle.load(file)
        print(*model.predict(["my card", "my PIN"]), model.predict(["top up failed"])[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "model.pickle")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = [*model.predict(["my card", "my PIN"]), *model.predict(["top up failed"])]
    assert done.stdout.split() == expected


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make().fit(TEXTS, LABELS)
        model.predict_topk(TEXTS, 2)
        pickle.loads(pickle.dumps(model)).score(TEXTS, LABELS)
