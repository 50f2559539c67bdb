"""Hash families: equal to their naive twins, and colliding as often as theory says."""

import pickle

import naive_lsh as naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from udt.lsh.families import DWTA, MinHash, SimHash
from udt.threads import Pool

# Uncompiled, NumPy warns where a hash wraps around.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in scalar")
kernel = pytest.mark.kernel
FAMILIES = [DWTA, SimHash, MinHash]
every_family = pytest.mark.parametrize("family", FAMILIES)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sparse(*shape, density=0.1, seed=0):
    X = normal(*shape, seed=seed)
    return X * (np.random.default_rng(seed + 1).random(shape) < density)


def csr(X):
    X = sp.csr_array(X)
    return X.indptr, X.indices, X.data


def twin(family, X):
    if isinstance(family, DWTA):
        return naive.dwta(X, family.coordinates, family.K, family.key)
    if isinstance(family, SimHash):
        return naive.simhash(X, family.K, family.L, family.size, family.key)
    return naive.minhash(X, family.K, family.L, family.bits, family.key)


@kernel
@every_family
@pytest.mark.parametrize("density", [1.0, 0.3, 0.02])
@pytest.mark.parametrize(("n_features", "K", "L"), [(32, 3, 7), (37, 1, 1), (5, 2, 3), (1, 1, 2)])
def test_dense_and_sparse_vectors_are_hashed_as_their_twin_does(family, density, n_features, K, L):
    hashing = family(n_features, K, L, key=5)
    X = sparse(19, n_features, density=density)
    X[3] = 0
    expected = twin(hashing, X)
    for codes in (hashing.hash(X), hashing.hash_sparse(*csr(X))):
        assert codes.dtype == np.uint32
        np.testing.assert_array_equal(codes, expected)


@kernel
@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(0, 4), st.integers(1, 20)),
        elements=st.sampled_from(np.float32([0, 0, -1, 1, 2, -3e38, 3e38, 1e-45, -0.0])),
    ),
    st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=25)
def test_winners_of_equal_negative_and_extreme_values(X, key):
    hashing = DWTA(X.shape[1], 2, 3, key=key)
    expected = twin(hashing, X).reshape(-1, 3)
    np.testing.assert_array_equal(hashing.hash(X), expected)
    np.testing.assert_array_equal(hashing.hash_sparse(*csr(X)), expected)


@kernel
@every_family
def test_codes_depend_on_the_row_alone(family):
    hashing = family(24, 2, 5)
    X = normal(131, 24)  # the last three are hashed one by one
    whole = hashing.hash(X)
    for i in (0, 63, 64, 130):
        np.testing.assert_array_equal(hashing.hash(X[i : i + 1])[0], whole[i])
    np.testing.assert_array_equal(hashing.hash(np.asfortranarray(X.astype(float))), whole)


@kernel
@every_family
def test_no_row(family):
    hashing = family(8, 2, 3)
    assert hashing.hash(np.empty((0, 8), dtype=np.float32)).shape == (0, 3)
    assert hashing.hash_sparse(*csr(np.empty((0, 8), dtype=np.float32))).shape == (0, 3)


@every_family
def test_the_key_makes_the_functions(family):
    X = sparse(30, 64, density=0.5)
    hashing = family(64, 2, 4, key=7)
    codes = hashing.hash(X)
    np.testing.assert_array_equal(family(64, 2, 4, key=7).hash(X), codes)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(hashing)).hash(X), codes)
    fresh = hashing.redraw(8)
    assert type(fresh) is family
    assert (fresh.n_features, fresh.K, fresh.L, fresh.key, fresh.bits) == (
        64,
        2,
        4,
        8,
        hashing.bits,
    )
    assert (fresh.hash(X) != codes).mean() > 0.3
    np.testing.assert_array_equal(hashing.hash(X), codes)


@every_family
def test_all_neurons_are_hashed_by_any_threads(family):
    hashing = family(16, 2, 3)
    X = normal(2100, 16)
    for n_threads in (1, 3):
        codes = np.empty((3, 2100), dtype=np.uint32)
        with Pool(n_threads) as pool:
            hashing.encode(X, codes, pool)
        np.testing.assert_array_equal(codes.T, hashing.hash(X))


def test_redraw_keeps_the_bits_of_minhash():
    assert MinHash(64, 2, 4, bits=2).redraw(1).bits == 2


@every_family
def test_codes_fill_their_bits(family):
    X = np.abs(sparse(20, 300, density=0.2))
    keys = range(300)
    codes = np.stack([family(300, 2, 3, key=key).hash(X) for key in keys])
    n_buckets = 1 << 2 * family(300, 2, 3).bits
    assert codes.max() < n_buckets
    shares = np.bincount(codes.ravel(), minlength=n_buckets) / codes.size
    assert shares.min() > 0.5 / n_buckets
    assert shares.max() < 2 / n_buckets


def assert_rate(agreements, expected):
    """``agreements``, one mean a pair of vectors, lie within 4.5 standard errors of theory."""
    means = np.asarray(agreements, dtype=float)
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - expected) < 4.5 * max(error, 1e-9), (means.mean(), expected, error)


