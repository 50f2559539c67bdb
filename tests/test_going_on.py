"""Training that goes on: partial_fit and warm_start."""

import pickle
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from problems import LABELS, TEXTS, make, make_csr
from sklearn.base import clone
from test_classifier_training import bits, same, state

import udt
from udt.training.progress import Progress

CLASSES = ["lost", "pin", "top-up"]


def make_rows(n=120, seed=0, cities=("Rome", "Oslo")):
    random = np.random.default_rng(seed)
    rows = [
        {
            "city": str(random.choice(cities)), "price": float(random.lognormal()),
            "note": " ".join(random.choice(TEXTS, 2)), "tags": list(random.choice(["a", "b"], 1)),
            "day": datetime(2020, 1, 1) + timedelta(days=int(random.integers(900))),
        }
        for _ in range(n)
    ]  # fmt: skip
    return rows, [["no", "yes"][(row["price"] > 1) ^ (row["city"] == "Oslo")] for row in rows]


def parts(*sequences, n=3):
    """Cut sequences into parts of equal length."""
    size = -(-len(sequences[0]) // n)
    return [tuple(s[i : i + size] for s in sequences) for i in range(0, len(sequences[0]), size)]


# ------------------------------------------------------------------------------------ partial_fit


def test_parts_are_learnt():
    model = make()
    for X, y in parts(TEXTS, LABELS) * 6:
        assert model.partial_fit(X, y, classes=CLASSES) is model
        assert model.n_iter_ == 1
        assert len(model.loss_curve_) == 1
    assert model.score(TEXTS, LABELS) == 1
    assert model.classes_.tolist() == CLASSES


def test_parts_of_a_table_are_learnt():
    rows, y = make_rows(400)
    model = make().partial_fit(rows[:200], y[:200], classes=["no", "yes"])
    for X, part in parts(rows, y, n=8) * 8:
        model.partial_fit(X, part)
    assert model.score(rows, y) > 0.95
    frame = pd.DataFrame(rows)
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(rows))
    np.testing.assert_allclose(
        model.predict_proba(rows[:1]), model.predict_proba(rows)[:1], rtol=1e-4, atol=1e-6
    )


def test_parts_of_ready_features_are_learnt():
    X, y = make_csr(n=90)
    model = make()
    for _ in range(20):
        model.partial_fit(X[:45], y[:45], classes=["high", "low"]).partial_fit(X[45:], y[45:])
    assert model.score(X, y) > 0.9
    with pytest.raises(ValueError, match="X has 29 features, but UDTClassifier is expecting 30"):
        model.partial_fit(X[:, :29], y)


@pytest.mark.parametrize("kind", ["texts", "rows", "numbers"])
def test_features_of_one_call_are_those_of_fit(kind):
    X, y = {
        "texts": (TEXTS, LABELS),
        "rows": make_rows(),
        "numbers": (np.arange(80.0).reshape(40, 2) % 7, ["a", "b"] * 20),
    }[kind]
    whole, part = make().fit(X, y), make().partial_fit(X, y, classes=sorted(set(y)))
    ours, theirs = part.featurizer_.transform(X), whole.featurizer_.transform(X)
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert part.columns_ == whole.columns_
    assert part.network_.wide.shape == whole.network_.wide.shape


def test_the_same_calls_give_the_same_bits():
    rows, y = make_rows()
    results = set()
    for n_jobs in (1, 2, 4):
        model = make(n_jobs=n_jobs)
        for X, part in parts(rows, y):
            model.partial_fit(X, part, classes=["no", "yes"])
        results.add(bits(model))
    assert len(results) == 1


def count_words(model):
    return len(model.featurizer_.texts_[0].buckets_)


def test_ngrams_become_features_once_they_are_frequent():
    model = make(min_df=3, char_ngrams=None, word_ngrams=(1, 1))
    model.partial_fit(["card lost"] * 3 + ["new"], ["a", "a", "b", "b"], classes=["a", "b"])
    assert count_words(model) == 2
    before = model.network_.wide.copy()
    model.partial_fit(["new"], ["b"])
    assert count_words(model) == 2
    model.partial_fit(["new"], ["b"])  # the third row
    assert count_words(model) == 3
    assert model.network_.wide.shape == (3, 2)
    assert len(before) == 2
    for _ in range(30):
        model.partial_fit(["new", "card"] * 4, ["b", "a"] * 4)
    assert model.predict(["new", "card"]).tolist() == ["b", "a"]


