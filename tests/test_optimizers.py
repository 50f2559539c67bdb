"""Optimisers: against the formulas of the papers, by owners, and what they remember."""

import pickle

import naive_network as naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from udt import UDTClassifier
from udt.network.optimizers import Optimizer, rate_factor

N_ROWS, WIDTH = 70, 5
NAMES = ["adagrad", "adam", "sgd"]
TWINS = {"adagrad": naive.adagrad, "adam": naive.adam, "sgd": naive.sgd}


def floats(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_csr(n_samples=12, density=0.1, seed=0, n_rows=N_ROWS):
    matrix = sp.random(
        n_samples, n_rows, density, format="csr", dtype=np.float32, random_state=seed
    )
    return matrix.indptr.astype(np.int64), matrix.indices, matrix.data


def scatter(optimizer, csr, gradient, rate, owners=(0,)):
    squares = np.mean(gradient**2, axis=1)
    for owner in owners:
        optimizer.scatter(*csr, gradient, squares, np.float32(rate), owner, len(owners) - 1)


def same(actual, expected, rtol=1e-4, atol=1e-5):
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    ("name", "kept"), [("adagrad", (1, 1)), ("adam", (2, WIDTH)), ("sgd", (0, 0))]
)
def test_what_each_remembers_of_a_row(name, kept):
    optimizer = Optimizer(name, floats(N_ROWS, WIDTH), 0.1)
    assert optimizer.state.shape == (N_ROWS, *kept)
    assert optimizer.state.dtype == np.float32
    assert np.unique(optimizer.state).tolist() == {
        "adagrad": [np.float32(0.1)], "adam": [0], "sgd": [],
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_a_matrix_of_one_column(name):
    bias = floats(6)
    optimizer = Optimizer(name, bias, 0.1)
    assert optimizer.weights.shape == (6, 1)
    before = bias.copy()
    optimizer.step(floats(3, 1), np.float32(0.3), 2, 5)
    assert (bias != before).tolist() == [False, False, True, True, True, False]


@pytest.mark.parametrize("name", NAMES)
def test_step_takes_one_step_a_row(name):
    weights, slopes = floats(N_ROWS, WIDTH), floats(8, WIDTH, seed=2)
    optimizer = Optimizer(name, weights.copy(), 0.1)
    expected, state = TWINS[name](slopes, 0.3, weights[4:12], optimizer.state[4:12])
    optimizer.step(slopes, np.float32(0.3), 4, 12)
    same(optimizer.weights[4:12], expected)
    same(optimizer.state[4:12], state)
    others = np.r_[:4, 12:N_ROWS]
    np.testing.assert_array_equal(optimizer.weights[others], weights[others])


def dense_adam(gradients, weights, rate, masks):
    """Kingma and Ba's algorithm 1, of those rows alone that a mask names, in double precision."""
    weights = weights.astype(float)
    means, squares = np.zeros_like(weights), np.zeros_like(weights)
    for t, (gradient, mask) in enumerate(zip(gradients, masks, strict=True), 1):
        rows = np.flatnonzero(mask)
        means[rows] = 0.9 * means[rows] + 0.1 * gradient[rows]
        squares[rows] = 0.999 * squares[rows] + 0.001 * gradient[rows] ** 2
        mean, square = means / (1 - 0.9**t), squares / (1 - 0.999**t)
        weights[rows] -= rate * mean[rows] / (np.sqrt(square[rows]) + 1e-8)
    return weights


def test_adam_is_that_of_the_paper_on_the_rows_touched():
    optimizer = Optimizer("adam", floats(N_ROWS, WIDTH), 0.1)
    expected, gradients, masks = optimizer.weights.copy(), [], []
    for step in range(1, 31):
        csr, gradient = make_csr(seed=step), floats(12, WIDTH, seed=step)
        dense = naive.dense_rows(csr, range(12), N_ROWS)
        gradients.append(dense.T @ gradient.astype(float))
        masks.append(dense.any(axis=0))
        scatter(optimizer, csr, gradient, 0.01 * rate_factor("adam", step), (1, 0))
    assert 0 < np.mean(masks) < 1
    same(optimizer.weights, dense_adam(gradients, expected, 0.01, masks), 1e-4, 1e-5)


def test_sgd_is_the_weights_less_the_summed_gradient():
    optimizer = Optimizer("sgd", floats(N_ROWS, WIDTH), 0.1)
    expected = optimizer.weights.astype(float)
    for step in range(1, 11):
        csr, gradient = make_csr(seed=step), floats(12, WIDTH, seed=step)
        matrix = sp.csr_matrix(csr[::-1], shape=(12, N_ROWS)).toarray()
        expected -= 0.5 * matrix.T @ gradient
        scatter(optimizer, csr, gradient, 0.5 * rate_factor("sgd", step))
    same(optimizer.weights, expected)


def test_rate_factors():
    assert rate_factor("adagrad", 1) == rate_factor("sgd", 9) == 1
    assert rate_factor("adam", 1) == pytest.approx(0.001**0.5 / 0.1)
    assert rate_factor("adam", 10**6) == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("owners", [(0,), (1, 0), (2, 0, 3, 1)], ids=len)
def test_scatter(name, owners):
    csr, gradient, weights = make_csr(40, 0.3), floats(40, WIDTH), floats(N_ROWS, WIDTH, seed=2)
    optimizer = Optimizer(name, weights.copy(), 0.1)
    arguments = (csr, np.arange(40), gradient, 0.1, weights)
    if name == "adagrad":
        expected, state = naive.scatter(*arguments, optimizer.state[:, 0, 0])
        state = state[:, np.newaxis, np.newaxis]
    else:
        expected, state = naive.scatter_sums(*arguments, optimizer.state, TWINS[name])
    scatter(optimizer, csr, gradient, 0.1, owners)
    same(optimizer.weights, expected)
    same(optimizer.state, state)


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_owners_and_their_order_change_no_bit(name):
    results = set()
    for owners in ((0,), (0, 1), (1, 0), (2, 0, 3, 1)):
        optimizer = Optimizer(name, floats(N_ROWS, WIDTH), 0.1)
        for seed in range(3):
            scatter(optimizer, make_csr(40, 0.3, seed), floats(40, WIDTH), 0.1, owners)
        results.add(optimizer.weights.tobytes() + optimizer.state.tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("name", NAMES)
def test_indices_past_the_weights_and_zeros_touch_nothing(name):
    indptr, indices = np.array([0, 3]), np.array([1, N_ROWS + 5, 2], dtype=np.int32)
    values = np.array([0, 1, 1], dtype=np.float32)
    optimizer = Optimizer(name, floats(N_ROWS, WIDTH), 0.1)
    weights, state = optimizer.weights.copy(), optimizer.state.copy()
    scatter(optimizer, (indptr, indices, values), np.ones((1, WIDTH), np.float32), 0.1)
    assert np.flatnonzero((optimizer.weights != weights).any(axis=1)).tolist() == [2]
    np.testing.assert_array_equal(optimizer.state[:2], state[:2])


@pytest.mark.parametrize("shape", [(0, WIDTH), (N_ROWS, 0)])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_no_weights_take_no_steps(name, shape):
    optimizer = Optimizer(name, np.empty(shape, np.float32), 0.1)
    gradient = np.ones((12, shape[1]), np.float32)
    optimizer.scatter(*make_csr(), gradient, np.ones(12, np.float32), np.float32(0.1), 0, 0)
    optimizer.step(np.empty((shape[0], shape[1]), np.float32), np.float32(0.1), 0, shape[0])


@pytest.mark.kernel
@given(
    entries=st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0.0, 1.0, -2.5])), max_size=6),
        max_size=6,
    ),
    n_owners=st.sampled_from([1, 2, 4]),
    room=st.integers(0, 3),
)
def test_groups_hold_the_entries_of_each_row_in_sample_order(entries, n_owners, room):
    begins = np.cumsum([0, *(len(row) + room for row in entries)])[:-1]
    ends = begins + np.array([len(row) for row in entries], dtype=np.int64)
    flat = [pair for row in entries for pair in [*row, *[(3, 9.0)] * room]]
    indices = np.array([index for index, _ in flat], dtype=np.int32)
    values = np.array([value for _, value in flat], dtype=np.float32)
    optimizer = Optimizer("sgd", np.zeros((33, 2), np.float32), 0.0)
    found = {}
    for owner in range(n_owners):
        groups = optimizer.group(begins, ends, indices, values, owner, n_owners - 1)
        for i, row in enumerate(groups.rows):
            assert row // 16 % n_owners == owner
            assert row not in found
            part = slice(groups.indptr[i], groups.indptr[i + 1])
            found[row] = [*zip(groups.samples[part], groups.values[part], strict=True)]
    expected = {}
    for i, row in enumerate(entries):
        for index, value in row:
            if index < 33 and value:
                expected.setdefault(index, []).append((i, value))
    assert found == expected
    assert (optimizer._slots == -1).all()


