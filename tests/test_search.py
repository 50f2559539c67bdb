"""Approximate answers beside exact ones."""

import numpy as np
import pytest
import scipy.sparse as sp

from udt.lsh.families import DWTA, SimHash
from udt.lsh.hashing import Hashing, make_tables
from udt.lsh.sizing import size_tables
from udt.lsh.trees import CentreTree
from udt.network.active import DEPTH, LEVELS
from udt.network.model import N_RANKED, SparseNetwork, largest
from udt.network.search import Search
from udt.threads import Pool, single_threaded_blas

N_FEATURES, N_HIDDEN = 60, 12


def make_rows(n=70, seed=0):
    matrix = sp.random(n, N_FEATURES, 0.15, format="csr", dtype=np.float32, random_state=seed)
    return matrix.indptr, matrix.indices, matrix.data


def make_network(n_classes=500, n_crosses=None):
    sizes = None if n_crosses is None else np.full(n_classes, n_crosses)
    network = SparseNetwork.initialise(n_classes, N_HIDDEN, N_FEATURES, 0, 1.5, 0, sizes)
    random = np.random.default_rng(1)
    network.output[:] = random.normal(size=network.output.shape)
    network.bias[:] = random.normal(size=n_classes)
    network.crosses[:] = random.normal(size=len(network.crosses)) / 5
    return network


def search(network, k, hashing=None, rows=None, n_threads=1, probes=None):
    rows = make_rows() if rows is None else rows
    if probes is None:
        probes = network.hidden(make_rows(200, seed=3), 0, 200)
    with Pool(n_threads) as pool, single_threaded_blas():
        return Search(network, probes, hashing or Hashing(), pool).top_k(rows, k, pool)


def exact(network, k, rows=None):
    rows = make_rows() if rows is None else rows
    return largest(network.logits(rows, 0, len(rows[0]) - 1), k)


def recall(found, truth):
    hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    return np.mean(hits) / truth.shape[1]


def check_shapes(answer, n, k, n_classes):
    classes, logits = answer
    assert classes.shape == logits.shape == (n, k)
    assert classes.dtype == np.int64
    assert logits.dtype == np.float32
    assert ((classes >= 0) & (classes < n_classes)).all()
    assert all(len(set(row)) == k for row in classes.tolist())
    assert (np.diff(logits, axis=1) <= 0).all()


@pytest.mark.parametrize("k", [1, 5, 60])
@pytest.mark.parametrize("n_crosses", [None, 64])
@pytest.mark.parametrize("n_classes", [60, 500, 3000])
def test_all_classes_proposed_give_the_exact_answer(n_classes, n_crosses, k):
    network = make_network(n_classes, n_crosses)
    answer = search(network, k, Hashing(n_active=n_classes))
    check_shapes(answer, 70, k, n_classes)
    numbers, logits = exact(network, k)
    if n_crosses is None or n_classes <= N_RANKED:
        np.testing.assert_array_equal(answer[0], numbers)
        np.testing.assert_allclose(answer[1], logits, rtol=1e-4, atol=1e-4)
    else:  # of classes on the edge of those that are ranked, either may be
        assert recall(answer[0], numbers) > 0.99
        np.testing.assert_allclose(answer[1][:, :5], logits[:, :5], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [N_RANKED + 1, 200])
def test_more_classes_than_are_ranked(k):
    """Those that no crosses are added to are held down, as in the exact answer."""
    network = make_network(500, 64)
    network.output *= 0.2
    network.bias[:] = 0
    network.bias[np.random.default_rng(0).permutation(500)[:N_RANKED]] = 5  # ranked in any order
    answer = search(network, k, Hashing(n_active=500))
    check_shapes(answer, 70, k, 500)
    _, logits = exact(network, k)
    np.testing.assert_allclose(answer[1][:, :N_RANKED], logits[:, :N_RANKED], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answer[1], logits, atol=1.1 * DEPTH / LEVELS)


@pytest.mark.parametrize(
    "hashing", [
        Hashing(), Hashing(n_active=100), Hashing(n_active=100, n_tables=20),
        Hashing(n_active=100, family="simhash"), Hashing(n_active=100, bucket_size=2),
    ],
    ids=str,
)  # fmt: skip
def test_few_classes_give_most_of_the_answer(hashing):
    network = make_network(3000)
    answer = search(network, 5, hashing)
    check_shapes(answer, 70, 5, 3000)
    assert recall(answer[0], exact(network, 5)[0]) > 0.1  # chance: 0.03
    # Of what is found the logits are right.
    all_logits = network.logits(make_rows(), 0, 70)
    np.testing.assert_allclose(
        answer[1], np.take_along_axis(all_logits, answer[0], axis=1), rtol=1e-3, atol=1e-4
    )


