"""The training loop: steps, passes, early stopping, divergence, progress."""

import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from itertools import pairwise

import naive_network as naive
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from udt.labels import LabelSets
from udt.network.heads import OneVsAllHead, ResampledSoftmaxHead, SoftmaxHead
from udt.network.model import SparseNetwork
from udt.threads import Pool, single_threaded_blas
from udt.training import loop
from udt.training.fitting import fit_network, log_odds
from udt.training.progress import History, Progress
from udt.training.settings import NetworkShape, Settings

N_FEATURES = 30
SETTINGS = Settings(
    max_iter=3,
    batch_size=16,
    wide_rate=0.1,
    hidden_rate=0.2,
    head_rate=0.05,
    dropout=0.1,
    wide_dropout=0.2,
    hidden_dropout=0.3,
    label_smoothing=0.1,
    initial_state=0.1,
)


# So many classes, without a linear path, train on a resampled gradient.
MANY_CLASSES = {"n_classes": 1100, "is_wide": False}


def make_data(n=100, n_classes=3, seed=0):
    matrix = sp.random(n, N_FEATURES, 0.2, format="csr", dtype=np.float32, random_state=seed)
    targets = (np.asarray(matrix[:, :n_classes].sum(axis=1)) * 10).astype(np.int64).ravel()
    weights = np.random.default_rng(seed).uniform(0.5, 1.5, n).astype(np.float32)
    return (matrix.indptr, matrix.indices, matrix.data), targets % n_classes, weights


def make_label_data(n=100, n_labels=3, seed=0):
    """Rows with no label, one or more, which follow the features."""
    rows, _, weights = make_data(n, seed=seed)
    dense = naive.dense_rows(rows, range(n), N_FEATURES)
    first, second = np.arange(2 * n_labels).reshape(2, -1) % N_FEATURES
    mask = dense[:, first] + dense[:, second] > 0.5
    return rows, LabelSets.from_mask(mask), weights


def make_network(n_classes=3, n_hidden=4, n_embedded=N_FEATURES, is_wide=True):
    network = SparseNetwork.initialise(
        n_classes, n_hidden, n_embedded, N_FEATURES if is_wide else 0, 0.03, 0
    )
    network.output[:] = np.random.RandomState(1).normal(size=network.output.shape)
    return network


def make_trainer(pool, settings=SETTINGS, data=None, positive_weights=None, **shape):
    network = make_network(**shape)
    data = data or make_data()
    return loop.Trainer(network, *data, settings, 7, pool, positive_weights)


def fit(
    settings=SETTINGS,
    validation=None,
    patience=None,
    n_threads=1,
    data=None,
    positive_weights=None,
    on_pass=None,
    **shape,
):
    rows, targets, weights = data or make_data()
    shape = {"n_classes": 3, "n_hidden": 4, "n_embedded": N_FEATURES, "is_wide": True} | shape
    with Pool(n_threads) as pool, single_threaded_blas():
        learnt = fit_network(
            rows,
            targets,
            weights,
            validation,
            n_classes=shape["n_classes"],
            shape=NetworkShape(
                shape["n_hidden"], shape["n_embedded"], N_FEATURES * shape["is_wide"], 0.03
            ),
            settings=settings,
            patience=patience,
            random=np.random.RandomState(0),
            verbose=0,
            pool=pool,
            positive_weights=positive_weights,
            on_pass=on_pass,
        )
    return learnt.network, learnt.history


def bits(network):
    return b"".join(array.tobytes() for array in network.arrays().values())


def naive_loss(logits, targets, weights, smoothing, positive_weights):
    """Give the sum of losses against unsmoothed labels, and the gradient."""
    if isinstance(targets, LabelSets):
        truth = naive.indicator(targets)
        loss = naive.binary_cross_entropy(logits, truth, weights, positive_weights)
        return loss.sum(), naive.one_vs_all_gradient(
            logits, truth, weights, positive_weights, smoothing
        )
    loss = naive.cross_entropy(logits, targets, weights).sum()
    return loss, naive.softmax_gradient(logits, targets, weights, smoothing)


