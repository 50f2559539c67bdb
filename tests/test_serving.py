"""One row by the short way gives what a batch gives."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt import UDTClassifier

WORDS = ["card", "lost", "my", "top", "up", "declined", "where", "is", "naïve", "東京", "ß", "İ"]
ODD = [
    "",
    " ",
    "\t\n",
    "\0",
    "card\0lost",
    "🏳️‍🌈 👩‍👩‍👧",
    "\ud800 card",
    "CARD LOST!",
    "ﬁne \uff23\uff21\uff32\uff24",
    "e\u0301 é",
    "ไทย東京한국어",
    "a" * 5000,
    "card " * 5000,
    "?!?!",
    "\u2028\u00a0\u3000",
]


def make_texts(n=200, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(n)]


def fit(n_classes=3, **parameters):
    texts = make_texts()
    labels = np.array([len(text) % n_classes for text in texts])
    model = UDTClassifier(random_state=0, max_iter=2, **parameters)
    return model.fit(texts, labels)


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_classes": 2},
        {"n_classes": 40},
        {"char_ngrams": None},
        {"word_ngrams": None},
        {"strip_accents": True},
        {"hidden_size": 0},
        {"wide": False},
        {"min_df": 150},
    ],
    ids=str,
)
def test_one_row_as_in_a_batch(parameters):
    model = fit(**parameters)
    texts = make_texts(30, seed=1) + ODD
    batch = model.predict_proba(texts)
    rows = [model.predict_proba([text]) for text in texts]
    assert {row.shape for row in rows} == {(1, len(model.classes_))}
    assert {row.dtype for row in rows} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.concatenate(rows), batch, rtol=1e-4, atol=1e-6)
    logits = np.concatenate([model.decision_function([text]) for text in texts])
    np.testing.assert_allclose(logits, model.decision_function(texts), rtol=1e-4, atol=1e-5)
    ordered = np.sort(batch, axis=1)
    is_clear = ordered[:, -1] - ordered[:, -2] > 1e-5
    labels = np.concatenate([model.predict([text]) for text in texts])
    assert labels.dtype == model.classes_.dtype
    np.testing.assert_array_equal(labels[is_clear], model.predict(texts)[is_clear])
    for text in texts[::5]:
        one_label, one_probability = model.predict_topk([text], k=1)
        assert one_label.shape == one_probability.shape == (1, 1)


@settings(max_examples=200)
@given(text=st.text())
def test_any_text_gives_one_answer_by_either_way(model, text):
    # st.text leaves out surrogates; they are among the odd texts above.
    both = model.predict_proba([text, text])
    np.testing.assert_allclose(model.predict_proba([text]), both[:1], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(both[0], both[1])


def test_a_refit_is_seen_by_the_short_way(model):
    model = UDTClassifier(random_state=0).fit(["a", "b"] * 8, ["x", "y"] * 8)
    assert model.predict(["a"]).tolist() == ["x"]
    model.fit(["a", "b"] * 8, ["v", "u"] * 8)
    assert model.predict(["a"]).tolist() == ["v"]
    assert model.predict(["a", "b"]).tolist() == ["v", "u"]


def test_the_short_way_takes_lists_of_exactly_one_str(model):
    class Text(str):
        __slots__ = ()

    expected = model.predict_proba(["card lost"])
    for X in (("card lost",), np.array(["card lost"]), [Text("card lost")], [np.str_("card lost")]):
        np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        model.predict([3])
    with pytest.raises(TypeError, match="row 0 of X is b'card' of type bytes, not str: decode it"):
        model.predict([b"card"])
    with pytest.raises(ValueError, match="pass a list of one text"):
        model.predict("card")
    with pytest.raises(ValueError, match="minimum of 1"):
        model.predict([])


# ------------------------------------------------------------------------------- rows of a table

START = datetime(2019, 3, 1)
ODD_DATES = [
    None, datetime(1600, 2, 29, 23, 59, 59), datetime(1969, 12, 31, 12), date(2499, 12, 31),
    np.datetime64("NaT"), "2020-02-30", "1999-12-31T23:59:59Z", "", datetime(1, 1, 1),
]  # fmt: skip
ODD_NUMBERS = [None, float("nan"), -1e300, 1e300, 10**18, True, "12.5", "", np.float32(3), -0.0]
ODD_LISTS = [None, [], ["new"], ["a", "", None], "a|b", "", [3, 4.0], ("b",), {"a", "b", "c"}]
ODD_WORDS = [None, "", "never seen", "東京", "\0", 3, 3.0, True, "\ud800", np.nan]
COLUMNS = {
    "number": (lambda r, i: r.normal() if i % 9 else None, ODD_NUMBERS),
    "count": (lambda r, i: int(r.integers(9)), ODD_NUMBERS),
    "date": (lambda r, i: START + timedelta(hours=float(r.integers(90000))), ODD_DATES),
    "category": (lambda r, i: "abcdefgh"[r.integers(8)] if i % 7 else None, ODD_WORDS),
    "flag": (lambda r, i: bool(r.integers(2)), [None, True, "yes", "no", "0", 1, "maybe"]),
    "categories": (lambda r, i: list(r.choice([*"abcd"], r.integers(4))), ODD_LISTS),
    "title": (lambda r, i: " ".join(r.choice(WORDS, r.integers(1, 9))), [None, *ODD, np.nan]),
    "body": (lambda r, i: " ".join(r.choice(WORDS, r.integers(9, 40))), [None, *ODD]),
}
ROLES = {"title": "text", "body": "text", "category": "category", "flag": "flag", "date": "date"}
ROLES |= {"count": "number", "number": "number", "categories": "categories"}
MIXES = [
    *([name] for name in COLUMNS),
    ["number", "count"],
    ["number", "title"],
    ["title", "body"],
    ["category", "categories", "flag"],
    ["date", "title", "categories"],
    [*COLUMNS],
]


def make_rows(names, n=120, seed=0):
    random = np.random.default_rng(seed)
    return [{name: COLUMNS[name][0](random, i) for name in names} for i in range(n)]


def fit_rows(names, n_classes=3, **parameters):
    rows = make_rows(names)
    labels = [(sum(map(len, map(str, row.values()))) + i) % n_classes for i, row in enumerate(rows)]
    roles = {name: ROLES[name] for name in names}
    model = UDTClassifier(random_state=0, max_iter=2, columns=roles, **parameters)
    return model.fit(rows, labels)


def odd_rows(names):
    """Give each column's odd values beside usual ones of the others."""
    usual = make_rows(names, 100, seed=2)
    odd = [(name, value) for name in names for value in COLUMNS[name][1]]
    return [row | {name: value} for row, (name, value) in zip(usual, odd, strict=False)]


