import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from udt.frames import as_table

COLUMNS = {"title": ["a", "b", None], "price": [1.5, None, 3.0], "ok": [True, False, True]}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


class StreamCapsule:
    def __init__(self, data):
        self.data = data

    def __arrow_c_stream__(self, requested_schema=None):
        return self.data.__arrow_c_stream__(requested_schema)


class ArrayCapsule:
    def __init__(self, data):
        self.data = data

    def __arrow_c_array__(self, requested_schema=None):
        return self.data.__arrow_c_array__(requested_schema)


class ArrayLike:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def structured():
    dtype = [("title", object), ("price", float), ("ok", bool)]
    return np.array([("a", 1.5, True), ("b", np.nan, False), (None, 3.0, True)], dtype=dtype)


FRAMES = {
    "list of dicts": lambda: ROWS,
    "tuple of dicts": lambda: tuple(ROWS),
    "dicts without the missing keys": lambda: [
        {name: value for name, value in row.items() if value is not None} for row in ROWS
    ],
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas object": lambda: pd.DataFrame(COLUMNS, dtype=object),
    "pandas nullable": lambda: pd.DataFrame(COLUMNS).convert_dtypes(),
    "pandas arrow": lambda: pa.table(COLUMNS).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars lazy": lambda: pl.LazyFrame(COLUMNS),
    "pyarrow table": lambda: pa.table(COLUMNS),
    "pyarrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "pyarrow reader": lambda: pa.table(COLUMNS).to_reader(),
    "pyarrow chunks": lambda: pa.concat_tables([pa.table(COLUMNS)[:1], pa.table(COLUMNS)[1:]]),
    "any Arrow stream": lambda: StreamCapsule(pa.table(COLUMNS)),
    "any Arrow array": lambda: ArrayCapsule(pa.RecordBatch.from_pydict(COLUMNS)),
    "structured array": structured,
}


@pytest.fixture(params=FRAMES.values(), ids=FRAMES)
def frame(request):
    return request.param()


def test_every_frame(frame):
    table = as_table(frame)
    assert table.n_rows == 3
    assert table.names == list(COLUMNS)
    assert table.named
    assert [table.column(i).kind for i in range(3)] == ["string", "number", "flag"]


def test_every_frame_takes_rows(frame):
    table = as_table(frame).take(np.array([True, False, True]))
    assert table.n_rows == 2
    assert table.names == list(COLUMNS)
    assert table.column(0).data.to_pylist() == ["a", ""]
    again = table.take(np.array([False, True]))
    assert again.n_rows == 1
    assert list(again.column(2).data) in ([True], [pa.scalar(True)])


def test_a_table_is_itself():
    table = as_table(ROWS)
    assert as_table(table) is table


def test_narwhals_frames():
    nw = pytest.importorskip("narwhals")
    for frame in (nw.from_native(pl.DataFrame(COLUMNS)), nw.from_native(pl.LazyFrame(COLUMNS))):
        assert as_table(frame).names == list(COLUMNS)


@pytest.mark.parametrize("kind", ["list of dicts", "pandas", "pandas arrow", "polars"])
def test_one_row_is_kept_as_python_values(kind):
    X = FRAMES[kind]()
    one = X.iloc[:1] if kind.startswith("pandas") else X[:1]
    assert dict(as_table(one).row) == {"title": "a", "price": 1.5, "ok": True}


def test_one_row_of_numbers():
    assert as_table(pd.DataFrame({"a": [1], "b": [2.5]})).row == {"a": 1.0, "b": 2.5}
    big = as_table(pd.DataFrame({"a": [2**60 + 1], "b": [2.5]}))
    assert big.row is None
    assert big.column(0).data[0] == 2**60 + 1
    nanoseconds = pl.DataFrame({"a": pl.Series([1], dtype=pl.Datetime("ns"))})
    assert as_table(nanoseconds).row is None


def test_columns_are_read_when_asked_for():
    table = as_table([{"good": 1, "bad": {"nested": 1}}, {"good": 2, "bad": b"x"}])
    assert table.column(0).kind == "number"
    with pytest.raises(TypeError, match="'bad'"):
        table.column(1)


