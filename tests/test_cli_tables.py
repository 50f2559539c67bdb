"""The command line on tables of many columns, and on rows with many labels."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import udt
from udt.cli import main
from udt.columns import Column

ROWS = [
    {
        "id": str(i),
        "title": f"{'good' if i % 2 else 'bad'} film number {i}",
        "kind": ["short", "long", None][i % 3],
        "price": f"${i}.50" if i % 5 else None,
        "label": ["pos", "neg"][i % 2],
    }
    for i in range(60)
]
NAMES = list(ROWS[0])


def as_csv(rows, delimiter=",", missing="", names=NAMES):
    lines = [delimiter.join(names)]
    lines += [delimiter.join(row.get(name) or missing for name in names) for row in rows]
    return "\n".join(lines) + "\n"


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder with the same rows in every format."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text(as_csv(ROWS))
    (tmp_path / "d.tsv").write_text(as_csv(ROWS, "\t", "NA"))
    (tmp_path / "d.jsonl").write_text(as_jsonl(ROWS))
    columns = {name: [row[name] for row in ROWS] for name in NAMES}
    pq.write_table(pa.table(columns), "d.parquet")
    (tmp_path / "texts.csv").write_text(as_csv(ROWS, names=["title", "label"]))
    return tmp_path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "d.csv").write_text(as_csv(ROWS))
    model = str(folder / "m.udt")
    assert main(["train", str(folder / "d.csv"), "--model", model, "--quiet", *SEED]) == 0
    return model


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """Make a model of many labels a row."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "t.csv").write_text(TOPICS)
    model = str(folder / "t.udt")
    options = ["--label", "topics", "--label-delimiter", " ", "--model", model, "--quiet", *SEED]
    assert main(["train", str(folder / "t.csv"), *options]) == 0
    return model


SEED = ["--random-state", "0", "--n-jobs", "1"]
TOPIC_ROWS = [
    ("wheat and corn prices", "wheat corn"),
    ("wheat harvest", "wheat"),
    ("corn harvest", "corn"),
    ("weather report", ""),
] * 10
TOPICS = "text,topics\n" + "".join(f"{text},{labels}\n" for text, labels in TOPIC_ROWS)


def roles(path):
    return {column.name: column.role for column in udt.load(path).columns_}


# ----------------------------------------------------------------------------------------- train


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl", "d.parquet"])
def test_train_on_all_columns_of_every_format(folder, run, name):
    result = json.loads(run("train", name, "--model", "m.udt", "--quiet", "--json", *SEED).out)
    expected = {"id": "ignored", "title": "text", "kind": "category", "price": "number"}
    assert result["columns"] == expected
    assert (result["rows"], result["classes"]) == (60, 2)
    assert roles("m.udt") == expected


def test_every_format_gives_the_same_model(folder, run):
    models = []
    for name in ["d.csv", "d.tsv", "d.jsonl", "d.parquet"]:
        run("train", name, "--model", "m.udt", "--quiet", *SEED)
        models.append((folder / "m.udt").read_bytes())
    assert len(set(models)) == 1


def test_train_from_stdin(folder, run, stdin):
    stdin(as_jsonl(ROWS))
    run("train", "-", "--format", "jsonl", "--model", "m.udt", "--test", "d.csv", *SEED)
    assert list(roles("m.udt")) == NAMES[:-1]


def test_lone_text_column_is_text_as_written(folder, run):
    rows = [{"q": "None", "label": "x"}, {"q": "good", "label": "y"}] * 20
    (folder / "q.csv").write_text(as_csv(rows, names=["q", "label"]))
    run("train", "q.csv", "--model", "m.udt", "--param", "min_df=1", *SEED)
    assert udt.load("m.udt").columns_ == (Column("q", "text"),)
    assert run("predict", "m.udt", "q.csv").out.split() == ["x", "y"] * 20
    run("train", "d.csv", "--text", "title", "--model", "m.udt", *SEED)
    assert udt.load("m.udt").columns_ == (Column("title", "text"),)


def test_columns_and_ignore(folder, run):
    run(
        *("train", "d.csv", "--model", "m.udt", "--ignore", "id"),
        *("--columns", "title=categories,kind=category?", "--columns", '{"price": "text"}', *SEED),
    )
    model = udt.load("m.udt")
    assert roles("m.udt") == {"title": "categories", "kind": "category", "price": "text"}
    assert [column.optional for column in model.columns_] == [False, True, False]
    (folder / "new.csv").write_text("price,title\n$1.50,a good film\n")
    assert run("predict", "m.udt", "new.csv").out in ("pos\n", "neg\n")


