"""Quantised classifiers predict nearly the same, travel, and refuse what they cannot do."""

import contextlib
import copy
import pickle
import re

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from problems import LABELS, TEXTS, TWO, make, make_csr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import udt
from udt import UDTClassifier
from udt.datasets import make_xmc_classification
from udt.lsh.space import NotFinite
from udt.network.integers import floats
from udt.network.model import MIN_TILED, SparseNetwork
from udt.network.tiles import Tiles
from udt.network.weights import Quantized
from udt.persistence import ModelFileError, read_model, write_model
from udt.quantization import Comparison, compare

N_MANY = 300
MANY_TEXTS = [f"order {i % N_MANY} of item{i % N_MANY} {i % 7}" for i in range(4 * N_MANY)]
MANY_LABELS = [f"label {i % N_MANY}" for i in range(4 * N_MANY)]
ROWS = [
    {"note": text, "colour": ["red", "blue", None][i % 3], "size": (i * 7 % 11) / 3,
     "tags": [["a"], ["a", "b"], []][i % 3], "title": text[::-1]}
    for i, text in enumerate(TEXTS)
]  # fmt: skip
TABLE = {"columns": {"note": "text", "title": "text"}}
SETS = [["a", "b"], ["b"], [], ["c"]] * 9
INDICATOR = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]] * 9)
N_LABELS = 1000


def xmc():
    """Make rows of many labels, each of which few have."""
    return make_xmc_classification(
        1500, 800, N_LABELS, features_per_sample=15, labels_per_sample=2, signal=0.9,
        random_state=0,
    )  # fmt: skip


def first_labels(Y):
    return np.asarray(Y.argmax(axis=1)).ravel()


def fit_xmc(head, one_label=False, **parameters):
    X, Y = xmc()
    given = {"head": head, "hidden_size": 32, "max_iter": 3, "n_jobs": 2, "random_state": 0}
    return UDTClassifier(**given | parameters).fit(X, first_labels(Y) if one_label else Y)


MODELS = {
    "texts": lambda: make().fit(TEXTS, LABELS),
    "two classes": lambda: make().fit(TEXTS, TWO),
    "texts without a linear path": lambda: make(wide=False).fit(TEXTS, LABELS),
    "many classes": lambda: make(hidden_size=40).fit(MANY_TEXTS, MANY_LABELS),
    "many classes without a linear path": lambda: make(wide=False, hidden_size=40, max_iter=20).fit(
        MANY_TEXTS, MANY_LABELS
    ),
    "tokens": lambda: make(tokenizer="bpe").fit(TEXTS, LABELS),
    "a table": lambda: make(**TABLE).fit(ROWS, LABELS),
    "numbers": lambda: make().fit(np.arange(72.0).reshape(36, 2) % 7, LABELS),
    "sets of labels": lambda: make(threshold="tuned", validation_fraction=0.4).fit(ROWS, SETS),
    "an indicator": lambda: make(threshold=0.3).fit(TEXTS, INDICATOR),
    "texts with crosses": lambda: make(head="lsh", hidden_size=8).fit(TEXTS, LABELS),
    "ready features": lambda: make().fit(*make_csr()),
    "weighted ready features": lambda: make(sparse_weighting="tfidf").fit(*make_csr()),
    "ova of many labels": lambda: fit_xmc("ova"),
    "tables of many labels": lambda: fit_xmc("lsh"),
    "tables of many classes": lambda: fit_xmc("lsh", one_label=True),
}
SMALL = [kind for kind in MODELS if "many" not in kind]
CROSSED = ["texts with crosses", "tables of many labels", "tables of many classes"]
READY = ["ready features", "weighted ready features", *list(MODELS)[-3:]]


@pytest.fixture(scope="module")
def models():
    """Fit each model once; no test changes it."""
    return {}


def get(models, kind):
    if kind not in models:
        models[kind] = MODELS[kind]()
    return models[kind]


def small(models, kind, bits=8):
    """Give a model quantised once."""
    if (kind, bits) not in models:
        models[kind, bits] = get(models, kind).quantize(bits=bits)
    return models[kind, bits]


def rows_of(kind):
    if kind in READY:
        return make_csr()[0] if "ready" in kind else xmc()[0]
    if kind == "numbers":
        return np.arange(72.0).reshape(36, 2) % 7
    if kind in ("a table", "sets of labels"):
        return ROWS
    return MANY_TEXTS if "many" in kind else TEXTS


def bits_of(model):
    return {name: array.tobytes() for name, array in model.network_.arrays().items()}


