"""SparseNetwork and its head: shapes, the forward pass, and blocks that fix the bits."""

import naive_active
import naive_network as naive
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import f1_score

from udt.labels import LabelSets
from udt.network.heads import Batch, OneVsAllHead, ResampledSoftmaxHead, SoftmaxHead
from udt.network.model import (
    MIN_CROSSES,
    N_RANKED,
    SparseNetwork,
    sigmoid,
    softmax,
    top_k,
    top_k_labels,
)
from udt.network.optimizers import Optimizer
from udt.threads import Pool, single_threaded_blas


def make_rows(n=40, n_features=30, seed=0):
    matrix = sp.random(n, n_features, 0.2, format="csr", dtype=np.float32, random_state=seed)
    return matrix.indptr, matrix.indices, matrix.data


def make_network(
    n_features=30, n_classes=5, n_hidden=8, n_embedded=30, is_wide=True, n_crosses=None
):
    """Weights of any size, since new ones are mostly zero."""
    sizes = None if n_crosses is None else np.resize(n_crosses, n_classes)
    network = SparseNetwork.initialise(
        n_classes, n_hidden, n_embedded, n_features if is_wide else 0, 0.03, 0, sizes
    )
    random = np.random.default_rng(1)
    for array in (*network.matrices().values(), network.crosses):
        array[:] = random.normal(size=array.shape)
    return network


def naive_logits(network, rows):
    """Give the logits of all rows."""
    logits = naive.logits(rows, np.arange(len(rows[0]) - 1), **network.matrices())
    if not network.has_crosses:
        return logits
    return naive_active.add_crosses(
        logits.astype(np.float32), rows, network.cross_starts, network.crosses, N_RANKED
    )


SHAPES = {
    "both paths": {},
    "two classes": {"n_classes": 2},
    "one hidden unit": {"n_hidden": 1},
    "linear only": {"n_hidden": 0},
    "hidden only": {"is_wide": False},
    "fewer embedded": {"n_embedded": 7},
    "no features": {"n_features": 0, "n_embedded": 0},
    "many classes": {"n_classes": 600},
    "crosses": {"is_wide": False, "n_crosses": [1, 64, 8]},
    "crosses of many classes": {"is_wide": False, "n_crosses": [64, 128], "n_classes": 600},
}


def test_a_new_network_takes_all_classes_for_alike():
    network = SparseNetwork.initialise(5, 8, 20, 30, 0.03, 0)
    assert network.wide.shape == (30, 5)
    assert network.embedding.shape == (20, 8)
    assert network.output.shape == (5, 8)
    assert network.bias.shape == (5,)
    assert network.n_classes == 5
    assert all(array.dtype == np.float32 for array in network.matrices().values())
    assert not network.logits(make_rows(), 0, 40).any()
    assert 0.02 < np.abs(network.embedding).max() <= 0.03
    assert abs(network.embedding.mean()) < 0.01


