"""SVMlight and XMC files: every value as Python reads it, and the line of what is wrong."""

import bz2
import gzip
import io
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from udt.io import (
    read_svmlight,
    read_xmc,
    stream_xmc,
    svmlight_kernels,
    svmlight_parsing,
    write_svmlight,
    write_xmc,
)
from udt.io.svmlight import XMCFile

pytestmark = pytest.mark.kernel

TEXT = "3 10 5\n0,4 1:0.5 9:-2e-1\n 3:1\n2\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.txt"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def lists(matrix):
    """Give the columns of each row."""
    return [row.indices.tolist() for row in matrix]


def naive(text, n_features, n_labels):
    """Parse the rows of a well-formed text, below the header."""
    X = np.zeros((text.count("\n"), n_features), dtype=np.float32)
    Y = np.zeros((text.count("\n"), n_labels), dtype=np.float32)
    for i, line in enumerate(text.splitlines()):
        for token in line.split():
            if ":" in token:
                index, value = token.split(":")
                X[i, int(index)] = float(value)
            else:
                Y[i, [int(label) for label in token.split(",")]] = 1
    return X, Y


# ---------------------------------------------------------------------------------------- numbers


def read_one(text):
    """Give what the kernel and, if it is in doubt, Python make of a number."""
    stored = np.frombuffer(text.encode() + b"\n", np.uint8)
    at, value, doubt = svmlight_kernels.read_number(stored, 0, svmlight_kernels.POWERS)
    if at != len(text):
        return None
    return np.float32(float(text)) if doubt else np.float32(value)


DECIMALS = st.from_regex(
    r"[-+]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,9})([eE][-+]?[0-9]{1,3})?", fullmatch=True
)


@given(DECIMALS | st.floats(width=32).map(repr) | st.floats().map(repr))
@example("16777217")  # a tie between two numbers of float32
@example("1" + "0" * 60 + "e-60")
@example("0." + "0" * 60 + "1e61")
@example("3.4028234663852886e38")
@example("3.4028235e38")
@example("3.4028236e38")
@example("1e-45")
@example("7.006492321624085e-46")
@example("1e999999999999999999999")
@example("0e99999")
@example("5.")
def test_numbers_as_python_reads_them(text):
    with np.errstate(over="ignore"):
        expected = np.float32(float(text))
    actual = read_one(text)
    if np.isfinite(expected):
        assert actual == expected
        return
    assert actual is None or np.isinf(actual)


@pytest.mark.parametrize(
    "text", ["", "-", ".", "e5", "1e", "1e+", "1_0", "0x1", "nan", "inf", "--1"]
)
def test_what_is_no_number(text):
    assert read_one(text) is None or text == ""


# -------------------------------------------------------------------------------------------- XMC


def test_read_xmc(write):
    X, Y = read_xmc(write(TEXT))
    assert (X.shape, Y.shape) == ((3, 10), (3, 5))
    assert (X.dtype, Y.dtype) == (np.float32, np.float32)
    assert lists(Y) == [[0, 4], [], [2]]
    assert lists(X) == [[1, 9], [3], []]
    assert X[0].toarray()[0, [1, 9]].tolist() == [0.5, np.float32(-0.2)]
    assert set(Y.data.tolist()) == {1.0}


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT[:-1],
        TEXT + "\n\n",
        "\ufeff" + TEXT,
        TEXT.replace(" ", "  ").replace("  3:1", "\t3:1\t"),
        TEXT.replace(" 3:1", "3:1"),
        TEXT.replace("1:0.5 9:-2e-1", "9:-2e-1 1:0.5"),
        TEXT.replace("0,4", "4,0,4"),
        TEXT.replace("9:-2e-1", "9:-2e-1 # 8:1 is a comment"),
        TEXT.replace("9:-2e-1", "9:-2e-1#8:1"),
        TEXT.replace("2\n", "2\n# the end\n"),
    ],
)
def test_the_same_in_other_words(write, text):
    for actual, expected in zip(read_xmc(write(text)), read_xmc(write(TEXT, "b")), strict=True):
        assert actual.has_canonical_format
        assert (actual != expected).nnz == 0


