"""The command line: results on stdout, the rest on stderr, and an exit code that tells."""

import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import udt
from udt.cli import main

TEXTS = [f"{word} film number {i}" for i in range(20) for word in ("good", "bad")]
LABELS = ["pos", "neg"] * 20
CSV = "text,label\n" + "".join(f"{t},{y}\n" for t, y in zip(TEXTS, LABELS, strict=True))
STARS = CSV.replace("pos", "5").replace("neg", "1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder with some data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text(CSV)
    (tmp_path / "stars.csv").write_text(STARS)
    return tmp_path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.udt"
    (path.parent / "data.csv").write_text(CSV)
    assert main(["train", str(path.parent / "data.csv"), "--model", str(path), "--quiet"]) == 0
    return str(path)


# ----------------------------------------------------------------------------------------- train


def test_train(folder, run):
    out = run("train", "data.csv", "--model", "m.udt", "--random-state", 0, "--n-jobs", 1)
    assert out.out == ""
    assert "read 40 rows from data.csv" in out.err
    assert "saved m.udt" in out.err
    model = udt.load("m.udt")
    assert model.predict(["a good film", "a bad film"]).tolist() == ["pos", "neg"]


def test_train_on_a_share_of_rows(folder, run):
    run("train", "data.csv", "--model", "m.udt", "--sifting", 0.6, "--param", "batch_size=2")
    model = udt.load("m.udt")
    assert model.sifting == 0.6
    assert model.sifted_[-1][1] < 0.9


def test_train_is_quiet(folder, run):
    assert run("train", "data.csv", "--model", "m.udt", "--quiet") == ("", "")


def test_train_json_with_test_and_validation(folder, run):
    out = run(
        *("train", "data.csv", "--model", "m.udt", "--json", "--quiet"),
        *("--valid", "data.csv", "--test", "data.csv", "--random-state", 0),
    )
    result = json.loads(out.out)
    assert (result["rows"], result["classes"], result["model"]) == (40, 2, "m.udt")
    assert result["bytes"] == os.path.getsize("m.udt")
    assert result["test"]["accuracy"] == result["valid"]["accuracy"] == 1.0


def test_train_shows_the_test_result(folder, run):
    out = run("train", "data.csv", "--model", "m.udt", "--test", "data.csv", "--quiet").out
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["test"]
    assert ["rows", "40"] in lines
    assert "accuracy" in [line[0] for line in lines]


def test_integer_labels_stay_integers(folder, run):
    run("train", "stars.csv", "--model", "m.udt", "--test", "stars.csv")
    assert udt.load("m.udt").classes_.dtype == np.int64
    out = run("predict", "m.udt", "--sentence", "good film", "--json").out
    assert json.loads(out)["label"] == 5
    assert run("predict", "m.udt", "--sentence", "good film").out == "5\n"


def test_train_from_parquet_tsv_and_stdin(folder, run, stdin):
    pq.write_table(pa.table({"q": TEXTS, "y": LABELS}), "d.parquet")
    run("train", "d.parquet", "--text", "q", "--label", "y", "--model", "m.udt")
    (folder / "d.tsv").write_text(CSV.replace(",", "\t"))
    run("train", "d.tsv", "--model", "m.udt")
    stdin(CSV.replace(",", ";"))
    run("train", "-", "--delimiter", ";", "--model", "m.udt")
    assert run("predict", "m.udt", "--sentence", "good film").out == "pos\n"


def test_other_files_follow_the_labels_of_training(folder, run):
    rows = [*CSV.splitlines(), *["a good film,1", "a bad film,x"] * 9]
    (folder / "mixed.csv").write_text("\n".join(rows))
    (folder / "ones.csv").write_text("text,label\na good film,1\n")
    out = run("train", "mixed.csv", "--model", "m.udt", "--test", "ones.csv", "--json")
    assert json.loads(out.out)["test"]["rows_of_unknown_label"] == 0


def test_parameters_reach_the_classifier(folder, run, monkeypatch):
    seen = {}

    class Spy(udt.UDTClassifier):
        def fit(self, *args, **kwargs):
            seen.update(self.get_params(deep=False), **kwargs)
            return super().fit(*args, **kwargs)

    Spy.__signature__ = inspect.signature(udt.UDTClassifier)
    monkeypatch.setattr(udt, "UDTClassifier", Spy)
    run(
        *("train", "stars.csv", "--model", "m.udt", "--valid", "stars.csv"),
        *("--random-state", 3, "--n-jobs", 1, "--param", "max_iter=2"),
        *("--param", "word_ngrams=[1, 3]", "--param", 'class_weight={"1": 2, "5": 1}'),
    )
    assert seen["word_ngrams"] == (1, 3)
    assert seen["class_weight"] == {1: 2, 5: 1}
    assert (seen["max_iter"], seen["random_state"], seen["n_jobs"]) == (2, 3, 1)
    assert seen["early_stopping"] is True
    assert len(seen["X_val"]) == len(seen["y_val"]) == 40
    run("train", "data.csv", "--model", "m.udt", "--param", "class_weight=balanced")
    assert seen["class_weight"] == "balanced"
    assert seen["early_stopping"] is False
    run("train", "data.csv", "--model", "m.udt", "--param", "max_iter=None")
    assert seen["max_iter"] is None


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (["--param", "max_itr=3"], "no parameter 'max_itr'; did you mean max_iter? There are: "),
        (["--param", "zzzzzzz=3"], "no parameter 'zzzzzzz'; There are: "),
        (["--param", "max_iter"], "write it as NAME=VALUE"),
        (["--param", "max_iter=1", "--param", "max_iter=2"], "max_iter is given twice"),
        (["--param", "n_jobs=1", "--n-jobs", "2"], "--n-jobs and --param n_jobs are both given"),
        (["--sifting", "0"], "argument --sifting: '0' is no share above 0 and up to 1"),
        (["--sifting", "some"], "'some' is no share above 0 and up to 1"),
        (
            ["--sifting", "0.6", "--param", "sifting=0.5"],
            "--sifting and --param sifting are both given",
        ),
        (["--n-jobs", "two"], "invalid int value: 'two'"),
        (["--model", "none/m.udt"], "lies in none that exists"),
        (["--model", "."], "that is a folder"),
        (["--test", "-", "--valid", "-"], "only one of"),
        (["--format", "lines"], "invalid choice: 'lines'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_bad_arguments_of_train(folder, run, extra, problem):
    out = run("train", "data.csv", "--model", "m.udt", *extra, code=2)
    assert problem in out.err
    assert out.out == ""
    assert not (folder / "m.udt").exists()


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["none.csv"], "none.csv: No such file or directory"),
        (["data.csv", "--text", "title"], "no column is named 'title'; there are 'text', 'label'"),
        (["data.csv", "--label", "stars"], "no column is named 'stars'"),
        (["data.csv", "--test", "none.csv"], "none.csv: No such file"),
        (["stars.csv", "--test", "data.csv"], "'label' does not hold labels of the kind"),
        (["data.csv", "--param", "max_iter=-1"], "max_iter"),
        (["data.csv", "--param", "hash_family=grid"], "hash_family='grid': give"),
        (
            ["data.csv", "--param", "hash_family=tree", "--param", "n_tables=3"],
            'n_tables=3 and hash_family="tree"',
        ),
        (["data.csv", "--param", "rebuild_interval=0"], "rebuild_interval=0: give"),
        (["one.csv"], "class"),
        (["data.xlsx"], "does not tell the format"),
    ],
)
def test_bad_data_of_train(folder, run, argv, problem):
    (folder / "one.csv").write_text("text,label\na,x\nb,x\n")
    out = run("train", *argv, "--model", "m.udt", code=1)
    message = out.err.splitlines()[-1]
    assert message.startswith("udt train: error: ")
    assert problem in message
    assert out.out == ""
    assert not (folder / "m.udt").exists()


