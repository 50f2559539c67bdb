"""From rows and labels to a trained network: the one call that the estimator makes."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from udt.labels import LabelSets
from udt.network.heads import Targets
from udt.network.model import CSR, SparseNetwork
from udt.threads import Pool
from udt.training.loop import Diverged, Trainer, run
from udt.training.progress import History, Progress
from udt.training.settings import NetworkShape, Settings

Array = NDArray[Any]
_MAX_TRIES = 4


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

    Raises
    ------
    ValueError
        If training diverges at each of four rates.
    """
    seed, key = (int(n) for n in random.randint(2**31 - 1, size=2))
    for _ in range(_MAX_TRIES):
        if network is None:
            trained = SparseNetwork.initialise(
                n_classes, shape.hidden, shape.embedded, shape.n_wide, shape.embedding_range, seed
            )
            if isinstance(targets, LabelSets):
                trained.bias[:] = log_odds(targets, weights)
        else:
            trained = network.grown(
                n_classes, shape.embedded, shape.n_wide, shape.embedding_range, seed
            )
        trainer = Trainer(
            trained, rows, targets, weights, settings, key, pool, positive_weights, state
        )
        try:
            with Progress(verbose, len(targets) * settings.max_iter) as progress:
                trained, history = run(trainer, validation, patience, progress)
            with np.errstate(over="ignore", invalid="ignore"):
                sums = [array.sum() for array in trained.arrays().values()]
            if not np.isfinite(sums).all():
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