def test_a_new_network_follows_its_seed():
    first, again, other = (SparseNetwork.initialise(5, 8, 20, 30, 0.03, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.embedding, again.embedding)
    assert (first.embedding != other.embedding).any()


def test_a_network_without_the_linear_path_has_no_rows_there():
    network = SparseNetwork.initialise(5, 8, 30, 0, 0.03, 0)
    assert network.wide.shape == (0, 5)


@pytest.mark.parametrize("is_wide", [True, False])
def test_a_grown_network_gives_old_classes_and_features_what_they_had(is_wide):
    network, rows = make_network(is_wide=is_wide), make_rows()
    before = network.copy()
    grown = network.grown(7, 35, 40 if is_wide else 0, 0.03, 0)
    assert grown.wide.shape == (40 if is_wide else 0, 7)
    assert grown.embedding.shape == (35, 8)
    assert grown.output.shape == (7, 8)
    assert all(array.dtype == np.float32 for array in grown.matrices().values())
    logits = grown.logits(rows, 0, 40)
    np.testing.assert_allclose(logits[:, :5], network.logits(rows, 0, 40), rtol=1e-5, atol=1e-5)
    assert (logits[:, 5:] == network.bias.min()).all()
    assert not grown.wide[30:].any()
    assert 0 < np.abs(grown.embedding[30:]).max() <= 0.03
    for name, array in network.matrices().items():
        np.testing.assert_array_equal(array, before.arrays()[name])
        assert not np.shares_memory(array, grown.arrays()[name])


def test_a_grown_network_gives_new_classes_crosses_of_their_own():
    network, rows = make_network(is_wide=False, n_crosses=[2, 64, 8]), make_rows()
    assert network.has_crosses
    grown = network.grown(7, 30, 0, 0.03, 0)
    np.testing.assert_array_equal(grown.cross_starts[:6], network.cross_starts)
    assert np.diff(grown.cross_starts[5:]).tolist() == [MIN_CROSSES] * 2
    assert grown.cross_starts.dtype == np.int64
    assert len(grown.crosses) == grown.cross_starts[-1]
    assert not grown.crosses[len(network.crosses) :].any()
    assert grown.crosses.dtype == np.float32
    np.testing.assert_allclose(grown.logits(rows, 0, 40), naive_logits(grown, rows), atol=1e-4)
    same = network.grown(5, 30, 0, 0.03, 0)
    np.testing.assert_array_equal(same.crosses, network.crosses)
    without = make_network(is_wide=False).grown(7, 30, 0, 0.03, 0)
    assert not without.has_crosses
    assert without.cross_starts.tolist() == [0]


def test_a_copy_shares_nothing():
    network = make_network(n_crosses=64)
    copy = network.copy()
    for name, array in network.arrays().items():
        np.testing.assert_array_equal(copy.arrays()[name], array)
        assert not np.shares_memory(copy.arrays()[name], array)


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_those_of_the_naive_network(shape):
    network, rows = make_network(**SHAPES[shape]), make_rows()
    expected = naive_logits(network, rows)
    logits = network.logits(rows, 0, 40)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(network.logits(rows, 3, 9), expected[3:9], rtol=1e-4, atol=1e-4)


def test_read_only_weights_serve_as_well():
    network, rows = make_network(n_crosses=64), make_rows()
    expected = network.logits(rows, 0, 40)
    for array in network.arrays().values():
        array.flags.writeable = False
    np.testing.assert_array_equal(network.logits(rows, 0, 40), expected)


@pytest.mark.parametrize("n_classes", [2, 600])
def test_the_number_of_threads_changes_no_bit_of_the_logits(n_classes):
    network, rows = make_network(n_classes=n_classes), make_rows(n=2000)
    results = []
    for n_threads in (1, 2, 4):
        with Pool(n_threads) as pool, single_threaded_blas():
            results.append(np.concatenate(network.map_logits(rows, np.copy, pool)))
    assert results[0].shape == (2000, n_classes)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_very_many_classes_are_mapped_in_small_blocks():
    network = make_network(n_classes=300_000, n_hidden=0, is_wide=False)
    with Pool(1) as pool:
        blocks = network.map_logits(make_rows(n=40), len, pool)
    assert max(blocks) <= 16
    assert sum(blocks) == 40


def test_accuracy_is_the_weighted_share_of_right_answers():
    network, rows = make_network(), make_rows()
    best = network.logits(rows, 0, 40).argmax(axis=1)
    weights = np.arange(1, 41, dtype=np.float32)
    wrong = best.copy()
    wrong[-10:] = (wrong[-10:] + 1) % 5
    with Pool(1) as pool:
        assert network.accuracy(rows, best, weights, pool) == 1
        share = network.accuracy(rows, wrong, weights, pool)
    assert share == pytest.approx(weights[:-10].sum() / weights.sum())


def test_probabilities_and_the_most_probable():
    logits = make_network().logits(make_rows(), 0, 40)
    columns, best = naive.top_k(naive.softmax(logits), 3)
    numbers, probabilities = top_k(logits.copy(), 3)
    np.testing.assert_array_equal(numbers, columns)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, best, rtol=1e-4)
    np.testing.assert_allclose(softmax(logits.copy()).sum(axis=1), 1, atol=1e-5)


def test_blocks_of_logits_come_with_their_rows():
    network, rows = make_network(), make_rows(n=1100)
    with Pool(2) as pool:
        parts = network.map_blocks(rows, lambda logits, first, last: (first, last, logits), pool)
    assert [part[:2] for part in parts] == [(0, 512), (512, 1024), (1024, 1100)]
    for first, last, logits in parts:
        np.testing.assert_allclose(logits, network.logits(rows, first, last), rtol=1e-5, atol=1e-5)


def test_micro_f1_is_that_of_the_labels_more_likely_than_not():
    network, rows = make_network(), make_rows()
    found = network.logits(rows, 0, 40) > 0
    truth = np.random.default_rng(0).random(found.shape) < 0.4
    truth[3] = False
    weights = np.arange(1, 41, dtype=np.float32)
    with Pool(2) as pool:
        score = network.micro_f1(rows, LabelSets.from_mask(truth), weights, pool)
        perfect = network.micro_f1(rows, LabelSets.from_mask(found), weights, pool)
    expected = f1_score(
        truth.ravel(), found.ravel(), sample_weight=np.repeat(weights, found.shape[1])
    )
    assert score == pytest.approx(expected, rel=1e-5)
    assert perfect == pytest.approx(1)


