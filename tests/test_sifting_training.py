"""Training with sifting: with every head, the same bits at any n_jobs, and in the classifier."""

import logging
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import test_candidate_heads as candidates
import test_training as training
from problems import LABELS, TEXTS, make, make_csr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import udt
from udt import SiftingConfig, UDTClassifier
from udt.lsh.hashing import Hashing
from udt.network import kernels
from udt.threads import Pool, single_threaded_blas
from udt.training import loop, sifter
from udt.training.loop import Trainer
from udt.training.sifter import SiftingTrainer

SETTINGS = replace(training.SETTINGS, batch_size=32, label_smoothing=0.0, max_iter=4)
NOW = SiftingConfig(1.0, sift_delay=0)
SKIPPING = SiftingConfig(1.5, sift_delay=0, skip_forward=True)
HEADS = ["softmax", "linear", "resampled", "one-vs-all", "mined", "mined sets", "lsh", "lsh sets"]


def make_problem(head, n=300):
    """Give a network, rows, targets, weights and settings that lead to a head."""
    if head.split()[0] in ("mined", "lsh"):
        batch = candidates.make_batch("sets" not in head, n=n)
        settings = candidates.settings_of(
            head.split()[0], batch_size=32, max_iter=4, hashing=Hashing(n_active=30)
        )
        rows = batch.indptr, batch.indices, batch.values
        return candidates.make_network(64), rows, batch.targets, batch.weights, settings
    if head == "one-vs-all":
        return training.make_network(), *training.make_label_data(n), SETTINGS
    shape = {"linear": {"n_hidden": 0}, "resampled": training.MANY_CLASSES}.get(head, {})
    data = training.make_data(n, shape.get("n_classes", 3))
    return training.make_network(**shape), *data, SETTINGS


def train(head, sifting, n_threads=1, kind=None, key=7, **changes):
    network, rows, targets, weights, settings = make_problem(head)
    settings = replace(settings, sifting=sifting, **changes)
    kind = kind or (Trainer if sifting is None else SiftingTrainer)
    with Pool(n_threads) as pool, single_threaded_blas():
        trainer = kind(network, rows, targets, weights, settings, key, pool)
        losses = list(trainer.passes(lambda n: None))
    return network, losses, trainer


# -------------------------------------------------------------------------------------- every head


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("head", HEADS)
def test_to_keep_all_is_to_train_without_sifting(head, optimizer):
    plain, losses, trainer = train(head, None, optimizer=optimizer)
    sifted, sifted_losses, other = train(head, 1.0, optimizer=optimizer)
    assert training.bits(plain) == training.bits(sifted)
    assert losses == sifted_losses
    assert trainer.state["n_steps"] == other.state["n_steps"]
    assert other.shares == [(1.0, 1.0)] * 4
    assert trainer.shares == []


@pytest.mark.parametrize("sifting", [NOW, SKIPPING, replace(SKIPPING, unbiased=True)], ids=repr)
@pytest.mark.parametrize("head", HEADS)
def test_the_number_of_threads_changes_no_bit(head, sifting, monkeypatch):
    monkeypatch.setattr(loop, "_WORTH_THREADS", 0)
    results = [train(head, sifting, n_threads) for n_threads in (1, 2, 4)]
    assert len({training.bits(network) for network, _, _ in results}) == 1
    _, losses, trainer = results[0]
    assert np.isfinite(losses).all()
    assert trainer.shares == results[1][2].shares
    assert 0.3 < np.mean([kept for _, kept in trainer.shares]) < 0.75
    assert training.bits(results[0][0]) != training.bits(train(head, sifting, key=8)[0])


@pytest.mark.parametrize("head", HEADS)
def test_sifted_training_learns(head):
    _, losses, _ = train(head, 0.6, max_iter=15)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("head", HEADS)
