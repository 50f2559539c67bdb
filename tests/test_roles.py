import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from udt.columns import ROLES, Column, as_table, infer_columns

RANDOM = np.random.RandomState(0)
N = 60
WORDS = [
    "red", "green", "blue", "long", "short", "summer", "winter", "dress", "shirt", "shoe", "hat",
    "coat", "wool", "silk",
]  # fmt: skip


def pick(values, n=N, seed=0):
    return [values[i] for i in np.random.RandomState(seed).randint(len(values), size=n)]


def sentence(i):
    random = np.random.RandomState(i)
    return f"This {' '.join(pick(WORDS, 4, i))}, which I bought, fits {random.randint(9)} of us."


def infer(values, **columns):
    """Infer the column "x", which is not the only one."""
    rows = [{"x": value, "y": i % 7} for i, value in enumerate(values)]
    return infer_columns(as_table(rows), columns or None)[0]


def sometimes(values, missing=None):
    return [missing if i % 5 == 0 else value for i, value in enumerate(values)]


EXPECTED = {
    "sentences": ([sentence(i) for i in range(N)], "text"),
    "titles": ([" ".join(pick(WORDS, 3, i)) for i in range(N)], "text"),
    "names of one word": ([f"{a}{b}" for a in "abcdefgh" for b in WORDS[:8]], "text"),
    "chinese": (pick(["我爱这个产品非常好用", "质量很差不推荐购买", "物流太慢了"], N), "category"),
    "chinese sentences": ([f"我爱这{'好' * (i % 9)}产品质量{i}差不推荐" for i in range(N)], "text"),
    "words": (pick(WORDS), "category"),
    "words, few rows": (["red", "green", "blue"], "category"),
    "words or missing": (sometimes(pick(WORDS)), "category"),
    "one word or missing": (sometimes(["red"] * N), "category"),
    "one word or empty": (sometimes(["red"] * N, ""), "category"),
    "several words that recur": (pick(["light red", "dark red", "sky blue and so on"]), "category"),
    "tail numbers": (pick([f"N{i}JB" for i in range(100, 140)]), "category"),
    "versions": (pick(["4.0.3", "2.3.3", "4.1.12", "5.0.0"]), "category"),
    "version and up": (pick(["4.0.3 and up", "4.1 and up", "Varies with device"]), "category"),
    "question marks": (pick(["Private", "Local", "?"]), "category"),
    "postal codes": (pick(["00501", "10001", "90210"]), "category"),
    "phones": (pick(["1-800-555-1234", "1-800-555-9999"]), "category"),
    "floats": (RANDOM.normal(size=N).tolist(), "number"),
    "counts": (pick([0, 1, 2, 50]), "number"),
    "unique floats in steps": (np.arange(N, dtype=float).tolist(), "number"),
    "unique integers with gaps": ([i * 7 for i in range(N)], "number"),
    "numbered, few rows": (list(range(19)), "number"),
    "decimals": ([Decimal(i % 7) / 4 for i in range(N)], "number"),
    "durations": ([timedelta(seconds=i % 9) for i in range(N)], "number"),
    "huge integers": ([10**30 + i % 3 for i in range(N)], "number"),
    "strings of numbers": (pick(["12", "7.5", "1e5", "-3"]), "number"),
    "sizes": (sometimes(pick(["19M", "8.7M", "201k"]), "Varies with device"), "number"),
    "installs": (pick(["1,000+", "5,000,000+", "0"]), "number"),
    "prices": (pick(["$4.99", "0", "$1.50"]), "number"),
    "numbers and NA": (pick(["1", "2.5", "n/a", "-", "NULL"]), "number"),
    "numbers of several types": (pick([1, 2.5, "3", None]), "number"),
    "zeros and ones": (pick([0, 1]), "number"),
    "bools": (pick([True, False]), "flag"),
    "bools or missing": (pick([True, False, None]), "flag"),
    "one bool or missing": (sometimes([True] * N), "flag"),
    "yes and no": (pick(["yes", "No", ""]), "flag"),
    "t and f": (pick(["t", "f"]), "flag"),
    "yes and y": (pick(["yes", "y"]), "category"),
    "yes, no and more": (pick(["yes", "no", "perhaps"]), "category"),
    "dates": ([date(2026, 1, 1 + i % 28) for i in range(N)], "date"),
    "times": ([datetime(2026, 1, 1, i % 24) for i in range(N)], "date"),
    "ISO dates": ([f"2026-01-{1 + i % 28:02}" for i in range(N)], "date"),
    "ISO times": ([f"2026-01-01T{i % 24:02}:30:00Z" for i in range(N)], "date"),
    "dates in words": ([f"January {1 + i % 28}, 2018" for i in range(N)], "date"),
    "dates and a few words": (sometimes([f"{1 + i} Jan 2018" for i in range(28)], "n/a"), "date"),
    "lists": ([pick(WORDS, i % 4, i) for i in range(N)], "categories"),
    "tuples": ([tuple(pick(WORDS, 2, i)) for i in range(N)], "categories"),
    "sets": ([set(pick(WORDS, 2, i)) for i in range(N)], "categories"),
    "comma lists": ([", ".join(pick(WORDS, 3, i)) for i in range(N)], "categories"),
    "bar lists": (["|".join(pick(WORDS, 1 + i % 3, i)) for i in range(N)], "categories"),
    "a few lists": (["a,b", "b,c", "a,c", "a,b,c"], "categories"),
    "combinations that recur": (pick(["Finance, insurance", "Trade, retail"]), "category"),
    "people": ([f"{a.title()}son, Mr. {b} {i}" for i, (a, b) in enumerate(
        (a, b) for a in WORDS for b in WORDS[:4])], "text"),
    "constant": (["red"] * N, "ignored"),
    "constant number": ([7] * N, "ignored"),
    "constant bool": ([True] * N, "ignored"),
    "constant date": ([date(2026, 1, 1)] * N, "ignored"),
    "constant list": ([["a"]] * N, "ignored"),
    "all missing": ([None] * N, "ignored"),
    "all empty": ([""] * N, "ignored"),
    "all NaN": ([float("nan")] * N, "ignored"),
    "row numbers": (list(range(N)), "ignored"),
    "row numbers backwards": (list(range(N, 0, -1)), "ignored"),
    "row numbers shuffled": (RANDOM.permutation(N).tolist(), "ignored"),
    "row numbers of a part": (np.sort(RANDOM.permutation(2 * N)[:N]).tolist(), "ignored"),
    "row numbers as strings": (list(map(str, range(1000, 1000 + N))), "ignored"),
    "uuids": ([str(uuid.UUID(int=i * 2**100 + i)) for i in range(N)], "ignored"),
    "hashes": ([f"{i * 7919:032x}" for i in range(N)], "ignored"),
    "numbered ids": ([f"user_{i:04}" for i in range(N)], "ignored"),
    "ids that recur": ([f"user_{i // 2:04}" for i in range(N)], "category"),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPECTED)
