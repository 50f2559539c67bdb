import math
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import udt.columns
from udt.columns import ROLES, Column, as_table, infer_columns, read_columns, read_row

LARGE_LIST = pa.large_list(pa.large_string())
N = 30
EAST = timezone(timedelta(hours=2))
DATA = {
    "title": ["Red summer dress", "Blue shoes and a hat", None, "naïve 東京 👩‍👩‍👧", ""] * 6,
    "color": ["red", "blue", None, "größer", ""] * 6,
    "price": [1.5, 2.0, None, 4.25, -0.0] * 6,
    "count": [1, 2, 3, 2**60 + 1, 5] * 6,
    "ok": [True, False, None, True, False] * 6,
    "sure": [True, False, True, True, False] * 6,
    "when": [datetime(2020, 1, 2, 3, 4, 5, 678901), None, datetime(1960, 1, 1)] * 10,
    "day": [date(2020, 1, 2), None, date(1960, 1, 1)] * 10,
    "zoned": [datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=EAST), None] * 15,
    "lasts": [timedelta(seconds=1.5), None, timedelta(days=-1, microseconds=7)] * 10,
    "tags": [["a", " b", ""], None, [], ["c", None], ["a"]] * 6,
    "cost": [Decimal("4.99"), None, Decimal("0.10"), Decimal("3.00"), Decimal("1.15")] * 6,
    "size": ["19M", "10,000+", "$4.99", None, "n/a"] * 6,
    "posted": ["2020-01-02T03:04:05.123456Z", "2020-01-02", None, "January 7, 2018", ""] * 6,
    "split": ["a, b", "b,,c", "c", None, "a,b,c"] * 6,
    "größe": ["yes", "no", "Y", None, ""] * 6,
}  # fmt: skip
ROWS = [dict(zip(DATA, row, strict=True)) for row in zip(*DATA.values(), strict=True)]
COLUMNS = (
    Column("title", "text"),
    Column("color", "category"),
    Column("price", "number"),
    Column("count", "number"),
    Column("ok", "flag"),
    Column("sure", "flag"),
    Column("when", "date"),
    Column("day", "date"),
    Column("zoned", "date"),
    Column("lasts", "number"),
    Column("tags", "categories"),
    Column("cost", "number"),
    Column("size", "number", spelling="free"),
    Column("posted", "date"),
    Column("split", "categories", delimiter=","),
    Column("größe", "flag"),
)
# The same columns in other roles that hold them
OTHERS = (
    Column("color", "text"),
    Column("color", "flag"),
    Column("color", "categories"),
    Column("price", "category"),
    Column("price", "categories"),
    Column("price", "flag"),
    Column("count", "category"),
    Column("count", "categories"),
    Column("ok", "category"),
    Column("ok", "number"),
    Column("ok", "categories"),
    Column("sure", "category"),
    Column("sure", "number"),
    Column("cost", "category"),
    Column("size", "category"),
    Column("split", "categories", delimiter=" "),
)
FRAMES = {
    "dicts": lambda: ROWS,
    "pandas": lambda: pd.DataFrame(DATA),
    "pandas object": lambda: pd.DataFrame(DATA, dtype=object),
    "pandas nullable": lambda: pd.DataFrame(DATA).convert_dtypes(),
    "pandas arrow": lambda: pa.table(DATA).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas categories": lambda: pd.DataFrame(DATA).astype(
        {name: "category" for name in ("title", "color", "price", "ok", "size", "größe")}
    ),
    "polars": lambda: pl.DataFrame(DATA),
    "polars chunks": lambda: pl.concat(
        [pl.DataFrame(ROWS[:7]), pl.DataFrame(ROWS[7:])], rechunk=False
    ),
    "pyarrow": lambda: pa.table(DATA),
    "pyarrow views": lambda: views(pa.table(DATA)),
    "pyarrow slice": lambda: pa.concat_tables([pa.table(DATA)[5:10], pa.table(DATA)])[5:],
    "other order": lambda: pd.DataFrame(DATA)[[*reversed(DATA)]],
    "more columns": lambda: pd.DataFrame({"bad": [b"x"] * N, **DATA, "worse": [{"k": 1}] * N}),
    "array": lambda: np.array([list(row.values()) for row in ROWS], dtype=object),
    "lists": lambda: [list(row.values()) for row in ROWS],
}  # fmt: skip


