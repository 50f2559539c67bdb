"""TableFeaturizer, and the classifier on tables: every container, role, missing value and error."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from problems import make
from sklearn.base import clone
from sklearn.utils import murmurhash3_32
from sklearn.utils.estimator_checks import parametrize_with_checks

from udt import TableFeaturizer
from udt.columns import Column
from udt.features import cell_encoder
from udt.features import table as module
from udt.features.cell_encoder import CellEncoder, column_seed, quantile_knots
from udt.features.cells import LADDERS
from udt.threads import Pool

N = 240
CITIES = ["Rome", "Oslo", "Lima", "東京"]


def make_frame(n=N, seed=0, missing=True):
    """Make a table of every role, and labels that follow from several columns."""
    random = np.random.default_rng(seed)
    city = random.choice(CITIES, n).astype(object)
    price = random.lognormal(3, 1, n)
    stock = random.integers(0, 9, n)
    bought = [datetime(2021, 1, 1) + timedelta(hours=int(h)) for h in random.integers(0, 30000, n)]
    every = ["new", "sale", "old", "rare"]
    tags = [list(random.permutation(every)[: random.integers(0, 4)]) for _ in range(n)]
    words = ["soft", "loud", "grey", "late", "cheap", "broken", "lovely", "heavy"]
    note = [" ".join(random.choice(words, random.integers(3, 12))) for _ in range(n)]
    gift = random.random(n) < 0.5
    y = np.where((price > 20) ^ (city == "Oslo") ^ gift, "yes", "no")
    frame = pd.DataFrame(
        {"city": city, "price": price, "stock": stock, "bought": bought, "tags": tags,
         "note": note, "gift": gift}
    )  # fmt: skip
    if missing:
        for i, name in enumerate(["city", "price", "bought", "note"]):
            frame.loc[random.random(n) < 0.05 * (i + 1), name] = None
    return frame, y


ROLES = {
    "city": "category", "price": "number", "stock": "number", "bought": "date",
    "tags": "categories", "note": "text", "gift": "flag",
}  # fmt: skip


def bits(model):
    return b"".join(array.tobytes() for array in model.network_.arrays().values())


@pytest.fixture(scope="module")
def frame():
    return make_frame()[0]


@pytest.fixture(scope="module")
def model():
    return make(max_iter=8).fit(*make_frame())


def dicts(frame):
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


# ---------------------------------------------------------------------- one table, many containers


def test_roles_are_inferred_and_shown(model):
    assert {column.name: column.role for column in model.columns_} == ROLES
    assert model.feature_names_in_.tolist() == [*ROLES]
    assert model.n_features_in_ == len(ROLES)


CONTAINERS = {
    "another order": lambda frame: frame[[*reversed(frame.columns)]],
    "more columns": lambda frame: frame.assign(more=1, zzz="x")[["zzz", *frame.columns, "more"]],
    "another index": lambda frame: frame.set_axis(range(7, 7 + len(frame))),
    "object columns": lambda frame: frame.astype(object),
    "nullable columns": lambda frame: frame.convert_dtypes(),
    "pandas with Arrow": lambda frame: (
        frame.drop(columns="tags")
        .convert_dtypes(dtype_backend="pyarrow")
        .assign(tags=frame["tags"])
    ),
    "a category's dtype": lambda frame: frame.astype({"city": "category"}),
    "polars": lambda frame: pl.DataFrame(dicts(frame)),
    "polars categories": lambda frame: pl.DataFrame(dicts(frame)).cast({"city": pl.Categorical}),
    "pyarrow": lambda frame: pa.Table.from_pylist(dicts(frame)),
    "pyarrow in chunks": lambda frame: pa.concat_tables(
        [pa.Table.from_pylist(dicts(frame))[:50], pa.Table.from_pylist(dicts(frame))[50:]]
    ),
    "a record batch": lambda frame: pa.RecordBatch.from_pylist(dicts(frame)),
    "dicts": dicts,
    "dicts without what is missing": lambda frame: [
        {name: value for name, value in row.items() if value is not None} for row in dicts(frame)
    ],
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_same_table_from_any_container_is_the_same(kind, model, frame):
    other = CONTAINERS[kind](frame)
    expected = model.predict_proba(frame)
    np.testing.assert_array_equal(model.predict_proba(other), expected)
    if kind not in ("another order", "more columns"):  # the order of columns numbers the features
        y = make_frame()[1]
        refitted = clone(model).fit(other, y)
        assert bits(refitted) == bits(model)


@pytest.mark.parametrize("kind", [*CONTAINERS][:-1])  # a key that the only dict lacks is an error
def test_one_row_in_any_container_is_as_in_a_batch(kind, model, frame):
    expected = model.predict_proba(frame)
    for row in (0, 1, 2, 57, 58, 59, int(frame["price"].isna().argmax())):
        one = CONTAINERS[kind](frame.iloc[[row]])
        answer = model.predict_proba(one)
        np.testing.assert_allclose(answer, expected[[row]], rtol=1e-4, atol=1e-6)
        assert model.predict(one).shape == (1,)


def test_validation_rows_from_another_container(frame):
    y = make_frame()[1]
    fitted = [
        make(max_iter=4).fit(frame, y, X_val=X_val, y_val=y[:50])
        for X_val in (frame.head(50), pl.DataFrame(dicts(frame.head(50))), dicts(frame.head(50)))
    ]
    assert len({tuple(one.validation_scores_) for one in fitted}) == 1
    assert fitted[0].validation_scores_[-1] == fitted[0].score(frame.head(50), y[:50])
    with pytest.raises(ValueError, match="column 'note' is missing"):
        make().fit(frame, y, X_val=frame.drop(columns="note"), y_val=y)


@pytest.mark.parametrize(
    "kind", ["numpy", "numpy object", "rows", "float32", "pandas without names", "structured"]
)
def test_the_same_numbers_from_any_container(kind):
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 3)).astype(np.float32).astype(np.float64)
    y = np.where(X[:, 0] * X[:, 1] > 0, 1, 0)
    model = make().fit(X, y)
    other = {
        "numpy": np.asfortranarray(X),
        "numpy object": X.astype(object),
        "rows": X.tolist(),
        "float32": X.astype(np.float32),
        "pandas without names": pd.DataFrame(X, columns=["x0", "x1", "x2"]),
        "structured": np.array(
            [tuple(row) for row in X], dtype=[("x0", float), ("x1", float), ("x2", float)]
        ),
    }[kind]
    np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(X))
    assert bits(make().fit(other, y)) == bits(model)


def test_a_frame_may_be_given_without_its_names(model, frame):
    values = frame.to_numpy(dtype=object)
    np.testing.assert_array_equal(model.predict_proba(values), model.predict_proba(frame))
    with pytest.raises(ValueError, match="X has 6 features, but UDTClassifier is expecting 7"):
        model.predict(values[:, :-1])
    with pytest.raises(ValueError, match="X has 8 features, but UDTClassifier is expecting 7"):
        model.predict(np.column_stack([values, values[:, 0]])[:1])


def test_names_of_columns_are_those_of_the_last_fit():
    X, y = np.arange(40.0).reshape(20, 2) % 7, [0, 1] * 10
    model = make().fit(pd.DataFrame(X, columns=["a", "b"]), y)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.fit(pd.DataFrame(X, columns=["c", "d"]), y).feature_names_in_.tolist() == [
        "c",
        "d",
    ]
    assert not hasattr(model.fit(X, y), "feature_names_in_")


# ------------------------------------------------------------------------------- columns and roles


def test_a_missing_column_is_named(model, frame):
    for name in ROLES:
        with pytest.raises(ValueError, match=f"column '{name}' is missing from X, which has"):
            model.predict(frame.drop(columns=name))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("price", datetime(2020, 1, 1), "column 'price'.* holds dates, which the role 'number'"),
        ("price", "dear", "column 'price'.* holds 'dear', which is no number"),
        ("bought", 3.5, "column 'bought'.* holds numbers, which the role 'date'"),
        ("note", 3.5, "column 'note'.* holds numbers, which the role 'text'"),
        ("city", datetime(2020, 1, 1), "column 'city'.* holds dates, which the role 'category'"),
    ],
)
def test_a_column_of_another_kind_is_named(model, frame, name, values, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.predict(frame.assign(**{name: values}))


def test_an_optional_column_may_be_missing(frame):
    y = make_frame()[1]
    model = make(columns={"price": "number?", "note": "text?", "city": "?"}).fit(frame, y)
    rest = frame.drop(columns=["price", "note", "city"])
    expected = model.predict_proba(frame.assign(price=None, note=None, city=None))
    np.testing.assert_array_equal(model.predict_proba(rest), expected)
    with pytest.raises(ValueError, match="column 'gift' is missing"):
        model.predict(rest.drop(columns="gift"))


def test_columns_may_be_given_other_roles(frame):
    y = make_frame()[1]
    roles = {"stock": "category", "price": "ignored", "city": "text", "gift": "number"}
    model = make(columns=roles).fit(frame, y)
    assert {column.name: column.role for column in model.columns_} == ROLES | roles
    expected = model.predict_proba(frame)
    np.testing.assert_array_equal(model.predict_proba(frame.assign(price=1e9)), expected)
    np.testing.assert_array_equal(model.predict_proba(frame.drop(columns="price")), expected)
    with pytest.raises(TypeError, match="column 'bought' holds dates, which the role 'number'"):
        make(columns={"bought": "number"}).fit(frame, y)


def test_a_word_in_two_columns_is_two_features():
    frame = pd.DataFrame({"a": ["x", "y"] * 20, "b": ["y", "y", "x", "x"] * 10})
    both = TableFeaturizer().fit_transform(frame)
    assert both.shape[1] == 4
    assert len(set(map(column_seed, ["a", "b", "c"]))) == 3
    texts = pd.DataFrame({"a": ["same words here"] * 4, "b": ["same words here"] * 4})
    rows = TableFeaturizer(columns={"a": "text", "b": "text"}, char_ngrams=None).fit_transform(
        texts
    )
    assert rows.shape[1] == 2 * 5


def test_a_lone_text_is_a_table_of_one_column():
    texts = ["my card is lost", "top up failed", "lost my card"] * 5
    y = ["a", "b", "a"] * 5
    model = make().fit(texts, y)
    assert [column.role for column in model.columns_] == ["text"]
    assert bits(make().fit(pd.DataFrame({"any name": texts}), y)) == bits(model)
    beside = make(columns={"t": "text"}).fit(pd.DataFrame({"t": texts, "constant": 1}), y)
    assert [column.role for column in beside.columns_] == ["text", "ignored"]
    assert bits(beside) == bits(model)


# ---------------------------------------------------------------------------------- missing, unseen


def test_categories_that_fit_has_not_seen_are_as_no_category(model, frame):
    expected = model.predict_proba(frame.assign(city="Paris"))
    np.testing.assert_array_equal(model.predict_proba(frame.assign(city="Atlantis")), expected)
    assert not np.array_equal(model.predict_proba(frame.assign(city=None)), expected)
    assert not np.array_equal(model.predict_proba(frame.assign(city="Oslo")), expected)


@pytest.mark.parametrize("name", ROLES)
def test_a_column_may_be_missing_everywhere(model, frame, name):
    expected = model.predict_proba(frame.assign(**{name: None}))
    assert np.isfinite(expected).all()
    for missing in (np.nan, pd.NA, "", pd.NaT):
        other = frame.assign(**{name: pd.Series([missing] * len(frame), dtype=object)})
        np.testing.assert_array_equal(model.predict_proba(other), expected)


def test_all_may_be_missing_in_a_row(model):
    row = dict.fromkeys(ROLES)
    answers = model.predict_proba([row, row])
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(model.predict_proba([row]), answers[:1], rtol=1e-5)


def test_that_a_value_is_missing_tells_something():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(size=200), "b": random.choice(["u", "v"], 200)})
    gone = random.random(200) < 0.5
    X.loc[gone, "a"] = np.nan
    assert make(max_iter=20).fit(X, gone).score(X, gone) == 1
    X = pd.DataFrame({"a": random.normal(size=200), "b": random.choice(["u", "v"], 200)})
    X.loc[gone, "b"] = None
    assert make(max_iter=20).fit(X, gone).score(X, gone) == 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_an_error_that_names_the_column(model, frame, value):
    y = make_frame()[1]
    bad = frame.assign(price=frame["price"].where(frame.index != 17, value))
    message = r"column 'price' \(row 17\) holds -?inf, which is infinity"
    with pytest.raises(ValueError, match=message):
        make().fit(bad, y)
    with pytest.raises(ValueError, match=message):
        model.predict(bad)
    with pytest.raises(ValueError, match=r"column 'price'.* holds -?inf"):
        model.predict(bad.iloc[[17]])
    with pytest.raises(ValueError, match=r"column 'x1' \(row 0\) holds -?inf"):
        make().fit(np.array([[1.0, value], [2.0, 3.0]] * 5), [0, 1] * 5)


def test_huge_numbers_are_numbers():
    X = np.array([[1e308, -1.7e308], [-1e308, 1.7e308], [0, 1], [5e-324, 2]] * 10)
    model = make(max_iter=20).fit(X, [0, 1, 2, 3] * 10)
    assert model.score(X, [0, 1, 2, 3] * 10) == 1
    huge = [{"a": 10**400, "b": 1}, {"a": 2, "b": 2}]
    with pytest.raises(ValueError, match=r"column 'a'.*beyond float64"):
        make().fit(huge * 5, [0, 1] * 5)


# ------------------------------------------------------------------------------------- odd tables


def test_a_table_of_one_column_of_numbers():
    X = np.linspace(-1, 1, 100)[:, np.newaxis]
    y = (X[:, 0] > 0.3).astype(int)
    model = make(max_iter=20).fit(X, y)
    assert model.score(X, y) > 0.95
    for other in (pd.DataFrame({"x0": X[:, 0]}), X.tolist(), X[:, 0].reshape(-1, 1)):
        np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(X))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        model.predict(X[:, 0])


def test_a_number_that_predicts_stays_in_order():
    X = np.linspace(0, 10, 500)[:, np.newaxis]
    model = make(max_iter=20).fit(X, (X[:, 0] > 5).astype(int))
    logits = model.decision_function(np.array([[-1e9], [0.0], [2.0], [8.0], [10.0], [1e9]]))
    assert (logits[:3] < 0).all()
    assert (logits[3:] > 0).all()
    np.testing.assert_array_equal(logits[[0, 5]], logits[[1, 4]])  # as the ends that fit has seen


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((8, 3)),
        np.full((8, 2), np.nan),
        pd.DataFrame({"a": [None] * 8, "b": ["one"] * 8}),
        pd.DataFrame({"a": [[]] * 8}),
        pd.DataFrame({"a": [pd.NaT] * 8}),
    ],
    ids=["zeros", "missing", "missing and constant", "empty lists", "no dates"],
)
def test_constant_columns_leave_the_bias(X):
    y = ["a", "a", "a", "b"] * 2
    model = make(max_iter=20).fit(X, y)
    assert model.predict(X).tolist() == ["a"] * 8
    assert model.predict(X[:1]).tolist() == ["a"]


def test_a_column_that_was_constant_or_missing_is_ignored():
    frame, y = make_frame(60)
    model = make().fit(frame.assign(one=1, none=None, word="w"), y)
    assert [c.role for c in model.columns_[-3:]] == ["ignored"] * 3
    expected = model.predict_proba(frame)
    other = frame.assign(one="x", none=object(), word=3.5)
    np.testing.assert_array_equal(model.predict_proba(other), expected)


def test_all_columns_ignored_is_an_error_that_says_so():
    X = pd.DataFrame({"a": [1, 2] * 5, "b": ["u", "v"] * 5})
    with pytest.raises(ValueError, match="leaves no column of X but ignored ones: give at"):
        make(columns={"a": "ignored", "b": "ignored"}).fit(X, [0, 1] * 5)


def test_repeated_rows():
    frame, y = make_frame(40)
    many = pd.concat([frame] * 20, ignore_index=True)
    model = make(max_iter=20).fit(many, np.tile(y, 20))
    assert model.score(frame, y) > 0.9


def test_one_row_cannot_train():
    for X in ([[1.0, 2.0]], pd.DataFrame({"a": ["x"]}), [{"a": 1}], ["one text"]):
        with pytest.raises(ValueError, match=r"y has one class only \('a'\)"):
            make().fit(X, ["a"])
    with pytest.raises(ValueError, match="y has 2 labels, but there are 1 rows"):
        make().fit([[1.0, 2.0]], ["a", "b"])


def test_two_rows_can_train():
    model = make(min_df=1, max_iter=50).fit([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], ["p", "q"])
    assert model.predict([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]).tolist() == ["p", "q"]


def test_ten_thousand_columns():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 10_000)).astype(np.float32)
    y = (X[:, 7] > 0).astype(int)
    model = make(max_iter=1, hidden_size=2).fit(X, y)
    assert model.n_features_in_ == 10_000
    np.testing.assert_allclose(model.predict_proba(X[:1]), model.predict_proba(X)[:1], rtol=1e-3)


# -------------------------------------------------------------------------------------- featurizer


def lengths(rows):
    return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()


def test_parts_of_a_row_are_in_balance(frame):
    cells = TableFeaturizer().fit_transform(frame.drop(columns="note"))
    assert lengths(cells).mean() == pytest.approx(1, rel=1e-4)
    featurizer = TableFeaturizer()
    rows = featurizer.fit_transform(frame.fillna({"note": "grey"}))
    is_cell = np.isin(np.arange(rows.shape[1]), featurizer.ids_[0])
    assert lengths(rows[:, is_cell]).mean() == pytest.approx(module.CELLS_LENGTH**2, rel=1e-4)
    weight = module.TEXT_LENGTH**2
    np.testing.assert_allclose(lengths(rows[:, ~is_cell]), weight, rtol=1e-4)
    # However long a text is.
    long = featurizer.transform(frame.assign(note=" ".join(["soft loud grey late"] * 500)))
    np.testing.assert_allclose(lengths(long[:, ~is_cell]), weight, rtol=1e-4)


@pytest.mark.parametrize("weighting", ["idf", "information", None])
def test_fit_transform_is_fit_and_transform(frame, weighting):
    y = make_frame()[1]
    first, second = TableFeaturizer(weighting=weighting), TableFeaturizer(weighting=weighting)
    rows = first.fit_transform(frame, y)
    assert rows.dtype == np.float32
    again = second.fit(frame, y).transform(frame)
    np.testing.assert_array_equal(rows.indices, again.indices)
    np.testing.assert_allclose(rows.data, again.data, rtol=1e-6)
    n = sum(map(len, first.ids_))
    assert rows.shape == (N, n)
    assert sorted(np.concatenate(first.ids_).tolist()) == [*range(n)]
    assert 0 < first.n_embedded_ <= n


def test_a_featurizer_that_fails_is_as_before(frame):
    featurizer = TableFeaturizer().fit(frame)
    before = dict(vars(featurizer))
    expected = featurizer.transform(frame)
    with pytest.raises(ValueError, match="column 'price'"):
        featurizer.fit(frame.assign(price=frame["price"].where(frame.index != 17, np.inf)))
    assert vars(featurizer).keys() == before.keys()
    assert all(vars(featurizer)[name] is before[name] for name in before)
    assert (featurizer.transform(frame) != expected).nnz == 0


def test_rows_do_not_depend_on_blocks_or_threads(frame, monkeypatch):
    y = make_frame()[1]
    expected = TableFeaturizer(n_jobs=1).fit_transform(frame, y)
    for size, entries, n_jobs in [(7, 1 << 22, 1), (7, 1 << 22, 4), (8192, 600, 2)]:
        monkeypatch.setattr(cell_encoder, "ROWS_PER_BLOCK", size)
        monkeypatch.setattr(cell_encoder, "_ENTRIES_PER_BLOCK", entries)
        rows = TableFeaturizer(n_jobs=n_jobs).fit_transform(frame, y)
        for name in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(rows, name), getattr(expected, name))


def test_threads_change_no_bit_of_a_model_of_a_table():
    frame, y = make_frame(1200)
    results = {bits(make(n_jobs=n, max_iter=1, batch_size=256).fit(frame, y)) for n in (1, 2, 4)}
    assert len(results) == 1


def test_a_fraction_of_a_large_table_gives_the_knots(monkeypatch):
    X = np.random.default_rng(0).normal(size=(1000, 2))
    X[1:, 1] = np.nan  # missing in all rows but those that are drawn
    monkeypatch.setattr(cell_encoder, "_SAMPLE", 100)
    rows = TableFeaturizer(columns={"x1": "number"}).fit_transform(X)
    assert rows.shape[0] == 1000
    assert lengths(rows).mean() == pytest.approx(1, rel=1e-4)


def test_categories_below_min_df_are_dropped():
    frame = pd.DataFrame({"a": ["x"] * 5 + ["y"] * 3 + ["z"] * 2, "n": [1, 2] * 5})
    for min_df, n_categories in [(1, 3), (2, 3), (3, 2), (4, 1), (6, 0)]:
        featurizer = TableFeaturizer(min_df=min_df).fit(frame)
        assert len(featurizer.cells_.hashes) == n_categories
    # The most frequent first, in the names of the column.
    featurizer = TableFeaturizer().fit(frame)
    seeds = [murmurhash3_32(word, column_seed("a"), positive=True) for word in "xyz"]
    assert featurizer.cells_.hashes.tolist() == seeds


def test_items_of_lists_share_a_length():
    frame = pd.DataFrame({"a": [["x"], ["x", "y", "x2", "y2"], []] * 8})
    rows = TableFeaturizer().fit_transform(frame)
    assert rows.shape[1] == 5  # and one for no item
    assert np.diff(rows.indptr).tolist() == [1, 4, 1] * 8
    np.testing.assert_allclose(lengths(rows), 1, rtol=1e-5)


def test_lists_that_are_all_empty_later():
    frame = pd.DataFrame({"a": [["x"], ["y", "x"], []] * 8, "n": [1.0, 2.0, 3.0] * 8})
    featurizer = TableFeaturizer().fit(frame)
    rows = featurizer.transform(pd.DataFrame({"a": [[], None], "n": [1.0, 2.0]}))
    again = featurizer.transform(pd.DataFrame({"a": [[], [], ["x"]], "n": [1.0, 2.0, 1.0]}))
    assert (rows != again[:2]).nnz == 0


def test_dates_are_numbers_of_the_calendar():
    dates = pd.date_range("2020-01-01", periods=400, freq="37h")
    weekend = (dates.day_of_week >= 5).astype(int)
    frame = pd.DataFrame({"when": dates})
    model = make(max_iter=20).fit(frame, weekend)
    assert model.score(frame, weekend) > 0.97
    later = pd.date_range("2031-01-01", periods=200, freq="31h")
    score = model.score(pd.DataFrame({"when": later}), (later.day_of_week >= 5).astype(int))
    assert score > 0.9


def test_dates_of_any_container_and_unit(frame):
    y = make_frame()[1]
    dates = frame["bought"].fillna(datetime(2021, 5, 5))
    model = make().fit(frame[["city"]].assign(when=dates), y)
    expected = model.predict_proba(frame[["city"]].assign(when=dates))
    others = [dates.astype(f"M8[{unit}]") for unit in ("s", "ms", "us", "ns")]
    others += [dates.dt.strftime("%Y-%m-%d %H:%M:%S"), dates.dt.tz_localize("UTC")]
    others += [dates.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"), dates.astype(object)]
    for other in others:
        answers = model.predict_proba(frame[["city"]].assign(when=other))
        np.testing.assert_array_equal(answers, expected)


@parametrize_with_checks([TableFeaturizer(n_jobs=1)])
def test_a_transformer_as_scikit_learn_wants_it(estimator, check):
    check(estimator)


def test_a_sparse_matrix_is_no_table():
    with pytest.raises(TypeError, match="X is a sparse matrix, whose columns are features already"):
        TableFeaturizer().fit(sp.csr_matrix(np.eye(3)))


# ------------------------------------------------------------------------------------------ knots


COUNTED = st.dictionaries(
    st.floats(-1e6, 1e6) | st.integers(-20, 20).map(float), st.integers(1, 1000), min_size=1
)


@given(counted=COUNTED, size=st.sampled_from([1, 2, 4, 16, 64]))
def test_knots_are_values_in_order_with_both_ends(counted, size):
    values = np.array(sorted(counted))
    counts = np.array([counted[value] for value in values.tolist()])
    knots = quantile_knots(values, counts, size)
    assert np.isin(knots, values).all()
    assert (np.diff(knots) > 0).all()
    assert knots[[0, -1]].tolist() == values[[0, -1]].tolist()
    assert len(knots) <= max(2 * size + 3, 3)
    if len(values) <= size + 1:
        assert knots.tolist() == values.tolist()
    heavy = values[counts >= counts.sum() / size]
    assert np.isin(heavy, knots).all()


@given(st.integers(100, 3000), st.sampled_from(LADDERS))
def test_knots_of_distinct_values_cut_them_evenly(n, size):
    knots = quantile_knots(np.arange(n, dtype=float), np.ones(n, dtype=int), size)
    if n > size + 1:
        assert len(knots) == size + 1
        assert np.ptp(np.diff(knots)) <= 2


def test_a_ladder_is_not_built_twice():
    encoder = CellEncoder([], 2)
    for n in (1, 2, 4, 5, 6, 15, 17, 18, 60, 65, 66, 500):
        values = np.repeat(np.arange(float(n)), 3)
        steps = encoder._ladders(values)
        sizes = [len(step) for step in steps[:3] if len(step)]
        assert sizes == sorted(set(sizes)), f"{n} values"
        assert np.concatenate(steps).size >= min(n, 5)


def test_exact_values_are_features_where_they_recur():
    encoder = CellEncoder([], 2)
    distinct = np.random.default_rng(0).normal(size=500)
    assert len(encoder._ladders(distinct)[3]) == 0
    assert len(encoder._ladders(np.repeat(distinct, 4))[3]) == 500
    assert len(encoder._ladders(np.repeat([1.0, 2.0], 50))[3]) == 0  # which ladders tell apart


def test_a_featurizer_of_cells_by_itself():
    X = np.array([1.0, np.nan, 3.0, 1.0])
    with Pool(1) as pool:
        encoder = CellEncoder([Column("a", "number")], 1)
        rows = encoder.fit_transform([X], pool)
        again = encoder.transform([X], pool)
    np.testing.assert_allclose(rows.toarray(), again.toarray(), rtol=1e-6)
    assert lengths(rows).mean() == pytest.approx(1, rel=1e-5)