def test_roles(kind):
    values, role = EXPECTED[kind]
    assert infer(values).role == role


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("library", ["pandas", "pandas nullable", "polars", "pyarrow", "numpy"])
def test_roles_are_the_same_in_every_library(kind, library):
    values, role = EXPECTED[kind]
    if kind in ("sets", "numbers of several types", "huge integers") and library != "numpy":
        pytest.skip("not in this library")
    columns = {"x": values, "y": pick([0, 1, 2], len(values))}
    if library == "numpy":
        X = np.empty((len(values), 2), dtype=object)
        X[:, 0], X[:, 1] = values, columns["y"]
    elif library == "polars":
        X = pl.DataFrame(columns, strict=False)
    elif library == "pyarrow":
        X = pa.table(columns)
    else:
        X = pd.DataFrame(columns)
        X = X.convert_dtypes() if library == "pandas nullable" else X
    inferred = infer_columns(as_table(X))[0]
    if library == "pandas nullable" and kind == "unique floats in steps":
        assert inferred.role == "ignored"  # pandas has made them integers
    else:
        assert inferred.role == role


def test_dtypes_of_categories():
    numbers = [str(i % 3) for i in range(N)]
    for X in (
        pd.DataFrame({"x": pd.Categorical(numbers), "y": 1}),
        pl.DataFrame({"x": pl.Series(numbers, dtype=pl.Enum(["0", "1", "2"])), "y": 1}),
        pa.table({"x": pa.array(numbers).dictionary_encode(), "y": range(N)}),
        pd.DataFrame({"x": pd.Categorical([i % 3 for i in range(N)]), "y": 1}),
    ):
        assert infer_columns(as_table(X))[0] == Column("x", "category")


