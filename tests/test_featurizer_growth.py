"""HashingFeaturizer.partial_fit: columns that join as n-grams become frequent."""

import copy
import pickle

import numpy as np
import pytest
from test_featurizer import FITTED, TEXTS, assert_same_bits

from udt import HashingFeaturizer
from udt.features import text as kernels
from udt.strings import as_text

WORDS = {"word_ngrams": (1, 1), "char_ngrams": None, "feature_names": True}


def names(featurizer):
    return featurizer.get_feature_names_out().tolist()


@pytest.mark.parametrize("weighting", ["idf", "information", None])
@pytest.mark.parametrize("options", [{}, {"min_df": 1, "seed": 2**31 + 1, "feature_names": True}])
def test_one_call_is_fit(weighting, options):
    y = [len(text) % 3 for text in TEXTS]
    fitted = HashingFeaturizer(weighting=weighting, **options).fit(TEXTS, y)
    grown = HashingFeaturizer(weighting=weighting, **options)
    assert grown.partial_fit(TEXTS, y) is grown
    for name in FITTED:
        np.testing.assert_array_equal(getattr(grown, name), getattr(fitted, name))
    assert_same_bits(grown.transform(TEXTS), fitted.transform(TEXTS))
    assert hasattr(grown, "rare_")
    assert not hasattr(fitted, "rare_")
    if weighting == "information":
        assert grown.classes_.tolist() == fitted.classes_.tolist() == [0, 1, 2]


def test_ngrams_get_columns_when_they_reach_min_df_over_the_calls():
    featurizer = HashingFeaturizer(min_df=3, **WORDS)
    featurizer.partial_fit(["a b", "a b", "a c c c"])
    assert names(featurizer) == ["a"]
    assert featurizer.rare_[1].sum() == 3  # b in two rows, c in one
    featurizer.partial_fit(["b", "c d", "x"])
    assert names(featurizer) == ["a", "b"]
    featurizer.partial_fit(["d d", "c d", "a"])
    assert names(featurizer)[:2] == ["a", "b"]
    assert set(names(featurizer)[2:]) == {"c", "d"}
    assert featurizer.rare_[1].tolist() == [1]  # x
    X = featurizer.transform(["a b c d x"])
    assert X.shape == (1, 4)
    assert X.nnz == 4


def test_new_columns_are_in_falling_order_within_their_call():
    featurizer = HashingFeaturizer(min_df=2, **WORDS).partial_fit(["z z", "z"])
    featurizer.partial_fit(["q r s", "q r", "q s", "q"])
    assert names(featurizer)[:2] == ["z", "q"]
    new = featurizer.buckets_[2:]
    assert set(names(featurizer)[2:]) == {"r", "s"}
    assert new[0] < new[1]  # equals by bucket


def test_columns_and_weights_never_move():
    featurizer = HashingFeaturizer(weighting="information", min_df=1)
    featurizer.partial_fit(["good film", "bad film"], ["pos", "neg"])
    buckets, weights = featurizer.buckets_.copy(), featurizer.weights_.copy()
    kept = featurizer.buckets_, featurizer.weights_
    X = featurizer.transform(["good bad film"])
    for texts, y in [(["good wine", "dull film"], ["pos", "neg"]), (["red wine"] * 3, ["pos"] * 3)]:
        featurizer.partial_fit(texts, y)
        np.testing.assert_array_equal(featurizer.buckets_[: len(buckets)], buckets)
        np.testing.assert_array_equal(featurizer.weights_[: len(weights)], weights)
        assert len(set(featurizer.buckets_.tolist())) == len(featurizer.buckets_)
    assert len(featurizer.weights_) == len(featurizer.buckets_) > len(buckets)
    assert featurizer.transform(["good bad film"]).data.tobytes() == X.data.tobytes()
    np.testing.assert_array_equal(kept[0], buckets)  # nor is the old array written to


def test_idf_of_new_columns_counts_all_rows_so_far():
    featurizer = HashingFeaturizer(min_df=2, **WORDS)
    featurizer.partial_fit(["a b", "a", "c"]).partial_fit(["b", "b", "d", "e"])
    np.testing.assert_allclose(
        featurizer.weights_, [1 + np.log(4 / 3), 1 + np.log(8 / 4)], rtol=1e-6
    )
    assert featurizer.class_rows_.tolist() == [7]


