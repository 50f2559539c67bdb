"""Tables: what is in them, what they answer, and what they refuse."""

import naive_lsh as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt.lsh import tables as module
from udt.lsh.families import DWTA, SimHash
from udt.lsh.sizing import memory_bytes
from udt.lsh.tables import HashTables, rank_candidates, sort_table
from udt.lsh.trees import CentreTree
from udt.threads import Pool

# Uncompiled, NumPy warns where a hash wraps around.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in scalar")
kernel = pytest.mark.kernel


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(n_neurons=300, K=2, L=9, cap=128, d=16, seed=0):
    weights = normal(n_neurons, d, seed=seed)
    tables = HashTables(DWTA(d, K, L, key=seed), n_neurons, bucket_cap=cap)
    tables.rebuild(weights)
    return tables, weights


def naive_tables(tables, weights):
    codes = tables.family.hash(tables.space.neurons(weights, None))
    return [naive.buckets(codes[:, t], tables.offsets.shape[1] - 1) for t in range(codes.shape[1])]


@kernel
@given(st.lists(st.integers(0, 6), max_size=30))
@settings(max_examples=20)
def test_sorting_is_stable_and_complete(codes):
    codes = np.array(codes, dtype=np.uint32)
    offsets, out = np.full(8, -1, dtype=np.int32), np.empty(len(codes), dtype=np.int32)
    sort_table(codes, offsets, out)
    np.testing.assert_array_equal(out, np.argsort(codes, kind="stable"))
    np.testing.assert_array_equal(offsets, np.searchsorted(np.sort(codes), np.arange(8)))


@pytest.mark.parametrize("n_neurons", [1, 2500])
def test_every_neuron_is_in_its_bucket_of_every_table(n_neurons):
    tables, weights = make(n_neurons)
    for t, table in enumerate(naive_tables(tables, weights)):
        offsets = tables.offsets[t]
        for b, bucket in enumerate(table):
            assert tables.entries[t, offsets[b] : offsets[b + 1]].tolist() == bucket


@kernel
@pytest.mark.parametrize("cap", [1, 5, 1000])
@pytest.mark.parametrize("max_candidates", [1, 7, 60, 10_000])
@pytest.mark.parametrize("K", [1, 2])
def test_candidates_are_ranked_by_agreement(cap, max_candidates, K):
    tables, weights = make(K=K, cap=cap)
    hidden = normal(21, 16, seed=3)
    codes, keys = tables.hash(hidden), np.arange(100, 121)
    found = tables.rank(codes, max_candidates, keys)
    assert found.ids.dtype == np.int32
    assert found.ids.shape == found.agreements.shape == (21, min(max_candidates, 300))
    buckets = naive_tables(tables, weights)
    for i in range(21):
        expected = naive.rank(codes[i], buckets, cap, i + 100, max_candidates)
        n = found.sizes[i]
        pairs = zip(found.ids[i, :n].tolist(), found.agreements[i, :n].tolist(), strict=True)
        assert list(pairs) == expected