def test_a_row_with_neither_label_nor_feature(write):
    X, Y = read_xmc(write("3 2 2\n\n1 1:1\n\n"))
    assert lists(X) == [[], [1], []]
    assert lists(Y) == [[], [1], []]


PAIRS = st.dictionaries(st.integers(0, 9), st.floats(-9, 9, width=32), max_size=5)
ROWS = st.lists(st.tuples(st.lists(st.integers(0, 4), max_size=3), PAIRS), min_size=1, max_size=9)


@given(ROWS, st.integers(1, 40), st.integers(1, 5))
def test_pieces_of_any_size(tmp_path_factory, rows, size, batch_size):
    path = str(tmp_path_factory.mktemp("xmc") / "data.txt")
    body = "".join(
        f"{','.join(map(str, labels))} {' '.join(f'{i}:{v!r}' for i, v in pairs.items())}\n"
        for labels, pairs in rows
    )
    with open(path, "w") as file:
        file.write(f"{len(rows)} 10 5\n{body}")
    expected = naive(body, 10, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svmlight_parsing, "_CHUNK", size)
        for actual, dense in zip(read_xmc(path), expected, strict=True):
            np.testing.assert_array_equal(actual.toarray(), dense)
        batches = list(stream_xmc(path, batch_size))
    sizes = [X.shape[0] for X, _ in batches]
    assert sizes[:-1] == [batch_size] * (len(batches) - 1)
    assert 1 <= sizes[-1] <= batch_size
    for actual, dense in zip(zip(*batches, strict=True), expected, strict=True):
        np.testing.assert_array_equal(sp.vstack(actual).toarray(), dense)


def test_unsorted_pairs_among_numbers_in_doubt(write):
    # A number in doubt is read again by its place, which sorting changes.
    ids = [7, 3, 9, 1, 0, 8, 2, 5]
    pairs = " ".join(f"{i}:{16777217 + 2 * i}" for i in ids)
    X, _ = read_xmc(write(f"2 10 2\n0 1:16777217\n1 {pairs}\n"))
    expected = [np.float32(16777217 + 2 * i) for i in sorted(ids)]
    assert X[1].data.tolist() == expected
    assert X[1].indices.tolist() == sorted(ids)
    assert X[0].data.tolist() == [16777216]


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "a.txt.gz"), (bz2.compress, "a.bz2")])
def test_compressed(write, pack, name):
    assert lists(read_xmc(write(pack(TEXT.encode()), name))[0]) == [[1, 9], [3], []]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert lists(read_xmc("-")[0]) == [[1, 9], [3], []]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x 1:1", r"'x' is no label. Give whole numbers below 5, separated by commas"),
        ("-1 1:1", "'-1' is no label"),
        ("+1 1:1", "'[+]1' is no label"),
        ("1.0 1:1", "'1.0' is no label"),
        ("1, 1:1", "'' is no label"),
        (",1 1:1", "'' is no label"),
        ("1,,2 1:1", "'' is no label"),
        ("12345678901234567 1:1", "'12345678901234567' is no label"),
        ("0,5 1:1", "'5' is out of range: the header says 5 labels, which count from 0"),
        ("1 10:1", "'10:1' is out of range: the header says 10 features, which count from 0"),
        ("1 -3:1", "'-3:1' is no feature with its value. Write a whole number, a colon and a"),
        ("-3:1", "'-3:1' is no feature with its value"),
        ("1 1:1 2", "'2' is no feature with its value"),
        ("1 1:1 a:2", "'a:2' is no feature"),
        ("1 2", "'2' is no feature"),
        ("1 2.5:1", "'2.5:1' is no feature"),
        ("1 1:1 qid:4 2:2", "'qid:4' is no feature"),
        ("1 1234567890123456:1", "'1234567890123456:1' is no feature"),
        ("1 1: 2", "'1:' has no number behind the colon. Write it as in 7:0.5"),
        ("1 1:", "'1:' has no number"),
        ("1 1:x", "'1:x' has no number"),
        ("1 1:2:3", "'1:2:3' has no number"),
        ("1 1:1e", "'1:1e' has no number"),
        ("1 1:nan", "the value in '1:nan' is not finite. Leave the feature out"),
        ("1 1:-Inf", "the value in '1:-Inf' is not finite"),
        ("1 1:1e39", "'1:1e39' is beyond what float32 holds. Scale the values"),
        ("1 1:1 1:1", "feature 1 is there twice. Add its values up"),
        ("1 4:1 1:1 4:2 # x", "feature 4 is there twice"),
        ("1 \xff:1", "'.*:1' is no feature"),
        ("1 " + "y" * 99, "'y{37}[.]{3}' is no feature"),
    ],
)
@pytest.mark.parametrize("size", [1 << 22, 7])
def test_malformed_lines(write, monkeypatch, line, problem, size):
    monkeypatch.setattr(svmlight_parsing, "_CHUNK", size)
    path = write(f"4 10 5\n0,4 1:0.5\n{line}\n3 2:1\n{line}\n".encode("latin1"))
    with pytest.raises(ValueError, match=f"data.txt, line 3: {problem}"):
        read_xmc(path)
    with pytest.raises(ValueError, match=f"line 3: {problem}"):
        list(stream_xmc(path, 2))
    told = f"data.txt: bad lines skipped: 2. The first is line 3: {problem}"
    with pytest.warns(UserWarning, match=told):
        X, Y = read_xmc(path, on_bad_lines="skip")
    assert lists(X) == [[1], [2]]
    assert lists(Y) == [[0, 4], [3]]
    file = XMCFile(path, "skip")
    with pytest.warns(UserWarning, match=told):
        assert sum(X.shape[0] for X, _ in file.batches(1)) == 2
    assert (file.n_rows, file.n_features, file.n_labels, file.n_skipped) == (4, 10, 5, 2)


