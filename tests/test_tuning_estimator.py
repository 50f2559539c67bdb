"""UDTClassifier(tune=...): a classifier like others, and scikit-learn's and Optuna's searches."""

import pickle
import subprocess
import sys
import textwrap
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
from problems import LABELS, TEXTS, TWO, make, make_csr
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import udt
from tasks import ROOT
from udt.threads import Pool
from udt.tuning import search
from udt.tuning.candidate import Candidate

LISTS = [["lost", "any"] if label == "lost" else [] for label in LABELS]


def bits(model):
    return {name: array.tobytes() for name, array in model.network_.arrays().items()}


@pytest.fixture
def better(monkeypatch):
    """Let trials find that min_df=1 and 5 hidden units are better than the defaults."""

    def own_score(self, scored):
        return 0.5 * (self.min_df == 1) + 0.1 * (self.hidden_size in (64, "never"))

    monkeypatch.setattr(Candidate, "_own_score", own_score)


@pytest.fixture
def tuned(better):
    return make(tune=2).fit(TEXTS, LABELS)


# -------------------------------------------------------------------------------------------- fit


def test_fit_searches(tuned):
    assert tuned.best_params_ == {"min_df": 1}
    assert (tuned.tuning_["score"], tuned.tuning_["default_score"]) == (0.5, 0.0)
    assert tuned.tuning_["metric"] == "accuracy"
    assert [trial["number"] for trial in tuned.tuning_["trials"]] == [0, 1]
    assert tuned.tuning_["seconds"] > 0
    assert bits(tuned) == bits(make(min_df=1).fit(TEXTS, LABELS))
    assert tuned.predict(["my card is lost"]).tolist() == ["lost"]


def test_parameters_stay_what_they_were_set_to(tuned):
    assert tuned.get_params() == make(tune=2).get_params()
    assert tuned.min_df == 2


def test_a_time_is_a_budget_too():
    model = make(tune="1s").fit(TEXTS, LABELS)
    assert model.tuning_["trials"][0]["state"] == "complete"


def test_fit_is_what_tune_does():
    model = make(tune=3).fit(TEXTS, LABELS, np.arange(36.0))
    tuning = udt.tune(make(), TEXTS, LABELS, np.arange(36.0), n_trials=3)
    assert model.best_params_ == tuning.best_params
    assert model.tuning_["score"] == tuning.score
    assert bits(model) == bits(tuning.estimator)


def test_without_a_budget_there_is_no_search():
    model = make().fit(TEXTS, LABELS)
    assert model.best_params_ == {}
    assert model.tuning_ is None


def test_names_of_columns_and_features():
    frame = pd.DataFrame({"text": TEXTS, "size": np.arange(36) % 7 / 2})
    model = make(tune=2).fit(frame, TWO)
    assert model.feature_names_in_.tolist() == ["text", "size"]
    assert model.n_features_in_ == 2
    X, y = make_csr()
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 30


def test_rows_to_validate_on_are_what_trials_are_scored_on(monkeypatch):
    seen = []
    measure = Candidate.measure

    def spy(self, scored, scorer):
        seen.append(scored)
        return measure(self, scored, scorer)

    monkeypatch.setattr(Candidate, "measure", spy)
    X_val, y_val = TEXTS[:7], LABELS[:7]
    model = make(tune=2, early_stopping=True, n_iter_no_change=2)
    model.fit(TEXTS, LABELS, X_val=X_val, y_val=y_val, sample_weight_val=np.arange(7))
    assert len({id(scored) for scored in seen}) == 2  # with the sealed rows
    assert any(scored.X is X_val for scored in seen)
    assert len(model.validation_scores_) == model.n_iter_  # the last training sees them as well
    plain = make(early_stopping=True, n_iter_no_change=2)
    plain.fit(TEXTS, LABELS, X_val=X_val, y_val=y_val, sample_weight_val=np.arange(7))
    if not model.best_params_:
        assert bits(model) == bits(plain)


def test_rows_to_validate_on_with_any_number_of_labels():
    model = make(tune=2, threshold="tuned").fit(TEXTS, LISTS, X_val=TEXTS[:6], y_val=LISTS[:6])
    assert model.tuning_["metric"] == "micro_f1"
    assert len(model.tuning_["trials"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X_val": TEXTS}, "y_val is None"),
        ({"X_val": TEXTS, "y_val": ["x"] * 36}, "'x', which is not among the classes"),
        ({"sample_weight_val": [1]}, "needs X_val"),
        ({"sample_weight": [1]}, "sample_weight has shape"),
    ],
)
def test_bad_arguments_leave_the_estimator_as_it_was(tuned, arguments, message):
    before = vars(tuned).copy()
    with pytest.raises(ValueError, match=message):
        tuned.fit(TEXTS, LABELS, **arguments)
    assert vars(tuned) == before


