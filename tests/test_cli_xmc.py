"""The command line on sparse rows with many labels: --format xmc."""

import gzip
import json

import numpy as np
import pytest
import scipy.sparse as sp

import udt
from udt import metrics
from udt.cli import main
from udt.io import read_xmc, write_xmc

SEED = ["--random-state", "0", "--n-jobs", "1"]
N_LABELS, N_FEATURES = 8, 20


def problem(seed, n):
    """Make rows whose labels are told by features of their own; label 7 is in none."""
    random = np.random.RandomState(seed)
    Y = random.rand(n, N_LABELS) < [0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0]
    X = np.c_[2 * Y, random.rand(n, N_FEATURES - N_LABELS) < 0.2].astype(np.float32)
    return sp.csr_matrix(X), sp.csr_matrix(Y.astype(np.float32))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_xmc("train.txt", *problem(0, 300))
    write_xmc("test.txt", *problem(1, 100))
    (tmp_path / "d.csv").write_text("text,label\n" + "good film,pos\nbad film,neg\n" * 10)
    return tmp_path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_xmc(str(folder / "train.txt"), *problem(0, 300))
    path = str(folder / "m.udt")
    train = ["train", str(folder / "train.txt"), "--format", "xmc", "--model", path, "--quiet"]
    assert main([*train, *SEED, "--param", "max_iter=10"]) == 0
    return path


def expected_measures(model, X, Y, counts, n_rows, a=0.55, b=1.5):
    best, ks = model.predict_topk(X, 5)[0], (1, 3, 5)
    values = {
        "precision": metrics.precision_at_k(Y, best, ks),
        "psp": metrics.psp_at_k(Y, best, metrics.label_propensities(counts, n_rows, a, b), ks),
        "ndcg": metrics.ndcg_at_k(Y, best, ks),
        "recall": metrics.recall_at_k(Y, best, ks),
    }
    return {
        f"{name}_at_{k}": round(v, 6)
        for name in values
        for k, v in zip(ks, values[name], strict=True)
    }


# ----------------------------------------------------------------------------------------- train


def test_train(folder, run):
    options = ["--format", "xmc", "--model", "m.udt", "--test", "test.txt", *SEED]
    out = run("train", "train.txt", *options, "--json")
    assert "read 300 rows from train.txt" in out.err
    assert "trained 8 classes" in out.err
    result = json.loads(out.out)
    assert (result["rows"], result["classes"], result["columns"]) == (300, 8, {})
    assert (result["skipped_lines"], result["test"]["skipped_lines"]) == (0, 0)
    assert result["test"]["precision_at_1"] > 0.75
    model = udt.load("m.udt")
    (X, Y), train = read_xmc("test.txt"), read_xmc("train.txt")
    measures = expected_measures(model, X, Y, train[1].sum(axis=0).A1, 300)
    assert {name: result["test"][name] for name in measures} == measures
    by_hand = udt.UDTClassifier(random_state=0, n_jobs=1).fit(*train)
    np.testing.assert_array_equal(by_hand.predict_topk(X, 5)[0], model.predict_topk(X, 5)[0])


def test_train_shows_the_measures(folder, run):
    out = run("train", "train.txt", "--format", "xmc", "--model", "m.udt", "--test", "test.txt").out
    names = [" ".join(line.split()[:-1]) for line in out.splitlines()]
    assert names[1:5] == ["precision at 1", "precision at 3", "precision at 5", "psp at 1"]


def test_train_with_validation_options_and_compressed_files(folder, run):
    (folder / "train.txt.gz").write_bytes(gzip.compress((folder / "train.txt").read_bytes()))
    run(
        *("train", "train.txt.gz", "--format", "xmc", "--model", "m.udt", "--valid", "test.txt"),
        *("--param", "sparse_weighting=tfidf", "--param", "class_weight=propensity", *SEED),
    )
    model = udt.load("m.udt")
    assert (model.sparse_weighting, model.class_weight) == ("tfidf", "propensity")
    assert model.validation_scores_
    run(
        *("train", "train.txt", "--format", "xmc", "--model", "m.udt", *SEED),
        *("--param", 'class_weight={"7": 2}'),
    )
    assert udt.load("m.udt").class_weight == {7: 2}


def test_train_from_standard_input(folder, run, stdin):
    stdin((folder / "train.txt").read_text())
    run("train", "-", "--format", "xmc", "--model", "m.udt", "--quiet")
    assert udt.load("m.udt").n_features_in_ == N_FEATURES


# ------------------------------------------------------------------------------ predict, evaluate


def test_predict(folder, run, fitted):
    model = udt.load(fitted)
    X, _ = read_xmc("test.txt")
    top, likely = model.predict_topk(X, 3)
    expected = ["\t".join(map(str, row)) for row in top.tolist()]
    assert run("predict", fitted, "test.txt", "--top", 3).out.splitlines() == expected
    assert (
        run("predict", fitted, "test.txt", "--top", 3, "--format", "xmc").out.splitlines()
        == expected
    )
    first = run("predict", fitted, "test.txt", "--top", 3, "--json").out.splitlines()[0]
    assert json.loads(first)["labels"] == top[0].tolist()
    first = run("predict", fitted, "test.txt", "--top", 1, "--proba").out.splitlines()[0]
    assert first == f"{top[0, 0]}\t{likely[0, 0]:.6f}"
    rows = run("predict", fitted, "test.txt", "--label-delimiter", ",").out.splitlines()
    actual = [[int(label) for label in row.split(",") if label] for row in rows]
    assert actual == [sorted(row.indices.tolist()) for row in model.predict(X)]


