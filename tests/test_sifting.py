"""Which rows sifting looks at and keeps: its settings, its draws against a naive twin."""

import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone

import udt
from udt.labels import LabelSets
from udt.training import sifting_kernels as kernels
from udt.training.sifter import Sifter, calibrate, sparing
from udt.training.sifting import SiftingConfig, beta_for, is_sifting

# Compiled integers wrap around, and so they do here, where NumPy would warn.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
kernel = pytest.mark.kernel
N = 4000


def naive_mix(key, a, b):
    """`udt.randomness.mix` with Python's whole numbers."""
    mask = 2**64 - 1
    h = (key + a * 0x9E3779B97F4A7C15 + b * 0xD1B54A32D192ED03) & mask
    for _ in range(2):
        h = ((h ^ (h >> 32)) * 0xD6E8FEB86659FD93) & mask
    return h ^ (h >> 32)


def naive_uniform(key, row, epoch):
    return (naive_mix(key, int(row), epoch) >> 40) / 2**24


def naive_probability(loss, history, exponent, least):
    """The share of losses below, with half of those that are equal, to a power."""
    if not len(history) or np.isnan(loss):
        return 1.0
    below, equal = np.sum(history < loss), np.sum(history == loss)
    return max(least, ((below + equal / 2) / len(history)) ** exponent)


def make_sifter(sifting, targets=None, weights=None, key=3):
    targets = np.zeros(N, dtype=np.int64) if targets is None else targets
    weights = np.ones(len(targets), dtype=np.float32) if weights is None else weights
    return Sifter(sifting, targets, weights, key)


def make_losses(n=N, seed=0):
    return np.random.default_rng(seed).exponential(size=n).astype(np.float32)


def run_pass(sifter, losses, epoch=0, size=100, weights=None):
    """Sift all rows in order; give those looked at, those kept, and the factors of these."""
    looked_at = sifter.begin(np.arange(len(losses)), epoch, 0)
    kept, factors = [], []
    for first in range(0, len(looked_at), size):
        rows = looked_at[first : first + size]
        own = np.ones(len(rows), np.float32) if weights is None else weights[rows]
        places, more = sifter.sift(rows, losses[rows] * own, own)
        kept.append(rows[places])
        factors.append(np.ones(len(places)) if more is None else more)
    sifter.end()
    return looked_at, np.concatenate(kept), np.concatenate(factors)


# --------------------------------------------------------------------------------------- settings


def test_a_share_is_an_exponent():
    assert beta_for(0.6) == pytest.approx(2 / 3)
    assert beta_for(1.0) == 0
    for kept in (0.3, 0.5, 1.0):
        assert SiftingConfig(beta_for(kept)).kept == pytest.approx(kept)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("beta", -0.1, "a number from 0 on"),
        ("beta", "1", "a number from 0 on"),
        ("beta", float("nan"), "a number from 0 on"),
        ("beta", True, "a number from 0 on"),
        ("loss_history_length", 0, "a whole number from 1 to 1000000"),
        ("loss_history_length", 2.5, "a whole number from 1"),
        ("sift_delay", -1, "a whole number from 0 on"),
        ("repeat_delay_per_epoch", 1, "True or False"),
        ("skip_forward", None, "True or False"),
        ("unbiased", "yes", "True or False"),
        ("min_probability", 0, "a number above 0, up to 1"),
        ("min_probability", 1.5, "a number above 0, up to 1"),
    ],
)
def test_settings_out_of_range(name, value, remedy):
    with pytest.raises(ValueError, match=f"SiftingConfig: {name}={value!r}: give {remedy}"):
        SiftingConfig(**{"beta": 1.0} | {name: value})


def test_settings_are_plain_values():
    config = SiftingConfig(1.5, skip_forward=True)
    assert udt.SiftingConfig is SiftingConfig
    assert repr(config).startswith("SiftingConfig(beta=1.5, loss_history_length=500, sift_delay=10")
    assert pickle.loads(pickle.dumps(config)) == config == SiftingConfig(**asdict(config))
    assert clone(config, safe=False) == config
    with pytest.raises(FrozenInstanceError):
        config.beta = 2.0


def test_what_can_be_a_sifting():
    for value in (0.6, 1, np.float32(0.5), SiftingConfig(0.0), lambda *given: None):
        assert is_sifting(value)
    for value in (0, 0.0, -1, 1.1, True, "0.6", SiftingConfig, float("nan"), [0.6]):
        assert not is_sifting(value)


# ----------------------------------------------------------------------------------------- kernels


