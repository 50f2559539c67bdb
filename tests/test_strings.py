import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.strings import as_text

TEXTS = [
    "Where is my card?",
    "",
    "  \t",
    "naïve 東京 ไทย",
    "👩‍👩‍👧 🏳️‍🌈",
    "a\0b",
    "Where is my card?",
]

STRING = np.dtypes.StringDType
CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "numpy str": np.array,
    "numpy str, big-endian": lambda v: np.array(v).astype(np.array(v).dtype.newbyteorder(">")),
    "numpy str, strided": lambda v: np.repeat(np.array(v), 2)[::2],
    "numpy StringDType": lambda v: np.array(v, dtype=STRING()),
    "numpy object": lambda v: np.array(v, dtype=object),
    "numpy column": lambda v: np.array(v, dtype=object)[:, np.newaxis],
    "numpy masked": lambda v: np.ma.MaskedArray(np.array(v)),
    "pandas default": pd.Series,
    "pandas object": lambda v: pd.Series(v, dtype=object),
    "pandas string[python]": lambda v: pd.Series(v, dtype="string[python]"),
    "pandas string[pyarrow]": lambda v: pd.Series(v, dtype="string[pyarrow]"),
    "pandas ArrowDtype": lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.string())),
    "pandas category": lambda v: pd.Series(v, dtype="category"),
    "pandas Index": pd.Index,
    "pandas array": lambda v: pd.array(v, dtype="string[pyarrow]"),
    "pandas frame": lambda v: pd.DataFrame({0: v}, index=range(9, 9 + len(v))),
    "polars": pl.Series,
    "polars Categorical": lambda v: pl.Series(v, dtype=pl.Categorical),
    "polars Enum": lambda v: pl.Series(v, dtype=pl.Enum(list(dict.fromkeys(v)))),
    "polars Object": lambda v: pl.Series(list(v), dtype=pl.Object),
    "polars chunks": lambda v: pl.concat([pl.Series(v[:2]), pl.Series(v[2:])], rechunk=False),
    "polars frame": lambda v: pl.DataFrame({"title": v}),
    "arrow string": pa.array,
    "arrow large_string": lambda v: pa.array(v, pa.large_string()),
    "arrow string_view": lambda v: pa.array(v, pa.string_view()),
    "arrow dictionary": lambda v: pa.array(v).dictionary_encode(),
    "arrow slice": lambda v: pa.array(["left out", *v, "left out"]).slice(1, len(v)),
    "arrow dictionary slice": lambda v: pa.array(["out", *v]).dictionary_encode().slice(1),
    "arrow chunks": lambda v: pa.chunked_array([v[:2], [], v[2:]]),
    "arrow dictionary chunks": lambda v: pa.chunked_array(
        [pa.array(rows, pa.string()).dictionary_encode() for rows in (v[:2], v[2:])]
    ),
    "arrow table": lambda v: pa.table({"title": v}),
    "arrow batch": lambda v: pa.RecordBatch.from_pydict({"title": v}),
    "any Arrow array": lambda v: ArrayCapsule(pa.array(v)),
    "any Arrow stream": lambda v: StreamCapsule(pa.table({"title": v})),
    "any array": lambda v: ArrayLike(np.array(v, dtype=object)),
}
# The ways each kind of container spells a missing value
MISSING = {
    "list": lambda: [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NA, pd.NaT],
    "numpy object": lambda: np.array([None, np.nan, pd.NA], dtype=object),
    "numpy StringDType": lambda: np.array([None, None], dtype=STRING(na_object=None)),
    "numpy StringDType, NaN": lambda: np.array([np.nan, "a"], dtype=STRING(na_object=np.nan))[:1],
    "numpy masked": lambda: np.ma.MaskedArray(np.array(["a", "b"]), mask=[True, True]),
    "pandas object": lambda: pd.Series([None, np.nan, pd.NaT], dtype=object),
    "pandas string[python]": lambda: pd.Series([None, pd.NA], dtype="string[python]"),
    "pandas string[pyarrow]": lambda: pd.Series([None, pd.NA], dtype="string[pyarrow]"),
    "pandas default": lambda: pd.Series(["a", None, np.nan])[1:],
    "pandas category": lambda: pd.Series(["a", None, np.nan], dtype="category")[1:],
    "polars": lambda: pl.Series([None, None], dtype=pl.String),
    "polars Null": lambda: pl.Series([None, None]),
    "polars Categorical": lambda: pl.Series([None, "a"], dtype=pl.Categorical)[:1],
    "arrow string": lambda: pa.array([None, None], pa.string()),
    "arrow string_view": lambda: pa.array([None, None], pa.string_view()),
    "arrow null": lambda: pa.nulls(2),
    "arrow dictionary, index": lambda: pa.array([None, "a"]).dictionary_encode()[:1],
    "arrow dictionary, value": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, 0]), pa.array([None], pa.string())
    ),
    "arrow null over bytes": lambda: pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, 6], np.int32)), pa.py_buffer(b"hidden"), pa.py_buffer(b"\0")
    ),
}


