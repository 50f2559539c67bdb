"""UDTClassifier.fit: weights, validation, seeds and threads, interruption, divergence."""

import copy
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from problems import LABELS, TEXTS, make, make_csr
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from tasks import ROOT
from udt.training import loop
from udt.training.progress import Progress


def bits(model):
    return b"".join(array.tobytes() for array in model.network_.arrays().values())


def state(model):
    """All that a model knows, in a form that can be compared."""
    return copy.deepcopy(model.__getstate__())


def unchanged(model, before):
    same(state(model), before)


def same(value, other):
    """Compare values of any depth."""
    assert type(value) is type(other)
    if isinstance(value, dict):
        assert value.keys() == other.keys()
        for name in value:
            same(value[name], other[name])
    elif isinstance(value, (list, tuple)):
        for one, another in zip(value, other, strict=True):
            same(one, another)
    elif hasattr(value, "__dict__"):
        same(vars(value), vars(other))
    else:
        np.testing.assert_array_equal(value, other)


# --------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_weight_of_zero_is_a_row_left_out(early_stopping):
    used = np.arange(36) % 4 != 0
    parameters = {"early_stopping": early_stopping, "validation_fraction": 0.3}
    weighted = make(**parameters).fit(TEXTS, LABELS, sample_weight=used.astype(float))
    left = make(**parameters).fit(np.array(TEXTS)[used], np.array(LABELS)[used])
    assert bits(weighted) == bits(left)
    assert weighted.validation_scores_ == left.validation_scores_
    X, y = make_csr()
    used = np.arange(40) % 3 != 0
    weighted = make(**parameters).fit(X, y, sample_weight=used.astype(float))
    assert bits(weighted) == bits(make(**parameters).fit(X[used], y[used]))


def test_a_class_whose_rows_weigh_nothing_is_known_but_never_likely():
    weights = (np.array(LABELS) != "pin").astype(float)
    model = make(max_iter=20).fit(TEXTS, LABELS, sample_weight=weights)
    assert model.classes_.tolist() == ["lost", "pin", "top-up"]
    assert "pin" not in model.predict(TEXTS)


def test_all_weight_on_one_class():
    weights = (np.array(LABELS) == "pin").astype(float)
    model = make(max_iter=20).fit(TEXTS, LABELS, sample_weight=weights)
    assert set(model.predict([*TEXTS, "", "zyx"])) == {"pin"}
    assert np.isfinite(model.predict_proba(TEXTS)).all()


def test_only_the_ratio_of_weights_matters():
    weights = np.arange(1.0, 37)
    first = make().fit(TEXTS, LABELS, sample_weight=weights)
    assert bits(first) == bits(make().fit(TEXTS, LABELS, sample_weight=1024 * weights))
    assert bits(make().fit(TEXTS, LABELS)) == bits(make().fit(TEXTS, LABELS, np.full(36, 7)))
    assert bits(first) != bits(make().fit(TEXTS, LABELS))


def test_a_heavy_row_counts_like_many():
    X, y = ["tie"] * 40, ["a"] * 30 + ["b"] * 10
    parameters = {"max_iter": 60, "min_df": 1}
    assert make(**parameters).fit(X, y).predict(["tie", ""]).tolist() == ["a", "a"]
    weights = np.where(np.array(y) == "b", 9.0, 1.0)
    weighted = make(**parameters).fit(X, y, sample_weight=weights)
    assert weighted.predict(["tie", ""]).tolist() == ["b", "b"]
    repeated = make(**parameters).fit(["tie"] * 120, ["a"] * 30 + ["b"] * 90)
    expected = repeated.predict_proba(["tie"])
    np.testing.assert_allclose(weighted.predict_proba(["tie"]), expected, atol=0.1)


def test_class_weights_are_sample_weights():
    weights = np.where(np.array(LABELS) == "pin", 3.0, 1.0)
    expected = bits(make().fit(TEXTS, LABELS, sample_weight=weights))
    assert bits(make(class_weight={"pin": 3}).fit(TEXTS, LABELS)) == expected
    few, labels = TEXTS[:20], LABELS[:20]
    _, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    assert len(set(counts)) > 1
    balanced = make(class_weight="balanced").fit(few, labels)
    by_class = dict(zip(balanced.classes_.tolist(), 20 / (3 * counts), strict=True))
    assert bits(balanced) == bits(make(class_weight=by_class).fit(few, labels))


# ------------------------------------------------------------------------------------ validation


def test_no_validation_by_default():
    model = make().fit(TEXTS, LABELS)
    assert model.validation_scores_ == []
    assert model.n_iter_ == len(model.loss_curve_) == 4


