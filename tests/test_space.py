"""The balanced space keeps the ranking of neurons and takes out what vectors share."""

import numpy as np
import pytest

from udt.lsh.space import BalancedSpace, project

kernel = pytest.mark.kernel


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(d=10, n=400):
    weights, bias = normal(n, d) * np.arange(1, d + 1), normal(n, seed=1) - 5
    return weights.astype(np.float32), bias, np.tanh(normal(300, d, seed=2) + 2)


@kernel
@pytest.mark.parametrize("d", [1, 3, 10])
@pytest.mark.parametrize("with_hidden", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
def test_products_differ_by_what_all_neurons_share(d, with_hidden, with_bias):
    weights, bias, hidden = make(d)
    bias = bias if with_bias else None
    space = BalancedSpace.fit(weights, bias, hidden if with_hidden else None, d + 1, key=0)
    products = space.vectors(hidden[:20]) @ space.neurons(weights, bias).T
    expected = hidden[:20] @ weights.T + (0 if bias is None else bias)
    products -= products.mean(axis=1, keepdims=True)
    expected -= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(products, expected, rtol=5e-3, atol=5e-3)


def test_neurons_and_vectors_have_the_same_second_moments():
    weights, bias, hidden = make()
    space = BalancedSpace.fit(weights, bias, hidden, 11, key=0)
    neurons, vectors = space.neurons(weights, bias), space.vectors(hidden)
    np.testing.assert_allclose(
        neurons.T @ neurons / 400, vectors.T @ vectors / 300, rtol=0.02, atol=0.02
    )


def test_a_low_rank_keeps_what_matters_most():
    weights, bias, hidden = make()
    expected = hidden @ weights.T + bias
    expected -= expected.mean(axis=1, keepdims=True)
    lost = []
    for rank in (1, 3, 6, 11):
        space = BalancedSpace.fit(weights, bias, hidden, rank, key=0)
        assert space.neurons(weights, bias).shape == (400, rank)
        lost.append(np.square(space.vectors(hidden) @ space.neurons(weights, bias).T - expected))
    means = [part.mean() for part in lost]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 1e-3 * means[0]


def test_cosines_of_top_neurons_grow():
    """What hash functions see: without the space, the common direction hides all else."""
    weights, bias, hidden = make(32)
    top = np.argmax(hidden @ weights.T + bias, axis=1)

    def cosines(neurons, vectors):
        products = (neurons[top] * vectors).sum(axis=1)
        return products / np.linalg.norm(neurons[top], axis=1) / np.linalg.norm(vectors, axis=1)

    space = BalancedSpace.fit(weights, bias, hidden, 16, key=0)
    after = cosines(space.neurons(weights, bias), space.vectors(hidden)).mean()
    assert after > cosines(weights, hidden).mean() + 0.1


@kernel
def test_rows_are_mapped_alone():
    weights, bias, hidden = make(7)
    space = BalancedSpace.fit(weights, bias, hidden, 5, key=0)
    whole = space.neurons(weights, bias)
    np.testing.assert_array_equal(space.neurons(weights[9:12], bias[9:12]), whole[9:12])
    np.testing.assert_array_equal(space.vectors(hidden[3:4]), space.vectors(hidden)[3:4])
    np.testing.assert_array_equal(space.neurons(np.asfortranarray(weights), bias), whole)


@kernel
@pytest.mark.parametrize("d", [1, 4, 6])
def test_projection(d):
    X, extra, mapping, shift = normal(5, d), normal(5), normal(d + 1, 3), normal(3)
    out = np.empty((5, 3), dtype=np.float32)
    project(X, extra, mapping, shift, out)
    expected = np.column_stack([X, extra]) @ mapping - shift
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_the_key_rotates():
    weights, bias, hidden = make()
    spaces = [BalancedSpace.fit(weights, bias, hidden, 8, key) for key in (0, 0, 1)]
    np.testing.assert_array_equal(spaces[0].neuron_map, spaces[1].neuron_map)
    assert np.abs(spaces[0].neuron_map - spaces[2].neuron_map).max() > 0.01


def test_a_sample_of_many_neurons_is_enough():
    weights, hidden = normal(40_000, 6), normal(100, 6, seed=1)
    space = BalancedSpace.fit(weights, None, hidden, 7, key=0)
    products = space.vectors(hidden[:3]) @ space.neurons(weights, None).T
    expected = hidden[:3] @ weights.T
    assert (products.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize(
    "weights", [np.zeros((50, 4), dtype=np.float32), normal(1, 4), np.tile(normal(1, 4), (9, 1))]
)
def test_neurons_that_are_alike(weights):
    space = BalancedSpace.fit(weights, None, np.zeros((2, 4), dtype=np.float32), 4, key=0)
    assert np.isfinite(space.neurons(weights, None)).all()
    assert np.isfinite(space.vectors(normal(3, 4))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_diverged_weights_are_refused(bad):
    weights, bias, hidden = make()
    weights[3, 2] = bad
    with pytest.raises(ValueError, match="not finite: training has diverged"):
        BalancedSpace.fit(weights, bias, hidden, 4, key=0)
    with pytest.raises(ValueError, match="not finite: training has diverged"):
        BalancedSpace.fit(np.ones_like(weights), bias, weights[:, :10], 4, key=0)


def test_impossible_shapes_are_refused():
    weights, bias, hidden = make()
    for rank in (0, 12):
        with pytest.raises(ValueError, match=f"rank={rank}: give 1 to 11 for neurons of 10"):
            BalancedSpace.fit(weights, bias, hidden, rank, key=0)
    with pytest.raises(ValueError, match=r"hidden of shape \(300, 9\): give vectors of 10 values"):
        BalancedSpace.fit(weights, bias, hidden[:, :9], 4, key=0)
    with pytest.raises(ValueError, match=r"bias of shape \(399,\): give 400, one a neuron"):
        BalancedSpace.fit(weights, bias[1:], hidden, 4, key=0)
    space = BalancedSpace.fit(weights, bias, hidden, 4, key=0)
    with pytest.raises(ValueError, match=r"shape \(2, 9\): give vectors of 10 values"):
        space.vectors(normal(2, 9))
