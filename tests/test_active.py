"""Kernels over few of very many classes, against their naive twins."""

import naive_active as naive
import naive_network
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from udt.network import active, kernels
from udt.network.active import DEPTH, LEVELS

pytestmark = pytest.mark.kernel
kernel_warnings = pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero)")
STEP = DEPTH / LEVELS


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_rows(n, n_features=50, seed=0):
    matrix = sp.random(n, n_features, 0.2, format="csr", dtype=np.float32, random_state=seed)
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def make_crosses(n_classes, seed=0):
    """Give crosses of any sizes."""
    sizes = 1 << np.random.default_rng(seed).integers(0, 8, n_classes)
    starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
    return starts, normal(starts[-1], seed=seed)


NO_CROSSES = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.float32)


def pick(logits, wanted, n=None):
    logits = np.asarray(logits, dtype=np.float32)
    histogram = np.full(LEVELS + 1, 7, dtype=np.int32)
    places = np.full(wanted + 1, -9, dtype=np.int32)
    size = active.pick_largest(logits, len(logits) if n is None else n, wanted, histogram, places)
    assert (places[size:] == -9).all()
    return places[:size].tolist()


# -------------------------------------------------------------------------- logits and the largest


@pytest.mark.parametrize("n_weights", [0, 1, 7, 128])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_score(n, n_weights):
    output, bias, x = normal(40, n_weights), normal(40, seed=1), normal(n_weights, seed=2)
    classes = np.random.default_rng(0).permutation(40).astype(np.int32)
    logits = np.full(40, 5, dtype=np.float32)
    active.score(x, classes, n, output, bias, logits)
    expected = output[classes[:n]].astype(float) @ x + bias[classes[:n]]
    np.testing.assert_allclose(logits[:n], expected, rtol=1e-4, atol=1e-5)
    assert (logits[n:] == 5).all()


@kernel_warnings
@pytest.mark.parametrize(
    "logits",
    [
        [],
        [0.0],
        [1, 1, 1, 1],
        [3, 1, 2, 3, 3, 1],
        [-1e30, 1e30, 0],
        [0, -DEPTH * 0.99, -DEPTH * 1.01, -1000],
        [0, -STEP / 3, -STEP * 1.5, -STEP * 1.2],
        [np.nan] * 3,
        [1, np.nan, 2, 3],
        [np.nan, 5, 4],
        [np.inf, 1, 2],
        [np.inf, -np.inf, np.inf],
        [-np.inf, 1, 2, -np.inf],
        [-np.inf, -np.inf],
        [3e38, -3e38, 3e38],
        [1e-45, 0, -1e-45],
    ],
    ids=str,
)
@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 100])
def test_the_largest_are_picked(logits, wanted):
    assert pick(logits, wanted) == naive.pick_largest(logits, wanted)


@given(
    st.lists(
        st.floats(width=32) | st.floats(-40, 0, width=32) | st.sampled_from([0.0, -1.0, -2.0]),
        max_size=50,
    ),
    st.integers(0, 60),
)
@kernel_warnings
def test_any_logits_may_be_picked_from(logits, wanted):
    """What is picked are different places in order, and no more than were wanted."""
    places = pick(logits, wanted)
    assert places == sorted(set(places))
    assert len(places) <= wanted
    assert all(0 <= place < len(logits) for place in places)
    logits = np.asarray(logits, dtype=np.float32)
    if len(logits) and np.isfinite(logits.max()):
        high = [j for j, x in enumerate(logits) if x > logits.max() - 0.99 * DEPTH]
        assert len(places) >= min(wanted, len(high))
        rest = np.delete(logits, places)
        if places and len(rest) and len(places) == wanted:
            assert logits[places].min() >= rest.max() - 1.01 * STEP - 1e-6 * abs(logits.max())


def test_the_largest_of_many():
    logits = 3 * normal(5000)
    for wanted in (1, 40, 4999, 5000):
        places = pick(logits, wanted)
        assert len(places) == wanted
        rest = np.delete(logits, places)
        assert not len(rest) or logits[places].min() > rest.max() - 1.01 * STEP
    assert pick(logits, 40, n=100) == pick(logits[:100], 40)


