"""The tree of k-means: its parts against NumPy, and the leaves it looks in against a full scan."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.lsh import trees
from udt.lsh.trees import CentreTree
from udt.threads import Pool

kernel = pytest.mark.kernel


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def build(tree, neurons, n_threads=1):
    codes = np.full((1, len(neurons)), 2**32 - 1, dtype=np.uint32)
    with Pool(n_threads) as pool:
        tree.encode(neurons, codes, pool)
    return codes[0]


def leaf_centres(tree):
    """Give the centres of all leaves (n_leaves, n_features)."""
    parts = []
    for first, last in zip(tree.first_leaf[:-1], tree.first_leaf[1:], strict=True):
        part = tree.leaves[first * tree.n_features : last * tree.n_features]
        parts.append(part.reshape(tree.n_features, -1).T)
    return np.concatenate(parts)


def test_nearest():
    X, centres = normal(2500, 5), normal(9, 5, seed=1)
    distances = np.linalg.norm(X[:, np.newaxis] - centres, axis=2)
    np.testing.assert_array_equal(trees.nearest(X, centres), distances.argmin(axis=1))


@kernel
def test_k_means_finds_what_lies_apart():
    corners = 20 * normal(6, 4)
    X = np.repeat(corners, 50, axis=0) + normal(300, 4, seed=1) / 10
    random = np.random.default_rng(5)
    found = [len(np.unique(trees.nearest(corners, trees.k_means(X, 40, 5, random))))]
    assert found == [6]


def test_k_means_of_few_or_equal_rows():
    random = np.random.default_rng(0)
    assert trees.k_means(normal(3, 4), 8, 5, random).shape == (3, 4)
    same = trees.k_means(np.ones((40, 4), dtype=np.float32), 8, 5, random)
    np.testing.assert_array_equal(same, np.ones((8, 4)))


@kernel
@pytest.mark.parametrize("n", [1, 2, 5000])
@pytest.mark.parametrize("k", [1, 10, 10_000])
def test_best_first(n, k):
    scores = normal(n)
    out = np.empty(k, dtype=np.int32)
    found = trees.best_first(scores, n, np.empty(trees.LEVELS, dtype=np.int32), out)
    assert found == min(n, k)
    level = (scores.max() - scores.min()) / trees.LEVELS
    expected = np.sort(scores)[::-1][:found]
    assert np.abs(scores[out[:found]] - expected).max() <= 2 * level + 1e-6
    assert len(np.unique(out[:found])) == found


def test_best_first_of_equal_scores_keeps_their_order():
    out = np.empty(3, dtype=np.int32)
    trees.best_first(np.ones(5, dtype=np.float32), 5, np.empty(trees.LEVELS, dtype=np.int32), out)
    assert out.tolist() == [0, 1, 2]


@kernel
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
@given(st.lists(st.floats(width=32), min_size=1, max_size=40), st.integers(1, 50))
def test_best_first_of_any_scores_gives_places_within(scores, k):
    guarded = np.full(trees.LEVELS + 2, -1, dtype=np.int32)
    out = np.full(k, -1, dtype=np.int32)
    scores = np.array(scores, dtype=np.float32)
    found = trees.best_first(scores, len(scores), guarded[1:-1], out)
    assert found == min(k, len(scores))
    assert len(np.unique(out[:found])) == found
    assert ((out[:found] >= 0) & (out[:found] < len(scores))).all()
    assert (out[found:] == -1).all()
    assert guarded[[0, -1]].tolist() == [-1, -1]


@kernel
@pytest.mark.parametrize("n", [1, 7, 16, 17, 1000])
@pytest.mark.parametrize("leaf_size", [1, 5, 16])
def test_neurons_lie_in_leaves(n, leaf_size):
    neurons = normal(n, 6)
    tree = CentreTree(6, n, n_probes=3, leaf_size=leaf_size)
    codes = build(tree, neurons)
    assert codes.max() < tree.first_leaf[-1] < tree.n_buckets
    # The leaf's centre is the nearest one below its branch.
    centres = leaf_centres(tree)
    assert len(centres) == tree.first_leaf[-1]
    branch = np.searchsorted(tree.first_leaf, codes, side="right") - 1
    for i in range(0, n, 97):
        first, last = tree.first_leaf[branch[i] : branch[i] + 2]
        distances = np.linalg.norm(centres[first:last] - neurons[i], axis=1)
        assert distances[codes[i] - first] <= distances.min() + 1e-5


@kernel
@pytest.mark.parametrize("beam", [1, 3, 100])
def test_vectors_look_in_the_best_leaves_below_the_best_branches(beam):
    neurons, X = normal(900, 6), normal(30, 6, seed=1)
    tree = CentreTree(6, 900, n_probes=12, beam=beam)
    build(tree, neurons)
    probes = tree.hash(X)
    assert probes.dtype == np.uint32
    centres = leaf_centres(tree)
    branches = tree.branches.reshape(6, -1).T
    for x, row in zip(X, probes, strict=True):
        used = row[row < tree.n_buckets - 1]
        assert (row[len(used) :] == tree.n_buckets - 1).all()  # which is empty
        above = np.searchsorted(tree.first_leaf, used, side="right") - 1
        best = np.sort(branches @ x)[::-1]
        level = (best[0] - best[-1]) / trees.LEVELS
        assert (branches[above] @ x).min() >= best[:beam].min() - 2 * level
        if beam == 100:  # all
            scores = np.sort(centres @ x)[::-1][:12]
            level = np.ptp(centres @ x) / trees.LEVELS
            np.testing.assert_allclose(centres[used] @ x, scores, atol=2 * level)


def test_bits_do_not_depend_on_threads_or_blocks():
    neurons, X = normal(9000, 8), normal(5, 8, seed=1)
    one, other = (CentreTree(8, 9000, n_probes=9, key=2) for _ in range(2))
    np.testing.assert_array_equal(build(one, neurons), build(other, neurons, n_threads=3))
    np.testing.assert_array_equal(one.leaves, other.leaves)
    np.testing.assert_array_equal(one.hash(X)[2:3], one.hash(X[2:3]))
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.hash(X), one.hash(X))


def test_redraw_gives_a_tree_that_is_to_be_learnt():
    neurons = normal(500, 8)
    tree = CentreTree(8, 500, n_probes=4, leaf_size=9, beam=3)
    old = build(tree, neurons)
    fresh = tree.redraw(1)
    assert (fresh.n_probes, fresh.leaf_size, fresh.beam, fresh.key) == (4, 9, 3, 1)
    with pytest.raises(ValueError, match="seen no neurons yet: rebuild the tables first"):
        fresh.hash(neurons)
    assert (build(fresh, neurons) != old).any()


@pytest.mark.parametrize("name", ["n_features", "n_neurons", "n_probes", "leaf_size", "beam"])
def test_impossible_sizes_are_refused(name):
    sizes = {"n_features": 8, "n_neurons": 9, "n_probes": 2}
    with pytest.raises(ValueError, match=f"{name}=0: give at least 1"):
        CentreTree(**{**sizes, name: 0})
    with pytest.raises(ValueError, match="key=-1: give a number from 0 on"):
        CentreTree(**sizes, key=-1)


def test_other_shapes_are_refused():
    tree = CentreTree(8, 50, n_probes=2)
    with pytest.raises(ValueError, match=r"shape \(49, 8\): give n_neurons=50 of n_features=8"):
        build(tree, normal(49, 8))
    build(tree, normal(50, 8))
    with pytest.raises(ValueError, match=r"shape \(3, 7\): give vectors of n_features=8 values"):
        tree.hash(normal(3, 7))
