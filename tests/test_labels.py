"""Any number of labels a row: every way to write them, read and given back."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from udt.labels import LabelFormat, LabelSets, label_kind, read_label_sets

MASK = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=bool)
ROWS = [["a", "c"], [], ["b"], ["a", "b", "c"]]
INDICATORS = {
    **{
        dtype: (lambda dtype=dtype: MASK.astype(dtype), dtype)
        for dtype in ("bool", "int8", "uint8", "int32", "int64", "float32", "float64")
    },
    "object": (lambda: MASK.astype(int).astype(object), "int64"),
    "bool objects": (lambda: MASK.astype(object), "int64"),
    "fortran": (lambda: np.asfortranarray(MASK.astype(int)), "int64"),
    "masked": (lambda: np.ma.MaskedArray(MASK.astype(int)), "int64"),
    "lists": (lambda: MASK.astype(int).tolist(), "int64"),
    "tuples of truth values": (lambda: list(map(tuple, MASK.tolist())), "bool"),
    "pandas": (lambda: pd.DataFrame(MASK.astype(int), columns=list("xyz")), "int64"),
    "pandas mixed": (lambda: pd.DataFrame(MASK).astype({0: int, 1: float}), "int64"),
    "pandas boolean": (lambda: pd.DataFrame(MASK, dtype="boolean"), "int64"),
    "polars": (lambda: pl.DataFrame(MASK.astype(np.int8), schema=list("xyz")), "int8"),
    "arrow": (lambda: pa.table({c: MASK[:, i].astype(int) for i, c in enumerate("xyz")}), "int64"),
}  # fmt: skip
SPARSE = {
    **{
        f"{kind.__name__} {dtype}": (lambda kind=kind, dtype=dtype: kind(MASK.astype(dtype)), dtype)
        for kind in (sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_matrix, sp.lil_array)
        for dtype in ("int64", "float32", "bool")
    },
    "zeros stored": (
        lambda: sp.csr_matrix(
            (MASK.ravel().astype(int), np.tile([0, 1, 2], 4), [0, 3, 6, 9, 12]), shape=(4, 3)
        ),
        "int64",
    ),
    "unsorted": (
        lambda: sp.csr_matrix(([1] * 6, [2, 0, 1, 2, 1, 0], [0, 2, 2, 3, 6]), shape=(4, 3)),
        "int64",
    ),
}


def objects(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


LISTS = {
    "lists": list,
    "tuple of tuples": lambda rows: tuple(map(tuple, rows)),
    "sets": lambda rows: [set(row) for row in rows],
    "frozensets": lambda rows: [frozenset(row) for row in rows],
    "mixed": lambda rows: [tuple(rows[0]), set(rows[1]), *rows[2:]],
    "arrays": lambda rows: [np.array(row, dtype="U1") for row in rows],
    "repeated": lambda rows: [row + row[::-1] for row in rows],
    "objects": objects,
    "pandas": lambda rows: pd.Series(rows, index=[5, 5, 1, 0]),
    "pandas with arrow": lambda rows: pd.Series(rows, dtype=pd.ArrowDtype(pa.list_(pa.string()))),
    "polars": pl.Series,
    "arrow": pa.array,
    "arrow large": lambda rows: pa.array(rows, pa.large_list(pa.large_string())),
    "arrow chunks": lambda rows: pa.chunked_array([rows[:2], rows[2:]]),
}


def read(y, n_rows=4, **arguments):
    return read_label_sets(y, n_rows, label_kind(y), **arguments)


def as_mask(labels):
    assert labels.indptr.dtype == np.int64
    assert labels.indices.dtype == np.int32
    mask = np.zeros((len(labels), labels.n_labels), dtype=bool)
    for i in range(len(labels)):
        row = labels.indices[labels.indptr[i] : labels.indptr[i + 1]]
        assert (np.diff(row) > 0).all()
        mask[i, row] = True
    return mask


@pytest.mark.parametrize("kind", INDICATORS)
def test_dense_indicators(kind):
    make, dtype = INDICATORS[kind]
    assert label_kind(make()) == "indicator"
    labels, classes, written = read(make())
    np.testing.assert_array_equal(as_mask(labels), MASK)
    assert classes.tolist() == [0, 1, 2]
    assert written == LabelFormat("indicator", dtype)
    back = written.write(labels, classes)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, MASK)


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_indicators(kind):
    make, dtype = SPARSE[kind]
    y = make()
    before = y.copy()
    assert label_kind(y) == "sparse indicator"
    labels, classes, written = read(y)
    np.testing.assert_array_equal(as_mask(labels), MASK)
    assert classes.tolist() == [0, 1, 2]
    back = written.write(labels, classes)
    assert sp.issparse(back)
    assert back.format == "csr"
    assert back.dtype == dtype
    np.testing.assert_array_equal(back.toarray(), MASK)
    np.testing.assert_array_equal(y.toarray(), before.toarray())  # the caller's stays as it was
    assert y.nnz == before.nnz


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_labels(kind):
    y = LISTS[kind](ROWS)
    assert label_kind(y) == "lists"
    labels, classes, written = read(y)
    np.testing.assert_array_equal(as_mask(labels), MASK)
    assert classes.tolist() == ["a", "b", "c"]
    assert classes.dtype.kind == "U"
    assert written.write(labels, classes) == ROWS


@pytest.mark.parametrize(
    "rows",
    [
        [[3, 1], [1], [], [2, 3]],
        [np.array([3, 1]), np.array([1]), np.array([], dtype=int), np.array([2, 3])],
        pa.array([[3, 1], [1], [], [2, 3]]),
        pl.Series([[3, 1], [1], [], [2, 3]]),
        [[3, 1], [1, 1], [2, 2], [2, 3]],  # of one length, but not all 0 or 1
    ],
)
def test_lists_of_numbers(rows):
    labels, classes, written = read(rows)
    assert classes.tolist() == [1, 2, 3]
    assert classes.dtype == np.int64
    back = written.write(labels, classes)
    assert back[0] == [1, 3]
    assert all(type(label) is int for label in back[0])


@pytest.mark.parametrize(
    "y",
    [
        ["a", "b"],
        [1, 0],
        np.array([0, 1]),
        np.array([[0], [1]]),
        np.array(["a", "b"], dtype=object),
        pd.Series(["a", "b"]),
        pd.Series(["a", "b"], dtype="category"),
        pd.DataFrame({"y": [1, 0]}),
        pl.Series(["a", "b"]),
        pa.array(["a", "b"]),
        pa.chunked_array([["a"], ["b"]]),
        pd.Categorical(["a", "b"]),
        "ab",
        3,
        [],
    ],
    ids=str,
)
def test_one_label_a_row(y):
    assert label_kind(y) == "multiclass"


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([[0, 1], [1, 0]], "indicator"),
        ([(0.0, 1.0), (1.0, 0.0)], "indicator"),
        ([[0, 1], [1]], "lists"),
        ([[0, 1], [1, 2]], "lists"),
        ([[0], [1]], "lists"),
        ([["0", "1"], ["1", "0"]], "lists"),
        ([{0, 1}, {1, 0}], "lists"),
        ([[], []], "lists"),
    ],
    ids=str,
)
def test_lists_that_scikit_learn_takes_for_an_indicator_are_one(y, kind):
    assert label_kind(y) == kind


def test_a_label_that_no_row_has_is_a_label_of_an_indicator():
    labels, classes, _ = read(np.array([[1, 0, 0], [1, 0, 1]]), 2)
    assert classes.tolist() == [0, 1, 2]
    assert labels.n_labels == 3
    assert labels.frequencies().tolist() == [2, 0, 1]
    assert labels.frequencies(np.array([0.5, 2])).tolist() == [2.5, 0, 2]


def test_a_sparse_column_is_an_indicator_of_one_label():
    labels, classes, _ = read(sp.csr_matrix([[1], [0]]), 2)
    assert classes.tolist() == [0]
    assert as_mask(labels).tolist() == [[True], [False]]


@pytest.mark.parametrize(
    ("y", "place"),
    [
        (np.array([[0, 1], [2, 0]]), r"y\[1, 0\] is 2\."),
        (np.array([[0, 1], [0, -1]]), r"y\[1, 1\] is -1\."),
        (np.array([[0, 0.5], [1, 0]]), r"y\[0, 1\] is 0.5"),
        (np.array([[0, np.nan], [1, 0]]), r"y\[0, 1\] is nan"),
        (np.array([[0, np.inf], [1, 0]]), r"y\[0, 1\] is inf"),
        (np.array([[0, None], [1, 0]]), r"y\[0, 1\] is nan"),
        (np.array([["0", "1"], ["1", "0"]]), r"y\[0, 0\] is '0'"),
        (np.array([["0", 1], [1, 0]], dtype=object), r"y\[0, 0\] is '0'"),
        (pd.DataFrame({"a": [1, None], "b": [0, 1]}), r"y\[1, 0\] is nan"),
        (pd.DataFrame({"a": [1, pd.NA], "b": [0, 1]}, dtype="Int64"), r"y\[1, 0\] is nan"),
        (pl.DataFrame({"a": [1, None], "b": [0, 1]}), r"y\[1, 0\] is nan"),
        (np.ma.MaskedArray([[0, 1], [1, 1]], mask=[[0, 0], [1, 0]]), r"y\[1, 0\] is 'masked'"),
        (sp.csr_matrix([[0, 1], [0, 3]]), r"y\[1, 1\] is 3\."),
        (sp.csr_matrix([[0, 1], [0, np.nan]]), r"y\[1, 1\] is nan"),
        (sp.coo_matrix(([1, 1], ([0, 0], [1, 1])), shape=(2, 2)), r"y\[0, 1\] is 2\."),
    ],
    ids=lambda value: str(value).replace("\n", " "),
)
def test_an_indicator_of_other_values_names_the_place(y, place):
    with pytest.raises(ValueError, match=f"more than one column, so it is an indicator.*{place}"):
        read(y, 2)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([["a"], None], TypeError, r"y\[1\] is None, but other rows are lists of labels: .* empty"),
        ([["a"], "b"], TypeError, r"y\[1\] is 'b', but other rows are lists"),
        (["b", ["a"]], TypeError, r"y\[0\] is 'b'"),
        (pa.array([["a"], None]), TypeError, r"y\[1\] is None"),
        (pl.Series([["a"], None]), TypeError, r"y\[1\] is None"),
        (pd.Series([["a"], np.nan]), TypeError, r"y\[1\] is nan"),
        ([["a"], ["b", None]], ValueError, r"a missing label \(None\) in row 1: leave it out"),
        ([["a", np.nan], ["b"]], ValueError, r"a missing label \(nan\) in row 0"),
        ([[1], [np.nan]], ValueError, r"a missing label \(nan\) in row 1"),
        (pa.array([["a"], [None]]), ValueError, r"a missing label \(None\) in row 1"),
        ([["a"], [1]], TypeError, "Unknown label type: the lists of y hold int, str. Give"),
        ([[0.5], [1.0]], TypeError, "the lists of y hold float"),
        ([[True], [False, True]], TypeError, "the lists of y hold bool"),
        ([[["a"]], [["b"]]], TypeError, "the lists of y hold list"),
        ([[b"a"], [b"b"]], TypeError, "the lists of y hold bytes"),
        ([["a"], [{}]], TypeError, "the lists of y hold dict, str"),
    ],
    ids=str,
)
def test_lists_of_what_is_no_label(y, error, message):
    with pytest.raises(error, match=message):
        read(y, 2)


@pytest.mark.parametrize(
    "y", [np.zeros((2, 3)), sp.csr_matrix((2, 3)), [[], []], [set(), set()]], ids=str
)
def test_no_label_at_all(y):
    with pytest.raises(ValueError, match="y_val gives no row a label: at least one row must"):
        read(y, 2, name="y_val")


@pytest.mark.parametrize("y", [MASK.astype(int), sp.csr_matrix(MASK), ROWS], ids=str)
def test_another_number_of_rows(y):
    with pytest.raises(ValueError, match="y has 4 rows of labels, but there are 5 rows"):
        read(y, 5)


def test_known_classes():
    classes = np.array(["a", "b", "c", "d"])
    labels, same, _ = read([["d"], ["a"]], 2, classes=classes)
    assert same is classes
    assert labels.indices.tolist() == [3, 0]
    with pytest.raises(ValueError, match="y has the label 'e' in row 1, which is not in y"):
        read([["d"], ["a", "e"]], 2, classes=classes)
    with pytest.raises(ValueError, match="y_val has 3 columns, but there are 4 labels in y"):
        read(MASK, name="y_val", classes=np.arange(4))


def test_a_huge_number_is_a_label():
    labels, classes, written = read([[2**62], [-(2**62)]], 2)
    assert written.write(labels, classes) == [[2**62], [-(2**62)]]


@given(
    mask=hnp.arrays(bool, st.tuples(st.integers(1, 8), st.integers(2, 6))),
    data=st.data(),
)
def test_rows_are_chosen_as_from_an_array(mask, data):
    labels = LabelSets.from_mask(mask)
    np.testing.assert_array_equal(as_mask(labels), mask)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(mask) - 1))), dtype=np.int64)
    np.testing.assert_array_equal(as_mask(labels[chosen]), mask[chosen])
    keep = data.draw(hnp.arrays(bool, len(mask)))
    np.testing.assert_array_equal(as_mask(labels[keep]), mask[keep])
    both = LabelSets.concatenate([labels[~keep], labels[keep]])
    np.testing.assert_array_equal(as_mask(both), np.vstack([mask[~keep], mask[keep]]))
    np.testing.assert_array_equal(labels.rows, np.nonzero(mask)[0])
