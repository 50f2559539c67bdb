"""`udt.tune`: what trials are, what they see, budgets, failures, limits and bad arguments."""

import math
import threading
import warnings
from itertools import product
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from optuna.trial import TrialState
from problems import LABELS, TEXTS, TWO, make, make_csr
from sklearn.metrics import accuracy_score, make_scorer

import udt
from udt import UDTClassifier
from udt.network.model import SparseNetwork
from udt.tuning import pilot, search
from udt.tuning.budget import Budget
from udt.tuning.candidate import Candidate
from udt.tuning.plan import Plan
from udt.tuning.result import Tuning
from udt.tuning.trials import Limits

LISTS = [["lost", "any"] if label == "lost" else [] for label in LABELS]
INDICATOR = np.array([[label == "lost", label == "pin"] for label in LABELS], dtype=int)


def tune(X=TEXTS, y=LABELS, sample_weight=None, model=None, **arguments) -> Tuning:
    model = make(n_jobs=1) if model is None else model
    return udt.tune(model, X, y, sample_weight, **{"n_trials": 3} | arguments)


def states(tuning):
    """Give the states of the trials that were begun."""
    return [trial.state.name.lower() for trial in begun(tuning)]


def begun(tuning):
    trials = tuning.study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state != TrialState.WAITING]


def told(tuning):
    """Give all that is the same in two studies that are the same."""
    return [
        (t.number, t.state, t.value, t.params, t.intermediate_values, t.user_attrs["changes"])
        for t in begun(tuning)
    ]


def bits(model):
    return {name: array.tobytes() for name, array in model.network_.arrays().items()}


@pytest.fixture
def trained(monkeypatch):
    """Record what trials and the last training train: the model, and its rows."""
    seen = []
    learn = UDTClassifier._learn

    def spy(self, featurizer, data, target, *arguments, **named):
        learnt = learn(self, featurizer, data, target, *arguments, **named)
        seen.append(SimpleNamespace(model=self, data=data, target=target, weights=arguments[0]))
        return learnt

    monkeypatch.setattr(UDTClassifier, "_learn", spy)
    return seen


@pytest.fixture
def parts(monkeypatch):
    """Record the parts of a search."""
    seen = []
    make_parts = search.make_parts

    def spy(*arguments, **named):
        seen.append(make_parts(*arguments, **named))
        return seen[-1]

    monkeypatch.setattr(search, "make_parts", spy)
    return seen


# ------------------------------------------------------------------------------- trials and results


def test_what_is_found():
    tuning = tune(n_trials=4)
    assert tuning.estimator.predict(["my card is lost"]).tolist() == ["lost"]
    assert type(tuning.estimator) is UDTClassifier
    assert 0 <= tuning.score <= 1 and 0 <= tuning.default_score <= 1
    assert tuning.metric == "accuracy"
    assert tuning.seconds > 0
    assert tuning.failures == {}
    assert tuning.best_trial in range(4)
    assert isinstance(tuning.trials, pd.DataFrame)
    assert tuning.trials["number"].tolist() == [0, 1, 2, 3]
    assert {"state", "score", "sealed_score", "seconds", "min_df"} <= set(tuning.trials)
    assert isinstance(tuning.study, optuna.Study)
    assert set(tuning.summary()) >= {"best_params", "score", "default_score", "metric", "seconds"}


def test_the_model_is_not_changed():
    model = make(n_jobs=1)
    tune(model=model)
    assert model.get_params() == make(n_jobs=1).get_params()
    assert not hasattr(model, "network_")


def test_trial_0_is_the_default_and_trains_as_the_classifier_does(trained):
    tuning = tune(n_trials=1, model=UDTClassifier(random_state=3, n_jobs=1))
    first = begun(tuning)[0]
    assert first.user_attrs["changes"] == {}
    trials = trained[2:-1]  # after the pilot's two, before the last training
    assert len(trials) == len(first.user_attrs["scores"]) == 5
    for trial in trials:
        assert isinstance(trial.model, Candidate)
        labels = trial.target.classes[trial.target.numbers]
        texts = trial.data.column(0).data.to_pylist()
        plain = UDTClassifier(random_state=3).fit(texts, labels)
        assert bits(trial.model) == bits(plain)
        np.testing.assert_array_equal(
            trial.model.predict_proba(TEXTS[:6]), plain.predict_proba(TEXTS[:6])
        )