def test_other_files_of_a_training_may_have_more_columns_in_any_order(folder, run):
    names = ["label", "price", "extra", "kind", "title", "id"]
    rows = [{**row, "extra": "x"} for row in ROWS]
    (folder / "valid.csv").write_text(as_csv(rows, names=names))
    result = run(
        *("train", "d.jsonl", "--valid", "valid.csv", "--test", "d.parquet"),
        *("--model", "m.udt", "--json", "--quiet", *SEED),
    )
    result = json.loads(result.out)
    assert result["valid"]["accuracy"] == result["test"]["accuracy"] == 1


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["--columns", "title"], 2, "write it as COL=ROLE,COL=ROLE"),
        (["--columns", "title="], 2, "column 'title' cannot be ''; take one of text, category"),
        (["--columns", "title=txt"], 2, "column 'title' cannot be 'txt'"),
        (["--columns", '{"title": 3}'], 2, "column 'title' cannot be 3"),
        (["--columns", '{"title"'], 2, "not a JSON object"),
        (["--columns", "title=text,title=text"], 2, "column 'title' is given twice"),
        (["--columns", "id=number", "--ignore", "id"], 2, "'id' is in --ignore too"),
        (["--columns", "label=category"], 2, "'label' is the label"),
        (["--text", "title", "--columns", "kind=category"], 2, "write --columns title=text"),
        (["--text", "title", "--ignore", "id"], 2, "--text takes one column"),
        (["--param", 'columns={"id": "number"}', "--columns", "id=number"], 2, "are both given"),
        (["--label-delimiter", ""], 2, "cannot separate labels"),
        (["--columns", "titel=text"], 1, "'titel'"),
        (["--columns", "title=date"], 1, "'title'"),
        (["--ignore", "idd"], 1, "d.csv: no column is named 'idd' (--ignore); there are 'id'"),
        (["--ignore", "id", "--label", "y"], 1, "no column is named 'y'"),
        ([f"--ignore={name}" for name in NAMES[:-1]], 1, "no column to learn from besides"),
        (["--test", "other.csv"], 1, "other.csv: there is none of the columns"),
        (["--test", "less.csv"], 1, "column 'kind' is missing"),
    ],
)
def test_bad_columns_of_train(folder, run, argv, code, problem):
    (folder / "other.csv").write_text("a,label\nx,pos\n")
    (folder / "less.csv").write_text(as_csv(ROWS, names=["id", "title", "price", "label"]))
    out = run("train", "d.csv", "--model", "m.udt", "--quiet", *argv, code=code)
    assert problem in out.err
    assert out.out == ""


# ------------------------------------------------------------------------------ predict, evaluate


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl", "d.parquet"])
def test_predict_tables_of_every_format(folder, fitted, run, name):
    expected = [row["label"] for row in ROWS]
    assert run("predict", fitted, name).out.split() == expected
    result = json.loads(run("evaluate", fitted, name, "--json").out)
    assert (result["accuracy"], result["rows"]) == (1, 60)


def test_probabilities_do_not_depend_on_the_format(folder, fitted, run):
    answers = {run("predict", fitted, f"d.{end}", "--json").out for end in FORMATS}
    assert len(answers) == 1


FORMATS = ["csv", "tsv", "jsonl", "parquet"]


def test_predict_from_stdin(folder, fitted, run, stdin):
    expected = [row["label"] for row in ROWS]
    for format, content in [("jsonl", as_jsonl(ROWS)), ("csv", as_csv(ROWS))]:
        stdin(content)
        assert run("predict", fitted, "-", "--format", format).out.split() == expected


def test_json_lines_may_lack_what_is_missing(folder, fitted, run):
    title = {"title": "a good film"}
    (folder / "a.jsonl").write_text(as_jsonl([title, {**title, "kind": None, "price": None}]))
    first, second = run("predict", fitted, "a.jsonl", "--proba").out.splitlines()
    assert first == second
    (folder / "a.jsonl").write_text(as_jsonl([title, {"name": "x"}]))
    out = run("predict", fitted, "a.jsonl", code=1)
    assert "a.jsonl, line 2: the object has none of the columns" in out.err


def test_numbers_among_texts(folder, fitted, run):
    rows = [{**ROWS[0], "title": 2012}, {**ROWS[0], "title": "2012"}, {**ROWS[0], "title": True}]
    (folder / "a.jsonl").write_text(as_jsonl(rows[:1]))
    (folder / "b.jsonl").write_text(as_jsonl(rows[1:2]))
    answers = [run("predict", fitted, name, "--proba").out for name in ["a.jsonl", "b.jsonl"]]
    assert answers[0] == answers[1]


