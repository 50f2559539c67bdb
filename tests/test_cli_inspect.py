"""``udt inspect``: what a training would see of a data file, and what a model holds."""

import io
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import udt
from udt.cli import main
from udt.cli.output import write_rows

ROWS = [
    {
        "n": i,
        "title": f"a film number {i % 20}",
        "kind": ["short", "long", None][i % 3],
        "tags": [["new", "red"], [], None, ["new"]][i % 4],
        "price": i / 4 if i % 5 else None,
        "label": "neg" if i % 4 else "pos",
    }
    for i in range(40)
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*argv, code=0):
        capsys.readouterr()
        assert main(["inspect", *map(str, argv)]) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def show(run):
    """Give what is said of each column."""

    def show(*argv):
        result = json.loads(run(*argv, "--json").out)
        return {column.pop("column"): column for column in result["columns"]}

    return show


def role(columns):
    return {name: column["role"] for name, column in columns.items()}


# ------------------------------------------------------------------------------------------ data


def test_columns_in_their_order_and_the_label_last(folder, run):
    result = json.loads(run("d.jsonl", "--json").out)
    assert (result["file"], result["rows"]) == ("d.jsonl", 40)
    names = ["n", "title", "kind", "tags", "price", "label"]
    assert [column["column"] for column in result["columns"]] == names
    assert result["columns"][2] == {
        "column": "kind",
        "role": "category",
        "missing": 0.325,
        "distinct": 2,
        "examples": ["short", "long"],
    }
    assert result["columns"][5]["role"] == "label"


def test_roles_and_values(folder, show):
    columns = show("d.jsonl")
    assert role(columns) == {
        "n": "ignored",
        "title": "text",
        "kind": "category",
        "tags": "categories",
        "price": "number",
        "label": "label",
    }
    assert (columns["tags"]["missing"], columns["tags"]["distinct"]) == (0.25, 3)
    assert ["new"] in columns["tags"]["examples"]
    assert (columns["price"]["missing"], columns["price"]["distinct"]) == (0.2, 32)
    assert columns["label"]["examples"] == ["neg", "pos"]  # most frequent first


def test_options_are_those_of_a_training(folder, show):
    columns = show("d.jsonl", "--columns", "kind=text,price=number?", "--ignore", "n")
    assert role(columns)["kind"] == "text" and role(columns)["price"] == "number?"
    assert "n" not in columns
    columns = show("d.jsonl", "--text", "title", "--label", "kind")
    assert role(columns) == {"title": "text", "kind": "label"}
    columns = show("d.jsonl", "--label", "price")
    assert columns["price"]["role"] == "label" and columns["price"]["missing"] == 0.2
    assert columns["label"]["role"] == "category"


@pytest.mark.parametrize("as_list", [True, False])
def test_what_training_makes_of_it(folder, show, as_list):
    shown = role(show("d.jsonl"))
    assert main(["train", "d.jsonl", "--model", "m.udt", "--quiet", "--param", "max_iter=1"]) == 0
    model = udt.load("m.udt")
    shown.pop("label")
    assert {column.name: column.role for column in model.columns_} == shown


def test_csv_cells(folder, show):
    (folder / "d.csv").write_text("a,tags,label\n" + "NA,x|y,NA\n5,y|x,\n,x,z\n7,y,z\n" * 10)
    columns = show("d.csv")
    assert columns["a"] == {
        "role": "number",
        "missing": 0.5,
        "distinct": 2,
        "examples": ["5", "7"],
    }
    assert columns["tags"]["role"] == "categories ('|')"
    assert columns["label"]["missing"] == 0.25  # "NA" is a label, an empty cell is none
    (folder / "q.csv").write_text("q,label\nNone,x\nNone,y\n")
    assert show("q.csv")["q"] == {
        "role": "text",
        "missing": 0.0,
        "distinct": 1,
        "examples": ["None"],
    }


def test_parquet_columns_of_every_type(folder, show):
    table = {
        "when": pa.array([0, None, 2, 3], pa.timestamp("s")),
        "kind": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        "x": [0.5, float("nan"), None, 1.5],
        "flag": [True, False, True, None],
        "nothing": pa.nulls(4),
        "few": pa.array([[1], [2, 3], None, []]),
    }
    pq.write_table(pa.table(table), "d.parquet")
    columns = show("d.parquet")
    assert role(columns) == {
        "when": "date",
        "kind": "category",
        "x": "number",
        "flag": "flag",
        "nothing": "ignored",
        "few": "categories",
    }
    shares = {name: column["missing"] for name, column in columns.items()}
    assert shares == dict(when=0.25, kind=0.25, x=0.5, flag=0.25, nothing=1.0, few=0.25)
    assert columns["nothing"]["examples"] == []
    assert columns["few"]["distinct"] == 3
    assert columns["when"]["examples"][0].startswith("1970-01-01")


