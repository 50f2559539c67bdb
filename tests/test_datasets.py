"""The bundled data sets are whole, and come in scikit-learn's shapes."""

import sys
from collections import Counter
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pytest

from udt.datasets import load_adult, load_banking77


def test_the_parts_have_the_published_sizes():
    train, test = load_banking77(subset="train"), load_banking77(subset="test")
    assert (len(train.data), len(test.data)) == (10_003, 3_080)
    assert train.target.shape == (10_003,) and test.target.shape == (3_080,)
    assert train.target_names == test.target_names == sorted(train.target_names)
    assert len(train.target_names) == 77
    assert set(Counter(test.target.tolist()).values()) == {40}
    sizes = Counter(train.target.tolist()).values()
    assert (min(sizes), max(sizes)) == (35, 187)


def test_rows_and_labels_belong_together():
    train, test = load_banking77(), load_banking77(subset="test")
    assert [(part.data[i], part.target[i]) for part in (train, test) for i in (0, -1)] == [
        ("I am still waiting on my card?", "card_arrival"),
        ("Which countries are represented?", "country_support"),
        ("How do I locate my card?", "card_arrival"),
        ("Can the card be mailed and used in Europe?", "country_support"),
    ]
    middle = ("My card rejected a cash withdrawal. Why?", "declined_cash_withdrawal")
    assert (train.data[5_000], train.target[5_000]) == middle


def test_all_is_train_followed_by_test():
    train, test, both = (load_banking77(subset=part) for part in ("train", "test", "all"))
    assert both.data == train.data + test.data
    np.testing.assert_array_equal(both.target, np.concatenate([train.target, test.target]))


def test_train_is_the_default_and_the_types_are_plain():
    bunch = load_banking77()
    assert len(bunch.data) == 10_003
    assert type(bunch.data) is list and all(type(text) is str for text in bunch.data)
    assert bunch.target.dtype.kind == "U"


def test_return_X_y_gives_the_same_rows():
    bunch = load_banking77(subset="test")
    X, y = load_banking77(subset="test", return_X_y=True)
    assert bunch.data == X
    np.testing.assert_array_equal(y, bunch.target)


def test_no_text_is_empty():
    assert all(text.strip() for text in load_banking77(subset="all").data)


def test_the_licence_travels_with_the_data():
    bunch = load_banking77()
    assert bunch.license == "CC BY 4.0"
    assert "PolyAI" in bunch.DESCR and "creativecommons.org/licenses/by/4.0" in bunch.DESCR


@pytest.mark.parametrize("load", [load_banking77, load_adult])
@pytest.mark.parametrize("subset", ["validation", "", None, 1, ["train"]])
def test_an_unknown_subset_is_named(load, subset):
    with pytest.raises(ValueError, match=r"subset must be 'train', 'test' or 'all', got "):
        load(subset=subset)


# ----------------------------------------------------------------------------------------- adult


NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]


def test_adult_has_the_published_sizes():
    train, test = load_adult(), load_adult(subset="test")
    assert (train.data.shape, test.data.shape) == ((32_561, 14), (16_281, 14))
    assert Counter(train.target.tolist()) == {"<=50K": 24_720, ">50K": 7_841}
    assert Counter(test.target.tolist()) == {"<=50K": 12_435, ">50K": 3_846}
    assert train.target_names == test.target_names == ["<=50K", ">50K"]


def test_adult_is_a_table_of_plain_types():
    bunch = load_adult()
    assert type(bunch.data) is pa.Table
    assert [field.name for field in bunch.data.schema if field.type == pa.int64()] == NUMBERS
    others = bunch.data.drop_columns(NUMBERS)
    assert set(others.schema.types) == {pa.large_string()}
    assert "label" not in bunch.data.column_names
    assert bunch.data.schema.metadata is None
    assert bunch.target.dtype.kind == "U"
    assert sum(column.null_count for column in bunch.data.columns) == 0
    assert bunch.data["workclass"].to_pylist().count("?") == 1_836


def test_rows_and_labels_of_adult_belong_together():
    train, test = load_adult(), load_adult(subset="test")
    names = ["age", "education", "occupation", "capital_gain"]
    first, last = (train.data.select(names).slice(i, 1).to_pylist()[0] for i in (0, 32_560))
    assert list(first.values()) == [39, "Bachelors", "Adm-clerical", 2_174]
    assert list(last.values()) == [52, "HS-grad", "Exec-managerial", 15_024]
    assert (train.target[0], train.target[-1]) == ("<=50K", ">50K")
    assert list(test.data.select(names).slice(0, 1).to_pylist()[0].values()) == [
        *(25, "11th", "Machine-op-inspct", 0)
    ]


def test_all_of_adult_is_train_followed_by_test():
    train, test, both = (load_adult(subset=part) for part in ("train", "test", "all"))
    assert both.data.equals(pa.concat_tables([train.data, test.data]))
    np.testing.assert_array_equal(both.target, np.concatenate([train.target, test.target]))


def test_adult_as_a_pandas_frame():
    table, labels = load_adult(subset="test", return_X_y=True)
    frame, target = load_adult(subset="test", return_X_y=True, as_frame=True)
    assert frame.columns.tolist() == table.column_names
    assert frame.to_dict("records") == table.to_pylist()
    assert target.tolist() == labels.tolist()
    assert target.name == "label"
    bunch = load_adult(subset="test", as_frame=True)
    assert bunch.data.equals(frame)
    assert bunch.target.equals(target)
    assert bunch.target_names == ["<=50K", ">50K"]


def test_a_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        load_adult(as_frame=True)


def test_the_licence_of_adult_travels_with_it():
    bunch = load_adult()
    assert bunch.license == "CC BY 4.0"
    for words in ["Kohavi", "10.24432/C5XW20", "creativecommons.org/licenses/by/4.0"]:
        assert words in bunch.DESCR


def test_the_bundled_data_is_small():
    parts = (files("udt") / "data" / "adult").iterdir()
    assert sum(len(part.read_bytes()) for part in parts) < 1_000_000
