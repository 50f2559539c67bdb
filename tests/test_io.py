"""Tables and lines of text: read as they are, refused with the place where they are wrong."""

import bz2
import gzip
import io
import os
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from udt.io import guess_format, read_lines, read_table


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.fixture
def parquet(tmp_path):
    def parquet(name="data.parquet", **columns):
        path = str(tmp_path / name)
        pq.write_table(pa.table(columns), path)
        return path

    return parquet


@pytest.fixture
def stdin(monkeypatch):
    def stdin(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return stdin


def text(table, name="text"):
    return table.features[name].to_pylist()


# ------------------------------------------------------------------------------------------ CSV


def test_csv_as_it_is_written_by_others(write):
    table = read_table(
        write('﻿id,text,label\r\n1,"a, ""b""\r\nc",x\r\n\r\n2,NA,null\r\n3,,NA'),
        columns=["text"],
        label="label",
    )
    assert table.features.schema == pa.schema({"text": pa.large_string()})
    assert text(table) == ['a, "b"\r\nc', "NA", ""]
    assert table.labels.tolist() == ["x", "null", "NA"]
    assert table.labels.dtype == object
    assert len(table) == 3


def test_text_stays_text_and_unicode(write):
    table = read_table(write("text\n007\n1.50\ntrue\n2020-01-01\nünï 😀 a\0b\n日本\n"))
    assert text(table) == ["007", "1.50", "true", "2020-01-01", "ünï 😀 a\0b", "日本"]
    assert table.labels is None


@pytest.mark.parametrize(
    ("name", "delimiter", "written"),
    [("d.tsv", None, "\t"), ("d.tab", None, "\t"), ("d.csv", ";", ";"), ("D.TSV", "|", "|")],
)
def test_delimiters(write, name, delimiter, written):
    path = write(f"x, y{written}label\na, b{written}c\n", name)
    table = read_table(path, columns=["x, y"], label="label", delimiter=delimiter)
    assert (text(table, "x, y"), table.labels.tolist()) == (["a, b"], ["c"])


@pytest.mark.parametrize("delimiter", ["ab", "é", '"', "\n"])
def test_bad_delimiter(write, delimiter):
    with pytest.raises(ValueError, match="must be one ASCII character"):
        read_table(write("text\na\n"), delimiter=delimiter)


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


@pytest.mark.parametrize(
    ("pack", "ending"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2"), (zstd, ".zst")]
)
def test_compressed(write, pack, ending):
    path = write(pack(b"text,label\na,b\n"), f"d.csv{ending}")
    assert text(read_table(path, label="label")) == ["a"]
    with pytest.raises(ValueError, match="cannot be decompressed"):
        read_table(write(b"text,label\na,b\n", f"e.csv{ending}"))


def test_standard_input(stdin):
    stdin(b"text,label\na,b\n")
    table = read_table("-", label="label")
    assert (text(table), table.labels.tolist()) == (["a"], ["b"])
    stdin(b"text\tlabel\na\tb\n")
    assert text(read_table("-", format="tsv")) == ["a"]
    stdin(b"text,label\na,b\nc\n")
    with pytest.raises(ValueError, match="-, line 3: 1 fields"):
        read_table("-")


def test_a_row_larger_than_a_block(write):
    long = "x" * 20_000_000
    table = read_table(write(f"text,label\na,1\n{long},2\nb,3\n"), label="label")
    assert [len(cell) for cell in text(table)] == [1, len(long), 1]


def test_text_and_label_may_be_one_column(write):
    table = read_table(write("text\na\n"), columns=["text"], label="text")
    assert (text(table), table.labels.tolist()) == (["a"], ["a"])


@pytest.mark.parametrize(
    ("cells", "expected", "kind"),
    [
        (["1", "-2", "0"], [1, -2, 0], "i"),
        (["007", "8"], ["007", "8"], "O"),
        (["1.0", "2"], ["1.0", "2"], "O"),
        (["0x1f", "1"], ["0x1f", "1"], "O"),
        (["-0", "1"], ["-0", "1"], "O"),
        ([" 1", "2"], [" 1", "2"], "O"),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"], "O"),
        (["True", "false"], ["True", "false"], "O"),
        (["2020-01-01", "x"], ["2020-01-01", "x"], "O"),
    ],
)
def test_csv_labels_print_as_they_were_written(write, cells, expected, kind):
    labels = read_table(write("\n".join(["text,y", *(f"t,{c}" for c in cells)])), label="y").labels
    assert labels.tolist() == expected
    assert labels.dtype.kind == kind


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("text,label\n", "no rows below the column names"),
        ("text,label", "no rows below the column names"),
        ("text,label\na,1\n\nb,2,3\nc,3\n", r"line 4: 3 fields where the first line has 2.*','"),
        ('text,label\n"a\nb\nc",1\nb\n', "line 5: 1 fields"),
        ('text,label\n"open,1\nb,2\n', "line 3: 1 fields"),
        (b"text,label\na,1\ncaf\xe9,2\n", r"line 3: not UTF-8 \(byte 0xe9\).*iconv"),
        (b"text,label\xe9\na,1\n", r"line 1: not UTF-8"),
        (b"text,label\n" + b"a,1\n" * 50_000 + b"\xff,2\n", r"line 50002: not UTF-8"),
        ("text,label\na,1\n".encode("utf-16"), r"line 1: not UTF-8 .*utf-16"),
        (b"text,label\n\xed\xa0\x80,1\n", r"line 2: not UTF-8"),
        ("title,label\na,1\n", "no column is named 'text'; there are 'title', 'label'.*--text"),
        ("text,stars\na,1\n", "no column is named 'label'; there are 'text', 'stars'"),
        (",".join(f"c{i}" for i in range(60)) + "\n", r"'c49', \.\.\.\. Name"),
        ("text,text,label\na,b,1\n", "2 columns are named 'text'"),
        ("text,label\na,1\nb,\nc,\n", "no label in 2 of 3 rows, first in row 2"),
        ('label,text\n"open,a\nb,c\nd,e"\n,f', "line 4: 1 fields"),
        ('text,label\na,1\nb,"open\nc,2\nd,3\n', "row 2: the label .*line break.*quote"),
        ("x" * 200_000 + "\nb\n", "not a CSV file"),
    ],
)
def test_bad_csv(write, content, problem):
    path = write(content)
    with pytest.raises(ValueError, match=problem) as caught:
        read_table(path, columns=["text"], label="label")
    assert str(caught.value).startswith(path)