class ArrayLike:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class ArrayCapsule:
    def __init__(self, array):
        self.array = array

    def __arrow_c_array__(self, requested_schema=None):
        return self.array.__arrow_c_array__(requested_schema)


class StreamCapsule:
    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def check(text, expected):
    assert type(text) is pa.LargeStringArray
    assert text.null_count == 0
    text.validate(full=True)
    assert text.to_pylist() == expected


@pytest.fixture(params=CONTAINERS.values(), ids=CONTAINERS)
def container(request):
    return request.param


def test_every_container_gives_the_same_text(container):
    check(as_text(container(TEXTS)), TEXTS)


def test_one_row(container):
    check(as_text(container(["one"])), ["one"])


def test_no_row(container):
    with pytest.raises(
        ValueError, match=r"Found array with 0 sample\(s\) \(shape=\(0,.*minimum of 1"
    ):
        as_text(container([]))


@pytest.mark.parametrize("make", MISSING.values(), ids=MISSING)
def test_missing_is_the_empty_text(make):
    X = make()
    check(as_text(X), [""] * len(X))


def test_missing_among_texts():
    check(as_text(["a", None, "b"]), ["a", "", "b"])
    check(as_text(pa.array(["a", None, "b"])), ["a", "", "b"])


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        np.array,
        lambda v: np.array(v, dtype=object),
        lambda v: pd.Series(v, dtype=object),
    ],
)
def test_each_lone_surrogate_is_replaced(container):
    check(
        as_text(container(["a\ud800b", "\udfff\ud83d\ude00", "é", "😀"])),
        ["a\ufffdb", "\ufffd\ufffd\ufffd", "é", "😀"],
    )


def test_arrow_text_that_is_not_utf8_is_repaired():
    X = pa.array([b"a\xed\xa0\x80b", b"caf\xe9", None, "é".encode()]).view(pa.string())
    check(as_text(X), ["a\ufffdb", "caf\ufffd", "", "é"])


def test_str_subclass_is_text():
    check(as_text([np.str_("é"), "a"]), ["é", "a"])


def test_rows_beyond_one_block():
    X = [f"row {i}" + "é" * (i % 3) for i in range(10_000)]
    check(as_text(X), X)
    X[9_000] = None
    X[9_001] = "\ud800"
    check(as_text(X), [*X[:9_000], "", "\ufffd", *X[9_002:]])


def test_long_text():
    text = "word " * 20_000_000  # 100 MB
    result = as_text([text, "é"])
    assert result[0].as_py() == text
    assert result[1].as_py() == "é"


def test_input_is_not_changed():
    X = ["a", None, "\ud800"]
    as_text(X)
    assert X == ["a", None, "\ud800"]


@pytest.mark.parametrize(
    "container",
    [
        lambda array: array,
        lambda array: pa.chunked_array([array]),
        lambda array: pd.Series(array, dtype=pd.ArrowDtype(pa.large_string())),
    ],
)
def test_arrow_text_is_not_copied(container):
    array = pa.array(["left out", "a", "b"], pa.large_string())[1:]
    text = as_text(container(array))
    assert text.buffers()[2].address == array.buffers()[2].address
    assert text.offset == array.offset == 1
    check(text, ["a", "b"])


@pytest.mark.parametrize("X", ["text", np.str_("text"), b"text", np.array("text"), np.array(1.0)])
def test_a_single_value(X):
    with pytest.raises(ValueError, match=r"single .*: pass a list of one text, \[X\]"):
        as_text(X)


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table, lambda columns: StreamCapsule(pa.table(columns))]
)
def test_more_than_one_column(make):
    with pytest.raises(ValueError, match=r"2 columns, \['title', 'body'\]: select .* X\['title'\]"):
        as_text(make({"title": ["a"], "body": ["b"]}))


def test_duplicate_column_names():
    with pytest.raises(ValueError, match=r"2 columns, \['x', 'x'\]"):
        as_text(pd.DataFrame([["a", "b"]], columns=["x", "x"]))


@pytest.mark.parametrize("shape", [(1, 2), (2, 0), (1, 1, 1)])
def test_array_that_is_not_one_column(shape):
    with pytest.raises(ValueError, match=r"has shape \(.*X\[:, 0\]"):
        as_text(np.full(shape, "a"))


def test_frame_without_columns():
    with pytest.raises(ValueError, match="X has 0 columns"):
        as_text(pd.DataFrame(index=[0, 1]))