def naive_step(
    network, csr, targets, weights, batch, settings, decay, keys, states, positive_weights=None
):
    """One step in double precision; updates ``states`` and gives the loss and new weights."""
    old = {name: array.astype(float) for name, array in network.matrices().items()}
    key, step_key = keys
    step = {"adagrad": naive.adagrad, "adam": naive.adam, "sgd": naive.sgd}[settings.optimizer]
    summed = naive.gather(csr, batch, old["embedding"], settings.dropout, key)
    hidden = naive.activate(summed, settings.hidden_dropout, step_key)
    logits = naive.gather(csr, batch, old["wide"], settings.wide_dropout, key)
    logits = logits + hidden @ old["output"].T + old["bias"]
    loss, gradient = naive_loss(
        logits, targets[batch], weights[batch], settings.label_smoothing, positive_weights
    )
    mask = naive.hidden_mask(hidden.shape, settings.hidden_dropout, step_key)
    slope = (1 - np.tanh(summed) ** 2) * mask / (1 - settings.hidden_dropout)
    hidden_gradient = gradient @ old["output"] * slope
    new = {}
    for name, slopes, rate, dropout in [
        ("embedding", hidden_gradient, settings.hidden_rate * decay, settings.dropout),
        ("wide", gradient, settings.wide_rate * decay, settings.wide_dropout),
    ]:
        arguments = (csr, batch, slopes, rate, old[name], states[name])
        if settings.optimizer == "adagrad":
            new[name], states[name] = naive.scatter(*arguments, dropout, key)
        else:
            new[name], states[name] = naive.scatter_sums(*arguments, step, dropout, key)
    new["output"], states["output"], new["bias"], states["bias"] = naive.update_output(
        hidden, gradient, settings.head_rate * decay, old["output"], states["output"],
        old["bias"], states["bias"], step,
    )  # fmt: skip
    return loss, new


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "sgd"])
@pytest.mark.parametrize("is_multilabel", [False, True], ids=["one label", "label sets"])
@pytest.mark.parametrize(
    "shape",
    [{}, {"n_hidden": 0}, {"is_wide": False}, {"n_embedded": 9}, {"n_classes": 300}],
    ids=str,
)
def test_steps_are_those_of_the_naive_network(shape, is_multilabel, optimizer):
    settings = replace(SETTINGS, optimizer=optimizer)
    n_classes = shape.get("n_classes", 3)
    data = make_data(n_classes=n_classes)
    positive_weights = None
    if is_multilabel:
        random = np.random.default_rng(4)
        data = (data[0], LabelSets.from_mask(random.random((100, n_classes)) < 0.1), data[2])
        positive_weights = random.uniform(0.5, 3, n_classes).astype(np.float32)
    with Pool(1) as pool:
        trainer = make_trainer(pool, settings, data, positive_weights, **shape)
        network = trainer.network
        states = {name: state.copy() for name, state in trainer.state.items()}
        random = np.random.default_rng(3)
        for decay, epoch, step in [(1.0, 0, 0), (0.8, 0, 1), (0.5, 1, 2)]:
            factor = {"adagrad": 1, "adam": 0.001**0.5 / 0.1, "sgd": 1}[optimizer]
            if optimizer == "adam" and step:
                factor = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
            batch = random.permutation(100)[:16]
            keys = (trainer.key + epoch, trainer.key + step)
            loss, expected = naive_step(
                network, *data, batch, settings, decay * factor, keys, states, positive_weights
            )
            assert trainer.train_batch(batch, decay, epoch, step) == pytest.approx(loss, rel=1e-4)
            for name, array in network.matrices().items():
                np.testing.assert_allclose(array, expected[name], rtol=2e-3, atol=2e-4)