def test_text_column_of_another_name(folder, run):
    run("train", "texts.csv", "--model", "m.udt", *SEED)
    expected = [row["label"] for row in ROWS]
    for old, new, options in [
        ("title", "title", []),
        ("title", "headline", ["--text", "headline"]),
        ("title", "text", []),
    ]:
        rows = [{**row, new: row[old]} for row in ROWS]
        (folder / "n.csv").write_text(as_csv(rows, names=["id", new, "label"]))
        assert run("predict", "m.udt", "n.csv", *options).out.split() == expected
        assert run("evaluate", "m.udt", "n.csv", "--json", *options).out
        (folder / "n.jsonl").write_text(as_jsonl(rows))
        assert run("predict", "m.udt", "n.jsonl", *options).out.split() == expected
    rows = [{"headline": row["title"], "label": row["label"]} for row in ROWS]
    (folder / "n.csv").write_text(as_csv(rows, names=["headline"]))
    assert run("predict", "m.udt", "n.csv").out.split() == expected  # there is no other
    (folder / "n.csv").write_text(as_csv(rows, names=["headline", "label"]))
    assert json.loads(run("evaluate", "m.udt", "n.csv", "--json").out)["accuracy"] == 1
    assert "no column is named 'title'" in run("predict", "m.udt", "n.csv", code=1).err


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["predict", "m.udt", "--sentence", "x"], 2, "the model reads the columns 'title', 'kind'"),
        (["predict", "m.udt", "-"], 2, "- is plain text, but the model reads the columns 'title'"),
        (["predict", "m.udt", "d.csv", "--text", "title"], 2, "--text title: the model reads"),
        (["evaluate", "m.udt", "d.csv", "--text", "title"], 2, "--text title: the model reads"),
        (["evaluate", "m.udt", "d.csv", "--label-delimiter", ";"], 2, "gives each row one label"),
        (["predict", "m.udt", "less.csv"], 1, "column 'kind' is missing"),
        (["evaluate", "m.udt", "less.csv"], 1, "column 'kind' is missing"),
        (["predict", "m.udt", "other.csv"], 1, "other.csv: there is none of the columns"),
        (["evaluate", "m.udt", "lists.jsonl"], 1, "holds lists of labels, unlike"),
        (["predict", "m.udt", "deep.jsonl"], 1, "deep.jsonl, line 1: column 'title' holds"),
        (["predict", "m.udt", "wrong.jsonl"], 1, "column 'title'"),
        (["predict", "sparse.udt", "d.csv"], 1, "trained on sparse rows (--format xmc)"),
    ],
)
def test_bad_tables(folder, fitted, run, argv, code, problem):
    os.symlink(fitted, "m.udt")
    (folder / "other.csv").write_text("a,label\nx,pos\n")
    (folder / "less.csv").write_text(as_csv(ROWS, names=["title", "price", "label"]))
    (folder / "lists.jsonl").write_text(as_jsonl([{**ROWS[0], "label": ["pos"]}]))
    (folder / "deep.jsonl").write_text(as_jsonl([{"title": {"en": "x"}}]))
    (folder / "wrong.jsonl").write_text(as_jsonl([{"title": ["x"]}]))
    if "sparse.udt" in argv:
        import scipy.sparse as sp

        model = udt.UDTClassifier(random_state=0, n_jobs=1)
        model.fit(sp.csr_matrix(np.eye(4)), [0, 1, 0, 1]).save("sparse.udt")
    out = run(*argv, code=code)
    assert problem in out.err.splitlines()[-1]
    assert out.out == ""