def same(answer, expected):
    if isinstance(answer, tuple):
        for one, other in zip(answer, expected, strict=True):
            same(one, other)
    elif sp.issparse(answer):
        assert (answer != expected).nnz == 0
    elif isinstance(answer, list):
        assert answer == expected
    else:
        assert answer.dtype == expected.dtype
        np.testing.assert_array_equal(answer, expected)


def answers(model, X):
    """Give all that a model says of rows."""
    n = min(3, len(model.classes_))
    return (
        model.predict(X), model.predict_proba(X), model.decision_function(X),
        model.predict_topk(X, n),
    )  # fmt: skip


def agreement(model, other, X):
    one, two = (_dense(m.predict(X)) for m in (model, other))
    if isinstance(one, list):
        return np.mean([a == b for a, b in zip(one, two, strict=True)])
    return np.mean((one == two).reshape(len(one), -1).all(axis=1))


def _dense(answer):
    return answer.toarray() if sp.issparse(answer) else answer


# ------------------------------------------------------------------------------- what it answers


@pytest.mark.parametrize("kind", MODELS)
def test_predictions_hardly_change(kind, models):
    model, X = get(models, kind), rows_of(kind)
    for bits, least, most in ((8, 0.97, 0.02), (4, 0.8, 0.3)):
        q = small(models, kind, bits)
        assert type(q) is UDTClassifier
        assert q.quantization_ == {"bits": bits, "block": None, "prune": 0.0}
        assert agreement(model, q, X) >= least
        before, after = model.predict_proba(X), q.predict_proba(X)
        assert before.shape == after.shape and after.dtype == np.float32
        assert np.abs(before - after).mean() < most / 4
        assert np.abs(before - after).max() < (0.15 if bits == 8 else 0.8)
        if not model._is_multilabel:
            np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-4)
        logits = q.decision_function(X)
        assert logits.shape == model.decision_function(X).shape
        assert logits.dtype == np.float32
        assert q.threshold_ == model.threshold_
        assert q.label_format_ == model.label_format_


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("bits", [8, 4])
def test_the_answers_of_one_model_agree(bits, kind, models):
    q, X = small(models, kind, bits), rows_of(kind)
    shares = q.predict_proba(X)
    labels, best = q.predict_topk(X, 2)
    assert labels.shape == best.shape == (len(shares), 2)
    assert (np.diff(best, axis=1) <= 0).all()
    np.testing.assert_allclose(best[:, 0], shares.max(axis=1), rtol=1e-5)
    if q._is_multilabel:
        found = q.predict(X)
        expected = shares >= np.float32(q.threshold_)
        if isinstance(found, list):
            assert found == [q.classes_[row].tolist() for row in expected]
        else:
            np.testing.assert_array_equal(_dense(found) == 1, expected)
    else:
        np.testing.assert_array_equal(q.predict(X), q.classes_[shares.argmax(axis=1)])
        np.testing.assert_array_equal(labels[:, 0], q.predict(X))