# -------------------------------------------------------------------------------------- crosses


@pytest.mark.filterwarnings("ignore:overflow encountered")
@given(st.integers(0, 2**31 - 1), st.integers(0, 25), st.integers(0, 2**40))
def test_crosses_lie_within_their_class(feature, bits, start):
    starts = np.array([5, start, start + (1 << bits)], dtype=np.int64)
    place = active.cross(starts, 1, np.int32(feature))
    assert start <= place < start + (1 << bits)
    assert place == naive.cross(starts, 1, feature)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_crosses_of_neighbours_are_spread():
    starts = np.array([0, 1024], dtype=np.int64)
    places = [active.cross(starts, 0, np.int32(feature)) for feature in range(1024)]
    assert len(set(places)) > 600  # 647 of random ones


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_cross_logits():
    csr = make_rows(9)
    indptr, indices, values = csr
    starts, crosses = make_crosses(20)
    classes = np.arange(20, dtype=np.int32)[::-1].copy()
    hashes = np.empty(active.longest(indptr, 0, 9), dtype=np.uint32)
    for i in range(9):
        logits = np.ones(20, dtype=np.float32)
        row = indices, values, indptr[i], indptr[i + 1]
        active.add_cross_logits(*row, starts, crosses, classes, 19, hashes, logits)
        expected = [naive.cross_logit(naive.row_of(csr, i), starts, c, crosses) for c in classes]
        np.testing.assert_allclose(logits[:19], 1 + np.array(expected[:19]), atol=1e-4)
        assert logits[19] == 1


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("n_ranked", [1, 5, 20, 100])
def test_crosses_are_added_to_the_largest(n_ranked):
    csr, logits = make_rows(9), 3 * normal(9, 20)
    logits[3] = 1  # all alike
    logits[4, ::2] = -100  # and some too low
    starts, crosses = make_crosses(20)
    expected = naive.add_crosses(logits, csr, starts, crosses, n_ranked)
    active.add_crosses(logits, *csr, starts, crosses, n_ranked)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@kernel_warnings
def test_crosses_are_added_to_nothing_that_is_not_finite():
    csr = make_rows(3)
    starts, crosses = make_crosses(4)
    rows = [[np.nan, 1, 2, 3], [np.inf, 1, 2, 3], [-np.inf] * 4]
    logits = np.array(rows, dtype=np.float32)
    active.add_crosses(logits, *csr, starts, crosses, 2)
    np.testing.assert_array_equal(logits[1:], np.array(rows[1:], dtype=np.float32))
    np.testing.assert_array_equal(logits[0, 1:], [1, 2, 3])


def rank(csr, hidden, candidates, sizes, output, bias, crosses, n_ranked, k, first=0, last=None):
    classes = np.full((len(hidden), k), -7, dtype=np.int64)
    best = np.zeros((len(hidden), k), dtype=np.float32)
    active.rank_classes(
        hidden, first, len(hidden) if last is None else last, candidates, sizes, output, bias, *csr,
        *crosses, n_ranked, classes, best,
    )  # fmt: skip
    return classes, best


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("k", [1, 3, 12])
@pytest.mark.parametrize("n_ranked", [1, 8, 40])
@pytest.mark.parametrize("with_crosses", [False, True])
def test_classes_are_ranked(with_crosses, n_ranked, k):
    n, n_classes = 8, 40
    csr, hidden = make_rows(n), normal(n, 6)
    output, bias = normal(n_classes, 6, seed=1), normal(n_classes, seed=2)
    crosses = make_crosses(n_classes) if with_crosses else NO_CROSSES
    random = np.random.default_rng(3)
    candidates = np.stack([random.permutation(n_classes)[:25] for _ in range(n)]).astype(np.int32)
    sizes = np.array([25, 12, 13, 5, 1, 0, 25, 20])
    classes, best = rank(csr, hidden, candidates, sizes, output, bias, crosses, n_ranked, k)
    starts, weights = crosses if with_crosses else (np.arange(n_classes + 1), np.zeros(n_classes))
    # Without crosses there is nothing to hold others down for.
    counted = n_ranked if with_crosses else n_classes
    for i in range(n):
        if not sizes[i]:
            assert (classes[i] == -1).all()
            assert (best[i] == -np.inf).all()
            continue
        (found,) = naive.rank_classes(
            hidden[i : i + 1], [candidates[i, : sizes[i]]], output, bias,
            naive.csr_row(csr, i), starts, weights, counted, k,
        )  # fmt: skip
        size = len(found[0])
        np.testing.assert_allclose(best[i, :size], found[1], atol=1e-4)
        assert (np.diff(best[i, :size]) <= 0).all()
        if not (with_crosses and k >= n_ranked):  # ties with those held down
            assert classes[i, :size].tolist() == found[0].tolist()
        assert len(set(classes[i, :size])) == size
        assert set(classes[i, :size]) <= set(candidates[i, : sizes[i]])
        assert (classes[i, size:] == -1).all()
        assert (best[i, size:] == -np.inf).all()