def views(table):
    kinds = {"string": pa.string_view(), "list<element: string>": pa.list_view(pa.string())}
    return pa.table(
        {
            field.name: pa.array(column.to_pylist(), kinds.get(str(field.type), field.type))
            for field, column in zip(table.schema, table.columns, strict=True)
        }
    )


def rows_of(X, start, stop):
    return X.iloc[start:stop] if isinstance(X, pd.DataFrame) else X[start:stop]


def check(got, role, expected):
    """Compare physical forms, and check what the forms promise."""
    if role in ("number", "date"):
        assert got.dtype == np.float64
        assert not np.isinf(got).any()
        np.testing.assert_array_equal(got, expected)
        return
    assert type(got) is (pa.LargeListArray if role == "categories" else pa.LargeStringArray)
    got.validate(full=True)
    assert got.to_pylist() == expected
    if role == "categories":
        assert got.type == LARGE_LIST
        assert got.null_count == 0
        assert all(item and item == item.strip() for items in expected for item in items)
    elif role == "text":
        assert got.null_count == 0
    else:
        assert "" not in expected


EXPECTED = {
    "title": [value or "" for value in DATA["title"]],
    "color": [value or None for value in DATA["color"]],
    "price": [1.5, 2, np.nan, 4.25, 0] * 6,
    "count": [1, 2, 3, 2.0**60, 5] * 6,
    "ok": ["true", "false", None, "true", "false"] * 6,
    "sure": ["true", "false", "true", "true", "false"] * 6,
    "when": [1577934245.678901, np.nan, -315619200] * 10,
    "day": [1577923200, np.nan, -315619200] * 10,
    "zoned": [1577934245.678901 - 7200, np.nan] * 15,
    "lasts": [1.5, np.nan, -86399.999993] * 10,
    "tags": [["a", "b"], [], [], ["c"], ["a"]] * 6,
    "cost": [4.99, np.nan, 0.1, 3, 1.15] * 6,
    "size": [19e6, 10_000, 4.99, np.nan, np.nan] * 6,
    "posted": [1577934245.123456, 1577923200, np.nan, 1515283200, np.nan] * 6,
    "split": [["a", "b"], ["b", "c"], ["c"], [], ["a", "b", "c"]] * 6,
    "größe": ["true", "false", "true", None, None] * 6,
}


@pytest.fixture(params=FRAMES.values(), ids=FRAMES, scope="module")
def frame(request):
    return request.param()


def test_every_frame_gives_the_same_arrays(frame):
    for column, got in zip(COLUMNS, read_columns(as_table(frame), COLUMNS), strict=True):
        check(got, column.role, EXPECTED[column.name])


@pytest.mark.parametrize("kind", [kind for kind in FRAMES if kind != "pandas categories"])
def test_every_frame_gives_the_same_roles(kind):
    table = as_table(FRAMES[kind]())
    ignored = {name: "ignored" for name in ("bad", "worse") if name in table.names}
    inferred = {column.name: column for column in infer_columns(table, ignored)}
    for place, column in enumerate(COLUMNS):
        name = column.name if table.named else f"x{place}"
        expected = "category" if column.name == "title" else column.role  # its values recur
        assert inferred[name] == replace(column, name=name, role=expected)


def test_a_row_alone_gives_the_same_as_among_others(frame):
    for row in range(6):
        table = as_table(rows_of(frame, row, row + 1))
        for column, got in zip(COLUMNS, read_columns(table, COLUMNS), strict=True):
            check(got, column.role, EXPECTED[column.name][row : row + 1])


