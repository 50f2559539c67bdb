"""The classifier over thousands of labels: what it promises holds with tables and crosses."""

import pickle
import warnings
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from problems import LABELS, TEXTS, make_csr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import udt
from udt import UDTClassifier
from udt.datasets import make_xmc_classification
from udt.network.model import SparseNetwork

N_LABELS = 2000
KINDS = ["one label", "label sets"]
FULL = {"one label": "softmax", "label sets": "ova"}


@pytest.fixture(scope="module")
def data():
    """Rows to train on and to test, with one label each and with any number."""
    X, Y, X_test, Y_test = make_xmc_classification(
        7000, 2500, N_LABELS, features_per_sample=20, labels_per_sample=2, n_test_samples=400,
        signal=0.8, random_state=0,
    )  # fmt: skip
    first, first_test = (np.asarray(y.argmax(axis=1)).ravel() for y in (Y, Y_test))
    return {"one label": (X, first, X_test, first_test), "label sets": (X, Y, X_test, Y_test)}


def make(**parameters):
    """Make a classifier that trains on many labels in a second."""
    given = {"random_state": 0, "max_iter": 4, "hidden_size": 64, "n_jobs": 2, "head": "lsh"}
    return UDTClassifier(**given | parameters)


@pytest.fixture(scope="module")
def models(data):
    """One model of each kind, that no test changes."""
    return {kind: make().fit(*data[kind][:2]) for kind in KINDS}


def best_is_right(model, X, y):
    """Give the share of rows whose most probable label is one of theirs."""
    best = model.predict_topk(X, 1)[0][:, 0]
    if y.ndim == 1:
        return np.mean(best == y)
    return float(y.tocsr()[np.arange(X.shape[0]), best].mean())


def bits(model):
    return b"".join(array.tobytes() for array in model.network_.arrays().values())


def small(n=300, n_labels=40, seed=0):
    """Give few rows and labels, which follow the features."""
    X, Y = make_xmc_classification(
        n, 200, n_labels, features_per_sample=12, labels_per_sample=2, signal=0.9,
        random_state=seed,
    )  # fmt: skip
    return X, Y, np.asarray(Y.argmax(axis=1)).ravel()


def state(model):
    """Give what tells whether an estimator was changed."""
    return {name: value for name, value in vars(model).items() if name != "_search"}


def is_same_state(before, after):
    return before.keys() == after.keys() and all(before[name] is after[name] for name in before)


# ------------------------------------------------------------------------------- what it reaches


@pytest.mark.parametrize("kind", KINDS)
def test_tables_train_nearly_as_well_as_all_logits(kind, models, data):
    X, y, X_test, y_test = data[kind]
    full = make(head=FULL[kind]).fit(X, y)
    assert best_is_right(full, X_test, y_test) > 0.5
    share = best_is_right(models[kind], X_test, y_test)
    assert share > best_is_right(full, X_test, y_test) - 0.03
    assert models[kind].network_.has_crosses
    assert not len(models[kind].network_.wide)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adam"}, {"optimizer": "sgd"}, {"label_smoothing": 0.1}, {"wide": False},
        {"n_tables": 20}, {"n_hashes": 2, "n_active": 300}, {"hidden_size": None},
        {"hash_family": "simhash"}, {"bucket_size": 3, "rebuild_interval": 1.0},
        {"dropout": 0.1, "hidden_dropout": 0.1},
    ],
    ids=str,
)  # fmt: skip
def test_other_parameters_learn_too(changes, kind, data):
    X, y, X_test, y_test = data[kind]
    model = make(**{"max_iter": 3} | changes).fit(X, y)
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    chance = 50 / N_LABELS  # what the most frequent labels would give
    assert best_is_right(model, X_test, y_test) > 5 * chance
    assert model.network_.has_crosses == (changes.get("wide") is not False)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_bit(kind, models, data):
    X, y, X_test, _ = data[kind]
    other = make(n_jobs=1).fit(X, y)
    assert bits(other) == bits(models[kind])
    for approximate in (False, True):
        answers = [
            model.predict_topk(X_test, 5, approximate=approximate)
            for model in (other, models[kind])
        ]
        for here, there in zip(*answers, strict=True):
            np.testing.assert_array_equal(here, there)
    assert bits(make(random_state=1).fit(X, y)) != bits(other)