def test_information_of_new_columns_is_measured_beside_the_classes_of_all_rows():
    featurizer = HashingFeaturizer(weighting="information", min_df=1, **WORDS)
    featurizer.partial_fit(["good"] * 3 + ["bad"], ["pos"] * 3 + ["neg"])
    featurizer.partial_fit(["awful"] * 2, ["neg"] * 2)  # of one class, but not the only one
    p = np.array([0 + 0.5, 2 + 0.5]) / 3  # three rows of each class, smoothed by one row of these
    expected = np.sqrt(np.sum(p * np.log(p / 0.5)))
    assert featurizer.weights_[names(featurizer).index("awful")] == pytest.approx(expected)
    assert featurizer.classes_.tolist() == ["neg", "pos"]
    assert featurizer.class_rows_.tolist() == [3, 3]


def test_rows_of_one_class_weigh_every_column_alike():
    featurizer = HashingFeaturizer(weighting="information", min_df=1, **WORDS)
    featurizer.partial_fit(["good film", "good"], ["pos", "pos"])
    assert featurizer.weights_.tolist() == [1, 1]
    featurizer.partial_fit(["bad film"], ["neg"])
    assert featurizer.weights_[:2].tolist() == [1, 1]
    assert 0 < featurizer.weights_[2] < 1


def test_new_classes_join_behind_the_others():
    featurizer = HashingFeaturizer(weighting="information", min_df=1)
    featurizer.partial_fit(["m", "z"], ["m", "z"]).partial_fit(["a b", "m", "b"], ["b", "m", "a"])
    assert featurizer.classes_.tolist() == ["m", "z", "a", "b"]
    assert featurizer.class_rows_.tolist() == [2, 1, 1, 1]
    with pytest.raises(TypeError, match="y is of dtype int64, but earlier calls had <U1"):
        featurizer.partial_fit(["x"], [3])


def test_going_on_after_fit():
    featurizer = HashingFeaturizer(min_df=2, **WORDS).fit(["a b", "a"])
    featurizer.partial_fit(["b", "c c"])
    assert names(featurizer) == ["a"]  # fit did not remember b
    featurizer.partial_fit(["b", "c"])
    assert names(featurizer)[0] == "a"
    assert set(names(featurizer)) == {"a", "b", "c"}
    assert featurizer.class_rows_.tolist() == [6]
    featurizer.fit(["d", "d"])
    assert names(featurizer) == ["d"]
    assert not hasattr(featurizer, "rare_")
    assert featurizer.class_rows_.tolist() == [2]


def test_going_on_without_what_was_met_before():
    """As from a model file that holds no more than what predicting needs."""
    featurizer = HashingFeaturizer(min_df=1, weighting="information")
    featurizer.fit(["a b", "a"], ["x", "y"])
    bare = HashingFeaturizer(min_df=1, weighting="information")
    for name in ("ngrams_", "n_buckets_", "buckets_", "weights_"):
        setattr(bare, name, getattr(featurizer, name))
    bare._partial_fit(as_text(["b c", "c"]), np.array([0, 1]))
    assert bare.buckets_[: len(featurizer.buckets_)].tolist() == featurizer.buckets_.tolist()
    assert bare.transform(["c"]).nnz > 0


def test_the_first_call_freezes_ngrams_and_the_size_of_the_hash():
    featurizer = HashingFeaturizer(min_df=1).partial_fit(["short"])
    n_buckets = featurizer.n_buckets_
    featurizer.partial_fit(["many words " * 200] * 2)
    assert featurizer.ngrams_.tolist() == [1, 2, 3, 5]
    assert featurizer.n_buckets_ == n_buckets


def test_without_new_ngrams_nothing_changes():
    featurizer = HashingFeaturizer(min_df=1).partial_fit(TEXTS)
    X = featurizer.transform(TEXTS)
    featurizer.partial_fit(TEXTS[:3])
    featurizer.partial_fit(["", None])
    assert_same_bits(featurizer.transform(TEXTS), X)