def test_early_stopping_holds_rows_out():
    model = make(early_stopping=True, validation_fraction=0.5, max_iter=50, n_iter_no_change=2)
    model.fit(TEXTS, LABELS)
    assert 3 <= model.n_iter_ < 50
    assert len(model.validation_scores_) == len(model.loss_curve_) == model.n_iter_
    assert all(0 <= score <= 1 for score in model.validation_scores_)
    # It stops two passes after the best score, the first of its height.
    assert model.n_iter_ - 1 - int(np.argmax(model.validation_scores_)) == 2
    assert bits(model) != bits(make(max_iter=50).fit(TEXTS, LABELS))


def test_rows_held_out_do_not_train():
    # A word to each row, and labels by chance: who has not seen a row cannot know its label.
    texts = [f"word{i}" for i in range(200)]
    labels = np.random.default_rng(0).permutation([0, 1] * 100)
    model = make(early_stopping=True, validation_fraction=0.5, min_df=1, max_iter=20)
    model.set_params(n_iter_no_change=20).fit(texts, labels)
    assert 0.4 < model.validation_scores_[-1] < 0.6
    assert model.set_params(early_stopping=False).fit(texts, labels).score(texts, labels) > 0.9


def test_patience_is_counted_in_passes():
    model = make(early_stopping=True, n_iter_no_change=4, max_iter=50).fit(TEXTS, LABELS)
    assert model.n_iter_ - 1 - int(np.argmax(model.validation_scores_)) == 4


def test_validation_rows_that_are_given():
    X_val, y_val = TEXTS[:6], LABELS[:6]
    model = make(max_iter=20).fit(TEXTS, LABELS, X_val=X_val, y_val=y_val)
    assert len(model.validation_scores_) == 20  # watched, not stopped
    assert model.validation_scores_[-1] == model.score(X_val, y_val)
    assert bits(model) == bits(make(max_iter=20).fit(TEXTS, LABELS))
    stopped = make(early_stopping=True, max_iter=50, n_iter_no_change=3)
    stopped.fit(TEXTS, LABELS, X_val=X_val, y_val=y_val)
    assert stopped.n_iter_ < 50
    assert max(stopped.validation_scores_) == stopped.score(X_val, y_val)


def test_validation_weights():
    y_val = ["lost", "lost", "lost", "lost"]  # half of them wrong
    X_val = TEXTS[:4]
    for weights, score in [([1, 1, 1, 1], 0.5), ([1, 1, 0, 0], 1.0), ([3, 3, 1, 1], 0.75)]:
        model = make(max_iter=20)
        model.fit(TEXTS, LABELS, X_val=X_val, y_val=y_val, sample_weight_val=weights)
        assert model.validation_scores_[-1] == pytest.approx(score)


def test_sample_weights_count_in_the_split():
    X, y = ["tie"] * 40, ["a"] * 20 + ["b"] * 20
    weights = np.where(np.array(y) == "b", 3.0, 1.0)
    model = make(early_stopping=True, validation_fraction=0.5, min_df=1, max_iter=20)
    model.fit(X, y, sample_weight=weights)
    assert max(model.validation_scores_) == pytest.approx(0.75, abs=0.1)


def test_sparse_validation_rows():
    X, y = make_csr()
    X_val, y_val = make_csr(seed=1)
    model = make(max_iter=10).fit(X, y, X_val=X_val.tocsc(), y_val=y_val)
    assert model.validation_scores_[-1] == model.score(X_val, y_val)


def test_classes_of_one_row_stay_in_training():
    texts, labels = [*TEXTS, "alone"], [*LABELS, "single"]
    model = make(early_stopping=True, validation_fraction=0.9, max_iter=2).fit(texts, labels)
    assert "single" in model.classes_


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X_val": TEXTS}, ValueError, "y_val is None: give X_val and y_val together"),
        ({"y_val": LABELS}, ValueError, "X_val is None: give X_val and y_val together"),
        ({"sample_weight_val": [1]}, ValueError, "sample_weight_val needs X_val and y_val"),
        ({"X_val": TEXTS, "y_val": ["other"] * 36}, ValueError, "y_val has the label 'other', wh"),
        ({"X_val": TEXTS, "y_val": LABELS[1:]}, ValueError, "y_val has 35 labels, but .* 36 rows"),
        ({"X_val": TEXTS, "y_val": [*LABELS[1:], None]}, ValueError, "y_val has a missing label"),
        ({"X_val": [], "y_val": []}, ValueError, "minimum of 1 is required"),
        ({"X_val": "card", "y_val": ["lost"]}, ValueError, "pass a list of one text"),
        ({"X_val": make_csr()[0], "y_val": make_csr()[1]}, TypeError, "X_val must be of the same"),
        (
            {"X_val": TEXTS[:2], "y_val": LABELS[:2], "sample_weight_val": [0, 0]},
            ValueError,
            "zero in every row",
        ),
    ],
)
def test_unusable_validation_rows(arguments, error, message):
    for early_stopping in (True, False):
        with pytest.raises(error, match=message):
            make(early_stopping=early_stopping).fit(TEXTS, LABELS, **arguments)


