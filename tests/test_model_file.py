"""Model files: every kind of model comes back whole, and damaged ones are refused by name."""

import contextlib
import json
import pickle
import re
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from problems import LABELS, TEXTS, make, make_csr
from sklearn.base import clone

import udt
from udt.lsh.space import NotFinite
from udt.model_file import size
from udt.persistence import ModelFileError, read_model, write_model

ROWS = [
    {
        "note": text, "title": text[::-1], "colour": ["red", "blue", None][i % 3],
        "size": (i * 7 % 11) / 3 if i % 5 else None, "count": i % 4, "gift": i % 2 == 0,
        "tags": [["a"], ["a", "b"], []][i % 3],
        "day": datetime(2020, 2, 28) + timedelta(hours=31 * i), "same": "x",
    }
    for i, text in enumerate(TEXTS)
]  # fmt: skip
COLUMNS = {"note": "text", "title": "text", "count": "number?"}
SETS = [["a", "b"], ["b"], [], ["c"]] * 9
INDICATOR = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]] * 9)


def make_partial(X, y, **parameters):
    """Fit in parts, so that what is still rare is remembered."""
    model = make(**parameters)
    half = len(y) // 2
    model.partial_fit(X[:half], y[:half], classes=sorted(set(y)))
    return model.partial_fit(X[half:], y[half:])


TABLES = {"hash_family": "simhash", "bucket_size": 4, "rebuild_interval": 0.5, "n_hard": 3}
MODELS = {
    "texts": lambda: make().fit(TEXTS, LABELS),
    "texts without a linear path": lambda: make(wide=False).fit(TEXTS, LABELS),
    "texts with tokens": lambda: make(tokenizer="bpe").fit(TEXTS, LABELS),
    "ready features": lambda: make().fit(*make_csr()),
    "weighted ready features": lambda: make(sparse_weighting="tfidf").fit(*make_csr()),
    "numbers": lambda: make().fit(np.arange(72.0).reshape(36, 2) % 7, LABELS),
    "a table": lambda: make(columns=COLUMNS).fit(ROWS, LABELS),
    "a table with tokens": lambda: make(columns=COLUMNS, tokenizer="wordpiece").fit(ROWS, LABELS),
    "a table in parts": lambda: make_partial(ROWS, LABELS, columns=COLUMNS),
    "crossed columns": lambda: make_partial(
        ROWS, LABELS, columns=COLUMNS, n_bins=9, crosses=[("count", "day"), ("colour", "count")]
    ),
    "texts in parts": lambda: make_partial(TEXTS, LABELS),
    "sets of labels": lambda: make(threshold="tuned", validation_fraction=0.4).fit(ROWS, SETS),
    "an indicator": lambda: make(class_weight={0: 2.0}, threshold=0.3).fit(TEXTS, INDICATOR),
    "texts with crosses": lambda: make(head="lsh", hidden_size=8).fit(TEXTS, LABELS),
    "sets with crosses": lambda: make(head="lsh", hidden_size=8, n_tables=3).fit(ROWS, SETS),
    "sets with other tables": lambda: make(head="lsh", hidden_size=8, **TABLES).fit(ROWS, SETS),
}


@pytest.fixture(scope="module")
def models():
    return {}


def get(models, kind):
    if kind not in models:
        models[kind] = MODELS[kind]()
    return models[kind]


def rows_of(kind):
    if "ready features" in kind:
        return make_csr()[0]
    if kind == "numbers":
        return np.arange(72.0).reshape(36, 2) % 7
    return TEXTS if "texts" in kind or kind == "an indicator" else ROWS


def same(answer, expected):
    if isinstance(answer, list):
        assert answer == expected
    else:
        assert answer.dtype == expected.dtype
        np.testing.assert_array_equal(answer, expected)


