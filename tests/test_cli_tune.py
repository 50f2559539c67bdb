"""``udt tune`` and ``udt train --tune``: what options reach the search, and what it tells."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

import udt
from tasks import ROOT
from udt.io import write_xmc

TEXTS = [f"{word} film number {i}" for i in range(20) for word in ("good", "bad")]
LABELS = ["pos", "neg"] * 20
CSV = "text,label\n" + "".join(f"{t},{y}\n" for t, y in zip(TEXTS, LABELS, strict=True))
FAST = ("--random-state", 0, "--n-jobs", 1, "--param", "max_iter=2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder with some data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text(CSV)
    return tmp_path


@pytest.fixture
def seen(monkeypatch):
    """Keep what `udt.tune` is called with."""
    calls = []
    real = udt.tune

    def tune(model, X, y, **options):
        calls.append((model, options))
        return real(model, X, y, timeout=None, n_trials=1)

    monkeypatch.setattr(udt, "tune", tune)
    return calls


def test_a_search_is_summed_up_and_saved(folder, run):
    out = run("tune", "data.csv", "--n-trials", 2, "--model", "m.udt", *FAST)
    lines = {line[:28].strip(): line[28:].strip() for line in out.out.splitlines()}
    assert lines["accuracy of the default"] == lines["accuracy of what was found"] == "1.0000"
    assert lines["changed"] == "nothing"
    assert lines["trials"].startswith("2 (")
    assert float(lines["seconds"]) > 0
    assert "read 40 rows from data.csv" in out.err
    assert "saved m.udt" in out.err
    assert udt.load("m.udt").predict(["a good film"]).tolist() == ["pos"]


def test_nothing_need_be_saved(folder, run):
    out = run("tune", "data.csv", "--n-trials", 1, "--quiet", *FAST)
    assert out.err == ""
    assert [path.name for path in folder.iterdir()] == ["data.csv"]


def test_json(folder, run):
    options = ("--n-trials", 2, "--test", "data.csv", "--model", "m.udt", "--json")
    result = json.loads(run("tune", "data.csv", *options, *FAST).out)
    assert (result["model"], result["rows"], result["classes"]) == ("m.udt", 40, 2)
    assert result["bytes"] == os.path.getsize("m.udt")
    assert (result["metric"], result["best_params"], result["best_trial"]) == ("accuracy", {}, 0)
    assert result["score"] == result["default_score"] == 1
    assert [trial["number"] for trial in result["trials"]] == [0, 1]
    assert result["failures"] == {}
    assert result["test"]["accuracy"] == 1
    assert result["seconds"] > 0


def test_what_was_found_is_measured(folder, run):
    out = run("tune", "data.csv", "--n-trials", 1, "--test", "data.csv", *FAST).out
    assert "\ntest\naccuracy" in out


def test_options_reach_the_search(folder, run, seen):
    run(
        *("tune", "data.csv", "--timeout", "1.5m", "--n-trials", 7, "--scoring", "f1_macro"),
        *("--cv", 3, "--max-model-bytes", "2e6", "--max-predict-us", 500, "--workers", 2),
        *("--dtype", "bfloat16", "--param", "hidden_size=8", *FAST),
    )
    (model, options), *_ = seen
    assert options == {
        "scoring": "f1_macro", "timeout": 90.0, "n_trials": 7, "cv": 3, "max_model_bytes": 2e6,
        "max_predict_us": 500.0, "storage": None, "n_jobs": 2,
    }  # fmt: skip
    assert (model.hidden_size, model.dtype, model.max_iter) == (8, "bfloat16", 2)
    assert (model.random_state, model.n_jobs, model.verbose) == (0, 1, 0)


def test_options_are_none_unless_given(folder, run, seen):
    run("tune", "data.csv", "--timeout", "20", *FAST)
    (_, options), *_ = seen
    assert options.pop("timeout") == 20
    assert set(options.values()) == {None}


def test_progress_on_a_terminal(folder, run, seen, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run("tune", "data.csv", "--n-trials", 1, *FAST)
    run("tune", "data.csv", "--n-trials", 1, "--quiet", *FAST)
    run("tune", "data.csv", "--n-trials", 1, "--param", "verbose=2", *FAST)
    assert [model.verbose for model, _ in seen] == [1, 0, 2]


def test_columns_and_target(folder, run):
    table = {"id": range(40), "q": TEXTS, "n": [i % 7 for i in range(40)], "y": LABELS}
    pq.write_table(pa.table(table), "d.parquet")
    options = ("--n-trials", 1, "--model", "m.udt", *FAST)
    run("tune", "d.parquet", "--target", "y", "--columns", "n=category", "--ignore", "id", *options)
    roles = {column.name: column.role for column in udt.load("m.udt").columns_}
    assert roles == {"q": "text", "n": "category"}
    run("tune", "d.parquet", "--label", "y", "--text", "q", *options)
    assert [column.name for column in udt.load("m.udt").columns_] == ["q"]


def test_target_is_another_name_of_label(folder, run):
    pq.write_table(pa.table({"q": TEXTS, "y": LABELS}), "d.parquet")
    run("train", "d.parquet", "--target", "y", "--model", "m.udt", *FAST)
    accuracy = json.loads(run("evaluate", "m.udt", "d.parquet", "--target", "y", "--json").out)
    assert accuracy["accuracy"] == 1
    run("quantize", "m.udt", "s.udt", "--test", "d.parquet", "--target", "y")
    assert "\ny       label" in run("inspect", "d.parquet", "--target", "y").out


def test_many_labels_and_standard_input(folder, run, stdin):
    topics = ["a", "b", "a b", ""] * 10
    rows = "".join(f"{text}\t{each}\n" for text, each in zip(TEXTS, topics, strict=True))
    stdin(f"text\ttopics\n{rows}")
    options = ("--n-trials", 1, "--json", *FAST)
    labels = ("--label", "topics", "--label-delimiter", " ")
    result = json.loads(run("tune", "-", "--format", "tsv", *labels, *options).out)
    assert (result["metric"], result["classes"]) == ("micro_f1", 2)


def test_sparse_rows(folder, run):
    X = sp.csr_matrix(np.eye(9, dtype=np.float32)[np.arange(45) % 9])
    write_xmc("sparse.txt", X, X.astype(bool))
    options = ("--format", "xmc", "--n-trials", 1, "--json", *FAST)
    result = json.loads(run("tune", "sparse.txt", *options).out)
    assert (result["metric"], result["skipped_lines"]) == ("micro_f1", 0)


@pytest.mark.parametrize("storage", ["study.db", "study.log", "sqlite:///study.db"])
def test_a_study_is_gone_on_with(folder, run, storage):
    for n_trials in (1, 3):
        options = ("--n-trials", n_trials, "--storage", storage, "--json")
        result = json.loads(run("tune", "data.csv", *options, *FAST).out)
        assert len(result["trials"]) == n_trials
    assert os.path.exists(storage.rpartition("/")[2])


def test_reports(folder, run):
    for name, begin in (("r.md", "# Tuning: accuracy"), ("r.txt", "# "), ("r.html", "<!doctype")):
        out = run("tune", "data.csv", "--n-trials", 1, "--report", name, *FAST)
        assert f"wrote {name}" in out.err
        assert (folder / name).read_text(encoding="utf-8").startswith(begin)


def test_failures_are_told(folder, run):
    with_three = CSV.replace("number 7,pos", "number 7,so")
    (folder / "data.csv").write_text(with_three.replace("number 8,pos", "number 8,so"))
    options = ("--n-trials", 2, "--scoring", "roc_auc")  # which is for two classes
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        out = run("tune", "data.csv", *options, *FAST)
    assert "2 failed" in out.out
    assert "ValueError" in out.out
    assert "roc_auc of the default     not measured" in out.out
    assert "warning: None of 2 trials could be scored" in out.err


def test_limits_that_nothing_keeps(folder, run):
    out = run("tune", "data.csv", "--n-trials", 1, "--max-model-bytes", 10, *FAST, code=1)
    assert "No trial keeps max_model_bytes=10" in out.err


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["data.csv"], 2, "there is no budget: give --timeout 60s, --n-trials 50, or both"),
        (["data.csv", "--timeout", "soon"], 2, "--timeout: 'soon' is not a time such as"),
        (["data.csv", "--timeout", "0s"], 2, "--timeout: '0s' is not a time such as"),
        (["data.csv", "--timeout", "-3"], 2, "--timeout"),
        (["data.csv", "--n-trials", "0"], 2, "--n-trials: 0 is not 1 or more"),
        (["data.csv", "--n-trials", "9s"], 2, "--n-trials: '9s' is no whole number"),
        (["data.csv", "--n-trials", "1", "--cv", "1"], 2, "--cv: 1 is not 2 or more"),
        (["data.csv", "--n-trials", "1", "--cv", "50"], 1, "n_splits=50"),
        (["data.csv", "--n-trials", "1", "--workers", "0"], 2, "--workers: 0 is not 1 or more"),
        (["data.csv", "--n-trials", "1", "--max-model-bytes", "0"], 2, "'0' is no number above 0"),
        (["data.csv", "--n-trials", "1", "--max-predict-us", "x"], 2, "'x' is no number above 0"),
        (["data.csv", "--n-trials", "1", "--max-predict-us", "inf"], 2, "'inf' is no number"),
        (["data.csv", "--n-trials", "1", "--scoring", "f2"], 2, "--scoring f2: scikit-learn has"),
        (
            ["data.csv", "--n-trials", "1", "--param", "tune=5"],
            2,
            "--param tune is for `udt train`",
        ),
        (["data.csv", "--n-trials", "1", "--param", "max_iter=-1"], 1, "max_iter=-1"),
        (["data.csv", "--n-trials", "1", "--valid", "data.csv"], 2, "unrecognized arguments"),
        (["data.csv", "--n-trials", "1", "--model", "no/m.udt"], 2, "--model no/m.udt: that is a"),
        (["data.csv", "--n-trials", "1", "--model", "data.csv"], 2, "would overwrite what is read"),
        (["data.csv", "--n-trials", "1", "--report", "."], 2, "--report .: that is a folder"),
        (["data.csv", "--n-trials", "1", "--report", "r.pdf"], 2, "--report r.pdf: the name of a"),
        (["data.csv", "--n-trials", "1", "--storage", "no/s.db"], 2, "--storage no/s.db: that is"),
        (["data.csv", "--n-trials", "1", "--storage", "./data.csv"], 2, "would overwrite what is"),
        (["data.csv", "--n-trials", "1", "--storage", "bad.db"], 1, "bad.db: cannot be opened"),
        (["data.csv", "--n-trials", "1", "--storage", "bad.log"], 1, "bad.log: cannot be opened"),
        (["data.csv", "--n-trials", "1", "--storage", "x://y"], 1, "x://y: cannot be opened"),
        (
            ["data.csv", "--n-trials", "1", "--storage", "s.md", "--report", "s.md"],
            2,
            "--report and --storage must be different files",
        ),
        (["none.csv", "--n-trials", "1"], 1, "none.csv: No such file"),
        (["data.csv", "--n-trials", "1", "--target", "y"], 1, "no column is named 'y'"),
        (["-", "--n-trials", "1", "--test", "-"], 2, "only one of DATA, --valid and --test"),
        (["data.csv", "--n-trials", "1", "--on-bad-lines", "skip"], 2, "is for sparse rows"),
    ],
)
def test_refusals(folder, run, argv, code, problem):
    (folder / "bad.db").write_text("no database " * 100)
    (folder / "bad.log").write_text("no journal\nat all\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = run("tune", *argv, code=code)
    assert problem in out.err.splitlines()[-1]
    assert out.out == ""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_page_without_matplotlib_is_refused_before_the_search(folder, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = run("tune", "data.csv", "--n-trials", 1, "--report", "r.html", *FAST, code=1)
    assert "`pip install matplotlib`" in out.err
    assert "read 40 rows" not in out.err
    run("tune", "data.csv", "--n-trials", 1, "--report", "r.md", *FAST)


def test_without_optuna_all_doors_name_the_command(folder):
    code = """