# ------------------------------------------------------------------------------ what it answers


@pytest.mark.parametrize("kind", KINDS)
def test_answers_agree_on_the_ranking(kind, models, data):
    model, X_test = models[kind], data[kind][2]
    logits, shares = model.decision_function(X_test), model.predict_proba(X_test)
    labels, best = model.predict_topk(X_test, 5)
    for scores in (logits, shares):
        assert scores.shape == (X_test.shape[0], len(model.classes_))
        assert scores.dtype == np.float32
        columns = np.searchsorted(model.classes_, labels)
        top = np.take_along_axis(scores, columns, axis=1)
        assert (np.diff(top, axis=1) <= 0).all()
        np.testing.assert_array_equal(top[:, 0], scores.max(axis=1))
        np.testing.assert_array_equal(top[:, -1], np.sort(scores, axis=1)[:, -5])
    np.testing.assert_allclose(best, top, rtol=1e-5)
    if kind == "one label":
        np.testing.assert_array_equal(model.predict(X_test), labels[:, 0])
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    else:
        found = model.predict(X_test)
        assert sp.issparse(found)
        np.testing.assert_array_equal(found.toarray() == 1, shares >= np.float32(model.threshold_))


@pytest.mark.parametrize("kind", KINDS)
def test_approximate_answers(kind, models, data):
    model, X_test = models[kind], data[kind][2]
    labels, shares = model.predict_topk(X_test, 5, approximate=True)
    exact, _ = model.predict_topk(X_test, 5)
    assert labels.shape == shares.shape == exact.shape
    assert labels.dtype == exact.dtype
    assert (np.diff(shares, axis=1) <= 0).all()
    assert ((shares >= 0) & (shares <= 1)).all()
    recall = model.topk_recall(X_test, 5)
    hits = [len(set(a) & set(b)) for a, b in zip(labels.tolist(), exact.tolist(), strict=True)]
    assert type(recall) is float
    assert recall == pytest.approx(np.mean(hits) / 5)
    assert 0.1 < recall <= 1
    if kind == "one label":
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_that_propose_all_labels_give_the_exact_answer(kind, models, data):
    model, X_test = pickle.loads(pickle.dumps(models[kind])), data[kind][2]
    model.set_params(n_active=N_LABELS)
    assert model.topk_recall(X_test, 5) > 0.99  # see below
    labels, shares = model.predict_topk(X_test, 5, approximate=True)
    if kind == "label sets":
        alike = np.isclose(shares, model.predict_topk(X_test, 5)[1], atol=1e-4)
        assert alike.mean() > 0.99  # but for crosses of labels on the edge of those that have them
    few = model.set_params(n_active=20).topk_recall(X_test, 5)
    assert few < 0.999
    # Going back gives what there was: tables follow the parameters, not what was asked before.
    model.set_params(n_active=N_LABELS)
    np.testing.assert_array_equal(model.predict_topk(X_test, 5, approximate=True)[0], labels)


def test_what_none_stands_for_gives_the_same_bits():
    X, _, y = small()
    plain = make(n_active=20).fit(X, y)
    told = {"hash_family": "tree", "bucket_size": 8, "rebuild_interval": 1 / 8, "n_hard": 40}
    assert bits(make(n_active=20, **told).fit(X, y)) == bits(plain)
    random = make(n_active=20, n_tables=5).fit(X, y)
    assert bits(make(n_active=20, n_tables=5, hash_family="dwta").fit(X, y)) == bits(random)