def test_categories_become_features_once_they_are_frequent():
    model = make(min_df=3)
    rows = [{"a": "x", "n": 1}, {"a": "y", "n": 2}] * 3
    model.partial_fit([*rows, {"a": "new", "n": 1}], ["p", "q"] * 3 + ["p"], classes=["p", "q"])
    assert len(model.featurizer_.cells_.hashes) == 2
    first = model.featurizer_.transform(rows)
    model.partial_fit([{"a": "new", "n": 1}, {"a": "other", "n": 2}], ["p", "q"])
    assert len(model.featurizer_.cells_.hashes) == 2
    model.partial_fit([{"a": "new", "n": 1}, {"a": "other", "n": 2}], ["p", "q"])
    assert len(model.featurizer_.cells_.hashes) == 3
    second = model.featurizer_.transform(rows)
    assert second.shape[1] == first.shape[1] + 1
    assert (second[:, : first.shape[1]] != first).nnz == 0  # numbers once given never change
    assert model.network_.wide.shape[0] == second.shape[1]
    model.partial_fit([{"a": "other", "n": 2}], ["q"])
    assert len(model.featurizer_.cells_.hashes) == 4


def test_roles_and_knots_freeze_at_the_first_call():
    rows, y = make_rows()
    model = make().partial_fit(rows, y, classes=["no", "yes"])
    columns, knots = model.columns_, model.featurizer_.cells_.knots.copy()
    scale = model.featurizer_.cells_.scale
    others = [row | {"price": row["price"] * 1e6} for row in make_rows(seed=1)[0]]
    model.partial_fit(others, y)
    assert model.columns_ == columns
    assert model.featurizer_.cells_.scale == scale
    np.testing.assert_array_equal(model.featurizer_.cells_.knots, knots)
    with pytest.raises(ValueError, match="column 'price' is missing"):
        model.partial_fit([{"city": "Rome"}, {"city": "Oslo"}], ["no", "yes"])


def test_classes_are_needed_in_the_first_call():
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        make().partial_fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="classes has one class only"):
        make().partial_fit(TEXTS, ["a"] * 36, classes=["a"])


def test_a_stranger_among_the_labels():
    with pytest.raises(ValueError, match="y has the label 'top-up', which is not among"):
        make().partial_fit(TEXTS, LABELS, classes=["lost", "pin"])
    model = make().partial_fit(TEXTS, LABELS, classes=CLASSES)
    before = state(model)
    with pytest.raises(ValueError, match="y has the label 'other', which is not among the classes"):
        model.partial_fit(TEXTS[:2], ["lost", "other"])
    with pytest.raises(ValueError, match=r"classes=.* is not what the first call was given"):
        model.partial_fit(TEXTS, LABELS, classes=["lost", "pin", "other"])
    same(state(model), before)


def test_classes_in_any_order_and_more_than_y_has():
    model = make().partial_fit(TEXTS[:2], LABELS[:2], classes=["top-up", "lost", "pin", "lost"])
    assert model.classes_.tolist() == CLASSES
    assert model.predict_proba(TEXTS).shape == (36, 3)
    model.partial_fit(TEXTS, LABELS, classes=np.array(["pin", "lost", "top-up"]))


def test_one_row_a_call():
    model = make(min_df=1)
    for X, y in list(zip(TEXTS[:6], LABELS[:6], strict=True)) * 10:
        model.partial_fit([X], [y], classes=CLASSES)
    assert model.score(TEXTS, LABELS) == 1