PLAIN = [
    "columns_", "threshold_", "n_features_in_", "n_iter_", "loss_curve_", "validation_scores_",
    "label_format_",
]  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_comes_back_whole(kind, models, tmp_path):
    model, X = get(models, kind), rows_of(kind)
    model.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    copies = [loaded, pickle.loads(pickle.dumps(model)), pickle.loads(pickle.dumps(loaded))]
    for copy in copies:
        assert copy.get_params() == model.get_params()
        for name in PLAIN:
            assert getattr(copy, name) == getattr(model, name)
        same(copy.classes_, model.classes_)
        assert hasattr(copy, "feature_names_in_") == hasattr(model, "feature_names_in_")
        if hasattr(model, "feature_names_in_"):
            assert copy.feature_names_in_.tolist() == model.feature_names_in_.tolist()
        for rows in (X, X[:1], X[1:4]):
            same(copy.predict(rows), model.predict(rows))
            same(copy.predict_proba(rows), model.predict_proba(rows))
            same(copy.decision_function(rows), model.decision_function(rows))
            same(copy.predict_topk(rows, 2)[0], model.predict_topk(rows, 2)[0])
    loaded.save(tmp_path / "again.udt")
    assert (tmp_path / "again.udt").read_bytes() == (tmp_path / "model.udt").read_bytes()
    model.save(tmp_path / "again.udt")
    assert (tmp_path / "again.udt").read_bytes() == (tmp_path / "model.udt").read_bytes()


@pytest.mark.parametrize(
    "kind",
    [
        "texts",
        "a table",
        "a table in parts",
        "crossed columns",
        "ready features",
        "weighted ready features",
    ],
)
def test_a_loaded_model_goes_on(kind, models, tmp_path):
    model, X = get(models, kind), rows_of(kind)
    y = make_csr()[1] if "ready features" in kind else LABELS
    model.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    loaded.partial_fit(X, y)
    assert np.isfinite(loaded.predict_proba(X)).all()
    here = pickle.loads(pickle.dumps(model))
    here.partial_fit(X, y)
    assert loaded.network_.wide.shape == here.network_.wide.shape
    again = clone(loaded).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), clone(model).fit(X, y).predict_proba(X))


def test_a_file_from_before_a_parameter_was_there(models, tmp_path):
    path, meta, arrays = parts(models, "sets with crosses", tmp_path)
    params = {name: value for name, value in meta["params"].items() if name not in TABLES}
    write_model(path, meta | {"params": params}, arrays)
    assert udt.load(path).get_params() == get(models, "sets with crosses").get_params()