@pytest.mark.parametrize("kind", MODELS)
def test_logits_are_those_of_the_weights_that_integers_stand_for(kind, models):
    q, X = small(models, kind), rows_of(kind)
    plain = copy.copy(q)
    weights = {
        name: floats(weights) if isinstance(weights, Quantized) else weights
        for name, weights in q.network_.weights().items()
    }
    plain.network_ = SparseNetwork(**weights | {"crosses": weights["crosses"].ravel()})
    plain._server = plain._search = None
    is_tiled = isinstance(q.network_.running()["output"], Tiles)
    assert is_tiled == ("many" in kind)
    before, after = (model.decision_function(X) for model in (plain, q))
    # Activations of 8 bits move logits too, and with them which classes have crosses.
    near = np.abs(before - after) <= (0.05 * np.abs(before).max() if is_tiled else 1e-4)
    assert near.mean() > (0.98 if q.network_.has_crosses else 0.9999)


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind not in READY])
@pytest.mark.parametrize("bits", [8, 4])
def test_one_row_as_in_a_batch(bits, kind, models):
    q, X = small(models, kind, bits), rows_of(kind)[:25]
    batch = q.decision_function(X)
    rows = np.concatenate([q.decision_function(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(rows, batch, rtol=1e-4, atol=1e-4)
    for i in range(3):
        one = q.predict(X[i : i + 1])
        expected = q.predict(X)[i : i + 1]
        assert (one == expected) if isinstance(one, list) else (one == expected).all()


@pytest.mark.parametrize("kind", ["tables of many labels", "tables of many classes"])
@pytest.mark.parametrize("bits", [8, 4])
def test_approximate_answers(bits, kind, models):
    model, q, X = get(models, kind), small(models, kind, bits), rows_of(kind)[:300]
    labels, shares = q.predict_topk(X, 5, approximate=True)
    assert labels.shape == shares.shape == (300, 5)
    assert (np.diff(shares, axis=1) <= 0).all()
    assert ((shares >= 0) & (shares <= 1)).all()
    assert q.topk_recall(X, 5) > model.topk_recall(X, 5) - 0.05
    all_classes = copy.deepcopy(q).set_params(n_active=len(q.classes_))
    assert all_classes.topk_recall(X, 3) > 0.95
    with pytest.raises(ValueError, match="n_active"):
        copy.deepcopy(q).set_params(n_active=2).predict_topk(X, 3, approximate=True)


def test_approximate_answers_need_no_linear_path(models):
    with pytest.raises(ValueError, match="without a dense linear"):
        small(models, "texts").predict_topk(TEXTS, 2, approximate=True)


def test_the_threshold_may_be_changed(models):
    q = copy.copy(small(models, "an indicator"))
    q.threshold_ = 0.0001
    assert q.predict(TEXTS).all()


@pytest.mark.parametrize("kind", ["sets of labels", "ova of many labels", "texts"])
def test_score(kind, models):
    model, X = get(models, kind), rows_of(kind)
    y = {"sets of labels": SETS, "texts": LABELS}.get(kind)
    y = xmc()[1] if y is None else y
    assert small(models, kind).score(X, y) == pytest.approx(model.score(X, y), abs=0.03)


@pytest.mark.parametrize("kind", ["texts", "many classes", "a table", "tables of many labels"])
@pytest.mark.parametrize("bits", [8, 4])
def test_the_number_of_threads_changes_no_bit(bits, kind, models):
    X = rows_of(kind)
    models_of = []
    for n_jobs in (1, 2):
        model = pickle.loads(pickle.dumps(get(models, kind))).set_params(n_jobs=n_jobs)
        prune = 0.0 if kind in READY else 0.3
        models_of.append(model.quantize(bits=bits, prune=prune))
    one, two = models_of
    assert bits_of(one) == bits_of(two)
    same(answers(one, X), answers(two, X))


def test_smaller_blocks_are_nearer(models):
    model = get(models, "many classes")
    logits = model.decision_function(MANY_TEXTS)
    moved = []
    for block in (512, 32, np.int64(8)):
        q = model.quantize(bits=4, block=block)
        assert q.quantization_["block"] == block and type(q.quantization_["block"]) is int
        moved.append(np.abs(q.decision_function(MANY_TEXTS) - logits).mean())
    assert moved[0] > moved[1] > moved[2]


def test_many_classes_are_scored_by_tiles(models):
    q = small(models, "many classes")
    assert len(q.classes_) >= MIN_TILED
    assert isinstance(q.network_.running()["output"], Tiles)
    assert q.network_.running() is q.network_.running()
    assert isinstance(small(models, "texts").network_.running()["output"], np.ndarray)
    assert not isinstance(get(models, "many classes").network_.running()["output"], Tiles)


# -------------------------------------------------------------------------- what it leaves alone


@pytest.mark.parametrize("kind", MODELS)
def test_the_original_stays_as_it_is(kind, models):
    model, X = get(models, kind), rows_of(kind)
    arrays, said = bits_of(model), answers(model, X)
    state = dict(vars(model))
    parts = {k: v for k, v in vars(model.featurizer_).items()}
    for options in ({}, {"bits": 4, "block": 16}):
        model.quantize(**options)
    assert state.keys() == vars(model).keys()
    assert all(vars(model)[name] is value for name, value in state.items())
    assert all(vars(model.featurizer_)[name] is value for name, value in parts.items())
    assert bits_of(model) == arrays
    same(answers(model, X), said)
    assert model.quantization_ is None
    assert not model.network_.is_quantized and small(models, kind).network_.is_quantized


def test_the_original_goes_on_and_can_be_quantised_again():
    model = make().fit(TEXTS[:18], LABELS[:18])
    first = model.quantize()
    said = first.predict_proba(TEXTS)
    model.partial_fit(TEXTS, LABELS)
    same(first.predict_proba(TEXTS), said)
    assert model.quantization_ is None
    second = model.quantize()
    assert not np.array_equal(second.predict_proba(TEXTS), said)


def test_what_further_training_needs_is_left_behind():
    model = make(min_df=5)
    model.partial_fit(ROWS[:20], LABELS[:20], classes=sorted(set(LABELS)))
    model.partial_fit(ROWS[20:], LABELS[20:])
    q = model.quantize()
    assert q._state is None and model._state is not None
    for text in q.featurizer_.texts_:
        assert not hasattr(text, "rare_") and not hasattr(text, "class_rows_")
    assert q.featurizer_.cells_.rare is None
    assert model.featurizer_.cells_.rare is not None
    assert agreement(model, q, ROWS) == 1


# ----------------------------------------------------------------------------------- its journey


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", MODELS)
def test_a_quantised_model_comes_back_whole(kind, bits, models, tmp_path):
    q, X = small(models, kind, bits), rows_of(kind)
    path = tmp_path / "model.udt"
    q.save(path)
    loaded = udt.load(path)
    joblib.dump(q, tmp_path / "model.joblib")
    copies = [
        loaded, pickle.loads(pickle.dumps(q)), pickle.loads(pickle.dumps(loaded)), copy.copy(q),
        copy.deepcopy(q), joblib.load(tmp_path / "model.joblib"),
    ]  # fmt: skip
    said, first = answers(q, X), answers(q, X[:1])
    for other in copies:
        assert other.quantization_ == q.quantization_
        assert other.network_.is_quantized
        assert other.get_params() == q.get_params()
        assert bits_of(other) == bits_of(q)
        same(answers(other, X), said)
    same(answers(loaded, X[:1]), first)
    for again in copies[:2]:
        again.save(tmp_path / "again.udt")
        assert (tmp_path / "again.udt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", CROSSED)
def test_approximate_answers_are_the_same_after_a_journey(kind, models, tmp_path):
    q, X = small(models, kind), rows_of(kind)[:50]
    q.save(tmp_path / "model.udt")
    expected = q.predict_topk(X, 2, approximate=True)
    for other in (udt.load(tmp_path / "model.udt"), pickle.loads(pickle.dumps(q))):
        same(other.predict_topk(X, 2, approximate=True), expected)


@pytest.mark.parametrize("kind", ["texts", "two classes", "a table", "many classes", *CROSSED])
def test_a_loaded_model_is_quantised_as_the_one_that_was_saved(kind, models, tmp_path):
    get(models, kind).save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    for options in ({}, {"bits": 4, "block": 24}):
        here, there = loaded.quantize(**options), get(models, kind).quantize(**options)
        assert bits_of(here) == bits_of(there)
        same(here.predict_proba(rows_of(kind)), there.predict_proba(rows_of(kind)))
    assert (tmp_path / "model.udt").stat().st_size > 0
    again = udt.load(tmp_path / "model.udt")  # nothing was written to the file it was mapped from
    assert bits_of(again) == bits_of(loaded)


def test_files_are_small(tmp_path):
    random = np.random.default_rng(0)
    words = [f"word{i}" for i in random.integers(0, 3000, 30_000) ** 2 // 3000]
    texts = [" ".join(words[20 * i : 20 * i + 20]) for i in range(1500)]
    for labels in ([f"label {i % 20}" for i in range(1500)], [i % 2 for i in range(1500)]):
        model = make(max_iter=1, char_ngrams=(3, 5)).fit(texts, labels)
        sizes = []
        for one in (model, model.quantize(), model.quantize(bits=4)):
            one.save(tmp_path / "model.udt")
            sizes.append((tmp_path / "model.udt").stat().st_size)
        assert sizes[0] >= 3 * sizes[1]
        if len(set(labels)) > 2:
            assert sizes[0] >= 4.5 * sizes[2]


@pytest.mark.parametrize("kind", SMALL)
def test_a_clone_is_fitted_anew(kind, models):
    q = small(models, kind)
    again = clone(q)
    assert not hasattr(again, "network_") and not hasattr(again, "quantization_")
    assert again.get_params() == q.get_params()


def test_a_clone_learns_what_the_original_learnt(models):
    model, q = get(models, "texts"), small(models, "texts")
    again = clone(q).fit(TEXTS, LABELS)
    assert bits_of(again) == bits_of(model)
    assert again.quantization_ is None


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("what", ["fit", "partial_fit"])
@pytest.mark.parametrize("warm_start", [False, True])
def test_integers_are_not_trained(what, warm_start, models, tmp_path):
    q = copy.deepcopy(small(models, "texts")).set_params(warm_start=warm_start)
    q.save(tmp_path / "model.udt")
    for one in (q, udt.load(tmp_path / "model.udt")):
        said = one.predict_proba(TEXTS)
        with pytest.raises(ValueError, match=rf"{what}: this model is quantised.*clone.*anew"):
            getattr(one, what)(TEXTS, LABELS)
        same(one.predict_proba(TEXTS), said)


def test_only_a_fitted_model_once():
    with pytest.raises(NotFittedError, match="not fitted"):
        UDTClassifier().quantize()
    q = make(max_iter=1).fit(TEXTS, LABELS).quantize(bits=4)
    for one in (q, pickle.loads(pickle.dumps(q))):
        with pytest.raises(ValueError, match=r"quantised already \(4 bits\): quantise the one"):
            one.quantize()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 2}, "bits=2: give 8 or 4"),
        ({"bits": 16}, "bits=16"),
        ({"bits": 8.0}, r"bits=8\.0"),
        ({"bits": "8"}, "bits='8'"),
        ({"bits": True}, "bits=True"),
        ({"bits": None}, "bits=None"),
        ({"bits": [8]}, r"bits=\[8\]"),
        ({"block": 7}, "block=7: give None, or a whole number from 8 on"),
        ({"block": 0}, "block=0"),
        ({"block": -8}, "block=-8"),
        ({"block": 16.0}, r"block=16\.0"),
        ({"block": "16"}, "block='16'"),
        ({"block": True}, "block=True"),
        ({"prune": 1}, "prune=1: give a share of the n-grams, from 0 to below 1"),
        ({"prune": 1.5}, r"prune=1\.5"),
        ({"prune": -0.1}, r"prune=-0\.1"),
        ({"prune": np.nan}, "prune=nan"),
        ({"prune": "half"}, "prune='half'"),
        ({"prune": True}, "prune=True"),
        ({"prune": None}, "prune=None"),
    ],
    ids=str,
)
def test_bad_arguments(options, message, models):
    with pytest.raises(ValueError, match=message):
        get(models, "texts").quantize(**options)