def test_only_rows_that_are_asked_for_are_ranked():
    csr, hidden, output, bias = make_rows(4), normal(4, 6), normal(9, 6), normal(9)
    candidates = np.tile(np.arange(9, dtype=np.int32), (4, 1))
    classes, best = rank(
        csr, hidden, candidates, np.full(4, 9), output, bias, NO_CROSSES, 5, 2, first=1, last=3
    )
    assert (classes[[0, 3]] == -7).all()
    logits = hidden.astype(float) @ output.T + bias
    assert classes[1:3].tolist() == np.argsort(-logits[1:3])[:, :2].tolist()
    np.testing.assert_allclose(best[1:3], -np.sort(-logits[1:3])[:, :2], rtol=1e-4)


def test_classes_that_lie_too_deep_are_not_ranked():
    output, bias = np.zeros((4, 2), dtype=np.float32), np.array([0, -30, -1, -40], np.float32)
    candidates = np.array([[3, 2, 1, 0]], dtype=np.int32)
    classes, best = rank(
        make_rows(1), normal(1, 2), candidates, np.array([4]), output, bias, NO_CROSSES, 4, 3
    )
    assert classes.tolist() == [[0, 2, -1]]
    assert best.tolist() == [[0, -1, -np.inf]]


# ------------------------------------------------------------------------------- active classes


def activate(candidates, n_candidates, truth, n_hard, n_random, key, x, output, bias, marks=None):
    candidates = np.asarray(candidates, dtype=np.int32)
    truth = np.asarray(truth, dtype=np.int32)
    logits = (output[candidates].astype(float) @ x + bias[candidates]).astype(np.float32)
    width = len(truth) + n_hard + n_random
    classes = np.full(width + 1, -9, dtype=np.int32)
    chosen = np.full(width + 1, -9, dtype=np.float32)
    marks = np.zeros(len(output), dtype=np.uint8) if marks is None else marks
    n, n_chosen = active.activate_classes(
        candidates, n_candidates, logits, truth, n_hard, n_random, np.uint64(key), x, output, bias,
        marks, np.empty(LEVELS + 1, np.int32), np.empty(n_hard + 1, np.int32), classes, chosen,
    )  # fmt: skip
    assert not marks.any()
    assert (classes[n:] == -9).all()
    assert (chosen[n:] == -9).all()
    expected = output[classes[:n]].astype(float) @ x + bias[classes[:n]]
    np.testing.assert_allclose(chosen[:n], expected, rtol=1e-4, atol=1e-4)
    return classes[:n].tolist(), n_chosen, logits


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("truth", [[], [4], [29, 3, 17]], ids=str)
@pytest.mark.parametrize("n_hard", [0, 1, 6, 30])
@pytest.mark.parametrize("n_random", [0, 5, 60])
def test_true_hard_and_random_classes(n_random, n_hard, truth):
    output, bias, x = normal(30, 5), normal(30, seed=1), normal(5, seed=2)
    candidates = np.random.default_rng(0).permutation(30)[:20]
    for key in (0, 1, 2**63 + 12345):
        for n in (0, 1, 20):
            classes, n_chosen, logits = activate(
                candidates, n, truth, n_hard, n_random, key, x, output, bias
            )
            expected, expected_chosen = naive.activate_classes(
                candidates.tolist(), logits[:n], truth, n_hard, n_random, key, 30
            )
            assert classes == expected
            assert n_chosen == expected_chosen
            assert classes[: len(truth)] == truth
            assert len(set(classes)) == len(classes)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_random_classes_are_spread_evenly():
    output, bias, x = np.zeros((10, 1), np.float32), np.zeros(10, np.float32), normal(1)
    counts = np.zeros(10)
    for key in range(3000):
        classes, _, _ = activate([], 0, [], 0, 1, active.mix(np.uint64(key)), x, output, bias)
        counts[classes] += 1
    assert (np.abs(counts - 300) < 5 * np.sqrt(300)).all()


