"""JSON lines: records as they arrive, tables, and the line of what is wrong."""

import bz2
import gzip
import io
import json
import math
import os
import sys
import threading

import pyarrow as pa
import pytest

from udt.io import json_lines, read_records, read_table


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.jsonl"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def column(path, name="a", **options):
    return read_table(path, columns=[name], **options).features[name]


# ---------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, -3], pa.int64(), [1, None, -3]),
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        ([True, False, None], pa.bool_(), [True, False, None]),
        (["x", "", None, "NA"], pa.large_string(), ["x", "", None, "NA"]),
        ([None, None], pa.null(), [None, None]),
        ([["x", "y"], [], None, "z"], None, [["x", "y"], [], None, ["z"]]),
        ([[1, 2], [3]], pa.large_list(pa.int64()), [[1, 2], [3]]),
        ([[1, "x", None, True, 2.0]], None, [["1", "x", "true", "2"]]),
        ([["x"], 3], None, [["x"], ["3"]]),
        ([1, "x", True, None, 3.0], pa.large_string(), ["1", "x", "true", None, "3"]),
        ([True, 1], pa.large_string(), ["true", "1"]),
        ([2**63, 1], pa.large_string(), ["9223372036854775808", "1"]),
        ([10**400, 0.5], pa.large_string(), [str(10**400), "0.5"]),
        ([[2**63]], None, [["9223372036854775808"]]),
        (["ü😀\ud800", "日本"], pa.large_string(), ["ü😀\ufffd", "日本"]),
    ],
)
@pytest.mark.parametrize("piece", [1 << 20, 1])
def test_values(write, monkeypatch, values, kind, expected, piece):
    path = write(lines(*({"a": value} for value in values)))
    if piece == 1:  # every line by itself must give the same column
        whole = json_lines.numbered_lines

        def one_by_one(path):
            for first, batch in whole(path):
                yield from ((first + i, [line]) for i, line in enumerate(batch))

        monkeypatch.setattr(json_lines, "numbered_lines", one_by_one)
    found = column(path)
    assert found.to_pylist() == expected
    assert found.type == (kind or pa.large_list(pa.large_string()))
    found.validate(full=True)


def test_nan_and_infinity_are_numbers(write):
    values = column(write('{"a": NaN}\n{"a": -Infinity}\n{"a": 1e999}')).to_pylist()
    assert math.isnan(values[0]) and values[1:] == [-math.inf, math.inf]


def test_keys_may_be_missing_and_in_any_order(write):
    path = write(lines({"a": 1, "b": "x"}, {"b": "y"}, {"c": True, "a": 2}))
    assert read_table(path).features.to_pydict() == {
        "a": [1, None, 2],
        "b": ["x", "y", None],
        "c": [None, None, True],
    }


def test_files_as_they_are_written_by_others(write):
    content = '\ufeff{"a": "ü"}\r\n\r\n  \n {"a" : "b\\nc"} \n\n'.encode()
    for path in [
        write(content),
        write(gzip.compress(content), "d.json.gz"),
        write(bz2.compress(content), "d.ndjson.bz2"),
        write(pa.compress(content, codec="zstd", asbytes=True), "d.jsonl.zst"),
    ]:
        assert column(path).to_pylist() == ["ü", "b\nc"]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1, "y": "x"}')))
    table = read_table("-", label="y", format="jsonl")
    assert (table.features.to_pydict(), table.labels.tolist()) == ({"a": [1]}, ["x"])


def test_many_pieces(write, monkeypatch):
    path = write(lines(*({"a": i if i % 7 else None, "b": [str(i)]} for i in range(200_000))))
    table = read_table(path).features
    assert table.num_rows == 200_000
    assert table["a"].to_pylist() == [i if i % 7 else None for i in range(200_000)]
    assert table["b"][199_999].as_py() == ["199999"]