def test_more_active_classes_find_more():
    network = make_network(3000)
    truth = exact(network, 5)[0]
    shares = [recall(search(network, 5, Hashing(n_active=n))[0], truth) for n in (10, 100, 1000)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.95


def test_rows_that_tables_propose_too_little_for_are_compared_with_all():
    """One class is so far above others that none else is ranked."""
    network = make_network(500)
    network.bias[7] = 1000
    answer = search(network, 3, Hashing(n_active=100))
    numbers, logits = exact(network, 3)
    np.testing.assert_array_equal(answer[0], numbers)
    np.testing.assert_allclose(answer[1], logits, rtol=1e-5)
    assert (numbers[:, 0] == 7).all()


def test_the_number_of_threads_changes_no_bit():
    network, rows = make_network(2000, 64), make_rows(1300)
    answers = [search(network, 5, rows=rows, n_threads=n) for n in (1, 2, 4)]
    for other in answers[1:]:
        np.testing.assert_array_equal(other[0], answers[0][0])
        np.testing.assert_array_equal(other[1], answers[0][1])


def test_rows_without_features_and_one_row():
    network = make_network(500, 64)
    none = np.zeros(3, dtype=np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    classes, logits = search(network, 4, Hashing(n_active=500), none)
    numbers, expected = exact(network, 4, none)
    np.testing.assert_array_equal(classes, numbers)
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    rows = make_rows(1)
    np.testing.assert_array_equal(
        search(network, 4, Hashing(n_active=500), rows)[0], exact(network, 4, rows)[0]
    )
    nothing = tuple(part[: 1 if i == 0 else 0] for i, part in enumerate(make_rows(1)))
    assert search(network, 4, rows=nothing)[0].shape == (0, 4)


FAMILIES = {
    None: (CentreTree, 8, 64),
    "tree": (CentreTree, 8, 64),
    "dwta": (DWTA, 3, None),
    "simhash": (SimHash, 1, None),
}


@pytest.mark.parametrize("bucket_size", [None, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_tables_are_of_the_family_and_bucket_size_asked_for(family, bucket_size):
    kind, size, cap = FAMILIES[family]
    tables, n_active = make_tables(Hashing(100, None, None, family, bucket_size), 1000, 12, 5)
    assert n_active == 100
    assert type(tables.family) is kind
    if kind is CentreTree:
        assert tables.family.leaf_size == (bucket_size or size)
        assert tables.bucket_cap == (cap if bucket_size is None else 8 * bucket_size)
    else:
        sizes = size_tables(1000, 100, bits=size)
        assert sizes[:2] == (tables.family.K, tables.family.L)
        assert tables.bucket_cap == (bucket_size or sizes.bucket_cap)


@pytest.mark.parametrize("family", [None, "dwta", "simhash"])
def test_numbers_of_hashes_alone_mean_dwta(family):
    tables, _ = make_tables(Hashing(None, 2, None, family), 1000, 12, 5)
    assert type(tables.family) is (SimHash if family == "simhash" else DWTA)
    assert tables.family.K == 2
    tables, _ = make_tables(Hashing(None, None, 9, family), 1000, 12, 5)
    assert tables.family.L == 9


def test_a_smaller_bucket_of_random_tables_adds_less():
    network = make_network(3000)
    weights = network.output
    found = []
    for bucket_size in (None, 2):
        tables, n_active = make_tables(Hashing(500, 1, 4, "dwta", bucket_size), 3000, 12, 5)
        tables.rebuild(weights)
        found.append(tables.rank(tables.hash(weights[:50]), n_active).sizes.mean())
    assert found[1] <= 8 < found[0]


@pytest.mark.parametrize("n_classes", [1, 2, 17])
@pytest.mark.parametrize(
    "hashing",
    [
        Hashing(), Hashing(n_tables=2), Hashing(n_active=1), Hashing(family="simhash"),
        Hashing(bucket_size=1), Hashing(family="dwta", bucket_size=1),
        Hashing(bucket_size=10**9), Hashing(family="simhash", bucket_size=10**9),
    ],
    ids=str,
)  # fmt: skip
def test_very_few_classes(n_classes, hashing):
    network = make_network(n_classes, 64)
    answer = search(network, 1, hashing)
    check_shapes(answer, 70, 1, n_classes)


def test_one_hidden_unit():
    network = SparseNetwork.initialise(300, 1, N_FEATURES, 0, 1.5, 0)
    network.output[:] = np.random.default_rng(0).normal(size=(300, 1))
    for hashing in (Hashing(), Hashing(n_hashes=2, n_tables=3)):
        check_shapes(search(network, 5, hashing), 70, 5, 300)


@pytest.mark.parametrize("case", ["no weights", "all classes alike", "one probe", "probes alike"])
def test_classes_and_rows_that_say_little(case):
    network = make_network(500)
    probes = network.hidden(make_rows(), 0, 70)
    if case == "no weights":
        network.output[:] = 0
        network.bias[:] = 0
    elif case == "all classes alike":
        network.output[:] = network.output[0]
    elif case == "one probe":
        probes = probes[:1]
    else:
        probes = np.zeros_like(probes)
    answer = search(network, 5, probes=probes)
    check_shapes(answer, 70, 5, 500)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30, 3e38])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_are_not_finite(bad):
    """An error, or any classes: nothing is written beyond an array."""
    network = make_network(40_000)
    for part in (network.output, network.embedding):
        part[33_333 % len(part)] = bad  # which no sample of the classes need show
    for hashing in (Hashing(), Hashing(n_tables=4)):
        try:
            classes, _ = search(network, 5, hashing, make_rows(20))
        except ValueError as error:
            assert "not finite" in str(error)
        else:
            assert ((classes >= 0) & (classes < 40_000)).all()


def test_sizes_that_need_too_much_memory(monkeypatch):
    monkeypatch.setattr("udt.lsh.tables.available_memory", lambda: 10_000)
    with pytest.raises(ValueError, match=r"need [\d,]+ MiB, and [\d,]+ MiB are available"):
        search(make_network(20_000), 5)
