"""Labels and weights at the door."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import DataConversionWarning

from udt.labels import LabelFormat, LabelSets
from udt.metrics import propensities
from udt.targets import (
    check_labels,
    check_positive_weights,
    check_weights,
    extend_targets,
    find_labels,
    match_targets,
    number_labels,
    read_first_targets,
    read_targets,
    stratified_folds,
    stratified_split,
)

WORDS = ["b", "a", "b", "c"]
NUMBERS = [3, -1, 3, 7]
TEXT_LABELS = {
    "list": list,
    "tuple": tuple,
    "numpy str": np.array,
    "numpy object": lambda v: np.array(v, dtype=object),
    "numpy StringDType": lambda v: np.array(v, dtype=np.dtypes.StringDType()),
    "numpy str scalars": lambda v: list(np.array(v)),
    "pandas default": pd.Series,
    "pandas object": lambda v: pd.Series(v, dtype=object),
    "pandas string[python]": lambda v: pd.Series(v, dtype="string[python]"),
    "pandas ArrowDtype": lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.string())),
    "pandas category": lambda v: pd.Series(v, dtype="category"),
    "pandas Categorical": pd.Categorical,
    "pandas Index": pd.Index,
    "polars": pl.Series,
    "polars Categorical": lambda v: pl.Series(v, dtype=pl.Categorical),
    "arrow": pa.array,
    "arrow chunks": lambda v: pa.chunked_array([v[:2], v[2:]]),
    "arrow dictionary": lambda v: pa.array(v).dictionary_encode(),
}
NUMBER_LABELS = {
    "list": (list, np.int64),
    "pandas": (pd.Series, np.int64),
    "pandas Int64": (lambda v: pd.Series(v, dtype="Int64"), np.int64),
    "pandas ArrowDtype": (lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.int16())), np.int16),
    "pandas category": (lambda v: pd.Series(v, dtype="category"), np.int64),
    "polars": (pl.Series, np.int64),
    "arrow": (pa.array, np.int64),
} | {
    name: (lambda v, name=name: np.array(v, dtype=name), np.dtype(name))
    for name in ("int8", "int16", "int32", "int64", ">i4", "float32", "float64")
}


@pytest.mark.parametrize("kind", TEXT_LABELS)
def test_text_labels_of_any_kind(kind):
    classes, numbers = number_labels(check_labels(TEXT_LABELS[kind](WORDS), 4))
    assert classes.tolist() == ["a", "b", "c"]
    assert classes.dtype.kind in "UO"
    assert numbers.tolist() == [1, 0, 1, 2]
    assert numbers.dtype == np.int64


@pytest.mark.parametrize("kind", NUMBER_LABELS)
def test_numbers_as_labels_keep_their_dtype(kind):
    make, dtype = NUMBER_LABELS[kind]
    classes, numbers = number_labels(check_labels(make(NUMBERS), 4))
    assert classes.tolist() == [-1, 3, 7]
    assert classes.dtype == dtype
    assert numbers.tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize(
    "y",
    [
        [True, False],
        np.array([True, False]),
        pd.Series([True, False], dtype="boolean"),
        pl.Series([True, False]),
    ],
)
def test_truth_values_as_labels(y):
    classes, numbers = number_labels(check_labels(y, 2))
    assert classes.dtype == bool
    assert numbers.tolist() == [1, 0]


def test_dates_as_labels():
    classes, _ = number_labels(check_labels(np.array(["2021", "2020"], dtype="M8[D]"), 2))
    assert classes.dtype == "M8[D]"


def test_a_column_of_labels_warns_as_in_scikit_learn():
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        labels = check_labels(np.array([["a"], ["b"]]), 2)
    assert labels.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "y",
    {
        "None": ["a", "b", None],
        "NaN among text": ["a", "b", float("nan")],
        "NaN in a tuple": ("a", "b", np.nan),
        "NaN in objects": np.array(["a", "b", np.nan], dtype=object),
        "NaN among numbers": [1.0, 2.0, np.nan],
        "None among numbers": [1, 2, None],
        "NaT": np.array(["2020", "2021", "NaT"], dtype="M8[D]"),
        "pd.NA": ["a", "b", pd.NA],
        "pandas": pd.Series(["a", "b", None]),
        "pandas string": pd.Series(["a", "b", pd.NA], dtype="string"),
        "pandas Int64": pd.Series([1, 2, None], dtype="Int64"),
        "pandas category": pd.Series(["a", "b", None], dtype="category"),
        "polars": pl.Series(["a", "b", None]),
        "polars numbers": pl.Series([1, 2, None]),
        "arrow": pa.array(["a", "b", None]),
        "masked": np.ma.MaskedArray([1, 2, 3], mask=[False, False, True]),
        "StringDType": np.array(["a", "b", None], dtype=np.dtypes.StringDType(na_object=None)),
    }.items(),
    ids=lambda item: item[0],
)
def test_missing_labels_name_their_row(y):
    with pytest.raises(ValueError, match=r"y has a missing label .* in row 2: drop the rows"):
        check_labels(y[1], 3)


def test_no_labels_at_all():
    with pytest.raises(ValueError, match="requires y to be passed, but the target y_val is None"):
        check_labels(None, 3, "y_val")


@pytest.mark.parametrize("y", [["a"], ["a", "b", "c"], []])
def test_labels_of_another_length(y):
    with pytest.raises(ValueError, match=f"y has {len(y)} labels, but there are 2 rows"):
        check_labels(y, 2)


@pytest.mark.parametrize("y", ["a", np.array("a"), 3])
def test_a_single_label(y):
    with pytest.raises(ValueError, match="y should be a 1d array"):
        check_labels(y, 1)


def test_more_than_one_label_a_row():
    with pytest.raises(ValueError, match=r"y_val has shape \(3, 2\), but .* one label a row"):
        check_labels(np.zeros((3, 2)), 3, "y_val")


@pytest.mark.parametrize("y", [[1, "a"], ["a", True], np.array(["a", 1], dtype=object)])
def test_text_and_numbers_together_are_no_labels(y):
    with pytest.raises(TypeError, match=r"y is of dtype object and holds (int|bool). Give labels"):
        check_labels(y, 2)


def test_numbers_in_an_object_array_are_no_labels():
    # scikit-learn's own classifiers and metrics refuse them too.
    with pytest.raises(TypeError, match="y is of dtype object and holds int"):
        check_labels(pd.Series([1, 2], dtype=object), 2)


def test_labels_that_are_no_classes():
    with pytest.raises(ValueError, match=r"Unknown label type: .*continuous"):
        check_labels([0.5, 1.5], 2)
    with pytest.raises(ValueError, match="y holds infinity, which is no class"):
        check_labels([0.0, np.inf], 2)


def test_one_class_only():
    with pytest.raises(ValueError, match=r"one class only \('a'\): give rows of at least two"):
        number_labels(np.array(["a", "a"]))


def test_labels_are_found_among_classes():
    classes = np.array(["a", "b", "c"])
    assert find_labels(np.array(["c", "a"], dtype=object), classes, "y_val").tolist() == [2, 0]
    with pytest.raises(ValueError, match="y_val has the label 'd', which is not among the classes"):
        find_labels(np.array(["a", "d"]), classes, "y_val")


def test_weights_have_a_mean_of_one_over_the_rows_that_count():
    weights = check_weights([2, 0, 6], None, np.array([0, 1, 1]))
    assert weights.dtype == np.float32
    assert weights.tolist() == [0.5, 0, 1.5]


def test_no_weights_and_equal_weights_are_one():
    labels = np.array(["a", "b", "b"])
    for sample_weight in (None, 2.0, [5, 5, 5], [1e-320] * 3, [1.7e308] * 3):
        np.testing.assert_allclose(check_weights(sample_weight, None, labels), 1, rtol=1e-6)


def test_weights_of_very_different_size_stay_finite():
    weights = check_weights([1e300, 1e-300, 1], None, np.array([0, 1, 1]))
    assert np.isfinite(weights).all()
    assert weights[0] > 0


def test_class_weights_follow_the_labels():
    labels, classes = np.array(["a", "b", "b", "b"]), np.array(["a", "b"])
    weights = check_weights(None, {"a": 6, "b": 2}, labels, classes)
    np.testing.assert_allclose(weights, [2, 2 / 3, 2 / 3, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(check_weights(None, "balanced", labels, classes), weights, rtol=1e-6)
    both = check_weights([1, 0, 1, 1], {"a": 2}, labels, classes)
    np.testing.assert_allclose(both, [1.5, 0, 0.75, 0.75], rtol=1e-6)


@pytest.mark.parametrize(
    ("sample_weight", "error", "message"),
    [
        ([1, -1, 1], ValueError, r"sample_weight\[1\] is -1.0: .* not negative"),
        ([1, 1, np.nan], ValueError, r"sample_weight\[2\] is nan: .* finite"),
        ([np.inf, 1, 1], ValueError, r"sample_weight\[0\] is inf"),
        ([0, 0, 0], ValueError, "sample_weight is zero in every row"),
        (-2.0, ValueError, r"sample_weight\[0\] is -2.0"),
        ([1, 1], ValueError, r"sample_weight has shape \(2,\), but there are 3 rows"),
        ([[1], [1], [1]], ValueError, r"sample_weight has shape \(3, 1\)"),
        (["a", "b", "c"], TypeError, "sample_weight must be numbers, one a row"),
        ([1, [2], 3], TypeError, "sample_weight must be numbers, one a row"),
    ],
)
def test_unusable_sample_weights(sample_weight, error, message):
    with pytest.raises(error, match=message):
        check_weights(sample_weight, None, np.array(["a", "b", "b"]))


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"a": -1, "b": 1}, r"class_weight\['a'\] is -1.0: .* not negative"),
        ({"a": 1, "b": np.nan}, r"class_weight\['b'\] is nan: .* finite"),
        ({"a": 0, "b": 0}, "leave no row with a positive weight"),
        ({"c": 1}, "not in class_weight"),
        ("heavy", "class_weight.*'heavy'"),
        (3, "class_weight.*3"),
    ],
)
def test_unusable_class_weights(class_weight, message):
    labels = np.array(["a", "b", "b"])
    with pytest.raises(ValueError, match=message):
        check_weights(None, class_weight, labels, np.unique(labels))


@given(
    targets=st.lists(st.integers(0, 6), min_size=1, max_size=300),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_a_split_takes_its_share_of_each_class_and_leaves_one_row(targets, fraction, seed):
    targets = np.array(targets)
    held_out = stratified_split(targets, fraction, np.random.RandomState(seed))
    assert held_out.dtype == bool
    assert held_out.shape == targets.shape
    for target, size in zip(*np.unique(targets, return_counts=True), strict=True):
        n_taken = np.count_nonzero(held_out[targets == target])
        assert abs(n_taken - fraction * size) <= 2
        assert n_taken < size
    again = stratified_split(targets, fraction, np.random.RandomState(seed))
    np.testing.assert_array_equal(held_out, again)


def test_every_row_of_a_class_is_as_likely_to_be_held_out():
    targets = np.repeat([0, 1, 2], [1, 10, 40])
    random = np.random.RandomState(0)
    share = np.mean([stratified_split(targets, 0.2, random) for _ in range(2000)], axis=0)
    assert share[0] == 0
    np.testing.assert_allclose(share[1:11], share[1:11].mean(), atol=0.04)
    np.testing.assert_allclose(share[11:], 0.2, atol=0.04)


@given(
    targets=st.lists(st.integers(0, 4), min_size=1, max_size=80),
    n_folds=st.integers(1, 7),
    seed=st.integers(0, 1000),
)
def test_folds_have_the_same_size_and_their_share_of_each_class(targets, n_folds, seed):
    targets = np.array(targets)
    folds = stratified_folds(targets, n_folds, np.random.RandomState(seed))
    assert folds.shape == targets.shape
    assert folds.dtype == np.int64
    assert folds.min() >= -1 and folds.max() < n_folds
    n_alone = 0
    for target, size in zip(*np.unique(targets, return_counts=True), strict=True):
        own = folds[targets == target]
        n_alone += size == 1
        assert (size == 1) == (-1 in own)
        counts = np.bincount(own[own >= 0], minlength=n_folds)
        assert size == 1 or counts.max() - counts.min() <= 1
    sizes = np.bincount(folds[folds >= 0], minlength=n_folds)
    assert sizes.max() - sizes.min() <= 1 + n_alone
    again = stratified_folds(targets, n_folds, np.random.RandomState(seed))
    np.testing.assert_array_equal(folds, again)


def test_another_seed_deals_other_folds():
    targets = np.repeat([0, 1], 50)
    one, two = (stratified_folds(targets, 5, np.random.RandomState(seed)) for seed in (0, 1))
    assert (one != two).any()


def test_folds_of_many_labels_go_by_the_rarest():
    mask = np.zeros((60, 3), dtype=bool)
    mask[:, 0] = True
    mask[:10, 1] = True
    mask[10, 2] = True
    folds = stratified_folds(LabelSets.from_mask(mask), 5, np.random.RandomState(0))
    assert np.bincount(folds[:10]).tolist() == [2] * 5
    assert folds[10] == -1  # the only row of its label
    assert (folds[11:] >= 0).all()


def test_balanced_weights_of_rows_that_lack_a_class():
    classes = np.array(["a", "b", "c"])
    labels = np.array(["a", "c", "c", "c"])
    weights = check_weights(None, "balanced", labels, classes)
    np.testing.assert_array_equal(
        weights, check_weights(None, "balanced", labels, np.array(["a", "c"]))
    )
    np.testing.assert_allclose(weights / weights[0], [1, 1 / 3, 1 / 3, 1 / 3], rtol=1e-6)
    shuffled = check_weights(None, "balanced", labels, np.array(["c", "b", "a"]))
    np.testing.assert_array_equal(shuffled, weights)


def test_targets_of_one_label_a_row():
    targets = read_targets(["b", "a", "b"], 3)
    assert not targets.is_multilabel
    assert targets.classes.tolist() == ["a", "b"]
    assert targets.numbers.tolist() == [1, 0, 1]
    assert targets.format == LabelFormat("multiclass")


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([["b"], [], ["a", "b"]], "lists"),
        (np.array([[0, 1], [0, 0], [1, 1]]), "indicator"),
        (sp.csr_matrix([[0, 1], [0, 0], [1, 1]]), "sparse indicator"),
    ],
    ids=str,
)
def test_targets_of_any_number_of_labels(y, kind):
    targets = read_targets(y, 3)
    assert targets.is_multilabel
    assert targets.format.kind == kind
    assert targets.numbers.indices.tolist() == [1, 0, 1]
    assert targets.numbers.indptr.tolist() == [0, 1, 1, 3]
    assert targets.classes.tolist() == (["a", "b"] if kind == "lists" else [0, 1])


def test_no_targets():
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        read_targets(None, 3)


INDICATOR = np.array([[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("y", "kind", "classes"),
    [
        (["b", "a"], "multiclass", ["a", "b"]),
        (INDICATOR, "indicator", [0, 1]),
        (INDICATOR.tolist(), "indicator", [0, 1]),
        (sp.csr_matrix(INDICATOR), "indicator", [0, 1]),
        (INDICATOR, "sparse indicator", [0, 1]),
        ([["b"], ["a"]], "lists", ["a", "b"]),
        ([{1}, {0}], "lists", [0, 1]),
        ([[1, 1], [0, 0]], "lists", [0, 1]),  # elsewhere an indicator
    ],
    ids=str,
)
def test_labels_of_other_rows(y, kind, classes):
    found = match_targets(y, 2, np.array(classes), LabelFormat(kind), "y_val")
    assert getattr(found, "indices", found).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("y", "kind", "message"),
    [
        (None, "multiclass", "requires y to be passed, but the target y_val is None"),
        (
            None,
            "lists",
            r"y_val does not write labels as y did in fit: give a list of the labels of each row\.",
        ),
        (["a", "b"], "lists", "y_val does not write labels as y did in fit: give a list"),
        (INDICATOR, "lists", "y_val does not write labels as y did in fit: give a list"),
        ([["a"], ["b"]], "indicator", r"as y did in fit: give an indicator of shape \(2, 2\)"),
        (["a", "b"], "sparse indicator", "as y did in fit: give an indicator"),
        (INDICATOR, "multiclass", r"y_val has shape \(2, 2\), but .* one label a row"),
        (np.ones((2, 3)), "indicator", "y_val has 3 columns, but there are 2 labels in y"),
        ([["a"], ["c"]], "lists", "y_val has the label 'c' in row 1, which is not in y"),
    ],
    ids=str,
)
def test_labels_of_other_rows_that_do_not_fit(y, kind, message):
    with pytest.raises(ValueError, match=message):
        match_targets(y, 2, np.array(["a", "b"]), LabelFormat(kind), "y_val")


@pytest.mark.parametrize(
    ("y", "kind", "expected", "numbers"),
    [
        (["a", "z", "b"], "multiclass", ["b", "z", "a"], [2, 1, 0]),
        ([["a"], ["z", "b"]], "lists", ["b", "z", "a"], [2, 0, 1]),
        (np.array([2, 9, 5]), "multiclass", [5, 9, 2], [2, 1, 0]),
        ([[1, 0], [0, 1]], "lists", [1, 0], [0, 1, 0, 1]),
        (np.array([[0, 1], [1, 0]]), "indicator", [0, 1], [1, 0]),
    ],
    ids=str,
)
def test_new_labels_come_behind_the_known_ones(y, kind, expected, numbers):
    classes = np.array(expected[:2] if kind != "lists" or expected != [1, 0] else [1])
    found = extend_targets(y, len(y), classes, LabelFormat(kind))
    assert found.classes.tolist() == expected
    assert getattr(found.numbers, "indices", found.numbers).tolist() == numbers
    assert found.format == LabelFormat(kind)


def test_new_labels_of_another_type():
    with pytest.raises(TypeError, match="but those known are of dtype <U1: give labels of one"):
        extend_targets([1, 2], 2, np.array(["a", "b"]), LabelFormat())


def test_an_indicator_cannot_grow():
    with pytest.raises(ValueError, match="y has 3 columns, but there are 2 labels in y"):
        extend_targets(np.eye(3), 3, np.arange(2), LabelFormat("indicator"))


@pytest.mark.parametrize(
    ("y", "classes", "expected", "numbers"),
    [
        (["a", "b"], ["c", "b", "a"], ["a", "b", "c"], [0, 1]),
        (["a", "b"], np.array(["b", "a"], dtype=object), ["a", "b"], [0, 1]),
        ([["b"], []], ["a", "b"], ["a", "b"], [1]),
        (np.eye(2), None, [0, 1], [0, 1]),
    ],
    ids=str,
)
def test_first_labels_among_all_that_will_occur(y, classes, expected, numbers):
    found = read_first_targets(y, 2, classes)
    assert found.classes.tolist() == expected
    assert getattr(found.numbers, "indices", found.numbers).tolist() == numbers


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (["a", "b"], None, "classes must be passed on the first call to partial_fit"),
        ([["a"], ["b"]], None, "classes must be passed"),
        (["a", "a"], ["a"], r"classes has one class only \('a'\)"),
        (["a", "d"], ["a", "b"], "y has the label 'd', which is not among the classes"),
        (["a", "b"], ["a", None], "classes has a missing label"),
        (None, ["a", "b"], "the target y is None"),
    ],
    ids=str,
)
def test_first_labels_that_do_not_fit(y, classes, message):
    with pytest.raises(ValueError, match=message):
        read_first_targets(y, 2, classes)


def test_weights_of_labels():
    classes = np.array(["a", "b", "c"])
    assert check_positive_weights(None, classes) is None
    weights = check_positive_weights({"c": 3, "a": 0.5}, classes)
    assert weights.dtype == np.float32
    assert weights.tolist() == [0.5, 1, 3]


def test_inverse_propensities_as_weights_of_labels():
    labels = LabelSets.from_mask(np.arange(400)[:, None] % [1, 4, 100, 1000] == [0, 0, 0, 999])
    weights = check_positive_weights("propensity", np.arange(4), labels)
    assert weights.dtype == np.float32
    assert np.all(np.diff(weights) > 0)
    inverse = 1 / propensities(labels)
    np.testing.assert_allclose(weights / weights[0], inverse / inverse[0], rtol=1e-6)
    counts = labels.frequencies()
    assert counts.tolist() == [400, 100, 4, 0]
    assert np.average(weights, weights=counts) == pytest.approx(1)


def test_propensity_is_for_any_number_of_labels():
    with pytest.raises(ValueError, match='propensity" is for rows of any number of labels'):
        check_weights(None, "propensity", np.array(["a", "b"]), np.array(["a", "b"]))


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("balanced", "class_weight='balanced': where rows have any number of labels, give a dict"),
        ([{0: 1}], 'give a dict from labels to weights, "propensity" or None'),
        ({"d": 1}, "class_weight has the label 'd', which is not in y"),
        ({"a": 0}, r"class_weight\['a'\] is 0: weights must be finite and positive"),
        ({"a": np.nan}, r"class_weight\['a'\] is nan"),
        ({"a": "much"}, r"class_weight\['a'\] is 'much': give a number"),
    ],
)
def test_unusable_weights_of_labels(class_weight, message):
    with pytest.raises((ValueError, TypeError), match=message):
        check_positive_weights(class_weight, np.array(["a", "b", "c"]))


def test_rows_of_many_labels_are_split_by_their_rarest():
    random = np.random.default_rng(0)
    # Every row has label 0, a few have one of 1 to 4, and every tenth has none.
    mask = np.zeros((500, 5), dtype=bool)
    mask[:, 0] = True
    mask[np.arange(200), random.integers(1, 5, 200)] = True
    mask[::10] = False
    labels = LabelSets.from_mask(mask)
    held_out = stratified_split(labels, 0.2, np.random.RandomState(3))
    assert held_out.sum() == pytest.approx(100, abs=3)
    assert held_out[::10].sum() == pytest.approx(10, abs=2)
    for label in range(5):
        assert held_out[mask[:, label]].mean() == pytest.approx(0.2, abs=0.04)
    again = stratified_split(labels, 0.2, np.random.RandomState(3))
    np.testing.assert_array_equal(held_out, again)


def test_the_only_row_of_a_label_stays_in_training():
    labels = LabelSets.from_mask(np.array([[1, 1]] + [[1, 0]] * 9, dtype=bool))
    for seed in range(20):
        held_out = stratified_split(labels, 0.5, np.random.RandomState(seed))
        assert not held_out[0]
        assert held_out.any()