def test_two_unused_columns_may_share_a_name(write):
    assert text(read_table(write("text,x,x\na,1,2\n"), columns=["text"])) == ["a"]


def test_ragged_row_that_python_cannot_place(write):
    with pytest.raises(ValueError, match=r"data\.csv: CSV parse error: Expected 2 columns"):
        read_table(write("text,label\n" + "x" * 200_000 + ",1\nb\n"))


@pytest.mark.parametrize("read", [read_table, lambda path: list(read_lines(path))])
def test_files_that_cannot_be_opened(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read(str(tmp_path / "none.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder\.csv"):
        read(str(tmp_path / "folder.csv"))


# -------------------------------------------------------------------------------- whole tables


def test_all_columns_but_the_label_are_features_in_their_order(write):
    path = write(",b,label,a\n0,x,1,007\n1,y,2,2020-01-01\n")
    table = read_table(path, label="label")
    assert table.features.to_pydict() == {
        "": ["0", "1"],
        "b": ["x", "y"],
        "a": ["007", "2020-01-01"],
    }
    assert set(table.features.schema.types) == {pa.large_string()}
    assert table.labels.tolist() == [1, 2]
    assert read_table(path).features.column_names == ["", "b", "label", "a"]


def test_chosen_columns_come_in_the_order_asked_for(write):
    path = write("a,b,label\n1,2,x\n")
    table = read_table(path, columns=["b", "a", "b"])
    assert table.features.to_pydict() == {"b": ["2"], "a": ["1"]}
    seen = []
    table = read_table(path, columns=lambda names: seen.extend(names) or names[1:2], label="label")
    assert (table.features.column_names, seen) == (["b"], ["a", "b", "label"])


NA = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", '""', '"NA"']


def test_na_words_are_null_in_tables_alone(write):
    path = write("a,text,label\n" + "".join(f"{word},x,NA\n" for word in NA))
    table = read_table(path, label="label")
    assert text(table, "a") == [None] * len(NA)
    assert table.labels.tolist() == ["NA"] * len(NA)
    lone = [word.strip('"') for word in NA]
    assert text(read_table(path, columns=["a"]), "a") == lone
    assert text(read_table(path, columns=["a"], na_words=True), "a") == [None] * len(NA)
    assert text(read_table(path, na_words=False), "a") == lone


def test_what_is_no_na_word_stays(write):
    cells = [" NA", "Na", "none", "?", "-", "NAN", "missing", "0", "null island"]
    table = read_table(write("a,b\n" + "".join(f"{cell},x\n" for cell in cells)))
    assert text(table, "a") == cells


def test_parquet_columns_stay_as_they_are(parquet):
    columns = {
        "n": pa.array([1, None]),
        "when": pa.array([0, 1], pa.timestamp("ms")),
        "tags": pa.array([["a"], None]),
        "kind": pa.array(["NA", "b"]).dictionary_encode(),
    }
    path = parquet(**columns, label=["x", "y"])
    table = read_table(path, label="label").features
    assert table.equals(pa.table(columns))
    assert read_table(path, columns=["kind", "n"]).features.column_names == ["kind", "n"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,a,label\n1,2,x\n", "2 columns are named 'a', among .*--ignore"),
        ("label\nx\n", "no column to learn from besides 'label'"),
        ("a,b\n1,2\n", "no column is named 'label'; there are 'a', 'b'"),
        ("a,b,label\n1,2,x\n1,2\n", "line 3: 2 fields where the first line has 3"),
        (b"a,b,label\n1,2,x\n\xff,2,x\n", "line 3: not UTF-8"),
    ],
)
def test_bad_tables(write, content, problem):
    path = write(content)
    with pytest.raises(ValueError, match=problem) as caught:
        read_table(path, label="label")
    assert str(caught.value).startswith(path)


def test_ten_thousand_columns(write):
    names = [f"c{i}" for i in range(10_000)]
    table = read_table(write(",".join(names) + "\n" + ",".join(names) + "\n"))
    assert table.features.column_names == names
    assert text(table, "c9999") == ["c9999"]


# --------------------------------------------------------------------------- many labels a row


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["a b", "", "b"], [["a", "b"], [], ["b"]]),
        ([" a  b ", "c"], [["a", "b"], ["c"]]),
        (["3 17", "", "5"], [[3, 17], [], [5]]),
        (["3 17", "x"], [["3", "17"], ["x"]]),
        (["07 1"], [["07", "1"]]),
        (["NA None"], [["NA", "None"]]),
        (["", " "], [[], []]),
    ],
)
def test_labels_are_split(write, cells, expected):
    path = write("text,y\n" + "".join(f"t,{cell}\n" for cell in cells))
    labels = read_table(path, label="y", label_delimiter=" ").labels
    assert labels == expected
    assert {type(label) for row in labels for label in row} <= {int, str}