def test_answers_record_by_record(fitted):
    command = [sys.executable, "-m", "udt", "predict", fitted, "-", "--format", "jsonl"]
    root = os.path.dirname(os.path.dirname(udt.__file__))
    environment = {**os.environ, "PYTHONPATH": root}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, env=environment) as process:
        timer = threading.Timer(300, process.kill)
        timer.start()
        for row in ROWS[:4]:
            process.stdin.write(json.dumps(row) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{row['label']}\n"
        timer.cancel()
        process.stdin.close()


# --------------------------------------------------------------------------- many labels a row


def test_predict_many_labels(topics, run):
    model = udt.load(topics)
    assert model.classes_.tolist() == ["corn", "wheat"]
    sentences = ["--sentence=wheat and corn prices", "--sentence=weather report"]
    first, second = run("predict", topics, *sentences).out.splitlines()
    assert (sorted(first.split(" ")), second) == (["corn", "wheat"], "")
    out = run("predict", topics, *sentences, "--label-delimiter", "; ").out
    assert sorted(out.splitlines()[0].split("; ")) == ["corn", "wheat"]
    answers = [
        json.loads(line) for line in run("predict", topics, *sentences, "--json").out.splitlines()
    ]
    assert set(answers[0]["labels"]) == {"corn", "wheat"}
    assert answers[1] == {"labels": [], "probabilities": []}
    likely = answers[0]["probabilities"]
    assert likely == sorted(likely, reverse=True) and min(likely) > 0.5
    first, second = run("predict", topics, *sentences, "--proba").out.splitlines()
    assert (len(first.split("\t")), second) == (4, "")
    out = run("predict", topics, *sentences, "--top", 1).out
    assert set(out.split()) <= {"corn", "wheat"} and len(out.split()) == 2
    line = run("predict", topics, "--sentence", "wheat", "--top", 2, "--json").out
    assert len(json.loads(line)["labels"]) == 2


def test_many_labels_of_whole_numbers_and_lists(folder, run):
    rows = [
        {"text": text, "topics": [{"wheat": 3, "corn": 17}[label] for label in labels.split()]}
        for text, labels in TOPIC_ROWS
    ]
    (folder / "t.jsonl").write_text(as_jsonl(rows))
    (folder / "t.csv").write_text(TOPICS.replace(",wheat corn", ",3 17"))
    result = run(
        *("train", "t.jsonl", "--label", "topics", "--model", "m.udt", "--test", "t.jsonl"),
        *("--valid", "t.jsonl", "--json", "--quiet", *SEED),
    )
    result = json.loads(result.out)
    assert result["classes"] == 2
    assert result["test"]["micro_f1"] == 1
    line = run("predict", "m.udt", "--sentence", "wheat and corn prices", "--json").out
    assert sorted(json.loads(line)["labels"]) == [3, 17]
    numbers = TOPICS.replace(",wheat corn", ",3;17").replace(",wheat", ",3").replace(",corn", ",17")
    (folder / "t.csv").write_text(numbers)
    options = ["--label", "topics", "--label-delimiter", ";", "--json"]
    assert json.loads(run("evaluate", "m.udt", "t.csv", *options).out)["micro_f1"] == 1


def test_evaluate_many_labels_agrees_with_scikit_learn(folder, topics, run, monkeypatch):
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    monkeypatch.setattr("udt.cli.evaluate.BATCH", 7)
    texts = [text for text, _ in TOPIC_ROWS]
    wrong = [["wheat"], ["corn", "new"], [], ["wheat", "corn"]] * 10
    content = "text,topics\n" + "".join(
        f"{text},{' '.join(labels)}\n" for text, labels in zip(texts, wrong, strict=True)
    )
    (folder / "t.csv").write_text(content)
    result = json.loads(run("evaluate", topics, "t.csv", "--label", "topics", "--json").out)
    model = udt.load(topics)
    binarizer = MultiLabelBinarizer().fit([["wheat", "corn", "new"]])
    pair = binarizer.transform(wrong), binarizer.transform(model.predict(texts))
    for kind in ["micro", "macro"]:
        expected = f1_score(*pair, average=kind, zero_division=0)
        assert result[f"{kind}_f1"] == pytest.approx(expected, abs=1e-6)
    best = model.predict_topk(texts, k=1)[0][:, 0].tolist()
    expected = np.mean([label in row for label, row in zip(best, wrong, strict=True)])
    assert result["precision_at_1"] == pytest.approx(expected)
    assert (result["rows"], result["rows_without_label"]) == (40, 10)
    assert result["rows_of_unknown_label"] == 10
    lines = run("evaluate", topics, "t.csv", "--label", "topics").out.splitlines()
    assert lines[0].split()[:2] == ["micro", "f1"]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_models_of_indicators(folder, run, kind):
    import scipy.sparse as sp

    texts = [text for text, _ in TOPIC_ROWS]
    indicator = np.array([["corn" in labels, "wheat" in labels] for _, labels in TOPIC_ROWS], int)
    y = sp.csr_matrix(indicator) if kind == "sparse" else indicator
    udt.UDTClassifier(random_state=0, n_jobs=1).fit(texts, y).save("m.udt")
    sentences = ["--sentence=wheat and corn prices", "--sentence=weather report"]
    assert run("predict", "m.udt", *sentences).out == "0 1\n\n"
    (folder / "t.csv").write_text("text,label\nwheat and corn prices,0 1\nwheat harvest,1\n")
    assert json.loads(run("evaluate", "m.udt", "t.csv", "--json").out)["micro_f1"] == 1


def test_rows_of_no_label_and_of_strange_ones(folder, topics, run):
    (folder / "t.csv").write_text("text,topics\na,1 x\nb,\n")
    result = json.loads(run("evaluate", topics, "t.csv", "--label", "topics", "--json").out)
    assert (result["rows_of_unknown_label"], result["rows_without_label"]) == (1, 1)
    (folder / "n.csv").write_text("text,topics\na,\nb,\n")
    options = ["--label", "topics", "--label-delimiter", " ", "--model", "m.udt"]
    assert "gives no row a label" in run("train", "n.csv", *options, code=1).err