# --------------------------------------------------------------------------------------- predict


def test_predict_lines_from_stdin(fitted, run, stdin):
    stdin("a good film\n\na bad film")
    lines = run("predict", fitted, "-").out.splitlines()
    assert len(lines) == 3
    assert (lines[0], lines[2]) == ("pos", "neg")
    stdin("")
    assert run("predict", fitted, "-").out == ""


def test_predict_tables(folder, fitted, run, stdin):
    expected = LABELS
    assert run("predict", fitted, "data.csv").out.split() == expected
    (folder / "d.txt").write_text("\n".join(TEXTS))
    assert run("predict", fitted, "d.txt").out.split() == expected
    (folder / "nameless").write_text(CSV.replace(",", "|"))
    out = run("predict", fitted, "nameless", "--format", "csv", "--delimiter", "|").out
    assert out.split() == expected
    for options in (["--text", "text"], ["--format", "csv"]):
        stdin(CSV)
        assert run("predict", fitted, "-", *options).out.split() == expected
    pq.write_table(pa.table({"q": ["a good film", None]}), "d.parquet")
    lines = run("predict", fitted, "d.parquet", "--text", "q").out.splitlines()
    assert (len(lines), lines[0]) == (2, "pos")


def test_predict_sentences_with_probabilities(fitted, run):
    sentences = ["--sentence", "a good film", "--sentence", "a bad film"]
    assert run("predict", fitted, *sentences).out == "pos\nneg\n"
    assert run("predict", fitted, *sentences, "--top", 2).out == "pos\tneg\nneg\tpos\n"
    labels, probabilities = udt.load(fitted).predict_topk(["a good film", "a bad film"], k=2)
    lines = run("predict", fitted, *sentences, "--proba").out.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == labels[:, 0].tolist()
    np.testing.assert_allclose([float(row[1]) for row in rows], probabilities[:, 0], atol=1e-6)
    out = run("predict", fitted, *sentences, "--proba", "--top", 2).out
    assert [len(line.split("\t")) for line in out.splitlines()] == [4, 4]


