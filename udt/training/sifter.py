"""Which samples of a batch are worth a backward pass, by their losses among those of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.labels import LabelSets
from udt.network.heads import Targets
from udt.randomness import mix
from udt.training.sifting import Rule, SiftingConfig, beta_for

Array = NDArray[Any]
# Draws of what to look at and of what to keep must have nothing in common.
_LOOK, _KEEP = 0x51F7, 0xBEEF


class Sifter:
    """Decides which samples are looked at, and which of these are kept.

    Parameters
    ----------
    sifting : float, SiftingConfig or callable
        See `UDTClassifier`.
    targets : ndarray of shape (n,), int64, or LabelSets
    weights : ndarray of shape (n,), float32
    n_classes : int
    batch_size : int
    key : int
        Seed of the draws, which do not depend on the order of rows.

    Attributes
    ----------
    shares : list of (float, float)
        Of each pass, the share of rows that were looked at, and that were kept.
    """

    def __init__(
        self,
        sifting: float | SiftingConfig | Rule,
        targets: Targets,
        weights: Array,
        n_classes: int,
        batch_size: int,
        key: int,
    ) -> None:
        self._rule: Rule | None = None
        exponents = None
        if isinstance(sifting, SiftingConfig):
            self.config = sifting
        elif callable(sifting):  # which sees all batches, and minds its own delay
            self._rule = sifting
            self.config = SiftingConfig(0.0, sift_delay=0)
        else:
            relative = sparing(targets, weights, n_classes)
            beta = calibrate(float(sifting), relative)
            self.config = SiftingConfig(beta)
            exponents = relative * np.float32(beta)
        if exponents is None:
            exponents = sparing(targets, weights, n_classes) * np.float32(self.config.beta)
        self._exponents = exponents
        self._weights = weights
        self._batch_size = batch_size
        self._key = key
        self._history = np.empty(0, dtype=np.float32)
        n = len(weights)
        self._probabilities = np.ones(n if self.config.skip_forward else 0, dtype=np.float32)
        self._chances = np.ones_like(self._probabilities)
        self._n_steps = 0
        self._n_kept = 0
        self._n_rows = 0
        self._epoch = 0
        self.shares: list[tuple[float, float]] = []

    def begin(self, order: Array, epoch: int) -> Array:
        """Begin a pass over rows in some order; give those to look at, in this order."""
        self._epoch = epoch
        self._n_kept, self._n_rows = 0, len(order)
        if self.config.repeat_delay_per_epoch:
            self._n_steps = 0
        if self.config.skip_forward:
            looked_at = np.empty(len(order), dtype=np.bool_)
            select(order, self._probabilities, self._key + _LOOK, epoch, self._chances, looked_at)
            if self.config.repeat_delay_per_epoch:
                n_safe = self.config.sift_delay * self._batch_size
                looked_at[:n_safe] = True
                self._chances[order[:n_safe]] = 1
            if looked_at.any():
                order = order[looked_at]
        self._n_looked_at = len(order)
        return order

    def end(self) -> None:
        """End a pass."""
        n = max(self._n_rows, 1)
        self.shares.append((self._n_looked_at / n, self._n_kept / n))

    def sift(self, rows: Array, losses: Array) -> tuple[Array, Array | None]:
        """Choose among rows that were looked at.

        Parameters
        ----------
        rows : ndarray of shape (n,), int64
            Their numbers.
        losses : ndarray of shape (n,), float32
            Times their weights.

        Returns
        -------
        places : ndarray of shape (n_kept,), int64
            Where among ``rows`` those to keep are, in rising order.
        factors : ndarray of shape (n_kept,), float32, or None
            What their gradients are to be multiplied by.
        """
        config = self.config
        losses = losses / self._weights[rows]
        is_delayed = self._n_steps < config.sift_delay
        mask = np.ones(len(rows), dtype=np.bool_)
        factors = np.ones(len(rows) if config.unbiased else 0, dtype=np.float32)
        if self._rule is not None:
            if not is_delayed:
                random = np.random.default_rng([self._key, self._epoch, self._n_steps])
                mask = _checked(self._rule(losses, self._history, random), len(rows))
        elif not is_delayed or config.skip_forward:
            decide(
                rows, losses, np.sort(self._history), self._exponents,
                np.float32(config.min_probability), is_delayed, self._key + _KEEP, self._epoch,
                self._probabilities, self._chances, mask, factors,
            )  # fmt: skip
        self._n_steps += 1
        kept = config.loss_history_length
        self._history = np.concatenate([self._history, losses[-kept:]])[-kept:]
        places = np.flatnonzero(mask)
        self._n_kept += len(places)
        return places, factors[places] if config.unbiased else None


def sparing(targets: Targets, weights: Array, n_classes: int) -> Array:
    """Give what the exponents of rows are multiplied by: (n,), float32.

    That is at most 1, and less for rows of classes (or with a label) that are rarer than the
    average one, or with weights above 1.
    """
    if isinstance(targets, LabelSets):
        counts = targets.frequencies()
        rarest = np.full(len(targets), np.inf)
        np.minimum.at(rarest, targets.rows, counts[targets.indices])
    else:
        counts = np.bincount(targets, minlength=n_classes).astype(np.float64)
        rarest = counts[targets]
    average = counts.sum() / max(np.count_nonzero(counts), 1)
    share = np.minimum(1, rarest / average) if average else np.ones(len(weights))
    return (share / np.maximum(1, weights)).astype(np.float32)


def calibrate(kept: float, relative: Array) -> float:
    """Give the exponent with which about a share of rows is kept, with these relative exponents.

    It is `beta_for` that share where all are 1, and larger otherwise, up to 100 times.
    """
    low = beta_for(kept)
    high = 100 * low
    for _ in range(40):
        beta = (low + high) / 2
        if np.mean(1 / (1 + beta * relative.astype(np.float64))) > kept:
            low = beta
        else:
            high = beta
    return low


def _checked(mask: Any, n: int) -> Array:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (n,):
        given = type(mask).__name__
        if isinstance(mask, np.ndarray):
            given = f"an array of shape {mask.shape} and dtype {mask.dtype}"
        raise ValueError(
            f"sifting: the function gave {given} for {n} losses; let it give an array of bool, "
            f"of shape ({n},)."
        )
    return mask


@kernel
def uniform(key: Any, row: Any, epoch: Any) -> Any:
    """Draw from [0, 1) by a key, a row and a pass."""
    return np.float32(mix(key, row, epoch) >> np.uint64(40)) * np.float32(2.0**-24)


@kernel
def rank(history: Array, loss: float) -> Any:
    """Give the share of sorted losses below ``loss``; of those that are equal, half of them."""
    n = history.shape[0]
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if history[middle] < loss:
            low = middle + 1
        else:
            high = middle
    end = low
    while end < n and history[end] == loss:
        end += 1
    return (np.float32(low) + np.float32(0.5) * np.float32(end - low)) / np.float32(n)


@kernel
def select(
    order: Array, probabilities: Array, key: int, epoch: int, chances: Array, looked_at: Array
) -> None:
    """Draw which rows to look at, by the probabilities with which they were last kept.

    ``chances`` has the probability of being looked at of each row in its last pass, or minus it if
    it was not; that was not is looked at now. It receives those of this pass.
    """
    for i in range(order.shape[0]):
        row = order[i]
        looked_at[i] = True
        if chances[row] < 0:
            chances[row] = 1
            continue
        chances[row] = probabilities[row]
        if uniform(key, row, epoch) >= probabilities[row]:
            chances[row] = -probabilities[row]
            looked_at[i] = False


@kernel
def decide(
    rows: Array, losses: Array, history: Array, exponents: Array, least: float, keeps_all: bool,
    key: int, epoch: int, probabilities: Array, chances: Array, mask: Array, factors: Array,
) -> None:  # fmt: skip
    """Draw which rows to keep, by their losses among those of a sorted history.

    A row that was looked at by chance has been drawn already, for that part. ``probabilities`` and
    ``chances`` are empty unless there are such rows; ``factors`` unless gradients are to be divided
    by probabilities.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        p = np.float32(1)
        if history.shape[0] and losses[i] == losses[i]:  # what is not a number is to be seen
            p = max(least, rank(history, losses[i]) ** exponents[row])
        chance = np.float32(1)
        if probabilities.shape[0]:
            probabilities[row] = p
            chance = chances[row]
        p = min(np.float32(1), p / chance)
        if keeps_all:
            p = np.float32(1)
        mask[i] = uniform(key, row, epoch) < p
        if factors.shape[0]:
            factors[i] = np.float32(1) / (p * chance)