def test_split_labels_may_hold_blanks_and_take_the_type_of_others(write):
    path = write("text,y\na,1; 2\nb,\n")
    assert read_table(path, label="y", label_delimiter=";").labels == [[1, 2], []]
    like = np.array(["1", "x"])
    labels = read_table(path, label="y", label_delimiter=";", labels_like=like).labels
    assert labels == [["1", "2"], []]
    path = write("text,y\na,New York|Rome\n")
    assert read_table(path, label="y", label_delimiter="|").labels == [["New York", "Rome"]]


def test_split_labels_of_another_kind(write):
    path = write("text,y\na,1 x\n")
    with pytest.raises(ValueError, match=r"'y' .*trained on \(int64\).*'x'"):
        read_table(path, label="y", label_delimiter=" ", labels_like=np.array([1]))
    path = write('text,y\na,1\nb,"open\nc,2\nd,3\n')
    with pytest.raises(ValueError, match=r"row 2: the label .*line break.*quote"):
        read_table(path, label="y", label_delimiter=" ")


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (pa.array([["a", "b"], [], None, ["a", None]]), [["a", "b"], [], [], ["a"]]),
        (pa.array([[1, 2], [], None, [2]], pa.large_list(pa.int16())), [[1, 2], [], [], [2]]),
        (pa.chunked_array([[["a"]], [["b"], [], []]]), [["a"], ["b"], [], []]),
        (pa.array([["a"], [], None, []], pa.list_(pa.dictionary(pa.int8(), pa.string()))), None),
        (pa.array(["a b", "", None, "b"]), [["a", "b"], [], [], ["b"]]),
        (pa.array(["a b", "", None, "b"]).dictionary_encode(), [["a", "b"], [], [], ["b"]]),
        (pa.array([1, 2, None, 3]), [[1], [2], [], [3]]),
    ],
)
def test_lists_of_labels_in_parquet(parquet, stored, expected):
    path = parquet(text=["a"] * 4, y=stored)
    labels = read_table(path, label="y", label_delimiter=" ").labels
    assert labels == (expected or [["a"], [], [], []])
    if "list" in str(stored.type):
        assert read_table(path, label="y").labels == labels