@pytest.mark.parametrize("value", ["soon", "30", 0, -1, True, 2.5, "0s", [3]])
def test_bad_budgets(value):
    with pytest.raises(ValueError, match=r'^tune=.*: give a time such as "30s".*number of trials'):
        make(tune=value).fit(TEXTS, LABELS)


def test_an_interruption_before_any_trial_is_done_leaves_the_estimator_as_it_was(
    tuned, monkeypatch
):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = vars(tuned).copy()
    monkeypatch.setattr(Candidate, "measure", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tuned.fit(TEXTS, TWO)
    assert vars(tuned) == before
    assert tuned.predict(["my card is lost"]).tolist() == ["lost"]


def test_an_interruption_later_keeps_the_best_so_far(monkeypatch):
    def own_score(self, scored):
        if self.char_ngrams == "2-5":
            raise KeyboardInterrupt
        return float(self.min_df == 1)

    monkeypatch.setattr(Candidate, "_own_score", own_score)
    model = make(tune=10).fit(TEXTS, LABELS)
    assert model.best_params_ == {"min_df": 1}
    assert [trial["state"] for trial in model.tuning_["trials"]] == ["complete", "complete", "fail"]


# ------------------------------------------------------------------------------------- afterwards


def test_a_warm_start_and_partial_fit_keep_what_was_found(better, monkeypatch):
    model = make(tune=2, warm_start=True).fit(TEXTS, LABELS)
    told = model.tuning_
    monkeypatch.setattr(search, "search", None)  # which must not be called again
    model.fit(TEXTS, LABELS)
    assert model.best_params_ == {"min_df": 1} and model.tuning_ is told
    model.partial_fit(TEXTS, LABELS)
    assert model.best_params_ == {"min_df": 1} and model.tuning_ is told
    plain = make(min_df=1, warm_start=True).fit(TEXTS, LABELS).fit(TEXTS, LABELS)
    assert bits(model) == bits(plain.partial_fit(TEXTS, LABELS))


def test_going_on_uses_the_rates_that_were_found(monkeypatch):
    def own_score(self, scored):
        return float(self.hidden_rate is not None)

    monkeypatch.setattr(Candidate, "_own_score", own_score)
    by_hand = {"word_ngrams": (1, 1), "char_ngrams": None, "min_df": 1, "dropout": 0.1}
    model = make(tune=3, **by_hand).fit(TEXTS, LABELS)
    assert model.best_params_.keys() == {"hidden_rate"}
    plain = make(**by_hand, **model.best_params_).fit(TEXTS, LABELS)
    assert bits(model) == bits(plain)
    assert bits(model.partial_fit(TEXTS, LABELS)) == bits(plain.partial_fit(TEXTS, LABELS))


def test_partial_fit_alone_does_not_search(monkeypatch):
    monkeypatch.setattr(search, "search", None)
    model = make(tune=2).partial_fit(TEXTS, LABELS, classes=sorted(set(LABELS)))
    assert (model.best_params_, model.tuning_) == ({}, None)


def test_a_plain_fit_forgets_what_was_found(tuned):
    tuned.set_params(tune=None).fit(TEXTS, LABELS)
    assert (tuned.best_params_, tuned.tuning_) == ({}, None)
    assert bits(tuned) == bits(make().fit(TEXTS, LABELS))


def test_another_search_begins_anew(tuned):
    first = bits(tuned)
    assert bits(tuned.fit(TEXTS, LABELS)) == first
    tuned.fit(TEXTS, TWO)
    assert tuned.classes_.tolist() == ["card", "other"]


def test_saved_and_loaded(tuned, tmp_path):
    tuned.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    assert loaded.best_params_ == {"min_df": 1}
    assert loaded.tuning_ is None
    assert loaded.get_params() == tuned.get_params()
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), tuned.predict_proba(TEXTS))
    loaded.save(tmp_path / "again.udt")
    assert (tmp_path / "again.udt").read_bytes() == (tmp_path / "model.udt").read_bytes()
    loaded.partial_fit(TEXTS, LABELS)
    assert loaded.best_params_ == {"min_df": 1}


def test_pickled(tuned):
    again = pickle.loads(pickle.dumps(tuned))
    assert again.best_params_ == tuned.best_params_ and again.tuning_ == tuned.tuning_
    np.testing.assert_array_equal(again.predict_proba(TEXTS), tuned.predict_proba(TEXTS))


def test_a_clone_is_as_if_never_fitted(tuned):
    again = clone(tuned)
    assert again.tune == 2
    assert not hasattr(again, "best_params_")
    assert bits(again.fit(TEXTS, LABELS)) == bits(tuned)


def test_quantized(tuned, tmp_path):
    small = tuned.quantize()
    assert small.best_params_ == {"min_df": 1}
    small.save(tmp_path / "model.udt")
    assert udt.load(tmp_path / "model.udt").best_params_ == {"min_df": 1}