def test_what_waits_is_stepped_on_as_it_was(head):
    """Rows that waited, and were moved twice, give the step that they would have given alone."""

    def keep_some(losses, history, rng):
        return np.arange(len(losses)) % 3 == 1

    network, rows, targets, weights, settings = make_problem(head)
    rates = {"hidden_rate": 0.0, "head_rate": 0.0, "wide_rate": 0.0, "cross_rate": 0.0}
    still = replace(settings, **rates, hidden_dropout=0.0, sifting=keep_some)
    with Pool(1) as pool, single_threaded_blas():
        one = SiftingTrainer(network, rows, targets, weights, still, 7, pool)
        numbers = np.random.default_rng(0).permutation(300)
        one._begin_pass(np.arange(300), 0)
        steps = []
        update = one._update

        def watch(batch, run, n_owners):
            n = len(batch.numbers)
            entries = int(batch.indptr[-1])
            steps.append(
                [batch.numbers.copy(), np.diff(batch.indptr), batch.indices[:entries].copy(),
                 one.hidden[:n].copy(), one.hidden_gradient[:n].copy()]
            )  # fmt: skip
            update(batch, run, n_owners)

        one._update = watch
        for step in range(4):
            one.train_batch(numbers[32 * step : 32 * (step + 1)], 1.0, 0, step)
        one._end_pass()
    chosen = np.concatenate([numbers[32 * i : 32 * (i + 1)][1::3] for i in range(4)])
    assert np.concatenate([step[0] for step in steps]).tolist() == chosen.tolist()
    assert [len(step[0]) for step in steps] == [32, len(chosen) - 32]
    lengths = np.diff(rows[0])[chosen]
    np.testing.assert_array_equal(np.concatenate([step[1] for step in steps]), lengths)
    indices = np.concatenate([rows[1][rows[0][i] : rows[0][i + 1]] for i in chosen])
    np.testing.assert_array_equal(np.concatenate([step[2] for step in steps]), indices)
    if head in ("softmax", "one-vs-all"):  # others draw by place, and sums differ by block
        plain = replace(still, batch_size=300, sifting=None)
        with Pool(1) as pool, single_threaded_blas():
            other = Trainer(network, rows, targets, weights, plain, 7, pool)
            other.train_batch(numbers, 1.0, 0, 0)
        place = {row: i for i, row in enumerate(numbers)}
        places = [place[row] for row in chosen]
        for array, name in ((3, "hidden"), (4, "hidden_gradient")):
            found = np.concatenate([step[array] for step in steps])
            np.testing.assert_allclose(found, getattr(other, name)[places], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_factors_scale_gradients(head):
    """With plain gradient descent, a step at twice the slopes is twice as long."""
    moves = []
    for factor in (1.0, 2.0):
        network, rows, targets, weights, settings = make_problem(head)
        before = network.copy()
        settings = replace(
            settings, optimizer="sgd", hidden_dropout=0.0, sifting=replace(NOW, unbiased=True)
        )
        with Pool(1) as pool, single_threaded_blas():
            trainer = SiftingTrainer(network, rows, targets, weights, settings, 7, pool)
            trainer.sifter.sift = lambda numbers, losses, weights, factor=factor: (
                np.arange(len(numbers)), np.full(len(numbers), factor, dtype=np.float32)
            )  # fmt: skip
            trainer.train_batch(np.arange(32), 1.0, 0, 0)
        moves.append(network.output - before.output if network.output.size else network.bias)
    np.testing.assert_allclose(2 * moves[0], moves[1], rtol=1e-3, atol=1e-5)


# ----------------------------------------------------------------------------------------- passes


def test_the_rate_falls_with_the_rows_behind_and_steps_are_of_full_batches():
    network, rows, targets, weights, settings = make_problem("softmax")
    sizes, rates, ticks = [], [], []
    with Pool(1) as pool, single_threaded_blas():
        sifting = replace(SKIPPING, beta=1.0)
        settings = replace(settings, sifting=sifting)
        trainer = SiftingTrainer(network, rows, targets, weights, settings, 7, pool)
        update = trainer._update

        def watch(batch, run, n_owners):
            sizes.append(len(batch.numbers))
            rates.append(float(batch.rate_factor))
            update(batch, run, n_owners)

        trainer._update = watch
        list(trainer.passes(ticks.append))
    assert sum(ticks) == 4 * 300
    assert max(sizes) == 32
    assert sum(size < 32 for size in sizes) <= 4  # the last of each pass
    assert sum(sizes) == round(sum(kept for _, kept in trainer.shares) * 300)
    assert trainer.n_steps == len(sizes)
    assert rates[0] == 1 and rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2


def test_rates_may_stay_as_they_are():
    network, _, trainer = train("softmax", NOW, rates_fall=False)
    assert trainer._batch.decay == 1.0
    assert np.isfinite(network.output).all()


def test_rows_that_are_skipped_are_not_forwarded(monkeypatch):
    counts = []
    gather = kernels.gather

    def count(indptr, indices, values, first, last, weights, out):
        if weights.shape[1] == 4:  # into the hidden layer
            counts.append(last - first)
        gather(indptr, indices, values, first, last, weights, out)

    monkeypatch.setattr(kernels, "gather", count)
    _, _, trainer = train("softmax", SKIPPING)
    looked_at = [share for share, _ in trainer.shares]
    assert looked_at[0] == 1 and max(looked_at[1:]) < 0.95
    assert sum(counts) == round(sum(looked_at) * 300)


def test_no_row_is_lost_for_good():
    network, rows, targets, weights, settings = make_problem("softmax")
    settings = replace(settings, sifting=SKIPPING)
    seen = []
    with Pool(1) as pool, single_threaded_blas():
        trainer = SiftingTrainer(network, rows, targets, weights, settings, 7, pool)
        begin = trainer.sifter.begin
        trainer.sifter.begin = lambda *given: seen.append(begin(*given)) or seen[-1]
        list(trainer.passes(lambda n: None))
    for before, after in pairwise(seen):
        assert set(before) | set(after) == set(range(300))


def test_a_rule_that_keeps_nothing_moves_nothing():
    network, losses, trainer = train(
        "softmax", lambda losses, history, rng: np.zeros(len(losses), dtype=bool)
    )
    assert training.bits(network) == training.bits(make_problem("softmax")[0])
    assert trainer.shares == [(1.0, 0.0)] * 4
    assert trainer.state["n_steps"] == 0
    assert np.isfinite(losses).all()


def test_a_rule_may_keep_a_few_at_a_time():
    _, _, trainer = train("mined", lambda losses, history, rng: losses == losses.max())
    assert all(0 < kept < 0.1 for _, kept in trainer.shares)
    assert trainer.state["n_steps"] == 4


def test_small_batches_are_looked_at_many_at_a_time():
    network, _, trainer = train("softmax", SiftingConfig(3.0, sift_delay=0), max_iter=2)
    assert trainer._begin_pass(np.arange(300), 2)[1] > 32
    assert math.isfinite(network.output.sum())
    large, *_ = make_problem("softmax")
    _, rows, targets, weights, settings = make_problem("softmax")
    settings = replace(settings, batch_size=sifter._SMALL, sifting=NOW)
    with Pool(1) as pool:
        trainer = SiftingTrainer(large, rows, targets, weights, settings, 7, pool)
        assert trainer._begin_pass(np.arange(300), 0)[1] == sifter._SMALL


def test_many_more_rows_than_a_batch_may_be_kept_at_once():
    """In the first batches all are kept, of a number that would leave one batch by then."""
    config = SiftingConfig(9.0, sift_delay=3)
    _, _, trainer = train("softmax", config, max_iter=1)
    assert trainer.shares[0][1] > 0.5
    assert trainer.state["n_steps"] == math.ceil(round(trainer.shares[0][1] * 300) / 32)


# --------------------------------------------------------------------------------- the classifier


@pytest.mark.parametrize("sifting", [0.6, SKIPPING, lambda losses, history, rng: losses > 0.01])
def test_a_classifier_tells_what_was_sifted(sifting):
    clf = make(sifting=sifting, max_iter=6).fit(TEXTS * 5, LABELS * 5)
    assert len(clf.sifted_) == clf.n_iter_ == len(clf.loss_curve_) == 6
    assert all(0 < kept <= looked_at <= 1 for looked_at, kept in clf.sifted_)
    assert clf.score(TEXTS, LABELS) == 1
    assert make().fit(TEXTS, LABELS).sifted_ == []


def test_weights_early_stopping_label_sets_and_ready_features():
    X, y = make_csr(n=400)
    weights = np.random.default_rng(0).uniform(0.1, 3, 400)
    clf = make(sifting=SKIPPING, early_stopping=True, n_iter_no_change=2, max_iter=9)
    clf.fit(X, y, sample_weight=weights)
    assert len(clf.sifted_) == clf.n_iter_ == len(clf.validation_scores_)
    sets = [[label] if i % 3 else [] for i, label in enumerate(y)]
    clf = make(sifting=NOW, threshold="tuned").fit(X, sets)
    assert 0.2 < clf.sifted_[-1][1] < 0.9


def test_partial_fit_and_warm_start():
    X, y = make_csr(n=400)
    clf = make(sifting=NOW)
    for first in range(0, 400, 100):
        clf.partial_fit(X[first : first + 100], y[first : first + 100], classes=["high", "low"])
        assert len(clf.sifted_) == 1 and clf.sifted_[0][1] < 0.9
    clf.set_params(warm_start=True).fit(X, y)
    assert len(clf.sifted_) == 4


@pytest.mark.parametrize("sifting", [0.5, SKIPPING], ids=repr)
def test_a_seed_gives_the_same_bits_at_any_n_jobs(sifting):
    networks = [
        make(sifting=sifting, n_jobs=n_jobs).fit(TEXTS * 9, LABELS * 9).network_
        for n_jobs in (1, 2, 4)
    ]
    assert len({training.bits(network) for network in networks}) == 1


@pytest.mark.parametrize("sifting", [0, 1.5, True, "0.6", -0.2, [0.5], SiftingConfig, float("nan")])
def test_bad_siftings(sifting):
    with pytest.raises(ValueError, match=r"sifting=.*: give the share of rows to keep \(above 0"):
        make(sifting=sifting).fit(TEXTS, LABELS)


def test_a_bad_rule_leaves_the_classifier_as_it_was():
    clf = make().fit(TEXTS, LABELS)
    before = training.bits(clf.network_)
    clf.set_params(sifting=lambda losses, history, rng: losses)
    with pytest.raises(ValueError, match="sifting: the function gave an array"):
        clf.fit(TEXTS, LABELS)
    assert training.bits(clf.network_) == before
    assert clf.sifted_ == []


def test_a_share_may_be_of_any_type_of_number():
    settings = [make(sifting=share).fit(TEXTS, LABELS).sifted_ for share in (0.5, np.float64(0.5))]
    assert settings[0] == settings[1]
    assert make(sifting=1).fit(TEXTS, LABELS).sifted_ == [(1.0, 1.0)] * 4


def test_clones_and_parameters():
    clf = UDTClassifier(sifting=SKIPPING)
    assert clone(clf).get_params()["sifting"] == SKIPPING
    assert "sifting=SiftingConfig(beta=1.5" in repr(clf)


@pytest.mark.parametrize("sifting", [None, 0.6, SKIPPING], ids=repr)
def test_a_saved_model_has_its_sifting(sifting, tmp_path):
    clf = make(sifting=sifting).fit(TEXTS * 3, LABELS * 3)
    clf.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    assert loaded.sifting == sifting
    assert loaded.sifted_ == clf.sifted_
    assert loaded.predict(TEXTS).tolist() == clf.predict(TEXTS).tolist()
    loaded.fit(TEXTS, LABELS)


def test_a_rule_is_not_saved(tmp_path):
    clf = make(sifting=lambda losses, history, rng: losses > 0).fit(TEXTS, LABELS)
    clf.save(tmp_path / "model.udt")
    loaded = udt.load(tmp_path / "model.udt")
    assert loaded.sifting is None
    assert loaded.sifted_ == clf.sifted_


def test_passes_are_logged_with_what_was_kept(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="udt"):
        clf = make(sifting=NOW, verbose=2).fit(TEXTS * 9, LABELS * 9)
    lines = [record.getMessage() for record in caplog.records if "pass" in record.getMessage()]
    assert len(lines) == 4
    looked_at, kept = clf.sifted_[-1]
    assert f"forwarded {looked_at:.1%}, kept {kept:.1%}" in lines[-1]


def test_diverging_training_starts_again_with_sifting():
    X, _ = make_csr()
    with pytest.warns(ConvergenceWarning, match="diverged at learning_rate_init=1e.20; starting"):
        clf = make(sifting=0.9, learning_rate_init=1e20, batch_size=4, max_iter=5)
        clf.fit(X, np.arange(40) % 5)
    assert len(clf.sifted_) == clf.n_iter_
