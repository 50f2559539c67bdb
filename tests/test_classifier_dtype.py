"""UDTClassifier(dtype=...): every head learns, predicts by every path, and is kept as it is."""

import pickle
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

import udt
from udt import UDTClassifier
from udt.datasets import make_xmc_classification

TEXTS = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 10
LABELS = ["lost", "lost", "top-up", "top-up"] * 10
SETS = [["card", "lost"], ["lost"], [], ["top-up"]] * 10
STORED = ("wide", "embedding", "output", "crosses")

HEADS = {
    "softmax": ("one", {}),
    "softmax, hidden": ("one", {"wide": False}),
    "resampled": ("one of many", {"wide": False}),
    "ova": ("some", {}),
    "mined": ("many", {}),
    "lsh": ("one", {"head": "lsh"}),
    "lsh, tables": ("some", {"head": "lsh", "n_tables": 5, "n_active": 20}),
    "adam": ("some", {"optimizer": "adam"}),
    "sifted": ("one", {"sifting": 0.5, "max_iter": 3, "wide": False}),
    "sgd": ("one", {"optimizer": "sgd", "head": "lsh"}),
}


@cache
def problems():
    X, Y = make_xmc_classification(400, 300, 60, random_state=0)
    Y = Y[:, np.flatnonzero(Y.getnnz(axis=0))]
    many = make_xmc_classification(600, 900, 1200, random_state=0)
    return {
        "one": (X, np.asarray(Y.argmax(axis=1)).ravel()),
        "some": (X, Y),
        "many": many,
        "one of many": (many[0], np.arange(600) % 520),
    }


def fitted(head, n_jobs=1, dtype="bfloat16", **changes):
    problem, settings = HEADS[head]
    rows, labels = problems()[problem]
    model = UDTClassifier(
        dtype=dtype, n_jobs=n_jobs, random_state=0, **{"max_iter": 2, **settings, **changes}
    )
    return model.fit(rows, labels), rows, labels


def bits(model):
    return {name: array.tobytes() for name, array in model.network_.arrays().items()}


def dtypes(model):
    return {getattr(model.network_, name).dtype for name in STORED}


@pytest.mark.parametrize("head", HEADS)
def test_threads_change_no_bit(head, monkeypatch):
    from udt.training import loop

    monkeypatch.setattr(loop, "_WORTH_THREADS", 0)
    models = [fitted(head, n_jobs)[0] for n_jobs in (1, 2, 4)]
    assert bits(models[0]) == bits(models[1]) == bits(models[2])
    assert dtypes(models[0]) == {np.dtype(np.uint16)}
    assert models[0].network_.bias.dtype == np.float32


@pytest.mark.parametrize("head", HEADS)
def test_what_is_learnt_is_near_to_that_of_float32(head):
    stored, rows, labels = fitted(head, max_iter=6)
    usual, _, _ = fitted(head, max_iter=6, dtype="float32")
    assert usual.network_.dtype == "float32"
    # Tables that are built of slightly different weights propose different classes.
    near = 0.1 if "tables" in head else 0.03
    assert stored.loss_curve_ == pytest.approx(usual.loss_curve_, rel=near)
    if not sp.issparse(labels):
        assert stored.score(rows, labels) == pytest.approx(usual.score(rows, labels), abs=0.04)
    if "tables" in head:
        return
    p, q = stored.predict_proba(rows), usual.predict_proba(rows)
    assert np.abs(p - q).mean() < 0.01


@pytest.mark.parametrize("head", ["lsh", "lsh, tables"])
def test_all_paths_give_the_same_answers(head):
    model, rows, _ = fitted(head)
    k = 3
    labels, probabilities = model.predict_topk(rows, k)
    model.set_params(n_active=len(model.classes_))  # tables propose them all
    if head == "lsh":
        found, _ = model.predict_topk(rows, k, approximate=True)
        np.testing.assert_array_equal(found, labels)
    alone = [model.predict_topk(rows[[i]], k)[1][0] for i in range(20)]
    np.testing.assert_allclose(alone, probabilities[:20], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("head", ["auto", "lsh"])
@pytest.mark.parametrize("labels", [LABELS, SETS], ids=["one", "many"])
@pytest.mark.parametrize("hidden_size", [None, 0, 7])
def test_one_row_alone_is_as_among_others(labels, hidden_size, head):
    if head == "lsh" and hidden_size == 0:
        pytest.skip("no network")
    model = UDTClassifier(dtype="bfloat16", hidden_size=hidden_size, head=head, random_state=0)
    model.fit(TEXTS, labels)
    together = model.predict_proba(TEXTS[:4])
    alone = np.concatenate([model.predict_proba([text]) for text in TEXTS[:4]])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-6)
    assert model.network_.dtype == "bfloat16"
    if labels is LABELS:
        assert model.score(TEXTS, labels) == 1


