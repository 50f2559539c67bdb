"""Tokens of Hugging Face tokenizers in the place of words."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_html_repr
from test_featurizer import FITTED, HAM, LABELS, SPAM, TEXTS, assert_same_bits
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from udt import HashingFeaturizer
from udt.features.tokenization import Encoder, check_tokenizer, parse, tokenizer_json
from udt.strings import as_text
from udt.threads import Pool

KINDS = ["bpe", "wordpiece", "unigram"]
CHINESE = ["我们明天去北京", "我们昨天去上海", "他们明天去北京", "他们昨天去上海"] * 5
CORPUS = [*TEXTS, *SPAM, *HAM, *CHINESE]


def make(**settings):
    """A tokenizer as people have them: special tokens, padding and truncation."""
    vocabulary = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "card", "##s", "my", "lost", "e", "b", "?"]
    numbers = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=32, pad_id=3, pad_token="[PAD]")
    return tokenizer


LONG = "my cards lost my cards lost my cards lost?"
LONG_TOKENS = ["my", "card", "##s", "lost"] * 3 + ["?"]


def names(featurizer):
    return featurizer.get_feature_names_out().tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chars", [None, (2, 3)])
def test_columns_are_those_of_the_naive_twin_on_the_tokens(kind, chars):
    featurizer = HashingFeaturizer(tokenizer=kind, min_df=1, char_ngrams=chars, n_buckets=2**20)
    X = featurizer.fit_transform(CORPUS)
    live = Tokenizer.from_str(featurizer.tokenizer_)
    for row, text in enumerate(CORPUS):
        tokens = live.encode(text).tokens
        expected = set(naive.hash_ngrams(naive.word_ngrams(tokens, 1, 2), 0))
        if chars:
            # Punctuation, which the twin leaves out, is a token like any other.
            tokens = [token.replace("?", "x") for token in tokens]
            if "!" not in text and "?" not in text:
                expected |= set(naive.hash_ngrams(naive.char_ngrams(tokens, *chars), 2**32 - 1))
        found = {int(featurizer.buckets_[i]) for i in X[row].indices}
        assert found >= {h % 2**20 for h in expected}
        if not chars:
            assert found == {h % 2**20 for h in expected}


@pytest.mark.parametrize("kind", KINDS)
def test_training_gives_the_same_bits_each_time_at_any_number_of_threads(kind):
    corpus = [f"{text} {i % 37} w{i % 101}x{i % 7}" for i, text in enumerate(CORPUS * 40)]
    first = HashingFeaturizer(tokenizer=kind, n_jobs=1)
    X = first.fit_transform(corpus)
    assert X.shape[0] > 2 * 1024  # more blocks than one
    for n_jobs in (1, 2, 4):
        other = HashingFeaturizer(tokenizer=kind, n_jobs=n_jobs)
        assert_same_bits(other.fit_transform(corpus), X)
        assert_same_bits(other.transform(corpus), X)
        assert other.tokenizer_ == first.tokenizer_
        for name in FITTED:
            np.testing.assert_array_equal(getattr(other, name), getattr(first, name))


def test_training_gives_the_same_bits_in_another_process():
    """The hash tables of tokenizers have another order in each."""
    code = (
        "import hashlib, test_tokenization as t\n"
        "column = t.as_text(t.CORPUS)\n"
        "for kind in t.KINDS:\n"
        "    text = t.tokenizer_json(kind, column, False)\n"
        "    print(hashlib.sha256(text.encode()).hexdigest())"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_trained_tokens(kind):
    column = as_text(CHINESE + ["İSTANBUL istanbul don\u2019t x\u200dy 5€ 👍🏽 हिन्दी हिन्दी"] * 3)
    encoder = Encoder(tokenizer_json(kind, column, False))
    pieces = [token.removeprefix("##") for token in encoder.join("我们明天去").split()]
    assert "".join(pieces) == "我们明天去"
    assert len(pieces) < 5
    words = encoder.join("5€ हिन्दी don't 2 x\u200dy!").replace(" ##", "").split()
    assert {"5", "€", "हिन्दी", "don", "t"} <= set(words)
    assert "[UNK]" in encoder.join("Ω")
    assert encoder.join("") == encoder.join(" .,\n\u200d") == ""


@pytest.mark.parametrize("kind", KINDS)
def test_strip_accents_of_a_trained_tokenizer(kind):
    column = as_text(["café cafe naïve naive"] * 3)
    stripped = Encoder(tokenizer_json(kind, column, True))
    kept = Encoder(tokenizer_json(kind, column, False))
    assert stripped.join("CAFÉ") == stripped.join("cafe\u0301") == stripped.join("cafe")
    assert kept.join("café") == kept.join("CAFE\u0301") != kept.join("cafe")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[""], ["", None, " .\n"], ["?"], ["a"], ["\ud800", "a"]])
def test_training_on_next_to_nothing(kind, texts):
    featurizer = HashingFeaturizer(tokenizer=kind, min_df=1)
    X = featurizer.fit_transform(texts)
    assert X.shape[0] == len(texts)
    assert_same_bits(featurizer.transform(texts), X)
    featurizer.transform(TEXTS)


def test_a_ready_made_tokenizer_cuts_and_pads_nothing_and_adds_no_special_tokens():
    tokenizer = make()
    before = tokenizer.to_str()
    featurizer = HashingFeaturizer(
        tokenizer=tokenizer, word_ngrams=(1, 1), char_ngrams=None, min_df=1, feature_names=True
    )
    X = featurizer.fit_transform([LONG, "card"])
    assert set(names(featurizer)) == set(LONG_TOKENS)
    assert X[0].nnz == 5
    assert tokenizer.to_str() == before
    assert featurizer.tokenizer is tokenizer
    assert tokenizer.truncation
    assert tokenizer.padding


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path(tmp_path, kind):
    make().save(str(tmp_path / "my tokenizer.json"))
    given = HashingFeaturizer(tokenizer=make(), min_df=1)
    read = HashingFeaturizer(tokenizer=kind(tmp_path / "my tokenizer.json"), min_df=1)
    assert_same_bits(read.fit_transform([LONG, "b"]), given.fit_transform([LONG, "b"]))
    (tmp_path / "my tokenizer.json").unlink()  # what is fitted needs it no more
    assert_same_bits(pickle.loads(pickle.dumps(read)).transform([LONG]), given.transform([LONG]))


def test_a_token_that_holds_spaces_is_one_word():
    tokenizer = Tokenizer(models.WordLevel({"new york": 0, "city": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(",", "removed")
    featurizer = HashingFeaturizer(
        tokenizer=tokenizer, min_df=1, char_ngrams=None, feature_names=True
    )
    featurizer.fit(["new york,city"])
    assert set(names(featurizer)) == {"new\u2581york", "city", "new\u2581york city"}


def test_bytes_as_letters():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False, vocab_size=300)
    tokenizer.train_from_iterator(CHINESE, trainer)
    featurizer = HashingFeaturizer(tokenizer=tokenizer, min_df=1)
    X = featurizer.fit_transform(["Straße 東京\n\0x", "", "👍"])
    assert X[0].nnz > 0
    assert X[1].nnz == 0
    assert X[2].nnz > 0


def test_numbers_of_tokens_may_have_gaps():
    tokenizer = Tokenizer(models.WordLevel({"a": 7, "b": 3, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert Encoder(tokenizer.to_str()).join("a b z") == "a b ? "


@settings(max_examples=30)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_one_text_is_as_a_column_of_it(texts):
    texts = [*texts, "\ud800 card"]
    for kind in KINDS:
        featurizer = FITTED_TO_CORPUS.setdefault(
            kind, HashingFeaturizer(tokenizer=kind, min_df=1, n_jobs=1)
        )
        if not hasattr(featurizer, "buckets_"):
            featurizer.fit(CORPUS)
        with Pool(1) as pool:
            rows = Encoder(featurizer.tokenizer_).join_rows(as_text(texts), pool).to_pylist()
        assert [featurizer._normalise(text) for text in texts] == rows


FITTED_TO_CORPUS = {}


def test_a_slice_of_a_column():
    column = as_text(["card", "my", "lost card", "b"])
    encoder = Encoder(tokenizer_json(make(), column, False))
    with Pool(2) as pool:
        assert encoder.join_rows(column[1:3], pool).to_pylist() == ["my ", "lost card "]


@pytest.mark.parametrize("tokenizer", ["bpe", make()], ids=["bpe", "object"])
def test_an_estimator_among_estimators(tokenizer, tmp_path):
    featurizer = HashingFeaturizer(tokenizer=tokenizer, min_df=1)
    other = clone(featurizer)
    assert featurizer.get_params()["tokenizer"] is tokenizer
    X = featurizer.fit_transform(CORPUS)
    assert featurizer.tokenizer is tokenizer
    assert_same_bits(other.fit_transform(CORPUS), X)
    featurizer.transform(["card"])
    joblib.dump(featurizer, tmp_path / "featurizer")
    for restored in (
        pickle.loads(pickle.dumps(featurizer)),
        joblib.load(tmp_path / "featurizer"),
        copy.deepcopy(featurizer),
        copy.copy(featurizer),
    ):
        assert_same_bits(restored.transform(CORPUS), X)
    assert_same_bits(featurizer.transform(CORPUS), X)
    assert "HashingFeaturizer" in estimator_html_repr(featurizer)
    assert "HashingFeaturizer" in repr(featurizer)


def test_what_is_fitted_is_plain_data():
    featurizer = HashingFeaturizer(tokenizer="bpe").fit(CORPUS)
    featurizer.transform(CORPUS)
    assert json.loads(featurizer.tokenizer_)["truncation"] is None
    state = featurizer.__getstate__()
    assert all(
        isinstance(value, (np.ndarray, str, int, type(None)))
        for name, value in state.items()
        if name.endswith("_") or name.startswith("_")
        if name != "_sklearn_version"
    )


def test_in_a_grid_search():
    pipeline = Pipeline([("text", HashingFeaturizer(min_df=1)), ("model", LogisticRegression())])
    grid = {"text__tokenizer": [None, "bpe", "wordpiece", "unigram", make()]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=1).fit(SPAM + HAM, LABELS)
    assert (search.cv_results_["mean_test_score"][:4] == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_keeps_the_tokenizer(kind):
    fitted = HashingFeaturizer(tokenizer=kind, min_df=1).fit(CORPUS)
    featurizer = HashingFeaturizer(tokenizer=kind, min_df=1).partial_fit(CORPUS)
    assert featurizer.tokenizer_ == fitted.tokenizer_
    assert_same_bits(featurizer.transform(CORPUS), fitted.transform(CORPUS))
    n = len(featurizer.buckets_)
    featurizer.partial_fit(["card card noon", "other words"])
    assert featurizer.tokenizer_ == fitted.tokenizer_
    assert len(featurizer.buckets_) > n
    featurizer.set_params(tokenizer=None).fit(CORPUS)
    assert featurizer.tokenizer_ is None
    plain = HashingFeaturizer(min_df=1).fit(CORPUS)
    assert_same_bits(featurizer.transform(CORPUS), plain.transform(CORPUS))


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_names_and_seeds(seed):
    featurizer = HashingFeaturizer(
        tokenizer=make(), min_df=1, seed=seed, feature_names=True, char_ngrams=(3, 3)
    )
    featurizer.fit(["my cards", "b?"])
    assert set(names(featurizer)) == {
        "my", "card", "##s", "my card", "card ##s", "b", "?", "b ?",
        "#_my", "#my_", "#_ca", "#car", "#ard", "#rd_", "#_##", "###s", "##s_", "#_b_", "#_?_",
    }  # fmt: skip


# ------------------------------------------------------------------------------------ bad input


class InPython:
    def to_str(self):
        raise Exception("Custom PreTokenizer cannot be serialized")


class OfTransformers:
    backend_tokenizer = None


@pytest.mark.parametrize(
    ("tokenizer", "match"),
    [
        (
            "sentencepiece",
            r'tokenizer=\'sentencepiece\': there is no such file; give None, "bpe", ',
        ),
        ("BPE", "there is no such file"),
        ("", "there is no such file"),
        (Path("no/such.json"), "such.json'.: there is no such file"),
        (os.curdir, "there is no such file"),
        (3, "tokenizer=int object: give None"),
        (str.split, "tokenizer=method_descriptor object: give None"),
        ({"model": {}}, "tokenizer=dict object: give None"),
        (b"bpe", "tokenizer=bytes object"),
        (OfTransformers(), "of a transformers tokenizer, give its backend_tokenizer"),
        (InPython(), "tokenizer=InPython object: Custom PreTokenizer cannot be serialized"),
    ],
    ids=str,
)
def test_what_is_no_tokenizer(tokenizer, match):
    featurizer = HashingFeaturizer(min_df=1).fit(TEXTS)
    X = featurizer.transform(TEXTS)
    featurizer.set_params(tokenizer=tokenizer)
    with pytest.raises(ValueError, match=match):
        featurizer.fit(TEXTS)
    assert_same_bits(featurizer.transform(TEXTS), X)
    new = HashingFeaturizer(tokenizer=tokenizer)
    with pytest.raises(ValueError, match=match):
        new.partial_fit(TEXTS)
    assert not hasattr(new, "buckets_")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff\xfe\0", b'{"model": {"type": "BPE"}}', b"text\n",
     b'{"version": "9.0", "model": {"type": "WordLevel", "vocab": {}, "unk_token": "x"}}'],
)  # fmt: skip
def test_a_file_that_is_no_tokenizer(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer='.*tokenizer.json': this is not the JSON of"):
        HashingFeaturizer(tokenizer=str(path)).fit(TEXTS)


@pytest.mark.parametrize("text", ["", "{}", make().to_str()[:-40]])
def test_a_damaged_tokenizer_of_a_model(text):
    featurizer = HashingFeaturizer(tokenizer=make(), min_df=1).fit(TEXTS)
    featurizer.tokenizer_ = text
    featurizer = pickle.loads(pickle.dumps(featurizer))
    with pytest.raises(ValueError, match="tokenizer_: this is not the JSON of a tokenizers"):
        featurizer.transform(TEXTS)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for tokenizer in ("bpe", InPython()):
        with pytest.raises(
            (ModuleNotFoundError, ValueError), match=r"pip install 'udt\[tokenizers\]'|Custom"
        ):
            HashingFeaturizer(tokenizer=tokenizer).fit(TEXTS)
    with pytest.raises(ModuleNotFoundError, match="needs the package tokenizers, which is not"):
        parse("{}")
    HashingFeaturizer().fit(TEXTS)


@pytest.mark.parametrize("tokenizer", [None, *KINDS, make()], ids=repr)
def test_what_is_fine_is_not_read_by_the_check(tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    check_tokenizer(tokenizer)


def test_threads_of_tokenizers_are_the_users_to_set(monkeypatch):
    for value in ("true", "false"):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", value)
        HashingFeaturizer(tokenizer="bpe", min_df=1).fit(TEXTS)
        assert os.environ["TOKENIZERS_PARALLELISM"] == value
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    HashingFeaturizer(tokenizer="bpe", min_df=1).fit(TEXTS)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_nothing_of_it_is_loaded_where_no_tokenizer_is_asked_for():
    code = (
        "import sys; from udt import HashingFeaturizer; HashingFeaturizer().fit(['a b']);"
        "assert 'tokenizers' not in sys.modules and 'udt.features.tokenization' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