def test_the_default_trains_on_weights_as_the_classifier_does(trained):
    weights = np.linspace(0, 3, 36)
    tuning = tune(sample_weight=weights, n_trials=1)
    for trial in trained[2:-1]:
        texts, labels = trial.data.column(0).data.to_pylist(), trial.target.numbers
        plain = make().fit(texts, trial.target.classes[labels], trial.weights)
        assert bits(trial.model) == bits(plain)
    assert bits(tuning.estimator) == bits(make().fit(TEXTS, LABELS, weights))


def test_what_wins_is_trained_on_all_rows_as_the_classifier_does():
    tuning = tune(n_trials=2)
    assert tuning.best_params == {}  # nothing is better than all rows right
    assert bits(tuning.estimator) == bits(make().fit(TEXTS, LABELS))
    assert tuning.estimator.get_params() == make(n_jobs=1).get_params()


def test_a_change_that_is_better_becomes_parameters_of_the_estimator():
    def scoring(model, X, y):
        return float(model.min_df == 1)

    tuning = tune(scoring=scoring, n_trials=2, model=make(dropout=0.2, n_jobs=1))
    assert tuning.best_params == {"min_df": 1}
    assert (tuning.score, tuning.default_score) == (1.0, 0.0)
    assert tuning.estimator.min_df == 1
    assert bits(tuning.estimator) == bits(make(dropout=0.2, min_df=1).fit(TEXTS, LABELS))
    best = tuning.study.trials[tuning.best_trial]
    assert best.user_attrs["changes"] == {"min_df": 1}
    assert tuning.trials["score"].tolist() == [0.0, 1.0]


def test_what_is_worse_on_the_sealed_rows_does_not_take_the_place_of_the_default(parts):
    def scoring(model, X, y):
        is_sealed = X is parts[0].sealed.X
        return float((model.min_df == 1) != is_sealed) * (1.0 if is_sealed else 0.01)

    tuning = tune(scoring=scoring, n_trials=2)
    assert begun(tuning)[1].value > begun(tuning)[0].value
    assert tuning.best_params == {}
    assert tuning.score == tuning.default_score == 1.0


def test_what_was_set_by_hand_stays(trained):
    tuning = tune(model=make(min_df=1, hidden_size=4, dropout=0.3, n_jobs=1), n_trials=4)
    assert not {"min_df", "hidden_size", "dropout", "max_iter", "batch_size"} & set(tuning.trials)
    for one in trained:
        params = one.model.get_params()
        assert [params[name] for name in ("min_df", "hidden_size", "dropout")] == [1, 4, 0.3]


def test_nothing_to_search_is_a_search_of_the_default():
    by_hand = {
        "word_ngrams": (1, 1), "char_ngrams": None, "min_df": 1, "hidden_size": 4,
        "hidden_rate": 0.25, "hidden_dropout": 0.0, "dropout": 0.0, "label_smoothing": 0.1,
        "learning_rate_init": 0.4,
    }  # fmt: skip
    tuning = tune(model=make(**by_hand), n_trials=2)
    assert tuning.best_params == {}
    assert tuning.score is not None


def test_no_trial_trains_on_the_sealed_rows(trained, parts, monkeypatch):
    texts = [f"{text} {i}" for i, text in enumerate(TEXTS)]
    sealed = []
    measure = Candidate.measure

    def spy(self, scored, scorer):
        if scored is parts[0].sealed:
            sealed.append(set(scored.X))
        return measure(self, scored, scorer)

    monkeypatch.setattr(Candidate, "measure", spy)
    tune(texts, n_trials=4)
    assert sealed and all(rows == sealed[0] for rows in sealed)
    trials = [set(one.data.column(0).data.to_pylist()) for one in trained[2:-1]]
    assert len(trials) >= 8
    assert all(not rows & sealed[0] for rows in trials)
    assert set.union(*trials) | sealed[0] == set(texts)


def test_features_are_made_once_for_each_featurization_and_part(monkeypatch):
    made = []
    fit_transform = udt.TableFeaturizer._fit_transform

    def spy(self, data, *arguments):
        made.append((id(data), self.min_df, str(self.word_ngrams), str(self.char_ngrams)))
        return fit_transform(self, data, *arguments)

    monkeypatch.setattr(udt.TableFeaturizer, "_fit_transform", spy)
    tuning = tune(n_trials=6, scoring=lambda model, X, y: model.predict(X).size * 0.0)
    in_trials = made[2:-1]
    assert len(in_trials) == len(set(in_trials)) >= 5
    changes = [trial.user_attrs["changes"] for trial in begun(tuning)]
    assert any("dropout" in change for change in changes)  # which needs no features anew