@pytest.mark.parametrize("name", NAMES)
def test_groups_step_along_a_row_of_outputs_and_its_bias(name):
    # As a head does whose outputs are active for some samples: bias sees ones.
    csr, hidden = make_csr(12, 0.2), floats(12, WIDTH)
    output, bias = (Optimizer(name, floats(N_ROWS, n, seed=n), 0.1) for n in (WIDTH, 1))
    before = [(each.weights.copy(), each.state.copy()) for each in (output, bias)]
    ones = np.ones((12, 1), dtype=np.float32)
    for owner in (0, 1):
        groups = output.group(csr[0][:-1], csr[0][1:], *csr[1:], owner, 1)
        output.step_groups(groups, hidden, np.float32(0.3))
        bias.step_groups(groups, ones, np.float32(0.3))
    for each, seen, (weights, state) in zip((output, bias), (hidden, ones), before, strict=True):
        expected = naive.scatter_sums(csr, range(12), seen, 0.3, weights, state, TWINS[name])
        same(each.weights, expected[0])
        same(each.state, expected[1])


def test_a_state_goes_on_where_it_is_the_same_optimizers():
    optimizer = Optimizer("adam", floats(8, 3), 0.1)
    assert optimizer.resume(np.ones((4, 2, 2), np.float32))
    assert optimizer.state[:4, :, :2].all()
    assert not optimizer.state[4:].any()
    assert not optimizer.state[:, :, 2:].any()
    assert not optimizer.resume(np.full((8, 1, 1), 7, np.float32))
    assert optimizer.state.max() == 1