def test_evaluate(folder, run, fitted):
    model = udt.load(fitted)
    X, Y = read_xmc("test.txt")
    counts = problem(0, 300)[1].sum(axis=0).A1
    measured = json.loads(run("evaluate", fitted, "test.txt", "--json").out)
    assert measured.pop("seconds") >= 0
    rest = {"rows": 100, "skipped_lines": 0}
    rest["rows_without_label"] = int((np.diff(Y.indptr) == 0).sum())
    assert measured == expected_measures(model, X, Y, counts, 300) | rest
    options = ["--propensity", 0.6, 2.6, "--json", "--format", "xmc"]
    measured = json.loads(run("evaluate", fitted, "test.txt", *options).out)
    assert measured["psp_at_3"] == expected_measures(model, X, Y, counts, 300, 0.6, 2.6)["psp_at_3"]
    shown = run("evaluate", fitted, "test.txt").out
    assert shown.startswith("precision at 1")


def test_fewer_labels_than_five(folder, run):
    X, Y = problem(0, 100)
    write_xmc("few.txt", X, Y[:, :3])
    out = run(
        "train", "few.txt", "--format", "xmc", "--model", "m.udt", "--test", "few.txt", "--json"
    )
    assert "ndcg_at_3" in out.out
    assert "ndcg_at_5" not in out.out


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.filterwarnings("default")
def test_malformed_lines(folder, run, fitted):
    text = (folder / "test.txt").read_text().splitlines()
    text[4] = "1 3:much"
    (folder / "bad.txt").write_text("\n".join(text) + "\n")
    told = "bad.txt, line 5: '3:much' has no number behind the colon"
    train = ["train", "bad.txt", "--format", "xmc", "--model", "m.udt"]
    for command in (train, ["evaluate", fitted, "bad.txt"], ["predict", fitted, "bad.txt"]):
        assert told in run(*command, code=1).err
    assert not (folder / "m.udt").exists()
    out = run(*train, "--on-bad-lines", "skip", "--json")
    assert "warning: bad.txt: bad lines skipped: 1. The first is line 5: '3:much'" in out.err
    assert (json.loads(out.out)["rows"], json.loads(out.out)["skipped_lines"]) == (99, 1)
    out = run("evaluate", fitted, "bad.txt", "--on-bad-lines", "skip", "--json")
    assert json.loads(out.out)["skipped_lines"] == 1
    out = run("predict", fitted, "bad.txt", "--on-bad-lines", "skip")
    assert len(out.out.splitlines()) == 99


def test_files_of_another_shape(folder, run, fitted):
    X, Y = problem(1, 50)
    write_xmc("narrow.txt", X[:, :9], Y)
    write_xmc("labels.txt", X, Y[:, :4])
    (folder / "none.txt").write_text("1 1:1\n")
    told = "narrow.txt, line 1: the header says 9 features, but training had 20"
    assert told in run("predict", fitted, "narrow.txt", code=1).err
    for name, shape in (("narrow.txt", "9 features and 8"), ("labels.txt", "20 features and 4")):
        told = f"{name}, line 1: the header says {shape} labels, but training had 20 and 8"
        assert told in run("evaluate", fitted, name, code=1).err
        train = ["train", "train.txt", "--format", "xmc", "--model", "m.udt", "--test", name]
        assert told in run(*train, code=1).err
    assert (
        "none.txt, line 1: '1 1:1' is no header" in run("predict", fitted, "none.txt", code=1).err
    )


def test_models_of_other_data(folder, run, fitted):
    run("train", "d.csv", "--model", "texts.udt", "--quiet")
    told = "the model was trained on a table or texts: give data of that kind"
    for command in ("predict", "evaluate"):
        assert told in run(command, "texts.udt", "test.txt", "--format", "xmc", code=1).err
    told = "the model was trained on sparse rows (--format xmc)"
    for command in ("predict", "evaluate"):
        assert told in run(command, fitted, "d.csv", "--format", "csv", code=1).err
        assert told in run(command, fitted, "d.csv", code=1).err
    X, _ = problem(0, 60)
    model = udt.UDTClassifier(random_state=0).fit(X, ["a", "b"] * 30)
    model.save("single.udt")
    assert "measure it there" in run("evaluate", "single.udt", "test.txt", code=1).err
    assert run("predict", "single.udt", "test.txt").out.split()[0] in ("a", "b")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--text", "a"], "--text is for tables and texts, not for --format xmc"),
        (["--columns", "a=text"], "--columns is for tables"),
        (["--ignore", "a"], "--ignore is for tables"),
        (["--delimiter", ";"], "--delimiter is for tables"),
        (["--label", "y"], "--label is for tables"),
        (["--label-delimiter", ","], "--label-delimiter is for tables"),
        (["--on-bad-lines", "warn"], "invalid choice: 'warn'"),
    ],
)
def test_options_of_tables(folder, run, extra, told):
    out = run("train", "train.txt", "--format", "xmc", "--model", "m.udt", *extra, code=2)
    assert told in out.err


def test_options_of_sparse_rows(folder, run, fitted):
    told = "--on-bad-lines is for sparse rows, --format xmc"
    out = run("train", "d.csv", "--model", "m.udt", "--on-bad-lines", "skip", code=2)
    assert told in out.err
    run("train", "d.csv", "--model", "m.udt", "--quiet")
    assert told in run("predict", "m.udt", "d.csv", "--on-bad-lines", "skip", code=2).err
    out = run("evaluate", "m.udt", "d.csv", "--propensity", 0.5, 0.4, code=2)
    assert "--propensity is for sparse rows" in out.err
    assert "--sentence is for tables" in run("predict", fitted, "--sentence", "x", code=2).err
    out = run("evaluate", fitted, "test.txt", "--propensity", -1, 0.4, code=1)
    assert "A=-1.0, B=0.4" in out.err
