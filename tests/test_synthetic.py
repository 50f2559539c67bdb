"""Synthetic data has the published shapes, the skew of real sets, and can be learned."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

from udt.datasets import XMC_SHAPES, make_xmc_classification, make_xmc_like
from udt.datasets.synthetic_kernels import fill_rows, prototype_feature

MASK = 2**64 - 1


@pytest.fixture(scope="module")
def like_amazon():
    return make_xmc_like("amazon-670k", 0.01, random_state=0)


def rows_of(X):
    return [X.indices[a:b].tolist() for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)]


def by_centroids(X, Y, X_test, k=1):
    """Rank labels by the cosine of a row and the mean of the label's rows."""
    centroids = sp.csr_matrix(Y.T @ X)
    norms = np.sqrt(np.asarray(centroids.multiply(centroids).sum(axis=1)).ravel())
    scores = (X_test @ (sp.diags(1 / np.maximum(norms, 1e-9)) @ centroids).T).toarray()
    return np.argsort(-scores, axis=1)[:, :k]


def precision(Y, top):
    return np.mean([Y[i, j] for i, row in enumerate(top) for j in row])


# ------------------------------------------------------------------------------------------- shapes


def test_the_shape_is_amazons(like_amazon):
    X, Y, X_test, Y_test = like_amazon
    assert X.shape == (4_904, 13_591) and Y.shape == (4_904, 6_701)
    assert X_test.shape == (1_530, 13_591) and Y_test.shape == (1_530, 6_701)
    for features, labels in [(X, Y), (X_test, Y_test)]:
        assert features.nnz / features.shape[0] == pytest.approx(76, rel=0.04)
        assert labels.nnz / labels.shape[0] == pytest.approx(5.45, rel=0.04)


def test_the_published_shapes():
    assert XMC_SHAPES["amazon-670k"][:4] == (490_449, 153_025, 135_909, 670_091)
    assert XMC_SHAPES["wikilshtc-325k"][:4] == (1_778_351, 587_084, 1_617_899, 325_056)
    X, Y, *_ = make_xmc_like("wikilshtc-325k", 0.001, random_state=0)
    assert X.shape == (1_778, 51_162) and Y.shape == (1_778, 325)
    assert X.nnz / X.shape[0] == pytest.approx(42, rel=0.05)


def test_rows_are_those_of_text(like_amazon):
    X, Y, X_test, Y_test = like_amazon
    for matrix in like_amazon:
        assert type(matrix) is sp.csr_matrix and matrix.dtype == np.float32
        assert matrix.indices.dtype == np.int32
        rows = rows_of(matrix)
        assert all(row == sorted(set(row)) and row for row in rows)
    for features in (X, X_test):
        assert (features.data > 0).all()
        np.testing.assert_allclose(features.multiply(features).sum(axis=1), 1, rtol=1e-5)
    for labels in (Y, Y_test):
        assert (labels.data == 1).all()
    lengths = np.diff(X.indptr)
    assert lengths.min() < 30 and lengths.max() > 150


def test_frequencies_of_labels_are_a_power_law(like_amazon):
    frequencies = np.sort(np.bincount(like_amazon[1].indices, minlength=6_701))[::-1]
    assert frequencies[-1] >= 1  # every label occurs
    extra = frequencies - 1.0
    ranks = np.array([4, 16, 64, 256, 1024])
    slope = np.polyfit(np.log(ranks), np.log(extra[ranks - 1]), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)
    assert frequencies[0] > 20 * np.median(frequencies)


@pytest.mark.parametrize("exponent", [0, 1.0])
def test_the_exponent_of_the_labels(exponent):
    _, Y = make_xmc_classification(
        2000, 1000, 500, label_exponent=exponent, features_per_sample=2, random_state=0
    )
    frequencies = np.sort(np.bincount(Y.indices, minlength=500))[::-1]
    if exponent == 0:
        assert frequencies[0] - frequencies[-1] <= 2
    else:
        assert frequencies[9] / frequencies[99] == pytest.approx(10, rel=0.2)