def test_it_goes_on_after_fit_and_after_loading(tmp_path):
    model = make(max_iter=20).fit(TEXTS, LABELS)
    model.save(tmp_path / "model.udt")
    for other in (model, udt.load(tmp_path / "model.udt"), pickle.loads(pickle.dumps(model))):
        other.partial_fit(TEXTS[:6], LABELS[:6])
        assert other.score(TEXTS, LABELS) == 1
        with pytest.raises(ValueError, match="not among the classes"):
            other.partial_fit(["a"], ["other"])
        # Texts of another kind may still come to be known.
        n = count_words(other)
        other.partial_fit(["completely strange words"] * 2, ["pin"] * 2)
        assert count_words(other) > n


def test_fit_starts_anew():
    model = make().partial_fit(TEXTS, LABELS, classes=CLASSES)
    assert bits(model.fit(TEXTS, LABELS)) == bits(make().fit(TEXTS, LABELS))
    assert model.fit(*make_csr()).classes_.tolist() == ["high", "low"]


def test_sample_weights_of_a_part():
    weights = np.where(np.array(LABELS) == "pin", 0.0, 1.0)
    model = make().partial_fit(TEXTS, LABELS, CLASSES, weights)
    kept = weights > 0
    other = make().partial_fit(np.array(TEXTS)[kept], np.array(LABELS)[kept], CLASSES, [1] * 24)
    assert bits(model) == bits(other)
    with pytest.raises(ValueError, match="sample_weight is zero in every row"):
        model.partial_fit(TEXTS, LABELS, sample_weight=np.zeros(36))


def test_class_weights_of_a_part():
    model = make(class_weight={"pin": 2.0}).partial_fit(TEXTS[:2], LABELS[:2], classes=CLASSES)
    model.partial_fit(TEXTS, LABELS)
    weighted = make().partial_fit(TEXTS[:2], LABELS[:2], CLASSES, [1, 1])
    weights = np.where(np.array(LABELS) == "pin", 2.0, 1.0)
    assert bits(weighted.partial_fit(TEXTS, LABELS, None, weights)) == bits(model)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all rows at once"):
        make(class_weight="balanced").partial_fit(TEXTS, LABELS, classes=CLASSES)


def test_another_kind_of_x_than_in_the_first_call():
    X, y = make_csr()
    model = make().partial_fit(TEXTS, LABELS, classes=CLASSES)
    before = state(model)
    with pytest.raises(TypeError, match="X is a sparse matrix, but fit was given text or a table"):
        model.partial_fit(X[:36], LABELS)
    same(state(model), before)
    with pytest.raises(TypeError, match="X is no sparse matrix, but fit was given one"):
        make().partial_fit(X, y, classes=["high", "low"]).partial_fit(TEXTS, LABELS)


@pytest.mark.parametrize("first", [True, False])
def test_an_interrupted_part_leaves_the_model_as_it_was(first, monkeypatch):
    rows, y = make_rows()
    model = make(min_df=1)
    if not first:
        model.partial_fit(rows, y, classes=["no", "yes"])
    before = state(model)

    def tick(self, n_rows):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "tick", tick)
        with pytest.raises(KeyboardInterrupt):
            others = make_rows(seed=5, cities=("Lima", "Rome"))[0]
            model.partial_fit(others, y, classes=["no", "yes"])
    same(state(model), before)
    for bad in (rows[:-1], [rows[0] | {"price": float("inf")}, *rows[1:]], "text", []):
        with pytest.raises((ValueError, TypeError)):
            model.partial_fit(bad, y, classes=["no", "yes"])
    same(state(model), before)


def test_sets_of_labels_in_parts():
    y = [["a"], ["a", "b"], []] * 12
    model = make()
    for X, part in parts(TEXTS, y) * 10:
        model.partial_fit(X, part, classes=["a", "b", "c"])
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(TEXTS).shape == (36, 3)
    assert isinstance(model.predict(TEXTS)[0], list)
    with pytest.raises(ValueError, match="'z'"):
        model.partial_fit(TEXTS[:1], [["z"]])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        make().partial_fit(TEXTS, y)


