"""The bundled data sets are whole, and come in scikit-learn's shapes."""

from collections import Counter

import numpy as np
import pytest

from udt.datasets import load_banking77


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


@pytest.mark.parametrize("subset", ["validation", "", None, 1, ["train"]])
def test_an_unknown_subset_is_named(subset):
    with pytest.raises(ValueError, match=r"subset must be 'train', 'test' or 'all', got "):
        load_banking77(subset=subset)