def test_same_bits_for_any_number_of_threads_and_through_pickle():
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(900)]
    texts = [" ".join(random.choice(words, 5)) for _ in range(3000)]
    y = random.integers(0, 3, 3000)
    grown = []
    for n_jobs in (1, 2, 4):
        featurizer = HashingFeaturizer(weighting="information", n_jobs=n_jobs, min_df=3)
        for first in range(0, 3000, 700):
            if n_jobs == 4:
                featurizer = pickle.loads(pickle.dumps(featurizer))
            featurizer.partial_fit(texts[first : first + 700], y[first : first + 700])
        grown.append(featurizer)
    for other in grown[1:]:
        for name in (*FITTED, "rare_", "classes_"):
            np.testing.assert_array_equal(getattr(other, name), getattr(grown[0], name))
        assert_same_bits(other.transform(texts), grown[0].transform(texts))


def test_rows_of_a_call_are_given_as_transform_gives_them():
    column = as_text(TEXTS)
    featurizer = HashingFeaturizer(min_df=1)
    assert_same_bits(featurizer._partial_fit(column), featurizer.transform(TEXTS))
    more = as_text(["my new card", "東京 card"])
    assert_same_bits(featurizer._partial_fit(more), featurizer._transform(more))


@pytest.mark.parametrize("step", ["count_rows", "name_features", "transform_rows", "scale_rows"])
@pytest.mark.parametrize("first", [True, False])
def test_an_interrupted_call_leaves_a_featurizer_as_it_was(monkeypatch, step, first):
    def interrupt(*_):
        raise KeyboardInterrupt

    featurizer = HashingFeaturizer(min_df=2, feature_names=True)
    if not first:
        featurizer.partial_fit(TEXTS).transform(TEXTS)
    before = dict(vars(featurizer))
    with monkeypatch.context() as patch:
        patch.setattr(kernels, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            featurizer.partial_fit(["another text"] * 3)
    assert vars(featurizer).keys() == before.keys()
    assert all(value is before[name] for name, value in vars(featurizer).items())


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [("bare", ["a"], "single str"), ([], [], "0 sample"), (["a", 3], ["a", "b"], "row 1 of X is 3"),
     (["a"], None, "y"), (["a"], ["x", "y"], "2 labels"), (["a", "b"], [None, "x"], "y")],
)  # fmt: skip
def test_bad_input_leaves_a_featurizer_as_it_was(X, y, match):
    featurizer = HashingFeaturizer(weighting="information", min_df=1)
    featurizer.partial_fit(["a b", "c"], ["x", "y"])
    before = dict(vars(featurizer))
    with pytest.raises((TypeError, ValueError), match=match):
        featurizer.partial_fit(X, y)
    assert all(value is before[name] for name, value in vars(featurizer).items())


def test_a_copy_does_not_grow_with_its_original():
    featurizer = HashingFeaturizer(min_df=1).partial_fit(["a"])
    other = copy.copy(featurizer)
    X = other.transform(["a b"])
    featurizer.partial_fit(["b"])
    assert_same_bits(other.transform(["a b"]), X)
    assert featurizer.transform(["a b"]).shape[1] > X.shape[1]


def test_labels_of_rows_as_a_csr_pair():
    column = as_text(["good film", "bad film", "film"])
    labels = np.array([0, 2, 3, 3]), np.array([0, 1, 1])
    featurizer = HashingFeaturizer(weighting="information", min_df=1, **WORDS)
    X = featurizer._fit_transform(column, labels)
    assert featurizer.class_rows_.tolist() == [1, 1, 2]  # a row without labels, then the labels
    weights = dict(zip(names(featurizer), featurizer.weights_.tolist(), strict=True))
    assert weights["good"] > weights["film"]
    assert weights["bad"] > weights["film"]
    assert X.shape == (3, 3)
    featurizer._partial_fit(as_text(["new film"]), (np.array([0, 1]), np.array([3])))
    assert featurizer.class_rows_.tolist() == [1, 1, 2, 0, 1]


def test_weights_of_rows():
    column, targets = as_text(["a b", "a", "b"]), np.array([0, 0, 1])
    options = {"weighting": "information", "min_df": 1, **WORDS}
    plain, ones, other = (HashingFeaturizer(**options) for _ in range(3))
    X = plain._fit_transform(column, targets)
    assert_same_bits(ones._fit_transform(column, targets, np.ones(3, dtype=np.float32)), X)
    other._fit_transform(column, targets, np.array([0.5, 0.5, 2.0]))
    assert other.class_rows_.tolist() == [1, 2]
    assert not np.array_equal(other.weights_, plain.weights_)
