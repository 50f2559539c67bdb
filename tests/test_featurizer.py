"""HashingFeaturizer: what its columns and values are, and how it behaves among estimators."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import naive
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.svm import LinearSVC
from sklearn.utils import estimator_html_repr, murmurhash3_32

from udt import HashingFeaturizer
from udt.features import text as kernels
from udt.features.featurizer import CHAR_WEIGHT
from udt.features.unicode import normalise

TEXTS = [
    "Where is my card?",
    "My card has not arrived, where is it?",
    "Don't know... 100% sure! card",
    "",
    "  \t\n",
    "Straße STRASSE ﬁne İstanbul",
    "東京タワー 東京 ไทย ที่นี่",
    "العَرَبِيَّة हिन्दी हिन्दी",
    "👍🏽 good 👩\u200d👧 ❤\ufe0f card",
    "a\0b a b x",
    "supercalifragilistic" * 20,
    "don\u2019t café cafe\u0301 CAFÉ",
    "a",
    "?",
]
FITTED = ("ngrams_", "n_buckets_", "buckets_", "weights_", "class_rows_")


def assert_same_bits(left, right):
    assert left.shape == right.shape
    for name in ("indptr", "indices", "data"):
        a, b = getattr(left, name), getattr(right, name)
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


def parts(names):
    """Whether each column is of a character n-gram."""
    return np.array([name.startswith("#") and len(name) > 1 and " " not in name for name in names])


def entries(matrix, row):
    """Columns and values of a row, a column once for each part of the row that holds it."""
    span = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return list(zip(matrix.indices[span].tolist(), matrix.data[span].tolist(), strict=True))


def expected_rows(featurizer, texts, fitted_texts):
    """The naive featurizer: rows of (column, value), word parts before character parts."""
    words = tuple(featurizer.ngrams_[:2]) if featurizer.ngrams_[1] else None
    chars = tuple(featurizer.ngrams_[2:]) if featurizer.ngrams_[3] else None
    options = dict(words=words, chars=chars, seed=featurizer.seed, n_buckets=featurizer.n_buckets_)

    def buckets(rows):
        rows = [normalise(row, featurizer.strip_accents) for row in rows]
        return [naive.buckets(row, **options) for row in rows]

    df = naive.document_frequencies([w + c for w, c in buckets(fitted_texts)])
    kept = sorted((-n, bucket) for bucket, n in df.items() if n >= featurizer.min_df)
    ids = {bucket: i for i, (_, bucket) in enumerate(kept)}
    weights = [1.0] * len(kept)
    if featurizer.weighting == "idf":
        weights = [1 + np.log((1 + len(fitted_texts)) / (1 - minus_n)) for minus_n, _ in kept]
    both = np.hypot(1, 0.7) if words and chars else 1.0
    norms = 1 / both, (0.7 if words else 1.0) / both
    return [
        [
            entry
            for part, norm in zip(row, norms, strict=True)
            for entry in naive.scale(
                naive.known_counts(part, ids, featurizer.sublinear_tf), weights, norm
            )
        ]
        for row in buckets(texts)
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_df": 1},
        {"min_df": 1, "char_ngrams": None},
        {"min_df": 1, "word_ngrams": None, "char_ngrams": (2, 3)},
        {"min_df": 3, "word_ngrams": (2, 3), "char_ngrams": (1, 1)},
        {"min_df": 1, "n_buckets": 256},  # columns in both parts of a row
        {"min_df": 1, "sublinear_tf": False, "weighting": None, "seed": 2**32 - 1},
        {"min_df": 1, "strip_accents": True, "seed": 7},
    ],
    ids=str,
)
def test_rows_are_those_of_the_naive_twin(options):
    featurizer = HashingFeaturizer(**options)
    X = featurizer.fit_transform(TEXTS)
    new_texts = ["where is it", "unheard-of", "", "東京 card card card"]
    for matrix, texts in [(X, TEXTS), (featurizer.transform(new_texts), new_texts)]:
        assert matrix.shape == (len(texts), len(featurizer.buckets_))
        for row, expected in enumerate(expected_rows(featurizer, texts, TEXTS)):
            actual = sorted(entries(matrix, row))
            assert [column for column, _ in actual] == sorted(column for column, _ in expected)
            assert np.array(actual) == pytest.approx(np.array(sorted(expected)), rel=1e-5)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=8))
def test_rows_are_those_of_the_naive_twin_for_any_text(texts):
    texts = [text.encode(errors="replace").decode() for text in texts]
    featurizer = HashingFeaturizer(min_df=1, n_buckets=2**12, n_jobs=1)
    X = featurizer.fit_transform(texts)
    for row, expected in enumerate(expected_rows(featurizer, texts, texts)):
        assert sorted(c for c, _ in entries(X, row)) == sorted(c for c, _ in expected)
        actual = np.sort([value for _, value in entries(X, row)])
        assert actual == pytest.approx(np.sort([value for _, value in expected]), rel=1e-5)


def test_matrix_is_a_sound_float32_csr():
    X = HashingFeaturizer(min_df=1).fit_transform(TEXTS)
    assert isinstance(X, sp.csr_matrix)
    assert (X.dtype, X.indices.dtype, X.indptr.dtype) == (np.float32, np.int32, np.int32)
    X.check_format(full_check=True)
    X.sort_indices()
    X.check_format(full_check=True)


def test_word_columns_are_murmurhash_of_the_ngram():
    featurizer = HashingFeaturizer(char_ngrams=None, min_df=1, n_buckets=2**20)
    featurizer.fit(["red fish", "Straße 東"])
    ngrams = ["red", "fish", "red fish", "strasse", "東", "strasse 東"]
    expected = {murmurhash3_32(ngram, positive=True) % 2**20 for ngram in ngrams}
    assert set(featurizer.buckets_.tolist()) == expected


def test_character_columns_are_murmurhash_with_the_complement_of_the_seed():
    featurizer = HashingFeaturizer(
        word_ngrams=None, char_ngrams=(3, 3), min_df=1, n_buckets=2**20, seed=5
    )
    featurizer.fit(["fish é !"])
    ngrams = [" fi", "fis", "ish", "sh ", " é "]
    expected = {murmurhash3_32(ngram, 2**32 - 1 - 5, positive=True) % 2**20 for ngram in ngrams}
    assert set(featurizer.buckets_.tolist()) == expected


def test_same_ngrams_as_scikit_learn():
    texts = ["my card, where is my card?", "a card", "the 3 cards are at home & ok!", "x"]
    featurizer = HashingFeaturizer(
        min_df=1, sublinear_tf=False, weighting=None, feature_names=True, char_ngrams=(3, 5)
    )
    X = featurizer.fit_transform(texts)
    names = featurizer.get_feature_names_out()
    is_char = parts(names)
    words = CountVectorizer(token_pattern=r"\w+|[?&!]", ngram_range=(1, 2)).fit(texts)
    assert set(names[~is_char]) == set(words.get_feature_names_out())
    texts_of_words = [text.translate(str.maketrans(",?&!", "    ")) for text in texts]
    chars = CountVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit(texts_of_words)
    char_names = [name[1:].replace("_", " ") for name in names[is_char]]
    assert set(char_names) == set(chars.get_feature_names_out())
    # and as often: each part is the row of counts, scaled
    for theirs, columns in [
        (words.transform(texts)[:, [words.vocabulary_[n] for n in names[~is_char]]], ~is_char),
        (chars.transform(texts_of_words)[:, [chars.vocabulary_[n] for n in char_names]], is_char),
    ]:
        counts = theirs.toarray()
        ours = X.toarray()[:, columns]
        lengths = np.linalg.norm(counts, axis=1, keepdims=True)
        np.testing.assert_allclose(
            ours / np.linalg.norm(ours, axis=1, keepdims=True), counts / lengths, rtol=1e-5
        )


def test_length_of_rows_and_of_their_parts():
    featurizer = HashingFeaturizer(min_df=1, feature_names=True)
    X = featurizer.fit_transform(TEXTS)
    is_char = parts(featurizer.get_feature_names_out())
    words, chars = X[:, ~is_char], X[:, is_char]
    length = sp.linalg.norm(X, axis=1)
    word_length, char_length = sp.linalg.norm(words, axis=1), sp.linalg.norm(chars, axis=1)
    empty = np.array([not text.strip() for text in TEXTS])
    no_chars = np.array([text == "?" for text in TEXTS])
    both = ~empty & ~no_chars
    assert CHAR_WEIGHT == 0.7
    np.testing.assert_allclose(length[both], 1, rtol=1e-5)
    np.testing.assert_allclose(char_length[both] / word_length[both], 0.7, rtol=1e-5)
    # A part keeps its length where the other is empty.
    np.testing.assert_allclose(length[no_chars], 1 / np.hypot(1, 0.7), rtol=1e-5)
    assert (length[empty] == 0).all()


@pytest.mark.parametrize("options", [{"char_ngrams": None}, {"word_ngrams": None}])
def test_a_single_part_has_length_1(options):
    X = HashingFeaturizer(min_df=1, **options).fit_transform(TEXTS[:3])
    np.testing.assert_allclose(sp.linalg.norm(X, axis=1), 1, rtol=1e-5)


def test_columns_are_in_falling_order_of_rows_that_hold_them():
    featurizer = HashingFeaturizer(char_ngrams=None, feature_names=True, min_df=2)
    texts = ["a b c d", "a b c", "a b c c c", "b d a", "e"]
    X = featurizer.fit_transform(texts)
    df = np.bincount(X.indices, minlength=X.shape[1])
    assert df.tolist() == sorted(df, reverse=True)
    assert df.min() == 2
    names = featurizer.get_feature_names_out().tolist()
    assert dict(zip(names, df.tolist(), strict=True)) == {
        "a": 4, "b": 4, "a b": 3, "c": 3, "b c": 3, "d": 2
    }  # fmt: skip
    for n in set(df):  # and within equals by bucket
        assert (np.diff(featurizer.buckets_[df == n]) > 0).all()


def test_weighting_by_idf():
    texts = ["a b", "a", "a c", "b"]
    idf = HashingFeaturizer(char_ngrams=None, word_ngrams=(1, 1), min_df=1).fit(texts)
    expected = [1 + np.log(5 / (1 + df)) for df in (3, 2, 1)]
    np.testing.assert_allclose(idf.weights_, expected, rtol=1e-6)
    assert idf.weights_.dtype == np.float32
    assert HashingFeaturizer(weighting=None, min_df=1).fit(texts).weights_.max() == 1


def test_weighting_by_information():
    texts = ["good the", "good", "bad the", "bad a", "a the"]
    y = ["pos", "pos", "neg", "neg", "neg"]
    featurizer = HashingFeaturizer(
        word_ngrams=(1, 1), char_ngrams=None, min_df=1, weighting="information", feature_names=True
    )
    X = featurizer.fit_transform(texts, y)
    names = featurizer.get_feature_names_out().tolist()
    rows = [[names.index(word) for word in text.split()] for text in texts]
    expected = naive.information(rows, [[1], [1], [0], [0], [0]], len(names), 1.0)
    np.testing.assert_allclose(featurizer.weights_, expected, rtol=1e-5)
    of_good, of_the = X[0, names.index("good")], X[0, names.index("the")]
    assert of_good > 2 * of_the > 0
    assert_same_bits(featurizer.fit(texts, y).transform(texts), X)


@pytest.mark.parametrize("y", [None, ["a", "b"], [np.nan, "a", "b", "a"]])
def test_weighting_by_information_needs_labels(y):
    with pytest.raises((ValueError, TypeError)):
        HashingFeaturizer(weighting="information", min_df=1).fit(TEXTS[:4], y)


def test_nothing_frequent_enough_leaves_no_column():
    featurizer = HashingFeaturizer(min_df=3).fit(["one", "two", "one"])
    assert featurizer.transform(["one", "two"]).shape == (2, 0)


@pytest.mark.parametrize("texts", [[""], ["", None, "  \n"], ["...", "'"], [np.nan, "\u200d"]])
def test_texts_without_words(texts):
    featurizer = HashingFeaturizer(min_df=1)
    assert featurizer.fit_transform(texts).shape == (len(texts), 0)
    X = HashingFeaturizer(min_df=1).fit(TEXTS).transform(texts)
    assert X.nnz == 0
    assert X.shape[0] == len(texts)


def test_missing_texts_are_empty_texts():
    featurizer = HashingFeaturizer(min_df=1).fit(["a b", "c"])
    assert_same_bits(
        featurizer.transform(["a", None, float("nan")]), featurizer.transform(["a", "", ""])
    )


def test_lone_surrogates_are_replacement_characters():
    featurizer = HashingFeaturizer(min_df=1, feature_names=True, char_ngrams=None)
    X = featurizer.fit_transform(["a \ud800b", "c"])
    assert "\ufffd" in featurizer.get_feature_names_out()
    assert_same_bits(featurizer.transform(["a \ufffdb", "c"]), X)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["short"] * 3, (3, 5)),
        (["x" * 300], (3, 5)),
        (["x" * 301], (0, 0)),
        (["x" * 500, "y" * 50], (3, 5)),  # the mean counts
        (["東" * 101], (0, 0)),  # in bytes
        (["x" * 299] * ((1 << 24) // 299 + 1), (0, 0)),  # too large a corpus
    ],
    ids=["short", "300", "301", "mean", "bytes", "corpus"],
)
def test_auto_takes_character_ngrams_for_short_texts(texts, expected):
    featurizer = HashingFeaturizer().fit(texts)
    assert tuple(featurizer.ngrams_) == (1, 2, *expected)
    assert featurizer.char_ngrams == "auto"


def test_number_of_buckets():
    small = HashingFeaturizer().fit(TEXTS)
    assert small.n_buckets_ == 2**18
    large = HashingFeaturizer(char_ngrams=None).fit(["word " * 1000] * 4000)
    assert large.n_buckets_ == 2**21  # 20 MB of some 7.3 million n-grams, over 4, up to a power
    few = HashingFeaturizer(min_df=1, n_buckets=2**8).fit(TEXTS)
    assert few.n_buckets_ == 2**8
    assert few.buckets_.max() < 2**8
    assert len(set(few.buckets_.tolist())) == len(few.buckets_)


def test_a_slice_is_fitted_as_its_copy():
    """Arrow hands over the bytes of all rows with a slice."""
    texts = pa.array(["some words here and there " * 40] * 4000)
    sliced = HashingFeaturizer(char_ngrams=None).fit(texts.slice(10, 3))
    assert sliced.n_buckets_ == 2**18
    copied = HashingFeaturizer(char_ngrams=None).fit(texts.slice(10, 3).to_pylist())
    for name in FITTED:
        np.testing.assert_array_equal(getattr(sliced, name), getattr(copied, name))


@pytest.fixture(scope="module")
def many_texts():
    """More rows than a block has, and words that repeat."""
    random = np.random.default_rng(0)
    letters = np.array(list("aabcdeéfgh東?"))
    words = ["".join(random.choice(letters, random.integers(1, 8))) for _ in range(500)]
    return [" ".join(random.choice(words, n)) for n in random.integers(0, 9, 9000)]


@pytest.mark.parametrize("options", [{}, {"weighting": "information", "feature_names": True}])
def test_same_bits_for_any_number_of_threads(many_texts, options):
    y = [len(text) % 3 for text in many_texts]
    one = HashingFeaturizer(n_jobs=1, **options)
    X = one.fit_transform(many_texts, y)
    for n_jobs in (2, 4, None):
        other = HashingFeaturizer(n_jobs=n_jobs, **options)
        assert_same_bits(other.fit_transform(many_texts, y), X)
        assert_same_bits(other.transform(many_texts), X)
        for name in FITTED:
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name))
        if options.get("feature_names"):
            assert (other.get_feature_names_out() == one.get_feature_names_out()).all()


def test_a_row_does_not_depend_on_its_neighbours(many_texts):
    featurizer = HashingFeaturizer(n_jobs=2).fit(many_texts)
    X = featurizer.transform(many_texts)
    assert X.shape[0] > 2 * 4096  # three blocks
    pieces = [featurizer.transform(many_texts[i : i + 1777]) for i in range(0, 9000, 1777)]
    assert_same_bits(sp.vstack(pieces, format="csr"), X)
    for row in (0, 4095, 4096, 8999):
        assert_same_bits(featurizer.transform([many_texts[row]]), X[row])


def test_feature_names():
    featurizer = HashingFeaturizer(min_df=1, char_ngrams=(3, 3), feature_names=True)
    featurizer.fit(["Red fish!", "a 東", "# e\u0301"])
    names = featurizer.get_feature_names_out()
    assert names.dtype == object
    assert set(names) == {
        "red", "fish", "!", "red fish", "fish !", "a", "東", "a 東", "#", "é", "# é",
        "#_re", "#red", "#ed_", "#_fi", "#fis", "#ish", "#sh_", "#_a_", "#_東_", "#_é_",
    }  # fmt: skip
    for name, bucket in zip(names, featurizer.buckets_, strict=True):
        is_char = parts([name])[0]
        ngram = name[1:].replace("_", " ") if is_char else name
        h = murmurhash3_32(ngram, 2**32 - 1 if is_char else 0, positive=True)
        assert h % featurizer.n_buckets_ == bucket


def test_feature_names_are_the_callers_to_change():
    featurizer = HashingFeaturizer(min_df=1, feature_names=True).fit(["red fish"])
    featurizer.get_feature_names_out()[:] = "changed"
    assert "red" in featurizer.get_feature_names_out()


def test_feature_names_that_were_not_kept():
    featurizer = HashingFeaturizer().fit(TEXTS)
    for _ in range(2):
        with pytest.raises(ValueError, match="set feature_names=True and fit again"):
            featurizer.get_feature_names_out()
        featurizer.set_params(feature_names=True)  # too late


def test_feature_names_under_another_seed():
    texts = ["red fish!", "red", "a fish"] * 2
    names = [
        HashingFeaturizer(seed=seed, feature_names=True, char_ngrams=(3, 3), weighting=None)
        .fit(texts)
        .get_feature_names_out()
        for seed in (0, 1, 2**31, 2**32 - 1)
    ]
    for other in names[1:]:
        assert sorted(other) == sorted(names[0])


@pytest.mark.parametrize("method", ["transform", "get_feature_names_out"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="HashingFeaturizer instance is not fitted yet"):
        getattr(HashingFeaturizer(feature_names=True), method)(["a"])


LENGTHS = "give (min, max), 1 <= min <= max <="
BAD_PARAMETERS = [
    *[
        (name, value, LENGTHS)
        for name in ("word_ngrams", "char_ngrams")
        for value in [(0, 2), (3, 2), (-1, 2), (1,), (1, 2, 3), 2, (1.5, 2), (1, 99), ("1", "2")]
    ],
    ("word_ngrams", (1, 9), "<= 8"),
    ("word_ngrams", "12", LENGTHS),
    ("char_ngrams", (1, 33), "<= 32"),
    ("char_ngrams", "words", 'or "auto"'),
    ("char_ngrams", "5-3", LENGTHS),
    ("word_ngrams", "auto", LENGTHS),
    *[
        ("min_df", value, "give a whole number of rows, at least 1")
        for value in [0, -1, 1.5, 0.01, "2", None, True]
    ],
    *[
        ("n_buckets", value, "give a power of two from 2**8 to 2**31")
        for value in [0, 255, 257, 2**7, 2**32, 3 * 2**10, 1024.0, "1024", True, -256]
    ],
    *[
        ("seed", value, "give an int from 0 to 2**32 - 1")
        for value in [-1, 2**32, 1.0, "0", None, False]
    ],
    ("weighting", "tfidf", 'give "idf", "information" or None'),
    ("n_jobs", 0, "give None, a positive number of threads, or -1"),
    ("n_jobs", 1.5, "give None, a positive number of threads, or -1"),
]


@pytest.mark.parametrize(("name", "value", "remedy"), BAD_PARAMETERS)
def test_bad_parameters_are_named_with_their_value_and_the_remedy(name, value, remedy):
    featurizer = HashingFeaturizer(**{name: value})
    with pytest.raises(ValueError) as error:
        featurizer.fit(TEXTS)
    message = str(error.value)
    assert message.startswith(f"{name}={value!r}: ")
    assert remedy in message
    assert getattr(featurizer, name) is value
    assert not hasattr(featurizer, "buckets_")


def test_neither_words_nor_characters():
    with pytest.raises(ValueError, match=r"word_ngrams=None and char_ngrams=None: give at least"):
        HashingFeaturizer(word_ngrams=None, char_ngrams=None).fit(TEXTS)


def test_numpy_numbers_and_lists_are_fine_as_parameters():
    featurizer = HashingFeaturizer(word_ngrams=[np.int64(1), 2], min_df=np.int32(1))
    featurizer.set_params(n_buckets=np.int64(2**10), seed=np.uint8(3))
    plain = HashingFeaturizer(word_ngrams=(1, 2), min_df=1, n_buckets=2**10, seed=3)
    assert_same_bits(featurizer.fit_transform(TEXTS), plain.fit_transform(TEXTS))


@pytest.mark.parametrize(
    ("text", "pair"), [("1-1", (1, 1)), ("1-2", (1, 2)), ("2-3", (2, 3)), (" 1 - 3 ", (1, 3))]
)
def test_lengths_may_be_written_as_strings(text, pair):
    as_text = HashingFeaturizer(word_ngrams=text, char_ngrams=text, min_df=1)
    plain = HashingFeaturizer(word_ngrams=pair, char_ngrams=pair, min_df=1)
    assert_same_bits(as_text.fit_transform(TEXTS), plain.fit_transform(TEXTS))
    assert as_text.get_params()["word_ngrams"] == text


BAD_TEXTS = [
    ("a bare string", ValueError, r"single str, 'a bare string': pass a list"),
    (np.array("0-d"), ValueError, r"single 0-d array.*pass a list"),
    ([], ValueError, r"0 sample"),
    (["a", b"b"], TypeError, r"row 1 of X is b'b' of type bytes, not str: decode it"),
    (["a", "b", 3], TypeError, r"row 2 of X is 3 of type int, not str"),
    (["a", ["b"]], TypeError, r"row 1 of X is \['b'\] of type list"),
    (np.array([[1.0, 2.0]]), TypeError, r"X has dtype float64"),
    (pd.DataFrame({"a": ["x"], "b": ["y"]}), ValueError, r"X has 2 columns, \['a', 'b'\]: select"),
    ({"a": 1}, TypeError, r"X is of type dict"),
    (None, TypeError, r"X is of type NoneType"),
]


@pytest.mark.parametrize(("X", "kind", "match"), BAD_TEXTS, ids=lambda value: type(value).__name__)
def test_bad_texts_leave_a_fitted_featurizer_as_it_was(X, kind, match):
    featurizer = HashingFeaturizer(min_df=1).fit(TEXTS)
    before = featurizer.transform(TEXTS)
    for method in (featurizer.fit, featurizer.fit_transform, featurizer.transform):
        with pytest.raises(kind, match=match):
            method(X)
    assert_same_bits(featurizer.transform(TEXTS), before)


def test_bad_parameters_leave_a_fitted_featurizer_as_it_was():
    featurizer = HashingFeaturizer(min_df=1).fit(TEXTS)
    state = {name: copy.copy(getattr(featurizer, name)) for name in FITTED}
    for name, value, _ in BAD_PARAMETERS:
        good = getattr(featurizer, name)
        with pytest.raises(ValueError, match=name):
            featurizer.set_params(**{name: value}).fit(["another text " * 50])
        featurizer.set_params(**{name: good})
        for fitted in FITTED:
            np.testing.assert_array_equal(getattr(featurizer, fitted), state[fitted])


@pytest.mark.parametrize("step", ["count_rows", "name_features", "transform_rows", "scale_rows"])
def test_an_interrupted_fit_leaves_a_featurizer_as_it_was(monkeypatch, step):
    def interrupt(*_):
        raise KeyboardInterrupt

    fitted = HashingFeaturizer(min_df=1, feature_names=True).fit(TEXTS)
    X = fitted.transform(TEXTS)
    new = HashingFeaturizer(feature_names=True)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, step, interrupt)
        for featurizer in (fitted, new):
            with pytest.raises(KeyboardInterrupt):
                featurizer.fit(["another text " * 50])
    assert_same_bits(fitted.transform(TEXTS), X)
    assert len(fitted.get_feature_names_out()) == X.shape[1]
    with pytest.raises(NotFittedError):
        new.transform(TEXTS)


@pytest.mark.parametrize(
    "container",
    [tuple, np.array, pd.Series, pd.DataFrame, pl.Series, pa.array,
     lambda texts: np.array(texts, dtype=object), lambda texts: pa.chunked_array([texts, []]),
     lambda texts: pa.array(["before", *texts, "after"])[1:-1]],
)  # fmt: skip
def test_every_container_gives_the_same_bits(container):
    featurizer = HashingFeaturizer(min_df=1)
    X = featurizer.fit_transform(TEXTS)
    assert_same_bits(featurizer.transform(container(TEXTS)), X)
    assert_same_bits(HashingFeaturizer(min_df=1).fit_transform(container(TEXTS)), X)


def test_a_string_of_100_megabytes():
    sentence = "The quick brown fox, 100% sure, jumps over the lazy dog! "
    huge = sentence * (100_000_000 // len(sentence) + 1)
    featurizer = HashingFeaturizer(min_df=1, char_ngrams=None, n_jobs=1)
    X = featurizer.fit_transform([sentence, huge])
    assert X[0].nnz + 1 == X[1].nnz == len(featurizer.buckets_)  # "! the", where it repeats
    assert sp.linalg.norm(X[1]) == pytest.approx(1, rel=1e-5)


SPAM = ["win cash now", "cheap cash offer", "free offer, win!", "cash prize offer"] * 5
HAM = ["meeting at noon", "see the minutes", "lunch at noon?", "the meeting moved"] * 5
LABELS = ["spam"] * len(SPAM) + ["ham"] * len(HAM)


@pytest.mark.parametrize("classifier", [LogisticRegression(), LinearSVC()], ids=str)
def test_in_a_pipeline_with_a_linear_model(classifier):
    pipeline = make_pipeline(HashingFeaturizer(), classifier).fit(SPAM + HAM, LABELS)
    assert pipeline.predict(["offer: cash", "noon meeting"]).tolist() == ["spam", "ham"]
    assert pipeline.score(SPAM + HAM, LABELS) == 1


def test_in_a_grid_search():
    pipeline = Pipeline([("text", HashingFeaturizer()), ("model", LogisticRegression())])
    grid = {"text__word_ngrams": [(1, 1), (1, 2)], "text__char_ngrams": [None, (3, 4)]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=1).fit(SPAM + HAM, LABELS)
    assert search.best_score_ == 1


def test_in_a_column_transformer_and_a_union():
    frame = pd.DataFrame({"text": SPAM + HAM, "size": np.arange(40.0)})
    both = ColumnTransformer([("text", HashingFeaturizer(), "text")], remainder="passthrough")
    alone = HashingFeaturizer().fit_transform(frame["text"])
    assert both.fit_transform(frame).shape == (40, alone.shape[1] + 1)
    union = FeatureUnion(
        [
            ("words", HashingFeaturizer(char_ngrams=None, feature_names=True)),
            ("chars", HashingFeaturizer(word_ngrams=None, char_ngrams=(3, 3), feature_names=True)),
        ]
    )
    X = union.fit_transform(frame["text"])
    names = union.get_feature_names_out()
    assert X.shape == (40, len(names))
    assert {"words__cash", "chars__#cas"} <= set(names)


def test_clone_keeps_the_parameters_as_they_were_given():
    parameters = {"word_ngrams": [1, 3], "n_buckets": 2**10, "char_ngrams": (2, 2), "seed": 9}
    featurizer = HashingFeaturizer(**parameters).fit(TEXTS)
    other = clone(featurizer)
    assert not hasattr(other, "buckets_")
    assert {name: other.get_params()[name] for name in parameters} == parameters
    assert_same_bits(other.fit_transform(TEXTS), featurizer.transform(TEXTS))


def test_pickle_carries_no_table_as_large_as_the_hash(tmp_path):
    featurizer = HashingFeaturizer(n_buckets=2**20, min_df=1, feature_names=True).fit(TEXTS)
    X = featurizer.transform(TEXTS)
    raw = pickle.dumps(featurizer)
    assert len(raw) < 2**20
    joblib.dump(featurizer, tmp_path / "featurizer")
    for restored in (
        pickle.loads(raw),
        joblib.load(tmp_path / "featurizer"),
        copy.deepcopy(featurizer),
    ):
        assert_same_bits(restored.transform(TEXTS), X)
        names = restored.get_feature_names_out()
        assert (names == featurizer.get_feature_names_out()).all()
    assert_same_bits(featurizer.transform(TEXTS), X)  # pickling took nothing from it
    pickle.loads(pickle.dumps(HashingFeaturizer())).fit(TEXTS)


def test_fitted_attributes_are_few_and_plain():
    featurizer = HashingFeaturizer(feature_names=True).fit(TEXTS)
    fitted = {name for name in vars(featurizer) if name.endswith("_")}
    assert fitted == {*FITTED, "feature_names_", "tokenizer_"}
    assert featurizer.tokenizer_ is None
    fitted -= {"tokenizer_"}
    assert all(isinstance(getattr(featurizer, name), (np.ndarray, int)) for name in fitted)


def test_refit_forgets():
    featurizer = HashingFeaturizer(min_df=1).fit(["old words"])
    featurizer.transform(["old"])
    assert featurizer.fit(["new texts", "new"]) is featurizer
    assert featurizer.transform(["old words"]).nnz == 0
    fresh = HashingFeaturizer(min_df=1).fit(["new texts", "new"])
    assert_same_bits(featurizer.transform(TEXTS), fresh.transform(TEXTS))


def test_concurrent_callers_share_a_fitted_featurizer(many_texts):
    featurizer = HashingFeaturizer(n_jobs=2).fit(many_texts)
    X = featurizer.transform(many_texts)
    fresh = pickle.loads(pickle.dumps(featurizer))  # each caller finds no lookup table
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(fresh.transform, [many_texts] * 8):
            assert_same_bits(result, X)


def test_tags_and_html():
    tags = HashingFeaturizer().__sklearn_tags__()
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert "HashingFeaturizer" in estimator_html_repr(HashingFeaturizer().fit(TEXTS))