@pytest.mark.parametrize("kind", [np.array, sp.csr_matrix])
def test_indicators_in_parts_need_no_classes(kind):
    y = kind([[1, 0], [1, 1], [0, 0]] * 12)
    model = make().partial_fit(TEXTS[:18], y[:18]).partial_fit(TEXTS[18:], y[18:])
    assert type(model.predict(TEXTS)) is type(y)
    with pytest.raises(ValueError, match=r"y has 1 columns|give an indicator of shape"):
        model.partial_fit(TEXTS, y[:, :1])


def test_a_threshold_cannot_be_tuned_on_parts():
    y = np.array([[1, 0], [1, 1], [0, 0]] * 12)
    with pytest.raises(ValueError, match='threshold="tuned" needs rows to hold out'):
        make(threshold="tuned").partial_fit(TEXTS, y)
    model = make(threshold="tuned", validation_fraction=0.4).fit(TEXTS, y)
    tuned = model.threshold_
    assert model.partial_fit(TEXTS, y).threshold_ == tuned


def test_early_stopping_holds_no_part_out():
    model = make(early_stopping=True).partial_fit(TEXTS[:2], ["lost", "pin"], classes=CLASSES)
    assert model.validation_scores_ == []


# ------------------------------------------------------------------------------------- warm_start


def test_a_warm_start_goes_on_from_the_weights():
    cold = make(max_iter=1).fit(TEXTS, LABELS)
    warm = make(max_iter=1, warm_start=True).fit(TEXTS, LABELS)
    assert bits(warm) == bits(cold)
    first = warm.loss_curve_[0]
    for _ in range(5):
        warm.fit(TEXTS, LABELS)
    assert warm.loss_curve_[0] < first / 2
    assert warm.n_iter_ == 1
    assert warm.score(TEXTS, LABELS) == 1
    # Without it, fit starts anew.
    assert bits(warm.set_params(warm_start=False).fit(TEXTS, LABELS)) == bits(cold)


def test_a_warm_start_appends_classes():
    model = make(warm_start=True, max_iter=20).fit(TEXTS, LABELS)
    weights = model.network_.copy()
    texts = [*TEXTS, *["abroad payment fee"] * 6, *["a refund please"] * 6]
    labels = [*LABELS, *["fee"] * 6, *["Refund"] * 6]
    model.fit(texts, labels)
    assert model.classes_.tolist() == [*CLASSES, "Refund", "fee"]
    assert model.score(texts, labels) == 1
    assert model.predict(["abroad payment fee"]).tolist() == ["fee"]
    assert model.predict_topk(texts, 5)[0].shape == (48, 5)
    assert model.network_.bias.shape == (5,)
    assert len(model.network_.wide) >= len(weights.wide)
    # Rows of few classes are welcome, and all are still known.
    model.fit(texts[:2], labels[:2])
    assert model.classes_.tolist() == [*CLASSES, "Refund", "fee"]


def test_class_weights_of_classes_out_of_order():
    model = make(warm_start=True, max_iter=2).fit(TEXTS, LABELS)
    texts, labels = [*TEXTS, "fee", "fee"], [*LABELS, "fee", "fee"]
    other = pickle.loads(pickle.dumps(model))
    model.set_params(class_weight={"fee": 3.0}).fit(texts, labels)
    assert model.classes_.tolist() == [*CLASSES, "fee"]
    weights = np.where(np.array(labels) == "fee", 3.0, 1.0)
    assert bits(other.fit(texts, labels, weights)) == bits(model)
    third = pickle.loads(pickle.dumps(model)).set_params(class_weight={"fee": 3.0, "lost": 0.5})
    weights = np.select([np.array(labels) == name for name in ("fee", "lost")], [3.0, 0.5], 1.0)
    expected = pickle.loads(pickle.dumps(model)).set_params(class_weight=None)
    assert bits(third.fit(texts, labels)) == bits(expected.fit(texts, labels, weights))


def test_a_warm_start_keeps_roles_and_features():
    rows, y = make_rows()
    model = make(warm_start=True).fit(rows, y)
    columns, before = model.columns_, model.featurizer_.transform(rows)
    many = make_rows(seed=3, cities=("Rome", "Lima"))
    model.fit(*many)
    assert model.columns_ == columns
    after = model.featurizer_.transform(rows)
    assert after.shape[1] > before.shape[1]  # Lima, at least
    assert (after[:, : before.shape[1]] != before).nnz == 0
    with pytest.raises(ValueError, match="column 'price' is missing"):
        model.fit([{"city": "Rome"}] * 2, ["no", "yes"])