def test_a_pass_takes_each_row_once_and_the_rate_falls_to_zero(monkeypatch):
    seen, decays, ticks, steps = [], [], [], []

    def train_batch(self, batch, decay, epoch, step):
        seen.append(batch)
        decays.append(decay)
        steps.append((epoch, step))
        return float(len(batch))

    monkeypatch.setattr(loop.Trainer, "train_batch", train_batch)
    with Pool(1) as pool:
        losses = list(make_trainer(pool).passes(ticks.append))
    assert losses == [1.0] * 3
    per_pass = len(seen) // 3
    assert steps == [(number // per_pass, number) for number in range(3 * per_pass)]
    passes = [np.concatenate(seen[i * per_pass : (i + 1) * per_pass]) for i in range(3)]
    for order in passes:
        assert sorted(order) == list(range(100))
    assert (passes[0] != passes[1]).any()
    assert sum(ticks) == 300
    assert [len(batch) for batch in seen[:per_pass]] == [16] * 6 + [4]
    assert decays[0] == 1
    assert all(after < before for before, after in pairwise(decays))
    assert 0 < decays[-1] < 0.1


def test_rates_may_stay_as_they_are(monkeypatch):
    decays = []

    def train_batch(self, batch, decay, epoch, step):
        decays.append(decay)
        return 1.0

    monkeypatch.setattr(loop.Trainer, "train_batch", train_batch)
    with Pool(1) as pool:
        list(make_trainer(pool, replace(SETTINGS, rates_fall=False)).passes(lambda n: None))
    assert set(decays) == {1.0}


def test_training_goes_on_from_a_network_and_its_state():
    rows, targets, weights = make_data()
    arguments = {
        "n_classes": 3, "shape": NetworkShape(4, N_FEATURES, N_FEATURES, 0.03),
        "settings": SETTINGS, "patience": None, "verbose": 0,
    }  # fmt: skip
    with Pool(1) as pool:

        def go_on(**more):
            random = np.random.RandomState(0)
            return fit_network(
                rows, targets, weights, None, random=random, pool=pool, **arguments | more
            )

        first = go_on()
        before = bits(first.network)
        assert first.state["n_steps"] == 3 * 7
        assert {name: sums.shape for name, sums in first.state.items()} == {
            "embedding": (N_FEATURES, 1, 1), "wide": (N_FEATURES, 1, 1), "output": (3, 1, 1),
            "bias": (3, 1, 1), "n_steps": (),
        }  # fmt: skip
        assert (first.state["wide"] >= SETTINGS.initial_state).all()
        second = go_on(network=first.network, state=first.state)
        assert bits(first.network) == before
        assert second.history.losses[-1] < first.history.losses[-1]
        assert (second.state["wide"] >= first.state["wide"]).all()
        afresh = go_on(network=first.network)  # larger steps: the sums begin anew
        assert bits(afresh.network) != bits(second.network)
        grown = go_on(network=first.network, state=first.state, n_classes=5)
        assert len(grown.network.bias) == len(grown.state["bias"]) == 5
        assert grown.state["n_steps"] == 2 * 3 * 7


def test_adam_goes_on_with_more_classes_and_features():
    settings = replace(SETTINGS, optimizer="adam", wide_rate=0.01, hidden_rate=0.01, head_rate=0.01)
    with Pool(1) as pool:
        trainer = make_trainer(pool, settings, n_embedded=20)
        trainer.train_batch(np.arange(16), 1.0, 0, 0)
        state = trainer.state
        network = trainer.network.grown(5, N_FEATURES, N_FEATURES, 0.03, 0)
        grown = loop.Trainer(network, *make_data(), settings, 7, pool, state=state)
        assert grown.state["n_steps"] == 1
        assert grown.state["wide"].shape == (N_FEATURES, 2, 5)
        np.testing.assert_array_equal(grown.state["wide"][:, :, :3], state["wide"])
        np.testing.assert_array_equal(grown.state["embedding"][:20], state["embedding"])
        assert not grown.state["wide"][:, :, 3:].any()
        assert not grown.state["embedding"][20:].any()
        grown.train_batch(np.arange(16), 1.0, 0, 0)
        assert grown.state["n_steps"] == 2
        assert state["n_steps"] == 1


def test_another_optimizer_starts_anew():
    with Pool(1) as pool:
        trainer = make_trainer(pool)
        trainer.train_batch(np.arange(16), 1.0, 0, 0)
        settings = replace(SETTINGS, optimizer="adam")
        other = loop.Trainer(trainer.network, *make_data(), settings, 7, pool, state=trainer.state)
        assert other.state["n_steps"] == 0
        assert not any(other.state[name].any() for name in trainer.network.matrices())


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("make", [make_data, make_label_data], ids=["one label", "label sets"])
@pytest.mark.parametrize("shape", [{}, {"n_hidden": 0}, MANY_CLASSES], ids=str)
def test_other_optimizers_give_the_same_bits_at_any_number_of_threads(
    monkeypatch, shape, make, optimizer
):
    monkeypatch.setattr(loop, "_WORTH_THREADS", 0)
    data = make(300, shape.get("n_classes", 3))
    settings = replace(SETTINGS, batch_size=128, label_smoothing=0.0, optimizer=optimizer)
    results = {
        bits(fit(settings, data=data, n_threads=n_threads, **shape)[0]) for n_threads in (1, 2, 4)
    }
    assert len(results) == 1


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("threshold", [2, 10**9], ids=["resampled", "full"])
def test_other_optimizers_learn(monkeypatch, optimizer, threshold):
    monkeypatch.setattr(loop, "_WORTH_RESAMPLING", threshold)
    rate = {"adam": 0.03, "sgd": 0.1}[optimizer]
    settings = replace(
        SETTINGS, max_iter=60, hidden_dropout=0.0, label_smoothing=0.0, optimizer=optimizer,
        wide_rate=rate, hidden_rate=rate, head_rate=rate,
    )  # fmt: skip
    data = make_data(n=300)
    _, history = fit(settings, data=data, is_wide=False, n_hidden=8)
    assert history.losses[-1] < 0.7


def test_training_learns():
    settings = replace(SETTINGS, max_iter=30, hidden_dropout=0.0)
    data = make_data()
    network, history = fit(settings, data=data)
    assert len(history.losses) == 30
    assert history.losses[-1] < history.losses[0] - 0.2
    with Pool(1) as pool:
        assert network.accuracy(*data, pool) > 0.8


@pytest.mark.parametrize(
    ("shape", "settings", "head"),
    [
        (MANY_CLASSES, {}, ResampledSoftmaxHead),
        (MANY_CLASSES, {"label_smoothing": 0.1}, SoftmaxHead),
        ({"n_classes": 1100}, {}, SoftmaxHead),
        ({"n_classes": 1100, "n_hidden": 0}, {}, SoftmaxHead),
        ({"is_wide": False}, {}, SoftmaxHead),
    ],
    ids=str,
)
def test_the_head_follows_the_shape(shape, settings, head):
    with Pool(1) as pool:
        data = make_data(n_classes=shape.get("n_classes", 3))
        settings = replace(SETTINGS, **{"label_smoothing": 0.0} | settings)
        assert type(make_trainer(pool, settings, data, **shape).head) is head


def test_label_sets_take_a_head_of_their_own():
    with Pool(1) as pool:
        head = make_trainer(pool, data=make_label_data()).head
        assert type(head) is OneVsAllHead
        assert head.positive_weights.tolist() == [1, 1, 1]
        settings = replace(SETTINGS, positive_weight=3.0)
        weights = np.array([1, 2, 0.5], dtype=np.float32)
        head = make_trainer(pool, settings, make_label_data(), weights).head
        labels = make_label_data()[1]
        shares = labels.frequencies() / len(labels)
        expected = weights * (1 + 2 * np.maximum(0, 1 - shares / 0.5))  # rare labels count more
        np.testing.assert_allclose(head.positive_weights, expected, rtol=1e-6)
        assert weights.tolist() == [1, 2, 0.5]


def test_training_learns_label_sets():
    settings = replace(SETTINGS, max_iter=60, hidden_dropout=0.0, label_smoothing=0.0)
    data = make_label_data(n=300)
    network, history = fit(settings, data=data)
    assert history.metric == "micro_f1"
    assert history.losses[-1] < 0.6 * history.losses[0]
    with Pool(1) as pool:
        assert network.micro_f1(*data, pool) > 0.9


def test_label_sets_reach_the_f1_of_one_logistic_regression_each():
    rows, labels, weights = make_label_data(n=600)
    test_rows, test_labels, _ = make_label_data(n=600, seed=1)
    X, test_X = (naive.dense_rows(csr, range(600), N_FEATURES) for csr in (rows, test_rows))
    truth, test_truth = naive.indicator(labels), naive.indicator(test_labels)
    peer = OneVsRestClassifier(LogisticRegression()).fit(X, truth)
    expected = f1_score(test_truth, peer.predict(test_X), average="micro")
    settings = replace(SETTINGS, max_iter=80, wide_dropout=0.0, label_smoothing=0.0)
    network, _ = fit(settings, data=(rows, labels, np.ones_like(weights)), n_hidden=0)
    with Pool(1) as pool:
        ones = np.ones(600, dtype=np.float32)
        assert network.micro_f1(test_rows, test_labels, ones, pool) >= expected - 0.005


def test_new_biases_are_the_log_odds_of_the_labels():
    mask = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]], dtype=bool)
    labels, weights = LabelSets.from_mask(mask), np.array([1, 2, 0.5, 0.5], dtype=np.float32)
    odds = log_odds(labels, weights)
    assert odds.dtype == np.float32
    np.testing.assert_allclose(odds, np.log([4 / 1, 0.5 / 4.5, 1.5 / 3.5]), rtol=1e-6)
    slow = replace(SETTINGS, wide_rate=1e-12, hidden_rate=1e-12, head_rate=1e-12)
    network, _ = fit(slow, data=make_label_data())
    _, labels, weights = make_label_data()
    np.testing.assert_allclose(network.bias, log_odds(labels, weights), atol=1e-6)