def test_how_strings_are_written_is_kept():
    assert infer(pick(["1", "2"])) == Column("x", "number", spelling="free")
    assert infer(pick([1, 2])) == Column("x", "number")
    assert infer(pick(["13/01/2018", "01/02/2018"])) == Column("x", "date", spelling="day first")
    assert infer(pick(["01/13/2018", "01/02/2018"])) == Column("x", "date")
    assert infer(pick(["a;b", "b;c", "c;a"])) == Column("x", "categories", delimiter=";")
    assert infer(EXPECTED["lists"][0]) == Column("x", "categories")


def test_lone_text_is_text_whatever_its_values():
    for values in (["red", "blue"] * 20, ["1", "2"] * 20, ["yes", "no"], ["a,b", "b,c"], ["x"] * 9):
        for X in (values, pd.Series(values), pd.DataFrame({"x": values}), [[v] for v in values]):
            assert [column.role for column in infer_columns(as_table(X))] == ["text"]
    assert infer_columns(as_table([None, None]))[0].role == "text"
    wanted = infer_columns(as_table(pd.DataFrame({"x": ["a", "b"]})), {"x": "category"})
    assert wanted[0].role == "category"


def test_something_is_always_kept():
    table = as_table(pd.DataFrame({"a": [1] * 30, "b": range(30), "c": ["x"] * 30}))
    assert [column.role for column in infer_columns(table)] == ["number", "number", "category"]
    table = as_table(np.zeros((30, 2)))
    assert [column.role for column in infer_columns(table)] == ["number", "number"]
    table = as_table(pd.DataFrame({"a": [None] * 3, "b": [True] * 3}))
    assert [column.role for column in infer_columns(table)] == ["category", "flag"]
    table = as_table([{"a": f"user{i:03}", "b": None} for i in range(30)])
    assert [column.role for column in infer_columns(table)] == ["text", "category"]
    both = infer_columns(as_table(np.zeros((3, 2))), {"x0": "ignored", "x1": "ignored"})
    assert [column.role for column in both] == ["ignored", "ignored"]