import sys
sys.modules["optuna"] = None
import udt
from udt.cli import main

X, y = ["good film", "bad film"] * 10, ["pos", "neg"] * 10
model = udt.UDTClassifier(max_iter=1, tune=2)
doors = [lambda: udt.tune(model, X, y, n_trials=1), lambda: model.fit(X, y), model.search_space]
for door in doors:
    try:
        door()
    except ModuleNotFoundError as error:
        print(error)
assert not hasattr(model, "classes_")
model.set_params(tune=None).fit(X, y)
assert main(["train", "data.csv", "--model", "m.udt", "--quiet", "--param", "max_iter=1"]) == 0
raise SystemExit(main(["tune", "data.csv", "--n-trials", "1"]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    message = "A search needs the package optuna, which is not installed: "
    message += "`pip install 'udt[tune]'`."
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [message] * 3
    assert done.stderr == f"udt tune: error: {message}\n"


# ------------------------------------------------------------------------------------ train --tune


def test_train_searches_first(folder, run):
    options = ("--model", "m.udt", "--tune", 2, "--json", *FAST)
    out = run("train", "data.csv", *options)
    result = json.loads(out.out)
    tuning = result["tuning"]
    assert (tuning["best_params"], tuning["metric"], tuning["trials"]) == ({}, "accuracy", 2)
    assert tuning["score"] == tuning["default_score"] == 1
    assert tuning["seconds"] > 0
    assert "changed by the search: {}" in out.err
    assert udt.load("m.udt").tune == 2


def test_train_without_a_search_says_nothing_of_one(folder, run):
    out = run("train", "data.csv", "--model", "m.udt", "--json", *FAST)
    assert "search" not in out.err
    assert "tuning" not in json.loads(out.out)


@pytest.mark.parametrize("budget", ["0", "soon", "0s", "-2", "1.5"])
def test_bad_budgets(folder, run, budget):
    out = run("train", "data.csv", "--model", "m.udt", f"--tune={budget}", code=2)
    assert f"--tune: {budget!r} is not a time such as" in out.err


def test_a_budget_is_given_once(folder, run):
    options = ("--model", "m.udt", "--tune", "2s", "--param", "tune=2s")
    out = run("train", "data.csv", *options, code=2)
    assert "--tune and --param tune are both given" in out.err