def test_a_warm_start_on_the_same_rows_finds_nothing_new():
    texts = [f"{text} once{i}" for i, text in enumerate(TEXTS)]
    model = make(warm_start=True, max_iter=1).fit(texts, LABELS)
    shape = model.network_.wide.shape
    for _ in range(4):
        assert model.fit(texts, LABELS).network_.wide.shape == shape
    rows, y = make_rows()
    rows = [row | {"city": f"{row['city']}{i % 100}"} for i, row in enumerate(rows)]
    model = make(warm_start=True, max_iter=1, columns={"city": "category"}).fit(rows, y)
    shape = model.network_.wide.shape
    for _ in range(4):
        assert model.fit(rows, y).network_.wide.shape == shape


def test_a_warm_start_after_parts_and_parts_after_it():
    model = make(warm_start=True).partial_fit(TEXTS, LABELS, classes=CLASSES)
    for _ in range(4):
        model.fit(TEXTS, LABELS).partial_fit(TEXTS, LABELS)
    assert model.score(TEXTS, LABELS) == 1


def test_a_clone_of_a_warm_model_is_cold():
    model = make(warm_start=True).fit(TEXTS, LABELS)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert copy.get_params()["warm_start"] is True
    assert not hasattr(copy, "network_")
    assert bits(copy.fit(TEXTS, LABELS)) == bits(model)


def test_a_warm_start_of_another_kind_leaves_the_model_as_it_was():
    model = make(warm_start=True).fit(TEXTS, LABELS)
    before = state(model)
    X, y = make_csr()
    for bad_X, bad_y, error in [
        (X, y, TypeError),
        (TEXTS, [3] * 36, TypeError),
        (TEXTS, [*LABELS[:-1], None], ValueError),
        (TEXTS, [["lost"], ["pin", "lost"]] * 18, (TypeError, ValueError)),
        (TEXTS, np.eye(36, dtype=int), (TypeError, ValueError)),
        (np.eye(36), LABELS, (TypeError, ValueError)),
        (TEXTS[1:], LABELS, ValueError),
    ]:
        with pytest.raises(error):
            model.fit(bad_X, bad_y)
        same(state(model), before)


def test_an_interrupted_warm_start_leaves_the_model_as_it_was(monkeypatch):
    rows, y = make_rows()
    model = make(warm_start=True).fit(rows, y)
    before = state(model)

    def tick(self, n_rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "tick", tick)
    with pytest.raises(KeyboardInterrupt):
        model.fit(make_rows(seed=9, cities=("Lima", "Rome"))[0], ["new", *y[1:]])
    same(state(model), before)


def test_a_warm_start_with_sets_of_labels():
    y = [["a"], ["a", "b"], []] * 12
    model = make(warm_start=True, max_iter=8).fit(TEXTS, y)
    model.fit([*TEXTS, *["fee abroad"] * 4], [*y, *[["Z", "a"]] * 4])
    assert model.classes_.tolist() == ["a", "b", "Z"]
    assert model.predict_proba(TEXTS).shape == (36, 3)
    model.fit(TEXTS, y)
    assert model.classes_.tolist() == ["a", "b", "Z"]
    dense = make(warm_start=True).fit(TEXTS, np.eye(3, dtype=int)[np.arange(36) % 3])
    with pytest.raises(ValueError, match=r"4 columns, but there are 3 labels"):
        dense.fit(TEXTS, np.eye(4, dtype=int)[np.arange(36) % 4])


def test_a_warm_start_with_early_stopping():
    model = make(warm_start=True, early_stopping=True, validation_fraction=0.3)
    for _ in range(3):
        model.fit(TEXTS, LABELS)
        assert len(model.validation_scores_) == model.n_iter_
    assert model.score(TEXTS, LABELS) == 1