def test_masked_rows_give_the_same(frame):
    mask = np.arange(N) % 3 == 1
    table = as_table(frame).take(mask)
    for column, got in zip(COLUMNS, read_columns(table, COLUMNS), strict=True):
        expected = [
            value for value, there in zip(EXPECTED[column.name], mask, strict=True) if there
        ]
        check(got, column.role, expected)


@pytest.mark.parametrize("column", OTHERS, ids=lambda column: f"{column.name} as {column.role}")
@pytest.mark.parametrize("kind", [kind for kind in FRAMES if kind not in ("array", "lists")])
def test_other_roles_are_the_same_too(column, kind):
    X = FRAMES[kind]()
    (expected,) = read_columns(as_table(ROWS), [column])
    (got,) = read_columns(as_table(X), [column])
    expected = expected.tolist() if isinstance(expected, np.ndarray) else expected.to_pylist()
    check(got, column.role, expected)
    for row in range(5):
        (got,) = read_columns(as_table(rows_of(X, row, row + 1)), [column])
        check(got, column.role, expected[row : row + 1])


def test_numbers_as_categories():
    values = [3.0, 3, np.int8(3), 0.5, -0.0, 2**60 + 1, 1e20, True, np.nan, Decimal("1.10"), None]
    expected = [
        "3",
        "3",
        "3",
        "0.5",
        "0",
        "1152921504606846977",
        "1e+20",
        "true",
        None,
        "1.1",
        None,
    ]
    table = as_table([{"x": value, "y": 1} for value in values])
    (got,) = read_columns(table, [Column("x", "category")])
    assert got.to_pylist() == expected
    floats = np.array([[3.0, 0.5, -0.0, 1e20, np.nan, 1e15, 0.1]]).T
    (got,) = read_columns(as_table(floats), [Column("x0", "category")])
    assert got.to_pylist() == ["3", "0.5", "0", "1e+20", None, "1000000000000000", "0.1"]
    for dtype in ("i1", "u8", ">i4", "f4", ">f8", "f2"):
        array = np.array([[7], [9]], dtype=dtype)[::-1]
        (got,) = read_columns(as_table(array), [Column("x0", "category")])
        assert got.to_pylist() == ["9", "7"]


def test_sets_have_one_order():
    rows = [{"x": {"b", "a", "c"}, "y": 1}, {"x": frozenset(["z", "y"]), "y": 1}]
    (got,) = read_columns(as_table(rows), [Column("x", "categories")])
    assert got.to_pylist() == [["a", "b", "c"], ["y", "z"]]


