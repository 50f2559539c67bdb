"""Sizes that follow from the number of neurons: what they promise, and that they can be made."""

import math

import numpy as np
import pytest

from udt.lsh import sizing as module
from udt.lsh.families import DWTA, SimHash
from udt.lsh.sizing import (
    count_active,
    memory_bytes,
    rows_between_rebuilds,
    size_tables,
    size_tree,
)
from udt.lsh.tables import HashTables
from udt.lsh.trees import CentreTree

WIDTHS = [1, 2, 10, 63, 1_000, 5_950, 31_419, 670_091, 3_000_000]


@pytest.mark.parametrize("n_neurons", WIDTHS)
def test_active_neurons_grow_with_the_root(n_neurons):
    n_active = count_active(n_neurons)
    assert n_active == min(n_neurons, max(64, round(4 * math.sqrt(n_neurons))))


@pytest.mark.parametrize("n_neurons", WIDTHS)
@pytest.mark.parametrize(("family", "bits"), [(DWTA, 3), (SimHash, 1)])
@pytest.mark.parametrize("n_active", [None, 1, 500, 10**9])
def test_tables_can_be_made_and_see_what_they_should(n_neurons, family, bits, n_active):
    sizes = size_tables(n_neurons, n_active, bits)
    hashing = family(16, sizes.K, sizes.L)
    assert sizes.memory_bytes == memory_bytes(n_neurons, hashing.n_buckets, sizes.L)
    assert 1 <= sizes.n_active <= n_neurons
    visits = sizes.L * n_neurons / hashing.n_buckets
    wanted = min(3 * (n_active or sizes.n_active), n_neurons)
    if sizes.L not in (1, 255):
        assert visits == pytest.approx(wanted, rel=0.5 / sizes.L + 0.01)
        assert sizes.bucket_cap * sizes.L >= 4 * visits * 0.9
        # Rounding K moves L by a factor of at most the root of the buckets that a code makes.
        assert 50 / 3 < sizes.L < 50 * 3


def test_more_tables_allow_longer_codes():
    few, many = (size_tables(100_000, max_tables=n, bits=1) for n in (10, 100))
    assert few.K < many.K
    assert few.L < many.L


@pytest.mark.parametrize("n_neurons", [*WIDTHS[:-2], 70_000])
@pytest.mark.parametrize("n_weights", [1, 8, 128])
def test_trees_can_be_made_and_take_the_memory_that_was_told(n_neurons, n_weights):
    sizes = size_tree(n_neurons, n_weights)
    tree = CentreTree(
        sizes.n_features, n_neurons, n_probes=sizes.n_probes, leaf_size=sizes.leaf_size
    )
    tables = HashTables(tree, n_neurons, bucket_cap=sizes.bucket_cap)
    weights = np.random.default_rng(0).normal(size=(n_neurons, n_weights)).astype(np.float32)
    tables.rebuild(weights)
    learnt = tree.branches.nbytes + tree.leaves.nbytes
    taken = tables.offsets.nbytes + tables.entries.nbytes + learnt
    assert taken <= sizes.memory_bytes < 1.3 * taken + 1000
    assert sizes.n_probes <= tree.n_buckets
    found = tables.rank(tables.hash(weights[:20]), sizes.n_active)
    assert (found.sizes >= min(sizes.n_active, n_neurons) * 0.9).all()


@pytest.mark.parametrize("leaf_size", [1, 5, 64, 10**6])
def test_leaves_of_any_size_hold_as_many_candidates_as_asked_for(leaf_size):
    sizes = size_tree(1000, 8, 100, leaf_size)
    assert sizes.leaf_size == leaf_size
    assert sizes.n_probes * leaf_size >= 200
    tree = CentreTree(sizes.n_features, 1000, sizes.n_probes, leaf_size)
    tables = HashTables(tree, 1000, sizes.bucket_cap)
    weights = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    tables.rebuild(weights)
    assert sizes.n_probes <= tree.n_buckets
    found = tables.rank(tables.hash(weights[:20]), sizes.n_active)
    assert found.sizes.min() >= 90
    assert size_tree(1000, 8, 100, 8) == size_tree(1000, 8, 100)


def test_as_many_candidates_as_asked_for():
    assert size_tree(10_000, 8, n_active=50).n_active == 50
    assert size_tree(10_000, 8, n_active=10**6).n_active == 10_000
    assert size_tree(10_000, 8, n_active=50).n_probes < size_tree(10_000, 8).n_probes


@pytest.mark.parametrize("share", [0.05, 0.1, 1.0])
def test_rebuilds_take_their_share(share):
    rows = rows_between_rebuilds(670_091, 3274, share)
    rebuild, training = 20 * 670_091, rows * 3274
    assert rebuild / training == pytest.approx(share, rel=1e-3)
    assert rows_between_rebuilds(1, 10**6) == 1


def test_available_memory(monkeypatch, tmp_path):
    available = module.available_memory()
    assert available is None or available > 2**20

    def unreadable(self, encoding):
        raise FileNotFoundError

    monkeypatch.setattr(module.Path, "read_text", unreadable)
    monkeypatch.setattr(module.os, "sysconf", lambda name: 4096, raising=False)
    assert module.available_memory() == 4096**2
    monkeypatch.delattr(module.os, "sysconf")
    assert module.available_memory() is None


@pytest.mark.parametrize(
    ("size", "message"),
    [(lambda: count_active(0), "n_neurons=0"),
     (lambda: size_tables(0), "n_neurons=0"),
     (lambda: size_tables(5, 0), "n_active=0"),
     (lambda: size_tables(5, bits=0), "bits=0"),
     (lambda: size_tables(5, max_tables=0), "max_tables=0"),
     (lambda: size_tree(0, 1), "n_neurons=0"),
     (lambda: size_tree(1, 0), "n_weights=0"),
     (lambda: size_tree(1, 1, 0), "n_active=0"),
     (lambda: size_tree(1, 1, 1, 0), "leaf_size=0"),
     (lambda: rows_between_rebuilds(1, 0), "n_active=0")],
)  # fmt: skip
def test_impossible_sizes_are_refused(size, message):
    with pytest.raises(ValueError, match=f"{message}: give at least 1"):
        size()


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan")])
def test_impossible_shares_are_refused(share):
    with pytest.raises(ValueError, match=f"share={share}: give more than 0 and at most 1"):
        rows_between_rebuilds(10, 10, share)