def test_rows_to_score_on_are_encoded_once(monkeypatch):
    encoded = []
    transform = udt.TableFeaturizer._transform
    monkeypatch.setattr(
        udt.TableFeaturizer,
        "_transform",
        lambda self, data: encoded.append((id(self), id(data))) or transform(self, data),
    )
    tune(n_trials=1, scoring="f1_macro")
    assert len(encoded) == len(set(encoded)) == 5 + 5  # a fold, and the sealed rows, for each


# ---------------------------------------------------------------------------------------- the seed


def test_the_same_seed_gives_the_same_study():
    one, two = (tune(n_trials=12, scoring="neg_log_loss") for _ in range(2))
    assert told(one) == told(two)
    assert one.best_params == two.best_params
    assert bits(one.estimator) == bits(two.estimator)
    assert told(tune(n_trials=12, scoring="neg_log_loss", model=make(random_state=1))) != told(one)


def test_threads_of_the_model_do_not_matter():
    one, two = (tune(n_trials=3, scoring="neg_log_loss", model=make(n_jobs=n)) for n in (1, 2))
    assert told(one) == told(two)


@pytest.mark.parametrize("state", [None, np.random.RandomState(0)])
def test_any_kind_of_random_state(state):
    tuning = tune(model=make(random_state=state))
    assert states(tuning)[0] == "complete"
    assert tuning.estimator.random_state is None or tuning.estimator.random_state is not state


def test_trials_at_a_time():
    tuning = tune(n_trials=6, n_jobs=2)
    assert len(begun(tuning)) in (6, 7)
    assert states(tuning)[0] == "complete"
    assert tuning.failures == {}
    assert tuning.default_score is not None


def test_the_default_is_scored_whatever_is_better_before_it(parts):
    waiting = threading.Event()

    def scoring(model, X, y):
        is_default = model.min_df == 2 and model.char_ngrams == "auto"
        if is_default:
            waiting.wait(60)  # until another trial has come to its end
        elif X is parts[0].sealed.X:
            waiting.set()
        return 0.1 if is_default else 0.9

    tuning = tune(n_trials=3, n_jobs=2, scoring=scoring)
    assert states(tuning)[0] == "complete"
    assert tuning.default_score == 0.1


# -------------------------------------------------------------------------------------- the budget