@pytest.mark.parametrize("cut", [-1.0, 0.0, 0.5, 1e9])
def test_micro_f1_of_labels_above_a_cut(cut):
    network, rows = make_network(), make_rows()
    found = network.logits(rows, 0, 40) > cut
    truth = np.random.default_rng(0).random(found.shape) < 0.4
    weights = np.ones(40, dtype=np.float32)
    with Pool(1) as pool:
        score = network.micro_f1(rows, LabelSets.from_mask(truth), weights, pool, cut)
    expected = f1_score(truth.ravel(), found.ravel(), zero_division=0)
    assert score == pytest.approx(expected, rel=1e-5)


def test_micro_f1_where_there_are_no_labels_is_zero():
    network, rows = make_network(), make_rows()
    network.bias[:] = -1e6
    nothing = LabelSets.from_mask(np.zeros((40, 5), dtype=bool))
    with Pool(1) as pool:
        assert network.micro_f1(rows, nothing, np.ones(40, dtype=np.float32), pool) == 0


def test_probabilities_of_labels_and_the_most_probable():
    logits = make_network().logits(make_rows(), 0, 40)
    columns, best = naive.top_k(naive.sigmoid(logits), 3)
    numbers, probabilities = top_k_labels(logits.copy(), 3)
    np.testing.assert_array_equal(numbers, columns)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, best, rtol=1e-4)
    np.testing.assert_allclose(sigmoid(logits.copy()), naive.sigmoid(logits), rtol=1e-4, atol=1e-7)


def test_the_most_probable_labels_are_in_order_where_all_are_certain():
    numbers, probabilities = top_k_labels(np.array([[30, 50, 40, 20]], dtype=np.float32), 3)
    assert numbers.tolist() == [[1, 2, 0]]
    assert probabilities.tolist() == [[1, 1, 1]]


def batch_of(targets, weights):
    """Give a batch of rows without features."""
    none = np.zeros(0)
    n = len(weights)
    return Batch(
        np.arange(n), targets, weights, np.zeros(n + 1, np.int64), none, none, none, 1.0,
        np.float32(1), 0, 0,
    )  # fmt: skip


def optimizers(*weights):
    """Give optimisers of copies."""
    return [Optimizer("adagrad", array.copy(), 0.1) for array in weights]


