"""The search space: it follows data, holds the default, and leaves out what was set by hand."""

import inspect

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from problems import LABELS, TEXTS, TWO, make_csr

from udt import UDTClassifier, defaults
from udt.tuning.space import ANY_DATA, Space, make_space

TABLE = [{"size": float(i % 7), "kind": "abc"[i % 3]} for i in range(len(TEXTS))]
FACTS = {
    "any": ANY_DATA,
    "long texts": ANY_DATA._replace(char_ngrams=False),
    "much text": ANY_DATA._replace(char_ngrams=False, may_have_char_ngrams=False),
    "numbers": ANY_DATA._replace(
        has_text=False, n_cells=0, char_ngrams=False, may_have_char_ngrams=False
    ),
    "table": ANY_DATA._replace(has_text=False, hidden_rate=1.0, learning_rate=0.6),
    "two classes": ANY_DATA._replace(hidden_size=0),
    "many labels": ANY_DATA._replace(head="mined", n_classes=5000, hidden_dropout=0.5),
    "many classes": ANY_DATA._replace(
        head="lsh", n_classes=30_000, has_wide=False, hidden_size=128, max_iter=3, n_active=692
    ),
    "hashed by hand": ANY_DATA._replace(head="lsh", n_classes=3, max_iter=1, n_active=3),
    "huge": ANY_DATA._replace(max_iter=1, batch_size=1024),
    "tiny": ANY_DATA._replace(max_iter=20, batch_size=2),
}
INITIAL = {
    name: parameter.default
    for name, parameter in inspect.signature(UDTClassifier).parameters.items()
}


@pytest.fixture(params=FACTS)
def space(request) -> Space:
    return make_space(UDTClassifier(), FACTS[request.param])


def check_contained(space, params):
    """Raise if a value lies outside."""
    optuna.trial.create_trial(params=params, distributions=space.distributions, value=0.0)


def test_the_default_is_in_the_space_and_is_no_change(space):
    complete = space.complete({})
    assert complete.keys() == space.distributions.keys()
    check_contained(space, complete)
    assert space.changes(complete) == {}


def test_what_is_tried_first_is_in_the_space_and_is_a_change(space):
    assert space.firsts
    for first in space.firsts:
        complete = space.complete(first)
        check_contained(space, complete)
        assert space.changes(complete)
        assert space.changes(complete).items() <= first.items()


def test_all_that_can_be_drawn_are_parameters_that_the_classifier_takes(space):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert space.distributions.keys() <= INITIAL.keys()
    for _ in range(50):
        params = study.ask(space.distributions).params
        model = UDTClassifier(**space.changes(params))
        defaults.check(model)
        assert space.complete(space.changes(params)) == params


@pytest.mark.parametrize("kind", FACTS)
def test_what_was_set_by_hand_is_not_searched(kind):
    names = make_space(UDTClassifier(), FACTS[kind]).distributions
    other = {
        "word_ngrams": (1, 3), "char_ngrams": None, "min_df": 1, "hidden_size": 16,
        "hidden_rate": 0.5, "hidden_dropout": 0.3, "dropout": 0.1, "label_smoothing": 0.1,
        "learning_rate_init": 0.2, "max_iter": 3, "batch_size": 17, "n_active": 50, "n_bins": 8,
        "crosses": True, "n_hard": 7, "bucket_size": 8, "rebuild_interval": 0.5,
    }  # fmt: skip
    assert names.keys() <= other.keys()
    for name in names:
        fixed = make_space(UDTClassifier(**{name: other[name]}), FACTS[kind])
        assert fixed.distributions.keys() == names.keys() - {name}
        assert all(name not in first for first in fixed.firsts)
    fixed = make_space(UDTClassifier(**other), FACTS[kind])
    assert (fixed.distributions, fixed.firsts) == ({}, ())


def test_a_value_of_another_type_than_the_default_is_set_by_hand():
    names = make_space(UDTClassifier(word_ngrams=[1, 2], min_df=2.0), ANY_DATA).distributions
    assert not {"word_ngrams", "min_df"} & names.keys()
    assert "word_ngrams" in make_space(UDTClassifier(word_ngrams=(1, 2)), ANY_DATA).distributions


def test_the_space_follows_the_data():
    def names(kind):
        return make_space(UDTClassifier(), FACTS[kind]).distributions.keys()

    text = {"word_ngrams", "char_ngrams"}
    assert text <= names("any") and text <= names("long texts")
    assert names("any") - names("much text") == {"char_ngrams"}
    assert names("any") - names("table") == text
    assert names("any") - names("numbers") == text | {"min_df", "crosses"}
    texts_alone = ANY_DATA._replace(has_numbers=False, n_cells=0)
    alone = make_space(UDTClassifier(), texts_alone).distributions.keys()
    assert names("any") - alone == {"n_bins", "crosses"}
    assert names("any") - names("many labels") == {"label_smoothing"}
    assert names("many labels") - names("any") == {"n_hard"}
    tables = {"n_active", "bucket_size", "rebuild_interval"}
    assert names("many classes") - names("many labels") == tables
    assert all(
        "min_df" not in first for first in make_space(UDTClassifier(), FACTS["table"]).firsts
    )


def test_numbers_lie_around_their_defaults():
    space = make_space(UDTClassifier(), ANY_DATA).distributions
    assert isinstance(space["max_iter"], IntDistribution) and space["max_iter"].log
    assert (space["max_iter"].low, space["max_iter"].high) == (6, 25)
    assert isinstance(space["learning_rate_init"], FloatDistribution)
    assert space["learning_rate_init"].low < 0.4 < space["learning_rate_init"].high
    assert space["word_ngrams"] == CategoricalDistribution(("1-2", "1-1", "1-3"))


# ----------------------------------------------------------------------------------- search_space


def test_a_space_for_any_data():
    space = UDTClassifier(max_iter=3).search_space()
    assert space == make_space(UDTClassifier(max_iter=3), ANY_DATA).distributions
    assert "max_iter" not in space
    assert UDTClassifier(n_jobs=0).search_space().keys() >= space.keys()  # which trains nothing


def test_spaces_for_some_data():
    model = UDTClassifier(random_state=0, batch_size=8)
    texts = model.search_space(TEXTS, LABELS)
    assert {"word_ngrams", "char_ngrams", "min_df", "max_iter", "hidden_size"} <= texts.keys()
    assert "batch_size" not in texts
    assert texts["hidden_size"].choices[0] == 32
    assert model.search_space(TEXTS, TWO)["hidden_size"].choices[0] == 0
    assert "word_ngrams" not in model.search_space(TABLE, TWO)
    assert "min_df" in model.search_space(TABLE, TWO)
    assert not {"word_ngrams", "char_ngrams"} & model.search_space(np.eye(36), TWO).keys()
    assert not hasattr(model, "network_")
    assert model.get_params() == UDTClassifier(random_state=0, batch_size=8).get_params()


def test_a_space_for_ready_features():
    X, y = make_csr()
    space = UDTClassifier(random_state=0).search_space(X, y)
    assert not {"word_ngrams", "char_ngrams", "min_df"} & space.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((TEXTS, LABELS[:-1]), "y has 35 labels"), ((TEXTS, None), "y"), (([], []), "minimum of 1")],
)
def test_a_space_for_bad_data_is_refused_as_fit_does(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        UDTClassifier().search_space(*arguments)


def test_a_space_of_a_bad_classifier():
    with pytest.raises(ValueError, match=r"^dropout=2: give"):
        UDTClassifier(dropout=2).search_space(TEXTS, LABELS)
