"""From rows and labels to a trained network: the one call that the estimator makes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from udt.labels import LabelSets
from udt.network.active import add_averages
from udt.network.bfloat16 import all_finite, convert
from udt.network.heads import Targets
from udt.network.model import CSR, MIN_CROSSES, ROWS_PER_BLOCK, SparseNetwork
from udt.threads import Pool, blocks
from udt.training.loop import Diverged, Trainer, run
from udt.training.progress import History, Progress
from udt.training.settings import NetworkShape, Settings
from udt.training.sifter import SiftingTrainer

Array = NDArray[Any]
_MAX_TRIES = 4
#: Weights of crosses that are affordable: 256 MiB.
MAX_CROSSES = 1 << 26
# Share of the entries of a class's rows that are of different features, about.
_DISTINCT = 0.6
# The logit, beside its bias, that a class starts with for a row in its very direction.
FIRST_LOGIT = 3.0


class Learnt(NamedTuple):
    """A trained network, how it went, and the state of the optimiser."""

    network: SparseNetwork
    history: History
    state: dict[str, Array]


def fit_network(
    rows: CSR,
    targets: Targets,
    weights: Array,
    validation: tuple[CSR, Targets, Array] | None,
    *,
    n_classes: int,
    shape: NetworkShape,
    settings: Settings,
    patience: int | None,
    random: np.random.RandomState,
    verbose: int,
    pool: Pool,
    positive_weights: Array | None = None,
    network: SparseNetwork | None = None,
    state: dict[str, Array] | None = None,
    on_pass: Callable[[SparseNetwork, float], None] | None = None,
) -> Learnt:
    """Train a new network, and again at a tenth of the rate if training diverges.

    Parameters
    ----------
    rows : tuple (indptr, indices, values)
    targets : ndarray of shape (n,), int64, or LabelSets
    weights : ndarray of shape (n,), float32
    validation : tuple (rows, targets, weights) or None
    n_classes : int
    shape : NetworkShape
    settings : Settings
    patience : int or None
        Passes without a better validation score after which to stop, and keep the best.
    random : RandomState
    verbose : int
    pool : Pool
    positive_weights : ndarray of shape (n_labels,), float32, or None
        How much rows that have a label count in its loss, times the settings' positive weight,
        if ``targets`` are LabelSets.
    network : SparseNetwork or None
        Go on from a copy of this one, grown to the number of features and classes.
    state : dict of str to ndarray, or None
        Go on from this state of the optimiser, if it is that of the same one.
    on_pass : callable or None
        Called after each pass with the network, as it is then, and the share of passes made. What
        it raises ends the training.

    Raises
    ------
    ValueError
        If training diverges at each of four rates.
    """
    seed, key = (int(n) for n in random.randint(2**31 - 1, size=2))
    for _ in range(_MAX_TRIES):
        if network is None:
            trained = SparseNetwork.initialise(
                n_classes,
                shape.hidden,
                shape.embedded,
                shape.n_wide,
                shape.embedding_range,
                seed,
                count_crosses(rows, targets, n_classes) if settings.cross_rate else None,
                shape.dtype,
            )
            if isinstance(targets, LabelSets):
                trained.bias[:] = log_odds(targets, weights)
            if settings.head != "full":
                start_from_averages(trained, rows, targets)
        else:
            trained = network.grown(
                n_classes, shape.embedded, shape.n_wide, shape.embedding_range, seed, shape.dtype
            )
        make = Trainer if settings.sifting is None else SiftingTrainer
        trainer = make(
            trained, rows, targets, weights, settings, key, pool, positive_weights, state
        )
        try:
            with Progress(verbose, len(targets) * settings.max_iter) as progress:
                trained, history = run(trainer, validation, patience, progress, on_pass)
            if not all(all_finite(array) for array in trained.arrays().values()):
                raise Diverged  # in the last step, which no loss has seen
            return Learnt(trained, history, trainer.state)
        except Diverged:
            rate = settings.wide_rate
            settings = settings.slower()
            warnings.warn(
                f"Training diverged at learning_rate_init={rate:g}; starting again at a tenth of "
                "that.",
                ConvergenceWarning,
                stacklevel=4,
            )
    raise ValueError(
        f"Training diverges even at learning_rate_init={rate:g}. Are there extreme values in X or "
        "sample_weight?"
    )


def log_odds(targets: LabelSets, weights: Array) -> Array:
    """Give the log-odds of each label among weighted rows, with one row of even odds more."""
    positive = targets.frequencies(weights) + 0.5
    negative = float(weights.sum(dtype=np.float64)) + 1 - positive
    return np.log(positive / negative).astype(np.float32)


def count_crosses(rows: CSR, targets: Targets, n_classes: int) -> Array:
    """Give each class crosses for about the features that its rows have: (n_classes,), int64.

    No more than `MAX_CROSSES` in all, as far as that leaves each class `MIN_CROSSES`.
    """
    lengths = np.diff(rows[0]).astype(np.float64)
    if isinstance(targets, LabelSets):
        entries = np.bincount(targets.indices, lengths[targets.rows], n_classes)
    else:
        entries = np.bincount(targets, lengths, n_classes)
    n_features = int(rows[1].max(initial=0)) + 1
    wanted = np.minimum(entries * _DISTINCT, n_features)
    wanted *= min(1.0, MAX_CROSSES / max(wanted.sum(), 1.0))
    return 1 << np.ceil(np.log2(np.maximum(wanted, MIN_CROSSES))).astype(np.int64)


def start_from_averages(network: SparseNetwork, rows: CSR, targets: Targets) -> None:
    """Start each class's weights at the average direction of its rows' hidden activations.

    Hash tables find nothing among weights that are all zero, and a class of few rows needs no
    passes to get near to them.
    """
    if isinstance(targets, LabelSets):
        indptr, truth = targets.indptr, targets.indices
    else:
        indptr, truth = np.arange(len(targets) + 1), targets.astype(np.int32)
    output, mean, square = network.output, None, 0.0
    sums = output if network.dtype == "float32" else np.zeros(output.shape, dtype=np.float32)
    for first, last in blocks(len(targets), ROWS_PER_BLOCK):
        hidden = network.hidden(rows, first, last)
        if mean is None:  # about: what all rows share tells no class from another
            mean = hidden.mean(axis=0)
        hidden -= mean
        square += float(np.einsum("ij,ij->", hidden, hidden)) / len(targets)
        add_averages(hidden, np.arange(first, last), indptr, truth, sums)
    lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums) * np.float32(square))
    # Rows that are all alike have directions of rounding errors alone, to be left as small.
    sums *= (FIRST_LOGIT / np.maximum(lengths, np.float32(1e-4)))[:, np.newaxis]
    network.output = convert(sums, network.dtype)
