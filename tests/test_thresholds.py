"""Thresholds against brute force."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score

from udt.labels import LabelSets
from udt.network.model import SparseNetwork, sigmoid
from udt.threads import Pool
from udt.training.thresholds import best_threshold, tune_threshold


def make_problem(n=700, n_labels=5, seed=0):
    """Give a network, rows, and labels that follow its probabilities, though not at 0.5."""
    matrix = sp.random(n, 20, 0.3, format="csr", dtype=np.float32, random_state=seed)
    network = SparseNetwork.initialise(n_labels, 0, 0, 20, 0.03, seed)
    random = np.random.default_rng(seed)
    network.wide[:] = random.normal(size=network.wide.shape)
    network.bias[:] = -1.5
    rows = (matrix.indptr, matrix.indices, matrix.data)
    probabilities = sigmoid(network.logits(rows, 0, n))
    labels = LabelSets.from_mask(random.random(probabilities.shape) < probabilities)
    weights = random.uniform(0.5, 2, n).astype(np.float32)
    return network, rows, labels, weights, probabilities


def indicator(labels):
    return sp.csr_matrix(
        (np.ones(len(labels.indices)), labels.indices, labels.indptr),
        shape=(len(labels), labels.n_labels),
    ).toarray()


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_the_threshold_is_the_best_of_a_thousand(n_threads):
    network, rows, labels, weights, probabilities = make_problem()
    with Pool(n_threads) as pool:
        threshold = tune_threshold(network, rows, labels, weights, pool)
    truth = indicator(labels).ravel()
    scores = {
        t: f1_score(
            truth, probabilities.ravel() >= t, sample_weight=np.repeat(weights, labels.n_labels)
        )
        for t in np.arange(1, 1000) / 1000
    }
    best = max(scores.values())
    assert scores[threshold] == pytest.approx(best, abs=1e-6)
    assert 0.1 < threshold < 0.45  # half of the F1 that can be reached, were it exact
    assert best > f1_score(truth, probabilities.ravel() >= 0.5) + 0.02


def test_rows_without_any_label_leave_the_threshold_where_it_is():
    network, rows, _, weights, _ = make_problem()
    nothing = LabelSets.from_mask(np.zeros((700, 5), dtype=bool))
    with Pool(1) as pool:
        assert tune_threshold(network, rows, nothing, weights, pool) == 0.5


@given(hnp.arrays(np.float64, (2, 10), elements=st.integers(0, 4).map(float)))
def test_best_threshold(counts):
    counts[0] += counts[1]  # the true ones are among all
    scores = []
    for b in range(1, 10):
        hits, given_out = counts[1, b:].sum(), counts[0, b:].sum()
        total = given_out + counts[1].sum()
        scores.append(2 * hits / total if total else 0.0)
    threshold = best_threshold(counts)
    best = [(b + 1) / 10 for b, score in enumerate(scores) if score == max(scores)]
    assert threshold in best
    assert abs(threshold - 0.5) == min(abs(b - 0.5) for b in best)