@given(st.text(alphabet="0123456789.,:#-+e qid\t\nx", max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory, body):
    path = str(tmp_path_factory.mktemp("xmc") / "data.txt")
    n = max(body.count("\n") + (not body.endswith("\n")), 1)
    with open(path, "w") as file:
        file.write(f"{n} 1000 1000\n{body}")
    try:
        X, Y = read_xmc(path)
    except ValueError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                X, Y = read_xmc(path, on_bad_lines="skip")
            except ValueError:
                return
    assert np.isfinite(X.data).all()
    assert X.has_canonical_format
    assert Y.has_canonical_format
    assert X.shape[0] == Y.shape[0] <= n


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("\n", "line 1: '' is no header `N F L`"),
        ("1 1:1\n", r"line 1: '1 1:1' is no header .* or read the file with read_svmlight"),
        ("1 2\n0 1:1\n", "line 1: '1 2' is no header"),
        ("-1 2 3\n", "line 1: '-1 2 3' is no header"),
        ("0 2 3\n", "line 1: the header '0 2 3' must give at least one row"),
        ("1 2147483648 3\n", "at most 2147483647 features"),
        ("2 2 3\n0 1:1\n", "the header says 2 rows, but there are 1. Is the file cut off"),
        ("2 2 3\n", "the header says 2 rows, but there are 0"),
        ("1 2 3\n0 1:1\n0 1:1\n", "the header says 1 rows, but there are more"),
        ("1 2 3\n0 1:1\n\n0\n", "the header says 1 rows, but there are more"),
    ],
)
@pytest.mark.parametrize("size", [1 << 22, 3])
def test_files_that_lie(write, monkeypatch, text, problem, size):
    monkeypatch.setattr(svmlight_parsing, "_CHUNK", size)
    path = write(text)
    for on_bad_lines in ("error", "skip"):
        with pytest.raises(ValueError, match=f"data.txt.*{problem}"):
            read_xmc(path, on_bad_lines=on_bad_lines)
        with pytest.raises(ValueError, match=problem):
            list(stream_xmc(path, on_bad_lines=on_bad_lines))


def test_a_bad_line_that_is_no_row(write):
    text = "2 2 3\n0 1:1\nx\n1 0:1\n"
    for n in (2, 3):  # the header may count it or not
        with pytest.warns(UserWarning, match="skipped: 1"):
            X, _ = read_xmc(write(text.replace("2 2 3", f"{n} 2 3")), on_bad_lines="skip")
        assert lists(X) == [[1], [0]]