@pytest.mark.parametrize(
    "option",
    [
        {"hash_family": "dwta"}, {"hash_family": "simhash"}, {"bucket_size": 2},
        {"rebuild_interval": 2.0}, {"hash_family": "simhash", "n_hashes": 12}, {"n_hard": 5},
    ],
    ids=str,
)  # fmt: skip
def test_each_option_of_tables_changes_training_and_approximate_answers(option, data):
    X, Y, X_test, _ = data["label sets"]
    plain = make(n_active=20, max_iter=1).fit(X, Y)
    other = make(n_active=20, max_iter=1, **option).fit(X, Y)
    assert bits(other) != bits(plain)
    before = plain.predict_topk(X_test, 5, approximate=True)[0]
    after = plain.set_params(**option).predict_topk(X_test, 5, approximate=True)[0]
    # Those of a trained network are built once, and gradients are for training.
    of_training = {"rebuild_interval", "n_hard"}
    assert np.array_equal(before, after) == (not of_training.isdisjoint(option))


@pytest.mark.parametrize("head", ["ova", "lsh"])
@pytest.mark.parametrize("n_hard", [1, N_LABELS, 10**9])
def test_any_number_of_hard_labels(head, n_hard, data):
    X, Y, X_test, Y_test = data["label sets"]
    model = make(head=head, n_hard=n_hard, max_iter=2).fit(X[:1000], Y[:1000])
    assert best_is_right(model, X_test, Y_test) > 20 / N_LABELS
    plain = make(head=head, max_iter=2).fit(X[:1000], Y[:1000])
    assert bits(model) != bits(plain)


def test_few_labels_have_a_recall_of_one():
    X, _, y = small()
    model = make(n_active=40).fit(X, y)
    for k in (1, 5, len(model.classes_)):
        assert model.topk_recall(X, k) == 1


def test_more_answers_than_tables_propose(models, data):
    model = pickle.loads(pickle.dumps(models["one label"])).set_params(n_active=7)
    X_test = data["one label"][2]
    assert model.predict_topk(X_test, 7, approximate=True)[0].shape == (400, 7)
    with pytest.raises(ValueError, match=r"k=8.*n_active=7.*smaller k.*set_params"):
        model.predict_topk(X_test, 8, approximate=True)
    with pytest.raises(ValueError, match="k=8"):
        model.topk_recall(X_test, 8)
    assert model.set_params(n_active=8).predict_topk(X_test, 8, approximate=True)[0].shape[1] == 8


@pytest.mark.parametrize("k", [0, -1, N_LABELS + 1])
def test_a_number_of_answers_that_is_none(k, models, data):
    for approximate in (False, True):
        with pytest.raises(ValueError, match=f"k={k}"):
            models["label sets"].predict_topk(data["label sets"][2], k, approximate=approximate)


@pytest.mark.parametrize("parameters", [{"head": "softmax"}, {"hidden_size": 0, "head": "auto"}])
def test_networks_that_tables_do_not_serve(parameters):
    X, _, y = small()
    model = make(**parameters).fit(X, y)
    with pytest.raises(ValueError, match=r'approximate=True needs .*head="lsh" or wide=False'):
        model.predict_topk(X, 3, approximate=True)
    assert model.predict_topk(X, 3)[0].shape == (300, 3)


def test_other_heads_without_a_linear_path_are_served_too():
    X, _, y = small()
    model = make(head="softmax", wide=False, n_active=40).fit(X, y)
    assert model.topk_recall(X, 5) == 1


