"""Heads over few of very many classes, against the full heads and each other."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from udt.labels import LabelSets
from udt.lsh.hashing import Hashing
from udt.network.candidate_heads import LSHHead, MinedHead
from udt.network.heads import Batch, OneVsAllHead, SoftmaxHead
from udt.network.model import SparseNetwork
from udt.network.optimizers import Optimizer
from udt.threads import Pool, single_threaded_blas
from udt.training import loop
from udt.training.settings import Settings

N_CLASSES, N_HIDDEN, N_FEATURES = 90, 6, 40
OPTIMIZERS = ["adagrad", "adam", "sgd"]
KINDS = [True, False]  # one label a row, or any number of them


def make_network(n_crosses=None, n_classes=N_CLASSES):
    sizes = None if n_crosses is None else np.full(n_classes, n_crosses)
    network = SparseNetwork.initialise(n_classes, N_HIDDEN, N_FEATURES, 0, 0.3, 0, sizes)
    random = np.random.default_rng(1)
    for array in (network.output, network.bias, network.crosses):
        array[:] = random.normal(size=array.shape)
    return network


def make_batch(is_exclusive, n=12, seed=0, n_classes=N_CLASSES, step_key=0):
    """Give a batch of random rows; of label sets, the first row has no label."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, n_classes, n)
    if not is_exclusive:
        mask = random.random((n, n_classes)) < 0.05
        mask[0] = False
        targets = LabelSets.from_mask(mask)
    rows = sp.random(n, N_FEATURES, 0.2, format="csr", dtype=np.float32, random_state=seed)
    return Batch(
        np.arange(n), targets, random.uniform(0.5, 2, n).astype(np.float32),
        rows.indptr.astype(np.int64), rows.indices, rows.data, rows.data, 0.7, np.float32(1), 0,
        step_key,
    )  # fmt: skip


def make_head(kind, network, optimizer="adagrad", is_exclusive=True, **changes):
    """Give a head over the weights of a network, which it changes."""
    output = Optimizer(optimizer, network.output, 0.1)
    bias = Optimizer(optimizer, network.bias, 0.1)
    positive = np.random.default_rng(2).uniform(0.5, 3, network.n_classes).astype(np.float32)
    smoothing = changes.pop("smoothing", 0.1)
    if kind == "full":
        if is_exclusive:
            return SoftmaxHead(output, bias, smoothing)
        return OneVsAllHead(output, bias, smoothing, positive)
    arguments = {
        "batch_size": 32, "is_exclusive": is_exclusive, "max_true": 20, "smoothing": smoothing,
        "positive_weights": positive, "cross_rate": 0.3, "key": 5, "n_hard": 20, "n_random": 4,
    } | changes  # fmt: skip
    if kind == "mined":
        return MinedHead(network, output, bias, **arguments)
    probes = np.tanh(np.random.default_rng(8).normal(size=(50, N_HIDDEN))).astype(np.float32)
    others = {"hashing": Hashing(), "first_interval": 10, "probes": lambda: probes}
    return LSHHead(network, output, bias, **others | arguments)


def step(head, batch, n_owners=1, cuts=(0, 5, 12)):
    """Take a step, and give losses and the gradients in the hidden activations."""
    n = len(batch.weights)
    hidden = np.tanh(np.random.default_rng(3).normal(size=(n, N_HIDDEN))).astype(np.float32)
    logits = np.zeros((n, len(head.bias.weights)), dtype=np.float32)
    losses, hidden_gradient = np.empty(n, dtype=np.float32), np.empty_like(hidden)
    head.prepare(batch)
    for first, last in pairwise(cuts):
        head.forward(hidden, logits, first, last, losses)
        head.backward(logits, first, last, hidden_gradient)
    for task in head.tasks(n_owners):
        head.update(batch, hidden, logits, np.float32(0.2), task)
    return losses, hidden_gradient


def weights_of(head):
    return head.output.weights, head.bias.weights, head.output.state, head.bias.state


@pytest.fixture
def pool():
    with Pool(1) as pool, single_threaded_blas():
        yield pool