def test_rows_of_dicts_may_lack_keys():
    table = as_table([{"a": 1}, {"b": "x"}, {}])
    assert table.names == ["a", "b"]
    assert table.column(0).data == [1, None, None]


def test_numeric_arrays_are_viewed():
    X = np.arange(12.0).reshape(4, 3)
    table = as_table(X)
    assert table.names == ["x0", "x1", "x2"]
    assert not table.named
    assert np.shares_memory(table.column(1).data, X)
    np.testing.assert_array_equal(table.column(1).data, X[:, 1])


@pytest.mark.parametrize("X", [[[1, "a"], [2.5, "b"]], ([1, "a"], (2.5, "b"))])
def test_lists_of_rows(X):
    table = as_table(X)
    assert table.names == ["x0", "x1"]
    assert [table.column(i).kind for i in range(2)] == ["number", "string"]


def test_other_arrays():
    assert as_table(np.array([["a", "b"]])).column(1).kind == "string"
    assert as_table(ArrayLike(np.ones((2, 2)))).n_rows == 2
    assert as_table(np.ones((2, 2)).view(np.matrix)).column(1).data.shape == (2,)
    assert as_table(np.array([["a", 1.5]], dtype=object)).column(1).kind == "number"


def test_masked_arrays():
    mask = [[True, False], [False, False]]
    floats = as_table(np.ma.MaskedArray(np.ones((2, 2)), mask)).column(0).data
    np.testing.assert_array_equal(floats, [np.nan, 1])
    integers = as_table(np.ma.MaskedArray(np.ones((2, 2), dtype=int), mask))
    assert integers.column(0).data == [None, 1]
    np.testing.assert_array_equal(integers.column(1).data, [1, 1])
    dates = np.ma.MaskedArray(np.ones((2, 2), dtype="M8[ns]"), mask)
    assert np.isnat(as_table(dates).column(0).data).tolist() == [True, False]
    texts = np.ma.MaskedArray(np.full((2, 2), "a"), mask)
    assert as_table(texts).column(0).data.to_pylist() == ["", "a"]


def test_sparse_and_categorical_pandas_columns():
    frame = pd.DataFrame({"s": pd.arrays.SparseArray([0.0, 1.0]), "c": pd.Categorical([3, 4])})
    table = as_table(frame)
    np.testing.assert_array_equal(table.column(0).data, [0, 1])
    assert (table.column(1).kind, table.column(1).categorical) == ("number", True)


TEXTS = {
    "list": ["a", None],
    "tuple": ("a", None),
    "numpy": np.array(["a", ""]),
    "numpy object": np.array(["a", None], dtype=object),
    "pandas": pd.Series(["a", None]),
    "pandas object": pd.Series(["a", None], dtype=object),
    "pandas category": pd.Series(["a", None], dtype="category"),
    "polars": pl.Series(["a", None]),
    "polars Enum": pl.Series(["a", None], dtype=pl.Enum(["a"])),
    "pyarrow": pa.array(["a", None]),
    "pyarrow chunks": pa.chunked_array([["a"], [None]]),
    "pyarrow dictionary": pa.array(["a", None]).dictionary_encode(),
}


@pytest.mark.parametrize("X", TEXTS.values(), ids=TEXTS)
def test_text_alone_is_a_table_of_one_column(X):
    table = as_table(X)
    assert (table.n_rows, table.names) == (2, ["text"])
    assert table.column(0).data.to_pylist() == ["a", ""]


def test_named_text():
    assert as_table(pd.Series(["a"], name="title")).names == ["title"]
    assert as_table(pl.Series("title", ["a"])).names == ["title"]
    assert as_table([None, None]).column(0).data.to_pylist() == ["", ""]


ONE_DIMENSION = {
    "numpy": np.ones(3),
    "numpy bool": np.ones(3, dtype=bool),
    "numpy object": np.array([1, 2.5, None], dtype=object),
    "numpy dates": np.ones(3, dtype="M8[s]"),
    "list": [1, 2, 3],
    "list with NaN": [np.nan, 2.0],
    "pandas": pd.Series([1.5]),
    "pandas nullable": pd.Series([1, None], dtype="Int64"),
    "pandas arrow": pd.Series([1], dtype=pd.ArrowDtype(pa.int64())),
    "pandas dates": pd.Series([datetime(2026, 1, 1)]),
    "polars": pl.Series([1]),
    "polars bool": pl.Series([True]),
    "pyarrow": pa.array([1.5]),
}