# ------------------------------------------------------------------------------------- journeys


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_bit_for_bit(kind, models, data, tmp_path):
    model, X_test = models[kind], data[kind][2][:50]
    model.save(tmp_path / "model.udt")
    copies = [udt.load(tmp_path / "model.udt"), pickle.loads(pickle.dumps(model))]
    for copy in [*copies, pickle.loads(pickle.dumps(copies[0]))]:
        assert copy.get_params() == model.get_params()
        assert bits(copy) == bits(model)
        for ask in ("decision_function", "predict_proba"):
            np.testing.assert_array_equal(getattr(copy, ask)(X_test), getattr(model, ask)(X_test))
        for approximate in (False, True):
            for here, there in zip(
                copy.predict_topk(X_test, 5, approximate=approximate),
                model.predict_topk(X_test, 5, approximate=approximate),
                strict=True,
            ):
                np.testing.assert_array_equal(here, there)


def test_a_clone_is_trained_to_the_same_bits():
    X, Y, _ = small()
    model = make(n_active=30, n_tables=5).fit(X, Y)
    again = clone(model)
    assert not hasattr(again, "network_")
    assert bits(again.fit(X, Y)) == bits(model)
    assert bits(model.fit(X, Y)) == bits(again)  # and fitting anew forgets what was


def test_tables_are_built_anew_after_training():
    X, _, y = small()
    model = make(n_active=40).fit(X, y)
    model.predict_topk(X, 3, approximate=True)
    model.fit(X[:150], y[:150])
    assert model.topk_recall(X, 3) == 1
    model.partial_fit(X, model.classes_[y % len(model.classes_)])
    assert model.topk_recall(X, 3) == 1


# ------------------------------------------------------------------------- texts, tables and rows