def test_positive_weights_make_labels_more_probable():
    settings = replace(SETTINGS, max_iter=20, label_smoothing=0.0)
    data = make_label_data(n=300)
    means = []
    for positive_weights in (None, np.array([1, 4, 1], dtype=np.float32)):
        network, _ = fit(settings, data=data, positive_weights=positive_weights)
        means.append(network.logits(data[0], 0, 300).mean(axis=0))
    gains = means[1] - means[0]
    assert gains[1] > 0.5
    assert gains[1] > max(abs(gains[0]), abs(gains[2]))


def test_micro_f1_stops_label_sets_early(monkeypatch):
    scores = iter([0.1, 0.5, 0.4, 0.3])
    monkeypatch.setattr(SparseNetwork, "micro_f1", lambda self, *arguments: next(scores))
    data = make_label_data()
    _, history = fit(replace(SETTINGS, max_iter=9), data, patience=2, data=data)
    assert history.scores == [0.1, 0.5, 0.4, 0.3]


def test_a_resampled_gradient_learns_as_well(monkeypatch):
    data = make_data(n=300)
    settings = replace(SETTINGS, max_iter=40, hidden_dropout=0.0, label_smoothing=0.0)
    losses = []
    for threshold in (10**9, 2):
        monkeypatch.setattr(loop, "_WORTH_RESAMPLING", threshold)
        _, history = fit(settings, data=data, is_wide=False, n_hidden=8)
        losses.append(history.losses[-1])
    assert losses[0] != losses[1]
    assert losses[0] < 0.7
    assert losses[1] < losses[0] + 0.1