def test_numbers_of_numpy_will_do(models):
    model = get(models, "texts")
    q = model.quantize(np.int8(8), block=np.int64(64), prune=np.float32(0.25))
    assert q.quantization_ == {"bits": 8, "block": 64, "prune": 0.25}
    assert {type(value) for value in q.quantization_.values()} == {int, float}
    assert model.quantize(block=2**70).predict(TEXTS).tolist() == model.predict(TEXTS).tolist()


@pytest.mark.parametrize("kind", ["ready features", "numbers", "ova of many labels"])
def test_models_without_n_grams_are_not_pruned(kind, models):
    with pytest.raises(ValueError, match=r"prune=0\.5 drops n-grams, of which this model has none"):
        get(models, kind).quantize(prune=0.5)


def test_models_with_crosses_are_not_pruned(models):
    with pytest.raises(ValueError, match=r"prune=0\.2: this model's many labels.*give 0"):
        get(models, "texts with crosses").quantize(prune=0.2)


# --------------------------------------------------------------------------------------- pruning


def kept_ids(model, pruned):
    """Give which old features the n-grams that are left were, and their new numbers."""
    old, new = [], []
    n_cells = len(model.featurizer_.ids_) - len(model.featurizer_.texts_)
    for part, text in enumerate(model.featurizer_.texts_):
        less = pruned.featurizer_.texts_[part]
        where = {bucket: i for i, bucket in enumerate(text.buckets_.tolist())}
        at = [where[bucket] for bucket in less.buckets_.tolist()]
        assert at == sorted(at)
        np.testing.assert_allclose(less.weights_, text.weights_[at], rtol=1e-3, atol=1e-7)
        old += model.featurizer_.ids_[n_cells + part][at].tolist()
        new += pruned.featurizer_.ids_[n_cells + part].tolist()
    return old, new