@kernel
@pytest.mark.parametrize("n", [1, 2, 3, 7, 500])
def test_rank(n):
    random = np.random.default_rng(n)
    history = np.sort(random.integers(0, 8, n)).astype(np.float32)
    for loss in (-1, *range(9), np.inf):
        found = kernels.rank(history, np.float32(loss))
        expected = (np.sum(history < loss) + np.sum(history <= loss)) / 2 / n
        assert found == pytest.approx(expected, abs=1e-6)


@kernel
@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("skip_forward", [False, True])
def test_the_naive_twin_keeps_the_same(skip_forward, unbiased):
    random = np.random.default_rng(1)
    targets = random.choice(4, 600, p=[0.6, 0.3, 0.08, 0.02])
    weights = random.uniform(0.5, 3, 600).astype(np.float32)
    config = SiftingConfig(
        1.5, loss_history_length=70, sift_delay=2, skip_forward=skip_forward, unbiased=unbiased,
        min_probability=0.1,
    )  # fmt: skip
    sifter = make_sifter(config, targets, weights, key=11)
    shares = np.bincount(targets) / 600
    relative = np.minimum(1, shares[targets] / 0.25) / np.maximum(1, weights)
    last, skipped = np.ones(600), np.zeros(600, dtype=bool)
    history, n_batches = [], 0
    for epoch in range(3):
        losses = make_losses(600, seed=epoch)
        found = run_pass(sifter, losses, epoch, weights=weights)
        looked_at, kept, factors = [], [], []
        chance = np.ones(600)
        for row in range(600):
            if skip_forward and not skipped[row]:
                chance[row] = last[row]
            skipped[row] = naive_uniform(11 + 0x51F7, row, epoch) >= chance[row]
            if not skipped[row]:
                looked_at.append(row)
        for first in range(0, len(looked_at), 100):
            rows = looked_at[first : first + 100]
            for row in rows:
                p = naive_probability(losses[row], history, 1.5 * relative[row], 0.1)
                last[row] = p
                p = 1.0 if n_batches < 2 else min(1.0, p / chance[row])
                if naive_uniform(11 + 0xBEEF, row, epoch) < p:
                    kept.append(row)
                    factors.append(1 / (p * chance[row]) if unbiased else 1.0)
            history = np.r_[history, losses[rows]][-70:]
            n_batches += 1
        assert found[0].tolist() == looked_at
        # Powers of float32 may fall on the other side of a draw, once in a while.
        both, here, there = np.intersect1d(found[1], kept, return_indices=True)
        assert len(both) >= max(len(kept), len(found[1])) - 1
        np.testing.assert_allclose(found[2][here], np.array(factors)[there], rtol=1e-4)


@kernel
def test_a_loss_that_is_no_number_is_kept():
    sifter = make_sifter(SiftingConfig(50.0, sift_delay=0))
    run_pass(sifter, make_losses())
    _, kept, _ = run_pass(sifter, np.full(N, np.nan, dtype=np.float32), 1)
    assert len(kept) == N


# ------------------------------------------------------------------------------------------ shares


@pytest.mark.parametrize("beta", [0.0, 0.25, 2 / 3, 1.0, 3.0])
def test_the_share_kept_follows_beta(beta):
    sifter = make_sifter(SiftingConfig(beta, sift_delay=0))
    run_pass(sifter, make_losses())
    run_pass(sifter, make_losses(seed=1), 1)
    looked_at, kept = sifter.shares[1]
    assert looked_at == 1
    assert kept == pytest.approx(1 / (1 + beta), abs=0.03)


@pytest.mark.parametrize("kept", [1.0, 0.6, 0.3])
def test_a_share_is_met_where_classes_and_weights_differ(kept):
    random = np.random.default_rng(0)
    targets = random.choice(20, N, p=np.arange(1, 21) / 210)
    weights = random.uniform(0.2, 2, N).astype(np.float32)
    sifter = make_sifter(kept, targets, weights)
    for epoch in range(2):
        run_pass(sifter, make_losses(seed=epoch), epoch, weights=weights)
    assert sifter.shares[1][1] == pytest.approx(kept, abs=0.03)


def test_calibration():
    assert calibrate(0.5, np.ones(9, np.float32)) == 1.0
    assert calibrate(1.0, np.full(9, 0.5, np.float32)) == 0.0
    assert calibrate(0.5, np.full(9, 0.5, np.float32)) == pytest.approx(2.0, rel=1e-6)
    assert calibrate(0.5, np.zeros(9, np.float32)) <= 100