def test_table_for_people(folder, run):
    long = "word " * 20
    rows = [{"日本": "東京", "text\n2": long}, {"日本": "x", "text\n2": None}] * 600
    rows[1] = {}
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = run("d.jsonl").out.splitlines()
    assert lines[0] == "d.jsonl: 1,200 rows"
    assert lines[2].split() == ["column", "role", "missing", "distinct", "examples"]
    assert lines[3].split()[:4] == ["日本", "category", "<", "0.1"]
    assert "text\\n2" in lines[4] and "50.0 %" in lines[4]
    assert lines[4].endswith("word word word word w...")
    assert lines[4][lines[2].index("role") :].split()[0] in ("text", "category")


def test_standard_input(monkeypatch, show):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a;b\n1;x\n2;x\n")))
    assert role(show("-", "--delimiter", ";")) == {"a": "number", "b": "ignored"}


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["none.csv"], 1, "none.csv: No such file"),
        (["d.jsonl", "--label", "y"], 1, "no column is named 'y'; there are 'n', 'title'"),
        (["d.jsonl", "--ignore", "y"], 1, "no column is named 'y' (--ignore)"),
        (["d.jsonl", "--columns", "y=text"], 1, "'y'"),
        (["d.jsonl", "--columns", "n=txt"], 2, "column 'n' cannot be 'txt'"),
        (["d.jsonl", "--text", "n"], 1, "'n'"),
        (["d.jsonl", "--format", "lines"], 2, "invalid choice: 'lines'"),
        (["label.csv"], 1, "no column besides the label 'label'"),
        (["nameless"], 1, "does not tell the format"),
        (["bad.udt"], 1, "bad.udt: is not a udt model"),
        (["none.udt"], 1, "none.udt: No such file"),
        (["."], 1, ".: Is a directory"),
        ([], 2, "the following arguments are required: FILE"),
    ],
)
def test_bad_data(folder, run, argv, code, problem):
    (folder / "label.csv").write_text("label\nx\n")
    (folder / "nameless").write_text("a\n1\n")
    (folder / "bad.udt").write_text("a\n1\n")
    out = run(*argv, code=code)
    assert problem in out.err.splitlines()[-1]
    assert out.out == ""


def test_wide_characters_are_aligned():
    out = io.StringIO()
    write_rows(out, [["日本", 1], ["abcde", 22], ["e\u0301", ""]], right=[1])
    assert out.getvalue() == "日本    1\nabcde  22\ne\u0301\n"


# ----------------------------------------------------------------------------------------- model


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("models") / "m.udt")
    X = pa.table({name: [row[name] for row in ROWS] for name in ["title", "price"]})
    model = udt.UDTClassifier(
        columns={"price": "number?"}, word_ngrams=(1, 3), max_iter=3, random_state=0, n_jobs=1
    )
    model.fit(X, [row["label"] for row in ROWS]).save(path)
    return path


def test_model_as_json(fitted, run):
    result = json.loads(run(fitted, "--json").out)
    assert result["file"] == fitted
    assert (result["passes"], result["classes"]) == (3, ["neg", "pos"])
    assert result["columns"] == [
        {"column": "title", "role": "text"},
        {"column": "price", "role": "number?"},
    ]
    assert result["parameters"]["word_ngrams"] == [1, 3]
    assert result["parameters"]["columns"] == {"price": "number?"}
    arrays = result["arrays"]
    assert arrays["network.bias"] == {"dtype": "float32", "shape": [2], "bytes": 8}
    assert sum(array["bytes"] for array in arrays.values()) < result["bytes"]


def test_model_for_people(fitted, run):
    out = run(fitted).out
    lines = out.splitlines()
    assert lines[0].startswith(f"{fitted}: a udt model of ")
    assert ["passes", "3"] in [line.split() for line in lines]
    assert "2: neg, pos" in out
    assert "random_state=0, word_ngrams=(1, 3)\n" in out and "hidden_size" not in out
    assert ["price", "number?"] in [line.split() for line in lines]
    assert ["network.bias", "float32", "2", "8"] in [line.split() for line in lines]


def test_models_of_many_classes_and_of_ready_features(folder, run):
    import numpy as np
    import scipy.sparse as sp

    model = udt.UDTClassifier(n_jobs=1, max_iter=1).fit(sp.csr_matrix(np.eye(9)), range(9))
    model.save("m.udt")
    out = run("m.udt").out
    assert "9: 0, 1, 2, 3, 4, 5, ..." in out
    assert "role" not in out
    assert json.loads(run("m.udt", "--json").out)["columns"] == []


def test_a_model_is_told_by_its_content(folder, fitted, run):
    with open(fitted, "rb") as file:
        (folder / "data.csv").write_bytes(file.read())
    assert "a udt model" in run("data.csv").out
    problem = "--label is for data files; data.csv is a model"
    assert problem in run("data.csv", "--label", "x", code=2).err