@pytest.mark.parametrize("make", [make_data, make_label_data], ids=["one label", "label sets"])
@pytest.mark.parametrize(
    "shape",
    [{}, {"n_hidden": 0}, {"is_wide": False}, {"n_classes": 700}, MANY_CLASSES],
    ids=str,
)
@pytest.mark.parametrize("worth", [0, None], ids=["in threads", "as it comes"])
def test_the_number_of_threads_changes_no_bit(monkeypatch, shape, worth, make):
    if worth is not None:
        monkeypatch.setattr(loop, "_WORTH_THREADS", worth)
    data = make(300, shape.get("n_classes", 3))
    settings = replace(SETTINGS, batch_size=128, label_smoothing=0.0)
    results = {
        bits(fit(settings, data=data, n_threads=n_threads, **shape)[0])
        for n_threads in (1, 2, 3, 4)
    }
    assert len(results) == 1


def test_a_seed_fixes_the_bits_and_another_changes_them():
    rows, targets, weights = make_data()
    with Pool(1) as pool:
        results = []
        for key in (7, 7, 8):
            network = make_network()
            trainer = loop.Trainer(network, rows, targets, weights, SETTINGS, key, pool)
            list(trainer.passes(lambda n: None))
            results.append(bits(network))
    assert results[0] == results[1] != results[2]