def test_high_losses_are_kept_and_low_ones_rarely():
    sifter = make_sifter(SiftingConfig(1.0, sift_delay=0))
    losses = make_losses()
    run_pass(sifter, losses)
    _, kept, _ = run_pass(sifter, losses, 1)
    is_kept = np.isin(np.arange(N), kept)
    order = np.argsort(losses)
    assert is_kept[order[-400:]].mean() > 0.9
    assert 0.05 < is_kept[order[:400]].mean() < 0.15  # min_probability, and ranks up to 0.1


def test_equal_losses_are_kept_alike():
    sifter = make_sifter(SiftingConfig(1.0, sift_delay=0))
    for epoch in range(2):
        run_pass(sifter, np.zeros(N, dtype=np.float32), epoch)
    assert sifter.shares[1][1] == pytest.approx(0.5, abs=0.03)


# -------------------------------------------------------------------------- rare rows and weights


def test_rare_classes_and_heavy_rows_are_spared():
    targets = np.repeat([0, 1, 2], [60, 36, 4])
    weights = np.ones(100, dtype=np.float32)
    weights[0] = 4
    weights[1] = 0.1
    found = sparing(targets, weights)
    assert found[0] == 0.25
    assert found[1] == found[59] == found[95] == 1
    assert found[96:] == pytest.approx([0.12] * 4)


def test_a_row_of_many_labels_is_as_rare_as_its_rarest():
    mask = np.zeros((100, 3), dtype=bool)
    mask[:, 0] = True
    mask[:2, 1] = True
    mask[99] = False
    found = sparing(LabelSets.from_mask(mask), np.ones(100, dtype=np.float32))
    assert found[:2] == pytest.approx([2 / (101 / 2)] * 2)
    assert found[2] == found[99] == 1  # a label of many rows, and none at all


def test_labels_that_no_row_has():
    none = LabelSets.from_mask(np.zeros((5, 3), dtype=bool))
    assert sparing(none, np.ones(5, dtype=np.float32)).tolist() == [1] * 5


def test_rare_classes_are_not_starved():
    targets = (np.arange(N) % 50 == 0).astype(np.int64)
    sifter = make_sifter(SiftingConfig(4.0, sift_delay=0), targets)
    losses = make_losses()
    losses[targets == 1] *= 0.1  # as if they had been learnt by heart
    kept = [run_pass(sifter, losses, epoch)[1] for epoch in range(20)]
    is_kept = np.mean([np.isin(np.arange(N), rows) for rows in kept[1:]], axis=0)
    assert is_kept[targets == 1].mean() > 0.6
    assert is_kept[targets == 0].mean() < 0.25


def test_heavy_rows_are_kept_more_often_and_ranked_by_unweighted_losses():
    weights = np.where(np.arange(N) % 2, 8, 0.5).astype(np.float32)
    sifter = make_sifter(SiftingConfig(1.0, sift_delay=0), None, weights)
    for epoch in range(2):
        _, kept, _ = run_pass(sifter, make_losses(seed=epoch), epoch, weights=weights)
    assert np.sum(kept % 2 == 0) == pytest.approx(N / 4, rel=0.1)  # as if it weighed 1
    assert np.sum(kept % 2) == pytest.approx(N / 2 / (1 + 1 / 8), rel=0.1)


# ------------------------------------------------------------------------------------ the variants


@pytest.mark.parametrize("skip_forward", [False, True])
def test_unbiased_factors_have_the_right_expectation(skip_forward):
    losses = make_losses(500)
    config = SiftingConfig(1.0, sift_delay=0, unbiased=True, skip_forward=skip_forward)
    totals, n = np.zeros(500), 0
    for key in range(40):
        sifter = make_sifter(config, np.zeros(500, dtype=np.int64), key=1000 * key)
        for epoch in range(8):
            _, kept, factors = run_pass(sifter, losses, epoch, size=50)
            totals[kept] += factors
            n += 1
    # The standard error of a row that is kept with a probability of 0.05 is 0.24.
    assert totals.mean() / n == pytest.approx(1, abs=0.02)
    assert np.abs(totals / n - 1).max() < 1
    low = np.argsort(losses)[:100]
    assert totals[low].mean() / n == pytest.approx(1, abs=0.08)


@kernel
def test_factors_are_bounded():
    config = SiftingConfig(9.0, sift_delay=0, unbiased=True, min_probability=0.2)
    sifter = make_sifter(config)
    for epoch in range(2):
        _, _, factors = run_pass(sifter, make_losses(), epoch)
    assert factors.min() >= 1 and factors.max() == pytest.approx(5)