def test_features_follow_zipfs_law_where_there_is_nothing_but_noise():
    X, _ = make_xmc_classification(4000, 5000, 50, signal=0, random_state=0)
    counts = np.sort(np.bincount(X.indices, minlength=5000))[::-1]
    ranks = np.array([100, 200, 400, 800])  # the first of all are in nearly every row
    slope = np.polyfit(np.log(ranks), np.log(counts[ranks - 1]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.15)
    assert np.corrcoef(np.arange(5000), np.bincount(X.indices, minlength=5000))[0, 1] < 0.1


def test_labels_of_a_row_are_related(like_amazon):
    Y = like_amazon[1]
    together = (Y.T @ Y).toarray()
    np.fill_diagonal(together, 0)
    rare = np.flatnonzero(np.asarray(Y.sum(axis=0)).ravel() < 10)
    partners = (together[rare] > 0).sum(axis=1)
    # A rare label has about 3 rows x 4.5 others in them; most of these are its group's 15.
    assert np.median(partners) < 16
    shuffled = sp.csr_matrix(
        (Y.data, np.random.default_rng(0).permutation(Y.indices), Y.indptr), Y.shape
    )
    by_chance = (shuffled.T @ shuffled).toarray()
    np.fill_diagonal(by_chance, 0)
    assert together.max(axis=1)[rare].mean() > 1.5 * by_chance.max(axis=1)[rare].mean()


# ----------------------------------------------------------------------------------- can be learned


def test_centroids_find_the_labels_of_new_rows(like_amazon):
    X, Y, X_test, Y_test = like_amazon
    top = by_centroids(X, Y, X_test[:500], k=3)
    assert precision(Y_test, top[:, :1]) > 0.8
    assert precision(Y_test, top) > 0.6


def test_without_signal_nothing_can_be_learned():
    X, Y, X_test, Y_test = make_xmc_classification(
        2000, 2000, 500, n_test_samples=300, signal=0, random_state=0
    )
    assert precision(Y_test, by_centroids(X, Y, X_test)) < 0.1


def test_more_signal_is_easier():
    scores = []
    for signal in (0.1, 0.3, 1.0):
        X, Y, X_test, Y_test = make_xmc_classification(
            1000, 2000, 500, n_test_samples=300, signal=signal, random_state=0
        )
        scores.append(precision(Y_test, by_centroids(X, Y, X_test)))
    assert scores[0] < scores[1] < scores[2]


# ---------------------------------------------------------------------------------------- same bits


def test_the_same_seed_gives_the_same_bits(like_amazon):
    again = make_xmc_like("amazon-670k", 0.01, random_state=np.random.RandomState(0))
    other = make_xmc_like("amazon-670k", 0.01, random_state=1)
    for a, b in zip(like_amazon, again, strict=True):
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (like_amazon[0] != other[0]).nnz


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    def made():
        return make_xmc_classification(20_000, 500, 300, features_per_sample=3, random_state=0)

    monkeypatch.setattr("udt.threads.effective_n_jobs", lambda n_jobs: 1)
    one = made()
    monkeypatch.setattr("udt.threads.effective_n_jobs", lambda n_jobs: 3)
    for a, b in zip(one, made(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.indices, b.indices)


def test_rows_to_test_leave_the_others_as_they_are():
    plain = make_xmc_classification(300, 500, 100, random_state=3)
    more = make_xmc_classification(300, 500, 100, n_test_samples=50, random_state=3)
    assert len(plain) == 2 and len(more) == 4
    assert (plain[0] != more[0]).nnz == 0 and (plain[1] != more[1]).nnz == 0
    assert (more[0][:50] != more[2]).nnz


def test_no_seed_gives_new_data():
    one, two = (make_xmc_classification(50, 100, 20)[0] for _ in range(2))
    assert (one != two).nnz


# ------------------------------------------------------------------------------------------ corners


@pytest.mark.parametrize(
    "sizes",
    [
        dict(n_samples=1, n_features=1, n_labels=1, features_per_sample=1, labels_per_sample=1),
        dict(n_samples=5, n_features=3, n_labels=2, features_per_sample=3, labels_per_sample=2),
        dict(n_samples=3, n_features=500, n_labels=1000, labels_per_sample=2),  # more than places
        dict(n_samples=50, n_features=100, n_labels=40, group_size=1),
        dict(n_samples=50, n_features=100, n_labels=40, group_size=1000),
        dict(n_samples=50, n_features=100, n_labels=40, label_exponent=5),
        dict(n_samples=50, n_features=100, n_labels=40, signal=1),
        dict(n_samples=50, n_features=100, n_labels=40, n_test_samples=1),
    ],
)
def test_small_and_odd_sizes(sizes):
    made = make_xmc_classification(**sizes, random_state=0)
    for X, Y in zip(made[::2], made[1::2], strict=True):
        assert X.shape[1] == sizes["n_features"] and Y.shape[1] == sizes["n_labels"]
        assert np.diff(X.indptr).min() >= 1 and np.diff(Y.indptr).min() >= 1
        for matrix in (X, Y):
            matrix.check_format()
            assert all(row == sorted(set(row)) for row in rows_of(matrix))
        assert np.isfinite(X.data).all()


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (dict(n_samples=0), "n_samples=0: give at least 1"),
        (dict(n_samples=2.0), r"n_samples=2.0: give an int"),
        (dict(n_features=True), "n_features=True: give an int"),
        (dict(n_labels=-1), "n_labels=-1: give at least 1"),
        (dict(n_test_samples=-1), "n_test_samples=-1: give at least 0"),
        (dict(group_size=0), "group_size=0: give at least 1"),
        (dict(features_per_sample=0.5), "features_per_sample=0.5: give at least 1 and at most"),
        (dict(features_per_sample=101), "features_per_sample=101: give at least 1 and at most 100"),
        (dict(labels_per_sample=51), "labels_per_sample=51: give at least 1 and at most 50"),
        (dict(labels_per_sample="2"), "labels_per_sample='2': give a number"),
        (dict(signal=1.1), "signal=1.1: give at least 0 and at most 1"),
        (dict(signal=math.nan), "signal=nan: give a number"),
        (dict(label_exponent=-1), "label_exponent=-1: give at least 0"),
        (dict(n_features=2**31), "n_features=2147483648: give at most 2147483647"),
        (dict(n_labels=2**31), "n_labels=2147483648: give at most 2147483647"),
    ],
)
def test_bad_parameters_are_named(wrong, match):
    with pytest.raises(ValueError, match=match):
        make_xmc_classification(**{"n_samples": 10, "n_features": 100, "n_labels": 50, **wrong})