def test_lists_of_other_things():
    rows = [{"x": [1, 2.5, True, None], "y": 1}, {"x": np.array(["a", "b"]), "y": 1}]
    (got,) = read_columns(as_table(rows), [Column("x", "categories")])
    assert got.to_pylist() == [["1", "2.5", "true"], ["a", "b"]]
    for array in (
        pa.array([[1, None], None, [3]]),
        pa.array([[1, None], None, [3]], pa.large_list(pa.float32())),
        pa.array([["1", None], None, ["3"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    ):
        (got,) = read_columns(as_table(pa.table({"x": array})), [Column("x", "categories")])
        assert got.to_pylist() == [["1"], [], ["3"]]
    fixed = pa.array([["a", "b"], None], pa.list_(pa.string(), 2))
    (got,) = read_columns(as_table(pa.table({"x": fixed})), [Column("x", "categories")])
    assert got.to_pylist() == [["a", "b"], []]
    empty = pa.array([[], None], pa.list_(pa.null()))
    (got,) = read_columns(as_table(pa.table({"x": empty})), [Column("x", "categories")])
    assert got.to_pylist() == [[], []]
    with pytest.raises(TypeError, match=r"column 'x' \(row 1\) holds lists"):
        rows = [{"x": ["a"], "y": 1}, {"x": [["a"]], "y": 1}]
        read_columns(as_table(rows), [Column("x", "categories")])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_units_of_time_are_the_same(unit):
    seconds = 1_577_934_245 if unit == "s" else 1_577_934_245.678
    stamps = np.array(["2020-01-02T03:04:05.678", "NaT"]).astype(f"M8[{unit}]")
    for X in (
        stamps[:, np.newaxis],
        pd.DataFrame({"x0": stamps}),
        pl.DataFrame({"x0": stamps.astype("M8[ms]") if unit == "s" else stamps}),
        pa.table({"x0": pa.array(stamps)}),
        [{"x0": stamp} for stamp in stamps],
        pa.table({"x0": pa.array(stamps, pa.timestamp(unit, "Asia/Tokyo"))}),
    ):
        (got,) = read_columns(as_table(X), [Column("x0", "date")])
        check(got, "date", [seconds, np.nan])
        (got,) = read_columns(as_table(rows_of(X, 0, 1)), [Column("x0", "date")])
        check(got, "date", [seconds])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (np.datetime64("2020-01-02", "D"), 1577923200),
        (np.datetime64("2020-01", "M"), 1577836800),
        (np.datetime64(10, "ps"), 0),
        (pd.Timestamp("2020-01-02T00:00:00.000000001"), 1577923200 + 1e-9),
        (date(2020, 1, 2), 1577923200),
        (datetime(2020, 1, 2, tzinfo=UTC), 1577923200),
    ],
    ids=str,
)
def test_dates_of_many_types(value, seconds):
    for rows in ([{"x": value}], [{"x": value}, {"x": None}]):
        (got,) = read_columns(as_table(rows), [Column("x", "date")])
        assert got[0] == seconds


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (np.timedelta64(1500, "ms"), 1.5),
        (np.timedelta64("NaT"), math.nan),
        (pd.Timedelta("1.000000001s"), 1.000000001),
        (time(1, 0, 0, 500000), 3600.5),
        (Fraction(1, 4), 0.25),
        (Decimal("NaN"), math.nan),
        (np.float32(0.5), 0.5),
        (np.bool_(True), 1),
        (10**30, 1e30),
        ("$5", 5),
    ],
    ids=repr,
)
def test_numbers_of_many_types(value, number):
    for rows in ([{"x": value}], [{"x": value}, {"x": None}]):
        (got,) = read_columns(as_table(rows), [Column("x", "number")])
        np.testing.assert_array_equal(got[0], number)


def test_float_columns_are_not_copied():
    X = np.ones((4, 3))
    for got in read_columns(as_table(X), [Column(f"x{i}", "number") for i in range(3)]):
        assert np.shares_memory(got, X)
    array = pa.array([1.5, 2.5])
    (got,) = read_columns(as_table(pa.table({"a": array})), [Column("a", "number")])
    assert got.ctypes.data == array.buffers()[1].address
    text = pa.array(["a", "b"], pa.large_string())
    (got,) = read_columns(as_table(pa.table({"a": text})), [Column("a", "category")])
    assert got.buffers()[2].address == text.buffers()[2].address


# --------------------------------------------------------------------------------- names and shapes
def test_a_missing_column():
    table = as_table(pd.DataFrame(DATA).drop(columns=["price", "size"]))
    with pytest.raises(ValueError, match=r"column 'price' is missing from X.*'title'.*optional"):
        read_columns(table, COLUMNS)
    with pytest.raises(ValueError, match="column 'price' is missing"):
        read_columns(as_table([{"size": "1M"}]), COLUMNS[2:3])


def test_an_optional_column():
    columns = [Column(f"a {role}", role, optional=True) for role in ROLES]
    expected = [[""], [None], [[]], [np.nan], [np.nan], [None]]
    for n in (1, 2):
        got = read_columns(as_table([{"b": 1}] * n), columns)
        for column, array, value in zip(columns, got, expected, strict=False):
            check(array, column.role, value * n)