@pytest.mark.parametrize("X", ONE_DIMENSION.values(), ids=ONE_DIMENSION)
def test_one_dimension_that_is_no_text(X):
    with pytest.raises(ValueError, match=r"Expected 2D array, got 1D array .* Reshape your data"):
        as_table(X)


@pytest.mark.parametrize(
    "X",
    [
        [],
        (),
        np.empty((0, 3)),
        np.array([], dtype=object),
        np.array([], dtype=str),
        pd.DataFrame({"a": []}),
        pl.DataFrame({"a": []}),
        pa.table({"a": pa.array([], pa.string())}),
        StreamCapsule(pa.table({"a": pa.array([], pa.string())})),
        pd.Series([], dtype=str),
    ],
    ids=str,
)
def test_no_row(X):
    with pytest.raises(ValueError, match=r"0 sample\(s\).*minimum of 1 is required"):
        as_table(X)


@pytest.mark.parametrize(
    "X",
    [
        np.empty((12, 0)),
        pd.DataFrame(index=range(12)),
        [{}] * 12,
        [[]] * 12,
        [{}],
    ],
    ids=repr,
)
def test_no_column(X):
    with pytest.raises(
        ValueError, match=r"0 feature\(s\) \(shape=\(\d+, 0\)\) while a minimum of 1 is required\."
    ):
        as_table(X)


def test_duplicate_names():
    twice = pd.DataFrame([["a", 1, "b"]], columns=["x", "y", "x"])
    with pytest.raises(ValueError, match=r"2 columns of the name 'x'.*rename"):
        as_table(twice)
    with pytest.raises(ValueError, match=r"2 columns of the name '1' \(\[1, '1'\]\)"):
        as_table(pd.DataFrame([["a", 1]], columns=[1, "1"]))
    with pytest.raises(ValueError, match="2 columns of the name '1'"):
        as_table([{1: "a"}, {"1": "b"}])
    with pytest.raises(ValueError, match="2 columns of the name 'x'"):
        as_table(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]))


def test_names_that_are_no_strings():
    frame = pd.DataFrame([["a", 1]], columns=[0, ("b", 2)])
    assert as_table(frame).names == ["0", "('b', 2)"]
    assert as_table([{0: "a"}]).names == ["0"]
    assert as_table([{0: "a"}]).row == {"0": "a"}
    assert as_table([{0: "a"}, {0: "b"}]).names == ["0"]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([{"a": 1}, 2], "row 1 of X is 2 of type int, where a dict is expected"),
        ([{"a": 1}, None], "row 1 of X is None"),
        ({"a": [1]}, r"X is of type dict, where a table .*pass a list of one dict, \[X\]"),
        (iter(["a"]), r"pass list\(X\)"),
        (5, "X is of type int, where a table"),
        (None, "X is of type NoneType"),
        ({"a"}, "X is of type set"),
        (sp.csr_matrix(np.eye(2)), "X is of type csr_matrix"),
        (["a", 7], "row 1 of X is 7 of type int, not str"),
        ([b"a"], "decode it"),
        (np.array([b"a"]), "np.char.decode"),
        (pl.Series([["a"]]), "dtype large_list"),
    ],
    ids=str,
)
def test_things_that_are_no_table(X, message):
    with pytest.raises(TypeError, match=message):
        as_table(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("text", r"single str.*\[X\]"),
        (b"text", r"single bytes.*\[X\]"),
        (np.array(1.0), "single 0-d array"),
        (np.ones((2, 2, 2)), "Found array with dim 3"),
        (np.ones((2, 2), dtype=complex), "Complex data not supported"),
        (np.ones(2, dtype=complex), "Complex data not supported|Expected 2D"),
        ([1j], "Complex data not supported"),
        ([[1, 2], [3]], r"row 1 of X is \[3\] of 1 values, where a row of 2 values"),
        ([[1, 2], None], "row 1 of X is None"),
        ([[1, 2], "ab"], "row 1 of X is 'ab'"),
    ],
    ids=str,
)
def test_arrays_that_are_no_table(X, message):
    with pytest.raises(ValueError, match=message):
        as_table(X)


