"""Each kernel of the network against its naive twin."""

import naive_network as naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from udt.labels import LabelSets
from udt.network import kernels, optimizers

pytestmark = [
    pytest.mark.kernel,
    # Uncompiled, NumPy warns where the hash of dropout wraps around, and of NaN.
    pytest.mark.filterwarnings("ignore:overflow encountered in scalar"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast"),
]

N_FEATURES = 17
INDEX_TYPES = [np.int32, np.int64]


def make_csr(n_rows=12, index_type=np.int32, seed=0):
    """Rows of up to seven features in no order, one of them empty, one with a repeated feature."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 8, n_rows)
    lengths[2] = 0
    indptr = np.r_[0, np.cumsum(lengths)].astype(index_type)
    indices = random.integers(0, N_FEATURES, indptr[-1]).astype(index_type)
    indices[:2] = 5
    values = random.normal(size=indptr[-1]).astype(np.float32)
    return indptr, indices, values


def floats(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def same(actual, expected, rtol=2e-5, atol=2e-6):
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


BATCH = np.array([3, 0, 2, 11, 1, 7])


def test_exp_is_right_within_three_millionths():
    x = np.r_[np.linspace(-86.9, 0, 5001), -1e-9].astype(np.float32)
    same(np.array([kernels.exp(v) for v in x], dtype=np.float32), np.exp(x, dtype=float), rtol=3e-6)


def test_exp_of_very_negative_numbers_is_tiny_but_not_negative():
    for x in (-88.0, -1e30, -np.inf):
        assert 0 <= kernels.exp(np.float32(x)) < 1e-37


def test_exp_keeps_nan():
    assert np.isnan(kernels.exp(np.float32(np.nan)))


@given(hnp.arrays(np.float32, st.integers(1, 20), elements=st.floats(width=32, allow_nan=False)))
def test_largest_is_the_maximum(row):
    assert kernels.largest(row) == row.max()


@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.999])
def test_dropout_draws_as_its_twin(dropout):
    limit = np.uint64(dropout * 2.0**32)
    for row in (0, 1, 1_000_003):
        for position in range(-5, 50):
            ours = kernels.is_dropped(77, np.int64(row), np.int64(position), limit)
            assert bool(ours) == naive.is_dropped(77, row, position, dropout)


def test_dropout_takes_its_share_in_every_direction():
    limit = np.uint64(0.25 * 2.0**32)
    for draw in (
        lambda i: kernels.is_dropped(i, np.int64(5), np.int64(2), limit),
        lambda i: kernels.is_dropped(9, np.int64(i), np.int64(2), limit),
        lambda i: kernels.is_dropped(9, np.int64(5), np.int64(i), limit),
        lambda i: kernels.is_dropped(9, np.int64(5), np.int64(-1 - i), limit),
    ):
        taken = np.array([draw(i) for i in range(4000)])
        assert abs(taken.mean() - 0.25) < 0.03
        assert abs(np.mean(taken[1:] & taken[:-1]) - 0.0625) < 0.02  # neighbours: independent


def copy_batch(csr, batch, dropout=0.0, key=0):
    """Copy rows into a batch's own CSR, in two blocks."""
    lengths = np.diff(csr[0])[batch]
    indptr = np.r_[0, np.cumsum(lengths)].astype(np.int64)
    indices, values = np.full(indptr[-1], -1, np.int32), np.full(indptr[-1], 9, np.float32)
    half = len(batch) // 2
    for block in [(0, half), (half, len(batch))]:
        kernels.copy_rows(*csr, batch, *block, dropout, key, indptr, indices, values)
    return indptr, indices, values


def gather(csr, batch, weights, dropout=0.0, key=0):
    out = np.full((len(batch), weights.shape[1]), np.nan, dtype=np.float32)
    kernels.gather(*copy_batch(csr, batch, dropout, key), 0, len(batch), weights, out)
    return out


def scatter(csr, batch, gradient, weights, state, owners=(0,), dropout=0.0, key=0, rate=0.1):
    squares = np.mean(gradient**2, axis=1)
    copied = copy_batch(csr, batch, dropout, key)
    for owner in owners:
        optimizers.scatter(
            *copied, len(batch), gradient, squares, np.float32(rate), owner, len(owners) - 1,
            weights, state, np.uint64(0),
        )  # fmt: skip


@pytest.mark.parametrize("index_type", INDEX_TYPES)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_copy_rows(index_type, dropout):
    csr = make_csr(index_type=index_type)
    indptr, indices, values = copy_batch(csr, BATCH, dropout, 5)
    for i, row in enumerate(BATCH):
        begin, end = csr[0][row], csr[0][row + 1]
        np.testing.assert_array_equal(indices[indptr[i] : indptr[i + 1]], csr[1][begin:end])
        kept = [not naive.is_dropped(5, int(row), j, dropout) for j in range(end - begin)]
        expected = csr[2][begin:end] * np.array(kept, dtype=bool) / (1 - dropout)
        same(values[indptr[i] : indptr[i + 1]], expected)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("width", [1, 3, 64])
def test_gather(dropout, width):
    # Of enough rows that some are fetched ahead.
    csr, weights = make_csr(n_rows=60), floats(N_FEATURES, width)
    batch = np.random.default_rng(0).permutation(60)[:40]
    same(gather(csr, batch, weights, dropout, 5), naive.gather(csr, batch, weights, dropout, 5))


@pytest.mark.parametrize("index_type", INDEX_TYPES)
def test_gather_straight_from_the_rows(index_type):
    csr, weights = make_csr(index_type=index_type), floats(N_FEATURES, 3)
    weights.flags.writeable = False
    out = np.full((12, 3), 9, dtype=np.float32)
    kernels.gather(*csr, 2, 4, weights, out)
    assert (out[:2] == 9).all()
    assert (out[4:] == 9).all()
    same(out[2:4], naive.gather(csr, np.arange(12), weights)[2:4])


def test_gather_agrees_with_scipy():
    csr, weights = make_csr(), floats(N_FEATURES, 4)
    out = np.empty((12, 4), dtype=np.float32)
    kernels.gather(*csr, 0, 12, weights, out)
    same(out, sp.csr_matrix(csr[::-1], shape=(12, N_FEATURES)).astype(float) @ weights)


@pytest.mark.parametrize("n_weights", [0, 6])
def test_features_past_the_weights_count_as_zero(n_weights):
    csr, weights = make_csr(n_rows=40), floats(N_FEATURES, 3)[:n_weights].copy()
    batch = np.arange(40)
    same(gather(csr, batch, weights), naive.gather(csr, batch, weights))
    state, gradient = np.ones(n_weights, dtype=np.float32), floats(40, 3)
    expected = naive.scatter(csr, batch, gradient, 0.1, weights, state)
    scatter(csr, batch, gradient, weights, state)
    same(weights, expected[0])
    same(state, expected[1])


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("n_owners", [1, 2, 4])
def test_scatter(dropout, n_owners):
    csr, weights, gradient = make_csr(), floats(N_FEATURES, 5), floats(6, 5)
    state = np.full(N_FEATURES, 0.1, dtype=np.float32)
    expected = naive.scatter(csr, BATCH, gradient, 0.1, weights, state, dropout, 5)
    scatter(csr, BATCH, gradient, weights, state, range(n_owners), dropout, 5)
    same(weights, expected[0])
    same(state, expected[1])


def test_the_number_of_owners_and_their_order_change_no_bit():
    csr, gradient = make_csr(n_rows=200), floats(200, 7)
    batch = np.random.default_rng(0).permutation(200)
    results = []
    for owners in ([0], [0, 1], [1, 0], [2, 0, 3, 1]):
        weights, state = floats(N_FEATURES, 7), np.full(N_FEATURES, 0.1, dtype=np.float32)
        scatter(csr, batch, gradient, weights, state, owners, dropout=0.3, key=8)
        results.append(weights.tobytes() + state.tobytes())
    assert len(set(results)) == 1


def test_each_owner_touches_its_own_rows_only():
    n = 200  # rows of weights; owner 1 of 4 has 16 to 31, 80 to 95 and 144 to 159
    indptr, indices = np.array([0, n]), np.arange(n, dtype=np.int32)
    weights, state = np.zeros((n, 2), np.float32), np.ones(n, np.float32)
    optimizers.scatter(
        indptr, indices, np.ones(n, np.float32), 1, np.ones((1, 2), np.float32),
        np.ones(1, np.float32), np.float32(1), 1, 3, weights, state, np.uint64(0),
    )  # fmt: skip
    touched = np.flatnonzero(weights.any(axis=1) & (state > 1))
    assert touched.tolist() == [row for row in range(n) if row // 16 % 4 == 1]
    assert np.count_nonzero(weights.any(axis=1) | (state != 1)) == len(touched)


@pytest.mark.parametrize("dropout", [0.2, 0.6])
def test_gather_and_scatter_leave_out_the_same_entries(dropout):
    # One row whose features are all different: what a step moves is what the sum was over.
    n = 200
    csr = (np.array([0, n]), np.arange(n), np.ones(n, dtype=np.float32))
    row = np.array([0])
    seen = gather(csr, row, np.eye(n, dtype=np.float32), dropout, 3)
    weights, state = np.zeros((n, 1), dtype=np.float32), np.ones(n, dtype=np.float32)
    scatter(csr, row, np.ones((1, 1), np.float32), weights, state, dropout=dropout, key=3)
    np.testing.assert_array_equal(seen[0] != 0, weights[:, 0] != 0)
    assert abs(np.mean(seen[0] == 0) - dropout) < 0.15


def test_fetching_ahead_changes_nothing():
    weights = floats(N_FEATURES, 40)
    before = weights.copy()
    kernels.prefetch_row(weights, N_FEATURES - 1)
    np.testing.assert_array_equal(weights, before)


def test_mean_squares():
    gradient, squares = floats(6, 5), np.zeros(6, dtype=np.float32)
    optimizers.mean_squares(gradient, 1, 4, squares)
    same(squares, np.r_[0, np.mean(gradient[1:4].astype(float) ** 2, axis=1), 0, 0])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_activate_and_its_slope(dropout):
    x = floats(6, 40) * 3
    hidden, gradient = x.copy(), floats(6, 40, seed=2)
    gradient_out = gradient.copy()
    kernels.activate(hidden, 0, 6, dropout, 9)
    same(hidden, naive.activate(x, dropout, 9), rtol=1e-5, atol=1e-6)
    kernels.activate_backward(hidden, 0, 6, dropout, gradient_out)
    step = 1e-5
    up = naive.activate(x.astype(float) + step, dropout, 9)
    down = naive.activate(x.astype(float) - step, dropout, 9)
    same(gradient_out, gradient * (up - down) / (2 * step), rtol=1e-3, atol=1e-5)


def test_activate_at_the_extremes():
    hidden = np.array([[0, -0.0, 50, -50, 1e30, -1e30, np.inf, -np.inf, 1e-6]], dtype=np.float32)
    kernels.activate(hidden, 0, 1, 0.0, 0)
    np.testing.assert_allclose(hidden[0], [0, 0, 1, -1, 1, -1, 1, -1, 1e-6], rtol=0.1, atol=1e-7)


def test_activate_writes_its_samples_only():
    x = floats(6, 4)
    hidden, gradient = x.copy(), x.copy()
    kernels.activate(hidden, 2, 4, 0.5, 9)
    kernels.activate_backward(hidden, 2, 4, 0.5, gradient)
    for array in (hidden, gradient):
        np.testing.assert_array_equal(array[[0, 1, 4, 5]], x[[0, 1, 4, 5]])
        assert (array[2:4] != x[2:4]).any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("n_classes", [2, 3, 77])
def test_softmax_gradient(smoothing, n_classes):
    logits = floats(6, n_classes) * 5
    targets = np.arange(6) % n_classes
    weights = np.array([1, 0.5, 2, 1, 0.1, 3], dtype=np.float32)
    bias, losses = floats(n_classes, seed=2), np.zeros(6, dtype=np.float32)
    gradient = logits - bias
    kernels.softmax_gradient(gradient, 0, 6, bias, targets, weights, np.float32(smoothing), losses)
    same(gradient, naive.softmax_gradient(logits, targets, weights, smoothing), 1e-4, 1e-5)
    # The loss that is told is that against the label itself.
    same(losses, naive.cross_entropy(logits, targets, weights), 1e-4, 1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_softmax_gradient_is_the_slope_of_the_loss(smoothing):
    logits, targets = floats(4, 5), np.array([0, 4, 2, 2])
    weights = np.array([1, 2, 0.5, 1], dtype=np.float32)
    gradient = logits.copy()
    losses, bias = np.zeros(4, dtype=np.float32), np.zeros(5, dtype=np.float32)
    kernels.softmax_gradient(gradient, 0, 4, bias, targets, weights, np.float32(smoothing), losses)
    step = 1e-5
    for c in range(5):
        up, down = logits.astype(float), logits.astype(float)
        up[:, c] += step
        down[:, c] -= step
        difference = naive.cross_entropy(up, targets, weights, smoothing)
        difference = difference - naive.cross_entropy(down, targets, weights, smoothing)
        same(gradient[:, c], difference / (2 * step), 1e-3, 1e-4)


def test_softmax_gradient_writes_its_samples_only():
    logits, losses = floats(6, 3), np.full(6, 9, dtype=np.float32)
    before = logits.copy()
    ones, bias = np.ones(6, dtype=np.float32), np.ones(3, dtype=np.float32)
    kernels.softmax_gradient(logits, 2, 4, bias, np.zeros(6, np.int64), ones, np.float32(0), losses)
    np.testing.assert_array_equal(logits[[0, 1, 4, 5]], before[[0, 1, 4, 5]])
    assert losses.tolist()[:2] == [9, 9]
    assert (losses[2:4] != 9).all()


def label_sets(n, n_labels, seed=3):
    mask = np.random.default_rng(seed).random((n, n_labels)) < 0.3
    mask[1] = False
    mask[2] = True
    return LabelSets.from_mask(mask)


WEIGHTS = np.array([1, 0.5, 2, 1, 0, 3], dtype=np.float32)


def one_vs_all(logits, labels, positive_weights, smoothing=0.0, first=0, last=6, bias=None):
    """Run the kernel on copies; give gradients and losses."""
    bias = floats(logits.shape[1], seed=2) if bias is None else bias
    gradient, losses = logits - bias, np.full(len(logits), 9, dtype=np.float32)
    kernels.one_vs_all_gradient(
        gradient, first, last, bias, labels.indptr, labels.indices, WEIGHTS[: len(logits)],
        positive_weights, np.float32(smoothing), losses,
    )  # fmt: skip
    return gradient, losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("n_labels", [1, 3, 64, 150])
def test_one_vs_all_gradient(smoothing, n_labels):
    logits, labels = floats(6, n_labels) * 5, label_sets(6, n_labels)
    truth, positive = naive.indicator(labels), np.abs(floats(n_labels, seed=4)) + np.float32(0.1)
    gradient, losses = one_vs_all(logits, labels, positive, smoothing)
    same(
        gradient, naive.one_vs_all_gradient(logits, truth, WEIGHTS, positive, smoothing), 1e-4, 1e-5
    )
    # The loss that is told is that against the labels themselves.
    same(losses, naive.binary_cross_entropy(logits, truth, WEIGHTS, positive), 1e-4, 1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_vs_all_gradient_is_the_slope_of_the_loss(smoothing):
    logits, labels = floats(6, 4), label_sets(6, 4)
    truth, positive = naive.indicator(labels), np.array([1, 3, 0.5, 1], dtype=np.float32)
    gradient, _ = one_vs_all(logits, labels, positive, smoothing)
    step = 1e-5
    for c in range(4):
        up, down = logits.astype(float), logits.astype(float)
        up[:, c] += step
        down[:, c] -= step
        difference = naive.binary_cross_entropy(up, truth, WEIGHTS, positive, smoothing)
        difference -= naive.binary_cross_entropy(down, truth, WEIGHTS, positive, smoothing)
        same(gradient[:, c], difference / (2 * step), 1e-3, 1e-4)


def test_one_vs_all_gradient_writes_its_samples_only():
    logits, bias = floats(6, 3), np.ones(3, dtype=np.float32)
    gradient, losses = one_vs_all(logits, label_sets(6, 3), np.ones(3, np.float32), 0, 2, 4, bias)
    np.testing.assert_array_equal(gradient[[0, 1, 4, 5]], (logits - bias)[[0, 1, 4, 5]])
    assert losses.tolist()[:2] == [9, 9]
    assert (losses[2:4] != 9).all()


def test_one_vs_all_at_the_extremes():
    # So many large logits that the product of their exponentials would overflow.
    logits = np.tile(np.array([1e4, -1e4, 0, 80, -80], dtype=np.float32), (6, 60))
    labels, ones, zeros = label_sets(6, 300), np.ones(300, np.float32), np.zeros(300, np.float32)
    gradient, losses = one_vs_all(logits, labels, ones, bias=zeros)
    truth = naive.indicator(labels)
    same(gradient, naive.one_vs_all_gradient(logits, truth, WEIGHTS, ones), 1e-4, 1e-5)
    same(losses, naive.binary_cross_entropy(logits, truth, WEIGHTS, ones), 1e-4, 1e-3)


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_what_is_not_finite_stays_visible_in_one_vs_all(value):
    for column in (0, 1, 2):  # of which the middle one is false
        logits = np.zeros((1, 3), dtype=np.float32)
        logits[0, column] = value
        labels, ones = LabelSets.from_mask(np.array([[True, False, True]])), np.ones(3, np.float32)
        _, losses = one_vs_all(logits, labels, ones, 0.1, 0, 1, np.zeros(3, np.float32))
        is_certain = np.isinf(value) and (value > 0) == (column != 1)
        assert np.isfinite(losses[0]) <= is_certain
        probabilities = logits.copy()
        kernels.sigmoid(probabilities)
        assert np.isnan(probabilities).any() == np.isnan(value)


@pytest.mark.parametrize("n_classes", [1, 5, 33])
def test_sigmoid(n_classes):
    logits = floats(20, n_classes) * 10
    probabilities = logits.copy()
    kernels.sigmoid(probabilities)
    same(probabilities, naive.sigmoid(logits), 1e-5, 1e-7)


def test_sigmoid_of_large_logits_does_not_overflow():
    logits = np.array([[1e38, -1e38, 0, 30, -30]], dtype=np.float32)
    kernels.sigmoid(logits)
    np.testing.assert_allclose(logits, [[1, 0, 0.5, 1, 9.4e-14]], rtol=1e-2, atol=1e-30)


def test_tally():
    random = np.random.default_rng(0)
    probabilities = random.random((6, 40), dtype=np.float32)
    probabilities[0, :2] = 0, 1
    labels, counts = label_sets(6, 40), np.zeros((2, 8))
    kernels.tally(probabilities, labels.indptr, labels.indices, WEIGHTS, counts)
    weights = np.repeat(WEIGHTS[:, np.newaxis], 40, axis=1)
    is_true = naive.indicator(labels) == 1
    for found, chosen in zip(counts, (np.ones_like(is_true), is_true), strict=True):
        expected, _ = np.histogram(probabilities[chosen], 8, (0, 1), weights=weights[chosen])
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("n_classes", [2, 5, 33])
def test_softmax(n_classes):
    logits = floats(20, n_classes) * 10
    probabilities = logits.copy()
    kernels.softmax(probabilities)
    same(probabilities, naive.softmax(logits), 1e-4, 1e-7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_softmax_of_large_logits_does_not_overflow():
    logits = np.array([[1e38, -1e38, 0], [3e4, 3e4, -3e4]], dtype=np.float32)
    kernels.softmax(logits)
    np.testing.assert_allclose(logits, [[1, 0, 0], [0.5, 0.5, 0]], atol=1e-6)


# Processors make NaN with and without a sign, and the sign puts it at either end as an integer.
@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000])
@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_nan_stays_visible(bits, n_classes):
    nan = np.array([bits], dtype=np.uint32).view(np.float32)[0]
    for column in (0, 1, n_classes - 1):
        logits = np.zeros((1, n_classes), dtype=np.float32)
        logits[0, column] = nan
        probabilities, losses = logits.copy(), np.zeros(1, dtype=np.float32)
        kernels.softmax(probabilities)
        assert np.isnan(probabilities).any()
        ones, bias = np.ones(1, np.float32), np.zeros(n_classes, np.float32)
        kernels.softmax_gradient(logits, 0, 1, bias, np.array([0]), ones, np.float32(0.1), losses)
        assert np.isnan(losses[0])
        assert np.isnan(logits).any()
    weights = np.full((N_FEATURES, 2), nan)
    out = gather(make_csr(), np.array([0]), weights)
    kernels.activate(out, 0, 1, 0.0, 0)
    assert np.isnan(out).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_an_infinite_logit_shows_in_the_loss():
    logits, losses = np.array([[0, np.inf, 1]], dtype=np.float32), np.zeros(1, dtype=np.float32)
    ones, bias = np.ones(1, np.float32), np.zeros(3, np.float32)
    kernels.softmax_gradient(logits, 0, 1, bias, np.array([0]), ones, np.float32(0), losses)
    assert not np.isfinite(losses[0])


def resample(logits, starts, n_points=8, first=0, last=None, n_hidden=4):
    """Run the kernel on arbitrary targets and weights; give all that it writes, slopes dense."""
    n, n_classes = logits.shape
    last = n if last is None else last
    bias, output = floats(n_classes, seed=2), floats(n_classes, n_hidden, seed=3)
    targets, weights = np.arange(n) % n_classes, np.linspace(0.5, 2, n).astype(np.float32)
    losses = np.full(n, 9, dtype=np.float32)
    classes = np.full((n, n_points + 1), -1, dtype=np.int32)
    slopes = np.full((n, n_points + 1), 9, dtype=np.float32)
    sizes = np.zeros(n, dtype=np.int64)
    hidden_gradient = np.full((n, n_hidden), 9, dtype=np.float32)
    kernels.resampled_gradient(
        logits - bias, first, last, bias, targets, weights, starts.astype(np.float32), losses,
        classes, slopes, sizes,
    )  # fmt: skip
    kernels.active_backward(classes, slopes, sizes, first, last, output, hidden_gradient)
    dense = np.zeros((n, n_classes), dtype=np.float32)
    for i in range(n):
        active = classes[i, : sizes[i]]
        assert len(set(active.tolist())) == len(active)  # no class twice
        dense[i, active] = slopes[i, : sizes[i]]
    return targets, weights, output, losses, dense, hidden_gradient, (classes, slopes, sizes)


@pytest.mark.parametrize("n_classes", [2, 7, 31, 32, 33, 600])
@pytest.mark.parametrize("n_points", [1, 8, 64])
def test_resampled_gradient(n_classes, n_points):
    logits, starts = floats(20, n_classes) * 3, np.random.default_rng(5).random(20)
    targets, weights, output, losses, dense, hidden_gradient, _ = resample(logits, starts, n_points)
    expected = naive.resampled_gradient(logits, targets, weights, starts, n_points)
    same(dense, expected, 1e-4, 1e-5)
    same(losses, naive.cross_entropy(logits, targets, weights), 1e-4, 1e-5)
    same(hidden_gradient, expected @ output, 1e-3, 1e-4)


def test_resampled_gradients_have_the_softmax_gradient_as_their_mean():
    logits, n = floats(3, 40) * 2, 500
    total = np.zeros_like(logits)
    for start in (np.arange(n) + 0.5) / n:
        targets, weights, _, _, dense, _, _ = resample(logits, np.full(3, start))
        total += dense
    same(total / n, naive.softmax_gradient(logits, targets, weights), atol=2e-3)


def test_resampling_at_the_extremes():
    # All the mass on one class, whether or not it is the target; points at either end.
    logits = np.full((4, 50), -1e30, dtype=np.float32)
    logits[np.arange(4), [0, 1, 49, 20]] = 0
    for start in (1e-5, 1 - 1e-5):
        targets, weights, _, losses, dense, _, (_, _, sizes) = resample(logits, np.full(4, start))
        expected = naive.softmax_gradient(logits, targets, weights)
        same(dense, expected, 1e-4, 1e-5)
        assert sizes.tolist() == [1, 1, 2, 2]
        assert np.isfinite(losses).all()


def test_resampling_writes_its_samples_only():
    logits, starts = floats(6, 40), np.full(6, 0.5)
    losses, _, hidden_gradient, lists = resample(logits, starts, first=2, last=4)[3:]
    for array, untouched in zip((losses, hidden_gradient, *lists), (9, 9, -1, 9, 0), strict=True):
        assert (array[[0, 1, 4, 5]] == untouched).all()
        assert (array[2:4] != untouched).any()


def test_nan_stays_visible_in_resampling():
    logits = floats(2, 40)
    logits[0, 7] = np.nan
    losses, _, hidden_gradient, (classes, _, sizes) = resample(logits, np.full(2, 0.5))[3:]
    assert np.isnan(losses[0])
    assert np.isfinite(losses[1])
    assert np.isfinite(hidden_gradient[1]).all()
    assert 1 <= sizes[0] <= classes.shape[1]


RULES = {
    optimizers.ADAGRAD: (naive.adagrad, (1, 1)),
    optimizers.ADAM: (naive.adam, (2, 5)),
    optimizers.SGD: (naive.sgd, (0, 0)),
}


@pytest.mark.parametrize("rule", RULES)
def test_step_rows(rule):
    twin, kept = RULES[rule]
    slopes, weights = floats(6, 5), floats(6, 5, seed=3)
    state = np.abs(floats(6, *kept, seed=4))
    expected = twin(slopes, 0.3, weights, state)
    optimizers.step_rows(slopes, np.float32(0.3), rule, weights, state, np.uint64(0), 0)
    same(weights, expected[0], 1e-4, 1e-5)
    same(state, expected[1], 1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("first", "last"), [(0, 40), (8, 16), (39, 40)])
def test_step_active(rule, first, last):
    twin, (n_kept, width) = RULES[rule]
    n_classes, hidden = 40, floats(6, 5)
    dense, _, (classes, slopes, sizes) = resample(floats(6, n_classes), np.full(6, 0.3))[4:]
    old = [
        floats(n_classes, 5), np.full((n_classes, n_kept, width), 0.1, np.float32),
        floats(n_classes, 1), np.full((n_classes, n_kept, min(width, 1)), 0.1, np.float32),
    ]  # fmt: skip
    new = [array.copy() for array in old]
    optimizers.step_active(
        hidden, classes, slopes, sizes, first, last, np.float32(0.3), rule, *new, np.uint64(0)
    )
    expected = [
        *twin(dense.T.astype(float) @ hidden, 0.3, *old[:2]),
        *twin(dense.sum(axis=0, dtype=float)[:, np.newaxis], 0.3, *old[2:]),
    ]
    is_active = np.zeros(n_classes, dtype=bool)
    for i in range(6):
        is_active[classes[i, : sizes[i]]] = True
    is_active[:first] = is_active[last:] = False
    for ours, before, right in zip(new, old, expected, strict=True):
        same(ours[is_active], right[is_active], 1e-4, 1e-5)
        np.testing.assert_array_equal(ours[~is_active], before[~is_active])


# Few different values, so that ties are frequent.
@settings(max_examples=50)
@given(
    scores=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 9)),
        elements=st.integers(-2, 2).map(float),
    ),
    data=st.data(),
)
def test_top_k(scores, data):
    k = data.draw(st.integers(1, scores.shape[1]))
    labels = np.empty((len(scores), k), dtype=np.int64)
    best = np.empty((len(scores), k), dtype=np.float32)
    kernels.top_k(scores, 0, len(scores), labels, best)
    columns, expected = naive.top_k(scores, k)
    np.testing.assert_array_equal(labels, columns)
    np.testing.assert_array_equal(best, expected)


def test_top_k_writes_its_rows_only():
    labels, best = np.full((3, 2), -1), np.full((3, 2), 9, dtype=np.float32)
    kernels.top_k(floats(3, 4), 1, 2, labels, best)
    assert (labels[[0, 2]] == -1).all()
    assert (best[[0, 2]] == 9).all()
    assert (labels[1] >= 0).all()