def test_many_rows_are_sampled_but_rare_values_count():
    n = 100_000
    rare = np.zeros(n)
    rare[77] = 1
    late = np.full(n, None, dtype=object)
    late[-300:] = pick(["red", "green"], 300)
    words = np.full(n, "same", dtype=object)
    words[-1] = "other"
    table = pa.table(
        {
            "rare": rare,
            "late": pa.array(late, pa.string()),
            "word": pa.array(words, pa.string()),
            "row": range(n),
            "row and one twice": [0, *range(n - 1)],
            "text": [" ".join(pick(WORDS, 5, i)) for i in range(n // 1000)] * 1000,
        }
    )
    roles = [column.role for column in infer_columns(as_table(table))]
    assert roles == ["number", "category", "category", "ignored", "number", "category"]
    assert infer_columns(as_table(table)) == infer_columns(as_table(table))


class TestColumns:
    """The user's own roles."""

    FRAME = pd.DataFrame({"title": ["a b", "c d"] * 3, "n": [1, 2] * 3, 7: ["x;y", "z"] * 3})

    def roles(self, columns):
        return infer_columns(as_table(self.FRAME), columns)

    def test_roles(self):
        title, n, seven = self.roles({"title": "text", "n": "category", 7: "categories"})
        assert title == Column("title", "text")
        assert n == Column("n", "category")
        assert seven == Column("7", "categories", delimiter=";")

    def test_optional(self):
        title, n, seven = self.roles({"title": "text?", "n": "?", "7": "ignored?"})
        assert title == Column("title", "text", optional=True)
        assert n == Column("n", "number", optional=True)
        assert seven == Column("7", "ignored", optional=True)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"titel": "text"}, "'titel', which is no column of X. Did you mean 'title'?"),
            ({"zzz": "text"}, "X has 'title', 'n', '7'"),
            ({"title": "string"}, "'title' the role 'string': take one of text, category"),
            ({"title": ""}, "the role ''"),
            ({"title": None}, "the role None"),
            ({"title": ["text"]}, r"the role \['text'\]"),
        ],
    )
    def test_wrong_names_and_roles(self, columns, message):
        with pytest.raises(ValueError, match=message):
            self.roles(columns)

    def test_something_else_than_a_mapping(self):
        with pytest.raises(TypeError, match="columns is of type list: pass a dict"):
            self.roles(["text"])

    def test_strings_that_are_no_numbers_or_dates(self):
        with pytest.raises(
            ValueError, match=r"'title' has the role 'number', .*'a b'.* no numbers"
        ):
            self.roles({"title": "number"})
        with pytest.raises(ValueError, match="'title' has the role 'date'"):
            self.roles({"title": "date"})

    def test_delimiters(self):
        def delimiter(*values):
            return infer(values, x="categories").delimiter

        assert delimiter("a|b", "c") == "|"
        assert delimiter("a, b", "c;d", "e, f") == ","
        assert delimiter("a\tb", "c") == "\t"
        assert delimiter("a b", "c") == " "
        assert delimiter("a", "c") == ""
        assert delimiter("", None) == ""

    def test_ignored_columns_are_not_looked_at(self):
        table = as_table([{"x": {"nested": 1}, "y": 1}, {"x": b"z", "y": 2}])
        with pytest.raises(TypeError, match="column 'x'"):
            infer_columns(table)
        assert infer_columns(table, {"x": "ignored"})[0].role == "ignored"


VALUES = {
    "string": "1", "number": 1, "flag": True, "date": date(2026, 1, 1),
    "duration": timedelta(1), "list": ["1"],
}  # fmt: skip
CANNOT = {
    ("text", "number"), ("text", "flag"), ("text", "date"), ("text", "duration"), ("text", "list"),
    ("category", "date"), ("category", "duration"), ("category", "list"),
    ("categories", "date"), ("categories", "duration"),
    ("number", "date"), ("number", "list"),
    ("date", "number"), ("date", "flag"), ("date", "duration"), ("date", "list"),
    ("flag", "date"), ("flag", "duration"), ("flag", "list"),
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", VALUES)
def test_every_role_on_every_kind(role, kind):
    values = [VALUES[kind], None]
    if (role, kind) in CANNOT:
        with pytest.raises(TypeError, match=f"column 'x' holds {kind}s.*{role}.*cannot hold"):
            infer(values, x=role)
    elif (role, kind) == ("date", "string"):
        with pytest.raises(ValueError, match="column 'x' has the role 'date'"):
            infer(values, x=role)
    else:
        assert infer(values, x=role).role == role
    assert infer([None, float("nan")], x=role).role == role


def test_nan_in_a_column_of_another_kind():
    frame = pd.DataFrame({"x": [np.nan, np.nan], "y": [1, 2]})
    assert infer_columns(as_table(frame), {"x": "text"})[0].role == "text"
    assert infer_columns(as_table(frame), {"x": "date"})[0].role == "date"


def test_ten_thousand_columns():
    X = np.random.RandomState(0).normal(size=(5, 10_000))
    assert len(infer_columns(as_table(X))) == 10_000
    rows = [dict(enumerate(row)) for row in X.tolist()]
    assert {column.role for column in infer_columns(as_table(rows))} == {"number"}