@pytest.mark.parametrize("head", ["softmax", "ova", "lsh", "mined"])
def test_models_are_kept(head, tmp_path):
    model, rows, _ = fitted(head)
    model.save(tmp_path / "stored.udt")
    usual, _, _ = fitted(head, dtype="float32")
    usual.save(tmp_path / "usual.udt")
    weights = sum(getattr(usual.network_, name).nbytes for name in STORED)
    sizes = [(tmp_path / f"{name}.udt").stat().st_size for name in ("usual", "stored")]
    assert sizes[0] - sizes[1] == pytest.approx(weights / 2, abs=1000)
    for again in (udt.load(tmp_path / "stored.udt"), pickle.loads(pickle.dumps(model))):
        assert again.dtype == "bfloat16" and bits(again) == bits(model)
        np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))


def test_files_whose_weights_do_not_fit_together_are_refused(tmp_path):
    model, _, _ = fitted("softmax")
    path = tmp_path / "model.udt"
    model.network_.output = model.network_.output.astype(np.float32)
    model.save(path)
    with pytest.raises(ValueError, match="do not fit together"):
        udt.load(path)


def test_partial_fit_goes_on_after_a_pickle():
    model = UDTClassifier(dtype="bfloat16", random_state=0)
    model.partial_fit(TEXTS, LABELS, classes=["lost", "top-up"])
    copy = pickle.loads(pickle.dumps(model))
    for each in (model, copy):
        each.partial_fit([*TEXTS, "a new text"], [*LABELS, "lost"])
    assert bits(model) == bits(copy)
    assert dtypes(model) == {np.dtype(np.uint16)}


def test_each_call_of_partial_fit_rounds_anew():
    # The same bits for each call would swallow the same steps each time.
    model = UDTClassifier(dtype="bfloat16", optimizer="sgd", hidden_size=0, random_state=0)
    model.partial_fit(TEXTS, LABELS, classes=["lost", "top-up"])
    model.partial_fit(TEXTS, LABELS)
    model.set_params(learning_rate_init=1e-3)
    found = set()
    for n_steps in (7, 7, 900):
        model.network_.wide[:] = 0x3F80  # ones
        model._state["n_steps"] = np.array(n_steps)
        model.partial_fit(TEXTS, LABELS)
        found.add(model.network_.wide.tobytes())
    assert len(found) == 2


@pytest.mark.parametrize("goes_on", ["warm_start", "partial_fit"])
@pytest.mark.parametrize("dtypes_", [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_a_network_that_training_goes_on_from_is_converted(dtypes_, goes_on):
    first, then = dtypes_
    model = UDTClassifier(dtype=first, random_state=0, warm_start=True).fit(TEXTS, LABELS)
    before = model.network_
    model.set_params(dtype=then)
    assert model.score(TEXTS, LABELS) == 1  # until then it is as it was
    getattr(model, "fit" if goes_on == "warm_start" else "partial_fit")(TEXTS, LABELS)
    assert (before.dtype, model.network_.dtype) == (first, then)
    assert model.score(TEXTS, LABELS) == 1


def test_early_stopping_keeps_the_best_pass():
    model = UDTClassifier(dtype="bfloat16", early_stopping=True, random_state=0, max_iter=5)
    model.fit(TEXTS, LABELS)
    assert model.network_.dtype == "bfloat16" and model.validation_scores_


def test_training_that_diverges_starts_again():
    rates = {"learning_rate_init": 1e30, "optimizer": "sgd"}
    model = UDTClassifier(dtype="bfloat16", wide=False, random_state=0, **rates)
    with (
        pytest.warns(ConvergenceWarning, match="diverged"),
        pytest.raises(ValueError, match="Training diverges even"),
    ):
        model.fit(TEXTS, LABELS)


@pytest.mark.parametrize("dtype", ["float16", "int8", np.float32, None, 32, ["bfloat16"]])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_other_dtypes_are_refused(dtype, method):
    model = UDTClassifier(dtype=dtype)
    with pytest.raises(ValueError, match=r'^dtype=.*: give "float32" or "bfloat16"\.$'):
        getattr(model, method)(TEXTS, LABELS)
    assert not hasattr(model, "network_")


def test_the_command_line(run, tmp_path):
    data, path = tmp_path / "rows.csv", tmp_path / "model.udt"
    data.write_text(
        "text,label\n" + "".join(f"{t},{n}\n" for t, n in zip(TEXTS, LABELS, strict=True))
    )
    run("train", data, "--model", path, "--dtype", "bfloat16", "--quiet")
    assert udt.load(path).network_.dtype == "bfloat16"
    said = run("train", data, "--model", path, "--dtype", "float64", code=2)
    assert "--dtype: invalid choice: 'float64'" in said.err
    said = run(
        "train", data, "--model", path, "--dtype", "bfloat16", "--param", "dtype=float32", code=2
    )
    assert "--dtype and --param dtype are both given" in said.err


@pytest.mark.parametrize("changes", [{}, {"prune": 0.5}, {"bits": 4}], ids=str)
def test_models_of_bfloat16_are_quantised_as_others_are(changes):
    model = UDTClassifier(dtype="bfloat16", random_state=0).fit(TEXTS, LABELS)
    smaller = model.quantize(**changes)
    assert smaller.score(TEXTS, LABELS) == 1
    near = 0.1 if changes else 0.02
    assert np.abs(smaller.predict_proba(TEXTS) - model.predict_proba(TEXTS)).max() < near