ROWS = [
    {"note": text, "size": i % 5, "colour": ["red", "blue", "green"][i % 3]}
    for i, text in enumerate(TEXTS)
]
SETS = [[label, colour["colour"]] for label, colour in zip(LABELS, ROWS, strict=True)]
INPUTS = {
    "texts": (TEXTS, LABELS),
    "texts with sets": (TEXTS, SETS),
    "a table": (ROWS, LABELS),
    "a table with sets": (ROWS, SETS),
    "cells": ([{"size": row["size"], "colour": row["colour"]} for row in ROWS],
              [row["colour"] for row in ROWS]),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_one_row_is_answered_as_many_are(name):
    rows, y = INPUTS[name]
    model = make(hidden_size=8, batch_size=8, n_active=6, max_iter=10).fit(rows, y)
    assert model.network_.has_crosses
    whole = model.predict_proba(rows)
    labels = model.predict_topk(rows, 2)[0]
    for i in range(8):
        np.testing.assert_allclose(model.predict_proba(rows[i : i + 1])[0], whole[i], atol=1e-5)
        gap = np.sort(whole[i])[::-1]
        if gap[0] - gap[1] > 1e-4 and gap[1] - gap[2] > 1e-4:
            assert model.predict_topk(rows[i : i + 1], 2)[0].tolist() == [labels[i].tolist()]
            found = model.predict_topk(rows[i : i + 1], 2, approximate=True)
            assert found[0].tolist() == [labels[i].tolist()]
    assert model.topk_recall(rows, 2) > 0.95
    assert model.topk_recall(rows[:1], 2) in (0.5, 1)
    assert model.score(rows, y) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_rows_by_themselves_and_dense_rows(kind, models, data):
    model, X_test = models[kind], data[kind][2][:20]
    whole = model.decision_function(X_test)
    np.testing.assert_allclose(model.decision_function(X_test.toarray()), whole, atol=1e-5)
    for i in range(20):
        # A class on the edge of those that are ranked may be on either side of it.
        logits = model.decision_function(X_test[i])[0]
        top = np.argsort(-whole[i])[:20]
        np.testing.assert_allclose(logits[top], whole[i][top], atol=1e-3)


def test_rows_without_a_feature(models, data):
    nothing = sp.csr_matrix((3, data["one label"][0].shape[1]), dtype=np.float32)
    for model in models.values():
        logits = model.decision_function(nothing)
        assert np.isfinite(logits).all()
        np.testing.assert_array_equal(logits[0], logits[2])
        assert model.predict_topk(nothing, 5, approximate=True)[0].shape == (3, 5)


# -------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_the_rows_teach_as_well(kind, data):
    X, y, X_test, y_test = data[kind]
    model = make()
    labels = np.arange(N_LABELS) if kind == "one label" else None
    shares = []
    for _ in range(3):
        for first in range(0, 7000, 3500):
            part = slice(first, first + 3500)
            model.partial_fit(X[part], y[part], classes=labels)
        shares.append(best_is_right(model, X_test, y_test))
    assert len(model.classes_) == N_LABELS
    assert shares[-1] > 0.3
    assert shares[-1] > shares[0] - 0.02


def test_a_part_of_one_row():
    X, Y, y = small()
    for target in (y, Y):
        model = make()
        model.partial_fit(X[:1], target[:1], classes=None if target is Y else np.arange(40))
        model.partial_fit(X, target)
        assert np.isfinite(model.decision_function(X)).all()
        assert model.predict_topk(X, 3, approximate=True)[0].shape == (300, 3)


@pytest.mark.parametrize("head", ["lsh", "auto"])
def test_a_warm_start_brings_new_labels(head):
    X, _, y = small(n=600)
    is_early = y < 25
    model = make(head="lsh", warm_start=True, n_active=40).fit(X[is_early], y[is_early])
    early = model.classes_.copy()
    before = model.score(X[is_early], y[is_early])
    model.set_params(head=head).fit(X, y)
    assert model.classes_[: len(early)].tolist() == early.tolist()
    assert set(model.classes_) == set(y)
    assert np.diff(model.network_.cross_starts).min() >= 64
    assert len(model.network_.cross_starts) == len(model.classes_) + 1
    assert model.score(X[is_early], y[is_early]) > before - 0.1
    assert model.score(X[~is_early], y[~is_early]) > 0.3
    assert model.topk_recall(X, 5) == 1


def test_crosses_go_on_with_any_head():
    """What another head left out of training would still be in its answers."""
    X, _, y = small(n=600)
    model = make(warm_start=True).fit(X, y)
    crosses = model.network_.crosses.copy()
    score = model.score(X, y)
    model.set_params(head="softmax").fit(X, y)
    assert model.network_.has_crosses
    assert (model.network_.crosses != crosses).any()
    assert model.score(X, y) > score - 0.02


def test_a_warm_start_keeps_a_dense_linear_path():
    X, _, y = small()
    model = make(head="softmax", warm_start=True).fit(X, y)
    assert len(model.network_.wide)
    model.set_params(head="lsh").fit(X, y)
    assert len(model.network_.wide)
    assert not model.network_.has_crosses


# -------------------------------------------------------------------------- weights and stopping


@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping(kind, data):
    X, y = data[kind][:2]
    model = make(early_stopping=True, n_iter_no_change=1, max_iter=6).fit(X[:4000], y[:4000])
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ <= 6
    assert all(0 <= score <= 1 for score in scores)
    rises = [after > before for before, after in pairwise(scores)]
    assert all(rises[:-1])
    model.fit(X[:4000], y[:4000], X_val=X[:500], y_val=y[:500])
    assert len(model.validation_scores_) == model.n_iter_


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_weight_zero_are_not_there(kind, data):
    X, y = (part[:3000] for part in data[kind][:2])
    weights = np.ones(3000)
    weights[2000:] = 0
    model = make(max_iter=2).fit(X, y, sample_weight=weights)
    alone = make(max_iter=2).fit(X[:2000], y[:2000], sample_weight=np.ones(2000))
    shared = np.isin(model.classes_, alone.classes_)
    np.testing.assert_allclose(
        model.decision_function(X[:20])[:, shared].max(axis=1),
        alone.decision_function(X[:20]).max(axis=1),
        atol=2.0,
    )
    heavy = make(max_iter=2).fit(X, y, sample_weight=np.linspace(0.1, 5, 3000))
    assert np.isfinite(heavy.loss_curve_).all()


def test_propensities_raise_rare_labels(data):
    X, Y, X_test, _ = data["label sets"]
    frequencies = np.asarray(Y.sum(axis=0)).ravel()
    found = []
    for class_weight in (None, "propensity"):
        model = make(class_weight=class_weight).fit(X, Y)
        found.append(frequencies[model.predict_topk(X_test, 5)[0]].mean())
    assert found[1] < found[0]


def test_weights_of_classes(data):
    X, y, X_test, _ = data["one label"]
    usual = make(max_iter=2).fit(X, y).predict_proba(X_test)[:, 7].mean()
    raised = make(max_iter=2, class_weight={7: 30.0}).fit(X, y).predict_proba(X_test)[:, 7].mean()
    assert raised > usual
    balanced = make(max_iter=2, class_weight="balanced").fit(X, y)
    assert np.isfinite(balanced.loss_curve_).all()


def test_a_tuned_threshold(data):
    X, Y = (part[:3000] for part in data["label sets"][:2])
    model = make(threshold="tuned", max_iter=2).fit(X, Y)
    assert 0 < model.threshold_ < 1


# ------------------------------------------------------------------------------------- bad input


def test_labels_of_no_row():
    """An indicator has columns, and a first part has classes, that no row has."""
    X, Y, y = small()
    wide = sp.hstack([Y, sp.csr_matrix((300, 30))]).tocsr()
    model = make().fit(X, wide)
    assert len(model.classes_) == 70
    assert model.predict_topk(X, 1)[0].max() < 40
    assert np.isfinite(model.decision_function(X)).all()
    model = make().partial_fit(X, y, classes=np.arange(70))
    assert model.predict_topk(X, 1)[0].max() < 40
    assert model.predict_topk(X, 5, approximate=True)[0].shape == (300, 5)
    # They can be learnt later.
    for _ in range(8):
        model.partial_fit(X[:50], np.full(50, 69))
    assert (model.predict(X[:50]) == 69).mean() > 0.5


def test_labels_unseen_in_fit():
    X, Y, y = small()
    for target in (y, Y.toarray(), [[f"label {c}"] for c in y]):
        model = make().fit(X, target)
        before = state(model)
        unseen = {1: np.full(3, 99), 2: np.ones((3, 41), dtype=int)}.get(np.ndim(target))
        unseen = [["label 99"]] * 3 if isinstance(target, list) else unseen
        with pytest.raises(ValueError, match=r"99|41"):
            model.partial_fit(X[:3], unseen)
        with pytest.raises(ValueError, match=r"99|41"):
            model.fit(X, target, X_val=X[:3], y_val=unseen)
        assert is_same_state(before, state(model))


def test_rows_without_a_label_and_labels_in_one_row():
    X, _, _ = small()
    sets = [[] if i % 3 else [f"label {i}"] for i in range(300)]
    model = make(max_iter=20).fit(X, sets)
    assert len(model.classes_) == 100
    top = model.predict_topk(X[::3], 1)[0][:, 0]
    assert np.mean([[label] == one for label, one in zip(top, sets[::3], strict=True)]) > 0.5
    one_each = make(max_iter=20).fit(X, np.arange(300))
    assert one_each.score(X, np.arange(300)) > 0.5


def test_rows_without_a_feature_are_trained_on():
    X, Y, y = small()
    X = X.tolil()
    X[::2] = 0
    X = X.tocsr()
    X.eliminate_zeros()
    for target in (y, Y):
        model = make().fit(X, target)
        assert np.isfinite(model.decision_function(X)).all()


@pytest.mark.parametrize("n_alike", [300, 600, 1200])
def test_many_rows_alike(n_alike):
    """Rows of no or the same features, first or all, tell nothing of where classes lie."""
    X, _, y = small(n=1200)
    for same in (sp.csr_matrix((n_alike, 200), dtype=np.float32), X[np.zeros(n_alike, dtype=int)]):
        rows = sp.vstack([same, X[n_alike:]]).tocsr()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = make(max_iter=2).fit(rows, y)
        assert np.isfinite(model.decision_function(rows)).all()
        assert np.abs(model.decision_function(rows)).max() < 1e3
        assert model.predict_topk(rows[:5], 3, approximate=True)[0].shape == (5, 3)


def test_a_single_label():
    X, _, _ = small()
    model = make().fit(X, [["only"], []] * 150)
    assert model.predict_topk(X, 1, approximate=True)[0].tolist() == [["only"]] * 300
    assert model.topk_recall(X, 1) == 1
    assert model.predict_proba(X).shape == (300, 1)
    model = make()
    with pytest.raises(ValueError, match="class"):
        model.fit(X, ["only"] * 300)
    assert not hasattr(model, "network_")
    with pytest.raises(ValueError, match="at least one row must have one"):
        model.fit(X, [[]] * 300)
    assert not hasattr(model, "network_")


def test_two_classes():
    X, y = make_csr()
    model = make().fit(X, y)
    assert model.decision_function(X).shape == (40,)
    assert model.topk_recall(X, 2) == 1


def test_a_label_that_a_row_has_twice_counts_once():
    X, _, y = small()
    once = make().fit(X, [[f"label {c}", "all"] for c in y])
    twice = make().fit(X, [["all", f"label {c}", f"label {c}", "all"] for c in y])
    assert bits(once) == bits(twice)


@pytest.mark.parametrize("column", [-1, -(10**9), 10**6])
def test_numbers_out_of_range(column):
    """SciPy does not look at indices that are changed after the matrix was made."""
    X, Y, _ = small()
    wrong_X, wrong_Y = X.copy(), Y.copy()
    for wrong in (wrong_X, wrong_Y):
        wrong.indices[5] = column
    model = make()
    with pytest.raises(ValueError, match=f"y has an entry in column {column}: give numbers from 0"):
        model.fit(X, wrong_Y)
    with pytest.raises(ValueError, match=f"X has an entry in column {column}: give .* to 199"):
        model.fit(wrong_X, Y)
    assert not hasattr(model, "network_")
    model.fit(X, Y)
    before = state(model)
    for ask in (
        lambda: model.predict(wrong_X),
        lambda: model.predict_topk(wrong_X, 3, approximate=True),
        lambda: model.partial_fit(wrong_X, Y),
        lambda: model.partial_fit(X, wrong_Y),
    ):
        with pytest.raises(ValueError, match=f"in column {column}"):
            ask()
    assert is_same_state(before, state(model))
    with pytest.raises(ValueError, match="features"):
        model.predict_topk(X[:, :100], 3, approximate=True)


def test_rows_that_begin_out_of_range():
    X, Y, _ = small()
    for at, value in [(0, 3), (5, 10**6), (300, 10**6), (7, -4)]:
        for name in "Xy":
            wrong = (X if name == "X" else Y).copy()
            wrong.indptr[at] = value
            with pytest.raises(ValueError, match=rf"{name} is a broken sparse matrix|negative|nnz"):
                make().fit(*((wrong, Y) if name == "X" else (X, wrong)))


@pytest.mark.parametrize(
    ("parameters", "is_multilabel", "message"),
    [
        ({"head": "ova"}, False, 'rows have one label each; give "softmax"'),
        ({"head": "softmax"}, True, 'any number of labels; give "ova"'),
        ({"head": "lsh", "hidden_size": 0}, False, "hashes hidden units"),
        ({"head": "sampled"}, True, "head='sampled': give"),
        ({"n_hard": 0}, False, "n_hard=0: give"),
        ({"n_active": 0}, True, "n_active=0: give"),
        ({"n_hashes": 11}, False, "n_hashes=11: give"),
        ({"n_tables": 256}, False, "n_tables=256: give"),
        ({"hash_family": "minhash"}, False, "hash_family='minhash': give"),
        ({"hash_family": "tree", "n_tables": 2}, True, 'n_tables=2 and hash_family="tree"'),
        ({"bucket_size": 0}, False, "bucket_size=0: give"),
        ({"rebuild_interval": 0.0}, True, "rebuild_interval=0.0: give"),
    ],
)
def test_parameters_that_do_not_fit_leave_an_estimator_as_it_was(
    parameters, is_multilabel, message
):
    X, Y, y = small()
    target = Y if is_multilabel else y
    model = make(**parameters)
    for train in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            train(X, target, **({} if train == model.fit else {"classes": np.arange(40)}))
        assert not hasattr(model, "network_")
    model = make().fit(X, target)
    before = state(model)
    model.set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(X, target)
    model.set_params(**make().get_params())
    assert is_same_state(before | make().get_params(), state(model) | make().get_params())
    assert model.predict_topk(X, 3)[0].shape == (300, 3)


def test_tables_that_need_more_memory_than_there_is():
    X, _, y = small()
    sizes = {"n_hashes": 10, "n_tables": 255}  # a tebibyte
    model = make(**sizes)
    for train in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=r"255 tables.*need [\d,]+ MiB, and [\d,]+ MiB are"):
            train(X, y) if train == model.fit else train(X, y, classes=np.arange(40))
        assert not hasattr(model, "network_")
    model = make().fit(X, y)
    before, answer = state(model), model.predict_topk(X, 3, approximate=True)
    model.set_params(**sizes)
    for call in (
        lambda: model.fit(X, y),
        lambda: model.partial_fit(X, y),
        lambda: model.predict_topk(X, 3, approximate=True),
        lambda: model.topk_recall(X, 3),
    ):
        with pytest.raises(ValueError, match=r"need [\d,]+ MiB"):
            call()
    assert before["network_"] is model.network_
    model.set_params(n_hashes=None, n_tables=None)
    np.testing.assert_array_equal(model.predict_topk(X, 3, approximate=True)[0], answer[0])


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "sgd"])
def test_training_that_diverges_starts_again(optimizer):
    X, Y, y = small()
    for target in (y, Y):
        model = make(learning_rate_init=1e30, optimizer=optimizer)
        with (
            pytest.warns(ConvergenceWarning, match="starting again at a tenth"),
            pytest.raises(ValueError, match="Training diverges even at"),
        ):
            model.fit(X, target)
        assert not hasattr(model, "network_")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for rate in (10.0, 1e4, 1e12):
            model = make(learning_rate_init=rate, optimizer=optimizer, max_iter=2).fit(X, y)
            assert np.isfinite(model.decision_function(X)).all()
            assert model.predict_topk(X, 3, approximate=True)[0].shape == (300, 3)


def test_features_of_any_size():
    X, _, y = small()
    model = make().fit(X, y)
    for scale in (1e-30, 1e6, 1e14):
        answer = model.predict_topk((X * np.float32(scale)).tocsr(), 3, approximate=True)
        assert ((answer[0] >= 0) & (answer[0] < 40)).all()
    with pytest.raises(ValueError, match="X holds a value of size"):
        model.predict_topk((X * np.float32(1e30)).tocsr(), 3, approximate=True)


def test_an_unfitted_estimator_says_so():
    X, _, _ = small()
    for ask in (
        lambda: make().predict_topk(X, 3, approximate=True),
        lambda: make().topk_recall(X, 3),
    ):
        with pytest.raises(ValueError, match="not fitted"):
            ask()


def test_no_room_is_taken_for_features_times_labels():
    """Which is what crosses are there for."""
    X, _, _ = small()
    model = make(wide=True).fit(X, [[f"label {i}"] for i in range(300)])
    assert isinstance(model.network_, SparseNetwork)
    assert model.network_.wide.size == 0
    assert 300 * 64 <= len(model.network_.crosses) <= 300 * 256