def test_a_tokenizer_is_within_the_file(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    first = make(tokenizer="bpe").fit(TEXTS, LABELS)
    live = tokenizers.Tokenizer.from_str(first.featurizer_.texts_[0].tokenizer_)
    live.save(str(tmp_path / "tokenizer.json"))
    for one in (live, str(tmp_path / "tokenizer.json")):
        model = make(tokenizer=one).fit(TEXTS, LABELS)
        same(model.predict_proba(TEXTS), first.predict_proba(TEXTS))
        model.save(tmp_path / "model.udt")
        (tmp_path / "tokenizer.json").unlink(missing_ok=True)
        loaded = udt.load(tmp_path / "model.udt")
        same(loaded.predict_proba(TEXTS), first.predict_proba(TEXTS))
        live.save(str(tmp_path / "tokenizer.json"))


def test_columns_of_any_mapping(tmp_path):
    from types import MappingProxyType

    model = make(columns=MappingProxyType(COLUMNS)).fit(ROWS, LABELS)
    model.save(tmp_path / "model.udt")
    assert udt.load(tmp_path / "model.udt").columns == COLUMNS


# --------------------------------------------------------------------------------------- damage


def parts(models, kind, tmp_path):
    path = tmp_path / f"{kind}.udt"
    get(models, kind).save(path)
    meta, arrays = read_model(path)
    return path, meta, {name: array.copy() for name, array in arrays.items()}


def refuses(path, meta, arrays):
    write_model(path, meta, arrays)
    with pytest.raises(ModelFileError, match=re.escape(path.name)) as error:
        udt.load(path)
    return str(error.value)


@pytest.mark.parametrize("kind", MODELS)
def test_every_array_is_needed_and_no_other(kind, models, tmp_path):
    path, meta, arrays = parts(models, kind, tmp_path)
    for name in arrays:
        rest = {other: array for other, array in arrays.items() if other != name}
        refuses(path, meta, rest)
    refuses(path, meta, arrays | {"more": np.zeros(3)})


@pytest.mark.parametrize("kind", MODELS)
def test_every_value_of_the_metadata_is_needed(kind, models, tmp_path):
    path, meta, arrays = parts(models, kind, tmp_path)
    for name in meta.keys() - {"best_params"}:  # which older files have not
        refuses(path, {other: value for other, value in meta.items() if other != name}, arrays)
    for name in meta["features"]:
        features = {other: value for other, value in meta["features"].items() if other != name}
        refuses(path, meta | {"features": features}, arrays)


def test_what_a_search_found_must_be_parameters(models, tmp_path):
    path, meta, arrays = parts(models, "texts", tmp_path)
    for found in ({"size": 3}, {"min_df": 1, "dropout": 2}, {"hidden_size": "many"}, ["min_df"], 3):
        refuses(path, meta | {"best_params": found}, arrays)
    write_model(path, meta | {"best_params": {"min_df": 1}}, arrays)
    assert udt.load(path).best_params_ == {"min_df": 1}
    del meta["best_params"]
    write_model(path, meta, arrays)
    assert udt.load(path).best_params_ == {}


SHAPES = {
    "one less": lambda array: array[:-1],
    "one more": lambda array: np.concatenate([array, array[-1:]]),
    "another dimension": lambda array: array[..., np.newaxis],
    "flat": lambda array: array.ravel() if array.ndim > 1 else array[np.newaxis],
    "another dtype": lambda array: array.astype("f4" if array.dtype == np.float64 else "f8"),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("change", SHAPES)
def test_arrays_of_another_shape_do_not_fit_together(kind, change, models, tmp_path):
    path, meta, arrays = parts(models, kind, tmp_path)
    for name, array in arrays.items():
        # These two and the rows of the weights are as long as they are: shorter ones are sound.
        is_free = re.search(
            r"rare|class_rows|knots|cells.crosses|wide$|embedding$|labels|tokenizer|probes", name
        )
        if not array.size or (is_free and change in ("one less", "one more")):
            continue
        if re.search("label|tokenizer", name) and change != "another dtype":
            continue
        message = refuses(path, meta, arrays | {name: SHAPES[change](array)})
        assert "damaged" in message, name


NUMBERS = ["ids.0", "ids.1", "text.0.buckets_", "text.0.ngrams_", "cells.bounds", "cells.firsts"]
NUMBERS += ["cells.hash_ids", "text.1.buckets_"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-(2**62), -2, 1 << 20, 1 << 40, 2**62])
def test_numbers_that_point_beyond_an_array(name, value, models, tmp_path):
    path, meta, arrays = parts(models, "a table", tmp_path)
    for at in {0, arrays[name].size // 2, arrays[name].size - 1}:
        changed = arrays[name].copy()
        changed.flat[at] = value
        if name == "text.0.buckets_" and 0 <= value < meta["features"]["n_buckets"][0]:
            continue
        assert "do not fit together" in refuses(path, meta, arrays | {name: changed})


@pytest.mark.parametrize("value", [-(2**62), -1, 1 << 20, 2**62])
def test_crossed_columns_that_are_not_there(value, models, tmp_path):
    path, meta, arrays = parts(models, "crossed columns", tmp_path)
    for at in range(3):
        changed = arrays["cells.crosses"].copy()
        changed[-1, at] = value
        message = refuses(path, meta, arrays | {"cells.crosses": changed})
        assert "do not fit together" in message


def crossed(models, tmp_path):
    path, meta, arrays = parts(models, "texts with crosses", tmp_path)
    sizes = np.diff(arrays["network.cross_starts"])
    assert (sizes >= 64).all()
    return path, meta, arrays


@pytest.mark.parametrize("value", [-(2**62), -64, -1, 1, 63, 65, 1 << 20, 1 << 40, 2**62])
def test_crosses_of_a_class_that_lie_elsewhere(value, models, tmp_path):
    path, meta, arrays = crossed(models, tmp_path)
    for at in range(4):
        changed = arrays["network.cross_starts"].copy()
        changed[at] += value
        message = refuses(path, meta, arrays | {"network.cross_starts": changed})
        assert "do not fit together" in message


def test_crosses_whose_sizes_go_once_around(models, tmp_path):
    """Powers of two, each above zero, from 0 to the number of crosses: modulo 2**64."""
    model = make(head="lsh", hidden_size=4).fit(TEXTS, [f"label {i % 6}" for i in range(36)])
    path = tmp_path / "around.udt"
    model.save(path)
    meta, arrays = read_model(path)
    starts = np.array([0, 2**62, -(2**63), -(2**62), 0, 64, 128], dtype=np.int64)
    crosses = np.zeros(128, dtype=np.float32)
    refuses(path, meta, arrays | {"network.cross_starts": starts, "network.crosses": crosses})


def test_crosses_without_places_and_places_without_crosses(models, tmp_path):
    path, meta, arrays = crossed(models, tmp_path)
    none = {"network.crosses": np.zeros(0, dtype=np.float32)}
    only = {"network.cross_starts": np.zeros(1, dtype=np.int64)}
    refuses(path, meta, arrays | none)
    refuses(path, meta, arrays | only)
    refuses(path, meta, arrays | none | {"network.cross_starts": np.zeros(0, dtype=np.int64)})
    write_model(path, meta, arrays | none | only)
    assert not udt.load(path).network_.has_crosses


@pytest.mark.parametrize("kind", ["texts with crosses", "sets with crosses"])
def test_approximate_answers_are_the_same_after_a_journey(kind, models, tmp_path):
    model, X = get(models, kind), rows_of(kind)
    expected = model.predict_topk(X, 2, approximate=True)
    model.save(tmp_path / "model.udt")
    for copy in (udt.load(tmp_path / "model.udt"), pickle.loads(pickle.dumps(model))):
        for answer, whole in zip(copy.predict_topk(X, 2, approximate=True), expected, strict=True):
            same(answer, whole)
        assert copy.topk_recall(X, 2) == model.topk_recall(X, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_knots_that_are_not_finite(value, models, tmp_path):
    path, meta, arrays = parts(models, "a table", tmp_path)
    arrays["cells.knots"][3] = value
    assert "do not fit together" in refuses(path, meta, arrays)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_a_number_is_refused_or_harmless(data, models, tmp_path):
    """Kernels trust the arrays: what is let through must not make them read beyond one."""
    kind = data.draw(st.sampled_from(["a table in parts", "crossed columns", "sets with crosses"]))
    path, meta, arrays = parts(models, kind, tmp_path)
    name = data.draw(st.sampled_from(sorted(n for n in arrays if arrays[n].size)))
    assume(not name.startswith("label"))
    array = arrays[name]
    at = data.draw(st.integers(0, array.size - 1))
    if array.dtype.kind == "f":
        array.flat[at] = data.draw(st.floats(width=32))
    else:
        info = np.iinfo(array.dtype)
        near = st.integers(-3, 40).filter(lambda n: info.min <= n <= info.max)
        array.flat[at] = data.draw(near | st.integers(info.min, info.max))
    write_model(path, meta, arrays)
    try:
        model = udt.load(path)
    except ModelFileError:
        return
    with np.errstate(all="ignore"):
        for rows in (ROWS, ROWS[:1]):
            assert model.predict_proba(rows).shape == (len(rows), 3)
        if kind == "sets with crosses":
            with contextlib.suppress(NotFinite):
                assert model.predict_topk(ROWS, 2, approximate=True)[0].shape == (len(ROWS), 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("columns", []),
        ("columns", [{"name": "a", "role": "colour"}]),
        ("columns", [{"name": "a"}]),
        ("n_buckets", [256]),
        ("n_buckets", [3, 3]),
        ("n_buckets", [0, 0]),
        ("n_buckets", ["a", "b"]),
        ("n_embedded", None),
        ("cells", {}),
        ("cells", {"scale": "x", "n_features": 3, "n_embedded": 3}),
        ("cells", {"scale": -1.0, "n_features": 3, "n_embedded": 3}),
        ("cells", {"scale": 1.0, "n_features": 10**9, "n_embedded": 3}),
    ],
)
def test_metadata_that_does_not_fit(name, value, models, tmp_path):
    path, meta, arrays = parts(models, "a table", tmp_path)
    refuses(path, meta | {"features": meta["features"] | {name: value}}, arrays)


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"max_iter": 0}},
        {"params": {"threshold": "x"}},
        {"params": {"epochs": 3}},
        {"params": []},
        {"label_format": {"kind": "colours"}},
        {"threshold_": "x"},
        {"n_iter_": None},
        {"names": 3},
    ],
    ids=json.dumps,
)
def test_values_of_the_model_that_are_none(changes, models, tmp_path):
    path, meta, arrays = parts(models, "a table", tmp_path)
    refuses(path, meta | changes, arrays)