@pytest.mark.parametrize("kind", ["texts", "two classes", "a table", "tokens", "an indicator"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_features_keep_their_order(share, kind, models):
    model = get(models, kind)
    q = model.quantize(prune=share)
    n = sum(len(text.buckets_) for text in model.featurizer_.texts_)
    old, new = kept_ids(model, q)
    assert len(old) == n - round(share * n)
    ids, less = model.featurizer_.ids_, q.featurizer_.ids_
    if model.featurizer_.cells_ is not None:  # of which none is dropped
        old, new = old + ids[0].tolist(), new + less[0].tolist()
    assert sorted(new) == list(range(len(new)))
    assert [new[i] for i in np.argsort(old)] == sorted(new)
    before, after = model.network_, q.network_
    for name in ("wide", "embedding"):
        n_before = before.sizes()[name][0]
        kept = sorted(number for number in old if number < n_before)
        assert after.sizes()[name] == (len(kept), before.sizes()[name][1])
        weights = getattr(before, name)[kept]
        if weights.size:
            moved = np.abs(floats(getattr(after, name)) - weights)
            assert moved.max() <= np.abs(weights).max() / 127
    assert q.featurizer_.n_embedded_ == sum(i < model.featurizer_.n_embedded_ for i in old)


@pytest.mark.parametrize("kind", ["texts", "two classes", "a table"])
def test_what_moves_logits_least_goes_first(kind, models):
    model = get(models, kind)
    network, featurizer = model.network_, model.featurizer_
    n_cells = len(featurizer.ids_) - len(featurizer.texts_)
    effects = {}
    for text, ids in zip(featurizer.texts_, featurizer.ids_[n_cells:], strict=True):
        for weight, number in zip(text.weights_, ids.tolist(), strict=True):
            effect = np.linalg.norm(network.wide[number]) if number < len(network.wide) else 0
            if number < len(network.embedding) and network.n_hidden:
                effect += np.linalg.norm(network.output @ network.embedding[number])
            effects[number] = effect * weight / np.sqrt(number + 1)  # frequency falls
    old, _ = kept_ids(model, model.quantize(prune=0.6))
    kept = {number for number in old if number in effects}
    dropped = [effects[number] for number in effects.keys() - kept]
    least = min(effects[number] for number in kept)
    assert max(dropped) <= least * (1 + 1e-3) + 1e-7


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_predictions_are_those_of_the_features_that_are_left(share):
    model = make(char_ngrams=None).fit(TEXTS, LABELS)
    q = model.quantize(prune=share)
    old, new = kept_ids(model, q)
    full = np.zeros((len(TEXTS), len(model.featurizer_.texts_[0].buckets_)), dtype=np.float32)
    rows = model.featurizer_.transform(TEXTS)
    full[:, :] = rows.toarray()
    left = np.zeros_like(full)
    left[:, old] = full[:, old]
    lengths = np.linalg.norm(left, axis=1, keepdims=True)  # rows are made of length 1 again
    left /= np.where(lengths > 0, lengths, 1)
    short = q.featurizer_.transform(TEXTS).toarray()
    np.testing.assert_allclose(short[:, new], left[:, old], atol=2e-3)
    network = model.network_
    hidden = np.tanh(left[:, : len(network.embedding)] @ network.embedding)
    logits = left @ network.wide + hidden @ network.output.T + network.bias
    np.testing.assert_allclose(q.decision_function(TEXTS), logits, atol=0.03)


@pytest.mark.parametrize("kind", ["texts", "texts without a linear path", "a table"])
def test_all_n_grams_may_go(kind, models, tmp_path):
    q = get(models, kind).quantize(prune=0.9999)
    assert all(len(text.buckets_) == 0 for text in q.featurizer_.texts_)
    q.save(tmp_path / "model.udt")
    for one in (q, udt.load(tmp_path / "model.udt")):
        X = rows_of(kind)
        shares = one.predict_proba(X)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(one.predict_proba(X[:1]), shares[:1], atol=1e-5)
        if kind != "a table":
            np.testing.assert_array_equal(shares, np.tile(shares[0], (len(shares), 1)))


@pytest.mark.parametrize("kind", ["texts", "a table", "tokens"])
def test_a_pruned_model_comes_back_whole(kind, models, tmp_path):
    q, X = get(models, kind).quantize(bits=4, prune=0.5), rows_of(kind)
    assert agreement(get(models, kind), q, X) > 0.8
    q.save(tmp_path / "model.udt")
    for one in (udt.load(tmp_path / "model.udt"), pickle.loads(pickle.dumps(q))):
        assert one.quantization_ == {"bits": 4, "block": None, "prune": 0.5}
        same(answers(one, X), answers(q, X))
        same(answers(one, X[:1]), answers(q, X[:1]))


# ---------------------------------------------------------------------------------------- damage


def parts(models, kind, bits, tmp_path):
    path = tmp_path / "model.udt"
    small(models, kind, bits).save(path)
    meta, arrays = read_model(path)
    return path, meta, {name: array.copy() for name, array in arrays.items()}


def refuses(path, meta, arrays):
    write_model(path, meta, arrays)
    with pytest.raises(ModelFileError, match=re.escape(path.name)) as error:
        udt.load(path)
    return str(error.value)


DAMAGED = ["a table", "two classes", "texts with crosses", "tokens"]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", DAMAGED)
def test_every_array_is_needed_and_no_other(kind, bits, models, tmp_path):
    path, meta, arrays = parts(models, kind, bits, tmp_path)
    assert {"network.wide.codes", "network.output.scales", "network.bias"} <= arrays.keys()
    assert not any("rare" in name or "class_rows" in name for name in arrays)
    for name in arrays:
        rest = {other: array for other, array in arrays.items() if other != name}
        refuses(path, meta, rest)
        if not name.endswith("tokenizer_"):  # without which words are split plainly
            refuses(path, meta | {"arrays": sorted(rest)}, rest)
    refuses(path, meta, arrays | {"more": np.zeros(3)})


SHAPES = {
    "one less": lambda array: array[:-1],
    "one more": lambda array: np.concatenate([array, array[-1:]]),
    "another dimension": lambda array: array[..., np.newaxis],
    "flat": lambda array: array.ravel() if array.ndim > 1 else array[np.newaxis],
    "another dtype": lambda array: array.astype("f4" if array.dtype == np.float64 else "f8"),
}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("change", SHAPES)
def test_arrays_of_another_shape(change, kind, bits, models, tmp_path):
    path, meta, arrays = parts(models, kind, bits, tmp_path)
    for name, array in arrays.items():
        is_free = re.search(r"knots|labels|tokenizer|probes", name)
        if not array.size or (is_free and change in ("one less", "one more")):
            continue
        if re.search("label|tokenizer", name) and change != "another dtype":
            continue
        if name.endswith("weights_") and change == "another dtype":
            continue  # any floats will do
        message = refuses(path, meta, arrays | {name: SHAPES[change](array)})
        assert "damaged" in message, name


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 4}, {"bits": 2}, {"bits": 8.0}, {"bits": "8"}, {"bits": None}, {"bits": True},
        {"block": 8}, {"block": 7}, {"block": 0}, {"block": 128.0}, {"block": "8"},
        {"block": True}, {"prune": 1}, {"prune": -1}, {"prune": "x"}, {"prune": None},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_of_the_quantisation_that_do_not_fit(changes, models, tmp_path):
    path, meta, arrays = parts(models, "a table", 8, tmp_path)
    refuses(path, meta | {"quantization": meta["quantization"] | changes}, arrays)


@pytest.mark.parametrize("value", [None, {}, [], "8", 8, {"bits": 8}])
def test_no_quantisation(value, models, tmp_path):
    path, meta, arrays = parts(models, "a table", 8, tmp_path)
    refuses(path, meta | {"quantization": value}, arrays)
    if value is None:
        refuses(path, meta | {"quantization": value, "shapes": {}}, arrays)


@pytest.mark.parametrize("name", ["wide", "embedding", "output", "crosses"])
@pytest.mark.parametrize(
    "shape",
    [None, [], [3], "ab", [0, 0], [1, 1, 1], [-1, 3], [2.0, 3.0], [True, True], [2**62, 4],
     [10**30, 1], ["3", "3"]],
    ids=str,
)  # fmt: skip
def test_shapes_that_do_not_fit(shape, name, models, tmp_path):
    path, meta, arrays = parts(models, "texts with crosses", 8, tmp_path)
    if name == "wide" and shape == [0, 0]:
        shape = [1, 0]
    refuses(path, meta | {"shapes": meta["shapes"] | {name: shape}}, arrays)
    rest = {other: value for other, value in meta["shapes"].items() if other != name}
    refuses(path, meta | {"shapes": rest}, arrays)
    refuses(path, meta | {"shapes": meta["shapes"] | {"bias": [3, 1]}}, arrays)


@pytest.mark.parametrize("n", [2**20, 2**39, 2**62, 10**15, -1])
def test_rows_without_columns_are_harmless(n, models, tmp_path):
    """However many rows of no weights a file tells of, none of their scales is read."""
    path, meta, arrays = parts(models, "two classes", 8, tmp_path)
    assert meta["shapes"]["embedding"][1] == 0
    meta["shapes"]["embedding"][0] = n
    write_model(path, meta, arrays)
    with contextlib.suppress(ModelFileError):
        model = udt.load(path)
        same(model.predict_proba(TEXTS), small(models, "two classes").predict_proba(TEXTS))
        model.predict_proba(TEXTS[:1])


@pytest.mark.parametrize("name", ["ids.0", "ids.1", "text.0.buckets_", "text.1.buckets_"])
def test_packed_numbers_that_are_cut_or_made_up(name, models, tmp_path):
    path, meta, arrays = parts(models, "a table", 8, tmp_path)
    packed = arrays[name]
    for damaged in (
        packed[:0], packed[: len(packed) // 2], np.r_[packed, packed], packed | np.uint8(128),
        packed.astype(np.int64), packed.astype(np.int8),
    ):  # fmt: skip
        refuses(path, meta, arrays | {name: damaged})


@pytest.mark.parametrize(
    "cells", [{"n_features": 10**9}, {"n_features": 10**15}, {"n_features": -1}], ids=str
)
def test_numbers_of_features_that_cannot_be(cells, models, tmp_path):
    path, meta, arrays = parts(models, "a table", 8, tmp_path)
    features = meta["features"] | {"cells": meta["features"]["cells"] | cells}
    refuses(path, meta | {"features": features}, arrays)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_a_number_is_refused_or_harmless(data, models, tmp_path):
    """Kernels trust the arrays: what is let through must not make them read beyond one."""
    kind = data.draw(st.sampled_from(["a table", "texts with crosses"]))
    path, meta, arrays = parts(models, kind, data.draw(st.sampled_from([8, 4])), tmp_path)
    name = data.draw(st.sampled_from(sorted(n for n in arrays if arrays[n].size)))
    assume(not name.startswith("label"))
    array = arrays[name]
    at = data.draw(st.integers(0, array.size - 1))
    if array.dtype.kind == "f":
        array.flat[at] = data.draw(st.floats(width=16))
    else:
        info = np.iinfo(array.dtype)
        near = st.integers(-3, 40).filter(lambda n: info.min <= n <= info.max)
        array.flat[at] = data.draw(near | st.integers(info.min, info.max))
    write_model(path, meta, arrays)
    try:
        model = udt.load(path)
    except ModelFileError:
        return
    X = rows_of(kind)
    with np.errstate(all="ignore"):
        for rows in (X, X[:1]):
            assert model.predict_proba(rows).shape == (len(rows), 3)
        if kind == "texts with crosses":
            with contextlib.suppress(NotFinite):
                model.predict_topk(X, 2, approximate=True)


# ------------------------------------------------------------------------------------ comparison


@pytest.mark.parametrize(
    ("kind", "y"),
    [("texts", LABELS), ("a table", LABELS), ("sets of labels", SETS), ("an indicator", INDICATOR),
     ("ova of many labels", None), ("ready features", None)],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_compare(kind, y, models):
    model, q, X = get(models, kind), small(models, kind), rows_of(kind)
    if kind not in ("texts", "a table", "sets of labels", "an indicator"):
        y = xmc()[1] if "many" in kind else make_csr()[1]
    n = X.shape[0] if sp.issparse(X) else len(X)
    found = compare(model, q, X, y, n_calls=1)
    assert isinstance(found, Comparison)
    assert found.n_rows == n
    assert found.agreement == pytest.approx(agreement(model, q, X))
    assert found.scores == (model.score(X, y), q.score(X, y))
    assert found.weights_bytes[0] > 2 * found.weights_bytes[1] > 0
    assert 0 < found.file_bytes[1] < found.file_bytes[0] + 2000
    assert all(seconds > 0 for seconds in found.seconds)
    text = str(found)
    assert f"predict {n:,} rows, " in text and "score, %" in text
    assert compare(model, q, X, n_calls=1).scores is None
    assert compare(model, model, X, n_calls=1).agreement == 1


def test_a_table_of_a_comparison():
    found = Comparison(10, (4000, 1000), (10**7, 2 * 10**7), (0.5, 0.25), 0.999, (0.9, 0.895))
    assert str(found).splitlines() == [
        "                              before     after",
        "weights, kB                     4.00      1.00   4.00 times smaller",
        "model file, MB                 10.00     20.00   2.00 times larger",
        "predict 10 rows, ms           500.00    250.00   2.00 times faster",
        "score, %                       90.00     89.50   -0.50",
        "same predictions, %                      99.90",
    ]
    assert "score" not in str(Comparison(1, (4, 1), (0, 0), (0.0, 0.0), 1.0))


def test_comparisons_that_make_no_sense(models):
    model, other = get(models, "texts"), get(models, "two classes")
    with pytest.raises(ValueError, match="different classes: give models of one task"):
        compare(model, other, TEXTS)
    with pytest.raises(NotFittedError):
        compare(model, UDTClassifier(), TEXTS)
    for n_calls in (0, -1, 1.5, True, None):
        with pytest.raises(ValueError, match=r"n_calls=.*: give a whole number"):
            compare(model, model, TEXTS, n_calls=n_calls)