@kernel_warnings
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_activate_no_class_twice(bad):
    output, bias, x = normal(30, 5), normal(30, seed=1), normal(5, seed=2)
    bias[7] = bad
    marks = np.zeros(30, dtype=np.uint8)
    histogram, places = np.empty(LEVELS + 1, np.int32), np.empty(6, np.int32)
    classes, chosen = np.empty(20, np.int32), np.empty(20, np.float32)
    candidates = np.arange(30, dtype=np.int32)
    n, _ = active.activate_classes(
        candidates, 30, output @ x + bias, np.array([7], np.int32), 5, 4, np.uint64(3), x, output,
        bias, marks, histogram, places, classes, chosen,
    )  # fmt: skip
    assert 1 <= n <= 10
    assert len(set(classes[:n])) == n
    assert not marks.any()


# ------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("n", "n_chosen"), [(1, 1), (8, 8), (8, 5), (8, 1)])
def test_sampled_softmax(n, n_chosen, smoothing):
    logits = 4 * normal(n)
    expected_loss, expected = naive.sampled_softmax(logits, n_chosen, 500, 1.5, smoothing)
    row = np.append(logits, np.float32(77))
    loss = active.sampled_softmax(row, n, n_chosen, 500, np.float32(1.5), np.float32(smoothing))
    assert loss == pytest.approx(expected_loss, rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(row[:n], expected, atol=1e-4)
    assert row[n] == 77
    assert row[:n].sum() == pytest.approx(0, abs=1e-4)


def test_all_classes_are_the_full_softmax():
    logits = 2 * normal(1, 50)
    expected = naive_network.softmax_gradient(logits, [0], np.ones(1), 0.1)
    row = logits[0].copy()
    loss = active.sampled_softmax(row, 50, 50, 50, np.float32(1), np.float32(0.1))
    np.testing.assert_allclose(row, expected[0], atol=1e-5)
    assert loss == pytest.approx(naive_network.cross_entropy(logits, [0], np.ones(1))[0], rel=1e-4)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_the_correction_makes_samples_stand_for_all():
    """Over many draws the gradients come near to those of all classes, and far without it."""
    n_classes, true = 300, 5
    logits = normal(n_classes)
    x, output = np.zeros(1, np.float32), np.zeros((n_classes, 1), np.float32)
    truth = naive_network.softmax_gradient(logits[np.newaxis], [true], np.ones(1))[0]
    total, n_keys, n_random = np.zeros(n_classes), 2000, 40
    uncorrected = np.zeros(n_classes)
    candidates = np.argsort(-logits)[:10]
    for key in range(n_keys):
        classes, n_chosen, _ = activate(
            candidates, 10, [true], 5, n_random, active.mix(np.uint64(key)), x, output, logits
        )
        row = logits[classes]
        uncorrected[classes] += naive.sampled_softmax(row, len(row), n_classes, 1, 0)[1]
        active.sampled_softmax(row, len(row), n_chosen, n_classes, np.float32(1), np.float32(0))
        total[classes] += row
    total /= n_keys
    np.testing.assert_allclose(total[[true, *candidates[:5]]], truth[[true, *candidates[:5]]],
                               rtol=0.02, atol=0.001)  # fmt: skip
    error = np.abs(total - truth).sum()
    assert error < 0.1 * np.abs(truth).sum()
    assert error < np.abs(uncorrected / n_keys - truth).sum() / 4


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("n_true", [0, 1, 4])
def test_sampled_one_vs_all(n_true, smoothing):
    logits = 5 * normal(9)
    logits[[0, 5]] = [90, -90]
    classes = np.random.default_rng(0).permutation(30)[:10].astype(np.int32)
    positive = np.random.default_rng(1).uniform(0.5, 4, 30).astype(np.float32)
    mask = (np.arange(9) < n_true)[np.newaxis].astype(float)
    given = (logits[np.newaxis], mask, np.array([1.5]), positive[classes[:9]])
    row = np.append(logits, np.float32(77))
    loss = active.sampled_one_vs_all(
        row, 9, classes, n_true, np.float32(1.5), positive, np.float32(smoothing)
    )
    assert loss == pytest.approx(naive_network.binary_cross_entropy(*given)[0], rel=1e-4)
    expected = naive_network.one_vs_all_gradient(*given, smoothing)[0]
    np.testing.assert_allclose(row[:9], expected, rtol=1e-4, atol=1e-4)
    assert row[9] == 77


def gradient_case(is_exclusive, with_crosses, n=7, n_classes=30, n_hidden=5):
    random = np.random.default_rng(0)
    if is_exclusive:
        indptr, truth = np.arange(n + 1), random.integers(0, n_classes, n).astype(np.int32)
    else:
        sets = [sorted(random.permutation(n_classes)[:size]) for size in (0, 1, 3, 2, 0, 1, 5)]
        indptr = np.append(0, np.cumsum([len(labels) for labels in sets]))
        truth = np.concatenate(sets).astype(np.int32)
    return {
        "hidden": normal(n, n_hidden, seed=3),
        "truth": (indptr.astype(np.int64), truth),
        "weights": random.uniform(0.5, 2, n).astype(np.float32),
        "positive": random.uniform(0.5, 4, n_classes).astype(np.float32),
        "output": normal(n_classes, n_hidden, seed=4),
        "bias": normal(n_classes, seed=5),
        "csr": make_rows(n),
        "crosses": make_crosses(n_classes) if with_crosses else NO_CROSSES,
    }


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("scores_given", [True, False])
@pytest.mark.parametrize("with_crosses", [True, False])
@pytest.mark.parametrize("is_exclusive", [True, False])
def test_active_gradient(is_exclusive, with_crosses, scores_given):
    case = gradient_case(is_exclusive, with_crosses)
    hidden, output, bias = case["hidden"], case["output"], case["bias"]
    n, n_classes, n_hard, n_random, key, first, last = 7, 30, 6, 3, 12345, 2, 6
    exact = (hidden.astype(float) @ output.T + bias).astype(np.float32)
    random = np.random.default_rng(9)
    if scores_given:
        candidates = np.arange(n_classes, dtype=np.int32)[np.newaxis]
        sizes, logits = np.full(last - first, n_classes), exact[first:last].copy()
        rows = [candidates[0]] * (last - first)
    else:
        parts = [random.permutation(n_classes)[:20] for _ in range(first, last)]
        candidates = np.stack(parts).astype(np.int32)
        sizes = np.array([20, 3, 0, 15])
        logits = np.full((last - first, 20), np.nan, dtype=np.float32)
        rows = [row[:size] for row, size in zip(candidates, sizes, strict=True)]
    marks = np.zeros(n_classes, dtype=np.uint8)
    losses = np.full(n, -9, dtype=np.float32)
    classes = np.full((n, 20), -9, dtype=np.int32)
    slopes = np.zeros((n, 20), dtype=np.float32)
    counts = np.full(n, -9)
    hidden_gradient = np.full_like(hidden, -9)
    active.active_gradient(
        hidden, first, last, candidates, sizes, logits, scores_given, *case["truth"],
        case["weights"], case["positive"], is_exclusive, np.float32(0.1), n_hard, n_random,
        np.uint64(key), output, bias, *case["csr"], *case["crosses"], marks, losses, classes,
        slopes, counts,
    )  # fmt: skip
    kernels.active_backward(classes, slopes, counts, first, last, output, hidden_gradient)
    assert not marks.any()
    others = [*range(first), *range(last, n)]
    assert (losses[others] == -9).all()
    assert (counts[others] == -9).all()
    assert (hidden_gradient[others] == -9).all()
    indptr, truth = case["truth"]
    for i, row in zip(range(first, last), rows, strict=True):
        true = truth[indptr[i] : indptr[i + 1]].tolist()
        row_key = (naive.mix(key) + i * 0xD1B54A32D192ED03) % 2**64
        expected, n_chosen = naive.activate_classes(
            row.tolist(), exact[i, row], true, n_hard, n_random, row_key, n_classes
        )
        size = counts[i]
        assert classes[i, :size].tolist() == expected
        x = exact[i, expected].astype(float)
        if case["crosses"][1].size:
            x += [naive.cross_logit(naive.row_of(case["csr"], i), case["crosses"][0], c,
                                    case["crosses"][1]) for c in expected]  # fmt: skip
        weight = case["weights"][i]
        if is_exclusive:
            loss, slope = naive.sampled_softmax(x, n_chosen, n_classes, weight, 0.1)
        else:
            mask = (np.arange(size) < len(true))[np.newaxis].astype(float)
            given = (x[np.newaxis], mask, weight[np.newaxis], case["positive"][expected])
            loss = naive_network.binary_cross_entropy(*given)[0]
            slope = naive_network.one_vs_all_gradient(*given, 0.1)[0]
        assert losses[i] == pytest.approx(loss, rel=1e-3, abs=1e-4)
        np.testing.assert_allclose(slopes[i, :size], slope, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            hidden_gradient[i], slope @ output[expected], rtol=1e-3, atol=1e-3
        )


# ------------------------------------------------------------------------------- steps and sums


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_crosses_step_against_slopes():
    csr = make_rows(6)
    starts, crosses = make_crosses(12)
    classes = np.array([7, 2, 11], dtype=np.int32)
    indptr = np.array([0, 2, 3, 7])
    samples = np.array([0, 4, 5, 0, 1, 1, 3], dtype=np.int32)
    slopes = normal(7)
    expected = crosses.astype(float)
    for g, c in enumerate(classes):
        for s in range(indptr[g], indptr[g + 1]):
            for feature, value in zip(*naive.row_of(csr, samples[s]), strict=True):
                expected[naive.cross(starts, c, int(feature))] -= 0.5 * slopes[s] * value
    before = crosses.copy()
    active.step_crosses(
        classes, indptr, samples, slopes, *csr, np.float32(0.5), starts, crosses, np.uint64(0)
    )
    np.testing.assert_allclose(crosses, expected, atol=1e-5)
    is_of_another = ~np.isin(np.repeat(np.arange(12), np.diff(starts)), classes)
    np.testing.assert_array_equal(crosses[is_of_another], before[is_of_another])


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_step_of_crosses_lowers_the_loss():
    csr = make_rows(1)
    starts, crosses = make_crosses(5)
    before = naive.cross_logit(naive.row_of(csr, 0), starts, 3, crosses)
    active.step_crosses(
        np.array([3]), np.array([0, 1]), np.array([0]), np.ones(1, np.float32), *csr,
        np.float32(0.01), starts, crosses, np.uint64(0),
    )  # fmt: skip
    assert naive.cross_logit(naive.row_of(csr, 0), starts, 3, crosses) < before


def test_averages():
    hidden = normal(4, 3)
    rows = np.array([3, 0, 2, 5])
    indptr = np.array([0, 2, 2, 3, 6, 6, 7])
    truth = np.array([1, 4, 0, 1, 2, 3, 4], dtype=np.int32)
    sums = np.ones((6, 3), dtype=np.float32)
    expected = np.ones((6, 3))
    for i, row in enumerate(rows):
        for c in truth[indptr[row] : indptr[row + 1]]:
            expected[c] += hidden[i]
    active.add_averages(hidden, rows, indptr, truth, sums)
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