@pytest.fixture
def clock(monkeypatch):
    """Make a time that passes only when a test says so: each training takes ten seconds."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    learn = UDTClassifier._learn

    def slow(self, featurizer, data, *arguments, **named):
        learnt = learn(self, featurizer, data, *arguments, **named)
        clock.now += 10.0 * data.n_rows / 36
        return learnt

    monkeypatch.setattr("udt.tuning.budget.time", clock)
    monkeypatch.setattr("udt.tuning.candidate.time", clock)
    monkeypatch.setattr("udt.tuning.parts.time", clock)
    monkeypatch.setattr(UDTClassifier, "_learn", slow)
    return clock


def test_the_budget_covers_everything(clock, trained):
    tuning = tune(n_trials=None, timeout=200)
    assert 100 < clock.now <= 200
    assert tuning.seconds == clock.now
    assert states(tuning)[0] == "complete"
    assert trained[-1].data.n_rows == 36


@pytest.mark.parametrize("arguments", [{"n_trials": 2, "timeout": 10_000}, {"n_trials": 2}])
def test_trials_may_end_a_search_before_the_time_does(clock, arguments):
    assert len(begun(tune(**arguments))) == 2
    assert clock.now < 200


def test_no_time_for_the_default_gives_the_default_with_a_warning(clock):
    with pytest.warns(UserWarning, match=r"search: .* takes about 10.0 s, and 4.0 s are left"):
        tuning = tune(n_trials=None, timeout=24)
    assert bits(tuning.estimator) == bits(make().fit(TEXTS, LABELS))
    assert (tuning.score, tuning.default_score, tuning.best_trial) == (None, None, None)
    assert (tuning.best_params, tuning.failures, len(tuning.trials)) == ({}, {}, 0)


def test_fewer_rows_where_the_default_takes_more_than_a_third(monkeypatch, trained):
    """The plan itself is tested elsewhere: here, that it is kept."""
    X, y = TEXTS * 10, LABELS * 10
    monkeypatch.setattr(search, "make_plan", lambda *_: Plan(1, 0.5, True))
    tuning = tune(X, y, n_trials=2, model=make(max_iter=None, batch_size=None, n_jobs=1))
    sizes = [one.data.n_rows for one in trained[2:4]]
    assert sizes[1] == pytest.approx(0.75 * 0.5 * 0.8 * 360, abs=5)
    assert sizes[0] == pytest.approx(sizes[1] / 4, abs=3)
    assert trained[-1].data.n_rows == 360
    assert len(begun(tuning)[0].user_attrs["scores"]) == 1


def test_a_trial_stops_after_the_pass_in_which_time_ends(monkeypatch):
    budget = Budget(1e9)
    passes = []
    watch = Candidate._after_pass

    def count(self, *arguments):
        passes.append(1)
        if len(passes) == 5 + 2 * 4:  # after two of the pilot
            budget.seconds = 0.0
        watch(self, *arguments)

    monkeypatch.setattr(Candidate, "_after_pass", count)
    tuning = search.search(make(max_iter=4), TEXTS, LABELS, budget=budget, n_trials=3)
    assert len(passes) == 13
    assert states(tuning) == ["pruned"]
    assert tuning.default_score is None
    assert bits(tuning.estimator) == bits(make(max_iter=4).fit(TEXTS, LABELS))


def test_a_best_trial_for_which_there_is_no_time_is_left_for_another(monkeypatch):
    def scoring(model, X, y):
        return {2: 0.5, 1: 0.9}[model.min_df]

    budget = Budget(None)
    conclude = search._conclude

    def late(*arguments):
        trials = arguments[3].get_trials(deepcopy=False)
        for trial in trials[:2]:
            monkeypatch.setitem(trial.user_attrs, "seconds", 10.0 + 90 * trial.number)
        budget.seconds = budget.spent + 50.0
        return conclude(*arguments)

    monkeypatch.setattr(search, "_conclude", late)
    tuning = search.search(make(), TEXTS, LABELS, scoring=scoring, budget=budget, n_trials=2)
    assert begun(tuning)[1].user_attrs["changes"] == {"min_df": 1}
    assert tuning.best_params == {}


# ---------------------------------------------------------------------- failures and interruptions


def failing(every):
    """Make a scorer that fails at every so-manieth trial."""

    def scoring(model, X, y):
        if every == 1 or model.min_df == 1:
            raise ValueError("no way")
        return accuracy_score(y, model.predict(X))

    return scoring


def test_a_failing_trial_is_a_bad_trial():
    tuning = tune(scoring=failing(2), n_trials=3)
    assert states(tuning) == ["complete", "fail", "complete"]
    assert tuning.failures == {1: "ValueError: no way"}
    assert tuning.trials["state"].tolist() == states(tuning)
    assert math.isnan(tuning.trials["score"][1])
    assert bits(tuning.estimator) == bits(make().fit(TEXTS, LABELS))


def test_a_failing_default_is_no_end():
    def scoring(model, X, y):
        if model.min_df == 2:
            raise ZeroDivisionError
        return 0.5

    tuning = tune(scoring=scoring, n_trials=2)
    assert states(tuning) == ["fail", "complete"]
    assert tuning.failures == {0: "ZeroDivisionError: "}
    assert (tuning.best_params, tuning.default_score, tuning.score) == ({"min_df": 1}, None, 0.5)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (failing(1), "ValueError: no way"),
        (lambda model, X, y: math.nan, "ValueError: The score is nan"),
        (lambda model, X, y: math.inf, "ValueError: The score is inf"),
        (lambda model, X, y: None, "TypeError: "),
        (lambda model: 1.0, "TypeError: .*positional argument"),
    ],
)
def test_nothing_but_failures_give_the_default_with_a_warning(scoring, message):
    with pytest.warns(UserWarning, match=f"None of 2 trials could be scored: {message}") as found:
        tuning = tune(scoring=scoring, n_trials=2)
    assert [w.category for w in found] == [UserWarning]
    assert found[0].filename == __file__
    assert str(found[0].message).endswith(". The default was trained.")
    assert tuning.failures.keys() == {0, 1}
    assert (tuning.score, tuning.default_score, tuning.best_params) == (None, None, {})
    assert bits(tuning.estimator) == bits(make().fit(TEXTS, LABELS))


def test_trials_do_not_warn():
    def scoring(model, X, y):
        warnings.warn("careful", UserWarning, stacklevel=2)
        return 0.5

    before = optuna.logging.get_verbosity()
    assert tune(scoring=scoring).failures == {}
    assert optuna.logging.get_verbosity() == before


def interrupting(at):
    """Make a scorer that stands for Ctrl-C in a trial: 0 is the default, 1 has min_df=1."""

    def scoring(model, X, y):
        if at == 0 or model.min_df == 1:
            raise KeyboardInterrupt
        return 0.5

    return scoring


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interruption_keeps_the_best_so_far(n_jobs, parts):
    ended = {1: threading.Event(), 2: threading.Event()}

    def scoring(model, X, y):
        if model.char_ngrams == "2-5":  # trial 2
            for event in ended.values():
                event.wait(60)
            raise KeyboardInterrupt
        if X is parts[0].sealed.X:
            ended[model.min_df].set()
        return 0.9 if model.min_df == 1 else 0.5

    tuning = tune(scoring=scoring, n_trials=30, n_jobs=n_jobs)
    assert tuning.failures == {2: "it was interrupted"}
    assert states(tuning)[:3] == ["complete", "complete", "fail"]
    assert len(begun(tuning)) < 20  # other threads stop too
    assert tuning.best_params["min_df"] == 1
    assert tuning.estimator.predict(["my card is lost"]).tolist() == ["lost"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interruption_before_any_trial_is_done_is_raised(n_jobs):
    level = optuna.logging.get_verbosity()
    with pytest.raises(KeyboardInterrupt):
        tune(scoring=interrupting(0), n_jobs=n_jobs)
    assert optuna.logging.get_verbosity() == level


# ------------------------------------------------------------------------------------------ limits


def test_limits_are_kept():
    free = tune(n_trials=1, max_model_bytes=1e9, max_predict_us=1e9)
    needs = begun(free)[0].user_attrs["needs"]
    assert needs["bytes"] > 1000 and needs["micros"] > 0
    assert free.estimator.predict(TEXTS[:1]).tolist() == ["lost"]


def test_a_model_that_is_too_large_is_not_taken(tmp_path):
    def size(model):
        model.save(tmp_path / "model.udt")
        return (tmp_path / "model.udt").stat().st_size

    default = size(make().fit(TEXTS, LABELS))
    small = size(make(char_ngrams=None).fit(TEXTS, LABELS))
    limit = (default + small) / 2
    tuning = tune(n_trials=30, max_model_bytes=limit)
    assert tuning.best_params
    assert size(tuning.estimator) <= limit


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_model_bytes": 1000}, r"max_model_bytes=1000 .*smallest model had \d\d,\d{3} bytes"),
        ({"max_predict_us": 0.01}, r"max_predict_us=0.01.*fastest one took [\d.]+ us for a row"),
        ({"max_model_bytes": 9, "max_predict_us": 1e9}, r"had \d.* bytes. The fastest one took"),
    ],
)
def test_limits_that_no_trial_keeps(limits, message):
    with pytest.raises(ValueError, match=f"No trial keeps .*{message}"):
        tune(n_trials=2, **limits)


def test_limits_and_nothing_but_failures():
    with pytest.raises(ValueError, match="None of 2 trials could be scored: ValueError: no way"):
        tune(n_trials=2, scoring=failing(1), max_model_bytes=1e9)


def test_limits_and_no_time(clock):
    with (
        pytest.warns(UserWarning, match="There is no search"),
        pytest.raises(ValueError, match=r"max_model_bytes=1.* There was no time to try one"),
    ):
        tune(n_trials=None, timeout=24, max_model_bytes=1)


def test_excess_of_limits():
    assert Limits().excess({}) == []
    assert Limits(100, None).excess({"bytes": 150}) == [0.5]
    assert Limits(100, 10).excess({"bytes": 50, "micros": 20}) == [-0.5, 1.0]


# ----------------------------------------------------------------------------------------- scoring


@pytest.mark.parametrize(
    "scoring",
    ["accuracy", "neg_log_loss", "f1_macro", "balanced_accuracy", "roc_auc_ovr", "top_k_accuracy"],
)
def test_scorers_of_one_label_a_row(scoring):
    tuning = tune(scoring=scoring, n_trials=2)
    assert tuning.failures == {}
    assert tuning.metric == scoring


def test_scorers_of_two_classes():
    for scoring in ("roc_auc", "neg_log_loss", make_scorer(accuracy_score)):
        tuning = tune(y=TWO, scoring=scoring, n_trials=2)
        assert tuning.failures == {}
        assert tuning.score is not None


@pytest.mark.parametrize(
    ("scoring", "kind"),
    [
        *product([None, "f1_micro"], [np.asarray, sp.csr_matrix, sp.coo_matrix, pd.DataFrame]),
        *product(["roc_auc", "f1_samples"], [np.asarray]),
    ],
)
def test_scorers_of_any_number_of_labels(scoring, kind):
    tuning = tune(y=kind(INDICATOR), scoring=scoring, n_trials=1)
    assert tuning.failures == {}
    assert tuning.metric == (scoring or "micro_f1")


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.8, "tuned"])
def test_lists_of_labels_are_scored_at_the_threshold(threshold):
    """Without a scorer F1 is computed from numbers; here, from what predict gives."""
    model = make(threshold=threshold, n_jobs=1, max_iter=2)

    def f1(model, X, y):
        found = [set(labels) for labels in model.predict(X)]
        hits = sum(len(labels & set(true)) for labels, true in zip(found, y, strict=True))
        total = sum(map(len, found)) + sum(map(len, y))
        return 2 * hits / total if total else 0.0

    own, slow = (tune(y=LISTS, model=model, n_trials=2, scoring=scorer) for scorer in (None, f1))
    assert own.failures == slow.failures == {}
    assert own.metric == "micro_f1" and slow.metric == "f1"
    np.testing.assert_allclose(own.trials["score"], slow.trials["score"])
    np.testing.assert_allclose(own.trials["sealed_score"], slow.trials["sealed_score"])


def test_accuracy_is_that_of_scikit_learn():
    weights = np.arange(36.0)
    model = make(max_iter=1, n_jobs=1)
    own, slow = (tune(model=model, sample_weight=weights, scoring=s) for s in (None, "accuracy"))
    np.testing.assert_allclose(own.trials["score"], slow.trials["score"], rtol=1e-6)


def test_weights_reach_scorers_that_take_them():
    seen = []

    def weighted(model, X, y, sample_weight=None):
        seen.append(np.asarray(sample_weight))
        return 0.5

    weights = np.arange(36.0) + 1
    for scoring in (weighted, lambda model, X, y: 0.5, make_scorer(lambda y, found: 0.5)):
        assert tune(sample_weight=weights, scoring=scoring, n_trials=2).failures == {}
    assert seen and all(set(some) <= set(weights) for some in seen)
    with pytest.warns(UserWarning, match="TypeError: sorry"):
        tune(sample_weight=weights, scoring=raising_type_error)


def raising_type_error(model, X, y, sample_weight=None):
    raise TypeError("sorry")


FRAME = pd.DataFrame({"text": TEXTS, "number": range(36)}, index=range(100, 136))
CSR = make_csr(n=36)[0]
INPUTS = {
    "list": (TEXTS, list),
    "array": (np.array(TEXTS), np.ndarray),
    "frame": (FRAME, pd.DataFrame),
    "series": (FRAME["text"], pd.Series),
    "polars": (pl.from_pandas(FRAME), pl.DataFrame),
    "polars series": (pl.Series(TEXTS), pl.Series),
    "polars lazy": (pl.from_pandas(FRAME).lazy(), udt.classifier.Table),
    "arrow": (pa.Table.from_pandas(FRAME, preserve_index=False), pa.Table),
    "dicts": (FRAME.to_dict("records"), list),
    "dense": (CSR.toarray(), np.ndarray),
    "csr": (CSR, sp.csr_matrix),
    "csc": (CSR.tocsc(), sp.csr_matrix),
    "coo": (sp.coo_array(CSR), sp.csr_array),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_a_scorer_is_given_rows_as_people_gave_them(kind):
    X, container = INPUTS[kind]
    labels = pd.Series(LABELS, index=range(100, 136))

    def scoring(model, rows, y):
        assert isinstance(rows, container), type(rows)
        assert isinstance(y, pd.Series)
        return accuracy_score(y, model.predict(rows))

    assert tune(X, labels, scoring=scoring, n_trials=2, max_predict_us=1e9).failures == {}
    assert tune(X, labels, n_trials=2).failures == {}


def test_a_stream_is_read_once():
    table = pa.table({"text": TEXTS})
    stream = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    tuning = tune(stream, scoring="f1_macro", n_trials=2)
    assert tuning.failures == {}
    assert bits(tuning.estimator) == bits(make().fit(table, LABELS))


def test_a_scorer_may_predict_other_rows():
    def scoring(model, X, y):
        return accuracy_score(y[:3], model.predict(X[:3])) + 0 * model.predict_proba(TEXTS).sum()

    assert tune(scoring=scoring, n_trials=2).failures == {}


@pytest.mark.parametrize(
    "y",
    [np.array(LABELS), tuple(LABELS), pd.Categorical(LABELS), pl.Series(LABELS), pa.array(LABELS)],
    ids=lambda y: type(y).__name__,
)
def test_containers_of_labels(y):
    tuning = tune(y=y, scoring="f1_macro", n_trials=2)
    assert tuning.failures == {}


# ------------------------------------------------------------------------------- difficult settings


@pytest.mark.parametrize("n", [10, 12])
def test_few_rows(n):
    y = ["a", "b"] * (n // 2)
    tuning = tune(TEXTS[:n], y, model=UDTClassifier(random_state=0), n_trials=3)
    assert tuning.failures == {}


@pytest.mark.parametrize("y", [list("abcdef"), list("abcdee")])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_too_few_rows_to_score_on_give_the_default(y, class_weight):
    with pytest.warns(UserWarning, match="No row is left to score on: give more rows of each cl"):
        tuning = tune(TEXTS[:6], y, model=make(class_weight=class_weight))
    assert bits(tuning.estimator) == bits(make(class_weight=class_weight).fit(TEXTS[:6], y))


@pytest.mark.parametrize("class_weight", [None, "balanced", {"rare": 3.0}])
@pytest.mark.parametrize("cv", [None, 3])
def test_rare_classes(class_weight, cv):
    X, y = [*TEXTS, "rare", "rarely", "alone"], [*LABELS, "rare", "rare", "alone"]
    tuning = tune(X, y, model=make(class_weight=class_weight, n_jobs=1), cv=cv)
    assert tuning.failures == {}
    assert tuning.estimator.classes_.tolist() == ["alone", "lost", "pin", "rare", "top-up"]


def test_rows_without_weight():
    weights = np.r_[np.ones(24), np.zeros(12)]
    assert tune(sample_weight=weights).failures == {}
    assert tune(sample_weight=weights, cv=3, scoring="f1_macro").failures == {}


@pytest.mark.parametrize("y", [LABELS, LISTS])
def test_early_stopping(y):
    model = make(early_stopping=True, validation_fraction=0.3, n_jobs=1)
    tuning = tune(y=y, model=model)
    assert tuning.failures == {}
    if not tuning.best_params:
        assert bits(tuning.estimator) == bits(model.fit(TEXTS, y))


def test_many_classes_by_hash_tables():
    model = UDTClassifier(head="lsh", random_state=0, max_iter=2)
    tuning = tune(model=model, n_trials=3)
    assert tuning.failures == {}
    assert "n_active" in tuning.study.trials[0].params


@pytest.mark.parametrize("cv", [3, [(np.arange(18), np.arange(18, 36))]])
def test_own_splits(cv):
    tuning = tune(cv=cv, n_trials=2)
    assert tuning.failures == {}
    assert len(begun(tuning)[0].user_attrs["scores"]) == (3 if cv == 3 else 1)


def test_a_network_that_training_breaks_is_a_bad_trial(monkeypatch):
    def accuracy(self, *arguments):
        raise FloatingPointError("broken")

    monkeypatch.setattr(SparseNetwork, "accuracy", accuracy)
    with pytest.warns(UserWarning, match="FloatingPointError: broken"):
        tune(n_trials=1)


# ------------------------------------------------------------------------------------ bad arguments


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"n_trials": None}, ValueError, r'There is no budget: give timeout="60s" .*n_trials=50'),
        ({"timeout": -1}, ValueError, "timeout=-1: give seconds above 0"),
        ({"timeout": "soon"}, ValueError, r"timeout='soon': give .*30s"),
        ({"n_trials": 0}, ValueError, "n_trials=0: give a whole number from 1 on, or None"),
        ({"n_trials": 2.0}, ValueError, "n_trials=2.0: give"),
        ({"n_trials": True}, ValueError, "n_trials=True: give"),
        ({"n_trials": "30s"}, ValueError, "n_trials='30s': give"),
        ({"max_model_bytes": 0}, ValueError, "max_model_bytes=0: give a number above 0, or None"),
        ({"max_model_bytes": "1M"}, ValueError, "max_model_bytes='1M': give"),
        ({"max_predict_us": math.nan}, ValueError, "max_predict_us=nan: give a number above 0"),
        ({"max_predict_us": True}, ValueError, "max_predict_us=True: give"),
        ({"scoring": "good"}, ValueError, "'good' is not a valid scoring value"),
        ({"scoring": 3}, ValueError, "'scoring' parameter"),
        ({"n_jobs": 0}, ValueError, "n_jobs=0: give None, a positive number"),
        ({"cv": 1}, ValueError, "n_splits=2 or more"),
        ({"storage": 3}, TypeError, r"storage is of type int: give a URL .*\*.db"),
        ({"model": "udt"}, TypeError, "model is of type str: give a UDTClassifier"),
        ({"model": make(dropout=2)}, ValueError, "dropout=2: give"),
        ({"X": []}, ValueError, "minimum of 1 is required"),
        ({"y": LABELS[:-1]}, ValueError, "y has 35 labels, but there are 36 rows"),
        ({"y": ["a"] * 36}, ValueError, "y has one class only"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight has shape"),
        ({"sample_weight": np.zeros(36)}, ValueError, "sample_weight is zero in every row"),
        ({"model": make(class_weight={"x": 1}), "y": LISTS}, ValueError, "class_weight"),
    ],
)
def test_bad_arguments(arguments, kind, message):
    with pytest.raises(kind, match=message):
        tune(**arguments)


# ------------------------------------------------------------------------------------------- pilot


def test_a_pilot_knows_how_large_texts_are():
    texts = [f"{text} {i:02}" for i, text in enumerate(TEXTS)]
    rows = search._read_rows(FRAME.assign(text=texts, number=np.arange(36) % 7 / 2), LABELS, None)
    flown = pilot.fly(Candidate(**make().get_params()), rows, 0)
    assert flown.text_bytes == [sum(map(len, texts))]
    assert flown.pins["columns"] == {"text": "text", "number": "number"}
    assert "char_ngrams" not in flown.pins
    assert (flown.facts.has_text, flown.facts.has_numbers, flown.facts.n_cells) == (True, True, 1)
    assert flown.facts.max_iter == 4 and flown.facts.batch_size == 8
    assert flown.seconds(72) == pytest.approx(2 * flown.seconds(36))


def test_a_pilot_keeps_what_follows_all_rows(monkeypatch):
    monkeypatch.setattr("udt.features.parameters.SMALL_CORPUS", 500)
    rows = search._read_rows(TEXTS, LABELS, None)
    flown = pilot.fly(Candidate(**make().get_params()), rows, 0)
    assert flown.pins["char_ngrams"] is None
    assert not flown.facts.may_have_char_ngrams
    flown = pilot.fly(Candidate(**make(char_ngrams="2-3").get_params()), rows, 0)
    assert "char_ngrams" not in flown.pins


def test_a_pilot_flies_on_a_draw_of_many_rows(trained):
    rows = search._read_rows(TEXTS * 100, LABELS * 100, None)
    flown = pilot.fly(Candidate(**make(max_iter=1).get_params()), rows, 0)
    assert [one.data.n_rows for one in trained] == pytest.approx([256, 2048], abs=5)
    assert flown.n_rows == trained[1].data.n_rows
    assert flown.text_bytes[0] == pytest.approx(100 * sum(map(len, TEXTS)), rel=0.1)


def test_a_pilot_needs_rows_with_weight(trained):
    weights = np.zeros(3600)
    weights[:36] = 1.0
    rows = search._read_rows(TEXTS * 100, LABELS * 100, weights)
    pilot.fly(Candidate(**make(max_iter=1).get_params()), rows, 0)
    assert [one.data.n_rows for one in trained] == [36, 36]


# ---------------------------------------------------------------------------------------- progress


def test_progress_by_trials_and_by_time(capsys, caplog):
    caplog.set_level("INFO", logger="udt")
    tune(model=make(verbose=2), n_trials=2)
    err = capsys.readouterr().err
    assert "Tuning" in err and "2/2" in err and "best=1.0000" in err
    lines = [record.message for record in caplog.records if record.message.startswith("trial")]
    assert lines == ["trial 0: complete, 1.0000, {}", "trial 1: complete, 1.0000, {'min_df': 1}"]
    tune(model=make(verbose=1), n_trials=2, timeout="5m")
    assert "/300" in capsys.readouterr().err


def test_silence_is_the_default(capsys, caplog):
    tune()
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
