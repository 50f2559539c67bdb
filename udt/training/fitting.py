"""From rows and labels to a trained network: the one call that the estimator makes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from udt.labels import LabelSets
from udt.network.heads import Targets
from udt.network.model import CSR, SparseNetwork
from udt.threads import Pool
from udt.training.loop import Diverged, Trainer, run
from udt.training.progress import History, Progress
from udt.training.settings import Settings

Array = NDArray[Any]
_MAX_TRIES = 4


def fit_network(
    rows: CSR,
    targets: Targets,
    weights: Array,
    validation: tuple[CSR, Targets, Array] | None,
    *,
    n_features: int,
    n_classes: int,
    shape: tuple[int, int, bool],
    settings: Settings,
    patience: int | None,
    random: np.random.RandomState,
    verbose: int,
    pool: Pool,
    positive_weights: Array | None = None,
) -> tuple[SparseNetwork, History]:
    """Train a new network, and again at a tenth of the rate if training diverges.

    Parameters
    ----------
    rows : tuple (indptr, indices, values)
    targets : ndarray of shape (n,), int64, or LabelSets
    weights : ndarray of shape (n,), float32
    validation : tuple (rows, targets, weights) or None
    n_features, n_classes : int
    shape : tuple (n_hidden, n_embedded, is_wide)
    settings : Settings
    patience : int or None
        Passes without a better validation score after which to stop, and keep the best.
    random : RandomState
    verbose : int
    pool : Pool
    positive_weights : ndarray of shape (n_labels,), float32, or None
        How much rows that have a label count in its loss, if ``targets`` are LabelSets.

    Raises
    ------
    ValueError
        If training diverges at each of four rates.
    """
    seed, key = (int(n) for n in random.randint(2**31 - 1, size=2))
    for _ in range(_MAX_TRIES):
        network = SparseNetwork.initialise(n_features, n_classes, *shape, seed)
        if isinstance(targets, LabelSets):
            network.bias[:] = log_odds(targets, weights)
        trainer = Trainer(network, rows, targets, weights, settings, key, pool, positive_weights)
        try:
            with Progress(verbose, len(targets) * settings.max_iter) as progress:
                network, history = run(trainer, validation, patience, progress)
            with np.errstate(over="ignore", invalid="ignore"):
                sums = [array.sum() for array in network.arrays().values()]
            if not np.isfinite(sums).all():
                raise Diverged  # in the last step, which no loss has seen
            return network, history
        except Diverged:
            rate = settings.wide_rate
            settings = settings.slower()
            warnings.warn(
                f"Training diverged at learning_rate_init={rate:g}; starting again at a tenth of "
                "that.",
                ConvergenceWarning,
                stacklevel=3,
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
