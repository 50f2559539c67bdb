"""``udt quantize``: a smaller model, and what it has in common with the one it was made from."""

import json
import os
import stat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

import udt
from udt.cli import main
from udt.io import write_xmc

TEXTS = [f"{word} film number {i}" for i in range(20) for word in ("good", "bad")]
LABELS = ["pos", "neg"] * 20
CSV = "text,label\n" + "".join(f"{t},{y}\n" for t, y in zip(TEXTS, LABELS, strict=True))
TOPIC_ROWS = [
    ("wheat and corn", "wheat corn"),
    ("wheat harvest", "wheat"),
    ("corn harvest", "corn"),
    ("weather report", ""),
] * 10


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Make models of texts, of numbers, of topics and of sparse rows."""
    folder = tmp_path_factory.mktemp("models")
    options = {"random_state": 0, "n_jobs": 1, "max_iter": 3}
    udt.UDTClassifier(**options).fit(TEXTS, LABELS).save(folder / "m.udt")
    numbers = np.arange(40).reshape(-1, 1) % 7
    udt.UDTClassifier(**options).fit(numbers, numbers[:, 0] > 3).save(folder / "numbers.udt")
    texts, topics = zip(*TOPIC_ROWS, strict=True)
    lists = [each.split() for each in topics]
    udt.UDTClassifier(**options).fit(list(texts), lists).save(folder / "topics.udt")
    X = sp.csr_matrix(np.eye(9, dtype=np.float32)[np.arange(45) % 9])
    udt.UDTClassifier(**options).fit(X, X.astype(bool)).save(folder / "sparse.udt")
    write_xmc(str(folder / "sparse.txt"), X, X.astype(bool))
    return folder


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    """Work in a folder with copies of the models, and with data."""
    monkeypatch.chdir(tmp_path)
    for path in models.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "data.csv").write_text(CSV)
    rows = [f"{text};{topics}\n" for text, topics in TOPIC_ROWS]
    (tmp_path / "topics.csv").write_text("text;topics\n" + "".join(rows))
    (tmp_path / "damaged.udt").write_bytes((models / "m.udt").read_bytes()[:-1])
    return tmp_path


def test_the_smaller_model_is_that_of_the_library(folder, run):
    out = run("quantize", "m.udt", "small.udt")
    assert out.err == "saved small.udt\n"
    assert [line.split()[0] for line in out.out.splitlines()] == ["before", "weights", "file"]
    udt.load("m.udt").quantize().save("expected.udt")
    assert (folder / "small.udt").read_bytes() == (folder / "expected.udt").read_bytes()
    assert run("predict", "small.udt", "--sentence", "a good film").out == "pos\n"


def test_options_reach_the_library(folder, run):
    run("quantize", "m.udt", "small.udt", "--bits", 4, "--block", 16, "--prune", 0.25)
    small = udt.load("small.udt")
    assert small.quantization_ == {"bits": 4, "block": 16, "prune": 0.25}
    assert small.network_.sizes()["wide"][0] < udt.load("m.udt").network_.sizes()["wide"][0]


def test_quiet(folder, run):
    out = run("quantize", "m.udt", "small.udt", "--quiet")
    assert out.err == ""
    assert out.out


def test_json_without_rows(folder, run):
    result = json.loads(run("quantize", "m.udt", "small.udt", "--json").out)
    before, after = result.pop("before"), result.pop("after")
    assert result == {"model": "small.udt", "bits": 8, "block": None, "prune": 0.0}
    assert before["file_bytes"] == os.path.getsize("m.udt")
    assert after["file_bytes"] == os.path.getsize("small.udt")
    assert before["weights_bytes"] / after["weights_bytes"] > 3
    assert set(before) == set(after) == {"weights_bytes", "file_bytes"}


def test_both_are_measured_as_evaluate_does(folder, run):
    wrong = ["pos", "neg", "neg", "neg", "pos"] * 8
    pq.write_table(pa.table({"q": TEXTS, "y": wrong}), "d.parquet")
    options = ["--label", "y", "--text", "q", "--json"]
    result = json.loads(run("quantize", "m.udt", "small.udt", "--test", "d.parquet", *options).out)
    for model, side in (("m.udt", "before"), ("small.udt", "after")):
        expected = json.loads(run("evaluate", model, "d.parquet", *options).out)
        found = {**result[side], **result}
        assert set(expected) <= set(found)
        del expected["seconds"]
        assert {name: found[name] for name in expected} == expected
        assert found["seconds"] > 0
    same = udt.load("m.udt").predict(TEXTS) == udt.load("small.udt").predict(TEXTS)
    assert result["same_predictions"] == same.mean()


def test_table_of_measures(folder, run):
    out = run("quantize", "m.udt", "small.udt", "--test", "data.csv").out
    lines = {line[:21].strip(): line[21:].split() for line in out.splitlines()}
    assert lines["accuracy"] == ["1.0", "1.0"]
    assert lines["rows"] == ["40"]
    assert lines["same predictions"] == ["1.0"]
    assert "weights" in lines and "seconds" in lines


def test_rows_from_standard_input(folder, run, stdin):
    stdin(CSV)
    options = ["--test", "-", "--format", "csv", "--json"]
    assert json.loads(run("quantize", "m.udt", "small.udt", *options).out)["rows"] == 40


def test_many_labels_and_sparse_rows(folder, run):
    options = ["--label", "topics", "--delimiter", ";", "--json"]
    out = run("quantize", "topics.udt", "small.udt", "--test", "topics.csv", *options).out
    result = json.loads(out)
    assert (result["rows"], result["rows_without_label"]) == (40, 10)
    assert {"micro_f1", "precision_at_1"} <= set(result["after"])
    out = run("quantize", "sparse.udt", "small.udt", "--test", "sparse.txt", "--json").out
    result = json.loads(out)
    assert (result["rows"], result["skipped_lines"]) == (45, 0)
    assert result["after"]["precision_at_1"] == result["before"]["precision_at_1"]
    assert result["same_predictions"] == 1


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["m.udt"], 2, "the following arguments are required: OUT"),
        (["m.udt", "."], 2, "OUT .: that is a folder, or lies in none that exists"),
        (["m.udt", "none/s.udt"], 2, "OUT none/s.udt: that is a folder, or lies in none"),
        (["m.udt", "./m.udt"], 2, "OUT ./m.udt would overwrite what is read"),
        (["m.udt", "link.udt"], 2, "OUT link.udt would overwrite what is read"),
        (["m.udt", "data.csv", "--test", "data.csv"], 2, "OUT data.csv would overwrite what is"),
        (["m.udt", "old.udt", "--bits", "16"], 2, "--bits: invalid choice: 16"),
        (["m.udt", "old.udt", "--block", "7"], 2, "--block: 7 is not 8 or more"),
        (["m.udt", "old.udt", "--block", "x"], 2, "--block: 'x' is no whole number"),
        (["m.udt", "old.udt", "--prune", "1"], 2, "--prune: '1' is no share from 0 to below 1"),
        (["m.udt", "old.udt", "--prune", "-0.1"], 2, "--prune: '-0.1' is no share"),
        (["m.udt", "old.udt", "--prune", "nan"], 2, "--prune: 'nan' is no share"),
        (["m.udt", "old.udt", "--prune", "half"], 2, "--prune: 'half' is no share"),
        (["m.udt", "old.udt", "--label", "y"], 2, "--label is about the rows of --test"),
        (["m.udt", "old.udt", "--label-delimiter", ","], 2, "--label-delimiter is about the rows"),
        (["m.udt", "old.udt", "--on-bad-lines", "skip"], 2, "--on-bad-lines is about the rows"),
        (["m.udt", "old.udt", "--test", "data.csv", "--label-delimiter", ","], 2, "one label"),
        (["none.udt", "old.udt"], 1, "none.udt: No such file"),
        (["data.csv", "old.udt"], 1, "data.csv: is not a udt model"),
        (["damaged.udt", "old.udt"], 1, "damaged.udt: is truncated"),
        ([".", "old.udt"], 1, ".: is a folder"),
        (["small.udt", "old.udt"], 1, "The model is quantised already (4 bits)"),
        (["numbers.udt", "old.udt", "--prune", "0.5"], 1, "prune=0.5 drops n-grams, of which this"),
        (["m.udt", "old.udt", "--test", "none.csv"], 1, "none.csv: No such file"),
        (["m.udt", "old.udt", "--test", "data.csv", "--label", "y"], 1, "no column is named 'y'"),
        (["m.udt", "old.udt", "--test", "sparse.txt", "--format", "xmc"], 1, "a table or texts"),
    ],
)
def test_refusals_leave_every_file_as_it_was(folder, run, argv, code, problem):
    udt.load("m.udt").quantize(4).save("small.udt")
    os.symlink("m.udt", "link.udt")
    (folder / "old.udt").write_bytes(b"precious")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = run("quantize", *argv, code=code)
    assert problem in out.err.splitlines()[-1]
    assert out.out == ""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_old_model_is_replaced_whole_or_not_at_all(folder, run, monkeypatch):
    (folder / "old.udt").write_bytes(b"precious")
    (folder / "old.udt").chmod(0o640)

    def fail(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        out = run("quantize", "m.udt", "old.udt", code=1)
    assert "the model was not saved (No space left on device)" in out.err
    assert (folder / "old.udt").read_bytes() == b"precious"
    run("quantize", "m.udt", "old.udt")
    assert udt.load("old.udt").quantization_["bits"] == 8
    if os.name == "posix":
        assert stat.S_IMODE((folder / "old.udt").stat().st_mode) == 0o640


# --------------------------------------------------------------------------------------- inspect


def test_inspect_tells_of_it(folder, run):
    run("quantize", "m.udt", "small.udt", "--bits", 4, "--prune", 0.25)
    out = run("inspect", "small.udt").out
    assert "quantised   to 4 bits, about 64 weights a scale, 25.0 % of n-grams dropped\n" in out
    result = json.loads(run("inspect", "small.udt", "--json").out)
    assert result["quantization"] == {"bits": 4, "block": None, "prune": 0.25}
    network = [one for name, one in result["arrays"].items() if name.startswith("network.")]
    assert result["weights_bytes"] == sum(one["bytes"] for one in network)
    run("quantize", "m.udt", "small.udt", "--block", 32)
    out = run("inspect", "small.udt").out
    assert "quantised   to 8 bits, about 32 weights a scale\n" in out


def test_inspect_of_a_model_that_is_not_quantised(folder, run):
    lines = run("inspect", "m.udt").out.splitlines()
    words = [line.split() for line in lines if line]
    assert [word[0] for word in words if word[0] in ("weights", "quantised")] == ["weights"]
    result = json.loads(run("inspect", "m.udt", "--json").out)
    assert result["quantization"] is None
    assert 0 < result["weights_bytes"] < result["bytes"]


def test_a_quantised_model_is_evaluated_as_any_other(folder, run):
    run("quantize", "m.udt", "small.udt")
    assert json.loads(run("evaluate", "small.udt", "data.csv", "--json").out)["accuracy"] == 1
    assert main(["predict", "small.udt", "data.csv", "--output", "p.txt"]) == 0
    assert (folder / "p.txt").read_text().split() == LABELS
