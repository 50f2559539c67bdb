"""examples/benchmarks/tuning.py: its command runs, and its table says what it must."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from problems import LABELS, TEXTS
from sklearn.base import BaseEstimator

from tasks import ROOT

FOLDER = ROOT / "examples" / "benchmarks"


def run(script, *arguments):
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.fixture
def module(monkeypatch):
    """Import a module of the benchmarks as they do themselves."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def data(tmp_path):
    """Give a folder with small sets that have the names of large ones."""
    for part, n in (("train", 20), ("test", 2)):
        columns = {"text": TEXTS * n, "label": LABELS * n}
        numbers = {"age": list(range(len(columns["text"]))), "label": columns["label"]}
        for name, table in (("trec", columns), ("adult", numbers)):
            (tmp_path / name).mkdir(exist_ok=True)
            pq.write_table(pa.table(table), tmp_path / name / f"{part}.parquet")
    return tmp_path


def command(data, name, *models):
    arguments = ["--data", data, "--sets", name, "--budget", 2, "--seeds", 1, "--threads", 1]
    return run("tuning.py", *arguments, "--out", data / "runs", "--models", *models)


def test_every_search_of_ours_runs(data):
    done = command(data, "trec", "udt", "udt_tuned", "udt_random")
    assert done.returncode == 0 and "failed" not in done.stderr, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("| trec |"))
    assert "-" not in cells(line)[1:5] and cells(line)[-3:] == ["-"] * 3  # no peer
    assert "- udt, tuned: at most" in done.stdout and "of its 6 s (trec, seed 0)" in done.stdout
    kept = json.loads((data / "runs" / "trec" / "udt_random-0-0.json").read_text())
    assert kept["budget"] == 6 and kept["found"]["trials"] >= 1


@pytest.mark.parametrize(
    ("package", "model", "name", "other"),
    [("fasttext", "fasttext_autotune", "trec", "adult"), ("flaml", "flaml", "adult", "trec")],
)
def test_a_peer_runs_where_it_can(data, package, model, name, other):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    done = command(data, name, model)
    assert done.returncode == 0, done.stderr
    assert f"| {name} | **" in done.stdout and "of its 2 s" in done.stdout
    done = command(data, other, model)
    assert done.returncode == 0, done.stderr
    assert f"| {other} |" not in done.stdout


def keep(folder, name, model, seed, right, **figures):
    """Write what a run leaves behind."""
    path = folder / name / f"{model}-{seed}-0"
    path.parent.mkdir(exist_ok=True)
    rows = np.stack([right, np.ones(len(right))])
    np.savez(path.with_suffix(".npz"), accuracy=rows)
    figures = {"accuracy": float(np.mean(right)), "seconds": 6.6, **figures}
    path.with_suffix(".json").write_text(json.dumps(figures))


def test_the_table(tmp_path):
    right = np.arange(1000) < 800
    for name, better in (("trec", 100), ("imdb", -100), ("adult", 0)):
        tuned = np.arange(1000) < 800 + better
        for seed in range(2):
            keep(tmp_path, name, "udt", seed, right)
            keep(tmp_path, name, "udt_tuned", seed, tuned, budget=6, found={})
        peer = "flaml" if name == "adult" else "fasttext_autotune"
        keep(tmp_path, name, peer, 0, np.arange(1000) < 850, budget=6, seconds=3)
    done = run("report.py", "tuning", tmp_path)
    assert done.returncode == 0, done.stderr
    table = done.stdout[: done.stdout.index("## fit, s")].splitlines()
    lines = {cells(line)[0]: cells(line)[1:] for line in table if line.startswith("|")}
    # udt, tuned, fastText, FLAML; tuned - udt; tuned - best peer
    assert lines["trec"][:5] == ["80.00", "**90.00**", "85.00", "-", "+10.00"]
    assert lines["trec"][6:8] == ["better", "+5.00"] and lines["trec"][9] == "better"
    assert lines["imdb"][4] == "-10.00" and lines["imdb"][6] == "worse"
    assert lines["adult"][4:] == [
        "+0.00", "+0.00 to +0.00", "no difference shown", "-5.00", lines["adult"][8], "worse",
    ]  # fmt: skip
    assert lines["**mean of texts**"][:5] == ["80.00", "80.00", "85.00", "-", "+0.00"]
    assert lines["**mean of texts**"][7] == "-5.00"
    assert lines["**mean of tables**"][:5] == ["80.00", "80.00", "-", "85.00", "+0.00"]
    text = "\n".join(table)
    assert "Tuned significantly below the default: imdb (-10.00, -" in text
    assert "- udt, tuned: at most 110% of its 6 s" in text
    assert "- FLAML, LightGBM: at most 50% of its 6 s (adult, seed 0); median 50%" in text


def test_runs_are_those_that_a_model_can_learn_from(module):
    runner, tuning = module("runner"), module("tuning")
    options = {"sets": ["trec", "adult", "googleplay_apps"], "seeds": 2, "repeats": 1}
    models = ["udt", "fasttext_autotune", "flaml"]
    planned = runner.planned(tuning.BENCHMARK, Namespace(**options, models=models, peer_seeds=1))
    both = [("googleplay_apps", model, 0) for model in models]
    assert [run[:3] for run in planned] == [
        ("trec", "udt", 0), ("trec", "fasttext_autotune", 0), ("trec", "udt", 1),
        ("adult", "udt", 0), ("adult", "flaml", 0), ("adult", "udt", 1),
        *both, ("googleplay_apps", "udt", 1),
    ]  # fmt: skip


class Guess(BaseEstimator):
    """Say the same of every row."""

    def __init__(self, answer=0):
        self.answer = answer

    def search_space(self, X, y):
        from optuna.distributions import IntDistribution

        return {"answer": IntDistribution(0, 3)}

    def fit(self, X, y):
        if self.answer == 3:
            raise ValueError("three is too many")
        self.n_rows_ = len(X)
        return self

    def predict(self, X):
        return np.full(len(X), self.answer)


def random_search(module, y, seconds):
    job = module("benchmark").Job(1, 0, None, seconds)
    search = module("tuning_models").RandomSearch(job, Guess())
    search.fit(["a row"] * len(y), np.array(y))
    return search


def test_random_search_fits_its_best_draw_on_all_rows(module):
    search = random_search(module, [0, 2, 2, 2, 2] * 4, 0.5)
    assert search.found["params"] == {"answer": 2}
    assert 0 < search.found["failures"] < search.found["trials"]
    assert search.estimator.answer == 2 and search.estimator.n_rows_ == 20


def test_random_search_begins_with_the_default(module):
    search = random_search(module, [2] * 20, 0)
    assert search.found == {"params": {}, "trials": 1, "failures": 0}
    assert search.estimator.answer == 0 and search.estimator.n_rows_ == 20


def test_a_budget_of_nothing(data):
    done = run("tuning.py", "--data", data, "--budget", 0)
    assert done.returncode == 2
    assert "--budget 0: give seconds above 0" in done.stderr