def test_predict_json(fitted, run):
    out = run("predict", fitted, "--sentence", "a good film", "--json").out
    assert set(json.loads(out)) == {"label", "probability"}
    out = run("predict", fitted, "--sentence", "a good film", "--json", "--top", 2).out
    answer = json.loads(out)
    assert answer["labels"] == ["pos", "neg"]
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)


def test_predict_into_a_file(folder, fitted, run):
    out = run("predict", fitted, "data.csv", "--output", "p.txt")
    assert out.out == ""
    assert (folder / "p.txt").read_text().split() == LABELS


def test_output_never_overwrites_what_is_read(folder, fitted, run):
    out = run("predict", fitted, "data.csv", "--output", "./data.csv", code=2)
    assert "would overwrite" in out.err
    assert (folder / "data.csv").read_text() == CSV


def test_labels_keep_to_their_line(folder, run):
    labels = ["a\tb\nc", "d\\e", "f\ud800"]
    model = udt.UDTClassifier(random_state=0)
    texts = [f"{word} film" for word in ["good", "bad", "odd"]] * 8
    model.fit(texts, np.array(labels * 8)).save("m.udt")
    out = run("predict", "m.udt", *(f"--sentence={text}" for text in texts[:3]), "--output", "p")
    assert out == ("", "")
    assert set((folder / "p").read_text().splitlines()) <= {r"a\tb\nc", r"d\e", r"f\ud800"}
    out = run("predict", "m.udt", *(f"--sentence={text}" for text in texts[:3]), "--json").out
    assert {json.loads(line)["label"] for line in out.splitlines()} <= set(labels)


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["predict"], 2, "the following arguments are required: MODEL"),
        (["predict", "m.udt"], 2, "give either DATA"),
        (["predict", "m.udt", "-", "--sentence", "x"], 2, "give either DATA"),
        (["predict", "m.udt", "-", "--top", "0"], 2, "0 is not 1 or more"),
        (["predict", "m.udt", "-", "--top", "x"], 2, "--top"),
        (["predict", "m.udt", "d.txt", "--text", "q"], 2, "is plain text"),
        (["predict", "m.udt", "--sentence", "x", "--top", "3"], 1, "k=3"),
        (["predict", "m.udt", "none.csv"], 1, "none.csv: No such file"),
        (["predict", "m.udt", "stars.csv", "--text", "q"], 1, "no column is named 'q'"),
        (["predict", "m.udt", "latin.txt"], 1, "latin.txt, line 1: not UTF-8"),
        (["predict", "m.udt", "data.csv", "--output", "none/p"], 1, "none/p: No such file"),
        (["predict", "none.udt", "-"], 1, "none.udt: No such file"),
        (["predict", "data.csv", "-"], 1, "data.csv: is not a udt model"),
        (["predict", ".", "-"], 1, ".: is a folder"),
        (["evaluate", "m.udt", "none.csv"], 1, "none.csv: No such file"),
        (["evaluate", "data.csv", "data.csv"], 1, "data.csv: is not a udt model"),
        (["evaluate", "m.udt", "data.csv", "--label", "y"], 1, "no column is named 'y'"),
        ([], 2, "the following arguments are required: COMMAND"),
        (["fly"], 2, "invalid choice: 'fly'"),
    ],
)
def test_bad_arguments_and_data(folder, fitted, run, argv, code, problem):
    os.symlink(fitted, "m.udt")
    (folder / "d.txt").write_text("x\n")
    (folder / "latin.txt").write_bytes(b"caf\xe9\n")
    out = run(*argv, code=code)
    assert problem in out.err.splitlines()[-1]
    assert out.out == ""


# -------------------------------------------------------------------------------------- evaluate


def test_evaluate(folder, fitted, run):
    result = json.loads(run("evaluate", fitted, "data.csv", "--json").out)
    assert (result["rows"], result["rows_of_unknown_label"]) == (40, 0)
    assert (result["accuracy"], result["macro_f1"]) == (1, 1)
    assert 0 < result["log_loss"] < 1
    lines = run("evaluate", fitted, "data.csv").out.splitlines()
    assert [line.split()[0] for line in lines][:2] == ["accuracy", "macro"]