def test_nothing_but_bad_lines(write):
    path = write("1 2 3\nx\n")
    with pytest.warns(UserWarning, match="skipped: 1"), pytest.raises(ValueError, match="no rows"):
        read_xmc(path, on_bad_lines="skip")


def test_a_truncated_archive(write):
    packed = gzip.compress(("99 10 5\n" + "0,4 1:0.5\n" * 99).encode())
    with pytest.raises(ValueError, match=r"data.gz: cannot be decompressed|cut off"):
        read_xmc(write(packed[:-12], "data.gz"))


def test_no_file_and_bad_options(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_xmc(str(tmp_path / "none.txt"))
    with pytest.raises(ValueError, match='on_bad_lines=\'warn\': give "error" or "skip"'):
        read_xmc(write(TEXT), on_bad_lines="warn")
    with pytest.raises(ValueError, match="batch_size=0: give 1 or more"):
        stream_xmc(write(TEXT), 0)


# ---------------------------------------------------------------------------------------- writing

MATRICES = st.lists(
    st.lists(st.sampled_from([0, 0, 0, 1, 0.1, -2.5, 1e-30, 3e38, 1 / 3]), min_size=4, max_size=4),
    min_size=1, max_size=6,
)  # fmt: skip


@given(MATRICES, st.integers(0, 2**18 - 1))
def test_what_is_written_is_read_again(tmp_path_factory, rows, bits):
    path = str(tmp_path_factory.mktemp("xmc") / "data.txt.gz")
    X = sp.csr_matrix(np.array(rows, dtype=np.float32))
    Y = np.array([[bits >> (3 * i + j) & 1 for j in range(3)] for i in range(len(rows))])
    for written in (Y, sp.csr_matrix(Y), sp.coo_array(Y)):
        write_xmc(path, X, written)
        X_again, Y_again = read_xmc(path)
        assert (X_again != X).nnz == 0
        np.testing.assert_array_equal(Y_again.toarray(), Y)


def test_many_rows_are_written_in_pieces(tmp_path):
    path = str(tmp_path / "data.txt")
    X = sp.random(40_000, 30, 0.05, format="csr", dtype=np.float32, random_state=0)
    Y = sp.csr_matrix(np.eye(7)[np.arange(40_000) % 7])
    write_xmc(path, X, Y)
    for actual, expected in zip(read_xmc(path), (X, Y), strict=True):
        assert (actual != expected).nnz == 0


@pytest.mark.parametrize(
    ("X", "Y", "problem"),
    [
        (np.eye(2), np.eye(3), "Y has 3 rows of labels, but there are 2 rows"),
        (np.eye(2), np.zeros((3, 3)), "there are 3 rows of labels, but X has 2 rows"),
        (np.eye(2), 2 * np.eye(2), r"Y\[0, 0\] is 2"),
        (np.eye(2), [0, 1], r"Y has shape \(2,\): give an indicator"),
        (np.eye(2) * np.nan, np.eye(2), "X holds NaN, infinity"),
        (np.eye(2) * 1e39, np.eye(2), "a number beyond float32"),
    ],
)
def test_what_cannot_be_written(tmp_path, X, Y, problem):
    path = tmp_path / "data.txt"
    with pytest.raises(ValueError, match=problem), np.errstate(over="ignore"):
        write_xmc(str(path), X, Y)
    assert not path.exists()


# --------------------------------------------------------------------------------------- SVMlight


def test_read_svmlight(write):
    X, y = read_svmlight(write("# made by hand\n+1 qid:3 1:0.5 3:1 # a\n\n-1 2:2\n"))
    assert X.toarray().tolist() == [[0.5, 0, 1], [0, 2, 0]]
    assert y.tolist() == [1, -1]
    assert y.dtype == np.int64
    X, y = read_svmlight(write("0.1 0:1\n-.5e-3 4:1\n1e5\n"), n_features=9)
    assert X.shape == (3, 9)
    assert y.tolist()[:2] == [0.1, -0.0005]


def test_labels_of_svmlight(write):
    assert read_svmlight(write("3,1,2 1:1\n4 1:1\n"))[1] == [[3, 1, 2], [4]]
    assert read_svmlight(write("3 1:1\n1:1\n"))[1] == [[3], []]
    assert read_svmlight(write("1.5,2 1:1\n"))[1] == [[1.5, 2.0]]
    with pytest.raises(ValueError, match="12345678901234568 has too many digits"):
        read_svmlight(write("12345678901234567 1:1\n"))


def test_where_ids_begin(write):
    path = write("1 1:1 2:2\n")
    assert read_svmlight(path)[0].toarray().tolist() == [[1, 2]]
    assert read_svmlight(path, zero_based=True)[0].toarray().tolist() == [[0, 1, 2]]
    assert read_svmlight(path, zero_based=False)[0].toarray().tolist() == [[1, 2]]
    path = write("1 0:1 2:2\n")
    assert read_svmlight(path)[0].toarray().tolist() == [[1, 0, 2]]
    with pytest.raises(ValueError, match="there is a feature 0, but zero_based=False"):
        read_svmlight(path, zero_based=False)
    with pytest.raises(ValueError, match=r'zero_based=1\.5: give True, False or "auto"'):
        read_svmlight(path, zero_based=1.5)
    with pytest.raises(ValueError, match="there are 3 features, but n_features=2"):
        read_svmlight(path, n_features=2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("# nothing\n\n", "there are no rows"),
        ("1 1:1\nyes 1:1\n", "line 2: 'yes' is no label. Give numbers, separated by commas"),
        ("1 1:1\n1e999 1:1\n", "line 2: '1e999' is beyond what float32 holds"),
        ("nan 1:1\n", "line 1: 'nan' is no label"),
        ("-+1 1:1\n", "line 1: '-[+]1' is no label"),
        ("1 2147483647:1\n", "the id in '2147483647:1' is too large"),
        ("1 qid:x 1:1\n", "'qid:x' is no feature"),
        ("1 1:1 qid:1\n", "'qid:1' is no feature"),
    ],
)
def test_malformed_svmlight(write, text, problem):
    with pytest.raises(ValueError, match=f"data.txt.*{problem}"):
        read_svmlight(write(text))