def test_lists_of_what_are_no_labels(parquet):
    path = parquet(text=["a"], y=pa.array([[[1]]]))
    with pytest.raises(ValueError, match=r"labels of type .* in column 'y'"):
        read_table(path, label="y")


# -------------------------------------------------------------------------------------- Parquet


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["a", None]),
        pa.array(["a", None], pa.large_string()),
        pa.array(["a", None]).dictionary_encode(),
        pa.chunked_array([["a"], pa.array([None], pa.string())]),
    ],
)
def test_parquet_texts(parquet, texts):
    table = read_table(parquet(text=texts, other=[1, 2]), columns=["text"])
    assert text(table) == ["a", None]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (pa.array([1, 2], pa.int16()), np.array([1, 2], np.int16)),
        (pa.array([1, 2], pa.uint64()), np.array([1, 2], np.uint64)),
        (pa.array([0.5, 2]), np.array([0.5, 2])),
        (pa.array([True, False]), np.array([True, False])),
        (pa.array(["1", ""]), np.array(["1", ""], object)),
        (pa.array(["x", "y"]).dictionary_encode(), np.array(["x", "y"], object)),
        (pa.array([7, 9]).dictionary_encode(), np.array([7, 9])),
        (pa.chunked_array([["x"], ["y"]]), np.array(["x", "y"], object)),
        (
            pa.array([0, 1000], pa.timestamp("ms")),
            np.array(["1970-01-01", "1970-01-01T00:00:01"], "M8[ms]"),
        ),
    ],
)
def test_parquet_labels_keep_their_type(parquet, stored, expected):
    labels = read_table(parquet(text=["a", "b"], y=stored), label="y").labels
    np.testing.assert_array_equal(labels, expected, strict=True)


def test_equal_labels_share_one_string(parquet):
    labels = read_table(parquet(text=["a"] * 3, y=["long label"] * 3), label="y").labels
    assert labels[0] is labels[2]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"text": ["a"], "label": pa.array([{"a": 1}])}, "labels of type struct"),
        ({"text": ["a"], "label": pa.array([b"x"])}, "labels of type binary"),
        ({"text": ["a"], "label": pa.array([1], pa.time32("ms"))}, "labels of type time32"),
        ({"text": ["a", "b"], "label": pa.array([None, 1])}, "1 of 2 rows, first in row 1"),
        ({"text": ["a"]}, "no column is named 'label'; there are 'text'"),
        ({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}, "no rows"),
    ],
)
def test_bad_parquet_columns(parquet, columns, problem):
    with pytest.raises(ValueError, match=problem):
        read_table(parquet(**columns), columns=["text"], label="label")


def test_parquet_with_a_column_twice(tmp_path):
    path = str(tmp_path / "d.parquet")
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, names=["text", "text"]), path)
    with pytest.raises(ValueError, match="2 columns are named 'text'"):
        read_table(path)