def test_ignored_columns_may_be_missing():
    columns = [Column("id", "ignored"), Column("a", "number")]
    (got,) = read_columns(as_table([{"a": 1}]), columns)
    assert got == [1]
    assert read_columns(as_table([{"b": 1}, {"b": 2}]), columns[:1]) == []


@pytest.mark.parametrize(
    "X",
    [
        ["a b"],
        [{"other": "a b"}],
        pd.DataFrame({"other": ["a b", None]}),
        pl.Series("other", ["a b"]),
        [["a b"]],
    ],
    ids=repr,
)
def test_lone_text_is_taken_whatever_its_name(X):
    for columns in ([Column("text", "text")], [Column("id", "ignored"), Column("text", "text")]):
        (got,) = read_columns(as_table(X), columns)
        assert got[0].as_py() == "a b"


def test_lone_numbers_are_not_taken_for_text():
    for n in (1, 3):
        with pytest.raises(ValueError, match="column 'text' is missing"):
            read_columns(as_table(pd.DataFrame({"other": [1.5] * n})), [Column("text", "text")])
        with pytest.raises(ValueError, match="column 'price' is missing"):
            read_columns(as_table(pd.DataFrame({"other": ["1"] * n})), [Column("price", "number")])


def test_arrays_go_by_position():
    columns = infer_columns(as_table(pd.DataFrame({"a": [1.5, 2], "b": ["x", "y"]})))
    a, b = read_columns(as_table([[3, "z"]]), columns)
    assert (a[0], b[0].as_py()) == (3, "z")
    with pytest.raises(
        ValueError, match=r"X has 3 features, but \w+ is expecting 2 features as input.*'a', 'b'"
    ):
        read_columns(as_table(np.ones((2, 3))), columns)
    with pytest.raises(ValueError, match=r"X has 1 features, but \w+ is expecting 4 features as i"):
        columns = infer_columns(as_table(np.random.RandomState(0).normal(size=(9, 4))))
        read_columns(as_table(np.ones((2, 1))), columns)


# --------------------------------------------------------------------------------------- bad values
@pytest.mark.parametrize("value", [math.inf, -math.inf, 10**400, "1e999", Decimal("Infinity")])
@pytest.mark.parametrize("rows", [1, 3])
def test_infinity(value, rows):
    X = [{"größe": 1.5, "y": 1}] * (rows - 1) + [{"größe": value, "y": 1}]
    with pytest.raises(ValueError, match=r"column 'größe'.* infinity"):
        read_columns(as_table(X), [Column("größe", "number")])
    if not isinstance(value, (str, int)):
        with pytest.raises(ValueError, match=r"column 'größe'.* infinity"):
            read_columns(as_table(X), [Column("größe", "category")])


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1, 2], [3, np.inf]]),
        pd.DataFrame({"x0": [1, 2], "x1": [1, np.inf]}),
        pl.DataFrame({"x0": [1, 2], "x1": [1.5, -np.inf]}),
        pa.table({"x0": [1, 2], "x1": pa.array([None, np.inf])}),
        pd.DataFrame({"x0": [1, 2], "x1": pd.array([None, np.inf], dtype="Float64")}),
    ],
    ids=lambda X: type(X).__name__,
)
def test_infinity_in_every_frame(X):
    columns = [Column("x0", "number"), Column("x1", "number")]
    with pytest.raises(ValueError, match=r"column 'x1' \(row 1\) holds -?inf, which is infinity"):
        read_columns(as_table(X), columns)