@pytest.mark.parametrize(
    "container",
    [CONTAINERS[kind] for kind in ("list", "numpy object", "pandas object", "polars Object")],
)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"caf\xc3\xa9", r"row 2 of X is b'caf.* of type bytes, not str: decode it"),
        (
            bytearray(b"x"),
            r"row 2 of X is bytearray.*: decode it, for example str\(X\[2\], 'utf-8'\)",
        ),
        (7, r"row 2 of X is 7 of type int, not str: make it text with str\(X\[2\]\)"),
        (1.5, r"row 2 of X is 1.5 of type float"),
        (True, r"row 2 of X is True of type bool"),
        (["a"], r"row 2 of X is \['a'\] of type list"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_row_that_is_not_text(container, value, message):
    X = np.array(["a", None, "b"], dtype=object)
    X[2] = value
    with pytest.raises(TypeError, match=message):
        as_text(container(X))


def test_bad_row_beyond_one_block():
    with pytest.raises(TypeError, match="row 5000 of X is 1 of type int"):
        as_text(["a"] * 5000 + [1])


@pytest.mark.parametrize(
    "X", [pd.Series([1, "a"], dtype="category"), pd.MultiIndex.from_tuples([(1, 2)])]
)
def test_pandas_objects_that_are_not_text(X):
    with pytest.raises(TypeError, match="row 0 of X is"):
        as_text(X)


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        (np.zeros((3, 2)), "float64"),
        (np.zeros(3, dtype=np.int32), "int32"),
        (np.zeros(3, dtype=complex), "complex128"),
        (np.zeros(3, dtype="M8[s]"), "datetime64"),
        (pd.Series([1.5, None]), "float64"),
        (pd.Series([1, None], dtype="Int64"), "Int64"),
        (pd.Series([True]), "bool"),
        (pd.DataFrame({"x": [1]}), "int64"),
        (pd.Series([1], dtype=pd.ArrowDtype(pa.int8())), "int8"),
        (pd.to_datetime(pd.Series(["2026-01-01"])), "datetime64"),
        (pl.Series([1]), "int64"),
        (pl.DataFrame({"x": [1.5]}), "double"),
        (pl.Series([["a"]]), "large_list"),
        (pa.array([1]), "int64"),
        (pa.array([1, 1]).dictionary_encode(), "int64"),
        (pa.array([["a"]]), "list"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_columns_that_are_not_text(X, dtype):
    with pytest.raises(TypeError, match=rf"X has dtype {dtype}.*where text .* SciPy CSR matrix"):
        as_text(X)


@pytest.mark.parametrize(
    ("X", "remedy"),
    [
        (np.array([b"a"]), r"pass np.char.decode\(X, 'utf-8'\)"),
        (pa.array([b"a"]), "cast the column to string"),
        (pa.array([b"a"]).dictionary_encode(), "cast the column to string"),
        (pl.Series([b"a"]), "cast the column to string"),
        (pd.Series([b"a"], dtype=pd.ArrowDtype(pa.binary())), "cast the column to string"),
    ],
    ids=["numpy", "arrow", "arrow dictionary", "polars", "pandas"],
)
def test_columns_of_bytes(X, remedy):
    with pytest.raises(TypeError, match=rf"X holds bytes \(.*\): {remedy}"):
        as_text(X)


@pytest.mark.parametrize("X", [iter(["a"]), (text for text in ["a"]), {"a": 1}.values()])
def test_other_iterables(X):
    with pytest.raises(TypeError, match=r"where text .* is expected; .* pass list\(X\)"):
        as_text(X)


@pytest.mark.parametrize("X", [None, 1, {"a": 1}, {"a"}, frozenset("a"), object()])
def test_things_without_rows_in_order(X):
    with pytest.raises(TypeError, match=rf"type {type(X).__name__}, where text .* is expected$"):
        as_text(X)


def test_other_libraries_are_not_imported():
    code = (
        "import sys, pyarrow as pa\n"
        "from udt.strings import as_text\n"
        "as_text(['a', None, '\\ud800'])\n"
        "column = pa.chunked_array([as_text(['a', 'b']).cast(pa.string())] * 2)\n"
        "as_text(column)\n"
        "as_text(column.dictionary_encode())\n"
        "print({'pandas', 'polars', 'numba', 'sklearn'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# hypothesis keeps surrogates out of st.text() unless they are asked for by category
ANY_TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "M", "C"]))


@given(st.lists(st.one_of(st.none(), ANY_TEXT, st.text("a\0é\ud800\udfff😀")), min_size=1))
def test_any_text_comes_out_with_only_the_documented_changes(X):
    expected = [
        "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in value or "") for value in X
    ]
    check(as_text(X), expected)
    check(as_text(tuple(X)), expected)
    check(as_text(np.array(X, dtype=object)), expected)
    check(as_text(pd.Series(X, dtype=object)), expected)
    clean = [None if value is None else text for value, text in zip(X, expected, strict=True)]
    check(as_text(pa.array(clean, pa.string())), expected)
    check(as_text(pl.Series(clean, dtype=pl.String)), expected)
    check(as_text(pd.Series(clean, dtype="string[pyarrow]")), expected)