def pairs_of_cosine(n, d, rho):
    x = normal(n, d, seed=1)
    y = rho * x + np.sqrt(1 - rho**2) * normal(n, d, seed=2)
    return x, y.astype(np.float32)


@pytest.mark.parametrize("n_features", [128, 64, 6])
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.3, 0.8, 0.95])
@pytest.mark.parametrize("family", [DWTA, SimHash])
def test_normal_vectors_collide_as_often_as_theory_says(family, rho, n_features):
    hashing = family(n_features, 1, 60, key=3)
    x, y = pairs_of_cosine(1500, n_features, rho)
    agree = (hashing.hash(x) == hashing.hash(y)).mean(axis=1)
    assert_rate(agree, hashing.collision_probability(rho))


def test_joined_codes_collide_as_often_as_all_of_them():
    hashing = DWTA(128, 3, 60, key=4)
    x, y = pairs_of_cosine(1500, 128, 0.9)
    agree = (hashing.hash(x) == hashing.hash(y)).mean(axis=1)
    single = DWTA(128, 1, 1).collision_probability(0.9)
    # Three codes of one permutation share no coordinate, and those of normal vectors nothing else.
    assert_rate(agree, single**3)


@pytest.mark.parametrize("similarity", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n_set", [600, 30])  # more and fewer features than bins
def test_sets_collide_as_often_as_theory_says(similarity, n_set):
    random = np.random.default_rng(6)
    n_shared = round(similarity * n_set)
    agree = []
    for key in range(400):
        union = random.permutation(100_000)[:n_set]
        only = union[n_shared:]
        sides = [np.r_[union[:n_shared], part] for part in (only[::2], only[1::2])]
        hashing = MinHash(100_000, 1, 128, key=key, bits=3)
        indptr = np.cumsum([0, *map(len, sides)])
        codes = hashing.hash_sparse(indptr, np.concatenate(sides), np.ones(indptr[-1]))
        agree.append((codes[0] == codes[1]).mean())
    assert_rate(agree, hashing.collision_probability(n_shared / n_set))


def test_densified_winners_of_sparse_vectors_agree_more_than_by_chance():
    hashing = DWTA(10_000, 1, 400)
    x = np.abs(sparse(200, 10_000, density=0.003))
    same_support = x * np.float32(1) + (x > 0) * np.abs(normal(200, 10_000, seed=9)) / 10
    alike = (hashing.hash(x) == hashing.hash(same_support.astype(np.float32))).mean()
    apart = (hashing.hash(x) == hashing.hash(np.roll(x, 1, axis=0))).mean()
    assert apart < 0.2
    assert alike > 0.8


@pytest.mark.parametrize("similarity", [-1.0, -0.999, -0.5, 0.0, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("n_features", [128, 1])
def test_collision_probabilities_are_probabilities(similarity, n_features):
    for family in (DWTA, SimHash):
        p = family(n_features, 1, 1).collision_probability(similarity)
        assert isinstance(p, float)
        assert 0 <= p <= 1


@every_family
def test_collision_probabilities_rise_to_one(family):
    hashing = family(64, 1, 1)
    rates = [hashing.collision_probability(s) for s in np.linspace(0, 1, 21)]
    assert np.all(np.diff(rates) > 0)
    assert rates[-1] == 1


@pytest.mark.parametrize("m", [2, 5, 8])
def test_unrelated_winners_agree_by_chance(m):
    assert DWTA(m, 1, 1).collision_probability(0.0) == pytest.approx(1 / m, rel=2e-3)


@every_family
@pytest.mark.parametrize(
    ("sizes", "message"),
    [((0, 1, 1), "n_features=0: give at least 1"), ((8, 0, 1), "K=0: give at least 1"),
     ((8, 1, 0), "L=0: give at least 1"), ((8, 31, 1), "K=31 codes of . bits? make .* at most"),
     ((8, 1, 1, -1), "key=-1: give a number from 0 on")],
)  # fmt: skip
def test_impossible_sizes_are_refused(family, sizes, message):
    with pytest.raises(ValueError, match=message):
        family(*sizes)


def test_codes_of_no_bits_are_refused():
    with pytest.raises(ValueError, match="bits=0: give at least 1"):
        MinHash(8, 1, 1, bits=0)


@every_family
def test_vectors_of_another_length_are_refused(family):
    with pytest.raises(ValueError, match=r"shape \(2, 9\): give vectors of n_features=8 values"):
        family(8, 1, 1).hash(normal(2, 9))
    with pytest.raises(ValueError, match=r"shape \(8,\)"):
        family(8, 1, 1).hash(normal(8))


@every_family
def test_features_out_of_range_are_refused(family):
    for bad in (-1, 8):
        with pytest.raises(ValueError, match="give some from 0 to 7, as n_features=8"):
            family(8, 1, 1).hash_sparse(np.array([0, 2]), np.array([0, bad]), np.ones(2))