# ------------------------------------------------------------------------ beside the full heads


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("is_exclusive", KINDS)
@pytest.mark.parametrize("kind", ["mined", "lsh"])
def test_all_classes_active_are_the_full_head(kind, is_exclusive, optimizer, pool):
    heads = [
        make_head(
            kind, make_network(), optimizer, is_exclusive, n_hard=1000, n_random=4,
            **({"pool": pool, "hashing": Hashing(n_active=1000)} if kind == "lsh" else {}),
        ),
        make_head("full", make_network(), optimizer, is_exclusive),
    ]  # fmt: skip
    for seed in range(3):  # whose second and third steps see the state of the first
        batch = make_batch(is_exclusive, seed=seed, step_key=seed)
        (losses, gradient), (full_losses, full_gradient) = (step(head, batch) for head in heads)
        np.testing.assert_allclose(losses, full_losses, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(gradient, full_gradient, rtol=1e-3, atol=2e-4)
        for here, there in zip(*map(weights_of, heads), strict=True):
            np.testing.assert_allclose(here, there, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("with_crosses", [False, True])
@pytest.mark.parametrize("is_exclusive", KINDS)
def test_tables_that_propose_all_classes_are_the_mined_head(is_exclusive, with_crosses, pool):
    n_crosses = 64 if with_crosses else None
    networks = [make_network(n_crosses), make_network(n_crosses)]
    for network in networks:  # candidates come in another order: ties would be broken otherwise
        network.output *= 0.3
        network.bias[:] = 8 * (np.arange(N_CLASSES) % 9 < 2)
    hashing = Hashing(n_active=N_CLASSES)
    heads = [
        make_head("mined", networks[0], is_exclusive=is_exclusive),
        make_head("lsh", networks[1], is_exclusive=is_exclusive, pool=pool, hashing=hashing),
    ]
    for seed in range(3):
        batch = make_batch(is_exclusive, seed=seed, step_key=seed)
        mined, hashed = (step(head, batch) for head in heads)
        for here, there in zip(mined, hashed, strict=True):
            np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-4)
    for here, there in zip(*map(weights_of, heads), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(networks[0].crosses, networks[1].crosses, rtol=1e-3, atol=1e-4)
    assert with_crosses == (len(networks[0].crosses) > 0)


def test_the_hardest_classes_have_most_of_the_gradient():
    networks = make_network(), make_network()
    for network in networks:
        network.output *= 4
    batch = make_batch(True)
    _, mined = step(make_head("mined", networks[0], n_hard=20, n_random=0, smoothing=0.0), batch)
    _, full = step(make_head("full", networks[1], smoothing=0.0), batch)
    assert np.linalg.norm(mined - full) < 0.2 * np.linalg.norm(full)


# ------------------------------------------------------------------------------------- which move


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["mined", "lsh"])
def test_only_active_classes_move(kind, optimizer, pool):
    network = make_network(64, n_classes=2000)
    before = network.copy()
    more = {"pool": pool} if kind == "lsh" else {}
    head = make_head(kind, network, optimizer, n_hard=3, n_random=1, **more)
    batch = make_batch(True, n_classes=2000)
    step(head, batch)
    classes, _, sizes = head._active
    active = {int(c) for row, size in zip(classes, sizes, strict=True) for c in row[:size]}
    assert set(batch.targets) <= active
    assert len(active) <= 12 * 5
    rest = np.setdiff1d(np.arange(2000), list(active))
    np.testing.assert_array_equal(network.output[rest], before.output[rest])
    np.testing.assert_array_equal(network.bias[rest], before.bias[rest])
    assert (network.output[batch.targets] != before.output[batch.targets]).any(axis=1).all()
    is_still = network.crosses == before.crosses
    of_class = np.repeat(np.arange(2000), np.diff(network.cross_starts))
    assert is_still[~np.isin(of_class, list(active))].all()
    assert not is_still.all()


def test_rows_without_a_label_push_others_down(pool):
    network = make_network(64)
    labels = LabelSets(np.zeros(13, dtype=np.int64), np.zeros(0, dtype=np.int32), N_CLASSES)
    batch = make_batch(False)._replace(targets=labels)
    for kind, more in [("mined", {}), ("lsh", {"pool": pool})]:
        head = make_head(kind, network, "sgd", False, max_true=0, smoothing=0.0, **more)
        bias = network.bias.copy()
        losses, gradient = step(head, batch)
        assert (losses > 0).all()
        assert np.isfinite(gradient).all()
        assert (network.bias <= bias).all()
        assert (network.bias < bias).any()


def test_a_label_of_no_row_is_only_pushed_down(pool):
    network = make_network()
    batch = make_batch(False)
    unseen = np.setdiff1d(np.arange(N_CLASSES), batch.targets.indices)
    assert unseen.size
    bias = network.bias.copy()
    step(make_head("mined", network, "sgd", False, smoothing=0.0), batch)
    assert (network.bias[unseen] <= bias[unseen]).all()


def test_a_decay_slows_crosses_as_well():
    networks = [make_network(64) for _ in range(2)]
    before = networks[0].crosses.copy()
    for network, decay in zip(networks, (1.0, 0.25), strict=True):
        step(make_head("mined", network), make_batch(True)._replace(decay=decay))
    moves = [network.crosses - before for network in networks]
    np.testing.assert_allclose(moves[0] / 4, moves[1], atol=1e-5)


def test_crosses_without_a_rate_stay():
    network = make_network(64)
    before = network.crosses.copy()
    step(make_head("mined", network, cross_rate=0.0), make_batch(True))
    np.testing.assert_array_equal(network.crosses, before)


# -------------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("kind", ["mined", "lsh"])
def test_keys_pick_the_random_classes(kind, pool):
    results = []
    for key, step_key in [(5, 0), (5, 0), (7, 0), (5, 1)]:
        network = make_network()
        more = {"pool": pool, "hashing": Hashing(n_active=N_CLASSES)} if kind == "lsh" else {}
        head = make_head(kind, network, key=key, n_hard=2, n_random=8, **more)
        step(head, make_batch(True, step_key=step_key))
        results.append(network.output.tobytes())
    assert results[0] == results[1]
    assert len(set(results)) == 3


@pytest.mark.parametrize("n_owners", [2, 8])
@pytest.mark.parametrize("kind", ["mined", "lsh"])
def test_the_number_of_owners_changes_no_bit(kind, n_owners, pool):
    results = []
    for owners in (1, n_owners):
        network = make_network(64)
        head = make_head(kind, network, **({"pool": pool} if kind == "lsh" else {}))
        assert len(head.tasks(owners)) == owners
        step(head, make_batch(True), owners)
        results.append(b"".join(array.tobytes() for array in network.arrays().values()))
    assert results[0] == results[1]


def settings_of(head, **changes):
    return Settings(**{
        "max_iter": 2, "batch_size": 64, "wide_rate": 0.4, "hidden_rate": 0.1, "head_rate": 0.1,
        "dropout": 0.1, "wide_dropout": 0.2, "hidden_dropout": 0.3, "label_smoothing": 0.0,
        "initial_state": 0.01, "head": head, "cross_rate": 0.5,
    } | changes)  # fmt: skip


def train(settings, is_exclusive, n_threads, n=300):
    network = make_network(64)
    batch = make_batch(is_exclusive, n=n)
    rows = batch.indptr, batch.indices, batch.values
    with Pool(n_threads) as pool, single_threaded_blas():
        trainer = loop.Trainer(network, rows, batch.targets, batch.weights, settings, 7, pool)
        losses = list(trainer.passes(lambda n: None))
    return network, losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("is_exclusive", KINDS)
@pytest.mark.parametrize("kind", ["mined", "lsh"])
def test_the_number_of_threads_changes_no_bit(kind, is_exclusive, optimizer, monkeypatch):
    monkeypatch.setattr(loop, "_WORTH_THREADS", 0)
    settings = settings_of(kind, optimizer=optimizer, hashing=Hashing(n_active=30))
    results = []
    for n_threads in (1, 2, 4):
        network, losses = train(settings, is_exclusive, n_threads)
        assert np.isfinite(losses).all()
        results.append(b"".join(array.tobytes() for array in network.arrays().values()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("is_exclusive", KINDS)
@pytest.mark.parametrize(
    "hashing",
    [Hashing(), Hashing(n_tables=7), Hashing(n_hashes=1, n_active=20), Hashing(family="simhash")],
    ids=str,
)
def test_passes_lower_the_loss(hashing, is_exclusive):
    settings = settings_of("lsh", max_iter=8, hashing=hashing, hidden_dropout=0.0)
    _, losses = train(settings, is_exclusive, 2)
    assert losses[-1] < losses[0]


def test_the_trainer_makes_the_head_that_settings_name():
    batch = make_batch(False, n=40)
    rows = batch.indptr, batch.indices, batch.values
    with Pool(1) as pool:
        for kind, head in [("mined", MinedHead), ("lsh", LSHHead), ("full", OneVsAllHead)]:
            trainer = loop.Trainer(
                make_network(), rows, batch.targets, batch.weights, settings_of(kind, n_hard=7), 7,
                pool,
            )  # fmt: skip
            assert type(trainer.head) is head
            assert kind == "full" or trainer.head.n_hard == 7
            # Room for all logits is taken where they are computed.
            assert trainer.logits.shape[1] == (0 if kind == "lsh" else N_CLASSES)


# ------------------------------------------------------------------------------------- rebuilds


def rebuilds(n_steps, **arguments):
    """List the steps before which tables are built, when they ask how rows look."""
    network, steps = make_network(), []
    random = np.random.default_rng(0)

    def probes():
        steps.append(now)
        return random.normal(size=(20, N_HIDDEN)).astype(np.float32)

    head = make_head("lsh", network, probes=probes, **arguments)
    batch = make_batch(True)
    for now in range(n_steps):
        network.output[0, 0] = now
        head.prepare(batch)
    return steps


@pytest.mark.parametrize("steps_a_pass", [1, 100, 640])
def test_rebuilds_thin_out(steps_a_pass, pool):
    steps = rebuilds(min(3 * steps_a_pass + 20, 700), first_interval=steps_a_pass / 8, pool=pool)
    assert steps[0] == 0
    assert len(steps) > 2
    gaps = np.diff(steps)
    assert (np.diff(gaps) >= -1).all()  # which are rounded
    assert gaps[-1] > gaps[0]
    assert len(steps) < 40


def test_intervals_between_rebuilds_begin_as_asked(pool):
    def steps(first_interval):
        return rebuilds(40, first_interval=first_interval, pool=pool)

    assert steps(4) == [0, 4, 10, 19, 33]
    assert steps(39) == [0, 39]
    assert steps(1e9) == [0]
    assert steps(0.01) == steps(1.0)  # no more than one build a step


def test_a_pass_has_as_many_steps_as_batches():
    batch = make_batch(False, n=41)
    settings = settings_of("lsh", batch_size=4, rebuild_interval=0.5)  # eleven steps a pass
    with Pool(1) as pool:
        trainer = loop.Trainer(
            make_network(), (batch.indptr, batch.indices, batch.values), batch.targets,
            batch.weights, settings, 7, pool,
        )  # fmt: skip
        next(trainer.passes(lambda n: None))
    # Built at steps 0 and 5.5, and next after an interval of one and a half times that.
    assert trainer.head._next == 6 + 1.5 * 5.5


def test_weights_that_are_not_finite_are_no_tables(pool):
    network = make_network()
    head = make_head("lsh", network, pool=pool)
    network.output[3] = np.nan
    with pytest.raises(ValueError, match="training has diverged"):
        head.prepare(make_batch(True))
    batch = make_batch(True, n=40)
    rows = batch.indptr, batch.indices, batch.values
    trainer = loop.Trainer(network, rows, batch.targets, batch.weights, settings_of("lsh"), 7, pool)
    with pytest.raises(loop.Diverged):
        next(trainer.passes(lambda n: None))