@pytest.mark.parametrize("n_hidden", [0, 6])
@pytest.mark.parametrize("n_classes", [1, 3, 600])
def test_one_vs_all_head(n_classes, n_hidden):
    random = np.random.default_rng(0)
    output = random.normal(size=(n_classes, n_hidden)).astype(np.float32)
    bias = random.normal(size=n_classes).astype(np.float32)
    hidden = random.normal(size=(10, n_hidden)).astype(np.float32)
    wide = random.normal(size=(10, n_classes)).astype(np.float32)
    labels = LabelSets.from_mask(random.random((10, n_classes)) < 0.2)
    truth = naive.indicator(labels)
    weights = random.random(10).astype(np.float32)
    positive = random.uniform(0.5, 4, n_classes).astype(np.float32)
    head = OneVsAllHead(*optimizers(output, bias), 0.1, positive)

    gradient, losses = wide.copy(), np.empty(10, dtype=np.float32)
    hidden_gradient = np.empty_like(hidden)
    batch = batch_of(labels, weights)
    head.prepare(batch)
    for first, last in [(0, 4), (4, 10)]:
        head.forward(hidden, gradient, first, last, losses)
        head.backward(gradient, first, last, hidden_gradient)
    logits = wide + hidden.astype(float) @ output.T + bias
    expected = naive.one_vs_all_gradient(logits, truth, weights, positive, 0.1)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    np.testing.assert_allclose(hidden_gradient, expected @ output, atol=1e-3)
    np.testing.assert_allclose(
        losses, naive.binary_cross_entropy(logits, truth, weights, positive), rtol=1e-4, atol=1e-4
    )

    assert sorted(c for task in head.tasks(2) for c in range(*task)) == list(range(n_classes))
    for task in head.tasks(2):
        head.update(batch, hidden, gradient, np.float32(0.5), task)
    start = np.full((n_classes, 1, 1), 0.1)
    new_output, _, new_bias, _ = naive.update_output(
        hidden, gradient, 0.5, output, start, bias, start
    )
    np.testing.assert_allclose(head.output.weights, new_output, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(head.bias.weights[:, 0], new_bias, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_hidden", [0, 6])
@pytest.mark.parametrize("n_classes", [3, 600])
def test_softmax_head(n_classes, n_hidden):
    random = np.random.default_rng(0)
    output = random.normal(size=(n_classes, n_hidden)).astype(np.float32)
    bias = random.normal(size=n_classes).astype(np.float32)
    hidden = random.normal(size=(10, n_hidden)).astype(np.float32)
    wide = random.normal(size=(10, n_classes)).astype(np.float32)
    targets = random.integers(0, n_classes, 10)
    weights = random.random(10).astype(np.float32)
    head = SoftmaxHead(*optimizers(output, bias), 0.1)

    gradient, losses = wide.copy(), np.empty(10, dtype=np.float32)
    hidden_gradient = np.empty_like(hidden)
    batch = batch_of(targets, weights)
    head.prepare(batch)
    for first, last in [(0, 4), (4, 10)]:
        head.forward(hidden, gradient, first, last, losses)
        head.backward(gradient, first, last, hidden_gradient)
    logits = wide + hidden.astype(float) @ output.T + bias
    expected = naive.softmax_gradient(logits, targets, weights, 0.1)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    np.testing.assert_allclose(hidden_gradient, expected @ output, atol=1e-4)
    np.testing.assert_allclose(
        losses, naive.cross_entropy(logits, targets, weights), rtol=1e-4, atol=1e-5
    )

    # Blocks cover each class once.
    assert sorted(c for task in head.tasks(2) for c in range(*task)) == list(range(n_classes))
    for task in head.tasks(2):
        head.update(batch, hidden, gradient, np.float32(0.5), task)
    start = np.full((n_classes, 1, 1), 0.1)
    new_output, _, new_bias, _ = naive.update_output(
        hidden, gradient, 0.5, output, start, bias, start
    )
    np.testing.assert_allclose(head.output.weights, new_output, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(head.bias.weights[:, 0], new_bias, rtol=1e-3, atol=1e-4)


def test_resampled_softmax_head():
    n_classes, n = 1500, 12
    random = np.random.default_rng(0)
    output = random.normal(size=(n_classes, 6)).astype(np.float32)
    bias = random.normal(size=n_classes).astype(np.float32)
    hidden = random.normal(size=(n, 6)).astype(np.float32)
    targets = random.integers(0, n_classes, n)
    weights = random.random(n).astype(np.float32)
    exact = hidden.astype(float) @ output.T + bias
    heads = [
        ResampledSoftmaxHead(*optimizers(output, bias), 16, key=key, n_points=8)
        for key in (5, 5, 6)
    ]
    gradients = []
    for head in heads:
        logits = np.empty((n, n_classes), dtype=np.float32)
        losses, hidden_gradient = np.empty(n, dtype=np.float32), np.empty_like(hidden)
        batch = batch_of(targets, weights)
        head.prepare(batch)
        for first, last in [(0, 4), (4, n)]:
            head.forward(hidden, logits, first, last, losses)
            head.backward(logits, first, last, hidden_gradient)
        for task in head.tasks(2):
            head.update(batch, hidden, logits, np.float32(0.5), task)
        np.testing.assert_allclose(losses, naive.cross_entropy(exact, targets, weights), rtol=1e-4)
        gradients.append(hidden_gradient)
    # The key fixes the draws.
    np.testing.assert_array_equal(gradients[0], gradients[1])
    assert (gradients[0] != gradients[2]).any()

    starts = np.random.Generator(np.random.PCG64(5)).random(n, dtype=np.float32)
    expected = naive.resampled_gradient(exact, targets, weights, starts, 8)
    np.testing.assert_allclose(gradients[0], expected @ output, rtol=1e-3, atol=1e-4)
    start = np.full((n_classes, 1, 1), 0.1)
    new_output, _, new_bias, _ = naive.update_output(
        hidden, expected, 0.5, output, start, bias, start
    )
    np.testing.assert_allclose(heads[0].output.weights, new_output, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(heads[0].bias.weights[:, 0], new_bias, rtol=1e-3, atol=1e-4)


def test_each_batch_has_draws_of_its_own():
    nothing = optimizers(np.zeros((600, 2), np.float32), np.zeros(600, np.float32))
    head = ResampledSoftmaxHead(*nothing, 16, key=5)
    draws = []
    for _ in range(2):
        head.prepare(batch_of(np.zeros(16, np.int64), np.ones(16, np.float32)))
        draws.append(head._starts.copy())
    assert (draws[0] != draws[1]).any()
    assert all(((draw >= 0) & (draw < 1)).all() for draw in draws)
