"""Crossed columns, and bins of numbers: which pairs are chosen, and what models make of them."""

from datetime import datetime, timedelta
from itertools import combinations

import naive
import numpy as np
import pandas as pd
import pytest
from problems import make, make_csr
from sklearn.base import clone

import udt
from udt import TableFeaturizer
from udt.columns import Column
from udt.features import cell_encoder, crosses
from udt.features.cells import LADDERS

N = 600


def make_xor(n=N, seed=0, n_noise=5):
    """Make columns that tell the class by two and two alone: "a" with "b", and "u" with "v"."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.choice([*"xyz"], n) for name in ["a", "b"]})
    frame[["u", "v"]] = random.normal(size=(n, 2))
    for i in range(n_noise):
        frame[f"noise {i}"] = random.choice([*"pqrs"], n)
    same = (frame["a"] == frame["b"]) ^ (random.random(n) < 0.1)
    return frame, np.where(same | (frame["u"] * frame["v"] > 0.5), "yes", "no")


def crossed(featurizer):
    """Give the names of the pairs."""
    names = featurizer.cells_._part_names()
    return {(names[a], names[b]) for a, b, _ in featurizer.cells_.crosses.tolist()}


def bits(model):
    return b"".join(array.tobytes() for array in model.network_.arrays().values())


# --------------------------------------------------------------------------------- which to cross


def test_the_pairs_that_tell_most_together_are_chosen():
    frame, y = make_xor()
    assert crossed(TableFeaturizer(crosses=2).fit(frame, y)) == {("u", "v"), ("a", "b")}
    one = crossed(TableFeaturizer(crosses=1).fit(frame, y))
    assert len(one) == 1
    assert one < {("u", "v"), ("a", "b")}


@pytest.mark.parametrize("classes", ["many classes", "sets"])
def test_pairs_of_many_classes_and_of_sets(classes):
    frame, y = make_xor(1500)
    random = np.random.default_rng(1)
    if classes == "sets":
        lists = [["yes"] * (label == "yes") + ["b", "c"][: random.integers(3)] for label in y]
    else:
        lists = [f"{label} {random.integers(6)}" for label in y]
    model = make(max_iter=1, crosses=2).fit(frame, lists)
    assert crossed(model.featurizer_) == {("u", "v"), ("a", "b")}


def test_what_single_columns_tell_is_no_reason_to_cross():
    random = np.random.default_rng(0)
    frame, _ = make_xor()
    strong = np.where(random.random(N) < 0.8, frame["a"] == "x", frame["noise 0"] == "p")
    y = strong | (frame["noise 1"] == "q") ^ (frame["noise 2"] == "r")
    assert crossed(TableFeaturizer(crosses=1).fit(frame, y)) == {("noise 1", "noise 2")}


def test_the_means_of_cells_explain_what_their_twin_says():
    random = np.random.default_rng(0)
    places, left = random.integers(0, 40, 100), random.normal(size=(100, 2))
    expected = 0.0
    for column in left.T:
        for cell in set(places.tolist()):
            inside = column[places == cell]
            if len(inside) > 1:
                expected += len(inside) * inside.mean() ** 2 / np.mean(column**2) - 1
    assert crosses._explained(places, left) == pytest.approx(expected)
    assert crosses._explained(places, np.zeros((100, 3))) == 0


def test_responses_are_of_the_sampled_rows():
    numbers = np.array([0, 1, 1, 0, 1, 1])
    np.testing.assert_allclose(crosses.responses(numbers, 2).ravel(), [-2 / 3, 1 / 3, 1 / 3])
    lists = np.array([0, 1, 3, 3]), np.array([2, 0, 1])  # {2}, {0, 1}, {}
    expected = [[0, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(
        crosses.responses(lists, 1), expected - np.mean(expected, axis=0), atol=1e-12
    )
    assert crosses.responses(np.arange(1000), 3).shape == (334, 8)


def test_of_very_many_columns_those_that_tell_something_are_looked_at(monkeypatch):
    monkeypatch.setattr(crosses, "_MAX_COLUMNS", 5)
    frame, y = make_xor(n_noise=30)
    frame["hint"] = np.where(np.random.default_rng(0).random(N) < 0.3, y, "none")
    some = crossed(TableFeaturizer(crosses=10).fit(frame, y))
    assert len({name for pair in some for name in pair}) == 5
    assert any("hint" in pair for pair in some)


def test_a_sample_of_rows_gives_the_pairs(monkeypatch):
    frame, y = make_xor(4000)
    monkeypatch.setattr(crosses, "SAMPLE_ROWS", 900)
    assert crossed(TableFeaturizer(crosses=2).fit(frame, y)) == {("u", "v"), ("a", "b")}
    monkeypatch.setattr(crosses, "SAMPLE_ENTRIES", 9 * 700)
    assert crossed(TableFeaturizer(crosses=2).fit(frame, y)) == {("u", "v"), ("a", "b")}


def test_all_pairs_need_no_classes():
    frame = make_xor()[0][["a", "b", "u"]].assign(same="x", note="some words of a text")
    frame["lists"] = [["a"], []] * (N // 2)
    roles = {"note": "text", "same": "number?", "lists": "categories"}
    featurizer = TableFeaturizer(crosses=True, columns=roles | {"same": "category"}).fit(frame)
    assert crossed(featurizer) == {*combinations(["u", "a", "b", "same"], 2)}
    assert crossed(TableFeaturizer(crosses=3).fit(frame[["a", "b", "u"]])) == {
        *combinations(["u", "a", "b"], 2)
    }


def test_a_number_that_never_varies_is_not_crossed():
    frame = make_xor()[0][["a", "u"]].assign(same=3.0)
    assert crossed(TableFeaturizer(crosses=True).fit(frame)) == {("u", "a")}


def test_a_column_that_is_ignored_has_no_crosses():
    frame = make_xor()[0][["a", "b"]].assign(same="x")
    pairs = [("a", "same"), ("a", "b")]
    assert crossed(TableFeaturizer(crosses=pairs).fit(frame)) == {("a", "b")}
    assert crossed(TableFeaturizer(crosses=pairs, columns={"b": "ignored"}).fit(frame)) == set()


def test_parts_of_dates_are_crossed():
    start = datetime(2022, 1, 1)
    frame = pd.DataFrame({"when": [start + timedelta(hours=7 * i) for i in range(800)]})
    frame["word"] = np.random.default_rng(0).choice([*"xy"], 800)
    weekend, night = frame["when"].dt.day_of_week >= 5, frame["when"].dt.hour < 8
    y = weekend ^ night
    featurizer = TableFeaturizer(crosses=1).fit(frame, y)
    assert crossed(featurizer) == {("when", "when")}
    assert {tuple(pair[:2]) for pair in featurizer.cells_.crosses.tolist()} == {(3, 4)}
    named = TableFeaturizer(crosses=[("word", "when")]).fit(frame)
    assert {tuple(pair[:2]) for pair in named.cells_.crosses.tolist()} == {(i, 5) for i in range(5)}


def test_pairs_by_name_in_any_order_and_twice():
    frame, y = make_xor()
    expected = TableFeaturizer(crosses=[("a", "u"), ("b", "a")]).fit_transform(frame)
    for pairs in ([["a", "b"], ["u", "a"]], (("b", "a"), ("a", "u"), ("a", "b"))):
        rows = TableFeaturizer(crosses=pairs).fit_transform(frame, y)
        assert (rows != expected).nnz == 0


@pytest.mark.parametrize("none", [False, 0, [], (), np.False_])
def test_no_crosses(none):
    frame, y = make_xor()
    expected = TableFeaturizer().fit_transform(frame)
    rows = TableFeaturizer(crosses=none).fit_transform(frame, y)
    assert rows.shape == expected.shape
    assert (rows != expected).nnz == 0


# -------------------------------------------------------------------------------------- features


def test_crosses_are_what_the_twin_says():
    frame = pd.DataFrame({"a": ["x", "y", None, "x"] * 9, "u": np.arange(36.0) % 13})
    frame.loc[5, "u"] = np.nan
    featurizer = TableFeaturizer(crosses=True, min_df=1)
    rows = featurizer.fit_transform(frame)
    cells = featurizer.cells_
    assert cells.crosses.tolist() == [[0, 1, 0], [0, 1, 1]]
    bounds = cells.bounds[0]
    ladders = [[cells.knots[begin:end].tolist() for begin, end in bounds]]
    ids = dict(zip(cells.hashes.tolist(), cells.hash_ids.tolist(), strict=True))
    seed, pairs = cells._number_seeds().tolist(), cells.crosses.tolist()
    for row, (word, number) in enumerate(frame.itertuples(index=False)):
        code = naive.murmurhash3_32("" if pd.isna(word) else word, cells.seeds[0], positive=True)
        expected = naive.encode_row(
            [number], [code], [], [], ladders, cells.firsts.tolist(), ids, seed, pairs
        )
        assert len(expected) == rows.indptr[row + 1] - rows.indptr[row]
        values = dict(expected)
        for i in range(rows.indptr[row], rows.indptr[row + 1]):
            value = rows.data[i] / cells.scale
            assert value == pytest.approx(values[int(rows.indices[i])], rel=1e-5, abs=1e-6)


def test_crosses_are_for_the_linear_path_beside_what_was_there():
    frame, y = make_xor()
    plain, more = TableFeaturizer(), TableFeaturizer(crosses=2)
    expected, rows = plain.fit_transform(frame, y), more.fit_transform(frame, y)
    assert more.n_embedded_ == plain.n_embedded_
    assert more.cells_.scale == pytest.approx(plain.cells_.scale, rel=1e-6)
    n = expected.shape[1]
    assert rows.shape[1] > n
    np.testing.assert_allclose(rows[:, :n].toarray(), expected.toarray(), rtol=1e-5, atol=1e-7)
    network = make(max_iter=1, crosses=2).fit(frame, y).network_
    assert len(network.wide) == rows.shape[1]
    assert len(network.embedding) == plain.n_embedded_


def test_crosses_in_too_few_rows_and_beyond_the_most_frequent_are_dropped(monkeypatch):
    frame, _ = make_xor()
    counts = frame[["a", "noise 0"]].value_counts().tolist()
    for min_df in (1, 50, 60, 10**6):
        featurizer = TableFeaturizer(crosses=[("a", "noise 0")], min_df=min_df).fit(frame)
        plain = TableFeaturizer(min_df=min_df).fit(frame)
        n = len(featurizer.cells_.hashes) - len(plain.cells_.hashes)
        assert n == sum(count >= min_df for count in counts)
    monkeypatch.setattr(cell_encoder, "_MAX_CROSSED", 4)
    monkeypatch.setattr(cell_encoder, "_COUNTED", 1)
    featurizer = TableFeaturizer(crosses=[("a", "noise 0"), ("b", "u")]).fit(frame)
    plain = TableFeaturizer().fit(frame)
    assert len(featurizer.cells_.hashes) == len(plain.cells_.hashes) + 4
    assert featurizer.transform(frame).shape[1] == featurizer.cells_.n_features


def test_fit_transform_is_fit_and_transform_in_any_blocks(monkeypatch):
    frame, y = make_xor()
    frame["note"] = ["one text", "another text"] * (N // 2)
    expected = TableFeaturizer(crosses=5, n_jobs=1).fit_transform(frame, y)
    for size, counted, n_jobs in [(7, 1, 1), (50, 3, 3)]:
        monkeypatch.setattr(cell_encoder, "ROWS_PER_BLOCK", size)
        monkeypatch.setattr(cell_encoder, "_COUNTED", counted)
        featurizer = TableFeaturizer(crosses=5, n_jobs=n_jobs)
        rows = featurizer.fit_transform(frame, y)
        for name in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(rows, name), getattr(expected, name))
        again = featurizer.transform(frame)
        np.testing.assert_array_equal(again.indices, rows.indices)
        np.testing.assert_allclose(again.data, rows.data, rtol=1e-6)


# ------------------------------------------------------------------------------------------- bins


def ladder_sizes(n_bins, values):
    encoder = cell_encoder.CellEncoder([Column("a", "number")], 2, n_bins)
    return [len(step) for step in encoder._ladders(values)]


def test_the_finest_ladder_has_as_many_knots_as_asked_for():
    values = np.arange(5000.0)
    assert LADDERS == (4, 16, 64)
    assert ladder_sizes(None, values) == ladder_sizes(64, values) == [5, 17, 65, 0]
    assert ladder_sizes(256, values) == [5, 17, 257, 0]
    assert ladder_sizes(16, values) == [5, 17, 0, 0]
    assert ladder_sizes(10, values) == [5, 11, 0, 0]
    assert ladder_sizes(4, values) == [5, 0, 0, 0]
    assert ladder_sizes(2, values) == [3, 0, 0, 0]
    assert ladder_sizes(65536, values) == [5, 17, 5000, 0]


@pytest.mark.parametrize("n_bins", [2, 5, 300])
def test_a_model_of_other_bins(n_bins, tmp_path):
    frame, y = make_xor()
    model = make(n_bins=n_bins, crosses=3).fit(frame, y)
    rows = model.featurizer_._transform(udt.columns.as_table(frame))
    assert np.isfinite(rows.data).all()
    model.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    assert loaded.n_bins == n_bins
    np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))


# ----------------------------------------------------------------------------------------- models


@pytest.mark.parametrize("how", ["chosen", "named"])
def test_a_linear_model_of_crosses_learns_what_two_columns_tell(how):
    frame, y = make_xor(2000)
    later, y_later = make_xor(1000, seed=1)
    pairs = 2 if how == "chosen" else [("a", "b"), ("u", "v")]
    plain = make(hidden_size=0, max_iter=8).fit(frame, y).score(later, y_later)
    score = make(hidden_size=0, max_iter=8, crosses=pairs).fit(frame, y).score(later, y_later)
    assert plain < 0.7
    assert score > 0.83


def test_training_goes_on_with_crosses_that_have_become_frequent():
    frame, y = make_xor(90)
    model = make(crosses=[("a", "u")], min_df=4)
    model.partial_fit(frame[:30], y[:30], classes=["no", "yes"])
    pairs, n = model.featurizer_.cells_.crosses, model.featurizer_.cells_.n_features
    model.partial_fit(frame[30:60], y[30:60]).partial_fit(frame[60:], y[60:])
    assert model.featurizer_.cells_.n_features > n
    assert model.featurizer_.cells_.crosses is pairs
    assert np.isfinite(model.predict_proba(frame)).all()
    # In one call or in parts, the same are frequent, but for knots, which are those of the first.
    whole = TableFeaturizer(crosses=[("a", "noise 0")], min_df=4).fit(frame)
    parts = make(crosses=[("a", "noise 0")], min_df=4)
    for start in (0, 45):
        parts.partial_fit(frame[start : start + 45], y[start : start + 45], classes=["no", "yes"])
    assert set(parts.featurizer_.cells_.hashes) == set(whole.cells_.hashes)


def test_a_warm_start_keeps_the_pairs():
    frame, y = make_xor()
    model = make(crosses=2, warm_start=True).fit(frame, y)
    pairs = model.featurizer_.cells_.crosses.tolist()
    model.set_params(crosses=5).fit(*make_xor(seed=1))
    assert model.featurizer_.cells_.crosses.tolist() == pairs
    assert len(crossed(clone(model).fit(frame, y).featurizer_)) == 5


def test_threads_change_no_bit():
    frame, y = make_xor(1200)
    models = [make(crosses=3, n_jobs=n, max_iter=1, batch_size=256).fit(frame, y) for n in (1, 3)]
    assert bits(models[0]) == bits(models[1])


@pytest.mark.parametrize("prune", [0.0, 0.5])
def test_a_quantised_model_of_crosses(prune, tmp_path):
    frame, y = make_xor()
    frame["note"] = ["one text", "another text of words"] * (N // 2)
    frame["other"] = ["words of a text", "nothing of it"] * (N // 2)
    model = make(crosses=3, columns={"note": "text", "other": "text"}).fit(frame, y)
    small = model.quantize(prune=prune)
    assert (small.predict(frame) == model.predict(frame)).mean() > 0.8
    small.save(tmp_path / "small.udt")
    loaded = udt.load(tmp_path / "small.udt")
    np.testing.assert_array_equal(loaded.predict_proba(frame), small.predict_proba(frame))
    rows = frame[:20].to_dict("records")
    alone = np.concatenate([loaded.predict_proba([row]) for row in rows])
    np.testing.assert_allclose(alone, loaded.predict_proba(rows), rtol=1e-4, atol=1e-6)


def test_texts_and_ready_features_have_nothing_to_cross():
    texts, y = ["card lost", "top up failed"] * 6, ["lost", "top up"] * 6
    assert bits(make(crosses=True, n_bins=7).fit(texts, y)) == bits(make().fit(texts, y))
    rows, labels = make_csr()
    assert bits(make(crosses=True).fit(rows, labels)) == bits(make().fit(rows, labels))


# --------------------------------------------------------------------------------------- refusals

FORM = "give True, False, a number of pairs up to 10000, or a list of pairs of names of columns"


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        *(
            ({"crosses": bad}, FORM)
            for bad in [
                -1,
                10001,
                2.0,
                "a",
                None,
                ["ab"],
                [("a",)],
                [("a", "a")],
                [("a", 3)],
                {"a": "b"},
            ]
        ),
        ({"crosses": [("a", "c")]}, "column 'c' is missing from X, which has 'a', 'b', 'u', 'v'"),
        (
            {"crosses": [("note", "a")]},
            "column 'note' has the role 'text': take columns of the roles category, flag, number",
        ),
        *(
            ({"n_bins": bad}, rf"n_bins={bad!r}: give a whole number from 2 to 65536, or None")
            for bad in [1, 0, -4, 65537, 2.5, "64", True]
        ),
    ],
)
def test_bad_parameters_are_named_and_nothing_is_fitted(parameters, problem):
    frame, y = make_xor()
    frame["note"] = "some words"
    roles = {"note": "text"}
    for estimator in (TableFeaturizer(columns=roles), make(columns=roles)):
        before = clone(estimator.set_params(**parameters))
        with pytest.raises(ValueError, match=problem):
            estimator.fit(frame, y)
        assert vars(estimator).keys() == vars(before).keys()


def test_choosing_takes_classes():
    frame, _ = make_xor()
    problem = r"crosses=5: to choose 5 of 36 pairs of columns takes y: give it, or name the pairs"
    with pytest.raises(ValueError, match=problem):
        TableFeaturizer(crosses=5).fit(frame)