def test_early_stopping_keeps_the_best_pass(monkeypatch):
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.9])
    kept = []

    def accuracy(self, rows, targets, weights, pool):
        kept.append(bits(self))
        return next(scores)

    monkeypatch.setattr(SparseNetwork, "accuracy", accuracy)
    network, history = fit(replace(SETTINGS, max_iter=6), make_data(), patience=3)
    assert history.scores == [0.1, 0.5, 0.4, 0.5, 0.3]  # an equal score is no better one
    assert len(history.losses) == 5
    assert bits(network) == kept[1]


def test_scores_without_patience_stop_nothing(monkeypatch):
    scores = iter([0.3, 0.2, 0.1])
    kept = []

    def accuracy(self, rows, targets, weights, pool):
        kept.append(bits(self))
        return next(scores)

    monkeypatch.setattr(SparseNetwork, "accuracy", accuracy)
    network, history = fit(validation=make_data())
    assert history.scores == [0.3, 0.2, 0.1]
    assert bits(network) == kept[-1]


def test_validation_changes_nothing_in_training():
    plain, history = fit()
    watched, other = fit(validation=make_data(seed=5))
    assert bits(plain) == bits(watched)
    assert history.losses == other.losses


def test_passes_can_be_watched():
    seen = []
    network, history = fit(on_pass=lambda network, done: seen.append((bits(network), done)))
    n = SETTINGS.max_iter
    assert [done for _, done in seen] == [(i + 1) / n for i in range(n)]
    assert len({array for array, _ in seen}) == n
    assert bits(network) == seen[-1][0]
    plain, other = fit()
    assert bits(plain) == bits(network)
    assert other.losses == history.losses


def test_who_watches_can_end_a_training():
    class Enough(Exception):
        pass

    seen = []

    def stop(network, done):
        seen.append(done)
        raise Enough

    with pytest.raises(Enough):
        fit(on_pass=stop)
    assert len(seen) == 1


