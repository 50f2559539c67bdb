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


# ------------------------------------------------------------------------------------------ CSV


def test_csv_as_it_is_written_by_others(write):
    table = read_table(
        write('﻿id,text,label\r\n1,"a, ""b""\r\nc",x\r\n\r\n2,NA,null\r\n3,,NA'), label="label"
    )
    assert table.text.type == pa.large_string()
    assert table.text.to_pylist() == ['a, "b"\r\nc', "NA", ""]
    assert table.labels.tolist() == ["x", "null", "NA"]
    assert table.labels.dtype == object
    assert len(table) == 3


def test_text_stays_text_and_unicode(write):
    table = read_table(write("text\n007\n1.50\ntrue\n2020-01-01\nünï 😀 a\0b\n日本\n"))
    assert table.text.to_pylist() == ["007", "1.50", "true", "2020-01-01", "ünï 😀 a\0b", "日本"]
    assert table.labels is None


@pytest.mark.parametrize(
    ("name", "delimiter", "written"),
    [("d.tsv", None, "\t"), ("d.tab", None, "\t"), ("d.csv", ";", ";"), ("D.TSV", "|", "|")],
)
def test_delimiters(write, name, delimiter, written):
    path = write(f"x, y{written}label\na, b{written}c\n", name)
    table = read_table(path, text="x, y", label="label", delimiter=delimiter)
    assert (table.text.to_pylist(), table.labels.tolist()) == (["a, b"], ["c"])


@pytest.mark.parametrize("delimiter", ["ab", "é", '"', "\n"])
def test_bad_delimiter(write, delimiter):
    with pytest.raises(ValueError, match="must be one ASCII character"):
        read_table(write("text\na\n"), delimiter=delimiter)


@pytest.mark.parametrize(("pack", "ending"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2")])
def test_compressed(write, pack, ending):
    path = write(pack(b"text,label\na,b\n"), f"d.csv{ending}")
    assert read_table(path, label="label").text.to_pylist() == ["a"]
    with pytest.raises(ValueError, match="cannot be decompressed"):
        read_table(write(b"text,label\na,b\n", f"e.csv{ending}"))


def test_standard_input(stdin):
    stdin(b"text,label\na,b\n")
    table = read_table("-", label="label")
    assert (table.text.to_pylist(), table.labels.tolist()) == (["a"], ["b"])
    stdin(b"text\tlabel\na\tb\n")
    assert read_table("-", format="tsv").text.to_pylist() == ["a"]
    stdin(b"text,label\na,b\nc\n")
    with pytest.raises(ValueError, match="-, line 3: 1 fields"):
        read_table("-")


def test_a_row_larger_than_a_block(write):
    long = "x" * 20_000_000
    table = read_table(write(f"text,label\na,1\n{long},2\nb,3\n"), label="label")
    assert [len(text) for text in table.text.to_pylist()] == [1, len(long), 1]


def test_text_and_label_may_be_one_column(write):
    table = read_table(write("text\na\n"), label="text")
    assert (table.text.to_pylist(), table.labels.tolist()) == (["a"], ["a"])


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
        read_table(path, label="label")
    assert str(caught.value).startswith(path)


def test_two_unused_columns_may_share_a_name(write):
    assert read_table(write("text,x,x\na,1,2\n")).text.to_pylist() == ["a"]


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
    table = read_table(parquet(text=texts, other=[1, 2]))
    assert table.text.type == pa.large_string()
    assert table.text.to_pylist() == ["a", None]


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
        ({"text": pa.array([1]), "label": ["x"]}, "'text' holds int64, not text"),
        ({"text": ["a"], "label": pa.array([[1]])}, "labels of type list"),
        ({"text": ["a"], "label": pa.array([b"x"])}, "labels of type binary"),
        ({"text": ["a"], "label": pa.array([1], pa.time32("ms"))}, "labels of type time32"),
        ({"text": ["a", "b"], "label": pa.array([None, 1])}, "1 of 2 rows, first in row 1"),
        ({"text": ["a"]}, "no column is named 'label'; there are 'text'"),
        ({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}, "no rows"),
    ],
)
def test_bad_parquet_columns(parquet, columns, problem):
    with pytest.raises(ValueError, match=problem):
        read_table(parquet(**columns), label="label")


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