def test_words_in_a_column_of_numbers():
    numbers, free = Column("x", "number"), Column("x", "number", spelling="free")
    for X in ([{"x": "old"}], [{"x": "1"}, {"x": "old"}], pa.table({"x": ["1", "old"]})):
        with pytest.raises(ValueError, match=r"column 'x'.* 'old', which is no number"):
            read_columns(as_table(X), [numbers])
        (got,) = read_columns(as_table(X), [free])
        assert np.isnan(got[-1])
    for X in ([{"x": "n/a"}], pd.DataFrame({"x": ["?", "", "-", "NA", "null", None]})):
        (got,) = read_columns(as_table(X), [numbers])
        assert np.isnan(got).all()
    with pytest.raises(ValueError, match="'Bob', which is no number"):
        read_columns(as_table(pa.table({"x": ["Bob", "Eve"] * 10})), [free])
    (got,) = read_columns(as_table(pa.table({"x": ["Bob", "Eve"] * 10 + ["3"]})), [free])
    assert got[-1] == 3


WRONG = [
    ("text", 1.5), ("text", True), ("text", date(2026, 1, 1)), ("text", ["a"]),
    ("category", date(2026, 1, 1)), ("category", ["a"]), ("category", timedelta(1)),
    ("categories", date(2026, 1, 1)), ("number", date(2026, 1, 1)), ("number", ["a"]),
    ("date", 1.5), ("date", True), ("flag", date(2026, 1, 1)), ("flag", ["a"]),
]  # fmt: skip


@pytest.mark.parametrize(("role", "value"), WRONG)
def test_columns_of_another_kind(role, value):
    data = {"größe": [None, value], "y": [1, 2]}
    for X in (
        pd.DataFrame(data),
        pd.DataFrame(data)[1:],
        pl.DataFrame(data),
        pl.DataFrame(data)[1:],
        pa.table(data),
        [{"größe": value}],
    ):
        with pytest.raises(TypeError, match=rf"column 'größe'.*'{role}' cannot hold"):
            read_columns(as_table(X), [Column("größe", role)])
    with pytest.raises(TypeError, match="column 'größe'"):
        read_columns(as_table([{"größe": "1.5"}, {"größe": value}]), [Column("größe", role)])


def test_unseen_values_and_spellings():
    columns = [Column("flag", "flag"), Column("category", "category")]
    rows = [{"flag": value, "category": value} for value in ("True", "1", "perhaps", " NO ", "ÿ")]
    flags, categories = read_columns(as_table(rows), columns)
    assert flags.to_pylist() == ["true", "true", "perhaps", "false", "ÿ"]
    assert categories.to_pylist() == ["True", "1", "perhaps", " NO ", "ÿ"]
    assert [read_row(row, columns)[0] for row in rows] == flags.to_pylist()


def test_surrogates():
    rows = [{"x": "a\ud800"}, {"x": "b"}]
    for role in ("text", "category", "categories", "flag"):
        column = Column("x", role)
        (got,) = read_columns(as_table(rows), [column])
        assert got[0].as_py() in ("a\ufffd", ["a\ufffd"])
        assert read_row(rows[0], [column]) == [got[0].as_py()]


def test_columns_survive_json():
    for column in COLUMNS:
        assert Column(**asdict(column)) == column


def test_public_names():
    for name in udt.columns.__all__:
        assert getattr(udt.columns, name) is not None


# -------------------------------------------------------------------------------------- properties
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["1", "19M", "yes", "No", "2026-01-02", "1/2/2026", "a,b", "", " ", "n/a"]),
    st.decimals(),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.times(),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers()), max_size=3),
    st.binary(max_size=2),
    st.complex_numbers(),
    st.dictionaries(st.text(max_size=1), st.none(), max_size=1),
    st.just(np.datetime64("NaT")),
    st.just(pd.NA),
    st.just(pd.NaT),
)
NAMES = st.text(min_size=1, max_size=5)


def read_or_refuse(call, *names):
    """Give the answer, or None for an error that names a column."""
    try:
        return call()
    except (ValueError, TypeError) as error:
        assert any(repr(name) in str(error) for name in names), error
        return None