def test_a_pass_that_early_stopping_ends_with_is_watched_too(monkeypatch):
    scores = iter([0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(SparseNetwork, "accuracy", lambda *arguments: next(scores))
    seen = []
    fit(
        replace(SETTINGS, max_iter=4), make_data(), patience=2,
        on_pass=lambda network, done: seen.append(done),
    )  # fmt: skip
    assert seen == [0.25, 0.5, 0.75]


def test_diverging_training_starts_again_at_a_lower_rate(monkeypatch):
    rates = []

    def train_batch(self, batch, decay, epoch, step):
        rates.append(self.settings.wide_rate)
        self.network.bias[0] = 99
        return np.nan if self.settings.wide_rate > 0.005 else 1.0

    monkeypatch.setattr(loop.Trainer, "train_batch", train_batch)
    with pytest.warns(ConvergenceWarning) as warned:
        network, history = fit()
    assert [str(warning.message).split("=")[1].split(";")[0] for warning in warned] == [
        "0.1",
        "0.01",
    ]
    assert sorted(set(rates)) == pytest.approx([0.001, 0.01, 0.1])
    assert len(history.losses) == SETTINGS.max_iter
    assert network.bias[0] == 99


def test_each_try_starts_from_the_same_new_network(monkeypatch):
    starts = []

    def train_batch(self, batch, decay, epoch, step):
        starts.append((self.key, bits(self.network)))
        self.network.bias += 1
        return np.inf

    monkeypatch.setattr(loop.Trainer, "train_batch", train_batch)
    with pytest.warns(ConvergenceWarning), pytest.raises(ValueError, match="Training diverges"):
        fit(replace(SETTINGS, batch_size=100))
    assert len(starts) == 4
    assert len(set(starts)) == 1


def test_training_that_diverges_at_every_rate_names_the_last(monkeypatch):
    monkeypatch.setattr(loop.Trainer, "train_batch", lambda *arguments: np.nan)
    message = r"diverges even at learning_rate_init=0.0001. Are there extreme values in X or"
    with pytest.warns(ConvergenceWarning), pytest.raises(ValueError, match=message):
        fit()


def test_weights_that_burst_in_the_last_step_count_as_diverged(monkeypatch):
    def train_batch(self, batch, decay, epoch, step):
        self.network.wide[0, 0] = np.nan
        return 1.0

    monkeypatch.setattr(loop.Trainer, "train_batch", train_batch)
    with pytest.warns(ConvergenceWarning), pytest.raises(ValueError, match="Training diverges"):
        fit()


def test_a_slower_setting_is_a_tenth_of_all_rates():
    slower = SETTINGS.slower()
    rates = ("wide_rate", "hidden_rate", "head_rate")
    for name in rates:
        assert getattr(slower, name) == pytest.approx(getattr(SETTINGS, name) / 10)
    assert replace(slower, **{name: getattr(SETTINGS, name) for name in rates}) == SETTINGS


def test_progress_names_the_score(caplog):
    caplog.set_level(logging.INFO, logger="udt")
    with redirect_stderr(io.StringIO()), Progress(2, 20) as progress:
        progress.report(History("micro_f1", losses=[0.5], scores=[0.75]))
    assert caplog.records[0].getMessage() == "pass 1: loss 0.5000, micro_f1 0.7500"


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_progress_goes_to_stderr_and_the_log(verbose, caplog):
    caplog.set_level(logging.INFO, logger="udt")
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), Progress(verbose, 20) as progress:
        progress.tick(10)
        progress.report(History(losses=[0.5]))
        progress.tick(10)
        progress.report(History(losses=[0.5, 0.25], scores=[0.75, 0.875]))
    assert out.getvalue() == ""
    assert ("Training" in err.getvalue()) == (verbose > 0)
    assert ("loss=0.2500" in err.getvalue()) == (verbose > 0)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == (
        ["pass 1: loss 0.5000", "pass 2: loss 0.2500, accuracy 0.8750"] if verbose == 2 else []
    )


def test_the_bar_is_closed_after_an_error():
    err = io.StringIO()
    with redirect_stderr(err), pytest.raises(KeyboardInterrupt), Progress(1, 20) as progress:
        progress.tick(10)
        raise KeyboardInterrupt
    assert progress._bar.disable  # as tqdm leaves a bar that it has closed