def agree(model, rows):
    """Compare each row by the short way, and as one of a frame, with the rows as a batch."""
    batch = model.predict_proba(rows)
    alone = np.concatenate([model.predict_proba([row]) for row in rows])
    assert alone.dtype == np.float32
    np.testing.assert_allclose(alone, batch, rtol=1e-4, atol=1e-6)
    logits = np.concatenate([model.decision_function([row]) for row in rows])
    np.testing.assert_allclose(logits, model.decision_function(rows), rtol=1e-4, atol=1e-5)
    for row, expected in zip(rows[::7], batch[::7], strict=True):
        table = pd.DataFrame([row], dtype=object)
        np.testing.assert_allclose(model.predict_proba(table)[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("names", MIXES, ids="+".join)
def test_one_row_of_a_table_as_in_a_batch(names):
    model = fit_rows(names)
    assert {column.name: column.role for column in model.columns_} == {n: ROLES[n] for n in names}
    agree(model, make_rows(names, 40, seed=1))
    agree(model, odd_rows(names))


@pytest.mark.parametrize(
    "parameters", [{"n_classes": 2}, {"hidden_size": 0}, {"wide": False}, {"min_df": 1000}], ids=str
)
def test_one_row_of_a_table_with_other_networks(parameters):
    model = fit_rows([*COLUMNS], **parameters)
    agree(model, make_rows([*COLUMNS], 10, seed=1) + odd_rows([*COLUMNS])[::5])


@pytest.mark.parametrize("names", [["number", "flag"], ["date", "title"], [*COLUMNS]], ids="+".join)
@pytest.mark.parametrize("crosses", [True, 3])
def test_one_row_of_a_table_with_crossed_columns(names, crosses):
    model = fit_rows(names, crosses=crosses, n_bins=100, min_df=1)
    assert len(model.featurizer_.cells_.crosses) >= 1
    agree(model, make_rows(names, 40, seed=1))
    agree(model, odd_rows(names))


@pytest.fixture(scope="module")
def mixed():
    return fit_rows([*COLUMNS])


@settings(max_examples=60)
@given(
    number=st.none() | st.floats(allow_infinity=False) | st.integers(-(10**18), 10**18),
    date=st.none() | st.datetimes(datetime(1600, 1, 1), datetime(2500, 1, 1)),
    category=st.none() | st.text() | st.integers() | st.booleans(),
    categories=st.none() | st.lists(st.text() | st.integers(), max_size=5),
    title=st.none() | st.text(),
)
def test_any_row_gives_one_answer_by_either_way(mixed, **values):
    row = make_rows([*COLUMNS], 1)[0] | values
    both = mixed.predict_proba([row, row])
    np.testing.assert_allclose(mixed.predict_proba([row]), both[:1], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(both[0], both[1])


def test_bad_rows_get_the_message_of_a_batch(mixed):
    good = make_rows([*COLUMNS], 1)[0]
    for bad, message in [
        ({"number": float("inf")}, "column 'number'.* holds inf, which is infinity"),
        ({"number": "many"}, "column 'number'.* holds 'many', which is no number"),
        ({"number": [3]}, "column 'number'.* holds lists"),
        ({"title": 3}, "column 'title'.* holds numbers"),
        ({"date": 3}, "column 'date'.* holds numbers"),
        ({"category": [1]}, "column 'category'.* holds lists"),
        ({"flag": b"yes"}, "column 'flag'.* holds b'yes'"),
    ]:
        for X in ([good | bad], [good | bad, good | bad], pd.DataFrame([good | bad])):
            with pytest.raises((ValueError, TypeError), match=message):
                mixed.predict(X)
    del good["date"]
    for X in ([good], [good, good], pd.DataFrame([good])):
        with pytest.raises(ValueError, match="column 'date' is missing from X, which has 'number'"):
            mixed.predict(X)
    with pytest.raises(ValueError, match="X has 1 features, but UDTClassifier is expecting 8"):
        mixed.predict(["a text"])


def test_a_row_may_have_more_columns_in_any_order(mixed):
    row = make_rows([*COLUMNS], 1)[0]
    other = {"more": object(), **dict(reversed(row.items())), 3: None}
    np.testing.assert_array_equal(mixed.predict_proba([other]), mixed.predict_proba([row]))


def test_an_optional_column_may_be_missing_from_a_row():
    rows = [{"size": i % 5, "name": "ab"[i % 2]} for i in range(40)]
    model = UDTClassifier(random_state=0, max_iter=2, columns={"size": "number?"})
    model.fit(rows, ["x", "y"] * 20)
    expected = model.predict_proba([{"size": None, "name": "a"}, {"size": 1, "name": "a"}])
    for X in ([{"name": "a"}], [{"name": "a"}] * 2, pd.DataFrame({"name": ["a"]})):
        np.testing.assert_allclose(model.predict_proba(X)[0], expected[0], rtol=1e-5)


def test_names_that_are_no_str():
    rows = [{0: i % 5, "1": "ab"[i % 2]} for i in range(40)]
    model = UDTClassifier(random_state=0, max_iter=2).fit(rows, ["x", "y"] * 20)
    expected = model.predict_proba(rows[:2])
    for X in (rows[:1], [{"0": 0, 1: "a"}], pd.DataFrame(rows[:1])):
        np.testing.assert_allclose(model.predict_proba(X), expected[:1], rtol=1e-5)


def test_a_lone_text_goes_by_any_name(model):
    expected = model.predict_proba(["card lost", "top"])
    for name in ("text", "body", 0):
        for X in ([{name: "card lost"}], pd.DataFrame({name: ["card lost"]})):
            np.testing.assert_allclose(model.predict_proba(X), expected[:1], rtol=1e-5)
    with pytest.raises(ValueError, match="column 'text' is missing"):
        model.predict([{"body": "card", "title": "lost"}])


def test_a_text_beside_ignored_columns():
    rows = [{"said": text, "shop": "the only one"} for text in make_texts()]
    labels = [len(row["said"]) % 3 for row in rows]
    model = UDTClassifier(random_state=0, max_iter=2).fit(rows, labels)
    assert [column.role for column in model.columns_] == ["text", "ignored"]
    expected = model.predict_proba(rows[:2])
    texts = [row["said"] for row in rows]
    np.testing.assert_allclose(model.predict_proba(rows[:1]), expected[:1], rtol=1e-5)
    np.testing.assert_allclose(model.predict_proba([{"said": texts[0]}]), expected[:1], rtol=1e-5)
    np.testing.assert_allclose(model.predict_proba(texts[:2]), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict_proba(texts[:1]), expected[:1], rtol=1e-5)


@pytest.mark.parametrize("tokenizer", ["bpe", "wordpiece", "unigram"])
def test_one_text_with_a_tokenizer(tokenizer):
    model = fit(tokenizer=tokenizer)
    texts = make_texts(30, seed=1) + ODD
    alone = np.concatenate([model.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(alone, model.predict_proba(texts), rtol=1e-4, atol=1e-6)


def test_one_row_with_a_tokenizer():
    model = fit_rows([*COLUMNS], tokenizer="bpe")
    agree(model, make_rows([*COLUMNS], 10, seed=1) + odd_rows([*COLUMNS])[::5])