@pytest.mark.parametrize("scale", [0, -1, math.inf, math.nan, "1", True])
def test_bad_scales_are_named(scale):
    with pytest.raises(ValueError, match="scale="):
        make_xmc_like("amazon-670k", scale)


def test_an_unknown_shape_is_named():
    with pytest.raises(ValueError, match="shape='amazon': give one of 'amazon-670k', 'wiki"):
        make_xmc_like("amazon")


# ------------------------------------------------------------------------------------------ kernels


def bits(key, a, b):
    h = (key + a * 0x9E3779B97F4A7C15 + b * 0xD1B54A32D192ED03) & MASK
    for _ in range(2):
        h = ((h ^ (h >> 32)) * 0xD6E8FEB86659FD93) & MASK
    return h ^ (h >> 32)


def below(hashed, n):
    return ((hashed >> 32) * n) >> 32


def naive_feature(key, label, group, place, n_own, n_topic, n_features):
    if place < n_own:
        return below(bits(key, label, place), n_features)
    pick = below(bits(key, label, place), n_topic)
    return below(bits(key ^ 0xA5A5A5A5A5A5A5A5, group, pick), n_features)


def naive_row(key, row_key, row, labels, groups, sizes, signal, n_features, n_tries, wanted):
    n_own, n_shared, n_topic = sizes
    counts = {}
    for draw in range(n_tries * wanted):
        if len(counts) == wanted:
            break
        where, what, which = (bits(row_key, row, 3 * draw + i) for i in range(3))
        if labels and (where >> 11) / 2**53 < signal:
            label = labels[below(what, len(labels))]
            place = below(which, n_own + n_shared)
            feature = naive_feature(key, label, groups[label], place, n_own, n_topic, n_features)
        else:
            feature = int(math.exp((what >> 11) / 2**53 * math.log(n_features + 1))) - 1
            feature = min(feature, n_features - 1)
        counts[feature] = counts.get(feature, 0) + 1
    return counts


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore:overflow encountered in scalar")
@pytest.mark.parametrize("n_features", [5, 300])
def test_rows_are_those_of_a_plain_twin(n_features):
    key, row_key, n_labels = 2**63 + 11, 2**64 - 3, 20
    groups = np.arange(n_labels, dtype=np.int32) // 4
    labels = [[3, 7], [], [0], [19, 1, 2]]
    wanted = [4, 0, 5, 5]
    y_indptr = np.cumsum([0, *map(len, labels)])
    y_indices = np.array([label for row in labels for label in row], np.int32)
    indptr = np.cumsum([0, *wanted])
    indices, counts = np.zeros(indptr[-1], np.int32), np.zeros(indptr[-1], np.float32)
    sizes = np.full(4, -1)
    keys = (np.uint64(key), np.uint64(row_key))
    rest = (3, 2, 4, 0.6, n_features, 4, indptr, indices, counts, sizes)
    fill_rows(0, 3, *keys, y_indptr, y_indices, groups, *rest)
    assert sizes[3] == -1 and not counts[indptr[3] :].any()
    fill_rows(3, 4, *keys, y_indptr, y_indices, groups, *rest)
    for row in range(4):
        twin = naive_row(
            *(key, row_key, row, labels[row], groups.tolist()),
            *((3, 2, 4), 0.6, n_features, 4, wanted[row]),
        )
        found = slice(indptr[row], indptr[row] + sizes[row])
        assert dict(zip(indices[found].tolist(), counts[found].tolist(), strict=True)) == twin


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore:overflow encountered in scalar")
def test_prototypes_are_shared_within_groups():
    def prototype(label, group):
        return [prototype_feature(np.uint64(5), label, group, i, 8, 12, 10**6) for i in range(12)]

    for label in (1, 2):
        twin = [naive_feature(5, label, 0, i, 8, 12, 10**6) for i in range(12)]
        assert prototype(label, 0) == twin
    topic = {feature for label in range(40) for feature in prototype(label, 0)[8:]}
    assert len(topic) == 12
    assert not topic & {feature for label in range(40) for feature in prototype(label, 1)[8:]}
    assert len({feature for label in range(40) for feature in prototype(label, 0)[:8]}) > 315
