"""Tables: what is in them, what they answer, and what they refuse."""

import naive_lsh as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt.lsh import tables as module
from udt.lsh.families import DWTA, SimHash
from udt.lsh.tables import HashTables, memory_bytes, rank_candidates, sort_table
from udt.threads import Pool

pytestmark = [
    pytest.mark.kernel,
    # Uncompiled, NumPy warns where a hash wraps around.
    pytest.mark.filterwarnings("ignore:overflow encountered in scalar"),
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(n_neurons=300, K=2, L=9, cap=128, d=16, seed=0):
    weights = normal(n_neurons, d, seed=seed)
    tables = HashTables(DWTA(d, K, L, key=seed), n_neurons, bucket_cap=cap)
    tables.rebuild(weights)
    return tables, weights


def naive_tables(tables, weights):
    codes = tables.hash(weights)
    return [naive.buckets(codes[:, t], tables.offsets.shape[1] - 1) for t in range(codes.shape[1])]


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


def test_a_neuron_finds_itself_in_all_tables():
    tables, weights = make(d=64)
    found = tables.rank(tables.hash(weights), 1)
    np.testing.assert_array_equal(found.ids[:, 0], np.arange(300))
    assert (found.agreements == 9).all()


def test_as_many_tables_as_can_be_counted():
    weights = normal(4, 8)
    tables = HashTables(SimHash(8, 1, 255), 4)
    tables.rebuild(weights)
    found = tables.rank(tables.hash(weights), 1)
    assert found.agreements.ravel().tolist() == [255] * 4


def test_empty_buckets_give_no_candidate():
    tables = HashTables(DWTA(16, 4, 2), n_neurons=1)
    tables.rebuild(normal(1, 16))
    found = tables.rank(tables.hash(normal(50, 16, seed=1)), 3)
    assert (found.sizes == 0).any()
    assert (found.sizes <= 1).all()


def test_scratch_is_left_as_it_was():
    tables, weights = make()
    counts, seen, histogram = tables.scratch()
    codes = tables.hash(weights[:1])[0]
    ids, agreements = np.empty(4, dtype=np.int32), np.empty(4, dtype=np.uint8)
    arguments = (codes, tables.offsets, tables.entries, tables.bucket_cap, 0)
    assert rank_candidates(*arguments, counts, seen, histogram, ids, agreements) == 4
    assert not counts.any()


def test_a_capped_bucket_adds_each_of_its_neurons_for_some_key():
    n = 40
    tables = HashTables(DWTA(16, 1, 1), n, bucket_cap=3)
    weights = np.tile(normal(1, 16), (n, 1))  # all in one bucket
    tables.rebuild(weights)
    codes = np.repeat(tables.hash(weights[:1]), 2000, axis=0)
    found = tables.rank(codes, n, keys=np.arange(2000))
    assert (found.sizes == 3).all()
    times = np.bincount(found.ids[:, :3].ravel(), minlength=n)
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
    tables, weights = make(d=64)
    old = tables.entries.copy()
    tables.rebuild(weights[::-1].copy())
    assert (tables.entries != old).any()
    tables.rebuild(weights)
    np.testing.assert_array_equal(tables.entries, old)
    tables.redraw(1)
    tables.rebuild(weights)
    assert (tables.entries != old).any()
    assert (tables.rank(tables.hash(weights), 1).ids[:, 0] == np.arange(300)).all()


def test_memory_is_what_the_arrays_take():
    tables, _ = make()
    taken = tables.offsets.nbytes + tables.entries.nbytes
    assert memory_bytes(300, 64, 9) == taken


def test_too_much_memory_is_refused_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 2**20)
    message = "K=5 codes of 3 bits and L=50 tables of 670091 neurons need 134 MiB, and 1 MiB are"
    with pytest.raises(ValueError, match=message + " available: give a smaller L"):
        HashTables(DWTA(16, 5, 50), 670_091)
    with pytest.raises(ValueError, match=r"K=8 .* need 3,200 MiB, .*: give a smaller K"):
        HashTables(DWTA(16, 8, 50), 100)
    HashTables(DWTA(16, 2, 3), 1000)


def test_where_the_system_does_not_say_what_memory_there_is(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: None)
    HashTables(DWTA(16, 2, 3), 10)


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
    with pytest.raises(ValueError, match="299 rows of weights: give n_neurons=300"):
        tables.rebuild(weights[1:])
    with pytest.raises(ValueError, match="max_candidates=0: give at least 1"):
        tables.rank(tables.hash(weights), 0)