@settings(max_examples=300, deadline=None)
@given(NAMES, st.lists(SCALARS, min_size=1, max_size=6), st.sampled_from(ROLES[:-1]), st.data())
def test_any_values_give_an_answer_or_an_error_that_names_the_column(name, values, role, data):
    other = name + "'"
    rows = [{name: value, other: i} for i, value in enumerate(values)]
    columns = read_or_refuse(lambda: infer_columns(as_table(rows)), name)
    told = read_or_refuse(lambda: infer_columns(as_table(rows), {name: role}), name)
    spelling = data.draw(st.sampled_from(["", "free", "day first"]))
    column = Column(
        name, role, delimiter=data.draw(st.sampled_from(["", ",", " "])), spelling=spelling
    )
    for wanted in (columns, told, (column,)):
        if wanted is None:
            continue
        many = read_or_refuse(lambda wanted=wanted: read_columns(as_table(rows), wanted), name)
        if many is None:
            continue
        # Rows that can be read together are read alike one by one, and in an array of objects
        for row, one in enumerate(rows):
            single = read_row(one, wanted)
            wrapped = read_columns(as_table([one]), wanted)
            kept = [column for column in wanted if column.role != "ignored"]
            for column, array, cell, wrap in zip(kept, many, single, wrapped, strict=True):
                expected = array[row] if column.role in ("number", "date") else array[row].as_py()
                np.testing.assert_equal(cell, expected)
                check(wrap, column.role, [expected])


KINDS = {
    "text": (st.text(st.characters(exclude_categories=["Cs"]), max_size=8), pa.string()),
    "small": (st.integers(-5, 5), pa.int64()),
    "integers": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "floats": (st.floats(allow_infinity=False), pa.float64()),
    "single": (st.floats(width=32, allow_infinity=False), pa.float32()),
    "flags": (st.booleans(), pa.bool_()),
    "times": (st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), pa.timestamp("us")),
    "dates": (st.dates(date(1700, 1, 1), date(2200, 1, 1)), pa.date32()),
    "spans": (st.timedeltas(timedelta(-99999), timedelta(99999)), pa.duration("us")),
    "lists": (st.lists(st.text("ab ,", max_size=3), max_size=3), pa.list_(pa.string())),
    "written": (st.one_of(st.integers().map(str), st.dates().map(str)), pa.string()),
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(KINDS)), st.sampled_from(ROLES[:-1]), st.integers(1, 6), st.data())
def test_any_column_is_read_alike_in_every_library(kind, role, n, data):
    strategy, dtype = KINDS[kind]
    values = data.draw(st.lists(st.one_of(st.none(), strategy), min_size=n, max_size=n))
    column = Column("größe", role, delimiter=",")
    arrow = pa.table({"größe": pa.array(values, dtype), "y": pa.array([1] * n)})
    exact = arrow["größe"].to_pylist()
    frames = {
        "dicts": [{"größe": value, "y": 1} for value in exact],
        "pyarrow": arrow,
        "polars": pl.from_arrow(arrow),
        "pandas arrow": arrow.to_pandas(types_mapper=pd.ArrowDtype),
        "pandas object": pd.DataFrame({"größe": pd.Series(exact, dtype=object), "y": 1}),
    }
    if kind != "integers" or None not in values:  # pandas would make floats of them
        frames["pandas"] = arrow.to_pandas()
    answers = {}
    for library, X in frames.items():
        got = read_or_refuse(lambda X=X: read_columns(as_table(X), [column]), "größe")
        answers[library] = None if got is None else got[0]
    first = answers.pop("dicts")
    for library, got in answers.items():
        assert (got is None) == (first is None), library
        if got is not None:
            check(got, role, first.tolist() if role in ("number", "date") else first.to_pylist())


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pd", "pl", "pa"])
def test_ten_thousand_columns(make):
    data = {f"c{i}": [1.5, None] if i % 2 else ["a", None] for i in range(10_000)}
    table = as_table(make(data))
    columns = infer_columns(table)
    assert len(read_columns(table, columns)) == 10_000
