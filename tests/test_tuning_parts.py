"""Rows that trials train on, are scored on, and never see; features that are kept."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.model_selection import KFold, LeaveOneOut, PredefinedSplit, ShuffleSplit

from udt.classifier import read_input
from udt.features.ready import ReadyFeatures
from udt.features.table import TableFeaturizer
from udt.targets import read_targets
from udt.tuning.parts import Features, Part, Rows, Store, can_be_parted, make_parts, take_rows

TEXTS = [f"row {i}" for i in range(6)]
FRAME = pd.DataFrame({"text": TEXTS, "number": range(6)}, index=range(10, 16))
CHOSEN = np.array([1, 4])
CONTAINERS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "range": range(6),
    "rows": [[text, 1] for text in TEXTS],
    "array": np.array(TEXTS),
    "structured": np.array([(i, i / 2) for i in range(6)], dtype=[("a", int), ("b", float)]),
    "frame": FRAME,
    "series": FRAME["text"],
    "index": pd.Index(TEXTS),
    "categorical": pd.Categorical(TEXTS),
    "extension array": pd.array(TEXTS),
    "polars frame": pl.from_pandas(FRAME),
    "polars series": pl.Series(TEXTS),
    "arrow table": pa.Table.from_pandas(FRAME, preserve_index=False),
    "arrow batch": pa.RecordBatch.from_pandas(FRAME, preserve_index=False),
    "arrow chunks": pa.chunked_array([TEXTS[:2], TEXTS[2:]]),
    "arrow array": pa.array(TEXTS),
    **{kind: sp.eye_array(6).asformat(kind) for kind in ("csr", "csc", "coo", "lil", "dia", "bsr")},
    "coo matrix": sp.coo_matrix(np.eye(6)),
}


def plain(X):
    """Give rows as lists."""
    if sp.issparse(X):
        return X.toarray().tolist()
    if isinstance(X, pd.DataFrame):
        return X.to_numpy().tolist()
    if isinstance(X, pl.DataFrame):
        return [list(row) for row in X.rows()]
    if isinstance(X, (pa.Table, pa.RecordBatch)):
        return [list(row.values()) for row in X.to_pylist()]
    if isinstance(X, (pa.ChunkedArray, pa.Array)):
        return X.to_pylist()
    return [row.tolist() if hasattr(row, "tolist") else row for row in X]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_rows_are_taken_in_their_own_container(kind):
    X = CONTAINERS[kind]
    some = take_rows(X, CHOSEN)
    assert can_be_parted(X)
    assert plain(some) == [plain(X)[1], plain(X)[4]]
    if kind not in ("tuple", "range") and not sp.issparse(X):
        assert type(some) is type(X)
    assert sp.issparse(some) == sp.issparse(X)


def test_other_containers_are_read_as_tables():
    lazy = pl.from_pandas(FRAME).lazy()
    assert not can_be_parted(lazy)
    some = take_rows(read_input(lazy), CHOSEN)
    assert some.n_rows == 2
    assert some.column(1).data.tolist() == [1, 4]


def test_what_only_says_that_it_is_an_array_becomes_one():
    class Labels:
        def __array__(self, dtype=None, copy=None):
            return np.arange(6) * 2

    assert take_rows(Labels(), CHOSEN).tolist() == [2, 8]


# -------------------------------------------------------------------------------------------- parts


def make_rows(n=100, weights=None, y=None, X=None):
    X = [f"w{i}" for i in range(n)] if X is None else X
    y = [i % 3 for i in range(n)] if y is None else y
    weights = None if weights is None else np.asarray(weights, dtype=float)
    return Rows(X, y, read_input(X), read_targets(y, n), weights)


def parted(rows, **arguments):
    arguments = {"n_stages": 3, "share": 1.0, "preliminary": False, "seed": 0} | arguments
    return make_parts(rows, **arguments)


def numbers_of(data):
    """Give the numbers of rows, which their texts hold."""
    return {int(text[1:]) for text in data.column(0).data.to_pylist()}


@pytest.mark.parametrize("n", [10, 11, 50, 300, 7000])
def test_sealed_rows_are_in_no_stage(n):
    rows = make_rows(n)
    parts = parted(rows)
    sealed = numbers_of(parts.sealed.data)
    assert sealed
    assert len(sealed) == pytest.approx(min(max(n / 10, min(n / 4, 500)), 10_000), abs=3)
    tests = []
    for stage in parts.stages:
        train, test = numbers_of(stage.data), numbers_of(stage.validation.data)
        assert not train & test
        assert train | test == set(range(n)) - sealed
        assert [f"w{i}" for i in sorted(test)] == stage.validation.X
        assert stage.validation.y == [i % 3 for i in sorted(test)]
        assert stage.target.numbers.tolist() == [i % 3 for i in sorted(train)]
        tests.append(test)
    assert len(tests) == 3
    assert sum(map(len, tests)) == len(set.union(*tests))


def test_the_seed_decides():
    def sealed(seed):
        return numbers_of(parted(make_rows(), seed=seed).sealed.data)

    assert sealed(0) == sealed(0) != sealed(1)


def test_a_share_of_the_rows_and_a_preliminary_part():
    parts = parted(make_rows(400), n_stages=1, share=0.5, preliminary=True)
    first, second = parts.stages
    assert (first.is_preliminary, second.is_preliminary) == (True, False)
    assert first.validation is second.validation
    assert numbers_of(first.data) < numbers_of(second.data)
    assert len(first) == pytest.approx(len(second) / 4, abs=3)
    assert len(second) + len(second.validation) == pytest.approx(150, abs=5)


def test_rows_without_weight_are_nowhere():
    parts = parted(make_rows(weights=np.arange(100) % 2))
    for data in [parts.sealed.data, *(stage.data for stage in parts.stages)]:
        assert all(number % 2 for number in numbers_of(data))
    assert parts.sealed.sample_weight.tolist() == [1.0] * len(parts.sealed)
    assert parts.stages[0].sample_weight.tolist() == [1.0] * len(parts.stages[0])


def test_weights_stay_with_their_rows():
    parts = parted(make_rows(weights=np.arange(100)))
    for part in (parts.sealed, parts.stages[0], parts.stages[0].validation):
        assert part.sample_weight.tolist() == sorted(numbers_of(part.data))


def test_rows_to_validate_on_take_the_place_of_folds():
    rows = make_rows()
    validation = parted(rows).sealed
    parts = parted(rows, validation=validation)
    assert len(parts.stages) == 1
    assert parts.stages[0].validation is validation
    assert len(parts.stages[0]) + len(parts.sealed) == 100


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_few_rows_leave_one_sealed_at_least(n):
    assert len(parted(make_rows(n, y=["a", "b"] * (n // 2) + ["a"] * (n % 2))).sealed)


SPLITS = {
    "int": (4, 4),
    "splitter": (KFold(5), 5),
    "random": (ShuffleSplit(2, random_state=0), 2),
    "predefined": (PredefinedSplit(np.arange(100) % 3), 3),
    "iterable": ([(np.arange(50), np.arange(50, 100)), (np.arange(50, 100), np.arange(50))], 2),
    "generator": (((range(90), range(90, 100)) for _ in range(1)), 1),
}


@pytest.mark.parametrize("kind", SPLITS)
def test_splits_of_peoples_own(kind):
    cv, n_stages = SPLITS[kind]
    parts = parted(make_rows(), cv=cv, n_stages=1)
    sealed = numbers_of(parts.sealed.data)
    assert len(parts.stages) == n_stages
    for stage in parts.stages:
        train, test = numbers_of(stage.data), numbers_of(stage.validation.data)
        assert train and test
        assert not (train & test or train & sealed or test & sealed)
    if kind == "predefined":  # whose numbers are those of all rows
        tests = [numbers_of(stage.validation.data) for stage in parts.stages]
        assert [{i % 3 for i in test} for test in tests] == [{0}, {1}, {2}]


def test_splits_that_the_seal_leaves_empty_are_left_out():
    parts = parted(make_rows(20), cv=LeaveOneOut())
    assert len(parts.stages) == 20 - len(parts.sealed)
    with pytest.raises(ValueError, match="leaves no row to train on, or none to score on"):
        parted(make_rows(20), cv=[(np.arange(20), numbers_to_test(parted(make_rows(20)).sealed))])


def numbers_to_test(scored):
    return sorted(numbers_of(scored.data))


@pytest.mark.parametrize("cv", [1, "five", 2.5])
def test_bad_splits_get_the_message_of_scikit_learn(cv):
    with pytest.raises(ValueError, match=r"n_splits=2 or more|Expected .?cv.? as an integer"):
        parted(make_rows(), cv=cv)


def test_any_number_of_labels_a_row():
    lists = [["a"], ["a", "b"], [], ["b"]] * 25
    for cv in (None, 3):
        parts = parted(make_rows(y=lists), cv=cv)
        assert len(parts.stages) == 3
        train = parts.stages[0]
        expected = [lists[i] for i in sorted(numbers_of(train.data))]
        found = train.target.format.write(train.target.numbers, train.target.classes)
        assert found == expected


# ----------------------------------------------------------------------------------------- features


def counted(n_bytes=100):
    """Make a function that makes features, and the list of its calls."""
    calls = []

    def make():
        calls.append(1)
        return object(), sp.csr_matrix(np.ones((1, n_bytes // 12)))

    return make, calls


def test_features_are_made_once_for_each_featurization_and_part():
    make, calls = counted()
    rows = make_rows()
    store = Store()
    parts = [Part(rows.data, rows.target, None, None, store=store) for _ in range(2)]
    for part in parts:
        for params in ({}, {"min_df": 3}, {"n_jobs": 2}, {"min_df": 3, "n_jobs": 1}):
            part.features(TableFeaturizer(**params), make)
    assert len(calls) == 4
    first, again = (parts[0].features(TableFeaturizer(n_jobs=n), make) for n in (1, 2))
    assert first is again


def test_ready_features_are_kept_by_their_weighting():
    make, calls = counted()
    rows = make_rows()
    part = Part(rows.data, rows.target, None, None)
    for weighting in (None, "l2", "tfidf", None, "l2"):
        part.features(ReadyFeatures(weighting), make)
    assert len(calls) == 3


def test_a_store_forgets_what_was_used_longest_ago():
    store = Store(max_bytes=2500)
    make, calls = counted(1000)
    for key in "abab":
        store.get(key, make)
    assert len(calls) == 2
    store.get("c", make)  # goes beyond the limit, and a is the oldest
    assert store.n_bytes <= 2500
    store.get("b", make)
    assert len(calls) == 3
    store.get("a", make)
    assert len(calls) == 4


def test_what_is_larger_than_the_store_is_kept_while_it_is_the_last():
    store = Store(max_bytes=10)
    make, calls = counted(1000)
    store.get("a", make)
    store.get("a", make)
    assert len(calls) == 1


def test_trials_at_the_same_time_make_features_once():
    store = Store()
    make, calls = counted()
    begun = threading.Barrier(3)

    def slow():
        time.sleep(0.05)
        return make()

    def ask(key):
        begun.wait(30)
        return store.get(key, slow)

    with ThreadPoolExecutor(3) as executor:
        one, two, other = executor.map(ask, ["a", "a", "b"])
    assert len(calls) == 2
    assert one is two is not other


def test_features_whose_making_fails_can_be_made_again():
    store = Store()
    make, calls = counted()

    def fail():
        raise MemoryError

    with pytest.raises(MemoryError):
        store.get("a", fail)
    store.get("a", make)
    assert len(calls) == 1


def test_features_can_be_counted_while_others_add_to_them():
    matrix = sp.csr_matrix((1, 1))
    features = Features(None, matrix, 0.0, {})
    stop = threading.Event()

    def add():
        number = 0
        while not stop.is_set():
            features.others[number] = matrix
            features.others.pop(number - 50, None)
            number += 1

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(2000):
            assert features.n_bytes > 0
    finally:
        stop.set()
        thread.join()