def test_validation_features_of_another_width():
    X, y = make_csr()
    with pytest.raises(ValueError, match=r"X has 29 features, but .* expecting 30"):
        make().fit(X, y, X_val=X[:, :29], y_val=y)


def test_too_few_rows_to_hold_any_out():
    with pytest.raises(ValueError, match="early_stopping: none of 2 rows can be held out"):
        make(early_stopping=True).fit(["good", "bad"], ["a", "b"])


# ------------------------------------------------------------------------------ seeds and threads


def many_rows(n_classes, n=3000):
    """Rows enough that batches go to threads."""
    random = np.random.default_rng(0)
    X = sp.random(n, 500, 0.12, format="csr", dtype=np.float32, random_state=0)
    return X, random.permutation(np.arange(n) % n_classes)


@pytest.mark.parametrize(("n_classes", "wide"), [(3, None), (77, None), (600, None), (600, False)])
def test_threads_change_no_bit(n_classes, wide, monkeypatch):
    X, y = many_rows(n_classes)
    in_threads = []
    plain = loop.Pool.map

    def watched(self, function, tasks):
        in_threads.append(self.n_threads)
        return plain(self, function, tasks)

    monkeypatch.setattr(loop.Pool, "map", watched)
    monkeypatch.setattr(loop, "_WORTH_THREADS", 1 << 19)
    results, answers = set(), []
    for n_jobs, blas_threads in [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1)]:
        with threadpool_limits(limits=blas_threads, user_api="blas"):
            model = make(n_jobs=n_jobs, max_iter=1, batch_size=512, wide=wide).fit(X, y)
            answers.append(model.predict_proba(X))
        results.add(bits(model))
    assert len(results) == 1
    assert all((answer == answers[0]).all() for answer in answers)
    assert {1, 2, 4} == set(in_threads)
    assert len(in_threads) > 5 * 6  # every batch, not only the predictions


def test_threads_change_no_bit_on_text():
    texts = [f"{text} {i % 97}" for i, text in enumerate(TEXTS * 30)]
    results = {
        bits(make(n_jobs=n_jobs, max_iter=2).fit(texts, LABELS * 30)) for n_jobs in (1, 2, 4)
    }
    assert len(results) == 1


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    first = bits(make(random_state=3).fit(TEXTS, LABELS))
    assert first == bits(make(random_state=3).fit(TEXTS, LABELS))
    assert first == bits(make(random_state=np.random.RandomState(3)).fit(TEXTS, LABELS))
    assert first == bits(make(random_state=np.int64(3)).fit(TEXTS, LABELS))
    assert first != bits(make(random_state=4).fit(TEXTS, LABELS))


def test_a_generator_moves_on():
    random = np.random.RandomState(3)
    model = make(random_state=random)
    assert bits(model.fit(TEXTS, LABELS)) != bits(model.fit(TEXTS, LABELS))
    assert model.random_state is random


def test_no_seed_draws_one():
    first, second = (bits(make(random_state=None).fit(TEXTS, LABELS)) for _ in range(2))
    assert first != second