@pytest.mark.parametrize("zero_based", [True, False])
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_same_as_scikit_learn(tmp_path, zero_based, kind):
    random = np.random.RandomState(0)
    X = sp.random(30, 12, 0.4, random_state=0).toarray()
    X[:, 0] = X[:, 11] = 1.0
    y = random.randint(-3, 3, size=30)
    path = str(tmp_path / "data.svm")
    if kind == "single":
        dump_svmlight_file(X, y, path, zero_based=zero_based, query_id=np.arange(30), comment="x")
    else:
        indicator = (random.rand(30, 4) < 0.4).astype(int)
        dump_svmlight_file(X, indicator, path, zero_based=zero_based, multilabel=True)
    options = {"zero_based": zero_based, "dtype": np.float64}
    expected, labels = load_svmlight_file(path, **options, multilabel=kind == "multi")
    for told in (zero_based, "auto"):
        actual, found = read_svmlight(path, zero_based=told)
        assert (actual != expected.astype(np.float32)).nnz == 0
        if kind == "single":
            np.testing.assert_array_equal(found, labels)
        else:
            assert found == [[int(label) for label in row] for row in labels]


def test_write_svmlight(tmp_path):
    path = str(tmp_path / "data.svm")
    X = np.array([[0.5, 0, 1], [0, 0, 0], [0, 2, 0]], dtype=np.float32)
    for y in ([1, -1, 3], [0.25, 1.0, 2.0], [[1, 2], [3], []]):
        for zero_based in (False, True):
            write_svmlight(path, X, y, zero_based=zero_based)
            again, labels = read_svmlight(path, zero_based=zero_based)
            np.testing.assert_array_equal(again.toarray(), X)
            assert (labels if isinstance(labels, list) else labels.tolist()) == y
    with pytest.raises(ValueError, match="row 1 has neither label nor feature"):
        write_svmlight(path, X, [[1], [], [2]])
    with pytest.raises(ValueError, match="there are 2 rows of labels, but X has 3 rows"):
        write_svmlight(path, X, [1, 2])
    for wrong in (["a", "b", "c"], [1.0, np.nan, 2.0]):
        with pytest.raises(ValueError, match="y must hold finite numbers"):
            write_svmlight(path, X, wrong)
