"""One row by the short way gives what a batch gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import udt
from udt import UDTClassifier
from udt.persistence import ModelFileError, read_model, write_model

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
    with pytest.raises(TypeError, match="row 0 of X is 3 of type int"):
        model.predict([3])
    with pytest.raises(TypeError, match="row 0 of X is b'card' of type bytes, not str: decode it"):
        model.predict([b"card"])
    with pytest.raises(ValueError, match="pass a list of one text"):
        model.predict("card")
    with pytest.raises(ValueError, match="minimum of 1"):
        model.predict([])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("network.output", lambda array: array[:, :-1]),
        ("network.wide", lambda array: array[:, :-1]),
        ("network.bias", lambda array: array.astype(np.float64)),
        ("featurizer.buckets_", lambda array: array + (1 << 40)),
        ("featurizer.weights_", lambda array: array[:-1]),
        ("featurizer.ngrams_", lambda array: array + 100),
    ],
)
def test_a_file_whose_arrays_do_not_fit_together_is_refused(tmp_path, name, change):
    texts, labels = ["red fish", "blue fish", "one bird"] * 4, ["red", "blue", "bird"] * 4
    UDTClassifier(random_state=0).fit(texts, labels).save(tmp_path / "m.udt")
    meta, arrays = read_model(tmp_path / "m.udt")
    arrays[name] = change(arrays[name])
    write_model(tmp_path / "bad.udt", meta, arrays)
    with pytest.raises(ModelFileError, match=r"bad\.udt.*do not fit together"):
        udt.load(tmp_path / "bad.udt")