def test_labels_keep_their_kind(write):
    rows = [(1, "a", True, 0.5, ["x"]), (2, "", False, 2.0, [])]
    path = write(lines(*(dict(zip("ibtfl", row, strict=True), z=0) for row in rows)))
    for name, kind in zip("ibtf", "iObf", strict=True):
        labels = read_table(path, label=name).labels
        assert (labels.dtype.kind, labels.tolist()) == (
            kind,
            [row["ibtf".index(name)] for row in rows],
        )
    assert read_table(path, label="l").labels == [["x"], []]
    assert read_table(path, label="b", label_delimiter=" ").labels == [["a"], []]
    mixed = write(lines({"a": 0, "y": 1}, {"a": 0, "y": "x"}))
    assert read_table(mixed, label="y").labels.tolist() == ["1", "x"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "there are no rows"),
        ("\n \n", "there are no rows"),
        ("{}\n", "no column is named 'a'; there are"),
        ('{"b": 1}', "no column is named 'a'; there are 'b'"),
        ('{"a": 1}\n\n{"a": 1', r"line 3: not JSON \(.*at character 8\)"),
        ('{"a": 1}\n{"a": 1},', "line 2: not JSON"),
        ("[\n", "line 1: not JSON .*one JSON object a line"),
        ('[{"a": 1}]\n', "line 1: a list, not an object"),
        ('{"a": 1}\n"text"\n', "line 2: 'text', not an object"),
        ('{"a": {"b": 1}}', r"line 1: column 'a' holds \{'b': 1\}.*--ignore"),
        ('{"a": 1}\n{"a": [[1]]}', r"line 2: column 'a' holds \[\[1\]\]"),
        ('{"a": [{}]}', r"line 1: column 'a' holds \[\{\}\]"),
        ('{"a": ' + "9" * 5000 + "}", "line 1: cannot be read"),
        ("[" * 100_000, "line 1: "),
        (b'{"a": 1}\n{"a": "\xe9"}', r"line 2: not UTF-8 \(byte 0xe9\)"),
    ],
)
def test_bad_files(write, content, problem):
    path = write(content)
    with pytest.raises(ValueError, match=problem) as caught:
        read_table(path, columns=["a"])
    assert str(caught.value).startswith(path)


def test_files_that_are_not_compressed(write):
    with pytest.raises(ValueError, match="cannot be decompressed"):
        read_table(write('{"a": 1}', "d.jsonl.gz"))


def test_missing_labels(write):
    path = write(lines({"a": 1, "y": "x"}, {"a": 2}, {"a": 2, "y": None}))
    with pytest.raises(ValueError, match="no label in 2 of 3 rows, first in row 2"):
        read_table(path, label="y")


def test_columns_that_nobody_asks_for_may_hold_anything(write):
    path = write(lines({"a": 1, "b": {"c": 1}, "d": [[2]]}))
    assert column(path).to_pylist() == [1]
    with pytest.raises(ValueError, match="column 'b' holds"):
        read_table(path)


# --------------------------------------------------------------------------------------- records


def test_records_hold_what_is_asked_for(write):
    path = write(lines({"a": 1, "b": {"x": 1}, "c": None}, {"c": ["x"]}))
    assert list(read_records(path, ["c", "a"])) == [
        [{"c": None, "a": 1}, {"c": ["x"], "a": None}],
    ]
    seen = []
    records = read_records(path, lambda names: seen.extend(names) or ["c"])
    assert list(records) == [[{"c": None}, {"c": ["x"]}]]
    assert seen == ["a", "b", "c"]


def test_records_as_they_are(write):
    records = [{"a": 1, "b": 2.5}, {"c": [True, None]}]
    assert list(read_records(write(lines(*records)))) == [records]
    assert list(read_records(write(""))) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"a": 1}\n{"b": 1}', r"line 2: the object has none of the columns \['a'\]"),
        ('{"a": 1}\n{"a": {}}', "line 2: column 'a' holds"),
        ('{"a": 1}\n{"a"', "line 2: not JSON"),
    ],
)
def test_bad_records(write, content, problem):
    with pytest.raises(ValueError, match=problem):
        list(read_records(write(content), ["a"]))


def test_records_are_yielded_as_they_arrive(monkeypatch):
    reader, writer = os.pipe()
    answered = threading.Event()

    def ask():
        os.write(writer, b'{"a": 1}\n{"a"')
        answered.wait(60)
        os.write(writer, b": 2}\n")
        os.close(writer)

    thread = threading.Thread(target=ask)
    with open(reader, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        thread.start()
        records = read_records("-", ["a"])
        first = next(records)  # would wait for ever if the end of the input were needed
        answered.set()
        assert (first, list(records)) == ([{"a": 1}], [[{"a": 2}]])
    thread.join()