def test_evaluate_agrees_with_scikit_learn(folder, fitted, run, monkeypatch):
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    monkeypatch.setattr("udt.cli.evaluate.BATCH", 7)  # several batches, the last one smaller
    wrong = ["pos", "neg", "neg", "neg", "pos"] * 8
    pq.write_table(pa.table({"text": TEXTS, "label": wrong}), "d.parquet")
    result = json.loads(run("evaluate", fitted, "d.parquet", "--json").out)
    model = udt.load(fitted)
    predicted = model.predict(TEXTS)
    assert result["accuracy"] == pytest.approx(accuracy_score(wrong, predicted), abs=1e-6)
    expected = f1_score(wrong, predicted, average="macro")
    assert result["macro_f1"] == pytest.approx(expected, abs=1e-6)
    proba = model.predict_proba(TEXTS).astype(float)
    expected = log_loss(wrong, proba / proba.sum(axis=1, keepdims=True))
    assert result["log_loss"] == pytest.approx(expected, abs=1e-4)


def test_labels_never_seen_are_errors(folder, fitted, run):
    (folder / "new.csv").write_text(CSV.replace("neg", "new"))
    result = json.loads(run("evaluate", fitted, "new.csv", "--json").out)
    assert (result["accuracy"], result["rows_of_unknown_label"]) == (0.5, 20)
    assert result["log_loss"] < 1
    (folder / "new.csv").write_text("text,label\na,1\n")
    result = json.loads(run("evaluate", fitted, "new.csv", "--json").out)
    assert (result["accuracy"], result["log_loss"]) == (0, None)


# --------------------------------------------------------------------------- the process around


@pytest.mark.parametrize(
    "command", [[], ["train"], ["predict"], ["evaluate"], ["quantize"], ["inspect"]]
)
def test_help_has_examples_and_exit_codes(run, command):
    out = run(*command, "--help").out
    assert "examples:\n  " in out
    assert "exit codes" in out


def test_version(run):
    assert run("--version").out == f"udt {udt.__version__}\n"


def test_warnings_and_lack_of_memory_are_one_line(monkeypatch, run):
    def load(path):
        warnings.warn("look out", stacklevel=1)
        raise MemoryError("3 GiB")

    monkeypatch.setattr(udt, "load", load)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        out = run("predict", "m.udt", "--sentence", "x", code=1)
    expected = ["udt: warning: look out", "udt predict: error: not enough memory. 3 GiB"]
    assert out.err.splitlines() == expected


def test_defects_are_not_hidden(monkeypatch):
    monkeypatch.setattr(udt, "load", lambda path: {}["defect"])
    with pytest.raises(KeyError):
        main(["predict", "m.udt", "--sentence", "x"])


def test_ctrl_c(monkeypatch, run):
    def load(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(udt, "load", load)
    assert run("predict", "m.udt", "--sentence", "x", code=130).err == "interrupted\n"


def start(*argv, **kwargs):
    command = [sys.executable, "-m", "udt", *argv]
    root = os.path.dirname(os.path.dirname(udt.__file__))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        command, text=True, env={**os.environ, "PYTHONPATH": root}, **{**pipes, **kwargs}
    )


def test_as_a_module(fitted):
    process = start("predict", fitted, "-")
    assert process.communicate("a good film\n", timeout=300) == ("pos\n", "")
    assert process.returncode == 0


def test_answers_line_by_line(fitted):
    with start("predict", fitted, "-") as process:
        timer = threading.Timer(300, process.kill)
        timer.start()
        for text, label in [("a good film", "pos"), ("a bad film", "neg")]:
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{label}\n"
        timer.cancel()
        process.stdin.close()


def test_closed_pipe_is_quiet(folder, fitted):
    (folder / "d.txt").write_text("a good film\n" * 300_000)
    with start("predict", fitted, "d.txt") as process:
        assert process.stdout.readline() == "pos\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(300) == 0


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_interrupt_from_outside(fitted):
    with start("predict", fitted, "-") as process:
        process.stdin.write("a good film\n")
        process.stdin.flush()
        assert process.stdout.readline() == "pos\n"  # it is running
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130
        assert process.stderr.read() == "interrupted\n"


def test_help_loads_nothing_heavy():
    script = (
        "import sys\nfrom udt.cli import main\nassert main(['train', '--help']) == 0\n"
        "assert not {'numba', 'sklearn', 'pyarrow', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=120)