# ---------------------------------------------------------------------------- tools of scikit-learn


def test_in_a_pipeline(better):
    pipeline = make_pipeline(FunctionTransformer(lambda X: list(X)), make(tune=2))
    pipeline.fit(TEXTS, LABELS)
    assert pipeline[-1].best_params_ == {"min_df": 1}
    assert pipeline.predict(["my card is lost"]).tolist() == ["lost"]
    with pytest.raises(TypeError, match="model is of type Pipeline: give a UDTClassifier"):
        udt.tune(pipeline, TEXTS, LABELS, n_trials=2)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (GridSearchCV, {}),
        (RandomizedSearchCV, {"n_iter": 2, "random_state": 0}),
        (HalvingGridSearchCV, {"random_state": 0, "min_resources": 18}),
    ],
)
def test_in_searches_of_scikit_learn(kind, arguments):
    grid = {"tune": [None, 2], "hidden_rate": [0.5], "word_ngrams": ["1-1"]}
    searching = kind(make(), grid, cv=2, error_score="raise", **arguments)
    searching.fit(np.array(TEXTS), np.array(LABELS))
    assert searching.best_estimator_.predict(["my card is lost"]).tolist() == ["lost"]
    assert searching.best_params_["hidden_rate"] == 0.5


def test_cross_validated_in_threads_and_processes():
    one = cross_val_score(make(tune=2), TEXTS, LABELS, cv=2, error_score="raise")
    with joblib.parallel_config("threading", n_jobs=2):
        threads = cross_val_score(make(tune=2), TEXTS, LABELS, cv=2, error_score="raise")
    np.testing.assert_array_equal(one, threads)


# --------------------------------------------------------------------------------- tools of Optuna


@pytest.mark.filterwarnings("ignore")  # that it is experimental, and deprecations
def test_in_optunas_search_without_taking_more_threads_than_there_are(monkeypatch):
    optuna_integration = pytest.importorskip("optuna_integration")
    monkeypatch.setattr(joblib, "cpu_count", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    live, most = {}, []
    lock = threading.Lock()
    enter, leave = Pool.__init__, Pool.__exit__

    def begin(self, n_jobs):
        enter(self, n_jobs)
        with lock:
            live[self] = (threading.get_ident(), self.n_threads)
            largest = {}
            for owner, n_threads in live.values():
                largest[owner] = max(largest.get(owner, 0), n_threads)
            most.append((sum(largest.values()), len(largest)))

    def end(self, *arguments):
        leave(self, *arguments)
        with lock:
            live.pop(self, None)

    monkeypatch.setattr(Pool, "__init__", begin)
    monkeypatch.setattr(Pool, "__exit__", end)
    model = make()
    searching = optuna_integration.OptunaSearchCV(
        model, model.search_space(TEXTS, LABELS), cv=2, n_trials=4, n_jobs=2, random_state=0,
        error_score="raise",
    )  # fmt: skip
    searching.fit(np.array(TEXTS), np.array(LABELS))
    assert searching.best_params_.keys() == model.search_space(TEXTS, LABELS).keys()
    assert searching.predict(np.array(["my card is lost"])).tolist() == ["lost"]
    for n_threads, n_owners in most:  # each has one at least
        assert n_threads <= 3 + n_owners - 1


# ---------------------------------------------------------------------------------------- packages


def python(code):
    """Run a fresh Python in the checkout, and give what it wrote."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_optuna_is_loaded_for_searches_only():
    told = python(
        """
        import sys
        import udt
        model = udt.UDTClassifier(max_iter=1).fit(["a b", "c d"] * 4, ["x", "y"] * 4)
        print(*{"optuna", "udt.tuning.search"} & set(sys.modules))
        model.set_params(tune=1)
        udt.tune
        print(*{"optuna", "udt.tuning.search"} & set(sys.modules))
        model.search_space()
        print(*{"optuna", "udt.tuning.search"} & set(sys.modules))
        """
    )
    before, named, used = told.splitlines()
    assert before == named == ""
    assert set(used.split()) == {"optuna", "udt.tuning.search"}


def test_without_optuna_a_message_says_what_to_install():
    told = python(
        """
        import sys
        sys.modules["optuna"] = None
        import udt
        data = ["a b", "c d"] * 4, ["x", "y"] * 4
        udt.UDTClassifier(max_iter=1).fit(*data)
        for call in (
            lambda: udt.tune(udt.UDTClassifier(), *data, n_trials=2),
            udt.UDTClassifier().search_space,
            lambda: udt.UDTClassifier(tune=2).fit(*data),
        ):
            try:
                call()
            except ImportError as error:
                print(error)
        """
    )
    assert told.count("needs the package optuna, which is not installed: `pip install 'udt[") == 3