BAD = {
    "bytes": (b"x", TypeError, "'c'.*b'x'.*decode it"),
    "dict": ({"k": 1}, TypeError, "argument must be a string, a number.*not dict"),
    "complex": (1j, ValueError, "Complex data not supported: column 'c'"),
    "object": (object(), TypeError, "column 'c'.*not object"),
    "matrix": (np.eye(2), TypeError, "column 'c'.*not ndarray"),
}


@pytest.mark.parametrize("kind", BAD)
def test_values_that_no_role_holds(kind):
    value, error, message = BAD[kind]
    with pytest.raises(error, match=message):
        as_table([{"c": 1, "d": 1}, {"c": value, "d": 1}]).column(0)
    with pytest.raises(error, match=message):
        as_table([{"c": value}]).column(0)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"a": 1}]),
        pa.array([b"x"]),
        pa.array([[{"a": 1}]]),
        pa.array([[b"x"]]),
        pa.array([[["a"]]]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([b"x"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_dtypes_that_no_role_holds(column):
    with pytest.raises(TypeError, match=r"column 'c' has dtype .*'ignored'"):
        as_table(pa.table({"c": column})).column(0)


def test_values_of_several_kinds():
    def kind(*values):
        return as_table([{"c": value} for value in values]).column(0).kind

    assert kind("a", 1, None, True) == "string"
    assert kind(1, True, 2.5) == "number"
    assert kind(True, None) == "flag"
    assert kind(["a"], "a", 1) == "list"
    assert kind("a", float("nan"), pd.NaT) == "string"
    assert kind(datetime(2026, 1, 1), float("nan"), np.datetime64("NaT")) == "date"
    assert kind(timedelta(1), None) == "duration"
    assert kind(None, float("nan"), pd.NA) == "missing"
    with pytest.raises(TypeError, match="column 'c' holds dates and numbers: make them one"):
        kind(datetime(2026, 1, 1), 1.5)
    with pytest.raises(TypeError, match="column 'c' holds dates and lists"):
        kind(datetime(2026, 1, 1), ["a"])


def test_arrow_dtypes():
    def kind(array):
        return as_table(pa.table({"c": array})).column(0).kind

    assert kind(pa.nulls(2)) == "missing"
    assert kind(pa.array(["a"], pa.string_view())) == "string"
    assert kind(pa.array(np.array([1.5], np.float16))) == "number"
    assert kind(pa.array([1], pa.decimal128(5, 2))) == "number"
    assert kind(pa.array([1], pa.date32())) == "date"
    assert kind(pa.array([1], pa.time64("us"))) == "duration"
    assert kind(pa.array([1, 1], pa.duration("ns")).dictionary_encode()) == "duration"
    assert kind(pa.array([["a"]], pa.list_view(pa.string()))) == "list"
    assert kind(pa.array([[1, 2]], pa.list_(pa.int8(), 2))) == "list"
    assert kind(pa.RunEndEncodedArray.from_arrays([2], ["a"])) == "string"
    if hasattr(pa, "bool8"):  # since pyarrow 18
        assert kind(pa.array([1], pa.int8()).cast(pa.bool8())) == "number"


def test_other_libraries_are_not_imported():
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from udt.columns import as_table, infer_columns, read_columns\n"
        "rows = [{'a': 'x y', 'b': 1, 'c': True, 'd': ['x'], 'e': '$1'}, {'a': None, 'b': 2.5}]\n"
        "for X in (rows, np.ones((3, 2)), [[1, 'a'], [2, 'b']], ['a', 'b'], rows[:1]):\n"
        "    table = as_table(X)\n"
        "    read_columns(table, infer_columns(table))\n"
        "print({'polars', 'numba', 'sklearn', 'narwhals'} & set(sys.modules))\n"
        # Older releases of pyarrow look for pandas by themselves.
        "print('pandas' in sys.modules and int(pa.__version__.split('.')[0]) >= 20)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\nFalse\n"