def direct(n_neurons, n_buckets, L, seed=0):
    """Random tables, as arrays and as lists."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, n_buckets, (L, n_neurons)).astype(np.uint32)
    offsets = np.empty((L, n_buckets + 1), dtype=np.int32)
    entries = np.empty((L, n_neurons), dtype=np.int32)
    for t in range(L):
        sort_table(codes[t], offsets[t], entries[t])
    return offsets, entries, [naive.buckets(row, n_buckets) for row in codes]


def ask(codes, offsets, entries, cap, key, max_candidates):
    n_tables, n_neurons = entries.shape
    counts = np.zeros(n_neurons, dtype=np.uint8)
    seen = np.empty(n_neurons + 1, dtype=np.int32)
    histogram = np.empty((4, n_tables + 2), dtype=np.int32)
    ids = np.empty(max_candidates, dtype=np.int32)
    agreements = np.empty(max_candidates, dtype=np.uint8)
    codes = np.asarray(codes, dtype=np.uint32)
    n = rank_candidates(codes, offsets, entries, cap, key, counts, seen, histogram, ids, agreements)
    assert not counts.any()
    return list(zip(ids[:n].tolist(), agreements[:n].tolist(), strict=True))


@kernel
@pytest.mark.parametrize("L", [1, 2, 3])
@pytest.mark.parametrize("n_probes", [1, 2, 20])
@pytest.mark.parametrize("cap", [2, 100])
@pytest.mark.parametrize("max_candidates", [1, 9, 200])
def test_several_buckets_of_each_table(L, n_probes, cap, max_candidates):
    offsets, entries, buckets = direct(90, 25, L)
    random = np.random.default_rng(1)
    codes = np.stack([random.permutation(25)[:n_probes] for _ in range(L)], axis=1).ravel()
    found = ask(codes, offsets, entries, cap, 7, max_candidates)
    assert found == naive.rank(codes, buckets, cap, 7, max_candidates)


@kernel
def test_as_many_tables_as_can_be_counted():
    offsets, entries, _ = direct(4, 1, 255)
    assert ask([0] * 255, offsets, entries, 4, 0, 9) == [(i, 255) for i in range(4)]


@kernel
def test_empty_buckets_give_no_candidate():
    tables, _ = make(n_neurons=5, K=4, L=2)
    found = tables.rank(tables.hash(normal(50, 16, seed=1)), 3)
    assert (found.sizes == 0).any()


@pytest.mark.parametrize("L", [1, 2])
def test_a_capped_bucket_adds_each_of_its_neurons_for_some_key(L):
    n = 40
    tables = HashTables(DWTA(16, 1, L), n, bucket_cap=3)
    tables.rebuild(np.tile(normal(1, 16), (n, 1)))  # all in one bucket
    codes = np.repeat(tables.entries[:, :1].T * 0, 2000, axis=0).astype(np.uint32)
    codes[:] = np.argmax(np.diff(tables.offsets), axis=1)
    found = tables.rank(codes, n, keys=np.arange(2000))
    assert (found.sizes <= 3 * L).all()
    times = np.bincount(np.concatenate([row[:3] for row in found.ids]), minlength=n)
    assert abs(times - 150).max() < 5 * np.sqrt(150)
    assert (tables.rank(codes, n).ids[:, :3] == tables.rank(codes[:1], n).ids[0, :3]).all()


def test_bits_do_not_depend_on_threads():
    tables, weights = make(3000)
    first = tables.offsets.copy(), tables.entries.copy()
    codes, keys = tables.hash(normal(2100, 16, seed=2)), np.arange(2100)
    alone = tables.rank(codes, 20, keys)
    with Pool(3) as pool:
        tables.rebuild(weights, pool=pool)
        together = tables.rank(codes, 20, keys, pool)
    np.testing.assert_array_equal(tables.offsets, first[0])
    np.testing.assert_array_equal(tables.entries, first[1])
    np.testing.assert_array_equal(alone.sizes, together.sizes)
    for i, n in enumerate(alone.sizes):
        np.testing.assert_array_equal(alone.ids[i, :n], together.ids[i, :n])


def test_rebuilding_follows_the_weights_and_fresh_functions():
    tables, weights = make()
    old = tables.entries.copy()
    tables.rebuild(weights[::-1].copy())
    assert (tables.entries != old).any()
    tables.rebuild(weights)
    np.testing.assert_array_equal(tables.entries, old)
    tables.redraw(1)
    tables.rebuild(weights)
    assert (tables.entries != old).any()
    old = tables.entries.copy()
    tables.rebuild(weights, key=1)
    assert (tables.entries != old).any()


@pytest.mark.parametrize(
    ("family", "sizes"),
    [(DWTA, {"K": 2, "L": 60}), (SimHash, {"K": 6, "L": 60}),
     (CentreTree, {"n_neurons": 3000, "n_probes": 60})],
)  # fmt: skip
def test_candidates_hold_most_of_the_largest_products(family, sizes):
    """Of neurons with biases, for vectors that have one direction in common."""
    weights, bias = normal(3000, 24), normal(3000, seed=1)
    hidden = np.tanh(3 + normal(300, 4, seed=2) @ normal(4, 24, seed=3)).astype(np.float32)
    tables = HashTables(family(16, **sizes), 3000)
    tables.rebuild(weights, bias, hidden=hidden[100:])
    found = tables.rank(tables.hash(hidden[:100]), 500)
    top = np.argsort(-(hidden[:100] @ weights.T + bias), axis=1)[:, :5]
    held = [np.isin(top[i], found.ids[i, : found.sizes[i]]).mean() for i in range(100)]
    assert np.mean(held) > 3 * 500 / 3000  # by chance


def test_memory_is_what_the_arrays_take():
    tables, _ = make()
    taken = tables.offsets.nbytes + tables.entries.nbytes
    assert memory_bytes(300, 64, 9) == taken


def test_too_much_memory_is_refused_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 2**20)
    message = r"L=50 tables of 670091 neurons in 32768 buckets, of DWTA\(n_features=16, K=5, L=50, "
    message += r"key=0\), need 134 MiB, and 1 MiB are available: give a smaller L"
    with pytest.raises(ValueError, match=message):
        HashTables(DWTA(16, 5, 50), 670_091)
    with pytest.raises(ValueError, match=r"K=8, .* need 3,200 MiB, .*: give a smaller K"):
        HashTables(DWTA(16, 8, 50), 100)
    HashTables(DWTA(16, 2, 3), 1000)


def test_where_the_system_does_not_say_what_memory_there_is(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: None)
    HashTables(DWTA(16, 2, 3), 10)


@pytest.mark.parametrize(
    ("L", "arguments", "message"),
    [(1, {"n_neurons": 0}, "n_neurons=0: give at least 1"),
     (1, {"n_neurons": 1, "bucket_cap": 0}, "bucket_cap=0: give at least 1"),
     (256, {"n_neurons": 1}, "L=256: give at most 255 tables")],
)  # fmt: skip
def test_impossible_sizes_are_refused(L, arguments, message):
    with pytest.raises(ValueError, match=message):
        HashTables(DWTA(8, 1, L), **arguments)


def test_other_weights_are_refused():
    tables, weights = make()
    with pytest.raises(ValueError, match=r"weights of shape \(299, 16\): give n_neurons=300 rows"):
        tables.rebuild(weights[1:])
    with pytest.raises(ValueError, match="max_candidates=0: give at least 1"):
        tables.rank(tables.hash(weights), 0)