@kernel
def test_skipped_rows_come_back_in_the_next_pass():
    sifter = make_sifter(SiftingConfig(1.5, sift_delay=0, skip_forward=True))
    losses = make_losses()
    passes = [set(run_pass(sifter, losses, epoch)[0].tolist()) for epoch in range(6)]
    assert len(passes[0]) == N
    assert 0.3 < len(passes[1]) / N < 0.5
    for before, after in pairwise(passes):
        assert before | after == set(range(N))
    easy = np.argsort(losses)[: N // 4]
    assert np.isin(easy, list(passes[1])).mean() < 0.15
    assert [share for share, _ in sifter.shares] == [len(rows) / N for rows in passes]


def test_a_pass_looks_at_one_row_at_least():
    config = SiftingConfig(50.0, sift_delay=0, skip_forward=True, min_probability=1e-6)
    sifter = make_sifter(config, np.zeros(2, dtype=np.int64))
    losses = np.zeros(2, dtype=np.float32)
    for epoch in range(20):
        looked_at, _, _ = run_pass(sifter, losses, epoch, size=1)
        assert len(looked_at) >= 1


@pytest.mark.parametrize("repeats", [False, True])
def test_sifting_starts_late(repeats):
    config = SiftingConfig(3.0, sift_delay=5, repeat_delay_per_epoch=repeats)
    sifter = make_sifter(config)
    for epoch in range(2):
        _, kept, _ = run_pass(sifter, make_losses(seed=epoch), epoch)
        n_early, n_late = np.sum(kept < 500), np.sum(kept >= 500)
        assert (n_early == 500) == (repeats or not epoch)
        assert n_late < 0.4 * (N - 500)


def test_a_repeated_delay_is_for_skipping_too():
    config = SiftingConfig(3.0, sift_delay=5, repeat_delay_per_epoch=True, skip_forward=True)
    sifter = make_sifter(config)
    run_pass(sifter, make_losses())
    looked_at = sifter.begin(np.arange(N)[::-1], 1, 500)
    assert looked_at[:500].tolist() == list(range(N - 1, N - 501, -1))
    assert len(looked_at) < 0.6 * N


def test_draws_belong_to_rows_not_to_their_order():
    losses, results = make_losses(), []
    for order in (np.arange(N), np.random.default_rng(0).permutation(N)):
        sifter = make_sifter(SiftingConfig(1.0, sift_delay=0))
        run_pass(sifter, losses)
        sifter._history = np.sort(losses)[:: N // 500]
        rows = sifter.begin(order, 1, 0)
        places, _ = sifter.sift(rows, losses[rows], np.ones(N, dtype=np.float32))
        results.append(set(rows[places].tolist()))
    assert results[0] == results[1]


# ------------------------------------------------------------------------------------ own rules


def test_a_rule_is_given_losses_history_and_a_generator():
    seen = []

    def rule(losses, history, rng):
        seen.append((losses, history.copy(), rng.random()))
        return losses > np.median(losses)

    losses = make_losses(600)
    results = []
    for _ in range(2):
        sifter = make_sifter(rule, np.zeros(600, dtype=np.int64))
        results.append(run_pass(sifter, losses)[1].tolist())
    assert results[0] == results[1]
    assert sifter.shares == [(1.0, 0.5)]
    assert [len(history) for _, history, _ in seen[:6]] == [0, 100, 200, 300, 400, 500]
    np.testing.assert_array_equal(seen[1][1], losses[:100])
    np.testing.assert_array_equal(seen[1][0], losses[100:200])
    draws = [draw for *_, draw in seen]
    assert draws[:6] == draws[6:] and len(set(draws)) == 6


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (np.ones(99, dtype=bool), r"an array of shape \(99,\) and dtype bool for 100 losses"),
        (np.zeros(0, dtype=bool), r"an array of shape \(0,\) and dtype bool"),
        (np.ones((100, 1), dtype=bool), r"an array of shape \(100, 1\)"),
        (np.ones(100), "dtype float64"),
        (np.arange(100), "dtype int64"),
        ([True] * 100, "list"),
        (None, "NoneType"),
    ],
    ids=str,
)
def test_bad_masks(mask, told):
    sifter = make_sifter(lambda losses, history, rng: mask)
    with pytest.raises(ValueError, match=f"sifting: the function gave .*{told}") as caught:
        run_pass(sifter, make_losses())
    assert "let it give an array of bool, of shape (100,)" in str(caught.value)


def test_settings_do_not_change_what_they_are_given():
    targets = np.zeros(N, dtype=np.int64)
    weights = np.ones(N, dtype=np.float32)
    config = SiftingConfig(1.0)
    make_sifter(config, targets, weights)
    assert config == replace(config) == SiftingConfig(1.0)
    assert (weights == 1).all() and (targets == 0).all()