TEXTS = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 10
LABELS = ["lost", "lost", "top-up", "top-up"] * 10


@pytest.mark.parametrize("optimizer", NAMES)
@pytest.mark.parametrize("hidden_size", [0, 8])
@pytest.mark.parametrize("wide", [True, False])
def test_a_classifier_learns_with_each(optimizer, hidden_size, wide):
    if not hidden_size and not wide:
        pytest.skip("no network")
    model = UDTClassifier(
        optimizer=optimizer, hidden_size=hidden_size, wide=wide, random_state=0, max_iter=100,
        learning_rate_init={"adagrad": None, "adam": 0.01, "sgd": None}[optimizer],
    )  # fmt: skip
    assert model.fit(TEXTS, LABELS).score(TEXTS, LABELS) == 1


def test_gradient_descent_that_bursts_starts_again_at_a_lower_rate():
    model = UDTClassifier(
        optimizer="sgd", hidden_size=8, wide=False, learning_rate_init=1e30, random_state=0
    )
    with (
        pytest.warns(ConvergenceWarning, match="Training diverged at learning_rate"),
        pytest.raises(ValueError, match="Training diverges even"),
    ):
        model.fit(TEXTS, LABELS)
    assert not hasattr(model, "network_")


def test_optimizers_differ():
    losses = {
        name: UDTClassifier(optimizer=name, random_state=0).fit(TEXTS, LABELS).loss_curve_[-1]
        for name in NAMES
    }
    assert len(set(losses.values())) == 3


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_partial_fit_goes_on_after_a_pickle(optimizer):
    model = UDTClassifier(optimizer=optimizer, random_state=0)
    model.partial_fit(TEXTS, LABELS, classes=["lost", "top-up"])
    copy = pickle.loads(pickle.dumps(model))
    for each in (model, copy):
        each.partial_fit([*TEXTS, "a new text"], [*LABELS, "lost"])
    np.testing.assert_array_equal(model.predict_proba(TEXTS), copy.predict_proba(TEXTS))
    assert copy._state["n_steps"] == model._state["n_steps"] > 1