def test_the_global_generator_is_left_alone():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make(random_state=3).fit(TEXTS, LABELS).predict(TEXTS)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_bits_are_the_same_in_a_fresh_process_with_other_blas_threads(tmp_path):
    program = """
        import hashlib, sys
        sys.path.insert(0, "tests")
        import conftest
        from test_classifier_training import bits, make, many_rows
        for wide in (True, False):
            model = make(n_jobs=2, max_iter=1, batch_size=512, wide=wide).fit(*many_rows(600))
            print(hashlib.sha256(bits(model)).hexdigest())
    """
    digests = set()
    for n_threads in ("1", "2"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": n_threads, "OMP_NUM_THREADS": n_threads}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        digests.add(done.stdout)
    assert len(digests) == 1


# ------------------------------------------------------------------------ interruption, divergence


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interruption_leaves_the_model_as_it_was(n_jobs, monkeypatch):
    model = make(n_jobs=n_jobs).fit(TEXTS, LABELS)
    model.predict(["card"])
    before, answers = state(model), model.predict_proba(TEXTS)
    ticks = []

    def tick(self, n_rows):
        ticks.append(n_rows)
        if len(ticks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "tick", tick)
    n_threads = threading.active_count()
    for X, y in [(TEXTS, ["x", "y"] * 18), make_csr()]:
        ticks.clear()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
        unchanged(model, before)
    np.testing.assert_array_equal(model.predict_proba(TEXTS), answers)
    assert threading.active_count() == n_threads  # none is left behind


def test_an_interruption_of_the_first_fit_leaves_nothing(monkeypatch):
    def tick(self, n_rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "tick", tick)
    model = make()
    with pytest.raises(KeyboardInterrupt):
        model.fit(TEXTS, LABELS)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently there")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_control_c(n_jobs):
    program = f"""
        import sys
        sys.path.insert(0, "tests")
        import conftest
        from problems import LABELS, TEXTS, make
        from test_classifier_training import many_rows
        from udt.training.progress import Progress
        model = make().fit(TEXTS, LABELS)
        answers = model.predict_proba(TEXTS)
        plain, n_ticks = Progress.tick, []
        def tick(self, n_rows):
            plain(self, n_rows)
            n_ticks.append(n_rows)
            if len(n_ticks) == 3:
                print("training", flush=True)
        Progress.tick = tick
        model.set_params(max_iter=10**6, n_jobs={n_jobs}, batch_size=512)
        try:
            model.fit(*many_rows(50))
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("not interrupted")
        assert (model.predict_proba(TEXTS) == answers).all()
        model.set_params(max_iter=1, verbose=1).fit(TEXTS, LABELS)
        print("went on")
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "training\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=100)
    finally:
        child.kill()
    assert (out, child.returncode) == ("went on\n", 0), err


@pytest.mark.parametrize(
    ("X", "y", "parameters"),
    [
        ([], [], {}),
        ("card", ["a"], {}),
        (TEXTS, LABELS[1:], {}),
        (TEXTS, ["a"] * 36, {}),
        ([*TEXTS[1:], 3], LABELS, {}),
        (TEXTS, LABELS, {"word_ngrams": (0, 1)}),
        (TEXTS, LABELS, {"max_iter": 0}),
        (TEXTS, LABELS, {"n_jobs": 0}),
        (TEXTS, LABELS, {"class_weight": {"lost": -1}}),
    ],
)
def test_a_fit_that_fails_leaves_the_model_as_it_was(X, y, parameters):
    model = make().fit(TEXTS, LABELS)
    answers = model.predict_proba(TEXTS)
    model.set_params(**parameters)
    before = state(model)
    with pytest.raises((ValueError, TypeError)):
        model.fit(X, y)
    unchanged(model, before)
    model.set_params(n_jobs=None)
    np.testing.assert_array_equal(model.predict_proba(TEXTS), answers)


def test_training_that_diverges_is_started_again_at_a_lower_rate():
    X, _ = make_csr()
    with pytest.warns(
        ConvergenceWarning, match="diverged at learning_rate_init=1e.20; starting"
    ) as w:
        model = make(learning_rate_init=1e20, batch_size=4, max_iter=5).fit(X, np.arange(40) % 5)
    assert w[0].filename == __file__  # the caller's line, not one of ours
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.learning_rate_init == 1e20


def test_training_that_diverges_at_every_rate_leaves_the_model_as_it_was():
    X, _ = make_csr()
    model = make(batch_size=4).fit(X, np.arange(40) % 5)
    before = state(model)
    model.set_params(learning_rate_init=1e30)
    message = "Training diverges even at learning_rate_init=1e.27. Are there extreme values"
    with pytest.warns(ConvergenceWarning), pytest.raises(ValueError, match=message):
        model.fit(X, np.arange(40) % 5)
    unchanged(model.set_params(learning_rate_init=None), before)


@pytest.mark.parametrize("rate", [1e-30, 1e-3, 1.0, 100.0, 1e6])
def test_any_usable_rate_gives_finite_answers(rate):
    model = make(learning_rate_init=rate, max_iter=10).fit(TEXTS, LABELS)
    assert np.isfinite(model.predict_proba(TEXTS)).all()
    assert np.isfinite(model.decision_function(TEXTS)).all()


def test_extreme_weights_give_finite_answers():
    weights = np.ones(36)
    weights[0] = 1e30
    model = make(max_iter=10).fit(TEXTS, LABELS, sample_weight=weights)
    assert np.isfinite(model.predict_proba(TEXTS)).all()


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_progress_is_shown_on_stderr_only(verbose, capfd):
    make(verbose=verbose).fit(TEXTS, LABELS).predict(TEXTS)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("Training: 100%" in err) == (verbose > 0)