def test_ready_features_without_a_scale(models, tmp_path):
    path, meta, arrays = parts(models, "ready features", tmp_path)
    for features in (
        {"scale": 0.0, "n_features_in": 30}, {"scale": 1.0, "n_features_in": 0}, {"scale": 1.0},
        {"scale": None, "n_features_in": 30},
    ):  # fmt: skip
        refuses(path, meta | {"features": features}, arrays)


def test_weights_of_ready_features_that_are_none(models, tmp_path):
    path, meta, arrays = parts(models, "weighted ready features", tmp_path)
    features, idf, rows = meta["features"], arrays["ready.idf"], arrays["ready.label_rows"]
    for wrong in ({"weighting": "bm25"}, {"n_rows": -1}, {"n_rows": None}, {"n_rows": 1}):
        refuses(path, meta | {"features": features | wrong}, arrays)
    for wrong in (idf[1:], idf.astype(np.float64), idf * np.nan, -idf):
        refuses(path, meta, arrays | {"ready.idf": wrong})
    for wrong in (np.r_[rows, rows], rows - 1000, rows.astype(np.float64), rows[:, None]):
        refuses(path, meta, arrays | {"ready.label_rows": wrong})


def test_a_tokenizer_that_is_none(models, tmp_path):
    path, meta, arrays = parts(models, "texts with tokens", tmp_path)
    (name,) = [name for name in arrays if name.endswith("tokenizer_")]
    for junk in (b"{}", b"\xff\xfe", b"null"):
        refuses(path, meta, arrays | {name: np.frombuffer(junk, np.uint8)})


def test_any_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.udt"
    write_model(path, {}, {})
    with pytest.raises(ModelFileError, match=r"model\.udt: is damaged"):
        udt.load(path)
    with pytest.raises(FileNotFoundError):
        udt.load(tmp_path / "none.udt")


@pytest.mark.parametrize("kind", ["texts", "a table", "sets of labels", "ready features"])
def test_the_size_of_a_file_is_known_before_it_is_written(kind, tmp_path):
    model = MODELS[kind]()
    for each in (model, model.quantize(4)):
        each.save(tmp_path / "m.udt")
        assert size(each) == (tmp_path / "m.udt").stat().st_size