def test_damaged_parquet(parquet, write):
    with open(parquet(text=["a"]), "rb") as file:
        content = file.read()
    for damaged in [b"", b"text\na\n", content[:-9], content[:9]]:
        with pytest.raises(ValueError, match=r"data\.pq: cannot be read as Parquet"):
            read_table(write(damaged, "data.pq"))
    with pytest.raises(FileNotFoundError, match=r"none\.pq"):
        read_table("none.pq")
    with pytest.raises(ValueError, match="cannot be read from standard input"):
        read_table("-", format="parquet")


# ------------------------------------------------------------------------------ kinds of labels


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        (np.array(["1", "2", "x"]), ["1", "2"]),
        (np.array(["1", "x"], object), ["1", "2"]),
        (np.array([1, 2]), [1, 2]),
        (np.array([1], np.uint8), [1, 2]),
        (np.array([1.5]), [1.0, 2.0]),
        (np.array(["2020"], "M8[Y]"), ["1", "2"]),
    ],
)
def test_labels_take_the_type_of_others(write, parquet, like, expected):
    path = write("text,y\na,1\nb,2\n")
    assert read_table(path, label="y", labels_like=like).labels.tolist() == expected
    path = parquet(text=["a", "b"], y=pa.array(["1", "2"]).dictionary_encode())
    assert read_table(path, label="y", labels_like=like).labels.tolist() == expected


def test_labels_like_bool_and_numbers_to_text(write, parquet):
    path = write("text,y\na,True\nb,false\n")
    labels = read_table(path, label="y", labels_like=np.array([False, True])).labels
    assert labels.tolist() == [True, False]
    path = parquet(text=["a"], y=pa.array([7], pa.int8()))
    assert read_table(path, label="y", labels_like=np.array(["x"])).labels.tolist() == ["7"]


def test_labels_of_another_kind(write):
    with pytest.raises(ValueError, match=r"'y' .*trained on \(int64\).*'x'"):
        read_table(write("text,y\na,x\n"), label="y", labels_like=np.array([1]))


# -------------------------------------------------------------------------------- format, lines


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("-", "csv"),
        ("a.csv", "csv"),
        ("a.b/C.TSV.GZ", "tsv"),
        ("a.pq", "parquet"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.bz2", "jsonl"),
        ("a.json", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt.zst", "lines"),
    ],
)
def test_guess_format(path, expected):
    assert guess_format(path) == expected


@pytest.mark.parametrize("path", ["data", "data.xlsx", "csv", "data.gz", ".csv"])
def test_guess_format_of_nameless_files(path):
    with pytest.raises(ValueError, match="does not tell the format"):
        guess_format(path)


@pytest.mark.parametrize("format", ["lines", "json"])
def test_formats_that_are_no_tables(format):
    with pytest.raises(ValueError, match="is not a table"):
        read_table("x.csv", format=format)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"\n", [""]),
        (b"a\r\n\nb\n\n", ["a", "", "b", ""]),
        ("\ufeffa\u2028b\x0bc\rd\n\ufeffe\n".encode(), ["a\u2028b\x0bc\rd", "\ufeffe"]),
        (b"x" * 3_000_000 + b"\ny", ["x" * 3_000_000, "y"]),
    ],
)
def test_lines(write, stdin, content, expected):
    plain, packed = write(content, "d.txt"), write(gzip.compress(content), "d.txt.gz")
    stdin(content)
    for path in [plain, packed, "-"]:
        assert [line for lines in read_lines(path) for line in lines] == expected


def test_lines_that_are_not_utf8(write):
    path = write(b"a\n" * 1_000_000 + b"b\xe9\n", "d.txt")
    with pytest.raises(ValueError, match=r"d\.txt, line 1000001: not UTF-8 \(byte 0xe9\)"):
        list(read_lines(path))


def test_lines_are_yielded_as_they_arrive(monkeypatch):
    reader, writer = os.pipe()
    answered = threading.Event()

    def ask():
        os.write(writer, b"one\ntwo\nthr")
        answered.wait(60)
        os.write(writer, b"ee\n")
        os.close(writer)

    thread = threading.Thread(target=ask)
    with open(reader, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        thread.start()
        lines = read_lines("-")
        first = next(lines)  # would wait for ever if the end of the input were needed
        answered.set()
        assert (first, list(lines)) == (["one", "two"], [["three"]])
    thread.join()
